"""Attention: what is read of annotations, each in the share that a query gives it.

Annotations are what a layer gives at each step of a sequence, (S, B, A); a query is (B, Q).
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np

import minigrad as mg
from lstm.errors import ConfigError, check_count, check_flag
from lstm.layers.base import Context, Layer, Rng, Steps, masked
from lstm.params import Tree, drawn
from minigrad import Expr


class Glimpse(NamedTuple):
    """What a query reads of annotations."""

    context: Expr
    """(B, A): their sum, each in its share."""
    weights: Expr
    """(B, S): the shares, which add up to 1; 0 of padding."""


@dataclass(frozen=True)
class Attention(Layer):
    """The weights are the softmax over the annotations of a `score`, which a subclass states.

    `draws` says whether it looks at one annotation, drawn, in the place of all in shares.
    input_size is Q, that of a query, and output_size A, that of an annotation. As a layer by itself
    it is self-attention (Vaswani et al., "Attention is all you need", 2017): the steps of the
    sequence are queries and annotations, so that Q and A are one size.
    """

    draws: ClassVar[bool] = False

    @abstractmethod
    def score(self, params: Tree, query: Expr, annotations: Expr) -> Expr:
        """How well a query (B, Q) and each annotation (S, B, A) fit: (S, B)."""

    def look(
        self,
        params: Tree,
        query: Expr,
        annotations: Expr,
        mask: Expr | None = None,
        noise: Expr | None = None,
    ) -> Glimpse:
        """What a query (B, Q) reads of annotations (S, B, A).

        mask: (S, B) bool, False where an annotation is padding, which has no part, be it NaN; of a
        sequence that is nothing else, the context and the weights are 0.
        noise: (S, B) of [0, 1), for an attention that draws.

        >>> annotations = mg.const([[[1.0, 0.0]], [[0.0, 1.0]]])
        >>> glimpse = DotAttention(2, 2).look({}, mg.const([[0.0, np.log(3)]]), annotations)
        >>> glimpse.weights.eval().round(3).tolist(), glimpse.context.eval().round(3).tolist()
        ([[0.25, 0.75]], [[0.25, 0.75]])
        """
        if mask is not None:
            annotations = masked(mask, annotations)
        scores = self.score(params, query, annotations)
        if mask is not None:  # a finite number, so that nothing but padding is no NaN
            scores = mg.where(mask, scores, float(np.finfo(scores.dtype).min) / 2)
        weights = self._weights(scores, noise)
        if mask is not None:
            weights = masked(mask, weights)
        shares = mg.stop_gradient(weights) if self.draws else weights
        shares = mg.broadcast_to(mg.expand_dims(shares, axis=-1), annotations.shape)
        return Glimpse(mg.sum(shares * annotations, axis=0), mg.matrix_transpose(weights))

    def _weights(self, scores: Expr, noise: Expr | None) -> Expr:
        """What becomes of scores (S, B)."""
        return mg.softmax(scores, axis=0)

    def run(self, params: Tree, xs: Steps, state: Tree, context: Context) -> tuple[Steps, Tree]:
        if self.input_size != self.output_size:
            raise ConfigError(
                f"a sequence that attends to itself has queries and annotations of one size, not "
                f"{self.input_size} and {self.output_size} units"
            )
        annotations = xs.stacked

        def look(query: Expr) -> Expr:
            return self.look(params, query, annotations, context.mask).context

        return xs.map(lambda x: look(x) if x.ndim == 2 else mg.vmap(look)(x)), {}


@dataclass(frozen=True)
class DotAttention(Attention):
    """q · a: Luong, Pham & Manning, "Effective approaches to attention-based neural machine
    translation", 2015, section 3.1.

    scaled: q · a / √Q, of Vaswani et al. 2017. Raises ConfigError for sizes that differ.
    """

    scaled: bool = False

    name: ClassVar[str] = "dot_attention"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.input_size != self.output_size:
            raise ConfigError(
                f"a dot product is of queries and annotations of one size, not {self.input_size} "
                f"and {self.output_size} units; GeneralAttention takes any"
            )
        check_flag("scaled", self.scaled)

    def score(self, params: Tree, query: Expr, annotations: Expr) -> Expr:
        query = query * self.input_size**-0.5 if self.scaled else query
        return mg.sum(annotations * query, axis=-1)


@dataclass(frozen=True)
class GeneralAttention(Attention):
    """q · W a, with W_a (Q, A): Luong, Pham & Manning 2015, section 3.1."""

    name: ClassVar[str] = "general_attention"

    def shapes(self) -> Tree:
        return {"W_a": (self.input_size, self.output_size)}

    def score(self, params: Tree, query: Expr, annotations: Expr) -> Expr:
        return mg.sum(annotations * (query @ params["W_a"]), axis=-1)


@dataclass(frozen=True)
class AdditiveAttention(Attention):
    """v · tanh(W q + U a), with W_a (Q, N), U_a (A, N) and v_a (N,): Bahdanau, Cho & Bengio,
    "Neural machine translation by jointly learning to align and translate", 2015, appendix A.1.2.

    units: N; as many as an annotation has unless given.
    """

    units: int | None = None

    name: ClassVar[str] = "additive_attention"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.units is not None:
            self._set("units", check_count("units", self.units))

    def shapes(self) -> Tree:
        N = self.output_size if self.units is None else self.units
        return {"W_a": (self.input_size, N), "U_a": (self.output_size, N), "v_a": (N,)}

    def init(self, rng: Rng) -> Tree:
        return drawn(rng, self.shapes(), self.dtype, maps=("v_a",))

    def score(self, params: Tree, query: Expr, annotations: Expr) -> Expr:
        keys = annotations @ params["U_a"]  # of no query: computed once, before a loop of queries
        scores: Expr = mg.tanh(keys + query @ params["W_a"]) @ params["v_a"]
        return scores


@dataclass(frozen=True)
class HardAttention(AdditiveAttention):
    """One annotation alone is looked at, drawn by the shares of `AdditiveAttention`: Xu et al.,
    "Show, attend and tell", 2015, section 4.1. Without noise, as where a model is evaluated, it is
    the one that has the largest share.

    Weights are 1 at what was drawn and 0 elsewhere. What was drawn has no derivative; the weights'
    is that of the logarithm of its share, so that `lstm.drawn_loss`, which training
    adds, teaches the scores. A decoder draws for each token anew.

    >>> params = {"W_a": mg.const([[0.0]]), "U_a": mg.const([[1.0]]), "v_a": mg.const([1.0])}
    >>> annotations, query = mg.const([[[0.0]], [[1.0]]]), mg.const([[0.0]])
    >>> HardAttention(1, 1).look(params, query, annotations).weights.eval().tolist()
    [[0.0, 1.0]]
    """

    name: ClassVar[str] = "hard_attention"
    draws: ClassVar[bool] = True

    def _weights(self, scores: Expr, noise: Expr | None) -> Expr:
        logs = mg.log_softmax(scores, axis=0)
        drawn = logs
        if noise is not None:
            # The largest of log p + G, of Gumbel's numbers G, is each with its p (Gumbel 1954).
            # A noise of 0 stands for [0, 2⁻²⁴): G is finite, so that padding is never the largest.
            drawn = logs - mg.log(-mg.log(mg.maximum(noise, 2.0**-25)))
        places = mg.expand_dims(mg.arange(scores.shape[0]), axis=1)
        chosen = mg.astype(places == mg.expand_dims(mg.argmax(drawn, axis=0), axis=0), scores.dtype)
        return chosen * mg.exp(logs - mg.stop_gradient(logs))  # 1 · exp(0)

    def run(self, params: Tree, xs: Steps, state: Tree, context: Context) -> tuple[Steps, Tree]:
        raise ConfigError("hard attention is a decoder's: a layer has no loss that teaches draws")
