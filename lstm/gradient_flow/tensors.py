"""The tensors of a flow: every number evaluated from the loops that train, in one function."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import minigrad as mg
from lstm.cells import Line
from lstm.cells.anatomy import anatomy, factor_words
from lstm.errors import ConfigError
from lstm.gradient_flow.equations import StepGraph
from lstm.gradient_flow.parts import Parts
from lstm.gradient_flow.steps import Stacks, quiet
from lstm.gradient_flow.way_back import Teller, WayBack, in_order
from lstm.layers import Looped as Loop
from lstm.layers import Tape, mask_of
from lstm.losses import cross_entropy, mse
from lstm.model import Model
from lstm.params import flatten
from lstm.runs import Run
from lstm.tasks import TASKS
from lstm.tasks.targets import LOSSES, check_loss, counted
from minigrad import Expr

Loss = Callable[[Expr, Expr], Expr]

Values = Mapping[str, NDArray[Any]]
"""Of parameters, by name."""

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


def of_what_counts(
    loss: Loss, ys: NDArray[Any], counts: NDArray[np.bool_]
) -> tuple[Loss, NDArray[Any]]:
    """A loss of every step and its targets, padding left out where the loss is one of
    `lstm.losses`: its targets are marked as an `ArrayTask` marks them, so that they stay marked in
    any cut of the steps. A function of one's own is left as it is.

    counts: (T, B), which steps do.
    """
    if loss not in LOSSES.values():
        return loss, ys
    if loss is not cross_entropy:  # labels are numbers to the others
        ys = ys.astype(np.promote_types(ys.dtype, np.float32))
    marked = ys.astype(np.int64) if ys.dtype.kind in "bu" else ys.copy()
    marked[~counts] = -1 if marked.dtype.kind == "i" else np.nan
    ours: Callable[..., Expr] = loss
    return lambda prediction, target: ours(prediction, target, mask=counted(target)), marked


def variables(model: Model, xs: NDArray[Any], ys: NDArray[Any], target: str) -> tuple[Expr, Expr]:
    """Variables for a batch, of the model's dtype where they are floats."""
    xs_var = mg.var("xs", xs.shape, xs.dtype if model.layers.tokens else model.dtype)
    return xs_var, mg.var(target, ys.shape, model.dtype if ys.dtype.kind == "f" else ys.dtype)


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
        self.attention = run.attention
        self.value = check_loss(loss, run.output, self.ys)
        self.adjoints = mg.Adjoints(self.value, self.seed)
        symbol = None if self.line is None else self.line.symbol
        self.way = WayBack(
            self.graph, self.adjoints, self.loop, symbol, self.output, self.mask, self.layer.reverse
        )
        self._functions: dict[Any, Any] = {}
        self._taken: Values | None = None

    def compiled(self, key: Any, outputs: Callable[[], Any]) -> Any:
        """The function of a batch and ∂L/∂L that gives some outputs; compiled once for a key."""
        if key not in self._functions:
            self._functions[key] = mg.function([*self.inputs, self.seed], outputs())
        return self._functions[key]

    def told(
        self, name: str, teller: Callable[[], Teller], batch: Sequence[Any], seed: float = 1.0
    ) -> Any:
        """What a teller tells of a batch, over the steps in the order in which the layer reads;
        seed: ∂L/∂L."""
        run = self.compiled(name, lambda: self.way.told({name: teller()})[1][name])
        return in_order(quiet(run, *batch, seed), self.steps)

    @property
    def steps(self) -> slice:
        """The steps of stacks in the order in which the layer reads."""
        return slice(None, None, -1 if self.layer.reverse else 1)

    def wide(self) -> Meter:
        """The same in float64, of the parameters as they are."""
        self._wide.refresh(self.params)
        return self._wide

    @cached_property
    def _wide(self) -> Meter:
        return Meter(self.model.with_dtype("float64"), *self._made_of)

    def of_shape(self, xs: NDArray[Any], ys: NDArray[Any]) -> Meter:
        """The same for batches of another shape, of the same parameters."""
        _, _, loss, at, padded, line = self._made_of
        return Meter(self.model, xs, ys, loss, at, padded, line)

    @property
    def params(self) -> Values:
        """The parameters' values as they are."""
        return {name: np.array(leaf.value) for name, leaf in self.model.flat_params.items()}

    def refresh(self, params: Values) -> None:
        """Take other values of the parameters, unless these were the last that it took."""
        if params is self._taken:
            return
        self._taken = params
        for name, leaf in self.model.flat_params.items():
            leaf.value = params[name].astype(leaf.dtype)

    @cached_property
    def _joined(self) -> dict[str, NDArray[np.bool_]]:
        """{part of the state: (T,), whether the graph joins what each step makes of it and the
        loss}, in the order in which the layer reads; that the loss reads one row of all outputs,
        it does not see."""
        return {
            part: np.asarray(self.adjoints.connected(self.graph.nodes[name]))[self.steps]
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

    def batch(self, xs: Any, ys: Any, mask: Any) -> list[Any]:
        """A batch, as `inputs` take it."""
        return [xs, ys, *([] if self.mask is None else [mask])]

    @property
    def output(self) -> str:
        """The part of the state that leaves the layer."""
        return self.layer.cell.output

    @property
    def main(self) -> str:
        """The part of the state that is made to last: the line's, or else the output."""
        return self.output if self.line is None else self.line.symbol

    def read(self, xs: Any, ys: Any, mask: Any = None, seed: float = 1.0) -> Reading:
        """The numbers of all steps in the order in which the layer reads them."""
        run = self.compiled("arrays", lambda: self.way.stacks | self.way.arrays())
        numbers = quiet(run, *self.batch(xs, ys, mask), seed)
        start = self.layer.initial_state(len(numbers["leaving"][0]))
        names = ("values", "adjoints", "x", "factors", "leaving", "parts")
        of = in_order({name: numbers[name] for name in names}, self.steps)
        stacks = Stacks(
            of["values"],
            of["adjoints"],
            self.graph.made,
            {part: zero.eval() for part, zero in flatten(start).items()},
            of["x"],
            of["factors"],
            of["leaving"],
            numbers["last"],
            None if mask is None else np.asarray(mask)[self.steps],
        )
        return Reading(stacks, Parts(**of["parts"]) if of["parts"] else None)


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
    text = (
        f"xs {xs.shape} has {xs.shape[0]} steps (time comes first) and a batch of {xs.shape[1]}, "
        f"so ys must be ({_AXES[model.readout.read].format(*xs.shape[:2])}), not {ys.shape}: "
        f"the model {_READS[model.readout.read]}"
    )
    if ys.ndim and ys.shape[0] == xs.shape[0]:
        text += "; if xs is batch first, give xs.transpose(1, 0, 2)"
    raise ConfigError(text)


_AXES = {"every": "{0}, {1}, …", "decoder": "steps, {1}", "last": "{1}, …"}
_READS = {
    "every": "is read at every step",
    "decoder": "says its answer token by token",
    "last": "is read at the last step",
}


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
