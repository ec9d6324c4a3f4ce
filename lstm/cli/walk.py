"""`lstm walk`: the textbook retold, with every claim shown by code that runs, as one page."""

from __future__ import annotations

import argparse
from pathlib import Path

from lstm.cli.options import overwriting, path
from lstm.cli.parts import status
from lstm.cli.tables import console, print_json, printable
from lstm.files import output_folder

HELP = "retell the textbook, with running code, as one page"


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=path, default=Path("lstm-walk"), help="folder for the page")
    overwriting(parser)
    parser.add_argument("--json", action="store_true", help="the files as JSON, no progress")


def run(args: argparse.Namespace) -> int:
    from lstm.walk import FILES, write_walk  # drawing is loaded by those who draw

    with (
        output_folder(args.out, FILES, force=args.force, command="walk") as part,
        status("running the walk", args.json) as shown,
    ):
        written = write_walk(
            part, lambda done, of: shown.update(f"running the walk, {done} of {of} ...")
        )
        files = [str(args.out / p.relative_to(part)) for p in written]
    if args.json:
        return print_json({"files": files})
    out = console()
    out.print(printable(f"Open {files[0]}"), soft_wrap=True)
    out.print(printable(f"The same as a notebook: {files[1]}"), soft_wrap=True)
    return 0
