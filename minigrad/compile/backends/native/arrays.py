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
from typing import Any, NamedTuple

import numpy as np

from minigrad.compile.backends.native.jit import compile_module, known_as, module_text
from minigrad.types import FLOAT64, Array, TensorType

# NumPy's flags.
CONTIGUOUS, ALIGNED, WRITEABLE = 0x1, 0x100, 0x400
PLAIN = CONTIGUOUS | ALIGNED

# The fields, counted from an object's start: its class ends the head that all objects have.
HEAD = object.__basicsize__
CLASS, DATA, NDIM, DIMS, DESCR, FLAGS = (
    HEAD - 8, HEAD, HEAD + 8, HEAD + 16, HEAD + 40, HEAD + 48
)  # fmt: skip
ITEMS = tuple.__basicsize__
"""Where a tuple's pointers to its items begin."""

# How a call of a program went.
OTHER_KINDS, DONE, OUT_OF_RANGE = 0, 1, 2

# Whether so many objects are of their kinds (dtype, axes, flags, sizes, whether a float of Python's
# or NumPy's serves too, which has its number where its head ends), and their places.
LOOK = """
@minigrad_ndarray = external global i8
@minigrad_float = external global i8
@minigrad_float64 = external global i8

define i64 @look(ptr %objects, ptr %kinds, i64 %count, ptr %places) {
entry:
  %some = icmp sgt i64 %count, 0
  br i1 %some, label %object, label %all
object:
  %k = phi i64 [0, %entry], [%next, %found]
  %to_object = getelementptr ptr, ptr %objects, i64 %k
  %array = load ptr, ptr %to_object
  %kind = getelementptr [5 x i64], ptr %kinds, i64 %k
  %to_class = getelementptr i8, ptr %array, i64 CLASS
  %class = load ptr, ptr %to_class
  %is_array = icmp eq ptr %class, @minigrad_ndarray
  br i1 %is_array, label %fields, label %number
number:
  %is_float = icmp eq ptr %class, @minigrad_float
  %is_float64 = icmp eq ptr %class, @minigrad_float64
  %is_number = or i1 %is_float, %is_float64
  %to_serves = getelementptr i64, ptr %kind, i64 4
  %serves64 = load i64, ptr %to_serves
  %serves = trunc i64 %serves64 to i1
  %fits = and i1 %is_number, %serves
  %behind = getelementptr i8, ptr %array, i64 HEAD
  br i1 %fits, label %found, label %other
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
  %there = load ptr, ptr %to_data
  br label %found
found:
  %data = phi ptr [%there, %take], [%behind, %number]
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

# Runs a program on objects, if they are of their kinds.
# A frame is the address of the kinds, how many, scratch memory, and room for places.
ENTER = """
define i64 @enter(ptr %objects, ptr %frame, ptr %program) {
  %kinds = load ptr, ptr %frame
  %to_count = getelementptr i64, ptr %frame, i64 1
  %count = load i64, ptr %to_count
  %to_scratch = getelementptr i64, ptr %frame, i64 2
  %scratch = load ptr, ptr %to_scratch
  %places = getelementptr i64, ptr %frame, i64 3
  %fit = call i64 @look(ptr %objects, ptr %kinds, i64 %count, ptr %places)
  %go = trunc i64 %fit to i1
  br i1 %go, label %run, label %other
run:
  store i64 0, ptr %scratch
  call void %program(ptr %places, ptr %scratch)
  %flag = load i64, ptr %scratch
  %fine = icmp eq i64 %flag, 0
  %outcome = select i1 %fine, i64 DONE, i64 OUT_OF_RANGE
  ret i64 %outcome
other:
  ret i64 OTHER_KINDS
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
            serves = t.ndim == 0 and t.dtype == FLOAT64 and flags == PLAIN
            fields += id(t.dtype), t.ndim, flags, ctypes.addressof(sizes), serves
        self._kinds = (ctypes.c_int64 * len(fields))(*fields)
        self._table = ctypes.c_size_t * self._count

    def places(self, arrays: Sequence[Any]) -> Any:
        """The arrays' addresses, as machine code reads them; None where one is something else."""
        functions = _functions()
        return functions and self._places(functions.look, arrays)

    def _places(self, look: Callable[..., Any], arrays: Sequence[Any]) -> Any:
        table, objects = self._table(), tuple(arrays)
        fit = look(id(objects) + ITEMS, self._kinds, self._count, table)
        return table if fit else None

    def frame(self, scratch: int) -> Frame:
        """For calls of a program of such arrays, with its scratch memory."""
        fixed = ctypes.addressof(self._kinds), self._count, scratch
        return Frame(self, (ctypes.c_size_t * (len(fixed) + self._count))(*fixed))


class Frame:
    """What one call of a program needs at a time: a table of its arrays' places, and scratch
    memory, in whose first word the program says whether an index is out of range."""

    def __init__(self, kinds: Kinds, words: Any) -> None:
        self._kinds, self._words, self._start = kinds, words, ctypes.addressof(words)
        self.scratch, self.places = words[2], self._start + 3 * ctypes.sizeof(ctypes.c_size_t)
        self._flag = ctypes.c_int64.from_address(self.scratch)
        self._flag.value = 0
        self._functions = _functions()

    def enter(self, objects: tuple[Any, ...], program: int | None) -> int:
        """Run the program at an address on objects, if they are of their kinds; how that went.
        Other threads wait for it."""
        if self._functions is None:
            return OTHER_KINDS
        outcome: int = self._functions.enter(id(objects) + ITEMS, self._start, program)
        return outcome

    def take(self, objects: tuple[Any, ...]) -> bool:
        """Put the objects' places into the table, if all are of their kinds; whether they are."""
        if self._functions is None:
            return False
        kinds, count = self._words[:2]
        return bool(self._functions.look(id(objects) + ITEMS, kinds, count, self.places))

    def put(self, arrays: Sequence[Array]) -> None:
        """Put the places of arrays into the table, as NumPy tells them."""
        for k, a in enumerate(arrays, 3):
            self._words[k] = a.ctypes.data

    def run(self, program: Callable[[int, int], None]) -> int:
        """Run on what is in the table; how that went."""
        self._flag.value = 0
        program(self.places, self.scratch)
        return OUT_OF_RANGE if self._flag.value else DONE


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
        functions.copy(to, origin, len(self._bytes), self._bytes)
        return True


class _Functions(NamedTuple):
    """What is compiled here."""

    look: Callable[..., Any]
    copy: Callable[..., Any]
    enter: Callable[..., Any]


@functools.cache
def _functions() -> _Functions | None:
    """What is compiled here, once; None where NumPy's arrays are not laid out as `look` reads them,
    and without llvmlite: a graph of NumPy's ops alone asks for no other machine code."""
    laid_out = sys.implementation.name == "cpython" and np.ndarray.__basicsize__ >= FLAGS + 4
    if not laid_out or importlib.util.find_spec("llvmlite") is None:
        return None
    for kind in (np.ndarray, float, np.float64):
        known_as(f"minigrad_{kind.__name__}", id(kind))
    fields = {"HEAD": HEAD, "CLASS": CLASS, "DATA": DATA, "NDIM": NDIM, "DIMS": DIMS}
    outcomes = {"OTHER_KINDS": OTHER_KINDS, "DONE": DONE, "OUT_OF_RANGE": OUT_OF_RANGE}
    fields |= {"DESCR": DESCR, "FLAGS": FLAGS, **outcomes}
    text = module_text(LOOK + ENTER + COPY, fields)
    code, arguments = compile_module(text), {"look": 4, "copy": 4, "enter": 3}
    made = {f: code.function(f, n, ctypes.c_int64, holds_gil=True) for f, n in arguments.items()}
    return _Functions(**made) if _reads_right(made["look"]) else None


def _reads_right(look: Callable[..., Any]) -> bool:
    """Whether `look` tells arrays from others, and finds where they lie."""
    a = np.zeros((2, 3), np.float32)
    locked = a.copy()
    locked.flags.writeable = False
    kinds = Kinds([TensorType(a.shape, a.dtype)] * 2, PLAIN | WRITEABLE)
    others = [a.T, a[:, ::2], np.zeros((2, 6), a.dtype)[:, ::2], locked, a.view(np.int32), 3, None]
    table = kinds._places(look, [a, b := a.copy()])
    numbers = 2.5, np.float64(3.5), np.array(4.5)
    at = Kinds([TensorType((), FLOAT64)] * 3, PLAIN)._places(look, numbers)
    return (
        table is not None
        and list(table) == [a.ctypes.data, b.ctypes.data]
        and all(kinds._places(look, [a, other]) is None for other in others)
        and at is not None
        and [ctypes.c_double.from_address(place).value for place in at] == [2.5, 3.5, 4.5]
    )
