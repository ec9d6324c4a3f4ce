"""Optimisers and schedules by name, with options as a command line has them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from inspect import Parameter, signature
from typing import Any, NamedTuple, TypeVar

from lstm.errors import ConfigError, check_count
from lstm.optim.base import Optimizer, Rate, Schedule
from lstm.optim.rules import adam, adamw, momentum, nesterov, rmsprop, sgd
from lstm.optim.schedules import constant, cosine, exponential
from lstm.optim.schedules import warmup as warmed_up
from minigrad.names import did_you_mean

OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {
    "sgd": sgd,
    "momentum": momentum,
    "nesterov": nesterov,
    "rmsprop": rmsprop,
    "adam": adam,
    "adamw": adamw,
}
"""By name; each takes a rate, and options (`options`)."""

SCHEDULES: dict[str, Callable[..., Schedule]] = {
    "constant": constant,
    "exponential": exponential,
    "cosine": cosine,
}
"""By name; each takes the first rate, and options. `make_schedule` says `steps`."""

_Made = TypeVar("_Made")


class Option(NamedTuple):
    """A number that an optimiser or a schedule takes beside its rate."""

    name: str
    default: float | int | None
    """None: it has to be given."""


def options(factory: Callable[..., Any]) -> list[Option]:
    """The numbers that it takes beside its rate, in order.

    >>> options(OPTIMIZERS["momentum"])
    [Option(name='beta', default=0.9), Option(name='decay', default=0.0)]
    >>> options(SCHEDULES["exponential"])
    [Option(name='factor', default=None), Option(name='every', default=1)]
    """
    defaults = [
        (p.name, None if p.default is Parameter.empty else p.default)
        for p in _parameters(factory).values()
    ]
    return [Option(n, d) for n, d in defaults if d is None or isinstance(d, (int, float))]


def make(name: str, rate: Rate, **options: Any) -> Optimizer:
    """The optimiser of that name; the rate is a number or a schedule.

    Raises ConfigError for a name, an option or a value that cannot be.

    >>> optimizer = make("momentum", 0.1, beta=0.95)
    >>> make("adam", 0.1, bata1=0.95)
    Traceback (most recent call last):
        ...
    lstm.errors.ConfigError: adam takes beta1, beta2, eps, and no 'bata1'; did you mean beta1?
    >>> make("adma", 0.1)
    Traceback (most recent call last):
        ...
    lstm.errors.ConfigError: no optimiser is named 'adma'; did you mean adam?
    """
    return _called(name, _named("optimiser", OPTIMIZERS, name), rate, options)


def make_schedule(
    name: str, rate: float, steps: int, *, warmup: int = 0, **options: Any
) -> Schedule:
    """The schedule of that name for a training of that many steps.

    warmup: so many of these steps rise linearly to the rate; the schedule takes the others.
    Raises ConfigError as `make` does.

    >>> import minigrad as mg
    >>> schedule = make_schedule("cosine", 0.1, steps=12, warmup=2)
    >>> [round(float(schedule(mg.const(s, "float64"))), 3) for s in (0, 1, 2, 7, 12)]
    [0.05, 0.1, 0.1, 0.05, 0.0]
    """
    steps, warmup = check_count("steps", steps), check_count("warmup", warmup, 0)
    if warmup >= steps:
        raise ConfigError(f"warmup must end before training does, which has {steps} steps")
    factory = _named("schedule", SCHEDULES, name)
    if "steps" in _parameters(factory):
        options["steps"] = steps - warmup
    schedule = _called(name, factory, rate, options)
    return warmed_up(warmup, schedule) if warmup else schedule


def _parameters(factory: Callable[..., Any]) -> dict[str, Parameter]:
    """All but the first, which is the rate."""
    return dict([*signature(factory).parameters.items()][1:])


def _named(what: str, table: Mapping[str, _Made], name: object) -> _Made:
    if isinstance(name, str) and name in table:
        return table[name]
    if not isinstance(name, str):
        raise ConfigError(
            f"the {what} is given by its name, as {next(iter(table))!r}, not {name!r:.40}; what "
            "lstm.optim makes serves lstm.Trainer"
        )
    near = did_you_mean(name, table)
    raise ConfigError(f"no {what} is named {name!r:.40}{near or '; there are ' + ', '.join(table)}")


def _called(name: str, factory: Callable[..., _Made], rate: Rate, options: dict[str, Any]) -> _Made:
    takes = _parameters(factory)
    for option in options:
        if option not in takes:
            raise ConfigError(
                f"{name} takes {', '.join(takes) or 'no options'}, and no {option!r:.40}"
                + did_you_mean(option, takes)
            )
    for parameter in takes.values():
        if parameter.default is Parameter.empty and parameter.name not in options:
            raise ConfigError(f"{name} needs {parameter.name}=")
    return factory(rate, **options)
