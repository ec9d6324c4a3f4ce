"""Optimisers against loops written by hand in NumPy, and against what their papers say of them."""

import itertools

import numpy as np
import pytest

import minigrad as mg
from lstm import optim
from lstm.training import Trainer

STEPS, RATE, DECAY = 12, 0.1, 0.05
START = {"W": np.array([[1.0, -2.0, 3.0], [0.5, 0.0, -0.25]]), "b": np.array([1.0, -2.0, 3.0])}
_RNG = np.random.default_rng(0)
GRADS = [
    {name: _RNG.standard_normal(w.shape) * [1.0, 10.0, 0.01] for name, w in START.items()}
    for _ in range(STEPS)
]


def run(optimizer, dtype="float64", clip=None, backend="auto"):
    """The parameters after each step; the loss Σ w·g has the gradients g."""
    params = {name: mg.param(name, w, dtype) for name, w in START.items()}
    inputs = {name: mg.var(f"g_{name}", w.shape, dtype) for name, w in START.items()}
    loss = mg.sum(params["W"] * inputs["W"]) + mg.sum(params["b"] * inputs["b"])
    trainer = Trainer(loss, list(inputs.values()), params, optimizer, clip, backend)
    after = []
    for grads in GRADS:
        trainer.step(*grads.values())
        after.append({name: w.value.copy() for name, w in params.items()})
    return after


def by_hand(rule, grads=GRADS):
    """The same by hand; rule(w, g, memory, t) -> w, with a memory for each parameter, t from one.

    The rule may decay W, and never b.
    """
    now, memories, after = dict(START), {name: {} for name in START}, []
    for t, g in enumerate(grads, 1):
        now = {
            name: rule(w, g[name], memories[name], t, DECAY if name == "W" else 0.0)
            for name, w in now.items()
        }
        after.append(now)
    return after


def assert_same(after, expected, **tolerance):
    assert len(after) == len(expected) == STEPS
    for step, by_us in zip(expected, after, strict=True):
        for name, w in step.items():
            np.testing.assert_allclose(by_us[name], w, **tolerance)


def sgd(w, g, memory, t, decay):
    return w - RATE * g


def sgd_decayed(w, g, memory, t, decay):
    return (1 - RATE * decay) * w - RATE * g


def momentum(w, g, memory, t, decay, own_decay=False):
    g = g + decay * w if own_decay else g
    memory["v"] = 0.9 * memory.get("v", 0) + g
    return w - RATE * memory["v"]


def momentum_decayed(*args):
    return momentum(*args, own_decay=True)


def nesterov(w, g, memory, t, decay, own_decay=False):
    g = g + decay * w if own_decay else g
    memory["v"] = 0.9 * memory.get("v", 0) + g
    return w - RATE * (g + 0.9 * memory["v"])


def nesterov_decayed(*args):
    return nesterov(*args, own_decay=True)


def rmsprop(w, g, memory, t, decay):
    memory["s"] = 0.9 * memory.get("s", 0) + 0.1 * g**2
    return w - RATE * g / (np.sqrt(memory["s"]) + 1e-8)


def adam(w, g, memory, t, decay, betas=(0.9, 0.999)):
    """Algorithm 1, with both sums written out instead of the recursions."""
    grads = memory.setdefault("g", [])
    grads.append(g)
    m, s = (
        sum((1 - beta) * beta ** (t - i) * g**power for i, g in enumerate(grads, 1))
        for beta, power in zip(betas, (1, 2), strict=True)
    )
    m_hat, s_hat = m / (1 - betas[0] ** t), s / (1 - betas[1] ** t)
    return w - RATE * m_hat / (np.sqrt(s_hat) + 1e-8)


def adam_without_first_moment(*args):
    return adam(*args, betas=(0.0, 0.5))


def adamw(w, g, memory, t, decay):
    return adam(w, g, memory, t, decay) - RATE * decay * w


CASES = [
    (optim.sgd(RATE), sgd),
    (optim.sgd(RATE, decay=DECAY), sgd_decayed),
    (optim.momentum(RATE), momentum),
    (optim.momentum(RATE, decay=DECAY), momentum_decayed),
    (optim.nesterov(RATE), nesterov),
    (optim.nesterov(RATE, decay=DECAY), nesterov_decayed),
    (optim.rmsprop(RATE), rmsprop),
    (optim.adam(RATE), adam),
    (optim.adam(RATE, beta1=0.0, beta2=0.5), adam_without_first_moment),
    (optim.adamw(RATE, decay=DECAY), adamw),
]


@pytest.mark.parametrize(("optimizer", "rule"), CASES, ids=[rule.__name__ for _, rule in CASES])
def test_optimisers_are_the_loops_by_hand(optimizer, rule):
    assert_same(run(optimizer), by_hand(rule), rtol=1e-12, atol=1e-13)
    assert_same(run(optimizer, backend="native"), by_hand(rule), rtol=1e-12, atol=1e-13)
    assert_same(run(optimizer, "float32"), by_hand(rule), rtol=2e-4, atol=1e-5)


def test_what_decays_is_what_one_says():
    """By default leaves of two axes or more: a gate that is set to remember stays so."""
    for make in (optim.sgd, optim.momentum, optim.nesterov, optim.adamw):
        still = {
            what: _without_gradients(make(RATE, decay=DECAY, **options))
            for what, options in {
                "weights": {},
                "all": {"decays": lambda name, param: True},
                "one": {"decays": lambda name, param: name == "b"},
            }.items()
        }
        factor = 1 - RATE * DECAY
        for what, name in itertools.product(still, START):
            decays = what == "all" or (what == "weights") == (name == "W")
            expected = START[name] * (factor if decays else 1)
            # nesterov: the first step is (1 + beta) as long
            if make is optim.nesterov and decays:
                expected = START[name] * (1 - RATE * DECAY * 1.9)
            np.testing.assert_allclose(still[what][name], expected, rtol=1e-12)
    deep = mg.param("deep", np.zeros((2, 3, 4)))
    assert optim.weights_only("layer1.b_f", deep)
    assert not optim.weights_only("layer1.W_f", mg.param("scalar", 0.0))


def _without_gradients(optimizer):
    params = {name: mg.param(name, w) for name, w in START.items()}
    zero = mg.sum(params["W"] * 0.0) + mg.sum(params["b"] * 0.0)
    Trainer(zero, [], params, optimizer).step()
    return {name: w.value for name, w in params.items()}


def test_adams_first_step_is_the_rate_whatever_the_gradients_size():
    """Kingma & Ba, section 2.1: bias correction makes |Δ| ≈ rate from the start."""
    first = run(optim.adam(RATE))[0]
    for name, w in START.items():
        np.testing.assert_allclose(w - first[name], RATE * np.sign(GRADS[0][name]), rtol=1e-5)


def test_adamws_decay_does_not_pass_through_the_gradients_scale():
    """Loshchilov & Hutter: without gradients, w decays by 1 - rate · decay a step."""
    w, g = mg.param("w", START["W"]), mg.var("g", (2, 3))
    trainer = Trainer(mg.sum(w * g), [g], {"w": w}, optim.adamw(RATE, decay=0.05))
    for _ in range(3):
        trainer.step(np.zeros((2, 3)))
    np.testing.assert_allclose(w.value, START["W"] * (1 - RATE * 0.05) ** 3, rtol=1e-12)


@pytest.mark.parametrize("name", optim.OPTIMIZERS)
def test_every_optimiser_finds_the_least_of_a_bowl(name):
    w = mg.param("w", START["W"])
    trainer = Trainer(
        mg.sum(mg.square(w - 0.5)), [], {"w": w}, optim.OPTIMIZERS[name](optim.cosine(0.1, 200))
    )
    losses = [trainer.step().loss for _ in range(200)]
    assert losses[-1] < 1e-2 * losses[0]


@pytest.mark.parametrize("name", optim.OPTIMIZERS)
def test_dtypes_are_kept(name):
    w = mg.param("w", START["W"], "float32")
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
    """One norm of all parameters together."""
    norms = [float(np.sqrt(sum((g**2).sum() for g in grads.values()))) for grads in GRADS]
    clipped = [
        {name: g / max(1.0, norm) for name, g in grads.items()}
        for grads, norm in zip(GRADS, norms, strict=True)
    ]
    expected = by_hand(sgd, clipped)
    assert_same(run(optim.sgd(RATE), clip=1.0), expected, rtol=1e-12, atol=1e-14)


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
