"""The jobs of general.py: functions of an engine's ops and of arrays, written once for all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

Ops = Any  # tanh, relu, total ...: those of an engine, see general_engines.py
Array = Any


@dataclass(frozen=True)
class Job:
    """A function to differentiate, and where."""

    name: str
    what: str
    kind: str
    """What an engine must have: "scalars", "slices" of vectors, "arrays", or a "loop"."""
    build: Callable[..., Any]
    """(ops, *inputs) -> scalar."""
    inputs: Callable[[np.random.Generator], list[Array]]
    towards: int | None = None
    """How many inputs there are gradients towards; None for all."""
    by_hand: Callable[..., tuple[Any, list[Any]]] | None = None
    """(*inputs) -> value, gradients: as a person writes it with NumPy."""
    numexpr: Callable[..., tuple[Any, list[Any]]] | None = None
    """The same, what numexpr has left to it."""


# --- scalars -----------------------------------------------------------------------------------


def net(ops: Ops, theta: Any) -> Any:
    """micrograd's demo: an MLP 2-16-16-1 neuron by neuron, 50 points, hinge loss."""
    rng = np.random.default_rng(0)
    points, sizes = rng.standard_normal((50, 2)), [2, 16, 16, 1]
    taken = iter(range(NET))
    layers = [
        [([theta[next(taken)] for _ in range(a)], theta[next(taken)]) for _ in range(b)]
        for a, b in pairwise(sizes)
    ]
    losses = []
    for point in points:
        h = [float(v) for v in point]
        for weights in layers:
            last = weights is layers[-1]
            sums = [sum((w * v for w, v in zip(ws, h, strict=True)), b) for ws, b in weights]
            h = sums if last else [ops.relu(s) for s in sums]
        losses.append(ops.relu(1.0 - float(np.sign(point[0] * point[1])) * h[0]))
    return ops.total(losses) * (1 / len(points))


def chain(ops: Ops, theta: Any) -> Any:
    """100,000 ops, each of the one before. Its gradient does not vanish: numbers below the smallest
    normal one take a hundred times as long in every engine."""
    y = theta[0]
    for _ in range(50_000):
        y = ops.tanh(y) * 1.000001
    return y


def products(ops: Ops, theta: Any) -> Any:
    """100,000 ops, each of the one before: what a CPU does in one cycle or two."""
    y, x = theta[0], theta[1]
    for _ in range(50_000):
        y = y * 0.5 + x
    return y


def growth(ops: Ops, theta: Any) -> Any:
    """50,000 times y + y·c, so that each y is read twice."""
    y, c = theta[0], theta[1] * 1e-5
    for _ in range(50_000):
        y = y + y * c
    return y


def dag(ops: Ops, theta: Any) -> Any:
    """40,000 ops of a random few among the last hundred."""
    rng = np.random.default_rng(0)
    made = [theta[k] for k in range(10)]
    kinds, *pairs = rng.integers(4, size=20_000), *rng.integers(1, 100, (2, 20_000))
    for kind, i, j in zip(kinds.tolist(), *[p.tolist() for p in pairs], strict=True):
        made.append(_joined(ops, kind, made[-min(i, len(made))], made[-min(j, len(made))]))
    return ops.total(made[-50:])


def _joined(ops: Ops, kind: int, a: Any, b: Any) -> Any:
    if kind == 0:
        return (a + b) * 0.5
    if kind == 1:
        return a * b - b
    return ops.tanh(a - b) if kind == 2 else ops.relu(a) - b * 0.5


def small_vectors(ops: Ops, theta: Any) -> Any:
    """20,000 ops on vectors of three."""
    y, w, x = theta[0:3], theta[3:6], theta[6:9]
    for k in range(5_000):
        y = ops.tanh(y * w) + x if k % 2 else y - (x + w) * 0.1
    return ops.summed(y)


# --- arrays ------------------------------------------------------------------------------------

STRIKE, RATE = 100.0, 0.02


def black_scholes(ops: Ops, S: Any, sigma: Any, T: Any) -> Any:
    """The sum of prices of European calls (Black & Scholes 1973), of whose three inputs the
    gradients are delta, vega and theta."""
    root = sigma * ops.sqrt(T)
    d1 = (ops.log(S * (1 / STRIKE)) + (RATE + 0.5 * sigma * sigma) * T) / root

    def below(x: Any) -> Any:
        return 0.5 * (1 + ops.erf(x * 0.5**0.5))

    return ops.summed(S * below(d1) - STRIKE * ops.exp(-RATE * T) * below(d1 - root))


def black_scholes_by_hand(S: Array, sigma: Array, T: Array) -> tuple[Any, list[Any]]:
    from scipy.special import erf

    root_T = np.sqrt(T)
    root = sigma * root_T
    d1 = (np.log(S * (1 / STRIKE)) + (RATE + 0.5 * sigma * sigma) * T) / root
    delta = 0.5 * (1 + erf(d1 * 0.5**0.5))
    kept = STRIKE * np.exp(-RATE * T) * (0.5 * (1 + erf((d1 - root) * 0.5**0.5)))
    vega = S * np.exp(-0.5 * d1 * d1) * (2 * np.pi) ** -0.5 * root_T
    return np.sum(S * delta - kept), [delta, vega, vega * sigma / (2 * T) + RATE * kept]


def black_scholes_in_numexpr(S: Array, sigma: Array, T: Array) -> tuple[Any, list[Any]]:
    """numexpr has no erf; SciPy computes it."""
    import numexpr as ne
    from scipy.special import erf

    v: dict[str, Array] = {"S": S, "sigma": sigma, "T": T, "strike": STRIKE, "rate": RATE}
    for name, text in (
        ("d1", "(log(S / strike) + (rate + 0.5 * sigma * sigma) * T) / (sigma * sqrt(T))"),
        ("a1", "d1 * sqrt(0.5)"),
        ("a2", "(d1 - sigma * sqrt(T)) * sqrt(0.5)"),
    ):
        v[name] = ne.evaluate(text, v)
    v["delta"] = 0.5 * (1 + erf(v["a1"]))
    v["kept"] = ne.evaluate("strike * exp(-rate * T) * 0.5 * (1 + e2)", {**v, "e2": erf(v["a2"])})
    v["vega"] = ne.evaluate("S * exp(-0.5 * d1 * d1) * 0.3989422804014327 * sqrt(T)", v)
    theta = ne.evaluate("vega * sigma / (2 * T) + rate * kept", v)
    return ne.evaluate("sum(S * delta - kept)", v), [v["delta"], v["vega"], theta]


def _options(n: int) -> Callable[[np.random.Generator], list[Array]]:
    ranges = (80.0, 120.0), (0.1, 0.4), (0.2, 2.0)
    return lambda rng: [rng.uniform(low, high, n) for low, high in ranges]


def mlp(ops: Ops, *inputs: Any) -> Any:
    """An MLP 2-16-16-1 of tanh on a batch of 100, mean squares."""
    W1, b1, W2, b2, W3, b3, x, y = inputs
    h = ops.tanh(ops.affine(x, W1, b1))
    h = ops.tanh(ops.affine(h, W2, b2))
    error = ops.affine(h, W3, b3) - y
    return ops.summed(error * error) * 0.01


def mlp_by_hand(*inputs: Array) -> tuple[Any, list[Any]]:
    W1, b1, W2, b2, W3, b3, x, y = inputs
    h1 = np.tanh(x @ W1 + b1)
    h2 = np.tanh(h1 @ W2 + b2)
    error = h2 @ W3 + b3 - y
    d3 = error * 0.02
    d2 = d3 @ W3.T * (1 - h2 * h2)
    d1 = d2 @ W2.T * (1 - h1 * h1)
    gradients = [x.T @ d1, d1.sum(0), h1.T @ d2, d2.sum(0), h2.T @ d3, d3.sum(0)]
    return np.sum(error * error) * 0.01, gradients


def _of_mlp(rng: np.random.Generator) -> list[Array]:
    shapes = (2, 16), (16,), (16, 16), (16,), (16, 1), (1,), (100, 2), (100, 1)
    return [rng.uniform(-0.5, 0.5, shape) for shape in shapes]


# --- loops -------------------------------------------------------------------------------------


def sin_loop(ops: Ops, h: Any, w: Any, xs: Any) -> Any:
    """1,000 steps of a vector of 32: h = sin(w h + x), and the sum of the last one."""
    return ops.summed(ops.loop(lambda h, x: ops.sin(w * h + x), h, xs))


def sin_loop_by_hand(h: Array, w: Array, xs: Array) -> tuple[Any, list[Any]]:
    hs, slopes = [h], []
    for x in xs:
        a = w * hs[-1] + x
        slopes.append(np.cos(a))
        hs.append(np.sin(a))
    back, of_w = np.ones_like(h), np.zeros_like(w)
    for before, slope in zip(hs[-2::-1], slopes[::-1], strict=True):
        back = back * slope
        of_w += back * before
        back = back * w
    return np.sum(hs[-1]), [back, of_w]


def _of_loop(rng: np.random.Generator) -> list[Array]:
    return [rng.uniform(0.5, 1.5, shape) for shape in ((32,), (32,), (1000, 32))]


def _near_zero(size: int) -> Callable[[np.random.Generator], list[Array]]:
    return lambda rng: [rng.uniform(-0.5, 0.5, size)]


NET = 337
JOBS: Sequence[Job] = [
    Job("net", "MLP 2-16-16-1 as scalars, 50 points", "scalars", net, _near_zero(NET)),
    Job("chain", "100,000 ops, tanh and × in turn", "scalars", chain, _near_zero(1)),
    Job("products", "100,000 ops, × and + in turn", "scalars", products, _near_zero(2)),
    Job("growth", "50,000 × (y + y·c)", "scalars", growth, _near_zero(2)),
    Job("dag", "40,000 ops of a random few", "scalars", dag, _near_zero(10)),
    Job("vectors", "20,000 ops on vectors of three", "slices", small_vectors, _near_zero(9)),
    *[
        Job(
            f"black-scholes-{name}", f"{n:,} calls, 3 gradients", "arrays", black_scholes,
            _options(n), None, black_scholes_by_hand, black_scholes_in_numexpr,
        )
        for name, n in (("small", 10**3), ("large", 10**6))
    ],
    Job("mlp", "MLP 2-16-16-1, batch 100", "arrays", mlp, _of_mlp, 6, mlp_by_hand),
    Job("sin-loop", "1,000 steps of sin on 32", "loop", sin_loop, _of_loop, 2, sin_loop_by_hand),
]  # fmt: skip
