"""Loops drawn with their bodies inside: every number against the same loop written out by hand."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from pictures import cells, elements, hint, lines, read_dot, texts

import minigrad as mg
from minigrad import Expr
from minigrad.drawing import draw
from minigrad.drawing.amount import Amount
from minigrad.drawing.picture import Edge, Node, Picture

T = 4
XS = np.array([[0.3, -1.2], [0.8, 0.1], [-0.5, 0.9], [0.2, 0.4]])
W = np.array([[0.5, -0.3], [0.8, 0.2]])


def _net(reverse: bool = False, checkpoint: int | None = None) -> Expr:
    """Σ of the last h plus Σ of all 3·h, of h ← tanh(W h + x); W is a param."""
    xs, weights = mg.var("xs", (T, 2)), mg.param("W", W)

    def step(h: Any, x: Any) -> Any:
        h = mg.tanh((weights @ h).named("pre") + x).named("h")
        return h, (3.0 * h).named("triple")

    start = mg.var("start", (2,))
    last, ys = mg.scan(step, start, xs, reverse=reverse, checkpoint=checkpoint)
    return (mg.sum(last.named("last")) + mg.sum(ys)).named("y")


START = np.array([0.1, -0.2])


def _by_hand(reverse: bool = False) -> dict[str, np.ndarray]:
    """What the steps compute and what comes back, each (T, ...), by place in xs."""
    order = list(range(T))[:: -1 if reverse else 1]
    names = ("h before", "pre", "h", "triple", "d h", "d pre", "d before", "sent", "d W")
    out = {name: np.zeros((T, 2, 2) if name == "d W" else (T, 2)) for name in names}
    h = START
    for t in order:
        out["h before"][t], out["pre"][t] = h, W @ h
        h = np.tanh(out["pre"][t] + XS[t])
        out["h"][t], out["triple"][t] = h, 3.0 * h
    sent = np.ones(2)
    for t in reversed(order):
        out["sent"][t] = sent
        out["d h"][t] = sent + 3.0
        out["d pre"][t] = out["d h"][t] * (1.0 - out["h"][t] ** 2)
        sent = out["d before"][t] = W.T @ out["d pre"][t]
        out["d W"][t] = np.outer(out["d pre"][t], out["h before"][t])
    return out


def _picture(**options: Any) -> Picture:
    reverse = options.pop("reverse", False)
    net = _net(reverse, options.pop("checkpoint", None))
    picture = draw(net, {"xs": XS, "start": START}, grad=True, **options).picture
    assert picture is not None
    return picture


def _named(picture: Picture, name: str) -> Node:
    (node,) = [n for n in picture.nodes if name in (n.name, n.title)]
    return node


def _edge(picture: Picture, source: str, target: str, position: int = 0) -> Edge:
    ends = (_named(picture, source).id, _named(picture, target).id, position)
    (edge,) = [e for e in picture.edges if (e.source, e.target, e.position) == ends]
    return edge


def _check(amount: Amount | None, rows: np.ndarray) -> None:
    """An amount over steps against its rows."""
    assert amount is not None and amount.steps is not None
    norms = [float(np.linalg.norm(row)) for row in rows]
    assert amount.steps.norms == pytest.approx(norms, rel=1e-13)
    told = (amount.steps.least, amount.steps.middle, amount.steps.most)
    assert told == pytest.approx((min(norms), np.median(norms), max(norms)), rel=1e-13)
    assert amount.norm == amount.steps.most
    assert (amount.low, amount.high) == pytest.approx((rows.min(), rows.max()), rel=1e-13)
    assert amount.shape == rows.shape[1:]


@pytest.mark.parametrize("how", [{}, {"reverse": True}, {"checkpoint": 2}])
def test_every_number_is_that_of_the_loop_by_hand(how: dict[str, Any]) -> None:
    picture = _picture(**how)
    by_hand = _by_hand(how.get("reverse", False))
    for name in ("h before", "pre", "h", "triple"):
        _check(_named(picture, name).value, by_hand[name])
    for name, rows in {"h before": "d before", "pre": "d pre", "h": "d h"}.items():
        _check(_named(picture, name).adjoint, by_hand[rows])
    _check(_edge(picture, "h before", "@", 1).term, by_hand["d before"])
    _check(_edge(picture, "W", "@").term, by_hand["d W"])
    back = _edge(picture, "h", "h before", 1)
    last = 0 if how.get("reverse") else T - 1
    assert back.is_back
    _check(back.term, np.delete(by_hand["sent"], last, axis=0))
    leaving = _edge(picture, "h", "last").term
    assert leaving is not None
    assert leaving.elements == (1.0, 1.0)
    first = T - 1 if how.get("reverse") else 0
    entering = _edge(picture, "start", "h before").term
    assert entering is not None
    assert entering.elements == pytest.approx(by_hand["d before"][first], rel=1e-13)
    total = _named(picture, "W").adjoint
    assert total is not None
    assert total.elements == pytest.approx(by_hand["d W"].sum(axis=0).ravel(), rel=1e-12)


def test_the_body_lies_in_a_box_and_what_is_the_same_in_all_steps_around_it() -> None:
    picture = _picture()
    (box,) = picture.boxes
    assert (box.kind, box.title) == ("loop", "scan, 4 steps")
    inside = {n.name or n.title for n in picture.nodes if n.group == box.key}
    assert inside == {"h before", "xs[t]", "pre", "+", "h", "triple"}
    assert picture.groups == []
    assert {n.role for n in picture.nodes if n.group} == {"carry", "slice", "op"}
    dot = read_dot(draw(_net()).dot)
    (cluster,) = dot.boxes.values()
    assert texts(cluster.attributes["label"]) == ["↻ scan, 4 steps"]
    (back,) = [e for _, _, e in dot.edges if e.get("constraint") == "false"]
    assert "label" not in back
    title = draw(_net(reverse=True, checkpoint=2)).picture
    assert title is not None
    assert [b.title for b in title.boxes] == [
        "scan, 4 steps, from the last, computed again by segments"
    ]


def test_words_on_arrows_and_in_tooltips_are_of_all_steps() -> None:
    diagram = draw(_net(), {"xs": XS, "start": START}, grad=True)
    sent = np.linalg.norm(_by_hand()["sent"][:-1], axis=1)
    parts = elements(diagram.svg, diagram.prefix)
    picture = diagram.picture
    assert picture is not None
    back = next(e for e in picture.edges if e.is_back)
    shown = "".join(t for t in "".join(parts[back.id].itertext()).split("\n"))
    assert f"max ‖{max(sent):.3g}‖" in shown.replace("\xa0", " ")
    first, second = hint(parts[back.id]).split("\n")
    assert first == "h → h before, to the next step"
    found = second.partition("over 3 steps: ")[2].partition(";")[0]
    numbers = {w.split()[0]: float(w.split()[1]) for w in found.split(", ")}
    expected = {"min": min(sent), "median": np.median(sent), "max": max(sent)}
    assert numbers == pytest.approx(expected, rel=1e-13)
    caption = texts(read_dot(diagram.dot).attributes["label"])
    assert any("those of the step with the largest" in words for words in caption)


def test_loops_in_loops_have_boxes_in_boxes_and_stacks_of_all_their_steps() -> None:
    xs = mg.var("xs", (3, 2))

    def outer(c: Any, x: Any) -> Any:
        inner, _ = mg.scan(lambda d, z: ((d * z).named("d"), None), c, x)
        return (mg.sin(inner)).named("c"), None

    y, _ = mg.scan(outer, mg.const(0.7), xs)
    at = np.array([[0.5, 1.5], [-2.0, 0.3], [1.1, 0.9]])
    picture = draw(y, {xs: at}, grad=True).picture
    assert picture is not None
    wide, narrow = picture.boxes
    assert (wide.title, narrow.title) == ("scan, 3 steps", "scan, 2 steps")
    assert picture.around == {narrow.key: wide.key}
    assert _named(picture, "d").group == narrow.key
    assert _named(picture, "c").group == wide.key
    adj = mg.adjoints(y)
    values, adjoints = adj.value("d").eval({xs: at}), adj["d"].eval({xs: at})
    _check(_named(picture, "d").value, values.reshape(6))
    _check(_named(picture, "d").adjoint, adjoints.reshape(6))
    sent = next(e for e in picture.edges if e.is_back and e.source == _named(picture, "d").id)
    # What the second step of the inner loop sends back to the first, each time.
    back = adjoints[:, :1].reshape(3)
    _check(sent.term, back)


def test_a_body_that_two_loops_share_is_drawn_and_measured_in_each() -> None:
    x, z = mg.var("x"), mg.var("z")

    def run(start: Expr) -> Expr:
        return mg.scan(lambda c, _: ((c * c).named("square"), None), start, None, length=2)[0]

    picture = draw(run(x) + run(z), {x: 2.0, z: 3.0}, grad=True).picture
    assert picture is not None
    both = [n.value for n in picture.nodes if n.name == "square"]
    assert len(picture.boxes) == 2
    _check(both[0], np.array([4.0, 16.0]))
    _check(both[1], np.array([9.0, 81.0]))


def test_each_carry_has_its_own_arrow_back() -> None:
    def step(carry: Any, _: Any) -> Any:
        a, b = carry
        return (mg.tanh(a + b).named("a"), (0.5 * mg.sin(b)).named("b")), None

    (a, b), _ = mg.scan(step, (mg.var("a0"), mg.var("b0")), None, length=4)
    picture = draw(a + b, {"a0": 0.3, "b0": -0.8}, grad=True).picture
    assert picture is not None
    values = [(0.3, -0.8)]
    for _ in range(4):
        x, z = values[-1]
        values.append((np.tanh(x + z), 0.5 * np.sin(z)))
    sent = [(1.0, 1.0)]
    for t in range(3, 0, -1):
        through = sent[-1][0] * (1.0 - values[t + 1][0] ** 2)
        sent.append((through, through + sent[-1][1] * 0.5 * np.cos(values[t][1])))
    back = np.array(sent[:0:-1])
    for k, name in enumerate("ab"):
        _check(_edge(picture, name, f"{name} before", 1).term, back[:, k])


@pytest.mark.parametrize("reverse", [False, True])
def test_outputs_keep_their_places_where_steps_are_written_out(reverse: bool) -> None:
    xs = mg.var("xs", (5,))
    _, ys = mg.scan(lambda c, x: (c + x, c * x), mg.const(1.0), xs, reverse=reverse)
    y = mg.sum(ys * np.array([1.0, 2.0, 4.0, 8.0, 16.0])).named("y")
    at = {xs: [0.5, -1.5, 2.0, 0.3, 0.7]}
    for loops in (2, 5):
        picture = draw(y, at, loops=loops).picture
        assert picture is not None
        value = _named(picture, "y").value
        assert value is not None
        assert value.elements[0] == pytest.approx(float(y.eval(at)), rel=1e-13)


def test_what_no_derivative_passes_in_a_loop_is_not_connected() -> None:
    x = mg.var("x")
    last, ks = mg.scan(lambda c, _: (mg.tanh(c), mg.floor(c)), x, None, length=3)
    picture = draw(last + mg.sum(ks), {x: 0.4}, grad=True).picture
    assert picture is not None
    term = _edge(picture, "carry", "floor").term
    assert term is not None and term.kind == "disconnected"
    one, _ = mg.scan(lambda c, _: (mg.tanh(c), None), x, None, length=1)
    picture = draw(one, {x: 0.4}, grad=True).picture
    assert picture is not None
    (back,) = [e for e in picture.edges if e.is_back]
    assert back.term is not None and back.term.kind == "disconnected"


def test_starts_that_are_numbers_and_loops_of_no_steps() -> None:
    last, _ = mg.scan(lambda c, x: (c + x, None), mg.const(0.0), mg.var("x", (3,)))
    picture = draw(last, {"x": [1.0, 2.0, 3.0]}).picture
    assert picture is not None
    carry = next(n for n in picture.nodes if n.role == "carry")
    assert (carry.name, carry.title) == ("carry", "from 0")
    assert carry.value is not None and carry.value.steps is not None
    assert carry.value.steps.norms == (0.0, 1.0, 3.0)
    none, _ = mg.scan(lambda c, x: (c + x, None), mg.const(0.0), mg.var("x", (0,)))
    picture = draw(none, {"x": []}, grad=True).picture
    assert picture is not None
    assert [n.title for n in picture.nodes] == ["x", "scan, 0 steps", "last carry 1"]


def test_groups_and_names_may_speak_of_what_a_step_made() -> None:
    made: dict[str, Expr] = {}

    def step(c: Any, x: Any) -> Any:
        made["sum"] = c + x
        made["out"] = mg.tanh(made["sum"])
        return made["out"], None

    xs = mg.var("xs", (3,))
    last, _ = mg.scan(step, mg.var("c"), xs)
    diagram = draw(last, names={made["sum"]: "added"}, groups={"gate": made.values()})
    assert diagram.picture is not None
    gate, loop = sorted(diagram.picture.boxes, key=lambda b: b.kind)
    assert diagram.picture.around == {gate.key: loop.key}
    assert {n.name for n in diagram.picture.nodes if n.group == gate.key} == {"added", ""}
    with pytest.raises(mg.GraphError, match="'mixed' and 'loop 1' share"):
        draw(last, groups={"mixed": [xs, made["sum"]]})
    whole = draw(last, groups={"all": [xs, last.args[0]]}).picture
    assert whole is not None
    assert len(whole.boxes) == 2 and len(whole.around) == 1


@pytest.mark.parametrize("loops", ["unrolled", 0, -1, True, 2.0, None])
def test_loops_is_one_of_two_words_or_a_number_of_steps(loops: Any) -> None:
    with pytest.raises(mg.GraphError, match="loops is 'rolled', 'folded', or how many"):
        draw(_net(), loops=loops)


@pytest.mark.parametrize("reverse", [False, True])
def test_the_first_steps_are_written_out_and_the_rest_is_one_node(reverse: bool) -> None:
    picture = _picture(reverse=reverse, loops=1)
    by_hand = _by_hand(reverse)
    first, rest = (T - 1, range(T - 1)) if reverse else (0, range(1, T))
    assert picture.groups == [f"step {first + 1}"]
    inside = {n.name or n.title: n for n in picture.nodes if n.group}
    for name, rows in {"pre": "d pre", "h": "d h"}.items():
        value, adjoint = inside[name].value, inside[name].adjoint
        assert value is not None and adjoint is not None
        assert value.elements == pytest.approx(by_hand[name][first], rel=1e-13)
        assert adjoint.elements == pytest.approx(by_hand[rows][first], rel=1e-12)
    title = "× 3: steps 1 … 3" if reverse else "× 3: steps 2 … 4"
    ((name, amount),) = _named(picture, title).strips
    assert name == "h before"
    _check(amount, by_hand["d before"][list(rest)])
    total = [n.adjoint for n in picture.nodes if n.title == "W"]
    assert total[0] is not None
    assert total[0].elements == pytest.approx(by_hand["d W"].sum(axis=0).ravel(), rel=1e-12)
    y = _named(picture, "y").value
    assert y is not None
    last = by_hand["h"][0 if reverse else -1]
    assert y.elements[0] == pytest.approx(last.sum() + by_hand["triple"].sum(), rel=1e-13)
    whole = _picture(reverse=reverse, loops=T)
    assert whole.groups == [f"step {t}" for t in (range(T, 0, -1) if reverse else range(1, T + 1))]
    assert not any(n.strips or n.title.startswith("×  ") for n in whole.nodes)


def test_a_strip_has_the_colours_of_all_steps_and_keeps_extremes() -> None:
    steps = 130
    xs = mg.var("xs", (steps,))
    last, _ = mg.scan(lambda c, x: (c * x, None), mg.var("c"), xs)
    rng = np.random.default_rng(3)
    at = np.exp(rng.normal(0.0, 0.6, steps))
    for loops in ("rolled", "folded"):
        diagram = draw(last, {xs: at, "c": 1.0}, grad=True, loops=loops)
        picture = diagram.picture
        assert picture is not None
        (node,) = [n for n in picture.nodes if n.strips]
        norms = np.array([np.prod(at[t:]) for t in range(steps)])
        ((_, amount),) = node.strips
        _check(amount, norms)
        fills = [c.fill for c in cells(read_dot(diagram.dot).all_nodes()[node.id]["label"])]
        ends = [steps * k // 64 for k in range(65)]
        runs = [norms[a:b] for a, b in pairwise(ends)]
        colors = [
            picture.scale.style(float(pick(run))).color for pick in (np.max, np.min) for run in runs
        ]
        shown = "".join(f"{c} " for c in fills if c)
        assert " ".join(colors) in shown


def test_steps_that_are_written_out_keep_the_callers_names_and_groups() -> None:
    xs, c = mg.var("xs", (3,)), mg.var("c")
    last, _ = mg.scan(lambda c, x: (mg.tanh(c + x), None), c, xs)
    y = mg.exp(last)
    picture = draw(y, loops=2, names={y: "end"}, groups={"mine": [y, last]}).picture
    assert picture is not None
    assert picture.groups == ["mine", "step 1", "step 2"]
    assert _named(picture, "end").group == "mine"


def test_wide_meshed_graphs_are_laid_out_in_a_hurry_or_refused() -> None:
    """What is made early and read late: the time of a layout grows with the ranks between."""
    xs = [mg.var("x")]
    for _ in range(100):
        xs.append(mg.tanh(xs[-1]))
    y = xs[-1]
    for x in reversed(xs[:-1]):
        y = y * mg.exp(x)
    diagram = draw(y, fold=False)
    assert diagram.picture is not None and diagram.picture.is_hurried
    attributes = read_dot(diagram.dot).attributes
    assert attributes["splines"] == "line"
    assert any("arrows are straight" in words for words in texts(attributes["label"]))
    assert "splines" not in read_dot(draw(xs[-1], fold=False).dot).attributes
    for x in reversed(xs):
        for _ in range(6):
            y = mg.sin(y * mg.cos(x))
    with pytest.raises(mg.GraphError, match=r"pass [\d,]+ ranks.*inline=; mg\.draw\(\.\.\., limit"):
        draw(y, fold=False)
    assert draw(y, fold=False, limit=None).picture is not None


# --- leaves of many uses -------------------------------------------------------------------------


@pytest.mark.parametrize("count", [4, 5])
def test_a_leaf_of_more_than_four_uses_is_drawn_beside_each(count: int) -> None:
    w = mg.param("w", np.array(0.5))
    y = mg.var("x")
    for _ in range(count):
        y = mg.tanh(y * w)
    diagram = draw(y, {"x": 1.3}, grad=True)
    picture = diagram.picture
    assert picture is not None
    marks = [n for n in picture.nodes if n.title == "w"]
    assert [n.is_copy for n in marks] == ([False] if count == 4 else [True] * 5)
    terms = [e.term for e in picture.edges if e.source in {n.id for n in marks}]
    total = sum(t.elements[0] for t in terms if t is not None)
    gradient = float(mg.grad(y, w).eval({"x": 1.3}))
    assert total == pytest.approx(gradient, rel=1e-12)
    if count == 5:
        caption = texts(read_dot(diagram.dot).attributes["label"])
        assert f"Drawn beside each use: w (∂ {gradient:.3g})" in caption
        label = read_dot(diagram.dot).nodes[marks[0].id]
        assert texts(label["label"]) == ["w"]
        assert f"adjoint: {gradient!r}"[:20] in "\n".join(lines(label["tooltip"]))
        assert picture.summary().count("  w, value 0.5") == 1


def test_what_a_step_gets_is_drawn_once_however_often_it_is_read() -> None:
    def step(c: Any, x: Any) -> Any:
        mixed = mg.sin(c) * mg.cos(x) + mg.exp(c) * x
        return mg.tanh(c * x + mixed + c / 3.0 - x * x + mg.cos(c)), None

    last, _ = mg.scan(step, mg.const(0.3), mg.var("xs", (4,)))
    at = np.array([0.5, -0.2, 0.9, 0.1])
    picture = draw(last, {"xs": at}, grad=True).picture
    assert picture is not None
    carry, now = _named(picture, "from 0.3"), _named(picture, "xs[t]")
    assert not any(n.is_copy for n in picture.nodes)
    assert sum(e.source == carry.id for e in picture.edges) == 5
    assert sum(e.source == now.id for e in picture.edges) == 5
    assert [e.target for e in picture.edges if e.is_back] == [carry.id]
    gradient = mg.grad(last, mg.free_variables(last)[0]).eval({"xs": at})
    assert now.adjoint is not None and now.adjoint.steps is not None
    assert now.adjoint.steps.norms == pytest.approx(np.abs(gradient), rel=1e-12)


def test_leaves_are_drawn_once_in_a_box_and_where_the_caller_wants_them() -> None:
    w = mg.param("w", np.array(0.5))
    x = mg.var("x")
    steps, y = [], x
    for _ in range(3):
        y = mg.tanh(y * w + w)
        steps.append(y)
    groups = {f"step {k}": [s, s.args[0], *s.args[0].args] for k, s in enumerate(steps)}
    groups = {k: [n for n in nodes if n.args] for k, nodes in groups.items()}
    picture = draw(y, groups=groups).picture
    assert picture is not None
    assert [n.group for n in picture.nodes if n.title == "w"] == ["step 0", "step 1", "step 2"]
    picture = draw(y, groups={**groups, "weights": [w]}).picture
    assert picture is not None
    assert [n.group for n in picture.nodes if n.title == "w"] == ["weights"]
