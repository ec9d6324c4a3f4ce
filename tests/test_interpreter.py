"""Graphs of small tensors, interpreted: the same as NumPy's, op by op and in graphs of any form."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import minigrad as mg

pytest.importorskip("llvmlite", reason="llvmlite, which the native backend needs, is not here")

from minigrad.compile.backends.native import elements, instructions, interpreter
from minigrad.compile.backends.native.lower import lower
from minigrad.compile.backends.native.pointwise import ELEMENTARY, ROWS, check
from minigrad.compile.backends.native.views import UnsupportedError
from minigrad.compile.backends.registry import MANY
from minigrad.graph.node import make

SPECIAL = [0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 0.5, -2.5, 3.5, 1e-310, 700.0, -30.0]


@pytest.fixture(autouse=True)
def _all_interpreted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interpreter, "MANY", 1)


def interpreted(inputs, outputs, **options):
    """The function, and by what its steps are computed."""
    f = mg.function(inputs, outputs, backend="native", simplify=False, **options)
    return f, [s.node.op.name for s in f.plan.steps if s.node.op.name != "item"]


def assert_same(a, b):
    """Equal to the bit, but for NaN, whatever its sign."""
    assert a.dtype == b.dtype and a.shape == b.shape
    assert_array_equal(a, b)
    if a.dtype.kind == "f":
        assert_array_equal(np.signbit(a) & ~np.isnan(a), np.signbit(b) & ~np.isnan(b))


def nodes_of(op, shape):
    """The op on variables of all dtypes for which it has a row: {node: variables}."""
    names = ["float64", "float32", "bool", "int64"]
    made = {}
    for kinds in (k for count in (1, 2, 3) for k in product(names, repeat=count)):
        label = "many" if shape else "one"
        variables = [mg.var(f"{label} {kind} {k}", shape, kind) for k, kind in enumerate(kinds)]
        for attrs in product(("float64", "float32"), repeat=len(op.attrs)):
            try:
                check(node := make(op, tuple(variables), tuple(map(np.dtype, attrs))))
            except (TypeError, UnsupportedError, mg.MinigradError):
                continue
            made[node] = variables
    return made


@pytest.mark.parametrize("op", ROWS, ids=lambda op: op.name)
def test_every_row_is_an_instruction(op):
    nodes = nodes_of(op, ()) | nodes_of(op, (len(SPECIAL),))
    variables = list(dict.fromkeys(v for of in nodes.values() for v in of))
    f, steps = interpreted(variables, list(nodes))
    assert steps == ["interpreted"] and len(nodes) >= 2
    reference = mg.function(variables, list(nodes), backend="numpy", simplify=False)
    with np.errstate(all="ignore"):
        for turn in range(len(SPECIAL)):
            values = []
            for v in variables:
                rolled = np.roll(SPECIAL, turn * int(v.name[-1]))
                cast = np.nan_to_num(rolled) if v.dtype.kind == "i" else rolled
                values.append((cast if v.shape else cast[turn]).astype(v.dtype))
            for a, b in zip(f(*values), reference(*values), strict=True):
                if op in ELEMENTARY:
                    fine = np.finfo(a.dtype)
                    assert_allclose(a, b, rtol=8 * fine.eps, atol=4 * fine.smallest_subnormal)
                else:
                    assert_same(a, b)


@st.composite
def graphs(draw):
    """Outputs of mixed dtypes and shapes, and their variables with values."""
    rng = np.random.default_rng(draw(st.integers(0, 1 << 32)))
    types = [((), "float64"), ((), "float32"), ((3,), "float64"), ((2, 3), "float32")]
    leaves = [mg.var(f"v{k}", *types[k % 4]) for k in range(8)]
    values = [rng.standard_normal(v.shape).astype(v.dtype) for v in leaves]
    made = [*leaves, mg.const(0.5), mg.const(np.array([1.0, -2.0, 3.0]))]
    for how in draw(st.lists(st.integers(0, 9), min_size=1, max_size=60)):
        a, b = (made[rng.integers(len(made))] for _ in range(2))
        made.append(_joined(how, a, b, rng))
    outputs = [made[k] for k in rng.integers(len(leaves), len(made), 4)]
    return [*outputs, made[-1], leaves[0]], leaves, values


def _joined(how, a, b, rng):
    if how == 0 and a.ndim:
        return a[rng.integers(a.shape[0])]
    if how == 1:
        return mg.astype(a, ["float32", "float64"][rng.integers(2)])
    if how == 2:
        return mg.reshape(mg.permute_dims(a, tuple(reversed(range(a.ndim)))), a.shape)
    if how == 3:
        return mg.where((a > b) | ~(b < 0.25), a, b)
    if how == 4:
        return -mg.abs(a)
    return [mg.add, mg.subtract, mg.multiply, mg.maximum, mg.add][how - 5](a, b)


@settings(max_examples=25)
@given(graphs(), st.booleans())
def test_random_graphs(case, in_runs):
    outputs, leaves, values = case
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(elements, "RUN", 0 if in_runs else 1000)
        f, steps = interpreted(leaves, outputs)
    reference = mg.function(leaves, outputs, backend="numpy", simplify=False)
    assert steps.count("interpreted") <= 1 and set(steps) <= VIEWS
    for _ in range(2):  # memory of a call is used again
        for a, b in zip(f(*values), reference(*values), strict=True):
            assert_same(a, b)
        values = [-2 * v for v in values]


VIEWS = {"interpreted", "broadcast_to", "reshape", "permute_dims", "getitem"}


def test_gradients_of_a_net_of_scalars():
    rng = np.random.default_rng(0)
    weights = [[mg.var(f"w{j}{k}") for k in range(3)] for j in range(4)]
    last = [mg.var(f"u{j}") for j in range(4)]
    leaves = [w for row in weights for w in row] + last
    loss = mg.const(0.0)
    for x in rng.standard_normal((5, 3)):
        hidden = [
            mg.relu(sum(w * float(z) for w, z in zip(row, x, strict=True))) for row in weights
        ]
        loss = loss + mg.square(mg.tanh(sum(u * h for u, h in zip(last, hidden, strict=True))))
    outputs = [loss, *mg.grad(loss, leaves)]
    f, steps = interpreted(leaves, outputs)
    at = rng.standard_normal(len(leaves))
    expected = mg.function(leaves, outputs, backend="numpy")(*at)
    assert steps == ["interpreted"]
    assert_allclose(f(*at), expected, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sums_products_and_what_only_moves(dtype, monkeypatch):
    monkeypatch.setattr(interpreter, "SMALL", 100)
    a, b = mg.var("a", (2, 3, 4), dtype), mg.var("b", (4, 2), dtype)
    outputs = [
        mg.sum(a), mg.sum(a, axis=1), mg.max(a, axis=(0, 2)), mg.min(a), mg.sum(a[:, :1], axis=1),
        a @ b, b @ a[0, :2], mg.matmul(b[:, 0], b), mg.concat([b, a[0, :2, 2:], b * 2.0]),
        mg.stack([a[0, 0, 0], b[1, 1], a[1, 2, 3]]), mg.const(np.eye(4, dtype=dtype)) @ b,
        mg.grad(mg.sum(a[:, 1:, ::2] * 3.0), a), mg.stack([b[0, 0] > b[0, 1], b[1, 0] > b[1, 1]]),
    ]  # fmt: skip
    f, steps = interpreted([a, b], outputs)
    assert set(steps) == {"interpreted", "reshape"}
    rng = np.random.default_rng(0)
    values = [rng.standard_normal(v.shape).astype(dtype) for v in (a, b)]
    expected = mg.function([a, b], outputs, backend="numpy")(*values)
    for got, wanted in zip(f(*values), expected, strict=True):
        assert got.dtype == wanted.dtype and got.shape == wanted.shape
        assert_allclose(got, wanted, rtol=100 * np.finfo(dtype).eps)


def test_whole_powers_are_products():
    x = mg.var("x", (6,))
    powers = [x**k for k in (2.0, 3.0, 4.0, -1.0, 1.5)]
    left = [{n.op.name for n in mg.toposort(y)} for y in lower(powers)]
    assert ["pow" in names for names in left] == [False, False, False, False, True]
    f, steps = interpreted([x], powers)
    assert set(steps) == {"interpreted"}
    at = np.array([0.0, -0.0, np.inf, -1.7, 1e-80, 3e50])
    with np.errstate(all="ignore"):
        for k, got in zip((2.0, 3.0, 4.0, -1.0, 1.5), f(at), strict=True):
            assert_allclose(got, np.power(at, k), rtol=5e-16)


def test_params_are_updated_together():
    a, b = mg.param("a", 2.0), mg.param("b", np.array([3.0, 4.0]))
    f, steps = interpreted([], [a + 1.0], updates={a: mg.sum(b) * a, b: b * a})
    assert steps == ["interpreted"]
    assert f() == [3.0]
    assert_array_equal(a.value, 14.0)
    assert_array_equal(b.value, [6.0, 8.0])


def test_what_waits_for_other_ops_is_a_part_of_its_own():
    x = mg.var("x", (3,))
    y = mg.cumulative_sum(x * 2.0) + 1.0
    f, steps = interpreted([x], [y, mg.cumulative_sum(y) * x])
    assert steps == [
        "interpreted",
        "cumulative_sum",
        "interpreted",
        "cumulative_sum",
        "interpreted",
    ]
    expected = np.cumsum(np.array([2.0, 4.0, 6.0])) + 1
    got = f([1.0, 2.0, 3.0])
    assert_array_equal(got[0], expected)
    assert_array_equal(got[1], np.cumsum(expected) * [1, 2, 3])


def test_few_ops_large_ones_and_large_sources_are_not_interpreted(monkeypatch):
    def is_interpreted(inputs, outputs):
        return "interpreted" in interpreted(inputs, outputs)[1]

    x, y, large = mg.var("x", (1025,)), mg.var("y", (17,)), mg.var("large", ((1 << 16) + 1,))
    assert not is_interpreted([x], x * 2.0)
    assert not is_interpreted([large], large[3] * 2.0)
    assert not is_interpreted([y], y * 2.0)
    assert is_interpreted([y], [y * 2.0, y[0] * 2.0])  # 9 elements an op
    monkeypatch.setattr(interpreter, "MANY", 3)
    assert not is_interpreted([y], mg.tanh(y[0]) * 2.0)
    assert is_interpreted([y], mg.tanh(y[0]) * 2.0 + 1.0)


def test_auto_interprets_many_small_ops_and_no_others(monkeypatch):
    monkeypatch.setattr(interpreter, "MANY", MANY)
    monkeypatch.setattr("minigrad.compile.backends.cost.CALLS", 1000)
    x, wide = mg.var("x"), mg.var("wide", (100,))

    def is_interpreted(v, count):
        y = v
        for _ in range(count):
            y = mg.abs(y - 0.5)
        return any(s.node.op is interpreter.INTERPRETED for s in mg.function([v], y).plan.steps)

    assert is_interpreted(x, MANY // 2)
    assert not is_interpreted(x, MANY // 2 - 1)
    assert not is_interpreted(wide, MANY)


def test_threads_share_a_function():
    x, y = mg.var("x"), mg.var("y")
    z = x
    for k in range(300):
        z = z * 0.5 + y if k % 2 else z - y * 0.25
    f, _ = interpreted([x, y], [z, mg.grad(z, y)])
    pairs = [(float(a), float(b)) for a, b in np.random.default_rng(0).standard_normal((200, 2))]
    alone = [f(*pair) for pair in pairs]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda pair: f(*pair), pairs)) == alone


def test_a_graph_of_known_instructions_compiles_nothing(monkeypatch):
    x = mg.var("x")

    def chained(steps):
        y = x
        for _ in range(steps):
            y = (y + x) * 0.5
        return interpreted([x], [y, mg.grad(y, x)])

    def refuse(*_, **__):
        raise AssertionError("LLVM was asked")

    chained(20)
    monkeypatch.setattr(instructions, "compile_module", refuse)
    f, steps = chained(500)
    assert steps == ["interpreted"]
    value, slope = f(3.0)
    assert value == pytest.approx(3.0) and slope == pytest.approx(1.0)


def test_only_an_element_alone_is_handed_over():
    x, y = mg.var("x"), mg.var("y")
    products = [x * y, y * y, x * x]
    f, _ = interpreted([x, y], [*products, products[0] - x])
    assert f(3.0, 5.0) == [15.0, 25.0, 9.0, 12.0]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_chains_hand_over_either_operand_or_both(dtype):
    x, y = mg.var("x", (), dtype), mg.var("y", (), dtype)
    z = x
    chain = []
    for k in range(12):
        z = [z - y, y - z, z * z, mg.where(z > y, z, x), mg.sign(z) + z, y / z][k % 6]
        chain.append(z)
    f, _ = interpreted([x, y], chain)
    reference = mg.function([x, y], chain, backend="numpy", simplify=False)
    for at in [(1.5, 0.25), (-3.0, 1.0), (0.125, 0.5)]:
        for a, b in zip(f(*at), reference(*at), strict=True):
            assert_same(a, b)


def test_a_report_says_what_is_interpreted():
    x = mg.var("x")
    f, _ = interpreted([x], mg.exp(x) * 2.0 + 1.0)
    assert "3 small ops, interpreted" in str(f.report())
