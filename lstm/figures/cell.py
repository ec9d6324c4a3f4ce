"""The cell unrolled over a few steps: every op of the real graph, and its gradient.

Its ops stand where the cell says, or else as in the textbook's figure of it; where an op has no
place, Graphviz lays all out.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

import minigrad as mg
from lstm.cells.anatomy import anatomy, line_over_time
from lstm.errors import ConfigError, check_count
from lstm.figures.layer_places import Sheet, sheet_of
from lstm.gradient_flow.tensors import Loss, check_batch, loss_of, variables, without_padding
from lstm.gradient_flow.tensors import Place as At
from lstm.layers import Decoder, subscript
from lstm.model import Model
from lstm.params import map_leaves
from lstm.runs import Unrolled
from minigrad import Expr
from minigrad.drawing import Diagram, Scale, draw

STEPS = 3
NODES = 3_000  # more cannot be read on one sheet, and Graphviz takes minutes for them


def cell_unrolled(
    model: Model,
    xs: Any,
    ys: Any,
    steps: int = STEPS,
    scale: Scale | None = None,
    *,
    loss: Loss | None = None,
    limit: int | None = NODES,
    lengths: Any = None,
    mask: Any = None,
) -> Diagram:
    """Draw the model over the first `steps` of xs (T, B, I), with every op and its gradient.

    The sequence is cut after `steps`, so that nothing is hidden: the loss is that of the cut one.
    So is what a decoder shall say; its steps stand above those that are read, and between them the
    attention.
    loss, lengths, mask: as in `lstm.flow`; steps at which all is padding are left out. limit: more
    ops than so many are refused; None draws any number.
    Raises ConfigError for no steps, for too many, and for data of a wrong shape.

    >>> import lstm
    >>> model = lstm.Model.create(lstm.LSTM(input_size=2, hidden_size=4), output_size=1, seed=0)
    >>> figure = cell_unrolled(model, np.ones((5, 3, 2)), np.ones((3, 1)), steps=2)
    >>> [figure.picture.groups, figure.picture.is_placed]
    [['step t = 1', 'step t = 2'], True]
    """
    place = At(lengths=lengths, mask=mask)
    xs, ys, counts = _cut(model, xs, ys, check_count("steps", steps), place)
    steps = len(xs)
    xs_var, ys_var = variables(model, xs, ys, "target")
    told = ys_var if model.readout.read == "decoder" else None
    unrolled = model.unroll(xs_var, _start(model, xs.shape[1]), mask=counts, targets=told)
    value = (loss or loss_of(model))(unrolled.output, ys_var).named("L")
    inside = set(mg.toposort(value))
    count = sum(bool(n.args) for n in inside)
    _check_limit(steps, count, limit)
    sheet = sheet_of(model, unrolled.layers, value) if counts is None else None
    over = f"{steps} step{'s' * (steps > 1)}"
    if model.readout.read == "decoder":
        over += f" and {len(ys)} token{'s' * (len(ys) > 1)}"
    tensor = f"{xs.shape[1]}×{model.cell.hidden_size}"
    return draw(
        value,
        {xs_var: xs, ys_var: ys},
        grad=True,
        groups=_groups(unrolled, inside, sheet),
        lanes=_lanes(model, unrolled, value, inside) if counts is None else None,
        places=None if sheet is None else sheet.places,
        bends=None if sheet is None else sheet.bends,
        inline=[n for n in (*model.flat_params.values(), xs_var, ys_var) if n in inside],
        shapes=False,
        scale=scale,
        limit=None,
        title=(
            f"The {model.cell.heading} unrolled over {over}: every op, "
            f"its values (from … to, over {tensor}: sequences × units) and its gradient ‖∂L/∂·‖"
        ),
    )


def _check_limit(steps: int, count: int, limit: int | None) -> None:
    """Raise ConfigError where so many steps are more ops than the limit."""
    if limit is not None and count > limit:
        raise ConfigError(
            f"{steps} steps are {count} ops, more than {limit}; "
            f"draw at most {limit * steps // count} steps, or give limit=None"
        )


def _cut(
    model: Model, xs: Any, ys: Any, steps: int, place: At
) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.bool_] | None]:
    """The first steps of a batch, its targets, and which steps count; None: all of them do."""
    xs, ys = np.asarray(xs), np.asarray(ys)
    check_batch(model, xs, ys)
    xs, ys, counts = without_padding(model, xs, ys, place)
    if counts is not None:  # Graphviz places masks, and fails with lanes; without padding: none
        counts = None if counts[:steps].all() else counts[:steps]
    return xs[:steps], ys if model.readout.read == "last" else ys[:steps], counts


def _start(model: Model, batch: int) -> Any:
    """The initial state as leaves of their own: as one shared constant, h₀ and C₀ would be one."""
    alone = len(model.recurrent()) == 1

    def leaf(name: str, zero: Expr) -> Expr:
        return mg.param(subscript(name.rpartition(".")[2] if alone else name, 0), zero.eval())

    return map_leaves(leaf, model.initial_state(batch))


def _groups(unrolled: Unrolled, inside: set[Expr], sheet: Sheet | None) -> dict[str, list[Expr]]:
    """What each step adds, of what is drawn: a cell may compute what nobody reads."""
    if sheet is not None:
        return {title: [*nodes] for title, nodes in sheet.steps.items()}
    groups: dict[str, list[Expr]] = {}
    seen = set(mg.toposort([*unrolled.states[0]]))
    for t, values in enumerate(unrolled.values, 1):
        nodes = [n for n in mg.toposort([*values.values()]) if n not in seen and n.args]
        groups[f"step t = {t}"] = [n for n in nodes if n in inside]
        seen.update(nodes)
    return groups


def _lanes(
    model: Model, unrolled: Unrolled, loss: Expr, inside: set[Expr]
) -> dict[str, list[Expr]]:
    """The cell line: C₀ → × → + → C₁ → …, for a cell that has one, as far as it is drawn: with
    zoneout no loss comes of the last C."""
    lanes: dict[str, list[Expr]] = {}
    cells = {place: layer.cell for place, layer in model.recurrent().items()}
    if isinstance(model.readout, Decoder):
        cells["readout"] = model.readout.cell
    for place, cell in cells.items():
        line = anatomy(cell).line
        if line is not None:
            states = [getattr(s, line.symbol) for s in unrolled.layers[place].states]
            steps = line_over_time(states, loss).steps
            whole = [states[0], *(n for step in steps for n in reversed(step))]
            title = "the cell line" if len(unrolled.layers) == 1 else f"{place}: the cell line"
            lanes[title] = [node for node in whole if node in inside]
    return lanes
