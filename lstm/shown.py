"""What a model shows of itself: its layers, their sizes and parameters, and what it is for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lstm.cells import Cell
from lstm.layers import Attention, Layer, Readout, Stack
from lstm.params import flatten
from minigrad.display import ShownAsTable, Table, plain, settings_of

_SAID = ("input_size", "output_size", "dtype")  # in columns of their own


class ShownModel(ShownAsTable):
    """Mixin of what has layers and a readout with their parameters, and notes its task."""

    layers: Layer
    readout: Readout
    params: dict[str, Any]
    task: dict[str, Any]

    def _table(self) -> Table:
        layers = self.layers.layers if isinstance(self.layers, Stack) else {"": self.layers}
        rows = [_row(name, part, self.params) for name, part in layers.items()]
        rows.append(_row("readout", self.readout, self.params))
        return Table(self._head(), rows, heads=("layer", "", "sizes", "parameters", "memory"))

    def _head(self) -> str:
        """What it is, in a line."""
        tensors = flatten(self.params).values()
        held = _size(sum(p.size * p.dtype.itemsize for p in tensors))
        count = f"{sum(p.size for p in tensors):,} parameters"
        return f"Model{_purpose(self.task)}, {self.layers.dtype}: {count}, {held}"


def _purpose(task: Mapping[str, Any]) -> str:
    if not task:
        return ""
    settings = task.get("settings")
    named = settings.items() if isinstance(settings, Mapping) else ()
    said = ", ".join(f"{name}={value!r}" for name, value in named)
    return " for " + plain(f"{task.get('name', 'a task')}({said})"[:1000], 80)


def _row(name: str, layer: Layer, params: Mapping[str, Any]) -> tuple[str, ...]:
    """A layer: what it is, what it reads and gives, and how long its gates remember at first."""
    own = params.get(name, {}) if name else {k: p for k, p in params.items() if k != "readout"}
    held = sum(p.size for p in flatten(own).values())
    memories = [getattr(inner.cell, "memory", None) for inner in layer.recurrent().values()]
    steps = dict.fromkeys(f"{memory:g} steps" for memory in memories if memory is not None)
    sizes = f"{'tokens ' * layer.tokens}{layer.input_size} → {layer.output_size}"
    return name, _kind(layer), sizes, f"{held:,}", ", ".join(steps)


def _kind(layer: Layer) -> str:
    """The class of a layer, those of its cells and its attention, and its own numbers and words
    that are not off."""
    said = settings_of(layer, off=False)
    cells = [inner.cell for inner in layer.recurrent().values()]
    cells += [x for x in said.values() if isinstance(x, Cell)]
    names = dict.fromkeys(cell.heading for cell in cells)
    own = [type(x).__name__ for x in said.values() if isinstance(x, Attention)]
    numbers = {k: x for k, x in said.items() if isinstance(x, (int, float, str))}
    own += [f"{k}={x!r}" for k, x in numbers.items() if k not in _SAID]
    return ", ".join([" ".join([type(layer).__name__, *names]), *own])


def _size(count: int) -> str:
    """Bytes in a few characters.

    >>> _size(512), _size(13_722), _size(3 << 20), _size(5 << 30), _size(5 << 40)
    ('512 B', '13.4 KiB', '3 MiB', '5 GiB', '5.12e+03 GiB')
    """
    unit = next(k for k in (3, 2, 1, 0) if count >= 1024**k or not k)
    return f"{count / 1024**unit:.3g} {('B', 'KiB', 'MiB', 'GiB')[unit]}"
