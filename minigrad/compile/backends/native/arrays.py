"""Where NumPy's arrays lie, and whether they are what machine code takes them for, many at once.

Asked one by one from Python that took 2 µs an array, a fifth of a small net's training step.
Machine code reads the fields of the array objects themselves, at the places that NumPy gives them
for all code compiled against it (`PyArrayObject_fields`). Where those are elsewhere, Python asks.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minigrad.compile.backends.native.jit import compile_module, known_as, module_text
from minigrad.types import TensorType

# NumPy's flags.
CONTIGUOUS, ALIGNED, WRITEABLE = 0x1, 0x100, 0x400
PLAIN = CONTIGUOUS | ALIGNED

# The fields, counted from an object's start: its class ends the head that all objects have.
HEAD = object.__basicsize__
CLASS, DATA, NDIM, DIMS, DESCR, FLAGS = (
    HEAD - 8, HEAD, HEAD + 8, HEAD + 16, HEAD + 40, HEAD + 48
)  # fmt: skip

# Whether so many objects are arrays of their kinds (dtype, axes, flags, sizes), and their places.
LOOK = """
@minigrad_ndarray = external global i8

define i64 @look(ptr %objects, ptr %kinds, i64 %count, ptr %places) {
entry:
  %some = icmp sgt i64 %count, 0
  br i1 %some, label %object, label %all
object:
  %k = phi i64 [0, %entry], [%next, %take]
  %to_object = getelementptr ptr, ptr %objects, i64 %k
  %array = load ptr, ptr %to_object
  %kind = getelementptr [4 x i64], ptr %kinds, i64 %k
  %to_class = getelementptr i8, ptr %array, i64 CLASS
  %class = load ptr, ptr %to_class
  %is_array = icmp eq ptr %class, @minigrad_ndarray
  br i1 %is_array, label %fields, label %other
fields:
  %to_descr = getelementptr i8, ptr %array, i64 DESCR
  %descr = load i64, ptr %to_descr
  %wanted_descr = load i64, ptr %kind
  %same_descr = icmp eq i64 %descr, %wanted_descr
  %to_axes = getelementptr i8, ptr %array, i64 NDIM
  %axes32 = load i32, ptr %to_axes
  %axes = sext i32 %axes32 to i64
  %to_wanted_axes = getelementptr i64, ptr %kind, i64 1
  %wanted_axes = load i64, ptr %to_wanted_axes
  %same_axes = icmp eq i64 %axes, %wanted_axes
  %to_flags = getelementptr i8, ptr %array, i64 FLAGS
  %flags32 = load i32, ptr %to_flags
  %flags = sext i32 %flags32 to i64
  %to_wanted_flags = getelementptr i64, ptr %kind, i64 2
  %wanted_flags = load i64, ptr %to_wanted_flags
  %set = and i64 %flags, %wanted_flags
  %same_flags = icmp eq i64 %set, %wanted_flags
  %both = and i1 %same_descr, %same_axes
  %three = and i1 %both, %same_flags
  br i1 %three, label %sizes, label %other
sizes:
  %to_sizes = getelementptr i8, ptr %array, i64 DIMS
  %size = load ptr, ptr %to_sizes
  %to_wanted_sizes = getelementptr i64, ptr %kind, i64 3
  %wanted_size = load ptr, ptr %to_wanted_sizes
  br label %axis
axis:
  %j = phi i64 [0, %sizes], [%next_axis, %equal]
  %more_axes = icmp slt i64 %j, %axes
  br i1 %more_axes, label %compare, label %take
compare:
  %to_n = getelementptr i64, ptr %size, i64 %j
  %n = load i64, ptr %to_n
  %to_wanted_n = getelementptr i64, ptr %wanted_size, i64 %j
  %wanted_n = load i64, ptr %to_wanted_n
  %same_n = icmp eq i64 %n, %wanted_n
  br i1 %same_n, label %equal, label %other
equal:
  %next_axis = add i64 %j, 1
  br label %axis
take:
  %to_data = getelementptr i8, ptr %array, i64 DATA
  %data = load ptr, ptr %to_data
  %place = getelementptr ptr, ptr %places, i64 %k
  store ptr %data, ptr %place
  %next = add i64 %k, 1
  %more = icmp slt i64 %next, %count
  br i1 %more, label %object, label %all
all:
  ret i64 1
other:
  ret i64 0
}
"""

COPY = """
declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)
define i64 @copy(ptr %to, ptr %from, i64 %count, ptr %sizes) {
entry:
  br label %test
test:
  %k = phi i64 [0, %entry], [%next, %one]
  %more = icmp slt i64 %k, %count
  br i1 %more, label %one, label %out
one:
  %to_k = getelementptr ptr, ptr %to, i64 %k
  %from_k = getelementptr ptr, ptr %from, i64 %k
  %size_k = getelementptr i64, ptr %sizes, i64 %k
  %target = load ptr, ptr %to_k
  %source = load ptr, ptr %from_k
  %size = load i64, ptr %size_k
  call void @llvm.memcpy.p0.p0.i64(ptr %target, ptr %source, i64 %size, i1 false)
  %next = add i64 %k, 1
  br label %test
out:
  ret i64 0
}
"""


class Kinds:
    """What so many arrays must be, one after the other: of exactly these types, with these flags.

    >>> a = np.ones(2)
    >>> kinds = Kinds([TensorType((2,), np.float64)], PLAIN)
    >>> kinds.places([a])[0] == a.ctypes.data, kinds.places([np.ones(3)])
    (True, None)
    """

    def __init__(self, types: Sequence[TensorType], flags: int) -> None:
        self.types = list(types)  # kept, as is what the table points to
        self._sizes = [(ctypes.c_int64 * t.ndim)(*t.shape) for t in self.types]
        self._count = len(self.types)
        fields: list[int] = []
        for t, sizes in zip(self.types, self._sizes, strict=True):
            fields += id(t.dtype), t.ndim, flags, ctypes.addressof(sizes)
        self._kinds = (ctypes.c_int64 * len(fields))(*fields)
        self._table = ctypes.c_size_t * self._count

    def places(self, arrays: Sequence[Any]) -> Any:
        """The arrays' addresses, as machine code reads them; None where one is something else."""
        functions = _functions()
        return functions and self._places(functions[0], arrays)

    def _places(self, look: Callable[..., Any], arrays: Sequence[Any]) -> Any:
        table, objects = self._table(), tuple(arrays)  # which ends with pointers to its items
        fit = look(id(objects) + tuple.__basicsize__, self._kinds, self._count, table)
        return table if fit else None


class Copies:
    """Arrays of so many types copied into others, all at once."""

    def __init__(self, types: Sequence[TensorType]) -> None:
        self._targets, self._sources = Kinds(types, PLAIN | WRITEABLE), Kinds(types, PLAIN)
        self._bytes = (ctypes.c_int64 * len(types))(*[t.size * t.dtype.itemsize for t in types])

    def copied(self, targets: Sequence[Any], sources: Sequence[Any]) -> bool:
        """Whether all were, as they are where all are of their types and in one piece."""
        to, origin = self._targets.places(targets), self._sources.places(sources)
        functions = _functions()
        if to is None or origin is None or functions is None:
            return False
        functions[1](to, origin, len(self._bytes), self._bytes)
        return True


@functools.cache
def _functions() -> tuple[Callable[..., Any], Callable[..., Any]] | None:
    """`look` and `copy`; None where NumPy's arrays are not laid out as `look` reads them, and
    without llvmlite: a graph of NumPy's ops alone asks for no other machine code."""
    laid_out = sys.implementation.name == "cpython" and np.ndarray.__basicsize__ >= FLAGS + 4
    if not laid_out or importlib.util.find_spec("llvmlite") is None:
        return None
    known_as("minigrad_ndarray", id(np.ndarray))
    fields = {"CLASS": CLASS, "DATA": DATA, "NDIM": NDIM, "DIMS": DIMS}
    code = compile_module(module_text(LOOK + COPY, {**fields, "DESCR": DESCR, "FLAGS": FLAGS}))
    look, copy = (code.function(n, 4, ctypes.c_int64, holds_gil=True) for n in ("look", "copy"))
    return (look, copy) if _reads_right(look) else None


def _reads_right(look: Callable[..., Any]) -> bool:
    """Whether `look` tells arrays from others, and finds where they lie."""
    a = np.zeros((2, 3), np.float32)
    locked = a.copy()
    locked.flags.writeable = False
    kinds = Kinds([TensorType(a.shape, a.dtype)] * 2, PLAIN | WRITEABLE)
    others = [a.T, a[:, ::2], np.zeros((2, 6), a.dtype)[:, ::2], locked, a.view(np.int32), 3, None]
    table = kinds._places(look, [a, b := a.copy()])
    return (
        table is not None
        and list(table) == [a.ctypes.data, b.ctypes.data]
        and all(kinds._places(look, [a, other]) is None for other in others)
    )
