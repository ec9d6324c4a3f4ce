"""Gradient flow in models of several layers, both ways, and of padded sequences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lstm
import minigrad as mg
from lstm.errors import ConfigError
from lstm.figures import cell_unrolled, write_flow

pytestmark = pytest.mark.usefixtures("by_numpy")

T, B, F, H = 7, 3, 2, 4
LENGTHS = [7, 3, 5]


def _loss(output: mg.Expr, target: mg.Expr) -> mg.Expr:
    """A sum, so that each sequence's part is what it is alone."""
    return mg.sum(mg.square(output - target))


def _data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    return rng.standard_normal((T, B, F)), rng.standard_normal((B, 1))


def _model(cell: Any = lstm.RNN, **options: Any) -> lstm.Model:
    return lstm.Model.create(cell(F, H, "float64"), 1, 2, **options)


@pytest.mark.parametrize("way", ["forward", "backward"])
@pytest.mark.parametrize("layer", [1, 2])
@pytest.mark.parametrize("given", [{}, {"lengths": LENGTHS}])
def test_adjoints_are_those_of_the_layer_that_is_asked_for(layer, way, given) -> None:
    """∂L/∂b of an RNN, which the loops that train compute, is the sum of ∂L/∂hₜ · (1 - hₜ²) over
    all steps that count."""
    model, (xs, ys) = _model(layers=2, bidirectional=True), _data()
    place = f"layer{layer}.{way}"
    loss = _loss(model.output(xs, **given), mg.const(ys))
    expected = mg.grad(loss, model.params[f"layer{layer}"][way]["b_h"]).eval()
    flow = lstm.flow(model, xs, ys, _loss, layer=layer, direction=way, **given)
    adjoints = flow.adjoints["h"]
    hs = np.stack([v["h"].eval() for v in model.unroll(xs, **given).layers[place].values])
    counts = np.arange(T)[:, None] < given.get("lengths", [T] * B)
    counts = counts[::-1] if way == "backward" else counts  # as the layer reads
    terms = adjoints * (1 - hs**2) * counts[:, :, None]
    np.testing.assert_allclose(terms.sum((0, 1)), expected, rtol=1e-10)
    np.testing.assert_allclose(
        flow.series["h"].norms, np.sqrt((adjoints**2).sum((1, 2))), rtol=1e-12
    )


def _padded(values: Any, way: str, value: float = 0.0) -> np.ndarray:
    """Numbers of the steps of a short sequence, in the order in which a layer reads a long one."""
    rest = np.full(T - len(values), value)
    return np.concatenate([values, rest] if way == "forward" else [rest, values])


@pytest.mark.parametrize(("cell", "way"), [(lstm.LSTM, "forward"), (lstm.GRU, "backward")])
def test_padding_leaves_no_trace_in_a_flow(cell, way) -> None:
    model, (xs, ys) = _model(cell, layers=2, bidirectional=True), _data()
    at = {"layer": 1, "direction": way}
    padded = np.where((np.arange(T)[:, None] < LENGTHS)[:, :, None], xs, np.nan)
    flow = lstm.flow(model, padded, ys, _loss, lengths=LENGTHS, **at)
    alone = [
        lstm.flow(model, xs[:n, b : b + 1], ys[b : b + 1], _loss, **at)
        for b, n in enumerate(LENGTHS)
    ]
    assert flow.loss == pytest.approx(sum(f.loss for f in alone), rel=1e-12)
    for part in (lambda f: f.series["h"], lambda f: f.main, lambda f: f.split.line,
                 lambda f: f.split.gates):  # fmt: skip
        squares = sum(_padded(np.square(part(f).norms), way) for f in alone)
        np.testing.assert_allclose(part(flow).norms, np.sqrt(squares), rtol=1e-10, atol=1e-300)
    for part in (lambda f: f.split.keep, lambda f: next(iter(f.gates.values())).mean):
        means = [_padded(part(f), way, np.nan) for f in alone]
        np.testing.assert_allclose(part(flow), np.nanmean(means, axis=0), rtol=1e-12)
    mask = np.arange(T)[:, None] < LENGTHS
    again = lstm.flow(model, padded, ys, _loss, mask=mask, **at)
    assert again.to_json() == flow.to_json()
    longer = np.concatenate([padded, np.full((2, B, F), np.nan)])
    assert lstm.flow(model, longer, ys, _loss, lengths=LENGTHS, **at).to_json() == flow.to_json()


def test_the_last_layer_is_measured_unless_told() -> None:
    model, (xs, ys) = _model(lstm.LSTM, layers=3, bidirectional=True), _data()
    told = lstm.flow(model, xs, ys, layer="layer3", direction="forward").to_json()
    assert lstm.flow(model, xs, ys).to_json() == told
    assert lstm.flow(model, xs, ys, layer=2).to_json() != told
    with pytest.raises(ConfigError, match="there is no recurrent layer 4"):
        lstm.flow(model, xs, ys, layer=4)


@pytest.mark.parametrize("options", [{"layer_norm": True, "residual": True}, {"zoneout": 0.5}])
def test_the_line_is_seen_through_what_stands_around_it(options) -> None:
    """The two parts of the gradient sum to the whole at each step."""
    model, (xs, ys) = _model(lstm.LSTM, layers=2, **options), _data()
    found = lstm.flow(model, xs, ys, _loss, layer=1, lengths=LENGTHS)
    np.testing.assert_allclose(found.line + found.around, found.adjoints["C"], atol=1e-12)
    flow = lstm.flow(model, xs, ys, _loss, layer=1)
    gate = np.mean(flow.gates["f"].mean)
    share = options.get("zoneout", 0.0)
    assert np.mean(flow.split.keep) == pytest.approx(share + (1 - share) * gate, rel=1e-9)


def test_a_net_of_tokens_that_is_read_at_every_step() -> None:
    model = lstm.Model.create(lstm.GRU(F, H), 5, vocabulary=5, readout="every")
    tokens = np.random.default_rng(0).integers(0, 5, (T, B))
    flow = lstm.flow(model, tokens, tokens, lstm.cross_entropy)
    assert flow.steps == T and all(norm > 0 for norm in flow.series["h"].norms)
    with pytest.raises(ConfigError, match=r"so ys must be \(7, 3, …\), not \(3,\)"):
        lstm.flow(model, tokens, tokens[0], lstm.cross_entropy)


@pytest.mark.usefixtures("undrawn")
def test_pictures_of_a_stack(tmp_path) -> None:
    model, (xs, ys) = _model(lstm.LSTM, layers=2), _data()
    figure = cell_unrolled(model, xs, ys, steps=2)
    assert figure.picture.groups == ["step t = 1", "step t = 2"]
    text = figure.dot
    assert "layer2.C₂" in text and "layer1.C₀" in text and "layer1.W_f" in text
    assert {p.name for p in write_flow(tmp_path, model, xs, ys)} >= {"index.html", "flow.svg"}
