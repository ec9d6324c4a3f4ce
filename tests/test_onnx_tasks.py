"""Models of lstm's tasks as graphs of ONNX, loss and gradients included, beside onnxruntime."""

from __future__ import annotations

import numpy as np
import pytest
from onnx_peer import run_ort
from test_onnx_ops import assert_same, written

import lstm
import minigrad as mg
from lstm.tasks import TASKS

pytestmark = pytest.mark.usefixtures("made_up_pictures")


def step_of(task, dtype):
    """The loss of a small model, its output and its gradients, by name; what they read, values."""
    batch = task.batch(np.random.default_rng(0), 3)._asdict()
    arrays = {
        name: array.astype(dtype) if array.dtype.kind == "f" else array
        for name, array in batch.items()
    }
    read = {name: mg.var(name, a.shape, a.dtype) for name, a in arrays.items()}
    model = lstm.Model.create(lstm.LSTM, task=task, hidden_size=5, seed=0).with_dtype(dtype)
    told = {name: read[name] for name in ("lengths", "mask") if name in read}
    if task.readout == "decoder":
        told["targets"] = read["ys"]
    output = model.run(read["xs"], **told).output
    loss = task.loss(output, read["ys"])
    params = list(model.flat_params.values())
    made = {"loss": loss, "output": output * 1}
    made |= {f"d {p.name}": g for p, g in zip(params, mg.grad(loss, params), strict=True)}
    return {name: y.named(name) for name, y in made.items()}, read, arrays


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", TASKS)
def test_a_training_step_of_each_task(name, dtype, tmp_path):
    outputs, read, arrays = step_of(TASKS[name](), dtype)
    path = tmp_path / "step.onnx"
    written(outputs, path, inputs=[*read.values()])
    assert_same(path, outputs, [*read.values()], [*arrays.values()])


def test_checks_are_nothing_in_a_file(tmp_path):
    logits, labels = mg.var("logits", (3, 4)), mg.var("labels", (3,), "int64")
    loss = lstm.losses.cross_entropy(logits, labels, reduction="none").named("loss")
    path = tmp_path / "loss.onnx"
    written(loss, path)
    values = np.arange(12.0).reshape(3, 4)
    made = run_ort(str(path), {"logits": values, "labels": np.array([0, 1, -1])})["loss"]
    wanted = lstm.losses.cross_entropy(mg.const(values), [0, 1, 3], reduction="none").eval()
    np.testing.assert_allclose(made, wanted, rtol=1e-12)
