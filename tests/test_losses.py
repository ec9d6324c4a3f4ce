"""Losses against their definitions, and at logits where a literal formula overflows."""

import numpy as np
import pytest

import minigrad as mg
from lstm.arguments import WITHIN
from lstm.errors import ConfigError
from lstm.layers import mask_of
from lstm.losses import binary_cross_entropy, cross_entropy, mse
from lstm.losses.checks import PROBABILITIES


def test_mse():
    a, b = np.array([[1.0], [4.0]]), np.array([[0.0], [2.0]])
    assert mse(mg.const(a), mg.const(b)).eval() == 2.5


def test_cross_entropy_is_its_definition():
    rng = np.random.default_rng(0)
    logits, labels = rng.standard_normal((5, 3, 4)), rng.integers(0, 4, (5, 3))
    softmax = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    expected = -np.log(np.take_along_axis(softmax, labels[..., None], -1)).mean()
    x = mg.param("x", logits)
    loss = cross_entropy(x, mg.const(labels))
    np.testing.assert_allclose(loss.eval(), expected, rtol=1e-12)
    onehot = np.eye(4)[labels]
    np.testing.assert_allclose(mg.grad(loss, x).eval(), (softmax - onehot) / 15, atol=1e-15)


def test_binary_cross_entropy_is_its_definition():
    rng = np.random.default_rng(0)
    logits, targets = rng.standard_normal((5, 2)), rng.random((5, 2))
    p = 1 / (1 + np.exp(-logits))
    expected = -(targets * np.log(p) + (1 - targets) * np.log(1 - p)).mean()
    x = mg.param("x", logits)
    loss = binary_cross_entropy(x, mg.const(targets))
    np.testing.assert_allclose(loss.eval(), expected, rtol=1e-12)
    np.testing.assert_allclose(mg.grad(loss, x).eval(), (p - targets) / 10, atol=1e-15)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_extreme_logits_stay_finite(dtype):
    x = mg.param("x", np.array([[1000.0, -1000.0], [1000.0, -1000.0]]), dtype)
    right = cross_entropy(x, mg.const([0, 0]))
    wrong = cross_entropy(x, mg.const([1, 1]))
    assert (right.eval(), wrong.eval()) == (0.0, 2000.0)
    np.testing.assert_array_equal(mg.grad(wrong, x).eval(), [[0.5, -0.5], [0.5, -0.5]])
    binary = binary_cross_entropy(x, mg.const(np.array([[1.0, 0.0], [0.0, 1.0]]), dtype))
    assert binary.eval() == 500.0
    np.testing.assert_array_equal(mg.grad(binary, x).eval(), [[0.0, 0.0], [0.25, -0.25]])


def test_what_does_not_fit():
    x = mg.var("x", (3, 1))
    with pytest.raises(ConfigError, match=r"\(3, 1\) and target \(3,\) must have one shape"):
        mse(x, mg.var("y", (3,)))
    with pytest.raises(ConfigError, match="must have one shape"):
        binary_cross_entropy(x, mg.var("y", (1,)))
    with pytest.raises(ConfigError, match=r"labels must be integers of shape \(3,\)"):
        cross_entropy(x, mg.var("y", (3, 1), "int64"))
    with pytest.raises(ConfigError, match="labels must be integers"):
        cross_entropy(x, mg.var("y", (3,)))


# --- labels that are no class --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ([-1], r"label -1 at \[0\] is out of range: from 0 to 2"),
        ([3], r"label 3 at \[0\] is out of range: from 0 to 2"),
        ([0, 2, -7, 9], r"label -7 at \[2\] is out of range, and 1 more: from 0 to 2"),
    ],
)
@pytest.mark.parametrize("backend", ["numpy", "native"])
def test_a_label_that_is_no_class_is_named_when_it_is_known(labels, words, backend):
    labels = np.array(labels)
    logits = mg.const(np.zeros((len(labels), 3)))
    for known in (labels, mg.const(labels), labels.tolist()):
        with pytest.raises(ConfigError, match=words):
            cross_entropy(logits, known)
    bound = mg.var("labels", labels.shape, "int64")
    x = mg.param("x", np.zeros((len(labels), 3)))
    loss = cross_entropy(x, bound)
    with pytest.raises(ConfigError, match=words):
        loss.eval({bound: labels})
    step = mg.function([bound], [loss], updates={x: x - mg.grad(loss, x)}, backend=backend)
    with pytest.raises(ConfigError, match=words):
        step(labels)
    np.testing.assert_array_equal(x.value, 0.0)
    step(np.clip(labels, 0, 2))
    assert (x.value != 0.0).all()


def test_the_first_and_the_last_class_are_classes():
    logits = np.log(np.array([[0.5, 0.25, 0.25], [0.125, 0.375, 0.5]]))
    loss = cross_entropy(mg.const(logits), np.array([0, 2], np.uint8))
    assert float(loss.eval()) == pytest.approx(np.log(2.0), rel=1e-15)


def test_labels_computed_from_a_variable_are_looked_at_too():
    x, shift = mg.var("x", (2, 3)), mg.var("shift", (), "int64")
    loss = cross_entropy(x, mg.const([0, 2]) + shift)
    zeros = np.zeros((2, 3))
    assert float(loss.eval({x: zeros, shift: 0})) == pytest.approx(np.log(3.0))
    with pytest.raises(ConfigError, match=r"label 3 at \[1\] is out of range"):
        loss.eval({x: zeros, shift: 1})


@pytest.mark.parametrize("backend", ["numpy", "native"])
def test_labels_of_each_step_are_looked_at_once_before_the_loop(backend):
    """So that the loop stays machine code, and the label is named with its step."""
    w = mg.param("w", np.full((2, 3), 0.1))
    xs, labels = mg.var("xs", (4, 5, 2)), mg.var("labels", (4, 5), "int64")

    def step(total, inputs):
        x, label = inputs
        return total + cross_entropy(x @ w, label), None

    total, _ = mg.scan(step, mg.const(0.0), (xs, labels))
    run = mg.function([xs, labels], [total, mg.grad(total, w)], backend=backend)
    data, good = np.random.default_rng(0).random((4, 5, 2)), np.ones((4, 5), np.int64)
    bad = good.copy()
    bad[2, 3] = -1
    with pytest.raises(ConfigError, match=r"label -1 at \[2, 3\] is out of range"):
        run(data, bad)
    expected = sum(cross_entropy(mg.const(data[t]) @ w, good[t]).eval() for t in range(4))
    assert float(run(data, good)[0]) == pytest.approx(float(expected), rel=1e-12)
    assert "a loop runs on numpy" not in run.report()


def test_what_a_param_holds_is_looked_at_at_each_call():
    """Its value may be set anew after the graph was built."""
    labels = mg.param("labels", np.array([0, 1]))
    lengths = mg.param("lengths", np.array([1, 2]))
    loss = cross_entropy(mg.const(np.zeros((2, 3))), labels)
    run = mg.function([], [loss, mask_of(lengths, 2)])
    assert float(run()[0]) == pytest.approx(np.log(3.0))
    labels.value = np.array([0, 3])
    with pytest.raises(ConfigError, match=r"label 3 at \[1\] is out of range: from 0 to 2"):
        run()
    labels.value, lengths.value = np.array([0, 2]), np.array([0, 2])
    with pytest.raises(ConfigError, match=r"length 0 at \[0\] is out of range: from 1 to 2"):
        run()


def test_a_label_alone_is_named_without_a_place():
    with pytest.raises(ConfigError, match="label 4 is out of range: from 0 to 2"):
        cross_entropy(mg.const(np.zeros(3)), 4)


def test_losses_take_arrays_as_targets_in_the_predictions_dtype():
    x = mg.param("x", np.array([[1.0], [4.0]]), "float32")
    for loss in (mse, binary_cross_entropy):
        assert loss(x, [[0.0], [1.0]]).dtype == np.float32
    assert float(mse(x, [[0.0], [2.0]]).eval()) == 2.5


def test_the_check_of_labels_states_its_type():
    with pytest.raises(mg.DTypeError, match="each label must be an integer, not float64"):
        WITHIN(mg.var("l", (2,)), least=0, most=2, what="label")
    for most in (-1, -2):
        with pytest.raises(mg.ShapeError, match="a range is of two whole numbers"):
            WITHIN(mg.var("l", (2,), "int64"), least=0, most=most, what="label")
    for most in (True, 2.5):
        with pytest.raises((TypeError, mg.ShapeError)):
            WITHIN(mg.var("l", (2,), "int64"), least=0, most=most, what="label")
    x, labels = mg.var("x", (2, 3)), mg.var("labels", (2,), "int64")
    loss = cross_entropy(x, labels)
    assert mg.loads(mg.dumps(loss)) is loss


LABELS = np.array([-(2**63), -1, 0, 2, 3, 2**62])
SHARES = np.array([-1.0, -1e-300, 0.0, 0.5, 1.0, 1 + 5e-7, 1.01, np.nan, np.inf])


@pytest.mark.parametrize(
    ("op", "values", "attrs"),
    [
        (WITHIN, LABELS, (0, 2, "label")),
        (WITHIN, LABELS[LABELS >= 0].astype("uint8"), (-5, 2, "label")),
        (WITHIN, np.array([0, 3], "uint8"), (0, 1000, "label")),
        (PROBABILITIES, SHARES, ()),
        (PROBABILITIES, SHARES.astype("float32"), ()),
    ],
)
def test_what_checks_require_is_what_they_let_pass(op, values, attrs):
    x = mg.var("x", values.shape, values.dtype)
    passes = op.requires(x, *attrs).eval({x: values})
    for value, fits in zip(values, passes, strict=True):
        try:
            assert op.numpy(np.array([value]), *attrs)[0] == value
            assert fits
        except ConfigError:
            assert not fits
