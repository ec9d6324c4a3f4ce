"""Derives minigrad/compile/backends/native/coefficients.py, and says how good they are.

    python benchmarks/fit_vecmath.py > minigrad/compile/backends/native/coefficients.py

Each is a weighted minimax polynomial found by Remez exchange in 60 digits (mpmath): of all
polynomials of its degree the one whose largest weighted error is least. The weight turns an error
of the polynomial into a relative error of the function that it serves. Coefficients are then
rounded to the format; the error of the rounded polynomial is printed beside it, in units of the
format's epsilon (2^-23, 2^-52), to be compared with the half that a rounding costs anyway.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from mpmath import mp, mpf

mp.dps = 60
NEAR_ZERO = mpf("1e-20")  # below it a quotient has cancelled, and its limit is as good
Function = Callable[[mpf], mpf]


@dataclass(frozen=True)
class Fit:
    """Approximate `function` on a range by a polynomial whose error counts `weight` times."""

    name: str
    note: str
    function: Function
    weight: Function
    range32: tuple[mpf, mpf]
    range64: tuple[mpf, mpf]
    degrees: tuple[int, int]


def remez(fit: Fit, low: mpf, high: mpf, degree: int) -> list[mpf]:
    """Coefficients, lowest power first, of the weighted minimax polynomial."""
    count = degree + 2
    grid = [
        (low + high) / 2 - (high - low) / 2 * mp.cos(mp.pi * i / (30 * count))
        for i in range(30 * count + 1)
    ]
    values = [(x, fit.function(x), fit.weight(x)) for x in grid]
    points = [values[round((i + 0.5) * 30)] for i in range(count)]
    for _ in range(30):
        # w(x) p(x) + (-1)^i e = w(x) f(x) at each point: linear in the coefficients and in e
        system = mp.matrix(count, count)
        right = mp.matrix(count, 1)
        for i, (x, f, w) in enumerate(points):
            for j in range(degree + 1):
                system[i, j] = w * x**j
            system[i, degree + 1] = (-1) ** i
            right[i] = w * f
        solution = mp.lu_solve(system, right)
        coefficients = [solution[j] for j in range(degree + 1)]
        errors = [w * (mp.polyval(coefficients[::-1], x) - f) for x, f, w in values]
        peaks = _alternating_peaks(errors, count)
        points = [values[i] for i in peaks]
        sizes = [abs(errors[i]) for i in peaks]
        if max(sizes) < min(sizes) * mpf("1.001"):
            break
    return coefficients


def _alternating_peaks(errors: list[mpf], count: int) -> list[int]:
    """Indices of the largest error of each run of one sign; exactly `count` neighbouring runs."""
    peaks = [0]
    for i, error in enumerate(errors):
        if error * errors[peaks[-1]] < 0:
            peaks.append(i)
        elif abs(error) > abs(errors[peaks[-1]]):
            peaks[-1] = i
    while len(peaks) > count:  # drop at the end where the error is smaller
        peaks.pop(0 if abs(errors[peaks[0]]) < abs(errors[peaks[-1]]) else -1)
    if len(peaks) < count:
        raise ArithmeticError(f"{len(peaks)} alternations of {count}")
    return peaks


def rounded_error(fit: Fit, low: mpf, high: mpf, coefficients: list[float]) -> mpf:
    """The largest weighted error of the rounded polynomial in exact arithmetic."""
    xs = [low + (high - low) * i / 500 for i in range(501)]
    powers = [mpf(c) for c in reversed(coefficients)]
    return max(abs(fit.weight(x) * (mp.polyval(powers, x) - fit.function(x))) for x in xs)


def _exp(r: mpf) -> mpf:
    return (mp.expm1(r) - r) / r**2 if abs(r) > NEAR_ZERO else mpf(1) / 2


def _log(w: mpf) -> mpf:
    s = mp.sqrt(w)
    return 2 * (mp.atanh(s) / s - 1) / w if w > NEAR_ZERO else mpf(2) / 3


def _erf(z: mpf) -> mpf:
    s = mp.sqrt(z)
    return mp.erf(s) / s - 1 if z > NEAR_ZERO else 2 / mp.sqrt(mp.pi) - 1


def _of_root(function: Function, z: mpf, first: mpf) -> mpf:
    """(f(s)/s - 1)/z for s = √z, where f(s) = s + first·s³ + ..."""
    s = mp.sqrt(z)
    return (function(s) / s - 1) / z if z > NEAR_ZERO else first


def _cos(z: mpf) -> mpf:
    return (mp.cos(mp.sqrt(z)) - 1 + z / 2) / z**2 if z > mpf("1e-12") else mpf(1) / 24 - z / 720


def _log_far(w: mpf) -> mpf:
    return (_log(w) - mpf(2) / 3) / w if w > mpf("1e-12") else mpf(2) / 5 + w * 2 / 7


EIGHTH = (mp.pi / 4) ** 2 * mpf("1.01")  # reduction by multiples of π/2 of a rounded number of them
HALF_LOG2 = mp.log(2) / 2 * mpf("1.0001")  # a little more: reduction rounds
LOG_END = ((mp.sqrt(2) - 1) / (mp.sqrt(2) + 1)) ** 2 * mpf("1.0001")
ATAN_END = mp.tan(mp.pi / 8) ** 2 * mpf("1.0001")
ASIN_END = mpf("0.2501")
ERF_END32, ERF_END64 = mpf("3.95"), mpf("5.95")  # from here on erf rounds to 1

FITS = [
    Fit(
        "EXP",
        "exp(r) = 1 + r + r² p(r) for |r| ≤ log(2)/2; weighted for expm1, the stricter use",
        _exp,
        lambda r: r * r / abs(mp.expm1(r)) if abs(r) > NEAR_ZERO else NEAR_ZERO,
        (-HALF_LOG2, HALF_LOG2),
        (-HALF_LOG2, HALF_LOG2),
        (4, 10),
    ),
    Fit(
        "LOG",
        "2 atanh(s) = 2s + s w p(w), w = s², s = f/(2 + f), 1 + f in [√½, √2]",
        _log,
        lambda w: w / 2 if w > NEAR_ZERO else NEAR_ZERO,
        (mpf(0), LOG_END),
        (mpf(0), LOG_END),
        (2, 6),
    ),
    Fit(
        "ERF_NEAR",
        "erf(x) = x + x p(x²) for |x| ≤ 1",
        _erf,
        lambda z: 1 / (1 + _erf(z)),
        (mpf(0), mpf(1)),
        (mpf(0), mpf(1)),
        (6, 11),
    ),
    Fit(
        "ERF_FAR",
        "erf(x) = 1 - exp(-p(x)) from 1 to where erf rounds to 1",
        lambda x: -mp.log(mp.erfc(x)),
        lambda x: mp.erfc(x) / mp.erf(x),
        (mpf(1), ERF_END32),
        (mpf(1), ERF_END64),
        (7, 18),
    ),
    Fit(
        "SIN",
        "sin(r) = r + r z p(z), z = r², |r| ≤ π/4",
        lambda z: _of_root(mp.sin, z, mpf(-1) / 6),
        lambda z: z / (1 + z * _of_root(mp.sin, z, mpf(-1) / 6)),
        (mpf(0), EIGHTH),
        (mpf(0), EIGHTH),
        (2, 5),
    ),
    Fit(
        "COS",
        "cos(r) = 1 - z/2 + z² p(z), z = r², |r| ≤ π/4",
        _cos,
        lambda z: z * z / mp.cos(mp.sqrt(z)),
        (mpf(0), EIGHTH),
        (mpf(0), EIGHTH),
        (2, 5),
    ),
    Fit(
        "ATAN",
        "atan(t) = t + t z p(z), z = t², |t| ≤ tan(π/8)",
        lambda z: _of_root(mp.atan, z, mpf(-1) / 3),
        lambda z: z / (1 + z * _of_root(mp.atan, z, mpf(-1) / 3)),
        (mpf(0), ATAN_END),
        (mpf(0), ATAN_END),
        (4, 10),
    ),
    Fit(
        "ASIN",
        "asin(s) = s + s z p(z), z = s², |s| ≤ ½",
        lambda z: _of_root(mp.asin, z, mpf(1) / 6),
        lambda z: z / (1 + z * _of_root(mp.asin, z, mpf(1) / 6)),
        (mpf(0), ASIN_END),
        (mpf(0), ASIN_END),
        (4, 11),
    ),
    Fit(
        "SINH",
        "sinh(x) = x + x z p(z), z = x², |x| ≤ 1",
        lambda z: _of_root(mp.sinh, z, mpf(1) / 6),
        lambda z: z / (1 + z * _of_root(mp.sinh, z, mpf(1) / 6)),
        (mpf(0), mpf(1)),
        (mpf(0), mpf(1)),
        (3, 6),
    ),
    Fit(
        "LOG_FAR",
        "2 atanh(s) = 2s + s w (2/3 + w p(w)), as for LOG; to more digits than the format's",
        _log_far,
        lambda w: w * w / 2,
        (mpf(0), LOG_END),
        (mpf(0), LOG_END),
        (3, 9),
    ),
]

HEADER = '''"""Coefficients of vecmath's polynomials, lowest power first, as (float32, float64).

Written by benchmarks/fit_vecmath.py, which derives them by Remez exchange in 60 digits. Errors are
in units of the format's epsilon, of the polynomial as rounded, relative to the function it serves.
"""

Coefficients = tuple[tuple[float, ...], tuple[float, ...]]
'''


def main() -> None:
    """Print the module of coefficients."""
    print(HEADER)
    for position, fit in enumerate(FITS):
        tables, notes = [], []
        for dtype, (low, high), degree in zip(
            (np.float32, np.float64), (fit.range32, fit.range64), fit.degrees, strict=True
        ):
            exact = remez(fit, low, high, degree)
            rounded = [float(dtype(float(c))) for c in exact]
            error = rounded_error(fit, low, high, rounded) / mpf(float(np.finfo(dtype).eps))
            tables.append("".join(f"        {c!r},\n" for c in rounded))
            notes.append(f"{float(error):.2g}")
        print(f"# {fit.note}\n# errors: {notes[0]}, {notes[1]} epsilon")
        print(
            f"{fit.name}: Coefficients = (\n    (\n{tables[0]}    ),\n    (\n{tables[1]}    ),\n)"
        )
        if position < len(FITS) - 1:
            print()


if __name__ == "__main__":
    main()
