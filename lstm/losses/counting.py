"""What counts in a loss or a metric, and how much: masks, weights, reductions. No formulas."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np

import minigrad as mg
from lstm.arguments import expression
from lstm.errors import ConfigError
from minigrad import Expr

REDUCTIONS = ("mean", "sum", "none")
Shape: TypeAlias = tuple[int, ...]


@dataclass(frozen=True)
class Counting:
    """Which elements of one shape count, how much each, and what is made of their values."""

    shape: Shape
    mask: Expr | None
    """Bool of that shape, or None: all count."""
    weights: Expr | None
    """Of that shape, and 0 where the mask leaves out; None: 1 each."""
    reduction: str

    def only(self, x: Expr) -> Expr:
        """x (*shape, ...) with 0 at what does not count: no NaN there can reach a formula."""
        if self.mask is None:
            return x
        return mg.where(_spread(self.mask, x.shape), x, mg.zeros_like(x))

    def but(self, left_out: Expr) -> Counting:
        """The same without some elements, given as a mask of the same shape."""
        mask = ~left_out if self.mask is None else self.mask & ~left_out
        return replace(self, mask=mask).weighted(self.weights)

    def weighted(self, weights: Expr | None) -> Counting:
        """The same with other weights."""
        return replace(self, weights=None if weights is None else self.only(weights))

    def reduced(self, values: Expr, classes: Expr | None = None) -> Expr:
        """The values of all elements, reduced.

        classes: the weights of the elements' classes, which `values` have in them already.
        """
        weights = self._all_weights(values.dtype)
        if weights is not None:
            values = values * weights
        if self.reduction == "none":
            return values
        if self.reduction == "sum":
            return mg.sum(values)
        if classes is not None:
            weights = classes if weights is None else weights * classes
        if weights is None:
            return mg.mean(values) if values.size else mg.sum(values)
        total = mg.sum(weights)
        some = total != 0
        return mg.where(some, mg.sum(values) / mg.where(some, total, 1), 0)

    def _all_weights(self, dtype: np.dtype[Any]) -> Expr | None:
        weights = self.mask if self.weights is None else self.weights
        return None if weights is None else mg.astype(weights, dtype)


def counting(shape: Shape, weights: Any, mask: Any, reduction: str) -> Counting:
    """What counts among elements of a shape. Raises ConfigError for what does not fit it."""
    if reduction not in REDUCTIONS:
        raise ConfigError(
            f"reduction must be one of {', '.join(REDUCTIONS)}, not {reduction!r:.40}"
        )
    if mask is not None:
        mask = expression(mask, what="mask")
        if mask.dtype != np.bool_:
            raise ConfigError(f"mask must be bool, True where an element counts, not {mask.dtype}")
        mask = _fitted("mask", mask, shape)
    if weights is not None:
        weights = expression(weights, what="weights")
        if weights.dtype.kind not in "fiu":
            raise ConfigError(
                f"weights must be numbers, not {weights.dtype}; a mask says what counts at all"
            )
        weights = _fitted("weights", weights, shape)
    return Counting(shape, mask, None, reduction).weighted(weights)


def _fitted(what: str, x: Expr, shape: Shape) -> Expr:
    # NumPy would take (B,) for the last axis of (T, B): its reading is not ours, so it is not used.
    if x.ndim > len(shape) or any(n not in (1, m) for n, m in zip(x.shape, shape, strict=False)):
        raise ConfigError(
            f"{what} of shape {x.shape} do not fit elements of shape {shape}: they have this "
            "shape or that of its first axes, and 1 stands for any length"
            + (f"; is it {(1, *x.shape)}?" if x.shape == shape[1:] and x.ndim else "")
        )
    return _spread(x, shape)


def _spread(x: Expr, shape: Shape) -> Expr:
    """x, which has the first axes of a shape, along the others too."""
    x = mg.reshape(x, x.shape + (1,) * (len(shape) - x.ndim))
    return mg.broadcast_to(x, shape)
