"""Heat maps, triangles, bars, waterfalls and bands: each artist against its number."""

from __future__ import annotations

import math
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.axes import Axes

import minigrad as mg
from minigrad.drawing import Scale
from minigrad.drawing.charts import band, bars, heat_map, triangle, waterfall
from minigrad.drawing.charts.marks import MANY, Pieces, Stretches
from minigrad.drawing.palette import RAMP
from minigrad.drawing.theme import special_style

SCALE = Scale(-6.0, 0.0)
EDGES = [10.0 ** (-6 + k / 2) for k in range(13)]  # 12 classes of half a decade


def cells(ax: Axes) -> dict[tuple[float, float], tuple[float, float, str]]:
    """{(left, top): (right, bottom, colour)} of each box, and (right, its height, colour and dash)
    of each line, as they are drawn."""
    found: dict[tuple[float, float], tuple[float, float, str]] = {}
    for artist in ax.collections:
        if isinstance(artist, Pieces):
            for path, color in zip(artist.get_paths(), artist.get_facecolor(), strict=True):
                (left, top), (right, bottom) = path.vertices.min(axis=0), path.vertices.max(axis=0)
                assert (left, top) not in found
                found[left, top] = right, bottom, mpl.colors.to_hex(color)
        elif isinstance(artist, Stretches):
            segments, colors = artist.get_segments(), artist.get_colors()
            for line, color in zip(segments, colors, strict=True):
                (left, y), (right, end) = line
                assert y == end
                found[left, y] = right, y, f"{mpl.colors.to_hex(color)} line"
    return found


def color_at(ax: Axes, x: float, y: float) -> str | None:
    """What is seen at a place: the fill there, the line through the middle of its cell, or None."""
    hits = []
    for (left, top), (right, bottom, color) in cells(ax).items():
        inside = top < y < bottom if top < bottom else abs(top - y) < 0.26
        if left < x < right and inside:
            hits.append(color)
    assert len(hits) <= 1, hits
    return hits[0] if hits else None


def expected(size: float) -> str:
    """By the edges of the classes, each of half a decade."""
    if math.isnan(size) or math.isinf(size) or size == 0.0 or size < EDGES[0]:
        named = "nan" if math.isnan(size) else "inf" if math.isinf(size) else "zero"
        kind = "below" if 0.0 < size < EDGES[0] else named
        return f"{special_style(kind).color} line"
    return RAMP[min(int(np.searchsorted(EDGES, size, "right")) - 1, 11)]


def sizes(rows: int, steps: int) -> np.ndarray:
    return 10.0 ** np.random.default_rng(rows).uniform(-5.99, -0.01, (rows, steps))


def test_each_cell_of_a_heat_map_has_the_colour_of_its_number() -> None:
    values = sizes(5, 7)
    values[1, 2:5] = 0.0, math.nan, math.inf
    values[3] = 1e-9
    values[4, :2] = 10**-6.01, 10**-5.99  # on both sides of the end of the scale
    ax = heat_map(values, scale=SCALE)
    for row in range(5):
        for step in range(7):
            assert color_at(ax, step + 1, row + 1) == expected(values[row, step]), (row, step)
    assert ax.get_xlim() == (0.5, 7.5)
    assert ax.get_ylim() == (5.5, 0.5)
    assert [int(t) for t in ax.get_yticks()] == [1, 2, 3, 4, 5]
    whole = cells(ax)
    assert min(left for left, _ in whole) == 0.5
    assert max(right for right, *_ in whole.values()) == 7.5


def test_kinds_that_are_measured_are_shown_as_such() -> None:
    kinds = [["zero", "underflow", "disconnected"]]
    ax: Any = heat_map(np.zeros((1, 3)), kinds=kinds, scale=SCALE)
    shown = [color_at(ax, step, 1) for step in (1, 2, 3)]
    assert shown == [f"{special_style(kind).color} line" for kind in kinds[0]]
    stretches: list[Any] = [a for a in ax.collections if isinstance(a, Stretches)]
    widths = [w for a in stretches for w in a.get_linewidths()]
    assert widths == [special_style(kind).width for kind in kinds[0]]


def test_a_line_is_no_thicker_than_its_row() -> None:
    ax = heat_map(np.full((200, 3), math.inf), scale=SCALE)
    height = ax.get_window_extent().height * 72 / ax.figure.dpi / 200
    stretches: list[Any] = [a for a in ax.collections if isinstance(a, Stretches)]
    (lines,) = stretches
    assert max(lines.get_linewidths()) <= height


@pytest.mark.parametrize("rows", [3, 300])
def test_bins_of_a_heat_map_keep_their_extremes(rows: int) -> None:
    values = np.full((rows, 1000), 1e-3)
    values[1, 500], values[2, 700] = 0.5, 2e-6  # one step each
    ax = heat_map(values, scale=SCALE)
    spans = [(1000 * k // 256, 1000 * (k + 1) // 256) for k in range(256)]
    height = 300 / 256 if rows == 300 else 1.0
    for row, step, size, share in ((1, 500, 0.5, 0.25), (2, 700, 2e-6, 0.75)):
        (first, last) = next(s for s in spans if s[0] <= step < s[1])
        top = row + 0.5 if rows == 3 else 0.5 + row  # the first rows have bins of their own
        assert color_at(ax, (first + last + 1) / 2, top + share * min(height, 1.0)) == expected(
            size
        )
        other = 1.0 - share
        assert color_at(ax, (first + last + 1) / 2, top + other * min(height, 1.0)) == expected(
            1e-3
        )
    assert color_at(ax, 10.0, 1.1) == expected(1e-3)


def test_words_of_a_cell_say_where_it_is_and_what_it_holds() -> None:
    values = np.array([[1e-3, 1e-3, 0.5], [0.0, 2e-3, 2e-3]])
    ax = heat_map(values, scale=SCALE, labels=["f", "o"])
    hints = [h for a in ax.collections for h in getattr(a, "hints", ())]
    assert sorted(hints) == [
        "f: t=1 … 2, 0.001",
        "f: t=3, 0.5",
        "o: t=1, 0, exactly 0",
        "o: t=2 … 3, 0.002",
    ]
    numbered = heat_map(values, scale=SCALE, name="unit")
    hints = [h for a in numbered.collections for h in getattr(a, "hints", ())]
    assert "unit 2: t=2 … 3, 0.002" in hints


def test_very_many_cells_are_a_bitmap_in_a_small_file() -> None:
    values = 10.0 ** (-1.0 - 4.0 * (np.indices((64, 200)).sum(axis=0) % 2))
    ax = heat_map(values, scale=SCALE)
    (boxes,) = [a for a in ax.collections if isinstance(a, Pieces)]
    assert len(boxes.get_paths()) == 64 * 200 > MANY
    assert boxes.get_rasterized()
    svg = mg.charts.Chart(ax.figure, title="", description="").svg
    assert len(svg) < 200_000
    assert "data:image/png" in svg


# --- pairs of steps ------------------------------------------------------------------------------


def _pairs(steps: int) -> np.ndarray:
    return np.tril(sizes(steps, steps))


def test_each_pair_of_steps_has_the_colour_of_its_number_and_none_after_t() -> None:
    values = _pairs(9)
    values[5, 2] = values[4, 4] = 0.0  # nothing of a step itself is told, unlike of one after
    ax = triangle(values, scale=SCALE, labels=("s", "t"))
    for t in range(9):
        for s in range(9):
            wanted = None if s > t else expected(values[t, s])
            assert color_at(ax, s + 1, t + 1) == wanted, (t, s)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("s", "t")
    assert (ax.get_xlim(), ax.get_ylim()) == ((0.5, 9.5), (9.5, 0.5))


def test_what_lies_after_t_is_drawn_where_it_is_not_nothing() -> None:
    values = np.array([[1e-1, 1e-2], [1e-3, 1e-4]])
    ax = triangle(values, scale=SCALE)
    assert color_at(ax, 2, 1) == expected(1e-2)


def test_rows_and_runs_of_steps_stand_at_their_steps() -> None:
    """Two rows, of t = 1 … 3 and t = 4 … 6, and three runs of two steps each."""
    high = np.array([[1e-1, 0.0, 0.0], [1e-2, 1e-3, 0.5]])
    low = np.array([[0.0, 0.0, 0.0], [1e-4, 1e-5, 2e-2]])
    spans = [(1, 2), (3, 4), (5, 6)]
    ax = triangle(high, low=low, rows=[(1, 3), (4, 6)], columns=spans, scale=SCALE)
    assert (ax.get_xlim(), ax.get_ylim()) == ((0.5, 6.5), (6.5, 0.5))
    middle = [1.5, 3.5, 5.5]
    assert [color_at(ax, x, 1.25) for x in middle] == [expected(0.1), expected(0.0), None]
    assert [color_at(ax, x, 2.75) for x in middle] == [expected(0.0), expected(0.0), None]
    assert [color_at(ax, x, 4.25) for x in middle] == [expected(v) for v in high[1]]
    assert [color_at(ax, x, 5.75) for x in middle] == [expected(v) for v in low[1]]
    hints = [h for a in ax.collections for h in getattr(a, "hints", ())]
    assert "t=4 … 6, s=3 … 4: 0.001 … 0.001" in hints


def test_bins_of_a_triangle_keep_their_extremes() -> None:
    values = np.tril(np.full((600, 600), 1e-3))
    values[400, 100], values[500, 300] = 0.5, 2e-6
    ax = triangle(values, scale=SCALE)
    at = {k: next(b for b in range(256) if 600 * b // 256 <= k < 600 * (b + 1) // 256)
          for k in (100, 300, 400, 500)}  # fmt: skip
    for t, s, size, share in ((400, 100, 0.5, 0.25), (500, 300, 2e-6, 0.75)):
        x = (600 * at[s] // 256 + 600 * (at[s] + 1) // 256 + 1) / 2
        top, bottom = (600 * k // 256 + 0.5 for k in (at[t], at[t] + 1))
        y = top + share * (bottom - top)
        assert color_at(ax, x, y) == expected(size)
    diagonal = {color for _, _, color in cells(ax).values()}
    assert diagonal == {expected(0.5), expected(2e-6), expected(1e-3)}  # no zero of what is after


@pytest.mark.parametrize(
    ("draw", "words"),
    [
        (lambda: heat_map(np.ones(3)), r"needs \(R, T\) magnitudes, not \(3,\)"),
        (lambda: heat_map(np.ones((0, 3))), "needs"),
        (lambda: heat_map(np.ones((2, 3)), labels=["f"]), "2 rows need as many labels, not 1"),
        (lambda: heat_map(np.ones((2, 3)), kinds=["zero"]), "as many kinds"),
        (lambda: triangle(np.ones(3)), "needs"),
        (lambda: triangle(np.ones((2, 2)), low=np.ones((2, 3))), "needs"),
        (lambda: triangle(np.ones((2, 2)), rows=[(1, 1)]), r"not \(1, 2\)"),
        (lambda: bars(["a"], [1.0, 2.0]), r"1 labels need as many sizes, not \(2,\)"),
        (lambda: bars([], []), "labels"),
        (lambda: waterfall(0.0, ["f"], [1.0, 2.0]), "1 links need"),
        (lambda: band([1.0], low=[1.0, 2.0]), r"needs \(T,\) values each"),
    ],
)
def test_other_shapes_are_refused(draw, words: str) -> None:
    with pytest.raises(mg.ShapeError, match=words):
        draw()


# --- even axes -----------------------------------------------------------------------------------


def _texts(ax: Axes) -> list[tuple[str, float, float]]:
    texts: list[Any] = ax.texts
    return [(t.get_text(), *t.xy) for t in texts]


def test_each_bar_ends_at_its_number_in_the_row_of_its_label() -> None:
    ax: Any = bars(
        ["b", "a", "gone"], [0.75, 0.5, math.nan], words=["75 %", "50 %", "NaN"], name="n"
    )
    assert [t.get_text() for t in ax.get_yticklabels()] == ["b", "a", "gone"]
    assert ax.get_yticks().tolist() == [0, 1, 2]
    assert ax.get_ylim()[0] > ax.get_ylim()[1]  # the first on top
    rects = [(p.get_x(), p.get_width(), p.get_y() + p.get_height() / 2) for p in ax.patches]
    assert rects == [(0.0, 0.75, 0.0), (0.0, 0.5, 1.0), (0.0, 0.0, 2.0)]
    assert _texts(ax) == [("75 %", 0.75, 0), ("50 %", 0.5, 1), ("NaN", 0.0, 2)]
    assert ax.get_xlabel() == "n"
    assert ax.get_xlim()[1] >= 0.75


def test_a_waterfall_goes_from_level_to_level_and_ends_at_the_sum() -> None:
    steps = np.array([[-1.0, 0.25, -2.0], [-0.5, 0.5, -1.0]])
    ax: Any = waterfall(-0.5, ["f", "W", "σ′"], steps, scale=SCALE, ends=("first", "last"))
    labels = [t.get_text() for t in ax.get_yticklabels()]
    assert labels == ["first", "f", "W", "σ′", "last"]
    spans = [(p.get_x(), p.get_x() + p.get_width(), p.get_y() + p.get_height() / 2)
             for p in ax.patches]  # fmt: skip
    assert spans == [(-0.5, -2.0, 1.0), (-2.0, -1.25, 2.0), (-1.25, -4.25, 3.0)]
    fills = [mpl.colors.to_hex(p.get_facecolor(), keep_alpha=True)[-2:] for p in ax.patches]
    assert fills == ["ff", "00", "ff"]  # what is won is hollow
    assert [w for w, *_ in _texts(ax)] == [
        "0.316", "−1.50", "+0.75", "−3.00", f"{10**-4.25:.3g}"
    ]  # fmt: skip
    thick = [line for line in ax.lines if line.get_linewidth() > 2.0]
    ends = [(line.get_xdata()[0], np.mean(line.get_ydata()), line.get_color()) for line in thick]
    assert ends == [(-0.5, 0.0, expected(10**-0.5)), (-4.25, 4.0, expected(10**-4.25))]


def test_a_waterfall_may_fall_beyond_what_a_float_holds() -> None:
    ax = waterfall(0.0, ["f", "g"], [-1000.5, -0.25])
    assert _texts(ax)[-1][0] == f"{10**0.25:.2f}e-1001"
    assert _texts(ax)[-1][1] == -1000.75
    ticks = [
        (t.get_text(), float(x)) for t, x in zip(ax.get_xticklabels(), ax.get_xticks(), strict=True)
    ]
    assert all(float(w.removeprefix("1e") if w != "1" else 0) == x for w, x in ticks)
    assert len(ticks) >= 4


@pytest.mark.parametrize(
    ("change", "word", "end"),
    [(-math.inf, "times 0", "0"), (math.nan, "NaN", "NaN"), (math.inf, "infinite", "infinite")],
)
def test_a_link_that_is_not_finite_says_so_and_has_no_bar(change, word, end) -> None:
    ax = waterfall(0.0, ["f", "g", "h"], [-1.0, change, -1.0])
    assert len(ax.patches) == 1
    assert [w for w, *_ in _texts(ax)] == ["1", "−1.00", word, "−1.00", end]


def test_a_band_runs_between_its_bounds() -> None:
    low, middle, high = [0.1, 0.2, 0.3], [0.4, 0.5, 0.6], [0.7, 0.8, 1.0]
    ax = band(middle, low=low, high=high, label="f")
    (line,) = ax.lines
    assert line.get_xydata().tolist() == [[1.0, 0.4], [2.0, 0.5], [3.0, 0.6]]
    (area,) = ax.collections
    corners = {tuple(v) for v in area.get_paths()[0].vertices.tolist()}
    assert {(t + 1.0, row[t]) for t in range(3) for row in (low, high)} <= corners
    assert (ax.get_xlim(), ax.get_ylim()) == ((0.5, 3.5), (-0.03, 1.03))
    assert ax.get_ylabel() == "f"


def test_a_long_band_keeps_the_bounds_of_each_bin() -> None:
    values = np.full(1000, 0.5)
    low, high = values.copy(), values.copy()
    low[123], high[456], values[789] = 0.0, 1.0, 0.9
    ax = band(values, low=low, high=high)
    xs, ys = ax.lines[0].get_data()
    assert len(xs) == 256
    edges = [1000 * k // 256 for k in range(257)]
    for k in range(256):
        inside = range(edges[k], edges[k + 1])
        assert xs[k] == np.mean(inside) + 1.0
        assert ys[k] == pytest.approx(values[list(inside)].mean())
    corners = ax.collections[0].get_paths()[0].vertices
    at = [next(k for k in range(256) if edges[k] <= t < edges[k + 1]) for t in (123, 456)]
    assert corners[corners[:, 1] == 0.0, 0].tolist() == [xs[at[0]]]
    assert corners[corners[:, 1] == 1.0, 0].tolist() == [xs[at[1]]]
