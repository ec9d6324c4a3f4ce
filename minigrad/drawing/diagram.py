"""What `draw` returns: one picture in every format, made when it is asked for."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

from minigrad import atomic
from minigrad.drawing.dot import to_dot
from minigrad.drawing.escape import plain
from minigrad.drawing.faults import RenderError
from minigrad.drawing.picture import Picture
from minigrad.drawing.render import render
from minigrad.drawing.svg import finish
from minigrad.errors import GraphError


class Diagram:
    """A drawn picture: DOT text with a title and a description, and what Graphviz makes of it.

    `dot`, `svg` (text), `png` and `pdf` (bytes) are made once, when first read; the last three
    raise RenderError where they cannot be. `picture` holds the nodes, edges and numbers behind a
    drawn graph, and is None for a figure composed by hand.
    """

    def __init__(
        self,
        dot: str,
        *,
        title: str,
        description: str,
        picture: Picture | None = None,
        prefix: str | None = None,
        timeout: float = 60.0,
    ) -> None:
        self.dot = dot
        self.title = plain(title)
        self.description = "\n".join(map(plain, description.split("\n")))
        self.picture = picture
        self.prefix = (
            prefix
            or "mg" + hashlib.blake2b(dot.encode(errors="replace"), digest_size=4).hexdigest()
        )
        self._timeout = timeout

    @staticmethod
    def of(picture: Picture, timeout: float = 60.0) -> Diagram:
        """The diagram of a picture."""
        return Diagram(
            to_dot(picture),
            title=picture.title,
            description=picture.summary(),
            picture=picture,
            timeout=timeout,
        )

    @cached_property
    def svg(self) -> str:
        """The picture as an SVG document."""
        return self.finish_svg(render(self.dot, "svg", timeout=self._timeout))

    @cached_property
    def png(self) -> bytes:
        """The picture as a PNG file."""
        return render(self.dot, "png", timeout=self._timeout)

    @cached_property
    def pdf(self) -> bytes:
        """The picture as a PDF file."""
        return render(self.dot, "pdf", timeout=self._timeout)

    def finish_svg(self, svg: bytes) -> str:
        """Graphviz's SVG of this diagram with its title, description, ids and dark dress."""
        return finish(svg, title=self.title, description=self.description, prefix=self.prefix)

    def data(self, format: str) -> bytes:
        """The bytes of a file: "svg", "png", "pdf" or "dot". Raises GraphError for another one."""
        made: dict[str, Callable[[], bytes]] = {
            "svg": lambda: ('<?xml version="1.0" encoding="UTF-8"?>\n' + self.svg).encode(),
            "png": lambda: self.png,
            "pdf": lambda: self.pdf,
            "dot": lambda: self.dot.encode(),
        }
        if format not in made:
            raise GraphError(
                f"cannot save a picture as {format!r}: the formats are {', '.join(made)}"
            )
        return made[format]()

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the file that its suffix says: .svg, .png, .pdf or .dot; returns the path.

        The file is there whole or not at all. Raises GraphError for another suffix, RenderError
        where the picture cannot be drawn, OSError where the file cannot be written.
        """
        target = Path(path)
        if not target.suffix:
            raise GraphError(
                f"cannot save a picture as {str(path)!r}, which has no suffix: the formats are "
                "svg, png, pdf, dot"
            )
        if not target.parent.is_dir():
            raise FileNotFoundError(
                errno.ENOENT, "cannot save the picture, there is no folder", str(target.parent)
            )
        data = self.data(target.suffix.removeprefix(".").lower())
        atomic.write(target, data)
        return target

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        """What a notebook shows: SVG and text; DOT and text where nothing can draw it."""
        text = self.description
        try:
            return {"image/svg+xml": self.svg, "text/plain": text}
        except Exception as error:  # a notebook cell must not fail for want of a picture
            why = str(error).splitlines()[0] if isinstance(error, RenderError) else repr(error)
            return {"text/plain": f"{text}\n(not drawn: {why})\n{self.dot}"}

    def __repr__(self) -> str:
        return f"<Diagram {self.title!r}, save it as svg, png, pdf or dot>"
