"""Training: it learns, repeats itself by seed, and says where a NaN was born."""

import numpy as np
import pytest

import minigrad as mg
from lstm.cells import CELLS, LSTM, RNN
from lstm.errors import ConfigError, TrainingError
from lstm.model import Model
from lstm.optim import adam, sgd
from lstm.tasks import Adding
from lstm.training import Report, Settings, Trainer, evaluate, random_streams, train

TASK = Adding(length=10)


def trained(cell, settings):
    model = Model.create(cell, 1, random_streams(settings.seed)[0])
    return model, list(train(model, TASK, settings))


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in CELLS if n != "rnn"])
def test_gated_cells_learn_a_short_adding_problem(name):
    model, reports = trained(CELLS[name](2, 16, memory=10), Settings(steps=300))  # type: ignore[call-arg]
    score = evaluate(model, TASK, seed=0)
    assert score.loss < 0.1 * TASK.baseline
    assert np.mean([r.loss for r in reports[-10:]]) < 0.1 * np.mean([r.loss for r in reports[:10]])


def test_a_seed_repeats_everything_and_another_does_not():
    first, a = trained(RNN(2, 4), Settings(steps=5))
    second, b = trained(RNN(2, 4), Settings(steps=5))
    _, c = trained(RNN(2, 4), Settings(steps=5, seed=1))
    assert a == b
    assert a != c
    for name, value in first.values().items():
        np.testing.assert_array_equal(value, second.flat_params[name].value)
    assert evaluate(first, TASK, 0) == evaluate(second, TASK, 0)


def test_models_of_one_seed_see_the_same_batches():
    """The readout's gradient does not matter: the first loss of an all-zero model is its data's."""
    losses = []
    for cell in (RNN(2, 4), LSTM(2, 9)):
        model = Model.create(cell, 1, seed=0)
        for p in model.flat_params.values():
            p.value = np.zeros(p.shape, p.dtype)
        losses.append(next(train(model, TASK, Settings())).loss)
    assert losses[0] == losses[1]


def test_reports_hold_the_loss_and_the_norm_before_clipping():
    w = mg.param("w", [3.0, 4.0])
    trainer = Trainer(0.5 * mg.sum(mg.square(w)), [], {"w": w}, sgd(1.0), clip=1.0)
    assert trainer.step() == Report(1, 12.5, 5.0)
    np.testing.assert_allclose(w.value, [2.4, 3.2])
    assert trainer.step().step == 2


def test_a_step_gives_other_outputs_and_writes_other_leaves():
    """Both as they were before the step; and what is written is part of the state."""
    w, x = mg.param("w", 2.0), mg.var("x")
    seen, total = mg.param("seen", 0.0), mg.param("total", 1.0)
    trainer = Trainer(
        mg.square(w * x), [x], {"w": w}, sgd(0.25), outputs=[w * x, w],
        updates={seen: seen + 1, total: total * x},
    )  # fmt: skip
    report = trainer.step(3.0)
    assert report[:2] == (1, 36.0)
    assert report.outputs == (6.0, 2.0)
    assert float(w.value) == 2.0 - 0.25 * 2 * 2.0 * 9
    assert (float(seen.value), float(total.value)) == (1.0, 3.0)
    assert trainer.state.arrays().keys() == {
        "params.w", "count", "carried.seen", "carried.total", "history",
    }  # fmt: skip


def test_a_bad_step_writes_none_of_them():
    w, x, seen = mg.param("w", 2.0), mg.var("x"), mg.param("seen", 0.0)
    trainer = Trainer(mg.log(w * x), [x], {"w": w}, sgd(0.25), updates={seen: seen + 1})
    with pytest.raises(TrainingError):
        trainer.step(-1.0)
    assert (float(w.value), float(seen.value), trainer.state.steps) == (2.0, 0.0, 0)


def test_parameters_may_be_a_tree():
    w, b = mg.param("w", 2.0), mg.param("b", 1.0)
    trainer = Trainer(w * b, [], {"layer1": {"w": w}, "b": b}, sgd(0.5))
    trainer.step()
    assert trainer.state.params.keys() == {"layer1.w", "b"}
    assert (float(w.value), float(b.value)) == (1.5, 0.0)


def test_leaves_that_are_carried_need_names():
    w, a, b = mg.param("w", 2.0), mg.param("a", 0.0), mg.param("a", 0.0)
    with pytest.raises(ConfigError, match="names of their own, not a, a"):
        Trainer(w * 1.0, [], {"w": w}, sgd(0.5), updates={a: a + 1, b: b + 1})


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_step_is_one_function_of_any_dtype(dtype):
    model, reports = trained(LSTM(2, 3, dtype), Settings(steps=2))
    assert len(reports) == 2
    assert all(p.dtype == dtype for p in model.flat_params.values())


def test_a_nan_stops_training_names_its_op_and_changes_nothing():
    w, x = mg.param("w", [1.0, 2.0]), mg.var("x", (2,))
    trainer = Trainer(mg.sum(mg.log(w * x)), [x], {"w": w}, adam(0.1))
    trainer.step([1.0, 1.0])
    before = w.value.copy()
    with pytest.raises(
        TrainingError, match=r"the loss is not finite in step 2 .*NaN born at op log"
    ):
        trainer.step([1.0, -1.0])
    np.testing.assert_array_equal(w.value, before)
    assert trainer.step([1.0, 1.0]).step == 2


def test_an_infinite_gradient_stops_training_too():
    w = mg.param("w", 0.0)
    trainer = Trainer(mg.sqrt(w), [], {"w": w}, sgd(0.1))
    with pytest.raises(TrainingError, match="the gradient is not finite in step 1"):
        trainer.step()


def test_data_that_is_not_finite_is_called_that():
    w, x = mg.param("w", 1.0), mg.var("x")
    trainer = Trainer(mg.square(w * x), [x], {"w": w}, sgd(0.1))
    with pytest.raises(TrainingError, match="it came with the data"):
        trainer.step(float("nan"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": 0}, "steps must be a whole number of at least 1"),
        ({"batch": 0}, "batch must be a whole number of at least 1"),
        ({"rate": 0}, "rate must be a number above 0"),
        ({"rate": float("nan")}, "rate must be a number above 0"),
        ({"clip": 0}, "clip must be a number above 0"),
        ({"seed": -1}, "seed must be a whole number of at least 0"),
    ],
)
def test_settings_that_cannot_be(settings, message):
    with pytest.raises(ConfigError, match=message):
        Settings(**settings)


@pytest.mark.slow
def test_the_lstm_learns_what_the_rnn_does_not():
    """The demonstration in small: 50 steps; one below a tenth of the baseline, the other at it."""
    task, settings = Adding(length=50), Settings(steps=400)
    ratio = {}
    for cell in (RNN(2, 16), LSTM(2, 16, memory=50)):
        model = Model.create(cell, 1, random_streams(0)[0])
        assert len(list(train(model, task, settings))) == 400
        ratio[cell.name] = evaluate(model, task, 0).loss / task.baseline
    assert ratio["lstm"] < 0.1
    assert ratio["rnn"] > 0.9


def test_a_task_is_asked_about_predictions_and_targets_in_that_order():
    class Own(Adding):
        def correct(self, prediction, target):
            correct.append((prediction, target))
            return super().correct(prediction, target)

        def solved(self, prediction, target):
            solved.append((prediction, target))
            return True

    correct: list = []
    solved: list = []
    task = Own(length=3)
    model = Model.create(RNN(2, 2), 1, random_streams(0)[0])
    for weights in model.flat_params.values():  # a net of zeros says 0, whatever it is shown
        weights.value[...] = 0.0
    assert evaluate(model, task, seed=0).solved
    for calls in (correct, solved):
        ((prediction, target),) = calls
        assert not prediction.any()
        assert target.min() >= 0.0 and target.any()


def test_a_trainer_takes_parameters_by_their_dotted_names_too():
    model = Model.create(RNN(2, 3), 1)
    xs = mg.var("xs", (4, 5, 2), "float32")
    loss = mg.mean(mg.square(model.output(xs)))
    states = [
        Trainer(loss, [xs], params, adam(0.1)).state.leaves().keys()
        for params in (model.params, model.flat_params)
    ]
    assert states[0] == states[1]
    assert "params.readout.W_y" in states[0]


@pytest.mark.parametrize("name", ["", "a.", ".a", "a..b", 3])
def test_names_of_parameters_that_cannot_be(name):
    w = mg.param("w", 1.0)
    with pytest.raises(ConfigError, match="a name is a text"):
        Trainer(mg.square(w), [], {name: w}, sgd(0.1))
