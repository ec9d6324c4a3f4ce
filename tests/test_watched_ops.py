"""Ops of users' own whose NumPy function breaks its word: said so by name, on every backend."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad.graph.node import OPS, make

X = mg.var("x", (4,))
AT = np.array([1.0, 2.0, 3.0, 4.0])


@pytest.fixture
def own() -> Iterator[Callable[..., mg.Op]]:
    names: list[str] = []

    def add(name: str, numpy: Callable[..., Any], **fields: Any) -> mg.Op:
        names.append(name)
        fields = {"no_gradient": True} | fields
        return mg.register(mg.Op(name, fields.pop("infer", lambda x: x), numpy, **fields))

    yield add
    for name in names:
        del OPS[name]


WRONG: dict[str, Callable[[Any], Any]] = {
    "float32(4,)": lambda x: x.astype("float32"),
    "float64(3,)": lambda x: x[:3].copy(),
    "float64()": lambda x: float(x.sum()),
    "float64(1, 4)": lambda x: x[None].copy(),
    "int64(4,)": lambda x: x.astype("int64"),
}


def in_loop(op: mg.Op) -> mg.Expr:
    return mg.scan(lambda c, _: (mg.tanh(op(c)), None), X, length=2)[0]


PLACES: dict[str, Callable[[mg.Op], Any]] = {
    "alone": lambda op: op(X),
    "inside": lambda op: mg.sum(op(X * 2.0)) + 1.0,
    "in a loop": in_loop,
    "of constants": lambda op: op(mg.const(AT)),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("made", WRONG)
@pytest.mark.parametrize("backend", ["numpy", "native", "check_finite"])
def test_a_result_of_another_type_is_named(own, made, place, backend):
    if backend == "native":
        pytest.importorskip("llvmlite", reason="the native backend needs llvmlite")
    op = own("test_liar", WRONG[made])
    checks = backend == "check_finite"
    f = mg.function(
        [X], PLACES[place](op), backend="numpy" if checks else backend, check_finite=checks
    )
    with pytest.raises(mg.GraphError) as caught:
        f(AT)
    message = str(caught.value)
    assert f"NumPy computed {made} for op test_liar" in message
    assert "of which the graph says float64(4,)" in message


def test_it_is_looked_at_in_every_call(own):
    op = own("test_moody", lambda x: x if x[0] > 0 else x[:2])
    f = mg.function([X], op(X), backend="numpy")
    np.testing.assert_array_equal(f(AT), AT)
    with pytest.raises(mg.GraphError, match=r"float64\(2,\) for op test_moody"):
        f(-AT)
    np.testing.assert_array_equal(f(AT), AT)


def writes(x: Any) -> Any:
    x *= 2.0
    return x


def writes_elsewhere(x: Any) -> Any:
    np.negative(x, out=x)
    return x.copy()


@pytest.mark.parametrize("function", [writes, writes_elsewhere])
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("backend", ["numpy", "native"])
def test_arguments_are_not_written_into(own, function, place, backend):
    if backend == "native":
        pytest.importorskip("llvmlite", reason="the native backend needs llvmlite")
    op = own("test_vandal", function)
    value = AT.copy()
    with pytest.raises(mg.GraphError, match="the `numpy` of op test_vandal writes into an arg"):
        mg.function([X], PLACES[place](op), backend=backend)(value)
    np.testing.assert_array_equal(value, AT)


def test_a_param_is_not_written_into(own):
    p = mg.param("p", AT)
    with pytest.raises(mg.GraphError, match="test_vandal"):
        own("test_vandal", writes)(p).eval()
    np.testing.assert_array_equal(p.value, AT)


def test_its_own_errors_come_through(own):
    def fails(x: Any) -> Any:
        raise ValueError("no such thing")

    with pytest.raises(ValueError, match="no such thing"):
        own("test_failing", fails)(X).eval({X: AT})


@pytest.mark.parametrize("pick", [lambda x: x, lambda x: x[:], lambda x: np.asarray(x)])
def test_what_is_handed_back_as_it_came_is_no_others_memory(own, pick):
    """It does not say that it gives a view, so its argument's buffer is used again."""
    n = 400  # such a value lies in a buffer
    x = mg.var("wide", (n,))
    y = own("test_same", pick)(mg.sin(x))
    later = [mg.cos(x + k) for k in range(4)]
    total = sum(later[1:], later[0])
    f = mg.function([x], [total, y * 1.5, y], backend="numpy", simplify=False)
    at = np.linspace(0.0, 1.0, n)
    _, scaled, same = f(at)
    np.testing.assert_array_equal(scaled, np.sin(at) * 1.5)
    np.testing.assert_array_equal(same, np.sin(at))
    same[:] = 0.0  # and what is given out may be written into
    np.testing.assert_array_equal(f(at)[2], np.sin(at))


def test_several_results_are_looked_at_one_by_one(own):
    from minigrad.ops.tuples import item
    from minigrad.types import TupleType

    pair = own(
        "test_pair",
        lambda x: (x, x[:1].copy() if x[0] < 0 else 2 * x),
        infer=lambda x: TupleType((x, x)),
    )
    y = item(make(pair, (X,)), 1)
    np.testing.assert_array_equal(y.eval({X: AT}), 2 * AT)
    with pytest.raises(mg.GraphError, match=r"float64\(1,\) for result 1 of op test_pair"):
        y.eval({X: -AT})


def test_operands_that_numpy_broadcasts_are_taken(own):
    plus = own("test_plus", lambda a, b: a + b, infer=lambda a, b: a, pointwise=True)
    s = mg.var("s")
    y = plus(X, mg.broadcast_to(s, (4,)))
    np.testing.assert_array_equal(y.eval({X: AT, s: 1.0}), AT + 1.0)
    flat = plus(mg.broadcast_to(mg.const(1.0), (4,)), mg.broadcast_to(mg.const(2.0), (4,)))
    np.testing.assert_array_equal(flat.eval(), np.full(4, 3.0))


def test_our_own_ops_are_not_watched():
    from minigrad.graph.numpy_call import numpy_call

    assert numpy_call(mg.tanh(X)) is np.tanh
