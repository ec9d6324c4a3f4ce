"""Figures drawn, and what is shown written into a folder: the page, the pictures, the numbers."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lstm.files import write_atomically
from lstm.gradient_flow import Flow
from minigrad.drawing import Diagram, Drawn
from minigrad.drawing.render import render_many


@dataclass(frozen=True)
class Pictures:
    """Drawn figures by name."""

    svg: dict[str, str]
    png: dict[str, bytes]
    narrow: dict[str, str]
    """The SVG of those that are drawn for narrow screens too."""


def draw_all(figures: Mapping[str, Drawn], narrow: Mapping[str, Drawn]) -> Pictures:
    """All pictures; those that Graphviz draws from one process. narrow: some of them again."""
    graphs = {name: figure for name, figure in figures.items() if isinstance(figure, Diagram)}
    drawn = iter(render_many([(d.dot, f) for d in graphs.values() for f in ("svg", "png")]))
    svg, png = {}, {}
    for name, figure in figures.items():
        figure.prefix = name
        if isinstance(figure, Diagram):
            svg[name], png[name] = figure.finish_svg(next(drawn)), next(drawn)
        else:
            svg[name], png[name] = figure.svg, figure.data("png")
    for name, figure in narrow.items():
        figure.prefix = f"{name}-narrow"
    return Pictures(svg, png, {name: figure.svg for name, figure in narrow.items()})


def write_all(
    folder: Path, html: str, pictures: Pictures, flows: Mapping[tuple[str, str], Flow]
) -> list[Path]:
    """Write index.html, each picture as .svg and .png, and flow.csv; returns their paths."""
    files: dict[str, str | bytes] = {"index.html": html}
    for name, svg in pictures.svg.items():
        files[f"{name}.svg"] = f'<?xml version="1.0" encoding="UTF-8"?>\n{svg}'
        files[f"{name}.png"] = pictures.png[name]
    files["flow.csv"] = flow_csv(flows)
    for name, data in files.items():
        write_atomically(folder / name, data)
    return [folder / name for name in files]


def flow_csv(flows: Mapping[tuple[str, str], Flow]) -> str:
    """All numbers at full precision, one a line: model, when, t, quantity, value."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["model", "when", "t", "quantity", "value"])
    for (name, when), flow in flows.items():
        steps, *columns = flow.table().items()
        for k, t in enumerate(steps[1]):
            for head, values in columns:
                writer.writerow([name, when, t, head, repr(float(values[k]))])
    return text.getvalue()
