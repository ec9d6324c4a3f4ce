"""How rows of a table become what a model reads, and its answers what the table means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from lstm.errors import ConfigError, check_count, check_text, check_texts
from lstm.tasks.columns import Columns, is_gap

Array = NDArray[Any]


@dataclass(frozen=True)
class Reading:
    """How rows of a table become what a model reads, and its answers what the table means."""

    target: str
    features: tuple[str, ...]
    length: int
    """Rows of a sequence."""
    horizon: int
    """The target is of so many rows after the last of them; 0: of that row."""
    means: tuple[float, ...]
    """Of each feature, over what is trained on; the target's stands last, unless it is a class."""
    deviations: tuple[float, ...]
    classes: tuple[str, ...] | None
    """What the target may be, where it is a class; None of numbers."""

    def inputs(self, columns: Columns) -> Array:
        """(rows, 2 F) float32: of each feature how far it is from its mean, in deviations, and then
        whether it is there; where it is not, that is 0 and so is the distance.

        Raises ConfigError for a column that is missing, or not of numbers.
        """
        values = np.stack([columns.numbers(name) for name in self.features], -1)
        there = ~np.isnan(values)
        count = len(self.features)
        far = (values - self.means[:count]) / self.deviations[:count]
        return np.concatenate([np.where(there, far, 0), there], -1).astype(np.float32)

    def windows(self, columns: Columns) -> Array:
        """(N, T, 2 F): each run of `length` rows, as a view; window k ends at row k + T - 1."""
        if columns.rows < self.length:
            raise ConfigError(
                f"{columns.where} has {columns.rows} rows, and sequences of length={self.length} "
                "need as many"
            )
        return sliding_window_view(self.inputs(columns), self.length, 0).transpose(0, 2, 1)

    def targets(self, columns: Columns) -> tuple[Array, Array]:
        """(rows,) of the target, as a model is asked for it, and whether each is known. Raises
        ConfigError for a class that there is not."""
        cells = columns.column(self.target)
        if self.classes is None:
            values = (columns.numbers(self.target) - self.means[-1]) / self.deviations[-1]
            return values, ~np.isnan(values)
        numbers = {name: number for number, name in enumerate(self.classes)}
        known = np.array([not is_gap(cell) for cell in cells])
        for cell, line in zip(cells, columns.lines, strict=True):
            if not is_gap(cell) and cell not in numbers:
                raise ConfigError(
                    f"{columns.where}: {self.target} is {cell!r:.40} in line {line}, which is "
                    f"none of its classes: {', '.join(self.classes):.120}"
                )
        return np.array([numbers.get(cell, -1) for cell in cells]), known

    @staticmethod
    def from_config(settings: Mapping[str, Any]) -> Reading:
        """What `config` gave. Raises ConfigError for what it did not: a file may say anything."""
        target, classes = settings.get("target"), settings.get("classes")
        names = _list_of(str, settings.get("features"))
        scales = [_list_of(float, settings.get(name)) for name in ("means", "deviations")]
        known = None if classes is None else _list_of(str, classes)
        sound = (
            isinstance(target, str)
            and names
            and (classes is None or len(known or ()) > 1)
            and {*map(len, scales)} == {len(names) + (classes is None)}
            and all(map(isfinite, scales[0] + scales[1]))
            and min(scales[1]) > 0
        )
        if not sound:
            raise ConfigError("its task does not say what columns it reads, and how")
        return Reading(
            str(target),
            names,
            check_count("length", settings.get("length")),
            check_count("horizon", settings.get("horizon"), 0),
            scales[0],
            scales[1],
            known,
        )

    def config(self) -> dict[str, Any]:
        """As plain values, from which it is made again."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @property
    def sizes(self) -> tuple[bool, int, int]:
        """That no tokens are read, how many numbers are, and how many outputs tell the target."""
        return False, 2 * len(self.features), 1 if self.classes is None else len(self.classes)


def _list_of(kind: type[Any], values: Any) -> tuple[Any, ...]:
    """The values of a list, where all are of a kind; else none."""
    if not isinstance(values, list) or not all(type(value) is kind for value in values):
        return ()
    return tuple(values)


def features_of(
    columns: Columns, target: str, asked: Sequence[str] | None, *, horizon: int, classify: bool
) -> tuple[str, ...]:
    """The columns to read: those that are asked for, or all of numbers; the target among them
    where it is a number, of rows before the one that is asked for."""
    columns.column(check_text("target", target))
    if not classify:
        columns.numbers(target, "; of names of classes say so: classify=True, or --classify")
    if asked is None:
        left_out = [target] if classify or horizon == 0 else []
        kinds = [n for n in columns.cells if n not in left_out and columns.is_numeric(n)]
        if not kinds:
            raise ConfigError(f"{columns.where} has no column of numbers to read")
        return tuple(kinds)
    names = check_texts("features", asked)
    if not names or len(set(names)) < len(names):
        raise ConfigError(f"features are names of columns, each once, not {asked!r:.60}")
    if target in names and horizon == 0:
        raise ConfigError(f"features: {target} is what is asked for, in the very row that is read")
    for name in names:
        columns.numbers(name)
    return tuple(names)


def classes_of(columns: Columns, target: str) -> tuple[str, ...]:
    classes = sorted({cell for cell in columns.column(target) if not is_gap(cell)})
    if len(classes) < 2:
        raise ConfigError(f"{columns.where}: {target} has fewer than two classes: {classes!r:.60}")
    return tuple(classes)


def scales_of(
    columns: Columns, names: Sequence[str], trained: int
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Means and standard deviations of columns over the first rows; 1 where all is alike."""
    means, deviations = [], []
    for name in names:
        values = columns.numbers(name)[:trained]
        known = values[~np.isnan(values)]
        if not len(known):
            raise ConfigError(f"{columns.where}: {name} is missing in all rows to train on")
        alike = known.min() == known.max()  # whose deviation may be other than 0 by rounding
        with np.errstate(over="ignore", invalid="ignore"):
            scale = float(known.mean()), 1.0 if alike else float(known.std())
        if not np.isfinite(scale).all():
            raise ConfigError(f"{columns.where}: the numbers of {name} are too large to be scaled")
        means.append(scale[0])
        deviations.append(scale[1])
    return tuple(means), tuple(deviations)
