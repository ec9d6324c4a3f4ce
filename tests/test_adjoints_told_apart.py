"""Adjoints within loops: what is connected, which loop a node is of, and which loops are one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

import minigrad as mg
from minigrad.errors import GraphError


def _eval(expr: mg.Expr, at: dict[str, Any]) -> np.ndarray:
    """The value of an expression, of more values than it asks for."""
    names = {v.name for v in mg.toposort(expr) if v.op.name == "var"}
    return np.asarray(expr.eval({n: value for n, value in at.items() if n in names}))


def test_what_is_not_connected_is_zero_and_said_to_be_so() -> None:
    made: dict[str, mg.Expr] = {}

    def step(carry: Any, x: mg.Expr) -> Any:
        a, n = carry
        made.update(dead=mg.exp(x), stopped=mg.tanh(x), live=x * a, count=n + 1)
        made["new"] = made["live"] + mg.stop_gradient(made["stopped"])
        return (made["new"], made["count"]), made["dead"]

    (last, _), _ = mg.scan(step, (mg.var("a"), mg.const(0)), mg.var("x", (3,)))
    adj = mg.adjoints(last)
    assert adj.connected(made["live"]).tolist() == [True] * 3
    for name in ("dead", "stopped", "count"):
        assert adj.connected(made[name]).tolist() == [False] * 3, name
        assert adj.get(made[name]) is None
        assert adj[made[name]].eval().tolist() == [0, 0, 0]
    assert _eval(adj.value(made["count"]), {"a": 1.0, "x": np.ones(3)}).tolist() == [1, 2, 3]
    assert adj.value(made["count"]).dtype == np.int64


@pytest.mark.parametrize("checkpoint", [None, 2])
@pytest.mark.parametrize("outside", [True, False])
def test_what_is_read_of_a_loop_that_nothing_comes_back_to_is_nothing(
    outside: bool, checkpoint: int | None
) -> None:
    """Nothing to either of two loops, of two carries each, or to the inner one alone."""

    def inner(carry: Any, x: mg.Expr) -> Any:
        return ((carry[0] * x).named("p"), (carry[1] + x).named("q")), None

    def outer(carry: Any, x: mg.Expr) -> Any:
        (p, q), _ = mg.scan(inner, carry, x, checkpoint=checkpoint)
        return ((mg.floor(p) + x[0]).named("a"), mg.floor(q).named("b")), None

    xs = mg.var("xs", (2, 3))
    (a, _), _ = mg.scan(outer, (mg.const(1.0), mg.const(1.0)), xs)
    adj = mg.adjoints(xs[0, 0] + (mg.stop_gradient(a) if outside else a))
    for name, steps in {"a": (2,), "b": (2,), "p": (2, 3), "q": (2, 3)}.items():
        back = not outside and name in "ab"
        assert (adj.get(name) is not None, bool(adj.edges(name))) == (back, back), name
        both = (*adj.split(name, through=["q"]), *adj.along([name])[0])
        assert [part.shape for part in (adj[name], *both)] == [steps] * 5, name


def test_a_path_that_opens_late_is_told_step_by_step() -> None:
    """b reaches y through a alone, a step later: of b's last value nothing is read."""
    made: dict[str, mg.Expr] = {}

    def step(carry: Any, x: mg.Expr) -> Any:
        a, b = carry
        made.update(a=a * b, b=b + x)
        return (made["a"], made["b"]), None

    (last, _), _ = mg.scan(step, (mg.var("a"), mg.var("b")), mg.var("x", (3,)))
    adj = mg.adjoints(last)
    assert adj.connected(made["a"]).tolist() == [True, True, True]
    assert adj.connected(made["b"]).tolist() == [True, True, False]
    assert adj.connected(mg.var("b")) is True


def test_a_start_that_nothing_reads_is_not_connected_unless_no_step_is_run() -> None:
    def last(length: int) -> mg.Expr:
        start = mg.var("a"), mg.var("b")
        (_, b), _ = mg.scan(
            lambda c, x: ((c[0] * x, mg.sin(x)), None), start, mg.var("x", (length,))
        )
        return b

    adj = mg.adjoints(last(3))
    assert adj.get(mg.var("b")) is None and adj.connected(mg.var("b")) is False
    adj = mg.adjoints(last(0))
    assert adj[mg.var("b")].eval({"x": np.zeros(0), "a": 1.0, "b": 2.0}) == 1
    assert adj.connected(mg.var("b")) is True and adj.connected(mg.var("a")) is False


@pytest.mark.parametrize("checkpoint", [None, 2, 3])
def test_where_truncation_cuts_nothing_is_connected(checkpoint: int | None) -> None:
    made: dict[str, mg.Expr] = {}

    def step(c: mg.Expr, x: mg.Expr) -> Any:
        made["new"] = mg.tanh(c) * x
        return made["new"], None

    x = mg.var("x", (5,))
    last, _ = mg.scan(step, mg.var("c"), x, truncate=2, checkpoint=checkpoint)
    adj = mg.adjoints(last)
    # Steps 2 and 4 do not pass what comes back to their carry.
    assert adj.connected(made["new"]).tolist() == [False] * 4 + [True]
    assert adj.connected(mg.var("c")) is False


def test_loops_of_one_step_are_told_apart_by_its_nodes_and_by_places() -> None:
    made: list[mg.Expr] = []

    def step(c: mg.Expr, x: mg.Expr) -> Any:
        made.append((c * x).named("f"))
        return made[-1], c

    x = mg.var("x", (3,))
    _first, ys = mg.scan(step, mg.const(1.0), x)
    second, _ = mg.scan(step, mg.const(2.0), ys)
    adj = mg.adjoints(second)
    at = {"x": [2.0, 3.0, 5.0]}
    # ys = 1, 2, 6; y = 2 · 1 · 2 · 6
    assert _eval(adj.value(made[0]), at).tolist() == [2, 6, 30]
    assert _eval(adj.value(made[1]), at).tolist() == [2, 4, 24]
    assert _eval(adj[made[1]], at).tolist() == [12, 6, 1]
    with pytest.raises(GraphError, match="the name 'f' is in 2 places"):
        adj["f"]
    assert [_eval(adj.value(p), at).tolist() for p in adj.places("f")] == [[2, 6, 30], [2, 4, 24]]
    through, around = adj.split(mg.var("x", (3,)), [adj.places("f")[0]])
    assert _eval(around, at).tolist() == [0, 0, 0]
    assert_allclose(_eval(through, at), _eval(mg.grad(second, mg.var("x", (3,))), at))


def test_loops_that_differ_in_their_results_only_have_one_adjoint() -> None:
    made: list[mg.Expr] = []

    def step(k: float, c: mg.Expr, x: mg.Expr) -> Any:
        made.append(mg.tanh(c) * x)
        return made[-1], k * made[-1]

    x, c = mg.var("x", (3,)), mg.var("c")
    (_, one), (_, two) = (mg.scan(lambda c, x, k=k: step(k, c, x), c, x) for k in (2.0, 3.0))
    y = mg.sum(one * one) + mg.sum(two)
    plain: list[mg.Expr] = []
    now = c
    for t in range(3):
        now = mg.tanh(now) * x[t]
        plain.append(now)
    unrolled = mg.adjoints(mg.sum(sum(4.0 * p * p + 3.0 * p for p in plain)))
    at = {"x": [0.4, 0.7, -0.2], "c": 0.9}
    adj = mg.adjoints(y)
    expected = [_eval(unrolled[p], at) for p in plain]
    for node in made:
        assert_allclose(_eval(adj[node], at), expected, rtol=1e-13)
        total = _eval(sum(adj.edges(node).values()), at)
        assert_allclose(total, expected, rtol=1e-13)


def test_of_second_derivatives_too() -> None:
    """y = (∂c₃/∂x₀)², c ← tanh(c · x): the node is in a loop, and in loops of its derivative."""
    made: list[mg.Expr] = []

    def step(c: mg.Expr, x: mg.Expr) -> Any:
        made.append(mg.tanh(c * x))
        return made[-1], None

    x = mg.var("x", (3,))
    last, _ = mg.scan(step, mg.const(0.9), x)
    y = mg.sum(mg.grad(last, x) ** 2) + last
    at = {"x": [0.4, 0.7, -0.2]}
    # What is added to the node moves y as the adjoint says.
    bump, eps = mg.var("bump", (3,)), 1e-6
    moved, _ = mg.scan(
        lambda c, x: (mg.tanh(c * x["x"]) + x["b"], None), mg.const(0.9), {"x": x, "b": bump}
    )
    y_moved = mg.sum(mg.grad(moved, x) ** 2) + moved
    want = [
        (y_moved.eval(at | {"bump": e}) - y_moved.eval(at | {"bump": -e})) / (2 * eps)
        for e in eps * np.eye(3)
    ]
    assert_allclose(_eval(y, at), y_moved.eval(at | {"bump": np.zeros(3)}), rtol=1e-12)
    adj = mg.adjoints(y)
    # The loop of the value and the one that gives residuals too are one.
    assert len(adj.places(made[0])) == 1
    assert_allclose(_eval(adj[made[0]], at), want, rtol=1e-6)


def test_the_same_steps_from_the_other_end_and_fewer_of_them_are_other_loops() -> None:
    made: list[mg.Expr] = []

    def step(c: mg.Expr, x: mg.Expr) -> Any:
        made.append((c * x).named("f"))
        return made[-1], made[-1]

    x = mg.var("x", (3,))
    ys = [mg.scan(step, mg.const(1.0), x, reverse=reverse)[1] for reverse in (False, True)]
    adj, at = mg.adjoints(ys[0][1] + ys[1][1]), {"x": [2.0, 3.0, 5.0]}
    assert adj.value(made[0]).eval(at).tolist() == [2, 6, 30]
    assert adj.value(made[1]).eval(at).tolist() == [30, 15, 5]
    assert adj[made[0]].eval(at).tolist() == [3, 1, 0]
    assert adj[made[1]].eval(at).tolist() == [0, 1, 3]
    assert len(adj.places("f")) == 2

    def grow(c: mg.Expr, _: None) -> Any:
        made.append(2.0 * c)
        return made[-1], None

    ends = [mg.scan(grow, mg.var("c"), length=length)[0] for length in (2, 3)]
    adj = mg.adjoints(ends[0] + 10.0 * ends[1])
    assert _eval(adj[made[2]], {"c": 1.0}).tolist() == [2, 1]
    assert _eval(adj[made[3]], {"c": 1.0}).tolist() == [40, 20, 10]


def test_a_loop_that_goes_on_from_one_of_the_same_step_is_another() -> None:
    """Segments of one loop are one stack; those of the loop after it are not."""
    made: list[mg.Expr] = []

    def step(c: mg.Expr, x: mg.Expr) -> Any:
        made.append(c * x)
        return made[-1], None

    x = mg.var("x", (7,))
    half, _ = mg.scan(step, mg.const(1.0), x[:5], checkpoint=3)
    last, _ = mg.scan(step, half, x[5:], checkpoint=3)
    adj, at = mg.adjoints(last), {"x": np.arange(1.0, 8.0)}
    assert adj.value(made[0]).eval(at).tolist() == [1, 2, 6, 24, 120]
    assert adj.value(made[1]).eval(at).tolist() == [720, 5040]
    assert adj[made[1]].eval(at).tolist() == [7, 1]


def test_an_edge_is_told_by_a_position_that_there_is() -> None:
    x = mg.var("x")
    adj = mg.adjoints((x * 2).named("twice"))
    assert adj.edge("twice", np.int64(0)) is adj.edge("twice", 0)
    for position in ("0", None, 0.0):
        with pytest.raises(mg.DTypeError, match="position of an argument must be an integer"):
            adj.edge("twice", position)
    for position in (-1, 2):
        with pytest.raises(mg.GraphError, match="has no argument"):
            adj.edge("twice", position)
