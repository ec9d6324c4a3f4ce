"""How far back what decides may lie: RNN and LSTM, trained and tested at one distance after the
other, five seeds each; python benchmarks/distance.py TASK OUT.csv, of france or latching

A training is as is usual for the task. The LSTM has one learning rate, the RNN the best of three,
chosen for each seed and distance on validation sequences; the test is of others. Rows are added to
the file as they come, so that a run that was stopped goes on.
"""

from __future__ import annotations

import csv
import sys
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lstm
from lstm.tasks.france import France
from lstm.tasks.latching import Latching

SEEDS = range(5)
DISTANCES: Mapping[str, Mapping[type[lstm.Cell], tuple[int, ...]]] = {
    "france": {
        lstm.LSTM: (50, 200, 500, 5, 10, 20, 100, 1000),
        lstm.RNN: (50, 5, 10, 15, 20, 30, 100, 200),
    },
    "latching": {
        lstm.LSTM: (5, 10, 20, 50, 100, 200, 500),
        lstm.RNN: (5, 10, 20, 50, 100, 200, 500),
    },
}
RATES = {lstm.RNN: (0.005, 0.01, 0.02), lstm.LSTM: (0.02,)}
HEADS = ("cell", "distance", "seed", "correct", "rate", "sequences", "seconds")


def main(name: str, path: Path) -> None:
    warnings.simplefilter("ignore", lstm.TrainingWarning)
    known = {row[:3] for row in rows_of(path)} if path.exists() else set()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        if not known:
            writer.writerow(HEADS)
        for kind, distances in DISTANCES[name].items():
            for distance in distances:
                for seed in SEEDS:
                    if (kind.name, str(distance), str(seed)) not in known:
                        writer.writerow(trial(name, kind, distance, seed))
                        file.flush()


def rows_of(path: Path) -> list[tuple[str, ...]]:
    """The rows of a file without its head."""
    with path.open(newline="", encoding="utf-8") as file:
        return [tuple(row) for row in csv.reader(file)][1:]


def trial(name: str, kind: type[lstm.Cell], distance: int, seed: int) -> list[object]:
    """One cell, distance and seed: at the rate that is best on validation sequences, by its loss
    where several are right as often."""
    task = France(distance) if name == "france" else Latching(distance)
    tries = []
    start = time.process_time()
    for rate in RATES[kind]:
        settings = lstm.Settings(**{**task.usual, "rate": rate, "seed": seed})
        model = lstm.Model.create(kind, seed=seed, task=task)
        ends: list[lstm.Score] = []

        def see(progress: lstm.Progress, ends: list[lstm.Score] = ends) -> None:
            ends.extend([progress.score] if progress.score is not None else [])

        options: Any = {"validate": settings.steps, "callback": see, "progress": False}
        fitted = lstm.fit(model, task, settings, **options)
        tries.append((ends[-1].correct, -ends[-1].loss, rate, fitted.score.correct))
    *_, rate, correct = max(tries)
    seconds = (time.process_time() - start) / len(RATES[kind])
    sequences = settings.steps * settings.batch
    return [kind.name, distance, seed, correct, rate, sequences, round(seconds, 1)]


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
