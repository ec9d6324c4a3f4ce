"""A training of arrays is resumed with the same data, tolerance and loss, or told which is another;
tasks of arrays have names."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

import lstm
import minigrad as mg

RNG = np.random.default_rng(3)
XS = RNG.normal(size=(20, 4, 2))
NUMBERS = RNG.normal(size=(20, 1))
SHORT = [x[: 2 + k % 3] for k, x in enumerate(XS)]


def power(exponent):
    return lambda p, y: mg.mean((p - y) ** exponent)


def weighted(weight):
    def loss(p, y):
        return mg.mean(weight * mg.abs(p - y))

    return loss


def task(**options):
    return lstm.ArrayTask(XS, NUMBERS, **{"tolerance": 0.5, "loss": power(4)} | options)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"tolerance": 0.25}, "its 'tolerance' is 0.5, not 0.25"),
        ({"tolerance": None}, "its 'tolerance' is 0.5, not None"),
        ({"loss": power(2)}, "its 'checksum of the loss' is '"),
        ({"loss": "mse"}, "its 'loss' is '<lambda>', not 'mse'"),
        ({"seed": 1}, "its 'checksum of the data' is '"),
        ({"validation": 3}, "its 'training' is 16, not 17"),
        ({"name": "waves"}, "its 'name' is 'arrays', not 'waves'"),
    ],
)
def test_another_task_is_not_resumed_and_what_differs_is_named(tmp_path, options, words):
    path = tmp_path / "c"
    model = lstm.Model.create(lstm.RNN, task=task(), hidden_size=2)
    lstm.fit(model, task(), lstm.Settings(steps=2, batch=4), validate=0, out=path)
    before = path.read_bytes()
    with pytest.raises(lstm.CheckpointError, match="it is of another task: ") as caught:
        lstm.fit(model, task(**options), out=path, resume=True)
    assert words in str(caught.value)
    assert path.read_bytes() == before
    again = lstm.fit(model, task(), out=path, resume=True)
    assert again.notes[-1].startswith("This training was over after step 2")


def test_losses_are_told_apart_by_what_they_compute_and_not_by_their_names():
    assert task(loss=weighted(2.0)) == task(loss=weighted(2.0))
    assert task(loss=weighted(2.0)) != task(loss=weighted(3.0))
    assert task(loss=lambda p, y: mg.mean((p - y) ** 4)) == task()
    assert task(loss="mse").config()["settings"]["checksum of the loss"] is None
    steps = [RNG.normal(size=(len(x), 1)) for x in SHORT]
    padded = [
        lstm.ArrayTask(SHORT, steps, loss=lambda p, y, mask, k=k: k * lstm.mse(p, y, mask=mask))
        for k in (1.0, 1.0, 2.0)
    ]
    assert padded[0] == padded[1] != padded[2]


def test_a_loss_with_code_of_pythons_own_is_known_by_its_name():
    square = mg.custom_vjp(mg.square, lambda g, y, x: 2 * g * x)
    one = task(loss=lambda p, y: mg.mean(square(p - y)))
    assert one.config()["settings"]["checksum of the loss"] is None


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        (lambda p, y: (p - y) ** 2, r"must give a scalar expression, .* not float32\(2, 1\)"),
        (lambda p, y: 3.0, r"must give a scalar expression, .* not 3.0"),
        (lambda p, y: mg.sum(p > y), r"must give a scalar expression"),
        (lambda p: mg.mean(p), r"cannot be called with what it is given: .*2 were given"),
    ],
)
def test_what_is_no_loss_is_refused_where_the_task_is_made(loss, words):
    with pytest.raises(lstm.ConfigError, match=words):
        task(loss=loss)


def test_a_loss_of_padded_steps_takes_a_mask():
    steps = [RNG.normal(size=(len(x), 1)) for x in SHORT]
    with pytest.raises(lstm.ConfigError, match=r"loss= cannot be called .*'mask'"):
        lstm.ArrayTask(SHORT, steps, loss=power(2))


def test_a_task_has_a_name():
    named = task(name="waves-2", loss="mse")
    assert repr(named) == (
        "ArrayTask(waves-2: 16 + 4 sequences of 4 steps, 2 numbers each; 1 numbers, mse)"
    )
    assert (named.name, named.heading, named.config()["name"]) == ("waves-2",) * 3
    assert (task().name, task().heading) == ("arrays", "Sequences of your own")
    assert lstm.ArrayTask.name == "arrays"
    for wrong in ("", "a/b", "../a", ".a", "a b", "a\n", "x" * 61, 3, "-a"):
        with pytest.raises(lstm.ConfigError, match="name= is letters, digits"):
            task(name=wrong)


def test_a_setting_that_only_the_checkpoint_has_is_told(tmp_path):
    @dataclass(frozen=True)
    class Wider(lstm.Adding):
        width: int = 3

    path, model = tmp_path / "c", lstm.Model.create(lstm.RNN(2, 2), 1, 0)
    lstm.fit(model, Wider(3), lstm.Settings(steps=1, batch=2), validate=0, out=path)
    with pytest.raises(lstm.CheckpointError, match="another task: its 'width' is 3, not None"):
        lstm.fit(model, lstm.Adding(3), out=path, resume=True)


def test_a_model_that_is_another_is_told_by_the_setting_that_differs(tmp_path):
    path = tmp_path / "c"
    options = {"task": task(), "hidden_size": 2}
    model = lstm.Model.create(lstm.RNN, **options)
    lstm.fit(model, task(), lstm.Settings(steps=1, batch=4), validate=0, out=path)
    other = lstm.Model.create(lstm.RNN, **options | {"hidden_size": 3})
    with pytest.raises(lstm.CheckpointError, match="another model: its 'hidden_size' is 2, not 3"):
        lstm.fit(other, task(), out=path, resume=True)
