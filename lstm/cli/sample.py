"""`lstm sample`: what a model of a text writes, as it writes it."""

from __future__ import annotations

import argparse
import sys
from functools import partial

from lstm.cli.options import model_file, own_cell, positive, whole
from lstm.cli.parts import loaded
from lstm.cli.tables import LINES, print_json, printable
from lstm.errors import ConfigError
from lstm.sampling import sample

HELP = "let a model of a text write"


def add_options(parser: argparse.ArgumentParser) -> None:
    model_file(parser)
    own_cell(parser)
    parser.add_argument("--prompt", help="what comes before (default: the end of a line)")
    parser.add_argument(
        "--length", type=whole(1), default=500, help="tokens to write (default: 500)"
    )
    parser.add_argument(
        "--temperature",
        type=partial(positive, zero=True),
        default=1.0,
        help="below 1 what is likely is likelier still; 0: always the likeliest (default: 1)",
    )
    parser.add_argument("--top-k", type=whole(1), help="draw only from so many of the likeliest")
    parser.add_argument("--seed", type=whole(0), default=0, help="another one, another text")
    parser.add_argument("--json", action="store_true", help="the text as JSON, when it is whole")


def run(args: argparse.Namespace) -> int:
    if args.prompt == "":
        raise ConfigError(
            "--prompt is a text of at least one character; without it a line has just ended"
        )
    pieces = sample(
        loaded(args),
        "\n" if args.prompt is None else args.prompt,
        length=args.length,
        temperature=args.temperature,
        top_k=args.top_k,
        seed=args.seed,
    )
    if args.json:
        return print_json({"prompt": args.prompt, "text": "".join(pieces)})
    _write(args.prompt or "")
    for piece in pieces:
        _write(piece)
    _write("\n")
    return 0


def _write(text: str) -> None:
    """At once, without what would steer a terminal."""
    sys.stdout.write(printable(text, LINES))
    sys.stdout.flush()
