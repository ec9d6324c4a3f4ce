"""What a matrix product is, and how its B is cut into panels."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from minigrad.compile.backends.native.jit import Cpu


@dataclass(frozen=True)
class Matmul:
    """C (m×n) = A (m×k) @ B (k×n), all row-major with row strides lda, ldb, ldc in elements.

    A stride of 0 means dense. With transpose_a the array given for A holds its transpose, k×m (and
    lda is the stride of that array's rows); transpose_b likewise, n×k. With accumulate the product
    is added to C. With packed, B is what `emit_pack` made of it.
    """

    m: int
    k: int
    n: int
    dtype: str = "float32"
    lda: int = 0
    ldb: int = 0
    ldc: int = 0
    transpose_a: bool = False
    transpose_b: bool = False
    accumulate: bool = False
    packed: bool = False

    def __post_init__(self) -> None:
        if min(self.m, self.k, self.n) < 1:
            raise ValueError(f"matmul sizes must be at least 1, got {self.m}, {self.k}, {self.n}")
        if self.dtype not in ("float32", "float64"):
            raise TypeError(f"matmul is of float32 or float64, not {self.dtype}")
        if self.transpose_b and not self.packed:
            raise ValueError("a transposed B must be packed: emit_pack, then Matmul(packed=True)")

    @property
    def stride_a(self) -> int:
        return self.lda or (self.m if self.transpose_a else self.k)

    @property
    def stride_b(self) -> int:
        return self.ldb or (self.k if self.transpose_b else self.n)

    @property
    def stride_c(self) -> int:
        return self.ldc or self.n


@dataclass(frozen=True)
class Panels:
    """`count` neighbouring panels of B from `column`, each `width` columns in so many vectors."""

    column: int
    count: int
    width: int
    vectors: int
    lanes: int

    @property
    def padded(self) -> int:
        """Columns of the packed form."""
        return self.vectors * self.lanes


def panels(product: Matmul, cpu: Cpu) -> list[Panels]:
    """How B's columns are cut: full panels, and at most one narrower."""
    lanes = cpu.lanes(product.dtype)
    while lanes // 2 >= product.n:  # a vector no wider than the matrix needs
        lanes //= 2
    # six rows of four vectors leave 8 of 32 registers for operands; six of two leave 4 of 16
    vectors = 4 if cpu.vector_registers >= 32 else 2
    width = vectors * lanes
    count, rest = divmod(product.n, width)
    result = [Panels(0, count, width, vectors, lanes)] if count else []
    if rest:
        result.append(Panels(count * width, 1, rest, ceil(rest / lanes), lanes))
    return result
