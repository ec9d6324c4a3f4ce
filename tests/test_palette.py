"""The palette: colours are written in one place, told apart, and readable in both dresses."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import lstm
import minigrad
from minigrad.drawing import palette as pal

RAMP = pal.RAMP


def test_no_other_module_writes_a_colour() -> None:
    written = re.compile(r"#[0-9a-fA-F]{3}(?:[0-9a-fA-F]{3})?\b")
    folders = [Path(package.__file__ or "").parent for package in (minigrad, lstm)]
    files = [f for folder in folders for f in folder.rglob("*.py")]
    assert len(files) > 50
    found = [f.name for f in files if written.search(f.read_text(encoding="utf-8"))]
    assert found == ["palette.py"]


def test_dresses_have_the_same_names_and_no_colour_twice() -> None:
    assert pal.LIGHT.keys() == pal.DARK.keys()
    numbers = [*RAMP, *pal.SIDES, pal.ZERO, pal.UNDERFLOW, pal.DISCONNECTED, pal.NAN, pal.INF]
    every = [*pal.LIGHT.values(), *numbers, pal.BLACK, pal.WHITE]
    assert len(set(every)) == len(every)
    assert all(pal.name_of(color) == name for name, color in pal.LIGHT.items())
    assert all(pal.name_of(color) is None for color in [*numbers, pal.BLACK, pal.WHITE])


@pytest.mark.parametrize("dress", [pal.LIGHT, pal.DARK], ids=["light", "dark"])
def test_words_can_be_read_on_every_ground_of_a_dress(dress: dict[str, str]) -> None:
    for ground in ("page", "input", "param", "constant", "group", "lane"):
        assert pal.contrast(dress["ink"], dress[ground]) >= 7.0
        assert pal.contrast(dress["muted"], dress[ground]) >= 4.5
    assert pal.contrast(dress["wire"], dress["page"]) >= 3.0
    assert pal.contrast(dress["focus"], dress["page"]) >= 3.0
