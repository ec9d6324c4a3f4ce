"""What the numbers of a flow mean, in sentences. Every threshold is a constant here.

Nothing here knows one cell from another: what gates are called comes with their values.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from lstm.gradient_flow.advice import TOO_SMALL, advice, cancelled, explodes, vanishes
from lstm.gradient_flow.measured import Flow
from lstm.gradient_flow.nonfinite import not_finite
from lstm.gradient_flow.summary import CLOSED, OPEN, TOLD, GateValues
from lstm.layers import subscript
from lstm.percents import percent
from minigrad.chains import Jump, Series
from minigrad.display import plain

OFF = 0.5
"""Jumps are told where the median step, taken T - 1 times, misses t = 1 by more than so many
decades."""
EQUAL = 0.05
"""Two gradients closer than so many decades are told as equal."""
NAMED = 4
"""So many units are named."""
SHORTER = (
    "A norm is of all sequences together, and the shorter ones come in where they end: "
    "lstm.flow(model, xs[:, [k]], ys[[k]]) measures a long one alone."
)
"""Told where that makes a jump."""
EVERY = "Each step has a loss of its own, so this is not how far back a gradient travels."
"""Told of a model whose loss is read from every step."""


def diagnose(flow: Flow) -> list[str]:
    """What the numbers mean, one sentence a finding: the main gradient, what to try for it, where
    its terms cancel; the others; by which path it came; which gates are saturated."""
    main, *others = (describe(series, flow.ends) for series in flow.ordered)
    broken = not_finite(flow) or [main]
    tries = [one.sentence for one in advice(flow)]
    lost = [] if (sentence := cancelled(flow)) is None else [sentence]
    lost += [] if (sentence := units_lost(flow)) is None else [sentence]
    notes = [EVERY] if flow.read == "every" and flow.steps > 1 else []
    notes += [SHORTER] if any(ends_in(jump, flow.ends) for jump in flow.main.jumps) else []
    return [*broken, *tries, *lost, *others, *notes, *path_words(flow)]


def ends_in(jump: Jump, ends: Sequence[int]) -> bool:
    """Whether sequences end on the way of a jump, which is no factor then but what enters there."""
    return any(jump.end <= t < jump.start for t in ends)


def units_lost(flow: Flow) -> str | None:
    """Which units of the main gradient underflow at t = 1, where the others do not."""
    if flow.source is None or flow.main.first == 0.0:
        return None
    main = flow.main.symbol
    lost = flow.source.lost.get(main)
    units = [] if lost is None else [k for k, is_lost in enumerate(lost[0], 1) if is_lost]
    if lost is None or not units:
        return None
    named = ", ".join(map(str, units[:NAMED])) + ", …" * (len(units) > NAMED)
    many = f"{len(units)} underflow" if len(units) > 1 else "one underflows"
    return (
        f"Of the {lost.shape[1]} units of {main}, {many} to 0 at t=1 ({named}): no "
        f"factor on the way is 0, but their product is too small for {flow.dtype}."
    )


def path_words(flow: Flow) -> list[str]:
    """By which path the main gradient came, and which gates are shut or open for good."""
    words = []
    if flow.split is not None and flow.split.share[0] == flow.split.share[0]:
        parts = ", ".join(f"{series.shown(1, 1)} {name}" for name, series in flow.paths.items())
        here = f"∂L/∂{subscript(flow.split.symbol, 1)}"
        words.append(f"At t=1, the parts of {here} have these norms: {parts}.")
    return words + [_saturation(g) for g in flow.gates.values() if max(g.open, g.closed) >= TOLD]


def describe(series: Series, ends: Sequence[int] = ()) -> str:
    """One gradient's way back in one sentence; ends: the steps where shorter sequences end."""
    name = f"∂L/∂{series.symbol}"
    norms = series.norms
    bad = max((t for t, x in enumerate(norms, 1) if not math.isfinite(x)), default=0)
    if bad:
        sound = Series(series.symbol, norms[bad:], series.kinds[bad:])
        grows = (
            f"explodes: {_pace(sound, [t - bad for t in ends])}and is"
            if bad < len(norms) and explodes(sound)
            else "is"
        )
        return f"{name} {grows} not finite from t={bad} down."
    if not any(norms):
        apart = all(kind == "disconnected" for kind in series.kinds)
        return f"{name} is {'not connected to the loss' if apart else '0'} at every step."
    return f"{_way_back(series, name, ends)}.{_late_start(series)}"


def _late_start(series: Series) -> str:
    """From which step on nothing that is made reaches the loss, if that is so."""
    start = len(series.norms)
    while series.kinds[start - 1] == "disconnected":
        start -= 1
    apart = f" From t={start + 1} on nothing joins it to the loss: not connected."
    return apart if start < len(series.norms) else ""


def died_at(series: Series) -> int:
    """The step from which down a gradient is 0, or too small to teach; 1 where it reaches t = 1.

    >>> from minigrad.chains import series_from
    >>> died_at(series_from("h", [1e-9, 1e-8, 1e-3, 1.0])), died_at(series_from("h", [0.5, 1.0]))
    (2, 1)
    """
    if series.first == 0.0 and any(series.norms):
        return next(t for t, x in enumerate(series.norms) if x != 0.0)
    return _last_crossing(series) if vanishes(series) else 1


def _way_back(series: Series, name: str, ends: Sequence[int]) -> str:
    """How a gradient that is finite, and not 0 at every step, comes to t = 1."""
    steps = len(series.norms)
    arrives = f"{name} reaches t=1 at {series.first:.1e}"
    if steps == 1:
        return arrives
    pace, end = _pace(series, ends), died_at(series)
    if series.first == 0.0:
        why = _ENDS.get(series.kinds[end - 1], "a factor of 0 ends it")
        return f"{name} does not reach t=1: {pace}{why} from t={end} down"
    if vanishes(series):
        return (
            f"{name} vanishes: {pace}below {TOO_SMALL:g} of its start from t={end} down, "
            f"{series.first:.1e} at t=1"
        )
    if explodes(series):
        return f"{name} explodes: {pace}{series.first:.1e} at t=1"
    return f"{arrives} ({pace.removesuffix(', ')})" if pace else arrives


_ENDS = {"underflow": "it underflows to 0", "disconnected": "it is not connected to the loss"}


def _pace(series: Series, ends: Sequence[int]) -> str:
    """How one step back goes in general, and where it goes otherwise; ends with a comma."""
    factor = series.factor
    if factor != factor:
        return ""
    pace = f"median step ×{_factor(factor)}, "
    jumps = series.jumps if _misses(series) else []
    if jumps:
        start, end, whole = jumps[0]
        where = f"×{_factor(whole)} from t={start} to t={end}"
        where += ", where shorter sequences end" if ends_in(jumps[0], ends) else ""
        pace += (
            f"but {where}, " if len(jumps) == 1 else f"{len(jumps)} jumps, the largest {where}, "
        )
    return pace


def _misses(series: Series) -> bool:
    """Whether the median step alone would tell a wrong norm at the end of the way back."""
    sound = [t for t, x in enumerate(series.norms) if 0.0 < x < math.inf]
    ends = math.log10(series.norms[sound[0]]) - math.log10(series.norms[sound[-1]])
    return abs(ends - (sound[-1] - sound[0]) * math.log10(series.factor)) > OFF


def _factor(x: float) -> str:
    return f"{x:.3f}" if 0.1 < x < 10.0 else f"{x:.2g}"


def _last_crossing(series: Series) -> int:
    """The largest t from which on, going down, all norms are too small."""
    least = TOO_SMALL * series.start
    return next((t for t, x in enumerate(series.norms) if x >= least), len(series.norms))


def _saturation(gate: GateValues) -> str:
    parts = []
    if gate.open >= TOLD:
        means = f": {gate.one}" if gate.one else ""
        parts.append(
            f"{percent(gate.open, 0)} are saturated open ({gate.symbol} > {OPEN:g}{means})"
        )
    if gate.closed >= TOLD:
        means = f": {gate.zero}" if gate.zero else ""
        parts.append(
            f"{percent(gate.closed, 0)} are saturated closed ({gate.symbol} < {CLOSED:g}{means})"
        )
    name = f"{gate.name}s" if gate.name else f"gates {gate.symbol}"
    return f"Of the {name}, {' and '.join(parts)}."


def _is(series: Series) -> str:
    """What a gradient is at t = 1, as the end of a sentence."""
    words = series.shown(1, 1)
    return "underflows to 0" if words == "underflow" else f"is {words}"


def compare(first: Flow, second: Flow, *, named: Sequence[str] = ()) -> str:
    """How much more of the gradient reaches t = 1 in the second than in the first, in words.

    named: what the two are called, where their headings do not tell them apart.
    """
    a, b = first.main, second.main
    names = [f"∂L/∂{subscript(part.symbol, 1)}" for part in (a, b)]
    if named:
        names = [f"{what} of '{plain(name)}'" for what, name in zip(names, named, strict=True)]
    else:
        headings = first.heading, second.heading
        names = [f"the {cell}'s {what}" for what, cell in zip(names, headings, strict=True)]
    sound = all(0.0 < x.first < math.inf for x in (a, b))
    if not sound:
        return f"At t=1, {names[1]} {_is(b)} and {names[0]} {_is(a)}."
    decades = math.log10(b.first) - math.log10(a.first)
    if abs(decades) < EQUAL:
        return f"At t=1, {names[1]} ({b.first:.1e}) is as large as {names[0]} ({a.first:.1e})."
    size = "larger" if decades > 0 else "smaller"
    return (
        f"At t=1, {names[1]} ({b.first:.1e}) is {abs(decades):.1f} decades {size} "
        f"than {names[0]} ({a.first:.1e})."
    )
