"""reroute: of plain graphs against edges' own terms, of loops against steps written by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from test_properties import graphs, points
from test_scan import BINARY, UNARY, B, H, K, T, by_python, leaves

import minigrad as mg

# --- plain graphs ---------------------------------------------------------------------------------


@given(graphs(size=12), points(), st.data())
def test_a_cut_edge_takes_just_its_own_term(y, at, data):
    y = mg.sum(y)
    adj = mg.adjoints(y)
    edges = list(adj.terms())
    if not edges:
        return
    user, position = data.draw(st.sampled_from(edges))
    factor = data.draw(st.sampled_from([0.0, -1.5]))
    node = user.args[position]
    rerouted, same = mg.reroute([y, node], {(user, position): factor})
    assert same is node  # what lies before the edge stays
    found, expected, value = mg.eval(
        [
            mg.adjoints(rerouted)[node],
            adj[node] + (factor - 1) * adj.edge(user, position),
            rerouted,
        ],
        at,
    )
    assert_allclose(found, expected, rtol=1e-9, atol=1e-11)
    assert_array_equal(value, y.eval(at))


@given(graphs(size=12), points(), st.data())
def test_a_node_is_all_of_its_uses(y, at, data):
    y = mg.sum(y)
    adj = mg.adjoints(y)
    users = {}
    for user, position in adj.terms():
        users.setdefault(user.args[position], []).append((user, position))
    if not users:
        return
    node = data.draw(st.sampled_from(list(users)))
    by_node = mg.reroute(y, {node: 0.25})
    by_edges = mg.reroute(y, dict.fromkeys(users[node], 0.25))
    wrt = [n for n in mg.toposort(y) if n.op.name == "var" and n.type.is_float]
    found, expected = (mg.eval(mg.grad(r, [node, *wrt]), at) for r in (by_node, by_edges))
    for a, b in zip(found, expected, strict=True):
        assert_allclose(a, b, rtol=1e-9, atol=1e-11)
    assert_allclose(found[0], 0.25 * adj[node].eval(at), rtol=1e-9, atol=1e-11)


def test_one_value_at_two_places_of_one_op():
    x = mg.var("x")
    y = x * x
    assert [mg.grad(mg.reroute(y, {(y, k): 0}), x).eval({x: 3.0}) for k in (0, 1)] == [3.0, 3.0]
    assert mg.grad(mg.reroute(y, {(y, 0): 0.5, (y, 1): 2}), x).eval({x: 3.0}) == 7.5
    assert mg.grad(mg.reroute(y, {(y, 0): 0.5, x: 10}), x).eval({x: 3.0}) == 45.0
    assert mg.grad(mg.reroute(y, {"x": 0.5, x: 10}), x).eval({x: 3.0}) == 30.0
    cut = mg.reroute(y, {y: 0})
    assert x not in mg.adjoints(cut)
    assert cut.eval({x: 3.0}) == 9.0


def test_factors_that_broadcast_and_that_are_expressions():
    x, f = mg.var("x", (2, 3)), mg.var("f", (3,), "float32")
    y = mg.sum(mg.sin(x).named("a"))
    gradient = mg.grad(mg.reroute(y, {"a": f}), x)
    point = np.arange(6.0).reshape(2, 3)
    assert_allclose(gradient.eval({x: point, f: [0, 1, -2]}), np.cos(point) * [0, 1, -2])


def test_nothing_to_change_is_the_same_graph():
    x = mg.var("x")
    y = mg.sin(x) * x
    assert mg.reroute(y, {}) is y
    assert mg.reroute([y, x], {x: 1}) == [y, x]
    last, ys = mg.scan(lambda c, v: (mg.sin(c).named("s") * v, c), mg.const(1.0), mg.var("v", (4,)))
    assert mg.reroute([last, ys], {"s": 1}) == [last, ys]


# --- loops ----------------------------------------------------------------------------------------


def tapped_body(draw):
    """A random step, in which one value, a sum, is handed to tap(left, right)."""
    choices = draw(st.lists(st.tuples(*[st.integers(0, 40)] * 3), min_size=3, max_size=8))
    at = draw(st.integers(0, len(choices) - 1))

    def body(v, tap):
        def step(carry, x):
            pool = [carry["a"], carry["b"], x @ v["W"][:K], v["b"] + mg.zeros((B, H)), x[:, :1]]
            for k, (which, left, right) in enumerate(choices):
                a, b = pool[left % len(pool)], pool[right % len(pool)]
                if which % 3:
                    pool.append(BINARY[which % len(BINARY)](a, b))
                else:
                    pool.append(UNARY[which % len(UNARY)](a))
                if k == at:
                    tapped = tap(pool[-1] + mg.zeros((B, H)), 0.7 * carry["a"] * x[:, :1])
                    pool.append(tapped)
            full = [p + mg.zeros((B, H)) for p in pool[-2:]]
            return {"a": mg.tanh(full[0]), "b": full[1] * 0.3 - tapped}, (pool[-1], full[0])

        return step

    return body


def loss_of(run, step, v, **options):
    start = {"a": v["h0"], "b": mg.zeros((B, H))}
    last, (y, z) = run(step, start, v["xs"], **options)
    return mg.sum(last["a"] * last["b"]) + mg.sum(y) + mg.sum(z * z)


def by_hand(body, v, factors, reverse, where):
    """The loop on plain nodes, with scale_gradient written into it."""
    order = iter(reversed(range(T)) if reverse else range(T))

    def tap(left, right):
        f = factors[next(order)]
        if where == "edge":
            return left + mg.scale_gradient(right, f)
        return mg.scale_gradient(left + right, f)

    return loss_of(by_python, body(v, tap), v, reverse=reverse)


@settings(max_examples=settings.default.max_examples // 4)  # each is differentiated for 0.2 s
@given(st.data())
def test_any_step_is_that_with_scales_written_into_it(data):
    body, reverse = tapped_body(data.draw), data.draw(st.booleans())
    where = data.draw(st.sampled_from(["edge", "node"]))
    checkpoint = data.draw(st.sampled_from([None, True, 1, 2, 3, T]))
    factors = np.array(data.draw(st.lists(st.sampled_from([0, 1, -0.5]), min_size=T, max_size=T)))
    v, at = leaves()
    made = []

    def tap(left, right):
        made.append((left + right).named("tap"))
        return made[-1]

    loop = loss_of(mg.scan, body(v, tap), v, reverse=reverse, checkpoint=checkpoint)
    plain = by_hand(body, v, factors, reverse, where)
    what = data.draw(st.sampled_from(["tap", *made]))
    rerouted = mg.reroute(loop, {(what, 1) if where == "edge" else what: factors})
    wrt = list(v.values())
    direction = [np.cos(np.arange(w.size)).reshape(w.shape) for w in wrt]
    found, expected = (
        mg.function(
            list(at),
            [y, *mg.grad(y, wrt), *mg.hvp(y, wrt, direction), mg.jvp(y, wrt, direction)],
            backend="numpy",
            simplify=y is not plain,
        )(*at.values())
        for y in (rerouted, plain)
    )
    for a, b in zip(found, expected, strict=True):
        assert_allclose(a, b, rtol=1e-9, atol=1e-11)


def two_way(v, **options):
    """h = tanh(h W + x), of which y reads h again; a loss of both."""

    def step(h, x):
        h = mg.tanh((h @ v["W"]).named("round") + x).named("h")
        return h, h * x

    last, ys = mg.scan(step, v["start"], v["xs"], **options)
    return mg.sum(last * last) + mg.sum(mg.sin(ys))


def of_two_way():
    shapes = {"W": (H, H), "start": (B, H), "xs": (T, B, H)}
    v = {n: mg.var(n, s) for n, s in shapes.items()}
    rng = np.random.default_rng(5)
    return v, {x: rng.uniform(-0.9, 0.9, x.shape) for x in v.values()}


@pytest.mark.parametrize("backend", ["numpy", "native"])
@pytest.mark.parametrize("reverse", [False, True])
def test_the_knock_outs_of_all_steps_sum_to_what_goes_round(backend, reverse):
    """A gradient is linear in what each step's product contributes to W: cut one, and it is gone;
    what is left of the earlier steps goes on."""
    if backend == "native":
        pytest.importorskip("llvmlite")
    v, at = of_two_way()
    y = two_way(v, reverse=reverse)
    weights = mg.var("weights", (T,))
    gradient = mg.function(
        [*v.values(), weights], mg.grad(mg.reroute(y, {"round": weights}), v["W"]), backend=backend
    )
    whole = gradient(*at.values(), np.ones(T))
    assert_allclose(whole, mg.grad(y, v["W"]).eval(at), rtol=1e-12)
    assert_array_equal(gradient(*at.values(), np.zeros(T)), np.zeros((H, H)))
    order = list(reversed(range(T))) if reverse else list(range(T))
    W, h, xs = at.values()
    for k, cut in enumerate(order):
        # In NumPy, back through the steps; at one of them nothing goes round.
        states = [h]
        for t in order:
            states.append(np.tanh(states[-1] @ W + xs[t]))
        dh, dW = 2 * states[-1], np.zeros((H, H))
        for n in range(T - 1, -1, -1):
            x = xs[order[n]]
            da = (dh + x * np.cos(states[n + 1] * x)) * (1 - states[n + 1] ** 2) * (n != k)
            dW += states[n].T @ da
            dh = da @ W.T
        found = gradient(*at.values(), np.where(np.arange(T) == cut, 0.0, 1.0))
        assert_allclose(found, dW, rtol=1e-10)


@pytest.mark.parametrize("options", [{}, {"reverse": True}, {"checkpoint": 2}], ids=str)
def test_in_a_step_a_cut_edge_takes_just_its_own_term(options):
    """Of h there are two uses, by the next step and by y; what later steps get is as it was."""
    v, at = of_two_way()

    def step(h, x):
        u = mg.tanh(h @ v["W"]).named("u")
        return (u + x).named("next"), mg.sin(u * h).named("y")

    last, ys = mg.scan(step, v["start"], v["xs"], **options)
    y = mg.sum(last * last) + mg.sum(ys * ys)
    adj = mg.adjoints(y)
    terms = {what: adj.edge(*what) for what in (("next", 0), ("y", 0))}
    before, of_user = mg.eval([adj["u"], terms], at)
    for (user, position), term in of_user.items():
        for t in range(T):
            cut = mg.reroute(y, {(user, position): np.arange(T) != t})
            found = mg.adjoints(cut)["u"].eval(at)
            if user == "next":
                assert_allclose(found[t], before[t] - term[t], rtol=1e-10, atol=1e-13)
            then = slice(t, None) if options.get("reverse") else slice(0, t + 1)
            changed = [k for k in range(T) if not np.allclose(found[k], before[k], rtol=1e-9)]
            assert t in changed
            assert set(changed) <= set(range(T)[then])


def test_numbers_hold_for_every_step_and_units_may_differ():
    v, at = of_two_way()
    y = two_way(v)
    f = np.random.default_rng(0).uniform(-1, 1, (T, B, H))
    pairs = [
        (0.5, np.full(T, 0.5)),
        (0.5, np.full((1, B, 1), 0.5)),
        (mg.var("f"), np.full((T, 1, H), 0.5)),
        (f[:, :1], np.broadcast_to(f[:, :1], f.shape)),
    ]
    for one, other in pairs:
        found, expected = (
            mg.grad(mg.reroute(y, {"h": factor}), v["start"]).eval(
                at | ({factor: 0.5} if isinstance(factor, mg.Expr) else {})
            )
            for factor in (one, other)
        )
        assert_allclose(found, expected, rtol=1e-12)


def test_a_cut_in_all_steps_is_structural():
    v, at = of_two_way()
    y = mg.reroute(two_way(v), {"h": 0})
    assert v["W"] not in mg.adjoints(y)
    assert v["W"] in mg.adjoints(mg.reroute(two_way(v), {"h": np.zeros(T)}))
    assert not mg.grad(y, v["start"]).eval(at).any()


def test_nested_loops_take_a_factor_for_each_step_of_each():
    """Against both loops written out."""
    rng = np.random.default_rng(3)
    w, xs = mg.var("w"), mg.var("xs", (4, 3))
    at = {w: 0.7, xs: rng.standard_normal((4, 3))}
    factors = rng.uniform(-1, 1, (4, 3))

    def inner(c, x, scale=lambda p: p):
        return mg.sin(scale(w * c)) + x

    def outer(c, row):
        c, _ = mg.scan(lambda c, x: (inner(c, x, lambda p: p.named("p")), None), c, row)
        return mg.tanh(c), c

    last, ys = mg.scan(outer, mg.const(0.2), xs)
    y = last + mg.sum(ys * ys)
    c, plain = mg.const(0.2), 0.0
    for i in range(4):
        for j in range(3):
            c = inner(c, xs[i, j], lambda p, i=i, j=j: mg.scale_gradient(p, factors[i, j]))
        plain, c = plain + c * c, mg.tanh(c)
    plain = plain + c
    for given_as in (factors, mg.const(factors)):
        found = mg.eval(mg.grad(mg.reroute(y, {"p": given_as}), [w, xs]), at)
        for a, b in zip(found, mg.eval(mg.grad(plain, [w, xs]), at), strict=True):
            assert_allclose(a, b, rtol=1e-11)
    half = mg.grad(mg.reroute(y, {"p": mg.var("f")}), w)
    rows = mg.grad(mg.reroute(y, {"p": np.full((4, 1), 0.5)}), w)
    assert_allclose(half.eval({**at, mg.var("f"): 0.5}), rows.eval(at), rtol=1e-12)


def test_a_state_as_it_enters_the_steps():
    """What the step function was given, cut at one step: no path leads past it."""
    entering = []

    def step(h, x):
        entering.append(h)
        return mg.tanh(h) + x, None

    start, xs = mg.var("start"), mg.var("xs", (T,))
    last, _ = mg.scan(step, start, xs)
    at = {start: 0.1, xs: np.linspace(-0.5, 0.5, T)}
    whole = mg.grad(last, xs).eval(at)
    for t in range(T):
        cut = mg.grad(mg.reroute(last, {entering[0]: np.arange(T) != t}), xs).eval(at)
        assert_allclose(cut, np.where(np.arange(T) < t, 0, whole), rtol=1e-14)


def test_one_step_in_two_loops():
    """Equal steps are one body: nodes of it are told apart by the loop that made them."""
    xs, made = mg.var("xs", (2, T)), []

    def run(row):
        def step(c, x):
            made.append(mg.sin(c + x).named("s"))
            return made[-1], None

        return mg.scan(step, mg.const(0.0), row)[0]

    y = run(xs[0]) * run(xs[1])
    assert made[0] is not made[1]
    point = {xs: np.linspace(0, 1, 2 * T).reshape(2, T)}
    whole = mg.grad(y, xs).eval(point)
    for k in (0, 1):
        found = mg.grad(mg.reroute(y, {made[k]: 0}), xs).eval(point)
        assert_array_equal(found[k], np.zeros(T))
        assert_allclose(found[1 - k], whole[1 - k], rtol=1e-14)
        weighted = mg.reroute(y, {made[k]: 0.5, made[1 - k]: np.full(T, 2.0)})
        f = np.where(np.arange(2)[:, None] == k, 0.5, 2.0) ** np.arange(T, 0, -1)
        assert_allclose(mg.grad(weighted, xs).eval(point), whole * f, rtol=1e-13)
    with pytest.raises(mg.GraphError, match="the name 's' is in 2 places"):
        mg.reroute(y, {"s": 0})
    for k, place in enumerate(mg.adjoints(y).places("s")):
        found = mg.grad(mg.reroute(y, {place: 0}), xs).eval(point)
        assert [not row.any() for row in found] == [k == 0, k == 1]
        edge = mg.grad(mg.reroute(y, {(place, 0): 0}), xs).eval(point)
        assert_array_equal(edge, found)


def test_loops_that_differ_in_what_they_give_are_one():
    w, xs = mg.var("w"), mg.const(np.linspace(-1, 1, T))
    f = np.linspace(0, 1, T)

    def step(c, x):
        return mg.tanh((w * c).named("p") + x), c

    def last_alone(c, x):
        return step(c, x)[0], None

    start = mg.const(0.5)
    y = mg.scan(step, start, xs)[1][-1] * mg.scan(last_alone, start, xs)[0]
    c, states = start, []
    for t in range(T):
        states.append(c)
        c = mg.tanh(mg.scale_gradient(w * c, f[t]) + xs[t])
    expected = mg.grad(states[-1] * c, w).eval({w: 0.8})
    assert_allclose(mg.grad(mg.reroute(y, {"p": f}), w).eval({w: 0.8}), expected, rtol=1e-13)


def test_by_name_twice_over():
    """What came of a reroute has the names, and is rerouted again."""
    v, at = of_two_way()
    y = two_way(v)
    f = np.linspace(0, 1, T)
    twice = mg.reroute(mg.reroute(y, {"round": f}), {"round": f, "h": 0.5})
    once = mg.reroute(y, {"round": f * f, "h": 0.5})
    assert_allclose(mg.grad(twice, v["W"]).eval(at), mg.grad(once, v["W"]).eval(at), rtol=1e-12)
    assert y.eval(at) == twice.eval(at)


def test_routes_inside_and_outside_at_once():
    v, at = of_two_way()
    y = two_way({**v, "W": mg.tanh(v["W"]).named("squashed")})
    f = np.linspace(0, 1, T)
    both = mg.grad(mg.reroute(y, {"round": f, "squashed": 0.5}), v["W"])
    one = mg.grad(mg.reroute(y, {"round": f}), v["W"])
    assert_allclose(both.eval(at), 0.5 * one.eval(at), rtol=1e-12)


# --- what is refused ------------------------------------------------------------------------------


def test_what_is_not_there():
    v, _ = of_two_way()
    y = two_way(v)
    for what, message in {
        "rund": "no node is named 'rund'; there are 'W', 'h', 'round', 'start', 'xs'",
        mg.var("other"): "other: float64, .*is not part of the graph",
        ("round", 2): "round: .* has no argument 2",
        ("round", -1): "round: .* has no argument -1",
        1.5: "1.5 is no node, no name, and no edge",
        (1.5, 0): "is no node, no name, and no edge",
        ("round", 7): "has no argument 7",
    }.items():
        with pytest.raises(mg.GraphError, match=message):
            mg.reroute(y, {what: 0})
    (elsewhere,) = mg.adjoints(mg.sin(mg.cos(v["start"]).named("cos"))).places("cos")
    with pytest.raises(mg.GraphError, match="is not part of the graph"):
        mg.reroute(y, {elsewhere: 0})
    for position in ("h", 0.5):
        with pytest.raises(mg.DTypeError, match="position of an argument must be an integer"):
            mg.reroute(y, {("round", position): 0})
    assert mg.reroute(y, {("round", np.int64(0)): 0}) is mg.reroute(y, {("round", 0): 0})
    (here,) = mg.adjoints(y).places("round")
    once = mg.reroute(y, {here: 0})
    with pytest.raises(mg.GraphError, match="is not part of the graph"):
        mg.reroute(once, {here: 0})  # the loop is another now; its names are there
    mg.reroute(once, {"round": 0})
    with pytest.raises(mg.GraphError, match="factors are a dict"):
        mg.reroute(y, ["round"])
    a, b = mg.sin(v["start"]).named("twice"), mg.cos(v["start"]).named("twice")
    with pytest.raises(
        mg.GraphError, match=r"name 'twice' is in 2 places.*\n  <twice: .*\n  <twice: "
    ):
        mg.reroute(a * b, {"twice": 0})


def test_factors_that_do_not_fit():
    v, _ = of_two_way()
    y = two_way(v)
    for factor in (np.ones(T + 1), np.ones((T, H, B)), np.ones((T, 1, B, H))):
        with pytest.raises(mg.ShapeError, match=rf"broadcast to \({T}, {B}, {H}\), with the axes"):
            mg.reroute(y, {"round": factor})
    with pytest.raises(mg.ShapeError, match=rf"broadcast to \({H}, {H}\)$"):
        mg.reroute(y, {v["W"]: np.ones(H + 1)})
    k = mg.var("k", (), "int64")
    z = v["start"] * k
    with pytest.raises(mg.DTypeError, match="no gradient comes back to k"):
        mg.reroute(z, {k: 0})
    (loop,) = [n for n in mg.toposort(y) if n.op.name == "scan"]
    with pytest.raises(mg.GraphError, match="several results"):
        mg.reroute(y, {loop: 0})
