"""What is measured, as files: numbers as CSV and JSON, a page, and pictures."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lstm.errors import OutputError
from lstm.files import check_file, path_given, write_atomically
from minigrad.display import ShownAsTable

PICTURES = (".svg", ".png", ".pdf")
SUFFIXES = (".csv", ".json", ".html", *PICTURES)


class Saved(ShownAsTable):
    """Mixin of what has numbers by column, and is saved as what the suffix of a path says."""

    __slots__ = ()

    def table(self) -> Mapping[str, Sequence[Any]]:
        """The numbers by column; `pandas.DataFrame` takes it."""
        raise NotImplementedError

    def plain_values(self) -> dict[str, Any]:
        """All as JSON values; numbers that JSON lacks become "nan", "inf" and "-inf"."""
        raise NotImplementedError

    def draw(self) -> Any:
        """The picture: how much of the gradient reaches step 1. Raises RenderError."""
        raise NotImplementedError

    def to_csv(self, path: str | Path | None = None) -> str:
        """`table` as CSV, every number at full precision; written to `path`, too, where one is
        given. Raises OutputError where it cannot be written."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        columns = self.table()
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
        return _written(path, text.getvalue())

    def to_json(self, path: str | Path | None = None) -> dict[str, Any]:
        """All as JSON values; numbers that JSON lacks become "nan", "inf" and "-inf". Written to
        `path`, too, where one is given. Raises OutputError where it cannot be written."""
        values = self.plain_values()
        _written(path, json.dumps(values, indent=1, allow_nan=False))
        return values

    def save(self, path: str | Path) -> Path:
        """Write what the suffix says, .csv, .json, .html, .svg, .png or .pdf; returns the path.

        The file is there whole or not at all. Raises OutputError for another suffix, for
        what is no path, and where it
        cannot be written, RenderError where the picture cannot be drawn.
        """
        target = check_target(path)
        kind = target.suffix.lower()
        makers: dict[str, Callable[[Path], Any]] = {
            ".csv": self.to_csv,
            ".json": self.to_json,
            ".html": lambda path: _written(path, self._page()),
        }
        if kind in makers:
            makers[kind](target)
        else:
            write_atomically(target, self.draw().data(kind[1:]))
        return target

    def _page(self) -> str:
        """What `save` writes as .html."""
        from lstm.figures import page_of_table  # pages are loaded by those who write them

        return page_of_table(self._table(), self.draw().svg)


def check_target(path: str | Path) -> Path:
    """Where `save` shall write, before any work. Raises OutputError for a suffix that it does not
    know, for what is no path, and where nothing can be written.

    >>> check_target("flow.xls")
    Traceback (most recent call last):
        ...
    lstm.errors.OutputError: cannot write flow.xls: its suffix is none of .csv, .json, .html, \
.svg, .png, .pdf
    """
    target = path_given(path)
    if target.suffix.lower() not in SUFFIXES:
        raise OutputError(f"cannot write {target}: its suffix is none of {', '.join(SUFFIXES)}")
    check_file(target)
    return target


def _written(path: str | Path | None, text: str) -> str:
    """The text, in a file too, where there is a path."""
    if path is not None:
        write_atomically(path_given(path), text)
    return text
