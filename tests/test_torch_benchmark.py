"""torch in benchmarks/lstm_step.py --device: the step that minigrad computes, in both dtypes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from torch_peer import torch


def test_torchs_step_is_minigrads(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "benchmarks"))
    import lstm_case
    import lstm_contenders as made

    case = lstm_case.make_case("lstm", lstm_case.Size(6, 3, 2, 5))
    threads = torch.get_num_threads()
    built = {
        "minigrad": made.textbook(case, True, "numpy"),
        "float32": made.torch_layer(case, True, threads),
        "bfloat16": made.torch_layer(case, True, threads, dtype="bfloat16"),
    }
    losses = {name: [c.read(c.run())[0] for _ in range(3)] for name, c in built.items()}
    np.testing.assert_allclose(losses["float32"], losses["minigrad"], rtol=1e-5)
    gap = abs(losses["bfloat16"][0] / losses["minigrad"][0] - 1)
    assert 1e-6 < gap < 1e-2
