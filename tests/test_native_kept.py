"""Code of the graphs that were compiled last: it outlives their functions, and their memory not."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import minigrad as mg

pytest.importorskip("llvmlite", reason="llvmlite, which the native backend needs, is not here")

from minigrad.compile.backends.native import backend, program


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[object]]:
    """The modules that were compiled, while nothing is kept of other tests or for them."""
    modules: list[object] = []
    compile_module = program.compile_module

    def noted(module: object, **options: bool) -> object:
        modules.append(module)
        return compile_module(module, **options)

    monkeypatch.setattr(program, "compile_module", noted)
    backend.keep.cache_clear()
    yield modules
    backend.keep.cache_clear()


def loop_of(k: float, n: int = 3, name: str = "x") -> mg.Function:
    """A loop that is another for each k."""
    x = mg.var(name, (n,))
    last, _ = mg.scan(lambda c, _: (mg.tanh(c * k + x), None), mg.zeros(n), length=4)
    return mg.function([x], last, backend="native", threads=1)


def test_an_equal_graph_needs_no_compiler_though_the_first_is_gone(made: list[object]) -> None:
    at = np.arange(3.0)
    first = loop_of(2.0)(at)
    assert len(made) == 1
    for _ in range(2 * backend.RECENT):
        assert_array_equal(loop_of(2.0, name="y")(at), first)
    assert len(made) == 1
    assert not np.array_equal(loop_of(3.0)(at), first)
    assert len(made) == 2


def test_those_that_were_asked_for_last_are_kept_and_no_others(made: list[object]) -> None:
    for k in range(backend.RECENT):
        loop_of(k + 2.0)
    loop_of(2.0)  # the oldest, asked for again
    assert len(made) == backend.RECENT
    loop_of(0.5)
    loop_of(2.0)
    assert len(made) == backend.RECENT + 1
    loop_of(3.0)  # now the oldest
    assert len(made) == backend.RECENT + 2


def test_a_function_keeps_its_code_however_many_follow(made: list[object]) -> None:
    f = loop_of(2.0)
    expected = f(np.ones(3))
    for k in range(backend.RECENT + 1):
        loop_of(k + 3.0)
    count = len(made)
    assert_array_equal(loop_of(2.0)(np.ones(3)), expected)
    assert_array_equal(f(np.ones(3)), expected)
    assert len(made) == count


def test_memory_of_calls_goes_with_the_function(made: list[object]) -> None:
    n = 40_000
    at = np.ones(n)
    loop_of(2.0, n)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        f = loop_of(2.0, n)
        f(at)
        assert tracemalloc.get_traced_memory()[0] - before > n * 8
        del f
        assert tracemalloc.get_traced_memory()[0] - before < n * 8
    finally:
        tracemalloc.stop()
    assert len(made) == 1
