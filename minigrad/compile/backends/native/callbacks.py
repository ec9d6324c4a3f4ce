"""Ops within loops that NumPy computes: machine code calls back.

The operands of such an op are copied into a block of scratch memory, and its results out of it. A
program that calls back is called as a function of Python's own C interface: it lets go of the GIL
for as long as it is machine code that runs, and what an op raises is raised where it returns.
"""

from __future__ import annotations

import ctypes
import functools
import itertools
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from minigrad.compile.backends.native.emit import Code, copy, fill, pointer, write_copies
from minigrad.compile.backends.native.irtools import int64, subnormals_kept
from minigrad.compile.backends.native.jit import call_intrinsic, known_as, llvm
from minigrad.compile.backends.native.layout import bytes_of
from minigrad.compile.backends.native.memory import ALIGN
from minigrad.compile.backends.native.stages import Stage, computed
from minigrad.compile.backends.native.views import View
from minigrad.graph.node import Expr, describe, rebuild
from minigrad.graph.numpy_call import apart, is_apart, is_ours, numpy_call
from minigrad.loop.node import SCAN
from minigrad.ops.core import uniform_value
from minigrad.types import Array, TensorType, TupleType

STATE = 8
"""Where a program's thread state lies while it runs without the GIL, in bytes from its flag."""

# What is called of Python's C interface.
_PYTHON = (
    "PyEval_SaveThread", "PyEval_RestoreThread", "PyLong_FromVoidPtr",
    "PyObject_CallFunctionObjArgs", "Py_DecRef",
)  # fmt: skip

MOST_PLACES = 64  # whose arrays a callback keeps: each running call has some


def called_back(node: Expr, args: Sequence[Expr]) -> Expr:
    """The node, on other operands, as one that NumPy is called for."""
    return rebuild(node, tuple(args), apart(node.op))


def is_called_back(node: Expr) -> bool:
    """Whether a node is one of those."""
    return is_apart(node.op)


def calls_back(node: Expr) -> bool:
    """Whether a node is a loop from which NumPy is called, in it or in a loop within."""
    return node.op is SCAN and any(map(is_called_back, computed([node])))


# --- machine code ------------------------------------------------------------------------------


def emit_call(code: Code, stage: Stage) -> None:
    """Operands into the block, the call, results out of it."""
    node, *items = stage.nodes
    results = {r.attrs[0] if items else 0: r for r in items or [node]}
    nodes = {**dict(enumerate(node.args)), **{len(node.args) + k: r for k, r in results.items()}}
    views = {
        k: code.home[n] if k >= len(node.args) else code.view(n)
        for k, n in nodes.items()
        if uniform_value(n) is None
    }
    types = _types(node)
    places = Places(types, tuple([k for k, v in views.items() if _is_far(types[k], v)]))
    block = code.memory.take(places.size)
    here = {k: View.whole(code.at(block + places.offsets[k]), n.shape) for k, n in nodes.items()}
    for k in places.far:
        code.builder.store(pointer(code, views[k], nodes[k]), here[k].base)
    for k, a in enumerate(node.args):
        if k not in views:
            fill(code, a, here[k])
        elif k not in places.far:
            _copy(code, a, views[k], here[k])
    _call(code, node, places, code.at(block))
    for k, result in nodes.items():
        if k >= len(node.args):
            if k not in places.far:
                _copy(code, result, here[k], views[k])
            write_copies(code, result)
    code.memory.give_back(block)


FAR = 1 << 14
"""Bytes from which what lies in one piece is handed over where it lies: Python's array of a new
place takes a microsecond, in which so many are copied."""


def _is_far(type_: TensorType, view: View) -> bool:
    return view.is_contiguous and bytes_of(type_) >= FAR


def _call(code: Code, node: Expr, places: Places, block: Any) -> None:
    key = node.op, node.attrs, places, describe(node)  # errors name the line
    if key not in code.callbacks:
        code.callbacks[key] = callback(node, places)
    function = code.function(_emit_call, [*code.callbacks].index(key))
    code.builder.call(function, [block, code.flag()])


def _copy(code: Code, node: Expr, here: View, there: View) -> None:
    """A node's value, at once where it lies in one piece, which LLVM need not be asked to see."""
    if not (here.is_contiguous and there.is_contiguous):
        copy(code, node.type, here, [there])
        return
    ir, (there_, here_) = llvm().ir, [pointer(code, view, node) for view in (there, here)]
    operands = [there_, here_, int64(bytes_of(node.type)), ir.IntType(1)(0)]
    kinds = [x.type for x in operands[:3]]
    call_intrinsic(code.builder, "llvm.memcpy", kinds, ir.VoidType(), operands)


def _emit_call(module: Any, name: str, number: int) -> Any:
    """`call(block, flag)`: unless the flag is raised, calls the object that the module's pointer of
    a number points to, and raises the flag if that raises something."""
    ir = llvm().ir
    word, pointer, void = ir.IntType(64), ir.PointerType(), ir.VoidType()
    place = ir.GlobalVariable(module, word, f"callback{number}")
    place.initializer = word(0)
    function = ir.Function(module, ir.FunctionType(void, [pointer, pointer]), name)
    function.attributes.add("noinline")
    block, flag = function.args
    builder = ir.IRBuilder(function.append_basic_block())
    before = builder.load(flag, typ=word)
    with builder.if_then(builder.icmp_unsigned("==", before, int64(0))):
        with subnormals_kept(builder):
            take_gil(builder, flag)
            address = _python(builder, "PyLong_FromVoidPtr", pointer, [block])
            called = builder.inttoptr(builder.load(place, typ=word), pointer)
            operands = [called, address, pointer(None)]  # the last one ends them
            result = _python(builder, "PyObject_CallFunctionObjArgs", pointer, operands, 1)
            for thing in (address, result):
                _python(builder, "Py_DecRef", void, [thing])
            let_go_of_gil(builder, flag)
        raised = builder.icmp_unsigned("==", result, pointer(None))
        builder.store(builder.zext(raised, word), flag)
    builder.ret_void()
    return function


def let_go_of_gil(builder: Any, flag: Any) -> None:
    """Let other threads run, until it is taken again: by a program that holds it."""
    state = _python(builder, "PyEval_SaveThread", llvm().ir.PointerType(), [])
    builder.store(state, _state(builder, flag))


def take_gil(builder: Any, flag: Any) -> None:
    """Be the one thread that runs Python again."""
    state = builder.load(_state(builder, flag), typ=llvm().ir.PointerType())
    _python(builder, "PyEval_RestoreThread", llvm().ir.VoidType(), [state])


def _state(builder: Any, flag: Any) -> Any:
    return builder.gep(flag, [int64(STATE)], source_etype=llvm().ir.IntType(8))


def _python(
    builder: Any, name: str, result: Any, operands: Sequence[Any], named: int | None = None
) -> Any:
    """Call a function of Python's. Of so many parameters there are more, where it takes any."""
    _make_python_known()
    ir, module = llvm().ir, builder.module
    types = [x.type for x in operands]
    signature = ir.FunctionType(result, types[:named], var_arg=named is not None)
    function = module.globals.get(name) or ir.Function(module, signature, name)
    return builder.call(function, operands)


@functools.cache
def _make_python_known() -> None:
    """Let modules that are loaded from now on call Python's functions."""
    for name in _PYTHON:
        function = getattr(ctypes.pythonapi, name)
        known_as(name, ctypes.cast(function, ctypes.c_void_p).value or 0)


@dataclass(frozen=True)
class Places:
    """Where operands and then results lie in a block, behind the addresses of those that lie
    elsewhere."""

    types: tuple[TensorType, ...]
    far: tuple[int, ...]

    @functools.cached_property
    def offsets(self) -> list[int]:
        """Where each, or its address, begins, and where the block ends."""
        near = [k for k in range(len(self.types)) if k not in self.far]
        sizes = [8 * len(self.far), *(bytes_of(self.types[k]) for k in near)]
        starts = [*itertools.accumulate([-(-n // ALIGN) * ALIGN for n in sizes])]
        at = {k: 8 * place for place, k in enumerate(self.far)}
        at |= dict(zip(near, starts, strict=False))
        return [*(at[k] for k in range(len(self.types))), starts[-1]]

    @property
    def size(self) -> int:
        """The bytes of a block."""
        return self.offsets[-1]


def _types(node: Expr) -> tuple[TensorType, ...]:
    """Of operands and results."""
    type_: TensorType | TupleType = node.type
    results = type_.items if isinstance(type_, TupleType) else (type_,)
    return (*(a.type for a in node.args), *results)


# --- what is called ----------------------------------------------------------------------------


def callback(node: Expr, places: Places) -> Callable[[int], None]:
    """What computes a node, in a block whose address it is given.

    That NumPy keeps quiet about infinities is up to who runs the program.
    """
    call, attrs, several = numpy_call(node), node.attrs, isinstance(node.type, TupleType)
    keeps = not is_ours(node.op)  # what a user's op holds on to is memory of its own
    fills = node.op.out and not keeps and not several
    arrays, count = _arrays(places), len(node.args)

    def run(address: int) -> None:
        lying = arrays(address)
        operands = [a.copy() for a in lying[:count]] if keeps else lying[:count]
        try:
            if fills:
                call(*operands, *attrs, out=lying[count])
            elif several:
                for place, part in zip(lying[count:], call(*operands, *attrs), strict=True):
                    place[...] = part
            else:
                lying[count][...] = call(*operands, *attrs)
        except BaseException as error:
            with suppress(Exception):  # an error without a note is better than none
                error.add_note(f"while computing op {node.op.name}, {describe(node)}")
            raise

    return run


def _arrays(places: Places) -> Callable[[int], list[Array]]:
    """address of a block -> the arrays of operands and results."""
    blocks: dict[int, tuple[Any, list[Array]]] = {}
    far = [(k, _array_at(places.types[k])) for k in places.far]
    near = [(k, _array_at(t)) for k, t in enumerate(places.types) if k not in places.far]

    def arrays(address: int) -> list[Array]:
        block = blocks.get(address)
        if block is None:
            lying = [np.empty(0)] * len(places.types)
            for k, array_at in near:
                lying[k] = array_at(address + places.offsets[k])
            addresses = (ctypes.c_size_t * len(far)).from_address(address)
            _make_room(blocks)
            blocks[address] = block = addresses, lying
        addresses, lying = block
        if far:
            for (k, array_at), place in zip(far, addresses, strict=True):
                lying[k] = array_at(place)
        return lying

    return arrays


def _array_at(type_: TensorType) -> Callable[[int], Array]:
    """address -> the array of a type that lies there; that of the same one is made once."""
    made: dict[int, Array] = {}
    memory = ctypes.c_char * max(1, bytes_of(type_))

    def array_at(address: int) -> Array:
        array = made.get(address)
        if array is None:
            _make_room(made)
            buffer: Any = memory.from_address(address)
            array = made[address] = np.ndarray(type_.shape, type_.dtype, buffer)
        return array

    return array_at


def _make_room(made: dict[int, Any]) -> None:
    if len(made) >= MOST_PLACES:
        made.clear()
