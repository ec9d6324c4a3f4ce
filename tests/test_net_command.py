"""`lstm info` and `lstm flow` of a net of torch, and of arrays of one's own."""

from __future__ import annotations

import json
import os
import pickle
from typing import Any

import numpy as np
import pytest
from commands import command
from safetensors.numpy import save_file
from test_interop_torch import H, I, O, V, state

import lstm

T, B = 6, 3
RNG = np.random.default_rng(5)
LENGTHS = np.array([6, 2, 4])
XS = RNG.standard_normal((T, B, I)).astype("float32")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_file(state(3, fc__weight=(O, H), fc__bias=(O,)), "gru.safetensors")
    save_file(state(1, words__weight=(V, I)), "words.safetensors")
    save_file(state(place="a.") | state(place="b."), "two.safetensors")
    np.save("x", XS)
    return tmp_path


def test_info_tells_of_a_net(folder, capsys):
    status, out, _ = command(capsys, "info", "gru.safetensors")
    assert status == 0
    assert "gru.safetensors: a net of torch, as lstm.from_torch reads it" in out
    assert "gru-after" in out and "layer1.U_h" in out and "readout.W_y" in out
    config = json.loads(command(capsys, "info", "two.safetensors", "--prefix", "b", "--json")[1])
    assert config["tensors"]["layer1.W_f"] == {"shape": [H + I, H], "dtype": "float32"}
    args = ("info", "words.safetensors", "--nonlinearity", "relu", "--json")
    assert json.loads(command(capsys, *args)[1])["layers"]["layers"]["layer1"]["cell"]["rectified"]


CLASSES = RNG.integers(0, O, B)
READ: dict[str, tuple[Any, str, Any]] = {
    "nothing": (None, "last", lambda model: np.zeros((B, O), "float32")),
    "the end": (RNG.standard_normal((B, O)), "last", None),
    "every step": (RNG.standard_normal((T, B, O)), "every", None),
    "classes": (CLASSES, "last", None),
    "classes of every step": (RNG.integers(0, O, (T, B)), "every", None),
}


class _Loss:
    """A flow of which only the loss is measured, which is quick."""

    diagnosis = ()

    def __init__(self, model, xs, ys, loss):
        self.loss = float(loss(model.run(xs).output, ys).eval())

    def to_json(self):
        return {"loss": self.loss}


@pytest.mark.parametrize("said", READ)
def test_flow_measures_a_net_on_arrays(said, folder, capsys, monkeypatch):
    monkeypatch.setattr("lstm.figures.write_flow", lambda *args, **options: [])
    monkeypatch.setattr("lstm.gradient_flow.measuring.flow_to_draw", _Loss)
    ys, read, usual = READ[said]
    model = lstm.from_torch("gru.safetensors", read=read)
    more = []
    if ys is not None:
        np.save("y", ys)
        more = ["--targets", "y.npy"]
    status, out, err = command(
        capsys, "flow", "gru.safetensors", "--data", "x.npy", "--json", *more
    )
    assert status == 0, err
    found = json.loads(out)["flow"]
    ys = usual(model) if ys is None else ys
    y = model.run(XS).output.eval().astype("float64")
    if ys.dtype.kind == "i":
        logs = y - np.log(np.exp(y).sum(-1, keepdims=True))
        loss = -np.take_along_axis(logs, ys[..., None], -1).mean()
    else:
        loss = ((y - ys) ** 2).mean()
    assert found["loss"] == pytest.approx(loss, rel=1e-5)


def test_flow_draws_what_it_measured(folder, capsys, monkeypatch):
    drawn: list[Any] = []
    monkeypatch.setattr(
        "lstm.figures.write_flow", lambda *args, **options: drawn.append(args) or []
    )
    np.save("x", RNG.integers(0, V, (T, B)))
    args = ["flow", "words.safetensors", "--data", "x.npy", "--nonlinearity", "relu"]
    assert command(capsys, *args)[0] == 0
    _, model, xs, ys, _ = drawn[0]
    assert model.cell.rectified and model.layers.tokens and model.readout.read == "last"
    np.testing.assert_array_equal(xs, np.load("x.npy"))
    assert ys.shape == (B, H) and not ys.any()


def test_flow_measures_a_model_of_ours_on_arrays(folder, capsys, monkeypatch):
    monkeypatch.setattr("lstm.figures.write_flow", lambda *args, **options: [])
    lstm.Model.create(lstm.LSTM(I, H), O, readout="every").save("m")
    status, out, err = command(capsys, "flow", "m", "--data", "x.npy", "--json")
    assert status == 0, err
    output = lstm.Model.load("m").run(XS).output.eval()
    assert json.loads(out)["flow"]["loss"] == pytest.approx(float((output**2).mean()), rel=1e-5)


@pytest.fixture
def measured(monkeypatch):
    """What is measured, in place of drawing it."""
    seen: list[Any] = []

    def flow(*args, **options):
        seen.append(options)
        return lstm.flow(*args, **options)

    monkeypatch.setattr("lstm.figures.write_flow", lambda *args, **options: [])
    monkeypatch.setattr("lstm.gradient_flow.measuring.flow_to_draw", flow)
    return seen


def test_flow_measures_the_layer_and_the_lengths_that_are_named(folder, capsys, measured):
    save_file(state(4, layers=2, ways=2), "deep.safetensors")
    np.save("l", LENGTHS)
    args = ["flow", "deep.safetensors", "--data", "x.npy", "--lengths", "l.npy", "--json"]
    model, ys = lstm.from_torch("deep.safetensors", read="last"), np.zeros((B, 2 * H))
    for place in ({}, {"layer": 1}, {"layer": "layer1", "direction": "backward"}):
        said = [word for name, at in place.items() for word in (f"--{name}", str(at))]
        status, out, err = command(capsys, *args, *said)
        assert status == 0, err
        options = measured.pop()
        assert {name: options[name] for name in place} == place
        flow = lstm.flow(model, XS, ys, lstm.mse, lengths=LENGTHS, **place)
        told = json.loads(out)["flow"]
        assert told["place"] == flow.place and told["ends"] == list(flow.ends)
        assert flow.ends == (() if "direction" in place else (2, 4))
        assert told["loss"] == pytest.approx(flow.loss, rel=1e-5)


def test_flow_measures_the_layer_of_a_model_of_ours_that_is_named(folder, capsys, measured):
    task = lstm.Adding(length=6)
    lstm.Model.create(lstm.GRU, task=task, hidden_size=3, layers=2).save("m")
    _, out, _ = command(capsys, "flow", "m", "--layer", "1", "--json")
    assert json.loads(out)["flow"]["place"] == "layer1"
    status, _, err = command(capsys, "flow", "m", "--layer", "3")
    assert status == 2 and "there is no recurrent layer 3; there are layer1, layer2" in err
    assert not os.path.exists("lstm-flow")


def _of_shape(shape):
    return f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".encode()


def _headed(header):
    """A file of that header, all of which is there."""
    return b"\x93NUMPY\x01\0" + len(header).to_bytes(2, "little") + header


HEADERS = {
    "long": _of_shape("(1000000000, 1000000000)"),
    "deep": _of_shape("(" + "-" * 5000 + "1, 3)"),
    "beyond integers": _of_shape(f"({2**70}, 4)"),
    "beyond sizes": _of_shape(f"({2**62}, 4)"),
    "below 0": _of_shape("(-3, 4)"),
    "flags": _of_shape("(True, 4)"),
    "bracket": b"{'descr': ",
    "brackets": b"(" * 3000,
    "text": b"{'descr': '''<f4",
    "escape": b"{'descr': '\\d'}",
    "nul": b"{'descr': '<f4\0'}",
    "number": b"9" * 9000,
    "code": b"__import__('os').mkdir('x')",
}


def _hostile(name):
    """An array's file that says it has more than there is, or no array."""
    made = {
        **{name: _headed(header) for name, header in HEADERS.items()},
        "cut": b"\x93NUMPY\x01\0\x70\0{'descr'",
        "pickle": pickle.dumps([1, 2]),
        "empty": b"",
        "zip": b"PK\x03\x04" + bytes(30),
    }
    with open(f"{name}.npy", "wb") as file:
        file.write(made[name])


@pytest.mark.parametrize("name", [*HEADERS, "cut", "pickle", "empty", "zip"])
def test_files_that_are_no_arrays(name, folder, capsys):
    _hostile(name)
    status, _, err = command(capsys, "flow", "gru.safetensors", "--data", f"{name}.npy")
    assert status == 2
    assert f"cannot read the array {name}.npy: " in err
    assert err.count("\n") == 1 and not os.path.exists("lstm-flow") and not os.path.exists("x")


def test_a_sound_header_is_read(folder):
    """What the hostile ones are made by makes arrays, too."""
    with open("sound.npy", "wb") as file:
        file.write(_headed(_of_shape("(2, 3)")) + bytes(24))
    np.testing.assert_array_equal(np.load("sound.npy"), np.zeros((2, 3), "float32"))


def test_what_is_too_long_is_not_read(folder, capsys):
    with open("long.npy", "wb") as file:
        file.write(_headed(_of_shape(f"({2**36}, 1, 4)")))
        file.truncate(2**41)  # no block of it is written
    status, _, err = command(capsys, "flow", "gru.safetensors", "--data", "long.npy")
    assert status == 2 and f"long.npy is ({2**36}, 1, 4), and sequences are" in err
    args = ("flow", "gru.safetensors", "--data", "x.npy", "--targets", "long.npy")
    status, _, err = command(capsys, *args)
    assert status == 2 and "and targets of 3 sequences are (B, …)" in err


def test_what_does_not_fit_into_memory_is_said(folder, capsys, monkeypatch):
    def no_room(_):
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr("lstm.cli.nets.np.array", no_room)
        status, _, err = command(capsys, "flow", "gru.safetensors", "--data", "x.npy")
    assert status == 2 and "x.npy and its targets do not fit into memory" in err


WRONG = {
    ("flow", "gru.safetensors"): "a net of torch needs sequences: lstm flow gru.safetensors --data",
    ("flow", "gru.safetensors", "--targets", "x.npy"): "--targets Y.npy is for the sequences of",
    ("flow", "gru.safetensors", "--data", "x.npy", "--length", "3"): "--length is of a task's",
    ("flow", "gru.safetensors", "--lengths", "x.npy"): "--lengths L.npy is for the sequences of",
    ("flow", "gru.safetensors", "--data", "x.npy", "--lengths", "x.npy"): "integers (3,)",
    ("flow", "gru.safetensors", "--data", "x.npy", "--lengths", "zeros.npy"): "not from 1 to 6 ste",
    ("flow", "gru.safetensors", "--data", "x.npy", "--lengths", "more.npy"): "not from 1 to 6 ste",
    ("flow", "gru.safetensors", "--data", "x.npy", "--direction", "backward"): "backward",
    ("flow", "gru.safetensors", "--data", "none.npy"): "none.npy: No such file",
    ("flow", "gru.safetensors", "--data", "."): "it is no regular file",
    ("flow", "gru.safetensors", "--data", "flat.npy"): "flat.npy is (4,), and sequences are",
    ("flow", "gru.safetensors", "--data", "text.npy"): "it holds <U1, and neither floats",
    ("flow", "gru.safetensors", "--data", "x.npy", "--targets", "x.npy"): "must have one shape",
    ("flow", "gru.safetensors", "--data", "wide.npy"): f"xs must be (T, B, {I})",
    ("flow", "two.safetensors", "--data", "x.npy"): "prefix= says which recurrent module",
    ("info", "two.safetensors"): "prefix= says which recurrent module is meant: a, b",
    ("flow", "gru.safetensors", "--data", "x.npy", "--seed", "0"): "--seed is of a task's",
    ("flow", "gru.safetensors", "--data", "x.npy", "--cell", "a.py:A"): "--cell is of a model of",
    ("info", "gru.safetensors", "--cell", "a.py:A"): "--cell is of a model of lstm, and gru.safe",
    ("flow", "m", "--prefix", "a"): "--prefix is of a net of torch, and m is none",
    ("flow", "m", "--data", "x.npy", "--readout", "a"): "--readout is of a net of torch, and m is",
    ("info", "m", "--embedding", "a"): "--embedding is of a net of torch, and m is none",
    ("info", "m", "--nonlinearity", "tanh"): "--nonlinearity is of a net of torch, and m is none",
    ("info", "none", "--prefix", "a"): "none: No such file",
    ("info", "gru.safetensors", "--nonlinearity", "selu"): "there is no 'selu'; there are tanh",
}


@pytest.mark.parametrize("args", WRONG, ids=" ".join)
def test_what_cannot_be_measured(args, folder, capsys):
    np.save("flat", np.ones(4))
    np.save("zeros", np.array([6, 0, 4]))
    np.save("more", np.array([7, 1, 4]))
    np.save("text", np.array([["a"]]))
    np.save("wide", np.ones((T, B, 9)))
    lstm.Model.create(lstm.LSTM(I, H), O).save("m")
    status, _, err = command(capsys, *args)
    assert status == 2
    assert WRONG[args] in err
    assert err.count("\n") == 1 and not os.path.exists("lstm-flow")
