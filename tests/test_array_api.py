"""The Python array API standard, 2024.12: what it says of each function, as tables."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

import minigrad as mg

# --- signatures ---------------------------------------------------------------------------------

OF_ONE = (
    "abs acos acosh asin asinh atan atanh bitwise_invert ceil cos cosh exp expm1 floor isfinite "
    "isinf isnan log log1p log2 log10 logical_not negative positive reciprocal round sign signbit "
    "sin sinh square sqrt tan tanh trunc"
)
OF_TWO = (
    "add atan2 bitwise_and bitwise_left_shift bitwise_or bitwise_right_shift bitwise_xor copysign "
    "divide equal floor_divide greater greater_equal hypot less less_equal logaddexp logical_and "
    "logical_or logical_xor maximum minimum multiply nextafter not_equal pow remainder subtract"
)

# As in the standard's text, without types. A default is written as there.
SIGNATURES: dict[str, str] = {
    **dict.fromkeys(OF_ONE.split(), "x, /"),
    **dict.fromkeys(OF_TWO.split(), "x1, x2, /"),
    "clip": "x, /, min=None, max=None",
    # creation
    "arange": "start, /, stop=None, step=1, *, dtype=None, device=None",
    "empty": "shape, *, dtype=None, device=None",
    "empty_like": "x, /, *, dtype=None, device=None",
    "eye": "n_rows, n_cols=None, /, *, k=0, dtype=None, device=None",
    "full": "shape, fill_value, *, dtype=None, device=None",
    "full_like": "x, /, fill_value, *, dtype=None, device=None",
    "linspace": "start, stop, /, num, *, dtype=None, device=None, endpoint=True",
    "meshgrid": "*arrays, indexing='xy'",
    "ones": "shape, *, dtype=None, device=None",
    "ones_like": "x, /, *, dtype=None, device=None",
    "tril": "x, /, *, k=0",
    "triu": "x, /, *, k=0",
    "zeros": "shape, *, dtype=None, device=None",
    "zeros_like": "x, /, *, dtype=None, device=None",
    # dtypes
    "astype": "x, dtype, /, *, copy=True, device=None",
    # indexing, searching, sorting
    "take": "x, indices, /, *, axis=None",
    "take_along_axis": "x, indices, /, *, axis=-1",
    "argmax": "x, /, *, axis=None, keepdims=False",
    "argmin": "x, /, *, axis=None, keepdims=False",
    "count_nonzero": "x, /, *, axis=None, keepdims=False",
    "where": "condition, x1, x2, /",
    "argsort": "x, /, *, axis=-1, descending=False, stable=True",
    "sort": "x, /, *, axis=-1, descending=False, stable=True",
    # manipulation
    "broadcast_arrays": "*arrays",
    "broadcast_to": "x, /, shape",
    "concat": "arrays, /, *, axis=0",
    "expand_dims": "x, /, *, axis=0",
    "flip": "x, /, *, axis=None",
    "moveaxis": "x, source, destination, /",
    "permute_dims": "x, /, axes",
    "repeat": "x, repeats, /, *, axis=None",
    "reshape": "x, /, shape, *, copy=None",
    "roll": "x, /, shift, *, axis=None",
    "squeeze": "x, /, axis",
    "stack": "arrays, /, *, axis=0",
    "tile": "x, repetitions, /",
    "unstack": "x, /, *, axis=0",
    # statistics and utilities
    "cumulative_prod": "x, /, *, axis=None, dtype=None, include_initial=False",
    "cumulative_sum": "x, /, *, axis=None, dtype=None, include_initial=False",
    "max": "x, /, *, axis=None, keepdims=False",
    "mean": "x, /, *, axis=None, keepdims=False",
    "min": "x, /, *, axis=None, keepdims=False",
    "prod": "x, /, *, axis=None, dtype=None, keepdims=False",
    "std": "x, /, *, axis=None, correction=0.0, keepdims=False",
    "sum": "x, /, *, axis=None, dtype=None, keepdims=False",
    "all": "x, /, *, axis=None, keepdims=False",
    "any": "x, /, *, axis=None, keepdims=False",
    "diff": "x, /, *, axis=-1, n=1, prepend=None, append=None",
    # linear algebra
    "matmul": "x1, x2, /",
    "matrix_transpose": "x, /",
    "tensordot": "x1, x2, /, *, axes=2",
    "vecdot": "x1, x2, /, *, axis=-1",
}
LINALG: dict[str, str] = {
    "cholesky": "x, /, *, upper=False",
    "cross": "x1, x2, /, *, axis=-1",
    "det": "x, /",
    "diagonal": "x, /, *, offset=0",
    "eigh": "x, /",
    "eigvalsh": "x, /",
    "inv": "x, /",
    "matrix_norm": "x, /, *, keepdims=False, ord='fro'",
    "matrix_power": "x, n, /",
    "matrix_rank": "x, /, *, rtol=None",
    "outer": "x1, x2, /",
    "pinv": "x, /, *, rtol=None",
    "qr": "x, /, *, mode='reduced'",
    "slogdet": "x, /",
    "solve": "x1, x2, /",
    "svd": "x, /, *, full_matrices=True",
    "svdvals": "x, /",
    "trace": "x, /, *, offset=0, dtype=None",
    "vector_norm": "x, /, *, axis=None, keepdims=False, ord=2",
    **{name: SIGNATURES[name] for name in ("matmul", "matrix_transpose", "tensordot", "vecdot")},
}


def parameters(signature: str) -> list[inspect.Parameter]:
    scope: dict[str, Any] = {}
    exec(f"def function({signature}): ...", scope)
    return list(inspect.signature(scope["function"]).parameters.values())


def check_signature(function: Any, signature: str) -> None:
    """Every call that the standard allows means the same; more may be allowed."""
    ours = inspect.signature(function).parameters
    positional = [p for p in ours.values() if p.kind is not p.KEYWORD_ONLY]
    for k, theirs in enumerate(parameters(signature)):
        if theirs.kind is theirs.KEYWORD_ONLY:
            mine = ours[theirs.name]
            assert mine.kind in (mine.KEYWORD_ONLY, mine.POSITIONAL_OR_KEYWORD)
        else:
            mine = positional[k]
            assert mine.kind is theirs.kind, theirs.name
            if theirs.kind is theirs.POSITIONAL_OR_KEYWORD:
                assert mine.name == theirs.name
        if theirs.default is not theirs.empty:
            assert mine.default == theirs.default, theirs.name
            assert type(mine.default) is type(theirs.default), theirs.name


@pytest.mark.parametrize("name", SIGNATURES)
def test_signature(name: str) -> None:
    check_signature(getattr(mg, name), SIGNATURES[name])


@pytest.mark.parametrize("name", LINALG)
def test_signature_of_linear_algebra(name: str) -> None:
    check_signature(getattr(mg, name), LINALG[name])


# --- shapes -------------------------------------------------------------------------------------


def test_meshgrid() -> None:
    x, y = mg.meshgrid(mg.const([1, 2]), mg.const([3, 4, 5]))
    assert x.eval().tolist() == [[1, 2]] * 3 and y.eval().tolist() == [[3, 3], [4, 4], [5, 5]]
    x, y, z = mg.meshgrid([1, 2], 3, [4.0, 5.0, 6.0], indexing="ij")
    assert x.shape == y.shape == z.shape == (2, 1, 3)
    assert x.eval()[:, 0, 0].tolist() == [1, 2] and z.eval()[1, 0].tolist() == [4, 5, 6]
    assert [a.dtype.name for a in (x, y, z)] == ["int64", "int64", "float64"]
    assert mg.meshgrid() == ()
    with pytest.raises(mg.ShapeError, match="vectors"):
        mg.meshgrid(mg.zeros((2, 2)))


def test_what_does_not_matter_has_a_type() -> None:
    assert mg.empty((2, 3), dtype="int8").type == mg.TensorType((2, 3), "int8")
    assert mg.empty_like(mg.zeros(3, "float32")).type == mg.TensorType(3, "float32")
