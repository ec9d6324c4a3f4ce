"""What a model of a table says of rows, beside what they were."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import minigrad as mg
from lstm.errors import check_count
from lstm.gradient_flow.saving import Saved
from lstm.made_for import way_of
from lstm.model import Model
from lstm.percents import percent
from lstm.tasks import TableTask
from lstm.tasks.columns import Columns, read_columns
from lstm.tasks.reading import Reading
from minigrad.display import Table

_AT_ONCE = 500  # windows


@dataclass(frozen=True, repr=False)
class Forecast(Saved):
    """What a model says of each row that it can tell of, and what was there.

    `save` writes .csv, .json, .html, or a picture: .svg, .png, .pdf. `plot` is that picture.
    """

    target: str
    """The column that is asked for."""
    horizon: int
    """How many rows lie between the last one that is read and the one that is told."""
    rows: list[str]
    """What each row is called: its date, or its number, counted from 1; of rows that are not in
    the table, +1 for the first."""
    said: list[Any]
    """What the model says: a number, or the likeliest class."""
    truth: list[Any]
    """What the table has; None where it has nothing."""
    classes: tuple[str, ...] | None
    """What there is to say, of classes."""

    @property
    def error(self) -> float:
        """The root of the mean square error, or of classes the share that is wrong; NaN where no
        truth is known."""
        pairs = [(s, t) for s, t in zip(self.said, self.truth, strict=True) if t is not None]
        if not pairs:
            return float("nan")
        if self.classes is not None:
            return float(np.mean([said != true for said, true in pairs]))
        return float(np.sqrt(np.mean([(said - true) ** 2 for said, true in pairs])))

    @property
    def summary(self) -> str:
        """How many rows are told, and how well."""
        count = f"{len(self.rows)} rows of {self.target}"
        if np.isnan(self.error):
            return f"{count}, of which no truth is known."
        if self.classes is not None:
            return f"{count}, of those that are known {percent(1 - self.error)} right."
        return f"{count}, off by {self.error:.4g}, the root of the mean square."

    def last(self, count: int) -> Forecast:
        """That of so many of the last rows alone. Raises ConfigError for none."""
        last = slice(-check_count("count", count), None)
        return replace(self, rows=self.rows[last], said=self.said[last], truth=self.truth[last])

    def table(self) -> dict[str, Sequence[Any]]:
        """Rows, what is said of them, and the truth, by column."""
        return {"row": self.rows, f"{self.target} said": self.said, self.target: self.truth}

    def plain_values(self) -> dict[str, Any]:
        """All as JSON values."""
        rest = {"target": self.target, "horizon": self.horizon, "rows": self.rows}
        error = None if np.isnan(self.error) else self.error
        return rest | {"said": self.said, "truth": self.truth, "error": error}

    def plot(self, ax: Any = None, *, last: int | None = 200) -> Any:
        """Draw the truth and what was said of it, of so many of the last rows; returns the axes."""
        from lstm.figures.forecast import plot_forecast

        return plot_forecast(self, ax, last=last)

    def draw(self) -> Any:
        """The picture of the last rows."""
        from lstm.figures.forecast import draw_forecast

        return draw_forecast(self)

    def _table(self) -> Table:
        shown = [
            (row, *("-" if x is None else f"{x:.4g}" if isinstance(x, float) else x for x in pair))
            for row, *pair in zip(self.rows, self.said, self.truth, strict=True)
        ]
        cut = [*shown[:3], ("…", "", ""), *shown[-3:]] if len(shown) > 7 else shown
        return Table(self.summary, cut, heads=("row", "said", "truth"))


def predict(model: Model, table: Path | str) -> Forecast:
    """What a model that was trained on a `TableTask` says of the rows of a table, each from the
    rows up to `horizon` before it; those after the end of the table among them.

    table: the path of a file with the columns that the model reads, scaled as in training; its
        target may be missing, unless it is read.

    Raises ConfigError for a model of anything else, and for a table that does not fit.

    >>> import lstm
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder, "rises.csv")
    ...     np.savetxt(file, range(50), "%d", header="x", comments="")
    ...     model = lstm.Model.create(lstm.RNN, task=lstm.TableTask(file, "x", length=4))
    ...     forecast = lstm.predict(model, file)
    >>> forecast.rows[:2], forecast.truth[-2:], len(forecast.said)
    (['5', '6'], [49.0, None], 47)
    """
    return forecast_of(model, read_columns(table))


def forecast_of(model: Model, columns: Columns, last: int | None = None) -> Forecast:
    """The same of columns that are read already; last: of so many of the last rows alone."""
    reading = way_of(model, TableTask, Reading.from_config, "table", "predicts")
    dates = columns.dates()
    every = reading.windows(columns)
    start = 0 if last is None else max(0, len(every) - last)
    windows = every[start:]
    answers = np.concatenate(
        [_answers(model, windows[k : k + _AT_ONCE]) for k in range(0, len(windows), _AT_ONCE)]
    )
    first = start + reading.length - 1 + reading.horizon
    names = dates if dates is not None else [str(row + 1) for row in range(columns.rows)]
    truth = _truth(columns, reading)
    told, rows = range(first, first + len(answers)), columns.rows
    said: list[Any]
    if reading.classes is None:
        said = (answers[:, 0] * reading.deviations[-1] + reading.means[-1]).tolist()
    else:
        said = [reading.classes[k] for k in answers.argmax(-1)]
    rest = reading.target, reading.horizon
    told_names = [names[k] if k < rows else f"+{k - rows + 1}" for k in told]
    return Forecast(
        *rest, told_names, said, [truth[k] if k < rows else None for k in told], reading.classes
    )


def _answers(model: Model, windows: NDArray[Any]) -> NDArray[Any]:
    """(N, O) of windows (N, T, I)."""
    output = model.output(windows.transpose(1, 0, 2).astype(model.dtype))
    return np.asarray(mg.function([], output)())


def _truth(columns: Columns, reading: Reading) -> list[Any]:
    """What is known of the target in each row; None of what is not."""
    if reading.target not in columns.cells:
        return [None] * columns.rows
    if reading.classes is not None:
        values, known = reading.targets(columns)
        return [
            reading.classes[k] if there else None for k, there in zip(values, known, strict=True)
        ]
    numbers = columns.numbers(reading.target)
    return [None if np.isnan(x) else float(x) for x in numbers]
