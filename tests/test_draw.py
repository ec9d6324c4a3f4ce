"""Pictures of graphs: true numbers, kinds of nothing told apart, hostile names, every format."""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

import minigrad as mg
from minigrad.drawing import Diagram, Scale, draw
from minigrad.drawing.amount import Amount, norm
from minigrad.drawing.escape import esc, plain, tooltip
from minigrad.drawing.faults import RenderError
from minigrad.drawing.picture import Node
from minigrad.errors import GraphError
from minigrad.graph.leaves import placeholder

SVG = "{http://www.w3.org/2000/svg}"


def _picture(y, at=None, grad=True, **options):
    picture = draw(y, at, grad, **options).picture
    assert picture is not None
    return picture


def _node(picture, name) -> Node:
    (found,) = [n for n in picture.nodes if name in (n.name, n.title)]
    return found


def _network():
    rng = np.random.default_rng(1)
    W, b = mg.param("W", rng.normal(size=(4, 3))), mg.param("b", rng.normal(size=4))
    v = mg.var("v", (3,))
    hidden = mg.sigmoid(W @ v + b).named("hidden")
    y = mg.sum(hidden * hidden + 0.5 * mg.tanh(hidden)).named("y")
    return y, {v: [1.0, -2.0, 0.5]}, (W, b, v, hidden)


# --- numbers -------------------------------------------------------------------------------------


def test_values_and_adjoints_are_those_of_the_graph() -> None:
    y, at, nodes = _network()
    picture = _picture(y, at)
    adj = mg.adjoints(y)
    for node in (*nodes, y):
        shown = _node(picture, node.name)
        assert shown.value.norm == pytest.approx(norm(np.asarray(node.eval(at))), rel=1e-14)
        assert shown.adjoint.norm == pytest.approx(norm(np.asarray(adj[node].eval(at))), rel=1e-12)


def test_edges_show_the_engines_own_terms() -> None:
    a, b = mg.var("a"), mg.var("b")
    product = (a * b).named("p")
    y = (mg.tanh(product) + product * a).named("y")
    at = {a: 0.3, b: -1.7}
    adj = mg.adjoints(y)
    picture = _picture(y, at)
    names = {n.id: n.name or n.title for n in picture.nodes}
    shown = {(names[e.source], names[e.target]): e.term.elements[0] for e in picture.edges}
    assert shown["a", "p"] == pytest.approx(float(adj.edge(product, 0).eval(at)), rel=1e-14)
    assert shown["b", "p"] == pytest.approx(float(adj.edge(product, 1).eval(at)), rel=1e-14)


def test_an_adjoint_is_the_sum_of_the_drawn_edges() -> None:
    x = mg.var("x")
    y = mg.exp(x) * mg.sin(x) + x**3 - 2.0 * x
    picture = _picture(y, {x: 0.8})
    for node in picture.nodes:
        terms = [e.term.elements[0] for e in picture.edges if e.source == node.id]
        if terms:
            assert sum(terms) == pytest.approx(node.adjoint.elements[0], rel=1e-14)


def test_folded_broadcasts_show_what_arrives_at_the_source() -> None:
    b, m = mg.var("b", (3,)), mg.var("m", (2, 3))
    y = mg.sum(m * b + mg.square(m) * b)  # one broadcast of b, with two uses
    at = {b: [1.0, 2.0, 3.0], m: np.arange(6.0).reshape(2, 3)}
    picture = _picture(y, at)
    assert not any("broadcast" in n.title for n in picture.nodes)
    source = _node(picture, "b")
    terms = [e.term for e in picture.edges if e.source == source.id]
    assert [t.shape for t in terms] == [(3,), (3,)]
    total = np.sum([t.elements for t in terms], axis=0)
    np.testing.assert_allclose(total, source.adjoint.elements, rtol=1e-14)
    np.testing.assert_allclose(total, mg.grad(y, b).eval(at), rtol=1e-14)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((2, 3), (3,)), ((3,), (3, 2)), ((3,), (3,)), ((4, 2, 3), (4, 3, 2)), ((4, 2, 3), (3, 5)),
        ((4, 2, 3), (3,)), ((2, 3), (4, 3, 5)),
    ],
)  # fmt: skip
def test_a_product_is_one_shape(a, b, rng) -> None:
    """Its value and adjoint have the shape of `A @ v`, and its lines the terms of the operands."""
    A, v = mg.param("A", rng.normal(size=a)), mg.param("v", rng.normal(size=b))
    product = (A @ v).named("Av")
    at, y = {}, mg.sum(mg.square(product))
    picture = _picture(y, at)
    assert [n.name or n.title for n in picture.nodes] == ["A", "v", "Av", "square", "Σ"]
    node, adj = _node(picture, "Av"), mg.adjoints(y)
    assert (node.title, node.value.shape) == ("@", product.shape)
    assert node.value.norm == pytest.approx(norm(product.eval(at)), rel=1e-14)
    assert node.adjoint.norm == pytest.approx(norm(adj[product].eval(at)), rel=1e-14)
    assert node.notes[0] == f"matmul: {product.type!r}"
    into = {e.source: e for e in picture.edges if e.target == node.id}
    for position, operand in enumerate((A, v)):
        edge = into[_node(picture, operand.name).id]
        assert (edge.position, edge.term.shape) == (position, operand.shape)
        assert edge.term.norm == pytest.approx(norm(adj[operand].eval(at)), rel=1e-13)
    written = dict(_node(_picture(y, at, inline=[A, v]), "Av").inlined)
    assert {name: term.norm for name, term in written.items()} == {
        name: into[_node(picture, name).id].term.norm for name in ("A", "v")
    }


def test_a_product_that_is_read_as_a_matrix_too_is_drawn_as_what_it_is() -> None:
    """Else two shapes would have the same lines, and terms would count twice."""
    W, v = mg.param("W", np.eye(2)), mg.var("v", (2,))
    y = mg.sum(W @ v) + mg.sum(mg.square(W @ mg.reshape(v, (2, 1))))
    picture = _picture(y, {v: [1.0, 2.0]})
    assert [n.title for n in picture.nodes if n.title in ("@", "reshape")] == ["@", "reshape"]
    (edge,) = [e for e in picture.edges if e.source == _node(picture, "W").id]
    assert edge.term.norm == pytest.approx(_node(picture, "W").adjoint.norm)
    _, stacks = mg.scan(lambda h, _: (W @ h, W @ mg.reshape(h, (2, 1))), v, length=3)
    inside = draw(mg.sum(stacks)).picture
    assert [n.title for n in inside.nodes if n.title in ("@", "reshape")] == ["@", "reshape"]
    alone = draw([W @ v, W @ mg.reshape(v, (2, 1))], {v: [1.0, 2.0]}).picture
    assert [n.title for n in alone.nodes if n.is_root] == ["@", "reshape"]


def test_params_written_into_their_users_keep_their_terms() -> None:
    y, at, (W, b, *_) = _network()
    picture = _picture(y, at, inline=[W, b])
    assert not any(n.name == "W" for n in picture.nodes)
    inlined = {name: term.norm for n in picture.nodes for name, term in n.inlined}
    adj = mg.adjoints(y)
    assert inlined["W"] == pytest.approx(norm(adj[W].eval(at)), rel=1e-12)
    assert inlined["b"] == pytest.approx(norm(adj[b].eval(at)), rel=1e-12)


def test_norms_neither_overflow_nor_underflow() -> None:
    assert norm(np.array([3e200, 4e200])) == pytest.approx(5e200)
    assert norm(np.array([5e-324, 0.0])) == 5e-324
    assert np.isnan(norm(np.array([np.inf, np.nan])))
    assert norm(np.array([True, True])) == pytest.approx(2**0.5)


# --- kinds of nothing ----------------------------------------------------------------------------


def test_zero_underflow_and_unconnected_differ() -> None:
    x, z, u, k = mg.var("x"), mg.var("z"), mg.var("u"), mg.var("k")
    tiny = 1e-200 * (1e-200 * u)
    y = x * 0.0 + z + tiny + mg.floor(k)
    picture = _picture(y, {x: 1.0, z: 1.0, u: 1.0, k: 1.5})
    kinds = {n.name or n.title: n.adjoint.kind for n in picture.nodes if n.role == "input"}
    assert kinds == {"x": "zero", "z": "normal", "u": "underflow", "k": "disconnected"}
    edges = {e.source: e.term.kind for e in picture.edges}
    assert edges[_node(picture, "k").id] == "disconnected"
    assert edges[_node(picture, "u").id] == "underflow"
    assert edges[_node(picture, "x").id] == "zero"


def test_what_follows_an_underflow_is_called_by_its_cause() -> None:
    x = mg.var("x")
    y = x
    for _ in range(5):
        y = 1e-100 * mg.tanh(y)
    picture = _picture(y, {x: 1.0})
    assert _node(picture, "x").adjoint.kind == "underflow"


def test_nan_and_inf_are_drawn_as_such() -> None:
    x, z = mg.var("x"), mg.var("z")
    picture = _picture(mg.sqrt(x) + mg.log(z), {x: 0.0, z: -1.0})
    assert _node(picture, "x").adjoint.kind == "inf"
    assert _node(picture, "log").value.kind == "nan"
    assert draw(mg.sqrt(x), {x: 0.0}, grad=True).svg


def test_an_empty_tensor_is_drawn() -> None:
    v = mg.var("v", (0,))
    diagram = draw(mg.sum(v * 2.0), {v: []}, grad=True)
    assert _node(diagram.picture, "v").value == Amount((0,), 0.0, None, None, (), "zero")
    assert "empty" in diagram.svg


def test_integers_and_masks_are_drawn_without_gradient() -> None:
    x, k = mg.var("x", (3,)), mg.var("k", (3,), "int64")
    y = mg.sum(mg.where(k > 1, x, 0.0))
    picture = _picture(y, {x: [1.0, 2.0, 3.0], k: [0, 2, 5]})
    assert _node(picture, "k").adjoint.kind == "disconnected"


# --- what is drawn -------------------------------------------------------------------------------


def test_constants_are_written_into_their_users() -> None:
    x = mg.var("x")
    picture = _picture(1.0 / (2.5 * x + 1.0), grad=False)
    assert [n.title for n in picture.nodes] == ["x", "2.5 × ·", "· + 1", "1 / ·"]


def test_a_graph_without_values_shows_structure_only() -> None:
    x = mg.var("x")
    picture = _picture(mg.tanh(x), grad=False)
    assert not picture.has_values
    assert all(n.value is None and n.adjoint is None for n in picture.nodes)


def test_several_outputs_and_a_lone_leaf() -> None:
    x = mg.var("x")
    assert len(_picture([mg.tanh(x), mg.exp(x)], grad=False).nodes) == 3
    assert len(_picture(mg.const(2.0), {}, grad=True).nodes) == 1


def test_groups_and_places() -> None:
    x = mg.var("x")
    inner = mg.tanh(x)
    y = mg.exp(inner)
    grouped = draw(y, {x: 1.0}, groups={"inside": [inner]})
    assert "cluster_0" in grouped.dot
    assert "inside" in grouped.svg
    placed = draw(y, places={x: (0, 0), inner: (80, 0), y: (160, 0)}, groups={"g": [inner]})
    assert "layout=nop" in placed.dot
    assert placed.svg


def test_one_scale_can_be_shared() -> None:
    x = mg.var("x")
    scale = Scale(-8.0, 2.0)
    assert _picture(mg.tanh(x), {x: 1.0}, scale=scale).scale is scale


# --- refusals ------------------------------------------------------------------------------------


def test_large_graphs_are_refused_with_alternatives() -> None:
    x = mg.var("x")
    y = x
    for _ in range(2100):
        y = mg.tanh(y)
    with pytest.raises(GraphError, match=r"2,101 nodes.*limit=None"):
        draw(y, fold=False)
    assert len(_picture(y, grad=False, fold=False, limit=None).nodes) == 2101


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: draw(x, grad=True), "needs values for x"),
        (lambda x: draw([x, x * 2], {x: 1.0}, grad=True), "one expression"),
        (lambda x: draw(x, direction="up"), "direction"),
        (lambda x: draw(3), "needs an expression"),
        (lambda x: draw([]), "needs an expression"),
        (lambda x: draw(x, {"nobody": 1.0}), "nobody"),
    ],
)
def test_mistakes_are_explained(call, message) -> None:
    with pytest.raises(mg.MinigradError, match=message):
        call(mg.var("x"))


# --- hostile names -------------------------------------------------------------------------------

HOSTILE = [
    'say "hi"',
    "<b>bold</b> & <br/>",
    "line\nbreak\r\ttab",
    "back\\slash \\N \\l \\",
    "]]> --> <!--",
    "' onload='alert(1)",
    "\u202eright to left",
    "e\x01\x1b[31m",
    "😀 ∂L/∂C₁ é",
    "&lt; &#0; %s {x}",
    "x" * 500,
    "<>",
    "\udc80 lone",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_stay_text(name: str) -> None:
    x = mg.var(name)
    y = (mg.tanh(x) * 2.0).named(name + "!")
    diagram = draw(y, {x: 0.5}, grad=True, groups={name: [y]}, title=name)
    root = ET.fromstring(diagram.svg)
    words = "".join("".join(t.itertext()) for t in root.iter(f"{SVG}text"))
    assert plain(name, 40)[:20].replace(" ", "") in words.replace("\xa0", "").replace(" ", "")
    tags = {e.tag.removeprefix(SVG) for e in root.iter()}
    allowed = {"svg", "g", "title", "desc", "style", "polygon", "path", "ellipse", "text"}
    assert tags <= allowed | {"polyline", "rect"}
    assert not any(key.startswith("on") for e in root.iter() for key in e.attrib)


def test_what_derivatives_make_for_themselves_has_a_name() -> None:
    inner = placeholder("cotangent", mg.var("x").type)
    assert _picture(mg.tanh(inner), grad=False).nodes[0].title == "cotangent"


def test_escaping_helpers() -> None:
    assert esc('a<b>&"\\') == "a&lt;b&gt;&amp;&quot;&#92;&#92;"
    assert tooltip(["a\\b", "c\nd"]) == "a\\\\\\\\b\\nc^Jd"


# --- formats -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def diagram() -> Diagram:
    y, at, _ = _network()
    return draw(y, at, grad=True)


@pytest.mark.parametrize(
    ("suffix", "start"),
    [("svg", b"<?xml"), ("png", b"\x89PNG"), ("pdf", b"%PDF"), ("dot", b"digraph"), ("SVG", b"<")],
)
def test_every_format_is_saved(diagram, tmp_path: Path, suffix: str, start: bytes) -> None:
    path = diagram.save(tmp_path / f"picture.{suffix}")
    assert path.read_bytes().startswith(start)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_values_by_name_draw_the_same() -> None:
    x, b = mg.var("x"), mg.var("b")
    y = mg.relu(x) * b  # a zero is looked into again, by a graph that knows of no names
    assert (
        draw(y, {"x": -1.0, "b": 2.0}, grad=True).dot == draw(y, {x: -1.0, b: 2.0}, grad=True).dot
    )
    with pytest.raises(GraphError, match=r"no variable 'c' here; there are: .*x: float64"):
        draw(y, {"c": 1.0, x: 1.0, b: 1.0}, grad=True)
    with pytest.raises(GraphError, match="at is a dict of values"):
        draw(y, "y.svg")


def test_other_suffixes_are_refused_and_leave_nothing(diagram, tmp_path: Path) -> None:
    for name in ("picture.jpeg", "picture"):
        with pytest.raises(GraphError, match="svg, png, pdf, dot"):
            diagram.save(tmp_path / name)
    with pytest.raises(OSError, match=r"there is no folder.*nowhere'$"):
        diagram.save(tmp_path / "nowhere" / "picture.dot")
    assert not list(tmp_path.iterdir())


def test_the_svg_has_words_ids_of_its_own_and_nothing_foreign(diagram) -> None:
    root = ET.fromstring(diagram.svg)
    assert root.find(f"{SVG}title").text == "Gradients of y"
    assert "adjoint" in root.find(f"{SVG}desc").text
    ids = [e.get("id") for e in root.iter() if e.get("id")]
    assert len(ids) == len(set(ids))
    assert all(i.startswith(diagram.prefix) for i in ids)
    assert "href" not in diagram.svg
    hints = [t.text for t in root.iter(f"{SVG}title")]
    assert any("term of the adjoint of hidden" in h for h in hints)


def test_the_same_picture_gives_the_same_files() -> None:
    x = mg.var("x")
    first, again = (draw(mg.tanh(x), {x: 1.0}, grad=True) for _ in range(2))
    assert (first.dot, first.svg) == (again.dot, again.svg)


def test_the_origin_says_the_file_and_no_folder(diagram) -> None:
    assert "test_draw.py:" in diagram.dot
    assert str(Path(__file__).parent) not in diagram.dot


def test_a_notebook_shows_svg_and_text(diagram) -> None:
    bundle = diagram._repr_mimebundle_(include=None, exclude=None)
    assert bundle["image/svg+xml"].startswith("<svg")
    assert bundle["text/plain"].startswith("Gradients of y")


def test_a_notebook_without_renderer_gets_the_dot(monkeypatch) -> None:
    def fail(*args, **kwargs):
        raise RenderError("no Graphviz here")

    monkeypatch.setattr("minigrad.drawing.diagram.render", fail)
    x = mg.var("x")
    bundle = draw(mg.tanh(x))._repr_mimebundle_()
    assert set(bundle) == {"text/plain"}
    assert "no Graphviz here" in bundle["text/plain"]
    assert "digraph" in bundle["text/plain"]


def test_the_engine_does_not_load_the_drawing() -> None:
    code = (
        "import sys, minigrad; assert 'graphviz' not in sys.modules; import minigrad.drawing;"
        "x = minigrad.var('x'); print(minigrad.draw(x).title)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "Graph of x"


def test_ops_are_round_and_leaves_have_corners() -> None:
    v = mg.var("v", (2,))
    dot = draw(mg.sum(mg.tanh(v))).dot
    styles = [line.split("style=")[1].split()[0] for line in dot.splitlines() if "style=" in line]
    assert styles == ["filled", '"rounded,filled"', '"rounded,filled"']
    wires = [line for line in dot.splitlines() if " -> " in line]
    assert len(wires) == 2
    assert all(" penwidth=1.1" in wire for wire in wires)


def test_an_error_names_five_of_the_variables_without_values() -> None:
    x = [mg.var(f"x{k}") for k in range(8)]
    total = x[0]
    for other in x[1:]:
        total = total + other
    with pytest.raises(GraphError, match="values for x0, x1, x2, x3, x4: pass"):
        draw(total, grad=True)


def test_a_summary_has_lines_for_what_has_numbers() -> None:
    x = mg.var("x")
    assert draw(mg.tanh(x)).picture.summary().count("\n") == 0
    assert draw(mg.tanh(x), {x: 1.0}).picture.summary().count("\n") == 2
