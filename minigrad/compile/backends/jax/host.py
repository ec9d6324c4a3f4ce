"""What XLA has no op for: NumPy computes it, called from the running code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad.compile.backends.jax.libraries import jax, lax
from minigrad.graph.node import Expr, describe
from minigrad.graph.numpy_call import numpy_call
from minigrad.types import Array, TupleType


def on_host(
    node: Expr, operands: tuple[Any, ...], caught: Callable[[Exception], int] | None
) -> tuple[Any, Any]:
    """What NumPy computes of a node, and the number of what it raises instead, 0 where nothing.

    caught: error -> its number; None: errors are JAX's to tell.
    """
    call, several = numpy_call(node), isinstance(node.type, TupleType)
    types = node.type.items if isinstance(node.type, TupleType) else (node.type,)

    def run(*words: Any) -> tuple[Any, ...]:
        arrays = [_of_words(w, a.dtype) for w, a in zip(words, node.args, strict=True)]
        number = 0
        try:
            with np.errstate(all="ignore"):
                result = call(*arrays, *node.attrs)
        except Exception as error:
            if caught is None:
                raise
            error.add_note(f"while computing op {node.op.name}, {describe(node)}")
            number = caught(error)
            zeros = tuple(np.zeros(t.shape, t.dtype) for t in types)
            result = zeros if several else zeros[0]
        return (*map(_as_words, result if several else (result,)), np.int32(number))

    like = [*(_as_words(np.empty(t.shape, t.dtype)) for t in types), np.zeros((), np.int32)]
    asked = [jax.ShapeDtypeStruct(x.shape, x.dtype) for x in like]
    words = [lax.bitcast_convert_type(x, np.uint32) if _is_wide(x) else x for x in operands]
    *made, fault = jax.pure_callback(run, tuple(asked), *words, vmap_method="sequential")
    results = [
        lax.bitcast_convert_type(x, t.dtype) if _is_wide(t) else x
        for x, t in zip(made, types, strict=True)
    ]
    return tuple(results) if several else results[0], fault


# In a thread of XLA's JAX has its usual settings, by which it cuts 64-bit numbers to 32 bits on
# their way: they go as pairs of words.


def _is_wide(typed: Any) -> bool:
    return bool(typed.dtype.itemsize == 8)


def _as_words(value: Any) -> Array:
    array = np.ascontiguousarray(value).reshape(np.shape(value))
    return array[..., None].view(np.uint32) if _is_wide(array) else array


def _of_words(words: Any, dtype: np.dtype[Any]) -> Array:
    array = np.ascontiguousarray(words).reshape(np.shape(words))
    return array.view(dtype)[..., 0] if dtype.itemsize == 8 else array
