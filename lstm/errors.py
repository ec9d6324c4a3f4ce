"""The exceptions that `lstm` raises on purpose, and the check of a count, which raises one."""

from __future__ import annotations

from numbers import Integral
from typing import Any


class LstmError(Exception):
    """Base of every error raised on purpose; the command line shows its text as one line."""


class ConfigError(LstmError, ValueError):
    """A setting that cannot be: a size below one, a cell or a task that does not exist ..."""


class ModelFileError(LstmError, ValueError):
    """A model file that is missing, malformed, or does not hold what its header says."""


class OutputError(LstmError, OSError):
    """A file or folder that cannot be written."""


class TrainingError(LstmError, FloatingPointError):
    """Training met a loss or a gradient that is not finite."""


def check_count(name: str, value: Any, least: int = 1) -> int:
    """The value as an int. Raises ConfigError unless it is a whole number of at least `least`.

    >>> check_count("steps", 3)
    3
    """
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise ConfigError(f"{name} must be a whole number of at least {least}, not {value!r:.40}")
    return int(value)
