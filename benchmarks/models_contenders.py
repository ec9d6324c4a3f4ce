"""The contenders of models.py: lstm on minigrad, torch and JAX, each a way to run one step.

Each function makes one of a case; those of a package that is not installed raise ImportError. All
start from the same weights. Where they drop units, each draws by its own library's generator.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from lstm_case import BETA1, BETA2, EPS, RATE
from models_case import Case, Contender

import minigrad as mg
from lstm.losses import cross_entropy, mse
from lstm.optim import adam
from lstm.training import Trainer


def minigrad_step(case: Case, backend: str) -> Contender:
    """`Model.run` and `Trainer`, as a person writes them."""
    model, xs, targets = case.model, case.xs, case.targets
    inputs = [mg.var("xs", xs.shape, xs.dtype), mg.var("targets", targets.shape, targets.dtype)]
    values, options = [xs, targets], {}
    updates: dict[mg.Expr, mg.Expr] = {}
    if case.lengths is not None:
        inputs.append(mg.var("lengths", case.lengths.shape, "int64"))
        values.append(case.lengths)
        options["lengths"] = inputs[-1]
    if case.dropout:
        key = mg.param("key", mg.key(0).eval())
        options["key"], updates = key, {key: mg.fold_in(key, 0)}
    output = model.run(inputs[0], **options).output
    if not case.every:
        loss = mse(output, inputs[1])
    elif case.lengths is None:
        loss = cross_entropy(output, inputs[1])
    else:
        steps = mg.expand_dims(mg.arange(xs.shape[0]), axis=1)
        loss = cross_entropy(output, inputs[1], mask=steps < inputs[2])
    rule = adam(RATE, BETA1, BETA2, EPS)
    trainer = Trainer(loss, inputs, model.params, rule, backend=backend, updates=updates)
    return Contender(lambda: trainer.step(*values).loss)


def torch_modules(case: Case) -> tuple[Any, Any]:
    """nn.LSTM and the readout, with the case's weights."""
    import torch

    weights, values = case.weights(), case.model.values()
    first = next(iter(weights.values()))
    layer = torch.nn.LSTM(
        first[0]["W_x"].shape[0],
        first[0]["W_h"].shape[0],
        len(weights),
        bidirectional=len(first) == 2,
        dropout=case.dropout if len(weights) > 1 else 0.0,
    )
    readout = torch.nn.Linear(*values["readout.W_y"].shape)
    tensors = {readout.weight: values["readout.W_y"].T, readout.bias: values["readout.b_y"]}
    for k, ways in enumerate(weights.values()):
        for way, suffix in zip(ways, ("", "_reverse"), strict=False):
            for name, key in {"weight_ih": "W_x", "weight_hh": "W_h", "bias_ih": "b"}.items():
                tensors[getattr(layer, f"{name}_l{k}{suffix}")] = way[key].T
            second = getattr(layer, f"bias_hh_l{k}{suffix}")  # which the equations have not
            tensors[second] = np.zeros(second.shape, np.float32)
            second.requires_grad_(False)
    with torch.no_grad():
        for parameter, value in tensors.items():
            parameter.copy_(torch.from_numpy(np.array(value)))
    return layer, readout


def torch_step(case: Case, threads: int) -> Contender:
    """torch.nn.LSTM, with packed sequences where lengths differ, and Adam, fused."""
    import torch
    from torch.nn.utils.rnn import pack_padded_sequence

    torch.set_num_threads(threads)
    functional = torch.nn.functional
    layer, readout = torch_modules(case)
    leaves = [p for p in (*layer.parameters(), *readout.parameters()) if p.requires_grad]
    embedding = case.model.values().get("embedding.E")
    table = None
    if embedding is not None:
        table = torch.nn.Parameter(torch.from_numpy(embedding))
        leaves.append(table)
    rule = torch.optim.Adam(leaves, RATE, (BETA1, BETA2), EPS, fused=True)
    xs, targets = torch.from_numpy(case.xs), torch.from_numpy(case.targets)
    lengths = None if case.lengths is None else torch.from_numpy(case.lengths)

    def loss_of() -> Any:
        x = xs if table is None else functional.embedding(xs, table)
        if case.dropout and table is not None:
            x = functional.dropout(x, case.dropout)
        if lengths is not None:
            x = pack_padded_sequence(x, lengths)
        hs, (last, _) = layer(x)
        if not case.every:  # of the top layer, each direction's own end
            top = last[-1 - layer.bidirectional :].transpose(0, 1).flatten(1)
            return functional.mse_loss(readout(top), targets)
        if lengths is None:
            return functional.cross_entropy(readout(hs).flatten(0, 1), targets.flatten())
        labels = pack_padded_sequence(targets, lengths)
        return functional.cross_entropy(readout(hs.data), labels.data)  # of real steps alone

    def run() -> float:
        torch.set_flush_denormal(True)
        rule.zero_grad(set_to_none=True)
        loss = loss_of()
        loss.backward()
        rule.step()
        torch.set_flush_denormal(False)
        return float(loss.detach())

    return Contender(run)


def jax_step(case: Case) -> Contender:
    """jax.jit of value_and_grad of lax.scans, gates packed and inputs projected before them."""
    import jax
    import jax.numpy as jnp

    values = case.model.values()
    p: Any = {
        "layers": list(case.weights().values()),
        "W_y": values["readout.W_y"],
        "b_y": values["readout.b_y"],
    }
    if "embedding.E" in values:
        p["E"] = values["embedding.E"]
    p = jax.tree.map(jnp.asarray, p)
    keep = 1 - case.dropout

    def dropped(x: Any, key: Any) -> Any:
        return jnp.where(jax.random.bernoulli(key, keep, x.shape), x / keep, 0)

    def one_way(w: Any, xs: Any, mask: Any, reverse: bool) -> Any:
        projected = xs @ w["W_x"] + w["b"]
        zero = jnp.zeros((xs.shape[1], w["W_h"].shape[0]), xs.dtype)

        def step(state: Any, now: Any) -> Any:
            h, C = state
            z, m = now
            i, f, g, o = jnp.split(z + h @ w["W_h"], 4, 1)
            new_C = jax.nn.sigmoid(f) * C + jax.nn.sigmoid(i) * jnp.tanh(g)
            new_h = jax.nn.sigmoid(o) * jnp.tanh(new_C)
            if m is not None:
                new_h, new_C = jnp.where(m, new_h, h), jnp.where(m, new_C, C)
            return (new_h, new_C), new_h

        (last, _), hs = jax.lax.scan(step, (zero, zero), (projected, mask), reverse=reverse)
        return last, hs

    def loss_of(p: Any, key: Any, xs: Any, targets: Any, lengths: Any) -> Any:
        mask = (
            None if lengths is None else jnp.arange(xs.shape[0])[:, None, None] < lengths[:, None]
        )
        if "E" in p:
            xs = p["E"][xs]
            xs = dropped(xs, key) if case.dropout else xs
        last: Any = None
        for k, ways in enumerate(p["layers"]):
            if k and case.dropout:
                xs = dropped(xs, jax.random.fold_in(key, k))
            both = [one_way(w, xs, mask, bool(n)) for n, w in enumerate(ways)]
            xs = jnp.concatenate([hs for _, hs in both], -1)
            last = jnp.concatenate([h for h, _ in both], -1)
        if not case.every:
            return jnp.mean((last @ p["W_y"] + p["b_y"] - targets) ** 2)
        logs = jax.nn.log_softmax(xs @ p["W_y"] + p["b_y"])
        losses = -jnp.take_along_axis(logs, targets[..., None], -1)
        if mask is None:
            return jnp.mean(losses)
        return jnp.sum(jnp.where(mask, losses, 0)) / jnp.sum(mask)

    def update(p: Any, m: Any, v: Any, count: Any, xs: Any, targets: Any, lengths: Any) -> Any:
        key = jax.random.fold_in(jax.random.key(0), count)
        loss, grads = jax.value_and_grad(loss_of)(p, key, xs, targets, lengths)
        n = (count + 1).astype(jnp.float32)
        each = jax.tree.map
        m = each(lambda m, g: BETA1 * m + (1 - BETA1) * g, m, grads)
        v = each(lambda v, g: BETA2 * v + (1 - BETA2) * g * g, v, grads)
        rate, scale = RATE / (1 - BETA1**n), (1 - BETA2**n) ** -0.5
        p = each(lambda p, m, v: p - rate * m / (jnp.sqrt(v) * scale + EPS), p, m, v)
        return loss, (p, m, v, count + 1)

    compiled = jax.jit(update, donate_argnums=(0, 1, 2, 3))
    data = [None if x is None else jnp.asarray(x) for x in (case.xs, case.targets, case.lengths)]
    zeros = [jax.tree.map(jnp.zeros_like, p) for _ in range(2)]
    state: Any = (p, *zeros, jnp.zeros((), jnp.int32))

    def run() -> float:
        nonlocal state
        loss, state = jax.block_until_ready(compiled(*state, *data))
        return float(loss)

    return Contender(run)
