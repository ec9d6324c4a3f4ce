"""What is told and drawn of models that answer sequences with sequences: boxes of alignments, the
ways of the gradient, and how many answers are right at which length."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lstm
import minigrad as mg
from lstm.errors import ConfigError
from lstm.gradient_flow import attention_routes
from lstm.tasks.reverse import Reverse
from minigrad.drawing import charts
from minigrad.drawing.charts.marks import Pieces
from minigrad.drawing.palette import RAMP
from minigrad.errors import ShapeError


def boxes_of(ax: Any) -> list[tuple[float, float, float, str]]:
    """Of each box: row, column, area, colour."""
    (pieces,) = [a for a in ax.collections if isinstance(a, Pieces)]
    found = []
    for path, color in zip(pieces.get_paths(), pieces.get_facecolor(), strict=True):
        low, high = path.vertices.min(0), path.vertices.max(0)
        middle, sides = (low + high) / 2, high - low
        assert sides[0] == pytest.approx(sides[1])
        digits = "".join(f"{round(255 * c):02x}" for c in color[:3])
        found.append((middle[1], middle[0], sides[0] * sides[1], f"#{digits}"))
    return found


def test_boxes_have_the_area_and_the_colour_of_their_share():
    sizes = np.array([[0.0, 0.009, 0.991], [0.25, 0.7, 0.05]])
    ax = charts.shares(sizes, rows=["a", "b"], columns=["x", "y", "z"], names=("row", "column"))
    boxes = boxes_of(ax)
    assert [(r, k) for r, k, *_ in boxes] == [(1, 3), (2, 1), (2, 2), (2, 3)]
    areas = np.array([area for *_, area, _ in boxes])
    np.testing.assert_allclose(areas / areas[0], [1, 0.25 / 0.991, 0.7 / 0.991, 0.05 / 0.991])
    assert areas[0] < 1  # two wholes side by side do not touch
    assert [RAMP.index(color) for *_, color in boxes] == [11, 3, 8, 0]
    assert ax.yaxis_inverted()
    assert [t.get_text() for t in ax.get_xticklabels()] == ["x", "y", "z"]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["a", "b"]
    assert (ax.get_ylabel(), ax.get_xlabel()) == ("row", "column")
    (pieces,) = [a for a in ax.collections if isinstance(a, Pieces)]
    assert pieces.hints[0] == "a: 0.991 of z"


def test_the_key_of_shares_is_of_the_same_boxes():
    ax = charts.shares([[1.0]], rows=["a"], columns=["$\\bad$"])
    ax.figure.draw_without_rendering()  # no formula, which would fail
    (key,) = ax.child_axes
    (pieces,) = [a for a in key.collections if isinstance(a, Pieces)]
    sides = np.array([np.ptp(p.vertices[:, 0]) for p in pieces.get_paths()])
    numbers = [float(t.get_text()) for t in key.texts[1:]]
    np.testing.assert_allclose(sides**2 / sides[-1] ** 2, numbers)
    assert not charts.shares([[1.0]], rows=["a"], columns=["x"], legend=False).child_axes


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ([[0.5, 0.5]], r"need \(1, 1\) shares, not \(1, 2\)"),
        ([[1.01]], "a share is a number from 0 to 1, not 1.01"),
        ([[-0.1]], "not -0.1"),
        ([[np.nan]], "not nan"),
    ],
)
def test_what_are_no_shares_is_said(sizes, message):
    with pytest.raises(ShapeError, match=message):
        charts.shares(sizes, rows=["a"], columns=["x"])


def test_an_alignment_is_cut_to_what_is_read_and_said():
    weights = np.zeros((4, 5))
    weights[:3, :2] = [[0.0, 1.0], [1.0, 0.0], [0.5, 0.5]]
    weights[3] = 0.2
    ax = lstm.plot_alignment(mg.const(weights), "a<", ["<", "a", "end"])
    assert [(r, k) for r, k, *_ in boxes_of(ax)] == [(1, 2), (2, 1), (3, 1), (3, 2)]
    assert [t.get_text() for t in ax.get_xticklabels()] == ["a", "<"]
    for wrong in (weights[:2], weights[:, :1], weights[0], "weights"):
        with pytest.raises(ConfigError, match=r"weights|numbers"):
            lstm.plot_alignment(wrong, "a<", ["<", "a", "end"])


# --- the ways of the gradient -------------------------------------------------------------------

TASK = Reverse(longest=4)


def model_of(cell: Any, attention: str | None, **options: Any) -> lstm.Model:
    model = lstm.Model.create(
        cell, task=TASK, hidden_size=3, memory=0, attention=attention, **options
    )
    return model.with_dtype("float64")


def ways_by_cutting(model: lstm.Model, xs: Any, ys: Any, lengths: Any, part: str) -> Any:
    """The same parts of the gradient, each of a net in which the other ways are cut: what leaves
    the encoder is held, or what it starts the decoder with, or what a step hands to the next."""
    mask = lstm.mask_of(lengths, len(xs))

    def adjoint(held: str) -> Any:
        loops: dict[str, Any] = {}
        tape = lstm.layers.Tape({}, short=True, loops=loops)
        context = lstm.Context(mask, truncate=1 if held == "steps" else None, tape=tape)
        steps = lstm.Steps.of(mg.const(xs), mask)
        top, _ = model.layers.run(model.params, steps, model.initial_state(xs.shape[1]), context)
        each, end = top.stacked, top.end
        if held == "annotations":
            each = mg.stop_gradient(each)
        if held in ("start", "steps"):
            end = mg.stop_gradient(end)
        answer = model.readout.answer(
            model.params["readout"], lstm.Steps(each, end), lstm.Context(mask), ys
        )
        made = getattr(loops[model.place()].made, part)
        return mg.adjoints(TASK.loss(answer.output, mg.const(ys)))[made]

    parts = [adjoint(held) for held in ("steps", "start", "annotations")]
    at_once, attention, start = mg.function([], parts, backend="numpy")()
    return {"at_once": at_once, "later": attention - at_once, "start": start}


@pytest.mark.parametrize(
    ("cell", "part", "options"),
    [(lstm.RNN, "h", {}), (lstm.LSTM, "C", {"bidirectional": True})],
)
def test_each_way_is_what_is_left_where_the_others_are_cut(cell, part, options):
    model = model_of(cell, "additive", **options)
    xs, ys, lengths = TASK.batch(np.random.default_rng(0), 4)
    routes = attention_routes(model, xs, ys, lengths=lengths)
    assert routes.symbol == part
    ways = ways_by_cutting(model, xs, ys, lengths, part)
    for name, expected in ways.items():
        np.testing.assert_allclose(getattr(routes, name), expected, rtol=1e-9, atol=1e-15)
        assert np.abs(expected).max() > 1e-5
    np.testing.assert_allclose(routes.whole, sum(ways.values()), rtol=1e-9, atol=1e-15)


def test_without_attention_all_comes_by_the_start():
    model = model_of(lstm.LSTM, None)
    xs, ys, lengths = TASK.batch(np.random.default_rng(0), 4)
    routes = attention_routes(model, xs, ys, lengths=lengths)
    np.testing.assert_array_equal(routes.start, routes.whole)
    assert not routes.at_once.any()
    assert not routes.later.any()


def test_a_chart_of_the_ways_has_their_norms():
    model = model_of(lstm.LSTM, "general")
    xs, ys, lengths = TASK.batch(np.random.default_rng(0), 4)
    routes = attention_routes(model, xs, ys, lengths=lengths)
    curves = lstm.figures.answers.route_curves(routes)
    assert [curve.label for curve in curves] == [
        "all of |∂L/∂Cₜ|",
        "through the attention at step t",
        "through the attention at later steps",
        "by the decoder's first state",
    ]
    parts = (routes.whole, routes.at_once, routes.later, routes.start)
    for curve, part in zip(curves, parts, strict=True):
        np.testing.assert_allclose(curve.norms, np.sqrt((part**2).sum((1, 2))))
    ax = lstm.plot_attention_routes(model, xs, ys, lengths=lengths)
    assert ax.get_title() == "By which ways ∂L/∂Cₜ comes back"
    said = [text.get_text() for text in ax.texts]
    assert "□ by the decoder's first state" in said


def test_flows_of_decoders_and_what_they_do_not_have():
    model = model_of(lstm.GRU, "dot")
    xs, ys, _ = TASK.batch(np.random.default_rng(0), 4)
    flow, routes = lstm.flow(model, xs, ys), attention_routes(model, xs, ys)
    np.testing.assert_allclose(flow.adjoints["h"], routes.whole, rtol=1e-9, atol=1e-15)
    assert flow.split is not None
    assert flow.split.entered is not None
    entered, at_once = flow.split.entered.norms, routes.norms["at_once"]
    np.testing.assert_allclose(entered[:-1], at_once[:-1], rtol=1e-9)  # the start enters at the end
    for name in ("influence", "itemised"):
        with pytest.raises(ConfigError, match="a decoder says its tokens after all steps"):
            getattr(flow, name)
    with pytest.raises(ConfigError, match="those of a model with a decoder"):
        attention_routes(lstm.Model.create(lstm.RNN(2, 3), 1), np.ones((3, 2, 2)), np.ones((2, 1)))
    with pytest.raises(ConfigError, match=r"a batch of 4, so ys must be \(steps, 4\)"):
        lstm.flow(model, xs, ys[:, :3])


# --- right answers by length --------------------------------------------------------------------


class Marked(Reverse):
    """Right are, whatever a model says, answers that begin with a letter of the first half."""

    def correct(self, prediction: Any, target: Any) -> Any:
        return target[0] <= 4


def test_correct_by_length_counts_each_sequence_once():
    model, task = model_of(lstm.RNN, None), Marked(longest=4)
    shares = lstm.correct_by_length(model, task, seed=3, sequences=700)
    score: dict[int, list[bool]] = {n: [] for n in range(1, 5)}
    rng = lstm.training.random_streams(3).test
    for _ in range(2):  # batches of 500
        _, ys, lengths = task.batch(rng, 500)
        for n, letter in zip(lengths, ys[0], strict=True):
            score[n].append(letter <= 4)
    assert shares == {n: np.mean(right) for n, right in score.items()}
    ax = lstm.plot_correct_by_length({"RNN": model}, task, seed=3, sequences=700)
    (line,) = ax.lines
    assert dict(zip(line.get_xdata(), line.get_ydata(), strict=True)) == shares


def test_by_length_is_of_tasks_with_lengths():
    adding = lstm.Adding(5)
    model = lstm.Model.create(lstm.RNN, task=adding, hidden_size=2)
    with pytest.raises(ConfigError, match="the sequences of the task adding are of one length"):
        lstm.correct_by_length(model, adding)
    with pytest.raises(ConfigError, match="models are a dict of them by name"):
        lstm.plot_correct_by_length(model, adding)
