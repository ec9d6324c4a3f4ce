"""A quick look at a gradient's way: norms and means, summed up where they are computed.

Of a training that goes on, so that no array leaves the machine code, and words wait until asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np

import minigrad as mg
from lstm.gradient_flow.measured import Flow
from lstm.gradient_flow.measuring import flow_of
from lstm.gradient_flow.parts import Parts
from lstm.gradient_flow.steps import norm, quiet
from lstm.gradient_flow.summary import CLOSED, OPEN, GateValues, Split
from lstm.gradient_flow.tensors import LARGE_SEED, Meter
from minigrad import Expr
from minigrad.chains import Series, series_from

Numbers = Mapping[str, Any]
_LINE, _AROUND, _KEEP = "the line", "around the line", "the factor"
_ENTERED, _CARRIED = "entered", "carried"


class Glance:
    """What reads the norms of a flow; compiled once for a meter's shapes."""

    def __init__(self, meter: Meter) -> None:
        self.meter = meter

    @cached_property
    def _run(self) -> Any:
        outputs, meter = self.meter.outputs(), self.meter
        adjoints = outputs["adjoints"]
        norms = {part: _norms(adjoints[name]) for part, name in meter.graph.made.items()}
        if parts := outputs["parts"]:
            every = Parts(**parts)
            norms |= {_LINE: _norms(every.line), _AROUND: _norms(every.around)}
            norms |= {_ENTERED: _norms(every.entered), _CARRIED: _norms(every.carried)}
        stacks = {symbol: outputs["values"][symbol] for symbol in meter.gates}
        wanted = {
            "loss": outputs["loss"],
            "often": outputs["often"],
            "norms": norms,
            "means": {symbol: self._mean(stack) for symbol, stack in stacks.items()},
            "lows": {symbol: self._extreme(mg.min, stack) for symbol, stack in stacks.items()},
            "highs": {symbol: self._extreme(mg.max, stack) for symbol, stack in stacks.items()},
            "open": {symbol: self._share(stack > OPEN) for symbol, stack in stacks.items()},
            "closed": {symbol: self._share(stack < CLOSED) for symbol, stack in stacks.items()},
        }
        if meter.line is not None:
            factor = outputs["factors"][meter.graph.made[meter.line.symbol]]
            wanted["means"][_KEEP] = self._mean(factor)
        return mg.function([*meter.inputs, meter.seed], wanted)

    def _rows(self, like: Expr) -> Expr | None:
        mask = self.meter.mask
        return None if mask is None else mg.broadcast_to(mg.expand_dims(mask, 2), like.shape)

    def _mean(self, stack: Expr) -> Expr:
        """The mean of each step, over what counts."""
        rows = self._rows(stack)
        if rows is None:
            return mg.mean(stack, axis=(1, 2))
        whole = mg.sum(mg.where(rows, stack, mg.zeros_like(stack)), axis=(1, 2))
        return whole / mg.astype(mg.sum(rows, axis=(1, 2)), stack.dtype)

    def _extreme(self, pick: Any, stack: Expr) -> Expr:
        rows, far = self._rows(stack), np.inf if pick is mg.min else -np.inf
        if rows is not None:
            stack = mg.where(rows, stack, mg.full_like(stack, far))
        extreme: Expr = pick(stack, axis=(1, 2))
        return extreme

    def _share(self, holds: Expr) -> Expr:
        """The share of all values that count for which something holds."""
        rows = self._rows(holds)
        count = mg.const(float(holds.size)) if rows is None else mg.sum(rows)
        return mg.sum(holds if rows is None else holds & rows) / mg.astype(count, "float64")

    def read(self, xs: Any, ys: Any, mask: Any = None) -> list[Numbers]:
        """The numbers of a batch; where one is zero that need not be, those of a much larger ∂L/∂L
        in float64, too, and those of one that is NaN."""
        given = self.meter.given(xs, ys, mask)
        numbers = [quiet(self._run, *given, 1.0)]
        shown = self._shown(numbers[0])
        if any(self._is_lost(name, norms) for name, norms in shown.items()):
            wide = self._wide
            wide.meter.refresh(self.meter)
            numbers += [quiet(wide._run, *given, seed) for seed in (LARGE_SEED, np.nan)]
        return numbers

    @cached_property
    def _wide(self) -> Glance:
        return Glance(self.meter.wide())

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

    def flow(self, numbers: list[Numbers]) -> Flow:
        """The flow of what was read: norms and words, without arrays."""
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
            return series_from(symbol, listed(first["norms"][name]), larger, joined.get(symbol))

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
        return flow_of(meter, float(first["loss"]), norms, split, gates)


def _norms(stack: Expr) -> Expr:
    """The norm of each step of a stack (T, ...)."""
    return norm(stack, tuple(range(1, stack.ndim)))
