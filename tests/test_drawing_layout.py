"""Pictures are read back: shapes, groups, places and directions."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any

import numpy as np
import pytest
from pictures import Box, Cell, cells, lines, read_dot, texts

import minigrad as mg
from minigrad.drawing import draw
from minigrad.drawing import palette as pal
from minigrad.drawing.arrows import NUMBERED

MUTED, LIGHT, RAMP = pal.MUTED, pal.LIGHT, pal.RAMP


# --- graphs ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [NUMBERED, NUMBERED + 1])
def test_edges_have_numbers_up_to_a_count_and_lanes_always(count: int) -> None:
    y = x = mg.var("x")
    chain = [x]
    for _ in range(count):
        y = mg.sin(y)
        chain.append(y)
    box = read_dot(draw(y, {x: 0.5}, grad=True, lanes={"lane": chain[:3]}).dot)
    assert len(box.edges) == count
    labelled = [a for a, _, e in box.edges if "label" in e]
    assert labelled == [f"n{k}" for k in range(count if count <= NUMBERED else 3)]
    heavy = [a for a, _, e in box.edges if e.get("weight") == "100"]
    assert heavy == ["n0", "n1"]
    grouped = {key for key, node in box.nodes.items() if "group" in node}
    assert grouped == {"n0", "n1", "n2"}


def test_lanes_are_lines_of_their_own() -> None:
    a, b = mg.var("a"), mg.var("b")
    up, down = mg.tanh(a).named("up"), mg.exp(b).named("down")
    box = read_dot(draw(up + down, lanes={"first": [a, up], "second": [b, down]}).dot)
    lanes = {texts(n["label"])[0].split("  ")[0]: n.get("group") for n in box.nodes.values()}
    assert lanes["a"] == lanes["up"] != lanes["b"] == lanes["down"]
    assert lanes["+"] is None
    assert [e.get("weight") for _, _, e in box.edges].count("100") == 2


def test_few_constants_are_written_into_their_users() -> None:
    for count in (4, 5):
        v = mg.var("v", (count,))
        c = mg.const(np.arange(float(count)))
        shown = {texts(n["label"])[0] for n in read_dot(draw(v * c).dot).nodes.values()}
        title = "· × [0, 1, 2, 3]"
        assert shown == ({"v", title} if count == 4 else {"v", "const", "×"})
    x, p = mg.var("x"), mg.param("p", np.array(2.0))
    nodes = read_dot(draw(x * p, inline=[p], names={p: "called"}).dot).nodes
    assert {texts(n["label"])[0] for n in nodes.values()} == {"x", "· × called"}
    numbers = {2.345678: "2.346", 1e6: "1e+06", 999_999.0: "999999", -0.5: "-0.5"}
    for value, written in numbers.items():
        shown = {texts(n["label"])[0] for n in read_dot(draw(x * value).dot).nodes.values()}
        assert shown == {"x", f"· × {written}"}


@pytest.mark.parametrize(
    ("array", "rows"),
    [
        ([1.0, -2.0], ["[1, -2]"]),
        ([1.0, -2.0, 3.0], ["[1, -2,", "3]"]),
        ([1.0, -2.0, 3.0, 4.0], ["[1, -2,", "3, 4]"]),
        ([[1.0, -2.0], [3.0, 4.0]], ["[[1, -2],", "[3, 4]]"]),
    ],
)
def test_more_than_two_elements_take_two_lines(array: list[Any], rows: list[str]) -> None:
    value = np.array(array)
    v = mg.var("v", value.shape)
    (node, *_) = read_dot(draw(v * v, {v: value}, grad=True).dot).nodes.values()
    label = ET.fromstring(f"<label>{node['label'][1:-1]}</label>")
    shown = [[font.text, *(br.tail for br in font)] for font in label.iter("FONT")]
    assert shown[1] == rows
    assert len(shown[2]) == len(rows)


def test_broadcasts_are_drawn_only_where_they_have_a_name() -> None:
    b, m = mg.var("b", (3,)), mg.var("m", (2, 3))
    for name in ("", "wide"):
        wide = mg.broadcast_to(b, (2, 3))
        nodes = read_dot(draw(m * (wide.named(name) if name else wide)).dot).nodes
        shown = {texts(n["label"])[0].split("  ")[0] for n in nodes.values()}
        assert shown == {"b", "m", "×"} | ({"wide"} if name else set())


@pytest.mark.parametrize("limit", [5, 6])
def test_the_limit_counts_nodes(limit: int) -> None:
    y = x = mg.var("x")
    for _ in range(5):
        y = mg.sin(y)
    if limit == 6:
        assert len(read_dot(draw(y, limit=limit).dot).nodes) == 6
    else:
        with pytest.raises(mg.GraphError, match="6 nodes"):
            draw(y, limit=limit)
    assert x is not y


def test_roles_have_their_shapes_and_colours_and_roots_a_double_line() -> None:
    v, p = mg.var("v", (6,)), mg.param("p", np.ones(6))
    c = mg.const(np.arange(6.0))
    y = v * p + c
    nodes = read_dot(draw([y, v * p]).dot).nodes
    shown = {texts(n["label"])[0]: n for n in nodes.values()}
    looks = {
        "v": ("ellipse", "input"),
        "p": ("cylinder", "param"),
        "const": ("note", "constant"),
        "×": ("box", "page"),
        "+": ("box", "page"),
    }
    for name, (shape, fill) in looks.items():
        assert (shown[name]["shape"], shown[name]["fillcolor"]) == (shape, LIGHT[fill])
        assert shown[name]["color"] == LIGHT["wire"]
    assert {n for n, a in shown.items() if a.get("peripheries") == "2"} == {"×", "+"}


@pytest.mark.parametrize("direction", ["LR", "TB", "RL", "BT"])
def test_the_direction_is_the_one_asked_for(direction: str) -> None:
    x = mg.var("x")
    attributes = read_dot(draw(mg.tanh(x), direction=direction).dot).attributes
    assert (attributes["rankdir"], attributes["bgcolor"]) == (direction, pal.PAGE)


def test_groups_nest_as_their_sets_do() -> None:
    a = mg.var("a")
    b, c = mg.tanh(a).named("b"), mg.exp(a).named("c")
    d = (b + c).named("d")
    half = mg.const(0.5)  # is written into its user
    y = (half * d).named("y")
    groups = {
        "constants": [half],
        "inner": [b],
        "outer": iter([a, b, c, d]),
        "beside": [y],
        "middle": [b, c],
        "no": [],
    }
    box = read_dot(draw(y, groups=groups).dot)
    tree = {title: _tree(inner) for title, inner in _boxes(box).items()}
    assert tree == {
        "outer": ({"a", "d"}, {"middle": ({"c"}, {"inner": ({"b"}, {})})}),
        "beside": ({"y"}, {}),
    }
    assert not box.nodes
    assert {lines(b.attributes["tooltip"])[0] for b in box.boxes.values()} == {"outer", "beside"}


def _boxes(box: Box) -> dict[str, Box]:
    return {texts(b.attributes["label"])[0]: b for b in box.boxes.values()}


def _tree(box: Box) -> tuple[set[str], dict[str, Any]]:
    own = {texts(n["label"])[0].split("  ")[0] for n in box.nodes.values()}
    return own, {title: _tree(inner) for title, inner in _boxes(box).items()}


def test_groups_that_overlap_are_refused_by_name() -> None:
    a = mg.var("a")
    b = mg.tanh(a).named("the node")
    c, d = mg.exp(b), mg.sin(b)
    for groups in ({"one": [a, b], "two": [b, c]}, {"one": [b], "two": [b]}):
        with pytest.raises(mg.GraphError, match=r"'one' and 'two' share the node.*neither lies in"):
            draw(c + d, groups=groups)
    with pytest.raises(mg.GraphError, match="'up' and 'down' share the node"):
        draw(c + d, lanes={"up": [a, b], "down": [b, c]})
    # What is not drawn cannot be in two boxes: here a constant that is written into its user.
    half = mg.const(0.5)
    y = half * a + mg.exp(half * b)
    assert draw(y, groups={"one": [half, a], "two": [half, b]}).picture is not None
    wrong: Any
    for wrong, message in (({"one": b}, "is a list of nodes"), ({"one": [3]}, "holds 3")):
        with pytest.raises(mg.DTypeError, match=message):
            draw(y, groups=wrong)


def test_places_are_kept_and_boxes_lie_around_their_nodes() -> None:
    a = mg.var("a")
    b, c = mg.tanh(a).named("b"), mg.exp(a).named("c")
    y = (b + c).named("y")
    places = {a: (0.0, 10.0), b: (90.0, -20.0), c: (90.0, 60.0), y: (200.0, 5.0)}
    groups = {"in": [b], "out": [b, c]}
    box = read_dot(draw(y, places=places, groups=groups, lanes={"L": [a, b]}).dot)
    nodes = {texts(n["label"])[0].split("  ")[0]: n for k, n in box.nodes.items() if k[0] == "n"}
    for node, (x, down) in places.items():
        shown = [float(q) for q in nodes[node.name or node.label or ""]["pos"].split(",")]
        assert shown == [x, -down]
    extents = {key: _extent(box.nodes[key]) for key in ("group0", "group1", "lane0")}
    inner, outer = [extents[k] for k in sorted(extents) if _title(box.nodes[k]) in ("in", "out")]
    by_title = {_title(box.nodes[k]): e for k, e in extents.items()}
    assert by_title["in"] == pytest.approx((32.0, 148.0, -64.0, 24.0), abs=0.01)
    assert by_title["out"] == pytest.approx((24.0, 156.0, -80.0, 120.0), abs=0.01)
    assert by_title["L"] == pytest.approx((-142.0, 142.0, -49.0, 39.0), abs=0.01)
    assert inner != outer
    measured = draw(y, {a: 1.0}, grad=True, places=places)
    label = next(e["label"] for _, _, e in read_dot(measured.dot).edges)
    assert cells(label)[0].fill == pal.PAGE  # so that its line does not strike it through
    order = [_title(n) for k, n in box.nodes.items() if k.startswith("group")]
    assert order == ["out", "in"]  # what is painted later lies on top


def _title(node: dict[str, str]) -> str:
    return node["label"].removesuffix("\\l").removesuffix("\\r")


def _extent(node: dict[str, str]) -> tuple[float, float, float, float]:
    """(left, right, top, bottom) in points, y downwards."""
    x, up = (float(q) for q in node["pos"].split(","))
    wide, high = 72 * float(node["width"]), 72 * float(node["height"])
    return x - wide / 2, x + wide / 2, -up - high / 2, -up + high / 2


def test_the_reader_reads_what_it_should() -> None:
    box = read_dot(
        'digraph g {\n graph [a="x \\" y"]\n n [label=<<b>1 &gt; 0</b>>]\n n -> m [k=v]\n}'
    )
    assert box.attributes == {"a": 'x " y'}
    assert box.edges == [("n", "m", {"k": "v"})]
    assert cells("<<TABLE><TR><TD>a</TD></TR></TABLE>>") == [Cell("a", "", "", False, "")]


def test_constants_of_floats_are_written_in_four_digits() -> None:
    x = mg.var("x", (2,), "float32")
    titles = {node.title for node in mg.draw(x * np.float32([1.2396297, -2e-9])).picture.nodes}
    assert "· × [1.24, -2e-09]" in titles
    k = mg.var("k", (2,), "int64")
    assert "· × [123456, -2]" in {n.title for n in mg.draw(k * [123456, -2]).picture.nodes}
