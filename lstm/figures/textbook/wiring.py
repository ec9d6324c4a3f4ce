"""A step of a cell as the textbook draws it: layers, pointwise ops, and the vectors between them.

All of it is read from the graph of the cell's equations; no letter has a meaning here. Where things
stand on paper is not said here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import minigrad as mg
from lstm.cells import Cell
from lstm.cells.anatomy import anatomy
from minigrad import Expr

Kind = Literal["layer", "pointwise", "merge", "before", "input", "after", "output"]
"""A merge is a concatenation; the last four are the ends of a step: the state before it, what it
reads, the state after it, and what leaves the cell."""
X, OUT = "x", "out"
BEFORE, AFTER = "_before", "_after"


@dataclass(frozen=True)
class Box:
    """What vectors come from or go to."""

    name: str
    """The symbol of its value, or its way down from one: "C.0" is the first argument of C; of the
    ends "h_before", "x", "h_after", "out"."""
    kind: Kind
    words: str
    """What stands in it: σ, ×; of a layer without an activation its matrix, as mathematics between
    dollars; of an end the symbol."""
    node: Expr


@dataclass(frozen=True)
class Wiring:
    """Boxes by name, in an order in which each comes after what it reads, and the wires."""

    boxes: Mapping[str, Box]
    wires: tuple[tuple[str, str], ...]
    """(from, to), by names; of one box in the order of its arguments."""
    line: tuple[str, ...]
    """The boxes that the lasting part of the state passes, its ends too; none without a line."""

    @cached_property
    def inputs(self) -> dict[str, list[str]]:
        """What each box reads."""
        return {name: [a for a, b in self.wires if b == name] for name in self.boxes}

    def is_joined(self, name: str) -> bool:
        """Whether a merge is none of the graph's, but stands for vectors read side by side."""
        box = self.boxes[name]
        return box.kind == "merge" and box.node.op is not _CONCAT

    @cached_property
    def outputs(self) -> dict[str, list[str]]:
        """What reads each box."""
        return {name: [b for a, b in self.wires if a == name] for name in self.boxes}


def wiring_of(cell: Cell[Any]) -> Wiring:
    """The wiring of a step. Raises what `Cell.compute` raises.

    >>> import lstm
    >>> wiring = wiring_of(lstm.RNN(2, 3))
    >>> [(box.name, box.words) for box in wiring.boxes.values() if box.kind == "layer"]
    [('h', 'tanh')]
    >>> wiring.wires[-3:]
    (('h.0.0.0', 'h'), ('h', 'h_after'), ('h', 'out'))
    """
    values = cell.check()
    step = _Step(cell, values)
    parts = list(cell.state_type._fields)
    made, reads = step.boxes(values[part] for part in parts)
    names = {box.node: box.name for box in made}
    inputs = {box.name: [names[a] for a in reads.get(box.node, ())] for box in made}
    made = _joined(made, inputs)
    wires = [(a, box.name) for box in made for a in inputs[box.name]]
    ends = [Box(f"{part}{AFTER}", "after", part, values[part]) for part in parts]
    ends.append(Box(OUT, "output", cell.output, values[cell.output]))
    wires += [(names[end.node], end.name) for end in ends]
    boxes = {box.name: box for box in [*made, *ends]}
    return Wiring(boxes, tuple(wires), _line(cell, boxes, wires))


def _joined(boxes: Sequence[Box], inputs: dict[str, list[str]]) -> list[Box]:
    """The boxes, with one merge more where several layers read the same ends side by side.

    h U + x W is [h, x] times U above W: the picture of both is one.
    """
    ends = {box.name for box in boxes if box.kind in ("before", "input")}
    users: dict[tuple[str, ...], list[Box]] = {}
    for box in boxes:
        if box.kind == "layer" and len(inputs[box.name]) > 1 and ends.issuperset(inputs[box.name]):
            users.setdefault(tuple(inputs[box.name]), []).append(box)
    made = [*boxes]
    for read, layers in users.items():
        merge = Box(", ".join(read), "merge", "", layers[0].node)
        made.insert(made.index(layers[0]), merge)
        inputs |= {layer.name: [merge.name] for layer in layers} | {merge.name: [*read]}
    return made


def _line(
    cell: Cell[Any], boxes: Mapping[str, Box], wires: Sequence[tuple[str, str]]
) -> tuple[str, ...]:
    """The shortest way from the lasting part of the state to itself that takes pointwise ops."""
    line = anatomy(cell).line
    if line is None:
        return ()
    start, end = f"{line.symbol}{BEFORE}", f"{line.symbol}{AFTER}"
    ways: dict[str, tuple[str, ...]] = {start: (start,)}
    queue = [start]
    for name in queue:
        for a, b in wires:
            if a == name and b not in ways and (b == end or boxes[b].kind == "pointwise"):
                ways[b] = (*ways[a], b)
                queue.append(b)
    return ways.get(end, ())


class _Step:
    """The nodes of a step, and which of them are boxes."""

    def __init__(self, cell: Cell[Any], values: Mapping[str, Expr]) -> None:
        self.order = mg.toposort([*values.values()])
        self.symbols = {v: symbol for symbol, v in reversed([*values.items()])}
        self.ends: dict[Expr, Box] = {}
        names = {f"{part}{BEFORE}": part for part in cell.state_type._fields} | {X: X}
        for node in self.order:
            if not node.args and node.name in names:
                kind: Kind = "input" if node.name == X else "before"
                self.ends[node] = Box(node.name, kind, names[node.name], node)
        self.below: dict[Expr, dict[Expr, None]] = {}
        """Of what depends on the state or the input: the boxes that it reads, in order."""
        self.weights: dict[Expr, dict[str, None]] = {}
        """The parameters that it meets on the way to them."""
        self.joint: set[Expr] = set()
        """What joins different vectors otherwise than a sum does: a gate's product."""
        for node in self.order:
            self._look(node)

    def _look(self, node: Expr) -> None:
        """What a layer that holds the node reads by it: all between is linear, or normalises."""
        weights: dict[str, None] = {}
        sources = []
        for a in node.args:
            if a not in self.below:
                weights |= dict.fromkeys(v.name or "" for v in mg.free_variables(a))
            elif self._is_box(a):
                sources.append({a: None})
            else:
                sources.append(self.below[a])
                weights |= self.weights[a]
        if sources or node in self.ends:
            self.below[node] = {a: None for source in sources for a in source}
            self.weights[node] = weights
        differ = any(source.keys() != sources[0].keys() for source in sources[1:])
        if differ and node.op not in _SUMS and node.op is not _CONCAT:
            self.joint.add(node)

    def _is_box(self, node: Expr) -> bool:
        """Whether a node that a layer reads is drawn by itself."""
        is_named = node in self.ends or node in self.symbols or node.op is _CONCAT
        return is_named or _is_activation(node) or node in self.joint

    def boxes(self, outputs: Iterable[Expr]) -> tuple[list[Box], dict[Expr, list[Expr]]]:
        """All boxes that the outputs need, and what each reads."""
        drawn: dict[Expr, tuple[Kind, str]] = {}
        reads: dict[Expr, list[Expr]] = {}
        stack = [*outputs]
        while stack:
            node = stack.pop()
            if node not in drawn and node not in self.ends:
                kind, words, reads[node] = self._drawn(node)
                drawn[node] = kind, words
                stack += reads[node]
        ways = self._spelled()
        made = [n for n in self.order if n in drawn or n in self.ends]
        return [self.ends.get(n) or Box(ways[n], *drawn[n], n) for n in made], reads

    def _spelled(self) -> dict[Expr, str]:
        """A name for each node: its symbol, or its way down from the first value that reads it."""
        ways = dict(self.symbols)
        for value in [v for v in self.order if v in self.symbols]:
            stack = [value]
            while stack:
                user = stack.pop()
                for k, a in enumerate(user.args):
                    if a in self.below and a not in ways:
                        ways[a] = f"{ways[user]}.{k}"
                        stack.append(a)
        return ways

    def _drawn(self, node: Expr) -> tuple[Kind, str, list[Expr]]:
        """What a node is drawn as, what stands in it, and what it reads."""
        direct = list(dict.fromkeys(self._seen(a) for a in node.args if a in self.below))
        if node.op is _CONCAT:
            return "merge", "", direct
        reads, weights = self.below[node], self.weights[node]
        if weights and node not in self.joint and not any(a in self.joint for a in reads):
            words = _words(node) if _is_activation(node) else self._matrices(weights)
            return "layer", words, [*reads]
        return "pointwise", self._with_numbers(node), direct

    def _matrices(self, weights: Iterable[str]) -> str:
        """The parameters that are matrices, as mathematics; all where none is."""
        leaves = {node.name: node for node in self.order if not node.args}
        shown = [w for w in weights if leaves[w].ndim > 1] or weights
        return f"${', '.join(leaves[w].latex() for w in shown)}$"

    def _with_numbers(self, node: Expr) -> str:
        """The symbol of an op, with the number that is its other operand: "1−", "×0.5"."""
        numbers = [None if a in self.below else _number(a) for a in node.args]
        if len(node.args) == 2 and numbers[0] is not None:
            return f"{numbers[0]}{_words(node)}"
        if len(node.args) == 2 and numbers[1] is not None:
            return f"{_words(node)}{numbers[1]}"
        return _words(node)

    def _seen(self, node: Expr) -> Expr:
        """A node without the ops that only give it another shape or dtype."""
        while node.op in _UNSEEN and node not in self.symbols:
            node = node.args[0]
        return node


def _is_activation(node: Expr) -> bool:
    return len(node.args) == 1 and node.op.pointwise and node.op not in _ARITHMETIC


def _words(node: Expr) -> str:
    return (node.op.symbol or node.op.name).replace("-", "−")


def _number(node: Expr) -> str | None:
    """A number that is the same everywhere, as text; None for a parameter or several numbers."""
    if mg.free_variables(node):
        return None
    value = node.eval()
    return f"{value.flat[0]:g}" if value.size and (value == value.flat[0]).all() else None


_V = mg.zeros((1, 1))
_CONCAT = mg.concat([_V, _V], 1).op
_SUMS = {mg.add.op, mg.subtract.op}
_ARITHMETIC = {mg.negative.op, mg.sqrt.op, mg.square.op, mg.abs.op, mg.astype(_V, "float32").op}
_UNSEEN = {
    mg.broadcast_to(mg.var("v"), (2,)).op,
    mg.reshape(mg.var("v"), (1,)).op,
    mg.astype(_V, "float32").op,
}
