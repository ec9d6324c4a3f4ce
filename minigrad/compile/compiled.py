"""Compiled functions: what `function` gives, and how it is called."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NoReturn, cast

from minigrad.compile.backends.registry import Options, choose_backend
from minigrad.compile.binding import check_bound, check_divided, check_inputs, check_updates
from minigrad.compile.plan import make_plan
from minigrad.display import Report, ShownAsTable, Table, plain
from minigrad.errors import GraphError
from minigrad.graph.leaves import ParamCell, as_expr
from minigrad.graph.node import Expr, gc_paused
from minigrad.graph.walk import orders_kept
from minigrad.loop.passes import optimise_loops
from minigrad.names import OTHERS, public
from minigrad.rewrite.rules import simplify_safely
from minigrad.tree import flatten, paths

_LISTED = 4  # inputs, outputs and updates that are shown, of each


class Function(ShownAsTable):
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
        without: Collection[str],
        options: Options,
    ) -> None:
        self.inputs = check_inputs(inputs)
        leaves, self._build = flatten(outputs)
        written = {} if updates is None else check_updates(updates)
        roots = [as_expr(e) for e in leaves] + list(written.values())
        check_bound(roots, self.inputs)
        if isinstance(options.shard, Mapping):
            check_divided(options.shard, roots, [*self.inputs, *written])
        self.outputs = roots
        places = paths(outputs, "output")[:_LISTED]
        texts = [plain(y.name or OTHERS["to_str"](y, 6), 50) for y in roots[: len(places)]]
        self._said = list(zip(places, texts, strict=True))
        self.rewritten: list[str] = []
        if simplify:
            simple = simplify_safely(roots)
            self.outputs, self.rewritten = optimise_loops(simple, without, simplified=True)
        chosen, prepared = choose_backend(backend, self.outputs, options)
        self._chosen, self.backend, self._choices = chosen, chosen.name, chosen.choices
        cells = [cast("tuple[str, ParamCell]", p.attrs) for p in written]
        self.plan = make_plan(self.inputs, prepared, cells, reuse=not options.check_finite)
        self._run = chosen.caller(self.plan)
        self.notes = chosen.notes
        self._labels = Counter(chosen.label(s.node) for s in self.plan.steps)

    def __call__(self, *values: Any, **named: Any) -> Any:
        """Run; raises GraphError, ShapeError or DTypeError for inputs that do not fit."""
        arrays = self._run(self._in_order(values, named))
        return self._build(iter([x[()] if not x.ndim else x for x in arrays]))

    def _in_order(self, values: tuple[Any, ...], named: dict[str, Any]) -> Sequence[Any]:
        if len(values) == len(self.inputs) and not named:
            return values
        names = [cast(str, v.name) for v in self.inputs]
        by_name = dict(zip(names, values, strict=False))
        wrong = {
            "missing": [n for n in names if n not in by_name and n not in named],
            "unknown": [n for n in named if n not in names],
            "given twice": [n for n in named if n in by_name],
            "too many": [repr(x)[:20] for x in values[len(names) :]],
        }
        if any(wrong.values()):
            problems = "; ".join(f"{what}: {', '.join(n)}" for what, n in wrong.items() if n)
            raise GraphError(f"this function takes ({', '.join(names)}); {problems}")
        by_name.update(named)
        return [by_name[n] for n in names]

    def _table(self) -> Table:
        """Inputs, outputs and what is updated, with their types; what fired, and what did not."""
        inputs = [("input", str(v.name), repr(v.type)) for v in self.inputs]
        shown = zip(self._said, self.outputs, strict=False)
        outputs = [(place, text, repr(y.type)) for (place, text), y in shown]
        updates = [("updates", name, repr(cell.type)) for _, name, cell in self.plan.updates]
        rows: list[tuple[str, str, str]] = []
        counts = len(inputs), len(self.plan.outputs), len(updates)
        for part, count in zip((inputs, outputs, updates), counts, strict=True):
            rows += part[:_LISTED]
            if count > _LISTED:
                rows.append(("", f"and {count - _LISTED} more", ""))
        notes = ["loops: " + "; ".join(self.rewritten)] * bool(self.rewritten) + self.notes
        steps = len(self.plan.steps)
        title = f"Function on {self.backend}, {steps} step{('s') * (steps != 1)}"
        return Table(title, rows, notes=notes)

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "a compiled function cannot be copied or pickled; copy or save its expressions "
            "(copy.deepcopy, minigrad.save) and compile them again"
        )

    def report(self) -> Report:
        """What was compiled: memory, loop rewrites that fired, steps by op and what runs them: text
        at a prompt, and a table in a notebook."""
        held = sum(t.size * t.dtype.itemsize for t in self.plan.buffers) + self._chosen.scratch
        title = (
            f"backend {self.backend}: {len(self.plan.steps)} steps, "
            f"{len(self.plan.buffers)} buffers, {held} bytes in all"
        )
        rows = [("loops:", name) for name in self.rewritten]
        rows += [("auto:", choice) for choice in self._choices]
        rows += [("note:", note) for note in self._chosen.said()]
        rows += [(f"{n:6d} ×", name) for name, n in self._labels.most_common()]
        return Report(title, rows)


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
    device: Any = None,
    mesh: Any = None,
    shard: Mapping[Expr, Any] | None = None,
) -> Function:
    """Compile a graph to a function of its variables.

    inputs: the variables, in the order of the call's arguments.
    outputs: an expression, or any nesting of tuples, lists and dicts of them.
    updates: {param: expression}; after a call each param holds the value its expression had with
        the params as they were before it.
    backend: "numpy", the reference; "native", machine code in process, which needs llvmlite and
        leaves to NumPy what it has no code for (`report()` says so); "jax", XLA, which needs JAX;
        or "auto", where llvmlite is there, which makes machine code of loops, of hundreds of ops of
        a few elements, and of what is then faster over 2,000 calls, the compiler's time included:
        by an estimate from the graph alone, which `report()` tells. It leaves to NumPy what would
        take long to compile.
    simplify: apply the rewrites that keep values (exact and stability tables) first.
    check_finite: raise NonFiniteError at the op where a NaN or an infinity is born (slower).
    threads: how many the native backend may use for one call, where loops, products and pointwise
        ops that take long enough do not wait for each other, or can be cut; by default the
        environment's MINIGRAD_THREADS, or all CPUs. The same number gives the same bits.
    without: names of loop rewrites (minigrad.LOOPS) to leave out, to see what each is worth.
    device: of backend="jax": "cpu", "gpu", "tpu" or a jax.Device; JAX's own choice by default.
    mesh, shard: of backend="jax": several devices, as {axis of the mesh: how many} or a
        jax.sharding.Mesh, and which inputs and params are divided over them, {x: "batch"} by the
        first axis, {x: (None, "batch")} by the second; all else lies whole on each.

    Raises GraphError for a variable that is not among the inputs.

    >>> import minigrad as mg
    >>> x, y = mg.var("x"), mg.var("y")
    >>> f = mg.function([x, y], {"sum": x + y, "product": x * y})
    >>> f(2.0, y=3.0)
    {'sum': np.float64(5.0), 'product': np.float64(6.0)}
    """
    with gc_paused(), orders_kept():
        options = Options(check_finite, threads, device=device, mesh=mesh, shard=shard)
        return Function(inputs, outputs, updates, backend, simplify, without, options)
