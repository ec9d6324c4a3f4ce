"""Magnitudes in two dimensions: rows over time, and the triangle of pairs of steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from minigrad.drawing.charts.arguments import checked
from minigrad.drawing.charts.key import MAP_CAPTION, Key, axes_with_key, kinds_among
from minigrad.drawing.charts.looks import (
    BINS,
    Floats,
    Words,
    bins,
    edges,
    extremes,
    hint,
    kinds_of,
    ticks,
)
from minigrad.drawing.charts.rows import Row, draw_rows, halves
from minigrad.drawing.charts.sheet import points_of, set_time, set_title
from minigrad.drawing.escape import WIDEST, plain
from minigrad.drawing.theme import KIND_WORDS, EdgeStyle, Scale, fmt
from minigrad.errors import ShapeError

Spans = Sequence[tuple[int, int]]
"""Runs of steps, the first and the last of each, counted from 1."""
_WIDE, _HIGH = 470.0, 260.0  # of axes of their own, in points


@checked
def heat_map(
    sizes: ArrayLike,
    ax: Axes | None = None,
    *,
    kinds: Any = None,
    scale: Scale | None = None,
    labels: Sequence[str] | None = None,
    name: str = "unit",
    title: str = "",
    caption: str = MAP_CAPTION,
    legend: bool = True,
) -> Axes:
    """Draw magnitudes (R, T), one row for each unit, over t = 1 … T; returns the axes.

    kinds: what kind each is, (R, T), where that is known. labels: of the rows, which are numbered
    unless given. name: what a row is. scale: shared by what is compared. Where there are more than
    256 rows or steps, each bin has its largest magnitude above its least. What has no place on the
    scale is a line and no fill. ax: axes to draw on; new ones unless given. caption: of the
    legend, which says what the magnitudes are; legend: as in `curves`. Raises ShapeError for
    another shape.

    >>> ax = heat_map(np.ones((3, 5)), labels=["f", "i", "o"])
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['f', 'i', 'o']
    """
    array = np.asarray(sizes, np.float64)
    if array.ndim != 2 or not array.size:
        raise ShapeError(f"a heat map needs (R, T) magnitudes, not {array.shape}")
    if labels is not None and len(labels) != len(array):
        raise ShapeError(f"{len(array)} rows need as many labels, not {len(labels)}")
    known = kinds_of(array, kinds)
    locked = scale or Scale.of(array.ravel().tolist())
    key = Key(locked, kinds_among(array, known, locked), caption) if legend else None
    ax = axes_with_key(ax, _WIDE, _HIGH, key)
    set_title(ax, title)
    count, steps = array.shape
    set_time(ax, steps)
    ax.set_ylim(count + 0.5, 0.5)
    ax.set_ylabel(plain(name), parse_math=False)
    places = ticks(count) if labels is None else list(range(1, count + 1))
    words = [str(k) for k in places] if labels is None else [plain(x, WIDEST) for x in labels]
    ax.set_yticks(places, words, parse_math=False)
    rows = _binned_rows(array, known, [name] if labels is None else labels)
    draw_rows(ax, rows, edges(steps) + 0.5, locked, _thin(ax, min(count, BINS)))
    return ax


def _binned_rows(sizes: Floats, kinds: Words, labels: Sequence[str]) -> Iterator[Row]:
    spans, steps = bins(len(sizes)), bins(sizes.shape[1])
    parts = _binned(sizes, kinds)
    for k, (first, last) in enumerate(spans):
        if len(labels) == len(sizes) and first + 1 == last:
            label = labels[k]
        else:
            label = f"{labels[0]} {first + 1}" + (f" … {last}" if last > first + 1 else "")
        for (whole, known), (top, bottom) in zip(
            parts, halves(first + 0.5, last + 0.5, len(parts)), strict=True
        ):

            def tell(
                a: int, b: int, look: EdgeStyle, row: Any = whole[k], label: str = plain(label)
            ) -> str:
                return hint(label, (steps[a][0], steps[b - 1][1] - 1), row[a:b].tolist(), look)

            yield Row(top, bottom, whole[k], known[k], tell)


def _binned(sizes: Floats, kinds: Words) -> list[tuple[Floats, Words]]:
    """Magnitudes and kinds as they are, or the largest and the least of each bin."""
    parts = []
    for k in range(2 if max(sizes.shape) > BINS else 1):
        part, known = sizes, kinds
        for _ in range(2):  # along time, and then along the rows
            which = extremes(part)
            at = which[min(k, len(which) - 1)]
            part = np.take_along_axis(part, at, 1).T
            known = np.take_along_axis(known, at, 1).T
        parts.append((part, known))
    return parts


def _thin(ax: Axes, rows: int) -> float:
    """The height of a row in points, beyond which no line goes."""
    return max(0.5, 0.8 * points_of(ax)[1] / rows)


@checked
def triangle(
    sizes: ArrayLike,
    ax: Axes | None = None,
    *,
    low: ArrayLike | None = None,
    kinds: Any = None,
    low_kinds: Any = None,
    rows: Spans | None = None,
    columns: Spans | None = None,
    scale: Scale | None = None,
    labels: tuple[str, str] = ("back to step s", "from step t"),
    title: str = "",
    caption: str = MAP_CAPTION,
    legend: bool = True,
) -> Axes:
    """Draw a magnitude for each pair of steps: from step t, downwards, back to step s.

    sizes: (R, K), the largest of two runs of steps; low: the least, which stands below it. kinds,
    low_kinds: what kind each is, where that is known. rows, columns: the runs of steps t and s; all
    steps unless given, in at most 256 bins which keep their extremes. Nothing is drawn where s lies
    after t and there is exactly nothing. scale, ax, caption, legend: as in `heat_map`. Raises
    ShapeError for other shapes.

    >>> ax = triangle(np.tril(np.ones((4, 4))), title="‖∂Lₜ/∂C_s‖")
    >>> ax.get_title("center"), ax.get_ylabel()
    ('‖∂Lₜ/∂C_s‖', 'from step t')
    """
    pairs = _pairs(sizes, low, (kinds, low_kinds), rows, columns)
    steps = pairs.columns[-1][1]
    rows_drawn = list(pairs.drawn())
    locked = scale or Scale.of(pairs.high.ravel().tolist())
    drawn = np.stack([row.sizes for row in rows_drawn])
    known = np.stack([row.kinds for row in rows_drawn])
    key = Key(locked, kinds_among(drawn, known, locked), caption) if legend else None
    ax = axes_with_key(ax, _WIDE, _WIDE, key)
    set_title(ax, title)
    set_time(ax, steps, labels[0])
    ax.set_ylim(steps + 0.5, 0.5)
    ax.set_yticks(ticks(steps), [str(k) for k in ticks(steps)])
    ax.set_ylabel(plain(labels[1]), parse_math=False)
    ends = np.array([pairs.columns[0][0] - 0.5, *(last + 0.5 for _, last in pairs.columns)])
    draw_rows(ax, rows_drawn, ends, locked, _thin(ax, len(pairs.rows)))
    return ax


@dataclass(frozen=True, eq=False)
class _Pairs:
    """The largest and the least magnitude of each pair of runs of steps."""

    high: Floats
    low: Floats
    kinds: tuple[Words, Words]
    """Of both."""
    rows: Spans
    columns: Spans

    def drawn(self) -> Iterator[Row]:
        """The rows, each at its steps."""
        starts, _ = np.array(self.columns).T
        is_binned = any(a < b for a, b in (*self.columns, *self.rows))
        for k, (first, last) in enumerate(self.rows):
            high, known = self.high[k], self.kinds[0][k]
            parts = [(high, known), (self.low[k], self.kinds[1][k])][: 1 + is_binned]
            for (part, kinds), at in zip(
                parts, halves(first - 0.5, last + 0.5, len(parts)), strict=True
            ):
                shown = np.where((starts > last) & (known == "zero"), "", kinds)
                yield Row(*at, part, shown, self._telling((first, last), part))

    def _telling(self, row: tuple[int, int], sizes: Floats) -> Callable[[int, int, EdgeStyle], str]:
        steps = " … ".join(map(str, dict.fromkeys(row)))

        def tell(a: int, b: int, look: EdgeStyle) -> str:
            words = "" if look.kind == "normal" else f", {KIND_WORDS[look.kind]}"
            ends = f"{fmt(sizes[a])} … {fmt(sizes[b - 1])}"
            return f"t={steps}, s={self.columns[a][0]} … {self.columns[b - 1][1]}: {ends}{words}"

        return tell


def _pairs(
    sizes: ArrayLike,
    low: ArrayLike | None,
    kinds: tuple[Any, Any],
    rows: Spans | None,
    columns: Spans | None,
) -> _Pairs:
    high = np.asarray(sizes, np.float64)
    least = high if low is None else np.asarray(low, np.float64)
    if high.ndim != 2 or not high.size or least.shape != high.shape:
        raise ShapeError(f"a triangle needs (R, K) magnitudes, not {high.shape}, {least.shape}")
    spans = [[(a + 1, b) for a, b in bins(count)] for count in high.shape]
    known = kinds_of(high, kinds[0])
    if low is None and rows is None and columns is None:
        parts = _binned(high, known)
        (most, of_most), (low, of_low) = parts[0], parts[-1]
        # Runs of steps that meet hold pairs of which one lies after, where there is nothing.
        (firsts, lasts), (starts, ends) = (np.array(runs).T for runs in spans)
        meets = (starts <= lasts[:, None]) & (firsts[:, None] < ends)
        least, of_least = np.where(meets, most, low), np.where(meets, of_most, of_low)
        return _Pairs(most, least, (of_most, of_least), *spans)
    after, before = spans[0] if rows is None else rows, spans[1] if columns is None else columns
    if (len(after), len(before)) != high.shape:
        raise ShapeError(
            f"magnitudes {high.shape} need as many rows and columns, not "
            f"({len(after)}, {len(before)})"
        )
    both = (known, known if low is None else kinds_of(least, kinds[1]))
    return _Pairs(high, least, both, after, before)
