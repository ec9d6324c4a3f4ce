"""Text coloured by numbers, accuracy against distance, and what is left of a state: read back."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

import lstm
from lstm.errors import ConfigError
from lstm.figures.bounds import vanishing, vanishing_of
from lstm.figures.distances import how_far
from minigrad.drawing.palette import RAMP

pytestmark = pytest.mark.usefixtures("by_numpy")

WORDS = ["the", "kings", "<b>&", "$x$", ""]
VALUES = [0.0, 0.5, -1.0, np.nan, 2.0]


def test_each_word_is_on_the_colour_of_its_value():
    ax = lstm.plot_text(WORDS, VALUES)
    assert [text.get_text() for text in ax.texts] == ["the", "kings", "<b>&", "$x$", " "]
    patches: Any = ax.patches
    boxes, bars = patches[::2], patches[1::2]
    assert [b.get_alpha() for b in boxes] == pytest.approx([0.0, 0.18, 0.36, 0.0, 0.72])
    assert [to_hex(boxes[k].get_facecolor()) for k in (1, 2, 4)] == [RAMP[-1], RAMP[0], RAMP[-1]]
    shares = [bar.get_width() / box.get_width() for bar, box in zip(bars, boxes, strict=True)]
    assert shares == pytest.approx([0.0, 0.25, 0.5, 0.0, 1.0])
    tops = [bar.get_y() < box.get_y() for bar, box in zip(bars, boxes, strict=True)]
    assert (tops[1], tops[2], tops[4]) == (True, False, True)  # over the word, beneath, over
    assert lstm.plot_text(["a"], [1.0], largest=4.0).patches[0].get_alpha() == pytest.approx(0.18)


def test_words_stand_beside_and_below_each_other():
    ax = Figure(figsize=(3.0, 2.0)).add_subplot()
    assert lstm.plot_text(["word"] * 30, np.ones(30), ax) is ax
    patches: Any = ax.patches
    boxes = [p.get_bbox() for p in patches[::2]]
    for a, b in pairwise(boxes):
        assert b.x0 >= a.x1 - 1e-9 or b.y0 > a.y1
    assert max(b.x1 for b in boxes) <= ax.get_xlim()[1]
    assert max(b.y1 for b in boxes) <= ax.get_ylim()[0]


@pytest.mark.parametrize(
    ("tokens", "values"), [("ab", [1, 2]), (["a"], [1, 2]), ([], []), (["a"], [[1]])]
)
def test_values_that_do_not_fit_words(tokens, values):
    with pytest.raises(ConfigError, match="one number for each"):
        lstm.plot_text(tokens, values)


SCORES = {"RNN": {5: [1.0, 0.9], 50: [0.25, 0.2]}, "LSTM": {5: [1.0, 1.0], 500: [0.99, 1.0]}}


def test_accuracy_is_drawn_with_each_seed_and_a_band():
    ax = lstm.plot_accuracy(SCORES, chance=0.2, criterion=0.99)
    means = {line.get_label(): line for line in ax.lines}
    np.testing.assert_allclose(means["RNN"].get_xydata(), [(5, 0.95), (50, 0.225)])
    np.testing.assert_allclose(means["LSTM"].get_xydata(), [(5, 1.0), (500, 0.995)])
    dots = [tuple(xy) for line in ax.lines if line.get_marker() == "o" for xy in line.get_xydata()]
    assert dots == [(5.0, 1.0), (5.0, 0.9), (50.0, 0.25), (50.0, 0.2)]
    band = ax.collections[0].get_paths()[0].vertices
    assert {(5.0, 0.9), (5.0, 1.0), (50.0, 0.2), (50.0, 0.25)} <= {tuple(xy) for xy in band}
    assert not ax.texts  # words beside a curve would lie on others
    named = [text.get_text() for text in ax.get_legend().texts]
    assert named == ["RNN", "LSTM", "criterion: 99 %", "chance: 20 %"]
    ax.figure.draw_without_rendering()  # type: ignore[union-attr]
    box = ax.get_legend().get_window_extent()
    assert box.x0 > ax.get_window_extent().x1 and box.x1 < ax.figure.bbox.x1
    assert [t.get_text() for t in ax.get_xticklabels()] == ["5", "50", "500"]


def test_how_far_is_as_far_as_every_seed_is_right():
    assert how_far(SCORES) == {"RNN": None, "LSTM": 500}
    assert how_far({"a": {1: [1.0], 2: [0.5], 3: [1.0]}}) == {"a": 1}
    assert how_far({"a": {1: [1.0, 0.985]}}) == {"a": None}  # the mean is enough, a seed is not


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        ({}, "not empty"),
        ({"a": {}}, "not empty"),
        ({"a": {1: []}}, "accuracies of seeds"),
        ({"a": {1: [1.5]}}, "accuracies of seeds"),
        ({"a": {1: [np.nan]}}, "accuracies of seeds"),
        ({"a": {0: [0.5]}}, "a distance must be a number above 0"),
    ],
)
def test_scores_that_are_none(scores, message):
    with pytest.raises(ConfigError, match=message):
        lstm.plot_accuracy(scores)


def test_what_is_left_of_an_rnns_state_is_the_product_of_its_steps():
    """∂h_t/∂h_{t-1} = diag(1 - h²) Wᵀ, in NumPy; and no norm is beyond its bound."""
    task = lstm.Adding(length=12)
    model = lstm.Model.create(lstm.RNN, task=task, hidden_size=5, seed=2)
    made = vanishing_of(model, task)
    xs, _ = task.batch(np.random.default_rng(0), 8)
    values = {n.rpartition(".")[2]: v.astype(float) for n, v in model.values().items()}
    W, b = values["W_h"], values["b_h"]
    norms, bounds = np.ones((12, 8)), np.ones((12, 8))
    for k in range(8):
        h, product = np.zeros(5), np.eye(5)
        for t, x in enumerate(xs[:, k].astype(float)):
            h = np.tanh(np.concatenate([h, x]) @ W + b)
            if t:
                step = np.diag(1 - h**2) @ W[:5].T
                product = step @ product
                norms[t, k] = np.linalg.svd(product)[1][0]
                bounds[t, k] = bounds[t - 1, k] * np.linalg.svd(step)[1][0]
    np.testing.assert_allclose(made.measured, np.median(norms, 1), rtol=1e-9)
    np.testing.assert_allclose(made.bound, np.median(bounds, 1), rtol=1e-9)
    largest = np.abs(np.linalg.eigvals(W[:5])).max()
    np.testing.assert_allclose(made.rate, largest ** np.arange(12), rtol=1e-9)
    assert (made.measured <= made.bound * (1 + 1e-9)).all()
    assert made.words.startswith(f"RNN: ‖∂h_T/∂h₁‖ is {made.measured[-1]:.1e} at T = 12")


def test_the_line_of_an_lstm_is_the_product_of_its_factors():
    task = lstm.Adding(length=8)
    model = lstm.Model.create(lstm.LSTM, task=task, hidden_size=4)
    made = vanishing_of(model)
    xs, ys = task.batch(np.random.default_rng(0), 8)
    f = lstm.flow(model.with_dtype("float64"), xs, ys).values["f"].astype(float)
    for t in range(1, 8):
        along = f[1 : t + 1].prod(0).max(-1)
        assert made.rate[t] == pytest.approx(np.median(along), rel=1e-5)
    ax = vanishing({"mine": model})
    heights = [line.get_text() for line in ax.texts]
    assert "mine ‖∂C_T/∂C₁‖" in heights
    assert ax.get_xlabel() == "steps T"
