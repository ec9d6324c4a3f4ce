"""Tasks that answer strings with strings: their pairs, their tokens, baselines and criteria; and a
model that is trained on one, by the command too."""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime

import numpy as np
import pytest

import lstm
import minigrad as mg
from lstm.cli import main
from lstm.errors import ConfigError
from lstm.tasks.dates import Dates
from lstm.tasks.reverse import Reverse
from lstm.tasks.sort import Sort

TASKS = [Reverse(7), Reverse(6, shortest=6), Sort(5), Dates()]


def batch(task, size, seed=0):
    return task.batch(np.random.default_rng(seed), size)


@pytest.mark.parametrize("task", TASKS)
def test_tokens_are_the_strings_and_their_answers(task):
    pairs = task.pairs(np.random.default_rng(5), 40)
    xs, ys, lengths = batch(task, 40, seed=5)
    assert xs.shape == (task.steps, 40)
    assert ys.shape == task.target_shape(40)
    for k, (text, answer) in enumerate(pairs):
        assert "".join(task.letters[t - 1] for t in xs[: lengths[k], k]) == text
        assert (xs[lengths[k] :, k] == 0).all()
        assert ys[len(answer), k] == 0
        assert (ys[len(answer) + 1 :, k] == -1).all()
    assert task.said(ys) == [answer for _, answer in pairs]
    again, lengths_again = task.tokens([text for text, _ in pairs])
    np.testing.assert_array_equal(again, xs)
    np.testing.assert_array_equal(lengths_again, lengths)


def test_answers():
    assert all(answer == "".join(reversed(text)) for text, answer in pairs_of(Reverse(7)))
    for text, answer in pairs_of(Sort(7)):
        assert sorted(text) == list(answer)
    ways = ["%d %B %Y", "%B %d, %Y", "%d %b %Y", "%d.%m.%Y", "%m/%d/%Y"]
    often = Counter()
    for text, answer in pairs_of(Dates()):
        read = [way for way in ways if answer in parsed(text, way)]
        assert read
        often.update(read)
    assert min(often[way] for way in ways) > 20


def parsed(text, way):
    """A date as the standard library reads it: one, or none."""
    try:
        return [datetime.strptime(text, way).date().isoformat()]
    except ValueError:
        return []


def pairs_of(task):
    return task.pairs(np.random.default_rng(1), 200)


def test_lengths_are_drawn_evenly_within_the_settings():
    often = Counter(batch(Reverse(7, shortest=4), 4000)[2].tolist())
    assert sorted(often) == [4, 5, 6, 7]
    assert all(abs(n / 4000 - 0.25) < 0.03 for n in often.values())


@pytest.mark.parametrize("task", TASKS)
def test_the_baseline_is_the_entropy_of_what_is_said(task):
    ys = batch(task, 4000)[1]
    counts = np.bincount(ys[ys >= 0], minlength=task.output_size)
    np.testing.assert_allclose(task.shares, counts / counts.sum(), atol=0.006)
    assert abs(sum(task.shares) - 1) < 1e-12
    always = np.broadcast_to(np.log(task.shares), (*ys.shape, len(counts)))
    assert abs(float(task.loss(mg.const(always), ys)) - task.baseline) < 0.01


def test_an_answer_is_right_where_all_of_it_is():
    task = Reverse(4)
    _, ys, _ = batch(task, 100)
    said = np.eye(9)[np.maximum(ys, 0)]
    assert task.correct(said, ys).all()
    assert task.solved(said, ys)
    padding = ys == -1
    assert task.correct(np.where(padding[..., None], np.roll(said, 1, -1), said), ys).all()
    said[0, 7] = np.roll(said[0, 7], 1)
    assert task.correct(said, ys).sum() == 99
    assert task.solved(said, ys)
    said[0, 8] = np.roll(said[0, 8], 1)
    assert not task.solved(said, ys)
    assert task.elements(ys) == (~padding).sum()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Reverse(0), "longest must be a whole number of at least 1"),
        (lambda: Reverse(3, shortest=4), "shortest is 4, and longest 3, which is less"),
        (lambda: Reverse(3).tokens(["abcd"]), "'abcd' is of 4 letters; the task reverse has"),
        (lambda: Reverse(3).tokens([""]), "'' is of 0 letters"),
        (lambda: Reverse(3).tokens(["ab", "aß"]), "'aß' has 'ß'"),
    ],
)
def test_what_cannot_be_is_said(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


def test_trained_with_attention_it_reverses_by_itself_and_looks_where_it_should():
    """Right where it is told what it said before is right where it says it itself."""
    task = Reverse(3)
    model = lstm.Model.create(
        lstm.RNN, task=task, hidden_size=24, bidirectional=True, attention="general"
    )
    for _ in lstm.train(model, task, lstm.Settings(steps=30)):
        pass
    xs, ys, lengths = batch(task, 200, seed=9)
    told = model.run(xs, lengths=lengths, targets=ys).output.eval()
    run = model.run(xs, lengths=lengths)
    itself, weights = run.output.eval().argmax(-1), run.attention.eval()
    right = [said == answer for said, answer in zip(task.said(itself), task.said(ys), strict=True)]
    np.testing.assert_array_equal(task.correct(told, ys), right)
    assert 0.5 < np.mean(right) < 1
    longest = weights[:3, lengths == 3].mean(1)
    assert (longest.argmax(1) == [2, 1, 0]).all()


def test_the_command_trains_it(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = [
        "--set",
        "longest=3",
        "--steps",
        "3",
        "--hidden-size",
        "4",
        "--cell",
        "rnn",
        "--json",
    ]
    assert main(["train", "reverse", "--attention", "additive", *options]) == 0
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    model = lstm.Model.load(said["model"])
    assert isinstance(model.readout, lstm.Decoder)
    assert isinstance(model.readout.attention, lstm.AdditiveAttention)
    assert main(["info", said["model"]]) == 0
    assert main(["train", "adding", "--attention", "dot", *options[2:]]) == 2
    assert "attention= is of a decoder" in capsys.readouterr().err
