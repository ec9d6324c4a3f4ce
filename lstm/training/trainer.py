"""One training step: loss, gradients, clipping and the optimiser's update, compiled as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

import minigrad as mg
from lstm.errors import TrainingError
from lstm.optim import Optimizer, clip_by_global_norm, global_norm
from minigrad import Expr, NonFiniteError


class Report(NamedTuple):
    """What one training step saw, before it changed anything."""

    step: int
    """Counted from one."""
    loss: float
    grad_norm: float
    """The global norm of the gradient, before clipping."""


class Trainer:
    """One compiled training step over `inputs`, which writes `params` in place.

    loss: a scalar expression. clip: the largest global norm of the gradient, or None.
    The step count and what the optimiser remembers are parameters too, so that nothing of the
    arithmetic is outside the graph. One step that meets a loss or a gradient that is not finite
    changes nothing, and raises TrainingError.

    >>> from lstm.optim import sgd
    >>> w, x = mg.param("w", 1.0), mg.var("x")
    >>> trainer = Trainer(mg.square(w * x), [x], {"w": w}, sgd(0.125))
    >>> trainer.step(2.0), float(w.value)  # w - 0.125 · 2 w x²
    (Report(step=1, loss=4.0, grad_norm=8.0), 0.0)
    """

    def __init__(
        self,
        loss: Expr,
        inputs: Sequence[Expr],
        params: Mapping[str, Expr],
        optimizer: Optimizer,
        clip: float | None = None,
        backend: str = "auto",
    ) -> None:
        self._count = mg.param("step", 0.0)
        grads = mg.grad(loss, params)
        norm = global_norm(grads)
        clipped = grads if clip is None else clip_by_global_norm(grads, clip)
        state = {name: mg.param(name, value) for name, value in optimizer.init(params).items()}
        steps, new_state = optimizer.update(clipped, state, params, self._count)
        updates = {p: p + steps[name] for name, p in params.items()}
        updates |= {p: new_state[name] for name, p in state.items()}
        updates[self._count] = self._count + 1
        sound = mg.isfinite(loss) & mg.isfinite(norm)
        guarded = {p: mg.where(sound, new, p) for p, new in updates.items()}
        self._inputs, self._watched = list(inputs), [loss, norm]
        self._run = mg.function(self._inputs, self._watched, updates=guarded, backend=backend)

    def step(self, *values: Any) -> Report:
        """One step on one batch. Raises TrainingError, which names the op where a NaN was born."""
        loss, norm = (float(x) for x in self._run(*values))
        report = Report(int(self._count.value), loss, norm)
        if not np.isfinite([loss, norm]).all():
            raise TrainingError(self._diagnosis(report, values))
        return report

    def _diagnosis(self, report: Report, values: Sequence[Any]) -> str:
        what = "loss" if not np.isfinite(report.loss) else "gradient"
        head = f"the {what} is not finite in step {report.step + 1} of training"
        try:  # the same once more, slowly; the parameters are still those of the bad step
            mg.function(self._inputs, self._watched, check_finite=True)(*values)
        except NonFiniteError as error:
            return f"{head}: {error}"
        return head
