"""ONNX: its recurrent nodes in, as a model. The package onnx is imported when a file is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from lstm.interop.assembled import model_of_layers
from lstm.interop.onnx.file import opened_onnx
from lstm.interop.onnx.graph import chain_of_graph
from lstm.model import Model

__all__ = ["from_onnx"]


def from_onnx(
    source: str | Path | Any, *, output: str | None = None, read: str | None = None
) -> Model:
    """The model that an ONNX graph is: its LSTM, GRU and RNN nodes, one above the other, with the
    linear map that reads them and the rows of an embedding before them, where there are.

    source: the path of an .onnx file, or an onnx.ModelProto.
    output: the name of the value that the model shall give, of every step or of the end; None: the
        graph's outputs say it, and all of it must be of such layers.
    read: "every" for an output of every step, (T, B, O), "last" for one of each sequence's own end,
        (B, O). None: as the graph has it.

    Time comes first here whatever a node's layout is, and Y's directions stand side by side. What a
    graph reads beside its sequences is said as the model runs: sequence_lens by `lengths=`,
    initial states by `state=`. A GRU is a `GRUAfter` by linear_before_reset, else a `GRU`; an LSTM
    with peepholes a `PeepholeLSTM`, by input_forget a `CoupledLSTM`. The model is of float64 where
    a tensor is, else of float32.

    Weights are initializers, also in files of their own in the model's folder. Raises ConfigError
    for what no model has, such as other activations, clip, or a state to start from other than 0
    that is a constant, and where onnx is not installed; and ModelFileError for whatever is wrong
    with a file.
    """
    # what is not finite in a file is so in the model, and is told where it is run
    with np.errstate(all="ignore"), opened_onnx(source) as opened:
        chain = chain_of_graph(opened, output)
        layers = [(node.layer, node.params) for node in chain.layers]
        return model_of_layers(layers, chain.embedding, chain.readout, read or chain.read)
