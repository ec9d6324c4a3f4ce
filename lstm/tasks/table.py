"""A table of one's own as a task: what will a column be, so many rows from now?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np

from lstm.errors import ConfigError, check_count, check_flag, check_number
from lstm.tasks.arrays import ArrayTask
from lstm.tasks.columns import Columns, read_columns
from lstm.tasks.labels import NO_LABEL
from lstm.tasks.reading import Array, Reading, classes_of, features_of, scales_of

_RIDGES = (1e-3, 1e-1, 10.0, 1e3)
"""Of the linear forecast: the one that validation likes best is taken."""
_WIDEST = 1000
"""Numbers that it reads at most: of longer windows the last rows."""


class TableTask(ArrayTask):
    """What a column of a table will be, from the rows up to now.

    table: the path of a file of comma-separated values, whose first line names the columns; rows
        are in the order of time. Empty cells, NaN and NA are gaps: an input that is missing is 0,
        and another input says so; a row whose target is missing is not asked for.
    target: the column that is asked for.
    features: columns of numbers that are read; by default all there are, the target's own past
        among them unless it is a class or horizon is 0.
    horizon: rows from the last one that is read to the one that is asked for.
    classify: whether the target is a class: its cells are names of classes.
    length: rows of a sequence. held_out: the share of the rows, the last ones, that is not trained
        on; its first half is for validation, its second for the test.

    Numbers are read as their distance from the mean, in standard deviations, both of what is
    trained on. The baselines of a number are that mean, the last value that is known and the linear
    forecast of the whole window (ridge regression); of a class how often each is, and how often it
    follows the last one that is known. `in_unit` makes of a loss the root of the mean square error
    in the target's own unit.

    Raises ConfigError, with the line where there is one, for a file or settings that do not fit.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder, "rises.csv")
    ...     np.savetxt(file, range(50), "%d", header="x", comments="")
    ...     task = TableTask(file, "x", length=4)
    >>> task.baseline_words, round(task.in_unit(task.baselines["the last value"]), 6)
    ('linear in the window', 1.0)
    """

    reading: Reading
    """How rows become what a model reads; a model's file notes it."""
    columns: Columns
    """The table."""
    _baselines: dict[str, float]
    _held_out: float

    close_up: ClassVar[str] = "forecast"
    name: ClassVar[str] = "csv"
    title: ClassVar[str | None] = "A table of your own"
    summary: ClassVar[str] = "what a column of a table of your own will be"
    usual: ClassVar[Mapping[str, Any]] = {"rate": 0.01}
    hidden_size: ClassVar[int | None] = 32
    settings: ClassVar[tuple[str, ...]] = (
        "target", "features", "horizon", "classify", "length", "held_out",
    )  # fmt: skip

    def __init__(
        self,
        table: Path | str,
        target: str,
        *,
        features: Sequence[str] | None = None,
        horizon: int = 1,
        classify: bool = False,
        length: int = 32,
        held_out: float = 0.2,
    ) -> None:
        columns = read_columns(table)
        columns.dates()  # which must not go back
        check_flag("classify", classify)
        check_count("length", length)
        check_count("horizon", horizon, 0)
        check_number("held_out", held_out, above=0, below=1)
        names = features_of(columns, target, features, horizon=horizon, classify=classify)
        classes = classes_of(columns, target) if classify else None
        half = max(1, round(columns.rows * held_out / 2))
        cuts = columns.rows - 2 * half, columns.rows - half
        if cuts[0] <= length + horizon:
            raise ConfigError(
                f"{table} is too short: {max(0, cuts[0])} of its {columns.rows} rows are to train "
                f"on, and sequences of length={length} with horizon={horizon} need "
                f"{length + horizon + 1}"
            )
        means, deviations = scales_of(columns, [*names, *([] if classify else [target])], cuts[0])
        reading = Reading(target, names, length, horizon, means, deviations, classes)
        parts = _parts(columns, reading, cuts)
        training, validation, test = ((part.xs, part.ys) for part in parts)
        super().__init__(
            *training,
            validation=validation,
            test=test,
            readout="last",
            output_size=len(classes) if classes else None,
        )
        baselines = _of_classes(parts, len(classes)) if classes else _of_numbers(parts)
        best = min(baselines, key=lambda name: baselines[name])
        self._set(reading=reading, columns=columns, _held_out=float(held_out), _baselines=baselines)
        self._set(baseline_words=best, unit=f"error in {target}" if not classes else "test loss")

    @property
    def baselines(self) -> dict[str, float]:
        """The loss of simple forecasts on the test, by what they do."""
        return self._baselines

    @property
    def baseline(self) -> float:
        return self._baselines[self.baseline_words]

    def in_unit(self, loss: float) -> float:
        """A loss; of numbers as the root of the mean square error, in the target's own unit."""
        scale = self.reading.deviations[-1]
        return loss if self.reading.classes else float(np.sqrt(loss)) * scale

    @property
    def tested_on(self) -> str:
        return "the last rows"

    def config(self) -> dict[str, Any]:
        """What a model's file notes: how rows are read, and a checksum of the data."""
        noted = super().config()["settings"]
        own = {"classify": self.reading.classes is not None, "held_out": self._held_out}
        return {"name": self.name, "settings": noted | self.reading.config() | own}


class _Part(NamedTuple):
    """What is asked of a part of the rows."""

    xs: Array
    """(N, T, 2 F)"""
    ys: Array
    """(N,): labels, or numbers in deviations from the mean."""
    last: Array
    """(N,): the last one known before; where none is the mean, 0, and of labels NO_LABEL."""


def _parts(columns: Columns, reading: Reading, cuts: tuple[int, int]) -> list[_Part]:
    """What is asked in training, validation and test: of rows before, between and after the cuts,
    where the target is known."""
    windows, (ys, known) = reading.windows(columns), reading.targets(columns)
    first = reading.length - 1 + reading.horizon  # the first row of which a window tells
    rows = np.arange(columns.rows)
    gap = max(1, reading.horizon)
    latest = np.maximum.accumulate(np.where(known, rows, -1))  # row at which it was last known
    before = np.concatenate([np.full(gap, -1), latest[:-gap]])
    last = np.where(before < 0, NO_LABEL if reading.classes else 0, ys[before])
    asked = (rows >= first) & known
    parts = []
    ends = {"to train on": (0, cuts[0]), "for validation": cuts, "for the test": (cuts[1], len(ys))}
    for words, (start, end) in ends.items():
        own = rows[asked & (rows >= start) & (rows < end)]
        if not len(own):
            raise ConfigError(f"{columns.where}: {reading.target} is missing in all rows {words}")
        parts.append(_Part(windows[own - first], ys[own], last[own]))
    return parts


# --- baselines -------------------------------------------------------------------------------


def _of_classes(parts: Sequence[_Part], classes: int) -> dict[str, float]:
    """The loss on the test of two predictions: how often each class is in training, and how often
    after the last class, with the former counted as one more case of each."""
    training, _, test = parts
    shares = np.maximum(np.bincount(training.ys, minlength=classes) / len(training.ys), 1e-12)
    counts = np.zeros((classes + 1, classes))  # in the last row, after no class
    np.add.at(counts, (training.last, training.ys), 1)
    after = (counts + shares) / (counts.sum(-1, keepdims=True) + 1)
    return {
        "always in the same shares": float(-np.log(shares)[test.ys].mean()),
        "by the last class": float(-np.log(after)[test.last, test.ys].mean()),
    }


def _of_numbers(parts: Sequence[_Part]) -> dict[str, float]:
    """The mean square errors on the test, in deviations."""
    test = parts[2]
    return {
        "always the mean": float((test.ys**2).mean()),
        "the last value": float(((test.ys - test.last) ** 2).mean()),
        "linear in the window": _linear(parts),
    }


def _linear(parts: Sequence[_Part]) -> float:
    """That of ridge regression on what a window has, with the ridge that is best in validation."""
    rows = min(parts[0].xs.shape[1], max(1, _WIDEST // parts[0].xs.shape[2]))
    flat = [part.xs[:, -rows:].reshape(len(part.xs), -1).astype(np.float64) for part in parts]
    read = [np.concatenate([xs, np.ones((len(xs), 1))], -1) for xs in flat]
    square, product = read[0].T @ read[0], read[0].T @ parts[0].ys
    errors = []
    for ridge in _RIDGES:
        weights = np.linalg.solve(square + ridge * np.eye(len(square)), product)
        pairs = zip(read[1:], parts[1:], strict=True)
        errors.append([float(((xs @ weights - part.ys) ** 2).mean()) for xs, part in pairs])
    return min(errors)[1]
