"""A model as a function of NumPy alone: equal to the model, in a process without minigrad too."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import lstm
import minigrad as mg
from lstm.cells import CELLS

T, B, I, H, O, V = 5, 3, 2, 4, 3, 7  # noqa: E741
LENGTHS = np.array([5, 1, 3])
RNG = np.random.default_rng(0)
XS = RNG.standard_normal((T, B, I))


def drawn(model: lstm.Model) -> lstm.Model:
    """The model with all parameters drawn, biases included."""
    rng = np.random.default_rng(1)
    for p in model.flat_params.values():
        p.value = rng.standard_normal(p.shape).astype(model.dtype) / 2
    return model


def check(model: lstm.Model, xs: Any = XS) -> None:
    plain = drawn(model).to_numpy()
    tolerance = 1e-13 if model.dtype == "float64" else 1e-5
    for lengths in (None, LENGTHS):
        expected = model.run(xs, lengths=lengths).output.eval()
        got = plain(xs, lengths)
        assert got.dtype == expected.dtype
        np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_cell(name, dtype):
    check(lstm.Model.create(CELLS[name](I, H, dtype=dtype), O))


@pytest.mark.parametrize(
    "options",
    [
        {"layers": 2, "bidirectional": True, "readout": "every"},
        {"layers": 2, "residual": True, "layer_norm": True, "dropout": 0.3, "input_dropout": 0.1},
        {"zoneout": 0.3, "readout": "every"},
        {"layers": 3, "bidirectional": True, "recurrent_dropout": 0.3},
    ],
    ids=str,
)
def test_every_layer(options):
    check(lstm.Model.create(lstm.GRU(I, H, "float64"), O, **options))


def test_the_end_of_the_inputs_is_each_sequences_own():
    first = lstm.Residual(lstm.Recurrent(lstm.RNN(I, I, "float64")))
    stack = lstm.Stack({"first": first})
    readout = {"W_y": np.zeros((I, O)), "b_y": np.zeros(O)}
    check(lstm.Model.of(stack, O, stack.init(np.random.default_rng(0)) | {"readout": readout}))


def test_tokens():
    tokens = RNG.integers(0, V, (T, B))
    model = lstm.Model.create(lstm.LSTM(I, H, "float64"), O, vocabulary=V, layers=2)
    check(model, tokens)
    plain = model.to_numpy()
    for wrong in (-1, V):
        with pytest.raises(IndexError):
            plain(np.full((T, B), wrong))
    assert plain(tokens[:, :0]).shape == (0, O)
    tokens[3:, 1] = -1  # padding, which is never looked at
    np.testing.assert_allclose(
        plain(tokens, LENGTHS), model.run(np.maximum(tokens, 0), lengths=LENGTHS).output.eval()
    )


def test_a_rectified_rnn_and_nan_in_the_padding():
    model = drawn(lstm.Model.create(lstm.RNN(I, H, "float64", rectified=True), O))
    xs = np.where(np.arange(T)[:, None, None] < LENGTHS[:, None], XS, np.nan)
    got = model.to_numpy()(xs, LENGTHS)
    np.testing.assert_allclose(got, model.run(XS, lengths=LENGTHS).output.eval(), rtol=1e-12)


def test_a_cell_of_ones_own_whose_names_are_pythons():
    @lstm.cell(params={"W_in; x": (I, H)})
    def own(p, h, x):
        a = mg.concat([h, h], -1)[:, 1 : H + 1] + x @ p["W_in; x"]
        return {"lambda": a, "np": mg.maximum(a * a, -(h + 1.0)), "2": a / (h - 3), "h": mg.tanh(a)}

    check(lstm.Model.create(own(I, H, "float64"), O))


def own_of(symbols):
    """A cell whose values are called by the symbols, each of which its h adds up."""

    @lstm.cell(params={"W_x": (I, H)})
    def own(p, h, x):
        sums = [h + x @ p["W_x"]]
        for _ in symbols:
            sums.append(mg.tanh(mg.sigmoid(sums[-1]) + h - mg.relu(sums[-1]) / 3))
        spread = mg.concat([mg.broadcast_to(sums[-1][:, :1], h.shape), h], -1)[:, 1 : H + 1]
        return {
            **dict(zip(symbols, sums[1:], strict=True)),
            "h": mg.minimum(sums[-1] * spread, np.inf),
        }

    return own(I, H, "float64")


READ = ["h_before", "h_before_", "len", "float", "np", "p", "x", "sigmoid", "relu", "step", "v1"]
READ += ["v2", "__debug__", "None", "print", "own", "h ", "h_", "1", "_1", "ĥ", "h̃", "h_tilde"]


def test_names_in_the_lines_are_each_anothers():
    model = lstm.Model.create(own_of(READ), O)
    check(model)
    assert "len(x)" in (source := model.to_numpy().source) and "float('inf')" in source


def test_a_small_sigmoid_is_not_0():
    names: dict[str, Any] = {}
    exec(lstm.Model.create(lstm.GRU(I, H), O).to_numpy().source, names)
    a = np.array([-700.0, -80.0, -40.0, -1.0, 0.0, 3.0, 80.0, 800.0, np.inf, -np.inf, np.nan])
    with np.errstate(over="raise"):
        got = names["sigmoid"](a)
    expected = [np.exp(v) if v < -39 else 1 / (1 + np.exp(-v)) for v in a]
    np.testing.assert_allclose(got, expected, rtol=1e-15)
    assert names["sigmoid"](a[:7].astype("float32")).dtype == "float32"


def test_plain_nets_are_told_apart():
    model = lstm.Model.create(lstm.GRU(I, H), O)
    one, other = model.to_numpy(), model.to_numpy()
    assert one != other and len({one, other, one}) == 2


def test_the_source_runs_without_minigrad(tmp_path):
    model = drawn(lstm.Model.create(lstm.LSTM(I, H), O, layers=2))
    plain = model.to_numpy()
    (tmp_path / "net.py").write_text(plain.source, "utf-8")
    np.savez(tmp_path / "weights.npz", **plain.params)
    np.save(tmp_path / "xs.npy", XS)
    code = (
        "import sys, numpy as np; from net import predict\n"
        "np.save('ys.npy', predict(np.load('weights.npz'), np.load('xs.npy')))\n"
        "assert not {'minigrad', 'lstm'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    np.testing.assert_array_equal(np.load(tmp_path / "ys.npy"), plain(XS))
    np.testing.assert_allclose(plain(XS), model.output(XS).eval(), rtol=1e-5, atol=1e-6)


def test_hostile_names_of_layers_stay_names(monkeypatch):
    ran: list[int] = []
    monkeypatch.setattr(lstm, "hacked", ran, raising=False)
    evil = 'a\']; import lstm; lstm[hacked]\n#"""'
    stack = lstm.Stack({evil: lstm.Recurrent(lstm.LSTM(I, H, "float64"))})
    values = stack.init(np.random.default_rng(0)) | {
        "readout": {"W_y": RNG.standard_normal((H, O)), "b_y": np.zeros(O)}
    }
    check(lstm.Model.of(stack, O, values))
    assert not ran


def test_what_has_no_writing():
    decoder = lstm.Model.create(lstm.LSTM, task=lstm.make_task("reverse"))
    with pytest.raises(lstm.ConfigError, match="no writing of a Decoder"):
        decoder.to_numpy()

    def odd(p, h, x):
        return mg.sort(h) + x @ p["W_x"]

    kind = lstm.cell(odd, params={"W_x": (I, H)})
    with pytest.raises(
        lstm.ConfigError, match=r"no writing of argsort, which the cell odd computes"
    ):
        lstm.Model.create(kind(I, H), O).to_numpy()
