"""What Python's syntax on an expression means: operators, indexing, text.

Everything here only looks up a public function by its name in FUNCTIONS, which the modules that
define the functions fill in. So this file knows the names, and nothing about graphs or ops.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from minigrad.errors import DTypeError, ShapeError
from minigrad.names import FUNCTIONS, OTHERS, public
from minigrad.syntax.array_protocol import ArrayProtocol
from minigrad.syntax.methods import Methods
from minigrad.syntax.numpy_protocol import NumpyProtocol

if TYPE_CHECKING:
    from minigrad.graph.node import Expr
    from minigrad.types import Shape

__all__ = ["FUNCTIONS", "Operators", "public"]


class Operators(Methods, NumpyProtocol, ArrayProtocol):
    """Mixin that gives expressions their syntax."""

    __slots__ = ()
    shape: Shape

    # Arithmetic.
    def __add__(self, other: Any, /) -> Expr:
        return FUNCTIONS["add"](self, other)

    def __radd__(self, other: Any, /) -> Expr:
        return FUNCTIONS["add"](other, self)

    def __sub__(self, other: Any, /) -> Expr:
        return FUNCTIONS["subtract"](self, other)

    def __rsub__(self, other: Any, /) -> Expr:
        return FUNCTIONS["subtract"](other, self)

    def __mul__(self, other: Any, /) -> Expr:
        return FUNCTIONS["multiply"](self, other)

    def __rmul__(self, other: Any, /) -> Expr:
        return FUNCTIONS["multiply"](other, self)

    def __truediv__(self, other: Any, /) -> Expr:
        return FUNCTIONS["divide"](self, other)

    def __rtruediv__(self, other: Any, /) -> Expr:
        return FUNCTIONS["divide"](other, self)

    def __floordiv__(self, other: Any, /) -> Expr:
        return FUNCTIONS["floor_divide"](self, other)

    def __rfloordiv__(self, other: Any, /) -> Expr:
        return FUNCTIONS["floor_divide"](other, self)

    def __mod__(self, other: Any, /) -> Expr:
        return FUNCTIONS["remainder"](self, other)

    def __rmod__(self, other: Any, /) -> Expr:
        return FUNCTIONS["remainder"](other, self)

    def __pow__(self, other: Any, /) -> Expr:
        return FUNCTIONS["pow"](self, other)

    def __rpow__(self, other: Any, /) -> Expr:
        return FUNCTIONS["pow"](other, self)

    def __matmul__(self, other: Any, /) -> Expr:
        return FUNCTIONS["matmul"](self, other)

    def __rmatmul__(self, other: Any, /) -> Expr:
        return FUNCTIONS["matmul"](other, self)

    def __and__(self, other: Any, /) -> Expr:
        return FUNCTIONS["bitwise_and"](self, other)

    def __rand__(self, other: Any, /) -> Expr:
        return FUNCTIONS["bitwise_and"](other, self)

    def __or__(self, other: Any, /) -> Expr:
        return FUNCTIONS["bitwise_or"](self, other)

    def __ror__(self, other: Any, /) -> Expr:
        return FUNCTIONS["bitwise_or"](other, self)

    def __xor__(self, other: Any, /) -> Expr:
        return FUNCTIONS["bitwise_xor"](self, other)

    def __rxor__(self, other: Any, /) -> Expr:
        return FUNCTIONS["bitwise_xor"](other, self)

    def __lshift__(self, other: Any, /) -> Expr:
        return FUNCTIONS["bitwise_left_shift"](self, other)

    def __rlshift__(self, other: Any, /) -> Expr:
        return FUNCTIONS["bitwise_left_shift"](other, self)

    def __rshift__(self, other: Any, /) -> Expr:
        return FUNCTIONS["bitwise_right_shift"](self, other)

    def __rrshift__(self, other: Any, /) -> Expr:
        return FUNCTIONS["bitwise_right_shift"](other, self)

    def __neg__(self, /) -> Expr:
        return FUNCTIONS["negative"](self)

    def __pos__(self, /) -> Expr:
        return FUNCTIONS["positive"](self)

    def __abs__(self, /) -> Expr:
        return FUNCTIONS["abs"](self)

    def __invert__(self, /) -> Expr:
        return FUNCTIONS["bitwise_invert"](self)

    # Comparison is elementwise, as for arrays; identity of expressions is `is`.

    def __lt__(self, other: Any, /) -> Expr:
        return FUNCTIONS["less"](self, other)

    def __le__(self, other: Any, /) -> Expr:
        return FUNCTIONS["less_equal"](self, other)

    def __gt__(self, other: Any, /) -> Expr:
        return FUNCTIONS["greater"](self, other)

    def __ge__(self, other: Any, /) -> Expr:
        return FUNCTIONS["greater_equal"](self, other)

    def __eq__(self, other: Any, /) -> Expr:  # type: ignore[override]
        return FUNCTIONS["equal"](self, other)

    def __ne__(self, other: Any, /) -> Expr:  # type: ignore[override]
        return FUNCTIONS["not_equal"](self, other)

    __hash__ = object.__hash__

    # Containers.
    def __getitem__(self, index: Any, /) -> Expr:
        return FUNCTIONS["getitem"](self, index)

    def __setitem__(self, index: Any, value: Any, /) -> None:
        raise DTypeError(
            "expressions are immutable; for a changed copy write x = x.at[index].set(value)"
        )

    def __len__(self, /) -> int:
        if not self.shape:
            raise ShapeError("a scalar expression has no len()")
        return self.shape[0]

    def __iter__(self, /) -> Iterator[Expr]:
        if not self.shape:
            raise ShapeError("a scalar expression cannot be iterated over")
        return (self[i] for i in range(self.shape[0]))

    @property
    def at(self) -> Any:
        """Functional update: `x.at[index].set(value)`, `.add(value)`, `.get()`."""
        return OTHERS["at"](self)

    # Conversion to a concrete value.
    def eval(self, bindings: Mapping[Any, Any] | None = None) -> Any:
        """The value under bindings {variable: value}. A variable may be given by its name.

        Returns an ndarray, or a NumPy scalar for shape ().
        Raises GraphError for a missing or unknown variable, ShapeError and DTypeError for a value
        that does not fit.
        """
        return OTHERS["eval"](self, bindings)

    def __divmod__(self, other: Any, /) -> tuple[Expr, Expr]:
        return self // other, self % other

    def __round__(self, ndigits: int | None = None) -> Expr:
        return self.round(ndigits or 0)

    # Text and pictures.
    def __str__(self, /) -> str:
        return str(OTHERS["to_str"](self))

    def latex(self) -> str:
        """The expression as LaTeX source (shortened when it is long)."""
        return str(OTHERS["to_latex"](self))
