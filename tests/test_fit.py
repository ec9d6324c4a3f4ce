"""`lstm.fit`: what it tells, when it ends, what it keeps, and that it resumes bit for bit."""

import itertools
import json
import os
import signal
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lstm
from lstm import optim
from lstm.errors import CheckpointError, ConfigError, OutputError, TrainingError
from lstm.store.checkpoint import read_checkpoint
from lstm.tasks import Adding
from lstm.training import Settings, evaluate, fit, random_streams, train

pytestmark = pytest.mark.usefixtures("by_numpy")

TASK = Adding(length=6)


def model_of(cell=None, seed=0):
    return lstm.Model.create(cell or lstm.LSTM(2, 5, memory=6), 1, random_streams(seed).params)


def same(a, b):
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


def stop_at(*steps):
    return lambda progress: progress.step in steps


# --- what it gives --------------------------------------------------------------------------------


def test_fit_trains_as_train_does():
    settings = Settings(steps=12)
    fitted = fit(model_of(), TASK, settings, validate=0)
    by_hand = model_of()
    assert fitted.reports == list(train(by_hand, TASK, settings))
    assert same(fitted.model.values(), by_hand.values())
    assert same(fitted.best.values(), by_hand.values())
    assert fitted.score == evaluate(by_hand, TASK, 0)
    assert fitted.why == "steps"


def test_validation_changes_nothing_of_training():
    settings = Settings(steps=12)
    fits = [fit(model_of(), TASK, settings, validate=n) for n in (0, 1, 5)]
    assert fits[0].reports == fits[1].reports == fits[2].reports


def test_validations_come_every_n_steps_and_after_the_last():
    told = []
    fit(model_of(), TASK, Settings(steps=11), validate=4, callback=told.append)
    assert [p.step for p in told] == list(range(1, 12))
    assert [p.step for p in told if p.score is not None] == [4, 8, 11]
    assert told[3].best == told[3].score
    assert told[0].best is None
    assert all(p.sequences_per_second > 0 for p in told)
    assert told[-1].seconds_left == 0


def test_the_best_model_is_kept_while_training_goes_on():
    """A rate so high that training gets worse: the best is of a step before the last."""
    values, scores = {}, {}

    def note(progress):
        values[progress.step] = model.values()
        scores[progress.step] = progress.score.loss

    model = model_of()
    settings = Settings(steps=25, rate=3.0, schedule="constant")
    fitted = fit(model, TASK, settings, validate=1, callback=note)
    best = min(scores, key=scores.get)
    assert best < 25
    assert same(fitted.best.values(), values[best])
    assert same(fitted.model.values(), values[25])
    assert fitted.model is model


def test_it_ends_when_the_task_is_solved():
    class Easy(Adding):
        def solved(self, prediction, target):
            asked.append(len(target))
            return len(asked) >= 5

    asked: list[int] = []
    fitted = fit(model_of(), Easy(length=6), Settings(steps=100), validate=2)
    assert fitted.why == "solved"
    assert asked[:6] == [500, 500, 500, 500, 500, 2000]  # the criterion is about 2000
    assert fitted.reports[-1].step == 10


def test_what_is_solved_on_500_sequences_only_is_not_solved():
    class Nearly(Adding):
        def solved(self, prediction, target):
            return len(target) == 500

    fitted = fit(model_of(), Nearly(length=6), Settings(steps=4), validate=2)
    assert (fitted.why, fitted.score.solved) == ("steps", False)


def test_patience():
    settings = Settings(steps=100, rate=3.0, schedule="constant")
    losses = []

    def note(progress):
        if progress.score is not None:
            losses.append(progress.score.loss)

    fitted = fit(model_of(), TASK, settings, validate=2, patience=3, callback=note)
    assert fitted.why == "patience"
    assert min(losses) == losses[-4] < min(losses[-3:])


def test_a_callback_may_end_it_and_others_may_return_anything_false():
    fitted = fit(model_of(), TASK, Settings(steps=9), callback=stop_at(4))
    assert (fitted.why, fitted.reports[-1].step) == ("callback", 4)


def test_any_optimiser():
    pair = optim.nesterov(optim.warmup(3, 0.1))
    fitted = fit(model_of(), TASK, Settings(steps=5), optimizer=pair)
    other = fit(model_of(), TASK, Settings(steps=5))
    assert fitted.reports != other.reports
    schedules = itertools.cycle(optim.SCHEDULES)
    for name, schedule in zip(optim.OPTIMIZERS, schedules, strict=False):
        numbers = {"factor": 0.5} if schedule == "exponential" else {}
        settings = Settings(
            steps=2, optimizer=name, schedule=schedule, schedule_options=numbers, warmup=1
        )
        assert len(list(train(model_of(lstm.RNN(2, 2)), TASK, settings))) == 2


def test_how_the_gates_start_is_said():
    """Set to remember, or left to forget; and nothing of what has no such gates."""
    task = Adding(length=30)

    def notes(model):
        return fit(model, task, Settings(steps=1)).notes

    (remembers,) = notes(lstm.Model.create(lstm.LSTM, task=task))
    assert "a memory of 30 steps (Tallec & Ollivier 2018)" in remembers
    (forgets,) = notes(lstm.Model.create(lstm.LSTM(2, 3), 1, 0))
    assert "some 4 steps; the task has 30. Model.create(lstm.LSTM, task=task)" in forgets
    assert notes(lstm.Model.create(lstm.RNN(2, 3), 1, 0)) == ()
    assert notes(lstm.Model.create(lstm.LSTM(2, 3, forget_bias=3.0), 1, 0)) == ()


def test_the_bar_shows_notes_loss_and_speed(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    fit(model_of(lstm.LSTM(2, 3)), Adding(length=30), Settings(steps=3), progress=True)
    captured = capsys.readouterr()
    assert captured.out == ""
    for words in ("the task has 30", "adding", "3/3", "loss 0.", "% correct", "/s"):
        assert words in captured.err
    fit(model_of(), TASK, Settings(steps=1))
    assert capsys.readouterr().err == ""  # quiet where it is no terminal


# --- resumed --------------------------------------------------------------------------------------

OPTIMIZERS = {
    "adam": {},
    "momentum": {"optimizer": optim.momentum(optim.cosine(0.05, 40))},
    "rmsprop": {"optimizer": optim.rmsprop(0.01)},
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_20_and_20_steps_are_40(name, tmp_path):
    """Everything is as if it had never stopped: reports, validations, parameters, what is best."""
    settings, more = Settings(steps=40), OPTIMIZERS[name]
    told: list = []
    whole = fit(model_of(), TASK, settings, validate=8, callback=told.append, **more)
    path = tmp_path / "c"
    parts: list = []

    def note(progress):
        parts.append(progress)
        return progress.step in (13, 20)

    runs = []
    for k in range(3):
        model = model_of(seed=k)  # what it starts from does not matter, once it is resumed
        runs.append(
            fit(model, TASK, settings if k == 0 else None, validate=8 if k == 0 else None,
                out=path, resume=k > 0, callback=note, **more)
        )  # fmt: skip
    assert [run.why for run in runs] == ["callback", "callback", "steps"]
    assert [report for run in runs for report in run.reports] == whole.reports
    assert [p.score for p in parts] == [p.score for p in told]
    assert [p.best for p in parts] == [p.best for p in told]
    assert same(runs[-1].model.values(), whole.model.values())
    assert same(runs[-1].best.values(), whole.best.values())
    assert runs[-1].score == whole.score


def test_a_run_that_is_over_stays_over(tmp_path):
    path = tmp_path / "c"
    done = fit(model_of(), TASK, Settings(steps=3), out=path)
    before = path.read_bytes()
    again = fit(model_of(), TASK, out=path, resume=True)
    assert (again.why, again.reports) == ("steps", [])
    assert same(again.best.values(), done.best.values())
    assert path.read_bytes() == before
    longer = fit(model_of(), TASK, Settings(steps=5), out=path, resume=True)
    assert [r.step for r in longer.reports] == [4, 5]


def test_patience_goes_on_where_it_was(tmp_path):
    settings, path = Settings(steps=100, rate=3.0, schedule="constant"), tmp_path / "c"
    whole = fit(model_of(), TASK, settings, validate=2, patience=3)
    last = whole.reports[-1].step
    fit(model_of(), TASK, settings, validate=2, patience=3, out=path, callback=stop_at(last - 1))
    rest = fit(model_of(), TASK, out=path, resume=True)
    assert rest.why == "patience"
    assert [r.step for r in rest.reports] == [last]


REFUSED = {
    "another cell": (lambda: (model_of(lstm.GRU(2, 5)), TASK, None, {}), "of another model"),
    "another size": (lambda: (model_of(lstm.LSTM(2, 6)), TASK, None, {}), "of another model"),
    "another task": (
        lambda: (model_of(), Adding(7), None, {}),
        "another task: its 'length' is 6, not 7",
    ),
    "settings": (
        lambda: (model_of(), TASK, Settings(3, rate=0.5), {}),
        "its settings are others: rate was 0.03, not 0.5",
    ),
    "optimiser": (
        lambda: (model_of(), TASK, None, {"optimizer": optim.sgd(0.1)}),
        "trained with another optimizer=",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_of_another_training_is_refused(name, tmp_path):
    path = tmp_path / "c"
    fit(model_of(), TASK, Settings(steps=3), out=path)
    make, message = REFUSED[name]
    model, task, settings, more = make()
    before = model.values()
    with pytest.raises(CheckpointError, match=message):
        fit(model, task, settings, out=path, resume=True, **more)
    assert same(model.values(), before)


# --- stopped --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_ends_it_after_its_step_with_a_saved_state(name, tmp_path):
    number, path, seen = getattr(signal, name), tmp_path / "c", []

    def handler(*_):
        seen.append("handled")
        raise InterruptedError("by the test")

    def kill(progress):
        if progress.step == 7:
            os.kill(os.getpid(), number)
            seen.append("after")

    before = signal.signal(number, handler)
    try:
        with pytest.raises(InterruptedError) as caught:
            fit(model_of(), TASK, Settings(steps=20), out=path, callback=kill)
        assert signal.getsignal(number) is handler
    finally:
        signal.signal(number, before)
    assert seen == ["after", "handled"]
    assert caught.value.__notes__ == [
        f"step 7 of 20 is saved in {path}; resume=True (--resume) goes on from there"
    ]
    rest = fit(model_of(), TASK, out=path, resume=True)
    assert [r.step for r in rest.reports] == list(range(8, 21))
    assert rest.model.values().keys()


def test_the_second_ctrl_c_does_not_wait(tmp_path):
    def kill(progress):
        if progress.step == 3:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
            seen.append("not reached")

    seen: list = []
    with pytest.raises(KeyboardInterrupt):
        fit(model_of(), TASK, Settings(steps=20), out=tmp_path / "c", callback=kill)
    assert seen == []


def test_in_another_thread_signals_are_left_alone():
    fits: list = []
    thread = threading.Thread(target=lambda: fits.append(fit(model_of(), TASK, Settings(steps=2))))
    thread.start()
    thread.join()
    assert fits[0].why == "steps"


def test_a_step_that_fails_leaves_the_state_of_before_in_the_checkpoint(tmp_path):
    class Poisoned(Adding):
        def batch(self, rng, size):
            batch = super().batch(rng, size)
            draws.append(size)
            if len(draws) == 6:
                batch.xs[2, 1, 0] = np.nan
            return batch

    draws: list = []
    path, settings = tmp_path / "c", Settings(steps=9)
    with pytest.raises(TrainingError, match="in step 6 of training"):
        fit(model_of(), Poisoned(6), settings, out=path, validate=0)
    rest = fit(model_of(), TASK, out=path, resume=True)
    whole = fit(model_of(), TASK, settings, validate=0)
    assert rest.reports == whole.reports[5:]


@pytest.mark.parametrize("where", ["batch", "callback"])
def test_any_other_failure_keeps_what_was_learnt_too(where, tmp_path):
    class Broken(Adding):
        def batch(self, rng, size):
            batch = super().batch(rng, size)
            draws.append(size)
            if where == "batch" and len(draws) == 6:
                raise RuntimeError("the disk of the data is gone")
            return batch

    def callback(progress):
        if where == "callback" and progress.step == 5:
            raise RuntimeError("the callback has a mistake")

    draws: list = []
    path, settings = tmp_path / "c", Settings(steps=9)
    with pytest.raises(RuntimeError):
        fit(model_of(), Broken(6), settings, out=path, validate=0, callback=callback)
    rest = fit(model_of(), TASK, out=path, resume=True)
    whole = fit(model_of(), TASK, settings, validate=0)
    assert rest.reports == whole.reports[5:]


@pytest.mark.parametrize("setting", [np.zeros(2), float("inf"), {1, 2}])
def test_settings_that_no_file_can_keep_are_refused_before_the_first_step(setting, tmp_path):
    @dataclass(frozen=True)
    class Listed(Adding):
        marks: Any = None

    steps: list = []
    with pytest.raises(ConfigError, match="settings of models and tasks as plain values: None"):
        fit(model_of(), Listed(6, marks=setting), out=tmp_path / "c", callback=steps.append)
    assert not steps
    assert not list(tmp_path.iterdir())


def test_a_model_whose_settings_no_file_can_keep_leaves_the_file_that_is_there(tmp_path):
    model = model_of()
    model.save(tmp_path / "m")
    before = (tmp_path / "m").read_bytes()
    model.task["marks"] = np.zeros(2)
    with pytest.raises(ConfigError, match="settings of models and tasks as plain values: None"):
        model.save(tmp_path / "m")
    assert (tmp_path / "m").read_bytes() == before


# --- files ----------------------------------------------------------------------------------------


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_metrics_have_each_step_once(tmp_path):
    path, log = tmp_path / "c", tmp_path / "m.jsonl"
    whole = fit(model_of(), TASK, Settings(steps=9), validate=3, metrics=tmp_path / "whole.jsonl")
    assert [x["loss"] for x in lines(tmp_path / "whole.jsonl")] == [r.loss for r in whole.reports]
    assert [x["step"] for x in lines(tmp_path / "whole.jsonl") if "validation" in x] == [3, 6, 9]
    stop = stop_at(5)
    fit(model_of(), TASK, Settings(steps=9), validate=3, out=path, metrics=log, callback=stop)
    with log.open("a") as file:  # steps after the last checkpoint, and half a line, by a kill
        file.write('{"step": 6, "loss": 1.0}\n{"step": 7, "lo')
    fit(model_of(), TASK, out=path, metrics=log, resume=True)
    assert log.read_text() == (tmp_path / "whole.jsonl").read_text()


def test_what_is_there_is_not_written_over(tmp_path):
    path, log, model = tmp_path / "c", tmp_path / "m", model_of()
    fit(model, TASK, Settings(steps=2), out=path, metrics=log)
    before, now = path.read_bytes(), model.values()
    for files in ({"out": path}, {"metrics": log}):
        with pytest.raises(OutputError, match="is there already: resume=True goes on from it"):
            fit(model, TASK, Settings(steps=3), **files)
    assert path.read_bytes() == before
    assert same(model.values(), now)
    fit(model_of(), TASK, Settings(steps=3), out=path, metrics=log, force=True)
    assert path.read_bytes() != before
    assert [x["step"] for x in lines(log)] == [1, 2, 3]


def test_metrics_are_not_added_to_something_else(tmp_path):
    path, log = tmp_path / "c", tmp_path / "m"
    fit(model_of(), TASK, Settings(steps=2), out=path)
    for text in ("dear diary\n", '{"loss": 1}\n', "[1]\n", '{"step": "1"}\n', "\n"):
        log.write_text(text)
        with pytest.raises(OutputError, match="it holds something else than metrics"):
            fit(model_of(), TASK, Settings(steps=4), out=path, metrics=log, resume=True)
        assert log.read_text() == text


def test_saved_every_n_steps(tmp_path):
    path, found = tmp_path / "c", []

    def look(progress):
        if path.exists():
            about = read_checkpoint(path)
            found.append((progress.step, int(about.arrays["count"])))

    fit(model_of(), TASK, Settings(steps=5), out=path, save_every=2, callback=look)
    assert found == [(2, 2), (3, 2), (4, 4), (5, 4)]
    assert int(read_checkpoint(path).arrays["count"]) == 5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"validate": -1}, "validate must be a whole number of at least 0"),
        ({"patience": 0}, "patience must be a whole number of at least 1"),
        ({"save_every": 0}, "save_every must be a whole number of at least 1"),
        ({"resume": True}, "resume=True needs out="),
        ({"out": "x", "metrics": "x"}, "are one file"),
        ({"out": "x", "metrics": Path("x").absolute()}, "are one file"),
        ({"settings": {"steps": 3}}, "settings must be lstm.Settings"),
        ({"settings": 0}, "settings must be lstm.Settings"),
    ],
)
def test_arguments_that_cannot_be(arguments, message):
    with pytest.raises(ConfigError, match=message):
        fit(model_of(), TASK, **arguments)


@pytest.mark.parametrize(
    "settings",
    [
        {"optimizer": "adamm"},
        {"optimizer": ["adam"]},
        {"schedule": "no"},
        {"warmup": -1},
        {"rate": "0.1"},
        {"rate": True},
        {"clip": "1"},
        {"clip": float("inf")},
        {"rate": float("inf")},
        {"steps": 2**60},
        {"steps": 3, "warmup": 3},
        {"optimizer_options": {"bata": 0.1}},
        {"optimizer_options": {"beta1": "0.1"}},
        {"optimizer_options": {"beta1": True}},
        {"optimizer_options": {1: 0.1}},
        {"optimizer_options": [0.1]},
        {"optimizer_options": {"rate": 0.1}},
        {"optimizer": "momentum", "optimizer_options": {"beta": 2}},
        {"schedule": "exponential"},
        {"schedule_options": {"steps": 5}},
    ],
)
def test_settings_that_cannot_be(settings):
    with pytest.raises(ConfigError):
        Settings(**settings)
