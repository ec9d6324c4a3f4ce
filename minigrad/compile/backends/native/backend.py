"""The native backend: which parts of a graph run as machine code, and what runs on NumPy instead.

Everything between two ops that are NumPy's is one block, loops included: one call. Large matrix
products are left to BLAS.
"""

from __future__ import annotations

import functools
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from minigrad.compile.backends.cost import estimate
from minigrad.compile.backends.native.callbacks import is_called_back
from minigrad.compile.backends.native.called import with_callbacks
from minigrad.compile.backends.native.interpreter import (
    INTERPRETED,
    Interpreted,
    with_interpreted,
)
from minigrad.compile.backends.native.lower import lower
from minigrad.compile.backends.native.params import NativeParams
from minigrad.compile.backends.native.pointwise import ELEMENTARY
from minigrad.compile.backends.native.program import Compiled, Program, alone
from minigrad.compile.backends.native.stages import computed, is_view, source
from minigrad.compile.backends.native.support import check_node
from minigrad.compile.backends.native.views import UnsupportedError
from minigrad.compile.backends.numpy import Runner, compile_plan
from minigrad.compile.backends.registry import Backend, Caller, Options
from minigrad.compile.plan import Plan
from minigrad.errors import GraphError
from minigrad.graph.node import Expr, make, rebuild
from minigrad.graph.numpy_call import numpy_call
from minigrad.graph.walk import substitute, toposort, walk
from minigrad.loop.body import Body, body_var
from minigrad.loop.node import BLOCK, SCAN
from minigrad.ops.core import uniform_value
from minigrad.ops.linalg import MATMUL
from minigrad.ops.tuples import ITEM, item
from minigrad.types import TensorType, TupleType

# A call of a block (10 µs) costs about this many calls of NumPy, or elements of a NumPy call.
CALL_OPS, CALL_ELEMENTS = 8, 8_000
# Multiplications from which a product outside a loop is left to BLAS: ours reaches 104 GFLOP/s for
# its 95 at 192×6400×512, 91 for 107 at 512×6400×1024.
BLAS = 1 << 30

# Nodes of a block, since LLVM takes more than twice as long for twice as much. An RNN unrolled over
# 100 steps (1,600 nodes) compiles in 6.3 s as one block, which runs 0.15 ms; in 4.5 s as three,
# which run 0.5 ms.
LARGEST = 2000

# Ops that `auto` makes code for, those of loops' bodies included, at 1 to 4 ms each: of one body,
# and of a graph, where blocks with loops come first.
AUTO_BODY, AUTO_GRAPH = 2000, 8000

# Blocks whose code outlives the functions that run it: who makes a model anew, evaluates it or goes
# on with its training compiles graphs that are equal to those before.
RECENT = 8


class Native(Backend):
    """One function's use of the backend; `notes` says what did not qualify, and why."""

    name = "native"

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self.threads = _threads() if options.threads is None else options.threads
        self._programs: dict[Expr, Program] = {}

    def prepare(self, outputs: Sequence[Expr]) -> list[Expr]:
        """The graph with blocks in the place of what they compute."""
        return _with_blocks(with_interpreted(with_callbacks(lower(outputs))), self)

    def compile(self, plan: Plan) -> Runner:
        """The plan with its params in machine code too."""
        return compile_plan(plan, call_of=self.call, params=NativeParams)

    def caller(self, plan: Plan) -> Caller:
        """The plan, or its program alone where that is all, for values that need not be changed."""
        whole = super().caller(plan)
        program = self._programs.get(plan.steps[0].node) if len(plan.steps) == 1 else None
        return (program and alone(plan, program, whole)) or whole

    def call(self, node: Expr) -> Callable[..., Any]:
        """What computes a node of a prepared graph."""
        code = self._code(node)
        if code is None:
            return numpy_call(node)
        self.scratch += code.scratch
        program = self._programs[node] = Program(code, node)
        return program

    def _code(self, node: Expr) -> Compiled | Interpreted | None:
        if node.op is INTERPRETED:
            code: Interpreted = node.attrs[0]
            return code
        return self.block(node.attrs[0]) if node.op is BLOCK else None

    def label(self, node: Expr) -> str:
        """What a report calls a node of a prepared graph."""
        if is_view(node):
            return node.op.name
        code = self._code(node)
        if code is None:
            return f"{node.op.name}, on numpy"
        if isinstance(code, Interpreted):
            return f"{code.ops:,} small ops, interpreted"
        calls = sorted({n.op.name for n in computed([node]) if is_called_back(n)})
        return ", ".join(
            [
                "block",
                *[f"in {code.threads} threads"] * (code.threads > 1),
                *[f"which calls numpy for {' and '.join(calls)}"] * bool(calls),
            ]
        )

    def has_code(self, node: Expr) -> bool:
        """Whether a node is a block, or is interpreted."""
        return node.op is BLOCK or node.op is INTERPRETED

    def _is_for_blas(self, node: Expr) -> bool:
        return node.op is MATMUL and node.size * node.args[0].shape[-1] >= BLAS

    def qualifies(self, node: Expr) -> bool:
        """Whether a node may be part of a block."""
        if node.op is not SCAN and (isinstance(node.type, TupleType) or node.size == 0):
            return False
        return not self._is_for_blas(node) and self._has_code(node)

    def _has_code(self, node: Expr) -> bool:
        if node.op is SCAN and self.options.auto and _size([node]) > AUTO_BODY:
            self.note("a loop", f"its {_size([node])} ops would take long to compile")
            return False
        try:
            check_node(node)
        except UnsupportedError as reason:
            if node.op is SCAN:
                self.note("a loop", f"{reason} has no native code")
            return False
        return True

    def block(self, body: Body) -> Compiled | None:
        """A block's code. It is kept with the body, so that it is made once in a process."""
        key = ("native", self.threads)
        if key not in body.derived:
            try:
                body.derived[key] = Compiled(body, self.threads)
            except UnsupportedError as reason:
                body.derived[key] = str(reason)
        outcome = body.derived[key]
        if isinstance(outcome, Compiled):
            keep(body)
            return outcome
        self.note("a block", f"{outcome} has no native code")
        return None

    def note(self, what: str, reason: str) -> None:
        """Something runs on NumPy, for this reason."""
        said = f"{what} runs on numpy: {reason}"
        if said not in self.notes:
            self.notes.append(said)


@functools.lru_cache(maxsize=RECENT)
def keep(body: Body) -> Body:
    """Hold the bodies that were asked for last, and with them their code."""
    return body


def _threads() -> int:
    """MINIGRAD_THREADS, or as many as there are CPUs for this process."""
    setting = os.environ.get("MINIGRAD_THREADS", "")
    if setting:
        if not (setting.isascii() and setting.isdigit() and int(setting)):
            raise GraphError(f"MINIGRAD_THREADS must be a positive number, not {setting!r}")
        return int(setting)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


# --- blocks ------------------------------------------------------------------------------------

Blocks = dict[Expr, tuple[tuple[Expr, ...], Body, int]]
"""For each node that others read: what its block reads, the block's body, and its place there."""


def _with_blocks(outputs: Sequence[Expr], native: Native) -> list[Expr]:
    blocks: Blocks = {}
    order = toposort(outputs)
    # What the function gives out is written as it is given out; all else is read through views.
    output_sources = dict.fromkeys(o if uniform_value(o) is None else source(o) for o in outputs)
    readers: dict[Expr, list[Expr]] = {}
    for n in order:
        if not is_view(n):
            for a in n.args:
                readers.setdefault(source(a), []).append(n)
    for nodes in _affordable(_levels(order, readers, native).values(), native):
        blocks |= _block(nodes, output_sources, readers, native)
    reads = walk(outputs, lambda n: blocks[n][0] if n in blocks else n.args)
    new: dict[Expr, Expr] = {}
    for node, needs in reads.items():
        args = tuple([new[a] for a in needs])
        if node in blocks:
            _, body, k = blocks[node]
            new[node] = item(make(BLOCK, args, (body,)), k)
        else:
            new[node] = rebuild(node, args)
    return [new[o] for o in outputs]


def _levels(
    order: Sequence[Expr], readers: Mapping[Expr, Sequence[Expr]], native: Native
) -> dict[tuple[int, int], list[Expr]]:
    """What can be one block once the blocks before it have run.

    What NumPy computes of the inputs alone, such as random numbers of a key, waits for no block, so
    that what reads it is part of the first one.
    """
    level: dict[Expr, int] = {}
    inside: dict[Expr, bool] = {}
    for node in order:
        if not node.args or uniform_value(node) is not None:
            level[node], inside[node] = -1, True
        elif is_view(node):
            level[node], inside[node] = level[node.args[0]], inside[node.args[0]]
        else:
            followed = node.op is ITEM and inside[node.args[0]]
            inside[node] = followed or native.qualifies(node)
            before = [level[a] + (inside[node] and not inside[a]) for a in node.args]
            level[node] = max(0 if inside[node] else -1, *before)
    computed = [n for n in order if n.args and uniform_value(n) is None and not is_view(n)]
    blocks = [n for n in computed if inside[n]]
    _put_off(blocks, level, readers)
    members: dict[tuple[int, int], list[Expr]] = {}
    place: dict[Expr, tuple[int, int]] = {}
    sizes: Counter[int] = Counter()
    for node in blocks:
        at = level[node]
        followed = node.op is ITEM
        place[node] = place[node.args[0]] if followed else (at, sizes[at] // LARGEST)
        sizes[at] += 1
        members.setdefault(place[node], []).append(node)
    return members


def _put_off(
    blocks: Sequence[Expr], level: dict[Expr, int], readers: Mapping[Expr, Sequence[Expr]]
) -> None:
    """Leave what only later blocks read to the first of them, where no more goes between blocks.

    Most of an optimiser's work reads params alone, so that all of it could be done early: of a
    training step with one op on NumPy, 90 arrays went from one block to the other.
    """
    inside = set(blocks)
    goes_out = {
        n for n in blocks
        if any(r not in inside or level[r] > level[n] for r in readers.get(n, ()))
    }  # fmt: skip
    for node in reversed(blocks):
        users = readers.get(node, ())
        if not users or node.op is SCAN or node.op is ITEM:
            continue
        last = min(level[r] for r in users)
        here = {a for a in map(source, node.args) if a in inside and level[a] == level[node]}
        # What nothing else reads here is put off as well.
        more = sum(a.size for a in here - goes_out if not all(r is node for r in readers[a]))
        if last > level[node] and more <= node.size:
            level[node] = last
            goes_out |= here


def _affordable(levels: Iterable[list[Expr]], native: Native) -> list[list[Expr]]:
    """The blocks that pay; where `auto` chose the backend, as many as compile in some seconds."""
    if not native.options.auto:
        return [nodes for nodes in levels if _gain(nodes) > 1]
    left, taken = AUTO_GRAPH, []
    for nodes in sorted(levels, key=_gain, reverse=True):
        size = _size(nodes)
        if not _has_loop(nodes):
            cost = estimate(nodes)
            native.choices.append(f"{size} ops: {cost}")
            if not cost.pays:
                continue
        if size <= left:
            left -= size
            taken.append(nodes)
        else:
            native.note("a block", f"its {size} ops would take long to compile")
    return taken


def _has_loop(nodes: Iterable[Expr]) -> bool:
    return any(n.op is SCAN for n in nodes)


def _size(nodes: Iterable[Expr]) -> int:
    """How many ops there is code to be made for, those of loops' bodies included."""
    return sum(1 for _ in computed(nodes))


def _gain(nodes: Sequence[Expr]) -> float:
    """What a block saves, in calls of a block."""
    if _has_loop(nodes):
        return float("inf")
    if len(nodes) == 1 and nodes[0].op not in ELEMENTARY:
        return 0.0
    return len(nodes) / CALL_OPS + sum(n.size for n in nodes) / CALL_ELEMENTS


def _block(
    nodes: Sequence[Expr],
    output_sources: Collection[Expr],
    readers: Mapping[Expr, Sequence[Expr]],
    native: Native,
) -> Blocks:
    inside = set(nodes)
    results = [g for g in output_sources if source(g) in inside]
    known = set(results)
    results += [
        n for n in nodes
        if n not in known
        and isinstance(n.type, TensorType)
        and any(r not in inside for r in readers.get(n, ()))
    ]  # fmt: skip
    sources = dict.fromkeys(source(a) for n in nodes for a in n.args)
    outside = [s for s in sources if s not in inside]
    inputs = [s for s in outside if uniform_value(s) is None]
    if _has_loop(nodes):
        inputs = inputs or outside[:1]  # a step of a plan reads something
    if not inputs:
        return {}  # what depends on nothing is small
    variables = [body_var(k, "const", s.type) for k, s in enumerate(inputs)]
    inner = substitute(results, dict(zip(inputs, variables, strict=True)))
    body = Body(variables, inner, 0, 0)
    if native.block(body) is None:
        return {}
    return {n: (tuple(inputs), body, k) for k, n in enumerate(results)}
