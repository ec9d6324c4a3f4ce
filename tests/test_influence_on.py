"""How much each input moves the output of one step, of more steps than a map of all has rows."""

from __future__ import annotations

from unittest.mock import Mock

import numpy as np
import pytest

import lstm
from lstm.figures import dependencies
from lstm.figures.film import watch
from lstm.gradient_flow.measuring import influence_at
from lstm.tasks.france import France
from lstm.tasks.movie import Movie

pytestmark = pytest.mark.usefixtures("by_numpy")

STEPS = 300


def jacobian_norms(model, xs, t):
    """‖∂yₜ/∂x_s‖ of an RNN, t from 0: y = h W_y + b, h = tanh([h, x] W + b), by the chain rule."""
    values = {n.rpartition(".")[2]: v.astype(float) for n, v in model.values().items()}
    W, b = values["W_h"], values["b_h"]
    size = len(b)
    reader = next(v for n, v in model.values().items() if n.startswith("readout") and v.ndim == 2)
    h, states = np.zeros(size), []
    for x in xs.astype(float):
        h = np.tanh(np.concatenate([h, x]) @ W + b)
        states.append(h)
    back, norms = reader.astype(float), np.zeros(len(xs))
    for s in range(t, -1, -1):
        back = (1 - states[s][:, None] ** 2) * back
        norms[s] = np.linalg.norm(W[size:] @ back)
        back = W[:size] @ back
    return norms


@pytest.mark.parametrize("read", ["last", "every"])
def test_one_step_is_not_folded_with_its_neighbours(read):
    model = lstm.Model.create(lstm.RNN(2, 3), output_size=2, seed=1, readout=read)
    model = model.with_dtype("float64")
    xs = np.random.default_rng(0).normal(size=(STEPS, 1, 2))
    ys = np.zeros((1, 2)) if read == "last" else np.zeros((STEPS, 1, 2))
    flow = lstm.flow(model, xs, ys)
    for at in (STEPS, 7):
        row = flow.influence_on(at)
        exact = jacobian_norms(model, xs[:, 0], at - 1)
        np.testing.assert_allclose(row.norms, exact, rtol=1e-9, atol=1e-300)
        assert {*row.kinds} == {"normal"}
    assert flow.influence_on(7).norms[7:] == [0.0] * (STEPS - 7)


def test_what_underflows_is_told_from_what_is_nothing():
    model = lstm.Model.create(lstm.RNN(1, 2), output_size=1, seed=0)
    values = {
        name: np.full_like(value, 1e-3 if name.endswith("W_h") else 0.5)
        for name, value in model.values().items()
    }
    model = lstm.Model.of(model.layers, model.readout, values)
    xs, ys = np.ones((60, 1, 1), np.float32), np.ones((1, 1), np.float32)
    row = lstm.flow(model, xs, ys).influence_on(50)
    assert row.kinds[:20] == ["underflow"] * 20
    assert row.norms[:20] == [0.0] * 20
    assert row.norms[49] > 0.0
    assert row.kinds[49:] == ["normal"] * 11
    assert row.norms[50:] == [0.0] * 10


@pytest.mark.parametrize("at", [0, 4, 1.5, "1", None, True])
def test_influence_is_on_a_step(at):
    model = lstm.Model.create(lstm.RNN(1, 2), output_size=1, seed=0)
    flow = lstm.flow(model, np.ones((3, 2, 1)), np.ones((2, 1)))
    with pytest.raises(lstm.ConfigError, match="at= is a step, 1 to 3"):
        flow.influence_on(at)


def test_a_long_sentence_is_lit_by_its_last_step_alone(monkeypatch):
    monkeypatch.setattr(dependencies, "swap_influence", lambda *_: None)  # 18,000 sentences
    monkeypatch.setattr(dependencies, "evaluate", lambda *_: Mock(correct=0.2))  # 2,000 more
    task = France(distance=STEPS)
    model = lstm.Model.create(lstm.RNN, task=task, hidden_size=3)
    read = dependencies.read_sentence(model, task)
    xs, ys = task.batch(np.random.default_rng(0), 64)
    k = int((xs[4] == task.tokens(["France"])).argmax())
    values = {n.rpartition(".")[2]: v.astype(float) for n, v in model.values().items()}
    embedding = next(v for n, v in model.values().items() if "embed" in n)
    exact = jacobian_norms(model, embedding[xs[:, k]], len(xs) - 1)
    assert len(read.reach) == len(xs) > STEPS
    assert values["W_h"].shape[0] == 3 + embedding.shape[1]
    sound = exact > 1e-30
    assert sound.sum() > 20
    np.testing.assert_allclose(read.reach[sound], exact[sound], rtol=1e-3)
    assert ys[k] == task.tokens(["French"])


def test_a_long_film_is_lit_by_the_frame_that_is_asked():
    task = Movie(frames=4, scenes=70)
    model = lstm.Model.create(lstm.RNN, task=task, hidden_size=2)
    film = watch({"RNN": model}, task, at=150)
    xs, _ = task.batch(np.random.default_rng(0), 1)
    exact = jacobian_norms(model, xs[:, 0], 149)
    assert len(exact) == 280
    sound = exact > 1e-30
    np.testing.assert_allclose(film.watched["RNN"].influence[sound], exact[sound], rtol=1e-3)
    assert (film.watched["RNN"].influence[150:] == 0).all()


def test_a_step_alone_is_told_without_the_rest_of_a_flow():
    task = France(distance=6)
    model = lstm.Model.create(lstm.RNN, task=task, hidden_size=3, seed=0)
    xs, ys = task.batch(np.random.default_rng(0), 2)[:2]
    flow = lstm.flow(model, xs, ys, task.loss)
    for at in (len(xs), 3):
        row = flow.influence_on(at)
        assert influence_at(model, xs, ys, task.loss, at) == row
        assert min(row.norms[:2]) > 0.0
