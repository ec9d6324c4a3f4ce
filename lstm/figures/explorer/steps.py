"""Each step of a flow: what its equations give and get back, and what paths lost on their way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

import minigrad as mg
from lstm.figures.explorer.maps import named_series
from lstm.figures.explorer.packed import OTHERS, Codes, codes_of, packed
from lstm.gradient_flow import Flow, Waterfall
from lstm.gradient_flow.equations import Read, StepGraph, Term
from lstm.gradient_flow.steps import Bools, Floats, Stacks, all_terms, fan_in
from lstm.gradient_flow.tensors import LARGE_SEED
from minigrad.derivations.mathml import mathml
from minigrad.drawing.amount import norms_of
from minigrad.drawing.escape import plain

_OPS = 24
"""Longer equations are cut after so many operations."""
_THOUSANDTHS = 1000


def steps_of(flow: Flow) -> dict[str, Any]:
    """All numbers of each step, T of each."""
    series = named_series(flow)
    codes = np.stack([codes_of(s.norms, s.kinds) for s in series.values()])
    is_whole = flow.source is not None
    return {
        "steps": flow.steps,
        "each": {"rows": [plain(name) for name in series], "codes": packed(codes)},
        "equations": _equations(flow) if is_whole else [],
        "falls": [_fall(fall) for fall in _falls(flow)] if is_whole else [],
    }


class Notation(NamedTuple):
    """An equation of a step, in MathML: what it gives, and of what."""

    symbol: str
    formula: str


def notation(flow: Flow) -> list[Notation]:
    """The equations of a step in the order in which they are computed; none of numbers alone."""
    if flow.source is None:
        return []
    graph = flow.source.meter.graph
    shown: dict[Any, Any] = {v: _as(v, f"{name}ₜ") for name, v in graph.variables.items()}
    shown |= {v: _as(v, f"{part}ₜ₋₁") for part, v in graph.before.items()}
    shown[graph.x] = _as(graph.x, "xₜ")
    return [
        Notation(
            mathml(shown[graph.variables[name]].latex()),
            mathml(mg.to_latex(mg.substitute(equation.whole, shown), _OPS)),
        )
        for name, equation in graph.equations.items()
    ]


def _as(variable: mg.Expr, name: str) -> mg.Expr:
    return mg.var(plain(name), variable.shape, variable.dtype)


def _equations(flow: Flow) -> list[dict[str, Any]]:
    """Of each value of a step its norm, that of its gradient, and of what it gets from where."""
    source = flow._source
    meter, stacks = source.meter, source.reading.stacks
    output = meter.layer.cell.output
    fans = _fans(meter.graph, stacks, output)
    larger: Mapping[str, Mapping[str, Floats]] = {}
    if any(_is_in_doubt(term) for fan in fans.values() for term in fan.values()):
        larger = _fans(meter.wide().graph, source.again(LARGE_SEED).stacks, output)
    return [
        {
            "name": plain(name),
            "value": packed(codes_of(norms_of(stacks.values[name]))),
            "adjoint": packed(_norms(sum(fan.values()), sum(larger.get(name, {}).values()))),
            "terms": [
                {
                    "of": plain(reader),
                    "norm": packed(_norms(term, larger.get(name, {}).get(reader))),
                }
                for reader, term in fan.items()
            ],
        }
        for name, fan in fans.items()
    ]


def _fans(graph: StepGraph, stacks: Stacks, output: str) -> dict[str, dict[str, Floats]]:
    """{value: {what reads it: its term of ∂L/∂value, (T, B, H)}}, which sum to ∂L/∂value."""
    terms: Mapping[Term, Floats] = all_terms(graph, stacks)
    parts = {name: part for part, name in stacks.made.items()}
    fans: dict[str, dict[str, Floats]] = {}
    for name in graph.nodes:
        if name in parts:
            fans[name] = fan_in(stacks, terms, parts[name], output)
        else:
            here = Read(name, before=False)
            fans[name] = {reader: term for (reader, read), term in terms.items() if read == here}
    return fans


def _is_in_doubt(term: Floats) -> bool:
    """Whether a term is 0 at a step before one at which it is not: it may have underflown."""
    some: Bools = np.any(term != 0.0, axis=(1, 2))
    return bool((~some[: int(np.flatnonzero(some).max(initial=-1)) + 1]).any())


def _norms(term: Any, larger: Any) -> Codes:
    """Codes of norms at each step; larger: the same of a much larger loss, or nothing."""
    norms = np.array(norms_of(np.asarray(term)))
    if not isinstance(larger, np.ndarray):
        return codes_of(norms)
    is_lost = (norms == 0.0) & (np.array(norms_of(larger)) != 0.0)
    return codes_of(norms, np.where(is_lost, "underflow", "normal"))


def _falls(flow: Flow) -> Sequence[Waterfall]:
    """The waterfalls of all routes, that by which most comes first."""
    every = flow.waterfalls.values()  # before the main one, which is then known
    main = flow.waterfall.route
    return sorted(every, key=lambda fall: fall.route != main)


def _fall(fall: Waterfall) -> dict[str, Any]:
    """What each link lost between t = T and each step, in thousandths of a decade."""
    with np.errstate(all="ignore"):
        later = np.cumsum(fall.decades[::-1], axis=0)[::-1]
    sums = np.concatenate([later, np.zeros((1, len(fall.links)))]).T * _THOUSANDTHS
    most = OTHERS["inf"]
    codes = np.nan_to_num(sums, nan=OTHERS["nan"], posinf=most, neginf=-most)
    return {
        "route": fall.route,
        "words": "along the line" if fall.route == "line" else f"through {plain(fall.route)}",
        "start": fall.start if np.isfinite(fall.start) else None,
        "links": [plain(link) for link in fall.links],
        "sums": packed(np.clip(np.round(codes), -most, most + 1).astype(np.int32)),
    }
