"""Adjoints within loops against the unrolled graph's: random steps, nested, cut, reversed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import minigrad as mg

B, H, T_INNER = 2, 3, 3
halved_back = mg.custom_vjp(mg.sin, lambda ct, y, x: 0.5 * ct * mg.cos(x))
UNARY = [
    mg.tanh,
    mg.sigmoid,
    halved_back,
    mg.relu,
    mg.softplus,
    lambda x: x[:, ::-1],
    lambda x: mg.log(mg.sigmoid(x)),  # which is rewritten before a derivative is taken
    lambda x: mg.stop_gradient(x),
]
BINARY = [
    lambda a, b: a + b,
    lambda a, b: a * b,
    lambda a, b: a - 0.5 * b,
    mg.maximum,
    lambda a, b: mg.where(a > 0.1, a, b),
]
ENTERING = {"a", "b", "p", "q", "x", "z"}  # what a step takes
LEAVES = {"W": (H, H), "v": (H,), "a0": (B, H), "b0": (B, H)}


@dataclass
class Graph:
    """A graph made twice, by loops and by Python: what each step made, by name."""

    rolled: bool
    made: dict[str, Any] = field(default_factory=dict)
    zeros: list[mg.Expr] = field(default_factory=list)
    around: mg.Expr = field(default_factory=lambda: mg.const(0.0))  # an outer step's, read within

    def scan(self, step: Any, init: Any, xs: mg.Expr, tag: str, **options: Any) -> Any:
        """`mg.scan`, or the same in Python; `made` then has lists, by place."""
        if self.rolled:
            return mg.scan(lambda c, x: step(self.made, c, x, tag), init, xs, **options)
        length, truncate = xs.shape[0], options.get("truncate")
        outside, rows, results = self.made, {}, {}
        carry = init
        order = range(length)[::-1] if options.get("reverse") else range(length)
        for k, t in enumerate(order):
            if truncate and k and k % truncate == 0:
                carry = [mg.stop_gradient(c) for c in carry]
            # What enters a step is a node of its own, as it is in a loop.
            carry = [c + self._zeros(f"{tag}.{t}.{j}", c) for j, c in enumerate(carry)]
            self.made = rows[t] = {}
            carry, results[t] = step(self.made, carry, xs[t], f"{tag}.{t}")
        self.made = outside
        for name in rows[0] if rows else ():
            outside[name] = [rows[t][name] for t in range(length)]
        ys = [mg.stack([results[t][j] for t in range(length)]) for j in range(2)] if length else []
        return carry, ys or [mg.zeros((0, B, H))] * 2

    def _zeros(self, name: str, like: mg.Expr) -> mg.Expr:
        self.zeros.append(mg.var(f"zero{name}", like.shape))
        return self.zeros[-1]


@dataclass
class Case:
    """What one example is made of."""

    choices: list[tuple[int, int, int]]
    inner: list[tuple[int, int, int]]
    length: int
    masked: bool
    used: tuple[bool, bool, bool]
    options: dict[str, Any]
    inner_options: dict[str, Any]

    def build(self, rolled: bool) -> tuple[mg.Expr, Graph]:
        graph = Graph(rolled)
        leaves = {name: mg.var(name, shape) for name, shape in LEAVES.items()}
        nested = bool(self.inner)
        xs = mg.var("xs", (self.length, T_INNER, B, H) if nested else (self.length, B, H))
        shape = (B, H)

        def pooled(pool: list[mg.Expr], choices: Any, made: dict[str, Any], name: str) -> None:
            for k, (which, left, right) in enumerate(choices):
                a, b = pool[left % len(pool)], pool[right % len(pool)]
                if which % 3:
                    pool.append(BINARY[which % len(BINARY)](a, b))
                else:
                    pool.append(UNARY[which // 3 % len(UNARY)](a))
                made[f"{name}{k}"] = pool[-1]

        def inner_step(made: dict[str, Any], carry: Any, x: mg.Expr, tag: str) -> Any:
            made.update(p=carry[0], q=carry[1], z=x)
            pool = [*carry, x, x * leaves["v"], graph.around]
            pooled(pool, self.inner, made, "inner")
            made["inner"] = 0.3 * pool[-1]
            return [mg.tanh(pool[-1]), made["inner"]], [pool[-1], carry[0]]

        def step(made: dict[str, Any], carry: Any, x: mg.Expr, tag: str) -> Any:
            a, b = carry
            made.update(a=a, b=b, x=x)
            if nested:
                made["around"] = graph.around = mg.sin(a) * b
                last, ys = graph.scan(inner_step, [a, b], x, tag, **self.inner_options)
                pool = [a, b, last[0], ys[0][0] + mg.sum(ys[1], axis=0), mg.sum(x, axis=0)]
            else:
                pool = [a, b, x @ leaves["W"], x * leaves["v"]]
            pooled(pool, self.choices, made, "n")
            new_a, new_b = mg.tanh(pool[-1]), pool[-2] * 0.3
            if self.masked:
                keep = mg.broadcast_to((mg.sum(x, axis=0) if nested else x)[:, :1] > 0, shape)
                new_a, new_b = mg.where(keep, new_a, a), mg.where(keep, new_b, b)
            made.update(A=new_a, B=new_b)
            return [new_a, new_b], [pool[-1], a]

        init = [mg.sin(leaves["a0"]), leaves["b0"]]
        (a, b), (ys, others) = graph.scan(step, init, xs, "", **self.options)
        graph.made["first"] = init[0]
        parts = [mg.sum(a * a + b), mg.sum(ys * ys[::-1]), mg.sum(others)]
        y = mg.sum(leaves["W"]) + sum(p for p, used in zip(parts, self.used, strict=True) if used)
        return y, graph


def _values(y: mg.Expr, graph: Graph) -> dict[mg.Expr, np.ndarray]:
    rng = np.random.default_rng(3)
    at = {mg.var(n, s): rng.uniform(-0.8, 0.8, s) for n, s in LEAVES.items()}
    for v in [n for n in mg.toposort(y) if n.op.name == "var" and n.name == "xs"]:
        at[v] = np.random.default_rng(4).uniform(-0.8, 0.8, v.shape)
    return at | {z: np.zeros(z.shape) for z in graph.zeros}


def _by_steps(nodes: Any, read: Callable[[mg.Expr], Any]) -> Any:
    """What is read of each node of nested lists, as the stack that a loop gives."""
    if isinstance(nodes, list):
        return [_by_steps(n, read) for n in nodes]
    return read(nodes)


def _to_depth(nodes: Any, depth: int) -> Any:
    return [_to_depth(n, depth - 1) for n in nodes] if depth else _flat(nodes)[0]


def _stacked(nested: Any) -> mg.Expr:
    return mg.stack([_stacked(n) for n in nested]) if isinstance(nested, list) else nested


PAIRS = st.lists(st.tuples(*[st.integers(0, 80)] * 3), min_size=2, max_size=5)
OPTIONS = st.sampled_from(
    [
        {},
        {"reverse": True},
        {"checkpoint": 2},
        {"checkpoint": 3, "reverse": True},
        {"truncate": 2},
        {"truncate": 2, "reverse": True},
        {"truncate": 2, "checkpoint": 3},
    ]
)


@st.composite
def cases(draw: Any, nested: bool) -> Case:
    return Case(
        draw(PAIRS),
        draw(PAIRS) if nested else [],
        draw(st.sampled_from([4, 1, 3] if nested else [5, 4, 1])),
        draw(st.booleans()),
        draw(st.tuples(st.booleans(), st.booleans(), st.booleans()).filter(any)),
        draw(OPTIONS),
        draw(OPTIONS) if nested else {},
    )


def _compared(case: Case, gates: Sequence[int]) -> tuple[list[mg.Expr], list[mg.Expr], Any, Any]:
    """The same quantities of the loops and of the unrolled graph, and both graphs."""
    rolled, plain = case.build(True), case.build(False)
    inside, unrolled = mg.adjoints(rolled[0]), mg.adjoints(plain[0])
    got: list[mg.Expr] = []
    expected: list[mg.Expr] = []
    present = {}
    for name, node in rolled[1].made.items():
        if inside.places(node):  # else nothing of the loop reads it
            present[name] = (inside.value(node), node)
    names = list(present)
    through = [names[g % len(names)] for g in gates]
    splits = inside.splits([node for _, node in present.values()], [present[n][1] for n in through])
    flat = [n for name in through for n in _flat(plain[1].made[name])]
    all_plain = [n for name in names for n in _flat(plain[1].made[name])]
    plain_splits = unrolled.splits(all_plain, flat)
    for name, (value, node) in present.items():
        nodes = plain[1].made[name]
        # What does not depend on a step is a node outside of that loop.
        nodes = _to_depth(nodes, value.ndim - node.ndim)
        got += [value, inside[node], *splits[node]]
        expected += [_stacked(nodes), _stacked(_by_steps(nodes, lambda n: unrolled[n]))]
        for k in range(2):
            part = _by_steps(nodes, lambda n, k=k: plain_splits[n][k])
            expected.append(_stacked(part))
        assert_array_equal(
            inside.connected(node),
            np.array(_by_steps(nodes, lambda n: unrolled.get(n) is not None)),
            name,
        )
        got.append(inside[node] - sum(inside.edges(node).values()))
        expected.append(mg.zeros_like(got[-1]))
        if name in ENTERING:
            continue
        for position in range(len(node.args)):
            got.append(inside.edge(node, position))
            edges = _by_steps(nodes, lambda n, p=position: _edge(unrolled, n, p))
            expected.append(_stacked(edges))
    return got, expected, rolled, plain


def _edge(adjoints: mg.Adjoints, user: mg.Expr, position: int) -> mg.Expr:
    """The term of an edge; of a step of which nothing is read there is none."""
    term = adjoints.terms().get((user, position))
    return mg.zeros_like(user.args[position]) if term is None else term


def _flat(nodes: Any) -> list[mg.Expr]:
    return [m for n in nodes for m in _flat(n)] if isinstance(nodes, list) else [nodes]


def _computed(exprs: list[mg.Expr], y: mg.Expr, graph: Graph, **options: Any) -> list[np.ndarray]:
    at = _values(mg.sum(y) + sum(mg.sum(e) for e in exprs if e.type.is_float), graph)
    return mg.function(list(at), exprs, **options)(*at.values())


def _check(case: Case, gates: Sequence[int], backend: str) -> None:
    got, expected, rolled, plain = _compared(case, gates)
    found, wanted = (
        _computed(got, *rolled, backend=backend),
        _computed(expected, *plain, backend="numpy", simplify=False),  # as it stands
    )
    for a, b in zip(found, wanted, strict=True):
        assert a.shape == b.shape
        assert_allclose(a, b, rtol=1e-12, atol=1e-12)


GATES = st.lists(st.integers(0, 50), max_size=3)


@pytest.mark.slow
@settings(max_examples=14)
@given(cases(nested=False), GATES)
def test_what_is_read_of_a_loop_is_what_the_unrolled_graph_has(case: Case, gates: Any) -> None:
    _check(case, gates, "numpy")


@settings(max_examples=7)
@given(cases(nested=True), GATES)
@pytest.mark.slow
def test_what_is_read_of_nested_loops_is_too(case: Case, gates: Any) -> None:
    _check(case, gates, "numpy")


@pytest.mark.parametrize("seed", range(3))
def test_machine_code_gives_the_same(seed: int) -> None:
    rng = np.random.default_rng(seed)

    def choices(n: int) -> list[tuple[int, int, int]]:
        return [tuple(row) for row in rng.integers(0, 80, (n, 3)).tolist()]

    options = [{}, {"checkpoint": 2}, {"reverse": True, "truncate": 2}][seed]
    case = Case(choices(5), choices(3) * (seed > 0), 5, seed != 1, (True,) * 3, options, {})
    _check(case, [1, 4], "native")
