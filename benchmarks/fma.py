"""What the machine can do at most: multiply-adds on registers alone, nothing read or written."""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np

from minigrad.compile.backends.native import jit
from minigrad.compile.backends.native.irtools import counted, float_type, int64, pointer_function

CHAINS = 12  # enough to hide the latency of two units
TURNS = 200_000


def fma_peak(threads: int = 1, dtype: str = "float32", seconds: float = 0.5) -> float:
    """GFLOP/s of so many threads together, the best of many short runs."""
    lanes = jit.host().lanes(dtype)
    run = _loop(dtype, lanes)
    places = [np.full((CHAINS + 1, lanes), 0.5, dtype) for _ in range(threads)]
    least, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        # Calls release the GIL. What starting threads takes is counted, little beside the loop.
        workers = [threading.Thread(target=run, args=(p.ctypes.data,)) for p in places[1:]]
        start = time.perf_counter()
        for worker in workers:
            worker.start()
        run(places[0].ctypes.data)
        for worker in workers:
            worker.join()
        least = min(least, time.perf_counter() - start)
    return 2e-9 * lanes * CHAINS * TURNS * threads / least


def _loop(dtype: str, lanes: int) -> Any:
    """A function of one pointer: CHAINS vectors y that become x·y + x TURNS times, then x."""
    ir = jit.llvm().ir
    vector = ir.VectorType(float_type(dtype), lanes)
    module = jit.new_module()
    function, builder = pointer_function(module, "fma", 1)
    (pointer,) = function.args
    places = [builder.gep(pointer, [int64(k)], source_etype=vector) for k in range(CHAINS + 1)]
    *starts, x = [builder.load(p, typ=vector, align=4) for p in places]
    before = builder.block
    with counted(builder, TURNS):
        body = builder.block
        chains = [builder.phi(vector) for _ in starts]
        new = [jit.call_intrinsic(builder, "llvm.fma", [vector], vector, [y, x, x]) for y in chains]
        for phi, start, after in zip(chains, starts, new, strict=True):
            phi.add_incoming(start, before)
            phi.add_incoming(after, body)
    for y, place in zip(new, places, strict=False):
        builder.store(y, place, align=4)
    builder.ret_void()
    return jit.compile_module(module).function("fma", 1)


if __name__ == "__main__":
    print(f"{fma_peak():.0f} GFLOP/s float32, {fma_peak(dtype='float64'):.0f} float64, one thread")
