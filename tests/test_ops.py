"""Every op of op_cases.py: value, derivatives, dtypes, shapes, special values."""

from __future__ import annotations

import itertools
import math
import re

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from op_cases import (
    CASES,
    COMPOSITES,
    FLAT_BINARY,
    FLAT_UNARY,
    SMOOTH_BINARY,
    SMOOTH_UNARY,
    Case,
)

import minigrad as mg
from minigrad.graph.node import OPS

INF, NAN = np.inf, np.nan
LEAVES = {"var", "param", "const", "placeholder"}
ALL = CASES + COMPOSITES


def of(cases):
    return pytest.mark.parametrize("case", cases, ids=lambda c: c.id)


def float_leaves(case: Case, variables):
    return [v for v in variables if v.dtype.kind == "f"]


# --- the table itself ---------------------------------------------------------------------------


def test_every_op_has_a_case():
    lstms = {"probabilities", "within"}  # registered where lstm is imported: tests/test_losses.py
    assert {c.op for c in CASES} == set(OPS) - LEAVES - lstms


def test_case_ids_are_unique():
    for table in (CASES, COMPOSITES):
        ids = [c.id for c in table]
        assert len(set(ids)) == len(ids)


@of(CASES)
def test_a_case_makes_its_op(case):
    y = case.build(*case.variables(case.arrays()))
    assert case.op in {n.op.name for n in mg.toposort(y)}


def test_smooth_cases_are_those_with_a_derivative():
    for case in CASES:
        flat = OPS[case.op].no_gradient
        assert flat != case.smooth, case.id


def test_nothing_public_is_untested():
    from pathlib import Path

    here = Path(__file__).parent
    files = [*here.glob("test_*.py"), here / "op_cases.py"]
    text = "".join(p.read_text("utf-8") for p in files)
    named = set(re.findall(r"\b(?:mg|minigrad)\.(\w+)", text)) | {c.op for c in ALL}
    assert set(mg.__all__) - named == set()


# --- values and types ---------------------------------------------------------------------------


@of(ALL)
def test_value(case):
    arrays = case.arrays()
    expected = np.asarray(case.reference(*arrays))
    variables = case.variables(arrays)
    y = case.build(*variables)
    found = y.eval(dict(zip(variables, arrays, strict=True)))
    assert y.shape == expected.shape == np.shape(found)
    assert y.dtype == expected.dtype == found.dtype
    assert_allclose(found, expected, rtol=case.rtol, atol=1e-15)
    mg.verify(y)


@of(ALL)
def test_float32(case):
    arrays = case.arrays()
    expected = np.asarray(case.reference(*arrays))
    variables = case.variables(arrays, "float32")
    y = case.build(*variables)
    if not float_leaves(case, variables):
        pytest.skip("takes no floats")
    found = y.eval({v: a.astype(v.dtype) for v, a in zip(variables, arrays, strict=True)})
    assert y.dtype == found.dtype == (np.float32 if expected.dtype.kind == "f" else expected.dtype)
    if case.op != "nextafter":  # the next float32 is another one
        assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    for g in mg.vjp(y, float_leaves(case, variables), mg.ones_like(y)) if case.smooth else ():
        assert g.dtype == np.float32


@of([c for c in ALL if c.empty is not None])
def test_empty(case):
    arrays = case.arrays(case.empty)
    expected = np.asarray(case.reference(*arrays))
    variables = case.variables(arrays)
    y = case.build(*variables)
    found = y.eval(dict(zip(variables, arrays, strict=True)))
    assert_array_equal(found, expected, strict=True)
    if case.smooth:
        wrt = float_leaves(case, variables)
        grads = mg.function(variables, mg.vjp(y, wrt, mg.ones_like(y)))(*arrays)
        assert [g.shape for g in grads] == [v.shape for v in wrt]
        if not y.size:
            assert not any(g.any() for g in grads)


# --- derivatives --------------------------------------------------------------------------------


@of([c for c in ALL if c.smooth])
def test_gradient_to_second_order(case):
    arrays = case.arrays()
    variables = case.variables(arrays)
    y = case.build(*variables)
    at = dict(zip(variables, arrays, strict=True))
    mg.check_grad(y, float_leaves(case, variables), at, order=2)


@of([c for c in ALL if c.smooth])
def test_jvp_is_the_transpose_of_vjp(case, rng):
    arrays = case.arrays()
    variables = case.variables(arrays)
    y = case.build(*variables)
    wrt = float_leaves(case, variables)
    tangents = [rng.standard_normal(v.shape) for v in wrt]
    cotangent = rng.standard_normal(y.shape)
    f = mg.function(variables, (mg.jvp(y, wrt, tangents), mg.vjp(y, wrt, cotangent)))
    pushed, pulled = f(*arrays)
    forward = np.sum(pushed * cotangent)
    reverse = sum(np.sum(g * t) for g, t in zip(pulled, tangents, strict=True))
    assert_allclose(forward, reverse, rtol=1e-10, atol=1e-12)


@of([c for c in ALL if not c.smooth])
def test_ops_without_derivative_give_zero(case):
    arrays = case.arrays()
    variables = case.variables(arrays)
    y = case.build(*variables)
    wrt = float_leaves(case, variables)
    if y.dtype.kind != "f":
        with pytest.raises(mg.DTypeError, match="derivatives need a float dtype"):
            mg.vjp(y, variables[0], mg.ones_like(y))
        y = mg.astype(y, np.float64)
    for v in wrt:
        for derivative in (mg.vjp(y, v, mg.ones_like(y)), mg.jvp(y, v, mg.ones_like(v))):
            assert not np.any(derivative.eval(dict(zip(variables, arrays, strict=True))))
        if OPS.get(case.op) and OPS[case.op].no_gradient:
            assert mg.adjoints(y).get(v) is None


# --- special values -----------------------------------------------------------------------------

SPECIAL = np.array([0.0, -0.0, INF, -INF, NAN, 1.0, -1.0, 0.5, 1000.0, -1000.0, 1e-310, 1e308])
_APPROXIMATE = {"sigmoid", "sigmoid_slope", "tanh_slope", "softplus", "erf"}


def assert_same(found, expected, exact):
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.dtype == expected.dtype
    if exact:
        assert_array_equal(found, expected)
        if found.dtype.kind == "f":
            zero = expected == 0
            assert_array_equal(np.signbit(found)[zero], np.signbit(expected)[zero])
    else:
        assert_allclose(found, expected, rtol=4e-16, atol=1e-323)


@pytest.mark.parametrize("name", [*SMOOTH_UNARY, *FLAT_UNARY])
def test_unary_special_values(name):
    reference = {**SMOOTH_UNARY, **FLAT_UNARY}[name][0]
    x = mg.var("x", SPECIAL.shape)
    with np.errstate(all="ignore"):
        expected = reference(SPECIAL)
    assert_same(getattr(mg, name)(x).eval({x: SPECIAL}), expected, name not in _APPROXIMATE)


@pytest.mark.parametrize("name", [*SMOOTH_BINARY, *FLAT_BINARY])
def test_binary_special_values(name):
    found = SMOOTH_BINARY.get(name)
    reference = found[0] if found else FLAT_BINARY[name]
    pairs = np.array(list(itertools.product(SPECIAL, SPECIAL))).T
    a, b = mg.var("a", pairs[0].shape), mg.var("b", pairs[0].shape)
    with np.errstate(all="ignore"):
        expected = reference(*pairs)
    y = getattr(mg, name)(a, b).eval({a: pairs[0], b: pairs[1]})
    assert_same(y, expected, exact=True)


def test_relu_keeps_the_sign_conventions_of_its_value():
    x = mg.var("x", (3,))
    assert_array_equal(mg.relu(x).eval({x: [-0.0, -INF, INF]}), [0.0, 0.0, INF])


REDUCED = [
    [1.0, NAN, 2.0],
    [1.0, INF, -INF],
    [INF, INF, 1.0],
    [-INF, -INF, -INF],
    [-0.0, 0.0, -0.0],
    [1000.0, -1000.0, 999.0],
]


@pytest.mark.parametrize(
    "name",
    [
        "sum",
        "max",
        "min",
        "prod",
        "mean",
        "argmax",
        "argmin",
        "sort",
        "argsort",
        "cumulative_sum",
        "cumulative_prod",
        "any",
        "all",
    ],
)
@pytest.mark.parametrize("row", REDUCED, ids=str)
def test_reduction_special_values(name, row):
    v = mg.var("v", (3,))
    numpy_name = {"cumulative_sum": "cumsum", "cumulative_prod": "cumprod"}.get(name, name)
    options = {"kind": "stable"} if name == "argsort" else {}
    with np.errstate(all="ignore"):
        expected = getattr(np, numpy_name)(np.array(row), **options)
    assert_array_equal(getattr(mg, name)(v).eval({v: row}), expected)


@pytest.mark.parametrize(
    ("row", "total", "share"),
    [
        ([1000.0, 1000.0], 1000 + math.log(2), [0.5, 0.5]),
        ([-1000.0, -1000.0], -1000 + math.log(2), [0.5, 0.5]),
        ([1000.0, -1000.0], 1000.0, [1.0, 0.0]),
        ([-INF, 3.0], 3.0, [0.0, 1.0]),
        ([-INF, -INF], -INF, [NAN, NAN]),
        ([INF, 0.0], INF, [NAN, 0.0]),
        ([NAN, 0.0], NAN, [NAN, NAN]),
    ],
)
def test_logsumexp_and_softmax_special_values(row, total, share):
    v = mg.var("v", (2,))
    assert_array_equal(mg.logsumexp(v).eval({v: row}), total)
    assert_array_equal(mg.softmax(v).eval({v: row}), share)


def test_reductions_of_nothing():
    v = mg.var("v", (0,))
    assert mg.sum(v).eval({v: []}) == 0
    assert mg.prod(v).eval({v: []}) == 1
    assert mg.logsumexp(v).eval({v: []}) == -INF
    assert np.isnan(mg.mean(v).eval({v: []}))
    assert mg.all(v).eval({v: []})
    assert not mg.any(v).eval({v: []})


# --- dtypes and promotion -----------------------------------------------------------------------

DTYPES = ["bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
          "float32", "float64"]  # fmt: skip


@pytest.mark.parametrize(("a", "b"), list(itertools.product(DTYPES, DTYPES)))
def test_promotion_is_numpys(a, b):
    x, y = mg.var("x", (2,), a), mg.var("y", (2,), b)
    expected = np.result_type(np.dtype(a), np.dtype(b))
    assert (x * y).dtype == mg.maximum(x, y).dtype == mg.concat([x, y]).dtype == expected
    assert mg.where([True, False], x, y).dtype == expected
    assert (x / y).dtype == (expected if expected.kind == "f" else np.float64)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("scalar", [True, 2, 2.5], ids=str)
def test_python_scalars_are_weak(dtype, scalar):
    x = mg.var("x", (2,), dtype)
    expected = np.result_type(np.dtype(dtype), scalar)
    assert (x * scalar).dtype == (scalar * x).dtype == expected
    assert (x == scalar).dtype == np.bool_
    assert_array_equal(
        (x * scalar).eval({x: np.ones(2, dtype)}), np.ones(2, dtype) * np.array(scalar, expected)
    )


def test_numpy_scalars_are_not_weak():
    x = mg.var("x", (), "float32")
    assert (x * np.float64(2)).dtype == np.float64
    assert (np.float64(2) * x).dtype == np.float64
    assert (x * np.float32(2)).dtype == np.float32


def test_a_number_that_does_not_fit_is_refused():
    x = mg.var("x", (), "int8")
    for number in (300, -129):
        with pytest.raises(mg.DTypeError, match=f"{number} does not fit in int8"):
            x + number


@pytest.mark.parametrize("name", ["sum", "prod", "cumulative_sum", "cumulative_prod"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_sums_and_products_are_kept_in_the_widest_of_a_kind(name, dtype):
    x = mg.var("x", (3,), dtype)
    data = np.array([1, 0, 1], dtype)
    numpy_name = {"cumulative_sum": "cumsum", "cumulative_prod": "cumprod"}.get(name, name)
    expected = getattr(np, numpy_name)(data)
    found = getattr(mg, name)(x).eval({x: data})
    assert found.dtype == expected.dtype
    assert_array_equal(found, expected)


@pytest.mark.parametrize("dtype", DTYPES)
def test_integer_arithmetic_is_numpys(dtype):
    a, b = np.array([7, 5, 1], dtype), np.array([2, 1, 1], dtype)
    x, y = mg.var("x", (3,), dtype), mg.var("y", (3,), dtype)
    at = {x: a, y: b}
    for function in (np.add, np.multiply, np.maximum, np.minimum, np.equal, np.less):
        assert_same(function(x, y).eval(at), function(a, b), exact=True)
    if dtype != "bool":
        for function in (np.subtract, np.floor_divide, np.remainder, np.power):
            assert_same(function(x, y).eval(at), function(a, b), exact=True)
        for function in (np.negative, np.abs, np.square, np.sign):
            assert_same(function(x).eval(at), function(a), exact=True)


@pytest.mark.parametrize("source", DTYPES)
@pytest.mark.parametrize("target", DTYPES)
def test_astype_is_numpys(source, target):
    data = np.array([0, 1, 3], source)
    x = mg.var("x", (3,), source)
    assert_same(mg.astype(x, target).eval({x: data}), data.astype(target), exact=True)


def test_other_byte_orders_become_native():
    data = np.array([1.0, 2.0], ">f8")
    assert mg.const(data).dtype == np.float64
    assert_array_equal(mg.const(data).eval(), [1.0, 2.0])
    x = mg.var("x", (2,))
    assert_array_equal((x + 1).eval({x: data}), [2.0, 3.0])


# --- NumPy's own functions and Python's operators -----------------------------------------------

_X = np.array([[0.5, -1.0, 2.0], [1.5, 0.25, -0.75]])
NUMPY_CALLS = {
    "tanh": lambda x, n: n.tanh(x),
    "power": lambda x, n: n.power(n.abs(x), 2.5),
    "concatenate": lambda x, n: n.concatenate([x, x * 2], axis=1),
    "stack": lambda x, n: n.stack([x, x], -1),
    "sum": lambda x, n: n.sum(x, axis=1, keepdims=True),
    "mean": lambda x, n: n.mean(x, 0),
    "var": lambda x, n: n.var(x, axis=0),
    "std": lambda x, n: n.std(x, axis=0),
    "max": lambda x, n: n.max(x, axis=0),
    "amin": lambda x, n: n.amin(x, axis=0),
    "where": lambda x, n: n.where(x > 0, x, 0.0),
    "clip": lambda x, n: n.clip(x, -0.5, 1.0),
    "add.reduce": lambda x, n: n.add.reduce(x),
    "multiply.reduce": lambda x, n: n.multiply.reduce(x, axis=1),
    "maximum.reduce": lambda x, n: n.maximum.reduce(x, axis=None, keepdims=True),
    "logaddexp.reduce": lambda x, n: n.logaddexp.reduce(x, axis=1),
    "matmul": lambda x, n: n.matmul(x, x.T),
    "dot": lambda x, n: n.dot(x, x.T),
    "einsum": lambda x, n: n.einsum("ij,kj->ik", x, x),
    "tensordot": lambda x, n: n.tensordot(x, x),
    "transpose": lambda x, n: n.transpose(x),
    "reshape": lambda x, n: n.reshape(x, (3, 2)),
    "expand_dims": lambda x, n: n.expand_dims(x, 0),
    "squeeze": lambda x, n: n.squeeze(x[:, :1], 1),
    "swapaxes": lambda x, n: n.swapaxes(x, 0, 1),
    "cumsum": lambda x, n: n.cumsum(x, 1),
    "cumprod": lambda x, n: n.cumprod(x, 1),
    "diff": lambda x, n: n.diff(x, axis=0),
    "sort": lambda x, n: n.sort(x, 1),
    "argsort": lambda x, n: n.argsort(x, 1),
    "argmax": lambda x, n: n.argmax(x, 1),
    "tile": lambda x, n: n.tile(x, 2),
    "repeat": lambda x, n: n.repeat(x, 2, 1),
    "roll": lambda x, n: n.roll(x, 1),
    "flip": lambda x, n: n.flip(x, 1),
    "tril": lambda x, n: n.tril(x),
    "trace": lambda x, n: n.trace(x),
    "outer": lambda x, n: n.outer(x[0], x[1]),
    "zeros_like": lambda x, n: n.zeros_like(x),
    "full_like": lambda x, n: n.full_like(x, 3.0),
    "linalg.inv": lambda x, n: n.linalg.inv(x[:, :2] + 2 * n.eye(2)),
    "linalg.det": lambda x, n: n.linalg.det(x[:, :2]),
    "round": lambda x, n: n.round(x),
    "rint": lambda x, n: n.rint(x),
    "absolute": lambda x, n: n.absolute(x),
    "logical_and": lambda x, n: n.logical_and(x > 0, x < 1),
    "isfinite": lambda x, n: n.isfinite(x),
    "count_nonzero": lambda x, n: n.count_nonzero(x > 0, axis=0),
    "take_along_axis": lambda x, n: n.take_along_axis(x, n.argsort(x, 1), 1),
    "ndarray + x": lambda x, n: _X + x,
    "ndarray @ x": lambda x, n: _X.T @ x,
    "ndarray ** x": lambda x, n: n.abs(_X) ** x,
    "ndarray < x": lambda x, n: _X[0] < x,
    "list - x": lambda x, n: [1.0, 2.0, 3.0] - x,
    "scalar / x": lambda x, n: 2 / x,
    "scalar // x": lambda x, n: 2 // x,
    "x % scalar": lambda x, n: x % 0.4,
    "scalar % x": lambda x, n: 2 % x,
    "-x, +x, abs": lambda x, n: -x + +x - abs(x),
    "bits": lambda x, n: (x > 0) & (x < 1) | (x == 2.0) ^ ~(x != x),
    "shifts": lambda x, n: (5 << n.argmax(x, 1)) >> 1,
    "methods": lambda x, n: x.sum(0) + x.mean(0) * x.prod(0) - x.max(0) / x.min(0),
    "tests": lambda x, n: (x > 0).all(1) & (x > 0).any(1) & (x.argmax(1) == x.argmin(1)),
    "moves": lambda x, n: x.T.reshape(2, 3).transpose(1, 0).reshape((3, 2)).ravel(),
    "iteration": lambda x, n: sum(row * len(x) for row in x),
    "astype": lambda x, n: x.astype("int32"),
    "matrix methods": lambda x, n: x.mT @ x.transpose().mT,
}


@pytest.mark.parametrize("name", NUMPY_CALLS)
def test_numpy_functions_and_operators_build_graphs(name):
    call = NUMPY_CALLS[name]
    x = mg.var("x", _X.shape)
    y = call(x, np)
    expected = np.asarray(call(_X, np))
    assert isinstance(y, mg.Expr)
    found = y.eval({x: _X})
    assert found.dtype == expected.dtype
    assert_allclose(found, expected, rtol=1e-14, atol=1e-15)


# --- indexing -----------------------------------------------------------------------------------

_T = np.arange(60.0).reshape(3, 4, 5)
INDICES = {
    "int": 1,
    "negative": -1,
    "numpy int": np.int64(2),
    "tuple": (0, -2, 3),
    "partial": (2, 1),
    "slice": slice(1, None),
    "step": (slice(None), slice(None, None, 2), slice(4, 0, -2)),
    "reverse": (slice(None, None, -1), 0),
    "empty slice": slice(2, 1),
    "past the end": slice(1, 100),
    "far below": (slice(-100, -2), slice(100, None, -3)),
    "none": (None, 0, None, slice(None)),
    "ellipsis": (..., 0),
    "middle ellipsis": (1, ..., 2),
    "ellipsis of nothing": (0, 1, 2, ...),
    "only ellipsis": ...,
    "nothing": (),
    "list": [2, 0, 0],
    "negative list": [-1, -3],
    "two arrays": ([0, 1], [1, 3]),
    "broadcast arrays": ([[0], [2]], [1, 3, 3]),
    "array and slice": (slice(None), [0, 3], slice(1, 3)),
    "arrays apart": ([0, 1], slice(None), [2, 4]),
    "array and int": (1, slice(None), [0, 0, 4]),
    "array and none": (None, [0, 1], None),
    "matrix of indices": np.array([[0, 2], [1, 1]]),
    "empty list": [],
    "mask": _T[:, 0, 0] > 10,
    "mask of two axes": _T[:, :, 0] % 3 == 0,
    "whole mask": _T % 7 == 0,
    "mask and slice": (slice(1, 3), np.array([True, False, True, True])),
    "mask and int": (np.array([True, False, True]), 2),
    "mask of nothing": np.zeros(3, bool),
    "unsigned": np.array([0, 2], np.uint8),
}


@pytest.mark.parametrize("name", INDICES)
def test_indexing_is_numpys(name):
    index = INDICES[name]
    x = mg.var("x", _T.shape)
    y = x[index]
    expected = _T[index]
    assert y.shape == expected.shape
    assert_array_equal(y.eval({x: _T}), expected)
    values = np.random.default_rng(0).standard_normal(expected.shape)
    assert_array_equal(x.at[index].get().eval({x: _T}), expected)
    replaced = _T.copy()
    replaced[index] = values
    assert_array_equal(x.at[index].set(values).eval({x: _T}), replaced)
    added = _T.copy()
    np.add.at(added, index, values)
    assert_allclose(x.at[index].add(values).eval({x: _T}), added, rtol=1e-15)
    mg.check_grad(y, x, {x: _T}) if y.size else None
    v = mg.var("v", expected.shape)
    mg.check_grad(x.at[index].set(v * v) * x, [x, v], {x: _T / 10, v: values})


def test_indexing_by_an_expression():
    x, k = mg.var("x", (4, 3)), mg.var("k", (2,), "int32")
    data = np.arange(12.0).reshape(4, 3)
    assert_array_equal(x[k].eval({x: data, k: [3, -1]}), data[[3, -1]])
    assert_array_equal(x[:, k].eval({x: data, k: [0, 2]}), data[:, [0, 2]])
    assert x[mg.const(1)] is x[1]
    assert x[mg.const([True, False, True, False])].shape == (2, 3)


def test_indexing_all_of_it_is_the_operand():
    x = mg.var("x", (4, 3))
    for index in (np.s_[:], ..., np.s_[0:4, :], ()):
        assert x[index] is x


def test_a_replaced_duplicate_leaves_its_derivative_to_the_last():
    v = mg.var("v", (3,))
    y = mg.zeros(2).at[[0, 0, 1]].set(v)
    assert_array_equal(y.eval({v: [1, 2, 3]}), [2, 3])
    assert_array_equal(mg.vjp(y, v, [10.0, 100.0]).eval({v: [1, 2, 3]}), [0, 10, 100])


def test_updates_keep_the_dtype():
    x = mg.var("x", (3,), "float32")
    assert x.at[0].set(1.5).dtype == x.at[0].add(np.float64(2)).dtype == np.float32
    k = mg.var("k", (3,), "uint8")
    assert_array_equal(k.at[1].set(7).eval({k: [1, 2, 3]}), [1, 7, 3])
    with pytest.raises(mg.DTypeError, match="cannot put float64 into uint8"):
        k.at[1].set(1.5)


# --- einsum -------------------------------------------------------------------------------------

EINSUMS: dict[str, list[tuple[int, ...]]] = {
    "ij,jk->ik": [(2, 3), (3, 4)],
    "ij,jk": [(2, 3), (3, 4)],
    "ba": [(2, 3)],
    "ii": [(3, 3)],
    "ii->i": [(3, 3)],
    "iji->j": [(3, 2, 3)],
    "iii": [(2, 2, 2)],
    "ij->": [(2, 3)],
    "ij->j": [(2, 3)],
    "...": [(2, 3)],
    "...i,i": [(2, 3, 4), (4,)],
    "i...,i...->...": [(3, 2), (3, 2)],
    "...ij,...jk->...ik": [(5, 2, 3), (3, 4)],
    "...ij,...jk": [(5, 2, 3), (1, 3, 4)],
    "i , j -> j i": [(2,), (3,)],
    "i,i,i": [(4,), (4,), (4,)],
    "ij,ij->ij": [(2, 3), (2, 3)],
    "...ii->...i": [(2, 3, 3)],
    ",i": [(), (3,)],
    "ab,bc,cd->ad": [(2, 3), (3, 4), (4, 2)],
    "Aa,a": [(2, 3), (3,)],
    "...i,...i": [(1, 3), (4, 1)],
    "ij,ij->i": [(2, 1), (1, 3)],
}


@pytest.mark.parametrize("spec", EINSUMS)
def test_einsum_is_numpys(spec, rng):
    arrays = [rng.standard_normal(s) for s in EINSUMS[spec]]
    variables = [mg.var(f"a{k}", a.shape) for k, a in enumerate(arrays)]
    y = mg.einsum(spec, *variables)
    at = dict(zip(variables, arrays, strict=True))
    expected = np.einsum(spec, *arrays)
    assert y.shape == expected.shape
    assert_allclose(y.eval(at), expected, rtol=1e-13, atol=1e-14)
    mg.check_grad(y, variables, at, order=2)


# --- constants ----------------------------------------------------------------------------------


def test_constant_tensors_are_numpys():
    for found, expected in [
        (mg.zeros((2, 3)), np.zeros((2, 3))),
        (mg.ones(3, "int8"), np.ones(3, "int8")),
        (mg.full((2,), 7), np.full((2,), 7)),
        (mg.full((2,), 7, "float32"), np.full((2,), 7, "float32")),
        (mg.arange(4), np.arange(4)),
        (mg.arange(1, 2, 0.25), np.arange(1, 2, 0.25)),
        (mg.arange(3, dtype="float32"), np.arange(3, dtype="float32")),
        (mg.linspace(0, 1, 5), np.linspace(0, 1, 5)),
        (mg.eye(2, 3), np.eye(2, 3)),
        (mg.zeros_like(mg.ones((2,), "int8")), np.zeros(2, "int8")),
        (mg.ones_like(mg.zeros((2,)), "bool"), np.ones(2, "bool")),
        (mg.full_like(mg.zeros((2,), "int32"), 4), np.full(2, 4, "int32")),
    ]:
        assert found.dtype == expected.dtype
        assert_array_equal(found.eval(), expected)


def test_a_scalar_expression_can_fill_a_shape():
    x = mg.var("x")
    assert_array_equal(mg.full((2, 2), x * 2).eval({x: 3}), np.full((2, 2), 6.0))


def test_numpys_arguments_by_their_meaning():
    x = mg.var("x", (3,))
    assert np.std(x, ddof=1) is mg.std(x, correction=1)
    assert np.var(x, 0, ddof=1) is mg.variance(x, 0, correction=1)
    assert np.clip(x, 0.0, 1.0) is mg.clip(x, 0.0, 1.0)
    assert np.clip(x, a_min=0.0, a_max=None) is mg.clip(x, 0.0)
    assert np.round(x, 0) is mg.round(x)
    assert np.concatenate([x, x], 0) is mg.concat([x, x])
    assert np.where(x > 0, x, 1.0) is mg.where(x > 0, x, 1.0)
    assert np.einsum("i,i->i", x, x) is mg.einsum("i,i->i", x, x)
    assert np.transpose(x) is x


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint64"])
def test_small_index_arrays_of_long_axes(dtype):
    long = mg.const(np.arange(300))
    assert_array_equal(long[np.array([1, 2], dtype)].eval(), [1, 2])
    if dtype == "int8":
        assert_array_equal(long[np.array([-1], dtype)].eval(), [299])


def test_slopes_near_the_end_of_a_range_and_far_out():
    s, t = mg.var("s"), mg.var("t")
    e = 2.0**-52
    assert mg.grad(mg.asin(s), s).eval({s: 1 - e}) == pytest.approx(1 / np.sqrt(2 * e), rel=1e-12)
    assert mg.grad(mg.acos(s), s).eval({s: 1 - e}) == pytest.approx(-1 / np.sqrt(2 * e), rel=1e-12)
    by_t, by_s = mg.grad(mg.atan2(t, s), [t, s])
    for size in (1e-200, 1e200):
        at = {t: 3 * size, s: 4 * size}
        assert by_t.eval(at) == pytest.approx(0.16 / size)
        assert by_s.eval(at) == pytest.approx(-0.12 / size)
