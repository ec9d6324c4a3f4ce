"""A training that goes astray without a NaN or an infinity: told while it happens, in words."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from statistics import median
from typing import Any

from lstm.training.history import History
from lstm.training.remedies import largest
from lstm.training.settings import Settings
from minigrad import Expr

STEPS = 10
TIMES = 10.0  # what is learnt wanders by less: so much worse than at first, and than a constant


def alarm(
    history: History, baseline: Any, settings: Settings, params: Mapping[str, Expr]
) -> str | None:
    """What to say where the loss, over the last ten steps, is ten times that of the first step and
    of the task's baseline: a net that says the same of every sequence does better. None else."""
    first, last = history.first, list(history.latest)[-STEPS:]
    if first is None or len(last) < STEPS:
        return None
    loss = median(taken.loss for taken in last)
    usable = isinstance(baseline, (int, float)) and isfinite(baseline)
    if loss <= TIMES * max(abs(first.loss), float(baseline) if usable else 0.0):
        return None
    norm = median(taken.grad_norm for taken in last)
    return " ".join(
        [
            f"The loss has exploded: it is {loss:.2g} in steps {last[0].step} to {last[-1].step}, "
            f"and was {first.loss:.2g} in step {first.step}; the norm of the gradient is "
            f"{norm:.2g}, and was {first.grad_norm:.2g}.",
            *_ways_out(settings, params),
        ]
    )


def _ways_out(settings: Settings, params: Mapping[str, Expr]) -> list[str]:
    """What helps where the loss grew: the settings, with what they are now."""
    said = [f"a lower rate (it is {settings.rate:g})"]
    if settings.clip is None:
        said.append("a clip (there is none)")
    if settings.warmup == 0:
        said.append("a warmup (there is none)")
    listed = " or ".join([", ".join(said[:-1]), said[-1]] if said[1:] else said)
    size = largest(params)
    sizes = [f"The largest parameter is {size[0]:.2g}, in {size[1]}."] if size else []
    return [*sizes, f"{listed.capitalize()} helps."]
