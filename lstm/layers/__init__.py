"""Layers, by name: functions of sequences, which make a model. A new one is a new file here."""

from __future__ import annotations

from lstm.discovery import classes_by_name
from lstm.layers.annotations import Annotations
from lstm.layers.attention import (
    AdditiveAttention,
    Attention,
    DotAttention,
    GeneralAttention,
    Glimpse,
    HardAttention,
)
from lstm.layers.base import (
    Context,
    Layer,
    Looped,
    Rng,
    Steps,
    Tape,
    Written,
    check_clamp,
    check_layer,
    check_routes,
    mask_given,
    mask_of,
    masked,
    subscript,
)
from lstm.layers.bidirectional import Bidirectional
from lstm.layers.decoder import Decoder
from lstm.layers.dropout import Dropout
from lstm.layers.embedding import Embedding
from lstm.layers.norm import LayerNorm
from lstm.layers.readout import Readout
from lstm.layers.recurrent import Recurrent, check_parts, place_of
from lstm.layers.residual import Residual
from lstm.layers.stack import Stack

LAYERS: dict[str, type[Layer]] = classes_by_name(__name__, __path__, Layer)

__all__ = [
    "LAYERS",
    "AdditiveAttention",
    "Annotations",
    "Attention",
    "Bidirectional",
    "Context",
    "Decoder",
    "DotAttention",
    "Dropout",
    "Embedding",
    "GeneralAttention",
    "Glimpse",
    "HardAttention",
    "Layer",
    "LayerNorm",
    "Looped",
    "Readout",
    "Recurrent",
    "Residual",
    "Rng",
    "Stack",
    "Steps",
    "Tape",
    "Written",
    "check_clamp",
    "check_layer",
    "check_parts",
    "check_routes",
    "mask_given",
    "mask_of",
    "masked",
    "place_of",
    "subscript",
]
