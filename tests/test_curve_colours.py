"""Curves whose colour is no number: of the theme, from the palette, and told apart by all eyes."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from itertools import combinations

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.colors import to_hex, to_rgb
from matplotlib.rcsetup import cycler

import lstm
from lstm.figures.line_looks import look_of_line
from lstm.tasks.movie import Movie
from minigrad.drawing import charts
from minigrad.drawing import palette as pal
from minigrad.drawing.charts import Chart

# Machado, Oliveira & Fernandes, "A physiologically-based model for simulation of color vision
# deficiency" (2009), table 1, severity 1.0: of linear RGB.
PROTANOPIA = [
    [0.152286, 1.052583, -0.204868],
    [0.114503, 0.786281, 0.099216],
    [-0.003882, -0.048116, 1.051998],
]
DEUTERANOPIA = [
    [0.367322, 0.860646, -0.227968],
    [0.280085, 0.672501, 0.047413],
    [-0.011820, 0.042940, 0.968881],
]
# OKLab of linear RGB: Ottosson, "A perceptual color space for image processing" (2020).
CONES = [
    [0.4122214708, 0.5363325363, 0.0514459929],
    [0.2119034982, 0.6806995451, 0.1073969566],
    [0.0883024619, 0.2817188376, 0.6299787005],
]
LAB = [
    [0.2104542553, 0.7936177850, -0.0040720468],
    [1.9779984951, -2.4285922050, 0.4505937099],
    [0.0259040371, 0.7827717662, -0.8086757660],
]


def seen(color, eyes):
    rgb = np.array(to_rgb(color))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return LAB @ np.cbrt(CONES @ np.clip(eyes @ linear, 0.0, 1.0))


@pytest.mark.parametrize("dress", [pal.LIGHT, pal.DARK], ids=["light", "dark"])
def test_curves_are_legible_and_told_apart(dress):
    colors = [dress[name] for name in pal.CURVES]
    assert len(colors) == 6
    assert min(pal.contrast(color, dress["page"]) for color in colors) >= 4.5
    for eyes in (np.eye(3), np.array(PROTANOPIA), np.array(DEUTERANOPIA)):
        for a, b in combinations(colors, 2):
            assert np.linalg.norm(seen(a, eyes) - seen(b, eyes)) > 0.1  # 0.02 can just be told


SCORES = {"RNN": {5: [1.0, 0.9], 50: [0.25, 0.2]}, "LSTM": {5: [1.0, 1.0], 500: [0.99, 1.0]}}


@pytest.mark.parametrize("theme", ["light", "dark", "auto"])
def test_curves_are_in_the_dress_of_their_theme(theme):
    with charts.drawn_in(theme):
        ax = lstm.plot_accuracy(SCORES)
    dress = pal.DARK if theme == "dark" else pal.LIGHT
    colors = [to_hex(line.get_color()) for line in ax.lines if line.get_label() in SCORES]
    assert colors == [dress["curve1"], dress["curve2"]]
    svg = Chart(ax.figure, title="scores", description="scores", theme=theme).svg
    drawn = set(re.findall(r'stroke="(#\w{6})"', svg))
    assert {dress["curve1"], dress["curve2"]} <= drawn
    assert not {to_hex("tab:blue"), to_hex("tab:orange")} & drawn
    follows = re.findall(r"stroke-curve\d\{stroke:light-dark\((#\w+),(#\w+)\)", svg)
    every = [(pal.LIGHT[name], pal.DARK[name]) for name in pal.CURVES]
    assert follows == (every if theme == "auto" else [])


def test_marks_and_ticks_leave_their_colours_to_their_uses():
    """A rule such as "#picture .stroke-curve1" does not reach into what a <use> refers to."""
    with charts.drawn_in("auto"):
        ax = lstm.plot_accuracy(SCORES)
    svg = Chart(ax.figure, title="scores", description="scores", theme="auto").svg
    root = ET.fromstring(svg)
    refers = "{http://www.w3.org/1999/xlink}href"
    uses = [e for e in root.iter() if e.tag.endswith("}use")]
    named = {str(e.get(refers)).removeprefix("#") for e in uses}
    shapes = [e for e in root.iter() if e.get("id") in named]
    assert len(shapes) >= 4  # the marks of two cells, and ticks of both axes
    assert not [e.attrib for e in shapes if {"fill", "stroke"} & e.attrib.keys()]
    classes = {name for e in uses for name in str(e.get("class")).split()}
    assert {"stroke-curve1", "stroke-curve2", "stroke-muted"} <= classes


def test_a_style_of_ones_own_has_its_own_colours():
    with mpl.rc_context({"axes.prop_cycle": cycler(color=["red", "lime"])}):
        looks = [look_of_line(k) for k in range(3)]
    assert [to_hex(look["color"]) for look in looks] == ["#ff0000", "#00ff00", "#ff0000"]
    assert [look["ls"] for look in looks] == ["-", "--", "-."]


def test_what_is_looked_at_stands_out_in_a_dark_film():
    task = Movie(frames=4, scenes=2)
    model = lstm.Model.create(lstm.RNN, task=task, hidden_size=2)
    for theme, dress in (("dark", pal.DARK), ("light", pal.LIGHT)):
        with charts.drawn_in(theme):
            ax = lstm.plot_film({"RNN": model}, task)
        assert dress["focus"] in {to_hex(p.get_edgecolor()) for p in ax.patches}
