"""Toy tasks with a known baseline, by name; a new one is a new file here. And data of one's own."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from lstm.discovery import classes_by_name
from lstm.errors import ConfigError
from lstm.tasks.adding import Adding
from lstm.tasks.arrays import ArrayTask
from lstm.tasks.base import Batch, PaddedBatch, Task
from lstm.tasks.copying import Copying
from lstm.tasks.sequences import padded
from lstm.tasks.table import TableTask
from lstm.tasks.text import TextTask
from minigrad.names import did_you_mean

TASKS: dict[str, type[Task]] = classes_by_name(__name__, __path__, Task)
for _kind in (
    ArrayTask,
    TableTask,
    TextTask,
):  # they are made of data, and not of a name and settings
    del TASKS[_kind.name]

__all__ = [
    "TASKS",
    "Adding",
    "ArrayTask",
    "Batch",
    "Copying",
    "PaddedBatch",
    "TableTask",
    "Task",
    "TextTask",
    "make_task",
    "padded",
]


_ARRAYS = "a task of arrays, lstm.ArrayTask(xs, ys), is named as FILE.py:NAME, where it is made"
_OF_FILES = {
    ".csv": "a table of your own is lstm train csv {0} --target COLUMN, or lstm.TableTask",
    ".txt": "a text of your own is lstm train text {0}, or lstm.TextTask",
    ".npy": _ARRAYS,
    ".npz": _ARRAYS,
}
"""By how names of files end: what they are given to instead."""


def _hint(name: str, kinds: Collection[str]) -> str:
    """The name that comes near; of a file, how a task in it is named."""
    if name.endswith(".py"):
        return f"; a task of your own is {name}:NAME, its class or variable there"
    kind = Path(name).suffix.lower()
    if kind in _OF_FILES:
        return f"; {_OF_FILES[kind].format(name)}"
    return did_you_mean(name, kinds)


def make_task(
    name: str,
    settings: Mapping[str, Any] | None = None,
    kinds: Mapping[str, type[Task] | Task] = TASKS,
) -> Task:
    """The task of that name, of `kinds`, where one that is made already is as it is. Raises
    ConfigError for an unknown name or setting.

    >>> make_task("adding", {"length": 50})
    Adding(length=50, variant='halves')
    """
    if not isinstance(kinds, Mapping):
        raise ConfigError(f"kinds of tasks are a dict of them by name, not {kinds!r:.60}")
    if not isinstance(name, str) or name not in kinds:
        hint = _hint(name, kinds) if isinstance(name, str) else ""
        raise ConfigError(f"there is no task {name!r:.40}; there are: {', '.join(kinds)}{hint}")
    kind = kinds[name]
    if isinstance(kind, Task):
        return kind
    if settings is not None and not isinstance(settings, Mapping):
        raise ConfigError(f"settings of a task are a dict of them by name, not {settings!r:.60}")
    known = {f.name for f in fields(kind)}
    unknown = set(settings or {}) - known
    if unknown:
        raise ConfigError(
            f"task {name} has no setting {', '.join(sorted(map(repr, unknown)))}; "
            f"it has {', '.join(sorted(known))}"
        )
    return kind(**(settings or {}))
