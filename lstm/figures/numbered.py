"""All figures by name, in the textbook's order: what `lstm figures` writes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from lstm.cells import RNN
from lstm.figures.textbook.one_cell import forget_gate
from lstm.figures.textbook.row import repeating_module
from minigrad.drawing.charts import Chart


class Entry(NamedTuple):
    """A figure: the name of its file, and what draws it, with `theme=`."""

    file: str
    draw: Callable[..., Chart]


FIGURES: dict[str, Entry] = {
    "ex5": Entry("ex5_repeating_module_rnn", partial(repeating_module, RNN)),
    "ex6": Entry("ex6_repeating_module_lstm", repeating_module),
    "ex10": Entry("ex10_forget_gate", forget_gate),
}
