"""What a cell is: the part of its state that lasts, its gates, and where its ops stand on paper.

The line is read from the equations themselves, so it is true of any cell. What gates are called
and what they do is for the cell to say (`Cell.gates`); of a cell that does not, only what the
equations show is told. Nothing here looks at a cell's name, or takes a letter for a meaning.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import minigrad as mg
from lstm.cells.base import Cell, Gate, Line
from lstm.errors import ConfigError
from minigrad import Expr

_MINUS = "−"  # what text on a page takes for a hyphen


class Anatomy(NamedTuple):
    """What is known of a cell."""

    line: Line | None
    gates: dict[str, Gate]


@dataclass(frozen=True)
class Follower:
    """Where an elementwise multiple of a state goes, as `follow` found it.

    A node is in `factors` when it is a sum of terms of which at least one is the origin times
    something of its own shape; its factor is the sum of these, and None for 1.
    """

    factors: dict[Expr, Expr | None]

    def path(self, end: Expr, start: Expr) -> list[Expr]:
        """The nodes from `end` back to `start`, without the latter, each once."""
        nodes: dict[Expr, None] = {}
        stack = [end]
        while stack:
            node = stack.pop()
            if node is not start and node in self.factors and node not in nodes:
                nodes[node] = None
                stack += node.args
        return list(nodes)


def follow(
    order: Iterable[Expr], origin: Expr, ends: Iterable[Expr] = ()
) -> tuple[Follower, dict[Expr, Expr | None]]:
    """Follow the multiples of `origin` through nodes in topological order.

    At each of `ends` the count starts anew, as the states of a line do. Returns what was followed,
    and the factor with which each end was reached; an end that was not is missing.

    >>> C, f, x = mg.var("C"), mg.var("f"), mg.var("x")
    >>> new = f * C + mg.tanh(x)
    >>> _, reached = follow(mg.toposort(new), C, [new])
    >>> reached[new] is f
    True
    """
    factors: dict[Expr, Expr | None] = {origin: None}
    reached: dict[Expr, Expr | None] = {}
    fresh = set(ends)
    for node in order:
        rule = _RULES.get(node.op)
        if rule is None or node in factors or not any(a in factors for a in node.args):
            continue
        try:
            factor = rule(node.args, factors)
        except _NotLinearError:
            continue
        if node in fresh:
            reached[node], factor = factor, None
        factors[node] = factor
    return Follower(factors), reached


class _NotLinearError(Exception):
    """The node is no elementwise multiple of the origin, plus something else."""


_Factors = Mapping[Expr, Expr | None]
_Rule = Callable[[Sequence[Expr], _Factors], Expr | None]


def _times(factor: Expr | None, other: Expr) -> Expr:
    return other if factor is None else factor * other


def _whole(factor: Expr | None, like: Expr) -> Expr:
    return mg.ones_like(like) if factor is None else factor


def _sum(args: Sequence[Expr], factors: _Factors) -> Expr | None:
    inside = [a for a in args if a in factors]
    if len(inside) == 1:
        return factors[inside[0]]
    return _whole(factors[args[0]], args[0]) + _whole(factors[args[1]], args[1])


def _difference(args: Sequence[Expr], factors: _Factors) -> Expr | None:
    a, b = args
    if b not in factors:
        return factors[a]
    lost = _whole(factors[b], b)
    return _whole(factors[a], a) - lost if a in factors else -lost


def _product(args: Sequence[Expr], factors: _Factors) -> Expr | None:
    a, b = args
    if a in factors and b in factors:
        raise _NotLinearError
    return _times(factors[a], b) if a in factors else _times(factors[b], a)


def _quotient(args: Sequence[Expr], factors: _Factors) -> Expr | None:
    a, b = args
    if b in factors:
        raise _NotLinearError
    return _whole(factors[a], a) / b


def _choice(args: Sequence[Expr], factors: _Factors) -> Expr | None:
    condition, *sides = args
    parts = [_whole(factors[s], s) if s in factors else mg.zeros_like(s) for s in sides]
    return mg.where(condition, *parts)


_RULES: dict[mg.Op, _Rule] = {
    mg.add.op: _sum,
    mg.subtract.op: _difference,
    mg.multiply.op: _product,
    mg.divide.op: _quotient,
    mg.negative.op: lambda args, factors: -_whole(factors[args[0]], args[0]),
    mg.where.op: _choice,
}


# --- a cell, read --------------------------------------------------------------------------------


def anatomy(cell: Cell[Any], line: str | None = None) -> Anatomy:
    """What a cell says of itself and what its equations show.

    Its line is the carry that comes back multiplied elementwise, and of several the first, unless
    `line`, or else `cell.line`, names one. Gates are those of `cell.gates`; of a cell that names
    none, the values that are a sigmoid, or 1 minus one, and multiply something. Raises ConfigError
    for a line or a gate that the equations do not have.

    >>> from lstm.cells import GRU
    >>> anatomy(GRU(input_size=2, hidden_size=3)).line
    Line(symbol='h', factor='1 − z')
    """
    params, state, x = cell.variables(" before")
    values = cell.compute(params, state, x)
    order = mg.toposort([*values.values()])
    of = _line(cell, line or cell.line, values, state._asdict(), order)
    return Anatomy(of, _gates(cell, values, order, of))


def _line(
    cell: Cell[Any],
    named: str | None,
    values: Mapping[str, Expr],
    before: Mapping[str, Expr],
    order: Sequence[Expr],
) -> Line | None:
    wanted = list(before) if named is None else [named]
    if not isinstance(named, str | None):
        raise ConfigError(f"line= is the name of a part of the state, not {named!r:.40}")
    for symbol in wanted:
        new = values.get(symbol)
        if new is None or symbol not in before:
            continue
        _, reached = follow(order, before[symbol], [new])
        if new in reached:
            return Line(symbol, factor_words(reached[new], values))
    if named is None:
        return None
    said = f"cell {cell.name} says that its line is {named!r}, but its"
    if named != cell.line:
        said = f"line={named!r} is asked for, but of cell {cell.name} the"
    raise ConfigError(
        f"{said} equations do not bring "
        f"that part of the state back multiplied elementwise, as f * {named} + … would"
    )


def factor_words(factor: Expr | None, values: Mapping[str, Expr]) -> str:
    """A factor in symbols of the equations, or "its factor" where that takes more than a few."""
    if factor is None:
        return "1"
    named = {value: mg.var(symbol, value.shape, value.dtype) for symbol, value in values.items()}
    inner = mg.simplify(mg.substitute(factor, named))
    symbols = {v.name for v in mg.free_variables(inner)}
    if symbols <= set(values) and len(text := str(inner)) <= 24:
        return text.replace("-", _MINUS)
    return "its factor"


def _gates(
    cell: Cell[Any], values: Mapping[str, Expr], order: Sequence[Expr], line: Line | None
) -> dict[str, Gate]:
    if cell.gates is not None:
        missing = [gate.symbol for gate in cell.gates if gate.symbol not in values]
        if missing:
            raise ConfigError(
                f"cell {cell.name} says that it has a gate {missing[0]!r}, but its equations give "
                f"no value of that name; they give {', '.join(values)}"
            )
        return {gate.symbol: gate for gate in cell.gates}
    factors = {a for n in order if n.op is mg.multiply.op for a in n.args}
    return {
        symbol: _gate_of(symbol, line)
        for symbol, value in values.items()
        if value in factors and _is_share(value)
    }


def _is_share(value: Expr) -> bool:
    """Whether a value is a sigmoid, or 1 minus one."""
    if value.op is mg.subtract.op and value is 1 - value.args[1]:
        value = value.args[1]
    return value.op is mg.sigmoid.op


def _gate_of(symbol: str, line: Line | None) -> Gate:
    """A gate of which only the equations speak."""
    if line is not None and line.factor == symbol:
        return Gate(symbol, one=f"keeps {line.symbol}", zero=f"drops {line.symbol}")
    if line is not None and line.factor == f"1 {_MINUS} {symbol}":
        return Gate(symbol, one=f"drops {line.symbol}", zero=f"keeps {line.symbol}")
    return Gate(symbol)


# --- a line, written out over time ---------------------------------------------------------------


class LineOverTime(NamedTuple):
    """A line over T steps, as nodes of the graph."""

    steps: list[list[Expr]]
    """For each step, the nodes from the state before to the state after, that one first."""
    factors: list[Expr]
    """What each step multiplies the line by, (B, H)."""
    detours: set[Expr]
    """What every path off the line passes first. How the last state reaches the loss is none."""


def line_over_time(states: Sequence[Expr], loss: Expr) -> LineOverTime:
    """Follow a line through its T + 1 states, the initial one first, in one pass over the graph."""
    order = mg.toposort([loss, states[-1]])
    follower, reached = follow(order, states[0], states[1:])
    pairs = list(pairwise(states))
    steps = [follower.path(new, old) for old, new in pairs]
    factors = [mg.broadcast_to(_whole(reached[new], new), new.shape) for _, new in pairs]
    line = {states[0], *(n for step in steps for n in step)}
    # With zoneout the last state is mixed for a step after it that is not there: what the loss
    # reads is what the last step mixes it of.
    last = {states[-1]} if states[-1] in set(mg.toposort(loss)) else {*steps[-1]}
    inner = line - last
    detours = {n for n in order if n not in line and any(a in inner for a in n.args)}
    return LineOverTime(steps, factors, detours)
