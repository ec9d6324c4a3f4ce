"""One training step: loss, gradients, clipping and the optimiser's update, compiled as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any, NamedTuple

import minigrad as mg
from lstm.errors import ConfigError, TrainingError, check_number
from lstm.optim import Optimizer, clip_by_global_norm, global_norm
from lstm.params import by_dotted_name
from lstm.training.diagnosis import Bad, diagnosis
from lstm.training.history import Taken
from lstm.training.state import TrainingState
from minigrad import Expr
from minigrad.display import in_a_line


class Report(NamedTuple):
    """What one training step saw, before it changed anything."""

    step: int
    """Counted from one."""
    loss: float
    grad_norm: float
    """The global norm of the gradient, before clipping."""
    outputs: tuple[Any, ...] = ()
    """What else the trainer was asked for."""

    def __repr__(self) -> str:
        return in_a_line(self)


class Trainer:
    """One compiled training step over `inputs`, which writes all of `state` in place.

    loss: a scalar expression.
    params: its parameters, `minigrad.param` leaves: a tree, as `model.params`, or by dotted names,
        as `model.flat_params`.
    optimizer: any pair of `lstm.optim`; it knows the parameters by their dotted names.
    clip: the largest global norm of the gradient, or None.
    outputs: further expressions that each report gives.
    updates: {leaf: expression}, of leaves beside the parameters, written in the same step: a
        state that is carried on, the key of dropout.
    counts: {input: mask}, bool over its first axes, False where it is padding, which is then not
        blamed for what is not finite.
    backend, and placing, which is device=, mesh= and shard=: as of `minigrad.function`. With
        backend="jax", mesh={"batch": 8}, shard={xs: (None, "batch"), ys: "batch"} each of eight
        devices has an eighth of the sequences.

    The step count and what the optimiser remembers are leaves too, so that nothing of the
    arithmetic is outside the graph. One step that meets a loss or a gradient that is not finite
    changes nothing, and raises TrainingError.

    >>> import lstm
    >>> w, x, seen = mg.param("w", 1.0), mg.var("x"), mg.param("seen", 0.0)
    >>> loss = mg.square(w * x)
    >>> trainer = lstm.Trainer(loss, [x], {"w": w}, lstm.optim.sgd(0.125), updates={seen: seen + x})
    >>> report = trainer.step(2.0)
    >>> report.step, report.loss, report.grad_norm
    (1, 4.0, 8.0)
    >>> float(w.value), float(seen.value)  # w - 0.125 · 2 w x²
    (0.0, 2.0)
    """

    def __init__(
        self,
        loss: Expr,
        inputs: Sequence[Expr],
        params: Mapping[str, Any],
        optimizer: Optimizer,
        clip: float | None = None,
        backend: str = "auto",
        *,
        outputs: Sequence[Expr] = (),
        updates: Mapping[Expr, Expr] | None = None,
        counts: Mapping[Expr, Expr] | None = None,
        **placing: Any,
    ) -> None:
        named = _checked(params, optimizer)
        if isinstance(inputs, Expr):
            raise ConfigError(f"inputs= is a list of variables: write [{inputs}], not {inputs}")
        if clip is not None:
            check_number("clip", clip, above=0)
        self.state = state = _state(named, optimizer, list(updates or {}))
        self._grads = mg.grad(loss, state.params)
        norm = global_norm(self._grads)
        clipped = self._grads if clip is None else clip_by_global_norm(self._grads, clip)
        steps, memory = optimizer.update(clipped, state.optimizer, state.params, state.count)
        written = {p: p + steps[name] for name, p in state.params.items()}
        written |= {p: memory[name] for name, p in state.optimizer.items()}
        written |= {**(updates or {}), state.count: state.count + 1}
        sound = mg.isfinite(loss) & mg.isfinite(norm)
        guarded = {p: mg.where(sound, new, p) for p, new in written.items()}
        self._loss, self._inputs, self._counts = loss, list(inputs), dict(counts or {})
        results = [loss, norm, *outputs]
        self._run = mg.function(self._inputs, results, guarded, backend=backend, **placing)

    def __repr__(self) -> str:
        numbers = sum(p.size for p in self.state.params.values())
        inputs = ", ".join(f"{x.name}: {x.type!r}" for x in self._inputs)
        done = f"{self.state.steps:,} step{'s' * (self.state.steps != 1)} done"
        return f"<Trainer of {numbers:,} parameters on ({inputs}), {done}>"

    def step(self, *values: Any) -> Report:
        """One step on one batch. Raises TrainingError, which names the op where a NaN was born."""
        loss, norm, *outputs = self._run(*values)
        report = Report(self.state.steps, float(loss), float(norm), tuple(outputs))
        if not (isfinite(report.loss) and isfinite(report.grad_norm)):
            raise self._failure(report, values)
        self.state.history.add(Taken(report.step, report.loss, report.grad_norm))
        return report

    def _failure(self, report: Report, values: Sequence[Any]) -> TrainingError:
        what = "loss" if not isfinite(report.loss) else "gradient"
        step = report.step + 1
        head = f"the {what} is not finite in step {step} of training, on batch {step}"
        params, norms = self.state.params, [taken.grad_norm for taken in self.state.history.latest]
        bad = Bad(self._loss, self._grads, params, self._inputs, values, norms, self._counts)
        cause = diagnosis(bad)
        return TrainingError("\n".join([": ".join([head, *cause[:1]]), *cause[1:]]))


def _checked(params: Any, optimizer: Any) -> dict[str, Expr]:
    if not (isinstance(params, Mapping) or hasattr(params, "_asdict")):
        raise ConfigError(
            'params= has the params by their names, as model.params or {"w": w}, not '
            f"{params!r:.40}"
        )
    if not isinstance(optimizer, Optimizer):
        raise ConfigError(
            f"optimizer= is what a rule makes, such as lstm.optim.adam(0.01), not {optimizer!r:.40}"
        )
    named = by_dotted_name(params)
    if not named:
        raise ConfigError(f"params= has no param to train: {params!r:.40}")
    for name, leaf in named.items():
        if not isinstance(leaf, Expr) or leaf.op.name != "param":
            raise ConfigError(
                f"params= has leaves that minigrad.param(name, value) made, and {name!r} is "
                f"{leaf!r:.60}"
            )
    return named


def _state(params: dict[str, Expr], optimizer: Optimizer, carried: Sequence[Expr]) -> TrainingState:
    memory = {name: mg.param(name, value) for name, value in optimizer.init(params).items()}
    by_name = {str(leaf.name): leaf for leaf in carried}
    if len(by_name) < len(carried) or {None} & {leaf.name for leaf in carried}:
        names = ", ".join(str(leaf.name) for leaf in carried)
        raise ConfigError(f"leaves that updates= writes need names of their own, not {names}")
    return TrainingState(params, memory, by_name, mg.param("count", 0.0))
