"""What machine code is given: arrays of the types that the graph says, whoever made them.

It reads as many bytes as a type says, so that anything else would be read out of bounds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

import minigrad as mg
from minigrad.graph.node import OPS, make
from minigrad.ops.tuples import item
from minigrad.types import TupleType

pytest.importorskip("llvmlite", reason="the native backend needs llvmlite")

N = 4000
AT = np.linspace(-1, 1, N)


@pytest.fixture
def register() -> Iterator[Callable[..., mg.Op]]:
    """Registers an op for one test: what its `numpy` returns, and its type rule."""
    made: list[str] = []

    def one(numpy: Callable[..., Any], infer: Callable[..., Any] = lambda t: t) -> mg.Op:
        op = mg.register(mg.Op(f"test_own_{len(made)}", infer, numpy, no_gradient=True))
        made.append(op.name)
        return op

    yield one
    for name in made:
        del OPS[name]


def tanh_loop(start: mg.Expr, steps: int = 3) -> mg.Expr:
    last, _ = mg.scan(lambda c, _: (mg.tanh(c + 1), None), start, length=steps)
    return last


def after_steps(start: np.ndarray, steps: int = 3) -> np.ndarray:
    for _ in range(steps):
        start = np.tanh(start + 1)
    return start


WRONG = {
    "float32": (lambda x: x.astype(np.float32), r"float32\(4000,\)"),
    "fewer": (lambda x: x[:2], r"float64\(2,\)"),
    "an axis more": (lambda x: x[None], r"float64\(1, 4000\)"),
    "a list": (lambda x: [1.0, 2.0], r"float64\(2,\)"),
    "other byte order": (lambda x: x.astype(">f8"), r">f8\(4000,\)"),
    "nothing": (lambda x: None, r"object\(\)"),
}


@pytest.mark.parametrize("kind", WRONG)
@pytest.mark.parametrize("threads", [1, 2])
def test_an_own_op_that_returns_another_type_is_refused_by_name(register, kind, threads) -> None:
    numpy, got = WRONG[kind]
    op = register(numpy)
    x = mg.var("x", (N,))
    f = mg.function([x], tanh_loop(op(x)), backend="native", threads=threads)
    assert f.notes == []
    says = rf"NumPy computed {got} for op {op.name}, of which the graph says float64\(4000,\)"
    with pytest.raises(mg.GraphError, match=f"{says}: the `numpy` of {op.name}"):
        f(AT)


def test_an_own_op_that_keeps_to_its_type_is_computed_with(register) -> None:
    """In whatever order its result lies in memory, or as a number."""
    turned = register(lambda x: np.asfortranarray(x))
    number = register(lambda x: float(x[0]), lambda t: t.with_shape(()))
    x = mg.var("x", (N,))
    start = turned(mg.reshape(x, (40, 100))) + number(x)
    f = mg.function([x], tanh_loop(start), backend="native")
    assert_allclose(f(AT), after_steps(AT.reshape(40, 100) + AT[0]), rtol=1e-13)


def test_a_view_of_what_an_own_op_returns_is_looked_at(register) -> None:
    op = register(lambda x: x.astype(np.float32))
    x = mg.var("x", (40, 100))
    # Threads share the loop, which reads the transposed array where it lies.
    f = mg.function([x], tanh_loop(op(x).T, 5000), backend="native", threads=2)
    with pytest.raises(mg.GraphError, match=f"float32.* op {op.name}"):
        f(AT.reshape(40, 100))


def test_each_result_of_an_own_op_is_looked_at(register) -> None:
    """Also one that nobody reads: what its record says of it is wrong all the same."""
    op = register(lambda x: (x, x[:3]), lambda t: TupleType((t, t)))
    x = mg.var("x", (N,))
    both = make(op, (x,), ())
    for k in (0, 1):
        f = mg.function([x], tanh_loop(item(both, k)), backend="native")
        with pytest.raises(mg.GraphError, match=rf"float64\(3,\) for result 1 of op {op.name}"):
            f(AT)


def test_a_loop_on_numpy_that_holds_an_own_op_is_looked_at(register) -> None:
    op = register(lambda x: x[:5])
    x = mg.var("x", (N,))
    inner, _ = mg.scan(lambda c, _: (op(c), None), x, length=1)
    f = mg.function([x], tanh_loop(inner), backend="native")
    with pytest.raises(mg.GraphError, match=rf"float64\(5,\) for op {op.name}"):
        f(AT)


class Elsewhere:
    """A storage that gives what it was given."""

    def __init__(self, value: np.ndarray) -> None:
        self.value = value

    def load(self) -> np.ndarray:
        return self.value

    def store(self, value: np.ndarray) -> None:
        self.value = value


@pytest.mark.parametrize("backend", ["numpy", "native"])
@pytest.mark.parametrize("loaded", [np.ones(2), np.ones(N, np.float32)])
def test_a_storage_that_loads_another_type_is_refused_by_name(backend, loaded) -> None:
    w = mg.param("W", AT)
    w.attrs[1].storage = storage = Elsewhere(AT)
    f = mg.function([], tanh_loop(w), {w: 2 * w}, backend=backend)
    assert_allclose(f(), after_steps(AT))
    assert_allclose(w.value, 2 * AT)
    storage.value = loaded
    says = r"storage of param W loaded float\d\d\(\d+,\), .* float64\(4000,\); Elsewhere.load must"
    with pytest.raises(mg.GraphError, match=says):
        f()
    assert storage.value is loaded
