"""`lstm figures`: the textbook's figures, drawn from the cells' equations."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from lstm.cli.options import one_of, overwriting, path
from lstm.cli.parts import status
from lstm.cli.tables import console, print_json, printable
from lstm.errors import ConfigError
from lstm.files import generator_of, output_folder, write_atomically
from minigrad.names import did_you_mean

HELP = "draw the textbook's figures from the cells' equations"


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--out", type=path, default=Path("lstm-figures"), help="folder for the pictures"
    )
    overwriting(parser)
    text = "a figure, such as ex10; may be given several times (default: all)"
    parser.add_argument("--only", action="append", metavar="NAME", help=text)
    one_of(parser, "--format", ("svg", "png", "pdf"), default="svg")
    parser.add_argument("--dark", action="store_true", help="light on dark")
    text = "those of models trained in seconds, and their gradients, where a figure has room"
    parser.add_argument("--numbers", action="store_true", help=text)
    parser.add_argument("--json", action="store_true", help="results as JSON, no progress")


def run(args: argparse.Namespace) -> int:
    from lstm.figures.numbered import FIGURES, trained_step
    from lstm.figures.page import Section, page  # drawing is loaded by those who draw

    names = list(dict.fromkeys(args.only or FIGURES))
    if unknown := [name for name in names if name not in FIGURES]:
        raise ConfigError(
            f"there is no figure {unknown[0]!r:.40}; there are {', '.join(FIGURES)}"
            f"{did_you_mean(unknown[0], list(FIGURES))}"
        )
    files = {name: f"{FIGURES[name].file}.{args.format}" for name in names}
    sections = []
    written = [*files.values(), "index.html"]
    ours: dict[str, Any] = {"command": "figures", "holds": names}
    with (
        output_folder(args.out, written, force=args.force, **ours) as part,
        status("drawing", args.json),
    ):
        entries = [FIGURES[name] for name in names if args.numbers]
        cells = dict.fromkeys(e.cell for e in entries if e.cell is not None and e.has_numbers)
        numbers = {cell: trained_step(cell) for cell in cells}
        for name, file in files.items():
            entry = FIGURES[name]
            figure = entry.chart(
                "dark" if args.dark else "light", numbers.get(entry.cell) if entry.cell else None
            )
            figure.prefix = name  # all stand on one page; before it is drawn, which is once
            write_atomically(part / file, figure.data(args.format))
            sections.append(Section(figure.title, picture=figure.svg))
        intro = ["Each is drawn from the graph of a cell, or from what a model computes."]
        text = page("The textbook's figures", intro, sections, generator=generator_of(**ours))
        write_atomically(part / "index.html", text)
    paths = [str(args.out / file) for file in written]
    if args.json:
        return print_json({"files": paths})
    for file in paths:
        console().print(printable(f"Wrote {file}"), soft_wrap=True)
    return 0
