"""A training that goes astray without a NaN is told in words; a model notes what it is trained on;
a training that was over says so."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass, field
from statistics import median

import numpy as np
import pytest

import lstm
from lstm.training.alarm import alarm
from lstm.training.history import History, Taken
from minigrad import param

TASK = lstm.Adding(6)
WILD = lstm.Settings(steps=30, rate=1e4)


def model():
    return lstm.Model.create(lstm.LSTM(2, 4), 1, 0)


def watched(losses, baseline=1.0, settings=WILD):
    history, params, said = History(), {"W": param("W", np.full(2, -3.0))}, []
    for k, loss in enumerate(losses):
        history.add(Taken(k + 1, loss, 2.0 * loss))
        said.append(alarm(history, baseline, settings, params))
    return said


def test_an_explosion_is_told_with_what_was_measured():
    with pytest.warns(lstm.TrainingWarning) as caught:
        fitted = lstm.fit(model(), TASK, WILD)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    (said,) = fitted.warnings
    last = [r.loss for r in fitted.reports[-10:]]
    assert last[-1] > 100 * fitted.reports[0].loss
    assert f"it is {median(last):.2g} in steps 21 to 30, and was " in said
    assert f"and was {fitted.reports[0].loss:.2g} in step 1;" in said
    norms = [r.grad_norm for r in fitted.reports]
    assert f"gradient is {median(norms[-10:]):.2g}, and was {norms[0]:.2g}." in said
    values = {n: abs(v).max() for n, v in fitted.model.values().items()}
    largest = max(values, key=lambda n: values[n])
    assert f"The largest parameter is {values[largest]:.2g}, in {largest}." in said
    assert said.endswith("A lower rate (it is 10000) or a warmup (there is none) helps.")
    assert "The loss has exploded" in repr(fitted)


def test_on_a_terminal_the_bar_tells_it_once_and_nothing_warns(capsys):
    seen = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        lstm.fit(model(), TASK, WILD, progress=True, callback=lambda p: seen.append(p.warning))
    assert capsys.readouterr().err.count("The loss has exploded") == 1
    assert seen[:9] == [None] * 9
    assert "in steps 1 to 10, and was" in seen[9]


def test_what_learns_is_not_told_off():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted = lstm.fit(model(), TASK, lstm.Settings(steps=30))
    assert fitted.warnings == ()


def test_ten_times_the_start_and_the_baseline_over_ten_steps():
    assert not any(watched([1.0] + [10.0] * 20))
    assert [k for k, said in enumerate(watched([1.0] + [10.1] * 20)) if said] == [*range(9, 21)]
    assert not any(watched([1.0] + [10.1] * 20, baseline=2.0))
    assert not any(watched([1.0] + [1e9] * 8))  # so few may be chance
    assert not any(watched([1.0, *([1e9] * 4 + [1.0] * 6) * 5]))
    for unknown in (float("nan"), None, float("inf")):
        assert any(watched([1.0] + [10.1] * 20, baseline=unknown))
    back = watched([1.0] + [99.0] * 12 + [1.0] * 10)
    assert back[12] is not None
    assert back[-1] is None
    assert "no clip" not in back[12]
    said = watched([1.0] + [99.0] * 12, settings=lstm.Settings(clip=None, warmup=3))[-1]
    assert said.endswith("A lower rate (it is 0.03) or a clip (there is none) helps.")
    assert "largest parameter" not in said


def test_what_is_told_does_not_depend_on_where_training_was_stopped(tmp_path):
    def fit(stop=None, **files):
        net, said = lstm.Model.create(lstm.RNN(2, 2), 1, 0), []

        def note(progress):
            said.append(progress.warning)
            return progress.step == stop

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", lstm.TrainingWarning)
            return lstm.fit(net, TASK, WILD, validate=0, callback=note, **files), said

    path = tmp_path / "c"
    whole, said = fit()
    _, before = fit(out=path, stop=12)
    rest, after = fit(out=path, resume=True)
    assert before + after == said
    assert said[9] is not None
    assert rest.warnings == whole.warnings != ()
    again, none = fit(out=path, resume=True)  # it was over
    assert (again.warnings, none) == (whole.warnings, [])


def test_a_state_that_is_put_back_has_the_steps_of_then():
    leaf = param("w", 1.0)
    state = lstm.TrainingState({"w": leaf}, {}, {}, param("count", 3.0))
    for step in (1, 2):
        state.history.add(Taken(step, 0.5, 8.0 / step))
    before = state.arrays()
    assert before["history"].tolist() == [[1, 0.5, 8], [1, 0.5, 8], [2, 0.5, 4]]
    state.history.add(Taken(3, np.pi, 1e30))
    state.put_back(before, {})
    assert (state.history.first, *state.history.latest) == ((1, 0.5, 8), (1, 0.5, 8), (2, 0.5, 4))
    old = {name: value for name, value in before.items() if name != "history"}
    state.put_back(old, {})  # of a file from before there was one
    assert (state.history.first, list(state.history.latest)) == (None, [])
    leaf.value = 7.0
    bad = np.full((2, 3), np.nan), np.zeros((2, 2)), np.zeros((102, 3)), np.zeros((1, 3), "f")
    for wrong in (*bad, np.float64(1)):
        with pytest.raises(lstm.ConfigError, match="its history is no steps"):
            state.put_back(before | {"history": wrong}, {})
    assert float(leaf.value) == 7


# --- what a model is trained on ------------------------------------------------------------------


@dataclass(frozen=True)
class Unkept(lstm.Adding):
    numbers: np.ndarray = field(default_factory=lambda: np.ones(2))


@pytest.mark.parametrize("way", ["fit", "train"])
def test_a_model_that_was_made_for_no_task_notes_the_one_it_is_trained_on(tmp_path, way):
    net = model()
    if way == "fit":
        best = lstm.fit(net, TASK, lstm.Settings(steps=2)).best
    else:
        list(lstm.train(net, TASK, lstm.Settings(steps=2)))
        best = net
    best.save(tmp_path / "m")
    assert lstm.Model.load(tmp_path / "m").task == net.task == TASK.config()
    lstm.fit(net, lstm.Adding(9), lstm.Settings(steps=2))
    assert net.task == TASK.config()  # it was made for that


def test_what_no_file_can_keep_is_not_noted(tmp_path):
    net = model()
    lstm.fit(net, Unkept(6), lstm.Settings(steps=2))
    assert net.task == {}
    net.save(tmp_path / "m")


# --- a training that was over --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, r"over after step 20: these were all steps; more of them, Settings\(steps=40\) or -"),
        ({"validate": 1, "patience": 1}, r"validation had got no better 1 times .* a larger pat"),
    ],
)
def test_a_training_that_was_over_says_so_and_how_to_go_on(tmp_path, options, words):
    path, settings = tmp_path / "c", lstm.Settings(steps=20, schedule="constant")
    first = lstm.fit(model(), TASK, settings, out=path, **options)
    assert not any("was over" in note for note in first.notes)
    again = lstm.fit(model(), TASK, out=path, resume=True)
    assert again.reports == []
    assert again.notes[-1].startswith("This training was over after step ")
    assert re.search(words, again.notes[-1])


# --- files hold no NaN ---------------------------------------------------------------------------


def test_a_models_file_holds_no_number_that_json_lacks(tmp_path):
    path = tmp_path / "m"
    good = lstm.Model.create(lstm.LSTM(2, 4), 1, 0, {"name": "mine", "settings": {"x": 1.25}})
    good.save(path)
    before = path.read_bytes()
    for number in (float("nan"), float("inf"), -float("inf")):
        bad = lstm.Model.of(good.layers, good.readout, good.values(), good.task)
        bad.task["settings"]["x"] = number
        with pytest.raises(lstm.ConfigError, match=r"plain values: .* finite numbers"):
            bad.save(path)
        assert path.read_bytes() == before
    for spelled in (b" NaN", b"-Infinity", b"1e999"):
        changed = before.replace(b"1.25", spelled)
        grown = len(spelled) - 4  # the length of the header comes first
        size = int.from_bytes(before[:8], "little") + grown
        path.write_bytes(size.to_bytes(8, "little") + changed[8:])
        with pytest.raises(lstm.ModelFileError, match="its header is not JSON"):
            lstm.Model.load(path)
    path.write_bytes(before.replace(b"1.25", b"9e99"))
    assert lstm.Model.load(path).task["settings"]["x"] == 9e99
