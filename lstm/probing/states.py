"""What the units of a state know: a linear probe of it, and what is left without some of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

import minigrad as mg
from lstm.arguments import array
from lstm.cells.anatomy import anatomy
from lstm.errors import ConfigError
from lstm.gradient_flow.tensors import looped
from lstm.model import Model, check_model
from lstm.params import join
from minigrad.display import in_a_line

Floats = NDArray[np.float64]
RIDGE = 1e-3
"""Of the squares of the weights of a probe, beside those of its errors."""


@dataclass(frozen=True, repr=False)
class Probe:
    """What can be read of a state by weighing its units; see `probe`."""

    part: str
    """Of the state, with its place where a model has several layers: "C", "layer2.C"."""
    accuracy: float
    """On the sequences that the weights were not fitted to."""
    chance: float
    """The same of who always says what comes most often."""
    by_unit: Floats
    """(H,), the same of each unit by itself."""
    weights: Floats
    """(H, classes)"""

    @property
    def ranked(self) -> list[int]:
        """The units from 0 on, the one first that tells most by itself."""
        return [int(k) for k in np.argsort(-self.by_unit, kind="stable")]

    def __repr__(self) -> str:
        return in_a_line(self)


class Inquiry:
    """A model that is asked about its units on some sequences; its states are computed once, and
    what it says without some of them is compiled once.

    xs: (T, B, I), or (T, B) of tokens. layer: as of `Model.place`. Raises ConfigError for data that
    do not fit.
    """

    def __init__(self, model: Model, xs: Any, layer: int | str | None = None) -> None:
        place = check_model(model).place(layer)
        batch = array(xs, "xs")
        run, loop = looped(model, batch, place=place)
        made = mg.Adjoints(mg.sum(run.output))
        stacks = {part: made.value(node) for part, node in loop.made._asdict().items()}
        arrays = mg.function([], [*stacks.values()])()
        prefix = place if len(model.recurrent()) > 1 else ""
        names = [join(prefix, part) for part in stacks]
        self.parts: dict[str, Floats] = {
            name: stack.astype(np.float64) for name, stack in zip(names, arrays, strict=True)
        }
        """What each part of the state is after each step, (T, B, H), by its name, which has the
        place of its layer where there are several."""
        cell = model.recurrent()[place].cell
        line = anatomy(cell).line
        self.main = join(prefix, cell.output if line is None else line.symbol)
        """The part that is made to last."""
        self._model, self._batch = model, batch

    @cached_property
    def _run(self) -> Callable[..., Any]:
        clamps = {name: mg.var(name, part.shape[2:]) for name, part in self.parts.items()}
        held = {name: mg.astype(clamp, self._model.dtype) for name, clamp in clamps.items()}
        return mg.function([*clamps.values()], self._model.output(self._batch, clamp=held))

    def part(self, part: str | None) -> str:
        """The name of a part, the one that is made to last where None. Raises ConfigError."""
        known = {name.rpartition(".")[2]: name for name in self.parts}
        if part is not None and part not in known:
            raise ConfigError(f"no part {part!r:.40} of the state; there are {', '.join(known)}")
        return self.main if part is None else known[part]

    def probe(self, labels: Any, part: str | None = None) -> Probe:
        """See `probe`."""
        name = self.part(part)
        states, told = self.parts[name], array(labels, "labels").astype(np.int64)
        if told.shape != states.shape[:2]:
            raise ConfigError(f"labels are (T, B), {states.shape[:2]}, not {told.shape}")
        half = states.shape[1] // 2
        (x, y), (test, truth) = (
            (states[:, s][told[:, s] >= 0], told[:, s][told[:, s] >= 0])
            for s in (slice(None, half), slice(half, None))
        )
        classes = int(told.max()) + 1
        if len({*y.tolist()}) < 2 or not len(truth):
            raise ConfigError("a probe needs labels of two classes, in each half of the sequences")
        weights = _fitted(x, y, classes)
        alone = [
            _right(_fitted(x[:, [k]], y, classes), test[:, [k]], truth) for k in range(x.shape[1])
        ]
        return Probe(
            part=name,
            accuracy=_right(weights, test, truth),
            chance=float((truth == np.bincount(y).argmax()).mean()),
            by_unit=np.array(alone),
            weights=weights[:-1],
        )

    def without(self, units: Iterable[int]) -> NDArray[Any]:
        """See `without_units`."""
        asked, clamps = list(units), []
        for states in self.parts.values():
            held: Any = np.full(states.shape[2:], np.nan)
            for unit in asked:
                if unit not in range(len(held)):
                    raise ConfigError(f"units are 0 to {len(held) - 1}, not {unit!r:.40}")
                held[unit] = states[..., unit].mean()
            clamps.append(held)
        said: NDArray[Any] = self._run(*clamps)
        return said


def probe(
    model: Model,
    xs: Any,
    labels: Any,
    *,
    part: str | None = None,
    layer: int | str | None = None,
) -> Probe:
    """How well a label at each step can be read of a state, by a linear map of its units and by
    each unit alone (Alain & Bengio, "Understanding intermediate layers using linear classifier
    probes", 2017).

    xs: sequences (T, B, I), or (T, B) of tokens; labels (T, B): integers from 0 on, and below 0
    where a step is left out. The map is the ridge regression of the classes, fitted to the first
    half of the sequences; all accuracies are of the other half. part: of the state, that which is
    made to last, such as C, unless given; layer: as of `Model.place`. Raises ConfigError for a part
    that there is not, for labels that do not fit, and for fewer than two classes.

    >>> import lstm
    >>> model = lstm.Model.create(lstm.GRU(1, 3), output_size=1)
    >>> xs = np.sign(np.random.default_rng(0).normal(size=(5, 40, 1)))
    >>> read = probe(model, xs, xs[..., 0] > 0)  # of the input of the step itself
    >>> read.part, read.accuracy > read.chance
    ('h', True)
    """
    return Inquiry(model, xs, layer).probe(labels, part)


def _fitted(x: Floats, y: NDArray[np.int64], classes: int) -> Floats:
    """The weights of a ridge regression of the classes, and in the last row its biases."""
    rows = np.column_stack([x, np.ones(len(x))])
    ridge = RIDGE * len(x) * np.diag([*[1.0] * x.shape[1], 0.0])
    solved: Any = np.linalg.solve(rows.T @ rows + ridge, rows.T @ np.eye(classes)[y])
    return cast(Floats, solved)


def _right(weights: Floats, x: Floats, y: NDArray[np.int64]) -> float:
    return float(((x @ weights[:-1] + weights[-1]).argmax(-1) == y).mean())


def without_units(
    model: Model, xs: Any, units: Iterable[int], *, layer: int | str | None = None
) -> NDArray[Any]:
    """What a model says where some units of its state remember nothing: its output, with each of
    them, in every part of the state, at its mean over xs whenever a step reads it.

    units: from 0 on. xs, layer: as of `probe`. Raises ConfigError for a unit that there is not.

    >>> import lstm
    >>> model = lstm.Model.create(lstm.LSTM(1, 3), output_size=1)
    >>> without_units(model, np.ones((5, 2, 1)), [0, 2]).shape
    (2, 1)
    """
    return Inquiry(model, xs, layer).without(units)
