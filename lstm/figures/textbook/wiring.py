"""A step of a cell as the textbook draws it: layers, pointwise ops, and the vectors between them.

All of it is read from the graph of the cell's equations; no letter has a meaning here. Where things
stand on paper is not said here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import minigrad as mg
from lstm.cells import Cell
from lstm.cells.anatomy import anatomy
from minigrad import Expr

Wire = tuple[str, str]
"""(from, to), by names of boxes."""
Kind = Literal["layer", "pointwise", "merge", "before", "input", "after", "output"]
"""A merge is a concatenation; the last four are the ends of a step: the state before it, what it
reads, the state after it, and what leaves the cell."""
INNER = ("layer", "pointwise", "merge")
X, OUT = "x", "out"
BEFORE, AFTER = "_before", "_after"


@dataclass(frozen=True)
class Box:
    """What vectors come from or go to."""

    name: str
    """The symbol of its value, or its way down from one: "C.0" is the first argument of C; of the
    ends "h_before", "x", "h_after", "out". Where another box has that name, it has a ′ more."""
    kind: Kind
    words: str
    """What stands in it: σ, ×; of a layer without an activation its matrix, as mathematics between
    dollars; of an end the symbol."""
    node: Expr
    symbol: str = ""
    """The value that it is, or lies below; "" of ends, and of merges of our own."""
    way: tuple[int, ...] = ()
    """Its way down from there: which argument, step by step."""

    @property
    def spelled(self) -> str:
        """The symbol and the way down: "C.0"."""
        return ".".join([self.symbol, *map(str, self.way)])

    def within(self, values: Mapping[str, Expr]) -> Expr:
        """The same node among other values of the same equations."""
        node = values[self.symbol]
        for k in self.way:
            node = node.args[k]
        return node


@dataclass(frozen=True)
class Wiring:
    """Boxes by name, in an order in which each comes after what it reads, and the wires."""

    boxes: Mapping[str, Box]
    wires: tuple[Wire, ...]
    """Of one box in the order of its arguments."""
    lasting: str | None
    """The part of the state that is the cell's line; None without one."""

    @cached_property
    def symbols(self) -> dict[str, str]:
        """Of each box whose value has a symbol in the equations, that symbol."""
        return {name: b.symbol for name, b in self.boxes.items() if b.symbol and not b.way}

    def equation(self, name: str) -> set[str]:
        """The boxes of what a box computes: itself, and all that leads to it from values that have
        symbols, and from the ends."""
        boxes, stack = {name}, [name]
        while stack:
            for a in self.inputs[stack.pop()]:
                if a not in boxes and a not in self.symbols and self.boxes[a].kind in INNER:
                    boxes.add(a)
                    stack.append(a)
        return boxes

    def way(self, start: str, end: str) -> list[str]:
        """The shortest way from one box to another that takes pointwise ops, both included; empty
        where there is none."""
        ways = {start: [start]}
        queue = [start]
        for name in queue:
            for b in self.outputs[name]:
                if b not in ways and (b == end or self.boxes[b].kind == "pointwise"):
                    ways[b] = [*ways[name], b]
                    queue.append(b)
        return ways.get(end, [])

    @cached_property
    def line(self) -> tuple[str, ...]:
        """The boxes that the lasting part of the state passes, its ends too; none without one."""
        if self.lasting is None:
            return ()
        return tuple(self.way(f"{self.lasting}{BEFORE}", f"{self.lasting}{AFTER}"))

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
    step = _Step(cell)
    values, parts = step.values, list(cell.state_type._fields)
    made, reads = step.boxes(values[part] for part in parts)
    names = {box.node: box.name for box in made}
    inputs = {box.name: [names[a] for a in reads.get(box.node, ())] for box in made}
    made = _joined(made, inputs)
    wires = [(a, box.name) for box in made for a in inputs[box.name]]
    ends = [Box(f"{part}{AFTER}", "after", part, values[part]) for part in parts]
    ends.append(Box(OUT, "output", cell.output, values[cell.output]))
    wires += [(names[end.node], end.name) for end in ends]
    boxes = {box.name: box for box in [*made, *ends]}
    line = anatomy(cell).line
    return Wiring(boxes, tuple(wires), None if line is None else line.symbol)


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


class _Step:
    """The nodes of a step, and which of them are boxes."""

    def __init__(self, cell: Cell[Any]) -> None:
        params, state, x = cell.variables(BEFORE)
        self.values = values = cell.compute(params, state, x)
        self.order = mg.toposort([*values.values()])
        self.symbols = {v: symbol for symbol, v in reversed([*values.items()])}
        before = state._asdict()
        ends = [Box(f"{part}{BEFORE}", "before", part, v) for part, v in before.items()]
        ends.append(Box(X, "input", X, x))
        used = set(self.order)
        self.ends = {end.node: end for end in ends if end.node in used}
        self.taken = {X, OUT, *(f"{part}{end}" for part in before for end in (BEFORE, AFTER))}
        """Names that ends have, whatever the equations call their values."""
        self.below: dict[Expr, dict[Expr, None]] = {}
        """Of what depends on the state or the input: the boxes that it reads, in order."""
        self.weights: dict[Expr, dict[Expr, None]] = {}
        """The parameters that it meets on the way to them."""
        self.joint: set[Expr] = set()
        """What joins different vectors otherwise than a sum does: a gate's product."""
        for node in self.order:
            self._look(node)

    def _look(self, node: Expr) -> None:
        """What a layer that holds the node reads by it: all between is linear, or normalises."""
        weights: dict[Expr, None] = {}
        sources = []
        for a in node.args:
            if a not in self.below:
                weights |= dict.fromkeys(mg.free_variables(a))
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
        ways = self._ways()
        made = [n for n in self.order if n in drawn or n in self.ends]
        boxes = [self.ends.get(n) or Box("", *drawn[n], n, *ways[n]) for n in made]
        return [box if box.name else self._named(box) for box in boxes], reads

    def _named(self, box: Box) -> Box:
        """A box with a name that no other has."""
        name = box.spelled
        while name in self.taken:
            name += "′"
        self.taken.add(name)
        return replace(box, name=name)

    def _ways(self) -> dict[Expr, tuple[str, tuple[int, ...]]]:
        """Of each node its symbol, or its way down from the first value that reads it."""
        ways: dict[Expr, tuple[str, tuple[int, ...]]]
        ways = {v: (symbol, ()) for v, symbol in self.symbols.items()}
        for value in [v for v in self.order if v in self.symbols]:
            stack = [value]
            while stack:
                user = stack.pop()
                symbol, way = ways[user]
                for k, a in enumerate(user.args):
                    if a in self.below and a not in ways:
                        ways[a] = symbol, (*way, k)
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

    def _matrices(self, weights: Collection[Expr]) -> str:
        """The parameters that are matrices, as mathematics; all where none is."""
        shown = [w for w in weights if w.ndim > 1] or weights
        return f"${', '.join(w.latex() for w in shown)}$"

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
