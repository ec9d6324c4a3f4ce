"""Models: unrolling, naming, and files that hold exactly what their header says."""

import json
import os

import numpy as np
import pytest
from safetensors.numpy import save_file

import minigrad as mg
from lstm.cells import CELLS, LSTM, RNN, LSTMState
from lstm.errors import ConfigError, ModelFileError, OutputError
from lstm.layers import subscript
from lstm.model import Model
from lstm.store.model_file import FORMAT
from lstm.tasks import Adding


def small(seed=0):
    return Model.create(LSTM(2, 3, memory=20), 1, seed, Adding(20).config())


def test_unrolled():
    model = small()
    xs = mg.var("xs", (4, 5, 2), "float32")
    unrolled = model.unroll(xs)
    assert len(unrolled.states) == 5
    assert len(unrolled.values) == len(unrolled.xs) == 4
    assert unrolled.output.shape == (5, 1)
    assert unrolled.values[2]["C"] is unrolled.states[3].C
    assert [v.name for v in unrolled.values[1].values()] == ["f₂", "i₂", "C̃₂", "C₂", "o₂", "h₂"]
    assert unrolled.xs[3].name == "x₄"
    assert subscript("f", 1203) == "f₁₂₀₃"


def test_a_backward_layer_that_is_written_out_counts_as_time_does():
    model = Model.create(LSTM(2, 3, "float64"), 1, 0, bidirectional=True, readout="every")
    xs = np.random.default_rng(0).normal(size=(4, 2, 2))
    unrolled = model.unroll(mg.const(xs))
    ahead, back = unrolled.layers["layer1.forward"], unrolled.layers["layer1.backward"]
    assert [v["f"].name[-1] for v in ahead.values] == ["₁", "₂", "₃", "₄"]
    assert [v["f"].name[-1] for v in back.values] == ["₄", "₃", "₂", "₁"]  # as it reads
    assert [made.h.name[-1] for made in back.made] == ["₄", "₃", "₂", "₁"]
    assert back.xs == ahead.xs[::-1] and [x.name[-1] for x in ahead.xs] == ["₁", "₂", "₃", "₄"]
    for x, row in zip(back.xs, xs[::-1], strict=True):
        np.testing.assert_array_equal(x.eval(), row)
    np.testing.assert_allclose(unrolled.output.eval(), model.output(xs).eval(), rtol=1e-12)


def test_unrolled_values_are_the_steps():
    model = small()
    data = np.random.default_rng(0).random((3, 2, 2), np.float32)
    xs = mg.var("xs", data.shape, "float32")
    state = model.cell.initial_state(2)
    for t in range(3):
        state = model.cell.step(model.params["layer1"], state, xs[t])
    expected = state.h.eval({xs: data}) @ model.params["readout"]["W_y"].value
    expected = expected + model.params["readout"]["b_y"].value
    np.testing.assert_allclose(model.unroll(xs).output.eval({xs: data}), expected, rtol=1e-6)


def test_an_initial_state_can_be_given():
    model = small()
    xs = mg.var("xs", (1, 2, 2), "float32")
    start = LSTMState(*[mg.var(n, (2, 3), "float32") for n in ("h0", "C0")])
    unrolled = model.unroll(xs, {"layer1": start})
    assert unrolled.states[0] == start
    assert {v.name for v in mg.free_variables(unrolled.output)} == {"xs", "h0", "C0"}


@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 3), (4, 5, 2, 1)])
def test_inputs_that_do_not_fit(shape):
    with pytest.raises(ConfigError, match=r"xs must be \(T, B, 2\), time first, not"):
        small().unroll(mg.var("xs", shape, "float32"))


def test_copies_are_apart():
    model = small()
    other = model.copy()
    model.flat_params["layer1.W_f"].value = np.zeros((5, 3), np.float32)
    assert other.flat_params["layer1.W_f"].value.any()
    assert other.config() == model.config()


def test_parameters_are_seeded():
    same, other = small(0).values(), small(1).values()
    again = small(0).values()
    assert all(np.array_equal(same[n], again[n]) for n in same)
    assert not np.array_equal(same["readout.W_y"], other["readout.W_y"])


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_saved_and_loaded(name, dtype, tmp_path):
    model = Model.create(CELLS[name](2, 3, dtype), 4, seed=5, task=Adding(7).config())
    model.save(tmp_path / "m.safetensors")
    loaded = Model.load(tmp_path / "m.safetensors")
    assert loaded.cell == model.cell
    assert loaded.config() == model.config()
    assert list(loaded.flat_params) == list(model.flat_params)
    for key, value in model.values().items():
        np.testing.assert_array_equal(loaded.flat_params[key].value, value)
        assert loaded.flat_params[key].dtype == dtype
    assert os.listdir(tmp_path) == ["m.safetensors"]


CELL = {"kind": "rnn", "input_size": 2, "hidden_size": 3, "dtype": "float32"}
HEADER = {
    "version": 2,
    "layers": {"kind": "stack", "layers": {"layer1": {"kind": "recurrent", "cell": CELL}}},
    "readout": {"kind": "readout", "input_size": 3, "output_size": 1},
    "task": {},
}
TENSORS = {
    "layer1.W_h": np.zeros((5, 3), np.float32),
    "layer1.b_h": np.zeros(3, np.float32),
    "readout.W_y": np.zeros((3, 1), np.float32),
    "readout.b_y": np.zeros(1, np.float32),
}
W_H = TENSORS["layer1.W_h"]


def layer(**settings):
    return HEADER | {"layers": {"kind": "recurrent", "cell": CELL} | settings}


def cell_with(**settings):
    return layer(cell=CELL | settings)


def readout(**settings):
    return HEADER | {"readout": HEADER["readout"] | settings}


def stack(**layers):
    return HEADER | {"layers": {"kind": "stack", "layers": layers}}


def nested(times):
    header = HEADER["layers"]["layers"]["layer1"]
    for _ in range(times):
        header = {"kind": "residual", "layer": header}
    return HEADER | {"layers": header}


def without(name):
    return {n: t for n, t in TENSORS.items() if n != name}


RECURRENT = HEADER["layers"]["layers"]["layer1"]
MALFORMED = [
    (None, TENSORS, "not one of a model of lstm"),
    ("{", TENSORS, "its header is not JSON"),
    ("[" * 100_000, TENSORS, "its header is not JSON"),
    ("[]", TENSORS, "its header is no JSON object"),
    (HEADER | {"version": 3}, TENSORS, "format version 3; this is 2"),
    (HEADER | {"version": True}, TENSORS, "format version True; this is 2"),
    (HEADER | {"version": [2]}, TENSORS, r"format version \[2\]; this is 2"),
    ({"version": 2}, TENSORS, "its header has no proper 'layers'"),
    ({"version": 1}, TENSORS, "its header has no proper 'cell'"),
    ({"version": 1, "cell": {}, "output_size": 1, "task": {}}, TENSORS, "a Cell is needed, not"),
    (HEADER | {"layers": "rnn"}, TENSORS, "its header has no proper 'layers'"),
    (HEADER | {"layers": CELL}, TENSORS, "its 'layers' is of the kind 'rnn'"),
    (HEADER | {"readout": RECURRENT}, TENSORS, "its 'readout' is of the kind 'recurrent'"),
    (HEADER | {"task": None}, TENSORS, "its header has no proper 'task'"),
    (HEADER | {"task": {"name": "adding"}}, TENSORS, "its header has no proper 'task'"),
    (HEADER | {"task": {"name": 1, "settings": {}}}, TENSORS, "no proper 'task'"),
    (readout(output_size=0), TENSORS, "output_size must be a whole number"),
    (readout(output_size=True), TENSORS, "output_size must be a whole number"),
    (readout(output_size=10**30), TENSORS, "tensor readout.W_y has shape"),
    (readout(input_size=4), TENSORS, "the readout reads 4 units of float32, but the layers give 3"),
    (readout(dtype="float64"), TENSORS, "the readout reads 3 units of float64"),
    (readout(read="first"), TENSORS, "a readout reads 'last' or 'every', not 'first'"),
    (readout(read=[]), TENSORS, "a readout reads 'last' or 'every'"),
    (cell_with(kind="mlp"), TENSORS, "there is no cell or layer 'mlp'; there are coupled, gru"),
    (cell_with(kind=["rnn"]), TENSORS, "a Cell is needed, not"),
    (cell_with(layers=2), TENSORS, "its cell rnn has unknown settings: layers"),
    (cell_with(hidden_size=-1), TENSORS, "hidden_size must be a whole number"),
    (cell_with(hidden_size="3"), TENSORS, "hidden_size must be a whole number"),
    (cell_with(dtype="object"), TENSORS, "dtype must be 'float32' or 'float64'"),
    (cell_with(dtype=[1]), TENSORS, "dtype must be 'float32' or 'float64'"),
    (cell_with(kind="lstm", memory=10**400), TENSORS, "memory must be more than 2 steps"),
    (cell_with(kind="lstm", memory="long"), TENSORS, "memory must be more than 2 steps"),
    (cell_with(kind="lstm", forget_bias=None), TENSORS, "forget_bias must be finite, not None"),
    (cell_with(hidden_size=10**9), TENSORS, "the readout reads 3 units"),
    (cell_with(input_size=10**9), TENSORS, "tensors are missing: W_h, b_h"),
    (layer(**{"class": "Own"}), TENSORS, "its part 'recurrent' is of a class 'Own' that is not"),
    (layer(**{"class": ["Own"]}), TENSORS, "its part 'recurrent' is of a class"),
    (layer(cell=RECURRENT), TENSORS, "a Cell is needed, not"),
    (layer(cell=None), TENSORS, "a Cell is needed, not None"),
    (layer(reverse=1), TENSORS, "reverse is True or False, not 1"),
    (layer(zoneout=1), TENSORS, "zoneout must be a number of at least 0 and below 1"),
    (
        layer(recurrent_dropout="half"),
        TENSORS,
        "recurrent_dropout must be a number of at least 0 and below 1",
    ),
    (layer(input_size=2), TENSORS, "its layer recurrent has unknown settings: input_size"),
    ({**HEADER, "layers": {"kind": "recurrent"}}, TENSORS, "its layer recurrent do not fit"),
    (nested(19), TENSORS, "a residual layer adds its input to its output"),
    (nested(21), TENSORS, "more than 20 parts are within each other"),
    (nested(300), TENSORS, "more than 20 parts are within each other"),
    (stack(), TENSORS, "a stack is of one or more layers by name"),
    (HEADER | {"layers": {"kind": "stack", "layers": 10**9}}, TENSORS, "a stack is of one or more"),
    (HEADER | {"layers": {"kind": "stack", "layers": [RECURRENT]}}, TENSORS, "layers by name"),
    (stack(a=RECURRENT, b=RECURRENT), TENSORS, "layer 'b' reads 2 units of float32, but 'a'"),
    (stack(**{"a.b": RECURRENT}), TENSORS, "has no dot in it, not 'a.b'"),
    (stack(**{"": RECURRENT}), TENSORS, "a name is a text that is not empty"),
    (stack(readout=RECURRENT), TENSORS, "no layer can be called 'readout'"),
    (stack(layer1=CELL), TENSORS, "a Layer is needed, not RNN"),
    (stack(layer1={"kind": "stack", "layers": {"kind": RECURRENT}}), TENSORS, "layer1.kind.W_h"),
    (stack(layer1={"kind": "bidirectional", "layer": RECURRENT}), TENSORS, "reads 3 units"),
    (
        stack(layer1={"kind": "bidirectional", "layer": RECURRENT | {"reverse": True}}),
        TENSORS,
        "reads forward",
    ),
    (stack(e={"kind": "embedding", "input_size": 10**12, "output_size": 3}), TENSORS, "e.E"),
    (HEADER, without("layer1.b_h"), "tensors are missing: layer1.b_h"),
    (HEADER, TENSORS | {"W_z": W_H}, "tensors are unknown: W_z; there are layer1.W_h"),
    (HEADER, TENSORS | {"layer1.W_h": W_H.T.copy()}, r"W_h has shape \(3, 5\), not \(5, 3\)"),
    (HEADER, TENSORS | {"layer1.b_h": np.zeros(3)}, "tensor layer1.b_h is float64, not float32"),
]


@pytest.mark.parametrize(("header", "tensors", "message"), MALFORMED)
def test_malformed_files(header, tensors, message, tmp_path):
    path = tmp_path / "m.safetensors"
    text = header if isinstance(header, str) else json.dumps(header)
    save_file(tensors, path, metadata=None if header is None else {FORMAT: text})
    with pytest.raises(ModelFileError, match=message) as caught:
        Model.load(path)
    assert str(path) in str(caught.value)


def test_a_file_written_by_hand_loads(tmp_path):
    save_file(TENSORS, tmp_path / "m", metadata={FORMAT: json.dumps(HEADER)})
    assert Model.load(tmp_path / "m").cell == RNN(2, 3)


def test_a_file_of_the_first_version_loads(tmp_path):
    cell = {"name": "lstm", "input_size": 2, "hidden_size": 3, "dtype": "float64", "memory": 9}
    header = {"version": 1, "cell": cell, "output_size": 1, "task": Adding(9).config()}
    rng = np.random.default_rng(0)
    tensors = {f"W_{w}": rng.random((5, 3)) for w in "fiCo"} | {"W_y": rng.random((3, 1))}
    tensors |= {f"b_{w}": rng.random(3) for w in "fiCo"} | {"b_y": rng.random(1)}
    save_file(tensors, tmp_path / "m", metadata={FORMAT: json.dumps(header)})
    model = Model.load(tmp_path / "m")
    assert model.cell == LSTM(2, 3, "float64", memory=9)
    assert model.task == Adding(9).config()
    values = model.values()
    for name, tensor in tensors.items():
        place = "readout" if name in ("W_y", "b_y") else "layer1"
        np.testing.assert_array_equal(values.pop(f"{place}.{name}"), tensor)
    assert not values


def test_files_that_are_no_safetensors(tmp_path):
    (tmp_path / "empty").touch()
    (tmp_path / "noise").write_bytes(bytes(range(256)) * 10)
    small().save(tmp_path / "whole")
    (tmp_path / "cut").write_bytes((tmp_path / "whole").read_bytes()[:-8])
    for name in ("noise", "cut"):
        with pytest.raises(ModelFileError, match="no sound safetensors file"):
            Model.load(tmp_path / name)
    with pytest.raises(ModelFileError, match="it is empty"):
        Model.load(tmp_path / "empty")
    with pytest.raises(ModelFileError, match="No such file"):
        Model.load(tmp_path / "absent")
    with pytest.raises(ModelFileError, match="Is a directory"):
        Model.load(tmp_path)


def test_saving_keeps_the_old_file_when_it_fails(tmp_path, monkeypatch):
    path = tmp_path / "m.safetensors"
    small().save(path)
    before = path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OutputError, match=r"cannot write .*No space left"):
        small(1).save(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["m.safetensors"]


def test_places_that_cannot_be_written(tmp_path):
    with pytest.raises(OutputError, match="there is no folder"):
        small().save(tmp_path / "absent" / "m")
    with pytest.raises(OutputError, match="it is no regular file"):
        small().save(tmp_path)
