"""A step that is not finite: what is told of it, and that it changed nothing."""

import re

import numpy as np
import pytest

import lstm
import minigrad as mg
from lstm.errors import TrainingError
from lstm.optim import sgd
from lstm.training import Settings, Trainer, diagnosis, fit, train

HERE = r"made at \S+test_train_faults\.py:\d+"


def failure(loss, params, *values, inputs=(), rate=0.1, steps=1):
    """What a training says of the step that it fails in; nothing is changed by it."""
    trainer = Trainer(loss, list(inputs), params, sgd(rate))
    for _ in range(steps):
        before = trainer.state.arrays()
        try:
            trainer.step(*values)
        except TrainingError as error:
            after = trainer.state.arrays()
            assert all(np.array_equal(before[n], after[n], equal_nan=True) for n in before)
            return str(error).replace(": ", "\n", 1).split("\n")
    raise AssertionError("it did not fail")


def param(*values, dtype="float64"):
    return mg.param("w", np.array(values, dtype))


W, X = param(1.0, 2.0), mg.var("x", (2,))
FORWARD = {
    "log of 0": (
        lambda: mg.sum(mg.log(W * X)), [1.0, 0.0],
        rf"infinity born at op log, {HERE}, element \[1\]: log\(0\) is -inf", "logarithm of 0",
    ),
    "log of a negative number": (
        lambda: mg.sum(mg.log(W * X)), [1.0, -3.0],
        rf"NaN born at op log, {HERE}, element \[1\]: log\(-6\) is nan", "logarithm of a negative",
    ),
    "root of a negative number": (
        lambda: mg.sum(mg.sqrt(W * X)), [-4.0, 1.0],
        rf"NaN born at op sqrt, {HERE}, element \[0\]: sqrt\(-4\) is nan", "root of a negative",
    ),
    "division by 0": (
        lambda: mg.sum(W / X), [1.0, 0.0],
        rf"infinity born at op divide, {HERE}, element \[1\]: divide\(2, 0\) is inf",
        "division by 0",
    ),
    "overflow": (
        lambda: mg.sum(mg.exp(W * X)), [1000.0, 1.0],
        rf"infinity born at op exp, {HERE}, element \[0\]: exp\(1000\) is inf", "overflows float64",
    ),
    "difference of infinities": (  # the NaN has a cause, which is told
        lambda: mg.sum(mg.exp(W * X) - mg.exp(W * X * 2.0)), [1.0, 400.0],
        rf"infinity born at op exp, {HERE}, element \[1\]: exp\(800\) is inf", "overflows float64",
    ),
    "the side that is taken": (  # not the NaN of the other side, which comes first
        lambda: mg.sum(mg.where(X < 1.5, mg.log(1.5 - X), mg.log(W * X - 5.0))), [1.0, 2.0],
        rf"NaN born at op log, {HERE}, element \[1\]: log\(-1\) is nan", "logarithm of a negative",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FORWARD)
def test_where_a_loss_went_wrong(name):
    loss, x, where, remedy = FORWARD[name]
    said = failure(loss(), {"w": W}, x, inputs=[X])
    assert said[0] == "the loss is not finite in step 1 of training, on batch 1"
    assert re.match(where, said[1]), said[1]
    assert remedy in said[2]


MASK = mg.const([0.0, 1.0, 1.0])  # factors, which are no mask that rewrites could see


def rooted():
    w = param(0.0, 2.0, 3.0)
    return mg.sum(mg.sqrt(w) * MASK), w


def arc():
    w = param(1.0, 0.5, 0.25)
    return mg.sum(mg.asin(w) * MASK), w


@pytest.mark.parametrize(("make", "op", "at"), [(rooted, "sqrt", 0), (arc, "asin", 1)])
def test_zero_times_infinity_behind_a_mask(make, op, at):
    loss, w = make()
    assert np.isfinite(loss.eval())
    said = failure(loss, {"w": w})
    assert said[0].startswith("the gradient is not finite in step 1")
    assert re.match(
        rf"NaN born backward, at element \[0\] of the edge from op {op}, {HERE}, to its operand 1, "
        rf"w: the derivative of {op}\({at}\) meets a gradient of 0$",
        said[1],
    )
    assert f"mask the argument too: where(c, {op}(where(c, x, 1)), 0)" in said[2]


def test_a_derivative_that_is_infinite():
    w = param(4.0, 0.0)
    said = failure(mg.sum(mg.sqrt(w)), {"w": w})
    assert re.match(rf"infinity born backward, at element \[1\] .*op sqrt, {HERE}, ", said[1])
    assert "keep its argument away from 0" in said[2]


def test_a_norm_that_overflows_where_the_gradient_does_not():
    w = param(1e-6, 1e-6, dtype="float32")
    said = failure(mg.sum(w * mg.const([1e25, 2e25], "float32")), {"w": w})
    assert said[1].startswith("its elements are finite, up to 2e+25 in w, but the square")


def test_an_explosion_is_measured():
    w = param(3.0)
    said = failure(mg.sum(mg.square(w)), {"w": w}, rate=100.0, steps=300)
    assert said[0].startswith("the loss is not finite in step ")
    assert "born at op square" in said[1]
    norms = [float(x) for x in said[2].split("its norm was ")[1].split(", ")]
    ratios = np.divide(norms[1:], norms[:-1])
    np.testing.assert_allclose(ratios, 199, rtol=0.1)  # w ← w - 100 · 2 w
    assert re.match(r"the largest parameter is \d\.\de\+15\d, in w$", said[3])
    assert said[4] == "a lower rate, a smaller clip or a warmup helps"


def test_what_did_not_explode_is_not_said_to():
    said = failure(mg.sum(mg.log(W - 1.0 - X)), {"w": W}, [0.0, 0.0], inputs=[X])
    assert not any("explod" in line or "largest parameter" in line for line in said)


def test_data_and_parameters_that_are_not_finite():
    x = np.array([[1.0, 2.0], [np.nan, np.inf]])
    w, v = param(1.0, 1.0), mg.var("v", (2, 2))
    said = failure(mg.sum(v @ w), {"w": w}, x, inputs=[v])
    assert said[1].startswith("v[1, 0] is nan (and 1 more are not finite): it came with the data")
    w.value = [1.0, np.inf]
    said = failure(mg.sum(v @ w), {"w": w}, np.ones((2, 2)), inputs=[v])
    assert said[1].startswith("w[1] is inf: the parameter was so already")


class Log(lstm.RNN):
    """A cell whose state is a logarithm."""

    name = "log"

    def equations(self, params, state, x):
        return {"h": mg.log(3.0 - 8.0 * x[:, :1] + 0.0 * state.h)}


class Third(lstm.Adding):
    """Sequences in which the third step of the second one is 1, and all else is 0."""

    def batch(self, rng, size):
        batch = super().batch(rng, size)
        batch.xs[...] = 0.0
        batch.xs[2, 1, 0] = 1.0
        return batch


@pytest.mark.parametrize("longest", [2000, 3])  # also where the loop is too long to be unrolled
def test_the_step_of_a_loop_and_the_sequence_are_told(monkeypatch, longest):
    monkeypatch.setattr(diagnosis, "LONGEST", longest)
    model = lstm.Model.create(Log(2, 3), 1, 0)
    with pytest.raises(TrainingError) as caught:
        list(train(model, Third(6), Settings(steps=2)))
    said = str(caught.value)
    assert re.search(r"in step 3 of a loop", said)
    assert "NaN born at op log" in said
    if longest > 3:
        assert re.search(rf"{HERE}, element \[1, 0\]: log\(-5\) is nan", said)


def test_the_element_of_a_batch_is_named():
    class Hole(lstm.Adding):
        def batch(self, rng, size):
            batch = super().batch(rng, size)
            batch.ys[3, 0] = np.inf
            return batch

    model = lstm.Model.create(lstm.LSTM(2, 3), 1, 0)
    before = model.values()
    with pytest.raises(TrainingError, match=r"ys\[3, 0\] is inf: it came with the data"):
        fit(model, Hole(6), Settings(steps=2))
    assert all(np.array_equal(before[n], v) for n, v in model.values().items())
