"""DOT text on its way to Graphviz: looked through for what Graphviz would not say, in our font."""

import re
from dataclasses import dataclass

from minigrad.drawing.faults import RenderError, shortened
from minigrad.drawing.theme import FONT

FORMATS = ("svg", "png", "pdf")


@dataclass(frozen=True)
class Job:
    """One picture to draw; `place` names it in an error, where `dot` is shown as it was given."""

    dot: str
    format: str
    place: str

    @property
    def source(self) -> bytes:
        return _with_defaults(self.dot).encode()


def checked_job(dot: str, format: str, place: str) -> Job:
    """The job of drawing a text. Raises RenderError where it can be seen to fail."""
    if format not in FORMATS:
        raise RenderError(
            f"cannot draw the format {format!r}: choose 'svg', 'png' or 'pdf'. "
            "The DOT text itself needs no renderer."
        )
    if not dot.strip():
        raise RenderError(f"cannot draw {place}: the DOT text is empty.")
    if "\0" in dot:
        raise RenderError(f"cannot draw {place}: the DOT text has a NUL character in it.")
    rest = _after_graph(dot)
    if rest:
        raise RenderError(
            f"cannot draw {place}: the graph's closing brace comes too early, and Graphviz would "
            f"leave out what follows: {shortened(rest)!r}. A name or label with a quote in it was "
            'not quoted: write " as \\" inside quotes.'
        )
    try:
        dot.encode()
    except UnicodeEncodeError as error:
        raise RenderError(
            f"cannot draw {place}: the DOT text has a lone surrogate at position {error.start}."
        ) from error
    return Job(dot, format, place)


_DEFAULTS = f'graph [fontname="{FONT}"] node [fontname="{FONT}"] edge [fontname="{FONT}"]'
_TOKEN = re.compile(
    r'"(?:\\.|[^"\\])*"|//[^\n]*|/\*.*?\*/|^#[^\n]*|->|[{}<]', re.DOTALL | re.MULTILINE
)
_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/|^#[^\n]*", re.DOTALL | re.MULTILINE)
_ANGLE = re.compile("[<>]")


def _after_graph(dot: str) -> str:
    """The text after the first graph's closing brace, without comments; Graphviz ignores it.

    >>> _after_graph('digraph { a [label="}"]; b [label=<<b>}</b>>] }  // end')
    ''
    >>> _after_graph('digraph { a [label="x"]; } b [label="y"] }')
    'b [label="y"] }'
    """
    depth = position = 0
    while token := _TOKEN.search(dot, position):
        position = token.end()
        if token[0] == "<":
            position = _end_of_html(dot, position)
        elif token[0] == "{":
            depth += 1
        elif token[0] == "}":
            depth -= 1
            if depth <= 0:
                return _COMMENT.sub("", dot[position:]).strip()
    return ""


def _with_defaults(dot: str) -> str:
    """The same graph in our font, except where it names its own; no line gets another number.

    >>> _with_defaults('digraph "{" { a }') == 'digraph "{" {' + _DEFAULTS + " a }"
    True
    """
    for token in _TOKEN.finditer(dot):
        if token[0] == "{":
            return f"{dot[: token.end()]}{_DEFAULTS}{dot[token.end() :]}"
    return dot


def _end_of_html(dot: str, start: int) -> int:
    """Where the HTML-like string ends whose "<" stands before `start`.

    As in Graphviz, brackets nest, and those in quotes and comments count too.
    """
    depth = 1
    for bracket in _ANGLE.finditer(dot, start):
        depth += 1 if bracket[0] == "<" else -1
        if depth == 0:
            return bracket.end()
    return len(dot)
