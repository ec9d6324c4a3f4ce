"""Pictures are read back: what DOT and SVG show is compared with numbers worked out here."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from typing import Any

import numpy as np
import pytest
from pictures import SVG, Box, cells, elements, hint, lines, read_dot, texts, words

import minigrad as mg
from minigrad import Expr
from minigrad.drawing import Diagram, Scale, draw
from minigrad.drawing import palette as pal

MUTED, LIGHT, RAMP = pal.MUTED, pal.LIGHT, pal.RAMP
CLASSES = 12  # of Scale(-6, 0): half a decade each, so that class k is colour k of the ramp
SCALE = Scale(-6.0, 0.0)
STYLES = {  # kind: colour, width, dash
    "below": (RAMP[0], 1.2, "dashed"),
    "underflow": (pal.UNDERFLOW, 2.4, "dashed"),
    "zero": (pal.ZERO, 2.4, "dotted"),
    "disconnected": (pal.DISCONNECTED, 1.0, "dotted"),
    "nan": (pal.NAN, 5.0, "dashed"),
    "inf": (pal.INF, 6.5, "solid"),
}


def _class_style(k: int) -> tuple[str, float, str]:
    return RAMP[k], 1.1 + k / (CLASSES - 1) * (4.5 - 1.1), "solid"


def _short(x: float) -> str:
    return "0" if x == 0 else f"{x:.3g}"


def _edges(box: Box, nodes: dict[str, str]) -> dict[tuple[str, str], dict[str, str]]:
    return {(nodes[a], nodes[b]): attributes for a, b, attributes in box.edges}


def _names(box: Box) -> dict[str, str]:
    """{id: first words of the label}; a node with a name has its op in the same cell."""
    return {key: texts(a["label"])[0].split("  ")[0] for key, a in box.all_nodes().items()}


def _by_name(box: Box) -> dict[str, dict[str, str]]:
    nodes = box.all_nodes()
    names = _names(box)
    assert len(set(names.values())) == len(names)
    return {name: nodes[key] for key, name in names.items()}


def _style_of(edge: dict[str, str]) -> tuple[str, float, str]:
    return edge["color"], float(edge["penwidth"]), edge["style"]


def _check_style(edge: dict[str, str], expected: tuple[str, float, str]) -> None:
    color, width, dash = _style_of(edge)
    assert (color, dash) == (expected[0], expected[2])
    assert width == pytest.approx(expected[1], abs=0.006)


def _weighted(factors: list[float]) -> Diagram:
    """Σ factor·x, so that each ∂/∂x and the term of the edge that leaves x are the factor."""
    xs = [mg.var(f"x{k}") for k in range(len(factors))]
    total: Expr = mg.const(0.0)
    for x, factor in zip(xs, factors, strict=True):
        total = total + factor * x
    return draw(total, dict.fromkeys(xs, 1.0), grad=True, scale=SCALE, limit=None)


# --- colour, width and number of each magnitude --------------------------------------------------


def _beside_thresholds() -> list[tuple[float, int]]:
    """(magnitude, class) just under, at and just over each bound of the scale."""
    found: list[tuple[float, int]] = []
    for k in range(CLASSES + 1):
        bound = 10.0 ** (-6 + k / 2)
        found += [(bound * (1 - 1e-6), k - 1), (bound, k), (bound * (1 + 1e-6), k)]
    return [(x, min(k, CLASSES - 1)) for x, k in found]


def test_every_magnitude_has_its_colour_and_width_on_both_sides_of_each_bound() -> None:
    expected = _beside_thresholds()
    signed = [x if k % 2 else -x for k, (x, _) in enumerate(expected)]
    box = read_dot(_weighted(signed).dot)
    nodes, names = _by_name_of_inputs(box), _names(box)
    edges = {names[a]: e for a, _, e in box.edges if names[a].startswith("x")}
    for k, (x, index) in enumerate(expected):
        style = _class_style(index) if index >= 0 else STYLES["below"]
        _check_style(edges[f"x{k}"], style)
        node = nodes[f"x{k}"]
        assert node["color"] == style[0]
        assert float(node["penwidth"]) == pytest.approx(min(style[1], 3.0), abs=0.006)
        assert ("dashed" in node["style"]) == (index < 0)
        chip = cells(node["label"])[2]
        assert chip.text == f"∂ {_short(signed[k])}"
        assert chip.fill == (style[0] if index >= 0 else "")
        assert f"adjoint: {signed[k]!r}" in lines(node["tooltip"])
        assert lines(edges[f"x{k}"]["tooltip"])[1].endswith(f": {signed[k]!r}"), x


def _by_name_of_inputs(box: Box) -> dict[str, dict[str, str]]:
    names = _names(box)
    return {names[key]: a for key, a in box.all_nodes().items() if names[key].startswith("x")}


def test_a_magnitude_far_above_the_scale_has_the_top_class() -> None:
    box = read_dot(_weighted([1e30]).dot)
    (edge,) = [e for a, _, e in box.edges if _names(box)[a] == "x0"]
    _check_style(edge, _class_style(CLASSES - 1))


def test_colour_and_width_are_those_of_the_norm() -> None:
    v = mg.var("v", (2,))
    y = mg.sum(v * np.array([3e-3, -4e-3]))
    box = read_dot(draw(y, {v: [1.0, 1.0]}, grad=True, scale=SCALE).dot)
    edge = next(e for a, _, e in box.edges if _names(box)[a] == "v")
    _check_style(edge, _class_style(7))  # 5e-3: 10**-2.5 = 3.2e-3 ≤ 5e-3 < 1e-2
    assert texts(edge["label"]) == ["[0.003, -0.004]"]
    assert lines(edge["tooltip"])[1].endswith(": [0.003, -0.004], norm 0.005")


# --- kinds ---------------------------------------------------------------------------------------


def _kinds() -> dict[str, tuple[Expr, dict[Expr, Any], str]]:
    """{kind: (expression, values, the words for ∂/∂x)}; the edge that leaves x has that kind."""
    x = mg.var("x")
    return {
        "normal": (0.5 * x, {x: 1.0}, "0.5"),
        "below": (1e-9 * x, {x: 1.0}, "1e-09"),
        "underflow": (1e-200 * (1e-200 * x), {x: 1.0}, "underflow (≈0)"),
        "zero": (0.0 * x, {x: 1.0}, "0"),
        "disconnected": (mg.floor(x) + 1.0, {x: 1.5}, "not connected"),
        "nan": (np.nan * x, {x: 1.0}, "nan"),
        "inf": (mg.sqrt(x), {x: 0.0}, "inf"),
    }


FLOATS = ("normal", "below", "zero", "nan", "inf")
LEGEND = {
    "below": "below 1e-06",
    "underflow": "underflow",
    "zero": "0",
    "disconnected": "not connected",
    "nan": "nan",
    "inf": "inf",
}


@pytest.mark.parametrize("kind", _kinds())
def test_each_kind_has_its_look_its_words_and_its_entry_in_the_legend(kind: str) -> None:
    y, at, said = _kinds()[kind]
    box = read_dot(draw(y, at, grad=True, scale=SCALE).dot)
    names = _names(box)
    key, node = next((k, n) for k, n in box.nodes.items() if names[k] == "x")
    edge = next(e for a, _, e in box.edges if a == key)
    expected = STYLES.get(kind) or _class_style(11)
    if kind == "normal":
        expected = _class_style(11)  # 0.5 lies in the highest half decade
    _check_style(edge, expected)
    assert texts(edge["label"]) == [said]
    assert cells(node["label"])[2].text == f"∂ {said}"
    assert (cells(node["label"])[2].fill != "") == (kind in ("normal", "nan", "inf"))
    notes = {
        "underflow": "adjoint: 0.0 (underflow)",
        "disconnected": "adjoint: none, no differentiable path leads here",
    }
    said_of_node = [line for line in lines(node["tooltip"]) if line.startswith("adjoint")]
    assert said_of_node == [notes.get(kind, f"adjoint: {float(said) if kind in FLOATS else 0!r}")]
    said_of_edge = lines(edge["tooltip"])[1]
    assert (said_of_edge == "no derivative passes here") == (kind == "disconnected")
    assert ("(underflow: nonzero factors, product 0)" in said_of_edge) == (kind == "underflow")
    others = {"normal", kind} | ({"below"} if kind == "underflow" else set())
    _check_legend(box, others)


def test_the_legend_of_all_kinds_and_of_none() -> None:
    x, z, u, k, n, i, b = (mg.var(c) for c in "xzukniB")
    y = 0.0 * x + 0.5 * z + 1e-200 * (1e-200 * u) + mg.floor(k) + np.nan * n
    y = y + mg.sqrt(i) + 1e-9 * b
    at = dict.fromkeys((x, z, u, k, n, b), 1.0) | {i: 0.0}
    _check_legend(read_dot(draw(y, at, grad=True, scale=SCALE).dot), set(STYLES))
    _check_legend(read_dot(draw(0.5 * z, at={z: 1.0}, grad=True, scale=SCALE).dot), {"normal"})
    assert "Gradient" not in draw(0.5 * z, at={z: 1.0}).dot


def test_what_leads_to_a_zero_is_zero_and_no_underflow() -> None:
    x = mg.var("x")
    box = read_dot(draw(0.0 * mg.tanh(x) * 1e-300, {x: 1.0}, grad=True, scale=SCALE).dot)
    said = {_names(box)[a]: texts(e["label"]) for a, _, e in box.edges}
    assert (said["x"], said["tanh"], said["0 × ·"]) == (["0"], ["0"], ["1e-300"])
    _check_legend(box, {"normal", "below", "zero"})


@pytest.mark.parametrize(
    ("factors", "scale", "expected"),
    [
        ((2000.0, -1999.5), None, Scale(-1.0, 4.0)),  # ∂/∂x is only 0.5
        ((1e-4,), None, Scale(-4.0, 0.0)),
        ((1e-40,), SCALE, SCALE),
    ],
)
def test_the_scale_covers_everything_that_is_shown_or_is_the_callers(
    factors: tuple[float, ...], scale: Scale | None, expected: Scale
) -> None:
    x = mg.var("x")
    y = factors[0] * x if len(factors) == 1 else factors[0] * x + factors[1] * x
    picture = draw(y, {x: 1.0}, grad=True, scale=scale).picture
    assert picture is not None
    assert picture.scale == expected


def test_the_legend_counts_nodes_edges_and_what_is_written_into_nodes() -> None:
    x, z = mg.var("x"), mg.var("z")
    on_edge = draw(0.5 * x + 0.0 * x, {x: 1.0}, grad=True, scale=SCALE)
    _check_legend(read_dot(on_edge.dot), {"normal", "zero"})
    on_node = draw(mg.sqrt(x) - mg.sqrt(x * 1.0), {x: 0.0}, grad=True, scale=SCALE)  # ∞ − ∞
    _check_legend(read_dot(on_node.dot), {"normal", "inf", "nan"})
    p = mg.param("p", np.array(2.0))
    written = draw(p * z, {z: 0.0}, grad=True, scale=SCALE, inline=[p])
    box = read_dot(written.dot)
    _check_legend(box, {"normal", "zero"})
    (user,) = [n for n in box.nodes.values() if texts(n["label"])[0] == "p × ·"]
    assert texts(user["label"])[1:] == ["0", "∂ 1", "∂p 0"]
    box = read_dot(draw(p * z, {z: 3.0}, grad=True, scale=SCALE, inline=[p]).dot)
    (user,) = [n for n in box.nodes.values() if texts(n["label"])[0] == "p × ·"]
    assert [(c.text, c.fill) for c in cells(user["label"])[2:]] == [
        ("∂ 1", RAMP[CLASSES - 1]),
        ("∂p 3", RAMP[CLASSES - 1]),
    ]


def _check_legend(box: Box, kinds: set[str]) -> None:
    title, caption, *entries = cells(box.attributes["label"])
    assert title.is_bold
    assert "colour and width are the norm" in caption.text
    classes, others = entries[:CLASSES], entries[CLASSES:]
    for k, entry in enumerate(classes):
        assert entry.fill == RAMP[k]
        assert float(entry.text) == pytest.approx(10.0 ** (-6 + k / 2), rel=5e-3)
        assert entry.align == "left"  # the bound stands where the class begins
        assert pal.contrast(entry.color, entry.fill) >= 4.5
    expected = {kind: label for kind, label in LEGEND.items() if kind in kinds}
    glyphs = {"dashed": "╍╍", "dotted": "····", "solid": "━━"}
    shown = [(e.color, e.text) for e in others]
    looks = [(STYLES[kind][0], glyphs[STYLES[kind][2]], words) for kind, words in expected.items()]
    assert shown == [(color, f"{glyph} {said}") for color, glyph, said in looks]


# --- numbers of a net, worked out with NumPy -----------------------------------------------------

W = np.array(
    [[0.3, -1.2, 0.7], [0.9, 0.1, -0.4], [-0.6, 0.5, 0.2], [1.1, -0.8, 0.3], [0.2, 0.4, 0.6]]
)
B = np.array([0.1, -0.2, 0.3, 0.05, -0.15])
V = np.array([1.0, -2.0, 0.5])


def _net() -> tuple[Diagram, dict[str, tuple[np.ndarray, np.ndarray]]]:
    """A drawn net, and {name: (value, adjoint)} of its nodes by the chain rule on paper."""
    weights, bias, v = mg.param("W", W), mg.param("b", B), mg.var("v", (3,))
    pre = (weights @ v + bias).named("pre")
    hidden = mg.tanh(pre).named("hidden")
    y = mg.sum(hidden * hidden).named("y")
    a = W @ V + B
    h = np.tanh(a)
    dh, da = 2 * h, 2 * h * (1 - h * h)
    expected = {
        "W": (W, np.outer(da, V)),
        "b": (B, da),
        "v": (V, W.T @ da),
        "pre": (a, da),
        "hidden": (h, dh),
        "y": (np.sum(h * h), np.array(1.0)),
    }
    return draw(y, {v: V}, grad=True), expected


def _few(array: np.ndarray, number: str) -> str:
    return "[" + ", ".join(format(float(x), number) for x in array) + "]"


def test_value_and_adjoint_stand_in_this_order_with_their_own_numbers() -> None:
    diagram, expected = _net()
    nodes = _by_name(read_dot(diagram.dot))
    for name, (value, adjoint) in expected.items():
        _, shown_value, shown_adjoint = cells(nodes[name]["label"])
        assert (shown_value.fill, shown_value.color) == ("", MUTED)
        assert shown_adjoint.fill in RAMP
        if value.size > 4:
            shape = "×".join(map(str, value.shape))
            assert shown_value.text == f"{shape} {value.min():.3g} … {value.max():.3g}"
            assert shown_adjoint.text == f"∂ ‖{np.linalg.norm(adjoint):.3g}‖"
        elif value.ndim:
            assert shown_value.text == _few(value, ".4g")
            assert shown_adjoint.text == f"∂ {_few(adjoint, '.3g')}"
        else:
            assert (shown_value.text, shown_adjoint.text) == (f"{value:.4g}", f"∂ {adjoint:.3g}")
        said = dict(line.split(": ", 1) for line in lines(nodes[name]["tooltip"]) if ": " in line)
        _check_long(said["value"], value)
        _check_long(said["adjoint"], adjoint)


def _check_long(said: str, array: np.ndarray) -> None:
    """A tooltip's words against the array: elements, norm, extremes and shape, all digits."""
    number = r"(-?[\d.]+(?:e-?\d+)?)"
    if array.ndim == 0:
        assert float(said) == pytest.approx(float(array), rel=1e-13)
        return
    if array.size <= 4:
        listed, _, norm = said.rpartition(", norm ")
        assert listed == f"[{listed[1:-1]}]"
        np.testing.assert_allclose([float(x) for x in listed[1:-1].split(", ")], array, rtol=1e-13)
        assert float(norm) == pytest.approx(np.linalg.norm(array), rel=1e-13)
        return
    match = re.fullmatch(rf"norm {number}, from {number} to {number}, shape (.*)", said)
    assert match is not None, said
    numbers = [float(x) for x in match.groups()[:3]]
    expected = [np.linalg.norm(array), array.min(), array.max()]
    np.testing.assert_allclose(numbers, expected, rtol=1e-13)
    assert match[4] == str(array.shape)


def test_edges_carry_the_terms_of_their_own_source_operand_and_target() -> None:
    x, z = mg.var("x"), mg.var("z")
    q = (x / z).named("q")
    y = (q * q - 3.0 * z).named("y")
    box = read_dot(draw(y, {x: 2.0, z: -4.0}, grad=True).dot)
    names = _names(box)
    shown = [(names[a], names[b], texts(e["label"]), lines(e["tooltip"])) for a, b, e in box.edges]
    dq = 2 * (2.0 / -4.0)
    expected = [
        ("x", "q", 1, dq / -4.0),
        ("z", "q", 2, dq * -2.0 / 16.0),
        ("q", "×", 1, -0.5),
        ("q", "×", 2, -0.5),
        ("z", "3 × ·", 2, -3.0),
        ("×", "y", 1, 1.0),
        ("3 × ·", "y", 2, -1.0),
    ]
    assert sorted(shown) == sorted(
        (
            source,
            target,
            [_short(term)],
            [
                f"{source} → {target}, operand {position}",
                f"term of the adjoint of {source}: {term!r}",
            ],
        )
        for source, target, position, term in expected
    )


def test_the_title_and_the_description_name_roots_and_numbers() -> None:
    diagram, expected = _net()
    assert diagram.title == "Gradients of y"
    assert texts(read_dot(diagram.dot).attributes["label"])[0] == diagram.title
    head, *rest = diagram.description.split("\n")
    assert head == "Gradients of y: 8 nodes, 8 edges"
    (line,) = [line for line in rest if line.startswith("  v, ")]
    adjoint = _few(expected["v"][1], ".3g")
    assert line == f"  v, value {_few(V, '.3g')}, adjoint {adjoint}"
    x = mg.var("x")
    assert draw(mg.tanh(x)).title == "Graph of tanh(x)"
    assert draw(mg.tanh(x), title="mine").title == "mine"
    long = "x" * 100
    assert draw(mg.tanh(mg.var(long))).title == f"Graph of tanh({long[:74]}…"


def test_the_description_lists_twelve_nodes_at_most() -> None:
    for count in (11, 12, 13):
        total: Expr = mg.const(0.0)
        at = {}
        for k in range(count):
            x = mg.var(f"x{k}")
            at[x], total = 1.0, total + 2.0 * x
        lines_ = draw(total, at).description.split("\n")[1:]
        assert len(lines_) == min(12, count + 1)  # the root too


def test_fan_in_is_told_with_its_cancellation() -> None:
    x = mg.var("x")
    y = 3.0 * x - 2.0 * x
    nodes = _by_name(read_dot(draw(y, {x: 1.0}, grad=True).dot))
    assert lines(nodes["x"]["tooltip"])[-2:] == [
        "the sum of 2 terms, norms 3, 2",
        "|sum of terms| / sum of |terms|: 0.2",
    ]
    for count, listed in ((8, 8), (9, 8)):
        total = mg.sum(mg.stack([float(k) * x for k in range(2, count + 2)]))
        (node,) = _by_name_of_inputs(read_dot(draw(total, {x: 1.0}, grad=True).dot)).values()
        norms = ", ".join(str(k) for k in range(2, listed + 2))
        told = f"the sum of {count} terms, norms {norms}"
        assert lines(node["tooltip"])[-2] == told
    nodes = _by_name(read_dot(draw(3.0 * x, {x: 1.0}, grad=True).dot))
    assert not any("the sum of" in line for line in lines(nodes["x"]["tooltip"]))


# --- elements ------------------------------------------------------------------------------------


def test_small_matrices_show_their_elements_with_signs() -> None:
    x, weights = mg.var("x", (1, 1)), mg.param("W", np.array([[-2.0]]))
    y = mg.sigmoid((x @ weights).named("pre"))
    box = read_dot(draw(y, {x: [[0.5]]}, grad=True).dot)
    nodes = _by_name(box)
    slope = 1 / (1 + np.e) * (1 - 1 / (1 + np.e))  # σ′(−1)
    expected = {
        "x": (0.5, -2.0 * slope),
        "W": (-2.0, 0.5 * slope),
        "pre": (-1.0, slope),
        "σ": (1 / (1 + np.e), 1.0),
    }
    for name, (value, adjoint) in expected.items():
        assert texts(nodes[name]["label"])[1:] == [f"{value:.4g}", f"∂ {adjoint:.3g}"]
    shown = {(k[0]): texts(e["label"]) for k, e in _edges(box, _names(box)).items()}
    assert shown["x"] == [f"{-2.0 * slope:.3g}"]
    assert shown["W"] == [f"{0.5 * slope:.3g}"]


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.array([1.0, -3.0]), "[1, -3]"),
        (np.array([[1.0, -3.0]]), "[[1, -3]]"),
        (np.array([[1.0], [-3.0]]), "[[1], [-3]]"),
        (np.array([[1.0, -2.0], [3.0, -4.0]]), "[[1, -2], [3, -4]]"),
        (np.arange(4.0), "[0, 1, 2, 3]"),
        (np.arange(5.0), "5 0 … 4"),
        (np.array([-7.0]), "-7"),
        (-np.ones((2, 1, 2)), "[[[-1, -1]], [[-1, -1]]]"),
        (-np.ones((2, 3)), "2×3 -1 … -1"),
        (np.zeros((2, 0)), "2×0 empty"),
    ],
)
def test_elements_up_to_four_and_a_range_beyond(array: np.ndarray, said: str) -> None:
    v = mg.var("v", array.shape)
    nodes = _by_name(read_dot(draw(mg.exp(v), {v: array}).dot))
    assert texts(nodes["v"]["label"]) == ["v", said]
    adjoint = texts(_by_name(read_dot(draw(v * 1.5, {v: array}, grad=True).dot))["v"]["label"])[2]
    ones = 1.5 * np.ones_like(array)
    if array.size == 1:
        assert adjoint == "∂ 1.5"
    elif 0 < array.size <= 4:
        assert adjoint == f"∂ {ones.tolist()}"
    else:
        assert adjoint == f"∂ ‖{_short(float(np.linalg.norm(ones)))}‖"


def test_shapes_can_be_left_to_the_tooltips() -> None:
    v = mg.var("v", (5,))
    dot = draw(mg.exp(v), {v: np.arange(5.0)}, shapes=False).dot
    node = _by_name(read_dot(dot))["v"]
    assert texts(node["label"])[1] == "0 … 4"
    assert "shape (5,)" in lines(node["tooltip"])[-1]


# --- SVG -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def net() -> Diagram:
    return _net()[0]


def test_the_svg_draws_each_edge_and_node_as_the_dot_says(net: Diagram) -> None:
    box = read_dot(net.dot)
    parts = elements(net.svg, net.prefix)
    for _, _, edge in box.edges:
        group = parts[edge["id"]]
        path = group.find(f"{SVG}path")
        assert path is not None
        assert path.get("stroke") == edge["color"]
        assert float(path.get("stroke-width", "1")) == pytest.approx(float(edge["penwidth"]))
        assert hint(group).split("\n") == lines(edge["tooltip"])
        assert texts(edge["label"]) == [" ".join(words(group))]
    for key, node in box.nodes.items():
        group = parts[key]
        assert hint(group).split("\n") == lines(node["tooltip"])
        shown = " ".join(" ".join(words(group)).split())
        assert shown == " ".join(" ".join(texts(node["label"])).split())


def test_text_on_a_colour_can_be_read(net: Diagram) -> None:
    fills = 0
    for group in ET.fromstring(net.svg).iter(f"{SVG}g"):
        behind = ""
        if group.get("class") == "edge":
            continue  # a number beside its arrow
        for element in group:
            if element.tag == f"{SVG}polygon" and element.get("fill") in RAMP:
                behind = element.get("fill", "")
            elif element.tag == f"{SVG}text" and behind:
                assert pal.contrast(element.get("fill", ""), behind) >= 4.5
                fills, behind = fills + 1, ""
    assert fills == 8 + 6  # one for each node, and the classes of the legend


def test_every_colour_is_of_the_palette_and_dark_pages_change_it_by_name(net: Diagram) -> None:
    x = mg.var("x")
    y = mg.tanh(x)
    plain = draw(y, groups={"group": [y]})
    used = _named_colours(net.svg) | _named_colours(plain.svg)
    grounds = {"fill-page", "fill-input", "fill-param", "fill-group"}
    assert used >= grounds | {"fill-ink", "fill-muted", "stroke-wire", "fill-wire", "stroke-faint"}


def _named_colours(svg: str) -> set[str]:
    """The classes of colours that a dark page changes, each checked against its colour and rule."""
    root = ET.fromstring(svg)
    (style,) = [e.text or "" for e in root.iter(f"{SVG}style")]
    assert style.count(f"#{root.get('id')}") >= style.count("{") - 1  # of no other picture
    of_both = r"\.([\w-]+){(\w+):light-dark\((#\w+),(#\w+)\)}"
    rules = {name: (use, *colors) for name, use, *colors in re.findall(of_both, style)}
    seen = set()
    for element in root.iter():
        for use in ("fill", "stroke"):
            color = element.get(use, "none")
            if color == "none":
                continue
            name = pal.name_of(color)
            if name is None:
                assert color in (*RAMP, pal.BLACK, pal.WHITE)
                assert f"{use}-" not in element.get("class", "")
            else:
                assert f"{use}-{name}" in element.get("class", "").split()
                assert rules[f"{use}-{name}"] == (use, color, pal.DARK[name])
                seen.add(f"{use}-{name}")
    return seen


def test_names_are_bold_and_what_they_are_is_not(net: Diagram) -> None:
    root = ET.fromstring(net.svg)
    told = {t for g in root.iterfind(".//*[@class='told']") for t in g.iter(f"{SVG}text")}
    assert told  # what the focus shows
    shown = [e for e in root.iter(f"{SVG}text") if e not in told]
    weights = {"".join(e.itertext()).strip("\xa0 "): e.get("font-weight") for e in shown}
    assert weights["hidden"] == weights["W"] == weights["Gradients of y"] == "bold"
    assert weights["tanh"] is None
    assert not [text for text, weight in weights.items() if text.startswith("∂") and weight]


def test_sizes_of_svg_and_png_agree(net: Diagram) -> None:
    root = ET.fromstring(net.svg)
    wide, high = (float(root.get(side, "").removesuffix("pt")) for side in ("width", "height"))
    assert root.get("viewBox") == f"0.00 0.00 {wide:.2f} {high:.2f}"
    pixels = [int.from_bytes(net.png[k : k + 4], "big") for k in (16, 20)]
    assert pixels == [pytest.approx(wide * 96 / 72, abs=2), pytest.approx(high * 96 / 72, abs=2)]
