"""What tables, texts, words and models made for them are given of a wrong kind: errors in our
words, as `test_wrong_kinds` has them of all else."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import test_wrong_kinds

import lstm
from lstm.tasks.agreement import Agreement
from lstm.tasks.reverse import Reverse
from lstm.tasks.sky import Sky

ROWS = "".join(f"{k % 7},{k % 5},{'ab'[k % 2]}\n" for k in range(60))
TEXT = lstm.TextTask("abcd" * 50, length=8)
WRITES = lstm.Model.create(lstm.RNN, task=TEXT, hidden_size=2)
SKY, AGREEMENT, REVERSE = Sky(), Agreement(), Reverse(longest=3)
KINDS = test_wrong_kinds.WRONG | {
    "True": True, "NaN": float("nan"), "a list of texts": ["dot"], "lists": [[1]], "bytes": b"x",
    "a class": lstm.LSTM, "a set": {"x"}, "two numbers": np.array([1, 2]), "below 0": -1,
}  # fmt: skip
OPTIONS = [
    "output_size", "seed", "hidden_size", "memory", "vocabulary", "readout", "attention", "layers",
    "bidirectional", "dropout", "input_dropout", "recurrent_dropout", "zoneout", "layer_norm",
    "residual",
]  # fmt: skip


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("tables") / "t.csv"
    file.write_text("x,y,kind\n" + ROWS)
    return file


@pytest.fixture(scope="module")
def task(table: Path) -> lstm.TableTask:
    return lstm.TableTask(table, "y", length=4)


@pytest.fixture(scope="module")
def model(task: lstm.TableTask) -> lstm.Model:
    return lstm.Model.create(lstm.RNN, task=task, hidden_size=2)


def raw_errors(function: Callable[..., Any], good: tuple[Any, ...], names: Any = None) -> list[str]:
    """Of a call with each of KINDS: of the names, or of all that are not good by place."""
    rest = [*inspect.signature(function).parameters][len(good) :]
    return test_wrong_kinds.raw_errors(function, good, rest if names is None else names, KINDS)


def test_tables(table, model):
    assert not raw_errors(lstm.TableTask, (table, "y"))
    assert not raw_errors(lstm.predict, (model, table))


def test_forecasts(table, model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    forecast = lstm.predict(model, table)
    for call, good in ((forecast.plot, ()), (forecast.last, (2,)), (forecast.save, ("x.csv",))):
        assert not raw_errors(call, good)


def test_texts():
    assert not raw_errors(lstm.TextTask, ("abcd" * 50,))
    names = [*inspect.signature(lstm.sample).parameters][1:]
    assert not raw_errors(lambda *a, **k: [*islice(lstm.sample(*a, **k), 2)], (WRITES,), names)


def test_arrays():
    assert not raw_errors(lstm.ArrayTask, (np.zeros((5, 3, 2)), [0, 1, 0, 1, 0]))
    assert not raw_errors(lstm.padded, ([[1.0, 2.0]],))


@pytest.mark.parametrize(
    ("call", "good"),
    [
        (SKY.tokens, (["the"],)),
        (SKY.spelled, ([1],)),
        (AGREEMENT.features, (np.zeros((4, 1), int),)),
        (AGREEMENT.labels, (np.zeros((4, 1), int),)),
        (AGREEMENT.subjects, (np.zeros((4, 1), int),)),
        (REVERSE.tokens, (["abc"],)),
        (REVERSE.said, (np.ones((2, 1), int),)),
    ],
    ids=lambda call: getattr(call, "__qualname__", ""),
)
def test_words_and_letters(call, good):
    call(*good)
    assert not raw_errors(call, good)


def test_options_of_a_model_of_a_task(task):
    """Of a table, which has no decoder, and of strings, which have one."""
    for made_for in (task, REVERSE):
        fixed: dict[str, Any] = {"hidden_size": 2, "task": made_for}
        assert not raw_errors(
            lambda f=fixed, **k: lstm.Model.create(lstm.RNN, **f | k), (), OPTIONS
        )


def lying(model: lstm.Model, settings: Any, task: type[lstm.Task]) -> lstm.Model:
    named = {"name": task.name, "settings": settings}
    return lstm.Model.of(model.layers, model.readout, model.values(), named)


@pytest.mark.parametrize("settings", [None, 3, "x", [], ["level"]])
def test_settings_of_a_file_that_are_none(table, model, settings):
    with pytest.raises(lstm.ConfigError, match="does not say what columns it reads"):
        lstm.predict(lying(model, settings, lstm.TableTask), table)
    with pytest.raises(lstm.ConfigError, match="does not say what characters or words it reads"):
        lstm.sample(lying(WRITES, settings, lstm.TextTask))


def test_a_model_that_does_not_fit_its_task(table, task, model):
    read = {"level": "char", "tokens": ["a", "b"]}
    words = "the model's task has 2 tokens and 2 outputs, and the model 4 tokens and 4 outputs"
    with pytest.raises(lstm.ConfigError, match=words):
        lstm.sample(lying(WRITES, read, lstm.TextTask))
    with pytest.raises(lstm.ConfigError, match=r"has 2 tokens .* the model 4 inputs and 1 outputs"):
        lstm.sample(lying(model, read, lstm.TextTask))
    every = lstm.Model.create(lstm.RNN, task=task, hidden_size=2, readout="every")
    with pytest.raises(lstm.ConfigError, match=r"reads 'every', and lstm\.TableTask predicts from"):
        lstm.predict(every, table)


WORDS = [
    ({"features": 5}, "features are a list of texts, not 5"),
    ({"features": [[1]]}, r"features are a list of texts, not \[\[1\]\]"),
    ({"target": 5}, "target is a text, not 5"),
    ({"classify": "no"}, "classify is True or False, not 'no'"),
    ({"table": 5}, "cannot read: a path is needed, .*not 5"),
]


@pytest.mark.parametrize(("changed", "words"), WORDS)
def test_the_words_of_tables(table, changed, words):
    with pytest.raises(lstm.ConfigError, match=words):
        lstm.TableTask(**{"table": table, "target": "y"} | changed)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"attention": ["dot"]}, r"attention= is one of dot, .*, not \['dot'\]"),
        ({"bidirectional": "no"}, "bidirectional is True or False, not 'no'"),
        ({"memory": "3"}, "memory must be a number of at least 0, not '3'"),
        ({"readout": 3}, "readout is a text, not 3"),
        ({"vocabulary": 0}, "whole number of at least 1, not 0"),
    ],
)
def test_the_words_of_models(options, words):
    with pytest.raises(lstm.ConfigError, match=words):
        lstm.Model.create(lstm.RNN, task=REVERSE, hidden_size=2, **options)


def test_the_words_of_words():
    with pytest.raises(lstm.ConfigError, match=r"words are a list of texts, not 'the'"):
        SKY.tokens("the")
    with pytest.raises(lstm.ConfigError, match=r"token 99 at \[1\] is out of range: from 0 to"):
        SKY.spelled([0, 99])
    with pytest.raises(lstm.ConfigError, match=r"agreement takes tokens \(T, B\), not \(2,\)"):
        AGREEMENT.features([0, 1])
    with pytest.raises(lstm.ConfigError, match=r"token 9 at .* from -1 to 8"):
        REVERSE.said([[9]])
    assert REVERSE.said([[1, 3], [0, -1]]) == ["a", "c"]
