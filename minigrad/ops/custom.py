"""Ops that steer derivatives: stop_gradient, scale_gradient, custom_vjp, and the barrier that grad
itself needs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from minigrad.errors import DTypeError, GraphError, ShapeError
from minigrad.graph.leaves import as_expr, const, placeholder
from minigrad.graph.node import Attr, Expr, Op, Terms, make, register
from minigrad.names import public
from minigrad.ops.batch import batched, repeat_along
from minigrad.ops.choice import where
from minigrad.ops.core import astype, broadcast_to, explaining, is_zero, same_type, uniform_value
from minigrad.types import TensorType, broadcast_shapes, require_callable, require_tensors

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


def _scale_type(x: TensorType, factor: TensorType) -> TensorType:
    require_tensors((x, factor))
    if not x.is_float:
        raise _not_float(x)
    return same_type(x, factor)


def _not_float(x: TensorType) -> DTypeError:
    return DTypeError(f"scale_gradient takes floats, since others have no gradient, not {x.dtype}")


def _scaled(out: Expr, x: Expr, factor: Expr) -> Expr | None:
    if uniform_value(factor) is not None:
        return None if is_zero(factor) else factor
    return where(factor == 0, 0, factor)  # what is cut is cut: not 0·∞


SCALE = register(
    Op(
        "scale_gradient",
        _scale_type,
        lambda x, factor: x,
        partials=(_scaled, None),
        pointwise=True,
        view=True,
        symbol="scale",
    )
)


@public
def scale_gradient(x: Any, factor: Any) -> Expr:
    """x itself, of whose derivative, in reverse and in forward mode, the factor is passed on.

    x (...) of a float dtype; factor: a number, or numbers that broadcast to x and take its dtype.
    With the number 0 it is `stop_gradient(x)`, with 1 it is x. Where a factor among others is 0,
    nothing is passed on, be it infinite or NaN. The value does not depend on the factor, so a
    derivative by it is 0; a gradient that has passed here depends on it like on any number.

    Raises DTypeError for an x of another dtype, ShapeError for a factor that does not broadcast.

    >>> import minigrad as mg
    >>> x = mg.var("x")
    >>> y = mg.scale_gradient(x, 0.5) * x
    >>> y.eval({x: 3.0}), mg.grad(y, x).eval({x: 3.0})
    (np.float64(9.0), np.float64(4.5))
    """
    x = as_expr(x)
    with explaining("scale_gradient", x, factor):
        if not x.type.is_float:
            raise _not_float(x.type)
        f = astype(factor, x.dtype) if isinstance(factor, Expr) else const(factor, x.dtype)
        if broadcast_shapes(x.shape, f.shape) != x.shape:
            raise ShapeError(f"a factor of shape {f.shape} does not broadcast to x, {x.shape}")
        f = broadcast_to(f, x.shape)
    value = uniform_value(f)
    return stop_gradient(x) if value == 0 else x if value == 1 else make(SCALE, (x, f))


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
