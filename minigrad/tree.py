"""Nestings of tuples, lists and dicts: taken apart into leaves and put together again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any


def flatten(tree: Any) -> tuple[list[Any], Callable[[Iterator[Any]], Any]]:
    """The leaves of a nesting, and a function that builds the same nesting of other leaves.

    >>> leaves, build = flatten({"a": 1, "b": (2, [3])})
    >>> leaves, build(iter("xyz"))
    ([1, 2, 3], {'a': 'x', 'b': ('y', ['z'])})
    """
    if isinstance(tree, Mapping):
        parts = [flatten(v) for v in tree.values()]
        keys = list(tree)
        return (
            [leaf for leaves, _ in parts for leaf in leaves],
            lambda it: {k: build(it) for k, (_, build) in zip(keys, parts, strict=True)},
        )
    if isinstance(tree, (tuple, list)):
        parts = [flatten(v) for v in tree]
        make = _maker(tree)
        return (
            [leaf for leaves, _ in parts for leaf in leaves],
            lambda it: make([build(it) for _, build in parts]),
        )
    return [tree], next


def paths(tree: Any, root: str = "") -> list[str]:
    """Where each leaf of a nesting stands, as Python writes it.

    >>> paths({"a": 1, "b": (2, [3])}, "carry")
    ["carry['a']", "carry['b'][0]", "carry['b'][1][0]"]
    """
    if isinstance(tree, Mapping):
        return [p for k, v in tree.items() for p in paths(v, f"{root}[{k!r}]")]
    if hasattr(tree, "_fields"):
        named = zip(tree._fields, tree, strict=True)
        return [p for name, v in named for p in paths(v, f"{root}.{name}")]
    if isinstance(tree, (tuple, list)):
        return [p for k, v in enumerate(tree) for p in paths(v, f"{root}[{k}]")]
    return [root]


def _maker(tree: Any) -> Callable[[list[Any]], Any]:
    if isinstance(tree, list):
        return list
    if hasattr(tree, "_fields"):  # a named tuple
        return lambda items: type(tree)(*items)
    return tuple
