"""A tour of the explorer in up to five stops: what to see first, and where it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from lstm.figures.explorer.maps import named_series
from lstm.gradient_flow import Comparison, Flow, path_words
from lstm.gradient_flow.words import died_at, ends_in
from minigrad.drawing.escape import plain

Stop = dict[str, Any]
"""words, and the place of the page's view that they are about"""


def tour_of(models: Mapping[str, Mapping[str, Flow]]) -> list[Stop]:
    """Through the first model as it is last, and to the second beside it."""
    lasts = {name: [*moments.values()][-1] for name, moments in models.items()}
    (name, flow), *others = lasts.items()
    moments = [len(of) - 1 for of in models.values()]
    stops = [stop | {"model": 0, "moment": moments[0], "less": -1} for stop in _through(flow)]
    for other, beside in others[:1]:
        words = Comparison({name: flow, other: beside}).sentences[0]
        place = {"model": 1, "moment": moments[1], **_at("norms", 0, 1)}
        place["less"] = 0 if beside.steps == flow.steps else -1
        stops = [*stops[:4], {"words": words, **place}]
    return [stop | {"words": plain(stop["words"])} for stop in stops]


def _through(flow: Flow) -> Iterator[Stop]:
    main, steps = flow.main, flow.steps
    yield {
        "words": f"The loss sends {main.shown(steps)} to {main.symbol} at t = {steps}, where the "
        "way back begins: the maps are read from right to left.",
        **_at("norms", 0, steps),
    }
    yield {"words": flow.diagnosis[0], **_at("norms", 0, died_at(main))}
    if main.jumps:
        jump = main.jumps[0]
        how = (
            f"becomes {jump.factor:.2g} times as large: shorter sequences end there, and what "
            "comes back in them enters."
            if ends_in(jump, flow.ends)
            else f"is multiplied by {jump.factor:.2g}."
        )
        yield {
            "words": f"Its largest jump: from t = {jump.start} down to t = {jump.end} it {how}",
            **_at("norms", 0, jump.end),
        }
    said = path_words(flow)
    if flow.split is not None and said:
        rows = [*named_series(flow)]
        largest = max(flow.paths, key=lambda name: np.nan_to_num(flow.paths[name].first))
        yield {"words": said[0], **_at("norms", rows.index(largest), 1)}
    if flow.source is not None:
        norms = flow.unit_norms[main.symbol][0]
        most = int(norms.argmax())
        if np.isfinite(norms).all() and norms[most] > 0.0:
            yield {
                "words": f"At t = 1 unit {most + 1} holds most of it, {norms[most]:.2e}; the least "
                f"has {norms.min():.2e}.",
                **_at("units", most, 1),
            }


def _at(key: str, row: int, step: int) -> Stop:
    return {"map": key, "row": row, "step": step, "from": 0}
