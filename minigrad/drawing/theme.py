"""How a number looks: one colour, width and dash for each magnitude, and the short text beside it.

Nothing here knows of graphs, DOT or files. A picture, a table and a legend that share one `Scale`
say the same thing about the same number.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from minigrad.drawing import palette
from minigrad.drawing.palette import RAMP, SIDES

Dash = Literal["solid", "dashed", "dotted"]
Kind = Literal["normal", "below", "underflow", "zero", "disconnected", "nan", "inf", "even"]
"""What a magnitude is: "below" is nonzero and below the scale, "underflow" a product of nonzero
factors that came out as 0, "disconnected" no derivative at all, "even" a ratio of exactly 1."""

# The family of all text, as DOT and SVG name it. Verdana is the widespread font whose widths come
# closest, for a viewer of an SVG who has no DejaVu Sans.
FONT = "DejaVu Sans,Verdana,sans-serif"
BOLD = " Bold"  # what Pango takes for a weight at the end of a list of families

MAX_DECADES = 12  # float64 keeps 16 digits: what lies further below the largest no longer adds up
MIN_DECADES = 3  # fewer would paint a factor of two as if it were a collapse
EMPTY_EXPONENTS = (-6.0, 0.0)

_THINNEST, _THICKEST = 1.1, 4.5  # points
_LEAST_CLASSES = 6
_LEAST_EXPONENT = -323  # float64 has nothing below 5e-324
_SLACK = 1e-9  # log10 of 10**k may miss k by a rounding error


@dataclass(frozen=True)
class EdgeStyle:
    """How to draw one value: `color` is "#rrggbb", `width` is in points, `kind` says what it is.

    >>> special_style("nan").dasharray
    '18 10'
    """

    color: str
    width: float
    dash: Dash
    kind: Kind

    @property
    def dasharray(self) -> str:
        """The dash as an SVG `stroke-dasharray`, in proportion to the width."""
        if self.dash == "solid":
            return "none"
        on, off = (3.5, 2.0) if self.dash == "dashed" else (1.0, 2.0)
        return f"{max(1.0, on * self.width):.0f} {max(2.0, off * self.width):.0f}"


# No two kinds share a dash and a similar width, so that they differ in grey print too.
_SPECIAL: dict[Kind, EdgeStyle] = {
    "below": EdgeStyle(RAMP[0], 1.2, "dashed", "below"),
    "underflow": EdgeStyle(palette.UNDERFLOW, 2.4, "dashed", "underflow"),
    "zero": EdgeStyle(palette.ZERO, 2.4, "dotted", "zero"),
    "disconnected": EdgeStyle(palette.DISCONNECTED, 1.0, "dotted", "disconnected"),
    "nan": EdgeStyle(palette.NAN, 5.0, "dashed", "nan"),
    "inf": EdgeStyle(palette.INF, 6.5, "solid", "inf"),
    "even": EdgeStyle(palette.EVEN, 3.0, "solid", "even"),
}

KIND_WORDS: dict[Kind, str] = {
    "normal": "",
    "below": "below the scale",
    "underflow": "underflow (nonzero factors, product 0)",
    "zero": "exactly 0",
    "disconnected": "not connected",
    "nan": "NaN",
    "inf": "infinite",
    "even": "as much",
}
"""What a sentence or a tooltip calls a kind."""


def special_style(kind: Kind) -> EdgeStyle:
    """The look of a kind that is off the scale; KeyError for "normal".

    >>> special_style("underflow").dash
    'dashed'
    """
    return _SPECIAL[kind]


@dataclass(frozen=True)
class Scale:
    """Magnitudes from 10**lo_exp to 10**hi_exp in 6 to 12 classes, even on a log10 axis.

    The scale is locked: it never changes with the values it is asked about, so two pictures drawn
    with one scale can be compared. Signs are ignored.

    >>> scale = Scale(-8.0, 0.0)
    >>> scale.classes, scale.edges[:3]
    (8, (1e-08, 1e-07, 1e-06))
    >>> scale.style(2e-8).color == RAMP[0], scale.style(-0.5).color == RAMP[-1]
    (True, True)
    >>> scale.style(1e-30).kind, scale.style(0.0).kind, scale.style(None).kind
    ('below', 'zero', 'disconnected')
    """

    lo_exp: float
    hi_exp: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.lo_exp) and math.isfinite(self.hi_exp)):
            raise ValueError(
                f"Scale({self.lo_exp}, {self.hi_exp}): both exponents must be finite. "
                "Scale.of(values) builds a scale that leaves out nan, inf and 0."
            )
        if self.lo_exp >= self.hi_exp:
            raise ValueError(
                f"Scale({self.lo_exp}, {self.hi_exp}): lo_exp must lie below hi_exp. They are "
                "powers of ten: Scale(-6, 0) runs from 1e-06 to 1."
            )

    @staticmethod
    def of(values: Iterable[float | None]) -> "Scale":
        """The scale for everything in `values`, whole decades wide.

        Only finite nonzero magnitudes count. It spans 3 decades at least (one value lies in the
        middle of them) and 12 at most; when capped, the top is kept and smaller ones show as
        "below".

        >>> Scale.of([3e-5, 0.2, 0.0, None, float("nan")])
        Scale(lo_exp=-5.0, hi_exp=0.0)
        >>> Scale.of([0.03])
        Scale(lo_exp=-3.0, hi_exp=0.0)
        >>> Scale.of([1e-40, 1.0])
        Scale(lo_exp=-12.0, hi_exp=0.0)
        >>> Scale.of([])
        Scale(lo_exp=-6.0, hi_exp=0.0)
        """
        magnitudes = [abs(float(v)) for v in values if v is not None]
        exponents = [math.log10(m) for m in magnitudes if m != 0.0 and math.isfinite(m)]
        if not exponents:
            return Scale(*EMPTY_EXPONENTS)
        lo = math.floor(min(exponents) + _SLACK)
        hi = math.ceil(max(exponents) - _SLACK)
        missing = max(0, MIN_DECADES - (hi - lo))
        lo, hi = lo - (missing + 1) // 2, hi + missing // 2
        return Scale(float(max(lo, hi - MAX_DECADES, _LEAST_EXPONENT)), float(hi))

    @property
    def classes(self) -> int:
        """How many classes: one a decade, or two where that would make too few."""
        span = self.hi_exp - self.lo_exp
        wanted = math.ceil(span - _SLACK) if span > _LEAST_CLASSES else math.ceil(2 * span - _SLACK)
        return min(max(wanted, _LEAST_CLASSES), len(RAMP))

    @property
    def edges(self) -> tuple[float, ...]:
        """The `classes + 1` magnitudes between which the classes lie, rising.

        >>> [fmt(e) for e in Scale(-3.0, 0.0).edges]
        ['0.001', '0.00316', '0.01', '0.0316', '0.1', '0.316', '1']
        """
        step = (self.hi_exp - self.lo_exp) / self.classes
        return tuple(_power_of_ten(self.lo_exp + i * step) for i in range(self.classes + 1))

    @property
    def labels(self) -> tuple[str, ...]:
        """What a legend calls the edges."""
        return tuple(map(fmt, self.edges))

    @property
    def even(self) -> float | None:
        """The magnitude that has a look of its own as it is on neither side of a two-sided scale;
        None: there are no sides."""
        return None

    def index(self, magnitude: float) -> int:
        """The class of a finite positive magnitude, 0 for the smallest; clamped at both ends.

        >>> Scale(-8.0, 0.0).index(5e-8), Scale(-8.0, 0.0).index(1e9)
        (0, 7)
        """
        share = (math.log10(magnitude) - self.lo_exp) / (self.hi_exp - self.lo_exp)
        return min(max(math.floor(share * self.classes + _SLACK), 0), self.classes - 1)

    def style(self, value: float | None) -> EdgeStyle:
        """The look of `value`; None stands for "no path at all", which is not the same as zero.

        A nonzero magnitude below 10**lo_exp is "below"; one above 10**hi_exp has the top class.

        >>> style = Scale(-8.0, 0.0).style(1e-4)
        >>> style.width, style.dash, style.kind
        (3.04, 'solid', 'normal')
        """
        if value is None:
            return _SPECIAL["disconnected"]
        magnitude = abs(float(value))
        if math.isnan(magnitude):
            return _SPECIAL["nan"]
        if math.isinf(magnitude):
            return _SPECIAL["inf"]
        if magnitude == 0.0:
            return _SPECIAL["zero"]
        if magnitude == self.even:
            return _SPECIAL["even"]
        if math.log10(magnitude) < self.lo_exp - _SLACK:
            return _SPECIAL["below"]
        return self.class_style(self.index(magnitude))

    def look(self, norm: float, kind: Kind) -> EdgeStyle:
        """The look of a measured norm whose kind may know more than the float says.

        A product of nonzero factors that came out as 0.0 did underflow, though `style(0.0)` can
        only call it zero.

        >>> Scale(-8.0, 0.0).look(0.0, "underflow").kind, Scale(-8.0, 0.0).look(1e-9, "normal").kind
        ('underflow', 'below')
        """
        return self.style(norm) if kind == "normal" else _SPECIAL[kind]

    def class_style(self, index: int) -> EdgeStyle:
        """The look of one class, counted from the smallest."""
        share = index / (self.classes - 1)
        color = RAMP[round(share * (len(RAMP) - 1))]
        width = round(_THINNEST + share * (_THICKEST - _THINNEST), 2)
        return EdgeStyle(color, width, "solid", "normal")


@dataclass(frozen=True)
class Ratios(Scale):
    """Ratios from 10**-d to 10**d, in an even number of classes that meet at 1: each side has a hue
    of its own, and what is further from 1 more of it. Its numbers are told in decades.

    Exactly 1 is on neither side.

    >>> Ratios.between([0.5, 2e4]).labels
    ('−5', '−4', '−3', '−2', '−1', '0', '+1', '+2', '+3', '+4', '+5')
    >>> Ratios.between([1.0]).style(1.0).kind
    'even'
    """

    @staticmethod
    def between(ratios: Iterable[float]) -> "Ratios":
        """The scale of some ratios, as far to either side as the furthest that is finite and not 0,
        and two decades at least.

        >>> Ratios.between([1.0]), Ratios.between([1e-13, 10.0])
        (Ratios(lo_exp=-2.0, hi_exp=2.0), Ratios(lo_exp=-15.0, hi_exp=15.0))
        """
        exponents = [abs(math.log10(r)) for r in ratios if 0.0 < r < math.inf]
        most = max(2.0, max(exponents, default=0.0) - _SLACK)
        step = _step_of(most)
        most = step * math.ceil(most / step)
        return Ratios(-most, most)

    @property
    def classes(self) -> int:
        """As many on each side, up to six, each half a decade wide, or whole ones."""
        return 2 * math.ceil(self.hi_exp / _step_of(self.hi_exp) - _SLACK)

    @property
    def even(self) -> float:
        return 1.0

    @property
    def labels(self) -> tuple[str, ...]:
        step, half = _step_of(self.hi_exp), self.classes // 2
        exponents = [step * k for k in range(-half, half + 1)]
        return tuple(f"{e:+.3g}".replace("-", "−") if e else "0" for e in exponents)

    def class_style(self, index: int) -> EdgeStyle:
        half, middle = self.classes // 2, len(SIDES) // 2
        away = half - index if index < half else index - half + 1  # 1 beside the middle
        step = round(1 + (away - 1) / max(half - 1, 1) * (middle - 1))
        color = SIDES[middle - step] if index < half else SIDES[middle - 1 + step]
        width = round(_THINNEST + away / half * (_THICKEST - _THINNEST), 2)
        return EdgeStyle(color, width, "solid", "normal")


def _step_of(decades: float) -> float:
    """How wide each of up to six classes is that reach so many decades."""
    most = len(SIDES) // 2
    return 0.5 if decades <= most / 2 else float(math.ceil(decades / most - _SLACK))


def legend_rows(scale: Scale) -> list[tuple[str, EdgeStyle]]:
    """(label, style) of everything that the scale can show, the largest first, in plain ASCII.

    >>> for label, style in legend_rows(Scale(-12.0, 0.0))[-8:]:
    ...     print(f"{label:24}{style.dash}")
    1e-11 to 1e-10          solid
    1e-12 to 1e-11          solid
    below 1e-12             dashed
    underflow               dashed
    0                       dotted
    not connected           dotted
    nan                     dashed
    inf                     solid
    """
    edges, top = scale.edges, scale.classes - 1
    rows = [(f"{fmt(edges[top])} or more", scale.class_style(top))]
    rows += [
        (f"{fmt(edges[i])} to {fmt(edges[i + 1])}", scale.class_style(i))
        for i in range(top - 1, -1, -1)
    ]
    labels: dict[Kind, str] = {
        "below": f"below {fmt(edges[0])}",
        "underflow": "underflow",
        "zero": "0",
        "disconnected": "not connected",
        "nan": "nan",
        "inf": "inf",
    }
    if scale.even is not None:
        labels["even"] = "as much"
    rows += [(label, _SPECIAL[kind]) for kind, label in labels.items()]
    return rows


def fmt(value: float) -> str:
    """A number in at most 3 significant digits, with an ASCII minus.

    >>> [fmt(x) for x in (1.23456e-05, 0.5, -2.0, 1234.0, 0.0, -0.0)]
    ['1.23e-05', '0.5', '-2', '1.23e+03', '0', '0']
    >>> [fmt(x) for x in (float("nan"), float("-inf"))]
    ['nan', '-inf']
    """
    number = float(value)
    return "0" if number == 0.0 else f"{number:.3g}"


def short(value: float) -> str:
    """A magnitude in as few characters as can be: 2 significant digits from 0.01 on, else 1.

    >>> [short(x) for x in (5.1e-04, 0.0263, 1.0, 123.4, 2.5e6, 0.0, float("inf"))]
    ['5e-4', '0.026', '1', '123', '2e6', '0', 'inf']
    """
    number = float(value)
    if number == 0.0 or not math.isfinite(number):
        return fmt(number)
    if 0.00995 <= number < 9999.5:
        return f"{number:.2g}" if number < 99.5 else f"{number:.0f}"
    digit, exponent = f"{number:.0e}".split("e")
    return f"{digit}e{int(exponent)}"


def _power_of_ten(exponent: float) -> float:
    """10**exponent; whole exponents through their literal, which 10.0**k can miss by one bit."""
    nearest = round(exponent)
    if abs(exponent - nearest) < _SLACK and -323 <= nearest <= 308:
        return float(f"1e{nearest}")
    return math.inf if exponent > 308.25 else math.pow(10.0, exponent)
