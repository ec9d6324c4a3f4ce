"""What a graph is estimated to cost on NumPy and as machine code: by this `auto` chooses.

Estimates read the graph alone, so that which backend a function gets, and with it its last bits,
depends on nothing that a machine does else. They count seconds of one thread of a 2.5 GHz Xeon with
AVX-512; a slower machine is slower at both. `benchmarks/general.py` shows what they come to.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from itertools import accumulate

from minigrad.graph.node import Expr
from minigrad.ops.core import SUM
from minigrad.ops.linalg import MATMUL
from minigrad.ops.reduce import MAX, MIN
from minigrad.types import FLOAT32, TensorType

CALLS = 2_000
"""Calls over which compiling must pay: a short training. A test makes one, a long training 10⁵."""

# NumPy's elementwise functions: ns an element of float64 and of float32, from arrays of 1,000, and
# µs a call; those that minigrad makes of several calls take more of these. All other ops are
# ARITHMETIC.
FUNCTIONS = {
    "acos": (6.4, 9.6, 1), "acosh": (7.3, 8.5, 1), "asin": (9.2, 8.2, 1), "asinh": (23, 23, 1),
    "atan": (9.1, 6.2, 1), "atan2": (19, 24, 1), "atanh": (20, 23, 1), "cbrt": (15, 20, 1),
    "cos": (12, 2.5, 1), "cosh": (13, 14, 1), "erf": (147, 138, 4), "exp": (5.3, 1.4, 1),
    "exp2": (5.3, 1.4, 1), "expm1": (6.3, 7.4, 1), "hypot": (15, 7.5, 1), "log": (7.1, 2.5, 1),
    "floor_divide": (14, 12, 7), "fmod": (9.5, 11, 1), "hypot_slope": (20, 13, 9),
    "logaddexp": (29, 28, 1), "nextafter": (8.9, 5, 1), "remainder": (12, 8, 1),
    "log10": (14, 10, 1), "log1p": (13, 14, 1), "log2": (7.4, 5.5, 1), "pow": (22, 10, 1),
    "sigmoid": (13, 5.3, 8), "sigmoid_slope": (8, 2, 10), "sin": (11, 2.6, 1),
    "sinh": (23, 23, 1), "softplus": (28, 28, 2.6), "tan": (16, 15, 1), "tanh": (16, 3.3, 1),
    "tanh_slope": (8, 2, 10),
}  # fmt: skip
ARITHMETIC = 0.45, 0.25, 1.0
"""The same of a sum or a product: .41 to .48 ns of float64."""
STEP = 0.4
"""µs that a plan takes to hand a step its operands."""
CACHE, FAR = 1 << 20, 0.05
"""Bytes of an array from which NumPy's op waits for memory, and ns a byte that it then takes: 1.7
for a sum of 10⁶ float64 where one of 1,000 takes .48 an element."""

BLOCK, PRODUCT = 6e-6, 3e-6
"""Seconds of a call of a block, and of a matrix product in it besides what it multiplies. On an AMD
EPYC a function that is one block of its inputs takes 3 µs, one that reads params too 11, and one of
12 of NumPy's sums and products 18."""
FUSED, FUNCTION = 0.06, 0.3
"""ns of machine code: of an element's sum or product, and of a function per byte of the element.
20 ops on 10⁵ take .13 each with memory; 40 functions of Black–Scholes' and its gradient 47 in all.
"""
STREAM = 0.1
"""ns a byte that goes in or out of a block: 20 ops on 10⁶ take 1.8 an element."""

START = 0.011
"""Seconds that the code of a block takes to make, quickly, of next to nothing: 13 ms of 10 ops."""
OP_CODE, FUNCTION_CODE, TOO_MUCH = 0.1, 1.2, 50
"""ms more for a sum or product, and for a function; and ms that take twice as long together, since
LLVM takes more than twice as long for twice as much: 56 ms for 20 functions, 690 for 125."""
SUMS_CODE, PRODUCT_CODE = 3.0, 13.0
"""ms more for a reduction, 35 for 7 of them; and for a matrix product, 133 for an MLP's eight."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """Seconds: of a call on NumPy and as machine code, and of making that."""

    numpy: float
    native: float
    compile: float

    @property
    def pays(self) -> bool:
        """Whether machine code is the faster one over so many calls, its making included."""
        return self.compile + CALLS * self.native < CALLS * self.numpy

    def __str__(self) -> str:
        return (
            f"{_shown(self.numpy)} a call by estimate; machine code {_shown(self.native)}, and "
            f"{_shown(self.compile)} to compile, over {CALLS:,} calls"
        )


def _shown(seconds: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e6:.3g} µs"


def could_pay(nodes: Iterable[Expr]) -> bool:
    """Whether machine code of computed nodes would pay if it did all in no time.

    Most graphs are too small; of a large one a few nodes tell, where a whole estimate takes as long
    as building it.
    """
    seconds = accumulate(map(numpy_seconds, nodes))
    return any(CALLS * numpy > START + CALLS * BLOCK for numpy in seconds)


def estimate(nodes: Collection[Expr]) -> Estimate:
    """Of computed nodes, as NumPy's steps and as one block."""
    inside = set(nodes)
    read = dict.fromkeys(a for n in nodes for a in n.args)
    streams = [a for a in read if a not in inside]
    streams += [n for n in nodes if n not in read]
    native = BLOCK + STREAM * 1e-9 * sum(map(_bytes, streams))
    return Estimate(
        sum(map(numpy_seconds, nodes)),
        native + sum(map(_fused_seconds, nodes)),
        _compile_seconds(nodes),
    )


def numpy_seconds(node: Expr) -> float:
    """Of a step of NumPy's. What a product multiplies is left out, as both take the same for it."""
    double, single, call = FUNCTIONS.get(node.op.name, ARITHMETIC)
    if node.op is MATMUL:
        return (STEP + call) * 1e-6
    size = max([_size(node), *map(_size, node.args)])
    element = single if node.dtype == FLOAT32 else double
    far = sum([b for x in (node, *node.args) if (b := _bytes(x)) > CACHE])
    return (STEP + call) * 1e-6 + (size * element + FAR * far) * 1e-9


def _fused_seconds(node: Expr) -> float:
    if node.op is MATMUL:
        return PRODUCT
    size = max([_size(node), *map(_size, node.args)])
    return size * 1e-9 * (FUNCTION * node.dtype.itemsize if node.op.name in FUNCTIONS else FUSED)


def _compile_seconds(nodes: Collection[Expr]) -> float:
    elementwise = apart = 0.0
    for node in nodes:
        if node.op.name in FUNCTIONS:
            elementwise += FUNCTION_CODE
        elif node.op is MATMUL:
            apart += PRODUCT_CODE
        elif node.op in (SUM, MAX, MIN):
            apart += SUMS_CODE
        else:
            elementwise += OP_CODE
    return START + (elementwise * (1 + elementwise / TOO_MUCH) + apart) * 1e-3


def _size(node: Expr) -> int:
    return node.size if isinstance(node.type, TensorType) else 0


def _bytes(node: Expr) -> int:
    return _size(node) * node.dtype.itemsize if _size(node) else 0
