"""Which step reaches which: itemised gradients ‖∂Lₜ/∂state_s‖, and the influence ‖∂yₜ/∂x_s‖.

One sweep back for each step t, several at a time, in the loops that train.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

import minigrad as mg
from lstm.errors import ConfigError
from lstm.gradient_flow.steps import Floats, Words, norm
from lstm.gradient_flow.tensors import LARGE_SEED, Meter, looped
from minigrad import Expr
from minigrad.display import in_a_line

MOST = 256
"""So many rows and columns there are at most."""
_CHUNK = 2**23
"""So many elements of adjoints are there at a time."""


@dataclass(frozen=True)
class StepMap:
    """A number for each pair of steps, from t (rows) back to s (columns).

    Of more than 256 steps, `rows` are samples, 256 of them, evenly spaced, the first and the last
    included: each takes a sweep of its own, and what lies between is not known. A column is a run
    of steps, of which there is the least number and the largest.
    """

    symbol: str
    """What the number is: "‖∂Lₜ/∂C_s‖"."""
    rows: tuple[int, ...]
    """The steps t, counted from 1."""
    columns: tuple[tuple[int, int], ...]
    """The first and the last step s of each column."""
    low: Floats
    """(rows, columns)"""
    high: Floats
    """(rows, columns); `low` where each column is one step."""
    kinds: Words
    """(rows, columns), of `high`: "underflow" is a zero that is none, as the product was too small
    for the dtype; all others are "normal", and what the number says."""
    low_kinds: Words
    """The same of `low`."""

    def __repr__(self) -> str:
        return in_a_line(self)

    @property
    def title(self) -> str:
        """What headings call it: what the number is, and of how many steps, where it is of some."""
        steps = self.columns[-1][1]
        sampled = f" ({len(self.rows)} of {steps:,} steps t)"
        return self.symbol + sampled * (len(self.rows) < steps)

    @classmethod
    def of(
        cls, symbol: str, rows: Sequence[int], norms: Floats, larger: Floats | None = None
    ) -> StepMap:
        """From norms (rows, T); larger: the same of a much larger loss in float64, where a zero
        stays only if it has a factor of 0.

        >>> StepMap.of("‖∂Lₜ/∂h_s‖", [1], np.arange(512.0)[None]).columns[-1]
        (511, 512)
        """
        steps = norms.shape[1]
        edges = np.linspace(0, steps, min(steps, MOST) + 1).round().astype(int)
        spans = list(pairwise(edges))
        low, high = (
            np.stack([pick(norms[:, a:b], axis=1) for a, b in spans], axis=1)
            for pick in (np.min, np.max)
        )
        columns = tuple((int(a) + 1, int(b)) for a, b in spans)
        # Of a run of which all are 0 the largest is lost where any is, and the least where all are.
        lost = np.zeros(norms.shape, bool) if larger is None else (norms == 0.0) & (larger != 0.0)
        none = (norms == 0.0) & ~lost
        any_lost, any_none = (
            np.stack([some[:, a:b].any(axis=1) for a, b in spans], axis=1) for some in (lost, none)
        )
        kinds, low_kinds = (
            np.where(is_lost, "underflow", "normal")
            for is_lost in ((high == 0.0) & any_lost, any_lost & ~any_none)
        )
        return cls(symbol, tuple(t + 1 for t in rows), columns, low, high, kinds, low_kinds)


def rows_of(steps: int) -> list[int]:
    """Up to 256 of the steps 0 … steps - 1, evenly spaced, the first and the last included."""
    return [int(t) for t in np.linspace(0, steps - 1, min(steps, MOST)).round()]


def itemised(meter: Meter, batch: Sequence[Any], part: str) -> StepMap:
    """‖∂Lₜ/∂state_s‖ for a loss at every step t, where s ≤ t (Cashman et al., "RNNbow:
    visualizing learning via backpropagation gradients in recurrent neural networks", 2019).

    Of a model that reads every step, Lₜ is the loss of step t alone; of one that reads the last,
    the loss were step t read instead: if all layers read forwards, were the sequences to end at t.
    t and s count in the order of the layer.
    """
    rows, norms = _itemised(meter, batch, part)
    larger = _where_lost(rows, norms, lambda: _itemised(meter.wide(), batch, part, LARGE_SEED))
    return StepMap.of(f"‖∂Lₜ/∂{part}_s‖", rows, norms, larger)


def _itemised(
    meter: Meter, batch: Sequence[Any], part: str, seed: float = 1.0
) -> tuple[list[int], Floats]:
    """The steps t, and the norms (rows, T), times `seed`."""
    whole = _every_step(meter)
    run, loop = looped(whole, meter.xs, meter.mask, meter.place)
    losses = mg.vmap(_loss_of_step(meter), in_axes=(0, 0 if _reads_every(meter) else None))(
        run.output, meter.ys
    )
    steps = losses.shape[0]
    place = mg.var("t", (), "int64")
    adjoints = mg.adjoints(mg.sum(_unit(place, losses)) * seed)
    norms = norm(adjoints[getattr(loop.made, part)], (1, 2))
    rows = rows_of(steps)
    backwards = meter.layer.reverse
    places = np.array([steps - 1 - t if backwards else t for t in rows])
    numbers = _for_each(meter, batch, place, norms, places)
    return rows, numbers[:, ::-1] if backwards else numbers


def influence(meter: Meter, batch: Sequence[Any]) -> StepMap:
    """‖∂yₜ/∂x_s‖ of the readout at every step t to what the model reads at step s, the connectivity
    of Madsen ("Visualizing memorization in RNNs", Distill 2019), over all of y's elements; of
    tokens, to what the embedding makes of them. t and s count as time does."""
    rows, norms = _influence(meter, batch)
    larger = _where_lost(rows, norms, lambda: _influence(meter.wide(), batch, LARGE_SEED))
    return StepMap.of("‖∂yₜ/∂x_s‖", rows, norms, larger)


def _influence(meter: Meter, batch: Sequence[Any], seed: float = 1.0) -> tuple[list[int], Floats]:
    """The steps t, and the norms (rows, T), times `seed`."""
    whole = _every_step(meter)
    places = whole.recurrent()
    run, loop = looped(whole, meter.xs, meter.mask, next(iter(places)))
    read = loop.xs if whole.layers.tokens else meter.xs
    steps, _, width = run.output.shape
    place = mg.var("t and element", (), "int64")
    at = mg.permute_dims(run.output, (0, 2, 1))  # (T, O, B)
    units = _unit(place, mg.reshape(at, (steps * width, -1)))
    norms = norm(mg.grad(mg.sum(units) * seed, read), (1, 2))
    rows = rows_of(steps)
    places = np.array([t * width + k for t in rows for k in range(width)])
    numbers = _for_each(meter, batch, place, norms, places).astype(np.float64)
    by_element = numbers.reshape(len(rows), width, steps)
    with np.errstate(over="ignore"):
        return rows, np.sqrt(np.square(by_element).sum(axis=1))


def _where_lost(
    rows: Sequence[int], norms: Floats, larger: Callable[[], tuple[list[int], Floats]]
) -> Floats | None:
    """The larger norms, if there are zeros before t, which need not be any."""
    before = np.arange(norms.shape[1]) <= np.array(rows)[:, None]
    return larger()[1] if ((norms == 0.0) & before).any() else None


def _unit(place: Expr, values: Expr) -> Expr:
    """values (N, ...) with 0 everywhere but at one place."""
    here = mg.arange(values.shape[0]) == place
    here = mg.reshape(here, (-1, *[1] * (values.ndim - 1)))
    return mg.where(mg.broadcast_to(here, values.shape), values, mg.zeros_like(values))


def _every_step(meter: Meter) -> Any:
    """The model with its readout at every step; its parameters are the same leaves. Raises
    ConfigError for a decoder, whose outputs are of no step that is read."""
    if meter.model.readout.read == "decoder":
        raise ConfigError(
            "a decoder says its tokens after all steps, so that no pairs of steps can be told; "
            "lstm.plot_attention_routes shows by which ways the gradient comes back to each step"
        )
    return replace(meter.model, readout=replace(meter.model.readout, read="every"))


def _reads_every(meter: Meter) -> bool:
    return bool(meter.model.readout.read == "every")


def _loss_of_step(meter: Meter) -> Callable[[Expr, Expr], Expr]:
    """The loss of one step's output and its target."""
    if not _reads_every(meter):
        return meter.loss
    return lambda output, target: meter.loss(mg.expand_dims(output, 0), mg.expand_dims(target, 0))


def _for_each(
    meter: Meter, batch: Sequence[Any], place: Expr, norms: Expr, places: NDArray[np.int64]
) -> Floats:
    """`norms` for each of some places, so many at a time that their adjoints have room."""
    many = max(1, min(len(places), _CHUNK // max(meter.loop.outputs.size, 1)))
    stack = mg.var("places", (many,), "int64")
    every = mg.vmap(lambda one: mg.substitute(norms, {place: one}))(stack)
    read = {*mg.free_variables(every)}
    pairs = [(v, x) for v, x in zip(meter.inputs, batch, strict=True) if v in read]
    run = mg.function([*(v for v, _ in pairs), stack], [every])
    padding = np.zeros(-len(places) % many, np.int64)
    parts = np.concatenate([places, padding]).reshape(-1, many)
    with np.errstate(all="ignore"):
        made = np.concatenate([run(*(x for _, x in pairs), part)[0] for part in parts])
    return made[: len(places)]
