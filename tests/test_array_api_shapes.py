"""The array API's functions of axes and shapes, over dtypes and shapes, beside NumPy's.

NumPy 2 has the standard's names in its main namespace; what it lacks stands in test_array_api. What
NumPy takes and the standard does not is refused here: an axis of a scalar, a triangle of a vector.
"""

from __future__ import annotations

import itertools
import warnings
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

import minigrad as mg
from minigrad import array_api as xp

NUMBERS = ["int8", "int64", "uint8", "uint64", "float32", "float64"]
ALL = ["bool", *NUMBERS]
SHAPES = [(), (3,), (0,), (2, 3), (0, 2), (2, 0), (2, 1, 3)]
AXES = [None, 0, -1, 1, (0,), (0, 1), (-1, 0), ()]

Call = Callable[[Any, Any], Any]


def over_axes(name: str, axes: list[Any] = AXES, **options: list[Any]) -> list[tuple[str, Call]]:
    """Calls with each axis and each choice of options."""
    choices = [dict(zip(options, c, strict=True)) for c in itertools.product(*options.values())]
    return [
        (f"{name} {axis} {named}", lambda m, x, a=axis, o=named: getattr(m, name)(x, axis=a, **o))
        for axis in axes
        for named in choices
    ]


ONE_AXIS = [None, 0, -1, 1]
KEEP = {"keepdims": [False, True]}
OF_NUMBERS = [
    *over_axes("sum", **KEEP),
    *over_axes("sum", [0, None], dtype=[np.int16, np.float32, np.uint64]),
    *over_axes("prod", **KEEP),
    *over_axes("prod", [0], dtype=[np.int16, np.float64]),
    *over_axes("max", **KEEP),
    *over_axes("min", **KEEP),
    *over_axes("mean", **KEEP),
    *over_axes("std", **KEEP),
    *over_axes("var", **KEEP),
    *over_axes("argmax", ONE_AXIS, **KEEP),
    *over_axes("argmin", ONE_AXIS, **KEEP),
    *over_axes("sort", ONE_AXIS[1:]),
    *over_axes("diff", ONE_AXIS[1:], n=[1, 2]),
    ("clip", lambda m, x: m.clip(x, 1, 3)),
    ("clip from one side", lambda m, x: m.clip(x, None, 2)),
    ("trace", lambda m, x: m.linalg.trace(x)),
    ("trace offset", lambda m, x: m.linalg.trace(x, offset=1)),
    ("outer", lambda m, x: m.linalg.outer(x, x)),
    ("tensordot", lambda m, x: m.tensordot(x, x, axes=((0,), (0,)))),
    ("vecdot", lambda m, x: m.vecdot(x, x)),
    ("matmul", lambda m, x: m.matmul(x, m.matrix_transpose(x))),
]
OF_ALL = [
    *over_axes("all", **KEEP),
    *over_axes("any", **KEEP),
    *over_axes("count_nonzero", **KEEP),
    *over_axes("flip", AXES[:-1]),
    *((f"roll {by} {k}", lambda m, x, by=by, k=k: m.roll(x, by, axis=k))
      for by, k in [(1, None), (-2, 0), (1, (0, 1)), ((1, -2), (0, -1))]),
    *((f"repeat {k}", lambda m, x, k=k: m.repeat(x, 2, axis=k)) for k in ONE_AXIS),
    *((f"concat {k}", lambda m, x, k=k: m.concat([x, x], axis=k)) for k in ONE_AXIS),
    *((f"stack {k}", lambda m, x, k=k: m.stack([x, x], axis=k)) for k in (0, 1, -1)),
    *((f"expand_dims {k}", lambda m, x, k=k: m.expand_dims(x, axis=k)) for k in (0, 1, -1)),
    *((f"take {k}", lambda m, x, k=k: m.take(x, m.asarray([0, -1, 0]), axis=k)) for k in (0, -1)),
    *((f"tile {n}", lambda m, x, n=n: m.tile(x, n)) for n in [(), (2,), (2, 1, 2), (0, 1)]),
    *((f"{n} {k}", lambda m, x, n=n, k=k: getattr(m, n)(x, k=k))
      for n in ("tril", "triu") for k in (-1, 0, 2)),
    *((f"astype {d}", lambda m, x, d=d: m.astype(x, np.dtype(d))) for d in ALL),
    ("moveaxis", lambda m, x: m.moveaxis(x, 0, -1)),
    ("permute_dims", lambda m, x: m.permute_dims(x, tuple(range(x.ndim))[::-1])),
    ("matrix_transpose", lambda m, x: m.matrix_transpose(x)),
    ("diagonal", lambda m, x: m.linalg.diagonal(x, offset=1)),
    ("reshape", lambda m, x: m.reshape(x, (1, *x.shape))),
    ("reshape to a row", lambda m, x: m.reshape(x, (-1,))),
    ("squeeze", lambda m, x: m.squeeze(x, axis=1)),
    ("broadcast_to", lambda m, x: m.broadcast_to(x, (4, *x.shape))),
    ("broadcast_arrays", lambda m, x: m.broadcast_arrays(x, m.zeros((2, 1, 1)))[0]),
    ("where", lambda m, x: m.where(x == x, x, m.zeros_like(x))),
    ("zeros_like", lambda m, x: m.zeros_like(x)),
    ("ones_like", lambda m, x: m.ones_like(x)),
    ("full_like", lambda m, x: m.full_like(x, 1)),
    ("T", lambda m, x: x.T),
    ("an index", lambda m, x: x[..., 0]),
    ("a slice", lambda m, x: x[::-2]),
    ("a new axis", lambda m, x: x[None, ...]),
]  # fmt: skip


def arrays(dtypes: list[str], seed: str) -> list[np.ndarray]:
    rng = np.random.default_rng(zlib.crc32(seed.encode()))
    return [
        np.asarray(rng.integers(0, 5, shape)).astype(dtype)
        for dtype, shape in itertools.product(dtypes, SHAPES)
    ]


def check(name: str, call: Call, dtypes: list[str]) -> None:
    done = 0
    for at in arrays(dtypes, name):
        x = mg.var("x", at.shape, at.dtype)
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # of means of nothing
            try:
                expected = np.asarray(call(np, at))
            except (ValueError, IndexError, TypeError):
                continue
            if at.ndim < 2 and name.startswith("tri"):
                with pytest.raises(mg.ShapeError):
                    call(xp, x)
                continue
            try:
                y = call(xp, x)
            except mg.OutOfRangeError:
                assert at.ndim == 0
                continue
            value = y.eval({x: at})
        assert y.dtype == value.dtype == expected.dtype, (at.dtype, at.shape)
        assert y.shape == value.shape == expected.shape, (at.dtype, at.shape)
        assert_allclose(value, expected, rtol=1e-5 if expected.dtype == "float32" else 1e-13)
        done += 1
    assert done >= len(dtypes)


@pytest.mark.parametrize(("name", "call"), OF_NUMBERS, ids=[n for n, _ in OF_NUMBERS])
def test_of_numbers(name: str, call: Call) -> None:
    check(name, call, NUMBERS)


@pytest.mark.parametrize(("name", "call"), OF_ALL, ids=[n for n, _ in OF_ALL])
def test_of_all_dtypes(name: str, call: Call) -> None:
    check(name, call, ALL)
