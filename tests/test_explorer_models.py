"""The explorer of several models at several moments, in a browser: what is chosen is shown."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from browsing import Opened, four_digits, numbers_in, quiet_page

import lstm
from minigrad.drawing import Scale

pytestmark = pytest.mark.usefixtures("by_numpy")
T, H = 9, 4
EVIL = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def watches(by_numpy) -> dict[str, lstm.FlowWatch]:
    task, made = lstm.Adding(length=T), {}
    for name, cell in (("RNN", lstm.RNN), (EVIL, lstm.LSTM)):
        made[name] = lstm.FlowWatch(every=8, arrays=True)
        model = lstm.Model.create(cell(2, H), task=task, seed=1)
        settings = lstm.Settings(steps=9, batch=3)
        list(lstm.train(model, task, settings, watch=made[name]))
    return made


@pytest.fixture(scope="module")
def path(watches, tmp_path_factory) -> Path:
    saved: Path = lstm.explore(watches).save(tmp_path_factory.mktemp("models") / "both.html")
    return saved


@pytest.fixture(scope="module")
def opened(browser, path) -> Iterator[Opened]:
    with quiet_page(browser, path) as page:
        yield page


def choose(opened: Opened, model: int, moment: int, less: int = -1) -> None:
    opened.page.locator("#models input").nth(model).check()
    opened.page.locator("#moment").fill(str(moment))
    opened.page.locator("#less").select_option(str(less))


def cells(opened: Opened, table: str) -> list[list[str]]:
    rows = opened.page.locator(f"{table} tbody tr").all()
    return [row.locator("th, td").all_inner_texts() for row in rows]


def test_models_are_switched_and_the_slider_goes_over_moments(opened, watches) -> None:
    for model, watch in enumerate(watches.values()):
        for moment, (step, flow) in enumerate(watch):
            choose(opened, model, moment)
            opened.hover("units", 3.5 / T, 1.5 / H)
            wanted = flow.unit_norms[flow.main.symbol][3, 1]
            assert numbers_in(opened.said("units")) == [four_digits(wanted)]
            assert opened.page.locator("#when").inner_text() == f"after {step} steps of training"
            assert flow.diagnosis[0] in opened.page.locator("#finding").inner_text()
    assert opened.page.locator("#finding img").count() == 0
    assert opened.page.locator("#models label").all_inner_texts() == [" RNN", f" {EVIL}"]


def test_a_cell_without_gates_has_no_map_of_them(opened) -> None:
    for model, isthere in ((0, False), (1, True)):
        choose(opened, model, 0)
        assert opened.page.locator("figure[data-map=gates]").is_visible() is isthere


def test_one_less_another_is_told_in_decades_with_both_numbers(opened, watches) -> None:
    rnn, own = (watch.flows[8] for watch in watches.values())
    choose(opened, 1, 1, less=0)
    opened.hover("units", 2.5 / T, 0.5 / H)
    told = opened.said("units")
    both = [own.unit_norms["C"][2, 0], rnn.unit_norms["h"][2, 0]]
    decades, *numbers = numbers_in(told)
    assert numbers == [four_digits(x) for x in both]
    signed = float(np.log10(both[0] / both[1]))
    assert decades == pytest.approx(abs(signed), abs=0.006)
    assert ("−" in told) == (signed < 0)
    assert "in decades" in opened.page.locator("figure[data-map=units] h3").inner_text()
    opened.hover("norms", 0.5 / T, 0.5)
    first = np.log10(own.series["C"].norms[0] / rnn.series["h"].norms[0])
    assert numbers_in(opened.said("norms"))[0] == pytest.approx(abs(float(first)), abs=0.006)
    assert opened.page.locator("#legend-less").is_visible()
    # Of itself at its first moment: nothing has changed there, and no number is on either side.
    choose(opened, 1, 0, less=1)
    opened.hover("units", 2.5 / T, 0.5 / H)
    assert ": as much, " in opened.said("units")
    choose(opened, 1, 1)
    assert not opened.page.locator("#legend-less").is_visible()


def test_the_step_shows_its_equations_with_what_they_get_back(opened, watches) -> None:
    flow = watches[EVIL].flows[8]
    choose(opened, 1, 1)
    opened.page.locator("#step").fill("5")
    opened.page.locator("#step").press("Enter")
    rows = cells(opened, ".equations:not([hidden])")
    assert len(rows) == 6
    by_name = dict(zip(("f", "i", "C̃", "C", "o", "h"), rows, strict=True))
    for name, (_, _, value, adjoint, _) in by_name.items():
        of_value = np.linalg.norm(flow.values[name][4].astype(float))
        assert float(value) == four_digits(float(of_value))
        if name in flow.series:
            assert float(adjoint) == four_digits(flow.series[name].norms[4])
    terms = dict(re.findall(r"(\S+)\s(exactly 0|[\d.e+-]+)", by_name["C"][4]))
    for reader, term in flow.edges["C"].items():
        size = float(np.linalg.norm(term[4].astype(float)))
        told = terms[reader]
        assert (told == "exactly 0") if size == 0 else (float(told) == four_digits(size)), reader
    norms = dict(cells(opened, "#norms"))
    assert float(norms["|∂L/∂Cₜ|"]) == four_digits(flow.series["C"].norms[4])
    scale = Scale.of(x for watch in watches.values() for _, one in watch for x in one.drawn_norms)
    for chip in opened.page.locator("#norms .chip").all():
        hexes = scale.style(float(chip.inner_text())).color
        colour = chip.evaluate("chip => getComputedStyle(chip).borderLeftColor")
        assert colour == f"rgb({', '.join(str(int(hexes[k : k + 2], 16)) for k in (1, 3, 5))})"


def test_a_path_tells_what_it_lost_down_to_the_step(opened, watches) -> None:
    flow = watches[EVIL].flows[8]
    choose(opened, 1, 1)
    opened.page.locator("#step").fill("3")
    opened.page.locator("#step").press("Enter")
    for route, fall in flow.waterfalls.items():
        opened.page.locator("#route").select_option(route)
        first, *links, last = cells(opened, "#fall")
        assert [link[0] for link in links] == [*fall.links]
        lost = fall.decades[2:].sum(axis=0)
        for (_, _, number), wanted in zip(links, lost, strict=True):
            assert float(number.replace("−", "-")) == pytest.approx(wanted, abs=0.00501)
        bars = opened.page.locator("#fall td > div").all()
        most = max(1.0, *abs(lost))
        for bar, wanted in zip(bars, lost, strict=True):
            assert bar.get_attribute("class") == ("bar lost" if wanted < 0 else "bar won")
            share = float(bar.get_attribute("style").removeprefix("--share:").strip(" ;"))
            assert share == pytest.approx(abs(wanted) / most / 2, abs=1e-4)
        assert float(first[2]) == pytest.approx(10.0**fall.start, rel=6e-4)
        assert float(last[2]) == pytest.approx(10.0 ** (fall.start + lost.sum()), rel=6e-4)


def test_moments_of_one_name_are_compared_whatever_their_places(browser, watches, tmp_path) -> None:
    late = lstm.FlowWatch(arrays=True)
    late._flows = {8: watches[EVIL].flows[8]}
    early = lstm.FlowWatch(arrays=True)
    early._flows = {8: watches["RNN"].flows[8], 16: watches["RNN"].flows[0]}
    models = {"a": early, "b": watches[EVIL], "c": late}
    with quiet_page(browser, lstm.explore(models).save(tmp_path / "three.html")) as page:
        mine = four_digits(early.flows[8].main.norms[2])
        theirs = four_digits(watches[EVIL].flows[8].main.norms[2])
        for other in (1, 2):
            choose(page, 0, 0, less=other)
            page.hover("norms", 2.5 / T, 0.1)
            assert page.said("norms").endswith(f" decades, {mine:g} and {theirs:g}")
            assert "after 8 steps of training" in page.page.locator("#finding").inner_text()


def test_an_address_restores_where_one_looks(browser, opened, path) -> None:
    choose(opened, 1, 1, less=0)
    opened.hover("itemised", 2.5 / T, 6.5 / T)
    told = opened.said("itemised")
    opened.page.wait_for_url(re.compile("less=0.*map=itemised"))
    fragment = "#" + opened.page.url.partition("#")[2]
    again = Opened(browser, path, fragment)
    assert again.said("itemised") == told and told
    assert again.page.locator("#less").input_value() == "0"
    again.hover("itemised", 0.5 / T, 7.5 / T)
    assert again.said("itemised") == told  # the step that was handed on is kept
    again.frame("itemised").press("Escape")
    again.hover("itemised", 0.5 / T, 7.5 / T)
    assert again.said("itemised") != told
    again.context.close()
    choose(opened, 1, 1)
    for odd in ("#model=9&moment=99&step=999&map=none&row=77", "#step=<b>&less=5", "#step=-1&x"):
        lost = Opened(browser, path, odd)
        assert lost.complaints == [] and lost.page.locator("#step").input_value() in ("1", str(T))
        lost.context.close()


def test_a_notebook_shows_it_in_a_frame(browser, watches) -> None:
    shown = lstm.explore(watches[EVIL])._repr_mimebundle_()
    assert shown["text/plain"] == "Explorer of LSTM"
    frame = shown["text/html"]
    assert frame.startswith("<iframe srcdoc=") and frame.count("<") == 2
    assert html.unescape(frame.partition('srcdoc="')[2]).startswith("<!DOCTYPE html>")
    page = browser.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text))
    page.set_content(frame)
    inner = page.frame_locator("iframe")
    inner.locator("#explorer[data-ready]").wait_for(state="attached")
    inner.locator("figure[data-map=units] .frame").hover()
    assert inner.locator("figure[data-map=units] output").inner_text().startswith("t = ")
    inner.locator("#step").fill("2")
    inner.locator("#step").press("Enter")
    assert inner.locator("#fall th").last.inner_text() == "at t = 2"
    assert complaints == []
    page.close()


def test_a_long_name_makes_no_page_wide(browser, watches, tmp_path) -> None:
    flow = next(iter(watches[EVIL].flows.values()))
    saved = lstm.explore({"n" * 300: flow, "m" * 300: flow}).save(tmp_path / "long.html")
    for width in (390, 1366):
        page = Opened(browser, saved, viewport={"width": width, "height": 900})
        page.page.locator("#less").select_option("1")
        assert page.page.evaluate("document.documentElement.scrollWidth") <= width
        page.context.close()


def test_what_cannot_be_explored_is_told() -> None:
    with pytest.raises(lstm.ConfigError, match="explore takes a flow"):
        lstm.explore(3)
    with pytest.raises(lstm.ConfigError, match="'a' is a flow or a FlowWatch to explore, not str"):
        lstm.explore({"a": "b"})
    with pytest.raises(lstm.ConfigError, match="recorded nothing"):
        lstm.explore(lstm.FlowWatch())


def test_no_two_flows_have_one_name(watches) -> None:
    flow = watches["RNN"].flows[8]
    for names in ((1, "1"), (flow.heading, ""), ("", flow.heading)):
        with pytest.raises(lstm.ConfigError, match="two of what explore takes are called '"):
            lstm.explore(dict.fromkeys(names, flow))
    assert repr(lstm.explore({1: flow, "2": flow, "": flow})) == f"Explorer of 1, 2, {flow.heading}"
