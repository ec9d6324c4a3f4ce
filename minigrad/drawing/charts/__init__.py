"""Charts of magnitudes, by matplotlib: `ax=` in, `ax` out, on one locked scale that they share.

They take arrays, labels and kinds, and know nothing of graphs. This is `mg.charts`; it is loaded,
and matplotlib with it, when it is first asked for.
"""

from minigrad.drawing.charts.key import (
    Key,
    axes_with_key,
    kinds_in,
    legend,
    legend_height,
    marks_in,
)
from minigrad.drawing.charts.linear import (
    BAND,
    WON,
    band,
    bars,
    difference,
    difference_caption,
    difference_kinds,
    waterfall,
)
from minigrad.drawing.charts.looks import (
    BINS,
    Curve,
    Floats,
    Mark,
    Rows,
    bins,
    decades,
    kinds_of,
    scale_of,
    ticks,
)
from minigrad.drawing.charts.maps import heat_map, triangle
from minigrad.drawing.charts.marks import add_boxes, add_lines
from minigrad.drawing.charts.series import ROW, curves, strip, strips
from minigrad.drawing.charts.shares import share_style, shares
from minigrad.drawing.charts.sheet import (
    Chart,
    Sheet,
    Theme,
    curve_color,
    drawn_in,
    focus_color,
    own_axes,
    points_of,
    set_name,
    set_names,
    set_title,
    style,
)
from minigrad.drawing.charts.veils import veiled, veiled_height

__all__ = [
    "BAND",
    "BINS",
    "ROW",
    "WON",
    "Chart",
    "Curve",
    "Floats",
    "Key",
    "Mark",
    "Rows",
    "Sheet",
    "Theme",
    "add_boxes",
    "add_lines",
    "axes_with_key",
    "band",
    "bars",
    "bins",
    "curve_color",
    "curves",
    "decades",
    "difference",
    "difference_caption",
    "difference_kinds",
    "drawn_in",
    "focus_color",
    "heat_map",
    "kinds_in",
    "kinds_of",
    "legend",
    "legend_height",
    "marks_in",
    "own_axes",
    "points_of",
    "scale_of",
    "set_name",
    "set_names",
    "set_title",
    "share_style",
    "shares",
    "strip",
    "strips",
    "style",
    "ticks",
    "triangle",
    "veiled",
    "veiled_height",
    "waterfall",
]
