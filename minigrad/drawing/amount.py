"""What is said of one measured tensor: its norm, its kind, its elements; the only such notions.

Curves, tables, words and graphs take them from here, so that they agree. No graphs, no colours.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf, nan, prod
from statistics import median
from typing import Any

import numpy as np

from minigrad.drawing.theme import KIND_WORDS, fmt
from minigrad.drawing.theme import Kind as Kind
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


def norms_of(steps: Array | Sequence[Array]) -> list[float]:
    """The norm of each of several arrays, or of each row of a stack, as `norm` has it.

    >>> norms_of(np.array([[3.0, 4.0], [0.0, 0.0], [np.nan, 1.0], [3e300, 4e300]]))
    [5.0, 0.0, nan, 5e+300]
    """
    if not isinstance(steps, np.ndarray) or steps.ndim < 2 or not steps.size:
        return [norm(step) for step in steps]
    flat = steps.reshape(len(steps), -1)
    if flat.dtype == np.float32:  # float64 holds the squares of all its numbers
        wide = flat.astype(np.float64)
        with np.errstate(all="ignore"):
            sums = np.sqrt(np.einsum("tx,tx->t", wide, wide))
        return _mended(sums, np.isfinite(sums), flat)
    flat = flat.astype(np.float64, copy=False)  # masks and labels have no minus, or one too few
    top = np.maximum(flat.max(axis=1), -flat.min(axis=1))
    sound = np.isfinite(top)
    # Powers of two, as in `norm`, which takes what is left.
    scale = np.ldexp(1.0, np.where(sound & (top > 0.0), np.frexp(top)[1] - 1, 0))
    with np.errstate(all="ignore"):
        scaled = flat / scale[:, None]
        sums = scale * np.sqrt(np.einsum("tx,tx->t", scaled, scaled))
    return _mended(sums, sound, flat)


def _mended(norms: Array, sound: Array, rows: Array) -> list[float]:
    """Norms as numbers, those of rows that are not finite as `norm` has them."""
    return [float(x) if ok else norm(row) for x, ok, row in zip(norms, sound, rows, strict=True)]


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


def told(size: float, kind: Kind, digits: int = 2) -> str:
    """A norm in a sentence or a table: a number, or the words for what is none; a 0 is never just
    that.

    >>> told(0.25, "normal"), told(0.0, "underflow"), told(0.0, "zero"), told(0.0, "disconnected")
    ('2.50e-01', 'underflow', 'exactly 0', 'not connected')
    """
    if kind in ("normal", "below"):
        return f"{size:.{digits}e}"
    return KIND_WORDS[kind].partition(" (")[0]


@dataclass(frozen=True, slots=True)
class Steps:
    """The 2-norms of one tensor at each step of the loops that it lies in, by place in xs."""

    norms: tuple[float, ...]
    lost: tuple[bool, ...] = ()
    """For each whether it is 0 for a product too small to hold; () where none is."""

    @property
    def least(self) -> float:
        """The smallest; NaN where there is one, and of no steps."""
        return self._or_nan(min)

    @property
    def middle(self) -> float:
        """The median: of an even number of steps, half of what the middle two add up to."""
        return self._or_nan(median)

    @property
    def most(self) -> float:
        """The largest."""
        return self._or_nan(max)

    def _or_nan(self, pick: Callable[[tuple[float, ...]], float]) -> float:
        return nan if not self.norms or any(x != x for x in self.norms) else pick(self.norms)

    def bins(self, count: int) -> list[tuple[float, float]]:
        """The least and the largest of so many runs of steps, of one step each where there are no
        more: means would hide spikes. NaN where there is one.

        >>> Steps((1.0, 5.0, 2.0, 3.0)).bins(2), Steps((1.0, 5.0)).bins(9)
        ([(1.0, 5.0), (2.0, 3.0)], [(1.0, 1.0), (5.0, 5.0)])
        """
        total = len(self.norms)
        count = min(count, total)
        ends = [total * k // count for k in range(count + 1)] if count else [0]
        runs = [Steps(self.norms[a:b]) for a, b in pairwise(ends)]
        return [(run.least, run.most) for run in runs]

    def lost_in_bins(self, count: int) -> list[bool]:
        """For each of such runs of steps whether a product was lost in it.

        >>> Steps((1.0, 0.0, 0.0, 3.0), (False, True, False, False)).lost_in_bins(2)
        [True, False]
        """
        lost = self.lost or (False,) * len(self.norms)
        count = min(count, len(lost))
        ends = [len(lost) * k // count for k in range(count + 1)] if count else [0]
        return [any(lost[a:b]) for a, b in pairwise(ends)]

    def long(self) -> str:
        """All three, and how many of the steps have none or lost it, at full precision.

        >>> Steps((0.5, 0.0, 2.0)).long()
        'over 3 steps: min 0.0, median 0.5, max 2.0; 0 at 1 of them'
        """
        count = len(self.norms)
        words = f"over {count} step{'s' * (count != 1)}: "
        words += f"min {self.least!r}, median {self.middle!r}, max {self.most!r}"
        lost = sum(self.lost)
        zeros = self.norms.count(0.0) - lost
        words += f"; underflow at {lost} of them" * (lost > 0)
        return words + f"; 0 at {zeros} of them" * (zeros > 0)


@dataclass(frozen=True, slots=True)
class Amount:
    """What a picture says of one measured tensor, or of one at every step of a loop.

    `norm` is the 2-norm of all elements (|x| for a scalar); `low` and `high` are the extremes, None
    for an empty tensor; `elements` holds up to four elements, and nothing for larger tensors.
    `kind` is `kind_of` the norm, or "disconnected" where no derivative leads here. Over `steps` the
    norm is the largest of a step, the extremes are those of all, and there are no elements.
    """

    shape: Shape
    norm: float
    low: float | None
    high: float | None
    elements: tuple[float, ...]
    kind: Kind
    steps: Steps | None = None

    @staticmethod
    def of(array: Array) -> Amount:
        """Sum up an array.

        >>> amount = Amount.of(np.array([3.0, -4.0]))
        >>> amount.norm, amount.low, amount.high, amount.elements, amount.kind
        (5.0, -4.0, 3.0, (3.0, -4.0), 'normal')
        """
        flat = np.asarray(array).reshape(-1)
        listed = tuple(float(x) for x in flat) if flat.size <= LISTED else ()
        low, high = (float(flat.min()), float(flat.max())) if flat.size else (None, None)
        size = norm(flat)
        return Amount(np.shape(array), size, low, high, listed, kind_of(size))

    @staticmethod
    def of_each(arrays: Sequence[Array]) -> list[Amount]:
        """`of` each, to the same bits; those of one shape and dtype at once, in a seventh of the
        time.

        >>> [amount.norm for amount in Amount.of_each([np.array([3.0, 4.0]), np.ones(())])]
        [5.0, 1.0]
        """
        alike: dict[tuple[Shape, np.dtype[Any]], list[int]] = {}
        for k, array in enumerate(arrays):
            alike.setdefault((array.shape, array.dtype), []).append(k)
        amounts = [UNCONNECTED] * len(arrays)
        for (shape, _), places in alike.items():
            for k, amount in zip(places, _of_rows(shape, [arrays[k] for k in places]), strict=True):
                amounts[k] = amount
        return amounts

    @staticmethod
    def over(stack: Array, axes: int) -> Amount:
        """Sum up what a tensor is at every step, stacked along so many first axes.

        >>> Amount.over(np.array([[3.0, -4.0], [0.0, 1.0]]), 1).short()
        'max ‖5‖'
        """
        count = prod(stack.shape[:axes])
        if not count:
            return UNCONNECTED
        rows = np.asarray(stack).reshape(count, -1)
        steps = Steps(tuple(norms_of(rows)))
        low, high = (float(rows.min()), float(rows.max())) if rows.size else (None, None)
        top = steps.most
        return Amount(stack.shape[axes:], top, low, high, (), kind_of(top), steps)

    @property
    def size(self) -> int:
        """Number of elements."""
        return prod(self.shape)

    def short(self, number: Callable[[float], str] = fmt) -> str:
        """The elements with their signs where there are few, one of them without brackets.

        Larger tensors have their norm between bars; over steps it is the largest, |x| of scalars.

        >>> Amount.of(np.array(-2.5)).short(), Amount.of(np.array([[-2.0]])).short()
        ('-2.5', '-2')
        >>> Amount.of(np.array([[1.0, -3.0]])).short(), Amount.of(np.zeros((2, 3))).short()
        ('[[1, -3]]', '‖0‖')
        """
        if self.elements:
            return _listed([number(x) for x in self.elements], self.shape)
        size = f"‖{number(self.norm)}‖" if self.shape else number(self.norm)
        return size if self.steps is None else f"max {size}"

    def long(self) -> str:
        """Everything, at full precision, for a tooltip.

        >>> Amount.of(np.array([3.0, -4.0])).long()
        '[3.0, -4.0], norm 5.0'
        """
        if not self.size:
            return f"empty, shape {self.shape}"
        if self.steps is not None:
            return f"norms {self.steps.long()}; from {self.low!r} to {self.high!r}"
        if not self.shape:
            return repr(self.elements[0])
        if self.elements:
            return f"{_listed([repr(x) for x in self.elements], self.shape)}, norm {self.norm!r}"
        return f"norm {self.norm!r}, from {self.low!r} to {self.high!r}, shape {self.shape}"


UNCONNECTED = Amount((), 0.0, None, None, (), "disconnected")


def _of_rows(shape: Shape, arrays: Sequence[Array]) -> list[Amount]:
    """What arrays of one shape come to."""
    rows = np.stack(arrays).reshape(len(arrays), -1) if prod(shape) else np.zeros((0, 0))
    if not rows.size:
        return [Amount.of(array) for array in arrays]
    wide = np.abs(rows.astype(np.float64))
    top = wide.max(axis=1)
    sound = np.isfinite(top)
    # Powers of two, as in `norm`, which takes what is left.
    scale = np.ldexp(1.0, np.where(sound & (top > 0.0), np.frexp(top)[1] - 1, 0))
    sizes = top
    if rows.shape[1] > 1:
        with np.errstate(all="ignore"):
            sizes = scale * np.sqrt(np.square(wide / scale[:, None]).sum(axis=1))
    ends = rows.min(axis=1).tolist(), rows.max(axis=1).tolist()
    elements = rows.tolist() if rows.shape[1] <= LISTED else [()] * len(rows)
    norms = _mended(sizes, sound, rows)
    return [
        Amount(shape, size, float(low), float(high), tuple(map(float, listed)), kind_of(size))
        for size, low, high, listed in zip(norms, *ends, elements, strict=True)
    ]


def _listed(words: list[str], shape: Shape) -> str:
    """Elements in brackets as NumPy nests them; a single one as itself."""
    if len(words) == 1:
        return words[0]
    for length in reversed(shape):
        words = [f"[{', '.join(words[k : k + length])}]" for k in range(0, len(words), length)]
    return words[0]
