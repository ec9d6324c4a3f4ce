"""Numbers as unevaluated sums of two, head and tail: twice the format's precision.

The sums and products are exact where nothing overflows (Knuth, The Art of Computer Programming 2,
4.2.2; Dekker, Numer. Math. 18, 1971), the product by a fused multiply-add.
"""

from __future__ import annotations

from fractions import Fraction

from minigrad.compile.backends.native.lanes import Lanes, Value

Pair = tuple[Value, Value]


def parts_of(lanes: Lanes, number: Fraction, count: int) -> list[Value]:
    """A number as a sum of constants, each the rest rounded to the format."""
    parts = []
    for _ in range(count):
        parts.append(lanes.rounded(float(number)))
        number -= Fraction(parts[-1])
    return [lanes.const(part) for part in parts]


def two_sum(lanes: Lanes, a: Value, b: Value) -> Pair:
    """a + b, exactly."""
    head = lanes.add(a, b)
    of_b = lanes.sub(head, a)
    of_a = lanes.sub(head, of_b)
    return head, lanes.add(lanes.sub(a, of_a), lanes.sub(b, of_b))


def fast_sum(lanes: Lanes, a: Value, b: Value) -> Pair:
    """a + b, exactly, where |a| ≥ |b| or a is 0."""
    head = lanes.add(a, b)
    return head, lanes.sub(b, lanes.sub(head, a))


def product(lanes: Lanes, a: Value, b: Value) -> Pair:
    """a·b, exactly, where nothing underflows."""
    head = lanes.mul(a, b)
    return head, lanes.fma(a, b, lanes.neg(head))


def quotient(lanes: Lanes, numerator: Pair, denominator: Pair) -> Pair:
    """Their quotient, its head not rounded to nearest yet."""
    (n, n_tail), (d, d_tail) = numerator, denominator
    inverse = lanes.div(lanes.const(1.0), d)
    head = lanes.mul(n, inverse)
    rest = lanes.add(lanes.fma(lanes.neg(head), d, n), n_tail)
    rest = lanes.fma(lanes.neg(head), d_tail, rest)
    return head, lanes.mul(rest, inverse)


def root(lanes: Lanes, x: Pair) -> Pair:
    """The square root of a number that is not negative."""
    zero = lanes.const(0.0)
    head = lanes.root(x[0])
    rest = lanes.add(lanes.fma(lanes.neg(head), head, x[0]), x[1])
    tail = lanes.div(rest, lanes.add(head, head))
    return head, lanes.select(lanes.equal(head, zero), zero, tail)
