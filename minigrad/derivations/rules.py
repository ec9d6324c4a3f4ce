"""What the rules of derivatives are called, and what a textbook writes in the place of an op.

All of it is read from the op's record; nothing here knows an op by its name.
"""

from __future__ import annotations

from dataclasses import dataclass

from minigrad.derivatives.sweep import partial_of
from minigrad.graph.leaves import placeholder
from minigrad.graph.node import Expr, make, rebuild
from minigrad.graph.walk import walk
from minigrad.ops.core import RESHAPE
from minigrad.text import formula
from minigrad.types import FLOAT64, TensorType

_SCALAR = TensorType((), FLOAT64)
_U = placeholder("u", _SCALAR)


class Paper:
    """Expressions in the ops that a textbook writes: 1 - tanh(x) ^ 2, where one op computes it.

    What was written once is remembered: each coefficient of a derivation is a little more than one
    before it.

    >>> import minigrad as mg
    >>> x = mg.var("x")
    >>> str(Paper()(mg.grad(mg.tanh(x), x)))
    '1 - tanh(x) ^ 2'
    """

    def __init__(self) -> None:
        self._new: dict[Expr, Expr] = {}

    def __call__(self, y: Expr) -> Expr:
        new = self._new
        for node, reads in walk([y], lambda n: () if n in new else n.args).items():
            if node not in new:
                args = tuple([new[a] for a in reads])
                new[node] = rebuild(node, args) if node.op.paper is None else node.op.paper(*args)
        return new[y]


def bare(node: Expr) -> Expr:
    """A vector without the axes of length 1 that it was given, as for a product of matrices."""
    while node.op is RESHAPE and _is_vector(node) and _is_vector(node.args[0]):
        node = node.args[0]
    return node


def _is_vector(node: Expr) -> bool:
    return node.size == max(node.shape, default=1)


@dataclass(frozen=True, eq=False, slots=True)
class RuleName:
    """A rule in words, and of the chain rule the derivative that it takes.

    of: the op, of u; slope: its derivative.
    """

    words: str
    of: Expr | None = None
    slope: Expr | None = None

    def text(self) -> str:
        """In a line of text."""
        if self.slope is None or self.of is None:
            return self.words
        return f"{self.words}: {self.of.op.name}′(u) = {formula(self.slope)[0]}"

    def parts(self) -> tuple[str, str]:
        """The words, and LaTeX of the formula after them; '' where there is none."""
        if self.slope is None or self.of is None:
            return self.words, ""
        of, slope = (formula(y, latex=True)[0] for y in (self.of, self.slope))
        return f"{self.words}: ", rf"\frac{{d}}{{du}} {of} = {slope}"


def rule_of(node: Expr) -> RuleName:
    """The rule by which a node's derivative is taken.

    >>> import minigrad as mg
    >>> x = mg.var("x")
    >>> [rule_of(y).text() for y in (x * x, mg.tanh(x), mg.softmax(mg.stack([x, x])))]
    ['product rule', 'chain rule: tanh′(u) = 1 - tanh(u) ^ 2', 'chain rule: softmax']
    """
    op = node.op
    if op.rule:
        return RuleName(op.rule)
    if op.pointwise and op.partials is not None and len(node.args) == 1:
        of = make(op, (_U,), node.attrs)
        partial = partial_of(of, 0)
        if isinstance(partial, Expr):
            return RuleName("chain rule", of, Paper()(partial))
    return RuleName(f"chain rule: {op.name}")
