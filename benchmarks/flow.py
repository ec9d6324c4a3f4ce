"""What it costs to measure how a gradient flows, in training steps of the same model.

    python benchmarks/flow.py [--steps 1000,10000] [--seconds S] [--threads N] [--clock] [--quick]

An LSTM of 16 units on the adding problem, a batch of 32. What is measured runs in turn with the
training step, round by round, and the least time counts; compiling is told apart. The CPU's time
of all threads, unless --clock. benchmarks/README.md says how to read the table.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from arguments import count
from lstm_step import milliseconds, set_threads
from rich.console import Console
from rich.table import Table

BATCH, UNITS = 32, 16
Clock = Callable[[], float]
Run = Callable[[], Any]


class Compiling:
    """The time that `minigrad.function` takes, apart from all else."""

    def __init__(self, clock: Clock) -> None:
        self._clock, self.seconds = clock, 0.0

    @contextmanager
    def __call__(self) -> Iterator[None]:
        import minigrad as mg

        function = mg.function

        def timed(*arguments: Any, **options: Any) -> Any:
            begun = self._clock()
            made = function(*arguments, **options)
            self.seconds += self._clock() - begun
            return made

        mg.function = timed
        try:
            yield
        finally:
            mg.function = function


def race(runs: dict[str, Run], seconds: float, clock: Clock) -> dict[str, tuple[float, float]]:
    """By name the least time of a call without compiling, and what the first compiled, in s."""
    compiling, first, least = Compiling(clock), dict.fromkeys(runs, 0.0), {}
    end, rounds = time.perf_counter() + seconds, 0
    with compiling():
        while time.perf_counter() < end or rounds < 3:
            for name, run in runs.items():
                compiled, begun = compiling.seconds, clock()
                run()
                compiled = compiling.seconds - compiled
                taken = clock() - begun - compiled
                first[name] = max(first[name], compiled)
                least[name] = min(least.get(name, taken), taken)
            rounds += 1
    return {name: (least[name], first[name]) for name in runs}


def contenders(steps: int) -> dict[str, Run]:
    """The training step, and what can be read of a flow."""
    import numpy as np

    import lstm
    from lstm.gradient_flow.glance import Glance
    from lstm.gradient_flow.tensors import Meter, Place
    from lstm.training.loop import trainer_of

    model, task = made(steps)
    xs, ys = task.batch(np.random.default_rng(0), BATCH)
    trainer = trainer_of(model.copy(), task, lstm.Settings(batch=BATCH))
    meter = Meter(model.copy(), xs, ys, task.loss, Place(), padded=False)
    glance, brief, drawn = Glance(meter), Glance(meter, brief=True), Glance(meter, drawn=True)

    def of_flow(name: str) -> Run:
        """Reading one attribute of a flow."""
        flow = glance.measure(xs, ys)

        def read() -> None:
            vars(flow).pop(name, None)
            getattr(flow, name)

        return read

    return {
        "training step": lambda: trainer.step(xs, ys),
        "norms, gates: a look of a watch": lambda: brief.read(xs, ys),
        "… and what words need": lambda: glance.read(xs, ys),
        "… and the words: a flow": lambda: glance.measure(xs, ys),
        "all that is drawn": lambda: drawn.read(xs, ys),
        "… and the words": lambda: drawn.measure(xs, ys),
        "all arrays of the loops": lambda: meter.read(xs, ys),
        "one waterfall": of_flow("waterfall"),
        "all waterfalls": of_flow("waterfalls"),
        "all knock-outs": of_flow("cuts"),
    }


def made(steps: int) -> tuple[Any, Any]:
    """The model and its task."""
    import lstm

    task = lstm.Adding(length=steps)
    return lstm.Model.create(lstm.LSTM(2, UNITS, memory=steps), 1, 0, task.config()), task


def watched(steps: int, seconds: float, clock: Clock) -> tuple[float, int]:
    """How much longer a training takes that a FlowWatch with its default looks at: the least time
    of each over pairs of so many steps as lie between two looks; and how many these are."""
    import lstm

    every = lstm.FlowWatch().every
    settings = lstm.Settings(batch=BATCH, steps=10**9)
    trainings = []
    for watch in (None, lstm.FlowWatch()):
        model, task = made(steps)
        trainings.append(lstm.train(model, task, settings, watch=watch))
    least = [float("inf")] * 2
    end, rounds = time.perf_counter() + seconds, 0
    while time.perf_counter() < end or rounds < 2:
        for k, training in enumerate(trainings):
            begun = clock()
            for _ in range(every):
                next(training)
            taken = clock() - begun
            if rounds:  # the first one compiles
                least[k] = min(least[k], taken)
        rounds += 1
    return least[1] / least[0] - 1.0, every


def command(steps: int) -> float:
    """The CPU's time of `lstm flow`, from its start to its end, its children's included, in s: the
    least of three runs, after one that leaves Python's bytecode, as an installation does."""
    spent = []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "model.safetensors")
        made(steps)[0].save(file)
        words = [sys.executable, "-m", "lstm.cli", "flow", str(file), "--out", f"{folder}/out"]
        bytecode = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": f"{folder}/bytecode"}
        for _ in range(4):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run(words, check=True, capture_output=True, env=os.environ | bytecode)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            spent.append(sum(after[:2]) - sum(before[:2]))
    return min(spent[1:])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--steps", default="1000,10000", help="lengths, with commas")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each race")
    parser.add_argument("--threads", type=count, default=2, help="of the native backend")
    parser.add_argument("--clock", action="store_true", help="count the clock's time")
    parser.add_argument("--quick", action="store_true", help="neither a watch nor the command")
    chosen = parser.parse_args()
    set_threads(chosen.threads)
    clock = time.perf_counter if chosen.clock else time.process_time
    console = Console(width=100)
    for steps in map(int, chosen.steps.split(",")):
        kind = "clock" if chosen.clock else "CPU"
        table = Table(title=f"T = {steps:,}, H = {UNITS}, B = {BATCH}, float32: time of the {kind}")
        for head in ("", "ms", "training steps", "compiled first, s"):
            table.add_column(head, justify="right" if head else "left")
        times = race(contenders(steps), chosen.seconds, clock)
        unit, _ = times["training step"]
        for name, (taken, compiled) in times.items():
            table.add_row(name, milliseconds(taken), f"{taken / unit:.2f}", f"{compiled:.2f}")
        console.print(table)
        if not chosen.quick:
            more, every = watched(steps, chosen.seconds, clock)
            console.print(f"FlowWatch(every={every}): {more:+.1%} of the training")
            console.print(f"lstm flow, the whole command: {command(steps):.2f} s of CPU\n")


if __name__ == "__main__":
    main()
