"""`mg.flow`: the gradient along any chain of nodes, beside grad, closed forms and differences."""

from __future__ import annotations

import math

import numpy as np
import pytest

import minigrad as mg
from minigrad.chains import Link, Series, cancellation, series_of
from minigrad.drawing.amount import norm, norms_of


def _residual():
    """x → r₁ → r₂ → r₃, each the one before and a share of its tanh; L reads r₃ and r₁."""
    x = mg.var("x", (2, 3))
    stream = [x]
    for k, weight in enumerate((0.5, -0.3, 0.8), 1):
        last = stream[-1]
        stream.append((last + weight * mg.tanh(last)).named(f"r{k}"))
    loss = mg.sum(mg.square(stream[3])) + mg.sum(stream[1])
    return x, stream, loss, {x: np.random.default_rng(0).standard_normal((2, 3))}


def test_norms_values_and_factors_are_those_of_grad() -> None:
    _x, stream, loss, at = _residual()
    chain = mg.flow(loss, stream, at)
    assert isinstance(chain, mg.Chain) and chain.names == ("x", "r1", "r2", "r3")
    for node, value, adjoint, size in zip(
        stream, chain.values, chain.adjoints, chain.series.norms, strict=True
    ):
        expected = mg.grad(loss, node).eval(at)
        np.testing.assert_allclose(value, node.eval(at), rtol=1e-14)
        np.testing.assert_allclose(adjoint, expected, rtol=1e-13)
        assert size == pytest.approx(np.linalg.norm(expected), rel=1e-13)
    sizes = chain.series.norms
    assert [link.factor for link in chain.links] == pytest.approx(
        [sizes[2] / sizes[3], sizes[1] / sizes[2], sizes[0] / sizes[1]]
    )
    assert next((link.above, link.below) for link in chain.links) == ("r3", "r2")
    decades = sum(link.decades for link in chain.links)
    assert decades == pytest.approx(math.log10(sizes[0] / sizes[3]))


def test_what_left_a_node_out_is_the_rest() -> None:
    """L = Σ r₃² + Σ r₁: around is the second term's alone, times 1 + w tanh′ back from r₁."""
    _x, stream, loss, at = _residual()
    chain = mg.flow(loss, stream, at)
    values = [node.eval(at) for node in stream]
    slopes = [1 + w * (1 - np.tanh(v) ** 2) for w, v in zip((0.5, -0.3, 0.8), values, strict=False)]
    back = 2 * values[3]
    along = [back]
    for slope in reversed(slopes):
        along.append(along[-1] * slope)
    around = [slopes[0], np.ones((2, 3)), np.zeros((2, 3)), np.zeros((2, 3))]
    for k, (on, off) in enumerate(zip(along[::-1], around, strict=True)):
        assert chain.along.norms[k] == pytest.approx(np.linalg.norm(on), rel=1e-12)
        assert chain.around.norms[k] == pytest.approx(np.linalg.norm(off), rel=1e-12)
    assert chain.around.norms[2:] == [0.0, 0.0]  # exactly: nothing goes past r₃ but to r₁


def test_fan_ins_that_cancel_are_told_from_small_ones() -> None:
    x = mg.var("x", (4,))
    h = mg.tanh(x).named("h")
    y = mg.sum(3.0 * h) - mg.sum(2.0 * h)
    at = {x: np.linspace(-1, 1, 4)}
    chain = mg.flow(y, [x, h], at)
    assert chain.cancellation[1] == pytest.approx(1 / 5, rel=1e-12)  # |3 - 2| / (3 + 2)
    assert chain.cancellation[0] == pytest.approx(1.0)


def test_attention_reads_its_values_beside_its_scores() -> None:
    """Differences of the loss, to each node of the chain."""
    rng = np.random.default_rng(1)
    q, k = mg.var("q", (3, 4)), mg.var("k", (5, 4))
    scores = (q @ k.T / 2.0).named("scores")
    weights = mg.softmax(scores, -1).named("weights")
    read = (weights @ k).named("read")
    loss = mg.sum(mg.square(read))
    at = {q: rng.standard_normal((3, 4)), k: rng.standard_normal((5, 4))}
    chain = mg.flow(loss, [k, scores, weights, read], at)
    assert chain.around.norms[0] > 0  # the values that are read, past the scores
    assert chain.around.norms[1:] == [0.0, 0.0, 0.0]
    step = 1e-6
    for node, adjoint in zip([k, scores], chain.adjoints, strict=False):
        stand_in = mg.var("stand in", node.shape)
        whole = mg.substitute(loss, {node: stand_in})
        there = node.eval(at)
        unit = np.zeros(node.shape)
        unit[1, 2] = step
        given = {v: a for v, a in at.items() if v in set(mg.free_variables(whole))}
        up, down = (whole.eval(given | {stand_in: there + sign * unit}) for sign in (1.0, -1.0))
        assert adjoint[1, 2] == pytest.approx((up - down) / (2 * step), rel=1e-6)


def test_a_loop_that_is_written_out_is_a_chain() -> None:
    x, w = mg.var("x", (6,)), 0.5
    states = [mg.const(1.0)]
    for t in range(6):
        states.append((w * states[-1] * mg.cos(x[t])).named(f"c{t + 1}"))
    at = {x: np.linspace(0.1, 1.2, 6)}
    chain = mg.flow(states[-1], states[1:], at)
    expected = [w * math.cos(v) for v in at[x][1:]]
    assert [link.factor for link in chain.links][::-1] == pytest.approx(expected, rel=1e-13)
    assert chain.around.norms == [0.0] * 6


@pytest.mark.parametrize("by_name", [False, True])
def test_the_steps_of_an_own_loop_are_a_chain(by_name) -> None:
    """c ← ½ · c · cos x: ∂c_T/∂c_t is the product of the factors after t."""
    x, nodes = mg.var("x", (6,)), []

    def step(c: mg.Expr, now: mg.Expr) -> tuple[mg.Expr, None]:
        nodes.append((0.5 * c * mg.cos(now)).named("c"))
        return nodes[-1], None

    last, _ = mg.scan(step, mg.const(1.0), x)
    at = {x: np.linspace(0.1, 1.2, 6)}
    chain = mg.flow(last, ["c" if by_name else nodes[0]], at)
    factors = 0.5 * np.cos(at[x])
    assert chain.names[0] == "c at 1" and len(chain.names) == 6
    np.testing.assert_allclose(chain.values, np.cumprod(factors), rtol=1e-13)
    expected = [factors[t:].prod() for t in range(1, 7)]
    np.testing.assert_allclose(chain.adjoints, expected, rtol=1e-13)
    assert [link.factor for link in chain.links][::-1] == pytest.approx(factors[1:], rel=1e-13)
    assert chain.along.norms == chain.series.norms and chain.around.norms == [0.0] * 6
    np.testing.assert_allclose(chain.cancellation, 1.0)
    assert "c at 6" in repr(chain)
    with pytest.raises(mg.GraphError, match="does not depend on"):
        mg.flow(last, [nodes[0], nodes[0]], at)


@pytest.mark.parametrize("segments", [False, True])
def test_a_reversed_loop_is_a_chain_in_the_order_in_which_it_runs(segments: bool) -> None:
    """c ← c · x, x₄ first: ∂c₁/∂c_t is the product of the x before t."""
    x, w = mg.var("x", (4,)), mg.var("w")
    keep = {"checkpoint": 2} if segments else {}
    last, _ = mg.scan(
        lambda c, now: ((c * now).named("c"), None), mg.const(1.0) * w, x, reverse=True, **keep
    )
    chain = mg.flow(last, ["c"], {x: [0.1, 0.2, 0.3, 0.4], w: 1.0})
    assert chain.names == ("c at 4", "c at 3", "c at 2", "c at 1")
    np.testing.assert_allclose(chain.values, [0.4, 0.12, 0.024, 0.0024], rtol=1e-13)
    np.testing.assert_allclose(chain.adjoints, [0.006, 0.02, 0.1, 1.0], rtol=1e-13)
    assert [link.factor for link in chain.links] == pytest.approx([0.1, 0.2, 0.3], rel=1e-13)
    assert "From c at 1 back to c at 4 it changes by -2.2 decades" in repr(chain).replace("\n", "")


@pytest.mark.parametrize("outer", [False, True])
@pytest.mark.parametrize("inner", [False, True])
def test_nested_loops_are_a_chain_in_the_order_in_which_they_run(outer: bool, inner: bool) -> None:
    """c ← c · x over rows and columns, each from either end."""
    x = mg.var("x", (2, 3))

    def row(c: mg.Expr, now: mg.Expr) -> tuple[mg.Expr, None]:
        step = lambda c, a: ((c * a).named("c"), None)  # noqa: E731
        return mg.scan(step, c, now, reverse=inner)[0], None

    last, _ = mg.scan(row, mg.const(1.0), x, reverse=outer)
    at = np.array([[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]])
    chain = mg.flow(last, ["c"], {x: at})
    rows, columns = (1, 0) if outer else (0, 1), (2, 1, 0) if inner else (0, 1, 2)
    order = [3 * r + c for r in rows for c in columns]
    factors = at.ravel()[order]
    assert chain.names == tuple(f"c at {k + 1}" for k in order)
    np.testing.assert_allclose(chain.values, np.cumprod(factors), rtol=1e-13)
    expected = [factors[k:].prod() for k in range(1, 7)]
    np.testing.assert_allclose(chain.adjoints, expected, rtol=1e-13)


def test_it_is_shown_as_a_table_with_a_sentence() -> None:
    _x, stream, loss, at = _residual()
    chain = mg.flow(loss.named("L"), stream, at)
    text = repr(chain)
    assert all(name in text for name in chain.names)
    worst = min(chain.links, key=lambda link: link.decades)
    assert f"from {worst.above} to {worst.below} by {worst.decades:+.1f}" in text.replace("\n", "")
    assert "<table>" in chain._repr_mimebundle_()["text/html"]
    columns = chain.table()
    assert columns["norm"] == chain.series.norms and len(columns["node"]) == 4


def test_nodes_that_are_no_chain_are_refused() -> None:
    x, stream, loss, at = _residual()
    other = mg.exp(mg.var("z"))
    with pytest.raises(mg.GraphError, match="does not depend on"):
        mg.flow(loss, [other], at)
    with pytest.raises(mg.GraphError, match="does not depend on"):
        mg.flow(loss + mg.sum(mg.sin(x)), [stream[1], mg.sin(x)], at)
    with pytest.raises(mg.DTypeError):
        mg.flow(loss, [1.0], at)


def test_norms_are_those_of_one_after_the_other() -> None:
    rows = np.array(
        [[3.0, 4.0], [0.0, 0.0], [np.nan, 1.0], [np.inf, 1.0], [3e300, 4e300], [3e-300, 4e-300]]
    )
    for got, row in zip(norms_of(rows), rows, strict=True):
        assert got == pytest.approx(norm(row), rel=1e-14, nan_ok=True)
    many = np.random.default_rng(0).standard_normal((50, 4, 3)).astype(np.float32)
    assert norms_of(many) == pytest.approx([norm(row) for row in many], rel=1e-14)
    rows32 = np.array([[3e38, 3e38], [1e-45, 0.0], [np.inf, 0.0], [np.nan, 0.0]], np.float32)
    for got, row in zip(norms_of(rows32), rows32, strict=True):
        assert got == pytest.approx(norm(row), rel=1e-14, nan_ok=True)


def test_kinds_tell_underflow_from_zero() -> None:
    small = np.array([[0.0], [0.0], [1.0]])
    larger = np.array([[0.0], [1e-9], [1e9]])
    assert series_of("h", small, larger).kinds == ["underflow", "underflow", "normal"]
    assert series_of("h", small).kinds == ["zero", "zero", "normal"]


def test_the_decades_of_nothing_are_no_number() -> None:
    assert math.isnan(Link("b", "a", 0.0).decades) and math.isnan(Link("b", "a", math.nan).decades)
    assert Link("b", "a", 1000.0).decades == pytest.approx(3.0)
    assert np.isnan(cancellation([np.zeros((1, 2)), np.zeros((1, 2))])).all()
    assert Series("h", [0.1, 1.0], ["normal"] * 2).factor == pytest.approx(0.1)
