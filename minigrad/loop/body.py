"""The body of a loop, a closed graph from (carries, inputs of a step, constants) to results; and
the record of a loop over it.

Tracing a Python function makes a body. Bodies are interned: the same step function traced twice
gives the same body, and so the same loop node.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar, cast

from minigrad.errors import ShapeError
from minigrad.graph.leaves import placeholder
from minigrad.graph.node import Expr, Op, make
from minigrad.graph.walk import substitute, toposort, walk
from minigrad.interning import Table
from minigrad.ops.core import broadcast_to, uniform_value
from minigrad.ops.tuples import items_of
from minigrad.types import MOST_BYTES, TensorType

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Called:
    """What the writer of a loop calls it and what its steps get; "" where nothing is said."""

    loop: str = ""
    inputs: tuple[str, ...] = ()
    """Of the carries, then of the inputs of a step."""


class Body:
    """A step of a loop: `carries` + `ys` as functions of `inputs` = carries + xs + constants.

    The inputs are variables that belong to bodies alone, numbered by kind, so that equal steps are
    one graph. `derived` holds what passes make of a body (its compiled form, its derivative).
    `called` is a note for pictures: equal bodies have one, the last that was given.
    """

    __slots__ = ("__weakref__", "called", "derived", "inputs", "n_carry", "n_x", "outputs")
    called: Called
    inputs: tuple[Expr, ...]
    outputs: tuple[Expr, ...]
    n_carry: int
    n_x: int
    derived: dict[Any, Any]

    def __new__(
        cls, inputs: Sequence[Expr], outputs: Sequence[Expr], n_carry: int, n_x: int
    ) -> Body:
        body = object.__new__(cls)
        body.inputs, body.outputs = tuple(inputs), tuple(outputs)
        body.n_carry, body.n_x = n_carry, n_x
        body.derived, body.called = {}, Called()
        # Keyed by identity: the body keeps its nodes alive, so their ids are theirs alone.
        key = (tuple(map(id, inputs)), tuple(map(id, outputs)), n_carry, n_x)
        return _BODIES.intern(key, body)

    @property
    def carries(self) -> tuple[Expr, ...]:
        """The variables for what goes from step to step."""
        return self.inputs[: self.n_carry]

    @property
    def xs(self) -> tuple[Expr, ...]:
        """The variables for one step's slices of the inputs."""
        return self.inputs[self.n_carry : self.n_carry + self.n_x]

    @property
    def constants(self) -> tuple[Expr, ...]:
        """The variables for what is the same in every step."""
        return self.inputs[self.n_carry + self.n_x :]

    @property
    def next_carries(self) -> tuple[Expr, ...]:
        """What the carries become."""
        return self.outputs[: self.n_carry]

    @property
    def ys(self) -> tuple[Expr, ...]:
        """What each step gives out."""
        return self.outputs[self.n_carry :]

    @property
    def nodes(self) -> list[Expr]:
        """The nodes of a step, arguments before users; all inputs are there, read or not."""
        return toposort([*self.inputs, *self.outputs])

    def split(self, values: Sequence[T]) -> tuple[list[T], list[T], list[T]]:
        """One thing for each input, by kind: carries, xs, constants."""
        end = self.n_carry + self.n_x
        return list(values[: self.n_carry]), list(values[self.n_carry : end]), list(values[end:])

    def __repr__(self) -> str:
        steps = sum(bool(n.args) for n in toposort(self.outputs))
        return f"<body of {steps} ops, {self.n_carry} carries>"


_BODIES: Table[Body] = Table()


@dataclass(frozen=True, slots=True)
class Loop:
    """A loop over a body: the one attribute of a loop node."""

    body: Body
    length: int
    """The number of steps."""
    reverse: bool = False
    """From the last step to the first."""
    segments: int = 0
    """1 where each step runs a loop over some of the steps that were asked for; 2 where these go on
    from those of the loop that this one starts with."""

    def __post_init__(self) -> None:
        if type(self.length) is not int or not 0 <= self.length <= MOST_BYTES:
            raise ShapeError(f"a loop has a whole number of steps, not {self.length!r:.40}")
        if type(self.reverse) is not bool:
            raise ShapeError("'reverse' of a loop is true or false")
        if type(self.segments) is not int or self.segments not in (0, 1, 2):
            raise ShapeError(f"'segments' of a loop is 0, 1 or 2, not {self.segments!r:.40}")

    def __str__(self) -> str:
        backwards = ", from the last" * self.reverse
        return f"{self.length} steps of {self.body!r}{backwards}"

    def of(self, op: Op, operands: Sequence[Expr]) -> list[Expr]:
        """The results of the loop's node: the last carries, then the stacked outputs."""
        whole = make(op, tuple(operands), (self,))
        return items_of(whole)


@dataclass(frozen=True, slots=True)
class Call:
    """A loop node taken apart: the loop, and what each variable of its body stands for outside."""

    op: Op
    loop: Loop
    init: Mapping[Expr, Expr]
    """{carry: what it starts with}"""
    xs: Mapping[Expr, Expr]
    """{input of a step: those of all steps, stacked}"""
    constants: Mapping[Expr, Expr]

    @classmethod
    def of(cls, node: Expr, args: Sequence[Expr] | None = None) -> Call:
        """The parts of a node, of other arguments if given."""
        loop = cast(Loop, node.attrs[0])
        pairs = zip(loop.body.inputs, node.args if args is None else args, strict=True)
        return cls(node.op, loop, *map(dict, loop.body.split(list(pairs))))

    @property
    def body(self) -> Body:
        """What a step computes."""
        return self.loop.body

    def giving(self, outputs: Sequence[Expr]) -> list[Expr]:
        """The results of a loop whose steps give these, expressions of the variables."""
        body, outside = close([*self.init], [*self.xs], outputs)
        constants = substitute(outside, dict(self.constants))
        if not self.init and not self.xs and not constants:  # nothing to loop over but numbers
            return [broadcast_to(y, (self.loop.length, *y.shape)) for y in outputs]
        operands = [*self.init.values(), *self.xs.values(), *constants]
        return replace(self.loop, body=body).of(self.op, operands)


def close(
    carries: Sequence[Expr], xs: Sequence[Expr], outputs: Sequence[Expr]
) -> tuple[Body, list[Expr]]:
    """A body from expressions of placeholder variables, and the constants that it reads.

    What depends on no placeholder is computed once, outside: the largest such expressions become
    constants of the loop. Numbers stay inside, where rewrites can see them.
    """
    variables = {*carries, *xs}
    reads = walk(outputs, lambda node: () if node in variables else node.args)
    moving = {*variables}
    outside: dict[Expr, None] = {}
    for node, args in reads.items():
        if not moving.isdisjoint(args):
            moving.add(node)
            outside.update((a, None) for a in args if a not in moving and not _is_number(a))
    outside.update((o, None) for o in outputs if o not in moving and not _is_number(o))
    constants = list(outside)
    leaves = [*carries, *xs, *constants]
    kinds = ["carry"] * len(carries) + ["x"] * len(xs) + ["const"] * len(constants)
    numbered = enumerate(zip(kinds, leaves, strict=True))
    inputs = [body_var(k, kind, v.type) for k, (kind, v) in numbered]
    closed = substitute(outputs, dict(zip(leaves, inputs, strict=True)))
    return Body(inputs, closed, len(carries), len(xs)), constants


def _is_number(node: Expr) -> bool:
    return uniform_value(node) is not None


def body_var(k: int, kind: str, type_: TensorType) -> Expr:
    """The k-th input of bodies: the same placeholder in each, so that equal steps are one graph."""
    return placeholder(kind, type_, k)
