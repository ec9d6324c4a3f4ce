"""Where words on boxes stand: beside the wires that leave them, clear of all wires, boxes and one
another."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lstm.cells import Place
from lstm.figures.textbook.notation import Box as Rect

_GAP, _BESIDE = 0.16, 0.09  # between words and the middle of the wire, or the edge of the box
_CLEAR = 0.06  # between words and all else
_EVERY = 0.1  # of a wire a place is tried
_OTHER_SIDE, _AT_BOX = 0.6, 1.6
"""What it costs to stand to the left of a wire or below it, and beside the box itself, in units of
distance from the box."""
_TRIES = 1_500


class Label(NamedTuple):
    """A place for words: their rectangle, and the side on which their lines begin."""

    rect: Rect
    align: Literal["left", "center", "right"]


class Choice(NamedTuple):
    """A label where it might be, and what is against that."""

    cost: float
    label: Label


def along(ways: Iterable[Sequence[Place]], wide: float, high: float) -> Iterator[Choice]:
    """Labels of a size beside wires, the nearer to where these begin the better."""
    for way in ways:
        far = 0.0
        for (x, y), (u, v) in pairwise(way):
            length = abs(u - x) + abs(v - y)
            for k in range(int(length / _EVERY) + 1):
                share = k * _EVERY / (length or 1.0)
                at, cost = (x + share * (u - x), y + share * (v - y)), far + k * _EVERY
                if x == u:
                    yield Choice(cost, _right(at, wide, high, _GAP))
                    yield Choice(cost + _OTHER_SIDE, _left(at, wide, high, _GAP))
                else:
                    yield Choice(cost, _over(at, wide, high, _GAP))
                    yield Choice(cost + _OTHER_SIDE, _under(at, wide, high, _GAP))
            far += length


def around(at: Place, half: Place, wide: float, high: float, *, first: bool) -> Iterator[Choice]:
    """Labels of a size beside a box of half a width and height. first: above it is best of all."""
    across, up = half[0] + _BESIDE, half[1] + _BESIDE
    yield Choice(0.0 if first else _AT_BOX, _over(at, wide, high, up))
    yield Choice(_AT_BOX, _right(at, wide, high, across))
    yield Choice(_AT_BOX + _OTHER_SIDE, _left(at, wide, high, across))
    yield Choice(_AT_BOX + _OTHER_SIDE, _under(at, wide, high, up))


def _right(at: Place, wide: float, high: float, by: float) -> Label:
    left = at[0] + by
    return Label((left, at[1] - high / 2, left + wide, at[1] + high / 2), "left")


def _left(at: Place, wide: float, high: float, by: float) -> Label:
    right = at[0] - by
    return Label((right - wide, at[1] - high / 2, right, at[1] + high / 2), "right")


def _over(at: Place, wide: float, high: float, by: float) -> Label:
    bottom = at[1] + by
    return Label((at[0] - wide / 2, bottom, at[0] + wide / 2, bottom + high), "center")


def _under(at: Place, wide: float, high: float, by: float) -> Label:
    top = at[1] - by
    return Label((at[0] - wide / 2, top - high, at[0] + wide / 2, top), "center")


def placed(
    choices: Mapping[str, Iterable[Choice]], taken: Sequence[Rect]
) -> dict[str, Label] | None:
    """One place for each, where no words meet others or what is taken; None where none is found.

    What has the fewest places comes first, and each has the best that is left to it.

    >>> at = Label((0.0, 0.0, 1.0, 1.0), "left"), Label((0.5, 0.0, 1.5, 1.0), "left")
    >>> both = {"a": [Choice(k, at[k]) for k in range(2)]}
    >>> placed(both, [(0.0, 0.5, 0.2, 2.0)]) == {"a": at[1]}
    True
    """
    free = {name: _free(sorted(places), taken) for name, places in choices.items()}
    names = sorted(free, key=lambda name: len(free[name]))
    chosen: list[Label] = []
    waiting = [iter(free[name]) for name in names[:1]]
    for _ in range(_TRIES):
        if len(chosen) == len(names):
            return dict(zip(names, chosen, strict=True))
        label = next((x for x in waiting[-1] if not _meets(x.rect, chosen)), None)
        if label is not None:
            chosen.append(label)
            waiting.extend(iter(free[name]) for name in names[len(chosen) : len(chosen) + 1])
        else:
            waiting.pop()
            if not waiting:
                return None
            chosen.pop()
    return None


def _free(choices: Sequence[Choice], taken: Sequence[Rect]) -> list[Label]:
    """The places that are clear of what is taken, in their order."""
    if not choices or not taken:
        return [choice.label for choice in choices]
    rects = np.array([choice.label.rect for choice in choices])
    clear = np.all(~_overlap(rects, np.array(taken)), axis=1).tolist()
    return [choice.label for choice, ok in zip(choices, clear, strict=True) if ok]


def _overlap(a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.bool_]:
    """Which of some rectangles come near which of others, (n, m)."""
    a = a[:, None]
    beside = (a[..., 2] + _CLEAR <= b[:, 0]) | (b[:, 2] + _CLEAR <= a[..., 0])
    above = (a[..., 3] + _CLEAR <= b[:, 1]) | (b[:, 3] + _CLEAR <= a[..., 1])
    either: NDArray[np.bool_] = beside | above
    return ~either


def _meets(rect: Rect, labels: Sequence[Label]) -> bool:
    left, bottom, right, top = (
        e + way * _CLEAR for e, way in zip(rect, (-1, -1, 1, 1), strict=True)
    )
    others = (label.rect for label in labels)
    return any(a < right and left < c and b < top and bottom < d for a, b, c, d in others)
