"""State dicts of torch's modules as models, and back: outputs, last states and all gradients,
beside torch itself.
"""

from __future__ import annotations

import numpy as np
import pytest
from safetensors.numpy import save_file
from torch_peer import LENGTHS, B, H, I, T, assert_close, dtypes, padded, ramp, torch

import lstm
import minigrad as mg
from lstm.params import flatten, rebuild

KINDS = {
    "lstm": (torch.nn.LSTM, {}),
    "gru": (torch.nn.GRU, {}),
    "tanh": (torch.nn.RNN, {}),
    "relu": (torch.nn.RNN, {"nonlinearity": "relu"}),
}
kinds = pytest.mark.parametrize("kind", KINDS)


def peer_of(kind, dtype, **options):
    torch.manual_seed(0)
    module, own = KINDS[kind]
    return module(I, H, dtype=getattr(torch, dtype), **options, **own)


def model_of(kind, state_dict, **options):
    return lstm.from_torch(state_dict, **options, **KINDS[kind][1])


def run_of_torch(net, xs, start, lengths):
    """Outputs, and the last states by our dotted names."""
    names = [n.rpartition(".") for n in start]
    parts = list(dict.fromkeys(part for _, _, part in names))
    states = [torch.stack([start[n] for n in start if n.endswith(f".{part}")]) for part in parts]
    if lengths is not None:
        xs = torch.nn.utils.rnn.pack_padded_sequence(
            xs, torch.tensor(lengths), enforce_sorted=False
        )
    outputs, last = net(xs, states[0] if len(states) == 1 else tuple(states))
    if lengths is not None:
        outputs, _ = torch.nn.utils.rnn.pad_packed_sequence(outputs, total_length=T)
    last = dict(zip(parts, last if isinstance(last, tuple) else (last,), strict=True))
    places = list(dict.fromkeys(place for place, _, _ in names))
    ends = {f"{p}.{part}": last[part][k] for k, p in enumerate(places) for part in parts}
    return outputs, ends


@dtypes
@kinds
@pytest.mark.parametrize(("layers", "bidirectional"), [(1, False), (3, False), (2, True)])
@padded
def test_a_module_is_the_model_of_its_state_dict(kind, dtype, layers, bidirectional, lengths):
    net = peer_of(kind, dtype, num_layers=layers, bidirectional=bidirectional)
    model = model_of(kind, net.state_dict())
    rng = np.random.default_rng(1)
    xs = rng.standard_normal((T, B, I)).astype(dtype)
    start = {
        name: rng.standard_normal(zero.shape).astype(dtype) / 2
        for name, zero in flatten(model.initial_state(B)).items()
    }
    their_xs = torch.tensor(xs, requires_grad=True)
    their_start = {n: torch.tensor(v, requires_grad=True) for n, v in start.items()}
    outputs, ends = run_of_torch(net, their_xs, their_start, lengths)
    results = {"outputs": outputs, **ends}
    sum((y * torch.tensor(ramp(y.shape, dtype))).sum() for y in results.values()).backward()

    at_xs = mg.param("xs", xs)
    at_start = {n: mg.param(n, v) for n, v in start.items()}
    state = rebuild(model.initial_state(B), at_start)
    run = model.run(at_xs, state=state, lengths=lengths)
    ours = {"outputs": run.output, **flatten(run.last)}
    total = mg.sum(mg.stack([mg.sum(y * ramp(y.shape, dtype)) for y in ours.values()]))
    wrt = {**model.flat_params, "xs": at_xs, **at_start}
    numbers = mg.function([], [*ours.values(), *mg.grad(total, list(wrt.values()))])()
    got = dict(zip([*ours, *(f"gradient of {n}" for n in wrt)], numbers, strict=True))

    for name, y in results.items():
        assert_close(got[name], y, dtype, name)
    for name, x in {"xs": their_xs, **their_start}.items():
        assert_close(got[f"gradient of {name}"], x.grad, dtype, f"gradient of {name}")
    slopes = {name: got[f"gradient of {name}"] for name in model.flat_params}
    slopes = lstm.to_torch(lstm.Model.of(model.layers, model.readout, slopes))
    for name, p in net.named_parameters():
        zero_here = "bias_hh" in name and kind != "gru"  # our one bias is their bias_ih
        if not zero_here:
            rows = 2 * H if "bias_hh" in name else 0  # of a GRU, the candidate's alone
            assert_close(slopes[name][rows:], p.grad[rows:], dtype, f"gradient of {name}")


@dtypes
@kinds
@pytest.mark.parametrize("bidirectional", [False, True])
def test_a_module_takes_what_to_torch_gives(kind, dtype, bidirectional):
    options = {"num_layers": 2, "bidirectional": bidirectional}
    net = peer_of(kind, dtype, **options)
    xs = torch.tensor(np.random.default_rng(0).standard_normal((T, B, I)).astype(dtype))
    expected, _ = net(xs)
    arrays = lstm.to_torch(model_of(kind, net.state_dict()))
    again = peer_of(kind, dtype, **options)
    with torch.no_grad():
        for p in again.parameters():
            p.zero_()
    again.load_state_dict({name: torch.from_numpy(array) for name, array in arrays.items()})
    assert_close(again(xs)[0].detach().numpy(), expected, dtype)


class Speaker(torch.nn.Module):
    """Tokens in, scores of what comes next out."""

    def __init__(self):
        super().__init__()
        self.words = torch.nn.Embedding(11, I)
        self.rnn = torch.nn.GRU(I, H, num_layers=2, batch_first=True)
        self.scores = torch.nn.Linear(H, 11)

    def forward(self, tokens):
        return self.scores(self.rnn(self.words(tokens))[0])


def test_a_net_with_an_embedding_and_a_linear(tmp_path):
    torch.manual_seed(0)
    net = Speaker()
    arrays = {name: tensor.numpy() for name, tensor in net.state_dict().items()}
    path = tmp_path / "net.safetensors"
    save_file(arrays, path)
    tokens = np.random.default_rng(0).integers(0, 11, (T, B))
    expected = net(torch.tensor(tokens.T)).detach().numpy().transpose(1, 0, 2)
    for model in (lstm.from_torch(path), lstm.from_torch(net.state_dict())):
        assert_close(model.run(tokens).output, expected, "float32")
        back = lstm.to_torch(model, prefix="rnn", readout="scores", embedding="words")
        assert back.keys() == arrays.keys()
        net.load_state_dict({name: torch.from_numpy(a) for name, a in back.items()})
        again = net(torch.tensor(tokens.T)).detach().numpy().transpose(1, 0, 2)
        assert_close(again, expected, "float32")
    last = lstm.from_torch(path, read="last", prefix="rnn.", readout="scores", embedding="words")
    assert_close(last.run(tokens).output, expected[-1], "float32")


@kinds
def test_a_module_without_biases(kind):
    net = peer_of(kind, "float64", bias=False)
    xs = np.random.default_rng(0).standard_normal((T, B, I))
    assert_close(
        model_of(kind, net.state_dict()).run(xs).output, net(torch.tensor(xs))[0], "float64"
    )


def test_the_end_of_sequences_is_their_h_n():
    net = peer_of("lstm", "float64", bidirectional=True)
    xs = np.random.default_rng(0).standard_normal((T, B, I))
    packed = torch.nn.utils.rnn.pack_padded_sequence(
        torch.tensor(xs), torch.tensor(LENGTHS), enforce_sorted=False
    )
    _, (h_n, _) = net(packed)
    model = lstm.from_torch(net.state_dict(), read="last")
    assert_close(model.run(xs, lengths=LENGTHS).output, torch.cat([*h_n], dim=1), "float64")


def test_what_torch_saves_by_itself_is_told_how_to_come_in(tmp_path):
    path = tmp_path / "net.pt"
    torch.save(peer_of("lstm", "float32").state_dict(), path)
    with pytest.raises(lstm.ModelFileError, match=r"a checkpoint of PyTorch.*save_file\(torch"):
        lstm.from_torch(path)
    torch.save(peer_of("lstm", "float32").state_dict(), path, _use_new_zipfile_serialization=False)
    with pytest.raises(lstm.ModelFileError, match=r"a pickle.*save_file\(torch"):
        lstm.from_torch(path)


def test_projections_are_refused():
    with pytest.raises(lstm.ConfigError, match=r"weight_hr_l0 projects h \(proj_size\)"):
        lstm.from_torch(torch.nn.LSTM(I, H, proj_size=2).state_dict())


def test_tensors_that_are_no_plain_floats():
    net = torch.nn.LSTM(I, H)
    with pytest.raises(lstm.ConfigError, match=r"give tensor\.detach\(\)\.cpu\(\)\.float\(\)"):
        lstm.from_torch(dict(net.named_parameters()))
    with pytest.raises(lstm.ConfigError, match=r"no array.*cpu\(\)\.float\(\)"):
        lstm.from_torch(net.bfloat16().state_dict())
    half = lstm.from_torch(net.half().state_dict())
    assert half.dtype == "float32"
    with pytest.raises(lstm.ConfigError, match=r"not of the class LSTM; give its state_dict\(\)"):
        lstm.from_torch(net)
