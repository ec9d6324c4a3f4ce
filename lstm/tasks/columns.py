"""A file of comma-separated values: columns of numbers with gaps, of words, and of dates."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from math import isfinite, nan
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lstm.errors import ConfigError
from lstm.files import read_utf8
from minigrad.names import did_you_mean

Floats = NDArray[np.float64]
_GAPS = frozenset(["", "na", "n/a", "nan", "-nan", "null", "none", "?"])
_DELIMITERS = ",;\t|"
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


@dataclass(frozen=True)
class Columns:
    """The cells of a file by column, as text; a row stands for a moment, the first for the first.

    >>> columns = Columns("a file", {"day": ["2026-01-01", "2026-01-02"], "x": ["1.5", ""]}, [2, 3])
    >>> columns.numbers("x").tolist(), columns.dates()
    ([1.5, nan], ['2026-01-01', '2026-01-02'])
    """

    where: str
    """What errors call the file."""
    cells: dict[str, list[str]]
    lines: list[int]
    """In which line of the file each row ends."""

    @property
    def rows(self) -> int:
        """How many there are."""
        return len(self.lines)

    def column(self, name: str) -> list[str]:
        """The cells of a column. Raises ConfigError, with the name that comes near, where there is
        none."""
        if name not in self.cells:
            names = ", ".join(self.cells)
            raise ConfigError(
                f"{self.where} has no column {name!r:.40}; it has {names:.200}"
                f"{did_you_mean(name, self.cells)}"
            )
        return self.cells[name]

    def numbers(self, name: str, remedy: str = "") -> Floats:
        """A column (N,) of numbers, NaN where a cell is a gap. Raises ConfigError, with its line
        and the remedy, for another cell that is no finite number."""
        values = np.empty(self.rows)
        for row, cell in enumerate(self.column(name)):
            number = nan if is_gap(cell) else _number(cell)
            if number is None:
                raise ConfigError(
                    f"{self.where}: {name} is {cell!r:.40} in line {self.lines[row]}, and must be "
                    f"a number, or empty where it is missing{remedy}"
                )
            values[row] = number
        return values

    def is_numeric(self, name: str) -> bool:
        """Whether a column is of finite numbers and gaps, and not of gaps alone."""
        known = [cell for cell in self.column(name) if not is_gap(cell)]
        return bool(known) and all(map(_is_number, known))

    def dates(self) -> list[str] | None:
        """The first column that is of dates or times in ISO 8601 throughout. Raises ConfigError
        where a row is before the one above it: time goes down the file."""
        for name, cells in self.cells.items():
            moments = _moments(cells)
            if moments is None:
                continue
            for row, (first, second) in enumerate(pairwise(moments)):
                if second < first:
                    raise ConfigError(
                        f"{self.where}: {name} is {cells[row + 1]!r:.40} in line "
                        f"{self.lines[row + 1]}, before {cells[row]!r:.40} above it: sort the rows"
                    )
            return cells
        return None


def read_columns(path: Path | str) -> Columns:
    """The columns of a file, whose first line names them; commas, semicolons, tabs or bars part
    them. Raises ConfigError, with the line, for what is no such file."""
    text = read_utf8(path)
    head = text[: text.find("\n")] if "\n" in text else text
    delimiter = max(_DELIMITERS, key=head.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        names = [name.strip() for name in next(reader)]
        _check_names(str(path), names)
        rows = [(reader.line_num, row) for row in reader if row or len(names) == 1]
    except csv.Error as error:
        raise ConfigError(f"{path}: line {reader.line_num}: {error}") from None
    while rows and not rows[-1][1]:  # empty lines at the end; before it, the gaps of one column
        rows.pop()
    if not rows:
        raise ConfigError(f"{path} has a header and no rows")
    for line, row in rows:
        if len(row or names) != len(names):
            raise ConfigError(
                f"{path}: line {line} has {len(row)} cells, and the header {len(names)}"
            )
    columns = zip(*(row or [""] for _, row in rows), strict=True)
    cells = {
        name: [cell.strip() for cell in column] for name, column in zip(names, columns, strict=True)
    }
    return Columns(str(path), cells, [line for line, _ in rows])


def is_gap(cell: str) -> bool:
    """Whether a cell says that there is nothing.

    >>> is_gap("NaN"), is_gap("0")
    (True, False)
    """
    return cell.lower() in _GAPS


def _check_names(where: str, names: Sequence[str]) -> None:
    """Raise ConfigError for a first line that does not name each column."""
    if not names:
        raise ConfigError(f"{where}: its first line is empty, and should name the columns")
    twice = [name for k, name in enumerate(names) if name in names[:k]]
    if "" in names or twice:
        wrong = f"{twice[0]!r:.40} twice" if twice and twice[0] else "a column without a name"
        raise ConfigError(f"{where}: its first line, the names of columns, has {wrong}")
    if all(map(_is_number, names)):
        raise ConfigError(
            f"{where}: its first line is of numbers, and should name the columns: add a header"
        )


def _number(cell: str) -> float | None:
    """The finite number that a cell is, as tables write it; None where it is none. Python would
    read more: 1_000, nan, infinity."""
    number = float(cell) if _NUMBER.fullmatch(cell) else nan
    return number if isfinite(number) else None


def _is_number(cell: str) -> bool:
    return _number(cell) is not None


def _moments(cells: Iterable[str]) -> list[datetime] | None:
    """Cells as moments, all with a time zone or all without; None where one is none."""
    try:
        moments = [datetime.fromisoformat(cell) for cell in cells]
    except ValueError:
        return None
    same = len({moment.tzinfo is None for moment in moments}) == 1
    return moments if same and not all(map(_is_number, cells)) else None
