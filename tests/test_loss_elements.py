"""What counts in a loss: masks, weights, reductions, labels that are ignored, weights of classes;
against sums written out in NumPy, element by element, in float64.
"""

from __future__ import annotations

import itertools
from math import exp, log

import numpy as np
import pytest

import minigrad as mg
from lstm.errors import ConfigError
from lstm.losses import binary_cross_entropy, cross_entropy, huber, mae, mse

SHAPE = (4, 3, 2)  # (T, B, O), or (T, B, K) for labels
LOSSES = {
    "mse": (mse, lambda p, t: (p - t) ** 2),
    "mae": (mae, lambda p, t: abs(p - t)),
    "huber": (huber, lambda p, t: (p - t) ** 2 / 2 if abs(p - t) <= 1 else abs(p - t) - 0.5),
    "binary": (
        binary_cross_entropy,
        lambda p, t: t * log(1 + exp(-p)) + (1 - t) * log(1 + exp(p)),
    ),
}
SLOPES = {
    "mse": lambda p, t: 2 * (p - t),
    "mae": lambda p, t: np.sign(p - t),
    "huber": lambda p, t: np.clip(p - t, -1, 1),
    "binary": lambda p, t: 1 / (1 + np.exp(-p)) - t,
}


def case(seed=0):
    rng = np.random.default_rng(seed)
    prediction, target = 2 * rng.standard_normal(SHAPE), rng.random(SHAPE)
    mask = rng.random(SHAPE) < 0.6
    weights = rng.integers(0, 4, SHAPE) / 2
    assert mask.any()
    assert not mask.all()
    assert (weights[mask] == 0).any()
    return prediction, target, mask, weights


def reduced(values, mask, weights, reduction):
    """The definition, one element after the other."""
    total = count = 0.0
    each = np.zeros(values.shape)
    for index in np.ndindex(values.shape):
        if mask[index]:
            each[index] = weights[index] * values[index]
            total += each[index]
            count += weights[index]
    return {"none": each, "sum": total, "mean": total / count if count else 0.0}[reduction]


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize(("masked", "weighted"), [*itertools.product([False, True], repeat=2)])
def test_losses_are_sums_over_what_counts(name, reduction, masked, weighted):
    loss, formula = LOSSES[name]
    prediction, target, mask, weights = case()
    expected = reduced(
        np.vectorize(formula)(prediction, target),
        mask if masked else np.ones(SHAPE, bool),
        weights if weighted else np.ones(SHAPE),
        reduction,
    )
    options = {"mask": mask} if masked else {}
    options |= {"weights": weights} if weighted else {}
    result = loss(mg.const(prediction), target, reduction=reduction, **options)
    np.testing.assert_allclose(result.eval(), expected, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_under_masks_and_weights(name):
    loss, _ = LOSSES[name]
    prediction, target, mask, weights = case()
    x = mg.param("x", prediction)
    slopes = SLOPES[name](prediction, target) * np.where(mask, weights, 0)
    gradient = mg.grad(loss(x, target, mask=mask, weights=weights), x).eval()
    np.testing.assert_allclose(gradient, slopes / weights[mask].sum(), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("way", [{"backend": "numpy"}, {"backend": "native"}, {"simplify": False}])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("weighted", [False, True])
def test_what_a_mask_leaves_out_may_be_nan(name, way, bad, weighted):
    """In prediction, target and weights, rewritten or as it stands; the gradient is exactly 0."""
    loss, _ = LOSSES[name]
    prediction, target, mask, weights = case()
    x, t, w = (mg.var(n, SHAPE) for n in ("x", "t", "w"))
    m = mg.var("m", SHAPE, "bool")
    y = loss(x, t, mask=m, weights=w if weighted else None)
    inputs = [x, t, m, w][: 4 if weighted else 3]
    run = mg.function(inputs, [y, mg.grad(y, x)], **way)

    def padded_with(value):
        p, t, w = (np.where(mask, a, value) for a in (prediction, target, weights))
        return run(*[p, t, mask, w][: len(inputs)])

    clean, padded = padded_with(0.5), padded_with(bad)
    np.testing.assert_array_equal(padded[0], clean[0])
    np.testing.assert_array_equal(padded[1], clean[1])
    assert (padded[1][~mask] == 0).all()


def test_nan_does_not_pass_a_mask_into_what_made_the_prediction():
    """A readout of padded states: the gradient of its weights is that of the other rows."""
    states, weights = np.random.default_rng(0).random((5, 3)), np.full((3, 2), 0.3)
    mask = np.array([True, False, True, True, False])
    states[~mask] = np.nan
    labels = np.where(mask, [0, 1, 1, 0, 1], -7)
    W = mg.param("W", weights)
    gradient = mg.grad(cross_entropy(mg.const(states) @ W, labels, mask=mask), W).eval()
    alone = mg.grad(cross_entropy(mg.const(states[mask]) @ W, labels[mask]), W).eval()
    np.testing.assert_allclose(gradient, alone, rtol=1e-13)


@pytest.mark.parametrize("name", LOSSES)
def test_where_nothing_counts_the_mean_is_0_and_so_is_its_gradient(name):
    loss, _ = LOSSES[name]
    prediction, target, _, _ = case()
    x = mg.param("x", prediction)
    nothing, zeros = np.zeros(SHAPE, bool), np.zeros(SHAPE)
    for options in ({"mask": nothing}, {"weights": zeros}, {"mask": nothing, "weights": zeros}):
        y = loss(x, target, **options)
        np.testing.assert_array_equal(y.eval(), 0.0)
        np.testing.assert_array_equal(mg.grad(y, x).eval(), 0.0)
    none = np.zeros((0, 2))
    for options in ({}, {"mask": none == 1}, {"weights": none}):
        np.testing.assert_array_equal(loss(mg.const(none), none, **options).eval(), 0.0)


def test_masks_and_weights_of_the_first_axes():
    prediction, target, _, _ = case()
    rng = np.random.default_rng(1)
    x = mg.const(prediction)
    for shape in ((4,), (4, 3), (1, 3), (4, 1, 2), (1, 1, 1), ()):
        mask, weights = rng.random(shape) < 0.7, rng.random(shape)
        mask = mask if mask.any() else ~mask
        whole_mask, whole_weights = (
            np.broadcast_to(a.reshape(shape + (1,) * (3 - len(shape))), SHAPE)
            for a in (mask, weights)
        )
        expected = mse(x, target, mask=whole_mask, weights=whole_weights).eval()
        np.testing.assert_allclose(
            mse(x, target, mask=mask, weights=weights).eval(), expected, rtol=1e-14
        )


def test_the_first_axis_is_meant_even_where_the_last_is_as_long():
    """NumPy would take (2,) for the last axis; what it weighs would depend on the sizes."""
    x = mg.const(np.array([[1.0, 2.0], [3.0, 4.0]]))
    zeros = np.zeros((2, 2))
    np.testing.assert_array_equal(
        mae(x, zeros, weights=[1.0, 10.0], reduction="none").eval(), [[1, 2], [30, 40]]
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"mask": np.ones(3, bool)}, r"mask of shape \(3,\) do not fit elements of shape \(4, 3"),
        ({"weights": np.ones((3, 2))}, r"weights of shape \(3, 2\) .*; is it \(1, 3, 2\)\?"),
        ({"weights": np.ones((4, 3, 2, 1))}, r"weights of shape \(4, 3, 2, 1\) do not fit"),
        ({"weights": np.ones((0,))}, r"weights of shape \(0,\) do not fit"),
        ({"mask": np.ones(SHAPE)}, "mask must be bool, True where an element counts, not float64"),
        ({"mask": [1, 0, 1, 1]}, "mask must be bool, .* not int64"),
        ({"weights": np.ones(SHAPE, bool)}, "weights must be numbers, not bool; a mask says"),
        ({"reduction": "avg"}, "reduction must be one of mean, sum, none, not 'avg'"),
        ({"reduction": None}, "reduction must be one of mean, sum, none, not None"),
    ],
)
def test_what_cannot_say_what_counts(options, words):
    prediction, target, _, _ = case()
    for loss in (mse, mae, huber, binary_cross_entropy):
        with pytest.raises(ConfigError, match=words):
            loss(mg.const(prediction), target, **options)


def test_dtypes_of_weights_and_masks_do_not_lift_the_loss():
    prediction, target, mask, weights = case()
    x = mg.param("x", prediction, "float32")
    for reduction in ("mean", "sum", "none"):
        for w in (weights, weights.astype(np.int64)):
            y = mse(x, target, mask=mask, weights=w, reduction=reduction)
            assert y.dtype == np.float32


# --- huber ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("delta", [0.5, 1, 2.0])
def test_huber_is_its_definition_on_both_sides(delta):
    d = np.array([-5.0, -delta, -0.1, 0.0, 0.1, delta, 5.0])
    x = mg.param("x", d)
    y = huber(x, np.zeros(7), delta, reduction="none")
    expected = np.where(abs(d) <= delta, d * d / 2, delta * (abs(d) - delta / 2))
    np.testing.assert_allclose(y.eval(), expected, rtol=1e-15)
    np.testing.assert_allclose(mg.grad(mg.sum(y), x).eval(), np.clip(d, -delta, delta))
    second = np.diag(mg.hessian(mg.sum(y), x).eval())
    np.testing.assert_array_equal(second[[0, 2, 3, 4, 6]], [0, 1, 1, 1, 0])
    far = huber(mg.const([1e300]), [-1e300], delta)
    assert float(far) == pytest.approx(delta * 2e300)


@pytest.mark.parametrize("delta", [0, -1.0, np.nan, np.inf, True, "1", None, 10**400])
def test_a_delta_that_cannot_be(delta):
    with pytest.raises(ConfigError, match="delta must be a number above 0, not"):
        huber(mg.const([1.0]), [0.0], delta)


# --- cross entropy -------------------------------------------------------------------------------


def entropies(logits, targets, class_weights, smoothing):
    """For each element, the weighted sum of -log p; targets are distributions (..., K)."""
    values = np.zeros(logits.shape[:-1])
    classes = logits.shape[-1]
    for index in np.ndindex(values.shape):
        z = logits[index]
        total = sum(exp(v) for v in z)
        for k in range(classes):
            share = (1 - smoothing) * targets[index][k] + smoothing / classes
            values[index] -= class_weights[k] * share * log(exp(z[k]) / total)
    return values


def labelled(seed=0):
    rng = np.random.default_rng(seed)
    logits, labels = rng.standard_normal((4, 3, 5)), rng.integers(0, 5, (4, 3))
    return logits, labels, rng.random(5) + 0.1, rng.random((4, 3)) < 0.7, rng.random((4, 3))


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("smoothing", [0.0, 0.3, 1])
@pytest.mark.parametrize("by_class", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_labels(reduction, smoothing, by_class, weighted):
    logits, labels, class_weights, mask, weights = labelled()
    of_class = class_weights if by_class else np.ones(5)
    each = weights if weighted else np.ones((4, 3))
    values = entropies(logits, np.eye(5)[labels], of_class, smoothing)
    if reduction == "mean":
        expected = (each * values)[mask].sum() / (each * of_class[labels])[mask].sum()
    else:
        expected = reduced(values, mask, each, reduction)
    loss = cross_entropy(
        mg.const(logits),
        labels,
        mask=mask,
        weights=weights if weighted else None,
        class_weights=class_weights if by_class else None,
        label_smoothing=smoothing,
        reduction=reduction,
    )
    np.testing.assert_allclose(loss.eval(), expected, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("smoothing", [0.0, 0.3])
@pytest.mark.parametrize("by_class", [False, True])
def test_distributions(reduction, smoothing, by_class):
    logits, _, class_weights, mask, weights = labelled()
    targets = np.random.default_rng(2).dirichlet(np.ones(5), (4, 3))
    of_class = class_weights if by_class else np.ones(5)
    expected = reduced(entropies(logits, targets, of_class, smoothing), mask, weights, reduction)
    targets[~mask] = np.nan
    x = mg.param("x", logits)
    loss = cross_entropy(
        x,
        targets,
        mask=mask,
        weights=weights,
        class_weights=class_weights if by_class else None,
        label_smoothing=smoothing,
        reduction=reduction,
    )
    np.testing.assert_allclose(loss.eval(), expected, rtol=1e-13, atol=1e-15)
    gradient = mg.grad(mg.sum(loss), x)
    assert mg.check_grad(mg.sum(loss), x) < 1e-6
    np.testing.assert_array_equal(gradient.eval()[~mask], 0.0)


def test_distributions_may_be_computed_and_have_a_gradient():
    logits = np.random.default_rng(0).standard_normal((3, 4))
    teacher, student = mg.param("teacher", logits), mg.param("student", -logits)
    loss = cross_entropy(student, mg.softmax(teacher, axis=-1))
    assert mg.check_grad(loss, teacher) < 1e-6
    assert mg.check_grad(loss, student) < 1e-6


@pytest.mark.parametrize("ignored", [-1, -100, 4, 0, 300, np.int64(-1)])
@pytest.mark.parametrize("dtype", ["int64", "int8", "uint8"])
def test_labels_that_are_ignored_do_not_count(ignored, dtype):
    """A number that the dtype has no room for is no label of it."""
    logits, labels, class_weights, mask, _ = labelled()
    limits = np.iinfo(dtype)
    if limits.min <= ignored <= limits.max:
        labels[1] = ignored
    counted = mask & (labels != ignored)
    labels = labels.astype(dtype)
    x, bound = mg.param("x", logits), mg.var("labels", (4, 3), dtype)
    options = {"mask": mask, "class_weights": class_weights}
    loss = cross_entropy(x, bound, ignore_index=ignored, **options)
    alone = cross_entropy(mg.const(logits[counted]), labels[counted], class_weights=class_weights)
    np.testing.assert_allclose(loss.eval({bound: labels}), alone.eval(), rtol=1e-14)
    gradient = mg.grad(loss, x).eval({bound: labels})
    assert (gradient[~counted] == 0).all()
    assert (gradient[counted] != 0).all()
    each = cross_entropy(x, labels, ignore_index=ignored, reduction="none", **options).eval()
    assert ((each == 0) == ~counted).all()


def test_weights_of_labels_that_are_ignored_do_not_count():
    logits, labels, _, mask, weights = labelled()
    labels[2] = -1
    counted = mask & (labels != -1)
    x = mg.const(logits)
    alone = cross_entropy(mg.const(logits[counted]), labels[counted], weights=weights[counted])
    for bad in (1.0, np.nan):
        padded = np.where(counted, weights, bad)
        loss = cross_entropy(x, labels, ignore_index=-1, mask=mask, weights=padded)
        np.testing.assert_allclose(loss.eval(), alone.eval(), rtol=1e-14)


def test_a_label_that_is_no_class_is_named_unless_it_does_not_count():
    x, labels = mg.const(np.zeros((4, 3))), np.array([0, -1, 2, -5])
    words = r"label -5 at \[3\] is out of range: from 0 to 2"
    for smoothing, class_weights in itertools.product([0.0, 0.1], [None, np.ones(3)]):
        options = {"label_smoothing": smoothing, "class_weights": class_weights}
        for reduction in ("mean", "sum", "none"):
            with pytest.raises(ConfigError, match=words):
                cross_entropy(x, labels, ignore_index=-1, reduction=reduction, **options)
    for options in ({}, {"ignore_index": 2}, {"mask": np.array([True, True, False, False])}):
        with pytest.raises(ConfigError, match=r"label -1 at \[1\] is out of range"):
            cross_entropy(x, labels, **options)
    masked = cross_entropy(x, labels, ignore_index=-1, mask=[True, True, True, False])
    assert float(masked) == pytest.approx(log(3))


def test_nothing_but_what_is_ignored():
    x = mg.param("x", np.zeros((2, 3)))
    loss = cross_entropy(x, [-1, -1], ignore_index=-1, class_weights=[1.0, 2.0, 3.0])
    assert float(loss) == 0.0
    np.testing.assert_array_equal(mg.grad(loss, x).eval(), 0.0)


def test_masked_labels_of_each_step_are_looked_at_before_the_loop():
    """So that a loss within a loop stays machine code."""
    w = mg.param("w", np.full((2, 3), 0.1))
    xs, labels = mg.var("xs", (4, 5, 2)), mg.var("labels", (4, 5), "int64")
    mask = mg.var("mask", (4, 5), "bool")

    def step(total, inputs):
        x, label, m = inputs
        return total + cross_entropy(x @ w, label, mask=m, reduction="sum"), None

    total, _ = mg.scan(step, mg.const(0.0), (xs, labels, mask))
    run = mg.function([xs, labels, mask], [total, mg.grad(total, w)], backend="native")
    rng = np.random.default_rng(0)
    data, good, m = rng.random((4, 5, 2)), rng.integers(0, 3, (4, 5)), rng.random((4, 5)) < 0.7
    bad = np.where(m, good, -1)
    data[~m] = np.nan
    expected = cross_entropy(mg.const(data[m]) @ w, good[m], reduction="sum").eval()
    assert float(run(data, bad, m)[0]) == pytest.approx(float(expected), rel=1e-12)
    assert np.isfinite(run(data, bad, m)[1]).all()
    assert "a loop runs on numpy" not in run.report()
    step_, row = np.argwhere(m)[-1]
    bad[step_, row] = 3
    with pytest.raises(ConfigError, match=rf"label 3 at \[{step_}, {row}\] is out of range"):
        run(data, bad, m)


@pytest.mark.parametrize("backend", ["numpy", "native"])
@pytest.mark.parametrize("bad", [-1.0, 1.5, np.nan])
def test_targets_that_are_no_probabilities_are_named(backend, bad):
    """-1 for "no" would reward any negative logit without end."""
    targets = np.array([[0.0, 1.0], [bad, 1.0]])
    words = rf"target {bad} at \[1, 0\] is no probability; they go 0 to 1"
    x, bound = mg.param("x", np.zeros((2, 2))), mg.var("t", (2, 2))
    for loss in (binary_cross_entropy, cross_entropy):
        with pytest.raises(ConfigError, match=words):
            loss(x, targets)
        y = loss(x, bound)
        run = mg.function([bound], [y, mg.grad(y, x)], backend=backend)
        with pytest.raises(ConfigError, match=words):
            run(targets)
        run(np.clip(np.nan_to_num(targets), 0, 1))
        assert np.isfinite(loss(x, targets, mask=[True, False]).eval())


def test_binary_targets_may_be_integers_and_booleans():
    x = mg.param("x", np.array([0.5, -2.0]), "float32")
    expected = binary_cross_entropy(x, [1.0, 0.0])
    for targets in ([1, 0], [True, False], mg.const([1, 0]), mg.const([True, False])):
        result = binary_cross_entropy(x, targets)
        assert result.dtype == np.float32
        assert result.eval() == expected.eval()
    with pytest.raises(ConfigError, match=r"target -1\.0 at \[1\] is no probability"):
        binary_cross_entropy(x, [1, -1])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"ignore_index": 0.5}, r"ignore_index must be a whole number, not 0\.5"),
        ({"ignore_index": True}, "ignore_index must be a whole number, not True"),
        ({"class_weights": [1.0, 2.0]}, r"class_weights must be 3 numbers, .* of shape \(2,\)"),
        ({"class_weights": [True] * 3}, "class_weights must be 3 numbers, one a class, not bool"),
        ({"label_smoothing": 1.5}, r"label_smoothing must be a number of at least 0 and of at m"),
        ({"label_smoothing": -0.1}, "label_smoothing must be a number of at least 0"),
    ],
)
def test_options_that_cannot_be(options, words):
    with pytest.raises(ConfigError, match=words):
        cross_entropy(mg.const(np.zeros((2, 3))), [0, 1], **options)


def test_distributions_have_no_label_to_ignore():
    with pytest.raises(ConfigError, match="ignore_index is of labels; of distributions, a mask"):
        cross_entropy(mg.const(np.zeros((1, 2))), [[0.5, 0.5]], ignore_index=-1)


def test_the_check_of_probabilities_states_its_type_and_its_derivative():
    from lstm.losses.checks import PROBABILITIES

    with pytest.raises(mg.DTypeError, match="probabilities must be floats, not int64"):
        PROBABILITIES(mg.var("t", (2,), "int64"))
    t = mg.var("t", (2,))
    y = mg.sum(mg.square(PROBABILITIES(t)))
    np.testing.assert_array_equal(mg.grad(y, t).eval({t: [0.5, 0.25]}), [1.0, 0.5])
    assert mg.loads(mg.dumps(y)) is y
