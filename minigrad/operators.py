"""What Python and NumPy syntax on an expression means: operators, methods, NumPy's own functions.

Everything here only looks up a public function by its name in FUNCTIONS, which the modules that
define the functions fill in. So this file knows the names, and nothing about graphs or ops.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np
import numpy.typing as npt

from minigrad.errors import DTypeError, ShapeError

if TYPE_CHECKING:
    from minigrad.graph import Expr
    from minigrad.types import Array, Shape

FUNCTIONS: dict[str, Callable[..., Expr]] = {}
# The same table, for the functions in it that return something else than an expression.
_OTHERS = cast("dict[str, Callable[..., Any]]", FUNCTIONS)
F = TypeVar("F", bound=Callable[..., Any])


def public(function: F) -> F:
    """Make a function reachable as an operator, a method or a NumPy function of its name."""
    FUNCTIONS[function.__name__] = function
    return function


# NumPy's name -> ours, where they differ.
_NUMPY_NAMES = {
    "absolute": "abs",
    "amax": "max",
    "amin": "min",
    "arccos": "acos",
    "arccosh": "acosh",
    "arcsin": "asin",
    "arcsinh": "asinh",
    "arctan": "atan",
    "arctan2": "atan2",
    "arctanh": "atanh",
    "concatenate": "concat",
    "conjugate": "positive",
    "cumprod": "cumulative_prod",
    "cumsum": "cumulative_sum",
    "invert": "bitwise_invert",
    "left_shift": "bitwise_left_shift",
    "power": "pow",
    "right_shift": "bitwise_right_shift",
    "rint": "round",
    "transpose": "permute_dims",
    "true_divide": "divide",
    "var": "variance",
}
# NumPy's reductions over a binary ufunc -> ours.
_UFUNC_REDUCE = {
    "add": "sum",
    "multiply": "prod",
    "maximum": "max",
    "minimum": "min",
    "logical_and": "all",
    "logical_or": "any",
    "logaddexp": "logsumexp",
}


# NumPy's name of an argument -> ours, where they differ.
_NUMPY_ARGUMENTS = {"a_max": "max", "a_min": "min", "ddof": "correction"}


def _counterpart(module: str, name: str) -> Callable[..., Expr]:
    """Our function for a NumPy function. Raises DTypeError where there is none."""
    found = FUNCTIONS.get(_NUMPY_NAMES.get(name, name))
    # Only what stands in minigrad.ops means what NumPy means by its name: np.save is not our save.
    is_op = found is not None and found.__module__.startswith("minigrad.ops.")
    if found is None or not is_op or module not in ("numpy", "numpy.linalg"):
        raise DTypeError(
            f"{_shown(module, name)} does not build minigrad expressions; see minigrad.__all__ "
            "for what does"
        )
    return found


def _shown(module: str, name: str) -> str:
    return f"{module}.{name}".replace("numpy.", "np.", 1)


@lru_cache(maxsize=256)
def _signature(function: Callable[..., Any]) -> inspect.Signature:
    return inspect.signature(function)


def _call_as_numpy(
    function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Expr:
    """A call in NumPy's order of arguments, as one of our function: what is optional, by name."""
    name = _shown(function.__module__, function.__name__)
    ours = _counterpart(function.__module__, function.__name__)
    takes = _signature(ours).parameters
    operands: list[Any] = []
    options: dict[str, Any] = {}
    theirs = _signature(function)
    for key, value in theirs.bind(*args, **kwargs).arguments.items():
        parameter = theirs.parameters[key]
        if parameter.kind is parameter.VAR_POSITIONAL:
            operands += value
        elif parameter.default is parameter.empty or parameter.kind is parameter.POSITIONAL_ONLY:
            operands.append(value)
        elif (renamed := _NUMPY_ARGUMENTS.get(key, key)) in takes:
            options[renamed] = value
        elif value is not parameter.default:
            raise DTypeError(f"{name} of minigrad expressions takes no argument {key}")
    try:
        _signature(ours).bind(*operands, **options)
    except TypeError as error:
        raise DTypeError(f"{name} of minigrad expressions: {error}") from None
    return ours(*operands, **options)


class Operators:
    """Mixin that gives expressions their syntax."""

    __slots__ = ()
    __array_priority__ = 1000.0
    shape: Shape

    # Arithmetic.
    def __add__(self, other: Any) -> Expr:
        return FUNCTIONS["add"](self, other)

    def __radd__(self, other: Any) -> Expr:
        return FUNCTIONS["add"](other, self)

    def __sub__(self, other: Any) -> Expr:
        return FUNCTIONS["subtract"](self, other)

    def __rsub__(self, other: Any) -> Expr:
        return FUNCTIONS["subtract"](other, self)

    def __mul__(self, other: Any) -> Expr:
        return FUNCTIONS["multiply"](self, other)

    def __rmul__(self, other: Any) -> Expr:
        return FUNCTIONS["multiply"](other, self)

    def __truediv__(self, other: Any) -> Expr:
        return FUNCTIONS["divide"](self, other)

    def __rtruediv__(self, other: Any) -> Expr:
        return FUNCTIONS["divide"](other, self)

    def __floordiv__(self, other: Any) -> Expr:
        return FUNCTIONS["floor_divide"](self, other)

    def __rfloordiv__(self, other: Any) -> Expr:
        return FUNCTIONS["floor_divide"](other, self)

    def __mod__(self, other: Any) -> Expr:
        return FUNCTIONS["remainder"](self, other)

    def __rmod__(self, other: Any) -> Expr:
        return FUNCTIONS["remainder"](other, self)

    def __pow__(self, other: Any) -> Expr:
        return FUNCTIONS["pow"](self, other)

    def __rpow__(self, other: Any) -> Expr:
        return FUNCTIONS["pow"](other, self)

    def __matmul__(self, other: Any) -> Expr:
        return FUNCTIONS["matmul"](self, other)

    def __rmatmul__(self, other: Any) -> Expr:
        return FUNCTIONS["matmul"](other, self)

    def __and__(self, other: Any) -> Expr:
        return FUNCTIONS["bitwise_and"](self, other)

    def __rand__(self, other: Any) -> Expr:
        return FUNCTIONS["bitwise_and"](other, self)

    def __or__(self, other: Any) -> Expr:
        return FUNCTIONS["bitwise_or"](self, other)

    def __ror__(self, other: Any) -> Expr:
        return FUNCTIONS["bitwise_or"](other, self)

    def __xor__(self, other: Any) -> Expr:
        return FUNCTIONS["bitwise_xor"](self, other)

    def __rxor__(self, other: Any) -> Expr:
        return FUNCTIONS["bitwise_xor"](other, self)

    def __lshift__(self, other: Any) -> Expr:
        return FUNCTIONS["bitwise_left_shift"](self, other)

    def __rlshift__(self, other: Any) -> Expr:
        return FUNCTIONS["bitwise_left_shift"](other, self)

    def __rshift__(self, other: Any) -> Expr:
        return FUNCTIONS["bitwise_right_shift"](self, other)

    def __rrshift__(self, other: Any) -> Expr:
        return FUNCTIONS["bitwise_right_shift"](other, self)

    def __neg__(self) -> Expr:
        return FUNCTIONS["negative"](self)

    def __pos__(self) -> Expr:
        return FUNCTIONS["positive"](self)

    def __abs__(self) -> Expr:
        return FUNCTIONS["abs"](self)

    def __invert__(self) -> Expr:
        return FUNCTIONS["bitwise_invert"](self)

    # Comparison is elementwise, as for arrays; identity of expressions is `is`.

    def __lt__(self, other: Any) -> Expr:
        return FUNCTIONS["less"](self, other)

    def __le__(self, other: Any) -> Expr:
        return FUNCTIONS["less_equal"](self, other)

    def __gt__(self, other: Any) -> Expr:
        return FUNCTIONS["greater"](self, other)

    def __ge__(self, other: Any) -> Expr:
        return FUNCTIONS["greater_equal"](self, other)

    def __eq__(self, other: Any) -> Expr:  # type: ignore[override]
        return FUNCTIONS["equal"](self, other)

    def __ne__(self, other: Any) -> Expr:  # type: ignore[override]
        return FUNCTIONS["not_equal"](self, other)

    __hash__ = object.__hash__

    # Containers.
    def __getitem__(self, index: Any) -> Expr:
        return FUNCTIONS["getitem"](self, index)

    def __setitem__(self, index: Any, value: Any) -> None:
        raise DTypeError(
            "expressions are immutable; for a changed copy write x = x.at[index].set(value)"
        )

    def __len__(self) -> int:
        if not self.shape:
            raise ShapeError("a scalar expression has no len()")
        return self.shape[0]

    def __iter__(self) -> Iterator[Expr]:
        if not self.shape:
            raise ShapeError("a scalar expression cannot be iterated over")
        return (self[i] for i in range(self.shape[0]))

    @property
    def at(self) -> Any:
        """Functional update: `x.at[index].set(value)`, `.add(value)`, `.get()`."""
        return _OTHERS["at"](self)

    # Conversion to a concrete value.
    def eval(self, bindings: Mapping[Any, Any] | None = None) -> Any:
        """The value under bindings {variable: value}. A variable may be given by its name.

        Returns an ndarray, or a NumPy scalar for shape ().
        Raises GraphError for a missing or unknown variable, ShapeError and DTypeError for a value
        that does not fit.
        """
        return _OTHERS["eval"](self, bindings)

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> Array:
        return np.asarray(_OTHERS["concrete"](self, "np.asarray(expr)"), dtype=dtype)

    def __float__(self) -> float:
        return float(_OTHERS["concrete"](self, "float(expr)"))

    def __int__(self) -> int:
        return int(_OTHERS["concrete"](self, "int(expr)"))

    def __bool__(self) -> bool:
        return bool(_OTHERS["concrete"](self, "bool(expr)"))

    # Text and pictures.
    def __str__(self) -> str:
        return str(_OTHERS["to_str"](self))

    def latex(self) -> str:
        """The expression as LaTeX source (shortened when it is long)."""
        return str(_OTHERS["to_latex"](self))

    # NumPy's functions on expressions.
    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        name = ufunc.__name__
        if kwargs.pop("out", None) is not None:
            raise DTypeError(
                f"np.{name} cannot write an expression into an array (out= or an in-place "
                "operator such as `array += expr`); write `array + expr`"
            )
        if method == "__call__" and not kwargs:
            return _counterpart("numpy", name)(*inputs)
        if method == "reduce" and name in _UFUNC_REDUCE:
            axis = kwargs.pop("axis", 0)
            keepdims = kwargs.pop("keepdims", False)
            if all(v is None for v in kwargs.values()):
                return FUNCTIONS[_UFUNC_REDUCE[name]](*inputs, axis=axis, keepdims=keepdims)
        options = f" with {', '.join(kwargs)}" if kwargs else ""
        raise DTypeError(f"np.{name}.{method}{options} does not build minigrad expressions")

    def __array_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Any:
        name = func.__name__
        if func in (np.shape, np.ndim, np.size):
            return getattr(self, name)
        if func in (np.trace, np.diagonal) and len(self.shape) > 2:
            raise DTypeError(
                f"np.{name} takes the first two axes of a stack, minigrad.{name} and "
                f"np.linalg.{name} the last two: say which by calling one of these"
            )
        return _call_as_numpy(func, args, kwargs)

    # Methods that ndarray has too.
    @property
    def T(self) -> Expr:
        """The transpose: axes in reverse order."""
        return FUNCTIONS["permute_dims"](self)

    @property
    def mT(self) -> Expr:
        """The matrix transpose: the last two axes swapped."""
        return FUNCTIONS["matrix_transpose"](self)

    def sum(self, axis: int | tuple[int, ...] | None = None, *, keepdims: bool = False) -> Expr:
        """Sum over axes; see minigrad.sum."""
        return FUNCTIONS["sum"](self, axis=axis, keepdims=keepdims)

    def mean(self, axis: int | tuple[int, ...] | None = None, *, keepdims: bool = False) -> Expr:
        """Mean over axes; see minigrad.mean."""
        return FUNCTIONS["mean"](self, axis=axis, keepdims=keepdims)

    def prod(self, axis: int | tuple[int, ...] | None = None, *, keepdims: bool = False) -> Expr:
        """Product over axes; see minigrad.prod."""
        return FUNCTIONS["prod"](self, axis=axis, keepdims=keepdims)

    def max(self, axis: int | tuple[int, ...] | None = None, *, keepdims: bool = False) -> Expr:
        """Maximum over axes; see minigrad.max."""
        return FUNCTIONS["max"](self, axis=axis, keepdims=keepdims)

    def min(self, axis: int | tuple[int, ...] | None = None, *, keepdims: bool = False) -> Expr:
        """Minimum over axes; see minigrad.min."""
        return FUNCTIONS["min"](self, axis=axis, keepdims=keepdims)

    def all(self, axis: int | tuple[int, ...] | None = None, *, keepdims: bool = False) -> Expr:
        """Whether all are true; see minigrad.all."""
        return FUNCTIONS["all"](self, axis=axis, keepdims=keepdims)

    def any(self, axis: int | tuple[int, ...] | None = None, *, keepdims: bool = False) -> Expr:
        """Whether any is true; see minigrad.any."""
        return FUNCTIONS["any"](self, axis=axis, keepdims=keepdims)

    def argmax(self, axis: int | None = None, *, keepdims: bool = False) -> Expr:
        """Index of an extreme; see minigrad.argmax."""
        return FUNCTIONS["argmax"](self, axis=axis, keepdims=keepdims)

    def argmin(self, axis: int | None = None, *, keepdims: bool = False) -> Expr:
        """Index of an extreme; see minigrad.argmin."""
        return FUNCTIONS["argmin"](self, axis=axis, keepdims=keepdims)

    def reshape(self, *shape: Any) -> Expr:
        """The same elements in another shape; one dimension may be -1."""
        given = shape[0] if len(shape) == 1 else shape
        return FUNCTIONS["reshape"](self, given)

    def transpose(self, *axes: Any) -> Expr:
        """Axes permuted; reversed when none are given."""
        given = axes[0] if len(axes) == 1 else axes
        return FUNCTIONS["permute_dims"](self, given or None)

    def squeeze(self, axis: int | tuple[int, ...] | None = None) -> Expr:
        """Without axes of length 1; see minigrad.squeeze."""
        return FUNCTIONS["squeeze"](self, axis)

    def ravel(self) -> Expr:
        """All elements along one axis."""
        return FUNCTIONS["reshape"](self, -1)

    def astype(self, dtype: npt.DTypeLike) -> Expr:
        """The elements converted; see minigrad.astype."""
        return FUNCTIONS["astype"](self, dtype)

    def item(self) -> bool | int | float:
        """The value of a closed one-element expression as a Python number."""
        value: bool | int | float = _OTHERS["concrete"](self, "expr.item()").item()
        return value
