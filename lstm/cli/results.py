"""What a sweep came to, a run for each cell and seed: its file, written and read back; nothing of a
file is taken on trust."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, fields
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any, NoReturn, TypeAlias

import minigrad as mg
from lstm.cells import Cell
from lstm.errors import ConfigError
from lstm.files import read_utf8, write_atomically
from lstm.plain_values import jsonable

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

FILE = "sweep.json"
_WHAT = "lstm sweep 2"  # the format, by which a file says what it is
_LARGEST = 1 << 26  # bytes
_DIGITS = 6
_LONGEST = 1000  # letters of a cell's name, or of the path to it
_DEEPEST = 1 << 16  # ops of an equation that are written out
Key: TypeAlias = tuple[str, int]
"""A cell, as it is spelled, and a seed."""


@dataclass(frozen=True)
class Trial:
    """What came of one cell and one seed."""

    cell: str
    """As it was asked for: its name, or FILE.py:NAME."""
    seed: int
    why: str
    """Why it ended, as of `Fitted.why`; "failed" where a loss was not finite."""
    steps: int
    sequences: int
    """That were trained on until it ended."""
    seconds: float
    """Of one core, for all of `fit`: it compiles, trains, validates and tests in these."""
    loss: float | None
    correct: float | None
    """Of the best model on test sequences."""
    curve: Sequence[tuple[int, float, float]] = ()
    """(sequences, loss, correct) of each validation."""
    said: str = ""
    """What failed, in words."""
    title: str = ""
    """What headings call the cell; empty of one that has its own name alone."""
    equations: str = ""
    """`digest` of the cell."""

    @property
    def key(self) -> Key:
        return self.cell, self.seed

    @property
    def reached(self) -> bool:
        """Whether the task's criterion was met, on validation sequences."""
        return self.why == "solved"


@dataclass(frozen=True)
class Head:
    """What all runs of a sweep have in common."""

    task: Mapping[str, Any]
    """As `Task.config` gives it."""
    criterion: str
    model: Mapping[str, Any]
    """What was asked of the models beside their cells."""
    training: Mapping[str, Any]
    """Settings without a seed."""
    validate: int
    """Steps between validations."""
    patience: int | None


@dataclass
class Sweep:
    """The runs so far, and which commands made them."""

    head: Head
    commands: list[str] = field(default_factory=list)
    trials: dict[Key, Trial] = field(default_factory=dict)
    asked: dict[str, int] = field(default_factory=dict)
    """By cell: the most seeds that a command asked for; fewer have run where it was stopped."""

    def of(self, cells: Iterable[str]) -> dict[str, list[Trial]]:
        """The runs of each of the cells, by seed."""
        known = sorted(self.trials.items(), key=lambda item: item[0])
        return {cell: [trial for (name, _), trial in known if name == cell] for cell in cells}

    @property
    def equations(self) -> dict[str, str]:
        """By cell, of which equations its runs are."""
        return {trial.cell: trial.equations for trial in self.trials.values()}

    @property
    def cells(self) -> list[str]:
        return list(dict.fromkeys(cell for cell, _ in self.trials))


@dataclass(frozen=True)
class Summary:
    """What the seeds of a cell come to."""

    seeds: int
    reached: int
    sequences: tuple[float, int, int] | None
    """The median, the least and the largest, of those that met the criterion."""
    most: int
    """Sequences that the longest run was trained on."""
    seconds: float
    """The median of those that met the criterion, or of all where none did."""
    correct: float | None
    loss: float | None
    """Medians of those that did not fail."""
    failed: int


def summed(trials: Sequence[Trial]) -> Summary:
    """What runs of one cell come to; there is at least one."""
    reached = [trial for trial in trials if trial.reached]
    counts = [trial.sequences for trial in reached]
    rights = [trial.correct for trial in trials if trial.correct is not None]
    losses = [trial.loss for trial in trials if trial.loss is not None]
    return Summary(
        len(trials),
        len(counts),
        (median(counts), min(counts), max(counts)) if counts else None,
        max(trial.sequences for trial in trials),
        median(trial.seconds for trial in reached or trials),
        median(rights) if rights else None,
        median(losses) if losses else None,
        sum(trial.why == "failed" for trial in trials),
    )


def digest(cell: Cell[Any]) -> str:
    """What tells a cell's equations from others, as they are read: its formulas, the constants in
    them, the shapes of its parameters and where these start.

    >>> import lstm
    >>> class Mine(lstm.RNN):
    ...     def equations(self, p, state, x):
    ...         return {"h": mg.sigmoid(mg.concat([state.h, x], -1) @ p["W_h"] + p["b_h"])}
    >>> digest(Mine(2, 3)) == digest(lstm.RNN(2, 3)), len(digest(Mine(2, 3)))
    (False, 16)
    """
    said = [f"{name} = {mg.to_str(x, _DEEPEST)}" for name, x in cell.formulas().items()]
    constants = [x.value for x in mg.toposort([*cell.check().values()]) if x.op.name == "const"]
    said += [repr(value.tolist()) for value in constants if value.ndim]
    starts = {name: f"{x:.{_DIGITS}g}" for name, x in cell._starts().items()}
    whole = [*said, repr(cell.shapes()), repr(starts), cell.output, cell.dtype]
    return sha256("\n".join(whole).encode(errors="replace")).hexdigest()[:16]


# --- files --------------------------------------------------------------------------------------


def write_sweep(path: Path, sweep: Sweep, *, anew: bool = False) -> None:
    """Write a sweep, with the runs that are there already and are of it, unless anew. Others that
    write it wait, where the system has such locks (not on Windows). Raises OutputError, and
    ConfigError for a file that is no sweep, or another one."""
    with _locked(path.parent):
        if path.exists() and not anew:
            there = resumed(path, sweep.head, sweep.equations)
            sweep.trials = there.trials | sweep.trials
            sweep.commands = list(dict.fromkeys([*there.commands, *sweep.commands]))
            for cell, seeds in there.asked.items():
                sweep.asked[cell] = max(seeds, sweep.asked.get(cell, 0))
        lines = [_line(asdict(sweep.trials[key])) for key in sorted(sweep.trials)]
        whole = {"what": _WHAT, "head": asdict(sweep.head), "commands": sweep.commands}
        whole["asked"] = dict(sorted(sweep.asked.items()))
        said = [f" {json.dumps(name)}: {_line(value)}" for name, value in whole.items()]
        rows = ",\n".join(f"  {line}" for line in lines)
        said.append(f' "trials": [\n{rows}\n ]')
        write_atomically(path, "{\n" + ",\n".join(said) + "\n}\n")


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Alone with a folder: of those that ask for this, each waits for the one before."""
    if fcntl is None:
        yield
        return
    # The folder, as a file in it would be left behind, and the sweep's own is another each time.
    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # there are file systems without locks
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _line(value: Any) -> str:
    return json.dumps(_short(jsonable(value)), allow_nan=False)


def _short(value: Any) -> Any:
    """Floats to a few digits."""
    if isinstance(value, dict):
        return {name: _short(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_short(part) for part in value]
    return float(f"{value:.{_DIGITS}g}") if isinstance(value, float) else value


def resumed(path: Path, head: Head, equations: Mapping[str, str]) -> Sweep:
    """The sweep of a file, to go on with. equations: by cell, their `digest` now. Raises
    ConfigError where its runs are others."""
    sweep = read_sweep(path)
    now, then = json.loads(_line(asdict(head))), asdict(sweep.head)
    for part in now:
        if now[part] != then[part]:
            raise ConfigError(
                f"{path} is a sweep of another {part}: {_differing(then[part], now[part])}; --out "
                "takes another folder, --force writes over it"
            )
    for cell, then_of in sweep.equations.items():
        if equations.get(cell, then_of) != then_of:
            raise ConfigError(
                f"{path} has runs of {cell!r:.100} when its equations, or where its parameters "
                "start, were others; --out takes another folder, --force writes over it"
            )
    return sweep


def _differing(then: Any, now: Any) -> str:
    """What differs of two settings, in words."""
    if isinstance(then, dict) and isinstance(now, dict):
        name = next(name for name in {**then, **now} if then.get(name) != now.get(name))
        return f"its {name!r:.40} {_differing(then.get(name), now.get(name))}"
    return f"is {then!r:.60}, not {now!r:.60}"


def read_sweep(path: Path) -> Sweep:
    """The sweep that a file holds. Raises ConfigError for what is none."""

    def refuse(why: str) -> NoReturn:
        raise ConfigError(f"{path} is no sweep that lstm wrote: {why}")

    if path.is_file() and path.stat().st_size > _LARGEST:
        refuse(f"it is larger than {_LARGEST >> 20} MiB")
    try:
        said = json.loads(read_utf8(path), parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        if isinstance(error, ConfigError):
            raise
        refuse(f"it is no JSON: {error}")
    if not isinstance(said, dict) or said.get("what") != _WHAT:
        refuse(f'its "what" is not "{_WHAT}"')
    if set(said) != {"what", "head", "commands", "asked", "trials"}:
        refuse("it has not a head, commands, what was asked and trials")
    if not _is_list(said["commands"], lambda one: isinstance(one, str)):
        refuse("its commands are no texts")
    asked = said["asked"]
    if not isinstance(asked, dict) or not all(map(_is_count, asked.values())):
        refuse("what was asked is no count of seeds by cell")
    head = _made(Head, _HEAD, said["head"], refuse)
    trials: dict[Key, Trial] = {}
    equations: dict[str, str] = {}
    for one in said["trials"] if isinstance(said["trials"], list) else refuse("no trials"):
        trial = _made(Trial, _TRIAL, one, refuse)
        if trial.key in trials:
            refuse(f"it has seed {trial.seed} of {trial.cell!r:.40} twice")
        if equations.setdefault(trial.cell, trial.equations) != trial.equations:
            refuse(f"it has {trial.cell!r:.40} with two sets of equations")
        trials[trial.key] = trial
    return Sweep(head, said["commands"], trials, asked)


def _made(
    kind: Any, checks: Mapping[str, Callable[[Any], bool]], said: Any, refuse: Callable[[str], Any]
) -> Any:
    """One of a kind, of values by the names of its fields."""
    name = kind.__name__.lower()
    if not isinstance(said, dict) or set(said) != {f.name for f in fields(kind)}:
        refuse(f"a {name} has {', '.join(checks)}")
    wrong = [part for part, is_right in checks.items() if not is_right(said[part])]
    if wrong:
        refuse(f"the {wrong[0]} of a {name} cannot be {said[wrong[0]]!r:.60}")
    return kind(**said)


def _is_list(value: Any, is_right: Callable[[Any], bool]) -> bool:
    return isinstance(value, list) and all(map(is_right, value))


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 53


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and -1e300 < value < 1e300


def _is_share(value: Any) -> bool:
    return _is_number(value) and 0 <= value <= 1


def _is_point(value: Any) -> bool:
    if not isinstance(value, list) or len(value) != 3:
        return False
    return _is_count(value[0]) and _is_number(value[1]) and _is_share(value[2])


def _is_curve(value: Any) -> bool:
    """Points from left to right."""
    return _is_list(value, _is_point) and all(a[0] < b[0] for a, b in pairwise(value))


def _is_title(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= _LONGEST and value.isprintable()


def _is_config(value: Any) -> bool:
    if not isinstance(value, dict) or set(value) != {"name", "settings"}:
        return False
    return isinstance(value["name"], str) and isinstance(value["settings"], dict)


_WHY = ("solved", "patience", "steps", "failed")
_HEAD: dict[str, Callable[[Any], bool]] = {
    "task": _is_config,
    "criterion": lambda x: isinstance(x, str),
    "model": lambda x: isinstance(x, dict),
    "training": lambda x: isinstance(x, dict),
    "validate": lambda x: _is_count(x) and x > 0,
    "patience": lambda x: x is None or _is_count(x),
}
_TRIAL: dict[str, Callable[[Any], bool]] = {
    "cell": lambda x: _is_title(x) and x != "",
    "seed": _is_count,
    "why": lambda x: x in _WHY,
    "steps": _is_count,
    "sequences": _is_count,
    "seconds": lambda x: _is_number(x) and x >= 0,
    "loss": lambda x: x is None or _is_number(x),
    "correct": lambda x: x is None or _is_share(x),
    "curve": _is_curve,
    "said": lambda x: isinstance(x, str),
    "title": _is_title,
    "equations": lambda x: isinstance(x, str) and (not x or (len(x) <= 64 and x.isalnum())),
}
