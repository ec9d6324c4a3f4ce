"""Train an LSTM on a short adding problem, save it, load it, and see how its gradient flows.

Run it with `python examples/03_train_and_inspect.py`; it takes a few seconds.
"""

import tempfile
from pathlib import Path

import numpy as np

import lstm
import minigrad as mg

LENGTH, SEED = 30, 0
task = lstm.Adding(length=LENGTH)  # the sum of two marked numbers among 30
cell = lstm.LSTM(task.input_size, hidden_size=16, memory=LENGTH)
model = lstm.Model.create(cell, task.output_size, SEED, task.config())
before = model.copy()

# `train` yields a report after each step, so a progress line is a loop.
settings = lstm.Settings(steps=400, seed=SEED)
for report in lstm.train(model, task, settings):
    if report.step % 100 == 0:
        print(f"step {report.step}: loss {report.loss:.4f}, |gradient| {report.grad_norm:.3f}")

score = lstm.evaluate(model, task, SEED)
print(f"\ntest error {score.loss:.4f}; always answering 1 has {task.baseline:.4f}")
print(f"{score.correct:.0%} of 2000 new sequences are within 0.08 of their sum")

# A model file holds the numbers and a header that says what they are; nothing is unpickled.
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder, "adding.safetensors")
    model.save(path)
    model = lstm.Model.load(path)

# Ask it: two numbers are marked, 0.7 at the third step and 0.2 at the 25th.
xs, ys = task.batch(np.random.default_rng(1), size=1)
xs[:, 0, 1] = 0
xs[2, 0] = 0.7, 1
xs[24, 0] = 0.2, 1
print(f"\n0.7 + 0.2 = {model.unroll(mg.const(xs)).output.eval().item():.3f}")

xs, ys = task.batch(np.random.default_rng(1), size=32)
for name, net in {"before": before, "after": model}.items():
    print(f"\nThe gradient {name} training:")
    for sentence in lstm.flow(net, xs, ys).diagnosis:
        print(f"  {sentence}")
