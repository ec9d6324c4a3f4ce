"""Rewrites of loops: what makes a textbook's step as fast as one packed by hand.

Each pass is a function from output expressions to output expressions that compute the same; the
table LOOPS lists them by name, in the order in which they run, and each can be left out. None knows
of any cell: they see loops, matmuls, concatenations and sums.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from minigrad.errors import GraphError
from minigrad.graph.node import Expr
from minigrad.graph.walk import packed, walk
from minigrad.loop.body import Call
from minigrad.loop.node import SCAN
from minigrad.loop.passes.cuts import cut_concats, cut_products
from minigrad.loop.passes.frame import Pass, change_loops, everywhere, in_bodies
from minigrad.loop.passes.lookups import (
    add_rows_first,
    add_rows_of_weights,
    add_up_sums,
    multiply_tables,
)
from minigrad.loop.passes.masks import gather_masks
from minigrad.loop.passes.products import distribute, merge_products, merge_sums
from minigrad.loop.passes.prune import (
    drop_stops,
    drop_unused,
    merge_loops,
    read_inputs,
    take_last_carry,
)
from minigrad.loop.passes.slices import join_slices
from minigrad.loop.passes.steps import hoist, sink_sums
from minigrad.ops.custom import SCALE, STOP
from minigrad.ops.index import SCATTER
from minigrad.rewrite.rules import simplify_safely
from minigrad.types import as_items

__all__ = ["LOOPS", "optimise_loops"]

DROP_STOPS, JOIN_SLICES = "let go of stopped gradients", "sum of slices to one concat"
_WITHOUT_LOOPS = {DROP_STOPS: {STOP, SCALE}, JOIN_SLICES: {SCATTER}}
LOOPS: Mapping[str, Pass] = {
    DROP_STOPS: everywhere(drop_stops),
    "merge loops that differ in their outputs": merge_loops,
    "read the last output from the carry": take_last_carry,
    "drop what nobody reads": drop_unused,
    "simplify steps": in_bodies(lambda body, _: simplify_safely(body)),
    "read inputs where they come from": read_inputs,
    JOIN_SLICES: everywhere(join_slices),
    "one mask for a sum": in_bodies(gather_masks),
    "distribute matmul over concat": in_bodies(distribute),
    "sum of matmuls to one matmul": in_bodies(merge_sums),
    "add rows up before they are multiplied": add_rows_first,
    "cut a matmul to what is read": in_bodies(cut_products),
    "merge matmuls of one operand": in_bodies(merge_products),
    "compute before the loop": hoist,
    "multiply a table before it is read": multiply_tables,
    "sum after the loop": sink_sums,
    "add rows up that looked-up rows meet": add_rows_of_weights,
    "sum rows that are added up from their sums": add_up_sums,
    "drop what nobody reads, again": drop_unused,
    "cut a concat to what is read": cut_concats,
    "merge matmuls of one operand, outside": lambda outputs: merge_products(outputs, None),
}


def optimise_loops(
    outputs: Sequence[Expr], skip: Collection[str] = (), *, simplified: bool = False
) -> tuple[list[Expr], list[str]]:
    """The outputs with the passes of LOOPS applied, and the names of those that changed anything.

    simplified: whether `simplify_safely` gave the outputs, so that only what changes is looked at.

    In a graph without loops only stops are let go of, and sums of slices joined: what an unrolled
    net's gradient is full of. Raises GraphError for a name in `skip` that is none.
    """
    if isinstance(skip, str):
        raise GraphError(f"loop passes to leave out are given as a list: without=[{skip!r}]")
    skip = as_items(skip, "without")
    unknown = [name for name in skip if not isinstance(name, str) or name not in LOOPS]
    if unknown:
        raise GraphError(f"no loop pass {unknown[0]!r}; there are {', '.join(map(repr, LOOPS))}")
    current = list(outputs)
    fired: list[str] = []
    graph = packed(current)
    present = {*graph.ops}
    known: set[Expr] = set()
    looped = SCAN in present
    for name, run in LOOPS.items():
        if name in skip or not (looped or present & _WITHOUT_LOOPS.get(name, set())):
            continue
        changed = run(current)
        if any(a is not b for a, b in zip(changed, current, strict=True)):
            if simplified and not known:
                known.update(graph.nodes)
            fired.append(name)
            current = simplify_safely(changed, done=known)
            known.update(walk(current, lambda n: () if n in known else n.args))

    def within(call: Call, node: Expr) -> list[Expr] | None:
        outputs_within, more = optimise_loops(call.body.outputs, skip)
        fired.extend(name for name in more if name not in fired)
        return call.giving(outputs_within) if more else None

    return (change_loops(current, within) if looped else current), fired
