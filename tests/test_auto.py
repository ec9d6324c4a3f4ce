"""What `auto` takes, and that it takes it by the graph alone."""

from __future__ import annotations

import pytest

import minigrad as mg
from minigrad.compile.backends import cost
from minigrad.compile.backends.cost import estimate
from minigrad.graph.walk import toposort

pytest.importorskip("llvmlite", reason="needs llvmlite")


def formula(n: int, count: int = 12) -> tuple[mg.Expr, mg.Expr]:
    """A variable, and a dozen ops of it, half of them functions."""
    x = mg.var("x", (n,))
    y = x
    for k in range(count // 2):
        y = mg.tanh(y * (1 + k / 10))
    return x, y


def cost_of(y: mg.Expr) -> cost.Estimate:
    return estimate([n for n in toposort(y) if n.args])


def test_machine_code_is_made_where_it_pays():
    backends = {n: mg.function([x], y).backend for n in (4, 100_000) for x, y in [formula(n)]}
    assert backends == {4: "numpy", 100_000: "native"}


def test_compiling_counts_against_few_calls(monkeypatch):
    x, y = formula(5000)
    assert mg.function([x], y).backend == "native"
    monkeypatch.setattr(cost, "CALLS", 1)
    assert mg.function([x], y).backend == "numpy"


def test_a_report_tells_the_estimates():
    for n, backend in ((4, "numpy"), (5000, "native")):
        x, y = formula(n)
        text = str(mg.function([x], y).report())
        assert text.startswith(f"backend {backend}")
        assert (
            "a call by estimate; machine code " in text and "to compile, over 2,000 calls" in text
        )
    x, y = formula(5000)
    assert "estimate" not in str(mg.function([x], y, backend="native").report())


def test_an_estimate_grows_with_elements_ops_and_kinds():
    small, large = cost_of(formula(100)[1]), cost_of(formula(10_000)[1])
    assert large.numpy > 10 * small.numpy and large.native > 3 * small.native
    assert large.compile == small.compile
    few, many = (cost_of(formula(100, count)[1]).compile - cost.START for count in (60, 120))
    assert many > 2 * few
    x = mg.var("x", (1000,))
    assert cost_of(mg.erf(x)).numpy > 10 * cost_of(mg.exp(x)).numpy > 10 * cost_of(x + 1).numpy
    single = mg.var("s", (1000,), "float32")
    assert cost_of(mg.exp(single)).numpy < cost_of(mg.exp(x)).numpy


def test_large_arrays_wait_for_memory():
    """A sum of products of 10⁶ elements is faster fused; one op alone is not worth a compiler."""
    x = mg.var("x", (10**6,))
    assert cost_of(x * x + 2 * x + 1).pays
    assert not cost_of(mg.var("y", (1000,)) + 1).pays


def test_a_matrix_product_costs_what_it_takes_beside_multiplying():
    a, b = mg.var("a", (500, 500)), mg.var("b", (500, 500))
    both = cost_of(a @ b)
    assert 0 < both.numpy < 1e-4 and not both.pays
