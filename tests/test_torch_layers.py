"""Layers beside torch's: outputs, last states, and the gradients of parameters, inputs and initial
states. torch.nn.LSTM, GRU and RNN over packed sequences, in layers and directions; what torch has
no module for (dropout of h, zoneout, truncation, the GRU of the textbook) beside its autograd over
a loop of its own cells' equations, with our masks given.
"""

from __future__ import annotations

import numpy as np
import pytest
from torch_peer import F, assert_close, dtypes, ramp, torch

import minigrad as mg
from lstm import losses, optim
from lstm.cells import CELLS
from lstm.layers import Context, Steps
from lstm.model import Model
from lstm.params import flatten, rebuild
from lstm.training import Trainer

T, B, I, H = 7, 4, 3, 5  # noqa: E741
LENGTHS = np.array([7, 1, 4, 6])
padded = pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["whole", "padded"])


# --- the same numbers for both -------------------------------------------------------------------


def model_of(name, dtype, **options):
    """A model whose parameters, biases included, are all drawn, as wide as torch draws them: wider
    ones make nets in which rounding grows from step to step."""
    model = Model.create(CELLS[name](I, H, dtype=dtype), output_size=2, **options)
    rng = np.random.default_rng(0)
    for p in model.flat_params.values():
        p.value = rng.uniform(-(H**-0.5), H**-0.5, p.shape).astype(dtype)
    return model


def compare(model, dtype, theirs, lengths=None, **options):
    """theirs: (leaves, xs, start) -> (outputs, last), where leaves, start and last are by the
    dotted names of our parameters and states."""
    rng = np.random.default_rng(1)
    xs = rng.standard_normal((T, B, I)).astype(dtype)
    start = {
        name: rng.standard_normal(v.shape).astype(dtype) / 2 for name, v in _parts(model).items()
    }
    params = {n: p for n, p in model.flat_params.items() if not n.startswith("readout.")}

    leaves = {name: torch.tensor(p.value, requires_grad=True) for name, p in params.items()}
    their_xs = torch.tensor(xs, requires_grad=True)
    their_start = {name: torch.tensor(v, requires_grad=True) for name, v in start.items()}
    outputs, last = theirs(leaves, their_xs, their_start)
    assert last.keys() == start.keys()
    results = {"outputs": outputs, **last}
    total = sum((y * torch.tensor(ramp(y.shape, dtype))).sum() for y in results.values())
    total.backward()

    mask = np.ones((T, B), bool) if lengths is None else np.arange(T)[:, None] < lengths
    ours = _ours(model, params, dtype, lengths, options)
    results_here, gradients = ours(np.where(mask[..., None], xs, np.nan), start)
    for name, y in results.items():
        assert_close(results_here[name], y, dtype, name)
    for name, x in {**leaves, "xs": their_xs, **their_start}.items():
        assert_close(gradients[name], x.grad, dtype, f"gradient of {name}")
    assert (gradients["xs"][~mask] == 0).all()


def _ours(model, params, dtype, lengths, options):
    xs = mg.var("xs", (T, B, I), dtype)
    start = {n: mg.var(f"start of {n}", v.shape, dtype) for n, v in _parts(model).items()}
    run = model.run(xs, state=_tree(model, start), lengths=lengths, **options)
    results = {"outputs": run.outputs, **flatten(run.last)}
    total = mg.sum(mg.stack([mg.sum(y * ramp(y.shape, dtype)) for y in results.values()]))
    wanted = {**params, "xs": xs, **start}
    gradients = mg.grad(total, list(wanted.values()))
    call = mg.function([xs, *start.values()], [*results.values(), *gradients])

    def ours(xs, start):
        numbers = call(xs, *start.values())
        pairs = list(zip([*results, *wanted], numbers, strict=True))
        return dict(pairs[: len(results)]), dict(pairs[len(results) :])

    return ours


def _parts(model):
    return flatten(model.initial_state(B))


def _tree(model, leaves):
    return rebuild(model.initial_state(B), leaves)


# --- torch's modules -----------------------------------------------------------------------------

MODULES = {"lstm": torch.nn.LSTM, "gru-after": torch.nn.GRU, "rnn": torch.nn.RNN}


def their_weights(name, leaves):
    """[w_ih, w_hh, b_ih, b_hh] of a layer, from ours; a bias that is one here is in two parts."""

    def both(order):
        joint = torch.cat([leaves[f"W_{g}"].T for g in order])
        return joint[:, H:], joint[:, :H], torch.cat([leaves[f"b_{g}"] for g in order])

    if name == "gru-after":
        w_ih, w_hh, b = both("rz")
        w_ih, w_hh = torch.cat([w_ih, leaves["W_h"].T]), torch.cat([w_hh, leaves["U_h"].T])
        b_ih, b_hh = torch.cat([b / 4, leaves["b_h"]]), torch.cat([b * 3 / 4, leaves["b_U"]])
        return [w_ih, w_hh, b_ih, b_hh]
    w_ih, w_hh, b = both({"lstm": "ifCo", "rnn": "h"}[name])
    return [w_ih, w_hh, b / 4, b * 3 / 4]


def below(place, named):
    """What is below a place, by its own names."""
    return {n.removeprefix(f"{place}."): v for n, v in named.items() if n.startswith(f"{place}.")}


def module(name, places, input_size=I):
    """torch's module for our layers at these places: (leaves, xs, start, lengths) -> ..."""
    bidirectional = places[0].endswith("forward")
    layers = len(places) // (2 if bidirectional else 1)
    net = MODULES[name](input_size, H, layers, bidirectional=bidirectional)

    def forward(leaves, xs, start, lengths=None):
        # As its attribute, so that gradients go on to our leaves.
        net._flat_weights = [w for p in places for w in their_weights(name, below(p, leaves))]
        parts = ("h", "C") if name == "lstm" else ("h",)
        state = tuple(torch.stack([start[f"{p}.{part}"] for p in places]) for part in parts)
        state = state if name == "lstm" else state[0]
        if lengths is not None:
            xs = torch.nn.utils.rnn.pack_padded_sequence(
                xs, torch.tensor(lengths), enforce_sorted=False
            )
        outputs, last = net(xs, state)
        if lengths is not None:
            outputs, _ = torch.nn.utils.rnn.pad_packed_sequence(outputs, total_length=T)
        last = last if name == "lstm" else (last,)
        ends = {
            f"{p}.{part}": last[k][n] for n, p in enumerate(places) for k, part in enumerate(parts)
        }
        return outputs, ends

    return forward


def places_of(layers, bidirectional):
    ways = [".forward", ".backward"] if bidirectional else [""]
    return [f"layer{k}{way}" for k in range(1, layers + 1) for way in ways]


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
    zeros = {n: torch.zeros((B, H), dtype=getattr(torch, dtype)) for n in _parts(model)}
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
    zeros = {n: torch.zeros((B, H), dtype=getattr(torch, dtype)) for n in _parts(model)}
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


# --- loops over torch's operations ---------------------------------------------------------------


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
    zeros = {n: torch.zeros((B, H), dtype=getattr(torch, dtype)) for n in _parts(model)}

    ours = mg.var("tokens", (T, B), "int64")
    output = model.output(ours, lengths=LENGTHS)
    loss = losses.cross_entropy(output, labels, ignore_index=-1)
    trainer = Trainer(loss, [ours], model.flat_params, optim.adam(rate))
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
