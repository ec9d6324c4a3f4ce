"""The pictures of a short and a long dependency, read back: words, lines, fills and numbers; and
what the change of one word changes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.patches import Circle

import lstm
from lstm.errors import ConfigError
from lstm.figures import long_dependency
from lstm.figures.dependencies import chart_of_reads
from lstm.figures.word_chain import Read, _folded, share
from lstm.percents import percent
from lstm.probing import swap_influence
from lstm.tasks.france import LANGUAGES, France
from lstm.tasks.sky import Sky
from minigrad.drawing.charts import Curve, scale_of
from minigrad.drawing.charts.marks import Stretches
from minigrad.drawing.palette import DARK, LIGHT

pytestmark = pytest.mark.usefixtures("by_numpy")


@pytest.fixture(scope="module")
def latch():
    """An LSTM that is written by hand, not trained: unit k stores that word k was read."""
    task = France(distance=6)
    words = len(task.words)
    cell = lstm.LSTM(words, words)
    model = lstm.Model.create(cell, task=task, vocabulary=words)
    values = {name: np.zeros_like(v) for name, v in model.values().items()}
    for name in values:
        leaf = name.rpartition(".")[2]
        if leaf in ("b_f", "b_o"):
            values[name][:] = 12.0
        elif leaf == "b_i":
            values[name][:] = -12.0
        elif leaf in ("W_C", "W_i"):
            values[name][words:] = (4.0 if leaf == "W_C" else 24.0) * np.eye(words)
        elif values[name].shape == (words, words) and "readout" not in name:
            values[name][:] = np.eye(words)  # the embedding
        elif values[name].shape == (words, words):
            for home, language in zip(
                task.tokens(LANGUAGES), task.tokens(task.answers), strict=True
            ):
                values[name][home, language] = 12.0
    return task, lstm.Model.of(model.layers, model.readout, values, task.config())


def test_only_the_country_tells(latch):
    task, model = latch
    xs, _ = task.batch(np.random.default_rng(0), 20)
    assert lstm.evaluate(model, task, 0).correct == 1.0
    told = swap_influence(model, xs[:, 0], xs[:, 1:])
    assert told[4] > 0.98
    assert np.delete(told, 4).max() < 1e-3
    assert (told[:4] == 0).all()
    assert (told[-3:] == 0).all()


def test_a_swap_is_the_distance_of_two_answers():
    """Against the readout, run with one word changed by hand."""
    task = Sky(1)
    model = lstm.Model.create(lstm.GRU, task=task, hidden_size=5)
    xs, _ = task.batch(np.random.default_rng(3), 4)
    xs[:, 1] = xs[:, 0]  # a sentence of the same words changes nothing

    def answer(tokens):
        scores = model.with_dtype("float64").output(tokens[:, None]).eval()[0]
        return np.exp(scores) / np.exp(scores).sum()

    told = swap_influence(model, xs[:, 0], xs[:, 1:])
    for t in range(task.steps):
        moved = []
        for other in xs[t, 1:]:
            changed = xs[:, 0].copy()
            changed[t] = other
            moved.append(np.abs(answer(changed) - answer(xs[:, 0])).sum() / 2)
        moved = [m for m, other in zip(moved, xs[t, 1:], strict=True) if other != xs[t, 0]]
        assert told[t] == pytest.approx(np.mean(moved) if moved else 0.0, abs=1e-12)
    assert told[1] > 0


def test_what_cannot_be_swapped():
    task = Sky(1)
    model = lstm.Model.create(lstm.RNN, task=task, hidden_size=3)
    xs, _ = task.batch(np.random.default_rng(3), 4)
    for own, others in ((xs, xs), (xs[:, 0], xs[1:, 1:]), (xs[:, 0], xs[:, :0])):
        with pytest.raises(ConfigError, match="others"):
            swap_influence(model, own, others)


@pytest.mark.parametrize(
    ("told", "columns", "runs"),
    [
        ([0.0] * 5, 5, [(k, k + 1) for k in range(5)]),
        ([0.0] * 9, 5, [(0, 1), (1, 7), (7, 8), (8, 9)]),
        ([0.0] * 9 + [0.9] + [0.0] * 9, 7, [(0, 9), (9, 10), (10, 11), (11, 18), (18, 19)]),
    ],
)
def test_what_tells_nothing_is_folded(told, columns, runs):
    parts = _folded(np.array(told), columns)
    assert parts == runs
    assert sum(2 if b - a > 1 else 1 for a, b in parts) <= columns


def read(told, reach, words):
    """What a model did with a sentence, made up."""
    kinds = ["normal"] * len(words)
    return Read(words, np.array(told), np.array(reach), kinds, "French", "French", 0.75, 0.5)


WORDS = ["I", "grew", "up", "in", "France", ".", *["my"] * 30, ".", "I", "speak", "fluent"]
STEPS = len(WORDS)
DARK_ONE = read(np.full(STEPS, 1e-9), np.geomspace(1e-15, 0.5, STEPS), WORDS)
LIT = read(np.where(np.arange(STEPS) == 4, 0.9, 0.0), np.full(STEPS, 0.02), WORDS)


def _below(step):
    return str(step).translate(str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉"))


@pytest.mark.parametrize("width", [900.0, 400.0])
def test_each_row_says_what_was_measured(width):
    reads = {"A": DARK_ONE, "B": replace(LIT, answer="German")}
    chart = chart_of_reads("Long", reads, width=width)
    assert chart.title == "Long: I grew up in France … I speak fluent French"
    shown_in = []
    marks = "✓✗"
    for (name, one), mark, ax in zip(reads.items(), marks, chart.figure.axes[:2], strict=True):
        texts = [text.get_text() for text in ax.texts]
        shown = [k for k in range(STEPS) if f"x{_below(k + 1)}" in texts]
        assert {4, STEPS - 1} <= {*shown}  # however narrow
        for k in shown:
            place = texts.index(f"x{_below(k + 1)}")
            assert texts[place + 1 : place + 3] == [WORDS[k], share(one.told[k])]
        folds = [int(t.removeprefix("A × ")) for t in texts if t.startswith("A ×")]
        assert len(shown) + sum(folds) == STEPS
        assert texts.count("A") == len(shown)
        assert f"{mark} French 75%" in texts
        lines = [a for a in ax.collections if isinstance(a, Stretches)]
        hints = [hint for line in lines for hint in line.hints]
        assert [h.partition(" = ")[2] for h in hints] == [f"{x:.2e}" for x in one.reach]
        shown_in.append(shown)
        told = {"A": "less than 0.1%", "B": "90%"}[name]
        line = f"{name}: “France”, 36 steps before “{one.answer}”, decides {told} of the answer"
        assert line in chart.description
    assert shown_in[0] == shown_in[1]


def test_lines_and_circles_are_lit_on_one_scale():
    chart = chart_of_reads("Long", {"A": DARK_ONE, "B": LIT})
    scale = scale_of([Curve.of("", one.reach) for one in (DARK_ONE, LIT)])
    assert scale.lo_exp == -12.0
    for one, ax in zip((DARK_ONE, LIT), chart.figure.axes[:2], strict=True):
        lines = [a for a in ax.collections if isinstance(a, Stretches)]
        colors = [to_hex(c) for line in lines for c in line.get_colors()]
        assert colors == [scale.style(float(x)).color for x in one.reach]
        fills = [p.get_alpha() for p in ax.patches if isinstance(p, Circle)]
        fills = [f for f in fills if f]
        told = [t for t in one.told[[*range(6), *range(-4, 0)]] if t]
        assert fills == pytest.approx([*told, one.sure])
    notes = [text.get_text() for text in chart.figure.axes[2].texts]
    assert "below 1e-12" in notes


def test_the_word_that_decides_and_the_answer_stand_out_in_each_row():
    chart = chart_of_reads("Long", {"A": DARK_ONE, "B": LIT})
    for ax in chart.figure.axes[:2]:
        framed = [text.get_text() for text in ax.texts if text.get_bbox_patch()]
        assert framed == ["France", "✓ French 75%"]
        rings = [p for p in ax.patches if isinstance(p, Circle) and p.get_fill() is not None]
        thick = [p for p in rings if p.get_linewidth() > 2 and p.get_edgecolor()[3] > 0]
        places = {text.get_text(): text.get_position() for text in ax.texts}
        assert [p.center for p in thick] == [places[f"x{_below(5)}"], places[f"h{_below(STEPS)}"]]
        assert {to_hex(p.get_edgecolor()) for p in thick} == {LIGHT["focus"]}
        others = {t.get_color() for t in ax.texts if t.get_text().startswith("h")}
        assert {to_hex(c) for c in others} <= {LIGHT["ink"], LIGHT["page"]}  # none is faint


def test_a_share_is_all_only_where_it_is_all():
    most = replace(LIT, told=np.where(np.arange(STEPS) == 4, 0.9999, 0.0), sure=1 - 1e-9)
    chart = chart_of_reads("Long", {"A": most})
    texts = [text.get_text() for text in chart.figure.axes[0].texts]
    assert texts[texts.index("France") + 1] == "99.99%"
    assert "✓ French > 99.9%" in texts
    assert "decides 99.99% of the answer" in chart.description


def test_a_dark_page_has_dark_colours():
    chart = chart_of_reads("Long", {"B": LIT}, theme="dark")
    ax = chart.figure.axes[0]
    assert {to_hex(t.get_color()) for t in ax.texts} <= {*DARK.values()}
    assert {to_hex(p.get_facecolor()) for p in ax.patches} <= {*DARK.values(), "#000000"}


def test_a_word_of_the_last_sentence_needs_no_other():
    one = read([0.0, 0.0, 0.0, 0.9], [0.1] * 4, ["all", ".", "the", "clouds"])
    assert chart_of_reads("Short", {"A": one}).title == "Short: the clouds French"


def test_what_reaches_a_word_is_the_flows_influence(latch):
    task, model = latch
    xs, ys = task.batch(np.random.default_rng(0), 64)
    k = int((xs[4] == task.tokens(["France"])).argmax())
    influence = lstm.flow(model, xs[:, [k]], ys[[k]]).influence.high[-1]
    chart = long_dependency({"by hand": model}, task)
    told = swap_influence(model, xs[:, k], np.delete(xs, k, axis=1))
    assert (
        f"by hand: “France”, 6 steps before “French”, decides {percent(told[4], 0)} of the answer; "
        f"‖∂y/∂x‖ is {influence[4]:.1e} there. Of 2,000 other sentences 100.0%"
    ) in chart.description
    texts = [text.get_text() for text in chart.figure.axes[0].texts]
    assert all(word in texts for word in task.spelled(xs[:, k]))
    lines = [a for a in chart.figure.axes[0].collections if isinstance(a, Stretches)]
    hints = [hint.partition(" = ")[2] for line in lines for hint in line.hints]
    assert hints == [f"{x:.2e}" for x in influence]


def test_models_are_told_by_their_headings() -> None:
    with pytest.raises(ConfigError, match=r"models= takes \{heading: a model of the task\}, not 3"):
        long_dependency(3)  # type: ignore[arg-type]
