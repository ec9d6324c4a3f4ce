"""A task of your own: which of two signs came first, before so much noise?

Run it with `python examples/own_task.py`, or give it to the command, which saves and resumes it:
`lstm train examples/own_task.py:FirstSign`. It takes some ten seconds.
"""

from dataclasses import dataclass

import numpy as np

import lstm


@dataclass(frozen=True)
class FirstSign(lstm.Task):
    """Numbers, one a step; the target is 1 where the first is positive, else 0."""

    length: int = 30  # a setting: --set length=60

    name, summary = "first-sign", "which sign the first number had"
    input_size, output_size, target_dtype = 1, 1, "float32"
    criterion = "99 of 100 test sequences are right"
    baseline = float(np.log(2))  # of one who says "either" of each sequence

    @property
    def steps(self):
        return self.length

    def target_shape(self, batch):
        return (batch, 1)

    def batch(self, rng, size):
        xs = rng.standard_normal((self.length, size, 1), np.float32)
        return lstm.Batch(xs, (xs[0] > 0).astype(np.float32))

    def loss(self, prediction, target):
        return lstm.binary_cross_entropy(prediction, target)

    def correct(self, prediction, target):
        return ((prediction > 0) == (target > 0.5))[:, 0]

    def solved(self, prediction, target):
        return self.correct(prediction, target).mean() >= 0.99


if __name__ == "__main__":
    task = FirstSign()
    for cell in (lstm.RNN, lstm.LSTM):
        model = lstm.Model.create(cell, task=task)
        fitted = lstm.fit(model, task, lstm.Settings(steps=1000))
        print(f"{model.cell.heading}: {fitted.score.correct:.1%} right, {fitted.why}")
