"""Nets of torch as its two exporters write them to ONNX: the model of the file computes what the
net does, or is refused.
"""

from __future__ import annotations

import logging

import numpy as np
import pytest
from onnx_peer import B, H, I, T, assert_close, onnx
from torch_peer import torch

import lstm

try:
    import onnxscript
except ImportError:
    pytest.skip("onnxscript is not installed: pip install onnxscript", allow_module_level=True)

assert onnxscript  # with which the newer exporter writes

pytestmark = pytest.mark.filterwarnings("ignore")  # torch warns of its own ways
V, O = 11, 4  # noqa: E741
NETS = {
    "the last of all steps": {},
    "every step": {"read": "every"},
    "every step, both ways": {"read": "every", "bidirectional": True},
    "time first": {"batch_first": False},
    "the state": {"read": "state"},
    "the state of a GRU, both ways": {"kind": "GRU", "read": "state", "bidirectional": True},
    "an RNN": {"kind": "RNN", "read": "state", "nonlinearity": "relu"},
    "tokens": {"read": "every", "words": True},
    "states that are given": {"read": "every", "start": True},
}


class Net(torch.nn.Module):
    """Two layers with dropout between them, and a Linear."""

    def __init__(self, kind="LSTM", read="last", words=False, start=False, **options):
        super().__init__()
        self.read, self.start = read, start
        self.words = torch.nn.Embedding(V, I) if words else None
        options = {"batch_first": True, "dropout": 0.1} | options
        self.rnn = getattr(torch.nn, kind)(I, H, 2, **options)
        self.scores = torch.nn.Linear(H * (2 if self.rnn.bidirectional else 1), O)

    def forward(self, x, *start):
        x = x if self.words is None else self.words(x)
        y, state = self.rnn(x, start) if self.start else self.rnn(x)
        h = state[0] if isinstance(state, tuple) else state
        if self.read == "state":
            y = torch.cat([h[-2], h[-1]], 1) if self.rnn.bidirectional else h[-1]
        elif self.read == "last":
            y = y[:, -1] if self.rnn.batch_first else y[-1]
        return self.scores(y)


@pytest.fixture(autouse=True)
def _told_nothing():
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def exported(net, read, path, exporter, sizes="fixed"):
    """Write a file, as the exporter that is asked for does."""
    some = torch.export.Dim.AUTO
    axes = {}
    if exporter == "older" and sizes == "open":
        axes = {"dynamic_axes": {"xs": {0: "n", 1: "m"}}}
    elif sizes == "open":
        starts = ([{1: some}] * (len(read) - 1),) if len(read) > 1 else ()
        axes = {"dynamic_shapes": ({0: some, 1: some}, *map(tuple, starts))}
    newer = exporter == "newer"
    options = {"verbose": False} if newer else {"input_names": ["xs"]}
    torch.onnx.export(net, read, path, dynamo=newer, **options, **axes)
    onnx.checker.check_model(path)


@pytest.mark.parametrize("exporter", ["older", "newer"])
@pytest.mark.parametrize("sizes", ["fixed", "open"])
@pytest.mark.parametrize("name", NETS)
def test_a_net_that_torch_exports(name, sizes, exporter, tmp_path):
    torch.manual_seed(0)
    net = Net(**NETS[name]).eval()
    batch_first = net.rnn.batch_first
    xs = torch.randn(T, B, I) if net.words is None else torch.randint(0, V, (T, B))
    start = [torch.randn(2, B, H) / 2 for _ in "hC"] if net.start else []
    theirs_read = (xs.transpose(0, 1) if batch_first else xs, *start)
    path = tmp_path / "net.onnx"
    exported(net, theirs_read, path, exporter, sizes)
    if exporter == "newer" and name == "an RNN":  # which it writes out step by step
        with pytest.raises(lstm.ModelFileError, match=r"op by op.*from_torch\(net\.state_dict"):
            lstm.from_onnx(path)
        return

    expected = net(*theirs_read).detach().numpy()
    if batch_first and expected.ndim == 3:
        expected = expected.swapaxes(0, 1)
    model = lstm.from_onnx(path)
    assert model.readout.read == ("every" if expected.ndim == 3 else "last")
    pairs = zip(*(part.numpy() for part in start), strict=True)
    state = {f"layer{k}": {"h": h, "C": C} for k, (h, C) in enumerate(pairs, 1)} or None
    assert_close(model.run(xs.numpy(), state=state).output, expected)


@pytest.mark.parametrize("exporter", ["older", "newer"])
@pytest.mark.parametrize(
    "options",
    [{"bias": False}, {"dtype": torch.float64}, {"bidirectional": True, "num_layers": 2}],
    ids=str,
)
@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_a_module_alone(kind, options, exporter, tmp_path):
    net, path = getattr(torch.nn, kind)(I, H, **options).eval(), tmp_path / "net.onnx"
    xs = torch.randn(T, B, I, dtype=options.get("dtype"))
    exported(net, (xs,), path, exporter)
    assert_close(lstm.from_onnx(path).run(xs.numpy()).output, net(xs)[0].detach().numpy())


@pytest.mark.parametrize("sizes", ["fixed", "open"])
def test_projections_of_which_torch_writes_a_part(sizes, tmp_path):
    """Its newer exporter leaves out W_hr and three of five rows of each gate."""
    net, path = torch.nn.LSTM(I, H, proj_size=2).eval(), tmp_path / "net.onnx"
    exported(net, (torch.randn(T, B, I),), path, "newer", sizes)
    with pytest.raises(lstm.ModelFileError, match=r"initial_c has 5 numbers .* of 2 units"):
        lstm.from_onnx(path)


def test_its_file_is_the_model_of_its_state_dict(tmp_path):
    net, path = Net(read="every").eval(), tmp_path / "net.onnx"
    torch.onnx.export(net, (torch.randn(B, T, I),), path, dynamo=False)
    of_file = lstm.from_onnx(path).values()
    of_state = lstm.from_torch(net.state_dict()).values()
    assert of_file.keys() == of_state.keys()
    for name, value in of_state.items():
        np.testing.assert_array_equal(of_file[name], value)
