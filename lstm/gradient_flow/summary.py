"""What the numbers of a flow come to: norms, factors, shares and means over time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from statistics import median
from typing import Any, NamedTuple

import numpy as np

from lstm.cells import Gate, Line
from lstm.gradient_flow.tensors import Floats, Trace
from lstm.plain_values import jsonable
from minigrad.drawing.amount import kind_of, norm
from minigrad.drawing.theme import Kind

OPEN, CLOSED = 0.9, 0.1
"""A gate beyond these counts as saturated, as in Karpathy, Johnson & Fei-Fei, "Visualizing and
understanding recurrent networks", 2015, section 4.2."""
JUMP = 2.0
"""A step belongs to a jump when its factor differs from the median by more than this one."""


@dataclass(frozen=True)
class Series:
    """The norm of one gradient at each step, t = 1 … T, over the whole batch."""

    symbol: str
    """What it is the gradient towards: h or C."""
    norms: list[float]
    kinds: list[Kind]
    """"underflow" is a zero that is none: the product was too small for the dtype."""

    @property
    def first(self) -> float:
        """The norm at t = 1, where the gradient arrives last."""
        return self.norms[0]

    @property
    def last(self) -> float:
        """The norm at t = T, where it starts."""
        return self.norms[-1]

    @property
    def factors(self) -> list[float]:
        """norm(t) / norm(t + 1) for t = 1 … T - 1: what one step back multiplies it by."""
        return [a / b if b else math.nan for a, b in pairwise(self.norms)]

    @property
    def factor(self) -> float:
        """The median of the factors of steps between norms that are neither zero nor overflown; of
        an even number of steps, the geometric mean of the middle two. NaN where there is none.

        >>> Series("h", [1.0, 1.0, 2.0, 2.0, 400.0], ["normal"] * 5).factor  # 1, .5, 1, .005
        0.7071067811865476
        """
        logs = [step for step in self._logs if step is not None]
        return 10.0 ** median(logs) if logs else math.nan

    @property
    def jumps(self) -> list[Jump]:
        """Runs of steps that all multiply by far more, or all by far less, than the median step;
        the largest first.

        >>> Series("h", [1.0, 1.0, 1.0, 1.0, 1e3, 1e6], ["normal"] * 6).jumps
        [Jump(start=6, end=4, factor=1e-06)]
        """
        middle = math.log10(self.factor) if self.factor == self.factor else 0.0
        away = [0.0 if step is None else step - middle for step in self._logs]
        sides = [(x > 0.0) - (x < 0.0) if abs(x) > math.log10(JUMP) else 0 for x in away]
        runs: list[tuple[float, Jump]] = []
        first = 0
        for k in range(1, len(sides) + 1):
            if k < len(sides) and sides[k] == sides[first]:
                continue
            if sides[first]:
                whole = self.norms[first] / self.norms[k]
                runs.append((abs(sum(away[first:k])), Jump(k + 1, first + 1, whole)))
            first = k
        return [jump for _, jump in sorted(runs, key=lambda pair: -pair[0])]

    @property
    def _logs(self) -> list[float | None]:
        """log10 of each factor, None where a norm is zero or not finite."""
        logs = [math.log10(x) if 0.0 < x < math.inf else None for x in self.norms]
        return [None if a is None or b is None else a - b for a, b in pairwise(logs)]


class Jump(NamedTuple):
    """Steps back, from t = start down to t = end, that together multiply a norm by `factor`."""

    start: int
    end: int
    factor: float


@dataclass(frozen=True)
class Split:
    """The gradient towards the line's state in two parts, which sum to the whole at every t.

    `line` came along the cell's line alone: entered at t = T, then only times `factor` at each
    step. `gates` is all the rest: each of its paths left the line at least once, through a gate, a
    candidate or a hidden state.
    """

    symbol: str
    factor: str
    """What a step multiplies the line by, in the symbols of the equations: f, or 1 − z."""
    keep: list[float]
    """The mean of that factor over the batch and the units, at each step."""
    line: Series
    gates: Series

    @property
    def share(self) -> list[float]:
        """|line| / (|line| + |gates|) at each t."""
        both = zip(self.line.norms, self.gates.norms, strict=True)
        return [a / (a + b) if 0.0 < a + b < math.inf else math.nan for a, b in both]

    @property
    def product(self) -> str:
        """The product over the steps, in symbols: ∏ f, or ∏ (1 − z)."""
        return f"∏ ({self.factor})" if " " in self.factor else f"∏ {self.factor}"


@dataclass(frozen=True)
class GateValues:
    """The values of one gate over the whole batch: at each step, and all steps together."""

    symbol: str
    name: str
    """As "forget gate"; empty where the cell does not say."""
    one: str
    """What it does where it is 1, as "keeps C"; empty where nobody can say."""
    zero: str
    mean: list[float]
    low: list[float]
    high: list[float]
    open: float
    """The fraction of all values above 0.9."""
    closed: float
    """The fraction of all values below 0.1."""


@dataclass(frozen=True)
class Flow:
    """What `measure` found. Lists run over t = 1 … T."""

    cell: str
    steps: int
    batch: int
    dtype: str
    loss: float
    series: dict[str, Series]
    split: Split | None
    gates: dict[str, GateValues]
    diagnosis: list[str]
    title: str = ""
    """What headings and sentences call the cell; `cell` where empty."""
    output: str = ""
    """The part of the state that leaves the cell; the first of `series` where empty."""
    read: str = "last"
    """What the loss is of: the "last" step, or "every" one; see `Readout`."""

    @property
    def heading(self) -> str:
        """What headings and sentences call the cell."""
        return self.title or self.cell

    @property
    def main(self) -> Series:
        """The gradient towards the state that is made to last: the line's, or else the output's."""
        symbol = self.split.symbol if self.split else self.output
        return self.series[symbol or next(iter(self.series))]

    @property
    def around(self) -> str:
        """What else than the line a gradient comes through: the other states, and the gates."""
        line = self.main.symbol
        others = [symbol for symbol in self.series if symbol != line] or [line]
        return " and ".join([*others, *(["the gates"] if self.gates else [])])

    @property
    def ordered(self) -> list[Series]:
        """All series, the main one first."""
        return [self.main, *(s for s in self.series.values() if s is not self.main)]

    def to_json(self) -> dict[str, Any]:
        """Everything as JSON values; numbers that JSON lacks become "nan", "inf" and "-inf"."""
        plain: dict[str, Any] = jsonable(asdict(self))
        return plain

    def rows(self) -> tuple[list[str], list[list[float]]]:
        """All numbers as a table, one row a step: the heads of its columns, and the rows."""
        columns: dict[str, Sequence[float]] = {"t": list(range(1, self.steps + 1))}
        for name, series in self.series.items():
            columns[f"|dL/d{name}|"] = series.norms
        if self.split is not None:
            columns["along the line"] = self.split.line.norms
            columns["through the gates"] = self.split.gates.norms
            columns["the line's factor"] = self.split.keep
        for name, gate in self.gates.items():
            columns[f"mean {name}"] = gate.mean
        return list(columns), [list(row) for row in zip(*columns.values(), strict=True)]


# --- from the tensors ----------------------------------------------------------------------------


def series_of(traced: Trace) -> dict[str, Series]:
    """The norms of the gradient towards each part of the state."""
    larger = traced.enlarged.adjoints if traced.enlarged else traced.adjoints
    return {name: _series(name, steps, larger[name]) for name, steps in traced.adjoints.items()}


def split_of(line: Line | None, traced: Trace) -> Split | None:
    """The two parts of the main gradient, for a cell that has a line."""
    if line is None or traced.line is None or traced.gates_part is None or traced.factor is None:
        return None
    larger = traced.enlarged or traced
    return Split(
        line.symbol,
        line.factor,
        [float(step.mean(dtype=np.float64)) for step in traced.counted(traced.factor)],
        _series(line.symbol, traced.line, larger.line),
        _series(line.symbol, traced.gates_part, larger.gates_part),
    )


def _series(symbol: str, steps: Floats, enlarged: Floats | None) -> Series:
    norms = [norm(step) for step in steps]
    larger = norms if enlarged is None else [norm(step) for step in enlarged]
    kinds: list[Kind] = []
    for size, large in zip(reversed(norms), reversed(larger), strict=True):
        lost = large > 0.0 or bool(kinds and kinds[-1] == "underflow")
        kinds.append(kind_of(size, lost))
    return Series(symbol, norms, kinds[::-1])


def gate_of(gate: Gate, steps: Sequence[Floats]) -> GateValues:
    """What the values of one gate at each step come to."""
    flat = np.concatenate(steps)
    return GateValues(
        *gate,
        mean=[float(step.mean(dtype=np.float64)) for step in steps],
        low=[float(step.min()) for step in steps],
        high=[float(step.max()) for step in steps],
        open=float((flat > OPEN).mean()),
        closed=float((flat < CLOSED).mean()),
    )
