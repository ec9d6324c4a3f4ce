"""Weights as Keras's layers give them, without Keras: by its formulas, and what is refused.

That the numbers are Keras's own is `test_keras_weights.py`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lstm

T, B, I, H = 4, 2, 2, 3  # noqa: E741
RNG = np.random.default_rng(0)
XS = RNG.standard_normal((T, B, I))


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def layer(gates, *bias, inputs=I):
    shapes = [(inputs, gates * H), (H, gates * H), *bias]
    return [RNG.standard_normal(shape) for shape in shapes]


def gru(kernel, recurrent, bias=None, reset_after=True):
    """The page of tf.keras.layers.GRU: v3 of Cho et al. by default, v1 with reset_after=False."""
    h = np.zeros((B, H))
    b = np.zeros((2, 3 * H)) if bias is None else bias
    b_x, b_h = b if b.ndim == 2 else (b, np.zeros(3 * H))
    for x in XS:
        x_z, x_r, x_h = np.split(x @ kernel + b_x, 3, axis=1)
        h_z, h_r, h_h = np.split(h @ recurrent + b_h, 3, axis=1)
        z, r = sigmoid(x_z + h_z), sigmoid(x_r + h_r)
        inner = r * h_h if reset_after else (r * h) @ recurrent[:, 2 * H :]
        h = z * h + (1 - z) * np.tanh(x_h + inner)
    return h


@pytest.mark.parametrize("reset_after", [True, False])
@pytest.mark.parametrize("biased", [True, False])
def test_both_grus(reset_after, biased):
    weights = layer(3, (2, 3 * H) if reset_after else (3 * H,))[: 3 if biased else 2]
    model = lstm.from_keras(weights, **({} if biased else {"reset_after": reset_after}))
    assert type(model.cell) is (lstm.GRUAfter if reset_after else lstm.GRU)
    expected = gru(*weights, reset_after=reset_after)
    np.testing.assert_allclose(model.output(XS).eval(), expected, rtol=1e-12)


def test_a_dense_and_an_embedding():
    dense, rows = [RNG.standard_normal((H, 5)), RNG.standard_normal(5)], [np.ones((7, I))]
    rows[0][3] = [1.0, -2.0]
    weights, tokens = layer(1, (H,)), np.array([[3, 0]])
    model = lstm.from_keras(weights, readout=dense, embedding=rows, activation="relu")
    h = np.maximum(rows[0][tokens[0]] @ weights[0] + weights[2], 0)
    np.testing.assert_allclose(model.output(tokens).eval(), h @ dense[0] + dense[1], rtol=1e-12)
    plain = lstm.from_keras(weights, readout=dense[:1], read="every")
    assert plain.run(XS).output.shape == (T, B, 5)


WRONG: dict[str, tuple[Any, dict[str, Any]]] = {
    r"the list that a layer's get_weights\(\) gives.* not 3": (3, {}),
    r"gives, or a list of such lists, not \[\]": ([], {}),
    r"of layer 2 the list is needed": ([layer(1), 3], {}),
    r"a kernel \(I, G·H\).*here are \(2, 12\)$": (layer(4)[:1], {}),
    r"columns of 5 gates of 3 units": (layer(5), {}),
    r"layer 1 are .* and not \(2, 12\), \(3, 12\), \(12,\)": (layer(4, (11,)), {}),
    r"layer 2 are .* and not \(3, 12\)": ([layer(4, (12,)), layer(4, (12,))], {}),
    r"layer 2 are \(3, 9\), .* and not": ([layer(4, (12,)), layer(3, (9,), inputs=H)], {}),
    r"'tanh' or 'relu', of a SimpleRNN, not 'relu'": (layer(4), {"activation": "relu"}),
    r"the readout are \(4, 5\), and not \(3, …\)": (layer(4), {"readout": [np.ones((4, 5))]}),
    r"the embedding are \(7, 9\), and not \(…, 2\)": (layer(4), {"embedding": [np.ones((7, 9))]}),
    r"'1 of layer 1' is of int64": ([np.ones((2, 12)), np.ones((3, 12), int)], {}),
    r"reset_after is True or False": (layer(3), {"reset_after": "no"}),
}


@pytest.mark.parametrize("words", WRONG)
def test_what_is_no_such_list(words):
    weights, options = WRONG[words]
    with pytest.raises(lstm.ConfigError, match=words):
        lstm.from_keras(weights, **options)
