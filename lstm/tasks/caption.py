"""Captions: what a picture shows, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from math import log
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lstm.errors import ConfigError
from lstm.tasks.base import Batch
from lstm.tasks.labels import END, NO_LABEL, Labels, up_to_end

COLOURS = {
    "red": (0.85, 0.15, 0.15),
    "green": (0.1, 0.65, 0.2),
    "blue": (0.15, 0.35, 0.9),
    "yellow": (0.95, 0.8, 0.1),
}
SHAPES = ("square", "circle", "triangle", "cross")
WORDS = (*COLOURS, *SHAPES, "at", "the", "top", "bottom", "left", "right", "of", "above")
GRID, PATCH = 7, 4  # patches along each side of a picture, pixels along each side of a patch
SPAN = 2  # patches along each side of an object
_PLACES = GRID - SPAN + 1  # along each side
_PAPER, _NOISE = 0.5, 0.05
_KINDS = [*product(COLOURS, SHAPES)]


class Thing(NamedTuple):
    """An object of a picture; row, column: of the patch at its upper left corner, from 0."""

    colour: str
    shape: str
    row: int
    column: int

    @property
    def box(self) -> list[int]:
        """The steps at which the patches are read that it lies on."""
        rows, columns = (range(k, k + SPAN) for k in (self.row, self.column))
        return [GRID * r + c for r, c in product(rows, columns)]


Scene = tuple[Thing, ...]
"""What is on a picture, in the order in which it is told."""


@dataclass(frozen=True)
class Caption(Labels):
    """A picture of one object or two is told in words: the task of Xu et al., "Show, attend and
    tell: neural image caption generation with visual attention", 2015, in small.

    A picture has 28 × 28 pixels of noisy grey. It is read as 49 patches, in rows from the upper
    left one, of 62 numbers: the patch's pixels, and its row and its column, one-hot. An object is
    of one of four colours and four shapes, and lies on 2 × 2 patches. Of one alone it is told in
    which quarter it is; of two, which differ, how they stand: where they are further apart in
    columns than in rows the left one first, and "left of", else the upper one, and "above"; as far
    apart in both they are never. So each picture has one caption, which is right where all its
    words are.

    No recurrent layer reads the patches (`layers` is 0), so that what a decoder with attention
    looks at is what it sees: `mass` says how much of that is the object that a word names.

    >>> task = Caption()
    >>> print(*task.words((Thing("blue", "square", 3, 0), Thing("red", "circle", 4, 3))))
    blue square left of red circle
    >>> xs, ys = task.batch(np.random.default_rng(0), size=1)
    >>> xs.shape, task.said(ys)
    ((49, 1, 62), ['blue square above blue circle'])
    """

    close_up: ClassVar[str] = "caption"
    name: ClassVar[str] = "caption"
    title: ClassVar[str | None] = "Captions"
    summary: ClassVar[str] = "what a small picture shows, and where, in words"
    paper: ClassVar[str | None] = "after Xu et al. 2015, on pictures made for it"
    input_size: ClassVar[int] = 3 * PATCH**2 + 2 * GRID
    output_size: ClassVar[int] = len(WORDS) + 1
    readout: ClassVar[str] = "decoder"
    layers: ClassVar[int] = 0
    hidden_size: ClassVar[int | None] = 32
    usual: ClassVar[Mapping[str, Any]] = {"steps": 4000, "rate": 0.01}
    baseline_words: ClassVar[str] = "the grammar without the picture"
    criterion: ClassVar[str] = "99 % of 2000 test pictures are told without a mistake"

    @property
    def baseline(self) -> float:
        kinds = len(_KINDS)  # rows and columns are alike, so that both ways to stand are as often
        one, two = log(4 * kinds), log(2 * kinds * (kinds - 1))
        return (log(2) + (one + two) / 2) / (7 / 2 + 7 / 4 + 6 / 4)

    @property
    def best_guess(self) -> float:
        """How often the likeliest caption is right, whatever the picture shows."""
        return 1 / (2 * 4 * len(_KINDS))

    @property
    def steps(self) -> int:
        return GRID**2

    @property
    def memory(self) -> int:
        return self.target_shape(1)[0]  # of the decoder's cell: no other reads

    def target_shape(self, batch: int) -> tuple[int, ...]:
        return (7, batch)

    # --- pictures --------------------------------------------------------------------------------

    def scenes(self, rng: np.random.Generator, size: int) -> list[Scene]:
        """What is on that many pictures: one object, or two, as often; anywhere, but apart."""
        return [_scene(rng, count) for count in rng.integers(1, 3, size).tolist()]

    def batch(self, rng: np.random.Generator, size: int) -> Batch:
        return self.drawn(rng, self.scenes(rng, size))

    def drawn(self, rng: np.random.Generator, scenes: Sequence[Scene]) -> Batch:
        """Pictures of scenes, each with noise of its own, and their captions."""
        side, count = GRID * PATCH, len(scenes)
        pixels = _PAPER + _NOISE * rng.standard_normal((count, side, side, 3))
        ys = np.full(self.target_shape(count), NO_LABEL)
        for k, scene in enumerate(scenes):
            for thing in scene:
                top, left = PATCH * thing.row, PATCH * thing.column
                part = pixels[k, top : top + PATCH * SPAN, left : left + PATCH * SPAN]
                part[_stencils()[thing.shape]] += np.subtract(COLOURS[thing.colour], _PAPER)
            tokens = [*[WORDS.index(word) + 1 for word in self.words(scene)], END]
            ys[: len(tokens), k] = tokens
        patches = pixels.reshape(count, GRID, PATCH, GRID, PATCH, 3).transpose(1, 3, 0, 2, 4, 5)
        rows, columns = np.divmod(np.arange(self.steps), GRID)
        where = np.concatenate([np.eye(GRID)[rows], np.eye(GRID)[columns]], axis=-1)
        xs = np.empty((self.steps, count, self.input_size), np.float32)
        xs[:, :, : -2 * GRID] = patches.reshape(self.steps, count, -1)
        xs[:, :, -2 * GRID :] = where[:, None]
        return Batch(xs, ys)

    def pictures(self, xs: NDArray[Any]) -> NDArray[Any]:
        """The pictures (B, 28, 28, 3), of red, green and blue from 0 to 1, that are read as xs."""
        patches = xs[:, :, : -2 * GRID].reshape(GRID, GRID, -1, PATCH, PATCH, 3)
        whole = patches.transpose(2, 0, 3, 1, 4, 5).reshape(-1, GRID * PATCH, GRID * PATCH, 3)
        pixels: NDArray[Any] = np.clip(whole, 0, 1)
        return pixels

    # --- words -----------------------------------------------------------------------------------

    def words(self, scene: Scene) -> list[str]:
        """The caption of a scene."""
        return [word for word, _ in _told(scene)]

    def named(self, scene: Scene) -> list[Thing | None]:
        """Which object each word of the caption names, by its colour or by its shape."""
        return [thing for _, thing in _told(scene)]

    def said(self, tokens: Any) -> list[str]:
        """Captions (U, B) as texts, each up to its end or to padding. Raises ConfigError for a
        token that there is not."""
        return [" ".join(WORDS[token - 1] for token in row) for row in up_to_end(tokens, self)]

    def mass(self, weights: Any, scenes: Sequence[Scene]) -> NDArray[np.float64]:
        """How much of the attention is within the box of the object that a word names, (U, B); NaN
        where a word names none.

        weights: (U, B, 49), as `model.run(xs, targets=ys).attention.eval()` of the scenes' pictures
        and captions. Raises ConfigError for weights of another shape.

        >>> thing = Thing("red", "circle", 0, 0)
        >>> Caption().mass(np.full((6, 1, 49), 1 / 49), [(thing,)]).round(3)[:, 0].tolist()
        [0.082, 0.082, nan, nan, nan, nan]
        """
        shares = np.asarray(weights, np.float64)
        if shares.ndim != 3 or shares.shape[1:] != (len(scenes), self.steps):
            raise ConfigError(
                f"weights= of {len(scenes)} scenes are (U, {len(scenes)}, {self.steps}), "
                f"run.attention.eval(), not {shares.shape}"
            )
        mass = np.full(shares.shape[:2], np.nan)
        for k, scene in enumerate(scenes):
            for u, thing in enumerate(self.named(scene)[: len(mass)]):
                if thing is not None:
                    mass[u, k] = shares[u, k, thing.box].sum()
        return mass


def _scene(rng: np.random.Generator, count: int) -> Scene:
    """So many objects of kinds that differ, anywhere, but apart."""
    kinds = rng.choice(len(_KINDS), count, replace=False).tolist()
    while True:
        places = rng.integers(0, _PLACES, (count, 2)).tolist()
        if count == 1 or _are_told_apart(*places):
            things = [Thing(*_KINDS[k], *at) for k, at in zip(kinds, places, strict=True)]
            return _in_order(things)


def _are_told_apart(a: Sequence[int], b: Sequence[int]) -> bool:
    """Whether objects at two places, row and column, lie apart, and one direction more than the
    other."""
    rows, columns = abs(a[0] - b[0]), abs(a[1] - b[1])
    return rows != columns and max(rows, columns) >= SPAN


def _are_beside(a: Sequence[int], b: Sequence[int]) -> bool:
    """Whether two places are further apart in columns than in rows."""
    return abs(a[1] - b[1]) > abs(a[0] - b[0])


def _in_order(things: Sequence[Thing]) -> Scene:
    """As they are told."""
    beside = _are_beside(things[0][2:], things[-1][2:])
    return tuple(sorted(things, key=lambda thing: thing.column if beside else thing.row))


def _told(scene: Scene) -> list[tuple[str, Thing | None]]:
    """Each word of a caption, and the object that it names."""
    first, *others = scene
    told: list[tuple[str, Thing | None]] = [(word, first) for word in first[:2]]
    if not others:
        row, column = (2 * k < _PLACES for k in first[2:])
        quarter = "top" if row else "bottom", "left" if column else "right"
        return [*told, *((word, None) for word in ("at", "the", *quarter))]
    how = ("left", "of") if _are_beside(first[2:], others[0][2:]) else ("above",)
    return [*told, *((word, None) for word in how), *((word, others[0]) for word in others[0][:2])]


@lru_cache
def _stencils() -> Mapping[str, NDArray[np.bool_]]:
    """Which pixels of its box each shape covers."""
    at = (np.arange(PATCH * SPAN) + 0.5) / (PATCH * SPAN / 2) - 1
    y, x = at[:, None], at[None, :]
    return {
        "square": np.ones((at.size, at.size), np.bool_),
        "circle": x**2 + y**2 <= 1,
        "triangle": abs(x) <= (y + 1) / 2,
        "cross": (abs(x) <= 0.3) | (abs(y) <= 0.3),
    }
