"""The recurrent net in an ONNX graph: its layers, and what stands before and after them.

One walk over the nodes, in their order, says of each value what it is (`values`); the output then
says which layers it is made of.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from lstm.errors import ConfigError
from lstm.interop.gates import Array
from lstm.interop.onnx.file import Opened, array_of
from lstm.interop.onnx.nodes import INPUTS, RecurrentNode, layer_of_node
from lstm.interop.onnx.ops import ON_STEPS, Placed, embedded, is_whole
from lstm.interop.onnx.values import (
    REARRANGING,
    Constant,
    Other,
    Sizes,
    Steps,
    Value,
    Zeros,
    attributes_of,
    constant_of,
    is_zero,
    rearranged,
    sizes_of,
    width_of_zeros,
)
from lstm.layers import Layer
from lstm.params import listed

RECURRENT = ("LSTM", "GRU", "RNN")
_DOMAINS = ("", "ai.onnx")
_OF_TWO = ("Gather", "MatMul", "Add", "Gemm", "Mul")
_STATES = {"LSTM": ("Y", "h", "C"), "GRU": ("Y", "h"), "RNN": ("Y", "h")}


class Walk:
    """What the values of a graph are, by their names."""

    def __init__(self, opened: Opened) -> None:
        """Raises ConfigError for a graph whose nodes are not in order, or cannot be read."""
        self.folder = opened.folder
        graph = opened.proto.graph
        self.layers: list[Placed] = []
        self.values: dict[str, Value] = {}
        self.ops = {node.op_type for node in graph.node}
        for tensor in graph.initializer:
            self._set(tensor.name, Constant(array_of(tensor, self.folder)))
        self.room = 4 * sum(v.array.size for v in self.values.values() if isinstance(v, Constant))
        for given in graph.input:
            if given.name not in self.values:
                self._set(given.name, _input(given))
        for node in graph.node:
            try:
                self._node(node)
            except ConfigError as error:
                raise ConfigError(f"{_spelled(node)}: {error}") from None

    def _set(self, name: str, value: Value) -> None:
        if name in self.values:
            raise ConfigError(f"two values are called {name!r:.60}")
        self.values[name] = value

    def _node(self, node: Any) -> None:
        """What the outputs of a node are."""
        values: list[Value | None] = []
        for name in node.input:
            if name and name not in self.values:
                raise ConfigError(f"it reads {name!r:.60}, which nothing before it makes")
            values.append(self.values[name] if name else None)
        outputs: Sequence[Value] = ()
        if node.domain in _DOMAINS and node.op_type in RECURRENT:
            outputs = self._recurrent(node, values)
        elif node.domain in _DOMAINS and node.op_type in ("Constant", "ConstantOfShape"):
            outputs = [constant_of(node, attributes_of(node), self.folder)]
        elif node.domain in _DOMAINS:
            outputs = [self._of_op(node.op_type, node, values)]
        other = Other(node.op_type)
        for k, name in enumerate(node.output):
            if name:
                self._set(name, outputs[k] if k < len(outputs) else other)

    # --- recurrent nodes -------------------------------------------------------------------------

    def _recurrent(self, node: Any, values: list[Value | None]) -> list[Value]:
        kind = node.op_type
        by_name = dict(zip(INPUTS, values, strict=False))
        arrays = [_weights(by_name.get(name), name) for name in "WRBP"]
        made = layer_of_node(node, attributes_of(node), arrays)
        layout = "BT" if made.batch_first else "TB"
        X = by_name.get("X")
        if not isinstance(X, Steps) or X.maps or X.part not in ("x", "Y"):
            raise ConfigError(f"it reads {_told(X)}, and neither an input nor a layer's steps")
        fits = X.axes in ("tbF", "btF") if X.part == "x" else X.axes == f"{layout}F"
        if not fits or (X.part == "Y" and not is_whole(self.layers, X)):
            raise ConfigError(
                "it reads a layer's steps on other axes than (T, B, F), or (B, T, F) by layout=1"
            )
        for name in ("initial_h", "initial_c"):
            _check_start(by_name.get(name), name, made.layer)
        padded = by_name.get("sequence_lens") is not None
        if padded and not _is_given(by_name["sequence_lens"]):
            raise ConfigError(
                "its sequence_lens is no input of the graph; a model is told lengths as it runs, "
                "by lengths=, so leave it out, or make it an input"
            )
        self.layers.append(Placed(made, X, padded))
        ways = tuple((len(self.layers) - 1, k) for k in range(len(made.params)))
        axes = ("BTDF", "BDF") if made.batch_first else ("TDBF", "DBF")
        return [Steps(axes[part != "Y"], ways, part) for part in _STATES[kind]]

    # --- all other nodes -------------------------------------------------------------------------

    def _of_op(self, op: str, node: Any, values: list[Value | None]) -> Value:
        """What the first output of a node is that is not recurrent."""
        if not values or values[0] is None or (op in _OF_TWO and len(values) < 2):
            return Other(op)
        first = values[0]
        attributes = attributes_of(node) if op in {*ON_STEPS, *REARRANGING, "Shape"} else {}
        if all(isinstance(value, Constant) for value in values):
            return self._folded(
                op, [v.array for v in values if isinstance(v, Constant)], attributes
            )
        of_shape = op == "Shape" and isinstance(first, Steps)
        among = values if op == "Concat" else values[:1]
        if of_shape or any(isinstance(value, Sizes) for value in among):
            return sizes_of(op, values, attributes) or Other(op)
        if op == "Gather" and isinstance(first, Constant):
            return embedded(first.array, values[1:], attributes) or Other(op)
        if op == "Add" and isinstance(values[1], Steps):
            values = values[::-1]
        if isinstance(values[0], Steps):
            made = ON_STEPS[op](self.layers, values, attributes) if op in ON_STEPS else None
            return Other(op, op in REARRANGING and _is_given(first)) if made is None else made
        moved = values if op == "Concat" else values[:1]
        if op in REARRANGING and all(map(is_zero, moved)):
            return Zeros(width_of_zeros(op, values))
        return Other(op, op in REARRANGING and all(map(_is_given, moved)))

    def _folded(self, op: str, arrays: list[Array], attributes: dict[str, Any]) -> Value:
        self.room -= sum(array.size for array in arrays)  # what doubles and doubles ends somewhere
        made = rearranged(op, arrays, attributes) if self.room > -(2**16) else None
        return Other(op) if made is None else Constant(made)


def _input(given: Any) -> Value:
    """What the graph reads: sequences, tokens, or else what layers are told beside them."""
    kind = given.type.tensor_type
    rank = len(kind.shape.dim) if kind.HasField("shape") else None
    whole = kind.elem_type in (6, 7)
    if rank in (None, 2 if whole else 3):
        return Steps("tb" if whole else "tbF")
    return Other("input", given=True)


def _weights(value: Value | None, name: str) -> Array | None:
    """The array that an input is of a recurrent node."""
    if value is None:
        return None
    if not isinstance(value, (Constant, Zeros)):
        raise ConfigError(
            f"its {name} is {_told(value)}, and must be an initializer: a constant of the file"
        )
    if isinstance(value, Zeros):
        if name in "BP":
            return None
        raise ConfigError(f"its {name} is all 0, of a shape that is computed")
    return value.array


def _check_start(value: Value | None, name: str, layer: Layer) -> None:
    """Raise ConfigError for a state to start from that a model cannot be told, and for one of
    another size than the layer, as torch writes where it leaves out a projection."""
    size = next(iter(layer.recurrent().values())).cell.hidden_size
    width = value.width if isinstance(value, Zeros) else None
    if isinstance(value, Constant):
        width = value.array.shape[-1] if value.array.ndim else 1
    if width not in (None, size):
        raise ConfigError(
            f"its {name} has {width} numbers a sequence, and its weights are of {size} units; "
            "layers with projections (proj_size) are in no ONNX node"
        )
    if isinstance(value, Constant) and value.array.any():
        raise ConfigError(
            f"its {name} is a constant other than 0; a model starts from 0, or from the state= "
            "that it is given as it runs: leave it out, or make it an input"
        )
    if not (value is None or isinstance(value, (Constant, Zeros)) or _is_given(value)):
        raise ConfigError(
            f"its {name} is {_told(value)}; a model's layers start from 0, or from state="
        )


def _is_given(value: Value | None) -> bool:
    """Whether it is what the graph reads."""
    if isinstance(value, Steps):
        return value.part == "x" and value.embedding is None
    return isinstance(value, Other) and value.given


def _told(value: Value | None) -> str:
    """A value, for a message."""
    if isinstance(value, Steps):
        if value.part == "x":
            return "an input of the graph"
        return "what a linear map gives" if value.maps else "what a layer gives"
    if isinstance(value, Other):
        return (
            "an input of the graph"
            if value.made_by == "input"
            else f"what {value.made_by!r:.40} makes"
        )
    if isinstance(value, Sizes):
        return "lengths of axes"
    return "a constant" if value is not None else "left out"


def _spelled(node: Any) -> str:
    name = node.name or next(iter(node.output), "")
    return f"node {name!r:.60} ({node.op_type:.40})"


# --- the net -------------------------------------------------------------------------------------


class Chain(NamedTuple):
    """Layers, each of which reads the one before it, and what stands around them."""

    layers: list[RecurrentNode]
    embedding: Array | None
    readout: tuple[Array, Array] | None
    read: str


def chain_of_graph(opened: Opened, output: str | None) -> Chain:
    """The layers that an output of the graph is made of, or a value of that name.

    Raises ConfigError where there are none, where it is made by what is no such layer, and, if no
    output is named, for outputs and layers that would be left over.
    """
    walk = Walk(opened)
    if not walk.layers:
        ops = listed(walk.ops) or "none at all"
        raise ConfigError(
            f"it is an ONNX model without a node LSTM, GRU or RNN; it has {ops}. Where an exporter "
            "wrote the layers out op by op, as torch's newer one does with nn.RNN and Keras's with "
            "all of them, take the weights: lstm.from_torch(net.state_dict()), or "
            "lstm.from_keras(layer.get_weights())"
        )
    steps = _end(walk, opened.proto.graph, output)
    order: list[Placed] = []
    reads = steps
    while reads.ways:
        order.append(walk.layers[reads.ways[0][0]])
        reads = order[-1].reads
    if output is None and len(order) < len(walk.layers):
        raise ConfigError(
            f"there are {len(walk.layers)} recurrent nodes, of which the output reads "
            f"{len(order)}; output= names the value whose layers are meant"
        )
    if len({one.padded for one in order}) > 1:
        raise ConfigError("some of its layers are told sequence_lens, and others are not")
    readout = (steps.maps[0], steps.maps[1]) if steps.maps else None
    read = "every" if steps.part == "Y" else "last"
    return Chain([one.node for one in order[::-1]], reads.embedding, readout, read)


def _end(walk: Walk, graph: Any, output: str | None) -> Steps:
    """What the model shall give."""
    names = [value.name for value in graph.output] if output is None else [output]
    if output is not None and output not in walk.values:
        raise ConfigError(
            f"there is no value {output!r:.60} in its graph; outputs are "
            f"{listed({value.name for value in graph.output})}"
        )
    ends: list[Steps] = []
    for name in names:
        value = walk.values.get(name)
        if not isinstance(value, Steps) or not value.ways:
            usable = {
                n for n, v in walk.values.items() if isinstance(v, Steps) and _is_end(walk, v)
            }
            raise ConfigError(
                f"its output {name!r:.60} is {_told(value)}, which no layer of a model is; output= "
                f"names what a model can give: {listed(usable)}"
            )
        if _is_end(walk, value):
            ends.append(value)
    if not ends:
        raise ConfigError("none of its outputs is all that a layer gives, or a linear map of that")
    if sum(bool(end.maps) for end in ends) > 1:
        raise ConfigError(
            f"several outputs are linear maps; output= names one of {listed({*names})}"
        )
    return max(ends, key=lambda end: (bool(end.maps), end.ways[0][0]))


def _is_end(walk: Walk, steps: Steps) -> bool:
    return bool(steps.ways) and steps.part != "C" and is_whole(walk.layers, steps)
