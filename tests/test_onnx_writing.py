"""Models written as ONNX files: they pass onnx.checker, onnxruntime computes the same outputs and
states, in float64 onnx's own evaluator, and they come in again as the models that they were.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx_peer import LENGTHS, B, H, I, T, assert_close, onnx, run_ort, run_reference

import lstm
import minigrad as mg
from lstm.layers import Recurrent, Stack
from lstm.params import flatten, unflatten
from lstm.tasks.reverse import Reverse

pytestmark = pytest.mark.usefixtures("by_numpy")
O, V = 2, 9  # noqa: E741
CELLS: dict[str, Any] = {
    "lstm": lstm.LSTM,
    "peepholes": lstm.PeepholeLSTM,
    "coupled": lstm.CoupledLSTM,
    "gru": lstm.GRU,
    "gru after": lstm.GRUAfter,
    "rnn": lstm.RNN,
    "relu": lambda *sizes, **options: lstm.RNN(*sizes, **options, rectified=True),
}
cells = pytest.mark.parametrize("cell", CELLS)
ways = pytest.mark.parametrize("ways", ["one way", "both ways", "backward"])


def model_of(cell, ways="one way", dtype="float32", **options):
    """Two layers whose parameters, biases included, are all drawn."""
    first = CELLS[cell](I, H, dtype=dtype)
    if ways == "backward":
        below, above = Recurrent(first), Recurrent(CELLS[cell](H, H, dtype=dtype), reverse=True)
        layers = Stack({"below": below, "above": above})
        readout = lstm.Readout(H, O, options.get("readout", "last"), dtype=dtype)
        values = layers.init(np.random.default_rng(0)) | {
            "readout": readout.init(np.random.default_rng(0))
        }
        model = lstm.Model.of(layers, readout, values)
    else:
        both = ways == "both ways"
        model = lstm.Model.create(first, O, layers=2, bidirectional=both, **options)
    rng = np.random.default_rng(0)
    for p in model.flat_params.values():
        p.value = rng.uniform(-(H**-0.5), H**-0.5, p.shape).astype(dtype)
    return model


def ours_of(model, feeds):
    start = {n.removeprefix("start."): mg.const(v) for n, v in feeds.items() if "." in n}
    state = unflatten(start) if start else None
    run = model.run(feeds["xs"], state=state, lengths=feeds.get("lengths"))
    values = {"output": run.output, "outputs": run.outputs}
    values |= {f"last.{name}": part for name, part in flatten(run.last).items()}
    numbers = mg.function([], list(values.values()))()
    return dict(zip(values, numbers, strict=True))


def feeds_of(model, lengths=None, states=False):
    rng = np.random.default_rng(1)
    feeds = {"xs": rng.standard_normal((T, B, I)).astype(model.dtype)}
    if lengths is not None:
        feeds["lengths"] = lengths.astype("int32")
    if states:
        for name, part in flatten(model.initial_state(B)).items():
            feeds[f"start.{name}"] = rng.standard_normal(part.shape).astype(model.dtype) / 2
    return feeds


@cells
@ways
@pytest.mark.parametrize(
    ("readout", "told"),
    [("every", False), ("last", True), ("every", True)],
    ids=["whole", "the ends, padded, from states", "padded, from states"],
)
def test_onnxruntime_computes_the_same(cell, ways, readout, told, tmp_path):
    model, path = model_of(cell, ways, readout=readout), tmp_path / "net.onnx"
    lstm.to_onnx(model, path, lengths=told, states=told)
    onnx.checker.check_model(path, full_check=True)
    feeds = feeds_of(model, LENGTHS if told else None, told)
    theirs, ours = run_ort(str(path), feeds), ours_of(model, feeds)
    assert theirs.keys() == ours.keys()
    for name, values in ours.items():
        assert_close(theirs[name], values, name)


@pytest.mark.parametrize("cell", ["lstm", "peepholes", "coupled", "gru", "gru after", "rnn"])
@ways
def test_of_float64_the_evaluator_computes_the_same(cell, ways, tmp_path):
    model, path = model_of(cell, ways, "float64", readout="every"), tmp_path / "net.onnx"
    lstm.to_onnx(model, path, states=True)
    feeds = feeds_of(model, states=True)
    theirs, ours = run_reference(onnx.load(path), feeds), ours_of(model, feeds)
    for name, values in ours.items():
        assert_close(theirs[name], values, name)


@cells
@ways
@pytest.mark.parametrize("readout", ["last", "every"])
def test_what_is_written_is_read_as_the_same_model(cell, ways, readout, tmp_path):
    model, path = model_of(cell, ways, readout=readout), tmp_path / "net.onnx"
    lstm.to_onnx(model, path, lengths=True, states=True)
    padded = readout == "every"  # its output is masked
    again = lstm.from_onnx(path, output="scores" if padded else None)
    assert again.readout.read == readout
    names = zip(again.flat_params.items(), model.flat_params.values(), strict=True)
    for (name, ours), theirs in names:
        np.testing.assert_allclose(ours.value, theirs.value, rtol=1e-7, err_msg=name)


def test_a_net_that_reads_tokens(tmp_path):
    options = {"vocabulary": V, "dropout": 0.5, "input_dropout": 0.5, "readout": "every"}
    model, path = model_of("gru", "both ways", **options), tmp_path / "net.onnx"
    lstm.to_onnx(model, path, lengths=True)
    feeds = {"xs": np.random.default_rng(1).integers(0, V, (T, B)), "lengths": LENGTHS}
    feeds["lengths"] = feeds["lengths"].astype("int32")
    assert_close(run_ort(str(path), feeds)["output"], ours_of(model, feeds)["output"])


def test_other_lengths_and_batches_than_were_tried(tmp_path):
    model, path = model_of("lstm"), tmp_path / "net.onnx"
    lstm.to_onnx(model, path)
    for shape in ((1, 1, I), (20, 3, I)):
        xs = np.random.default_rng(0).standard_normal(shape).astype("float32")
        assert_close(run_ort(str(path), {"xs": xs})["output"], ours_of(model, {"xs": xs})["output"])


NONE: dict[str, Any] = {
    "the cell MGU has no node in ONNX; mg.to_onnx": lambda: lstm.Model.create(lstm.MGU(I, H), O),
    "layer1: zoneout has no node": lambda: lstm.Model.create(lstm.LSTM(I, H), O, zoneout=0.1),
    "a Decoder has no node": lambda: lstm.Model.create(lstm.GRU, task=Reverse(3), hidden_size=H),
    "a LayerNorm has no node": lambda: lstm.Model.create(lstm.GRU(I, H), O, layer_norm=True),
}


@pytest.mark.parametrize("words", NONE)
def test_what_onnx_has_no_node_for(words, tmp_path):
    with pytest.raises(lstm.ConfigError, match=words):
        lstm.to_onnx(NONE[words](), tmp_path / "net.onnx")
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_written(tmp_path):
    with pytest.raises(lstm.OutputError, match="there is no folder"):
        lstm.to_onnx(model_of("rnn"), tmp_path / "none" / "net.onnx")
    with pytest.raises(lstm.ConfigError, match="lengths is True or False"):
        lstm.to_onnx(model_of("rnn"), tmp_path / "net.onnx", lengths=LENGTHS)
    with pytest.raises(lstm.ConfigError, match="a model is needed"):
        lstm.to_onnx(3, tmp_path / "net.onnx")
