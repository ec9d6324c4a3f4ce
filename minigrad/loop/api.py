"""Loops as users write them: `scan`, segments that are computed again, and the unrolled form."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from minigrad.errors import DTypeError, GraphError, ShapeError
from minigrad.graph.leaves import CONST, as_expr, const, placeholder
from minigrad.graph.node import Expr, as_name, describe
from minigrad.graph.walk import map_graph, roots_of, substitute, toposort
from minigrad.loop.body import Called, Loop, close
from minigrad.loop.inside import note_step
from minigrad.loop.node import SCAN
from minigrad.names import public
from minigrad.ops.batch import stacked
from minigrad.ops.choice import where
from minigrad.ops.core import full, reshape
from minigrad.ops.custom import stop_gradient
from minigrad.ops.shape import concat, stack
from minigrad.ops.tuples import ITEM, item, tuple_of
from minigrad.tree import flatten, paths
from minigrad.types import BOOL, Array, TensorType, require_callable

# --- the user's side ---------------------------------------------------------------------------


@public
def scan(
    step: Callable[[Any, Any], tuple[Any, Any]],
    init: Any,
    xs: Any = None,
    length: int | None = None,
    *,
    reverse: bool = False,
    unroll: bool = False,
    checkpoint: bool | int | None = None,
    truncate: int | None = None,
    name: str = "",
) -> tuple[Any, Any]:
    """A loop: step(carry, x) -> (next carry, y), over the first axis of xs.

    init: any nesting of tuples, lists and dicts of tensors; each step must give back the same
        nesting of the same types.
    xs: a nesting of tensors with one first axis, or None with `length`.
    reverse: from the last element to the first; ys keep the places of their xs.
    unroll: plain nodes instead of a loop node, for drawing.
    checkpoint: derivatives keep one carry a segment and compute the rest again. True takes
        segments of √length steps, an int its own number of steps.
    truncate: derivatives do not pass the carry after every `truncate` steps, counted from where the
        loop starts: truncated back-propagation through time (Williams & Peng 1990). Values stay.
    name: what pictures call the loop. What they call a carry or an x is its key in a dict or its
        field in a named tuple.

    Returns (last carry, ys), the ys stacked along a new first axis. `step` is called once, with
    variables; expressions of the surroundings that it uses become constants of the loop.
    Raises ShapeError or DTypeError, naming the carry, when its type changes.

    >>> import minigrad as mg
    >>> last, sums = mg.scan(lambda c, x: (c + x, c + x), mg.const(0.0), mg.const([1.0, 2.0, 3.0]))
    >>> last.eval(), sums.eval()
    (np.float64(6.0), array([1., 3., 6.]))

    With truncate the derivative of this last carry reaches back two steps:

    >>> x = mg.var("x", (4,))
    >>> last, _ = mg.scan(lambda c, x: (2.0 * c + x, None), mg.const(0.0), x)
    >>> cut, _ = mg.scan(lambda c, x: (2.0 * c + x, None), mg.const(0.0), x, truncate=2)
    >>> [mg.grad(y, x).eval({x: [1, 2, 3, 4]}).tolist() for y in (last, cut)]
    [[8.0, 4.0, 2.0, 1.0], [0.0, 0.0, 2.0, 1.0]]
    """
    require_callable(step, "the step of scan")
    carries, build_carry = flatten(init)
    names = paths(init, "carry")
    carries = _carries(names, carries)
    inputs, build_x = flatten(xs) if xs is not None else ([], lambda it: None)
    inputs = [as_expr(x) for x in inputs]
    length = _length(carries, inputs, paths(xs, "xs") if inputs else [], length)
    inside = entering = [placeholder(name, c.type) for name, c in zip(names, carries, strict=True)]
    slices = [placeholder("x", x.type.with_shape(x.shape[1:])) for x in inputs]
    stops = _stops(length, reverse, truncate)
    if stops is not None and not unroll:
        inputs.append(const(stops))
        slices.append(placeholder("x", TensorType((), BOOL)))
        pairs = zip(inside, _stopped(inside), strict=True)
        entering = [c if c is stop else where(slices[-1], stop, c) for c, stop in pairs]
    carry, x = build_carry(iter(entering)), build_x(iter(slices))
    after, ys, build_y = _call(step, carry, x, carries, names)
    outputs = [*after, *ys]
    body, constants = close(inside, slices, outputs)
    loop, operands = Loop(body, length, reverse), [*carries, *inputs, *constants]
    if unroll:
        results = _unrolled(loop, operands, stops)
    elif checkpoint is None or checkpoint is False:
        results = loop.of(SCAN, operands)
    else:
        results = _segmented(loop, operands, _segment(length, checkpoint))
    if not unroll:
        note_step(loop, [*inside, *slices, *constants], outputs, results)
        loop.body.called = Called(as_name(name) if name else "", _keys([*names, *paths(xs, "xs")]))
    return build_carry(iter(results[: len(carries)])), build_y(iter(results[len(carries) :]))


def _carries(names: Sequence[str], carries: Sequence[Any]) -> list[Expr]:
    """The tensors of a carry, by name. Raises DTypeError for None."""
    for name, c in zip(names, carries, strict=True):
        if c is None:
            raise DTypeError(
                f"{name} is None: a carry is numbers or expressions, in tuples, lists or dicts; "
                "one that holds nothing is (), at the start and in what the step gives back"
            )
    return [as_expr(c) for c in carries]


def _length(
    carries: Sequence[Expr], inputs: Sequence[Expr], names: Sequence[str], length: int | None
) -> int:
    if not carries and not inputs:
        raise GraphError("scan needs a carry or xs: without either it has nothing to compute")
    scalars = [name for name, x in zip(names, inputs, strict=True) if not x.shape]
    if scalars:
        several = (
            ""
            if scalars == ["xs"]
            else (
                ": tuples, lists and dicts are nestings of sequences that are read side by side; "
                "one of numbers is minigrad.const([...]), of expressions minigrad.stack([...])"
            )
        )
        raise ShapeError(
            f"scan runs over the first axis of xs; a scalar, as {scalars[0]} is, has none{several}"
        )
    lengths = {x.shape[0] for x in inputs}
    if length is not None:
        lengths.add(_steps(length, "length", 0))
    if not lengths:
        raise GraphError("scan without xs needs length=")
    if len(lengths) > 1:
        listed = [f"{n}: {x.shape[0]}" for n, x in zip(names, inputs, strict=True)]
        listed += [f"length: {length}"] if length is not None else []
        raise ShapeError(f"scan needs one number of steps; there are {', '.join(listed)}")
    return lengths.pop()


def _keys(paths: Sequence[str]) -> tuple[str, ...]:
    """The last key or field of each path; "" for an index.

    >>> _keys(["carry.h", "carry['layer1']['C']", "carry[0]"])
    ('h', 'C', '')
    """
    ends = [re.search(r"\.(\w+)$|\['([^']*)'\]$", path) for path in paths]
    return tuple(["" if end is None else end[1] or end[2] for end in ends])


def _steps(count: Any, name: str, least: int) -> int:
    """A number of steps. Raises ShapeError."""
    if isinstance(count, bool) or not isinstance(count, (int, np.integer)) or count < least:
        raise ShapeError(f"{name}= is a whole number of steps, at least {least}, not {count!r}")
    return int(count)


def _stops(length: int, reverse: bool, truncate: int | None) -> Array | None:
    """The steps, by place, whose carry derivatives do not pass; None where there are none."""
    if truncate is None or (size := _steps(truncate, "truncate", 1)) >= length:
        return None
    stops = np.zeros(length, np.bool_)
    stops[size::size] = True
    return stops[::-1] if reverse else stops


def _stopped(carries: Sequence[Expr]) -> list[Expr]:
    return [stop_gradient(c) if c.type.is_float else c for c in carries]


def _call(
    step: Callable[[Any, Any], tuple[Any, Any]],
    carry: Any,
    x: Any,
    before: Sequence[Expr],
    names: Sequence[str],
) -> tuple[list[Expr], list[Expr], Callable[[Any], Any]]:
    """One call of the step function, its results checked: carries, ys, and how to build the ys."""
    result = step(carry, x)
    if not isinstance(result, tuple) or len(result) != 2:
        raise GraphError(f"the step function must return (carry, y), not {result!r:.80}")
    after, _ = flatten(result[0])
    if paths(result[0], "carry") != list(names):
        raise GraphError(
            f"the carry must keep its nesting: it starts as ({', '.join(names)}) and comes back "
            f"as ({', '.join(paths(result[0], 'carry'))})"
        )
    after = _carries(names, after)
    for name, old, new in zip(names, before, after, strict=True):
        if new.type is not old.type:
            kind = ShapeError if new.shape != old.shape else DTypeError
            fix = (
                "start with a value of the shape that the step gives back"
                if new.shape != old.shape
                else f"start with {new.dtype}, or give back minigrad.astype(..., '{old.dtype}')"
            )
            raise kind(
                f"{name} changes its type from {old.type!r} to {new.type!r} in a step; it must "
                f"stay the same: {fix}. It comes back as {describe(new)}"
            )
    if result[1] is None:
        return after, [], lambda it: None
    ys, build_y = flatten(result[1])
    return after, [as_expr(y) for y in ys], build_y


# --- segments that are computed again -----------------------------------------------------------


def _segment(length: int, checkpoint: bool | int) -> int:
    """The steps of a segment."""
    if checkpoint is True:
        return math.isqrt(max(length, 1) - 1) + 1
    return _steps(checkpoint, "checkpoint", 1)


def _segmented(loop: Loop, operands: Sequence[Expr], size: int) -> list[Expr]:
    """A loop over whole segments, and one over what is left."""
    carries, xs, constants = loop.body.split(operands)
    whole = loop.length // size * size
    spans = [(a, b) for a, b in ((0, whole), (whole, loop.length)) if a < b] or [(0, 0)]
    ys: list[list[Expr]] = []
    for start, stop in reversed(spans) if loop.reverse else spans:
        part = replace(loop, length=stop - start, segments=2 if ys else 1)
        results = _segments(part, carries, [_rows(x, start, stop) for x in xs], constants, size)
        carries = results[: loop.body.n_carry]
        ys.append(results[loop.body.n_carry :])
    pieces = zip(*(reversed(ys) if loop.reverse else ys), strict=True)
    return [*carries, *(concat(piece) for piece in pieces)]


def _segments(
    loop: Loop, init: Sequence[Expr], xs: Sequence[Expr], constants: Sequence[Expr], size: int
) -> list[Expr]:
    """A loop over segments, each a loop over its steps.

    Of what the reverse loop reads, the outer step has the carries alone at hand: derivatives keep
    these, and run the inner loop again.
    """
    size = min(size, max(loop.length, 1))
    count = loop.length // size
    carries = [placeholder("carry", c.type) for c in init]
    segment = [placeholder("x", stacked(v.type, size)) for v in loop.body.xs]
    inner = replace(loop, length=size, segments=0).of(SCAN, [*carries, *segment, *constants])
    body, outside = close(carries, segment, inner)
    split = [_cut(x, count, size) for x in xs]
    results = replace(loop, body=body, length=count).of(SCAN, [*init, *split, *outside])
    ys = [reshape(y, (loop.length, *y.shape[2:])) for y in results[loop.body.n_carry :]]
    return [*results[: loop.body.n_carry], *ys]


def _rows(x: Expr, start: int, stop: int) -> Expr:
    """Some steps of an input; of numbers, numbers."""
    return const(x.value[start:stop]) if x.op is CONST else x[start:stop]


def _cut(x: Expr, count: int, size: int) -> Expr:
    """An input by segments; of numbers, numbers."""
    shape = (count, size, *x.shape[1:])
    return const(x.value.reshape(shape)) if x.op is CONST else reshape(x, shape)


# --- unrolling ---------------------------------------------------------------------------------


@public
def unroll(outputs: Any) -> Any:
    """The same expressions with every loop, nested ones too, as plain nodes.

    >>> import minigrad as mg
    >>> x = mg.var("x")
    >>> last, _ = mg.scan(lambda c, _: (c * x, None), x, length=2)
    >>> mg.unroll(last) is x * x * x
    True
    """
    roots = roots_of(outputs)
    while any(n.op is SCAN for n in toposort(roots)):
        roots = map_graph(roots, _without_loop)
    return roots[0] if isinstance(outputs, Expr) else roots


def _without_loop(node: Expr, new: Mapping[Expr, Expr]) -> Expr | None:
    if node.op is ITEM:
        return item(new[node.args[0]], node.attrs[0])
    if node.op is not SCAN:
        return None
    return tuple_of(_unrolled(node.attrs[0], [new[a] for a in node.args]))


def _unrolled(loop: Loop, operands: Sequence[Expr], stops: Array | None = None) -> list[Expr]:
    """The results of a loop as plain nodes."""
    body, length = loop.body, loop.length
    carries, xs, constants = body.split(operands)
    rows: dict[int, list[Expr]] = {}
    for t in reversed(range(length)) if loop.reverse else range(length):
        if stops is not None and stops[t]:
            carries = _stopped(carries)
        of_step = [*carries, *(x[t] for x in xs), *constants]
        results = substitute(body.outputs, dict(zip(body.inputs, of_step, strict=True)))
        carries, rows[t] = results[: body.n_carry], results[body.n_carry :]
    ys = [
        stack([rows[t][k] for t in range(length)]) if length else full(0, stacked(y.type, 0))
        for k, y in enumerate(body.ys)
    ]
    return [*carries, *ys]
