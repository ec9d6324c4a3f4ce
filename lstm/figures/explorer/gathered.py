"""What the explorer's script reads: plain JSON, with packed arrays in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lstm.figures.explorer.maps import maps_of
from lstm.figures.explorer.packed import runs_of
from lstm.figures.explorer.steps import steps_of
from lstm.figures.explorer.tokens import tokens_of
from lstm.figures.explorer.tour import tour_of
from lstm.gradient_flow import Flow
from lstm.gradient_flow.across import MOST
from minigrad.drawing import Ratios, Scale
from minigrad.drawing.escape import plain
from minigrad.drawing.palette import SIDES

Moments = Mapping[str, Flow]
"""{when, as "after training": the flow}; of one moment what it is called may be empty."""


def gathered(models: Mapping[str, Moments], scale: Scale) -> dict[str, Any]:
    """All that the page tells of some models, each at some moments."""
    return {
        "scale": _scale(scale),
        "tour": tour_of(models),
        "sides": {"sides": [*SIDES], "kinds": _kinds(Ratios(-2.0, 2.0))},
        "models": [
            {
                "name": plain(name),
                "moments": [
                    {
                        "label": plain(label),
                        "sentences": [plain(line) for line in flow.diagnosis],
                        "runs": runs_of(flow.steps, MOST),
                        "maps": maps_of(flow),
                        "tokens": tokens_of(flow),
                        "steps": steps_of(flow),
                    }
                    for label, flow in moments.items()
                ],
            }
            for name, moments in models.items()
        ],
    }


def _scale(scale: Scale) -> dict[str, Any]:
    """The one colour scale, and the looks of what is off it."""
    return {
        "low": scale.lo_exp,
        "high": scale.hi_exp,
        "colors": [scale.class_style(k).color for k in range(scale.classes)],
        "labels": [*scale.labels],
        "kinds": _kinds(scale),
    }


def _kinds(scale: Scale) -> dict[str, str]:
    """The colour of each kind of what is no number on the scale."""
    return {
        "below": scale.look(0.0, "below").color,
        "underflow": scale.look(0.0, "underflow").color,
        "zero": scale.look(0.0, "zero").color,
        "disconnected": scale.look(0.0, "disconnected").color,
        "even": scale.look(0.0, "even").color,
        "nan": scale.look(0.0, "nan").color,
        "inf": scale.look(0.0, "inf").color,
    }
