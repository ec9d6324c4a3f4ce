"""A flow: what was measured of one batch, as arrays, as norms over time, and in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm.errors import ConfigError
from lstm.gradient_flow import across, linear_maps, steps
from lstm.gradient_flow.across import StepMap
from lstm.gradient_flow.cuts import Cuts, Knockout, Routes
from lstm.gradient_flow.linear_maps import Waterfall
from lstm.gradient_flow.saving import Saved
from lstm.gradient_flow.source import Source
from lstm.gradient_flow.steps import Bools, Floats, Stacks
from lstm.gradient_flow.summary import (
    CLOSED,
    OPEN,
    GateValues,
    Memory,
    Saturation,
    Slope,
    Split,
    Spot,
)
from lstm.gradient_flow.tensors import LARGE_SEED, SMALL_SEED
from lstm.plain_values import counted, jsonable
from minigrad.chains import Series, cancellation
from minigrad.display import Table
from minigrad.drawing import Scale
from minigrad.drawing.amount import norms_of

FEW_DIGITS = 1e4
"""Norms of less than so many smallest normal numbers are of elements that may have lost digits."""


@dataclass(frozen=True, repr=False, eq=False)
class Flow(Saved):
    """What `lstm.flow` measures: how the gradient of one batch's loss flows back over T steps.

    Arrays first: `adjoints`, `values`, `edges`, `line`, `around`, `factor`, `singular`,
    `waterfalls`, `cancellation`, `knockouts`, `itemised`, `influence`, `influence_on`,
    `saturation`, `memory`. They are computed when they are read, of the parameters as they were
    measured, and kept. Then norms: `series`, `split`, `gates`. Then sentences: `diagnosis`.

    Everything runs over t = 1 … T in the order in which the layer reads, T first in arrays; B is
    the batch, H the units. A gradient has the unit of the loss for each unit of what it is towards.
    """

    cell: str
    steps: int
    batch: int
    dtype: str
    loss: float
    series: dict[str, Series]
    """The norms of the gradient towards each part of the state, over the whole batch."""
    split: Split | None
    """The gradient towards the line in its two parts; None for a cell without a line."""
    gates: dict[str, GateValues]
    diagnosis: list[str]
    title: str = ""
    """What headings and sentences call the cell; `cell` where empty."""
    output: str = ""
    """The part of the state that leaves the cell; the first of `series` where empty."""
    read: str = "last"
    """What the loss is of: the "last" step, or "every" one; see `Readout`."""
    place: str = ""
    """Which layer it is of, as "layer2 backward", in a model of several; else empty."""
    ends: tuple[int, ...] = ()
    """The steps before the last at which shorter sequences of the batch end, so that what comes
    back in them enters there."""
    slope: Slope | None = None
    """What the nonlinearity does that the main part of the state comes out of, as the tanh of a
    plain RNN; None where it comes out of none, as along a line."""
    source: Source | None = field(default=None, compare=False)
    """What the arrays come from; None for a flow of numbers alone."""

    # --- summaries -------------------------------------------------------------------------------

    @property
    def heading(self) -> str:
        """What headings and sentences call the cell."""
        return self.title or self.cell

    @property
    def called(self) -> str:
        """Its heading, and which layer it is of where there are several, for titles."""
        return f"{self.heading}, {self.place}" if self.place else self.heading

    @property
    def main(self) -> Series:
        """The gradient towards the state that is made to last: the line's, or else the output's."""
        symbol = self.split.symbol if self.split else self.output
        return self.series[symbol or next(iter(self.series))]

    @property
    def beside(self) -> str:
        """What else than the line a gradient comes through: the other states, and the gates."""
        line = self.main.symbol
        joined = [s.symbol for s in self.series.values() if {*s.kinds} != {"disconnected"}]
        others = [symbol for symbol in joined if symbol != line] or [line]
        return " and ".join([*others, *(["the gates"] if self.gates else [])])

    @property
    def paths(self) -> dict[str, Series]:
        """The parts of the main gradient by what charts and tables call them; the parts themselves
        sum to the whole at each step, their norms need not. None without a line."""
        split = self.split
        if split is None:
            return {}
        later = "" if split.carried is None else " from later steps"
        made = {f"along the line ({split.product}){later}": split.along}
        made[f"through {self.beside}"] = split.gates
        return (
            made if split.entered is None else made | {"entered at that very step": split.entered}
        )

    @property
    def ordered(self) -> list[Series]:
        """All series, the main one first."""
        return [self.main, *(s for s in self.series.values() if s is not self.main)]

    @cached_property
    def scale(self) -> Scale:
        """The one colour scale of all that is drawn of it: of the series and the paths."""
        return Scale.of(self.drawn_norms)

    @property
    def drawn_norms(self) -> list[float]:
        """Those of the series and the paths."""
        return [x for one in (*self.ordered, *self.paths.values()) for x in one.norms]

    # --- arrays ----------------------------------------------------------------------------------

    @property
    def _source(self) -> Source:
        if self.source is None:
            raise ConfigError("this flow is of numbers alone; lstm.flow(model, xs, ys) has arrays")
        return self.source

    @property
    def _stacks(self) -> Stacks:
        return self._source.reading.stacks

    @cached_property
    def adjoints(self) -> dict[str, Floats]:
        """{part of the state: ∂L/∂part at each step, (T, B, H)}, of the state that it made."""
        stacks = self._stacks
        return {part: stacks.adjoints[name] for part, name in stacks.made.items()}

    @cached_property
    def lost(self) -> dict[str, Bools]:
        """{part of the state: the units that underflow at each step, (T, H)}: over the whole batch
        their gradient is 0, though none of its factors is."""
        none = {part: np.zeros(units.shape, bool) for part, units in self.unit_norms.items()}
        return none | dict(self._source.lost)

    @cached_property
    def unit_norms(self) -> Mapping[str, Floats]:
        """{part of the state: ‖∂L/∂part‖ of each unit over the batch, (T, H)}."""
        return self._source.units

    @property
    def inputs(self) -> Floats:
        """What the layer reads at each step, (T, B, I)."""
        drawn: Floats | None = self._source.drawn.get("inputs")
        return self._stacks.x if drawn is None else drawn

    @property
    def values(self) -> dict[str, Floats]:
        """{symbol: what each step computed, (T, B, H)}: states, gates, candidates."""
        return self._stacks.values

    @cached_property
    def edges(self) -> dict[str, dict[str, Floats]]:
        """{part: {what reads it: its term of ∂L/∂part, (T, B, H)}}; the terms sum to `adjoints`.
        "y" is what leaves the layer: the loss, by the readout or the layers above."""
        meter, stacks = self._source.meter, self._stacks
        terms = steps.all_terms(meter.graph, stacks)
        output = meter.layer.cell.output
        return {part: steps.fan_in(stacks, terms, part, output) for part in stacks.made}

    @property
    def line(self) -> Floats | None:
        """The gradient towards the line that came along it alone, from whichever step it entered
        at, (T, B, H): `entered` and `carried`. None without a line."""
        parts = self._source.reading.parts
        return None if parts is None else parts.line

    @property
    def entered(self) -> Floats | None:
        """Of `line` what entered at this very step, (T, B, H): from the loss of the step, from the
        layer above, or at a sequence's end. It came through no other step."""
        parts = self._source.reading.parts
        return None if parts is None else parts.entered

    @property
    def carried(self) -> Floats | None:
        """Of `line` what came from later steps, (T, B, H): of all that had entered there, and been
        multiplied by the `factor` of each step since."""
        parts = self._source.reading.parts
        return None if parts is None else parts.carried

    @property
    def around(self) -> Floats | None:
        """The rest: each of its paths left the line at least once, (T, B, H). With `line` it is
        the whole of `adjoints`."""
        parts = self._source.reading.parts
        return None if parts is None else parts.around

    @property
    def factor(self) -> Floats | None:
        """What each step multiplies the line by, (T, B, H): f, or 1 − z; None without a line."""
        line = self._source.meter.line
        name = None if line is None else self._stacks.made[line.symbol]
        return None if name is None else self._stacks.factors[name]

    @cached_property
    def singular(self) -> Floats:
        """The least and the largest singular value of each step's Jacobian ∂(state after) /
        ∂(state before), over all sequences, (T, 2): they bound by what the norm of a gradient
        towards the whole state changes in that step."""
        return linear_maps.singular(self._source.meter.graph, self._stacks)

    @cached_property
    def waterfalls(self) -> dict[str, Waterfall]:
        """{route: its waterfall}: which local derivative wins or loses how many powers of ten at
        each step, (T - 1, links), along the line ("line") and through each gate."""
        return self._falls(linear_maps.EVERY)

    def _falls(self, only: str) -> dict[str, Waterfall]:
        meter = self._source.meter
        falls = linear_maps.Falls(meter.way, meter.line, only)
        told = self._source.told(only, lambda: falls)
        return falls.waterfalls(told, meter.mask is not None)

    @cached_property
    def waterfall(self) -> Waterfall:
        """That of the line where what it brings to t = 1 is as large as the rest that comes from
        later steps, by their norms; otherwise that of the route by which most comes."""
        along = linear_maps.LINE
        if self.split is not None and self.split.share[0] >= 0.5:  # no other need be computed
            return (self.waterfalls if self.has_read("waterfalls") else self._falls(along))[along]
        return max(self.waterfalls.values(), key=lambda w: np.nan_to_num(w.end, nan=-np.inf))

    @cached_property
    def cancellation(self) -> dict[str, Floats]:
        """{part: ‖Σ terms‖ / Σ ‖term‖ of its fan-in at each step, (T,)}: 1 where all agree, near 0
        where they cancel, NaN where nothing comes."""
        return {part: cancellation([*fan.values()]) for part, fan in self.edges.items()}

    @cached_property
    def main_cancellation(self) -> Floats:
        """`cancellation` of the main part of the state, which costs nothing more, (T,)."""
        return self._source.agreement

    @cached_property
    def unsound(self) -> Spot | None:
        """The first value of the layer that is not finite, of those of one step the first that is
        computed; None where all are."""
        stacks, spots = self._stacks, []
        for name, stack in stacks.values.items():
            places = np.argwhere(~np.isfinite(stack).all(axis=2) & stacks.counted)
            spots += [Spot(name, *(int(k) + 1 for k in place)) for place in places[:1]]
        return min(spots, key=lambda spot: spot.step, default=None)

    @cached_property
    def decades(self) -> Floats:
        """log10 of the norm of the main gradient at each step, (T,). Where the dtype is too narrow
        for it, it goes on from the step after by what a step of the same batch wins in float64, of
        a smaller or larger ∂L/∂L. -inf is a factor of 0, or too small for float64, too; NaN or inf
        is what is not finite there either."""
        norms, made = np.array(self.main.norms), self._stacks.made[self.main.symbol]
        small = norms < FEW_DIGITS * float(np.finfo(self.dtype).smallest_normal)
        with np.errstate(all="ignore"):
            result: Floats = np.log10(norms)
            for seed, lost in ((SMALL_SEED, ~np.isfinite(norms)), (LARGE_SEED, small)):
                if lost.any():
                    adjoints = self._source.again(seed).stacks.adjoints[made]
                    wide = np.log10(norms_of(adjoints)) - np.log10(seed)
                    _go_on(result, wide, np.flatnonzero(lost))
        return result

    @cached_property
    def cuts(self) -> Cuts:
        """What each route's cut changes of the main gradient, at every step."""
        routes = Routes(self._source.meter.way)
        told = self._source.told("cuts", lambda: routes)
        return routes.cuts(told["norms"], self.main.norms)

    def knockouts(self, at: int = 1) -> list[Knockout]:
        """What is left of the main gradient at step `at` where one route is cut at all steps,
        computed, the cut that changes most first. Raises ConfigError for a step that is not."""
        return self.cuts.at(self._step(at))

    def _step(self, at: int) -> int:
        if type(at) is bool or not isinstance(at, Integral) or not 1 <= at <= self.steps:
            raise ConfigError(f"at= is a step, 1 to {self.steps}, not {at!r:.40}")
        return int(at)

    def has_read(self, array: str) -> bool:
        """Whether an array is there already, as "itemised": to read it again costs nothing."""
        return array in self.__dict__

    @property
    def is_itemised(self) -> bool:
        """Whether there is `itemised`: losses of steps that are read, which a decoder's are not."""
        return self.source is not None and self.read != "decoder"

    @cached_property
    def itemised(self) -> StepMap:
        """‖∂Lₜ/∂state_s‖, for a loss at each step t, towards the main state at each step s ≤ t."""
        return across.itemised(self._source.meter, self._source.batch, self.main.symbol)

    @cached_property
    def influence(self) -> StepMap:
        """‖∂yₜ/∂x_s‖, of the readout at each step t to the input at each step s."""
        return across.influence(self._source.meter, self._source.batch)

    def influence_on(self, at: int) -> Series:
        """‖∂yₜ/∂x_s‖ of the readout at step t = `at` alone, to the input at each step s: a row of
        `influence` that no run of steps is folded in. Raises ConfigError for a step that is not."""
        return across.influence_on(self._source.meter, self._source.batch, self._step(at))

    @cached_property
    def saturation(self) -> dict[str, Saturation]:
        """{gate: of each unit, the share of values that are saturated open, and closed}."""
        counted = self._stacks.counted
        return {
            symbol: Saturation(
                (self.values[symbol][counted] > OPEN).mean(axis=0),
                (self.values[symbol][counted] < CLOSED).mean(axis=0),
            )
            for symbol in self._source.meter.gates
        }

    @cached_property
    def memory(self) -> Memory | None:
        """The memory of each unit of the line, measured and as its bias promises, in steps; None
        for a cell without a line."""
        line, log_factor = self._source.meter.line, self._source.log_factor
        if line is None or log_factor is None:
            return None
        promised = steps.promised(self._source.meter.wide().graph, line.symbol)
        return Memory(steps.remembered(log_factor), promised)

    # --- as files --------------------------------------------------------------------------------

    def table(self) -> dict[str, Sequence[float]]:
        """The numbers of each step by column, the first one t; `pandas.DataFrame` takes it."""
        columns: dict[str, Sequence[float]] = {"t": list(range(1, self.steps + 1))}
        for name, series in self.series.items():
            columns[f"|dL/d{name}|"] = series.norms
        if self.split is not None:
            columns["along the line"] = self.split.line.norms
            columns["through the gates"] = self.split.gates.norms
            if self.split.entered is not None and self.split.carried is not None:
                columns["entered here"] = self.split.entered.norms
                columns["along the line from later steps"] = self.split.carried.norms
            columns["the line's factor"] = self.split.keep
        for name, gate in self.gates.items():
            columns[f"mean {name}"] = gate.mean
        return columns

    def plain_values(self) -> dict[str, Any]:
        """All summaries as JSON values; numbers that JSON lacks become "nan", "inf", "-inf"."""
        plain: dict[str, Any] = jsonable(
            {
                name: _plain(value)
                for name, value in self.__dict__.items()
                if name in self.__dataclass_fields__ and name != "source"
            }
        )
        return plain

    def plot(self, ax: Any = None) -> Any:
        """Its curves on axes of matplotlib, new ones unless given; returns the axes."""
        from lstm.figures import plot_norms  # charts are loaded by those who plot

        return plot_norms(self, ax)

    def draw(self) -> Any:
        """The picture of its curves and heat strips. Raises RenderError."""
        from lstm.figures import compare_flows  # pictures are loaded by those who draw

        return compare_flows(
            {"": [self]}, f"{self.called}: how the gradient flows back", self.scale
        )

    def _page(self) -> str:
        from lstm.figures import explorer_of  # pages are loaded by those who write them

        return explorer_of({self.heading: self}, self.scale, self._table(), self.draw().svg)

    def _table(self) -> Table:
        title = f"{self.called}: how the gradient flows back through {counted(self.steps, 'step')}"
        heads = ("gradient", "at t=1", f"at t={self.steps}", "median step")
        rows = [series_row(f"∂L/∂{s.symbol}", s) for s in self.ordered]
        rows += [series_row(f"  {name}", series) for name, series in self.paths.items()]
        return Table(title, rows, heads, self.diagnosis)


def _go_on(decades: Floats, wide: Floats, lost: NDArray[np.intp]) -> None:
    """Fill in steps that are lost, the last first, by what each wins in float64: of a net that is
    chaotic the norms of a run in float64 may be those of other states, by ten decades."""
    for t in lost[::-1]:
        won = wide[t] - wide[t + 1] if t + 1 < len(wide) else np.nan
        joined = decades[t + 1] + won if np.isfinite(won) else np.nan
        decades[t] = joined if np.isfinite(joined) else wide[t]


def series_row(name: str, series: Series) -> tuple[str, str, str, str]:
    """A gradient in a table: its name, its norms at t = 1 and t = T, and its median step."""
    factor = f"×{series.factor:.3g}" if series.factor == series.factor else ""
    return name, series.shown(1), series.shown(len(series.norms)), factor


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(v) for name, v in value.items()}
    if not isinstance(value, (Series, Split, GateValues, Slope)):
        return value
    # not `asdict`, which copies each number of a list by itself
    return {of.name: _plain(getattr(value, of.name)) for of in fields(value)}
