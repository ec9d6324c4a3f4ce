"""Tokens below the explorer's maps: what they are called, and what their bows and numbers say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browsing import Opened, four_digits, quiet_page

import lstm
from lstm.made_for import token_names
from lstm.tasks import TASKS
from lstm.tasks.sky import Sky

pytestmark = pytest.mark.usefixtures("by_numpy")
T, B = 9, 3


@pytest.fixture(scope="module")
def flow(by_numpy) -> Any:
    rng = np.random.default_rng(0)
    task = TASKS["sky"]()
    model = lstm.Model.create(lstm.LSTM(4, 4), task=task, seed=0)
    xs = rng.integers(0, model.input_size, (T, B))
    lengths = np.array([T, T - 2, T])
    return lstm.flow(model, xs, rng.integers(0, 3, B), lengths=lengths)


@pytest.fixture(scope="module")
def opened(browser, flow, tmp_path_factory) -> Iterator[Opened]:
    path: Path = flow.save(tmp_path_factory.mktemp("tokens") / "flow.html")
    with quiet_page(browser, path, viewport={"width": 1366, "height": 900}) as page:
        yield page


def words_of(flow: Any, sequence: int) -> list[str]:
    words = Sky.spelled(np.asarray(flow.source.batch[0])[:, sequence])
    return [*words[: T - 2], "", ""] if sequence == 1 else words


def test_the_words_of_a_sequence_stand_under_their_steps(opened, flow) -> None:
    spans = opened.page.locator(".words span")
    assert spans.all_text_contents() == words_of(flow, 0)
    middles = [box["x"] + box["width"] / 2 for box in (s.bounding_box() for s in spans.all())]
    frame = opened.frame("tokens").bounding_box()
    wanted = [frame["x"] + (k + 0.5) / T * frame["width"] for k in range(T)]
    assert middles == pytest.approx(wanted, abs=3)
    opened.page.locator("#sequence").select_option(index=1)
    assert spans.all_text_contents() == words_of(flow, 1)
    opened.hover("units", (T - 0.5) / T, 0.5 / 4)
    assert opened.said("units").startswith(f"t = {T}, unit 1: ")  # which is padding
    opened.page.locator("#sequence").select_option(index=0)


def test_the_token_is_said_with_each_number(opened, flow) -> None:
    word = words_of(flow, 0)[6]
    opened.hover("units", 6.5 / T, 0.5 / 4)
    assert opened.said("units").startswith(f"t = 7 “{word}”, unit 1: ")
    assert opened.page.locator("#word").inner_text().strip() == f"“{word}”"
    opened.hover("influence", 2.5 / T, 6.5 / T)
    told = opened.said("influence")
    assert float(told.rpartition(": ")[2]) == four_digits(flow.influence.high[6, 2])


def test_of_a_token_the_strongest_ties_are_told(opened, flow) -> None:
    opened.frame("tokens").focus()
    for _ in range(T):
        opened.page.keyboard.press("ArrowLeft")
    for _ in range(5):
        opened.page.keyboard.press("ArrowRight")
    words = words_of(flow, 0)
    parts = [f"t = 6 “{words[5]}”: "]
    ties = (("its output is changed most by", flow.influence), ("its loss teaches most", None))
    for k, (said, pairs) in enumerate(ties):
        row = (pairs or flow.itemised).high[5]
        most = np.argsort(-row, kind="stable")[:3]
        listed = [f"t = {s + 1} “{words[s]}” {four_digits(row[s])!r}" for s in most]
        parts.append("; " * k + f"{said} {', '.join(listed)}")
    assert opened.said("tokens") == "".join(parts)


def test_bows_go_to_what_came_before_and_to_nothing_after(opened) -> None:
    opened.hover("tokens", 5.5 / T, 0.5)
    downs = np.linspace(0.02, 0.24, 40).tolist()

    def is_drawn(t: int) -> bool:
        across = (t - 1) / T
        pixels = opened.colors("tokens", [(across, d) for d in (*downs, *(1 - x for x in downs))])
        return any(pixel[3] > 0 for pixel in pixels)

    assert [is_drawn(t) for t in range(2, T + 1)] == [True] * 5 + [False] * 3


def test_names_are_the_tasks_and_those_that_do_not_fit_are_none() -> None:
    task = TASKS["reverse"]()
    model = lstm.Model.create(lstm.LSTM, task=task, hidden_size=2)
    assert token_names(model) == ("", *"abcdefgh")
    text = lstm.TextTask("to be or not to be, " * 9, length=5)
    model = lstm.Model.create(lstm.RNN, task=text, hidden_size=2)
    assert "".join(token_names(model)) == "".join(sorted(set("to be or not,")))
    for name, settings in (("text", {}), ("text", {"level": "char", "tokens": ["a"]}), ([], 3)):
        other = lstm.Model.create(lstm.RNN(2, 2), 2, vocabulary=7)
        other.task.update(name=name, settings=settings)
        assert token_names(other) == ()


@pytest.mark.parametrize("name", [k for k, kind in TASKS.items() if kind.vocabulary])
def test_each_task_of_tokens_names_all_of_them(name) -> None:
    names = TASKS[name].token_names({})
    assert len(names) == TASKS[name].vocabulary == len(set(names))
