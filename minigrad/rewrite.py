"""Rewriting: rules as patterns in the language's own operators, and the driver that applies them.

The rules themselves stand in simplify.py. The driver rewrites arguments before users, each node
until no rule fits, and stops with an error when rules chase each other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from inspect import signature
from typing import Any, TypeAlias

from minigrad.errors import GraphError
from minigrad.graph import CONST, VAR, Expr, Op, fresh_var, gc_paused, keep_label, origins, rebuild, toposort
from minigrad.ops.core import uniform_value
from minigrad.types import FLOAT64, TensorType

Binding: TypeAlias = dict[Expr, Expr]
Apply: TypeAlias = Callable[[Expr], "Expr | None"]

_COMMUTATIVE = frozenset({"add", "multiply", "maximum", "minimum", "logaddexp", "hypot"})


@dataclass(frozen=True, slots=True)
class Rule:
    """One rewrite: `apply` gives what takes the place of a node, or None where it does not fit.

    exact: the result is the same for every input, infinities and NaN included (the sign of a zero
    aside). Otherwise it is the same in real arithmetic, and as accurate or more so in floats.
    """

    name: str
    root: Op | None
    """The op of the nodes it may fit; None for any."""
    apply: Apply
    exact: bool
    needs: Op | None = None
    """An op of which the node must have an argument: a quick test before `apply`."""
    needs_number: bool = False
    """Whether one argument must be a constant of equal elements."""


class RewriteLoopError(GraphError):
    """Rules that undo each other, or that make ever larger expressions."""


# --- patterns ----------------------------------------------------------------------------------


def rule(
    name: str,
    pattern: Callable[..., Expr],
    replacement: Callable[..., Any],
    *,
    exact: bool = False,
    when: Callable[..., bool] | None = None,
) -> Rule:
    """A rule from two functions of the same wildcards: what to find, and what to put there.

    A wildcard fits any expression, the same one wherever it stands; a number fits a constant all
    of whose elements equal it; operands of commutative ops fit in either order. `when` is a further
    condition on what the wildcards stand for.

    >>> from minigrad.graph import var
    >>> from minigrad.ops.pointwise import log, exp
    >>> r = rule("log of exp", lambda a: log(exp(a)), lambda a: a)
    >>> x = var("x")
    >>> r.apply(log(exp(x))) is x, r.apply(exp(x)) is None
    (True, True)
    """
    scalar = TensorType((), FLOAT64)
    wildcards = [fresh_var(n, scalar) for n in signature(pattern).parameters]
    shape = pattern(*wildcards)

    def apply(node: Expr) -> Expr | None:
        for binding in _match(shape, node, {}):
            found = [binding[w] for w in wildcards]
            if when is None or when(*found):
                result = replacement(*found)
                return result if isinstance(result, Expr) else None
        return None

    needs = next((a.op for a in shape.args if a.op not in (VAR, CONST)), None)
    number = any(a.op is CONST for a in shape.args)
    return Rule(name, shape.op, apply, exact, needs, number)


def _match(pattern: Expr, node: Expr, bound: Binding) -> Iterator[Binding]:
    """All ways in which a node fits a pattern. Recursion is over the pattern, a few levels deep."""
    if pattern.op is VAR:
        if pattern not in bound:
            yield {**bound, pattern: node}
        elif bound[pattern] is node:
            yield bound
    elif pattern.op is CONST:
        if (value := uniform_value(node)) is not None and value == uniform_value(pattern):
            yield bound
    elif node.op is pattern.op:
        yield from _match_args(pattern.args, node.args, bound)
        if node.op.name in _COMMUTATIVE:
            yield from _match_args(pattern.args, node.args[::-1], bound)


def _match_args(
    patterns: Sequence[Expr], nodes: Sequence[Expr], bound: Binding
) -> Iterator[Binding]:
    if not patterns:
        yield bound
        return
    for partial in _match(patterns[0], nodes[0], bound):
        yield from _match_args(patterns[1:], nodes[1:], partial)


# --- the driver --------------------------------------------------------------------------------


class Rewriter:
    """A table of rules, indexed by the op of their root."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self.rules = tuple(rules)
        self._by_op: dict[Op, list[Rule]] = {}
        self._any = [r for r in self.rules if r.root is None]

    def _rules_for(self, op: Op) -> list[Rule]:
        found = self._by_op.get(op)
        if found is None:
            found = [r for r in self.rules if r.root is op] + self._any
            self._by_op[op] = found
        return found

    def _once(self, node: Expr) -> tuple[Expr, Rule] | None:
        number: bool | None = None
        for r in self._rules_for(node.op):
            if r.needs is not None and not any(a.op is r.needs for a in node.args):
                continue
            if r.needs_number:
                if number is None:
                    number = any(uniform_value(a) is not None for a in node.args)
                if not number:
                    continue
            new = r.apply(node)
            if new is not None and new is not node:
                if new.type is not node.type:
                    raise GraphError(
                        f"rule {r.name!r} turned {node!r} into {new!r}: the type must stay"
                    )
                return new, r
        return None

    def __call__(self, outputs: Sequence[Expr]) -> list[Expr]:
        """The outputs with every rule applied until none fits. Raises RewriteLoopError."""
        state = _Progress()
        done = state.done
        with origins() as mark, gc_paused():
            for node in toposort(outputs):
                new = rebuild(node, tuple([done[a] for a in node.args])) if node.args else node
                if new not in done:
                    if self._rules_for(new.op):
                        mark(new)
                        self._settle(new, state, mark)
                    else:
                        done[new] = new
                done[node] = keep_label(node, done[new])
        return [done[e] for e in outputs]

    def _settle(self, root: Expr, state: _Progress, mark: Callable[[Expr], None]) -> None:
        """Rewrite one node whose arguments are done, and all that its rewriting makes."""
        done, becomes = state.done, state.becomes
        stack = [root]
        while stack:
            node = stack[-1]
            if node in done:
                stack.pop()
            elif node in becomes:
                end = done.get(becomes[node])
                if end is None:
                    stack.append(becomes[node])
                else:
                    done[node] = keep_label(node, end)
            elif waiting := [a for a in node.args if a not in done]:
                stack.extend(reversed(waiting))
            else:
                new = rebuild(node, tuple([done[a] for a in node.args]))
                if new in done:
                    done[node] = done[new]
                    continue
                step = self._once(new)
                if step is None:
                    done[new] = done[node] = new
                else:
                    state.note(node, *step)


class _Progress:
    """What one run of the driver has found out."""

    def __init__(self) -> None:
        self.done: dict[Expr, Expr] = {}
        self.becomes: dict[Expr, Expr] = {}  # rewritten once, the result not finished yet
        self.fired: list[str] = []

    def note(self, node: Expr, new: Expr, fired: Rule) -> None:
        """Remember a rewrite; raise RewriteLoopError when there are too many, or they go round."""
        self.becomes[node] = new
        self.fired.append(fired.name)
        if len(self.fired) > 1000 + 20 * len(self.done) or _is_loop(self.becomes, node):
            last = ", ".join(repr(name) for name in self.fired[-4:])
            raise RewriteLoopError(f"rewriting does not end; the last rules to fire were {last}")


def _is_loop(becomes: dict[Expr, Expr], start: Expr) -> bool:
    node = becomes[start]
    for _ in range(100):
        if node is start:
            return True
        if node not in becomes:
            return False
        node = becomes[node]
    return True
