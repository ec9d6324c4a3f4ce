"""Random graphs: the native backend stays within 2 ulp an op of NumPy, and the bound would tell.

The reference is NumPy in long double on the graph as it was built. The bound is worked out on the
graph as it runs, op by op: every error that the operands may have is carried through, at the
corners of their intervals, and then the op adds its own: half an ulp for arithmetic, 2 for
elementary functions, nothing for what only moves or selects, and for sums and products what
adding in any order may lose. Nothing is tuned: an op that is a few ulp wrong fails.

Where a comparison is within the bound of the other answer, a graph jumps and no bound holds: such
examples are skipped.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from workers import share_all

import minigrad as mg

pytest.importorskip("llvmlite", reason="llvmlite, which the native backend needs, is not here")

from minigrad.compile.backends.native.vecmath import FUNCTIONS
from minigrad.graph.leaves import CONST

Array = NDArray[Any]
Draw = Callable[..., Any]
T = TypeVar("T")

# --- the bound ---------------------------------------------------------------------------------

LONG = np.longdouble
# Of the reference's rounding errors to those of float64.
REFERENCE = float(np.finfo(LONG).eps) / float(np.finfo(np.float64).eps)
MOVES = {"reshape", "broadcast_to", "permute_dims", "getitem", "concat", "stop_gradient"}
EXACT = {"negative", "abs", "relu", "maximum", "minimum", "sign", "copysign"}
OTHERS = 8.0  # ulp of an elementary function that NumPy computes, in the functions' own dtype


class UndecidedError(Exception):
    """An error within the bound may change what a comparison says, so no bound holds beyond it."""


def _require(decided: bool) -> None:
    if not decided:
        raise UndecidedError


class Known(NamedTuple):
    """A value in long double, and how far from it a computed one may be."""

    value: Any
    error: Any


def exactly(value: Any) -> Known:
    array = np.asarray(value)
    return Known(array.astype(LONG) if array.dtype.kind == "f" else array, np.zeros(array.shape))


def erf(x: Array) -> Array:
    """2/√π e^(-x²) Σ 2ⁿ x^(2n+1) / (2n+1)!!, all terms of one sign: NumPy's knows 53 bits only."""
    term = total = x = np.clip(x, -7, 7)
    for n in range(1, 220):
        term = term * (2 * x * x / (2 * n + 1))
        total = total + term
    result: Array = 2 / np.sqrt(np.arccos(LONG(-1))) * np.exp(-x * x) * total
    return result


class Bound:
    """Values and bounds of a graph's nodes, for code that leaves some functions to NumPy."""

    def __init__(self, on_numpy: Collection[str] = ()) -> None:
        self._on_numpy = on_numpy

    def of(self, outputs: Sequence[mg.Expr], at: Mapping[mg.Expr, Known]) -> list[Known]:
        known: dict[mg.Expr, Any] = dict(at)
        with np.errstate(all="ignore"):
            for node in mg.toposort(outputs):
                if node not in known:
                    known[node] = self._node(node, [known[a] for a in node.args])
        return [known[o] for o in outputs]

    def _node(self, node: mg.Expr, args: list[Any]) -> Any:
        name = node.op.name
        if node.op is CONST:
            return exactly(node.value)
        if name in ("item", "tuple"):
            return args[0][node.attrs[0]] if name == "item" else args
        if name == "scan":
            return self._scan(node, args)
        if name in MOVES or (name == "scatter" and len(args) == 1):
            return _moved(node, args)
        if node.op.pointwise and node.dtype == np.bool_:
            return _tested(node, args)
        if name == "where":
            (test, _), a, b = args
            return Known(np.where(test, a.value, b.value), np.where(test, a.error, b.error))
        if name in SUMMED:
            return SUMMED[name](node, *args)
        if name == "astype":
            error = args[0].error if node.args[0].type.is_float else LONG(0)
            return _rounded(node, args[0].value.astype(LONG), error, 0.5)
        assert node.op.pointwise, f"no bound is known for {name}"
        return self._pointwise(node, args)

    def _pointwise(self, node: mg.Expr, args: list[Known]) -> Known:
        """Ops that are monotonic in each operand: the corners of an interval are its extremes."""
        name = node.op.name
        pole = {"sign": 0, "copysign": 1, "divide": 1}.get(name)
        if pole is not None:
            _require(_apart(args[pole], exactly(0.0), touching=name == "sign"))
        compute = erf if name == "erf" else node.op.numpy
        value = compute(*[v for v, _ in args])
        corners = itertools.product(*[(v - e, v + e) for v, e in args])
        error = np.max([np.abs(compute(*corner) - value) for corner in corners], axis=0)
        return _rounded(node, value, error, self._ulps(name))

    def _ulps(self, name: str) -> float:
        if name in FUNCTIONS:
            return OTHERS if name in self._on_numpy else 2.0
        return 0.0 if name in EXACT else 0.5

    def _scan(self, node: mg.Expr, args: list[Known]) -> list[Known]:
        (loop,) = node.attrs
        body, length = loop.body, loop.length
        carries, xs, constants = body.split(args)
        rows: dict[int, list[Known]] = {}
        for t in reversed(range(length)) if loop.reverse else range(length):
            given = [*carries, *(Known(v[t], e[t]) for v, e in xs), *constants]
            found = self.of(body.outputs, dict(zip(body.inputs, given, strict=True)))
            carries, rows[t] = found[: body.n_carry], found[body.n_carry :]
        columns = zip(*(rows[t] for t in range(length)), strict=True)
        ys = [Known(*map(np.stack, zip(*column, strict=True))) for column in columns]
        return [*carries, *ys]


def _rounded(node: mg.Expr, value: Array, error: Any, ulps: float) -> Known:
    """The error with an op's own; in loops, results below the least normal number are 0."""
    if not ulps:
        return Known(value, error)
    ulp = np.spacing((np.abs(value) + error).astype(node.dtype)).astype(LONG)
    return Known(value, error + ulps * ulp + LONG(np.finfo(node.dtype).smallest_normal))


def _apart(a: Known, b: Known, touching: bool) -> bool:
    """Whether no error can change how a and b compare; touching: equal is an answer, if exact."""
    distance, error = np.abs(a.value - b.value), a.error + b.error
    return bool(np.all((distance > error) | (touching & (error == 0))))


def _moved(node: mg.Expr, args: list[Known]) -> Known:
    operands = [
        a if n.type.is_float else Known(a.value, a.value)
        for n, a in zip(node.args, args, strict=True)
    ]
    values, errors = zip(*operands, strict=True)
    return Known(node.op.numpy(*values, *node.attrs), node.op.numpy(*errors, *node.attrs))


def _tested(node: mg.Expr, args: list[Known]) -> Known:
    if node.args[0].type.is_float and node.args[0] is not node.args[1]:
        _require(_apart(args[0], args[1], touching=True))
    return exactly(node.op.numpy(*[v for v, _ in args]))


def _half_ulps(node: mg.Expr, count: Any) -> Any:
    """The relative error of `count` roundings one after another."""
    return count * LONG(np.finfo(node.dtype).eps) / 2


def _added(node: mg.Expr, x: Known, *indices: Known) -> Known:
    """Sums over axes, running sums, and sums by index; those that are no floats are exact."""
    taken = [v for v, _ in indices]
    if not node.type.is_float:
        return exactly(node.op.numpy(x.value, *taken, *node.attrs))
    sizes, ones = np.abs(x.value) + x.error, np.ones_like(x.value)
    value, error, size, terms = (node.op.numpy(a, *taken, *node.attrs) for a in (*x, sizes, ones))
    lost = _half_ulps(node, np.maximum(terms - 1, 0)) * size
    return Known(value, error + lost + LONG(np.finfo(node.dtype).smallest_normal))


def _matmul(node: mg.Expr, a: Known, b: Known) -> Known:
    left, right = np.abs(a.value), np.abs(b.value) + b.error
    lost = _half_ulps(node, a.value.shape[-1]) * ((left + a.error) @ right)
    error = left @ b.error + a.error @ right + lost
    return Known(a.value @ b.value, error + LONG(np.finfo(node.dtype).smallest_normal))


SUMMED: dict[str, Callable[..., Known]] = {
    "sum": _added,
    "cumulative_sum": _added,
    "scatter": _added,
    "matmul": _matmul,
}


# --- the claim ---------------------------------------------------------------------------------


class Case(NamedTuple):
    """A graph, its inputs, values for them, and in how many threads it runs."""

    inputs: list[mg.Expr]
    outputs: list[mg.Expr]
    values: list[Array]
    threads: int = 1


def reference(case: Case) -> list[Known]:
    """What the graph gives as it was built. Raises UndecidedError."""
    built = Bound().of(case.outputs, _start(case))
    _require(all(np.all(np.isfinite(y.value)) for y in built))
    return built


def _start(case: Case) -> dict[mg.Expr, Known]:
    return {v: exactly(x) for v, x in zip(case.inputs, case.values, strict=True)}


def excess(case: Case, built: list[Known], f: mg.Function, found: Sequence[Any]) -> float:
    """The largest error of what a function gave, as a part of what its ops may lose."""
    on_numpy = frozenset(FUNCTIONS) if f.notes else {s.node.op.name for s in f.plan.steps}
    run = Bound(on_numpy).of(f.outputs, _start(case))
    worst = 0.0
    for y, exact, bound in zip(found, built, run, strict=True):
        limit = bound.error + REFERENCE * exact.error
        _require(bool(np.all(np.isfinite(limit))))
        error = np.abs(np.asarray(y).astype(LONG) - exact.value)
        parts = np.divide(error, limit, out=np.where(error > 0, np.inf, LONG(0)), where=limit > 0)
        assert not np.isnan(parts).any()
        worst = max(worst, float(np.max(parts, initial=0.0)))
    return worst


def check(case: Case) -> None:
    try:
        built = reference(case)  # before anything is compiled
    except UndecidedError:
        reject()
    with pytest.MonkeyPatch.context() as patch:
        if case.threads > 1:
            share_all(patch)
        f = mg.function(case.inputs, case.outputs, backend="native", threads=case.threads)
        found = f(*case.values)
    assert [y.dtype for y in found] == [o.dtype for o in case.outputs]
    assert [y.shape for y in found] == [o.shape for o in case.outputs]
    try:
        assert excess(case, built, f, found) <= 1.0
    except UndecidedError:
        reject()
    assert f.notes == []


# --- random graphs -----------------------------------------------------------------------------

# Scalars, less than a vector, a vector's width, and past it with odd tails.
SHAPES = [(), (1,), (3,), (2, 3), (17,), (5, 1), (33, 4), (1, 16), (4, 5), (2, 3, 5), (3, 37)]
LARGEST = 400  # elements

# Each keeps what lies within ±3 there, about: nothing overflows, and no error grows much.
UNARY: list[Callable[[mg.Expr], mg.Expr]] = [
    mg.tanh,
    mg.sigmoid,
    mg.softplus,
    mg.erf,
    mg.relu,
    mg.stop_gradient,
    abs,
    lambda x: -x,
    lambda x: 0.5 * x - 1.0,
    lambda x: mg.exp(mg.tanh(x)),
    lambda x: mg.exp(-mg.square(x)),
    lambda x: mg.expm1(mg.erf(x)),
    lambda x: mg.log(x * x + 0.5),
    lambda x: mg.log1p(mg.square(x)),
    lambda x: mg.sqrt(mg.square(x) + 0.5),
    lambda x: 1.0 / (1.0 + x * x),
    lambda x: mg.sign(x - 0.1) * mg.tanh(x),
    lambda x: mg.where(x > 0.3, mg.tanh(x), 0.25),
    lambda x: mg.where(mg.logical_not(x <= -0.2), x, -x),
]
BINARY: list[Callable[[mg.Expr, mg.Expr], mg.Expr]] = [
    lambda x, y: 0.5 * (x + y),
    lambda x, y: (x - y) / 2.0,
    lambda x, y: x * mg.tanh(y),
    lambda x, y: x * y / (1.0 + mg.square(y)),
    lambda x, y: x / (1.5 + abs(y)),
    mg.maximum,
    mg.minimum,
    lambda x, y: mg.copysign(x, y - 0.3),
    lambda x, y: mg.where(x < y, x, 0.5 * y),
    lambda x, y: mg.where((x >= -1.0) & (y < 1.0), y, x),
    lambda x, y: mg.where((x != y) | (y > 0.5), x, -y),
]
# For operands of at least one axis; none changes how large elements are.
SHAPED: list[Callable[[mg.Expr], mg.Expr]] = [
    lambda x: mg.mean(x),
    lambda x: mg.mean(x, 0),
    lambda x: mg.mean(x, -1, keepdims=True),
    lambda x: mg.reshape(x, -1),
    lambda x: mg.reshape(x, x.shape[::-1]),
    lambda x: mg.permute_dims(x, (*range(1, x.ndim), 0)),
    lambda x: mg.permute_dims(x),
    lambda x: x[1:] if x.shape[0] > 1 else x[None],
    lambda x: x[..., ::-1],
    lambda x: x[..., ::2],
    lambda x: x[-1],
    lambda x: mg.broadcast_to(x, (2, *x.shape)),
    lambda x: mg.concat([x, 0.5 * x[:1]]),
    lambda x: mg.concat([x, x[::-1] + 1.0, mg.zeros(x.shape, x.dtype)], -1),
]


def fit(x: mg.Expr, shape: tuple[int, ...]) -> mg.Expr:
    """An expression brought to a shape: broadcast, reshaped, or its mean."""
    if x.shape == shape:
        return x
    if x.size == int(np.prod(shape)):
        return mg.reshape(x, shape)
    tail = shape[len(shape) - x.ndim :] if x.ndim <= len(shape) else ()
    if x.ndim <= len(shape) and all(n in (1, m) for n, m in zip(x.shape, tail, strict=True)):
        return mg.broadcast_to(x, shape)
    return mg.broadcast_to(mg.mean(x), shape)


def product(x: mg.Expr, y: mg.Expr) -> mg.Expr:
    """A product of two matrices made of x and y, as small as its operands."""
    a = x if x.ndim == 2 else mg.reshape(x, (-1, x.shape[-1] if x.ndim else 1))
    b = y if y.ndim == 2 else mg.reshape(y, (1, -1))
    if a.shape[1] == b.shape[0]:
        return a @ b / a.shape[1]
    if a.shape[1] == b.shape[1]:
        return a @ mg.tanh(b).T / a.shape[1]
    return a.T @ mg.tanh(a) / a.shape[0]


def products(x: mg.Expr, y: mg.Expr) -> mg.Expr:
    """A stack of products made of x and y: of as many matrices on both sides, or of one for all."""
    a = mg.reshape(x, (-1, *x.shape[-2:])) if x.ndim > 2 else mg.broadcast_to(x, (2, *x.shape))
    fits = y.shape[-2:-1] == a.shape[-1:] and y.shape[:-2] in ((), a.shape[:1])
    b = y if fits else mg.permute_dims(a, (0, 2, 1))
    return a @ mg.tanh(b) / a.shape[-1]


BY_ELEMENT = ["unary"] * 3 + ["binary"] * 3 + ["masked", "counted"]
KINDS = [*BY_ELEMENT, "shaped", "shaped", "product", "products", "gathered"]


class Growing:
    """A random graph that grows, and the inputs that it asks for: floats, masks and integers."""

    def __init__(self, draw: Draw) -> None:
        self.draw = draw
        self.rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
        self.inputs: list[mg.Expr] = []
        self.values: list[Array] = []

    def one_of(self, options: Sequence[T]) -> T:
        found: T = self.draw(st.sampled_from(options))
        return found

    def input(self, value: Array) -> mg.Expr:
        self.values.append(value)
        self.inputs.append(mg.var(f"v{len(self.inputs)}", value.shape, value.dtype.name))
        return self.inputs[-1]

    def mask(self, shape: tuple[int, ...]) -> mg.Expr:
        return self.input(self.rng.random(shape) < 0.5)

    def integers(self, low: int, high: int, shape: tuple[int, ...]) -> mg.Expr:
        return self.input(self.rng.integers(low, high, shape))

    def grow(self, pool: list[mg.Expr], steps: int, kinds: Sequence[str]) -> None:
        """Add nodes of some kinds, made of what is in the pool."""
        for _ in range(steps):
            x = self.one_of(pool[-4:])
            alike = [p for p in pool if p.dtype == x.dtype]
            y = self.one_of(alike)
            kind = self.one_of(kinds)
            if kind == "loop" and x.ndim:
                made = self.looped(x, y, alike)
            else:
                made = [self.made(kind, x, y)]
            pool.extend(m for m in made if m.size <= LARGEST)

    def made(self, kind: str, x: mg.Expr, y: mg.Expr) -> mg.Expr:
        """A node of some kind, or a function of x where none of that kind can be made."""
        if kind == "product":
            return product(x, y)
        if kind == "products" and x.ndim > 1:
            return products(x, y)
        if kind == "masked":
            mask = self.mask(x.shape[self.draw(st.integers(0, x.ndim)) :])
            return mg.where(mask & (x < 0.5), x, fit(y, x.shape)) * mg.astype(mask, x.dtype)
        if kind == "counted":
            return x * (mg.astype(self.integers(-3, 4, x.shape), x.dtype) / 2.0)
        if kind == "gathered" and x.ndim:
            n = x.shape[0]
            return x[self.integers(-n, n, self.one_of([(), (3,), (n + 1,), (2, 2)]))]
        if kind == "shaped" and x.ndim:
            return self.one_of(SHAPED)(x)
        if kind == "binary":
            return self.one_of(BINARY)(x, fit(y, x.shape))
        return self.one_of(UNARY)(x)

    def looped(self, x: mg.Expr, start: mg.Expr, pool: list[mg.Expr]) -> list[mg.Expr]:
        """The results of a loop of random steps over x, with two carries and a constant.

        A step may read rows of the constant by indices of its own; or none mixes rows of 5 × 4, and
        threads can share them.
        """
        xs = x[:7]
        length = xs.shape[0]
        other, constant = self.one_of(pool), self.one_of(pool)
        by_rows, looks_up = self.draw(st.booleans()), self.draw(st.booleans())
        if by_rows:
            start, other, constant = (fit(v, (5, 4)) for v in (start, other, constant))
            xs = fit(xs, (length, 5, 4))
        looks_up = looks_up and not by_rows and constant.ndim > 0
        rows = constant.shape[0] if looks_up else 1
        which = self.integers(-rows, rows, (length, 3))
        steps, checkpoint = self.draw(st.integers(2, 5)), self.one_of([None, None, True, 2])

        def step(carry: Any, now: Any) -> tuple[Any, mg.Expr]:
            inner = [constant[now[1]] if looks_up else constant, now[0], *carry]
            self.grow(inner, steps, BY_ELEMENT if by_rows else KINDS)
            following = [fit(n, c.shape) for n, c in zip(inner[-2:], carry, strict=True)]
            return tuple(following), inner[-1]

        options = {"reverse": self.draw(st.booleans()), "checkpoint": checkpoint}
        (a, b), ys = mg.scan(step, (start, other), (xs, which), **options)
        return [a, b, ys]


@st.composite
def cases(draw: Draw) -> Case:
    """A random graph that gives out what none of its nodes reads, and a few that some do."""
    growing = Growing(draw)
    dtypes = draw(st.sampled_from([["float32"], ["float64"], ["float32", "float64"]]))
    for k, shape in enumerate(draw(st.lists(st.sampled_from(SHAPES), min_size=2, max_size=4))):
        growing.input(growing.rng.uniform(-2, 2, shape).astype(dtypes[k % len(dtypes)]))
    pool = list(growing.inputs)
    first = len(pool)
    growing.grow(pool, draw(st.integers(6, 16)), [*KINDS, "loop", "loop"])
    made = pool[first:]
    read = {a for n in mg.toposort(made) for a in n.args}
    inner = draw(st.lists(st.sampled_from(made), max_size=3))
    outputs = list(dict.fromkeys([*(n for n in made if n not in read), *inner]))
    return Case(growing.inputs, outputs, growing.values, draw(st.sampled_from([1, 2])))


def sample(dtype: str) -> Case:
    """Every op that has native code, not far from an output; some in a loop. No sum is long.

    Booleans that are put by index are NumPy's between blocks: second derivatives ask for them.
    """
    shapes = [(5, 17), (17,), (4, 4), (4, 4)]
    x, y, w, u = inputs = [mg.var(n, s, dtype) for n, s in zip("xywu", shapes, strict=True)]
    rng = np.random.default_rng(0)
    values = [rng.uniform(-1, 1, v.shape).astype(dtype) for v in inputs]
    k = mg.var("k", (3,), "int64")
    last, ys = mg.scan(lambda h, z: (mg.tanh(h + z), h * z), 0.5 * u, mg.stack([w, u]))
    outputs = [
        mg.exp(-mg.square(x)) / (1.0 + mg.exp(y)),
        mg.log(mg.square(x) + 2.0),
        mg.sqrt(abs(x)) - y,
        mg.where(x < y, mg.maximum(x, y), mg.log1p(mg.relu(x))),
        mg.copysign(mg.expm1(x), y),
        mg.minimum(mg.erf(x), mg.sigmoid(y)),
        mg.sign(x) * mg.softplus(x + y),
        mg.sum(w * u, 1),
        mg.concat([w @ u, mg.cumulative_sum(w, 1)], 1),
        mg.stack([w, u]) @ mg.stack([u, w]),
        mg.zeros(4, dtype).at[k].add(y[k] * mg.astype(k, dtype)),
        mg.where(mg.full(4, False).at[k].add(x[0, :3] > 0.0), w, u),
        last,
        ys[:, 1:],
    ]
    return Case([*inputs, k], outputs, [*values, np.array([2, -1, 2])])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_an_op_4_to_8_ulp_wrong_is_beyond_the_bound(dtype: str) -> None:
    case = sample(dtype)
    built = reference(case)
    f = mg.function(case.inputs, case.outputs, backend="native")
    assert excess(case, built, f, f(*case.values)) <= 1.0
    plain = mg.unroll(case.outputs)  # so that one step of a loop can be wrong
    ops = [n for n in mg.toposort(plain) if n.type.is_float and n.args and n.op.name not in MOVES]
    off = 1.0 + 4.0 * float(np.finfo(dtype).eps)
    wrong = [mg.substitute(plain, {n: n * off}) for n in ops]
    found = mg.function(case.inputs, wrong, backend="numpy", simplify=False)(*case.values)
    assert len(ops) > 30
    assert [n for n, ys in zip(ops, found, strict=True) if excess(case, built, f, ys) <= 1.0] == []


@given(cases())
@pytest.mark.slow
def test_random_graphs(case: Case) -> None:
    check(case)


@settings(max_examples=settings.default.max_examples // 2)  # each compiles for half a second
@given(cases())
@pytest.mark.slow
def test_gradients_of_random_graphs(case: Case) -> None:
    loss = mg.const(0.0)
    for output in case.outputs:
        loss = loss + mg.sum(output * output)
    floats = [v for v in case.inputs if v.type.is_float]
    check(case._replace(outputs=[*case.outputs, *mg.grad(loss, floats)]))
