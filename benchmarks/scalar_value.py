"""A scalar that remembers what made it: the eager engine that micrograd made known, for general.py.

Its walk back is a loop and not a recursion, so that it can do long chains too.
"""

from __future__ import annotations

import math
from typing import Any


class Value:
    """A number, its gradient, and the numbers that it is made of with their derivatives."""

    __slots__ = ("data", "grad", "parts")

    def __init__(self, data: float, *parts: tuple[Value, float]) -> None:
        self.data, self.grad, self.parts = data, 0.0, parts

    def __add__(self, other: Any) -> Value:
        if not isinstance(other, Value):
            return Value(self.data + other, (self, 1.0))
        return Value(self.data + other.data, (self, 1.0), (other, 1.0))

    def __mul__(self, other: Any) -> Value:
        if not isinstance(other, Value):
            return Value(self.data * other, (self, other))
        return Value(self.data * other.data, (self, other.data), (other, self.data))

    def __neg__(self) -> Value:
        return self * -1.0

    def __sub__(self, other: Any) -> Value:
        return self + -other

    def __rsub__(self, other: Any) -> Value:
        return -self + other

    __radd__, __rmul__ = __add__, __mul__

    def tanh(self) -> Value:
        y = math.tanh(self.data)
        return Value(y, (self, 1.0 - y * y))

    def relu(self) -> Value:
        return Value(max(self.data, 0.0), (self, float(self.data > 0.0)))

    def backward(self) -> None:
        """Add the derivative towards each number that this one depends on to its gradient."""
        order: list[Value] = []
        seen: set[int] = set()
        stack = [(self, False)]
        while stack:
            node, done = stack.pop()
            if done:
                order.append(node)
            elif id(node) not in seen:
                seen.add(id(node))
                stack.append((node, True))
                stack += [(part, False) for part, _ in node.parts]
        self.grad = 1.0
        for node in reversed(order):
            for part, slope in node.parts:
                part.grad += slope * node.grad
