"""What is lit in a figure of a part is what its equations compute, node by node, for any cell; and
names that a cell gives its values and parameters change nothing of what is drawn."""

from __future__ import annotations

from typing import Any

import numpy as np
import own_cells
import pytest
from matplotlib.colors import to_hex

import lstm
import minigrad as mg
from lstm.cells import CELLS, Cell
from lstm.errors import ConfigError
from lstm.figures.textbook.lit import Lit
from lstm.figures.textbook.module import Module
from lstm.figures.textbook.parts import Parts
from lstm.figures.textbook.wiring import Wiring, wiring_of
from lstm.figures.textbook.with_equations import equations_of
from minigrad.drawing.palette import LIGHT

INK = LIGHT["ink"].lower()


@lstm.cell
def ugrnn(p, h, x):
    hx = mg.concat([h, x], -1)
    c = mg.tanh(hx @ p["W_c"] + p["b_c"])
    g = mg.sigmoid(hx @ p["W_g"] + p["b_g"])
    return {"c": c, "g": g, "h": g * h + (1 - g) * c}


@lstm.cell
def late(p, h, C, x):
    """It adds before it forgets."""
    hx = mg.concat([h, x], -1)
    f, i = (mg.sigmoid(hx @ p[f"W_{w}"] + p[f"b_{w}"]) for w in "fi")
    c = mg.tanh(hx @ p["W_c"] + p["b_c"])
    C = (C + i * c) * f
    return {"f": f, "i": i, "c": c, "C": C, "h": mg.tanh(C)}


@lstm.cell
def named(p, h, C, x):
    """What is joined, and what is added, have symbols."""
    hx = mg.concat([h, x], -1)
    f, i = (mg.sigmoid(hx @ p[f"W_{w}"] + p[f"b_{w}"]) for w in "fi")
    u = i * mg.tanh(hx @ p["W_c"] + p["b_c"])
    return {"hx": hx, "f": f, "i": i, "u": u, "C": f * C + u, "h": mg.tanh(f * C + u)}


@lstm.cell(params={"x": (5, "H"), "h_before": ("H",), "V": ("I", "H")})
def misnamed(p, h, x):
    """Parameters and values that are called as ends of a step are."""
    out = mg.sigmoid(mg.concat([h, x], -1) @ p["x"] + p["h_before"])
    return {"out": out, "h": out * h + (1 - out) * mg.tanh(x @ p["V"])}


OWN = [ugrnn, late, named, misnamed, own_cells.Blend, own_cells.Leaky, own_cells.Original]
LINED = [kind for kind in [*CELLS.values(), *OWN, own_cells.NoOut] if kind is not lstm.RNN]


def computed(cell: Cell[Any], told: str) -> set[mg.Expr]:
    """The nodes of an equation, told as "fₜ = …", or as "1 - gₜ" where it has no symbol: from its
    target down to values that have symbols."""
    values, formulas = cell.check(), cell.formulas("ₜ₋₁", "ₜ")
    symbol, is_named, text = told.partition("ₜ = ")
    if is_named:
        assert text == str(formulas[symbol])
        target = values[symbol]
    else:
        pairs = [(values[s], formulas[s]) for s in values]
        for node, written in pairs:
            pairs += zip(node.args, written.args, strict=bool(written.args))
        (target,) = {node for node, written in pairs if str(written) == told}
    nodes, stack, named = {target}, [target], set(values.values())
    while stack:
        below = [a for a in stack.pop().args if a not in named and a not in nodes]
        nodes.update(below)
        stack += below
    return nodes


@pytest.mark.parametrize("kind", LINED)
def test_what_is_lit_is_what_the_equations_shown_compute(kind: type[Cell[Any]]) -> None:
    cell = kind(2, 3)
    module = Module(cell)
    wiring, parts = module.wiring, Parts(cell, module.wiring, "line")
    all_parts = [parts.forgetting, parts.writing, parts.updating, parts.showing]
    shown = [part for part in all_parts if part.onward]
    assert len(shown) >= 2
    for part in shown:
        lit = Lit.of_part(wiring, part)
        told = [equation.told for equation in equations_of(module, part.equations)]
        nodes = set().union(*(computed(cell, words) for words in told))
        inner = {n for n, box in wiring.boxes.items() if box.kind in ("layer", "pointwise")}
        expected = {name for name in inner if wiring.boxes[name].node in nodes}
        assert lit.boxes & inner == expected
        into = {wire for wire in wiring.wires if wire[1] in expected}
        assert into <= lit.wires
        assert {a for a, b in lit.wires - into if b not in merges_of(wiring)} <= expected


def merges_of(wiring: Wiring) -> set[str]:
    return {name for name, box in wiring.boxes.items() if box.kind == "merge"}


@pytest.mark.parametrize(
    ("draw", "kind", "onward"),
    [
        ("forget_gate", lstm.CoupledLSTM, {"f → C.0"}),
        ("forget_gate", ugrnn, {"g → h.0"}),
        ("forget_gate", lstm.GRU, {"h.0.0 → h.0"}),
        ("input_gate", lstm.GRU, {"z → h.1", "h̃ → h.1"}),
        ("input_gate", ugrnn, {"c → h.1", "h.1.0 → h.1"}),
        ("cell_update", ugrnn, {"h → h_after"}),
        ("forget_gate", late, {"f → C"}),
        ("input_gate", late, {"i → C.0.1", "c → C.0.1"}),
        ("input_gate", named, {"u → C"}),
        ("output_gate", lstm.LSTM, {"h → h_after", "h → out"}),
    ],
)
def test_a_part_leads_on_to_what_it_acts_on_and_nowhere_else(
    draw: str, kind: type[Cell[Any]], onward: set[str]
) -> None:
    figure = getattr(lstm.figures, draw)(kind)
    patches = figure.figure.axes[0].patches
    lit = {str(p.get_label()) for p in patches if to_hex(p.get_edgecolor()) == INK}
    boxes = {label.split()[-1] for label in lit if label.startswith(("layer", "pointwise"))}
    wires = [label.split(" → ") for label in lit if " → " in label]
    merges = merges_of(wiring_of(kind(2, 3)))
    left = {f"{a} → {b}" for a, b in wires if a in boxes and b not in boxes | merges}
    assert left == onward


def test_what_a_step_keeps_is_what_scales_the_line_wherever_it_stands() -> None:
    for kind, forgets in ((late, ["f"]), (own_cells.Original, []), (own_cells.NoOut, ["f"])):
        cell = kind(2, 3)
        assert Parts(cell, wiring_of(cell), "line").forgetting.equations == forgets


def test_names_of_ends_are_no_ends() -> None:
    """Parameters "x" and "h_before", and a value "out"; one of them of x's own shape."""
    wiring = wiring_of(misnamed(2, 3))
    kinds = {name: box.kind for name, box in wiring.boxes.items()}
    assert kinds["out′"] == "layer" and kinds["out"] == "output" and kinds["x"] == "input"
    assert wiring.symbols["out′"] == "out" and wiring.boxes["out′"].words == "σ"
    assert wiring.inputs["h"] == ["h.0", "h.1"] and wiring.inputs["h.0"] == ["out′", "h_before"]
    figure = lstm.figures.forget_gate(misnamed)
    assert figure.description.splitlines()[1].startswith("outₜ = sigmoid(concat(hₜ₋₁, xₜ")

    @lstm.cell(params={"x": (1, "I"), "h_before": (1, "H")})
    def same(p, h, x):
        return {"h": mg.tanh(mg.concat([h, x * p["x"]], -1) @ p["W_h"]) * p["h_before"]}

    drawn = wiring_of(same(2, 3))
    assert [n for n, b in drawn.boxes.items() if b.kind == "input"] == ["x"]
    assert len(drawn.outputs["x"]) == len(drawn.outputs["h_before"]) == 1
    assert not drawn.line
    model = lstm.Model.create(misnamed(2, 3), output_size=1)
    numbers = lstm.figures.whole_cell(model=model, xs=np.ones((2, 1, 2))).description
    assert "outₜ = sigmoid(" in numbers


@pytest.mark.parametrize("kind", [lstm.LSTM, lstm.GRU, lstm.CoupledLSTM, lstm.MGU])
def test_a_gate_is_drawn_with_all_that_it_passes_up_to_the_line(kind: type[Cell[Any]]) -> None:
    """Of h = (1 − z) h + z h̃ it is not z that the line is multiplied by."""
    patches = lstm.figures.gate(kind).figure.axes[0].patches
    labels = [str(p.get_label()) for p in patches]
    passed = [label for label in labels if label.startswith("pointwise")]
    assert passed == (["pointwise C.0"] if "C" in kind(2, 3).check() else PASSED)


PASSED = ["pointwise h.0.0", "pointwise h.0"]


def test_a_key_explains_what_is_lit_and_no_more() -> None:
    """Of the wires of the LSTM only that to h's reader sends nothing back here."""
    model = lstm.Model.create(lstm.LSTM(2, 3), output_size=1, seed=0)
    asked: Any = {"xs": np.ones((3, 1, 2)), "ys": np.ones((1, 1)), "t": 2, "grad": True}
    for draw in ("cell_line", "forget_gate", "input_gate", "cell_update", "output_gate"):
        figure = getattr(lstm.figures, draw)(model=model, **asked).figure
        words = [t.get_text() for t in figure.axes[1].texts]
        assert ("not connected" in words) == (draw == "output_gate")


# --- what a step function reads ------------------------------------------------------------------


def test_a_parameter_read_as_an_attribute_is_refused_with_what_to_write() -> None:
    def dotted(p, h, x):
        return mg.tanh(mg.concat([h, x], -1) @ p.W_h)

    for draw in (lstm.figures.whole_cell, lambda cell: lstm.cell(cell)(2, 3).shapes()):
        with pytest.raises(ConfigError, match=r"p\['W_h'\], not p.W_h"):
            draw(dotted)
    with pytest.raises(ConfigError, match=r"p\['W_h'\], not p.W_h"):
        Dotted(2, 3).check()


class Dotted(lstm.RNN):
    def equations(self, params: Any, state: Any, x: Any) -> Any:
        return {"h": mg.tanh(mg.concat([state.h, x], -1) @ params.W_h)}


def test_shapes_that_do_not_fit_are_told_with_the_rule_that_made_them() -> None:
    def narrow(p, h, x):
        return mg.tanh(h @ p["W_h"] + x @ p["W_x"])

    with pytest.raises(ConfigError) as error:
        lstm.cell(narrow)(2, 3).shapes()
    told = str(error.value)
    assert "the step function narrow" in told and "H = 3 units and I = 2 inputs" in told
    assert "operand 1 is h" in told and "W_… is (H + I, H)" in told and "params=" in told
