"""Data of one's own as a task: arrays, or lists of sequences, and what to say of each."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property, lru_cache
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

import minigrad as mg
from lstm.errors import ConfigError, check_count, check_number
from lstm.tasks.base import YOURS, Batch, PaddedBatch, Task
from lstm.tasks.parts import Part, places_of, read_parts
from lstm.tasks.sequences import Array, checksum, side_by_side
from lstm.tasks.targets import (
    LOSSES,
    MOST,
    Targets,
    check_loss,
    counted,
    doubt,
    graph_checksum,
    loss_of,
)
from minigrad import Expr
from minigrad.display import Table

_NO_LABEL = -1  # the target of a step of padding; NaN where targets are numbers
_SAID = {True: "always in the same shares", False: "always the same numbers"}


class ArrayTask(Task):
    """Sequences of your own, and what to say of each: `xs[k]` is a sequence, `ys[k]` its target.

    xs: an array (N, T, I), or a list of (T, I), each with a T of its own; (N, T), or a list of
        (T,), where a step is one number, a float, or one token, an integer.
    ys: a label of each sequence, an integer 0, 1 …, or one of each of its steps, (T,); or numbers,
        floats: one or (O,) of each sequence, (T,) or (T, O) of its steps.
    lengths: (N,), of sequences that are padded already. What is beyond is not looked at.
    validation: what is held out to choose the best model by: a part of the sequences, drawn by
        `seed`, as a share (0.2) or a number of them (50); or data of its own, as (xs, ys) or
        (xs, ys, lengths). 0: nothing, and then scores are of the sequences that are trained on.
    test: the same, for the score at the end; None: that is on what validation is on.
    loss: a name of "cross_entropy" (that of labels unless told), "mse" (that of numbers), "mae",
        "huber", "binary_cross_entropy"; or a function of a prediction (B, O) and targets, which for
        steps of sequences of unequal length takes mask= too, as lstm's losses do.
    readout: "last" or "every", where targets could be either.
    output_size, vocabulary: how many classes and tokens there are; by default as many as are seen.
    tolerance: a prediction of numbers counts as correct where each is this close to its target; by
        default within a tenth of their standard deviation.
    name: what the task is called where it is shown, in a model's file and in the names of files
        that `lstm train` chooses; by default "arrays".

    Training goes through the sequences in passes, each in an order of its own that the seed of the
    settings decides: `steps = passes * N / batch`. There is no criterion of success: training ends
    with its steps, with `patience=`, or by a callback. A model's file notes what the data were
    like, with a checksum of them and of which are held out, and of the graph that a loss of your
    own makes; the data are not in it. So a training is resumed only with the same. Raises
    ConfigError for what does not fit, and for numbers that are not finite. Warns (UserWarning) of
    whole numbers that look like quantities, not like labels or tokens: that mostly differ, or leave
    most classes out.

    >>> import lstm
    >>> rng = np.random.default_rng(0)
    >>> xs = [rng.random((length, 3)) for length in (5, 9, 7, 6, 8)]
    >>> task = lstm.ArrayTask(xs, [0, 1, 1, 0, 1])
    >>> task
    ArrayTask(4 + 1 sequences of 5 to 9 steps, 3 numbers each; 2 classes, cross_entropy)
    >>> lstm.Model.create(lstm.LSTM, task=task).output_size
    2
    """

    _loss: Callable[..., Expr]
    _lengths: NDArray[np.int64]
    _xs: Array
    """(T, N, I), or (T, N) of tokens: of all parts."""
    _ys: Array
    _places: dict[str, Array]
    """Where in these the sequences of each part are."""
    _tolerance: Array | float | None
    _asked: float | None
    """The tolerance that was asked for; None where it follows from the data, or has no meaning."""
    _checksum: str
    _graph: str | None
    """A checksum of the graph of a loss of one's own."""

    name: ClassVar[str] = "arrays"
    title: ClassVar[str | None] = "Sequences of your own"
    summary: ClassVar[str] = "a target for each sequence of your own"
    criterion: ClassVar[str] = YOURS

    def __init__(
        self,
        xs: Any,
        ys: Any,
        lengths: Any = None,
        *,
        validation: Any = 0.2,
        test: Any = None,
        loss: str | Callable[..., Expr] | None = None,
        readout: str | None = None,
        output_size: int | None = None,
        vocabulary: int | None = None,
        tolerance: float | None = None,
        name: str | None = None,
        seed: int = 0,
    ) -> None:
        held = {"validation": validation, "test": test}
        data = {"training": (xs, ys, lengths)}
        data |= {part: own for part, own in held.items() if isinstance(own, tuple)}
        asked = {"loss": loss, "readout": readout, "outputs": output_size}
        read = read_parts(data, asked)
        self._read(read, places_of(read, held, check_count("seed", seed, 0)), loss, vocabulary)
        self._set_tolerance(tolerance)
        self._set(_graph=self._loss_graph())
        if name is not None:
            self._set(name=check_name(name), title=name)
        labels, tokens = self.target_dtype == "int64", self.vocabulary is not None
        if labels and loss is None and output_size is None:
            _warn(doubt(_targets(read), "ys", "classes", "output_size"))
        if tokens and vocabulary is None:
            _warn(doubt(_rows(read), "xs", "tokens", "vocabulary"))

    def _read(
        self, read: Mapping[str, Part], places: Mapping[str, Array], loss: Any, vocabulary: Any
    ) -> None:
        """Set what the data and their loss say."""
        rows, targets, first = _rows(read), _targets(read), read["training"].targets
        tokens = rows[0].ndim == 1
        _require_none(vocabulary=None if tokens else vocabulary)
        self._set(
            readout="every" if first.every else "last",
            output_size=max(part.targets.outputs for part in read.values()),
            vocabulary=_vocabulary(rows, vocabulary) if tokens else None,
            target_dtype="int64" if first.labels else "float32",
            baseline_words=_SAID[first.labels],
            padding=None if len({len(row) for row in rows}) == 1 else "lengths",
            by_sign=loss_of(loss, first.labels) is LOSSES["binary_cross_entropy"],
            _loss=loss_of(loss, first.labels),
            _lengths=np.array([len(row) for row in rows]),
            _xs=side_by_side(rows, 0),
            _ys=_together(targets, first),
            _checksum=checksum([*rows, *targets, *places.values()]),
            _places=places,
        )
        self._set(input_size=self.vocabulary if tokens else rows[0].shape[1])

    def _set_tolerance(self, asked: Any) -> None:
        """That of numbers, which is usual where none is asked for; labels have none."""
        _require_none(tolerance=asked if self.target_dtype == "int64" else None)
        self._set(_asked=None if asked is None else check_number("tolerance", asked, least=0))
        if self.target_dtype != "int64":
            usual = self._training_targets().std(0) / 10
            self._set(_tolerance=usual if asked is None else self._asked)

    def _set(self, **values: Any) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)

    # --- batches -----------------------------------------------------------------------------

    @property
    def steps(self) -> int:
        return int(self._xs.shape[0])

    def target_shape(self, batch: int) -> tuple[int, ...]:
        shape = self._ys.shape
        return (shape[0], batch, *shape[2:]) if self.readout == "every" else (batch, *shape[1:])

    def batch(self, rng: np.random.Generator, size: int) -> Batch | PaddedBatch:
        """So many of the sequences that are trained on, at random."""
        own = self._places["training"]
        return self._at(own[rng.integers(0, len(own), size)])

    def batch_at(self, position: int, rng: np.random.Generator, size: int) -> Batch | PaddedBatch:
        own = self._places["training"]
        key = tuple(map(int, rng.bit_generator.seed_seq.generate_state(4)))
        first = position * size  # in passes one after the other
        passes = range(first // len(own), (first + size - 1) // len(own) + 1)
        order = np.concatenate([_order(key, k, len(own)) for k in passes])
        return self._at(own[order[first % len(own) :][:size]])

    def held_out(
        self, part: str, rng: np.random.Generator, sequences: int, size: int
    ) -> Iterator[Batch | PaddedBatch]:
        """All that are held out, however many are asked for; the last batch may be smaller."""
        parts = [self._places[name] for name in (part, "validation", "training")]
        own = next(places for places in parts if len(places))
        for start in range(0, len(own), size):
            yield self._at(own[start : start + size])

    @property
    def tested_on(self) -> str:
        words = {
            "test": "test sequences",
            "validation": "the validation sequences, by which it was chosen",
            "training": "the training sequences",
        }
        said = next(said for part, said in words.items() if len(self._places[part]))
        return f"the steps of {said}" if self.readout == "every" else said

    def _at(self, places: Array) -> Batch | PaddedBatch:
        xs, ys = self._xs[:, places], self._targets_at(places)
        return Batch(xs, ys) if self.padding is None else PaddedBatch(xs, ys, self._lengths[places])

    def _targets_at(self, places: Array) -> Array:
        return self._ys[:, places] if self.readout == "every" else self._ys[places]

    # --- what is asked -----------------------------------------------------------------------

    def loss(self, prediction: Expr, target: Expr) -> Expr:
        if self.readout == "last" or self.padding is None:
            return self._loss(prediction, target)
        return self._loss(prediction, target, mask=counted(target))

    def correct(self, prediction: NDArray[Any], target: NDArray[Any]) -> NDArray[np.bool_]:
        """Of each sequence; or of each step that counts, where there is a target for each."""
        counts = counted(target)
        prediction, target = prediction[counts], target[counts]
        right: NDArray[np.bool_]
        if target.dtype.kind == "i":
            right = prediction.argmax(-1) == target
        elif self._loss is LOSSES["cross_entropy"]:
            right = prediction.argmax(-1) == target.argmax(-1)
        elif self._loss is LOSSES["binary_cross_entropy"]:
            right = ((prediction > 0) == (target > 0.5)).all(-1)
        else:
            right = (np.abs(prediction - target) <= self._tolerance).all(-1)
        right &= np.isfinite(prediction).all(-1)
        return right

    def solved(self, prediction: NDArray[Any], target: NDArray[Any]) -> bool:
        return False

    def elements(self, target: NDArray[Any]) -> int:
        return int(counted(target).sum())

    def _training_targets(self) -> Array:
        """(M,) labels, or (M, O) numbers: of all that counts in training."""
        ys = self._targets_at(self._places["training"])
        counts: NDArray[np.bool_] = counted(ys)
        return ys[counts]

    @cached_property
    def baseline(self) -> float:
        """The loss on training's targets of the one prediction that is best for all of them."""
        ys = self._training_targets()
        if self._loss is LOSSES["mae"]:
            always = np.median(ys, 0)
        elif ys.dtype.kind == "i":
            always = _log(np.bincount(ys, minlength=self.output_size) / len(ys))
        elif self._loss is LOSSES["cross_entropy"]:
            always = _log(ys.mean(0))
        elif self._loss is LOSSES["binary_cross_entropy"]:
            always = _log(ys.mean(0)) - _log(1 - ys.mean(0))
        else:
            always = ys.mean(0)
        prediction = np.broadcast_to(always, (len(ys), self.output_size))
        return float(self._loss(mg.const(prediction), mg.const(ys)).eval())

    # --- what it is --------------------------------------------------------------------------

    def config(self) -> dict[str, Any]:
        """What a model's file notes: what the data were like, with a checksum."""
        held = {part: len(places) for part, places in self._places.items()}
        names = ("steps", "input_size", "vocabulary", "output_size", "readout")
        like = {name: getattr(self, name) for name in names}
        rest = {
            "loss": self._loss_words(),
            "checksum of the loss": self._graph,
            "tolerance": self._asked,
            "checksum of the data": self._checksum,
        }
        return {"name": self.name, "settings": held | like | rest}

    def _loss_graph(self) -> str | None:
        """What tells losses of one's own apart, whatever they are called: what they compute.

        None of those that have a name here. Raises ConfigError for what is no loss.
        """
        if self._loss in LOSSES.values():
            return None
        first = (self.steps, 2) if self.readout == "every" else (2,)
        prediction = mg.var("prediction", (*first, self.output_size), "float32")
        target = mg.var("target", self.target_shape(2), self.target_dtype)
        return graph_checksum(check_loss(self.loss, prediction, target))

    def _loss_words(self) -> str:
        for name, loss in LOSSES.items():
            if self._loss is loss:
                return name
        return str(getattr(self._loss, "__name__", type(self._loss).__name__))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ArrayTask) and self.config() == other.config()

    def __hash__(self) -> int:
        return hash(self._checksum)

    def __repr__(self) -> str:
        held = " + ".join(str(len(places)) for places in self._places.values() if len(places))
        shortest, longest = self._lengths.min(), self._lengths.max()
        steps = f"{longest}" if shortest == longest else f"{shortest} to {longest}"
        each = f"{self.input_size} numbers each" if self.vocabulary is None else "a token each"
        each = f"{each} of {self.vocabulary}" if self.vocabulary else each
        said = "classes" if self.target_dtype == "int64" else "numbers"
        called = "" if self.name == ArrayTask.name else f"{self.name}: "
        return (
            f"{type(self).__name__}({called}{held} sequences of {steps} steps, {each}; "
            f"{self.output_size} {said}{' a step' * (self.readout == 'every')}, "
            f"{self._loss_words()})"
        )

    def _table(self) -> Table:
        rows = [(name, str(value)) for name, value in self.config()["settings"].items()]
        rows.append(("loss to beat", f"{self.baseline:.4g}, {self.baseline_words}"))
        return Table(f"{self.heading}: {self.summary}", rows)


def check_name(name: Any) -> str:
    """The name. Raises ConfigError for one that a file could not be called by, anywhere.

    >>> check_name("weather-2026")
    'weather-2026'
    """
    if not isinstance(name, str) or not re.fullmatch(r"\w[\w.-]{,59}", name):
        raise ConfigError(
            f"name= is letters, digits, '_', '-' and '.', at most 60 of them, not {name!r:.40}"
        )
    return name


def _warn(words: str | None) -> None:
    """Tell whoever makes a task of arrays."""
    if words:
        warnings.warn(words, UserWarning, stacklevel=3)


def _require_none(**unused: Any) -> None:
    """Raise ConfigError for an option that would change nothing."""
    for name, value in unused.items():
        if value is not None:
            kind = {"vocabulary": "xs are numbers, not tokens", "tolerance": "ys are labels"}[name]
            raise ConfigError(f"{name}= has no meaning where {kind}")


def _vocabulary(rows: Sequence[Array], asked: int | None) -> int:
    """How many tokens there are. Raises ConfigError for one that is none."""
    least = min(int(row.min()) for row in rows)
    most = max(int(row.max()) for row in rows)
    if asked is None and most >= MOST:
        raise ConfigError(
            f"xs have a token {most}: integers are tokens, 0, 1 …; floats are numbers; for so many "
            "tokens give vocabulary="
        )
    count = most + 1 if asked is None else check_count("vocabulary", asked)
    if least < 0 or most >= count:
        wrong = least if least < 0 else most
        raise ConfigError(
            f"xs have a token {wrong}: integers are tokens, 0 to {count - 1}; floats are numbers"
        )
    return count


def _rows(read: Mapping[str, Part]) -> list[Array]:
    """The sequences of all parts."""
    return [row for part in read.values() for row in part.xs]


def _targets(read: Mapping[str, Part]) -> list[Array]:
    return [row for part in read.values() for row in part.targets.rows]


def _together(targets: Sequence[Array], kind: Targets) -> Array:
    """(N, …) of sequences, or (T, N, …) of their steps, with a sign for what is padding."""
    if not kind.every:
        return np.stack(targets)
    return side_by_side(targets, _NO_LABEL if kind.labels else np.nan)


@lru_cache(maxsize=4)
def _order(key: tuple[int, ...], number: int, count: int) -> Array:
    """In which order a pass goes through its sequences: of the seed and its number alone, so that
    a training that is resumed in the middle of a pass goes on with it."""
    return np.random.default_rng([*key, number]).permutation(count)


def _log(share: Array) -> Array:
    logs: Array = np.log(np.maximum(share, 1e-12))
    return logs
