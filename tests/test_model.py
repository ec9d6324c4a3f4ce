"""Models: unrolling, naming, and files that hold exactly what their header says."""

import json
import os

import numpy as np
import pytest
from safetensors.numpy import save_file

import minigrad as mg
from lstm.cells import CELLS, LSTM, RNN
from lstm.errors import ConfigError, ModelFileError, OutputError
from lstm.model import Model, subscript
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


def test_unrolled_values_are_the_steps():
    model = small()
    data = np.random.default_rng(0).random((3, 2, 2), np.float32)
    xs = mg.var("xs", data.shape, "float32")
    state = model.cell.initial_state(2)
    for t in range(3):
        state = model.cell.step(model.params, state, xs[t])
    expected = state.h.eval({xs: data}) @ model.params["W_y"].value + model.params["b_y"].value
    np.testing.assert_allclose(model.unroll(xs).output.eval({xs: data}), expected, rtol=1e-6)


def test_an_initial_state_can_be_given():
    model = small()
    xs = mg.var("xs", (1, 2, 2), "float32")
    start = type(model.cell.initial_state(2))(*[mg.var(n, (2, 3), "float32") for n in ("h0", "C0")])
    unrolled = model.unroll(xs, start)
    assert unrolled.states[0] is start
    assert {v.name for v in mg.free_variables(unrolled.output)} == {"xs", "h0", "C0"}


@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 3), (4, 5, 2, 1)])
def test_inputs_that_do_not_fit(shape):
    with pytest.raises(ConfigError, match=r"xs must be \(T, B, 2\), time first, not"):
        small().unroll(mg.var("xs", shape, "float32"))


def test_copies_are_apart():
    model = small()
    other = model.copy()
    model.params["W_f"].value = np.zeros((5, 3), np.float32)
    assert other.params["W_f"].value.any()
    assert other.config() == model.config()


def test_parameters_are_seeded():
    same, other = small(0).values(), small(1).values()
    again = small(0).values()
    assert all(np.array_equal(same[n], again[n]) for n in same)
    assert not np.array_equal(same["W_y"], other["W_y"])


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_saved_and_loaded(name, dtype, tmp_path):
    model = Model.create(CELLS[name](2, 3, dtype), 4, seed=5, task=Adding(7).config())
    model.save(tmp_path / "m.safetensors")
    loaded = Model.load(tmp_path / "m.safetensors")
    assert loaded.cell == model.cell
    assert loaded.config() == model.config()
    assert list(loaded.params) == list(model.params)
    for key, value in model.values().items():
        np.testing.assert_array_equal(loaded.params[key].value, value)
        assert loaded.params[key].dtype == dtype
    assert os.listdir(tmp_path) == ["m.safetensors"]


HEADER = {
    "version": 1,
    "cell": {"name": "rnn", "input_size": 2, "hidden_size": 3, "dtype": "float32"},
    "output_size": 1,
    "task": {},
}
TENSORS = {
    "W_h": np.zeros((5, 3), np.float32),
    "b_h": np.zeros(3, np.float32),
    "W_y": np.zeros((3, 1), np.float32),
    "b_y": np.zeros(1, np.float32),
}


def cell_with(**settings):
    return HEADER | {"cell": HEADER["cell"] | settings}


def without(name):
    return {n: t for n, t in TENSORS.items() if n != name}


MALFORMED = [
    (None, TENSORS, "not one of a model of lstm"),
    ("{", TENSORS, "its header is not JSON"),
    ("[" * 100_000, TENSORS, "its header is not JSON"),
    ("[]", TENSORS, "its header is no JSON object"),
    (HEADER | {"version": 2}, TENSORS, "format version 2; this is 1"),
    ({"version": 1}, TENSORS, "its header has no proper 'cell'"),
    (HEADER | {"cell": "rnn"}, TENSORS, "its header has no proper 'cell'"),
    (HEADER | {"task": None}, TENSORS, "its header has no proper 'task'"),
    (HEADER | {"task": {"name": "adding"}}, TENSORS, "its header has no proper 'task'"),
    (HEADER | {"task": {"name": 1, "settings": {}}}, TENSORS, "no proper 'task'"),
    (HEADER | {"output_size": 0}, TENSORS, "an output size of 0"),
    (HEADER | {"output_size": True}, TENSORS, "an output size of True"),
    (cell_with(name="mlp"), TENSORS, "there is no cell 'mlp'; there are coupled, gru"),
    (cell_with(name=["rnn"]), TENSORS, "there is no cell"),
    (cell_with(layers=2), TENSORS, "its cell has unknown settings: layers"),
    (cell_with(hidden_size=-1), TENSORS, "hidden_size must be a whole number"),
    (cell_with(hidden_size="3"), TENSORS, "hidden_size must be a whole number"),
    (cell_with(dtype="object"), TENSORS, "dtype must be 'float32' or 'float64'"),
    (cell_with(dtype=[1]), TENSORS, "dtype must be 'float32' or 'float64'"),
    (cell_with(name="lstm", memory=10**400), TENSORS, "memory must be more than 2 steps"),
    (cell_with(name="lstm", memory="long"), TENSORS, "memory must be more than 2 steps"),
    (cell_with(name="lstm", forget_bias=None), TENSORS, "settings do not fit"),
    (cell_with(hidden_size=10**9), TENSORS, "tensor W_h has shape"),
    (HEADER, without("b_h"), "tensors are missing: b_h"),
    (HEADER, TENSORS | {"W_z": TENSORS["W_h"]}, "tensors are unknown: W_z"),
    (HEADER, TENSORS | {"W_h": TENSORS["W_h"].T.copy()}, r"W_h has shape \(3, 5\), not \(5, 3\)"),
    (HEADER, TENSORS | {"b_h": np.zeros(3)}, "tensor b_h is float64, not float32"),
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
