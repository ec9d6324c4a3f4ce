"""What the page says, section by section: words, numbers and captions around the pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lstm.cells import Cell
from lstm.figures.cell import STEPS
from lstm.figures.files import Pictures
from lstm.figures.page import Section
from lstm.gradient_flow import Flow
from lstm.gradient_flow.words import compare
from lstm.layers import subscript
from minigrad.display import Table

WHEN = ("before training", "after training")
INTRO = (
    "A recurrent net learns what happened at step 1 only if the gradient of its loss gets back "
    "there. These pictures show how much of it does, by which path, and where the rest is lost. "
    "Every number is evaluated from the graph that was trained.",
)

Pairs = Mapping[str, Sequence[Flow]]
"""{name of a model: its flow before and after training}"""


def results_section(pairs: Pairs, results: Mapping[str, Any]) -> Section:
    """Test errors beside the baseline, and the gradients that reach t = 1."""
    baseline = results.get("baseline")
    heads = ["", "test error", "÷ baseline", "solved", "gradient at t=1", *WHEN]
    rows: list[list[str]] = []
    if baseline is not None:
        name = results.get("baseline_words", "baseline")
        rows.append([name, f"{baseline:.4f}", "1.00", "", "", "", ""])
    for name, (before, after) in pairs.items():
        score = results.get("models", {}).get(name, {})
        error = score.get("test_loss")
        first = [after.heading, "" if error is None else f"{error:.4f}"]
        first.append(f"{error / baseline:.3f}" if error is not None and baseline else "")
        first.append({True: "yes", False: "no"}.get(score.get("solved"), ""))
        for symbol, series in after.series.items():
            norms = [s.shown(1, 1) for s in (before.series[symbol], series)]
            rows.append([*first, f"|∂L/∂{subscript(symbol, 1)}|", *norms])
            first = [""] * 4
    criterion = results.get("criterion")
    said = [f"Solved means: {criterion}."] if criterion else []
    return Section(
        "Results", tables=[Table("Test errors and gradients", rows, heads)], footnotes=said
    )


def findings(pairs: Pairs) -> list[str]:
    """All sentences, those that compare two models first, after training and then before."""
    words: list[str] = []
    if len(pairs) == 2:
        both = zip(*pairs.values(), WHEN, strict=True)
        words = [f"{when.capitalize()}: {compare(a, b)}" for a, b, when in both][::-1]
    return words + [
        f"{flow.heading}, {when}: {line}"
        for flows in pairs.values()
        for flow, when in zip(flows, WHEN, strict=True)
        for line in flow.diagnosis
    ]


def path_sections(pictures: Pictures, flow: Flow) -> list[Section]:
    """By which path the gradient came, for a cell that has a line."""
    if "paths" not in pictures.svg or flow.split is None:
        return []
    entered = "; and what entered at that very step" if flow.split.entered is not None else ""
    return [
        Section(
            "By which path?",
            picture=pictures.svg["paths"],
            narrow=pictures.narrow["paths"],
            caption=f"The {flow.heading}'s gradient in parts that sum to the whole at every step: "
            "what only ever travelled along the line, multiplied by "
            f"{flow.split.factor} at each step, and what left it at least once{entered}. The norms "
            "of parts need not sum to the norm of the whole.",
        )
    ]


def details_section(pictures: Pictures, flow: Flow) -> Section:
    """Where the gradient is lost, and what the gates do."""
    main = f"∂L/∂{flow.main.symbol}"
    return Section(
        "What happens on the way back",
        picture=pictures.svg["details"],
        narrow=pictures.narrow["details"],
        caption="Which local derivative wins or loses how many powers of ten, along the line or "
        f"on the route by which most comes back; what of {main} at t=1 changes where a route is "
        f"cut at every step, computed; {main} of each unit; how far the terms of {main} agree "
        "where they meet (1) or cancel (0); and the gates, from the least over batch and units to "
        "the largest, beside the inputs of one sequence.",
    )


def cell_section(pictures: Pictures, flow: Flow) -> Section:
    """The cell, op by op."""
    return Section(
        f"The {flow.heading} cell, op by op",
        picture=pictures.svg["cell"],
        is_wide=True,
        caption=f"The first {STEPS} steps alone, with their own loss. An arrow's colour and width "
        "are the norm of the gradient that flows back along it; point at a node or an arrow for "
        "the exact numbers. Scroll to the right to follow time.",
    )


def caveats(flows: Sequence[Flow], cell: Cell[Any]) -> Section:
    """What the numbers do not say; the cell is the one whose path is shown."""
    flow = flows[0]
    mains = sorted({f.main.symbol for f in flows})
    outputs = {f.output for f in flows}
    points = [
        f"Measured on one batch of {flow.batch} sequences in {flow.dtype}, from one seed; norms "
        "are 2-norms over the whole batch.",
        "A gradient that arrives is needed for learning, and is not enough: it must also point "
        "somewhere useful. A vanished gradient after training says little of one before.",
    ]
    if len(mains) > 1:
        towards = " and ".join(f"∂L/∂{m}" for m in mains)
        like = f"∂L/∂{min(outputs)} is drawn for every cell, so that like can be compared with like"
        points.append(
            f"{towards} are gradients towards different things"
            + (f"; {like}." if len(outputs) == 1 else ".")
        )
    return Section("What this does not show", points=[*points, *cell.notes])
