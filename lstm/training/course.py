"""One training from its first step to its last, whatever stops it in between."""

from __future__ import annotations

import json
import reprlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm.errors import ConfigError
from lstm.layers import Layer, Readout
from lstm.model import Model
from lstm.optim import Optimizer
from lstm.params import flatten
from lstm.store.checkpoint import Checkpoint
from lstm.store.parts import as_text, build, keeps
from lstm.tasks import Task
from lstm.training.alarm import alarm
from lstm.training.evaluation import TEST_BATCH, TEST_SEQUENCES, Evaluation, Score, evaluate
from lstm.training.hosts import Hosts
from lstm.training.loop import Watch, next_step, seen_by, trainer_of
from lstm.training.settings import Settings
from lstm.training.trainer import Report

_BEST = "best."


@dataclass(frozen=True)
class Plan:
    """What decides when a training is validated and when it is over, beside its settings."""

    validate: int
    """Steps between validations; 0: none."""
    patience: int | None
    own_optimizer: bool
    """Whether the settings do not say which optimiser it is."""

    def __post_init__(self) -> None:
        if self.patience is not None and self.validate == 0:
            raise ConfigError("patience counts validations, and with validate=0 there are none")


@dataclass(frozen=True, eq=False)
class Best:
    """A model as it was at a validation, such as the best one."""

    score: Score
    step: int
    values: dict[str, NDArray[Any]]


class Course:
    """The trainer, its state, and what is known of the validations so far."""

    def __init__(
        self,
        model: Model,
        task: Task,
        settings: Settings,
        plan: Plan,
        optimizer: Optimizer | None,
        watch: Watch | None = None,
        backend: str = "auto",
        devices: Any = None,
    ) -> None:
        self.hosts = Hosts(backend, devices, settings.batch)
        self._seen = seen_by(watch, model, task)
        self.model, self.task, self.settings, self.plan = model, task, settings, plan
        self.trainer = trainer_of(model, task, settings, optimizer, backend, self.hosts)
        self.state = self.trainer.state
        self._baseline = task.baseline
        self.waited = 0
        """Validations since the best one."""
        self._best: Best | None = None
        # After the last step, where none was due. It counts in what this training comes to, but
        # is not saved: one of more steps, that goes on from here, would not have made it.
        self._last: Best | None = None
        self._evaluation = Evaluation(model, task, settings.carried) if plan.validate else None

    @property
    def best(self) -> Best | None:
        """The model where validation went best so far."""
        return self._last if _better(self._last, self._best) else self._best

    def over(self) -> str | None:
        """Why there is nothing left to do: "solved", "patience" or "steps"; None where there is."""
        best = self.best
        if best is not None and best.score.solved:
            return "solved"
        if self.plan.patience is not None and self.waited >= self.plan.patience:
            return "patience"
        return "steps" if self.state.steps >= self.settings.steps else None

    def alarm(self) -> str | None:
        """What goes wrong, in words; None where nothing does."""
        return alarm(self.state.history, self._baseline, self.settings, self.state.params)

    def step(self, signal: int | None = None) -> tuple[Report, Score | None]:
        """One step, and the validation that is due after it: both, or neither is made. signal: what
        this process was sent, which the others are told."""
        every, last = self.plan.validate, self.settings.steps
        due = every and (self.state.steps + 1 == last or (self.state.steps + 1) % every == 0)
        before = (self.state.arrays(), self.state.streams_values()) if due else None
        report = next_step(
            self.trainer,
            self.task,
            self.settings.batch,
            self._seen,
            more=self.hosts.sent(signal),
            within=self.hosts.lost_if_it_fails(),
        )
        if before is None:
            return report, None
        try:
            return report, self._validated()
        except Exception:
            self.state.put_back(*before)  # who resumes makes the step again, and validates
            raise

    def _validated(self) -> Score:
        """The score after a step, and what it is to the best one."""
        made = self._validate()
        if self.state.steps % self.plan.validate:
            self._last = made
            return made.score
        self.waited += 1
        if _better(made, self._best):
            self._best, self.waited = made, 0
        return made.score

    def _validate(self) -> Best:
        score = Score(*self.hosts.of_first(self._validation))
        values = {name: p.value.copy() for name, p in self.state.params.items()}
        return Best(score, self.state.steps, values)

    def _validation(self) -> Score:
        assert self._evaluation is not None
        # The same sequences each time; all that the criterion asks for only where they are solved.
        seed = self.settings.seed
        score = self._evaluation.score("validation", seed, TEST_BATCH)
        if score.solved:
            all_of_them = self._evaluation.score("validation", seed, TEST_SEQUENCES)
            score = score._replace(solved=all_of_them.solved)
        return score

    def test(self, model: Model) -> Score:
        """How a model does on test sequences."""
        seed, carried = self.settings.seed, self.settings.carried
        return Score(
            *self.hosts.of_first(lambda: evaluate(model, self.task, seed, carried=carried))
        )

    def best_model(self) -> Model:
        """A copy of the model where validation went best, or as it is where none was made."""
        model, best = self.model.copy(), self.best
        if best is not None:
            for name, p in flatten(model.params).items():
                p.value = best.values[name]
        return model

    # --- checkpoints ---------------------------------------------------------------------------

    def checkpoint(self) -> Checkpoint:
        """All of it, as a file keeps it."""
        arrays, run = self.state.arrays(), asdict(self.plan) | {"waited": self.waited, "best": None}
        if self._best is not None:
            arrays |= {_BEST + name: value for name, value in self._best.values.items()}
            run["best"] = self._best.score._asdict() | {"step": self._best.step}
        return Checkpoint(
            arrays,
            {
                "model": self.model.config(),
                "task": self.task.config(),
                "settings": asdict(self.settings),
                "streams": self.state.streams_values(),
                "run": run,
            },
        )

    def start(self) -> None:
        """Take on what the first of several processes starts from, and, where a training that is
        resumed was over, make the validation after its last step again. Raises ConfigError where
        this process was asked for another training than the first."""
        if self.hosts.count > 1:
            self._start_as_first()
        every = self.plan.validate
        if every and self.state.steps >= self.settings.steps and self.state.steps % every:
            self._last = self._validate()

    def _start_as_first(self) -> None:
        about, leaves = self.checkpoint().about, self.state.leaves()
        about["state"] = {name: [str(p.dtype), list(p.shape)] for name, p in leaves.items()}
        ours = {part: values for part, values in about.items() if keeps(values)}
        data = [as_text(ours).encode(), *(p.value.tobytes() for p in leaves.values())]
        text, _, values = self.hosts.told(b"\0".join(data)).partition(b"\0")
        try:
            for part, theirs in json.loads(text).items():
                _require_same(part, ours.get(part, {}), theirs)
        except ConfigError as error:
            raise ConfigError(
                f"process {self.hosts.index} of {self.hosts.count} cannot train with the first "
                f"one, which was asked for something else: {error}"
            ) from None
        at = 0
        for p in leaves.values():
            p.value = np.frombuffer(values, p.dtype, p.size, at).reshape(p.shape)
            at += p.value.nbytes + 1

    def resume(self, checkpoint: Checkpoint) -> None:
        """Go on from there, with `start`: all of it or nothing. Raises ConfigError for one of
        another training, or that is not what `checkpoint` gives."""
        about = checkpoint.about
        _require_same("model", _without_task(self.model.config()), _without_task(about["model"]))
        _require_same("task", self.task.config(), about["task"])
        arrays = {k: v for k, v in checkpoint.arrays.items() if not k.startswith(_BEST)}
        best = _best(about["run"], checkpoint.arrays, self.state.params)
        waited = about["run"].get("waited")
        if type(waited) is not int or waited < 0:
            raise ConfigError(f"it waited {waited!r:.40} validations")
        self.state.put_back(arrays, about["streams"])
        self._best, self.waited = best, waited


def model_in(checkpoint: Checkpoint, own: Iterable[type[Any]] = ()) -> Model:
    """The model of a checkpoint, as it was after its last step. own: as of `Model.load`.

    Raises ConfigError.
    """
    config = checkpoint.about["model"]
    layers, readout = (build(config.get(part), own) for part in ("layers", "readout"))
    if not isinstance(layers, Layer) or not isinstance(readout, Readout):
        raise ConfigError("its model is not made of layers and a readout")
    head = "params."
    values = {k.removeprefix(head): v for k, v in checkpoint.arrays.items() if k.startswith(head)}
    return Model.of(layers, readout, values, checkpoint.about["task"])


def settings_in(checkpoint: Checkpoint) -> Settings:
    """The settings of a checkpoint. Raises ConfigError."""
    settings: Settings = _made(Settings, "settings", checkpoint.about["settings"])
    return settings


def plan_in(checkpoint: Checkpoint) -> Plan:
    """The plan of a checkpoint. Raises ConfigError."""
    ours = {k: v for k, v in checkpoint.about["run"].items() if k not in ("waited", "best")}
    plan: Plan = _made(Plan, "run", ours)
    counts = [plan.validate] + ([] if plan.patience is None else [plan.patience])
    if any(type(n) is not int or n < 0 for n in counts) or type(plan.own_optimizer) is not bool:
        raise ConfigError("its run has no proper plan")
    return plan


def _better(one: Best | None, other: Best | None) -> bool:
    if one is None or not isfinite(one.score.loss):
        return False
    return other is None or _rank(one.score) > _rank(other.score)


def _rank(score: Score) -> tuple[bool, float]:
    return score.solved, -score.loss


def _made(kind: Any, what: str, values: Mapping[str, Any]) -> Any:
    if set(values) != {f.name for f in fields(kind)}:
        names = ", ".join(f.name for f in fields(kind))
        raise ConfigError(f"its {what} are not {names}")
    return kind(**values)


def _best(
    run: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], params: Mapping[str, Any]
) -> Best | None:
    values = {k.removeprefix(_BEST): v for k, v in arrays.items() if k.startswith(_BEST)}
    said = run.get("best")
    if said is None and not values:
        return None
    types = {"loss": float, "correct": float, "solved": bool, "step": int}
    sound = isinstance(said, dict) and {k: type(v) for k, v in said.items()} == types
    shapes = {name: (p.shape, p.dtype) for name, p in params.items()}
    if not sound or {name: (v.shape, v.dtype) for name, v in values.items()} != shapes:
        raise ConfigError("its best model is not of the same parameters")
    assert said is not None
    return Best(Score(said["loss"], said["correct"], said["solved"]), said["step"], values)


def _require_same(what: str, now: Mapping[str, Any], then: Mapping[str, Any]) -> None:
    name: str = ""
    one: Any = json.loads(as_text(now))
    other: Any = then
    if not _differ(one, other):
        return
    while isinstance(one, dict) and isinstance(other, dict):  # down to what it is that differs
        name = next(k for k in [*other, *one] if _differ(one.get(k), other.get(k)))
        one, other = one.get(name), other.get(name)
    said = [reprlib.repr(x) for x in (other, one)]
    raise ConfigError(f"it is of another {what}: its {name!r:.40} is {said[0]}, not {said[1]}")


def _differ(one: Any, other: Any) -> bool:
    """Whether settings are others; one that is missing, in a file of before, is None."""
    if isinstance(one, dict) and isinstance(other, dict):
        return any(_differ(one.get(k), other.get(k)) for k in {**one, **other})
    return bool(one != other)


def _without_task(config: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in config.items() if k != "task"}
