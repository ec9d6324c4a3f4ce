"""How the gradient of one batch flows back through a model: numbers, and what they mean in words.

Every number is evaluated from the unrolled graph itself, in one compiled function. Nothing here
draws.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

import minigrad as mg
from lstm.errors import ConfigError
from lstm.losses import mse
from lstm.model import Model, Unrolled, subscript
from lstm.tasks import TASKS
from minigrad import Expr

Kind = Literal["normal", "zero", "underflow", "nan", "inf"]
Loss = Callable[[Expr, Expr], Expr]
Floats = NDArray[np.floating[Any]]

OPEN, CLOSED = 0.9, 0.1
"""A gate beyond these counts as saturated, as in Karpathy, Johnson & Fei-Fei, "Visualizing and
understanding recurrent networks", 2015, section 4.2."""
TOO_SMALL = 1e-6
EXPLODED = 1e3


@dataclass(frozen=True)
class Series:
    """The norm of one gradient at each step, t = 1 … T, over the whole batch."""

    symbol: str
    """What it is the gradient towards: h or C."""
    norms: list[float]
    kinds: list[Kind]
    """"underflow" is a zero that is none: the product was too small for the dtype."""

    @property
    def first(self) -> float:
        """The norm at t = 1, where the gradient arrives last."""
        return self.norms[0]

    @property
    def last(self) -> float:
        """The norm at t = T, where it starts."""
        return self.norms[-1]

    @property
    def factors(self) -> list[float]:
        """norm(t) / norm(t + 1) for t = 1 … T - 1: what one step back multiplies it by."""
        return [a / b if b else math.nan for a, b in zip(self.norms, self.norms[1:], strict=False)]

    @property
    def factor(self) -> float:
        """The geometric mean of the factors, over the steps that are neither zero nor overflown."""
        sound = [t for t, x in enumerate(self.norms) if 0.0 < x < math.inf]
        if len(sound) < 2:
            return math.nan
        span = sound[-1] - sound[0]
        ratio = math.log(self.norms[sound[0]]) - math.log(self.norms[sound[-1]])
        return math.exp(ratio / span)


@dataclass(frozen=True)
class Split:
    """The gradient towards the line's state in two parts, which sum to the whole at every t.

    `line` came along the cell line alone: entered at t = T, then only times f (for a GRU 1 - z) at
    each step. `gates` is all the rest: each of its paths went through a gate, a candidate or a
    hidden state at least once.
    """

    symbol: str
    line: list[float]
    gates: list[float]

    @property
    def share(self) -> list[float]:
        """|line| / (|line| + |gates|) at each t."""
        both = zip(self.line, self.gates, strict=True)
        return [a / (a + b) if 0.0 < a + b < math.inf else math.nan for a, b in both]


@dataclass(frozen=True)
class Gate:
    """The values of one gate over the whole batch: at each step, and all steps together."""

    symbol: str
    mean: list[float]
    low: list[float]
    high: list[float]
    open: float
    """The fraction of all values above 0.9."""
    closed: float
    """The fraction of all values below 0.1."""


@dataclass(frozen=True)
class Flow:
    """What `measure` found. Lists run over t = 1 … T."""

    cell: str
    steps: int
    batch: int
    dtype: str
    loss: float
    series: dict[str, Series]
    split: Split | None
    gates: dict[str, Gate]
    diagnosis: list[str]

    @property
    def main(self) -> Series:
        """The gradient towards the state that is made to last: C where there is one, else h."""
        return self.series.get("C") or self.series["h"]

    def to_json(self) -> dict[str, Any]:
        """Everything as JSON values; numbers that JSON lacks become "nan", "inf" and "-inf"."""
        found: dict[str, Any] = jsonable(asdict(self))
        return found

    def rows(self) -> tuple[list[str], list[list[float]]]:
        """All numbers as a table, one row a step: the heads of its columns, and the rows."""
        columns: dict[str, Sequence[float]] = {"t": list(range(1, self.steps + 1))}
        for name, series in self.series.items():
            columns[f"|dL/d{name}|"] = series.norms
        if self.split is not None:
            columns["along the line"] = self.split.line
            columns["through the gates"] = self.split.gates
        for name, gate in self.gates.items():
            columns[f"mean {name}"] = gate.mean
        return list(columns), [list(row) for row in zip(*columns.values(), strict=True)]


@dataclass(frozen=True)
class Trace:
    """The tensors behind a flow, (T, B, H) each; one value is one unit of one sequence."""

    loss: float
    adjoints: dict[str, Floats]
    enlarged: dict[str, Floats]
    """The adjoints of a much larger seed, where some adjoint is zero; else empty."""
    line: Floats | None
    gates_part: Floats | None
    gates: dict[str, Floats]


def measure(model: Model[Any], xs: Any, ys: Any, loss: Loss | None = None) -> Flow:
    """Measure how the gradient of the loss flows back over the steps of one batch.

    xs is (T, B, I) and ys what the model's task has for targets; `loss` is that of the task unless
    given. Work and memory grow linearly with T. Raises ConfigError for data of a wrong shape.

    >>> from lstm.cells import RNN
    >>> model = Model.create(RNN(input_size=2, hidden_size=4), output_size=1, seed=0)
    >>> flow = measure(model, np.ones((6, 3, 2)), np.ones((3, 1)))
    >>> flow.steps, list(flow.series), len(flow.series["h"].norms)
    (6, ['h'], 6)
    """
    found = trace(model, xs, ys, loss)
    steps, batch = np.shape(xs)[:2]
    series = {name: _series(name, found) for name in found.adjoints}
    split = None
    if found.line is not None and found.gates_part is not None:
        split = Split(_line_symbol(model), _norms(found.line), _norms(found.gates_part))
    gates = {name: _gate(name, values) for name, values in found.gates.items()}
    words = diagnose(series, split, gates)
    return Flow(
        model.cell.name, steps, batch, model.cell.dtype, found.loss, series, split, gates, words
    )


def trace(model: Model[Any], xs: Any, ys: Any, loss: Loss | None = None) -> Trace:
    """The tensors behind `measure`."""
    xs_array, ys_array = np.asarray(xs), np.asarray(ys)
    if xs_array.ndim != 3 or xs_array.shape[0] < 1:
        raise ConfigError(f"xs must be (T, B, I) with T of at least 1, not {xs_array.shape}")
    xs_var = mg.var("xs", xs_array.shape, model.cell.dtype)
    dtype = model.cell.dtype if ys_array.dtype.kind == "f" else ys_array.dtype
    ys_var = mg.var("ys", ys_array.shape, dtype)
    unrolled = model.unroll(xs_var)
    value = (loss or loss_of(model))(unrolled.output, ys_var)
    # The seed ∂L/∂L is an input: 1 to measure, and far more to tell an underflow from a zero.
    seed = mg.var("∂L/∂L", (), value.dtype)
    adjoints = mg.Adjoints(value, seed)
    outputs = _outputs(model, unrolled, adjoints, value)
    run = mg.function([xs_var, ys_var, seed], outputs, simplify=False)
    with np.errstate(all="ignore"):
        found = run(xs_array, ys_array, 1.0)
        small = any(not step.any() for steps in found["adjoints"].values() for step in steps)
        again = run(xs_array, ys_array, _large(value.dtype)) if small else {"adjoints": {}}
    split = found["split"]
    return Trace(
        float(found["loss"]),
        {name: np.stack(steps) for name, steps in found["adjoints"].items()},
        {name: np.stack(steps) for name, steps in again["adjoints"].items()},
        np.stack([line for _, line in split]) if split else None,
        np.stack([gates for gates, _ in split]) if split else None,
        {name: np.stack(steps) for name, steps in found["gates"].items()},
    )


def loss_of(model: Model[Any]) -> Loss:
    """The loss of the task that the model was made for; the squared error where it names none."""
    task = TASKS.get(str(model.task.get("name", "")))
    return mse if task is None else task(**model.task.get("settings", {})).loss


def _outputs(
    model: Model[Any], unrolled: Unrolled[Any], adjoints: mg.Adjoints, loss: Expr
) -> dict[str, Any]:
    states = unrolled.states[1:]
    parts = states[0]._fields
    line = _line_symbol(model)
    split: list[tuple[Expr, Expr]] = []
    if line:
        nodes = [getattr(s, line) for s in states]
        found = adjoints.splits(nodes, detours(unrolled, line))
        split = [found[n] for n in nodes]
    gates = [name for name, v in unrolled.values[0].items() if name in _GATES and v.args]
    return {
        "loss": loss,
        "adjoints": {p: [adjoints[getattr(s, p)] for s in states] for p in parts},
        "split": split,
        "gates": {name: [values[name] for values in unrolled.values] for name in gates},
    }


_GATES = ("f", "i", "o", "z", "r")


def _line_symbol(model: Model[Any]) -> str:
    """The state that has a line of its own, over which it lasts: C, the h of a GRU, or none."""
    if "C" in model.cell.state_type._fields:
        return "C"
    return "h" if "z" in model.cell.gates else ""


def detours(unrolled: Unrolled[Any], line: str) -> set[Expr]:
    """What every path off the line passes: gates, candidates and the hidden states before the last.

    The last h, and the output gate that leads to it, are how the loss reaches the line at all.
    """
    last = len(unrolled.values) - 1
    return {
        value
        for t, values in enumerate(unrolled.values)
        for name, value in values.items()
        if name != line and not (t == last and name in ("h", "o"))
    }


# --- numbers -------------------------------------------------------------------------------------


def _large(dtype: np.dtype[Any]) -> float:
    return float(np.ldexp(1.0, np.finfo(dtype).maxexp // 2))


def _norms(tensors: Floats) -> list[float]:
    return [_norm(x) for x in tensors]


def _norm(x: Floats) -> float:
    """The 2-norm in float64, scaled so that no square underflows or overflows; NaN stays NaN."""
    flat = np.abs(x.astype(np.float64)).reshape(-1)
    top = float(flat.max(initial=0.0))
    if top == 0.0 or not np.isfinite(top):
        return math.nan if np.isnan(flat).any() else top
    with np.errstate(under="ignore"):
        return top * float(np.sqrt(np.square(flat / top).sum()))


def _series(name: str, found: Trace) -> Series:
    norms = _norms(found.adjoints[name])
    enlarged = _norms(found.enlarged[name]) if name in found.enlarged else norms
    kinds: list[Kind] = []
    for norm, larger in zip(reversed(norms), reversed(enlarged), strict=True):
        lost = larger > 0.0 or bool(kinds and kinds[-1] == "underflow")
        kinds.append(_kind(norm, lost))
    return Series(name, norms, kinds[::-1])


def _kind(norm: float, lost: bool) -> Kind:
    if norm != norm:
        return "nan"
    if norm == math.inf:
        return "inf"
    return "normal" if norm else "underflow" if lost else "zero"


def _gate(name: str, values: Floats) -> Gate:
    flat = values.reshape(len(values), -1)
    return Gate(
        name,
        [float(x) for x in flat.mean(axis=1, dtype=np.float64)],
        [float(x) for x in flat.min(axis=1)],
        [float(x) for x in flat.max(axis=1)],
        float((flat > OPEN).mean()),
        float((flat < CLOSED).mean()),
    )


def jsonable(value: Any) -> Any:
    """The same with "nan", "inf" and "-inf" for the numbers that JSON lacks."""
    if isinstance(value, Mapping):
        return {k: jsonable(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [jsonable(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


# --- words ---------------------------------------------------------------------------------------


def diagnose(
    series: Mapping[str, Series], split: Split | None, gates: Mapping[str, Gate]
) -> list[str]:
    """What the numbers mean, one sentence a finding, the main one first."""
    ordered = sorted(series.values(), key=lambda s: s.symbol != "C")
    words = [describe(s) for s in ordered]
    if split is not None and split.share[0] == split.share[0]:
        share, gate = split.share[0], "f" if split.symbol == "C" else "(1 − z)"
        words.append(
            f"At t=1, {share:.0%} of ∂L/∂{subscript(split.symbol, 1)} came along the line "
            f"(∏ {gate}) and {1 - share:.0%} through h and the gates."
        )
    words += [_saturation(g) for g in gates.values() if max(g.open, g.closed) >= 0.1]
    return words


def describe(series: Series) -> str:
    """One gradient's way back in one sentence."""
    name = f"∂L/∂{series.symbol}"
    norms, steps = series.norms, len(series.norms)
    bad = [t for t, x in enumerate(norms, 1) if not math.isfinite(x)]
    if bad:
        return f"{name} is not finite from t={max(bad)} down."
    if not any(norms):
        return f"{name} is 0 at every step."
    arrives = f"{name} reaches t=1 at {series.first:.1e}"
    if steps == 1:
        return f"{arrives}."
    rate = f"×{_factor(series.factor)} a step"
    if series.first == 0.0:
        end = max(t for t, x in enumerate(norms, 1) if x == 0.0)
        why = "underflows to 0" if series.kinds[end - 1] == "underflow" else "is exactly 0"
        return f"{name} does not reach t=1: {rate}, it {why} from t={end} down."
    if series.first < TOO_SMALL:
        end = _last_crossing(norms)
        below = f"below {TOO_SMALL:g} from t={end} down"
        return f"{name} vanishes: {rate}, {below}, {series.first:.1e} at t=1."
    if series.first > EXPLODED and series.first > 10 * series.last:
        return f"{name} explodes: {rate}, {series.first:.1e} at t=1."
    return f"{arrives} ({rate})."


def _factor(x: float) -> str:
    return f"{x:.3f}" if 0.1 < x < 10.0 else f"{x:.2g}"


def _last_crossing(norms: Sequence[float]) -> int:
    """The largest t from which on, going down, all norms are too small."""
    return next((t for t, x in enumerate(norms) if x >= TOO_SMALL), len(norms))


def _saturation(gate: Gate) -> str:
    names = {"f": "forget gates", "i": "input gates", "o": "output gates"}
    name = names.get(gate.symbol, f"gates {gate.symbol}")
    parts = []
    if gate.open >= 0.1:
        parts.append(f"{gate.open:.0%} are saturated open (above {OPEN:g})")
    if gate.closed >= 0.1:
        parts.append(f"{gate.closed:.0%} are saturated closed (below {CLOSED:g})")
    return f"Of the {name}, {' and '.join(parts)}."


def compare(first: Flow, second: Flow) -> str:
    """How much more of the gradient reaches t = 1 in the second than in the first, in words."""
    a, b = first.main, second.main
    names = [f"the {f.cell.upper()}'s ∂L/∂{subscript(f.main.symbol, 1)}" for f in (first, second)]
    if not (math.isfinite(a.first) and math.isfinite(b.first)):
        return f"At t=1, {names[1]} is {b.first:.1e} and {names[0]} is {a.first:.1e}."
    if not a.first or not b.first:
        return f"At t=1, {names[1]} is {b.first:.1e}; {names[0]} is {a.first:.1e}."
    decades = math.log10(b.first) - math.log10(a.first)
    size = "larger" if decades >= 0 else "smaller"
    return (
        f"At t=1, {names[1]} ({b.first:.1e}) is {abs(decades):.1f} decades {size} "
        f"than {names[0]} ({a.first:.1e})."
    )
