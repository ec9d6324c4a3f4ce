"""The LLVM side of the native backend: the host's CPU, and modules of IR made into callable code.

Nothing here knows of graphs. llvmlite is optional, so it is imported on first use.
"""

from __future__ import annotations

import ctypes
import functools
import re
import sys
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from time import perf_counter
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from minigrad.compile.backends.native import cache
from minigrad.errors import MissingPackageError
from minigrad.locks import process_lock

NativeFunction = Callable[..., None]

# One module at a time: llvmlite locks each of its calls, but engines' modules share LLVM's global
# context between calls. It is held around all that calls LLVM, since llvmlite's own lock is not
# renewed in a forked child.
_compiling = process_lock()


@dataclass(frozen=True)
class Llvm:
    """llvmlite's two halves: `ir` builds modules, `binding` compiles them."""

    ir: Any
    binding: Any


@functools.cache
def llvm() -> Llvm:
    """llvmlite, made ready for this CPU. Raises MissingPackageError, saying what to install."""
    try:
        import llvmlite.binding as binding
        from llvmlite import ir
    except ImportError as error:
        raise MissingPackageError(
            "the native backend needs llvmlite, which is not installed: "
            "pip install llvmlite, or take backend='numpy'",
            name="llvmlite",
        ) from error
    with _compiling:
        binding.initialize_native_target()
        binding.initialize_native_asmprinter()
    return Llvm(ir, binding)


@dataclass(frozen=True)
class Cpu:
    """What code generation needs to know of a CPU."""

    name: str
    features: str
    vector_bytes: int
    vector_registers: int

    def lanes(self, dtype: npt.DTypeLike) -> int:
        """How many values of a dtype one vector register holds."""
        return self.vector_bytes // np.dtype(dtype).itemsize


@functools.cache
def host() -> Cpu:
    """The CPU that this process runs on."""
    binding, architecture = llvm().binding, triple().split("-")[0]
    with _compiling:
        try:
            features = binding.get_host_cpu_features()
        except RuntimeError:  # not every platform can say
            return Cpu("", "", 16, _baseline_registers(architecture))
        return _describe(architecture, binding.get_host_cpu_name(), features)


@functools.cache
def triple() -> str:
    """What LLVM calls this kind of machine: x86_64-unknown-linux-gnu."""
    with _compiling:
        return str(llvm().binding.get_process_triple())


def _describe(architecture: str, name: str, features: Any) -> Cpu:
    text = features.flatten()
    if features.get("avx512f"):
        # LLVM prefers half vectors on early AVX-512 CPUs, whose clock full ones used to lower
        return Cpu(name, f"{text},-prefer-256-bit", 64, 32)
    if features.get("avx"):
        return Cpu(name, text, 32, 16)
    # SVE's width is not known at compile time; its CPUs have NEON too
    return Cpu(name, text, 16, _baseline_registers(architecture))


def _baseline_registers(architecture: str) -> int:
    return 32 if architecture in ("aarch64", "arm64") else 16


class NativeCode:
    """Loaded machine code. It lives as long as this object or any function taken from it.

    seconds: what it took to compile it.
    was_kept: whether another process did, and this one read it from the disk.
    """

    def __init__(self, engine: Any, seconds: float, was_kept: bool) -> None:
        self._engine, self.seconds, self.was_kept = engine, seconds, was_kept
        weakref.finalize(self, _free, engine).atexit = False

    def function(
        self, name: str, arguments: int, restype: Any = None, *, holds_gil: bool = False
    ) -> NativeFunction:
        """The named function, of so many pointers, as a ctypes function.

        It takes addresses (`array.ctypes.data`). The GIL is released while it runs, unless it is
        to look at Python's objects. What it reads and writes is the caller's to keep alive, aligned
        and contiguous.
        """
        with _compiling:
            address = self._engine.get_function_address(name)
        if not address:
            raise KeyError(f"no function {name!r} in the compiled module")
        kind = ctypes.PYFUNCTYPE if holds_gil else ctypes.CFUNCTYPE
        prototype = kind(restype, *[ctypes.c_void_p] * arguments)
        function = prototype(address)
        function.code = self  # type: ignore[attr-defined]  # keeps the code from being freed
        return function

    def set_pointer(self, name: str, there: int | None) -> None:
        """Let a global pointer of the module point to an address, of what is the caller's to keep
        alive."""
        with _compiling:
            address = self._engine.get_global_value_address(name)
        ctypes.c_void_p.from_address(address).value = there

    def make_known(self, name: str) -> None:
        """Let modules that are compiled from now on call the named function, so for good."""
        _known.append(self)
        with _compiling:
            known_as(name, self._engine.get_function_address(name))


def address_of(function: NativeFunction) -> int | None:
    """Where the code of a function begins."""
    return ctypes.cast(cast(Any, function), ctypes.c_void_p).value


def known_as(name: str, address: int) -> None:
    """Let modules that are loaded from now on call by name what lies at an address, which is
    another in each process, and so may not be a number in code that is kept."""
    with _compiling:
        llvm().binding.add_symbol(name, address)


_known: list[NativeCode] = []  # code that other code may call: never freed

# Code that nobody calls any more. A thread may find it garbage in the midst of anything, so it is
# freed where that waits for no lock, or else by whoever holds the lock, on letting go.
_dead: deque[Any] = deque()


def _free(engine: Any) -> None:
    _dead.append(engine)
    _free_dead()


def _free_dead() -> None:
    while _dead and _compiling.acquire(blocking=False):
        try:
            engine = _dead.popleft()
            engine.close()
        except IndexError:  # freed by a collection in between
            pass
        finally:
            _compiling.release()


def call_intrinsic(
    builder: Any, name: str, overloads: list[Any], result: Any, operands: list[Any]
) -> Any:
    """Emit a call of an LLVM intrinsic, also of vectors, which llvmlite's own way does not name."""
    ir = llvm().ir
    full = ".".join([name, *(_overload(kind) for kind in overloads)])
    function = builder.module.globals.get(full)
    if function is None:
        signature = ir.FunctionType(result, [x.type for x in operands])
        function = ir.Function(builder.module, signature, full)
    return builder.call(function, operands)


def _overload(kind: Any) -> str:
    """A type as intrinsics' names spell it: f32, v16f32, p0."""
    if isinstance(kind, llvm().ir.VectorType):
        return f"v{kind.count}{kind.element.intrinsic_name}"
    return str(kind.intrinsic_name)


def new_module(name: str = "minigrad") -> Any:
    """An empty `ir.Module` for this CPU."""
    module = llvm().ir.Module(name)
    module.triple = triple()
    return module


def module_text(text: str, values: Mapping[str, object]) -> str:
    """The text of a module for this CPU: IR in which names, as whole words, stand for values."""
    names = re.compile(rf"\b({'|'.join(values)})\b")
    return f'target triple = "{triple()}"\n' + names.sub(lambda name: str(values[name[0]]), text)


class Effort(Enum):
    """How much LLVM thinks about a module. What its code computes is the same to the bit."""

    QUICK = "instructions one by one"
    PLAIN = "registers chosen with care, and instructions in functions internal to the module"
    FULL = "loops vectorised, and all else that it knows"


def compile_module(
    module: Any, cpu: Cpu | None = None, *, effort: Effort = Effort.FULL
) -> NativeCode:
    """Verify, optimise and load an `ir.Module`, or the text of one; or load what was made of it
    before, where machine code is kept on the disk.

    Raises RuntimeError, with LLVM's own words, for IR that is not well formed.
    """
    text, cpu, place = str(module), cpu or host(), cache.folder()
    key = _key(text, cpu, effort) if place else ""
    entry = cache.read(place, key) if place else None
    with _compiling:
        made = entry or _compiled(text, cpu, effort)
        code = NativeCode(_loaded(made.code, cpu), made.seconds, made is entry)
    _free_dead()
    if place and not entry:
        cache.write(place, key, made)
    return code


def most_careful(module: Any, effort: Effort) -> Effort:
    """The effort of the most careful code that the disk has of a module, if more than this one."""
    place, text = cache.folder(), str(module)
    for more in reversed(Effort):
        if more is effort or (place and cache.has(place, _key(text, host(), more))):
            return more
    raise AssertionError("an effort is one of all")


def _key(text: str, cpu: Cpu, effort: Effort) -> str:
    """What an entry of the cache is called."""
    # by name, as what imports this cannot be imported here
    versions = [sys.modules[name].__version__ for name in ("minigrad", "llvmlite")]
    made_by = *versions, *map(str, llvm().binding.llvm_version_info)
    return cache.key_of(*made_by, triple(), cpu.name, cpu.features, effort.value, text)


def assembly(module: Any, cpu: Cpu | None = None) -> str:
    """The machine code of a module as text, for people."""
    text, cpu = str(module), cpu or host()
    with _compiling:
        return _assembled(text, cpu)


# What LLVM made for these is freed when they return, so still under the lock. Each module has a
# context of its own, which goes with it: LLVM keeps a context's numbers, types and names for good,
# and of each program 120 KiB stayed in the one of the process.


def _compiled(text: str, cpu: Cpu, effort: Effort) -> cache.Entry:
    """An object file of a module's machine code."""
    begun = perf_counter()
    with _parsed(text, cpu, effort) as (parsed, machine):
        if effort is Effort.PLAIN:
            _simplify(parsed)
        if effort is Effort.FULL:
            _optimise(parsed, machine)
        code = machine.emit_object(parsed)
    return cache.Entry(code, perf_counter() - begun)


def _loaded(code: bytes, cpu: Cpu) -> Any:
    """An engine that has an object file's code."""
    binding = llvm().binding
    # The engine takes over a module, which is empty, and a target machine, and frees them with
    # itself: a machine that two engines share is freed twice, so each has its own.
    engine = binding.create_mcjit_compiler(binding.parse_assembly(""), _machine(cpu, Effort.FULL))
    engine.add_object_file(binding.ObjectFileRef.from_data(code))
    engine.finalize_object()
    return engine


def _assembled(text: str, cpu: Cpu) -> str:
    with _parsed(text, cpu, Effort.FULL) as (parsed, machine):
        _optimise(parsed, machine)
        return str(machine.emit_assembly(parsed))


@contextmanager
def _parsed(text: str, cpu: Cpu, effort: Effort) -> Iterator[tuple[Any, Any]]:
    """The parsed module, and the target machine that it is for."""
    binding = llvm().binding
    with (
        binding.create_context() as context,
        binding.parse_assembly(text, context) as parsed,
        _machine(cpu, effort) as machine,
    ):
        parsed.verify()
        parsed.data_layout = str(machine.target_data)
        yield parsed, machine


def _machine(cpu: Cpu, effort: Effort) -> Any:
    level = 0 if effort is Effort.QUICK else 3
    target = llvm().binding.Target.from_triple(triple())
    return target.create_target_machine(
        cpu=cpu.name, features=cpu.features, opt=level, jit=True, reloc="default"
    )


def _simplify(parsed: Any) -> None:
    """Have the functions that other code may call translated one instruction after the other.

    The internal ones are the innermost loops of products, where a call is at work for most of its
    time; for the others LLVM takes less than half as long, and they run as fast to within 13 %.
    """
    for function in parsed.functions:
        if not function.is_declaration and function.linkage is not llvm().binding.Linkage.internal:
            function.add_function_attribute("noinline")
            function.add_function_attribute("optnone")


def _optimise(parsed: Any, machine: Any) -> None:
    binding = llvm().binding
    tuning = binding.create_pipeline_tuning_options(speed_level=3)
    tuning.loop_vectorization = True
    tuning.loop_interleaving = True
    # no gain measured in any kernel or elementary function, for up to five times the compile time
    tuning.loop_unrolling = False
    tuning.slp_vectorization = False
    builder = binding.create_pass_builder(machine, tuning)
    passes = builder.getModulePassManager()
    passes.run(parsed, builder)
    # llvmlite 0.50 forgets to: 55 KiB stayed of each program
    binding.newpassmanagers.NewPassManager._dispose(passes)
    passes.detach()


__all__ = [
    "Cpu",
    "Effort",
    "Llvm",
    "NativeCode",
    "NativeFunction",
    "address_of",
    "assembly",
    "call_intrinsic",
    "compile_module",
    "host",
    "known_as",
    "llvm",
    "module_text",
    "most_careful",
    "new_module",
    "triple",
]
