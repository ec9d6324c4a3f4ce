"""How far back does the gradient reach? Cells side by side, before they have learnt anything.

Run it with `python examples/compare_cells.py`, and open cells.svg.
"""

import numpy as np

import lstm

task = lstm.Adding(length=100)
xs, ys = task.batch(np.random.default_rng(0), 32)
models = {
    "RNN": lstm.Model.create(lstm.RNN, task=task, hidden_size=16),
    "LSTM, usual bias": lstm.Model.create(lstm.LSTM, task=task, hidden_size=16, memory=0),
    "LSTM, memory of 100": lstm.Model.create(lstm.LSTM, task=task, hidden_size=16),
    "GRU, memory of 100": lstm.Model.create(lstm.GRU, task=task, hidden_size=16),
}
flows = [lstm.flow(model, xs, ys) for model in models.values()]
compared = lstm.compare(*flows, names=list(models))
print(compared)
compared.save("cells.svg")
