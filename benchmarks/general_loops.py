"""Jobs of general.py about loops that come anew: of another length, and compiled and dropped."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import minigrad as mg
from lstm.cells import LSTM

B, X, H = 16, 8, 32  # the batch, an input's size, the state's


def new_length() -> str:
    """From the graph of an LSTM's gradient over a second length to its first result."""
    rng = np.random.default_rng(0)
    times = {"minigrad": _second(_with_minigrad(rng))}
    for name, make in (("torch", _with_torch), ("JAX", _with_jax)):
        try:
            times[name] = _second(make(rng))
        except ImportError:
            continue
    shown = ", ".join(f"{name} {seconds * 1e3:.3g}" for name, seconds in times.items())
    return f"ms of the processor before the first result at T = 60, after T = 50: {shown}"


def _second(run: Callable[[int], Any]) -> float:
    """The processor's seconds that `run` takes for a second length."""
    run(50)
    start = time.process_time()
    run(60)
    return time.process_time() - start


def _with_minigrad(rng: np.random.Generator) -> Callable[[int], Any]:
    cell = LSTM(X, H)
    params = {name: mg.param(name, value) for name, value in cell.init(rng).items()}

    def run(T: int) -> Any:
        xs = mg.var("xs", (T, B, X), "float32")
        start = cell.initial_state(B)
        last, _ = mg.scan(lambda s, x: (cell.step(params, s, x), None), start, xs)
        loss = mg.mean(mg.square(last.h))
        f = mg.function([xs], [loss, mg.grad(loss, params)])
        return f(np.ones((T, B, X), np.float32))

    return run


def _with_torch(rng: np.random.Generator) -> Callable[[int], Any]:
    import torch

    layer = torch.nn.LSTM(X, H)

    def run(T: int) -> Any:
        _, (h, _) = layer(torch.ones(T, B, X))
        return torch.autograd.grad(torch.mean(torch.square(h)), list(layer.parameters()))

    return run


def _with_jax(rng: np.random.Generator) -> Callable[[int], Any]:
    import jax
    import jax.numpy as jnp

    shapes = (X, 4 * H), (H, 4 * H), (4 * H,)
    params = [jnp.asarray(rng.standard_normal(s), jnp.float32) for s in shapes]

    def loss(params: Any, xs: Any) -> Any:
        W, R, b = params

        def step(state: Any, x: Any) -> Any:
            h, C = state
            f, i, o, c = jnp.split(x @ W + h @ R + b, 4, axis=1)
            C = jax.nn.sigmoid(f) * C + jax.nn.sigmoid(i) * jnp.tanh(c)
            return (jax.nn.sigmoid(o) * jnp.tanh(C), C), None

        zero = jnp.zeros((B, H), jnp.float32)
        (h, _), _ = jax.lax.scan(step, (zero, zero), xs)
        return jnp.mean(jnp.square(h))

    f = jax.jit(jax.value_and_grad(loss))
    return lambda T: jax.block_until_ready(f(params, jnp.ones((T, B, X), jnp.float32)))


def dropped() -> str:
    """The memory that stays of loops which nobody holds any more."""
    count = 360
    for k in range(count):  # what is made once, and the heap grows to what as many need
        _one_loop(k)
    gc.collect()
    before = _resident()
    start = time.process_time()
    for k in range(count, 2 * count):
        _one_loop(k)
    seconds = time.process_time() - start
    gc.collect()
    stays = (_resident() - before) / count
    return f"{stays / 1024:.1f} KiB of each of {count} stay; {seconds / count * 1e3:.0f} ms each"


def _one_loop(k: int) -> None:
    x = mg.var("x", (5,))
    last, _ = mg.scan(lambda h, _: (mg.tanh(h * (1 + k / 1000)), None), x, length=5)
    mg.function([x], last, backend="native")(np.ones(5))


def _resident() -> int:
    """Bytes of this process in memory (Linux)."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


LOOPS: dict[str, Callable[[], str]] = {"new-length": new_length, "dropped": dropped}
