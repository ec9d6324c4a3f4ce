"""What functions are called: the tables by which an expression's syntax and NumPy reach them.

The modules that define functions fill these tables in. So what uses them (operators, methods,
NumPy's protocols) knows names, and nothing about graphs or ops.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, TypeVar, cast

import numpy as np

from minigrad.errors import GraphError

if TYPE_CHECKING:
    from minigrad.graph.node import Expr, Op

# Public functions by their own name. One table under two names, for the type checker: nearly all
# return an expression, and whoever calls one of the others says so by reading it from OTHERS.
FUNCTIONS: dict[str, Callable[..., Expr]] = {}
OTHERS = cast("dict[str, Callable[..., Any]]", FUNCTIONS)
# Functions that take what NumPy's function of that name takes, in its order. A name of
# numpy.linalg begins with "linalg.".
NUMPY_FORMS: dict[str, Callable[..., Any]] = {}
# What functions outside of minigrad do with expressions, by the function itself.
COUNTERPARTS: dict[Callable[..., Any], Callable[..., Any]] = {}
F = TypeVar("F", bound=Callable[..., Any])
P = ParamSpec("P")


def public(function: F) -> F:
    """Make a function reachable as an operator, a method or a NumPy function of its name."""
    FUNCTIONS[function.__name__] = function
    return function


class OpFunction(Protocol[P]):
    """A public function that makes nodes of one op, which is its `op`."""

    op: Op

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Expr:
        """The op of the arguments."""


def public_op(op: Op) -> Callable[[Callable[P, Expr]], OpFunction[P]]:
    """Make a function public, and say which op it makes: passes compare `node.op is where.op`."""

    def enter(function: Callable[P, Expr]) -> OpFunction[P]:
        of_op = cast("OpFunction[P]", public(function))
        of_op.op = op
        return of_op

    return enter


def numpy_form(*names: str) -> Callable[[F], F]:
    """Make a function what NumPy's functions of these names (its own, by default) do here.

    For functions whose arguments are NumPy's, in NumPy's order; arguments left out are refused.
    """

    def enter(function: F) -> F:
        for name in names or (function.__name__,):
            NUMPY_FORMS[name] = function
        return function

    return enter


def implements(function: Callable[..., Any]) -> Callable[[F], F]:
    """Make a function what one of NumPy's, or a ufunc of any library, does with expressions.

    It is called with the arguments as they are given. Raises TypeError for a function that NumPy
    does not dispatch, GraphError for one that has one already.

    >>> import numpy as np
    >>> import minigrad as mg
    >>> @mg.implements(np.i0)
    ... def near_zero(x):
    ...     return 1.0 + x * x / 4.0
    >>> str(np.i0(mg.var("x")))
    '1 + x * x / 4'
    >>> del COUNTERPARTS[np.i0]
    """
    if not isinstance(function, np.ufunc) and not hasattr(function, "__wrapped__"):
        raise TypeError(
            f"{function!r:.60} never asks expressions what to do: it is neither a ufunc nor one "
            "of NumPy's functions that take other kinds of arrays"
        )

    def enter(own: F) -> F:
        if function in COUNTERPARTS:
            raise GraphError(f"{function!r:.60} is implemented already")
        COUNTERPARTS[function] = own
        return own

    return enter


# NumPy's name -> ours, where they differ.
NUMPY_NAMES = {
    "absolute": "abs",
    "amax": "max",
    "amin": "min",
    "arccos": "acos",
    "arccosh": "acosh",
    "arcsin": "asin",
    "arcsinh": "asinh",
    "arctan": "atan",
    "arctan2": "atan2",
    "arctanh": "atanh",
    "concatenate": "concat",
    "conjugate": "positive",
    "cumprod": "cumulative_prod",
    "cumsum": "cumulative_sum",
    "invert": "bitwise_invert",
    "left_shift": "bitwise_left_shift",
    "power": "pow",
    "right_shift": "bitwise_right_shift",
    "rint": "round",
    "transpose": "permute_dims",
    "true_divide": "divide",
    "var": "variance",
}


# Names of other libraries -> ours.
OTHER_NAMES = NUMPY_NAMES | {
    "Parameter": "param",
    "Variable": "var",
    "array": "stack, or const of numbers",
    "cat": "concat",
    "clamp": "clip",
    "constant": "const",
    "gather": "take_along_axis",
    "index_select": "take",
    "jacfwd": "jacobian",
    "jacrev": "jacobian",
    "norm": "vector_norm",
    "placeholder": "var",
    "tensor": "const",
}
# Names of other libraries, of their modules or of their tensors -> what is written here instead.
INSTEAD = {
    **dict.fromkeys(
        ("backward", "grad", "requires_grad", "requires_grad_", "retain_grad", "zero_grad",
         "gradient", "GradientTape", "elementwise_grad"),
        "a derivative is an expression too: minigrad.grad(y, x)",
    ),
    "value_and_grad": "write minigrad.function([x], [y, minigrad.grad(y, x)])",
    **dict.fromkeys(("detach", "data", "no_grad"), "write minigrad.stop_gradient(x)"),
    **dict.fromkeys(
        ("numpy", "cpu", "get", "device_get"),
        "the values of an expression are x.eval({...}); a param's are p.value",
    ),
    **dict.fromkeys(
        ("to", "cuda", "device_put"),
        "x.astype(dtype) converts; what computes on JAX's device is "
        "minigrad.function(inputs, outputs, backend='jax')",
    ),
    "jit": "write minigrad.function(inputs, outputs)",
    **dict.fromkeys(
        ("Tensor", "ndarray"),
        "numbers are minigrad.const(value), an input is minigrad.var(name, shape), what is trained "
        "minigrad.param(name, value)",
    ),
    **dict.fromkeys(
        ("nn", "optim", "Module"), "cells, layers, losses and optimisers are in the package lstm"
    ),
    **dict.fromkeys(
        ("rand", "randn", "random", "manual_seed", "normal", "seed"),
        "random numbers of a graph are minigrad.uniform(minigrad.key(seed), shape); those to start "
        "from are NumPy's",
    ),
    **dict.fromkeys(("cond", "ifelse"), "write minigrad.where(condition, a, b)"),
    **dict.fromkeys(("while_loop", "fori_loop", "lax"), "a loop is minigrad.scan(step, init, xs)"),
    "view": "write x.reshape(shape)",
    "permute": "write x.transpose(axes)",
    "unsqueeze": "write minigrad.expand_dims(x, axis)",
    "expand": "write minigrad.broadcast_to(x, shape)",
    **dict.fromkeys(("matmul", "mm", "bmm"), "write x @ y"),
    "clone": "expressions are immutable: x itself serves",
    "nonzero": "the shape of its result depends on values; use minigrad.where, or x.eval()",
    **dict.fromkeys(
        ("fill", "put", "resize", "itemset", "partition"),
        "expressions are immutable: x.at[index].set(values) gives a changed copy",
    ),
}  # fmt: skip


def did_you_mean(name: str, names: Collection[str]) -> str:
    """The end of an error about a name that is not there; empty where none comes near.

    >>> did_you_mean("tanhh", ["tan", "tanh"]), did_you_mean("zz", ["tan"])
    ('; did you mean tanh?', '')
    """
    other = OTHER_NAMES.get(name, "")
    if other.partition(",")[0] in names:
        return f"; did you mean {other}?"
    lower = {known.lower(): known for known in names}
    close = get_close_matches(name.lower(), lower, 1)
    return f"; did you mean {lower[close[0]]}?" if close else ""


def what_instead(name: str, names: Collection[str], table: Mapping[str, str] = INSTEAD) -> str:
    """The end of an error about an attribute that is not there, which may be another library's.

    >>> what_instead("backward", ()), what_instead("tanhh", ["tanh"])
    ('; a derivative is an expression too: minigrad.grad(y, x)', '; did you mean tanh?')
    """
    if name.startswith("_"):
        return ""
    return f"; {table[name]}" if name in table else did_you_mean(name, names)
