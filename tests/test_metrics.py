"""Metrics against counting by hand, on arrays and as outputs of a compiled step."""

from __future__ import annotations

from math import e, log, log2

import numpy as np
import pytest

import minigrad as mg
from lstm.errors import ConfigError
from lstm.metrics import accuracy, bits_per_character, perplexity

LOGITS = np.log(np.array([[0.5, 0.25, 0.25], [0.125, 0.125, 0.75], [0.25, 0.5, 0.25]]))


def test_accuracy_counts_the_largest():
    assert float(accuracy(LOGITS, [0, 2, 0])) == 2 / 3
    assert float(accuracy(LOGITS, [0, 2, 0], reduction="sum")) == 2.0
    np.testing.assert_array_equal(accuracy(LOGITS, [0, 2, 0], reduction="none").eval(), [1, 1, 0])
    steps = np.stack([LOGITS, LOGITS[::-1]])  # (T, B, K)
    assert float(accuracy(steps, [[0, 2, 1], [0, 2, 0]])) == 5 / 6


def test_of_equal_predictions_the_first_is_taken():
    """Or a model that says nothing would be right about everything."""
    assert float(accuracy(np.zeros((4, 2)), [0, 1, 1, 1])) == 0.25


def test_nan_is_never_right():
    bad = np.full((2, 3), np.nan)
    assert float(accuracy(bad, [0, 1])) == 0.0
    bad[0, 1] = 5.0
    assert float(accuracy(bad, [1, 0])) == 0.0
    assert float(accuracy([np.nan, np.nan], [0, 1], threshold=0)) == 0.0


def test_accuracy_of_what_counts():
    labels = np.array([0, -1, 0])
    assert float(accuracy(LOGITS, labels, ignore_index=-1)) == 0.5
    assert float(accuracy(LOGITS, labels, mask=[True, False, False])) == 1.0
    assert float(accuracy(LOGITS, [0, 2, 0], weights=[1.0, 2.0, 5.0])) == 3 / 8
    assert float(accuracy(LOGITS, labels, ignore_index=-1, reduction="sum")) == 1.0
    padded = np.array([LOGITS[0], [np.nan] * 3])
    assert float(accuracy(padded, [0, 0], mask=[True, False])) == 1.0
    assert float(accuracy(LOGITS, [-1, -1, -1], ignore_index=-1)) == 0.0
    with pytest.raises(ConfigError, match=r"label -1 at \[1\] is out of range: from 0 to 2"):
        accuracy(LOGITS, labels)


def test_accuracy_by_a_threshold():
    logits = np.array([[-3.0], [0.0], [0.1], [2.0]])
    targets = np.array([[0], [0], [1], [0]])
    for t in (targets, targets.astype(bool), targets.astype(float), mg.const(targets)):
        assert float(accuracy(logits, t, threshold=0)) == 0.75
        assert float(accuracy(logits, t, threshold=1.5)) == 0.5
    targets[3] = -1
    assert float(accuracy(logits, targets, threshold=0.0, ignore_index=-1)) == 1.0
    assert float(accuracy(logits, targets, threshold=0.0, mask=[True] * 3 + [False])) == 1.0
    with pytest.raises(ConfigError, match=r"target -1\.0 at \[3, 0\] is no probability"):
        accuracy(logits, targets, threshold=0.0)
    with pytest.raises(ConfigError, match=r"\(4, 1\) and target \(4,\) must have one shape"):
        accuracy(logits, targets[:, 0], threshold=0.0)
    with pytest.raises(ConfigError, match="threshold must be a finite number, not nan"):
        accuracy(logits, targets, threshold=np.nan)
    with pytest.raises(ConfigError, match=r"labels must be integers of shape \(4,\)"):
        accuracy(logits, targets)


def test_perplexity_is_one_over_the_geometric_mean_of_what_was_given_to_the_truth():
    labels = [0, 2, 0]
    assert float(perplexity(LOGITS, labels)) == pytest.approx((0.5 * 0.75 * 0.25) ** (-1 / 3))
    assert float(perplexity(np.zeros((5, 7)), [0, 1, 2, 3, 6])) == pytest.approx(7.0)
    of_two = perplexity(LOGITS, [0, -1, 0], ignore_index=-1)
    assert float(of_two) == pytest.approx((0.5 * 0.25) ** (-1 / 2))
    weighted = perplexity(LOGITS, labels, weights=[3.0, 0.0, 1.0])
    assert float(weighted) == pytest.approx((0.5**3 * 0.25) ** (-1 / 4))
    masked = perplexity(LOGITS, [0, -9, 9], mask=[True, False, False])
    assert float(masked) == pytest.approx(2.0)


def test_bits_per_character_are_logarithms_of_base_2():
    assert float(bits_per_character(LOGITS, [0, 2, 0])) == pytest.approx(-log2(0.5 * 0.75 / 4) / 3)
    assert float(bits_per_character(LOGITS, [0, -1, 0], ignore_index=-1)) == pytest.approx(1.5)
    assert float(bits_per_character(LOGITS, [0, 9, 9], mask=[True, False, False])) == 1.0
    weighted = bits_per_character(LOGITS, [0, 0, 0], weights=[3.0, 0.0, 1.0])
    assert float(weighted) == pytest.approx((3 + 2) / 4)
    assert log(float(perplexity(LOGITS, [1, 1, 1]))) / log(2) == pytest.approx(
        float(bits_per_character(LOGITS, [1, 1, 1]))
    )
    with pytest.raises(ConfigError, match=r"label 3 at \[0\] is out of range"):
        bits_per_character(LOGITS, [3, 0, 0])
    assert float(bits_per_character([[1.0, 1.0]], [[0.5, 0.5]])) == pytest.approx(1.0)
    assert float(perplexity([[1.0, 0.0]], [[1.0, 0.0]])) == pytest.approx(1 + 1 / e)


@pytest.mark.parametrize("backend", ["numpy", "native"])
def test_metrics_come_out_of_a_compiled_step(backend):
    logits, labels = mg.var("logits", (3, 3), "float32"), mg.var("labels", (3,), "int64")
    found = mg.function(
        [logits, labels],
        [metric(logits, labels) for metric in (accuracy, perplexity, bits_per_character)],
        backend=backend,
    )(LOGITS.astype(np.float32), np.array([0, 2, 0]))
    expected = [2 / 3, (0.5 * 0.75 * 0.25) ** (-1 / 3), -log2(0.5 * 0.75 / 4) / 3]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
