"""The contenders of lstm_step.py: minigrad's backends, torch and JAX, each a way to run one step.

Each function builds one from a case; those of a package that is not installed raise ImportError.
minigrad gets the textbook's cell as it stands in lstm.cells, looped by mg.scan; the others get
their gates packed, and JAX the input's projection before its loop as well, since that is faster.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from lstm_case import BETA1, BETA2, EPS, ORDER, RATE, Arrays, Case, Contender, pack, unpack

import minigrad as mg
from lstm.optim import adam as adam_rule

TORCH_ORDER = {"lstm": "ifCo", "gru": "rzh", "rnn": "h"}  # of the gates in its weights


def textbook(case: Case, adam: bool, backend: str) -> Contender:
    """minigrad with lstm.cells' own equations."""
    cell: Any = case.cell
    params = {name: mg.param(name, value) for name, value in case.params.items()}
    xs, ys = _inputs(case)
    start = cell.initial_state(case.size.B)
    last, _ = mg.scan(lambda state, x: (cell.step(params, state, x), None), start, xs)
    return _minigrad(case, params, last.h, (xs, ys), adam, backend, f"minigrad {backend}")


def hand_packed(case: Case, adam: bool) -> Contender:
    """minigrad with what its rewrites do done by hand: packed gates, inputs projected at once."""
    H, order = case.size.H, ORDER[case.cell.name]
    params = {k: mg.param(k, v) for k, v in pack(case.params, order).items()}
    xs, ys = _inputs(case)
    projected = xs @ params["W_x"] + params["b"]
    W, zero = params["W_h"], mg.const(np.zeros((case.size.B, H), np.float32))

    def lstm(state: Any, z: Any) -> Any:
        h, C = state
        a = z + h @ W
        f, i, o = (mg.sigmoid(a[:, k * H : (k + 1) * H]) for k in range(3))
        C = f * C + i * mg.tanh(a[:, 3 * H :])
        return (o * mg.tanh(C), C), None

    def gru(state: Any, a: Any) -> Any:
        (h,) = state
        zr = mg.sigmoid(a[:, : 2 * H] + h @ W[:, : 2 * H])
        z, r = zr[:, :H], zr[:, H:]
        c = mg.tanh(a[:, 2 * H :] + (r * h) @ W[:, 2 * H :])
        return ((1 - z) * h + z * c,), None

    def rnn(state: Any, a: Any) -> Any:
        return (mg.tanh(a + state[0] @ W),), None

    step = {"lstm": lstm, "gru": gru, "rnn": rnn}[case.cell.name]
    start = (zero, zero) if case.cell.name == "lstm" else (zero,)
    last, _ = mg.scan(step, start, projected)
    made = _minigrad(case, params, last[0], (xs, ys), adam, "native", "hand-packed")
    read = made.read
    made.read = lambda r: (read(r)[0], {} if adam else unpack(read(r)[1], order))
    return made


def _inputs(case: Case) -> tuple[mg.Expr, mg.Expr]:
    return mg.var("xs", case.xs.shape, "float32"), mg.var("ys", case.ys.shape, "float32")


def _minigrad(
    case: Case,
    params: dict[str, mg.Expr],
    h: mg.Expr,
    inputs: tuple[mg.Expr, mg.Expr],
    adam: bool,
    backend: str,
    name: str,
) -> Contender:
    loss = mg.mean(mg.square(h @ params["W_y"] + params["b_y"] - inputs[1]))
    grads = mg.grad(loss, params)
    updates: dict[mg.Expr, Any] = {}
    if adam:
        rule = adam_rule(RATE, BETA1, BETA2, EPS)
        count = mg.param("step", 0.0)
        state = {k: mg.param(k, v) for k, v in rule.init(params).items()}
        steps, new = rule.update(grads, state, params, count)
        updates = {p: p + steps[k] for k, p in params.items()}
        updates |= {p: new[k] for k, p in state.items()} | {count: count + 1}
    outputs = (loss, {} if adam else grads)
    f = mg.function(inputs, outputs, updates=updates, backend=backend)
    values: tuple[Any, ...] = (case.xs, case.ys)
    if backend == "jax":  # on its device already, as for the others
        import jax.numpy as jnp

        values = tuple(map(jnp.asarray, values))
    run = lambda: f(*values)  # noqa: E731
    return Contender(name, run, lambda r: (float(r[0]), r[1]), notes=tuple(f.notes))


def torch_layer(
    case: Case, adam: bool, threads: int, device: str = "cpu", dtype: str = "float32"
) -> Contender:
    """torch.nn.LSTM, RNN or GRU; the latter's reset gate acts after the product, not before."""
    import torch

    torch.set_num_threads(threads)
    placed: Any = {"device": device, "dtype": getattr(torch, dtype)}
    layer, readout, leaves = _torch_modules(case, placed)
    xs, ys = torch.from_numpy(case.xs).to(**placed), torch.from_numpy(case.ys).to(device)
    rule = torch.optim.Adam(leaves.values(), RATE, (BETA1, BETA2), EPS, fused=True)

    def run() -> Any:
        for leaf in leaves.values():
            leaf.grad = None
        torch.set_flush_denormal(True)  # as XLA does; for others it is switched back
        hs, _ = layer(xs)
        loss: Any = torch.nn.functional.mse_loss(readout(hs[-1]).float(), ys)
        loss.backward()
        if adam:
            rule.step()
        torch.set_flush_denormal(False)
        if device == "cuda":
            torch.cuda.synchronize()
        return loss

    def read(loss: Any) -> tuple[float, Arrays]:
        if adam:
            return float(loss.detach()), {}
        grads = {k: p.grad.numpy().T for k, p in leaves.items()}
        return float(loss.detach()), unpack(grads, TORCH_ORDER[case.cell.name])

    return Contender(f"torch.nn.{case.cell.name.upper()}", run, read, same=case.cell.name != "gru")


def _torch_modules(case: Case, placed: dict[str, Any]) -> tuple[Any, Any, dict[str, Any]]:
    """The layer and the readout with the case's weights, and the leaves that are trained."""
    import torch

    name = case.cell.name
    values = dict(case.params)
    if name == "gru":  # where torch's z is one, h stays; here it goes
        values |= {"W_z": -values["W_z"], "b_z": -values["b_z"]}
    packed = {k: torch.from_numpy(np.ascontiguousarray(v.T))
              for k, v in pack(values, TORCH_ORDER[name]).items()}  # fmt: skip
    layer = getattr(torch.nn, name.upper())(case.size.I, case.size.H, **placed)
    readout = torch.nn.Linear(case.size.H, 1, **placed)
    with torch.no_grad():
        layer.weight_ih_l0.copy_(packed["W_x"])
        layer.weight_hh_l0.copy_(packed["W_h"])
        layer.bias_ih_l0.copy_(packed["b"])
        layer.bias_hh_l0.zero_()
        readout.weight.copy_(packed["W_y"])
        readout.bias.copy_(packed["b_y"])
    layer.bias_hh_l0.requires_grad_(False)  # a second bias, which the equations have not
    leaves = {
        "W_x": layer.weight_ih_l0,
        "W_h": layer.weight_hh_l0,
        "b": layer.bias_ih_l0,
        "W_y": readout.weight,
        "b_y": readout.bias,
    }
    return layer, readout, leaves


def jax_scan(case: Case, adam: bool, dtype: str = "float32") -> Contender:
    """jax.jit of value_and_grad of a lax.scan, on JAX's default device. Adam computes in float32,
    and keeps its moments in the parameters' dtype."""
    import jax
    import jax.numpy as jnp

    name, H, order = case.cell.name, case.size.H, ORDER[case.cell.name]
    step = _jax_steps(H)[name]

    def loss_of(p: Any, xs: Any, ys: Any) -> Any:
        zero = jnp.zeros((xs.shape[1], H), xs.dtype)
        start = (zero, zero) if name == "lstm" else (zero,)
        projected = xs @ p["W_x"] + p["b"]
        last, _ = jax.lax.scan(lambda s, z: (step(p["W_h"], s, z), None), start, projected)
        return jnp.mean(((last[0] @ p["W_y"] + p["b_y"]).astype(jnp.float32) - ys) ** 2)

    p = {k: jnp.asarray(v, dtype) for k, v in pack(case.params, order).items()}
    xs, ys = jnp.asarray(case.xs, dtype), jnp.asarray(case.ys)
    title = "jax.jit + lax.scan"
    if not adam:
        both = jax.jit(jax.value_and_grad(loss_of))

        def read(result: Any) -> tuple[float, Arrays]:
            return float(result[0]), unpack({k: np.asarray(g) for k, g in result[1].items()}, order)

        return Contender(title, lambda: jax.block_until_ready(both(p, xs, ys)), read)
    compiled = jax.jit(_jax_update(loss_of, dtype), donate_argnums=(0, 1, 2, 3))
    zeros: Any = lambda: {k: jnp.zeros_like(x) for k, x in p.items()}  # noqa: E731
    state = (p, zeros(), zeros(), jnp.zeros((), jnp.float32))

    def run() -> Any:
        nonlocal state
        loss, state = jax.block_until_ready(compiled(*state, xs, ys))
        return loss

    return Contender(title, run, lambda loss: (float(loss), {}))


def _jax_steps(H: int) -> dict[str, Any]:
    """A cell's step by its name: W_h, state and the projected input to the state after it."""
    import jax
    import jax.numpy as jnp

    def lstm(W: Any, state: Any, z: Any) -> Any:
        h, C = state
        a = z + h @ W
        f, i, o = jnp.split(jax.nn.sigmoid(a[:, : 3 * H]), 3, 1)
        C = f * C + i * jnp.tanh(a[:, 3 * H :])
        return o * jnp.tanh(C), C

    def gru(W: Any, state: Any, a: Any) -> Any:
        (h,) = state
        z, r = jnp.split(jax.nn.sigmoid(a[:, : 2 * H] + h @ W[:, : 2 * H]), 2, 1)
        c = jnp.tanh(a[:, 2 * H :] + (r * h) @ W[:, 2 * H :])
        return ((1 - z) * h + z * c,)

    def rnn(W: Any, state: Any, a: Any) -> Any:
        return (jnp.tanh(a + state[0] @ W),)

    return {"lstm": lstm, "gru": gru, "rnn": rnn}


def _jax_update(loss_of: Any, dtype: str) -> Any:
    """A step of Adam: parameters, moments, count, data -> loss, what all but the data become."""
    import jax
    import jax.numpy as jnp

    wide: Any = lambda x: x.astype(jnp.float32)  # noqa: E731

    def update(p: Any, m: Any, v: Any, count: Any, xs: Any, ys: Any) -> Any:
        loss, grads = jax.value_and_grad(loss_of)(p, xs, ys)
        count = count + 1
        each = jax.tree.map
        p, m, v, grads = each(wide, (p, m, v, grads))
        m = each(lambda m, g: BETA1 * m + (1 - BETA1) * g, m, grads)
        v = each(lambda v, g: BETA2 * v + (1 - BETA2) * g * g, v, grads)
        rate, scale = RATE / (1 - BETA1**count), (1 - BETA2**count) ** -0.5
        p = each(lambda p, m, v: p - rate * m / (jnp.sqrt(v) * scale + EPS), p, m, v)
        return loss, (*each(lambda x: x.astype(dtype), (p, m, v)), count)

    return update
