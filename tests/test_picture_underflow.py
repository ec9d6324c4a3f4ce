"""Zeros of loops' steps: a product too small to hold, a zero, and no way at all are told apart."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pictures import cells, read_dot

import minigrad as mg
from minigrad import Expr
from minigrad.drawing import Diagram, draw, palette
from minigrad.drawing.picture import Node

T = 4


def _drawn(step: Any, **options: Any) -> Diagram:
    x = mg.var("x")
    last, _ = mg.scan(step, x, mg.var("xs", (T,)), **options)
    return draw(last, {"x": 1.0, "xs": np.ones(T)}, grad=True)


def _named(diagram: Diagram, name: str) -> Node:
    assert diagram.picture is not None
    return next(n for n in diagram.picture.nodes if name in (n.name, n.title))


def _lost(node: Node) -> tuple[bool, ...]:
    assert node.adjoint is not None and node.adjoint.steps is not None
    return node.adjoint.steps.lost


def _shrinking(h: Expr, x: Expr) -> Any:
    return (h * 1e-120).named("small") * x, None


@pytest.mark.parametrize("reverse", [False, True])
def test_steps_whose_products_are_too_small_underflow(reverse: bool) -> None:
    """1e-120 to the 3rd and 4th power are below the least double, 5e-324."""
    diagram = _drawn(_shrinking, reverse=reverse)
    order = slice(None, None, -1) if reverse else slice(None)
    assert _lost(_named(diagram, "carry"))[order] == (True, True, False, False)
    assert _lost(_named(diagram, "small"))[order] == (True, False, False, False)
    assert _named(diagram, "x").adjoint.kind == "underflow"  # type: ignore[union-attr]
    assert diagram.picture is not None
    kinds = {(e.source, e.target, e.position): e.term.kind for e in diagram.picture.edges if e.term}
    carry, start = _named(diagram, "carry").id, _named(diagram, "x").id
    assert kinds[start, carry, 0] == "underflow"
    (back,) = [e for e in diagram.picture.edges if e.is_back]
    assert back.term is not None and back.term.steps is not None
    assert back.term.steps.lost[order] == (True, False, False)
    assert "underflow at 2 of them" in "\n".join(_named(diagram, "carry").notes)


def test_a_factor_of_zero_is_a_zero() -> None:
    diagram = _drawn(lambda h, x: ((h * 0.0).named("none") * x, None))
    assert not any(_lost(_named(diagram, "carry")))
    assert _named(diagram, "x").adjoint.kind == "zero"  # type: ignore[union-attr]
    assert "0 at 4 of them" in "\n".join(_named(diagram, "carry").notes)


def test_what_follows_a_zero_is_zero_though_its_own_factors_are_small() -> None:
    zeros = np.ones(T)
    zeros[2] = 0.0
    x = mg.var("x")
    last, _ = mg.scan(lambda h, z: ((h * 1e-120) * z, None), x, mg.const(zeros))
    carry = _named(draw(last, {x: 1.0}, grad=True), "carry")
    assert carry.adjoint is not None and carry.adjoint.steps is not None
    assert carry.adjoint.steps.norms[:3] == (0.0, 0.0, 0.0)
    assert not any(_lost(carry))


def test_an_underflow_behind_the_loop_goes_on_within_it() -> None:
    x = mg.var("x")
    last, _ = mg.scan(lambda h, _: (h * 0.5, None), x, None, length=2)
    carry = _named(draw(last * 1e-200 * 1e-200, {x: 1.0}, grad=True), "carry")
    assert _lost(carry) == (True, True)
    assert carry.adjoint is not None and carry.adjoint.kind == "underflow"


def test_a_param_that_all_steps_lose_underflows() -> None:
    w = mg.param("w", np.array(1e-200))
    last, _ = mg.scan(lambda h, _: (h * w * 1e-200, None), mg.var("x"), None, length=1)
    node = _named(draw(last, {"x": 1e-150}, grad=True), "w")
    assert node.adjoint is not None and node.adjoint.kind == "underflow"


def test_vectors_are_lost_where_all_of_their_elements_are() -> None:
    last, _ = mg.scan(lambda h, _: (h * [1e-200, 0.5], None), mg.var("h", (2,)), None, length=3)
    first, both = (
        _named(draw(y, {"h": [1.0, 1.0]}, grad=True), "carry") for y in (last[0], mg.sum(last))
    )
    assert _lost(first) == (True, True, False)
    assert not any(_lost(both))


def test_a_strip_and_a_chip_have_the_colour_of_what_was_lost() -> None:
    diagram = _drawn(_shrinking)
    label = read_dot(diagram.dot).all_nodes()[_named(diagram, "carry").id]["label"]
    fills = [cell.fill for cell in cells(label)]
    assert (
        "underflow"
        in [cell.text.strip() for cell in cells(read_dot(diagram.dot).attributes["label"])][-1]
    )
    assert fills.count(palette.UNDERFLOW) == 4  # two bins, the largest above the least
    assert palette.ZERO not in fills
    zeros = _drawn(lambda h, x: ((h * 0.0).named("none") * x, None))
    label = read_dot(zeros.dot).all_nodes()[_named(zeros, "carry").id]["label"]
    fills = [cell.fill for cell in cells(label)]
    assert fills.count(palette.ZERO) == 8 and palette.UNDERFLOW not in fills
