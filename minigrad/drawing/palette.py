"""Every colour of every picture and page, by name, in the light dress and in the dark one.

No other module writes a colour down. Colours that mean a number stay the same in both dresses; all
others change by name. No two names share a light colour, so that a colour that Graphviz has
carried from DOT to SVG still says its name.
"""

from __future__ import annotations

LIGHT: dict[str, str] = {
    "page": "#ffffff",
    "ink": "#1b1f24",
    "muted": "#57606a",
    "faint": "#c9ced6",
    "wire": "#6b737c",
    "input": "#e3edfb",
    "param": "#f6ecd2",
    "constant": "#f1f1f1",
    "group": "#f5f6f8",
    "lane": "#f7edd0",
    "focus": "#1f5fd6",
    "layer": "#ffe08c",
    "pointwise": "#f8bfd4",
    "cell": "#dcefdd",
    "reads": "#c5e0f7",
    "gives": "#dccdf3",
    "curve1": "#0b6aa8",
    "curve2": "#c24a00",
    "curve3": "#6b0035",
    "curve4": "#361889",
    "curve5": "#a6255c",
    "curve6": "#735fe9",
}
DARK: dict[str, str] = {
    "page": "#1e1e1e",
    "ink": "#e8e8e8",
    "muted": "#aab2bb",
    "faint": "#4d545e",
    "wire": "#8d959e",
    "input": "#22344f",
    "param": "#43381d",
    "constant": "#333333",
    "group": "#282b30",
    "lane": "#3b3420",
    "focus": "#7ea6f4",
    "layer": "#6b5510",
    "pointwise": "#7a3350",
    "cell": "#24382a",
    "reads": "#1f4a6e",
    "gives": "#4a3575",
    "curve1": "#6cb8f2",
    "curve2": "#ff9c5e",
    "curve3": "#b27587",
    "curve4": "#83f6e1",
    "curve5": "#1387fe",
    "curve6": "#cef034",
}

CURVES = tuple(name for name in LIGHT if name.startswith("curve"))
"""What tells curves apart whose colour is no number, in the order in which they are taken: far from
each other also for eyes that lack a kind of cones, and legible as text."""

PAGE, INK, MUTED, FAINT = (LIGHT[name] for name in ("page", "ink", "muted", "faint"))

# Text on a fill that means a number.
BLACK, WHITE = "#000000", "#fefefe"

# A ramp of the cividis family (blue, grey, gold: the axis that colour-blind eyes keep), evenly
# spaced in OKLab. Cividis itself ends in near-black and in bright yellow; here the lightness stays
# in the band that keeps a contrast of 3:1 or more on white and also on the dark page, so that a
# vanished edge does not disappear in a dark page, nor the largest one in a white page.
RAMP: tuple[str, ...] = (
    "#2863d8", "#386bcc", "#4771bf", "#5477b2", "#627ca5", "#6f8097",
    "#7c8389", "#898679", "#968868", "#a28a54", "#af8b39", "#bb8c00",
)  # fmt: skip

# Two sides of one middle, as of a ratio: purple below 1, green above, greyer towards it. Evenly
# spaced in OKLab on each side, in the same band of lightness; colour-blind eyes see blue and
# yellow-grey. The hues are none of the ramp's, so that no colour has two meanings.
SIDES: tuple[str, ...] = (
    "#a04cc0", "#9d56ba", "#9a5eb3", "#9766ac", "#946da5", "#90739e",
    "#6d9072", "#64936a", "#5a9661", "#4f9958", "#419b4f", "#2f9e44",
)  # fmt: skip

# Of what has no place on the ramp.
ZERO, UNDERFLOW, DISCONNECTED = "#858585", "#7a6fa8", "#909090"
NAN, INF = "#c13d9e", "#d9480f"
EVEN = "#7d838b"  # of a ratio of exactly 1, which is on neither side

_NAMES = {color: name for name, color in LIGHT.items()}


def name_of(color: str) -> str | None:
    """The name of a light colour that has a dark one; None for a colour that means a number.

    >>> name_of(INK), name_of(RAMP[0])
    ('ink', None)
    """
    return _NAMES.get(color)


def css_variables(dress: dict[str, str]) -> str:
    """All colours of a dress as CSS custom properties.

    >>> css_variables(DARK)[:35]
    '--page: #1e1e1e; --ink: #e8e8e8; --'
    """
    return " ".join(f"--{name}: {color};" for name, color in dress.items())


def contrast(first: str, second: str) -> float:
    """WCAG 2 contrast ratio of two "#rrggbb" colours, from 1 (the same) to 21 (black and white).

    >>> round(contrast("#000000", "#ffffff"), 6)
    21.0
    """
    low, high = sorted((_luminance(first), _luminance(second)))
    return (high + 0.05) / (low + 0.05)


def text_on(fill_hex: str) -> str:
    """Black or white, whichever stands out more on `fill_hex`.

    >>> text_on("#00224e"), text_on("#fee838")
    ('#fefefe', '#000000')
    """
    return BLACK if contrast(BLACK, fill_hex) >= contrast(WHITE, fill_hex) else WHITE


def _luminance(color: str) -> float:
    """Relative luminance of a "#rrggbb" colour (WCAG 2.2, section "relative luminance")."""
    digits = color[1:]
    if len(color) != 7 or color[0] != "#" or set(digits.lower()) - set("0123456789abcdef"):
        raise ValueError(f"{color!r} is not a colour of the form '#rrggbb', such as '#2863d8'.")
    channels = (int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4))
    red, green, blue = (
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
