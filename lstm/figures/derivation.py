"""The gradient of a cell over one step, ∂Cₜ/∂Cₜ₋₁, derived from its equations term by term, with
what each term measures beside it, and in words why one cell's gradient lasts and another's fades.

The symbols are those of the equations, the matrices are typeset from the graph, and every number is
evaluated from the same expressions at the states of a flow.
"""

from __future__ import annotations

import html
import math
import textwrap
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import minigrad as mg
from lstm.cells import LSTM, RNN
from lstm.cells.anatomy import anatomy
from lstm.errors import ConfigError
from lstm.figures.derivation_symbols import BEFORE, NOW, Symbols, symbols_of
from lstm.gradient_flow import Flow, flow
from lstm.gradient_flow.source import Source
from lstm.gradient_flow.steps import Floats, Stacks
from lstm.model import Model, check_model
from lstm.tasks import Adding, make_task
from lstm.training.streams import padding_of
from minigrad import Expr
from minigrad.display import bundle, html_row

_STEPS, _HIDDEN, _BATCH = 60, 16, 8  # of the example, where no model is given
_MOST = 1 << 22  # elements of all Jacobians that are computed
_VANISHED = 1e-3  # what is left of a gradient that has


class GradientTerm(NamedTuple):
    """One summand of the gradient over a step: the product of Jacobians along one path."""

    text: str
    latex: str
    mathml: str
    through: tuple[str, ...]
    """The named values that the path passes, from the state back."""
    is_elementwise: bool
    """Whether no op of the path mixes units, so that the product is a diagonal."""
    norms: Floats
    """The spectral norm at each of the measured steps, (N,)."""

    @property
    def route(self) -> str:
        """The path in words."""
        if self.through:
            return f"through {' and '.join(self.through)}"
        return "direct" if self.is_elementwise else "through the weights"


@dataclass(frozen=True, repr=False, eq=False)
class CellGradient:
    """The gradient of one cell's state over one step; see `cell_gradient`.

    symbol: of the part of the state; terms: the summands, the direct one first; whole, others: the
    spectral norm at each measured step of their sum, and of that without the direct one, (N,);
    left: the norm of the product of the direct term over all steps, the median of the sequences;
    derivation: how it was found; flow: the states that it was measured at.
    """

    heading: str
    symbol: str
    derivation: mg.Derivation
    terms: tuple[GradientTerm, ...]
    whole: Floats
    others: Floats
    left: float
    flow: Flow

    @property
    def steps(self) -> int:
        """How many steps the direct term is multiplied over."""
        return self.flow.steps - 1

    @property
    def rate(self) -> float:
        """What the direct term multiplies by in a step, of all of them the geometric mean."""
        return self.left ** (1 / self.steps) if self.steps else math.nan

    @property
    def words(self) -> str:
        """What the terms come to over all steps."""
        if not self.steps:
            return f"{self.heading}: one step has nothing before it to measure the terms at."
        told = (
            f"{self.heading}: {self.terms[0].text} has norm {_median(self.terms[0].norms)}, and "
            f"the product of {self.steps} of them {self.left:.2g}, ×{self.rate:.3g} a step."
        )
        if len(self.terms) == 1:
            return told
        return f"{told} The other {len(self.terms) - 1} terms have norm {_median(self.others)}."

    def _head(self) -> tuple[str, str]:
        return self.symbol + NOW, self.symbol + BEFORE

    def latex(self) -> str:
        """The sum in LaTeX, under each term its path and the median of its norm."""
        above, below = map(_tex, self._head())
        shown = []
        for t in self.terms:
            path = r" \text{ and } ".join(map(_tex, t.through))
            words = rf"\text{{through }} {path}" if path else rf"\text{{{t.route}}}"
            shown.append(rf"\underbrace{{{t.latex}}}_{{{words}: \; {_median(t.norms)}}}")
        rows = r" \\ &\quad + ".join(shown)
        return (
            rf"\begin{{aligned}} \frac{{\partial {above}}}{{\partial {below}}} &= {rows} "
            r"\end{aligned}"
        )

    def __repr__(self) -> str:
        above, below = self._head()
        lines = [
            f"{self.heading}: ∂{above}/∂{below} =",
            f"  (norms: the median of {len(self.whole)} steps, the least … the largest)",
        ]
        for k, t in enumerate(self.terms):
            sign = "+ " if k else "  "
            lines += [*_wrapped(t.text, f"  {sign}"), f"      {_padded(t.route)}{_spread(t.norms)}"]
        return "\n".join([*lines, *_wrapped(self.words, "  ")])

    def html(self) -> str:
        """The terms as a table, with their formulas in MathML."""
        above, below = self._head()
        heads = (f"∂{above}/∂{below}", "path", "norm: median (least … largest)")
        rows = [html_row([*map(html.escape, heads)], "th")]
        for k, t in enumerate(self.terms):
            sign = "+ " if k else "= "
            cells = [sign + t.mathml, *map(html.escape, (t.route, _spread(t.norms)))]
            rows.append(html_row(cells, "td"))
        title, words = html.escape(self.heading), html.escape(self.words)
        return (
            f'<table><caption style="text-align: left"><b>{title}</b></caption>'
            f"<tbody>{''.join(rows)}</tbody></table><p>{words}</p>"
        )

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        """What a notebook shows: the table, LaTeX, and `repr`."""
        return bundle(self, {"text/html": self.html, "text/latex": self._math})

    def _math(self) -> str:
        return rf"$\displaystyle {self.latex()}$"


class CellGradients:
    """The gradients over a step of a model's cell and of an RNN, and what tells them apart; see
    `cell_gradient`.

    parts: one for each cell, that of the model first.
    """

    def __init__(self, parts: Sequence[CellGradient]) -> None:
        self.parts = tuple(parts)

    @property
    def words(self) -> str:
        """Why the gradient of one lasts longer than that of the other, in numbers."""
        if len(self.parts) < 2 or not self.parts[0].steps:
            return self.parts[0].words
        lasting, lost = sorted(self.parts, key=lambda part: -part.left)
        return (
            f"So over {lost.steps} steps what comes straight back in the {lost.heading} "
            f"{_fate(lost.left)} (to {lost.left:.2g}: {lost.terms[0].text} multiplies by "
            f"{lost.rate:.3g} a step), and in the {lasting.heading} it {_fate(lasting.left)} (to "
            f"{lasting.left:.2g}: {lasting.terms[0].text} multiplies by {lasting.rate:.3g} a step)."
        )

    def latex(self) -> str:
        """The sums in LaTeX, one below the other."""
        rows = r" \\[1ex] ".join(part.latex() for part in self.parts)
        return rf"\begin{{gathered}} {rows} \end{{gathered}}"

    def __repr__(self) -> str:
        told = ["\n".join(_wrapped(self.words, ""))] * (len(self.parts) > 1)
        return "\n\n".join([*map(repr, self.parts), *told])

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        """What a notebook shows: the tables, LaTeX, and `repr`."""
        kinds = {"text/html": self.html, "text/latex": lambda: rf"$\displaystyle {self.latex()}$"}
        return bundle(self, kinds)

    def html(self) -> str:
        """The tables, and the sentence after them."""
        told = f"<p>{html.escape(self.words)}</p>" * (len(self.parts) > 1)
        return "".join(part.html() for part in self.parts) + told


def _fate(left: float) -> str:
    """What a gradient does that is multiplied by that much."""
    return "vanishes" if left < _VANISHED else "explodes" if left > 1 / _VANISHED else "lasts"


def cell_gradient(
    model: Model | None = None, xs: Any = None, ys: Any = None, *, seed: int = 0, **place: Any
) -> CellGradients:
    """Derive ∂Cₜ/∂Cₜ₋₁ of a model's cell, and beside it that of an RNN of the same sizes.

    The part of the state is the cell's line, or else its output. Other parts of the state before
    are what they are of it: of an LSTM hₜ₋₁ = oₜ₋₁ * tanh(Cₜ₋₁). model: None makes an LSTM of 16
    units for the adding problem of 60 steps. xs, ys: the batch at whose states the terms are
    measured; one of the model's task where left out. place: layer, direction, lengths, mask, as of
    `lstm.flow`. An RNN stands alone. Raises ConfigError as `lstm.flow` does, and for a model that
    has no task of ours where no batch is given.

    >>> import lstm
    >>> both = lstm.figures.cell_gradient()
    >>> both.parts[0].terms[0].text, both.parts[1].terms[0].text
    ('diag(fₜ)', 'diag(1 - hₜ ^ 2) @ W_hh.T')
    """
    if model is None:
        model = Model.create(LSTM, task=Adding(_STEPS), hidden_size=_HIDDEN, seed=seed)
    check_model(model)
    if (xs is None) != (ys is None):
        raise ConfigError("a batch is both xs and ys; without either it is one of the model's task")
    if xs is None:
        if told := [name for name in ("lengths", "mask") if name in place]:
            raise ConfigError(f"{told[0]}= is of a batch: give xs and ys, too")
        task = make_task(model.task.get("name", ""), model.task.get("settings"))
        xs, ys, *_ = batch = task.batch(np.random.default_rng(seed), _BATCH)
        place |= padding_of(task, batch)
    whole = flow(model, xs, ys, **place)
    parts, source = [_measured(whole)], _source(whole)
    cell = source.meter.layer.cell
    if not isinstance(cell, RNN):
        plain = RNN(cell.input_size, cell.hidden_size, cell.dtype)
        twin = Model.create(plain, output_size=1, seed=seed)
        stacks = source.reading.stacks
        nothing = np.zeros((stacks.x.shape[1], 1), cell.dtype)
        parts.append(_measured(flow(twin, stacks.x, nothing, mask=stacks.counts)))
    return CellGradients(parts)


# --- its numbers ---------------------------------------------------------------------------------


def _measured(measured: Flow) -> CellGradient:
    """The derivation for the cell of a flow, and its terms at the flow's states."""
    source = _source(measured)
    meter = source.meter
    cell = meter.layer.cell
    line = anatomy(cell, None if meter.line is None else meter.line.symbol).line
    part = cell.output if line is None else line.symbol
    symbols = symbols_of(cell, part)
    derivation = mg.derive(symbols.now, symbols.before)
    paths = derivation.steps[-1].after.paths
    jacobians, rows = _numbers(source, symbols, [p.value for p in paths])
    terms = [
        GradientTerm(
            p.text,
            p.latex,
            p.mathml,
            tuple(n.label for n in p.nodes if n.label and n is not symbols.now),
            all(n.op.pointwise for n in p.nodes),
            _sizes(each),
        )
        for p, each in zip(paths, jacobians, strict=True)
    ]
    direct = min(
        range(len(terms)), key=lambda k: (len(terms[k].through), not terms[k].is_elementwise)
    )
    order = [direct, *(k for k in range(len(terms)) if k != direct)]
    return CellGradient(
        heading=measured.heading,
        symbol=part,
        derivation=derivation,
        terms=tuple(terms[k] for k in order),
        whole=_sizes(jacobians.sum(axis=0)),
        others=_sizes(np.delete(jacobians, direct, axis=0).sum(axis=0)),
        left=_left(jacobians[direct], rows),
        flow=measured,
    )


def _source(measured: Flow) -> Source:
    assert measured.source is not None  # it was measured just now
    return measured.source


def _numbers(
    source: Source, symbols: Symbols, values: Sequence[Expr]
) -> tuple[Floats, NDArray[np.intp]]:
    """Matrices of a step, (H, H) each, at the steps and sequences of a flow: (terms, N, H, H) of
    the steps from 2 on of the first sequences, and of which sequence each of N is."""
    meter, stacks = source.meter, source.reading.stacks
    size = len(values) * values[0].size * (stacks.steps - 1)
    width = max(1, min(stacks.x.shape[1], _MOST // max(size, 1)))
    sound = (stacks.counted[1:] & stacks.counted[:-1])[:, :width]

    def rows(symbol: str, time: str) -> Floats:
        whole = stacks.x if symbol == "x" else stacks.values[symbol]
        if symbol in stacks.before and time != NOW:  # with zoneout it is not what was computed
            whole, time = stacks.before[symbol], NOW if time == BEFORE else BEFORE
        part = whole[1:] if time == NOW else whole[:-1]
        return np.asarray(part[:, :width][sound][:, None], np.float64)

    arrays = {n: rows(*what) for n, what in symbols.known.items() if what[0] in _stacked(stacks)}
    rows_of = [mg.var(f"rows {k}", a.shape) for k, a in enumerate(arrays.values())]
    nodes = [*arrays]
    every = mg.vmap(lambda *row: mg.substitute(list(values), dict(zip(nodes, row, strict=True))))(
        *rows_of
    )
    run = mg.function([*symbols.weights.values(), *rows_of], every, backend="numpy")
    leaves = meter.model.flat_params
    held = [leaves[f"{meter.place}.{name}"].value.astype(np.float64) for name in symbols.weights]
    with np.errstate(all="ignore"):
        matrices = np.stack(run(*held, *arrays.values()))
    return matrices, np.nonzero(sound)[1]


def _stacked(stacks: Stacks) -> set[str]:
    return {"x", *stacks.values, *stacks.before}


def _sizes(matrices: Floats) -> Floats:
    """The spectral norm of each of (N, H, H); NaN of one that is not finite."""
    sound = np.isfinite(matrices).all(axis=(1, 2))
    sizes = np.full(len(matrices), np.nan)
    sizes[sound] = np.linalg.norm(matrices[sound], 2, axis=(1, 2))
    return sizes


def _left(matrices: Floats, of: NDArray[np.intp]) -> float:
    """The norm of the product over the steps of each sequence; the median of the sequences."""
    left: list[float] = []
    for b in np.unique(of):
        product = np.eye(matrices.shape[-1])
        for each in matrices[of == b]:
            product = each @ product
        sound = bool(np.isfinite(product).all())
        left.append(float(np.linalg.norm(product, 2)) if sound else math.nan)
    return float(np.median(left)) if left else math.nan


def _median(norms: Floats) -> str:
    return f"{np.median(norms):.2g}" if len(norms) else "not measured"


def _spread(norms: Floats) -> str:
    """The median, the least and the largest."""
    if not len(norms):
        return _median(norms)
    return f"{_median(norms)} ({norms.min():.2g} … {norms.max():.2g})"


def _tex(name: str) -> str:
    return mg.to_latex(mg.var(name))


def _padded(text: str) -> str:
    """Text to 40 columns, of which a tilde over a letter takes none."""
    return text + " " * (40 - sum(not unicodedata.combining(c) for c in text))


def _wrapped(text: str, indent: str) -> list[str]:
    return textwrap.wrap(text, 80, initial_indent=indent, subsequent_indent=" " * 6)
