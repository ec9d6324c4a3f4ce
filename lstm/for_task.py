"""What a task decides about a new model: sizes, how long gates remember, how much is said."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from lstm.cells import Cell, Gated, cell_class
from lstm.errors import ConfigError, check_number
from lstm.tasks import Task

HIDDEN = 16
"""Units of a cell that is made of its class, unless told, or the task says how many."""


def cell_for(
    cell: Any, task: Task | None, hidden_size: int | None, vocabulary: int | None
) -> Cell[Any]:
    """A cell as it is, or one made of its class, or its step function, and the sizes of what it is
    for.

    Raises ConfigError for what is neither, and where sizes are missing or not asked for.
    """
    if isinstance(cell, Cell):
        if hidden_size not in (None, cell.hidden_size):
            raise ConfigError(f"the cell has {cell.hidden_size} units: hidden_size= is for a class")
        return cell
    kind = cell_class(cell)
    if kind is None:
        raise ConfigError(f"a cell is needed, such as lstm.LSTM(2, 16), not {cell!r:.60}")
    usual = HIDDEN if task is None or task.hidden_size is None else task.hidden_size
    hidden = usual if hidden_size is None else hidden_size
    if vocabulary is None and task is None:
        raise ConfigError(
            f"the class {kind.__name__} needs a task=, which says how many inputs there are; or "
            f"give a cell, {_spelled(cell)}(input_size, hidden_size)"
        )
    inputs = task.input_size if task is not None and vocabulary is None else hidden
    return kind(inputs, hidden)


def _spelled(cell: Any) -> str:
    """How one writes the class of a cell."""
    name = getattr(cell, "__name__", "…")
    return name if isinstance(cell, type) else f"lstm.cell({name})"


def answer_steps(task: Task | None) -> int | None:
    """How many tokens an answer to a task's sequences has at most; None where it asks for none."""
    return task.target_shape(1)[0] if task is not None and task.readout == "decoder" else None


def remembering(cell: Cell[Any], task: Task | None, memory: float | None) -> Cell[Any]:
    """The cell with gates that are set to remember, where it has such.

    memory: for how many steps; None: as many as the task says, unless the cell does; 0: as it says.
    Raises ConfigError for a cell without gates to set, and for what is no number of steps.
    """
    if memory is not None:
        check_number("memory", memory, least=0)
    if not isinstance(cell, Gated):
        if memory:
            raise ConfigError(f"a cell of kind {cell.name} has no gates for a memory to set")
        return cell
    if memory is None and task is not None and cell.memory is None:
        memory = task.memory
    return replace(cell, memory=memory) if memory else cell
