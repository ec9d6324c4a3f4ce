"""Every label is shown as text in every place where a picture shows one, whatever is in it."""

from __future__ import annotations

import struct
import unicodedata
import xml.etree.ElementTree as ET
from collections.abc import Iterator

import pytest
from pictures import SVG, elements, hint, read_dot, words

import minigrad as mg
from minigrad.drawing import Diagram, draw
from minigrad.drawing.escape import plain
from minigrad.drawing.font_config import font_files
from minigrad.drawing.render import render_many

HOSTILE = [
    *(f"\\{letter}amma" for letter in "GNETHLnlrxtaZ0"),  # Graphviz knows what most of them mean
    *(f"a{chr(code)}b" for code in (0, 1, 7, 8, 9, 10, 11, 12, 13, 27, 31, 0x7F, 0x85, 0x9B)),
    *("{", "}", "{{", "|", "{|}", "<", ">", "<>", "><", "<<b>>", "</TD>", "<a>", "[", "]", "="),
    *('"', '""', '\\"', '"; b [x=1', "'", "`", "\\", "\\\\", "\\\\\\", "\\\\\\\\\\", "\\ ", "a\\"),
    *(";", "#", "# a", "//", "/* a", "*/", "--", "->", "node", "graph", "edge", "strict"),
    *("&", "&amp;", "&#0;", "&lt", "&bogus;", "]]>", "<![CDATA[", "<!--", "-->", "<?xml?>", "%s"),
    *("\ud800", "\udc80", "a\udfffb", "\ufffe", "\uffff", "\ufeff", "\ue000", "\U0010ffff"),
    *("\u202ea\u202c", "\u200b", "a\u00adb", "\u2028", "\u2029", "\u3164", "\u115f", "\u2800"),
    *("", " ", "   ", " a  b ", "\xa0", "é", "C̃ₜ", "漢字", "😀", "👩‍👧", "\u0301", "ﷺ", "W" * 500),
    *("<BR/>", '<IMG SRC="/etc/passwd"/>', "' onload='alert(1)", "<script>", "\\N\\G\\L\n\\l"),
    *("n0", "e0", "cluster_0", "0", "-1", ".5", "1e5", "html", "charset=latin1", "Pango <b>x</b>"),
]


def _seen(label: str) -> str:
    """What people should see: each character, or a stand-in where it has no shape of its own."""
    shown = ""
    for k, c in enumerate(label):
        if ord(c) < 32 or ord(c) == 127:
            shown += "^?" if ord(c) == 127 else "^" + "@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_"[ord(c)]
        elif c == "\u200d" and {*map(unicodedata.category, label[k - 1 :: 2])} == {"So"}:
            shown += c  # of one emoji
        elif c.isprintable() and c not in "\u3164\u115f\u2800":
            shown += c
        else:
            shown += " " if unicodedata.category(c) == "Zs" else "\ufffd"
    return shown if shown.strip() else "·" * len(shown)


def _cut(text: str, limit: int = 48) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


# What the machine that runs the tests has fonts for does not count here.
pytestmark = pytest.mark.filterwarnings("ignore:no font here has")


def _pictures(label: str) -> Iterator[Diagram]:
    """The label as the name of leaf and op, title, group and lane; laid out, and with places."""
    x = mg.var("x")
    y = mg.tanh(x)
    z = mg.exp(y)
    places = {x: (0.0, 0.0), y: (90.0, 0.0), z: (180.0, 0.0)}
    for chosen in ({}, places):
        yield draw(
            z,
            {x: 0.5},
            grad=True,
            names={x: label, y: label},
            groups={label: [y]},
            lanes={label: [x, y]},
            title=label or None,
            places=chosen,
        )


@pytest.fixture(scope="module")
def drawn() -> list[tuple[str, list[tuple[Diagram, str]]]]:
    """All hostile pictures, from one process of Graphviz."""
    pictures = [(label, list(_pictures(label))) for label in HOSTILE]
    svgs = iter(render_many([(d.dot, "svg") for _, both in pictures for d in both]))
    return [(label, [(d, d.finish_svg(next(svgs))) for d in both]) for label, both in pictures]


def test_no_label_at_all_is_drawn_again_and_again() -> None:
    """Graphviz read past its memory for some, and crashed, here within four pictures."""
    jobs = [(d.dot, "svg") for d in _pictures("")]
    assert len(set(render_many(jobs * 40))) == len(jobs)


def test_there_are_enough_labels() -> None:
    assert len(set(HOSTILE)) == len(HOSTILE) >= 100


def test_every_label_is_seen_where_it_belongs(
    drawn: list[tuple[str, list[tuple[Diagram, str]]]],
) -> None:
    for label, pictures in drawn:
        for diagram, svg in pictures:
            assert diagram.picture is not None
            parts = elements(svg, diagram.prefix)
            seen = _seen(label)
            named = seen or "tanh"
            leaf = seen or "x"
            assert words(parts["n0"])[0].strip() == _cut(leaf).strip(), label
            assert "".join(words(parts["n1"])).startswith(_cut(seen)), label
            assert hint(parts["n0"]).split("\n")[0] == leaf, label
            assert hint(parts["n1"]).split("\n")[0] == named, label
            assert hint(parts["e0"]).split("\n")[0] == f"{leaf} → {named}, operand 1", label
            if label:
                assert _cut(seen, 200) in "\n".join(words(parts["graph"])), label
                assert parts["title"].text == diagram.title == seen, label
            boxes = ["group0", "lane0"] if diagram.picture.is_placed else ["cluster0"]
            for box in boxes if label else []:
                shown = "".join(words(parts[box]))
                limit = 2000 if diagram.picture.is_placed else 48
                assert shown.strip() == _cut(seen, limit).strip(), (label, box)
                assert hint(parts[box]) == seen, (label, box)


def test_no_label_adds_an_element_an_attribute_or_a_reference(
    drawn: list[tuple[str, list[tuple[Diagram, str]]]],
) -> None:
    tags = {"svg", "g", "title", "desc", "style", "polygon", "path", "ellipse", "text", "polyline"}
    tags.add("rect")  # of what shows where a node has the focus
    for label, pictures in drawn:
        for diagram, svg in pictures:
            root = ET.fromstring(svg)
            assert {e.tag.removeprefix(SVG) for e in root.iter()} <= tags, label
            names = {key for e in root.iter() for key in e.attrib}
            assert not [key for key in names if key.startswith("on") or "href" in key], label
            box = read_dot(diagram.dot)
            assert len([key for key in box.all_nodes() if key.startswith("n")]) == 3, label
            assert len(box.edges) == 2, label


def test_words_about_a_picture_can_be_printed_anywhere(
    drawn: list[tuple[str, list[tuple[Diagram, str]]]],
) -> None:
    for label, pictures in drawn:
        for diagram, _ in pictures:
            for text in (diagram.title, diagram.description, repr(diagram), diagram.dot):
                text.encode()
            assert len(diagram.description.split("\n")) <= 4, label
            assert diagram.data("dot") == diagram.dot.encode()


def test_names_of_variables_and_expressions_in_titles() -> None:
    y = mg.var(r"\Gamma") * mg.var(r"\Nu")
    diagram = draw(y)
    parts = elements(diagram.svg, diagram.prefix)
    assert [words(parts[key]) for key in ("n0", "n1")] == [[r"\Gamma"], [r"\Nu"]]
    assert r"Graph of \Gamma * \Nu" in words(parts["graph"])
    assert "Graph of \\Gamma * \\Nu" in [t.text for t in ET.fromstring(diagram.svg).iter()]


def characters(font: bytes) -> set[int]:
    """What a TrueType font has a shape for: the `cmap` table, of format 4 (OpenType, "cmap")."""

    def numbers(form: str, at: int) -> tuple[int, ...]:
        return struct.unpack_from(f">{form}", font, at)

    (tables,) = numbers("H", 4)
    places = {font[at : at + 4]: numbers("I", at + 8)[0] for at in range(12, 12 + 16 * tables, 16)}
    cmap = places[b"cmap"]
    (count,) = numbers("H", cmap + 2)
    subtables = [cmap + numbers("I", cmap + 8 + 8 * k)[0] for k in range(count)]
    at = next(s for s in subtables if numbers("H", s) == (4,))
    segments = numbers("H", at + 6)[0] // 2
    ends = numbers(f"{segments}H", at + 14)
    starts = numbers(f"{segments}H", at + 16 + 2 * segments)
    return {c for a, b in zip(starts, ends, strict=True) for c in range(a, b + 1)}


def test_the_fonts_have_what_stands_for_what_cannot_be_seen() -> None:
    """A character that a font has not is a box with its number, in a PNG and in a PDF."""
    hidden = [*map(chr, range(32)), "\x7f", "\x85", "\u200b", "\ud800"]
    shown = set("".join(plain(f"a{c}") for c in hidden) + plain("  ") + plain("W" * 60, 48))
    assert {"^", "@", "·", "\ufffd", "…"} <= shown
    fonts = font_files()
    assert len(fonts) >= 3
    for font in fonts:
        known = characters(font.read_bytes())
        assert ord("A") in known
        assert ord("漢") not in known
        assert not [c for c in shown if ord(c) not in known], font.name
