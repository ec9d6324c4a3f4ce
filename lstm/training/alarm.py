"""A training that goes astray without a NaN or an infinity: told while it happens, in words."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from math import isfinite
from statistics import median
from typing import Any

from lstm.training.remedies import largest
from lstm.training.settings import Settings
from lstm.training.trainer import Report
from minigrad import Expr

STEPS = 10
TIMES = 10.0  # what is learnt wanders by less: so much worse than at first, and than a constant


class Alarm:
    """Whether the loss, over ten steps, is ten times that of the first step and of the task's
    baseline: a net that says the same of every sequence does better."""

    def __init__(self, baseline: Any, settings: Settings, params: Mapping[str, Expr]) -> None:
        self._settings, self._params = settings, params
        usable = isinstance(baseline, (int, float)) and isfinite(baseline)
        self._baseline = float(baseline) if usable else 0.0
        self._first: Report | None = None
        self._last: deque[Report] = deque(maxlen=STEPS)

    def after(self, report: Report) -> str | None:
        """What to say after this step; None while there is nothing."""
        self._first = self._first or report
        self._last.append(report)
        first, loss = self._first, median(r.loss for r in self._last)
        if len(self._last) < STEPS or loss <= TIMES * max(abs(first.loss), self._baseline):
            return None
        norm = median(r.grad_norm for r in self._last)
        return " ".join(
            [
                f"The loss has exploded: it is {loss:.2g} in steps {report.step - STEPS + 1} to "
                f"{report.step}, and was {first.loss:.2g} in step {first.step}; the norm of the "
                f"gradient is {norm:.2g}, and was {first.grad_norm:.2g}.",
                *_ways_out(self._settings, self._params),
            ]
        )


def _ways_out(settings: Settings, params: Mapping[str, Expr]) -> list[str]:
    """What helps where the loss grew: the settings, with what they are now."""
    said = [f"a lower rate= (it is {settings.rate:g})"]
    if settings.clip is None:
        said.append("a clip= (there is none)")
    if settings.warmup == 0:
        said.append("a warmup= (there is none)")
    listed = " or ".join([", ".join(said[:-1]), said[-1]] if said[1:] else said)
    size = largest(params)
    sizes = [f"The largest parameter is {size[0]:.2g}, in {size[1]}."] if size else []
    return [*sizes, f"{listed.capitalize()} helps."]
