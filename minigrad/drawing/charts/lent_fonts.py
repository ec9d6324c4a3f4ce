"""Fonts of the system, lent to a figure for characters that matplotlib's own have no shape for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, fontManager
from matplotlib.text import Text

from minigrad.drawing.fonts import outlines_of


@contextmanager
def lent_fonts(figure: Figure, characters: str) -> Iterator[str]:
    """The figure, whose texts take these characters from the system's fonts within the context;
    gives those that are left without a shape.

    matplotlib finds fonts by name among those that its `fontManager` has: what is lent is added to
    it, once, and stays there for the process. It changes no other figure that does not name it.
    """
    left, names = set(characters), []
    for file, shapes in outlines_of(characters):
        if shapes & left and (name := _known(file)):
            names.append(name)
            left -= shapes
    texts = [t for t in figure.findobj(Text) if {*t.get_text()} & {*characters} - left]
    before = [(text, text.get_fontfamily()) for text in texts]
    for text, families in before:
        text.set_fontfamily([*families, *names])
    try:
        yield "".join(c for c in characters if c in left)
    finally:
        for text, families in before:
            text.set_fontfamily(families)


@lru_cache(maxsize=256)
def _known(file: Path) -> str:
    """The name by which matplotlib knows a font, once it was told of it; "" where it cannot."""
    try:
        fontManager.addfont(str(file))
        return str(FontProperties(fname=str(file)).get_name())
    except (OSError, RuntimeError, ValueError):
        return ""
