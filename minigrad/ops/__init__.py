"""The operations: one record each, grouped by kind. Importing the package registers them all."""

from minigrad.ops import (
    activations,
    arithmetic,
    choice,
    comparisons,
    core,
    custom,
    exponentials,
    index,
    indexing,
    linalg,
    reduce,
    shape,
    trigonometry,
    tuples,
)

__all__ = [
    "activations",
    "arithmetic",
    "choice",
    "comparisons",
    "core",
    "custom",
    "exponentials",
    "index",
    "indexing",
    "linalg",
    "reduce",
    "shape",
    "trigonometry",
    "tuples",
]
