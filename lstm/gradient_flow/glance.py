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
from lstm.gradient_flow.parts import Parts
from lstm.gradient_flow.steps import LEAVES, Bools, by_unit, quiet, wide_norm
from lstm.gradient_flow.summary import CLOSED, OPEN, GateValues, Split, lost_units
from lstm.gradient_flow.tensors import LARGE_SEED, Meter
from lstm.gradient_flow.words import diagnose
from minigrad import Expr
from minigrad.chains import Series, series_from

Numbers = Mapping[str, Any]
Step = Mapping[str, Any]
"""Rows of stacks by name, at one step; or what it is with later steps."""
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
        meter, outputs = self.meter, self.meter.outputs()
        stacks = self._stacks(outputs)
        # One loop, back through the steps: a step's numbers are in the cache, all steps' are not.
        back = not meter.layer.reverse
        _, sums = mg.scan(self._step, self._start(outputs), stacks, reverse=back)
        wanted = {"loss": outputs["loss"], "often": outputs["often"], **sums}
        counted = mg.astype(self._count(stacks.get("counts")), "float64")
        for name in ("open", "closed", "logs"):
            if name in sums:
                shares = {key: mg.sum(x, axis=0) / counted for key, x in sums[name].items()}
                wanted[name] = shares
        return mg.function([*meter.inputs, meter.seed], wanted)

    def _count(self, counts: Expr | None) -> Expr | float:
        """How many sequences and steps are no padding."""
        if counts is None:
            return mg.const(float(np.prod(self.meter.xs.shape[:2])))
        return mg.sum(mg.astype(counts, "float64"))

    def _stacks(self, outputs: Mapping[str, Any]) -> dict[str, Any]:
        """What is summed up, (T, ...) each."""
        meter = self.meter
        adjoints = outputs["adjoints"]
        norms = {part: adjoints[name] for part, name in meter.graph.made.items()}
        if parts := outputs["parts"]:
            every = Parts(**parts)
            norms |= {_LINE: every.line, _AROUND: every.around}
            norms |= {_ENTERED: every.entered, _CARRIED: every.carried}
        gates = {symbol: outputs["values"][symbol] for symbol in meter.gates}
        terms = outputs["terms"].items()
        same = {term.reader: stack for term, stack in terms if not term.read.before}
        before = {term.reader: stack for term, stack in terms if term.read.before}
        stacks: dict[str, Any] = {"norms": norms, "gates": gates, "same": same, "before": before}
        if meter.line is not None:
            stacks["factor"] = {_KEEP: outputs["factors"][meter.graph.made[meter.line.symbol]]}
        if meter.main == meter.layer.cell.output:
            stacks["leaving"] = outputs["leaving"]
        if meter.mask is not None:
            stacks["counts"] = meter.mask
        return stacks

    def _start(self, outputs: Mapping[str, Any]) -> dict[str, Expr]:
        """What comes to the main state after the last step, by what it comes from."""
        last = outputs["last"][self.meter.main]
        readers = [term.reader for term in outputs["terms"]]
        return {reader: mg.zeros_like(last) for reader in readers} | {LEAVES: last}

    def _step(self, later: dict[str, Expr], now: Step) -> tuple[dict[str, Expr], dict[str, Any]]:
        """The sums of one step. later: what comes to the main state from later steps; past padding
        it waits for the last step that counts."""
        counts, made = now.get("counts"), self.meter.graph.made
        sums: dict[str, Any] = {
            "norms": {name: wide_norm(x) for name, x in now["norms"].items()},
            "means": {
                name: _mean(x, counts)
                for name, x in (*now["gates"].items(), *now.get("factor", {}).items())
            },
            "lows": {name: _extreme(mg.min, x, counts) for name, x in now["gates"].items()},
            "highs": {name: _extreme(mg.max, x, counts) for name, x in now["gates"].items()},
            "open": {name: is_open(x, counts) for name, x in now["gates"].items()},
            "closed": {name: is_closed(x, counts) for name, x in now["gates"].items()},
        }
        if self.brief:
            return later, sums
        if "factor" in now:
            sums["logs"] = {name: _logs(x, counts) for name, x in now["factor"].items()}
        sums["units"] = {name: mg.max(mg.abs(now["norms"][name]), axis=0) for name in made}
        later, sums["agreement"] = self._fan_in(later, now)
        return later, sums

    def _fan_in(self, later: dict[str, Expr], now: Step) -> tuple[dict[str, Expr], Expr]:
        """What goes on to earlier steps of what comes to the main state, and how far its terms
        agree here."""
        counts = now.get("counts")
        if "leaving" in now:
            later = later | {LEAVES: later[LEAVES] + now["leaving"]}
        fan, waits = dict(later), {reader: mg.zeros_like(x) for reader, x in later.items()}
        if counts is not None:
            for reader, comes in later.items():
                here, none = by_unit(counts, comes), mg.zeros_like(comes)
                fan[reader] = mg.where(here, comes, none)
                waits[reader] = mg.where(here, none, comes)
        for reader, term in now["same"].items():
            fan[reader] = fan[reader] + term
        on = waits | {reader: waits[reader] + term for reader, term in now["before"].items()}
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
    """The share of the units that are saturated open, added up over the sequences.

    >>> float(is_open(mg.const([[0.9, 0.91], [1.0, 1.0]]), None))
    1.5
    """
    return _share(gate > OPEN, counts)


def is_closed(gate: Expr, counts: Expr | None) -> Expr:
    """The share of the units that are saturated closed, added up over the sequences."""
    return _share(gate < CLOSED, counts)


def _share(holds: Expr, counts: Expr | None) -> Expr:
    return mg.sum(_counted(mg.astype(holds, "float64"), counts)) / holds.shape[1]


def _logs(factor: Expr, counts: Expr | None) -> Expr:
    """The logarithms of a factor of each unit, added up over the sequences, (H,)."""
    logs = mg.log(mg.abs(mg.astype(factor, "float64")))
    return mg.sum(_counted(logs, counts), axis=0)
