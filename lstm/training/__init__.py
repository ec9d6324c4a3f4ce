"""Training a model, and telling how well it does."""

from lstm.training.course import model_in, settings_in
from lstm.training.evaluation import TEST_BATCH, TEST_SEQUENCES, Score, correct_by_length, evaluate
from lstm.training.fitting import Fitted, fit
from lstm.training.loop import train
from lstm.training.progress import Progress
from lstm.training.settings import Settings
from lstm.training.state import TrainingState
from lstm.training.streams import check_fits, check_named, inputs_of, random_streams
from lstm.training.trainer import Report, Trainer

__all__ = [
    "TEST_BATCH",
    "TEST_SEQUENCES",
    "Fitted",
    "Progress",
    "Report",
    "Score",
    "Settings",
    "Trainer",
    "TrainingState",
    "check_fits",
    "check_named",
    "correct_by_length",
    "evaluate",
    "fit",
    "inputs_of",
    "model_in",
    "random_streams",
    "settings_in",
    "train",
]
