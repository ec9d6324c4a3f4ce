"""Gradients whose squares float32 cannot hold, and what enters a waterfall far above them; and
other inputs at the edge of what a flow takes."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

import lstm

T = 400


def _model(kind: type[lstm.Cell]) -> lstm.Model:
    return lstm.Model.create(kind(2, 4), output_size=1, seed=0)


@pytest.fixture(scope="module")
def xs() -> np.ndarray:
    return np.random.default_rng(0).random((T, 3, 2), np.float32)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [lstm.RNN, lstm.LSTM])
def test_a_short_sequence_enters_where_a_long_one_has_vanished(kind, xs) -> None:
    """What comes of all sequences is what comes of each by itself, as a route is linear."""
    model, lengths, ys = _model(kind), [T, 5, 40], np.ones((3, 1))
    whole = lstm.flow(model, xs, ys, lengths=lengths)
    alone = [
        lstm.flow(model, xs[:n, k : k + 1], ys[k : k + 1]).waterfalls for k, n in enumerate(lengths)
    ]
    for name, fall in whole.waterfalls.items():
        ends = [10.0 ** falls[name].end / len(lengths) for falls in alone]  # of a mean
        assert np.isfinite(fall.decades).all()
        assert min(ends) < 1e-30
        assert fall.end == pytest.approx(math.log10(math.hypot(*ends)), abs=1e-4)
    if whole.line is not None:
        size = np.linalg.norm(whole.line[0].astype(np.float64))
        assert whole.waterfalls["line"].end == pytest.approx(math.log10(size), abs=1e-4)


def test_a_derivative_whose_square_is_0_is_not_0() -> None:
    """σ′ of −60 is 9e-27."""
    model = _model(lstm.LSTM)
    for name, leaf in model.flat_params.items():
        if name.endswith("b_f"):
            leaf.value = np.full_like(leaf.value, -60.0)
    flow = lstm.flow(model, np.ones((3, 2, 2)), np.ones((2, 1)))
    fall = flow.waterfalls["f"]
    lost = fall.decades[:, fall.links.index("σ′")]
    assert np.isfinite(fall.decades).all()
    assert lost == pytest.approx([-26.0, -26.0], abs=0.7)


def test_triangles_have_what_norms_have(xs) -> None:
    model, ys = _model(lstm.RNN), np.ones((3, 1))
    flow = lstm.flow(model, xs[:200], ys)
    wide = lstm.flow(model.with_dtype("float64"), xs[:200], ys)
    norms = flow.main.norms
    assert 0.0 < min(norms) < 1e-30
    assert flow.itemised.high[-1] == pytest.approx(norms, rel=1e-4)
    exact = wide.influence.high[-1]
    sound = exact > 1e-34  # below, float32 has few digits
    assert exact[sound].min() < 1e-30
    assert flow.influence.high[-1][sound] == pytest.approx(exact[sound], rel=1e-3)


@pytest.mark.parametrize("at", [0, 4, 1.5, "1", None, True])
def test_knockouts_are_at_a_step(at) -> None:
    flow = lstm.flow(_model(lstm.RNN), np.ones((3, 2, 2)), np.ones((2, 1)))
    with pytest.raises(lstm.ConfigError, match="at= is a step, 1 to 3"):
        flow.knockouts(at)


def test_no_flow_is_lost_among_others_of_its_name() -> None:
    flow = lstm.flow(_model(lstm.RNN), np.ones((3, 2, 2)), np.ones((2, 1)))
    assert list(lstm.compare(flow, flow).flows) == ["RNN 1", "RNN 2"]
    with pytest.raises(lstm.ConfigError, match="called alike, RNN 1, RNN 2, RNN 1: give names="):
        lstm.compare(flow, flow, replace(flow, title="RNN 1"))
