"""Layers that torch has no module for, beside its autograd over a loop of its cells' equations:
dropout of h and zoneout with our masks given, truncation, the GRU of the textbook, layer norm.
"""

from __future__ import annotations

import numpy as np
import pytest
from torch_peer import B, F, H, T, below, compare, dtypes, model_of, padded, their_weights, torch

import minigrad as mg
from lstm.layers import Context


def lstm(p, seen, state, x):
    """`seen`: the h that gates read."""
    h, C = torch.lstm_cell(x, (seen, state["C"]), *their_weights("lstm", p))
    return {"h": h, "C": C}


def gru(p, seen, state, x):
    """The textbook's: r acts on h before the product, z = 1 takes the candidate."""
    hx = torch.cat([seen, x], dim=1)
    z, r = (torch.sigmoid(hx @ p[f"W_{g}"] + p[f"b_{g}"]) for g in "zr")
    candidate = torch.tanh(torch.cat([r * seen, x], dim=1) @ p["W_h"] + p["b_h"])
    return {"h": (1 - z) * state["h"] + z * candidate}


def gru_after(p, seen, state, x):
    w_ih, w_hh, b_ih, b_hh = their_weights("gru-after", p)
    r_x, z_x, n_x = (x @ w_ih.T + b_ih).split(H, 1)
    r_h, z_h, n_h = (seen @ w_hh.T + b_hh).split(H, 1)
    r, z = torch.sigmoid(r_x + r_h), torch.sigmoid(z_x + z_h)
    return {"h": (1 - z) * torch.tanh(n_x + r * n_h) + z * state["h"]}


def layer_norm_lstm(p, seen, state, x):
    def norm(v, gain, bias=None):
        return F.layer_norm(v, v.shape[1:], p[gain], None if bias is None else p[bias])

    both = norm(seen @ p["U"], "g_U") + norm(x @ p["W"], "g_W")
    f, i, c, o = (a + p[f"b_{g}"] for g, a in zip("fiCo", both.split(H, 1), strict=True))
    C = torch.sigmoid(f) * state["C"] + torch.sigmoid(i) * torch.tanh(c)
    return {"h": torch.sigmoid(o) * torch.tanh(norm(C, "g_N", "b_N")), "C": C}


CELL_STEPS = {
    "lstm": lstm,
    "gru": gru,
    "gru-after": gru_after,
    "layernorm-lstm": layer_norm_lstm,
}


def loop(name, lengths=None, h_mask=None, after=None, truncate=None):
    """(leaves, xs, start) -> (outputs, last) of one layer; after: (old, new, t, part) -> new."""

    def theirs(leaves, xs, start):
        p, state = below("layer1", leaves), below("layer1", start)
        rows = []
        for t in range(T):
            if truncate and t and t % truncate == 0:
                state = {part: v.detach() for part, v in state.items()}
            seen = state["h"] if h_mask is None else state["h"] * h_mask
            new = CELL_STEPS[name](p, seen, state, xs[t])
            if after:
                new = {part: after(state[part], v, t, part) for part, v in new.items()}
            if lengths is not None:
                counts = torch.tensor(t < lengths)[:, None]
                new = {part: torch.where(counts, v, state[part]) for part, v in new.items()}
            state = new
            rows.append(state["h"])
        outputs = torch.stack(rows)
        if lengths is not None:
            outputs = outputs * torch.tensor(np.arange(T)[:, None] < lengths)[..., None]
        return outputs, {f"layer1.{part}": v for part, v in state.items()}

    return theirs


loops = pytest.mark.parametrize("name", CELL_STEPS)


@dtypes
@loops
@padded
def test_loops(name, dtype, lengths):
    """The GRU with the reset before the product, which torch has not; and the loop itself."""
    compare(model_of(name, dtype), dtype, loop(name, lengths), lengths)


@dtypes
@loops
@padded
def test_one_mask_of_h_a_sequence(name, dtype, lengths):
    p = 0.4
    model = model_of(name, dtype, recurrent_dropout=p)
    key = mg.key(3)
    drops = Context(key=key).split("layer1").split("h").uniform((B, H)).eval() < p
    assert drops.any()
    assert not drops.all()
    h_mask = torch.tensor(np.where(drops, 0, 1 / (1 - p)).astype(dtype))
    compare(model, dtype, loop(name, lengths, h_mask), lengths, key=key)
    compare(model, dtype, loop(name, lengths), lengths)


@dtypes
@loops
@padded
def test_zoneout(name, dtype, lengths):
    p = 0.3
    model = model_of(name, dtype, zoneout=p)
    place, key = Context(key=mg.key(4)).split("layer1").split("zoneout"), mg.key(4)
    stays = {
        part: torch.tensor(place.split(part).uniform((T, B, H)).eval() < p) for part in ("h", "C")
    }

    def drawn(old, new, t, part):
        return torch.where(stays[part][t], old, new)

    def expected(old, new, t, part):
        return p * old + (1 - p) * new

    compare(model, dtype, loop(name, lengths, after=drawn), lengths, key=key)
    compare(model, dtype, loop(name, lengths, after=expected), lengths)


@dtypes
@loops
@pytest.mark.parametrize("truncate", [1, 2, 3, 7])
def test_truncation_is_detaching_the_state(name, dtype, truncate):
    model = model_of(name, dtype)
    compare(model, dtype, loop(name, truncate=truncate), truncate=truncate)
