"""Graphs as ONNX files: every op's case passes onnx.checker, and onnxruntime computes what the
graph does, or onnx's own evaluator where onnxruntime has no kernel of the dtype.
"""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest
from onnx_peer import OpRun, onnx, onnxruntime, run_ort, run_reference
from op_cases import CASES, COMPOSITES

import minigrad as mg
from minigrad.graph.node import OPS
from minigrad.onnx.rules import RULES

REFUSED = {
    *("cholesky", "cofactors", "eigh", "inv", "logabsdet", "pinv", "qr", "signdet", "solve", "svd"),
    *("fold_in", "nextafter", "uniform"),
}
LEAVES = {"var", "param", "const", "placeholder"}
LSTMS = {"probabilities", "within"}  # registered where lstm is imported
TOLERANCE = {"float64": 1e-12, "float32": 1e-6}


def written(outputs, path, **options):
    mg.to_onnx(outputs, path, **options)
    onnx.checker.check_model(path, full_check=True)


class Erf(OpRun):
    """With the digits of float64, of which onnx's own keeps those of float32."""

    op_domain = ""

    def _run(self, x):
        return (np.vectorize(math.erf, otypes=[x.dtype])(x),)


def run(path, feeds):
    """By onnxruntime; where it has no kernel, by onnx's evaluator."""
    try:
        return run_ort(str(path), feeds)
    except onnxruntime.capi.onnxruntime_pybind11_state.NotImplemented:
        return run_reference(onnx.load(path), feeds, new_ops=[Erf])


def assert_same(path, outputs, variables, arrays, *, each=False):
    """outputs: expressions by the names that they have in the file. each: every element to the
    tolerance of itself, and not of the largest."""
    theirs = run(path, {v.name: a for v, a in zip(variables, arrays, strict=True)})
    assert [*theirs] == [*outputs]
    ours = mg.function(variables, [*outputs.values()], backend="numpy")(*arrays)
    for (name, got), wanted in zip(theirs.items(), ours, strict=True):
        got, wanted = np.asarray(got), np.asarray(wanted)
        assert (got.dtype, got.shape) == (wanted.dtype, wanted.shape), name
        exact = wanted.dtype.kind != "f"
        tol = 0 if exact else TOLERANCE[str(wanted.dtype)]
        finite = np.abs(wanted[np.isfinite(wanted)]).max(initial=1) if not exact else 1
        atol = 0 if each else tol * finite
        np.testing.assert_allclose(got, wanted, rtol=tol, atol=atol, err_msg=name)


def test_each_op_is_said_or_refused():
    assert set(RULES) | REFUSED == set(OPS) - LEAVES - LSTMS
    assert not set(RULES) & REFUSED


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("case", CASES + COMPOSITES, ids=lambda case: case.id)
def test_every_case(case, dtype, tmp_path):
    arrays = case.arrays()
    variables = case.variables(arrays, dtype)
    arrays = [a.astype(v.dtype) for v, a in zip(variables, arrays, strict=True)]
    y, path = case.build(*variables), tmp_path / "graph.onnx"
    if {node.op.name for node in mg.toposort(y)} & REFUSED:
        with pytest.raises(mg.GraphError, match=r"ONNX has no op for \w+, made at .*\.py:\d+"):
            mg.to_onnx(y, path, inputs=variables)
        assert not path.exists()
        return
    written(y, path, inputs=variables)
    assert_same(path, {"output": y}, variables, arrays)


NUMBERS = [*("int8", "int16", "int32", "int64"), *("uint8", "uint16", "uint32", "uint64")]
OF_ONE = [
    "abs",
    "negative",
    "sign",
    "square",
    "sum",
    "max",
    "min",
    "argmax",
    "argmin",
    "argsort",
    "all",
    "any",
    "relu",
    "cumulative_sum",
]
OF_TWO = [
    "add",
    "subtract",
    "multiply",
    "floor_divide",
    "remainder",
    "pow",
    "maximum",
    "minimum",
    "equal",
    "less",
    "less_equal",
    "greater",
    "greater_equal",
    "not_equal",
    "logical_and",
    "logical_xor",
    "bitwise_and",
    "bitwise_or",
    "bitwise_xor",
    "matmul",
]


@pytest.mark.parametrize("dtype", ["bool", *NUMBERS])
@pytest.mark.parametrize("name", OF_ONE + OF_TWO)
def test_ops_of_bools_and_of_whole_numbers(name, dtype, tmp_path):
    """Of dtypes, too, that ONNX's own op of the name has not."""
    low = 1 if name in ("pow", "floor_divide", "remainder") or dtype[0] in "bu" else -7
    a, b = np.array([3, low, 2, 7]).astype(dtype), np.array([1, 2, 2, max(low, 0)]).astype(dtype)
    inputs = [mg.var("x", (4,), dtype), mg.var("y", (4,), dtype)][: 1 if name in OF_ONE else 2]
    try:
        y = getattr(mg, name)(*inputs)
    except mg.DTypeError:
        return  # minigrad has none of it either
    path = tmp_path / "graph.onnx"
    if name == "pow" and dtype not in ("int32", "int64", "float32", "float64"):
        with pytest.raises(mg.GraphError, match="exponent is a number from 1 to 64"):
            mg.to_onnx(y, path, inputs=inputs)
        return
    written(y, path, inputs=inputs)
    assert_same(path, {"output": y}, inputs, [a, b][: len(inputs)])


@pytest.mark.parametrize("exponent", [1, 2, 9, 64])
@pytest.mark.parametrize("dtype", [d for d in NUMBERS if d[0] in "iu"])
def test_powers_of_whole_numbers_wrap(dtype, exponent, tmp_path):
    x, path = mg.var("x", (4,), dtype), tmp_path / "graph.onnx"
    y = x**exponent
    written(y, path, inputs=[x])
    assert_same(path, {"output": y}, [x], [np.array([0, 1, 201, -99 % 2**8]).astype(dtype)])


def test_what_cannot_be_written_is_told(tmp_path, monkeypatch):
    x, path = mg.var("x", (3,)), tmp_path / "graph.onnx"
    loop = mg.scan(lambda c, x: (c + x, c * x), mg.const(0.5), x)[0].args[0]
    with pytest.raises(mg.ShapeError, match="several results"):
        mg.to_onnx(loop, path)
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(
        mg.MissingPackageError, match="onnx, which is not installed: pip install"
    ) as told:
        mg.to_onnx(x + 1, path)
    assert told.value.name == "onnx"
    assert not path.exists()
