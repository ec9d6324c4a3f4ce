"""What is measured, as files: numbers as CSV and JSON, a page, and pictures."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lstm.errors import OutputError
from lstm.files import write_atomically
from minigrad.display import ShownAsTable

PICTURES = (".svg", ".png", ".pdf")


class Saved(ShownAsTable):
    """Mixin of what has numbers by column, and is saved as what the suffix of a path says."""

    __slots__ = ()

    def table(self) -> Mapping[str, Sequence[Any]]:
        """The numbers by column; `pandas.DataFrame` takes it."""
        raise NotImplementedError

    def to_json(self) -> dict[str, Any]:
        """All as JSON values; numbers that JSON lacks become "nan", "inf" and "-inf"."""
        raise NotImplementedError

    def draw(self) -> Any:
        """The picture: how much of the gradient reaches step 1. Raises RenderError."""
        raise NotImplementedError

    def to_csv(self) -> str:
        """`table` as CSV, every number at full precision."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        columns = self.table()
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
        return text.getvalue()

    def save(self, path: str | Path) -> Path:
        """Write what the suffix says, .csv, .json, .html, .svg, .png or .pdf; returns the path.

        The file is there whole or not at all. Raises OutputError for another suffix and where it
        cannot be written, RenderError where the picture cannot be drawn.
        """
        target, kind = Path(path), Path(path).suffix.lower()
        makers = {".csv": self.to_csv, ".json": self._json, ".html": self._page}
        if kind in makers:
            write_atomically(target, makers[kind]())
        elif kind in PICTURES:
            write_atomically(target, self.draw().data(kind[1:]))
        else:
            known = ", ".join([*makers, *PICTURES])
            raise OutputError(f"cannot write {target}: its suffix is none of {known}")
        return target

    def _json(self) -> str:
        return json.dumps(self.to_json(), indent=1, allow_nan=False)

    def _page(self) -> str:
        from lstm.figures import page_of_table  # pages are loaded by those who write them

        return page_of_table(self._table(), self.draw().svg)
