"""NumPy's functions and ndarray's methods on expressions: every call of numpy_calls.py."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
from numpy.testing import assert_allclose
from numpy_calls import FLAT, SMOOTH

import minigrad as mg


def sample(code: str, shapes: tuple) -> list[np.ndarray]:
    """The operands of a call, drawn as the letter after each shape says."""
    rng = np.random.default_rng(zlib.crc32(code.encode()))
    return [np.asarray(_draw(rng, shape)) for shape in shapes]


def _draw(rng: np.random.Generator, shape: tuple) -> np.ndarray:
    letter = shape[-1] if shape and isinstance(shape[-1], str) else ""
    shape = shape[:-1] if letter else shape
    size = int(np.prod(shape))
    if letter == "i":
        return rng.integers(-5, 5, shape)
    if letter == "b":
        return rng.random(shape) < 0.5
    if letter == "~":
        return (0.31 * (rng.permutation(size) - size // 2) + 0.1).reshape(shape)
    values = rng.uniform(0.3, 2.0, shape) if letter == "+" else rng.uniform(-1.5, 1.5, shape)
    if letter == "n":
        values.flat[1] = np.nan
    return values.astype(np.float32) if letter == "f" else values


def answers(result: object) -> list:
    """What a call returns, one array or several, as a list."""
    if isinstance(result, (tuple, list)):
        return [part for item in result for part in answers(item)]
    return [result]


def call(code: str, operands: list) -> list:
    return answers(eval(code, {"np": np, "mg": mg}, dict(zip("abcd", operands, strict=False))))


def variables(arrays: list[np.ndarray]) -> list[mg.Expr]:
    return [mg.var(name, x.shape, x.dtype) for name, x in zip("abcd", arrays, strict=False)]


ROWS = [*SMOOTH.items(), *FLAT.items()]


@pytest.mark.parametrize(("code", "shapes"), ROWS, ids=[code for code, _ in ROWS])
def test_a_call_gives_what_numpy_gives(code, shapes):
    arrays = sample(code, shapes)
    named = variables(arrays)
    with np.errstate(all="ignore"):
        expected = call(code, arrays)
        graphs = call(code, named)
        assert len(graphs) == len(expected)
        for graph, array in zip(graphs, expected, strict=True):
            assert isinstance(graph, mg.Expr), code
            value = graph.eval(dict(zip(named, arrays, strict=True)))
            assert graph.shape == np.shape(array) == np.shape(value)
            assert graph.dtype == np.asarray(array).dtype == np.asarray(value).dtype
            assert_allclose(value, array, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(("code", "shapes"), SMOOTH.items(), ids=list(SMOOTH))
def test_its_derivative_is_that_of_numpys_values(code, shapes):
    arrays = sample(code, shapes)
    rng = np.random.default_rng(1)
    moves = [rng.standard_normal(x.shape) if x.dtype.kind == "f" else 0 * x for x in arrays]
    weights = [rng.standard_normal(np.shape(x)) for x in call(code, arrays)]

    def along(step: float) -> float:
        moved = [x + step * d for x, d in zip(arrays, moves, strict=True)]
        terms = zip(weights, call(code, moved), strict=True)
        return float(sum(np.sum(w * np.nan_to_num(y)) for w, y in terms))

    rough, fine = ((along(h) - along(-h)) / (2 * h) for h in (2e-4, 1e-4))
    named = variables(arrays)
    total = sum(mg.sum(w * y) for w, y in zip(weights, call(code, named), strict=True))
    floats = [v for v in named if v.dtype.kind == "f"]
    slopes = mg.function(named, mg.grad(total, floats))(*arrays)
    moves = [d for d, x in zip(moves, arrays, strict=True) if x.dtype.kind == "f"]
    slope = sum(np.sum(g * d) for g, d in zip(slopes, moves, strict=True))
    single = any(x.dtype == np.float32 for x in arrays)
    assert slope == pytest.approx((4 * fine - rough) / 3, rel=2e-2 if single else 1e-7, abs=1e-7)


# --- the same under minigrad's own names ----------------------------------------------------------

a, b = mg.var("a", (2, 3)), mg.var("b", (2, 3))
OWN_NAMES = [
    (mg.inner, np.inner, (a, b)),
    (mg.kron, np.kron, (a, b)),
    (mg.ravel, np.ravel, (a,)),
    (mg.vdot, np.vdot, (a, b)),
]


@pytest.mark.parametrize(("own", "numpys", "operands"), OWN_NAMES)
def test_own_names_are_numpys_functions(own, numpys, operands):
    for mine, theirs in zip(answers(own(*operands)), answers(numpys(*operands)), strict=True):
        assert mine is theirs
