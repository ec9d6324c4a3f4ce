"""A model as a plain function of NumPy: source text that runs without minigrad, and its numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from lstm.cells.layer_norm import EPS
from lstm.errors import ConfigError
from lstm.in_numpy.equations import step_lines
from lstm.layers import (
    Bidirectional,
    Dropout,
    Embedding,
    Layer,
    LayerNorm,
    Readout,
    Recurrent,
    Residual,
    Stack,
)
from lstm.params import join

Array: TypeAlias = NDArray[Any]

_START = '''"""A recurrent net in NumPy alone: predict(params, xs), written by lstm."""

import numpy as np


def sigmoid(a):
    e = np.exp(-np.abs(a))  # at most 1, and small numbers keep their digits
    return np.where(a < 0, e, 1) / (1 + e)


def relu(a):
    return np.maximum(a, 0)


def below(params, place):
    """The parameters at a place, by their own names."""
    return {name[len(place) :]: params[name] for name in params if name.startswith(place)}


def each(function, steps):
    """A function of every step (T, B, F), and of each sequence's own end (B, F)."""
    return function(steps[0]), function(steps[1])


def added(steps, others):
    return steps[0] + others[0], steps[1] + others[1]


def side_by_side(steps, others):
    return tuple(np.concatenate(pair, axis=-1) for pair in zip(steps, others))


def standardised(x):
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt(np.square(centred).mean(-1, keepdims=True) + EPSILON)


def read(step, p, widths, output, steps, counts, reverse=False, zoneout=0.0):
    """What a cell gives at every step, and at each sequence's own end."""
    xs = steps[0]
    state = [np.zeros((xs.shape[1], width), xs.dtype) for width in widths]
    outputs = [None] * len(xs)
    for t in reversed(range(len(xs))) if reverse else range(len(xs)):
        made = step(p, xs[t], *state)
        if zoneout:
            made = [zoneout * old + (1 - zoneout) * new for old, new in zip(state, made)]
        state = [np.where(counts[t, :, None], new, old) for new, old in zip(made, state)]
        outputs[t] = state[output]
    return np.stack(outputs), state[output]
'''


@dataclass(frozen=True, eq=False, repr=False)
class PlainNet:
    """A function of sequences, as `Model.to_numpy` gives it."""

    source: str
    """A Python file that needs NumPy alone: `predict(params, xs, lengths=None)`."""
    params: dict[str, Array]
    """Its numbers; `numpy.savez` keeps them, and `numpy.load` gives what `predict` takes."""
    predict: Callable[..., Array]

    def __call__(self, xs: Any, lengths: Any = None) -> Array:
        """The output for xs (T, B, I), or tokens (T, B), as `Model.run(xs, lengths=…).output`.

        Raises IndexError for a token that is none.
        """
        return self.predict(self.params, xs, lengths)

    def __repr__(self) -> str:
        lines = self.source.count("\n")
        return f"PlainNet({lines} lines of source, {len(self.params)} arrays)"


def plain_net(layers: Layer, readout: Readout, values: dict[str, Array]) -> PlainNet:
    """A model's layers and readout as such a function. Raises ConfigError for a decoder, for layers
    of one's own, and for cells that compute what is not written here."""
    source = _source(layers, readout)
    names: dict[str, Any] = {}
    exec(compile(source, "<lstm>", "exec"), names)  # our own text: of names it has only literals
    return PlainNet(source, values, names["predict"])


def _source(layers: Layer, readout: Readout) -> str:
    if type(readout) is not Readout:
        raise ConfigError(f"to_numpy has no writing of a {type(readout).__name__}")
    steps: dict[str, str] = {}
    body = list(_lines(layers, "", steps))
    functions = [text.replace("def step(", f"def {name}(", 1) for text, name in steps.items()]
    which = "0" if readout.read == "every" else "1"
    values = "np.where(counts, xs, 0)" if layers.tokens else "np.where(counts[:, :, None], xs, 0)"
    start = [
        "def predict(params, xs, lengths=None):",
        '    """The output for xs, time first; lengths (B,) of sequences that end sooner."""',
        "    xs = np.asarray(xs" + (")" if layers.tokens else f", {layers.dtype!r})"),
        "    counts = np.full(xs.shape[:2], True)",
        "    if lengths is not None:",
        "        counts = np.arange(len(xs))[:, None] < np.asarray(lengths)",
        f"    xs = {values}",
        "    steps = xs, xs[counts.sum(0) - 1, np.arange(xs.shape[1])]",
    ]
    end = [
        f"    output = steps[{which}] @ params['readout.W_y'] + params['readout.b_y']",
        "    return np.where(counts[:, :, None], output, 0)"
        if which == "0"
        else "    return output",
    ]
    head = _START.replace("EPSILON", repr(EPS))
    predict = "\n".join([*start, *(f"    {line}" for line in body), *end])
    return "\n\n\n".join([head.rstrip("\n"), *functions, predict]) + "\n"


def _lines(layer: Layer, place: str, steps: dict[str, str]) -> Iterable[str]:
    """What makes `steps` what the layer gives of them; steps: the names of cells' functions."""
    kind = type(layer)
    if isinstance(layer, Stack) and kind is Stack:
        for name, part in layer.layers.items():
            yield from _lines(part, join(place, name), steps)
    elif kind is Embedding:
        table = f"params[{join(place, 'E')!r}]"
        yield "if (xs < 0).any():"
        yield "    raise IndexError('a token is below 0')"
        yield f"steps = each(lambda tokens: {table}[tokens], steps)"
    elif kind is LayerNorm:
        g, b = (f"params[{join(place, name)!r}]" for name in "gb")
        yield f"steps = each(lambda x: standardised(x) * {g} + {b}, steps)"
    elif isinstance(layer, Recurrent) and kind is Recurrent:
        yield f"steps = {_read(layer, place, steps)}"
    elif isinstance(layer, Bidirectional) and kind is Bidirectional:
        calls = [_read(one, join(place, way), steps) for way, one in layer.recurrent().items()]
        yield f"steps = side_by_side({calls[0]}, {calls[1]})"
    elif isinstance(layer, Residual) and kind is Residual:
        yield "before = steps"
        yield from _lines(layer.layer, place, steps)
        yield "steps = added(steps, before)"
    elif kind is not Dropout:
        raise ConfigError(f"to_numpy has no writing of a {kind.__name__}")


def _read(layer: Recurrent, place: str, steps: dict[str, str]) -> str:
    cell = layer.cell
    start = [zero.eval() for zero in cell.initial_state(1)]
    if any(np.any(zero) for zero in start):
        raise ConfigError(f"to_numpy starts from zeros, and the cell {cell.name} does not")
    name = steps.setdefault("\n".join(step_lines(cell)), f"step{len(steps) + 1}")
    below = f"{place}." if place else ""
    widths = [zero.shape[1] for zero in start]
    output = cell.state_type._fields.index(cell.output)
    said = f"{name}, below(params, {below!r}), {widths}, {output}, steps, counts"
    said += ", reverse=True" if layer.reverse else ""
    return f"read({said}{f', zoneout={layer.zoneout!r}' if layer.zoneout else ''})"
