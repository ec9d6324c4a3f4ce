"""The equations of a cell as lines of NumPy, out of the graph of one step."""

from __future__ import annotations

import re
from collections import Counter
from keyword import iskeyword
from typing import Any, TypeAlias

import numpy as np

import minigrad as mg
from lstm.cells import Cell
from lstm.errors import ConfigError
from minigrad import Expr

Text: TypeAlias = tuple[str, int]
"""What is written of a node, and how tightly it holds together."""
_SIGNS = {"add": ("+", 1), "subtract": ("-", 1), "multiply": ("*", 2), "divide": ("/", 2)}
_SIGNS |= {"matmul": ("@", 2)}
_ATOM = 9
_CALLS = {
    name: f"np.{name}"
    for name in ("tanh", "exp", "log", "sqrt", "square", "abs", "negative", "maximum", "minimum")
}
_CALLS |= {"sigmoid": "sigmoid", "relu": "relu"}
_POINTWISE = _CALLS.keys() | _SIGNS.keys() - {"matmul"}
_RESERVED = frozenset(("p", "x", "np", "sigmoid", "relu", "len", "float", "__debug__"))
"""What lines read that is no value of theirs, and the one name that Python lets nobody assign."""


def step_lines(cell: Cell[Any]) -> list[str]:
    """A function `step(p, x, …)` of the parameters by name, of x (B, I) and of the state's parts,
    which gives those of the next state.

    What the cell's class calls its values is spelled in letters that a file may have; a parameter's
    name is a text. Raises ConfigError for an op that there is no writing of.

    >>> import lstm
    >>> print(*step_lines(lstm.RNN(2, 3)), sep="\\n")
    def step(p, x, h_before):
        h = np.tanh(np.concatenate([h_before, x], axis=1) @ p['W_h'] + p['b_h'])
        return (h,)
    """
    params, state, x = cell.variables()
    values = cell.compute(params, state, x)
    taken = set(_RESERVED)
    symbols = {value: _fresh(symbol, taken) for symbol, value in values.items()}
    before = [_fresh(f"{part}_before", taken) for part in state._fields]
    texts: dict[Expr, Text] = {x: ("x", _ATOM)}
    texts |= {p: (f"p[{name!r}]", _ATOM) for name, p in params.items()}
    texts |= {old: (name, _ATOM) for old, name in zip(state, before, strict=True)}
    lines = [f"def step(p, x, {', '.join(before)}):"]
    ends = [values[part] for part in state._fields]
    order = mg.toposort(ends)
    uses = Counter(arg for node in order for arg in node.args)
    for node in order:
        if node in texts:
            continue
        text = _text(node, texts, cell)
        if node in symbols or (uses[node] > 1 and node.args and node.op.name != "broadcast_to"):
            name = symbols.get(node) or _fresh(f"v{len(lines)}", taken)
            lines.append(f"    {name} = {text[0]}")
            text = name, _ATOM
        texts[node] = text
    return [*lines, f"    return ({', '.join(texts[end][0] for end in ends)},)"]


def _fresh(symbol: str, taken: set[str]) -> str:
    """A name of Python's for one thing, as like its symbol as can be; it is among the taken."""
    name = re.sub(r"[^A-Za-z0-9_]", "_", symbol.replace("\u0303", "_tilde"))
    if not name or name[0].isdigit() or iskeyword(name):
        name = f"_{name}"
    while name in taken:
        name += "_"
    taken.add(name)
    return name


def _text(node: Expr, texts: dict[Expr, Text], cell: Cell[Any]) -> Text:
    """What is written of a node whose arguments are written."""
    kind = node.op.name
    if kind == "const" and node.size == 1:
        number = node.eval().item()
        return (repr(number) if np.isfinite(number) else f"float('{number}')"), _ATOM
    args = [texts[a] for a in node.args]
    if kind in _POINTWISE and any(
        a.op.name != "broadcast_to" and a.shape == node.shape for a in node.args
    ):  # NumPy broadcasts by itself
        args = [texts[a.args[0]] if a.op.name == "broadcast_to" else texts[a] for a in node.args]
    if kind in _SIGNS:
        sign, hold = _SIGNS[kind]
        (left, left_holds), (right, right_holds) = args
        left = left if left_holds >= hold else f"({left})"
        return f"{left} {sign} {right if right_holds > hold else f'({right})'}", hold
    inner = ", ".join(text for text, _ in args)
    if kind in _CALLS:
        return f"{_CALLS[kind]}({inner})", _ATOM
    if kind == "concat":
        return f"np.concatenate([{inner}], axis={node.attrs[0]})", _ATOM
    if kind == "sum" and 0 not in node.attrs[0]:
        return f"np.sum({inner}, axis={node.attrs[0]})", _ATOM
    if kind in ("reshape", "broadcast_to") and node.shape[:1] == (1,):
        sizes = ", ".join(map(str, node.shape[1:]))
        if kind == "reshape" and node.args[0].shape[:1] == (1,):
            return f"np.reshape({inner}, (-1, {sizes}))", _ATOM
        if kind == "broadcast_to":
            return f"np.broadcast_to({inner}, (len(x), {sizes}))", _ATOM
    if kind == "getitem" and (spec := _slices(node)):
        return f"{inner if args[0][1] == _ATOM else f'({inner})'}[{spec}]", _ATOM
    raise ConfigError(f"to_numpy has no writing of {kind}, which the cell {cell.name} computes")


def _slices(node: Expr) -> str:
    """An index of plain slices that leaves the batch whole; "" for another."""
    spec, size = node.attrs[0], node.args[0].shape
    if not all(entry[0] == "s" for entry in spec) or spec[0] != ("s", 0, 1, 1) or size[0] != 1:
        return ""
    rest = (f"{start}:{start + count * step}:{step}" for _, start, count, step in spec[1:])
    return ", ".join([":", *rest]) if all(step > 0 for *_, step in spec) else ""
