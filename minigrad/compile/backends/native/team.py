"""Threads that help a running program: they wait in machine code, and never take the GIL.

A program's parts that can run side by side are numbered in the order in which it comes to them. It
opens them up to a number (`together`), and takes one after the other itself; a helper that is awake
takes them too. Each is taken once, so that a helper that comes late, or never, is not waited for;
only for parts that it has begun. Who computes a part changes nothing of what is computed.

A helper is woken by a byte in its pipe. Its box says what to help: a job, which is memory of the
running call. Helpers are few; who finds none free computes alone.
"""

from __future__ import annotations

import ctypes
import functools
import itertools
import os
import signal
import threading
from contextlib import suppress
from typing import Any

import numpy as np

from minigrad.compile.backends.native.jit import compile_module, known_as, module_text, triple
from minigrad.compile.backends.native.memory import ALIGN, aligned
from minigrad.locks import process_lock

JOB = 5 * ALIGN
"""Bytes of a job. What several threads write is a cache line apart."""
BOX = 2 * ALIGN
"""Bytes of a box."""

_FIELDS = {
    # Of a job, which begins with the next part: up to which they are open, how many are done, how
    # many helpers have left; then the function that computes a part, how many parts, how many
    # helpers were called, and how many may be there at once.
    "LIMIT": ALIGN, "DONE": 2 * ALIGN, "LEFT": 3 * ALIGN,
    "RUN": 4 * ALIGN, "TOTAL": 4 * ALIGN + 8, "CALLED": 4 * ALIGN + 16, "MOST": 4 * ALIGN + 24,
    # Of a box, which begins with a job's address, 1 while it is helped, 0 if there is none: the
    # next box; the two ends of the pipe; a byte to read and one to write; then whether the helper
    # sleeps.
    "FOLLOWING": 8, "READ_END": 16, "WRITE_END": 24, "BYTE_READ": 32, "BYTE_WRITTEN": 33,
    "SLEEPS": ALIGN,
}  # fmt: skip
"""Where the fields lie in a job and in a box, in bytes."""

# Looks of a helper that finds nothing to do, some 25 ns each: at the program that it helps, and
# for another. It stays awake from one step of a training to the next, as waking it takes 50 µs. One
# that has left a program while that did other things is called again where more parts are opened.
SPINS, LINGER = 1 << 15, 1 << 13

_TEXT = """
@minigrad_root = external global ptr

declare i64 @read(i32, ptr, i64)
declare i64 @write(i32, ptr, i64)
declare i32 @sched_yield()
declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)

define internal void @relax(i64 %k) {
  PAUSE
  %low = and i64 %k, 255
  %full = icmp eq i64 %low, 255
  br i1 %full, label %yield, label %out
yield:
  call i32 @sched_yield()
  br label %out
out:
  ret void
}

define internal i1 @compute_one(ptr %job, i64 %end) {
  %k = load atomic i64, ptr %job acquire, align 8
  %open = icmp slt i64 %k, %end
  br i1 %open, label %take, label %none
take:
  %more = add i64 %k, 1
  %pair = cmpxchg ptr %job, i64 %k, i64 %more acq_rel acquire
  %mine = extractvalue {i64, i1} %pair, 1
  br i1 %mine, label %compute, label %some
compute:
  %to_run = getelementptr i8, ptr %job, i64 RUN
  %run = load ptr, ptr %to_run
  call void %run(ptr %job, i64 %k)
  %done = getelementptr i8, ptr %job, i64 DONE
  atomicrmw add ptr %done, i64 1 release
  br label %some
some:
  ret i1 1
none:
  ret i1 0
}

define internal void @help(ptr %job) {
entry:
  %to_total = getelementptr i8, ptr %job, i64 TOTAL
  %total = load i64, ptr %to_total
  %to_limit = getelementptr i8, ptr %job, i64 LIMIT
  br label %look
look:
  %spins = phi i64 [0, %entry], [%spent, %again]
  %k = load atomic i64, ptr %job acquire, align 8
  %left = icmp slt i64 %k, %total
  %patient = icmp slt i64 %spins, SPINS
  %stays = and i1 %left, %patient
  br i1 %stays, label %try, label %out
try:
  %limit = load atomic i64, ptr %to_limit acquire, align 8
  %some = call i1 @compute_one(ptr %job, i64 %limit)
  br i1 %some, label %again, label %idle
idle:
  call void @relax(i64 %spins)
  br label %again
again:
  %was = phi i64 [-1, %try], [%spins, %idle]
  %spent = add i64 %was, 1
  br label %look
out:
  ret void
}

define void @minigrad_worker(ptr %box) {
entry:
  %to_fd = getelementptr i8, ptr %box, i64 READ_END
  %fd = load i32, ptr %to_fd
  %byte = getelementptr i8, ptr %box, i64 BYTE_READ
  %sleeps = getelementptr i8, ptr %box, i64 SLEEPS
  br label %look
look:
  %spins = phi i64 [0, %entry], [%more, %idle], [0, %work], [LINGER, %try], [0, %awake]
  %job = load atomic i64, ptr %box seq_cst, align 8
  %some = icmp ugt i64 %job, 1
  br i1 %some, label %try, label %none
try:
  %pair = cmpxchg ptr %box, i64 %job, i64 1 seq_cst seq_cst
  %mine = extractvalue {i64, i1} %pair, 1
  br i1 %mine, label %work, label %look
work:
  store atomic i64 0, ptr %sleeps seq_cst, align 8
  %at = inttoptr i64 %job to ptr
  call void @help(ptr %at)
  store atomic i64 0, ptr %box seq_cst, align 8
  %to_left = getelementptr i8, ptr %at, i64 192
  atomicrmw add ptr %to_left, i64 1 release
  br label %look
none:
  %lingers = icmp slt i64 %spins, LINGER
  br i1 %lingers, label %idle, label %tired
idle:
  call void @relax(i64 %spins)
  %more = add i64 %spins, 1
  br label %look
tired:
  %said = atomicrmw xchg ptr %sleeps, i64 1 seq_cst
  %told = icmp eq i64 %said, 1
  br i1 %told, label %sleep, label %idle
sleep:
  %n = call i64 @read(i32 %fd, ptr %byte, i64 1)
  %fine = icmp eq i64 %n, 1
  br i1 %fine, label %awake, label %out
awake:
  store atomic i64 0, ptr %sleeps seq_cst, align 8
  br label %look
out:
  ret void
}

define void @minigrad_begin(ptr %job, ptr %run, i64 %total, i64 %most) {
  call void @llvm.memset.p0.i64(ptr %job, i8 0, i64 JOB, i1 false)
  %to_run = getelementptr i8, ptr %job, i64 RUN
  %to_total = getelementptr i8, ptr %job, i64 TOTAL
  %to_most = getelementptr i8, ptr %job, i64 MOST
  store ptr %run, ptr %to_run
  store i64 %total, ptr %to_total
  store i64 %most, ptr %to_most
  call void @call_helpers(ptr %job)
  ret void
}

define internal void @call_helpers(ptr %job) {
entry:
  %to_left = getelementptr i8, ptr %job, i64 LEFT
  %to_called = getelementptr i8, ptr %job, i64 CALLED
  %to_most = getelementptr i8, ptr %job, i64 MOST
  %before = load i64, ptr %to_called
  %left = load atomic i64, ptr %to_left acquire, align 8
  %wanted_now = load i64, ptr %to_most
  %most = add i64 %wanted_now, %left
  %number = ptrtoint ptr %job to i64
  %first = load ptr, ptr @minigrad_root
  br label %look
look:
  %box = phi ptr [%first, %entry], [%following, %next]
  %called = phi i64 [%before, %entry], [%sum, %next]
  %there = icmp ne ptr %box, null
  %wanted = icmp slt i64 %called, %most
  %go = and i1 %there, %wanted
  br i1 %go, label %post, label %out
post:
  %pair = cmpxchg ptr %box, i64 0, i64 %number seq_cst seq_cst
  %posted = extractvalue {i64, i1} %pair, 1
  br i1 %posted, label %posted_it, label %next
posted_it:
  %sleeps = getelementptr i8, ptr %box, i64 SLEEPS
  %said = atomicrmw xchg ptr %sleeps, i64 0 seq_cst
  %asleep = icmp eq i64 %said, 1
  br i1 %asleep, label %wake, label %next
wake:
  %to_fd = getelementptr i8, ptr %box, i64 WRITE_END
  %fd = load i32, ptr %to_fd
  %byte = getelementptr i8, ptr %box, i64 BYTE_WRITTEN
  call i64 @write(i32 %fd, ptr %byte, i64 1)
  br label %next
next:
  %one = zext i1 %posted to i64
  %sum = add i64 %called, %one
  %to_following = getelementptr i8, ptr %box, i64 FOLLOWING
  %following = load ptr, ptr %to_following
  br label %look
out:
  store i64 %called, ptr %to_called
  ret void
}

define void @minigrad_together(ptr %job, i64 %end) {
  %to_limit = getelementptr i8, ptr %job, i64 LIMIT
  store atomic i64 %end, ptr %to_limit release, align 8
  call void @call_helpers(ptr %job)
  br label %compute
compute:
  %some = call i1 @compute_one(ptr %job, i64 %end)
  br i1 %some, label %compute, label %wait
wait:
  call void @wait_for(ptr %job, i64 DONE, i64 %end)
  ret void
}

define internal void @wait_for(ptr %job, i64 %offset, i64 %count) {
entry:
  %to = getelementptr i8, ptr %job, i64 %offset
  br label %look
look:
  %k = phi i64 [0, %entry], [%more, %idle]
  %now = load atomic i64, ptr %to acquire, align 8
  %enough = icmp sge i64 %now, %count
  br i1 %enough, label %out, label %idle
idle:
  call void @relax(i64 %k)
  %more = add i64 %k, 1
  br label %look
out:
  ret void
}

define void @minigrad_finish(ptr %job) {
entry:
  %to_called = getelementptr i8, ptr %job, i64 CALLED
  %called = load i64, ptr %to_called
  %number = ptrtoint ptr %job to i64
  %first = load ptr, ptr @minigrad_root
  br label %look
look:
  %box = phi ptr [%first, %entry], [%following, %withdraw]
  %came = phi i64 [%called, %entry], [%rest, %withdraw]
  %there = icmp ne ptr %box, null
  br i1 %there, label %withdraw, label %out
withdraw:
  %pair = cmpxchg ptr %box, i64 %number, i64 0 acq_rel acquire
  %withdrawn = extractvalue {i64, i1} %pair, 1
  %one = zext i1 %withdrawn to i64
  %rest = sub i64 %came, %one
  %to_following = getelementptr i8, ptr %box, i64 FOLLOWING
  %following = load ptr, ptr %to_following
  br label %look
out:
  call void @wait_for(ptr %job, i64 LEFT, i64 %came)
  ret void
}
"""

FAULTS = {signal.SIGSEGV, signal.SIGFPE, signal.SIGILL, signal.SIGABRT}

_growing = process_lock()
_root = (ctypes.c_void_p * 1)()  # where the first box is
_boxes: list[Any] = []  # kept for good: a thread looks at each
can_help = os.name == "posix"
"""Whether the system has what helpers are made of; elsewhere programs do not know of them."""


def call_helpers(count: int) -> None:
    """See to it that there are so many helpers, if the system has pipes and threads for them."""
    if len(_boxes) >= count or not can_help:
        return
    with _growing:
        while len(_boxes) < count:
            if not _add_helper():
                return


def _add_helper() -> bool:
    worker = functions()
    try:
        ends = os.pipe()
    except OSError:
        return False
    os.set_blocking(ends[1], False)  # a full pipe wakes it too
    block, box = aligned(BOX)
    block.fill(0)
    fields = {"FOLLOWING": _root[0] or 0, "READ_END": ends[0], "WRITE_END": ends[1]}
    for name, value in fields.items():
        ctypes.c_int64.from_address(box + _FIELDS[name]).value = value

    def wait(_kept_alive: Any) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals() - FAULTS)
        with np.errstate(all="ignore"):  # where code calls NumPy
            worker(box)

    # The thread holds its box itself: Ctrl-C may end this function, and the end of the interpreter
    # frees this module, while it looks there.
    thread = threading.Thread(target=wait, args=(block,), name="minigrad", daemon=True)
    try:
        thread.start()
    except RuntimeError:
        for end in ends:
            os.close(end)
        return False
    _boxes.append((block, ends))
    _root[0] = box
    return True


def _forget() -> None:
    """A forked child has none of its parent's threads."""
    _root[0] = None
    for end in itertools.chain(*[ends for _, ends in _boxes]):
        with suppress(OSError):  # closed by whoever closes all files
            os.close(end)
    _boxes.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


@functools.cache
def functions() -> Any:
    """Make what programs call known to the compiler; the function that a helper runs."""
    can_pause = triple().startswith("x86_64")
    text = _TEXT + "declare void @llvm.x86.sse2.pause()\n" * can_pause
    pause = "call void @llvm.x86.sse2.pause()" * can_pause
    numbers = {"SPINS": SPINS, "LINGER": LINGER, "JOB": JOB}
    known_as("minigrad_root", ctypes.addressof(_root))
    code = compile_module(module_text(text, {"PAUSE": pause, **numbers, **_FIELDS}))
    for name in ("begin", "together", "finish"):
        code.make_known(f"minigrad_{name}")
    return code.function("minigrad_worker", 1)
