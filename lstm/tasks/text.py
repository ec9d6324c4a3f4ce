"""A text of one's own as a task: at each character, word or byte, which one comes next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import pairwise
from math import log
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

import minigrad as mg
from lstm.errors import ConfigError, check_count, check_number
from lstm.files import checked_text, read_utf8
from lstm.tasks.base import YOURS, Batch
from lstm.tasks.labels import NO_LABEL, Labels
from lstm.tasks.ngrams import ORDERS, ngram_losses
from lstm.tasks.sequences import checksum
from lstm.tasks.tokenizer import Tokenizer, utf8
from minigrad import Expr

Tokens = NDArray[np.int64]


class TextTask(Labels):
    """What comes next in a text, asked at each of its tokens.

    text: a `pathlib.Path` is a file of UTF-8, in which any of the usual line ends is a newline; a
        str is the text itself.
    level: what a token is: "char", "word" (a word that is rare is spelt) or "bytes" of UTF-8.
    length: steps of a sequence: how far gradients go back in training.
    held_out: the share of the text, its end, that is not trained on. Its first half is for
        validation, its second for the test.

    Training reads the text from `batch` places at once, evenly spaced, and goes on around its end.
    Each batch goes on where the last one ended: `usual` has stateful=True, with which states do so,
    too. The baselines are n-grams of 1 to 5 tokens with interpolated Kneser–Ney smoothing (Chen &
    Goodman 1999), made of the same part and measured on the same test. `in_unit` makes a loss bits
    per character, whatever the level. There is no criterion of success.

    Raises ConfigError for a file that cannot be read as text, which says where and why, and for a
    text that is too short.

    >>> import lstm
    >>> task = lstm.TextTask("she sells sea shells by the sea shore. " * 20, length=16)
    >>> task
    TextTask(702 + 39 + 39 characters of 12 kinds, by 16)
    >>> xs, ys = task.batch(np.random.default_rng(0), size=1)
    >>> [task.tokenizer.tokens[x] for x in xs[:4, 0]]
    ['a', ' ', 's', 'h']
    """

    tokenizer: Tokenizer
    """What cuts a text into tokens, and makes text of them again."""
    _tokens: Tokens
    """(N,): of all of the text."""
    _ends: dict[str, tuple[int, int]]
    """Where in these each part of the text begins and ends."""
    _characters: tuple[int, int]
    """How many the text has, and the test."""
    _settings: dict[str, Any]

    name: ClassVar[str] = "text"
    title: ClassVar[str | None] = "Text"
    summary: ClassVar[str] = "what comes next in a text of your own"
    paper: ClassVar[str | None] = "Graves 2013, section 3"
    readout: ClassVar[str] = "every"
    baseline_words: ClassVar[str] = f"{ORDERS}-gram"
    criterion: ClassVar[str] = YOURS
    unit: ClassVar[str] = "bits per character"
    usual: ClassVar[Mapping[str, Any]] = {"stateful": True, "rate": 0.01, "steps": 2000}
    hidden_size: ClassVar[int | None] = 128
    settings: ClassVar[tuple[str, ...]] = ("level", "length", "held_out")
    """What it takes beside the text."""

    def __init__(
        self, text: Path | str, *, level: str = "char", length: int = 64, held_out: float = 0.1
    ) -> None:
        where, whole = _read(text)
        check_count("length", length)
        check_number("held_out", held_out, above=0, below=1)
        half = max(1, round(len(whole) * held_out / 2))
        cuts = max(0, len(whole) - 2 * half), max(0, len(whole) - half)
        parts = [whole[: cuts[0]], whole[cuts[0] : cuts[1]], whole[cuts[1] :]]
        tokenizer = Tokenizer.of(whole, level, parts[0])
        tokens = [tokenizer.encode(part) for part in parts]
        if len(tokens[0]) <= length:
            hint = f"; Path({text!r}) is the file" if text is whole and _is_file(text) else ""
            raise ConfigError(
                f"{where} is too short: {len(tokens[0])} of its {sum(map(len, tokens))} "
                f"{tokenizer.unit}s are to train on, and sequences of length={length} need "
                f"{length + 1}{hint}"
            )
        ends = np.cumsum([0, *map(len, tokens)]).tolist()
        self._set(
            input_size=len(tokenizer.tokens),
            output_size=len(tokenizer.tokens),
            vocabulary=len(tokenizer.tokens),
            tokenizer=tokenizer,
            _tokens=np.concatenate(tokens),
            _ends=dict(zip(("training", "validation", "test"), pairwise(ends), strict=True)),
            _characters=(len(whole), len(parts[2])),
            _settings={"length": int(length), "held_out": float(held_out)},
        )

    def _set(self, **values: Any) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)

    # --- batches -----------------------------------------------------------------------------

    @property
    def steps(self) -> int:
        return int(self._settings["length"])

    @property
    def memory(self) -> int:
        """0. On a million characters of a book, 128 units end at 1.85 bits after 1,500 steps, and
        with gates that are set to remember all 64 steps at 1.93: what counts most is near."""
        return 0

    def target_shape(self, batch: int) -> tuple[int, ...]:
        return (self.steps, batch)

    def batch(self, rng: np.random.Generator, size: int) -> Batch:
        """So many pieces of what is trained on, at random."""
        places = rng.integers(0, self._ends["training"][1], size)
        return self._pieces(places)

    def batch_at(self, position: int, rng: np.random.Generator, size: int) -> Batch:
        spread = np.arange(size) * self._ends["training"][1] // size
        return self._pieces(spread + position * self.steps)

    def _pieces(self, places: Tokens) -> Batch:
        """What begins at these places of the training text, which goes on around its end."""
        at = (places + np.arange(self.steps + 1)[:, None]) % self._ends["training"][1]
        tokens = self._tokens[at]
        return Batch(tokens[:-1], tokens[1:])

    def held_out(
        self, part: str, rng: np.random.Generator, sequences: int, size: int
    ) -> Iterator[Batch]:
        """All of the test, and of validation up to that many sequences: read side by side from
        `size` places, so that every token is predicted once."""
        start, end = self._ends[part]
        if part == "validation":
            end = min(end, start + sequences * self.steps)
        long = -(-(end - start) // size)
        for first in range(0, long, self.steps):
            step = first + np.arange(self.steps)[:, None]
            at = start + step + np.arange(size) * long
            there = (step < long) & (at < end)
            at = np.where(there, at, start)
            yield Batch(self._tokens[at - 1], np.where(there, self._tokens[at], NO_LABEL))

    @property
    def tested_on(self) -> str:
        return f"the {self.tokenizer.unit}s at the end of the text"

    # --- what is asked -----------------------------------------------------------------------

    def judged(self, prediction: Expr) -> Expr:
        """The likeliest token (T, B): all that is asked of a prediction beside its loss."""
        return mg.argmax(prediction, axis=-1)

    def correct(self, prediction: NDArray[Any], target: NDArray[Any]) -> NDArray[np.bool_]:
        """Of each token."""
        right: NDArray[np.bool_] = (prediction == target)[target != NO_LABEL]
        return right

    def solved(self, prediction: NDArray[Any], target: NDArray[Any]) -> bool:
        return False

    @cached_property
    def baselines(self) -> dict[str, float]:
        """The loss of n-grams on the test, by their names."""
        counted, start = self._ends["training"][1], self._ends["test"][0]
        losses = ngram_losses(self._tokens, self.input_size, counted, start)
        return {f"{n}-gram": loss for n, loss in enumerate(losses, 1)}

    @property
    def baseline(self) -> float:
        return self.baselines[self.baseline_words]

    def in_unit(self, loss: float) -> float:
        """A mean loss of the test's tokens, in nats, as bits per character."""
        start, end = self._ends["test"]
        return loss * (end - start) / self._characters[1] / log(2)

    # --- what it is --------------------------------------------------------------------------

    @classmethod
    def token_names(cls, settings: Mapping[str, Any]) -> Sequence[str]:
        return Tokenizer.from_config(settings).tokens

    def config(self) -> dict[str, Any]:
        """What a model's file notes: how it reads, and a checksum of the text."""
        like = {"characters": self._characters[0], "checksum of the text": checksum([self._tokens])}
        return {"name": self.name, "settings": self._settings | like | self.tokenizer.config()}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TextTask) and self.config() == other.config()

    def __hash__(self) -> int:
        return hash(checksum([self._tokens]))

    def __repr__(self) -> str:
        sizes = " + ".join(f"{end - start:,}" for start, end in self._ends.values())
        kinds = "" if self.tokenizer.level == "bytes" else f" of {self.vocabulary:,} kinds"
        return f"{type(self).__name__}({sizes} {self.tokenizer.unit}s{kinds}, by {self.steps})"


def _read(text: Any) -> tuple[str, str]:
    """What a text is called in errors, and the text. Raises ConfigError for what is none."""
    if isinstance(text, Path):
        return str(text), read_utf8(text)
    if not isinstance(text, str):
        raise ConfigError(f"a text is a str, or the pathlib.Path of its file, not {text!r:.40}")
    utf8(text)
    return "the text", checked_text("the text", text)


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except (OSError, ValueError):  # no file can be called so
        return False
