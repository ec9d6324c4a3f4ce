"""Dropout between layers, on the recurrent connection, and zoneout: against NumPy with the masks
that the keys give, which Philox in Python's own integers says."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

import cell_cases
import numpy as np
import own_cells
import philox
import pytest
from numpy.typing import NDArray

import lstm
import minigrad as mg
from lstm.errors import ConfigError
from lstm.params import unflatten

Array = NDArray[Any]
T, B, F, H = 5, 3, 2, 4
SEED = 11
EXACT = {"rtol": 1e-12, "atol": 1e-13}


def _uniform(place: str, *shape: int) -> Array:
    """The numbers of a place in the tree, under the key of the seed."""
    number = int.from_bytes(blake2b(place.encode(), digest_size=8).digest(), "little")
    key = philox.fold_in([SEED, 0], number)
    return np.array(philox.halves(key, int(np.prod(shape)))).reshape(shape)


def _model(cell: Any, **options: Any) -> lstm.Model:
    model = lstm.Model.create(cell, 2, **options)
    rng = np.random.default_rng(5)
    for leaf in model.flat_params.values():
        leaf.value = rng.standard_normal(leaf.shape) * 0.5
    return model


def _data() -> Array:
    return np.random.default_rng(2).standard_normal((T, B, F))


def _outputs(model: lstm.Model, training: bool = True, **given: Any) -> tuple[Array, Any]:
    """Of the loop, and the last state; what is written out gives the same."""
    key = mg.key(SEED) if training else None
    xs = mg.const(_data())
    run = model.run(xs, key=key, **given)
    written = model.unroll(xs, key=key, **given)
    outputs, y = run.outputs.eval(), run.output.eval()
    np.testing.assert_allclose(written.output.eval(), y, **EXACT)
    np.testing.assert_allclose(written.run.outputs.eval(), outputs, **EXACT)
    return outputs, y


def _run(case: cell_cases.Case, p: Any, xs: Array, step: Any) -> Array:
    """Outputs of a loop in NumPy: step(values, state before, t) gives the next state."""
    state, hs = cell_cases.start(case, B, H), []
    for t, x in enumerate(xs):
        state = step(case, p, state, x, t)
        hs.append(state["h"])
    return np.stack(hs)


def _plain(case: Any, p: Any, state: Any, x: Array, t: int) -> Any:
    values = case.step(p, state, x)
    return {part: values[part] for part in case.state}


def test_dropout_between_layers_and_of_inputs() -> None:
    model = _model(lstm.LSTM(F, H, "float64"), layers=2, dropout=0.5, input_dropout=0.25)
    case, params = cell_cases.CASES["lstm"], unflatten(model.values())
    xs = np.where(_uniform("input_dropout", T, B, F) < 0.25, 0, _data() / 0.75)
    first = _run(case, params["layer1"], xs, _plain)
    dropped = np.where(_uniform("dropout1", T, B, H) < 0.5, 0, first / 0.5)
    expected = _run(case, params["layer2"], dropped, _plain)
    outputs, y = _outputs(model)
    np.testing.assert_allclose(outputs, expected, **EXACT)
    read = params["readout"]
    np.testing.assert_allclose(y, expected[-1] @ read["W_y"] + read["b_y"], **EXACT)


def test_evaluation_drops_nothing() -> None:
    options = {"layers": 2, "dropout": 0.5, "input_dropout": 0.25, "recurrent_dropout": 0.5}
    model = _model(lstm.LSTM(F, H, "float64"), **options)
    plain = lstm.Model.create(lstm.LSTM(F, H, "float64"), 2, layers=2)
    for name, leaf in plain.flat_params.items():
        leaf.value = model.values()[name]
    np.testing.assert_array_equal(_outputs(model, False)[0], _outputs(plain, False)[0])


def test_recurrent_dropout_has_one_mask_a_sequence() -> None:
    model = _model(lstm.LSTM(F, H, "float64"), recurrent_dropout=0.5)
    mask = np.where(_uniform("layer1.h", B, H) < 0.5, 0, 2.0)
    assert 0 < (mask == 0).mean() < 1

    def step(case: Any, p: Any, state: Any, x: Array, t: int) -> Any:
        return _plain(case, p, {**state, "h": state["h"] * mask}, x, t)

    params = unflatten(model.values())["layer1"]
    expected = _run(cell_cases.CASES["lstm"], params, _data(), step)
    np.testing.assert_allclose(_outputs(model)[0], expected, **EXACT)


def _gru_dropped(p: Any, h: Array, x: Array, mask: Array) -> Array:
    """Gates and candidate see the masked h; the line goes on with h itself."""
    seen = np.concatenate([h * mask, x], 1)
    z = cell_cases.sigmoid(seen @ p["W_z"] + p["b_z"])
    r = cell_cases.sigmoid(seen @ p["W_r"] + p["b_r"])
    new = np.tanh(np.concatenate([r * h * mask, x], 1) @ p["W_h"] + p["b_h"])
    return (1 - z) * h + z * new


def _leaky_dropped(p: Any, h: Array, x: Array, mask: Array) -> Array:
    new = np.tanh(np.concatenate([h * mask, x], 1) @ p["W_h"] + p["b_h"])
    return h - 0.125 * (h - new)


def _halting_dropped(p: Any, h: Array, x: Array, mask: Array) -> Array:
    seen = np.concatenate([h * mask, x], 1)
    g = cell_cases.sigmoid(seen @ p["W_g"] + p["b_g"])
    return np.where(x[:, :1] > 0.5, g * h + np.tanh(seen @ p["W_h"] + p["b_h"]), h)


LINES = [
    (lstm.GRU, _gru_dropped),
    (own_cells.Leaky, _leaky_dropped),
    (own_cells.Halting, _halting_dropped),
]


@pytest.mark.parametrize(("kind", "formula"), LINES)
def test_a_line_that_is_h_itself_is_not_dropped(kind, formula) -> None:
    """Else it would grow by 1 / (1 - p), or be cleared, at every step."""
    model = _model(kind(F, H, "float64"), recurrent_dropout=0.5)
    mask = np.where(_uniform("layer1.h", B, H) < 0.5, 0, 2.0)
    params = unflatten(model.values())["layer1"]
    h, hs = np.zeros((B, H)), []
    for x in _data():
        h = formula(params, h, x, mask)
        hs.append(h)
    np.testing.assert_allclose(_outputs(model)[0], np.stack(hs), **EXACT)


@pytest.mark.parametrize("training", [True, False])
def test_zoneout(training) -> None:
    p = 0.3
    model = _model(lstm.LSTM(F, H, "float64"), zoneout=p)
    stays = {part: _uniform(f"layer1.zoneout.{part}", T, B, H) < p for part in "hC"}
    assert not np.array_equal(stays["h"], stays["C"])

    def step(case: Any, params: Any, state: Any, x: Array, t: int) -> Any:
        new = _plain(case, params, state, x, t)
        if training:
            return {k: np.where(stays[k][t], state[k], new[k]) for k in new}
        return {k: p * state[k] + (1 - p) * new[k] for k in new}

    params = unflatten(model.values())["layer1"]
    expected = _run(cell_cases.CASES["lstm"], params, _data(), step)
    np.testing.assert_allclose(_outputs(model, training)[0], expected, **EXACT)


def test_every_place_draws_its_own_numbers() -> None:
    options = {"layers": 3, "bidirectional": True, "dropout": 0.5, "input_dropout": 0.5}
    model = lstm.Model.create(
        lstm.LSTM(2 * H, H, "float64"), 1, **options, recurrent_dropout=0.5, zoneout=0.5
    )
    output = model.output(mg.var("xs", (T, B, 2 * H)), key=mg.key(SEED))
    drawn = [n for n in mg.toposort(mg.unroll(output)) if n.op is mg.uniform(mg.key(0), 1).op]
    values = [np.ravel(n.eval())[:8].tolist() for n in drawn]
    # 2 + 6 directions × (h, and two parts of zoneout); ends of sequences are not read
    assert len(values) == 3 + 6 * 3
    assert len({tuple(v) for v in values}) == len(values)


def test_one_key_gives_one_result_and_another_key_another() -> None:
    model = _model(lstm.LSTM(F, H, "float64"), layers=2, dropout=0.5, recurrent_dropout=0.2)
    key = mg.var("key", (2,), "uint64")
    loss = mg.sum(model.output(mg.const(_data()), key=key))
    wrt = list(model.flat_params.values())
    results = {}
    for backend in ("numpy", "native"):
        f = mg.function([key], [loss, *mg.grad(loss, wrt)], backend=backend)
        first, again, other = (f(np.array([s, 0], np.uint64)) for s in (1, 1, 2))
        for a, b in zip(first, again, strict=True):
            np.testing.assert_array_equal(a, b)
        assert first[0] != other[0]
        results[backend] = first
    for a, b in zip(*results.values(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


def test_gradients_pass_what_was_kept() -> None:
    """Against a difference quotient: with its key given, a model is a function like any other."""
    model = _model(
        lstm.GRU(F, H, "float64"),
        layers=2,
        dropout=0.4,
        recurrent_dropout=0.4,
        zoneout=0.2,
        bidirectional=True,
    )
    loss = mg.sum(mg.square(model.output(mg.const(_data()), key=mg.key(SEED), lengths=[5, 2, 3])))
    mg.check_grad(loss, list(model.flat_params.values()), {})


def test_padding_changes_no_number_that_is_drawn():
    """However much there is: the same key and the same sequences, the same masks, bit for bit."""
    options = {"dropout": 0.5, "input_dropout": 0.5, "recurrent_dropout": 0.5, "zoneout": 0.3}
    model = _model(lstm.LSTM(F, H, "float64"), layers=2, bidirectional=True, **options)
    lengths, runs = [T, 2, 3], []
    for more in (0, 1, 7):
        xs = np.concatenate([_data(), np.full((more, B, F), np.nan)])
        run = model.run(xs, key=mg.key(SEED), lengths=lengths)
        runs.append((run.outputs.eval()[:T], run.output.eval()))
    for outputs, output in runs[1:]:
        np.testing.assert_array_equal(outputs, runs[0][0])
        np.testing.assert_array_equal(output, runs[0][1])


def test_the_end_of_a_sequence_is_dropped_by_numbers_of_its_own():
    """As the layer's words say: also where it is the last step's, as of one that reads forward."""
    xs = lstm.Steps.of(mg.const(np.ones((T, B, 64))))
    ys, _ = lstm.Dropout(64, 0.5, dtype="float64").run(
        {}, xs, {}, lstm.Context(key=mg.key(SEED), place="d")
    )
    np.testing.assert_array_equal(ys.end.eval(), np.where(_uniform("d.end", B, 64) < 0.5, 0, 2.0))
    assert not np.array_equal(ys.end.eval(), ys.each.eval()[-1])


def test_the_expectation_of_dropout_is_what_was_there() -> None:
    layer = lstm.Dropout(64, 0.3, dtype="float64")
    xs = lstm.Steps.of(mg.const(np.ones((20, 50, 64))))
    ys, _ = layer.run({}, xs, {}, lstm.Context(key=mg.key(4), place="d"))
    values = ys.each.eval()
    assert set(np.unique(values)) == {0.0, 1 / 0.7}
    assert abs(values.mean() - 1) < 5 * (0.3 / 0.7 / values.size) ** 0.5
    assert abs((values == 0).mean(axis=(0, 1)) - 0.3).max() < 5 * (0.21 / 1000) ** 0.5


@pytest.mark.parametrize("option", ["dropout", "input_dropout", "recurrent_dropout", "zoneout"])
@pytest.mark.parametrize("value", [-0.1, 1.0, float("nan"), True, "half", None])
def test_probabilities_that_cannot_be(option, value) -> None:
    with pytest.raises(ConfigError, match="must be a number of at least 0 and below 1"):
        lstm.Model.create(lstm.LSTM(F, H), 1, layers=2, **{option: value})


def test_a_key_that_is_none_is_told() -> None:
    model = _model(lstm.LSTM(F, H, "float64"), recurrent_dropout=0.5)
    with pytest.raises(lstm.ConfigError, match=r"key= is a key to draw from, minigrad.key\(seed"):
        model.output(mg.const(_data()), key=3)
