"""Graphs as JSON: versioned, readable, and checked on loading node by node.

A file is data only: ops are looked up by name, every type rule runs again, nothing is executed. A
graph that holds Python code (custom_vjp) cannot be saved.
"""

from __future__ import annotations

import base64
import json
import os
import reprlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad import atomic
from minigrad.errors import DTypeError, GraphError, GraphFileError, MinigradError
from minigrad.graph.leaves import CONST, PARAM, PLACEHOLDER, VAR, ConstData, ParamCell
from minigrad.graph.node import Expr, Op, describe, get_op, is_known, make
from minigrad.graph.walk import toposort
from minigrad.loop.body import Body, Loop, body_var
from minigrad.names import public
from minigrad.ops.index import GETITEM, PUT, SCATTER, check_constant_indices
from minigrad.types import Array, TensorType, as_dtype, as_items

VERSION = 1
_NOT_DATA = frozenset({"backward", "body"})  # Python code, and what a backend compiles


# --- writing -----------------------------------------------------------------------------------


@public
def dumps(outputs: Expr | Sequence[Expr]) -> str:
    """Expressions as JSON text. Raises GraphError for a graph that holds Python code.

    >>> import minigrad as mg
    >>> x = mg.var("x")
    >>> mg.loads(mg.dumps(x * x)) is x * x
    True
    """
    roots = [outputs] if isinstance(outputs, Expr) else as_items(outputs, "what is saved")
    for root in roots:
        if not isinstance(root, Expr) or not isinstance(root.type, TensorType):
            raise DTypeError(f"cannot save {root!r:.60}: it is no minigrad expression of a tensor")
    head = {"minigrad": VERSION, "single": isinstance(outputs, Expr)}
    return json.dumps(head | _encode_graph(roots), separators=(",", ":"))


def _encode_graph(roots: Sequence[Expr]) -> dict[str, Any]:
    order = toposort(roots)
    number = {node: k for k, node in enumerate(order)}
    return {
        "outputs": [number[r] for r in roots],
        "nodes": [_encode_node(node, number) for node in order],
    }


def _encode_node(node: Expr, number: dict[Expr, int]) -> dict[str, Any]:
    encoded: dict[str, Any] = {"op": node.op.name}
    if node.args:
        encoded["args"] = [number[a] for a in node.args]
    if node.op is VAR:
        encoded |= {"name": node.attrs[0], "type": _encode_type(node.type)}
    elif node.op is PLACEHOLDER:
        name, place, _ = node.attrs
        encoded |= {"name": name, "number": place, "type": _encode_type(node.type)}
    elif node.op is PARAM:
        encoded |= {"name": node.attrs[0], "value": _encode_array(node.value)}
    elif node.op is CONST:
        encoded["value"] = _encode_array(node.value)
    elif node.attrs:
        encoded["attrs"] = [_encode_attr(a, node) for a in node.attrs]
    if node.label is not None:
        encoded["label"] = node.label
    return encoded


def _encode_type(type_: TensorType) -> list[Any]:
    return [type_.dtype.name, list(type_.shape)]


def _encode_array(array: Array) -> list[Any]:
    little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    return [
        array.dtype.name,
        list(array.shape),
        base64.b64encode(little.tobytes()).decode("ascii"),
    ]


def _encode_attr(value: Any, node: Expr) -> Any:
    if isinstance(value, tuple):
        return [_encode_attr(v, node) for v in value]
    if isinstance(value, np.dtype):
        return {"dtype": value.name}
    if isinstance(value, Loop):
        body = value.body
        # The inputs stand first among the outputs: some may be read by none of them.
        graph = _encode_graph([*body.inputs, *body.outputs])
        return {
            "body": graph | {"carries": body.n_carry, "xs": body.n_x, "in": len(body.inputs)},
            "length": value.length,
            "reverse": value.reverse,
            **({"segments": value.segments} if value.segments else {}),
        }
    if isinstance(value, (str, int)):
        return value
    raise GraphError(f"cannot save {describe(node)}: op {node.op.name} holds what is no data")


def _path(path: Any) -> str:
    """Where a file is. Raises DTypeError; a number would be somebody's open file."""
    if not isinstance(path, (str, os.PathLike)):
        raise DTypeError(f"a path is text or a pathlib.Path, not {path!r:.60}")
    return os.fspath(path)


@public
def save(path: str | os.PathLike[str], outputs: Expr | Sequence[Expr]) -> None:
    """Write expressions to a JSON file; the file appears whole or not at all."""
    if isinstance(path, Expr):
        raise DTypeError("save(path, outputs) takes the path first, then the expressions")
    atomic.write(_path(path), dumps(outputs))


# --- reading -----------------------------------------------------------------------------------


@public
def load(path: str | os.PathLike[str]) -> Any:
    """The expressions of a file that `save` wrote.

    Raises GraphFileError for a bad one, OSError for one that cannot be read.
    """
    try:
        text = atomic.read(_path(path)).decode()
    except UnicodeDecodeError:
        raise GraphFileError(f"{path} is not a graph file: it is no UTF-8 text") from None
    try:
        return loads(text)
    except GraphFileError as error:
        raise GraphFileError(f"{path}: {error}") from None


@public
def loads(text: str) -> Any:
    """The expressions of a JSON text that `dumps` made.

    Variables of a name and type are the ones this process has; params are new ones. A label goes
    to a node that this call makes; one that was there keeps the name it has, or has not.
    Raises GraphFileError, with the node that is wrong, for anything malformed.
    """
    if not isinstance(text, str):
        raise DTypeError(f"loads takes the text that dumps made, not {text!r:.60}")
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise GraphFileError(f"not a graph file: {error}") from None
    if not isinstance(document, dict) or "minigrad" not in document:
        raise GraphFileError("not a graph file: there is no 'minigrad' version in it")
    if type(document["minigrad"]) is not int or document["minigrad"] != VERSION:
        raise GraphFileError(
            f"a graph file of version {_shown(document['minigrad'])}; this minigrad reads {VERSION}"
        )
    outputs = _decode_graph(document)
    if document.get("single"):
        if len(outputs) != 1:
            raise GraphFileError(f"one output was announced; there are {len(outputs)}")
        return outputs[0]
    return outputs


def _decode_graph(document: dict[str, Any], in_body: bool = False) -> list[Expr]:
    nodes: list[Expr] = []
    for k, encoded in enumerate(_list(document.get("nodes"), "'nodes'")):
        try:
            nodes.append(_decode_node(encoded, nodes, in_body))
        except Exception as error:  # type rules see values no constructor would give them
            raise GraphFileError(f"node {k} is malformed: {_first_line(error)}") from None
    outputs = [_node(nodes, k) for k in _list(document.get("outputs"), "'outputs'")]
    if not all(isinstance(y.type, TensorType) for y in outputs):
        raise GraphFileError("an output must be a tensor; a loop is read by 'item'")
    return outputs


def _first_line(error: Exception) -> str:
    if isinstance(error, MinigradError):
        return str(error).splitlines()[0]
    return f"{type(error).__name__}: {error}".splitlines()[0]


def _shown(value: Any) -> str:
    return reprlib.repr(value)[:20]  # deep lists have no repr


def _list(value: Any, what: str) -> list[Any]:
    if not isinstance(value, list):
        raise GraphFileError(f"{what} must be a list")
    return value


def _node(nodes: Sequence[Expr], k: Any) -> Expr:
    if type(k) is not int or not 0 <= k < len(nodes):
        raise GraphFileError(f"{_shown(k)} is not the number of an earlier node")
    return nodes[k]


def _decode_node(encoded: Any, nodes: Sequence[Expr], in_body: bool) -> Expr:
    if not isinstance(encoded, dict):
        raise GraphFileError("it must be an object")
    op = get_op(encoded.get("op"))  # type: ignore[arg-type]
    args = tuple(_node(nodes, k) for k in _list(encoded.get("args", []), "'args'"))
    leaf = op in (VAR, PARAM, CONST, PLACEHOLDER)
    if leaf and args:
        raise GraphFileError(f"a {op.name} has no arguments")
    if not leaf and not args:
        raise GraphFileError(f"op {op.name} needs arguments")
    attrs = _leaf_attrs(op, encoded, in_body) if leaf else _op_attrs(op, encoded)
    # The nodes of a process are shared: a file names the new ones and renames no others.
    known = is_known(op, args, attrs)
    node = make(op, args, attrs)
    if op in (GETITEM, SCATTER, PUT):
        check_constant_indices(node)
    if "label" in encoded:
        label = _text(encoded["label"], "'label'")
        return node if known else node.named(label)  # named refuses variables and params
    return node


def _leaf_attrs(op: Op, encoded: dict[str, Any], in_body: bool) -> tuple[Any, ...]:
    if op in (VAR, PLACEHOLDER):
        if "label" in encoded:
            raise GraphFileError(f"a {op.name} has its name, and no label")
        name, type_ = _name(encoded.get("name")), _decode_type(encoded.get("type"))
        if op is VAR:
            return name, type_
        # Those of a body alone: others are what this process made for itself.
        number = _count(encoded.get("number"))
        if not in_body or number < 0:
            raise GraphFileError("a placeholder stands for an input of a loop's body")
        return name, number, type_
    array = _decode_array(encoded.get("value"))
    if op is CONST:
        return (ConstData(array),)
    return _name(encoded.get("name")), ParamCell(array)


def _name(value: Any) -> str:
    name = _text(value, "'name'")
    if "\0" in name:
        raise GraphFileError(f"the name {name!r:.40} holds a NUL character")
    return name


def _op_attrs(op: Op, encoded: dict[str, Any]) -> tuple[Any, ...]:
    encoded_attrs = _list(encoded.get("attrs", []), "'attrs'")
    if len(encoded_attrs) != len(op.attrs) or not _NOT_DATA.isdisjoint(a.name for a in op.attrs):
        raise GraphFileError(f"op {op.name} does not take these attributes")
    return tuple(_decode_attr(a) for a in encoded_attrs)


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str) or not value:
        raise GraphFileError(f"{what} must be a non-empty text")
    return value


def _decode_type(value: Any) -> TensorType:
    dtype, shape = _fields(value, "'type'", "dtype, shape")
    return TensorType(_dims(shape), _decode_dtype(dtype))


def _decode_dtype(value: Any) -> np.dtype[Any]:
    name = _text(value, "a dtype")
    dtype = as_dtype(name)
    if dtype.name != name:
        raise GraphFileError(f"the dtype {dtype.name} is written so, not {_shown(name)}")
    return dtype


def _dims(shape: Any) -> tuple[int, ...]:
    dims = _list(shape, "a shape")
    if any(type(n) is not int for n in dims):
        raise GraphFileError("a shape must be a list of integers")
    return tuple(dims)


def _decode_array(value: Any) -> Array:
    dtype, shape, data = _fields(value, "'value'", "dtype, shape, data")
    type_ = TensorType(_dims(shape), _decode_dtype(dtype))
    if not isinstance(data, str):
        raise GraphFileError("the data of an array must be text in base64")
    raw = base64.b64decode(data, validate=True)
    expected = type_.size * type_.dtype.itemsize
    if len(raw) != expected:
        raise GraphFileError(f"{len(raw)} bytes of data, where {type_!r} has {expected}")
    if type_.dtype == np.bool_ and raw.strip(b"\0\1"):
        raise GraphFileError("the data of booleans holds other bytes than 0 and 1")
    array = np.frombuffer(raw, type_.dtype.newbyteorder("<"))
    return array.reshape(type_.shape).astype(type_.dtype)


def _fields(value: Any, what: str, names: str) -> list[Any]:
    fields = _list(value, what)
    if len(fields) != names.count(",") + 1:
        raise GraphFileError(f"{what} must be [{names}]")
    return fields


def _decode_attr(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_decode_attr(v) for v in value)
    if isinstance(value, dict) and "body" in value:
        return _decode_loop(value)
    if isinstance(value, dict):
        return _decode_dtype(value.get("dtype"))
    if type(value) not in (str, int):  # no bool: True == 1 would make it the node that 1 makes
        raise GraphFileError(f"{_shown(value)} is no attribute")
    return value


def _decode_loop(encoded: dict[str, Any]) -> Loop:
    length: Any = encoded.get("length")
    reverse: Any = encoded.get("reverse")
    segments: Any = encoded.get("segments", 0)
    return Loop(_decode_body(encoded["body"]), length, reverse, segments)


def _decode_body(encoded: Any) -> Body:
    if not isinstance(encoded, dict):
        raise GraphFileError("the body of a loop must be an object")
    nodes = _decode_graph(encoded, in_body=True)
    n_carry, n_x, n_in = (_count(encoded.get(name)) for name in ("carries", "xs", "in"))
    inputs, outputs = nodes[:n_in], nodes[n_in:]
    if not 0 <= n_carry <= n_carry + n_x <= len(inputs) == n_in or n_carry > len(outputs):
        raise GraphFileError("the body of a loop has too few inputs or outputs")
    kinds = ["carry"] * n_carry + ["x"] * n_x + ["const"] * (n_in - n_carry - n_x)
    if any(v is not body_var(k, kinds[k], v.type) for k, v in enumerate(inputs)):
        raise GraphFileError("the inputs of a loop's body must be its own placeholders, in order")
    if {n for n in toposort(outputs) if n.op in (VAR, PARAM, PLACEHOLDER)}.difference(inputs):
        raise GraphFileError("the body of a loop reads a variable or param that is not its input")
    return Body(inputs, outputs, n_carry, n_x)


def _count(value: Any) -> int:
    if type(value) is not int:
        raise GraphFileError("a loop must say how many inputs and steps it has")
    return value
