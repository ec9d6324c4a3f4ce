"""Loops: scan against plain nodes and NumPy, in value and derivatives; its errors; its files."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import minigrad as mg
from minigrad.graph.node import OPS

T, B, H, K = 5, 2, 3, 2
UNARY = [mg.tanh, mg.sigmoid, mg.sin, lambda x: 0.5 * x, mg.softplus]
BINARY = [lambda a, b: a + b, lambda a, b: a * b, lambda a, b: a - 0.5 * b, mg.maximum]


def leaves():
    """A matrix, a vector, the inputs and a start, with values to bind."""
    rng = np.random.default_rng(7)
    shapes = {"W": (H + K, H), "b": (H,), "xs": (T, B, K), "h0": (B, H)}
    variables = {n: mg.var(n, shape) for n, shape in shapes.items()}
    return variables, {v: rng.uniform(-0.8, 0.8, v.shape) for v in variables.values()}


def rnn_loss(v, **options):
    def step(h, x):
        h = mg.tanh(mg.concat([h, x], -1) @ v["W"] + v["b"])
        return h, mg.sum(h * h, axis=-1)

    h, ys = mg.scan(step, v["h0"], v["xs"], **options)
    return mg.sum(h * h) + mg.sum(ys * ys[::-1])


def random_body(draw):
    """A step of two carries made of random ops on carries, the input and outer values."""
    choices = draw(st.lists(st.tuples(*[st.integers(0, 40)] * 3), min_size=3, max_size=8))

    def body(v):
        def step(carry, x):
            pool = [carry["a"], carry["b"], x @ v["W"][:K], v["b"] + mg.zeros((B, H)), x[:, :1]]
            for which, left, right in choices:
                a, b = pool[left % len(pool)], pool[right % len(pool)]
                if which % 3:
                    pool.append(BINARY[which % len(BINARY)](a, b))
                else:
                    pool.append(UNARY[which % len(UNARY)](a))
            full = [p + mg.zeros((B, H)) for p in pool[-2:]]
            return {"a": mg.tanh(full[0]), "b": full[1] * 0.3}, (pool[-1], full[0])

        return step

    return body


def random_loop(draw):
    """A loss of a random loop, what else it gives and the gradients, and numbers of the leaves."""
    body = random_body(draw)
    options = {
        "reverse": draw(st.booleans()),
        "checkpoint": draw(st.sampled_from([None, True, 2, 3])),
    }
    v, at = leaves()
    start = {"a": v["h0"], "b": mg.zeros(v["h0"].shape)}
    last, (y, z) = mg.scan(body(v), start, v["xs"], **options)
    loss = mg.sum(last["a"]) + mg.sum(y * y) + mg.sum(z[-1])
    return [loss, y, *mg.grad(loss, [*v.values()])], at


def by_python(step, carry, xs, reverse):
    """The loop as Python runs it: the step called T times, on plain nodes."""
    ys = {}
    for t in reversed(range(T)) if reverse else range(T):
        carry, ys[t] = step(carry, xs[t])
    return carry, [mg.stack([ys[t][k] for t in range(T)]) for k in range(len(ys[0]))]


def assert_same_to_second_order(loop, plain, v, at):
    """A loop is what plain nodes are, in value, grad, hvp and jvp; its unrolled form in two."""
    wrt = list(v.values())
    direction = [np.cos(np.arange(w.size)).reshape(w.shape) for w in wrt]

    def first(y):
        return [y, *mg.grad(y, wrt)]

    def second(y):
        return [*mg.hvp(y, wrt, direction), mg.jvp(y, wrt, direction)]

    found = mg.eval(first(loop) + second(loop), at)
    # As they stand: what is compared with is not rewritten.
    unrolled, expected = mg.function(
        list(at), [first(mg.unroll(loop)), first(plain) + second(plain)], simplify=False
    )(*at.values())
    for a, b in (*zip(found, expected, strict=True), *zip(unrolled, expected, strict=False)):
        assert_allclose(a, b, rtol=1e-9, atol=1e-11)


@settings(max_examples=settings.default.max_examples // 2)  # 0.1 s each
@given(st.data())
@pytest.mark.slow
def test_scan_is_its_unrolled_form_to_second_order(data):
    body = random_body(data.draw)
    reverse = data.draw(st.booleans())
    checkpoint = data.draw(st.sampled_from([None, True, 2, 3]))
    v, at = leaves()

    def loss(run, **options):
        start = {"a": v["h0"], "b": mg.zeros((B, H))}
        last, (y, z) = run(body(v), start, v["xs"], reverse=reverse, **options)
        return mg.sum(last["a"] * last["b"]) + mg.sum(y) + mg.sum(z * z)

    loop, plain = loss(mg.scan, checkpoint=checkpoint), loss(by_python)
    assert loss(mg.scan, unroll=True) is mg.unroll(loss(mg.scan))
    assert_same_to_second_order(loop, plain, v, at)


@pytest.mark.parametrize(
    "options", [{}, {"reverse": True}, {"checkpoint": True}, {"checkpoint": 4}]
)
def test_gradients_against_differences(options):
    v, at = leaves()
    assert mg.check_grad(rnn_loss(v, **options), list(v.values()), at, order=2) < 1e-6


def test_a_loop_is_one_node_whatever_its_length():
    x = mg.var("x", (1000,))
    last, _ = mg.scan(lambda c, x: (c + x, None), 0.0, x)
    assert [n.op.name for n in mg.toposort(last)].count("scan") == 1
    assert len(mg.toposort(last)) < 10


def test_equal_steps_are_one_node():
    x = mg.var("x", (3,))
    first, second = (mg.scan(lambda c, x: (c * x, c), 1.0, x) for _ in range(2))
    assert first[0] is second[0]
    assert first[1] is second[1]


def test_what_does_not_move_becomes_a_constant_of_the_loop():
    v, _ = leaves()
    last, _ = mg.scan(lambda h, x: (h + mg.exp(v["b"]), None), v["h0"], length=3)
    (loop,) = [n for n in mg.toposort(last) if n.op.name == "scan"]
    assert "exp" not in {n.op.name for n in mg.toposort(loop.attrs[0].body.outputs)}


def test_nested_loops():
    x, w = mg.var("x", (3, 4)), mg.var("w")

    def outer(c, row):
        inner, _ = mg.scan(lambda a, e: (mg.sin(a * w + e * c), None), c, row)
        return inner, inner

    y = mg.sum(mg.scan(outer, mg.const(0.5), x)[1])
    at = {x: np.linspace(-1, 1, 12).reshape(3, 4), w: 0.7}
    expected, c = 0.0, 0.5
    for row in at[x]:  # type: ignore[attr-defined]
        a = c
        for e in row:
            a = np.sin(a * 0.7 + e * c)
        c = a
        expected += c
    assert_allclose(y.eval(at), expected, rtol=1e-14)
    assert mg.check_grad(y, [x, w], at, order=2) < 1e-6


def test_integer_carries_count():
    def step(c, _):
        return (c[0] + 1, c[1] * mg.astype(c[0], "float64")), c[0]

    x = mg.var("x")
    (count, product), seen = mg.scan(step, (mg.const(1), x), length=4)
    assert count.eval({x: 2.0}) == 5
    assert_array_equal(seen.eval({x: 2.0}), [1, 2, 3, 4])
    assert mg.grad(product, x).eval({x: 2.0}) == 24.0


def test_no_steps():
    x = mg.var("x", (0, 2))
    last, ys = mg.scan(lambda c, x: (c + mg.sum(x), x), 3.0, x)
    assert last.eval({x: np.zeros((0, 2))}) == 3.0
    assert ys.eval({x: np.zeros((0, 2))}).shape == (0, 2)


def test_checkpoint_keeps_one_carry_a_segment():
    v, _ = leaves()

    def stacked(checkpoint):
        x = mg.var("long", (100, B, K))

        def step(h, x):
            h = mg.tanh(h * mg.sum(x) + v["b"])
            return mg.sin(mg.exp(h)), None

        last, _ = mg.scan(step, v["h0"], x, checkpoint=checkpoint)
        nodes = mg.toposort(mg.grad(mg.sum(last), v["b"]))
        return max(n.size for n in nodes if n.op.name == "item")

    assert stacked(None) == 100 * B * H
    assert stacked(True) == 10 * B * H


def test_files_pickles_and_copies_keep_loops():
    v, at = leaves()
    y = rnn_loss(v, checkpoint=2)
    assert mg.loads(mg.dumps(y)) is y
    assert pickle.loads(pickle.dumps(y)) is y
    assert_allclose(copy.deepcopy(mg.grad(y, v["W"])).eval(at), mg.grad(y, v["W"]).eval(at))
    mg.verify(y)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"carries":1', '"carries":9'),
        ('"carries":1', '"carries":"1"'),
        ('"in":', '"in":-'),
        ('"op":"tanh"', '"op":"var"'),
    ],
)
def test_a_malformed_body_is_one_clear_error(old, new):
    v, _ = leaves()
    text = mg.dumps(rnn_loss(v))
    assert old in text
    with pytest.raises(mg.GraphFileError, match="malformed"):
        mg.loads(text.replace(old, new, 1))


@pytest.mark.parametrize(
    ("step", "init", "kind", "words"),
    [
        (
            lambda c, x: (c[:1], x),
            "zeros",
            mg.ShapeError,
            r"carry changes its type .*float64\(2,\)",
        ),
        (
            lambda c, x: (c > 0, x),
            "zeros",
            mg.DTypeError,
            r"carry changes .*astype\(..., 'float64'",
        ),
        (lambda c, x: ((c, c), x), "zeros", mg.GraphError, "must keep its nesting"),
        (lambda c, x: c, "zeros", mg.GraphError, r"must return \(carry, y\)"),
        (lambda c, x: ({"h": c["h"][0]}, x), "dict", mg.ShapeError, r"carry\['h'\] changes"),
    ],
)
def test_errors_of_the_step_function(step, init, kind, words):
    start = {"zeros": mg.zeros(2), "dict": {"h": mg.zeros(2)}}[init]
    for options in ({}, {"unroll": True}):
        with pytest.raises(kind, match=words):
            mg.scan(step, start, mg.var("x", (3, 2)), **options)


def test_errors_of_the_lengths():
    def step(c, x):
        return c, None

    with pytest.raises(mg.GraphError, match="needs length="):
        mg.scan(step, 0.0)
    with pytest.raises(mg.ShapeError, match=r"xs\['a'\]: 3, xs\['b'\]: 4"):
        mg.scan(step, 0.0, {"a": mg.zeros(3), "b": mg.zeros(4)})
    with pytest.raises(mg.ShapeError, match="length: 5"):
        mg.scan(step, 0.0, mg.zeros(3), length=5)
    with pytest.raises(mg.ShapeError, match=r"a scalar, as xs is, has none$"):
        mg.scan(step, 0.0, 1.0)
    with pytest.raises(mg.GraphError, match="nothing to compute"):
        mg.scan(lambda c, x: (c, 1.0), (), length=3)


def test_a_loop_unrolled_is_the_steps_that_python_takes():
    x = mg.var("x", (3,))
    last, ys = mg.scan(lambda c, x: (c * x, c), x[0] + 1, x, unroll=True)
    carries = [x[0] + 1]
    for t in range(3):
        carries.append(carries[-1] * x[t])
    assert last is carries[3]
    assert ys is mg.stack(carries[:3])
    last, ys = mg.scan(lambda c, x: (c * x, c), 2.0, mg.zeros(0), unroll=True)
    assert (float(last), ys.shape) == (2.0, (0,))


def test_scan_states_its_derivative_both_ways():
    assert OPS["scan"].vjp is not None
    assert OPS["scan"].jvp is not None


def test_a_step_may_give_out_what_no_step_changes():
    b, xs = mg.var("b"), mg.var("xs", (3,))
    for outer, value in ((b, 5.0), (b * b + 1.0, 26.0), (mg.const(2.0), 2.0)):
        last, ys = mg.scan(lambda c, x, outer=outer: (c * x, outer), mg.const(1.0), xs)
        f = mg.function([xs, b], [last, ys, mg.grad(mg.sum(ys * ys), b)], simplify=False)
        product, given, slope = f([1.0, 2.0, 4.0], 5.0)
        assert product == 8.0
        assert given.tolist() == [value] * 3
        assert slope == pytest.approx({5.0: 30.0, 26.0: 1560.0, 2.0: 0.0}[value])
