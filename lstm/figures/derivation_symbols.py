"""A step of a cell in the textbook's symbols, fₜ, hₜ₋₁, W_fh, as expressions to be derived."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import minigrad as mg
from lstm.cells import Cell
from minigrad import Expr

NOW, BEFORE, EARLIER = "ₜ", "ₜ₋₁", "ₜ₋₂"


class Symbols(NamedTuple):
    """A step of a cell and what it reads, as expressions of the textbook's symbols."""

    now: Expr
    """The part of the state after the step, (1, H)."""
    before: Expr
    """The same before the step, a variable."""
    known: dict[Expr, tuple[str, str]]
    """Nodes whose numbers a flow has: what they are, and of which step."""
    weights: dict[str, Expr]
    held: list[Expr]
    """Nodes that have names, which they keep as long as they are held."""


def symbols_of(cell: Cell[Any], part: str) -> Symbols:
    """Two steps of a cell: the first gives what the second reads beside the part itself."""
    cell = replace(cell, dtype="float64")  # what differences can check
    weights = {name: mg.var(name, shape) for name, shape in cell.shapes().items()}
    shape = cell.initial_state(1)._asdict()
    first = cell.state_type(**{q: mg.var(q + EARLIER, z.shape) for q, z in shape.items()})
    x = {time: mg.var("x" + time, (1, cell.input_size)) for time in (BEFORE, NOW)}
    earlier = cell.compute(weights, first, x[BEFORE])
    before = mg.var(part + BEFORE, shape[part].shape)
    known = {before: (part, BEFORE), x[NOW]: ("x", NOW), x[BEFORE]: ("x", BEFORE)}
    known |= {v: (q, EARLIER) for q, v in first._asdict().items()}
    stand_ins = {earlier[part]: before}
    for symbol, value in earlier.items():
        if earlier[part] not in set(mg.toposort(value)):
            stand_in = stand_ins.setdefault(value, mg.var(symbol + BEFORE, value.shape))
            known.setdefault(stand_in, (symbol, BEFORE))
    values = {s: mg.substitute(v, stand_ins) for s, v in earlier.items()}
    state = cell.state_type(**{q: values[q] for q in shape})
    last = cell.compute(weights, state, x[NOW])
    for time, made in ((BEFORE, values), (NOW, last)):
        for symbol, value in made.items():
            if value not in known and value.args:
                known[value.named(symbol + time)] = (symbol, time)
    parts = {values[q]: q for q in shape} | {x[NOW]: "x"}
    held = [*known, *_blocks([*last.values()], weights, parts)]
    return Symbols(last[part], before, known, weights, held)


def _blocks(
    outputs: Sequence[Expr], weights: dict[str, Expr], parts: dict[Expr, str]
) -> list[Expr]:
    """The rows of each weight matrix that meet one part of a row [h, x], with names: W_fh."""
    blocks = []
    names = {w: name for name, w in weights.items()}
    for node in mg.toposort(outputs):
        if node.op is not _MATMUL or node.args[1] not in names or node.args[0].op is not _CONCAT:
            continue
        start = 0
        for part in node.args[0].args:
            end = start + part.shape[-1]
            if part in parts:
                block = node.args[1][start:end]
                blocks.append(block.named(names[node.args[1]] + parts[part]))
            start = end
    return blocks


_X = mg.zeros((1, 1))
_CONCAT, _MATMUL = mg.concat([_X, _X], 1).op, mg.matmul(_X, _X).op
