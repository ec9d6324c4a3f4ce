"""The operations: one record each, grouped by kind. Importing the package registers them all."""

from minigrad.ops import core, custom, index, linalg, pointwise, reduce, shape, tuples

__all__ = ["core", "custom", "index", "linalg", "pointwise", "reduce", "shape", "tuples"]
