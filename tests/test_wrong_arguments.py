"""Arguments of a wrong kind: whatever is called with whatever, an error says so in our own words.

Every public function is called as it should be, and then with each of its arguments replaced.
"""

from __future__ import annotations

import inspect
import linecache
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import minigrad as mg

X, M, S = mg.var("x", (3,)), mg.var("M", (3, 3)), mg.var("s")
P = mg.param("p", np.ones(3))
N = mg.const([0, 1])
OP = mg.tanh(X).op

# What each function takes; those that are not here take as many vectors as they have arguments.
CALLS: dict[str, tuple[Any, ...]] = {
    "Attr": ("n",),
    "Op": ("test_wrong", lambda x: x, lambda x: x, None, (1,)),
    "Rule": ("test", OP, lambda node: None, True),
    "TensorType": ((3,), "float64"),
    "adjoints": (S * S,),
    "arange": (0, 3, 1),
    "array_split": (X, 2),
    "asarray": ([1.0],),
    "astype": (X, "float32"),
    "bitwise_and": (N, N),
    "bitwise_invert": (N,),
    "bitwise_left_shift": (N, N),
    "bitwise_or": (N, N),
    "bitwise_right_shift": (N, N),
    "bitwise_xor": (N, N),
    "block": ([[M, M], [M, M]],),
    "broadcast_to": (X, (2, 3)),
    "can_cast": ("int8", "int16"),
    "check_grad": (mg.sum(P * P), P),
    "cholesky": (M,),
    "clip": (X, 0.0, 1.0),
    "column_stack": ([X, X],),
    "concat": ([X, X],),
    "const": (1.0,),
    "corrcoef": (M,),
    "custom_vjp": (lambda x: x, lambda ct, y, x: ct),
    "delete": (X, 0),
    "det": (M,),
    "diagonal": (M,),
    "draw": (S * S,),
    "dstack": ([X, X],),
    "dumps": (S * S,),
    "eigh": (M,),
    "eigvalsh": (M,),
    "einsum": ("i,i", X, X),
    "empty": ((3,),),
    "eval": (mg.sum(P),),
    "expand_dims": (X, 0),
    "eye": (3,),
    "finfo": ("float32",),
    "flow": (P.sum() * 2.0, [P]),
    "fold_in": (mg.key(0), 1),
    "free_variables": (S,),
    "from_dlpack": (np.ones(3),),
    "full": ((3,), 1.0),
    "full_like": (X, 1.0),
    "function": ([X], X * 2.0),
    "grad": (S * S, S),
    "hessian": (S * S, S),
    "hstack": ([X, X],),
    "hvp": (S * S, S, S),
    "iinfo": ("int8",),
    "implements": (np.heaviside,),
    "insert": (X, 0, 1.0),
    "interp": (X, [0.0, 1.0, 2.0], [0.0, 1.0, 4.0]),
    "inv": (M,),
    "isdtype": (np.dtype("int8"), "integral"),
    "jacobian": (X * 2.0, X),
    "jvp": (X * 2.0, X, X),
    "key": (0,),
    "linspace": (0.0, 1.0),
    "loads": (mg.dumps(S),),
    "logical_and": (X > 0, X > 0),
    "logical_not": (X > 0,),
    "logical_or": (X > 0, X > 0),
    "logical_xor": (X > 0, X > 0),
    "matmul": (M, M),
    "matrix_norm": (M,),
    "matrix_power": (M, 2),
    "matrix_rank": (M,),
    "matrix_transpose": (M,),
    "moveaxis": (M, 0, 1),
    "ones": ((3,),),
    "pad": (X, 1),
    "param": ("p", 1.0),
    "percentile": (X, 50),
    "pinv": (M,),
    "qr": (M,),
    "quantile": (X, 0.5),
    "repeat": (X, 2),
    "reroute": (S * S, {S: 0.5}),
    "reshape": (X, (3, 1)),
    "result_type": ("int8",),
    "roll": (X, 1),
    "rot90": (M,),
    "rule": ("test", lambda a: mg.exp(mg.log(a)), lambda a: a),
    "scan": (lambda c, x: (c + x, c), S, X),
    "searchsorted": (np.arange(3.0), X),
    "select": ([X > 0], [X]),
    "simplify": (S * 1.0,),
    "slogdet": (M,),
    "solve": (M, X),
    "split": (X, 3),
    "squeeze": (mg.var("one", (1, 3)), 0),
    "stack": ([X, X],),
    "substitute": (S * S, {S: 2.0}),
    "svd": (M,),
    "svdvals": (M,),
    "swapaxes": (M, 0, 1),
    "take": (X, N),
    "take_along_axis": (X, N),
    "tensordot": (M, M),
    "tile": (X, 2),
    "toposort": (S,),
    "trace": (M,),
    "tril": (M,),
    "triu": (M,),
    "uniform": (mg.key(0), (3,)),
    "unroll": (S,),
    "var": ("v", (3,)),
    "verify": (S * S,),
    "vjp": (X * 2.0, X, X),
    "vmap": (lambda v: v * 2.0,),
    "vstack": ([X, X],),
    "where": (X > 0, X, X),
    "zeros": ((3,),),
}  # fmt: skip

WRONG: dict[str, Any] = {
    "None": None,
    "text": "a",
    "no text": "",
    "a float": 3.5,
    "NaN": float("nan"),
    "-1": -1,
    "a large integer": 10**30,
    "True": True,
    "a complex number": 1j,
    "an object": object(),
    "bytes": b"a",
    "an empty list": [],
    "a ragged list": [[1, 2], [3]],
    "a list of None": [None],
    "a list of texts": ["a", "b"],
    "a list of an expression and text": [S, "a"],
    "a long list": [1, 1, 1],
    "a dict": {},
    "a dict of texts": {"a": "b"},
    "a set": {1},
    "a slice": slice(1),
    "an ellipsis": ...,
    "an array": np.array([True]),
    "an array of a number": np.array(2.0),
    "an array of objects": np.array([object()]),
    "an array of texts": np.array(["a"]),
    "a date": np.datetime64("2020"),
    "a scalar expression": S,
    "an integer expression": mg.var("i", (), "int64"),
    "a vector": X,
    "a matrix": M,
    "a loop's node": mg.scan(lambda c, x: (c + x, c), S, X)[0].args[0],
}


# Made by functions, never by users; and what takes files or changes registries: see below. What
# needs an extra is called in tests/test_jax_pure.py and tests/test_onnx_ops.py.
NOT_CALLED = (
    "Adjoints", "Backend", "Expr", "Function", "load", "save", "register", "register_backend",
    "to_jax", "to_onnx",
)  # fmt: skip


def functions() -> list[tuple[str, Callable[..., Any]]]:
    public = [(n, getattr(mg, n)) for n in mg.__all__ if n not in (*NOT_CALLED, "draw")]
    public.append(("draw", mg.draw))
    public += [(f"linalg.{n}", getattr(mg.linalg, n)) for n in mg.linalg.__all__]
    errors = (mg.MinigradError,)
    return [
        (n, f) for n, f in public
        if callable(f) and not (isinstance(f, type) and issubclass(f, errors))
    ]  # fmt: skip


def good_call(name: str, function: Callable[..., Any]) -> tuple[Any, ...]:
    name = name.removeprefix("linalg.")
    if name in CALLS:
        return CALLS[name]
    parameters = inspect.signature(function).parameters.values()
    wanted = [p for p in parameters if p.default is p.empty and p.kind <= p.VAR_POSITIONAL]
    return (X,) * len(wanted)


# Asked to take derivatives of so high an order, it does: that ends when the asker does.
ENDLESS = ("check_grad", "order=a large integer")


def changed(function: Callable[..., Any], good: tuple[Any, ...]) -> Iterator[Any]:
    """The call with one argument replaced by something else: (what, args, kwargs)."""
    parameters = inspect.signature(function).parameters
    by_name = list(parameters)[len(good) :]
    for what, value in WRONG.items():
        for k in range(len(good)):
            yield f"{what} at {k}", (*good[:k], value, *good[k + 1 :]), {}
        for name in by_name:
            kind = parameters[name].kind
            if kind is inspect.Parameter.VAR_POSITIONAL:
                yield f"{what} more", (*good, value), {}
            elif kind not in (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.VAR_KEYWORD):
                yield f"{name}={what}", good, {name: value}


def in_our_words(
    error: Exception,
    ours: tuple[type[Exception], ...] = (mg.MinigradError,),
    packages: tuple[ModuleType, ...] = (mg,),
) -> bool:
    """Whether it is one of ours, or a TypeError that a line of ours raises."""
    if isinstance(error, ours):
        return True
    here = tuple(str(Path(package.__file__ or "").parent) for package in packages)
    last = traceback.extract_tb(error.__traceback__)[-1]
    line = linecache.getline(last.filename, last.lineno or 0).strip()
    return type(error) is TypeError and last.filename.startswith(here) and line.startswith("raise")


@pytest.mark.parametrize(("name", "function"), functions())
def test_arguments_of_a_wrong_kind_are_named_in_our_words(name, function):
    good = good_call(name, function)
    function(*good)
    raw = []
    for what, args, kwargs in changed(function, good):
        if (name, what) == ENDLESS:
            continue
        try:
            function(*args, **kwargs)
        except Exception as error:
            if not in_our_words(error):
                raw.append(f"{what}: {type(error).__name__}: {error}")
    assert not raw, "\n".join(raw)


@pytest.mark.parametrize("path", [None, 1, True, 3.5, [], S, np.array(["a"])])
def test_a_path_is_text(path):
    """A number is an open file of somebody else's: `save(True, y)` closed standard output."""
    for call in (lambda: mg.load(path), lambda: mg.save(path, S)):
        with pytest.raises(mg.DTypeError, match="path"):
            call()


@pytest.mark.parametrize("args", [(3, len), ("test_backend", 3), ([], len), (None, None)])
def test_a_backend_is_a_name_and_a_function(args):
    with pytest.raises(mg.GraphError, match="a backend is registered as"):
        mg.register_backend(*args)


def test_the_words_say_what_is_wrong():
    with pytest.raises(mg.DTypeError, match=r"einsum takes its axes as text first.*not 3"):
        mg.einsum(3, X)
    with pytest.raises(mg.DTypeError, match="what vmap applies must be a function, not 'f'"):
        mg.vmap("f")
    with pytest.raises(mg.DTypeError, match=r"what vstack joins must be a list, not 3\.5"):
        mg.vstack(3.5)
    with pytest.raises(mg.DTypeError, match="in diff: the order n must be an integer, not 'a'"):
        mg.diff(X, n="a")


def test_more_differences_than_elements_leave_none():
    assert mg.diff(X, n=10**30).shape == np.diff(np.ones(3), n=5).shape == (0,)


def test_diagonals_beyond_the_matrix():
    m = np.arange(9.0).reshape(3, 3)
    for k in (-(10**30), -4, -3, 3, 4, 10**30):
        near = max(-9, min(k, 9))
        np.testing.assert_array_equal(mg.tril(m, k=k).eval(), np.tril(m, near))
        np.testing.assert_array_equal(mg.triu(m, k=k).eval(), np.triu(m, near))
        assert mg.diagonal(m, offset=k).shape == (0,)
        np.testing.assert_array_equal(mg.roll(m, k, 0).eval(), np.roll(m, k % 3, 0))
