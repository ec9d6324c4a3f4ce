"""Text made safe for DOT and Graphviz's HTML-like labels, and the few elements built of them.

Every name and label is hostile until it has passed through here.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

import graphviz

from minigrad.drawing.theme import EdgeStyle, Scale, fmt, legend_rows, text_on

INK, MUTED, FAINT, PAGE = "#1b1f24", "#57606a", "#c9ced6", "#ffffff"
BOLD = " Bold"  # what Pango takes for a weight at the end of a list of families
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\\": "&#92;"}
_WIDEST = 48  # characters of a label before it is cut; tooltips hold all of it
_GLYPHS = {"solid": "━━", "dashed": "╍╍", "dotted": "····"}


def plain(text: str, limit: int | None = None) -> str:
    """Text without characters that a picture cannot show: they are made visible or replaced.

    >>> plain("a\\0b\\n"), plain("abcdef", limit=4)
    ('a␀b␊', 'abc…')
    """
    shown = "".join(map(_visible, text))
    return shown if limit is None or len(shown) <= limit else shown[: limit - 1] + "…"


def _visible(c: str) -> str:
    if c < " ":
        return chr(0x2400 + ord(c))
    # Controls, lone surrogates and marks that turn the direction of what follows.
    return "\ufffd" if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp") else c


def esc(text: str, limit: int | None = _WIDEST) -> str:
    """Text for an HTML-like label.

    >>> esc('<b> & "q"')
    '&lt;b&gt; &amp; &quot;q&quot;'
    """
    return "".join(_ENTITIES.get(c, c) for c in plain(text, limit))


def tooltip(lines: Iterable[str], end: str = "") -> str:
    """Lines as a DOT escString that is no HTML-like label; `end` may say how they are justified.

    Backslashes in them mean nothing to Graphviz.
    """
    shown = "\\n".join(plain(line, 2000).replace("\\", "\\\\") for line in lines)
    text: str = graphviz.nohtml(shown + end or " ")
    return text


def cell(
    text: str,
    *,
    color: str = INK,
    size: float = 10.0,
    bold: bool = False,
    limit: int | None = _WIDEST,
    **attributes: str,
) -> str:
    """A table cell of escaped text."""
    inner = f'<FONT COLOR="{color}" POINT-SIZE="{size:g}">{esc(text, limit) or " "}</FONT>'
    listed = "".join(f' {key.upper()}="{value}"' for key, value in attributes.items())
    return f"<TD{listed}>{f'<B>{inner}</B>' if bold else inner}</TD>"


def chip(text: str, style: EdgeStyle, size: float = 9.0) -> str:
    """A table cell filled with the colour of a magnitude; nothing at all is written on no fill."""
    if style.kind in ("disconnected", "zero"):
        return cell(text, color=MUTED, size=size)
    return cell(text, color=text_on(style.color), size=size, bgcolor=style.color)


def table(rows: Iterable[str], **attributes: str) -> str:
    """Rows of cells as a table without borders."""
    given = {"border": "0", "cellborder": "0", "cellspacing": "0", "cellpadding": "1"} | attributes
    listed = "".join(f' {key.upper()}="{value}"' for key, value in given.items())
    return f"<TABLE{listed}>{''.join(f'<TR>{row}</TR>' for row in rows)}</TABLE>"


def legend(scale: Scale, caption: str, kinds: Iterable[str]) -> str:
    """The colour scale as a table: classes from small to large, and the kinds that occur."""
    shown = set(kinds)
    swatches, ticks = [], []
    for i in range(scale.classes):
        color = scale.class_style(i).color
        swatches.append(f'<TD BGCOLOR="{color}" WIDTH="44" HEIGHT="9" FIXEDSIZE="TRUE"></TD>')
        ticks.append(cell(f"{fmt(scale.edges[i])}", color=MUTED, size=8, align="left"))
    for label, style in legend_rows(scale):
        if style.kind in shown and style.kind != "normal":
            look = f'<FONT COLOR="{style.color}"><B>{_GLYPHS[style.dash]}</B></FONT>'
            swatches.append(f'<TD CELLPADDING="0">  {look}  </TD>')
            ticks.append(cell(label, color=MUTED, size=8))
    across = str(len(swatches))
    head = cell(caption, size=9, limit=None, colspan=across, align="left")
    return table([head, "".join(swatches), "".join(ticks)])
