"""What a model was made for: how it reads data of one's own, as the task that it notes says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from lstm.errors import ConfigError
from lstm.model import Model, check_model
from lstm.tasks import TASKS, Task, TextTask


class Way(Protocol):
    """A way to read, and to tell what outputs mean: a `Tokenizer`, or the `Reading` of a table."""

    @property
    def sizes(self) -> Sizes:
        """What a model that reads so has."""


Sizes = tuple[bool, int, int]
"""Whether tokens are read, of how many kinds, or else how many numbers a step; and the outputs."""
R = TypeVar("R", bound=Way)


def way_of(
    model: Model,
    kind: type[Task],
    from_config: Callable[[Mapping[str, Any]], R],
    what: str,
    doing: str,
) -> R:
    """How a model reads that was made for a task of that kind. Raises ConfigError for what is no
    model, for one of another task, and where the task does not fit it: a file may say anything.

    from_config: makes it of the task's settings. what: what the task is of. doing: what its models
    do.
    """
    name = check_model(model).task.get("name")
    if name != kind.name:
        made = f"no {what}" if name is None else f"the task {name!r:.40}, which is no {what}"
        raise ConfigError(
            f"the model was made for {made}: lstm.{kind.__name__} trains one that {doing}"
        )
    settings = model.task.get("settings")
    way = from_config(settings if isinstance(settings, Mapping) else {})
    sizes = model.layers.tokens, model.input_size, model.output_size
    if way.sizes != sizes:
        raise ConfigError(f"the model's task has {_said(way.sizes)}, and the model {_said(sizes)}")
    if model.readout.read != kind.readout:
        raise ConfigError(
            f"the model's readout reads {model.readout.read!r}, and lstm.{kind.__name__} predicts "
            f"from {kind.readout!r}"
        )
    return way


def token_names(model: Model) -> Sequence[str]:
    """What the tokens that a model reads are called, by the task that it notes; nothing where that
    does not say it, or has not as many: a file may say anything."""
    names = _names(model, lambda kind, settings: kind.token_names(settings))
    return names if model.layers.tokens and len(names) == model.input_size else ()


def answer_names(model: Model) -> Sequence[str]:
    """The same of the tokens that its decoder says."""
    names = _names(model, lambda kind, settings: kind.answer_names(settings))
    return names if len(names) == model.output_size else ()


def _names(
    model: Model, names: Callable[[type[Task], Mapping[str, Any]], Sequence[str]]
) -> Sequence[str]:
    name, settings = model.task.get("name"), model.task.get("settings")
    kinds = TASKS | {TextTask.name: TextTask}
    if not isinstance(name, str) or name not in kinds:
        return ()
    try:
        return names(kinds[name], settings if isinstance(settings, Mapping) else {})
    except ConfigError:
        return ()


def _said(sizes: Sizes) -> str:
    has_tokens, inputs, outputs = sizes
    return f"{inputs} {'tokens' if has_tokens else 'inputs'} and {outputs} outputs"
