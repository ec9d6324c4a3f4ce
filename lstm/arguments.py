"""What functions are given: made expressions and generators, and looked at.

Integers that have to lie within a range, such as labels, tokens and lengths, are checked wherever
they become known, at once or when they are bound, and each time that a function is called.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

import minigrad as mg
from lstm.errors import ConfigError, LstmError, check_count
from minigrad import Expr


def array(x: Any, what: str = "an argument", dtype: np.dtype[Any] | None = None) -> NDArray[Any]:
    """x as an array. Raises ConfigError, with what it is, for what are no numbers, as a ragged
    list.

    >>> array([[1, 2], [3]], "ys")
    Traceback (most recent call last):
        ...
    lstm.errors.ConfigError: ys must be an array of numbers, with rows of one length, not a list
    """
    try:
        return np.asarray(x, dtype)
    except (ValueError, TypeError) as error:
        if isinstance(error, (LstmError, mg.MinigradError)):  # of what is in it
            raise
        shown = repr(x) if isinstance(x, (str, complex)) else f"a {type(x).__name__}"
        raise ConfigError(
            f"{what} must be an array of numbers, with rows of one length, not {shown:.40}"
        ) from None


def expression(x: Any, dtype: np.dtype[Any] | None = None, what: str = "an argument") -> Expr:
    """x as an expression; an array takes the dtype, where one is asked for. Raises ConfigError for
    what is neither an expression nor numbers, and says what it is."""
    if not isinstance(x, Expr):
        return mg.const(array(x, what, dtype))
    if not isinstance(x.type, mg.TensorType):
        raise ConfigError(f"{what} must be an expression of numbers, not the node of a loop")
    return x


def generator(seed: Any) -> np.random.Generator:
    """The generator of a seed, or the one that is given. Raises ConfigError for what is neither."""
    if isinstance(seed, np.random.Generator):
        return seed
    return np.random.default_rng(check_count("seed", seed, 0))


def key_given(key: Any) -> Expr | None:
    """A key to draw from, as an expression; None where there is none. Raises ConfigError for what
    is none, such as a seed, also where nothing will be drawn."""
    if key is None:
        return None
    made = expression(key)
    if made.shape != (2,) or made.dtype != np.dtype("uint64"):
        raise ConfigError(
            f"key= is a key to draw from, minigrad.key(seed), uint64 (2,), and not {made.type!r}"
        )
    return made


def within(values: Any, least: int, most: int, what: str) -> Expr:
    """The integers, as an expression of their dtype. One below `least` or above `most` is a
    ConfigError that names it: at once where the values are known, else when they are bound.

    what: what one of them is called. Raises ConfigError for what are no integers, too.

    >>> within([0, 2], 0, 1, "token")
    Traceback (most recent call last):
        ...
    lstm.errors.ConfigError: token 2 at [1] is out of range: from 0 to 1
    """
    integers = expression(values)
    if integers.dtype.kind not in "iu":
        raise ConfigError(f"each {what} must be an integer, not {integers.dtype}")
    checked: Expr = WITHIN(integers, least=least, most=most, what=what)
    if not mg.free_variables(integers):  # a param's value may be another later: the op stays
        _checked(np.asarray(integers.eval()), least, most, what)
    return checked


def array_within(values: Any, least: int, most: int, what: str) -> NDArray[Any]:
    """The same of integers that are known, as an array."""
    integers = array(values, f"each {what}")
    if integers.dtype.kind not in "iu":
        raise ConfigError(f"each {what} must be an integer, not {integers.dtype}")
    return _checked(integers, least, most, what)


def _within_type(values: Any, least: Any, most: Any, what: Any) -> Any:
    if values.dtype.kind not in "iu":
        raise mg.DTypeError(f"each {what} must be an integer, not {values.dtype}")
    if {type(least), type(most)} != {int} or least > most or not isinstance(what, str):
        raise mg.ShapeError(f"a range is of two whole numbers, not of {least!r:.40}, {most!r:.40}")
    return values


def _inside(values: Any, least: int, most: int) -> Any:
    limits = np.iinfo(values.dtype)
    return (values >= max(least, limits.min)) & (values <= min(most, limits.max))


def _checked(values: NDArray[Any], least: int, most: int, what: str) -> NDArray[Any]:
    wrong = ~_inside(values, least, most)
    if wrong.any():
        first = first_wrong(values, wrong, "is out of range")
        raise ConfigError(f"{what} {first}: from {least} to {most}")
    return values


def first_wrong(values: NDArray[Any], wrong: NDArray[np.bool_], words: str) -> str:
    """The first of the values that are wrong, where it is, and how many more there are.

    >>> x = np.array([1, -7, -9])
    >>> first_wrong(x, x < 0, "is no class")
    '-7 at [1] is no class, and 1 more'
    """
    first = tuple(int(i) for i in np.argwhere(wrong)[0])
    more = f", and {wrong.sum() - 1} more" if wrong.sum() > 1 else ""
    place = f" at {list(first)}" if first else ""
    return f"{values[first]}{place} {words}{more}"


WITHIN = mg.register(
    mg.Op(
        "within",  # the integers, unless one is out of range
        _within_type,
        _checked,
        no_gradient=True,
        pointwise=True,
        attrs=(mg.Attr("least"), mg.Attr("most"), mg.Attr("what")),
        checks=True,
        requires=lambda values, least, most, what: _inside(values, least, most),
    )
)
