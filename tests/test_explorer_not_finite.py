"""The explorer of what is NaN, infinite, exactly 0 or beyond all floats: each is told as what it
is; and places of the page that there are not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browsing import Opened, quiet_page

import lstm
from lstm.gradient_flow.linear_maps import Waterfall

pytestmark = pytest.mark.usefixtures("by_numpy")
T = 4
INF, NAN = float("inf"), float("nan")

# {route: (decades at t = T, those that two links change between t = T and t = 1,
#          what is told at t = T, of each link, and at t = 1)}
FALLS = {
    "sound": ((-1.0, [-2.0, 1.0]), ["0.1", "−2.00", "+1.00", "0.01"]),
    "nan": ((NAN, [NAN, 1.0]), ["NaN", "NaN", "+1.00", "NaN"]),
    "inf": ((INF, [1.0, 2.0]), ["infinite", "+1.00", "+2.00", "infinite"]),
    "grows": ((0.0, [INF, 2.0]), ["1", "+∞", "+2.00", "infinite"]),
    "zero": ((-INF, [0.0, 0.0]), ["exactly 0", "+0.00", "+0.00", "exactly 0"]),
    "ends": ((0.0, [-INF, 2.0]), ["1", "−∞", "+2.00", "exactly 0"]),
    "far": ((0.5, [-60_000.0, 2.0]), ["3.162", "−60000.00", "+2.00", "3.162e-59998"]),
    "large": ((-0.5, [30_000.0, 0.5]), ["0.3162", "+30000.00", "+0.50", "1e+30000"]),
    "tiny": ((0.0, [-330.0, -0.00001]), ["1", "−330.00", "−0.00", "1e-330"]),
}


def measured(model: lstm.Model, xs: Any, ys: Any) -> lstm.Flow:
    with np.errstate(all="ignore"):
        return lstm.flow(model, xs, ys)


@pytest.fixture(scope="module")
def flows(by_numpy) -> dict[str, lstm.Flow]:
    model = lstm.Model.create(lstm.LSTM(2, 3), 1, 0)
    xs, ys = np.ones((T, 2, 2)), np.ones((2, 1))
    falls = {
        route: Waterfall(
            route, "C", start, ("f", "g"), np.array([changes, *[[0.0, 0.0]] * (T - 2)])
        )
        for route, ((start, changes), _) in FALLS.items()
    }
    made_up = measured(model, xs, ys)
    vars(made_up).update(waterfalls=falls, waterfall=falls["sound"])
    return {
        "made up": made_up,
        "NaN": measured(model, xs, ys * NAN),
        "infinite": measured(model, xs, ys * INF),
    }


@pytest.fixture(scope="module")
def opened(browser, flows, tmp_path_factory) -> Iterator[Opened]:
    path = lstm.explore(flows).save(tmp_path_factory.mktemp("odd") / "odd.html")
    with quiet_page(browser, path) as page:
        yield page


def fallen(opened: Opened) -> tuple[list[str], list[float]]:
    """What is told of the path, and how long the bars of its links are, in shares of the most."""
    rows = opened.page.locator("#fall tbody tr").all()
    bars = opened.page.locator("#fall .bar").all()
    shares = [2 * float(bar.evaluate("b => b.style.getPropertyValue('--share')")) for bar in bars]
    return [row.locator("td").last.inner_text() for row in rows], shares


@pytest.mark.parametrize("route", FALLS)
def test_a_path_is_told_as_what_it_is(opened, route) -> None:
    opened.page.locator("#models input").first.check()
    opened.page.locator("#step").fill("1")
    opened.page.locator("#step").press("Enter")
    opened.page.locator("#route").select_option(route)
    (_, changes), told = FALLS[route]
    most = max(1.0, *(abs(x) for x in changes if np.isfinite(x)))
    words, shares = fallen(opened)
    assert words == told
    wanted = [0.0 if np.isnan(x) else min(abs(x) / most, 1.0) for x in changes]
    assert shares == pytest.approx(wanted, abs=1e-4)


@pytest.mark.parametrize("model", ["NaN", "infinite"])
def test_a_loss_that_is_not_finite_gives_no_zeros(opened, flows, model) -> None:
    opened.page.get_by_role("radio", name=model, exact=True).check()
    words, shares = fallen(opened)
    start = flows[model].waterfall.start  # an infinite loss is NaN where its terms' signs differ
    assert words[0] == ("NaN" if np.isnan(start) else "infinite")
    assert words[-1] in ("NaN", "infinite") and not np.isfinite(start)
    assert np.isfinite(shares).all()
    norms = opened.page.locator("#norms tbody td").all_inner_texts()
    assert set(norms) <= {"NaN", "infinite"} and norms


@pytest.mark.parametrize(("typed", "step"), [("1.5", 2), ("2.4", 2), ("-3", 1), ("99", T), ("", T)])
def test_a_step_that_is_typed_is_the_nearest_that_there_is(opened, typed, step) -> None:
    opened.page.locator("#models input").first.check()
    field = opened.page.locator("#step")
    for value in (str(T), typed):
        field.fill(value)
        field.press("Enter")
    assert field.input_value() == str(step)
    assert opened.page.locator("#norms").inner_text().count("NaN") == 0
    assert opened.page.locator("#fall th").last.inner_text() == f"at t = {step}"


def test_an_address_that_is_changed_by_hand_shows_what_there_is(browser, flows, tmp_path) -> None:
    saved: Path = lstm.explore(flows["made up"]).save(tmp_path / "one.html")
    page = Opened(browser, saved)
    # What listens is told only of places that there are: an address may name others.
    page.page.evaluate("location.hash = '#model=7&moment=5&step=99&less=9&map=norms&row=50'")
    page.page.wait_for_function(f"document.getElementById('step').value === '{T}'")
    assert page.said("norms").startswith(f"t = {T}, ")
    assert page.complaints == []
    page.context.close()


def test_a_gate_that_is_nan_is_not_painted_as_closed(browser, tmp_path) -> None:
    xs = np.ones((T, 2, 2))
    xs[2:] = NAN
    flow = measured(lstm.Model.create(lstm.LSTM(2, 3), 1, 0), xs, np.ones((2, 1)))
    page = Opened(browser, flow.save(tmp_path / "nan.html"))
    page.frame("gates").scroll_into_view_if_needed()
    rows = len(flow.gates)
    head = [(x / 400, 0.15 / rows) for x in range(300, 400)]  # above any mean, in the last step
    known = [(x / 400, 0.02 / rows) for x in range(100)]
    assert any(colour[3] for colour in page.colors("gates", head))
    assert not any(colour[3] for colour in page.colors("gates", known))
    assert page.complaints == []
    page.context.close()
