"""What `lstm train --report` writes: one page of what was trained, and its pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lstm.figures.details import flow_details
from lstm.figures.example import chart_of_example
from lstm.figures.files import Pictures, draw_all, write_all
from lstm.figures.flow import NARROW, WIDE, compare_flows, paths
from lstm.figures.of_task import chart_of_task
from lstm.figures.page import Section, flow_table, page
from lstm.figures.sections import caveats, details_section, path_sections
from lstm.figures.seeds import Run, Seeds, draw_seeds
from lstm.files import generator_of
from lstm.gradient_flow import Flow
from lstm.plain_values import counted
from lstm.sampling import sample
from lstm.tasks import Task, TextTask
from lstm.training import Fitted
from minigrad.display import Table
from minigrad.drawing import Drawn, Scale

BEFORE, DURING, AFTER = "before training", "half-way", "after training"
_CURVES = "How the loss fell"
_FLOW = "Does the gradient reach step 1?"
_OWN = "What it says of sequences that it never saw"
_LETTERS = 400  # tokens of a text that are sampled
_EXAMPLE = "One of them, seen closely"


@dataclass(frozen=True)
class Trained:
    """A training, and what was seen of it."""

    fitted: Fitted
    run: Run
    """Its validations."""
    training: tuple[Sequence[float], Sequence[float]]
    """Sequences before each step's end, and the losses."""
    flows: Mapping[str, Flow]
    """By moment: BEFORE, DURING where there is one, and AFTER, those that could be measured. All of
    one batch of test sequences."""
    why_no_flow: str = ""
    """Why one could not."""
    watched: Table | None = None
    """The same at more steps, as of a FlowWatch."""

    @property
    def heading(self) -> str:
        return self.fitted.model.cell.heading


def write_report(
    folder: str | Path,
    task: Task,
    trained: Sequence[Trained],
    finding: str,
    *,
    results: Table,
    settings: Sequence[Table],
    reproduce: Sequence[str],
    seed: int = 0,
    carried: int | None = None,
) -> list[Path]:
    """Write the page of trainings of one task into a folder that exists; returns the files' paths.

    finding: what came of them, which stands first. results, settings: tables; reproduce: sentences,
    such as a command. carried: as in `evaluate`. Files: index.html, flow.csv, and curves, flow,
    paths, details, task and example as .svg and .png, those that there are.
    Raises OutputError or RenderError.
    """
    by_name = {one.heading: one for one in trained}
    title = f"{task.heading}, {counted(task.steps, 'step')}: {' beside '.join(by_name)}"
    chosen = _chosen(trained)
    wide, narrow = (
        _figures(task, by_name, chosen, seed, carried, width) for width in (None, NARROW)
    )
    pictures = draw_all(wide, narrow)
    curves, own, example = (
        [_pictured(pictures, name, title, wide[name].description)] if name in wide else []
        for name, title in (("curves", _CURVES), ("task", _OWN), ("example", _EXAMPLE))
    )
    sections = [
        *curves,
        Section("Results", tables=[results], footnotes=[f"Solved means: {task.criterion}."]),
        *_flow_sections(pictures, trained, chosen),
        *own,
        *example,
        *_written(by_name, task, seed),
        Section("How it was trained", tables=settings),
        Section("How to do it again", text=reproduce),
    ]
    flows = {(n, moment): f for n, one in by_name.items() for moment, f in one.flows.items()}
    tables = [flow_table(f, f"{name}, {moment}") for (name, moment), f in flows.items()]
    tables += [one.watched for one in trained if one.watched is not None]
    if tables:
        sections.append(Section("All numbers", text=["Also in flow.csv."], folded=tables))
    notes = [note for one in trained for note in (*one.fitted.notes, *one.fitted.warnings)]
    return write_all(
        Path(folder),
        page(title, [finding, *notes], sections, leads=True, generator=generator_of("train")),
        pictures,
        flows,
    )


def _chosen(trained: Sequence[Trained]) -> Flow | None:
    """The flow that is shown in detail: the last one of a cell with a line, or the last of all."""
    after = [one.flows[AFTER] for one in trained if AFTER in one.flows]
    lined = [flow for flow in after if flow.split is not None]
    best = lined or after
    return best[-1] if best else None


def _figures(
    task: Task,
    by_name: Mapping[str, Trained],
    chosen: Flow | None,
    seed: int,
    carried: int | None,
    width: float | None,
) -> dict[str, Drawn]:
    """All pictures, by the names of their files."""
    seeds = Seeds(
        {name: [one.run] for name, one in by_name.items()},
        {name: task.in_unit(loss) for name, loss in task.baselines.items()},
        task.unit.removeprefix("test "),
        {name: one.training for name, one in by_name.items()},
    )
    head = " beside ".join(by_name)
    figures: dict[str, Drawn] = {}
    if any(one.run.at for one in by_name.values()):  # else no validation had a finite loss
        figures["curves"] = draw_seeds(seeds, head, width=width)
    if chosen is not None:
        moments = {
            m: [one.flows[m] for one in by_name.values() if m in one.flows] for m in _MOMENTS
        }
        every = [flow for flows in moments.values() for flow in flows]
        scale = Scale.of(x for flow in every for x in flow.drawn_norms)
        panels = {moment: flows for moment, flows in moments.items() if flows}
        figures["flow"] = compare_flows(panels, head, scale, width=width)
        if chosen.split is not None:
            figures["paths"] = paths({"": chosen}, _paths_title(chosen), scale, width=width)
        figures["details"] = flow_details(chosen, scale, width=width or WIDE)
    models = {name: one.fitted.best for name, one in by_name.items()}
    own = {
        "task": chart_of_task(models, task, seed=seed, carried=carried, width=width),
        "example": chart_of_example(models, task, seed=seed, width=width),
    }
    return figures | {name: chart for name, chart in own.items() if chart is not None}


def _written(by_name: Mapping[str, Trained], task: Task, seed: int) -> list[Section]:
    """What models of a text write, as `lstm sample` does."""
    if not isinstance(task, TextTask):
        return []
    texts = {}
    for name, one in by_name.items():
        model = one.fitted.best
        if not any(place.endswith(".backward") for place in model.recurrent()):
            head = f"{name}, {_LETTERS} {task.tokenizer.unit}s:"
            texts[head] = "".join(sample(model, length=_LETTERS, seed=seed))
    said = "After the end of a line, each drawn from what the model expects; `lstm sample` goes on."
    return [Section("What it writes", written=texts, footnotes=[said])] if texts else []


_MOMENTS = (BEFORE, DURING, AFTER)


def _paths_title(flow: Flow) -> str:
    return f"By which path ∂L/∂{flow.main.symbol}ₜ came back: {flow.called}"


def _pictured(pictures: Pictures, name: str, title: str, caption: str) -> Section:
    return Section(title, picture=pictures.svg[name], narrow=pictures.narrow[name], caption=caption)


def _flow_sections(
    pictures: Pictures, trained: Sequence[Trained], chosen: Flow | None
) -> list[Section]:
    """How the gradient flowed, before, during and after training."""
    not_measured = [
        f"{one.heading}: how the gradient flows could not be measured: {one.why_no_flow}"
        for one in trained
        if one.why_no_flow
    ]
    if chosen is None:
        return [Section(_FLOW, text=not_measured)] if not_measured else []
    after = [(one, one.flows[AFTER]) for one in trained if AFTER in one.flows]
    said = [f"{one.heading}, {AFTER}: {line}" for one, flow in after for line in flow.diagnosis]
    steps = [f"{one.heading}: {_when(one)}" for one in trained if one.flows]
    caption = (
        "One batch of test sequences at each moment, on one scale; read from right to left. "
        + "; ".join(steps)
    )
    return [
        _pictured(pictures, "flow", _FLOW, caption),
        Section("In words", points=[*said, *not_measured]),
        *path_sections(pictures, chosen),
        details_section(pictures, chosen),
        caveats([flow for _, flow in after], trained[-1].fitted.best.cell),
    ]


def _when(one: Trained) -> str:
    """How many steps its training had, and after which the model is that is shown as trained."""
    last, best = one.fitted.reports[-1].step if one.fitted.reports else 0, one.fitted.best_step
    shown = "" if best == last else f", shown as after step {best:,}, where validation went best"
    return f"{counted(last, 'step')} of training{shown}"
