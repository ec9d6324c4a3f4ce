"""The tensors of a flow: every number evaluated from the loops that train, in one function."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import minigrad as mg
from lstm.cells import Line
from lstm.cells.anatomy import anatomy, factor_words
from lstm.errors import ConfigError
from lstm.gradient_flow.equations import Read, StepGraph, Term
from lstm.gradient_flow.parts import AtLine, Cotangents, Parts, at_line, nothing_yet, parted
from lstm.gradient_flow.steps import Floats, Stacks, quiet
from lstm.layers import Looped as Loop
from lstm.layers import Tape, mask_of
from lstm.losses import mse
from lstm.model import Model
from lstm.params import flatten
from lstm.runs import Run
from lstm.tasks import TASKS
from minigrad import Expr

Loss = Callable[[Expr, Expr], Expr]

LARGE_SEED = 2.0**512
"""∂L/∂L where a zero is told from an underflow; float64 reaches from 1e-308 to 1e308."""
SMALL_SEED = 2.0**-512
"""∂L/∂L where an overflow is told from what is infinite."""


class Place(NamedTuple):
    """Which recurrent layer is measured, as `Model.place` takes it, and what of a batch counts."""

    layer: int | str | None = None
    direction: str | None = None
    lengths: Any = None
    mask: Any = None


def without_padding(
    model: Model, xs: NDArray[Any], ys: NDArray[Any], at: Place
) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.bool_] | None]:
    """A batch without the steps at which all is padding, and the mask of what stays, or None.

    Raises ConfigError for lengths and a mask that do not fit.
    """
    if at.lengths is None and at.mask is None:
        return xs, ys, None
    model.run(xs, lengths=at.lengths, mask=at.mask)  # says what is wrong with them
    mask = np.asarray(mask_of(at.lengths, len(xs)).eval() if at.mask is None else at.mask)
    counted = mask.any(axis=1)
    return xs[counted], ys[counted] if model.readout.read == "every" else ys, mask[counted]


def variables(model: Model, xs: NDArray[Any], ys: NDArray[Any], target: str) -> tuple[Expr, Expr]:
    """Variables for a batch, of the model's dtype where they are floats."""
    xs_var = mg.var("xs", xs.shape, xs.dtype if model.layers.tokens else model.dtype)
    return xs_var, mg.var(target, ys.shape, model.dtype if ys.dtype.kind == "f" else ys.dtype)


class Row(NamedTuple):
    """One step on the way back: expressions (B, H)."""

    values: Mapping[str, Expr]
    adjoints: Mapping[str, Expr]
    """{value: its adjoint}, of the state that the step makes, and of all values on the line."""
    factors: Mapping[str, Expr]
    """{value on the line: what the step has multiplied the line by up to there}"""
    terms: Mapping[Term, Expr]
    """What the main part of the state gets in this step."""
    leaving: Expr
    """What comes back from above to what the step gives."""
    parts: Parts | None
    """Of the line's gradient; None without a line."""
    counts: Expr | None
    """(B,): which sequences are no padding; None: all."""


class _Local(NamedTuple):
    """What a step does, in expressions of its variables, and the stacks that these stand for."""

    stacks: Mapping[Expr, Expr]
    adjoints: Mapping[str, Expr]
    leaving: Expr
    terms: Mapping[Term, Expr]
    factors: Mapping[str, Expr]
    at_line: AtLine | None


class Reading(NamedTuple):
    """The arrays that a meter reads of a batch."""

    stacks: Stacks
    parts: Parts | None


class Meter:
    """What measures one layer of a model on batches of one shape; compiled once.

    It reads the parameters where they are, so that it may measure again after a training step.
    xs (T, B, ...), ys: arrays of the shapes and dtypes to come. padded: whether a mask (T, B) will
    come with them. Raises ConfigError for a place that the model does not have.
    """

    def __init__(
        self,
        model: Model,
        xs: NDArray[Any],
        ys: NDArray[Any],
        loss: Loss,
        at: Place,
        padded: bool,
        line: str | None = None,
    ) -> None:
        self.model, self.loss = model, loss
        self._made_of = xs, ys, loss, at, padded, line
        self.place = model.place(at.layer, at.direction)
        self.layer = model.recurrent()[self.place]
        self.line, self.gates = anatomy(self.layer.cell, line)
        self.xs, self.ys = variables(model, xs, ys, "ys")
        self.mask = mg.var("mask", xs.shape[:2], bool) if padded else None
        self.seed = mg.var("∂L/∂L", (), model.dtype)
        told = self.ys if model.readout.read == "decoder" else None
        run, self.loop = looped(model, self.xs, self.mask, self.place, told)
        self.graph = StepGraph(self.loop)
        if self.line is not None and self.layer.zoneout:  # it mixes what the equations keep
            factor = self.graph.line_factors(self.line.symbol)[self.graph.made[self.line.symbol]]
            self.line = Line(self.line.symbol, factor_words(factor, self.graph.nodes))
        self.value = loss(run.output, self.ys)
        self.adjoints = mg.Adjoints(self.value, self.seed)

    @cached_property
    def _run(self) -> Any:
        wanted = self.outputs() | self.back((), _arrays)[1]
        return mg.function([*self.inputs, self.seed], wanted)

    def wide(self) -> Meter:
        """The same in float64, of the parameters as they are."""
        self._wide.refresh(self)
        return self._wide

    @cached_property
    def _wide(self) -> Meter:
        return Meter(self.model.with_dtype("float64"), *self._made_of)

    def refresh(self, other: Meter) -> None:
        """Take the parameters' values of another meter's model as they are."""
        values = other.model.flat_params
        for name, leaf in self.model.flat_params.items():
            leaf.value = values[name].value.astype(leaf.dtype)

    @cached_property
    def _joined(self) -> dict[str, NDArray[np.bool_]]:
        """{part of the state: (T,), whether the graph joins what each step makes of it and the
        loss}, in the order in which the layer reads; that the loss reads one row of all outputs,
        it does not see."""
        way = -1 if self.layer.reverse else 1
        return {
            part: np.asarray(self.adjoints.connected(self.graph.nodes[name]))[::way]
            for part, name in self.graph.made.items()
        }

    def connected(self, of_nan: Mapping[str, Any]) -> dict[str, NDArray[np.bool_]]:
        """{part of the state: (T,), whether a differentiable path joins what each step makes of it
        and the loss}.

        of_nan: {part: the norms of its gradient (T,) where ∂L/∂L is NaN}. NaN stays NaN in any
        product, so what is 0 there has no path or a choice, as of relu, between. After the last
        step that any NaN comes to there is nothing to choose: the loss does not read it.
        """
        comes = {part: np.isnan(of_nan[part]) for part in self.graph.made}
        read = np.logical_or.accumulate(np.logical_or.reduce([*comes.values()])[::-1])[::-1]
        return {part: comes[part] | (self._joined[part] & read) for part in comes}

    @property
    def inputs(self) -> list[Expr]:
        """What comes of a batch."""
        return [self.xs, self.ys, *([] if self.mask is None else [self.mask])]

    def given(self, xs: Any, ys: Any, mask: Any) -> list[Any]:
        """A batch, as `inputs` take it."""
        return [xs, ys, *([] if self.mask is None else [mask])]

    def outputs(self) -> dict[str, Any]:
        """What the loops that train give, as expressions: stacks (T, ...) in the order of xs."""
        adjoints, graph = self.adjoints, self.graph
        return {
            "values": {name: adjoints.value(node) for name, node in graph.nodes.items()},
            "adjoints": {name: adjoints[graph.nodes[name]] for name in self._wanted},
            "x": self.loop.xs,
            "leaving": adjoints[self.loop.outputs],
            "last": {part: adjoints[v] for part, v in self.loop.last._asdict().items()},
        }

    @cached_property
    def _factors(self) -> dict[str, Expr]:
        """{value on the line: what a step multiplies the line by up to there}"""
        return {} if self.line is None else self.graph.line_factors(self.line.symbol)

    @property
    def _wanted(self) -> dict[str, None]:
        """The values whose adjoints are read: of the state that a step makes, and of its line."""
        return dict.fromkeys([*self.graph.made.values(), *self._factors])

    @cached_property
    def terms(self) -> list[Term]:
        """What comes to the main part of the state in a step."""
        return list(self._local.terms)

    @cached_property
    def _local(self) -> _Local:
        graph, whole = self.graph, self.outputs()
        grads, leaving = whole["adjoints"], whole["leaving"]
        returned = {} if self.line is None else self._returned()
        cotangents, others = _variables("∂L/∂", grads), _variables("later ", returned)
        above = mg.var("leaving", leaving.shape[1:], leaving.dtype)
        stacks = {graph.variables[name]: stack for name, stack in whole["values"].items()}
        stacks |= {v: self.adjoints.value(v) for v in graph.before.values()}
        stacks |= {graph.x: whole["x"], above: leaving}
        stacks |= {cotangents[n]: g for n, g in grads.items()}
        stacks |= {others[part]: stack for part, stack in returned.items()}
        terms = self._main_terms(graph.all_terms(cotangents))
        factors = zip(self._factors, graph.values_of([*self._factors.values()]), strict=True)
        line = None
        if self.line is not None:
            comes = Cotangents(cotangents, above, others)
            line = at_line(graph, self.line.symbol, self.output, comes, terms)
        return _Local(stacks, cotangents, above, terms, dict(factors), line)

    def _returned(self) -> dict[str, Expr]:
        """{a part of the state that is not the line: what comes to it after each step from the
        steps that read it, (T, B, H)}."""
        made: dict[str, Expr] = {}
        loop = self.loop.outputs.args[0]
        for k, (part, after) in enumerate(self.loop.after._asdict().items()):
            if self.line is not None and part != self.line.symbol:
                sent = self.adjoints.edges(after).get((loop, k))
                made[part] = mg.zeros_like(self.adjoints.value(after)) if sent is None else sent
        return made

    def back(self, start: Any, each: Callable[[Any, Row], Any]) -> tuple[Any, Any]:
        """`each` over the steps, from the one that is read last, in one loop: (carry, row) to
        (carry, what is stacked), as the step of `mg.scan`.

        A step's numbers are in the cache then, all steps' are not.
        """
        local = self._local
        line = local.at_line or ()
        expressions = [*local.terms.values(), *local.factors.values(), *line]
        begun = () if local.at_line is None else nothing_yet(local.at_line.factor)

        def step(carry: tuple[Any, Any], now: dict[str, Any]) -> tuple[tuple[Any, Any], Any]:
            after, rest = carry
            counts = now.get("counts")
            rows = dict(zip(local.stacks, now["rows"], strict=True))
            inside = iter(mg.substitute(expressions, rows))
            terms = {term: next(inside) for term in local.terms}
            factors = {name: next(inside) for name in local.factors}
            adjoints = {name: rows[v] for name, v in local.adjoints.items()}
            leaving, parts = rows[local.leaving], None
            if self.line is not None:
                made, output = (self.graph.made[p] for p in (self.line.symbol, self.output))
                waits = leaving if made == output else None
                whole = adjoints[made]
                after, parts = parted(after, AtLine(*inside), whole, waits, counts)
            values = {name: rows[v] for name, v in self.graph.variables.items()}
            row = Row(values, adjoints, factors, terms, leaving, parts, counts)
            rest, given = each(rest, row)
            return (after, rest), given

        stacks: dict[str, Any] = {"rows": [*local.stacks.values()]}
        if self.mask is not None:
            stacks["counts"] = self.mask
        (_, last), given = mg.scan(step, (begun, start), stacks, reverse=not self.layer.reverse)
        return last, given

    @property
    def output(self) -> str:
        """The part of the state that leaves the layer."""
        return self.layer.cell.output

    @property
    def main(self) -> str:
        """The part of the state that is made to last: the line's, or else the output."""
        return self.output if self.line is None else self.line.symbol

    def _main_terms(self, terms: Mapping[Term, Expr]) -> dict[Term, Expr]:
        """Those of the main part of the state."""
        reads = (Read(self.main, before=True), Read(self.graph.made[self.main], before=False))
        return {term: expr for term, expr in terms.items() if term.read in reads}

    def read(self, xs: Any, ys: Any, mask: Any = None, seed: float = 1.0) -> Reading:
        """The numbers of all steps in the order in which the layer reads them."""
        numbers = quiet(self._run, *self.given(xs, ys, mask), seed)
        way = -1 if self.layer.reverse else 1

        def in_order(named: Mapping[Any, Floats]) -> dict[Any, Floats]:
            return {name: stack[::way] for name, stack in named.items()}

        start = self.layer.initial_state(len(numbers["leaving"][0]))
        stacks = Stacks(
            in_order(numbers["values"]),
            in_order(numbers["adjoints"]),
            self.graph.made,
            {part: zero.eval() for part, zero in flatten(start).items()},
            numbers["x"][::way],
            in_order(numbers["factors"]),
            numbers["leaving"][::way],
            numbers["last"],
            None if mask is None else np.asarray(mask)[::way],
        )
        parts = Parts(**in_order(numbers["parts"])) if numbers["parts"] else None
        return Reading(stacks, parts)


def _variables(prefix: str, stacks: Mapping[str, Expr]) -> dict[str, Expr]:
    """What stands for a step's row of each stack."""
    return {n: mg.var(f"{prefix}{n}", s.shape[1:], s.dtype) for n, s in stacks.items()}


def _arrays(carry: Any, row: Row) -> tuple[Any, dict[str, Any]]:
    """What a step adds to the arrays of the loops that train."""
    parts = {} if row.parts is None else vars(row.parts)
    return carry, {"factors": dict(row.factors), "parts": dict(parts)}


class Looped(NamedTuple):
    """A run of a model, and the loop of one of its layers."""

    run: Run
    loop: Loop


def looped(
    model: Model, xs: Any, mask: Any = None, place: str | None = None, targets: Any = None
) -> Looped:
    """Run a model as the loops that train, and note that of a layer; the last one unless told."""
    loops: dict[str, Loop] = {}
    tape = Tape({}, short=True, loops=loops)
    run = model.run(xs, mask=mask, targets=targets, tape=tape)
    return Looped(run, loops[model.place() if place is None else place])


def check_batch(model: Model, xs: NDArray[Any], ys: NDArray[Any]) -> None:
    """Raise ConfigError unless xs is (T, B, I), time first, or (T, B) of tokens, and ys has a
    target for each of B, or for each of T and B where every step is read, or is (U, B) of tokens
    where a decoder says them."""
    tokens = model.layers.tokens
    rest = () if tokens else (model.input_size,)
    if xs.ndim < 2 or xs.shape[0] < 1 or xs.shape[1] < 1 or xs.shape[2:] != rest:
        wanted = "(T, B)" if tokens else f"(T, B, {model.input_size})"
        raise ConfigError(
            f"xs must be {wanted}, time first, with T and B of at least 1, not {xs.shape}"
        )
    if model.readout.read == "every" and ys.shape[:2] == xs.shape[:2]:
        return
    if model.readout.read == "decoder" and ys.ndim == 2 and ys.shape[1] == xs.shape[1]:
        return
    if model.readout.read == "last" and ys.shape[:1] == xs.shape[1:2]:
        return
    text = f"xs {xs.shape} has a batch of {xs.shape[1]} (time comes first), but ys is {ys.shape}"
    if ys.ndim and ys.shape[0] == xs.shape[0]:
        text += "; if xs is batch first, give xs.transpose(1, 0, 2)"
    raise ConfigError(text)


def loss_of(model: Model) -> Loss:
    """The loss of the task that the model was made for; the squared error where it names none.

    Raises ConfigError for a task that `lstm.TASKS` does not have.
    """
    name = model.task.get("name")
    if name is None:
        return mse
    if name not in TASKS:
        raise ConfigError(
            f"the model was made for the task {name!r}, which is none of lstm's "
            f"({', '.join(TASKS)}); give its loss: loss=task.loss"
        )
    return TASKS[name](**model.task.get("settings", {})).loss
