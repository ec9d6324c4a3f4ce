"""The losses themselves. Which elements count, and how, is in counting.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import minigrad as mg
from lstm.arguments import expression
from lstm.errors import ConfigError, check_number
from lstm.losses.checks import labels_of, probabilities_of, require_same_shape
from lstm.losses.counting import Counting, counting
from minigrad import Expr


def mse(
    prediction: Expr, target: Any, *, weights: Any = None, mask: Any = None, reduction: str = "mean"
) -> Expr:
    """The squared differences (prediction - target)², of one shape; as torch's mse_loss.

    Raises ConfigError for shapes that differ, and for weights and masks that do not fit.

    >>> mse(mg.const([1.0, 2.0]), [1.0, 4.0]).eval()
    np.float64(2.0)
    >>> float(mse(mg.const([1.0, 2.0]), [1.0, float("nan")], mask=[True, False]))
    0.0
    """
    return _of_differences(mg.square, prediction, target, weights, mask, reduction)


def mae(
    prediction: Expr, target: Any, *, weights: Any = None, mask: Any = None, reduction: str = "mean"
) -> Expr:
    """The distances |prediction - target|, of one shape; as torch's l1_loss.

    Raises what `mse` raises.

    >>> float(mae(mg.const([1.0, 2.0]), [1.0, 4.0]))
    1.0
    """
    return _of_differences(mg.abs, prediction, target, weights, mask, reduction)


def huber(
    prediction: Expr,
    target: Any,
    delta: float = 1.0,
    *,
    weights: Any = None,
    mask: Any = None,
    reduction: str = "mean",
) -> Expr:
    """d²/2 up to |d| = delta, and delta · (|d| - delta/2) beyond, where d = prediction - target
    (Huber, "Robust estimation of a location parameter", 1964); as torch's huber_loss.

    Raises what `mse` raises, and ConfigError for a delta that is not above 0.

    >>> huber(mg.const([0.5, -3.0]), [0.0, 0.0], reduction="none").eval()
    array([0.125, 2.5  ])
    """
    delta = check_number("delta", delta, above=0)

    def formula(d: Expr) -> Expr:
        near = mg.clip(d, -delta, delta)  # so that it is a square at 0, to every order
        return near * (d - 0.5 * near)

    return _of_differences(formula, prediction, target, weights, mask, reduction)


def cross_entropy(
    logits: Expr,
    targets: Any,
    *,
    weights: Any = None,
    mask: Any = None,
    ignore_index: int | None = None,
    class_weights: Any = None,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> Expr:
    """-log softmax(logits)[label], or -Σ p · log softmax(logits) for distributions p.

    logits: (..., K). targets: integer labels (...) in 0 ... K-1, or floats (..., K). The elements
    are (...), so weights and masks have that shape. As torch's cross_entropy, but for the axis of
    the classes, which is the last. Rows of a distribution are taken as they are, as torch's are:
    one that sums to 2 counts twice. Classes that do not exclude each other are for
    `binary_cross_entropy`.

    ignore_index: labels that are this number do not count. None, the default: all have to be
        classes (torch ignores -100 unasked).
    class_weights: (K,). The terms of each class are multiplied by its weight; the mean of labels
        is then by the sum of their classes' weights, that of distributions by their number.
    label_smoothing: the part of each target, in [0, 1], that is spread evenly over all classes
        (Szegedy et al., "Rethinking the Inception architecture for computer vision", 2016).

    Raises ConfigError for targets of another shape or dtype, and for a label out of range or a
    probability that is not in [0, 1]: at once where they are known, else when they are bound.

    >>> float(cross_entropy(mg.const([[0.0, 0.0]]), [1]))  # ln 2: an even chance
    0.6931471805599453
    >>> float(cross_entropy(mg.const([[0.0, 0.0]]), [[0.25, 0.75]]))
    0.6931471805599453
    >>> cross_entropy(mg.const([[0.0, 0.0]]), [-1])
    Traceback (most recent call last):
        ...
    lstm.errors.ConfigError: label -1 at [0] is out of range: from 0 to 1
    """
    logits, targets = expression(logits, what="logits"), expression(targets, what="targets")
    counts = counting(logits.shape[:-1], weights, mask, reduction)
    smoothing = check_number("label_smoothing", label_smoothing, least=0, most=1)
    if logits.ndim and targets.shape == logits.shape and targets.dtype.kind == "f":
        if ignore_index is not None:
            raise ConfigError(
                "ignore_index is of labels; of distributions, a mask says what counts"
            )
        spread, counts = probabilities_of(targets, counts)
        spread = (1 - smoothing) * spread + smoothing / logits.shape[-1] if smoothing else spread
        terms, _ = _terms(logits, counts, class_weights)
        return counts.reduced(-mg.sum(spread * terms, axis=-1))
    labels, counts = labels_of(logits, targets, counts, ignore_index)
    terms, weight_of = _terms(logits, counts, class_weights)
    values = _at(terms, labels)
    if smoothing:
        values = (1 - smoothing) * values + smoothing * mg.mean(terms, axis=-1)
    return counts.reduced(-values, None if weight_of is None else mg.take(weight_of, labels))


def binary_cross_entropy(
    logits: Expr, targets: Any, *, weights: Any = None, mask: Any = None, reduction: str = "mean"
) -> Expr:
    """-t log σ(a) - (1-t) log(1-σ(a)), of one shape; the targets t are in [0, 1]. As torch's
    binary_cross_entropy_with_logits, but that the mean is by the sum of the weights.

    Written as softplus(a) - t·a, which is the same and takes no logarithm of zero.

    Raises what `mse` raises, and ConfigError for a target that is not in [0, 1]: at once where it
    is known, else when it is bound.

    >>> float(binary_cross_entropy(mg.const([0.0]), [1.0]))
    0.6931471805599453
    """
    logits, targets, counts = _pair(logits, targets, weights, mask, reduction)
    if targets.dtype.kind != "f":
        targets = mg.astype(targets, logits.dtype if logits.dtype.kind == "f" else "float64")
    t, counts = probabilities_of(targets, counts)
    a = counts.only(logits)
    return counts.reduced(mg.softplus(a) - t * a)


def _terms(logits: Expr, counts: Counting, class_weights: Any) -> tuple[Expr, Expr | None]:
    """log softmax where it counts, times the weights of the classes; and these weights."""
    terms = mg.log_softmax(counts.only(logits), axis=-1)
    if class_weights is None:
        return terms, None
    classes = logits.shape[-1]
    weights = expression(class_weights, what="class_weights")
    if weights.shape != (classes,) or weights.dtype.kind not in "fiu":
        raise ConfigError(
            f"class_weights must be {classes} numbers, one a class, "
            f"not {weights.dtype} of shape {weights.shape}"
        )
    weights = mg.astype(weights, terms.dtype)
    return terms * weights, weights


def _at(terms: Expr, labels: Expr) -> Expr:
    """The terms (..., K) of the labels (...)."""
    return mg.squeeze(mg.take_along_axis(terms, mg.expand_dims(labels, axis=-1), axis=-1), axis=-1)


def _of_differences(
    formula: Callable[[Expr], Expr],
    prediction: Any,
    target: Any,
    weights: Any,
    mask: Any,
    reduction: str,
) -> Expr:
    prediction, target, counts = _pair(prediction, target, weights, mask, reduction)
    return counts.reduced(formula(counts.only(prediction - target)))


def _pair(
    prediction: Any, target: Any, weights: Any, mask: Any, reduction: str
) -> tuple[Expr, Expr, Counting]:
    prediction = expression(prediction, what="a prediction")
    target = expression(
        target, prediction.dtype if prediction.dtype.kind == "f" else None, "a target"
    )
    require_same_shape(prediction, target)
    return prediction, target, counting(prediction.shape, weights, mask, reduction)
