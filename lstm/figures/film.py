"""A strip of a film: its frames, what happens in each, what models say of it, and how much each
frame moves their answer to a later one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from lstm.errors import ConfigError, check_count
from lstm.gradient_flow.measuring import influence_at
from lstm.model import Model
from lstm.tasks.movie import ACTORS, EVENTS, SIZE, Movie
from lstm.training import check_fits, check_named
from minigrad.drawing import Scale, charts
from minigrad.drawing.charts import Curve, Key
from minigrad.drawing.escape import plain

_FRAME, _GAP, _WIDTH = 46.0, 3.0, 790.0  # points: a frame, between two, a row
_EVENT, _BAR, _HIGHEST, _SAID = 15.0, 30.0, 20.0, 15.0  # heights: words, and a bar with its name
_AIR, _HEAD = 12.0, 34.0  # below a row; what a title takes, and what is above a key
_DOTS: dict[str, Any] = {"cmap": "gray", "vmin": 0.0, "vmax": 1.0, "interpolation": "none"}
_WORDS: dict[str, Any] = {"fontsize": 8.5, "ha": "center", "va": "center", "parse_math": False}
_SEEN = EVENTS[: 1 + len(ACTORS)]  # what happens where a frame alone tells it
_CAPTION = "Norm of ∂y/∂x: height and colour of a bar"
Run = tuple[int, int, Any]


@dataclass(frozen=True, eq=False)
class Watched:
    """What a model did with a film of T frames."""

    said: Sequence[str]
    """What it says of each."""
    influence: NDArray[np.float64]
    """(T,): ‖∂y/∂x_s‖, how much each frame moves what it says of one frame."""
    kinds: Sequence[Any]
    """(T,), of `influence`, as of `flow.influence_on`."""


@dataclass(frozen=True, eq=False)
class Film:
    """A film, what is right, and what models did with it."""

    frames: NDArray[np.float64]
    """(T, 12, 12)"""
    happens: Sequence[str]
    at: int
    """The frame whose answer is looked at, counted from 1."""
    watched: Mapping[str, Watched]


def watch(
    models: Mapping[str, Model], task: Movie | None = None, *, at: int | None = None, seed: int = 0
) -> Film:
    """What models of a film do with one of its films: arguments as of `plot_film`."""
    check_named(models)
    task = Movie() if task is None else task
    if not isinstance(task, Movie):
        raise ConfigError(f"task= is a film, lstm.Movie(), not {task!r:.60}")
    for model in models.values():
        check_fits(model, task)
    xs, ys = task.batch(np.random.default_rng(check_count("seed", seed, 0)), 1)
    happens = [EVENTS[k] for k in ys[:, 0]]
    untold = [t + 1 for t, event in enumerate(happens) if event not in _SEEN]
    at = max(untold, default=task.steps) if at is None else check_count("at", at)
    if at > task.steps:
        raise ConfigError(f"at= is a frame, 1 to {task.steps}, not {at}")
    return Film(
        xs.reshape(-1, SIZE, SIZE).astype(np.float64),
        happens,
        at,
        {name: _watched(model, task, xs, ys, at) for name, model in models.items()},
    )


def _watched(model: Model, task: Movie, xs: Any, ys: Any, at: int) -> Watched:
    influence = influence_at(model, xs, ys, task.loss, at)
    said = [EVENTS[k] for k in model.output(xs).eval()[:, 0].argmax(-1)]
    return Watched(said, np.array(influence.norms), influence.kinds)


def plot_film(
    models: Mapping[str, Model],
    task: Movie | None = None,
    ax: Axes | None = None,
    *,
    at: int | None = None,
    seed: int = 0,
    scale: Scale | None = None,
    title: str = "What happens in a film",
    legend: bool = True,
) -> Axes:
    """A film frame by frame, what happens in each, and for each model what it says, and how much
    the pixels of each frame move what it says of one, the norm of ∂y/∂x (`flow.influence_on`).

    models: {name: a model of `Movie`}. task: of which a film is drawn, `lstm.Movie()` unless given.
    at: the frame whose answer is looked at, framed; the last of those that earlier scenes decide
    unless given. seed: of the film. ax, scale, legend: as in `plot_norms`; the scale is one for all
    models, of what there is unless given. Raises ConfigError for a model that the task does not
    fit, and for a frame that is not.

    >>> import lstm
    >>> task = lstm.Movie(frames=4, scenes=2)
    >>> model = lstm.Model.create(lstm.LSTM, task=task, hidden_size=4)
    >>> ax = plot_film({"untrained": model}, task)
    >>> [text.get_text() for text in ax.texts][:2]
    ['nobody', '▪ finds']
    """
    film = watch(models, task, at=at, seed=seed)
    return plot_watched(film, ax, scale=scale, title=title, legend=legend)


def plot_watched(
    film: Film,
    ax: Axes | None = None,
    *,
    scale: Scale | None = None,
    title: str = "",
    legend: bool = True,
) -> Axes:
    """The chart of what models did with a film."""
    scale = scale or charts.scale_of(_curves(film))
    width = _WIDTH if ax is None else charts.points_of(ax)[0]
    rows, tall = _rows(film, width), _tall(film)
    high, key = watched_height(film, width), watched_key(film, scale)
    ax = charts.axes_with_key(ax, width, high + _HEAD, key if legend else None)
    _lay(ax, width, high)
    charts.set_title(ax, title)
    for k, row in enumerate(rows):
        _draw_row(ax, film, row, tall * k, scale)
    ax.set_aspect("equal", anchor="NW")  # after the frames, as imshow sets it, too
    return ax


def watched_height(film: Film, width: float) -> float:
    """The height in points of frames in rows of so much width, and of what stands beneath each."""
    return _tall(film) * len(_rows(film, width))


def watched_key(film: Film, scale: Scale | None = None) -> Key:
    """What heights and colours of bars mean."""
    curves = _curves(film)
    scale = scale or charts.scale_of(curves)
    notes = (f"The answer is that to the frame with a border, frame {film.at}.",)
    return Key(scale, charts.kinds_in(curves, scale), _CAPTION, notes)


def _curves(film: Film) -> list[Curve]:
    """How much each frame moves the answer, of each model."""
    return [
        Curve.of(name, row.influence[: film.at], row.kinds[: film.at])
        for name, row in film.watched.items()
    ]


def _rows(film: Film, width: float) -> list[range]:
    """The frames of each row."""
    steps, a_row = len(film.happens), max(int((width + _GAP) / (_FRAME + _GAP)), 1)
    return [range(k, min(k + a_row, steps)) for k in range(0, steps, a_row)]


def _tall(film: Film) -> float:
    """The height of a row."""
    return _FRAME + _EVENT + len(film.watched) * (_BAR + _SAID) + _AIR


def _lay(ax: Axes, width: float, height: float) -> None:
    """Axes in points, from their top left corner."""
    ax.set_axis_off()
    ax.set_xlim(0.0, width)
    ax.set_ylim(height, 0.0)


def _draw_row(ax: Axes, film: Film, row: range, top: float, scale: Scale) -> None:
    """Some frames side by side, and beneath them what is said of them."""
    for t in row:
        left = _left(t, row)
        box = (left, left + _FRAME, top + _FRAME, top)
        dots = np.clip(film.frames[t], 0.0, 1.0)
        ax.imshow(
            dots, cmap="gray", vmin=0, vmax=1, extent=box, interpolation="none", aspect="auto"
        )
        _frame(ax, left, top, t + 1 == film.at)
    y = top + _FRAME
    for first, last, event in _runs(film.happens, row):
        _write(ax, row, (first, last), y + _EVENT / 2, event, weight="bold")
    y += _EVENT
    for name, watched in film.watched.items():
        _draw_bars(ax, watched, range(row.start, min(row.stop, film.at)), y + _BAR, scale)
        pairs = zip(watched.said, film.happens, strict=True)
        says = [(event, event == right) for event, right in pairs]
        for first, last, (event, right) in _runs(says, row):
            words = f"{'✓' if right else '✗'} {event}"
            _write(ax, row, (first, last), y + _BAR + _SAID / 2, words)
        ax.text(0.0, y + 4, plain(name), fontsize=9, va="center", parse_math=False)
        y += _BAR + _SAID


def _frame(ax: Axes, left: float, top: float, is_asked: bool) -> None:
    """A line around a frame, whose white would else run into that of the page; a border around the
    one whose answer is looked at."""
    air = 1.0 if is_asked else 0.0
    color = charts.focus_color(ax) if is_asked else ax.xaxis.label.get_color()
    look: Any = {"fill": False, "edgecolor": color, "lw": 3.0 if is_asked else 0.6}
    side = _FRAME + 2 * air
    ax.add_patch(Rectangle((left - air, top - air), side, side, zorder=3, **look))


def _left(t: int, row: range) -> float:
    return (t - row.start) * (_FRAME + _GAP)


def _runs(items: Sequence[Any], row: range) -> Iterator[Run]:
    """The first and the last of frames side by side that are alike, and what they are."""
    first = row.start
    for item, group in groupby(items[row.start : row.stop]):
        count = len([*group])
        yield first, first + count - 1, item
        first += count


def _write(ax: Axes, row: range, ends: tuple[int, int], y: float, words: str, **look: Any) -> None:
    """Words in the middle of some frames, on a line as wide as they."""
    x, end = _left(ends[0], row), _left(ends[1], row) + _FRAME
    ax.text(
        (x + end) / 2, y, words, fontsize=8.5, ha="center", va="center", parse_math=False, **look
    )


def _draw_bars(ax: Axes, watched: Watched, row: range, floor: float, scale: Scale) -> None:
    """A bar for each frame, on an axis of decades; what has no place on the scale is a line."""
    bars: list[Any] = []
    lines: list[Any] = []
    for t in row:
        size, left = float(watched.influence[t]), _left(t, row)
        look, hint = scale.look(size, watched.kinds[t]), f"t={t + 1}: ‖∂y/∂x‖ = {size:.2e}"
        if look.kind == "normal":
            share = (np.log10(size) - scale.lo_exp) / (scale.hi_exp - scale.lo_exp)
            top = floor - max(min(float(share), 1.0) * _HIGHEST, 1.0)
            bars.append(((left, left + _FRAME, top, floor), look, hint))
        else:
            ends = np.array([(left, floor - 1), (left + _FRAME, floor - 1)])
            lines.append((ends, look, hint))
    if bars:
        charts.add_boxes(ax, *_columns(bars))
    if lines:
        charts.add_lines(ax, *_columns(lines))


def _columns(rows: list[Any]) -> tuple[Any, Any, Any]:
    shapes, looks, hints = zip(*rows, strict=True)
    return shapes, looks, hints
