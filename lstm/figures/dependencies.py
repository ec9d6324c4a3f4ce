"""The textbook's short and long dependency: a sentence through an RNN and through an LSTM, with
what reaches each word of the gradient, and what each word tells of the answer, both measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import wrap

import numpy as np

from lstm.cells import LSTM, RNN
from lstm.errors import ConfigError
from lstm.figures.flow import EDGE, WIDE, head_height, headed
from lstm.figures.word_chain import HEIGHT, Chain, Read, folded
from lstm.gradient_flow.measuring import influence_at
from lstm.model import Model
from lstm.percents import percent
from lstm.probing import swap_influence
from lstm.tasks.france import France
from lstm.tasks.sentences import Sentences
from lstm.tasks.sky import Sky
from lstm.training import TEST_SEQUENCES, Settings, check_fits, evaluate, fit
from minigrad.drawing import charts
from minigrad.drawing.charts import Chart, Curve, Floats, Key, Sheet, Theme
from minigrad.drawing.palette import DARK, LIGHT

_OTHERS = 64  # sentences, the one that is shown and those whose words stand in for its own
_LINE, _LETTER, _AIR = 15.0, 5.9, 14.0  # points: a line, a letter's width, what is below a row
_CAPTION = "Norm of ∂y/∂x: colour and width of the lines into A"
_FILLED = (
    "A circle of x is filled, and a number says, how much of the answer goes to other words where "
    "this word is another: 0% tells nothing, 100% decides.",
    "The last circle of h is filled by the probability of what is said. Framed are the word that "
    "decides and what is said.",
)


def short_dependency(
    models: Mapping[str, Model] | None = None,
    task: Sentences | None = None,
    *,
    seed: int = 0,
    theme: Theme = "auto",
    width: float = WIDE,
) -> Chart:
    """The clouds are in the sky: what the last word is, a word a few steps back tells.

    A row for each model: the cells over the sentence, the line into each in the colour of
    ‖∂y/∂x‖, the norm of the derivative of the answer by that input (`flow.influence_on`), and each
    input filled by the share of the answer that goes elsewhere when the word is another
    (`lstm.swap_influence`). All on one scale.

    models: {heading: a model of the task}; an RNN and an LSTM unless given, trained here in two
    seconds. task: `lstm.Sky()` unless given. seed: of the sentence, and of the training. theme,
    width: as in `compare_flows`. Raises ConfigError for a model that the task does not fit.

    >>> import lstm
    >>> task = lstm.Sky(sentences=1)
    >>> models = {"untrained": lstm.Model.create(lstm.RNN, task=task, hidden_size=4)}
    >>> short_dependency(models, task).title
    'A short dependency: the clouds rest in the sky'
    """
    return _figure("A short dependency", models, task or Sky(), seed, theme, width)


def long_dependency(
    models: Mapping[str, Model] | None = None,
    task: Sentences | None = None,
    *,
    seed: int = 0,
    theme: Theme = "auto",
    width: float = WIDE,
) -> Chart:
    """I grew up in France … I speak fluent French: a word far back decides the last one.

    As `short_dependency`; task: `lstm.France(50)` unless given. Steps that tell nothing are folded,
    with a line for each into their box.
    """
    return _figure("A long dependency", models, task or France(), seed, theme, width)


def trained(cell: type[RNN] | type[LSTM], task: Sentences, seed: int = 0) -> Model:
    """A small model of a task of sentences, trained as is usual for it."""
    model = Model.create(cell, seed=seed, task=task)
    return fit(
        model, task, Settings(**{**task.usual, "seed": seed}), validate=0, progress=False
    ).model


def _figure(
    head: str,
    models: Mapping[str, Model] | None,
    task: Sentences,
    seed: int,
    theme: Theme,
    width: float,
) -> Chart:
    if models is not None and not isinstance(models, Mapping):
        raise ConfigError(f"models= takes {{heading: a model of the task}}, not {models!r:.60}")
    models = models or {kind.__name__: trained(kind, task, seed) for kind in (RNN, LSTM)}
    reads = {name: read_sentence(model, task, seed) for name, model in models.items()}
    return chart_of_reads(head, reads, theme=theme, width=width)


def chart_of_reads(
    head: str, reads: Mapping[str, Read], *, theme: Theme = "auto", width: float = WIDE
) -> Chart:
    """A row for each model, by its heading, all of one sentence."""
    told = np.max([read.told for read in reads.values()], axis=0)
    word = int(told.argmax())
    said = {name: _said(read, word) for name, read in reads.items()}
    title = f"{head}: {_shortened(reads[next(iter(reads))], word)}"
    with charts.drawn_in(theme):
        figure = _sheet(title, reads, said, told, width, DARK if theme == "dark" else LIGHT).figure
    words = "\n".join([title, *(f"{name}: {line}" for name, line in said.items())])
    return Chart(figure, title=title, description=words, theme=theme)


def _sheet(
    title: str,
    reads: Mapping[str, Read],
    said: Mapping[str, str],
    told: Floats,
    width: float,
    dress: dict[str, str],
) -> Sheet:
    """A row for each model under what is said of it, and the legend of all."""
    curves = [Curve.of(name, read.reach, read.kinds) for name, read in reads.items()]
    scale, within = charts.scale_of(curves), width - 2 * EDGE
    chain = Chain(folded(told, within), scale, within, dress, int(told.argmax()))
    key = Key(scale, charts.kinds_in(curves, scale), _CAPTION, _FILLED)
    lines = {name: wrap(text, int(within / _LETTER)) for name, text in said.items()}
    heading = 22 + _LINE * max(map(len, lines.values()))
    top, row = head_height(title, width), HEIGHT + heading + _AIR
    sheet = headed(title, width, top + row * len(reads) + key.height(within) + 8)
    for name, read in reads.items():
        sheet.text(EDGE, top, name, fontsize=13, fontweight="bold")
        for k, line in enumerate(lines[name]):
            sheet.text(EDGE, top + 20 + _LINE * k, line, fontsize=11)
        chain.draw(sheet.axes(EDGE, top + heading, within, HEIGHT), read)
        top += row
    key.draw(sheet.axes(EDGE, top, within, key.height(within)), within)
    return sheet


def read_sentence(model: Model, task: Sentences, seed: int = 0) -> Read:
    """What a model does with a sentence of a task: with the first of a batch that is the task's
    example; the words of the others are put in the place of its own. Raises ConfigError for a
    model that the task does not fit."""
    check_fits(model, task)
    xs, ys = task.batch(np.random.default_rng(seed), _OTHERS)[:2]
    word, answer = task.tokens(task.example)
    k = int(((xs == word).any(0) & (ys == answer)).argmax())
    others = np.delete(xs, k, axis=1)
    influence = influence_at(model, xs[:, [k]], ys[[k]], task.loss, len(xs))
    scores = model.output(xs[:, [k]]).eval()[0]
    return Read(
        words=task.spelled(xs[:, k]),
        told=swap_influence(model, xs[:, k], others),
        reach=np.array(influence.norms),
        kinds=influence.kinds,
        said=task.words[scores.argmax()],
        answer=task.words[ys[k]],
        sure=float(np.exp(scores - scores.max()).sum() ** -1),
        correct=evaluate(model, task, seed).correct,
    )


def _said(read: Read, word: int) -> str:
    """What came of it, in words, above all of the word that decides."""
    told, reach = percent(float(read.told[word]), 0), float(read.reach[word])
    return (
        f"“{read.words[word]}”, {len(read.words) - word} steps before “{read.answer}”, decides "
        f"{told} of the answer; ‖∂y/∂x‖ is {reach:.1e} there. Of {TEST_SEQUENCES:,} other "
        f"sentences {percent(read.correct)} get the right last word."
    )


def _shortened(read: Read, word: int) -> str:
    """The sentence that ends in the answer, and before it the one of the word that decides."""
    ends = [k for k, each in enumerate(read.words) if each == "."]
    last = max(ends, default=-1) + 1
    text = " ".join([*read.words[last:], read.answer])
    if word >= last:
        return text
    start = max((k + 1 for k in ends if k < word), default=0)
    return f"{' '.join(read.words[start : min(k for k in ends if k > word)])} … {text}"
