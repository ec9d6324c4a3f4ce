"""How a drawn graph is dressed and how large it is: theme, pixels, and a slide."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass

from minigrad.drawing.faults import RenderError
from minigrad.drawing.palette import DARK, LIGHT
from minigrad.errors import GraphError
from minigrad.types import as_number

SLIDE = (1920, 1080)  # pixels
LEAST_TEXT = 12.0  # pixels on a slide
WIDEST_PNG = 16_384  # pixels; more is shown by few viewers
LEAST_PNG_TEXT = 4.0  # pixels; less cannot be told from a line
_THEMES = (None, "auto", "light", "dark")


@dataclass(frozen=True, slots=True)
class Look:
    """See `minigrad.drawing.draw`, whose arguments these are.

    theme: None is "auto" where a page shows the picture, and "light" in files.
    """

    theme: str | None = None
    dpi: float = 96.0
    width: float | None = None
    size: str | None = None

    @staticmethod
    def checked(theme: object, dpi: object, width: object, size: object) -> Look:
        """Raises GraphError or DTypeError."""
        if theme not in _THEMES or not isinstance(theme, str | None):
            raise GraphError(f"theme is 'light', 'dark' or 'auto', not {theme!r:.60}")
        if size not in (None, "slide") or not isinstance(size, str | None):
            raise GraphError(f"size is 'slide' or None, not {size!r:.60}")
        dots = 96.0 if dpi is None else _checked_number(dpi, "dpi")
        wide = None if width is None else _checked_number(width, "width")
        return Look(theme, dots, wide, size)

    @property
    def dress(self) -> dict[str, str]:
        """The palette's colours that it is drawn in; of "auto" the light ones, which the reader's
        scheme replaces."""
        return DARK if self.theme == "dark" else LIGHT

    def dressed(self, dot: str) -> str:
        """DOT text in the colours of the theme."""
        if self.dress is LIGHT:
            return dot
        names = {color: self.dress[name] for name, color in LIGHT.items()}
        return re.sub("|".join(names), lambda m: names[m[0]], dot)

    def resized(self, svg: str) -> str:
        """A finished SVG of the size asked for. Raises RenderError for text too small to read."""
        if self.size == "slide":
            wide, high = _size_of(svg)
            scale = min(SLIDE[0] / wide, SLIDE[1] / high)
            least = _least_text(svg) * scale
            if least < LEAST_TEXT:
                raise RenderError(
                    f"the smallest text of this picture would have {least:.1f} pixels on a "
                    f"slide of {SLIDE[0]} x {SLIDE[1]}, and less than {LEAST_TEXT:g} cannot be "
                    "read. Draw fewer steps, loops='folded', another direction, or an inner "
                    "expression; without size='slide' it is drawn as large as it is"
                )
            return _with_size(svg, *SLIDE)
        if self.width is not None:
            wide, high = _size_of(svg)
            return _with_size(svg, self.width, self.width * high / wide)
        return svg

    def on_page(self, dot: str) -> str:
        """DOT text whose PDF is a page of the picture's size, at 96 pixels an inch if asked for."""
        page = 'margin="0"'
        if self.size == "slide":
            page += f' size="{SLIDE[0] / 96:g},{SLIDE[1] / 96:g}!"'
        elif self.width is not None:
            page += f' size="{self.width / 96:.6g},1e5!"'
        return dot.replace("{", f"{{ graph [{page}]", 1)

    def dpi_for(self, svg: str) -> float:
        """The dots per inch of a PNG. Raises RenderError for one that no viewer shows, or that
        nobody can read."""
        wide, high = _size_of(svg)
        if self.size == "slide":
            return 72.0 * min(SLIDE[0] / wide, SLIDE[1] / high)
        dpi = self.dpi if self.width is None else 72.0 * self.width / wide
        pixels, least = [round(side * dpi / 72.0) for side in (wide, high)], _least_text(svg)
        enough = math.ceil(wide * LEAST_PNG_TEXT / least)
        smaller = enough <= WIDEST_PNG and enough * high / wide <= WIDEST_PNG
        if max(pixels) > WIDEST_PNG:
            raise RenderError(
                f"the PNG would have {pixels[0]:,} x {pixels[1]:,} pixels, and few viewers show "
                f"more than {WIDEST_PNG:,} a side. Save svg or pdf, or draw fewer nodes"
                + f"; width={enough:,} is the least that can be read"
                * smaller
            )
        if least * dpi / 72.0 < LEAST_PNG_TEXT:
            raise RenderError(
                f"the PNG would have {pixels[0]:,} x {pixels[1]:,} pixels and text of "
                f"{least * dpi / 72.0:.1f}, and less than {LEAST_PNG_TEXT:g} cannot be read. Save "
                "svg or pdf, or draw fewer nodes"
                + f"; width={enough:,} is the least that can be read"
                * smaller
            )
        return dpi


def _checked_number(value: object, name: str) -> float:
    number = as_number(value, name)
    if not 0.0 < number < 1e5:
        raise GraphError(f"{name} is a number above 0 and below 100,000, not {value!r:.60}")
    return number


def with_dpi(dot: str, dpi: float) -> str:
    """DOT text whose bitmap has so many dots an inch."""
    return dot.replace("{", f"{{ graph [dpi={dpi:.6g}]", 1)


def _size_of(svg: str) -> tuple[float, float]:
    """Width and height in points, from the viewBox."""
    box = ET.fromstring(svg).get("viewBox", "0 0 1 1").split()
    return max(1.0, float(box[2])), max(1.0, float(box[3]))


def _least_text(svg: str) -> float:
    """The size of the smallest text, in points; that of a usual one where there is none."""
    return min([float(x) for x in re.findall(r'font-size="([\d.]+)"', svg)], default=14.0)


def _with_size(svg: str, wide: float, high: float) -> str:
    end = svg.index(">")
    head = re.sub(r' (width|height)="[^"]*"', "", svg[:end])
    return f'{head} width="{wide:g}" height="{high:g}"{svg[end:]}'
