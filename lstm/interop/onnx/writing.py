"""A model as an ONNX graph: its recurrent layers as nodes LSTM, GRU and RNN."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lstm.errors import ConfigError
from lstm.interop.gates import Array
from lstm.interop.onnx.file import LARGEST, onnx_module
from lstm.interop.onnx.nodes import INPUTS, node_of_layer
from lstm.layers import Bidirectional, Dropout, Embedding, Layer, Readout, Recurrent, Stack
from lstm.model import Model, check_model
from lstm.params import join

OPSET, IR = 17, 8  # of 2022, which all that reads ONNX knows by now; LSTM is that of opset 14


class _Graph:
    """Nodes, constants, inputs and outputs, as they are added."""

    def __init__(self, dtype: str) -> None:
        self.helper = onnx_module().helper
        self.dtype = dtype
        self.nodes: list[Any] = []
        self.constants: dict[str, Array] = {}
        self.inputs: list[Any] = []
        self.outputs: list[Any] = []

    def node(self, op: str, *reads: str, gives: str = "", **attributes: Any) -> str:
        """The name of its output."""
        gives = gives or f"value{len(self.nodes)}"
        self.nodes.append(self.helper.make_node(op, reads, [gives], **attributes))
        return gives

    def constant(self, name: str, array: Any) -> str:
        self.constants[name] = np.asarray(array)
        return name

    def integers(self, *numbers: int) -> str:
        return self.constant(f"integers {numbers}", np.array(numbers, np.int64))

    def input(self, name: str, shape: Sequence[Any], dtype: str | None = None) -> str:
        self.inputs.append(self._info(name, shape, dtype or self.dtype))
        return name

    def output(self, name: str, shape: Sequence[Any]) -> None:
        self.outputs.append(self._info(name, shape, self.dtype))

    def _info(self, name: str, shape: Sequence[Any], dtype: str) -> Any:
        kind = self.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        return self.helper.make_tensor_value_info(name, kind, shape)

    def proto(self) -> Any:
        onnx = onnx_module()
        tensors = [onnx.numpy_helper.from_array(a, name) for name, a in self.constants.items()]
        graph = self.helper.make_graph(self.nodes, "net", self.inputs, self.outputs, tensors)
        imports = [self.helper.make_opsetid("", OPSET)]
        return self.helper.make_model(
            graph, opset_imports=imports, ir_version=IR, producer_name="minigrad-lstm"
        )


def data_of_model(model: Model, *, lengths: bool, states: bool) -> bytes:
    """The bytes of an .onnx file. Raises ConfigError for what ONNX has no node for."""
    check_model(model)
    if type(model.readout) is not Readout:
        raise ConfigError(f"a {type(model.readout).__name__} has no node in ONNX; {_WAY_OUT}")
    graph, tokens, values = _Graph(model.dtype), model.layers.tokens, model.values()
    whole = [] if tokens else [model.input_size]
    steps = graph.input("xs", ["T", "B", *whole], "int64" if tokens else None)
    end = ""
    told = graph.input("lengths", ["B"], "int32") if lengths else ""
    stack = model.layers.layers if isinstance(model.layers, Stack) else {"": model.layers}
    for name, layer in stack.items():
        if isinstance(layer, Embedding):
            rows = graph.constant(join(name, "E"), values[join(name, "E")])
            steps = graph.node("Gather", rows, steps)
        elif not isinstance(layer, Dropout):  # which leaves all as it is, but in training
            steps, end = _layer(graph, name, layer, steps, told, states, values)
    if not end:
        raise ConfigError("a model without recurrent layers has no node LSTM, GRU or RNN in ONNX")
    graph.node("Identity", steps, gives="outputs")
    _readout(graph, model, steps if model.readout.read == "every" else end, told, values)
    graph.output("outputs", ["T", "B", model.layers.output_size])
    data: bytes = b""
    if sum(array.nbytes for array in graph.constants.values()) < LARGEST - 2**20:
        data = graph.proto().SerializeToString()
    if not 0 < len(data) <= LARGEST:
        raise ConfigError("an ONNX file has at most 2 GiB, which these parameters do not fit into")
    return data


_WAY_OUT = (
    "mg.to_onnx(model.run(xs).output, path, inputs=[xs]) writes what a model computes, op by op"
)


def _layer(
    graph: _Graph,
    place: str,
    layer: Layer,
    steps: str,
    told: str,
    states: bool,
    values: dict[str, Array],
) -> tuple[str, str]:
    """What a layer gives of every step, (T, B, F), and at the end, (B, F)."""
    one = layer.layer if isinstance(layer, Bidirectional) else layer
    if not isinstance(one, Recurrent) or one.zoneout:
        what = "zoneout" if isinstance(one, Recurrent) else f"a {type(layer).__name__}"
        raise ConfigError(f"{place or 'the layer'}: {what} has no node in ONNX; {_WAY_OUT}")
    ways = [join(place, way) for way in layer.recurrent()]
    params = [{n: values[join(way, n)] for n in one.shapes()} for way in ways]
    made = node_of_layer(one.cell, params)
    if made is None:
        raise ConfigError(
            f"{place or 'the layer'}: the cell {type(one.cell).__name__} has no node in ONNX; "
            f"{_WAY_OUT}"
        )
    op, attributes, arrays = made
    reads = {"X": steps, "sequence_lens": told}
    reads |= {name: graph.constant(join(place, name), a) for name, a in arrays.items()}
    parts, size = one.cell.state_type._fields, one.cell.hidden_size
    if states:
        for part, name in zip(parts, ("initial_h", "initial_c"), strict=False):
            starts = [graph.input(f"start.{join(way, part)}", ["B", size]) for way in ways]
            rows = [graph.node("Unsqueeze", start, graph.integers(0)) for start in starts]
            reads[name] = graph.node("Concat", *rows, axis=0)
    inputs = [reads.get(name, "") for name in INPUTS]
    while not inputs[-1]:
        inputs.pop()
    gives = [join(place, name) for name in ("Y", "Y_h", "Y_c")[: 1 + len(parts)]]
    direction = "bidirectional" if len(ways) == 2 else "reverse" if one.reverse else "forward"
    graph.nodes.append(
        graph.helper.make_node(
            op, inputs, gives, place or op, direction=direction, hidden_size=size, **attributes
        )
    )
    for part, name in zip(parts, gives[1:], strict=True):
        for k, way in enumerate(ways):
            at = graph.constant(f"way {k}", np.array(k))
            graph.node("Gather", name, at, gives=f"last.{join(way, part)}", axis=0)
            graph.output(f"last.{join(way, part)}", ["B", size])
    each = graph.node("Transpose", gives[0], perm=[0, 2, 1, 3])
    each = graph.node("Reshape", each, graph.integers(0, 0, -1))
    last = graph.node("Transpose", gives[1], perm=[1, 0, 2])
    return each, graph.node("Reshape", last, graph.integers(0, -1))


def _readout(graph: _Graph, model: Model, reads: str, told: str, values: dict[str, Array]) -> None:
    """The output; of every step 0 in the padding, as a run has it."""
    every = model.readout.read == "every"
    W, b = (graph.constant(name, values[name]) for name in ("readout.W_y", "readout.b_y"))
    product = graph.node("MatMul", reads, W)
    if not (told and every):
        graph.node("Add", product, b, gives="output")
    else:
        read = graph.node("Add", product, b, gives="scores")
        zero = graph.constant("zero", np.array(0, np.int64))
        one = graph.constant("one", np.array(1, np.int64))
        count = graph.node("Gather", graph.node("Shape", reads), zero)
        steps = graph.node("Unsqueeze", graph.node("Range", zero, count, one), graph.integers(1))
        ends = graph.node("Cast", told, to=7)  # int64
        counts = graph.node("Less", steps, graph.node("Unsqueeze", ends, graph.integers(0)))
        nothing = graph.constant("nothing", np.zeros((), model.dtype))
        mask = graph.node("Unsqueeze", counts, graph.integers(2))
        graph.node("Where", mask, read, nothing, gives="output")
    graph.output("output", [*(["T"] if every else []), "B", model.output_size])
