"""The page of the walk, written into a folder beside the notebook of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from lstm.figures.page import render
from lstm.files import generator_of, write_atomically
from lstm.walk.running import run
from lstm.walk.shown import Shown, shown
from lstm.walk.source import notebook, pieces

FILES = ("index.html", "lstm_networks.ipynb")


def write_walk(
    out_dir: str | Path, progress: Callable[[int, int], None] = lambda done, of: None
) -> list[Path]:
    """Run the walk, in some ten seconds, and write it into a folder that exists; returns the files.

    Files: index.html, one page that asks for nothing, and lstm_networks.ipynb, the same without
    outputs, to go on from. Each is there whole or not at all. progress: told after each piece how
    many of how many have had their turn. Raises LstmError where something is not as the walk says,
    and OutputError where a file cannot be written.
    """
    written = pieces()
    blocks = []
    for k, ran in enumerate(run(written)):
        blocks.append(shown(ran, k))
        progress(k + 1, len(written))
    folder = Path(out_dir)
    data = dict(zip(FILES, (_page(blocks), notebook()), strict=True))
    for name, text in data.items():
        write_atomically(folder / name, text)
    return [folder / name for name in FILES]


def _page(blocks: list[Shown]) -> str:
    title = pieces()[0].text.partition("\n")[0].lstrip("# ")
    return render("walk.html.jinja", title=title, blocks=blocks, generator=generator_of("walk"))
