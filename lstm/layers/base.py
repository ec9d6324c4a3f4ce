"""What every layer is: settings, and a pure function from a sequence to a sequence.

Time comes first: a step of B sequences is (B, F), and T of them (T, B, F). A layer holds no tensor.
Its parameters are a tree of its shapes, its state what it carries from one run to the next.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, TypeAlias

import numpy as np

import minigrad as mg
from lstm.arguments import expression, within
from lstm.cells import Values
from lstm.errors import ConfigError, check_count, check_number
from lstm.params import Tree, drawn, join
from minigrad import Expr
from minigrad.display import ShownAsCall, in_a_line

if TYPE_CHECKING:
    from typing import Self

    from lstm.layers.recurrent import Recurrent

Rng: TypeAlias = np.random.Generator


@dataclass(frozen=True)
class Steps:
    """What goes from layer to layer: a sequence, and what of it is at each sequence's own end.

    Where a step is padding, the values mean nothing, and are finite.
    """

    each: Expr | tuple[Expr, ...]
    """(T, B, F), or written out as T of (B, F)."""
    end: Expr
    """(B, F): of the last step that counts; what is read backwards ends at the first."""

    @staticmethod
    def of(xs: Expr, mask: Expr | None = None, *, written_out: bool = False) -> Steps:
        """The sequences xs (T, B, ...), with 0 where the mask (T, B) is False: what is there never
        enters, be it NaN.

        >>> mask = mg.const(np.array([[True, True], [True, False]]))
        >>> steps = Steps.of(mg.const([[1.0, 2.0], [3.0, np.nan]]), mask)
        >>> steps.each.eval().tolist(), steps.end.eval().tolist()
        ([[1.0, 2.0], [3.0, 0.0]], [3.0, 2.0])
        """
        if mask is not None:
            xs = masked(mask, xs)
            steps = mg.expand_dims(mg.arange(xs.shape[0]), axis=1)
            last = mg.max(mg.where(mask, steps, 0), axis=0)
            end = xs[last, mg.arange(xs.shape[1])]
        else:
            end = xs[-1]
        return Steps(tuple(xs[t] for t in range(xs.shape[0])) if written_out else xs, end)

    @property
    def shape(self) -> tuple[int, ...]:
        """(T, B, F)"""
        if isinstance(self.each, Expr):
            return self.each.shape
        return (len(self.each), *self.each[0].shape)

    @property
    def stacked(self) -> Expr:
        """(T, B, F) as one tensor, written out or not."""
        return self.each if isinstance(self.each, Expr) else mg.stack(list(self.each))

    def map(self, function: Callable[..., Expr], *others: Steps) -> Steps:
        """A function of (..., F) tensors applied to every step of these and the others' side by
        side, and to their ends."""
        all_steps = (self, *others)
        each: Any
        if isinstance(self.each, Expr):
            each = function(*[steps.each for steps in all_steps])
        else:
            each = tuple(function(*row) for row in zip(*[s.each for s in all_steps], strict=True))
        return Steps(each, function(*[steps.end for steps in all_steps]))


def mask_of(lengths: Any, steps: int) -> Expr:
    """The mask (T, B) of sequences that have lengths (B,), integers of 1 … T; an expression or an
    array. Raises ConfigError for one out of range, wherever it becomes known.

    >>> mask_of([1, 2], 2).eval().tolist()
    [[True, True], [False, True]]
    """
    lengths = within(lengths, 1, steps, "length")
    return mg.expand_dims(mg.arange(steps), axis=1) < mg.expand_dims(lengths, axis=0)


def mask_given(shape: tuple[int, ...], lengths: Any = None, mask: Any = None) -> Expr | None:
    """The mask of sequences xs of a shape (T, B, ...), from whichever is given; None of neither.

    Raises ConfigError for both, and for shapes and dtypes that do not fit.
    """
    if lengths is not None and mask is not None:
        raise ConfigError("lengths= and mask= say the same: give one of them")
    steps, batch = shape[:2]
    if lengths is not None:
        lengths = expression(lengths, what="lengths")
        if lengths.shape != (batch,):
            raise ConfigError(f"lengths must be (B,), here ({batch},), not {lengths.shape}")
        return mask_of(lengths, steps)
    if mask is None:
        return None
    counts = expression(mask, what="a mask")
    if counts.shape != (steps, batch) or counts.dtype != np.dtype(bool):
        here = f"here ({steps}, {batch}), not {counts.type!r}"
        raise ConfigError(f"mask must be (T, B) of bool, {here}")
    return counts


def masked(mask: Expr, xs: Expr) -> Expr:
    """xs (..., F) with 0 where the mask (...) is False; or xs of the mask's own shape."""
    if xs.ndim > mask.ndim:
        mask = mg.broadcast_to(mg.expand_dims(mask, axis=-1), xs.shape)
    return mg.where(mask, xs, mg.zeros_like(xs))


class Written(NamedTuple):
    """What a recurrent layer computed, step by step, in the order in which it reads."""

    states: list[Any]
    """The T + 1 states, the initial one first."""
    made: list[Any]
    """The T states as the steps made them; after a step of padding the one before stays."""
    values: list[Values]
    """What each of the T steps computes, by symbol, as the cell's `equations` give it."""
    xs: list[Expr]
    """The T inputs, each (B, I)."""

    def __repr__(self) -> str:
        return in_a_line(self)


class Looped(NamedTuple):
    """A recurrent layer's loop: the nodes of its step, which `minigrad.adjoints` finds again, and
    those around it."""

    before: Any
    """The state that a step reads."""
    made: Any
    """The state that it makes."""
    after: Any
    """The state after it: after a step of padding the one before."""
    values: Values
    """What it computes, by symbol, as the cell's `equations` give it."""
    x: Expr
    """What it reads, (B, I)."""
    xs: Expr
    """What all steps read, (T, B, I)."""
    outputs: Expr
    """What each of them gives, (T, B, H)."""
    last: Any
    """The state after all steps."""


class Tape(NamedTuple):
    """What recurrent layers write out, by their places."""

    written: dict[str, Written]
    short: bool
    """Whether names need not say the place, since there is but one."""
    loops: dict[str, Looped] | None = None
    """Where layers that stay loops are noted; None: they are written out."""

    def name(self, place: str, symbol: str, t: int) -> str:
        """What a value of step t is called."""
        return subscript(symbol if self.short else join(place, symbol), t)


_SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


def subscript(symbol: str, t: int) -> str:
    """A symbol with the time step below it.

    >>> subscript("C̃", 12)
    'C̃₁₂'
    """
    return symbol + str(t).translate(_SUBSCRIPTS)


class Context(NamedTuple):
    """What a run is given beside the sequence."""

    mask: Expr | None = None
    """(T, B) bool: True where a step counts."""
    key: Expr | None = None
    """uint64 (2,), of `minigrad.key`: for training. None: evaluation, in which nothing is drawn."""
    truncate: int | None = None
    """Gradients go back through so many steps at most, as in `minigrad.scan`."""
    place: str = ""
    """Where in the tree the layer is: "layer2.forward"."""
    tape: Tape | None = None
    """Where recurrent layers note their steps, which they then write out, one after the other,
    unless it notes loops."""
    routes: Mapping[str, float] = MappingProxyType({})
    """{part of the state, or place and part: how much of what comes back along it, a step}."""
    detach: Mapping[str, float] = MappingProxyType({})
    """{the same: the probability, a step, that nothing comes back along it}; needs a key."""
    clamp: Mapping[str, Expr] = MappingProxyType({})
    """{the same: what each unit is whenever a step reads it, NaN where it is as it was}"""

    @property
    def written_out(self) -> bool:
        """Whether there are steps one after the other instead of loops."""
        return self.tape is not None and self.tape.loops is None

    def share(self, part: str) -> float:
        """How much of what comes back along a part of the state of the layer here goes on."""
        share: float = self._of_part(self.routes, part, 1.0)
        return share

    def cut(self, part: str) -> float:
        """How likely it is, a step, that nothing comes back along it."""
        probability: float = self._of_part(self.detach, part, 0.0)
        return probability

    def clamped(self, part: str, value: Expr) -> Expr:
        """A part of the state (B, H) as a step reads it, with the units that are clamped. Raises
        ConfigError for another number of units."""
        units = self._of_part(self.clamp, part, None)
        if units is None:
            return value
        if units.shape != value.shape[1:]:
            raise ConfigError(
                f"clamp= has for {join(self.place, part)} a number, or NaN, for each unit, "
                f"{value.shape[1:]}, not {units.shape}"
            )
        return mg.where(mg.isnan(units), value, units)

    def _of_part(self, by_part: Mapping[str, Any], part: str, usual: Any) -> Any:
        return by_part.get(join(self.place, part), by_part.get(part, usual))

    def split(self, name: str) -> Context:
        """What the part of that name is given."""
        return self._replace(place=join(self.place, name))

    def uniform(self, shape: tuple[int, ...]) -> Expr:
        """Numbers of [0, 1), this place's own: another key, or another place, has others."""
        if self.key is None:
            raise ConfigError("nothing is drawn without a key: give key=minigrad.key(seed)")
        number = int.from_bytes(blake2b(self.place.encode(), digest_size=8).digest(), "little")
        return mg.uniform(mg.fold_in(self.key, number), shape, "float32")

    def noise(self, xs: Steps) -> Steps:
        """Such numbers, one for each element of a sequence."""
        numbers = self.uniform(xs.shape)
        rows = isinstance(xs.each, tuple)
        each = tuple(numbers[t] for t in range(xs.shape[0])) if rows else numbers
        return Steps(each, self.split("end").uniform(xs.end.shape))


@dataclass(frozen=True)
class Layer(ShownAsCall, ABC):
    """What all layers share. A subclass is a frozen dataclass of plain settings, cells and layers,
    and states its `name`, by which a file knows it.

    input_size, output_size: F of a step that it reads, and of one that it gives.
    dtype: "float32" or "float64". Raises ConfigError for a size below one or another dtype.
    """

    input_size: int
    output_size: int
    dtype: str = field(default="float32", kw_only=True)

    name: ClassVar[str]
    tokens: ClassVar[bool] = False
    """Whether it reads an integer a step, from 0 to input_size - 1, so that xs is (T, B)."""

    def __post_init__(self) -> None:
        for size in ("input_size", "output_size"):
            self._set(size, check_count(size, getattr(self, size)))  # as an int: files are JSON
        if self.dtype not in ("float32", "float64"):
            raise ConfigError(f"dtype must be 'float32' or 'float64', not {self.dtype!r}")

    def _set(self, field: str, value: Any) -> None:
        """For `__post_init__`, which makes settings proper and derives fields from others."""
        object.__setattr__(self, field, value)

    @abstractmethod
    def run(self, params: Tree, xs: Steps, state: Tree, context: Context) -> tuple[Steps, Tree]:
        """What comes of the sequences, and the state at each one's own end."""

    def shapes(self) -> Tree:
        """The shapes of the parameters."""
        return {}

    def init(self, rng: Rng) -> Tree:
        """New parameters, as arrays; unless a layer says otherwise, as `drawn` has them."""
        return drawn(rng, self.shapes(), self.dtype)

    def initial_state(self, batch: int) -> Tree:
        """The state that sequences start from; {} where nothing is carried."""
        return {}

    def recurrent(self) -> dict[str, Recurrent]:
        """The recurrent layers in here, each by its place below this one."""
        return {}

    def with_dtype(self, dtype: str) -> Self:
        """The same layer of tensors of another dtype."""
        return replace(self, dtype=dtype)


@dataclass(frozen=True)
class Derived(Layer):
    """A layer whose sizes and dtype are not given: they follow from what it is made of."""

    input_size: int = field(init=False, repr=False)
    output_size: int = field(init=False, repr=False)
    dtype: str = field(init=False, repr=False)

    def _derive(self, input_size: int, output_size: int, dtype: str) -> None:
        """For `__post_init__`; they are checked as those of every layer."""
        self._set("input_size", input_size)
        self._set("output_size", output_size)
        self._set("dtype", dtype)
        super().__post_init__()


def check_probability(name: str, value: Any) -> float:
    """The value as a float. Raises ConfigError unless it is a number of [0, 1).

    >>> check_probability("dropout", 0)
    0.0
    """
    return check_number(name, value, least=0, below=1)


def check_by_part(
    name: str, numbers: Mapping[str, float] | None, **bounds: float
) -> dict[str, float]:
    """Numbers by parts of the state, as floats; none of None. Raises ConfigError.

    >>> check_by_part("detach", {"h": 1}, least=0, most=1)
    {'h': 1.0}
    """
    numbers = {} if numbers is None else numbers
    if not isinstance(numbers, Mapping) or not all(isinstance(part, str) for part in numbers):
        raise ConfigError(
            f'{name} gives a number for parts of the state, such as {{"h": 0.5}}, not '
            f"{numbers!r:.40}"
        )
    return {
        part: check_number(f"{name} of {part!r:.40}", x, **bounds) for part, x in numbers.items()
    }


def check_routes(routes: Any, detach: Any) -> tuple[dict[str, float], dict[str, float]]:
    """`routes` and `detach` as a context has them. Raises ConfigError.

    >>> check_routes({"h": 0}, None)
    ({'h': 0.0}, {})
    """
    return check_by_part("routes", routes), check_by_part("detach", detach, least=0, most=1)


def check_layer(value: Any, base: type[Any] = Layer) -> Any:
    """The value. Raises ConfigError unless it is a layer (of that class)."""
    if not isinstance(value, base):
        raise ConfigError(f"a {base.__name__} is needed, not {value!r:.60}")
    return value


def check_clamp(clamp: Any, dtype: str) -> dict[str, Expr]:
    """`clamp` as a context has it, in a dtype; none of None. Raises ConfigError."""
    if clamp is not None and not isinstance(clamp, Mapping):
        raise ConfigError(
            "clamp= is a dict, {part of the state: a number, or NaN, for each unit}, not "
            f"{clamp!r:.60}"
        )
    held = (clamp or {}).items()
    return {part: expression(x, np.dtype(dtype), f"clamp={part!r:.40}") for part, x in held}
