"""Hypothesis profiles. "ci" (the default) draws the same examples each time; "explore" draws new
ones, and many: HYPOTHESIS_PROFILE=explore pytest tests/test_properties.py
"""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "ci",
    derandomize=True,
    deadline=None,
    max_examples=40,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("explore", deadline=None, max_examples=600)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


@pytest.fixture
def rng():
    """A generator of the same numbers each time."""
    import numpy as np

    return np.random.default_rng(0)
