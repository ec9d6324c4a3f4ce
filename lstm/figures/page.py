"""One self-contained HTML page: the pictures, the numbers behind them, and what they mean.

No script, no font, no request: it works from a file, offline. How it looks is said in
page.html.jinja, which escapes every text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from lstm.files import generator_of
from lstm.gradient_flow import Flow
from minigrad.display import Table
from minigrad.drawing.escape import plain
from minigrad.drawing.palette import DARK, LIGHT, css_variables


@dataclass(frozen=True)
class Section:
    """A heading and what stands under it, in this order."""

    title: str
    text: Sequence[str] = ()
    points: Sequence[str] = ()
    tables: Sequence[Table] = ()
    picture: str = ""
    """A finished SVG, whose ids are its own."""
    caption: str = ""
    is_wide: bool = False
    """Shown at its own size, to scroll, instead of fitted to the page."""
    folded: Sequence[Table] = field(default_factory=tuple)
    """Long tables, closed at first."""
    narrow: str = ""
    """The picture again, for screens that are too narrow for it; it is on all where empty."""
    footnotes: Sequence[str] = ()
    """What explains the tables."""
    written: Mapping[str, str] = field(default_factory=dict)
    """Texts, by what they are, shown line by line as they are."""


def page(
    title: str,
    intro: Sequence[str],
    sections: Sequence[Section],
    leads: bool = False,
    generator: str = "",
) -> str:
    """The whole page; it is well-formed XML too. leads: the first sentence of intro is in large.
    generator: what it says of who wrote it, as `generator_of` has it.

    >>> text = page("<T>", ["a & b"], [Section("s", points=["p"])])
    >>> "&lt;T&gt;" in text, "a &amp; b" in text, text.count("<h2")
    (True, True, 1)
    """
    values = {"title": title, "intro": intro, "sections": sections, "leads": leads}
    return render("page.html.jinja", generator=generator or generator_of(), **values)


def render(template: str, **values: Any) -> str:
    """The page that a template of this folder makes of values."""
    return (
        _environment()
        .get_template(template)
        .render(
            light=css_variables(LIGHT),
            dark=css_variables(DARK),
            width_of=_width_of,
            is_broad=_is_broad,
            **values,
        )
    )


@cache
def _environment() -> Environment:
    """Of templates that escape all that is put into them but finished pictures."""
    return Environment(
        loader=PackageLoader("lstm.figures", ""),
        autoescape=True,
        finalize=_shown,
        undefined=StrictUndefined,
    )


def _shown(value: Any) -> Any:
    """Text without characters that XML forbids; a finished picture, which is safe, as it is."""
    return plain(value) if type(value) is str else value


def _width_of(svg: str) -> str:
    """The width that a picture was drawn for, as CSS takes it.

    >>> _width_of('<svg width="700pt" height="9pt">'), _width_of("<svg>")
    ('700pt', '0')
    """
    match = re.match(r'<svg[^>]*? width="([\d.]+)pt"', svg)
    return f"{match[1]}pt" if match else "0"


def _is_broad(svg: str) -> bool:
    """Whether a picture is printed on a page that lies on its side.

    >>> _is_broad('<svg width="900pt" height="600pt">'), _is_broad("<svg>")
    (True, False)
    """
    match = re.match(r'<svg[^>]*? width="([\d.]+)pt" height="([\d.]+)pt"', svg)
    return match is not None and float(match[1]) > 1.2 * float(match[2])


def flow_table(flow: Flow, caption: str) -> Table:
    """All numbers of a flow, one row a step."""
    columns = flow.table()
    rows = zip(*columns.values(), strict=True)
    shown = [[str(t), *(f"{x:.3g}" for x in numbers)] for t, *numbers in rows]
    return Table(caption, shown, [*columns])


def page_of_table(table: Table, picture: str) -> str:
    """The page of one table and its picture, led by what the table says in words."""
    sections = [
        Section("Does the gradient reach step 1?", picture=picture),
        Section("In numbers", tables=[table]),
    ]
    return page(table.title, table.notes, sections, leads=True)
