"""The textbook's figures by name, in its order: what `lstm figures` writes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from lstm.cells import GRU, LSTM, RNN, Cell, CoupledLSTM, PeepholeLSTM
from lstm.figures.dependencies import long_dependency, short_dependency
from lstm.figures.textbook.fan import attention_fan
from lstm.figures.textbook.live import Shown
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
from lstm.model import Model
from lstm.tasks import Adding
from lstm.training import Settings, fit
from minigrad.drawing.charts import Chart, Theme

STEPS, UNITS, LENGTH = 300, 4, 10  # of the training for numbers: about a second


class Entry(NamedTuple):
    """A figure: the name of its file, what draws it, and of what cell where that has a choice."""

    file: str
    draw: Callable[..., Chart]
    cell: type[Cell[Any]] | None = None
    has_numbers: bool = False
    """Whether it can show those of a trained model."""

    def chart(self, theme: Theme, numbers: Shown | None = None) -> Chart:
        """The figure; numbers: what `trained_step` gives."""
        if numbers is not None and self.has_numbers:
            return self.draw(theme=theme, **numbers)
        return self.draw(*[self.cell] * (self.cell is not None), theme=theme)


def trained_step(kind: type[Cell[Any]], seed: int = 0) -> Shown:
    """A small model of a kind of cell, trained on the adding problem in a second, and the first
    step of a sequence whose number counts, with its gradient: what figures show numbers of."""
    task = Adding(LENGTH)
    model = Model.create(kind, task=task, hidden_size=UNITS, seed=seed)
    fit(model, task, Settings(steps=STEPS, seed=seed), validate=0, progress=False)
    xs, ys = task.batch(np.random.default_rng(seed), 1)
    step = int(xs[:, 0, 1].argmax()) + 1
    return Shown(model=model, xs=xs, ys=ys, t=step, grad=True, loss=task.loss)


FIGURES: dict[str, Entry] = {
    "ex1": Entry("ex1_rolled", rolled),
    "ex2": Entry("ex2_unrolled", unrolled),
    "ex3": Entry("ex3_short_dependency", short_dependency),
    "ex4": Entry("ex4_long_dependency", long_dependency),
    "ex5": Entry("ex5_repeating_module_rnn", repeating_module, RNN),
    "ex6": Entry("ex6_repeating_module_lstm", repeating_module, LSTM),
    "ex7": Entry("ex7_legend", legend),
    "ex8": Entry("ex8_cell_line", cell_line, LSTM, has_numbers=True),
    "ex9": Entry("ex9_gate", gate, LSTM),
    "ex10": Entry("ex10_forget_gate", forget_gate, LSTM, has_numbers=True),
    "ex11": Entry("ex11_input_gate", input_gate, LSTM, has_numbers=True),
    "ex12": Entry("ex12_cell_update", cell_update, LSTM, has_numbers=True),
    "ex13": Entry("ex13_output_gate", output_gate, LSTM, has_numbers=True),
    "lstm": Entry("lstm", whole_cell, LSTM, has_numbers=True),
    "peephole": Entry("peephole", whole_cell, PeepholeLSTM, has_numbers=True),
    "coupled": Entry("coupled", whole_cell, CoupledLSTM, has_numbers=True),
    "gru": Entry("gru", whole_cell, GRU, has_numbers=True),
    "variants": Entry("variants", variants),
    "fan": Entry("attention_fan", attention_fan),
}
