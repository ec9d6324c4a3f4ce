"""What stands before and after the layers of a net of torch: told by shapes, or asked for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from test_interop_torch import H, I, O, V, state

import lstm


def wide(inputs, **others) -> dict[str, Any]:
    """A state dict of an nn.LSTM that reads so many units."""
    kernel = np.random.default_rng(1).standard_normal((4 * H, inputs)).astype("float32")
    return state(**others) | {"weight_ih_l0": kernel}


WORDS, BARE, BIAS = {"words__weight": (V, H)}, {"fc__weight": (O, H)}, {"fc__bias": (O,)}
TOLD: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "a bare readout": (state(**BARE), {}),
    "a bare readout, I = H": (wide(H, **BARE), {"readout": "fc"}),
    "a readout and an embedding": (state(**BARE, **BIAS, words__weight=(V, I)), {}),
    "both bare": (state(**BARE, words__weight=(V, I)), {}),
    "I = H": (wide(H, **BARE, **BIAS, **WORDS), {}),
    "both bare, I = H": (wide(H, **BARE, **WORDS), {"readout": "fc"}),
    "both bare, I = H, words": (wide(H, **BARE, **WORDS), {"embedding": "words"}),
    "I outputs": (state(fc__weight=(I, H), fc__bias=(I,)), {"readout": "fc"}),
    "I outputs of words": (state(fc__weight=(I, H), fc__bias=(I,), words__weight=(V, I)), {}),
    "I words": (state(words__weight=(I, I)), {"embedding": "words"}),
    "one for both": (wide(H, fc__weight=(V, H)), {"readout": "fc", "embedding": "fc"}),
}


@pytest.mark.parametrize("net", TOLD)
def test_each_map_has_one_place(net):
    tensors, options = TOLD[net]
    values = lstm.from_torch(tensors, **options).values()
    words = options.get("embedding", "words") + ".weight"
    assert ("embedding.E" in values) == (words in tensors)
    if words in tensors:
        np.testing.assert_array_equal(values["embedding.E"], tensors[words])
    W = tensors["fc.weight"].T if "fc.weight" in tensors else np.eye(H)
    np.testing.assert_array_equal(values["readout.W_y"], W)
    np.testing.assert_array_equal(
        values["readout.b_y"], tensors.get("fc.bias", np.zeros(W.shape[1]))
    )


CHOICE: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    r"by shape fc\.weight could be .*: give embedding='fc' or readout='fc'$": (wide(H, **BARE), {}),
    r"fc\.weight, words\.weight could.*: give readout='fc', embedding='words' or "
    r"readout='words', embedding='fc'$": (wide(H, **BARE, **WORDS), {}),
    r"fc\.weight could.*: give readout='fc', or prefix= alone if there is a Linear before": (
        state(fc__weight=(I, H), fc__bias=(I,)),
        {},
    ),
    r"words\.weight could.*: give embedding='words', or prefix= alone": (
        state(words__weight=(I, I)),
        {},
    ),
    r"fc\.weight could.*: give readout='fc', or prefix= alone": (
        wide(H, fc__weight=(H, H), fc__bias=(H,), **WORDS),
        {"embedding": "words"},
    ),
    r"there are fc\.weight, words\.weight: with prefix= only": (
        state(**BARE, words__weight=(V, 9)),
        {},
    ),
    r"there are a\.weight, b\.weight, c\.weight: with prefix= only": (
        wide(H, a__weight=(O, H), b__weight=(V, H), c__weight=(V, H)),
        {},
    ),
}


@pytest.mark.parametrize("words", CHOICE)
def test_what_shapes_leave_open_is_asked_for(words):
    tensors, options = CHOICE[words]
    with pytest.raises(lstm.ConfigError, match=words):
        lstm.from_torch(tensors, **options)


@pytest.mark.parametrize("name", ["weight_hh_l1", "bias_ih_l0", "fc.bias", "words.weight"])
def test_no_float64_is_cut(name):
    tensors = state(3, 2, **BARE, **BIAS, words__weight=(V, I))
    assert lstm.from_torch(tensors).dtype == "float32"
    tensors[name] = np.random.default_rng(2).standard_normal(tensors[name].shape)
    model = lstm.from_torch(tensors)
    assert model.dtype == "float64"
    arrays = lstm.to_torch(model, readout="fc", embedding="words")
    if name == "bias_ih_l0":  # those of gates come in as sums with bias_hh
        rows = slice(2 * H, None)
        np.testing.assert_array_equal(arrays[name][rows], tensors[name][rows])
    else:
        np.testing.assert_array_equal(arrays[name], tensors[name])
