"""The cell unrolled over a few steps: every op of the real graph, and its gradient.

Its ops stand where the cell says, or else as in the textbook's figure of it; where an op has no
place, Graphviz lays all out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

import minigrad as mg
from lstm.cells import Place
from lstm.cells.anatomy import anatomy, line_over_time
from lstm.errors import ConfigError, check_count
from lstm.figures.cell_places import COLUMN, places_of
from lstm.gradient_flow.tensors import Loss, check_batch, loss_of, variables, without_padding
from lstm.gradient_flow.tensors import Place as At
from lstm.layers import subscript
from lstm.model import Model
from lstm.params import map_leaves
from lstm.runs import Unrolled
from minigrad import Expr
from minigrad.drawing import Diagram, Scale, draw

STEPS = 3
NODES = 3_000  # more cannot be read on one sheet, and Graphviz takes minutes for them
_READOUT = 1.5 * COLUMN  # from op to op of the readout, with room for the number between
_LEFT = -150.0  # points: where the initial states stand


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
    loss, lengths, mask: as in `lstm.flow`; steps at which all is padding are left out. limit: more
    ops than so many are refused; None draws any number.
    Raises ConfigError for no steps, for too many, and for data of a wrong shape.

    >>> import lstm
    >>> model = lstm.Model.create(lstm.LSTM(input_size=2, hidden_size=4), output_size=1, seed=0)
    >>> figure = cell_unrolled(model, np.ones((5, 3, 2)), np.ones((3, 1)), steps=2)
    >>> [figure.picture.groups, figure.picture.is_placed]
    [['step t = 1', 'step t = 2'], True]
    """
    steps = check_count("steps", steps)
    xs, ys = np.asarray(xs), np.asarray(ys)
    check_batch(model, xs, ys)
    xs, ys, counts = without_padding(model, xs, ys, At(lengths=lengths, mask=mask))
    xs = xs[:steps]
    if counts is not None:  # Graphviz places masks, and fails with lanes; without padding: none
        counts = None if counts[:steps].all() else counts[:steps]
    ys = ys[:steps] if model.readout.read == "every" else ys
    steps = len(xs)
    xs_var, ys_var = variables(model, xs, ys, "target")
    told = ys_var if model.readout.read == "decoder" else None
    unrolled = model.unroll(xs_var, _start(model, xs.shape[1]), mask=counts, targets=told)
    value = (loss or loss_of(model))(unrolled.output, ys_var).named("L")
    inside = set(mg.toposort(value))
    count = sum(bool(n.args) for n in inside)
    if limit is not None and count > limit:
        raise ConfigError(
            f"{steps} steps are {count} ops, more than {limit}; "
            f"draw at most {limit * steps // count} steps, or give limit=None"
        )
    tensor = f"{xs.shape[1]}×{model.cell.hidden_size}"
    return draw(
        value,
        {xs_var: xs, ys_var: ys},
        grad=True,
        groups=_groups(unrolled, inside),
        lanes=_lanes(model, unrolled, value, inside) if counts is None else None,
        places=_places(model, unrolled, value) if counts is None else None,
        inline=[n for n in (*model.flat_params.values(), xs_var, ys_var) if n in inside],
        shapes=False,
        scale=scale,
        limit=None,
        title=(
            f"The {model.cell.heading} unrolled over {steps} step{'s' * (steps > 1)}: every "
            f"op, its values (from … to, over {tensor}: sequences × units) and its gradient ‖∂L/∂·‖"
        ),
    )


def _start(model: Model, batch: int) -> Any:
    """The initial state as leaves of their own: as one shared constant, h₀ and C₀ would be one."""
    alone = len(model.recurrent()) == 1

    def leaf(name: str, zero: Expr) -> Expr:
        return mg.param(subscript(name.rpartition(".")[2] if alone else name, 0), zero.eval())

    return map_leaves(leaf, model.initial_state(batch))


def _groups(unrolled: Unrolled, inside: set[Expr]) -> dict[str, list[Expr]]:
    """What each step adds, of what is drawn: a cell may compute what nobody reads."""
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
    line = anatomy(model.cell).line
    if line is None:
        return {}
    states = [getattr(s, line.symbol) for s in unrolled.states]
    steps = line_over_time(states, loss).steps
    whole = [states[0], *(n for step in steps for n in reversed(step))]
    return {"the cell line": [node for node in whole if node in inside]}


# --- where a cell puts things --------------------------------------------------------------------


def _places(model: Model, unrolled: Unrolled, loss: Expr) -> Mapping[Expr, Place] | None:
    cell = model.cell
    if len(unrolled.layers) > 1:
        return None
    places = places_of(cell)
    first = unrolled.states[0]._asdict()
    placed = {node: (_LEFT, places.start[p]) for p, node in first.items() if p in places.start}
    for t, values in enumerate(unrolled.values):
        named = {"x": unrolled.xs[t], **values}
        for spelled, (x, y) in places.ops.items():
            placed[_node(named, spelled)] = (x + t * places.step, y)
    read = cell.output_of(unrolled.states[-1])
    y = places.ops[cell.output][1] if cell.output in places.ops else 0.0
    end = len(unrolled.values) * places.step
    return placed | _readout_places(read, loss, end, y)


def _node(values: Mapping[str, Expr], spelled: str) -> Expr:
    """The op that "C.0" spells: the first argument of C."""
    symbol, *down = spelled.split(".")
    try:
        node = values[symbol]
        for position in down:
            node = node.args[int(position)]
    except (LookupError, ValueError):
        raise ConfigError(f"the cell has a place for {spelled!r}, but no such op") from None
    return node


def _readout_places(read: Expr, loss: Expr, x: float, y: float) -> dict[Expr, Place]:
    """What follows the state that is read in the last step, from left to right."""
    known = set(mg.toposort(read))
    rest = [
        n for n in mg.toposort(loss) if n not in known and n.args and n.op is not mg.broadcast_to.op
    ]
    return {n: (x + k * _READOUT, y) for k, n in enumerate(rest)}
