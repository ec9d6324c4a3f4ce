"""What options make models of: one cell in several layers, what stands between them, a readout."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from inspect import Parameter, signature
from typing import Any

from lstm.cells import Cell
from lstm.errors import ConfigError, check_count, check_flag, check_text
from lstm.layers.annotations import Annotations
from lstm.layers.attention import (
    AdditiveAttention,
    Attention,
    DotAttention,
    GeneralAttention,
    HardAttention,
)
from lstm.layers.base import Layer, check_layer, check_probability
from lstm.layers.bidirectional import Bidirectional
from lstm.layers.decoder import Decoder
from lstm.layers.dropout import Dropout
from lstm.layers.embedding import Embedding
from lstm.layers.norm import LayerNorm
from lstm.layers.readout import Readout
from lstm.layers.recurrent import Recurrent
from lstm.layers.residual import Residual
from lstm.layers.stack import Stack
from minigrad.names import did_you_mean

_OF_A_MODEL = (
    "output_size",
    "seed",
    "task",
    "hidden_size",
    "memory",
    "vocabulary",
    "readout",
    "attention",
)
ATTENTIONS: dict[str, type[Attention]] = {
    kind.name.removesuffix("_attention"): kind
    for kind in (DotAttention, GeneralAttention, AdditiveAttention, HardAttention)
}
"""Those of a usual decoder, by name."""


def check_options(names: Iterable[str]) -> None:
    """Raise ConfigError for an option of a new model that there is not.

    >>> check_options(["droput"])
    Traceback (most recent call last):
        ...
    lstm.errors.ConfigError: a model has no option 'droput'; did you mean dropout?
    """
    for name in names:
        if name not in OPTIONS:
            hint = did_you_mean(name, (*OPTIONS, *_OF_A_MODEL))
            hint = hint or f"; there are {', '.join(OPTIONS)}"
            raise ConfigError(f"a model has no option {name!r:.40}{hint}")


def usual_stack(
    cell: Cell[Any],
    *,
    layers: int = 1,
    bidirectional: bool = False,
    dropout: float = 0.0,
    input_dropout: float = 0.0,
    recurrent_dropout: float = 0.0,
    zoneout: float = 0.0,
    layer_norm: bool = False,
    residual: bool = False,
    vocabulary: int | None = None,
) -> Stack:
    """Layers called "embedding", "input_dropout", "layer1", "norm1", "dropout1", "layer2" …

    cell: of the first layer; each further one has the same, that reads what the one before gives.
    layers: how many of it; 0: the steps are "annotations", of as many units, which a decoder looks
        at, each by itself.
    dropout: between recurrent layers. input_dropout: of what the first one reads.
        recurrent_dropout, zoneout: see `Recurrent`. layer_norm: what each layer gives is
        normalised. residual: each layer after the first adds its input. vocabulary: inputs are
        tokens, which an embedding turns into the cell's inputs.
    Raises ConfigError for what cannot be, or would do nothing.

    >>> import lstm
    >>> list(usual_stack(lstm.GRU(2, 3), layers=2, dropout=0.5).layers)
    ['layer1', 'dropout1', 'layer2']
    """
    check_layer(cell, Cell)
    flags = {"bidirectional": bidirectional, "layer_norm": layer_norm, "residual": residual}
    for name, flag in flags.items():
        check_flag(name, flag)
    layers = check_count("layers", layers, 0)
    dropout = check_probability("dropout", dropout)
    input_dropout = check_probability("input_dropout", input_dropout)
    _check_cells(layers, bidirectional, recurrent_dropout, zoneout, layer_norm)
    if layers <= 1 and (dropout or residual):
        option = "residual" if residual else "dropout"
        raise ConfigError(
            f"{option} acts between layers, and there is {'one' if layers else 'none'}: give "
            "layers=2 or more, or input_dropout, recurrent_dropout or zoneout, which act in one"
        )
    parts: dict[str, Layer] = {}
    if vocabulary is not None:
        parts["embedding"] = Embedding(vocabulary, cell.input_size, dtype=cell.dtype)
    if input_dropout:
        parts["input_dropout"] = Dropout(cell.input_size, input_dropout, dtype=cell.dtype)
    if layers == 0:
        sizes = cell.input_size, cell.hidden_size
        parts["annotations"] = Annotations(*sizes, dtype=cell.dtype)
    for k in range(1, layers + 1):
        forward = Recurrent(cell, recurrent_dropout=recurrent_dropout, zoneout=zoneout)
        layer: Layer = Bidirectional(forward) if bidirectional else forward
        parts[f"layer{k}"] = Residual(layer) if residual and k > 1 else layer
        units = layer.output_size
        if layer_norm:
            parts[f"norm{k}"] = LayerNorm(units, dtype=cell.dtype)
        if dropout and k < layers:
            parts[f"dropout{k}"] = Dropout(units, dropout, dtype=cell.dtype)
        cell = replace(cell, input_size=units)
    return Stack(parts)


def _check_cells(layers: int, *options: Any) -> None:
    """Raise ConfigError where there are options of recurrent layers, and none of these."""
    if layers == 0 and any(options):
        raise ConfigError(
            "bidirectional, recurrent_dropout, zoneout and layer_norm are of recurrent layers, and "
            "there is none: give layers=1 or more"
        )


def usual_readout(
    layers: Layer,
    cell: Cell[Any],
    output_size: int,
    read: str | None = None,
    attention: str | None = None,
    steps: int | None = None,
) -> Readout:
    """What reads the last layer: its last step, unless told. The cell of a decoder is of the kind
    and the size of the encoder's, and a row of E has as many numbers as that has units.

    attention: a name in `ATTENTIONS`; None: none. steps: how many tokens a decoder says. Raises
    ConfigError for what cannot be, or would do nothing.

    >>> import lstm
    >>> encoder = usual_stack(lstm.GRU(2, 3), bidirectional=True)
    >>> decoder = usual_readout(encoder, lstm.GRU(2, 3), 7, "decoder", "additive", steps=5)
    >>> decoder.attention
    AdditiveAttention(input_size=3, output_size=6, dtype='float32')
    """
    read = "last" if read is None else check_text("readout", read)
    if read != "decoder":
        if not layers.recurrent():
            raise ConfigError("layers=0 is for a decoder: nothing else would be left for the cell")
        if attention is not None:
            raise ConfigError(f"attention= is of a decoder, and this readout reads {read!r:.40}")
        return Readout(layers.output_size, output_size, read, dtype=layers.dtype)
    if steps is None:
        raise ConfigError(
            "a decoder needs a task=, which says how many tokens an answer has at most; or give "
            "lstm.Decoder(..., steps=) to lstm.Model.of"
        )
    attends = None
    if attention is not None:
        if not isinstance(attention, str) or attention not in ATTENTIONS:
            hint = did_you_mean(attention, ATTENTIONS) if isinstance(attention, str) else ""
            raise ConfigError(
                f"attention= is one of {', '.join(ATTENTIONS)}, not {attention!r:.40}{hint}"
            )
        sizes = cell.output_size, layers.output_size
        attends = ATTENTIONS[attention](*sizes, dtype=layers.dtype)
    reads = cell.hidden_size + (0 if attends is None else layers.output_size)
    return Decoder(
        layers.output_size,
        output_size,
        cell=replace(cell, input_size=reads),
        attention=attends,
        steps=steps,
        dtype=layers.dtype,
    )


OPTIONS = tuple(
    name
    for name, parameter in signature(usual_stack).parameters.items()
    if parameter.kind is Parameter.KEYWORD_ONLY and name not in _OF_A_MODEL
)
"""What `usual_stack` takes beside the cell and the vocabulary."""
