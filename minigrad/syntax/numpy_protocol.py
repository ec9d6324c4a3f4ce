"""NumPy's protocols: what np.sin(x), np.add.reduce(x) and np.stack([x, y]) do, and np.asarray(x).

A call of NumPy's becomes one of ours: of the function in NUMPY_FORMS that takes NumPy's arguments,
else of the public function of that name, with what is optional given by name. Nothing here knows
graphs or ops.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from opcode import opmap
from types import FrameType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from minigrad.errors import DTypeError, MinigradError
from minigrad.names import COUNTERPARTS, FUNCTIONS, NUMPY_FORMS, NUMPY_NAMES, OTHERS
from minigrad.syntax.asked import Asked

if TYPE_CHECKING:
    from minigrad.graph.node import Expr
    from minigrad.types import Array

# NumPy's name of an argument -> ours, where they differ.
_ARGUMENTS = {"a_max": "max", "a_min": "min", "ddof": "correction"}
# NumPy's reductions over a binary ufunc, and its running ones -> the function that does it.
_UFUNC_REDUCE = {
    "add": "sum",
    "multiply": "prod",
    "maximum": "max",
    "minimum": "min",
    "logical_and": "all",
    "logical_or": "any",
    "logaddexp": "logsumexp",
}
_UFUNC_ACCUMULATE = {"add": "cumsum", "multiply": "cumprod"}
# What writes into its argument, or has a result whose shape depends on values -> what to write.
_WAYS_OUT = {
    **dict.fromkeys(
        ("copyto", "fill_diagonal", "place", "put", "put_along_axis", "putmask"),
        "expressions are not written into: x.at[index].set(values) gives a changed copy",
    ),
    **dict.fromkeys(
        ("argwhere", "flatnonzero", "nonzero", "unique", "union1d", "intersect1d", "setdiff1d",
         "trim_zeros"),
        "the shape of its result depends on values; use minigrad.where, or take the values of a "
        "closed expression with .eval()",
    ),
}  # fmt: skip
_MODULES = ("numpy", "numpy.linalg")


def _key(function: Callable[..., Any]) -> str:
    return f"{function.__module__}.{function.__name__}".removeprefix("numpy.")


def _refusal(key: str) -> DTypeError:
    why = _WAYS_OUT.get(key, "see minigrad.__all__ for what does; .eval() gives values")
    return DTypeError(f"np.{key} does not build minigrad expressions; {why}")


def _counterpart(key: str, module: str = "numpy") -> Callable[..., Any]:
    """Our function of a NumPy function's name. Raises DTypeError where there is none."""
    name = key.removeprefix("linalg.")
    ours = FUNCTIONS.get(NUMPY_NAMES.get(name, name))
    # Only what stands in minigrad.ops means what NumPy means by its name: np.save is not our save.
    if ours is None or module not in _MODULES or not ours.__module__.startswith("minigrad.ops."):
        raise _refusal(key)
    return ours


@lru_cache(maxsize=1024)
def _signature(function: Callable[..., Any]) -> inspect.Signature:
    return inspect.signature(function)


@lru_cache(maxsize=1024)
def _place_of_out(function: Callable[..., Any]) -> int:
    """Where out= may be given by position; far behind where it may not."""
    parameters = list(_signature(function).parameters.values())
    places = [
        k for k, p in enumerate(parameters) if p.name == "out" and p.kind is p.POSITIONAL_OR_KEYWORD
    ]
    return places[0] if places else sys.maxsize


def _checked(key: str, ours: Callable[..., Any], args: Sequence[Any], named: Any) -> Any:
    """ours(*args, **named), where it takes them. Raises DTypeError where it does not."""
    out = next(iter(args[_place_of_out(ours) :]), None)
    if "out" in named:
        named = dict(named)
        out = named.pop("out")
    try:
        if out is None:
            return ours(*args, **named)
        _signature(ours).bind(*args, **named)
    except TypeError as error:
        if isinstance(error, MinigradError):
            raise
        try:  # whose error it is, is asked only now: binding takes longer than the call
            _signature(ours).bind(*args, **named)
        except TypeError as misfit:
            raise DTypeError(f"np.{key} of minigrad expressions: {misfit}") from None
        raise
    raise DTypeError(f"np.{key} cannot write an expression into an array (out=)")


def numpy_call(function: Callable[..., Any], args: Sequence[Any], named: Mapping[str, Any]) -> Any:
    """What a NumPy function gives for arguments among which is an expression."""
    if function in COUNTERPARTS:
        return COUNTERPARTS[function](*args, **named)
    key = _key(function)
    form = NUMPY_FORMS.get(key)
    if form is not None:
        return _checked(key, form, args, named)
    ours = _counterpart(key, function.__module__)
    takes = _signature(ours).parameters
    operands: list[Any] = []
    options: dict[str, Any] = {}
    theirs = _signature(function)
    for argument, value in theirs.bind(*args, **named).arguments.items():
        parameter = theirs.parameters[argument]
        if parameter.kind is parameter.VAR_POSITIONAL:
            operands += value
        elif parameter.default is parameter.empty or parameter.kind is parameter.POSITIONAL_ONLY:
            operands.append(value)
        elif (renamed := _ARGUMENTS.get(argument, argument)) in takes:
            options[renamed] = value
        elif value is not parameter.default:
            raise DTypeError(f"np.{key} of minigrad expressions takes no argument {argument}")
    return _checked(key, ours, operands, options)


def numpy_method(name: str, *args: Any, **named: Any) -> Any:
    """What ndarray's method of a name does: the same as NumPy's function."""
    form = NUMPY_FORMS.get(name)
    return _checked(name, form or _counterpart(name), args, named)


def _is_stored(frame: FrameType) -> bool:
    # `array[i] = x` asks float(x) without a frame of its own: the instruction says who asks.
    code = frame.f_code.co_code
    return 0 <= frame.f_lasti < len(code) and code[frame.f_lasti] == opmap["STORE_SUBSCR"]


class NumpyProtocol:
    """Mixin by which NumPy, and Python's float and int, take expressions."""

    __slots__ = ()
    __array_priority__ = 1000.0

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> Array:
        return np.asarray(OTHERS["concrete"](self, Asked.ARRAY), dtype=dtype)

    def __float__(self, /) -> float:
        asked = Asked.ELEMENT if _is_stored(sys._getframe(1)) else Asked.FLOAT
        return float(OTHERS["concrete"](self, asked))

    def __int__(self, /) -> int:
        asked = Asked.ELEMENT if _is_stored(sys._getframe(1)) else Asked.INT
        return int(OTHERS["concrete"](self, asked))

    def __bool__(self, /) -> bool:
        return bool(OTHERS["concrete"](self, Asked.BOOL))

    def __index__(self, /) -> int:
        if np.dtype(self.dtype).kind not in "iu":  # type: ignore[attr-defined]
            raise DTypeError(f"an index is an integer, not {self.dtype}")  # type: ignore[attr-defined]
        return int(OTHERS["concrete"](self, Asked.INT))

    def __format__(self, spec: str, /) -> str:
        """The text; with a format, as NumPy has it, the value of a closed one-element expression.

        >>> import minigrad as mg
        >>> f"{mg.const(2.0) ** 0.5:.2f}"
        '1.41'
        """
        return format(OTHERS["concrete"](self, Asked.FORMAT).item(), spec) if spec else str(self)

    def item(self) -> bool | int | float:
        """The value of a closed one-element expression as a Python number."""
        value: bool | int | float = OTHERS["concrete"](self, Asked.ITEM).item()
        return value

    def tolist(self) -> Any:
        """The values of a closed expression as (lists of) Python numbers."""
        return OTHERS["concrete"](self, Asked.LIST).tolist()

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if method == "__call__" and ufunc in COUNTERPARTS:
            return COUNTERPARTS[ufunc](*inputs, **kwargs)
        name = ufunc.__name__
        if kwargs.pop("out", None) is not None:
            raise DTypeError(
                f"np.{name} cannot write an expression into an array (out= or an in-place "
                "operator such as `array += expr`); write `array + expr`"
            )
        named = {k: v for k, v in kwargs.items() if v is not None}
        if method == "__call__":
            return _ufunc(name, inputs, named)
        if method == "outer" and not named:
            a, b = inputs
            column = FUNCTIONS["reshape"](a, (*np.shape(a), *(1,) * np.ndim(b)))
            return _ufunc(name, (column, b), {})
        running = {"reduce": _UFUNC_REDUCE, "accumulate": _UFUNC_ACCUMULATE}.get(method, {})
        if name in running:
            if len(inputs) == 1:
                named["axis"] = kwargs.get("axis", 0)
            return numpy_method(running[name], *inputs, **named)
        raise DTypeError(f"np.{name}.{method} does not build minigrad expressions")

    def __array_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Any:
        return numpy_call(func, args, kwargs)


def _ufunc(name: str, inputs: Sequence[Any], named: dict[str, Any]) -> Expr:
    ours = NUMPY_FORMS.get(name) or _counterpart(name)
    dtype = named.pop("dtype", None)
    if dtype is not None:
        inputs = [FUNCTIONS["astype"](x, dtype) for x in inputs]
    if named.pop("where", True) is not True:
        raise DTypeError(
            f"np.{name} of minigrad expressions takes no argument where; write "
            f"minigrad.where(condition, np.{name}(...), otherwise)"
        )
    return _checked(name, ours, inputs, named)  # type: ignore[no-any-return]
