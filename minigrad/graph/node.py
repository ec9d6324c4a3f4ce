"""Operations and nodes: the Op record and its registry, Expr, and interning.

No op is defined here, and nothing here differentiates, rewrites or runs. Interning: a node is made
once for (op, attrs, args), so equal expressions are one object, common subexpressions cost nothing,
and passes compare nodes with `is`.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from operator import attrgetter, is_
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import numpy as np
from numpy.typing import ArrayLike

from minigrad.errors import DTypeError, GraphError, MinigradError, ShapeError
from minigrad.graph.origin import CONTEXT, Origin, caller, line_of, users_line
from minigrad.interning import Table
from minigrad.names import FUNCTIONS, OTHERS
from minigrad.syntax.operators import Operators
from minigrad.types import Array, Shape, TensorType, TupleType, require_tensors

if TYPE_CHECKING:
    from minigrad.graph.places import Inside

Partial: TypeAlias = "Callable[..., Expr | int | None] | int | None"
Terms: TypeAlias = "Sequence[Expr | None]"
Pullback: TypeAlias = "Callable[[Expr, Expr], Terms]"


def _unchanged(value: Any, n: int) -> Any:
    return value


@dataclass(frozen=True, slots=True)
class Attr:
    """An attribute of an op, and what a leading axis makes of it (see ops/batch.py)."""

    name: str
    lift: Callable[[Any, int], Any] = _unchanged
    """(value, n) -> the value for operands with a new first axis of length n."""
    lower: Callable[[Any, int], Any] = _unchanged
    """(value, n) -> the value that `lift` makes this one of; None where it makes none."""


@dataclass(frozen=True, slots=True, eq=False)
class Op:
    """Everything about an operation, in one record.

    A derivative is stated in exactly one of four ways:

    partials     pointwise: for each argument, ∂out/∂arg as a function of (out, *args); the ints 1
                 and -1 for a constant one, None for one that is zero wherever it exists.
    transpose    linear: (cotangent, out) -> the adjoint maps, one term for each argument, None
                 for one without derivative (an index, a mask). `jointly` says whether the op is
                 linear in its float arguments together (concat) or in each (matmul).
    vjp          anything else: (cotangent, out) -> the adjoint terms, one for each argument, or
                 None. They must be linear in the cotangent; forward mode is derived from them,
                 unless `jvp`, (out, tangents or None) -> tangent, says how to do better.
    no_gradient  declared: the output has no derivative (comparisons, argmax ...).
    """

    name: str
    infer: Callable[..., TensorType]
    """(*argument types, *attrs) -> type of the output; raises ShapeError or DTypeError."""
    numpy: Callable[..., Any]
    """(*arrays, *attrs) -> array: the reference implementation."""
    numpy_checked: Callable[..., Any] | None = None
    """The same, raising NonFiniteError within: for ops that hold a graph of their own."""
    partials: tuple[Partial, ...] | None = None
    transpose: Pullback | None = None
    jointly: bool = False
    vjp: Pullback | None = None
    jvp: Callable[[Expr, Sequence[Expr | None]], Expr | None] | None = None
    no_gradient: bool = False
    pointwise: bool = False
    """Each element of the output comes from the same element of the arguments."""
    attrs: tuple[Attr, ...] = ()
    """The attributes, in order."""
    batch: Callable[[Expr, Sequence[Expr], Sequence[bool], int], Expr] | None = None
    """(node, args, many, n) -> the op for n values at once, along a new first axis, where `many`
    says which args have it."""
    stacks: bool = False
    """The op takes further axes before those that it knows of, and its attributes say how they
    change: so do pointwise ops. Without this and without `batch` it has no leading axis."""
    commutative: bool = False
    """Its two operands may change places."""
    symbol: str = ""
    """What pictures show; the name when empty."""
    plain: str = ""
    """What text shows between operands; the symbol when empty."""
    infix: int = 0
    """Binding strength when text writes the op between its operands; 0 means as a call."""
    latex: str = ""
    """LaTeX with {0}, {1} for the arguments; a call of the name when empty."""
    out: bool = False
    """`numpy` takes out=, a buffer of the output's type."""
    names: bool = False
    """A leaf whose first attribute is its name."""
    holds: bool = False
    """A leaf whose last attribute holds its value, as `array`; with a name, one to `assign`."""
    view: bool = False
    """`numpy` may return a view of its first argument."""
    checks: bool = False
    """`numpy` does what machine code does not, raise for some values or draw numbers: done once
    before a loop where it meets no carry."""
    requires: Callable[..., Expr] | None = None
    """Of an op that raises or hands on its one argument: (arg, *attrs) -> bools, which elements it
    lets pass. Backends for other engines compute this, and call `numpy` for the error alone."""
    of_tuple: bool = False
    """Takes a node with several results; no other op does."""
    inside: Callable[[Expr], Inside] | None = None
    """node -> the graph that it runs step by step; None for an op that has none."""
    rule: str = ""
    """What a textbook calls the rule of its derivative: "product rule". Empty: the chain rule."""
    paper: Callable[..., Expr] | None = None
    """(*args) -> what a textbook writes in its place: 1 - tanh(x) ^ 2 for the slope of tanh."""
    jacobian: Callable[[Expr, int], Expr | None] | None = None
    """(out, i) -> ∂out/∂arg i as a matrix, out.size by arg.size, where notation has one for it."""

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise TypeError(f"an op needs a name, not {self.name!r}")
        if not isinstance(self.rule, str):
            raise TypeError(f"op {self.name}: `rule` must be a text, not {self.rule!r:.40}")
        for field in ("infer", "numpy"):
            if not callable(getattr(self, field)):
                raise TypeError(f"op {self.name}: `{field}` must be a function")
        for field in ("partials", "attrs"):
            if not isinstance(getattr(self, field) or (), tuple):
                raise TypeError(f"op {self.name}: `{field}` must be a tuple")
        stated = [self.partials, self.transpose, self.vjp, self.no_gradient or None]
        if sum(s is not None for s in stated) != 1:
            raise TypeError(f"op {self.name} must state its derivative in exactly one way")
        if any(isinstance(p, int) and p not in (1, -1) for p in self.partials or ()):
            raise TypeError(
                f"op {self.name}: a constant partial derivative is 1, -1, or None for zero; "
                "another is a function of (out, *args)"
            )

    def __call__(self, *args: Any, **attrs: Any) -> Expr:
        """The op applied to operands, numbers and arrays among them, with attributes by name.

        Nothing is promoted or broadcast: the type rule sees the operands as they are.
        """
        names = [a.name for a in self.attrs]
        if set(attrs) != set(names):
            listed = ", ".join(names) or "none"
            told = ", ".join(attrs) or "none"
            raise TypeError(f"{self.name} takes the attributes {listed}, not {told}")
        for name, value in attrs.items():
            if isinstance(value, (bool, float, np.generic)):
                raise TypeError(
                    f"attribute {name} of {self.name} is {value!r}: attributes are known by what "
                    "they equal, so they are ints, texts and tuples of them (True is 1, 0.0 is "
                    "-0.0); a number of another kind is an operand"
                )
        operands = tuple(map(FUNCTIONS["as_expr"], args))
        return make(self, operands, tuple([attrs[n] for n in names]))

    def __repr__(self) -> str:
        return f"<op {self.name}>"

    def __reduce__(self) -> str | tuple[Any, ...]:
        return get_op, (self.name,)


OPS: dict[str, Op] = {}


def register(op: Op) -> Op:
    """Add an op to the registry, by which graph files know it; returns the op.

    Raises GraphError when its name is taken.

    >>> def bessel(x):  # x (..., ) float -> I0(x)
    ...     return np.i0(x).astype(x.dtype)
    >>> I0 = register(Op("i0", lambda x: x, bessel, no_gradient=True, pointwise=True))
    >>> float(I0(0.0))
    1.0
    >>> del OPS["i0"]
    """
    if not isinstance(op, Op):
        raise TypeError(f"an mg.Op(...) is registered, not {op!r:.60}")
    if op.name in OPS:
        raise GraphError(f"an op named {op.name!r} is registered already")
    OPS[op.name] = op
    return op


def get_op(name: str) -> Op:
    """The registered op of that name. Raises GraphError."""
    try:
        return OPS[name]
    except KeyError:
        raise GraphError(f"no op is named {name!r}") from None


class _Fields(Operators):
    """The fields of a node, while they can still be set: see `_new`."""

    # `_again` is set on variables alone: where one that was there already was last asked for.
    # `_image` is set on what the step of a loop made alone: see graph/places.py.
    __slots__ = (
        "__weakref__",
        "_again",
        "_image",
        "_origin",
        "args",
        "attrs",
        "label",
        "op",
        "type",
    )

    op: Op
    args: tuple[Expr, ...]
    attrs: tuple[Any, ...]
    type: TensorType
    label: str | None
    _origin: Origin | None


class Expr(_Fields):
    """A node: an immutable symbolic tensor, made by `make` only.

    `op`, `args` and `attrs` are its identity; `type` follows from them. `label` (a name to show)
    and `origin` (where the user's code made it) are notes beside it that no pass depends on.
    """

    __slots__ = ()

    def __init__(self) -> None:
        raise TypeError("make expressions with minigrad.var, param, const and functions of them")

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "value" and self.op.holds and self.op.names:
            object.__setattr__(self, name, value)
            return
        only = "; only a param has a value to set" if name == "value" else ""
        raise AttributeError(f"expressions are immutable: cannot set {name!r}{only}")

    @property
    def value(self) -> Array:
        """What a parameter or constant holds. A parameter's array is live; assign to replace it."""
        if not self.op.holds:
            raise AttributeError(f"only params and constants hold a value; use eval() on {self!r}")
        array = cast(Array, self.attrs[-1].array)
        # A constant belongs to all equal graphs: nobody gets at its array's own shape and flags.
        return array if self.op.names else array.view()

    @value.setter
    def value(self, new: ArrayLike) -> None:
        self.attrs[-1].assign(new, str(self.name))

    @property
    def shape(self) -> Shape:  # type: ignore[override]
        """Lengths of the axes."""
        return self.type.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Element type."""
        return self.type.dtype

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self.type.ndim

    @property
    def size(self) -> int:
        """Number of elements."""
        return self.type.size

    @property
    def name(self) -> str | None:
        """The name of a variable or parameter, or the label given with `named`."""
        return cast(str, self.attrs[0]) if self.op.names else self.label

    def named(self, label: str) -> Expr:
        """Note a name to show in text, pictures and errors; returns the same expression.

        Equal expressions are one, so they have one label: the last that was given. Variables and
        params have their own names: naming one raises GraphError.
        """
        if self.op.names:
            raise GraphError(f"{self.op.name} {self.attrs[0]!r} has its name already")
        image = getattr(self, "_image", None)  # what stands for it in a loop is called so too
        for node in [self] if image is None else [self, image.node]:
            object.__setattr__(node, "label", as_name(label))
        return self

    @property
    def origin(self) -> str:
        """`file:line` of the user's code that made the node, or '' when unknown."""
        return line_of(self._origin)

    def __repr__(self) -> str:
        return cast(str, OTHERS["summary"](self))

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        """What a notebook shows: LaTeX, and `repr`."""
        return cast("dict[str, str]", OTHERS["notebook"](self))

    def __copy__(self) -> Expr:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Expr:
        return FUNCTIONS["copy_graph"](self, memo)

    def __reduce__(self) -> tuple[Any, ...]:
        return cast("tuple[Any, ...]", FUNCTIONS["reduce_graph"](self))


_TYPE_OF = attrgetter("type")


@contextmanager
def gc_paused() -> Iterator[None]:
    """No automatic garbage collection inside.

    Nodes form no cycles, and a pass makes them by the hundred thousand: collecting meanwhile took
    half of the time of a reverse sweep over 100,000 ops (2.4 s; 1.2 s without).
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


_TABLE: Table[Expr] = Table()


def _key(op: Op, args: tuple[Expr, ...], attrs: tuple[Any, ...]) -> tuple[Any, ...]:
    # ids, not the nodes: a node's key must not keep its arguments alive, nor compare them with ==.
    # Of ints alone, the key is also nothing for the garbage collector to walk. Spelled out for one
    # and two arguments: 0.15 µs of 2.5 a node.
    if len(args) == 1:
        return (id(op), attrs, id(args[0]))
    if len(args) == 2:
        return (id(op), attrs, id(args[0]), id(args[1]))
    return (id(op), attrs, *map(id, args))


def make(op: Op, args: tuple[Expr, ...] = (), attrs: tuple[Any, ...] = ()) -> Expr:
    """The node for op(*args, *attrs); the same object each time.

    Raises what the op's type rule raises, with the operands and their origin added.
    """
    key = _key(op, args, attrs)
    try:
        entry = _TABLE.get(key)
    except TypeError:
        raise DTypeError(f"an attribute of {op.name} is no fixed value: {attrs!r:.80}") from None
    if entry is not None and (node := entry()) is not None:
        return node
    try:
        if not op.pointwise and not op.of_tuple:  # pointwise rules look for themselves, once
            require_tensors(map(_TYPE_OF, args))
        type_ = op.infer(*map(_TYPE_OF, args), *attrs)
    except (ShapeError, DTypeError) as error:
        raise explain(error, op.name, args) from None
    except AttributeError:
        require_tensors(map(_TYPE_OF, args))  # of others a pointwise rule of a user's knows nothing
        raise
    if not isinstance(type_, TensorType if op.pointwise else (TensorType, TupleType)):
        raise DTypeError(f"the type rule of {op.name} gives {type_!r:.60}, which is no type")
    return _new(key, op, args, attrs, type_, CONTEXT.origin or caller())


def make_typed(op: Op, args: tuple[Expr, ...], type_: TensorType) -> Expr:
    """What `make` gives, of an op without attributes, where the type that its rule gives is known:
    a third of the time is spared."""
    if type(type_) is not TensorType:
        require_tensors((type_,))
    key = _key(op, args, ())
    entry = _TABLE.get(key)
    if entry is not None and (node := entry()) is not None:
        return node
    return _new(key, op, args, (), type_, CONTEXT.origin or caller())


_bare: Callable[[type[_Fields]], Any] = object.__new__


def _new(
    key: tuple[Any, ...],
    op: Op,
    args: tuple[Expr, ...],
    attrs: tuple[Any, ...],
    type_: TensorType,
    origin: Origin | None,
) -> Expr:
    # The class that guards its fields is put on last: setting them around the guard costs twice as
    # much as making a node that has none yet. A constructor would cost a third more.
    node = _bare(_Fields)
    node.op = op
    node.args = args
    node.attrs = attrs
    node.type = type_
    node.label = None
    node._origin = origin
    node.__class__ = Expr
    return _TABLE.intern(key, node)


def is_known(op: Op, args: tuple[Expr, ...], attrs: tuple[Any, ...]) -> bool:
    """Whether the node that `make` gives is there already."""
    entry = _TABLE.get(_key(op, args, attrs))
    return entry is not None and entry() is not None


def rebuild(node: Expr, args: tuple[Expr, ...], op: Op | None = None) -> Expr:
    """The node with other arguments, or of an op with the same type rule; label and origin stay."""
    op = op or node.op
    if op is node.op and all(map(is_, args, node.args)):
        return node
    if all(map(is_, map(_TYPE_OF, args), map(_TYPE_OF, node.args))):  # then so is the result's
        key = _key(op, args, node.attrs)
        entry = _TABLE.get(key)
        same = None if entry is None else entry()
        if same is None:
            same = _new(key, op, args, node.attrs, node.type, node._origin)
        return keep_label(node, same)
    before, CONTEXT.origin = CONTEXT.origin, node._origin
    try:
        new = make(op, args, node.attrs)
    finally:
        CONTEXT.origin = before
    return keep_label(node, new)


def keep_label(old: Expr, new: Expr) -> Expr:
    """Carry the label of a node over to one made to take its place; returns the latter.

    A node that was there before keeps the name it has, or has not: it is other people's too.
    """
    if old.label is not None and new.label is None and new._origin is old._origin:
        object.__setattr__(new, "label", old.label)
    return new


def describe(node: Expr) -> str:
    """One line about an operand, for errors: name, op, type and where it was made."""
    is_constant = node.op.holds and not node.op.names
    if is_constant and not node.shape and not node.label:  # wherever it is made, it is one
        return f"the constant {node.attrs[0].array}: {node.type!r}"
    what = node.name or (f"the result of {node.op.name}" if node.args else node.op.name)
    where = f", made at {node.origin}" if node.origin else ""
    again = getattr(node, "_again", None)
    if again is not None:
        where += f" and again at {line_of(again)}"
    return f"{what}: {node.type!r}{where}"


def explain(error: MinigradError, name: str, args: Iterable[object]) -> MinigradError:
    """The same error with the operation and its operands, one a line, before they are forgotten."""
    if error.is_explained:
        return error
    lines = [f"in {name}: {error}"]
    for i, arg in enumerate(args, 1):
        shown = describe(arg) if isinstance(arg, Expr) else repr(arg)[:80]
        lines.append(f"  operand {i} is {shown}")
    here = line_of(users_line() or caller())
    if here:
        lines.append(f"  at {here}")
    explained = type(error)("\n".join(lines))
    explained.is_explained = True
    return explained


def as_name(name: str) -> str:
    if not isinstance(name, str) or not name or "\0" in name:
        raise GraphError(f"a name is a non-empty string without NUL characters, not {name!r}")
    return str(name)


def require_expr(x: Any, what: str) -> None:
    """Raise DTypeError for what is no expression."""
    if not isinstance(x, Expr):
        raise DTypeError(f"cannot {what} {x!r:.60}: it is no minigrad expression")
