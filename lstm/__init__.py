"""lstm: recurrent cells as the textbook's equations, trained and drawn with minigrad."""

from lstm.cells import (
    CELLS,
    GRU,
    LSTM,
    RNN,
    Cell,
    CoupledLSTM,
    LSTMState,
    PeepholeLSTM,
    RNNState,
)
from lstm.errors import ConfigError, LstmError, ModelFileError, OutputError, TrainingError
from lstm.losses import binary_cross_entropy, cross_entropy, mse
from lstm.model import Model, Unrolled
from lstm.tasks import TASKS, Adding, Task, make_task
from lstm.training import Report, Score, Settings, Trainer, evaluate, train

__all__ = [
    "CELLS",
    "GRU",
    "LSTM",
    "RNN",
    "TASKS",
    "Adding",
    "Cell",
    "ConfigError",
    "CoupledLSTM",
    "LSTMState",
    "LstmError",
    "Model",
    "ModelFileError",
    "OutputError",
    "PeepholeLSTM",
    "RNNState",
    "Report",
    "Score",
    "Settings",
    "Task",
    "Trainer",
    "TrainingError",
    "Unrolled",
    "binary_cross_entropy",
    "cross_entropy",
    "evaluate",
    "make_task",
    "mse",
    "train",
]
