"""Ops that steer derivatives: stop_gradient, custom_vjp, and the barrier that grad itself needs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from minigrad.errors import DTypeError, GraphError, ShapeError
from minigrad.graph.leaves import as_expr, placeholder
from minigrad.graph.node import Attr, Expr, Op, Terms, make, register
from minigrad.names import public
from minigrad.ops.batch import batched, repeat_along
from minigrad.types import TensorType, require_callable

STOP = register(
    Op(
        "stop_gradient",
        lambda x: x,
        lambda x: x,
        no_gradient=True,
        view=True,
        symbol="stop",
        stacks=True,
    )
)


@public
def stop_gradient(x: Any) -> Expr:
    """The operand itself, through which no gradient flows."""
    return make(STOP, (as_expr(x),))


BARRIER = register(
    Op(
        "barrier",
        lambda x: x,
        lambda x: x,
        transpose=lambda ct, out: (ct,),
        jointly=True,
        view=True,
        stacks=True,
    )
)


def barrier(x: Expr) -> Expr:
    """The operand itself, as a node that rewrites neither match nor look through."""
    return make(BARRIER, (x,))


def _custom_vjp(cotangent: Expr, out: Expr) -> Terms:
    _, *inputs = out.args
    terms = out.attrs[0](cotangent, out, *inputs)
    terms = terms if isinstance(terms, Sequence) else (terms,)
    if len(terms) != len(inputs):
        raise GraphError(
            f"custom_vjp: the backward function returned {len(terms)} terms for "
            f"{len(inputs)} inputs; return one a input, None for none"
        )
    checked = [None if t is None else as_expr(t) for t in terms]
    for i, (term, source) in enumerate(zip(checked, inputs, strict=True), 1):
        if term is not None and term.type is not source.type:
            kind = ShapeError if term.shape != source.shape else DTypeError
            raise kind(
                f"custom_vjp: the term of input {i} has type {term.type!r}; the input has "
                f"{source.type!r}"
            )
    return (None, *checked)


def _custom_type(y: TensorType, *rest: Any) -> TensorType:
    return y


def _custom_batch(node: Expr, args: Sequence[Expr], many: Sequence[bool], n: int) -> Expr:
    """The backward function is called with one value's expressions, which are then batched."""

    def backward(cotangent: Expr, out: Expr, *inputs: Expr) -> list[Expr | None]:
        ct_of_one = placeholder("one", node.type)
        of_one = [placeholder("one", a.type) for a in node.args]
        out_of_one = make(CUSTOM, tuple(of_one), node.attrs)
        terms = _custom_vjp(ct_of_one, out_of_one)[1:]
        by_one = {ct_of_one: cotangent, out_of_one: out}
        by_one |= dict(zip(of_one[1:], inputs, strict=True))
        wanted = [t for t in terms if t is not None]
        done = iter(batched(wanted, by_one, n))
        return [None if t is None else next(done) for t in terms]

    wide = [a if m else repeat_along(a, n) for a, m in zip(args, many, strict=True)]
    return make(CUSTOM, tuple(wide), (backward,))


CUSTOM = register(
    Op(
        "custom_vjp",
        _custom_type,
        lambda y, *rest: y,
        vjp=_custom_vjp,
        attrs=(Attr("backward"),),
        batch=_custom_batch,
        view=True,
        symbol="custom",
    )
)


def custom_vjp(forward: Callable[..., Any], backward: Callable[..., Any]) -> Callable[..., Expr]:
    """A function of expressions with a gradient of your own.

    `forward(*inputs)` builds the value. `backward(cotangent, output, *inputs)` returns the adjoint
    terms: one expression for one input, else a sequence with None for "no gradient". It must be
    linear in the cotangent; forward mode is derived from it. A graph that holds one cannot be
    saved, since it holds Python code.

    >>> import minigrad as mg
    >>> reversed_ = custom_vjp(lambda x: x, lambda ct, y, x: -2 * ct)
    >>> x = mg.var("x")
    >>> mg.grad(5 * reversed_(x), x).eval({x: 3.0})
    np.float64(-10.0)
    """

    require_callable(forward, "the forward function of custom_vjp")
    require_callable(backward, "the backward function of custom_vjp")

    def function(*inputs: Any) -> Expr:
        exprs = tuple(as_expr(x) for x in inputs)
        return make(CUSTOM, (as_expr(forward(*exprs)), *exprs), (backward,))

    function.__name__ = getattr(forward, "__name__", "custom")
    function.__doc__ = forward.__doc__
    return function
