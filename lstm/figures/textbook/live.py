"""The numbers of one step of a trained model: every value of its wiring, and every wire's term of
the chain rule, each evaluated from the graph of the model written out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

import minigrad as mg
from lstm.errors import ConfigError, check_count
from lstm.figures.textbook.wiring import OUT, Wiring
from lstm.gradient_flow.tensors import Loss, check_batch, loss_of, variables
from lstm.model import Model, check_model
from lstm.params import map_leaves
from lstm.runs import Unrolled
from minigrad import Expr
from minigrad.drawing import Scale

Array = NDArray[Any]
Use = tuple[Expr, int]
"""A user, and which of its arguments is meant."""


class Shown(TypedDict, total=False):
    """Which numbers a figure shows; none without a model."""

    model: Model | None
    xs: Any
    ys: Any
    t: int | None
    grad: bool
    loss: Loss | None
    scale: Scale | None


@dataclass(frozen=True)
class Live:
    """What one sequence makes of one step: arrays of one axis."""

    values: Mapping[str, Array]
    """By the names of boxes."""
    terms: Mapping[tuple[str, str], Array | None] | None
    """By wires: what each sends back of ∂L; None where no derivative comes back. None where
    no gradient was asked for."""
    step: int
    """Counted from 1."""


def live_of(wiring: Wiring, model: Model, shown: Shown) -> Live:
    """The numbers of step t, of the first sequence of a batch; of the last step unless told.

    Raises ConfigError for what does not fit the model, for a step that there is not, and for a
    gradient without targets.
    """
    xs, ys, t = np.asarray(shown.get("xs")), shown.get("ys"), shown.get("t")
    grad = shown.get("grad", False)
    if grad and ys is None:
        raise ConfigError("grad=True needs targets: ys=, as lstm.flow takes them")
    if xs.ndim < 2:
        raise ConfigError(f"xs must be a batch, (T, B, …), time first, not {xs.shape}")
    step = len(xs) if t is None else check_count("t", t)
    if step > len(xs):
        raise ConfigError(f"t={step}, but the sequences have {len(xs)} steps")
    if not grad:
        xs = xs[:step]
    xs = xs[:, :1]
    xs_var = variables(model, xs, xs, "y")[0]
    start = map_leaves(lambda name, zero: mg.param(name, zero.eval()), model.initial_state(1))
    unrolled = model.unroll(xs_var, start)
    spots = _Spots(wiring, unrolled, step)
    made = [spots.nodes[name] for name in wiring.boxes if name in spots.nodes]
    inputs: dict[Expr, Array] = {xs_var: xs}
    numbers: dict[tuple[str, str], list[Expr | None]] = {}
    if grad:
        ys = np.asarray(ys)
        ys = ys[:, :1] if model.readout.read == "every" else ys[:1]
        check_batch(model, xs, ys)
        ys_var = variables(model, xs, ys, "y")[1]
        inputs[ys_var] = ys
        loss = shown.get("loss") or loss_of(model)
        numbers = spots.terms(loss(unrolled.output, ys_var))
    sent = {wire: [e for e in parts if e is not None] for wire, parts in numbers.items()}
    exprs = [*made, *chain.from_iterable(sent.values())]
    arrays = iter(mg.function([*inputs], exprs, backend="numpy", simplify=False)(*inputs.values()))
    named = {name: next(arrays)[0] for name in wiring.boxes if name in spots.nodes}
    values = {
        name: named[name]
        if name in named
        else np.concatenate([named[a] for a in wiring.inputs[name]])
        for name in wiring.boxes
    }
    terms = {wire: [next(arrays)[0] for _ in parts] for wire, parts in sent.items()}
    whole = {wire: np.concatenate(parts) if parts else None for wire, parts in terms.items()}
    return Live(values, whole if grad else None, step)


class _Spots:
    """Where the boxes and the wires of a wiring are in a model that is written out."""

    def __init__(self, wiring: Wiring, unrolled: Unrolled, step: int) -> None:
        self.wiring, self.unrolled, self.step = wiring, unrolled, step
        before, x = unrolled.states[step - 1], unrolled.xs[step - 1]
        self.nodes: dict[str, Expr] = {}
        for name, box in wiring.boxes.items():
            if box.kind == "before":
                self.nodes[name] = getattr(before, box.words)
            elif box.kind == "input":
                self.nodes[name] = x
            elif box.kind in ("after", "output"):
                self.nodes[name] = unrolled.values[step - 1][box.words]
            elif not wiring.is_joined(name):
                self.nodes[name] = box.within(unrolled.values[step - 1])

    def terms(self, loss: Expr) -> dict[tuple[str, str], list[Expr | None]]:
        """For each wire the terms of its parts; one, but where layers read several side by side."""
        adjoints = mg.adjoints(loss)
        known = adjoints.terms()
        within = {
            (a, b): self._uses(a, b)
            for a, b in self.wiring.wires
            if self.wiring.boxes[b].kind not in ("after", "output")
        }
        inside: dict[str, Counter[Use]] = {name: Counter() for name in self.wiring.boxes}
        for (a, _), groups in within.items():
            inside[a].update(chain.from_iterable(groups.values()))
        sent: dict[tuple[str, str], list[Expr | None]] = {}
        for a, b in self.wiring.wires:
            if (a, b) not in within:
                uses = [u for u in adjoints.edges(self.nodes[a]) if u not in inside[a]]
                going = [u for u in uses if (u[0] in self._next) == (b != OUT)]
                sent[a, b] = [_sum([known.get(use) for use in going])]
            elif any(inside[a][use] > 1 for use in chain.from_iterable(within[a, b].values())):
                # Layers share a product: of each the part that passes its own value.
                nodes = [self.nodes[s] for s in within[a, b]]
                sent[a, b] = [adjoints.split(node, [self.nodes[b]])[0] for node in nodes]
            else:
                groups = within[a, b]
                sent[a, b] = [_sum([known.get(u) for u in uses]) for uses in groups.values()]
        return sent

    @cached_property
    def _next(self) -> set[Expr]:
        """The nodes of the step after."""
        if self.step == len(self.unrolled.values):
            return set()
        return set(mg.toposort([*self.unrolled.values[self.step].values()]))

    def _uses(self, a: str, b: str) -> dict[str, set[Use]]:
        """How one box reads another: of each vector that a wire brings, the uses of it."""
        joined = self.wiring.is_joined
        sources = self.wiring.inputs[a] if joined(a) else [a]
        readers = self.wiring.outputs[b] if joined(b) else [b]
        return {
            s: set().union(
                *(_uses_within(self.nodes[r], self.nodes[s], self._stops(r)) for r in readers)
            )
            for s in sources
        }

    def _stops(self, name: str) -> set[Expr]:
        """What a box reads."""
        inputs = self.wiring.inputs[name]
        each = [self.wiring.inputs[a] if self.wiring.is_joined(a) else [a] for a in inputs]
        return {self.nodes[a] for a in chain.from_iterable(each)}


def _uses_within(root: Expr, source: Expr, stops: set[Expr]) -> set[Use]:
    """The uses of a node on the way down from another to all that it reads."""
    uses: set[Use] = set()
    seen, stack = {root}, [root]
    while stack:
        user = stack.pop()
        for k, a in enumerate(user.args):
            if a is source:
                uses.add((user, k))
            if a not in stops and a not in seen:
                seen.add(a)
                stack.append(a)
    return uses


def _sum(terms: Sequence[Expr | None]) -> Expr | None:
    known = [term for term in terms if term is not None]
    return sum(known[1:], known[0]) if known else None


def checked_model(shown: Shown) -> Model | None:
    """The model whose numbers are shown, or None. Raises ConfigError without its input."""
    model = shown.get("model")
    if model is None:
        if extra := [k for k, value in shown.items() if value is not None and value is not False]:
            raise ConfigError(f"{extra[0]}= goes with model=, the model whose numbers are shown")
        return None
    if shown.get("xs") is None:
        raise ConfigError("model= needs xs=, a batch of sequences that it reads, (T, B, …)")
    return check_model(model)
