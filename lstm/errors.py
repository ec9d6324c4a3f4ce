"""The exceptions that `lstm` raises on purpose, and the checks of plain values, which raise one."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from math import inf, isfinite, nan
from numbers import Integral, Real
from typing import Any

import minigrad


class LstmError(Exception):
    """Base of every error raised on purpose; the command line shows its text as one line."""


class ConfigError(LstmError, ValueError):
    """A setting that cannot be: a size below one, a cell or a task that does not exist ..."""


class UnknownAttributeError(ConfigError, AttributeError):
    """What is no attribute is read as one; `hasattr` says no, and others read what to write."""


class MissingPackageError(LstmError, minigrad.MissingPackageError):
    """A package that is needed here and not installed; minigrad's error, and an ImportError."""


class ModelFileError(LstmError, ValueError):
    """A model file that is missing, malformed, or does not hold what its header says."""


class CheckpointError(LstmError, ValueError):
    """A checkpoint that is missing or damaged, or of another training."""


class OutputError(LstmError, OSError):
    """A file or folder that cannot be written."""


class TrainingError(LstmError, FloatingPointError):
    """Training met a loss or a gradient that is not finite."""


class LostProcessError(LstmError, ConnectionError):
    """A process that trained together with this one is gone."""


class TrainingWarning(UserWarning):
    """Training goes on, but astray: the loss has exploded."""


def check_count(name: str, value: Any, least: int = 1) -> int:
    """The value as an int. Raises ConfigError unless it is a whole number of at least `least`.

    >>> check_count("steps", 3)
    3
    """
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise ConfigError(f"{name} must be a whole number of at least {least}, not {value!r:.40}")
    return int(value)


def check_number(
    name: str,
    value: Any,
    *,
    least: float = -inf,
    above: float = -inf,
    most: float = inf,
    below: float = inf,
) -> float:
    """The value as a float. Raises ConfigError unless it is a finite number within the bounds.

    >>> check_number("beta", 0, least=0, below=1)
    0.0
    >>> check_number("beta", 1, least=0, below=1)
    Traceback (most recent call last):
        ...
    lstm.errors.ConfigError: beta must be a number of at least 0 and below 1, not 1
    """
    number = nan
    if isinstance(value, Real) and not isinstance(value, bool):
        with suppress(OverflowError):
            number = float(value)
    if not (isfinite(number) and least <= number <= most and above < number < below):
        sides = ("of at least", least), ("above", above), ("of at most", most), ("below", below)
        bounds = " and ".join(f"{words} {bound:g}" for words, bound in sides if isfinite(bound))
        kind = f"a number {bounds}" if bounds else "a finite number"
        raise ConfigError(f"{name} must be {kind}, not {value!r:.40}")
    return number


def check_flag(name: str, value: Any) -> bool:
    """The value. Raises ConfigError unless it is True or False: what is neither may be taken for
    either, as "no" is true.

    >>> check_flag("reverse", "no")
    Traceback (most recent call last):
        ...
    lstm.errors.ConfigError: reverse is True or False, not 'no'
    """
    if not isinstance(value, bool):
        raise ConfigError(f"{name} is True or False, not {value!r:.40}")
    return value


def check_text(name: str, value: Any) -> str:
    """The value. Raises ConfigError unless it is a text."""
    if not isinstance(value, str):
        raise ConfigError(f"{name} is a text, not {value!r:.40}")
    return value


def check_texts(name: str, values: Any) -> list[str]:
    """The values as a list. Raises ConfigError unless they are several texts, and not one.

    >>> check_texts("features", "heat")
    Traceback (most recent call last):
        ...
    lstm.errors.ConfigError: features are a list of texts, not 'heat'
    """
    is_list = isinstance(values, Iterable) and not isinstance(values, (str, bytes))
    texts = list(values) if is_list else []
    if not is_list or not all(isinstance(text, str) for text in texts):
        raise ConfigError(f"{name} are a list of texts, not {values!r:.40}")
    return texts
