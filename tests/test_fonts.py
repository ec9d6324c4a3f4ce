"""Characters that no font has are named once; those of fonts that are there are drawn from them."""

from __future__ import annotations

import struct
import warnings
from pathlib import Path

import pytest
from pictures import elements, words

import minigrad as mg
from minigrad.display import plain
from minigrad.drawing import font_config, fonts
from minigrad.drawing.font_config import font_files


def _font(characters: str, format: int, collection: bool = False) -> bytes:
    """The head and the cmap table of a font that has these characters, each a run of its own."""
    codes = sorted(map(ord, characters))
    if format == 4:
        ends = struct.pack(f">{len(codes) + 1}H", *codes, 0xFFFF)
        table = struct.pack(">HHHHHHH", 4, 0, 0, 2 * (len(codes) + 1), 0, 0, 0)
        table += ends + b"\0\0" + ends
    else:
        table = struct.pack(">HHIII", 12, 0, 0, 0, len(codes))
        table += b"".join(struct.pack(">III", c, c, 1) for c in codes)
    cmap = struct.pack(">HHHHI", 0, 1, 3, 1 if format == 4 else 10, 12) + table
    start = 16 if collection else 0
    head = struct.pack(">4sII", b"ttcf", 0x10000, 1) + struct.pack(">I", start)
    face = struct.pack(">IHHHH", 0x10000, 1, 0, 0, 0)
    face += struct.pack(">4sIII", b"cmap", 0, start + 28, len(cmap))
    return (head if collection else b"") + face + cmap


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The one folder of the system's fonts."""
    monkeypatch.setattr(font_config, "_SYSTEM_FONTS", (str(tmp_path),))
    return tmp_path


def test_what_dejavu_has_is_not_missing(folder: Path) -> None:
    assert not fonts.missing_in(["σ ∂L/∂h C̃ₜ = fₜ ∗ C ‖x‖ → ✔ العربية", "a\u200db\ufe0f\x01\ufffd"])


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.ttf", _font("状", 4)),
        ("b.OTF", _font("状", 12)),
        ("c.ttc", _font("状", 12, collection=True)),
        ("d.ttc", _font("状", 4, collection=True)),
    ],
    ids=["basic plane", "all planes", "collection", "collection of the basic plane"],
)
def test_fonts_of_the_system_are_asked(folder: Path, name: str, data: bytes) -> None:
    assert fonts.missing_in(["状態🙂", "態"]) == ["状", "態", "🙂"]
    (folder / "deeper").mkdir()
    (folder / "deeper" / name).write_bytes(data)
    assert fonts.missing_in(["状態🙂", "態"]) == ["態", "🙂"]


@pytest.mark.parametrize(
    "data", [b"", b"ttcf", b"\0" * 11, _font("状", 4)[:40], b"ttcf" + b"\xff" * 64]
)
def test_files_that_are_no_fonts_have_no_characters(folder: Path, data: bytes) -> None:
    (folder / "odd.ttf").write_bytes(data)
    assert fonts.missing_in(["状"]) == ["状"]


def test_our_own_fonts_are_read_as_others_read_them() -> None:
    from matplotlib.ft2font import FT2Font

    for file in font_files():
        known = FT2Font(str(file)).get_charmap()
        read = {c for a, b in fonts._ranges(file) for c in range(a, b + 1)}
        assert known.keys() <= read
        assert ord("漢") not in read


def test_one_warning_names_the_characters_and_what_to_install(folder: Path) -> None:
    x = mg.var("状態")
    diagram = mg.draw(mg.tanh(x).named("損失 🙂"), {x: 0.5})
    for make in (lambda: diagram.svg, lambda: diagram.png, lambda: diagram.pdf):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            make()
        said = [w for w in caught if "no font here has" in str(w.message)]
        assert {w.filename for w in said} == {__file__}
        (words_said,) = {str(w.message) for w in said}
        for character in "状態損失🙂":
            assert f"{character} (U+{ord(character):04X})" in words_said
        assert "fonts-noto-cjk" in words_said and "fonts-noto-color-emoji" in words_said
    assert words(elements(diagram.svg, diagram.prefix)["n0"])[0] == "状態"


def test_a_long_list_is_cut(folder: Path) -> None:
    with pytest.warns(UserWarning, match=r"U\+4E0B\) and 8 more"):
        fonts.warn_of_missing(["".join(map(chr, range(0x4E00, 0x4E14)))])


def test_nothing_is_said_of_pictures_whose_fonts_are_there(folder: Path) -> None:
    mg.draw(mg.tanh(mg.var("C̃ₜ")).named("∂L/∂h")).data("svg")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("👩‍🔬", "👩‍🔬"),
        ("❤️‍🔥", "❤️‍🔥"),
        ("👩🏽‍🚀", "👩🏽‍🚀"),
        ("a\u200db", "a\ufffdb"),
        ("\u200d", "\ufffd"),
        ("👩\u200d", "👩\ufffd"),
        ("\u200d👩", "\ufffd👩"),
        ("👩\u200d\u200d👩", "👩\ufffd\ufffd👩"),
    ],
)
def test_a_joiner_is_shown_as_such_unless_it_joins_emoji(text: str, shown: str) -> None:
    assert plain(text) == shown


def test_a_chart_warns_once_as_a_graph_does(folder: Path) -> None:
    def chart() -> mg.charts.Chart:
        ax = mg.charts.own_axes(200, 100)
        ax.set_title("状態 h")
        return mg.charts.Chart(ax.figure, title="t", description="d")

    with pytest.warns(UserWarning, match=r"^no font here has 状 \(U\+72B6\), 態 ") as caught:
        assert all(made() for made in chart().formats().values())
    assert len(caught) == 1
    (folder / "a.ttf").write_bytes(_font("状態", 4))
    assert chart().svg
