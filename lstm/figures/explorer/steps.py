"""Each step of a flow: what its equations give and get back, and what paths lost on their way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any, NamedTuple

import numpy as np

import minigrad as mg
from lstm.figures.explorer.graph import StepPicture
from lstm.figures.explorer.maps import named_series
from lstm.figures.explorer.packed import Codes, codes_of
from lstm.gradient_flow import Flow, Waterfall
from lstm.gradient_flow.equations import StepGraph
from lstm.gradient_flow.linear_maps import EVERY, Falls
from lstm.gradient_flow.ops import Asked, ToldOps, same_ops, told_of_ops
from lstm.gradient_flow.steps import LEAVES, Floats, largest
from lstm.gradient_flow.tensors import LARGE_SEED
from lstm.gradient_flow.way_back import Teller
from lstm.plain_values import jsonable
from minigrad.derivations.mathml import mathml
from minigrad.drawing.escape import plain

_OPS = 24
"""Longer equations are cut after so many operations."""
_DECADE, _INFINITE = 100_000, 2_000_000_000
"""Of sums of decades, whose codes are whole: one of them at most, and infinitely many."""
_TINY = 1e-30


def steps_of(flow: Flow, picture: StepPicture | None = None) -> dict[str, Any]:
    """All numbers of each step, T of each; picture: what shows those of its ops."""
    series = named_series(flow)
    codes = np.stack([codes_of(s.norms, s.kinds) for s in series.values()])
    told = {"equations": [], "falls": []} if flow.source is None else _whole(flow, picture)
    return {
        "steps": flow.steps,
        "each": {"rows": [plain(name) for name in series], "codes": codes},
        **told,
    }


def _whole(flow: Flow, picture: StepPicture | None) -> dict[str, Any]:
    """What is told of a flow with arrays."""
    ops = _Ops.of(flow, picture)
    return {
        "equations": _equations(ops),
        "falls": [_fall(fall) for fall in _falls(flow)],
    } | (
        {"ops": {"key": "ops", "title": "", "rows": picture.parts, "high": ops.rows}}
        if picture is not None
        else {}
    )


class _Ops(NamedTuple):
    """What a flow's ops give; largest magnitudes of a much larger loss, too, where a 0 may be an
    underflow; of that without rows where float64 has other ops."""

    joined: set[tuple[str, str]]
    told: ToldOps
    larger: ToldOps | None

    @staticmethod
    def of(flow: Flow, picture: StepPicture | None) -> _Ops:
        source = flow._source
        meter, batch = source.meter, source.batch
        asked = Asked() if picture is None else picture.asked
        falls: dict[str, Teller] = {}
        if not (EVERY in source.drawn or flow.has_read("waterfalls")):
            falls = {EVERY: Falls(meter.way, meter.line)}
        told, larger = told_of_ops(meter, asked, batch, beside=falls), None
        source.note(told.beside)
        doubtful = [*told.fans["terms"].values()]
        if picture is not None:
            doubtful.append({str(k): told.rows[k] for k in picture.doubtful})
        if any(_is_in_doubt(fan) for fan in doubtful):
            wide = meter.wide()
            asked = asked if same_ops(meter, wide) else Asked()  # else its places are other ops
            larger = told_of_ops(wide, asked, batch, LARGE_SEED, sizes=largest)
        return _Ops(_joined(meter.graph), told, larger)

    def gradient(self, name: str) -> Codes:
        """Codes of the gradient towards a value."""
        if not any((name, reader) in self.joined for reader in self.told.fans["terms"][name]):
            return self.apart
        gradients = self.told.fans["gradients"]
        return _norms(gradients[name], self.larger and self.larger.fans["gradients"][name])

    def term(self, name: str, reader: str) -> Codes:
        """Codes of what a value gets from what reads it."""
        if (name, reader) not in self.joined:
            return self.apart
        norms = self.told.fans["terms"][name][reader]
        return _norms(norms, self.larger and self.larger.fans["terms"][name][reader])

    @property
    def apart(self) -> Codes:
        """Codes of what no derivative leads to."""
        steps = len(next(iter(self.told.fans["values"].values())))
        return codes_of(np.zeros(steps), "disconnected")

    @property
    def rows(self) -> Codes:
        """Of each value that has a name it and its gradient, then what was asked of ops."""
        rows = []
        for name, value in self.told.fans["values"].items():
            rows += [codes_of(value), self.gradient(name)]
        larger = () if self.larger is None else self.larger.rows
        rows += [_norms(*both) for both in zip_longest(self.told.rows, larger)]
        return np.stack(rows)


class Notation(NamedTuple):
    """An equation of a step, in MathML: what it gives, and of what."""

    name: str
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
            plain(name),
            mathml(shown[graph.variables[name]].latex()),
            mathml(mg.to_latex(mg.substitute(equation.whole, shown), _OPS)),
        )
        for name, equation in graph.equations.items()
    ]


def _as(variable: mg.Expr, name: str) -> mg.Expr:
    return mg.var(plain(name), variable.shape, variable.dtype)


def _equations(ops: _Ops) -> list[dict[str, Any]]:
    """Of each value of a step its norm, that of its gradient, and of what it gets from where."""
    return [
        {
            "name": plain(name),
            "value": codes_of(value),
            "adjoint": ops.gradient(name),
            "terms": [
                {"of": plain(reader), "norm": ops.term(name, reader)}
                for reader in ops.told.fans["terms"][name]
            ],
        }
        for name, value in ops.told.fans["values"].items()
    ]


def _joined(graph: StepGraph) -> set[tuple[str, str]]:
    """The values of a step, each with what reads it, where a derivative leads from there to it."""
    nodes = {name: graph.nodes[name] for name in graph.made.values()}
    seeds = {name: mg.var(f"∂L/∂{name}", x.shape, x.dtype) for name, x in nodes.items()}
    joined = {(name, LEAVES) for name in nodes}
    for (reader, read), term in graph.all_terms(seeds).items():
        if not {*seeds.values()}.isdisjoint(mg.toposort(term)):
            joined.add((graph.made[read.name] if read.before else read.name, reader))
    return joined


def _is_in_doubt(fan: Mapping[str, Floats]) -> bool:
    """Whether a term is 0 at a step before one at which it is not: it may have underflown.

    What leaves the layer need not do so at each step. The first step multiplies by a state of
    zeros: there a 0 is in doubt beside what is tiny alone.
    """
    doubts = False
    for reader, norms in fan.items():
        before = norms[: int(np.flatnonzero(norms).max(initial=0))] == 0.0
        before[:1] &= norms[1:2] < _TINY
        doubts |= reader != LEAVES and bool(before.any())
    return doubts


def _norms(norms: Floats, larger: Any) -> Codes:
    """Codes of norms at each step; larger: the same of a much larger loss, or nothing."""
    if not isinstance(larger, np.ndarray):
        return codes_of(norms)
    return codes_of(norms, np.where((norms == 0.0) & (larger != 0.0), "underflow", "normal"))


def _falls(flow: Flow) -> Sequence[Waterfall]:
    """The waterfalls of all routes, that by which most comes first."""
    every = flow.waterfalls.values()  # before the main one, which is then known
    main = flow.waterfall.route
    return sorted(every, key=lambda fall: fall.route != main)


def _fall(fall: Waterfall) -> dict[str, Any]:
    """What each link lost between t = T and each step, in parts of a decade."""
    with np.errstate(all="ignore"):
        later = np.cumsum(fall.decades[::-1], axis=0)[::-1]
    sums = np.concatenate([later, np.zeros((1, len(fall.links)))]).T
    most = np.abs(sums[np.isfinite(sums)]).max(initial=1.0)
    decade = min(_DECADE, int((_INFINITE - 1) / most))  # all finite ones lie below infinity
    codes = np.nan_to_num(
        np.round(sums * decade), nan=_INFINITE + 1, posinf=_INFINITE, neginf=-_INFINITE
    )
    return {
        "route": fall.route,
        "words": "along the line" if fall.route == "line" else f"through {plain(fall.route)}",
        "start": jsonable(fall.start),
        "links": [plain(link) for link in fall.links],
        "decade": decade,
        "sums": codes.astype(np.int32),
    }
