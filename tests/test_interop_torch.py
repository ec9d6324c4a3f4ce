"""State dicts of torch without torch: what is taken for what, what is refused, and in which words.

That the numbers are torch's is `test_torch_weights.py`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

import lstm
from lstm.cells import CELLS
from lstm.layers import Recurrent, Stack

I, H, O, V = 2, 3, 4, 7  # noqa: E741
GATES = {"lstm": 4, "gru-after": 3, "rnn": 1}


def state(gates=4, layers=1, ways=1, place="", dtype="float32", **others) -> dict[str, Any]:
    """A state dict as torch names it; others: shapes by name, "." as "__"."""
    shapes: dict[str, tuple[int, ...]] = {}
    for k in range(layers):
        for way in ("", "_reverse")[:ways]:
            end = f"l{k}{way}"
            shapes[f"{place}weight_ih_{end}"] = (gates * H, I if k == 0 else ways * H)
            shapes[f"{place}weight_hh_{end}"] = (gates * H, H)
            shapes[f"{place}bias_ih_{end}"] = shapes[f"{place}bias_hh_{end}"] = (gates * H,)
    shapes |= {name.replace("__", "."): shape for name, shape in others.items()}
    rng = np.random.default_rng(0)
    return {name: rng.standard_normal(shape).astype(dtype) for name, shape in shapes.items()}


@pytest.mark.parametrize("name", GATES)
@pytest.mark.parametrize("ways", [1, 2])
def test_out_and_in_again_is_the_same_model(name, ways):
    cell = CELLS[name](I, H, dtype="float64")
    model = lstm.Model.create(cell, O, 3, layers=2, bidirectional=ways == 2, vocabulary=V)
    arrays = lstm.to_torch(model, prefix="net.rnn", readout="fc", embedding="net.words")
    assert arrays.keys() == set(
        state(GATES[name], 2, ways, "net.rnn.", fc__weight=(), fc__bias=(), net__words__weight=())
    )
    again = lstm.from_torch(arrays, read="last")
    assert type(again.cell) is type(cell) and again.dtype == "float64"
    for key, value in model.values().items():
        np.testing.assert_array_equal(again.values()[key], value)
    xs = np.array([[1, 2], [3, 4], [6, 0]])
    np.testing.assert_array_equal(again.output(xs).eval(), model.output(xs).eval())


def test_without_a_linear_the_output_is_what_the_layers_give():
    model = lstm.from_torch(state(4, ways=2))
    run = model.run(np.random.default_rng(0).standard_normal((5, 2, I)).astype("float32"))
    np.testing.assert_array_equal(run.output.eval(), run.outputs.eval())
    assert run.output.shape == (5, 2, 2 * H)


def test_a_rectified_rnn_is_its_equation():
    weights = state(1, dtype="float64")
    model = lstm.from_torch(weights, nonlinearity="relu")
    assert model.cell == lstm.RNN(I, H, "float64", rectified=True)
    xs, h = np.random.default_rng(1).standard_normal((5, 2, I)), np.zeros((2, H))
    for x in xs:
        a = x @ weights["weight_ih_l0"].T + h @ weights["weight_hh_l0"].T
        h = np.maximum(a + weights["bias_ih_l0"] + weights["bias_hh_l0"], 0)
    np.testing.assert_allclose(model.run(xs).output.eval()[-1], h, rtol=1e-13)


def test_the_module_that_is_meant():
    both = state(4, place="encoder.") | state(3, place="decoder.rnn.")
    assert isinstance(lstm.from_torch(both, prefix="decoder.rnn").cell, lstm.GRUAfter)
    assert isinstance(lstm.from_torch(both, prefix="encoder.").cell, lstm.LSTM)


def test_of_a_whole_net_every_tensor_has_its_part():
    more = state(place="rnn.", fc1__weight=(9, H), fc1__bias=(9,), fc2__weight=(O, 9))
    with pytest.raises(lstm.ConfigError, match=r"fc1\.weight, .*fc2\.weight: with prefix= only"):
        lstm.from_torch(more)
    assert lstm.from_torch(more, prefix="rnn").output_size == H
    assert lstm.from_torch(more, prefix="rnn", readout="fc1").output_size == 9


def dropped(*names, **options):
    return {n: a for n, a in state(**options).items() if n not in names}


WRONG: dict[str, tuple[Any, dict[str, Any]]] = {
    r"a mapping of names to arrays.*not of the class int": (3, {}),
    r"no weights of an nn\.LSTM.*there are none at all": ({}, {}),
    r"no weights of an nn\.LSTM.*there are fc\.weight$": ({"fc.weight": np.ones((2, 2))}, {}),
    r"prefix= says which recurrent module is meant: a, b": (
        state(place="a.") | state(place="b."),
        {},
    ),
    r"no recurrent module is called 'c'; there are a$": (state(place="a."), {"prefix": "c"}),
    r"there are '' \(no name\)$": (state(), {"prefix": "c"}),
    r"beside weight_hh_l0 its weight_ih is missing": (dropped("weight_ih_l0", "bias_ih_l0"), {}),
    r"its bias_hh is missing": (dropped("bias_hh_l0"), {}),
    r"rows of 5 gates of 3 units": (state(5), {}),
    r"and weight_hh \(12, 5\)": (state() | {"weight_hh_l0": np.ones((12, 5))}, {}),
    r"and weight_hh \(0, 0\)": (state() | {"weight_hh_l0": np.ones((0, 0))}, {}),
    r"and weight_hh \(\)$": (state() | {"weight_hh_l0": np.ones(())}, {}),
    r"weight_ih_l1 is \(12, 2\), and not \(12, 3\)": (
        state(layers=2) | {"weight_ih_l1": np.ones((12, 2))},
        {},
    ),
    r"bias_ih_l0 is \(13,\), and not \(12,\)": (state() | {"bias_ih_l0": np.ones(13)}, {}),
    r"of 2 layers that read 2 way\(s\) only 3 have": (
        {n: a for n, a in state(layers=2, ways=2).items() if "l1_rev" not in n},
        {},
    ),
    r"of 10000 layers .* only 1 have": ({"weight_ih_l9999": np.ones((12, 2))}, {}),
    r"weight_hr_l0 projects h": (state(weight_hr_l0=(2, H)), {}),
    r"'bias_ih_l0' is of int64, and weights are floats": (
        state() | {"bias_ih_l0": np.ones(12, "int64")},
        {},
    ),
    r"'bias_ih_l0' is no array": (state() | {"bias_ih_l0": [[1], [2, 3]]}, {}),
    r"'tanh' or 'relu', of an nn\.RNN, not 'relu' of an LSTM": (state(), {"nonlinearity": "relu"}),
    r"not 'selu' of an RNN": (state(1), {"nonlinearity": "selu"}),
    r"there are a\.bias, a\.weight, b\.bias, b\.weight: with prefix= only": (
        state(a__weight=(O, H), a__bias=(O,), b__weight=(O, H), b__bias=(O,)),
        {},
    ),
    r"there is no d\.weight; there are bias_hh_l0": (state(), {"readout": "d"}),
    r"d\.weight is \(4, 2\), and not \(…, 3\)": (state(d__weight=(O, 2)), {"readout": "d"}),
    r"d\.bias is \(3,\), and not \(4,\)": (state(d__weight=(O, H), d__bias=(3,)), {}),
    r"reads 'last' or 'every', not 'first'": (state(), {"read": "first"}),
}


@pytest.mark.parametrize("words", WRONG)
def test_what_is_no_such_net(words, tmp_path):
    weights, options = WRONG[words]
    with pytest.raises(lstm.ConfigError, match=words) as error:
        lstm.from_torch(weights, **options)
    assert "\n" not in str(error.value)


def test_what_is_wrong_with_a_file_is_told_with_its_path(tmp_path):
    path = tmp_path / "net.safetensors"
    save_file(state(5), path)
    with pytest.raises(lstm.ModelFileError, match=r"cannot read .*net\.safetensors: .*5 gates"):
        lstm.from_torch(path)
    save_file(state() | {"bias_ih_l0": np.ones(12, "int64")}, path)
    with pytest.raises(lstm.ModelFileError, match=r"of dtype I64; write it as float32"):
        lstm.from_torch(str(path))
    with pytest.raises(lstm.ModelFileError, match="No such file"):
        lstm.from_torch(tmp_path / "none.safetensors")


def test_names_that_would_steer_a_terminal_are_plain():
    with pytest.raises(lstm.ConfigError) as error:
        lstm.from_torch(state(place="a.") | state(place="\x1b[2J\nb."))
    assert error.value.args[0].isprintable()
    with pytest.raises(lstm.ConfigError) as error:
        lstm.from_torch(state(5, place="\x1b[2J\nb."))
    assert error.value.args[0].isprintable()


NOT_TORCHS = {
    r"no module for the cell GRU; its reset gate": lstm.Model.create(lstm.GRU(I, H), O),
    r"no module for the cell PeepholeLSTM$": lstm.Model.create(lstm.PeepholeLSTM(I, H), O),
    r"layer1 has what torch has not: zoneout": lstm.Model.create(lstm.LSTM(I, H), O, zoneout=0.1),
    r"norm1 is a LayerNorm; torch has none": lstm.Model.create(lstm.LSTM(I, H), O, layer_norm=True),
    r"layer2 is a Residual; torch has none": lstm.Model.create(
        lstm.LSTM(I, H), O, layers=2, residual=True
    ),
    r"alike: one kind of cell": lstm.Model.of(
        made := Stack({"a": Recurrent(lstm.RNN(I, H)), "b": Recurrent(lstm.RNN(H, 5))}),
        O,
        made.init(np.random.default_rng(0))
        | {"readout": {"W_y": np.zeros((5, O), "float32"), "b_y": np.zeros(O, "float32")}},
    ),
    r"a linear readout": lstm.Model.create(lstm.LSTM, task=lstm.make_task("reverse")),
}


@pytest.mark.parametrize("words", NOT_TORCHS)
def test_models_that_torch_has_no_module_for(words):
    with pytest.raises(lstm.ConfigError, match=words):
        lstm.to_torch(NOT_TORCHS[words])


@pytest.mark.parametrize("value", [None, 3, lstm.LSTM])
def test_only_a_model_goes_out(value):
    with pytest.raises(lstm.ConfigError, match="a model is needed"):
        lstm.to_torch(value)


def test_an_embedding_that_is_not_there_cannot_go_out():
    with pytest.raises(lstm.ConfigError, match="the model has none"):
        lstm.to_torch(lstm.Model.create(lstm.LSTM(I, H), O), embedding="words")


def test_dropout_goes_out_as_nothing():
    model = lstm.Model.create(lstm.LSTM(I, H), O, layers=2, dropout=0.5, input_dropout=0.1)
    assert lstm.to_torch(model).keys() == state(layers=2).keys()
