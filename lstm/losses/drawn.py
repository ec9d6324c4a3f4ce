"""What teaches a model that draws: no derivative goes through what was drawn."""

from __future__ import annotations

import minigrad as mg
from lstm.losses.formulas import cross_entropy
from minigrad import Expr


def drawn_loss(output: Expr, targets: Expr, weights: Expr) -> Expr:
    """A scalar that is 0, with the gradient by which draws are learnt: the score function's of
    Williams, "Simple statistical gradient-following algorithms for connectionist reinforcement
    learning", 1992.

    Together with that of the mean cross entropy L of the tokens that count, its expectation over
    all draws is the gradient of the expected L. ∇ log p of a draw counts with the losses of the
    tokens from it on, less what these are on average in the batch's other sequences: a baseline
    which does not depend on the draw, and so leaves the expectation as it is.

    output: (U, B, O) of a decoder. targets: integers (U, B), below 0 where they are padding.
    weights: (U, B, S) of an attention that draws, `Run.attention`. Raises ConfigError as
    `cross_entropy` does.

    >>> output, weights = mg.zeros((1, 2, 4)), mg.const([[[1.0, 0.0], [0.0, 1.0]]])
    >>> float(drawn_loss(output, mg.const([[3, 0]]), weights))
    0.0
    """
    counts = targets >= 0
    losses = cross_entropy(output, mg.maximum(targets, 0), mask=counts, reduction="none")
    after = mg.stop_gradient(mg.flip(mg.cumulative_sum(mg.flip(losses, axis=0), axis=0), axis=0))
    others = mg.sum(after, axis=1, keepdims=True) - after
    surplus = after - others * (1 / max(1, after.shape[1] - 1))
    ones = mg.sum(weights, axis=-1)  # whose gradient is ∇ log p
    terms = surplus * (ones - mg.stop_gradient(ones)) * mg.astype(counts, output.dtype)
    total: Expr = mg.sum(terms) / mg.maximum(mg.sum(mg.astype(counts, output.dtype)), 1.0)
    return total
