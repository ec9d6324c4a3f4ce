"""Children forked, and a process that ends, while other threads build graphs: none hangs."""

import os

import pytest
from workers import run_program

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")

# Threads make graphs, and functions of them, all the time; meanwhile the process forks. Each child
# does the same once, and must be done within seconds.
PROGRAM = """
import sys, threading, time
import numpy as np
import minigrad as mg
from workers import fork

backend, forks = sys.argv[1], int(sys.argv[2])


def work(k):
    x = mg.var("x", (3,))
    step = lambda c, _: (mg.sort(mg.tanh(c * (1 + k / 997) + x)), None)  # sort is NumPy's
    last, _ = mg.scan(step, x, length=4)
    f = mg.function([x], [last, mg.grad(mg.sum(last), x)], backend=backend)
    return float(f(np.ones(3))[0][0])


def forever(start):
    k = start
    while not done:
        k += 1
        work(k)


expected, done = work(1), False
threads = [threading.Thread(target=forever, args=(1000 * n,), daemon=True) for n in range(1, 4)]
for t in threads:
    t.start()
try:
    for n in range(forks):
        time.sleep(0.003 * (n % 7))
        fork(lambda: work(1) == expected and bool(work(-n)))
finally:
    done = True
"""


@pytest.mark.parametrize(("backend", "forks"), [("numpy", 30), ("native", 8)])
@pytest.mark.slow
def test_no_child_hangs(backend, forks):
    if backend == "native":
        pytest.importorskip("llvmlite", reason="the native backend needs llvmlite")
    run_program(PROGRAM, backend, forks)
