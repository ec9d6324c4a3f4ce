"""A page opened in a headless Chromium, and whatever it complains of or asks for."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)


@contextmanager
def chromium() -> Iterator[Any]:
    """The browser; tests are skipped where there is none, or nothing that drives it. CI's run with
    .[browser] installs Chromium: there a skip for the lack of it fails the run."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        pytest.skip("playwright is not installed: pip install '.[browser]'")
    if CHROMIUM is None:
        pytest.skip("chromium is not installed: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


class Opened:
    """A page from a file, once its script has shown its data."""

    def __init__(self, browser: Any, path: Path, fragment: str = "", **options: Any) -> None:
        self.context = browser.new_context(**options)
        self.page = self.context.new_page()
        self.asked: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(path.as_uri() + fragment)
        try:
            self.page.wait_for_selector("#explorer[data-ready]")
        except Exception as error:
            error.add_note("; ".join(self.complaints))
            raise

    def frame(self, key: str) -> Any:
        """What holds the cells of a map."""
        return self._shown(key, ".frame")

    def _shown(self, key: str, what: str) -> Any:
        """A part of a map of the model that is chosen."""
        return self.page.locator(f"figure[data-map={key}]:visible {what}")

    def hover(self, key: str, across: float, down: float) -> None:
        """Point at a place of a map, in shares of its size."""
        self.frame(key).scroll_into_view_if_needed()
        box = self.frame(key).locator("canvas").bounding_box()
        self.page.mouse.move(box["x"] + across * box["width"], box["y"] + down * box["height"])

    def said(self, key: str) -> str:
        """What is said of the place where one looks."""
        text: str = self._shown(key, "output").inner_text()
        return text

    def colors(self, key: str, places: list[tuple[float, float]]) -> list[list[int]]:
        """Red, green, blue and opacity of some places of a map, in shares of its size."""
        colors: list[list[int]] = self._shown(key, "canvas").evaluate(
            """(drawn, places) => {
              const copy = new OffscreenCanvas(drawn.width, drawn.height);
              const pen = copy.getContext("2d", { willReadFrequently: true });
              pen.drawImage(drawn, 0, 0);
              const at = ([x, y]) => [Math.floor(x * drawn.width), Math.floor(y * drawn.height)];
              return places.map((place) => [...pen.getImageData(...at(place), 1, 1).data]);
            }""",
            places,
        )
        return colors

    def marked(self, key: str) -> tuple[float, float]:
        """Where the mark of a map begins and how wide it is, in shares of the map."""
        frame = self.frame(key).locator("canvas").bounding_box()
        mark = self._shown(key, ".mark").bounding_box()
        return (mark["x"] - frame["x"]) / frame["width"], mark["width"] / frame["width"]


@contextmanager
def quiet_page(browser: Any, path: Path, **options: Any) -> Iterator[Opened]:
    """A page that complains of nothing, and asks for nothing but itself, for as long as it is
    open."""
    page = Opened(browser, path, **options)
    yield page
    assert page.complaints == [] and page.asked == [path.as_uri()]
    page.context.close()


def numbers_in(text: str) -> list[float]:
    """The numbers after the last colon."""
    tail = text.rpartition(":")[2]
    return [float(number) for number in re.findall(r"\d+(?:\.\d+)?(?:e[+-]\d+)?", tail)]


def four_digits(number: float) -> float:
    """A number as the page has it.

    >>> four_digits(0.0234567)
    0.02346
    """
    return float(f"{number:.3e}")
