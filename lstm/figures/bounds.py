"""Vanishing itself: how much of the state T steps ago is in the state now, beside its bounds."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import cycle
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes

from lstm.cells import LSTM, RNN
from lstm.errors import check_count
from lstm.gradient_flow import Flow, flow
from lstm.gradient_flow.linear_maps import jacobians
from lstm.gradient_flow.steps import Floats
from lstm.model import Model
from lstm.tasks import Adding, Task, make_task
from minigrad.drawing import charts
from minigrad.drawing.charts import Curve, Mark

_SEQUENCES = 8  # measured, of which the median is drawn
_MARKS: tuple[Mark, ...] = "△", "○", "□", "◇"


class Vanishing(NamedTuple):
    """How the state of step 1 moves that of each later step T = 1 … of one model."""

    heading: str
    part: str
    """Of the state, that which is made to last."""
    measured: Floats
    """(T,): ‖∂part_T/∂part_1‖, the spectral norm, the median of the sequences; 1 at T = 1."""
    bound: Floats
    """(T,): the product of the largest singular values of the steps' Jacobians of the whole state,
    which no measured norm exceeds; its median."""
    rate: Floats
    """(T,): of a cell without a line the largest eigenvalue of the part's recurrent weights to the
    power of T - 1; else the largest unit's product of what the line is multiplied by."""
    rate_words: str

    @property
    def words(self) -> str:
        """What is left at the last step, and by how much it changed in each."""
        steps = len(self.measured) - 1
        left = float(self.measured[-1])
        a_step = f", ×{left ** (1 / steps):.3g} a step" if steps and left > 0 else ""
        return (
            f"{self.heading}: ‖∂{self.part}_T/∂{self.part}₁‖ is {left:.1e} at T = {steps + 1}"
            f"{a_step}; the bound is {self.bound[-1]:.1e}, {self.rate_words} {self.rate[-1]:.1e}."
        )


def vanishing_of(model: Model, task: Task | None = None, *, seed: int = 0) -> Vanishing:
    """Measure a model on sequences of a task, of its own unless given (Bengio, Simard & Frasconi,
    "Learning long-term dependencies with gradient descent is difficult", 1994; Pascanu, Mikolov &
    Bengio, "On the difficulty of training recurrent neural networks", 2013, equation 6)."""
    task = make_task(**model.task) if task is None else task
    xs, ys = task.batch(np.random.default_rng(seed), _SEQUENCES)[:2]
    measured = flow(model.with_dtype("float64"), xs, ys, task.loss)
    assert measured.source is not None  # it was measured just now
    meter, stacks = measured.source.meter, measured.source.reading.stacks
    every = jacobians(meter.graph, stacks)[1:]
    names = [*meter.graph.before]
    units = every.shape[-1] // len(names)
    part = measured.main.symbol
    rows = slice(names.index(part) * units, (names.index(part) + 1) * units)
    product = np.broadcast_to(np.eye(every.shape[-1]), every.shape[1:])
    norms, bounds = [np.ones(every.shape[1])], [np.ones(every.shape[1])]
    for each in every:
        product = each @ product
        norms.append(np.linalg.norm(product[:, rows, rows], 2, axis=(1, 2)))
        bounds.append(bounds[-1] * np.linalg.norm(each, 2, axis=(1, 2)))
    rate, words = _rate(measured, units)
    left, most = (np.median(np.stack(x), axis=1) for x in (norms, bounds))
    return Vanishing(measured.called, part, left, most, rate, words)


def _rate(measured: Flow, units: int) -> tuple[Floats, str]:
    """What alone the state is multiplied by along the steps, and what that is called."""
    factor = measured.factor
    if factor is not None:
        logs = np.log(np.maximum(factor[1:], 1e-300)).cumsum(0)
        largest = np.median(np.exp(logs.max(2)), axis=1)
        return np.array([1.0, *largest]), "and the largest unit's product along the line"
    assert measured.source is not None
    meter = measured.source.meter
    weights = meter.model.flat_params[f"{meter.place}.W_{measured.main.symbol}"].value[:units]
    largest = np.abs(np.linalg.eigvals(weights)).max()
    return largest ** np.arange(
        measured.steps, dtype=np.float64
    ), "and the largest eigenvalue to the power T − 1"


def vanishing(
    models: Mapping[str, Model] | None = None,
    task: Task | None = None,
    ax: Axes | None = None,
    *,
    steps: int = 100,
) -> Axes:
    """How much of ∂state_T/∂state_1 is left after T steps, beside what bounds it, for an RNN and an
    LSTM on one chart; returns the axes.

    A curve without marks is ‖∂h_T/∂h_1‖, or ‖∂C_T/∂C_1‖ of a cell with a line, measured. With marks
    are the product of each step's largest singular value, which it cannot exceed, and, of an RNN,
    the largest eigenvalue of its recurrent weights to the power of T - 1, else the product of the
    line's factors.

    models: {heading: model}; an RNN and an LSTM, new ones for `steps` steps of the adding problem,
    unless given. task: whose sequences they read; each one's own unless given. ax: as for all
    charts. Raises ConfigError for what cannot be measured.

    >>> ax = vanishing(steps=9)
    >>> ax.get_xlabel()
    'steps T'
    """
    if models is None:
        adding = Adding(length=check_count("steps", steps, 2))
        models = {k.__name__: Model.create(k, seed=0, task=adding) for k in (RNN, LSTM)}
    curves, marks = [], cycle(_MARKS)
    for heading, model in models.items():
        made = vanishing_of(model, task)
        symbol = f"{heading} ‖∂{made.part}_T/∂{made.part}₁‖"
        curves += [
            Curve.of(symbol, made.measured),
            Curve.of(f"{heading}: bound, ∏ σ", made.bound, mark=next(marks)),
            Curve.of(f"{heading}: {_short(made)}", made.rate, mark=next(marks)),
        ]
    title = "What is left of the state of step 1 in that of step T"
    ax = charts.curves(curves, ax or charts.own_axes(560.0, 420.0), title=title)
    ax.set_xlabel("steps T", parse_math=False)
    return ax


def _short(made: Vanishing) -> str:
    return "λᵀ⁻¹" if "eigenvalue" in made.rate_words else "line, ∏ f"
