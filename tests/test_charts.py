"""Charts read back: each point, bin, colour, width, name, number and legend entry against its
number."""

from __future__ import annotations

import csv
import io
import math
import xml.etree.ElementTree as ET
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from chart_reader import Legend, Panel, Shape, read, shapes_of

import lstm
from lstm.cells import LSTM
from lstm.figures import compare_flows, paths, write_flow
from lstm.gradient_flow import Flow, Series, Split
from lstm.gradient_flow.words import compare, describe, diagnose
from lstm.model import Model
from lstm.tasks import Adding
from minigrad.drawing.amount import kind_of

pytestmark = pytest.mark.usefixtures("by_numpy")

HTML = "{http://www.w3.org/1999/xhtml}"
KINDS = {  # label in the legend, and the dash of a stretch
    "zero": ("0", "dotted"),
    "underflow": ("underflow", "dashed"),
    "below": ("below", "dashed"),
    "nan": ("nan", "dashed"),
    "inf": ("inf", "solid"),
}


def _series(symbol: str, norms, kinds=None) -> Series:
    norms = [float(x) for x in norms]
    return Series(symbol, norms, list(kinds or [kind_of(x) for x in norms]))


def _flow(cell: str, c, h, line=None, gates=None) -> Flow:
    """A flow of made-up numbers: C has a line where `line` is given."""
    series = {"h": _series("h", h)}
    split = None
    if line is not None:
        series["C"] = _series("C", c)
        keep = [0.5] * len(h)
        split = Split("C", "f", keep, _series("C", line), _series("C", gates))
    bare = Flow(cell, len(h), 4, "float64", 0.0, series, split, {}, [])
    return replace(bare, diagnosis=diagnose(bare))


def _decaying(steps: int, rate: float, end: float, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, 0.15, steps)
    return end * rate ** np.arange(steps)[::-1] * 10**noise


def _short() -> dict[str, list[Flow]]:
    return {
        when: [
            _flow("RNN", None, _decaying(9, 0.3 + 0.1 * k, 0.5, k)),
            _flow(
                "LSTM",
                _decaying(9, 0.8, 0.4 - 0.2 * k, 5 + k),
                _decaying(9, 0.7, 0.9, 7 + k),
                _decaying(9, 0.6, 0.3, 9 + k),
                [*_decaying(8, 0.7, 0.1, 11 + k), 0.0],
            ),
        ]
        for k, when in enumerate(("before", "after"))
    }


def _long() -> dict[str, list[Flow]]:
    norms = _decaying(1000, 0.99, 0.3, 1)
    norms[[137, 138, 700]] = 30.0, 1e-9, 2e-10  # one step each: no bin may lose them
    return {"": [_flow("RNN", None, norms)]}


# --- what a chart must show -----------------------------------------------------------------------


def _check(svg: str, expected: dict[str, list[tuple[str, Series]]]) -> None:
    panels, legend = read(svg)
    assert [p.title for p in panels] == list(expected)
    for panel, curves in zip(panels, expected.values(), strict=True):
        for row, (label, series) in enumerate(curves):
            _check_curve(panel, legend, label, series)
            _check_strip(panel, legend, label, series, row)
        hints = {_label(s) for s in [*panel.lines, *panel.boxes]}
        assert hints == {label for label, _ in curves}
    _check_legend(legend, [s for curves in expected.values() for _, s in curves])


def _label(shape: Shape) -> str:
    return shape.hint.rpartition(": t=")[0]


def _own(panel: Panel, label: str, is_curve: bool) -> list[Shape]:
    return [s for s in panel.lines if _label(s) == label and (s.middle < panel.floor) == is_curve]


def _check_curve(panel: Panel, legend: Legend, label: str, series: Series) -> None:
    steps = len(series.norms)
    # The grid has a line at each end of the axis, and all that is drawn lies between.
    heights = [g.middle for g in panel.grid]
    lines = [y for p in _own(panel, label, is_curve=True) for _, y in p.points]
    assert min(heights) - 0.1 <= min(lines) <= max(lines) <= max(heights) + 0.1
    assert (min(panel.ticks), max(panel.ticks)) == (1, steps)
    for t, x in panel.ticks.items():  # each in the middle of its step's part of the strip
        part = (x - panel.left) / (panel.right - panel.left) * steps
        assert part == pytest.approx(t - 0.5, abs=0.05)
    pieces = _own(panel, label, is_curve=True)
    shown: dict[int, float] = {}
    for piece, after in pairwise(pieces):
        assert piece.points[-1] == pytest.approx(after.points[0], abs=0.02)
        met, *sides = (
            panel.step(x) for x, _ in (piece.points[-1], piece.points[-2], after.points[1])
        )
        assert met == pytest.approx(sum(sides) / 2, abs=0.05)  # half-way between two steps
    ends = [panel.step(pieces[k].points[k][0]) for k in (0, -1)]
    assert ends == pytest.approx([1, steps], abs=0.1)
    for piece in pieces:
        for x, y in piece.points[1:-1]:  # at its ends it meets its neighbours half-way
            t = panel.step(x)
            assert abs(t - round(t)) < 0.1
            shown[round(t)] = panel.norm(y)
            norm = series.norms[round(t) - 1]
            if _kind(series, round(t) - 1, legend) == "normal":
                _check_look(piece, legend, norm)
    expected = range(1, steps + 1) if steps <= 256 else _extremes(series.norms)
    assert sorted(shown) == list(expected)
    for t, norm in shown.items():
        true = series.norms[t - 1]
        if 0.0 < true < math.inf:
            assert norm == pytest.approx(true, rel=0.02)


def _extremes(norms: list[float]) -> list[int]:
    """The least and the largest step of each of 256 bins."""
    steps = set()
    for k in range(256):
        first, last = len(norms) * k // 256, len(norms) * (k + 1) // 256
        inside = sorted(range(first, last), key=lambda t: norms[t])
        steps |= {inside[0] + 1, inside[-1] + 1}
    return sorted(steps)


def _kind(series: Series, t: int, legend: Legend) -> str:
    kind = series.kinds[t]
    is_below = kind == "normal" and series.norms[t] < legend.bounds[0] * (1 - 1e-6)
    return "below" if is_below else kind


def _check_look(shape: Shape, legend: Legend, norm: float) -> None:
    if legend.is_near_a_bound(norm):
        return
    k = legend.index(norm)
    assert shape.color == legend.colors[k]
    if shape.kind == "line":
        assert shape.width == pytest.approx(legend.widths[k], abs=0.006)


def _check_strip(panel: Panel, legend: Legend, label: str, series: Series, row: int) -> None:
    y = _row_height(panel, series, label)
    if row:  # rows stand in the order of the curves, below each other
        above = [s.middle for s in [*panel.boxes, *_strip_lines(panel)] if _label(s) != label]
        assert min(above) < y
    parts = [s for s in [*panel.boxes, *_strip_lines(panel)] if _label(s) == label]
    steps, bins = len(series.norms), min(len(series.norms), 256)
    halves = 1 if steps <= 256 else 2
    heights = sorted({round(s.middle, 1) for s in parts})
    assert len(heights) == halves
    for height, pick in zip(heights, (max, min), strict=False):
        covered = panel.left
        pieces = [s for s in parts if round(s.middle, 1) == height]
        for part in sorted(pieces, key=lambda s: s.left):
            assert part.left == pytest.approx(covered, abs=0.05)
            covered = part.right
            first, last = (_bin(panel, x, bins) for x in (part.left, part.right))
            assert last > first
            for k in range(first, last):
                inside = range(steps * k // bins, steps * (k + 1) // bins)
                t = pick(inside, key=lambda t: _rank(series.norms[t]))
                kind = _kind(series, t, legend)
                if kind == "normal":
                    assert part.kind == "box"
                    _check_look(part, legend, series.norms[t])
                else:
                    assert (part.kind, part.dash) == ("line", KINDS[kind][1])
        assert covered == pytest.approx(panel.right, abs=0.05)
    _check_ends(panel, series, y)


def _rank(norm: float) -> float:
    return math.inf if math.isnan(norm) else norm


def _strip_lines(panel: Panel) -> list[Shape]:
    return [s for s in panel.lines if s.middle > panel.floor]


def _row_height(panel: Panel, series: Series, label: str) -> float:
    parts = [s for s in [*panel.boxes, *_strip_lines(panel)] if _label(s) == label]
    return sum({round(s.middle, 1) for s in parts}) / len({round(s.middle, 1) for s in parts})


def _bin(panel: Panel, x: float, bins: int) -> int:
    """Which bin begins at a place; ticks stand in the middle of their steps."""
    steps = max(panel.ticks)
    edge = (x - panel.left) / (panel.right - panel.left) * steps
    assert abs(edge - round(edge)) < 0.1
    return [steps * k // bins for k in range(bins + 1)].index(round(edge))


def _check_ends(panel: Panel, series: Series, y: float) -> None:
    """The first and the last number stand left and right of the strip."""
    for t, x in ((0, panel.left - 5), (-1, panel.right + 5)):
        (text,) = [s.words for s in panel.texts if abs(s.middle - y) < 3 and abs(s.left - x) < 4.5]
        named = {"underflow": "underflow", "zero": "exactly 0"}
        assert text == named.get(series.kinds[t], f"{series.norms[t]:.1e}")


def _check_legend(legend: Legend, everything: list[Series]) -> None:
    norms = [x for s in everything for x in s.norms if 0.0 < x < math.inf]
    lo, hi = math.log10(legend.bounds[0]), math.log10(legend.bounds[-1])
    assert legend.bounds == pytest.approx(np.logspace(lo, hi, len(legend.colors) + 1), rel=0.01)
    assert legend.bounds[-1] >= max(norms) > legend.bounds[-1] / 10 ** max(1.0, 3.0)
    assert len(set(legend.colors)) == len(legend.colors)
    assert legend.widths == sorted(set(legend.widths))
    present = {_kind(s, t, legend) for s in everything for t in range(len(s.norms))} - {"normal"}
    shown = set()
    for label in legend.others:
        (kind,) = [k for k, (start, _) in KINDS.items() if label.split()[0].rstrip(",") == start]
        assert legend.others[label].dash == KINDS[kind][1]
        shown.add(kind)
    assert shown == present


# --- the figures ----------------------------------------------------------------------------------


def _expected(flows: dict[str, list[Flow]]) -> dict[str, list[tuple[str, Series]]]:
    panels: dict[str, list[tuple[str, Series]]] = {}
    for panel, group in flows.items():
        panels[panel] = []
        for flow in group:
            for symbol in sorted(flow.series):  # C before h
                label = f"{flow.heading}  |∂L/∂{symbol}ₜ|"
                panels[panel].append((label, flow.series[symbol]))
    return panels


def test_each_point_bin_and_number_of_a_comparison() -> None:
    flows = _short()
    _check(compare_flows(flows).svg, _expected(flows))


def test_long_sequences_keep_the_extremes_of_each_bin() -> None:
    flows = _long()
    _check(compare_flows(flows).svg, _expected(flows))


def test_all_kinds_of_nothing() -> None:
    norms = [0.0, 0.0, 1e-30, 3e-16, 1e-3, 0.4, math.inf, math.nan, 2.0]
    kinds = ["zero", "underflow", *map(kind_of, norms[2:])]
    flow = Flow("RNN", 9, 1, "float64", 0.0, {"h": _series("h", norms, kinds)}, None, {}, ["."])
    svg = compare_flows({"": [flow]}).svg
    panels, legend = read(svg)
    label = "RNN  |∂L/∂hₜ|"
    _check_strip(panels[0], legend, label, flow.series["h"], 0)
    _check_legend(legend, [flow.series["h"]])
    assert {w.split()[0].rstrip(",") for w in legend.others} == {
        "0", "underflow", "below", "nan", "inf",
    }  # fmt: skip
    looks = {(s.color, s.width, s.dash) for s in legend.others.values()}
    assert len(looks) == 5
    strip = {(s.color, s.width, s.dash) for s in _strip_lines(panels[0])}
    assert strip == looks


def test_the_legend_leaves_out_what_does_not_occur() -> None:
    flow = _flow("RNN", None, [0.1, 0.2, 0.3])
    assert read(compare_flows({"": [flow]}).svg)[1].others == {}


def test_each_point_bin_and_number_of_the_paths() -> None:
    flows = {when: group[1] for when, group in _short().items()}
    expected = {
        when: [
            ("all of |∂L/∂Cₜ|", flow.series["C"]),
            ("along the line (∏ f)", flow.split.line),
            ("through h", flow.split.gates),
        ]
        for when, flow in flows.items()
    }
    _check(paths(flows).svg, expected)


def _marks(panel: Panel, legend: Legend, curves: dict[str, Series]) -> dict[str, str]:
    """{label of a curve: its mark}; each mark lies on a point of its curve, in its colour."""
    marks: dict[str, str] = {}
    for mark in panel.marks:
        x, t = (mark.left + mark.right) / 2, panel.step((mark.left + mark.right) / 2)
        assert abs(t - round(t)) < 0.1
        norm = panel.norm((mark.top + max(y for _, y in mark.points)) / 2)
        if norm < 1.01 * 10.0 ** min(panel.decades):  # what is 0 stands on the floor
            continue
        under = [c for c, s in curves.items() if s.norms[round(t) - 1] == pytest.approx(norm, 0.03)]
        assert under, (x, norm)
        _check_look(replace(mark, kind="box"), legend, curves[under[0]].norms[round(t) - 1])
        if len(under) == 1:
            assert marks.setdefault(under[0], mark.mark) == mark.mark
    return marks


def test_marks_tell_the_parts_apart_and_dashes_what_is_nothing() -> None:
    flows = _short()
    panels, legend = read(compare_flows(flows).svg)
    for panel, curves in zip(panels, _expected(flows).values(), strict=True):
        assert _marks(panel, legend, dict(curves)) == {"LSTM  |∂L/∂hₜ|": "○"}
        assert {s.dash for s in panel.lines if s.middle < panel.floor} == {"solid"}
        names = [t.words for t in panel.texts if t.middle < panel.floor]
        assert "○ LSTM |∂L/∂hₜ|" in names
        assert "LSTM |∂L/∂Cₜ|" in names
    assert legend.notes == ["○ LSTM |∂L/∂hₜ|"]
    flow = flows["after"][1]
    (panel,), legend = read(paths({"": flow}).svg)
    parts = {
        "all of |∂L/∂Cₜ|": flow.series["C"],
        "along the line (∏ f)": flow.split.line,
        "through h": flow.split.gates,
    }
    assert _marks(panel, legend, parts) == {"along the line (∏ f)": "△", "through h": "○"}
    assert legend.notes == ["△ along the line (∏ f)", "○ through h"]
    assert {s.dash for s in _own(panel, "through h", True)} == {"solid", "dotted"}  # a zero


def test_a_name_stands_nearest_to_its_own_curve() -> None:
    steps = 40
    norms = {"rnn": 1e-1, "gru": 1e-3, "peephole": 1e-5}
    flows = [_flow(cell, None, [x * 0.99**t for t in range(steps)]) for cell, x in norms.items()]
    (panel,), _ = read(compare_flows({"": flows}).svg)
    for text in [t for t in panel.texts if t.words.endswith("|∂L/∂hₜ|") and t.left > panel.left]:
        at = panel.step(text.left)
        heights = {
            _label(s): y
            for s in panel.lines
            for x, y in s.points
            if s.middle < panel.floor and abs(panel.step(x) - at) < 1
        }
        nearest = min(heights, key=lambda label: abs(heights[label] - text.middle))
        assert nearest.split() == text.words.split()


def test_one_scale_can_be_locked_over_figures() -> None:
    from minigrad.drawing import Scale
    from minigrad.drawing.charts import scale_of

    wide = Scale(-9.0, 1.0)
    flow = _flow("RNN", None, [0.1, 0.2, 0.3])
    _, legend = read(compare_flows({"": [flow]}, scale=wide).svg)
    assert legend.bounds[0] == 1e-9
    assert legend.bounds[-1] == 10.0
    assert scale_of([]) == Scale(-6.0, 0.0)


@pytest.mark.parametrize("steps", [1, 2, 3, 256, 257])
def test_few_steps_and_the_first_that_is_binned(steps) -> None:
    flows = {"": [_flow("RNN", None, _decaying(steps, 0.98, 0.3, steps))]}
    if steps == 1:  # one tick makes no axis to read
        assert "3" in compare_flows(flows).svg
        return
    _check(compare_flows(flows).svg, _expected(flows))


def test_words_stand_under_their_panel() -> None:
    flows = _short()
    svg = compare_flows(flows).svg
    texts = [s for s in shapes_of(svg) if s.kind == "text"]
    panels, _ = read(svg)
    under = [t for t in texts if t.words.startswith("RNN: ")]
    columns = sorted(t.left for t in under)
    for panel, left, (when, (rnn, cell)) in zip(panels, columns, flows.items(), strict=True):
        assert panel.title == when
        lines = [t for t in texts if abs(t.left - left) < 0.1 and t.top >= under[0].top - 0.1]
        said = " ".join(t.words for t in sorted(lines, key=lambda t: t.top))
        sentences = [
            f"RNN: {describe(rnn.series['h'])}",
            f"LSTM: {describe(cell.series['C'])}",
            f"LSTM: {describe(cell.series['h'])}",
            compare(rnn, cell),
        ]
        assert said.startswith(" ".join(sentences))


TITLE = "A cell with a name that is far, far too long for any of the headings that call it so"


@pytest.mark.parametrize("panels", [1, 2])
def test_long_titles_keep_clear_of_numbers_and_of_the_next_panel(panels: int) -> None:
    norms = [0.25, 0.5, 1.0]
    both = [_flow(TITLE, None, norms) for _ in range(2)]
    svg = compare_flows({f"panel {k}": both for k in range(panels)}).svg
    texts = [s for s in shapes_of(svg) if s.kind == "text"]
    letter = 0.55  # of a letter, in its size: the mean of our font
    numbers = [t for t in texts if t.words == "2.5e-01" and t.anchor == "end"]
    labels = [t for t in texts if "|∂L/∂hₜ|" in t.words and t.anchor == "start"]
    for label in labels:  # above its strip: clear of the next panel's numbers, and of the end
        beyond = [n.left - 9 * letter * 7 for n in numbers if n.left > label.left]
        end = min([*beyond, 900.0 if panels > 1 else 640.0])
        assert label.left + 9 * letter * len(label.words) < end
    assert len(labels) >= 2 * panels
    words = [t for t in texts if "decades" in t.words or t.words.startswith("At t=1, the A cell")]
    lefts = sorted({round(t.left, 1) for t in words})
    assert len(lefts) == panels
    width = (lefts[1] - lefts[0]) if panels == 2 else max(t.left for t in texts) + 400
    assert all(9.5 * letter * len(t.words) < width for t in words)
    said = " ".join(t.words for t in texts)
    assert f"the {TITLE}'s ∂L/∂h₁" in said


# --- files ----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_demo_writes_all_its_files(demo) -> None:
    folder, written, _ = demo
    names = {"index.html", "flow.csv"}
    names |= {f"{n}.{s}" for n in ("compare", "paths", "cell") for s in ("svg", "png")}
    assert {p.name for p in written} == names
    assert {p.name for p in folder.iterdir()} == names
    assert all(p.stat().st_size > 500 for p in written)
    for path in folder.glob("*.svg"):
        ET.parse(path)


def test_the_demos_pictures_show_before_left_of_after(demo) -> None:
    folder, _, flows = demo
    titles = ("before training", "after training")
    panels = {title: [pair[k] for pair in flows.values()] for k, title in enumerate(titles)}
    _check((folder / "compare.svg").read_text(encoding="utf-8"), _expected(panels))
    expected = {
        title: [
            ("all of |∂L/∂Cₜ|", flows["lstm"][k].series["C"]),
            ("along the line (∏ f)", flows["lstm"][k].split.line),
            ("through h and the gates", flows["lstm"][k].split.gates),
        ]
        for k, title in enumerate(titles)
    }
    _check((folder / "paths.svg").read_text(encoding="utf-8"), expected)


def test_the_csv_holds_every_number(demo) -> None:
    folder, _, flows = demo
    rows = list(csv.DictReader(io.StringIO((folder / "flow.csv").read_text(encoding="utf-8"))))
    found = {(r["model"], r["when"], int(r["t"]), r["quantity"]): float(r["value"]) for r in rows}
    expected = {}
    for name, pair in flows.items():
        for when, flow in zip(("before training", "after training"), pair, strict=True):
            columns = {f"|dL/d{s}|": series.norms for s, series in flow.series.items()}
            if flow.split:
                columns |= {"along the line": flow.split.line.norms}
                columns |= {"through the gates": flow.split.gates.norms}
                columns |= {"the line's factor": flow.split.keep}
            columns |= {f"mean {s}": gate.mean for s, gate in flow.gates.items()}
            for quantity, values in columns.items():
                for t, value in enumerate(values, 1):
                    expected[name, when, t, quantity] = value
    assert found == expected


def _tables(folder: Path) -> list[tuple[str, list[list[str]]]]:
    root = ET.parse(folder / "index.html").getroot()
    tables = []
    for div in root.iter(f"{HTML}div"):
        for table in div.findall(f"{HTML}table"):
            rows = [["".join(c.itertext()) for c in row] for row in table.iter(f"{HTML}tr")]
            tables.append((div.get("aria-label", ""), rows))
    return tables


def test_the_pages_tables_hold_the_numbers(demo) -> None:
    folder, _, flows = demo
    tables = dict(_tables(folder))
    results = tables["Test errors and gradients"]
    rnn, cell = flows["rnn"], flows["lstm"]
    assert results[1][:3] == ["nobody looks", "0.2000", "1.00"]
    norms = {
        "h": [f"{f.series['h'].first:.1e}" for f in rnn],
        "lstm h": [f"{f.series['h'].first:.1e}" for f in cell],
        "lstm C": [f"{f.series['C'].first:.1e}" for f in cell],
    }
    assert results[0][-2:] == ["before training", "after training"]
    assert results[2] == ["RNN", "0.1900", "0.950", "no", "|∂L/∂h₁|", *norms["h"]]
    assert results[3] == ["LSTM", "0.0004", "0.002", "yes", "|∂L/∂h₁|", *norms["lstm h"]]
    assert results[4] == ["", "", "", "", "|∂L/∂C₁|", *norms["lstm C"]]
    labels = [f"{n}, {w} training" for n in ("RNN", "LSTM") for w in ("before", "after")]
    for label, flow in zip(labels, [f for pair in flows.values() for f in pair], strict=True):
        rows = tables[label]
        columns = flow.table()
        values = zip(*columns.values(), strict=True)
        assert rows[0] == [*columns]
        assert rows[1:] == [[str(r[0]), *(f"{x:.3g}" for x in r[1:])] for r in values]


def test_the_pages_sentences_are_of_their_model_and_moment(demo) -> None:
    folder, _, flows = demo
    root = ET.parse(folder / "index.html").getroot()
    legends = set(root.findall(f".//{HTML}section[@class='explorer']//{HTML}li"))
    points = ["".join(li.itertext()) for li in root.iter(f"{HTML}li") if li not in legends]
    moments = ("Before training", "After training")
    pairs = zip(*flows.values(), moments, strict=True)
    compared = [f"{when}: {compare(a, b)}" for a, b, when in pairs]
    (lead,) = [p for p in root.iter(f"{HTML}p") if p.get("class") == "lead"]
    assert lead.text == compared[1]  # the one finding, of what was trained
    titles = [h.text for h in root.iter(f"{HTML}h2")]
    assert titles[:3] == ["Look around", "Does the gradient reach step 1?", "Results"]
    expected = compared[:1]
    for name, pair in zip(("RNN", "LSTM"), flows.values(), strict=True):
        for when, flow in zip(moments, pair, strict=True):
            expected += [f"{name}, {when.lower()}: {line}" for line in flow.diagnosis]
    assert points[: len(expected)] == expected
    assert points[len(expected)].startswith("Measured on one batch of 4 sequences in float32")


@pytest.mark.usefixtures("vectors")
def test_the_flow_commands_chart_is_its_models(tmp_path) -> None:
    xs, ys = Adding(length=8).batch(np.random.default_rng(3), 4)
    model = Model.create(LSTM(2, 4), 1, 5)
    write_flow(tmp_path, model, xs, ys)
    flow = lstm.flow(model, xs, ys)
    _check((tmp_path / "flow.svg").read_text(encoding="utf-8"), _expected({"": [flow]}))
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    _, _, page = page.partition("Does the gradient reach step 1?")  # below the step's graph
    inline = page[page.index("<svg") : page.index("</svg>") + 6]
    _check(inline, _expected({"": [flow]}))
