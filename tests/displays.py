"""What tests of displays share: names that would do harm, a model, and tables read back."""

from __future__ import annotations

import html.parser
from typing import Any

import lstm

TASK = lstm.Adding(length=20)
HOSTILE = [
    "\n",
    "a\x1b[31m",
    "</table><script>alert(1)</script>",
    "$$ \\end{matrix}",
    "\u202e",
    " ",
]
HOSTILE += ["{0}{1}", "%s", "\ud800", "x" * 100_000, "_", "^", "\\"]


def lstm_of(size: int, **options: Any) -> lstm.Model:
    return lstm.Model.create(lstm.LSTM, task=TASK, hidden_size=size, **options)


class Cells(html.parser.HTMLParser):
    """The texts of a table's cells, row by row, and the tags that there are."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.tags: set[str] = set()
        self.title = ""
        self.notes: list[str] = []
        self._into = ""
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.add(tag)
        self._into = tag
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_data(self, data: str) -> None:
        if self._into in ("td", "th"):
            self.rows[-1][-1] += data
        elif self._into == "b":
            self.title += data
        elif self._into == "p":
            self.notes.append(data)


def cells(shown: Any) -> Cells:
    made = shown._repr_mimebundle_()
    assert made["text/plain"] == repr(shown)
    assert set(made) == {"text/plain", "text/html"}
    found = Cells(made["text/html"])
    assert found.tags <= {"table", "caption", "b", "thead", "tbody", "tr", "th", "td", "p"}
    return found
