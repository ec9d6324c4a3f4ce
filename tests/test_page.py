"""The page: one file, no request, well-formed, every text escaped."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from itertools import chain
from pathlib import Path

import numpy as np
import pytest

from lstm.cells import LSTM
from lstm.figures import write_flow
from lstm.figures.page import Section, page
from lstm.model import Model
from lstm.tasks import Adding
from minigrad.display import Table
from minigrad.drawing.palette import DARK, LIGHT

pytestmark = pytest.mark.usefixtures("by_numpy")

HTML = "{http://www.w3.org/1999/xhtml}"
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def html(demo) -> str:
    folder: Path = demo[0]
    return (folder / "index.html").read_text(encoding="utf-8")


def test_the_page_is_well_formed_and_asks_for_nothing(html: str) -> None:
    root = ET.fromstring(html)
    tags = {e.tag.rpartition("}")[2] for e in root.iter()}
    assert not tags & {"link", "img", "iframe", "object", "embed", "image"}
    scripts = [e.get("type") for e in root.iter(f"{HTML}script")]
    assert scripts == ["application/json", "text/plain", "module"]  # data, arrays, script
    attributes = [(k.rpartition("}")[2], v) for e in root.iter() for k, v in e.attrib.items()]
    assert not [k for k, _ in attributes if k in ("src", "srcset") or k.startswith("on")]
    assert all(v.startswith("#") for k, v in attributes if k == "href")
    styles = " ".join(e.text or "" for e in root.iter() if e.tag.endswith("style"))
    assert not re.search(r"@import|url\(", styles)
    assert "prefers-color-scheme: dark" in styles


def test_ids_are_unique_over_all_pictures(html: str) -> None:
    ids = [e.get("id") for e in ET.fromstring(html).iter() if e.get("id")]
    assert len(ids) == len(set(ids))


def test_the_page_answers_the_questions(html: str) -> None:
    root = ET.fromstring(html)
    words = " ".join("".join(e.itertext()) for e in root.iter() if e.tag.startswith(HTML))
    for wanted in (
        "0.0004",
        "÷ baseline",
        "gradient at t=1",
        "along the line",
        "What this does not",
    ):
        assert wanted in words
    assert "Solved means: all of them right." in words
    steps = root.findall(f".//{HTML}section[@class='explorer']//{SVG}svg")
    assert len(steps) == 2  # one of each model
    assert len(list(root.iter(f"{SVG}svg"))) - len(steps) == 5  # the charts twice
    assert sum(1 for _ in root.iter(f"{HTML}details")) == 4


def test_what_scrolls_can_be_reached_by_keyboard(html: str) -> None:
    for element in ET.fromstring(html).iter(f"{HTML}div"):
        if "scroll" in element.get("class", ""):
            assert element.get("tabindex") == "0"
            assert element.get("aria-label")


def test_every_text_is_escaped() -> None:
    evil = "<script>alert('1')</script> & \"q\" \x00\x1b\u202e"
    table = Table(evil, [[evil]], [evil])
    text = page(evil, [evil], [Section(evil, [evil], [evil], [table], "", evil, folded=[table])])
    root = ET.fromstring(text)
    assert not list(root.iter(f"{HTML}script"))
    assert "<script" not in text
    assert root.find(f".//{HTML}h1").text.startswith("<script>alert")


def test_the_page_has_both_dresses_of_the_palette_and_uses_no_colour_that_they_lack() -> None:
    css = page("t", [], []).partition("<style>")[2].partition("</style>")[0]
    light, dark = re.findall(r":root {([^}]*--[^}]*)}", css)
    for dress, colours in ((light, LIGHT), (dark, DARK)):
        assert dict(re.findall(r"--(\w+): (#\w+);", dress)) == colours
    assert css.index(dark) > css.index("prefers-color-scheme: dark") > css.index(light)
    assert set(re.findall(r"var\(--(\w+)\)", css)) <= {*LIGHT, "drawn"}


def _rules(css: str, media: str, rule: str = "@media") -> str:
    """What a style sheet says for one medium, in all its blocks."""
    _, *blocks = re.split(re.escape(f"{rule} {media}") + r"[^{]*{", css)
    assert blocks
    return "\n".join(map(_of_block, blocks))


def _of_block(css: str) -> str:
    """What comes before the brace that ends a block."""
    depth = 1
    for k, letter in enumerate(css):
        depth += {"{": 1, "}": -1}.get(letter, 0)
        if not depth:
            return css[:k]
    raise AssertionError("the braces do not match")


def test_printed_each_picture_has_a_page_and_tables_are_whole(html: str) -> None:
    css = html.partition("<style>")[2].partition("</style>")[0]
    printed = _rules(css, "print")
    whole = r"\.pictured {[^}]*break-before: page; break-after: page; break-inside: avoid;"
    assert re.search(whole, printed)
    for section in ET.fromstring(html).iter(f"{HTML}section"):
        pictured = section.get("class", "").split()
        if "explorer" in pictured:  # which has many figures: each is kept whole
            continue
        assert ("pictured" in pictured) == (section.find(f"{HTML}figure") is not None)
    assert ".narrow { display: none; }" in printed and ".broad { display: block; }" in printed
    assert re.search(r"\.scroll\.tall {[^}]*overflow: visible;[^}]*max-height: none", printed)
    assert re.search(r"tr {[^}]*break-inside: avoid", printed)
    assert "break-after: avoid" in printed  # a heading stays with what follows
    # A page is printed light, whatever the reader's scheme, and so are its pictures.
    schemes = re.findall(r"@media ([^{]*prefers-color-scheme: dark[^{]*)", html)
    assert [words.strip() for words in schemes] == ["screen and (prefers-color-scheme: dark)"]
    before, _, after = html.partition('<section class="explorer"')
    charts = before + after.partition("</section>")[2]
    assert charts.count("@media screen{:root#") == 5 and charts.count("light-dark(") % 5 == 0
    assert html.count("@media screen{:root#") == 7  # with the step's graph of each model
    assert ":root { color-scheme: light; }" in printed


def test_no_chart_is_shown_smaller_than_its_letters_can_be_read(html: str) -> None:
    css = html.partition("<style>")[2].partition("</style>")[0]
    assert re.search(r"\.fit svg {[^}]*min-width: var\(--drawn\)", css)
    root = ET.fromstring(html)
    charts = 0
    for div in root.iter(f"{HTML}div"):
        svg = div.find(f"{SVG}svg")
        if svg is None or "fit" not in div.get("class", ""):
            continue
        charts += 1
        assert div.get("style") == f"--drawn: {svg.get('width')}"
        assert svg.get("viewBox", "").split()[2] == svg.get("width", "").removesuffix("pt")
        told = {e for g in svg.iter() if g.get("class") == "told" for e in g.iter()}  # at the focus
        styles = [e.get("style", "") for e in svg.iter(f"{SVG}text") if e not in told]
        sizes = [float(x) for style in styles for x in re.findall(r"font-size: ([\d.]+)px", style)]
        assert len(sizes) == len(styles)
        assert min(sizes) * 96 / 72 >= 11.0  # a unit is a point here, and 11 pixels are the least
    assert charts == 4


MARGIN = re.compile(r"body {[^}]*padding: [\d.]+rem clamp\((\d+)rem, (\d+)vw, (\d+)rem\)")


def test_charts_fit_a_screen_and_a_phone(html: str) -> None:
    """Of screens 1280 and 390 pixels wide, less a bar to scroll by, margins, and borders."""
    css = html.partition("<style>")[2].partition("</style>")[0]
    root = ET.fromstring(html)
    least, share, largest = map(float, MARGIN.search(css).groups())
    most = {}
    for kind, pixels in (("broad", 1280), ("narrow", 390)):
        margin = min(max(16 * least, share / 100 * pixels), 16 * largest)
        most[kind] = (pixels - 15 - 2 * margin - 2) * 72 / 96
    for section in root.iter(f"{HTML}section"):
        shown = [div for div in section.iter(f"{HTML}div") if "fit" in div.get("class", "")]
        if not shown:
            continue
        kinds = [div.get("class").split()[-1] for div in shown]
        assert kinds == ["broad", "narrow"]
        widths = [float(div.find(f"{SVG}svg").get("width").removesuffix("pt")) for div in shown]
        assert all(width <= most[kind] for width, kind in zip(widths, kinds, strict=True))
        # The broad one is shown where it has room, and no other.
        room = _rules(css, f"(min-width: calc({widths[0]:g}pt + 2px))", "@container")
        assert f'[aria-labelledby="{section.get("aria-labelledby")}"] .narrow' in css
        assert ".broad { display: block; }" in room and ".narrow { display: none; }" in room
    assert css.index(".broad { display: none; }") < css.index("@container")


def test_rows_are_blocks_on_a_phone_with_each_head_beside_its_number(html: str) -> None:
    css = html.partition("<style>")[2].partition("</style>")[0]
    narrow = _rules(css, "screen and (max-width: 1099px)")
    assert "content: attr(data-head)" in narrow and "thead { display: none; }" in narrow
    sections = [s for s in ET.fromstring(html).iter(f"{HTML}section") if s.get("id") is None]
    for table in chain.from_iterable(s.iter(f"{HTML}table") for s in sections):
        heads = [head.text or "" for head in table.iter(f"{HTML}th")]
        for row in table.find(f"{HTML}tbody"):
            assert [cell.get("data-head") for cell in row] == heads


@pytest.mark.usefixtures("vectors")
@pytest.mark.slow
def test_all_pictures_of_a_page_have_one_scale(tmp_path: Path) -> None:
    xs, ys = Adding(length=40).batch(np.random.default_rng(0), 3)
    task = Adding(length=40).config()
    model = Model.create(LSTM(2, 3), 1, 0, task, layers=2)
    write_flow(tmp_path, model, xs, ys)
    bounds = [_bounds(tmp_path / f"{name}.svg") for name in ("flow", "paths", "details")]
    assert bounds[0] == bounds[1] == bounds[2]
    cell = ET.parse(tmp_path / "cell.svg").getroot()
    words = ["".join(text.itertext()).strip() for text in cell.iter(f"{SVG}text")]
    words = [word for word in words if word.strip("·")]
    start, classes = words.index(f"{bounds[0][0]:.3g}"), bounds[0][:-1]  # where each begins
    assert [float(word) for word in words[start : start + len(classes)]] == classes
    # Whose layer it is says every heading: of the page, of pictures, of tables.
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    root = ET.fromstring(page)
    assert root.find(f".//{HTML}h1").text.startswith("LSTM, layer2: how the gradient flows")
    assert root.find(f".//{HTML}summary").text == "LSTM, layer2"
    titles = [svg.find(f"{SVG}title").text for svg in root.iter(f"{SVG}svg")]
    assert all("LSTM, layer2" in title for title in titles[:-1])


def _bounds(path: Path) -> list[float]:
    """The numbers of a chart's legend."""
    root = ET.parse(path).getroot()
    words = ["".join(text.itertext()) for text in root.iter(f"{SVG}text")]
    start = words.index("Norm of the gradient: colour and width") + 1
    numbers: list[float] = []
    for word in words[start:]:  # they rise; what follows them is a kind, such as 0, or a note
        if not word[:1].isdecimal() or (numbers and float(word) <= numbers[-1]):
            return numbers
        numbers.append(float(word))
    return numbers
