"""How curves of several models look, so that more than colour tells them apart."""

from __future__ import annotations

from typing import Any

from minigrad.drawing import charts

_DASHES = ("-", "--", "-.", ":")


def look_of_line(k: int) -> dict[str, Any]:
    """Colour and dashes of the k-th curve, from 0, as matplotlib's `plot` takes them.

    >>> look_of_line(1) == {"color": charts.curve_color(1), "ls": "--"}
    True
    """
    return {"color": charts.curve_color(k), "ls": _DASHES[k % len(_DASHES)]}
