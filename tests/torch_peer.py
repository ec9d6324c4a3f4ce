"""torch, where it is installed, and how close to it is close. Files that import this are skipped
where it is not.
"""

from __future__ import annotations

import numpy as np
import pytest

import minigrad as mg

try:
    import torch
    from torch.nn import functional as F  # noqa: N812
except ImportError:
    pytest.skip("torch is not installed: pip install '.[torch]'", allow_module_level=True)

__all__ = ["F", "assert_close", "dtypes", "ramp", "torch"]

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
