"""Steps found in an unrolled graph: which nodes make up each, and which steps are the same graph.

Nothing is guessed from names. A chain is a class of nodes of one form of which each depends on the
one before; a step is what the next of them needs, and the one before does not.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from minigrad.drawing.outline import Line, Outline, Vertex
from minigrad.graph.leaves import CONST
from minigrad.graph.node import Expr
from minigrad.ops.index import GETITEM

LEAST = 9
"""Steps that are told: up to eight are drawn op by op."""
SINGLE = 30
"""Steps that have a shape each; of more, equal ones share one."""
_FEWEST_OPS = 4
"""Of a step that is told though it is like no other: what has fewer is as clear op by op."""
_DEPTH = 3  # ops towards the leaves that the form of a node counts
_TRIED = 24  # classes, the largest first


@dataclass(frozen=True, eq=False, slots=True)
class Chain:
    """Steps 1 … count of an unrolled graph.

    steps: the nodes of each, in order; step_of: the step of each node; role: equal for nodes that
        are the same part of their steps; forms: for each step, equal for steps of the same graph;
        feeds: for each, equal where the same parts of steps before are what it reads of them.
    """

    steps: Sequence[Sequence[Vertex]]
    step_of: Mapping[Vertex, int]
    role: Mapping[Vertex, int]
    forms: Sequence[int]
    feeds: Sequence[Hashable]

    @property
    def count(self) -> int:
        """The number of steps."""
        return len(self.steps)

    def is_same(self, first: int, other: int) -> bool:
        """Whether two later steps are the same graph, of the same parts of steps before, as one."""
        same = self.forms[first - 1] == self.forms[other - 1]
        return same and self.feeds[first] == self.feeds[other - 1]


def chain_of(drawn: Outline) -> Chain | None:
    """The steps of a graph that are worth telling; None where there are none, or few.

    More than eight, of some ops each; or more than can have a shape each, of which most are equal.
    """
    chain = _Search(drawn).chain()
    if chain is None or median(map(len, chain.steps)) >= _FEWEST_OPS:
        return chain
    if chain.count <= SINGLE:
        return None
    pairs = [chain.is_same(t, t + 1) for t in range(2, chain.count - 1)]
    return chain if 2 * sum(pairs) > len(pairs) else None


class _Numbers:
    """A small number for each thing, equal for equal things."""

    def __init__(self) -> None:
        self._known: dict[Hashable, int] = {}

    def of(self, thing: Hashable) -> int:
        return self._known.setdefault(thing, len(self._known))


class _Search:
    def __init__(self, drawn: Outline) -> None:
        self.numbers = _Numbers()
        self.order = [v for v in drawn.vertices if v.node.args]
        self.into: dict[Vertex, list[Line]] = {v: [] for v in self.order}
        for line in (*drawn.lines, *drawn.written.values()):
            self.into[line.target].append(line)
        self.users: dict[Vertex, list[Vertex]] = {}
        for target, lines in self.into.items():
            lines.sort(key=lambda line: line.position)
            for line in lines:
                self.users.setdefault(line.source, []).append(target)
        self.own = {v: self.numbers.of(_form(v.node)) for v in self.order}

    def chain(self) -> Chain | None:
        place = {v: k for k, v in enumerate(self.order)}
        best: tuple[float, int, int] | None = None
        members: list[Vertex] = []
        step_of: dict[Vertex, int] = {}
        for some in self._classes():
            along = self._steps_along(some)
            # As little passes from step to step as can; of such, most steps, cut as late as can be.
            score = (self._crossing(along) / (len(some) - 1), -len(some), -place[some[-1]])
            if best is None or score < best:
                best, members, step_of = score, some, along
        if best is None:
            return None
        steps: list[list[Vertex]] = [[] for _ in members]
        for vertex in self.order:
            if vertex in step_of:
                steps[step_of[vertex] - 1].append(vertex)
        role, feeds = self._roles(step_of, len(steps))
        forms = [self.numbers.of(tuple(sorted(role[v] for v in step))) for step in steps]
        return Chain(steps, step_of, role, forms, feeds)

    def _classes(self) -> Iterable[list[Vertex]]:
        """Nodes of one form, of ops counted to some depth, of which each depends on the one before:
        where one step differs, what lies far from the difference may still be of one form."""
        form = dict(self.own)
        by_members: dict[tuple[int, ...], list[Vertex]] = {}
        seen: set[tuple[int, ...]] = set()  # most classes are the same at every depth
        for _ in range(_DEPTH):
            form = {
                v: self.numbers.of((self.own[v], *(form.get(u.source, -1) for u in self.into[v])))
                for v in self.order
            }
            by_form: dict[int, list[Vertex]] = {}
            for vertex in self.order:
                by_form.setdefault(form[vertex], []).append(vertex)
            for some in by_form.values():
                members = tuple(id(v.node) for v in some) if len(some) >= LEAST else ()
                if members and members not in seen and self._is_ordered(some):
                    by_members[members] = some
                seen.add(members)
        # Seen from afar, the two tanh of an LSTM's step are alike, and cut it in two halves.
        classes = [c for c in by_members.values() if _is_mostly_one([form[v] for v in c])]
        return sorted(classes, key=len, reverse=True)[:_TRIED]

    def _is_ordered(self, members: Sequence[Vertex]) -> bool:
        """Whether each depends on the one before."""
        chosen, before, passed = set(members), dict.fromkeys(self.order, 0), 0
        for vertex in self.order:
            count = max([before.get(u.source, 0) for u in self.into[vertex]], default=0)
            if vertex in chosen:
                count, passed = count + 1, passed + 1
                if count != passed:
                    return False
            before[vertex] = count
        return True

    def _steps_along(self, members: Sequence[Vertex]) -> dict[Vertex, int]:
        """The step of each node; none of what all steps share and of what comes after them."""
        place = {v: k for k, v in enumerate(members, 1)}
        after = dict.fromkeys(self.order, 0)
        for vertex in self.order:
            known = [after.get(u.source, 0) for u in self.into[vertex]]
            after[vertex] = max([*known, place.get(vertex, 0)])
        never = len(members) + 1
        first: dict[Vertex, int] = {}
        shared: set[Vertex] = set()
        for vertex in reversed(self.order):
            needs = [first[u] for u in self.users.get(vertex, ())]
            first[vertex] = place.get(vertex) or min(needs, default=never)
            users = [u for u in self.users.get(vertex, ()) if u not in shared]
            many = len({first[u] for u in users}) > 2 or (not users and vertex in self.users)
            if after[vertex] == 0 and many:
                shared.add(vertex)
        step_of: dict[Vertex, int] = {}
        for vertex in self.order:
            step = first[vertex] if first[vertex] < never else after[vertex]
            is_end = first[vertex] == never and after[vertex] in (0, len(members))
            if vertex not in shared and not is_end:
                step_of[vertex] = step
        return step_of

    def _crossing(self, step_of: Mapping[Vertex, int]) -> int:
        """How many values go from steps to others."""
        return sum(
            any(step_of.get(user, step) != step for user in self.users.get(vertex, ()))
            for vertex, step in step_of.items()
        )

    def _roles(
        self, step_of: Mapping[Vertex, int], count: int
    ) -> tuple[dict[Vertex, int], list[Hashable]]:
        """Equal numbers for equal parts of steps, and what feeds each step.

        Within a step, what comes from other steps is known by the place where it is first used.
        """
        spread = {
            v: len({step_of[u] for u in users if u in step_of}) for v, users in self.users.items()
        }
        role: dict[Vertex, int] = {}
        slots: list[dict[Vertex, int]] = [{} for _ in range(count)]
        for vertex in self.order:
            step = step_of.get(vertex)
            if step is None:
                continue
            parts: list[Hashable] = []
            for use in self.into[vertex]:
                source = use.source
                if source not in step_of:
                    # Numbers of one step alone are a row of its own, such as a mask.
                    own = spread.get(source) == 1 and source.node.op is CONST
                    parts.append(("own", repr(source.node.type)) if own else id(source.node))
                elif step_of[source] == step:
                    parts.append(("role", role[source]))
                else:
                    parts.append(("fed", slots[step - 1].setdefault(source, len(slots[step - 1]))))
            role[vertex] = self.numbers.of((self.own[vertex], *parts))
        feeds: list[Hashable] = [
            tuple([(step - step_of[v], role[v]) for v in of_step])
            for step, of_step in enumerate(slots, 1)
        ]
        return role, feeds


def _is_mostly_one(forms: Sequence[int]) -> bool:
    """Whether most of them are equal."""
    return 2 * Counter(forms).most_common(1)[0][1] > len(forms)


def _form(node: Expr) -> Hashable:
    """The op of a node; which row of a table it reads does not count."""
    attrs: Hashable = node.attrs
    if node.op is GETITEM:
        attrs = re.sub(r"\d+", "#", repr(attrs))
    return node.op.name, attrs, repr(node.type)
