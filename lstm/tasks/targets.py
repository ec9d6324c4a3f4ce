"""Targets as people hold them, one a sequence: labels or numbers, at the end or at every step."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

import minigrad as mg
from lstm.arguments import first_wrong
from lstm.errors import ConfigError, check_count
from lstm.losses import binary_cross_entropy, cross_entropy, huber, mae, mse
from lstm.tasks.sequences import Array, array_of, require_finite, rows_of
from minigrad import Expr
from minigrad.names import did_you_mean

LOSSES: dict[str, Callable[..., Expr]] = {
    "cross_entropy": cross_entropy,
    "binary_cross_entropy": binary_cross_entropy,
    "mse": mse,
    "mae": mae,
    "huber": huber,
}
"""By name; any function of a prediction and a target serves as well."""
MOST = 1_000_000
"""So many classes or tokens are no mistake only where they are asked for."""
FEW, HALF, RARE = 20, 0.5, 0.1
"""Of more than so many whole numbers, those of which more than half differ, as scikit-learn's
`type_of_target` has it, or that leave nine of ten classes out, may be quantities."""


class Targets(NamedTuple):
    """Targets, and what they ask of a model."""

    rows: list[Array]
    """One a sequence: () or (T,) of labels; (O,) or (T, O) of numbers."""
    labels: bool
    """Whether they are integers, each a class."""
    every: bool
    """Whether there is one for each step."""
    outputs: int
    """O: as many as there are classes, or numbers in a target."""


def targets_of(
    ys: Any,
    xs: Sequence[Array],
    *,
    loss: Any = None,
    readout: str | None = None,
    outputs: int | None = None,
    cut: bool = False,
) -> Targets:
    """The targets of sequences, (T, ...) each, as `ArrayTask` takes them.

    loss: integers are labels unless it names one of numbers. readout, outputs: None where the
    targets say it. cut: whether those of every step may go on beyond a sequence's end.
    Raises ConfigError for what does not fit.
    """
    rows = _checked(ys, len(xs))
    labels = rows[0].dtype.kind == "i" and (
        loss is None or callable(loss) or loss_of(loss, True) is cross_entropy
    )
    every = _every(rows, xs, readout, labels=labels, cut=cut)
    if every:
        for k, (row, x) in enumerate(zip(rows, xs, strict=True)):
            if len(row) != len(x) and not (cut and len(row) > len(x)):
                hint = _one_label(rows) if labels else ""
                raise ConfigError(f"ys[{k}] is of {len(row)} steps, and xs[{k}] of {len(x)}{hint}")
        rows = [row[: len(x)] for row, x in zip(rows, xs, strict=True)]
    for k, row in enumerate(rows):
        require_finite(f"ys[{k}]", row)
    if labels:
        return Targets(rows, True, every, _classes(rows, outputs))
    rows = [row.astype(np.float64) if row.dtype.kind == "i" else row for row in rows]
    rows = [row[..., None] if row.ndim == every else row for row in rows]
    width = rows[0].shape[-1]
    if outputs not in (None, width):
        raise ConfigError(f"output_size is {outputs!r:.40}, but a target has {width} numbers")
    return Targets(rows, False, every, width)


def loss_of(loss: Any, labels: bool) -> Callable[..., Expr]:
    """The loss that is named, or given; of labels the cross entropy, else the mean square.

    Raises ConfigError for what is no loss.
    """
    if loss is None:
        return cross_entropy if labels else mse
    if callable(loss):
        function: Callable[..., Expr] = loss
        return function
    if not isinstance(loss, str) or loss not in LOSSES:
        hint = did_you_mean(loss, LOSSES) if isinstance(loss, str) else ""
        raise ConfigError(
            f"loss= is one of {', '.join(LOSSES)}, or a function of a prediction and a target, "
            f"not {loss!r:.40}{hint}"
        )
    return LOSSES[loss]


def counted(target: Any) -> Any:
    """Which targets, an array or an expression, are none of padding: of each sequence, or of each
    step, (T, B). Labels of padding are below 0, numbers NaN."""
    return target >= 0 if target.dtype.kind == "i" else ~np.isnan(target[..., 0])


def check_loss(loss: Callable[..., Expr], prediction: Expr, target: Expr) -> Expr:
    """What a loss of one's own makes of them. Raises ConfigError where that is no scalar."""
    try:
        made = loss(prediction, target)
    except TypeError as error:  # such as a function without mask=
        raise ConfigError(f"loss= cannot be called with what it is given: {error}") from error
    if not isinstance(made, Expr) or made.shape != () or made.dtype.kind != "f":
        said = f"{made.type!r}" if isinstance(made, Expr) else f"{made!r:.40}"
        raise ConfigError(
            f"loss= must give a scalar expression, such as minigrad.mean(...), and not {said}"
        )
    return made


def graph_checksum(loss: Expr) -> str | None:
    """A number that other graphs do not have, but by chance; None of one that no text can hold."""
    try:
        return f"{zlib.crc32(mg.dumps(loss).encode()):08x}"
    except mg.GraphError:  # there is code of Python's in it: mg.custom_vjp
        return None


def doubt(rows: Sequence[Array], name: str, kind: str, count: str) -> str | None:
    """What to say of whole numbers that look like quantities, not like classes or tokens; None of
    others. name, kind: what they are and are taken for. count: the argument that says how many.

    >>> doubt([np.arange(3)], "ys", "classes", "output_size") is None
    True
    """
    numbers = np.concatenate([np.ravel(row) for row in rows])
    whole, seen, most = len(numbers), len(np.unique(numbers)), int(numbers.max()) + 1
    if seen > HALF * whole > HALF * FEW:
        what = f"{name} are {whole:,} whole numbers of which {seen:,} differ"
    elif seen < RARE * most > RARE * FEW:
        what = f"{name} are whole numbers up to {most - 1:,} of which {seen:,} are seen"
    else:
        return None
    return (
        f"{what}: they are taken for {most:,} {kind}. If they are quantities, give floats, "
        f"np.asarray({name}, float). If they are {kind}, {count}={most} says so; "
        f"np.unique({name}, return_inverse=True)[1] counts those that are seen"
    )


def _checked(ys: Any, count: int) -> list[Array]:
    """Integers or floats of one number of axes, and of one dtype."""
    rows = [_numbers(k, row) for k, row in enumerate(rows_of("ys", ys))]
    if len(rows) != count:
        raise ConfigError(
            f"there are {count} sequences and {len(rows)} targets: xs[k] is a sequence, (T, I), "
            "and ys[k] what is to be said of it"
        )
    for k, row in enumerate(rows):
        if (row.ndim, row.shape[1:]) != (rows[0].ndim, rows[0].shape[1:]):
            raise ConfigError(f"ys[{k}] is of shape {row.shape}, and ys[0] of {rows[0].shape}")
        if row.ndim > 2 or 0 in row.shape:
            raise ConfigError(
                f"ys[{k}] must be a label or a number, (O,) numbers, or (T,) labels or (T, O) "
                f"numbers of every step, not {row.shape}"
            )
    dtype = np.result_type(*{row.dtype for row in rows})
    return [row.astype(dtype) for row in rows]


def _numbers(k: int, row: Any) -> Array:
    array = array_of(row)
    if array.dtype.kind not in "biuf":
        text = "; numpy.unique(ys, return_inverse=True)[1] are labels of names"
        hint = text if array.dtype.kind in "US" else ""
        raise ConfigError(f"ys[{k}] is neither labels nor numbers: {row!r:.40}{hint}")
    if array.dtype.kind == "f":
        return array if array.dtype == np.float32 else array.astype(np.float64)
    return array.astype(np.int64)


def _every(
    rows: Sequence[Array], xs: Sequence[Array], readout: str | None, *, labels: bool, cut: bool
) -> bool:
    """Whether the targets are of every step. Raises ConfigError where they do not say."""
    if not (readout is None or (isinstance(readout, str) and readout in ("last", "every"))):
        raise ConfigError(f"readout= is 'last' or 'every', not {readout!r:.40}")
    axes, widths = rows[0].ndim, {len(row) for row in rows if row.ndim}
    if axes == 1 and not labels and readout is None:
        pairs = zip(map(len, rows), map(len, xs), strict=True)
        fits = all(own == steps or (cut and own > steps) for own, steps in pairs)
        if fits and len(widths) == 1:
            raise ConfigError(
                f"ys[0] may be {len(rows[0])} numbers at the end or one at each of its steps: "
                "give readout='last' or readout='every'"
            )
        every = fits
    else:
        every = axes == 2 or (axes == 1 and (labels or readout == "every"))
    if axes == 2 and labels:
        raise ConfigError(
            f"ys[0] is labels of shape {rows[0].shape}: give one a sequence or one a step; floats "
            "are numbers"
        )
    if readout not in (None, "every" if every else "last"):
        raise ConfigError(f"readout is {readout!r}, but ys[0] is of shape {rows[0].shape}")
    if not every and len(widths) > 1:
        raise ConfigError(
            f"ys have {min(widths)} to {max(widths)} numbers: give as many for each sequence, or "
            "one for each of its steps"
        )
    return every


def _one_label(rows: Sequence[Array]) -> str:
    """What to write where there may be a label a sequence, in a row of its own."""
    if all(len(row) == 1 for row in rows):
        return ": for a label of each sequence give ys[:, 0]"
    if len({len(row) for row in rows}) == 1 and all(sorted(row)[-2:] == [0, 1] for row in rows):
        return ": of rows of 0 and one 1, labels are ys.argmax(-1)"
    return ""


def _classes(rows: Sequence[Array], outputs: int | None) -> int:
    """How many classes there are. Raises ConfigError for a label that is none."""
    classes = max(2, *(int(row.max()) + 1 for row in rows))
    if outputs is not None:
        classes = check_count("output_size", outputs)
    elif classes > MOST:
        raise ConfigError(
            f"ys have a label {classes - 1}: integers are classes, 0, 1 …; floats are numbers to "
            "predict; for so many classes give output_size="
        )
    for k, row in enumerate(rows):
        wrong = (row < 0) | (row >= classes)
        if wrong.any():
            label = first_wrong(row, wrong, "is no class")
            hint = "; quantities are floats" if outputs is None else ""
            raise ConfigError(
                f"ys: label {label}, of sequence {k}: they are 0 to {classes - 1}{hint}"
            )
    return classes
