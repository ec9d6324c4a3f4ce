"""Flows that are recorded during training, flows side by side, and flows as files."""

from __future__ import annotations

import csv
import io
import json
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

import lstm
from lstm.gradient_flow.glance import Glance
from lstm.gradient_flow.tensors import Meter, Place
from lstm.gradient_flow.words import SHORTER

pytestmark = pytest.mark.usefixtures("by_numpy")

TASK, SETTINGS = lstm.Adding(length=8), lstm.Settings(steps=5, batch=4)


def _model(cell: Any = lstm.LSTM, **options: Any) -> lstm.Model:
    return lstm.Model.create(cell(2, 3, "float64"), 1, 0, **options)


@pytest.mark.parametrize("arrays", [False, True])
def test_a_watch_records_the_batch_that_trains_next_as_the_model_is(arrays) -> None:
    model, watch, expected = _model(), lstm.FlowWatch(every=2, arrays=arrays), {}
    seen: list[tuple[int, Any]] = []

    def both(step: int, model: lstm.Model, task: lstm.Task, batch: Any) -> None:
        seen.append((step, batch))
        watch(step, model, task, batch)
        if step % 2 == 0:
            expected[step] = lstm.flow(model, *batch, task.loss).to_json()

    list(lstm.train(model, TASK, SETTINGS, watch=both))
    assert [step for step, _ in seen] == [0, 1, 2, 3, 4]
    assert list(watch.flows) == [0, 2, 4]
    for step, flow in watch:
        _same(flow.to_json(), expected[step])
        assert (flow.source is None) == (not arrays)
    assert "4" in repr(watch) and "∂L/∂C" in repr(watch)


def _same(one: Any, other: Any) -> None:
    """JSON values that differ by no more than rounding; words that are the same."""
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one.keys() - {"diagnosis"}:  # what is advised needs arrays
            _same(one[key], other[key])
    elif isinstance(one, list):
        assert len(one) == len(other)
        for a, b in zip(one, other, strict=True):
            _same(a, b)
    elif isinstance(one, float):
        assert one == pytest.approx(other, rel=1e-10, abs=1e-300)
    else:
        assert one == other


def test_a_watched_training_is_the_same_training() -> None:
    plain, watched = _model(), _model()
    for _ in lstm.train(plain, TASK, SETTINGS):
        pass
    for _ in lstm.train(watched, TASK, SETTINGS, watch=lstm.FlowWatch(every=1)):
        pass
    for name, leaf in plain.flat_params.items():
        np.testing.assert_array_equal(leaf.value, watched.flat_params[name].value)


def test_fit_takes_a_watch_and_what_is_none_is_refused() -> None:
    watch = lstm.FlowWatch(every=3)
    lstm.fit(_model(), TASK, SETTINGS, validate=0, watch=watch, progress=False)
    assert list(watch.flows) == [0, 3]
    for train in (lstm.train, lstm.fit):
        with pytest.raises(lstm.ConfigError, match=r"watch= is such as lstm.FlowWatch"):
            train(_model(), TASK, SETTINGS, watch=5)
    with pytest.raises(lstm.ConfigError, match="every must be"):
        lstm.FlowWatch(every=0)


@pytest.mark.parametrize(
    ("cell", "dtype", "padded"),
    [(lstm.RNN, "float64", False), (lstm.GRU, "float32", True), (lstm.LSTM, "float64", True)],
)
def test_the_numbers_of_a_flow_are_those_of_its_arrays(cell, dtype, padded) -> None:
    """Backward, of two layers; a loss at each step for the LSTM."""
    rng = np.random.default_rng(0)
    every = {"readout": "every"} if cell is lstm.LSTM else {}
    model = lstm.Model.create(cell(2, 3, dtype), 1, 0, layers=2, bidirectional=True, **every)
    xs, ys = rng.standard_normal((6, 3, 2)), rng.standard_normal((6, 3, 1) if every else (3, 1))
    mask = np.arange(6)[:, None] < [6, 2, 4] if padded else np.ones((6, 3), bool)
    meter = Meter(model, xs, ys, lstm.mse, Place(1, "backward"), padded)
    flow = Glance(meter).measure(xs, ys, mask if padded else None)
    near = {"rel": 1e-5 if dtype == "float32" else 1e-12, "nan_ok": True}
    series = {symbol: (one, flow.adjoints[symbol]) for symbol, one in flow.series.items()}
    if (split := flow.split) is not None:
        series |= {"line": (split.line, flow.line), "around": (split.gates, flow.around)}
        if split.entered is not None:
            series["entered"] = split.entered, flow.entered
            series["carried"] = split.carried, flow.carried
    for one, stack in series.values():
        norms = np.sqrt(np.square(stack.astype(np.float64)).sum(axis=(1, 2)))
        assert one.norms == pytest.approx(norms.tolist(), **near)
    counted = mask[::-1] if padded else mask
    means = {symbol: (gate.mean, flow.values[symbol]) for symbol, gate in flow.gates.items()}
    if split is not None:
        means["factor"] = split.keep, flow.factor
    for found, stack in means.values():
        expected = [
            x[here].mean() if here.any() else np.nan
            for x, here in zip(stack.astype(np.float64), counted, strict=True)
        ]
        assert found == pytest.approx(expected, **near)
    for symbol, gate in flow.gates.items():
        values = flow.values[symbol]
        rows = [x[here] for x, here in zip(values, counted, strict=True)]
        assert gate.low == pytest.approx([x.min(initial=np.inf) for x in rows], **near)
        assert gate.high == pytest.approx([x.max(initial=-np.inf) for x in rows], **near)
        assert gate.open == pytest.approx((values[counted] > 0.9).mean())
        assert gate.closed == pytest.approx((values[counted] < 0.1).mean())
    main = flow.cancellation[flow.main.symbol]
    assert flow.main_cancellation.tolist() == pytest.approx(main.tolist(), **near)
    if flow.memory is not None:
        logs = np.log(flow.factor[counted].astype(np.float64)).mean(axis=0)
        assert flow.memory.measured.tolist() == pytest.approx(
            (1 / (1 - np.exp(logs))).tolist(), rel=1e-4 if dtype == "float32" else 1e-10
        )


def test_what_is_read_later_is_of_the_parameters_and_the_batch_that_were_measured() -> None:
    model, (xs, ys) = _model(), TASK.batch(np.random.default_rng(0), 4)
    early, late = (lstm.flow(model, xs, ys) for _ in range(2))
    expected = [early.adjoints["C"], early.itemised.high, early.cuts.change, early.singular]
    for leaf in model.flat_params.values():
        leaf.value = leaf.value * 2.0
    xs[:], ys[:] = 0.0, 0.0
    found = [late.adjoints["C"], late.itemised.high, late.cuts.change, late.singular]
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)
    flow = lstm.flow(model, xs, ys)
    assert not np.allclose(flow.adjoints["C"], expected[0])


@dataclass(frozen=True)
class _Short(lstm.Adding):
    """The adding problem, of which the sequences end early."""

    name = "short"
    padding = "lengths"

    def batch(self, rng: np.random.Generator, size: int) -> Any:
        return lstm.PaddedBatch(*super().batch(rng, size), self.lengths(size))

    def lengths(self, size: int) -> Any:
        return np.arange(size) % 3 + 3


@dataclass(frozen=True)
class _Early(_Short):
    """The adding problem, of which all sequences but one end at step 5."""

    name = "early"

    def lengths(self, size: int) -> Any:
        return np.array([self.steps] + [5] * (size - 1))


def test_a_watch_leaves_out_padding() -> None:
    watch = lstm.FlowWatch(every=4)
    list(lstm.train(_model(), _Short(length=8), SETTINGS, watch=watch))
    assert {flow.steps for flow in watch.flows.values()} == {5}


@pytest.mark.parametrize("arrays", [False, True])
def test_a_watch_tells_where_sequences_end(arrays) -> None:
    """Of norms alone, too: a jump there is no factor of a step."""
    watch = lstm.FlowWatch(every=4, arrays=arrays)
    list(lstm.train(_model(lstm.RNN), _Early(length=60), SETTINGS, watch=watch))
    flow = watch.flows[4]
    assert flow.ends == (5,) and any(jump.end == 5 for jump in flow.main.jumps)
    assert "from t=6 to t=5, where shorter sequences end" in flow.diagnosis[0]
    assert SHORTER in flow.diagnosis


# --- side by side --------------------------------------------------------------------------------


def _flows() -> list[lstm.Flow]:
    xs, ys = TASK.batch(np.random.default_rng(0), 4)
    return [lstm.flow(_model(cell), xs, ys) for cell in (lstm.RNN, lstm.LSTM)]


def test_flows_are_compared_on_one_scale() -> None:
    from lstm.gradient_flow import words
    from minigrad.drawing import Scale

    rnn, cell = _flows()
    both = lstm.compare(rnn, cell)
    assert list(both.flows) == ["RNN", "LSTM"]
    assert both.sentences == [words.compare(rnn, cell)]
    norms = [x for flow in (rnn, cell) for s in flow.series.values() for x in s.norms]
    assert both.scale == Scale.of(norms)
    columns = both.table()
    at = [k for k in range(len(columns["t"])) if columns["flow"][k] == "LSTM"]
    found = {(columns["part"][k], columns["t"][k]): columns["norm"][k] for k in at}
    for symbol, series in cell.series.items():
        assert [found[symbol, t] for t in range(1, 9)] == series.norms
    assert both.to_json()["RNN"] == rnn.to_json()
    assert both.sentences[0] in " ".join(repr(both).split())
    again = lstm.compare(cell, cell, names=["before", "after"])
    assert list(again.flows) == ["before", "after"]
    assert list(lstm.compare(cell, cell).flows) == ["LSTM 1", "LSTM 2"]
    with pytest.raises(lstm.ConfigError, match="two flows or more"):
        lstm.compare(cell)
    with pytest.raises(lstm.ConfigError, match="compare takes two flows or more"):
        lstm.compare(cell, 3)
    with pytest.raises(lstm.ConfigError, match="names= are 2 different ones"):
        lstm.compare(cell, rnn, names=["a", "a"])


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.text: list[str] = []

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_a_flow_is_saved_as_what_the_suffix_says(tmp_path) -> None:
    _, flow = _flows()
    for name in ("flow.csv", "flow.json", "flow.html", "flow.svg", "flow.png", "flow.PDF"):
        assert flow.save(tmp_path / name) == tmp_path / name
    rows = list(csv.DictReader(io.StringIO((tmp_path / "flow.csv").read_text())))
    assert [float(row["|dL/dC|"]) for row in rows] == flow.series["C"].norms
    assert [int(row["t"]) for row in rows] == list(range(1, 9))
    assert json.loads((tmp_path / "flow.json").read_text()) == flow.to_json()
    page = _Text()
    page.feed((tmp_path / "flow.html").read_text())
    said = " ".join("".join(page.text).split())
    assert all(sentence in said for sentence in flow.diagnosis)
    root = ET.parse(tmp_path / "flow.html").getroot()  # the page of all, which is well-formed
    steps = root.findall(".//*[@class='opened']//{*}svg")
    assert len(steps) == 1
    assert len([e for e in root.iter() if e.tag.endswith("}svg")]) == 2  # and the flow's picture
    assert (tmp_path / "flow.svg").read_text().startswith("<?xml")
    assert (tmp_path / "flow.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "flow.PDF").read_bytes().startswith(b"%PDF")
    for name in ("flow.txt", "flow"):
        with pytest.raises(lstm.OutputError, match="its suffix is none of"):
            flow.save(tmp_path / name)
        assert not (tmp_path / name).exists()


def test_a_flow_shows_itself_as_a_table_and_sentences() -> None:
    _, flow = _flows()
    shown = flow._repr_mimebundle_()
    text = " ".join(shown["text/plain"].split())
    assert f"{flow.main.first:.2e}" in text and f"{flow.main.last:.2e}" in text
    assert all(" ".join(sentence.split()) in text for sentence in flow.diagnosis)
    assert "<table>" in shown["text/html"]
