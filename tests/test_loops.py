"""Rewrites of loops: each for its form, all for their value, and each can be left out."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from test_scan import B, H, K, T, leaves, random_body

import minigrad as mg


def bodies(f):
    """The bodies of the loops that a compiled function runs, in order."""
    return [n.attrs[0].body for n in mg.toposort(f.outputs) if n.op.name == "scan"]


def ops(nodes):
    return Counter(n.op.name for n in mg.toposort(nodes))


def lstm():
    """An LSTM as the textbook writes it, its loss, its parameters and values of its inputs."""
    rng = np.random.default_rng(3)
    P = {f"W{g}": mg.param(f"W{g}", rng.uniform(-0.5, 0.5, (H + K, H))) for g in "fico"}
    P |= {f"b{g}": mg.param(f"b{g}", rng.uniform(-0.5, 0.5, H)) for g in "fico"}
    xs = mg.var("xs", (T, B, K))

    def step(state, x):
        h, C = state
        z = mg.concat([h, x], -1)
        f, i, o = (mg.sigmoid(z @ P["W" + g] + P["b" + g]) for g in "fio")
        C = f * C + i * mg.tanh(z @ P["Wc"] + P["bc"])
        h = o * mg.tanh(C)
        return (h, C), h

    zero = mg.zeros((B, H))
    (h, _), hs = mg.scan(step, (zero, zero), xs)
    loss = mg.sum(h * h) + 0 * mg.sum(hs[-1])
    return loss, P, xs, {xs: rng.standard_normal((T, B, K))}


def training_step(**options):
    loss, P, xs, at = lstm()
    return mg.function([xs], [loss, mg.grad(loss, P)], **options), at


def test_the_textbook_cell_becomes_the_packed_one():
    f, _ = training_step()
    forward, backward = bodies(f)
    assert ops(forward.outputs)["matmul"] == 1  # four gates, and h alone: x is projected before
    assert ops(backward.outputs)["matmul"] == 1
    assert all(c.shape == (B, H) for c in backward.carries)  # no weight gradient is carried
    assert {(H, 4 * H), (4 * H, H)} <= {v.shape for b in (forward, backward) for v in b.constants}
    outside = [n for n in mg.toposort(f.outputs) if n.op.name == "matmul"]
    # Weights are put side by side for h, each way, and for x; of none more than is read.
    wholes = [n.shape for n in mg.toposort(f.outputs) if n.op.name == "concat"]
    assert sorted(wholes) == sorted([(H, 4 * H), (H, 4 * H), (K, 4 * H)])
    assert sorted(n.shape for n in outside) == sorted([(T * B, 4 * H), (H + K, 4 * H)])


OUTSIDE = "merge matmuls of one operand, outside"
SLICES = "sum of slices to one concat"
STOPS = "let go of stopped gradients"
PADDING = {"simplify steps", "read inputs where they come from", "one mask for a sum"}
LOOKUPS = {
    name for name in mg.LOOPS if "add rows up" in name or "table" in name or "added up" in name
}


def test_every_pass_fires_on_it_and_is_reported():
    f, _ = training_step()
    others = {OUTSIDE, SLICES, STOPS, "drop what nobody reads, again", *LOOKUPS, *PADDING}
    assert set(f.rewritten) | others == set(mg.LOOPS)
    assert all(name in f.report() for name in f.rewritten)


def test_products_of_one_operand_outside_a_loop():
    x = mg.var("x", (4, 3))
    a = mg.scan(lambda c, x: (mg.tanh(c + x), c), mg.zeros(3), x)[1]
    f = compiled([a @ mg.exp(a.T), a @ mg.sin(a.T)], [x])
    assert f.rewritten == [OUTSIDE]
    assert ops(f.outputs)["matmul"] == 1
    at = np.arange(12.0).reshape(4, 3) / 10
    plain = mg.function([x], [a @ mg.exp(a.T), a @ mg.sin(a.T)], simplify=False)
    for u, v in zip(f(at), plain(at), strict=True):
        assert_allclose(u, v)


def test_a_concat_that_only_a_slice_reads_is_cut():
    h, x, y = mg.var("h", (2,)), mg.var("x", (4, 3)), mg.var("y", (4, 3))
    hs = mg.scan(lambda h, _: (mg.tanh(h), h), h, length=3)[1]
    f = compiled([mg.concat([x, y], 1)[1:3] * 2, hs], [x, y, h])
    assert f.rewritten == ["cut a concat to what is read"]
    assert [n.shape for n in mg.toposort(f.outputs) if n.op.name == "concat"] == [(2, 6)]
    both = mg.concat([x, y], 1)
    kept = compiled([both[1:3] * 2, both, hs], [x, y, h])  # read elsewhere too
    assert kept.rewritten == []


@pytest.mark.parametrize("name", list(mg.LOOPS))
def test_each_pass_can_be_left_out(name):
    every, at = training_step()
    f, _ = training_step(without=[name])
    assert name not in f.rewritten
    plain, _ = training_step(simplify=False)
    (value, grads), (expected, wanted) = f(*at.values()), plain(*at.values())
    assert_allclose(value, expected, rtol=1e-12)
    assert_allclose(every(*at.values())[0], expected, rtol=1e-12)
    for key, g in grads.items():
        assert_allclose(g, wanted[key], rtol=1e-10, atol=1e-14)


def test_leaving_out_an_unknown_pass_is_an_error():
    with pytest.raises(mg.GraphError, match=r"no loop pass 'magic'; there are 'let go of"):
        training_step(without=["magic"])


@settings(max_examples=settings.default.max_examples // 2)  # each compiles for 0.1 s
@given(st.data())
@pytest.mark.slow
def test_rewritten_loops_compute_the_same(data):
    body = random_body(data.draw)
    reverse = data.draw(st.booleans())
    checkpoint = data.draw(st.sampled_from([None, 2]))
    v, at = leaves()
    start = {"a": v["h0"], "b": mg.zeros((B, H))}
    last, (y, z) = mg.scan(body(v), start, v["xs"], reverse=reverse, checkpoint=checkpoint)
    loss = mg.sum(last["a"]) + mg.sum(y * y) + mg.sum(z[-1])
    outputs = [loss, *mg.grad(loss, list(v.values()))]
    fast = mg.function(list(at), outputs)
    plain = mg.function(list(at), outputs, simplify=False, backend="numpy")
    for a, b in zip(fast(*at.values()), plain(*at.values()), strict=True):
        assert_allclose(a, b, rtol=1e-9, atol=1e-12)


def compiled(outputs, inputs):
    return mg.function(inputs, outputs)


def test_what_nobody_reads_is_dropped():
    x = mg.var("x", (4,))

    def step(carry, x):
        return (carry[0] + x, carry[1] * mg.exp(x), carry[2] + carry[0]), (x, mg.sin(x))

    (_, _, total), _ = mg.scan(step, (0.0, 1.0, 0.0), x)
    (body,) = bodies(compiled(total, [x]))
    assert body.n_carry == 2  # a sum, and the sum of what it was
    assert not {"exp", "sin"} & set(ops(body.outputs))


def test_an_input_that_does_not_meet_the_carry_is_computed_before():
    x = mg.var("x", (4, 3))
    w = mg.var("w", (3, 3))
    last, _ = mg.scan(lambda c, x: (mg.tanh(c * (mg.exp(x @ w))), None), mg.ones(3), x)
    f = compiled(last, [x, w])
    (body,) = bodies(f)
    assert not {"exp", "matmul"} & set(ops(body.outputs))
    assert f.rewritten == ["compute before the loop", "drop what nobody reads, again"]


def test_only_the_last_output_reads_the_carry():
    x = mg.var("x", (4, 3))
    for reverse, last in ((False, -1), (True, 0)):
        _, ys = mg.scan(lambda c, x: (mg.tanh(c + x),) * 2, mg.zeros(3), x, reverse=reverse)
        f = compiled(ys[last, 1:], [x])
        (body,) = bodies(f)
        assert len(body.ys) == 0
        at = np.arange(12.0).reshape(4, 3) / 10
        assert_allclose(f(at), mg.function([x], ys[last, 1:], simplify=False)(at))


def test_sums_of_products_are_one_product_after_the_loop():
    a, b = mg.var("a", (4, 2, 3)), mg.var("b", (4, 2, 5))
    total, _ = mg.scan(lambda c, ab: (c + ab[0].T @ ab[1], None), mg.ones((3, 5)), (a, b))
    f = compiled(total, [a, b])
    assert "matmul" not in ops([o for body in bodies(f) for o in body.outputs])
    assert ops(f.outputs)["matmul"] == 1
    x, y = np.arange(24.0).reshape(4, 2, 3), np.arange(40.0).reshape(4, 2, 5)
    assert_allclose(f(x, y), 1 + np.einsum("tbi,tbj->ij", x, y))


def packed():
    """An LSTM packed by hand, its gradients, its inputs and values of them."""
    rng = np.random.default_rng(4)
    at = [rng.standard_normal((T, B, 4 * H)), rng.standard_normal((H, 4 * H)) / 2]
    z, W = (mg.var(name, a.shape) for name, a in zip("zW", at, strict=True))

    def step(state, z):
        h, C = state
        a = z + h @ W
        f, i, o = (mg.sigmoid(a[:, k * H : (k + 1) * H]) for k in range(3))
        C = f * C + i * mg.tanh(a[:, 3 * H :])
        return (o * mg.tanh(C), C), None

    (h, _), _ = mg.scan(step, (mg.zeros((B, H)), mg.zeros((B, H))), z)
    return mg.grad(mg.sum(h * h), [z, W]), [z, W], at


def test_gradients_of_slices_are_put_side_by_side():
    grads, inputs, at = packed()
    f = mg.function(inputs, grads)
    assert SLICES in f.rewritten
    _, backward = bodies(f)
    found = ops(backward.outputs)
    assert (found["scatter"], found["concat"], found["matmul"]) == (0, 1, 1)
    kept = mg.function(inputs, grads, without=[SLICES])
    assert ops(bodies(kept)[1].outputs)["scatter"] == 4
    for a, b in zip(f(*at), mg.function(inputs, grads, simplify=False)(*at), strict=True):
        assert_allclose(a, b, rtol=1e-12, atol=1e-14)


def test_their_second_derivatives_are_those_of_the_graph_as_built():
    grads, inputs, at = packed()
    total = sum(mg.sum(mg.sin(g)) for g in grads)
    second = mg.grad(total, inputs)
    f, plain = (mg.function(inputs, second, simplify=s) for s in (True, False))
    assert not any(ops(body.outputs)["scatter"] for body in bodies(f))
    for a, b in zip(f(*at), plain(*at), strict=True):
        assert_allclose(a, b, rtol=1e-10, atol=1e-12)


def placed(x, cuts, values):
    """What has each value at its cut of an array like x, and zeros elsewhere."""
    return [mg.grad(mg.sum(x[c] * v), x) for c, v in zip(cuts, values, strict=True)]


def scatters(f):
    return ops(f.outputs)["scatter"]


def added(draw, terms):
    """The sum of the terms in some order, bracketed in some way."""
    terms = draw(st.permutations(terms))
    while len(terms) > 1:
        k = draw(st.integers(0, len(terms) - 2))
        terms[k : k + 2] = [terms[k] + terms[k + 1]]
    return terms[0]


@given(st.data())
def test_slices_of_an_axis_in_any_order(data):
    draw = data.draw
    axis, n = draw(st.integers(0, 1)), draw(st.integers(2, 9))
    shape = (n, 3) if axis == 0 else (3, n)
    dtype = draw(st.sampled_from(["float32", "float64"]))
    bounds = [0, *sorted(draw(st.sets(st.integers(1, n - 1)))), n]
    every = draw(st.booleans())
    ranges = [r for r in pairwise(bounds) if every or draw(st.booleans())]
    whole = (slice(None),) * axis
    cuts = [(*whole, a if b == a + 1 and draw(st.booleans()) else slice(a, b)) for a, b in ranges]
    x, other = mg.var("x", shape, dtype), mg.var("other", shape, dtype)
    # Exact in float32; what is not finite stays in its place.
    number = st.sampled_from([-2.0, -0.0, 0.5, 3.0, np.inf, -np.inf, np.nan])
    values = [mg.var(f"v{k}", x[c].shape, dtype) for k, c in enumerate(cuts)]
    inputs = [other, *values]
    at = [np.array(draw(st.lists(number, min_size=v.size, max_size=v.size))) for v in inputs]
    at = [a.astype(dtype).reshape(v.shape) for a, v in zip(at, inputs, strict=True)]
    summed = added(draw, [*placed(x, cuts, values), *[other] * draw(st.integers(0, 1))] or [other])
    f, plain = (mg.function(inputs, summed, simplify=s) for s in (True, False))
    assert scatters(f) <= (0 if every else 1)
    assert f(*at).dtype == dtype
    assert_array_equal(f(*at), plain(*at))


def test_an_unrolled_net_puts_its_steps_side_by_side():
    x, w = mg.var("x", (20, 2, 3)), mg.var("w", (3, 3))
    h = mg.zeros((2, 3))
    for k in range(20):
        h = mg.tanh(x[k] + h @ w)
    f = compiled(mg.grad(mg.sum(h), x), [x, w])
    assert f.rewritten == [SLICES] and SLICES in f.report()
    assert scatters(f) == 0 and ops(f.outputs)["concat"] == 1
    plain = mg.function([x, w], mg.grad(mg.sum(h), x), without=[SLICES])
    assert scatters(plain) == 20
    at = np.arange(120.0).reshape(20, 2, 3) / 60, np.eye(3)
    assert_array_equal(f(*at), plain(*at))


def test_slices_that_overlap_take_as_many_arrays_as_lie_on_one_another():
    x = mg.var("x", 12)
    total = sum(mg.sum(mg.sin(x[k : k + 3]) * mg.cos(x[k + 1])) for k in range(10))
    f, plain = (mg.function([x], mg.grad(total, x), simplify=s) for s in (True, False))
    assert scatters(f) <= 3 < scatters(plain)
    at = np.linspace(0, 1, 12)
    assert_allclose(f(at), plain(at), rtol=1e-14)


def test_only_ranges_of_one_axis_are_joined():
    x = mg.var("x", (4, 6))
    v, w = mg.var("v", (4, 3)), mg.var("w", (2, 6))
    at = np.arange(12.0).reshape(4, 3), np.arange(12.0).reshape(2, 6)
    every, rows = slice(None), [0, 2]
    for cuts, values, left in (
        ([(every, slice(0, 6, 2)), (every, slice(1, 6, 2))], [v, v], 2),  # a step
        ([(every, [0, 2, 4]), (every, slice(3, 6))], [v, v], 2),  # an array
        ([slice(0, 2), (every, slice(3, 6))], [w, v], 2),  # two axes
        ([rows, slice(1, 3), slice(3, 4)], [w, w, w[:1]], 2),
        ([(slice(0, 2), slice(0, 3)), (slice(0, 2), slice(3, 6))], [v[:2], v[2:]], 2),
        ([(every, None, slice(0, 3)), (every, slice(3, 6))], [v[:, None], v], 2),
        ([every], [mg.concat([v, v], 1)], 0),
        ([(every, None)], [mg.concat([v, v], 1)[:, None]], 0),
        ([slice(None, None, -1)], [mg.concat([v, v], 1)], 1),
    ):
        y = mg.sin(sum(placed(x, cuts, values)))
        f, plain = (mg.function([v, w], y, simplify=s) for s in (True, False))
        assert scatters(f) == left
        assert_array_equal(f(*at), plain(*at))


def test_a_part_of_a_sum_that_is_read_elsewhere_stays():
    x, v = mg.var("x", 6), mg.var("v", 2)
    a, b, c = placed(x, [slice(0, 2), slice(2, 4), slice(4, 6)], [v, 2 * v, 3 * v])
    part = a + b
    outputs = [part, part + c, mg.sin(part)]
    f, plain = (mg.function([v], outputs, simplify=s) for s in (True, False))
    assert scatters(f) == 1
    for p, q in zip(f([1.0, 2.0]), plain([1.0, 2.0]), strict=True):
        assert_array_equal(p, q)


def test_loops_within_loops_are_rewritten_too():
    x, w = mg.var("x", (6, 2, 3)), mg.var("w", (6, 3))

    def step(c, x):
        return mg.tanh(mg.concat([c, x], -1) @ w), None

    last, _ = mg.scan(step, mg.zeros((2, 3)), x, checkpoint=3)
    f = compiled(last, [x, w])
    (outer,) = bodies(f)
    (inner,) = [n.attrs[0].body for n in mg.toposort(outer.outputs) if n.op.name == "scan"]
    assert "concat" not in ops(inner.outputs)


def test_a_graph_without_loops_is_left_alone():
    x = mg.var("x", (2, 2))
    f = compiled(x @ x + x @ mg.tanh(x), [x])
    assert f.rewritten == []
    assert ops(f.outputs)["matmul"] == 2


def test_rows_are_looked_up_before_the_loop_and_their_gradients_put_back_after_it():
    table, w = mg.var("table", (9, 4)), mg.var("w", (4, 5))
    tokens = mg.var("tokens", (6, 3), "int64")
    h, _ = mg.scan(lambda h, k: (mg.tanh(h + table[k] @ w), None), mg.zeros((3, 5)), tokens)
    loss = mg.sum(mg.square(h))
    inputs, outputs = [tokens, table, w], [loss, *mg.grad(loss, [table, w])]
    f = compiled(outputs, inputs)
    assert all(not {"getitem", "scatter"} & set(ops(b.outputs)) for b in bodies(f))
    assert all(c.shape == (3, 5) for b in bodies(f) for c in b.carries)
    rng = np.random.default_rng(0)
    values = [rng.integers(0, 9, (6, 3)), rng.standard_normal((9, 4)), rng.standard_normal((4, 5))]
    plain = mg.function(inputs, outputs, simplify=False, backend="numpy")
    for u, v in zip(f(*values), plain(*values), strict=True):
        assert_allclose(u, v, rtol=1e-10)


def test_a_sum_of_rows_of_what_changes_is_left_as_it_is():
    x, k = mg.var("x", (6, 4, 2)), mg.var("k", (6, 3), "int64")
    total, _ = mg.scan(lambda c, xk: (c + mg.sin(xk[0])[xk[1]], None), mg.zeros((3, 2)), (x, k))
    rng = np.random.default_rng(0)
    values = [rng.standard_normal((6, 4, 2)), rng.integers(0, 4, (6, 3))]
    plain = mg.function([x, k], total, simplify=False, backend="numpy")
    assert_allclose(compiled(total, [x, k])(*values), plain(*values))


def given_out_twice(body):
    """What a step gives out though it is a part of something else that it gives out."""
    parts = {a for y in body.ys if y.op.name == "concat" for a in y.args}
    return [y for y in body.ys if y in parts]


def test_bias_gradients_are_read_from_the_stack_that_the_weights_need():
    f, at = training_step()
    _, backward = bodies(f)
    assert not given_out_twice(backward)
    assert [y.shape for y in backward.ys] == [(B, 4 * H)]
    plain, _ = training_step(simplify=False)
    for name, g in f(*at.values())[1].items():
        assert_allclose(g, plain(*at.values())[1][name], rtol=1e-10, atol=1e-14)


def summed(step, init, xs, at, reverse=False):
    """A loop's last carries, compiled and checked against the graph as built; and its bodies."""
    last, _ = mg.scan(step, init, xs, reverse=reverse)
    f = compiled([*last], [*xs])
    plain = mg.function([*xs], [*last], simplify=False, backend="numpy")
    for u, v in zip(f(*at), plain(*at), strict=True):
        assert_allclose(u, v, rtol=1e-12)
    return f, bodies(f)


def random_inputs(**shapes):
    rng = np.random.default_rng(5)
    variables = [mg.var(name, shape) for name, shape in shapes.items()]
    return variables, [rng.standard_normal(v.shape) for v in variables]


def test_a_sum_that_would_take_a_stack_of_its_own_stays_a_carry():
    xs, at = random_inputs(x=(50, 8))
    f, (body,) = summed(lambda c, x: ((c[0] + mg.tanh(x[0][:, None] * x[0]),), None),
                        [mg.zeros((8, 8))], xs, at)  # fmt: skip
    assert (body.n_carry, len(body.ys)) == (1, 0)
    assert "sum after the loop" not in f.rewritten
    assert not any(n.shape == (50, 8, 8) for n in mg.toposort(f.outputs) if n.op.name != "scan")


def test_the_gradient_of_an_elementwise_weight_is_carried():
    x, w = mg.var("x", (50, 8)), mg.var("w", (8, 8))
    h, _ = mg.scan(lambda h, x: (mg.sum(mg.tanh(w * h[:, None]), 0) + x, None), mg.zeros(8), x)
    f = compiled(mg.grad(mg.sum(h), w), [x, w])
    _, backward = bodies(f)
    assert [c.shape for c in backward.carries] == [(8,), (8, 8)]
    assert not backward.ys


def test_what_the_steps_give_out_anyway_is_summed_after_the_loop():
    xs, at = random_inputs(a=(6, 4, 3), b=(6, 4, 5))

    def step(c, ab):
        a, b = mg.tanh(ab[0] + c[0]), mg.sin(ab[1] + c[0][0, 0])
        both = mg.concat([a, b], 1)
        terms = [a.T @ both, mg.sum(b, 0), mg.sum(a), b[1:, ::2], mg.sum(ab[0], 0), a.T]
        return (0.5 * a, *(s + term for s, term in zip(c[1:], terms, strict=True))), None

    shapes = (4, 3), (3, 8), (5,), (), (3, 3), (3,), (3, 4)
    for reverse in (False, True):
        _, (body,) = summed(step, [mg.zeros(s) for s in shapes], xs, at, reverse)
        assert body.n_carry == 1
        assert [y.shape for y in body.ys] == [(4, 8)]


def test_factors_within_factors_are_given_out_once():
    xs, at = random_inputs(a=(6, 4, 3), b=(6, 4, 5))

    def step(c, ab):
        a, b = ab
        p, q = mg.tanh(a + c[0]), mg.sin(b + c[0][0, 0])
        inner = mg.concat([p, q], 1)
        outer = mg.concat([mg.exp(inner), inner])
        terms = [a.T @ p, b.T @ inner, mg.concat([a, b[:, :3]]).T @ outer]
        return (0.5 * p, *(s + term for s, term in zip(c[1:], terms, strict=True))), None

    shapes = (4, 3), (3, 3), (5, 8), (3, 8)
    for reverse in (False, True):
        _, (body,) = summed(step, [mg.zeros(s) for s in shapes], xs, at, reverse)
        assert body.n_carry == 1
        assert [y.shape for y in body.ys] == [(8, 8)]


def test_a_product_with_what_is_the_same_in_all_steps_is_not_stacked():
    xs, at = random_inputs(x=(50, 4, 3))
    w = mg.const(np.arange(18.0).reshape(3, 6))
    _, (body,) = summed(lambda c, x: ((mg.tanh(c[0] + x[0]), c[1] + c[0] @ w), None),
                        [mg.ones((4, 3)), mg.zeros((4, 6))], xs, at)  # fmt: skip
    assert body.n_carry == 2 and not body.ys


def test_what_reads_a_product_waits_for_the_sum_of_all_products():
    xs, at = random_inputs(a=(6, 4, 3), b=(6, 4, 5))

    def step(c, ab):
        a, b = mg.tanh(ab[0] + c[0]), mg.sin(ab[1] + c[0][0, 0])
        product = a.T @ b
        terms = [product.T, mg.sum(product, 0), product[1:, ::2].T.reshape(3, 2)]
        return (0.5 * a, *(s + term for s, term in zip(c[1:], terms, strict=True))), None

    shapes = (4, 3), (5, 3), (5,), (3, 2)
    _, (body,) = summed(step, [mg.zeros(s) for s in shapes], xs, at)
    assert body.n_carry == 1
    assert {y.shape for y in body.ys} == {(4, 3), (4, 5)}


def test_sums_of_whole_numbers_wrap_where_each_step_wraps():
    a = mg.var("a", (3, 2, 2), "int8")
    total, _ = mg.scan(lambda c, x: (c + mg.sum(x @ x.T), None), mg.const(0), a)
    at = np.full((3, 2, 2), 9, "int8")
    assert compiled(total, [a])(at) == 3 * 4 * -94  # each element is 162, which 8 bits take for -94


def merged(values, variables, at):
    """The widths of the products of a graph with a loop in it, checked for its value."""
    hs = mg.scan(lambda h, _: (mg.tanh(h), h), mg.ones(2), length=3)[1]
    f = compiled([*values, hs], variables)
    plain = mg.function(variables, [*values, hs], simplify=False, backend="numpy")
    for u, v in zip(f(*at), plain(*at), strict=True):
        assert_allclose(u, v, rtol=1e-10)
    return sorted(n.shape[1] for n in mg.toposort(f.outputs) if n.op.name == "matmul")


def test_products_of_products_are_merged_into_one_each():
    variables, at = random_inputs(x=(4, 4), b=(4, 4), c=(4, 4), d=(4, 5))
    x, b, c, d = variables
    assert merged([x @ (b @ c), x @ (b @ d)], variables, at) == [9, 9]


def test_products_that_need_one_another_stay_apart():
    variables, at = random_inputs(x=(4, 4), b=(4, 4), c=(4, 4), d=(4, 5))
    x, b, c, d = variables
    assert merged([x @ (x @ c), mg.sin(x @ c), b @ c, b @ d], variables, at) == [4, 4, 9]
    # Each group needs a product of the other: only one of them can be merged.
    cycle = [x @ (b @ c), x @ d, b @ (x @ d), b @ c]
    assert merged(cycle, variables, at) == [4, 5, 9]


def test_products_of_inputs_are_summed_as_one_product_after_the_loop():
    A, B = mg.var("A", (T, 2, 3)), mg.var("B", (T, 3, 4))
    total, _ = mg.scan(lambda c, x: (c + x[0] @ x[1], None), mg.zeros((2, 4)), (A, B))
    f = mg.function([A, B], total)
    assert not bodies(f)
    assert ops(f.outputs)["matmul"] == 1
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal(A.shape), rng.standard_normal(B.shape)
    assert_allclose(f(a, b), np.einsum("tij,tjk->ik", a, b), rtol=1e-13)


def test_an_lstm_keeps_six_values_a_step_beside_its_state():
    grads, inputs, _ = packed()
    forward, backward = bodies(mg.function(inputs, grads))
    assert sum(y.size for y in forward.ys) == 7 * B * H
    assert len(backward.xs) == 6


def test_what_slices_read_of_rows_and_across_parts_stays():
    (x, W), at = random_inputs(x=(5, 2, 3), W=(3, 4))
    last, _ = mg.scan(lambda c, x: (mg.tanh(c + mg.sum((c @ W)[:1, 1:3]) + x), None), x[0], x)
    y = mg.concat([mg.sin(last), mg.cos(last)], 1)[:, 2:5]
    plain = mg.function([x, W], y, simplify=False, backend="numpy")
    assert_allclose(compiled(y, [x, W])(*at), plain(*at), rtol=1e-12)
