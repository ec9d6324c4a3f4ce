"""What the explorer's page costs: to write, to open, and to look around in.

    python benchmarks/explorer.py [--steps T] [--units H] [--moves N]

Two models, an RNN and an LSTM, on the adding problem, a batch of 8, at five moments of training,
with all arrays. The page is written, and opened in a headless Chromium, which Playwright drives and
traces (pip install '.[browser]'). benchmarks/README.md says how to read the table.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from arguments import count
from rich.console import Console
from rich.table import Table

import lstm

MOMENTS, BATCH = 5, 8
LOADS = 5  # the page is opened so often, in a fresh tab each time
CATEGORIES = ["devtools.timeline", "loading", "blink.user_timing", "disabled-by-default-devtools"]
WORK = {"EventDispatch", "TimerFire", "UpdateLayoutTree", "Layout", "PrePaint", "Paint", "Layerize"}
"""What the main thread does for a frame, by Chromium's names."""
LAST = "Layerize"
"""What ends a frame of them."""
MAPS = ("norms", "units", "gates")
Event = dict[str, Any]


def watched(steps: int, units: int) -> dict[str, lstm.FlowWatch]:
    """The two models, trained a little."""
    task, watches = lstm.Adding(length=steps), {}
    for name, cell in (("RNN", lstm.RNN), ("LSTM", lstm.LSTM)):
        watches[name] = lstm.FlowWatch(every=1, arrays=True)
        model = lstm.Model.create(cell(2, units), task=task, seed=0)
        settings = lstm.Settings(steps=MOMENTS, batch=BATCH)
        list(lstm.train(model, task, settings, watch=watches[name]))
    return watches


def first_paints(browser: Any, path: Path) -> list[tuple[float, float, float]]:
    """Milliseconds from each navigation to the first paint, to that of content, and until one saw
    that the script has ended."""
    times = []
    for _ in range(LOADS):
        page = browser.new_page(viewport={"width": 1366, "height": 900})
        browser.start_tracing(page=page, categories=CATEGORIES)
        page.goto(path.as_uri())
        page.wait_for_selector("#explorer[data-ready]")
        ready = page.evaluate("performance.now()")
        page.wait_for_timeout(300)
        events = json.loads(browser.stop_tracing())["traceEvents"]
        start = [e["ts"] for e in events if e["name"] == "navigationStart"][-1]
        at = {e["name"]: (e["ts"] - start) / 1000 for e in events}
        times.append((at["firstPaint"], at["firstContentfulPaint"], ready))
        page.close()
    return times


def hovers(browser: Any, path: Path, moves: int) -> dict[str, list[tuple[float, float, float]]]:
    """{map: of each move of the mouse over it, milliseconds from the input event to the end of what
    the main thread does for the frame after it, how many of them that thread was running, and how
    many it ran for later frames, in which the graph follows}."""
    page = browser.new_page(viewport={"width": 1366, "height": 900})
    page.goto(path.as_uri() + "#model=1")  # which has gates
    page.wait_for_selector("#explorer[data-ready]")
    took = {}
    for key in MAPS:
        canvas = page.locator(f"figure[data-map={key}] canvas")
        canvas.scroll_into_view_if_needed()
        box = canvas.bounding_box()
        browser.start_tracing(page=page, categories=CATEGORIES)
        for k in range(moves):
            across, down = (k * 0.37 + 0.01) % 1, (k * 0.61 + 0.01) % 1
            page.mouse.move(box["x"] + across * box["width"], box["y"] + down * box["height"])
            page.wait_for_timeout(40)
        took[key] = [*frames(json.loads(browser.stop_tracing())["traceEvents"])]
    page.close()
    return took


def frames(events: list[Event]) -> Iterator[tuple[float, float, float]]:
    """The three times of each move that had a frame of its own."""
    moves = [e for e in events if e["name"] == "EventDispatch" and _type(e) == "pointermove"]
    moves.sort(key=lambda e: e["ts"])
    for move, after in zip(moves, [*moves[1:], {"ts": float("inf")}], strict=True):
        work = [
            e
            for e in events
            if e["name"] in WORK
            and (e["pid"], e["tid"]) == (move["pid"], move["tid"])
            and move["ts"] <= e["ts"] < after["ts"]
        ]
        ends = [e["ts"] + e.get("dur", 0) for e in work if e["name"] == LAST]
        if ends:
            end = min(ends)
            took = [(e["ts"] < end, e.get("tdur", 0) / 1000) for e in _outermost(work)]
            first, later = (
                sum(ms for is_first, ms in took if is_first is k) for k in (True, False)
            )
            yield (end - move["ts"]) / 1000, first, later


def _outermost(events: list[Event]) -> Iterator[Event]:
    """Those that are no part of another."""
    end = 0.0
    for event in sorted(events, key=lambda e: (e["ts"], -e.get("dur", 0))):
        if event["ts"] >= end:
            end = event["ts"] + event.get("dur", 0)
            yield event


def _type(event: Event) -> Any:
    return event.get("args", {}).get("data", {}).get("type")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--steps", type=count, default=1000, help="of the sequence")
    parser.add_argument("--units", type=count, default=64, help="of each model")
    parser.add_argument("--moves", type=count, default=100, help="of the mouse, over each map")
    told = parser.parse_args()
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        sys.exit("playwright is not installed: pip install '.[browser]'")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        sys.exit("chromium is not installed: apt-get install chromium")
    watches = watched(told.steps, told.units)
    table = Table(title=f"T = {told.steps}, H = {told.units}, 2 models, {MOMENTS} moments")
    for head in ("", "median", "worst"):
        table.add_column(head, justify="left" if not head else "right")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        path = Path(folder) / "page.html"
        began = time.process_time()
        lstm.explore(watches).save(path)
        table.add_row("written, CPU s", f"{time.process_time() - began:.2f}", "")
        table.add_row("bytes", f"{path.stat().st_size:,}", "")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        labels = ("first paint, ms", "first content, ms", "ready, ms")
        columns = zip(*first_paints(browser, path), strict=True)
        rows = dict(zip(labels, columns, strict=True))
        for key, times in hovers(browser, path, told.moves).items():
            wall, first, later = zip(*times, strict=True)
            rows[f"hover over {key}, ms ({len(times)} moves)"] = wall
            rows[f"of them at work over {key}"] = first
            rows[f"and for the graph after it, from {key}"] = later
        version = browser.version
        browser.close()
    for label, times in rows.items():
        table.add_row(label, f"{median(times):.1f}", f"{max(times):.1f}")
    table.caption = f"Chromium {version}"
    Console().print(table)


if __name__ == "__main__":
    main()
