"""Layers beside torch's modules: outputs, last states, and the gradients of parameters, inputs and
initial states; over packed sequences, in layers and directions, with dropout whose masks are given.
"""

from __future__ import annotations

import re
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch_peer import (
    LENGTHS,
    MODULES,
    B,
    F,
    H,
    I,
    T,
    assert_close,
    compare,
    dtypes,
    model_of,
    module,
    padded,
    parts_of,
    places_of,
    torch,
)

import minigrad as mg
from lstm import losses, optim
from lstm.cells import CELLS
from lstm.layers import Context, Steps
from lstm.model import Model
from lstm.training import Trainer


@dtypes
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize(
    ("name", "layers"), [("lstm", 1), ("lstm", 3), ("gru-after", 1), ("gru-after", 2), ("rnn", 2)]
)
@padded
def test_layers_and_directions(name, dtype, layers, bidirectional, lengths):
    model = model_of(name, dtype, layers=layers, bidirectional=bidirectional)
    peer = module(name, places_of(layers, bidirectional))
    compare(model, dtype, lambda *given: peer(*given, lengths), lengths)


@dtypes
@pytest.mark.parametrize("name", MODULES)
def test_states_start_at_zero(name, dtype):
    model = model_of(name, dtype, layers=2, bidirectional=True)
    peer = module(name, places_of(2, True))
    xs = np.random.default_rng(0).standard_normal((T, B, I)).astype(dtype)
    zeros = {n: torch.zeros((B, H), dtype=getattr(torch, dtype)) for n in parts_of(model)}
    leaves = {n: torch.tensor(p.value) for n, p in model.flat_params.items()}
    outputs, _ = peer(leaves, torch.tensor(xs), zeros)
    assert_close(model.run(xs).outputs, outputs, dtype)


@dtypes
@pytest.mark.parametrize("bidirectional", [False, True])
def test_a_readout_of_each_sequences_own_end(dtype, bidirectional):
    """torch's h_n of the top layer, both directions side by side."""
    model = model_of("lstm", dtype, layers=2, bidirectional=bidirectional)
    peer = module("lstm", places_of(2, bidirectional))
    xs = np.random.default_rng(0).standard_normal((T, B, I)).astype(dtype)
    zeros = {n: torch.zeros((B, H), dtype=getattr(torch, dtype)) for n in parts_of(model)}
    leaves = {n: torch.tensor(p.value) for n, p in model.flat_params.items()}
    _, last = peer(leaves, torch.tensor(xs), zeros, LENGTHS)
    tops = [last[f"{p}.h"] for p in places_of(2, bidirectional)[-(2 if bidirectional else 1) :]]
    read = torch.cat(tops, dim=1) @ leaves["readout.W_y"] + leaves["readout.b_y"]
    assert_close(model.output(xs, lengths=LENGTHS), read, dtype)
    mask = np.arange(T)[:, None] < LENGTHS
    assert_close(model.output(xs, mask=mask), read, dtype)


# --- between layers ------------------------------------------------------------------------------


def between(name, bidirectional, change, lengths=None):
    """Two modules of one layer, and what happens to the first's outputs before the second."""
    width = 2 * H if bidirectional else H
    ways = 2 if bidirectional else 1
    places = places_of(2, bidirectional)
    first, second = module(name, places[:ways]), module(name, places[ways:], width)

    def theirs(leaves, xs, start):
        outputs, last = first(leaves, xs, start, lengths)
        top, ends = second(leaves, change(leaves, outputs, 1), start, lengths)
        return change(leaves, top, 2), {**last, **ends}

    return theirs


@dtypes
@pytest.mark.parametrize("bidirectional", [False, True])
@padded
def test_dropout_between_layers_with_our_masks_given(dtype, bidirectional, lengths):
    model = model_of("lstm", dtype, layers=2, bidirectional=bidirectional, dropout=0.5)
    key, width = mg.key(5), 2 * H if bidirectional else H
    ones = Steps.of(mg.ones((T, B, width), dtype))
    dropout = model.layers.layers["dropout1"]
    mask = dropout.run({}, ones, {}, Context(key=key).split("dropout1"))[0].each.eval()
    assert np.unique(mask).tolist() == [0.0, 2.0]
    theirs = between(
        "lstm",
        bidirectional,
        lambda leaves, y, layer: y * torch.tensor(mask) if layer == 1 else y,
        lengths,
    )
    compare(model, dtype, theirs, lengths, key=key)
    plain = between("lstm", bidirectional, lambda leaves, y, layer: y, lengths)
    compare(model, dtype, plain, lengths)  # without a key: evaluation


@dtypes
def test_layer_norm(dtype):
    model = model_of("lstm", dtype, layers=2, layer_norm=True)

    def normalised(leaves, y, layer):
        return F.layer_norm(y, (H,), leaves[f"norm{layer}.g"], leaves[f"norm{layer}.b"])

    compare(model, dtype, between("lstm", False, normalised))


@dtypes
@padded
def test_residual_layers(dtype, lengths):
    model = model_of("gru-after", dtype, layers=2, residual=True)
    first, second = module("gru-after", ["layer1"]), module("gru-after", ["layer2"], H)

    def theirs(leaves, xs, start):
        outputs, last = first(leaves, xs, start, lengths)
        top, ends = second(leaves, outputs, start, lengths)
        return outputs + top, {**last, **ends}

    compare(model, dtype, theirs, lengths)


# --- training ------------------------------------------------------------------------------------


@dtypes
def test_a_character_model_learns_the_same(dtype):
    """Embedding, two layers, a readout of each step, cross entropy of what is not padding, Adam."""
    V, steps, rate = 11, 5, 0.01
    model = Model.create(
        CELLS["lstm"](I, H, dtype=dtype), V, layers=2, vocabulary=V, readout="every"
    )
    rng = np.random.default_rng(0)
    tokens, labels = rng.integers(0, V, (2, T, B))
    labels[np.arange(T)[:, None] >= LENGTHS] = -1

    leaves = {
        name: torch.tensor(p.value.copy(), requires_grad=True)
        for name, p in model.flat_params.items()
    }
    optimizer = torch.optim.Adam(leaves.values(), rate)
    net = module("lstm", ["layer1", "layer2"])
    zeros = {n: torch.zeros((B, H), dtype=getattr(torch, dtype)) for n in parts_of(model)}

    ours = mg.var("tokens", (T, B), "int64")
    output = model.output(ours, lengths=LENGTHS)
    loss = losses.cross_entropy(output, labels, ignore_index=-1)
    trainer = Trainer(loss, [ours], model.params, optim.adam(rate))
    for _ in range(steps):
        optimizer.zero_grad()
        embedded = F.embedding(torch.tensor(tokens), leaves["embedding.E"])
        outputs, _ = net(leaves, embedded, zeros, LENGTHS)
        logits = outputs @ leaves["readout.W_y"] + leaves["readout.b_y"]
        their_labels = torch.tensor(labels).flatten()
        their_loss = F.cross_entropy(logits.flatten(0, 1), their_labels, ignore_index=-1)
        their_loss.backward()
        optimizer.step()
        report = trainer.step(tokens)
        assert_close(np.array(report.loss, dtype), their_loss, dtype)
    for name, p in model.flat_params.items():
        assert_close(p.value, leaves[name], dtype, name)


# --- what is written of it -----------------------------------------------------------------------

PAGE = (Path(__file__).parent.parent / "docs" / "interop.md").read_text("utf-8")


def test_the_page_has_every_argument_of_torchs_modules():
    arguments = {
        *signature(torch.nn.RNNBase).parameters,
        *signature(torch.nn.LSTM.forward).parameters,
    }
    rows = re.findall(r"^\| (.*?) \|", PAGE, re.MULTILINE)
    told = set(re.findall(r"`(\w+)`", " ".join(rows)))
    assert arguments - {"mode", "self"} <= told
    assert {"nonlinearity", "output", "h_n", "c_n", "h_0", "c_0"} <= told


def test_the_page_puts_torchs_weights_into_a_model():
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    (code,) = [block for block in blocks if block.startswith("import torch\n")]
    names: dict[str, Any] = {}
    exec(code, names)
    xs = np.random.default_rng(0).standard_normal((T, B, 3)).astype(np.float32)
    outputs, _ = names["theirs"](torch.tensor(xs))
    assert_close(names["model"].run(xs).outputs, outputs, "float32")
