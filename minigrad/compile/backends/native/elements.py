"""A graph of small tensors as a stream of instructions on their elements; see instructions.py.

A tensor is an array of the rows that compute its elements, so that whatever only moves elements
(a reshape, a slice) is done to these arrays, once, and costs nothing when the stream runs. Rows of
one op that wait for nothing but earlier ones become one instruction: then the CPU rarely has to
guess what comes next, which takes five times as long as an addition.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minigrad.compile.backends.native.instructions import END, DType, Instruction
from minigrad.compile.backends.native.memory import ALIGN
from minigrad.compile.backends.native.pointwise import NARROW, check
from minigrad.compile.backends.native.stages import is_elementwise
from minigrad.compile.backends.native.views import UnsupportedError
from minigrad.graph.leaves import CONST
from minigrad.graph.node import Expr, Op
from minigrad.graph.walk import Packed
from minigrad.ops.arithmetic import add, multiply
from minigrad.ops.choice import maximum, minimum
from minigrad.ops.core import SUM, uniform_value
from minigrad.ops.index import SCATTER
from minigrad.ops.linalg import MATMUL
from minigrad.ops.reduce import MAX, MIN
from minigrad.ops.shape import CONCAT
from minigrad.types import BOOL, FLOAT32, FLOAT64, INT64, Array

JOINED = {SUM: add.op, MAX: maximum.op, MIN: minimum.op, MATMUL: add.op}
"""By what the elements that these ops read become one."""

MOVED = {CONCAT, SCATTER}
"""What puts elements in other places, views aside."""

LAST = 1 << 40  # what waits for everything

RUN = 100
"""How many ops of scalars there are to each other op where they are taken at once."""


@dataclass(frozen=True, slots=True)
class Stream:
    """What runs: 32-bit numbers, what instructions they name, and the memory to start with."""

    numbers: Array
    instructions: list[Instruction]
    memory: Array
    """Bytes; the first cache line is nobody's."""


def stream_of(
    graph: Packed, places: Array, inputs: Sequence[Expr], results: Sequence[Expr]
) -> Stream:
    """The stream that computes nodes of arrays of the inputs, and writes arrays of the results.

    places: those of ops in the graph, for which `is_known` holds, arguments before users. What they
    read besides is an input, a constant, or a view of something.
    """
    rows = _Rows()
    for k, node in enumerate(inputs):
        rows.load(node, k)
    rows.compute(graph, places, results)
    for k, node in enumerate(results):
        rows.store(node, len(inputs) + k)
    return rows.stream()


def is_known(node: Expr) -> bool:
    """Whether a node can be part of a stream."""
    if not NARROW.isdisjoint({node.dtype, *[a.dtype for a in node.args]}):
        return False
    if is_elementwise(node):
        try:
            check(node)
        except UnsupportedError:
            return False
        return True
    if node.op in JOINED:  # of nothing there is no element to begin with
        return node.dtype in (FLOAT32, FLOAT64) and all(a.size for a in node.args)
    moved = node.op in MOVED and (node.op is CONCAT or len(node.args) == 1)
    return moved and node.dtype in (FLOAT32, FLOAT64, BOOL, INT64)


class _Rows:
    """A row for each element: its instruction, how long it waits, and its operands' rows."""

    def __init__(self) -> None:
        self._instructions: dict[Instruction, int] = {}
        self._codes: list[int] = []
        self._levels: list[int] = []
        self._operands: tuple[list[int], ...] = ([], [], [])
        self._of: dict[Expr, Any] = {}  # the row of a scalar, or an array of rows
        self._known: dict[tuple[Any, ...], int] = {}  # instructions by what asks for them
        self._numbers: dict[tuple[DType, bytes], int] = {}

    def load(self, node: Expr, array: int) -> None:
        """Rows that read a node from an array."""
        instruction, places = Instruction("load", (), node.dtype), range(node.size)
        rows = self._added(instruction, 0, [array] * node.size, places)
        self._of[node] = rows.reshape(node.shape) if node.shape else int(rows[0])

    def store(self, node: Expr, array: int) -> None:
        """Rows that write a node to an array."""
        instruction, rows = Instruction("store", (), node.dtype), np.ravel(self._found(node))
        self._added(instruction, LAST, [array] * node.size, range(node.size), rows.tolist())

    def compute(self, graph: Packed, places: Array, results: Sequence[Expr]) -> None:
        """Rows that compute nodes, arguments before users.

        Runs of elementwise ops of scalars are taken at once, where they are long: in a third of the
        time. Of nets of scalars they are all but what puts a gradient together.
        """
        some, kinds = graph.kinds
        scalar = np.array([is_elementwise(n) and not n.shape for n in some])[kinds]
        others = np.flatnonzero(~scalar[places]).tolist()
        if len(others) * RUN > len(places):
            self._compute_each([graph.nodes[k] for k in places.tolist()])
            return
        asked = np.zeros(len(scalar), np.bool_)  # what is read by others than runs
        asked[graph.reads[~scalar[graph.users]]] = True
        asked[[graph.place[r] for r in results]] = True
        row = np.full(len(scalar), -1)
        start = 0
        for end in [*others, len(places)]:
            self._compute_run(graph, places[start:end], row, asked)
            self._compute_each([graph.nodes[k] for k in places[end : end + 1].tolist()])
            start = end + 1

    def _compute_run(self, graph: Packed, places: Array, row: Array, asked: Array) -> None:
        """Rows that compute elementwise ops of scalars.

        row: the rows of runs so far, by places in the graph; what they read besides is put there.
        asked: whether a node's row is asked for by others than runs.
        """
        row[places] = 0  # to be
        starts, last = graph.starts[places], graph.counts[places] - 1
        reads = [graph.reads[starts + np.minimum(last, j)] for j in range(3)]
        read = np.concatenate(reads)
        for k in np.unique(read[row[read] < 0]).tolist():
            row[k] = self._found(graph.nodes[k])
        row[places] = len(self._codes) + np.arange(len(places))
        some, kinds = graph.kinds
        kind = kinds[places]
        code = np.zeros(len(some), np.int64)
        present = np.unique(kind).tolist()
        code[present] = [self._code(_instruction(some[k])) for k in present]
        self._codes += code[kind].tolist()
        columns = [row[places].tolist() for places in reads]
        for column, more in zip(self._operands, columns, strict=True):
            column += more
        levels = self._levels
        for a, b, c in zip(*columns, strict=True):  # a loop, as one waits for the other
            level = levels[a]
            if (other := levels[b]) > level:
                level = other
            if (other := levels[c]) > level:
                level = other
            levels.append(level + 1)
        for k in places[asked[places]].tolist():
            self._of[graph.nodes[k]] = int(row[k])

    def _compute_each(self, nodes: Iterable[Expr]) -> None:
        """Rows that compute nodes, arguments before users."""
        of, levels, known = self._of, self._levels, self._known
        first, second, third = self._operands
        for node in nodes:
            args = node.args
            try:
                operands = [of[a] for a in args]
            except KeyError:
                operands = [self._found(a) for a in args]
            key = (node.op, node.type, args[-1].type)
            code = known.get(key)
            if code is None:
                of_one = is_elementwise(node) and not node.shape
                code = known[key] = self._code(_instruction(node)) if of_one else -1
            if code < 0:
                rows = self._computed(node, [np.asarray(rows) for rows in operands])
                of[node] = rows if node.shape else int(rows)
                continue
            # A scalar; spelled out by its operands, which takes half of the time of a list of them.
            of[node] = len(levels)
            self._codes.append(code)
            a, b, c = operands[0], 0, 0
            level = levels[a]
            if len(operands) > 1:
                b = operands[1]
                level = max(level, levels[b])
                if len(operands) > 2:
                    c = operands[2]
                    level = max(level, levels[c])
            levels.append(level + 1)
            first.append(a)
            second.append(b)
            third.append(c)

    def _computed(self, node: Expr, operands: list[Array]) -> Array:
        if is_elementwise(node):
            return self._applied(_instruction(node), operands)
        if node.op is MATMUL:
            a, b = operands
            a, b = a[..., :, :, None], b[..., None, :, :]
            both = Instruction(multiply.op, (node.dtype,) * 2, node.dtype)
            return self._joined(node, self._applied(both, [*np.broadcast_arrays(a, b)]), (-2,))
        if node.op in JOINED:
            return self._joined(node, operands[0], node.attrs[0])
        if node.op is SCATTER:  # among zeros
            zero = self._constant(np.zeros((), node.dtype))
            among: Array = SCATTER.numpy(operands[0] - zero, *node.attrs)
            return among + zero
        return np.asarray(node.op.numpy(*operands, *node.attrs))

    def _joined(self, node: Expr, rows: Array, axes: Sequence[int]) -> Array:
        """Elements along axes added up, or the like, in pairs, pairs of pairs and so on."""
        instruction = Instruction(JOINED[node.op], (node.dtype,) * 2, node.dtype)
        rows = np.moveaxis(rows, axes, range(len(axes))).reshape(-1, *node.shape)
        while len(rows) > 1:
            half = len(rows) // 2
            pairs = self._applied(instruction, [rows[:half], rows[half : 2 * half]])
            rows = np.concatenate([pairs, rows[2 * half :]])
        return np.asarray(rows[0])

    def _applied(self, instruction: Instruction, operands: Sequence[Array]) -> Array:
        """Rows of an instruction of arrays of rows, of one shape."""
        listed = [np.ravel(rows).tolist() for rows in operands]
        level = 1 + max([self._levels[row] for rows in listed for row in rows])
        return self._added(instruction, level, *listed).reshape(operands[0].shape)

    def _added(self, instruction: Instruction, level: int, *operands: Sequence[int]) -> Array:
        count, first = len(operands[0]), len(self._codes)
        self._codes += [self._code(instruction)] * count
        self._levels += [level] * count
        for j, column in enumerate(self._operands):
            column += operands[j] if j < len(operands) else [0] * count
        return np.arange(first, first + count)

    def _code(self, instruction: Instruction) -> int:
        return self._instructions.setdefault(instruction, len(self._instructions))

    def _found(self, node: Expr) -> Any:
        """Rows of what is known, of a constant, or of what is a view of either."""
        chain = []
        while node not in self._of:
            value = uniform_value(node)
            if value is not None:
                row = self._constant(np.array(value, node.dtype))
                self._of[node] = np.full(node.shape, row) if node.shape else row
            elif node.op is CONST:
                constants = [self._constant(x) for x in np.ravel(node.value)]
                self._of[node] = np.array(constants, np.int64).reshape(node.shape)
            else:
                chain.append(node)
                node = node.args[0]
        for view in reversed(chain):
            rows = view.op.numpy(np.asarray(self._of[view.args[0]]), *view.attrs)
            self._of[view] = rows if view.shape else int(rows)
            node = view
        return self._of[node]

    def _constant(self, value: Array) -> int:
        key = (value.dtype, value.tobytes())
        if key not in self._numbers:
            self._numbers[key] = len(self._codes)
            self._codes.append(self._code(Instruction("constant", (), value.dtype)))
            self._levels.append(-1)
            for column in self._operands:
                column.append(0)
        return self._numbers[key]

    # --- the stream ---

    def stream(self) -> Stream:
        """All rows, sorted by how long they wait and by what they do."""
        codes, levels = np.array(self._codes), np.array(self._levels)
        instructions = list(self._instructions)
        order = np.lexsort((codes, levels))
        place, memory = self._placed(codes, order, instructions)
        for (_, bits), row in self._numbers.items():
            start = int(place[row]) * len(bits)
            memory[start : start + len(bits)] = np.frombuffer(bits, np.uint8)
        runs = order[len(self._numbers) :]
        return Stream(*self._written(codes, levels, runs, place, instructions), memory)

    def _placed(
        self, codes: Array, order: Array, instructions: Sequence[Instruction]
    ) -> tuple[Array, Array]:
        """Where each row's result lies, in elements of its dtype; and memory for them all."""
        place = np.zeros(len(codes), np.int64)
        end = ALIGN
        in_memory = [i for i in instructions if i.op != "store"]
        for dtype in dict.fromkeys(i.writes for i in in_memory):
            wanted = [i in in_memory and i.writes == dtype for i in instructions]
            rows = order[np.array(wanted)[codes[order]]]
            first = end // dtype.itemsize
            place[rows] = np.arange(first, first + len(rows))
            end += -(-len(rows) * dtype.itemsize // ALIGN) * ALIGN
        return place, np.zeros(end, np.uint8)

    def _written(
        self,
        codes: Array,
        levels: Array,
        order: Array,
        place: Array,
        instructions: Sequence[Instruction],
    ) -> tuple[Array, list[Instruction]]:
        """The stream's numbers, of rows in the order in which they run, and what they name."""
        code, level = codes[order], levels[order]
        starts = np.flatnonzero(np.r_[True, (np.diff(code) != 0) | (np.diff(level) != 0)])
        counts = np.diff(np.r_[starts, len(order)])
        alone = counts == 1
        handed = self._handed(order[starts], alone, instructions)
        ways = 4 * code[starts] + np.where(alone, 1 + handed, 0)
        named, which = np.unique(ways, return_inverse=True)
        head, arity = np.where(alone, 2, 3), np.array([i.operands for i in instructions])
        lengths = head + arity[code[starts]] * counts
        ends = np.cumsum(lengths)
        heads = ends - lengths
        numbers = np.empty(int(ends[-1]) + 1, np.int32)
        numbers[-1] = len(named)  # the end
        numbers[heads] = which
        numbers[heads + 1] = counts
        numbers[heads + head - 1] = place[order[starts]]
        # where a row's first operand stands, and how far apart its operands are
        at = np.repeat(heads + head - starts, counts) + np.arange(len(order))
        apart = np.repeat(counts, counts)
        raw = np.array([isinstance(i.op, str) for i in instructions])[code]
        for j, column in enumerate(self._operands):
            having = np.flatnonzero(arity[code] > j)
            values, rows = np.array(column)[order][having], raw[having] & (j < 2)
            numbers[(at + j * apart)[having]] = np.where(rows, values, place[values * ~rows])
        present = []
        for k in named.tolist():
            way = {} if not k % 4 else {"alone": True, "handed": (None, 0, 1)[k % 4 - 1]}
            present.append(instructions[k // 4]._replace(**way))
        return numbers, [*present, END]

    def _handed(self, first: Array, alone: Array, instructions: Sequence[Instruction]) -> Array:
        """For runs, by their first rows: 1 or 2 where an operand, the first or the second, is what
        the run before has computed alone, a float64; or else 0."""
        codes = np.array(self._codes)[first]
        doubles = np.array([isinstance(i.op, Op) and i.writes == FLOAT64 for i in instructions])
        ready = alone[:-1] & doubles[codes[:-1]]
        handed = np.zeros(len(first), np.int64)
        for j in (1, 0):
            takes = np.array([isinstance(i.op, Op) and i.operands > j for i in instructions])
            same = np.array(self._operands[j])[first[1:]] == first[:-1]
            handed[1:][ready & alone[1:] & takes[codes[1:]] & same] = j + 1
        return handed


def _instruction(node: Expr) -> Instruction:
    return Instruction(node.op, tuple([a.dtype for a in node.args]), node.dtype)
