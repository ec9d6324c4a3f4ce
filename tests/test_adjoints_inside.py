"""Adjoints within loops against the unrolled graph's, against NumPy, and against closed forms."""

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
from minigrad.errors import GraphError, MinigradError

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
            pool = [*carry, x, x * leaves["v"]]
            pooled(pool, self.inner, made, "inner")
            made["inner"] = 0.3 * pool[-1]
            return [mg.tanh(pool[-1]), made["inner"]], [pool[-1], carry[0]]

        def step(made: dict[str, Any], carry: Any, x: mg.Expr, tag: str) -> Any:
            a, b = carry
            made.update(a=a, b=b, x=x)
            if nested:
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


def _stacked(nested: Any) -> mg.Expr:
    return mg.stack([_stacked(n) for n in nested]) if isinstance(nested, list) else nested


PAIRS = st.lists(st.tuples(*[st.integers(0, 80)] * 3), min_size=2, max_size=6)
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
        draw(st.sampled_from([5, 1, 4] if nested else [5, 7, 1])),
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
        if value is node and isinstance(nodes, list):  # it does not depend on the step
            nodes = _flat(nodes)[0]
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


def _check(case: Case, gates: Sequence[int], backend: str) -> None:
    got, expected, rolled, plain = _compared(case, gates)
    for (y, graph), exprs, backend_of in ((rolled, got, backend), (plain, expected, "numpy")):
        at = _values(mg.sum(y) + sum(mg.sum(e) for e in exprs if e.type.is_float), graph)
        f = mg.function(list(at), exprs, backend=backend_of)
        results = f(*at.values())
        if exprs is got:
            numbers = results
    for a, b in zip(numbers, results, strict=True):
        assert a.shape == b.shape
        assert_allclose(a, b, rtol=1e-11, atol=1e-12)


GATES = st.lists(st.integers(0, 50), max_size=3)


@given(cases(nested=False), GATES)
def test_what_is_read_of_a_loop_is_what_the_unrolled_graph_has(case: Case, gates: Any) -> None:
    _check(case, gates, "numpy")


@settings(max_examples=20)
@given(cases(nested=True), GATES)
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


# --- closed forms ------------------------------------------------------------------------------


def _doubling(length: int, **options: Any) -> tuple[mg.Adjoints, dict[str, mg.Expr], mg.Expr]:
    """c ← (f = x_t) · c + (g = u · c), y = the last c: ∂y/∂c_t is the product of x + u after t."""
    made: dict[str, mg.Expr] = {}
    x, u = mg.var("x", (length,)), mg.var("u")

    def step(c: mg.Expr, x: mg.Expr) -> tuple[mg.Expr, None]:
        made.update(c=c, x=x, line=(x * c).named("line"), side=(u * c).named("side"))
        made["new"] = (made["line"] + made["side"]).named("C")
        return made["new"], None

    last, _ = mg.scan(step, mg.const(1.0), x, **options)
    return mg.adjoints(last), made, last


X = np.array([0.5, 2.0, -1.0, 3.0])
U = 0.25


def _at(adj: mg.Adjoints) -> dict[str, Any]:
    return {v.name: {"x": X, "u": U}[v.name] for v in adj.order if v.op.name == "var"}


def _eval(expr: mg.Expr, at: dict[str, Any]) -> np.ndarray:
    """The value of an expression, of more values than it asks for."""
    names = {v.name for v in mg.toposort(expr) if v.op.name == "var"}
    return np.asarray(expr.eval({n: value for n, value in at.items() if n in names}))


def test_by_hand() -> None:
    adj, made, _ = _doubling(4)
    at = _at(adj)
    factors = X + U
    after = np.array([factors[t + 1 :].prod() for t in range(4)])
    before = np.array([factors[:t].prod() for t in range(4)])
    assert_allclose(_eval(adj["C"], at), after, rtol=1e-15)
    assert_allclose(_eval(adj[made["new"]], at), after, rtol=1e-15)
    assert_allclose(_eval(adj[made["c"]], at), after * factors, rtol=1e-15)
    assert_allclose(_eval(adj[made["x"]], at), after * before, rtol=1e-15)
    assert_allclose(_eval(adj.value("C"), at), before * factors, rtol=1e-15)
    assert_allclose(_eval(adj.value(made["c"]), at), before, rtol=1e-15)
    assert _eval(adj.value(made["x"]), at).tolist() == X.tolist()
    assert_allclose(_eval(adj.edge("line", 1), at), after * X, rtol=1e-15)
    assert_allclose(_eval(adj.edge("side", 0), at), after * before, rtol=1e-15)  # u, step by step
    assert_allclose(_eval(adj.edge("side", 1), at), after * U, rtol=1e-15)


def test_the_part_along_the_line_is_the_product_of_its_factors() -> None:
    adj, _, _ = _doubling(4)
    at = _at(adj)
    around, along = (
        adj.split("C", through=["side"]),
        np.array([X[t + 1 :].prod() for t in range(4)]),
    )
    assert_allclose(_eval(around[1], at), along, rtol=1e-15)
    assert_allclose(_eval(around[0], at), _eval(adj["C"], at) - along, rtol=1e-14, atol=1e-14)
    # Of x_t, what goes on along the line is that times the c before it.
    _, line = adj.split(mg.var("x", (4,)), through=["side"])
    before = np.array([(X + U)[:t].prod() for t in range(4)])
    assert_allclose(_eval(line, at), along * before, rtol=1e-15)


def test_uses_of_a_node_with_what_the_loop_takes_of_it() -> None:
    adj, made, last = _doubling(4)
    at = _at(adj)
    (loop,) = adj.places("C")[0].loops
    assert last.args == (loop,)
    edges = adj.edges("C")
    assert [(use is loop, position) for use, position in edges] == [(True, 0)]
    assert_allclose(_eval(edges[loop, 0], at), _eval(adj["C"], at), rtol=1e-15)
    uses = adj.edges(made["c"])
    assert [user.name for user, _ in uses] == ["line", "side"]


@pytest.mark.parametrize("options", [{"checkpoint": 3}, {"checkpoint": True}, {"checkpoint": 1}])
def test_segments_read_as_one_stack(options: dict[str, Any]) -> None:
    adj, _made, _ = _doubling(4, **options)
    plain, _, _ = _doubling(4)
    at = _at(adj)
    for read in (
        lambda a: a["C"],
        lambda a: a.value("line"),
        lambda a: a.edge("side", 0),
        lambda a: a.split("C", ["line"])[0],
    ):
        assert_array_equal(_eval(read(adj), at), _eval(read(plain), at))
    assert adj.connected("C").tolist() == [True] * 4


def test_no_steps_and_one_step() -> None:
    for length in (0, 1):
        adj, _made, _ = _doubling(length)
        at = {v.name: np.full(v.shape, 2.0) for v in adj.order if v.op.name == "var"}
        assert _eval(adj["C"], at).tolist() == [1.0] * length
        assert adj.value("C").shape == (length,)
        assert _eval(adj.edge("line", 1), at).shape == (length,)
        assert adj.connected("C").tolist() == [True] * length
        assert [part.shape for part in adj.split("C", ["line"])] == [(length,)] * 2
        assert _eval(adj.split("line", ["C"])[0], at).tolist() == [1.0] * length


# --- what is told apart ------------------------------------------------------------------------


def test_what_is_not_connected_is_zero_and_said_to_be_so() -> None:
    made: dict[str, mg.Expr] = {}

    def step(carry: Any, x: mg.Expr) -> Any:
        a, n = carry
        made.update(dead=mg.exp(x), stopped=mg.tanh(x), live=x * a, count=n + 1)
        made["new"] = made["live"] + mg.stop_gradient(made["stopped"])
        return (made["new"], made["count"]), made["dead"]

    (last, _), _ = mg.scan(step, (mg.var("a"), mg.const(0)), mg.var("x", (3,)))
    adj = mg.adjoints(last)
    assert adj.connected(made["live"]).tolist() == [True] * 3
    for name in ("dead", "stopped", "count"):
        assert adj.connected(made[name]).tolist() == [False] * 3, name
        assert adj.get(made[name]) is None
        assert adj[made[name]].eval().tolist() == [0, 0, 0]
    assert _eval(adj.value(made["count"]), {"a": 1.0, "x": np.ones(3)}).tolist() == [1, 2, 3]
    assert adj.value(made["count"]).dtype == np.int64


def test_a_path_that_opens_late_is_told_step_by_step() -> None:
    """b reaches y through a alone, a step later: of b's last value nothing is read."""
    made: dict[str, mg.Expr] = {}

    def step(carry: Any, x: mg.Expr) -> Any:
        a, b = carry
        made.update(a=a * b, b=b + x)
        return (made["a"], made["b"]), None

    (last, _), _ = mg.scan(step, (mg.var("a"), mg.var("b")), mg.var("x", (3,)))
    adj = mg.adjoints(last)
    assert adj.connected(made["a"]).tolist() == [True, True, True]
    assert adj.connected(made["b"]).tolist() == [True, True, False]
    assert adj.connected(mg.var("b")) is True


@pytest.mark.parametrize("checkpoint", [None, 2, 3])
def test_where_truncation_cuts_nothing_is_connected(checkpoint: int | None) -> None:
    made: dict[str, mg.Expr] = {}

    def step(c: mg.Expr, x: mg.Expr) -> Any:
        made["new"] = mg.tanh(c) * x
        return made["new"], None

    x = mg.var("x", (5,))
    last, _ = mg.scan(step, mg.var("c"), x, truncate=2, checkpoint=checkpoint)
    adj = mg.adjoints(last)
    # Steps 2 and 4 do not pass what comes back to their carry.
    assert adj.connected(made["new"]).tolist() == [False] * 4 + [True]
    assert adj.connected(mg.var("c")) is False


def test_loops_of_one_step_are_told_apart_by_its_nodes_and_by_places() -> None:
    made: list[mg.Expr] = []

    def step(c: mg.Expr, x: mg.Expr) -> Any:
        made.append((c * x).named("f"))
        return made[-1], c

    x = mg.var("x", (3,))
    _first, ys = mg.scan(step, mg.const(1.0), x)
    second, _ = mg.scan(step, mg.const(2.0), ys)
    adj = mg.adjoints(second)
    at = {"x": [2.0, 3.0, 5.0]}
    # ys = 1, 2, 6; y = 2 · 1 · 2 · 6
    assert _eval(adj.value(made[0]), at).tolist() == [2, 6, 30]
    assert _eval(adj.value(made[1]), at).tolist() == [2, 4, 24]
    assert _eval(adj[made[1]], at).tolist() == [12, 6, 1]
    with pytest.raises(GraphError, match="the name 'f' is in 2 places"):
        adj["f"]
    assert [_eval(adj.value(p), at).tolist() for p in adj.places("f")] == [[2, 6, 30], [2, 4, 24]]
    through, around = adj.split(mg.var("x", (3,)), [adj.places("f")[0]])
    assert _eval(around, at).tolist() == [0, 0, 0]
    assert_allclose(_eval(through, at), _eval(mg.grad(second, mg.var("x", (3,))), at))


def test_loops_that_differ_in_their_results_only_have_one_adjoint() -> None:
    made: list[mg.Expr] = []

    def step(k: float, c: mg.Expr, x: mg.Expr) -> Any:
        made.append(mg.tanh(c) * x)
        return made[-1], k * made[-1]

    x, c = mg.var("x", (3,)), mg.var("c")
    (_, one), (_, two) = (mg.scan(lambda c, x, k=k: step(k, c, x), c, x) for k in (2.0, 3.0))
    y = mg.sum(one * one) + mg.sum(two)
    plain: list[mg.Expr] = []
    now = c
    for t in range(3):
        now = mg.tanh(now) * x[t]
        plain.append(now)
    unrolled = mg.adjoints(mg.sum(sum(4.0 * p * p + 3.0 * p for p in plain)))
    at = {"x": [0.4, 0.7, -0.2], "c": 0.9}
    adj = mg.adjoints(y)
    expected = [_eval(unrolled[p], at) for p in plain]
    for node in made:
        assert_allclose(_eval(adj[node], at), expected, rtol=1e-13)
        total = _eval(sum(adj.edges(node).values()), at)
        assert_allclose(total, expected, rtol=1e-13)


def test_of_second_derivatives_too() -> None:
    """y = (∂c₃/∂x₀)², c ← tanh(c · x): the node is in a loop, and in loops of its derivative."""
    made: list[mg.Expr] = []

    def step(c: mg.Expr, x: mg.Expr) -> Any:
        made.append(mg.tanh(c * x))
        return made[-1], None

    x = mg.var("x", (3,))
    last, _ = mg.scan(step, mg.const(0.9), x)
    y = mg.sum(mg.grad(last, x) ** 2) + last
    at = {"x": [0.4, 0.7, -0.2]}
    # What is added to the node moves y as the adjoint says.
    bump, eps = mg.var("bump", (3,)), 1e-6
    moved, _ = mg.scan(
        lambda c, x: (mg.tanh(c * x["x"]) + x["b"], None), mg.const(0.9), {"x": x, "b": bump}
    )
    y_moved = mg.sum(mg.grad(moved, x) ** 2) + moved
    want = [
        (y_moved.eval(at | {"bump": e}) - y_moved.eval(at | {"bump": -e})) / (2 * eps)
        for e in eps * np.eye(3)
    ]
    assert_allclose(_eval(y, at), y_moved.eval(at | {"bump": np.zeros(3)}), rtol=1e-12)
    adj = mg.adjoints(y)
    # The loop of the value and the one that gives residuals too are one.
    assert len(adj.places(made[0])) == 1
    assert_allclose(_eval(adj[made[0]], at), want, rtol=1e-6)


# --- errors ------------------------------------------------------------------------------------


def test_what_is_not_there_is_an_error_that_says_what_is() -> None:
    adj, _made, _ = _doubling(4)
    for read in (
        lambda what: adj[what],
        adj.value,
        adj.connected,
        adj.edges,
        lambda what: adj.edge(what, 0),
        lambda what: adj.split(what, ["C"]),
        lambda what: adj.split("C", [what]),
    ):
        with pytest.raises(GraphError, match="no node is named 'nothing'; there are 'C', 'line'"):
            read("nothing")
    with pytest.raises(GraphError, match=r"line.* has no argument 2"):
        adj.edge("line", 2)
    with pytest.raises(MinigradError, match="a node or its name"):
        adj[3]  # type: ignore[index]
    _, made_there, _ = _doubling(4, truncate=2)
    with pytest.raises(GraphError, match="not part of the graph, nor of a step of its loops"):
        adj[made_there["new"]]
    dead: list[mg.Expr] = []
    last, _ = mg.scan(
        lambda c, x: (dead.append(c * 2) or c + x, None), mg.const(0.0), mg.var("x", (3,))
    )
    with pytest.raises(GraphError, match="nor of a step"):
        mg.adjoints(last)[dead[0]]
    assert mg.adjoints(last)[mg.var("elsewhere")].eval() == 0
