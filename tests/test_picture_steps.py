"""Unrolled chains: one shape a step, or one for many, with the numbers of the ops inside."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from pictures import cells, lines, read_dot, texts

import lstm
import minigrad as mg
from minigrad import Expr
from minigrad.drawing import draw
from minigrad.drawing.amount import Amount
from minigrad.drawing.folding import SINGLE
from minigrad.drawing.picture import Node, Picture


def _chain(count: int, odd: int | None = None) -> tuple[Expr, list[Expr], Expr]:
    """h ← tanh(w·h + h·h + x[t]), and the states; at the step `odd` with sin in place of tanh."""
    w, xs = mg.param("w", np.array(0.5)), mg.var("xs", (count,))
    h = mg.var("h0")
    states = [h]
    for t in range(count):
        act = mg.sin if t == odd else mg.tanh
        h = act(w * h + h * h + xs[t]).named(f"h{t + 1}")
        states.append(h)
    return (2.0 * h).named("y"), states, xs


def _at(count: int, **changes: float) -> dict[str, Any]:
    xs = 0.2 + 0.05 * np.sin(np.arange(count))
    for t, x in changes.items():
        xs[int(t[1:])] = x
    return {"xs": xs, "h0": 0.2}


def _value(expr: Expr, y: Expr, at: dict[str, Any]) -> float:
    """What an expression is, of variables that are all in y."""
    return float((expr + 0.0 * y).eval(at))


def _steps(picture: Picture | None) -> list[Node]:
    assert picture is not None
    return [n for n in picture.nodes if n.role == "steps"]


def _number(amount: Amount | None) -> float:
    assert amount is not None
    (x,) = amount.elements
    return x


@pytest.mark.parametrize("count", [8, 9, SINGLE])
def test_more_than_eight_steps_have_a_shape_each(count: int) -> None:
    y, states, _ = _chain(count)
    at = _at(count)
    picture = draw(y, at, grad=True).picture
    steps = _steps(picture)
    assert picture is not None
    if count == 8:
        assert not steps and len(picture.nodes) > 40
        return
    assert [n.title for n in steps] == [f"step {t}" for t in range(1, count + 1)]
    adj = mg.adjoints(y)
    for t, node in enumerate(steps, 1):
        (row,) = node.rows
        assert row.name == f"h{t}"
        assert _number(row.value) == pytest.approx(_value(states[t], y, at), rel=1e-14)
        assert _number(row.adjoint) == pytest.approx(_value(adj[states[t]], y, at), rel=1e-12)
    into = {(e.source, e.target): e for e in picture.edges}
    for before, after in pairwise(steps):
        edge = into[before.id, after.id]
        assert edge.row == 0
        # Three uses of h in a step, together: all that comes back to it.
        assert _number(edge.term) == pytest.approx(_number(before.rows[0].adjoint), rel=1e-12)


def test_no_op_of_a_step_is_drawn_and_its_leaves_are_in_the_caption() -> None:
    y, _, xs = _chain(12)
    at = _at(12)
    diagram = draw(y, at, grad=True)
    assert diagram.picture is not None
    others = {n.name or n.title for n in diagram.picture.nodes if n.role != "steps"}
    assert others == {"h0", "y"}
    w = next(n for n in mg.toposort(y) if n.name == "w")
    total = float(mg.grad(y, w).eval(at))
    size = float(np.linalg.norm(mg.grad(y, xs).eval(at)))
    said = texts(read_dot(diagram.dot).attributes["label"])[1]
    assert said == f"Read by the steps: xs (∂ ‖{size:.3g}‖), w (∂ {total:.3g})" or said == (
        f"Read by the steps: w (∂ {total:.3g}), xs (∂ ‖{size:.3g}‖)"
    )


def test_many_equal_steps_share_a_shape_with_a_strip() -> None:
    count = SINGLE + 10
    y, states, _ = _chain(count)
    at = _at(count)
    diagram = draw(y, at, grad=True)
    first, many, last = _steps(diagram.picture)
    titles = ("step 1", f"× {count - 2}: steps 2 … {count - 1}", f"step {count}")
    assert (first.title, many.title, last.title) == titles
    adj = mg.adjoints(y)
    norms = [abs(_value(adj[h], y, at)) for h in states[2:count]]
    (row,) = many.rows
    assert row.name == f"h2 … h{count - 1}"
    assert row.adjoint is not None and row.adjoint.steps is not None
    assert row.adjoint.steps.norms == pytest.approx(norms, rel=1e-11)
    assert row.value is not None
    values = [_value(h, y, at) for h in states[2:count]]
    assert (row.value.low, row.value.high) == pytest.approx((min(values), max(values)), rel=1e-13)
    picture = diagram.picture
    assert picture is not None
    fills = [c.fill for c in cells(read_dot(diagram.dot).nodes[many.id]["label"]) if c.fill]
    assert [picture.scale.style(x).color for x in norms] == fills[1 : 1 + len(norms)]
    words = " ".join(texts(read_dot(diagram.dot).nodes[many.id]["label"]))
    assert f"min {min(norms):.3g}, median {np.median(norms):.3g}, max {max(norms):.3g}" in words
    into = {(e.source, e.target): e.term for e in picture.edges}
    assert _number(into[many.id, last.id]) == pytest.approx(norms[-1], rel=1e-11)
    arrows = [(a, b) for a, b, _ in read_dot(diagram.dot).edges]
    assert (f"{many.id}:r0", last.id) in arrows


def test_a_jump_stays_visible_and_says_how_far() -> None:
    count = SINGLE + 10
    y, states, _ = _chain(count)
    at = _at(count, t27=9.0)  # tanh is flat there, so that little comes back from h28 to h27
    steps = _steps(draw(y, at, grad=True).picture)
    adj = mg.adjoints(y)
    factor = _value(adj[states[27]], y, at) / _value(adj[states[28]], y, at)
    assert factor < 0.01
    (step,) = [n for n in steps if n.notes[0].startswith("drawn by itself")]
    assert step.title == "step 27"
    said = f"drawn by itself: the gradient changes by {factor:.3g} in one step"
    assert step.notes[0] == said
    assert [n.title for n in steps if n.title.startswith("×")] == [
        "× 25: steps 2 … 26",
        f"× {count - 28}: steps 28 … {count - 1}",
    ]


def test_a_step_of_another_graph_stays_visible() -> None:
    count = SINGLE + 10
    y, _, _ = _chain(count, odd=19)  # the sin of its step is read in the next
    steps = _steps(draw(y).picture)
    assert [n.title for n in steps] == [
        "step 1",
        "× 19: steps 2 … 20",
        "step 21",
        f"× {count - 22}: steps 22 … {count - 1}",
        f"step {count}",
    ]
    equal, _, _ = _chain(count)
    assert len(_steps(draw(equal).picture)) == 3
    # Steps that differ in what they read of the step before are not the same graph.
    a, b = mg.var("a"), mg.var("b")
    for t in range(count):
        a, b = mg.tanh(a) * mg.sin(b), mg.sin(b) if t % 2 else mg.sin(a)
    assert not any(n.title.startswith("×") for n in _steps(draw(a * b).picture))


def test_steps_that_read_other_parts_of_the_step_before_are_not_the_same_graph() -> None:
    a, b = mg.var("a"), mg.var("b")
    c, d = a, b
    for t in range(SINGLE + 10):
        a, b = mg.tanh(a + 2.0 * b), mg.sin(a) * mg.cos(b)
        c, d = (c, d) if t % 2 else (d, c)  # the same step, of carries that change their places
        c, d = mg.tanh(c + 2.0 * d), mg.sin(c) * mg.cos(d)
    assert any(n.title.startswith("×") for n in _steps(draw(a * b).picture))
    swapped = _steps(draw(c * d).picture)
    # Two of them are the same graph as the next two, and one is not that of the next.
    assert len(swapped) == (SINGLE + 10) // 2
    assert not any(n.title.startswith("×") for n in swapped)


def test_a_step_that_is_not_finite_stays_visible() -> None:
    count = SINGLE + 5
    y, _, _ = _chain(count)
    steps = _steps(draw(y, _at(count, t20=np.nan)).picture)
    assert any(n.title == "step 21" and "not finite" in n.notes[0] for n in steps)


def test_the_steps_of_a_model_with_several_tanh_a_step_fold() -> None:
    model = lstm.Model.create(lstm.LSTM(2, 4), output_size=1, seed=0)
    xs = mg.const(np.zeros((SINGLE + 10, 1, 2), np.float32))
    steps = _steps(draw(model.unroll(xs).output).picture)
    last = SINGLE + 10
    assert [n.title for n in steps] == [
        "step 1",
        f"× {last - 2}: steps 2 … {last - 1}",
        f"step {last}",
    ]


def test_pinned_steps_stay_visible_with_their_numbers() -> None:
    count = SINGLE + 10
    y, states, _ = _chain(count)
    at = _at(count)
    picture = draw(y, at, grad=True, pin=[2, 27, np.int64(count)]).picture
    steps = _steps(picture)
    assert [n.title for n in steps] == [
        "step 1",
        "step 2",
        "× 24: steps 3 … 26",
        "step 27",
        f"× {count - 28}: steps 28 … {count - 1}",
        f"step {count}",
    ]
    assert [n.notes[0] for n in steps if n.notes[0].startswith("drawn")] == [
        "drawn by itself: pinned"
    ] * 3
    pinned = steps[3].rows[0]
    assert pinned.name == "h27"
    assert _number(pinned.adjoint) == pytest.approx(_value(mg.adjoints(y)[states[27]], y, at))
    jumped = _steps(draw(y, _at(count, t26=np.nan), pin=[27]).picture)
    assert "not finite" in next(n for n in jumped if n.title == "step 27").notes[0]


def test_only_steps_that_there_are_can_be_pinned() -> None:
    y, _, _ = _chain(SINGLE + 1)
    for step in (0, SINGLE + 2, -1):
        with pytest.raises(mg.GraphError, match=rf"pin= names step {step}, .* 1 to {SINGLE + 1}"):
            draw(y, pin=[step])
    short, _, _ = _chain(3)
    with pytest.raises(mg.GraphError, match="no steps are folded here"):
        draw(short, pin=[2])
    wrong: tuple[Any, ...] = (57, "57", [0.5])
    for pin in wrong:
        with pytest.raises(mg.DTypeError, match=r"pin"):
            draw(y, pin=pin)
    assert not _steps(draw(y, pin=[3], fold=False).picture)  # every op of it is there


@pytest.mark.parametrize("how", ["fold", "groups", "places", "lanes"])
def test_every_op_is_drawn_where_the_caller_says_so(how: str) -> None:
    y, states, _ = _chain(10)
    options: dict[str, Any] = {
        "fold": {"fold": False},
        "groups": {"groups": {"first": states[1:2]}},
        "places": {"places": {y: (0.0, 0.0)}},
        "lanes": {"lanes": {"h": states}},
    }[how]
    picture = draw(y, **options).picture
    assert picture is not None
    assert not _steps(picture)
    assert sum(n.title == "tanh" for n in picture.nodes) == 10
    with pytest.raises(mg.DTypeError, match="fold is True or False"):
        draw(y, fold=3)  # type: ignore[arg-type]


def test_two_layers_of_two_carries_with_outputs_of_every_step() -> None:
    count = 12
    a, b, outs = mg.var("a"), mg.var("b"), []
    for t in range(count):
        a, b = mg.tanh(a + 0.5 * b).named(f"a{t}"), mg.sin(b * a).named(f"b{t}")
        outs.append(mg.exp(a - b))
    y = mg.sum(mg.stack(outs))
    at = {"a": 0.3, "b": 0.8}
    picture = draw(y, at, grad=True).picture
    steps = _steps(picture)
    assert picture is not None
    assert len(steps) >= count - 1
    middle = steps[5]
    carries = [row.name for row in middle.rows if row.name in {"a4", "b4", "a5", "b5", "b6"}]
    assert len(carries) == 2 and len(middle.rows) == 3
    adj = mg.adjoints(y)
    by_name = {n.name: n for n in mg.toposort(y) if n.name}
    for row in middle.rows:
        if row.name in by_name:
            expected = _value(adj[by_name[row.name]], y, at)
            assert _number(row.adjoint) == pytest.approx(expected, rel=1e-11)


def test_chains_of_single_ops_and_sums_are_drawn_op_by_op_unless_many_are_equal() -> None:
    x = mg.var("x")
    for count, shapes in ((30, 31), (40, 4)):
        y, total = x, mg.const(0.0) + x
        for k in range(count):
            y, total = mg.tanh(y), total + 2.0 * mg.var(f"x{k}")
        picture, sums = draw(y).picture, draw(total).picture
        assert picture is not None and sums is not None
        assert len(picture.nodes) == shapes
        assert len(sums.nodes) == 3 * count + 2


def test_chains_without_equal_steps_are_drawn_op_by_op() -> None:
    x = mg.var("x")
    y = x
    for k in range(20):
        y = (mg.tanh, mg.sin, mg.exp)[k % 3](y)
    picture = draw(y).picture
    assert picture is not None and len(picture.nodes) == 21


def test_a_long_unrolled_loop_is_drawn_though_it_has_too_many_nodes_for_ops() -> None:
    y, _, _ = _chain(300)
    diagram = draw(y)
    steps = _steps(diagram.picture)
    assert [n.title for n in steps] == ["step 1", "× 298: steps 2 … 299", "step 300"]
    assert lines(read_dot(diagram.dot).nodes[steps[1].id]["tooltip"])[1] == (
        "each is the same graph"
    )
    with pytest.raises(mg.GraphError, match="nodes, and nobody can read"):
        draw(y, fold=False)
