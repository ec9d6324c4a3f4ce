"""What a flow says of a gradient's way: norms and means, summed up where they are computed.

No array leaves the machine code for it, so that it costs a training step or two.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

import minigrad as mg
from lstm.cells import CELLS
from lstm.gradient_flow.measured import Flow, Source
from lstm.gradient_flow.steps import LEAVES, Bools, by_unit, quiet, wide_norm
from lstm.gradient_flow.summary import CLOSED, OPEN, GateValues, Split, lost_units
from lstm.gradient_flow.tensors import LARGE_SEED, Meter, Row
from lstm.gradient_flow.words import diagnose
from minigrad import Expr
from minigrad.chains import Series, series_from

Numbers = Mapping[str, Any]
_LINE, _AROUND, _KEEP = "the line", "around the line", "the factor"
_ENTERED, _CARRIED = "entered", "carried"


class Glance:
    """What reads the norms of a flow; compiled once for a meter's shapes.

    brief: without what only advice needs: for flows that have no arrays, and get none.
    """

    def __init__(self, meter: Meter, *, brief: bool = False) -> None:
        self.meter, self.brief = meter, brief

    @cached_property
    def _run(self) -> Any:
        meter = self.meter
        (_, totals), sums = meter.back(self._start(), self._step)
        wanted = {"loss": meter.value, "often": self._often(), **sums}
        for name, shares in totals.items():
            # a mean over sequences and steps, and of shares over units too
            whole = {key: mg.sum(mg.astype(x, "float64"), axis=0) for key, x in shares.items()}
            means = {key: x / self._count() for key, x in whole.items()}
            wanted[name] = means if name == "logs" else {k: mg.mean(x) for k, x in means.items()}
        return mg.function([*meter.inputs, meter.seed], wanted)

    def _count(self) -> Expr:
        """How many sequences and steps are no padding."""
        mask = self.meter.mask
        if mask is None:
            return mg.const(float(np.prod(self.meter.xs.shape[:2])))
        return mg.sum(mg.astype(mask, "float64"))

    def _often(self) -> Expr:
        """Whether something comes from above at more than one step of a sequence."""
        enters = mg.max(mg.abs(self.meter.outputs()["leaving"]), axis=-1) != 0
        # float64, of which there is machine code
        return mg.max(mg.sum(mg.astype(enters, "float64"), axis=0)) > 1

    def _start(self) -> tuple[dict[str, Expr], dict[str, Any]]:
        """What comes to the main state after the last step, by what it comes from; and what is
        added up over the steps, of each unit of each sequence."""
        meter = self.meter
        last = meter.outputs()["last"][meter.main]
        later = {term.reader: mg.zeros_like(last) for term in meter.terms} | {LEAVES: last}
        none = {symbol: mg.zeros_like(meter.graph.variables[symbol]) for symbol in meter.gates}
        totals: dict[str, Any] = {"open": none, "closed": none}
        if self.brief:
            return {}, totals
        if meter.line is not None:
            totals["logs"] = {_KEEP: mg.zeros(last.shape, "float64")}
        return later, totals

    def _step(self, carry: Any, row: Row) -> tuple[Any, dict[str, Any]]:
        """The sums of one step. Carried is what comes to the main state from later steps, which
        past padding waits for the last step that counts, and what is added up."""
        (later, totals), counts, made = carry, row.counts, self.meter.graph.made
        gates = {symbol: row.values[symbol] for symbol in self.meter.gates}
        factor = {}
        if self.meter.line is not None:
            factor = {_KEEP: row.factors[made[self.meter.line.symbol]]}
        norms = {part: row.adjoints[name] for part, name in made.items()}
        if (parts := row.parts) is not None:
            norms |= {_LINE: parts.line, _AROUND: parts.around}
            norms |= {_ENTERED: parts.entered, _CARRIED: parts.carried}
        sums: dict[str, Any] = {
            "norms": {name: wide_norm(x) for name, x in norms.items()},
            "means": {name: _mean(x, counts) for name, x in (gates | factor).items()},
            "lows": {name: _extreme(mg.min, x, counts) for name, x in gates.items()},
            "highs": {name: _extreme(mg.max, x, counts) for name, x in gates.items()},
        }
        for name, holds in (("open", is_open), ("closed", is_closed)):
            now = {symbol: totals[name][symbol] + holds(x, counts) for symbol, x in gates.items()}
            totals = totals | {name: now}
        if self.brief:
            return (later, totals), sums
        if factor:
            totals |= {"logs": {_KEEP: totals["logs"][_KEEP] + _logs(factor[_KEEP], counts)}}
        sums["units"] = {name: mg.max(mg.abs(norms[name]), axis=0) for name in made}
        later, sums["agreement"] = self._fan_in(later, row)
        return (later, totals), sums

    def _fan_in(self, later: dict[str, Expr], row: Row) -> tuple[dict[str, Expr], Expr]:
        """What goes on to earlier steps of what comes to the main state, and how far its terms
        agree here."""
        counts = row.counts
        if self.meter.main == self.meter.output:
            later = later | {LEAVES: later[LEAVES] + row.leaving}
        fan, waits = dict(later), {reader: mg.zeros_like(x) for reader, x in later.items()}
        if counts is not None:
            for reader, comes in later.items():
                here, none = by_unit(counts, comes), mg.zeros_like(comes)
                fan[reader] = mg.where(here, comes, none)
                waits[reader] = mg.where(here, none, comes)
        on = dict(waits)
        for (reader, read), term in row.terms.items():
            if read.before:
                on[reader] = on[reader] + term
            else:
                fan[reader] = fan[reader] + term
        return on, _agreement([*fan.values()])

    def read(self, xs: Any, ys: Any, mask: Any = None) -> list[Numbers]:
        """The numbers of a batch; where one is zero that need not be, those of a much larger ∂L/∂L
        in float64, too, and those of one that is NaN."""
        given = self.meter.given(xs, ys, mask)
        numbers = [quiet(self._run, *given, 1.0)]
        lost = any(self._is_lost(*norms) for norms in self._shown(numbers[0]).items())
        if lost or not all(units.all() for units in numbers[0].get("units", {}).values()):
            wide = self._wide
            wide.meter.refresh(self.meter)
            numbers += [quiet(wide._run, *given, seed) for seed in (LARGE_SEED, np.nan)]
        return numbers

    @cached_property
    def _wide(self) -> Glance:
        return Glance(self.meter.wide(), brief=self.brief)

    def _shown(self, numbers: Numbers) -> dict[str, Any]:
        """The norms of what is told of a flow."""
        norms = dict(numbers["norms"])
        if not numbers["often"]:
            for name in (_ENTERED, _CARRIED):
                norms.pop(name, None)
        return norms

    def _is_lost(self, name: str, norms: Any) -> bool:
        end = slice(1, None) if self.meter.layer.reverse else slice(None, -1)
        return not norms[end if name in (_AROUND, _CARRIED) else slice(None)].all()

    def measure(self, xs: Any, ys: Any, mask: Any = None) -> Flow:
        """The flow of a batch, which knows where its arrays come from."""
        numbers = self.read(xs, ys, mask)
        return self.flow(numbers, self.meter.given(xs, ys, mask))

    def flow(self, numbers: list[Numbers], batch: list[Any] | None = None) -> Flow:
        """The flow of what was read: norms and words, and of a batch what arrays come from."""
        first, meter = numbers[0], self.meter
        way = -1 if meter.layer.reverse else 1

        def listed(values: Any) -> list[float]:
            return [float(x) for x in values[::way]]

        joined = {}
        if len(numbers) > 1:
            joined = meter.connected(
                {part: listed(numbers[2]["norms"][part]) for part in meter.graph.made}
            )

        def series(symbol: str, name: str) -> Series:
            larger = listed(numbers[1]["norms"][name]) if len(numbers) > 1 else None
            at = None if name == _ENTERED else joined.get(symbol)
            return series_from(symbol, listed(first["norms"][name]), larger, at)

        split = None
        if (line := meter.line) is not None:
            names = [n for n in (_LINE, _AROUND, _ENTERED, _CARRIED) if n in self._shown(first)]
            parts = [series(line.symbol, name) for name in names]
            split = Split(line.symbol, line.factor, listed(first["means"][_KEEP]), *parts)
        gates = {
            symbol: GateValues(
                *gate,
                mean=listed(first["means"][symbol]),
                low=listed(first["lows"][symbol]),
                high=listed(first["highs"][symbol]),
                open=float(first["open"][symbol]),
                closed=float(first["closed"][symbol]),
            )
            for symbol, gate in meter.gates.items()
        }
        norms = {part: series(part, part) for part in meter.graph.made}
        source = None
        if batch is not None:
            logs = first.get("logs", {}).get(_KEEP)
            source = Source(meter, batch, first["agreement"][::way], logs, self._lost(numbers))
        return _flow_of(meter, float(first["loss"]), norms, split, gates, source)

    def _lost(self, numbers: list[Numbers]) -> dict[str, Bools]:
        """{part: the units that underflow at each step, (T, H)}; nothing where none does."""
        if len(numbers) == 1:
            return {}
        way = -1 if self.meter.layer.reverse else 1
        units = zip(*(of["units"].items() for of in numbers[:2]), strict=True)
        return {part: lost_units(x[::way], larger[::way]) for (part, x), (_, larger) in units}


def _flow_of(
    meter: Meter,
    loss: float,
    series: dict[str, Series],
    split: Split | None,
    gates: dict[str, GateValues],
    source: Source | None,
) -> Flow:
    """What was measured, with what it means in words."""
    cell = meter.layer.cell
    kind = type(cell)
    whole = Flow(
        cell.name if CELLS.get(cell.name, kind) is kind else kind.__name__,  # none other has ours
        len(next(iter(series.values())).norms),
        meter.xs.shape[1],
        meter.model.dtype,
        loss,
        series,
        split,
        gates,
        [],
        cell.heading,
        cell.output,
        meter.model.readout.read,
        meter.place.replace(".", " ") if len(meter.model.recurrent()) > 1 else "",
        source,
    )
    return replace(whole, diagnosis=diagnose(whole))


# --- the numbers of one step, of arrays (B, H); counts: (B,), which sequences are no padding ------


def _counted(x: Expr, counts: Expr | None, otherwise: float = 0.0) -> Expr:
    """x, and where there is padding a number."""
    if counts is None:
        return x
    return mg.where(by_unit(counts, x), x, mg.full_like(x, otherwise))


def _agreement(terms: Sequence[Expr]) -> Expr:
    """‖Σ terms‖ / Σ ‖term‖."""
    total, *rest = terms
    sizes, *more = map(wide_norm, terms)
    for term, size in zip(rest, more, strict=True):
        total, sizes = total + term, sizes + size
    return wide_norm(total) / sizes


def _mean(x: Expr, counts: Expr | None) -> Expr:
    x = mg.astype(x, "float64")
    if counts is None:
        return mg.mean(x)
    return mg.sum(_counted(x, counts)) / (mg.sum(mg.astype(counts, "float64")) * x.shape[1])


def _extreme(pick: Any, x: Expr, counts: Expr | None) -> Expr:
    extreme: Expr = pick(_counted(x, counts, np.inf if pick is mg.min else -np.inf))
    return extreme


def is_open(gate: Expr, counts: Expr | None) -> Expr:
    """1 where a unit of a sequence is saturated open, else 0, in the gate's dtype.

    >>> is_open(mg.const([[0.9, 0.91], [1.0, 1.0]]), None).eval().tolist()
    [[0.0, 1.0], [1.0, 1.0]]
    """
    return _counted(mg.astype(gate > OPEN, gate.dtype), counts)


def is_closed(gate: Expr, counts: Expr | None) -> Expr:
    """The same of those that are saturated closed."""
    return _counted(mg.astype(gate < CLOSED, gate.dtype), counts)


def _logs(factor: Expr, counts: Expr | None) -> Expr:
    """The logarithms of a factor where it counts, else 0, (B, H)."""
    return _counted(mg.log(mg.abs(mg.astype(factor, "float64"))), counts)
