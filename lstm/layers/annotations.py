"""What an attention looks at where no recurrent layer reads: each step by itself, in no order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import minigrad as mg
from lstm.layers.base import Context, Layer, Steps, masked
from lstm.params import Tree
from minigrad import Expr


@dataclass(frozen=True)
class Annotations(Layer):
    """a = tanh(x·W_x + b_x) of each step, with W_x (I, F) and b_x (F,): no step knows of another.

    Steps are parts of a whole, such as the patches of a picture, and not an order: what they come
    to at the end is their mean, from which a decoder starts (Xu et al., "Show, attend and tell",
    2015, section 3.1.2).

    >>> steps = Steps.of(mg.const([[[0.0]], [[2.0]]]))
    >>> params = {"W_x": mg.const([[1.0]]), "b_x": mg.const([0.0])}
    >>> read, _ = Annotations(1, 1).run(params, steps, {}, Context())
    >>> read.each.eval().ravel().round(3).tolist(), read.end.eval().round(3).tolist()
    ([0.0, 0.964], [[0.482]])
    """

    name: ClassVar[str] = "annotations"

    def shapes(self) -> Tree:
        return {"W_x": (self.input_size, self.output_size), "b_x": (self.output_size,)}

    def run(self, params: Tree, xs: Steps, state: Tree, context: Context) -> tuple[Steps, Tree]:
        read = xs.map(lambda x: mg.tanh(x @ params["W_x"] + params["b_x"]))
        if context.mask is None:
            return Steps(read.each, mg.mean(read.stacked, axis=0)), {}
        counts = mg.astype(mg.sum(mg.astype(context.mask, "int64"), axis=0), self.dtype)
        total: Expr = mg.sum(masked(context.mask, read.stacked), axis=0)
        return Steps(read.each, total / mg.expand_dims(counts, axis=-1)), {}
