"""Models of several layers and both ways, and padding: against loops of the cells' equations in
NumPy, one sequence at a time."""

from __future__ import annotations

from typing import Any

import cell_cases
import numpy as np
import own_cells
import pytest
from numpy.typing import NDArray

import lstm
import minigrad as mg
from lstm.params import flatten, map_leaves, unflatten

Array = NDArray[Any]
T, B, I, H, O = 6, 3, 3, 5, 2  # noqa: E741
LENGTHS = np.array([6, 1, 4])
EXACT = {"rtol": 1e-12, "atol": 1e-13}


KINDS = {**lstm.CELLS, "own": own_cells.MinimalGated}
CASES = {**cell_cases.CASES, "own": cell_cases.CASES["mgu"]}


def _model(name: str, layers: int, both: bool, **options: Any) -> lstm.Model:
    """One whose every parameter is random, so that nothing cancels."""
    model = lstm.Model.create(
        KINDS[name](I, H, "float64"), O, layers=layers, bidirectional=both, **options
    )
    rng = np.random.default_rng(layers)
    for leaf in model.flat_params.values():
        leaf.value = rng.standard_normal(leaf.shape) * 0.5
    return model


def _data(seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal((T, B, I))


def _padded(xs: Array, lengths: Array, value: float = np.nan) -> Array:
    """The same with rubbish beyond the lengths."""
    inside = np.arange(T)[:, None] < lengths
    return np.where(inside[:, :, None], xs, value)


def _one_way(name: str, params: Any, xs: Array, start: Any, back: bool) -> tuple[Array, Any]:
    """A cell over the steps of xs (T, 1, I): outputs in the places of what was read, last state."""
    case, state, hs = CASES[name], start, np.zeros((len(xs), 1, H))
    for t in reversed(range(len(xs))) if back else range(len(xs)):
        values = case.step(params, state, xs[t])
        state = {part: values[part] for part in case.state}
        hs[t] = state["h"]
    return hs, state


def _expected(model: lstm.Model, name: str, xs: Array, states: Any) -> tuple[Array, Array, Any]:
    """(readout of the last, outputs (T, 1, F), last states by place) of one unpadded sequence."""
    params = unflatten(model.values())
    last = {}
    end = xs[-1]
    for layer, tree in params.items():
        if layer == "readout":
            break
        if "forward" in tree:
            ways = [("forward", False), ("backward", True)]
            runs = [_one_way(name, tree[way], xs, states[layer][way], back) for way, back in ways]
            last[layer] = {way: run[1] for (way, _), run in zip(ways, runs, strict=True)}
            xs = np.concatenate([run[0] for run in runs], -1)
            end = np.concatenate([run[1]["h"] for run in runs], -1)
        else:
            xs, last[layer] = _one_way(name, tree, xs, states[layer], False)
            end = last[layer]["h"]
    return end @ params["readout"]["W_y"] + params["readout"]["b_y"], xs, last


def _of_one(states: Any, b: int) -> Any:
    """The states of one sequence, as the reference takes them."""
    if isinstance(states, dict):
        return {name: _of_one(inner, b) for name, inner in states.items()}
    return {part: value[b : b + 1] for part, value in states._asdict().items()}


def _random_state(model: lstm.Model) -> Any:
    rng = np.random.default_rng(7)
    return map_leaves(lambda _, zero: rng.standard_normal(zero.shape), model.initial_state(B))


# Of each two of these, all combinations.
PAIRS = [(1, False, True), (1, True, False), (3, False, False), (3, True, True)]


@pytest.mark.slow
@pytest.mark.parametrize(("layers", "both", "with_lengths"), PAIRS)
@pytest.mark.parametrize("name", CASES)
def test_values_are_those_of_the_equations_in_numpy(name, layers, both, with_lengths):
    model = _model(name, layers, both)
    lengths = LENGTHS if with_lengths else np.full(B, T)
    xs, start = _data(), _random_state(model)
    given = {"lengths": lengths} if with_lengths else {}
    xs_var = mg.var("xs", xs.shape)
    run = model.run(xs_var, state=start, **given)
    f = mg.function([xs_var], [run.output, run.outputs, *flatten(run.last).values()])
    output, outputs, *last = f(_padded(xs, lengths))
    last = dict(zip(flatten(run.last), last, strict=True))
    for b, length in enumerate(lengths):
        y, hs, states = _expected(model, name, xs[:length, b : b + 1], _of_one(start, b))
        np.testing.assert_allclose(output[b], y[0], **EXACT)
        np.testing.assert_allclose(outputs[:length, b], hs[:, 0], **EXACT)
        assert not outputs[length:, b].any()
        for part, value in flatten(states).items():
            np.testing.assert_allclose(last[part][b], value[0], **EXACT)


def _loss(run: Any, weights: list[Array], b: slice, steps: int) -> mg.Expr:
    """Something that reads everything that a run gives, with other weights for each sequence."""
    total = mg.sum(run.output * weights[0][b]) + mg.sum(run.outputs * weights[1][:steps, b])
    for part, w in zip(flatten(run.last).values(), weights[2:], strict=True):
        total = total + mg.sum(part * w[b])
    return total


ALL = {"layers": 2, "both": True, "layer_norm": True, "residual": True, "zoneout": 0.25}


# Of each two of cell, options and way, all combinations.
WAYS = [("lengths", False), ("lengths", True), ("mask", False)]
STACKS = [{}, {"layers": 2, "both": True}, ALL]


@pytest.mark.parametrize("stack", range(3))
@pytest.mark.parametrize(("cell", "name"), [*enumerate(["lstm", "gru", "own"])])
@pytest.mark.slow
def test_padded_sequences_are_those_run_one_by_one(cell, name, stack):
    by, unrolled = WAYS[(cell + stack) % 3]
    options = {"layers": 1, "both": False} | STACKS[stack]
    model = _model(name, **options)
    xs, start = _data(1), _random_state(model)
    rng = np.random.default_rng(3)
    width = model.layers.output_size
    weights = [rng.standard_normal(s) for s in [(B, O), (T, B, width)]]
    weights += [rng.standard_normal(v.shape) for v in flatten(start).values()]
    wrt = list(model.flat_params.values())

    def run(xs_var, state, **given):
        if unrolled:
            return model.unroll(xs_var, state, **given).run
        return model.run(xs_var, state=state, **given)

    xs_var = mg.var("xs", xs.shape)
    mask = np.arange(T)[:, None] < LENGTHS
    given = {"lengths": LENGTHS} if by == "lengths" else {"mask": mask}
    whole = run(xs_var, start, **given)
    loss = _loss(whole, weights, slice(None), T)
    backend = "numpy" if unrolled else "auto"
    f = mg.function([xs_var], [loss, *mg.grad(loss, [*wrt, xs_var])], backend=backend)
    value, *grads = f(_padded(xs, LENGTHS))
    total, sums, dxs = 0.0, [np.zeros(p.shape) for p in wrt], np.zeros(xs.shape)
    for b, length in enumerate(LENGTHS):
        one = mg.var("x", (int(length), 1, I))
        state = map_leaves(lambda _, part, b=b: part[b : b + 1], start)
        single = run(one, state)
        part = _loss(single, weights, slice(b, b + 1), int(length))
        f = mg.function([one], [part, *mg.grad(part, [*wrt, one])], backend="numpy")
        v, *g = f(xs[:length, b : b + 1])
        total += v
        sums = [a + c for a, c in zip(sums, g[:-1], strict=True)]
        dxs[:length, b] = g[-1][:, 0]
    np.testing.assert_allclose(value, total, rtol=1e-12)
    for leaf, ours, expected in zip(wrt, grads[:-1], sums, strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-10, atol=1e-12, err_msg=leaf.name)
    np.testing.assert_allclose(grads[-1], dxs, rtol=1e-10, atol=1e-12)


def test_a_cell_whose_output_has_a_width_of_its_own():
    """torch's proj_size, in a stack that reads both ways, padded."""
    P = 2
    cell = own_cells.Projected(I, H, "float64", projection=P)
    model = lstm.Model.create(cell, O, layers=2, bidirectional=True, recurrent_dropout=0.5)
    assert model.layers.output_size == 2 * P
    assert model.cell.input_size == 2 * P
    xs = _data()
    run = model.run(_padded(xs, LENGTHS), lengths=LENGTHS)
    outputs, params = run.outputs.eval(), unflatten(model.values())
    for b, n in enumerate(LENGTHS):
        below = xs[:n, b : b + 1]
        for layer in ("layer1", "layer2"):
            hs = {way: np.zeros((n, 1, P)) for way in ("forward", "backward")}
            for way, steps in (("forward", range(n)), ("backward", reversed(range(n)))):
                p, state = params[layer][way], {"h": np.zeros((1, P)), "C": np.zeros((1, H))}
                for t in steps:
                    values = cell_cases.CASES["lstm"].step(p, state, below[t])
                    state = {"h": values["h"] @ p["W_p"], "C": values["C"]}
                    hs[way][t] = state["h"]
            below = np.concatenate(list(hs.values()), -1)
        np.testing.assert_allclose(outputs[:n, b], below[:, 0], **EXACT)
    assert model.output(xs, key=mg.key(1)).eval().shape == (B, O)
    flow = lstm.flow(model, xs, np.zeros((B, O)))
    assert flow.series["h"].norms[0] > 0


@pytest.mark.parametrize("unrolled", [False, True])
def test_nan_in_the_padding_needs_no_rewrite_to_be_harmless(unrolled):
    """What is padded never enters the graph, so that it runs as it was built, too."""
    layers = lstm.Stack(
        {
            "norm": lstm.LayerNorm(I, dtype="float64"),
            "both": lstm.Bidirectional(lstm.Recurrent(lstm.LSTM(I, H, "float64"))),
        }
    )
    values = layers.init(np.random.default_rng(0))
    readout = {"W_y": np.ones((2 * H, 1)), "b_y": np.zeros(1)}
    model = lstm.Model.of(layers, 1, values | {"readout": readout})
    xs = mg.var("xs", (T, B, I))
    run = model.unroll(xs, lengths=LENGTHS).run if unrolled else model.run(xs, lengths=LENGTHS)
    loss = mg.sum(mg.square(run.output))
    grads = mg.grad(loss, [*model.flat_params.values(), xs])
    plain = mg.function([xs], [loss, *grads], backend="numpy", simplify=False)
    for ours, expected in zip(
        plain(_padded(_data(), LENGTHS)), plain(_padded(_data(), LENGTHS, 0.0)), strict=True
    ):
        assert np.isfinite(ours).all()
        np.testing.assert_array_equal(ours, expected)


def test_normalised_and_residual_layers_in_numpy():
    model = _model("lstm", 3, False, layer_norm=True, residual=True)
    params, xs = unflatten(model.values()), _data() * 1e-2
    step = cell_cases.CASES["lstm"].step
    for k in (1, 2, 3):
        state, rows = {part: np.zeros((B, H)) for part in "hC"}, []
        for x in xs:
            state = step(params[f"layer{k}"], state, x)
            rows.append(state["h"])
        hs = np.stack(rows) + (xs if k > 1 else 0.0)
        apart = hs - hs.mean(-1, keepdims=True)
        norm = params[f"norm{k}"]
        xs = apart / np.sqrt((apart**2).mean(-1, keepdims=True) + 1e-5) * norm["g"] + norm["b"]
    run = model.run(_data() * 1e-2)
    np.testing.assert_allclose(run.outputs.eval(), xs, **EXACT)
    read = params["readout"]
    expected = xs[-1] @ read["W_y"] + read["b_y"]
    np.testing.assert_allclose(run.output.eval(), expected, **EXACT)
