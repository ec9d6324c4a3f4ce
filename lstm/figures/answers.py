"""Charts of models that answer sequences with sequences: where attention looks, by which ways the
gradient comes back, and up to which length answers are right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from lstm.arguments import array
from lstm.errors import ConfigError
from lstm.gradient_flow.attended import Routes, attention_routes
from lstm.gradient_flow.tensors import Loss
from lstm.model import Model
from lstm.tasks import Task
from lstm.training import TEST_SEQUENCES, check_named, correct_by_length
from minigrad import Expr
from minigrad.drawing import Scale, charts
from minigrad.drawing.charts import Curve
from minigrad.drawing.escape import plain

_LABELS = {
    "whole": "all of |∂L/∂{}ₜ|",
    "at_once": "through the attention at step t",
    "later": "through the attention at later steps",
    "start": "by the decoder's first state",
}
_SHAPES = ("o", "^", "s", "D")


def plot_alignment(
    weights: Any,
    read: Sequence[str],
    said: Sequence[str],
    ax: Axes | None = None,
    *,
    title: str = "Where the decoder looks",
    legend: bool = True,
) -> Axes:
    """What each token that is said was made of: a row of boxes over the tokens that were read, each
    of the area of its weight (Bahdanau, Cho & Bengio 2015, figure 3).

    weights: (U, S) of one sequence, as `run.attention.eval()[:, b]`. read, said: a word for each
    step and each token; what weights have beyond them, padding, is left out. ax, legend: as in
    `plot_norms`. Raises ConfigError for weights of another shape.

    >>> ax = plot_alignment([[0.1, 0.9, 0.0], [1.0, 0.0, 0.0]], "ab", "ba")
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['b', 'a']
    """
    try:
        read, said = [*read], [*said]
    except TypeError:
        raise ConfigError(
            f"read and said are words, a list or a text of letters, not {read!r:.40} and "
            f"{said!r:.40}"
        ) from None
    shares = array(weights.eval() if isinstance(weights, Expr) else weights, "weights")
    if shares.ndim != 2 or shares.shape < (len(said), 0) or shares.shape[1] < len(read):
        raise ConfigError(
            f"weights= are (U, S) of one sequence, run.attention.eval()[:, b], with {len(said)} "
            f"tokens said of {len(read)} read, or more, not {shares.shape}"
        )
    return charts.shares(
        shares[: len(said), : len(read)],
        said,
        read,
        ax,
        names=("said, from the top", "read"),
        title=title,
        legend=legend,
    )


def plot_caption(
    picture: Any,
    weights: Any,
    words: Sequence[str],
    ax: Axes | None = None,
    *,
    boxes: Sequence[Sequence[int] | None] = (),
    title: str = "Where the decoder looks for each word",
) -> Axes:
    """A picture, and then the same for each word that is said of it: it shines through where the
    decoder looks (Xu et al., "Show, attend and tell", 2015, figure 2); returns the axes.

    picture: (H, W, 3), of red, green and blue from 0 to 1. weights: (U, S) of one caption, as
    `run.attention.eval()[:, b]`, over S patches in rows from the upper left one, as many in a row
    as rows. words: one a row; what weights have beyond them is left out. boxes: for each word the
    patches of the object that it names, or None: they are framed, and how much of the weights they
    have is written beneath. ax: axes that hold nothing else; new ones unless given. Raises
    ConfigError or ShapeError for what does not fit.

    >>> import numpy as np
    >>> ax = plot_caption(np.zeros((4, 4, 3)), [[0.9, 0.1, 0, 0]], ["red"], boxes=[[0]])
    >>> [text.get_text() for text in ax.texts]
    ['the picture', 'red', '90 % in its box']
    """
    shares = array(weights.eval() if isinstance(weights, Expr) else weights, "weights")
    if isinstance(words, Sequence) and shares.ndim == 2:
        shares = shares[: len(words)]
    return charts.veiled(picture, shares, words, ax, boxes=boxes, title=title)


def plot_attention_routes(
    model: Model,
    xs: Any,
    ys: Any,
    loss: Loss | None = None,
    ax: Axes | None = None,
    *,
    layer: int | str | None = None,
    direction: str | None = None,
    lengths: Any = None,
    mask: Any = None,
    scale: Scale | None = None,
    title: str = "",
    legend: bool = True,
) -> Axes:
    """By which ways the gradient of a decoder's loss comes back to each step that was read: through
    what its attention reads at that very step, through what it reads of later ones, to which the
    recurrence leads, or by the recurrence alone, from the state that the decoder starts from.

    Arguments are those of `lstm.flow`; the numbers are those of
    `lstm.gradient_flow.attention_routes`. ax, scale, legend: as in `plot_norms`.

    >>> import lstm, numpy as np
    >>> task = lstm.Reverse(longest=4)
    >>> model = lstm.Model.create(lstm.LSTM, task=task, hidden_size=4, attention="additive")
    >>> xs, ys, lengths = task.batch(np.random.default_rng(0), 3)
    >>> plot_attention_routes(model, xs, ys, lengths=lengths).get_title()
    'By which ways ∂L/∂Cₜ comes back'
    """
    routes = attention_routes(
        model, xs, ys, loss, layer=layer, direction=direction, lengths=lengths, mask=mask
    )
    drawn = route_curves(routes)
    words = title or f"By which ways ∂L/∂{routes.symbol}ₜ comes back"
    return charts.curves(drawn, ax, scale=scale, title=words, legend=legend)


def route_curves(routes: Routes) -> list[Curve]:
    """The norm of each part at each step."""
    marks: tuple[charts.Mark, ...] = ("", "○", "△", "□")
    return [
        Curve.of(label.format(routes.symbol), routes.norms[name], mark=mark)
        for (name, label), mark in zip(_LABELS.items(), marks, strict=True)
    ]


def plot_correct_by_length(
    models: Mapping[str, Model],
    task: Task,
    ax: Axes | None = None,
    *,
    seed: int = 0,
    sequences: int = TEST_SEQUENCES,
    title: str = "How many answers are right, by length",
) -> Axes:
    """The share of new sequences that a task counts as correct, against their length: a line with
    marks of its own for each model, by its name. The numbers are those of `lstm.correct_by_length`,
    which see for the arguments.

    >>> import lstm
    >>> task = lstm.Reverse(longest=3)
    >>> model = lstm.Model.create(lstm.RNN, task=task, hidden_size=4)
    >>> ax = plot_correct_by_length({"RNN": model}, task, sequences=50)
    >>> ax.lines[0].get_xdata().tolist(), [text.get_text() for text in ax.get_legend().texts]
    ([1, 2, 3], ['RNN'])
    """
    check_named(models)
    shares = {
        name: correct_by_length(model, task, seed=seed, sequences=sequences)
        for name, model in models.items()
    }
    ax = charts.own_axes(460.0, 230.0) if ax is None else ax
    for k, (name, by_length) in enumerate(shares.items()):
        look: Any = {"color": charts.curve_color(k), "marker": _SHAPES[k % len(_SHAPES)]}
        ax.plot([*by_length], [*by_length.values()], label=plain(name), ms=4.5, lw=1.6, **look)
    ax.set_ylim(-0.03, 1.03)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_xlabel("length of the sequence")
    ax.set_ylabel("share that is right")
    ax.grid(True, axis="y")
    for text in ax.legend(loc="best").texts:
        text.set_parse_math(False)
    charts.set_title(ax, title)
    return ax
