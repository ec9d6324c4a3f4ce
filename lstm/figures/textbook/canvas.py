"""A figure of the textbook's kind on axes of its own or on given ones, and what is beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from typing import Any, ParamSpec

from matplotlib.axes import Axes

from lstm.cells import LSTM, Cell
from lstm.cells.of_function import cell_class
from lstm.errors import ConfigError
from lstm.figures.textbook.notation import Box, Paper, extent
from minigrad.drawing.charts import Chart, Key, Sheet, Theme, drawn_in, style

SLIDE = 960.0, 540.0
"""The size in points that a figure fits in: a slide of 1920 x 1080 pixels at 144 dots an inch."""
WRITTEN = 0.54  # the height of an equation's letters, in units
_LEADING = 1.2  # from one equation to the next, in units
_INCH = 72.0
_APART = 10.0  # points between a cell and the key
_ENLARGED = 2.2  # how much larger a key is than beneath a chart
KEY = 9.0
"""How wide a key is at least, in units."""
ROOM = 1.9
"""How much there is below a cell's frame, in units."""
P = ParamSpec("P")


def cell_given(cell: Any, default: type[Cell[Any]] = LSTM) -> Cell[Any]:
    """A cell: itself, or one of a class or a step function. Raises ConfigError for another thing.

    >>> cell_given(None)
    LSTM(input_size=2, hidden_size=3, dtype='float32', forget_bias=1.0)
    """
    if isinstance(cell, Cell):
        return cell
    kind = default if cell is None else cell_class(cell)
    if kind is None:
        raise ConfigError(
            f"cell= takes a cell, such as lstm.GRU(2, 3), its class or a step function, not "
            f"{cell!r:.40}"
        )
    return kind(input_size=2, hidden_size=3)


def paper_of(
    box: Box, ax: Axes | None, theme: Theme, key: Key | None = None, left: float = 0.0
) -> Paper:
    """What shows a rectangle of units: given axes, or a figure that fits a slide, with a key at its
    lower right, so many units from the left, where nothing is but what a cell reads.

    Of what is small a unit has no more than 72 points.
    """
    style(theme)  # raises for what is no theme
    if ax is None:
        wide, high = box[2] - box[0], box[3] - box[1]
        taken = key.height(SLIDE[0] / _ENLARGED / 2) * _ENLARGED + _APART if key else 0.0
        unit = min(SLIDE[0] / wide, SLIDE[1] / high, _INCH)
        if taken > ROOM * unit:
            unit = min(SLIDE[0] / wide, (SLIDE[1] - taken) / (high - ROOM))
        width, height = wide * unit, high * unit + max(0.0, taken - ROOM * unit)
        sheet = Sheet(width, height)
        ax = sheet.axes(0.0, 0.0, width, high * unit)
        if key is not None:
            x = left * unit
            _draw_key(
                sheet.axes(x, height - taken + _APART, width - x, taken - _APART), key, width - x
            )
    elif not isinstance(ax, Axes):
        raise ConfigError(f"ax= takes axes of matplotlib, such as plt.gca(), not {ax!r:.40}")
    return Paper.on(ax, box, dark=theme == "dark")


def _draw_key(ax: Axes, key: Key, width: float) -> None:
    """A key whose letters are enlarged, as those of a slide are."""
    key.draw(ax, width / _ENLARGED)
    for text in ax.texts:
        text.set_fontsize(float(text.get_fontsize()) * _ENLARGED)


def themed(draw: Callable[P, Chart]) -> Callable[P, Chart]:
    """A figure that is drawn in the style of its `theme=`."""

    @wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> Chart:
        theme: Any = kwargs.get("theme", "auto")
        with drawn_in(theme):
            return draw(*args, **kwargs)

    return drawn


def chart_of(paper: Paper, title: str, description: Iterable[str], theme: Theme) -> Chart:
    """The finished figure."""
    told = "\n".join([title, *description])
    return Chart(paper.ax.figure.figure, title=title, description=told, theme=theme)


def width_of(equation: str) -> float:
    """How wide an equation is, in units."""
    return extent(equation, WRITTEN)[0]


def height_of(equations: Sequence[str]) -> float:
    """How high equations are, one below the other."""
    return sum(map(_line, equations))


def write(paper: Paper, equations: Sequence[str], left: float, middle: float) -> None:
    """Equations one below the other, their middle there."""
    y = middle + height_of(equations) / 2
    for equation in equations:
        high = _line(equation)
        paper.words((left, y - high / 2), equation, size=WRITTEN, ha="left", va="center")
        y -= high


def _line(equation: str) -> float:
    """How much of the height an equation takes, with what is left above and below."""
    return max(_LEADING, extent(equation, WRITTEN)[1] + 0.4)
