"""A named tree: nested dicts of tensors, as a model's parameters are, and states of named tuples.

A leaf has a dotted name, the way to it: `{"layer1": {"W_f": ...}}` has "layer1.W_f". Names along
the way are never empty and have no dot in them, so no two leaves have one name.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeAlias

import numpy as np

from lstm.errors import ConfigError

Tree: TypeAlias = Any
"""A mapping or a named tuple of trees, or a leaf; {} has none."""


def flatten(tree: Tree) -> dict[str, Any]:
    """The leaves of a tree by their dotted names. Raises ConfigError for a name that cannot be.

    >>> flatten({"layer1": {"W_f": 1, "b_f": 2}, "readout": {"W_y": 3}})
    {'layer1.W_f': 1, 'layer1.b_f': 2, 'readout.W_y': 3}
    """
    return {
        join(name, rest): leaf
        for name, branch in _branches(tree).items()
        for rest, leaf in (flatten(branch) if is_branch(branch) else {"": branch}).items()
    }


def unflatten(leaves: Mapping[str, Any]) -> dict[str, Any]:
    """The nested dicts that have these leaves. Raises ConfigError where a leaf is a branch, too.

    >>> unflatten({"layer1.W_f": 1, "layer1.b_f": 2})
    {'layer1': {'W_f': 1, 'b_f': 2}}
    """
    tree: dict[str, Any] = {}
    for name, leaf in leaves.items():
        *way, last = name.split(".") if isinstance(name, str) else [check_name(name)]
        branch = tree
        for step in way:
            branch = branch.setdefault(step, {})
            if not isinstance(branch, dict):
                break
        if not isinstance(branch, dict) or last in branch:
            raise ConfigError(f"{name!r} is a tensor, or is below one, and the other as well")
        branch[last] = leaf
    return tree


def by_dotted_name(leaves: Tree) -> dict[str, Any]:
    """The leaves of a tree by their dotted names, or of a mapping that has them by these already.

    Raises ConfigError for names that cannot be.

    >>> by_dotted_name({"readout": {"W_y": 3}}) == by_dotted_name({"readout.W_y": 3})
    True
    """
    if isinstance(leaves, Mapping) and not any(map(is_branch, leaves.values())):
        return flatten(unflatten(leaves))
    return flatten(leaves)


def rebuild(tree: Tree, leaves: Mapping[str, Any], what: str = "tensors") -> Tree:
    """The same nesting with other leaves, given by their dotted names.

    Raises ConfigError, which calls them `what`, for names that are missing or that it has not.

    >>> rebuild({"a": {"b": 0}}, {"a.b": "new"})
    {'a': {'b': 'new'}}
    """
    check_names(set(leaves), set(flatten(tree)), what)
    return map_leaves(lambda name, _: leaves[name], tree)


def map_leaves(function: Callable[[str, Any], Any], tree: Tree, place: str = "") -> Tree:
    """The same nesting, each leaf replaced by function(dotted name, leaf).

    >>> map_leaves(lambda name, x: f"{name} is {x}", {"a": {"b": 0}})
    {'a': {'b': 'a.b is 0'}}
    """
    if not is_branch(tree):
        return function(place, tree)
    branches = {
        name: map_leaves(function, branch, join(place, name))
        for name, branch in _branches(tree).items()
    }
    return branches if isinstance(tree, Mapping) else type(tree)(**branches)


def drawn(
    rng: np.random.Generator, shapes: Tree, dtype: str, *, maps: Collection[str] = ()
) -> Tree:
    """Parameters of linear maps: matrices of U(-1/√n, 1/√n), where n is how many numbers each sum
    has, the first size of a shape; vectors and scalars, which are added, at 0.

    maps: dotted names of vectors that are no biases, but multiply: these are drawn, too.

    >>> made = drawn(np.random.default_rng(0), {"W": (4, 2), "b_y": (2,)}, "float32")
    >>> bool(abs(made["W"]).max() < 0.5), made["b_y"].tolist()
    (True, [0.0, 0.0])
    """

    def one(name: str, shape: tuple[int, ...]) -> Any:
        is_map = len(shape) > 1 or name in maps
        bound = shape[0] ** -0.5 if is_map and shape[0] else 0.0
        return np.asarray(rng.uniform(-bound, bound, shape), dtype)

    return map_leaves(one, shapes)


def check_names(names: set[str], expected: set[str], what: str = "tensors") -> None:
    """Raise ConfigError unless both are the same."""
    missing, unknown = expected - names, names - expected
    if missing:
        raise ConfigError(f"{what} are missing: {listed(missing)}")
    if unknown:
        raise ConfigError(f"{what} are unknown: {listed(unknown)}; there are {listed(expected)}")


def check_name(name: Any) -> str:
    """The name of a branch or a leaf. Raises ConfigError for what cannot be one."""
    if not isinstance(name, str) or not name or "." in name:
        raise ConfigError(f"a name is a text that is not empty and has no dot in it, not {name!r}")
    return name


def join(place: str, name: str) -> str:
    """The dotted name of what has that name at a place.

    >>> join("layer1", "W_f"), join("", "W_f")
    ('layer1.W_f', 'W_f')
    """
    return f"{place}.{name}" if place and name else place or name


def is_branch(tree: Tree) -> bool:
    """Whether this is no leaf; a plain tuple, such as a shape, is one."""
    return isinstance(tree, Mapping) or hasattr(tree, "_asdict")


def _branches(tree: Tree) -> Mapping[str, Any]:
    if isinstance(tree, Mapping):
        return {check_name(name): branch for name, branch in tree.items()}
    if not hasattr(tree, "_asdict"):
        raise ConfigError(f"a tree is of dicts and named tuples, not of {type(tree).__name__}s")
    branches: dict[str, Any] = tree._asdict()
    return branches


def listed(names: set[str], most: int = 12) -> str:
    """Names for a message, whatever they are: in order, each in one line and not for ever."""
    shown = (name if name.isprintable() else repr(name) for name in names)
    ordered = sorted(name if len(name) <= 60 else f"{name[:60]}…" for name in shown)
    more = f" and {len(ordered) - most} more" if len(ordered) > most else ""
    return ", ".join(ordered[:most]) + more
