"""Compiled functions: `function`, and the one-off evaluation of an expression with `eval`."""

from __future__ import annotations

import importlib.util
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NoReturn, Protocol, cast

import numpy as np

from minigrad import loop_op
from minigrad.compile.numpy import compile_plan
from minigrad.compile.plan import make_plan
from minigrad.errors import DTypeError, GraphError, ShapeError
from minigrad.graph import PARAM, VAR, Expr, ParamCell, as_expr, describe, gc_paused
from minigrad.loops import optimise_loops
from minigrad.names import public
from minigrad.simplify import simplify_safely
from minigrad.tree import flatten
from minigrad.types import Array
from minigrad.walk import (
    AS_ARRAY,
    free_variables,
    require_closed,
    require_constant,
    toposort,
)


class Backend(Protocol):
    """What `function` needs of a backend, for one function."""

    name: str
    notes: list[str]
    """What it could not do as it would, and why."""
    scratch: int
    """Bytes that its code takes besides the plan's buffers, for one running call."""

    def prepare(self, outputs: Sequence[Expr]) -> list[Expr]:
        """The graph in the form that it runs."""

    def call(self, node: Expr) -> Callable[..., Any]:
        """What computes a node of that graph."""

    def label(self, node: Expr) -> str:
        """What a report calls a node of that graph: its op, and what runs it."""


class Numpy:
    """The reference backend: NumPy computes every node, and the graph is taken as it is."""

    name = "numpy"

    def __init__(self, check_finite: bool) -> None:
        self.notes: list[str] = []
        self.scratch = 0
        self.call = loop_op.checked_call if check_finite else loop_op.call

    def prepare(self, outputs: Sequence[Expr]) -> list[Expr]:
        """The graph itself."""
        return list(outputs)

    def label(self, node: Expr) -> str:
        """The op: NumPy runs all."""
        return node.op.name


class Function:
    """A compiled graph; call it with one value for each input, in order or by name.

    Returns arrays (NumPy scalars for shape ()) in the nesting in which the outputs were given.
    Calls from several threads are safe; those that update the same parameters race with each other.
    """

    def __init__(
        self,
        inputs: Sequence[Expr],
        outputs: Any,
        updates: Mapping[Expr, Any] | None,
        backend: str,
        simplify: bool,
        check_finite: bool,
        without: Collection[str],
        threads: int | None,
    ) -> None:
        self.inputs = _check_inputs(inputs)
        leaves, self._build = flatten(outputs)
        written = {} if updates is None else _check_updates(updates)
        roots = [as_expr(e) for e in leaves] + list(written.values())
        self._count = len(leaves)
        self._written = [cast(ParamCell, p.attrs[1]) for p in written]
        _check_bound(roots, self.inputs)
        self.outputs = roots
        self.rewritten: list[str] = []
        if simplify:
            self.outputs, self.rewritten = optimise_loops(simplify_safely(roots), without)
        chosen = _choose(backend, self.outputs, check_finite, threads)
        self.backend = chosen.name
        prepared = chosen.prepare(self.outputs)
        self.plan = make_plan(self.inputs, prepared, reuse=not check_finite)
        self._run = compile_plan(self.plan, check_finite, chosen.call)
        self.notes, self._scratch = chosen.notes, chosen.scratch
        self._labels = Counter(chosen.label(s.node) for s in self.plan.steps)

    def __call__(self, *values: Any, **named: Any) -> Any:
        """Run; raises GraphError, ShapeError or DTypeError for inputs that do not fit."""
        given = self._in_order(values, named)
        arrays = [bind(v, x) for v, x in zip(self.inputs, given, strict=True)]
        found = self._run(arrays)
        for cell, new in zip(self._written, found[self._count :], strict=True):
            np.copyto(cell.array, new)
        return self._build(iter([x[()] if not x.ndim else x for x in found[: self._count]]))

    def _in_order(self, values: tuple[Any, ...], named: dict[str, Any]) -> Sequence[Any]:
        if len(values) == len(self.inputs) and not named:
            return values
        names = [cast(str, v.name) for v in self.inputs]
        given = dict(zip(names, values, strict=False))
        wrong = {
            "missing": [n for n in names if n not in given and n not in named],
            "unknown": [n for n in named if n not in names],
            "given twice": [n for n in named if n in given],
            "too many": [repr(x)[:20] for x in values[len(names) :]],
        }
        if any(wrong.values()):
            problems = "; ".join(f"{what}: {', '.join(n)}" for what, n in wrong.items() if n)
            raise GraphError(f"this function takes ({', '.join(names)}); {problems}")
        given.update(named)
        return [given[n] for n in names]

    def __repr__(self) -> str:
        names = ", ".join(cast(str, v.name) for v in self.inputs)
        return f"<minigrad function ({names}), {len(self.plan.steps)} steps, {self.backend}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "a compiled function cannot be copied or pickled; copy or save its expressions "
            "(copy.deepcopy, minigrad.save) and compile them again"
        )

    def report(self) -> str:
        """What was compiled: memory, loop rewrites that fired, steps by op and what runs them."""
        held = sum(t.size * t.dtype.itemsize for t in self.plan.buffers) + self._scratch
        lines = [
            f"backend {self.backend}: {len(self.plan.steps)} steps, "
            f"{len(self.plan.buffers)} buffers, {held} bytes in all"
        ]
        lines += [f"  loops: {name}" for name in self.rewritten]
        lines += [f"  note: {note}" for note in self.notes]
        return "\n".join(lines + [f"  {n:6d} × {name}" for name, n in self._labels.most_common()])


@public
def function(
    inputs: Sequence[Expr],
    outputs: Any,
    updates: Mapping[Expr, Any] | None = None,
    *,
    backend: str = "auto",
    simplify: bool = True,
    check_finite: bool = False,
    without: Collection[str] = (),
    threads: int | None = None,
) -> Function:
    """Compile a graph to a function of its variables.

    inputs: the variables, in the order of the call's arguments.
    outputs: an expression, or any nesting of tuples, lists and dicts of them.
    updates: {param: expression}; after a call each param holds the value its expression had with
        the params as they were before it.
    backend: "numpy", the reference; "native", machine code in process, which needs llvmlite and
        leaves to NumPy what it has no code for (`report()` says so); or "auto", which is native
        for graphs with loops where llvmlite is there.
    simplify: apply the rewrites that keep values (exact and stability tables) first.
    check_finite: raise NonFiniteError at the op where a NaN or an infinity is born (slower).
    threads: how many the native backend may use for one call, where a loop is long enough and
        its rows are independent; by default the environment's MINIGRAD_THREADS, or all CPUs.
    without: names of loop rewrites (minigrad.LOOPS) to leave out, to see what each is worth.

    Raises GraphError for a variable that is not among the inputs.

    >>> from minigrad.graph import var
    >>> x, y = var("x"), var("y")
    >>> f = function([x, y], {"sum": x + y, "product": x * y})
    >>> f(2.0, y=3.0)
    {'sum': np.float64(5.0), 'product': np.float64(6.0)}
    """
    with gc_paused():
        return Function(inputs, outputs, updates, backend, simplify, check_finite, without, threads)


def _choose(
    backend: str, outputs: Sequence[Expr], check_finite: bool, threads: int | None
) -> Backend:
    if threads is not None and (not isinstance(threads, int) or threads < 1):
        raise GraphError(f"threads must be at least 1, a whole number, not {threads!r}")
    if backend == "auto":
        # Machine code costs tenths of a second to make: a loop is worth that, a lone formula not.
        loops = any(n.op is loop_op.SCAN for n in toposort(outputs))
        able = loops and not check_finite and importlib.util.find_spec("llvmlite") is not None
        backend = "native" if able else "numpy"
    if backend == "native" and check_finite:
        raise GraphError("check_finite looks at every op, so it runs on backend='numpy' only")
    if backend == "numpy":
        return Numpy(check_finite)
    if backend == "native":
        from minigrad.compile.native.backend import Native

        return Native(threads)
    raise GraphError(f"no backend {backend!r}; there are 'auto', 'numpy' and 'native'")


def _check_inputs(inputs: Sequence[Expr]) -> list[Expr]:
    if isinstance(inputs, Expr):
        raise GraphError("inputs is a list of variables: write function([x], ...)")
    checked = list(inputs)
    for v in checked:
        if not isinstance(v, Expr) or v.op is not VAR:
            shown = describe(v) if isinstance(v, Expr) else repr(v)
            raise GraphError(f"an input must be a variable made with minigrad.var, not {shown}")
    names = [v.name for v in checked]
    if len(set(names)) != len(names):
        raise GraphError(f"two inputs have the same name: {', '.join(map(str, names))}")
    return checked


def _check_updates(updates: Mapping[Expr, Any]) -> dict[Expr, Expr]:
    if not isinstance(updates, Mapping):
        raise GraphError("updates is a dict {param: the expression it becomes}")
    written = {}
    for p, value in updates.items():
        if not isinstance(p, Expr) or p.op is not PARAM:
            raise GraphError(f"only params can be updated, not {p!r}; make one with minigrad.param")
        new = as_expr(value)
        if new.type is not p.type:
            kind = ShapeError if new.shape != p.shape else DTypeError
            raise kind(f"cannot update {describe(p)} with a value of type {new.type!r}")
        written[p] = new
    return written


def _check_bound(roots: Sequence[Expr], inputs: Sequence[Expr]) -> None:
    known = set(inputs)
    loose = [v for v in free_variables(roots) if v not in known]
    if loose:
        lines = [f"  {describe(v)}" for v in loose]
        if any("\0" in str(v.name) for v in loose):
            lines.append(
                "  (a carry or x of a loop has no value outside the step: give it out as y)"
            )
        raise GraphError(
            "the outputs depend on variables that are given no value:\n" + "\n".join(lines)
        )


def bind(v: Expr, value: Any) -> Array:
    """A value as an array of the variable's type. Raises ShapeError or DTypeError."""
    wanted = v.type
    if type(value) is np.ndarray and value.dtype == wanted.dtype and value.shape == wanted.shape:
        return value
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ShapeError(f"the value of {describe(v)} is no array: {error}") from None
    if not _keeps_kind(array.dtype, v.dtype):
        raise DTypeError(f"a value of dtype {array.dtype} was given for {describe(v)}")
    if array.shape != v.shape:
        raise ShapeError(f"a value of shape {array.shape} was given for {describe(v)}")
    if array.dtype == v.dtype:
        return array
    converted = array.astype(v.dtype)
    if v.dtype.kind in "iu" and not np.array_equal(converted, array):
        raise DTypeError(f"a value that does not fit in {v.dtype} was given for {describe(v)}")
    return converted


def _keeps_kind(given: np.dtype[Any], wanted: np.dtype[Any]) -> bool:
    """Whether a value may become one of the wanted dtype: a bool an integer, an integer a float."""
    ranks = {"b": 0, "i": 1, "u": 1, "f": 2}
    return given.kind in ranks and ranks[given.kind] <= ranks[wanted.kind]


@public
def eval(node: Any, bindings: Mapping[Any, Any] | None = None) -> Any:
    """The value of an expression (or a nesting of them) under {variable or its name: value}.

    Returns arrays, NumPy scalars for shape (). Raises GraphError for a missing or unknown variable.

    >>> from minigrad.graph import var
    >>> x = var("x")
    >>> eval(x * x, {"x": 3.0})
    np.float64(9.0)
    """
    leaves, _ = flatten(node)
    variables = free_variables([as_expr(e) for e in leaves])
    values = resolve(variables, bindings or {})
    return function(variables, node, backend="numpy")(*[values[v] for v in variables])


def resolve(variables: Sequence[Expr], bindings: Mapping[Any, Any]) -> dict[Expr, Any]:
    """The value of each variable, from bindings by variable or by name. Raises GraphError."""
    if not isinstance(bindings, Mapping):
        raise GraphError(
            f"bindings are a dict {{variable or its name: value}}, not {bindings!r:.60}"
        )
    by_name = {v.name: v for v in variables}
    values: dict[Expr, Any] = {}
    for key, value in bindings.items():
        v = by_name.get(key) if isinstance(key, str) else key
        if not isinstance(v, Expr):
            raise GraphError(f"no variable {key!r} here; there are: {_listed(variables)}")
        if v.op is not VAR:
            raise GraphError(
                f"bindings give values to variables, not to {describe(v)}; to replace an inner "
                "node use minigrad.substitute"
            )
        # Variables that are known but not used here are let pass, so that one dict serves many.
        values[v] = value
    missing = [v for v in variables if v not in values]
    if missing:
        raise GraphError(f"no value for {_listed(missing)}; pass eval({{x: value, ...}})")
    return values


def _listed(variables: Sequence[Expr]) -> str:
    return ", ".join(f"{v.name}: {v.type!r}" for v in variables) or "none"


@public
def concrete(node: Expr, asked: str) -> Any:
    """The value of a closed expression, for float(e), np.asarray(e), bool(e)."""
    require_constant(node, asked) if asked in AS_ARRAY else require_closed(node, asked)
    if asked == "expr.item()" or asked.startswith(("float", "int", "bool")):
        if node.size != 1:
            raise ShapeError(f"{asked} needs one element; {describe(node)} has {node.size}")
        return np.reshape(eval(node), ())[()]
    return eval(node)
