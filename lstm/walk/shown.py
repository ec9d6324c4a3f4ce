"""What the page shows of a piece of the walk: Markdown and values, as finished HTML.

All of it is well-formed XML. Markdown has no HTML of its own; values are shown as a notebook shows
them, a picture as SVG and a formula as MathML.
"""

from __future__ import annotations

import ast
import html
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from markdown_it import MarkdownIt

from lstm.walk.running import Ran
from minigrad.derivations.mathml import mathml
from minigrad.drawing import Drawn
from minigrad.drawing.escape import plain

_MARKDOWN = MarkdownIt("commonmark", {"html": False, "xhtmlOut": True}).enable("table")
LEAST = 8.25  # points, which are 11 pixels
_DOLLARS = re.compile(r"\$(?:\\displaystyle)?(.*)\$", re.DOTALL)


class Heading(NamedTuple):
    """A section's name, and its id on the page."""

    title: str
    name: str


class Shown(NamedTuple):
    """A piece as the page has it: words and a result in HTML, a picture in SVG, or code."""

    headings: Sequence[Heading] = ()
    html: str = ""
    svg: str = ""
    least: str = ""
    """The width below which the picture is not legible."""
    code: str = ""
    last: str = ""
    """The expression that the code ends with, which is what is shown; "" of code that prints."""
    printed: str = ""


def shown(ran: Ran, number: int) -> Shown:
    """A piece after its turn; number: of the piece, which makes its ids its own.

    >>> from lstm.walk.source import Piece
    >>> shown(Ran(Piece(False, "## A *b*"), "", None), 3)[:2]
    ((Heading(title='A b', name='walk-3-0'),), '<h2 id="walk-3-0">A <em>b</em></h2>\\n')
    """
    if not ran.piece.is_code:
        return _words(ran.piece.text, number)
    code = ran.piece.text
    result, svg = _value(ran.value, f"walk-{number}")
    last = "" if ran.value is None else ast.get_source_segment(code, ast.parse(code).body[-1])
    printed = plain_lines(ran.printed)
    return Shown((), result, svg, least_width(svg), code, last or "", printed)


def plain_lines(text: str) -> str:
    """Printed lines without characters that a page cannot have."""
    return "\n".join(plain(line) if line else "" for line in text.rstrip("\n").split("\n"))


def least_width(svg: str) -> str:
    """The width, as CSS takes it, in which the smallest letters of a picture are 11 pixels high.

    >>> least_width('<svg width="600pt"><text style="font-size: 16.5px">a</text></svg>')
    '300pt'
    """
    width = re.search(r' width="([\d.]+)pt"', svg)
    letters = [float(size) for size in re.findall(r"font-size[:=]\W*([\d.]+)", svg)]
    if width is None or not letters:
        return "0"
    return f"{float(width[1]) * min(1.0, LEAST / min(letters)):g}pt"


def _words(text: str, number: int) -> Shown:
    tokens = _MARKDOWN.parse(text)
    headings: list[Heading] = []
    for k, token in enumerate(tokens):
        if token.type == "heading_open" and token.tag == "h2":
            inside = tokens[k + 1].children or ()
            title = "".join(part.content for part in inside)
            headings.append(Heading(title, f"walk-{number}-{len(headings)}"))
            token.attrSet("id", headings[-1].name)
    return Shown(tuple(headings), _MARKDOWN.renderer.render(tokens, _MARKDOWN.options, {}))


def _value(value: Any, prefix: str) -> tuple[str, str]:
    """A value in HTML, or else as SVG whose ids begin with the prefix."""
    if value is None:
        return "", ""
    if isinstance(value, Drawn):
        value.prefix = prefix
        return "", value.svg
    bundle = value._repr_mimebundle_() if hasattr(value, "_repr_mimebundle_") else {}
    if "image/svg+xml" in bundle:
        return "", bundle["image/svg+xml"]
    if "text/html" in bundle:
        return bundle["text/html"], ""
    formula = _DOLLARS.fullmatch(bundle.get("text/latex", ""))
    if formula:
        return f"<p>{mathml(formula[1])}</p>", ""
    return f"<pre>{html.escape(plain_lines(repr(value)))}</pre>", ""
