"""A cell beside its equations, some of it lit, with the numbers of a step where they are known."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from matplotlib.axes import Axes

import minigrad as mg
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
from lstm.figures.textbook.live import Array, Live, Shown, checked_model, live_of
from lstm.figures.textbook.module import BEFORE, NOW, Highlight, Lit, Module, Wire, tex
from lstm.figures.textbook.parts import Parts
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
    lit_of: Callable[[Parts], Highlight],
) -> Chart:
    """The figure of a part of the cell."""

    def highlight(module: Module) -> tuple[Highlight, str]:
        parts = Parts(module.cell, module.wiring, name)
        lit = lit_of(parts)
        if not lit:
            raise ConfigError(f"cell {module.cell.name} has no {name}")
        return lit, title.format(line=parts.symbol)

    return shown_cell(cell, ax, theme, shown, title, part=highlight)


def shown_cell(
    cell: Any,
    ax: Axes | None,
    theme: Theme,
    shown: Shown,
    title: str,
    *,
    highlight: Highlight | None = None,
    part: Callable[[Module], tuple[Highlight, str]] | None = None,
) -> Chart:
    """A cell, what is lit of it, and beside it the equations of what is; of a whole cell with
    numbers these stand at its boxes, and no equation beside it."""
    model = checked_model(shown)
    if model is not None and cell is not None:
        raise ConfigError("cell= and model= go not together: the model's cell is drawn")
    drawn = cell_given(cell) if model is None else model.cell
    module = Module(drawn, has_numbers=model is not None and part is None)
    written: Highlight = module.symbols
    if part is not None:
        highlight, title = part(module)
        written = [name for name in highlight if isinstance(name, str)]
    live = None
    if model is not None:
        live = live_of(module.wiring, model, shown)
        title = f"{title}, step t = {live.step}" if part else f"step t = {live.step}"
    return cell_figure(module, highlight, written, title, ax, theme, live, shown.get("scale"))


def cell_figure(
    module: Module,
    highlight: Highlight | None,
    written: Iterable[Any],
    title: str,
    ax: Axes | None = None,
    theme: Theme = "auto",
    live: Live | None = None,
    scale: Scale | None = None,
) -> Chart:
    """A cell, what is lit of it, and beside it the equations of symbols; in wide columns the
    numbers in their place."""
    equations = equations_of(module, written, live)
    beside = [] if module.has_numbers else [line for e in equations for line in e.shown]
    left, bottom, right, top = module.box
    wide = max(map(width_of, beside), default=-2 * AIR)
    middle, half = module.high / 2, height_of(beside) / 2
    bottom, top = min(bottom, middle - half), max(top, middle + half)
    looks, key = ({}, None) if live is None else looks_of(live, scale)
    end = right + wide + 2 * AIR
    if key is not None:
        end = max(end, left + module.key_left + KEY)
    paper = paper_of((left, bottom, end, top), ax, theme, key, module.key_left)
    module.draw(paper, highlight=highlight, looks=looks)
    if live is not None and module.has_numbers:
        boxes = Lit.of(module.wiring, highlight).boxes
        module.numbers(paper, {n: in_rows(v) for n, v in live.values.items() if n in boxes})
    write(paper, beside, right + AIR, middle)
    told = [e.told for e in equations]
    return chart_of(paper, f"{module.cell.heading}: {title}", told, theme)


class Equation(NamedTuple):
    """An equation of a step as it is shown, in one line or two, and as text."""

    shown: Sequence[str]
    told: str


def equations_of(
    module: Module, written: Iterable[Any], live: Live | None = None
) -> list[Equation]:
    """The equations of symbols, with their values where these are known; none of other names."""
    formulas = module.cell.formulas(BEFORE, NOW)
    equations = []
    for s in [s for s in module.symbols if s in {*written}]:
        lines = [f"{tex(s + NOW)[:-1]} = {written_out(formulas[s])}$"]
        told = f"{s}{NOW} = {formulas[s]}"
        if live is not None:
            value = Amount.of(live.values[s]).short(_two_digits)
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


def looks_of(live: Live, scale: Scale | None) -> tuple[dict[Wire, EdgeStyle], Key | None]:
    """The look of each wire by what it sends back, and the key to it; none without a gradient."""
    if live.terms is None:
        return {}, None
    amounts = {
        wire: UNCONNECTED if term is None else Amount.of(term) for wire, term in live.terms.items()
    }
    scale = scale or Scale.of([amount.norm for amount in amounts.values()])
    looks = {wire: scale.look(amount.norm, amount.kind) for wire, amount in amounts.items()}
    caption = "Norm of ∂L on its way back"
    return looks, Key(scale, frozenset(look.kind for look in looks.values()), caption)
