"""The explorer of several models, each at one moment of its training or at several."""

from __future__ import annotations

import html
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from lstm.errors import ConfigError, OutputError
from lstm.figures.explorer.gathered import Moments
from lstm.figures.explorer.written import all_numbers, explorer_page, in_words
from lstm.figures.flow import compare_flows
from lstm.figures.page import Section
from lstm.files import check_file, path_given, write_atomically
from lstm.gradient_flow import Comparison, Flow, FlowWatch
from lstm.gradient_flow.ops import same_ops
from minigrad.display import bundle
from minigrad.drawing import Scale

_HEIGHT = 900  # pixels of the explorer in a notebook


def explore(of: Any) -> Explorer:
    """Look around in flows: a page with maps, steps and differences, which saves itself as a file
    that works offline, and shows itself in a notebook.

    of: a `Flow`, a `Comparison`, a `FlowWatch`, or {name: a flow or a watch}, such as
    `{"RNN": watch, "LSTM": another}`; a slider goes over what a watch recorded. All is on one
    scale. Raises ConfigError for anything else, for two of one name, where an empty one is that of
    the flow, and for a watch that recorded nothing, or models of unlike steps.

    >>> import numpy as np, lstm
    >>> model = lstm.Model.create(lstm.LSTM(2, 4), 1, seed=0)
    >>> explore(lstm.flow(model, np.ones((6, 3, 2)), np.ones((3, 1))))
    Explorer of LSTM
    """
    if isinstance(of, (Flow, FlowWatch)):
        of = {"": of}
    elif isinstance(of, Comparison):
        of = of.flows
    if isinstance(of, Mapping) and not of:
        raise ConfigError("explore was given no flow: {name: a flow or a watch} is empty")
    if not isinstance(of, Mapping):
        raise ConfigError(
            "explore takes a flow, a comparison, a FlowWatch, or {name: a flow or a watch}, not "
            f"{type(of).__name__:.40}"
        )
    models: dict[str, Moments] = {}
    for name, one in of.items():
        moments = _moments(name, one)
        called = str(name) or next(iter(moments.values())).heading
        if called in models:
            raise ConfigError(
                f"two of what explore takes are called {called!r:.40}: give each a name of its own"
            )
        models[called] = moments
    return Explorer(models)


def _moments(name: Any, one: Any) -> Moments:
    if isinstance(one, Flow):
        return {"": one}
    if not isinstance(one, FlowWatch):
        raise ConfigError(
            f"{name!r:.40} is a flow or a FlowWatch to explore, not {type(one).__name__:.40}"
        )
    if not one.flows:
        raise ConfigError(f"the watch {name!r:.40} recorded nothing: train with watch=[it] first")
    flows = [*one.flows.values()]
    for flow in flows[1:]:
        if not _alike(flows[0], flow):
            raise ConfigError(
                f"the watch {name!r:.40} recorded steps of {flows[0].called} and of other ops, "
                f"{flow.called}: give explore a watch for each model"
            )
    return {_when(step): flow for step, flow in one}


def _alike(flow: Flow, other: Flow) -> bool:
    """Whether the steps of two flows are the same ops, or one of them is of numbers alone."""
    sources = flow.source, other.source
    return None in sources or same_ops(flow._source.meter, other._source.meter)


def _when(step: int) -> str:
    return f"after {step} step{'' if step == 1 else 's'} of training"


class Explorer:
    """What `explore` gives: {name: {moment: flow}} as a page."""

    def __init__(self, models: Mapping[str, Moments]) -> None:
        self.models = models

    @cached_property
    def html(self) -> str:
        """The page. Raises RenderError where a picture cannot be drawn."""
        lasts = {name: [*moments.values()][-1] for name, moments in self.models.items()}
        every = [flow for moments in self.models.values() for flow in moments.values()]
        scale = Scale.of(x for flow in every for x in flow.drawn_norms)
        told = Comparison(lasts).sentences
        for name, flow in lasts.items():
            told += [f"{name}: {line}" if len(lasts) > 1 else line for line in flow.diagnosis]
        panels = {name if len(lasts) > 1 else "": [flow] for name, flow in lasts.items()}
        sections = [
            *in_words(told),
            Section(
                "Does the gradient reach step 1?", picture=compare_flows(panels, "", scale).svg
            ),
            all_numbers(lasts),
        ]
        title = f"{' beside '.join(lasts)}: how the gradient flows back"
        return explorer_page(self.models, scale, title, told[:1], sections)

    def save(self, path: str | Path) -> Path:
        """Write the page, as .html; returns the path. The file is there whole or not at all.

        Raises OutputError for another suffix, and where it cannot be written.
        """
        target = path_given(path)
        if target.suffix.lower() != ".html":
            raise OutputError(
                f"cannot write {target}: an explorer is a page, whose suffix is .html"
            )
        check_file(target)
        write_atomically(target, self.html)
        return target

    def __repr__(self) -> str:
        return f"Explorer of {', '.join(self.models)}"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        """What a notebook shows: the page in a frame, and `repr`."""
        return bundle(self, {"text/html": self._frame})

    def _frame(self) -> str:
        page = html.escape(self.html)
        return (
            f'<iframe srcdoc="{page}" sandbox="allow-scripts allow-forms" '
            f'title="{html.escape(repr(self))}" '
            f'style="width: 100%; height: {_HEIGHT}px; border: 0"></iframe>'
        )
