"""The methods that an ndarray has too, with its arguments; each is NumPy's function of that name.

What torch calls its tensors' methods is no attribute here, and the error says what is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from minigrad.names import FUNCTIONS, INSTEAD, OTHER_NAMES, what_instead
from minigrad.syntax.numpy_protocol import numpy_method

if TYPE_CHECKING:
    from minigrad.graph.node import Expr
    from minigrad.types import Axis


class Methods:
    """Mixin of the methods that an ndarray has too."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # protocols ask for these all the time
            raise AttributeError(name)
        if hasattr(type(self), name):  # a property's own error
            return object.__getattribute__(self, name)
        own = [n for n in dir(type(self)) if n[0] != "_"]
        ours = OTHER_NAMES.get(name, name)
        if name not in INSTEAD and ours in FUNCTIONS and ours not in own:
            hint = f"; write minigrad.{ours}(x)"
        else:
            hint = what_instead(name, own)
        raise AttributeError(f"an expression has no attribute {name!r}{hint}")

    @property
    def T(self) -> Expr:
        """The transpose: axes in reverse order."""
        return FUNCTIONS["permute_dims"](self)

    @property
    def mT(self) -> Expr:
        """The matrix transpose: the last two axes swapped."""
        return FUNCTIONS["matrix_transpose"](self)

    @property
    def real(self) -> Expr:
        """The expression itself: all are real."""
        return FUNCTIONS["positive"](self)

    @property
    def imag(self) -> Expr:
        """Zeros: all expressions are real."""
        return FUNCTIONS["zeros_like"](self)

    @property
    def flat(self) -> Expr:
        """All elements along one axis."""
        return FUNCTIONS["reshape"](self, -1)

    # Reductions.

    def sum(
        self,
        axis: Axis = None,
        dtype: Any = None,
        out: None = None,
        keepdims: bool = False,
        initial: Any = None,
        where: Any = True,
    ) -> Expr:
        """Sum over axes; see numpy.sum."""
        return _call("sum", self, axis, dtype, out, keepdims=keepdims, initial=initial, where=where)

    def prod(
        self,
        axis: Axis = None,
        dtype: Any = None,
        out: None = None,
        keepdims: bool = False,
        initial: Any = None,
        where: Any = True,
    ) -> Expr:
        """Product over axes; see numpy.prod."""
        return _call(
            "prod", self, axis, dtype, out, keepdims=keepdims, initial=initial, where=where
        )

    def mean(
        self,
        axis: Axis = None,
        dtype: Any = None,
        out: None = None,
        keepdims: bool = False,
        where: Any = True,
    ) -> Expr:
        """Mean over axes; see numpy.mean."""
        return _call("mean", self, axis, dtype, out, keepdims=keepdims, where=where)

    def var(
        self,
        axis: Axis = None,
        dtype: Any = None,
        out: None = None,
        ddof: float = 0,
        keepdims: bool = False,
        where: Any = True,
    ) -> Expr:
        """Variance over axes; see numpy.var."""
        return _call("var", self, axis, dtype, out, ddof, keepdims=keepdims, where=where)

    def std(
        self,
        axis: Axis = None,
        dtype: Any = None,
        out: None = None,
        ddof: float = 0,
        keepdims: bool = False,
        where: Any = True,
    ) -> Expr:
        """Standard deviation over axes; see numpy.std."""
        return _call("std", self, axis, dtype, out, ddof, keepdims=keepdims, where=where)

    def max(
        self,
        axis: Axis = None,
        out: None = None,
        keepdims: bool = False,
        initial: Any = None,
        where: Any = True,
    ) -> Expr:
        """Largest element over axes; see numpy.max."""
        return _call("max", self, axis, out, keepdims=keepdims, initial=initial, where=where)

    def min(
        self,
        axis: Axis = None,
        out: None = None,
        keepdims: bool = False,
        initial: Any = None,
        where: Any = True,
    ) -> Expr:
        """Smallest element over axes; see numpy.min."""
        return _call("min", self, axis, out, keepdims=keepdims, initial=initial, where=where)

    def all(
        self, axis: Axis = None, out: None = None, keepdims: bool = False, where: Any = True
    ) -> Expr:
        """Whether all elements are true; see numpy.all."""
        return _call("all", self, axis, out, keepdims=keepdims, where=where)

    def any(
        self, axis: Axis = None, out: None = None, keepdims: bool = False, where: Any = True
    ) -> Expr:
        """Whether any element is true; see numpy.any."""
        return _call("any", self, axis, out, keepdims=keepdims, where=where)

    def argmax(self, axis: int | None = None, out: None = None, keepdims: bool = False) -> Expr:
        """Index of the first largest element."""
        return _call("argmax", self, axis, out, keepdims=keepdims)

    def argmin(self, axis: int | None = None, out: None = None, keepdims: bool = False) -> Expr:
        """Index of the first smallest element."""
        return _call("argmin", self, axis, out, keepdims=keepdims)

    def cumsum(self, axis: int | None = None, dtype: Any = None, out: None = None) -> Expr:
        """Running sums along an axis, or of all elements."""
        return _call("cumsum", self, axis, dtype, out)

    def cumprod(self, axis: int | None = None, dtype: Any = None, out: None = None) -> Expr:
        """Running products along an axis, or of all elements."""
        return _call("cumprod", self, axis, dtype, out)

    # Shape.
    def reshape(self, *shape: Any, order: str = "C") -> Expr:
        """The same elements in another shape; one dimension may be -1."""
        return _call("reshape", self, shape[0] if len(shape) == 1 else shape, order=order)

    def ravel(self, order: str = "C") -> Expr:
        """All elements along one axis."""
        return _call("ravel", self, order)

    def flatten(self, order: str = "C") -> Expr:
        """All elements along one axis."""
        return _call("ravel", self, order)

    def transpose(self, *axes: Any) -> Expr:
        """Axes permuted; reversed when none are given."""
        order = axes[0] if len(axes) == 1 else axes
        return FUNCTIONS["permute_dims"](self, order or None)

    def swapaxes(self, axis1: int, axis2: int) -> Expr:
        """Two axes swapped."""
        return FUNCTIONS["swapaxes"](self, axis1, axis2)

    def squeeze(self, axis: int | tuple[int, ...] | None = None) -> Expr:
        """Without axes of length 1; see minigrad.squeeze."""
        return FUNCTIONS["squeeze"](self, axis)

    def diagonal(self, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Expr:
        """The diagonal of two axes, the first two by default, as the last axis."""
        return _call("diagonal", self, offset, axis1, axis2)

    def trace(self, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None) -> Expr:
        """Sum of the diagonal of two axes, the first two by default."""
        return _call("trace", self, offset, axis1, axis2, dtype)

    # Elements.
    def take(self, indices: Any, axis: int | None = None, *, mode: str = "raise") -> Expr:
        """Elements by integer indices along an axis, or of all elements."""
        return _call("take", self, indices, axis, mode=mode)

    def repeat(self, repeats: Any, axis: int | None = None) -> Expr:
        """Each element repeated, along an axis or of all elements."""
        return _call("repeat", self, repeats, axis)

    def sort(self, axis: int | None = -1, *, kind: str | None = None) -> Expr:
        """The elements sorted, as a new expression: none can be changed in place."""
        return _call("sort", self, axis, kind=kind)

    def argsort(self, axis: int | None = -1, *, kind: str | None = None) -> Expr:
        """Indices that sort along an axis, keeping the order of equal elements."""
        return _call("argsort", self, axis, kind=kind)

    def clip(self, min: Any = None, max: Any = None) -> Expr:
        """Elements limited to [min, max]."""
        return FUNCTIONS["clip"](self, min, max)

    def round(self, decimals: int = 0) -> Expr:
        """Elements rounded to a number of decimals, ties to even."""
        return _call("round", self, decimals)

    def dot(self, other: Any) -> Expr:
        """NumPy's dot product."""
        return FUNCTIONS["dot"](self, other)

    def conj(self) -> Expr:
        """The expression itself: all are real."""
        return FUNCTIONS["positive"](self)

    def conjugate(self) -> Expr:
        """The expression itself: all are real."""
        return FUNCTIONS["positive"](self)

    def astype(self, dtype: npt.DTypeLike, *, copy: bool = True) -> Expr:
        """The elements converted; see minigrad.astype."""
        return FUNCTIONS["astype"](self, dtype)

    def copy(self, order: str = "C") -> Expr:
        """The expression itself: none can be changed."""
        return FUNCTIONS["positive"](self)


def _call(name: str, *args: Any, **options: Any) -> Expr:
    return numpy_method(name, *args, **options)  # type: ignore[no-any-return]
