"""Optimisers and schedules by name, groups of parameters, and settings that cannot be."""

from __future__ import annotations

import re

import numpy as np
import pytest

import minigrad as mg
from lstm import optim
from lstm.errors import ConfigError
from lstm.params import unflatten
from lstm.training import Trainer

NAMES = ["embedding.E", "layer1.W_f", "layer1.b_f", "layer10.W_f", "readout.W_y", "readout.b_y"]
SHAPES = [(3, 2), (2, 2), (2,), (2, 2), (1, 2), (1,)]


def parameters():
    rng = np.random.default_rng(0)
    return {n: mg.param(n, rng.standard_normal(s)) for n, s in zip(NAMES, SHAPES, strict=True)}


def trained(optimizer, params, steps=3):
    """Values after some steps down a bowl, and the names of what the optimiser remembers."""
    loss = mg.const(0.0)
    for p in params.values():
        loss = loss + mg.sum(mg.square(p - 0.5))
    trainer = Trainer(loss, [], unflatten(params), optimizer)
    for _ in range(steps):
        trainer.step()
    return {name: p.value.copy() for name, p in params.items()}


# --- by name -------------------------------------------------------------------------------------


def test_the_tables():
    named = [optim.sgd, optim.momentum, optim.nesterov, optim.rmsprop, optim.adam, optim.adamw]
    assert {f.__name__: f for f in named} == optim.OPTIMIZERS
    assert {f.__name__: f for f in (optim.constant, optim.exponential, optim.cosine)} == (
        optim.SCHEDULES
    )


def test_options_are_the_numbers_that_each_takes():
    assert {name: optim.options(f) for name, f in optim.OPTIMIZERS.items()} == {
        "sgd": [("decay", 0.0)],
        "momentum": [("beta", 0.9), ("decay", 0.0)],
        "nesterov": [("beta", 0.9), ("decay", 0.0)],
        "rmsprop": [("beta", 0.9), ("eps", 1e-8)],
        "adam": [("beta1", 0.9), ("beta2", 0.999), ("eps", 1e-8)],
        "adamw": [("beta1", 0.9), ("beta2", 0.999), ("eps", 1e-8), ("decay", 0.01)],
    }
    assert {name: optim.options(f) for name, f in optim.SCHEDULES.items()} == {
        "constant": [],
        "exponential": [("factor", None), ("every", 1)],
        "cosine": [("steps", None)],
    }


@pytest.mark.parametrize("name", optim.OPTIMIZERS)
def test_each_option_reaches_the_optimiser(name):
    """With another value, training goes another way; with its default, the same."""
    usual = trained(optim.make(name, 0.1), parameters())
    for option, default in optim.options(optim.OPTIMIZERS[name]):
        same = trained(optim.make(name, 0.1, **{option: default}), parameters())
        other = trained(optim.make(name, 0.1, **{option: 0.5}), parameters())
        for n in NAMES:
            np.testing.assert_array_equal(same[n], usual[n])
        assert any((other[n] != usual[n]).any() for n in NAMES), option


def test_what_is_not_a_number_reaches_it_too():
    params = parameters()
    everything = optim.make("sgd", optim.constant(0.1), decay=0.5, decays=lambda name, p: True)
    values = trained(everything, params, steps=1)
    start = parameters()["readout.b_y"].value
    np.testing.assert_allclose(values["readout.b_y"], start - 0.1 * (2 * (start - 0.5) + start / 2))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: optim.make("adma", 0.1), "no optimiser is named 'adma'; did you mean adam?"),
        (lambda: optim.make("qqq", 0.1), "no optimiser is named 'qqq'; there are sgd, momentum, n"),
        (lambda: optim.make(None, 0.1), "is given by its name, as .sgd., not None;"),
        (lambda: optim.make(["adam"], 0.1), r"is given by its name, as .sgd., not \['adam'\];"),
        (lambda: optim.make("sgd", 0.1, beta=0.9), "sgd takes decay, decays, and no 'beta'"),
        (
            lambda: optim.make("adam", 0.1, beta=0.9),
            "adam takes beta1, beta2, eps, and no 'beta'; did you mean beta",
        ),
        (lambda: optim.make("adam", -0.1), r"rate must be a number of at least 0, not -0\.1"),
        (lambda: optim.make("adam", float("nan")), "rate must be a number of at least 0, not nan"),
        (lambda: optim.make("adam", "0.1"), "rate must be a number of at least 0, not '0.1'"),
        (lambda: optim.make("adam", 0.1, beta1=1.0), "beta1 must be .* at least 0 and below 1"),
        (lambda: optim.make("adam", 0.1, beta2=-0.1), "beta2 must be a number of at least 0"),
        (lambda: optim.make("adamw", 0.1, decay=-1), "decay must be a number of at least 0, not"),
        (lambda: optim.make("sgd", 0.1, decay=-1), "decay must be a number of at least 0, not -1"),
        (lambda: optim.make("momentum", 0.1, decay=True), "decay must be a number .* not True"),
        (lambda: optim.make("nesterov", 0.1, beta=1), "beta must be a number of at least 0 and b"),
        (lambda: optim.make("rmsprop", 0.1, beta=None), "beta must be a number"),
        (lambda: optim.make("rmsprop", 0.1, eps=0), "eps must be a number above 0, not 0"),
        (lambda: optim.make("adam", 0.1, eps=0.0), r"eps must be a number above 0, not 0\.0"),
    ],
)
def test_optimisers_that_cannot_be(call, words):
    with pytest.raises(ConfigError, match=words):
        call()


def rates(schedule, steps):
    step = mg.var("step")
    return [float(schedule(step).eval({step: float(s)})) for s in range(steps)]


def test_schedules_by_name():
    assert rates(optim.make_schedule("constant", 0.5, 3), 4) == [0.5] * 4
    assert rates(optim.make_schedule("constant", 0.5, 3, warmup=2), 4) == [0.25, 0.5, 0.5, 0.5]
    halved = optim.make_schedule("exponential", 1.0, 99, factor=0.5, every=1)
    assert rates(halved, 3) == [1.0, 0.5, 0.25]
    np.testing.assert_allclose(
        rates(optim.make_schedule("cosine", 2.0, 4), 6),
        [2, 1 + np.sqrt(0.5), 1, 1 - np.sqrt(0.5), 0, 0],
        atol=1e-15,
    )
    warmed = rates(optim.make_schedule("cosine", 2.0, 6, warmup=2), 7)
    np.testing.assert_allclose(
        warmed, [1, 2, 2, 1 + np.sqrt(0.5), 1, 1 - np.sqrt(0.5), 0], atol=1e-15
    )


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: optim.make_schedule("cosin", 0.1, 5), "no schedule is named 'cosin'; did you mea"),
        (lambda: optim.make_schedule("exponential", 0.1, 5), "exponential needs factor="),
        (
            lambda: optim.make_schedule("exponential", 0.1, 5, factr=1),
            "exponential takes factor, every, and no 'factr'; did you mean factor",
        ),
        (lambda: optim.make_schedule("constant", 0.1, 5, x=1), "constant takes no options, and no"),
        (lambda: optim.make_schedule("exponential", 0.1, 5, factor=0), "factor must be .* above 0"),
        (
            lambda: optim.make_schedule("exponential", 0.1, 5, factor=1, every=0),
            "every must be a whole number of at least 1",
        ),
        (lambda: optim.make_schedule("cosine", 0.1, 0), "steps must be a whole number of at lea"),
        (lambda: optim.make_schedule("cosine", -1, 5), "rate must be a number of at least 0, not"),
        (lambda: optim.make_schedule("cosine", optim.constant(1), 5), "rate must be a number"),
        (lambda: optim.make_schedule("cosine", 0.1, 5, warmup=-1), "warmup must be a whole num"),
        (lambda: optim.make_schedule("cosine", 0.1, 5, warmup=5), "warmup must end before train"),
    ],
)
def test_schedules_that_cannot_be(call, words):
    with pytest.raises(ConfigError, match=words):
        call()


# --- groups --------------------------------------------------------------------------------------


def alone(optimizer, name):
    return trained(optimizer, {name: parameters()[name]})[name]


def test_the_longest_prefix_takes_a_parameter():
    parts = {
        "": optim.adam(0.01),
        "embedding": optim.sgd(0.1),
        "layer1": optim.momentum(0.05),
        "layer1.b_f": optim.rmsprop(0.02),
        "readout.W_y": optim.sgd(0),
    }
    values = trained(optim.groups(parts), parameters())
    takes = {
        "embedding.E": "embedding",
        "layer1.W_f": "layer1",
        "layer1.b_f": "layer1.b_f",
        "layer10.W_f": "",
        "readout.W_y": "readout.W_y",
        "readout.b_y": "",
    }
    for name, prefix in takes.items():
        np.testing.assert_allclose(values[name], alone(parts[prefix], name), rtol=1e-13)
    np.testing.assert_array_equal(values["readout.W_y"], parameters()["readout.W_y"].value)


def test_groups_remember_a_flat_dict_of_arrays():
    parts = optim.groups({"": optim.adam(0.1), "layer1": optim.momentum(0.1)})
    params = parameters()
    state = parts.init(params)
    others = [n for n in NAMES if not n.startswith("layer1.")]
    expected = {f"v.{n}" for n in NAMES if n.startswith("layer1.")}
    assert state.keys() == expected | {f"{k}.{n}" for k in "ms" for n in others}
    assert all(isinstance(a, np.ndarray) and not a.any() for a in state.values())
    leaves = {name: mg.param(name, value) for name, value in state.items()}
    moves, new = parts.update(params, leaves, params, mg.const(0.0))
    assert moves.keys() == params.keys()
    assert new.keys() == state.keys()


def test_groups_of_groups():
    inner = optim.groups({"layer1.W_f": optim.sgd(0.1), "": optim.adam(0.01)})
    values = trained(optim.groups({"layer1": inner, "": optim.momentum(0.1)}), parameters())
    for name, optimizer in {
        "layer1.W_f": optim.sgd(0.1),
        "layer1.b_f": optim.adam(0.01),
        "layer10.W_f": optim.momentum(0.1),
    }.items():
        np.testing.assert_allclose(values[name], alone(optimizer, name), rtol=1e-13)


def test_a_rest_that_is_empty_is_no_mistake():
    parts = {"W": optim.sgd(0.1), "": optim.adam(0.1)}
    assert optim.groups(parts).init({"W": mg.param("W", 0.0)}) == {}


@pytest.mark.parametrize(
    ("prefixes", "words"),
    [
        (["embeding", ""], "no parameter's name starts with 'embeding'; did you mean embedding?"),
        (["layer", ""], "no parameter's name starts with 'layer'; did you mean layer1"),
        (["layer1.W", ""], "no parameter's name starts with 'layer1.W'; did you mean layer1.W_"),
        (["zzz", ""], "starts with 'zzz'; there are embedding.E, layer1.W_f, layer1.b_f, layer10"),
        (["layer1"], "no group takes the parameter 'embedding.E'; the prefix \"\" takes any"),
    ],
)
def test_groups_that_do_not_fit_the_model(prefixes, words):
    parts = optim.groups({prefix: optim.sgd(0.1) for prefix in prefixes})
    with pytest.raises(ConfigError, match=re.escape(words)):
        parts.init(parameters())


@pytest.mark.parametrize(
    ("optimizers", "words"),
    [
        ({}, "groups are given as {prefix: optimiser}, such as"),
        (optim.sgd(0.1), "groups are given as {prefix: optimiser}, such as"),
        ({"": optim.sgd}, "group '' is not a prefix with an optim.Optimizer"),
        ({3: optim.sgd(0.1)}, "group 3 is not a prefix with an optim.Optimizer"),
    ],
)
def test_groups_that_cannot_be(optimizers, words):
    with pytest.raises(ConfigError, match=re.escape(words)):
        optim.groups(optimizers)


def test_two_groups_cannot_remember_one_name():
    counting = optim.Optimizer(
        lambda params: {"count": np.zeros(())}, lambda grads, state, params, step: ({}, {})
    )
    parts = optim.groups({"layer1": counting, "": counting})
    with pytest.raises(ConfigError, match="two groups remember 'count'"):
        parts.init(parameters())
