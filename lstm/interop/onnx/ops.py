"""What an op makes of the steps of recurrent layers; None where no model has that."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from lstm.errors import ConfigError
from lstm.interop.gates import Array
from lstm.interop.onnx.nodes import RecurrentNode
from lstm.interop.onnx.values import Constant, Steps, integers, is_zero, sizes
from lstm.interop.tensors import float_array


class Placed(NamedTuple):
    """A recurrent node, and what it reads."""

    node: RecurrentNode
    reads: Steps
    padded: bool
    """Whether it is told lengths."""


Layers: TypeAlias = Sequence[Placed]


def is_whole(layers: Layers, steps: Steps) -> bool:
    """Whether that is all ways of one layer, in order."""
    (layer, _), *_ = steps.ways
    return steps.ways == tuple((layer, k) for k in range(len(layers[layer].node.params)))


def embedded(E: Array, others: list[Any], attributes: dict[str, Any]) -> Steps | None:
    """The rows of a matrix for tokens."""
    tokens, axis = others[0], attributes.get("axis", 0)
    if not isinstance(tokens, Steps) or tokens.axes not in ("tb", "bt") or axis:
        return None
    if E.ndim != 2 or E.dtype.kind != "f" or not E.size:
        return None
    rows = float_array(E, "E of an embedding")
    return tokens._replace(axes=f"{tokens.axes}F", embedding=rows)


def _transposed(layers: Layers, values: list[Any], attributes: dict[str, Any]) -> Steps | None:
    steps: Steps = values[0]
    order = attributes.get("perm", [*range(len(steps.axes))][::-1])
    if sorted(order) != [*range(len(steps.axes))]:
        return None
    return steps._replace(axes="".join(steps.axes[k] for k in order))


def _squeezed(layers: Layers, values: list[Any], attributes: dict[str, Any]) -> Steps | None:
    """Without the axis of directions, of which there is one."""
    steps: Steps = values[0]
    axes = integers(values[1]) if len(values) > 1 else attributes.get("axes")
    at = steps.axes.find("D")
    if at < 0 or len(steps.ways) != 1 or axes not in ([at], [at - len(steps.axes)]):
        return None
    return steps._replace(axes=steps.axes.replace("D", ""))


def _reshaped(layers: Layers, values: list[Any], attributes: dict[str, Any]) -> Steps | None:
    """With directions side by side, (…, D, F) as (…, D·F)."""
    steps: Steps = values[0]
    shape = sizes(values[1]) if len(values) > 1 else None
    asked = [*steps.axes[:-2], "DF"]
    if shape is None or not steps.axes.endswith("DF") or len(shape) != len(asked):
        return None
    width = layers[steps.ways[0][0]].node.layer.recurrent()
    one = next(iter(width.values())).output_size
    fits = shape[-1] in (-1, "DF", one * len(steps.ways)) and shape.count(-1) <= 1
    fits &= all(isinstance(n, int) or n == axis for n, axis in zip(shape, asked, strict=True))
    return steps._replace(axes=steps.axes.replace("D", "")) if fits else None


def _gathered(layers: Layers, steps: Steps, index: Any, axis: int) -> Steps | None:
    """One direction, or of every step that which a layer ends with."""
    at = integers(index)
    if at is None or len(at) != 1 or not -len(steps.axes) <= axis < len(steps.axes):
        return None
    (k,), letter, scalar = at, steps.axes[axis], index.array.ndim == 0
    if letter == "D" and -len(steps.ways) <= k < len(steps.ways):
        axes = steps.axes.replace("D", "") if scalar else steps.axes
        return steps._replace(axes=axes, ways=(steps.ways[k],))
    if letter != "T" or not scalar or len(steps.ways) != 1:
        return None
    layer = layers[steps.ways[0][0]]
    (one,) = layer.node.layer.recurrent().values()
    if layer.padded or k != (0 if one.reverse else -1):
        return None
    return steps._replace(axes=steps.axes.replace("T", ""), part="h")


def _sliced(layers: Layers, values: list[Any], attributes: dict[str, Any]) -> Steps | None:
    """Some of the directions."""
    steps: Steps = values[0]
    said = [integers(value) for value in values[1:5]]
    if len(said) < 3 or any(n is None or len(n) != 1 for n in said):
        return None
    (start, end, axis), step = [n[0] for n in said[:3] if n], said[3:] or [[1]]
    if axis not in (steps.axes.find("D"), steps.axes.find("D") - len(steps.axes)) or step != [[1]]:
        return None
    ways = steps.ways[slice(start, end)]
    return steps._replace(ways=ways) if "D" in steps.axes and ways else None


def _joined(layers: Layers, values: list[Any], attributes: dict[str, Any]) -> Steps | None:
    """Directions side by side, or in a row."""
    first, axis = values[0], attributes.get("axis", 0)
    alike = all(
        isinstance(v, Steps) and not v.maps and (v.axes, v.part) == (first.axes, first.part)
        for v in values
    )
    if not alike or not first.ways or not -len(first.axes) <= axis < len(first.axes):
        return None
    if first.axes[axis] != ("D" if "D" in first.axes else "F"):
        return None
    ways = tuple(dict.fromkeys(way for v in values for way in v.ways))
    return first._replace(ways=ways) if len(ways) == sum(len(v.ways) for v in values) else None


def _dropped(layers: Layers, values: list[Any], attributes: dict[str, Any]) -> Steps | None:
    """What Dropout leaves as it is where it does not train."""
    trains = values[2] if len(values) > 2 else None
    steps: Steps = values[0]
    return steps if trains is None or is_zero(trains) else None


ON_STEPS: dict[str, Callable[[Layers, list[Any], dict[str, Any]], Steps | None]] = {
    "Identity": lambda layers, values, attributes: values[0],
    "Dropout": _dropped,
    "Transpose": _transposed,
    "Squeeze": _squeezed,
    "Reshape": _reshaped,
    "Slice": _sliced,
    "Concat": _joined,
    "Gather": lambda layers, values, attributes: _gathered(
        layers, values[0], values[1], attributes.get("axis", 0)
    ),
    "MatMul": lambda layers, values, attributes: _mapped(layers, values[0], values[1], None),
    "Gemm": lambda layers, values, attributes: _of_gemm(layers, values, attributes),
    "Add": lambda layers, values, attributes: _added(values[0], values[1]),
}


def _mapped(layers: Layers, steps: Steps, W: Any, b: Any) -> Steps | None:
    """A linear map of all that a layer gives."""
    whole = steps.ways and is_whole(layers, steps) and steps.axes in ("TBF", "BTF", "BF")
    if not whole or steps.maps or steps.part == "C" or not isinstance(W, Constant):
        return None
    width = layers[steps.ways[0][0]].node.layer.output_size
    weights = float_array(W.array, "W of a linear map")
    if weights.ndim != 2 or weights.shape[0] != width:
        raise ConfigError(f"it multiplies {width} units by a matrix of {weights.shape}")
    mapped = steps._replace(maps=(weights, np.zeros(weights.shape[1], weights.dtype)))
    return mapped if b is None else _added(mapped, b)


def _added(steps: Steps, b: Any) -> Steps | None:
    """A linear map with a bias more."""
    if not steps.maps or not isinstance(b, Constant):
        return None
    W, before = steps.maps
    bias = float_array(b.array, "b of a linear map")
    if bias.size not in (1, len(before)) or bias.shape[:-1] != (1,) * (bias.ndim - 1):
        return None
    return steps._replace(maps=(W, before + bias.ravel()))


def _of_gemm(layers: Layers, values: list[Any], attributes: dict[str, Any]) -> Steps | None:
    plain = attributes.get("alpha", 1) == attributes.get("beta", 1) == 1
    if not plain or attributes.get("transA") or not isinstance(values[1], Constant):
        return None
    W = values[1].array.T if attributes.get("transB") else values[1].array
    return _mapped(layers, values[0], Constant(W), values[2] if len(values) > 2 else None)
