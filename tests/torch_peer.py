"""torch, where it is installed, and our layers beside it: the same numbers in both, run and
compared. Files that import this are skipped where torch is not installed.
"""

from __future__ import annotations

import numpy as np
import pytest

import minigrad as mg
from lstm.cells import CELLS
from lstm.model import Model
from lstm.params import flatten, rebuild

try:
    import torch
except ImportError:
    pytest.skip("torch is not installed: pip install '.[torch]'", allow_module_level=True)

F = torch.nn.functional
TOLERANCE = {"float64": 1e-12, "float32": 1e-6}
dtypes = pytest.mark.parametrize("dtype", TOLERANCE)


def assert_close(ours, theirs, dtype, what=""):
    """To the tolerance of the dtype, relative to the largest element, or to 1 if that is more."""
    theirs = theirs.detach().numpy() if isinstance(theirs, torch.Tensor) else theirs
    ours = ours.eval() if isinstance(ours, mg.Expr) else ours
    assert ours.dtype == theirs.dtype == dtype
    scale = max(1.0, float(abs(theirs).max()))
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=TOLERANCE[dtype] * scale, err_msg=what)


def ramp(shape, dtype):
    """Weights of a sum in which every element counts differently."""
    return np.cos(np.arange(np.prod(shape))).reshape(shape).astype(dtype)


# --- layers: the same numbers for both ------------------------------------------------------------

T, B, I, H = 7, 4, 3, 5  # noqa: E741
LENGTHS = np.array([7, 1, 4, 6])
padded = pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["whole", "padded"])


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
    dotted names of our parameters and states. torch computes in float64 whatever our dtype is: of
    float32 it would add its own rounding, which by the CPU is as large as ours, to either side."""
    rng = np.random.default_rng(1)
    xs = rng.standard_normal((T, B, I)).astype(dtype)
    start = {
        name: rng.standard_normal(v.shape).astype(dtype) / 2 for name, v in parts_of(model).items()
    }
    params = {n: p for n, p in model.flat_params.items() if not n.startswith("readout.")}

    leaves = {name: _leaf(p.value) for name, p in params.items()}
    their_xs = _leaf(xs)
    their_start = {name: _leaf(v) for name, v in start.items()}
    outputs, last = theirs(leaves, their_xs, their_start)
    assert last.keys() == start.keys()
    results = {"outputs": outputs, **last}
    total = sum((y * torch.tensor(ramp(y.shape, dtype))).sum() for y in results.values())
    total.backward()

    mask = np.ones((T, B), bool) if lengths is None else np.arange(T)[:, None] < lengths
    ours = _ours(model, params, dtype, lengths, options)
    results_here, gradients = ours(np.where(mask[..., None], xs, np.nan), start)
    for name, y in results.items():
        assert_close(results_here[name], _rounded(y, dtype), dtype, name)
    for name, x in {**leaves, "xs": their_xs, **their_start}.items():
        assert_close(gradients[name], _rounded(x.grad, dtype), dtype, f"gradient of {name}")
    assert (gradients["xs"][~mask] == 0).all()


def _leaf(value):
    return torch.tensor(value, dtype=torch.float64, requires_grad=True)


def _rounded(theirs, dtype):
    return theirs.detach().numpy().astype(dtype)


def _ours(model, params, dtype, lengths, options):
    xs = mg.var("xs", (T, B, I), dtype)
    start = {n: mg.var(f"start of {n}", v.shape, dtype) for n, v in parts_of(model).items()}
    run = model.run(xs, state=tree_of(model, start), lengths=lengths, **options)
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


def parts_of(model):
    return flatten(model.initial_state(B))


def tree_of(model, leaves):
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
