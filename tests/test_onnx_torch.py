"""Nets of torch as it exports them to ONNX: the model of the file computes what the net does."""

from __future__ import annotations

import numpy as np
import pytest
from onnx_peer import B, H, I, T, assert_close, onnx
from torch_peer import torch

import lstm

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


@pytest.mark.parametrize("sizes", ["fixed", "open"])
@pytest.mark.parametrize("name", NETS)
def test_a_net_that_torch_exports(name, sizes, tmp_path):
    torch.manual_seed(0)
    net = Net(**NETS[name]).eval()
    batch_first = net.rnn.batch_first
    xs = torch.randn(T, B, I) if net.words is None else torch.randint(0, V, (T, B))
    start = [torch.randn(2, B, H) / 2 for _ in "hC"] if net.start else []
    theirs_read = (xs.transpose(0, 1) if batch_first else xs, *start)
    axes = {"dynamic_axes": {"xs": {0: "n", 1: "m"}}} if sizes == "open" else {}
    path = tmp_path / "net.onnx"
    torch.onnx.export(net, theirs_read, path, dynamo=False, input_names=["xs"], **axes)
    onnx.checker.check_model(path)

    expected = net(*theirs_read).detach().numpy()
    if batch_first and expected.ndim == 3:
        expected = expected.swapaxes(0, 1)
    model = lstm.from_onnx(path)
    assert model.readout.read == ("every" if expected.ndim == 3 else "last")
    pairs = zip(*(part.numpy() for part in start), strict=True)
    state = {f"layer{k}": {"h": h, "C": C} for k, (h, C) in enumerate(pairs, 1)} or None
    assert_close(model.run(xs.numpy(), state=state).output, expected)


def test_its_file_is_the_model_of_its_state_dict(tmp_path):
    net, path = Net(read="every").eval(), tmp_path / "net.onnx"
    torch.onnx.export(net, (torch.randn(B, T, I),), path, dynamo=False)
    of_file = lstm.from_onnx(path).values()
    of_state = lstm.from_torch(net.state_dict()).values()
    assert of_file.keys() == of_state.keys()
    for name, value in of_state.items():
        np.testing.assert_array_equal(of_file[name], value)
