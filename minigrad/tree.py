"""Nestings of tuples, lists and dicts: taken apart into leaves and put together again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any


def flatten(tree: Any) -> tuple[list[Any], Callable[[Iterator[Any]], Any]]:
    """The leaves of a nesting, and a function that builds the same nesting of other leaves.

    >>> leaves, build = flatten({"a": 1, "b": (2, [3])})
    >>> leaves, build(iter("xyz"))
    ([1, 2, 3], {'a': 'x', 'b': ('y', ['z'])})
    """
    opened = _opened(tree)
    if opened is None:
        return [tree], next
    _, parts, make = opened
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
    opened = _opened(tree)
    if opened is None:
        return [root]
    pairs = zip(*opened[:2], strict=True)
    return [path for step, part in pairs for path in paths(part, root + step)]


def _opened(tree: Any) -> tuple[list[str], Sequence[Any], Callable[[list[Any]], Any]] | None:
    """How Python reads each part of a nesting, the parts, and what puts such parts together."""
    if isinstance(tree, Mapping):
        keys = list(tree)
        steps = [f"[{k!r}]" for k in keys]
        return steps, list(tree.values()), lambda parts: dict(zip(keys, parts, strict=True))
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):  # a named one
        return [f".{f}" for f in tree._fields], tree, lambda parts: type(tree)(*parts)
    if isinstance(tree, (tuple, list)):
        make = list if isinstance(tree, list) else tuple
        return [f"[{k}]" for k in range(len(tree))], tree, make
    return None
