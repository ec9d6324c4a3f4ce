"""The gallery: each picture is there, is made by make.py, and the line beside it makes one; and
every link of these pages leads somewhere."""

from __future__ import annotations

import ast
import importlib.util
import re
from functools import cache
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from lstm.figures.numbered import FIGURES

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
GALLERY = (DOCS / "gallery.md").read_text("utf-8")
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(DOCS.glob("*.md"))]
PAGES += sorted((ROOT / "benchmarks").glob("*.md"))
_FENCES = re.compile(r"```.*?```", re.DOTALL)


def pictures(text: str) -> set[str]:
    """The files of a page's pictures, relative to it."""
    return set(re.findall(r'(?:\]\(|srcset="|src=")([^)"\s]+\.(?:svg|png))', text))


@cache
def anchors(page: Path) -> set[str]:
    """What headings are called in links, as GitHub makes it of them."""
    text = _FENCES.sub("", page.read_text("utf-8"))
    heads = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {_anchor(head) for head in heads}


def _anchor(head: str) -> str:
    return re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page):
    text = _FENCES.sub("", page.read_text("utf-8"))
    broken = []
    for link in {*re.findall(r"\]\(([^)\s]+)\)", text), *pictures(text)}:
        file, _, anchor = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        if link.startswith("https://"):
            continue
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


def test_the_gallery_shows_every_picture_and_make_makes_each():
    spec = importlib.util.spec_from_file_location("make", DOCS / "pictures" / "make.py")
    assert spec is not None and spec.loader is not None
    make = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make)
    made = {f"{name}.svg" for name in make.PICTURES}
    made |= {f"{name}{suffix}.png" for name in make.MAPS for suffix in ("", "_dark")}
    made |= {f"{name}.png" for name in make.SCREENS}
    folder = DOCS / "pictures"
    there = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.suffix in (".svg", ".png")}
    assert {name.removeprefix("pictures/") for name in pictures(GALLERY)} == there
    assert there <= made
    numbered = {f"{FIGURES[f'ex{k}'].file}.svg" for k in range(1, 14)}
    assert numbered <= there


@pytest.mark.slow
def test_the_line_beside_each_picture_makes_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a table is written
    names: dict[str, Any] = {}
    # Those of the textbook are drawn by tests of their own, where nothing trains for seconds.
    parts = [part for part in GALLERY.split("\n## ") if not part.startswith("The textbook's")]
    first, *blocks = re.findall(r"```python\n(.*?)```", "\n".join(parts), re.DOTALL)
    exec(first.replace("100", "7").replace("16", "3"), names)
    for block in blocks:
        if "gender_and_number(" in block:  # which trains for seconds, and has tests of its own
            continue
        *before, last = ast.parse(block).body
        exec(compile(ast.Module(before, []), "docs/gallery.md", "exec"), names)
        assert isinstance(last, ast.Expr), block
        shown = eval(compile(ast.Expression(last.value), "docs/gallery.md", "eval"), names)
        assert hasattr(shown, "_repr_mimebundle_"), block
    sections = re.split(r"^### ", GALLERY, flags=re.MULTILINE)[1:]
    assert all(len(re.findall("```python", s)) == 1 and pictures(s) for s in sections)


def test_the_table_answers_each_question_with_a_picture_that_is_there():
    rows = re.findall(r"^\| (.*\?) \| (.*) \| `(.*)` \| .* \|$", GALLERY, re.MULTILINE)
    assert len(rows) == 5
    for _, answer, file in rows:
        heads = re.findall(r"\]\(#([\w-]+)\)", answer)
        sections = {h: s for s in GALLERY.split("\n### ") for h in [_anchor(s.partition("\n")[0])]}
        assert f"pictures/{file}" in sections[heads[0]]


def test_what_the_table_quotes_stands_in_its_picture():
    rows = re.findall(r"^\|.*\| `([\w.]+)` \| “([^”]+)” \|$", GALLERY, re.MULTILINE)
    assert len(rows) == 4
    for file, quoted in rows:
        assert quoted in unescape((DOCS / "pictures" / file).read_text("utf-8"))


def test_numbers_in_the_gallery_are_those_that_pictures_were_drawn_with():
    words = re.sub(r"\n?```.*?```\n?", "", GALLERY, flags=re.DOTALL)
    for section in re.split(r"^### ", words, flags=re.MULTILINE)[1:]:
        title, said, *_ = section.split("\n\n")
        if re.search(r"\d", said.replace("step 1", "")):
            (file,) = pictures(section)
            assert said in unescape((DOCS / file).read_text("utf-8")), title
