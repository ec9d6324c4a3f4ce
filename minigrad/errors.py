"""The exceptions minigrad raises on purpose. Each is also the builtin that NumPy would raise."""

from __future__ import annotations

from typing import Any


class MinigradError(Exception):
    """Base of every error raised on purpose; catch it to catch them all."""

    is_explained = False
    """Whether the operation and its operands are in the message already."""


class ShapeError(MinigradError, ValueError):
    """Shapes, axes or indices that do not fit together."""


class OutOfRangeError(ShapeError, IndexError):
    """An axis or an index that the operand does not have."""


class DTypeError(MinigradError, TypeError):
    """A dtype that an operation or an input does not take."""


class GraphError(MinigradError, ValueError):
    """A graph used in a way that its structure does not allow (an unbound variable ...)."""


class OpenGraphError(MinigradError, TypeError):
    """A concrete value was asked of an expression that still has free variables."""


class GraphFileError(MinigradError, ValueError):
    """A saved graph that is malformed, from another version, or does not check."""


class GradientError(MinigradError, AssertionError):
    """A derivative that disagrees with its numerical estimate."""


class MissingPackageError(MinigradError, ImportError):
    """A package that is needed here and not installed, with the line that installs it; `name` is
    what is imported of it."""


class NonFiniteError(MinigradError, FloatingPointError):
    """A NaN or an infinity was born, and the caller asked to be told where."""

    node: Any = None
    """The expression whose value it was, as it was compiled."""
    steps: tuple[int, ...] = ()
    """In which step of each loop around it, the outermost first, the node was computed: places in
    what the loops read, from 0, where words count from 1."""

    def within(self, step: int) -> NonFiniteError:
        """The same, met in a step of a loop."""
        error = NonFiniteError(f"in step {step + 1} of a loop: {self}")
        error.node, error.steps = self.node, (step, *self.steps)
        return error
