"""Where each curve's name is written: close to it, and clear of all others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from minigrad.drawing.charts.looks import Curve, Floats
from minigrad.drawing.escape import WIDEST

_HALF = 7.0  # of a name's height, and some air
_CLEAR = 9.0  # from the middle of a name to its curve
_LETTER = 5.4  # points, of a letter of a name


@dataclass(frozen=True)
class Frame:
    """Decades upwards, and time to the right, in a rectangle of points; y grows downwards."""

    width: float
    height: float
    lo: int
    hi: int
    steps: int

    def x(self, t: float) -> float:
        """Of the middle of step t = 1 … T."""
        return (t - 0.5) / self.steps * self.width

    def ys(self, norms: Floats) -> Floats:
        """Of magnitudes, on the axis of decades; what is below stands on the floor."""
        positive = np.where(norms > 0.0, norms, 0.0)
        with np.errstate(divide="ignore"):
            exponents = np.clip(np.log10(positive), self.lo, self.hi)
        return (self.hi - exponents) / (self.hi - self.lo) * self.height


@dataclass(frozen=True)
class Spot:
    """A place for a name: from `left`, so wide, around the height y; the less cost the better."""

    left: float
    wide: float
    y: float
    cost: float

    def is_within(self, frame: Frame) -> bool:
        """Whether the name keeps within the frame."""
        return 4.0 <= self.y <= frame.height + 2.0 and self.left + self.wide <= frame.width

    def hits(
        self, frame: Frame, curves: Sequence[Curve], others: Sequence[Spot], air: float = _HALF
    ) -> bool:
        """Whether the name would lie on a curve or on another name."""
        for curve in curves:
            ys = _heights(frame, curve, self.left, self.wide)
            before = np.concatenate([ys[:1], ys[:-1]])
            above, below = np.minimum(before, ys) - air, np.maximum(before, ys) + air
            if ((above < self.y) & (self.y < below)).any():
                return True
        return any(
            abs(self.y - o.y) < 11.0
            and self.left < o.left + o.wide
            and o.left < self.left + self.wide
            for o in others
        )


def name_spots(frame: Frame, curves: Sequence[Curve]) -> list[tuple[str, Spot]]:
    """Each curve's name and its place, the highest curve first. The name of a curve that fills the
    frame is left out; and where no place is clear of all curves, that of one with a mark, which the
    legend names.
    """
    named: list[tuple[str, Spot]] = []
    for curve in sorted(curves, key=lambda c: frame.ys(c.norms[:1])[0]):
        words = " ".join([curve.mark, *curve.label.split()]).strip()
        spots = [
            s for s in _spots(frame, curve, _LETTER * min(len(words), WIDEST)) if s.is_within(frame)
        ]
        taken = [spot for _, spot in named]
        others = [c for c in curves if c is not curve]
        free = [s for s in spots if not s.hits(frame, curves, taken)]
        # Best is a place that is nearer to this curve than to any other.
        best = [s for s in free if not s.hits(frame, others, taken, _CLEAR + 3.0)]
        apart = [s for s in spots if not s.hits(frame, [], taken)]
        if places := best or free or ([] if curve.mark else apart or spots):
            named.append((words, min(places, key=lambda s: s.cost)))
    return named


def are_clear(frame: Frame, curves: Sequence[Curve]) -> bool:
    """Whether no name lies on a curve."""
    return not any(spot.hits(frame, curves, []) for _, spot in name_spots(frame, curves))


def _spots(frame: Frame, curve: Curve, wide: float) -> Iterator[Spot]:
    """Above and below the curve, all along it; near its start and where it is flat are best."""
    for k in range(9):
        left = 5.0 + k / 10 * frame.width
        ys = _heights(frame, curve, left, wide)
        for y in (float(ys.min()) - _CLEAR, float(ys.max()) + _CLEAR):
            yield Spot(left, wide, y, float(np.abs(y - ys).max()) + 4.0 * k)


def _heights(frame: Frame, curve: Curve, left: float, wide: float) -> Floats:
    """The curve's heights from `left` so far to the right, one step more at each end."""
    steps = len(curve.norms)
    first, last = (x / frame.width * steps for x in (left, left + wide))
    lo, hi = max(0, min(int(first) - 1, steps - 1)), int(last) + 2
    return frame.ys(curve.norms[lo:hi])
