"""What a picture shows is seen: names lie on no curve, a single point is a dot, one kind of nothing
has one texture, frames have a border, and nothing is wider than what is drawn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

import lstm
from lstm.figures.film import Film, Watched, plot_watched
from lstm.figures.of_task import Answered, _draw_scatter, _panels
from lstm.figures.seeds import NARROW, Run, Seeds, draw_seeds, plot_seeds
from lstm.plain_values import counted
from minigrad.drawing import Scale, charts
from minigrad.drawing.charts import Curve
from minigrad.drawing.charts.marks import Stretches

T = np.arange(100)


def drawn(figure: Any) -> Any:
    """What has drawn a figure, as pixels."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return canvas.get_renderer()


def test_a_marked_name_without_a_clear_place_is_left_to_the_legend():
    rows = [Curve.of(f"curve {k}", 1.25**k * 1e-2 + 0 * T, mark="△") for k in range(24)]
    ax = charts.curves(rows, limits=(-3, 1))
    renderer = drawn(ax.figure)
    names = [text for text in ax.texts if text.get_text().startswith("△")]
    assert len(names) < len(rows)
    heights = ax.transData.transform([(1.0, row.norms[0]) for row in rows])[:, 1]
    for name in names:
        box = name.get_window_extent(renderer)
        assert not ((heights > box.y0) & (heights < box.y1)).any(), name.get_text()
    key = [text.get_text() for text in ax.child_axes[0].texts]
    assert {f"△ {row.label}" for row in rows} <= set(key)


def test_a_name_that_is_needed_lies_beneath_the_curves():
    rows = {f"curve {k}": 1.1**k * 1e-2 + 0 * T for k in range(40)}
    ax = charts.curves(rows, limits=(-3, 1))
    assert len(ax.texts) == len(rows)
    lines = [artist.get_zorder() for artist in ax.collections]
    assert max(text.get_zorder() for text in ax.texts) < min(lines)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_curve_of_one_step_is_a_dot(theme):
    with charts.drawn_in(theme):
        ax: Any = charts.curves({"C": [0.5]})
        gate: Any = charts.band([0.25])
    (dot,) = [a for a in ax.collections if not isinstance(a, Stretches)]
    assert dot.get_offsets().tolist() == [[1.0, 0.5]]
    assert to_hex(dot.get_facecolor()[0]) == to_hex(dot.get_edgecolor()[0])
    assert gate.lines[0].get_marker() == "o"
    many: Any = charts.curves({"C": [0.5, 0.5]})
    assert all(isinstance(a, Stretches) for a in many.collections)
    assert charts.band([0.25, 0.5]).lines[0].get_marker() == "None"
    assert [counted(n, "step") for n in (0, 1, 2)] == ["0 steps", "1 step", "2 steps"]
    model = lstm.Model.create(lstm.RNN(2, 2), output_size=1, seed=0)
    flow = lstm.flow(model, np.ones((1, 1, 2)), np.ones((1, 1)))
    assert "through 1 step\n" in repr(flow)


@pytest.mark.parametrize("dpi", [60, 200])
def test_dashes_of_all_rows_are_one_texture(dpi):
    """Read off the pixels: rows that begin at other steps have their gaps in the same places."""
    sizes = np.full((4, 60), 1e-9)
    for k in range(4):
        sizes[k, : 3 * k] = 1e-2
    figure = Figure(figsize=(6, 3), dpi=dpi)
    ax = figure.subplots()
    charts.heat_map(sizes, ax, scale=Scale(-6.0, 0.0), legend=False)
    figure.subplots_adjust(left=0.2)  # as a layout may be changed before it is drawn
    pixels = np.asarray(drawn(figure).buffer_rgba()).astype(float)
    rows = []
    for k in range(4):
        left, y = ax.transData.transform((15.0, k + 1.0))
        right = ax.transData.transform((59.0, 1.0))[0]
        middle = round(len(pixels) - y)
        rows.append(pixels[middle - 2 : middle + 3, round(left) : round(right), 0].mean(0))
    assert min(np.ptp(row) for row in rows) > 20  # there are dashes and gaps
    assert np.corrcoef(rows).min() > 0.99


def test_each_frame_of_a_film_has_a_border():
    frames = np.ones((3, 12, 12))
    watched = Watched(["nobody"] * 3, np.ones(3), ["normal"] * 3)
    ax: Any = plot_watched(Film(frames, ["nobody"] * 3, 2, {"a": watched}))
    page = to_hex(ax.get_facecolor())
    assert len(ax.patches) == len(ax.images) == 3
    for patch, image in zip(ax.patches, ax.images, strict=True):
        left, right, bottom, top = image.get_extent()
        box = patch.get_bbox()
        assert box.x0 <= left and box.x1 >= right and box.y0 <= top and box.y1 >= bottom
        assert patch.get_linewidth() > 0 and to_hex(patch.get_edgecolor()) != page


@pytest.mark.parametrize("models", [1, 2])
def test_panels_are_as_wide_as_what_is_drawn(models):
    truth = np.linspace(0, 1, 20)[:, None]
    told = Answered({f"model {k}": truth for k in range(models)}, truth, None)
    chart = _panels("A title", told, _draw_scatter, "light", None)
    right = max(ax.get_position().x1 for ax in chart.figure.axes)
    assert right > 0.9


# --- losses and baselines ------------------------------------------------------------------------

AT = [32, 64, 96]


def test_the_curves_decide_the_range_of_losses():
    run = Run(AT, [2.2, 2.1, 2.0], [0, 0, 0])
    far = {"near": 2.3, "below all": 1.9e-6, "zero": 0.0, "above all": 7.0}
    ax = plot_seeds(Seeds({"A": [run]}, far))
    low, high = ax.get_ylim()
    assert 1.6 < low < 2.0 and 2.3 <= high < 2.6
    assert ax.get_yscale() == "linear"
    assert [line.get_label() for line in ax.lines[1:]] == [
        "near: 2.3",
        "↓ below all: 1.9e-06, below",
        "↓ zero: 0, below",
        "↑ above all: 7, above",
    ]
    assert ax.lines[1].get_ydata() == [2.3, 2.3]
    steep = Run(AT, [1.0, 0.1, 0.01], [0, 0, 0])
    logs = plot_seeds(Seeds({"A": [steep]}, {"a": 0.001, "zero": 0.0, "far": 1e-9}))
    assert logs.get_yscale() == "log" and 1e-4 < logs.get_ylim()[0] < 1e-3
    labels = [str(line.get_label()) for line in logs.lines[1:]]
    assert labels == ["a: 0.001", "↓ zero: 0, below", "↓ far: 1e-09, below"]


@pytest.mark.parametrize("width", [None, NARROW])
def test_no_two_words_of_a_chart_of_losses_overlap(width):
    run = Run(AT, [2.1, 2.1, 2.1], [0, 0, 0])
    levels = {"always the mean": 2.1, "the last value": 2.1001, "linear in the window": 1.9e-6}
    chart = draw_seeds(Seeds({"LSTM": [run]}, levels), "T", width=width)
    figure: Any = chart.figure
    renderer = drawn(figure)
    (legend,) = figure.legends
    boxes = [text.get_window_extent(renderer) for text in legend.texts]
    assert len(boxes) == 4
    boxes += [ax.title.get_window_extent(renderer) for ax in figure.axes]
    boxes += [ax._left_title.get_window_extent(renderer) for ax in figure.axes]
    boxes = [box for box in boxes if box.width > 1]
    assert not any(a.overlaps(b) for k, a in enumerate(boxes) for b in boxes[:k])
    assert all(not ax.texts for ax in figure.axes)
    assert max(box.x1 for box in boxes) <= figure.bbox.width
