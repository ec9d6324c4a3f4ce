"""The cell unrolled over a few steps: every op of the real graph, placed as the textbook does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

import minigrad as mg
from lstm.gradient_flow import loss_of
from lstm.model import Model, Unrolled, subscript
from minigrad import Expr
from minigrad.drawing import Diagram, Scale, draw

STEPS = 3
_STEP = 624.0  # points from one step to the next
_COLUMN = 106.0
_LINE, _PRODUCT, _GATE, _BIAS, _WEIGHT, _INPUT, _X = 0.0, 80.0, 160.0, 236.0, 322.0, 420.0, 494.0
Place = tuple[float, float]


def cell_unrolled(
    model: Model[Any], xs: Any, ys: Any, steps: int = STEPS, scale: Scale | None = None
) -> Diagram:
    """Draw the model over the first `steps` of xs (T, B, I), with every op and its gradient.

    The sequence is cut after `steps`, so that nothing is hidden: the loss is that of the cut one.

    >>> from lstm.cells import LSTM
    >>> model = Model.create(LSTM(input_size=2, hidden_size=4), output_size=1, seed=0)
    >>> figure = cell_unrolled(model, np.ones((5, 3, 2)), np.ones((3, 1)), steps=2)
    >>> [figure.picture.groups, figure.picture.is_placed]
    [['step t = 1', 'step t = 2'], True]
    """
    xs = np.asarray(xs)[:steps]
    ys = np.asarray(ys)
    steps = len(xs)
    xs_var = mg.var("xs", xs.shape, model.cell.dtype)
    dtype = model.cell.dtype if ys.dtype.kind == "f" else ys.dtype
    ys_var = mg.var("target", ys.shape, dtype)
    unrolled = model.unroll(xs_var, _start(model, xs.shape[1]))
    loss = loss_of(model)(unrolled.output, ys_var).named("L")
    tensor = f"{xs.shape[1]}×{model.cell.hidden_size}"
    return draw(
        loss,
        {xs_var: xs, ys_var: ys},
        grad=True,
        groups=_groups(unrolled),
        lanes=_lanes(unrolled),
        places=_places(unrolled, loss) if model.cell.name in ("lstm", "coupled") else None,
        inline=[*model.params.values(), xs_var, ys_var],
        shapes=False,
        scale=scale,
        title=(
            f"{_TITLES.get(model.cell.name, model.cell.name)} unrolled over {steps} steps: every "
            f"op, its values (from … to, over {tensor}: sequences × units) and its gradient ‖∂L/∂·‖"
        ),
    )


_TITLES = {
    "lstm": "The LSTM",
    "rnn": "The RNN",
    "gru": "The GRU",
    "peephole": "The LSTM with peepholes",
    "coupled": "The LSTM with i = 1 − f",
}


def _start(model: Model[Any], batch: int) -> Any:
    """The initial state as leaves of their own: as one shared constant, h₀ and C₀ would be one."""
    zero = np.zeros((batch, model.cell.hidden_size), model.cell.dtype)
    kind = model.cell.state_type
    return kind(*[mg.param(subscript(part, 0), zero) for part in kind._fields])


def _groups(unrolled: Unrolled[Any]) -> dict[str, list[Expr]]:
    groups: dict[str, list[Expr]] = {}
    seen = set(mg.toposort([*unrolled.states[0]]))
    for t, values in enumerate(unrolled.values, 1):
        nodes = [n for n in mg.toposort([*values.values()]) if n not in seen and n.args]
        groups[f"step t = {t}"] = nodes
        seen.update(nodes)
    return groups


def _lanes(unrolled: Unrolled[Any]) -> dict[str, list[Expr]]:
    """The cell line: C₀ → × → + → C₁ → …; the products are those of which C is a factor."""
    if "C" not in unrolled.states[0]._fields:
        return {}
    line: list[Expr] = [unrolled.states[0].C]
    for state in unrolled.states[1:]:
        kept = [n for n in state.C.args if any(a is line[-1] for a in n.args)]
        line += [*kept, state.C]
    return {"the cell line": line}


# --- where the textbook puts things ---------------------------------------------------------------


def _places(unrolled: Unrolled[Any], loss: Expr) -> Mapping[Expr, Place]:
    places: dict[Expr, Place] = {}
    h, C = unrolled.states[0]
    places[C], places[h] = (-150.0, _LINE), (-150.0, _INPUT)
    for t, values in enumerate(unrolled.values):
        left = t * _STEP
        places |= _step_places(values, unrolled.states[t].C, left)
    return places | _readout_places(unrolled, loss, (len(unrolled.values) - 1) * _STEP)


def _step_places(values: Mapping[str, Expr], C_before: Expr, left: float) -> dict[Expr, Place]:
    places: dict[Expr, Place] = {}
    for k, gate in enumerate(("f", "i", "C̃", "o")):
        x = left + k * _COLUMN
        places[values[gate]] = (x, _GATE)
        if values[gate].op.name in ("sigmoid", "tanh"):  # i = 1 - f has nothing below it
            biased = values[gate].args[0]
            places |= {biased: (x, _BIAS), biased.args[0]: (x, _WEIGHT)}
    middle = left + 1.5 * _COLUMN
    kept, added = values["C"].args
    joined = values["f"].args[0].args[0].args[0]
    places |= {kept: (left, _LINE), added: (middle, _PRODUCT), values["C"]: (middle, _LINE)}
    places |= {joined: (middle, _INPUT), joined.args[1]: (middle, _X)}
    right = left + 4.7 * _COLUMN
    squashed = values["h"].args[1]
    return places | {squashed: (right, _PRODUCT), values["h"]: (right, _INPUT)}


def _readout_places(unrolled: Unrolled[Any], loss: Expr, left: float) -> dict[Expr, Place]:
    """What follows the last h, from left to right."""
    known = set(mg.toposort(unrolled.states[-1].h))
    rest = [
        n for n in mg.toposort(loss) if n not in known and n.args and n.op.name != "broadcast_to"
    ]
    x = left + 5.8 * _COLUMN
    return {n: (x + k * _COLUMN, _INPUT) for k, n in enumerate(rest)}
