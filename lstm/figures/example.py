"""One sequence of a task, seen closely: the picture that shows what models do with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import takewhile
from textwrap import wrap
from typing import Any, NamedTuple

from matplotlib.axes import Axes

from lstm.figures.answers import plot_alignment, plot_caption
from lstm.figures.film import plot_watched, watch, watched_height, watched_key
from lstm.figures.flow import ALONE, EDGE, WIDE, head_height, headed
from lstm.figures.forecast import plot_forecast, title_of
from lstm.figures.gender import chart_of_known, has_gates, known_by
from lstm.figures.speech import hear, plot_heard
from lstm.forecasting import forecast_of
from lstm.model import Model
from lstm.tasks import Task
from lstm.training import random_streams
from minigrad.drawing import charts
from minigrad.drawing.charts import Chart, Theme
from minigrad.drawing.escape import plain

Models = Mapping[str, Model]
_LINE, _GAP = 17.0, 34.0  # points: a line above a panel, and what is below it
_LETTER, _ABOVE, _BESIDE = 22.0, 34.0, 64.0  # of an alignment: a cell's side, what is around them
_ROWS, _FORECAST, _LEGEND = 200, 210.0, 26.0  # of a table: rows that are shown, heights
_FILM, _CAPTION = 800.0, 600.0  # widths at most
_NARROWEST = 420.0  # of a figure, where there is as much width


def chart_of_example(
    models: Models,
    task: Task,
    *,
    seed: int = 0,
    theme: Theme = "auto",
    width: float | None = None,
) -> Chart | None:
    """What models of a task do with one of its sequences, which no training of that seed draws;
    None where there is no such picture. models: {heading: model}. theme, width: as in
    `compare_flows`.

    Of a film it is the strip of frames, of captions and of strings what attention looks at, of
    texts in which words agree the units that know gender and number, of speech the word as it is
    heard, and of a table its last rows, in the test, over what was said of them.
    """
    draw = _EXAMPLES.get(task.close_up)
    return None if draw is None else draw(models, task, seed, theme, width or WIDE)


class _Panel(NamedTuple):
    """What is drawn of one model, on axes of a size."""

    head: str
    draw: Callable[[Axes], Any]
    wide: float
    high: float
    left: float = 0.0
    above: float = 0.0
    """Room at its left, and above it, for what stands beside the axes."""


def _stacked(
    title: str, said: str, panels: Sequence[_Panel], theme: Theme, width: float
) -> Chart | None:
    """A panel for each model, one below the other; None of none. said: what is seen, in words."""
    if not panels:
        return None
    needed = 2 * EDGE + max(panel.left + panel.wide for panel in panels)
    wide = min(max(needed, _NARROWEST), width)
    heads = [wrap(plain(panel.head, 200), int((wide - 2 * EDGE) / 8.2)) for panel in panels]
    top = head_height(title, wide)
    high = sum(
        _LINE * len(lines) + panel.above + panel.high + _GAP
        for lines, panel in zip(heads, panels, strict=True)
    )
    with charts.drawn_in(theme):
        sheet = headed(title, wide, top + high)
        for lines, panel in zip(heads, panels, strict=True):
            for line in lines:
                sheet.text(EDGE, top, line, fontsize=12, fontweight="bold")
                top += _LINE
            top += panel.above
            panel.draw(sheet.axes(EDGE + panel.left, top, panel.wide, panel.high))
            top += panel.high + _GAP
    return Chart(sheet.figure, title=title, description=said, theme=theme)


def _film(models: Models, task: Any, seed: int, theme: Theme, width: float) -> Chart:
    film, title = watch(models, task, seed=seed), "A film, frame by frame"
    said = (
        "Frames, and in bold what happens; beneath, for each model, what it says, and how much "
        f"each frame moves its answer to frame {film.at}."
    )
    wide = min(width, _FILM)
    within, key = wide - 2 * EDGE, watched_key(film)
    top, high = head_height(title, wide), watched_height(film, within)
    with charts.drawn_in(theme):
        sheet = headed(title, wide, top + high + key.height(within) + 8)
        plot_watched(film, sheet.axes(EDGE, top, within, high), legend=False)
        key.draw(sheet.axes(EDGE, top + high, within, key.height(within)), within)
    return Chart(sheet.figure, title=title, description=said, theme=theme)


def _speech(models: Models, task: Any, seed: int, theme: Theme, width: float) -> Chart:
    heard = hear(models, task, seed=seed)
    title = f"“{heard.word}”, heard"
    with charts.drawn_in(theme):
        ax = plot_heard(heard, title=title, width=min(width, 640.0))
    words = "\n".join([title, *(f"{name}: {line}" for name, line in heard.said.items())])
    return Chart(ax.figure, title=title, description=words, theme=theme)


def _agreement(models: Models, task: Any, seed: int, theme: Theme, width: float) -> Chart | None:
    """Of the last model that has the gates that are drawn."""
    gated = [name for name, model in models.items() if has_gates(model)]
    if not gated:
        return None
    known = known_by(models[gated[-1]], task, seed=seed)
    return chart_of_known(known, of=gated[-1], theme=theme, width=width)


def _attending(models: Models) -> dict[str, Model]:
    return {name: m for name, m in models.items() if m.readout.attends}


def _answer(model: Model, task: Any, xs: Any, **ends: Any) -> tuple[list[str], Any]:
    """What a model with attention says, going on with what it says, and its weights (U, S)."""
    run: Any = model.run(xs, **ends)
    return task.said(run.output.eval().argmax(-1)), run.attention.eval()[:, 0]


def _head(name: str, text: str) -> str:
    return f"{name}: {text}" if text else f"{name} says nothing"


def _caption(models: Models, task: Any, seed: int, theme: Theme, width: float) -> Chart | None:
    """A picture, and where each model looks for each word that it says; a word's object is framed
    as long as all words are right."""
    rng = random_streams(seed).test
    scenes = task.scenes(rng, 1)
    xs, _ = task.drawn(rng, scenes)
    picture, words, named = task.pictures(xs)[0], task.words(scenes[0]), task.named(scenes[0])
    within, panels = min(width, _CAPTION) - 2 * EDGE, []
    for name, model in _attending(models).items():
        (text,), weights = _answer(model, task, xs)
        said = text.split()
        pairs = zip(said, words, strict=False)
        right = len([*takewhile(lambda pair: pair[0] == pair[1], pairs)])
        boxes = [thing and thing.box for thing in named[:right]]
        boxes += [None] * (len(said) - right)

        def draw(ax: Axes, weights: Any = weights, said: Any = said, boxes: Any = boxes) -> None:
            plot_caption(picture, weights, said, ax, boxes=boxes, title="")

        if said:
            high = charts.veiled_height(len(said), within)
            panels.append(_Panel(_head(name, text), draw, within, high))
        else:
            panels.append(_Panel(_head(name, text), Axes.set_axis_off, within, 1.0))
    seen = (
        "The picture shines through where the model looks for each word that it says; the object "
        "that a word names is framed as long as all words are right."
    )
    return _stacked(f"A picture: {' '.join(words)}", seen, panels, theme, width)


def _alignment(models: Models, task: Any, seed: int, theme: Theme, width: float) -> Chart | None:
    """A string, and which of its letters each model with attention looks at for each that it
    says."""
    xs, ys, lengths = task.batch(random_streams(seed).test, 1)
    read = [task.letters[k - 1] for k in xs[: lengths[0], 0]]
    (answer,) = task.said(ys)
    panels = []
    for name, model in _attending(models).items():
        (text,), weights = _answer(model, task, xs, lengths=lengths)
        said = [*text, "end"][: len(ys)]
        side = min(_LETTER, (width - 2 * EDGE - _BESIDE) / len(read))

        def draw(ax: Axes, weights: Any = weights, said: Any = said) -> None:
            plot_alignment(weights, read, said, ax, title="", legend=False)

        room = side * len(read), side * len(said)
        panels.append(_Panel(_head(name, text), draw, *room, _BESIDE, _ABOVE))
    seen = (
        "What each letter of an answer, from the top, was made of: the area of a box is the weight "
        "of the letter that is read above it."
    )
    title = f"“{''.join(read)}” is to be answered “{answer}”"
    return _stacked(title, seen, panels, theme, width)


def _forecast(models: Models, task: Any, seed: int, theme: Theme, width: float) -> Chart | None:
    """The last rows of a table, of those that are the test."""
    tests = task.held_out("test", random_streams(seed).test, 1, _ROWS)
    last = min(sum(len(batch[1]) for batch in tests) + task.reading.horizon, _ROWS)
    panels = []
    for name, model in models.items():
        told = forecast_of(model, task.columns, last)

        def draw(ax: Axes, told: Any = told) -> None:
            plot_forecast(told, ax, last=None)
            ax.set_title("")  # which stands above already

        wide = min(width, ALONE) - 2 * EDGE - _BESIDE
        room = wide, _FORECAST, _BESIDE, _LEGEND
        panels.append(_Panel(f"{name}: {title_of(told)}", draw, *room))
    seen = (
        "The end of the table, which neither trained the models nor chose them; rows with a plus "
        "are yet to come."
    )
    return _stacked(f"The last rows: {task.reading.target}", seen, panels, theme, width)


_Draw = Callable[[Models, Any, int, Theme, float], "Chart | None"]
_EXAMPLES: Mapping[str, _Draw] = {
    "film": _film,
    "speech": _speech,
    "agreement": _agreement,
    "caption": _caption,
    "alignment": _alignment,
    "forecast": _forecast,
}
"""By what `Task.close_up` calls them."""
