"""Counts, names and data that cannot be: each is refused at once, in words that say what to do."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

import lstm
import minigrad as mg
from lstm import optim
from lstm.cells import LSTM, RNN
from lstm.errors import ConfigError
from lstm.figures import cell_unrolled
from lstm.layers import Readout
from lstm.model import Model
from lstm.tasks import Adding
from lstm.training import Settings, evaluate, inputs_of, train


def _model() -> Model:
    return Model.create(LSTM(2, 3), 1, seed=0)


def _data(steps: int = 5, batch: int = 3):
    return Adding(length=steps).batch(np.random.default_rng(0), batch)


XS, YS = _data()
COUNTS = {
    "steps of cell_unrolled": ("steps", lambda n: cell_unrolled(_model(), XS, YS, steps=n)),
    "steps of Settings": ("steps", lambda n: Settings(steps=n)),
    "batch of Settings": ("batch", lambda n: Settings(batch=n)),
    "steps of cosine": ("steps", lambda n: optim.cosine(0.1, n)),
    "steps of warmup": ("steps", lambda n: optim.warmup(n, 0.1)),
    "every of exponential": ("every", lambda n: optim.exponential(0.1, 0.5, every=n)),
    "size of a batch": ("size", lambda n: Adding(5).batch(np.random.default_rng(0), n)),
    "batch of inputs_of": ("batch", lambda n: inputs_of(Adding(5), n, "float32")),
    "batch of a state": ("batch", lambda n: LSTM(2, 3).initial_state(n)),
    "hidden_size": ("hidden_size", lambda n: LSTM(2, n)),
    "input_size": ("input_size", lambda n: LSTM(n, 2)),
    "output_size": ("output_size", lambda n: Readout(3, n)),
}


@pytest.mark.parametrize("value", [0, -1, 1.5, "3", True, None])
@pytest.mark.parametrize("name", COUNTS)
def test_a_count_is_a_whole_number_of_at_least_one(name, value) -> None:
    label, call = COUNTS[name]
    with pytest.raises(ConfigError, match=rf"^{label} must be a whole number of at least 1, not "):
        call(value)


@pytest.mark.parametrize("name", COUNTS)
def test_one_is_enough_also_as_numpys_integer(name) -> None:
    COUNTS[name][1](1)
    COUNTS[name][1](np.int64(2))


def test_counts_of_numpy_are_saved_as_json_has_them(tmp_path) -> None:
    Model.create(LSTM(np.int64(2), np.int32(3)), np.int16(1), 0).save(tmp_path / "m")
    assert Model.load(tmp_path / "m").cell == LSTM(2, 3)


def test_a_sequence_of_no_steps_is_refused() -> None:
    empty = mg.var("xs", (0, 3, 2), "float32")
    for call in (_model().unroll, _model().output):
        with pytest.raises(ConfigError, match="the number of steps of xs, must be a whole number"):
            call(empty)
    with pytest.raises(ConfigError, match=r"T and B of at least 1, not \(0, 3, 2\)"):
        lstm.flow(_model(), XS[:0], YS)
    with pytest.raises(ConfigError, match=r"T and B of at least 1, not \(5, 0, 2\)"):
        lstm.flow(_model(), XS[:, :0], YS[:0])


def _most(caught: pytest.ExceptionInfo[ConfigError]) -> int:
    return int(str(caught.value).partition("at most ")[2].split()[0])


def test_more_steps_than_one_sheet_takes_are_refused_with_advice_that_works() -> None:
    xs, ys = _data(steps=200, batch=2)
    with pytest.raises(ConfigError, match=r"200 steps are \d+ ops, more than 3000") as caught:
        cell_unrolled(_model(), xs, ys, steps=200)
    assert "or give limit=None" in str(caught.value)
    assert 100 < _most(caught) < 200
    with pytest.raises(ConfigError, match=r"200 steps are \d+ ops, more than 300") as caught:
        cell_unrolled(_model(), xs, ys, steps=200, limit=300)
    most = _most(caught)
    assert 10 < most < 20
    assert len(cell_unrolled(_model(), xs, ys, steps=most, limit=300).picture.groups) == most
    with pytest.raises(ConfigError, match="more than 300"):
        cell_unrolled(_model(), xs, ys, steps=most + 1, limit=300)
    assert len(cell_unrolled(_model(), xs, ys, steps=most + 1, limit=None).picture.groups) > most
    with pytest.raises(ConfigError, match="6 steps are"):
        cell_unrolled(_model(), xs, ys, steps=6, limit=20)


# --- data the wrong way round ---------------------------------------------------------------------


def test_batch_first_data_is_told_as_such() -> None:
    wrong = np.swapaxes(XS, 0, 1)
    for call in (lstm.flow, cell_unrolled):
        with pytest.raises(ConfigError, match=r"if xs is batch first, give xs\.transpose"):
            call(_model(), wrong, YS)
    wanted = (
        r"^xs \(5, 3, 2\) has 5 steps .* and a batch of 3, so ys must be \(3, …\), not \(2, 1\)"
    )
    with pytest.raises(ConfigError, match=wanted) as caught:
        lstm.flow(_model(), XS, YS[:2])
    assert "transpose" not in str(caught.value)
    assert lstm.flow(_model(), wrong.transpose(1, 0, 2), YS).steps == 5


def test_a_loss_of_batch_first_data_does_not_blame_the_target_alone() -> None:
    model = Model.create(LSTM(2, 3), 4, seed=0)
    prediction = model.output(mg.var("xs", (3, 5, 2), "float32"))
    hint = "of 3 targets and 5 predictions: is xs .T, B, I., time first, or batch first?"
    with pytest.raises(ConfigError, match=hint):
        lstm.mse(prediction, mg.var("ys", (3, 4), "float32"))
    with pytest.raises(ConfigError, match=hint):
        lstm.cross_entropy(prediction, mg.var("ys", (3,), "int64"))
    with pytest.raises(ConfigError) as caught:
        lstm.mse(prediction, mg.var("ys", (5, 2), "float32"))
    assert "batch first" not in str(caught.value)


# --- training -------------------------------------------------------------------------------------


def test_train_takes_a_task_and_says_so_before_it_is_asked_for_a_step() -> None:
    model = _model()
    with pytest.raises(ConfigError, match=r"such as lstm\.make_task\('adding'\), not 'adding'"):
        train(model, "adding")
    with pytest.raises(ConfigError, match=r"such as lstm\.Adding\(length=100\), not 'copy'"):
        train(model, "copy")
    with pytest.raises(ConfigError, match="a task is needed"):
        evaluate(model, Adding, 0)
    with pytest.raises(ConfigError, match=r"settings must be lstm\.Settings\(\.\.\.\), not 500"):
        train(model, Adding(5), 500)
    assert next(train(model, lstm.make_task("adding"))).step == 1


@pytest.mark.parametrize(("cell", "outputs"), [(RNN(3, 4), 1), (RNN(2, 4), 2)])
def test_a_model_that_does_not_fit_its_task_is_told_both_sizes(cell, outputs) -> None:
    model = Model.create(cell, outputs, 0)
    words = f"has {cell.input_size} inputs and {outputs} outputs, but the task adding has 2 and 1"
    for call in (lambda: train(model, Adding(5)), lambda: evaluate(model, Adding(5), 0)):
        with pytest.raises(ConfigError, match=words):
            call()


# --- names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "end"),
    [
        ("trian", "; did you mean train?"),
        ("lstm", "; did you mean LSTM?"),
        ("CoupledLstm", "; did you mean CoupledLSTM?"),
        ("zzz", "'zzz'"),
        ("__wrapped__", "'__wrapped__'"),
    ],
)
def test_a_name_that_is_not_there(name, end) -> None:
    with pytest.raises(AttributeError) as caught:
        getattr(lstm, name)
    assert str(caught.value).startswith(f"module 'lstm' has no attribute {name!r}")
    assert str(caught.value).endswith(end)


def test_all_names_are_listed() -> None:
    assert set(lstm.__all__) <= set(dir(lstm))


# --- streams that are closed ----------------------------------------------------------------------


@pytest.mark.skipif(os.name == "nt", reason="preexec_fn is POSIX's")
@pytest.mark.parametrize(
    ("args", "closed", "said"),
    [
        (["train", "adding"], 1, "lstm: cannot write: standard output is closed\n"),
        (["tasks", "--bad"], 2, ""),
    ],
)
def test_a_closed_stream_is_one_line_and_no_work(args, closed, said) -> None:
    """`test_closed_streams_are_no_traceback` has commands that do no work."""
    command = [sys.executable, "-m", "lstm.cli", *args]
    open_one = {1: "stderr", 2: "stdout"}[closed]
    done = subprocess.run(
        command,
        preexec_fn=lambda: os.close(closed),
        text=True,
        timeout=60,
        check=False,
        **{open_one: subprocess.PIPE},
    )
    assert (done.returncode, getattr(done, open_one)) == (2, said)


def test_targets_of_one_step_for_a_model_that_is_read_at_every_one() -> None:
    model = lstm.Model.create(lstm.RNN(2, 3), output_size=1, seed=0, readout="every")
    with pytest.raises(ConfigError, match=r"ys must be \(5, 3, …\), .* is read at every step"):
        lstm.flow(model, XS, YS)


def test_a_loss_is_a_scalar() -> None:
    with pytest.raises(ConfigError, match=r"must give a scalar .*not float32\(3, 1\)"):
        lstm.flow(_model(), XS, YS, lambda prediction, target: (prediction - target) ** 2)


def test_what_a_trainer_takes() -> None:
    w, x = mg.param("w", 1.0), mg.var("x")
    for params in ([w], w):
        with pytest.raises(ConfigError, match=r'params= has the params by .*\{"w": w\}'):
            lstm.Trainer(w * x, [x], params, lstm.optim.sgd(0.1))
    for params in ({}, {"layer": {}}):
        with pytest.raises(ConfigError, match="has no param to train"):
            lstm.Trainer(w * x, [x], params, lstm.optim.sgd(0.1))
    for rule in ("adam", 0.1):
        with pytest.raises(ConfigError, match=r"such as lstm\.optim\.adam\(0\.01\), not"):
            lstm.Trainer(w * x, [x], {"w": w}, rule)


def test_what_a_trainer_trains_is_params_on_variables() -> None:
    w, x, rule = mg.param("w", np.ones(3)), mg.var("x", (3,)), lstm.optim.sgd(0.1)
    for leaf in (x, w * 2.0, 3.0, np.ones(3)):
        with pytest.raises(ConfigError, match=r"minigrad\.param\(name, value\) made, and 'v' is "):
            lstm.Trainer(mg.sum(w * x), [x], {"w": w, "v": leaf}, rule)
    with pytest.raises(ConfigError, match=r"a list of variables: write \[x\], not x"):
        lstm.Trainer(mg.sum(w * x), x, {"w": w}, rule)
    for clip in ("a", 0, -1.0):
        with pytest.raises(ConfigError, match="clip must be a number above 0"):
            lstm.Trainer(mg.sum(w * x), [x], {"w": w}, rule, clip)


@pytest.mark.parametrize(
    "right", [0.5, None, [True], np.float64(1.0), np.array("all"), np.array(True)]
)
def test_what_is_correct_is_said_of_each_sequence(right) -> None:
    class Own(Adding):
        def correct(self, prediction, target):
            return right

    task = Own(3)
    model = Model.create(RNN, task=task, hidden_size=2)
    with pytest.raises(
        ConfigError, match=r"Own\.correct must give a bool for each sequence, .*not"
    ):
        evaluate(model, task, 0)


def test_a_checkpoint_is_told_from_a_model(tmp_path) -> None:
    path = tmp_path / "c.safetensors"
    task = lstm.Adding(length=3)
    model = lstm.Model.create(lstm.RNN, task=task)
    lstm.fit(model, task, lstm.Settings(steps=1), out=path)
    with pytest.raises(lstm.errors.ModelFileError, match=r"is a checkpoint .* resume=True"):
        lstm.Model.load(path)
