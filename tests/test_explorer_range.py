"""A range of steps in the explorer: how it is chosen, and that its numbers are the flow's."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from statistics import median_low
from typing import Any

import numpy as np
import pytest
from browsing import Opened, four_digits, quiet_page

import lstm

pytestmark = pytest.mark.usefixtures("by_numpy")
T, H = 12, 4


@pytest.fixture(scope="module")
def flow(by_numpy) -> Any:
    return measured()


def measured() -> Any:
    model = lstm.Model.create(lstm.LSTM(2, H), 1, 3)
    for name, leaf in model.flat_params.items():
        if name.endswith("b_i"):
            leaf.value = leaf.value - 2.2  # so that its mean is below 0.1 at some steps
    xs = np.random.default_rng(0).standard_normal((T, 3, 2)) * 3
    return lstm.flow(model, xs, np.ones((3, 1)))


@pytest.fixture(scope="module")
def path(by_numpy, tmp_path_factory) -> Path:
    flow = measured()  # of its own: the page measures waterfalls in its own way
    saved: Path = tmp_path_factory.mktemp("range") / "flow.html"
    lstm.explore({"a": flow, "b": flow}).save(saved)
    return saved


@pytest.fixture
def opened(browser, path) -> Iterator[Opened]:
    with quiet_page(browser, path, viewport={"width": 1366, "height": 900}) as page:
        yield page


def drag(page: Opened, key: str, start: int, end: int) -> None:
    page.hover(key, (start - 0.5) / T, 0.5 / H)
    page.page.mouse.down()
    page.hover(key, (start + end - 1) / 2 / T, 0.5 / H)
    page.hover(key, (end - 0.5) / T, 0.5 / H)
    page.page.mouse.up()


def rows(page: Opened, table: str) -> dict[str, list[str]]:
    listed = page.page.locator(f"#range-{table} tbody tr").all()
    cells = [row.locator("th, td").all_inner_texts() for row in listed]
    return {name: numbers for name, *numbers in cells}


def number_in(told: str) -> float:
    return float(told.removeprefix("closed, ").partition(" ")[0])


def steps_told(page: Opened) -> str:
    locator = page.page.locator("#range-steps")
    return str(locator.inner_text()) if locator.is_visible() else ""


@pytest.mark.parametrize(("start", "end"), [(3, 8), (8, 3)])
def test_dragging_chooses_a_range_that_is_marked_in_all_maps(opened, start, end) -> None:
    drag(opened, "units", start, end)
    assert steps_told(opened) == "3 to 8"
    for key in ("norms", "units", "gates", "itemised"):
        left, width = opened.marked(key)
        assert left == pytest.approx(2 / T, abs=0.01) and width == pytest.approx(6 / T, abs=0.01)
    opened.hover("norms", 0.5 / T, 0.5)
    assert steps_told(opened) == "3 to 8"  # it is kept
    opened.frame("gates").focus()
    opened.page.keyboard.press("Escape")
    assert steps_told(opened) == "" and opened.marked("units")[1] == pytest.approx(1 / T, abs=0.01)


def test_its_norms_are_the_least_the_median_and_the_largest_of_the_flow(opened, flow) -> None:
    drag(opened, "units", 3, 8)
    told = rows(opened, "norms")
    wanted = {"|∂L/∂Cₜ|": flow.series["C"], "|∂L/∂hₜ|": flow.series["h"]} | flow.paths
    assert told.keys() == wanted.keys()
    for name, series in wanted.items():
        norms = [float(x) for x in series.norms[2:8]]
        got = [float(number) for number in told[name]]
        assert got == [four_digits(x) for x in (min(norms), median_low(norms), max(norms))]


def test_what_came_through_is_the_product_of_the_flows_factors(opened, flow) -> None:
    drag(opened, "norms", 3, 8)
    told = rows(opened, "routes")
    assert len(told) == len(flow.waterfalls) > 1
    for route, fall in flow.waterfalls.items():
        name = "along the line" if route == "line" else f"through {route}"
        decades = float(fall.decades[2:7].sum())
        factor, lost = told[name]
        assert float(factor.removeprefix("×")) == pytest.approx(10**decades, rel=6e-4)
        assert float(lost.replace("−", "-")) == pytest.approx(decades, abs=0.00501)
    line = flow.waterfalls["line"].decades[2:7]
    assert abs(line.sum()) > 0.01  # so that one step more or less would be seen
    assert abs(flow.waterfalls["line"].decades[7].sum()) > 1e-3


def test_which_gate_closed_in_it_is_told_with_the_step(opened, flow) -> None:
    drag(opened, "norms", 3, 8)
    for name, (told,) in rows(opened, "gates").items():
        means = flow.gates[name.partition(",")[0]].mean[2:8]
        least = min(means)
        assert told.endswith(f" at t = {3 + means.index(least)}")
        assert number_in(told) == four_digits(least)
        assert told.startswith("closed, ") == (least < 0.1)
    words = [told for (told,) in rows(opened, "gates").values()]
    assert {told.startswith("closed") for told in words} == {True, False}


def test_shift_and_arrows_choose_it_and_an_arrow_alone_lets_go(opened) -> None:
    opened.frame("norms").focus()
    press = opened.page.keyboard.press
    press("Home")
    press("ArrowRight")
    press("Shift+ArrowRight")
    press("Shift+ArrowRight")
    assert steps_told(opened) == "2 to 4"
    press("Shift+ArrowLeft")
    press("Shift+ArrowLeft")
    assert steps_told(opened) == ""
    press("Shift+ArrowLeft")
    assert steps_told(opened) == "1 to 2"
    press("ArrowRight")
    assert steps_told(opened) == ""


def test_a_click_is_no_range_and_lets_go_of_one(opened) -> None:
    drag(opened, "units", 3, 8)
    opened.hover("units", 4.5 / T, 0.5 / H)
    opened.page.mouse.down()
    opened.page.mouse.up()
    assert steps_told(opened) == "" and opened.said("units").startswith("t = 5, ")


def test_an_address_restores_it_also_in_a_difference_and_at_another_model(
    browser, opened, path
) -> None:
    drag(opened, "units", 3, 8)
    opened.page.locator("#less").select_option("1")
    assert steps_told(opened) == "3 to 8" and opened.marked("units")[1] > 5 / T
    opened.page.locator("#models input").nth(1).check()
    opened.page.wait_for_url(re.compile("model=1.*from=3"))
    again = Opened(browser, path, "#" + opened.page.url.partition("#")[2])
    assert steps_told(again) == "3 to 8" and rows(again, "norms") == rows(opened, "norms")
    again.hover("units", 0.5 / T, 0.5 / H)
    assert steps_told(again) == "3 to 8"
    again.context.close()
    odd = Opened(browser, path, "#from=99&step=2")
    assert steps_told(odd) == f"2 to {T}" and odd.complaints == []
    odd.context.close()


def test_a_finger_chooses_it(browser, path) -> None:
    page = Opened(browser, path, viewport={"width": 390, "height": 800}, has_touch=True)
    page.frame("units").scroll_into_view_if_needed()
    box = page.frame("units").bounding_box()
    touch = page.context.new_cdp_session(page.page)
    for kind, t in (("touchStart", 2), ("touchMove", 4), ("touchMove", 6), ("touchEnd", 6)):
        point = {"x": box["x"] + (t - 0.5) / T * box["width"], "y": box["y"] + 5}
        points = [] if kind == "touchEnd" else [point]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    assert steps_told(page) == "2 to 6" and page.complaints == []
    page.context.close()


def test_of_a_long_flow_a_range_is_of_whole_runs(browser, tmp_path) -> None:
    model = lstm.Model.create(lstm.LSTM(2, 3), 1, 0)
    xs = np.random.default_rng(1).standard_normal((600, 2, 2))
    flow = lstm.flow(model, xs, np.ones((2, 1)))
    page = Opened(browser, flow.save(tmp_path / "long.html"))
    page.frame("units").focus()
    page.page.keyboard.press("End")
    page.page.keyboard.press("Shift+ArrowLeft")
    assert steps_told(page) == "596 to 600"
    least, _, most = rows(page, "norms")["|∂L/∂Cₜ|"]
    norms = flow.series["C"].norms[595:]
    assert [float(least), float(most)] == [four_digits(min(norms)), four_digits(max(norms))]
    for name, (told,) in rows(page, "gates").items():
        least = min(flow.gates[name.partition(",")[0]].mean[595:])
        assert number_in(told) == four_digits(least)
    page.context.close()


def test_a_gate_of_exactly_0_is_closed(browser, tmp_path) -> None:
    model = lstm.Model.create(lstm.LSTM(2, H), 1, 3)
    for name, leaf in model.flat_params.items():
        if name.endswith("b_i"):
            leaf.value = leaf.value - 1000
    flow = lstm.flow(model, np.ones((T, 3, 2)), np.ones((3, 1)))
    assert max(flow.gates["i"].mean) == 0
    page = Opened(browser, flow.save(tmp_path / "closed.html"))
    drag(page, "norms", 3, 8)
    told = {name.partition(",")[0]: words for name, (words,) in rows(page, "gates").items()}
    assert told["i"] == "closed, exactly 0 at t = 3"
    page.context.close()
