"""Expressions as text: Python-like infix for str(), and LaTeX.

Only reads graphs. Long expressions are cut at a budget of nodes, outermost first, so that text of a
million-node graph is as quick as of a small one. Broadcasts and reshapes of numbers are not shown.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from minigrad.display import WIDEST, bundle, plain
from minigrad.errors import DTypeError
from minigrad.graph.leaves import CONST, ConstData, HostStorage
from minigrad.graph.node import Expr
from minigrad.names import public
from minigrad.ops.arithmetic import divide, pow, sqrt
from minigrad.ops.core import AXES, BROADCAST, RESHAPE, uniform_value
from minigrad.ops.index import GETITEM
from minigrad.ops.linalg import MATMUL, as_matmul
from minigrad.ops.shape import CONCAT, PERMUTE
from minigrad.ops.tuples import ITEM
from minigrad.types import Array, Shape

LIMIT = 60  # occurrences of ops shown; what is deeper becomes an ellipsis
_IN_A_LINE, _IN_A_CELL = 12, 30  # the same, of what a prompt and a notebook show
_COUNTED = 10_000  # ops, of which a graph of more is only said to have more
_ATOM = 100  # binding strength of a name or a call
_ARITHMETIC = 4  # of + and -, the weakest of their kind
_NO_NAMES: Mapping[Expr, str] = MappingProxyType({})


@dataclass(frozen=True)
class _Style:
    ellipsis: str
    name: Callable[[str], str]
    number: Callable[[float], str]
    op: Callable[[Expr, list[tuple[str, int]]], tuple[str, int]]
    keeps_axes: bool
    """Whether the axes of length 1 that a reduction keeps are shown."""


@public
def to_str(y: Expr, limit: int = LIMIT) -> str:
    """Python-like text of an expression, at most `limit` ops deep and wide.

    >>> import minigrad as mg
    >>> x = mg.var("x")
    >>> mg.to_str((x + 1.0) * x - 2.0 ** x)
    '(x + 1) * x - 2 ^ x'
    """
    return _render(y, limit, _PLAIN)[0]


@public
def to_latex(y: Expr, limit: int = LIMIT) -> str:
    r"""LaTeX source of an expression, at most `limit` ops.

    >>> import minigrad as mg
    >>> x = mg.var("x")
    >>> print(mg.to_latex(1.0 / (1.0 + x)))
    \frac{1}{1 + x}
    """
    return _render(y, limit, _LATEX)[0]


def formula(
    y: Expr, *, latex: bool = False, limit: int = LIMIT, names: Mapping[Expr, str] = _NO_NAMES
) -> tuple[str, int]:
    """Text or LaTeX of an expression, and how strongly its outermost op binds.

    names: what is written in the place of a node, as it is.

    >>> import minigrad as mg
    >>> x = mg.var("x")
    >>> formula((x + 1.0) * x, names={x + 1.0: "u"})
    ('u * x', 5)
    """
    return _render(y, limit, _LATEX if latex else _PLAIN, names)[:2]


def op_text(node: Expr, operands: Sequence[str]) -> str:
    """One op as `to_str` writes it, with the given texts for its operands.

    >>> import minigrad as mg
    >>> op_text(mg.var("x") + 1.0, ["·", "1"])
    '· + 1'
    """
    return _plain_op(node, [(text, _ATOM) for text in operands])[0]


def _render(
    root: Expr, limit: int, style: _Style, names: Mapping[Expr, str] = _NO_NAMES
) -> tuple[str, int, bool]:
    """The text, how strongly it binds, and whether it leaves anything out."""
    if not isinstance(root, Expr):
        raise DTypeError(f"{root!r:.60} has no notation: it is no minigrad expression")
    root = _seen(root, style)
    written: dict[int, Expr] = {}
    # Occurrences, not nodes: what is shared is written again, so the budget bounds the text.
    nodes: list[Expr] = [root]
    children: dict[int, list[int]] = {}
    queue = deque([0])
    budget = limit
    while queue:
        k = queue.popleft()
        node = nodes[k]
        is_named = node in names or (node.label and k)
        if not node.args or is_named or uniform_value(node) is not None:
            continue
        if not budget:
            children[k] = []
            continue
        budget -= 1
        first, args = len(nodes), node.args
        whole = as_matmul(node, lambda n: n.label or n in names)
        if whole is not None:
            node, args = whole
        written[k] = node
        nodes.extend([_seen(a, style, node, names) for a in args])
        children[k] = list(range(first, len(nodes)))
        queue.extend(children[k])
    text: dict[int, tuple[str, int]] = {}
    for k in reversed(range(len(nodes))):
        if nodes[k] in names:
            text[k] = names[nodes[k]], _ATOM
        elif k not in children:
            text[k] = _leaf(nodes[k], style)
        elif not children[k]:
            text[k] = style.ellipsis, _ATOM
        else:
            text[k] = style.op(written[k], [text[c] for c in children[k]])
    return *text[0], any(not below for below in children.values())


def _seen(
    node: Expr, style: _Style, user: Expr | None = None, names: Mapping[Expr, str] = _NO_NAMES
) -> Expr:
    """What is written for a node: broadcasts are not, nor, on paper, axes of length 1, unless an
    operand has a name."""
    while True:
        if user is not None and (node.label or node in names):
            return node
        is_hidden = node.op is RESHAPE and (
            not style.keeps_axes and (_is_column(node, user) or _is_kept_axis(node))
        )
        if node.op is not BROADCAST and not is_hidden:
            return node
        node = node.args[0]


def _is_kept_axis(node: Expr) -> bool:
    """Whether a reshape gives what was reduced its axes back, of length 1."""
    inner = node.args[0]
    is_reduced = AXES in inner.op.attrs
    return is_reduced and inner.shape == tuple([n for n in node.shape if n != 1])


def _is_column(node: Expr, user: Expr | None) -> bool:
    """Whether a reshape makes of a vector what it is on paper."""
    return user is not None and user.op in (MATMUL, PERMUTE) and node.args[0].ndim == 1


def _leaf(node: Expr, style: _Style) -> tuple[str, int]:
    value = uniform_value(node)
    if value is not None:
        shown = style.number(value)
        return shown, 5 if r"\times" in shown else 6 if shown.startswith("-") else _ATOM
    if node.op is CONST:
        data = node.value
        if data.size > 4:
            return style.name(f"array{node.type.shape}"), _ATOM
        return str(data.tolist()), _ATOM
    return style.name(node.name or node.op.name), _ATOM


def _number(value: float, digits: int = 6) -> str:
    if isinstance(value, bool):
        return str(value)
    return str(int(value)) if value == value // 1 and -1e6 < value < 1e6 else f"{value:.{digits}g}"


def _latex_number(value: float, digits: int = 6) -> str:
    if math.isinf(value):
        return r"\infty" if value > 0 else r"-\infty"
    if math.isnan(value):
        return r"\mathrm{nan}"
    shown = _number(value, digits)
    if isinstance(value, bool):
        return rf"\mathrm{{{shown}}}"
    mantissa, _, exponent = shown.partition("e")
    return rf"{mantissa} \times 10^{{{int(exponent)}}}" if exponent else shown


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
    if op is RESHAPE and (axes := _with_new_axes(node.args[0].shape, node.shape)):
        return f"{_wrapped(parts[0], _ATOM, ('(', ')'))}[{axes}]", _ATOM
    args = [text for text, _ in parts]
    args += [f"{name}={value}" for name, value in _attributes(node)]
    return f"{op.name}({', '.join(args)})", _ATOM


def _attributes(node: Expr) -> Iterator[tuple[str, str]]:
    """What a call says beside its operands: all but the axes of a reduction over all."""
    for kind, value in zip(node.op.attrs, node.attrs, strict=False):
        if not (kind is AXES and len(value) == node.args[0].ndim):
            yield kind.name, _attr(value)


def _attr(value: Any) -> str:
    if isinstance(value, tuple) and len(value) == 1 and isinstance(value[0], int):
        return str(value[0])
    return getattr(value, "__name__", str(value))


def _with_new_axes(before: Shape, after: Shape) -> str:
    """The index that gives a tensor axes of length 1, and so another shape; "" where none does."""
    old, entries = iter(before), []
    length = next(old, None)
    for n in after:
        if n == length:
            entries.append(":")
            length = next(old, None)
        elif n == 1:
            entries.append("None")
        else:
            return ""
    return ", ".join(entries) if before and length is None else ""


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


_ACCENTS = {"\u0302": r"\hat", "\u0303": r"\tilde", "\u0304": r"\bar", "\u0307": r"\dot"}
_BELOW = "₀₁₂₃₄₅₆₇₈₉₊₋ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓ"
_LOWERED = str.maketrans(_BELOW, "0123456789+-aehijklmnoprstuvx")
_SPECIAL = {c: f"\\{c}" for c in "#$%&_{} "} | {
    "\\": r"\backslash ",
    "~": r"\sim ",
    "^": r"\hat{\ }",
    "<": r"\lt ",  # pages may read what stands between dollars as HTML first
    ">": r"\gt ",
}


def _latex_name(name: str) -> str:
    """A name as LaTeX: one letter in italics with its subscript, words upright, all escaped."""
    shown = plain(name[:1000], WIDEST)
    whole = shown.rstrip(_BELOW)
    base, _, sub = whole.partition("_")
    time = shown[len(whole) :].translate(_LOWERED)
    accent = _ACCENTS.get(base[1:])
    head = _letter(base) if accent is None else f"{accent}{{{escaped(base[0])}}}"
    below = ", ".join(filter(None, [sub and _letter(sub), time]))
    return f"{head}_{{{below}}}" if below else head


def _letter(text: str) -> str:
    return escaped(text) if len(text) == 1 else rf"\mathrm{{{escaped(text)}}}"


def escaped(text: str) -> str:
    """Text as LaTeX, with what means something there written so that it stands for itself."""
    return "".join(_SPECIAL.get(c, c) for c in text)


def _latex_op(node: Expr, parts: list[tuple[str, int]]) -> tuple[str, int]:
    op = node.op
    brackets = (r"\left(", r"\right)")
    if op in (divide.op, sqrt.op):  # their notation brackets by itself
        return op.latex.format(*[text for text, _ in parts]), 7
    if op is pow.op:  # an exponent needs no brackets: it stands above
        return op.latex.format(_wrapped(parts[0], 9, brackets), parts[1][0]), op.infix
    if op.infix:
        return op.latex.format(*_operands(node, parts, brackets)) if op.latex else (
            f" {escaped(op.symbol)} ".join(_operands(node, parts, brackets))
        ), op.infix
    if op.latex:
        # Where the notation itself delimits the operand it needs no brackets.
        delimited = r"\left" in op.latex or "^{{{0}}}" in op.latex
        shown = [text if delimited else _wrapped((text, own), 9, brackets) for text, own in parts]
        return op.latex.format(*shown), 8 if "^" in op.latex else _ATOM
    first = _wrapped(parts[0], _ATOM, brackets) if parts else ""
    if op is ITEM:
        return rf"{first}\left[{node.attrs[0]}\right]", _ATOM
    if op is GETITEM:
        return rf"{first}\left[{_index(node, parts[1:])}\right]", _ATOM
    if op is PERMUTE and node.attrs[0] == (1, 0):
        return rf"{{{first}}}^{{\top}}", 8
    listed = [text for text, _ in parts]
    if op is CONCAT and node.attrs[0] == node.ndim - 1:  # rows side by side, as on paper
        return rf"\left[{', '.join(listed)}\right]", _ATOM
    name = rf"\operatorname{{{escaped(op.name)}}}"
    if op.inside is not None:  # a graph that it runs so many times
        name += rf"_{{{op.inside(node).steps}\ \mathrm{{steps}}}}"
    else:
        listed += [rf"\mathrm{{{escaped(f'{n}={x}')}}}" for n, x in _attributes(node)]
    return rf"{name}\left({', '.join(listed)}\right)", _ATOM


_PLAIN = _Style("...", lambda name: name, _number, _plain_op, keeps_axes=True)
_LATEX = _Style(r"\cdots ", _latex_name, _latex_number, _latex_op, keeps_axes=False)


# --- what a prompt and a notebook show -----------------------------------------------------------


@public
def summary(y: Expr) -> str:
    """One line on an expression: its name, its text, its type, and numbers that it holds.

    >>> import minigrad as mg
    >>> print(summary(mg.var("x") * 2.0), summary(mg.param("w", [0.5, 1.0])))
    <Expr x * 2: float64> <Expr param 'w': float64(2,) = [0.5 1. ]>
    """
    name = "" if y.name is None else repr(plain(y.name[:1000], WIDEST))
    if y.args:
        shown, _, is_cut = _render(y, _IN_A_LINE, _PLAIN)
        what = f"{name} = " * bool(name) + plain(shown[:1000], 80)
        more = f", {_count(y)}" * is_cut
    else:
        what = f"{y.op.name} {name}".rstrip()
        held = _held(y)
        more = "" if held is None else f" = {_in_a_line(held)}"
    return f"<Expr {what}: {y.type!r}{more}>"


@public
def notebook(y: Expr) -> dict[str, str]:
    """What a notebook shows of an expression: LaTeX with its type, and the line of `summary`."""
    return bundle(y, {"text/latex": lambda: _latex_cell(y)})


def _held(leaf: Expr) -> Array | None:
    """What a leaf holds, if it does so in the host's memory: to show it must not move it."""
    holder = leaf.attrs[-1] if leaf.op.holds else None
    if isinstance(getattr(holder, "storage", None), HostStorage) or isinstance(holder, ConstData):
        return leaf.value
    return None


def _in_a_line(array: Array) -> str:
    """An array in a line, as NumPy writes it; of more than six elements those at the ends."""
    ends = 3 if array.ndim == 1 else 1
    shown = np.array2string(array, threshold=6, edgeitems=ends, precision=4)
    return " ".join(shown.split())


def _count(y: Expr) -> str:
    """How many ops an expression has, each counted once."""
    reached, waiting = {y}, [y]
    ops = 0
    while waiting and ops <= _COUNTED:
        node = waiting.pop()
        ops += bool(node.args)
        waiting += (fresh := set(node.args) - reached)
        reached |= fresh
    return f"{ops:,} ops" if ops <= _COUNTED else f"more than {_COUNTED:,} ops"


def _latex_cell(y: Expr) -> str:
    shown, _, is_cut = _render(y, _IN_A_CELL, _LATEX)
    if y.name is not None and y.args:
        shown = f"{_latex_name(y.name)} = {shown}"
    if not y.args and (held := _held(y)) is not None and held.ndim < 3:
        shown = f"{shown} = " * (y.name is not None) + _latex_array(held)
    notes = [rf"\mathtt{{{escaped(repr(y.type))}}}"] + [rf"\text{{{_count(y)}}}"] * is_cut
    return r"$\displaystyle " + r" \quad ".join([shown, *notes]) + "$"


def _latex_array(array: Array) -> str:
    """A number, vector or matrix; of long ones the first and last three."""
    if not array.ndim:
        return _latex_number(array.item())
    rows = np.atleast_2d(array)
    places = [[*range(n)] if n <= 6 else [0, 1, 2, None, n - 3, n - 2, n - 1] for n in rows.shape]
    lines = [" & ".join(_latex_element(rows, i, j) for j in places[1]) for i in places[0]]
    return r"\begin{bmatrix} " + r" \\ ".join(lines) + r" \end{bmatrix}"


def _latex_element(rows: Array, i: int | None, j: int | None) -> str:
    if i is None or j is None:
        return r"\cdots" if i is not None else r"\vdots" if j is not None else r"\ddots"
    return _latex_number(rows[i, j].item(), digits=4)
