"""A graph as a pure function of JAX, for people who already live there: `to_jax`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from minigrad.compile.backends.jax.emit import Emitted
from minigrad.compile.backends.jax.libraries import jax, jnp
from minigrad.compile.binding import check_bound, check_inputs
from minigrad.compile.plan import make_plan
from minigrad.errors import DTypeError, GraphError, ShapeError
from minigrad.graph.leaves import PARAM, as_expr
from minigrad.graph.node import Expr, describe, gc_paused
from minigrad.graph.walk import free_variables, toposort
from minigrad.loop.passes import DROP_STOPS, optimise_loops
from minigrad.rewrite.rules import simplify_safely
from minigrad.tree import flatten
from minigrad.types import Array, TupleType


class JaxFunction:
    """A graph as a pure function of JAX, (params, inputs) -> outputs; `to_jax` makes it."""

    def __init__(
        self,
        outputs: Any,
        inputs: Sequence[Expr] | None,
        params: Sequence[Expr] | Mapping[str, Expr] | None,
    ) -> None:
        leaves, self._build = flatten(outputs)
        roots = [as_expr(e) for e in leaves]
        self.inputs = free_variables(roots) if inputs is None else check_inputs(inputs)
        check_bound(roots, self.inputs)
        read = [n for n in toposort(roots) if n.op is PARAM]
        self._leaves = {
            "params": _by_name(read if params is None else params, "params"),
            "inputs": _by_name(self.inputs, "inputs"),
        }
        wide = (n for n in toposort(roots) if any(d.itemsize == 8 for d in _dtypes(n)))
        self._wide = next(wide, None)
        # What stops and scales gradients stays: JAX may differentiate what comes of it.
        simple, _ = optimise_loops(simplify_safely(roots), [DROP_STOPS], simplified=True)
        self._plan = make_plan(self.inputs, simple)

    @property
    def params(self) -> dict[str, Array]:
        """The values of the params as they are now, by name: what `params` starts with."""
        return {name: p.value.copy() for name, p in self._leaves["params"].items()}

    def __repr__(self) -> str:
        names = {kind: ", ".join(leaves) or "none" for kind, leaves in self._leaves.items()}
        return f"<pure function of JAX: params {names['params']}; inputs {names['inputs']}>"

    def __call__(self, params: Mapping[str, Any], inputs: Mapping[str, Any]) -> Any:
        """The outputs, in the nesting in which they were given.

        Raises GraphError, ShapeError or DTypeError for what does not fit.
        """
        if self._wide is not None and not jax.config.jax_enable_x64:
            raise GraphError(
                f"this graph has 64-bit numbers in it, such as {describe(self._wide)}, which JAX "
                "would cut: call the function, and what is made of it, inside `with "
                "jax.enable_x64(True):`, or make the graph of float32 and int32"
            )
        values = {**self._bound("params", params), **self._bound("inputs", inputs)}
        plan = self._plan
        slots: list[Any] = [None] * len(plan.nodes)
        for slot, array in plan.constants:
            slots[slot] = jnp.asarray(array)
        for slot in [*plan.inputs, *(slot for slot, _ in plan.params)]:
            node = plan.nodes[slot]
            slots[slot] = values.get(node)
            if slots[slot] is None:  # a param that is none of the function's
                slots[slot] = jnp.asarray(node.value)
        Emitted(None).run(plan, slots)
        return self._build(iter([slots[s] for s in plan.outputs]))

    def _bound(self, kind: str, values: Mapping[str, Any]) -> dict[Expr, Any]:
        leaves = self._leaves[kind]
        if not isinstance(values, Mapping) or set(values) != set(leaves):
            names = ", ".join(map(repr, leaves)) or "none"
            told = ", ".join(map(repr, values)) if isinstance(values, Mapping) else repr(values)
            raise GraphError(f"{kind} are a dict by name, of {names}; not {told:.60}")
        return {leaf: _array(leaf, values[name]) for name, leaf in leaves.items()}


def _by_name(leaves: Sequence[Expr] | Mapping[str, Expr], kind: str) -> dict[str, Expr]:
    if isinstance(leaves, Mapping):
        return dict(leaves)
    named = {str(leaf.name): leaf for leaf in leaves}
    if len(named) < len(set(leaves)):
        names = ", ".join(str(leaf.name) for leaf in leaves)
        raise GraphError(f"{kind} of to_jax are known by their names, which differ, not {names}")
    return named


def _dtypes(node: Expr) -> Sequence[Any]:
    return node.dtype if isinstance(node.type, TupleType) else [node.dtype]


def _array(leaf: Expr, value: Any) -> Any:
    array = jnp.asarray(value)  # NumPy's and DLPack's are not copied where their memory serves
    if array.shape != leaf.shape:
        raise ShapeError(f"a value of shape {array.shape} was given for {describe(leaf)}")
    if array.dtype != leaf.dtype:
        raise DTypeError(f"a value of dtype {array.dtype} was given for {describe(leaf)}")
    return array


def to_jax(
    outputs: Any,
    inputs: Sequence[Expr] | None = None,
    params: Sequence[Expr] | Mapping[str, Expr] | None = None,
) -> JaxFunction:
    """A graph as a pure function of JAX: (params, inputs) -> outputs, dicts by name going in.

    outputs: an expression, or any nesting of tuples, lists and dicts of them.
    inputs: the variables, all by default. params: the params that go in, all by default,
        or {name: param}; others are constants of the values that they have when it is traced.

    It may stand under jax.jit, vmap, grad and all else that JAX has; its `params` are the values
    to begin with. Derivatives that JAX takes are JAX's own of the same ops: stop_gradient,
    scale_gradient and custom_vjp count, but where a mask meets an infinite slope JAX may give NaN;
    minigrad's gradient is that of to_jax(mg.grad(...)). It raises nothing of what it computes: an
    index out of bounds reads what JAX reads there.

    Raises MissingPackageError without JAX, GraphError for two params of one name, and, when it is
    called, for 64-bit numbers where JAX has them switched off.

        x, w = mg.var("x", (3,), "float32"), mg.param("w", [1, 2, 3], "float32")
        f = mg.to_jax(mg.sum(w * x))
        jax.jit(jax.grad(f))(f.params, {"x": jnp.ones(3)})  # {'w': Array([1., 1., 1.])}
    """
    jax.numpy  # noqa: B018 - without JAX the error comes now
    with gc_paused():
        return JaxFunction(outputs, inputs, params)
