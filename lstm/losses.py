"""Losses: a scalar expression of a prediction and a target, stable for any finite prediction."""

from __future__ import annotations

import minigrad as mg
from lstm.errors import ConfigError
from minigrad import Expr


def mse(prediction: Expr, target: Expr) -> Expr:
    """The mean of the squared differences, over all elements; both have one shape.

    >>> mse(mg.const([1.0, 2.0]), mg.const([1.0, 4.0])).eval()
    np.float64(2.0)
    """
    _require_same_shape(prediction, target)
    return mg.mean(mg.square(prediction - target))


def cross_entropy(logits: Expr, labels: Expr) -> Expr:
    """The mean of -log softmax(logits)[label]: logits (..., K), integer labels (...) in 0 ... K-1.

    Raises ConfigError for labels of another shape or that are not integers.

    >>> float(cross_entropy(mg.const([[0.0, 0.0]]), mg.const([1])))  # ln 2: an even chance
    0.6931471805599453
    """
    if labels.shape != logits.shape[:-1] or labels.dtype.kind not in "iu":
        raise ConfigError(
            f"labels must be integers of shape {logits.shape[:-1]}, "
            f"not {labels.dtype} of shape {labels.shape}"
            + _batch_hint(logits.shape[:-1], labels.shape)
        )
    chosen = mg.take_along_axis(
        mg.log_softmax(logits, axis=-1), mg.expand_dims(labels, axis=-1), axis=-1
    )
    return -mg.mean(chosen)


def binary_cross_entropy(logits: Expr, targets: Expr) -> Expr:
    """The mean of -t log σ(a) - (1-t) log(1-σ(a)), over all elements; targets t are in [0, 1].

    Written as softplus(a) - t·a, which is the same and takes no logarithm of zero.

    >>> float(binary_cross_entropy(mg.const([0.0]), mg.const([1.0])))
    0.6931471805599453
    """
    _require_same_shape(logits, targets)
    return mg.mean(mg.softplus(logits) - targets * logits)


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
