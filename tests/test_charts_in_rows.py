"""Charts side by side end at one height whatever their keys hold; no space is left for labels that
are not there; and an axis is as high as the names of its curves need."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure

import lstm
from lstm.tasks.movie import Movie
from minigrad.drawing import charts
from minigrad.drawing.charts import Curve

pytestmark = pytest.mark.usefixtures("by_numpy")


def bottoms_and_keys(figure):
    figure.draw_without_rendering()
    boxes = [(ax.get_window_extent(), ax.child_axes[0].get_window_extent()) for ax in figure.axes]
    return [box.y0 for box, _ in boxes], [(key.y0, key.y1) for _, key in boxes]


@pytest.mark.parametrize("layout", ["constrained", None])
def test_charts_of_a_row_end_at_one_height(layout):
    figure = Figure(figsize=(11.0, 6.0), layout=layout)
    (first, second), (third, _) = figure.subplots(2, 2)
    charts.curves({"sound": [1e-2, 1e-1, 1e-1]}, first)
    charts.curves([Curve.of("with kinds", [0.0, np.nan, 1e-1], mark="○")], second)
    charts.curves({"below": [1e-2, 1e-1]}, third)
    figure.axes[3].remove()
    (a, b, c), (key_a, key_b, key_c) = bottoms_and_keys(figure)
    assert a == pytest.approx(b, abs=1.0)
    assert key_a[1] == pytest.approx(key_b[1], abs=1.0)  # the keys begin at one height
    assert key_a[0] > key_b[0] + 10.0  # and that with more to tell ends lower
    assert key_b[1] < b and key_c[1] < c < key_b[0]


def test_a_map_without_an_axis_leaves_no_space_for_its_labels():
    task = Movie(frames=4, scenes=2)
    model = lstm.Model.create(lstm.RNN, task=task, hidden_size=2)
    ax = lstm.plot_film({"RNN": model}, task)
    figure = ax.figure
    (bottom,), ((_, top),) = bottoms_and_keys(figure)
    assert 5.0 < (bottom - top) * 72 / figure.dpi < 15.0
    frames = [box for box in (p.get_window_extent() for p in ax.patches) if box.width > 30]
    assert len(frames) == task.steps
    assert all(box.height == pytest.approx(box.width, rel=0.01) for box in frames)  # squares


def names_and_heights(ax):
    """Of each name the ends and the heights of its letters, and of each curve its points."""
    ax.figure.draw_without_rendering()
    return [text.get_window_extent() for text in ax.texts]


def test_an_axis_has_room_for_the_names_of_its_curves():
    steps = np.ones(40)
    rows = [
        Curve.of("all of it", 9.6e-4 * steps),
        Curve.of("at later steps", 7.5e-4 * steps, mark="△"),
        Curve.of("at this step", 2.5e-4 * steps, mark="○"),
        Curve.of("at the start", np.geomspace(3e-7, 4e-4, 40), mark="□"),
    ]
    ax = charts.curves(rows)
    assert [t.get_text() for t in ax.get_yticklabels()][-1] == "1e-2"
    assert "all of it" in [text.get_text() for text in ax.texts]
    for box in names_and_heights(ax):
        for curve in rows:
            points = ax.transData.transform(np.column_stack([np.arange(1, 41), curve.norms]))
            inside = (points[:, 0] > box.x0) & (points[:, 0] < box.x1)
            assert not ((points[inside, 1] > box.y0) & (points[inside, 1] < box.y1)).any()
    alone = charts.curves(rows[1:])  # all of which the legend names
    assert [t.get_text() for t in alone.get_yticklabels()][-1] == "1e-3"
    fixed = charts.curves(rows, limits=(-7, -3))
    assert [t.get_text() for t in fixed.get_yticklabels()][-1] == "1e-3"


def test_a_title_stands_above_what_is_above_a_grid():
    with charts.drawn_in("auto"):
        ax = charts.shares(np.eye(9), [*"abcdefghi"], [*"rstuvwxyz"], names=("said", "read"))
        charts.shares(np.eye(9), [*"abcdefghi"], [*"rstuvwxyz"], ax, names=("", "read"), title="At")
    ax.figure.draw_without_rendering()  # type: ignore[union-attr]
    title = next(t for t in (ax.title, ax._left_title) if t.get_text())  # type: ignore[attr-defined]
    labels = [t.get_window_extent() for t in (*ax.get_xticklabels(), ax.xaxis.label)]
    assert title.get_window_extent().y0 > max(box.y1 for box in labels)


def test_a_key_keeps_away_from_the_cell_above_it():
    model = lstm.Model.create(lstm.LSTM(2, 3), output_size=1, seed=0)
    xs, ys = np.ones((4, 2, 2)), np.ones((2, 1))
    figure = lstm.figures.whole_cell(model=model, xs=xs, ys=ys, t=2, grad=True).figure
    cell, key = figure.axes
    figure.draw_without_rendering()
    caption = next(t for t in key.texts if t.get_text().startswith("Norm of"))
    frame = max((p for p in cell.patches), key=lambda p: p.get_window_extent().width)
    gap = frame.get_window_extent().y0 - caption.get_window_extent().y1
    assert gap * 72 / figure.dpi > 6.0
