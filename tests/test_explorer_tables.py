"""The explorer's page holds all numbers of each step in a table that is closed at first."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import numpy as np
import pytest

import lstm

pytestmark = pytest.mark.usefixtures("by_numpy")
HTML = "{http://www.w3.org/1999/xhtml}"


def test_a_page_has_all_numbers_of_each_flow_folded(tmp_path) -> None:
    xs, ys = np.random.default_rng(0).standard_normal((7, 2, 2)), np.ones((2, 1))
    models = [lstm.Model.create(cell(2, 3), 1, seed=0) for cell in (lstm.RNN, lstm.LSTM)]
    flows = [lstm.flow(model, xs, ys) for model in models]
    flows[1].save(tmp_path / "one.html")
    lstm.compare(*flows).save(tmp_path / "two.html")
    for name, wanted in (("one", flows[1:]), ("two", flows)):
        root = ET.parse(tmp_path / f"{name}.html").getroot()
        folds = [*root.iter(f"{HTML}details")]
        assert len(folds) == len(wanted) and all("open" not in fold.attrib for fold in folds)
        for fold, flow in zip(folds, wanted, strict=True):
            columns = flow.table()
            rows = [
                ["".join(cell.itertext()) for cell in row]
                for row in next(fold.iter(f"{HTML}tbody"))
            ]
            assert len(rows) == 7
            for t, (first, *cells) in enumerate(rows):
                numbers = [column[t] for column in columns.values()]
                assert first == str(t + 1) == str(numbers[0])
                assert cells == [f"{x:.3g}" for x in numbers[1:]]
