"""Weights of Keras's layers as models: outputs, last states and gradients, beside Keras itself on
its torch backend.
"""

from __future__ import annotations

import os

import numpy as np
import pytest
from torch_peer import TOLERANCE, B, H, I, T, assert_close, ramp, torch

import lstm
import minigrad as mg
from lstm.params import flatten

os.environ["KERAS_BACKEND"] = "torch"
try:
    import keras
except ImportError:
    pytest.skip("keras is not installed: pip install '.[keras]'", allow_module_level=True)

# of Keras's own numpy(), which NumPy 2 would have otherwise
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
LAYERS = {
    "lstm": (keras.layers.LSTM, {}),
    "gru after": (keras.layers.GRU, {"reset_after": True}),
    "gru before": (keras.layers.GRU, {"reset_after": False}),
    "tanh": (keras.layers.SimpleRNN, {}),
    "relu": (keras.layers.SimpleRNN, {"activation": "relu"}),
}


# Where Keras loops over steps itself what it gives of float64 is right to float32 only;
# test_interop_keras.py has the formulas in float64.
CASES = [(kind, "float32", both) for kind in LAYERS for both in (False, True)]
CASES += [(kind, "float64", False) for kind in ("lstm", "gru after")]


def _with_gradients(model, xs):
    """What a model gives of xs, and of its sum the gradients for xs and, by name, for params."""
    at, params = mg.param("xs", xs), model.flat_params
    y = model.run(at).output
    slopes = mg.grad(mg.sum(y * ramp(y.shape, y.dtype)), [at, *params.values()])
    y, slope, *slopes = mg.function([], [y, *slopes])()
    return y, slope, dict(zip(params, slopes, strict=True))


@pytest.mark.parametrize(("kind", "dtype", "bidirectional"), CASES)
@pytest.mark.parametrize("use_bias", [True, False])
def test_layers(kind, dtype, bidirectional, use_bias):
    rng = np.random.default_rng(0)
    layer, own = LAYERS[kind]
    nets = [layer(H, use_bias=use_bias, return_sequences=True, dtype=dtype, **own) for _ in "12"]
    if bidirectional:
        nets = [keras.layers.Bidirectional(net, dtype=dtype) for net in nets]
    xs = rng.standard_normal((T, B, I)).astype(dtype)
    their_xs = torch.tensor(xs.transpose(1, 0, 2).copy(), requires_grad=True)
    nets[1](nets[0](their_xs))
    for net in nets:
        net.set_weights([rng.uniform(-0.4, 0.4, w.shape).astype(dtype) for w in net.weights])
    theirs = nets[1](nets[0](their_xs)).permute(1, 0, 2)
    (theirs * torch.tensor(ramp(theirs.shape, dtype))).sum().backward()

    said = {"activation": own["activation"]} if kind == "relu" else {}
    said |= {"reset_after": own["reset_after"]} if "gru" in kind else {}
    model = lstm.from_keras([net.get_weights() for net in nets], read="every", **said)
    params = model.flat_params
    y, slope, slopes = _with_gradients(model, xs)
    assert_close(y, theirs, dtype)
    expected = their_xs.grad.numpy().transpose(1, 0, 2)
    assert_close(slope, expected, dtype, "gradient of xs")
    assert TOLERANCE[dtype] <= 1e-6 and set(flatten(model.params)) == set(params)
    grads = [[w.value.grad.numpy() for w in net.trainable_weights] for net in nets]
    as_ours = lstm.from_keras(grads, read="every", **said).flat_params
    weights = [[w.astype("float64") for w in net.get_weights()] for net in nets]
    right = lstm.from_keras(weights, read="every", **said)
    _, _, exact = _with_gradients(right, xs.astype("float64"))
    for name in params:
        if name.startswith("readout.") or (not use_bias and ".b_" in name):
            continue
        summed = kind == "gru after" and name.rpartition(".")[2] in ("b_z", "b_r")
        # To float64's, and not to one another: of float32 both round, by the CPU to either side.
        wanted = exact[name].astype(dtype)
        assert_close(slopes[name], wanted, dtype, name)
        assert_close(as_ours[name].value / (2 if summed else 1), wanted, dtype, f"Keras' {name}")


@pytest.mark.parametrize("kind", ["lstm", "gru after"])
def test_last_states(kind):
    layer, own = LAYERS[kind]
    net = layer(H, return_state=True, dtype="float64", **own)
    xs = np.random.default_rng(0).standard_normal((T, B, I))
    y, *states = net(torch.tensor(xs.transpose(1, 0, 2).copy()))
    run = lstm.from_keras(net.get_weights()).run(xs)
    assert_close(run.output, y, "float64")
    for ours, theirs in zip(run.last["layer1"], states, strict=True):
        assert_close(ours, theirs, "float64")
