"""docs/models.md is true: its code runs, and trains."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

TEXT = (Path(__file__).parent.parent / "docs" / "models.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, re.S)


def test_the_code_of_the_page_runs_and_trains() -> None:
    names: dict[str, Any] = {}
    exec(BLOCKS[0], names)
    rng = np.random.default_rng(0)
    batch = rng.standard_normal((50, 16, 8)), rng.integers(0, 3, 16), rng.integers(9, 51, 16)
    before, key = names["model"].values(), names["key"].value.copy()
    losses = [names["trainer"].step(*batch).loss for _ in range(25)]
    assert losses[-1] < 0.7 * losses[0]
    assert all((names["model"].values()[n] != value).any() for n, value in before.items())
    assert (names["key"].value != key).any()
    exec(BLOCKS[1].replace("\nrun.output.eval()", "\nshapes = run.output.eval()"), names)
    assert names["shapes"] == ((16, 3), (50, 16, 64))
    exec(BLOCKS[2].replace("\nfitted.best.output", "\nsaid = fitted.best.output"), names)
    assert names["said"].shape == (1,)
    assert len(BLOCKS[0].strip().splitlines()) <= 14  # imports, a blank line, and ten
