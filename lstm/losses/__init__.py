"""Losses: expressions of a prediction and a target, stable for any finite prediction.

A target is an expression or an array. A label that is no class is an error that names it, whenever
it becomes known, and never a loss of another class. All losses take

- `mask`: bool, True where an element counts. What it leaves out may be anything, NaN included: it
  is replaced before the formula, so that values and gradients are those without it.
- `weights`: how much each element counts. They multiply, and 0 · NaN is NaN: leave out by a mask.
- `reduction`: `"mean"`, the sum over the elements that count by the sum of their weights;
  `"sum"`; or `"none"`, each element's own, 0 where the mask leaves it out.

Masks and weights have the shape of the elements or of their first axes, so (T, B) says it for all
that (T, B, O) holds at a step; an axis of 1 stands for any length. Where nothing counts, or where
the weights add up to 0, the mean is 0 and so is its gradient (torch's is NaN): a batch of padding
teaches nothing.
"""

from lstm.losses.drawn import drawn_loss
from lstm.losses.formulas import binary_cross_entropy, cross_entropy, huber, mae, mse

__all__ = ["binary_cross_entropy", "cross_entropy", "drawn_loss", "huber", "mae", "mse"]
