"""The explorer's page for whoever shows it, prints it, or does not see it; and its graphs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from browsing import Opened, numbers_in, quiet_page

import lstm

NO_AXE = "axe-playwright-python is not installed: pip install '.[browser]'"


@pytest.fixture(scope="module")
def path(demo) -> Path:
    folder: Path = demo[0]
    return folder / "index.html"


@pytest.fixture(scope="module")
def small(by_numpy, tmp_path_factory) -> Path:
    """A page of two models without the graph, whose many parts take axe long."""
    xs, ys = np.ones((8, 2, 2)), np.ones((2, 1))
    models = [lstm.Model.create(cell(2, 3), 1, seed=0) for cell in (lstm.RNN, lstm.LSTM)]
    both = lstm.compare(*[lstm.flow(model, xs, ys) for model in models])
    saved: Path = both.save(tmp_path_factory.mktemp("small") / "both.html")
    return saved


@pytest.fixture(scope="module")
def opened(browser, path) -> Iterator[Opened]:
    with quiet_page(browser, path, reduced_motion="reduce") as page:
        yield page


def test_the_demos_page_is_the_explorer_of_both_models_before_and_after(opened, demo) -> None:
    flows = demo[2]
    for model, (before, after) in enumerate(flows.values()):
        opened.page.locator("#models input").nth(model).check()
        for moment, flow in enumerate((before, after)):
            opened.page.locator("#moment").fill(str(moment))
            assert (
                opened.page.locator("#when").inner_text()
                == f"{('before', 'after')[moment]} training"
            )
            opened.frame("norms").focus()
            opened.page.keyboard.press("Home")
            norm = flow.main.norms[0]
            assert numbers_in(opened.said("norms")) == [float(f"{norm:.3e}")]


def test_the_tour_has_five_stops_at_most_and_shows_each_where_it_is(opened, demo) -> None:
    rnn, _ = (after for _, after in demo[2].values())
    on, words = opened.page.locator("#tour-on"), opened.page.locator("#tour-words")
    assert on.inner_text() == "Show me around"
    on.click()
    count = int(re.match(r"1 of (\d)", words.inner_text())[1])
    assert 3 <= count <= 5
    assert opened.said("norms").startswith(f"t = {rnn.steps}, ")
    told = [words.inner_text()]
    for _ in range(count - 1):
        on.click()
        told.append(words.inner_text())
    assert [text[:6] for text in told] == [f"{k + 1} of {count}" for k in range(count)]
    assert rnn.diagnosis[0] in told[1]
    assert opened.page.locator("#less").input_value() == "0"
    assert opened.said("norms").startswith("t = 1, ")
    opened.page.locator("#tour-back").click()
    assert words.inner_text() == told[-2]
    on.click()
    assert on.inner_text() == "End"
    on.click()
    assert words.inner_text() == "" and on.inner_text() == "Show me around"


def test_a_graph_is_zoomed_and_searched(opened) -> None:
    section = opened.page.locator("section.pictured", has=opened.page.locator(".scroll.wide"))
    frame = section.locator(".scroll.wide")
    svg = frame.locator("svg")
    width = svg.bounding_box()["width"]
    section.get_by_role("button", name="larger").click()
    assert svg.bounding_box()["width"] == pytest.approx(1.25 * width, rel=0.01)
    frame.focus()
    opened.page.keyboard.press("-")
    opened.page.keyboard.press("-")
    assert svg.bounding_box()["width"] == pytest.approx(width / 1.25, rel=0.01)
    opened.page.keyboard.press("0")
    assert svg.bounding_box()["width"] == pytest.approx(width, rel=0.01)
    search, count = section.get_by_role("searchbox"), section.locator(".toolbar output")
    search.fill("tanh")
    found = count.inner_text()
    many = svg.locator("g.node.match").count()
    assert many > 1 and found == f"1 of {many}" and svg.locator("g.node.at").count() == 1
    search.press("Enter")
    assert count.inner_text() == f"2 of {many}"
    search.press("Shift+Enter")
    search.press("Shift+Enter")
    assert count.inner_text() == f"{many} of {many}"
    search.fill("no such node")
    assert count.inner_text() == "0 of 0"
    search.fill("")
    assert svg.locator("g.node.match").count() == 0 and count.inner_text() == ""


@pytest.mark.parametrize("motion", ["reduce", "no-preference"])
def test_with_reduced_motion_the_tour_goes_there_at_once(browser, small, motion) -> None:
    page = Opened(browser, small, reduced_motion=motion, viewport={"width": 800, "height": 300})
    click = "document.getElementById('tour-on').click()"
    at_once = page.page.evaluate(f"() => {{ {click}; return scrollY; }}")
    for _ in range(100):
        if page.page.locator("#tour").bounding_box()["y"] < 20:
            break
        page.page.wait_for_timeout(50)
    assert page.page.locator("#tour").bounding_box()["y"] < 20
    assert (page.page.evaluate("scrollY") == at_once) is (motion == "reduce")
    page.context.close()


def test_printed_there_are_no_controls_and_the_maps_are(opened) -> None:
    opened.page.emulate_media(media="print")
    for shown, what in (
        (False, "#controls"),
        (False, "#tour"),
        (False, ".toolbar"),
        (True, "canvas"),
    ):
        assert opened.page.locator(what).first.is_visible() is shown
    opened.page.emulate_media(media="screen")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(browser, small, scheme) -> None:
    pytest.importorskip("axe_playwright_python", reason=NO_AXE)
    axe = (files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")
    page = Opened(
        browser, small, "#from=3", color_scheme=scheme, viewport={"width": 1366, "height": 900}
    )
    page.page.evaluate(axe)
    rules = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
    result = page.page.evaluate("(rules) => axe.run({ runOnly: rules })", rules)
    faults = [(v["id"], v["nodes"][0]["html"][:120]) for v in result["violations"]]
    assert faults == [] and len(result["passes"]) > 20
    page.context.close()


@pytest.mark.parametrize("width", [320, 390])
def test_on_a_phone_nothing_but_tables_and_pictures_is_wider_than_the_screen(
    browser, path, width
) -> None:
    page = Opened(browser, path, viewport={"width": width, "height": 800}, has_touch=True)
    assert page.page.evaluate("document.documentElement.scrollWidth") <= width
    page.frame("units").tap()
    assert page.said("units").startswith("t = ")
    page.context.close()


def test_underflow_zero_and_numbers_look_and_read_differently(browser, tmp_path, by_numpy) -> None:
    """An RNN whose gradient underflows in float32 some way back."""
    model = lstm.Model.create(lstm.RNN(1, 2), 1, 0)
    for name, leaf in model.flat_params.items():
        if name.endswith("W_h"):
            leaf.value = leaf.value * 0.02
    xs = np.ones((60, 1, 1), np.float32)
    flow = lstm.flow(model, xs, np.ones((1, 1)))
    assert flow.main.kinds[0] == "underflow"
    flow.save(tmp_path / "lost.html")
    page = Opened(browser, tmp_path / "lost.html")
    page.frame("norms").focus()
    page.page.keyboard.press("Home")
    assert page.said("norms").endswith(": underflow")
    downs = np.linspace(0.05, 0.95, 12).tolist()
    for t in range(1, 61):  # of a texture one sees the page behind
        pixels = page.colors("norms", [((t - 0.5) / 60, down) for down in downs])
        look = flow.scale.look(flow.main.norms[t - 1], flow.main.kinds[t - 1])
        assert (min(pixel[3] for pixel in pixels) == 255) == (look.kind == "normal"), t
    legend = page.page.locator("#legend").inner_text()
    assert "underflow" in legend and "below the scale" in legend
    rows = page.page.locator(".equations tbody tr").first.locator("td").all_inner_texts()
    assert "underflow" in rows[2]
    page.context.close()
