"""What a value of an ONNX graph is, for whoever looks for a recurrent net in it: what of which
layers it holds, on which axes; or a constant; or else what made it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from lstm.errors import ConfigError
from lstm.interop.gates import Array
from lstm.interop.onnx.file import array_of


class Steps(NamedTuple):
    """What the graph reads, or what layers make of it."""

    axes: str
    """Of what each axis is: T steps and B sequences (of an input still "t" and "b", in either
    order), D the ways that a layer reads, F features."""
    ways: tuple[tuple[int, int], ...] = ()
    """(layer, way), in the order of D, or of F where there is no D; () of an input."""
    part: str = "x"
    """"x" of an input, "Y" of every step, "h" of each way's own end, "C" its cell state."""
    embedding: Array | None = None
    """(V, I): of an input of tokens the row of each."""
    maps: tuple[Array, ...] = ()
    """The W (F, O), and b (O,), of a linear map on top."""


class Constant(NamedTuple):
    """A tensor of the file."""

    array: Array


class Zeros(NamedTuple):
    """Zeros of a shape that need not be known."""

    width: int | None = None
    """The length of the last axis, where it is known."""


class Sizes(NamedTuple):
    """Integers that a graph makes of the lengths of axes, which shapes are."""

    of: tuple[str | int, ...]
    """A number, or the letters of the axes of which it is the length, or the lengths' product."""


class Other(NamedTuple):
    """What is none of these."""

    made_by: str
    """The op, for messages."""
    given: bool = False
    """Whether it is what the graph reads, in another order at most."""


Value: TypeAlias = Steps | Constant | Zeros | Sizes | Other
REARRANGING = {
    *("Identity", "Transpose", "Squeeze", "Unsqueeze", "Slice", "Gather", "Concat", "Split"),
    *("Reshape", "Expand", "Cast", "Flatten", "Tile"),
}
"""Ops whose outputs hold nothing but elements of their first input, of zeros then zeros."""

_ATTRIBUTES = {
    **dict.fromkeys(("axis", "keepdims", "hidden_size", "input_forget", "layout", "transA"), 2),
    **dict.fromkeys(("linear_before_reset", "output_sequence", "transB", "value_int"), 2),
    **dict.fromkeys(("start", "end"), 2),
    **dict.fromkeys(("clip", "alpha", "beta", "value_float"), 1),
    **dict.fromkeys(("axes", "perm", "value_ints", "starts", "ends"), 7),
    **dict.fromkeys(("activation_alpha", "activation_beta", "value_floats"), 6),
    "activations": 8,
    "direction": 3,
    "value": 4,
}
"""Those that are read, with the number of their type in onnx.proto."""
_LONGEST = 64  # of vectors of axes and shapes
_FIELDS = {1: "f", 2: "i", 3: "s", 4: "t", 6: "floats", 7: "ints", 8: "strings"}


def attributes_of(node: Any) -> dict[str, Any]:
    """The attributes of a node that are read here. Raises ConfigError for one of another type."""
    values: dict[str, Any] = {}
    for attribute in node.attribute:
        if (kind := _ATTRIBUTES.get(attribute.name)) is None:
            continue
        if attribute.type != kind:
            raise ConfigError(f"its {attribute.name} is of the wrong type")
        value = getattr(attribute, _FIELDS[kind])
        if kind == 3:
            value = value.decode(errors="replace")
        elif kind == 8:
            value = [text.decode(errors="replace") for text in value]
        elif kind in (6, 7):
            value = list(value)
        values[attribute.name] = value
    return values


def integers(value: Value | None) -> list[int] | None:
    """The numbers of a constant of integers, which axes and shapes are; None of what is none."""
    if (
        isinstance(value, Constant)
        and value.array.dtype.kind == "i"
        and value.array.size <= _LONGEST
    ):
        return [int(n) for n in value.array.ravel()]
    return None


def sizes(value: Value | None) -> tuple[str | int, ...] | None:
    """What a shape is; None of what is none."""
    if isinstance(value, Sizes):
        return value.of
    numbers = integers(value)
    return None if numbers is None else tuple(numbers)


def sizes_of(op: str, values: list[Any], attributes: Mapping[str, Any]) -> Sizes | None:
    """What an op makes of lengths of axes; None of what is not a short vector of them."""
    if op == "Shape":
        axes = tuple(values[0].axes)
        return Sizes(axes[attributes.get("start", 0) : attributes.get("end", len(axes))])
    parts = [sizes(value) for value in values]
    first, *others = whole = [() if part is None else part for part in parts]
    made: tuple[str | int, ...] = ()
    if op in ("Identity", "Cast", "Reshape", "Squeeze", "Unsqueeze"):
        made = first
    elif None in parts:
        return None
    elif op == "Concat":
        made = sum(whole, ())
    elif op == "Slice" and others[2:] in ([], [(0,)], [(0,), (1,)]):
        made = first[_slice(*others[:2])]
    elif op == "Gather" and all(k in range(len(first)) for k in others[0]):
        made = tuple(first[int(k)] for k in others[0])
    elif op == "Mul" and len(first) == len(others[0]) == 1:
        letters = (*first, *others[0])
        made = ("".join(map(str, letters)),) if all(isinstance(n, str) for n in letters) else ()
    short = 0 < len(made) <= _LONGEST and all(len(str(n)) <= 20 for n in made)
    return Sizes(made) if short else None


def _slice(*bounds: tuple[str | int, ...]) -> slice:
    """That from one number to another; of nothing where they are none."""
    numbers = [part[0] for part in bounds if len(part) == 1 and isinstance(part[0], int)]
    return slice(*numbers) if len(numbers) == 2 else slice(0, 0)


def width_of_zeros(op: str, values: list[Any]) -> int | None:
    """The length of the last axis of zeros that an op makes of zeros, where it is known."""
    if op == "Expand":
        *_, last = sizes(values[1] if len(values) > 1 else None) or (None,)
        return last if isinstance(last, int) else None
    along_first = op == "Slice" and len(values) > 3 and integers(values[3]) == [0]
    return values[0].width if along_first and isinstance(values[0], Zeros) else None


def is_zero(value: Value | None) -> bool:
    """Whether there is nothing but zeros in it."""
    return isinstance(value, Zeros) or (isinstance(value, Constant) and not value.array.any())


def constant_of(node: Any, attributes: Mapping[str, Any], folder: Any) -> Value:
    """What a node Constant or ConstantOfShape holds."""
    tensor = attributes.get("value")
    if node.op_type == "ConstantOfShape":
        zero = tensor is None or not array_of(tensor, folder).any()
        return Zeros() if zero else Other(node.op_type)
    if tensor is not None:
        return Constant(array_of(tensor, folder))
    for name in ("value_int", "value_ints", "value_float", "value_floats"):
        if name in attributes:
            dtype = np.int64 if "int" in name else np.float32
            try:
                return Constant(np.array(attributes[name], dtype))
            except (OverflowError, ValueError):
                break
    return Other(node.op_type)


def rearranged(op: str, arrays: list[Array], attributes: Mapping[str, Any]) -> Array | None:
    """What an op that moves numbers makes of constants; None where it is not said how."""
    first, *others = arrays
    try:
        if op == "Identity":
            return first
        if op == "Transpose":
            return np.transpose(first, attributes.get("perm"))
        if op == "Concat":
            return np.concatenate(arrays, attributes.get("axis", 0))
        axes = [int(n) for n in others[0].ravel()] if others else attributes.get("axes")
        if op == "Squeeze":
            return np.squeeze(first, None if axes is None else tuple(axes))
        if op == "Unsqueeze" and axes is not None:
            return np.expand_dims(first, tuple(axes))
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return None
