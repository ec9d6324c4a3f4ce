"""One row for each op: what computes it in JAX. Nothing here knows of plans or of devices.

A row is (emission, node, *arrays) -> array; operands of pointwise ops may still be to be broadcast.
What is not here runs on NumPy, called by the running code, and `report()` says so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import permutations
from string import ascii_letters
from typing import Any, Protocol, cast

import numpy as np

from minigrad.compile.backends.jax import philox
from minigrad.compile.backends.jax.libraries import jax, jnp, lax
from minigrad.graph.leaves import CONST, placeholder
from minigrad.graph.node import Expr, describe, make
from minigrad.loop.body import Body, Loop
from minigrad.ops.cofactor import parity
from minigrad.ops.core import summed_dtype
from minigrad.ops.index import ARRAY, NEW, static_index
from minigrad.types import INT64


class Emission(Protocol):
    """What rows ask of the trace that they are part of."""

    @property
    def pure(self) -> bool:
        """Whether the function raises nothing, and JAX may differentiate it."""

    def graph(
        self, inputs: Sequence[Expr], outputs: Sequence[Expr], values: Sequence[Any]
    ) -> list[Any]:
        """The values of expressions of some inputs."""

    def require(self, holds: Any, raises: Callable[[], Exception]) -> None:
        """Note that a call raises unless this holds."""

    def body(self, body: Body, operands: Sequence[Any]) -> list[Any]:
        """The results of a body."""

    def loop(self, loop: Loop, operands: Sequence[Any]) -> tuple[Any, ...]:
        """The results of a loop."""


Row = Callable[..., Any]


def _named(name: str) -> Row:
    """A function of jax.numpy, of the arrays alone."""
    return lambda emission, node, *arrays: getattr(jnp, name)(*arrays)


def _of(function: Callable[..., Any]) -> Row:
    """A function of the arrays and the attributes."""
    return lambda emission, node, *arrays: function(*arrays, *node.attrs)


# --- pointwise ---------------------------------------------------------------------------------


def _floor_divide(a: Any, b: Any) -> Any:
    if not jnp.issubdtype(a.dtype, np.floating):
        return jnp.where(b == 0, 0, jnp.floor_divide(a, jnp.where(b == 0, 1, b)))
    whole = jnp.floor_divide(a, b)
    plain = jnp.isinf(a) | jnp.isinf(b) | (b == 0)
    return jnp.where(
        plain, a / b, jnp.where(whole == 0, jnp.copysign(jnp.zeros_like(whole), a / b), whole)
    )


def _remainder(a: Any, b: Any) -> Any:
    if jnp.issubdtype(a.dtype, np.floating):
        rest = jnp.remainder(a, b)
        return jnp.where(rest == 0, jnp.copysign(jnp.zeros_like(rest), b), rest)
    return jnp.where(b == 0, 0, jnp.remainder(a, jnp.where(b == 0, 1, b)))


def _fmod(a: Any, b: Any) -> Any:
    if jnp.issubdtype(a.dtype, np.floating):
        return jnp.fmod(a, b)
    return jnp.where(b == 0, 0, jnp.fmod(a, jnp.where(b == 0, 1, b)))


def _pow(emission: Emission, node: Expr, a: Any, b: Any) -> Any:
    if node.dtype.kind == "i":
        emission.require(
            b >= 0, lambda: ValueError("Integers to negative integer powers are not allowed.")
        )
    return jnp.power(a, b) if node.type.is_float else _whole_power(*jnp.broadcast_arrays(a, b))


def _whole_power(a: Any, b: Any) -> Any:
    """Of all bits of an exponent that is an integer; JAX's own power looks at six of them."""

    def more(state: Any) -> Any:
        return jnp.any(state[2] > 0)

    def square(state: Any) -> Any:
        product, power, rest = state
        return jnp.where(rest & 1 == 1, product * power, product), power * power, rest >> 1

    return lax.while_loop(more, square, (jnp.ones_like(a), a, b))[0]


def _sigmoid_slope(x: Any) -> Any:
    return jnp.square(1 / _twice_cosh(0.5 * x))


def _twice_cosh(x: Any) -> Any:
    power = jnp.exp(x)
    return power + 1 / power


def _hypot_slope(a: Any, b: Any) -> Any:
    size = jnp.hypot(a, b)
    return a / jnp.where(size == 0, 1, size)


def _scaled(x: Any, factor: Any) -> Any:
    @jax.custom_jvp  # type: ignore[untyped-decorator]
    def scale(x: Any, factor: Any) -> Any:
        return x

    @scale.defjvp  # type: ignore[untyped-decorator]
    def _(values: Any, tangents: Any) -> Any:
        (x, factor), (x_dot, _) = values, tangents
        return x, jnp.where(factor == 0, 0, factor * x_dot)

    return jnp.broadcast_to(scale(x, factor), jnp.broadcast_shapes(x.shape, factor.shape))


_SAME = """
    maximum minimum exp expm1 log log1p log2 log10 negative add subtract multiply divide square sqrt
    cbrt abs copysign nextafter floor ceil trunc sin cos tan asin acos atan sinh cosh tanh
    asinh acosh atanh atan2 hypot logaddexp equal not_equal less less_equal greater greater_equal
    isnan isinf isfinite signbit logical_not logical_and logical_or logical_xor bitwise_and
    bitwise_or bitwise_xor bitwise_left_shift bitwise_right_shift bitwise_invert where
"""

POINTWISE: dict[str, Row] = {
    **{name: _named(name) for name in _SAME.split()},
    "round": _named("rint"),
    "sign": _of(lambda x: jnp.where(x == 0, 0, jnp.sign(x))),  # of -0.0 it is 0.0
    "pow": _pow,
    "floor_divide": _of(_floor_divide),
    "remainder": _of(_remainder),
    "fmod": _of(_fmod),
    "one_minus_square": _of(lambda x: (1 - x) * (1 + x)),
    "tanh_slope": _of(lambda x: jnp.square(2 / _twice_cosh(x))),
    "hypot_slope": _of(_hypot_slope),
    "sigmoid": _of(lambda x: jax.nn.sigmoid(x)),
    "sigmoid_slope": _of(_sigmoid_slope),
    "softplus": _of(lambda x: jnp.logaddexp(x, jnp.zeros_like(x))),
    "relu": _of(lambda x: jax.nn.relu(x)),
    "erf": _of(lambda x: lax.erf(x)),
    "scale_gradient": _of(_scaled),
}

# --- shapes and sums ---------------------------------------------------------------------------


def _top(x: Any, axes: tuple[int, ...]) -> Any:
    top = jnp.max(x, axis=axes, keepdims=True, initial=-np.inf)
    return lax.stop_gradient(jnp.where(jnp.isfinite(top), top, 0))


def _softmax(x: Any, axes: tuple[int, ...]) -> Any:
    e = jnp.exp(x - _top(x, axes))
    return e / jnp.sum(e, axis=axes, keepdims=True)


def _logsumexp(x: Any, axes: tuple[int, ...]) -> Any:
    top = _top(x, axes)
    return jnp.log(jnp.sum(jnp.exp(x - top), axis=axes)) + jnp.squeeze(top, axes)


def precision() -> str | None:
    """Of products: GPUs would take float32 with 10 bits; who asks for that by JAX's own setting,
    gets it."""
    return None if jax.config.jax_default_matmul_precision else "highest"


SHAPED: dict[str, Row] = {
    "astype": _of(lambda x, dtype: x.astype(dtype)),
    "reshape": _of(lambda x, shape: jnp.reshape(x, shape)),
    "broadcast_to": _of(lambda x, shape: jnp.broadcast_to(x, shape)),
    "permute_dims": _of(lambda x, axes: jnp.permute_dims(x, axes)),
    "concat": lambda emission, node, *arrays: jnp.concatenate(arrays, axis=node.attrs[0]),
    "sum": _of(lambda x, axes: jnp.sum(x, axis=axes, dtype=summed_dtype(x.dtype))),
    "max": _of(lambda x, axes: jnp.max(x, axis=axes)),
    "min": _of(lambda x, axes: jnp.min(x, axis=axes)),
    "all": _of(lambda x, axes: jnp.all(x, axis=axes)),
    "any": _of(lambda x, axes: jnp.any(x, axis=axes)),
    "argmax": _of(lambda x, axis: jnp.argmax(x, axis=axis).astype(INT64)),
    "argmin": _of(lambda x, axis: jnp.argmin(x, axis=axis).astype(INT64)),
    "argsort": _of(lambda x, axis: jnp.argsort(x, axis=axis, stable=True).astype(INT64)),
    "searchsorted": _of(lambda x, v, side: jnp.searchsorted(x, v, side=side).astype(INT64)),
    "cumulative_sum": _of(lambda x, axis: jnp.cumsum(x, axis=axis)),
    "softmax": _of(_softmax),
    "logsumexp": _of(_logsumexp),
    "matmul": _of(lambda a, b: jnp.matmul(a, b, precision=precision())),
}

# --- matrices ----------------------------------------------------------------------------------


def _singular(node: Expr, what: str) -> Callable[[], Exception]:
    return lambda: np.linalg.LinAlgError(f"{what}, in op {node.op.name}, {describe(node)}")


def _inv(emission: Emission, node: Expr, x: Any) -> Any:
    return _solve(emission, node, x, jnp.broadcast_to(jnp.eye(x.shape[-1], dtype=x.dtype), x.shape))


def _solve(emission: Emission, node: Expr, a: Any, b: Any) -> Any:
    if a.size:
        pivots = jnp.diagonal(jax.scipy.linalg.lu_factor(a)[0], axis1=-2, axis2=-1)
        emission.require(jnp.all(pivots != 0), _singular(node, "Singular matrix"))
    return jnp.linalg.solve(a, b)


def _cholesky(emission: Emission, node: Expr, x: Any) -> Any:
    y = jnp.linalg.cholesky(x, symmetrize_input=False)
    emission.require(~jnp.isnan(y), _singular(node, "Matrix is not positive definite"))
    return y


def _cofactors(x: Any, *directions: Any) -> Any:
    """As in ops/cofactor.py: of singular matrices too, by the singular values of the other rows."""
    u, s, vh = jnp.linalg.svd(x)
    turned = [jnp.swapaxes(u, -1, -2) @ h @ jnp.swapaxes(vh, -1, -2) for h in directions]
    k, n = len(directions) + 1, x.shape[-1]
    rows = np.indices((n,) * k)[..., None]
    others = np.all(rows != np.arange(n), axis=0)
    wide = jnp.where(others, s.reshape(*s.shape[:-1], *(1,) * k, n), 1)
    rest = jnp.where(others.sum(-1) == n - k, jnp.prod(wide, axis=-1), 0)
    g, diagonal = jnp.zeros_like(x), jnp.zeros_like(s)
    letters = ascii_letters[:k]
    for order in permutations(range(k)):
        entries = [letters[i] + letters[order[i]] for i in range(k)]
        inputs = ",".join(f"...{e}" for e in [letters, *entries[:-1]])
        on_diagonal = order[-1] == k - 1
        output = entries[-1][:1] if on_diagonal else entries[-1]
        term = parity(order) * jnp.einsum(f"{inputs}->...{output}", rest, *turned)
        if on_diagonal:
            diagonal += term
        else:
            g += term
    g += diagonal[..., None] * jnp.eye(n, dtype=x.dtype)
    orientation = jnp.sign(jnp.linalg.det(u) * jnp.linalg.det(vh))[..., None, None]
    return orientation * (u @ g @ vh)


MATRICES: dict[str, Row] = {
    "inv": _inv,
    "solve": _solve,
    "cholesky": _cholesky,
    "cofactors": _of(_cofactors),
    "det": _of(lambda x: jnp.linalg.det(x)),
    "logabsdet": _of(lambda x: jnp.linalg.slogdet(x)[1]),
    "signdet": _of(lambda x: jnp.linalg.slogdet(x)[0]),
    "eigh": _of(lambda x: tuple(jnp.linalg.eigh(x, symmetrize_input=False))),
    "svd": _of(lambda x, mode: tuple(jnp.linalg.svd(x, full_matrices=mode == "complete"))),
    "qr": _of(lambda x, mode: tuple(jnp.linalg.qr(x, mode))),
    "pinv": _of(lambda x, rtol: jnp.linalg.pinv(x, rtol=rtol)),
}

# --- indices -----------------------------------------------------------------------------------


def _index(emission: Emission, node: Expr, whole: Any, first: int, arrays: Sequence[Any]) -> Any:
    """The index of a node, whose arrays, from the argument `first` on, must lie within `whole`."""
    spec, waiting = node.attrs[0], iter(zip(node.args[first:], arrays, strict=True))
    lengths, index = iter(whole), []  # type: Any, list[Any]
    for entry, static in zip(spec, static_index(spec), strict=True):
        n = 0 if entry == NEW else next(lengths)
        if entry != ARRAY:
            index.append(static)
            continue
        arg, array = next(waiting)
        if arg.op is not CONST or not _within(arg.value, n).all():
            emission.require(_within(array, n), _outside(node, n))
        index.append(array)
    return tuple(index)


def _within(array: Any, n: int) -> Any:
    places = array.astype(INT64)
    return (places >= -n) & (places < n)


def _outside(node: Expr, n: int) -> Callable[[], Exception]:
    return lambda: IndexError(
        f"an index is out of bounds for an axis of length {n}, in op {node.op.name}, "
        f"{describe(node)}"
    )


def _getitem(emission: Emission, node: Expr, x: Any, *arrays: Any) -> Any:
    index = _index(emission, node, x.shape, 1, arrays)
    # JAX takes no index into an axis of length 0: there is nothing to read, or the call raises.
    return x[index] if x.size else jnp.zeros(node.shape, x.dtype)


def _scatter(emission: Emission, node: Expr, values: Any, *arrays: Any) -> Any:
    shape = node.attrs[1]
    index = _index(emission, node, shape, 1, arrays)
    into = jnp.zeros(shape, values.dtype).at[index]
    return into.max(values) if values.dtype == bool else into.add(values)


def _put(emission: Emission, node: Expr, x: Any, values: Any, *arrays: Any) -> Any:
    index = _index(emission, node, x.shape, 2, arrays)
    if not arrays:
        return x.at[index].set(values)
    # Of values for one place the last stays, as in NumPy; devices would take any of them.
    number = jnp.arange(values.size).reshape(values.shape)
    last = jnp.full(x.shape, -1).at[index].max(number)
    if not values.size:
        return x
    return jnp.where(last < 0, x, values.reshape(-1)[jnp.maximum(last, 0)])


# --- what hands on, and what holds a body ------------------------------------------------------


def _custom(emission: Emission, node: Expr, y: Any, *inputs: Any) -> Any:
    """y; of functions that JAX may differentiate with the user's own derivative."""
    if not emission.pure:
        return y

    @jax.custom_vjp  # type: ignore[untyped-decorator]
    def own(y: Any, *inputs: Any) -> Any:
        return y

    def backward(kept: Any, cotangent: Any) -> Any:
        leaves = [placeholder("of", a.type) for a in node.args]
        ct = placeholder("ct", node.type)
        terms = cast(Any, node.op.vjp)(ct, make(node.op, tuple(leaves), node.attrs))
        asked = [t for t in terms if t is not None]
        made = iter(emission.graph([ct, *leaves], asked, [cotangent, *kept]))
        return tuple([None if t is None else next(made) for t in terms])

    own.defvjp(lambda *values: (values[0], values), backward)
    return own(lax.stop_gradient(y), *inputs)


def _uniform(emission: Emission, node: Expr, key: Any) -> Any:
    return philox.uniform(key, *node.attrs)


STRUCTURAL: dict[str, Row] = {
    "getitem": _getitem,
    "scatter": _scatter,
    "put": _put,
    "fold_in": _of(philox.fold_in),
    "uniform": _uniform,
    "stop_gradient": _of(lambda x: lax.stop_gradient(x)),
    "barrier": _of(lambda x: x),
    "custom_vjp": _custom,
    "tuple": _of(lambda *items: items),
    "scan": lambda emission, node, *arrays: emission.loop(node.attrs[0], arrays),
    "block": lambda emission, node, *arrays: tuple(emission.body(node.attrs[0], arrays)),
}

ROWS: dict[str, Row] = {**POINTWISE, **SHAPED, **MATRICES, **STRUCTURAL}
"""By the op's name. Leaves and `item` are no steps of a plan."""
