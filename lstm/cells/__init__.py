"""Recurrent cells, by name. A new one is a new file here."""

from __future__ import annotations

from lstm.cells.base import (
    Cell,
    Gate,
    Line,
    LSTMState,
    Params,
    Place,
    Places,
    RNNState,
    S,
    Seed,
    Shape,
    State,
    Values,
)
from lstm.cells.coupled import CoupledLSTM
from lstm.cells.gated import Gated
from lstm.cells.gru import GRU
from lstm.cells.gru_after import GRUAfter
from lstm.cells.layer_norm import LayerNormLSTM
from lstm.cells.lstm import LSTM
from lstm.cells.minimal import MGU
from lstm.cells.of_function import Step, cell, cell_class
from lstm.cells.peephole import PeepholeLSTM
from lstm.cells.rnn import RNN
from lstm.discovery import classes_by_name

AnyCell = Cell[RNNState] | Cell[LSTMState]
CELLS: dict[str, type[AnyCell]] = classes_by_name(__name__, __path__, Cell)

__all__ = [
    "CELLS",
    "GRU",
    "LSTM",
    "MGU",
    "RNN",
    "AnyCell",
    "Cell",
    "CoupledLSTM",
    "GRUAfter",
    "Gate",
    "Gated",
    "LSTMState",
    "LayerNormLSTM",
    "Line",
    "Params",
    "PeepholeLSTM",
    "Place",
    "Places",
    "RNNState",
    "S",
    "Seed",
    "Shape",
    "State",
    "Step",
    "Values",
    "cell",
    "cell_class",
]
