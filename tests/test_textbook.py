"""The textbook's figures, read back: what is drawn is the graph of the cell, box by box and wire by
wire, with its equations, and what is lit is what was asked for."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, ClassVar

import own_cells
import pytest
from matplotlib.figure import Figure

import lstm
import minigrad as mg
from lstm.cells import CELLS, Cell, Places
from lstm.errors import ConfigError
from lstm.figures.textbook.module import Lit, Module
from lstm.figures.textbook.one_cell import cell_figure
from lstm.figures.textbook.placing import plan_of
from lstm.figures.textbook.routing import routes_of
from lstm.figures.textbook.wiring import wiring_of
from minigrad.drawing.palette import DARK, LIGHT

OWN = [own_cells.Blend, own_cells.Leaky, own_cells.Original, own_cells.NoOut, own_cells.TwoLines]
CELL_TYPES = [*CELLS.values(), *OWN]


def made(kind: type[Cell[Any]]) -> Cell[Any]:
    return kind(2, 3)


def boxes(cell: Cell[Any], kind: str) -> dict[str, str]:
    return {b.name: b.words for b in wiring_of(cell).boxes.values() if b.kind == kind}


# --- what is read from the graph -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "layers", "ops"),
    [
        ("rnn", {"h": "tanh"}, {}),
        (
            "lstm",
            {"f": "σ", "i": "σ", "C̃": "tanh", "o": "σ"},
            {"C.0": "×", "C.1": "×", "C": "+", "h.1": "tanh", "h": "×"},
        ),
        (
            "coupled",
            {"f": "σ", "C̃": "tanh", "o": "σ"},
            {"i": "1−", "C.0": "×", "C.1": "×", "C": "+", "h.1": "tanh", "h": "×"},
        ),
        (
            "gru",
            {"z": "σ", "r": "σ", "h̃": "tanh"},
            {"h̃.0.0.0.0": "×", "h.0.0": "1−", "h.0": "×", "h.1": "×", "h": "+"},
        ),
        (
            "mgu",
            {"f": "σ", "h̃": "tanh"},
            {"h̃.0.0.0.0": "×", "h.0.0": "1−", "h.0": "×", "h.1": "×", "h": "+"},
        ),
    ],
)
def test_layers_and_pointwise_ops_are_the_textbooks(
    name: str, layers: dict[str, str], ops: dict[str, str]
) -> None:
    cell = made(CELLS[name])
    assert boxes(cell, "layer") == layers
    assert boxes(cell, "pointwise") == ops


def test_wires_are_those_of_the_lstms_equations() -> None:
    hx = "f.0.0.0"
    read = {"C.0": ["f", "C_before"], "C.1": ["i", "C̃"], "C": ["C.0", "C.1"], "h.1": ["C"]}
    read |= {"h": ["o", "h.1"], hx: ["h_before", "x"], "f": [hx], "i": [hx], "C̃": [hx], "o": [hx]}
    read |= {"h_after": ["h"], "C_after": ["C"], "out": ["h"]}
    inputs = wiring_of(made(CELLS["lstm"])).inputs
    assert {name: reads for name, reads in inputs.items() if reads} == read


def test_what_else_layers_read_enters_them_beside_h_and_x() -> None:
    inputs = wiring_of(made(CELLS["peephole"])).inputs
    assert [inputs[gate][1:] for gate in ("f", "i", "C̃", "o")] == [["C_before"]] * 2 + [[], ["C"]]
    after = wiring_of(made(CELLS["gru-after"]))
    assert after.inputs["h̃.0"] == ["h̃.0.0", "h̃.0.1"]
    assert boxes(after_cell := made(CELLS["gru-after"]), "layer")["h̃.0.1.1"] == "U_h, b_U"
    assert boxes(after_cell, "pointwise")["h̃"] == "tanh"
    normed = wiring_of(made(CELLS["layernorm-lstm"]))
    assert [normed.inputs[gate] for gate in ("f", "o")] == [["h_before, x"]] * 2


@pytest.mark.parametrize("kind", CELL_TYPES)
def test_every_activation_and_product_of_vectors_is_a_box(kind: type[Cell[Any]]) -> None:
    """Counted on the graph itself, by what depends on the state or the input."""
    cell = made(kind)
    values = cell.check()
    ends = {"x", *(f"{part}_before" for part in cell.state_type._fields)}
    data: set[mg.Expr] = set()
    for node in mg.toposort([values[part] for part in cell.state_type._fields]):
        if node.name in ends or data.intersection(node.args):
            data.add(node)
    drawn = {box.node for box in wiring_of(cell).boxes.values() if box.kind != "merge"}
    curved = [n for n in data if n.op in (mg.sigmoid.op, mg.tanh.op)]
    assert curved and set(curved) <= drawn
    concats = {n for n in data if n.op is mg.concat([mg.zeros(1), mg.zeros(1)]).op}
    wiring = wiring_of(cell)
    assert concats <= {box.node for box in wiring.boxes.values() if box.kind == "merge"}
    assert all(values[part] in drawn for part in cell.state_type._fields)


def test_own_equations_say_what_they_are() -> None:
    assert boxes(made(own_cells.Leaky), "pointwise") == {"h.1.1": "−", "h.1": "0.125×", "h": "−"}

    @lstm.cell
    def split(p, h, x):
        both = mg.concat([h, x], -1) @ p["W_a"] + p["b_a"]
        return {"a": both, "h": mg.sigmoid(both) * h}

    drawn = split(2, 3)
    assert boxes(drawn, "layer") == {"a": "W_a, b_a"}
    assert boxes(drawn, "pointwise") == {"h.0": "σ", "h": "×"}


# --- where it stands -----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", CELL_TYPES)
def test_no_two_boxes_and_no_two_vectors_share_a_place(kind: type[Cell[Any]]) -> None:
    cell = made(kind)
    wiring = wiring_of(cell)
    plan = plan_of(cell, wiring)
    assert set(plan.at) == set(wiring.boxes)
    assert len(set(plan.at.values())) == len(plan.at)
    routes = routes_of(wiring, plan)
    assert list(routes) == list(wiring.wires)
    lies: dict[tuple[float, float, bool], str] = {}
    for (source, target), way in routes.items():
        assert way[0] == plan.at[source] and way[-1] == plan.at[target]
        for (a, b), (c, d) in pairwise(way):
            assert (a == c) != (b == d), "every leg runs along one axis"
            steps = int(max(abs(a - c), abs(b - d)) * 4)
            for k in range(steps):  # the middles of all quarters of a row or column
                at = (a + (c - a) * (k + 0.5) / steps, b + (d - b) * (k + 0.5) / steps, a == c)
                assert lies.setdefault(at, source) == source, f"{source} lies on {lies[at]}"
    inner = {n for n, box in wiring.boxes.items() if box.kind in ("layer", "pointwise")}
    for (source, target), way in routes.items():
        for name in inner - {source, target}:
            x, y = plan.at[name]
            for (a, b), (c, d) in pairwise(way):
                misses = max(a, c) <= x - 0.5 or min(a, c) >= x + 0.5
                assert misses or max(b, d) <= y - 0.5 or min(b, d) >= y + 0.5


def test_the_lstms_line_runs_along_the_top() -> None:
    module = Module(made(CELLS["lstm"]))
    assert module.wiring.line == ("C_before", "C.0", "C", "C_after")
    heights = {y for name in module.wiring.line for _, y in [module.plan.at[name]]}
    assert heights == {max(y for _, y in module.plan.at.values() if y < module.plan.top)}
    layers = [module.plan.at[name] for name in ("f", "i", "C̃", "o")]
    assert layers == [(1.0, 1.0), (2.0, 1.0), (3.0, 1.0), (4.0, 1.0)]


def test_a_plan_that_names_no_box_is_refused() -> None:
    class Odd(lstm.RNN):
        plan: ClassVar[Places | None] = {"q": (1.0, 1.0)}

    with pytest.raises(ConfigError, match="has a place in its plan for 'q'"):
        lstm.figures.repeating_module(Odd(2, 3))


# --- what is drawn -------------------------------------------------------------------------------


def labels(figure: Any) -> list[str]:
    """What the artists of a figure say that they are."""
    (ax,) = figure.figure.axes
    return [p.get_label() for p in ax.patches if not p.get_label().startswith("_")]


@pytest.mark.parametrize("kind", CELL_TYPES)
def test_each_box_and_each_wire_of_the_graph_is_drawn_once(kind: type[Cell[Any]]) -> None:
    cell = made(kind)
    wiring = wiring_of(cell)
    drawn = labels(cell_figure(Module(cell), None, [], "whole", None, "light"))
    boxed = [
        f"{b.kind} {b.name}" for b in wiring.boxes.values() if b.kind in ("layer", "pointwise")
    ]
    wires = [" → ".join(wire) for wire in wiring.wires]
    assert sorted(d for d in drawn if d.startswith(("layer", "pointwise"))) == sorted(boxed)
    assert sorted(d for d in drawn if " → " in d) == sorted(wires)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_what_is_lit_is_exact(theme: str) -> None:
    dress = DARK if theme == "dark" else LIGHT
    figure = lstm.figures.forget_gate(theme=theme)
    (ax,) = figure.figure.axes
    colours = {str(p.get_label()): p.get_edgecolor() for p in ax.patches}
    ink = colours["layer f"]
    lit = {label for label, c in colours.items() if c == ink and label.strip("_")}
    wires = {"f.0.0.0 → f", "h_before → f.0.0.0", "x → f.0.0.0", "f → C.0"}
    assert lit == wires | {"layer f", "reads $x_{t}$"}
    words = [t.get_text() for t in ax.texts if t.get_color() == dress["ink"]]
    assert sorted(words[:-1]) == ["$f_{t}$", "$h_{t-1}$", "$x_{t}$", "σ"]  # and the equation
    assert {t.get_color() for t in ax.texts} == {dress["ink"], dress["faint"]}


def test_names_light_what_they_read_and_pairs_light_wires_alone() -> None:
    wiring = wiring_of(made(CELLS["lstm"]))
    whole = Lit.of(wiring, None)
    assert whole.boxes == set(wiring.boxes) and whole.wires == set(wiring.wires)
    named = Lit.of(wiring, ["C"])
    assert named.wires == {("C.0", "C"), ("C.1", "C"), ("C", "h.1"), ("C", "C_after")}
    ended = Lit.of(wiring, ["C", "C_after"])
    assert ended.wires == {("C.0", "C"), ("C.1", "C"), ("C", "C_after")}
    pair = Lit.of(wiring, [("C.0", "C")])
    assert pair.boxes == {"C.0", "C"} and pair.wires == {("C.0", "C")}
    with pytest.raises(ConfigError, match="highlight= names 'q'"):
        Lit.of(wiring, ["q"])


def test_the_equation_is_that_of_the_graph() -> None:
    figure = lstm.figures.forget_gate()
    (ax,) = figure.figure.axes
    f = made(CELLS["lstm"]).formulas("ₜ₋₁", "ₜ")["f"]
    assert f"$f_{{t}} = {f.latex()}$" in [t.get_text() for t in ax.texts]
    assert f"fₜ = {f}" in figure.description


def test_a_figure_is_drawn_on_axes_that_are_given() -> None:
    figure = Figure()
    axes = figure.subplots(1, 2)
    chart = lstm.figures.forget_gate(lstm.GRU, ax=axes[1])
    assert chart.figure is figure and axes[1].patches and not axes[0].patches
    for wrong in ({"ax": 3}, {"cell": 3}, {"theme": "blue"}, {"cell": lstm.RNN}):
        with pytest.raises((ConfigError, mg.MinigradError)):
            lstm.figures.forget_gate(**wrong)
