"""Integers that have to lie within a range, such as tokens and lengths: checked wherever they
become known, at once or when they are bound."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

import minigrad as mg
from lstm.errors import ConfigError
from minigrad import Expr


def within(values: Any, least: int, most: int, what: str) -> Expr:
    """The integers, as an expression of their dtype. One below `least` or above `most` is a
    ConfigError that names it: at once where the values are known, else when they are bound.

    what: what one of them is called.

    >>> within([0, 2], 0, 1, "token")
    Traceback (most recent call last):
        ...
    lstm.errors.ConfigError: token 2 at [1] is out of range: from 0 to 1
    """
    integers: Expr = values if isinstance(values, Expr) else mg.const(np.asarray(values))
    if integers.dtype.kind not in "iu":
        raise ConfigError(f"each {what} must be an integer, not {integers.dtype}")
    if not mg.free_variables(integers):
        _checked(np.asarray(integers.eval()), least, most, what)
        return integers
    return WITHIN(integers, least=least, most=most, what=what)


def _within_type(values: Any, least: Any, most: Any, what: Any) -> Any:
    if values.dtype.kind not in "iu":
        raise mg.DTypeError(f"each {what} must be an integer, not {values.dtype}")
    if type(least) is not int or type(most) is not int or not isinstance(what, str):
        raise mg.ShapeError(f"a range is of two whole numbers, not of {least!r:.40}, {most!r:.40}")
    return values


def _checked(values: NDArray[Any], least: int, most: int, what: str) -> NDArray[Any]:
    wrong = (values < least) | (values > most)
    if wrong.any():
        first = tuple(int(i) for i in np.argwhere(wrong)[0])
        more = f", and {wrong.sum() - 1} more" if wrong.sum() > 1 else ""
        raise ConfigError(
            f"{what} {values[first]} at {list(first)} is out of range{more}: from {least} to {most}"
        )
    return values


WITHIN = mg.register(
    mg.Op(
        "within",  # the integers, unless one is out of range
        _within_type,
        _checked,
        no_gradient=True,
        pointwise=True,
        attrs=(mg.Attr("least"), mg.Attr("most"), mg.Attr("what")),
        checks=True,
    )
)
