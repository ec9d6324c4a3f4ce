"""Arrows around boxes: no box is crossed, no shorter way is there, and no two arrows are one."""

from __future__ import annotations

from itertools import pairwise, permutations
from math import dist, inf

import numpy as np
import pytest
from numpy.typing import NDArray

import minigrad as mg
from minigrad.drawing import routing
from minigrad.drawing.routing import Rect, Router
from minigrad.drawing.spread import Place, height_of

KEPT = 4.0  # points between an arrow and a box, at least


def _crosses(a: Place, b: Place, box: Rect, near: float) -> bool:
    """Whether a line comes nearer to a box than that, point by point."""
    x, y = np.linspace(a, b, 2_000).T
    left, top, right, bottom = box
    across = (left - near < x) & (x < right + near)
    return bool((across & (top - near < y) & (y < bottom + near)).any())


def test_a_way_with_nothing_before_it_is_straight_and_keeps_its_corners() -> None:
    router = Router.of([(0.0, 50.0, 100.0, 80.0)])
    assert router.around([(0.0, 0.0), (100.0, 0.0)]) == []
    assert router.around([(0.0, 0.0), (20.0, 10.0), (100.0, 0.0)]) == [(20.0, 10.0)]
    assert Router.of([]).around([(0.0, 0.0), (9.0, 9.0)]) == []


def _boxes(rng: np.random.Generator) -> list[Rect]:
    """Boxes in rows and columns, as those of a cell are, of many sizes."""
    boxes = []
    for x in range(5):
        for y in range(4):
            wide, high = rng.uniform(15, 40), rng.uniform(10, 30)
            boxes.append((100.0 * x - wide, 80.0 * y - high, 100.0 * x + wide, 80.0 * y + high))
    return boxes


@pytest.mark.parametrize("trial", range(5))
def test_no_way_crosses_a_box_and_each_piece_of_one_is_led_around(trial: int) -> None:
    rng = np.random.default_rng(trial)
    boxes = _boxes(rng)
    router = Router.of(boxes)
    middles = [((a + c) / 2, (b + d) / 2) for a, b, c, d in boxes]
    for start, end in rng.choice(len(boxes), (8, 2)):
        if start != end:
            whole = [middles[start], *router.around([middles[start], middles[end]]), middles[end]]
            others = [box for k, box in enumerate(boxes) if k not in (start, end)]
            for a, b in pairwise(whole):
                assert not any(_crosses(a, b, box, KEPT - 0.1) for box in others)


def test_the_way_is_the_shortest_there_is() -> None:
    boxes = [(40.0, -30.0, 60.0, 10.0), (90.0, -10.0, 110.0, 40.0), (60.0, 25.0, 80.0, 60.0)]
    start, end = (0.0, 0.0), (150.0, 0.0)
    way = [start, *Router.of(boxes).around([start, end]), end]
    corners = [
        (x, y)
        for left, top, right, bottom in boxes
        for x in (left - 5.0, right + 5.0)
        for y in (top - 5.0, bottom + 5.0)
    ]
    shortest = inf
    for count in range(1, 4):
        for middle in permutations(corners, count):
            tried = [start, *middle, end]
            length = sum(dist(a, b) for a, b in pairwise(tried)) + 12.0 * count
            if length < shortest and not any(
                _crosses(a, b, box, KEPT - 0.1) for a, b in pairwise(tried) for box in boxes
            ):
                shortest = length
    length = sum(dist(a, b) for a, b in pairwise(way)) + 12.0 * (len(way) - 2)
    assert length == pytest.approx(shortest)


def test_arrows_around_one_corner_lie_beside_each_other() -> None:
    router = Router.of([(40.0, -10.0, 60.0, 30.0)])
    ways = [router.around([(0.0, 0.0), (100.0, 0.0)]) for _ in range(3)]
    for k in range(2):
        heights = sorted(way[k][1] for way in ways)
        assert all(b - a >= 3.9 for a, b in pairwise(heights))


def test_what_ends_within_a_box_may_leave_it_and_what_cannot_be_reached_is_straight() -> None:
    over = (-20.0, -20.0, 20.0, 20.0)
    assert Router.of([over]).around([(0.0, 0.0), (100.0, 0.0)]) == []
    walls = [(-60.0, -60.0, -40.0, 60.0), (40.0, -60.0, 60.0, 60.0)]
    walls += [(-60.0, -60.0, 60.0, -40.0), (-60.0, 40.0, 60.0, 60.0)]
    assert Router.of(walls).around([(0.0, 0.0), (200.0, 0.0)]) == []


def _grid(side: int) -> list[Rect]:
    at = [(100.0 * x, 80.0 * y) for x in range(side) for y in range(side)]
    return [(x - 35, y - 25, x + 35, y + 25) for x, y in at]


def test_what_takes_too_much_to_look_at_is_straight_and_leaves_the_rest_to_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(routing, "_MOST_OF_ONE", 10_000)
    router = Router.of(_grid(5))
    whole = router.left
    assert router.around([(0.0, 0.0), (400.0, 320.0)]) == []
    assert 0 < whole - router.left <= 10_000
    assert router.around([(0.0, 0.0), (200.0, 0.0)]) != []


def test_all_arrows_of_a_picture_take_no_more_than_there_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked = 0

    def met(start: Place, ends: list[Place], boxes: NDArray[np.float64]) -> NDArray[np.bool_]:
        nonlocal looked
        looked += len(ends) * len(boxes) * (len(ends) > 1)
        return before(start, ends, boxes)

    before = routing._met
    monkeypatch.setattr(routing, "_met", met)
    router = Router.of(_grid(4))
    router.left = 20_000
    ways = [router.around([(0.0, 0.0), (300.0, 240.0)]) for _ in range(30)]
    assert ways[0] != [] and ways[-1] == []
    assert 0 < looked <= 20_000


def test_a_layout_of_ones_own_has_its_arrows_around_what_is_between() -> None:
    x = mg.var("x")
    between = mg.tanh(x)
    y = x + between
    places = {x: (0.0, 0.0), between: (150.0, 0.0), y: (300.0, 0.0)}
    picture = mg.draw(y, {x: 1.0}, places=places)
    assert picture.dot.count("shape=point") == 2


def test_the_height_of_a_label_is_that_of_its_lines() -> None:
    row = '<TR><TD><FONT POINT-SIZE="10">{}</FONT></TD></TR>'
    one, two = f"<TABLE>{row.format('a')}</TABLE>", f"<TABLE>{row.format('a<BR/>b')}</TABLE>"
    both = f"<TABLE>{row.format('a')}{row.format('b')}</TABLE>"
    assert height_of(two) - height_of(one) == pytest.approx(12.0)
    assert height_of(both) - height_of(one) == pytest.approx(14.0)
