"""lstm: recurrent cells as the textbook's equations, trained and drawn with minigrad."""

from difflib import get_close_matches
from typing import TYPE_CHECKING

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


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


if not TYPE_CHECKING:  # a type checker would take any name for one that is there

    def __getattr__(name: str) -> object:
        names = {known.lower(): known for known in __all__}
        close = [] if name.startswith("_") else get_close_matches(name.lower(), names, 1)
        hint = f"; did you mean {names[close[0]]}?" if close else ""
        raise AttributeError(f"module 'lstm' has no attribute {name!r}{hint}")
