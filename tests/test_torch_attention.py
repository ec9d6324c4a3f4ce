"""Attention beside torch's: values, and the gradients of all that they read."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch_peer import torch

import lstm
import minigrad as mg

S, B, A = 5, 3, 4
LENGTHS = [5, 2, 3]
EXACT = {"rtol": 1e-12, "atol": 1e-13}


def test_self_attention_is_torchs_scaled_dot_product() -> None:
    layer = lstm.DotAttention(A, A, scaled=True, dtype="float64")
    inside = np.arange(S)[:, None] < LENGTHS
    xs = mg.param("xs", np.random.default_rng(0).standard_normal((S, B, A)))
    steps = lstm.Steps.of(xs, mg.const(inside))
    got, _ = layer.run({}, steps, {}, lstm.Context(mg.const(inside)))
    read = mg.where(mg.const(inside[..., None]), got.stacked, 0.0)
    x = torch.tensor(xs.value.transpose(1, 0, 2), requires_grad=True)
    mask = torch.tensor(inside.T)
    expected = torch.nn.functional.scaled_dot_product_attention(x, x, x, attn_mask=mask[:, None, :])
    expected = torch.where(mask[..., None], expected, 0.0)
    (expected**3).sum().backward()
    np.testing.assert_allclose(read.eval().transpose(1, 0, 2), expected.detach().numpy(), **EXACT)
    grad: Any = mg.grad(mg.sum(read**3), xs).eval()
    np.testing.assert_allclose(grad.transpose(1, 0, 2), x.grad.numpy(), **EXACT)


def test_one_head_of_torchs_is_general_attention() -> None:
    """With W_a = W_q W_kᵀ / √A and values as they are, nn.MultiheadAttention looks as we do."""
    rng = np.random.default_rng(0)
    W_q, W_k, query, annotations = (
        rng.standard_normal(shape) for shape in [(A, A), (A, A), (B, A), (S, B, A)]
    )
    peer = torch.nn.MultiheadAttention(A, 1, bias=False, dtype=torch.float64)
    with torch.no_grad():
        peer.in_proj_weight.copy_(torch.tensor(np.concatenate([W_q.T, W_k.T, np.eye(A)])))
        peer.out_proj.weight.copy_(torch.eye(A))
    outside = torch.tensor((np.arange(S)[:, None] >= LENGTHS).T)
    a = torch.tensor(annotations)
    expected, weights = peer(torch.tensor(query[None]), a, a, key_padding_mask=outside)
    layer = lstm.GeneralAttention(A, A, dtype="float64")
    params = {"W_a": mg.const(W_q @ W_k.T / A**0.5)}
    mask = mg.const(np.arange(S)[:, None] < LENGTHS)
    got = layer.look(params, mg.const(query), mg.const(annotations), mask)
    np.testing.assert_allclose(got.context.eval(), expected[0].detach().numpy(), **EXACT)
    np.testing.assert_allclose(got.weights.eval(), weights[:, 0].detach().numpy(), **EXACT)
