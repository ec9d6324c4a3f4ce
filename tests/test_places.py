"""Where a node or a name lies in the nest of loops."""

from __future__ import annotations

from typing import Any

import pytest

import minigrad as mg
from minigrad.errors import GraphError
from minigrad.graph.places import Places, Spot

OPTIONS = [{}, {"reverse": True}, {"truncate": 2}, {"checkpoint": 3}, {"checkpoint": 2}]


def _loop(x: mg.Expr, start: float, **options: Any) -> tuple[mg.Expr, dict[str, mg.Expr]]:
    made: dict[str, mg.Expr] = {}

    def step(c: mg.Expr, x: mg.Expr) -> tuple[mg.Expr, mg.Expr]:
        f = mg.sigmoid(c + x)
        made.update(c=c, x=x, f=f.named("f"), new=(f * c).named("C"))
        return made["new"], made["new"] * 2

    last, ys = mg.scan(step, mg.full((2,), start), x, **options)
    return mg.sum(last) + mg.sum(ys), made


@pytest.mark.parametrize("options", OPTIONS)
def test_a_node_that_the_step_made_and_its_name_are_one_place(options: dict[str, Any]) -> None:
    y, made = _loop(mg.var("x", (8, 2)), 1.0, **options)
    places = Places([y])
    for name, key in (("f", "f"), ("C", "new")):
        by_name, by_node = places.find(name), places.find(made[key])
        assert by_name.node is by_node.node
        assert [p.loops for p in by_name.places] == [p.loops for p in by_node.places]
    for key, node in made.items():
        spot = places.find(node)
        assert spot.node.type is node.type, key
        # 8 steps are two segments of 3 and one of 2, or four of 2.
        assert len(spot.places) == (2 if options.get("checkpoint") == 3 else 1)
        assert len(spot.loops) == 1


def test_the_parts_of_a_loop_in_segments_are_in_order_of_the_stacks() -> None:
    for reverse in (False, True):
        y, made = _loop(mg.var("x", (8, 2)), 1.0, checkpoint=3, reverse=reverse)
        lengths = [
            [loop.attrs[0].length for loop in p.loops] for p in Places([y]).find(made["f"]).places
        ]
        assert lengths == [[2, 3], [1, 2]]


def test_equal_steps_are_told_apart_by_the_node_and_not_by_the_name() -> None:
    x = mg.var("x", (8, 2))
    one, made_of_one = _loop(x, 1.0)
    two, made_of_two = _loop(x, 2.0)
    places = Places([one + two])
    spots = places.all("f")
    assert len(spots) == 2 and spots[0].node is spots[1].node
    for made, y in ((made_of_one, one), (made_of_two, two)):
        for node in made.values():
            (place,) = places.find(node).places
            assert place.loops[0] in set(mg.toposort(y))
    with pytest.raises(GraphError, match="the name 'f' is in 2 places") as error:
        places.find("f")
    assert str(error.value).count("test_places.py") == 4  # each with the line of its loop


def test_a_loop_on_other_operands_is_known_by_its_step() -> None:
    x = mg.var("x", (8, 2))
    y, made = _loop(x, 1.0)
    moved = mg.substitute(y, {x: mg.var("z", (8, 2))})
    assert Places([moved]).find(made["f"]).node is Places([y]).find(made["f"]).node


def test_another_loop_with_such_a_carry_is_no_place_of_this_one() -> None:
    _, made = _loop(mg.var("x", (8, 2)), 1.0)
    other, _ = mg.scan(lambda c, x: (c * x, None), mg.zeros((2,)), mg.var("x", (8, 2)))
    with pytest.raises(GraphError, match=r"carry.*not part of the graph, nor of a step"):
        Places([other]).find(made["c"])


def test_nested_loops_and_equal_ones_within() -> None:
    made: list[mg.Expr] = []

    def inner(c: mg.Expr, x: mg.Expr) -> tuple[mg.Expr, mg.Expr]:
        made.append((c * x).named("p"))
        return mg.tanh(made[-1]), c

    def outer(c: mg.Expr, x: mg.Expr) -> tuple[mg.Expr, mg.Expr]:
        last, ys = mg.scan(inner, c, x)
        return last, mg.sum(ys)

    x = mg.var("x", (4, 5))
    ys = [mg.scan(outer, mg.const(start), x)[1] for start in (1.0, 2.0)]
    places = Places([mg.sum(ys[0] + ys[1])])
    spots = [places.find(node) for node in made]
    for spot, stack in zip(spots, ys, strict=True):
        assert spot.loops[0] is stack.args[0]
        assert [loop.attrs[0].length for loop in spot.loops] == [4, 5]


def test_loops_that_differ_in_their_results_only_are_one() -> None:
    x, made = mg.var("x", (8,)), []

    def step(c: mg.Expr, x: mg.Expr, k: int) -> tuple[mg.Expr, mg.Expr]:
        made.append(c * x)
        return mg.tanh(made[-1]), c * k

    one, two = (mg.scan(lambda c, x, k=k: step(c, x, k), mg.var("c"), x)[1] for k in (2, 3))
    places = Places([mg.sum(one + two)])
    spot: Spot = places.find(made[0])
    assert len(spot.places) == 2 and len(spot.parts) == 1


def test_what_is_not_there_is_told_with_what_is() -> None:
    y, _ = _loop(mg.var("x", (8, 2)), 1.0)
    places = Places([y])
    assert places.names() == ["C", "f", "x"]
    with pytest.raises(GraphError, match="no node is named 'g'; there are 'C', 'f', 'x'"):
        places.find("g")
    with pytest.raises(GraphError, match="'carry'"):  # the engine's own names are none
        places.find("carry")
    with pytest.raises(GraphError, match=r"z: float64, .* is not part"):
        places.find(mg.var("z"))
    with pytest.raises(GraphError, match="a node or its name"):
        places.find(3)  # type: ignore[arg-type]


def test_segments_are_kept_in_files() -> None:
    y, made = _loop(mg.var("x", (8, 2)), 1.0, checkpoint=3)
    (again,) = mg.loads(mg.dumps([y]))
    assert again is y
    assert len(Places([again]).find(made["f"]).places) == 2
