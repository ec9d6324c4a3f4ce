"""What `lstm demo` and `lstm flow` write: one page that holds all pictures, and the numbers as CSV.

How a figure looks is said in flow.py and cell.py, what the page says in sections.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

from lstm.figures.cell import cell_unrolled
from lstm.figures.details import flow_details
from lstm.figures.explorer.written import explorer_page
from lstm.figures.files import Pictures, draw_all, write_all
from lstm.figures.flow import NARROW, WIDE, compare_flows, paths
from lstm.figures.page import Section, flow_table
from lstm.figures.sections import (
    INTRO,
    WHEN,
    Pairs,
    caveats,
    cell_section,
    details_section,
    findings,
    path_sections,
    results_section,
)
from lstm.files import generator_of
from lstm.gradient_flow import Flow, Loss
from lstm.gradient_flow import flow as flow_of
from lstm.gradient_flow.measuring import flow_to_draw
from lstm.model import Model
from lstm.plain_values import counted
from minigrad.drawing import Diagram, Drawn, Scale

Pair = tuple[Model, Model]


def write_demo(
    out_dir: str | Path,
    models: Mapping[str, Pair],
    xs: Any,
    ys: Any,
    results: Mapping[str, Any] | None = None,
    *,
    flows: Mapping[str, Sequence[Flow]] | None = None,
) -> list[Path]:
    """Write what the demonstration shows into a folder that exists; returns the files' paths.

    models: {name: (before training, after training)}, all of one task; xs (T, B, I) and ys are one
    batch to measure on. results: "baseline" and, under "models", the scores of each by its name,
    as `lstm demo --json` prints them; scores that are missing are left out. flows: what `lstm.flow`
    gave for these models, by the same names, where that is known.
    Files: index.html, compare, paths and cell as .svg and .png, and flow.csv. Each is there whole
    or not at all. Raises OutputError or RenderError.
    """
    flows = flows or {name: [flow_of(m, xs, ys) for m in pair] for name, pair in models.items()}
    pairs = {name: [_called(name, f) for f in flows[name]] for name in models}
    lined = [name for name, (_, after) in pairs.items() if after.split is not None]
    chosen = (lined or list(models))[-1]  # whose path and whose cell are shown
    model = models[chosen][1]
    title = f"{_listed(pairs)}: how the gradient flows through {counted(len(xs), 'step')}"
    cell = cell_unrolled(model, xs, ys)
    scale = _scale([f for pair in pairs.values() for f in pair], cell)
    figures = _demo_figures(pairs, chosen, scale)
    pictures = draw_all(
        figures | {"cell": _on(scale, cell)}, _demo_figures(pairs, chosen, scale, NARROW)
    )
    moments = {
        (name, when): f for name, fs in pairs.items() for f, when in zip(fs, WHEN, strict=True)
    }
    tables = [flow_table(f, f"{f.heading}, {when}") for (_, when), f in moments.items()]
    lead, *said = findings(pairs)
    sections = [
        _lead_section(pictures, "compare", _READ),
        results_section(pairs, results or {}),
        Section("In words", points=said),
        *path_sections(pictures, pairs[chosen][1]),
        cell_section(pictures, pairs[chosen][1]),
        caveats(list(moments.values()), model.cell),
        Section("All numbers", text=["Also in flow.csv."], folded=tables),
    ]
    looked_at = {fs[-1].heading: dict(zip(WHEN, fs, strict=True)) for fs in pairs.values()}
    by = generator_of("demo")
    html = explorer_page(looked_at, scale, title, [lead, *INTRO], sections, by)
    return write_all(Path(out_dir), html, pictures, moments)


_READ = (
    "Read from right to left: the loss is at the last step, and the gradient travels back to the "
    "first. Both models and both moments share one scale; the axis counts powers of ten."
)


def _lead_section(pictures: Pictures, name: str, caption: str = "") -> Section:
    """The one question, and the one picture."""
    return Section(
        "Does the gradient reach step 1?",
        picture=pictures.svg[name],
        narrow=pictures.narrow[name],
        caption=caption,
    )


def _demo_figures(
    pairs: Pairs, chosen: str, scale: Scale, width: float | None = None
) -> dict[str, Drawn]:
    """All models before and after, and by which path the gradient of the chosen one came."""
    before, after = pairs[chosen]
    panels = {when: [pair[k] for pair in pairs.values()] for k, when in enumerate(WHEN)}
    steps = counted(after.steps, "step")
    title = f"How much of the gradient reaches step 1: {_listed(pairs)}, {steps}"
    figures: dict[str, Drawn] = {"compare": compare_flows(panels, title, scale, width=width)}
    if after.split is not None:
        moments = dict(zip(WHEN, (before, after), strict=True))
        figures["paths"] = paths(moments, _paths_title(after), scale, width=width)
    return figures


def _scale(flows: Sequence[Flow], cell: Diagram) -> Scale:
    """The one colour scale of all that a page shows."""
    assert cell.picture is not None
    of_cell = (amount.norm for amount in cell.picture.gradients())
    return Scale.of(chain(*(flow.drawn_norms for flow in flows), of_cell))


def _on(scale: Scale, cell: Diagram) -> Diagram:
    """A diagram on another scale."""
    assert cell.picture is not None
    return Diagram.of(replace(cell.picture, scale=scale))


def _listed(pairs: Pairs) -> str:
    return " beside ".join(after.heading for _, after in pairs.values())


def write_flow(
    out_dir: str | Path,
    model: Model,
    xs: Any,
    ys: Any,
    loss: Loss | None = None,
    *,
    flow: Flow | None = None,
    lengths: Any = None,
    mask: Any = None,
) -> list[Path]:
    """Write how the gradient of one batch flows through one model; returns the files' paths.

    xs is (T, B, I); loss, lengths, mask: as in `lstm.flow`, for an own task its `loss`. flow:
    what `lstm.flow` gave for these, where that is known. Files: index.html, flow, details, cell and
    (where the cell has a line) paths as .svg and .png, flow.csv and flow.json. Raises ConfigError,
    OutputError or RenderError.
    """
    flow = flow or flow_to_draw(model, xs, ys, loss, lengths=lengths, mask=mask)
    name = flow.called
    cell = cell_unrolled(model, xs, ys, loss=loss, lengths=lengths, mask=mask)
    scale = _scale([flow], cell)
    figures = _flow_figures(flow, scale)
    narrow = _flow_figures(flow, scale, NARROW)
    pictures = draw_all(figures | {"cell": _on(scale, cell)}, narrow)
    lead, *said = flow.diagnosis
    sections = [
        _lead_section(pictures, "flow"),
        *([Section("In words", points=said)] if said else []),
        *path_sections(pictures, flow),
        details_section(pictures, flow),
        cell_section(pictures, flow),
        caveats([flow], model.cell),
        Section("All numbers", text=["Also in flow.csv."], folded=[flow_table(flow, name)]),
    ]
    title = f"{name}: how the gradient flows through {counted(flow.steps, 'step')}"
    by = generator_of("flow")
    html = explorer_page({name: {"": flow}}, scale, title, [lead, *INTRO], sections, by)
    written = write_all(Path(out_dir), html, pictures, {(flow.cell, ""): flow})
    return [*written, flow.save(Path(out_dir) / "flow.json")]


def _flow_figures(flow: Flow, scale: Scale, width: float | None = None) -> dict[str, Drawn]:
    """All pictures of one flow."""
    head = f"{flow.called}: how the gradient flows back"
    figures: dict[str, Drawn] = {"flow": compare_flows({"": [flow]}, head, scale, width=width)}
    if flow.split is not None:
        figures["paths"] = paths({"": flow}, _paths_title(flow), scale, width=width)
    figures["details"] = flow_details(flow, scale, width=width or WIDE)
    return figures


def _called(name: str, flow: Flow) -> Flow:
    """A flow under the name that its model was given, unless that is only its cell's."""
    return flow if name == flow.cell else replace(flow, title=name)


def _paths_title(flow: Flow) -> str:
    return f"By which path ∂L/∂{flow.main.symbol}ₜ came back: {flow.called}"
