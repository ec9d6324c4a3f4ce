"""Losses: a scalar expression of a prediction and a target, stable for any finite prediction.

A target is an expression or an array. A label that is no class is an error that names it, whenever
it becomes known, and never a loss of another class.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

import minigrad as mg
from lstm.errors import ConfigError
from minigrad import Expr


def mse(prediction: Expr, target: Any) -> Expr:
    """The mean of the squared differences, over all elements; both have one shape.

    >>> mse(mg.const([1.0, 2.0]), mg.const([1.0, 4.0])).eval()
    np.float64(2.0)
    """
    target = _target(target, prediction.dtype)
    _require_same_shape(prediction, target)
    return mg.mean(mg.square(prediction - target))


def _labels_type(labels: Any, classes: Any) -> Any:
    if labels.dtype.kind not in "iu":
        raise mg.DTypeError(f"labels must be integers, not {labels.dtype}")
    if type(classes) is not int or classes < 1:
        raise mg.ShapeError(f"classes must be a whole number of at least 1, not {classes!r:.40}")
    return labels


def _checked(labels: NDArray[Any], classes: int) -> NDArray[Any]:
    wrong = (labels < 0) | (labels >= classes)
    if wrong.any():
        first = tuple(int(i) for i in np.argwhere(wrong)[0])
        more = f", and {wrong.sum() - 1} more" if wrong.sum() > 1 else ""
        raise ConfigError(
            f"label {labels[first]} at {list(first)} is no class{more}; "
            f"there are {classes}, from 0 to {classes - 1}"
        )
    return labels


LABELS = mg.register(
    mg.Op(
        "labels",  # the labels, unless one is no class
        _labels_type,
        _checked,
        no_gradient=True,
        pointwise=True,
        attrs=(mg.Attr("classes"),),
        checks=True,
    )
)


def cross_entropy(logits: Expr, labels: Any) -> Expr:
    """The mean of -log softmax(logits)[label]: logits (..., K), integer labels (...) in 0 ... K-1.

    Raises ConfigError for labels of another shape or that are not integers. So does a label out of
    range: at once where the labels are known, else when they are bound.

    >>> float(cross_entropy(mg.const([[0.0, 0.0]]), [1]))  # ln 2: an even chance
    0.6931471805599453
    >>> cross_entropy(mg.const([[0.0, 0.0]]), [-1])
    Traceback (most recent call last):
        ...
    lstm.errors.ConfigError: label -1 at [0] is no class; there are 2, from 0 to 1
    """
    labels = _target(labels, None)
    if not logits.ndim or labels.shape != logits.shape[:-1] or labels.dtype.kind not in "iu":
        raise ConfigError(
            f"labels must be integers of shape {logits.shape[:-1]}, "
            f"not {labels.dtype} of shape {labels.shape}"
            + _batch_hint(logits.shape[:-1], labels.shape)
        )
    classes = logits.shape[-1]
    if not mg.free_variables(labels):
        _checked(np.asarray(labels.eval()), classes)
    chosen = mg.take_along_axis(
        mg.log_softmax(logits, axis=-1),
        mg.expand_dims(LABELS(labels, classes=classes), axis=-1),
        axis=-1,
    )
    return -mg.mean(chosen)


def binary_cross_entropy(logits: Expr, targets: Any) -> Expr:
    """The mean of -t log σ(a) - (1-t) log(1-σ(a)), over all elements; targets t are in [0, 1].

    Written as softplus(a) - t·a, which is the same and takes no logarithm of zero.

    >>> float(binary_cross_entropy(mg.const([0.0]), mg.const([1.0])))
    0.6931471805599453
    """
    targets = _target(targets, logits.dtype)
    _require_same_shape(logits, targets)
    return mg.mean(mg.softplus(logits) - targets * logits)


def _target(target: Any, dtype: np.dtype[Any] | None) -> Expr:
    """A target as an expression; one that is none yet takes the dtype, where one is asked for."""
    if isinstance(target, Expr):
        return target
    return mg.const(np.asarray(target, dtype))


def _require_same_shape(prediction: Expr, target: Expr) -> None:
    # Broadcasting here is nearly always a (B,) against a (B, 1), and trains to nonsense silently.
    if prediction.shape != target.shape:
        raise ConfigError(
            f"prediction {prediction.shape} and target {target.shape} must have one shape"
            + _batch_hint(prediction.shape, target.shape)
        )


def _batch_hint(prediction: tuple[int, ...], target: tuple[int, ...]) -> str:
    """Where only the batch differs, the model has most likely read its input the wrong way round.

    >>> _batch_hint((7, 1), (3, 1))
    '; of 3 targets and 7 predictions: is xs (T, B, I), time first, or batch first?'
    """
    if not prediction or not target or prediction[1:] != target[1:] or prediction == target:
        return ""
    return (
        f"; of {target[0]} targets and {prediction[0]} predictions: is xs (T, B, I), time first, "
        "or batch first?"
    )
