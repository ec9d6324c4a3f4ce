"""What parameters of layers start from: their rank decides, and what a layer says, no name."""

from __future__ import annotations

import numpy as np
import pytest

from lstm.layers import AdditiveAttention
from lstm.params import drawn


def test_matrices_are_drawn_and_what_is_added_starts_at_zero():
    shapes = {"bias": (3,), "b_W": (4, 3), "scale": (), "none": (0, 3), "V": (9, 2, 3)}
    made = drawn(np.random.default_rng(0), shapes, "float32")
    assert {name: value.shape for name, value in made.items()} == shapes
    assert {value.dtype for value in made.values()} == {np.dtype("float32")}
    assert not made["bias"].any() and not made["scale"].any()
    assert made["b_W"].all() and abs(made["b_W"]).max() <= 1 / 2
    assert made["V"].all() and abs(made["V"]).max() <= 1 / 3


def test_a_vector_that_multiplies_is_drawn_where_a_layer_says_so():
    made = AdditiveAttention(3, 4).init(np.random.default_rng(0))
    assert made["v_a"].all() and abs(made["v_a"]).max() <= 1 / 2
    rng = np.random.default_rng(0)  # in the order of the shapes
    for name, (rows, *columns) in AdditiveAttention(3, 4).shapes().items():
        expected = rng.uniform(-(rows**-0.5), rows**-0.5, (rows, *columns)).astype("float32")
        np.testing.assert_array_equal(made[name], expected)


@pytest.mark.parametrize("place", ["a", "layer1.a"])
def test_names_are_dotted(place):
    shapes = {"a": (2,)} if place == "a" else {"layer1": {"a": (2,)}}
    made = drawn(np.random.default_rng(0), shapes, "float64", maps=[place])
    assert (made["a"] if place == "a" else made["layer1"]["a"]).all()
