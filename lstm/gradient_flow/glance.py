"""What a flow says of a gradient's way: norms and means, summed up where they are computed.

No array leaves the machine code for it, so that it costs a training step or two.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

import minigrad as mg
from lstm.cells import CELLS
from lstm.gradient_flow.fans import Coming, fan_of_state
from lstm.gradient_flow.measured import Flow
from lstm.gradient_flow.source import Source, drawn_of
from lstm.gradient_flow.steps import LEAVES, Bools, by_unit, quiet, wide_norm
from lstm.gradient_flow.summary import CLOSED, FLAT, OPEN, GateValues, Slope, Split, lost_units
from lstm.gradient_flow.tensors import LARGE_SEED, Meter
from lstm.gradient_flow.way_back import Row, Teller, in_order
from lstm.gradient_flow.words import diagnose
from minigrad import Expr
from minigrad.chains import Series, series_from

Numbers = Mapping[str, Any]
_LINE, _AROUND, _KEEP = "the line", "around the line", "the factor"
_ENTERED, _CARRIED = "entered", "carried"


class Norms:
    """Tells the norms of the gradients, and what the gates are."""

    def __init__(self, meter: Meter) -> None:
        self.meter, self.way = meter, meter.way

    def start(self) -> dict[str, dict[str, Expr]]:
        """How often each unit of each sequence was saturated."""
        variables, main = self.way.graph.variables, self.way.main
        none = {symbol: mg.zeros_like(variables[symbol]) for symbol in self.meter.gates}
        bend = self.way.nonlinearity
        flat = {} if bend is None else {main: mg.zeros_like(bend.slope)}
        return {"open": none, "closed": none, "flat": flat}

    def step(self, carry: Any, row: Row) -> tuple[Any, dict[str, Any]]:
        """The sums of one step."""
        gates = {symbol: row.values[symbol] for symbol in self.meter.gates}
        counts, factor = row.counts, {}
        if self.way.line is not None:
            factor = {_KEEP: row.factors[self.way.graph.made[self.way.line]]}
        norms = {part: row.adjoints[name] for part, name in self.way.graph.made.items()}
        if (parts := row.parts) is not None:
            norms |= {_LINE: parts.line, _AROUND: parts.around}
            norms |= {_ENTERED: parts.entered, _CARRIED: parts.carried}
        flat = {} if row.slope is None else {self.way.main: row.slope}
        ways = {} if row.slope is None else self._by_slope(row.slope, row)
        asked: list[tuple[Any, Numbers]] = [(is_open, gates), (is_closed, gates), (is_flat, flat)]
        on = {
            name: {symbol: total + holds(values[symbol], counts) for symbol, total in of.items()}
            for (name, of), (holds, values) in zip(carry.items(), asked, strict=True)
        }
        return on, {
            "slopes": ways,
            "norms": {name: wide_norm(x) for name, x in norms.items()},
            "means": {name: _mean(x, counts) for name, x in (gates | factor).items()},
            "lows": {name: _extreme(mg.min, x, counts) for name, x in gates.items()},
            "highs": {name: _extreme(mg.max, x, counts) for name, x in gates.items()},
        }

    def _by_slope(self, slope: Expr, row: Row) -> dict[str, Expr]:
        """The norms of what comes to the main state, of that after the slope, and of what the state
        before gets of it."""
        comes = mg.astype(row.adjoints[self.way.graph.made[self.way.main]], "float64")
        on = [x for term, x in row.terms.items() if term.read.before]
        sent = sum(on[1:], on[0])
        return {
            "comes": wide_norm(comes),
            "passed": wide_norm(comes * slope),
            "sent": wide_norm(sent),
        }


class Grounds:
    """Tells what advice needs besides: norms of units, how far terms agree, the line's memory."""

    def __init__(self, meter: Meter) -> None:
        self.way = meter.way

    def start(self) -> tuple[dict[str, Expr], dict[str, Expr]]:
        """What comes to the main state after the last step, by what it comes from; and the line's
        logarithms."""
        last = self.way.stacks["last"][self.way.main]
        later = {term.reader: mg.zeros_like(last) for term in self.way.terms} | {LEAVES: last}
        none = {_KEEP: mg.zeros(last.shape, "float64")}
        return later, {} if self.way.line is None else none

    def step(self, carry: Any, row: Row) -> tuple[Any, dict[str, Any]]:
        """Past padding what comes to the main state waits for the last step that counts."""
        (later, logs), made = carry, self.way.graph.made
        if self.way.line is not None:
            factor = row.factors[made[self.way.line]]
            logs = {_KEEP: logs[_KEEP] + _logs(factor, row.counts)}
        units = {part: wide_norm(row.adjoints[name], (0,)) for part, name in made.items()}
        later, agreement = self._fan_in(later, row)
        return (later, logs), {"units": units, "agreement": agreement}

    def _fan_in(self, later: dict[str, Expr], row: Row) -> tuple[dict[str, Expr], Expr]:
        """What goes on to earlier steps of what comes to the main state, and how far its terms
        agree here."""
        if self.way.main == self.way.output:
            later = later | {LEAVES: later[LEAVES] + row.leaving}
        coming = [Coming(reader, read.before, t) for (reader, read), t in row.terms.items()]
        on, fan = fan_of_state(later, coming, row.counts)
        return on, _agreement([*fan.values()])


class Glance:
    """What reads the norms of a flow; compiled once for a meter's shapes.

    brief: without what only advice needs: for flows that have no arrays, and get none. drawn: with
    what is drawn of a flow, beside.
    """

    def __init__(self, meter: Meter, *, brief: bool = False, drawn: bool = False) -> None:
        self.meter, self.brief = meter, brief
        self._tellers: dict[str, Callable[[], Teller]] = {"norms": lambda: Norms(meter)}
        if not brief:
            self._tellers["grounds"] = lambda: Grounds(meter)
        if drawn:
            self._tellers |= drawn_of(meter)

    @property
    def _run(self) -> Any:
        return self.meter.compiled((*self._tellers,), self._outputs)

    def _outputs(self) -> dict[str, Any]:
        meter = self.meter
        totals, told = meter.way.told({name: make() for name, make in self._tellers.items()})
        norms, grounds = told.pop("norms"), told.pop("grounds", {})
        wanted = {"loss": meter.value, "often": self._often(), **norms, **grounds}
        for name, shares in totals["norms"].items():
            wanted[name] = {key: self._over_steps(x) for key, x in shares.items()}
        if not self.brief:
            wanted["logs"] = {key: self._over_steps(x) for key, x in totals["grounds"][1].items()}
        return wanted | {"drawn": told | ({"inputs": meter.way.stacks["x"]} if told else {})}

    def _over_steps(self, total: Expr) -> Expr:
        """(H,): the mean over sequences and steps of what was added up over the steps, (B, H)."""
        return mg.sum(mg.astype(total, "float64"), axis=0) / self._count()

    def _count(self) -> Expr:
        """How many sequences and steps are no padding."""
        mask = self.meter.mask
        if mask is None:
            return mg.const(float(np.prod(self.meter.xs.shape[:2])))
        return mg.sum(mg.astype(mask, "float64"))

    def _often(self) -> Expr:
        """Whether something comes from above at more than one step of a sequence."""
        enters = mg.max(mg.abs(self.meter.way.stacks["leaving"]), axis=-1) != 0
        # float64, of which there is machine code
        return mg.max(mg.sum(mg.astype(enters, "float64"), axis=0)) > 1

    def read(self, xs: Any, ys: Any, mask: Any = None) -> list[Numbers]:
        """The numbers of a batch; where one is zero that need not be, those of a much larger ∂L/∂L
        in float64, too, and those of one that is NaN."""
        batch = self.meter.batch(xs, ys, mask)
        numbers = [quiet(self._run, *batch, 1.0)]
        lost = any(self._is_lost(*norms) for norms in self._shown(numbers[0]).items())
        if lost or not all(units.all() for units in numbers[0].get("units", {}).values()):
            wide = Glance(self.meter.wide(), brief=self.brief)
            numbers += [quiet(wide._run, *batch, seed) for seed in (LARGE_SEED, np.nan)]
        return numbers

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
        return self.flow(numbers, self.ends(mask), self.meter.batch(xs, ys, mask))

    def flow(
        self, numbers: list[Numbers], ends: tuple[int, ...], batch: list[Any] | None = None
    ) -> Flow:
        """The flow of what was read: norms and words, and of a batch what arrays come from."""
        first, meter = numbers[0], self.meter
        way = meter.steps

        def listed(values: Any) -> list[float]:
            return [float(x) for x in values[way]]

        joined = {}
        if len(numbers) > 1:
            joined = meter.connected(
                {part: listed(numbers[2]["norms"][part]) for part in meter.graph.made}
            )

        # of a run that is not finite a zero may be a choice at NaN, and no product
        measured = len(numbers) > 1 and bool(np.isfinite(first["loss"]))

        def series(symbol: str, name: str) -> Series:
            larger = listed(numbers[1]["norms"][name]) if measured else None
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
                open=float(first["open"][symbol].mean()),
                closed=float(first["closed"][symbol].mean()),
            )
            for symbol, gate in meter.gates.items()
        }
        norms = {part: series(part, part) for part in meter.graph.made}
        source = None
        if batch is not None:
            agreement, units, drawn = (
                in_order(first[name], way) for name in ("agreement", "units", "drawn")
            )
            logs, lost = first["logs"].get(_KEEP), self._lost(numbers)
            source = Source(meter, batch, meter.params, agreement, units, drawn, logs, lost)
        slope = self._slope(first, norms[meter.main])
        return _flow_of(meter, float(first["loss"]), norms, split, gates, source, ends, slope)

    def _slope(self, numbers: Numbers, main: Series) -> Slope | None:
        """What the nonlinearity of the main state does; an underflow says nothing of weights."""
        bend, way = self.meter.way.nonlinearity, self.meter.steps
        if bend is None:
            return None
        flat = numbers["flat"][main.symbol]
        with np.errstate(all="ignore"):
            at = {name: np.log10(norms[way]) for name, norms in numbers["slopes"].items()}
            by_slope, by_weights = at["passed"] - at["comes"], at["sent"] - at["passed"]
        by_weights[1:][np.array(main.kinds[:-1]) == "underflow"] = np.nan
        share, dead = float(flat.mean()), int((flat == 1.0).sum())
        won = by_slope.tolist(), by_weights.tolist()
        return Slope(main.symbol, bend.name, share, dead, len(flat), *won)

    def ends(self, mask: Any) -> tuple[int, ...]:
        """The steps before the last at which sequences end, in the order in which it reads."""
        if mask is None or self.meter.model.readout.read == "every":
            return ()
        counts = np.asarray(mask)[self.meter.steps]
        last = len(counts) - np.argmax(counts[::-1], axis=0)
        return tuple(int(t) for t in np.unique(last) if t < len(counts))

    def _lost(self, numbers: list[Numbers]) -> dict[str, Bools]:
        """{part: the units that underflow at each step, (T, H)}; nothing where none does."""
        if len(numbers) == 1:
            return {}
        way = self.meter.steps
        units = zip(*(of["units"].items() for of in numbers[:2]), strict=True)
        return {part: lost_units(x[way], larger[way]) for (part, x), (_, larger) in units}


def _flow_of(
    meter: Meter,
    loss: float,
    series: dict[str, Series],
    split: Split | None,
    gates: dict[str, GateValues],
    source: Source | None,
    ends: tuple[int, ...],
    slope: Slope | None,
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
        ends,
        slope,
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


def is_flat(slope: Expr, counts: Expr | None) -> Expr:
    """The same of a slope that is next to nothing."""
    return _counted(mg.astype(mg.abs(slope) < FLAT, slope.dtype), counts)


def _logs(factor: Expr, counts: Expr | None) -> Expr:
    """The logarithms of a factor where it counts, else 0, (B, H)."""
    return _counted(mg.log(mg.abs(mg.astype(factor, "float64"))), counts)
