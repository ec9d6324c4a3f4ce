"""Where the arrays of a flow come from, and what is told of a batch when it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from lstm.gradient_flow.cuts import Routes
from lstm.gradient_flow.linear_maps import EVERY, LINE, Falls
from lstm.gradient_flow.steps import Bools, Floats
from lstm.gradient_flow.tensors import Meter, Reading, Values
from lstm.gradient_flow.way_back import Teller


@dataclass(frozen=True, repr=False, eq=False)
class Source:
    """Where a flow's arrays come from: what measured it, the batch, and what was told already."""

    of: Meter
    batch: list[Any]
    """The batch as the meter takes it."""
    params: Values
    """The parameters' values as they were."""
    agreement: Floats
    """`main_cancellation`, (T,)."""
    units: Mapping[str, Floats]
    """`unit_norms`"""
    drawn: dict[str, Any]
    """What tellers told."""
    log_factor: Floats | None
    """The mean logarithm of the line's factor over steps and sequences, (H,)."""
    lost: Mapping[str, Bools]
    """{part of the state: (T, H), units whose gradient is 0 though no factor is}; nothing: none."""

    @property
    def meter(self) -> Meter:
        """What measured it, with the parameters as they were then."""
        self.of.refresh(self.params)
        return self.of

    def note(self, told: Mapping[str, Any]) -> None:
        """Take what tellers told of the batch in another function, for `told` to give."""
        self.drawn.update(told)

    def told(self, name: str, teller: Callable[[], Teller]) -> Any:
        """What a teller tells of the batch."""
        if name in self.drawn:
            return self.drawn[name]
        return self.meter.told(name, teller, self.batch)

    @cached_property
    def reading(self) -> Reading:
        """The numbers of all steps."""
        return self.meter.read(*self.batch)

    def again(self, seed: float) -> Reading:
        """The same batch in float64, of another ∂L/∂L."""
        xs, ys, mask = [*self.batch, None][:3]
        return self.meter.wide().read(xs, ys, mask, seed)


def drawn_of(meter: Meter) -> dict[str, Callable[[], Teller]]:
    """What tells all that is drawn of a flow beside its norms, by the names that it asks for."""
    fall = EVERY if meter.line is None else LINE  # most likely the line carries most
    return {
        "cuts": lambda: Routes(meter.way),
        fall: lambda: Falls(meter.way, meter.line, only=fall),
    }
