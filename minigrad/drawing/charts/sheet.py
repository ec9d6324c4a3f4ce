"""Figures of matplotlib: the style that charts have, axes of their own, and files of all formats.

No figure here belongs to pyplot, so that none stays open and none is shown twice.
"""

from __future__ import annotations

import hashlib
import io
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import cached_property
from textwrap import wrap
from typing import Any, Literal

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.rcsetup import cycler
from matplotlib.transforms import Bbox

from minigrad.drawing.charts.lent_fonts import lent_fonts
from minigrad.drawing.charts.looks import ticks
from minigrad.drawing.charts.marks import Pieces, Stretches
from minigrad.drawing.charts.svg_text import finish_chart
from minigrad.drawing.escape import plain
from minigrad.drawing.fonts import missing_in, warn_of_boxes
from minigrad.drawing.palette import CURVES, DARK, LIGHT, contrast
from minigrad.drawing.saved import XML, Drawn
from minigrad.errors import GraphError

Theme = Literal["light", "dark", "auto"]
DPI = 144.0
TIME = "time step t (← the gradient flows back)"
_INCH = 72.0
_KEY = "key"
_LETTER = 0.55  # the width of a letter, in its size: the mean of our font
_LABELS = 4.6  # the height of an axis's numbers and name, in the size of their letters
_NO_LABELS = 10.0  # points between a key and axes that have none there
NAMED = 240.0
"""The name of narrower axes may take two lines."""


def style(theme: Theme = "light") -> dict[str, Any]:
    """The palette as a style of matplotlib: `with plt.rc_context(style("dark")): ...`.

    "auto" is light, and what `Chart.svg` makes of it follows the reader's colour scheme. Raises
    GraphError for another name.

    >>> style("dark")["figure.facecolor"] == DARK["page"], style()["text.color"] == LIGHT["ink"]
    (True, True)
    """
    if theme not in ("light", "dark", "auto"):
        raise GraphError(f'theme must be "light", "dark" or "auto", not {theme!r:.40}')
    dress = DARK if theme == "dark" else LIGHT
    return {
        **dict.fromkeys(["figure.facecolor", "axes.facecolor", "savefig.facecolor"], dress["page"]),
        **dict.fromkeys(["text.color", "axes.titlecolor"], dress["ink"]),
        **dict.fromkeys(["xtick.color", "ytick.color", "axes.labelcolor"], dress["muted"]),
        **dict.fromkeys(["axes.edgecolor", "grid.color", "legend.edgecolor"], dress["faint"]),
        **dict.fromkeys(["axes.spines.top", "axes.spines.right"], False),
        **dict.fromkeys(["font.size", "axes.labelsize", "xtick.labelsize"], 9.5),
        "ytick.labelsize": 9.5,
        "axes.titlesize": 12.0,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "grid.linewidth": 0.6,
        "axes.prop_cycle": cycler(color=[dress[name] for name in CURVES]),
    }


def curve_color(k: int) -> str:
    """The colour of the k-th curve, from 0, in the style in which it is asked for; matplotlib asks
    for "C0" where it draws, which may be in another.

    >>> with mpl.rc_context(style("dark")):
    ...     curve_color(0) == DARK["curve1"]
    True
    """
    return to_hex(f"C{k}")


def focus_color(ax: Axes) -> str:
    """The palette's colour of what is looked at, on the ground of axes of whatever style.

    >>> with mpl.rc_context(style("dark")):
    ...     focus_color(own_axes(100, 100)) == DARK["focus"]
    True
    """
    page = to_hex(ax.get_facecolor())
    return max((LIGHT["focus"], DARK["focus"]), key=lambda color: contrast(color, page))


def drawn_in(theme: Theme) -> AbstractContextManager[None]:
    """A context in which figures are made in the style of a theme.

    Titles keep their place: nothing stands above axes there, which looking for takes matplotlib a
    twentieth of the time that it draws.
    """
    parameters: Any = style(theme) | {"axes.titley": 1.0}
    return mpl.rc_context(parameters)


def _whole(ax: Any) -> Figure:
    """The figure that axes are on, around all subfigures: asked so that matplotlib 3.9 answers."""
    figure: Figure = ax.figure.figure
    return figure


class ShownAxes(Axes):
    """Axes of a figure that nobody else shows: a notebook shows what they are on."""

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        figure = _whole(self)
        title = self.get_title("left") or self.get_title()
        return Chart(figure, title=title, description=title)._repr_mimebundle_()


def own_axes(width: float, height: float) -> Axes:
    """Axes on a new figure of a size in points; matplotlib's constrained layout places them."""
    figure = Figure(figsize=(width / _INCH, height / _INCH), layout="constrained")
    return figure.add_subplot(axes_class=ShownAxes)


def points_of(ax: Axes) -> tuple[float, float]:
    """The width and the height of axes in points, as they lie now."""
    figure = _whole(ax)
    box = ax.get_window_extent()
    return box.width * _INCH / figure.dpi, box.height * _INCH / figure.dpi


class _Above:
    """Where axes lie that leave some of their place, at its bottom, to a key: as much as the most
    of those beside them in a grid, so that all end at one height."""

    def __init__(self, ax: Axes, key: float, labels: float) -> None:
        self.ax, self.key, self.labels = ax, key, labels
        """key, labels: their heights, in points."""
        at: Any = ax.get_axes_locator()
        self.base: Any = at.base if isinstance(at, _Above) else at

    def get_subplotspec(self) -> Any:
        """Where the axes are in a grid, for `Figure.tight_layout`, which asks their locator."""
        return self.ax.get_subplotspec()

    def whole(self, renderer: Any) -> Any:
        """The place of both."""
        return self.base(self.ax, renderer) if self.base else self.ax.get_position(original=True)

    @property
    def taken(self) -> float:
        """What it needs by itself: a map without an axis below it has no labels there."""
        below = self.ax.axison and self.ax.xaxis.get_label_position() == "bottom"
        return self.key + (self.labels if below else _NO_LABELS)

    def in_its_row(self) -> Iterator[_Above]:
        """It, and those beside it."""
        spec = self.get_subplotspec()
        for ax in self.ax.figure.axes if spec else [self.ax]:
            at, other = ax.get_axes_locator(), ax.get_subplotspec()
            if at is self or (
                isinstance(at, _Above)
                and other is not None
                and other.get_gridspec() is spec.get_gridspec()
                and other.rowspan == spec.rowspan
            ):
                yield at

    def __call__(self, _: Any, renderer: Any) -> Any:
        box, (_, high) = self.whole(renderer), _size_around(self.ax)
        most = max(at.taken for at in self.in_its_row())
        taken = min(most / high, 0.75 * box.height)  # something stays of axes however low
        return Bbox.from_extents(box.x0, box.y0 + taken, box.x1, box.y1)


def _size_around(ax: Any) -> tuple[float, float]:
    """The width and the height of the figure that axes are on, in points."""
    figure = ax.figure
    return figure.bbox.width * _INCH / figure.dpi, figure.bbox.height * _INCH / figure.dpi


def share_place(ax: Axes, height: float, width: float) -> Axes:
    """Axes of a size in points for a key of others, beneath their labels, in the place that those
    had alone: whatever lays a figure out need not know of it. A key that they had goes."""
    for former in [child for child in ax.child_axes if child.get_label() == _KEY]:
        former.remove()
    size = float(ax.xaxis.label.get_fontsize())
    labels = (_LABELS if points_of(ax)[0] > NAMED else _LABELS + 1.4) * size
    above = _Above(ax, height, labels)
    ax.set_axes_locator(above)
    key = ax.inset_axes((0.0, 0.0, 1.0, 1.0), label=_KEY)

    def beneath(_: Any, renderer: Any) -> Any:
        box, (wide, high) = above.whole(renderer), _size_around(ax)
        lift = max(at.key for at in above.in_its_row()) - height  # keys begin at one height, too
        return Bbox.from_bounds(box.x0, box.y0 + lift / high, width / wide, height / high)

    key.set_axes_locator(beneath)
    ax.apply_aspect(above(ax, None))
    return key


def fitted(ax: Axes, words: str, size: float) -> str:
    """Words in lines that are no wider than axes, in letters of a size in points."""
    room = max(int(points_of(ax)[0] / (_LETTER * size)), 8)
    return "\n".join(wrap(plain(words), room, replace_whitespace=False))


def set_title(ax: Axes, words: str, above: float = 0.0) -> None:
    """A title in lines that are no wider than the axes; none leaves that which they have. above:
    the height in points of what stands between, which matplotlib looks for only where no style says
    where titles are."""
    if words:
        bold = 1.1 if mpl.rcParams["axes.titleweight"] == "bold" else 1.0
        size = bold * float(ax.title.get_fontsize())
        is_placed: Any = mpl.rcParams["axes.titley"]
        pad = mpl.rcParams["axes.titlepad"] + (0.0 if is_placed is None else above)
        ax.set_title(fitted(ax, words, size), parse_math=False, pad=pad)


def set_names(ax: Axes, lines: Sequence[Any], names: Sequence[str]) -> None:
    """What curves are called, in a row between the axes and the title that they have."""
    said = ax.legend(
        lines, [plain(name) for name in names], loc="lower right", bbox_to_anchor=(1.0, 1.0),
        ncols=len(names), frameon=False, borderaxespad=0.0,
    )  # fmt: skip
    size = float(said.get_texts()[0].get_fontsize())
    place: Any = mpl.rcParams["axes.titlelocation"]
    words, pad = ax.get_title(place), float(mpl.rcParams["axes.titlepad"])
    ax.set_title(words, loc=place, parse_math=False, pad=pad + 2.0 * size)


def set_time(ax: Axes, steps: int, label: str = TIME) -> None:
    """An axis of steps t = 1 … T, each of them as wide as its part of a strip."""
    ax.set_xlim(0.5, steps + 0.5)
    ax.set_xticks(ticks(steps), [str(t) for t in ticks(steps)])
    set_name(ax, label)


def set_name(ax: Axes, words: str) -> None:
    """What the horizontal axis counts, in lines that are no wider than it."""
    ax.set_xlabel(fitted(ax, words, float(ax.xaxis.label.get_fontsize())), parse_math=False)


class Sheet:
    """A figure of a size in points, on which axes are put at places from its top left corner."""

    def __init__(self, width: float, height: float) -> None:
        self.width, self.height = width, height
        self.figure = Figure(figsize=(width / _INCH, height / _INCH))

    def axes(self, left: float, top: float, width: float, height: float) -> Axes:
        """Axes of a size in points whose top left corner is there."""
        bottom = self.height - top - height
        shares = left / self.width, bottom / self.height, width / self.width, height / self.height
        return self.figure.add_axes(shares)

    def text(self, x: float, y: float, words: str, **options: Any) -> None:
        """Words as they are, whose left end is x, and whose upper edge is y."""
        place = x / self.width, 1.0 - y / self.height
        self.figure.text(*place, plain(words), parse_math=False, va="top", **options)


class Chart(Drawn):
    """A finished figure: matplotlib's, with a title, a description, and a file of each format.

    `svg` (text with real letters, ids of its own, and numbers where one points), `png` and `pdf`
    are made once, when first read. `figure` may be changed before.

    >>> chart = Chart(own_axes(200, 100).figure, title="t", description="d")
    >>> chart.png[:4], chart.pdf[:5], chart.svg[:4]
    (b'\\x89PNG', b'%PDF-', '<svg')
    """

    def __init__(
        self, figure: Any, *, title: str, description: str, theme: Theme = "auto", prefix: str = ""
    ) -> None:
        super().__init__(title, description)
        self.figure: Figure = figure
        self.theme = theme
        self._boxes = ""  # characters without a shape, which were warned of
        told = f"{self.title}\0{self.description}".encode(errors="replace")
        self.prefix = prefix or f"mg{hashlib.blake2b(told, digest_size=4).hexdigest()}"

    @cached_property
    def svg(self) -> str:
        """The picture as an SVG document for a page, within reach of the keyboard and of a finger;
        of the theme "auto" it follows the reader's scheme."""
        return self._finished(DARK if self.theme == "dark" else LIGHT)

    def _finished(self, reach: Mapping[str, str] | None = None) -> str:
        svg, hints = self._raw
        said: Any = {"title": self.title, "description": self.description, "prefix": self.prefix}
        return finish_chart(svg, hints, **said, dark=self.theme == "auto", reach=reach)

    @cached_property
    def _raw(self) -> tuple[bytes, dict[str, Sequence[str]]]:
        """matplotlib's SVG, and by the ids of its groups what their shapes tell."""
        told = list(_told(self.figure))
        named = [(a, a.get_gid()) for a in told]
        for k, artist in enumerate(told):
            artist.set_gid(f"told{k}")
        try:
            svg = self._saved("svg", metadata={"Date": None, "Creator": None})
        finally:
            for artist, name in named:
                artist.set_gid(name)
        return svg, {f"told{k}": artist.hints for k, artist in enumerate(told)}

    @cached_property
    def png(self) -> bytes:
        """The picture as a PNG file of 144 dots an inch; `bitmap` makes others."""
        return self.bitmap()

    def bitmap(self, dpi: float = DPI) -> bytes:
        """The picture as a PNG file of so many dots an inch."""
        return self._saved("png", dpi, metadata={"Software": None})

    @cached_property
    def pdf(self) -> bytes:
        """The picture as a PDF file."""
        return self._saved("pdf", metadata={"CreationDate": None, "Title": self.title})

    def formats(self) -> dict[str, Callable[[], bytes]]:
        """How each file format is made."""
        return {
            "svg": lambda: (XML + self._finished()).encode(),
            "png": lambda: self.png,
            "pdf": lambda: self.pdf,
        }

    def _saved(self, format: str, dpi: float = DPI, **options: Any) -> bytes:
        """The figure in a format, the same each time, and itself as it was. An SVG's viewer has the
        system's fonts; else they are lent where matplotlib's own have no shape."""
        made, missing = self._drawn(format, dpi, 42, options)
        if format == "svg":
            self._warn(missing_in([missing]))
        elif missing:
            with lent_fonts(self.figure, missing) as left:
                if left != missing:  # type 3 takes outlines of any kind
                    made, _ = self._drawn(format, dpi, 3, options)
            self._warn([*left])
        return made

    def _drawn(
        self, format: str, dpi: float, fonttype: int, options: Mapping[str, Any]
    ) -> tuple[bytes, str]:
        """The figure in a format, and the characters that are boxes in it."""
        # matplotlib's savefig draws it twice: once more to look at, which takes as long.
        file, canvas, dots = io.BytesIO(), self.figure.canvas, self.figure.dpi
        same: Any = {"svg.fonttype": "none", "svg.hashsalt": self.prefix, "pdf.fonttype": fonttype}
        same["path.simplify"] = False  # each number is a point
        same["image.composite_image"] = False  # several would be one, as large as the axes
        try:
            self.figure.dpi = dpi
            with mpl.rc_context(same), warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                getattr(_canvas(format)(self.figure), f"print_{format}")(file, **options)
        finally:
            self.figure.dpi = dots
            self.figure.set_canvas(canvas)
        return file.getvalue(), _boxes(caught)

    def _warn(self, missing: Sequence[str]) -> None:
        """Warn of characters without a shape once, and as a graph does."""
        unknown = [c for c in missing if c not in self._boxes]
        self._boxes += "".join(unknown)
        warn_of_boxes(unknown, outlines=True)


def _boxes(caught: Iterable[warnings.WarningMessage]) -> str:
    """The characters, each once, of which matplotlib warned that its fonts have no shape; what else
    it warned of is passed on."""
    missing: dict[str, None] = {}
    for warning in caught:
        glyph = re.match(r"Glyph (\d+) .*missing", str(warning.message))
        if glyph is None:
            at = warning.filename, warning.lineno
            warnings.warn_explicit(warning.message, warning.category, *at)
        else:
            missing[chr(int(glyph[1]))] = None
    return "".join(missing)


def _canvas(format: str) -> Any:
    """What draws a figure in a format."""
    if format == "pdf":  # what subsets its fonts takes as long to load as all else here
        from matplotlib.backends.backend_pdf import FigureCanvasPdf

        return FigureCanvasPdf
    return FigureCanvasSVG if format == "svg" else FigureCanvasAgg


def _told(figure: Figure) -> Iterator[Stretches | Pieces]:
    """What tells something to who points at it. `Figure.findobj` would make every tick, of hidden
    axes too."""
    waiting: list[Any] = [*figure.axes]
    for ax in waiting:  # grows while it is read
        waiting += ax.child_axes
        yield from (a for a in ax.collections if isinstance(a, Stretches | Pieces) and a.hints)
