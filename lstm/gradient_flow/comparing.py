"""Flows side by side, on one scale: cells, or one model before and after training."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from lstm.errors import ConfigError
from lstm.gradient_flow import words
from lstm.gradient_flow.differences import Difference
from lstm.gradient_flow.measured import Flow, series_row
from lstm.gradient_flow.saving import Saved
from minigrad.display import Table
from minigrad.drawing import Scale


@dataclass(frozen=True, repr=False, eq=False)
class Comparison(Saved):
    """What `lstm.compare` gives: flows by name, in the order in which they were given."""

    flows: dict[str, Flow]

    @property
    def scale(self) -> Scale:
        """The one colour scale of all their norms."""
        return Scale.of(x for flow in self.flows.values() for s in flow.ordered for x in s.norms)

    @property
    def sentences(self) -> list[str]:
        """How much more of the gradient reaches t = 1 in each than in the one before."""
        told = []
        for (x, first), (y, second) in pairwise(self.flows.items()):
            is_plain = (x, y) == (first.heading, second.heading)
            told.append(words.compare(first, second, named=() if is_plain else (x, y)))
        return told

    def table(self) -> dict[str, list[Any]]:
        """The norms of all of them by column, one row for each flow, step and part of the state;
        `pandas.DataFrame` takes it."""
        rows = [
            (name, t, series.symbol, norm)
            for name, flow in self.flows.items()
            for series in flow.ordered
            for t, norm in enumerate(series.norms, 1)
        ]
        return dict(
            zip(("flow", "t", "part", "norm"), map(list, zip(*rows, strict=True)), strict=True)
        )

    def plain_values(self) -> dict[str, Any]:
        """The summaries of all of them, by name, as JSON values."""
        return {name: flow.plain_values() for name, flow in self.flows.items()}

    def draw(self) -> Any:
        """The picture of all of them on one scale. Raises RenderError."""
        from lstm.figures import compare_flows  # pictures are loaded by those who draw

        flows = {name: [replace(flow, title=name)] for name, flow in self.flows.items()}
        return compare_flows(flows, scale=self.scale, words=self.sentences)

    def difference(self, first: str | None = None, second: str | None = None) -> Difference:
        """One flow less another, in decades by step and by unit; the first two of them unless
        named. Raises ConfigError for a name that is none, and for flows of unequal steps.

        >>> import numpy as np, lstm
        >>> xs, ys = np.ones((20, 3, 2)), np.ones((3, 1))
        >>> models = [lstm.Model.create(cell(2, 4), 1, seed=0) for cell in (lstm.RNN, lstm.LSTM)]
        >>> both = lstm.compare(*[lstm.flow(model, xs, ys) for model in models])
        >>> difference = both.difference("LSTM", "RNN")
        >>> difference.decades.shape, difference.by_unit.shape
        ((20,), (20, 4))
        """
        listed = [*self.flows]
        names = listed[0] if first is None else first, listed[1] if second is None else second
        for name in names:
            if not isinstance(name, str) or name not in self.flows:
                raise ConfigError(f"no flow {name!r:.40}; they are {', '.join(listed):.200}")
        return Difference(self.flows[names[0]], self.flows[names[1]], names)

    def _page(self) -> str:
        from lstm.figures import explorer_of  # pages are loaded by those who write them

        return explorer_of(self.flows, self.scale, self._table(), self.draw().svg)

    def _table(self) -> Table:
        rows = [
            (name, *series_row(f"∂L/∂{s.symbol}", s))
            for name, flow in self.flows.items()
            for s in flow.ordered
        ]
        heads = ("flow", "gradient", "at t=1", "at t=T", "median step")
        return Table("Gradient flows side by side", rows, heads, self.sentences)


def check_flow(value: Any, what: str) -> Flow:
    """The value. Raises ConfigError, with what it is given to, unless it is a flow."""
    if not isinstance(value, Flow):
        shown = repr(value) if value is None or isinstance(value, str) else type(value).__name__
        raise ConfigError(
            f"{what} takes a flow, what lstm.flow(model, xs, ys) gives, not {shown:.40}"
        )
    return value


def compare(*flows: Flow, names: Any = None) -> Comparison:
    """Put flows side by side: cells on one batch, or a model before and after training.

    names: one for each; else what their titles call them, with a number where two are called
    alike. Raises ConfigError for fewer than two flows, and for names that are not one each.

    >>> import numpy as np, lstm
    >>> xs, ys = np.ones((20, 3, 2)), np.ones((3, 1))
    >>> models = [lstm.Model.create(cell(2, 4), 1, seed=0) for cell in (lstm.RNN, lstm.LSTM)]
    >>> both = lstm.compare(*[lstm.flow(model, xs, ys) for model in models])
    >>> list(both.flows), len(both.sentences)
    (['RNN', 'LSTM'], 1)
    """
    if len(flows) < 2 or not all(isinstance(flow, Flow) for flow in flows):
        raise ConfigError("compare takes two flows or more, each of lstm.flow(model, xs, ys)")
    if names is not None and (isinstance(names, str) or not isinstance(names, Iterable)):
        raise ConfigError(f"names= are a list, one for each flow, not {names!r:.80}")
    called = [flow.called for flow in flows] if names is None else [str(name) for name in names]
    if len(called) != len(flows) or (names is not None and len({*called}) < len(called)):
        raise ConfigError(f"names= are {len(flows)} different ones, one a flow, not {names!r:.80}")
    counts = {name: called.count(name) for name in called}
    seen: dict[str, int] = {}
    unique = []
    for name in called:
        seen[name] = seen.get(name, 0) + 1
        unique.append(f"{name} {seen[name]}" if counts[name] > 1 else name)
    if len({*unique}) < len(unique):  # a heading is the name that another one's number makes
        raise ConfigError(f"flows are called alike, {', '.join(unique):.80}: give names=, one each")
    return Comparison(dict(zip(unique, flows, strict=True)))
