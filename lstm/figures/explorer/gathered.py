"""What the explorer's script reads: plain JSON, with arrays of codes in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np

from lstm.figures.explorer.graph import KINDS, StepPicture, arrows_on, prefix_of
from lstm.figures.explorer.maps import maps_of
from lstm.figures.explorer.packed import OTHERS, decades_of, runs_of
from lstm.figures.explorer.steps import steps_of
from lstm.figures.explorer.tokens import tokens_of
from lstm.figures.explorer.tour import tour_of
from lstm.gradient_flow import Flow
from lstm.gradient_flow.across import MOST
from lstm.gradient_flow.summary import CLOSED
from lstm.gradient_flow.words import died_at
from minigrad.drawing import Ratios, Scale
from minigrad.drawing.escape import plain

Moments = Mapping[str, Flow]
"""{when, as "after training": the flow}; of one moment what it is called may be empty."""
_SLACK = 1e-9
_FURTHEST = 308.0  # decades of a ratio that a float holds


def gathered(
    models: Mapping[str, Moments], scale: Scale, pictures: Sequence[StepPicture | None]
) -> dict[str, Any]:
    """All that the page tells of some models, each at some moments; pictures: of their steps."""
    told: list[dict[str, Any]] = [
        {
            "name": plain(name),
            "moments": [_moment(label, flow, picture) for label, flow in moments.items()],
            "ops": picture and picture.told(prefix_of(k)),
        }
        for k, ((name, moments), picture) in enumerate(zip(models.items(), pictures, strict=True))
    ]
    moments = [moment for model in told for moment in model["moments"]]
    kinds = _kinds_in([one for moment in moments for one in _shown(moment)], scale)
    keys = sorted([[one["key"] for one in moment["maps"]] for moment in moments], key=len)
    return {
        "scale": _scale(scale, kinds),
        "sides": _scale(_sides(told), {*kinds, "even"} - {"below"}),
        "start": _start(told[0], [*next(iter(models.values())).values()][-1]),
        "closed": CLOSED,
        "order": [*dict.fromkeys(chain.from_iterable(reversed(keys)))],
        "sequences": max(
            len(moment["tokens"]["ids"]) if moment["tokens"] else 0 for moment in moments
        ),
        "tour": tour_of(models),
        "models": told,
    }


def _start(model: Mapping[str, Any], flow: Flow) -> dict[str, Any]:
    """The place where a reader begins: the first model as it is last, where its gradient died, or
    else at its first step."""
    last = len(model["moments"]) - 1
    key = model["moments"][last]["maps"][0]["key"]
    which = {"model": 0, "moment": last, "less": -1, "sequence": 0, "route": ""}
    step = died_at(flow.main)
    return which | {"map": key, "row": 0, "step": step, "from": 0, "isPinned": False}


def _moment(label: str, flow: Flow, picture: StepPicture | None) -> dict[str, Any]:
    return {
        "label": plain(label),
        "sentences": [plain(line) for line in flow.diagnosis],
        "runs": runs_of(flow.steps, MOST),
        "maps": maps_of(flow),
        "tokens": tokens_of(flow),
        "steps": steps_of(flow, picture),
    }


def _scale(scale: Scale, kinds: set[str]) -> dict[str, Any]:
    """A colour scale, the looks of what is off it, and which of these the page has to explain."""
    looks = {kind: scale.look(0.0, kind).color for kind in KINDS}
    return {
        "low": scale.lo_exp,
        "high": scale.hi_exp,
        "colors": [scale.class_style(k).color for k in range(scale.classes)],
        "labels": [*scale.labels],
        "kinds": looks,
        "explained": [kind for kind in looks if kind in kinds],
        "arrows": arrows_on(scale),
    }


def _kinds_in(maps: Iterable[Mapping[str, Any]], scale: Scale) -> set[str]:
    """What the norms in some maps are that is no number on the scale."""
    ends = [
        m[end].ravel() for m in maps if "shares" not in m for end in ("low", "high") if end in m
    ]
    codes = np.unique(np.concatenate(ends))
    is_below = decades_of(codes) < scale.lo_exp - _SLACK
    kinds = {kind for kind, code in OTHERS.items() if code in codes}
    return kinds | ({"below"} if is_below.any() else set())


def _sides(models: Sequence[Mapping[str, Any]]) -> Scale:
    """The two-sided scale of all differences that a reader may choose: of a model less another at
    the moment of the same name, or else the nearest in order, or less itself at its first."""
    furthest = [0.0]
    for model in models:
        for at, moment in enumerate(model["moments"]):
            for other in models:
                moments = other["moments"]
                same = [m for m in moments if m["label"] == moment["label"]]
                nearest = moments[min(at, len(moments) - 1)]
                beside = moments[0] if other is model else [*same, nearest][0]
                if moment["steps"]["steps"] == beside["steps"]["steps"]:
                    furthest += _distances(_shown(moment), _shown(beside))
    return Ratios.between([10.0 ** min(max(furthest), _FURTHEST)])


def _shown(moment: Mapping[str, Any]) -> list[Any]:
    """All that is painted of a moment: its maps, and the ops of its steps."""
    ops = moment["steps"].get("ops")
    return [*moment["maps"], *([ops] if ops else [])]


def _distances(
    maps: Sequence[Mapping[str, Any]], others: Sequence[Mapping[str, Any]]
) -> list[float]:
    """The most decades by which like maps differ."""
    known = {m["key"]: m["high"] for m in others if "shares" not in m}
    pairs = [(m["high"], known[m["key"]]) for m in maps if m["key"] in known and "shares" not in m]
    apart = [decades_of(a) - decades_of(b) for a, b in pairs if a.shape == b.shape]
    return [float(np.abs(x[~np.isnan(x)]).max(initial=0.0)) for x in apart]
