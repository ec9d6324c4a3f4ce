"""A cell beside its equations, some of it lit, with the numbers of a step where they are known."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, NamedTuple

from matplotlib.axes import Axes

import minigrad as mg
from lstm.cells import Cell
from lstm.errors import ConfigError
from lstm.figures.textbook.canvas import (
    KEY,
    cell_given,
    chart_of,
    height_of,
    paper_of,
    width_of,
    write,
)
from lstm.figures.textbook.lit import Highlight, Lit
from lstm.figures.textbook.live import Array, Live, Shown, checked_model, live_of
from lstm.figures.textbook.module import BEFORE, NOW, Module, tex
from lstm.figures.textbook.parts import Part, Parts
from lstm.figures.textbook.wiring import Wire, wiring_of
from minigrad import Expr
from minigrad.drawing import EdgeStyle, Scale
from minigrad.drawing.amount import UNCONNECTED, Amount
from minigrad.drawing.charts import Chart, Key, Theme

AIR = 0.5
"""Beside equations, in units."""
_WIDEST = 15.0  # of an equation


def part_figure(
    cell: Any,
    ax: Axes | None,
    theme: Theme,
    shown: Shown,
    name: str,
    title: str,
    part_of: Callable[[Parts], Part],
) -> Chart:
    """The figure of a part of the cell: what computes it is lit, and its equations stand beside."""
    drawn, live = _asked(cell, shown)
    module = Module(drawn)
    part = part_of(Parts(drawn, module.wiring, name))
    if not part.onward:
        raise ConfigError(f"cell {drawn.name} has no {name}")
    title = title.format(line=module.wiring.lasting)
    title += "" if live is None else f", step t = {live.step}"
    equations = equations_of(module, part.equations, live)
    lit = Lit.of_part(module.wiring, part)
    return cell_figure(module, lit, equations, title, ax, theme, live, shown.get("scale"))


def shown_cell(
    cell: Any, ax: Axes | None, theme: Theme, shown: Shown, title: str, highlight: Highlight | None
) -> Chart:
    """A cell with all its equations beside it; with numbers these stand at its boxes, and no
    equation beside it."""
    drawn, live = _asked(cell, shown)
    numbers = None if live is None else {n: in_rows(v) for n, v in live.values.items()}
    module = Module(drawn, numbers)
    lit = None if highlight is None else Lit.of(module.wiring, highlight)
    title = title if live is None else f"step t = {live.step}"
    equations = equations_of(module, None, live)
    return cell_figure(module, lit, equations, title, ax, theme, live, shown.get("scale"))


def _asked(cell: Any, shown: Shown) -> tuple[Cell[Any], Live | None]:
    """The cell that is drawn, and its numbers where a model is given."""
    model = checked_model(shown)
    if model is None:
        return cell_given(cell), None
    if cell is not None:
        raise ConfigError("cell= and model= go not together: the model's cell is drawn")
    return model.cell, live_of(wiring_of(model.cell), model, shown)


def cell_figure(
    module: Module,
    lit: Lit | None,
    equations: Sequence[Equation],
    title: str,
    ax: Axes | None = None,
    theme: Theme = "auto",
    live: Live | None = None,
    scale: Scale | None = None,
) -> Chart:
    """A cell, what is lit of it, and beside it equations; in wide columns the numbers in their
    place."""
    beside = [] if module.has_numbers else [line for e in equations for line in e.shown]
    left, bottom, right, top = module.box
    wide = max(map(width_of, beside), default=-2 * AIR)
    middle, half = module.high / 2, height_of(beside) / 2
    bottom, top = min(bottom, middle - half), max(top, middle + half)
    whole = lit or Lit.of(module.wiring)
    looks, key = ({}, None) if live is None else looks_of(live, scale, whole.wires)
    end = right + wide + 2 * AIR
    if key is not None:
        end = max(end, left + module.key_left + KEY)
    paper = paper_of((left, bottom, end, top), ax, theme, key, module.key_left)
    module.draw(paper, lit=lit, looks=looks)
    write(paper, beside, right + AIR, middle)
    told = [e.told for e in equations]
    return chart_of(paper, f"{module.cell.heading}: {title}", told, theme)


class Equation(NamedTuple):
    """An equation of a step as it is shown, in one line or two, and as text."""

    shown: Sequence[str]
    told: str


def equations_of(
    module: Module, boxes: Iterable[str] | None = None, live: Live | None = None
) -> list[Equation]:
    """The equations of boxes, of those without a symbol what they compute, with their values where
    these are known; unless given, of all symbols."""
    formulas = module.cell.formulas(BEFORE, NOW)
    wiring = module.wiring
    written: list[tuple[str | None, str | None, Expr]]
    if boxes is None:
        named = {symbol: name for name, symbol in wiring.symbols.items()}
        written = [(named.get(s), s, formula) for s, formula in formulas.items()]
    else:
        of = [(name, wiring.boxes[name]) for name in boxes]
        written = [(n, wiring.symbols.get(n), box.within(formulas)) for n, box in of]
    equations = []
    for name, symbol, formula in written:
        shown, told = f"${written_out(formula)}$", f"{formula}"
        if symbol is not None:
            shown = f"{tex(symbol + NOW)[:-1]} = {shown[1:]}"
            told = f"{symbol}{NOW} = {told}"
        lines = [shown]
        if live is not None and name is not None:
            value = Amount.of(live.values[name]).short(_two_digits)
            lines.append(f"$\\quad =$ {value}")
            told += f" = {value}"
        equations.append(Equation(lines, told))
    return equations


def written_out(formula: Expr) -> str:
    """A formula as mathematics, cut where it would be wider than a cell."""
    texts = [mg.to_latex(formula, ops) for ops in (30, 15, 8, 4, 2)]
    return next((text for text in texts if width_of(f"${text}$") < _WIDEST), texts[-1])


def in_rows(value: Array) -> str:
    """A vector of up to four elements as them, two in a line; else as its norm."""
    amount = Amount.of(value)
    words = [_few_letters(x) for x in amount.elements]
    rows = [" ".join(words[k : k + 2]) for k in range(0, len(words), 2)]
    return "\n".join(rows) or amount.short(_two_digits)


def _few_letters(x: float) -> str:
    """A number in at most four letters and a sign, for a place where there is little room.

    >>> _few_letters(-0.0123), _few_letters(0.0), _few_letters(3e-4), _few_letters(1234.5)
    ('−.01', '0', '3e−4', '1e3')
    """
    fixed = re.sub(r"^(-?)0\.", r"\1.", f"{x:.2f}") if abs(x) < 9.995 else f"{x:.0f}"
    text = fixed if 0.005 <= abs(x) < 1000 else "0" if x == 0 else f"{x:.0e}"
    return text.replace("e-0", "e-").replace("e+0", "e").replace("-", "−")


def _two_digits(x: float) -> str:
    return f"{x:.2g}".replace("-", "−")


def looks_of(
    live: Live, scale: Scale | None, wires: Collection[Wire]
) -> tuple[dict[Wire, EdgeStyle], Key | None]:
    """The look of each wire by what it sends back, and the key to those that are lit; none without
    a gradient."""
    if live.terms is None:
        return {}, None
    amounts = {
        wire: UNCONNECTED if term is None else Amount.of(term) for wire, term in live.terms.items()
    }
    scale = scale or Scale.of([amount.norm for amount in amounts.values()])
    looks = {wire: scale.look(amount.norm, amount.kind) for wire, amount in amounts.items()}
    kinds = frozenset(looks[wire].kind for wire in wires)
    return looks, Key(scale, kinds, "Norm of ∂L on its way back")
