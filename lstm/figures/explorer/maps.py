"""The maps of a flow: rows over runs of steps, as JSON with arrays of codes in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lstm.figures.explorer.packed import Codes, codes_of, extremes, runs_of
from lstm.figures.explorer.tokens import SEQUENCES
from lstm.figures.plots import units_of
from lstm.gradient_flow import Flow, Series
from lstm.gradient_flow.across import MOST, StepMap
from lstm.gradient_flow.attended import routes_of, weights_of
from lstm.gradient_flow.tensors import LARGE_SEED
from lstm.layers import Decoder
from lstm.made_for import answer_names
from minigrad.drawing.escape import plain

ITEMISED = 256
"""Of flows of more steps the triangle is on the page only where it was read before: it takes
seconds."""
_PAIRS = 4 * ITEMISED**2
"""So many pairs of a step and an element of the output at another are told of influence at most,
for the same reason."""


_WAYS = {
    "at_once": "attention at step t",
    "later": "attention at later steps",
    "start": "the decoder's start",
}
"""The parts of `Routes` as rows."""


def maps_of(flow: Flow) -> list[dict[str, Any]]:
    """The maps of a flow that there are: norms, those of the states that stand for the net's steps,
    units, gates, itemised gradients, and, of tokens, the influence of each, and of attention the
    ways through it and where it looks."""
    norms = _norms(flow)
    made = (
        norms,
        _folded(flow, norms),
        _units(flow),
        _gates(flow),
        _itemised(flow),
        _influence(flow),
        _routes(flow),
        _attention(flow),
    )
    return [m for m in made if m]


def _map(
    key: str, title: str, labels: list[str], low: Codes, high: Codes, **more: Any
) -> dict[str, Any]:
    """A map of rows over the runs of steps; of runs of one step each the least is left out."""
    same = low is high or bool((low == high).all())
    known = {"key": key, "title": plain(title), "rows": [plain(label) for label in labels]}
    return known | {"high": high} | ({} if same else {"low": low}) | more


def _over_runs(flow: Flow, codes: Codes) -> tuple[Codes, Codes]:
    return extremes(codes, runs_of(flow.steps, MOST))


def _norms(flow: Flow) -> dict[str, Any]:
    """Of the whole gradient, and of its parts."""
    codes = np.stack([codes_of(s.norms, s.kinds) for s in named_series(flow).values()])
    title = "How much of the gradient reaches each step"
    return _map("norms", title, [*named_series(flow)], *_over_runs(flow, codes), called=True)


def _folded(flow: Flow, norms: Mapping[str, Any]) -> dict[str, Any] | None:
    """The norms' rows of the states, beside the first step and the last of the net that is
    opened."""
    if flow.source is None:
        return None
    states = {of: norms[of][: len(flow.ordered)] for of in ("rows", "high", "low") if of in norms}
    return {**norms, **states, "key": "folded", "title": "All steps, folded: ‖∂L/∂state‖"}


def named_series(flow: Flow) -> dict[str, Series]:
    """All series of norms by what they are called, the main one first."""
    return {f"|∂L/∂{s.symbol}ₜ|": s for s in flow.ordered} | flow.paths


def _units(flow: Flow) -> dict[str, Any] | None:
    """Of the gradient towards the state that is made to last, unit by unit."""
    if flow.source is None:
        return None
    symbol = flow.main.symbol
    sizes, kinds = units_of(flow, symbol)
    labels = [f"unit {k}" for k in range(1, len(sizes) + 1)]
    title = f"|∂L/∂{symbol}ₜ| of each unit"
    return _map("units", title, labels, *_over_runs(flow, codes_of(sizes, kinds)))


def _gates(flow: Flow) -> dict[str, Any] | None:
    """The mean of each gate; its extremes over batch and units are those of the run."""
    if not flow.gates:
        return None
    gates = flow.gates.values()
    means, lows, highs = (
        codes_of([getattr(gate, of) for gate in gates]) for of in ("mean", "low", "high")
    )
    labels = [f"{g.symbol}, {g.name}" if g.name else g.symbol for g in gates]
    low, high = _over_runs(flow, means)
    least, most = _over_runs(flow, lows)[0], _over_runs(flow, highs)[1]
    ends = {"least": least, "most": most}
    return _map("gates", "What the gates do", labels, low, high, shares=True, **ends)


def _itemised(flow: Flow) -> dict[str, Any] | None:
    """How much the loss of each step t gives each step s, where that costs little or is known."""
    is_cheap = flow.steps <= ITEMISED or flow.has_read("itemised")
    if not (flow.is_itemised and is_cheap):
        return None
    title = f"{flow.itemised.symbol}, itemised by the loss"
    return _triangle("itemised", title, flow.itemised, ("loss", "losses"))


def _influence(flow: Flow) -> dict[str, Any] | None:
    """How much the output at each step t changes with the token at each step s, where that costs
    little or is known."""
    if flow.source is None:
        return None
    model = flow.source.meter.model
    is_cheap = flow.steps**2 * model.output_size <= _PAIRS or flow.has_read("influence")
    if not (model.layers.tokens and is_cheap):
        return None
    if model.readout.read == "decoder" or flow.source.meter.layer.reverse:
        return None  # whose outputs are of no step that is read, or whose steps go the other way
    pairs = flow.influence
    if len(pairs.columns) != len(runs_of(flow.steps, MOST)):
        return None
    title = f"{pairs.symbol}, of the output by each token"
    return _triangle("influence", title, pairs, ("output", "outputs"))


def _routes(flow: Flow) -> dict[str, Any] | None:
    """By which ways the gradient comes back, of a model whose decoder looks at what was read."""
    if flow.source is None:
        return None
    meter, batch = flow.source.meter, flow.source.batch
    readout = meter.model.readout
    if not isinstance(readout, Decoder) or readout.attention is None:
        return None
    routes = routes_of(meter, batch)
    norms = np.stack([routes.norms[part] for part in _WAYS])[:, meter.steps]
    larger = norms
    if not norms.all():
        wide = routes_of(meter.wide(), batch, LARGE_SEED)
        larger = np.stack([wide.norms[part] for part in _WAYS])[:, meter.steps]
    kinds = np.where((norms == 0.0) & (larger != 0.0), "underflow", "normal")
    title = f"By which ways ∂L/∂{routes.symbol}ₜ comes back"
    return _map("routes", title, [*_WAYS.values()], *_over_runs(flow, codes_of(norms, kinds)))


def _attention(flow: Flow) -> dict[str, Any] | None:
    """Of each sequence, how much of each token that is said comes of each step that was read."""
    if flow.source is None or not flow.source.meter.model.readout.attends:
        return None
    meter, batch = flow.source.meter, flow.source.batch
    weights = weights_of(meter, batch)[:SEQUENCES]
    if weights.shape[-1] != flow.steps:
        return None
    names = answer_names(meter.model)
    each = []
    for shares, said in zip(weights, np.asarray(batch[1]).T, strict=False):
        labels = [f"u = {u}{_quoted(names, k)}" for u, k in enumerate(said.tolist(), start=1)]
        title = "Where the decoder looks for each token that it says"
        low, high = _over_runs(flow, codes_of(shares))
        feet = codes_of(np.zeros(low.shape))  # a bar stands on 0
        each.append(_map("attention", title, labels, low, high, shares=True, least=feet))
    return {"key": "attention", "shares": True, "each": each}


def _quoted(names: Sequence[str], token: int) -> str:
    """What a token that is said is called, or its number; nothing of padding."""
    if token < 0:
        return ""
    return f" “{names[token] if names else token}”"


def _triangle(key: str, title: str, pairs: StepMap, of: tuple[str, str]) -> dict[str, Any]:
    """A map of pairs of steps. of: what each row is of, and what a run of them."""
    high = _pairs(pairs, pairs.high, pairs.kinds)
    low = _pairs(pairs, pairs.low, pairs.low_kinds)
    one, many = of
    labels = [f"{one} at t = {a}" if a == b else f"{many} at t = {a} to {b}" for a, b in pairs.rows]
    return _map(key, title, labels, low, high, pairs=True)


def _pairs(pairs: StepMap, norms: Any, kinds: Any) -> Codes:
    """Codes of a triangle: there is nothing where s lies after t, but what a layer that
    reads backwards brings."""
    last = np.array([b for _, b in pairs.rows])[:, None]
    first = np.array([a for a, _ in pairs.columns])
    return codes_of(
        norms, np.where((first > last) & ((norms == 0.0) & (kinds != "underflow")), "none", kinds)
    )
