"""A row of cells over the words of a sentence, each word lit by what it tells of the answer.

In the textbook's notation: a cell for each step, its input below it, what it puts out above. The
word that decides and the answer stand out by their frames; how far their circles are filled is
measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, groupby
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Circle, FancyBboxPatch
from numpy.typing import NDArray

from lstm.layers import subscript
from lstm.percents import percent
from minigrad.drawing import Scale
from minigrad.drawing.charts import add_lines
from minigrad.drawing.escape import plain

HEIGHT = 226.0
"""Of a row, in points."""
TOLD = 0.1
"""A word that changes so much of the answer is shown, however long the sentence is."""
_COLUMN, _FOLD = 70.0, 2  # from a cell to the next, in points; columns of what is folded
_LEAST = 6  # columns there are, however narrow
_ANSWER, _OUT, _CELL, _IN, _WORD, _NUMBER = 11.0, 44.0, 100.0, 164.0, 197.0, 217.0  # heights
_RADIUS, _TALL, _AIR, _HEAD = 15.0, 22.0, 11.0, 5.0  # of a circle and a cell; beside; an arrow's
_FRAME = 4.0  # from a word to its frame
_CENTRED: dict[str, Any] = {"ha": "center", "va": "center", "parse_math": False}
Point = tuple[float, float]
Run = tuple[int, int]


@dataclass(frozen=True, eq=False)
class Read:
    """What a model did with a sentence."""

    words: Sequence[str]
    """T of them."""
    told: NDArray[np.float64]
    """(T,): the share of the answer that each word changes; see `lstm.swap_influence`."""
    reach: NDArray[np.float64]
    """(T,): the norm of the derivative of the answer by each word's input."""
    kinds: Sequence[Any]
    """(T,), of `reach`, as of `flow.influence_on`."""
    said: str
    """What it answers."""
    answer: str
    """What is right."""
    sure: float
    """The probability that it gives to what it says."""
    correct: float
    """The share of other sentences whose last word it gets right."""

    def hint(self, step: int) -> str:
        """What a word's line tells who points at it."""
        return f"{plain(self.words[step], 12)}, t={step + 1}: ‖∂y/∂x‖ = {self.reach[step]:.2e}"


def folded(told: NDArray[np.float64], width: float) -> list[Run]:
    """`_folded` in a row of so many points."""
    return _folded(told, max(int(width / _COLUMN), _LEAST))


def _folded(told: NDArray[np.float64], columns: int) -> list[Run]:
    """Runs of steps, (first, one after the last): one step each, or several that are folded, so
    that no more columns are taken than there are. The last step stays, then come those that tell
    something, those beside them, and those near the ends.

    >>> _folded(np.array([0.0, 0.9, *[0.0] * 40]), 7)
    [(0, 1), (1, 2), (2, 3), (3, 40), (40, 41), (41, 42)]
    """
    steps = len(told)
    if steps <= columns:
        return _runs({*range(steps)}, steps)
    telling = [k for k in np.argsort(-told, kind="stable").tolist() if told[k] >= TOLD]
    ends = chain.from_iterable((k, steps - 2 - k) for k in range(steps))
    shown = {steps - 1}
    for k in chain(telling, [t + 1 for t in telling], [t - 1 for t in telling], ends):
        more = shown | ({k} & {*range(steps)})
        if sum(map(_columns, _runs(more, steps))) <= columns:
            shown = more
    return _runs(shown, steps)


def _runs(shown: set[int], steps: int) -> list[Run]:
    runs: list[Run] = []
    for is_shown, group in groupby(range(steps), lambda k: k in shown):
        run = list(group)
        if is_shown or len(run) <= _FOLD:
            runs += [(k, k + 1) for k in run]
        else:
            runs.append((run[0], run[-1] + 1))
    return runs


def _is_one(run: Run) -> bool:
    return run[1] - run[0] == 1


def _columns(run: Run) -> int:
    return 1 if _is_one(run) else _FOLD


# --- what a row is made of -----------------------------------------------------------------------


@dataclass(frozen=True)
class Chain:
    """Rows that are drawn alike: on one scale, with the same steps folded, in one dress."""

    runs: Sequence[Run]
    scale: Scale
    width: float
    """In points."""
    dress: dict[str, str]
    decides: int
    """The step of the word that decides."""

    def draw(self, ax: Axes, read: Read) -> None:
        """Draw a row on axes that hold nothing else, `width` points wide and HEIGHT high.

        The fill of a word's circle is what it tells, and of the last step's output how sure the
        answer is; the line from a word into the cell is what reaches it of the gradient, on the
        scale.
        """
        ax.set_axis_off()
        ax.set_xlim(0.0, self.width)
        ax.set_ylim(HEIGHT, 0.0)
        wide = self.width / sum(map(_columns, self.runs))
        ends = np.cumsum([0.0, *(wide * _columns(run) for run in self.runs)])
        for k, run in enumerate(self.runs):
            left, right = float(ends[k]) + _AIR, float(ends[k + 1]) - _AIR
            self._draw_cell(ax, left, right, "A" if _is_one(run) else f"A × {run[1] - run[0]}")
            is_last = k + 1 == len(self.runs)
            if not is_last:
                self._draw_wire(ax, right, right + 2 * _AIR)
            if _is_one(run):
                self._draw_step(ax, read, run[0], (left + right) / 2)
                self._draw_out(ax, run[1], (left + right) / 2, read if is_last else None)
            else:
                self._draw_steps(ax, read, run, (left, right))

    def _draw_cell(self, ax: Axes, left: float, right: float, words: str) -> None:
        box = FancyBboxPatch(
            (left, _CELL - _TALL),
            right - left,
            2 * _TALL,
            boxstyle="round,pad=0,rounding_size=8",
            facecolor=self.dress["group"],
            edgecolor=self.dress["wire"],
            lw=1.3,
        )
        ax.add_patch(box)
        ax.text((left + right) / 2, _CELL, words, fontsize=13, **_CENTRED)

    def _draw_wire(self, ax: Axes, start: float, end: float) -> None:
        wire = self.dress["wire"]
        ax.plot([start, end - _HEAD], [_CELL, _CELL], color=wire, lw=1.6)
        ax.scatter([end - _HEAD], [_CELL], marker=">", s=26, color=wire, lw=0)

    def _draw_step(self, ax: Axes, read: Read, step: int, x: float) -> None:
        """The circle of a word, its line into the cell, the word, and how much it tells."""
        told, decides = float(read.told[step]), step == self.decides
        ends = np.array([(x, _IN - _RADIUS), (x, _CELL + _TALL + _HEAD)])
        look = self._look(read, step)
        add_lines(ax, [ends], [look], [read.hint(step)])
        ax.scatter([x], [_CELL + _TALL + _HEAD], marker="^", s=30, color=look.color, lw=0)
        self._draw_circle(ax, (x, _IN), subscript("x", step + 1), told, decides)
        weight = "bold" if decides or told >= TOLD else "normal"
        self._write(ax, (x, _WORD), plain(read.words[step], 12), decides, weight=weight)
        ax.text(x, _NUMBER, share(told), fontsize=11, weight=weight, **_CENTRED)

    def _draw_steps(self, ax: Axes, read: Read, run: Run, ends: Point) -> None:
        """Of steps that are folded a line for each into the cell, and the most that one tells."""
        steps = range(*run)
        edges = np.linspace(ends[0] + 4, ends[1] - 4, len(steps) + 1)
        lines = [np.array([(x, _IN), (x, _CELL + _TALL + 2)]) for x in (edges[1:] + edges[:-1]) / 2]
        looks = [self._look(read, t) for t in steps]
        widest = 0.7 * float(edges[1] - edges[0])
        add_lines(ax, lines, looks, [read.hint(t) for t in steps], widest=widest)
        x, most = sum(ends) / 2, float(read.told[slice(*run)].max())
        ax.text(x, _WORD, f"… {len(steps)} words …", fontsize=12.5, **_CENTRED)
        ax.text(x, _NUMBER, f"0% … {share(most)}" if most else "0%", fontsize=11, **_CENTRED)

    def _draw_out(self, ax: Axes, step: int, x: float, read: Read | None) -> None:
        """What a cell puts out: of the last one the answer, of the others nothing that is read."""
        color = self.dress["wire" if read is None else "ink"]
        ax.plot([x, x], [_CELL - _TALL, _OUT + _RADIUS + _HEAD], color=color, lw=1.6)
        ax.scatter([x], [_OUT + _RADIUS + _HEAD], marker="^", s=26, color=color, lw=0)
        sure = 0.0 if read is None else read.sure
        self._draw_circle(ax, (x, _OUT), subscript("h", step), sure, read is not None)
        if read is not None:
            mark = "✓" if read.said == read.answer else "✗"
            words = f"{mark} {plain(read.said, 12)} {share(read.sure)}"
            end = min(x + _RADIUS + _AIR, self.width - _FRAME)
            self._write(ax, (end, _ANSWER), words, True, weight="bold", ha="right")

    def _write(self, ax: Axes, at: Point, words: str, is_framed: bool, **look: Any) -> None:
        """A word; the one that decides, and the answer, in a frame."""
        box = {"facecolor": "none", "edgecolor": self.dress["focus"], "lw": 2.0}
        framed = {"bbox": {"boxstyle": f"round,pad={_FRAME / 12.5}", **box}} if is_framed else {}
        ax.text(*at, words, fontsize=12.5, **(_CENTRED | framed | look))

    def _draw_circle(
        self, ax: Axes, middle: Point, words: str, filled: float, is_framed: bool
    ) -> None:
        """A circle that is filled as far as a share says, in the colour of focus."""
        page, focus, ink = self.dress["page"], self.dress["focus"], self.dress["ink"]
        ring, wide = (focus, 2.6) if is_framed else (self.dress["wire"], 1.3)
        ax.add_patch(Circle(middle, _RADIUS, facecolor=page, edgecolor="none"))
        ax.add_patch(Circle(middle, _RADIUS, facecolor=focus, edgecolor="none", alpha=filled))
        ax.add_patch(Circle(middle, _RADIUS, facecolor="none", edgecolor=ring, lw=wide))
        ax.text(*middle, words, fontsize=11.5, color=page if filled > 0.5 else ink, **_CENTRED)

    def _look(self, read: Read, step: int) -> Any:
        return self.scale.look(float(read.reach[step]), read.kinds[step])


def share(told: float) -> str:
    """A share in words, and in signs what `percent` has no room for.

    >>> share(0.98765), share(0.0002), share(1e-9), share(1 - 1e-9)
    ('99%', '0.02%', '< 0.1%', '> 99.9%')
    """
    return percent(told, 0).replace("less than", "<").replace("more than", ">")
