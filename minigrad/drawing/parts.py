"""What of a graph gets a shape of its own, what is folded away, and what is written into users."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from minigrad.drawing.amount import LISTED, Amount
from minigrad.graph.leaves import CONST
from minigrad.graph.node import Expr
from minigrad.ops.core import BROADCAST, RESHAPE, uniform_value
from minigrad.ops.linalg import MATMUL
from minigrad.types import Array


class Parts:
    """Which nodes are drawn, which only move elements, and which are written into their users."""

    def __init__(
        self, roots: Iterable[Expr], inline: Iterable[Expr], names: Mapping[Expr, str]
    ) -> None:
        self._shown = {*roots, *names}
        self._inline = set(inline)
        self._names = names

    def is_shown(self, node: Expr) -> bool:
        """Whether a node is drawn, whatever its op."""
        return node in self._shown or node.label is not None

    def is_plumbing(self, node: Expr, user: Expr) -> bool:
        """A broadcast, or the axis that a vector gets for a matmul: no arithmetic of its own."""
        if self.is_shown(node) or not node.args:
            return False
        if node.op is BROADCAST:
            return True
        return node.op is RESHAPE and user.op is MATMUL and node.args[0].ndim == 1

    def written(self, node: Expr) -> str | None:
        """The text of a leaf that is written into its users; None for a node of its own."""
        if node in self._inline:
            return display_name(node, self._names)
        value = uniform_value(node)
        if value is not None:
            return _number(value)
        if node.op is CONST and node.size <= LISTED:
            return _listed(node.value)
        return None


def display_name(node: Expr, names: Mapping[Expr, str] | None = None) -> str:
    """The name of a node in pictures, '' for none; `names` come before its own."""
    chosen = (names or {}).get(node)
    return chosen if chosen is not None else node.name or ""


def _listed(values: Array) -> str:
    """A few numbers as nested lists, floats in four digits."""
    if values.dtype.kind != "f":
        return str(values.tolist())
    return Amount.of(values).short(_number)


def _number(value: float | int | bool) -> str:
    if isinstance(value, (bool, int)) or not np.isfinite(value):
        return str(value)
    return str(int(value)) if value == int(value) and abs(value) < 1e6 else f"{value:.4g}"
