"""Values as JSON has them, and counts as sentences do."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any


def jsonable(value: Any) -> Any:
    """The same with "nan", "inf" and "-inf" for the numbers that JSON lacks."""
    if isinstance(value, Mapping):
        return {k: jsonable(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [jsonable(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def counted(count: int, noun: str) -> str:
    """So many of what a noun says that takes an s.

    >>> counted(1, "step"), counted(1000, "step")
    ('1 step', '1,000 steps')
    """
    return f"{count:,} {noun}{'s' * (count != 1)}"
