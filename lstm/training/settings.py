"""How to train."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lstm.errors import ConfigError, check_count, check_number
from lstm.layers import check_routes
from lstm.optim import Optimizer, make, make_schedule
from minigrad.display import ShownAsCall

MOST = 2**53  # a step count is float64, and exact up to here


@dataclass(frozen=True)
class Settings(ShownAsCall):
    """How to train: by default Adam, a rate that falls to zero along a cosine, clipped gradients.

    steps: how many there are in all; batch: sequences in each.
    rate: the learning rate, where the schedule is highest.
    clip: the largest global norm of the gradient, or None.
    seed: of all that is random but the model's first parameters.
    optimizer, schedule: names in `lstm.optim.OPTIMIZERS` and `lstm.optim.SCHEDULES`, with further
        numbers that these take: optimizer_options={"decay": 0.01}.
    warmup: steps in which the rate rises from zero, before the schedule begins.
    truncate: gradients go back so many steps at most, as in `minigrad.scan`.
    routes, detach: numbers by part of the state, as of `Model.run`: how much of what comes back
        along it goes on, and with which probability nothing does, at each step.
    stateful: a sequence starts from the state in which the one of its place in the batch before
        ended, for tasks whose batches follow one another.

    Raises ConfigError for what cannot be.
    """

    steps: int = 500
    batch: int = 32
    rate: float = 0.03
    clip: float | None = 1.0
    seed: int = 0
    optimizer: str = "adam"
    optimizer_options: Mapping[str, float] = field(default_factory=dict)
    schedule: str = "cosine"
    schedule_options: Mapping[str, float] = field(default_factory=dict)
    warmup: int = 0
    truncate: int | None = None
    routes: Mapping[str, float] = field(default_factory=dict)
    detach: Mapping[str, float] = field(default_factory=dict)
    stateful: bool = False

    def __post_init__(self) -> None:
        for name, least in (("steps", 1), ("batch", 1), ("seed", 0), ("warmup", 0)):
            count = check_count(name, getattr(self, name), least)
            if count > MOST:
                raise ConfigError(f"{name} must be at most {MOST}")
            object.__setattr__(self, name, count)
        object.__setattr__(self, "rate", check_number("rate", self.rate, above=0))
        if self.clip is not None:
            object.__setattr__(self, "clip", check_number("clip", self.clip, above=0))
        if self.truncate is not None:
            object.__setattr__(self, "truncate", check_count("truncate", self.truncate))
        routes, detach = check_routes(self.routes, self.detach)
        object.__setattr__(self, "routes", routes)
        object.__setattr__(self, "detach", detach)
        if type(self.stateful) is not bool:
            raise ConfigError(f"stateful must be True or False, not {self.stateful!r:.40}")
        for name in ("optimizer_options", "schedule_options"):
            object.__setattr__(self, name, _options(name, getattr(self, name)))
        self.make_optimizer()  # raises now for names and options that cannot be

    @property
    def carried(self) -> int | None:
        """How many sequences go on from batch to batch, side by side; None where none do."""
        return self.batch if self.stateful else None

    @property
    def between_validations(self) -> int:
        """Steps from one validation to the next, unless told: there are ten in all."""
        return max(1, self.steps // 10)

    def make_optimizer(self) -> Optimizer:
        """The optimiser with its schedule."""
        schedule = make_schedule(
            self.schedule, self.rate, self.steps, warmup=self.warmup, **self.schedule_options
        )
        return make(self.optimizer, schedule, **self.optimizer_options)


def _options(name: str, options: Any) -> dict[str, float]:
    if not isinstance(options, Mapping) or not all(isinstance(k, str) for k in options):
        raise ConfigError(f"{name} are numbers by name, not {options!r:.40}")
    for own in ("name", "rate", "steps", "warmup"):
        if own in options:
            raise ConfigError(f"{own} is none of {name}")
    return {k: x if type(x) is int else check_number(k, x) for k, x in options.items()}
