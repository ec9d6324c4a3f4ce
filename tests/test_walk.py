"""The walk through the textbook: it runs, nothing in it is typed that could be measured, and the
page, the notebook and the source are one text."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import nbformat
import pytest

import lstm.walk.written as written
from lstm.cli import main
from lstm.walk.running import run
from lstm.walk.shown import shown
from lstm.walk.source import Piece, notebook, pieces

EXAMPLE = Path(__file__).parent.parent / "examples" / "lstm_networks.ipynb"
HTML = "{http://www.w3.org/1999/xhtml}"


def test_the_example_is_the_walk_as_a_notebook():
    assert EXAMPLE.read_text("utf-8") == notebook(), "write it again: lstm walk --out examples"
    book = nbformat.reads(notebook(), as_version=4)
    nbformat.validate(book)
    assert [(c.cell_type == "code", c.source) for c in book.cells] == pieces()


def test_words_tell_no_number_that_code_could_measure():
    words = " ".join(piece.text for piece in pieces() if not piece.is_code)
    assert re.findall(r"\d[.,]\d|\d ?%|\be-\d|×\d", words) == []
    years = re.findall(r"\d+", re.sub(r"\(https?:\S+\)", "", words))
    assert all(1990 < int(year) < 2030 or int(year) < 2 for year in years)


@pytest.mark.slow
def test_the_page_shows_every_claim_and_asks_for_nothing(tmp_path, capsys):
    assert main(["walk", "--out", str(tmp_path), "--json"]) == 0
    files = [Path(f) for f in json.loads(capsys.readouterr().out)["files"]]
    assert [f.name for f in files] == ["index.html", "lstm_networks.ipynb"]
    assert files[1].read_text("utf-8") == notebook()
    page = files[0].read_text("utf-8")
    root = ET.fromstring(page)
    tags = {e.tag.rpartition("}")[2] for e in root.iter()}
    assert not tags & {"script", "link", "img", "iframe", "object", "embed", "image"}
    assert not re.search(r"@import|url\((?!#)", page)
    ids = [e.get("id") for e in root.iter() if e.get("id")]
    assert len(ids) == len(set(ids))
    links = [e.get("href", "") for e in root.iter(f"{HTML}a")]
    assert {link[1:] for link in links if link[0] == "#"} <= set(ids)
    assert all(link.startswith(("#", "https://")) for link in links)
    # Every cell is there, and has what it shows: a picture, a formula, a table or a sentence.
    code = [piece.text for piece in pieces() if piece.is_code]
    cells = [e for e in root.iter(f"{HTML}code") if e.get("class") == "cell"]
    assert ["".join(cell.itertext()) for cell in cells] == code
    claims = sum("assert" in text for text in code)
    said = [e for e in root.iter() if e.get("class") in ("said", "result", "scroll fit")]
    assert claims > 10 and len(said) >= len(code) - 3
    assert "nan" not in " ".join("".join(e.itertext()) for e in said).lower().split()


def test_a_claim_that_does_not_hold_is_told_and_nothing_is_written(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(written, "pieces", lambda: [Piece(True, "x = 2\nassert x < 2, 'no'")])
    assert main(["walk", "--out", str(tmp_path / "new")]) == 2
    assert "the walk cannot go on at `assert x < 2, 'no'`: it is not so" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("code", "html", "last", "printed"),
    [
        ("1\n2", "<pre>2</pre>", "2", ""),
        ("x = 1", "", "", ""),
        ("print('a <b>\\n c\\0')", "", "", "a <b>\n c^@"),
        ("'<script>'", "<pre>&#x27;&lt;script&gt;&#x27;</pre>", "'<script>'", ""),
        ("import minigrad as mg\nmg.var('x', (2,))", "<p><math", "mg.var('x', (2,))", ""),
    ],
)
def test_what_a_piece_of_code_shows(code, html, last, printed):
    (ran,) = run([Piece(True, code)])
    block = shown(ran, 1)
    assert block.html.startswith(html) and bool(block.html) == bool(html)
    assert (block.last, block.printed, block.code) == (last, printed, code)


def test_words_have_no_html_of_their_own_and_headings_have_names():
    block = shown(next(run([Piece(False, "## A & <b>B</b>\n\ntext<br>\n\n## C")])), 7)
    assert [h.title for h in block.headings] == ["A & <b>B</b>", "C"]
    assert [h.name for h in block.headings] == ["walk-7-0", "walk-7-1"]
    assert "&lt;b&gt;" in block.html and "<br>" not in block.html


def test_one_picture_shown_twice_has_ids_of_its_own_each_time():
    code = "import minigrad as mg\npicture = mg.draw(mg.var('x') + 1)\npicture"
    blocks = [shown(ran, k) for k, ran in enumerate(run([Piece(True, code)] * 2))]
    ids = [set(re.findall(r' id="([^"]+)"', block.svg)) for block in blocks]
    assert ids[0] and not ids[0] & ids[1]
    assert [block.last for block in blocks] == ["picture"] * 2 and not blocks[0].html


def test_a_page_that_is_there_is_written_over_and_what_is_not_ours_is_not(
    tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(written, "pieces", lambda: [Piece(False, "# A"), Piece(True, "1 + 1")])
    (tmp_path / "index.html").write_text("mine")
    assert main(["walk", "--out", str(tmp_path)]) == 2
    assert "index.html is there already" in capsys.readouterr().err
    assert (tmp_path / "index.html").read_text() == "mine"
    for options in (["--force"], []):
        assert main(["walk", "--out", str(tmp_path), *options]) == 0
        assert "<pre>2</pre>" in (tmp_path / "index.html").read_text()
