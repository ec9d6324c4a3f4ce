"""Tasks of formal languages: their strings, and what may come next, against the languages as they
are enumerated; their baselines; and when they count as solved."""

from __future__ import annotations

from itertools import product
from math import comb

import numpy as np
import pytest

import lstm
import minigrad as mg
from lstm.tasks.counted import AnBn, AnBnCn
from lstm.tasks.dyck import Dyck2


def batch(task, size, seed=0):
    return task.batch(np.random.default_rng(seed), size)


def as_they_come(task, size):
    """What a net is tested on."""
    return next(task.held_out("test", np.random.default_rng(0), size, size))


def counted(letters, most):
    return {"".join(letter * n for letter in letters) for n in range(1, most + 1)}


def is_balanced(text):
    """By taking out pairs, until nothing changes."""
    while text != (shorter := text.replace("()", "").replace("[]", "")):
        text = shorter
    return not text


def balanced(longest):
    even = range(0, longest + 1, 2)
    return {t for n in even for t in map("".join, product("()[]", repeat=n)) if is_balanced(t)}


def next_of(language, text):
    """What comes next in some string of the language, after each beginning of a text."""
    return [
        {s[k : k + 1] or "$" for s in language if s[:k] == text[:k]} for k in range(len(text) + 1)
    ]


LANGUAGES = [
    (AnBn(6), counted("ab", 6), counted("ab", 13)),
    (AnBnCn(4), counted("abc", 4), counted("abc", 9)),
    (Dyck2(4), balanced(4) - {""}, balanced(6)),
]


@pytest.mark.parametrize(("task", "those", "language"), LANGUAGES)
def test_strings_and_what_may_come_next(task, those, language):
    xs, ys, lengths = batch(task, 600)
    assert ys.shape == (task.steps, 600, len(task.letters) + 1)
    seen, symbols = set(), "$" + task.letters
    for k, n in enumerate(lengths):
        assert xs[0, k] == 0
        text = "".join(symbols[s] for s in xs[1:n, k])
        if text not in seen:
            rows = [dict(zip(symbols, row, strict=True)) for row in ys[:n, k]]
            may = [{s for s, yes in row.items() if yes == 1} for row in rows]
            assert may == next_of(language, text)
            assert set(np.unique(ys[:n, k])) == {0.0, 1.0}
        assert (ys[n:, k] == -1).all()
        seen.add(text)
    assert seen == those


def test_there_are_as_many_strings_as_catalan_counted():
    counts = [sum(len(t) == 2 * m for t in balanced(6)) for m in range(4)]
    assert counts == [2**m * comb(2 * m, m) // (m + 1) for m in range(4)]


def test_strings_of_brackets_are_drawn_as_often_as_the_grammar_says():
    """With e the probability of nothing, that of one pair is s = e / 2 + s e / 2, and of two
    d = s / 2 + s² / 4 + d e / 2: nested, side by side, or joined with nothing."""
    e = 2 - 3**0.5  # e = (1 + e²) / 4
    s = e / 2 / (1 - e / 2)
    d = (s / 2 + s**2 / 4) / (1 - e / 2)
    texts = Dyck2(4).strings(np.random.default_rng(0), 6000)
    for text, share in (("()", s / 2), ("[[]]", s / 8), ("()[]", s**2 / 16)):
        share /= (s + d) if len(text) == 2 else (s + d) * (1 - e / 2)
        assert np.mean([t == text for t in texts]) == pytest.approx(share, abs=0.03)
    texts = Dyck2(40).strings(np.random.default_rng(1), 2000)
    assert 36 <= max(map(len, texts)) <= 40
    assert all(is_balanced(t) for t in texts)


def test_training_takes_a_string_by_its_length():
    task = Dyck2(8)
    often = [
        np.bincount(b.ends, minlength=10)[3::2]
        for b in (as_they_come(task, 4000), batch(task, 4000))
    ]
    expected = often[0] * [2, 4, 6, 8]
    np.testing.assert_allclose(often[1] / 4000, expected / expected.sum(), atol=0.03)
    sizes = [len(b.ends) for b in task.held_out("validation", np.random.default_rng(0), 70, 20)]
    assert sizes == [20] * 4


@pytest.mark.parametrize(
    "task", [AnBn(1), AnBn(7), AnBnCn(1), AnBnCn(5), Dyck2(2), Dyck2(6), Dyck2(50)], ids=repr
)
def test_the_baseline_is_the_loss_of_the_best_shares(task):
    _, ys, _ = as_they_come(task, 6000)
    counts = ys[..., 0] >= 0
    often = ys[counts].mean(0)
    assert task.shares == pytest.approx(often, abs=0.01)
    part = ys[:, :40]
    p = np.clip(task.shares, 1e-9, 1 - 1e-9)
    logits = np.broadcast_to(np.log(p / (1 - p)), part.shape)
    y = part[part[..., 0] >= 0]
    expected = -(y * np.log(p) + (1 - y) * np.log(1 - p)).mean()
    assert float(task.loss(mg.const(logits), mg.const(part)).eval()) == pytest.approx(expected)
    entropy = -(p * np.log(p) + (1 - p) * np.log(1 - p)).mean()
    assert task.baseline == pytest.approx(entropy, abs=1e-6)
    assert task.elements(ys) == counts.sum()


@pytest.mark.parametrize("task", [AnBn(3), AnBnCn(3), Dyck2(6)], ids=repr)
def test_a_string_is_right_where_each_output_at_each_step_is(task):
    _, ys, lengths = batch(task, 20)
    outputs = np.where(ys == 1, 0.1, -0.1)
    outputs[ys == -1] = np.random.default_rng(0).normal(size=(ys == -1).sum())
    assert task.solved(outputs, ys)
    for t, k in ((0, 2), (lengths[4] - 1, 1)):
        wrong = outputs.copy()
        wrong[t, 4, k] *= -1
        assert task.correct(wrong, ys).tolist() == [n != 4 for n in range(20)]
        assert not task.solved(wrong, ys)


@pytest.mark.parametrize(
    ("kind", "settings", "words"),
    [
        (AnBn, {"most": 0}, "most must be a whole number of at least 1"),
        (AnBnCn, {"most": 2.5}, "most must be a whole number"),
        (Dyck2, {"longest": 1}, "longest must be a whole number of at least 2"),
    ],
)
def test_settings_that_cannot_be(kind, settings, words):
    with pytest.raises(lstm.ConfigError, match=words):
        kind(**settings)
