"""What a model is asked and given: states, tokens, lengths, readouts, truncation, shapes, files."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import own_cells
import pytest
from safetensors import safe_open

import lstm
import minigrad as mg
from lstm.errors import ConfigError, ModelFileError
from lstm.params import flatten, map_leaves
from lstm.tasks import Adding

T, B, F, H = 6, 3, 2, 4
EXACT = {"rtol": 1e-12, "atol": 1e-13}


def _xs(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape or (T, B, F))


def _model(**options: Any) -> lstm.Model:
    return lstm.Model.create(lstm.LSTM(F, H, "float64"), 2, 1, **options)


# --- states -------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"layers": 3, "residual": True}, {"readout": "every"}])
def test_a_run_goes_on_from_the_last_state_of_another(options) -> None:
    model, xs = _model(**options), _xs()
    whole, first = model.run(xs), model.run(xs[:2])
    second = model.run(xs[2:], state=first.last)
    np.testing.assert_allclose(second.outputs.eval(), whole.outputs.eval()[2:], **EXACT)
    for name, part in flatten(second.last).items():
        np.testing.assert_allclose(part.eval(), flatten(whole.last)[name].eval(), **EXACT)
    arrays = map_leaves(lambda _, part: part.eval(), first.last)
    again = model.output(xs[2:], arrays).eval()
    np.testing.assert_array_equal(again, second.output.eval())


def test_the_state_of_both_ways_is_a_tree() -> None:
    model = _model(layers=2, bidirectional=True)
    names = [f"layer{k}.{way}.{part}" for k in (1, 2) for way in ("forward", "backward")
             for part in "hC"]  # fmt: skip
    assert list(flatten(model.initial_state(B))) == names
    assert list(flatten(model.run(_xs()).last)) == names


STATES = [
    (lambda s: s["layer1"], r"parts of the state are missing: layer1.C, layer1.h"),
    (lambda s: {}, "parts of the state are missing"),
    (lambda s: s | {"layer2": s["layer1"]}, "parts of the state are unknown: layer2.C"),
    (lambda s: {"layer1": s["layer1"]._replace(C=np.zeros((2, H)))}, r"the state's layer1.C must"),
    (lambda s: {"layer1": s["layer1"]._replace(h=np.zeros((B, H), np.float32))}, "layer1.h must"),
    (lambda s: {"layer1": (1, 2)}, "parts of the state are missing"),
    (lambda s: np.zeros((B, H)), "state is a tree"),
]


@pytest.mark.parametrize(("change", "message"), STATES)
def test_states_that_do_not_fit(change, message) -> None:
    model = _model()
    with pytest.raises(ConfigError, match=message):
        model.run(_xs(), state=change(model.initial_state(B)))


def test_truncation_cuts_the_gradient_and_no_value() -> None:
    model, k = _model(layers=2), 2
    xs = mg.var("xs", (T, B, F))
    y, cut = model.output(xs), model.output(xs, truncate=k)
    at = {xs: _xs()}
    np.testing.assert_array_equal(cut.eval(at), y.eval(at))
    whole, stopped = (mg.grad(mg.sum(e), xs).eval(at) for e in (y, cut))
    assert whole.all()
    assert not stopped[: T - k].any()
    # What is left is the gradient of the last steps, from the state before them as a constant.
    state = map_leaves(lambda _, part: part.eval(), model.run(_xs()[: T - k]).last)
    rest = mg.var("rest", (k, B, F))
    expected = mg.grad(mg.sum(model.output(rest, state)), rest).eval({rest: _xs()[T - k :]})
    np.testing.assert_allclose(stopped[T - k :], expected, **EXACT)


# --- inputs -------------------------------------------------------------------------------------


def test_tokens_go_through_an_embedding() -> None:
    V = 5
    model = _model(vocabulary=V)
    tokens = np.random.default_rng(3).integers(0, V, (T, B))
    rows = model.params["embedding"]["E"].value[tokens]
    plain = _model()
    for name, leaf in plain.flat_params.items():
        leaf.value = model.values()[name]
    np.testing.assert_array_equal(model.output(tokens).eval(), plain.output(rows).eval())
    np.testing.assert_allclose(model.unroll(tokens).output.eval(), plain.output(rows).eval())
    # Each row's gradient is the sum of those of the steps that read it.
    xs = mg.var("xs", rows.shape)
    of_rows = mg.grad(mg.sum(plain.output(xs)), xs).eval({xs: rows})
    expected = np.zeros((V, F))
    np.add.at(expected, tokens, of_rows)
    leaf = model.params["embedding"]["E"]
    np.testing.assert_allclose(
        mg.grad(mg.sum(model.output(tokens)), leaf).eval(), expected, **EXACT
    )


def test_tokens_out_of_range_are_named_and_padding_is_none() -> None:
    model = _model(vocabulary=5, layers=2, bidirectional=True)
    tokens = np.random.default_rng(3).integers(0, 5, (T, B))
    bad = tokens.copy()
    bad[4:, 1] = -1
    with pytest.raises(ConfigError, match=r"token -1 at \[4, 1\] is out of range, and 1 more"):
        model.output(bad)
    var = mg.var("tokens", (T, B), "int32")
    for backend in ("numpy", "native"):
        f = mg.function([var], model.output(var), backend=backend)
        with pytest.raises(ConfigError, match=r"token -1 at \[4, 1\] is out of range"):
            f(bad.astype(np.int32))
    with pytest.raises(ConfigError, match=r"token 5 at \[0, 0\] .*, and 17 more: from 0 to 4"):
        model.output(np.full((T, B), 5))
    lengths = [6, 4, 6]
    np.testing.assert_array_equal(
        model.output(bad, lengths=lengths).eval(), model.output(tokens, lengths=lengths).eval()
    )


INPUTS = [
    ({}, np.zeros((T, F)), r"xs must be \(T, B, 2\), time first, not \(6, 2\)"),
    ({}, np.zeros((T, B, 3)), r"xs must be \(T, B, 2\), time first, not \(6, 3, 3\)"),
    ({}, mg.var("xs", (T, B, F), "float32"), r"not \(6, 3, 2\) of float32"),
    ({}, np.zeros((0, B, F)), "T, the number of steps of xs, must be a whole number of at least 1"),
    ({"vocabulary": 5}, np.zeros((T, B)), r"must be integer tokens \(T, B\), .* of float64"),
    ({"vocabulary": 5}, np.zeros((T, B, F), int), r"must be integer tokens \(T, B\)"),
]


@pytest.mark.parametrize(("options", "xs", "message"), INPUTS)
def test_inputs_that_do_not_fit(options, xs, message) -> None:
    with pytest.raises(ConfigError, match=message):
        _model(**options).output(xs)


PADDING = [
    ({"lengths": [6, 0, 3]}, r"length 0 at \[1\] is out of range: from 1 to 6"),
    ({"lengths": [6, 7, 3]}, r"length 7 at \[1\] is out of range"),
    ({"lengths": [6, 3]}, r"lengths must be \(B,\), here \(3,\), not \(2,\)"),
    ({"lengths": 6}, r"lengths must be \(B,\)"),
    ({"lengths": [6.0, 2.0, 1.0]}, "each length must be an integer, not float64"),
    ({"mask": np.ones((T, B))}, r"mask must be \(T, B\) of bool, here \(6, 3\)"),
    ({"mask": np.ones((B, T), bool)}, r"mask must be \(T, B\) of bool"),
    ({"mask": np.ones((T, B), bool), "lengths": [6, 6, 6]}, "say the same: give one of them"),
]


@pytest.mark.parametrize(("given", "message"), PADDING)
def test_padding_that_cannot_be(given, message) -> None:
    for run in (_model().output, _model().unroll):
        with pytest.raises(ConfigError, match=message):
            run(_xs(), **given)


def test_lengths_may_come_with_the_batch() -> None:
    model, xs = _model(layers=2, bidirectional=True), mg.var("xs", (T, B, F))
    lengths = mg.var("lengths", (B,), "int64")
    f = mg.function([xs, lengths], model.output(xs, lengths=lengths))
    given = np.array([2, 6, 1])
    np.testing.assert_allclose(f(_xs(), given), model.output(_xs(), lengths=given).eval(), **EXACT)
    with pytest.raises(ConfigError, match=r"length 0 at \[0\] is out of range: from 1 to 6"):
        f(_xs(), np.array([0, 6, 1]))


def test_a_mask_may_have_holes_and_empty_columns() -> None:
    """Steps that do not count are as if they were not there."""
    model, xs = _model(layers=2), _xs()
    mask = np.array([[1, 0, 0, 1, 1, 0], [1] * 6, [0] * 6], bool).T
    run = model.run(np.where(mask[:, :, None], xs, np.nan), mask=mask)
    short = model.run(xs[mask[:, 0], :1])
    outputs = run.outputs.eval()
    np.testing.assert_allclose(outputs[mask[:, 0], :1], short.outputs.eval(), **EXACT)
    assert not outputs[~mask].any()
    np.testing.assert_allclose(run.output.eval()[:1], short.output.eval(), **EXACT)
    assert not any(part.eval()[2].any() for part in flatten(run.last).values())


def test_every_step_is_read_and_padding_is_0() -> None:
    model, xs = _model(readout="every", layers=2, bidirectional=True), _xs()
    run = model.run(xs, lengths=[6, 2, 4])
    y, hs = run.output.eval(), run.outputs.eval()
    read = {name: leaf.value for name, leaf in model.params["readout"].items()}
    inside = (np.arange(T)[:, None] < [6, 2, 4])[:, :, None]
    np.testing.assert_allclose(y, np.where(inside, hs @ read["W_y"] + read["b_y"], 0), **EXACT)
    assert y.shape == (T, B, 2)
    written = model.unroll(xs, lengths=[6, 2, 4])
    np.testing.assert_allclose(written.output.eval(), y, **EXACT)


# --- making one ---------------------------------------------------------------------------------


def test_a_class_takes_its_sizes_and_its_memory_from_the_task() -> None:
    model = lstm.Model.create(lstm.LSTM, task=Adding(50), hidden_size=8, layers=2)
    assert [r.cell for r in model.recurrent().values()] == [
        lstm.LSTM(2, 8, memory=50),
        lstm.LSTM(8, 8, memory=50),
    ]
    assert model.task == Adding(50).config()
    assert len(model.notes) == 1
    assert "a memory of 50 steps (Tallec & Ollivier 2018)" in model.notes[0]
    create, cell = lstm.Model.create, lstm.LSTM(2, 4)
    assert create(lstm.LSTM, task=Adding(50), memory=0, hidden_size=4).cell == cell
    remembers = replace(cell, memory=7)
    assert create(lstm.LSTM, task=Adding(50), memory=7, hidden_size=4).cell == remembers
    assert create(cell, task=Adding(50)).cell == replace(cell, memory=50)
    assert create(remembers, task=Adding(50)).cell == remembers
    assert create(cell, 1, task=Adding(50).config()).cell == cell
    assert lstm.Model.create(lstm.RNN, task=Adding(50)).notes == ()


CANNOT_BE: list[tuple[Any, dict[str, Any], str]] = [
    (lstm.LSTM(F, H), {"output_size": None}, "output_size= is needed, or a task="),
    (lstm.LSTM, {}, "the class LSTM needs a task="),
    ("lstm", {}, r"a cell is needed, such as lstm.LSTM\(2, 16\), not 'lstm'"),
    (lstm.LSTM(F, H), {"hidden_size": 7}, "the cell has 4 units"),
    (lstm.LSTM(F, H), {"layers": 0}, "layers=0 is for a decoder"),
    (lstm.LSTM(F, H), {"dropout": 0.5}, "dropout acts between layers, and there is one"),
    (lstm.LSTM(F, H), {"residual": True}, "residual acts between layers, and there is one"),
    (lstm.LSTM(F, H), {"dropout": 0.5, "layers": 0}, "dropout acts between .*, and there is none"),
    (lstm.LSTM(F, H), {"zoneout": 0.5, "layers": 0}, "are of recurrent layers, and there is none"),
    (lstm.LSTM(F, H), {"readout": "first"}, "a readout reads 'last' or 'every', not 'first'"),
    (lstm.LSTM(F, H), {"vocabulary": 0}, "input_size must be a whole number"),
    (lstm.RNN(F, H), {"memory": 20}, "a cell of kind rnn has no gates for a memory to set"),
    (lstm.LSTM(F, H), {"memory": 1}, "memory must be more than 2 steps"),
]


@pytest.mark.parametrize(("cell", "options", "message"), CANNOT_BE)
def test_models_that_cannot_be(cell, options, message) -> None:
    with pytest.raises(ConfigError, match=message):
        lstm.Model.create(cell, **({"output_size": 1} | options))


def test_values_that_do_not_fit() -> None:
    model = _model()
    good = model.values()
    for values, message in [
        ({}, "tensors are missing"),
        (good | {"layer1.W": good["layer1.W_f"]}, "tensors are unknown: layer1.W;"),
        (good | {"layer1.W_f": good["layer1.W_f"].T}, r"layer1.W_f is float64 of shape \(4, 6\)"),
        (good | {"layer1.b_f": np.zeros(H, np.float32)}, "layer1.b_f is float32 .*, not float64"),
        (good | {"layer1": good["layer1.b_f"]}, "'layer1' is a tensor, or is below one, and"),
    ]:
        with pytest.raises(ConfigError, match=message):
            lstm.Model.of(lstm.LSTM(F, H, "float64"), 2, values)
    tree = {"layer1": {}, "readout": {}}
    for name, value in good.items():
        place, _, letter = name.partition(".")
        tree[place][letter] = value
    again = lstm.Model.of(lstm.LSTM(F, H, "float64"), 2, tree)
    np.testing.assert_array_equal(again.output(_xs()).eval(), model.output(_xs()).eval())


def test_leaves_are_called_by_letters_where_these_are_enough() -> None:
    one = _model(vocabulary=5, layer_norm=True)
    assert [p.name for p in one.flat_params.values()][:2] == ["E", "W_f"]
    two = _model(layers=2)
    assert [p.name for p in two.flat_params.values()] == list(two.flat_params)
    both = _model(bidirectional=True)
    assert [p.name for p in both.flat_params.values()] == list(both.flat_params)


def test_places() -> None:
    model = _model(layers=2, bidirectional=True)
    assert model.place() == "layer2.forward"
    assert model.place(1) == model.place("layer1") == "layer1.forward"
    assert model.place(1, "backward") == "layer1.backward"
    assert _model(layers=2).place() == "layer2"
    for layer, way, message in [
        (3, None, "there is no recurrent layer 3; there are layer1, layer2"),
        (0, None, "there is no recurrent layer 0"),
        ("layer", None, "there is no recurrent layer 'layer'"),
        (1, "up", "layer layer1 has no direction 'up'; it has forward, backward"),
    ]:
        with pytest.raises(ConfigError, match=message):
            model.place(layer, way)
    with pytest.raises(ConfigError, match="has no direction 'backward'; it has forward"):
        _model().place(direction="backward")


# --- files --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Doubled(lstm.Layer):
    """An own layer, with a parameter and a layer within."""

    inner: lstm.Layer
    factor: float = 2.0

    name: ClassVar[str] = "doubled"

    def shapes(self) -> Any:
        return {"inner": self.inner.shapes(), "s": ()}

    def init(self, rng: Any) -> Any:
        return {"inner": self.inner.init(rng), "s": np.full((), self.factor, self.dtype)}

    def initial_state(self, batch: int) -> Any:
        return self.inner.initial_state(batch)

    def recurrent(self) -> Any:
        return self.inner.recurrent()

    def run(self, params: Any, xs: Any, state: Any, context: Any) -> Any:
        steps, last = self.inner.run(params["inner"], xs, state, context.split("inner"))
        return steps.map(lambda x: x * params["s"]), last


def _saved_and_loaded(model: lstm.Model, path: Any, own: Any = ()) -> lstm.Model:
    model.save(path)
    loaded = lstm.Model.load(path, own)
    assert loaded.layers == model.layers
    assert loaded.readout == model.readout
    assert loaded.config() == model.config()
    values = model.values()
    assert list(loaded.values()) == list(values)
    for name, value in loaded.values().items():
        np.testing.assert_array_equal(value, values[name])
        assert value.dtype == values[name].dtype
    return loaded


EVERYTHING = {
    "layers": 3,
    "bidirectional": True,
    "dropout": 0.5,
    "input_dropout": 0.25,
    "recurrent_dropout": 0.125,
    "zoneout": 0.1,
    "layer_norm": True,
    "residual": True,
    "vocabulary": 7,
    "readout": "every",
}


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", [*lstm.CELLS.values(), own_cells.Blend, own_cells.NoOut])
def test_every_layer_kind_is_saved_and_loaded(kind, dtype, tmp_path) -> None:
    model = lstm.Model.create(kind(F, H, dtype), 2, 3, task=Adding(9).config(), **EVERYTHING)
    own = [kind] if kind.__module__ == "own_cells" else []
    loaded = _saved_and_loaded(model, tmp_path / "m", own)
    tokens = np.random.default_rng(0).integers(0, 7, (T, B))
    key = mg.key(3)
    for given in ({}, {"key": key}):
        np.testing.assert_array_equal(
            loaded.output(tokens, lengths=[6, 1, 3], **given).eval(),
            model.output(tokens, lengths=[6, 1, 3], **given).eval(),
        )
    with safe_open(tmp_path / "m", framework="numpy") as file:
        header = json.loads(file.metadata()["minigrad-lstm"])
        assert header["version"] == 2
        assert set(file.keys()) == set(model.flat_params)
    if own:
        with pytest.raises(ModelFileError, match=f"of a class '{kind.__name__}' that is not"):
            lstm.Model.load(tmp_path / "m")


def test_own_layers_are_saved_and_loaded_given_their_class(tmp_path) -> None:
    inner = lstm.Bidirectional(lstm.Recurrent(lstm.GRU(F, H)))
    layers = lstm.Stack({"a": lstm.LayerNorm(F), "kind": Doubled(F, 2 * H, inner, 3.0)})
    readout = lstm.Readout(2 * H, 1)
    rng = np.random.default_rng(0)
    values = layers.init(rng) | {"readout": readout.init(rng)}
    model = lstm.Model.of(layers, readout, values)
    loaded = _saved_and_loaded(model, tmp_path / "m", Doubled)
    np.testing.assert_array_equal(loaded.output(_xs()).eval(), model.output(_xs()).eval())
    assert loaded.place() == "kind.forward"
    with pytest.raises(ModelFileError, match=r"'doubled' is of a class 'Doubled' .*\[Doubled\]"):
        lstm.Model.load(tmp_path / "m", [lstm.GRU])


def test_a_layer_cannot_be_told_from_another_by_its_place() -> None:
    """No two parameters have one name, however layers are called."""
    layer = lstm.Recurrent(lstm.RNN(F, F))
    for names in (["a.b"], [""], ["a", 3], [None]):
        with pytest.raises(ConfigError, match="a name is a text that is not empty and has no dot"):
            lstm.Stack(dict.fromkeys(names, layer))
    layers = lstm.Stack({"W_h": layer, "readout1": layer})
    assert len(flatten(layers.shapes())) == 4
    with pytest.raises(ConfigError, match="no layer can be called 'readout'"):
        lstm.Model.of(lstm.Stack({"readout": layer}), 1, {})


def test_a_copy_in_another_dtype_is_apart() -> None:
    model = lstm.Model.create(lstm.LSTM(F, H), 2, 0, **EVERYTHING)
    wide = model.with_dtype("float64")
    assert {p.dtype for p in wide.flat_params.values()} == {np.dtype("float64")}
    assert wide.layers.with_dtype("float32") == model.layers
    tokens = np.zeros((T, B), int)
    np.testing.assert_allclose(wide.output(tokens).eval(), model.output(tokens).eval(), rtol=1e-5)
