"""The explorer's page: one file, which works offline and asks for nothing.

Its script is the modules of script/, one after the other; its data are JSON.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Any

from lstm.figures.explorer.gathered import Moments, gathered
from lstm.figures.explorer.graph import opened_of, prefix_of
from lstm.figures.explorer.packed import Arrays
from lstm.figures.explorer.steps import notation
from lstm.figures.explorer.tokens import BANDS
from lstm.figures.page import Section, flow_table, render
from lstm.files import generator_of
from lstm.gradient_flow import Flow
from minigrad.display import Table
from minigrad.drawing import Scale

_MODULES = (
    "dom",
    "packed",
    "amounts",
    "tiles",
    "moment",
    "view",
    "layers",
    "heat_map",
    "tokens",
    "step_panel",
    "range",
    "step_graph",
    "controls",
    "tour",
    "graphs",
    "page",
)
"""Each after those that it imports."""
_IMPORT = re.compile(r"^(import [^;]*;|/\*\* @import .*\*/)\n\n?", re.MULTILINE)
_EXPORT = re.compile(r"^export ", re.MULTILINE)


def explorer_page(
    models: Mapping[str, Moments],
    scale: Scale,
    title: str,
    intro: Sequence[str],
    sections: Sequence[Section],
    generator: str = "",
) -> str:
    """The page of models at moments: what leads, maps to look around in, and sections.

    models: {name: {moment: flow}}. scale: of all that is on it. title, intro, sections, generator:
    as in `page`, of which the first of intro leads. It is well-formed XML too. All text in it is
    escaped, and a policy in its head lets no other script run than its own, nor ask for anything.
    """
    firsts = [next(iter(moments.values())) for moments in models.values()]
    opened = [opened_of(flow, prefix_of(k)) for k, flow in enumerate(firsts)]
    told, script, arrays = (
        gathered(models, scale, [o.picture for o in opened]),
        script_text(),
        Arrays(),
    )
    data = in_script(told, arrays)  # which puts the codes among the arrays
    return render(
        "explorer/explorer.html.jinja",
        title=title,
        intro=intro,
        leads=True,
        sections=sections,
        generator=generator or generator_of(),
        css=_read("style.css"),
        script=script,
        script_hash=f"sha256-{b64encode(sha256(script.encode()).digest()).decode()}",
        told=told,
        bands=BANDS,
        data=data,
        codes=arrays.packed,
        notations=[notation(flow) for flow in firsts],
        graphs=[o.svg for o in opened],
        closed=[o.closed for o in opened],
    )


def explorer_of(flows: Mapping[str, Flow], scale: Scale, table: Table, picture: str) -> str:
    """The page of flows by name, led by what their table says, with the picture of them."""
    models = {name: {"": flow} for name, flow in flows.items()}
    sections = [
        *in_words(table.notes),
        Section("Does the gradient reach step 1?", picture=picture),
        Section("In numbers", tables=[table]),
        all_numbers(flows),
    ]
    return explorer_page(models, scale, table.title, table.notes[:1], sections)


def all_numbers(flows: Mapping[str, Flow]) -> Section:
    """The section of a table for each flow, of all its steps, closed at first."""
    return Section("All numbers", folded=[flow_table(f, name) for name, f in flows.items()])


def in_words(told: Sequence[str]) -> list[Section]:
    """The section of all sentences but that which leads."""
    return [Section("In words", points=told[1:])] if told[1:] else []


def in_script(value: Any, arrays: Arrays) -> str:
    """A value as JSON that ends no element, whatever its texts are, in HTML and in XML; codes in it
    are among the arrays.

    >>> in_script({"name": "</script><!-- &"}, Arrays())
    '{"name":"\\\\u003c/script\\\\u003e\\\\u003c!-- \\\\u0026"}'
    """
    text = json.dumps(value, separators=(",", ":"), allow_nan=False, default=arrays.place)
    return re.sub("[<>&]", lambda mark: f"\\u{ord(mark[0]):04x}", text)


@cache
def script_text() -> str:
    """All modules as one: they share their names, and import nothing."""
    parts = [_EXPORT.sub("", _IMPORT.sub("", _read(f"script/{name}.js"))) for name in _MODULES]
    # XML reads what stands between as text, HTML as comments.
    return "\n".join(["//<![CDATA[", *parts, "//]]>"])


def _read(name: str) -> str:
    return (files("lstm.figures.explorer") / name).read_text(encoding="utf-8")
