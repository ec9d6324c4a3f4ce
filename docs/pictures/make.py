"""Draws the pictures of docs/pictures.md again: python docs/pictures/make.py"""

from pathlib import Path

import numpy as np

import lstm
from lstm.figures import flow_details
from minigrad.drawing.charts import Chart, drawn_in

HERE = Path(__file__).parent
STEPS = 40


def main() -> None:
    task = lstm.Adding(length=STEPS)
    xs, ys = task.batch(np.random.default_rng(0), 16)
    flows = []
    for cell in (lstm.RNN(2, 12), lstm.LSTM(2, 12)):
        model = lstm.Model.create(cell, 1, 0, task.config())
        flows.append(lstm.flow(model, xs, ys))
    flow_details(flows[1]).save(HERE / "details.png")
    with drawn_in("light"):
        for flow, name in zip(flows, ("rnn", "lstm"), strict=True):
            ax = lstm.plot_itemised(flow, scale=lstm.compare(*flows).scale)
            ax.set_title(f"{flow.heading}: {flow.itemised.symbol}")
            title = f"{flow.heading}: from a loss at each step back to each step"
            Chart(ax.figure, title=title, description=title).save(HERE / f"itemised_{name}.png")
        ax = lstm.plot_waterfall(flows[0])
        title = "RNN: which local derivative loses how many powers of ten"
        Chart(ax.figure, title=title, description=title).save(HERE / "waterfall.svg")


if __name__ == "__main__":
    main()
