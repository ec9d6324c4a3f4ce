"""The explorer of a net with attention: by which ways its gradient comes back to each step."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from browsing import Opened, four_digits

import lstm
from lstm.gradient_flow import attention_routes
from lstm.tasks.reverse import Reverse

pytestmark = pytest.mark.usefixtures("by_numpy")


def test_a_map_tells_what_came_through_attention_and_what_by_the_decoders_start(
    browser, tmp_path
) -> None:
    task = Reverse(longest=5)
    model = lstm.Model.create(lstm.LSTM, task=task, hidden_size=4, attention="dot")
    xs, ys, lengths = task.batch(np.random.default_rng(0), 3)
    flow = lstm.flow(model, xs, ys, lengths=lengths)
    path: Path = flow.save(tmp_path / "flow.html")
    norms = attention_routes(model, xs, ys, lengths=lengths).norms
    page = Opened(browser, path, viewport={"width": 1366, "height": 900})
    names = page.page.locator("figure[data-map=routes] .names span").all_inner_texts()
    assert names == ["attention at step t", "attention at later steps", "the decoder's start"]
    for row, part in enumerate(("at_once", "later", "start")):
        for t in (1, flow.steps):
            page.hover("routes", (t - 0.5) / flow.steps, (row + 0.5) / 3)
            told = page.said("routes").rpartition(": ")[2]
            norm = norms[part][t - 1]
            assert told == "exactly 0" if norm == 0.0 else float(told) == four_digits(norm)
    assert norms["later"][-1] == 0.0 < norms["later"][0]
    letters = "".join(page.page.locator(".words span").all_text_contents())
    assert letters == "".join(task.letters[k - 1] for k in xs[: lengths[0], 0])
    assert page.said("tokens").endswith("”")  # of a decoder's steps there are no rows for bows
    assert not page.page.locator("figure[data-map=tokens] .names span").first.is_visible()
    assert page.complaints == []
    page.context.close()


def test_without_attention_there_is_no_such_map(tmp_path) -> None:
    task = Reverse(longest=3)
    model = lstm.Model.create(lstm.LSTM, task=task, hidden_size=2)
    xs, ys, lengths = task.batch(np.random.default_rng(0), 2)
    lstm.flow(model, xs, ys, lengths=lengths).save(tmp_path / "flow.html")
    assert '"key":"routes"' not in (tmp_path / "flow.html").read_text(encoding="utf-8")
