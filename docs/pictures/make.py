"""Draws the pictures of docs/gallery.md and README.md again: python docs/pictures/make.py [NAME …]

Where a picture needs them, an RNN and an LSTM are trained on the adding problem as `lstm demo`
does, in about a minute. An SVG follows its reader's colour scheme; of what would be large there is
a PNG in light and one in dark. The explorer's screens need `pip install '.[browser]'` and Chromium.
"""

from __future__ import annotations

import csv
import shutil
import sys
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from matplotlib.figure import Figure

import lstm
import minigrad as mg
from lstm.figures import (
    cell_unrolled,
    compare_flows,
    draw_difference,
    flow_details,
    gender_and_number,
    long_dependency,
    paths,
    whole_cell,
)
from lstm.figures.bounds import vanishing_of
from lstm.figures.distances import how_far
from lstm.figures.explorer.explored import Explorer
from lstm.figures.numbered import FIGURES
from lstm.figures.speech import hear, plot_heard
from lstm.gradient_flow import Flow, attention_routes
from lstm.tasks.caption import Thing
from minigrad.drawing import Drawn, Scale
from minigrad.drawing.charts import Chart, Theme, drawn_in

HERE = Path(__file__).parent
STEPS, UNITS = 100, 16
WHEN = ("before training", "after training")


class Trained:
    """The two models of most pictures, trained when they are first asked for."""

    task = lstm.Adding(length=STEPS)

    @cached_property
    def batch(self) -> Any:
        return self.task.batch(np.random.default_rng(0), 16)

    @cached_property
    def models(self) -> dict[str, tuple[lstm.Model, lstm.Model]]:
        """By their names, each before and after training."""
        pairs = {}
        for cell in (lstm.RNN(2, UNITS), lstm.LSTM(2, UNITS, memory=STEPS)):
            before = lstm.Model.create(cell, 1, 0, self.task.config())
            after = before.copy()
            settings = lstm.Settings(steps=500, seed=0)
            lstm.fit(after, self.task, settings, validate=0, progress=False)
            pairs[cell.heading] = before, after
        return pairs

    @cached_property
    def flows(self) -> dict[str, list[Flow]]:
        """The same, measured on one batch."""
        return {
            name: [lstm.flow(model, self.batch.xs, self.batch.ys) for model in pair]
            for name, pair in self.models.items()
        }

    @property
    def before(self) -> dict[str, Flow]:
        return {name: flows[0] for name, flows in self.flows.items()}

    @property
    def after(self) -> dict[str, Flow]:
        return {name: flows[1] for name, flows in self.flows.items()}

    @property
    def line(self) -> dict[str, Flow]:
        """The LSTM's flow at both moments."""
        return dict(zip(WHEN, self.flows["LSTM"], strict=True))


def compared(t: Trained) -> Drawn:
    moments = dict(zip(WHEN, ([*t.before.values()], [*t.after.values()]), strict=True))
    title = f"How much of the gradient reaches step 1: RNN beside LSTM, {STEPS} steps"
    return compare_flows(moments, title)


def waterfall(t: Trained) -> Drawn:
    """What the gallery says of it is the picture's description, and a test compares the two."""
    plain, line = (flow.waterfall for flow in t.after.values())
    lost = dict(zip(plain.links, -plain.decades.sum(axis=0), strict=True))
    gates = dict(zip(line.links, -line.decades.sum(axis=0), strict=True))
    said = (
        f"Of the {sum(lost.values()):.0f} decades that the RNN loses, tanh′ takes "
        f"{lost['tanh′']:.0f}; the LSTM's forget gates lose {gates['f']:.1f} of one."
    )
    return beside(lstm.plot_waterfall, t.after, 3.6, said=said)


def step(t: Trained) -> Drawn:
    """The trained LSTM at the step that the first sequence's marker marks first."""
    xs, ys, *_ = t.batch
    marked = int(xs[:, 0, 1].argmax()) + 1
    return whole_cell(model=t.models["LSTM"][1], xs=xs, ys=ys, t=marked, grad=True)


def loop() -> Drawn:
    """The loop of an RNN."""
    cell = lstm.RNN(3, 4)
    weights = {name: mg.param(name, value) for name, value in cell.init(seed=0).items()}
    words = mg.var("words", (4, 1, 3), "float32")
    last, _ = mg.scan(
        lambda state, word: (cell.step(weights, state, word), state.h), cell.initial_state(1), words
    )
    return mg.draw(last.h, title="A loop")


STEPS_OF_ANSWERS, FILM_AT = 600, 39


class Answering:
    """Models that answer strings with strings."""

    task = lstm.Reverse(longest=12)

    @cached_property
    def models(self) -> dict[str, lstm.Model]:
        """Of strings that they reverse, with attention and without, after as much training."""
        return {
            "with attention": answering(self.task, "additive", STEPS_OF_ANSWERS),
            "without": answering(self.task, None, STEPS_OF_ANSWERS),
        }

    @cached_property
    def dates(self) -> lstm.Model:
        return answering(lstm.Dates(), "additive", 300)


def answering(task: lstm.Task, attention: str | None, steps: int) -> lstm.Model:
    model = lstm.Model.create(
        lstm.LSTM, task=task, hidden_size=32, bidirectional=True, attention=attention
    )
    settings = lstm.Settings(steps=steps, rate=0.01)
    lstm.fit(model, task, settings, validate=0, progress=False)
    return model


ANSWERING = Answering()


def alignment() -> Chart:
    model, task, text = ANSWERING.dates, lstm.Dates(), "3 May 1979"
    xs, lengths = task.tokens([text])
    run = model.run(xs, lengths=lengths)
    (said,) = task.said(run.output.eval().argmax(-1))
    weights = run.attention.eval()[:, 0]
    return one(lambda ax: lstm.plot_alignment(weights, text, [*said, "end"], ax), 5.0, 5.6)


def routes() -> Chart:
    """Of strings of 40 letters, before training, by an LSTM with the usual bias."""
    task = lstm.Reverse(longest=40, shortest=40)
    model = lstm.Model.create(lstm.LSTM, task=task, hidden_size=32, memory=0, attention="additive")
    xs, ys, _ = task.batch(np.random.default_rng(0), 16)
    start = attention_routes(model, xs, ys).norms["start"]
    said = (
        f"Before training, of strings of {len(xs)} letters: what comes back by the decoder's first "
        f"state loses {np.log10(start[-1] / start[0]):.1f} powers of ten on its way to step 1; "
        "through the attention every step gets as much as any other."
    )
    return one(lambda ax: lstm.plot_attention_routes(model, xs, ys, ax=ax), 7.0, 6.2, said)


def lengths() -> Chart:
    task = lstm.Reverse(longest=20)
    longest, draw = ANSWERING.task.longest, lstm.plot_correct_by_length
    shares = [
        lstm.correct_by_length(model, lstm.Reverse(longest, shortest=longest))[longest]
        for model in ANSWERING.models.values()
    ]
    said = (
        f"Reversed after {STEPS_OF_ANSWERS} steps of training on strings of up to {longest} "
        f"letters, of those of {longest} are right: {shares[0]:.0%} with attention, "
        f"{shares[1]:.0%} without."
    )
    return one(lambda ax: draw(ANSWERING.models, task, ax, sequences=4000), 7.0, 3.2, said)


def looked_at() -> Chart:
    task, rng = lstm.Caption(), np.random.default_rng
    model = lstm.Model.create(lstm.LSTM, task=task, attention="additive")
    settings = lstm.Settings(**task.usual)
    score = lstm.fit(model, task, settings, validate=0, progress=False).score
    scenes = task.scenes(rng(1), 2000)
    xs, ys = task.drawn(rng(2), scenes)
    weights = model.run(xs, targets=ys).attention.eval()
    shown = (Thing("blue", "square", 1, 0), Thing("red", "circle", 4, 4))
    seen, told = task.drawn(rng(0), [shown])
    looks = model.run(seen, targets=told).attention.eval()[:, 0]
    boxes = [thing and thing.box for thing in task.named(shown)]
    said = (
        f"Of 2000 new pictures {score.correct:.1%} are told without a mistake. Of what the decoder "
        "looks at for a word that names an object, "
        f"{np.nanmean(task.mass(weights, scenes)):.0%} is within the object's box, 4 of 49 patches."
    )
    picture, words = task.pictures(seen)[0], task.words(shown)
    draw = lstm.plot_caption
    return one(lambda ax: draw(picture, looks, words, ax, boxes=boxes), 7.6, 5.0, said)


def trials(name: str) -> dict[str, dict[float, list[float]]]:
    """{cell: {distance: the accuracy of each seed}}, as benchmarks/distance.py measured them."""
    accuracies: dict[str, dict[float, list[float]]] = {"RNN": {}, "LSTM": {}}
    with (HERE.parent / "tables" / f"{name}.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            by_distance = accuracies[row["cell"].upper()]
            by_distance.setdefault(float(row["distance"]), []).append(float(row["correct"]))
    return accuracies


def distances() -> Chart:
    scores = trials("france")
    far = how_far(scores)
    said = (
        f"Trained and tested at one distance after the other, five seeds each: all of the LSTMs "
        f"meet the criterion up to {far['LSTM']:g} steps, the RNNs, each at that of three rates "
        f"which validation likes best, up to {far['RNN']:g}; at 20 they guess."
    )
    draw, title = lstm.plot_accuracy, "I grew up in France … I speak fluent French"
    more: dict[str, Any] = {"chance": 0.2, "criterion": 0.99, "title": title}
    more["name"] = "steps between the country and its language"
    return one(lambda ax: draw(scores, ax, **more), 7.0, 3.8, said)


def film() -> Chart:
    """A film; the answer is that at a door, to one who was given the key two scenes before."""
    task = lstm.Movie()
    model = lstm.Model.create(lstm.LSTM, task=task)
    fitted = lstm.fit(model, task, lstm.Settings(**task.usual), validate=300, progress=False)
    said = (
        f"Of the frames of 2,000 new films the LSTM tells {fitted.score.correct:.1%}; one who sees "
        f"a frame alone is right of {task.guesses['from the frame alone']:.1%} at best."
    )
    with drawn_in("auto"):
        ax = lstm.plot_film({"LSTM": fitted.best}, task, at=FILM_AT)
    return Chart(ax.figure, title=ax.get_title("left"), description=said, theme="auto")


def heard() -> Chart:
    """A word that begins as another does."""
    task = lstm.Spoken()
    model = lstm.Model.create(lstm.LSTM, task=task)
    settings = lstm.Settings(**{**task.usual, "steps": 300})
    fitted = lstm.fit(model, task, settings, validate=0, progress=False)
    word = hear({"LSTM": model}, task, word="seven", seed=3)
    said = (
        f"Of 2,000 new words the LSTM tells {fitted.score.correct:.1%}; whoever knows averages of "
        f"frames alone tells {task.guesses['nearest mean of averaged frames']:.1%}. "
        f"{word.said['LSTM']}."
    )
    with drawn_in("auto"):
        ax = plot_heard(word, title="“seven”, heard")
    return Chart(ax.figure, title=ax.get_title("left"), description=said, theme="auto")


def latched() -> Chart:
    scores = trials("latching")
    learnt = {
        steps: [sum(x >= 0.99 for x in scores[cell][steps]) for cell in ("LSTM", "RNN")]
        for steps in (5, 20, 50, 100, 200)
    }
    counts = "; ".join(f"{a} and {b} at {steps} steps" for steps, (a, b) in learnt.items())
    said = f"Of five LSTMs and five RNNs of one unit each, so many learn to hold a bit: {counts}."
    draw, title = lstm.plot_accuracy, "One bit, held through noise"
    more: dict[str, Any] = {"chance": 0.5, "criterion": 0.99, "title": title, "name": "steps T"}
    return one(lambda ax: draw(scores, ax, **more), 7.0, 3.8, said)


def what_is_left() -> Chart:
    task = lstm.Adding(length=STEPS)
    kinds = (lstm.RNN, lstm.LSTM)
    made = [vanishing_of(lstm.Model.create(kind, seed=0, task=task)) for kind in kinds]
    said = " ".join(m.words for m in made)
    return one(lambda ax: lstm.figures.vanishing(ax=ax, steps=STEPS), 7.6, 5.8, said)


ROWS, AHEAD, GAP = 2000, 20, range(1870, 1885)


def forecast() -> Chart:
    """Of a table with a gap, on its last tenth, which neither trained the model nor chose it."""
    with TemporaryDirectory() as folder:
        file = Path(folder, "series.csv")
        cells = ["" if k in GAP else f"{x:.5f}" for k, x in enumerate(mackey_glass(ROWS))]
        file.write_text("\n".join(["x", *cells, ""]), encoding="utf-8")
        task = lstm.TableTask(file, "x", horizon=AHEAD)
        model = lstm.Model.create(lstm.LSTM, task=task)
        settings = lstm.Settings(steps=1000, rate=0.01)
        best = lstm.fit(model, task, settings, progress=False).best
        told = lstm.predict(best, file).last(ROWS // 10 + AHEAD)
    linear = task.in_unit(task.baselines["linear in the window"])
    said = (
        f"A chaotic series (Mackey & Glass 1977), told {AHEAD} rows ahead in the tenth that is "
        f"held out for the test: the LSTM is off by {told.error:.3f}, the linear forecast from "
        f"the same {task.steps} rows by {linear:.3f}. {len(GAP)} rows are missing, and the last "
        f"{AHEAD} are yet to come."
    )
    return one(lambda ax: told.plot(ax, last=None), 8.0, 3.4, said)


def mackey_glass(count: int) -> list[float]:
    """So many numbers of x, one a unit of time, of dx/dt = 0.2 x(t - 17) / (1 + x(t - 17)¹⁰) -
    0.1 x by Euler's method with ten steps a unit, from where it has settled."""
    x = [1.2] * 171
    for k in range(10 * (300 + count)):
        x.append(x[-1] + 0.1 * (0.2 * x[k] / (1 + x[k] ** 10) - 0.1 * x[-1]))
    return x[171 + 3000 :: 10][:count]


def one(plot: Callable[[Any], Any], width: float, height: float, said: str = "") -> Chart:
    """A chart by itself, of a size in inches."""
    with drawn_in("auto"):
        figure = Figure(figsize=(width, height), layout="constrained")
        title = plot(figure.add_subplot()).get_title("left")
    return Chart(figure, title=title, description=said or title, theme="auto")


def itemised(flows: Mapping[str, Flow], theme: Theme) -> Chart:
    high = np.concatenate([flow.itemised.high.ravel() for flow in flows.values()])
    return beside(lstm.plot_itemised, flows, 5.0, theme, Scale.of(high.tolist()))


def beside(
    plot: Callable[..., Any],
    flows: Mapping[str, Flow],
    height: float,
    theme: Theme = "auto",
    scale: Scale | None = None,
    said: str = "",
) -> Chart:
    """One chart of each flow, side by side on one scale, `height` inches high."""
    scaled = {"scale": scale or lstm.compare(*flows.values()).scale}
    if plot in (lstm.plot_cancellation, lstm.plot_knockouts):  # whose axes are shares
        scaled = {}
    with drawn_in(theme):
        figure = Figure(figsize=(11.0, height), layout="constrained")
        for (name, flow), ax in zip(flows.items(), figure.subplots(1, len(flows)), strict=True):
            plot(flow, ax=ax, **scaled)
            ax.set_title(f"{name}: {ax.get_title('left')}")
    title = " beside ".join(flows)
    return Chart(figure, title=title, description=said or title, theme=theme)


PICTURES: dict[str, Callable[[Trained], Drawn]] = (
    {  # drawn as SVG
        "lstm_flow": compared,
        "edges": lambda t: cell_unrolled(t.models["LSTM"][1], *t.batch[:2], 1),
        "paths": lambda t: paths(t.line, "By which path ∂L/∂Cₜ came back"),
        "diagnosis": lambda t: t.after["RNN"].draw(),
        "waterfall": waterfall,
        "cancellation": lambda t: beside(lstm.plot_cancellation, t.line, 2.3),
        "knockouts": lambda t: beside(lstm.plot_knockouts, t.line, 2.6),
        "loop": lambda t: loop(),
        "alignment": lambda t: alignment(),
        "attention_routes": lambda t: routes(),
        "right_by_length": lambda t: lengths(),
        "forecast": lambda t: forecast(),
        "caption": lambda t: looked_at(),
        "accuracy_by_distance": lambda t: distances(),
        "latching": lambda t: latched(),
        "gender_and_number": lambda t: gender_and_number(),
        "film": lambda t: film(),
        "speech": lambda t: heard(),
        "vanishing": lambda t: what_is_left(),
    }
    | {"lstm_step": lambda t: step(t)}
    | {entry.file: lambda t, entry=entry: entry.chart("auto") for entry in FIGURES.values()}
    | {"ex4_long_dependency": lambda t: long_dependency(task=lstm.France(distance=30))}
)
MAPS: dict[str, Callable[[Trained, Theme], Chart]] = {  # of many coloured cells
    "details": lambda t, theme: flow_details(t.after["LSTM"], theme=theme),
    "difference": lambda t, theme: draw_difference(
        lstm.compare(*t.after.values(), names=[*t.after]).difference(), theme=theme
    ),
    "itemised": lambda t, theme: itemised(t.after, theme),
}


SCREENS: dict[str, dict[str, Any]] = {  # of the explorer, in Debian's Chromium
    "explorer": {"viewport": {"width": 1366, "height": 1500}},
    "explorer_dark": {"viewport": {"width": 1366, "height": 1500}, "color_scheme": "dark"},
    "explorer_phone": {"viewport": {"width": 390, "height": 1500}},
    "explorer_projector": {"viewport": {"width": 1920, "height": 1080}},
    "explorer_print": {"viewport": {"width": 794, "height": 1123}},
    "explorer_notebook": {"viewport": {"width": 1100, "height": 920}},
}


def screens(trained: Trained, names: list[str]) -> None:
    """The explorer of both models as it is seen on screens and on paper."""
    from playwright.sync_api import sync_playwright

    flows = {name: dict(zip(WHEN, both, strict=True)) for name, both in trained.flows.items()}
    shown = Explorer(flows)
    with sync_playwright() as playwright, TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        path = shown.save(Path(folder) / "explorer.html")
        for name in names:
            context = browser.new_context(reduced_motion="reduce", **SCREENS[name])
            page = context.new_page()
            if name == "explorer_notebook":
                page.set_content(shown._repr_mimebundle_()["text/html"])
                page.frame_locator("iframe").locator("#explorer[data-ready]").wait_for()
            else:
                page.goto(f"{path.as_uri()}#model=1&moment=1&step=40&map=units&row=3")
                page.wait_for_selector("#explorer[data-ready]")
                page.emulate_media(media="print" if name == "explorer_print" else "screen")
            if name == "explorer_projector":  # the last stop of the tour
                while page.locator("#tour-on").inner_text() != "End":
                    page.locator("#tour-on").click()
            page.screenshot(path=HERE / f"{name}.png")
            context.close()


def main(names: list[str]) -> None:
    """Draw those named, or all."""
    trained = Trained()
    for name, draw in PICTURES.items():
        if not names or name in names:
            drawn = draw(trained)
            svg = drawn.formats()["svg"]() if isinstance(drawn, Chart) else drawn.svg.encode()
            (HERE / f"{name}.svg").write_bytes(svg)  # an image takes no focus
    for name, paint in MAPS.items():
        for theme, suffix in (("light", ""), ("dark", "_dark")):
            if not names or name in names:
                (HERE / f"{name}{suffix}.png").write_bytes(paint(trained, theme).bitmap(96))
    if chosen := [name for name in SCREENS if not names or name in names]:
        screens(trained, chosen)


if __name__ == "__main__":
    main(sys.argv[1:])
