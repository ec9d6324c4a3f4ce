"""Truncated back-propagation through time: against plain nodes with stops, and against NumPy."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from test_scan import B, H, assert_same_to_second_order, leaves, random_body

import minigrad as mg
from minigrad.graph.node import OPS

T = 7
OPTIONS = [{}, {"checkpoint": True}, {"checkpoint": 2}, {"checkpoint": 5}, {"unroll": True}]


def order(reverse):
    return range(T - 1, -1, -1) if reverse else range(T)


def rnn(v, loop, **options):
    """A loss of all states and of the last one; loop is mg.scan or one by hand."""
    last, hs = loop(
        lambda h, x: (mg.tanh(h @ v["W"] + x), h * x), v["h"], v["xs"], **options
    )  # ys read what enters a step
    return mg.sum(last * last) + mg.sum(mg.sin(hs))


def variables():
    rng = np.random.default_rng(5)
    shapes = {"W": (H, H), "h": (B, H), "xs": (T, B, H)}
    v = {n: mg.var(n, shape) for n, shape in shapes.items()}
    return v, {x: rng.uniform(-0.9, 0.9, x.shape) for x in v.values()}


def by_hand(step, carry, xs, reverse=False, truncate=None):
    """The loop of a person who writes it out, with stops between the segments."""
    ys = {}
    for n, t in enumerate(order(reverse)):
        if truncate and n and n % truncate == 0:
            carry = mg.stop_gradient(carry)
        carry, ys[t] = step(carry, xs[t])
    return carry, mg.stack([ys[t] for t in range(T)])


def to_second_order(y):
    """A loss's value, and its derivatives of both orders."""
    v, at = variables()
    wrt = list(v.values())
    direction = [np.cos(np.arange(w.size)).reshape(w.shape) for w in wrt]
    return mg.eval([y, *mg.grad(y, wrt), mg.jvp(y, wrt, direction), *mg.hvp(y, wrt, direction)], at)


@functools.cache
def of_plain_nodes(k, reverse):
    """The same of the loop written out, cut after k steps or not at all."""
    return to_second_order(rnn(variables()[0], by_hand, reverse=reverse, truncate=k))


@pytest.mark.slow
@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize(("k", "reverse"), [(k, bool(k % 2)) for k in range(1, T + 2)])
def test_it_is_the_loop_with_stops_to_second_order(k, reverse, options):
    v, _ = variables()
    found = to_second_order(rnn(v, mg.scan, reverse=reverse, truncate=k, **options))
    expected, whole = of_plain_nodes(k, reverse), of_plain_nodes(None, reverse)
    for a, b in zip(found, expected, strict=True):
        assert_allclose(a, b, rtol=1e-11, atol=1e-13)
    assert_allclose(found[0], whole[0], rtol=1e-14)  # the value is that without
    assert np.allclose(found[1], whole[1]) == (k >= T)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("k", [1, 3, 4])
@pytest.mark.parametrize("backend", ["numpy", "native"])
def test_the_gradient_is_that_of_segments_that_start_anew(k, reverse, backend):
    """NumPy's differences of a sum over segments, each from a state that stays as it was."""
    if backend == "native":
        pytest.importorskip("llvmlite")
    v, at = variables()
    y = rnn(v, mg.scan, reverse=reverse, truncate=k)
    W, h, xs = at.values()
    gradient = mg.function(list(v.values()), mg.grad(y, v["W"]), backend=backend)(W, h, xs)

    def states(W, starts=None):
        """The states that enter steps, and the last; at stops those of `starts`, if given."""
        enter = [h]
        for n, t in enumerate(order(reverse)):
            if starts and n and n % k == 0:
                enter[-1] = starts[n]
            enter.append(np.tanh(enter[-1] @ W + xs[t]))
        return enter

    def loss(W):
        enter = states(W, states(at[v["W"]]))
        terms = zip(enter[:-1], order(reverse), strict=True)
        return np.sum(enter[-1] ** 2) + sum(np.sum(np.sin(e * xs[t])) for e, t in terms)

    for i in range(H):
        for j in range(H):
            step = np.zeros((H, H))
            step[i, j] = 1e-6
            slope = (loss(W + step) - loss(W - step)) / 2e-6
            assert_allclose(gradient[i, j], slope, rtol=1e-7, atol=1e-8)


@settings(max_examples=settings.default.max_examples // 4)  # each is differentiated for 0.2 s
@given(st.data())
@pytest.mark.slow
def test_any_step_is_cut_as_its_plain_nodes_are(data):
    body = random_body(data.draw)
    k = data.draw(st.integers(1, 5))
    reverse = data.draw(st.booleans())
    checkpoint = data.draw(st.sampled_from([None, True, 2, 3]))
    v, at = leaves()

    def loss(**options):
        start = {"a": v["h0"], "b": mg.zeros((B, H))}
        last, (y, z) = mg.scan(body(v), start, v["xs"], reverse=reverse, truncate=k, **options)
        return mg.sum(last["a"] * last["b"]) + mg.sum(y) + mg.sum(z * z)

    loop, plain = loss(checkpoint=checkpoint), loss(unroll=True)
    assert_same_to_second_order(loop, plain, v, at)


def test_integers_of_the_carry_go_on():
    start = (mg.const(0), mg.const(1.0), mg.const(True))
    (n, c, b), _ = mg.scan(
        lambda s, x: ((s[0] + 1, s[1] * x, mg.logical_not(s[2])), None), start, mg.full(5, 2.0),
        truncate=2,
    )  # fmt: skip
    assert (n.eval(), c.eval(), b.eval()) == (5, 32.0, False)


def test_a_loop_without_inputs_and_one_without_steps():
    w = mg.var("w")
    last, _ = mg.scan(lambda c, _: (c * w, None), mg.const(1.0), length=5, truncate=3)
    assert mg.grad(last, w).eval({w: 2.0}) == 2 * 2.0 * 2**3  # w⁵, of which w³ is a number
    last, ys = mg.scan(lambda c, x: (c * x, c), w, mg.zeros(0), truncate=3)
    assert mg.grad(last, w).eval({w: 2.0}) == 1
    assert ys.shape == (0,)


def test_many_loops_at_once_are_cut_alike():
    v, at = variables()
    W = np.stack([at[v["W"]], -at[v["W"]], 0.5 * at[v["W"]]])
    Ws = mg.var("Ws", W.shape)

    def gradient(w):
        return mg.grad(rnn(v | {"W": w}, mg.scan, truncate=3), v["h"])

    rest = {v["h"]: at[v["h"]], v["xs"]: at[v["xs"]]}
    found = mg.vmap(gradient)(Ws).eval({Ws: W, **rest})
    for k in range(3):
        assert_allclose(found[k], gradient(v["W"]).eval({v["W"]: W[k], **rest}), rtol=1e-12)


def test_files_keep_the_cuts():
    v, _ = variables()
    y = rnn(v, mg.scan, truncate=3)
    assert mg.loads(mg.dumps(y)) is y


def test_no_truncation_is_the_loop_without():
    v, _ = variables()
    for k in (T, T + 1, np.int64(100)):
        assert rnn(v, mg.scan, truncate=k) is rnn(v, mg.scan)


def test_a_cut_loop_runs_the_same_code_forward():
    pytest.importorskip("llvmlite")
    v, _ = variables()
    cut, plain = (
        mg.function(list(v.values()), rnn(v, mg.scan, **options), backend="native")
        for options in ({"truncate": 2}, {})
    )
    (one,), (other,) = (
        [n.attrs[0].body for n in mg.toposort(f.outputs) if n.op.name == "scan"]
        for f in (cut, plain)
    )
    assert one is other
    step = mg.function(
        list(v.values()), mg.grad(rnn(v, mg.scan, truncate=2), v["W"]), backend="native"
    )
    bodies = [n.attrs[0].body for n in mg.toposort(step.outputs) if n.op.name == "scan"]
    held = {n.op.name for body in bodies for n in mg.toposort(body.outputs)}
    assert "stop_gradient" in OPS
    assert "stop_gradient" not in held
    assert "note" not in step.report()


def test_unrolled_for_drawing_a_stop_stands_where_it_cuts():
    x = mg.var("x", (5,))
    last, _ = mg.scan(lambda c, x: (c + x, None), mg.const(0.0), x, truncate=2, unroll=True)
    names = [n.op.name for n in mg.toposort(last)]
    assert names.count("stop_gradient") == 2
    assert "where" not in names


@pytest.mark.parametrize("k", [0, -1, True, False, 2.0, "2"])
def test_what_is_no_number_of_steps_is_refused(k):
    with pytest.raises(mg.ShapeError, match="truncate= is a whole number of steps, at least 1"):
        mg.scan(lambda c, x: (c + x, c), mg.const(0.0), mg.zeros(3), truncate=k)


def test_a_mistake_in_the_step_is_told_as_without():
    with pytest.raises(mg.ShapeError, match="carry changes its type"):
        mg.scan(lambda c, x: (c + x, c), mg.zeros(2), mg.zeros((5, 3, 2)), truncate=2)
    with pytest.raises(mg.ShapeError, match="xs: 4, length: 5"):
        mg.scan(lambda c, x: (c + x, c), 0.0, mg.zeros(4), length=5, truncate=2)


def test_infinite_slopes_beyond_the_cut_leave_no_trace():
    x = mg.var("x", (4,))
    last, _ = mg.scan(lambda c, x: (mg.sqrt(c) * x, None), mg.const(1.0), x, truncate=2)
    at = {x: [1.0, 0.0, 3.0, 1.0]}  # √0 at step 2, whose slope is infinite
    assert_array_equal(mg.grad(last, x).eval(at)[:2], [0, 0])
