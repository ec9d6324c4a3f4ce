"""Whether boxes cover a tensor: against flags for every element, and where those are too many."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

import minigrad as mg
from minigrad.rewrite.boxes import cover

LARGE = 20_000


@st.composite
def partitions(draw: st.DrawFn) -> tuple[tuple[int, ...], list[list[range]]]:
    """A shape and boxes that halve it again and again, at times by turns, some of them left out."""
    shape = tuple(draw(st.lists(st.integers(0, 7), max_size=3)))
    boxes = [[range(n) for n in shape]]
    for _ in range(draw(st.integers(0, 5)) if shape else 0):
        box = boxes.pop(draw(st.integers(0, len(boxes) - 1)))
        k = draw(st.integers(0, len(shape) - 1))
        at = draw(st.integers(0, len(box[k])))
        pieces = [box[k][::2], box[k][1::2]] if at % 3 == 0 else [box[k][:at], box[k][at:][::-1]]
        boxes += [[*box[:k], piece, *box[k + 1 :]] for piece in pieces]
    left_out = draw(st.integers(-3, len(boxes) - 1))
    if left_out >= 0:
        del boxes[left_out]
    boxes += [[r[: draw(st.integers(0, 7))] for r in box] for box in boxes[:2]]  # overlaps
    return shape, boxes


@given(partitions())
def test_boxes_cover_a_tensor_where_every_element_is_in_one(case):
    shape, boxes = case
    covered = np.zeros(shape, np.bool_)
    for box in boxes:
        covered[np.ix_(*[np.array(r, np.intp) for r in box])] = True
    assert cover(shape, boxes) is bool(covered.all())


def test_boxes_of_huge_tensors_are_told_by_their_ends():
    n = 10**9
    halves = [[range(n), range(n // 2)], [range(n), range(n // 2, n)]]
    assert cover((n, n), halves)
    assert not cover((n, n), [halves[0], [range(n), range(n // 2 + 1, n)], *halves[:1]])
    assert not cover((n, n), [halves[0], [range(n - 1), range(n // 2, n)], *halves[:1]])
    # Twice the same half, nothing at the end: as many elements as the whole has.
    assert not cover((n, n), [halves[0], halves[0]])
    # What would take a flag an element is not told: then masks are many, and right.
    assert not cover((n,), [[range(0, n, 2)], [range(1, n, 2)]])


@pytest.mark.parametrize("axis", [0, 1])
def test_second_gradients_of_large_concatenations_are_built_in_little_memory(axis):
    x = mg.var("x", (LARGE, LARGE))
    half = LARGE // 2
    first_half, second_half = (x[:half], x[half:]) if axis == 0 else (x[:, :half], x[:, half:])
    z = mg.concat([first_half**2, second_half**3], axis)
    tracemalloc.start()
    first = mg.grad(mg.sum(z * z), x)
    second = mg.grad(mg.sum(first * first * x), x)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert second.shape == x.shape
    assert peak < 10e6


@pytest.mark.parametrize(
    "read",
    [
        lambda x: mg.concat([x[:3] ** 2, x[3:] ** 3], 0),
        lambda x: mg.concat([x[::2] ** 2, x[1::2] ** 3], 0),
        lambda x: mg.concat([x[:5] ** 2, x[2:] ** 3], 0),
        lambda x: mg.concat([x[:, :1] ** 2, x[:, 2:] ** 3], 1),
    ],
)
def test_second_gradients_of_slices_side_by_side_are_what_they_are_as_written(read, rng):
    x = mg.var("x", (7, 3))
    first = mg.grad(mg.sum(read(x)), x)
    second = mg.grad(mg.sum(first * first * x), x)
    at = rng.uniform(0.5, 2, x.shape)
    by_rules, as_written = [
        mg.function([x], mg.simplify(second) if s else second, simplify=s)(at)
        for s in (True, False)
    ]
    assert_allclose(by_rules, as_written, rtol=1e-12)
