"""Options of pictures that would change nothing: each is refused, by name."""

from __future__ import annotations

from typing import Any

import pytest
from pictures import ways

import minigrad as mg

X, Z = mg.var("x"), mg.var("elsewhere")
INNER = X * X
Y = mg.tanh(INNER)

STRANGE: dict[str, dict[str, Any]] = {
    "names": {"names": {Z: "z"}},
    "places": {"places": {Z: (0.0, 1.0)}},
    "bends": {"bends": {(Z, Y): [(0.0, 1.0)]}},
    "inline": {"inline": [Z]},
    r"groups\['box'\]": {"groups": {"box": [INNER, Z]}},
    r"lanes\['row'\]": {"lanes": {"row": [Z]}},
    "at": {"at": {X: 1.0, Z: 2.0}},
}


@pytest.mark.parametrize("what", STRANGE)
def test_a_node_that_the_graph_has_not_is_named(what):
    with pytest.raises(mg.GraphError, match=rf"{what} .*elsewhere.*is no part of the graph"):
        mg.draw(Y, **STRANGE[what])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"limit": -1}, "limit is how many nodes .* not -1"),
        ({"limit": 0}, "limit is how many nodes .* not 0"),
        ({"limit": 2.5}, "limit is how many nodes .* not 2.5"),
        ({"limit": True}, "limit is how many nodes .* not True"),
        ({"direction": ["LR"]}, "direction is 'LR'.* not "),
        ({"title": 3}, "title is text, not 3"),
        ({"scale": 3}, "scale is a minigrad.drawing.Scale, not 3"),
        ({"names": [X]}, "names is a dict"),
        ({"names": {X: 3}}, "names is a dict.* it has 3"),
        ({"names": {"x": "y"}}, "names holds 'x', which is no expression"),
        ({"places": {X: 3}}, "places is a dict.* it has 3"),
        ({"places": {X: (1.0, "a")}}, "places is a dict.* it has"),
        ({"inline": 3}, "inline must be a list, not 3"),
        ({"inline": ["x"]}, "inline holds 'x', which is no expression"),
        ({"groups": {"g": 3}}, r"groups\['g'\] must be a list"),
        ({"groups": {"g": X}}, r"groups\['g'\] is a list of nodes"),
        ({"lanes": {"l": ["x"]}}, r"lanes\['l'\] holds 'x'"),
        ({"at": {"nobody": 1.0}}, "nobody"),
        ({"at": 3}, "at is a dict of values"),
        ({"timeout": 0}, "timeout is a number of seconds above 0"),
        ({"timeout": "a"}, "timeout must be a number"),
    ],
)
def test_an_option_of_another_kind_is_refused(options, message):
    with pytest.raises((mg.GraphError, mg.DTypeError), match=message):
        mg.draw(Y, **options)


def test_options_of_the_graphs_own_nodes_are_taken():
    picture = mg.draw(
        Y,
        {X: 1.0},
        names={X: "input", INNER: "square"},
        groups={"box": (n for n in [INNER, Y])},
        lanes={"row": [INNER]},
        places={X: (0, 0), INNER: (80, 0.0), Y: (160, 0)},
        limit=None,
    ).picture
    assert [n.name or n.title for n in picture.nodes] == ["input", "square", "tanh"]
    assert [n.group for n in picture.nodes] == [None, "box", "box"]
    assert picture.is_placed


def test_an_inlined_leaf_that_is_drawn_nowhere_else_is_taken():
    picture = mg.draw(X * Z, inline=[Z]).picture
    assert [n.title for n in picture.nodes] == ["x", "· × elsewhere"]


def test_what_is_folded_away_may_be_spoken_of():
    wide = mg.broadcast_to(X, (3,))
    y = mg.sum(wide * mg.var("v", (3,)))
    assert mg.draw(y, groups={"box": [wide]}).picture.groups == []


def test_arrows_have_corners_where_places_are_given():
    x = mg.var("x")
    y = mg.tanh(x)
    places = {x: (0.0, 0.0), y: (200.0, 0.0)}
    drawn = mg.draw(y, places=places, bends={(x, y): [(0.0, -90.0), (200, -90)]})
    (edge,) = drawn.picture.edges
    assert edge.bends == ((0.0, -90.0), (200.0, -90.0))
    up, along, down = ways(drawn.svg)["e0"]
    assert up[1] == along[0] == pytest.approx((up[0][0], along[0][1]))
    assert along[1][1] == along[0][1] < up[0][1]
    assert along[1][0] - along[0][0] == pytest.approx(200.0)
    assert down[0] == along[1]
    # Where Graphviz lays out, it lays out arrows, too.
    assert "e0dot" not in mg.draw(y, bends={(x, y): [(0.0, -90.0)]}).dot


@pytest.mark.parametrize(
    ("bends", "message"),
    [
        ([1], "bends is a dict, such as"),
        ({"x": [(0.0, 1.0)]}, "bends is of pairs \\(node, user\\)"),
        ({("x", "y"): [(0.0, 1.0)]}, "bends holds 'x', which is no expression"),
        ({(X, Y): [1.0]}, "bends is a dict, such as .*; it has \\[1.0\\]"),
    ],
)
def test_corners_of_another_kind_are_refused(bends, message):
    with pytest.raises(mg.DTypeError, match=message):
        mg.draw(Y, bends=bends)
