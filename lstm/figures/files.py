"""The figures of gradient flow, and the files that `lstm demo` and `lstm flow` write.

Pictures, one page that holds them all, and the numbers as CSV. How a figure looks is said in
flow_figures.py and cell_figure.py, how the page looks in page.py.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lstm.figures.cell import STEPS, cell_unrolled
from lstm.figures.flow import compare_flows, paths
from lstm.figures.page import Section, Table, flow_table, page
from lstm.files import write_atomically
from lstm.gradient_flow import Flow, Loss, compare, measure
from lstm.model import Model, subscript
from minigrad.drawing import Diagram
from minigrad.drawing.render import render_many

Pair = tuple[Model[Any], Model[Any]]
WHEN = ("before training", "after training")


def write_demo(
    out_dir: str | Path,
    models: Mapping[str, Pair],
    xs: Any,
    ys: Any,
    results: Mapping[str, Any] | None = None,
) -> list[Path]:
    """Write what the demonstration shows into a folder that exists; returns the files' paths.

    models: {name: (before training, after training)}, all of one task; xs (T, B, I) and ys are one
    batch to measure on. results: "baseline" and, under "models", the scores of each by its name,
    as `lstm demo --json` prints them; scores that are missing are left out.
    Files: index.html, compare, paths and cell as .svg and .png, and flow.csv. Each is there whole
    or not at all. Raises OutputError or RenderError.
    """
    pairs = {name: [measure(m, xs, ys) for m in pair] for name, pair in models.items()}
    panels = {when: [flows[k] for flows in pairs.values()] for k, when in enumerate(WHEN)}
    steps = len(xs)
    figures = {
        "compare": compare_flows(
            panels, f"How much of the gradient reaches step 1: {_listed(pairs)}, {steps} steps"
        )
    }
    lined = [name for name, flows in pairs.items() if flows[1].split is not None]
    if lined:
        both = pairs[lined[-1]]
        figures["paths"] = paths(dict(zip(WHEN, both, strict=True)), _paths_title(both[0]))
    chosen = (lined or list(models))[-1]
    figures["cell"] = cell_unrolled(models[chosen][1], xs, ys)
    pictures = _draw(figures)
    moments = {
        (name, when): f for name, fs in pairs.items() for f, when in zip(fs, WHEN, strict=True)
    }
    tables = [flow_table(f, f"{name.upper()}, {when}") for (name, when), f in moments.items()]
    sections = [
        _results_section(pairs, results or {}),
        Section("In words", points=_findings(pairs)),
        Section(
            "Does the gradient reach step 1?",
            picture=pictures.svg["compare"],
            caption="Read from right to left: the loss is at the last step, and the gradient "
            "travels back to the first. Both models and both moments share one scale; the axis "
            "counts powers of ten.",
        ),
        *_path_sections(pictures, pairs[chosen][1]),
        _cell_section(pictures, chosen),
        _caveats(list(moments.values()), models[chosen][1]),
        Section("All numbers", text=["Also in flow.csv."], folded=tables),
    ]
    title = f"{_listed(pairs)}: how the gradient flows through {steps} steps"
    return _write(Path(out_dir), page(title, _INTRO, sections), pictures, moments)


def write_flow(
    out_dir: str | Path, model: Model[Any], xs: Any, ys: Any, loss: Loss | None = None
) -> list[Path]:
    """Write how the gradient of one batch flows through one model; returns the files' paths.

    xs is (T, B, I); loss as in `measure`: for a task of your own, its `loss`. Files: index.html,
    flow, cell and (where the cell has a line) paths as .svg and .png, flow.csv and flow.json.
    Raises ConfigError, OutputError or RenderError.
    """
    flow = measure(model, xs, ys, loss)
    name = flow.cell
    figures = {"flow": compare_flows({"": [flow]}, f"{name.upper()}: how the gradient flows back")}
    if flow.split is not None:
        figures["paths"] = paths({"": flow}, _paths_title(flow))
    figures["cell"] = cell_unrolled(model, xs, ys, loss=loss)
    pictures = _draw(figures)
    sections = [
        Section("In words", points=flow.diagnosis),
        Section("Does the gradient reach step 1?", picture=pictures.svg["flow"]),
        *_path_sections(pictures, flow),
        _cell_section(pictures, name),
        _caveats([flow], model),
        Section("All numbers", text=["Also in flow.csv."], folded=[flow_table(flow, name.upper())]),
    ]
    title = f"{name.upper()}: how the gradient flows through {flow.steps} steps"
    written = _write(Path(out_dir), page(title, _INTRO, sections), pictures, {(name, ""): flow})
    path = Path(out_dir) / "flow.json"
    write_atomically(path, json.dumps(flow.to_json(), indent=1, allow_nan=False))
    return [*written, path]


_INTRO = (
    "A recurrent net learns what happened at step 1 only if the gradient of its loss gets back "
    "there. These pictures show how much of it does, by which path, and where the rest is lost. "
    "Every number is evaluated from the graph that was trained.",
)


def _listed(names: Mapping[str, Any]) -> str:
    return " beside ".join(name.upper() for name in names)


def _paths_title(flow: Flow) -> str:
    symbol = flow.split.symbol if flow.split else "h"
    return f"By which path ∂L/∂{symbol}ₜ came back: {flow.cell.upper()}"


# --- sections ------------------------------------------------------------------------------------


def _results_section(pairs: Mapping[str, Sequence[Flow]], results: Mapping[str, Any]) -> Section:
    baseline = results.get("baseline")
    heads = ["", "test error", "÷ baseline", "solved", "gradient at t=1", *WHEN]
    rows: list[list[str]] = []
    if baseline is not None:
        adding = results.get("task", {}).get("name") == "adding"
        name = "always predicting 1" if adding else "baseline"
        rows.append([name, f"{baseline:.4f}", "1.00", "", "", "", ""])
    for name, (before, after) in pairs.items():
        score = results.get("models", {}).get(name, {})
        error = score.get("test_loss")
        first = [name.upper(), "" if error is None else f"{error:.4f}"]
        first.append(f"{error / baseline:.3f}" if error is not None and baseline else "")
        first.append({True: "yes", False: "no"}.get(score.get("solved"), ""))
        for symbol, series in after.series.items():
            norms = [f"{s.first:.1e}" for s in (before.series[symbol], series)]
            rows.append([*first, f"|∂L/∂{subscript(symbol, 1)}|", *norms])
            first = [""] * 4
    return Section("Results", tables=[Table(heads, rows, "Test errors and gradients")])


def _findings(pairs: Mapping[str, Sequence[Flow]]) -> list[str]:
    words: list[str] = []
    if len(pairs) == 2:
        both = zip(*pairs.values(), WHEN, strict=True)
        words = [f"{when.capitalize()}: {compare(a, b)}" for a, b, when in both]
    return words + [
        f"{name.upper()}, {when}: {line}"
        for name, flows in pairs.items()
        for flow, when in zip(flows, WHEN, strict=True)
        for line in flow.diagnosis
    ]


def _path_sections(pictures: _Pictures, flow: Flow) -> list[Section]:
    if "paths" not in pictures.svg or flow.split is None:
        return []
    return [
        Section(
            "By which path?",
            picture=pictures.svg["paths"],
            caption=f"The {flow.cell.upper()}'s gradient in two parts that sum to the whole at "
            f"every step: what only ever travelled along the line, multiplied by "
            f"{flow.split.factor} at each step, and what left it at least once. The norms of two "
            "parts need not sum to the norm of the whole.",
        )
    ]


def _cell_section(pictures: _Pictures, name: str) -> Section:
    return Section(
        f"The {name.upper()} cell, op by op",
        picture=pictures.svg["cell"],
        is_wide=True,
        caption=f"The first {STEPS} steps alone, with their own loss. An arrow's colour and width "
        "are the norm of the gradient that flows back along it; point at a node or an arrow for "
        "the exact numbers. Scroll to the right to follow time.",
    )


def _caveats(flows: Sequence[Flow], model: Model[Any]) -> Section:
    flow = flows[0]
    mains = sorted({f.main.symbol for f in flows})
    points = [
        f"Measured on one batch of {flow.batch} sequences in {flow.dtype}, from one seed; norms "
        "are 2-norms over the whole batch.",
        "A gradient that arrives is needed for learning, and is not enough: it must also point "
        "somewhere useful. A vanished gradient after training says little of one before.",
    ]
    if len(mains) > 1:
        points.append(
            f"{' and '.join(f'∂L/∂{m}' for m in mains)} are gradients towards different things; "
            "∂L/∂h is drawn for every cell, so that like can be compared with like."
        )
    memory = getattr(model.cell, "memory", None)
    if memory is not None:
        points.append(
            f"The gates' biases start at a memory of {memory:g} steps (Tallec & Ollivier 2018). "
            "With the usual bias of 1 a step keeps about 0.73 of the line at first, σ(1), and the "
            "gradient along the line fades too."
        )
    return Section("What this does not show", points=points)


# --- files ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Pictures:
    svg: dict[str, str]
    png: dict[str, bytes]


def _draw(figures: Mapping[str, Diagram]) -> _Pictures:
    """All pictures, from one process of Graphviz."""
    jobs = [(d.dot, format) for d in figures.values() for format in ("svg", "png")]
    drawn = iter(render_many(jobs))
    svg, png = {}, {}
    for name, diagram in figures.items():
        diagram.prefix = name
        svg[name], png[name] = diagram.finish_svg(next(drawn)), next(drawn)
    return _Pictures(svg, png)


def _write(
    folder: Path, html: str, pictures: _Pictures, flows: Mapping[tuple[str, str], Flow]
) -> list[Path]:
    files: dict[str, str | bytes] = {"index.html": html}
    for name, svg in pictures.svg.items():
        files[f"{name}.svg"] = f'<?xml version="1.0" encoding="UTF-8"?>\n{svg}'
        files[f"{name}.png"] = pictures.png[name]
    files["flow.csv"] = flow_csv(flows)
    for name, data in files.items():
        write_atomically(folder / name, data)
    return [folder / name for name in files]


def flow_csv(flows: Mapping[tuple[str, str], Flow]) -> str:
    """All numbers at full precision, one a line: model, when, t, quantity, value."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["model", "when", "t", "quantity", "value"])
    for (name, when), flow in flows.items():
        heads, rows = flow.rows()
        for row in rows:
            for head, value in zip(heads[1:], row[1:], strict=True):
                writer.writerow([name, when, int(row[0]), head, repr(float(value))])
    return text.getvalue()
