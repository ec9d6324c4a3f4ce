"""Metrics: how well predictions do, in units that a person reads. As losses, they are expressions
of expressions or arrays: a training step gives them out beside its loss, and `float` of one is its
number where all is known.

Masks, weights, reductions and labels that do not count are those of `lstm.losses`.
"""

from __future__ import annotations

from math import log
from typing import Any

import minigrad as mg
from lstm.arguments import expression
from lstm.errors import check_number
from lstm.losses import cross_entropy
from lstm.losses.checks import labels_of, probabilities_of, require_same_shape
from lstm.losses.counting import counting
from minigrad import Expr


def accuracy(
    prediction: Any,
    target: Any,
    *,
    threshold: float | None = None,
    weights: Any = None,
    mask: Any = None,
    ignore_index: int | None = None,
    reduction: str = "mean",
) -> Expr:
    """The part of predictions that are right, as float64; with `reduction="sum"`, their number.

    threshold None: prediction (..., K), logits or probabilities, is right where its largest, the
    first of equal ones, is at the label (...). A number: prediction and target have one shape, and
    a prediction above it says 1 (0 for logits, 0.5 for probabilities); targets are 0 or 1.
    NaN is never right.

    Raises ConfigError as the losses do, labels that are no class included.

    >>> float(accuracy([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7]], [1, 1, -1], ignore_index=-1))
    0.5
    >>> float(accuracy([[-1.5], [2.0]], [[0], [1]], threshold=0))
    1.0
    """
    prediction, target = expression(prediction), expression(target)
    if threshold is None:
        counts = counting(prediction.shape[:-1], weights, mask, reduction)
        labels, counts = labels_of(prediction, target, counts, ignore_index)
        largest = mg.max(prediction, axis=-1)
        right = (mg.argmax(prediction, axis=-1) == labels) & ~mg.isnan(largest)
    else:
        threshold = check_number("threshold", threshold)
        require_same_shape(prediction, target)
        counts = counting(prediction.shape, weights, mask, reduction)
        target, counts = probabilities_of(mg.astype(target, "float64"), counts, ignore_index)
        right = ((prediction > threshold) == (target > 0.5)) & ~mg.isnan(prediction)
    return counts.reduced(mg.astype(right, "float64"))


def perplexity(
    logits: Any,
    targets: Any,
    *,
    weights: Any = None,
    mask: Any = None,
    ignore_index: int | None = None,
) -> Expr:
    """exp of the mean cross entropy: among how many equally likely classes the model still wavers.

    >>> round(float(perplexity([[0.0, 0.0, 0.0]], [2])), 12)
    3.0
    """
    return mg.exp(
        cross_entropy(logits, targets, weights=weights, mask=mask, ignore_index=ignore_index)
    )


def bits_per_character(
    logits: Any,
    targets: Any,
    *,
    weights: Any = None,
    mask: Any = None,
    ignore_index: int | None = None,
) -> Expr:
    """The mean cross entropy in bits: what an ideal code that asks the model takes a character.

    >>> float(bits_per_character([[0.0, 0.0, 0.0, 0.0]], [2]))
    2.0
    """
    return cross_entropy(
        logits, targets, weights=weights, mask=mask, ignore_index=ignore_index
    ) / log(2)
