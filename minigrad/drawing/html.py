"""What Graphviz's HTML-like labels are built of: cells, chips, tables and a legend."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from minigrad.drawing.amount import Steps, kind_of
from minigrad.drawing.escape import WIDEST, esc
from minigrad.drawing.palette import INK, MUTED, text_on
from minigrad.drawing.theme import EdgeStyle, Kind, Scale, fmt, legend_rows

BINS, FEW_BINS = 64, 40  # of a strip at most, and of one that is read from afar
_GLYPHS = {"solid": "━━", "dashed": "╍╍", "dotted": "····"}


def cell(
    text: str,
    *,
    color: str = INK,
    size: float = 10.0,
    bold: bool = False,
    limit: int | None = WIDEST,
    **attributes: str,
) -> str:
    """A table cell of escaped text."""
    return _cell([text], color, size, bold, limit, attributes)


def numbers(
    before: str, text: str, *, color: str = MUTED, size: float = 9.0, **attributes: str
) -> str:
    """A table cell of numbers; more than two elements take two lines, so that boxes stay narrow.

    >>> "1, 2,<BR/>3" in numbers("", "[1, 2, 3]")
    True
    """
    pieces = text.split(", ")
    halves = [", ".join(pieces[:2]), ", ".join(pieces[2:])] if len(pieces) > 2 else [text]
    lines = [before + halves[0] + "," * (len(halves) - 1), *halves[1:]]
    return _cell(lines, color, size, False, WIDEST, attributes)


def _cell(
    lines: Iterable[str],
    color: str,
    size: float,
    bold: bool,
    limit: int | None,
    attributes: Mapping[str, str],
) -> str:
    shown = "<BR/>".join(esc(line, limit) or " " for line in lines)
    inner = f'<FONT COLOR="{color}" POINT-SIZE="{size:g}">{shown}</FONT>'
    listed = "".join(f' {key.upper()}="{value}"' for key, value in attributes.items())
    return f"<TD{listed}>{f'<B>{inner}</B>' if bold else inner}</TD>"


def chip(before: str, text: str, style: EdgeStyle, size: float = 9.0) -> str:
    """A table cell of a gradient, filled with the colour of its magnitude.

    What has no place on the scale, because it is next to nothing, is written on no fill.
    """
    if style.kind in ("normal", "nan", "inf"):
        return numbers(before, text, color=text_on(style.color), size=size, bgcolor=style.color)
    return numbers(before, text, size=size)


def strip(steps: Steps, scale: Scale, bins: int = BINS) -> str:
    """A table cell of the norms step by step as colours: the largest of a bin above the least."""
    shown = steps.bins(bins)
    room = 4 * BINS if bins == BINS else 2 * FEW_BINS
    width = max(2, min(12, room // max(len(shown), 1)))
    rows = []
    for k in (1, 0):
        pairs = zip(shown, steps.lost_in_bins(bins), strict=True)
        colors = [scale.look(both[k], kind_of(both[k], lost)).color for both, lost in pairs]
        size = f'FIXEDSIZE="TRUE" WIDTH="{width}" HEIGHT="6"'
        rows.append("".join(f'<TD BGCOLOR="{color}" {size}></TD>' for color in colors))
    return f"<TD>{table(rows, cellpadding='0')}</TD>"


def table(rows: Iterable[str], **attributes: str) -> str:
    """Rows of cells as a table without borders."""
    used = {"border": "0", "cellborder": "0", "cellspacing": "0", "cellpadding": "1"} | attributes
    listed = "".join(f' {key.upper()}="{value}"' for key, value in used.items())
    return f"<TABLE{listed}>{''.join(f'<TR>{row}</TR>' for row in rows)}</TABLE>"


def legend(scale: Scale, caption: str, kinds: Iterable[Kind]) -> str:
    """The colour scale as a row: classes from small to large, each with its least magnitude in it,
    and the kinds that occur.
    """
    present = set(kinds)
    cells = []
    for i in range(scale.classes):
        color = scale.class_style(i).color
        words = fmt(scale.edges[i])
        cells.append(
            cell(words, color=text_on(color), size=8, bgcolor=color, align="left", width="44")
        )
    for label, style in legend_rows(scale):
        if style.kind in present and style.kind != "normal":
            look = f'<FONT COLOR="{style.color}"><B>{_GLYPHS[style.dash]}</B></FONT>'
            text = f'<FONT COLOR="{MUTED}" POINT-SIZE="8"> {esc(label)}</FONT>'
            cells.append(f'<TD ALIGN="LEFT">  {look}{text}  </TD>')
    # A table within: spread under the caption, the classes would not be equally wide.
    row = f'<TD ALIGN="LEFT">{table(["".join(cells)])}</TD>'
    return table([cell(caption, size=9, limit=None, align="left"), row])
