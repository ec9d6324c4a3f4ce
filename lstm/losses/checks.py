"""Targets that cannot be: they are handed on, or an error names the first of them.

What looks at values is an op, so it tells of what is bound later too; loops look before they start.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

import minigrad as mg
from lstm.arguments import expression, first_wrong, within
from lstm.errors import ConfigError
from lstm.losses.counting import Counting
from minigrad import Expr


def _probabilities_type(targets: Any) -> Any:
    if targets.dtype.kind != "f":
        raise mg.DTypeError(f"probabilities must be floats, not {targets.dtype}")
    return targets


def _are_probabilities(targets: Any) -> Any:
    return (targets >= 0) & (targets <= 1 + 1e-6)  # computed ones may be off by rounding


def _probabilities_checked(targets: NDArray[Any]) -> NDArray[Any]:
    wrong = ~_are_probabilities(targets)
    if wrong.any():
        raise ConfigError(
            f"target {first_wrong(targets, wrong, 'is no probability')}; they go 0 to 1"
        )
    return targets


PROBABILITIES = mg.register(
    mg.Op(
        "probabilities",  # the targets, unless one is below 0 or above 1
        _probabilities_type,
        _probabilities_checked,
        partials=(1,),
        pointwise=True,
        checks=True,
        requires=_are_probabilities,
    )
)


def labels_of(
    logits: Expr, labels: Any, counts: Counting, ignore_index: int | None
) -> tuple[Expr, Counting]:
    """Labels, checked where they count, and 0 elsewhere; and what counts, less what is ignored."""
    labels = expression(labels)
    if not logits.ndim:
        raise ConfigError(
            f"logits have the classes along their last axis, (..., K), and no {logits.type!r}"
        )
    if labels.shape != logits.shape[:-1] or labels.dtype.kind not in "iu":
        raise ConfigError(
            f"labels must be integers of shape {logits.shape[:-1]}, "
            f"not {labels.dtype} of shape {labels.shape}"
            + (_labels_hint(logits, labels) or batch_hint(logits.shape[:-1], labels.shape))
        )
    counts = _less(counts, labels, ignore_index)
    return within(counts.only(labels), 0, logits.shape[-1] - 1, "label"), counts


def _labels_hint(logits: Expr, labels: Expr) -> str:
    """What to write instead of labels as others have them."""
    if labels.shape == logits.shape:
        return "; of rows of 0 and one 1, labels are ys.argmax(-1)"
    if labels.shape == logits.shape[:-1] and labels.dtype.kind == "f":
        return "; write ys.astype('int64')"
    return ""


def probabilities_of(
    targets: Expr, counts: Counting, ignore_index: int | None = None
) -> tuple[Expr, Counting]:
    """The same for targets between 0 and 1, as floats."""
    counts = _less(counts, targets, ignore_index)
    checked = PROBABILITIES(counts.only(targets))
    if not mg.free_variables(checked):  # an error now rather than later
        _probabilities_checked(np.asarray(checked.args[0].eval()))
    return checked, counts


def _less(counts: Counting, labels: Expr, ignore_index: int | None) -> Counting:
    if ignore_index is None:
        return counts
    if isinstance(ignore_index, bool) or not isinstance(ignore_index, (int, np.integer)):
        raise ConfigError(f"ignore_index must be a whole number, not {ignore_index!r:.40}")
    if labels.dtype.kind in "iu":
        limits = np.iinfo(labels.dtype)
        if not limits.min <= ignore_index <= limits.max:
            return counts  # no label of this dtype can be it
    return counts.but(labels == int(ignore_index))


def require_same_shape(prediction: Expr, target: Expr) -> None:
    """Raise ConfigError unless it is one shape."""
    # Broadcasting here is nearly always a (B,) against a (B, 1), and trains to nonsense silently.
    if prediction.shape != target.shape:
        raise ConfigError(
            f"prediction {prediction.shape} and target {target.shape} must have one shape"
            + batch_hint(prediction.shape, target.shape)
        )


def batch_hint(prediction: tuple[int, ...], target: tuple[int, ...]) -> str:
    """Where only the batch differs, the model has most likely read its input the wrong way round.

    >>> batch_hint((7, 1), (3, 1))
    '; of 3 targets and 7 predictions: is xs (T, B, I), time first, or batch first?'
    """
    if not prediction or not target or prediction[1:] != target[1:] or prediction == target:
        return ""
    return (
        f"; of {target[0]} targets and {prediction[0]} predictions: is xs (T, B, I), time first, "
        "or batch first?"
    )
