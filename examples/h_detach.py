"""h-detach: where weights are large, what comes back round the gates drowns what the line carries.

After Arpit et al., "h-detach: modifying the LSTM gradient towards better optimization", 2019.
Run it with `python examples/h_detach.py`; it takes some ten seconds.
"""

import numpy as np

import lstm
import minigrad as mg

task = lstm.Adding(length=50)
xs, ys = task.batch(np.random.default_rng(0), size=32)


def model_of(weights: float) -> lstm.Model:
    """A new LSTM, whose weights are so many times as large as usual."""
    model = lstm.Model.create(lstm.LSTM, task=task, hidden_size=32, seed=1)
    for name, leaf in model.params["layer1"].items():
        leaf.value = leaf.value * (weights if name.startswith("W_") else 1)
    return model


# What reaches the first cell state, C at step 0: all of it, and what came along C alone. With
# routes={"h": 0} nothing comes back along h, at any step; the values are the same.
print("weights   |dL/dC0|   along the line   cosine of the two")
for weights in (1, 4, 8, 12):
    model = model_of(weights)
    zeros = model.initial_state(32)["layer1"]
    C0 = mg.param("C0", zeros.C.eval())
    start = {"layer1": zeros._replace(C=C0)}
    gradients = [
        mg.grad(task.loss(model.output(xs, start, routes=routes), mg.const(ys)), C0).eval().ravel()
        for routes in ({}, {"h": 0})
    ]
    norms = [np.linalg.norm(g) for g in gradients]
    cosine = np.dot(*gradients) / np.prod(norms)
    print(f"{weights:7}   {norms[0]:8.4f}   {norms[1]:14.4f}   {cosine:17.2f}")

# In training h is detached at some steps only, for it carries what the gates learn from: with a
# probability, at each step, drawn anew for each batch.
print("\nThe loss of training from weights 3 times as large, over 60 steps at a time:")
for detach in ({}, {"h": 0.25}):
    settings = lstm.Settings(steps=300, rate=0.01, detach=detach)
    losses = [report.loss for report in lstm.train(model_of(3), task, settings)]
    means = np.mean(np.reshape(losses, (-1, 60)), axis=1)
    print(f"  detach={detach!s:12}", *[f"{loss:.3f}" for loss in means])
