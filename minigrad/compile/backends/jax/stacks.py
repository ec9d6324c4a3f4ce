"""Products of stacks of rows as they are, (T, B, K), where the graph lays them end to end.

XLA divides a stack over devices by its second axis, but not what it is once its rows lie end to
end, (T B, K): it would send all of them to every device, each of which would compute the whole
product. Of the stack, each device multiplies what it has, and sends a sum of products.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minigrad.compile.backends.jax.libraries import jnp
from minigrad.compile.backends.jax.rows import precision
from minigrad.graph.node import Expr
from minigrad.ops.core import RESHAPE
from minigrad.ops.linalg import MATMUL
from minigrad.ops.shape import PERMUTE

Value = Callable[[Expr], Any]
"""What a node came to."""


def of_stacks(node: Expr, value: Value) -> Any:
    """What a node comes to, computed of stacks; None where it is no product of such."""
    if node.op is RESHAPE and node.args[0].op is MATMUL:
        product = _of_stack(node.args[0], value)
        return product if product is not None and product.shape == node.shape else None
    if node.op is not MATMUL:
        return None
    product = _of_stack(node, value)
    return _of_two(node, value) if product is None else product.reshape(node.shape)


def _of_stack(node: Expr, value: Value) -> Any:
    """A stack by a matrix, (T, B, M)."""
    a, b = node.args
    stack = _stack(a)
    if stack is None or b.ndim != 2:
        return None
    return jnp.matmul(value(stack), value(b), precision=precision())


def _of_two(node: Expr, value: Value) -> Any:
    """One stack, turned, by another: the sum over all rows."""
    a, b = node.args
    if a.op is not PERMUTE or a.ndim != 2 or a.attrs[0] != (1, 0):
        return None
    one, other = _stack(a.args[0]), _stack(b)
    if one is None or other is None or one.shape[:-1] != other.shape[:-1]:
        return None
    axes = list(range(one.ndim - 1))
    return jnp.tensordot(value(one), value(other), (axes, axes), precision=precision())


def _stack(rows: Expr) -> Expr | None:
    """The stack whose rows these are, end to end."""
    if rows.op is not RESHAPE or rows.ndim != 2:
        return None
    stack = rows.args[0]
    return stack if stack.ndim > 2 and stack.shape[-1] == rows.shape[-1] else None
