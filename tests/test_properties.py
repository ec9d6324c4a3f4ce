"""Properties of random graphs: scalars and tensors, shared parts, broadcasting, tests and masks."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

import minigrad as mg

SHAPES = [(), (3,), (2, 1), (2, 3)]
LEAVES = [mg.var(f"v{k}", shape) for k, shape in enumerate(SHAPES)]

# Smooth and bounded, so that differences of a deep composition mean something.
UNARY = [
    mg.tanh,
    mg.sin,
    mg.cos,
    mg.sigmoid,
    mg.softplus,
    mg.atan,
    mg.erf,
    lambda x: mg.sqrt(1.5 + mg.sin(x)),
    lambda x: mg.log(2.0 + mg.cos(x)),
    lambda x: mg.exp(mg.tanh(x)),
    lambda x: mg.square(mg.tanh(x)),
    lambda x: mg.tanh(x) ** 3,
    lambda x: -x,
    lambda x: 0.5 * x - 1,
    lambda x: x * 1 + 0,
    lambda x: mg.log(mg.sigmoid(x)),
    lambda x: mg.where(x > 0, mg.tanh(x) ** 5, 0.0),
]
BINARY = [
    lambda x, y: x + y,
    lambda x, y: x - y,
    lambda x, y: mg.tanh(x) * y,
    lambda x, y: x / (2.0 + mg.sin(y)),
    lambda x, y: (1.5 + mg.sin(x)) ** mg.tanh(y),
    mg.logaddexp,
    mg.hypot,
    lambda x, y: mg.atan2(mg.sin(x), 2.0 + mg.cos(y)),
    lambda x, y: mg.where(x < y, mg.tanh(y - x) ** 5 + y, y),
    lambda x, y: mg.tensordot(mg.tanh(x), mg.tanh(y), 0).sum(axis=0) if x.ndim else x + y,
]
# For tensors of at least one axis.
SHAPED = [
    lambda x: mg.sum(x, -1),
    lambda x: mg.mean(x, 0, keepdims=True),
    lambda x: mg.softmax(x),
    lambda x: mg.logsumexp(x, 0),
    lambda x: mg.log_softmax(x, 0),
    lambda x: mg.cumulative_sum(mg.tanh(x), -1),
    lambda x: mg.prod(mg.tanh(x), -1),
    lambda x: mg.flip(x, 0),
    lambda x: x.T,
    lambda x: x[0],
    lambda x: x[[0, 0]],
    lambda x: mg.concat([x, mg.sin(x)], 0),
    lambda x: mg.stack([x, x * x], -1),
    lambda x: x.reshape(-1),
    lambda x: mg.tanh(x).at[0].set(0.5),
    lambda x: mg.einsum("...i,...i->...", mg.tanh(x), x),
    lambda x: mg.vecdot(mg.cos(x), x, axis=0),
    lambda x: mg.tanh(x) @ mg.cos(x.mT if x.ndim > 1 else x),
    lambda x: mg.variance(x, 0),
]
# Of what differences know nothing: jumps, kinks, and gradients that are stopped.
ROUGH = [
    lambda x: mg.stop_gradient(mg.tanh(x)) * x,
    lambda x: mg.scale_gradient(mg.tanh(x), mg.relu(x)) * x,
    lambda x: mg.where(x > 0.3, mg.sin(x), 0.0),
    lambda x: mg.where(x > 0, mg.sqrt(x), 0.0),
    lambda x: mg.where(x > 0, mg.log(x), 0.0),
    lambda x: mg.floor(3 * x) * x,
    lambda x: mg.astype(mg.astype(x > 0, "int64"), "float64") + x,
    mg.relu,
    abs,
    mg.sign,
    mg.max,
    lambda x: mg.sort(x, 0) if x.ndim else x,
    lambda x: mg.clip(x, -0.3, 0.3),
    lambda x: mg.maximum(x, mg.sin(x)),
    lambda x: x[mg.argmax(x, 0)] if x.ndim == 1 else x,
]
LARGEST = 60  # elements


@st.composite
def graphs(draw, size=8, smooth=False):
    """A float graph over some of LEAVES, built by a walk that reuses what it has made."""
    pool = list(LEAVES)
    unary = UNARY if smooth else UNARY + ROUGH
    for _ in range(draw(st.integers(1, size))):
        x = pool[draw(st.integers(0, len(pool) - 1))]
        kind = draw(st.sampled_from(["unary", "binary", "shaped"]))
        if kind == "shaped" and x.ndim:
            made = draw(st.sampled_from(SHAPED))(x)
        elif kind == "binary":
            y = pool[draw(st.integers(0, len(pool) - 1))]
            try:
                made = draw(st.sampled_from(BINARY))(x, y)
            except mg.ShapeError:
                made = x * mg.sum(mg.tanh(y))
        else:
            made = draw(st.sampled_from(unary))(x)
        if 0 < made.size <= LARGEST:
            pool.append(made)
    return pool[-1]


@st.composite
def points(draw):
    """Values of LEAVES, none near another or near a threshold."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return {v: rng.uniform(-1, 1, v.shape) for v in LEAVES}


def evaluated(outputs, at, **options):
    return mg.function(LEAVES, outputs, **options)(*[at[v] for v in LEAVES])


def close(found, expected, rtol=1e-9):
    scale = max(1.0, float(np.max(np.abs(expected), initial=0.0)))
    assert_allclose(found, expected, rtol=rtol, atol=rtol * scale)


@given(graphs(), points())
def test_simplified_is_the_same(y, at):
    simple = mg.simplify(y)
    raw, found = evaluated([y, simple], at, simplify=False)
    close(found, raw)
    close(evaluated(y, at), raw)
    assert mg.simplify(simple) is simple


@given(graphs(), points())
def test_the_exact_rules_change_no_value(y, at):
    exact = mg.simplify(y, mg.RULES["exact"])
    before, after = evaluated([y, exact], at, simplify=False)
    np.testing.assert_array_equal(before, after)


@given(graphs(size=6, smooth=True), points())
def test_gradients_are_what_differences_say(y, at):
    mg.check_grad(y, LEAVES, at)


@given(graphs(size=4, smooth=True), points())
@settings(max_examples=20)
def test_gradients_of_gradients_are_what_differences_say(y, at):
    mg.check_grad(y, LEAVES, at, order=2)


@given(graphs(), points(), st.integers(0, 2**32 - 1))
def test_forward_mode_is_the_transpose_of_reverse_mode(y, at, seed):
    rng = np.random.default_rng(seed)
    tangents = [rng.standard_normal(v.shape) for v in LEAVES]
    cotangent = rng.standard_normal(y.shape)
    pushed, pulled = evaluated([mg.jvp(y, LEAVES, tangents), mg.vjp(y, LEAVES, cotangent)], at)
    forward = np.sum(pushed * cotangent)
    reverse = sum(np.sum(g * t) for g, t in zip(pulled, tangents, strict=True))
    close(forward, reverse)


@given(graphs(), points())
def test_an_adjoint_is_the_sum_of_its_edges(y, at):
    adj = mg.adjoints(y)
    uses = {}
    for user in mg.toposort(y):
        for position, arg in enumerate(user.args):
            uses.setdefault(arg, []).append((user, position))
    nodes = [n for n in uses if n in adj]
    whole = [adj[n] for n in nodes]
    edges = [[adj.edge(*use) for use in uses[n]] for n in nodes]
    for total, parts in zip(*evaluated([whole, edges], at), strict=True):
        close(sum(parts), total)


@given(graphs(), points(), st.data())
def test_the_parts_of_a_split_sum_to_the_whole(y, at, data):
    adj = mg.adjoints(y)
    order = mg.toposort(y)
    gates = data.draw(st.lists(st.sampled_from(order), max_size=3))
    node = data.draw(st.sampled_from(order))
    through, around = adj.split(node, through=gates)
    if not node.type.is_float:
        return
    whole, *parts = evaluated([adj[node], through, around], at)
    close(sum(parts), whole)
    if node in set(gates) or y in set(gates):
        assert not np.any(parts[1])
    if not gates:
        assert not np.any(parts[0])


@given(graphs(), points())
def test_saving_and_loading_is_the_identity(y, at):
    assert mg.loads(mg.dumps(y)) is y
    gradients = mg.vjp(y, LEAVES, mg.ones_like(y))
    assert list(map(id, mg.loads(mg.dumps(gradients)))) == list(map(id, gradients))


@given(graphs())
def test_graphs_and_their_derivatives_verify(y):
    first = mg.vjp(y, LEAVES, mg.ones_like(y))
    mg.verify([y, *first, mg.simplify(y), *mg.simplify(first)])
    mg.verify(mg.jvp(y, LEAVES, LEAVES))


@given(graphs())
def test_building_it_again_gives_the_same_object(y):
    assert mg.substitute(y, {}) is y
    fresh = {v: mg.var(f"w{v.name}", v.shape) for v in LEAVES}
    there = mg.substitute(y, fresh)
    assert mg.substitute(there, {new: old for old, new in fresh.items()}) is y


@given(graphs())
def test_text_can_always_be_written(y):
    assert isinstance(str(y), str)
    assert mg.to_latex(y).count("{") == mg.to_latex(y).count("}")
    assert mg.to_latex(y).count(r"\left") == mg.to_latex(y).count(r"\right")
