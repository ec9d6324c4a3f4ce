"""Attributes that are computed when they are first asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar, overload

T = TypeVar("T")


class lazy(Generic[T]):  # noqa: N801 - a decorator, as property is
    """A property that is computed once. Two threads may both compute it, so it must not matter
    whose stays.

    `functools.cached_property` of Python 3.11 holds a lock for all instances meanwhile: a child
    that is forked then would wait for it for ever.

    >>> class Circle:
    ...     radius = 2.0
    ...
    ...     @lazy
    ...     def area(self):
    ...         print("computed")
    ...         return 3.14 * self.radius**2
    >>> circle = Circle()
    >>> circle.area, circle.area
    computed
    (12.56, 12.56)
    >>> type(Circle.area).__name__
    'lazy'
    """

    def __init__(self, compute: Callable[[Any], T]) -> None:
        self._compute = compute
        self.__doc__ = compute.__doc__
        self._name = compute.__name__

    @overload
    def __get__(self, instance: None, owner: type | None = None) -> lazy[T]: ...
    @overload
    def __get__(self, instance: object, owner: type | None = None) -> T: ...
    def __get__(self, instance: Any, owner: type | None = None) -> lazy[T] | T:
        if instance is None:  # asked of the class, as tools do that look at what it has
            return self
        value = instance.__dict__[self._name] = self._compute(instance)
        return value
