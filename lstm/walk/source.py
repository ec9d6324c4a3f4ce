"""The walk as it is written down: Markdown, in which code that is to be run stands in fences."""

from __future__ import annotations

import json
import re
from importlib.resources import files
from typing import Any, NamedTuple

_FENCE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Piece(NamedTuple):
    """A stretch of the walk: words, in Markdown, or code."""

    is_code: bool
    text: str


def pieces() -> list[Piece]:
    """The walk, words and code by turns, in their order.

    >>> first, second, *_ = pieces()
    >>> first.text.partition("\\n")[0], second.is_code
    ('# Understanding LSTM networks, alive', True)
    """
    text = files("lstm.walk").joinpath("lstm_networks.md").read_text(encoding="utf-8")
    # What `split` gives is what lies between the fences, and, at odd places, within them.
    parts = enumerate(part.strip() for part in _FENCE.split(text))
    return [Piece(k % 2 == 1, part) for k, part in parts if part]


def notebook() -> str:
    """The walk as a Jupyter notebook without outputs, in JSON (nbformat 4.5).

    >>> import json
    >>> json.loads(notebook())["cells"][0]["cell_type"]
    'markdown'
    """
    python = {"display_name": "Python 3", "language": "python", "name": "python3"}
    book = {
        "cells": [_cell(k, piece) for k, piece in enumerate(pieces())],
        "metadata": {"kernelspec": python, "language_info": {"name": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(book, indent=1, ensure_ascii=False) + "\n"


def _cell(number: int, piece: Piece) -> dict[str, Any]:
    cell: dict[str, Any] = {
        "cell_type": "code" if piece.is_code else "markdown",
        "id": f"cell-{number}",
        "metadata": {},
        "source": piece.text.splitlines(keepends=True),
    }
    if piece.is_code:
        cell |= {"execution_count": None, "outputs": []}
    return dict(sorted(cell.items()))
