"""Steps that no differentiable path joins to the loss are told as such, apart from all other zeros;
and what charts of a flow say of themselves.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import lstm
import minigrad as mg
from lstm.figures.plots import units_of
from lstm.gradient_flow import Series

pytestmark = pytest.mark.usefixtures("by_numpy")

STEPS, READ = 8, 4


def _flow(cell: type[lstm.Cell], *, seed: int = 0, scale: float = 1.0, **options):
    """A flow whose loss is that of step 4 alone, counted from 1."""
    model = lstm.Model.create(cell(2, 4, "float64"), 1, seed)
    rng = np.random.default_rng(seed)
    xs, ys = rng.normal(size=(STEPS, 3, 2)), rng.normal(size=(STEPS, 3, 1))

    def loss(output, target):
        return scale * mg.mean(mg.square(output[READ - 1] - target[READ - 1]))

    return lstm.flow(_every(model), xs, ys, loss, **options)


def _every(model: lstm.Model) -> lstm.Model:
    return replace(model, readout=replace(model.readout, read="every"))


@pytest.mark.parametrize("cell", [lstm.RNN, lstm.LSTM, lstm.GRU])
def test_what_comes_after_the_loss_is_not_connected(cell: type[lstm.Cell]) -> None:
    flow = _flow(cell)
    wanted = ["normal"] * READ + ["disconnected"] * (STEPS - READ)
    for part in flow.ordered:
        assert part.kinds == wanted
        assert part.norms[READ:] == [0.0] * (STEPS - READ)
        assert part.shown(STEPS) == "not connected"
        assert part.shown(1) == f"{part.first:.2e}"
    assert "From t=5 on nothing joins it to the loss: not connected." in flow.diagnosis[0]
    assert "not connected" in str(flow)
    assert "not connected" in flow.draw().svg
    if flow.split is not None:
        assert flow.split.line.kinds[READ:] == wanted[READ:]
    for kinds in units_of(flow, flow.main.symbol)[1]:
        assert list(kinds[READ:]) == ["disconnected"] * (STEPS - READ)


def test_a_reversed_layer_counts_in_the_order_in_which_it_reads() -> None:
    task = lstm.Adding(length=STEPS)
    model = lstm.Model.create(lstm.RNN, task=task, hidden_size=4, bidirectional=True)
    xs, ys = np.ones((STEPS, 3, 2)), np.ones((STEPS, 3, 1))

    def loss(output, target):
        return mg.mean(mg.square(output[0] - target[0]))  # the last step that is read

    flow = lstm.flow(_every(model), xs, ys, loss, direction="backward")
    assert "disconnected" not in flow.main.kinds
    flow = lstm.flow(_every(model), xs, ys, loss, direction="forward")
    assert flow.main.kinds == ["normal"] + ["disconnected"] * (STEPS - 1)


def test_other_zeros_are_not_told_so() -> None:
    zero = _flow(lstm.RNN, scale=0.0).main  # 0 as a factor: connected, and exactly 0
    assert zero.kinds[:READ] == ["zero"] * READ and set(zero.kinds[READ:]) == {"disconnected"}
    small = _flow(lstm.RNN, scale=1e-323).main
    assert "underflow" in small.kinds[:READ] and set(small.kinds[READ:]) == {"disconnected"}


class Cut(lstm.RNN):
    """An RNN that no gradient comes back through."""

    name = "cut"

    def compute(self, params, state, x):
        return super().compute(params, type(state)(*map(mg.stop_gradient, state)), x)


def test_a_cut_in_the_step_parts_all_steps_before() -> None:
    model = lstm.Model.create(Cut(2, 4, "float64"), 1, 0)
    flow = lstm.flow(model, np.ones((STEPS, 3, 2)), np.ones((3, 1)))
    assert flow.main.kinds == ["disconnected"] * (STEPS - 1) + ["normal"]
    assert "it is not connected to the loss from t=7 down" in flow.diagnosis[0]


def test_a_watch_tells_the_same() -> None:
    model = lstm.Model.create(Cut(2, 4, "float64"), 1, 0)
    watch = lstm.FlowWatch(every=1)
    list(lstm.train(model, lstm.Adding(length=STEPS), lstm.Settings(steps=1), watch=watch))
    assert watch.flows[0].main.kinds == ["disconnected"] * (STEPS - 1) + ["normal"]


# --- what charts say -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def plain_flow():
    model = lstm.Model.create(lstm.LSTM(2, 4, "float64"), 1, 0)
    rng = np.random.default_rng(0)
    return lstm.flow(model, rng.normal(size=(STEPS, 3, 2)), rng.normal(size=(3, 1)))


def test_without_a_symbol_all_gates_are_drawn(plain_flow) -> None:
    ax = lstm.plot_gate(plain_flow)
    told = [text.get_text() for text in ax.get_legend().get_texts()]
    assert [words.rpartition(" ")[2] for words in told] == [*plain_flow.gates]
    for line, gate in zip(ax.lines, plain_flow.gates, strict=True):
        values = plain_flow.values[gate].reshape(STEPS, -1)
        assert line.get_ydata() == pytest.approx(values.mean(axis=1))
    assert len({line.get_color() for line in ax.lines}) == len(plain_flow.gates)
    model = lstm.Model.create(lstm.RNN(2, 4), 1, 0)
    with pytest.raises(lstm.ConfigError, match="a cell of kind rnn has no gates to draw"):
        lstm.plot_gate(lstm.flow(model, np.ones((3, 2, 2)), np.ones((2, 1))))


@pytest.mark.parametrize(
    ("draw", "words"),
    [
        (lstm.plot_itemised, "Norm of the gradient: colour"),
        (lstm.plot_influence, "Norm of the Jacobian ∂yₜ/∂x_s: colour"),
        (lstm.plot_units, "Norm of the gradient: colour"),
        (lstm.plot_norms, "Norm of the gradient: colour and width"),
    ],
)
def test_a_legend_says_what_its_colours_are(plain_flow, draw, words: str) -> None:
    (key,) = draw(plain_flow).child_axes
    assert key.texts[0].get_text() == words


def test_the_picture_of_a_comparison_has_its_sentences_and_names(plain_flow) -> None:
    both = lstm.compare(plain_flow, plain_flow, names=["before", "after"])
    (sentence,) = both.sentences
    assert "'before'" in sentence and "'after'" in sentence
    assert sentence in both.draw().description


def test_the_line_alone_is_computed_where_most_came_along_it(plain_flow) -> None:
    assert plain_flow.split.share[0] >= 0.5
    alone = plain_flow.waterfall
    assert "waterfalls" not in vars(plain_flow)
    whole = plain_flow.waterfalls["line"]
    assert alone.route == "line" and alone.links == whole.links
    np.testing.assert_allclose(alone.decades, whole.decades)


def test_nothing_comes_through_a_part_that_is_not_connected() -> None:
    flow = _flow(lstm.LSTM)
    unread = Series("q", [0.0] * STEPS, ["disconnected"] * STEPS)
    assert flow.beside == "h and the gates"
    assert replace(flow, series={**flow.series, "q": unread}).beside == "h and the gates"
    zero = replace(unread, kinds=["zero"] * STEPS)
    assert replace(flow, series={**flow.series, "q": zero}).beside == "h and q and the gates"
