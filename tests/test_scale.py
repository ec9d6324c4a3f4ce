"""Chains of 10,000 ops, and one of 50,000, within Python's default recursion limit; no absolute
times."""

from __future__ import annotations

import copy
import gc
import pickle
import sys
import time

import numpy as np
import pytest

import minigrad as mg
from minigrad.graph.node import _TABLE

N = 10_000


def chain(x, n=N):
    y = x
    for k in range(n // 4):
        y = mg.sin(y * 0.5 + x)
        if k % 1000 == 0:
            y = -y
        y = y + 0.0
    return y


@pytest.fixture(scope="module")
def long():
    return chain(mg.var("x"))


def test_the_recursion_limit_is_the_default():
    assert sys.getrecursionlimit() <= 3000


def test_a_long_chain_builds_differentiates_and_evaluates(long):
    x = mg.var("x")
    assert len(mg.toposort(long)) > N
    f = mg.function([x], [long, mg.grad(long, x)], simplify=False)
    value, gradient = f(0.3)
    step = 1e-6
    before, after = f(0.3 - step)[0], f(0.3 + step)[0]
    assert before < value < after or before > value > after
    assert gradient == pytest.approx((after - before) / (2 * step), rel=1e-8)


def test_forward_mode_and_adjoints_of_a_long_chain(long):
    x = mg.var("x")
    adj = mg.adjoints(long)
    outputs = [mg.jvp(long, x, 1.0), adj[x], *adj.split(x, through=[long.args[0]])]
    forward, reverse, *parts = mg.function([x], outputs, simplify=False)(0.3)
    assert forward == pytest.approx(reverse, rel=1e-12)
    assert sum(parts) == pytest.approx(reverse, rel=1e-12)


def test_a_long_chain_simplifies(long):
    x = mg.var("x")
    simple = mg.simplify(long)
    assert len(mg.toposort(simple)) < len(mg.toposort(long))
    both = mg.function([x], [long, simple], simplify=False)(0.3)
    assert both[0] == both[1]


def test_a_long_chain_prints_short(long):
    for text in (str(long), repr(long), long.latex(), mg.to_str(mg.grad(long, mg.var("x")))):
        assert len(text) < 3000


def test_a_long_chain_is_copied_saved_and_verified(long):
    assert copy.deepcopy(long) is long
    assert pickle.loads(pickle.dumps(long)) is long
    assert mg.substitute(long, {mg.var("x"): mg.var("z")}).op is long.op
    mg.verify(long)


@pytest.mark.slow
def test_a_long_chain_is_freed():
    def live():
        gc.collect()
        return len(_TABLE)

    x = mg.var("freed")
    chain(x, 400)  # so that constants which are kept for good are there
    mg.grad(chain(x, 400), x)
    before, n = live(), 50_000  # more than the stack has frames for, were freeing to recurse
    y = chain(x, n)
    slope = mg.grad(y, x)
    f = mg.function([x], slope, simplify=False)
    f(0.1)
    assert live() > before + n
    del y, slope, f
    assert live() <= before + 5


def test_long_chains_of_other_ops():
    v = mg.var("v", (2, 2))
    y = v
    for _ in range(400):
        y = mg.concat([y[1:], y[:1] * 0.5]).T @ mg.softmax(v)
        y = mg.where(y > 0, y, -y).reshape(4).reshape(2, 2)
    g = mg.grad(mg.sum(y), v)
    assert np.isfinite(mg.function([v], g)(np.eye(2))).all()
    assert mg.loads(mg.dumps(y)) is y


def kinks(x, n):
    """A chain whose gradient is a product of n masks."""
    for _ in range(n // 20):
        x = mg.clip(x, -1.0, 1.0) * 0.99 + 0.01
    return x


@pytest.mark.parametrize("build", [chain, kinks])
def test_cost_grows_linearly(build):
    def cost(n):
        best = np.inf
        for _ in range(2):
            x = mg.var(f"cost{n}")
            start = time.process_time()
            mg.function([x], mg.grad(build(x, n), x))
            best = min(best, time.process_time() - start)
        return best

    # Four times the nodes: 4 where cost is linear, 16 where it is quadratic.
    assert cost(8_000) / cost(2_000) < 10


def test_wide_sharing_costs_no_more_than_its_nodes():
    x = mg.var("x")
    y = x
    for _ in range(300):  # 2^300 paths, 300 nodes
        y = y * y + y
    assert len(mg.toposort(mg.grad(y, x))) < 3000
    assert len(str(mg.grad(y, x))) < 3000
    mg.simplify(mg.grad(y, x))


@pytest.mark.parametrize(
    "step",
    [
        mg.relu,
        mg.abs,
        lambda h: mg.maximum(h, 0.1),
        lambda h: mg.where(h > 0, h, 0.1 * h),
        lambda h: mg.where(h > 0, h, 0) * 0.9,
        lambda h: mg.clip(h, -1, 1),
        lambda h: h / (1.0 + mg.abs(h)),
    ],
)
def test_gradients_of_long_recurrences_with_kinks_compile(step):
    h = x = mg.var("x")
    for _ in range(300):
        h = step(h * 0.9 + 0.01)
    f = mg.function([x], [h, mg.grad(h, x)])
    plain = mg.function([x], [h, mg.grad(h, x)], simplify=False)
    assert f(0.5) == pytest.approx(plain(0.5), rel=1e-12)


@pytest.mark.slow
def test_a_long_sum_of_slices_costs_as_much_as_it_is_long():
    def cost(n):
        x = mg.var(f"slices{n}", n)
        total = mg.const(0.0)
        for k in range(n):
            total = total + mg.sin(x[k])
        slope = mg.grad(total, x)
        start = time.process_time()
        f = mg.function([x], slope)
        assert (f(np.zeros(n)) == 1).all()
        assert not any(step.node.op.name == "scatter" for step in f.plan.steps)
        return time.process_time() - start

    cost(100)
    many, few = (min(cost(n + k) for k in range(3)) for n in (4_000, 1_000))
    assert many / few < 10
