"""Chains of nodes within loops: their two parts, cancellation and kinds, beside the same graph
written out, where each link's share is a product of Jacobians taken one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

import minigrad as mg

X, W, V = mg.var("x", (2, 3, 2)), mg.var("W", (2, 2)), mg.var("v", (2,))
AT = {v: np.random.default_rng(k).standard_normal(v.shape) * 0.7 for k, v in enumerate((X, W, V))}
Step = Callable[[Any, Any], tuple[Any, Any]]


def lstm_like(state: Any, x: mg.Expr) -> tuple[Any, mg.Expr]:
    """Two carries, a constant of the loop that depends on what is before it, an output a step."""
    h, c = state
    f = mg.sigmoid(h @ W + x)
    c = (f * c + 0.3 * mg.tanh(x * V)).named("c")
    h = (mg.tanh(c) * mg.sigmoid(x + 0.5 * h)).named("h")
    return (h, c), h * x


def written_out(step: Step, state: Any, rows: Sequence[mg.Expr], reverse: bool = False) -> Any:
    """`mg.scan` as a loop of Python's."""
    outputs = {}
    for t in reversed(range(len(rows))) if reverse else range(len(rows)):
        state, outputs[t] = step(state, rows[t])
    return state, mg.stack([outputs[t] for t in range(len(rows))])


def recording(step: Step, nodes: list[mg.Expr], what: Sequence[int]) -> Step:
    """The step, which notes parts of the state that it makes."""

    def noted(state: Any, x: Any) -> tuple[Any, Any]:
        new, y = step(state, x)
        nodes.extend(new[k] for k in what)
        return new, y

    return noted


def expected(y: mg.Expr, nodes: Sequence[mg.Expr]) -> tuple[list[Any], list[Any]]:
    """∂y/∂node of each, and of it what came by all later ones: J₁ᵀ J₂ᵀ … ∂y/∂last."""
    wholes = [mg.grad(mg.sum(y), node) for node in nodes]
    along = [wholes[-1]]
    for below, above in zip(nodes[-2::-1], nodes[:0:-1], strict=True):
        along.append(mg.vjp(above, below, along[-1]))
    return mg.eval((wholes, along[::-1]), AT)


def check(chain: mg.Chain, y: mg.Expr, nodes: Sequence[mg.Expr], uses: bool = True) -> None:
    """uses: whether each use of a node written out is one in the loop, too."""
    wholes, along = expected(y, nodes)
    assert len(chain.names) == len(nodes)
    np.testing.assert_allclose(chain.values, mg.eval([*nodes], AT), rtol=1e-12)
    np.testing.assert_allclose(chain.adjoints, wholes, rtol=1e-10, atol=1e-14)
    norms = [np.linalg.norm(part) for part in along]
    np.testing.assert_allclose(chain.along.norms, norms, rtol=1e-10, atol=1e-14)
    rest = [np.linalg.norm(a - b) for a, b in zip(wholes, along, strict=True)]
    np.testing.assert_allclose(chain.around.norms, rest, rtol=1e-8, atol=1e-13)
    if uses:
        fan = mg.flow(y, nodes, AT)
        np.testing.assert_allclose(chain.cancellation, fan.cancellation, rtol=1e-10)


START = (mg.tanh(V), 0.5 * V)
LOSSES: dict[str, Callable[..., mg.Expr]] = {
    "last": lambda h, c, ys: mg.sum(h * h) + mg.sum(c),
    "every step": lambda h, c, ys: mg.sum(mg.sin(ys)) + mg.sum(c),
    "one step": lambda h, c, ys: mg.sum(ys[1]) - mg.sum(h),
}


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(
    "kind", [{}, {"reverse": True}, {"checkpoint": 2}, {"checkpoint": 2, "reverse": True}]
)
def test_one_part_of_the_state_of_a_loop(kind, loss) -> None:
    """Of five steps, so that the last segment is shorter."""
    x = mg.concat([X[0], X[1, :2]])
    (h, c), ys = mg.scan(lstm_like, START, x, **kind)
    chain = mg.flow(LOSSES[loss](h, c, ys), ["c"], AT)
    nodes: list[mg.Expr] = []
    rows = [x[t] for t in range(5)]
    state, ys = written_out(recording(lstm_like, nodes, [1]), START, rows, "reverse" in kind)
    check(chain, LOSSES[loss](*state, ys), nodes)
    steps = range(5, 0, -1) if "reverse" in kind else range(1, 6)
    assert chain.names == tuple(f"c at {t}" for t in steps)
    assert min(chain.around.norms[:-1]) > 0


def test_two_nodes_of_a_step_are_passed_one_after_the_other() -> None:
    (h, c), ys = mg.scan(lstm_like, START, X[0])
    chain = mg.flow(LOSSES["every step"](h, c, ys), ["c", "h"], AT)
    nodes: list[mg.Expr] = []
    state, ys = written_out(recording(lstm_like, nodes, [1, 0]), START, [*X[0]])
    check(chain, LOSSES["every step"](*state, ys), nodes, uses=False)  # the next step reads h twice
    assert chain.names[:3] == ("c at 1", "h at 1", "c at 2")
    with pytest.raises(mg.GraphError, match="does not depend on"):
        mg.flow(LOSSES["last"](h, c, ys), ["h", "c"], AT)


@pytest.mark.parametrize("outer", [False, True])
@pytest.mark.parametrize("inner", [False, True])
def test_nested_loops(outer, inner) -> None:
    """The rows' steps read the state before the row, too: a constant of the inner loop."""

    def rows_of(loop: Any, step: Step) -> Step:
        def row(state: Any, now: mg.Expr) -> tuple[Any, mg.Expr]:
            def column(s: Any, x: mg.Expr) -> tuple[Any, mg.Expr]:
                return step(s, x + 0.2 * state[1])

            return loop(column, state, now, reverse=inner)

        return row

    (h, c), ys = mg.scan(rows_of(mg.scan, lstm_like), START, X, reverse=outer)
    chain = mg.flow(LOSSES["every step"](h, c, ys), ["c"], AT)
    nodes: list[mg.Expr] = []
    row = rows_of(
        lambda f, s, now, reverse: written_out(f, s, [now[k] for k in range(3)], reverse),
        recording(lstm_like, nodes, [1]),
    )
    state, ys = written_out(row, START, [X[0], X[1]], outer)
    # What a row sends back to the one before is one term, and the row reads it twice.
    check(chain, LOSSES["every step"](*state, ys), nodes, uses=False)


def test_nodes_before_a_loop_and_after_it_stand_beside_its_steps() -> None:
    """What the loop reads at other steps than the first leaves steps out."""

    def net(loop: Any, step: Step) -> tuple[mg.Expr, mg.Expr, mg.Expr]:
        read = mg.tanh(V * W[0]).named("read")
        xs = X[0] + read  # every step reads it
        (h, c), ys = loop(lambda s, x: step(s, x * mg.cos(read)), (h0, read), xs)
        out = mg.tanh(h + c * mg.mean(ys, axis=0)).named("out")
        return mg.sum(out * out) + mg.sum(c), read, out

    h0 = mg.const(np.array([0.1, -0.4]))
    y, *_ = net(mg.scan, lstm_like)
    chain = mg.flow(y, ["read", "c", "out"], AT)
    nodes: list[mg.Expr] = []
    steps = recording(lstm_like, nodes, [1])
    y, read, out = net(lambda f, s, xs: written_out(f, s, [xs[t] for t in range(3)]), steps)
    assert chain.names == ("read", "c at 1", "c at 2", "c at 3", "out")
    wholes, along = expected(y, [nodes[-1], out])
    check_from = [read, *nodes, out]
    fan = mg.flow(y, check_from, AT)
    np.testing.assert_allclose(chain.adjoints, fan.adjoints, rtol=1e-10)
    # Between c₃ and out all paths count; to c₂ those that go by c₃, and so on: a product each.
    cotangent, norms = along[0], [np.linalg.norm(wholes[1]), np.linalg.norm(along[0])]
    for below, above in zip([read, *nodes[:-1]][::-1], nodes[::-1], strict=True):
        cotangent = mg.vjp(above, below, mg.const(cotangent)).eval(AT)
        norms.append(np.linalg.norm(cotangent))
    np.testing.assert_allclose(chain.along.norms, norms[::-1], rtol=1e-10)


def test_loops_that_are_one_are_one_chain() -> None:
    """Two loops with equal steps that differ in what is read of them."""
    (h, _), _ = mg.scan(lstm_like, START, X[0])
    (_, c), ys = mg.scan(lambda s, x: (lstm_like(s, x)[0], lstm_like(s, x)[0][1]), START, X[0])

    def loss(h: mg.Expr, c: mg.Expr, ys: mg.Expr) -> mg.Expr:
        return mg.sum(h) + mg.sum(c * ys[1])

    nodes: list[mg.Expr] = []

    def both(s: Any, x: mg.Expr) -> tuple[Any, mg.Expr]:
        state, _ = lstm_like(s, x)
        return state, state[1]

    state, rows = written_out(recording(both, nodes, [1]), START, [X[0, t] for t in range(3)])
    check(mg.flow(loss(h, c, ys), ["c"], AT), loss(state[0], state[1], rows), nodes)


def test_steps_that_nothing_joins_are_told_from_zeros() -> None:
    x = mg.var("x", (4,))

    def step(c: mg.Expr, now: mg.Expr) -> tuple[mg.Expr, None]:
        return (now * mg.stop_gradient(c)).named("c"), None

    last, _ = mg.scan(step, mg.const(1.0), x)
    chain = mg.flow(last, ["c"], {x: [1.0, 2.0, 3.0, 4.0]})
    assert chain.series.kinds == chain.along.kinds == [*["disconnected"] * 3, "normal"]
    assert "not connected" in repr(chain)
    last, _ = mg.scan(lambda c, now: ((now * c).named("c"), None), mg.const(1.0), x)
    chain = mg.flow(last, ["c"], {x: [1.0, 2.0, 0.0, 4.0]})
    assert chain.series.kinds == chain.along.kinds == ["zero", "zero", "normal", "normal"]
    assert chain.around.kinds == ["zero"] * 4


def test_adjoints_tell_the_same_parts() -> None:
    (h, c), ys = mg.scan(lstm_like, START, X[0])
    y = LOSSES["every step"](h, c, ys)
    adjoints = mg.adjoints(y)
    [(along, around)] = adjoints.along("c")
    assert along.shape == around.shape == (3, 2)
    whole = (along + around).eval(AT)
    np.testing.assert_allclose(whole, adjoints["c"].eval(AT), rtol=1e-12)
    chain = mg.flow(y, ["c"], AT)
    np.testing.assert_allclose(np.linalg.norm(along.eval(AT), axis=1), chain.along.norms)


def test_a_thousand_steps_take_no_more_nodes_than_ten() -> None:
    def nodes(steps: int) -> int:
        x = mg.var("x", (steps, 2))
        (h, c), ys = mg.scan(lstm_like, START, x)
        return len(mg.toposort([*mg.adjoints(LOSSES["every step"](h, c, ys)).along("c")[0]]))

    assert nodes(1000) == nodes(10)
