"""Recurrent cells: the textbook's equations, and what a cell says of itself. No training, no files.

A cell maps (parameters, state, input) to the next state. x is (B, I), every part of a state is
(B, H), and a weight matrix stands to the right of the row [h, x], so W is (H + I, H).
`equations` returns every value of a step by its symbol, in the order of the equations: the next
state is among them, and so is what a picture wants to name.

What is said beside the equations (title, gates, line, places, plan) is for words and pictures
only. A subclass with equations of its own says nothing until it says it anew, so that no word of
one cell is told of another.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

import minigrad as mg
from lstm.arguments import generator
from lstm.errors import ConfigError, UnknownAttributeError, check_count
from minigrad import Expr
from minigrad.display import ShownAsCall, bundle

Params = Mapping[str, Expr]
Values = dict[str, Expr]
Shape = tuple[int, ...]
Seed = int | np.random.Generator
Place = tuple[float, float]
Places = Mapping[str, Place]


class Gate(NamedTuple):
    """A gate in words: what it is called, and what it does where it is 1 and where it is 0.

    >>> Gate("f", "forget gate", one="keeps C", zero="drops C").name
    'forget gate'
    """

    symbol: str
    name: str = ""
    one: str = ""
    zero: str = ""


class Line(NamedTuple):
    """The part of the state that comes back multiplied elementwise, and what by: f, or 1 − z."""

    symbol: str
    factor: str


class RNNState(NamedTuple):
    """What a cell without a cell line carries from step to step."""

    h: Expr


class LSTMState(NamedTuple):
    """Hidden state h and cell state C."""

    h: Expr
    C: Expr


State = RNNState | LSTMState
S = TypeVar("S", RNNState, LSTMState)


@dataclass(frozen=True)
class Cell(ShownAsCall, ABC, Generic[S]):
    """What all cells share: sizes, initial values, and `step` on top of `equations`.

    dtype is "float32" or "float64". Raises ConfigError for a size below one or another dtype.
    """

    input_size: int
    hidden_size: int
    dtype: str = "float32"

    name: ClassVar[str]
    weights: ClassVar[str]
    """A letter for each weight matrix."""
    state_type: ClassVar[Any]
    """A NamedTuple of what is carried, each part (B, H)."""
    output: ClassVar[str]
    """The part of the state that leaves the cell, to the readout or to the next layer; the first
    of `state_type`, unless said."""

    title: ClassVar[str | None] = None
    """What headings call the cell, such as "LSTM with peepholes"; its class's name where None."""
    line: ClassVar[str | None] = None
    """The part of the state that lasts, where the equations have several that could be it."""
    gates: ClassVar[tuple[Gate, ...] | None] = None
    """Its gates in words; None: what can be told from the equations."""
    places: ClassVar[Places | None] = None
    """Where the ops of a step stand on paper, in points, y downwards: {"C": (159.0, 0.0)}. An op
    without a symbol is named by its way down from one: "C.0" is the first argument of C. "x" is
    the input. None, or an op without a place, leaves all to Graphviz."""
    plan: ClassVar[Places | None] = None
    """Where layers and pointwise ops stand in the textbook's figure of a step, named as in
    `places`, (column, row): layers in row 1, what meets their outputs in 2, what reads the line in
    3, the line in 4. What is not said follows from the equations."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "state_type" in cls.__dict__ and "output" not in cls.__dict__:
            cls.output = next(iter(getattr(cls.state_type, "_fields", ())), "")
        if "equations" in cls.__dict__:
            for said in ("title", "line", "gates", "places", "plan"):
                if said not in cls.__dict__:
                    setattr(cls, said, None)

    def __post_init__(self) -> None:
        for field in ("input_size", "hidden_size"):
            # As an int, since a file keeps it as JSON.
            object.__setattr__(self, field, check_count(field, getattr(self, field)))
        if self.dtype not in ("float32", "float64"):
            raise ConfigError(f"dtype must be 'float32' or 'float64', not {self.dtype!r}")
        self._check_statements()

    def _check_statements(self) -> None:
        kind = type(self).__name__
        if not isinstance(getattr(self, "name", None), str):
            raise ConfigError(f'{kind} has no name; write name = "..." in the class')
        parts = getattr(getattr(self, "state_type", None), "_fields", ())
        if not parts:
            raise ConfigError(
                f"{kind} does not say what it carries; write state_type = lstm.RNNState, "
                "lstm.LSTMState, or a NamedTuple of your own, in the class"
            )
        if self.output not in parts:
            raise ConfigError(
                f"{kind} says that its output is {self.output!r}, which is no part of its state; "
                f"that has {', '.join(parts)}"
            )

    @abstractmethod
    def equations(self, params: Params, state: S, x: Expr) -> Values:
        """Every value of one step by its symbol, in order; the new state's parts are among them."""

    def compute(self, params: Params, state: S, x: Expr) -> Values:
        """What `equations` gives, checked; everything else calls this.

        Raises ConfigError, which names the cell, where it gives no dictionary of expressions, where
        a part of the next state is missing or of another shape than the one before, and where it
        reads a parameter that there is not.
        """
        values = self.equations(_Named(self.name, params), state, x)
        if not isinstance(values, Mapping):
            raise ConfigError(
                f"the equations of cell {self.name} give {_said(values)}, but must give a "
                f"dictionary of every value by its symbol; return {{..., {_spelled(state)}}}"
            )
        for symbol, value in values.items():
            if not isinstance(symbol, str) or not isinstance(value, Expr):
                raise ConfigError(
                    f"the equations of cell {self.name} give {_said(value)} for {symbol!r:.40}; "
                    "each value must be an expression, and its key a string"
                )
        for part, before in state._asdict().items():
            if part not in values:
                raise ConfigError(
                    f"the equations of cell {self.name} give no {part!r}, which is part of its "
                    f"state; they give {', '.join(values) or 'nothing'}"
                )
            if values[part].shape != before.shape:
                raise ConfigError(
                    f"the equations of cell {self.name} give {part} {values[part].shape}, but it "
                    f"was {before.shape} before the step"
                )
        return dict(values)

    def check(self, before: str = "_before", now: str = "") -> Values:
        """Every value of one step of variables: the parameters by name, x, and the state before as
        h_before. before, now: what is added to the names of that state, and of x. Raises what
        `compute` raises."""
        return self.compute(*self.variables(before, now))

    def variables(self, before: str = "_before", now: str = "") -> tuple[Params, S, Expr]:
        """What a step reads, as variables: the parameters by name, the state before, and x; named
        as in `check`, with a ′ more where a parameter has that name."""
        params = {name: mg.var(name, shape, self.dtype) for name, shape in self.shapes().items()}

        def beside(name: str, shape: Shape, dtype: Any) -> Expr:
            while name in params:
                name += "′"
            return mg.var(name, shape, dtype)

        zeros = self.initial_state(1)._asdict()
        state = [beside(f"{part}{before}", z.shape, z.dtype) for part, z in zeros.items()]
        x = beside(f"x{now}", (1, self.input_size), self.dtype)
        return params, cast(S, self.state_type(*state)), x

    def formulas(self, before: str = "_before", now: str = "") -> dict[str, Expr]:
        """The equations of a step by their symbols, each in those before it and in what it reads:
        parameters by name, x, and the state before as h_before. before, now: what is added to the
        names of that state, and of x and the symbols. Raises what `compute` raises.

        >>> import lstm
        >>> for symbol, formula in lstm.RNN(2, 3).formulas().items():
        ...     print(symbol, "=", formula)
        h = tanh(concat(h_before, x, axis=1) @ W_h + b_h)
        >>> print(lstm.RNN(2, 3).formulas("ₜ₋₁", "ₜ")["h"])
        tanh(concat(hₜ₋₁, xₜ, axis=1) @ W_h + b_h)
        """
        known: dict[Expr, Expr] = {}
        written: dict[str, Expr] = {}
        for symbol, value in self.check(before, now).items():
            written[symbol] = mg.substitute(value, known)
            known[value] = mg.var(symbol + now, value.shape, value.dtype)
        return written

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        """What a notebook shows: the equations, and `repr`."""
        return bundle(self, {"text/latex": self._latex})

    def _latex(self) -> str:
        formulas = self.formulas().items()
        lines = [f"{mg.var(symbol).latex()} &= {mg.to_latex(y, 20)}" for symbol, y in formulas]
        return r"$\begin{aligned} " + r" \\ ".join(lines) + r" \end{aligned}$"

    def step(self, params: Params, state: S, x: Expr) -> S:
        """The state after reading x (B, I). Raises ConfigError as `compute` does."""
        return self.state_of(self.compute(params, state, x))

    def output_of(self, state: S) -> Expr:
        """The part of a state that leaves the cell, (B, H)."""
        return cast(Expr, getattr(state, self.output))

    @property
    def output_size(self) -> int:
        """The width of what leaves the cell: H, unless a cell that projects it says otherwise."""
        return self.hidden_size

    def state_of(self, values: Values) -> S:
        """The state among the values of a step."""
        return cast(S, self.state_type(*[values[part] for part in self.state_type._fields]))

    @property
    def heading(self) -> str:
        """What headings call it: its title, or else the name of its class."""
        return self.title or type(self).__name__

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences on how it starts, for whoever reads what it came to."""
        return ()

    def shapes(self) -> dict[str, Shape]:
        """Names and shapes of the parameters: W (H + I, H) and b (H,) for each of `weights`."""
        H, I = self.hidden_size, self.input_size  # noqa: E741
        weights: dict[str, Shape] = {f"W_{w}": (H + I, H) for w in self.weights}
        return weights | {f"b_{w}": (H,) for w in self.weights}

    def init(self, seed: Seed) -> dict[str, NDArray[Any]]:
        """New parameters: U(-1/√H, 1/√H) for weights, zero for biases (b_…) but those that a gate
        needs.

        The same integer gives the same values; a Generator is drawn from. Raises ConfigError for
        what is neither, or below 0. Random biases were tried:
        one of 16 seeds then learned the adding problem late, and none with these.

        >>> import lstm
        >>> {name: value.shape for name, value in lstm.RNN(2, 3).init(seed=0).items()}
        {'W_h': (5, 3), 'b_h': (3,)}
        """
        rng = generator(seed)
        bound = self.hidden_size**-0.5
        starts = {n: 0.0 for n in self.shapes() if n.startswith("b_")} | self._starts()
        return {
            name: np.full(shape, starts[name], self.dtype)
            if name in starts
            else rng.uniform(-bound, bound, shape).astype(self.dtype)
            for name, shape in self.shapes().items()
        }

    def _starts(self) -> dict[str, float]:
        """Where parameters start that are not drawn, and not biases that start at zero."""
        return {}

    def initial_state(self, batch: int) -> S:
        """A state of zeros, each part (batch, H)."""
        shape = (check_count("batch", batch), self.hidden_size)
        zero = mg.const(np.zeros(shape, self.dtype))
        return cast(S, self.state_type(*[zero for _ in self.state_type._fields]))


class _Named(dict[str, Expr]):
    """Parameters of a cell, of which one that is missing is named with the cell."""

    def __init__(self, cell: str, params: Params) -> None:
        super().__init__(params)
        self.cell = cell

    def __getattr__(self, name: str) -> Expr:
        raise read_otherwise(name)

    def __missing__(self, name: str) -> Expr:
        raise ConfigError(
            f"the equations of cell {self.cell} read the parameter {name!r}, but there are only "
            f"{', '.join(self)}; `weights` or `shapes()` say which there are"
        )


def read_otherwise(name: str) -> UnknownAttributeError:
    """What to say where a parameter is read as an attribute."""
    said = f"a parameter is read by its name, p[{name!r:.40}], not p.{name:.40}"
    return UnknownAttributeError(said)


def _said(value: object) -> str:
    return "None" if value is None else f"a {type(value).__name__}"


def _spelled(state: Any) -> str:
    return ", ".join(f'"{part}": {part}' for part in state._fields)
