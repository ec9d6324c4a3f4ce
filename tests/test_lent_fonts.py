"""Characters that our fonts lack are drawn by those of the system, in charts of each format."""

from __future__ import annotations

import io
import re
import warnings
from pathlib import Path

import pytest
from fontTools.ttLib import TTCollection, TTFont
from matplotlib import get_data_path
from matplotlib.figure import Figure
from matplotlib.image import imread

from minigrad.drawing import font_config
from minigrad.drawing.charts import Chart
from minigrad.drawing.fonts import missing_in, outlines_of

FAMILY = "Lent Letters"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The one folder of the system's fonts."""
    monkeypatch.setattr(font_config, "_SYSTEM_FONTS", (str(tmp_path),))
    return tmp_path


def put_font(folder: Path, tables: set[str] | None = None) -> None:
    """A font in which 状 looks like A; without these tables."""
    font = TTFont(Path(get_data_path(), "fonts", "ttf", "STIXGeneral.ttf"))
    for record in font["name"].names:
        if record.nameID in (1, 4, 6, 16):
            record.string = FAMILY
    for table in font["cmap"].tables:
        if table.isUnicode():
            table.cmap[ord("状")] = table.cmap[ord("A")]
    for tag in tables or ():
        del font[tag]
    font.save(folder / "lent.ttf")


def chart(words: str, family: str = "sans-serif") -> Chart:
    figure = Figure(figsize=(2.0, 1.0))
    figure.text(0.1, 0.5, words, fontfamily=family)
    return Chart(figure, title="t", description="d")


def pixels(made: Chart) -> bytes:
    return bytes(imread(io.BytesIO(made.png)).tobytes())


def test_a_font_of_the_system_draws_what_ours_lack(folder: Path) -> None:
    with pytest.warns(UserWarning, match=r"^no font here has 状 \(U\+72B6\): .*fonts-noto-cjk"):
        box = pixels(chart("状"))
    put_font(folder)
    made = chart("状")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drawn, pdf, svg = pixels(made), made.pdf, made.svg
    assert drawn != box
    assert drawn == pixels(chart("A", FAMILY))  # which matplotlib knows from here on
    assert made.figure.texts[0].get_fontfamily() == ["sans-serif"]
    assert re.search(rb"/BaseFont /\w+\+LentLetters", pdf)
    assert ">状</text>" in svg


def test_what_is_left_is_told_once(folder: Path) -> None:
    put_font(folder)
    made = chart("状 態")
    with pytest.warns(UserWarning, match=r"^no font here has 態 \(U\+614B\): ") as caught:
        assert made.png and made.pdf and made.svg
    assert len(caught) == 1


@pytest.mark.parametrize("format", ["png", "pdf"])
def test_a_font_without_outlines_is_no_font_of_charts(folder: Path, format: str) -> None:
    put_font(folder, {"glyf", "loca"})
    said = r"^no font with outlines here has 状 \(U\+72B6\): the picture has boxes"
    with pytest.warns(UserWarning, match=said):
        assert getattr(chart("状"), format)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert chart("状").svg  # whose viewer takes bitmaps, too


def collection(folder: Path) -> Path:
    """Two fonts with outlines in one file, of which the second has 状."""
    put_font(folder)
    own = TTFont(Path(get_data_path(), "fonts", "ttf", "STIXGeneral.ttf"))
    both = TTCollection()
    both.fonts = [own, TTFont(folder / "lent.ttf")]
    both.save(folder / "both.ttc")
    (folder / "lent.ttf").unlink()
    return folder / "both.ttc"


def test_of_a_collection_the_font_that_matplotlib_takes_counts(folder: Path) -> None:
    file = collection(folder)
    assert missing_in("状") == []
    assert "状" not in "".join(c for _, shapes in outlines_of("状A") for c in shapes)
    assert [shapes for font, shapes in outlines_of("状A") if font == file] == [{"A"}]


def test_a_font_is_read_once_and_one_that_cannot_be_read_lends_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_font(folder)
    reads, read = [], Path.read_bytes

    def counted(file: Path) -> bytes:
        reads.append(file.name)
        return read(file)

    monkeypatch.setattr(Path, "read_bytes", counted)
    (folder / "gone.ttf").symlink_to(folder / "nowhere.ttf")
    for _ in range(2):
        assert [font.name for font, _ in outlines_of("状")] == ["lent.ttf"]
    assert reads.count("lent.ttf") == reads.count("gone.ttf") == 1
