"""Attention as a fan, read back: annotations in a row, each step's attention above them, lines
between of what the model computed, and nothing over anything else."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from functools import cache
from itertools import combinations, pairwise
from typing import Any

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.path import Path
from numpy.typing import NDArray
from pictures import SVG, Rect, is_over

import lstm
from lstm.errors import ConfigError
from lstm.figures import attention_fan
from lstm.figures.textbook import fan
from lstm.tasks.caption import Caption
from lstm.tasks.reverse import Reverse
from minigrad.drawing.charts import Chart
from minigrad.drawing.palette import LIGHT, RAMP

TASK = Reverse(longest=4, shortest=2)
XS, LENGTHS = TASK.tokens(["bea", "head"])
SHAPES = ("encoder", "attention", "decoder", "reads", "gives")


def _model(**options: Any) -> lstm.Model:
    options = {"attention": "additive", "bidirectional": True} | options
    model = lstm.Model.create(lstm.RNN, task=TASK, hidden_size=5, seed=1, **options)
    for name, param in model.flat_params.items():
        if name.startswith("readout"):
            param.value = 2.5 * param.value  # so that weights differ
    return model


@cache
def _drawn(step: int | None = None) -> Chart:
    return attention_fan(_model(), XS, read="bea", lengths=LENGTHS, said="aeb", step=step)


@cache
def _weights() -> NDArray[Any]:
    """(U, S) of the first sequence, as the model that is told what it says has them."""
    model = _model()
    said = model.run(XS, lengths=LENGTHS).output.eval().argmax(-1)
    told = model.run(XS, lengths=LENGTHS, targets=said).attention
    assert told is not None
    weights: NDArray[Any] = told.eval()[:3, 0, :3]
    return weights


def _patches(chart: Chart) -> list[tuple[str, Any]]:
    return [(str(p.get_label()), p) for p in chart.figure.axes[0].patches]


def _rects(chart: Chart) -> list[tuple[str, Rect]]:
    """The outlines of boxes and circles, in units, y upwards."""
    ax = chart.figure.axes[0]
    outlines = []
    for label, patch in _patches(chart):
        if label.startswith(SHAPES):
            box = patch.get_window_extent().transformed(ax.transData.inverted())
            outlines.append((label, (box.x0, box.y0, box.x1, box.y1)))
    return outlines


def _lines(chart: Chart) -> dict[str, Any]:
    """The lines of fans, by "h₁ → c₂", and the weights that they say."""
    fans = [(*label.split(": "), p) for label, p in _patches(chart) if " → c" in label]
    return {name: (float(weight), patch) for name, weight, patch in fans}


def test_the_lines_of_a_fan_are_the_weights_of_the_model() -> None:
    lines, weights = _lines(_drawn()), _weights()
    assert np.ptp(weights, axis=1).min() > 0.05
    assert len(lines) == 9
    for u, t in np.ndindex(3, 3):
        weight, patch = lines[f"h{'₁₂₃'[t]} → c{'₁₂₃'[u]}"]
        assert weight == pytest.approx(weights[u, t], abs=6e-5)
        assert to_hex(patch.get_edgecolor()) == RAMP[int(weights[u, t] * len(RAMP))]
    widths = [patch.get_linewidth() for _, patch in lines.values()]
    wholes = [weight for weight, _ in lines.values()]
    assert np.argsort(widths).tolist() == np.argsort(wholes).tolist()
    first = " + ".join(f"{w:.2f} h{t}" for w, t in zip(weights[0], "₁₂₃", strict=True))
    assert f"\nc₁ = {first}\n" in _drawn().description


def test_the_first_fan_is_the_softmax_of_products_with_the_state_that_is_started_from() -> None:
    model = _model(attention="dot", bidirectional=False)
    xs, _ = TASK.tokens(["head"])
    annotations = model.run(xs).outputs.eval()[:, 0].astype(np.float64)
    start = {name: x for name, x in model.values().items() if ".start." in name}
    query = np.tanh(annotations[-1] @ start["readout.start.W_h"] + start["readout.start.b_h"])
    shares = np.exp(annotations @ query)
    lines = _lines(attention_fan(model, xs))
    said = [lines[f"h{t} → c₁"][0] for t in "₁₂₃₄"]
    np.testing.assert_allclose(said, shares / shares.sum(), atol=6e-5)


@pytest.mark.parametrize("step", [None, 2])
def test_nothing_lies_over_anything_else_and_each_part_has_its_row(step: int | None) -> None:
    outlines = _rects(_drawn(step))
    for (a, first), (b, second) in combinations(outlines, 2):
        assert not is_over(first, second), (a, b)
    rows = {}
    for kind in ("encoder", "attention", "decoder"):
        row = [rect for label, rect in outlines if label.startswith(kind)]
        assert len(row) == 3 and len({(round(r[1], 6), round(r[3], 6)) for r in row}) == 1
        assert all(left[2] < right[0] for left, right in pairwise(row))
        rows[kind] = row[0]
    annotations = [rect for label, rect in outlines if label.startswith("gives $h")]
    assert len({round(rect[1], 6) for rect in annotations}) == 1
    low, high = annotations[0][1], annotations[0][3]
    assert rows["encoder"][3] < low and high < rows["attention"][1]
    assert rows["attention"][3] < rows["decoder"][1]


def test_no_words_lie_over_others_and_those_of_boxes_stay_in_them() -> None:
    chart = attention_fan(_model(bidirectional=False), XS, lengths=LENGTHS, said=["end", "a"])
    axes = chart.figure.axes[0]
    inverse = axes.transData.inverted()
    written = []
    for text in axes.texts:
        box = text.get_window_extent().transformed(inverse)
        written.append((text.get_text(), (box.x0, box.y0, box.x1, box.y1)))
    for (a, first), (b, second) in combinations(written, 2):
        assert not is_over(first, second), (a, b)
    boxes = [rect for _, rect in _rects(chart)]
    for words, rect in written:
        for box in boxes:
            inside = box[0] <= rect[0] and box[1] <= rect[1] and rect[2] <= box[2]
            assert not is_over(rect, box) or (inside and rect[3] <= box[3]), words


def test_lines_lead_from_their_annotation_into_their_attention_in_order() -> None:
    outlines = dict(_rects(_drawn()))
    for u, t in np.ndindex(3, 3):
        path: Path = _lines(_drawn())[f"h{'₁₂₃'[t]} → c{'₁₂₃'[u]}"][1].get_path()
        (x0, y0), (x1, y1) = np.asarray(path.vertices)[[0, -1]]
        circle, box = outlines[f"gives $h_{{{t + 1}}}$"], outlines[f"attention {u + 1}"]
        assert x0 == pytest.approx((circle[0] + circle[2]) / 2) and y0 == pytest.approx(circle[3])
        assert y1 == pytest.approx(box[1])
        third = (box[2] - box[0]) / 3
        assert box[0] + t * third < x1 < box[0] + (t + 1) * third


def _texts(svg: str) -> dict[str, list[tuple[float, float]]]:
    """Where the words of an SVG stand, which are no mathematics."""
    places: dict[str, list[tuple[float, float]]] = {}
    for text in ET.fromstring(svg).iter(f"{SVG}text"):
        if text.get("x"):
            place = float(text.get("x", 0)), float(text.get("y", 0))
            places.setdefault(text.text or "", []).append(place)
    return places


def test_the_svg_has_each_weight_in_its_attention_and_words_where_they_are_read_and_said() -> None:
    places = _texts(_drawn().svg)
    heads, words = sorted(places["attention"]), ["b", "e", "a"]
    lowest = [max(places[letter], key=lambda at: at[1]) for letter in words]
    highest = [min(places[letter], key=lambda at: at[1]) for letter in reversed(words)]
    for row in (lowest, highest):
        assert [x for x, _ in row] == sorted(x for x, _ in row)
    assert max(y for _, y in highest) < heads[0][1] < min(y for _, y in lowest)
    numbers = [(*at, w) for w, all_at in places.items() for at in all_at if w[:2] == "0."]
    within = sorted(number for number in numbers if number[1] < lowest[0][1])
    assert [w for *_, w in within] == [f"{w:.2f}" for w in _weights().ravel()]
    assert all(0 < y - heads[0][1] < 40 for _, y, _ in within)
    for k, (middle, _) in enumerate(heads):
        assert within[3 * k + 1][0] == pytest.approx(middle, abs=0.01)


def test_a_step_by_itself_leaves_the_others_faint() -> None:
    chart = _drawn(2)
    assert [*_lines(chart)] and all(name.endswith("c₂") for name in _lines(chart))
    edges = {label: to_hex(p.get_edgecolor()) for label, p in _patches(chart)}
    colours = [edges[f"attention {u}"] for u in (1, 2, 3)]
    assert colours == [LIGHT["faint"], LIGHT["ink"], LIGHT["faint"]]


@pytest.mark.parametrize("both", [False, True])
def test_the_encoders_state_goes_the_ways_that_its_layers_read(both: bool) -> None:
    chart = attention_fan(_model(bidirectional=both), XS, lengths=LENGTHS)
    paths = [p.get_path().vertices for label, p in _patches(chart) if label == "state"]
    ahead = [bool(path[0, 0] < path[-1, 0]) for path in paths]
    assert ahead.count(True) == 2 and ahead.count(False) == (2 if both else 0)


def test_where_no_cell_reads_there_are_annotations_alone_and_a_mask_says_which() -> None:
    task = Caption()
    model = lstm.Model.create(lstm.RNN, task=task, hidden_size=3, attention="dot")
    xs, _ = task.drawn(np.random.default_rng(0), task.scenes(np.random.default_rng(0), 1))
    mask = np.zeros((len(xs), 1), bool)
    mask[[4, 20, 48]] = True
    labels = [label for label, _ in _patches(attention_fan(model, xs, mask=mask, said="a"))]
    assert [x for x in labels if x.startswith("gives $h")] == [
        "gives $h_{5}$",
        "gives $h_{21}$",
        "gives $h_{49}$",
    ]
    assert not any(label.startswith("encoder") for label in labels)


def test_what_does_not_fit_is_refused_in_words() -> None:
    plain = lstm.Model.create(lstm.RNN(2, 3), output_size=1)
    with pytest.raises(ConfigError, match="attention, which this model does not have"):
        attention_fan(plain, np.ones((3, 1, 2)))
    long = Reverse(longest=9)
    model = lstm.Model.create(lstm.RNN, task=long, hidden_size=3, attention="dot")
    with pytest.raises(ConfigError, match=r"10 tokens over 4 steps .*plot_alignment"):
        attention_fan(model, XS)
    with pytest.raises(ConfigError, match="step=3, but 2 tokens are shown"):
        attention_fan(model, XS, said="ab", step=3)
    with pytest.raises(ConfigError, match="read= takes 4 words here, not 3"):
        attention_fan(model, XS, read="abc")
    with pytest.raises(ConfigError, match="said= takes 1 to 10 words here, not 0"):
        attention_fan(model, XS, said="")
    with pytest.raises(ConfigError, match="read= are words"):
        attention_fan(model, XS, read=4)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="xs must be integer tokens"):
        attention_fan(model, XS[0])


def test_words_are_drawn_as_they_are_and_weights_that_are_no_numbers_too() -> None:
    model = _model()
    model.flat_params["readout.start.W_h"].value = np.full((10, 5), np.nan, np.float32)
    chart = attention_fan(model, XS, lengths=LENGTHS, said=["$x$"], read=["<b>", "\x1b[2J", r"\$"])
    words = _texts(chart.svg)
    assert {"$x$", "<b>", r"\$", "nan"} <= {*words}
    assert not any("\x1b" in word for word in words)


def test_without_a_model_it_is_of_one_that_is_trained_to_reverse_a_string(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fan, "fit", lambda *args, **options: None)
    chart = attention_fan()
    contexts = chart.description.splitlines()[1:]
    assert [line.count("h") for line in contexts] == [4] * len(contexts)
    words = [text.get_text() for text in chart.figure.axes[0].texts]
    assert all(letter in words for letter in "bead")
    with pytest.raises(ConfigError, match="xs= goes with model="):
        attention_fan(xs=XS)
