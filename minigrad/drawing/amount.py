"""What is said of one measured tensor: its norm, its kind, its elements; the only such notions.

Curves, tables, words and graphs take them from here, so that they agree. No graphs, no colours.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf, nan, prod
from typing import Any

import numpy as np

from minigrad.drawing.theme import Kind, fmt
from minigrad.types import Array, Shape

LISTED = 4  # tensors of up to so many elements are written out


def norm(array: Any) -> float:
    """The 2-norm of all elements, without overflow or underflow on the way; NaN wins over inf.

    >>> norm(np.array([3e300, 4e300])) > 4e300, norm(np.array([np.inf, 1.0])), norm(np.zeros(0))
    (True, inf, 0.0)
    """
    flat = np.abs(np.asarray(array).astype(np.float64, copy=False)).reshape(-1)
    if not flat.size:
        return 0.0
    top = float(flat.max())
    if not np.isfinite(top):
        return nan if np.isnan(flat).any() else inf
    if top == 0.0 or flat.size == 1:
        return top
    # A power of two, so that scaling rounds nothing; halved, as 1/top may overflow.
    scale = float(np.ldexp(1.0, int(np.frexp(top)[1]) - 1))
    with np.errstate(under="ignore"):
        return scale * float(np.sqrt(np.square(flat / scale).sum()))


def kind_of(size: float, is_lost: bool = False) -> Kind:
    """The kind of a norm; `is_lost` says that its zero stands for a product too small to hold.

    >>> kind_of(0.5), kind_of(0.0), kind_of(0.0, is_lost=True), kind_of(inf), kind_of(nan)
    ('normal', 'zero', 'underflow', 'inf', 'nan')
    """
    if size != size:
        return "nan"
    if size == inf:
        return "inf"
    return "normal" if size else "underflow" if is_lost else "zero"


@dataclass(frozen=True, slots=True)
class Amount:
    """What a picture says of one measured tensor.

    `norm` is the 2-norm of all elements (|x| for a scalar); `low` and `high` are the extremes, None
    for an empty tensor; `elements` holds up to four elements, and nothing for larger tensors.
    `kind` is `kind_of` the norm, or "disconnected" where no derivative leads here.
    """

    shape: Shape
    norm: float
    low: float | None
    high: float | None
    elements: tuple[float, ...]
    kind: Kind

    @staticmethod
    def of(array: Array) -> Amount:
        """Sum up an array.

        >>> Amount.of(np.array([3.0, -4.0]))
        Amount(shape=(2,), norm=5.0, low=-4.0, high=3.0, elements=(3.0, -4.0), kind='normal')
        """
        flat = np.asarray(array).reshape(-1)
        listed = tuple(float(x) for x in flat) if flat.size <= LISTED else ()
        low, high = (float(flat.min()), float(flat.max())) if flat.size else (None, None)
        size = norm(flat)
        return Amount(np.shape(array), size, low, high, listed, kind_of(size))

    @property
    def size(self) -> int:
        """Number of elements."""
        return prod(self.shape)

    def short(self, number: Callable[[float], str] = fmt) -> str:
        """The elements with their signs where there are few, one of them without brackets.

        Larger tensors have their norm between bars.

        >>> Amount.of(np.array(-2.5)).short(), Amount.of(np.array([[-2.0]])).short()
        ('-2.5', '-2')
        >>> Amount.of(np.array([[1.0, -3.0]])).short(), Amount.of(np.zeros((2, 3))).short()
        ('[[1, -3]]', '‖0‖')
        """
        if self.elements:
            return _listed([number(x) for x in self.elements], self.shape)
        return f"‖{number(self.norm)}‖"

    def long(self) -> str:
        """Everything, at full precision, for a tooltip.

        >>> Amount.of(np.array([3.0, -4.0])).long()
        '[3.0, -4.0], norm 5.0'
        """
        if not self.size:
            return f"empty, shape {self.shape}"
        if not self.shape:
            return repr(self.elements[0])
        if self.elements:
            return f"{_listed([repr(x) for x in self.elements], self.shape)}, norm {self.norm!r}"
        return f"norm {self.norm!r}, from {self.low!r} to {self.high!r}, shape {self.shape}"


UNCONNECTED = Amount((), 0.0, None, None, (), "disconnected")


def _listed(words: list[str], shape: Shape) -> str:
    """Elements in brackets as NumPy nests them; a single one as itself."""
    if len(words) == 1:
        return words[0]
    for length in reversed(shape):
        words = [f"[{', '.join(words[k : k + length])}]" for k in range(0, len(words), length)]
    return words[0]
