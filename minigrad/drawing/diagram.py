"""What `draw` returns: one picture in every format, made when it is asked for."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from functools import cached_property

from minigrad.drawing.dot import to_dot
from minigrad.drawing.look import Look, with_dpi
from minigrad.drawing.picture import Picture
from minigrad.drawing.render import render
from minigrad.drawing.saved import XML, Drawn
from minigrad.drawing.svg import finish


class Diagram(Drawn):
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
        look: Look | None = None,
    ) -> None:
        super().__init__(title, description)
        self.look = look or Look()
        self.dot = dot
        self.picture = picture
        self.prefix = (
            prefix
            or "mg" + hashlib.blake2b(dot.encode(errors="replace"), digest_size=4).hexdigest()
        )
        self._timeout = timeout

    @staticmethod
    def of(picture: Picture, timeout: float = 60.0, look: Look | None = None) -> Diagram:
        """The diagram of a picture."""
        return Diagram(
            to_dot(picture),
            title=picture.title,
            description=picture.summary(),
            picture=picture,
            timeout=timeout,
            look=look,
        )

    @cached_property
    def svg(self) -> str:
        """The picture as an SVG document, for a page to show; its theme is "auto" if none is."""
        return self.finish_svg(self._raw)

    @cached_property
    def _raw(self) -> bytes:
        """What Graphviz makes of it."""
        return render(self.look.dressed(self.dot), "svg", timeout=self._timeout)

    @cached_property
    def png(self) -> bytes:
        """The picture as a PNG file."""
        dot = self.look.dressed(self.dot)
        if self.picture is not None:  # one that was composed by hand has a size of its own
            dot = with_dpi(dot, self.look.dpi_for(self.svg))
        return render(dot, "png", timeout=self._timeout)

    @cached_property
    def pdf(self) -> bytes:
        """The picture as a PDF file."""
        dot = self.look.dressed(self.dot)
        if self.picture is not None:
            dot = self.look.on_page(dot)
        return render(dot, "pdf", timeout=self._timeout)

    def finish_svg(self, svg: bytes) -> str:
        """Graphviz's SVG of this diagram with its title, description, ids and dark dress."""
        return self._finished(svg, self.look.theme in (None, "auto"), self.look.dress)

    def _finished(self, svg: bytes, dark: bool, reach: Mapping[str, str] | None = None) -> str:
        said = {"title": self.title, "description": self.description, "prefix": self.prefix}
        text = finish(svg, **said, dark=dark, reach=reach)
        return self.look.resized(text)

    def formats(self) -> dict[str, Callable[[], bytes]]:
        """How each file format is made."""
        return {
            "svg": lambda: (XML + self._finished(self._raw, self.look.theme == "auto")).encode(),
            "png": lambda: self.png,
            "pdf": lambda: self.pdf,
            "dot": lambda: self.dot.encode(),
        }

    def fallback(self) -> str:
        """The DOT text."""
        return self.dot
