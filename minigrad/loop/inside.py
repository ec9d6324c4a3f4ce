"""What a loop tells of its steps: which nodes they have, and what stands for a user's nodes."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass

from minigrad.derivatives.sweep import Crossing, Reach
from minigrad.graph.node import Expr
from minigrad.graph.places import note_images
from minigrad.graph.walk import first_where, map_graph, walk
from minigrad.lazy import lazy
from minigrad.loop.body import Body, Call, Loop
from minigrad.loop.reach import reach_of_steps
from minigrad.loop.reverse import LoopReverse, beside
from minigrad.ops.tuples import ITEM
from minigrad.types import Array


def note_step(
    loop: Loop, leaves: Sequence[Expr], outputs: Sequence[Expr], results: Sequence[Expr]
) -> None:
    """Note which nodes of the loop's body stand for those that the step function made.

    leaves: what the body's inputs stand for; outputs: what the step gave; results: the loop's.
    """
    count = loop.body.n_carry + loop.body.n_x
    inputs = dict(zip(leaves, loop.body.inputs, strict=True))
    roots = [*leaves[:count], *outputs]
    made = list(walk(roots, lambda node: () if node in inputs else node.args))
    images = dict(zip(made, map_graph(made, lambda node, new: None, inputs), strict=True))
    for constant in leaves[count:]:
        images.pop(constant, None)
    loops = first_where(results, lambda node: node.op.inside is not None)
    note_images(images, loops, loop.body)


@dataclass(frozen=True, eq=False)
class LoopInside:
    """A loop node looked into."""

    node: Expr

    @lazy
    def call(self) -> Call:
        """The loop and what its variables stand for."""
        return Call.of(self.node)

    @lazy
    def nodes(self) -> Sequence[Expr]:
        """Those of a step, its inputs included."""
        return self.call.body.nodes

    @property
    def outputs(self) -> Sequence[Expr]:
        """What a step gives: the next carries, then the outputs."""
        return self.call.body.outputs

    @property
    def steps(self) -> int:
        """The number of steps."""
        return self.call.loop.length

    @property
    def reverse(self) -> bool:
        """Whether it begins with the last step."""
        return self.call.loop.reverse

    @property
    def body(self) -> Body:
        """The step."""
        return self.call.body

    @property
    def same(self) -> Hashable:
        """What loops have in common that differ in what they give out."""
        loop, body = self.call.loop, self.call.body
        how = (body.n_carry, body.n_x, loop.length, loop.reverse)
        return (*map(id, self.node.args), *map(id, body.next_carries), *how)

    @property
    def segments(self) -> bool:
        """Whether each step is a loop over a segment of the steps."""
        return self.call.loop.segments > 0

    @property
    def after(self) -> Expr | None:
        """The loop over the segments before these."""
        starts = list(self.call.init.values())
        if self.call.loop.segments < 2 or not starts or starts[0].op is not ITEM:
            return None
        (before,) = starts[0].args
        return before if before.op is self.node.op else None

    def values(self, exprs: Sequence[Expr]) -> list[Expr]:
        """Expressions of a step's nodes, for all steps; an input's are those of the loop's own."""
        stacks = dict(self.call.xs)
        asked = list(dict.fromkeys([e for e in exprs if e not in stacks]))
        stacks |= dict(zip(asked, beside(self.call, asked), strict=True)) if asked else {}
        return [stacks[e] for e in exprs]

    def reach(
        self, results: Collection[int], known: Mapping[Expr, Array]
    ) -> tuple[Sequence[Reach], Collection[int]]:
        """What a differentiable path joins with some of the results."""
        return reach_of_steps(self.call, results, known)

    def back(self, cotangents: Sequence[Expr | None], crossing: Crossing | None) -> LoopReverse:
        """What comes back through the steps, of cotangents of the results, one for each channel."""
        return LoopReverse(self.call, cotangents, crossing)
