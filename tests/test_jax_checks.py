"""Checks of labels, tokens, lengths and probabilities on JAX: computed where all else is, and told
as the reference tells them; and ops of users, which NumPy computes, called from XLA's threads.
"""

from __future__ import annotations

import numpy as np
import pytest
from jax_peer import agree, jax

import lstm
import minigrad as mg
from lstm.arguments import within
from lstm.losses.checks import PROBABILITIES
from minigrad.graph.node import OPS

LABELS, TARGETS = mg.var("labels", (3, 2), "int64"), mg.var("targets", (4,))
SOUND = [[0, 1], [2, 3], [4, 5]], [0.0, 0.5, 0.25, 1.0]


def told(f, *values):
    """What a call raises, and of which op."""
    with pytest.raises(lstm.ConfigError) as caught:
        f(*values)
    return str(caught.value), caught.value.__notes__[0]


def both(inputs, outputs, **options):
    return [mg.function(inputs, outputs, backend=b, **options) for b in ("jax", "numpy")]


@pytest.mark.parametrize(
    ("labels", "targets"),
    [
        ([[0, 1], [7, 3], [-4, 5]], SOUND[1]),
        ([[9, 9], [9, 9], [9, 9]], SOUND[1]),
        ([[0, 1], [2, 3], [4, 2**62]], SOUND[1]),
        (SOUND[0], [0.0, np.nan, 0.25, 2.0]),
        (SOUND[0], [0.0, 1.0, 0.25, -1e-300]),
        ([[0, 1], [2, 3], [4, 6]], [0.0, 0.0, 0.0, 7.0]),
    ],
)
def test_the_first_that_is_wrong_is_told_as_the_reference_tells_it(labels, targets):
    seen = mg.param("seen", 0.0)
    checked = [within(LABELS, 0, 5, "label"), mg.grad(mg.sum(PROBABILITIES(TARGETS) ** 2), TARGETS)]
    ours, theirs = both([LABELS, TARGETS], checked, updates={seen: seen + 1})
    for a, b in zip(ours(*SOUND), theirs(*SOUND), strict=True):
        np.testing.assert_array_equal(a, b)
    assert told(ours, labels, targets) == told(theirs, labels, targets)
    assert seen.value == 2.0  # one of each
    assert "numpy" not in str(ours.report())


@pytest.mark.parametrize("reverse", [False, True])
def test_the_first_step_that_is_wrong_is_told(reverse):
    ks = mg.var("ks", (3, 2), "int32")

    def step(c, k):  # a check that meets the carry stays in the loop
        token = within(mg.astype(c, "int32") + k, 0, 5, "token")
        return c + 1, mg.sum(token)

    _, ys = mg.scan(step, mg.const(0.0), ks, reverse=reverse)
    ours, theirs = both([ks], ys)
    sound = [[0, 0], [0, 1], [1, 1]]
    assert ours(sound).tolist() == theirs(sound).tolist()
    for wrong in ([[0, 0], [0, 9], [-9, 1]], [[-3, 0], [0, 0], [0, 0]], [[0, 0], [7, 7], [0, 8]]):
        assert told(ours, wrong) == told(theirs, wrong)


def test_a_check_in_a_loop_within_a_loop():
    ks = mg.var("ks", (2, 3), "int32")

    def inner(c, k):
        return c + 1.0 * within(mg.astype(c, "int32") + k, 0, 5, "token"), c

    def outer(c, row):
        return mg.scan(inner, c, row)

    ours, theirs = both([ks], mg.scan(outer, mg.const(0.0), ks)[1])
    assert told(ours, [[0, 0, 1], [1, 0, 6]]) == told(theirs, [[0, 0, 1], [1, 0, 6]])


def test_of_no_labels_none_is_wrong():
    labels = mg.var("labels", (0, 2), "int64")
    agree([labels], [within(labels, 0, 5, "label")], [np.zeros((0, 2), "int64")])


def test_a_step_of_training_asks_nothing_of_the_host():
    task = lstm.Copying(length=4)
    model = lstm.Model.create(lstm.LSTM, task=task, hidden_size=4, seed=0)
    batch = task.batch(np.random.default_rng(0), 3)
    xs, ys = mg.var("xs", batch.xs.shape, batch.xs.dtype), mg.var("ys", batch.ys.shape, "int64")
    loss = task.loss(model.output(xs), ys)
    trainer = lstm.Trainer(loss, [xs, ys], model.params, lstm.optim.adam(0.01), backend="jax")
    assert "numpy" not in str(trainer._run.report())
    assert trainer.step(*batch).step == 1
    wrong = batch.ys.copy()
    wrong[1, 0] = -1
    before = model.values()
    with pytest.raises(lstm.ConfigError, match=r"label -1 at \[1, 0\] is out of range"):
        trainer.step(batch.xs, wrong)
    for name, value in model.values().items():
        np.testing.assert_array_equal(value, before[name])


def test_pure_functions_check_nothing_and_have_gradients():
    logits = mg.var("logits", (4,))
    loss = lstm.losses.binary_cross_entropy(logits, TARGETS)
    values = {"logits": np.linspace(-1, 1, 4), "targets": np.array(SOUND[1])}
    with jax.enable_x64(True):
        f = mg.to_jax(loss)
        ours = jax.grad(f, argnums=1)({}, values)
        assert np.isfinite(f({}, values | {"targets": np.full(4, 7.0)}))
    for leaf in (logits, TARGETS):
        wanted = mg.grad(loss, leaf).eval({logits: values["logits"], TARGETS: values["targets"]})
        np.testing.assert_allclose(ours[leaf.name], wanted, rtol=1e-12)


# --- ops of users --------------------------------------------------------------------------------


@pytest.fixture
def halved():
    def half(x):
        return x // 2 if x.dtype.kind == "i" else x / 2

    yield mg.register(mg.Op("halved", lambda x: x, half, no_gradient=True))
    del OPS["halved"]


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "int64"])
def test_what_the_host_computes_has_all_its_bits(dtype, halved):
    """In a thread of XLA's, too, in which its code runs where there is much of it."""
    x, k = mg.var("x", (400, 400)), mg.var("k", (3,), dtype)
    _, ys = mg.scan(lambda c, _: (mg.tanh(c @ x), mg.sum(c)), x, length=10)
    late = k + mg.astype(0 * mg.sum(ys), dtype)
    f = mg.function([x, k], [halved(late), halved(mg.max(late))], backend="jax")
    values = np.array([7 / 3, 2**30 + 3, 5]).astype(dtype)
    for _ in range(3):
        some, one = f(np.full((400, 400), 0.01), values)
        wanted = values // 2 if values.dtype.kind == "i" else values / 2
        np.testing.assert_array_equal(some, wanted)
        assert one == wanted[1] and some.dtype == one.dtype == dtype


def test_an_op_that_raises_less_than_it_says_is_told():
    picky = mg.register(
        mg.Op("picky", lambda x: x, lambda x: x, no_gradient=True, requires=lambda x: x > 0)
    )
    try:
        x = mg.var("x", (2,))
        with pytest.raises(mg.GraphError, match=r"op picky lets -1\.0 pass, which its `requires`"):
            mg.function([x], picky(x), backend="jax")([1.0, -1.0])
    finally:
        del OPS["picky"]
