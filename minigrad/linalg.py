"""The array API's namespace for linear algebra. The same functions stand in minigrad itself."""

from minigrad.ops.factor import eigh, eigvalsh, matrix_norm, matrix_rank, pinv, qr, svd, svdvals
from minigrad.ops.linalg import (
    cross,
    diagonal,
    matmul,
    outer,
    tensordot,
    trace,
    vecdot,
    vector_norm,
)
from minigrad.ops.matrix_functions import cholesky, det, inv, matrix_power, slogdet, solve
from minigrad.ops.shape import matrix_transpose

__all__ = [
    "cholesky",
    "cross",
    "det",
    "diagonal",
    "eigh",
    "eigvalsh",
    "inv",
    "matmul",
    "matrix_norm",
    "matrix_power",
    "matrix_rank",
    "matrix_transpose",
    "outer",
    "pinv",
    "qr",
    "slogdet",
    "solve",
    "svd",
    "svdvals",
    "tensordot",
    "trace",
    "vecdot",
    "vector_norm",
]
