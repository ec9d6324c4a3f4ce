"""JAX, where it is installed: functions on it beside the reference. Files that import this are
skipped where JAX is not installed.
"""

from __future__ import annotations

import numpy as np
import pytest

import minigrad as mg

try:
    import jax
except ImportError:
    pytest.skip("jax is not installed: pip install '.[jax]'", allow_module_level=True)

# XLA takes numbers below the smallest normal one as zero, and has its own exp, log and sums.
RTOL = {"float64": 1e-11, "float32": 2e-5}


def assert_close(found, expected, rtol=RTOL["float64"], what=""):
    """Of one type, and equal to a tolerance relative to the largest element, or to 1."""
    assert found.dtype == expected.dtype and found.shape == expected.shape, what
    if expected.dtype.kind != "f":
        np.testing.assert_array_equal(found, expected, err_msg=what)
        return
    finite = np.abs(expected[np.isfinite(expected)])
    scale = max(1.0, float(np.max(finite, initial=0.0)))
    np.testing.assert_allclose(found, expected, rtol=rtol, atol=rtol * scale, err_msg=what)


def agree(inputs, outputs, values, rtol=RTOL["float64"], **options):
    """The function on JAX, whose results are those of the reference."""
    f = mg.function(inputs, outputs, backend="jax", **options)
    expected = mg.function(inputs, outputs, backend="numpy")(*values)
    for k, (a, b) in enumerate(zip(f(*values), expected, strict=True)):
        assert_close(a, b, rtol, f"output {k}")
    return f


__all__ = ["RTOL", "agree", "assert_close", "jax"]
