"""A cell made of a plain step function: its arguments are the state, what it reads the parameters.

The class that comes of it is a cell like any other; nothing else knows where it came from.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import namedtuple
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property, partial
from inspect import Parameter, Signature, signature
from keyword import iskeyword
from typing import Any, ClassVar

import minigrad as mg
from lstm.cells.base import Cell, Gate, Params, Shape, Values, read_otherwise
from lstm.errors import ConfigError, check_count, check_number
from minigrad import Expr

Step = Callable[..., Any]
"""`step(params, *parts of the state, x)`; see `cell`."""
Sizes = Sequence["str | int"]
"""The shape of a parameter: "H", the units, "I", the inputs, or a number, for each axis."""


def cell(
    step: Step | None = None,
    *,
    params: Mapping[str, Sizes] | None = None,
    starts: Mapping[str, float] | None = None,
    output: str | None = None,
    line: str | None = None,
    gates: Sequence[Gate] | None = None,
    title: str | None = None,
) -> Any:
    """The class of a cell whose equations are a plain function: step(p, h, x), or, of a state of
    several parts, step(p, h, C, x). Also a decorator, as it is and with what there is to say.

    step: of p, the parameters by name, of each part of the state before, (B, H), called as its
        argument is, and of x (B, I). It gives every value by its symbol, {"f": …, "C": …, "h": …},
        the new state among them, or that state alone: h, or (h, C).
    params: shapes of the parameters that it reads, {"U": ("H", "H"), "scale": (1,)}: H are the
        units, I the inputs. Unless told, W_… is (H + I, H) and b_… (H,).
    starts: {parameter: the number that it starts as}. The others start as `Cell.init` says.
    output: the part of the state that leaves the cell; the first, unless told.
    line, gates, title: what a cell says of itself; see `Cell`. Its line is found in the equations.

    `Model.create` and `Model.load(own=…)` take the function itself, too. Raises ConfigError for
    what is no such function, and for shapes and starts that cannot be; for a parameter that is read
    and has no shape, and for a shape of one that is not, where a cell is asked for its shapes.

    >>> import lstm, minigrad as mg
    >>> @lstm.cell(params={"V": ("I", "H")}, starts={"b_f": 1.0})
    ... def keeper(p, C, x):
    ...     f = mg.sigmoid(mg.concat([C, x], -1) @ p["W_f"] + p["b_f"])
    ...     return {"f": f, "C": f * C + (1 - f) * mg.tanh(x @ p["V"])}
    >>> keeper(input_size=2, hidden_size=3).shapes()
    {'W_f': (5, 3), 'b_f': (3,), 'V': (2, 3)}
    >>> lstm.Model.create(keeper, task=lstm.Adding(20)).cell
    keeper(input_size=2, hidden_size=16, dtype='float32')
    """
    if step is None:
        said: dict[str, Any] = {"params": params, "starts": starts, "output": output}
        return partial(cell, line=line, gates=gates, title=title, **said)
    name, parts = _name(step), _parts(step)
    statements: dict[str, Any] = {
        "__doc__": step.__doc__,
        "__module__": getattr(step, "__module__", __name__),
        "name": name,
        "title": title,
        "weights": "",
        "state_type": namedtuple(f"{name}_state", parts),
        "output": parts[0] if output is None else output,
        "line": line,
        "gates": None if gates is None else _gates(gates),
        "step_function": staticmethod(step),
        "said_shapes": {n: _sizes(n, shape) for n, shape in _named("params", params)},
        "said_starts": {n: check_number(f"starts[{n!r}]", x) for n, x in _named("starts", starts)},
        "equations": OfFunction._values,
    }
    return type(name, (OfFunction,), statements)


def cell_class(what: Any) -> type[Cell[Any]] | None:
    """The class that stands for a cell of one's own: of a cell's class or of a step function; None
    for what is neither. Raises ConfigError for a function that is no step."""
    if isinstance(what, type):
        return what if issubclass(what, Cell) else None
    if isinstance(what, Cell) or not callable(what):
        return None
    made: type[Cell[Any]] = cell(what)
    return made


class OfFunction(Cell[Any]):
    """A cell whose equations are a function of its own."""

    step_function: ClassVar[Step]
    said_shapes: ClassVar[Mapping[str, Sizes]]
    said_starts: ClassVar[Mapping[str, float]]

    @abstractmethod
    def equations(self, params: Params, state: Any, x: Expr) -> Values:
        """What the function gives; each class has its own, as others have theirs."""

    def _values(self, params: Params, state: Any, x: Expr) -> Any:
        """What the function gives, by symbols where it gives the new state alone."""
        made = type(self).step_function(params, *state, x)
        if isinstance(made, Mapping):
            return made
        new = tuple(made) if isinstance(made, (tuple, list)) else (made,)
        if len(new) != len(state):
            raise ConfigError(
                f"the step function {self.name} gives {len(new)} values for a state of "
                f"{', '.join(state._fields)}; return {', '.join(state._fields)}, or every value by "
                "its symbol"
            )
        return dict(zip(state._fields, new, strict=True))

    def shapes(self) -> dict[str, Shape]:
        """Names and shapes of the parameters that the function reads, in that order."""
        return dict(self._read)

    def _starts(self) -> dict[str, float]:
        return dict(self.said_starts)

    @cached_property
    def _read(self) -> dict[str, Shape]:
        reads = _Reads(self)
        zeros = self.initial_state(1)._asdict()
        state = self.state_type(*[mg.var(part, z.shape, z.dtype) for part, z in zeros.items()])
        x = mg.var("x", (1, self.input_size), self.dtype)
        try:
            self._values(reads, state, x)
        except mg.ShapeError as error:
            raise ConfigError(
                f"the step function {self.name} does not fit the shapes of its parameters, with "
                f"H = {self.hidden_size} units and I = {self.input_size} inputs: {error}\n"
                "  W_… is (H + I, H), as for concat([h, x], -1) @ W, and b_… (H,), unless params= "
                f'says another: lstm.cell({self.name}, params={{"W_h": ("H", "H")}})'
            ) from error
        shapes = {name: leaf.shape for name, leaf in reads.items()}
        for what, said in (("params", self.said_shapes), ("starts", self.said_starts)):
            if missing := [name for name in said if name not in shapes]:
                raise ConfigError(
                    f"{what}= of the step function {self.name} names {missing[0]!r:.40}, which it "
                    f"does not read; it reads {', '.join(shapes) or 'none'}"
                )
        return shapes

    def shape_of(self, name: str) -> Shape:
        """The shape of a parameter, as it is said, or as its name says."""
        H, I = self.hidden_size, self.input_size  # noqa: E741
        if name in self.said_shapes:
            sizes = {"H": H, "I": I}
            return tuple([n if isinstance(n, int) else sizes[n] for n in self.said_shapes[name]])
        if name.startswith("W_"):
            return (H + I, H)
        if name.startswith("b_"):
            return (H,)
        raise ConfigError(
            f"the step function {self.name} reads the parameter {name!r:.40}, and nothing says its "
            "shape: W_… is (H + I, H) and b_… (H,); for others write "
            f'lstm.cell({self.name}, params={{{name!r:.40}: ("H", "H")}})'
        )


class _Reads(dict[str, Expr]):
    """Parameters that are made as they are read."""

    def __init__(self, of: OfFunction) -> None:
        super().__init__()
        self.of = of

    def __getattr__(self, name: str) -> Expr:
        raise read_otherwise(name)

    def __missing__(self, name: str) -> Expr:
        if not isinstance(name, str):
            raise ConfigError(f"a parameter is read by its name, p['W_f'], not by {name!r:.40}")
        leaf = self[name] = mg.var(name, self.of.shape_of(name), self.of.dtype)
        return leaf


def _name(step: Step) -> str:
    """What a cell of a function is called: as the function, where that has a name."""
    if isinstance(step, type) or not callable(step):
        raise ConfigError(f"a step function is needed, def step(p, h, x), not {step!r:.60}")
    name = str(getattr(step, "__name__", ""))
    return name if name.isidentifier() and not iskeyword(name) else "own"


def _parts(step: Step) -> list[str]:
    """The parts of the state: the arguments between the parameters and the input."""
    try:
        taken = signature(step)
    except (TypeError, ValueError):  # some of what is built in does not tell
        taken = Signature()
    arguments = taken.parameters.values()
    needed = [a for a in arguments if a.default is Parameter.empty]
    plain = all(a.kind <= Parameter.POSITIONAL_OR_KEYWORD for a in needed)
    parts = [a.name for a in needed[1:-1]]
    if not parts or not plain or any(part.startswith("_") for part in parts):
        raise ConfigError(
            f"a step function takes its parameters, each part of its state, and its input: "
            f"def {_name(step)}(p, h, x), or (p, h, C, x); this one takes {taken!s:.80}"
        )
    return parts


def _named(option: str, said: Any) -> Iterable[tuple[str, Any]]:
    """What an option says of parameters by their names."""
    if said is None:
        return ()
    if not isinstance(said, Mapping) or not all(isinstance(name, str) for name in said):
        what = "shapes" if option == "params" else "numbers"
        raise ConfigError(f"{option}= takes {what} by name, of parameters, not {said!r:.60}")
    return said.items()


def _sizes(name: str, shape: Any) -> Sizes:
    if not isinstance(shape, (tuple, list)):
        raise ConfigError(
            f'params= takes shapes by name, {{{name!r:.40}: ("H", "H")}}, not {shape!r:.40}'
        )
    return tuple([n if n in ("H", "I") else check_count(f"a size of {name!r}", n) for n in shape])


def _gates(gates: Any) -> tuple[Gate, ...]:
    if not isinstance(gates, (tuple, list)) or not all(isinstance(g, Gate) for g in gates):
        raise ConfigError(
            f'gates= takes lstm.Gate("g", "update gate") for each gate, not {gates!r:.60}'
        )
    return tuple(gates)
