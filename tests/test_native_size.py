"""How much machine code there is: many loops in a block, large bodies, and what `auto` leaves."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

import minigrad as mg

pytest.importorskip("llvmlite", reason="the native backend needs llvmlite")


@pytest.fixture
def functions_of(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """The IR of each function of the modules that a graph's compilation makes."""
    modules: list[str] = []
    from minigrad.compile.backends.native import loop_code, program

    compiled = program.compile_module

    def noted(module: Any, **options: Any) -> Any:
        modules.append(str(module))
        return compiled(module, **options)

    for maker in (program, loop_code):
        monkeypatch.setattr(maker, "compile_module", noted)

    def functions(inputs: list[mg.Expr], outputs: Any) -> list[str]:
        modules.clear()
        mg.function(inputs, outputs, backend="native", threads=1)
        return [f for m in modules for f in re.findall(r"^define .*?^}", m, re.M | re.S)]

    return functions


def loops(count: int, ops: int = 3) -> tuple[list[mg.Expr], mg.Expr]:
    """So many loops that differ, of so many ops each, in one block."""
    x = mg.var("x", (count, 4))
    total = mg.sum(x)
    for k in range(count):

        def step(c: mg.Expr, _: None, k: int = k) -> tuple[mg.Expr, None]:
            for j in range(ops):
                c = mg.tanh(c) * (k + 2 + j)
            return c, None

        last, _ = mg.scan(step, x[k], length=3)
        total = total + mg.sum(last)
    return [x], total


def test_each_loop_is_a_function_of_its_own(functions_of: Callable[..., list[str]]) -> None:
    # LLVM's time grows with the square of a function's length, so no function holds two loops.
    sizes = {}
    for ops in (2, 20):
        functions = functions_of(*loops(6, ops))
        apart = [f for f in functions if re.match(r'define void @"loop"', f)]
        assert len(apart) == 6
        (program,) = [f for f in functions if '@"program"' in f.partition("{")[0]]
        assert program.count("call void") >= 6
        sizes[ops] = len(program)
    assert sizes[2] == sizes[20]


def test_many_loops_give_what_numpy_gives() -> None:
    inputs, total = loops(5)
    gradient = mg.grad(total, inputs[0])
    value = np.random.default_rng(0).standard_normal(inputs[0].shape)
    native, reference = (
        mg.function(inputs, [total, gradient], backend=b)(value) for b in ("native", "numpy")
    )
    for a, b in zip(native, reference, strict=True):
        assert_allclose(a, b, rtol=1e-10)


def test_the_hessian_of_a_loop_compiles_in_seconds() -> None:
    """Of a small LSTM's weights: 26 loops or more in one block. The value is NumPy's."""
    size = 8 + 4
    xs, theta = mg.var("xs", (3, 1)), mg.var("th", (size,))
    w, b = theta[:8].reshape((2, 4)), theta[8:]

    def step(state: tuple[mg.Expr, mg.Expr], x: mg.Expr) -> tuple[Any, None]:
        h, c = state
        z = mg.concat([h, x]) @ w + b
        c = mg.sigmoid(z[:1]) * c + mg.sigmoid(z[1:2]) * mg.tanh(z[2:3])
        return (mg.sigmoid(z[3:]) * mg.tanh(c), c), None

    (h, _), _ = mg.scan(step, (mg.zeros(1), mg.zeros(1)), xs)
    hessian = mg.hessian(mg.sum(100 * h * h), theta)
    rng = np.random.default_rng(0)
    values = rng.standard_normal((3, 1)), rng.standard_normal(size)
    results = [mg.function([xs, theta], hessian, backend=b)(*values) for b in ("auto", "numpy")]
    assert_allclose(*results, rtol=1e-9, atol=1e-12)
    assert_allclose(results[0], results[0].T, atol=1e-12)
    assert np.abs(results[0]).max() > 0.01


@pytest.mark.parametrize("backend", ["auto", "native"])
def test_auto_leaves_to_numpy_what_would_take_long_to_compile(
    backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = "minigrad.compile.backends.native.backend.AUTO_"
    monkeypatch.setattr(limits + "BODY", 10)
    inputs, total = loops(1, ops=9)
    f = mg.function(inputs, total, backend=backend)
    value = np.linspace(0.1, 1, 4).reshape(1, 4)
    assert_allclose(f(value), mg.function(inputs, total, backend="numpy")(value), rtol=1e-12)
    said = ["a loop runs on numpy: its 19 ops would take long to compile"]
    assert f.notes == (said if backend == "auto" else [])

    monkeypatch.setattr(limits + "BODY", 100)
    monkeypatch.setattr(limits + "GRAPH", 3)
    f = mg.function(inputs, total, backend=backend)
    if backend == "native":
        assert f.notes == []
    else:
        (note,) = f.notes
        assert re.fullmatch(r"a block runs on numpy: its \d+ ops would take long to compile", note)
        assert "block" not in [s.node.op.name for s in f.plan.steps]


def test_auto_makes_the_blocks_with_loops_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it cannot make all: a loop repeats what it does."""
    monkeypatch.setattr("minigrad.compile.backends.cost.CALLS", 10**6)
    x = mg.var("x", (3, 4000))
    y = mg.sort(mg.tanh(x) * x + 1.5, axis=0)  # NumPy's, between two blocks
    last, _ = mg.scan(lambda c, row: (mg.tanh(c + row), None), mg.zeros(4000), y)
    full = mg.function([x], last)
    assert [s.node.op.name for s in full.plan.steps].count("block") == 2
    monkeypatch.setattr("minigrad.compile.backends.native.backend.AUTO_GRAPH", 5)
    f = mg.function([x], last)
    names = [s.node.op.name for s in f.plan.steps]
    assert names.count("block") == 1
    assert "scan" not in names
    assert "tanh" in names
