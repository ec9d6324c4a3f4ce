"""lstm: recurrent cells as the textbook's equations, trained and drawn with minigrad."""

from typing import TYPE_CHECKING

from lstm.cells import (
    CELLS,
    GRU,
    LSTM,
    MGU,
    RNN,
    Cell,
    CoupledLSTM,
    GRUAfter,
    LayerNormLSTM,
    LSTMState,
    PeepholeLSTM,
    RNNState,
)
from lstm.errors import (
    CheckpointError,
    ConfigError,
    LstmError,
    ModelFileError,
    OutputError,
    TrainingError,
)
from lstm.layers import (
    LAYERS,
    Bidirectional,
    Context,
    Dropout,
    Embedding,
    Layer,
    LayerNorm,
    Readout,
    Recurrent,
    Residual,
    Stack,
    Steps,
    mask_of,
)
from lstm.losses import binary_cross_entropy, cross_entropy, huber, mae, mse
from lstm.metrics import accuracy, bits_per_character, perplexity
from lstm.model import Model
from lstm.runs import Run, Unrolled
from lstm.tasks import TASKS, Adding, Batch, Copying, PaddedBatch, Task, make_task
from lstm.training import (
    Fitted,
    Progress,
    Report,
    Score,
    Settings,
    Trainer,
    TrainingState,
    evaluate,
    fit,
    train,
)
from minigrad.graph.origin import library
from minigrad.names import did_you_mean

__all__ = [
    "CELLS",
    "GRU",
    "LAYERS",
    "LSTM",
    "MGU",
    "RNN",
    "TASKS",
    "Adding",
    "Batch",
    "Bidirectional",
    "Cell",
    "CheckpointError",
    "ConfigError",
    "Context",
    "Copying",
    "CoupledLSTM",
    "Dropout",
    "Embedding",
    "Fitted",
    "GRUAfter",
    "LSTMState",
    "Layer",
    "LayerNorm",
    "LayerNormLSTM",
    "LstmError",
    "Model",
    "ModelFileError",
    "OutputError",
    "PaddedBatch",
    "PeepholeLSTM",
    "Progress",
    "RNNState",
    "Readout",
    "Recurrent",
    "Report",
    "Residual",
    "Run",
    "Score",
    "Settings",
    "Stack",
    "Steps",
    "Task",
    "Trainer",
    "TrainingError",
    "TrainingState",
    "Unrolled",
    "accuracy",
    "binary_cross_entropy",
    "bits_per_character",
    "cross_entropy",
    "evaluate",
    "fit",
    "huber",
    "mae",
    "make_task",
    "mask_of",
    "mse",
    "perplexity",
    "train",
]

library(__file__)

_FOUND = {kind.__name__: kind for kind in (*CELLS.values(), *LAYERS.values(), *TASKS.values())}


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_FOUND})


if not TYPE_CHECKING:  # a type checker would take any name for one that is there

    def __getattr__(name: str) -> object:
        if name in _FOUND:
            return _FOUND[name]
        hint = "" if name.startswith("_") else did_you_mean(name, [*__all__, *_FOUND])
        raise AttributeError(f"module 'lstm' has no attribute {name!r}{hint}")
