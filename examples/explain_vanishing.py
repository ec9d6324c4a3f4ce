"""Why does a plain RNN forget? Measure one batch, and read what became of the gradient.

Run it with `python examples/explain_vanishing.py`, and open vanishing.svg.
"""

import numpy as np

import lstm

task = lstm.Adding(length=100)
model = lstm.Model.create(lstm.RNN, task=task, hidden_size=16)
flow = lstm.flow(model, *task.batch(np.random.default_rng(0), 32))
print(*flow.diagnosis, sep="\n")
flow.save("vanishing.svg")
