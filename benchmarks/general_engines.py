"""The engines of general.py: each imports what it needs, and prepares a job at a point.

An engine that is not installed raises ImportError. What one call takes gives the value and the
gradients, as arrays.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import reduce
from types import SimpleNamespace
from typing import Any

import numpy as np
from general_jobs import Array, Job
from scalar_value import Value

import minigrad as mg

# threads that spin for others' work slow all that is called in turn with them
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

Result = tuple[Any, Sequence[Any]]
Call = Callable[[], Result]
Prepare = Callable[[Job, Sequence[Array]], Call]
Engine = Callable[[], tuple[Prepare, set[str]]]
"""Makes ready what all jobs share; how a job is prepared, and which kinds of jobs."""

ALL = {"scalars", "slices", "arrays", "loop"}


def total(terms: Sequence[Any]) -> Any:
    """Their sum, one after the other."""
    return reduce(lambda a, b: a + b, terms)


def python_loop(step: Callable[[Any, Any], Any], h: Any, xs: Any) -> Any:
    """What is carried, after all steps."""
    for x in xs:
        h = step(h, x)
    return h


def _ops(library: Any, **others: Any) -> SimpleNamespace:
    """The ops of a library that has NumPy's names for most."""
    ops = {name: getattr(library, name) for name in ("tanh", "exp", "log", "sqrt", "sin")}
    affine = {"affine": lambda x, W, b: x @ W + b}
    return SimpleNamespace(**{**ops, **affine, "total": total, "loop": python_loop, **others})


def _towards(job: Job, inputs: Sequence[Any]) -> Sequence[Any]:
    return inputs[: job.towards]


def minigrad(backend: str) -> tuple[Prepare, set[str]]:
    def loop(step: Any, h: Any, xs: Any) -> Any:
        return mg.scan(lambda h, x: (step(h, x), None), h, xs)[0]

    ops = _ops(mg, relu=mg.relu, erf=mg.erf, summed=mg.sum, loop=loop)

    def prepare(job: Job, at: Sequence[Array]) -> Call:
        # names of its own, so that no backend finds nodes that another one's graph has
        inputs = [mg.var(f"{backend}_{k}", a.shape) for k, a in enumerate(at)]
        y = job.build(ops, *inputs)
        f = mg.function(inputs, [y, mg.grad(y, list(_towards(job, inputs)))], backend=backend)
        return lambda: tuple(f(*at))

    x = mg.var("x", (9, 9))
    mg.function([x], mg.tanh(x @ x) * x + 1, backend=backend)(np.ones((9, 9)))  # LLVM is loaded
    return prepare, ALL


def numpy_by_hand() -> tuple[Prepare, set[str]]:
    with suppress(ImportError):
        __import__("scipy.special")  # where a job needs it, it is not to be part of that
    return _written_out("by_hand")


def numexpr() -> tuple[Prepare, set[str]]:
    __import__("numexpr")
    return _written_out("numexpr")


def _written_out(field: str) -> tuple[Prepare, set[str]]:
    def prepare(job: Job, at: Sequence[Array]) -> Call:
        if getattr(job, field) is None:
            raise NotImplementedError
        return lambda: getattr(job, field)(*at)

    return prepare, ALL


def casadi() -> tuple[Prepare, set[str]]:
    import casadi as ca

    ops = _ops(ca, relu=lambda x: ca.fmax(x, 0), erf=ca.erf, summed=lambda x: ca.sum1(ca.vec(x)))
    ops.affine = lambda x, W, b: x @ W + ca.repmat(b.T, x.shape[0], 1)

    def prepare(job: Job, at: Sequence[Array]) -> Call:
        # scalars are its SX, arrays its MX
        kind = ca.MX if job.kind == "arrays" else ca.SX
        inputs = [kind.sym(f"x{k}", *a.shape) for k, a in enumerate(at)]
        y = job.build(ops, *inputs)
        gradients = [ca.gradient(y, x) for x in _towards(job, inputs)]
        f = ca.Function("f", inputs, [y, *gradients])
        buffer, call = f.buffer()  # its fastest way to be called
        values = [np.zeros(1), *[np.zeros(a.shape, order="F") for a in _towards(job, at)]]
        columns = [np.asfortranarray(a) for a in at]
        for k, a in enumerate(columns):
            buffer.set_arg(k, memoryview(a.ravel(order="F")))
        kept = [v.ravel(order="K") for v in values]
        for k, value in enumerate(kept):
            buffer.set_res(k, memoryview(value))
        keep = buffer, f, columns

        def run() -> Result:
            call()
            return values[0][0], values[1:]

        run.keep = keep  # type: ignore[attr-defined]
        return run

    return prepare, {"scalars", "slices", "arrays"}


def torch() -> tuple[Prepare, set[str]]:
    import torch

    return functools.partial(_with_torch, torch, lambda f: f), ALL


def torch_compiled() -> tuple[Prepare, set[str]]:
    import torch

    return functools.partial(_with_torch, torch, torch.compile), {"arrays"}


def _with_torch(torch: Any, compiled: Any, job: Job, at: Sequence[Array]) -> Call:
    ops = _ops(torch, relu=torch.relu, erf=torch.erf, summed=torch.sum)
    f = compiled(functools.partial(job.build, ops))

    def run() -> Result:
        inputs = [torch.tensor(a) for a in at]
        wanted = [x.requires_grad_() for x in _towards(job, inputs)]
        y = f(*inputs)
        gradients = torch.autograd.grad(y, wanted)
        return float(y.detach()), [g.numpy() for g in gradients]

    return run


def jax() -> tuple[Prepare, set[str]]:
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)

    def loop(step: Any, h: Any, xs: Any) -> Any:
        return jax.lax.scan(lambda h, x: (step(h, x), None), h, xs)[0]

    ops = _ops(jnp, relu=jax.nn.relu, erf=jax.scipy.special.erf, summed=jnp.sum, loop=loop)

    def prepare(job: Job, at: Sequence[Array]) -> Call:
        towards = range(len(_towards(job, at)))
        f = jax.jit(jax.value_and_grad(functools.partial(job.build, ops), tuple(towards)))
        inputs = [jnp.asarray(a) for a in at]
        return lambda: jax.block_until_ready(f(*inputs))  # type: ignore[no-any-return]

    jax.jit(lambda x: x + 1)(1.0).block_until_ready()
    return prepare, {"arrays", "loop"}


def autograd() -> tuple[Prepare, set[str]]:
    import autograd
    import autograd.numpy as anp
    from autograd.scipy.special import erf

    ops = _ops(anp, relu=lambda x: anp.maximum(x, 0), erf=erf, summed=anp.sum)

    def prepare(job: Job, at: Sequence[Array]) -> Call:
        def build(wanted: Any, *others: Any) -> Any:
            return job.build(ops, *wanted, *others)

        f = autograd.value_and_grad(build)
        return lambda: f(tuple(_towards(job, at)), *at[len(_towards(job, at)) :])

    return prepare, {"arrays", "loop"}


def micrograd() -> tuple[Prepare, set[str]]:
    """The eager engine of scalars that micrograd made known; see scalar_value.py."""
    ops = SimpleNamespace(tanh=Value.tanh, relu=Value.relu, total=total)

    def prepare(job: Job, at: Sequence[Array]) -> Call:
        def run() -> Result:
            theta = [Value(x) for x in at[0].tolist()]
            y = job.build(ops, theta)
            y.backward()
            return y.data, [np.array([v.grad for v in theta])]

        return run

    return prepare, {"scalars"}


OWN = ("auto", "native", "numpy")
ENGINES: Mapping[str, Engine] = {
    **{backend: functools.partial(minigrad, backend) for backend in OWN},
    "by hand": numpy_by_hand,
    "numexpr": numexpr,
    "torch": torch,
    "compiled": torch_compiled,
    "JAX": jax,
    "CasADi": casadi,
    "autograd": autograd,
    "micrograd": micrograd,
}
