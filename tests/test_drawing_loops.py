"""Loops folded in pictures: one node with its items, measured, with and without machine code."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np
import pytest
from pictures import Box, cells, lines, read_dot, texts

import minigrad as mg
from minigrad import Expr
from minigrad.drawing import draw
from minigrad.drawing import palette as pal

XS = np.linspace(-1.0, 1.0, 10).reshape(5, 2)


def _loop() -> tuple[Expr, Expr]:
    """Σ of the last carry of h ← tanh(h + x), plus Σ of the squares of all 2·h."""
    xs = mg.var("xs", (5, 2))
    last, ys = mg.scan(lambda h, x: (mg.tanh(h + x), 2.0 * h), mg.zeros((2,)), xs)
    return (mg.sum(last.named("last")) + mg.sum(ys * ys)).named("y"), xs


def _by_hand() -> dict[str, np.ndarray]:
    """Values and adjoints of that loop, step by step."""
    h, hs = np.zeros(2), []
    for x in XS:
        hs.append(h)
        h = np.tanh(h + x)
    ys = 2.0 * np.array(hs)
    back, dxs = np.ones(2), np.zeros((5, 2))
    after = [*hs[1:], h]
    for t in reversed(range(5)):
        dxs[t] = back * (1.0 - after[t] ** 2)
        back = dxs[t] + 2.0 * 2.0 * ys[t]
    return {"last": h, "ys": ys, "d last": np.ones(2), "d ys": 2.0 * ys, "d xs": dxs}


def _named(box: Box) -> dict[str, dict[str, str]]:
    return {texts(n["label"])[0].split("  ")[0]: n for n in box.nodes.values()}


@pytest.mark.parametrize("measured", ["nothing", "values", "gradients"])
def test_a_loop_is_one_node_with_its_items(measured: str) -> None:
    y, xs = _loop()
    at = None if measured == "nothing" else {xs: XS}
    box = read_dot(draw(y, at, grad=measured == "gradients", loops="folded").dot)
    nodes = _named(box)
    assert {"xs", "scan, 5 steps", "last", "output 1", "y"} <= nodes.keys()
    names = {key: texts(n["label"])[0].split("  ")[0] for key, n in box.nodes.items()}
    edges = [(names[a], names[b]) for a, b, _ in box.edges]
    assert edges.count(("xs", "scan, 5 steps")) == 1
    assert edges.count(("scan, 5 steps", "last")) == edges.count(("scan, 5 steps", "output 1")) == 1
    said, *strip = [t for t in texts(nodes["scan, 5 steps"]["label"]) if t]
    assert said == "scan, 5 steps"  # its items have numbers, and its carries step by step
    assert len(strip) == (measured == "gradients")
    assert not any("body of" in text for n in box.nodes.values() for text in texts(n["label"]))


def test_the_items_of_a_loop_have_the_numbers_of_its_steps() -> None:
    y, xs = _loop()
    expected = _by_hand()
    box = read_dot(draw(y, {xs: XS}, grad=True, loops="folded").dot)
    nodes = _named(box)
    last, ys, start = (cells(nodes[name]["label"]) for name in ("last", "output 1", "xs"))
    assert last[1].text == "[" + ", ".join(f"{v:.4g}" for v in expected["last"]) + "]"
    assert last[2].text == "∂ [1, 1]"
    assert ys[1].text == f"5×2 {expected['ys'].min():.3g} … {expected['ys'].max():.3g}"
    assert ys[2].text == f"∂ ‖{np.linalg.norm(expected['d ys']):.3g}‖"
    assert start[2].text == f"∂ ‖{np.linalg.norm(expected['d xs']):.3g}‖"
    edges = {(a, b): e for a, b, e in box.edges}
    ids = {texts(n["label"])[0].split("  ")[0]: key for key, n in box.nodes.items()}
    for name, adjoint in (("last", "d last"), ("output 1", "d ys")):
        edge = edges[ids["scan, 5 steps"], ids[name]]
        assert edge["color"] == nodes[name]["color"] in pal.RAMP
        said = lines(edge["tooltip"])[1]
        size = float(said.split("norm ")[1].split(",")[0])
        assert size == pytest.approx(np.linalg.norm(expected[adjoint]), rel=1e-13)
    into = edges[ids["xs"], ids["scan, 5 steps"]]
    assert texts(into["label"]) == [start[2].text.removeprefix("∂ ")]


def test_the_backend_makes_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    y, xs = _loop()
    first = draw(y, {xs: XS}, grad=True, loops="folded").dot
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *rest: None if name.startswith("llvmlite") else find(name, *rest),
    )
    again = draw(y, {xs: XS}, grad=True, loops="folded")
    assert again.dot == first
    assert again.svg.startswith("<svg")


def _tail(make: Any) -> dict[str, str]:
    x = mg.var("x")
    diagram = draw(make(x), {x: 1.0}, grad=True, loops="folded")
    assert diagram.picture is not None
    kinds = {n.title: n.adjoint.kind for n in diagram.picture.nodes if n.adjoint is not None}
    edges = {(e.source, e.target): e.term.kind for e in diagram.picture.edges if e.term is not None}
    ids = {n.title: n.id for n in diagram.picture.nodes}
    return {"x": kinds["x"], "into": edges[ids["x"], ids["scan, 2 steps"]]}


def test_underflow_before_in_and_zero_through_a_loop_differ() -> None:
    def times(factor: float, after: float, later: float = 1.0) -> Any:
        def make(x: Expr) -> Any:
            last, _ = mg.scan(lambda h, _: (h * factor, None), x, None, length=2)
            return last * after * later

        return make

    assert _tail(times(1e-150, 1e-100)) == {"x": "underflow", "into": "underflow"}
    assert _tail(times(1e-50, 1.0)) == {"x": "normal", "into": "normal"}
    assert _tail(times(0.0, 1.0)) == {"x": "zero", "into": "zero"}
    # What is too small before it gets to the loop is lost in it, too.
    assert _tail(lambda x: times(0.5, 1e-200)(x) * 1e-200) == {
        "x": "underflow",
        "into": "underflow",
    }


def test_small_numbers_in_loops_are_not_taken_for_zero() -> None:
    x = mg.var("x")
    last, _ = mg.scan(lambda h, _: (h * 1e-160, None), x, None, length=2)
    diagram = draw(last, {x: 1.0}, grad=True, loops="folded")
    assert diagram.picture is not None
    (node,) = [n for n in diagram.picture.nodes if n.title == "x"]
    assert node.adjoint is not None
    assert node.adjoint.elements[0] == pytest.approx(1e-320, rel=1e-3)


def test_several_carries_are_numbered_and_a_body_is_no_name() -> None:
    x = mg.var("x")
    (a, b), ys = mg.scan(
        lambda c, _: ((c[0] + c[1], c[0] * 0.5), (c[0], c[1])), (x, 1.0 * x), None, length=3
    )
    y = a + 2.0 * b + mg.sum(ys[0]) + mg.sum(ys[1])
    box = read_dot(draw(y, {x: 2.0}, grad=True, loops="folded").dot)
    shown = [texts(n["label"])[0] for n in box.nodes.values()]
    assert {"last carry 1", "last carry 2", "output 1", "output 2"} <= set(shown)
    assert shown.count("scan, 3 steps") == 1


def test_a_title_says_in_few_words_what_a_loop_is() -> None:
    x = mg.var("x")
    for reverse, words in ((False, ""), (True, ", from the last")):
        last, _ = mg.scan(lambda h, _: (mg.tanh(h), None), x, None, length=3, reverse=reverse)
        loop = f"3 steps of <body of 1 ops, 1 carries>{words}"
        text = f"item(scan(x, loop={loop}), index=0)"
        assert str(last) == text
        assert draw(last, loops="folded").title == "Graph of last carry 1"


def test_a_factorisation_shows_its_results() -> None:
    a = mg.var("a", (2, 2))
    values, vectors = mg.eigh(a)
    box = read_dot(
        draw(
            mg.sum(values) + vectors[0, 0], {a: np.diag([3.0, -1.0])}, grad=True, loops="folded"
        ).dot
    )
    shown = {texts(n["label"])[0]: texts(n["label"]) for n in box.nodes.values()}
    assert shown["eigh"] == ["eigh"]
    assert shown["result 1"][1:] == ["[-1, 3]", "∂ [1, 1]"]
    assert shown["result 2"][2] == "∂ [[1, 0], [0, 0]]"


def test_the_title_of_what_a_loop_gives_is_plain() -> None:
    xs = mg.var("xs", (5, 3))

    def step(h: mg.Expr, x: mg.Expr) -> tuple[mg.Expr, mg.Expr]:
        h = mg.tanh(h + x)
        return h, h

    last, hs = mg.scan(step, mg.zeros((3,)), xs)
    assert draw(mg.sum(last)).title == "Graph of sum(last h)"
    assert draw([last, hs]).title == "Graph of last h, h of every step"
    values, _ = mg.eigh(mg.var("A", (2, 2)))
    assert draw(values).title == f"Graph of {values}"
