"""Attributes and files that no constructor makes: refused at once, before any code is made of them.

Machine code reads and writes where attributes say, so what is wrong in them must not pass the type
rules, whoever made the node.
"""

from __future__ import annotations

import base64
import itertools
import json
import tracemalloc
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from op_cases import CASES, Case

import minigrad as mg
from minigrad.graph.node import OPS, make
from minigrad.loop.body import Body, Loop
from minigrad.ops.core import BROADCAST
from minigrad.ops.index import GETITEM, SCATTER
from minigrad.types import TensorType

x = mg.var("x", (5, 4))

# --- attributes, op by op -----------------------------------------------------------------------

_JUNK: list[Any] = [
    None, True, False, -1, 0, 1, 2, 3, -100_000, 100_000, 2**63, 10**30, 1.0, 0.5, np.int64(1),
    np.bool_(True), "", "0", "i", "ij", "ij->i", b"i", (), (0,), (1, 0), (True,), (1.0,), [0], {},
    ("i", 0), ("n",), ("s", 0, 2, 1), ("a",), np.dtype("float32"), np.dtype(">f8"), np.float32,
    "float32", np.dtype("O"), object(),
]  # fmt: skip
_CASES = [c for c in CASES if c.op != "custom_vjp"]  # its attribute is any function at all


def mutants(value: Any) -> Iterator[Any]:
    """Values with one place changed: replaced, left out, doubled, negated, moved by one."""
    yield from _JUNK
    if isinstance(value, int):
        yield from (-value, value + 1, value - 1)
    if isinstance(value, str):
        yield from (value + "i", value[:-1], value[::-1], value.upper())
    if isinstance(value, tuple):
        yield list(value)
        yield value[::-1]
        for k, part in enumerate(value):
            yield from ((*value[:k], *value[k + 1 :]), (*value[:k], part, *value[k:]))
            for other in mutants(part):
                yield (*value[:k], other, *value[k + 1 :])


def is_exact(value: Any) -> bool:
    """Whether a value is of the kinds that attributes are made of, all the way down."""
    if type(value) is tuple:
        return all(map(is_exact, value))
    is_dtype = isinstance(value, np.dtype) and value.isnative
    return type(value) in (int, str) or is_dtype or not isinstance(value, (int, float, list, str))


def accepted(node: mg.Expr) -> list[tuple[Any, ...]]:
    """The mutants of a node's attributes that its type rule takes; another error is the test's."""
    taken: dict[str, tuple[Any, ...]] = {}
    types = [a.type for a in node.args]
    for k, attr in enumerate(node.attrs):
        for other in mutants(attr):
            attrs = (*node.attrs[:k], other, *node.attrs[k + 1 :])
            try:
                node.op.infer(*types, *attrs)
            except (mg.ShapeError, mg.DTypeError):
                continue
            taken[repr(attrs)] = attrs
    return list(taken.values())


def node_of(case: Case) -> mg.Expr | None:
    """The node of a case's op, where it has attributes."""
    y = case.build(*case.variables(case.arrays()))
    nodes = [n for n in mg.toposort(y) if n.op.name == case.op and n.attrs]
    return nodes[-1] if nodes else None


_NODES = {c.id: n for c in _CASES if (n := node_of(c)) is not None}


def test_every_op_with_attributes_is_mutated():
    covered = {n.op.name for n in _NODES.values()}
    others = {"var", "param", "const", "placeholder", "custom_vjp"}
    others |= {"probabilities", "within"}  # registered where lstm is imported
    assert covered == {op.name for op in OPS.values() if op.attrs} - others


@pytest.mark.parametrize("id", _NODES)
def test_a_type_rule_takes_only_what_constructors_make(id):
    node = _NODES[id]
    for attrs in accepted(node):
        assert is_exact(attrs), attrs
        other = make(node.op, node.args, attrs)
        mg.verify(other)
        if isinstance(other.type, TensorType):  # several results are no output
            assert mg.loads(mg.dumps(other)) is other


@pytest.mark.parametrize("id", [k for k, n in _NODES.items() if isinstance(n.type, TensorType)])
def test_what_a_type_rule_takes_is_the_same_in_machine_code(id):
    pytest.importorskip("llvmlite")
    node, (case,) = _NODES[id], [c for c in _CASES if c.id == id]
    taken = [make(node.op, node.args, attrs) for attrs in accepted(node)]
    ys = [y for y in [node, *taken] if y.size < 10_000][:12]
    inputs = mg.free_variables(ys)
    values = dict(zip(case.variables(case.arrays()), case.arrays(), strict=True))
    given = [values[v] for v in inputs]

    def step(c: mg.Expr, now: list[mg.Expr]) -> Any:
        return c + 1.0, mg.substitute(sound, dict(zip(inputs, now, strict=True)))

    # An index array may point beyond what it is put into: NumPy says so when it runs.
    sound = [y for y in ys if not isinstance(_result(inputs, y, given), IndexError)]
    # Within a loop everything is machine code that can be.
    _, stacks = mg.scan(step, mg.const(0.0), [mg.expand_dims(v, 0) for v in inputs])
    native = mg.function(inputs, stacks, backend="native")(*given)
    for y, got in zip(sound, native, strict=True):
        expected = _result(inputs, y, given)
        assert_allclose(got[0], expected, rtol=1e-12, atol=1e-15, err_msg=str(y))


def _result(inputs: list[mg.Expr], y: mg.Expr, given: list[Any]) -> Any:
    """What NumPy makes of a node as it stands, or the IndexError that it raises."""
    try:
        return mg.function(inputs, y, backend="numpy", simplify=False)(*given)
    except IndexError as error:
        return error


_HOSTILE = {
    "scatter before memory": (SCATTER, x[0], (("i", -100_000), ("s", 0, 4, 1)), (200_000, 4)),
    "scatter at -1": (SCATTER, x[0], (("i", -1), ("s", 0, 4, 1)), (5, 4)),
    "scatter beyond": (SCATTER, x[0], (("i", 5), ("s", 0, 4, 1)), (5, 4)),
    "scatter into a negative shape": (SCATTER, x[0], (("i", 0), ("s", 0, 4, 1)), (-5, 4)),
    "slice beyond": (GETITEM, x, (("s", 0, 10_000, 1), ("s", 0, 4, 1))),
    "slice from before": (GETITEM, x, (("s", -1, 1, 1), ("s", 0, 4, 1))),
    "slice that ends before": (GETITEM, x, (("s", 1, 3, -1), ("s", 0, 4, 1))),
    "slice of negative length": (GETITEM, x, (("s", 0, -1, 1), ("s", 0, 4, 1))),
    "step 0": (GETITEM, x, (("s", 0, 5, 0), ("s", 0, 4, 1))),
    "one element, huge step": (GETITEM, x, (("s", 0, 1, 10**30), ("s", 0, 4, 1))),
    "none, beyond": (GETITEM, x, (("s", 5, 0, 1), ("s", 0, 4, 1))),
    "integer -6": (GETITEM, x, (("i", -6), ("s", 0, 4, 1))),
    "integer -1": (GETITEM, x, (("i", -1), ("s", 0, 4, 1))),
    "true": (GETITEM, x, (("i", True), ("s", 0, 4, 1))),
    "a new axis of 7": (GETITEM, x, (("n", 7), ("i", 0), ("s", 0, 4, 1))),
    "too many axes": (BROADCAST, x, (1,) * 40 + (5, 4)),
    "too many bytes": (BROADCAST, x, (2**60, 5, 4)),
}  # fmt: skip


@pytest.mark.parametrize("name", _HOSTILE)
def test_an_index_outside_is_refused_by_make(name):
    op, operand, *attrs = _HOSTILE[name]
    with pytest.raises(mg.ShapeError):
        make(op, (operand,), tuple(attrs))


def test_a_node_of_several_results_is_no_operand_and_no_output():
    c, _ = mg.scan(lambda c, r: (c + r, c), mg.zeros(4), x)
    loop = c.args[0]
    for op in OPS.values():
        if not op.attrs and op.name not in ("var", "param", "const"):
            refusals = [_refusal(op, (loop,) * arity) for arity in (1, 2, 3)]
            assert {mg.ShapeError, mg.DTypeError} & set(refusals), op
            assert None not in refusals, op
    for attrs, op in (((), "sum"), ((4,), "reshape"), ((("i", 0),), "getitem"), ((0,), "softmax")):
        assert _refusal(OPS[op], (loop,), (attrs,)) is mg.ShapeError, op
    condition = mg.var("condition", (), "bool")
    for args in ((condition, loop, loop), (loop, loop, loop)):
        with pytest.raises(mg.ShapeError, match="several results"):
            make(OPS["where"], args)
    with pytest.raises(mg.DTypeError, match="no minigrad expression of a tensor"):
        mg.dumps(loop)
    document = json.loads(mg.dumps(c))
    (number,) = [k for k, n in enumerate(document["nodes"]) if n["op"] == "scan"]
    with pytest.raises(mg.GraphFileError, match="an output must be a tensor"):
        mg.loads(json.dumps(document | {"outputs": [number]}))


@pytest.mark.parametrize("infer", [lambda t: t, lambda t: t if t.dtype.kind == "f" else None])
def test_pointwise_ops_of_users_take_no_several_results(infer):
    loop = mg.scan(lambda c, r: (c + r, c), mg.zeros(4), x)[0].args[0]
    op = mg.Op("untold", infer, lambda a: a, no_gradient=True, pointwise=True)
    with pytest.raises((mg.ShapeError, mg.DTypeError)):
        make(op, (loop,))


def _refusal(op: Any, args: tuple[mg.Expr, ...], attrs: tuple[Any, ...] = ()) -> Any:
    """The kind of error with which a node is refused; None for a node."""
    try:
        make(op, args, attrs)
    except (mg.ShapeError, mg.DTypeError, TypeError) as error:  # TypeError: of too many arguments
        return type(error)
    return None


# --- loops in files -----------------------------------------------------------------------------


def _loop() -> mg.Expr:
    """A loop whose body indexes, puts back, and holds a loop of its own."""

    def step(c: Any, r: Any) -> Any:
        inner, _ = mg.scan(lambda d, _: (mg.tanh(d * r[1:2]), None), c[2:3], length=2)
        placed = mg.zeros(4).at[1:3].add(r[::2])
        return c * 0.5 + placed + inner, mg.sum(c)

    carry, ys = mg.scan(step, mg.ones(4), x)
    return mg.sum(carry) + mg.sum(ys)


def _places(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for key, value in items:
        yield (*path, key)
        if isinstance(value, (dict, list)):
            yield from _places(value, (*path, key))


def spoilt(document: Any) -> Iterator[tuple[Any, str]]:
    """The texts of a document with one place changed, and what was changed to what."""
    junk = [None, True, -1, -5, 0, 1, 3, -100_000, 2**63, 0.5, "", "abc", [], ["i", -1],
            ["s", 0, 9, 1], [["i", 0]], {"dtype": ">f8"}]  # fmt: skip
    for path in list(_places(document)):
        place = document
        for key in path[:-1]:
            place = place[key]
        before = place[path[-1]]
        for value in junk:
            place[path[-1]] = value
            if repr(before) != repr(value):
                yield (path, value), json.dumps(document)
        place[path[-1]] = before


@pytest.mark.slow
def test_a_spoilt_loop_is_refused_or_is_a_loop_that_comes_back():
    document = json.loads(mg.dumps(_loop()))
    taken: dict[mg.Expr, Any] = {}
    for what, text in itertools.islice(spoilt(document), 0, None, 4):
        try:
            loaded = mg.loads(text)
        except mg.GraphFileError:
            continue
        for y in [loaded] if isinstance(loaded, mg.Expr) else loaded:
            assert mg.loads(mg.dumps(y)) is y, what
            mg.verify(y)
            taken[y] = what
    assert len(taken) > 5
    pytest.importorskip("llvmlite")
    for y, what in itertools.islice(taken.items(), 8):
        inputs = mg.free_variables(y)
        given = [np.linspace(-1, 1, v.size).reshape(v.shape) for v in inputs]
        expected = mg.function(inputs, y, backend="numpy", simplify=False)(*given)
        got = mg.function(inputs, y, backend="native")(*given)
        assert_allclose(got, expected, rtol=1e-12, err_msg=str(what))


_CARRY, _X = (["float64", [4]], ["float64", [4]])


def _body(*nodes: Any, **changes: Any) -> str:
    """A file of a loop whose body has a carry, an input and these nodes, the last its output."""
    inputs = [
        {"op": "placeholder", "name": "carry", "number": 0, "type": _CARRY},
        {"op": "placeholder", "name": "x", "number": 1, "type": _X},
    ]
    body = {"nodes": [*inputs, *nodes], "carries": 1, "xs": 1, "in": 2}
    body |= {"outputs": [0, 1, len(nodes) + 1]} | changes
    loop = {"body": body, "length": 5, "reverse": False}
    outside = [
        {"op": "var", "name": "x", "type": ["float64", [5, 4]]},
        {"op": "var", "name": "c", "type": _CARRY},
        {"op": "scan", "args": [1, 0], "attrs": [loop]},
        {"op": "item", "args": [2], "attrs": [0]},
    ]
    return json.dumps({"minigrad": 1, "single": True, "outputs": [3], "nodes": outside})


_ADD = {"op": "add", "args": [0, 1]}
_VAR = {"op": "var", "name": "x", "type": _X}
_PARAM = {
    "op": "param",
    "name": "p",
    "value": ["float64", [4], base64.b64encode(bytes(32)).decode()],
}
_PLACEHOLDER = {"op": "placeholder", "name": "const", "number": 2, "type": _X}
_BODIES = {
    "a variable": (_body(_VAR, {"op": "add", "args": [0, 2]}), "is not its input"),
    "a param": (_body(_PARAM, {"op": "add", "args": [0, 2]}), "is not its input"),
    "a placeholder": (_body(_PLACEHOLDER, {"op": "add", "args": [0, 2]}), "is not its input"),
    "inputs in another order": (_body(_ADD, outputs=[1, 0, 2]), "its own placeholders, in order"),
    "one input twice": (_body(_ADD, outputs=[0, 0, 2]), "its own placeholders, in order"),
    "an input that is none": (_body(_ADD, outputs=[0, 2, 2]), "its own placeholders, in order"),
    "a carry of another type": (_body({"op": "sum", "args": [0], "attrs": [[0]]}),
                                "a carry of a loop's body changes its type"),
    "more carries than outputs": (_body(_ADD, carries=2, xs=0, outputs=[0, 1, 2]), "too few"),
    "carries below 0": (_body(_ADD, carries=-1), "too few"),
    "carries true": (_body(_ADD, carries=True), "must say how many"),
    "no output": (_body(_ADD, outputs=[0, 1]), "too few"),
}  # fmt: skip


@pytest.mark.parametrize("name", _BODIES)
def test_a_body_that_no_loop_has_is_refused(name):
    assert mg.loads(_body(_ADD)).type is mg.var("c", (4,)).type
    text, why = _BODIES[name]
    with pytest.raises(mg.GraphFileError, match=why):
        mg.loads(text)


def test_records_and_bodies_are_checked_whoever_makes_them():
    body = mg.scan(lambda c, r: (c + r, None), mg.zeros(4), x)[0].args[0].attrs[0].body
    for reverse in (1, 0, None):
        with pytest.raises(mg.ShapeError, match="true or false"):
            Loop(body, 5, reverse)
    with pytest.raises(mg.ShapeError, match="without carries"):
        make(OPS["block"], (x[0], x[1]), (body,))
    changed = Body(body.inputs, [mg.sum(body.outputs[0])], 1, 1)
    with pytest.raises(mg.ShapeError, match="changes its type"):
        make(OPS["scan"], (x[0], x), (Loop(changed, 5),))


@pytest.mark.parametrize("length", [-5, -1, True, "abc", 2**63, 0.5, None, [3]])
def test_a_length_that_is_no_count_is_refused(length):
    text = mg.dumps(mg.scan(lambda c, _: (c * 2, None), x, length=7)[0])
    assert text.count('"length":7') == 1
    with pytest.raises(mg.GraphFileError, match="a loop has a whole number of steps"):
        mg.loads(text.replace('"length":7', f'"length":{json.dumps(length)}'))
    with pytest.raises(mg.ShapeError, match="a loop has a whole number of steps"):
        Loop(mg.scan(lambda c, _: (c * 2, None), x, length=7)[0].args[0].attrs[0].body, length)


@pytest.mark.parametrize(
    "dtype", [">f8", "<f8", "f8", "double", "float", "O", "i4,i4", "(2,)f8", ","]
)
def test_a_dtype_is_written_in_one_way(dtype):
    text = mg.dumps(mg.astype(x, "float32"))
    for at in ('"dtype":"float32"', '["float64",[5,4]]'):
        assert at in text
        name = "float32" if "32" in at else "float64"
        with pytest.raises(mg.GraphFileError, match="malformed"):
            mg.loads(text.replace(at, at.replace(name, dtype)))


def test_a_constant_that_points_outside_is_refused():
    k, v = mg.const([0, -4, 3]), mg.zeros((5, 3))
    for y in (x[:, k], mg.zeros((5, 4)).at[:, k].add(v), x.at[:, k].set(v)):
        text = mg.dumps(y)
        assert mg.loads(text) is y
        assert text.count(_data([0, 0, 3])) == 1
        for outside in ([0, 1, 4], [-5, 0, 0]):
            with pytest.raises(mg.GraphFileError, match="points outside of an axis of length 4"):
                mg.loads(text.replace(_data([0, 0, 3]), _data(outside)))
        inside = mg.loads(text.replace(_data([0, 0, 3]), _data([-4, 0, 3])))
        values = {x: np.linspace(-1, 1, 20).reshape(5, 4)}
        assert_array_equal(inside.eval(values), y.eval(values))


def _data(numbers: list[int]) -> str:
    return base64.b64encode(np.array(numbers).tobytes()).decode()


def test_no_machine_code_is_made_for_a_loop_that_nobody_could_interrupt():
    pytest.importorskip("llvmlite")

    def nested(inner: int, outer: int) -> str:
        def step(c: mg.Expr, _: None) -> Any:
            return mg.scan(lambda d, _: (d * 0.5, None), c, length=inner)[0], None

        y = mg.scan(step, mg.var("s"), length=outer)[0]
        return mg.function([mg.var("s")], y, backend="native").report()

    assert "on numpy" not in nested(10**6, 10**5)
    for lengths in ((10**6, 10**7), (1, 2**63 - 1), (2**63 - 1, 1)):
        assert "turns, which nobody could interrupt, has no native code" in nested(*lengths)


@pytest.mark.parametrize(
    ("op", "attrs"),
    [("var", ("x", "float64")), ("var", (1, x.type)), ("var", ("x",)), ("param", ("p", 1.0)),
     ("const", (1.0,)), ("const", (None,)), ("placeholder", ("x", True, x.type)), ("var", ())],
)  # fmt: skip
def test_a_leaf_is_made_of_what_constructors_make_it_of(op, attrs):
    with pytest.raises(mg.DTypeError, match=f"no {op} is made of"):
        make(OPS[op], (), attrs)


# --- shapes of indexing, counted ----------------------------------------------------------------


def _indices() -> Iterator[tuple[Any, ...]]:
    entries = [None, 1, slice(0, 2), np.array([0, 1]), np.array([[1], [0]]), np.array(1)]
    for count in range(1, 5):
        for index in itertools.product(entries, repeat=count):
            if sum(e is not None for e in index) <= 3:
                yield index


def test_an_index_selects_the_shape_that_numpy_says():
    array = np.zeros((2, 3, 4))
    whole = mg.const(array)
    for index in _indices():
        shape = array[index].shape
        got = whole[tuple([mg.const(e) * 1 if isinstance(e, np.ndarray) else e for e in index])]
        assert got.shape == shape, index
        assert_array_equal(mg.zeros((2, 3, 4)).at[index].add(1.0).shape, array.shape)


def test_index_arrays_that_do_not_broadcast_are_refused():
    i, j = mg.var("i", (2,), "int64"), mg.var("j", (3,), "int64")
    with pytest.raises(mg.ShapeError, match="do not broadcast"):
        x[i, j]


def test_a_huge_lookup_costs_nothing_to_build():
    table, i = mg.var("T", (50_000, 1024)), mg.var("i", (1024, 1024), "int64")
    mg.take(table, mg.var("j", (2,), "int64"), 0)
    tracemalloc.start()
    rows = mg.take(table, i, 0)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert rows.shape == (1024, 1024, 1024)
    assert peak < 100_000


def test_shapes_are_bounded():
    assert mg.var("axes", (1,) * 32).ndim == 32
    with pytest.raises(mg.ShapeError, match="at most 32 axes, not 33"):
        mg.var("axes", (1,) * 33)
    with pytest.raises(mg.ShapeError, match="at most 32 axes, not 33"):
        mg.expand_dims(mg.var("axes", (1,) * 32), 0)
    assert mg.var("large", (2**60 - 1,)).size == 2**60 - 1
    for shape in ((2**60,), (2**40, 2**40), (0, 2**40, 2**40)):
        with pytest.raises(mg.ShapeError, match="more bytes than can be counted"):
            mg.var("large", shape)


def test_true_is_no_shape_of_its_own():
    y = mg.reshape(x, (True, 20))
    assert y.attrs == ((1, 20),)
    fresh = mg.var("true", (True, 9973)).shape  # no other test has a type of this shape
    assert [type(n) for n in (*y.attrs[0], *fresh)] == [int] * 4
