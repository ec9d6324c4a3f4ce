"""Classes, and tasks, of the user's own, named on the command line as FILE.py:NAME or MODULE:NAME.

Only what the caller names is run, never anything that a model file says.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from lstm.cells import Cell, cell_class
from lstm.errors import ConfigError
from lstm.tasks import Task
from lstm.tasks.base import STATED


def class_named(spelled: str, base: type[Any]) -> Any:
    """The class that "FILE.py:NAME" or "MODULE:NAME" spells, which must be a subclass of `base`.
    Where that is `Task`, a task serves as well, such as an `ArrayTask` of data that are read there,
    and where it is `Cell`, the step function of one.

    A module is looked for where Python looks; a file is run by itself. Raises ConfigError.

    >>> from lstm.tasks import Task
    >>> class_named("lstm.tasks:Adding", Task).name
    'adding'
    """
    where, _, name = spelled.rpartition(":")
    if not where or not name.isidentifier():
        raise ConfigError(f"{spelled!r} is no FILE.py:NAME or MODULE:NAME")
    module = _run_file(Path(where)) if where.endswith(".py") else _import(where)
    own = getattr(module, name, None)
    if _fits(own, base):
        _check_whole(spelled, own)
        return own
    if base is Cell and callable(own) and not isinstance(own, type):
        return cell_class(own)
    fitting = [n for n, v in vars(module).items() if _fits(v, base)]
    listed = ", ".join(fitting) or "none"
    raise ConfigError(f"{where} has no {base.__name__} called {name!r}; it has: {listed}")


def _fits(value: Any, base: type[Any]) -> bool:
    if isinstance(value, type):
        return issubclass(value, base)
    return base is Task and isinstance(value, Task)


def _check_whole(spelled: str, own: Any) -> None:
    """Raise ConfigError for a class that does not say all that one of its kind must."""
    lacking = sorted(getattr(own, "__abstractmethods__", ()))
    if issubclass(own if isinstance(own, type) else type(own), Task):
        lacking += [name for name in STATED if not hasattr(own, name)]
    if lacking:
        raise ConfigError(f"{spelled} lacks {', '.join(lacking)}, which each of its kind must say")


def _import(name: str) -> ModuleType:
    if Path(name).is_file():
        raise ConfigError(f"{name} is no file of Python, which ends in .py")
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:  # what the user's code raises can be anything
        raise ConfigError(f"cannot import {name}: {_said(error)}") from error


def _run_file(path: Path) -> ModuleType:
    name = f"lstm_own_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"cannot run {path}: it is no file of Python")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    beside = str(path.parent.resolve())  # whose modules it may import, as a script may
    if beside not in sys.path:
        sys.path.insert(0, beside)
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # a script that ends itself would end the command
        del sys.modules[name]
        raise ConfigError(f"cannot run {path}: {_said(error)}") from error
    return module


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
