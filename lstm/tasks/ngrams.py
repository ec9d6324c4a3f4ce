"""What a text is worth to models that count: interpolated n-grams, as baselines of nets.

Chen & Goodman, "An empirical study of smoothing techniques for language modeling", 1999, section 3:
Kneser–Ney smoothing, interpolated, with three discounts at each order. The shortest of them is
mixed with the uniform distribution, so that nothing is impossible.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

ORDERS = 5


class _Grams(NamedTuple):
    """The n-grams that end at each token of a text, numbered, for one n."""

    at: Ints
    """The number of the one that ends here; at the first n - 1 tokens it means nothing."""
    prefix: Ints
    """Of each n-gram, the number of the (n-1)-gram that is all but its last token."""
    suffix: Ints
    """Of each n-gram, the number of the (n-1)-gram that is all but its first."""
    counts: Ints
    """How often each ends within the text that is counted."""


def ngram_losses(
    tokens: Ints, vocabulary: int, counted: int, start: int, orders: int = ORDERS
) -> list[float]:
    """Of n-grams of each order 1 … orders, the mean loss in nats of tokens[start:], where
    tokens[:counted] are what they are made of.

    tokens (N,): of 0 … vocabulary - 1; counted <= start < N. What is predicted from goes back over
    `start`, as a reader's eye would.

    >>> text = np.array([0, 1] * 50 + [0, 1])
    >>> [round(loss, 3) for loss in ngram_losses(text, 2, 100, 100, 2)]
    [0.693, 0.015]
    """
    none = np.zeros(1, int)
    numbered = [_Grams(np.zeros_like(tokens), none, none, none)]
    for n in range(orders + 1):
        numbered.append(_longer(numbered[-1], tokens, vocabulary, slice(n, counted)))
    lower = np.full(len(tokens) - start, 1 / vocabulary)
    losses = []
    for grams, longer in pairwise(numbered[1:]):
        here = grams.at[start:]
        losses.append(float(-np.log(_mixed(grams, grams.counts, lower, here)).mean()))
        # In a longer one what counts of these is how many tokens they were seen after.
        after = np.bincount(longer.suffix[longer.counts > 0], minlength=len(grams.counts))
        lower = _mixed(grams, after, lower, here)
    return losses


def _longer(shorter: _Grams, tokens: Ints, vocabulary: int, counted: slice) -> _Grams:
    """The n-grams of which those are the first n - 1 tokens; counted: where whole ones end."""
    before = np.concatenate([[0], shorter.at[:-1]])
    _, first, at = np.unique(before * vocabulary + tokens, return_index=True, return_inverse=True)
    counts = np.bincount(at[counted], minlength=len(first))
    return _Grams(at, before[first], shorter.at[first], counts)


def _mixed(grams: _Grams, counts: Ints, lower: Floats, here: Ints) -> Floats:
    """The probability of each n-gram of `here`, given all but its last token: its discounted share
    of these counts, and what the discounts leave, spread as `lower` has it."""
    discounts = _discounts(counts)[np.minimum(counts, 3)]
    contexts = int(grams.prefix.max()) + 1
    all_counts = np.bincount(grams.prefix, counts, contexts)
    left = np.bincount(grams.prefix, discounts, contexts)
    before = grams.prefix[here]
    total = all_counts[before]
    share = (counts - discounts)[here] + left[before] * lower
    return np.where(total > 0, share / np.maximum(total, 1), lower)


def _discounts(counts: Ints) -> Floats:
    """What is taken off counts of 0, 1, 2 and more: Chen & Goodman's equation 26; where a text is
    too small, or too regular, to tell, half of what may be."""
    n1, n2, n3, n4 = (np.count_nonzero(counts == n) for n in (1, 2, 3, 4))
    discounts = [0.0]
    for n, few, more in ((1, n1, n2), (2, n2, n3), (3, n3, n4)):
        told = n - (n + 1) * n1 / (n1 + 2 * n2) * more / few if n1 and few else 0.0
        discounts.append(told if 0 < told < n else n / 2)
    return np.array(discounts)
