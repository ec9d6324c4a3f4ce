"""How drawing fails: what Graphviz printed, and what a person can do about it."""

import re
from tempfile import gettempdir

from minigrad.drawing import render_child
from minigrad.errors import MinigradError

# Graphviz only warns here, and then draws something else than the DOT says.
_NOT_AS_ASKED = (
    "not a known color",
    "unknown shape",
    "unrecognized",
    "libexpat",
    "improper image",
)

_NOISE = ("Fontconfig", "agread:")  # says nothing about the picture


class RenderError(MinigradError, RuntimeError):
    """A picture that could not be drawn; the message says what Graphviz printed and what to do."""


def is_failure(printed: str) -> bool:
    """Whether what Graphviz printed says that the picture is not what was asked for."""
    lines = printed.splitlines()
    return any(
        line.startswith("Error:")
        or (line.startswith("Warning:") and any(words in line for words in _NOT_AS_ASKED))
        for line in lines
    )


def refused(place: str, dot: str, printed: str) -> RenderError:
    """The error for DOT that Graphviz does not take, with what it printed and what to do."""
    advice = "Correct the DOT text and draw it again."
    if "in label of" in printed:
        advice = (
            "An HTML-like label is XML: write &, < and > as &amp;, &lt; and &gt;, close every tag, "
            "and use only the tags that Graphviz knows."
        )
    elif "syntax error" in printed:
        advice = 'Put names and labels in quotes, and write " as \\" and \\ as \\\\ inside them.'
    return RenderError(
        f"Graphviz cannot draw {place}. It says:\n{_indented(printed)}\n"
        f"{_line_at_fault(dot, printed)}{advice}"
    )


def _line_at_fault(dot: str, printed: str) -> str:
    match = re.search(r"syntax error in line (\d+)", printed)
    lines = dot.split("\n")
    if match is None or not 1 <= int(match[1]) <= len(lines):
        return ""
    return f"Line {match[1]} of the DOT text is: {shortened(lines[int(match[1]) - 1])}\n"


def crashed(place: str, code: int, printed: str) -> RenderError:
    """The error for a Graphviz that ended in the middle of its work."""
    cause = f"signal {-code}" if code < 0 else f"exit status {code}"
    said = f" Before that it printed:\n{_indented(printed)}\n" if printed.strip() else " "
    return RenderError(
        f"Graphviz crashed ({cause}) on {place}.{said}"
        "The graph may be too large for the memory, or meet a fault in Graphviz: draw fewer nodes, "
        "or save the DOT text and try another version of Graphviz on it."
    )


def timed_out(place: str, dot: str, timeout: float) -> RenderError:
    """The error for a picture that took too long."""
    return RenderError(
        f"Graphviz did not finish {place} in {timeout:g} s (the DOT text has {len(dot):,} "
        "characters). The time grows faster than the graph: draw fewer nodes, or allow more, as in "
        f"mg.draw(..., timeout={10 * timeout:g})"
    )


def too_large(place: str, size: str) -> RenderError:
    """The error for a PNG that would be illegible at the size that is possible."""
    return RenderError(
        f"cannot draw {place}: it would have {size} pixels. At most "
        f"{render_child.PNG_SIDE:,} a side and {render_child.PNG_AREA // 10**6} million in all are "
        "possible, and made that small the text would be illegible. Use svg or pdf, or draw fewer "
        "nodes."
    )


def unwritten(place: str, reason: str) -> RenderError:
    """The error for a disk that has no room for what Graphviz reads."""
    return RenderError(
        f"cannot draw {place}: cannot write its DOT text into {gettempdir()}: {reason}"
    )


def shortened(text: str, limit: int = 160) -> str:
    """The start of a text, for a line of an error."""
    return text if len(text) <= limit else text[:limit] + " ..."


def _indented(printed: str) -> str:
    said = (line for line in printed.splitlines() if line.strip())
    lines = [line for line in said if not line.startswith(_NOISE)] or ["(nothing)"]
    shown = [f"    {shortened(line)}" for line in lines[:12]]
    return "\n".join(shown + [f"    ... {len(lines) - 12} more lines"] * (len(lines) > 12))
