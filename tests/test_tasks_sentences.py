"""The textbook's sentences: what decides the last word, how far back it is, and what is asked."""

from __future__ import annotations

from itertools import pairwise
from math import log

import numpy as np
import pytest

import minigrad as mg
from lstm.errors import ConfigError
from lstm.tasks.france import FILLER, LANGUAGES, France
from lstm.tasks.sky import PLACES, VERBS, Sky


def sentences(task, size, seed=0):
    """Words and answers of a batch."""
    xs, ys = task.batch(np.random.default_rng(seed), size)
    assert xs.shape == (task.steps, size)
    assert ys.shape == task.target_shape(size)
    return [[task.words[k] for k in column] for column in xs.T], [task.words[k] for k in ys]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_the_subject_of_the_last_sentence_is_where_it_is_four_steps_on(count):
    where = {subject: place for place, those in PLACES.items() for subject in those}
    texts, answers = sentences(Sky(count), 400)
    seen = set()
    for words, answer in zip(texts, answers, strict=True):
        whole = [*words, answer, "."]
        for k in range(0, len(whole), 7):
            the, subject, verb, *rest = whole[k : k + 7]
            assert [the, *rest] == ["the", "in", "the", where[subject], "."]
            assert verb in VERBS
            seen.add((k, subject, verb))
        assert words[-4] in PLACES[answer]
    assert len(seen) > count * 60  # of 64 sentences each


@pytest.mark.parametrize("distance", [4, 5, 6, 7, 13, 60])
def test_the_language_is_that_of_the_country_so_many_steps_before(distance):
    texts, answers = sentences(France(distance), 300)
    between = set()
    for words, answer in zip(texts, answers, strict=True):
        assert words[:4] == ["I", "grew", "up", "in"]
        assert words[-3:] == ["I", "speak", "fluent"]
        assert LANGUAGES[words[-distance]] == answer
        told = words[5:-3]
        assert set(told) <= {".", *FILLER}
        assert not told or told[-1] == "."
        assert not any(a == b == "." for a, b in pairwise(told))
        between |= set(told)
    if distance > 30:
        assert between == {".", *FILLER}
    counts = [answers.count(language) for language in LANGUAGES.values()]
    assert min(counts) > 35  # of 300, five languages


@pytest.mark.parametrize("task", [Sky(), France(9)], ids=repr)
def test_the_baseline_is_that_of_one_who_says_each_answer_as_often(task):
    _, ys = task.batch(np.random.default_rng(0), 4000)
    prediction = np.full((4000, task.output_size), -1e9)
    prediction[:, task.tokens(task.answers)] = 0.0
    assert float(task.loss(mg.const(prediction), mg.const(ys)).eval()) == pytest.approx(
        task.baseline
    )
    assert task.baseline == pytest.approx(log(len(task.answers)))
    assert len({*task.words}) == len(task.words) == task.vocabulary == task.output_size
    assert task.spelled(task.tokens(task.words)) == list(task.words)


def test_99_of_100_right_is_solved():
    task = France()
    _, ys = task.batch(np.random.default_rng(0), 2000)
    prediction = np.eye(task.output_size)[ys]
    for wrong, is_solved in ((20, True), (21, False)):
        said = prediction.copy()
        said[:wrong] = np.roll(said[:wrong], 1, axis=1)
        assert task.solved(said, ys) is is_solved
        assert task.correct(said, ys).sum() == 2000 - wrong


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: France(3), "distance must be a whole number of at least 4, not 3"),
        (lambda: Sky(0), "sentences must be a whole number of at least 1, not 0"),
        (lambda: Sky.tokens(["the", "moon"]), "sky has no word 'moon'"),
    ],
)
def test_what_cannot_be(make, message):
    with pytest.raises(ConfigError, match=message):
        make()
