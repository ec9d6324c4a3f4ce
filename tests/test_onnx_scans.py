"""Whole graphs as ONNX files: loops as Scan, gradients of nets, names, params, special values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx_peer import B, H, I, T, onnx
from test_onnx_ops import assert_same, written

import lstm
import minigrad as mg

RNG = np.random.default_rng(2)
N = 6


def _running(reverse=False, **options):
    def step(c, x):
        c = mg.tanh(c * 0.5 + x)
        return c, c * x

    xs, c = mg.var("xs", (N, 3)), mg.var("c", (3,))
    last, ys = mg.scan(step, c, xs, reverse=reverse, **options)
    return [xs, c], {"last": last, "ys": ys}


def _nested():
    def inner(c, x):
        return mg.sin(c + x), c * x

    def outer(c, row):
        c, ys = mg.scan(inner, c, row, reverse=True)
        return c, mg.sum(ys) + c

    xs, c = mg.var("xs", (N, 4)), mg.var("c")
    last, ys = mg.scan(outer, c, xs)
    return [xs, c], {"last": last, "ys": ys}


def _without_inputs():
    c = mg.var("c", (2,))
    last, ys = mg.scan(lambda c, _: (c * 1.1 + 1, c), c, length=5)
    return [c], {"last": last, "ys": ys}


def _of_carries_alone():
    xs, c = mg.var("xs", (N, 3)), mg.var("c", (3,))
    last, _ = mg.scan(lambda c, x: (mg.tanh(c + x), None), c, xs)
    return [xs, c], {"last": last}


def _of_no_steps():
    xs, c = mg.var("xs", (0, 3)), mg.var("c", (3,))
    last, ys = mg.scan(lambda c, x: (c + x, c), c, xs)
    return [xs, c], {"last": last * 1, "ys": ys * 1}


def _with_gradients(make, **options):
    variables, outputs = make(**options)
    total = mg.sum(outputs["last"] ** 2) + mg.sum(outputs["ys"] ** 2)
    grads = zip(variables, mg.grad(total, variables), strict=True)
    return variables, outputs | {f"d {v.name}": g for v, g in grads}


LOOPS: dict[str, Any] = {
    "forward": _running,
    "reverse": lambda: _running(reverse=True),
    "unrolled": lambda: _running(unroll=True),
    "nested": _nested,
    "without inputs": _without_inputs,
    "of no steps": _of_no_steps,
    "of carries alone": _of_carries_alone,
    "gradients": lambda: _with_gradients(_running),
    "gradients, reverse": lambda: _with_gradients(_running, reverse=True),
    "gradients in segments": lambda: _with_gradients(_running, checkpoint=2),
    "gradients of nested": lambda: _with_gradients(_nested),
}


@pytest.mark.parametrize("name", LOOPS)
def test_loops(name, tmp_path):
    variables, outputs = LOOPS[name]()
    for label, y in outputs.items():
        y.named(label)
    path = tmp_path / "loop.onnx"
    written(outputs, path, inputs=variables)
    arrays = [RNG.standard_normal(v.shape) for v in variables]
    assert_same(path, outputs, variables, arrays)
    ops = [node.op_type for node in onnx.load(path).graph.node]
    assert ("Scan" in ops) == (name not in ("unrolled", "of no steps"))


# Norms of float32 are known to some 1e-5 of their gradients only, by whomever.
STEPS: list[Any] = [(lstm.LSTM, "float32"), (lstm.MGU, "float32"), (lstm.LSTM, "float64")]
STEPS += [(lstm.LayerNormLSTM, "float64")]


@pytest.mark.parametrize(("cell", "dtype"), STEPS)
def test_a_training_step_of_a_net(cell, dtype, tmp_path):
    """The loss and every gradient, of cells that ONNX has no node for, too."""
    model = lstm.Model.create(cell(I, H, dtype=dtype), 1, layers=2, bidirectional=True, seed=1)
    xs = mg.var("xs", (T, B, I), dtype)
    loss = mg.mean(model.run(xs, lengths=[7, 1, 4, 6]).output ** 2)
    grads = mg.grad(loss, list(model.flat_params.values()))
    names = [f"gradient of {name}" for name in model.flat_params]
    outputs = dict(zip(["loss", *names], [loss, *grads], strict=True))
    for name, y in outputs.items():
        y.named(name)
    path = tmp_path / "step.onnx"
    written(outputs, path)
    assert_same(path, outputs, [xs], [RNG.standard_normal((T, B, I)).astype(dtype)])
    held = {tensor.name: tensor for tensor in onnx.load(path).graph.initializer}
    for name, param in model.flat_params.items():
        if cell is lstm.LSTM and name == "layer1.forward.W_f":
            array = onnx.numpy_helper.to_array(held[str(param.name)])
            np.testing.assert_array_equal(array, param.value)


def test_names_are_the_users_and_differ(tmp_path):
    x, W = mg.var("x \n;", (2,)), mg.param("W", [[1.0, 2.0], [3.0, 4.0]])
    again = mg.param("W", [5.0, 6.0])
    y = (W @ x + again).named("x \n;")  # as its input is
    path = tmp_path / "names.onnx"
    written([y, mg.sum(y), x], path)
    graph = onnx.load(path).graph
    assert [given.name for given in graph.input] == ["x \n;"]
    names = [given.name for given in graph.output]
    assert names[1:] == ["output[1]", "output[2]"] and len({*names, "x \n;"}) == 4
    held = {tensor.name: tensor for tensor in graph.initializer}
    assert onnx.numpy_helper.to_array(held["W"]).size == 4
    assert [t.dims[:] for n, t in held.items() if n.startswith("W_")] == [[2]]
    inputs = [mg.var("a"), mg.var("b")]
    written(inputs[0] * 2, path, inputs=inputs)  # b is not read
    assert [given.name for given in onnx.load(path).graph.input] == ["a", "b"]


def test_what_cannot_be_written(tmp_path):
    x = mg.var("x", (2, 2))
    path = tmp_path / "graph.onnx"
    with pytest.raises(mg.GraphError, match=r"ONNX has no op for inv, made at .*test_onnx_scans"):
        mg.to_onnx(mg.inv(x), path)
    with pytest.raises(mg.GraphError, match=r"no op for uniform.*make what comes of it an input"):
        mg.to_onnx(mg.uniform(mg.key(1), (2,)) + x, path)
    with pytest.raises(mg.GraphError, match="variables that are given no value"):
        mg.to_onnx(x * 2, path, inputs=[mg.var("other")])
    with pytest.raises(mg.GraphError, match="takes a path second"):
        mg.to_onnx(path, x)
    with pytest.raises(FileNotFoundError):
        mg.to_onnx(x, tmp_path / "none" / "graph.onnx")
    assert not list(tmp_path.iterdir())


# --- special values ------------------------------------------------------------------------------

INF, NAN = np.inf, np.nan
SPECIAL = np.array([0.0, -0.0, 1.0, -1.0, 2.5, -2.5, 1e-9, -1e-9, 0.1, 30.0, -30.0, INF, -INF, NAN])
UNARY = ["cbrt", "expm1", "isfinite", "isinf", "isnan", "log1p", "log10", "log2", "signbit"]
UNARY += ["trunc", "round", "floor", "sigmoid_slope", "tanh_slope", "relu"]
BINARY = ["atan2", "copysign", "hypot", "hypot_slope", "logaddexp", "maximum", "minimum"]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", UNARY + BINARY)
def test_special_values(name, dtype, tmp_path):
    count = 1 if name in UNARY else 2
    arrays = [a.ravel().astype(dtype) for a in np.meshgrid(*[SPECIAL] * count)]
    variables = [mg.var(f"a{k}", a.shape, dtype) for k, a in enumerate(arrays)]
    y, path = getattr(mg, name)(*variables), tmp_path / "graph.onnx"
    written(y, path, inputs=variables)
    assert_same(path, {"output": y}, variables, arrays, each=True)


WHOLE: dict[str, Any] = {
    "floor_divide": ([7, -7, 7, -7, 6], [2, 2, -2, -2, 3]),
    "remainder": ([7, -7, 7, -7, 6], [2, 2, -2, -2, 3]),
    "bitwise_right_shift": ([7, -7, -1, 2**20, -(2**20)], [1, 1, 3, 4, 5]),
    "bitwise_left_shift": ([7, -7, -1, 3, 0], [1, 1, 3, 4, 5]),
}


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("dtype", ["int32", "int64"])
def test_whole_numbers(name, dtype, tmp_path):
    arrays = [np.array(numbers, dtype) for numbers in WHOLE[name]]
    variables = [mg.var(f"a{k}", a.shape, dtype) for k, a in enumerate(arrays)]
    y, path = getattr(mg, name)(*variables), tmp_path / "graph.onnx"
    written(y, path, inputs=variables)
    assert_same(path, {"output": y}, variables, arrays)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", ["floor_divide", "remainder"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_division_of_floats(name, dtype, tmp_path):
    a, b = np.array([1, 7, -7, 7, -7, 6, 1]), np.array([0.1, 2, 2, -2, -2, 3, 0.3])
    arrays = [a.astype(dtype), b.astype(dtype)]
    variables = [mg.var(f"a{k}", a.shape, dtype) for k, a in enumerate(arrays)]
    y, path = getattr(mg, name)(*variables), tmp_path / "graph.onnx"
    written(y, path, inputs=variables)
    assert_same(path, {"output": y}, variables, arrays)


# --- indices -------------------------------------------------------------------------------------

K, J = mg.var("k", (2, 2), "int64"), mg.var("j", (2,), "int64")
INDICES: dict[str, Any] = {
    "slices": lambda x, k, j: x[::-1, 1:, None, 2],
    "rows": lambda x, k, j: x[k],
    "of an inner axis": lambda x, k, j: x[:, k],
    "two arrays": lambda x, k, j: x[k, :, j],
    "beside a number": lambda x, k, j: x[:, 1, k],
    "apart": lambda x, k, j: x[1, :, k],
    "with a new axis": lambda x, k, j: x[k, None, ..., ::-2],
    "written": lambda x, k, j: mg.vjp(x[k, :, j], x, mg.ones((2, 2, 3))),
    "written in slices": lambda x, k, j: mg.grad(mg.sum(mg.sin(x[::-1, 1:, 2])), x),
}


@pytest.mark.parametrize("name", INDICES)
def test_indices(name, tmp_path):
    x = mg.var("x", (4, 3, 5))
    y, path = INDICES[name](x, K, J), tmp_path / "graph.onnx"
    arrays = [RNG.standard_normal(x.shape), np.array([[0, -1], [2, 0]]), np.array([1, -2])]
    written(y, path, inputs=[x, K, J])
    assert_same(path, {"output": y}, [x, K, J], arrays)
