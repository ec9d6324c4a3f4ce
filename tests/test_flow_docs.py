"""The page on flows: its code runs as printed, and its table names what a flow has."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

import lstm

PAGE = (Path(__file__).parent.parent / "docs" / "flow.md").read_text()


def test_the_code_of_the_page_runs(capsys) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.S)
    exec(compile(code, "docs/flow.md", "exec"), {})
    said = capsys.readouterr().out
    assert "(60, 32, 16)" in said and "Knockout(" in said


def test_shapes_are_as_the_table_says() -> None:
    model = lstm.Model.create(lstm.LSTM(2, 4), 1, 0)
    xs, ys = lstm.Adding(length=6).batch(np.random.default_rng(0), 3)
    flow, sizes = lstm.flow(model, xs, ys), {"T": 6, "B": 3, "H": 4}
    rows = re.findall(r"^\| (`[^|]*`) \| \(([^|)]*)\) \|", PAGE, re.M)
    assert len(rows) >= 6
    for names, shape in rows:
        for name in re.findall(r"`([^`]*)`", names):
            array = eval(f"flow.{name}", {"flow": flow})
            dims = shape.replace("T − 1", "5").replace(
                "links", str(len(flow.waterfalls["f"].links))
            )
            expected = tuple(sizes.get(d.strip(), d.strip()) for d in dims.split(",") if d.strip())
            assert array.shape == tuple(int(d) for d in expected), name
