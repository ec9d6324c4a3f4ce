"""How a picture is made: a graph outlined, measured, and put into words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from minigrad.drawing.chain import LEAST, Chain, chain_of
from minigrad.drawing.folding import Folded, fold, sums_of
from minigrad.drawing.frames import Frames
from minigrad.drawing.measure import Measured, measure
from minigrad.drawing.options import (
    Options,
    check_bindings,
    check_nodes,
    check_options,
    of_other_nodes,
)
from minigrad.drawing.outline import Outline, Vertex, all_nodes, outline, with_copies
from minigrad.drawing.parts import Parts
from minigrad.drawing.picture import Picture
from minigrad.drawing.unrolling import Unrolled
from minigrad.drawing.words import Builder
from minigrad.errors import DTypeError, GraphError
from minigrad.graph.leaves import PARAM, VAR
from minigrad.graph.node import Expr
from minigrad.graph.walk import free_variables, toposort
from minigrad.ops.index import GETITEM

HURRIED, REFUSED = 4_000, 100_000
"""Ranks that arrows pass, of a picture that is laid out in a hurry, and of one that is refused.
Graphviz took 8 s for 6,000, a minute for 26,000; in a hurry 2 s for these, 11 s for 170,000."""


def make_picture(y: Any, at: Mapping[Any, Any] | None, grad: bool, options: Options) -> Picture:
    """Measure a graph and put it into words. Raises GraphError, or what the evaluation raises."""
    roots = list(y) if isinstance(y, (list, tuple)) else [y]
    _check(roots, at, grad)
    options = check_options(options)
    check_nodes(options, all_nodes(roots))
    if at is not None:
        check_bindings(at, roots)
    titles: Mapping[Expr, str] = {}
    if isinstance(options.loops, int):
        roots, unrolled = Unrolled.of(roots, options.loops)
        options, titles = of_other_nodes(options, unrolled.new, unrolled.steps), unrolled.rest
        names = {**unrolled.names, **options.names}
        options = replace(options, names=names, lines=unrolled.lines)
    order = toposort(roots)
    if options.is_slide:
        options = replace(options, inline=[*options.inline, *_written_on_slides(roots, order)])
    parts = Parts(roots, options.inline, options.names)
    whole = outline(roots, order, parts, lambda n: options.loops != "folded" and n not in titles)
    frames = Frames(options, order, whole)
    drawn = with_copies(whole, frames.box_of, frames.spoken_of | {Vertex((), r) for r in roots})
    chain = chain_of(whole) if _may_fold(options, whole) else None
    _check_pinned(options, chain)
    if chain is None:
        _check_size(Folded(drawn, Measured({}, {}, {}, {}), {}, ()), options)
    numbers = Measured({}, {}, {}, {})
    if at is not None or grad:
        numbers = measure(roots, at or {}, grad, drawn, sums_of(chain, drawn) if chain else ())
    folded = fold(chain, drawn, numbers, options.pin) if chain else Folded(drawn, numbers, {}, ())
    span = _check_size(folded, options)
    builder = Builder(roots, folded, frames, parts, options, grad, titles)
    return builder.picture(is_hurried=span > HURRIED)


def _written_on_slides(roots: Sequence[Expr], order: Sequence[Expr]) -> list[Expr]:
    """Params, and variables of which only rows are read, step by step."""
    whole = {a for n in order if n.op is not GETITEM and n.op.inside is None for a in n.args}
    rows = [n for n in order if n.op is VAR and n not in whole]
    return [n for n in (*rows, *(n for n in order if n.op is PARAM)) if n not in {*roots}]


def _may_fold(options: Options, drawn: Outline) -> bool:
    """Whether steps may be folded that are found: not where the caller has arranged nodes."""
    arranged = options.groups or options.lanes or options.places
    return options.fold and not arranged and not drawn.levels and not drawn.folded


def _check_pinned(options: Options, chain: Chain | None) -> None:
    """Raise GraphError for steps that are not there."""
    steps = chain.count if chain is not None else 0
    wrong = [step for step in options.pin if not 1 <= step <= steps]
    if wrong and (chain is not None or options.fold):
        there = f"the picture has steps 1 to {steps:,}" if chain else "no steps are folded here"
        raise GraphError(
            f"pin= names step {wrong[0]}, but {there}; it is for chains of more than {LEAST - 1} "
            "equal steps, written out and not arranged by groups, lanes or places"
        )


def _check(roots: Sequence[Expr], at: Mapping[Any, Any] | None, grad: bool) -> None:
    if not roots or not all(isinstance(r, Expr) for r in roots):
        wrong = next((r for r in roots if not isinstance(r, Expr)), roots)
        raise DTypeError(f"draw needs an expression or a list of them, not {wrong!r:.60}")
    if grad and len(roots) > 1:
        raise GraphError(
            "draw(grad=True) shows the gradient of one expression; draw them one by one"
        )
    if grad and at is None and (free := free_variables(roots)):
        names = ", ".join(str(v.name) for v in free[:5])
        raise GraphError(
            f"draw(grad=True) shows measured gradients, so it needs values for {names}: "
            "pass at={x: value, ...}"
        )


def _check_size(folded: Folded, options: Options) -> int:
    """The ranks that arrows pass. Raises GraphError for more nodes or ranks than can be drawn."""
    count, limit = len(folded.drawn.vertices), options.limit
    span = 0 if options.places else folded.span
    if limit is None:
        return span
    if count > limit:
        raise GraphError(
            f"this graph has {count:,} nodes, and nobody can read a picture of more than "
            f"{limit:,}. Draw an inner expression, fewer steps of an unrolled loop, or a loop that "
            "mg.scan has left rolled; str(y) and mg.adjoints(y) take any size; "
            "mg.draw(..., limit=None) draws everything"
        )
    if span > REFUSED:
        raise GraphError(
            f"the arrows of this graph, of {count:,} nodes, pass {span:,} ranks, and no more than "
            f"{REFUSED:,} can be laid out in seconds: much of what is made early is read late. "
            "Draw an inner expression or fewer steps, or write far-reaching leaves into what uses "
            "them with inline=; mg.draw(..., limit=None) draws everything, in minutes"
        )
    return span
