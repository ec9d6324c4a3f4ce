"""The operations: one record each, grouped by kind. Importing the package registers them all."""

from minigrad.ops import (
    activations,
    arithmetic,
    choice,
    comparisons,
    core,
    custom,
    exponential_sums,
    exponentials,
    index,
    index_syntax,
    linalg,
    matrix_functions,
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
    "exponential_sums",
    "exponentials",
    "index",
    "index_syntax",
    "linalg",
    "matrix_functions",
    "reduce",
    "shape",
    "trigonometry",
    "tuples",
]
