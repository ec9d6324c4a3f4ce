"""One self-contained HTML page: the pictures, the numbers behind them, and what they mean.

No script, no font, no request: it works from a file, offline. Every text is escaped here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

from lstm.gradient_flow import Flow
from minigrad.drawing.escape import plain
from minigrad.drawing.palette import DARK, LIGHT, css_variables

_CSS = (
    f"""
:root {{ color-scheme: light dark; {css_variables(LIGHT)} }}
@media (prefers-color-scheme: dark) {{ :root {{ {css_variables(DARK)} }} }}
"""
    + """
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem clamp(1rem, 4vw, 3rem) 4rem; max-width: 92rem;
  background: var(--page); color: var(--ink);
  font: 16px/1.5 "DejaVu Sans", Verdana, system-ui, sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.25; } h2 { font-size: 1.2rem; margin-top: 2.5rem; }
p, li { max-width: 48rem; } .muted { color: var(--muted); font-size: .9rem; }
a { color: inherit; }
:focus-visible { outline: 3px solid var(--focus); outline-offset: 2px; }
.scroll { overflow: auto; border: 1px solid var(--faint); border-radius: 6px; max-width: 100%; }
.scroll:has(> table) { width: fit-content; }
.scroll.tall { max-height: 28rem; } figure { margin: 1rem 0; }
.fit svg { display: block; width: 100%; height: auto; min-width: 46rem; }
.wide svg { display: block; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9rem; }
th, td { padding: .3rem .7rem; text-align: right; border-bottom: 1px solid var(--faint);
  white-space: nowrap; }
th:first-child, td:first-child { text-align: left; } thead th { background: var(--group);
  position: sticky; top: 0; } summary { cursor: pointer; padding: .4rem 0; }
"""
)


@dataclass(frozen=True)
class Table:
    """Rows of text under heads."""

    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""


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


def page(title: str, intro: Sequence[str], sections: Sequence[Section]) -> str:
    """The whole page; it is well-formed XML too.

    >>> text = page("<T>", ["a & b"], [Section("s", points=["p"])])
    >>> "&lt;T&gt;" in text, "a &amp; b" in text, text.count("<h2")
    (True, True, 1)
    """
    body = "\n".join(_section(k, s) for k, s in enumerate(sections, 1))
    return f"""<!DOCTYPE html>
<html lang="en" xmlns="http://www.w3.org/1999/xhtml">
<head>
<meta charset="utf-8"/>
<meta name="viewport" content="width=device-width, initial-scale=1"/>
<title>{esc(title)}</title>
<style>{_CSS}</style>
</head>
<body>
<main>
<h1>{esc(title)}</h1>
{_paragraphs(intro)}
{body}
</main>
</body>
</html>
"""


def esc(text: str) -> str:
    """Text for an element or an attribute, without characters that XML forbids."""
    return escape(plain(str(text)), quote=True)


def _section(k: int, section: Section) -> str:
    parts = [f'<section aria-labelledby="s{k}">', f'<h2 id="s{k}">{esc(section.title)}</h2>']
    parts.append(_paragraphs(section.text))
    if section.points:
        listed = "".join(f"<li>{esc(p)}</li>" for p in section.points)
        parts.append(f"<ul>{listed}</ul>")
    parts += [_table(t, "") for t in section.tables]
    if section.picture:
        kind = "wide" if section.is_wide else "fit"
        caption = f'<figcaption class="muted">{esc(section.caption)}</figcaption>'
        parts.append(
            f'<figure><div class="scroll {kind}" tabindex="0" role="region" '
            f'aria-label="{esc(section.title)}">{section.picture}</div>{caption}</figure>'
        )
    parts += [
        f"<details><summary>{esc(t.caption)}</summary>{_table(t, ' tall')}</details>"
        for t in section.folded
    ]
    return "\n".join([*filter(None, parts), "</section>"])


def _paragraphs(texts: Sequence[str]) -> str:
    return "\n".join(f"<p>{esc(t)}</p>" for t in texts)


def _table(table: Table, kind: str) -> str:
    heads = "".join(f'<th scope="col">{esc(h)}</th>' for h in table.heads)
    rows = "".join(
        "<tr>" + "".join(f"<td>{esc(c)}</td>" for c in row) + "</tr>" for row in table.rows
    )
    label = esc(table.caption or "table")
    return (
        f'<div class="scroll{kind}" tabindex="0" role="region" aria-label="{label}"><table>'
        f"<thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def flow_table(flow: Flow, caption: str) -> Table:
    """All numbers of a flow, one row a step."""
    heads, rows = flow.rows()
    shown = [[str(int(row[0])), *(f"{x:.3g}" for x in row[1:])] for row in rows]
    return Table(heads, shown, caption)
