"""One flow less another: by how many powers of ten which of the two holds more of the gradient."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from lstm.errors import ConfigError
from lstm.gradient_flow.measured import Flow
from lstm.gradient_flow.saving import Saved
from lstm.gradient_flow.steps import Floats
from lstm.gradient_flow.words import EQUAL, compare
from lstm.plain_values import jsonable
from minigrad.display import Table


@dataclass(frozen=True, repr=False, eq=False)
class Difference(Saved):
    """The main gradient of one flow less that of another, in decades: log10 of their ratio.

    first, second: both of so many steps. names: what the two are called. Raises ConfigError for
    flows of unequal steps.
    """

    first: Flow
    second: Flow
    names: tuple[str, str]

    def __post_init__(self) -> None:
        if self.first.steps != self.second.steps:
            (a, b), steps = self.names, (self.first.steps, self.second.steps)
            raise ConfigError(
                f"{a!r:.40} has {steps[0]} steps and {b!r:.40} {steps[1]}: a difference by step is "
                "of flows of as many"
            )

    @cached_property
    def decades(self) -> Floats:
        """(T,): log10 ‖∂L/∂C_t‖ of the first less that of the second. Where a dtype is too narrow
        it is of a smaller or larger loss; infinite where one alone is 0, NaN where both are."""
        with np.errstate(all="ignore"):
            return np.subtract(*[_decades(flow) for flow in (self.first, self.second)])

    @cached_property
    def by_unit(self) -> Floats | None:
        """(T, H): the same of each unit, over its batch; None where the two have not as many, and
        for flows of numbers alone."""
        if self.first.source is None or self.second.source is None:
            return None
        both = [flow.unit_norms[flow.main.symbol] for flow in (self.first, self.second)]
        if both[0].shape[1] != both[1].shape[1]:
            return None
        with np.errstate(all="ignore"):
            return np.subtract(*[np.log10(norms) for norms in both])

    @property
    def without_units(self) -> str:
        """Why there is nothing by unit; nothing where there is."""
        if self.by_unit is not None:
            return ""
        flows = self.first, self.second
        alone = [n for n, flow in zip(self.names, flows, strict=True) if flow.source is None]
        if alone:
            return f"Units are not compared: {alone[0]} is of numbers alone."
        counts = [flow.unit_norms[flow.main.symbol].shape[1] for flow in flows]
        (a, b), (m, n) = self.names, counts
        return f"Units are not compared: {a} has {m} and {b} {n}."

    @property
    def sentences(self) -> list[str]:
        """Which holds more at t = 1, and where they differ most."""
        sizes = np.abs(np.where(np.isfinite(self.decades), self.decades, 0.0))
        most = int(sizes.argmax()) + 1
        told = [self._at(1) or compare(self.first, self.second, named=self.names)]
        if most > 1 and sizes[most - 1] - sizes[0] >= EQUAL:
            told.append(f"They differ most at t={most}: {self._at(most)}")
        return told

    def _at(self, t: int) -> str:
        """Which holds more at a step; nothing where that is no number."""
        decades = float(self.decades[t - 1])
        if not np.isfinite(decades):
            return ""
        if abs(decades) < EQUAL:
            return f"{self.names[0]} and {self.names[1]} hold as much at t={t}."
        more, less = self.names if decades > 0 else self.names[::-1]
        return f"{more} holds {abs(decades):.1f} decades more than {less} at t={t}."

    def table(self) -> dict[str, list[Any]]:
        """Both norms and their difference by step, and of each unit where both have as many;
        `pandas.DataFrame` takes it."""
        columns: dict[str, list[Any]] = {"t": [*range(1, self.first.steps + 1)]}
        for name, flow in zip(self.names, (self.first, self.second), strict=True):
            columns[f"{name}: |dL/d{flow.main.symbol}|"] = flow.main.norms
        columns["decades"] = self.decades.tolist()
        units = () if self.by_unit is None else self.by_unit.T
        return columns | {f"unit {k}": unit.tolist() for k, unit in enumerate(units, 1)}

    def plain_values(self) -> dict[str, Any]:
        """All as JSON values; numbers that JSON lacks become "nan", "inf" and "-inf"."""
        values = {"names": [*self.names], "sentences": self.sentences, "steps": self.table()}
        plain: dict[str, Any] = jsonable(values)
        return plain

    def plot(self, ax: Any = None) -> Any:
        """The decades by step on axes of matplotlib, new ones unless given; returns the axes."""
        from lstm.figures import plot_difference  # charts are loaded by those who plot

        return plot_difference(self, ax)

    def draw(self) -> Any:
        """The picture by step, and by unit where both have as many. Raises RenderError."""
        from lstm.figures import draw_difference  # pictures are loaded by those who draw

        return draw_difference(self)

    def _table(self) -> Table:
        steps = dict.fromkeys([1, (self.first.steps + 1) // 2, self.first.steps])
        rows = [
            (f"t={t}", self.first.main.shown(t), self.second.main.shown(t), f"{d:+.2f}")
            for t, d in ((t, float(self.decades[t - 1])) for t in steps)
        ]
        heads = ("step", *self.names, "decades")
        said = [*self.sentences, *filter(None, [self.without_units])]
        return Table(f"{self.names[0]} less {self.names[1]}", rows, heads, said)


def _decades(flow: Flow) -> Floats:
    decades: Floats = np.log10(flow.main.norms) if flow.source is None else flow.decades
    return decades
