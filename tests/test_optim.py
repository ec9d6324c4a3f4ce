"""Optimisers against loops written by hand in NumPy, and against what their papers say of them."""

import numpy as np
import pytest

import minigrad as mg
from lstm import optim
from lstm.training import Trainer

STEPS, RATE = 7, 0.1
GRADS = np.random.default_rng(0).standard_normal((STEPS, 3)) * [1.0, 10.0, 0.01]
START = np.array([1.0, -2.0, 3.0])


def run(optimizer, dtype="float64", clip=None):
    """The parameters after each step; the loss w·g has the gradient g."""
    w, g = mg.param("w", START, dtype), mg.var("g", (3,), dtype)
    trainer = Trainer(mg.sum(w * g), [g], {"w": w}, optimizer, clip)
    found = []
    for grad in GRADS:
        trainer.step(grad)
        found.append(w.value.copy())
    return np.array(found)


def by_hand(rule):
    """The same by hand; rule(w, g, memory, t) -> w, t from one."""
    w, memory, found = START.copy(), {}, []
    for t, g in enumerate(GRADS, 1):
        w = rule(w, g, memory, t)
        found.append(w)
    return np.array(found)


def sgd(w, g, memory, t):
    return w - RATE * g


def momentum(w, g, memory, t):
    memory["v"] = 0.9 * memory.get("v", 0) + g
    return w - RATE * memory["v"]


def nesterov(w, g, memory, t):
    memory["v"] = 0.9 * memory.get("v", 0) + g
    return w - RATE * (g + 0.9 * memory["v"])


def rmsprop(w, g, memory, t):
    memory["s"] = 0.9 * memory.get("s", 0) + 0.1 * g**2
    return w - RATE * g / (np.sqrt(memory["s"]) + 1e-8)


def adam(w, g, memory, t):
    memory["m"] = 0.9 * memory.get("m", 0) + 0.1 * g
    memory["s"] = 0.999 * memory.get("s", 0) + 0.001 * g**2
    m, s = memory["m"] / (1 - 0.9**t), memory["s"] / (1 - 0.999**t)
    return w - RATE * m / (np.sqrt(s) + 1e-8)


def adamw(w, g, memory, t):
    return adam(w, g, memory, t) - RATE * 0.05 * w


CASES = [
    (optim.sgd(RATE), sgd),
    (optim.momentum(RATE), momentum),
    (optim.momentum(RATE, nesterov=True), nesterov),
    (optim.rmsprop(RATE), rmsprop),
    (optim.adam(RATE), adam),
    (optim.adamw(RATE, decay=0.05), adamw),
]


@pytest.mark.parametrize(("optimizer", "rule"), CASES, ids=[rule.__name__ for _, rule in CASES])
def test_optimisers_are_the_loops_by_hand(optimizer, rule):
    np.testing.assert_allclose(run(optimizer), by_hand(rule), rtol=1e-11)
    np.testing.assert_allclose(run(optimizer, "float32"), by_hand(rule), rtol=2e-4)


def test_adams_first_step_is_the_rate_whatever_the_gradients_size():
    """Kingma & Ba, section 2.1: bias correction makes |Δ| ≈ rate from the start."""
    first = run(optim.adam(RATE))[0]
    np.testing.assert_allclose(START - first, RATE * np.sign(GRADS[0]), rtol=1e-5)


def test_adamws_decay_does_not_pass_through_the_gradients_scale():
    """Loshchilov & Hutter: without gradients, w decays by 1 - rate · decay a step."""
    w, g = mg.param("w", START), mg.var("g", (3,))
    trainer = Trainer(mg.sum(w * g), [g], {"w": w}, optim.adamw(RATE, decay=0.05))
    for _ in range(3):
        trainer.step(np.zeros(3))
    np.testing.assert_allclose(w.value, START * (1 - RATE * 0.05) ** 3, rtol=1e-12)


@pytest.mark.parametrize("name", optim.OPTIMIZERS)
def test_every_optimiser_finds_the_least_of_a_bowl(name):
    w = mg.param("w", START)
    trainer = Trainer(
        mg.sum(mg.square(w - 0.5)), [], {"w": w}, optim.OPTIMIZERS[name](optim.cosine(0.1, 200))
    )
    losses = [trainer.step().loss for _ in range(200)]
    assert losses[-1] < 1e-2 * losses[0]


@pytest.mark.parametrize("name", optim.OPTIMIZERS)
def test_dtypes_are_kept(name):
    w = mg.param("w", START, "float32")
    optimizer = optim.OPTIMIZERS[name](0.1)
    state = {key: mg.param(key, value) for key, value in optimizer.init({"w": w}).items()}
    steps, new = optimizer.update({"w": w * 2}, state, {"w": w}, mg.const(0.0))
    assert steps["w"].dtype == np.float32
    assert new.keys() == state.keys()
    assert all(value.dtype == np.float32 for value in new.values())


def test_clipping():
    big, small = mg.const([3.0, 0.0]), mg.const(4.0)
    assert optim.global_norm({"a": big, "b": small}).eval() == 5.0
    clipped = optim.clip_by_global_norm({"a": big, "b": small}, 1.0)
    np.testing.assert_allclose(clipped["a"].eval(), [0.6, 0.0])
    np.testing.assert_allclose(clipped["b"].eval(), 0.8)
    kept = optim.clip_by_global_norm({"a": big, "b": small}, 5.0)
    np.testing.assert_array_equal(kept["a"].eval(), [3.0, 0.0])
    zero = optim.clip_by_global_norm({"a": mg.const([0.0])}, 1.0)
    np.testing.assert_array_equal(zero["a"].eval(), [0.0])


def test_clipping_in_training():
    def clipped(w, g, memory, t):
        return w - RATE * g / max(1.0, float(np.linalg.norm(g)))

    np.testing.assert_allclose(run(optim.sgd(RATE), clip=1.0), by_hand(clipped), rtol=1e-12)


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (optim.constant(0.3), [0.3] * 6),
        (optim.exponential(1.0, 0.5), [1, 0.5, 0.25, 0.125, 0.0625, 0.03125]),
        (optim.exponential(1.0, 0.25, every=2), [1, 0.5, 0.25, 0.125, 0.0625, 0.03125]),
        (optim.cosine(2.0, 4), [2, 1 + np.sqrt(0.5), 1, 1 - np.sqrt(0.5), 0, 0]),
        (optim.warmup(4, 1.0), [0.25, 0.5, 0.75, 1, 1, 1]),
        (optim.warmup(2, optim.cosine(1.0, 2)), [0.5, 1, 1, 0.5, 0, 0]),
    ],
)
def test_schedules(schedule, expected):
    step = mg.var("step")
    found = [schedule(step).eval({step: float(s)}) for s in range(6)]
    np.testing.assert_allclose(found, expected, atol=1e-15)


def test_a_schedule_advances_with_training():
    w = mg.param("w", 0.0)
    trainer = Trainer(w * 1.0, [], {"w": w}, optim.sgd(optim.exponential(1.0, 0.5)))
    values = []
    for _ in range(3):
        trainer.step()
        values.append(float(w.value))
    assert values == [-1.0, -1.5, -1.75]


def test_the_names_of_the_optimisers():
    named = [optim.sgd, optim.momentum, optim.rmsprop, optim.adam, optim.adamw]
    assert {f.__name__: f for f in named} == optim.OPTIMIZERS
