"""The exceptions that `lstm` raises on purpose."""

from __future__ import annotations


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
