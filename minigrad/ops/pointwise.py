"""How pointwise ops are declared: a row of type rule, NumPy call, partial derivatives, notation.

Conventions where no derivative exists are the field's: |x|, relu and sign have 0 at 0; a tie of
maximum or minimum gives half to each side; steps (floor, round, comparisons ...) have 0 everywhere;
sqrt at 0 and log at 0 have infinity; x**0 has 0 towards x, and 0**p has 0 towards p.

A partial that would cancel (1 - y² of a saturated unit, 1/y - a²/y³ of a hypot) is an op of its
own, so that every order keeps its digits. One that would divide by 0 divides by 1 there, under a
`where` outside it: the same where inside and out, or the next order were 0·∞.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Protocol

import numpy as np

from minigrad.errors import DTypeError, ShapeError
from minigrad.graph.leaves import as_expr
from minigrad.graph.node import Expr, Op, Partial, explain, make, make_typed, register
from minigrad.names import FUNCTIONS, public
from minigrad.ops.core import as_float, bool_type, full, meet, same_type
from minigrad.types import FLOAT64, TensorType, require_tensors


class UnaryFunction(Protocol):
    """A function that makes a node of one op, which is its `op`."""

    op: Op

    def __call__(self, x: Any, /) -> Expr:
        """The op of x."""


class BinaryFunction(Protocol):
    """A function that makes a node of one op, which is its `op`, of two operands."""

    op: Op

    def __call__(self, a: Any, b: Any, /) -> Expr:
        """The op of a and b."""


_TAKES = {
    "f": ("f", "floats"),
    "n": ("fiu", "numbers"),
    "i": ("iu", "integers"),
    "l": ("biu", "booleans or integers"),
    "a": ("fiub", "numbers or booleans"),
}


def declare(
    arity: int,
    name: str,
    numpy: Callable[..., Any],
    partials: tuple[Partial, ...] | None,
    takes: str,
    test: bool,
    symbol: str,
    infix: int,
    latex: str,
    commutative: bool = False,
    plain: str = "",
    rule: str = "",
    paper: Callable[..., Expr] | None = None,
) -> Op:
    kinds, what = _TAKES[takes]
    type_of = bool_type if test else same_type

    @lru_cache(maxsize=256)  # finding out again takes ten times as long
    def infer(*types: TensorType) -> TensorType:
        if len(types) != arity:
            raise ShapeError(f"{name} takes {arity} operands, not {len(types)}")
        require_tensors(types)
        for t in types:
            if t.dtype.kind not in kinds:
                raise _wrong_kind(name, what, t)
        return type_of(*types)

    return register(
        Op(
            name,
            infer,
            numpy,
            partials=partials,
            no_gradient=partials is None,
            pointwise=True,
            commutative=commutative,
            symbol=symbol,
            plain=plain,
            infix=infix,
            latex=latex,
            out=True,
            rule=rule,
            paper=paper,
        )
    )


def _wrong_kind(name: str, what: str, type_: TensorType) -> DTypeError:
    power = "; a power is written a ** b" if name == "bitwise_xor" and type_.is_float else ""
    return DTypeError(f"{name} takes {what}, not {type_.dtype}{power}")


def _name(function: Any, op: Op, doc: str) -> Any:
    function.op = op
    function.__name__ = function.__qualname__ = op.name
    function.__doc__ = doc
    # That of the statement, as for a function that is written out: so it is pickled by its name.
    function.__module__ = sys._getframe(2).f_globals["__name__"]
    return public(function)


def unary(
    name: str,
    doc: str,
    numpy: Callable[..., Any],
    partial: Partial = None,
    *,
    takes: str = "f",
    test: bool = False,
    steps: bool = False,
    rounds: bool = False,
    symbol: str = "",
    infix: int = 0,
    latex: str = "",
    rule: str = "",
    paper: Callable[..., Expr] | None = None,
) -> UnaryFunction:
    # steps: flat wherever it is smooth, so its derivative is declared, not forgotten.
    # rounds: it also gives integers, and gives integers as they are.
    partials = None if test or steps or rounds else (partial,)
    op = declare(
        1, name, numpy, partials, takes, test, symbol, infix, latex, rule=rule, paper=paper
    )
    made = _maker(takes, test)

    def function(x: Any, /) -> Expr:
        if type(x) is Expr and x.type.is_float:
            return made(op, (x,), x.type)
        x = as_expr(x)
        if rounds and x.dtype.kind in "iu":
            return x  # type: ignore[no-any-return]
        return make(op, (as_float(x) if takes == "f" else as_expr(x),))

    return _name(function, op, doc)  # type: ignore[no-any-return]


def binary(
    name: str,
    doc: str,
    numpy: Callable[..., Any],
    partials: tuple[Partial, Partial] | None = None,
    *,
    takes: str = "a",
    test: bool = False,
    symbol: str = "",
    infix: int = 0,
    latex: str = "",
    commutative: bool = False,
    plain: str = "",
    rule: str = "",
    paper: Callable[..., Expr] | None = None,
) -> BinaryFunction:
    op = declare(
        2, name, numpy, partials, takes, test, symbol, infix, latex, commutative, plain, rule, paper
    )

    made = _maker(takes, test)
    compares = test and bool(infix)  # the other tests are those of logic

    def function(a: Any, b: Any, /) -> Expr:
        # Floats of one type, or a float and a number: most nodes there are, and every op takes
        # them. Meeting them here instead of in `meet` takes a half off the cost of a node.
        if type(a) is Expr:
            type_ = a.type
            if type_.is_float:
                if type(b) is Expr:
                    if b.type is type_:
                        return made(op, (a, b), type_)
                elif type(b) is float:
                    return made(op, (a, full(b, type_)), type_)
        elif type(a) is float and type(b) is Expr and b.type.is_float:
            return made(op, (full(a, b.type), b), b.type)
        if compares and (type(a) is int or type(b) is int):
            known = _beyond(numpy, a, b)
            if known is not None:
                return known
        operands = a, b
        a, b = (meet_floats if takes == "f" else meet)(name, a, b)
        if takes == "l" and a.dtype.kind == "f":
            raise explain(_wrong_kind(name, _TAKES["l"][1], a.type), name, operands)
        return make(op, (a, b))

    return _name(function, op, doc)  # type: ignore[no-any-return]


def _beyond(numpy: Callable[..., Any], a: Any, b: Any) -> Expr | None:
    """What a comparison with a Python int gives that the other's integer dtype does not hold: one
    answer for all elements, as NumPy's. None where it holds it.

    It still reads the other operand, so that this may be given by its name.
    """
    number, other = (a, b) if type(a) is int else (b, a)
    if not isinstance(other, Expr | np.ndarray | np.generic) or other.dtype.kind not in "iu":
        return None
    limits = np.iinfo(other.dtype)
    if limits.min <= number <= limits.max:
        return None
    side = 1 if number > 0 else -1
    answer = numpy(side, 0) if number is a else numpy(0, side)
    return FUNCTIONS["equal" if answer else "not_equal"](other, other)


def _maker(takes: str, test: bool) -> Callable[[Op, tuple[Expr, ...], TensorType], Expr]:
    """What makes a node of an op of operands that are all of one float type."""
    if test or "f" not in _TAKES[takes][0]:
        return lambda op, args, type_: make(op, args)
    return make_typed


def meet_floats(name: str, *operands: Any) -> tuple[Expr, ...]:
    """Operands of one float dtype and one shape; Python numbers take the dtype of the others."""
    return meet(name, *operands, dtype=_float_dtype(*operands))


def _float_dtype(*operands: Any) -> np.dtype[Any] | None:
    """float64 where integers meet an op of floats; None where the operands' own dtype serves."""
    for x in operands:
        if isinstance(x, float) or (isinstance(x, Expr) and x.type.is_float):
            return None
        if not isinstance(x, (Expr, bool, int)) and as_expr(x).type.is_float:
            return None
    return FLOAT64
