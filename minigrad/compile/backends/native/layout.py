"""Where a step's values lie: which are parts of others, and between which stages each is needed.

A part of a concatenation is written where the whole lies, so it shares the whole's memory; the
largest such whole is the root of all that lies in it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from minigrad.compile.backends.native.stages import Schedule, source
from minigrad.graph.node import Expr
from minigrad.ops.index import Spec, all_of
from minigrad.ops.shape import CONCAT, concat_bounds
from minigrad.types import TensorType


@dataclass(slots=True)
class Layout:
    """For each stage, the roots whose memory is needed from it on, and after it no more."""

    starts: list[list[Expr]]
    ends: list[list[Expr]]
    wholes: dict[Expr, list[Expr]]
    """The concatenations that lie in a root's memory, each before those that are parts of it."""
    inside: dict[Expr, tuple[Expr, Spec]]
    """What is written as a part of a concatenation at once, and where."""
    computed: Collection[Expr]
    """All that stages compute."""


def parts(whole: Expr) -> list[tuple[Expr, Spec]]:
    """The operands of a concatenation, and where in it they lie."""
    (axis,) = whole.attrs
    pieces = []
    for part, start in zip(whole.args, concat_bounds(whole), strict=False):
        spec = list(all_of(part.shape))
        spec[axis] = ("s", start, part.shape[axis], 1)
        pieces.append((part, tuple(spec)))
    return pieces


def lay_out(plan: Schedule, outputs: Sequence[Expr], placed: Collection[Expr]) -> Layout:
    """The layout of a step. placed: what is written to a place that is given, and so needs none."""
    at = {n: k for k, stage in enumerate(plan.stages) for n in stage.nodes}
    wholes = [n for n in reversed(at) if n.op is CONCAT]  # users first
    root = {n: n for n in at}
    inside: dict[Expr, tuple[Expr, Spec]] = {}
    for whole in wholes:
        for part, spec in parts(whole):
            if part in at and part not in inside and part not in placed:
                inside[part] = whole, spec
                root[part] = root[whole]
    first = {r: len(plan.stages) for r in root.values()}
    last = dict.fromkeys(first, -1)
    for n, k in at.items():
        writers = [n, *n.args] if n.op is CONCAT else [n]
        first[root[n]] = min(first[root[n]], *(at.get(w, k) for w in writers))
        for read in (n, *(s for a in n.args if (s := source(a)) in at)):
            last[root[read]] = max(last[root[read]], k)
    for output in outputs:
        if source(output) in at:
            last[root[source(output)]] = len(plan.stages)
    layout = Layout([[] for _ in plan.stages], [[] for _ in plan.stages], {}, inside, at.keys())
    for whole in wholes:
        layout.wholes.setdefault(root[whole], []).append(whole)
    for r, k in first.items():
        if r in placed or not (r in plan.in_memory or r.op is CONCAT):
            continue
        layout.starts[k].append(r)
        if last[r] < len(plan.stages):
            layout.ends[last[r]].append(r)
    return layout


def bytes_of(type_: TensorType, elements: int | None = None) -> int:
    """The memory of a tensor, or of so many elements of its kind."""
    return (type_.size if elements is None else elements) * type_.dtype.itemsize
