"""Which step reaches which: itemised gradients ‖∂Lₜ/∂state_s‖, and the influence ‖∂yₜ/∂x_s‖.

One sweep back for each step t, several at a time, in the loops that train.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

import minigrad as mg
from lstm.errors import ConfigError
from lstm.gradient_flow.steps import Floats, Words, norm, quiet
from lstm.gradient_flow.tensors import LARGE_SEED, Meter, looped
from minigrad import Expr
from minigrad.chains import Series
from minigrad.display import in_a_line

MOST = 256
"""So many rows and columns there are at most."""
_CHUNK = 2**22
"""So many elements of adjoints are there at a time."""
_Places = NDArray[np.int64]
_Spans = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class StepMap:
    """A number for each pair of steps, from t (rows) back to s (columns).

    Of more than 256 steps both are runs of steps. Of the pairs of two runs there are the least
    number and the largest, of all of them; of a run with itself but for those of which s lies after
    t and there is nothing.
    """

    symbol: str
    """What the number is: "‖∂Lₜ/∂C_s‖"."""
    rows: _Spans
    """The first and the last step t of each row, counted from 1."""
    columns: _Spans
    """The first and the last step s of each column."""
    low: Floats
    """(rows, columns)"""
    high: Floats
    """(rows, columns); `low` where each run is one step."""
    kinds: Words
    """(rows, columns), of `high`: "underflow" is a zero that is none, as the product was too small
    for the dtype; all others are "normal", and what the number says."""
    low_kinds: Words
    """The same of `low`."""

    def __repr__(self) -> str:
        return in_a_line(self)

    @classmethod
    def of(cls, symbol: str, norms: Floats, larger: Floats | None = None) -> StepMap:
        """From norms (T, T); larger: the same of a much larger loss in float64, where a zero stays
        only if it has a factor of 0.

        >>> pairs = StepMap.of("‖∂Lₜ/∂h_s‖", np.arange(512.0) + np.zeros((512, 1)))
        >>> pairs.columns[-1], pairs.rows[0], float(pairs.low[0, -1]), float(pairs.high[0, -1])
        ((511, 512), (1, 2), 510.0, 511.0)
        """
        bins = _Bins(len(norms))
        bins.add(np.arange(len(norms)), norms, larger)
        return bins.told(symbol)


class _Bins:
    """The extremes of pairs of runs of steps, of rows (T,) that come some at a time."""

    def __init__(self, steps: int) -> None:
        self.edges = np.linspace(0, steps, min(steps, MOST) + 1).round().astype(np.int64)
        shape = (len(self.edges) - 1,) * 2
        self.run = np.repeat(np.arange(shape[0]), np.diff(self.edges))
        self.low, self.high = np.full(shape, np.inf), np.full(shape, -np.inf)
        self.lost, self.none = np.zeros(shape, bool), np.zeros(shape, bool)

    def add(self, rows: _Places, norms: Floats, larger: Floats | None) -> None:
        """Take the numbers (R, T) of some rows; larger: as of `StepMap.of`."""
        zero, steps = norms == 0.0, np.arange(norms.shape[1])
        lost = np.zeros_like(zero) if larger is None else zero & (larger != 0.0)
        is_after = (self.run[rows][:, None] == self.run) & (steps > rows[:, None])
        no_pair = is_after & zero & ~lost
        parts: list[tuple[np.ufunc, NDArray[Any], NDArray[Any]]] = [
            (np.minimum, self.low, np.where(no_pair, np.inf, norms)),
            (np.maximum, self.high, norms),
            (np.logical_or, self.lost, lost),
            (np.logical_or, self.none, zero & ~lost & ~no_pair),
        ]
        for pick, total, part in parts:
            by_column = pick.reduceat(part, self.edges[:-1], axis=1)
            for run, row in zip(self.run[rows], by_column, strict=True):
                pick(total[run], row, out=total[run])

    def told(self, symbol: str) -> StepMap:
        """The map of all rows."""
        # Of a run of which all are 0 the largest is lost where any is, and the least where all are.
        lost = (self.high == 0.0) & self.lost, self.lost & ~self.none
        kinds = [np.where(is_lost, "underflow", "normal") for is_lost in lost]
        runs = tuple((int(a) + 1, int(b)) for a, b in pairwise(self.edges))
        return StepMap(symbol, runs, runs, self.low, self.high, *kinds)


def itemised(meter: Meter, batch: list[Any], part: str) -> StepMap:
    """‖∂Lₜ/∂state_s‖ for a loss at every step t, where s ≤ t (Cashman et al., "RNNbow:
    visualizing learning via backpropagation gradients in recurrent neural networks", 2019).

    Of a model that reads every step, Lₜ is the loss of step t alone; of one that reads the last,
    the loss were step t read instead: if all layers read forwards, were the sequences to end at t.
    t and s count in the order of the layer.
    """

    def sweep(meter: Meter, batch: list[Any], seed: float) -> _Sweep:
        run, loop = looped(_every_step(meter), meter.xs, meter.mask, meter.place)
        place = mg.var("t", (), "int64")
        adjoints = mg.adjoints(mg.sum(_unit(place, _losses(meter, run.output))) * seed)
        norms = norm(adjoints[getattr(loop.made, part)], (1, 2))
        return _Sweep(meter, batch, place, norms, backwards=meter.layer.reverse)

    return _binned(f"‖∂Lₜ/∂{part}_s‖", meter, batch, sweep)


def influence(meter: Meter, batch: list[Any]) -> StepMap:
    """‖∂yₜ/∂x_s‖ of the readout at every step t to what the model reads at step s, the connectivity
    of Madsen ("Visualizing memorization in RNNs", Distill 2019), over all of y's elements; of
    tokens, to what the embedding makes of them. t and s count as time does."""

    return _binned("‖∂yₜ/∂x_s‖", meter, batch, _from_outputs)


def influence_on(meter: Meter, batch: list[Any], step: int) -> Series:
    """‖∂yₜ/∂x_s‖ of the readout at one step t, counted from 1, to what the model reads at each step
    s: a row of the influence of all, of any number of steps."""
    row, made = np.array([step - 1]), partial(_from_outputs, rows=1)

    def measured(meter: Meter, batch: list[Any]) -> tuple[Floats, Floats]:
        sweep = made(meter, batch, 1.0)
        return _measured(row, sweep, lambda: made(meter.wide(), batch, LARGE_SEED))

    norms, larger = measured(meter, batch)
    cut = _before_bad(meter, batch) if np.isnan(norms).any() else None
    if cut is not None and step <= len(cut[1][0]):
        norms, larger = (_padded(x, norms.shape[1]) for x in measured(*cut))
    lost = (norms == 0.0) & (larger != 0.0)
    return Series("x", norms[0].tolist(), np.where(lost, "underflow", "normal")[0].tolist())


def _from_outputs(meter: Meter, batch: list[Any], seed: float, rows: int | None = None) -> _Sweep:
    """The way back from the output of each step to what is read."""
    whole = _every_step(meter)
    run, loop = looped(whole, meter.xs, meter.mask, next(iter(whole.recurrent())))
    read = loop.xs if whole.layers.tokens else meter.xs
    steps, _, width = run.output.shape
    place = mg.var("t and element", (), "int64")
    at = mg.permute_dims(run.output, (0, 2, 1))  # (T, O, B)
    units = _unit(place, mg.reshape(at, (steps * width, -1)))
    norms = norm(mg.grad(mg.sum(units) * seed, read), (1, 2))
    return _Sweep(meter, batch, place, norms, width, rows=rows)


_Made = Callable[[Meter, list[Any], float], "_Sweep"]


def _binned(symbol: str, meter: Meter, batch: list[Any], made: _Made) -> StepMap:
    """All rows of a sweep, with their extremes in runs of steps. Where an output is not finite, the
    rows before are of the steps before: 0 · NaN would be NaN in all of them."""
    pairs = _all_rows(symbol, meter, batch, made)
    cut = _before_bad(meter, batch) if np.isnan(pairs.high).any() else None
    return pairs if cut is None else _all_rows(symbol, *cut, made, len(batch[0]))


def _all_rows(
    symbol: str, meter: Meter, batch: list[Any], made: _Made, steps: int | None = None
) -> StepMap:
    """steps: how many there are where the batch was cut; of the rest all is NaN up to t."""
    sweep, wide = made(meter, batch, 1.0), cache(lambda: made(meter.wide(), batch, LARGE_SEED))
    whole = steps or sweep.steps
    bins = _Bins(whole)
    for rows in sweep.blocks():
        bins.add(rows, *(_padded(x, whole) for x in _measured(rows, sweep, wide)))
    for t in range(sweep.steps, whole):
        row = np.where(np.arange(whole) <= t, np.nan, 0.0)
        bins.add(np.array([t]), row[None], None)
    return bins.told(symbol)


def _padded(rows: Floats, steps: int) -> Floats:
    """Rows with 0 at further steps."""
    return np.pad(rows, ((0, 0), (0, steps - rows.shape[1])))


def _before_bad(meter: Meter, batch: list[Any]) -> tuple[Meter, list[Any]] | None:
    """What measures the steps before the first whose output is not finite, and their batch; None
    where there are none, or all, where a layer reads backwards, so that each output has read all
    steps, and where the loss cannot be had of fewer."""
    if any(layer.reverse for layer in meter.model.recurrent().values()):
        return None

    def outputs() -> list[Expr]:
        return [looped(_every_step(meter), meter.xs, meter.mask).run.output]

    (made,) = quiet(meter.compiled("outputs", outputs), *batch, 1.0)
    bad = ~np.isfinite(made).all(axis=(1, 2))
    steps, (xs, ys, *mask) = int(bad.argmax()), batch
    if not steps:
        return None
    ys = ys[:steps] if _reads_every(meter) else ys
    try:
        return meter.of_shape(xs[:steps], ys), [xs[:steps], ys, *(m[:steps] for m in mask)]
    except (ConfigError, mg.ShapeError):
        return None


def _measured(rows: _Places, sweep: _Sweep, wide: Callable[[], _Sweep]) -> tuple[Floats, Floats]:
    """The norms of some rows, and the same of a much larger loss in float64, which need not be run
    where none is 0 before t."""
    norms = sweep(rows)
    is_zero = (norms == 0.0) & (np.arange(sweep.steps) <= rows[:, None])
    return norms, wide()(rows) if is_zero.any() else norms


class _Sweep:
    """The way back from each of some steps t, compiled.

    norms: (T,) for a place, t · width + k for each of `width` elements k of step t, over which the
    norm is taken. backwards: t and s count from the last step. rows: how many steps it is asked for
    at a time; as many as have room unless given.
    """

    def __init__(
        self,
        meter: Meter,
        batch: list[Any],
        place: Expr,
        norms: Expr,
        width: int = 1,
        backwards: bool = False,
        rows: int | None = None,
    ) -> None:
        self.steps, self._width, self._backwards = norms.shape[0], width, backwards
        many = max(1, _CHUNK // max(meter.loop.outputs.size, 1))
        self._rows = max(1, min(many // width, rows or self.steps))
        self._many = min(many, self._rows * width)
        stack = mg.var("places", (self._many,), "int64")
        every = mg.vmap(lambda one: mg.substitute(norms, {place: one}))(stack)
        read = {*mg.free_variables(every)}
        pairs = [(v, x) for v, x in zip(meter.inputs, batch, strict=True) if v in read]
        self._batch = [x for _, x in pairs]
        self._run = mg.function([*(v for v, _ in pairs), stack], [every])

    def blocks(self) -> Iterator[_Places]:
        """All steps, so many at a time that their adjoints have room."""
        for first in range(0, self.steps, self._rows):
            yield np.arange(first, min(first + self._rows, self.steps))

    def __call__(self, rows: _Places) -> Floats:
        """The norms of some steps, (R, T)."""
        at = self.steps - 1 - rows if self._backwards else rows
        places = (at[:, None] * self._width + np.arange(self._width)).ravel()
        padding = np.zeros(-len(places) % self._many, np.int64)
        parts = np.concatenate([places, padding]).reshape(-1, self._many)
        made = np.concatenate([quiet(self._run, *self._batch, part)[0] for part in parts])
        norms = made[: len(places)].astype(np.float64).reshape(len(rows), self._width, self.steps)
        whole: Floats = np.hypot.reduce(norms, axis=1)  # also of those whose squares are 0
        return whole[:, ::-1] if self._backwards else whole


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


def _losses(meter: Meter, output: Expr) -> Expr:
    """(T,): the loss of each step's output and its target. Of a loss that has something of all
    steps, such as a mask, and cannot be had of one: what the step has in that of all, to first
    order."""
    axes = (0, 0 if _reads_every(meter) else None)
    try:
        losses: Expr = mg.vmap(_loss_of_step(meter), in_axes=axes)(output, meter.ys)
        return losses
    except (ConfigError, mg.ShapeError):
        if not _reads_every(meter):
            raise
    sent = mg.stop_gradient(mg.grad(meter.loss(output, meter.ys), output))
    entered: Expr = mg.sum(sent * output, axis=(1, 2))
    return entered


def _loss_of_step(meter: Meter) -> Callable[[Expr, Expr], Expr]:
    """The loss of one step's output and its target."""
    if not _reads_every(meter):
        return meter.loss
    return lambda output, target: meter.loss(mg.expand_dims(output, 0), mg.expand_dims(target, 0))
