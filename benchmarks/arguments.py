"""What the benchmarks' command lines have in common."""

from __future__ import annotations

import argparse


def count(text: str) -> int:
    """A number above 0, with or without commas. Raises what argparse turns into a message."""
    digits = text.replace(",", "")
    if not digits.isdecimal() or not int(digits):
        raise argparse.ArgumentTypeError(f"a number above 0 is needed, not {text!r}")
    return int(digits)
