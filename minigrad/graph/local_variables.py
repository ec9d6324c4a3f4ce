"""Which local variable of the user's code a node was assigned to, as the code itself tells."""

from __future__ import annotations

import dis
from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache
from types import CodeType

from minigrad.graph.node import Expr

_STORES = ("STORE_FAST", "STORE_DEREF", "STORE_NAME", "STORE_GLOBAL")


def local_names(nodes: Sequence[Expr]) -> dict[Expr, str]:
    """The nodes, of a graph in order, that a statement such as `f = sigmoid(z)` gave a name.

    Of the nodes that one call or one operator made, it is the result that the name is of.

    >>> import minigrad as mg
    >>> x = mg.var("x")
    >>> speed = 1.0 / (mg.exp(x) + 2.0)
    >>> [(node.op.name, name) for node, name in local_names(mg.toposort(speed)).items()]
    [('divide', 'speed')]
    """
    parts = {a for n in nodes for a in n.args if a._origin == n._origin and not _comes_again(a, n)}
    names = {n: _assigned(*n._origin) for n in nodes if n.args and n._origin and n not in parts}
    return {node: name for node, name in names.items() if name.strip("_")}


def _comes_again(before: Expr, node: Expr) -> bool:
    """Whether two nodes of one line are what two turns of a Python loop made, such as
    `for _ in range(3): h = tanh(h)`, and not two parts of what one call made."""
    if node._origin is None or before.op is not node.op or before.type is not node.type:
        return False
    code, last = node._origin
    return any(start <= last < end for start, end in _loops(code))


@lru_cache(maxsize=256)
def _loops(code: CodeType) -> list[tuple[int, int]]:
    """Where the loops of some code begin and end: what is jumped back over."""
    told = dis.get_instructions(code)
    back = [i for i in told if i.opname.startswith("JUMP_BACKWARD") or "_BACKWARD_" in i.opname]
    return [(i.argval, i.offset) for i in back]


def _assigned(code: CodeType, last: int) -> str:
    """What the result of an instruction is stored in; "" where it is used at once."""
    offsets, names = _after(code)
    k = bisect_right(offsets, last)
    return names[k] if k < len(names) else ""


@lru_cache(maxsize=256)
def _after(code: CodeType) -> tuple[list[int], list[str]]:
    """The instructions of some code, where each begins, and the name that it stores in."""
    # What widens an argument is no instruction of its own, and none stands between two.
    told = [i for i in dis.get_instructions(code) if i.opname != "EXTENDED_ARG"]
    names = [
        str(i.argval[0] if isinstance(i.argval, tuple) else i.argval)
        if i.opname.startswith(_STORES) and not i.opname.startswith("STORE_FAST_MAYBE")
        else ""
        for i in told
    ]
    # In `(f := y)` and `f = g = y` the result is copied first.
    for k, instruction in enumerate(told[:-1]):
        if instruction.opname == "COPY":
            names[k] = names[k + 1]
    return [i.offset for i in told], names
