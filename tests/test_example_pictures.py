"""The picture of one sequence of a task in a report: each number of it is of what models do."""

from __future__ import annotations

import re
from html import escape
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import lstm
from lstm.figures.example import _EXAMPLES, chart_of_example
from lstm.figures.flow import NARROW, WIDE
from lstm.figures.page import page
from lstm.figures.report import _written
from lstm.tasks import TASKS, Task
from lstm.tasks.agreement import Agreement
from lstm.tasks.caption import Caption
from lstm.tasks.dates import Dates
from lstm.tasks.movie import EVENTS, Movie
from lstm.tasks.speech import DIGITS
from lstm.tasks.spoken import Spoken
from lstm.training import random_streams
from minigrad.drawing.charts import Chart

pytestmark = pytest.mark.usefixtures("by_numpy")


def models_of(task: Task, *kinds: Any, **more: Any) -> dict[str, lstm.Model]:
    kinds = kinds or (lstm.RNN, lstm.LSTM)
    made = {kind.name: lstm.Model.create(kind, task=task, hidden_size=4, **more) for kind in kinds}
    for k, model in enumerate(made.values()):  # attention of untrained models is even
        for param in model.flat_params.values():
            param.value = param.value * (3.0 + k)
    return made


def chart_of(models: dict[str, lstm.Model], task: Task, **more: Any) -> Chart:
    chart = chart_of_example(models, task, **more)
    assert chart is not None
    return chart


def words(ax: Any) -> list[str]:
    return [text.get_text() for text in ax.texts]


def heads(chart: Chart) -> list[str]:
    return [text.get_text() for text in chart.figure.texts]


def test_a_film_is_seen_frame_by_frame():
    task = Movie(frames=4, scenes=2)
    models = models_of(task)
    for width in (None, NARROW):
        chart = chart_of(models, task, seed=3, width=width)
        xs, ys = task.batch(np.random.default_rng(3), 1)
        film, key = chart.figure.axes
        frames: Any = film.images
        np.testing.assert_allclose(
            np.stack([image.get_array() for image in frames]),
            np.clip(xs[:, 0].reshape(8, 12, 12), 0, 1),
        )
        happens = {EVENTS[k] for k in ys[:, 0]}
        assert happens <= {*words(film)} and {"rnn", "lstm"} <= {*words(film)}
        assert any(re.search(r"a border, *frame \d", " ".join(words(key))) for _ in [0])
        wide = chart.figure.get_figwidth() * 72
        assert wide <= (width or WIDE)
        right = max(image.get_extent()[1] for image in frames)
        assert right <= film.get_xlim()[1] <= wide


def test_a_caption_shows_where_each_word_is_looked_for():
    task = Caption()
    models = models_of(task, attention="additive")
    rng = random_streams(1).test
    scenes = task.scenes(rng, 1)
    xs, _ = task.drawn(rng, scenes)
    for width, columns in ((None, 4), (NARROW, 2)):
        chart = chart_of(models, task, seed=1, width=width)
        assert heads(chart)[0].startswith("A picture: ")
        shown = 0
        for ax, (name, model) in zip(chart.figure.axes, models.items(), strict=True):
            run: Any = model.run(xs)
            (text,) = task.said(run.output.eval().argmax(-1))
            head = f"{name}: {text}" if text else f"{name} says nothing"
            assert head in " ".join(heads(chart))
            said = [t for t in words(ax) if t != "the picture" and "%" not in t]
            assert said == text.split()
            lefts = {round(image.get_extent()[0], 3) for image in ax.images}  # type: ignore
            assert len(lefts) == (min(columns, len(said) + 1) if said else 0)
            for u, veil in enumerate(ax.collections):
                weights = run.attention.eval()[u, 0]
                alphas = np.asarray(veil.get_facecolor())[:, 3]
                np.testing.assert_allclose(alphas, 0.88 * (1 - weights / weights.max()), atol=1e-6)
                shown += 1
        assert shown


def test_a_words_object_is_framed_as_long_as_all_words_are_right(monkeypatch):
    task, rng = Caption(), random_streams(0).test
    scenes = task.scenes(rng, 1)
    right, named = task.words(scenes[0]), task.named(scenes[0])
    wrong = [*right]
    wrong[1] = next(word for word in ("cross", "circle") if word != right[1])
    weights = np.random.default_rng(0).dirichlet(np.ones(49), size=7)
    told = {"right": " ".join(right), "wrong": " ".join(wrong)}
    models = models_of(task, attention="dot")
    models = dict(zip(told, models.values(), strict=True))
    answers = {id(models[name]): text for name, text in told.items()}
    answer = lambda model, task, xs: ([answers[id(model)]], weights)  # noqa: E731
    monkeypatch.setattr("lstm.figures.example._answer", answer)
    first, second = chart_of(models, task).figure.axes
    boxes = [thing for thing in named if thing is not None]
    masses = [100 * weights[u, t.box].sum() for u, t in enumerate(named) if t is not None]
    assert [w for w in words(first) if "%" in w] == [f"{m:.0f} % in its box" for m in masses]
    assert len(first.lines) == len(boxes)
    assert [w for w in words(second) if "%" in w] == [f"{masses[0]:.0f} % in its box"]
    assert len(second.lines) == 1


def test_an_alignment_shows_the_weights_of_each_letter_that_is_said():
    task = Dates()
    models = models_of(task, attention="dot") | {"none": lstm.Model.create(lstm.RNN, task=task)}
    xs, ys, lengths = task.batch(random_streams(2).test, 1)
    chart = chart_of(models, task, seed=2)
    read = "".join(task.letters[k - 1] for k in xs[: lengths[0], 0])
    title = f"“{read}” is to be answered “{task.said(ys)[0]}”"
    assert chart.title == title and title in " ".join(heads(chart))
    assert len(chart.figure.axes) == 2  # one without attention has none to show
    for ax, (name, model) in zip(chart.figure.axes, models.items(), strict=False):
        run: Any = model.run(xs, lengths=lengths)
        (text,) = task.said(run.output.eval().argmax(-1))
        assert (f"{name}: {text}" if text else f"{name} says nothing") in heads(chart)
        said = [*text, "end"][: len(ys)]
        assert [label.get_text() for label in ax.get_yticklabels()] == said
        assert [label.get_text() for label in ax.get_xticklabels()] == [*read.replace(" ", "·")]
        weights = run.attention.eval()[: len(said), 0, : len(read)]
        drawn = np.zeros_like(weights)
        for group in ax.collections:
            for path in getattr(group, "get_paths", list)():
                box = path.get_extents()
                row, column = round((box.y0 + box.y1) / 2) - 1, round((box.x0 + box.x1) / 2) - 1
                drawn[row, column] = (box.width / 0.96) ** 2
        np.testing.assert_allclose(drawn, np.where(weights < 0.01, 0, weights), atol=1e-3)


def test_without_attention_or_gates_there_is_nothing_to_show():
    for task in (Dates(), Caption(), Agreement(length=6)):
        bare = {"RNN": lstm.Model.create(lstm.RNN, task=task, hidden_size=3, layers=1)}
        assert chart_of_example(bare, task) is None
    assert chart_of_example(models_of(lstm.Adding(3)), lstm.Adding(3)) is None


def test_words_that_agree_are_shown_by_the_last_model_with_gates(monkeypatch):
    monkeypatch.setattr("lstm.figures.gender._TEXTS", 20)
    task = Agreement(length=12)
    models = models_of(task, lstm.LSTM, lstm.GRU)
    chart = chart_of(models, task, seed=1, width=NARROW)
    assert chart.title == "Gender and number of the subject, in units of the state of the lstm"
    text = " ".join(task.spelled(task.batch(np.random.default_rng(1), 20).xs[:, 0]))
    assert " ".join(words(chart.figure.axes[0])) == text
    gates = next(ax for ax in chart.figure.axes if "each new subject" in ax.get_xlabel())
    assert gates.get_xlabel().count("\n") == 1  # it has no room in one line


def test_the_end_of_a_table_is_what_predict_says(tmp_path):
    file = tmp_path / "t.csv"
    numbers = np.round(np.sin(np.arange(120) / 4), 3)
    rows = [f"{x},{'ab'[k // 7 % 2]}" for k, x in enumerate(numbers)]
    file.write_text("\n".join(["x,k", *rows, ""]))
    for target, classify in (("x", False), ("k", True)):
        task = lstm.TableTask(file, target, classify=classify, horizon=2, length=5)
        models = models_of(task)
        chart = chart_of(models, task)
        for ax, (name, model) in zip(chart.figure.axes, models.items(), strict=True):
            told = lstm.predict(model, file).last(12 + 2)  # a tenth, and what is yet to come
            truth, said = ax.lines
            height = (lambda v: {"a": 0.0, "b": 1.0}[v]) if classify else float
            nothing = float("nan")
            heights = [nothing if v is None else height(v) for v in told.truth]
            np.testing.assert_allclose(np.asarray(truth.get_ydata(), float), heights)
            np.testing.assert_allclose(said.get_ydata(), [height(v) for v in told.said])
            assert ax.get_xticklabels()[-1].get_text() == "+2"
            assert ax.get_title() == ax.get_title("left") == ""
            off = f"off by {told.error:.3g}" if not classify else f"{1 - told.error:.1%} of 12"
            assert f"{name}: {target}, 2 rows ahead: {off}" in " ".join(heads(chart))


def test_a_spoken_digit_is_one_that_is_drawn():
    task = Spoken()
    chart = chart_of(models_of(task), task, seed=4, width=NARROW)
    word = re.fullmatch("“(.*)”, heard", chart.title)
    assert word is not None and word[1] in DIGITS
    assert f"“{word[1]}” is t" in chart.description and chart.description.count("\n") == 2


def test_what_a_text_writes_is_what_sample_gives():
    task = lstm.TextTask("she sells sea <b>shells</b> by the sea shore.\n" * 20, length=8)
    model = lstm.Model.create(lstm.RNN, task=task, hidden_size=4)
    both = lstm.Model.create(lstm.RNN, task=task, hidden_size=4, bidirectional=True)
    trained: Any = {
        name: SimpleNamespace(fitted=SimpleNamespace(best=one))
        for name, one in {"RNN": model, "both ways": both}.items()
    }
    (section,) = _written(trained, task, 5)
    ((head, written),) = section.written.items()  # a model that reads both ways writes nothing
    text = "".join(lstm.sample(model, length=400, seed=5))
    assert (head, written) == ("RNN, 400 characters:", text)
    assert "<" in text
    assert f'<pre class="written">{escape(text.rstrip(), quote=False)}</pre>' in page(
        "t", [], [section]
    )
    del trained["RNN"]
    assert _written(trained, task, 5) == _written({}, lstm.Adding(3), 0) == []


def test_a_task_names_its_picture_and_each_that_there_is_has_a_task() -> None:
    tasks: list[type[Task]] = [*TASKS.values(), lstm.TableTask]
    assert {task.close_up for task in tasks} == {"", *_EXAMPLES}


def test_a_task_of_ones_own_has_the_picture_that_it_names() -> None:
    class Mine(lstm.Adding):
        close_up = "mine"

    drawn = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(_EXAMPLES, "mine", lambda *told: drawn.append(told[1]))
        task = Mine(3)
        chart_of_example({}, task)
    assert drawn == [task]
