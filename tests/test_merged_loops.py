"""Loops that carry the same are one, whatever they read and give out besides."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.testing import assert_allclose

import minigrad as mg
from minigrad.loop.passes.frame import in_bodies
from minigrad.loop.passes.prune import merge_loops

T = 4
X, Z, C = mg.var("x", (T,)), mg.var("z", (T,)), mg.var("c")
AT = {X: np.array([0.5, 2.0, -1.0, 3.0]), Z: np.array([1.0, 4.0, 2.0, 0.5]), C: 0.7}


def _loops(outputs: list[mg.Expr]) -> int:
    return sum(n.op.name == "scan" for n in mg.toposort(outputs))


def _merged(outputs: list[mg.Expr]) -> int:
    """How many loops are left; the values stay."""
    merged = merge_loops(outputs)
    f, g = mg.function([X, Z, C], outputs, without=list(mg.LOOPS)), mg.function([X, Z, C], merged)
    for a, b in zip(f(*AT.values()), g(*AT.values()), strict=True):
        assert_allclose(a, b, rtol=1e-14)
    return _loops(merged)


def test_loops_that_read_more_and_give_out_more_are_one() -> None:
    k = mg.sin(C)
    _, one = mg.scan(lambda c, x: (c * x, c), C, X)
    _, two = mg.scan(lambda c, x: (c * x["x"], c * x["z"] + k), C, {"z": Z, "x": X})
    _, three = mg.scan(lambda c, x: (c * x["x"], x["z"] - c), C, {"x": X, "z": Z})
    assert _merged([one, two, three]) == 1


def test_loops_that_carry_something_else_are_not() -> None:
    def last(init: mg.Expr, step: Any, xs: mg.Expr = X, **options: Any) -> mg.Expr:
        return mg.scan(step, init, xs, **options)[0]

    loops = [
        last(C, lambda c, x: (c * x, None)),
        last(C, lambda c, x: (c * x + 1, None)),
        last(C, lambda c, x: (c * x, None), Z),
        last(C + 1, lambda c, x: (c * x, None)),
        last(C, lambda c, x: (c * x, None), reverse=True),
        last(C, lambda c, x: (c * x, None), X[:3]),
    ]
    assert _merged(loops) == len(loops)


def test_a_loop_that_reads_what_an_equal_one_gives_out_stays_apart() -> None:
    _, one = mg.scan(lambda c, x: (c * x, c), C, X)
    _, two = mg.scan(lambda c, x: (c * x["x"], c * x["one"]), C, {"x": X, "one": one})
    _, three = mg.scan(lambda c, x: (c * x["x"], c + x["two"]), C, {"x": X, "two": mg.cos(two)})
    assert _merged([three]) == 3
    # One that reads neither is one with the first.
    _, other = mg.scan(lambda c, x: (c * x["x"], c - x["z"]), C, {"x": X, "z": Z})
    assert _merged([three, other]) == 3


def test_two_pairs_of_which_each_waits_for_one_of_the_other() -> None:
    """Merging both pairs would make each wait for the other."""
    _, a = mg.scan(lambda c, x: (c * x, c), C, X)
    _, d = mg.scan(lambda c, x: (mg.sin(c) * x, c), C, X)
    _, b = mg.scan(lambda c, x: (c * x["x"], c * x["d"]), C, {"x": X, "d": d})
    _, e = mg.scan(lambda c, x: (mg.sin(c) * x["x"], c * x["a"]), C, {"x": X, "a": a})
    assert _merged([b, e]) == 3


def test_two_inputs_of_one_array_and_constants_are_shared() -> None:
    k = mg.exp(C)
    _, one = mg.scan(lambda c, x: (c * x[0] * k, x[1] * k), C, (X, X))
    _, two = mg.scan(lambda c, x: (c * x * k, c * x), C, X)
    assert _merged([one, two]) == 1


def test_a_pass_over_steps_leaves_loops_that_it_does_not_change():
    xs = mg.var("xs", 5)
    _, sines = mg.scan(lambda c, x: (c + x, mg.sin(c)), mg.const(0.0), xs)
    _, both = mg.scan(lambda c, x: (c + x, mg.cos(c)), mg.const(1.0), sines)
    seen = []

    def to_tangents(outputs, moving):
        seen.append(outputs)
        return [mg.tan(y.args[0]) if y.op.name == "sin" else y for y in outputs]

    run = in_bodies(to_tangents)
    tangents, changed = run([sines, both])
    assert len(seen) == 2
    _, expected = mg.scan(lambda c, x: (c + x, mg.tan(c)), mg.const(0.0), xs)
    _, after = mg.scan(lambda c, x: (c + x, mg.cos(c)), mg.const(1.0), expected)
    assert tangents is expected
    assert changed is after
    again = run([tangents, changed])
    assert again[0] is tangents
    assert again[1] is changed
    assert len(seen) == 4
