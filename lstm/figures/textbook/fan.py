"""Attention as a fan: in what shares each step of a decoder reads the annotations, the encoder's
steps below it.

The ops of a step's attention are one box, with the weights that the model computed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from lstm.cells import LSTM
from lstm.errors import ConfigError, check_count
from lstm.figures.textbook.canvas import chart_of, paper_of, themed
from lstm.figures.textbook.module import tex
from lstm.figures.textbook.notation import END, WORDS, Box, Paper, extent
from lstm.layers import mask_given, subscript
from lstm.model import Model, check_model
from lstm.tasks.reverse import Reverse
from lstm.training import Settings, fit
from minigrad.drawing.charts import Chart, Floats, Theme, share_style
from minigrad.drawing.escape import plain

MOST = 8
"""More steps that are read, or said, cannot be read on one slide."""
NUMBERED = 6
"""Of up to so many annotations the weights are written in their boxes."""
STEPS, _STRING = 500, "bead"  # of the training of a model for the figure: two seconds
_PORT, _BARE = 1.2, 0.6  # from one line of a fan to the next, with numbers and without
_CELL, _OPEN, _LEAST = 1.3, 1.5, 3.0  # the heights of cells and of attentions, the least width
_APART, _STUB = 1.8, 0.5  # between steps of the decoder; wires to what is read and given
_TOKEN = 2 * END + 1.1  # from an attention up to its cell, with what it reads of a token
_FAN = 3.0, 6.5  # the height of a fan: at least, at most
_ENCODER = 1.9, 3.4  # from one step of the encoder to the next: at least, at most
_LETTERS, _KEY = 0.42, 2.5  # the height of numbers; the room for what looks mean
_SHARES, _SAMPLE = (0.1, 0.25, 0.5, 0.75, 1.0), 2.3  # in the key, and from one to the next
_ANNOTATION, _STATE, _CONTEXT = "h", "s", "c"  # the symbols of Bahdanau, Cho & Bengio
_MEANING = (
    f"share of an annotation {_ANNOTATION} in the context {_CONTEXT}",
    f"the state {_STATE} before a step is the query",
)


@themed
def attention_fan(
    model: Model | None = None,
    xs: Any = None,
    ax: Axes | None = None,
    *,
    read: Sequence[str] | None = None,
    said: Sequence[str] | None = None,
    step: int | None = None,
    lengths: Any = None,
    mask: Any = None,
    theme: Theme = "auto",
) -> Chart:
    """What each step of a decoder reads of the encoder's steps (Bahdanau, Cho & Bengio 2015, figure
    1): their annotations in a row, and above them for each token that is said the attention, a fan
    of lines of the width and the colour of its weights. The sum c goes into the decoder's cell, and
    with the state after it into what is said.

    model: without one, a small one that has learned in seconds to reverse strings.
    xs, lengths, mask: as `model.run` takes them; of a batch the first sequence is shown, and what
    the model itself says of it. read, said: a word for each step that counts and for each token, in
    the place of x₁ and y₁; tokens beyond those are left out. step: that step's fan alone, counted
    from 1, the others faint. ax, theme: as in `whole_cell`. Raises ConfigError for a model without
    attention, for more than 8 steps read or said, and for what does not fit.

    >>> import lstm
    >>> task = lstm.Reverse(longest=3)
    >>> model = lstm.Model.create(lstm.LSTM, task=task, hidden_size=4, attention="dot")
    >>> xs, lengths = task.tokens(["a"])
    >>> print(attention_fan(model, xs, lengths=lengths, said="a").description)
    Attention: what each step of the decoder reads
    c₁ = 1.00 h₁
    """
    if model is None:
        if xs is not None:
            raise ConfigError("xs= goes with model=, which reads it")
        model, xs, read, said = _reversing()
    times, weights = _measured(check_model(model), xs, lengths, mask)
    inputs = _words(read, [f"x{subscript('', t)}" for t in times], "read", whole=True)
    tokens = [f"y{subscript('', u)}" for u in range(1, len(weights) + 1)]
    outputs = _words(said, tokens, "said", whole=False)
    weights = weights[: len(outputs)]
    _check_shown(weights, step)
    fan = _Fan(model, times, weights, inputs, [tex("y₀"), *outputs], step)
    paper = paper_of(fan.box, ax, theme)
    fan.draw(paper)
    return chart_of(paper, "Attention: what each step of the decoder reads", fan.told(), theme)


def _reversing() -> tuple[Model, Any, Sequence[str], Sequence[str]]:
    """A model that has learned to reverse strings, a string, and it and what is said in words."""
    task = Reverse(longest=len(_STRING), shortest=len(_STRING))
    model = Model.create(LSTM, task=task, hidden_size=16, seed=0, attention="additive")
    fit(model, task, Settings(steps=STEPS, seed=0), validate=0, progress=False)
    xs, _ = task.tokens([_STRING])
    (said,) = task.said(model.run(xs).output.eval().argmax(-1))
    return model, xs, _STRING, [*said, "end"][: len(_STRING) + 1]


def _measured(model: Model, xs: Any, lengths: Any, mask: Any) -> tuple[list[int], Floats]:
    """The steps of the first sequence that count, from 1, and (U, S) what each token is made of."""
    if not model.readout.attends:
        raise ConfigError(
            "a fan is of attention, which this model does not have: "
            'lstm.Model.create(..., readout="decoder", attention="additive") does'
        )
    xs = np.asarray(xs)
    counts = mask_given(xs.shape, lengths, mask) if xs.ndim > 1 else None
    attention = model.run(xs, mask=counts).attention
    assert attention is not None
    steps = np.arange(len(xs)) if counts is None else np.flatnonzero(counts.eval()[:, 0])
    weights: Floats = attention.eval()[:, 0][:, steps].astype(np.float64)
    return [int(t) + 1 for t in steps], weights


def _check_shown(weights: Floats, step: int | None) -> None:
    """Raise ConfigError for more than can be read, and for a step that is not there."""
    if max(weights.shape) > MOST:
        raise ConfigError(
            f"a fan for each of {len(weights)} tokens over {weights.shape[1]} steps is more than "
            f"can be read, {MOST} each; lstm.plot_alignment draws any number as a table"
        )
    if step is not None and check_count("step", step) > len(weights):
        raise ConfigError(f"step={step}, but {len(weights)} tokens are shown")


def _words(
    words: Sequence[str] | None, symbols: Sequence[str], name: str, *, whole: bool
) -> list[str]:
    """The words of circles: their own, as plain text, or symbols. whole: each has one."""
    if words is None:
        return [tex(symbol) for symbol in symbols]
    try:
        texts = [plain(word, 12).replace("$", r"\$") for word in words]
    except TypeError:
        raise ConfigError(f"{name}= are words, a list or a text, not {words!r:.40}") from None
    if not 1 <= len(texts) <= len(symbols) or (whole and len(texts) < len(symbols)):
        most = "" if whole else "1 to "
        raise ConfigError(f"{name}= takes {most}{len(symbols)} words here, not {len(texts)}")
    return texts


@dataclass(frozen=True)
class _Fan:
    """Where all stands, in units; the decoder's first attention begins at 0, what is read at the
    bottom, with its lower edge at 0."""

    model: Model
    times: Sequence[int]
    weights: Floats
    inputs: Sequence[str]
    outputs: Sequence[str]
    """Of each token, with the one before the first."""
    chosen: int | None

    # --- places ----------------------------------------------------------------------------------

    @property
    def port(self) -> float:
        return _PORT if len(self.times) <= NUMBERED else _BARE

    @property
    def column(self) -> float:
        """The width of a step of the decoder."""
        return max(len(self.times) * self.port + 0.3, _LEAST)

    @property
    def wide(self) -> float:
        return len(self.weights) * (self.column + _APART) - _APART

    @property
    def apart(self) -> float:
        """From one step of the encoder to the next."""
        return float(np.clip(self.wide / len(self.times), *_ENCODER))

    @property
    def first(self) -> float:
        """The middle of the encoder's first step."""
        return self.wide / 2 - self.apart * (len(self.times) - 1) / 2

    @property
    def annotated(self) -> float:
        """The upper edge of annotations."""
        return 4 * END + 2 * _STUB + _CELL

    @property
    def low(self) -> float:
        """The lower edge of attentions."""
        return self.annotated + float(np.clip(0.18 * self.wide, *_FAN))

    @property
    def box(self) -> Box:
        edge = self.first - self.apart / 2
        top = self.low + _OPEN + _TOKEN + _CELL + _STUB + 2 * END + 0.2
        left = min(edge, -_APART - 0.9)
        right = max(self.wide + 0.3, self.wide - edge, left + len(_SHARES) * _SAMPLE + 0.6)
        return left, -_KEY, right, top

    def middles(self) -> Iterator[float]:
        for k in range(len(self.times)):
            yield self.first + k * self.apart

    def told(self) -> Iterator[str]:
        """What each context is made of, in words."""
        for u, row in enumerate(self.weights, 1):
            shares = zip(row, self.times, strict=True)
            parts = [f"{share:.2f} {subscript(_ANNOTATION, t)}" for share, t in shares]
            yield f"{subscript(_CONTEXT, u)} = {' + '.join(parts)}"

    # --- what is drawn ---------------------------------------------------------------------------

    def draw(self, paper: Paper) -> None:
        self._encoder(paper)
        for u in range(len(self.weights)):
            lit = self.chosen in (None, u + 1)
            if lit:
                self._fan(paper, u)
            self._step(paper, u, lit)
        self._key(paper)

    def _encoder(self, paper: Paper) -> None:
        """What is read, the recurrent layers, if any, and the annotations."""
        low, layers = 2 * END + _STUB, self.model.recurrent().values()
        high, half = low + _CELL, self.apart / 2 - 0.35
        heading = " + ".join(dict.fromkeys(layer.cell.heading for layer in layers))
        middles = [*self.middles()]
        for x, t, words in zip(middles, self.times, self.inputs, strict=True):
            paper.end((x, END), words, "reads")
            into = low if layers else high + _STUB
            paper.wire([(x, 2 * END), (x, into)], arrow=0.0, label=f"x → {t}")
            if layers:
                frame = x - half, low, x + half, high
                _closed(paper, frame, heading, True, f"encoder {t}")
                paper.wire([(x, high), (x, high + _STUB)], arrow=0.0, label=f"{t} → annotation")
            paper.end((x, high + _STUB + END), tex(subscript(_ANNOTATION, t)), "gives")
        ways = {layer.reverse for layer in layers}
        for reverse in ways:
            y = (low + high) / 2 + (len(ways) - 1) * (-0.3 if reverse else 0.3)
            for left, right in pairwise(middles):
                way = [(left + half, y), (right - half, y)]
                paper.wire(way[::-1] if reverse else way, arrow=0.0, label="state")

    def _fan(self, paper: Paper, u: int) -> None:
        """The lines of a step, the widest last, which lies above the others."""
        middles, row = [*self.middles()], self.weights[u]
        for k in np.argsort(row, kind="stable"):
            way = [(middles[k], self.annotated), (self._port(u, int(k)), self.low)]
            label = f"{subscript(_ANNOTATION, self.times[k])} → {subscript(_CONTEXT, u + 1)}"
            paper.wire(way, look=share_style(float(row[k])), label=f"{label}: {row[k]:.4f}")

    def _port(self, u: int, k: int) -> float:
        """Where the line of the k-th annotation comes into an attention."""
        middle = u * (self.column + _APART) + self.column / 2
        return middle + (k - (len(self.times) - 1) / 2) * self.port

    def _step(self, paper: Paper, u: int, lit: bool) -> None:
        """A step of the decoder: its attention, the token before, its cell, what it says."""
        left = u * (self.column + _APART)
        right, top = left + self.column, self.low + _OPEN
        low = top + _TOKEN
        high, number = low + _CELL, u + 1
        paper.cell((left, self.low, right, top), lit=lit, label=f"attention {number}")
        numbered = lit and len(self.times) <= NUMBERED
        height = top - 0.45 if numbered else (self.low + top) / 2
        paper.words(((left + right) / 2, height), "attention", lit=lit, size=_LETTERS)
        for k, share in enumerate(self.weights[u] if numbered else ()):
            at = self._port(u, k), self.low + 0.45
            paper.words(at, f"{share:.2f}", size=_LETTERS)
        heading = self.model.readout.cell.heading  # type: ignore[attr-defined]
        _closed(paper, (left, low, right, high), heading, lit, f"decoder {number}")
        x, token = left + 0.68 * self.column, left + 0.28 * self.column
        paper.wire([(x, top), (x, low)], arrow=0.0, lit=lit, label=f"context {number}")
        at = x + 0.2, (top + low) / 2
        paper.words(at, tex(subscript(_CONTEXT, number)), lit=lit, ha="left")
        paper.end((token, low - _STUB - END), self.outputs[u], "reads", lit=lit)
        paper.wire([(token, low - _STUB), (token, low)], arrow=0.0, lit=lit, label="token")
        middle = (left + right) / 2
        paper.wire([(middle, high), (middle, high + _STUB)], arrow=0.0, lit=lit, label="said")
        paper.end((middle, high + _STUB + END), self.outputs[number], "gives", lit=lit)
        self._state(paper, left, (low + high) / 2, lit, u)

    def _state(self, paper: Paper, left: float, y: float, lit: bool, u: int) -> None:
        """The state before a step: it goes into the cell, and is the query of the attention."""
        start, turn, low = left - _APART, left - _APART / 2, self.low + _OPEN / 2
        symbol = tex(subscript(_STATE, u))
        paper.wire([(start, y), (left, y)], arrow=0.0, lit=lit, label=f"state {u}")
        way = [(turn, y), (turn, low), (left, low)]
        paper.wire(way, arrow=0.0, lit=lit, label=f"query {u + 1}")
        paper.words((turn, y + 0.2), symbol, lit=lit, va="bottom")

    def _key(self, paper: Paper) -> None:
        """What width and colour mean, and which way is the query's."""
        x, y = self.box[0] + 0.3, -0.75
        for share in _SHARES:
            paper.wire([(x, y), (x + 0.9, y)], look=share_style(share), label="_")
            paper.words((x + 1.05, y), f"{share:g}", size=_LETTERS, ha="left", color="muted")
            x += _SAMPLE
        for words in _MEANING:
            y -= 0.65
            paper.words((self.box[0] + 0.3, y), words, size=_LETTERS, ha="left", color="muted")


def _closed(paper: Paper, frame: Box, heading: str, lit: bool, label: str) -> None:
    """A closed cell, its heading as large as there is room."""
    size = min(1.3 * WORDS, 0.85 * (frame[2] - frame[0]) / max(extent(heading, 1.0)[0], 1.0))
    paper.cell(frame, heading, lit=lit, size=size, label=label)
