"""A flow beside the same model written out: what tests of its arrays share."""

from __future__ import annotations

from typing import Any

import numpy as np

import lstm
import minigrad as mg

Stated = tuple[Any, dict[str, Any], dict[str, Any]]
"""A cell's class, options of `Model.create`, and what `lstm.flow` is told."""


class Written:
    """A flow of sequences (T, B, 2) through H units, and the same model written out."""

    def __init__(self, stated: Stated, sizes: tuple[int, int, int], seed: int) -> None:
        kind, options, self.given = stated
        T, B, H = sizes
        rng = np.random.default_rng(seed)
        self.model = lstm.Model.create(kind(2, H, "float64"), 1, 2, **options)
        for leaf in self.model.flat_params.values():  # larger, so that no part is far below others
            leaf.value = leaf.value * 1.5
        self.xs = rng.standard_normal((T, B, 2))
        self.every = options.get("readout") == "every"
        self.ys = rng.standard_normal((T, B, 1) if self.every else (B, 1))
        self.flow = lstm.flow(self.model, self.xs, self.ys, lstm.mse, **self.given)
        self.place = self.model.place(self.given.get("layer"), self.given.get("direction"))
        self.symbol = self.flow.main.symbol

    def written_out(self, **options: Any) -> tuple[Any, mg.Expr]:
        """The layer that is measured, and the loss."""
        lengths = self.given.get("lengths")
        unrolled = self.model.unroll(mg.const(self.xs), lengths=lengths, **options)
        # padding does not count in a loss of each step
        mask = lstm.mask_of(lengths, len(self.xs)) if lengths is not None and self.every else None
        return unrolled.layers[self.place], lstm.mse(unrolled.output, self.ys, mask=mask)


def close(a: Any, b: Any) -> None:
    np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-14)
