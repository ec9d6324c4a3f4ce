"""Draws the pictures of docs/pictures.md and README.md again: python docs/pictures/make.py

An RNN and an LSTM are trained on the adding problem as `lstm demo` does, in about a minute. An SVG
follows its reader's colour scheme; of what would be large there is a PNG in light and one in dark.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

import lstm
from lstm.figures import cell_unrolled, compare_flows, flow_details, paths
from lstm.gradient_flow import Flow
from minigrad.drawing import Scale
from minigrad.drawing.charts import Chart, Theme, drawn_in

HERE = Path(__file__).parent
STEPS, UNITS = 100, 16
WHEN = ("before training", "after training")


def main() -> None:
    task = lstm.Adding(length=STEPS)
    xs, ys = task.batch(np.random.default_rng(0), 16)
    pairs = {}
    for cell in (lstm.RNN(2, UNITS), lstm.LSTM(2, UNITS, memory=STEPS)):
        before = lstm.Model.create(cell, 1, 0, task.config())
        after = before.copy()
        lstm.fit(after, task, lstm.Settings(steps=500, seed=0), validate=0, progress=False)
        pairs[cell.name] = [lstm.flow(model, xs, ys) for model in (before, after)]
    step = cell_unrolled(after, xs, ys, 1).svg  # as pages show it; a file that is saved is light
    (HERE / "edges.svg").write_text(step, encoding="utf-8")
    for name, draw in vectors(pairs).items():
        draw().save(HERE / f"{name}.svg")
    for name, paint in bitmaps(*(after for _, after in pairs.values())).items():
        for theme, suffix in (("light", ""), ("dark", "_dark")):
            (HERE / f"{name}{suffix}.png").write_bytes(paint(theme).bitmap(88))


def vectors(pairs: Mapping[str, list[Flow]]) -> dict[str, Callable[[], Chart]]:
    """The pictures that are drawn as SVG."""
    moments = {when: [pair[k] for pair in pairs.values()] for k, when in enumerate(WHEN)}
    line, (rnn, trained) = pairs["lstm"], moments[WHEN[1]]
    title = f"How much of the gradient reaches step 1: RNN beside LSTM, {STEPS} steps"
    return {
        "lstm_flow": lambda: compare_flows(moments, title),
        "paths": lambda: paths(
            dict(zip(WHEN, line, strict=True)), "By which path ∂L/∂Cₜ came back"
        ),
        "diagnosis": rnn.draw,
        "waterfall": lambda: beside(lstm.plot_waterfall, {"RNN": rnn, "LSTM": trained}, 3.6),
        "cancellation": lambda: beside(
            lambda flow, ax, **_: lstm.plot_cancellation(flow, ax=ax),
            dict(zip(WHEN, line, strict=True)),
            2.3,
        ),
        "knockouts": lambda: beside(
            lambda flow, ax, **_: lstm.plot_knockouts(flow, ax=ax),
            dict(zip(WHEN, line, strict=True)),
            2.6,
        ),
    }


def bitmaps(rnn: Flow, trained: Flow) -> dict[str, Callable[[Theme], Chart]]:
    """Those of many coloured cells."""
    both = {"RNN": rnn, "LSTM": trained}
    high = np.concatenate([flow.itemised.high.ravel() for flow in both.values()])
    return {
        "details": lambda theme: flow_details(trained, theme=theme),
        "itemised": lambda theme: beside(
            lstm.plot_itemised, both, 5.0, theme, scale=Scale.of(high.tolist())
        ),
    }


def beside(
    plot: Callable[..., Any],
    flows: Mapping[str, Flow],
    height: float,
    theme: Theme = "auto",
    scale: Scale | None = None,
) -> Chart:
    """One chart of each flow, side by side on one scale, `height` inches high."""
    scale = scale or lstm.compare(*flows.values()).scale
    with drawn_in(theme):
        figure = Figure(figsize=(11.0, height), layout="constrained")
        for (name, flow), ax in zip(flows.items(), figure.subplots(1, len(flows)), strict=True):
            plot(flow, ax=ax, scale=scale)
            ax.set_title(f"{name}: {ax.get_title('left')}")
    title = " beside ".join(flows)
    return Chart(figure, title=title, description=title, theme=theme)


if __name__ == "__main__":
    main()
