"""Adjoints within loops against closed forms; what is told apart, and what is an error."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import minigrad as mg
from minigrad.errors import GraphError, MinigradError

# --- closed forms ------------------------------------------------------------------------------


def _doubling(length: int, **options: Any) -> tuple[mg.Adjoints, dict[str, mg.Expr], mg.Expr]:
    """c ← (f = x_t) · c + (g = u · c), y = the last c: ∂y/∂c_t is the product of x + u after t."""
    made: dict[str, mg.Expr] = {}
    x, u = mg.var("x", (length,)), mg.var("u")

    def step(c: mg.Expr, x: mg.Expr) -> tuple[mg.Expr, None]:
        made.update(c=c, x=x, line=(x * c).named("line"), side=(u * c).named("side"))
        made["new"] = (made["line"] + made["side"]).named("C")
        return made["new"], None

    last, _ = mg.scan(step, mg.const(1.0), x, **options)
    return mg.adjoints(last), made, last


X = np.array([0.5, 2.0, -1.0, 3.0])
U = 0.25


def _at(adj: mg.Adjoints) -> dict[str, Any]:
    return {v.name: {"x": X, "u": U}[v.name] for v in adj.order if v.op.name == "var"}


def _eval(expr: mg.Expr, at: dict[str, Any]) -> np.ndarray:
    """The value of an expression, of more values than it asks for."""
    names = {v.name for v in mg.toposort(expr) if v.op.name == "var"}
    return np.asarray(expr.eval({n: value for n, value in at.items() if n in names}))


def test_by_hand() -> None:
    adj, made, _ = _doubling(4)
    at = _at(adj)
    factors = X + U
    after = np.array([factors[t + 1 :].prod() for t in range(4)])
    before = np.array([factors[:t].prod() for t in range(4)])
    assert_allclose(_eval(adj["C"], at), after, rtol=1e-15)
    assert_allclose(_eval(adj[made["new"]], at), after, rtol=1e-15)
    assert_allclose(_eval(adj[made["c"]], at), after * factors, rtol=1e-15)
    assert_allclose(_eval(adj[made["x"]], at), after * before, rtol=1e-15)
    assert_allclose(_eval(adj.value("C"), at), before * factors, rtol=1e-15)
    assert_allclose(_eval(adj.value(made["c"]), at), before, rtol=1e-15)
    assert _eval(adj.value(made["x"]), at).tolist() == X.tolist()
    assert_allclose(_eval(adj.edge("line", 1), at), after * X, rtol=1e-15)
    assert_allclose(_eval(adj.edge("side", 0), at), after * before, rtol=1e-15)  # u, step by step
    assert_allclose(_eval(adj.edge("side", 1), at), after * U, rtol=1e-15)


def test_the_part_along_the_line_is_the_product_of_its_factors() -> None:
    adj, _, _ = _doubling(4)
    at = _at(adj)
    around, along = (
        adj.split("C", through=["side"]),
        np.array([X[t + 1 :].prod() for t in range(4)]),
    )
    assert_allclose(_eval(around[1], at), along, rtol=1e-15)
    assert_allclose(_eval(around[0], at), _eval(adj["C"], at) - along, rtol=1e-14, atol=1e-14)
    # Of x_t, what goes on along the line is that times the c before it.
    _, line = adj.split(mg.var("x", (4,)), through=["side"])
    before = np.array([(X + U)[:t].prod() for t in range(4)])
    assert_allclose(_eval(line, at), along * before, rtol=1e-15)


def test_uses_of_a_node_with_what_the_loop_takes_of_it() -> None:
    adj, made, last = _doubling(4)
    at = _at(adj)
    (loop,) = adj.places("C")[0].loops
    assert last.args == (loop,)
    edges = adj.edges("C")
    assert [(use is loop, position) for use, position in edges] == [(True, 0)]
    assert_allclose(_eval(edges[loop, 0], at), _eval(adj["C"], at), rtol=1e-15)
    uses = adj.edges(made["c"])
    assert [user.name for user, _ in uses] == ["line", "side"]


@pytest.mark.parametrize("options", [{"checkpoint": 3}, {"checkpoint": True}, {"checkpoint": 1}])
def test_segments_read_as_one_stack(options: dict[str, Any]) -> None:
    adj, _made, _ = _doubling(4, **options)
    plain, _, _ = _doubling(4)
    at = _at(adj)
    for read in (
        lambda a: a["C"],
        lambda a: a.value("line"),
        lambda a: a.edge("side", 0),
        lambda a: a.split("C", ["line"])[0],
    ):
        assert_array_equal(_eval(read(adj), at), _eval(read(plain), at))
    assert adj.connected("C").tolist() == [True] * 4


def test_no_steps_and_one_step() -> None:
    for length in (0, 1):
        adj, _made, _ = _doubling(length)
        at = {v.name: np.full(v.shape, 2.0) for v in adj.order if v.op.name == "var"}
        assert _eval(adj["C"], at).tolist() == [1.0] * length
        assert adj.value("C").shape == (length,)
        assert _eval(adj.edge("line", 1), at).shape == (length,)
        assert adj.connected("C").tolist() == [True] * length
        assert [part.shape for part in adj.split("C", ["line"])] == [(length,)] * 2
        assert _eval(adj.split("line", ["C"])[0], at).tolist() == [1.0] * length


@pytest.mark.parametrize("checkpoint", [None, True])
def test_a_batch_of_nothing(checkpoint: bool | None) -> None:

    def step(c: mg.Expr, x: mg.Expr) -> Any:
        c = mg.tanh(c * x).named("C")
        return c, None

    x = mg.var("x", (4, 0))
    adj = mg.adjoints(mg.sum(mg.scan(step, mg.zeros(0), x, checkpoint=checkpoint)[0]))
    for read in (adj.value("C"), adj["C"], *adj.split("C", ["C"])):
        assert _eval(read, {"x": np.zeros((4, 0))}).shape == (4, 0)


def test_a_node_that_is_carried_and_given_out_has_both_uses() -> None:
    """h ← tanh(h · x), given out too: of each, the loop's own use is told."""
    made: dict[str, mg.Expr] = {}

    def step(h: mg.Expr, x: mg.Expr) -> Any:
        made["h"] = mg.tanh(h * x)
        return made["h"], (made["h"], 2.0 * made["h"])

    x = mg.var("x", (2,))
    last, (hs, doubled) = mg.scan(step, mg.const(0.5), x)
    adj = mg.adjoints(5.0 * last + mg.sum(hs * [3.0, 7.0]) + mg.sum(doubled))
    at = {"x": [0.4, 0.9]}
    h0 = np.tanh(0.2)
    slope = 0.9 * (1 - np.tanh(0.9 * h0) ** 2)
    (loop,) = adj.places(made["h"])[0].loops
    edges = {
        (use is loop, position): _eval(term, at)
        for (use, position), term in adj.edges(made["h"]).items()
    }
    assert edges.keys() == {(False, 1), (True, 0), (True, 1)}
    assert_allclose(edges[True, 0], [slope * (5 + 7 + 2), 5])  # the next step, and the last carry
    assert_allclose(edges[True, 1], [3, 7])
    assert_allclose(edges[False, 1], [2, 2])
    assert_allclose(_eval(adj[made["h"]], at), sum(edges.values()))


# --- errors ------------------------------------------------------------------------------------


def test_what_is_not_there_is_an_error_that_says_what_is() -> None:
    adj, _made, _ = _doubling(4)
    for read in (
        lambda what: adj[what],
        adj.value,
        adj.connected,
        adj.edges,
        lambda what: adj.edge(what, 0),
        lambda what: adj.split(what, ["C"]),
        lambda what: adj.split("C", [what]),
    ):
        with pytest.raises(GraphError, match="no node is named 'nothing'; there are 'C', 'line'"):
            read("nothing")
    with pytest.raises(GraphError, match=r"line.* has no argument 2"):
        adj.edge("line", 2)
    with pytest.raises(MinigradError, match="a node or its name"):
        adj[3]  # type: ignore[index]
    _, made_there, _ = _doubling(4, truncate=2)
    with pytest.raises(GraphError, match="not part of the graph, nor of a step of its loops"):
        adj[made_there["new"]]
    dead: list[mg.Expr] = []
    last, _ = mg.scan(
        lambda c, x: (dead.append(c * 2) or c + x, None), mg.const(0.0), mg.var("x", (3,))
    )
    with pytest.raises(GraphError, match="nor of a step"):
        mg.adjoints(last)[dead[0]]
    assert mg.adjoints(last)[mg.var("elsewhere")].eval() == 0


# --- padding, names, memory ----------------------------------------------------------------------


def test_what_padding_holds_comes_back_nowhere() -> None:
    """Steps 1 and 3 are padding and hold NaN; the step passes them with `where`."""
    made: dict[str, mg.Expr] = {}
    x, w, keep = mg.var("x", (4,)), mg.var("w"), mg.var("keep", (4,), "bool")

    def step(c: mg.Expr, now: dict[str, mg.Expr]) -> Any:
        made.update(inner=mg.tanh(w * now["x"]), new=c * mg.tanh(w * now["x"]))
        made["c"] = mg.where(now["keep"], made["new"], c)
        return made["c"], made["c"]

    _, ys = mg.scan(step, mg.const(2.0), {"x": x, "keep": keep})
    adj = mg.adjoints(mg.sum(ys))
    at = {"x": [0.5, np.nan, 0.25, np.nan], "w": 1.5, "keep": [True, False, True, False]}
    t = np.tanh([0.75, 0.375])  # y = 2 t₀ (1 + 1 + 2 t₁), of steps 0, 1 and of 2, 3
    assert_allclose(_eval(adj[made["inner"]], at), [2 * (2 + 2 * t[1]), 0, 4 * t[0], 0])
    assert_allclose(_eval(adj[made["c"]], at), [2 + 2 * t[1], 1 + 2 * t[1], 2, 1])
    through, around = adj.split(made["inner"], [made["new"]])
    assert_allclose(_eval(through, at), [2 * (2 + 2 * t[1]), 0, 4 * t[0], 0])
    assert _eval(around, at).tolist() == [0] * 4
    for part in (*adj.split(w, [made["c"]]), adj.edge(made["inner"].args[0], 0)):
        assert np.isfinite(_eval(part, at)).all()


def test_at_steps_of_which_nobody_reads_the_result_nothing_comes_back() -> None:
    """The log of step 0 is infinite, and so is its slope; what is read is step 1."""
    made: dict[str, mg.Expr] = {}

    def step(c: mg.Expr, x: mg.Expr) -> Any:
        made["z"] = x * 2.0
        return c, mg.log(made["z"])

    _, ys = mg.scan(step, mg.const(0.0), mg.var("x", (2,)))
    adj, at = mg.adjoints(ys[1]), {"x": [0.0, 4.0]}
    assert _eval(adj[made["z"]], at).tolist() == [0, 0.125]
    assert _eval(adj.edge(made["z"], 0), at).tolist() == [0, 0.25]
    for part, want in zip(adj.split(made["z"], []), ([0, 0], [0, 0.125]), strict=True):
        assert _eval(part, at).tolist() == want


def test_a_body_of_which_the_derivative_is_stabilised_is_read_as_written() -> None:
    """log(sigmoid(z)) is -softplus(-z) where it is differentiated; its sigmoid is there to read."""
    made: dict[str, mg.Expr] = {}

    def step(c: mg.Expr, x: mg.Expr) -> Any:
        made["s"] = mg.sigmoid(c + x)
        return c + mg.log(made["s"]), None

    x = mg.var("x", (2,))
    last, _ = mg.scan(step, mg.const(0.0), x)
    adj, at = mg.adjoints(last), {"x": [0.3, -0.7]}
    s0 = 1 / (1 + np.exp(-0.3))
    s1 = 1 / (1 + np.exp(0.7 - np.log(s0)))
    assert_allclose(_eval(adj.value(made["s"]), at), [s0, s1], rtol=1e-14)
    assert_allclose(_eval(adj[made["s"]], at), [(2 - s1) / s0, 1 / s1], rtol=1e-14)
    # Where sigmoid is 0, its adjoint is infinite; what goes on is what a derivative passes on.
    far = {"x": [0.3, -800.0]}
    assert_allclose(_eval(adj[made["s"]], far), [2 / s0, np.inf])
    assert_allclose(_eval(adj[x], far), _eval(mg.grad(last, x), far))


def test_a_name_that_is_given_after_the_loop_was_made_counts() -> None:
    made: list[mg.Expr] = []
    x = mg.var("x", (3,))
    last, _ = mg.scan(lambda c, x: (made.append(c * x) or made[-1], None), mg.const(1.0), x)
    made[0].named("late")
    assert mg.adjoints(last).value("late").eval({x: [2, 3, 4]}).tolist() == [2, 6, 24]


def test_a_single_node_or_name_is_a_set_of_one() -> None:
    adj, made, _ = _doubling(4)
    for through in ("side", made["side"], adj.places("side")[0]):
        parts, want = adj.split("C", through), adj.split("C", ["side"])
        for a, b in zip(parts, want, strict=True):
            assert_array_equal(_eval(a, _at(adj)), _eval(b, _at(adj)))


def test_all_that_is_asked_of_a_loop_is_one_loop_each_way_when_compiled() -> None:
    adj, made, last = _doubling(50)
    x = mg.var("x", (50,))
    asked = [mg.grad(last, x), adj["C"], adj.value("line"), *adj.edges(made["c"]).values()]
    f = mg.function(adj_inputs := [x, mg.var("u")], asked)
    assert sum(n.op.name == "scan" for n in mg.toposort(f.outputs)) == 2
    f = mg.function(adj_inputs, [*asked, *adj.split("C", ["side"]), *adj.split("x", ["side"])])
    assert sum(n.op.name == "scan" for n in mg.toposort(f.outputs)) == 3


def test_a_long_loop_is_not_written_out() -> None:
    adj, _, _ = _doubling(100_000)
    asked = [adj["C"], adj.value("C"), *adj.split("C", ["side"])]
    assert len(mg.toposort(asked)) < 200
    assert adj.connected("C").all() and adj.connected("C").shape == (100_000,)
