"""Text from a model of text: token by token, each drawn from what the model expects."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import numpy as np
from numpy.typing import NDArray

import minigrad as mg
from lstm.arguments import generator
from lstm.errors import ConfigError, check_count, check_number
from lstm.made_for import way_of
from lstm.model import Model
from lstm.tasks import TextTask
from lstm.tasks.tokenizer import Tokenizer
from lstm.training.streams import carried_on, carried_state


def sample(
    model: Model,
    prompt: str = "\n",
    *,
    length: int | None = 500,
    temperature: float = 1.0,
    top_k: int | None = None,
    seed: int | np.random.Generator = 0,
) -> Iterator[str]:
    """What a model that was trained on a `TextTask` writes after a prompt, a token at a time.

    The model reads the prompt and then each token that it wrote, one compiled step for each, and
    its state is carried on.

    prompt: what comes before, which is not given back; by default the end of a line.
    length: tokens to write; None: without end.
    temperature: logits are divided by it: below 1 what is likely is likelier still; 0: always the
        likeliest. top_k: only so many of the likeliest are drawn from.
    seed: the same one gives the same text.

    Raises ConfigError, at once, for a model of anything else, for what cannot be, and for
    characters of the prompt that the model does not read.

    >>> import lstm
    >>> task = lstm.TextTask("abcd" * 50, length=8)
    >>> model = lstm.Model.create(lstm.LSTM, task=task, hidden_size=8)
    >>> fitted = lstm.fit(model, task, lstm.Settings(steps=60, batch=4))
    >>> "".join(lstm.sample(model, "ab", length=6, temperature=0))
    'cdabcd'
    """
    tokenizer = way_of(model, TextTask, Tokenizer.from_config, "text", "writes")
    if length is not None:
        check_count("length", length)
    check_number("temperature", temperature, least=0)
    most = None if top_k is None else check_count("top_k", top_k)
    rng = generator(seed)
    if not isinstance(prompt, str) or not prompt:
        raise ConfigError(f"prompt= is a text of at least one character, not {prompt!r:.40}")
    read = tokenizer.encode(prompt)
    step = _stepper(model)

    def pieces() -> Iterator[str]:
        for token in read:
            logits = step(token)
        text_of = tokenizer.decoder()
        for _ in count() if length is None else range(length):
            token = drawn(logits, temperature, most, rng)
            if text := text_of(token):
                yield text
            logits = step(token)

    return pieces()


def drawn(
    logits: NDArray[Any], temperature: float, top_k: int | None, rng: np.random.Generator
) -> int:
    """The token that is drawn: of (V,) logits. Raises ConfigError for logits that are NaN.

    >>> drawn(np.array([0.0, 2.0, 1.0]), 0, None, np.random.default_rng(0))
    1
    """
    largest = logits.max()
    if not np.isfinite(largest):
        raise ConfigError("the model says nothing: what it expects next is not finite")
    if temperature == 0:
        return int(logits.argmax())
    scores = logits.astype(np.float64) - largest
    if top_k is not None and top_k < len(scores):
        scores[np.argsort(-scores, kind="stable")[top_k:]] = -np.inf
    with np.errstate(over="ignore"):  # a temperature next to 0
        shares = np.exp(scores / temperature)
    return int(rng.choice(len(shares), p=shares / shares.sum()))


def _stepper(model: Model) -> Callable[[int], NDArray[Any]]:
    """A function that reads a token and gives the logits (V,) of the next; it carries the state."""
    backward = [place for place in model.recurrent() if place.endswith(".backward")]
    if backward:
        raise ConfigError(f"a model that writes reads forward only, and this has {backward[0]}")
    token = mg.var("token", (1, 1), "int64")
    start = carried_state(model, 1)
    run = model.run(token, state=start)
    logits = mg.reshape(run.output, (model.output_size,))
    compiled = mg.function([token], logits, updates=carried_on(start, run.last))
    return lambda number: np.asarray(compiled([[number]]))
