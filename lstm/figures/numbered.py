"""The textbook's figures by name, in its order: what `lstm figures` writes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from lstm.cells import GRU, RNN, CoupledLSTM, PeepholeLSTM
from lstm.figures.dependencies import long_dependency, short_dependency
from lstm.figures.textbook.one_cell import (
    cell_line,
    cell_update,
    forget_gate,
    input_gate,
    output_gate,
    variants,
    whole_cell,
)
from lstm.figures.textbook.row import repeating_module, rolled, unrolled
from lstm.figures.textbook.signs import gate, legend
from minigrad.drawing.charts import Chart


class Entry(NamedTuple):
    """A figure: the name of its file, and what draws it, with `theme=`."""

    file: str
    draw: Callable[..., Chart]


FIGURES: dict[str, Entry] = {
    "ex1": Entry("ex1_rolled", rolled),
    "ex2": Entry("ex2_unrolled", unrolled),
    "ex3": Entry("ex3_short_dependency", short_dependency),
    "ex4": Entry("ex4_long_dependency", long_dependency),
    "ex5": Entry("ex5_repeating_module_rnn", partial(repeating_module, RNN)),
    "ex6": Entry("ex6_repeating_module_lstm", repeating_module),
    "ex7": Entry("ex7_legend", legend),
    "ex8": Entry("ex8_cell_line", cell_line),
    "ex9": Entry("ex9_gate", gate),
    "ex10": Entry("ex10_forget_gate", forget_gate),
    "ex11": Entry("ex11_input_gate", input_gate),
    "ex12": Entry("ex12_cell_update", cell_update),
    "ex13": Entry("ex13_output_gate", output_gate),
    "peephole": Entry("peephole", partial(whole_cell, PeepholeLSTM)),
    "coupled": Entry("coupled", partial(whole_cell, CoupledLSTM)),
    "gru": Entry("gru", partial(whole_cell, GRU)),
    "variants": Entry("variants", variants),
}
