"""`lstm info` and `lstm flow` of ONNX files."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from commands import command
from onnx_peer import B, H, I, T, graph_of, helper, one_node

import lstm

RNG = np.random.default_rng(5)
XS = RNG.standard_normal((T, B, I)).astype("float32")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = lstm.Model.create(lstm.PeepholeLSTM(I, H), 2, readout="every")
    lstm.to_onnx(model, "net.onnx", lengths=True)
    with open("gru.onnx", "wb") as file:
        file.write(one_node("GRU", linear_before_reset=1).SerializeToString())
    relu = helper.make_node("Relu", ["x"], ["y"])
    sizes: dict[str, Any] = {"float32": (2,)}
    given = dict(zip("xy", [*sizes.items()] * 2, strict=True))
    with open("relu.onnx", "wb") as file:
        graph = graph_of([relu], {"x": given["x"]}, {"y": given["y"]}, {})
        file.write(graph.SerializeToString())
    np.save("x", XS)
    return tmp_path


def test_info_tells_of_a_graph(folder, capsys):
    status, out, err = command(capsys, "info", "gru.onnx")
    assert status == 0, err
    assert "gru.onnx: an ONNX graph, as lstm.from_onnx reads it" in out
    assert "gru-after" in out and "layer1.U_h" in out
    status, out, err = command(capsys, "info", "net.onnx", "--readout", "scores", "--json")
    assert status == 0, err
    assert json.loads(out)["tensors"]["layer1.p_f"] == {"shape": [H], "dtype": "float32"}


def test_flow_measures_a_graph_on_arrays(folder, capsys, monkeypatch):
    monkeypatch.setattr("lstm.figures.write_flow", lambda *args, **options: [])
    status, out, err = command(capsys, "flow", "gru.onnx", "--data", "x.npy", "--json")
    assert status == 0, err
    output = lstm.from_onnx("gru.onnx", read="last").run(XS).output.eval()
    assert json.loads(out)["flow"]["loss"] == pytest.approx(float((output**2).mean()), rel=1e-5)


WRONG = {
    ("info", "relu.onnx"): "an ONNX model without a node LSTM, GRU or RNN; it has Relu",
    (
        "info",
        "net.onnx",
    ): "'output' is what 'Where' makes, which no layer of a model is",
    ("info", "gru.onnx", "--prefix", "a"): "--prefix is of a net of torch, and gru.onnx is an ONNX",
    ("info", "gru.onnx", "--cell", "a.py:A"): "--cell is of a model of lstm, and gru.onnx is an",
    ("flow", "gru.onnx"): "an ONNX graph needs sequences: lstm flow gru.onnx --data X.npy",
    ("flow", "gru.onnx", "--data", "wide.npy"): f"xs must be (T, B, {I})",
}


@pytest.mark.parametrize("args", WRONG, ids=" ".join)
def test_what_cannot_be_told(args, folder, capsys):
    np.save("wide", np.ones((T, B, 9)))
    status, _, err = command(capsys, *args)
    assert (status, err.count("\n")) == (2, 1)
    assert WRONG[args] in err
