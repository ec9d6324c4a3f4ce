"""The textbook's figures, read back: what is drawn is the graph of the cell, box by box and wire by
wire, with its equations, and what is lit is what was asked for."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, ClassVar, NamedTuple

import own_cells
import pytest
from matplotlib.figure import Figure

import lstm
import minigrad as mg
from lstm.cells import CELLS, Cell, Places
from lstm.errors import ConfigError
from lstm.figures.textbook.lit import Lit
from lstm.figures.textbook.module import Module
from lstm.figures.textbook.parts import Parts
from lstm.figures.textbook.placing import plan_of
from lstm.figures.textbook.routing import routes_of
from lstm.figures.textbook.wiring import wiring_of
from lstm.figures.textbook.with_equations import cell_figure
from minigrad.drawing.palette import DARK, LIGHT


class Many(NamedTuple):
    """A state of three parts."""

    h: Any
    C: Any
    m: Any


class Tangled(Cell[Any]):
    """Three parts of a state of which none lasts, and products of all pairs of four layers."""

    name = "tangled"
    weights = "abcd"
    state_type = Many

    def equations(self, params: Any, state: Any, x: Any) -> Any:
        parts = (state.h, state.C, state.m, state.h)
        hx = [mg.concat([part, x], -1) for part in parts]
        a, b, c, d = (
            mg.tanh(z @ params[f"W_{w}"] + params[f"b_{w}"])
            for z, w in zip(hx, "abcd", strict=True)
        )
        made = {"h": a * b + c * d, "C": mg.tanh(a * c), "m": mg.sigmoid(b * d)}
        return {"a": a, "b": b, "c": c, "d": d, **made}


OWN = [
    Tangled,
    own_cells.Blend,
    own_cells.Leaky,
    own_cells.Original,
    own_cells.NoOut,
    own_cells.TwoLines,
]
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
    assert boxes(after_cell := made(CELLS["gru-after"]), "layer")["h̃.0.1.1"] == "$U_{h}$"
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
    assert boxes(drawn, "layer") == {"a": "$W_{a}$"}
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


def test_parts_that_do_not_last_leave_room_for_their_names() -> None:
    plan = plan_of(made(Tangled), wiring_of(made(Tangled)))
    rows = [plan.at[f"{part}{end}"][1] for end in ("_before", "_after") for part in "hCm"]
    assert rows == [0.0, -0.5, -1.0] * 2 and plan.bottom < -1.0


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
    fills = {str(p.get_label()): p.get_facecolor() for p in ax.patches}
    assert fills["layer f"] != fills["layer i"] == fills["pointwise C"]
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


LIT = {
    "cell_line": (set(), {("C_before", "C.0"), ("C.0", "C"), ("C", "C_after")}),
    "forget_gate": ({"f"}, {("f", "C.0")}),
    "input_gate": ({"i", "C̃"}, {("i", "C.1"), ("C̃", "C.1")}),
    "cell_update": (
        {"C"},
        {("f", "C.0"), ("C_before", "C.0"), ("i", "C.1"), ("C̃", "C.1")}
        | {("C.0", "C"), ("C.1", "C"), ("C", "C_after")},
    ),
    "output_gate": (
        {"o", "h"},
        {("C", "h.1"), ("o", "h"), ("h.1", "h"), ("h", "h_after"), ("h", "out")},
    ),
}
"""Of each figure of the LSTM: the symbols whose equations stand beside it, and the wires that are
lit beside those from h and x into the layers."""


@pytest.mark.parametrize("name", LIT)
def test_a_part_of_the_lstm_lights_its_wires_and_shows_its_equations(name: str) -> None:
    written, wires = LIT[name]
    figure = getattr(lstm.figures, name)()
    (ax,) = figure.figure.axes
    lit = {str(p.get_label()) for p in ax.patches if p.get_edgecolor()[:3] == _INK}
    ins = {("h_before", "f.0.0.0"), ("x", "f.0.0.0")}
    into = {("f.0.0.0", s) for s in written if s not in ("C", "h")}
    expected = wires | into | (ins if into else set())
    assert {d for d in lit if " → " in d} == {" → ".join(wire) for wire in expected}
    formulas = made(CELLS["lstm"]).formulas("ₜ₋₁", "ₜ")
    told = [
        f"${mg.var(s + 'ₜ').latex()} = {formulas[s].latex()}$" for s in formulas if s in written
    ]
    assert [t.get_text() for t in ax.texts if "=" in t.get_text()] == told
    assert figure.description.splitlines()[1:] == [
        f"{s}ₜ = {formula}" for s, formula in formulas.items() if s in written
    ]


_INK = tuple(int(LIGHT["ink"][k : k + 2], 16) / 255 for k in (1, 3, 5))


@pytest.mark.parametrize("kind", [lstm.GRU, lstm.MGU, own_cells.Blend, own_cells.Original])
def test_parts_of_other_cells_are_told_by_how_they_stand_to_the_line(kind: Any) -> None:
    cell = made(kind)
    parts = Parts(cell, wiring_of(cell), "line")
    expected = {
        "GRU": (["z", "h.0.0"], ["z", "r", "h̃"], []),
        "MGU": (["f", "h.0.0"], ["f", "h̃"], []),
        "Blend": (["g"], ["g", "c", "C.1.0"], ["h"]),
        "Original": ([], ["i", "C.1.1"], ["o", "h"]),
    }
    told = (parts.forgetting, parts.writing, parts.showing)
    assert tuple(part.equations for part in told) == expected[type(cell).__name__]


def test_what_a_cell_does_not_have_is_said() -> None:
    for draw, cell, words in (
        (lstm.figures.forget_gate, lstm.RNN, "cell rnn has no forget gate: no part of its state"),
        (lstm.figures.output_gate, lstm.GRU, "cell gru has no output gate"),
        (lstm.figures.gate, own_cells.Original, "no layer of cell original gates its line"),
        (lstm.figures.cell_line, lstm.RNN, "cell rnn has no line"),
    ):
        with pytest.raises(ConfigError, match=words):
            draw(cell)
    with pytest.raises(ConfigError, match="steps= must be at least 2"):
        lstm.figures.unrolled(steps=1)
    for cells in ([], 3, "gru"):
        with pytest.raises(ConfigError, match="one or more cells"):
            lstm.figures.variants(cells)  # type: ignore[arg-type]


# --- rows and signs ------------------------------------------------------------------------------


def test_a_row_hands_on_every_part_of_the_state_between_its_cells() -> None:
    drawn = labels(lstm.figures.unrolled(lstm.LSTM, steps=5))
    assert drawn.count("cell") == 6 and drawn.count("h → h") == drawn.count("C → C") == 5
    times = ["t", "1", "2", "3", "4", "T"]
    assert [d for d in drawn if d.startswith("reads")] == [f"reads $x_{{{t}}}$" for t in times]
    assert [d for d in drawn if d.startswith("gives")] == [f"gives $h_{{{t}}}$" for t in times]
    assert drawn.count("h, C → h, C") == 1
    assert labels(lstm.figures.rolled()).count("h → h") == 1


def test_the_middle_cell_of_a_repeating_module_is_open() -> None:
    drawn = labels(lstm.figures.repeating_module(lstm.GRU))
    assert drawn.count("cell") == 3
    assert sum(d.startswith("layer") for d in drawn) == 3
    assert [d for d in drawn if d.startswith("reads")] == [
        f"reads $x_{{t{more}}}$" for more in ("-1", "", "+1")
    ]


def test_variants_stand_side_by_side_with_their_equations() -> None:
    figure = lstm.figures.variants()
    (ax,) = figure.figure.axes
    shown = [t.get_text() for t in ax.texts]
    for name in ("peephole", "coupled", "gru"):
        cell = made(CELLS[name])
        assert cell.heading in shown
        for symbol, formula in cell.formulas("ₜ₋₁", "ₜ").items():
            assert f"${mg.var(symbol + 'ₜ').latex()} = {formula.latex()}$" in shown


def test_the_legend_and_the_gate_use_the_signs_of_the_notation() -> None:
    drawn = labels(lstm.figures.legend())
    assert drawn == ["layer", "pointwise", "vector", "joined 0", "joined 1", "copied 0", "copied 1"]
    figure = lstm.figures.gate()
    assert figure.description.splitlines() == ["LSTM: forget gate", "1 keeps C, 0 drops C"]
    assert "layer f" in labels(figure)


# --- on a slide ----------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "least"),
    [(n, 18.0) for n in (*LIT, "whole_cell", "rolled", "unrolled", "legend", "gate")]
    + [("repeating_module", 12.0), ("variants", 12.0)],
)
def test_words_can_be_read_on_a_slide_and_nothing_is_clipped(name: str, least: float) -> None:
    figure = getattr(lstm.figures, name)().figure
    wide, high = figure.get_size_inches() * 72
    assert max(wide / 960, high / 540) <= 1 + 1e-9
    (ax,) = figure.axes
    assert min(t.get_fontsize() for t in ax.texts if t.get_text()) >= least - 1e-6
    page = figure.bbox
    for text in ax.texts:
        box = text.get_window_extent()
        assert page.x0 <= box.x0 and box.x1 <= page.x1, text.get_text()
        assert page.y0 <= box.y0 and box.y1 <= page.y1, text.get_text()


def test_a_figure_is_drawn_on_axes_that_are_given() -> None:
    figure = Figure()
    axes = figure.subplots(1, 2)
    chart = lstm.figures.forget_gate(lstm.GRU, ax=axes[1])
    assert chart.figure is figure and axes[1].patches and not axes[0].patches
    for wrong in ({"ax": 3}, {"cell": 3}, {"theme": "blue"}, {"cell": lstm.RNN}):
        with pytest.raises((ConfigError, mg.MinigradError)):
            lstm.figures.forget_gate(**wrong)
