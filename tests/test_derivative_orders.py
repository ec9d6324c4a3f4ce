"""The first three derivatives of every op at its special points, against mpmath.

mpmath differentiates by differences at up to 1500 digits, so it shares no rule with minigrad.
Where a derivative does not exist the convention is listed, as in `docs/conventions.md`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

import mpmath
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from op_cases import FLAT_UNARY, SMOOTH_BINARY, SMOOTH_UNARY

import minigrad as mg

mp = mpmath.mp
INF = np.inf
NEAR = [0.0, 1e-300, -1e-300, 1e-9, -1e-9, 0.3, -0.7, 1.5]
FAR = [8.0, -9.5, 37.0, -40.0, 300.0, -700.0]
HUGE = [1e8, -1e8, 1e150, -1e150]
POSITIVE = [1e-300, 1e-9, 0.3, 1.0, 1.5, 1e8, 1e100]


def _step(x: object) -> object:
    return mp.mpf(1) if x > 0 else mp.mpf(0)


# name: (mpmath's function, points where it is smooth)
UNARY: dict[str, tuple[Callable, Sequence[float]]] = {
    "negative": (lambda x: -x, NEAR + FAR + HUGE),
    "square": (lambda x: x * x, NEAR + FAR + HUGE),
    "sqrt": (mp.sqrt, POSITIVE),
    "cbrt": (lambda x: mp.sign(x) * mp.cbrt(abs(x)), [1e-9, -1e-9, 0.3, -0.7, 1e8, -1e100]),
    "abs": (abs, [p for p in NEAR + FAR + HUGE if p]),
    "exp": (mp.exp, NEAR + FAR),
    "expm1": (mp.expm1, NEAR + FAR),
    "log": (mp.log, POSITIVE),
    "log1p": (mp.log1p, [*NEAR, -0.999999, 1e8, 1e100]),
    "log2": (lambda x: mp.log(x) / mp.log(2), POSITIVE),
    "log10": (mp.log10, POSITIVE),
    "sin": (mp.sin, NEAR + FAR),
    "cos": (mp.cos, NEAR + FAR),
    "tan": (mp.tan, NEAR),
    "asin": (mp.asin, [*NEAR[:-1], 0.49, 0.51, 0.999999, -0.999999]),
    "acos": (mp.acos, [*NEAR[:-1], 0.49, 0.51, 0.999999, -0.999999]),
    "atan": (mp.atan, NEAR + FAR + HUGE[:2]),
    "sinh": (mp.sinh, NEAR + FAR),
    "cosh": (mp.cosh, NEAR + FAR),
    "tanh": (mp.tanh, NEAR + FAR),
    "asinh": (mp.asinh, NEAR + FAR + HUGE),
    "acosh": (mp.acosh, [1.000001, 1.5, 3.0, 1e8]),
    "atanh": (mp.atanh, [*NEAR[:-1], 0.49, 0.51, 0.999999, -0.999999]),
    "sigmoid": (lambda x: 1 / (1 + mp.exp(-x)), NEAR + FAR),
    "tanh_slope": (lambda x: mp.sech(x) ** 2, [0.0, 1e-9, 0.3, 8.0, -9.5, 37.0, 300.0]),
    "sigmoid_slope": (lambda x: 1 / (2 * mp.cosh(x / 2)) ** 2, NEAR + FAR),
    "softplus": (lambda x: mp.log1p(mp.exp(x)), NEAR + FAR),
    "relu": (lambda x: x * _step(x), [p for p in NEAR + FAR + HUGE if p]),
    "erf": (mp.erf, [*NEAR, 5.0, -20.0]),
}
# name: {point: the first three derivatives by convention, where none exists or it is infinite}
CONVENTIONS: dict[str, dict[float, list[float]]] = {
    "abs": {0.0: [0, 0, 0]},
    "relu": {0.0: [0, 0, 0]},
    "sqrt": {0.0: [INF, -INF, INF]},
    "log": {0.0: [INF, -INF, INF]},
    "log1p": {-1.0: [INF, -INF, INF]},
    "asin": {1.0: [INF, INF, INF], -1.0: [INF, -INF, INF]},
    "acos": {1.0: [-INF, -INF, -INF]},
    "atanh": {1.0: [INF, INF, INF]},
}


def _orders(y: mg.Expr, x: mg.Expr, point: np.ndarray) -> list[np.ndarray]:
    """The first three derivatives of a function that is applied elementwise."""
    derivatives = []
    for _ in range(3):
        y = mg.grad(mg.sum(y), x)
        derivatives.append(y)
    return mg.function([x], derivatives)(point)


def _difference(function: Callable, point: float, order: int, scale: float) -> object:
    """The derivative by central differences, right to 80 digits."""
    x, h = mp.mpf(point), mp.mpf(scale) * mp.mpf(10) ** -40
    weights = {0: (1,), 1: (-1, 1), 2: (1, -2, 1), 3: (-1, 3, -3, 1)}[order]
    terms = (w * function(x + (k - mp.mpf(order) / 2) * h) for k, w in enumerate(weights))
    return sum(terms) / h**order


def _scale(*coordinates: float) -> float:
    """How far the nearest kink or pole may be: they are at 0, at ±1 or where two are equal."""
    distances = [abs(c) for c in coordinates] + [abs(1 - abs(c)) for c in coordinates]
    distances += [abs(abs(a) - abs(b)) for a, b in itertools.combinations(coordinates, 2)]
    return min([1.0, *(d for d in distances if d)])


def _digits(*coordinates: float) -> int:
    """Enough for steps down to 1e-340 and for values up to 1e450, to the third power."""
    sizes = [abs(math.log10(_scale(*coordinates)))]
    sizes += [math.log10(abs(c)) for c in coordinates if abs(c) > 1.0]
    return 600 + 3 * math.ceil(max(sizes))


def test_the_tables_hold_every_op():
    assert set(UNARY) == set(SMOOTH_UNARY)
    assert set(BINARY) == set(SMOOTH_BINARY)


@pytest.mark.parametrize("name", UNARY)
def test_unary(name):
    function, points = UNARY[name]
    x = mg.var("x", (len(points),))
    with np.errstate(over="ignore"):
        measured = _orders(getattr(mg, name)(x), x, np.array(points))
    for order, values in enumerate(measured, 1):
        exact = []
        for p in points:
            with mp.workdps(_digits(p)):
                exact.append(float(_difference(function, p, order, _scale(p))))
        assert_allclose(values, exact, rtol=1e-12, atol=1e-290, err_msg=f"order {order}")


@pytest.mark.parametrize("name", CONVENTIONS)
def test_conventions(name):
    for point, expected in CONVENTIONS[name].items():
        x = mg.var("x", (1,))
        measured = _orders(getattr(mg, name)(x), x, np.array([point]))
        assert_array_equal([m[0] for m in measured], expected, err_msg=f"at {point}")


@pytest.mark.parametrize("name", FLAT_UNARY)
def test_steps_are_flat(name):
    x = mg.var("x", (3,))
    y = mg.astype(getattr(mg, name)(x), "float64")
    assert_array_equal(_orders(y, x, np.array([0.0, 0.5, -1.0])), np.zeros((3, 3)))


# --- binary -------------------------------------------------------------------------------------

GRID = [(0.5, 0.7), (-1.5, 2.0), (3.0, -0.25), (1e-9, 1.0), (1.0, 1e-9), (1e8, 1.0), (-2.0, 1e8)]
BINARY: dict[str, tuple[Callable, Sequence[tuple[float, float]]]] = {
    "add": (lambda a, b: a + b, GRID),
    "subtract": (lambda a, b: a - b, GRID),
    "multiply": (lambda a, b: a * b, [*GRID, (0.0, 0.0), (0.0, 2.0)]),
    "divide": (lambda a, b: a / b, [*GRID, (0.0, 2.0), (1e-300, 3.0)]),
    "pow": (lambda a, b: a**b, [(0.5, 0.7), (2.0, 0.0), (2.0, 1.0), (3.0, -2.5), (1e-3, 2.0),
                                (40.0, 0.0), (0.1, 3.0), (1e8, 0.0)]),
    "floor_divide": (lambda a, b: mp.floor(a / b), [(7.3, 2.0), (-7.3, 2.0)]),
    "remainder": (lambda a, b: a - b * mp.floor(a / b), [(7.3, 2.0), (-7.3, 2.0)]),
    "fmod": (lambda a, b: a - b * (mp.floor(abs(a / b)) * mp.sign(a / b)),
             [(7.3, 2.0), (-7.3, 2.0), (7.3, -2.0)]),
    "logaddexp": (lambda a, b: mp.log(mp.exp(a) + mp.exp(b)),
                  [(0.5, 0.7), (0.0, 0.0), (-40.0, 3.0), (300.0, -200.0), (700.0, 700.5)]),
    "atan2": (mp.atan2, [*GRID, (0.0, 1.0), (1e-70, 2e-70), (1e90, 2e90)]),
    "hypot": (mp.hypot, [*GRID, (0.0, 1.0), (1e-9, -1e-9), (1e-100, 2e-100), (1e150, -1e150)]),
    "hypot_slope": (lambda a, b: a / mp.hypot(a, b), [*GRID, (0.0, 1.0), (1e-9, -3e-9)]),
    "maximum": (max, GRID),
    "minimum": (min, GRID),
    "copysign": (lambda a, b: abs(a) * mp.sign(b), GRID),
    "nextafter": (lambda a, b: a, GRID),
}  # fmt: skip
PARTIALS = [p for p in itertools.product(range(4), repeat=2) if 1 <= sum(p) <= 3]
# name: {point: partial derivatives by convention}
TIES = {
    "maximum": {(1.0, 1.0): {(1, 0): 0.5, (0, 1): 0.5, (2, 0): 0, (1, 1): 0}},
    "minimum": {(1.0, 1.0): {(1, 0): 0.5, (0, 1): 0.5, (2, 0): 0, (1, 1): 0}},
    "hypot": {(0.0, 0.0): dict.fromkeys(PARTIALS, 0)},
    "pow": {(0.0, 0.0): {(1, 0): 0, (0, 1): 0}, (0.0, 2.0): {(1, 0): 0, (2, 0): 2, (0, 1): 0},
            (0.0, 1.0): {(1, 0): 1, (0, 1): 0, (2, 0): 0}},
}  # fmt: skip


def _partial(name: str, which: tuple[int, int], points: np.ndarray) -> np.ndarray:
    a, b = mg.var("a", points.shape[1:]), mg.var("b", points.shape[1:])
    y = getattr(mg, name)(a, b)
    for variable, order in zip((a, b), which, strict=True):
        for _ in range(order):
            y = mg.grad(mg.sum(y), variable)
    return mg.function([a, b], y)(*points)


def _exact_partial(function: Callable, point: tuple[float, float], which: tuple[int, int]) -> float:
    """Differences of differences."""
    (a, b), scale = point, _scale(*point)

    def inner(x: object) -> object:
        return _difference(lambda y: function(x, y), b, which[1], scale)

    with mp.workdps(_digits(*point)):
        return float(_difference(inner, a, which[0], scale))


@pytest.mark.parametrize("name", BINARY)
@pytest.mark.parametrize("which", PARTIALS, ids=str)
def test_binary(name, which):
    function, points = BINARY[name]
    measured = _partial(name, which, np.array(points).T)
    exact = [_exact_partial(function, p, which) for p in points]
    assert_allclose(measured, exact, rtol=1e-10, atol=1e-250)


@pytest.mark.parametrize("name", TIES)
def test_binary_conventions(name):
    for point, expected in TIES[name].items():  # type: ignore[attr-defined]
        for which, value in expected.items():
            measured = _partial(name, which, np.array([point]).T)
            assert_array_equal(measured, [value], err_msg=f"{which} at {point}")


def test_the_partials_of_a_power_agree_in_any_order():
    a, b = mg.var("a"), mg.var("b")
    first = mg.grad(mg.grad(a**b, a), b)
    second = mg.grad(mg.grad(a**b, b), a)
    for point in [(2.0, 0.0), (3.0, 1.0), (0.5, -2.0), (0.0, 2.0), (0.0, 3.0)]:
        at = dict(zip((a, b), point, strict=True))
        assert_allclose(first.eval(at), second.eval(at), rtol=1e-14)


# --- reductions ---------------------------------------------------------------------------------


def _softmax(x: Sequence) -> list:
    top = max(x)
    total = mp.fsum(mp.exp(v - top) for v in x)
    return [mp.exp(v - top) / total for v in x]


def _variance(x: Sequence) -> object:
    mean = mp.fsum(x) / len(x)
    return mp.fsum((v - mean) ** 2 for v in x) / len(x)


WEIGHTS = [0.3, -1.1, 0.7, 0.9]
LINE = [1.0, -0.5, 0.25, 2.0]  # the direction in which x moves
PLACES = [[0.3, -1.2, 0.8, 2.0], [0.0, 0.0, 0.0, 1.0], [-800.0, 0.0, 3.0, 1.0]]
POSITIONS = [*PLACES, [40.0, 0.0, -3.0, 1.0]]
SOMEWHERE = [[0.3, -1.2, 0.8, 2.0], [1e-8, 2e-8, -1e-8, 1e-9], [1e8, 1.0, -2.0, 1e-9]]


def _weighted(values: Sequence) -> object:
    return mp.fsum(mp.mpf(w) * v for w, v in zip(WEIGHTS, values, strict=True))


def _weigh(y: mg.Expr) -> mg.Expr:
    return mg.sum(y * np.array(WEIGHTS))


# name: (minigrad's, mpmath's, points)
REDUCTIONS: dict[str, tuple[Callable, Callable, Sequence[Sequence[float]]]] = {
    "sum": (lambda x: mg.sum(x) ** 3, lambda x: mp.fsum(x) ** 3, PLACES),
    "mean": (lambda x: mg.mean(x) ** 3, lambda x: (mp.fsum(x) / 4) ** 3, PLACES),
    "max": (lambda x: mg.max(x) ** 3, lambda x: max(x) ** 3, PLACES),
    "min": (lambda x: mg.min(x) ** 3, lambda x: min(x) ** 3, [PLACES[0], PLACES[2]]),
    "prod": (mg.prod, mp.fprod, PLACES),
    "cumulative_prod": (
        lambda x: _weigh(mg.cumulative_prod(x)),
        lambda x: _weighted([mp.fprod(x[: k + 1]) for k in range(4)]),
        PLACES,
    ),
    "cumulative_sum": (
        lambda x: _weigh(mg.cumulative_sum(x) ** 3),
        lambda x: _weighted([mp.fsum(x[: k + 1]) ** 3 for k in range(4)]),
        PLACES,
    ),
    "logsumexp": (
        mg.logsumexp, lambda x: max(x) + mp.log(mp.fsum(mp.exp(v - max(x)) for v in x)), PLACES),
    "softmax": (lambda x: _weigh(mg.softmax(x)), lambda x: _weighted(_softmax(x)), PLACES),
    "log_softmax": (
        lambda x: _weigh(mg.log_softmax(x)),
        lambda x: _weighted([mp.log(p) for p in _softmax(x)]), POSITIONS),
    "log of softmax": (
        lambda x: mg.log(mg.softmax(x)[0]), lambda x: mp.log(_softmax(x)[0]), POSITIONS),
    "variance": (lambda x: mg.variance(x) ** 2, lambda x: _variance(x) ** 2, PLACES),
    "std": (mg.std, lambda x: mp.sqrt(_variance(x)), SOMEWHERE),
    "vector_norm": (
        mg.vector_norm, lambda x: mp.sqrt(mp.fsum(v * v for v in x)), SOMEWHERE),
    "vector_norm of order 3": (
        lambda x: mg.vector_norm(x, ord=3),
        lambda x: mp.cbrt(mp.fsum(abs(v) ** 3 for v in x)), SOMEWHERE[:2]),
    "squared norm at 0": (
        lambda x: mg.vector_norm(x) ** 2 + mg.std(x) ** 4,
        lambda x: mp.fsum(v * v for v in x) + _variance(x) ** 2, [[0.0] * 4, [1.0] * 4]),
}  # fmt: skip


@pytest.mark.parametrize("name", REDUCTIONS)
def test_reductions(name):
    """Along a line through each point: the derivatives by t of f(x + t·d)."""
    build, function, points = REDUCTIONS[name]
    x, t = mg.var("x", (4,)), mg.var("t")
    y = build(x + t * np.array(LINE))
    derivatives = []
    for _ in range(3):
        y = mg.grad(y, t)
        derivatives.append(y)
    run = mg.function([x, t], derivatives)
    for point in points:
        scale = min([1.0, *(abs(p) for p in point if p)])

        def along(s: object, point: Sequence[float] = point) -> object:
            moved = [mp.mpf(p) + s * mp.mpf(d) for p, d in zip(point, LINE, strict=True)]
            return function(moved)

        for order, value in enumerate(run(point, 0.0), 1):
            with mp.workdps(600):
                exact = float(_difference(along, 0.0, order, scale))
            assert_allclose(value, exact, rtol=1e-9, atol=1e-13, err_msg=f"{order} at {point}")
