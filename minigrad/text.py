"""Expressions as text: Python-like infix for str(), and LaTeX.

Only reads graphs. Long expressions are cut at a budget of nodes, outermost first, so that text of a
million-node graph is as quick as of a small one. Broadcasts and reshapes of numbers are not shown.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from minigrad.errors import DTypeError
from minigrad.graph.leaves import CONST
from minigrad.graph.node import Expr
from minigrad.names import public
from minigrad.ops.arithmetic import divide, pow, sqrt
from minigrad.ops.core import AXES, BROADCAST, RESHAPE, uniform_value
from minigrad.ops.index import GETITEM
from minigrad.ops.linalg import MATMUL
from minigrad.ops.shape import PERMUTE

LIMIT = 60  # occurrences of ops shown; what is deeper becomes an ellipsis
_ATOM = 100  # binding strength of a name or a call
_ARITHMETIC = 4  # of + and -, the weakest of their kind


@dataclass(frozen=True)
class _Style:
    ellipsis: str
    name: Callable[[str], str]
    number: Callable[[float], str]
    op: Callable[[Expr, list[tuple[str, int]]], tuple[str, int]]


@public
def to_str(y: Expr, limit: int = LIMIT) -> str:
    """Python-like text of an expression, at most `limit` ops deep and wide.

    >>> from minigrad.graph.leaves import var
    >>> x = var("x")
    >>> to_str((x + 1.0) * x - 2.0 ** x)
    '(x + 1) * x - 2 ^ x'
    """
    return _render(y, limit, _PLAIN)


@public
def to_latex(y: Expr, limit: int = LIMIT) -> str:
    r"""LaTeX source of an expression, at most `limit` ops.

    >>> from minigrad.graph.leaves import var
    >>> x = var("x")
    >>> print(to_latex(1.0 / (1.0 + x)))
    \frac{1}{1 + x}
    """
    return _render(y, limit, _LATEX)


def op_text(node: Expr, operands: Sequence[str]) -> str:
    """One op as `to_str` writes it, with the given texts for its operands.

    >>> from minigrad.graph.leaves import var
    >>> op_text(var("x") + 1.0, ["·", "1"])
    '· + 1'
    """
    return _plain_op(node, [(text, _ATOM) for text in operands])[0]


def _render(root: Expr, limit: int, style: _Style) -> str:
    if not isinstance(root, Expr):
        raise DTypeError(f"{root!r:.60} has no notation: it is no minigrad expression")
    root = _seen(root)
    # Occurrences, not nodes: what is shared is written again, so the budget bounds the text.
    nodes: list[Expr] = [root]
    children: dict[int, list[int]] = {}
    queue = deque([0])
    budget = limit
    while queue:
        k = queue.popleft()
        if not nodes[k].args or (nodes[k].label and k) or uniform_value(nodes[k]) is not None:
            continue
        if not budget:
            children[k] = []
            continue
        budget -= 1
        first = len(nodes)
        nodes.extend(_seen(a, nodes[k]) for a in nodes[k].args)
        children[k] = list(range(first, len(nodes)))
        queue.extend(children[k])
    text: dict[int, tuple[str, int]] = {}
    for k in reversed(range(len(nodes))):
        if k not in children:
            text[k] = _leaf(nodes[k], style)
        elif not children[k]:
            text[k] = style.ellipsis, _ATOM
        else:
            text[k] = style.op(nodes[k], [text[c] for c in children[k]])
    return text[0][0]


def _seen(node: Expr, user: Expr | None = None) -> Expr:
    """What is written for a node: broadcasts, and the axes a vector gets for a matmul, are not."""
    while True:
        inner = node.args[0] if node.args else node
        if node.op is BROADCAST or (node.op is RESHAPE and _is_vector_axis(node, user)):
            node = inner
        else:
            return node


def _is_vector_axis(node: Expr, user: Expr | None) -> bool:
    inner = node.args[0]
    into = user is not None and user.op is MATMUL and inner.ndim == 1
    out_of = inner.op is MATMUL and node.ndim < 2
    return into or out_of


def _leaf(node: Expr, style: _Style) -> tuple[str, int]:
    value = uniform_value(node)
    if value is not None:
        shown = style.number(value)
        return shown, 5 if r"\times" in shown else 6 if shown.startswith("-") else _ATOM
    if node.op is CONST:
        data = node.value
        listed = str(data.tolist()) if data.size <= 4 else f"array{node.type.shape}"
        return listed, _ATOM
    return style.name(node.name or node.op.name), _ATOM


def _number(value: float) -> str:
    if isinstance(value, bool):
        return str(value)
    return str(int(value)) if value == value // 1 and -1e6 < value < 1e6 else f"{value:.6g}"


def _latex_number(value: float) -> str:
    if math.isinf(value):
        return r"\infty" if value > 0 else r"-\infty"
    shown = _number(value)
    if isinstance(value, bool) or "e" not in shown:
        return shown
    digits, exponent = shown.split("e")
    return rf"{digits} \times 10^{{{int(exponent)}}}"


def _wrapped(part: tuple[str, int], strength: int, brackets: tuple[str, str]) -> str:
    text, own = part
    return text if own >= strength else f"{brackets[0]}{text}{brackets[1]}"


def _operands(node: Expr, parts: list[tuple[str, int]], brackets: tuple[str, str]) -> list[str]:
    """Operands of an infix op, in brackets where the text would be read as another graph."""
    strength = node.op.infix
    if len(parts) == 1:
        return [_wrapped(parts[0], strength, brackets)]
    # Arithmetic nests to the left, a - b - c; powers to the right; tests and bits not at all.
    powers, loose = node.op is pow.op, strength < _ARITHMETIC
    return [
        _wrapped(parts[0], strength + (powers or loose), brackets),
        _wrapped(parts[1], strength + (not powers), brackets),
    ]


def _plain_op(node: Expr, parts: list[tuple[str, int]]) -> tuple[str, int]:
    op = node.op
    if op.infix:
        symbol = op.plain or op.symbol
        shown = _operands(node, parts, ("(", ")"))
        text = f"{symbol}{shown[0]}" if len(shown) == 1 else f" {symbol} ".join(shown)
        return text, op.infix
    if op is GETITEM:
        return f"{_wrapped(parts[0], _ATOM, ('(', ')'))}[{_index(node, parts[1:])}]", _ATOM
    if op is PERMUTE and node.attrs[0] == (1, 0):
        return f"{_wrapped(parts[0], _ATOM, ('(', ')'))}.T", _ATOM
    args = [text for text, _ in parts]
    args += [
        f"{kind.name}={_attr(value)}"
        for kind, value in zip(op.attrs, node.attrs, strict=False)
        if not (kind is AXES and len(value) == node.args[0].ndim)
    ]
    return f"{op.name}({', '.join(args)})", _ATOM


def _attr(value: Any) -> str:
    if isinstance(value, tuple) and len(value) == 1 and isinstance(value[0], int):
        return str(value[0])
    return getattr(value, "__name__", str(value))


def _index(node: Expr, arrays: list[tuple[str, int]]) -> str:
    waiting = iter(arrays)
    shown = []
    axis = 0
    for entry in node.attrs[0]:
        kind = entry[0]
        if kind == "a":
            shown.append(next(waiting)[0])
        elif kind == "i":
            shown.append(str(entry[1]))
        elif kind == "n":
            shown.append("None")
        else:
            shown.append(_slice(entry, node.args[0].shape[axis]))
        axis += kind != "n"
    return ", ".join(shown)


def _slice(entry: tuple[Any, ...], length: int) -> str:
    _, start, count, step = entry
    stop = start + count * step
    first = "" if start == (0 if step > 0 else length - 1) else str(start)
    last = "" if stop >= length or stop < 0 else str(stop)
    return f"{first}:{last}" + (f":{step}" if step != 1 else "")


_SPECIAL = {c: f"\\{c}" for c in "#$%&_{}"} | {
    "\\": r"\backslash ",
    "~": r"\sim ",
    "^": r"\hat{\ }",
}


def _latex_name(name: str) -> str:
    """A name as LaTeX: one letter in italics with its subscript, words upright, all escaped."""
    base, _, sub = name.partition("_")
    escaped = ["".join(_SPECIAL.get(c, c) for c in part) for part in (base, sub)]
    head = escaped[0] if len(base) == 1 else rf"\mathrm{{{escaped[0]}}}"
    if not sub:
        return head
    tail = escaped[1] if len(sub) == 1 else rf"\mathrm{{{escaped[1]}}}"
    return f"{head}_{{{tail}}}"


def _latex_op(node: Expr, parts: list[tuple[str, int]]) -> tuple[str, int]:
    op = node.op
    brackets = (r"\left(", r"\right)")
    if op in (divide.op, sqrt.op):  # their notation brackets by itself
        return op.latex.format(*[text for text, _ in parts]), 7
    if op is pow.op:  # an exponent needs no brackets: it stands above
        return op.latex.format(_wrapped(parts[0], 9, brackets), parts[1][0]), op.infix
    if op.infix:
        return op.latex.format(*_operands(node, parts, brackets)) if op.latex else (
            f" {op.symbol} ".join(_operands(node, parts, brackets))
        ), op.infix
    if op.latex:
        # Where the notation itself delimits the operand it needs no brackets.
        delimited = r"\left" in op.latex or "^{{{0}}}" in op.latex
        shown = [text if delimited else _wrapped((text, own), 9, brackets) for text, own in parts]
        return op.latex.format(*shown), 8 if "^" in op.latex else _ATOM
    name = op.name.replace("_", r"\_")
    listed = ", ".join(text for text, _ in parts)
    return rf"\operatorname{{{name}}}\left({listed}\right)", _ATOM


_PLAIN = _Style("...", lambda name: name, _number, _plain_op)
_LATEX = _Style(r"\cdots ", _latex_name, _latex_number, _latex_op)
