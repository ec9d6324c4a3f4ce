"""Finding what a package holds: a new file in it is enough."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from inspect import isabstract
from pkgutil import iter_modules
from typing import Any


def classes_by_name(package: str, path: Iterable[str], base: type[Any]) -> dict[str, Any]:
    """The concrete subclasses of `base` that a package's modules define, by their `name`.

    Modules are taken in the order of their names, and classes in that of their lines. Raises
    TypeError where two classes have one name.

    >>> import lstm.tasks
    >>> list(classes_by_name("lstm.tasks", lstm.tasks.__path__, lstm.tasks.Task))[0]
    'adding'
    """
    classes: dict[str, Any] = {}
    for info in sorted(iter_modules(path), key=lambda info: info.name):
        module = import_module(f"{package}.{info.name}")
        for kind in vars(module).values():
            if not _is_one(kind, base, module.__name__):
                continue
            if kind.name in classes:
                raise TypeError(f"{classes[kind.name]} and {kind} are both called {kind.name!r}")
            classes[kind.name] = kind
    return classes


def _is_one(kind: Any, base: type[Any], module: str) -> bool:
    return (
        isinstance(kind, type)
        and issubclass(kind, base)
        and kind.__module__ == module
        and not isabstract(kind)
    )
