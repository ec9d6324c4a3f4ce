"""A program is compiled quickly first, with care once it has run for long: to the same bits."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minigrad as mg

pytest.importorskip("llvmlite", reason="the native backend needs llvmlite")

from minigrad.compile.backends.native import jit, loop_code, program
from minigrad.compile.backends.native.jit import Effort

Made = list[Effort]
QUICK, PLAIN, FULL = Effort


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Made:
    """The effort with which each module is compiled."""
    compile_module, modules = program.compile_module, []

    def noted(module: Any, *, effort: Effort) -> Any:
        modules.append(effort)
        return compile_module(module, effort=effort)

    monkeypatch.setattr(program, "compile_module", noted)
    return modules


def _gradients(seed: float) -> tuple[mg.Function, list[Any]]:
    """Those of a net with a loop, products, masks and elementary functions; seed: of a constant,
    which makes its program one of its own."""
    rng = np.random.default_rng(0)
    xs, mask = mg.var("xs", (9, 5, 3), "float32"), mg.var("mask", (9, 5), bool)
    weights = [mg.var(name, (3 + 7, 7), "float32") for name in "fo"]

    def step(carry: Any, now: Any) -> Any:
        (h, c), (x, counts) = carry, now
        f, o = (mg.concat([x, h], axis=1) @ w for w in weights)
        new = mg.sigmoid(f) * c + mg.tanh(o) * seed
        new = mg.where(mg.broadcast_to(mg.expand_dims(counts, 1), c.shape), new, c)
        return (mg.sigmoid(o) * mg.tanh(new), new), None

    zero = mg.zeros((5, 7), "float32")
    (h, c), _ = mg.scan(step, (zero, zero), (xs, mask))
    loss = mg.logsumexp(h * h) + mg.mean(mg.softmax(c, axis=1) * h) + mg.sum(mg.exp(mg.max(c, 1)))
    f = mg.function([xs, mask, *weights], [loss, *mg.grad(loss, weights)], backend="native")
    values = [rng.standard_normal(v.shape).astype("float32") for v in (xs, *weights)]
    return f, [values[0], rng.random((9, 5)) < 0.7, *values[1:]]


def _no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "PATIENCE", {})


def test_a_program_that_has_run_long_is_optimised_and_gives_the_same_bits(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    _no_patience(monkeypatch)
    f, values = _gradients(0.75)
    assert made and set(made) == {QUICK}
    programs = len(made)
    quick = f(*values)
    assert made[programs:] == [PLAIN] * programs
    plain = f(*values)
    assert made[2 * programs :] == [FULL] * programs
    for result in (plain, f(*values), f(*values)):
        for a, b in zip(quick, result, strict=True):
            assert a.tobytes() == b.tobytes()
    assert len(made) == 3 * programs


def test_what_is_compiled_with_care_first_are_products(monkeypatch: pytest.MonkeyPatch) -> None:
    """They alone are internal to a module."""
    compiled, texts = jit.compile_module, []

    def noted(module: Any, *, effort: Effort) -> Any:
        texts.append(str(module))
        return compiled(module, effort=effort)

    for user in (program, loop_code):
        monkeypatch.setattr(user, "compile_module", noted)
    _gradients(0.875)
    functions = re.findall(r'^define (internal )?.*?@"?(\w+?)[\d_"(]', "\n".join(texts), re.M)
    assert {name for internal, name in functions if internal} == {"kernel"}
    assert {name for internal, name in functions if not internal} >= {"program", "loop"}


def test_a_program_is_not_optimised_before_its_time(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(10**6))
    for module in (program, jit):
        monkeypatch.setattr(module, "perf_counter", lambda: next(clock))  # a second later each
    x = mg.var("x", (3, 4))
    last, _ = mg.scan(lambda c, row: (mg.tanh(c + row) * 0.8125, None), mg.zeros(4), x)
    f = mg.function([x], last, backend="native")
    for effort, after in ((QUICK, [QUICK, PLAIN]), (PLAIN, [QUICK, PLAIN, FULL])):
        before = after[:-1]
        # So many seconds for each that it took to compile: one for it and one for its loop.
        for _ in range(2 * program.PATIENCE[effort]):
            f(np.ones((3, 4)))
            assert made == before
        f(np.ones((3, 4)))
        assert made == after


@pytest.mark.parametrize(("size", "first"), [(180, QUICK), (200, PLAIN)])
def test_what_runs_for_long_when_it_is_called_once_is_compiled_with_care(
    made: Made, size: int, first: Effort
) -> None:
    """64 steps with 2·size·64·64 operations each: 94 and 105 million."""
    x = mg.var("x", (64, 64))
    last, _ = mg.scan(lambda c, _: (c @ x, None), mg.full((size, 64), 0.3125), None, length=64)
    mg.function([x], last, backend="native")
    assert made == [first]


def test_threads_that_call_at_once_optimise_once(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    _no_patience(monkeypatch)
    f, values = _gradients(0.625)
    count, start, results = len(made), threading.Barrier(4), []

    def call() -> None:
        start.wait()
        results.extend([f(*values) for _ in range(4)])

    threads = [threading.Thread(target=call) for _ in range(4)]
    _each(threads, threading.Thread.start)
    _each(threads, threading.Thread.join)
    assert made.count(PLAIN) == made.count(FULL) == count
    assert len({b"".join(np.asarray(r).tobytes() for r in result) for result in results}) == 1
    assert len(results) == 16


def _each(threads: list[threading.Thread], do: Callable[[threading.Thread], None]) -> None:
    for thread in threads:
        do(thread)
