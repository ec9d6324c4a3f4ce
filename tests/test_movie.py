"""The film: pixels are read back, what happens follows from them, and guesses are counted."""

from __future__ import annotations

from collections import Counter
from itertools import groupby, islice
from math import log

import numpy as np
import pytest

import minigrad as mg
from lstm.errors import ConfigError
from lstm.tasks.movie import ACTORS, EVENTS, KINDS, Movie, Scene, drawn, events

LOOKS = {(8, 3): "○", (8, 6): "†", (4, 2): "▪"}  # pixels, and height


def seen(picture):
    """What is seen in a frame, by another way than the task's: kind and actors."""
    lit = picture > 0.5
    assert lit[11].all()
    if not lit[:11].any():
        return None
    kind = "door" if lit[3:11, 10:].all() else "find" if lit[3, 7:11].all() else "meet"
    body = lit[:11].copy()
    if kind == "door":
        body[:, 10:] = False
    elif kind == "find":
        body[:5] = False
    halves = [body[:, :6], body[:, 6:]] if kind == "meet" else [body]
    looks = [(int(half.sum()), int(half.any(1).sum())) for half in halves]
    return kind, tuple(LOOKS[look] for look in looks)


def owner_after(scenes):
    """Who has the key after some scenes, looked for from the last one back."""
    for k in reversed(range(len(scenes))):
        kind, who = scenes[k]
        if kind == "find":
            return who[0]
        before = owner_after(scenes[:k])
        if kind == "meet" and before in who:
            return who[who.index(before) - 1]
    return None


def happens(scenes):
    """The event of the last scene."""
    kind, who = scenes[-1]
    owner = owner_after(scenes[:-1])
    if kind == "find":
        return f"{who[0]} finds"
    if kind == "door":
        return "opens" if owner == who[0] else "shut out"
    return {who[0]: "gives →", who[1]: "← gives"}.get(owner, "meet")


def test_each_frame_has_the_event_that_the_scenes_before_it_decide():
    task = Movie(frames=5, scenes=6)
    xs, ys = task.batch(np.random.default_rng(0), 60)
    assert xs.shape == (30, 60, 144)
    assert ys.shape == task.target_shape(60)
    asked, kinds = Counter(), Counter()
    for film, labels in zip(xs.swapaxes(0, 1).reshape(60, 30, 12, 12), ys.T, strict=True):
        starts = [t for t, frame in enumerate(film) if not (frame[:11] > 0.5).any()]
        assert starts[0] == 0
        assert {*np.diff(starts)} <= {3, 4, 5, 6, 7}
        scenes = []
        for first, end in zip(starts, [*starts[1:], 30], strict=True):
            assert EVENTS[labels[first]] == "nobody"
            if end - first == 1:  # the film is cut there
                continue
            scenes.append(seen(film[first + 1]))
            said = {EVENTS[k] for k in labels[first + 1 : end]}
            assert said == {happens(scenes)}
            asked |= Counter(said)
            kinds[scenes[-1][0], len(scenes) == 1] += 1
    assert {*asked} == {*EVENTS} - {"nobody"}
    assert kinds["find", True] == 60
    assert kinds["meet", False] > kinds["find", False] > 0


@pytest.mark.parametrize("frames", range(2, 12))
def test_actors_come_near_and_go(frames):
    for kind in {*KINDS}:
        for who in ((0, 1), (1, 2), (2, 0)):
            scene = Scene(kind, who if kind == "meet" else who[:1], frames)
            pictures = drawn(scene)
            assert pictures.shape == (frames, 12, 12)
            assert seen(pictures[0]) is None
            actors = tuple(ACTORS[k] for k in scene.actors)
            assert seen(pictures[1]) == (kind, actors)
            lefts = [np.flatnonzero(p[10:4:-1].any(0))[0] for p in pictures[1:]]
            farthest = int(np.argmax(lefts))
            assert lefts[farthest] >= (2 if kind == "meet" else 4)
            assert np.diff(lefts[: farthest + 1]).min(initial=0) >= 0
            assert np.diff(lefts[farthest:]).max(initial=0) <= 0


def test_shares_are_exact():
    # Of 4 frames: the first scene has 2, 3, 4, 5 or 6, each as often.
    shares = Movie(frames=4, scenes=1).shares
    later = 0.05  # the fourth frame, where the first scene has 2
    assert shares["nobody"] == pytest.approx(0.35)
    assert shares["† finds"] == pytest.approx((0.6 + later / 5) / 3)
    assert shares["meet"] == shares["gives →"] == pytest.approx(later * 2 / 5 / 3)
    assert shares["opens"] == pytest.approx(later * 2 / 5 / 3)
    assert sum(shares.values()) == pytest.approx(1)


def test_baselines_and_guesses_are_those_of_who_knows_the_shares():
    task, rng = Movie(frames=4, scenes=5), np.random.default_rng(0)
    films = [task.film(rng) for _ in range(1200)]
    told = [[*islice((k for part in events(f) for k in part), task.steps)] for f in films]
    often = np.bincount(np.ravel(told), minlength=len(EVENTS)) / np.size(told)
    np.testing.assert_allclose(often, [*task.shares.values()], atol=0.015)
    said = np.full((task.steps, 9, len(EVENTS)), np.log([*task.shares.values()]))
    ys = np.array(told).T
    loss = float(task.loss(mg.const(np.resize(said, (*ys.shape, 9))), mg.const(ys)).eval())
    assert loss == pytest.approx(task.baseline, abs=0.02)
    # What a frame shows is the scene; of each the events are counted.
    by_scene: dict[object, Counter[int]] = {}
    for film in films:
        for scene, labels in zip(film, events(film), strict=True):
            shown = "first" if scene is film[0] else scene[:2]
            by_scene.setdefault(shown, Counter())[int(labels[1])] += 1
    for shown, counts in by_scene.items():
        kind = "find" if shown == "first" else shown[0]  # type: ignore[index]
        shares = np.array([*counts.values()]) / counts.total()
        if kind == "meet":
            np.testing.assert_allclose(shares, [1 / 3] * 3, atol=0.12)
        elif kind == "door":
            np.testing.assert_allclose(sorted(shares), [1 / 3, 2 / 3], atol=0.1)
    alone = task.baselines["from the frame alone"]
    meet, door = (sum(task.shares[e] for e in part) for part in (EVENTS[4:7], EVENTS[7:]))
    assert alone == pytest.approx(meet * log(3) + door * (log(3) - 2 / 3 * log(2)))
    assert task.guesses["from the frame alone"] == pytest.approx(1 - 2 / 3 * meet - door / 3)
    assert task.guesses["always the most usual"] == pytest.approx(often.max(), abs=0.015)


def test_98_of_100_frames_are_enough():
    task = Movie(frames=4, scenes=5)
    _, ys = task.batch(np.random.default_rng(0), 50)
    said = np.eye(len(EVENTS))[ys]
    flat = said.reshape(-1, len(EVENTS))  # of 1000 frames
    flat[:20] = np.roll(flat[:20], 1, axis=1)
    assert task.solved(said, ys)
    assert task.correct(said, ys).sum() == 980
    flat[20] = np.roll(flat[20], 1)
    assert not task.solved(said, ys)
    assert task.elements(ys) == 1000


def test_scenes_that_are_none():
    with pytest.raises(ConfigError, match="frames must be a whole number of at least 4, not 3"):
        Movie(frames=3)
    with pytest.raises(ConfigError, match="scenes must be a whole number of at least 1"):
        Movie(scenes=0)


def test_scenes_follow_each_other_by_their_labels():
    scenes = [Scene("find", (2,), 3), Scene("door", (2,), 2), Scene("meet", (0, 2), 2)]
    scenes += [Scene("meet", (1, 2), 2), Scene("door", (2,), 2), Scene("meet", (0, 1), 2)]
    told = [EVENTS[k] for k, _ in groupby(np.concatenate([*events(scenes)])) if k]
    assert told == ["▪ finds", "opens", "← gives", "meet", "shut out", "gives →"]


def test_pictures_that_are_kept_take_little_memory_and_are_all_of_a_usual_film():
    most = drawn.cache_info().maxsize
    assert most is not None
    assert most * drawn(Scene("meet", (0, 1), 1000)).nbytes < 2**27
    drawn.cache_clear()
    task, rng = Movie(), np.random.default_rng(0)
    task.batch(rng, 200)
    before = drawn.cache_info().misses
    assert before == 12 * 7 == drawn.cache_info().currsize  # scenes by actors, of 3 to 9 frames
    task.batch(rng, 200)
    assert drawn.cache_info().misses == before
