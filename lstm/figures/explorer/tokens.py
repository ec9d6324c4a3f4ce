"""What was read at each step, of a model that reads tokens: words or letters, as its task says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lstm.gradient_flow import Flow
from lstm.made_for import token_names
from minigrad.drawing.escape import plain

BANDS = {
    "influence": "its output is changed most by",
    "itemised": "its loss teaches most",
}
"""Maps of which a row is drawn as bows, and what is said of them."""
SEQUENCES = 16
"""So many of a batch are on the page at most."""
_PADDING = -1
_LETTERS = 24  # of a name
_UNSEEN = str.maketrans({" ": "␣", "\n": "⏎", "\t": "⇥"})


def tokens_of(flow: Flow) -> dict[str, Any] | None:
    """The tokens of each sequence (S, T) in the order in which the layer reads them, as places
    among their names, below 0 where there is padding; None of a model that reads none."""
    source = flow.source
    if source is None or not source.meter.model.layers.tokens:
        return None
    meter = source.meter
    xs, _, *masks = (np.asarray(part)[meter.steps] for part in source.batch)
    if len(xs) != flow.steps:
        return None  # the layer does not read them step by step
    names = token_names(meter.model)
    used, places = np.unique(xs[:, :SEQUENCES], return_inverse=True)
    ids = places.reshape(len(xs), -1).T.astype(np.int32)
    for mask in masks:
        ids[~mask[:, :SEQUENCES].T] = _PADDING
    return {"names": [_shown(names, token) for token in used.tolist()], "ids": ids}


def _shown(names: Sequence[str], token: int) -> str:
    """A token's name, or else its number.

    >>> _shown(["a", " the", "\\n"], 1), _shown(["a", " the", "\\n"], 2), _shown([], 7)
    ('the', '⏎', '7')
    """
    name = names[token] if names else str(token)
    return plain(name.strip() or name.translate(_UNSEEN), _LETTERS)
