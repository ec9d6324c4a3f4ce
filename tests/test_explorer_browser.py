"""The explorer in a headless Chromium: what is seen there is what was measured."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browsing import Opened, four_digits, numbers_in, quiet_page

import lstm

pytestmark = pytest.mark.usefixtures("by_numpy")
T, H = 12, 5


@pytest.fixture(scope="module")
def flow(by_numpy) -> Any:
    model = lstm.Model.create(lstm.LSTM(2, H), 1, 0)
    xs = np.random.default_rng(0).standard_normal((T, 3, 2))
    return replace(lstm.flow(model, xs, np.ones((3, 1))), title="<b>bold</b>")


@pytest.fixture(scope="module")
def path(flow, tmp_path_factory) -> Path:
    file: Path = tmp_path_factory.mktemp("explorer") / "flow.html"
    flow.save(file)
    return file


@pytest.fixture(scope="module")
def opened(browser, path) -> Iterator[Opened]:
    with quiet_page(browser, path) as page:
        yield page


def test_it_opens_from_a_file_asks_for_nothing_and_shows_the_finding_first(opened, flow) -> None:
    page = opened.page
    assert page.locator("p.lead").inner_text() == flow.diagnosis[0]
    assert page.locator("b").count() == 0
    assert page.title().startswith("<b>bold</b>: how the gradient flows")
    assert page.locator("#maps figure").count() == 4


def test_where_one_points_the_flows_number_is_told(opened, flow) -> None:
    for unit, t in ((1, 1), (3, 7), (H, T)):
        opened.hover("units", (t - 0.5) / T, (unit - 0.5) / H)
        told = opened.said("units")
        assert told.startswith(f"t = {t}, unit {unit}: ")
        assert numbers_in(told) == [four_digits(flow.unit_norms["C"][t - 1, unit - 1])]
    opened.hover("gates", 4.5 / T, 0.5 / 3)
    gate = flow.gates["f"]
    told = numbers_in(opened.said("gates"))
    assert told == [four_digits(of[4]) for of in (gate.mean, gate.low, gate.high)]
    opened.hover("itemised", 2.5 / T, 8.5 / T)
    assert numbers_in(opened.said("itemised")) == [four_digits(flow.itemised.high[8, 2])]
    opened.hover("itemised", 8.5 / T, 2.5 / T)
    assert opened.said("itemised").endswith("nothing to tell")


def test_a_step_that_is_marked_in_one_map_is_marked_in_all(opened) -> None:
    opened.hover("units", 6.5 / T, 0.5)
    for key in ("norms", "units", "gates", "itemised"):
        left, width = opened.marked(key)
        assert left == pytest.approx(6 / T, abs=0.01) and width == pytest.approx(1 / T, abs=0.01)


def test_keys_go_where_the_pointer_does(opened, flow) -> None:
    opened.frame("norms").focus()
    press = opened.page.keyboard.press
    press("Home")
    assert opened.said("norms").startswith("t = 1, ")
    press("ArrowRight")
    press("ArrowRight")
    press("ArrowLeft")
    press("ArrowDown")
    assert opened.said("norms").startswith("t = 2, |∂L/∂hₜ|: ")
    assert numbers_in(opened.said("norms")) == [four_digits(flow.series["h"].norms[1])]
    press("End")
    press("ArrowRight")
    press("ArrowUp")
    press("ArrowUp")
    assert opened.said("norms").startswith(f"t = {T}, |∂L/∂Cₜ|: ")
    press("Tab")
    press("Home")
    press("PageDown")
    assert opened.said("units").startswith(f"t = 1, unit {H}: ") and opened.said("norms") == ""


def test_cells_are_painted_in_the_colours_of_the_scale(opened, flow) -> None:
    places = [(1, 1), (3, 7), (H, T)]
    shares = [((t - 0.5) / T, (unit - 0.5) / H) for unit, t in places]
    for (unit, t), got in zip(places, opened.colors("units", shares), strict=True):
        wanted = flow.scale.style(float(flow.unit_norms["C"][t - 1, unit - 1]))
        assert wanted.kind == "normal" and got[3] == 255
        assert "#" + "".join(f"{x:02x}" for x in got[:3]) == wanted.color


def test_dark_follows_the_reader(browser, path) -> None:
    page = Opened(browser, path, color_scheme="dark")
    back = page.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert back == "rgb(30, 30, 30)" and not page.complaints
    page.context.close()


def test_runs_of_steps_tell_the_least_and_the_largest(browser, tmp_path) -> None:
    model = lstm.Model.create(lstm.RNN(2, 3), 1, 0)
    xs = np.random.default_rng(1).standard_normal((600, 2, 2))
    flow = lstm.flow(model, xs, np.ones((2, 1)))
    flow.save(tmp_path / "long.html")
    page = Opened(browser, tmp_path / "long.html")
    page.frame("units").focus()
    page.page.keyboard.press("End")
    page.page.keyboard.press("ArrowLeft")
    told = page.said("units")
    assert told.startswith("t = 596 to 598, unit 1: ")
    norms = flow.unit_norms["h"][595:598, 0]
    assert numbers_in(told) == [four_digits(norms.min()), four_digits(norms.max())]
    assert page.page.locator("figure[data-map=itemised]").count() == 0
    assert not page.complaints
    page.context.close()


def test_a_click_keeps_where_one_looks_until_it_is_let_go(opened) -> None:
    def said_at(t: int) -> str:
        opened.hover("units", (t - 0.5) / T, 0.5 / H)
        return opened.said("units")

    def click() -> None:
        opened.page.mouse.down()
        opened.page.mouse.up()

    assert said_at(3).startswith("t = 3, ")
    click()
    assert said_at(8).startswith("t = 3, ")
    assert opened.page.locator("#step").input_value() == "3"
    click()
    assert said_at(10).startswith("t = 8, ")
    opened.page.keyboard.press("Escape")
    assert said_at(10).startswith("t = 10, ")
    click()
    click()
    assert said_at(2).startswith("t = 2, ")


def test_runs_are_painted_by_their_largest_above_their_least(browser, tmp_path) -> None:
    model = lstm.Model.create(lstm.RNN(2, 3), 1, 0)
    xs = np.random.default_rng(1).standard_normal((600, 1, 2)) * 4
    flow = lstm.flow(model, xs, np.ones((1, 1)))
    flow.save(tmp_path / "long.html")
    page = Opened(browser, tmp_path / "long.html", viewport={"width": 1366, "height": 900})
    edges = np.linspace(0, 600, 257).round().astype(int)
    norms, scale = np.array(flow.main.norms), flow.scale
    unlike = [
        k
        for k, (a, b) in enumerate(pairwise(edges))
        if scale.style(norms[a:b].max()).color != scale.style(norms[a:b].min()).color
        and scale.style(norms[a:b].min()).kind == "normal"
    ][:5]
    assert unlike
    for down, pick in ((0.25, np.max), (0.75, np.min)):
        got = page.colors("norms", [((k + 0.5) / 256, down) for k in unlike])
        for k, pixel in zip(unlike, got, strict=True):
            color = scale.style(float(pick(norms[edges[k] : edges[k + 1]]))).color
            assert "#" + "".join(f"{x:02x}" for x in pixel[:3]) == color
    page.context.close()
