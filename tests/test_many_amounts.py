"""What is told of many tensors at once is what is told of each, to the last bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minigrad.drawing.amount import Amount

RNG = np.random.default_rng(0)
SHAPES: list[tuple[int, ...]] = [(), (1,), (4,), (2, 3), (7, 5), (300,), (0, 3)]
ODD = [0.0, -0.0, np.inf, -np.inf, np.nan, 1e-320, 3e300, -4e300]


@pytest.mark.parametrize("dtype", ["float64", "float32", "int64", "bool"])
def test_each_of_many_is_as_if_it_were_alone(dtype: str) -> None:
    arrays: list[Any] = []
    for shape in SHAPES:
        for _ in range(6):
            array = (RNG.normal(size=shape) * 10.0 ** RNG.integers(-9, 9)).astype(dtype)
            arrays.append(array)
            if dtype.startswith("float") and array.size:
                odd = np.array(array)
                with np.errstate(over="ignore"):
                    odd.reshape(-1)[RNG.integers(array.size)] = RNG.choice(ODD)
                arrays.append(odd)
    order = RNG.permutation(len(arrays))
    shuffled = [arrays[k] for k in order]
    for amount, array in zip(Amount.of_each(shuffled), shuffled, strict=True):
        assert repr(amount) == repr(Amount.of(array))
        if np.isfinite(array.astype(float)).all() and array.size and array.dtype != bool:
            scale = max(float(np.abs(array).max()), 1e-300)
            wanted = scale * float(np.linalg.norm(array.astype(float) / scale))
            assert amount.norm == pytest.approx(wanted, rel=1e-12)


def test_none_are_none() -> None:
    assert Amount.of_each([]) == []
