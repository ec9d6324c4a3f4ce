"""Nodes: leaves, interning, immutability, origins, walks, substitution, verification, types."""

from __future__ import annotations

import copy
import gc
import hashlib
import tracemalloc
import weakref

import numpy as np
import pytest

import minigrad as mg
from minigrad.graph.leaves import CONST, VAR
from minigrad.graph.node import OPS, make, register
from minigrad.graph.walk import MANY, orders_kept, packed
from minigrad.interning import Table

x = mg.var("x")
v = mg.var("v", (3,))


# --- leaves -------------------------------------------------------------------------------------


def test_variables_are_one_by_name_and_type():
    assert mg.var("x") is x
    assert mg.var("x", (), "float64") is mg.var("x", [], np.float64)
    assert mg.var("x", 3) is mg.var("x", (3,)) is not x
    assert mg.var("x", (), "float32") is not x
    assert (x.name, x.shape, x.dtype, x.ndim, x.size) == ("x", (), np.float64, 0, 1)
    assert isinstance(x.type, mg.TensorType)
    assert isinstance(x.op, mg.Op)


def test_constants_are_one_by_dtype_and_bits():
    assert mg.const(2) is mg.const(np.int64(2))
    assert mg.const(2) is not mg.const(2.0)
    assert mg.const(0.0) is not mg.const(-0.0)
    assert mg.const(np.nan) is mg.const(np.nan)
    assert mg.const(1) is not mg.const(True)
    assert mg.const([1.0, 2.0]) is mg.const(np.array([2.0, 1.0])[::-1])
    assert mg.const([[1.0], [2.0]]) is not mg.const([1.0, 2.0])
    long = np.arange(1000.0)
    assert mg.const(long) is mg.const(long.copy())
    assert mg.const(long) is not mg.const(long + 1)


def test_zeros_of_both_signs_stay_themselves_in_ops():
    assert np.signbit((x * -0.0).eval({x: 1.0}))
    assert not np.signbit((x * 0.0).eval({x: 1.0}))
    assert (x * -0.0) is not (x * 0.0)


def test_params_are_each_their_own():
    p, q = mg.param("p", 1.0), mg.param("p", 1.0)
    assert p is not q
    assert p * 2 is not q * 2
    assert p * 2 is p * 2
    p.value = 3
    assert p.value.dtype == np.float64
    assert (p.value, q.value) == (3, 1)


def test_a_param_takes_one_copy_of_its_value(monkeypatch):
    value = np.ones(1 << 20)
    # A digest is what tells constants apart; it takes thirty times as long as the copy.
    monkeypatch.setattr(hashlib, "blake2b", lambda data: pytest.fail("a param was digested"))
    tracemalloc.start()
    try:
        p = mg.param("p", value)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert value.nbytes <= peak < 1.1 * value.nbytes
    value[0] = 2.0
    assert p.value[0] == 1.0
    p.value[0] = 3.0
    assert p.value[0] == 3.0


@pytest.mark.parametrize("make_leaf", [mg.const, lambda *args: mg.param("p", *args)])
def test_constants_and_params_take_the_same_numbers(make_leaf):
    assert make_leaf([1, 2], "float32").dtype == np.float32
    assert make_leaf(np.ones(3, ">f8")).value.dtype == np.dtype("float64")
    for value in ["text", [None], [[1.0], [1.0, 2.0]], 1j, [mg.var("x")]]:
        with pytest.raises(mg.DTypeError):
            make_leaf(value)
    with pytest.raises(mg.DTypeError, match="nonsense"):
        make_leaf(1.0, "nonsense")


# --- interning ----------------------------------------------------------------------------------


def test_equal_expressions_are_one_object():
    assert x * 2 + 1 is x * 2 + 1
    assert mg.sum(v, 0) is mg.sum(v) is v.sum(axis=-1)
    assert v[0] is v[-3]
    assert mg.grad(mg.sin(x) * x, x) is mg.grad(mg.sin(x) * x, x)
    assert x + v[0] is not v[0] + x


def test_a_node_lives_as_long_as_someone_holds_it():
    y = mg.sin(x * 12345.5)
    ref = weakref.ref(y)
    inner = weakref.ref(y.args[0])
    del y
    gc.collect()
    assert ref() is None
    assert inner() is None


def test_a_table_replaces_what_is_gone_and_keeps_what_is_there():
    table = Table()
    forget, table.forget = table.forget, lambda entry: None  # another thread is about to
    things = [set("a"), set("b"), set("c")]
    assert table.intern("key", things[0]) is things[0]
    assert table.intern("key", things[1]) is things[0]
    late = table["key"]
    del things[0]
    assert table.intern("key", things[1]) is things[1]
    forget(late)
    assert table["key"]() is things[1]


def test_nodes_are_immutable():
    y = x * 2
    for name in ("op", "args", "attrs", "type", "label", "anything"):
        with pytest.raises(AttributeError):
            setattr(y, name, None)
    with pytest.raises(AttributeError):
        y.type.dtype = np.dtype("int8")


def test_nodes_are_hashable_and_compare_elementwise():
    table = {x: 1, v: 2}
    assert table[x] == 1
    assert table[v] == 2
    y = v == v
    assert y.dtype == np.bool_
    assert y.shape == (3,)


# --- names and origins --------------------------------------------------------------------------


def test_labels_and_repr():
    y = (x * 77).named("heat")
    assert y.name == "heat"
    assert repr(y) == "<Expr 'heat' = x * 77: float64>"
    assert repr(x) == "<Expr var 'x': float64>"
    assert repr(mg.sum(v)) == "<Expr sum(v): float64>"
    assert repr(x.op) == "<op var>"


def test_origins_are_the_users_lines():
    y = mg.sin(x * 31337.0)
    file, line = y.origin.rsplit(":", 1)
    assert file == __file__
    with open(__file__) as source:
        assert "31337.0" in source.readlines()[int(line) - 1]


def test_a_gradient_comes_from_where_its_function_was_made():
    y = mg.exp(x * 271828.0) * x
    made = {n for n in mg.toposort(mg.grad(y, x)) if n.args} - set(mg.toposort(y))
    assert {n.origin for n in made} == {y.origin}


# --- walks --------------------------------------------------------------------------------------


def test_toposort_has_each_node_once_and_arguments_first():
    a = mg.sin(x)
    y = a * a + mg.cos(a)
    order = mg.toposort([y, a])
    assert len(set(order)) == len(order)
    place = {n: k for k, n in enumerate(order)}
    assert all(place[arg] < place[n] for n in order for arg in n.args)
    assert order[-1] is y


def test_free_variables_in_order_of_use():
    p = mg.param("p", 1.0)
    assert list(map(id, mg.free_variables(v * x + p))) == [id(v), id(x)]
    assert mg.free_variables(p * 2) == []


def test_substitute_replaces_all_at_once():
    y = mg.var("y")
    swapped = mg.substitute(x - y, {x: y, y: x})
    assert swapped is y - x
    assert mg.substitute(mg.sin(x) * x, {mg.sin(x): mg.cos(x)}) is mg.cos(x) * x
    assert mg.substitute([x, y], {x: 2})[0] is mg.const(2.0)
    assert mg.substitute(y, {x: 2.0}) is y


# --- verification and the registry --------------------------------------------------------------


def test_verify_accepts_what_the_engine_makes():
    y = mg.sum(mg.softmax(v) * x)
    mg.verify([y, *mg.grad(y, [x, v])])


def test_verify_finds_a_node_that_is_not_the_interned_one():
    y = mg.sin(x)
    twin = object.__new__(mg.Expr)
    for slot in ("op", "args", "attrs", "type", "label", "_origin"):
        getattr(mg.Expr, slot).__set__(twin, getattr(y, slot))
    with pytest.raises(mg.GraphError, match="it is not the interned node"):
        mg.verify(twin * 2)


def test_verify_finds_a_wrong_type():
    y = mg.sin(x * 1618.0)
    mg.Expr.type.__set__(y, mg.TensorType((7,), "float32"))  # type: ignore[attr-defined]
    with pytest.raises(mg.GraphError, match="its type rule says float64"):
        mg.verify(y)


def test_an_op_states_its_derivative_in_one_way():
    for stated in ({}, {"partials": (1,), "no_gradient": True}):
        with pytest.raises(TypeError, match="op odd must state its derivative in exactly one way"):
            mg.Op("odd", lambda t: t, np.sin, **stated)


def test_a_new_op_needs_one_record():
    op = register(
        mg.Op("test_cube", lambda t: t, lambda a: a**3, partials=(lambda y, a: 3 * a * a,),
              pointwise=True)
    )  # fmt: skip
    try:
        with pytest.raises(mg.GraphError, match="an op named 'test_cube' is registered already"):
            register(op)
        y = make(op, (v,))
        mg.check_grad(y, v, {v: [0.5, -1.0, 2.0]}, order=2)
        assert str(y) == "test_cube(v)"
        assert mg.loads(mg.dumps(y)) is y
        assert np.array_equal(mg.jvp(y, v, [1.0, 0, 0]).eval({v: [2.0, 1, 1]}), [12, 0, 0])
    finally:
        del OPS["test_cube"]


# --- types --------------------------------------------------------------------------------------


def test_tensor_types_are_interned_and_immutable():
    t = mg.TensorType((2, 3), "float32")
    assert t is mg.TensorType([2, np.int64(3)], np.dtype("float32"))
    assert (t.ndim, t.size, t.is_float) == (2, 6, True)
    assert t.with_shape(4) is mg.TensorType((4,), "float32")
    assert t.with_dtype("int8") is mg.TensorType((2, 3), "int8")
    assert not t.with_dtype("int8").is_float
    assert copy.deepcopy(t) is t
    assert repr(mg.TensorType((), "bool")) == "bool"


# --- values of closed graphs --------------------------------------------------------------------


def test_closed_graphs_have_values():
    p = mg.param("p", 2.0)
    y = p * 3 + 0.5
    assert float(y) == 6.5
    assert int(y) == 6
    assert bool(y)
    assert not (p > 3)
    assert y.item() == 6.5
    assert isinstance((p > 3).item(), bool)
    assert float(np.float64(y)) == 6.5
    assert np.asarray(mg.const([1, 2]) * 2, dtype=float).dtype == np.float64
    assert f"{float(y):.1f}" == "6.5"
    assert (1 if p > 1 else 2) == 1


def test_leaves_are_what_they_say():
    assert x.op is VAR
    assert mg.const(1).op is CONST
    assert len(v) == 3
    assert [e.shape for e in v] == [()] * 3
    _, second, _ = v
    assert second is v[1]


def test_a_list_of_expressions_is_no_constant():
    W = mg.param("W", 2.0)
    with pytest.raises(mg.DTypeError, match=r"a list of expressions .* minigrad.stack"):
        mg.const([[W], [W]])


def test_variables_and_params_keep_their_names():
    for leaf in (mg.var("own"), mg.param("own", 1.0)):
        with pytest.raises(mg.GraphError, match="has its name already"):
            leaf.named("other")


def test_threads_that_make_and_drop_get_one_node_each_time():
    import sys
    import threading

    x = mg.var("raced")
    different = []
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)

    def work():
        for _ in range(3000):
            first = mg.sinh(x)
            if first is not mg.sinh(x):
                different.append(first)
            del first

    try:
        threads = [threading.Thread(target=work) for _ in range(6)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
    finally:
        sys.setswitchinterval(before)
    assert different == []


def test_pickled_expressions_share_their_params():
    import pickle

    W = mg.param("W", [1.0, 2.0])
    x = mg.var("param0", (2,))
    loss, same, found = pickle.loads(pickle.dumps((mg.sum(W * x * W), W, {"W": W * 2.0})))
    assert same is not W
    assert mg.grad(loss, same).eval({x: [1.0, 1.0]}).tolist() == [2.0, 4.0]
    same.value = [5.0, 5.0]
    assert found["W"].eval().tolist() == [10.0, 10.0]
    assert W.value.tolist() == [1.0, 2.0]


def test_a_variable_that_is_made_twice_is_told_with_both_lines():
    first = mg.var("made twice", (3,))
    second = mg.var("made twice", (3,))
    assert second is first
    with pytest.raises(mg.ShapeError) as caught:
        second + mg.var("made once", (4,))
    lines = [n for n in range(1, 10_000) if f"test_graph.py:{n} and again" in str(caught.value)]
    assert len(lines) == 1
    assert f"made at {__file__}:{lines[0]} and again at {__file__}:{lines[0] + 1}" in str(
        caught.value
    )
    assert str(caught.value).count("again") == 1


def test_a_variable_made_in_a_loop_is_made_at_one_line():
    for _ in range(3):
        v = mg.var("made in a loop", (3,))
    with pytest.raises(mg.ShapeError) as caught:
        v + mg.var("made here alone", (4,))
    assert "again" not in str(caught.value)


def is_right(graph, roots):
    """Whether arrays of numbers say of a graph what its nodes do."""
    place = {n: k for k, n in enumerate(graph.nodes)}
    assert set(graph.nodes) == set(mg.toposort(roots)) and len(place) == len(graph.nodes)
    assert graph.place == place
    assert graph.reads.tolist() == [place[a] for n in graph.nodes for a in n.args]
    assert all(place[a] < k for n, k in place.items() for a in n.args)
    assert [graph.ops[code] for code in graph.codes] == [n.op for n in graph.nodes]
    assert set(graph.ops) == {n.op for n in graph.nodes}
    assert graph.counts.tolist() == [len(n.args) for n in graph.nodes]
    assert graph.users.tolist() == [k for n, k in place.items() for _ in n.args]
    some, kinds = graph.kinds
    types = [(n.op, n.type, [a.type for a in (n.args[:1] + n.args[-1:])]) for n in graph.nodes]
    known = {}
    for kind, type_ in zip(kinds.tolist(), types, strict=True):
        assert known.setdefault(kind, type_) == type_
        assert some[kind] is graph.nodes[kinds.tolist().index(kind)]
    assert len({repr(t) for t in known.values()}) == len(known) == len(some)
    return True


def test_a_graph_as_arrays_of_numbers():
    x, v = mg.var("x"), mg.var("v", 3)
    y = mg.sum(v * x) - mg.where(x > 0, x, 1.0) * x + mg.sum(mg.var("u", 4))
    graph = packed([y, x])
    assert [id(n) for n in graph.nodes] == [id(n) for n in mg.toposort([y, x])]
    assert is_right(graph, [y, x])


def test_arrays_of_numbers_of_a_graph_that_has_most_of_another():
    x, v = mg.var("x"), mg.var("v", 3)
    y, nodes = mg.tanh(x), []
    for k in range(400):
        y = y * x + (mg.sin(y) if k % 7 else mg.sum(v * y))
        nodes.append(y)
    dropped = mg.cos(nodes[-1] * 2.0)  # of which the next graphs have neither cos nor the product
    z, outputs = nodes[350], [nodes[-1], dropped, nodes[10]]
    graph = packed(outputs)
    others = [
        [nodes[-1]],  # less
        [mg.exp(nodes[-1]) + 1.0, nodes[20] * 2.0, nodes[20]],  # more
        [nodes[20], nodes[20]],  # far less
        mg.substitute(outputs, {z: mg.sqrt(z)}),
        mg.substitute(outputs, {x: mg.var("another")}),  # nothing of it
        [mg.var("alone")],
        outputs,
    ]
    for other in others:
        assert is_right(graph.changed(other), other)
    again = graph.changed(others[1]).changed(others[3]).changed(others[0])
    assert is_right(again, others[0])
    with orders_kept():
        for other in [outputs, *others]:
            assert is_right(packed(other), other) and packed(other) is packed(list(other))
    assert len(graph.nodes) > MANY  # or nothing is made use of


def test_what_depends_on_an_op_is_found_in_order():
    x, y = mg.var("x"), mg.var("y")
    a = mg.tanh(x)
    b = a + mg.exp(y)
    outputs = [mg.exp(b * b), mg.tanh(y) * x, y - 1.0]
    graph = packed(outputs)
    nodes = graph.dependents(a.op)
    assert nodes == [n for n in graph.nodes if n in {a, b, b * b, *outputs[:2], mg.tanh(y)}]
    assert len(nodes) == 6 and graph.dependents(mg.sin(x).op) == []
    assert graph.readers(graph.place[b]) == [graph.place[b * b]] * 2
