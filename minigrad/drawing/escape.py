"""Text made safe for DOT, for Graphviz's HTML-like labels and for people's eyes.

Every name and label is hostile until it has passed through here.
"""

from __future__ import annotations

from collections.abc import Iterable

import graphviz

from minigrad.display import plain as plain

WIDEST = 48  # characters of a label before it is cut; tooltips hold all of it
# In HTML-like labels, too, Graphviz reads \N and \G as names of the node and the graph.
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\\": "&#92;&#92;"}


def esc(text: str, limit: int | None = WIDEST) -> str:
    """Text for an HTML-like label.

    >>> esc('<b> & "q"')
    '&lt;b&gt; &amp; &quot;q&quot;'
    """
    return "".join(_ENTITIES.get(c, c) for c in plain(text, limit))


def words(text: str, end: str = "") -> str:
    """One line for the `label` of a node that is no HTML-like label; `end` may justify it.

    Of no text there is no line to justify: Graphviz reads past its memory for the end alone.

    >>> print(words("R&D {}", r"\\l"))
    R&amp;D {}\\l
    >>> words("", r"\\l")
    ''
    """
    return _no_html(_literal(text, 1) + (end if text else ""))


def tooltip(lines: Iterable[str]) -> str:
    """Lines for a `tooltip`, in which Graphviz reads backslashes twice."""
    return _no_html("\\n".join(_literal(line, 2) for line in lines) or " ")


def _literal(text: str, readings: int) -> str:
    """Text in which Graphviz finds neither entities nor escapes, in so many readings."""
    shown = plain(text, 2000).replace("&", "&amp;")
    return shown.replace("\\", "\\" * 2**readings)


def _no_html(text: str) -> str:
    quoted: str = graphviz.nohtml(text)
    return quoted
