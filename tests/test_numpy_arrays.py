"""Where NumPy asks for an array, and Python for a number: refused where a gradient is lost."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import minigrad as mg

p = mg.param("p", 2.0)
w = mg.param("w", [1.0, 2.0])
t = mg.var("t")
v = mg.var("v", (3,))
a = np.zeros(6)


def store(array, index, value):
    array[index] = value


ASKS_FOR_AN_ARRAY = {
    "mean": lambda: np.mean([p, p + 2]),
    "r_": lambda: np.r_[p, 1.0],
    "c_": lambda: np.c_[w, w],
    "append": lambda: np.append([w[0], w[1]], 5.0),
    "array": lambda: np.array([p, p * p]),
    "array of dtype": lambda: np.array([p, 1.0], dtype=np.float32),
    "asarray": lambda: np.asarray(w),
    "matrix of variables": lambda: np.array([[mg.cos(t), -mg.sin(t)], [mg.sin(t), mg.cos(t)]]),
    "slice of params": lambda: store(a, slice(2, 4), w),
    "slice of variables": lambda: store(a, slice(2, 5), v),
    "all": lambda: store(a, ..., p),
    "index array": lambda: store(a, [0, 1], w),
    "vectorize": lambda: np.vectorize(lambda x: x)(w),
    "object array": lambda: np.array([p, 1.0], dtype=object),
}


@pytest.mark.parametrize("ask", ASKS_FOR_AN_ARRAY.values(), ids=list(ASKS_FOR_AN_ARRAY))
def test_an_array_of_what_has_a_gradient_is_refused(ask):
    with pytest.raises(mg.OpenGraphError) as caught:
        ask()
    for way in ("minigrad.stack", ".at[index].set", ".eval("):
        assert way in str(caught.value)
    assert not a.any()


@pytest.mark.parametrize(("array", "value"), [(np.zeros(3), p), (np.zeros(3, int), p), (a, t)])
def test_an_element_of_an_array_is_not_set_to_what_has_a_gradient(array, value):
    # NumPy puts an error of its own before ours.
    with pytest.raises((ValueError, TypeError)) as caught:
        array[0] = value
    said = caught.value.__cause__ or caught.value
    assert "array[i] = expr" in str(said)
    assert ".at[index].set" in str(said)
    assert not array.any()


def test_numbers_are_given_where_they_are_asked_for():
    y = p * 3 + w[1]
    assert (float(y), int(y), y.item(), y.eval()) == (8.0, 8, 8.0, 8.0)
    assert (w * 2).tolist() == [2.0, 4.0]
    assert complex(y) == 8.0
    assert math.sqrt(y + 1) == 3.0
    assert bool(y > 7)
    array = np.zeros(2)
    array[0] = float(y)
    array[int(p) - 1] = p.value
    assert_array_equal(array, [8.0, 2.0])


def test_graphs_of_constants_are_arrays():
    c = mg.const([1.0, 2.0]) * 3
    assert_array_equal(np.asarray(c), [3.0, 6.0])
    assert_array_equal(np.array([c[0], 1.0]), [3.0, 1.0])
    array = np.zeros(3)
    array[1:] = c
    array[0] = c[1]
    assert_array_equal(array, [6.0, 3.0, 6.0])


def test_lists_of_expressions_are_stacked():
    assert mg.grad(mg.mean([p, p + 2]) * p, p).eval() == 5.0
    turn = mg.matmul([[mg.cos(t), -mg.sin(t)], [mg.sin(t), mg.cos(t)]], [1.0, 2.0])
    expected = [math.cos(0.3) - 2 * math.sin(0.3), math.sin(0.3) + 2 * math.cos(0.3)]
    assert turn.eval({t: 0.3}) == pytest.approx(expected, rel=1e-15)
    joined = np.concatenate([[p, 1], w])
    assert joined.eval().tolist() == [2.0, 1.0, 1.0, 2.0]  # type: ignore[attr-defined]
    assert np.add(w, [p, 1.0]).eval().tolist() == [3.0, 3.0]
    half = mg.var("half", (), "float32")
    assert mg.sum([half, 1.5]).dtype == np.float32
    assert mg.sum([half, np.float64(1.5)]).dtype == np.float64
    with pytest.raises(mg.ShapeError, match="the operands differ in shape"):
        mg.sum([v, 1.0])


# --- indices ------------------------------------------------------------------------------------


def test_closed_integers_are_indices():
    one = mg.const(1)
    assert [10, 20, 30][one + 1] == 30
    assert list(range(one, 3)) == [1, 2]
    assert np.arange(4)[one] == 1
    bound = {v: [1.0, 2.0, 3.0]}
    assert_array_equal(v[one:].eval(bound), [2.0, 3.0])
    assert_array_equal(v[:-one].eval(bound), [1.0, 2.0])
    assert v[one + 1].eval(bound) == 3.0


def test_closed_masks_are_indices():
    c = mg.const([1.0, -2.0, 3.0])
    y = v[c > 0]
    assert y.shape == (2,)
    assert_array_equal(y.eval({v: [4.0, 5.0, 6.0]}), [4.0, 6.0])
    assert_array_equal(v.at[c > 0].set(0.0).eval({v: [4.0, 5.0, 6.0]}), [0.0, 5.0, 0.0])


@pytest.mark.parametrize(
    ("index", "error", "words"),
    [
        (lambda: [1, 2][mg.const(1.0)], mg.DTypeError, "an index is an integer, not float64"),
        (lambda: [1, 2][mg.var("k", (), "int64")], mg.OpenGraphError, "depends on k"),
        (lambda: v[v > 0], mg.DTypeError, "minigrad.where"),
        (lambda: w[w > 0], mg.DTypeError, "minigrad.where"),
    ],
)
def test_other_indices_are_refused(index, error, words):
    with pytest.raises(error, match=words):
        index()


# --- names that are not there ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("backward", "minigrad.grad"),
        ("grad", "minigrad.grad"),
        ("requires_grad", "minigrad.grad"),
        ("detach", "minigrad.stop_gradient"),
        ("numpy", "x.eval"),
        ("nonzero", "minigrad.where"),
        ("view", "x.reshape"),
        ("tanh", "write minigrad.tanh"),
        ("reshap", "did you mean reshape"),
        ("fill", ".at[index].set"),
    ],
)
def test_a_missing_attribute_says_what_to_write(name, hint):
    with pytest.raises(AttributeError) as caught:
        getattr(p, name)
    assert hint in str(caught.value)
    assert not hasattr(p, name)


def test_the_error_of_a_property_is_its_own():
    with pytest.raises(AttributeError, match="only params and constants hold a value"):
        _ = (p * 2).value


@pytest.mark.parametrize(
    ("name", "hint"), [("tanhh", "tanh"), ("concatenate", "concat"), ("array", "stack")]
)
def test_a_missing_function_says_what_is_there(name, hint):
    with pytest.raises(AttributeError, match=f"no attribute '{name}'; did you mean {hint}"):
        getattr(mg, name)
    with pytest.raises(AttributeError, match=r"no attribute 'qqqqq'$"):
        _ = mg.qqqqq


def test_dir_lists_what_is_loaded_when_it_is_used():
    assert {"draw", "var", "tanh", "__version__"} <= set(dir(mg))
    assert set(mg.__all__) <= set(dir(mg))
