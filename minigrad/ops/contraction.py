"""einsum as products, sums and permutations: derivatives, loops and machine code are theirs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from itertools import compress
from typing import Any

import numpy as np

from minigrad.errors import DTypeError, ShapeError
from minigrad.graph.leaves import as_expr
from minigrad.graph.node import Expr
from minigrad.names import public
from minigrad.ops.arithmetic import multiply
from minigrad.ops.core import astype, explaining, reshape, sum
from minigrad.ops.linalg import diagonal, matmul
from minigrad.ops.shape import permute_dims
from minigrad.types import promote

Labelled = tuple[Expr, str]  # an operand, and a letter for each of its axes


@public
def einsum(spec: str, *operands: Any) -> Expr:
    """Sum of products over named axes, as numpy.einsum ('ij,jk->ik', 'ii', '...i,i').

    >>> a = as_expr([[1.0, 2.0], [3.0, 4.0]])
    >>> einsum("ij,j->i", a, [1.0, 1.0]).eval()
    array([3., 7.])
    """
    if not isinstance(spec, str):
        raise DTypeError(
            f"einsum takes its axes as text first, such as 'ij,jk->ik', not {spec!r:.60}"
        )
    exprs = [as_expr(x) for x in operands]
    with explaining("einsum", spec, *exprs):
        inputs, output = _parse_einsum(spec, exprs)
        dtype = promote(*[x.dtype for x in exprs])
        pairs = [
            _take_diagonals(astype(x, dtype), labels)
            for x, labels in zip(exprs, inputs, strict=True)
        ]
        pairs = _drop_ones(pairs)
        _check_labels(pairs, output)
        return _contracted(pairs, output)


def _parse_einsum(spec: str, operands: Sequence[Expr]) -> tuple[list[str], str]:
    """Explicit labels of inputs and output: '...' spelled out, an implied output made."""
    left, arrow, output = spec.replace(" ", "").partition("->")
    inputs = left.split(",")
    if len(inputs) != len(operands):
        raise ShapeError(f"'{spec}' names {len(inputs)} operands; there are {len(operands)}")
    free = [c for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZ" if c not in spec]
    widths = [x.ndim - len(t) + 3 for t, x in zip(inputs, operands, strict=True) if "..." in t]
    most = max(widths, default=0)
    if min(widths, default=0) < 0:
        raise ShapeError(f"'{spec}' names more axes than an operand has")
    inputs = [
        t.replace("...", "".join(free[most - (x.ndim - len(t) + 3) : most]))
        for t, x in zip(inputs, operands, strict=True)
    ]
    if arrow:
        output = output.replace("...", "".join(free[:most]))
    else:
        counts = Counter("".join(inputs))
        named = sorted(c for c, n in counts.items() if n == 1 and c not in free[:most])
        output = "".join(free[:most]) + "".join(named)
    if not _are_letters("".join(inputs) + output):
        raise ShapeError(f"'{spec}' has more than letters, ',', '->' and '...'")
    for labels, x in zip(inputs, operands, strict=True):
        if len(labels) != x.ndim:
            raise ShapeError(f"'{labels}' does not name the {x.ndim} axes of its operand")
    return inputs, output


def _take_diagonals(x: Expr, labels: str) -> tuple[Expr, str]:
    """Read the diagonal of every label that an operand has twice."""
    for label in set(labels):
        while labels.count(label) > 1:
            first = labels.index(label)
            second = labels.index(label, first + 1)
            x = diagonal(x, axis1=first, axis2=second)
            rest = labels[:first] + labels[first + 1 : second] + labels[second + 1 :]
            labels = rest + label
    return x, labels


def _drop_ones(pairs: list[tuple[Expr, str]]) -> list[tuple[Expr, str]]:
    """Without the axes of length 1 along which an operand is broadcast to the others."""
    longest: dict[str, int] = {}
    for x, labels in pairs:
        for label, n in zip(labels, x.shape, strict=True):
            longest[label] = n if longest.get(label, 1) == 1 else longest[label]
    pairs_left = []
    for x, labels in pairs:
        stays = [n == longest[label] or n != 1 for label, n in zip(labels, x.shape, strict=True)]
        pairs_left.append((reshape(x, compress(x.shape, stays)), "".join(compress(labels, stays))))
    return pairs_left


def _are_letters(labels: str) -> bool:
    return labels == "" or (labels.isascii() and labels.isalpha())


def _check_labels(pairs: Sequence[Labelled], output: str) -> None:
    sizes: dict[str, int] = {}
    for x, labels in pairs:
        for label, n in zip(labels, x.shape, strict=True):
            if sizes.setdefault(label, n) != n:
                raise ShapeError(f"einsum label '{label}' is both {sizes[label]} and {n} long")
    if len(set(output)) != len(output) or not set(output) <= set(sizes):
        raise ShapeError(f"einsum output '{output}' must name each of its labels once")


# --- two operands at a time --------------------------------------------------------------------


def _contracted(pairs: list[Labelled], output: str) -> Expr:
    for step in _steps(pairs, output):
        a, b = (pairs[k] for k in step)
        pairs = [pair for k, pair in enumerate(pairs) if k not in step]
        pairs.append(_product(a, b, {*output}.union(*(labels for _, labels in pairs))))
    x, labels = _summed(pairs[0], output)
    return permute_dims(x, [labels.index(label) for label in output])


def _steps(pairs: Sequence[Labelled], output: str) -> list[tuple[int, ...]]:
    """Which operands to multiply, step by step, in the order that costs least."""
    if len(pairs) < 3:
        return [(0, 1)] if len(pairs) == 2 else []
    spec = ",".join(labels for _, labels in pairs) + "->" + output
    stand_ins = [np.broadcast_to(np.float64(0), x.shape) for x, _ in pairs]
    return np.einsum_path(spec, *stand_ins, optimize=("greedy", 1 << 62))[0][1:]


def _product(a: Labelled, b: Labelled, others: Collection[str]) -> Labelled:
    """The product of two operands, summed over the labels that they share and nobody else needs."""
    x, left = _summed(a, {*b[1], *others})
    y, right = _summed(b, {*a[1], *others})
    both = [label for label in left if label in right]
    stack, inner = ([c for c in both if (c in others) is stays] for stays in (True, False))
    rows, columns = ([c for c in own if c not in both] for own in (left, right))
    size = dict(zip(left + right, x.shape + y.shape, strict=True))

    def laid_out(z: Expr, labels: str, *groups: list[str]) -> Expr:
        """Axes in the order of the groups; those of each but the first merged into one."""
        ordered = permute_dims(z, [labels.index(c) for group in groups for c in group])
        merged = [int(np.prod([size[c] for c in group])) for group in groups[1:]]
        return reshape(ordered, [*(size[c] for c in groups[0]), *merged])

    if inner:
        flat = matmul(
            laid_out(x, left, stack, rows, inner), laid_out(y, right, stack, inner, columns)
        )
    else:
        flat = multiply(laid_out(x, left, stack, rows, []), laid_out(y, right, stack, [], columns))
    names = [*stack, *rows, *columns]
    return reshape(flat, [size[c] for c in names]), "".join(names)


def _summed(pair: Labelled, needed: Collection[str]) -> Labelled:
    """An operand without the labels that nobody needs."""
    x, labels = pair
    axes = [k for k, label in enumerate(labels) if label not in needed]
    if not axes:
        return pair
    # A sum of small integers is of a wider dtype; a product of them is not.
    return astype(sum(x, axes), x.dtype), "".join(c for c in labels if c in needed)
