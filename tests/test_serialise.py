"""Graphs as files: round trips, and one clear error for whatever is malformed."""

from __future__ import annotations

import base64
import copy
import json
import pickle
import stat
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from op_cases import CASES

import minigrad as mg

x = mg.var("x")
v = mg.var("v", (3,), "float32")


def data(array):
    array = np.asarray(array)
    return [array.dtype.name, list(array.shape), base64.b64encode(array.tobytes()).decode()]


# --- round trips --------------------------------------------------------------------------------


NO_DATA = ("custom_vjp", "block")


@pytest.mark.parametrize("case", [c for c in CASES if c.op not in NO_DATA], ids=lambda c: c.id)
def test_every_op_comes_back(case):
    y = case.build(*case.variables(case.arrays()))
    assert mg.loads(mg.dumps(y)) is y


def test_a_list_of_outputs_comes_back_as_a_list():
    ys = [x * 2, mg.sin(x), x]
    loaded = mg.loads(mg.dumps(ys))
    assert isinstance(loaded, list)
    assert list(map(id, loaded)) == list(map(id, ys))
    assert mg.loads(mg.dumps([])) == []


@pytest.mark.parametrize(
    "value",
    [np.nan, -0.0, np.inf, 1e-310, True, np.int8(-5), np.uint64(2**64 - 1), np.float32(0.1),
     np.zeros((0, 3)), np.arange(6.0).reshape(2, 3)[:, ::-1], np.array([True, False])],
    ids=repr,
)  # fmt: skip
def test_constants_come_back_to_the_bit(value):
    c = mg.const(value)
    assert mg.loads(mg.dumps(c)) is c


def test_params_come_back_as_new_ones_of_equal_value():
    p = mg.param("p", np.arange(3.0))
    loaded = mg.loads(mg.dumps(p * p + p))
    (q,) = {n for n in mg.toposort(loaded) if n.op.name == "param"}
    assert q is not p
    assert q.name == "p"
    assert_array_equal(q.value, p.value)
    q.value = np.zeros(3)
    assert_array_equal(p.value, [0, 1, 2])


def test_labels_come_back():
    y = (mg.sin(x) * 1.25).named("my wave")
    text = mg.dumps(y)
    name = y.label
    del y
    assert mg.loads(text).label == name


def test_a_file_relabels_nothing_that_is_known():
    y = (mg.sin(x) * 1.5).named("mine")
    text = mg.dumps(y).replace("mine", "theirs")
    assert mg.loads(text) is y
    assert y.label == "mine"


def test_a_file_labels_nothing_that_is_known():
    y = mg.sin(mg.var("named nowhere")) * 1.75
    text = mg.dumps((y * 3).named("gone"))
    document = json.loads(text)
    for node in document["nodes"]:
        if "args" in node:
            node["label"] = "theirs"
    loaded = mg.loads(json.dumps(document))
    assert loaded.args[0] is y
    assert y.label is None
    assert loaded.label == "theirs"


def test_a_loop_comes_back_with_its_flags():
    carry, _ = mg.scan(lambda c, a: (c * a, c), x, v.astype("float64"), reverse=True)
    assert mg.loads(mg.dumps(carry)) is carry


@pytest.mark.parametrize("case", [c for c in CASES if c.op in NO_DATA], ids=lambda c: c.id)
def test_python_code_and_what_backends_make_are_refused(case):
    y = case.build(*case.variables(case.arrays()))
    with pytest.raises(mg.GraphError, match=f"op {case.op} holds what is no data"):
        mg.dumps(y)


def test_a_deep_chain_comes_back():
    y = x
    for _ in range(20_000):
        y = mg.sin(y)
    assert mg.loads(mg.dumps(y)) is y


# --- files --------------------------------------------------------------------------------------


def test_save_and_load(tmp_path):
    path = tmp_path / "graph.json"
    mg.save(path, x * 2)
    assert mg.load(path) is x * 2
    mg.save(str(path), [x])
    assert mg.load(str(path))[0] is x
    assert [p.name for p in tmp_path.iterdir()] == ["graph.json"]


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX file modes")
def test_a_saved_file_can_be_read_by_whom_the_umask_allows(tmp_path):
    other = tmp_path / "other"
    other.write_text("")
    mg.save(tmp_path / "graph.json", x)
    modes = {stat.S_IMODE(p.stat().st_mode) for p in tmp_path.iterdir()}
    assert len(modes) == 1


def test_a_failed_save_leaves_the_old_file(tmp_path):
    path = tmp_path / "graph.json"
    mg.save(path, x)
    with pytest.raises(mg.GraphError):
        mg.save(path, mg.custom_vjp(lambda a: a * 2, lambda ct, out, a: ct)(x))
    assert mg.load(path) is x
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="folder"):
        mg.save(tmp_path / "folder", x)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["folder", "graph.json"]
    with pytest.raises(FileNotFoundError):
        mg.save(tmp_path / "nowhere" / "graph.json", x)


def test_the_file_is_named_in_the_error(tmp_path):
    path = tmp_path / "bad.json"
    path.write_text("{")
    with pytest.raises(mg.GraphFileError, match=r"bad\.json: not a graph file"):
        mg.load(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(mg.GraphFileError, match=r"bad\.json is not a graph file: .*UTF-8"):
        mg.load(path)
    with pytest.raises(FileNotFoundError):
        mg.load(tmp_path / "none.json")


# --- pickles and copies -------------------------------------------------------------------------


def test_pickles_and_copies():
    y = mg.sin(x) * 2 + v.sum().astype("float64")
    assert pickle.loads(pickle.dumps(y)) is y
    assert copy.copy(y) is y
    assert copy.deepcopy(y) is y
    p = mg.param("p", 1.0)
    z = copy.deepcopy(p * p)
    p.value = 5.0
    assert z.eval() == 1.0
    t = y.type
    assert pickle.loads(pickle.dumps(t)) is t
    assert pickle.loads(pickle.dumps(y.op)) is y.op


# --- malformed texts ----------------------------------------------------------------------------

VAR = {"op": "var", "name": "x", "type": ["float64", []]}
VECTOR = {"op": "var", "name": "w", "type": ["float64", [4]]}
MATRIX = {"op": "var", "name": "M", "type": ["float64", [2, 3]]}


def graph(*nodes, **changes):
    document = {"minigrad": 1, "single": True, "outputs": [len(nodes) - 1], "nodes": list(nodes)}
    return json.dumps(document | changes)


def op(name, *args, attrs=None, **more):
    return {"op": name, "args": list(args)} | ({"attrs": attrs} if attrs is not None else {}) | more


MALFORMED = {
    "nothing": ("", "not a graph file"),
    "no JSON": ("{", "not a graph file"),
    "text": ('"minigrad"', "no 'minigrad' version"),
    "list": ("[]", "no 'minigrad' version"),
    "no version": ("{}", "no 'minigrad' version"),
    "later version": (graph(VAR, minigrad=2), "version 2; this minigrad reads 1"),
    "version true": (graph(VAR, minigrad=True), "version True"),
    "version text": (graph(VAR, minigrad="1"), "version '1'"),
    "deep nesting": ("[" * 100_000, "not a graph file"),
    "huge number": ('{"minigrad": ' + "1" * 5000 + "}", "not a graph file"),
    "no nodes": ('{"minigrad": 1, "outputs": []}', "'nodes' must be a list"),
    "nodes no list": (graph(VAR, nodes={}), "'nodes' must be a list"),
    "no outputs": ('{"minigrad": 1, "nodes": []}', "'outputs' must be a list"),
    "output beyond": (graph(VAR, outputs=[1]), "1 is not the number of an earlier node"),
    "output -1": (graph(VAR, outputs=[-1]), "-1 is not the number"),
    "output true": (graph(VAR, outputs=[True]), "True is not the number"),
    "two outputs of one": (graph(VAR, outputs=[0, 0]), "one output was announced; there are 2"),
    "node no object": (graph(3), "node 0 is malformed: it must be an object"),
    "no op": (graph({}), "node 0 is malformed: no op is named None"),
    "unknown op": (graph(op("system", 0)), "node 0 is malformed: no op is named 'system'"),
    "op no text": (graph({"op": ["var"]}), "node 0 is malformed"),
    "args no list": (graph(VAR, op("sin") | {"args": 0}), "node 1 is malformed: 'args' must be"),
    "arg ahead": (graph(VAR, op("sin", 1)), "1 is not the number of an earlier node"),
    "arg itself": (graph(op("sin", 0)), "node 0 is malformed: 0 is not the number"),
    "arg text": (graph(VAR, op("sin", "0")), "'0' is not the number"),
    "too few args": (graph(VAR, op("add", 0)), "node 1 is malformed"),
    "too many args": (graph(VAR, op("sum", 0, 0, attrs=[[]])), "node 1 is malformed"),
    "no args": (graph(op("sin")), "op sin needs arguments"),
    "args of a variable": (graph(VAR, VAR | {"args": [0]}), "a var has no arguments"),
    "shapes": (graph(VAR, VECTOR, op("add", 0, 1)), "node 2 is malformed: in add"),
    "dtypes": (graph(VAR, op("bitwise_and", 0, 0)), "bitwise_and takes booleans or integers"),
    "no name": (graph({"op": "var", "type": ["float64", []]}), "'name' must be a non-empty text"),
    "name 3": (graph(VAR | {"name": 3}), "'name' must be a non-empty text"),
    "empty name": (graph(VAR | {"name": ""}), "'name' must be a non-empty text"),
    "no type": (graph({"op": "var", "name": "x"}), "'type' must be a list"),
    "short type": (graph(VAR | {"type": ["float64"]}), "'type' must be [dtype, shape]"),
    "complex": (graph(VAR | {"type": ["complex128", []]}), "dtype complex128 is not supported"),
    "objects": (graph(VAR | {"type": ["O", []]}), "dtype object is not supported"),
    "no dtype": (graph(VAR | {"type": ["quark", []]}), "not a dtype: 'quark'"),
    "dtype 3": (graph(VAR | {"type": [3, []]}), "a dtype must be a non-empty text"),
    "shape -1": (graph(VAR | {"type": ["float64", [-1]]}), "no negative dimension"),
    "shape 1.5": (graph(VAR | {"type": ["float64", [1.5]]}), "must be a list of integers"),
    "shape true": (graph(VAR | {"type": ["float64", [True]]}), "must be a list of integers"),
    "label 3": (graph(VAR, op("sin", 0, label=3)), "'label' must be a non-empty text"),
    "no value": (graph({"op": "const"}), "'value' must be a list"),
    "short value": (graph({"op": "const", "value": ["float64", []]}),
                    "'value' must be [dtype, shape, data]"),
    "no base64": (graph({"op": "const", "value": ["float64", [], "?"]}), "node 0 is malformed"),
    "data 3": (graph({"op": "const", "value": ["float64", [], 3]}), "must be text in base64"),
    "short data": (graph({"op": "const", "value": ["float64", [2], data(1.0)[2]]}),
                   "8 bytes of data, where float64(2,) has 16"),
    "long data": (graph({"op": "const", "value": ["float64", [0], data(1.0)[2]]}), "8 bytes"),
    "huge shape": (graph({"op": "const", "value": ["float64", [10**9, 10**9], ""]}),
                   "0 bytes of data"),
    "bad booleans": (graph({"op": "const", "value": ["bool", [2], base64.b64encode(b"\1\2")
                            .decode()]}), "holds other bytes than 0 and 1"),
    "param without value": (graph({"op": "param", "name": "p"}), "'value' must be a list"),
    "missing attrs": (graph(VECTOR, op("sum", 0)), "op sum does not take these attributes"),
    "spare attrs": (graph(VAR, op("sin", 0, attrs=[1])), "op sin does not take these"),
    "axis beyond": (graph(VECTOR, op("sum", 0, attrs=[[1]])), "axis 1 is out of range"),
    "axis -1": (graph(VECTOR, op("sum", 0, attrs=[[-1]])), "are not the sorted axes"),
    "axis twice": (graph(VECTOR, op("max", 0, attrs=[[0, 0]])), "names an axis twice"),
    "axis of text": (graph(VECTOR, op("softmax", 0, attrs=[["0"]])), "must be a tuple of integers"),
    "axis no list": (graph(VECTOR, op("sum", 0, attrs=[0])), "node 1 is malformed"),
    "axes unsorted": (graph(MATRIX, op("sum", 0, attrs=[[1, 0]])), "are not the sorted axes"),
    "argmax axis": (graph(VECTOR, op("argmax", 0, attrs=[1])), "axis 1 is out of range"),
    "argsort axis": (graph(VECTOR, op("argsort", 0, attrs=[-1])), "are not the sorted axes"),
    "cumulative axis": (graph(VECTOR, op("cumulative_sum", 0, attrs=[2])), "axis 2 is out"),
    "concat axis": (graph(VECTOR, op("concat", 0, 0, attrs=[-1])), "-1 is not the number of an"),
    "permutation": (graph(MATRIX, op("permute_dims", 0, attrs=[[0, 0]])), "not a permutation"),
    "reshape": (graph(VECTOR, op("reshape", 0, attrs=[[3]])), "cannot reshape"),
    "reshape to negatives": (graph(VECTOR, op("reshape", 0, attrs=[[-2, -2]])), "negative"),
    "broadcast": (graph(VECTOR, op("broadcast_to", 0, attrs=[[3]])), "do not broadcast"),
    "astype": (graph(VAR, op("astype", 0, attrs=[{"dtype": "O"}])), "object is not supported"),
    "astype of nothing": (graph(VAR, op("astype", 0, attrs=[{}])), "a dtype must be"),
    "attribute null": (graph(VECTOR, op("argmax", 0, attrs=[None])), "None is no attribute"),
    "attribute 0.5": (graph(VECTOR, op("argmax", 0, attrs=[0.5])), "0.5 is no attribute"),
    "index spec": (graph(VECTOR, op("getitem", 0, attrs=[[["i", 4]]])), "index 4 is out of range"),
    "index kind": (graph(VECTOR, op("getitem", 0, attrs=[[["q", 4]]])), "not an index"),
    "index of text": (graph(VECTOR, op("getitem", 0, attrs=[[["i", "k"]]])), "node 1 is malf"),
    "slice beyond": (graph(VECTOR, op("getitem", 0, attrs=[[["s", 0, 5, 1]]])), "does not fit"),
    "slice step 0": (graph(VECTOR, op("getitem", 0, attrs=[[["s", 0, 1, 0]]])), "node 1 is malf"),
    "too many entries": (graph(VECTOR, op("getitem", 0, attrs=[[["i", 0], ["i", 0]]])),
                         "does not fit an operand"),
    "array entry without array": (graph(VECTOR, op("getitem", 0, attrs=[[["a"]]])), "does not fit"),
    "index true": (graph(VECTOR, op("getitem", 0, attrs=[[["i", True]]])), "True is no attribute"),
    "axes true": (graph(MATRIX, op("sum", 0, attrs=[[True]])), "True is no attribute"),
    "axis true": (graph(MATRIX, op("argmax", 0, attrs=[True])), "True is no attribute"),
    "label of a variable": (graph(VAR | {"label": "y"}), "a var has its name, and no label"),
    "label of a param": (graph({"op": "param", "name": "p", "value": data(1.0), "label": "q"}),
                         "param 'p' has its name already"),
    "derived variable": (graph(VAR | {"name": "cotangent\0000"}), "holds a NUL"),
    "input of a body": (graph(VAR | {"op": "placeholder", "number": 0}), "of a loop's body"),
    "var with a NUL": (graph(VAR | {"name": "carry0\0"}), "holds a NUL"),
    "param with a NUL": (graph({"op": "param", "name": "p\0", "value": data(1.0)}),
                         "holds a NUL"),
    "custom_vjp": (graph(VAR, op("custom_vjp", 0, 0, attrs=["os.system"])),
                   "op custom_vjp does not take these attributes"),
}  # fmt: skip


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed(name):
    text, piece = MALFORMED[name]
    with pytest.raises(mg.GraphFileError) as caught:
        mg.loads(text)
    message = str(caught.value)
    assert piece in message
    assert "\n" not in message
    # One error, without the tale of how it was found.
    assert caught.value.__context__ is None or caught.value.__suppress_context__


def test_what_the_table_spoils_is_well_formed():
    for text in (graph(VAR), graph(VECTOR, op("sum", 0, attrs=[[0]])),
                 graph(VECTOR, op("getitem", 0, attrs=[[["i", 3]]])),
                 graph({"op": "const", "value": data([True, False])})):  # fmt: skip
        mg.verify(mg.loads(text))


_SEED = json.loads(
    mg.dumps(
        [
            mg.sum(mg.einsum("ij,j->i", mg.var("M", (2, 3)), mg.var("q", (3,))) * 2.0, 0),
            mg.concat([v[::-1], v[[0, 1]]]).astype("float64").at[1].set(x),
            mg.softmax(mg.param("p", [1.0, 2.0])) > 0,
        ]
    )
)
_JUNK = st.sampled_from(
    [None, True, 0, 1, -1, 2, 7, 10**20, 0.5, "", "x", "sum", "var", [], [0], [[]], {}, "O",
     {"dtype": "float32"}, ["i", 0], ["s", 0, 1, 1], [-1], "ij->", "float64"]
)  # fmt: skip


def _places(tree, path=()):
    items = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for key, value in items:
        yield (*path, key)
        if isinstance(value, (dict, list)):
            yield from _places(value, (*path, key))


@given(st.lists(st.tuples(st.sampled_from(list(_places(_SEED))), _JUNK), min_size=1, max_size=3))
@settings(max_examples=300)
def test_a_spoilt_file_is_refused_or_loads_a_sound_graph(changes):
    document = copy.deepcopy(_SEED)
    for path, junk in changes:
        place = document
        try:
            for key in path[:-1]:
                place = place[key]
            place[path[-1]] = junk
        except (KeyError, IndexError, TypeError):
            continue  # an earlier change took this place away
    try:
        loaded = mg.loads(json.dumps(document))
    except mg.GraphFileError:
        return
    for y in [loaded] if isinstance(loaded, mg.Expr) else loaded:
        for node in mg.toposort(y):
            assert mg.loads(mg.dumps(node)).type is node.type
