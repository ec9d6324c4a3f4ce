"""Nestings of tuples, lists and dicts: taken apart into leaves and put together again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

_NESTINGS = (tuple, list, Mapping)


def flatten(tree: Any) -> tuple[list[Any], Callable[[Iterator[Any]], Any]]:
    """The leaves of a nesting, and a function that builds the same nesting of other leaves.

    >>> leaves, build = flatten({"a": 1, "b": (2, [3])})
    >>> leaves, build(iter("xyz"))
    ([1, 2, 3], {'a': 'x', 'b': ('y', ['z'])})
    """
    if not isinstance(tree, _NESTINGS):
        return [tree], next
    _, parts, make = _opened(tree)
    flat = [flatten(part) for part in parts]
    return (
        [leaf for leaves, _ in flat for leaf in leaves],
        lambda it: make([build(it) for _, build in flat]),
    )


def paths(tree: Any, root: str = "") -> list[str]:
    """Where each leaf of a nesting stands, as Python writes it.

    >>> paths({"a": 1, "b": (2, [3])}, "carry")
    ["carry['a']", "carry['b'][0]", "carry['b'][1][0]"]
    """
    if not isinstance(tree, _NESTINGS):
        return [root]
    steps, parts, _ = _opened(tree)
    pairs = zip(steps, parts, strict=True)
    return [path for step, part in pairs for path in paths(part, root + step)]


def _opened(tree: Any) -> tuple[list[str], Sequence[Any], Callable[[list[Any]], Any]]:
    """How Python reads each part of a nesting, the parts, and what puts such parts together."""
    if isinstance(tree, Mapping):
        keys = list(tree)
        steps = [f"[{k!r}]" for k in keys]
        return steps, list(tree.values()), lambda parts: dict(zip(keys, parts, strict=True))
    if hasattr(tree, "_fields"):  # a named tuple
        return [f".{f}" for f in tree._fields], tree, lambda parts: type(tree)(*parts)
    make = list if isinstance(tree, list) else tuple
    return [f"[{k}]" for k in range(len(tree))], tree, make
