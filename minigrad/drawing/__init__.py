"""Pictures of graphs, with measured values on the nodes and measured gradients on the edges.

The package is not called `draw`: that name of minigrad is its function.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from minigrad.drawing.build import make_picture
from minigrad.drawing.diagram import Diagram
from minigrad.drawing.faults import RenderError
from minigrad.drawing.look import Look
from minigrad.drawing.options import LIMIT, Options
from minigrad.drawing.picture import Edge, Node, Picture
from minigrad.drawing.saved import Drawn
from minigrad.drawing.theme import EdgeStyle, Ratios, Scale
from minigrad.errors import GraphError
from minigrad.graph.node import Expr
from minigrad.types import as_number

__all__ = [
    "Diagram",
    "Drawn",
    "Edge",
    "EdgeStyle",
    "Node",
    "Picture",
    "Ratios",
    "RenderError",
    "Scale",
    "draw",
]


def draw(
    y: Expr | Sequence[Expr],
    at: Mapping[Any, Any] | None = None,
    grad: bool = False,
    *,
    names: Mapping[Expr, str] | None = None,
    groups: Mapping[str, Iterable[Expr]] | None = None,
    lanes: Mapping[str, Iterable[Expr]] | None = None,
    inline: Iterable[Expr] = (),
    places: Mapping[Expr, tuple[float, float]] | None = None,
    bends: Mapping[tuple[Expr, Expr], Sequence[tuple[float, float]]] | None = None,
    shapes: bool = True,
    scale: Scale | None = None,
    direction: str = "LR",
    limit: int | None = LIMIT,
    title: str | None = None,
    loops: str | int = "rolled",
    fold: bool = True,
    pin: Iterable[int] = (),
    theme: str | None = None,
    dpi: float | None = None,
    width: float | None = None,
    size: str | None = None,
    timeout: float = 60.0,
) -> Diagram:
    """Draw the graph of an expression; the result saves itself, and shows itself in a notebook.

    at: {variable or its name: value}; every node then shows its value.
    grad: every node shows its adjoint ∂y/∂node, and every edge is coloured and weighted by its own
        term of it, by 2-norm, so that a node's adjoint is the sum of the terms on its way out. For
        y that is no scalar the cotangent is all ones. Needs `at` where y has free variables.
    names: names to show, before those that the nodes have.
    groups: {title: nodes}, drawn as one box each; a group whose nodes are all in a larger one lies
        in it, and two that overlap otherwise are refused.
    lanes: {key: nodes} to lay out along one straight line, such as a state over time; a node lies
        on one line only.
    places: {node: (x, y)} in points, y downwards, for a layout of your own; it is used where every
        node that is drawn has a place. Columns are moved apart as far as the boxes in them ask for,
        and arrows go around boxes; one that would have to pass some hundred of them, or comes after
        many such arrows, stays straight.
    bends: {(node, user): [(x, y), …]}, the corners of an arrow from a node to what uses it, in a
        layout of your own.
    shapes: write the shapes of tensors beside their values (they are in the tooltips anyway).
    inline: leaves to write into the ops that use them, as constants always are. Other leaves with
        more than four uses are drawn beside each, and the caption has their gradients.
    scale: the colour scale; share one to compare pictures. By default it covers what is drawn.
    direction: "LR" (left to right), "TB", "RL" or "BT".
    limit: pictures with more nodes are refused; None draws any.
    loops: "rolled": a loop is a box with its body inside and an arrow back for each carry; what
        lies in it shows the step where its norm is largest, and min, median and max of all steps
        in its tooltip. "folded": a loop is one node, with the gradient of each carry step by step.
        k: the first k steps that run are written out, the rest is one node.
    fold: chains of more than eight equal steps of four ops or more, such as an unrolled loop, are
        drawn with one node a step, and chains of more than 30 equal steps with one for many: the
        first, the last and remarkable ones stay.
        Not where groups, lanes or places are given. False draws every op.
    pin: steps, counted from 1, that are not folded away with others.
    theme: "light", "dark", or "auto", which follows the page around it, by its `color-scheme`, and
        as a file of its own the reader's; by default files are light, and what a notebook shows is
        "auto". There nodes with numbers take the focus, and then show them.
    dpi: dots per inch of a PNG, 96 by default; SVG and PDF have no dots.
    width: that of the picture in pixels, of a PDF at 96 an inch. A PNG with text that nobody can
        read is refused with what is large enough.
    size: "slide" is for 1920 x 1080 pixels: fewer words, no caption, params written into what uses
        them, and no text under 12 pixels, or RenderError says what helps.
    timeout: seconds that Graphviz may take for one format.

    All numbers come from one compiled function of the graph as it is drawn. Tensors of up to four
    elements show them, larger ones their range and the norm of their gradient. Broadcasts are not
    drawn; their edge shows the term that arrives at the source. Loops are measured by the loops
    that train: nothing is unrolled. Raises GraphError, also for an option that speaks of nodes
    which the graph has not; DTypeError for an option of another kind.

    >>> import minigrad as mg
    >>> x = mg.var("x")
    >>> picture = mg.draw(x * x + 1.0, at={x: 3.0}, grad=True)
    >>> print(picture.description)
    Gradients of x * x + 1: 3 nodes, 3 edges
      x, value 3, adjoint 6
      · + 1, value 10, adjoint 1
    """
    if not as_number(timeout, "timeout") > 0:
        raise GraphError(f"timeout is a number of seconds above 0, not {timeout}")
    options = Options(
        names={} if names is None else names,
        groups={} if groups is None else groups,
        lanes={} if lanes is None else lanes,
        places={} if places is None else places,
        bends={} if bends is None else bends,
        shapes=shapes,
        inline=inline,
        scale=scale,
        direction=direction,
        limit=limit,
        title=title,
        loops=loops,
        fold=fold,
        pin=pin,
        is_slide=size == "slide",
    )
    look = Look.checked(theme, dpi, width, size)
    return Diagram.of(make_picture(y, at, grad, options), timeout, look)
