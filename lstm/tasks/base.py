"""What a task states about itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import wraps
from inspect import signature
from typing import Any, ClassVar, NamedTuple, ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

from lstm.errors import ConfigError, check_count
from minigrad import Expr
from minigrad.display import ShownAsCall, Table, in_a_line, settings_of

P = ParamSpec("P")
R = TypeVar("R")
STATED = ("name", "summary", "input_size", "output_size", "target_dtype", "criterion")
"""What the class of each task says of it, beside its methods."""
YOURS = "for you to say: it ends with its steps, with patience or a callback"
"""The criterion of a task that has none."""
_LEAST = {"position": 0, "sequences": 1, "size": 1}  # of what is counted in a draw


class Batch(NamedTuple):
    """Sequences, time first, and what to predict from each."""

    xs: NDArray[np.float32]
    """(T, B, I)"""
    ys: NDArray[Any]
    """(B, ...), as the task's `target_shape` and `target_dtype` say."""

    def __repr__(self) -> str:
        return in_a_line(self)


class PaddedBatch(NamedTuple):
    """The same of sequences of unequal length, for a task that says how they end: `padding`."""

    xs: NDArray[Any]
    ys: NDArray[Any]
    ends: NDArray[Any]
    """lengths (B,), integers of 1 … T; or a mask (T, B) of bool, True where a step counts."""

    def __repr__(self) -> str:
        return in_a_line(self)


def _draws(draw: Callable[P, R]) -> Callable[P, R]:
    """A method that draws. Raises ConfigError for what is no generator, and for wrong counts."""
    names = [*signature(draw).parameters]

    @wraps(draw)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        for name, value in (*zip(names, args, strict=False), *kwargs.items()):
            if name in _LEAST:
                check_count(name, value, _LEAST[name])
            elif name == "rng" and not isinstance(value, np.random.Generator):
                raise ConfigError(
                    "rng is NumPy's generator that is drawn from, such as "
                    f"numpy.random.default_rng(0), not {value!r:.40}"
                )
        return draw(*args, **kwargs)

    return checked


@dataclass(frozen=True)
class Task(ShownAsCall, ABC):
    """A seeded generator of batches with a loss, a baseline and a criterion of success.

    What draws (`batch`, `batch_at`, `held_out`, `held_out_at`) raises ConfigError for what is no
    generator, and for counts that are none: also in a task of your own, which need not look at
    them.
    """

    name: ClassVar[str]
    title: ClassVar[str | None] = None
    """What headings call it, such as "Adding problem"; its name where None."""
    summary: ClassVar[str]
    paper: ClassVar[str | None] = None
    """Where it comes from, such as "Hochreiter & Schmidhuber 1997, experiment 1: 8,440 sequences",
    with how many it took to solve it there."""
    input_size: ClassVar[int]
    output_size: ClassVar[int]
    target_dtype: ClassVar[str]
    readout: ClassVar[str] = "last"
    """What is predicted from: "last", one output at the end, or "every", one a step; or "decoder":
    ys (U, B) are tokens that answer the sequence, below 0 where they are padding, and the outputs
    are (U, B, O), each made where the tokens before it are known to be those of ys."""
    by_sign: ClassVar[bool] = False
    """Whether each output says yes or no by its sign: targets are then 1 or 0, and others where
    nothing is asked."""
    vocabulary: ClassVar[int | None] = None
    """How many tokens there are, of a task whose inputs are integer tokens (T, B)."""
    padding: ClassVar[str | None] = None
    """What says where sequences of unequal length end: "lengths", "mask", or nothing. Batches are
    then PaddedBatch. Targets of padded steps are the task's to leave out, as by `ignore_index=`."""
    baseline_words: ClassVar[str] = "baseline"
    """What tables call that prediction, such as "always 1"."""
    criterion: ClassVar[str]
    """When the task counts as solved, in words."""
    tried: ClassVar[str] = ""
    """Of a criterion that no model has met yet: how close one came, and what was tried for it."""
    usual: ClassVar[Mapping[str, Any]] = {}
    """Settings for its training where those of `Settings` do not suit it, by name."""
    layers: ClassVar[int] = 1
    """How many layers of cells a model that is made for it has, unless told; 0, of a task that is
    answered with sequences: none reads it, and a decoder looks at each step by itself."""
    hidden_size: ClassVar[int | None] = None
    """Units of a cell that is made for it; None: as many as are usual."""
    unit: ClassVar[str] = "test loss"
    """What `in_unit` makes of a loss, as tables call it."""

    close_up: ClassVar[str] = ""
    """Which picture shows one of its sequences closely: "film", "speech", "agreement", "caption",
    "alignment" or "forecast"; none of most."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name in ("batch", "batch_at", "held_out", "held_out_at"):
            if name in vars(cls):
                setattr(cls, name, _draws(vars(cls)[name]))

    @property
    def heading(self) -> str:
        """What headings call it: its title, or else its name."""
        return self.title or self.name

    @property
    @abstractmethod
    def baseline(self) -> float:
        """The loss to beat: of the best prediction that does not look at the sequence, or, of
        forecasts, of a simple one that does."""

    @property
    def has_criterion(self) -> bool:
        """Whether there is a criterion that a model can meet, or not."""
        return self.criterion != YOURS

    @property
    def memory(self) -> int:
        """How many steps the gates of a model made for it are set to remember at first; 0: as many
        as the cell says. All that there are, unless most of what counts is near."""
        return max(self.steps, 3)

    @classmethod
    def token_names(cls, settings: Mapping[str, Any]) -> Sequence[str]:
        """What each token that is read is called, of a task that has these settings; nothing where
        they have no names but their numbers. Raises ConfigError for settings of none."""
        return ()

    @classmethod
    def answer_names(cls, settings: Mapping[str, Any]) -> Sequence[str]:
        """The same of each token that a decoder says."""
        return ()

    @property
    def baselines(self) -> Mapping[str, float]:
        """The losses that tables have beside a model's, by what they are called."""
        return {self.baseline_words: self.baseline}

    def in_unit(self, loss: float) -> float:
        """A loss as tables show it."""
        return loss

    @property
    @abstractmethod
    def steps(self) -> int:
        """T, the number of time steps of a sequence."""

    @abstractmethod
    def target_shape(self, batch: int) -> tuple[int, ...]:
        """The shape of `ys` for that many sequences."""

    @abstractmethod
    def batch(self, rng: np.random.Generator, size: int) -> Batch | PaddedBatch:
        """That many new sequences."""

    @_draws
    def batch_at(self, position: int, rng: np.random.Generator, size: int) -> Batch | PaddedBatch:
        """The sequences that training draws after `position` batches.

        A task whose batches follow one another, as parts of a long text do, says this anew, by
        position; for others it is `batch`.
        """
        return self.batch(rng, size)

    @_draws
    def held_out(
        self, part: str, rng: np.random.Generator, sequences: int, size: int
    ) -> Iterator[Batch | PaddedBatch]:
        """What a model is validated on, or tested: batches with so many sequences in all.

        By default new ones of a stream of their own, as training draws its own. A task of data that
        are set aside says this anew; its batches may have fewer sequences than `size`. part:
        "validation" or "test". Where training is stateful each batch goes on where the last ended.
        """
        for position in range(-(-sequences // size)):
            yield self.held_out_at(position, rng, size)

    @_draws
    def held_out_at(
        self, position: int, rng: np.random.Generator, size: int
    ) -> Batch | PaddedBatch:
        """New sequences for `held_out`, after `position` batches of it; by default drawn as those
        of training are."""
        return self.batch_at(position, rng, size)

    @abstractmethod
    def loss(self, prediction: Expr, target: Expr) -> Expr:
        """A scalar; prediction is (B, output_size), or (T, B, output_size) of every step."""

    def judged(self, prediction: Expr) -> Expr:
        """What of a prediction `correct` and `solved` are given: all of it, unless a task of many
        classes at many steps says that less will do."""
        return prediction

    @abstractmethod
    def correct(self, prediction: NDArray[Any], target: NDArray[Any]) -> NDArray[np.bool_]:
        """For each sequence (or, where the task says so, each step), whether it is processed
        correctly."""

    @property
    def tested_on(self) -> str:
        """What `correct` is of in a test, in words: its sequences, or their steps."""
        return "new sequences"

    def elements(self, target: NDArray[Any]) -> int:
        """Over how many elements the loss of these targets is a mean: of several batches it is then
        that of all. By default, as many as there are sequences."""
        return int(target.shape[0 if self.readout == "last" else 1])

    @abstractmethod
    def solved(self, prediction: NDArray[Any], target: NDArray[Any]) -> bool:
        """Whether predictions for these test sequences meet the criterion."""

    def _table(self) -> Table:
        rows = [(name, repr(value)) for name, value in settings_of(self).items()]
        rows += [
            ("steps", f"{self.steps:,}"),
            ("loss to beat", f"{self.baseline:.4g}, {self.baseline_words}"),
            ("solved", self.criterion),
        ]
        return Table(f"{self.heading}: {self.summary}", rows)

    def config(self) -> dict[str, Any]:
        """Name and settings, as a model file keeps them."""
        return {"name": self.name, "settings": asdict(self)}
