"""An ONNX graph in the making: nodes, constants, and graphs within it, with names of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

import numpy as np

from minigrad.errors import GraphError, MissingPackageError
from minigrad.graph.leaves import CONST, PARAM
from minigrad.graph.node import Expr
from minigrad.graph.walk import toposort
from minigrad.types import Array, TensorType

OPSET, IR = 18, 8  # of 2022: reductions take their axes as inputs, and bits have ops

Named: TypeAlias = "str | list[str]"
"""The name of a value; of a node that has several results, one for each."""
Rule: TypeAlias = "Callable[..., Named]"
"""(writer, node, *names of its arguments) -> the name of its value."""


def onnx_module() -> Any:
    """The package. Raises MissingPackageError, saying what to install."""
    try:
        import onnx
    except ImportError as error:
        raise MissingPackageError(
            "to_onnx needs the package onnx, which is not installed: pip install "
            "'minigrad-lstm[onnx]'",
            name="onnx",
        ) from error
    return onnx


class Writer:
    """Where rules put their nodes."""

    def __init__(self, rules: Mapping[str, Rule]) -> None:
        self.onnx = onnx_module()
        self.rules = rules
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []
        self._constants: dict[Any, str] = {}
        self._names: set[str] = set()
        self._params: dict[Expr, str] = {}
        self._count = 0

    # --- names -----------------------------------------------------------------------------------

    def name(self, wanted: str = "") -> str:
        """A name that no other value has."""
        name = wanted
        while not name or name in self._names:
            self._count += 1
            name = f"{wanted or 'value'}_{self._count}"
        self._names.add(name)
        return name

    def info(self, name: str, type_: TensorType) -> Any:
        """What says the type of an input or an output."""
        kind = self.onnx.helper.np_dtype_to_tensor_dtype(type_.dtype)
        return self.onnx.helper.make_tensor_value_info(name, kind, type_.shape)

    # --- what rules use --------------------------------------------------------------------------

    def op(self, kind: str, *reads: str, gives: str = "", **attributes: Any) -> str:
        """A node of ONNX with one result."""
        return self.ops(kind, reads, [gives or self.name()], **attributes)[0]

    def ops(
        self, kind: str, reads: Iterable[str], gives: Sequence[str], **attributes: Any
    ) -> list[str]:
        """A node of ONNX with several results."""
        self.nodes.append(self.onnx.helper.make_node(kind, [*reads], [*gives], **attributes))
        return [*gives]

    def const(self, value: Any, dtype: Any = None) -> str:
        """A constant; the same one for the same numbers."""
        array = np.array(value, dtype, order="C")
        key = array.dtype.str, array.shape, array.tobytes()
        if key not in self._constants:
            self._constants[key] = self._initializer(array, "constant")
        return self._constants[key]

    def ints(self, *numbers: int) -> str:
        """A vector of int64, which shapes and axes are."""
        return self.const(numbers, np.int64)

    def reshape(self, name: str, shape: Sequence[int]) -> str:
        """The same elements on other axes."""
        return self.op("Reshape", name, self.ints(*shape), allowzero=1)

    def cast(self, name: str, dtype: Any) -> str:
        """The same numbers of another dtype."""
        to = self.onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        return self.op("Cast", name, to=to)

    def _initializer(self, array: Array, wanted: str) -> str:
        name = self.name(wanted)
        self.initializers.append(self.onnx.numpy_helper.from_array(array, name))
        return name

    # --- graphs ----------------------------------------------------------------------------------

    def values_of(self, outputs: Sequence[Expr], known: Mapping[Expr, Named]) -> list[Named]:
        """The names of expressions of what is known by name; their nodes are put down.

        Raises GraphError for an op that ONNX cannot say.
        """
        values = dict(known)
        for node in toposort(outputs):
            if node not in values:
                values[node] = self._value(node, [values[a] for a in node.args])
        return [values[y] for y in outputs]

    def _value(self, node: Expr, args: Sequence[Named]) -> Named:
        if node.op is CONST:
            return self.const(node.value)
        if node.op is PARAM:
            if node not in self._params:
                self._params[node] = self._initializer(np.array(node.value), str(node.name))
            return self._params[node]
        if node.op.requires is not None:  # ONNX has nothing that raises
            return args[0]
        rule = self.rules.get(node.op.name)
        if rule is None:
            where = f", made at {node.origin}" if node.origin else ""
            raise GraphError(f"ONNX has no op for {node.op.name}{where}; {_WAY_OUT}")
        return rule(self, node, *args)

    @contextmanager
    def within(self) -> Iterator[list[Any]]:
        """The nodes of a graph within this one, which those that are made meanwhile are."""
        outside, self.nodes = self.nodes, []
        try:
            yield self.nodes
        finally:
            self.nodes = outside


_WAY_OUT = "compute it before, and make what comes of it an input of the graph"
