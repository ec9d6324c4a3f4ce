"""How magnitudes look in a chart: their class on the locked scale, or their kind of nothing.

Also how a long row is binned so that no extreme is lost. Nothing here knows of matplotlib.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, floor, inf, log10
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minigrad.drawing.amount import told
from minigrad.drawing.theme import KIND_WORDS, EdgeStyle, Kind, Scale, fmt, special_style
from minigrad.errors import DTypeError, GraphError, ShapeError
from minigrad.types import as_array, as_items

BINS = 256
"""A strip has no more bins than so many: more are narrower than what a screen can show."""
Floats = NDArray[np.float64]
Words = NDArray[np.str_]
Mark = Literal["", "○", "△", "□", "◇"]
"""What tells curves apart, at some of their points: dashes say what kind of nothing is there."""
MARKS: tuple[Mark, ...] = get_args(Mark)

_SPECIAL: tuple[Kind, ...] = ("below", "underflow", "zero", "disconnected", "nan", "inf", "even")
_MARKED = 8
_MOST_DECADES = 300  # whose ticks still are float64
_DECADES_A_NAME = 15  # that a name is high where an axis has that many, and a few more
_SLACK = 1e-9  # as in Scale: log10 of 10**k may miss k by a rounding error


@dataclass(frozen=True, eq=False)
class Curve:
    """One row of a chart: magnitudes over t = 1 … T, and what kind each of them is."""

    label: str
    norms: Floats
    """(T,)"""
    kinds: Words
    """(T,) of `Kind`"""
    mark: Mark = ""

    @staticmethod
    def of(
        label: str, norms: ArrayLike, kinds: Sequence[Kind] | None = None, mark: Mark = ""
    ) -> Curve:
        """A curve of T ≥ 1 magnitudes; a kind that nobody has measured is read off the number.

        Raises ShapeError for norms that are no row, or have not as many kinds, and GraphError for
        another kind or mark.

        >>> Curve.of("h", [0.0, 1e-3, float("nan")]).kinds.tolist()
        ['zero', 'normal', 'nan']
        """
        if not isinstance(label, str):
            raise DTypeError(f"the label of a curve must be text, not {label!r:.40}")
        row = magnitudes(norms, f"the curve {label!r:.40}")
        if row.ndim != 1 or not row.size:
            raise ShapeError(f"the curve {label!r:.40} needs (T,) norms, T ≥ 1, not {row.shape}")
        if mark not in MARKS:
            raise GraphError(f"{mark!r:.40} is no mark; they are {' '.join(MARKS).strip()}")
        return Curve(label, row, kinds_of(row, kinds), mark)


def magnitudes(value: Any, what: str) -> Floats:
    """Numbers as an array of float64. Raises DTypeError for what are none, as a ragged list."""
    array = as_array(value, what)
    if array.dtype.kind not in "biuf":
        raise DTypeError(f"{what} must be real numbers, not {value!r:.40}")
    return array.astype(np.float64)


Rows = Mapping[str, ArrayLike] | Sequence[Curve]
"""{label: (T,) magnitudes}, or curves."""


def curves_of(rows: Rows) -> list[Curve]:
    """Rows as curves, all of one length. Raises ShapeError where they are not, or where none is.

    >>> [curve.label for curve in curves_of({"C": [1.0, 2.0]})]
    ['C']
    """
    if isinstance(rows, Mapping):
        rows = [Curve.of(label, norms) for label, norms in rows.items()]
    rows = curves_given(rows, "rows")
    lengths = {len(curve.norms) for curve in rows}
    if len(lengths) != 1:
        raise ShapeError(f"a chart needs rows of one length, not of {sorted(lengths) or 'none'}")
    return rows


def curves_given(curves: Any, what: str) -> list[Curve]:
    """A list of curves. Raises DTypeError, with what it is for, for what is none."""
    rows: list[Curve] = as_items(curves, what)
    if wrong := [row for row in rows if not isinstance(row, Curve)]:
        raise DTypeError(
            f"{what} must be a list of curves, as of mg.charts.Curve.of(label, magnitudes), or a "
            f"dict {{label: magnitudes}} where one is drawn, not of {wrong[0]!r:.40}"
        )
    return rows


def kinds_of(sizes: Floats, kinds: ArrayLike | None = None) -> Words:
    """The kind of each magnitude; where it is said to be "normal", the number has the last word."""
    sound = np.where(sizes == 0.0, "zero", "normal")
    read = np.where(np.isnan(sizes), "nan", np.where(np.isinf(sizes), "inf", sound))
    if kinds is None:
        return read
    told = as_array(kinds, "kinds").astype(np.str_)
    if told.shape != sizes.shape:
        raise ShapeError(f"magnitudes {sizes.shape} need as many kinds, not {told.shape}")
    is_known = np.isin(told, [*KIND_WORDS])
    if not is_known.all():
        unknown = min(told[~is_known].tolist())
        raise GraphError(f"{unknown!r} is no kind; they are {', '.join(KIND_WORDS)}")
    return np.where(told == "normal", read, told)


def scale_of(curves: Sequence[Curve]) -> Scale:
    """One colour scale for everything that is compared."""
    return Scale.of(float(x) for curve in curves_given(curves, "curves") for x in curve.norms)


# --- codes: what each magnitude looks like, as one number --------------------------------------


def codes(sizes: Floats, kinds: Words, scale: Scale) -> NDArray[np.intp]:
    """Which of `styles(scale)` each magnitude has; -1 where there is none, of the kind "".

    >>> sizes = np.array([1e-6, 2e-3, 1e-9, 0.0])
    >>> codes(sizes, kinds_of(sizes), Scale(-6.0, 2.0)).tolist()  # 8 classes
    [0, 3, 8, 10]
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        exponents = np.log10(np.abs(sizes))
        share = (exponents - scale.lo_exp) / (scale.hi_exp - scale.lo_exp)
        normal = np.clip(np.nan_to_num(np.floor(share * scale.classes + _SLACK)), 0, None)
    looks: NDArray[np.intp] = np.minimum(normal, scale.classes - 1).astype(np.intp)
    below = (kinds == "normal") & (exponents < scale.lo_exp - _SLACK)
    kinds = np.where(below, "below", kinds)
    if scale.even is not None:
        kinds = np.where((kinds == "normal") & (sizes == scale.even), "even", kinds)
    for k, kind in enumerate(_SPECIAL):
        looks[kinds == kind] = scale.classes + k
    looks[kinds == ""] = -1
    return looks


def styles(scale: Scale) -> list[EdgeStyle]:
    """The looks that codes stand for: the classes from small to large, then the other kinds."""
    classes = [scale.class_style(k) for k in range(scale.classes)]
    return classes + [special_style(kind) for kind in _SPECIAL]


def runs(row: NDArray[np.intp]) -> list[tuple[int, int]]:
    """Neighbours of one look together: the first of them, and one after the last.

    >>> runs(np.array([4, 4, 7, 4]))
    [(0, 2), (2, 3), (3, 4)]
    """
    cuts = np.flatnonzero(np.diff(row)) + 1
    return list(pairwise([0, *cuts.tolist(), len(row)]))


def hint(label: str, steps: Sequence[int], sizes: Sequence[float], style: EdgeStyle) -> str:
    """What a stretch tells who points at it: steps are counted from 0."""
    words = "" if style.kind == "normal" else f", {KIND_WORDS[style.kind]}"
    ends = [(str(t + 1), fmt(size)) for t, size in ((steps[0], sizes[0]), (steps[-1], sizes[-1]))]
    at, told = (" … ".join(dict.fromkeys(pair)) for pair in zip(*ends, strict=True))
    return f"{label}: t={at}, {told}{words}"


def number(curve: Curve, t: int) -> str:
    """The magnitude at a step, counted from 0, in words where there is none."""
    return told(curve.norms[t], curve.kinds[t], 1)


def marked(count: int) -> list[int]:
    """Which of so many points of a curve have its mark: all of a few, else some, evenly spaced.

    >>> marked(3), marked(100)
    ([0, 1, 2], [6, 18, 31, 43, 56, 68, 81, 93])
    """
    most = min(count, _MARKED)
    return [(2 * k + 1) * count // (2 * most) for k in range(most)]


# --- time ----------------------------------------------------------------------------------------


def bins(steps: int, most: int = BINS) -> list[tuple[int, int]]:
    """At most 256 stretches of steps (first, one after the last) that cover all of them.

    >>> bins(3), len(bins(1000)), bins(1000)[-1]
    ([(0, 1), (1, 2), (2, 3)], 256, (996, 1000))
    """
    count = min(_whole("steps", steps), _whole("most", most))
    return list(pairwise(steps * k // count for k in range(count + 1)))


def extremes(sizes: Floats, most: int = BINS) -> list[NDArray[np.intp]]:
    """Of each bin of (R, T) magnitudes the step of the largest, and that of the least: (R, bins).

    Steps themselves where they need no bins. NaN counts as larger than anything.

    >>> [which.tolist() for which in extremes(np.array([[1.0, 5.0, 2.0, 0.5]]), most=2)]
    [[[1, 2]], [[0, 3]]]
    """
    count = sizes.shape[1]
    if count <= most:
        return [np.broadcast_to(np.arange(count), sizes.shape)]
    first, end = np.array(bins(count, most)).T
    longest = int((end - first).max())
    # all bins as long as the longest: their last step again, which the one before stands for
    places = np.minimum(first[:, None] + np.arange(longest), end[:, None] - 1)
    binned = np.where(np.isnan(sizes), inf, sizes)[:, places]
    return [first + pick(binned, axis=2) for pick in (np.argmax, np.argmin)]


def edges(steps: int, most: int = BINS) -> NDArray[np.intp]:
    """Where the bins of so many steps begin, and the end of the last."""
    return np.array([*(first for first, _ in bins(steps, most)), steps])


def ticks(steps: int) -> list[int]:
    """Steps to write on the time axis: the first, the last, and round ones between.

    >>> ticks(100), ticks(3)
    ([1, 20, 40, 60, 80, 100], [1, 2, 3])
    """
    _whole("steps", steps)
    choices = (n * 10**m for m in range(19) for n in (1, 2, 5))
    every = next(n for n in choices if n * 6 >= steps)
    inner = [t for t in range(every, steps, every) if t > 1 and steps - t > every / 2]
    return [1, *inner, steps] if steps > 1 else [1]


def decades(curves: Sequence[Curve]) -> tuple[int, int]:
    """The exponents that an axis needs for all the curves, float64's whole range at most.

    Of many decades each is low: some are left free at the top for the name of the highest curve.
    """
    curves = curves_given(curves, "curves")
    sizes = np.concatenate([curve.norms for curve in curves]) if curves else np.zeros(0)
    sound = sizes[(sizes > 0.0) & (sizes < inf)]
    if not sound.size:
        return -6, 0
    lo, hi = floor(log10(sound.min())), ceil(log10(sound.max()) + _SLACK)
    free = min((hi - lo) // _DECADES_A_NAME, max(0, _MOST_DECADES - hi))
    return lo - (hi - lo < 3), hi + (hi - lo < 2) + free


def _whole(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise GraphError(f"{name} must be a whole number of at least 1, not {value!r:.40}")
    return int(value)
