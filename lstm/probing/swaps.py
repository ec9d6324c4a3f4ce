"""What each input tells: how far the answer changes where another stands in its place."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

import minigrad as mg
from lstm.arguments import array
from lstm.errors import ConfigError
from lstm.model import Model, check_model

_ROWS = 2048  # sequences that are run at a time


def swap_influence(model: Model, xs: Any, others: Any) -> NDArray[np.float64]:
    """How far a model's answer changes where each of its inputs is another sequence's, (T,).

    xs: one sequence, (T, I), or (T,) of tokens. others: N of the same task, (T, N, I) or (T, N), as
    of `task.batch`. The answer is a distribution over classes, softmax of the readout of the last
    step. Each input xs[t] is put in the place of others[t, n], for each n where they differ, and
    the number at t is the mean over those of Σ |p - p′| / 2, the share of the probability that
    goes to other classes: 0 where the input tells nothing, 1 where it decides all. It is 0, too,
    where no other sequence has another input.

    A derivative tells what a small change would do (`lstm.flow(...).influence`), and falls to 0
    where a unit is saturated; this tells what the word itself does. All is computed in float64.
    Raises ConfigError for data of a wrong shape.

    >>> import lstm
    >>> task = lstm.France(distance=6)
    >>> model = lstm.Model.create(lstm.LSTM, task=task)
    >>> xs, _ = task.batch(np.random.default_rng(0), 9)
    >>> swap_influence(model, xs[:, 0], xs[:, 1:])[:4].tolist()  # always: I grew up in
    [0.0, 0.0, 0.0, 0.0]
    """
    own, rest = array(xs, "xs"), array(others, "others")
    if check_model(model).readout.read != "last" or not own.ndim == rest.ndim - 1 > 0:
        raise ConfigError(
            "xs is one sequence, (T,) or (T, I), others (T, N) or (T, N, I), and the model reads "
            f"the last step; not {own.shape}, {rest.shape}, read {model.readout.read!r}"
        )
    if (*rest.shape[:1], *rest.shape[2:]) != own.shape or not rest.size:
        raise ConfigError(f"others are like xs, {own.shape}, side by side, not {rest.shape}")
    differs = (rest != own[:, None]).reshape(*rest.shape[:2], -1).any(-1)
    steps, which = np.nonzero(differs)
    changed = np.repeat(own[:, None], len(steps) + 1, axis=1)
    changed[steps, np.arange(len(steps))] = rest[steps, which]
    answers = _answers(model, changed)
    moved = np.abs(answers[:-1] - answers[-1]).sum(-1) / 2
    total = np.bincount(steps, moved, len(own))
    shares: NDArray[np.float64] = total / np.maximum(differs.sum(1), 1)
    return shares


def _answers(model: Model, xs: NDArray[Any]) -> NDArray[np.float64]:
    """The distributions after each sequence, (N, O)."""
    wide = model.with_dtype("float64")
    kind = "int64" if model.layers.tokens else "float64"
    rows = min(_ROWS, xs.shape[1])
    batch = mg.var("xs", (len(xs), rows, *xs.shape[2:]), kind)
    run = mg.function([batch], mg.softmax(wide.output(batch), axis=-1))
    starts = range(0, xs.shape[1], rows)
    parts = [xs[:, min(k, xs.shape[1] - rows) :][:, :rows].astype(kind) for k in starts]
    made = [run(part)[-(xs.shape[1] - k) :] for part, k in zip(parts, starts, strict=True)]
    return np.concatenate(made)
