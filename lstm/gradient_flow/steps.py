"""The numbers of one layer over its steps, and what the gradient is made of at each: the terms of
its fan-ins; the memory of the line's factors.

All stacks (T, ...) are in the order in which the layer reads.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

import minigrad as mg
from lstm.gradient_flow.equations import Read, StepGraph, Term, over_steps
from minigrad import Expr

Floats = NDArray[np.floating[Any]]
Bools = NDArray[np.bool_]
Words = NDArray[np.str_]
Key = TypeVar("Key", bound=Hashable)
Sizes = Callable[[Mapping[Any, Expr]], dict[Any, Expr]]
"""What gives a number for each of several arrays, such as its norm."""

LEAVES = "y"
"""What reads a state but no equation: the loss, by the readout or the layers above."""


@dataclass(frozen=True)
class Stacks:
    """The numbers of one layer on one batch; B sequences of T steps."""

    values: dict[str, Floats]
    """{value: (T, B, H)}, by the names of a `StepGraph`."""
    adjoints: dict[str, Floats]
    """{value: its ∂L/∂value, (T, B, H)}, of the state that each step makes, and of its line."""
    made: dict[str, str]
    """{part of the state: the value that is it after a step}."""
    initial: dict[str, Floats]
    """{part of the state: what it starts as, (B, H)}."""
    x: Floats
    """What each step reads, (T, B, I)."""
    factors: dict[str, Floats]
    """{value on the line: what the step has multiplied the line by up to there, (T, B, H)}."""
    leaving: Floats
    """What comes back from above to what each step gives, (T, B, H)."""
    last: dict[str, Floats]
    """{part: what comes back to the state after all steps, (B, H)}."""
    counts: Bools | None = None
    """(T, B): which steps are no padding; None: all."""

    @property
    def steps(self) -> int:
        """T"""
        return len(self.x)

    @cached_property
    def counted(self) -> Bools:
        """(T, B): which steps are no padding."""
        return np.ones(self.x.shape[:2], np.bool_) if self.counts is None else self.counts

    def rows(self, like: Floats) -> Bools:
        """`counted` with axes for a stack (T, B, ...)."""
        return np.asarray(self.counted.reshape(self.counted.shape + (1,) * (like.ndim - 2)))

    @cached_property
    def ends(self) -> Bools:
        """(T, B): the last step of each sequence that is no padding."""
        later = np.cumsum(self.counted[::-1], axis=0)[::-1]
        return np.asarray(self.counted & (later == 1))

    @cached_property
    def before(self) -> dict[str, Floats]:
        """{part of the state: what each step reads, (T, B, H)}."""
        return {part: self._before(self.values[name], part) for part, name in self.made.items()}

    def _before(self, made: Floats, part: str) -> Floats:
        before = np.concatenate([self.initial[part][None], made[:-1]])
        if self.counts is not None:
            for t in range(1, len(before)):  # a step of padding leaves the state as it was
                here = self.rows(made)[t - 1]
                before[t] = np.where(here, before[t], before[t - 1])
        return before

    def above(self, part: str, output: str) -> Floats:
        """What comes to a part of the state after each step from no equation, (T, B, H)."""
        out = self.leaving.copy() if part == output else np.zeros_like(self.values[self.made[part]])
        out[-1] += self.last[part]
        return out


def variables_of(graph: StepGraph, stacks: Stacks) -> tuple[dict[Expr, Expr], list[Floats]]:
    """Variables of stacks for the variables of a step, and the numbers of these."""
    arrays: dict[Expr, Floats] = {
        graph.variables[name]: stacks.values[name] for name in graph.nodes
    }
    arrays |= {graph.before[part]: stacks.before[part] for part in graph.before}
    arrays[graph.x] = stacks.x
    made = {v: mg.var(f"stack {k}", a.shape, a.dtype) for k, (v, a) in enumerate(arrays.items())}
    return made, list(arrays.values())


def quiet(run: Any, *arrays: Any) -> Any:
    """What a function gives, without warnings of what is not finite."""
    with np.errstate(all="ignore"):
        return run(*arrays)


def by_unit(mask: Expr, like: Expr) -> Expr:
    """A mask of sequences, (B,), for each unit of an array (B, H)."""
    return mg.broadcast_to(mg.expand_dims(mask, 1), like.shape)


def norm(x: Expr, axis: tuple[int, ...] | None = None) -> Expr:
    """The 2-norm over some axes, or all, of numbers whose squares the dtype cannot hold, too."""
    return mg.astype(wide_norm(x, axis), x.dtype)


def wide_norm(x: Expr, axis: tuple[int, ...] | None = None) -> Expr:
    """The same in float64."""
    if x.dtype == np.float32:  # float64 holds the squares of all its numbers
        return mg.sqrt(mg.sum(mg.square(mg.astype(x, "float64")), axis=axis))
    top = mg.max(mg.abs(x), axis=axis, keepdims=True)
    scale = mg.where((top > 0) & mg.isfinite(top), top, mg.ones_like(top))
    sums = mg.sum(mg.square(x / scale), axis=axis)
    return mg.reshape(scale, sums.shape) * mg.sqrt(sums)


def alike(arrays: Mapping[Key, Expr]) -> Iterator[tuple[list[Key], Expr]]:
    """Arrays of one type as one, along a new first axis: by itself each would have loops of its own
    to compile."""
    for like in dict.fromkeys(x.type for x in arrays.values()):
        keys = [key for key, x in arrays.items() if x.type == like]
        yield keys, mg.stack([arrays[key] for key in keys])


def wide_norms(arrays: Mapping[Key, Expr]) -> dict[Key, Expr]:
    """Those of several arrays, each over all axes."""
    return _of_each(arrays, norm_of_each)


def largest(arrays: Mapping[Key, Expr]) -> dict[Key, Expr]:
    """The largest magnitude of each array, which is 0 where its norm is, and costs a third less
    time to compile and to run."""
    return _of_each(arrays, lambda stack: mg.max(mg.abs(stack), tuple(range(1, stack.ndim))))


def _of_each(arrays: Mapping[Key, Expr], sizes: Callable[[Expr], Expr]) -> dict[Key, Expr]:
    told: dict[Key, Expr] = {}
    for keys, stack in alike(arrays):
        told |= zip(keys, each_of(sizes(stack)), strict=True)
    return told


def norm_of_each(stack: Expr) -> Expr:
    """The norm, float64, of each of the arrays that `alike` made one."""
    return wide_norm(stack, tuple(range(1, stack.ndim)))


def each_of(stack: Expr) -> list[Expr]:
    """The arrays that `alike` made one."""
    return [stack[k] for k in range(stack.shape[0])]


# --- fan-ins -------------------------------------------------------------------------------------


def all_terms(graph: StepGraph, stacks: Stacks) -> dict[Term, Floats]:
    """What each value gets from what reads it: at the index of the step that reads."""
    variables, arrays = variables_of(graph, stacks)
    known = {
        name: mg.var(f"∂L/∂{name}", graph.nodes[name].shape, graph.nodes[name].dtype)
        for name in stacks.adjoints
    }
    terms = graph.all_terms(known)
    above = {
        v: mg.var(f"all of {v.name}", (stacks.steps, *v.shape), v.dtype) for v in known.values()
    }
    every = over_steps([*terms.values()], variables | above)
    run = mg.function([*variables.values(), *above.values()], every)
    return dict(zip(terms, quiet(run, *arrays, *stacks.adjoints.values()), strict=True))


def fan_in(
    stacks: Stacks, terms: Mapping[Term, Floats], part: str, output: str
) -> dict[str, Floats]:
    """The terms of the adjoint of a part of the state, {what reads it: (T, B, H)}.

    They sum to the adjoint at each step. What the loss reads, or the layers above, is "y". output:
    the part that leaves the layer.
    """
    fan: dict[str, Floats] = {}
    for (reader, read), term in terms.items():
        if read == Read(stacks.made[part], before=False):
            fan[reader] = fan.get(reader, 0.0) + term
        elif read == Read(part, before=True):
            after = np.concatenate([term[1:], np.zeros_like(term[:1])])
            fan[reader] = fan.get(reader, 0.0) + _made(after, stacks)
    return fan | {LEAVES: _made(stacks.above(part, output), stacks)}


def _made(after: Floats, stacks: Stacks) -> Floats:
    """What comes to the state after each step, as what comes to the one that the step made: past
    padding it goes on to the last step that counts."""
    if stacks.counts is None:
        return after
    result, running = np.zeros_like(after), np.zeros_like(after[0])
    for t in reversed(range(len(after))):
        running = running + after[t]
        here = stacks.rows(after)[t]
        result[t] = np.where(here, running, 0.0)
        running = np.where(here, 0.0, running)
    return result


# --- memory -------------------------------------------------------------------------------------


def promised(graph: StepGraph, part: str) -> Floats:
    """The memory in steps that the biases promise each unit of a line, (H,): 1 / (1 - factor) of a
    state and an input of 0. Of a forget gate that is 1 + eᵇ (Tallec & Ollivier 2018). Biases of 12
    and more need a graph of float64: 1 - σ(b) has no digits in float32."""
    zeros = {v: mg.zeros_like(v) for v in (*graph.before.values(), graph.x)}
    whole, *_ = graph.line_factors(part).values()
    return _memory(mg.substitute(whole, zeros).eval()[0])


def remembered(log_factor: Floats) -> Floats:
    """The memory in steps of each unit of a line, (H,): 1 / (1 - f), of the geometric mean f of
    its factors over the steps that count, whose logarithm is given.

    >>> remembered(np.log([0.75])).round(9).tolist()
    [4.0]
    """
    return _memory(np.exp(log_factor))


def _memory(factor: Floats) -> Floats:
    with np.errstate(all="ignore"):
        steps: Floats = np.where(factor >= 1.0, np.inf, 1.0 / (1.0 - factor))  # NaN stays NaN
    return steps
