"""Which ops are machine code, which are interpreted and which are NumPy's: the page docs/ops.md.

python -m minigrad.compile.backends.native.coverage > docs/ops.md
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.compile.backends.native.called import NEVER
from minigrad.compile.backends.native.elements import JOINED, MOVED
from minigrad.compile.backends.native.lower import LOWERED
from minigrad.compile.backends.native.pointwise import ELEMENTARY, NARROW, operands_of
from minigrad.compile.backends.native.stages import VIEWS
from minigrad.compile.backends.native.support import SINGLE
from minigrad.graph.leaves import CONST, PARAM, PLACEHOLDER, VAR
from minigrad.graph.node import OPS, Op
from minigrad.loop.node import BLOCK, SCAN
from minigrad.ops.custom import CUSTOM
from minigrad.ops.tuples import ITEM, TUPLE

COMMAND = "python -m minigrad.compile.backends.native.coverage > docs/ops.md"

HEAD = f"""# Ops, and what runs them

Every op of the registry. A graph that the native backend compiles is cut into blocks of what has
machine code; what lies between them is NumPy's, call by call. A loop is machine code, from which
NumPy is called back for those ops of a step that have none. "Interpreted" are scalars and small
tensors by the hundred (see [native.md](native.md)). Dtypes are those of operands; of
others an op is NumPy's, in loops called back.
Narrower integers are int8 to int32 and uint8 to uint32, which are not interpreted.

This page is made from the registry: `{COMMAND}`.

"""

_LEAVES = {VAR, PARAM, CONST, PLACEHOLDER}
_HELD = {
    SCAN: "a loop, if NumPy can be called back for what of its step has no machine code",
    BLOCK: "what the backend makes of a part of a graph",
    ITEM: "one result of a loop",
}
"""What holds other ops, and what is read of it."""

NOTES = {
    "all": "of numbers, as they are not 0",
    "any": "of numbers, as they are not 0",
    "astype": "to the same; from floats to narrower integers NumPy's",
    "argsort": "`sort`, `median` and their like stand on it",
    "barrier": "nothing is computed",
    "custom_vjp": "its forward value",
    "getitem": "index arrays of uint64 are NumPy's",
    "matmul": "2³⁰ multiplications and more are BLAS's",
    "pow": "to the powers 2, 3, 4 and -1, as products",
    "sum": "of bool, as int64",
    "scatter": "index arrays of uint64 are NumPy's",
    "stop_gradient": "nothing is computed",
    "uniform": "in a loop, drawn for all steps before it",
}


def page() -> str:
    """The text of docs/ops.md."""
    heads = ["op", "machine code", "interpreted", "note"]
    rows = [[f"`{op.name}`", *_row(op)] for op in sorted(_ours(), key=lambda op: op.name)]
    cells = [[f" {cell} " if cell else " " for cell in row] for row in (heads, ["---"] * 4, *rows)]
    return HEAD + "".join(f"|{'|'.join(row)}|\n" for row in cells)


def _ours() -> list[Op]:
    """The engine's ops that compute something; other packages may have registered theirs."""
    engine = [op for op in OPS.values() if op.infer.__module__.startswith("minigrad.")]
    return [op for op in engine if op not in _LEAVES and op is not TUPLE]


def _row(op: Op) -> list[str]:
    streamed = op in MOVED or op in JOINED or op in VIEWS or bool(operands_of(op))
    return [_code(op), "yes" if streamed else "", NOTES.get(op.name, _HELD.get(op, ""))]


def _code(op: Op) -> str:
    if op in _HELD:
        return "yes"
    if op in LOWERED or op is CUSTOM:
        return "written with other ops"
    kinds = operands_of(op) or SINGLE.get(op, frozenset())
    if op in VIEWS:
        return "a view of memory" if not kinds else f"a view of memory, or {_named(kinds)}"
    if not kinds:
        return "NumPy" if op in NEVER else "NumPy, called back in loops"
    return f"{_named(kinds)}, a polynomial" if op in ELEMENTARY else _named(kinds)


def _named(kinds: frozenset[np.dtype[Any]]) -> str:
    names = sorted((k.name for k in kinds - NARROW), key=lambda name: (name[0] != "f", name))
    return ", ".join([*names, *["narrower integers"] * (kinds >= NARROW)])


if __name__ == "__main__":
    print(page(), end="")
