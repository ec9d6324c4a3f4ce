"""A table of the operations: how each is called, what it must equal, and where it is smooth.

Every registered op but the leaves has a row; test_ops.py runs the same checks over all of them.
Functions that are compositions of ops stand in COMPOSITES, by the public name.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import philox

import minigrad as mg
from minigrad.graph.node import make
from minigrad.loop.body import Body, body_var
from minigrad.loop.node import BLOCK
from minigrad.ops.custom import barrier
from minigrad.ops.trigonometry import one_minus_square
from minigrad.ops.tuples import ITEM, TUPLE, item

Sampler = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]


# --- samplers: points away from kinks and poles, by more than check_grad steps -----------------


def between(low: float, high: float) -> Sampler:
    return lambda rng, shape: rng.uniform(low, high, shape)


def signed(low: float, high: float) -> Sampler:
    return lambda rng, shape: rng.choice([-1.0, 1.0], shape) * rng.uniform(low, high, shape)


def spaced(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    size = math.prod(shape)
    return 0.7 * (rng.permutation(size) - size // 2).reshape(shape) + 0.1


def off_zero(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Spaced, and further from 0 than a difference in a random direction goes."""
    return spaced(rng, shape) + 0.15


def mid_step(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.integers(-3, 3, shape) + rng.uniform(0.3, 0.4, shape)


def integers(low: int, high: int) -> Sampler:
    return lambda rng, shape: rng.integers(low, high, shape)


def booleans(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.random(shape) < 0.5


def invertible(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.uniform(-0.5, 0.5, shape) + 2 * np.eye(shape[-1])


def definite(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    x = invertible(rng, shape)
    return x @ np.swapaxes(x, -1, -2)


def spread(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Matrices whose singular values lie apart; so do the eigenvalues of square ones."""
    diagonal = np.eye(*shape[-2:]) * np.arange(2, 2 + 3 * shape[-1], 3)
    return signed(0.2, 0.5)(rng, shape) + diagonal


SMOOTH = between(-1.5, 1.5)


@dataclass(frozen=True)
class Case:
    """One way to call an op: exprs in, expr out, and the same of arrays."""

    op: str
    build: Callable[..., Any]
    reference: Callable[..., Any]
    shapes: tuple[tuple[int, ...], ...]
    samplers: tuple[Sampler, ...]
    smooth: bool = True
    """Whether it has a derivative; else the derivative must be zero or refused."""
    empty: tuple[tuple[int, ...], ...] | None = None
    """Shapes with a zero in them; None where the op refuses them."""
    note: str = ""
    rtol: float = 1e-13
    seed: int = field(default=0)

    @property
    def id(self) -> str:
        return f"{self.op}-{self.note}" if self.note else self.op

    def arrays(self, shapes: Sequence[tuple[int, ...]] | None = None) -> list[np.ndarray]:
        rng = np.random.default_rng(zlib.crc32(self.id.encode()) + self.seed)
        chosen = self.shapes if shapes is None else shapes
        return [
            np.asarray(sample(rng, shape))
            for sample, shape in zip(self.samplers, chosen, strict=True)
        ]

    def variables(self, arrays: Sequence[np.ndarray], dtype: str | None = None) -> list[mg.Expr]:
        """A variable for each array; float ones of the given dtype."""
        return [
            mg.var(f"a{k}", a.shape, dtype if dtype and a.dtype.kind == "f" else a.dtype)
            for k, a in enumerate(arrays)
        ]


def case(
    op: str,
    build: Callable[..., Any],
    reference: Callable[..., Any],
    shapes: Any,
    samplers: Any = SMOOTH,
    **options: Any,
) -> Case:
    shapes = tuple(shapes) if isinstance(shapes, list) else (shapes,)
    samplers = tuple(samplers) if isinstance(samplers, list) else (samplers,) * len(shapes)
    return Case(op, build, reference, shapes, samplers, **options)


# --- references that NumPy has not --------------------------------------------------------------


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x > -700 else 0.0 if x < -745 else math.exp(x)


def _softplus(x: float) -> float:
    return max(x, 0.0) + math.log1p(math.exp(-abs(x))) if x == x else x


def _relu(x: float) -> float:
    return x if x > 0 or x != x else 0.0


def _eigh(x: Any, eigh: Callable[..., Any]) -> Any:
    """What does not depend on the signs of eigenvectors."""
    values, vectors = eigh(x)
    return vectors**2 * values[..., None, :]


def _svd(x: Any, svd: Callable[..., Any], full: bool = False) -> Any:
    u, s, vh = svd(x, full_matrices=full)
    k = s.shape[-1]
    beyond = u[..., k:] @ np.swapaxes(u[..., k:], -1, -2)
    first = (u[..., :k] ** 2 * s[..., None, :]) @ vh[..., :k, :] ** 2
    return first + beyond[..., :1] if full else first


def _qr(x: Any, qr: Callable[..., Any], mode: str = "reduced") -> Any:
    q, r = qr(x, mode=mode)
    k = min(x.shape[-2:])
    beyond = q[..., k:] @ np.swapaxes(q[..., k:], -1, -2)
    first = q[..., :k] ** 2 @ r[..., :k, :] ** 2
    return first + beyond[..., :1] if mode == "complete" else first


def _cofactors(x: np.ndarray) -> np.ndarray:
    return np.linalg.det(x)[..., None, None] * np.swapaxes(np.linalg.inv(x), -1, -2)


def _hypot_slope(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.where(np.hypot(a, b) == 0, a, a / np.hypot(a, b))


def elementwise(function: Callable[[float], float]) -> Callable[[Any], np.ndarray]:
    return lambda x: np.vectorize(function, otypes=[np.float64])(x)


def _floor_divide(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """As the array API standard says: of infinities, the limit of the quotient."""
    return np.where(np.isinf(a) | np.isinf(b), np.divide(a, b), np.floor_divide(a, b))


def softmax(x: np.ndarray, axis: Any = -1) -> np.ndarray:
    e = np.exp(x - np.max(x, axis=axis, keepdims=True))
    return e / np.sum(e, axis=axis, keepdims=True)


def logsumexp(x: np.ndarray, axis: Any = None, keepdims: bool = False) -> Any:
    return np.log(np.sum(np.exp(x), axis=axis, keepdims=keepdims))


# --- pointwise ----------------------------------------------------------------------------------

# name: (NumPy's counterpart, where to sample it); SMOOTH_UNARY ones have a derivative.
SMOOTH_UNARY: dict[str, tuple[Callable[..., Any], Sampler]] = {
    "negative": (np.negative, SMOOTH),
    "square": (np.square, SMOOTH),
    "sqrt": (np.sqrt, between(0.5, 3)),
    "cbrt": (np.cbrt, signed(0.5, 3)),
    "abs": (np.abs, signed(0.4, 2)),
    "exp": (np.exp, SMOOTH),
    "expm1": (np.expm1, SMOOTH),
    "log": (np.log, between(0.5, 3)),
    "log1p": (np.log1p, between(-0.5, 2)),
    "log2": (np.log2, between(0.5, 3)),
    "log10": (np.log10, between(0.5, 3)),
    "sin": (np.sin, SMOOTH),
    "cos": (np.cos, SMOOTH),
    "tan": (np.tan, between(-1, 1)),
    "asin": (np.arcsin, between(-0.6, 0.6)),
    "acos": (np.arccos, between(-0.6, 0.6)),
    "atan": (np.arctan, SMOOTH),
    "sinh": (np.sinh, SMOOTH),
    "cosh": (np.cosh, SMOOTH),
    "tanh": (np.tanh, SMOOTH),
    "asinh": (np.arcsinh, SMOOTH),
    "acosh": (np.arccosh, between(1.5, 3)),
    "atanh": (np.arctanh, between(-0.6, 0.6)),
    "sigmoid": (elementwise(_sigmoid), SMOOTH),
    "tanh_slope": (lambda x: 1 / np.cosh(x) ** 2, SMOOTH),
    "sigmoid_slope": (lambda x: 0.25 / np.cosh(x / 2) ** 2, SMOOTH),
    "softplus": (elementwise(_softplus), SMOOTH),
    "relu": (elementwise(_relu), signed(0.4, 2)),
    "erf": (elementwise(math.erf), SMOOTH),
}
FLAT_UNARY: dict[str, tuple[Callable[..., Any], Sampler]] = {
    "sign": (np.sign, signed(0.4, 2)),
    "floor": (np.floor, mid_step),
    "ceil": (np.ceil, mid_step),
    "trunc": (np.trunc, mid_step),
    "round": (np.rint, mid_step),
    "isnan": (np.isnan, SMOOTH),
    "isinf": (np.isinf, SMOOTH),
    "isfinite": (np.isfinite, SMOOTH),
    "signbit": (np.signbit, SMOOTH),
    "logical_not": (np.logical_not, SMOOTH),
}
SMOOTH_BINARY: dict[str, tuple[Callable[..., Any], list[Sampler]]] = {
    "add": (np.add, [SMOOTH, SMOOTH]),
    "subtract": (np.subtract, [SMOOTH, SMOOTH]),
    "multiply": (np.multiply, [SMOOTH, SMOOTH]),
    "divide": (np.divide, [SMOOTH, signed(0.5, 2)]),
    "pow": (np.power, [between(0.4, 2), SMOOTH]),
    "floor_divide": (_floor_divide, [between(340, 360), between(99, 101)]),
    "remainder": (np.remainder, [between(340, 360), between(99, 101)]),
    "fmod": (np.fmod, [between(-360, -340), between(99, 101)]),
    "logaddexp": (np.logaddexp, [SMOOTH, SMOOTH]),
    "atan2": (np.arctan2, [signed(0.5, 2), signed(0.5, 2)]),
    "hypot": (np.hypot, [signed(0.5, 2), signed(0.5, 2)]),
    "hypot_slope": (_hypot_slope, [signed(0.5, 2), signed(0.5, 2)]),
    "maximum": (np.maximum, [mid_step, integers(-3, 3)]),
    "minimum": (np.minimum, [mid_step, integers(-3, 3)]),
    "copysign": (np.copysign, [signed(0.4, 2), signed(0.4, 2)]),
    "nextafter": (np.nextafter, [SMOOTH, between(3, 4)]),
}
FLAT_BINARY: dict[str, Callable[..., Any]] = {
    "equal": np.equal,
    "not_equal": np.not_equal,
    "less": np.less,
    "less_equal": np.less_equal,
    "greater": np.greater,
    "greater_equal": np.greater_equal,
    "logical_and": np.logical_and,
    "logical_or": np.logical_or,
    "logical_xor": np.logical_xor,
}
INTEGER_BINARY: dict[str, Callable[..., Any]] = {
    "bitwise_and": np.bitwise_and,
    "bitwise_or": np.bitwise_or,
    "bitwise_xor": np.bitwise_xor,
    "bitwise_left_shift": np.left_shift,
    "bitwise_right_shift": np.right_shift,
}
# Two operands that broadcast to (2, 3), and two scalars.
_PAIRS = [[(2, 1), (3,)], [(), ()], [(2, 3), ()]]


def _pointwise() -> list[Case]:
    rows = []
    for table, smooth in ((SMOOTH_UNARY, True), (FLAT_UNARY, False)):
        for name, (reference, sampler) in table.items():
            for shape in [(2, 3), ()]:
                note = "scalar" if shape == () else ""
                rows.append(
                    case(name, getattr(mg, name), reference, shape, sampler, smooth=smooth,
                         empty=((0, 3),), note=note)
                )  # fmt: skip
    for name, (reference, samplers) in SMOOTH_BINARY.items():
        samplers = [_as_floats(s) for s in samplers]
        rows += [
            case(name, getattr(mg, name), reference, shapes, samplers,
                 empty=((2, 0), (1, 1)), note=str(shapes))
            for shapes in _PAIRS
        ]  # fmt: skip
    for name, reference in FLAT_BINARY.items():
        rows.append(
            case(name, getattr(mg, name), reference, [(2, 1), (3,)], [mid_step, spaced],
                 smooth=False, empty=((2, 0), ()))
        )  # fmt: skip
    for name, reference in INTEGER_BINARY.items():
        rows.append(
            case(name, getattr(mg, name), reference, [(2, 1), (3,)],
                 [integers(0, 50), integers(0, 8)], smooth=False, empty=((2, 0), ()))
        )  # fmt: skip
    rows.append(
        case("bitwise_invert", mg.bitwise_invert, np.invert, (2, 3), integers(-9, 9), smooth=False,
             empty=((0,),))
    )  # fmt: skip
    rows += [
        case("where", mg.where, np.where, shapes, [booleans, SMOOTH, SMOOTH],
             empty=((0, 1), (3,), ()), note=str(shapes))
        for shapes in ([(2, 1), (3,), ()], [(), (), ()])
    ]  # fmt: skip
    return rows


def _as_floats(sampler: Sampler) -> Sampler:
    return lambda rng, shape: np.asarray(sampler(rng, shape), np.float64)


# --- all the others -----------------------------------------------------------------------------


def _put(x: np.ndarray, index: Any, values: Any) -> np.ndarray:
    y = np.array(x)
    y[index] = values
    return y


def _added(x: np.ndarray, index: Any, values: Any) -> np.ndarray:
    y = np.array(x)
    np.add.at(y, index, values)
    return y


_TWICE = mg.custom_vjp(lambda x: x * x, lambda ct, y, x: 2.0 * x * ct)


def _doubling(x: mg.Expr) -> Body:
    v = body_var(0, "const", x.type)
    return Body([v], [v + v], 0, 0)


def _running(c: mg.Expr, x: mg.Expr, reverse: bool = False) -> mg.Expr:
    return mg.scan(lambda c, x: (mg.tanh(c + x), c * x), c, x, reverse=reverse)[1]


def _running_numpy(c: np.ndarray, xs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    ys = np.empty(xs.shape)
    for t, x in enumerate(xs):
        ys[t] = c * x
        c = np.tanh(c + x)
    return c, ys


def _folded(keys: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    pairs = zip(keys.tolist(), numbers.tolist(), strict=True)
    rows = [philox.fold_in(k, n) for k, n in pairs]
    return np.array(rows, np.uint64).reshape(keys.shape)


def _drawn(keys: np.ndarray, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    draw = philox.halves if dtype == "float32" else philox.wholes
    rows = [draw(k, math.prod(shape)) for k in keys.reshape(-1, 2).tolist()]
    return np.array(rows, dtype).reshape(*keys.shape[:-1], *shape)


_MATRICES = [(3, 3), (2, 4, 2), (2, 3)]
_STRUCTURAL: list[Case] = [
    case("one_minus_square", one_minus_square, lambda x: 1 - x * x, (2, 3), empty=((0, 3),)),
    case("astype", lambda x, k: x * mg.astype(k, x.dtype), np.multiply, [(2, 3), (3,)],
         [SMOOTH, integers(-3, 3)], empty=((0,), (0,))),
    case("reshape", lambda x: mg.reshape(x, (3, -1)), lambda x: x.reshape(3, -1), (2, 3)),
    case("reshape", lambda x: mg.reshape(x, (0, 5)), lambda x: x.reshape(0, 5), (0, 3),
         note="empty", empty=((0, 3),)),
    case("broadcast_to", lambda x: mg.broadcast_to(x, (4, 2, 3)),
         lambda x: np.broadcast_to(x, (4, 2, 3)), (2, 1)),
    case("broadcast_to", lambda x: mg.broadcast_to(x, (0, 2)),
         lambda x: np.broadcast_to(x, (0, 2)), (2,), note="empty"),
    case("sum", mg.sum, np.sum, (2, 3), empty=((0, 3),)),
    case("sum", mg.sum, np.sum, (), note="scalar"),
    case("sum", lambda x: mg.sum(x, 0), lambda x: x.sum(0), (2, 3), note="0", empty=((0, 3),)),
    case("sum", lambda x: mg.sum(x, (0, -1), keepdims=True),
         lambda x: x.sum((0, 2), keepdims=True), (2, 3, 2), note="keepdims", empty=((2, 0, 2),)),
    case("max", mg.max, np.max, (2, 3), spaced),
    case("max", lambda x: mg.max(x, 1, keepdims=True), lambda x: x.max(1, keepdims=True), (2, 3),
         spaced, note="1", empty=((0, 3),)),
    case("min", mg.min, np.min, (), spaced, note="scalar"),
    case("min", lambda x: mg.min(x, (0, 1)), lambda x: x.min((0, 1)), (2, 3, 2), spaced,
         empty=((2, 2, 0),)),
    case("all", lambda x: mg.all(x, 1), lambda x: np.all(x, 1), (2, 3), booleans, smooth=False,
         empty=((2, 0),)),
    case("any", lambda x: mg.any(x, 1), lambda x: np.any(x, 1), (2, 3), booleans, smooth=False,
         empty=((2, 0),)),
    case("argmax", lambda x: mg.argmax(x, 1), lambda x: np.argmax(x, 1), (2, 3), spaced,
         smooth=False, empty=((0, 3),)),
    case("argmax", mg.argmax, np.argmax, (2, 3), spaced, smooth=False, note="all"),
    case("argmin", lambda x: mg.argmin(x, 0, keepdims=True),
         lambda x: np.argmin(x, 0, keepdims=True), (2, 3), spaced, smooth=False, empty=((2, 0),)),
    case("argsort", lambda x: mg.argsort(x, 0), lambda x: np.argsort(x, 0), (4, 2), spaced,
         smooth=False, empty=((0, 2),)),
    case("argsort", lambda x: mg.argsort(x, descending=True), lambda x: np.argsort(-x), (2, 4),
         spaced, smooth=False, note="descending", empty=((2, 0),)),
    case("searchsorted", lambda x, v: mg.searchsorted(mg.sort(x), v, side="right"),
         lambda x, v: np.searchsorted(np.sort(x), v, side="right"), [(4,), (2, 3)],
         [spaced, SMOOTH], smooth=False, empty=((0,), (2,))),
    case("cumulative_sum", lambda x: mg.cumulative_sum(x, 1), lambda x: np.cumsum(x, 1), (2, 3),
         empty=((2, 0),)),
    case("cumulative_sum", mg.cumulative_sum, np.cumsum, (2, 3), note="all", empty=((2, 0),)),
    case("logsumexp", lambda x: mg.logsumexp(x, 1), lambda x: logsumexp(x, 1), (2, 3),
         empty=((0, 3),)),
    case("logsumexp", lambda x: mg.logsumexp(x, keepdims=True),
         lambda x: logsumexp(x, keepdims=True), (2, 3), note="keepdims"),
    case("softmax", mg.softmax, softmax, (2, 3), empty=((0, 3),)),
    case("softmax", lambda x: mg.softmax(x, (0, 1)), lambda x: softmax(x, (0, 1)), (2, 3),
         note="axes"),
    case("permute_dims", lambda x: mg.permute_dims(x, (2, 0, 1)),
         lambda x: np.transpose(x, (2, 0, 1)), (2, 3, 4), empty=((2, 0, 4),)),
    case("concat", lambda *a: mg.concat(a, axis=1), lambda *a: np.concatenate(a, axis=1),
         [(2, 1), (2, 3), (2, 2)], empty=((0, 1), (0, 3), (0, 2))),
    case("concat", lambda a, b: mg.concat([a, b, a], axis=-1),
         lambda a, b: np.concatenate([a, b, a], -1), [(2, 1), (2, 0)], note="shared"),
    case("getitem", lambda x: x[1:, ::-1], lambda x: x[1:, ::-1], (3, 4), empty=((3, 0),)),
    case("getitem", lambda x, k: x[k, 1], lambda x, k: x[k, 1], [(3, 4), (5,)],
         [SMOOTH, integers(0, 3)], note="array", empty=((3, 4), (0,))),
    case("scatter", lambda v, k: mg.zeros(4, v.dtype).at[k].add(v),
         lambda v, k: _added(np.zeros(4), k, v), [(3,), (3,)], [SMOOTH, integers(0, 2)],
         empty=((0,), (0,))),
    case("scatter", lambda v: mg.zeros((4, 2), v.dtype).at[1:3].add(v),
         lambda v: _added(np.zeros((4, 2)), np.s_[1:3], v), (2,), note="slice"),
    case("put", lambda x, v: x.at[1:, 0].set(v), lambda x, v: _put(x, np.s_[1:, 0], v),
         [(3, 2), (2,)], empty=None),
    case("put", lambda x, v, k: x.at[k].set(v), lambda x, v, k: _put(x, k, v),
         [(3, 2), (4, 2), (4,)], [SMOOTH, SMOOTH, integers(0, 2)], note="duplicates",
         empty=((3, 2), (0, 2), (0,))),
    case("matmul", mg.matmul, np.matmul, [(2, 3), (3, 4)], empty=((0, 3), (3, 4))),
    case("matmul", mg.matmul, np.matmul, [(3,), (3,)], note="vectors", empty=((0,), (0,))),
    case("matmul", mg.matmul, np.matmul, [(2, 3), (3,)], note="vector right",
         empty=((2, 0), (0,))),
    case("matmul", mg.matmul, np.matmul, [(3,), (2, 3, 2)], note="vector left"),
    case("matmul", mg.matmul, np.matmul, [(2, 1, 2, 3), (4, 3, 2)], note="stacks"),
    case("matmul", mg.matmul, np.matmul, [(4, 2, 3), (3, 2)], note="stack left",
         empty=((0, 2, 3), (3, 2))),
    case("inv", mg.inv, np.linalg.inv, (2, 3, 3), invertible, rtol=1e-12, empty=((0, 3, 3),)),
    case("solve", mg.solve, np.linalg.solve, [(3, 3), (3, 2)], [invertible, SMOOTH], rtol=1e-12,
         empty=((0, 0), (0, 2))),
    case("solve", mg.solve, np.linalg.solve, [(3, 3), (3,)], [invertible, SMOOTH], rtol=1e-12,
         note="vector"),
    case("solve", mg.solve, np.linalg.solve, [(2, 3, 3), (3, 1)], [invertible, SMOOTH],
         rtol=1e-12, note="stack"),
    case("det", mg.det, np.linalg.det, (2, 3, 3), invertible, rtol=1e-12, empty=((0, 3, 3),)),
    case("cofactors", lambda x: mg.vjp(mg.det(x), x, mg.ones(x.shape[:-2], x.dtype)), _cofactors,
         (2, 3, 3), invertible, rtol=1e-12),
    case("eigh", lambda x: _eigh(x, mg.eigh),
         lambda x: _eigh(0.5 * (x + np.swapaxes(x, -1, -2)), np.linalg.eigh), (2, 3, 3), spread,
         rtol=1e-12, empty=((0, 3, 3),)),
    *(case("svd", lambda x: _svd(x, mg.svd), lambda x: _svd(x, np.linalg.svd), shape, spread,
           rtol=1e-12, note=str(shape), empty=((2, 0, 2),)) for shape in _MATRICES),
    case("svd", lambda x: _svd(x, mg.svd, True), lambda x: _svd(x, np.linalg.svd, True), (4, 2),
         spread, rtol=1e-12, note="full"),
    *(case("qr", lambda x: _qr(x, mg.qr), lambda x: _qr(x, np.linalg.qr), shape, spread,
           rtol=1e-12, note=str(shape), empty=((2, 0, 2),)) for shape in _MATRICES),
    case("qr", lambda x: _qr(x, mg.qr, "complete"), lambda x: _qr(x, np.linalg.qr, "complete"),
         (4, 2), spread, rtol=1e-12, note="complete"),
    *(case("pinv", mg.pinv, np.linalg.pinv, shape, spread, rtol=1e-12, note=str(shape),
           empty=((2, 0, 2),)) for shape in [(2, 4, 2), (2, 3)]),
    case("logabsdet", lambda x: mg.slogdet(x)[1], lambda x: np.linalg.slogdet(x)[1], (3, 3),
         invertible, rtol=1e-12, empty=((0, 3, 3),)),
    case("signdet", lambda x: mg.slogdet(x)[0], lambda x: np.linalg.slogdet(x)[0], (2, 3, 3),
         invertible, smooth=False, empty=((0, 3, 3),)),
    case("cholesky", mg.cholesky, np.linalg.cholesky, (3, 3), definite, rtol=1e-12,
         empty=((0, 3, 3),)),
    case("fold_in", lambda k, n: mg.fold_in(mg.astype(k, "uint64"), n), _folded, [(2, 2), (2,)],
         integers(0, 9), smooth=False, empty=((0, 2), (0,))),
    *(case("uniform", lambda k, d=d: mg.uniform(mg.astype(k, "uint64"), (2, 3), d),
           lambda k, d=d: _drawn(k, (2, 3), d), shape, integers(0, 9), smooth=False,
           empty=((0, 2),), note=f"{d} {shape}")
      for d in ("float32", "float64") for shape in [(2,), (2, 2)]),
    case("stop_gradient", mg.stop_gradient, np.asarray, (2, 3), smooth=False, empty=((0,),)),
    # Two shares of x's derivative that add up to that of 2x.
    case("scale_gradient", lambda x, f: mg.sin(mg.scale_gradient(x, mg.stop_gradient(f))
                                               + mg.scale_gradient(x, 2 - mg.stop_gradient(f))),
         lambda x, f: np.sin(2 * x) + 0 * f, [(2, 3), (2, 3)], empty=((0,), (0,))),
    case("barrier", lambda x: mg.sin(barrier(x)), np.sin, (2, 3), empty=((0,),)),
    case("custom_vjp", _TWICE, np.square, (2, 3), empty=((0,),)),
    case("scan", _running, lambda c, x: _running_numpy(c, x)[1], [(2,), (3, 2)],
         empty=((2,), (0, 2))),
    case("item", lambda c, x: _running(c, x, reverse=True),
         lambda c, x: _running_numpy(c, x[::-1])[1][::-1], [(2,), (3, 2)], note="backwards"),
    case("block", lambda x: item(make(BLOCK, (x,), (_doubling(x),)), 0), lambda x: 2 * x, (2, 3),
         smooth=False),
    case("tuple", lambda x: make(ITEM, (make(TUPLE, (x, mg.sin(x))),), (1,)), np.sin, (2, 3),
         empty=((0,),)),
]  # fmt: skip

CASES: list[Case] = _pointwise() + _STRUCTURAL


# --- compositions -------------------------------------------------------------------------------


def _norm(x: np.ndarray, p: float) -> float:
    return float(np.linalg.norm(x, p))


def _weighted(x: mg.Expr, weights: list[float]) -> mg.Expr:
    return x * mg.const(weights, x.dtype)


def _tiled(x: np.ndarray) -> np.ndarray:
    return np.tile(x, (2, 1, 3))


_CLIPPED = between(-0.4, 0.4)
_ORDERS = [0.5, 1, 2, 3, math.inf, -math.inf]

COMPOSITES: list[Case] = [
    case("einsum", lambda a, b: mg.einsum("ij,jk->ik", a, b), lambda a, b: a @ b,
         [(2, 3), (3, 2)], empty=((2, 0), (0, 2))),
    case("einsum", lambda a: mg.einsum("ij->ji", a), np.transpose, (2, 3), note="transpose",
         empty=((2, 0),)),
    case("einsum", lambda a, b, c: mg.einsum("i,ij,j", a, b, c), lambda a, b, c: a @ b @ c,
         [(2,), (2, 3), (3,)], note="three"),
    case("einsum", lambda a: mg.einsum("ii", a), np.trace, (3, 3), note="trace"),
    case("einsum", lambda a, b: mg.einsum("...ij,jk", a, b), lambda a, b: a @ b,
         [(2, 2, 3), (3, 2)], note="ellipsis"),
    case("einsum", lambda a, b: mg.einsum("ij,kl->ik", a, b),
         lambda a, b: np.outer(a.sum(1), b.sum(1)), [(2, 3), (2, 2)], note="summed alone"),
    case("mean", mg.mean, np.mean, (2, 3)),
    case("mean", lambda x: mg.mean(x, 1, keepdims=True), lambda x: x.mean(1, keepdims=True),
         (2, 3), note="keepdims", empty=((0, 3),)),
    case("variance", lambda x: mg.variance(x, (0, 2)), lambda x: x.var((0, 2)), (2, 3, 2)),
    case("variance", lambda x: mg.variance(x, correction=1), lambda x: x.var(ddof=1), (4,),
         note="correction"),
    case("std", lambda x: mg.std(x, 0, correction=1), lambda x: x.std(0, ddof=1), (4, 2),
         between(-3, 3)),
    case("prod", mg.prod, np.prod, (2, 3)),
    case("prod", mg.prod, np.prod, (), note="scalar"),
    case("prod", lambda x: mg.prod(x, (0, 2), keepdims=True),
         lambda x: x.prod((0, 2), keepdims=True), (3, 2, 2), note="axes", empty=((3, 0, 2),)),
    case("prod", lambda x: mg.prod(_weighted(x, [1.0, 0.0, 2.0, 0.0])),
         lambda x: np.float64(0.0), (4,), note="zeros"),
    case("prod", lambda x: mg.prod(_weighted(x, [1.0, 0.0, 2.0])), lambda x: np.float64(0.0),
         (3,), note="zero"),
    case("cumulative_prod", lambda x: mg.cumulative_prod(x, 1), lambda x: np.cumprod(x, 1),
         (2, 5), empty=((2, 0),)),
    case("cumulative_prod", lambda x: mg.cumulative_prod(_weighted(x, [1.0, 0.0, 2.0, 0.0, 1.0])),
         lambda x: np.cumprod(x * np.array([1.0, 0.0, 2.0, 0.0, 1.0])), (5,), note="zeros"),
    case("sort", lambda x: mg.sort(x, 0), lambda x: np.sort(x, 0), (4, 2), spaced,
         empty=((0, 2),)),
    case("sort", lambda x: mg.sort(x, descending=True), lambda x: -np.sort(-x), (2, 4), spaced,
         note="descending"),
    case("log_softmax", mg.log_softmax, lambda x: np.log(softmax(x)), (2, 3), empty=((0, 3),),
         rtol=1e-12),
    case("log_softmax", lambda x: mg.log_softmax(x, 0), lambda x: np.log(softmax(x, 0)), (2, 3),
         note="0", rtol=1e-12),
    case("count_nonzero", lambda x: mg.count_nonzero(x, 1), lambda x: np.count_nonzero(x, 1),
         (2, 3), integers(0, 2), smooth=False, empty=((2, 0),)),
    *(case("vector_norm", lambda x, p=p: mg.vector_norm(x, ord=p), lambda x, p=p: _norm(x, p),
           (4,), off_zero, note=str(p)) for p in _ORDERS),
    case("vector_norm", lambda x: mg.vector_norm(x, 1, keepdims=True),
         lambda x: np.linalg.norm(x, axis=1, keepdims=True), (2, 3), note="axis"),
    case("vector_norm", lambda x: mg.vector_norm(x, ord=0), lambda x: _norm(x, 0), (4,),
         integers(0, 2), smooth=False, note="0"),
    *(case("matrix_norm", lambda x, p=p: mg.matrix_norm(x, ord=p),
           lambda x, p=p: np.linalg.norm(x, p, axis=(-2, -1)), (2, 3, 2), spread, rtol=1e-12,
           note=str(p)) for p in ["fro", "nuc", 2, -2, 1, -1, math.inf, -math.inf]),
    case("eigvalsh", mg.eigvalsh, lambda x: np.linalg.eigvalsh(0.5 * (x + x.T)), (3, 3), spread,
         rtol=1e-12, empty=((0, 0),)),
    case("svdvals", mg.svdvals, np.linalg.svdvals, (2, 3, 2), spread, rtol=1e-12,
         empty=((2, 0, 3),)),
    case("matrix_rank", mg.matrix_rank, np.linalg.matrix_rank, (2, 3, 2), smooth=False,
         empty=((0, 3, 2),)),
    case("tensordot", mg.tensordot, np.tensordot, [(2, 3, 4), (3, 4, 2)],
         empty=((2, 0, 4), (0, 4, 2))),
    case("tensordot", lambda a, b: mg.tensordot(a, b, ((0, -1), (1, 0))),
         lambda a, b: np.tensordot(a, b, ((0, -1), (1, 0))), [(2, 3, 4), (4, 2)], note="pairs"),
    case("tensordot", lambda a, b: mg.tensordot(a, b, 0), lambda a, b: np.tensordot(a, b, 0),
         [(2,), (3,)], note="outer"),
    case("tensordot", lambda a, b: mg.tensordot(a, b, (1, 0)),
         lambda a, b: np.tensordot(a, b, (1, 0)), [(2, 3), (3,)], note="ints"),
    case("vecdot", mg.vecdot, lambda a, b: np.sum(a * b, -1), [(2, 3), (3,)], empty=((0, 3), (3,))),
    case("dot", mg.dot, np.dot, [(2, 3), (2, 3, 2)]),
    case("dot", mg.dot, np.dot, [(), (3,)], note="scalar"),
    case("outer", mg.outer, np.outer, [(2,), (3,)], empty=((0,), (3,))),
    case("cross", mg.cross, np.cross, [(2, 3), (3,)]),
    case("cross", lambda a, b: mg.cross(a, b, axis=0), lambda a, b: np.cross(a, b, axis=0),
         [(3, 2), (3, 2)], note="axis"),
    case("diagonal", lambda x: mg.diagonal(x, 1), lambda x: np.diagonal(x, 1, -2, -1), (2, 3, 4),
         empty=((0, 3, 3),)),
    case("diagonal", lambda x: mg.diagonal(x, -2, 0, 2), lambda x: np.diagonal(x, -2, 0, 2),
         (4, 2, 3), note="axes"),
    case("trace", lambda x: mg.trace(x, -1), lambda x: np.trace(x, -1), (3, 4)),
    *(case("matrix_power", lambda x, n=n: mg.matrix_power(x, n),
           lambda x, n=n: np.linalg.matrix_power(x, n), (2, 2), invertible, rtol=1e-12,
           note=str(n)) for n in (-2, -1, 1, 3, 5)),
    case("cholesky", lambda x: mg.cholesky(x, upper=True), lambda x: np.linalg.cholesky(x).T,
         (3, 3), definite, rtol=1e-12, note="upper"),
    case("stack", lambda a, b: mg.stack([a, b], 1), lambda a, b: np.stack([a, b], 1),
         [(2, 3), (2, 3)], empty=((0, 3), (0, 3))),
    case("expand_dims", lambda x: mg.expand_dims(x, (0, -1)), lambda x: np.expand_dims(x, (0, -1)),
         (2, 3), empty=((0,),)),
    case("squeeze", lambda x: mg.squeeze(x, (0, -1)), lambda x: np.squeeze(x, (0, -1)),
         (1, 2, 1, 1), empty=((1, 0, 1),)),
    case("squeeze", mg.squeeze, np.squeeze, (1, 2, 1), note="all"),
    case("matrix_transpose", mg.matrix_transpose, lambda x: np.swapaxes(x, -1, -2), (2, 3, 4)),
    case("swapaxes", lambda x: mg.swapaxes(x, 0, -1), lambda x: np.swapaxes(x, 0, -1), (2, 3, 4)),
    case("moveaxis", lambda x: mg.moveaxis(x, (0, 1), (-1, 0)),
         lambda x: np.moveaxis(x, (0, 1), (-1, 0)), (2, 3, 4)),
    case("roll", lambda x: mg.roll(x, -2, 1), lambda x: np.roll(x, -2, 1), (2, 3),
         empty=((2, 0),)),
    case("roll", lambda x: mg.roll(x, 4), lambda x: np.roll(x, 4), (2, 3), note="all"),
    case("repeat", lambda x: mg.repeat(x, 2), lambda x: np.repeat(x, 2), (2, 3), empty=((0, 3),)),
    case("repeat", lambda x: mg.repeat(x, [0, 2, 1], 1), lambda x: np.repeat(x, [0, 2, 1], 1),
         (2, 3), note="counts"),
    case("tile", lambda x: mg.tile(x, (2, 1, 3)), _tiled, (2, 3), empty=((0, 3),)),
    case("tile", lambda x: mg.tile(x, 2), lambda x: np.tile(x, 2), (2, 3), note="few"),
    case("unstack", lambda x: mg.unstack(x, 1)[2], lambda x: x[:, 2], (2, 3)),
    case("broadcast_arrays", lambda a, b: mg.broadcast_arrays(a, b)[0],
         lambda a, b: np.broadcast_arrays(a, b)[0], [(2, 1), (3,)], empty=((0, 1), (3,))),
    case("tril", lambda x: mg.tril(x, -1), lambda x: np.tril(x, -1), (2, 3, 3), empty=((0, 3),)),
    case("triu", lambda x: mg.triu(x, 1), lambda x: np.triu(x, 1), (3, 4), empty=((3, 0),)),
    case("diff", lambda x: mg.diff(x, axis=0, n=2), lambda x: np.diff(x, axis=0, n=2), (4, 2)),
    case("flip", mg.flip, np.flip, (2, 3), empty=((0, 3),)),
    case("flip", lambda x: mg.flip(x, -1), lambda x: np.flip(x, -1), (2, 3), note="axis"),
    case("take", lambda x: mg.take(x, [2, 0, -1], 1), lambda x: np.take(x, [2, 0, -1], 1), (2, 3)),
    case("take", lambda x, k: mg.take(x, k), lambda x, k: x[k], [(3,), (2, 2)],
         [SMOOTH, integers(0, 3)], note="symbolic", empty=((3,), (0,))),
    case("take_along_axis", lambda x, k: mg.take_along_axis(x, k, 0),
         lambda x, k: np.take_along_axis(x, k, 0), [(3, 2), (4, 2)], [SMOOTH, integers(0, 3)],
         empty=((3, 2), (0, 2))),
    case("clip", lambda x: mg.clip(x, -0.5, 0.5), lambda x: np.clip(x, -0.5, 0.5), (5,), _CLIPPED),
    case("clip", lambda x: mg.clip(x, max=-1.0), lambda x: np.clip(x, None, -1.0), (3,), _CLIPPED,
         smooth=False, note="outside"),
    case("positive", mg.positive, np.positive, (2,), empty=((0,),)),
    case("reciprocal", mg.reciprocal, np.reciprocal, (2, 3), signed(0.5, 2), empty=((0,),)),
]  # fmt: skip
