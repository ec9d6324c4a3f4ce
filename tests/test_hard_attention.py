"""Attention that draws what it looks at: how often, what a decoder then says, and that the gradient
of training is, over all that may be drawn, that of the expected loss."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

import lstm
import minigrad as mg
from lstm.errors import ConfigError
from lstm.layers import Context
from lstm.layers.usual import usual_readout, usual_stack
from lstm.losses import cross_entropy, drawn_loss
from lstm.params import map_leaves, unflatten
from lstm.tasks import make_task

S, B, F, O = 2, 2, 2, 3  # patches, pictures, units, words  # noqa: E741
LAYER = lstm.HardAttention(3, 4, dtype="float64")


def looked(noise=None, mask=None):
    rng = np.random.default_rng(1)
    params = {k: mg.param(k, x) for k, x in LAYER.init(rng).items()}
    query, annotations = rng.standard_normal((5, 3)), rng.standard_normal((6, 5, 4))
    glimpse = LAYER.look(params, mg.const(query), mg.const(annotations), mask, noise)
    soft = lstm.AdditiveAttention(3, 4, dtype="float64")
    shares = soft.look(params, mg.const(query), mg.const(annotations), mask).weights
    return glimpse, shares, annotations, params


def test_without_noise_the_largest_share_is_looked_at_alone():
    glimpse, shares, annotations, _ = looked()
    at = shares.eval().argmax(1)
    np.testing.assert_array_equal(glimpse.weights.eval(), np.eye(6)[at])
    np.testing.assert_array_equal(glimpse.context.eval(), annotations[at, range(5)])


def test_draws_are_as_often_as_their_shares():
    noise = mg.var("noise", (6, 5), "float32")
    glimpse, shares, *_ = looked(noise)
    draw, rng, times = mg.function([noise], glimpse.weights), np.random.default_rng(0), 1000
    often = sum(draw(rng.random((6, 5), np.float32)) for _ in range(times)) / times
    np.testing.assert_allclose(often, shares.eval(), atol=5 * 0.5 / times**0.5)


def test_padding_is_never_drawn():
    inside = np.arange(6)[:, None] < np.array([1, 2, 3, 6, 0])
    noise = np.where(inside, 1e-6, 1 - 1e-6)  # what is padding has the largest numbers
    glimpse, *_ = looked(mg.const(noise), mg.const(inside))
    weights = glimpse.weights.eval()
    assert not weights[~inside.T].any()
    np.testing.assert_array_equal(weights.sum(1), [1, 1, 1, 1, 0])


def test_padding_is_not_drawn_where_a_noise_is_0():
    """Random numbers are multiples of 2⁻²⁴, 0 included."""
    inside = np.arange(6)[:, None] < np.array([1, 2, 3, 6, 0])
    glimpse, *_ = looked(mg.const(np.where(inside, 0.0, 0.5).astype("float32")), mg.const(inside))
    weights = glimpse.weights.eval()
    assert not weights[~inside.T].any()
    np.testing.assert_array_equal(weights.sum(1), [1, 1, 1, 1, 0])


def test_weights_have_the_derivative_of_the_logarithm_of_a_share_and_contexts_have_none():
    glimpse, shares, _, params = looked()
    leaves = [params["v_a"], params["W_a"]]
    chosen = mg.log(mg.max(shares, axis=1))
    for got, want in zip(
        mg.grad(mg.sum(glimpse.weights), leaves), mg.grad(mg.sum(chosen), leaves), strict=True
    ):
        np.testing.assert_allclose(got.eval(), want.eval(), rtol=1e-10)
        assert np.abs(want.eval()).max() > 1e-3
    assert not mg.grad(mg.sum(glimpse.context), params["v_a"]).eval().any()


# --- the gradient --------------------------------------------------------------------------------

XS = np.random.default_rng(4).standard_normal((S, B, 3))
YS = np.array([[1, 2], [0, -1]])
COUNT = (YS >= 0).sum()


def model_of():
    """One whose every parameter is random, so that nothing cancels."""
    cell = lstm.RNN(3, F, "float64")
    made = usual_stack(cell, layers=0)
    readout = usual_readout(made, cell, O, "decoder", "hard", steps=len(YS))
    rng = np.random.default_rng(2)
    values = made.init(rng) | {"readout": readout.init(rng)}
    return lstm.Model.of(
        made, readout, map_leaves(lambda _, x: rng.standard_normal(x.shape), values)
    )


def likelihood_and_loss(values, b, draws):
    """In NumPy, of picture b: how likely these draws are, and the loss of its words."""
    p = unflatten(values)
    (read,), r = [part for name, part in p.items() if name != "readout"], p["readout"]
    annotations = np.tanh(XS[:, b] @ read["W_x"] + read["b_x"])
    h = np.tanh(annotations.mean(0) @ r["start"]["W_h"] + r["start"]["b_h"])
    likely, loss, token, a = 1.0, 0.0, O, r["attention"]
    for draw, y in zip(draws, YS[:, b], strict=True):
        scores = np.tanh(h @ a["W_a"] + annotations @ a["U_a"]) @ a["v_a"]
        likely *= np.exp(scores[draw]) / np.exp(scores).sum()
        x = np.concatenate([h, r["E"][token], annotations[draw]])
        h = np.tanh(x @ r["cell"]["W_h"] + r["cell"]["b_h"])
        output = np.concatenate([h, annotations[draw]]) @ r["W_y"] + r["b_y"]
        token = max(y, 0)
        if y >= 0:
            loss += np.log(np.exp(output).sum()) - output[y]
    return likely, loss


ALL = [*product(range(S), repeat=len(YS))]


def expected_loss(values):
    each = [likelihood_and_loss(values, b, draws) for b in range(B) for draws in ALL]
    return sum(likely * loss for likely, loss in each) / COUNT


def test_the_mean_gradient_over_all_draws_is_that_of_the_expected_loss(monkeypatch):
    model, noise = model_of(), mg.var("noise", (len(YS), S, B))
    monkeypatch.setattr(Context, "uniform", lambda self, shape: noise)
    run = model.run(XS, targets=YS, key=mg.key(0))
    term = drawn_loss(run.output, mg.const(YS), run.attention)
    loss = cross_entropy(run.output, YS, ignore_index=-1)
    leaves = model.flat_params
    grads = mg.grad(loss + term, list(leaves.values()))
    values = {name: leaf.value for name, leaf in leaves.items()}
    f, totals, mean = mg.function([noise], [loss, term, *grads]), [0.0] * len(leaves), 0.0
    for draws in product(ALL, repeat=B):
        told = np.where(np.arange(S)[:, None] == np.transpose(draws)[:, None], 1 - 1e-12, 1e-12)
        each = [likelihood_and_loss(values, b, draws[b]) for b in range(B)]
        likely = np.prod([p for p, _ in each])
        got, zero, *ours = f(told)
        assert got == pytest.approx(sum(x for _, x in each) / COUNT)
        assert zero == 0
        mean += likely * got
        totals = [total + likely * g for total, g in zip(totals, ours, strict=True)]
    assert mean == pytest.approx(expected_loss(values))
    for name, total in zip(leaves, totals, strict=True):
        np.testing.assert_allclose(total, slopes(values, name), atol=1e-7, err_msg=name)
    assert np.abs(totals[[*leaves].index("readout.attention.v_a")]).max() > 1e-3


def slopes(values, name, step=1e-5):
    """The derivative of the expected loss by each element, of differences."""
    made = np.zeros_like(values[name])
    for at in np.ndindex(made.shape):
        sides = []
        for sign in (1, -1):
            moved = values[name].copy()
            moved[at] += sign * step
            sides.append(expected_loss({**values, name: moved}))
        made[at] = (sides[0] - sides[1]) / (2 * step)
    return made


@pytest.mark.slow
def test_training_teaches_where_to_look():
    task = make_task("reverse", {"longest": 2})
    model = lstm.Model.create(lstm.RNN, task=task, hidden_size=3, attention="hard")
    before = model.values()["readout.attention.W_a"]
    fitted = lstm.fit(model, task, lstm.Settings(steps=3), validate=0, progress=False)
    assert len({report.loss for report in fitted.reports}) == 3
    assert (model.values()["readout.attention.W_a"] != before).all()


def test_a_loss_that_draws_are_not_taught_by_is_refused(monkeypatch):
    task = make_task("reverse", {"longest": 2})
    hard, soft = (
        lstm.Model.create(lstm.RNN, task=task, hidden_size=3, attention=kind)
        for kind in ("hard", "additive")
    )
    monkeypatch.setattr(
        type(task),
        "loss",
        lambda self, said, ys: cross_entropy(said, ys, ignore_index=-1, label_smoothing=0.1),
    )
    settings = lstm.Settings(steps=1)
    with pytest.raises(ConfigError, match="hard attention learns by the mean cross entropy"):
        [*lstm.train(hard, task, settings)]
    assert len([*lstm.train(soft, task, settings)]) == 1


def test_a_layer_by_itself_cannot_be_taught_what_to_draw():
    steps = lstm.Steps.of(mg.zeros((2, 1, 4)))
    layer = lstm.HardAttention(4, 4, dtype="float64")
    with pytest.raises(ConfigError, match="hard attention is a decoder's"):
        layer.run({}, steps, {}, Context())
