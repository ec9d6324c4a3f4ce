"""ONNX: its recurrent nodes in, as a model, and out. The package onnx is imported when a file is
read or written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from lstm.errors import check_flag
from lstm.files import write_atomically
from lstm.interop.assembled import model_of_layers
from lstm.interop.onnx.file import opened_onnx
from lstm.interop.onnx.graph import chain_of_graph
from lstm.interop.onnx.writing import data_of_model
from lstm.model import Model

__all__ = ["from_onnx", "to_onnx"]


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
    that is a constant; ModelFileError for whatever is wrong with a file; and MissingPackageError
    where onnx is not installed.
    """
    # what is not finite in a file is so in the model, and is told where it is run
    with np.errstate(all="ignore"), opened_onnx(source) as opened:
        chain = chain_of_graph(opened, output)
        layers = [(node.layer, node.params) for node in chain.layers]
        return model_of_layers(layers, chain.embedding, chain.readout, read or chain.read)


def to_onnx(model: Model, path: str | Path, *, lengths: bool = False, states: bool = False) -> None:
    """Write a model as an ONNX file, whose layers are nodes LSTM, GRU and RNN, of any T and B.

    The graph reads xs, (T, B, I), or int64 tokens (T, B); with `lengths` also lengths, int32 (B,),
    and with `states` what each layer starts from, start.layer1.h (B, H), as a run's `state=`. It
    gives output and outputs, as a run does, and the last states, last.layer1.h.

    Dropout and the like, which only training has, are left out. Raises ConfigError where ONNX has
    no node: for cells other than LSTM, PeepholeLSTM, CoupledLSTM, GRU, GRUAfter and RNN, layers
    with zoneout, norms, attention, decoders; and OutputError where nothing can be written.
    `minigrad.to_onnx` writes what such a model computes, op by op.
    """
    check_flag("lengths", lengths)
    check_flag("states", states)
    write_atomically(path, data_of_model(model, lengths=lengths, states=states))
