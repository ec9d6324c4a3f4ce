"""Rewrites of loops: what makes a textbook's step as fast as one packed by hand.

Each pass is a function from output expressions to output expressions that compute the same; the
table LOOPS lists them by name, in the order in which they run, and each can be left out. None knows
of any cell: they see loops, matmuls, concatenations and sums.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias, cast

from minigrad.body import Body, close
from minigrad.errors import GraphError
from minigrad.graph import Expr, make, rebuild, substitute, toposort
from minigrad.ops.core import ASTYPE, BROADCAST, RESHAPE, SUM, broadcast_to, full, reshape, sum
from minigrad.ops.index import GETITEM
from minigrad.ops.linalg import MATMUL
from minigrad.ops.pointwise import add
from minigrad.ops.reduce import CUMSUM, LOGSUMEXP, MAX, MIN, SOFTMAX
from minigrad.ops.shape import CONCAT, PERMUTE, concat, permute_dims
from minigrad.ops.tuples import ITEM, item, tuple_of
from minigrad.scan import SCAN, run_loop
from minigrad.simplify import simplify_safely
from minigrad.types import TupleType

Pass: TypeAlias = Callable[[Sequence[Expr]], list[Expr]]


# --- loops as records --------------------------------------------------------------------------


class Loop(NamedTuple):
    """A loop node taken apart."""

    body: Body
    init: list[Expr]
    xs: list[Expr]
    constants: list[Expr]
    length: int
    reverse: bool
    recompute: bool

    @classmethod
    def of(cls, node: Expr, args: Sequence[Expr] | None = None) -> Loop:
        """The parts of a node, of other arguments if given."""
        body, length, reverse, recompute = node.attrs
        parts = body.split(node.args if args is None else args)
        return cls(body, parts[0], parts[1], parts[2], length, reverse, recompute)

    def with_outputs(
        self,
        outputs: Sequence[Expr],
        carries: Mapping[Expr, Expr] | None = None,
        xs: Mapping[Expr, Expr] | None = None,
    ) -> list[Expr]:
        """The results of the loop with another body, of expressions over this one's variables.

        carries: {variable: initial value}, xs: {variable: stacked input}; this loop's by default.
        """
        starts = (
            dict(zip(self.body.carries, self.init, strict=True)) if carries is None else carries
        )
        inputs = dict(zip(self.body.xs, self.xs, strict=True)) if xs is None else xs
        body, outside = close(list(starts), list(inputs), outputs)
        constants = substitute(outside, self.surroundings())
        if not starts and not inputs and not constants:  # nothing to loop over but numbers
            return [broadcast_to(y, (self.length, *y.shape)) for y in outputs]
        return run_loop(
            body,
            [*starts.values()],
            [*inputs.values()],
            constants,
            self.length,
            self.reverse,
            self.recompute,
        )

    def surroundings(self) -> dict[Expr, Expr]:
        """What the body's constants are outside."""
        return dict(zip(self.body.constants, self.constants, strict=True))


def _change_loops(
    outputs: Sequence[Expr], change: Callable[[Loop, Expr], Sequence[Expr] | None]
) -> list[Expr]:
    """The graph with change(loop, old node) as the results of every loop; None leaves it."""
    new: dict[Expr, Expr] = {}
    for node in toposort(outputs):
        args = tuple([new[a] for a in node.args])
        if node.op is ITEM:
            new[node] = item(args[0], node.attrs[0])
            continue
        new[node] = rebuild(node, args)
        if node.op is SCAN:
            results = change(Loop.of(node, args), node)
            if results is not None:
                new[node] = tuple_of(results)
    return [new[o] for o in outputs]


def _loops(outputs: Sequence[Expr]) -> list[Expr]:
    return [n for n in toposort(outputs) if n.op is SCAN]


def _used_items(outputs: Sequence[Expr]) -> dict[Expr, set[int]]:
    used: dict[Expr, set[int]] = {}
    for node in toposort(outputs):
        if node.op is ITEM:
            used.setdefault(node.args[0], set()).add(node.attrs[0])
    return used


def _depend_on(roots: Iterable[Expr], outputs: Sequence[Expr]) -> set[Expr]:
    """The nodes that depend on any of the roots, the roots among them."""
    found = set(roots)
    for node in toposort(outputs):
        if any(a in found for a in node.args):
            found.add(node)
    return found


# --- merge loops, drop what is unused ------------------------------------------------------------


def merge_loops(outputs: Sequence[Expr]) -> list[Expr]:
    """Loops that differ only in what they give out become one: forward pass and residuals."""
    groups: dict[Any, list[Expr]] = {}
    for node in _loops(outputs):
        body = node.attrs[0]
        same = (*map(id, node.args), *map(id, body.next_carries), node.attrs[1:])
        groups.setdefault((same, body.n_carry, body.n_x), []).append(node)
    shared = {node: group for group in groups.values() if len(group) > 1 for node in group}

    def change(loop: Loop, node: Expr) -> list[Expr] | None:
        if node not in shared:
            return None
        ys = list(dict.fromkeys(y for n in shared[node] for y in n.attrs[0].ys))
        found = loop.with_outputs([*loop.body.next_carries, *ys])
        place = {y: k + loop.body.n_carry for k, y in enumerate(ys)}
        return found[: loop.body.n_carry] + [found[place[y]] for y in loop.body.ys]

    return _change_loops(outputs, change) if shared else list(outputs)


def drop_unused(outputs: Sequence[Expr]) -> list[Expr]:
    """Outputs, carries and inputs of loops that nothing reads are left out."""
    used = _used_items(outputs)

    def change(loop: Loop, node: Expr) -> list[Expr] | None:
        body = loop.body
        wanted = used.get(node, set())
        carries = {k for k in wanted if k < body.n_carry}
        ys = sorted(wanted - carries)
        while True:
            roots = [body.outputs[k] for k in (*sorted(carries), *ys)]
            read = set(toposort(roots))
            more = {k for k, c in enumerate(body.carries) if c in read} - carries
            if not more:
                break
            carries |= more
        kept = sorted(carries)
        xs = {v: x for v, x in zip(body.xs, loop.xs, strict=True) if v in read}
        if len(kept) == body.n_carry and len(roots) == len(body.outputs) and len(xs) == body.n_x:
            return None
        found = loop.with_outputs(roots, {body.carries[k]: loop.init[k] for k in kept}, xs)
        there = dict(zip((*kept, *ys), found, strict=True))
        types = cast(TupleType, node.type).items
        return [there[k] if k in there else full(0, t) for k, t in enumerate(types)]

    return _change_loops(outputs, change)


def take_last_carry(outputs: Sequence[Expr]) -> list[Expr]:
    """Reading only the last of a stacked output that is also carried reads the carry."""
    new: dict[Expr, Expr] = {}
    for node in toposort(outputs):
        changed = rebuild(node, tuple([new[a] for a in node.args]))
        carry = _last_carry(changed)
        new[node] = changed if carry is None else carry
    return [new[o] for o in outputs]


def _last_carry(node: Expr) -> Expr | None:
    stacked = node.args[0] if node.op is GETITEM and len(node.args) == 1 else None
    if stacked is None or stacked.op is not ITEM or stacked.args[0].op is not SCAN:
        return None
    loop = Loop.of(stacked.args[0])
    last = 0 if loop.reverse else loop.length - 1
    spec, k = node.attrs[0], stacked.attrs[0]
    if k < loop.body.n_carry or spec[0] != ("i", last):
        return None
    place = {c: j for j, c in enumerate(loop.body.next_carries)}.get(loop.body.outputs[k])
    if place is None:
        return None
    carry = item(stacked.args[0], place)
    return carry if len(spec) == 1 else make(GETITEM, (carry,), (spec[1:],))


# --- matmuls -----------------------------------------------------------------------------------


def _in_bodies(
    change: Callable[[Sequence[Expr], Collection[Expr]], list[Expr]],
) -> Pass:
    """A pass that changes the bodies of loops: change(outputs, what moves with the loop)."""

    def run(outputs: Sequence[Expr]) -> list[Expr]:
        def change_one(loop: Loop, node: Expr) -> list[Expr] | None:
            body = loop.body
            new = change(body.outputs, _depend_on(body.carries, body.outputs))
            if all(a is b for a, b in zip(new, body.outputs, strict=True)):
                return None
            return loop.with_outputs(new)

        return _change_loops(outputs, change_one)

    return run


def _distribute(outputs: Sequence[Expr], moving: Collection[Expr]) -> list[Expr]:
    """[h, x] · W = h · W_h + x · W_x where only a part moves: the rest can leave the loop."""
    new: dict[Expr, Expr] = {}
    for node in toposort(outputs):
        changed = rebuild(node, tuple([new[a] for a in node.args]))
        if node.op is MATMUL and node.args[1] not in moving:
            left, right = node.args
            if left.op is CONCAT and left.attrs[0] == left.ndim - 1:
                fixed = [a for a in left.args if a not in moving]
                if fixed and len(fixed) < len(left.args):
                    changed = _in_parts(left, new[right], new, moving)
        new[node] = changed
    return [new[o] for o in outputs]


def _in_parts(left: Expr, right: Expr, new: Mapping[Expr, Expr], moving: Collection[Expr]) -> Expr:
    start = 0
    parts: dict[bool, list[tuple[Expr, Expr]]] = {True: [], False: []}
    for a in left.args:
        width = a.shape[-1]
        rows = right[..., start : start + width, :]
        parts[a in moving].append((new[a], rows))
        start += width
    sides = []
    for pairs in parts.values():
        a = concat([p for p, _ in pairs], -1)
        sides.append(make(MATMUL, (a, concat([w for _, w in pairs], -2))))
    return sides[0] + sides[1]


def _merge_products(outputs: Sequence[Expr], moving: Collection[Expr] | None) -> list[Expr]:
    """a · U, a · V, ... = a · [U, V, ...], one product cut in columns.

    In a body, constants are put side by side, and what moves; outside a loop (`moving` None) all.
    """
    groups: dict[tuple[Expr, bool], list[Expr]] = {}
    order = toposort(outputs)
    for node in order:
        if _is_product(node):
            moves = moving is not None and node.args[1] in moving
            groups.setdefault((node.args[0], moves), []).append(node)
    wide = {n: group for group in groups.values() if len(group) > 1 for n in group}
    if not wide or _entangled(wide, order):
        return list(outputs)
    joined = {frozenset(n.args): n for n in order if n.op is CONCAT and n.attrs[0] == n.ndim - 1}
    new: dict[Expr, Expr] = {}
    for node in order:
        new[node] = rebuild(node, tuple([new[a] for a in node.args]))
        if node in wide:
            rights = [n.args[1] for n in wide[node]]
            there = joined.get(frozenset(rights))  # put side by side already, in some order
            rights = rights if there is None else list(there.args)
            start = 0
            for right in rights:
                if right is node.args[1]:
                    break
                start += right.shape[-1]
            right = concat([new.get(r, r) for r in rights], -1)
            product = make(MATMUL, (new[node.args[0]], right))
            new[node] = product[:, start : start + node.shape[-1]]
    return [new[o] for o in outputs]


def _entangled(wide: Mapping[Expr, list[Expr]], order: Sequence[Expr]) -> bool:
    """Whether a product of a group needs another one of it: then they cannot be one."""
    for group in {id(g): g for g in wide.values()}.values():
        reach = _depend_on(group, order)
        if any(n.args[1] in reach for n in group):
            return True
    return False


def _merge_sums(outputs: Sequence[Expr], moving: Collection[Expr]) -> list[Expr]:
    """a · U + b · V + ... = [a, b, ...] · [U; V; ...]: one product for a sum of them."""
    users: dict[Expr, int] = {}
    order = toposort(outputs)
    for node in order:
        for a in node.args:
            users[a] = users.get(a, 0) + 1
    inner = {
        a for n in order if n.op.name == "add" for a in n.args
        if a.op.name == "add" and users[a] == 1
    }  # fmt: skip
    new: dict[Expr, Expr] = {}
    for node in order:
        new[node] = rebuild(node, tuple([new[a] for a in node.args]))
        if node.op.name == "add" and node not in inner:
            terms = _summands(node, inner)
            products = [
                t for t in terms
                if t.op is MATMUL and t.ndim == 2 and users[t] == 1 and t.args[1] not in moving
                and t.args[0] in moving
            ]  # fmt: skip
            if len(products) > 1:
                left = concat([new[t.args[0]] for t in products], -1)
                right = concat([new[t.args[1]] for t in products], -2)
                total = make(MATMUL, (left, right))
                for t in terms:
                    total = total if t in set(products) else add(total, new[t])
                new[node] = total
    return [new[o] for o in outputs]


def _summands(node: Expr, inner: Collection[Expr]) -> list[Expr]:
    found: list[Expr] = []
    stack = [node]
    while stack:
        n = stack.pop()
        if n is node or n in inner:
            stack.extend(reversed(n.args))
        else:
            found.append(n)
    return found


def _cut_products(outputs: Sequence[Expr], moving: Collection[Expr]) -> list[Expr]:
    """(a · U)[:, j:k] = a · U[:, j:k] where the product is read nowhere else."""
    order = toposort(outputs)
    users: dict[Expr, set[Expr]] = {}
    for node in order:
        for a in node.args:
            users.setdefault(a, set()).add(node)
    new: dict[Expr, Expr] = {}
    for node in order:
        new[node] = rebuild(node, tuple([new[a] for a in node.args]))
        product = node.args[0] if node.op is GETITEM and len(node.args) == 1 else None
        if (
            product is not None
            and product.op is MATMUL
            and product.ndim == 2
            and len(users[product]) == 1
            and product not in set(outputs)
            and node.attrs[0][0] == ("s", 0, product.shape[0], 1)
            and node.attrs[0][1][0] == "s"
        ):
            a, u = (new[x] for x in product.args)
            whole = ("s", 0, u.shape[0], 1)
            columns = make(GETITEM, (u,), ((whole, node.attrs[0][1]),))
            new[node] = make(MATMUL, (a, columns))
    return [new[o] for o in outputs]


# --- before and after the loop -------------------------------------------------------------------


def hoist(outputs: Sequence[Expr]) -> list[Expr]:
    """Products of a loop's inputs that meet no carry are computed for all steps at once, before."""

    def change(loop: Loop, node: Expr) -> list[Expr] | None:
        body = loop.body
        stacked: dict[Expr, Expr | None] = dict(zip(body.xs, loop.xs, strict=True))
        surroundings = loop.surroundings()
        reads = _depend_on(body.xs, body.outputs)
        moving = _depend_on(body.carries, body.outputs)
        for n in toposort(body.outputs):
            if n in reads and n not in moving and n not in stacked:
                stacked[n] = _at_all_steps(n, stacked, surroundings, loop.length)
        # Worth it where a product is saved from being cut into steps; the rest is as cheap inside.
        products = _depend_on((n for n in stacked if n.op is MATMUL), body.outputs)
        lifted = {n for n in stacked if stacked[n] is not None and n in products and not n.op.view}
        # Of what can leave, only the outermost is handed to the loop.
        needed: dict[Expr, None] = {}
        for n in toposort(body.outputs):
            if n not in lifted:
                needed.update((a, None) for a in n.args if a in lifted)
        needed.update((o, None) for o in body.outputs if o in lifted)
        if not needed:
            return None
        xs = dict(zip(body.xs, loop.xs, strict=True))
        for n in needed:
            value = stacked[n]
            assert value is not None
            xs[n] = value
        return loop.with_outputs(body.outputs, None, xs)

    return _change_loops(outputs, change)


_SHIFT_AXES = (SUM, MAX, MIN, LOGSUMEXP, SOFTMAX)


def _at_all_steps(
    node: Expr,
    stacked: Mapping[Expr, Expr | None],
    surroundings: dict[Expr, Expr],
    length: int,
) -> Expr | None:
    """A step's expression for all steps at once, along a new first axis; None where it has none."""
    args: list[Expr] = []
    many: list[bool] = []
    for a in node.args:
        found = stacked.get(a) if a in stacked else substitute(a, surroundings)
        if found is None:
            return None
        args.append(found)
        many.append(a in stacked)
    op, attrs = node.op, node.attrs
    first = args[0]
    if op.pointwise:
        full_shape = (length, *node.shape)
        return make(op, tuple(broadcast_to(a, full_shape) for a in args), attrs)
    if op is MATMUL and many == [True, False] and node.ndim == 2:
        rows = reshape(first, (length * node.shape[0], first.shape[-1]))
        return reshape(make(MATMUL, (rows, args[1])), (length, *node.shape))
    if op is CONCAT:
        wide = [broadcast_to(a, (length, *n.shape)) for a, n in zip(args, node.args, strict=True)]
        return make(CONCAT, tuple(wide), (attrs[0] + 1,))
    if op in _SHIFT_AXES:
        return make(op, (first,), (tuple(a + 1 for a in attrs[0]),))
    if op is CUMSUM:
        return make(op, (first,), (attrs[0] + 1,))
    if op is RESHAPE:
        return reshape(first, (length, *node.shape))
    if op is BROADCAST:
        inner = node.args[0].shape
        ones = (1,) * (node.ndim - len(inner))
        return broadcast_to(reshape(first, (length, *ones, *inner)), (length, *node.shape))
    if op is PERMUTE:
        return permute_dims(first, (0, *(a + 1 for a in attrs[0])))
    if op is GETITEM and len(args) == 1:
        return make(GETITEM, (first,), ((("s", 0, length, 1), *attrs[0]),))
    return make(op, (first,), attrs) if op is ASTYPE else None


def sink_sums(outputs: Sequence[Expr]) -> list[Expr]:
    """A carry that only adds up is summed after the loop; a sum of products becomes one product."""

    def change(loop: Loop, node: Expr) -> list[Expr] | None:
        body = loop.body
        uses = _count_uses(body.outputs)
        summed = {
            k: term
            for k, (c, after) in enumerate(zip(body.carries, body.next_carries, strict=True))
            if (term := _only_added(c, after, uses)) is not None
        }
        if not summed or loop.recompute:
            return None
        emitted = _factors(list(summed.values()))
        kept = [k for k in range(body.n_carry) if k not in summed]
        found = loop.with_outputs(
            [*(body.next_carries[k] for k in kept), *body.ys, *emitted],
            {body.carries[k]: loop.init[k] for k in kept},
        )
        there = dict(zip(kept, found, strict=False))
        ys = found[len(kept) : len(kept) + len(body.ys)]
        stacks = dict(zip(emitted, found[len(kept) + len(body.ys) :], strict=True))
        for k, term in summed.items():
            there[k] = loop.init[k] + _sum_over_steps(term, stacks)
        return [*(there[k] for k in range(body.n_carry)), *ys]

    return _change_loops(outputs, change)


def _count_uses(outputs: Sequence[Expr]) -> Counter[Expr]:
    uses = Counter(a for n in toposort(outputs) for a in n.args)
    uses.update(outputs)
    return uses


def _only_added(carry: Expr, after: Expr, uses: Counter[Expr]) -> Expr | None:
    """The summand, where a carry becomes itself plus something and neither is read elsewhere."""
    if after.op.name != "add" or uses[carry] != 1 or uses[after] != 1:
        return None
    if after.args[0] is carry:
        return after.args[1]
    return after.args[0] if after.args[1] is carry else None


def _is_product(term: Expr) -> bool:
    return term.op is MATMUL and term.ndim == 2


def _left_factor(term: Expr) -> Expr:
    """What to keep of the left side of a product: the rows, not their transpose."""
    left = term.args[0]
    return left.args[0] if left.op is PERMUTE else left


def _core(term: Expr) -> Expr:
    """What a summand is a slice of."""
    while term.op is GETITEM and len(term.args) == 1:
        term = term.args[0]
    return term


def _parts(wholes: Iterable[Expr]) -> dict[Expr, Expr]:
    """What can be read from concatenations, and from which."""
    return {part: whole for whole in wholes if whole.op is CONCAT for part in whole.args}


def _factors(terms: Sequence[Expr]) -> list[Expr]:
    """What each step has to give out so that the terms can be summed over all steps."""
    found: dict[Expr, None] = {}
    for term in terms:
        if _is_product(core := _core(term)):
            found.update({_left_factor(core): None, core.args[1]: None})
    parts = _parts(found)
    for term in terms:
        core = _core(term)
        # A sum over an axis of what is given out already can wait as well.
        waits = core.op is SUM and (core.args[0] in found or core.args[0] in parts)
        if not _is_product(core) and not waits:
            found[term] = None
    return list(found)


def _sum_over_steps(term: Expr, stacks: Mapping[Expr, Expr]) -> Expr:
    if term in stacks:
        return sum(stacks[term], 0)
    if term.op is GETITEM:
        return make(GETITEM, (_sum_over_steps(term.args[0], stacks),), term.attrs)
    if term.op is SUM:
        axes = tuple(a + 1 for a in term.attrs[0])
        return sum(_stack_of(term.args[0], stacks), (0, *axes))
    right = stacks[term.args[1]]
    rows = reshape(right, (right.shape[0] * right.shape[1], right.shape[2]))
    left = stacks[_left_factor(term)]
    if term.args[0].op is not PERMUTE:
        left = permute_dims(left, (0, 2, 1))
    columns = reshape(left, (left.shape[0] * left.shape[1], left.shape[2]))
    return make(MATMUL, (permute_dims(columns), rows))


def _stack_of(value: Expr, stacks: Mapping[Expr, Expr]) -> Expr:
    """All steps of a value: given out as it is, or as a part of a concatenation."""
    if value in stacks:
        return stacks[value]
    whole = _parts(stacks)[value]
    axis = whole.attrs[0]
    start = 0
    for part in whole.args:
        if part is value:
            break
        start += part.shape[axis]
    span = slice(start, start + value.shape[axis])
    return stacks[whole][(slice(None),) * (axis + 1) + (span,)]


# --- the table ---------------------------------------------------------------------------------

LOOPS: Mapping[str, Pass] = {
    "merge loops that differ in their outputs": merge_loops,
    "read the last output from the carry": take_last_carry,
    "drop what nobody reads": drop_unused,
    "distribute matmul over concat": _in_bodies(_distribute),
    "sum of matmuls to one matmul": _in_bodies(_merge_sums),
    "cut a matmul to what is read": _in_bodies(_cut_products),
    "merge matmuls of one operand": _in_bodies(_merge_products),
    "compute before the loop": hoist,
    "sum after the loop": sink_sums,
    "drop what nobody reads, again": drop_unused,
    "merge matmuls of one operand, outside": lambda outputs: _merge_products(outputs, None),
}


def optimise_loops(
    outputs: Sequence[Expr], skip: Collection[str] = ()
) -> tuple[list[Expr], list[str]]:
    """The outputs with the passes of LOOPS applied, and the names of those that changed anything.

    A graph without loops is left alone. Raises GraphError for a name in `skip` that is none.
    """
    unknown = [name for name in skip if name not in LOOPS]
    if unknown:
        raise GraphError(f"no loop pass {unknown[0]!r}; there are {', '.join(map(repr, LOOPS))}")
    current = list(outputs)
    fired: list[str] = []
    if not any(n.op is SCAN for n in toposort(current)):
        return current, fired
    for name, run in LOOPS.items():
        if name in skip:
            continue
        changed = run(current)
        if any(a is not b for a, b in zip(changed, current, strict=True)):
            fired.append(name)
            current = simplify_safely(changed)

    def within(loop: Loop, node: Expr) -> list[Expr] | None:
        found, more = optimise_loops(loop.body.outputs, skip)
        fired.extend(name for name in more if name not in fired)
        return loop.with_outputs(found) if more else None

    return _change_loops(current, within), fired
