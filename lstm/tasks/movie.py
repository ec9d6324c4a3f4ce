"""What happens at each moment of a film: earlier scenes decide it, and no frame shows it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import log
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lstm.errors import check_count
from lstm.tasks.base import Batch
from lstm.tasks.labels import NO_LABEL, Labels

SIZE = 12
"""Pixels of a frame, each way."""
ACTORS = ("○", "†", "▪")
FINDS = tuple(f"{actor} finds" for actor in ACTORS)
EVENTS = ("nobody", *FINDS, "gives →", "← gives", "meet", "opens", "shut out")
"""What may happen: nobody is there; somebody finds a key; the left one gives it to the right one,
or the right one to the left one, or they only meet; one opens the door, or has no key to it."""
KINDS = ("find", "meet", "meet", "door", "door")
"""What kinds of scenes there are: each of the five as often, whatever has happened."""
_NOISE = 0.1
_SHAPES = {
    "○": ("###", "# #", "###"),
    "†": (" # ", "###", " # ", " # ", " # ", " # "),
    "▪": ("##", "##"),
    "key": ("##  ", "####", "## #"),
    "door": ("##",) * 8,
    "ground": ("#" * SIZE,),
}
_SPRITES = {
    name: np.array([[letter == "#" for letter in row] for row in rows], np.float32)
    for name, rows in _SHAPES.items()
}


class Scene(NamedTuple):
    """So many frames, of which the first shows an empty stage; then actors come and go again."""

    kind: str
    """One of KINDS."""
    actors: tuple[int, ...]
    """Who is seen, by the place in ACTORS: one, or, where two meet, the left one and the right."""
    frames: int


@dataclass(frozen=True)
class Movie(Labels):
    """A film of scenes, 12 × 12 pixels a frame. Somebody finds a key, and it is seen no more: who
    found it has it, until it is given away or another is found. Where two meet, the one who has the
    key gives it to the other; one who has it opens the door, and others are shut out.

    At each frame it is asked which of EVENTS the scene is. Who comes to the door, or meets whom, is
    seen; who has the key is not, and earlier scenes tell: one who sees a frame alone cannot know.
    So it is with the film of which Olah asks what is happening at every point ("Understanding LSTM
    networks", 2015).

    frames: of a scene, the mean; scenes have from half as many to half more, each as often. scenes:
    a film has `scenes * frames` frames, and is cut there. Pixels are 0 or 1, with noise of standard
    deviation 0.1. Raises ConfigError for fewer than 4 frames, and for less than one scene.

    >>> task = Movie(frames=4, scenes=3)
    >>> xs, ys = task.batch(np.random.default_rng(4), size=1)
    >>> xs.shape, [EVENTS[k] for k in ys[::2, 0]]
    ((12, 1, 144), ['nobody', '○ finds', '○ finds', 'nobody', 'nobody', 'gives →'])
    """

    frames: int = 6
    scenes: int = 8

    close_up: ClassVar[str] = "film"
    name: ClassVar[str] = "movie"
    title: ClassVar[str | None] = "What happens in a film"
    summary: ClassVar[str] = "what happens in each frame of a film, as earlier scenes decide it"
    input_size: ClassVar[int] = SIZE * SIZE
    output_size: ClassVar[int] = len(EVENTS)
    hidden_size: ClassVar[int | None] = 32
    readout: ClassVar[str] = "every"
    baseline_words: ClassVar[str] = "events as often as they come"
    criterion: ClassVar[str] = "98 % of the frames of 2000 test films have the right event"
    usual: ClassVar[Mapping[str, Any]] = {"steps": 3000, "rate": 0.02}

    def __post_init__(self) -> None:
        object.__setattr__(self, "frames", check_count("frames", self.frames, 4))
        object.__setattr__(self, "scenes", check_count("scenes", self.scenes))

    @property
    def steps(self) -> int:
        return self.frames * self.scenes

    @property
    def memory(self) -> int:
        return 0  # with as many steps as a film has, it took several times as long

    def target_shape(self, batch: int) -> tuple[int, ...]:
        return (self.steps, batch)

    # --- films -------------------------------------------------------------------------------

    @property
    def _lengths(self) -> tuple[int, int]:
        """The least and the most frames of a scene."""
        half = self.frames // 2
        return self.frames - half, self.frames + half

    def film(self, rng: np.random.Generator) -> list[Scene]:
        """Scenes of as many frames as a film has, or a few more; in the first a key is found."""
        scenes: list[Scene] = []
        least, most = self._lengths
        while sum(scene.frames for scene in scenes) < self.steps:
            kind = KINDS[rng.integers(len(KINDS))] if scenes else "find"
            who = tuple(rng.permutation(len(ACTORS))[: 2 if kind == "meet" else 1].tolist())
            scenes.append(Scene(kind, who, int(rng.integers(least, most + 1))))
        return scenes

    def batch(self, rng: np.random.Generator, size: int) -> Batch:
        xs = np.zeros((self.steps, size, SIZE, SIZE), np.float32)
        ys = np.full((self.steps, size), NO_LABEL)
        for k in range(size):
            scenes = self.film(rng)
            xs[:, k] = np.concatenate([drawn(scene) for scene in scenes])[: self.steps]
            ys[:, k] = np.concatenate([*events(scenes)])[: self.steps]
        xs += rng.normal(0.0, _NOISE, xs.shape).astype(np.float32)
        return Batch(xs.reshape(self.steps, size, self.input_size), ys)

    # --- what is right, and what one may guess -----------------------------------------------

    def correct(self, prediction: NDArray[Any], target: NDArray[Any]) -> NDArray[np.bool_]:
        """Of each frame, (T, B)."""
        right: NDArray[np.bool_] = prediction.argmax(-1) == target
        return right

    @property
    def tested_on(self) -> str:
        return "the frames of new films"

    def solved(self, prediction: NDArray[Any], target: NDArray[Any]) -> bool:
        return bool(self.correct(prediction, target).mean() >= 0.98)

    @property
    def shares(self) -> dict[str, float]:
        """At which share of all frames each event is right, exactly."""
        least, most = self._lengths
        chance = np.zeros(most + 1)  # of a scene to have so many frames
        chance[least:] = 1 / (most + 1 - least)
        starts = np.ones(self.steps)  # the probability that a scene begins at a frame
        for t in range(1, self.steps):
            before = starts[max(t - most, 0) : t][::-1]
            starts[t] = chance[1 : len(before) + 1] @ before
        goes_on = 1 - np.cumsum(chance)[1 : self.steps]  # that the first scene has not ended yet
        nobody, first = starts.mean(), goes_on.sum() / self.steps
        later = (1 - nobody - first) / len(KINDS)
        # Each of the three is as likely as the others to have the key, whoever is seen.
        find, meet, door = (later * KINDS.count(kind) / 3 for kind in ("find", "meet", "door"))
        shares = (nobody, *[first / 3 + find] * 3, *[meet] * 3, door, 2 * door)
        return dict(zip(EVENTS, map(float, shares), strict=True))

    @property
    def baseline(self) -> float:
        return -sum(share * log(share) for share in self.shares.values() if share)

    @property
    def baselines(self) -> Mapping[str, float]:
        shares = self.shares
        meet = 3 * shares["meet"] * log(3)
        door = shares["opens"] * log(3) + shares["shut out"] * log(3 / 2)
        return {self.baseline_words: self.baseline, "from the frame alone": meet + door}

    @property
    def guesses(self) -> dict[str, float]:
        """The shares of frames that two get right who know how films are made, and not what has
        happened: one always says the most usual event, the other the likeliest of each frame."""
        shares = self.shares
        seen = ("nobody", *FINDS, "meet", "shut out")
        return {
            "always the most usual": max(shares.values()),
            "from the frame alone": sum(shares[event] for event in seen),
        }


def events(scenes: Sequence[Scene]) -> Iterator[NDArray[np.int64]]:
    """The label of each frame, scene by scene: who has the key decides."""
    owner = -1
    for kind, who, frames in scenes:
        if kind == "find":
            event, owner = FINDS[who[0]], who[0]
        elif kind == "door":
            event = "opens" if owner == who[0] else "shut out"
        elif owner in who:
            event = "gives →" if owner == who[0] else "← gives"
            owner = who[1] if owner == who[0] else who[0]
        else:
            event = "meet"
        labels = np.full(frames, EVENTS.index(event))
        labels[0] = EVENTS.index("nobody")
        yield labels


@lru_cache(128)  # all of films that are usual; some 100 MB where scenes have 1,000 frames
def drawn(scene: Scene) -> NDArray[np.float32]:
    """The frames of a scene, (frames, 12, 12): actors hop to the key, to the door or to each other,
    and back. Nothing of it tells who has the key."""
    pictures = np.zeros((scene.frames, SIZE, SIZE), np.float32)
    _put(pictures, "ground", SIZE, 0)
    for k, picture in enumerate(pictures[1:]):
        near = 1 - abs(2 * (k + 0.5) / (scene.frames - 1) - 1)  # 0 at the edge, 1 where they act
        floor, way = SIZE - 1 - k % 2, 3 if scene.kind == "meet" else 7
        if scene.kind == "find":
            _put(picture, "key", 5, 7)
        elif scene.kind == "door":
            _put(picture, "door", SIZE - 1, SIZE - 2)
        else:
            _put(picture, ACTORS[scene.actors[1]], floor, SIZE - 3 - round(way * near))
        _put(picture, ACTORS[scene.actors[0]], floor, round(way * near))
    pictures.setflags(write=False)  # it is kept
    return pictures


def _put(pictures: NDArray[np.float32], name: str, bottom: int, left: int) -> None:
    sprite = _SPRITES[name]
    height, width = sprite.shape
    pictures[..., bottom - height : bottom, left : left + width] = sprite
