"""The n-grams that a net is compared with, beside the formulas counted out by hand."""

from collections import Counter
from math import exp, log

import numpy as np
import pytest

from lstm.tasks.ngrams import ngram_losses


def discounts(counts):
    """D1, D2, D3+ of Chen & Goodman 1999, equation 26; half of the most where they cannot be."""
    n = [sum(c == k for c in counts.values()) for k in range(5)]
    told = [0.0]
    for k in (1, 2, 3):
        d = k - (k + 1) * n[1] / (n[1] + 2 * n[2]) * n[k + 1] / n[k] if n[1] and n[k] else 0
        told.append(d if 0 < d < k else k / 2)
    return told


def probability(text, size, gram, counts=None):
    """P(last of gram | the rest), from dictionaries, by the paper's recursion."""
    n = len(gram)
    if n == 0:
        return 1 / size
    if counts is None:  # of the longest order, how often; of shorter ones, after how many tokens
        counts = Counter(text[i : i + n] for i in range(len(text) - n + 1))
    longer = {text[i : i + n] for i in range(len(text) - n + 1)}
    lower = probability(text, size, gram[1:], Counter(g[1:] for g in longer))
    told = discounts(counts)
    follow = {g: c for g, c in counts.items() if g[:-1] == gram[:-1]}
    total = sum(follow.values())
    if total == 0:
        return lower
    count = counts.get(gram, 0)
    left = sum(told[min(c, 3)] for c in follow.values())
    return (count - told[min(count, 3)] + left * lower) / total


@pytest.mark.parametrize("counted", [40, 7, 1])
def test_losses_are_those_of_a_count_by_hand(counted):
    text = "abracadabra abracadabra cad bra dab abra "
    size = 6
    tokens = np.array(["abcdr ".index(c) for c in text])
    train = text[:counted]
    expected = []
    for n in range(1, 6):
        grams = [text[max(0, i - n + 1) : i + 1] for i in range(40, len(text))]
        expected.append(np.mean([-log(probability(train, size, g)) for g in grams]))
    np.testing.assert_allclose(ngram_losses(tokens, size, counted, 40), expected, rtol=1e-12)


def test_probabilities_add_up_to_one():
    text = np.random.default_rng(0).integers(0, 4, 60)
    all_next = [ngram_losses(np.append(text, w), 5, 60, 60) for w in range(5)]
    np.testing.assert_allclose(sum(np.exp(-np.array(all_next))), np.ones(5), rtol=1e-12)


def test_what_is_seen_once_more_is_told_better():
    text = np.array([0, 1, 2, 3] * 25 + [0, 1, 2, 3] * 2)
    losses = ngram_losses(text, 4, 100, 100)
    assert losses[0] == pytest.approx(log(4))
    assert losses[1] < 0.1 < losses[0]
    assert exp(-losses[4]) > 0.95


def test_what_was_never_seen_is_possible():
    losses = ngram_losses(np.array([0] * 50 + [1]), 2, 50, 50)
    assert np.isfinite(losses).all()
    assert min(losses) > 1
