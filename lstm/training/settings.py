"""How to train."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from numbers import Real
from sys import float_info
from typing import Any

from lstm.errors import ConfigError, check_count
from lstm.optim import OPTIMIZERS, Optimizer, Schedule, constant, cosine, warmup

MOST = 2**53  # a step count is float64, and exact up to here
SCHEDULES: dict[str, Callable[[float, int], Schedule]] = {
    "constant": lambda rate, steps: constant(rate),
    "cosine": cosine,
}
"""By name: from a rate and a number of steps to the rate at each step."""


@dataclass(frozen=True)
class Settings:
    """How to train: by default Adam, a rate that falls to zero along a cosine, clipped gradients.

    steps: how many there are in all; batch: sequences in each.
    rate: the learning rate, where the schedule is highest.
    clip: the largest global norm of the gradient, or None.
    seed: of all that is random but the model's first parameters.
    optimizer, schedule: by name; there are those of `lstm.optim.OPTIMIZERS`, "constant", "cosine".
    warmup: steps in which the rate rises from zero, before the schedule begins.

    Raises ConfigError for what cannot be.
    """

    steps: int = 500
    batch: int = 32
    rate: float = 0.03
    clip: float | None = 1.0
    seed: int = 0
    optimizer: str = "adam"
    schedule: str = "cosine"
    warmup: int = 0

    def __post_init__(self) -> None:
        for name, least in (("steps", 1), ("batch", 1), ("seed", 0), ("warmup", 0)):
            count = check_count(name, getattr(self, name), least)
            if count > MOST:
                raise ConfigError(f"{name} must be at most {MOST}")
            object.__setattr__(self, name, count)
        object.__setattr__(self, "rate", _positive("learning rate", self.rate))
        if self.clip is not None:
            object.__setattr__(self, "clip", _positive("clipping norm", self.clip))
        for name, kinds in (("optimizer", OPTIMIZERS), ("schedule", SCHEDULES)):
            chosen = getattr(self, name)
            if not isinstance(chosen, str) or chosen not in kinds:
                names = ", ".join(kinds)
                raise ConfigError(f"there is no {name} {chosen!r:.40}; there are: {names}")

    def make_optimizer(self) -> Optimizer:
        """The optimiser with its schedule."""
        schedule = SCHEDULES[self.schedule](self.rate, max(1, self.steps - self.warmup))
        if self.warmup:
            schedule = warmup(self.warmup, schedule)
        return OPTIMIZERS[self.optimizer](schedule)


def _positive(name: str, value: Any) -> float:
    number = isinstance(value, Real) and not isinstance(value, bool)
    if not (number and 0 < value <= float_info.max):
        raise ConfigError(f"the {name} must be positive and finite, not {value!r:.40}")
    return float(value)
