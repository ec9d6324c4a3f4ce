"""The colour scale: locked, ordered, visible on both backgrounds, and never by colour alone."""

import itertools
import math

import pytest

from minigrad.drawing import theme
from minigrad.drawing.palette import RAMP, contrast, text_on
from minigrad.drawing.theme import Scale, fmt, legend_rows, special_style

WHITE, DARK = "#ffffff", "#1e1e1e"


def _all_styles() -> list[theme.EdgeStyle]:
    return [style for _, style in legend_rows(Scale(-12.0, 0.0))]


@pytest.mark.parametrize("style", _all_styles(), ids=lambda s: f"{s.kind}-{s.color}")
def test_every_line_is_visible_on_white_and_on_dark(style: theme.EdgeStyle) -> None:
    assert contrast(style.color, WHITE) >= 3.0
    assert contrast(style.color, DARK) >= 3.0


@pytest.mark.parametrize("style", _all_styles(), ids=lambda s: f"{s.kind}-{s.color}")
def test_text_on_every_fill_is_readable(style: theme.EdgeStyle) -> None:
    assert contrast(text_on(style.color), style.color) >= 4.5


def test_the_ramp_rises_in_lightness_and_from_blue_to_yellow() -> None:
    lightness = [contrast("#000000", color) for color in RAMP]
    yellow = [int(c[1:3], 16) + int(c[3:5], 16) - 2 * int(c[5:7], 16) for c in RAMP]
    assert lightness == sorted(lightness)
    assert yellow == sorted(yellow)
    assert len(set(RAMP)) == len(RAMP)


# What a red cone or a green cone less makes of linear RGB (Viénot, Brettel and Mollon 1999).
PROTAN = ((0.11238, 0.88762, 0.0), (0.11238, 0.88762, 0.0), (0.00401, -0.00401, 1.0))
DEUTAN = ((0.29275, 0.70725, 0.0), (0.29275, 0.70725, 0.0), (-0.02234, 0.02234, 1.0))


@pytest.mark.parametrize("eye", [PROTAN, DEUTAN], ids=["protan", "deutan"])
def test_colour_blind_eyes_see_the_same_order(eye: tuple[tuple[float, ...], ...]) -> None:
    def blue_to_yellow(color: str) -> float:
        rgb = [(int(color[i : i + 2], 16) / 255) ** 2.2 for i in (1, 3, 5)]
        red, green, blue = (sum(m * c for m, c in zip(row, rgb, strict=True)) for row in eye)
        return float(red + green - 2 * blue)

    seen = [blue_to_yellow(color) for color in RAMP]
    steps = [after - before for before, after in itertools.pairwise(seen)]
    assert min(steps) > 0.02


def test_kinds_differ_without_colour() -> None:
    scale = Scale(-12.0, 0.0)
    normal = [scale.class_style(i) for i in (0, scale.classes - 1)]
    special = [style for _, style in legend_rows(scale) if style.kind != "normal"]
    assert {s.kind for s in special} == {"below", "zero", "underflow", "disconnected", "nan", "inf"}
    for one, other in itertools.combinations(special, 2):
        ratio = max(one.width, other.width) / min(one.width, other.width)
        assert one.dash != other.dash or ratio >= 2.0
    for style in special:
        if style.dash == "solid":
            assert style.width > 1.4 * max(n.width for n in normal)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (None, "disconnected"),
        (0.0, "zero"),
        (-0.0, "zero"),
        (math.nan, "nan"),
        (math.inf, "inf"),
        (-math.inf, "inf"),
        (9e-7, "below"),
        (5e-324, "below"),
        (1e-6, "normal"),
        (-0.1, "normal"),
        (1e300, "normal"),
    ],
)
def test_kind_of_a_value(value: float | None, kind: str) -> None:
    assert Scale(-6.0, 0.0).style(value).kind == kind


@pytest.mark.parametrize("span", range(1, 21))
def test_color_and_width_never_fall_with_the_magnitude(span: int) -> None:
    scale = Scale(-float(span), 0.0)
    styles = [scale.style(10.0 ** (-span * (1 - i / 200))) for i in range(201)]
    places = [RAMP.index(s.color) for s in styles]
    assert places == sorted(places)
    assert [s.width for s in styles] == sorted(s.width for s in styles)
    assert len({s.color for s in styles}) == len({s.width for s in styles}) == scale.classes
    assert 6 <= scale.classes <= 12
    assert places[0] == 0 and places[-1] == len(RAMP) - 1


@pytest.mark.parametrize("exponent", range(-12, 1))
def test_a_power_of_ten_belongs_to_the_class_above_it(exponent: int) -> None:
    scale = Scale(-12.0, 0.0)
    assert scale.index(float(f"1e{exponent}")) == min(exponent + 12, 11)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], (-6.0, 0.0)),
        ([0.0, None, math.nan, math.inf], (-6.0, 0.0)),
        ([1.0], (-2.0, 1.0)),
        ([0.03, 0.03], (-3.0, 0.0)),
        ([-2e-7, 3e-2], (-7.0, -1.0)),
        ([1e-6, 1.0], (-6.0, 0.0)),
        ([5e-5, 0.3], (-5.0, 0.0)),
        ([2e-5, 0.2], (-5.0, 0.0)),
        ([1.01e-5, 1.01], (-5.0, 1.0)),
        ([9.9e-6, 0.99], (-6.0, 0.0)),
        ([1e-30, 1e-1, 0.5], (-12.0, 0.0)),
        ([1e250, 1e-250], (238.0, 250.0)),
        ([5e-324], (-323.0, -322.0)),
        ([1.7e308], (307.0, 310.0)),
    ],
)
def test_scale_of_values(values: list[float | None], expected: tuple[float, float]) -> None:
    scale = Scale.of(values)
    assert (scale.lo_exp, scale.hi_exp) == expected
    legend_rows(scale)
    for value in values:
        scale.style(value)


def test_scale_of_takes_any_iterable_once() -> None:
    assert Scale.of(10.0**-k for k in range(5)) == Scale(-4.0, 0.0)


@pytest.mark.parametrize("ends", [(0.0, 0.0), (1.0, 0.0), (math.nan, 0.0), (-math.inf, 0.0)])
def test_a_scale_without_width_is_refused(ends: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match=r"Scale\("):
        Scale(*ends)


def test_legend_covers_what_style_can_return() -> None:
    scale = Scale(-5.0, 1.0)
    rows = legend_rows(scale)
    shown = {style for _, style in rows}
    probes = [10.0**e for e in range(-8, 5)]
    assert {scale.style(v) for v in [None, 0.0, math.nan, math.inf, *probes]} <= shown
    assert len({label for label, _ in rows}) == len(rows)
    assert all(label.isascii() for label, _ in rows)


def test_special_style_is_what_style_returns() -> None:
    assert special_style("zero") == Scale(-6.0, 0.0).style(0.0)
    assert special_style("disconnected") == Scale(-6.0, 0.0).style(None)


def test_dasharray_follows_the_dash() -> None:
    assert special_style("inf").dasharray == "none"
    assert special_style("zero").dasharray == "2 5"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.2345e-5, "1.23e-05"),
        (-0.125, "-0.125"),
        (0.0, "0"),
        (-0.0, "0"),
        (999.9, "1e+03"),
        (math.nan, "nan"),
        (math.inf, "inf"),
        (-math.inf, "-inf"),
    ],
)
def test_fmt(value: float, text: str) -> None:
    assert fmt(value) == text


@pytest.mark.parametrize("bad", ["blue", "#fff", "#12345g", "", "#+12345", "1234567"])
def test_text_on_refuses_what_is_no_colour(bad: str) -> None:
    with pytest.raises(ValueError, match="#rrggbb"):
        text_on(bad)
