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


@pytest.mark.parametrize("attention", ["dot", "hard"])
def test_where_the_decoder_looks_is_told_token_by_token_of_each_sequence(
    browser, tmp_path, attention
) -> None:
    task = Reverse(longest=5)
    model = lstm.Model.create(lstm.LSTM, task=task, hidden_size=4, attention=attention)
    xs, ys, lengths = task.batch(np.random.default_rng(0), 3)
    flow = lstm.flow(model, xs, ys, lengths=lengths)
    weights = model.run(xs, targets=ys, lengths=lengths).attention.eval()
    page = Opened(browser, flow.save(tmp_path / "flow.html"))
    answers = ["end", *task.answers]
    for b in (0, 2):
        page.page.locator("#sequence").select_option(index=b)
        names = page.page.locator("figure[data-map=attention] .names span").all_inner_texts()
        assert names == [
            f"u = {u}" + (f" “{answers[k]}”" if k >= 0 else "") for u, k in enumerate(ys[:, b], 1)
        ]
        for u in range(len(ys)):
            for t in range(flow.steps):
                page.hover("attention", (t + 0.5) / flow.steps, (u + 0.5) / len(ys))
                told = page.said("attention")
                letter = f" “{task.letters[xs[t, b] - 1]}”" if t < lengths[b] else ""
                assert told.startswith(f"t = {t + 1}{letter}, {names[u]}: ")
                number, share = told.rpartition(": ")[2], float(weights[u, b, t])
                assert number == "exactly 0" if share == 0 else float(number) == four_digits(share)
    left, width = page.marked("units")
    assert left == pytest.approx((flow.steps - 1) / flow.steps, abs=0.02) and width > 0
    top = max(range(flow.steps), key=lambda t: weights[0, 2, t])
    share = float(weights[0, 2, top])
    low, high = (1 - x * share for x in (0.5, 1.3))  # within the bar, and above what it reaches
    inside = page.colors("attention", [((top + 0.5) / flow.steps, low / len(ys))])[0]
    assert inside[3] > 0
    if share < 0.7:
        above = page.colors("attention", [((top + 0.5) / flow.steps, high / len(ys))])[0]
        assert above[3] == 0
    assert page.complaints == []
    page.context.close()


def test_without_attention_there_is_no_such_map(tmp_path) -> None:
    task = Reverse(longest=3)
    model = lstm.Model.create(lstm.LSTM, task=task, hidden_size=2)
    xs, ys, lengths = task.batch(np.random.default_rng(0), 2)
    lstm.flow(model, xs, ys, lengths=lengths).save(tmp_path / "flow.html")
    page = (tmp_path / "flow.html").read_text(encoding="utf-8")
    assert '"key":"routes"' not in page and '"key":"attention"' not in page
