"""Charts of magnitudes, by matplotlib: `ax=` in, `ax` out, on one locked scale that they share.

They take arrays, labels and kinds, and know nothing of graphs. This is `mg.charts`; it is loaded,
and matplotlib with it, when it is first asked for.
"""

from minigrad.drawing.charts.key import kinds_in, legend, legend_height
from minigrad.drawing.charts.linear import band, bars, waterfall
from minigrad.drawing.charts.looks import BINS, Curve, Floats, Rows, bins, decades, scale_of, ticks
from minigrad.drawing.charts.maps import heat_map, triangle
from minigrad.drawing.charts.series import curves, strip, strips
from minigrad.drawing.charts.sheet import Chart, Sheet, Theme, drawn_in, style

__all__ = [
    "BINS",
    "Chart",
    "Curve",
    "Floats",
    "Rows",
    "Sheet",
    "Theme",
    "band",
    "bars",
    "bins",
    "curves",
    "decades",
    "drawn_in",
    "heat_map",
    "kinds_in",
    "legend",
    "legend_height",
    "scale_of",
    "strip",
    "strips",
    "style",
    "ticks",
    "triangle",
    "waterfall",
]
