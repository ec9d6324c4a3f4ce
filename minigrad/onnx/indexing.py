"""Indexing in ONNX: slices by Slice, rows by Gather, and all else by the numbers that elements have
in a row of all of them."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from minigrad.graph.node import Expr
from minigrad.onnx.writer import Writer
from minigrad.ops.index import ARRAY, NEW, Entry, Spec, all_of
from minigrad.types import Array, Shape


def getitem(w: Writer, y: Expr, x: str, *indices: str) -> str:
    """x[index]"""
    spec, shape = y.attrs[0], y.args[0].shape
    if not indices:
        return _sliced(w, x, spec, shape, y.shape)
    if len(indices) == 1 and _are_rows(spec, shape):
        return w.op("Gather", x, indices[0], axis=spec.index(ARRAY))
    flat = w.reshape(x, (prod(shape),))
    return w.op("Gather", flat, _numbers(w, shape, y.shape, spec, y.args[1:], indices))


def scatter(w: Writer, y: Expr, values: str, *indices: str) -> str:
    """Zeros to which the values are added at an index."""
    spec, shape = y.attrs
    start = w.op("Expand", w.const(0, y.dtype), w.ints(prod(shape)))
    numbers = _numbers(w, shape, y.args[0].shape, spec, y.args[1:], indices)
    return _written(w, y, start, numbers, values, y.args[0].size, "add")


def put(w: Writer, y: Expr, x: str, values: str, *indices: str) -> str:
    """x in which the values stand at an index."""
    spec, shape = y.attrs[0], y.shape
    start = w.reshape(x, (prod(shape),))
    numbers = _numbers(w, shape, y.args[1].shape, spec, y.args[2:], indices)
    return _written(w, y, start, numbers, values, y.args[1].size, "none")


def _written(
    w: Writer, y: Expr, start: str, numbers: str, values: str, count: int, how: str
) -> str:
    if not count:
        return w.reshape(start, y.shape)
    rows, each = w.reshape(numbers, (count, 1)), w.reshape(values, (count,))
    return w.reshape(w.op("ScatterND", start, rows, each, reduction=how), y.shape)


def _are_rows(spec: Spec, shape: Shape) -> bool:
    """Whether an index array picks along one axis, and all other axes are whole."""
    if len(spec) != len(shape):
        return False
    return all(e in (ARRAY, own) for e, own in zip(spec, all_of(shape), strict=True))


def _sliced(w: Writer, x: str, spec: Spec, shape: Shape, result: Shape) -> str:
    """Slices and integers, which are slices of one; what has a new shape then is reshaped."""
    bounds: list[tuple[int, ...]] = []
    sizes: list[int] = []
    entries = [e for e in spec if e != NEW]
    for axis, (entry, n) in enumerate(zip(entries, shape, strict=True)):
        start, length, step = (entry[1], 1, 1) if entry[0] == "i" else entry[1:]
        sizes.append(length)
        stop = start + length * step
        if (start, length, step) != (0, n, 1):  # the end before the first element is -n - 1
            bounds.append((start, stop if stop >= 0 else -n - 1, axis, step))
    if bounds:
        x = w.op("Slice", x, *[w.ints(*numbers) for numbers in zip(*bounds, strict=True)])
    return x if tuple(sizes) == result else w.reshape(x, result)


def _numbers(
    w: Writer,
    shape: Shape,
    result: Shape,
    spec: Spec,
    arrays: tuple[Expr, ...],
    indices: tuple[str, ...],
) -> str:
    """The number of each element that an index selects, int64 of the index's shape."""
    points = [e[0] in "ai" for e in spec]
    broadcast = np.broadcast_shapes(*[a.shape for a in arrays]) if arrays else ()
    first = points.index(True) if arrays else 0
    beside = arrays and all(points[first : first + sum(points)])
    at = (first if beside else 0) if arrays else len(result)
    fixed: Array = np.zeros(result, np.int64)
    moving: list[str] = []
    waiting = iter(zip(arrays, indices, strict=True))
    place, axis = 0, 0  # among the axes of the result that slices give, and of x
    for entry in spec:
        if entry == NEW:
            place += 1
            continue
        n, stride = shape[axis], prod(shape[axis + 1 :])
        axis += 1
        if entry == ARRAY:
            array, name = next(waiting)
            moving.append(_of_array(w, array, name, n, stride, len(result) - at - len(broadcast)))
        elif entry[0] == "i":
            fixed = fixed + entry[1] * stride
        else:
            where = place if place < at else place + len(broadcast)
            fixed = fixed + _of_slice(entry, stride, len(result) - where - 1)
            place += 1
    total = w.const(fixed)
    for one in moving:
        total = w.op("Add", total, one)
    return total


def _of_slice(entry: Entry, stride: int, after: int) -> Any:
    _, start, length, step = entry
    numbers = (start + step * np.arange(length, dtype=np.int64)) * stride
    return numbers.reshape(length, *(1,) * after)


def _of_array(w: Writer, array: Expr, name: str, n: int, stride: int, after: int) -> str:
    """What an index array adds; it counts from the end where it is below 0."""
    whole = w.cast(name, np.int64)
    below = w.op("Less", whole, w.const(0, np.int64))
    whole = w.op("Where", below, w.op("Add", whole, w.const(n, np.int64)), whole)
    whole = w.op("Mul", whole, w.const(stride, np.int64))
    return w.reshape(whole, (*array.shape, *(1,) * after)) if after else whole
