"""Training on JAX: the steps of the default backend, on one device and on several."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from jax_peer import jax

import lstm
import minigrad as mg
from lstm.cli import main

assert jax


def trained(**options):
    task = lstm.Adding(length=8)
    model = lstm.Model.create(lstm.LSTM(2, 6), output_size=1, seed=0)
    settings = lstm.Settings(steps=12, batch=8, seed=1)
    fitted = lstm.fit(model, task, settings, validate=6, progress=False, **options)
    return model.values(), [report.loss for report in fitted.reports]


def same(ours, theirs):
    for name, value in theirs.items():
        np.testing.assert_allclose(ours[name], value, rtol=1e-4, atol=2e-5, err_msg=name)


def test_fit_is_that_of_the_default_to_rounding():
    values, losses = trained(backend="jax")
    wanted, their_losses = trained()
    np.testing.assert_allclose(losses, their_losses, rtol=1e-4)
    same(values, wanted)


def test_a_training_goes_on_with_another_backend(tmp_path):
    path = tmp_path / "x.checkpoint"
    task = lstm.Adding(length=8)
    settings = lstm.Settings(steps=12, batch=8, seed=1)
    for backend, stop in (("jax", 5), ("native", 9), ("jax", 12)):
        model = lstm.Model.create(lstm.LSTM(2, 6), output_size=1, seed=0)
        lstm.fit(
            model, task, settings, validate=6, progress=False, out=path, backend=backend,
            resume=path.exists(), callback=lambda p, stop=stop: p.step == stop,
        )  # fmt: skip
    same(model.values(), trained()[0])


def test_a_step_that_is_not_finite_changes_nothing():
    w, x = mg.param("w", 2.0), mg.var("x")
    trainer = lstm.Trainer(mg.log(w * x), [x], {"w": w}, lstm.optim.sgd(0.125), backend="jax")
    assert trainer.step(1.0).step == 1
    before = w.value
    with pytest.raises(lstm.TrainingError, match="not finite"):
        trainer.step(-1.0)
    assert w.value == before and trainer.state.steps == 1


def test_the_command(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    asked = "train adding --length 6 --hidden 4 --steps 3 --batch 4 --validate 0 --backend jax"
    assert main([*asked.split(), "--out", "m.safetensors", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["steps"] == 3


# --- several devices -----------------------------------------------------------------------------

SHARDED = """
import json, sys
import numpy as np
import lstm, minigrad as mg

def run(devices):
    task = lstm.Adding(length=6)
    model = lstm.Model.create(lstm.LSTM(2, 4, dtype="float64"), output_size=1, seed=0)
    xs, ys = mg.var("xs", (6, 8, 2), "float64"), mg.var("ys", (8, 1), "float64")
    loss = task.loss(model.output(xs), ys)
    shard = {xs: (None, "batch"), ys: "batch"}
    placing = {} if devices is None else {"mesh": {"batch": devices}, "shard": shard}
    backend = "numpy" if devices is None else "jax"
    optimizer = lstm.optim.adam(0.05)
    trainer = lstm.Trainer(loss, [xs, ys], model.params, optimizer, 1.0, backend, **placing)
    rng = np.random.default_rng(0)
    losses = [trainer.step(*task.batch(rng, 8)).loss for _ in range(4)]
    spread = str(trainer._run.report()) if devices else ""
    whole = {n: v.tolist() for n, v in model.values().items()}
    program = trainer._run._chosen._compiled._run.as_text() if devices else ""
    sent = [kind for kind in ("all-gather", "all-reduce") if kind + "(" in program]
    return {"losses": losses, "values": whole, "report": spread, "sent": sent}

print(json.dumps([run(n) for n in (None, 1, 2, 4, 8)]))
"""


def in_devices(code, count):
    flags = f"--xla_force_host_platform_device_count={count}"
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "XLA_FLAGS": flags}, text=True,
        capture_output=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_losses_and_weights_are_the_same_on_1_2_4_and_8_devices():
    reference, *sharded = in_devices(SHARDED, 8)
    for count, made in zip((1, 2, 4, 8), sharded, strict=True):
        np.testing.assert_allclose(made["losses"], reference["losses"], rtol=1e-9)
        for name, value in reference["values"].items():
            np.testing.assert_allclose(made["values"][name], value, rtol=1e-8, atol=1e-10)
        assert f"mesh of {count} cpu devices (batch: {count})" in made["report"]
        assert "divided: xs" in made["report"]
        # the gradient alone is sent, and nothing of what each device computes of its sequences
        assert made["sent"] == (["all-reduce"] if count > 1 else [])


PLACED = """
import json
import numpy as np, minigrad as mg, jax
x, W = mg.var("x", (8, 4)), mg.param("W", np.arange(16.0).reshape(4, 4))
def made(y, **options):
    return mg.function([x], y, updates={W: W + mg.grad(mg.sum(y), W)}, backend="jax", **options)
key = mg.uniform(mg.key(3), (8, 4), "float64")
f = made(mg.tanh(x @ W) * key, mesh={"data": 2, "model": 2},
         shard={x: "data", W: (None, "model")})
y = f(np.ones((8, 4)))
storage = W.attrs[1].storage.array
shards = [list(s.data.shape) for s in storage.addressable_shards]
W.value = np.arange(16.0).reshape(4, 4)
again = f(np.ones((8, 4)))
plain = made(mg.tanh(x @ W) * key)
W.value = np.arange(16.0).reshape(4, 4)
wanted = plain(np.ones((8, 4)))
errors = []
two = {"data": 2}
for options in ({"mesh": {"data": 3}, "shard": {x: "data"}}, {"mesh": two, "shard": {x: "rows"}},
                {"mesh": {"data": 9}}, {"shard": {x: "data"}}, {"mesh": 2},
                {"mesh": two, "device": "cpu"}, {"mesh": two, "shard": {"x": "data"}},
                {"mesh": two, "shard": [x]}, {"mesh": two, "shard": {x: [["data"]]}},
                {"mesh": two, "shard": {x: ("data", "data")}},
                {"mesh": two, "shard": {mg.var("z", (8,)): "data"}}):
    try:
        made(x @ W, **options)
        errors.append("")
    except mg.MinigradError as error:
        errors.append(str(error))
mesh = jax.sharding.Mesh(np.array(jax.devices()[:2]), ("data",))
on_mesh = mg.function([x], mg.sum(x), backend="jax", mesh=mesh, shard={x: "data"})(np.ones((8, 4)))
print(json.dumps([abs(y - wanted).max(), abs(again - wanted).max(), shards, errors, on_mesh]))
"""


def test_params_in_shards_and_what_cannot_be():
    first, again, shards, errors, summed = in_devices(PLACED, 4)
    assert first < 1e-12 and again < 1e-12 and summed == 32.0
    assert shards == [[4, 2]] * 4
    told = ["do not divide", "mesh has the axes 'data'", "9 devices is asked for", "give mesh=",
            "mesh is a jax.sharding.Mesh", "not both", "of inputs and params", "shard is a dict",
            "the mesh has the axes", "divides one axis", "no input of this function"]  # fmt: skip
    for error, words in zip(errors, told, strict=True):
        assert words in error
