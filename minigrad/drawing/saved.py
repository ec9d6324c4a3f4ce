"""What every picture can do once it is drawn: be a file of its format, and show itself."""

from __future__ import annotations

import errno
import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any

from minigrad import atomic
from minigrad.drawing.escape import plain
from minigrad.drawing.faults import RenderError
from minigrad.errors import GraphError

XML = '<?xml version="1.0" encoding="UTF-8"?>\n'


class Drawn(ABC):
    """A picture with a title and a description, in the formats that its kind has."""

    prefix: str
    """What the ids of its SVG begin with, so that several can stand in one page."""

    def __init__(self, title: str, description: str) -> None:
        self.title = plain(title)
        self.description = "\n".join(map(plain, description.split("\n")))

    @property
    @abstractmethod
    def svg(self) -> str:
        """The picture as an SVG document, without XML declaration."""

    @abstractmethod
    def formats(self) -> dict[str, Callable[[], bytes]]:
        """How each file format is made."""

    def data(self, format: str) -> bytes:
        """The bytes of a file: "svg", "png", "pdf" … Raises GraphError for one that it has not."""
        made = self.formats()
        if format not in made:
            raise GraphError(
                f"cannot save a picture as {format!r}: the formats are {', '.join(made)}"
            )
        return made[format]()

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the file that its suffix says, such as .svg, .png or .pdf; returns the path.

        The file is there whole or not at all. Raises GraphError for another suffix, RenderError
        where the picture cannot be drawn, OSError where the file cannot be written.
        """
        target = Path(path)
        if not target.suffix:
            raise GraphError(
                f"cannot save a picture as {str(path)!r}, which has no suffix: the formats are "
                f"{', '.join(self.formats())}"
            )
        if not target.parent.is_dir():
            raise FileNotFoundError(
                errno.ENOENT, "cannot save the picture, there is no folder", str(target.parent)
            )
        data = self.data(target.suffix.removeprefix(".").lower())
        atomic.write(target, data)
        return target

    def fallback(self) -> str:
        """What stands in a notebook beside the description where nothing can draw the picture."""
        return ""

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        """What a notebook shows: SVG and text; text alone where nothing can draw it."""
        try:
            return {"image/svg+xml": self.svg, "text/plain": self.description}
        except Exception as error:  # a notebook cell must not fail for want of a picture
            why = str(error).splitlines()[0] if isinstance(error, RenderError) else repr(error)
            text = f"{self.description}\n(not drawn: {why})\n{self.fallback()}"
            return {"text/plain": text.rstrip("\n")}

    def __repr__(self) -> str:
        *first, last = self.formats()
        return f"<{type(self).__name__} {self.title!r}, save it as {', '.join(first)} or {last}>"
