"""Values and gradients that other projects and textbooks have published."""

from __future__ import annotations

import numpy as np
import pytest

import minigrad as mg


def test_rosenbrock_at_its_minimum() -> None:
    """Rosenbrock (1960): f(1, 1) = 0, gradient 0, Hessian [[802, -400], [-400, 200]]."""
    x = mg.var("x", (2,))
    f = 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2
    at = {x: [1.0, 1.0]}
    assert f.eval(at) == 0
    np.testing.assert_array_equal(mg.grad(f, x).eval(at), [0.0, 0.0])
    np.testing.assert_array_equal(mg.hessian(f, x).eval(at), [[802.0, -400.0], [-400.0, 200.0]])


@pytest.mark.parametrize(("order", "value"), [(1, 1.0), (3, -2.0), (5, 16.0), (7, -272.0)])
def test_derivatives_of_tanh_at_zero_are_the_tangent_numbers(order: int, value: float) -> None:
    """tanh's Taylor coefficients at 0, times n! (Abramowitz & Stegun 4.5.64)."""
    x = mg.var("x")
    y = mg.tanh(x)
    for _ in range(order):
        y = mg.grad(y, x)
    assert y.eval({x: 0.0}) == value
