"""Gender and number in the state: which units carry each, and what gates do at a new subject."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf
from textwrap import wrap
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from lstm.cells import LSTM
from lstm.cells.anatomy import anatomy
from lstm.errors import ConfigError, check_count
from lstm.figures.flow import EDGE, WIDE, head_height, headed
from lstm.figures.line_looks import look_of_line
from lstm.figures.token_text import plot_text
from lstm.gradient_flow import flow
from lstm.model import Model
from lstm.percents import percent
from lstm.probing import Inquiry, Probe
from lstm.tasks.agreement import FEATURES, Agreement
from lstm.training import Settings, check_fits, fit
from minigrad.drawing import charts
from minigrad.drawing.charts import Chart, Sheet, Theme

_TEXTS, _UNITS = 200, 3  # texts that are probed; units that are taken away
_SEED, _STEPS = 3, 600  # of a model whose units carry one feature each
_TEXT, _BANDS, _BARS, _GAP, _LETTER = 66.0, 80.0, 90.0, 34.0, 5.9  # points
_KEY, _BESIDE = 40.0, 600.0  # at the right of the gates; a width that has room for both bars
_GATES = "f", "i"
_ASKED = {"gender": "pronouns", "number": "verbs"}


@dataclass(frozen=True, eq=False)
class Known:
    """What a model's units know of the subject."""

    words: Sequence[str]
    """Of one text."""
    subjects: Sequence[int]
    """The steps at which there is a new subject."""
    probes: Mapping[str, Probe]
    """By feature."""
    units: Mapping[str, list[int]]
    """By feature, those that tell it best by themselves, the best one first."""
    right: Mapping[str, Mapping[str, float]]
    """{feature whose units remember nothing, or "" for none: {feature: how often what it decides
    agrees}}"""
    values: Mapping[str, NDArray[Any]]
    """{symbol: (T, H)}, what the steps computed on that text."""
    part: str
    gates: Mapping[str, Mapping[str, tuple[float, float]]]
    """{feature: {gate: the mean, over all texts, of that of its best unit at new subjects, and at
    all other steps}}"""

    @property
    def said(self) -> list[str]:
        """What was found, a sentence for each feature."""
        lines = []
        for feature, asked in _ASKED.items():
            probe, other = self.probes[feature], next(f for f in _ASKED if f != feature)
            units = ", ".join(str(k + 1) for k in self.units[feature])
            without = self.right[feature]
            lines.append(
                f"{feature.capitalize()}: a linear probe of {probe.part} reads it at "
                f"{percent(probe.accuracy)} of steps (chance {percent(probe.chance)}), unit "
                f"{self.units[feature][0] + 1} alone at {percent(probe.by_unit.max())}. Without "
                f"the memory of units {units}, {percent(without[feature])} of {asked} agree, and "
                f"{percent(without[other])} of {_ASKED[other]}. At a new subject "
                + " and ".join(f"{g} is {a:.2f}" for g, (a, _) in self.gates[feature].items())
                + " on average, elsewhere "
                + " and ".join(f"{b:.2f}" for _, b in self.gates[feature].values())
                + "."
            )
        return lines


def has_gates(model: Model) -> bool:
    """Whether a model's cell has the gates that are drawn."""
    return {*_GATES} <= {*anatomy(model.cell).gates}


def known_by(
    model: Model, task: Agreement | None = None, *, units: int = _UNITS, seed: int = 0
) -> Known:
    """Probe a model of `Agreement` for the gender and the number of the subject, and take from it
    the memory of the units that tell each best. Raises ConfigError for another task's model, and
    for one without gates f and i."""
    task = Agreement() if task is None else task
    check_fits(model, task)
    if not has_gates(model):
        raise ConfigError(f"a cell of kind {model.cell.name} has no gates {' and '.join(_GATES)}")
    xs, ys = task.batch(np.random.default_rng(seed), _TEXTS)
    features, count = task.features(xs), check_count("units", units)
    inquiry = Inquiry(model, xs)
    probes = {name: inquiry.probe(features[name]) for name in FEATURES}
    best = {name: probe.ranked[:count] for name, probe in probes.items()}
    asked = {"gender": (ys == 0) | (ys == 1), "number": ys >= 2}
    right = {}
    for name, taken in {"": [], **best}.items():
        said = inquiry.without(taken).argmax(-1) == ys
        right[name] = {f: float(said[steps].mean()) for f, steps in asked.items()}
    measured, new = flow(model, xs, ys, task.loss), task.subjects(xs)
    return Known(
        words=task.spelled(xs[:, 0]),
        subjects=np.flatnonzero(new[:, 0]).tolist(),
        probes=probes,
        units=best,
        right=right,
        values={name: stack[:, 0] for name, stack in measured.values.items()},
        part=measured.main.symbol,
        gates={
            feature: {
                gate: (float(stack[new].mean()), float(stack[~new].mean()))
                for gate in _GATES
                for stack in [measured.values[gate][..., taken[0]]]
            }
            for feature, taken in best.items()
        },
    )


def gender_and_number(
    model: Model | None = None,
    task: Agreement | None = None,
    *,
    seed: int = 0,
    theme: Theme = "auto",
    width: float = WIDE,
) -> Chart:
    """Where an LSTM keeps gender and number: for each, a text coloured by tanh C of the unit that
    tells it best; the gates of that unit, with a line at each new subject; and how often pronouns
    and verbs agree with and without the memory of the three units that tell most.

    model: of `Agreement`, with gates f and i; an LSTM of 8 units unless given, trained here in
    seconds. task: what it was trained for. seed: of the texts. theme, width: as in `compare_flows`.
    Raises ConfigError as `known_by` does.
    """
    task = Agreement() if task is None else task
    if model is None:
        model = Model.create(LSTM, seed=_SEED, task=task)
        settings = Settings(**{**task.usual, "seed": _SEED, "steps": _STEPS})
        fit(model, task, settings, validate=0, progress=False)
    return chart_of_known(known_by(model, task, seed=seed), theme=theme, width=width)


def chart_of_known(
    known: Known, *, of: str = "", theme: Theme = "auto", width: float = WIDE
) -> Chart:
    """The figure of what was found. of: whose state it is, for the title."""
    title = "Gender and number of the subject, in units of the state" + (of and f" of the {of}")
    within = width - 2 * EDGE
    lines = [line for text in known.said for line in wrap(text, int(within / _LETTER))]
    top = head_height(title, width) + 15 * len(lines) + _GAP
    text = _TEXT if width >= WIDE else _TEXT * WIDE / width
    one = text + _BANDS + 3 * _GAP + 16
    with charts.drawn_in(theme):
        bars = (_BARS + _GAP) * (1 if within > _BESIDE else len(_ASKED))
        sheet = headed(title, width, top + one * len(_ASKED) + bars + _GAP)
        for k, line in enumerate(lines):
            sheet.text(EDGE, head_height(title, width) + 15 * k, line, fontsize=11)
        for k, feature in enumerate(_ASKED):
            _draw_feature(sheet, known, feature, (top + one * k, text), within)
        _draw_bars(sheet, known, top + one * len(_ASKED), within)
    return Chart(
        sheet.figure, title=title, description="\n".join([title, *known.said]), theme=theme
    )


def _draw_feature(
    sheet: Sheet, known: Known, feature: str, at: tuple[float, float], within: float
) -> None:
    """A text in the colours of the unit that tells a feature best, and below it that unit's
    gates."""
    unit, (top, tall) = known.units[feature][0], at
    text = sheet.axes(EDGE, top, within, tall)
    low, high = FEATURES[feature]
    values = np.tanh(known.values[known.part][:, unit])
    title = f"{feature.capitalize()} ({low}, {high}): tanh {known.part} of unit {unit + 1}"
    plot_text(known.words, values, text, largest=1.0, title=title)
    ax = sheet.axes(EDGE + 34, top + tall + _GAP, within - 34 - _KEY, _BANDS)
    _draw_gates(ax, known, unit)


def _draw_gates(ax: Axes, known: Known, unit: int) -> None:
    steps = np.arange(1, len(known.words) + 1)
    for k, gate in enumerate(_GATES):
        ax.plot(steps, known.values[gate][:, unit], lw=1.8, label=gate, **look_of_line(k))
    muted, step = ax.xaxis.label.get_color(), charts.points_of(ax)[0] / len(steps)
    end = -inf  # of the last word
    for t in known.subjects:
        ax.axvline(t + 1, color=muted, lw=0.8, ls=":")
        word = known.words[t]
        half = _LETTER * len(word) / step / 2
        if t - half > end:  # else it has no room
            ax.text(t + 1, 1.1, word, fontsize=9, ha="center", va="bottom", parse_math=False)
            end = t + half
    ax.set_xlim(0.5, len(steps) + 0.5)
    ax.set_ylim(-0.05, 1.05)
    ax.set_yticks([0.0, 1.0], ["0", "1"])
    charts.set_name(ax, f"time step t; the gates of unit {unit + 1}, and each new subject")
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=10)


def _draw_bars(sheet: Sheet, known: Known, top: float, within: float) -> None:
    """How often what a feature decides agrees: with all units, without those of each feature."""
    beside = within > _BESIDE
    column = within / len(_ASKED) if beside else within
    rows = {"": "all units", **{f: f"without those of {f}" for f in _ASKED}}
    for k, (feature, asked) in enumerate(_ASKED.items()):
        left, below = (column * k, 0.0) if beside else (0.0, (_BARS + _GAP) * k)
        ax = sheet.axes(EDGE + left + 140, top + _GAP + below, column - 160, _BARS - 20)
        sizes = [known.right[without][feature] for without in rows]
        words = [percent(size) for size in sizes]
        title = f"{asked.capitalize()} that agree"
        charts.bars(list(rows.values()), sizes, ax, words=words, title=title)
