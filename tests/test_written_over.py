"""What is written over: files that lstm wrote into a folder, and nobody else's; and a checkpoint by
the training that it is of."""

from __future__ import annotations

from pathlib import Path

import pytest

import lstm
from lstm.cli import main
from lstm.figures.page import page
from lstm.files import output_folder, written
from lstm.store.checkpoint import read_checkpoint

NAMES = ["index.html", "flow.svg"]


def write(folder, **options):
    with output_folder(folder, NAMES, **options) as part:
        for name in NAMES:
            (part / name).write_text(page(name, [], []) if name == "index.html" else "new")


def test_what_lstm_wrote_is_written_over(tmp_path):
    write(tmp_path / "out")
    (tmp_path / "out" / "notes.txt").write_text("mine")
    (tmp_path / "out" / "flow.svg").write_text("old")
    write(tmp_path / "out")
    assert (tmp_path / "out" / "flow.svg").read_text() == "new"
    assert (tmp_path / "out" / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("name", NAMES)
def test_files_of_somebody_else_are_not_written_over_without_being_asked(tmp_path, name):
    (tmp_path / name).write_text("mine")
    with pytest.raises(lstm.OutputError, match=f"{name} is there already, and it is not of lstm"):
        write(tmp_path)
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [(name, "mine")]
    write(tmp_path, force=True)
    assert (tmp_path / "flow.svg").read_text() == "new"


def test_other_files_are_not_in_the_way(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    write(tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {*NAMES, "notes.txt"}


@pytest.mark.parametrize("command", ["flow", "demo"])
def test_commands_refuse_before_any_work(capsys, tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("lstm.cli.flow.shown_batch", lambda *_: (None, None, {}))
    lstm.Model.create(lstm.RNN, task=lstm.Adding(4)).save("m")
    Path("out").mkdir()
    Path("out/cell.png").write_text("mine")
    assert main([command, *(["m"] if command == "flow" else []), "--out", "out"]) == 2
    assert "out/cell.png is there already" in capsys.readouterr().err
    assert [p.name for p in Path("out").iterdir()] == ["cell.png"]


def test_a_checkpoint_that_another_training_wrote_stays(tmp_path):
    """As of two that were begun with one path: the first to save has it."""
    path, steps = tmp_path / "c", []
    other = tmp_path / "other"
    settings = lstm.Settings(steps=6, batch=2)

    def fit(out, **options):
        model = lstm.Model.create(lstm.RNN(2, 2), 1, 0)
        return lstm.fit(model, lstm.Adding(3), settings, validate=0, out=out, **options)

    def meanwhile(progress):
        steps.append(progress.step)
        if progress.step == 4:
            path.write_bytes(other.read_bytes())

    fit(other)
    with pytest.raises(lstm.OutputError, match="another training has written it since this one"):
        fit(path, save_every=2, callback=meanwhile)
    assert steps == [1, 2, 3, 4, 5]
    assert path.read_bytes() == other.read_bytes()
    path.unlink()
    fit(path, save_every=2, callback=lambda p: p.step == 2 and path.unlink())  # is no writing
    assert read_checkpoint(path).arrays["count"] == 6
    fit(path, force=True)  # over the one that was there
    assert written(tmp_path / "nothing") is None


def test_a_page_of_another_command_is_not_written_over(tmp_path):
    write(tmp_path)
    before = (tmp_path / "index.html").read_text()
    with pytest.raises(lstm.OutputError, match=r"index\.html is there already, and of another"):
        write(tmp_path, command="walk")
    assert (tmp_path / "index.html").read_text() == before
    assert main(["walk", "--out", str(tmp_path)]) == 2
    assert (tmp_path / "index.html").read_text() == before


def test_figures_drawn_later_do_not_take_others_off_the_index(tmp_path, capsys):
    out = ["--out", str(tmp_path)]
    assert main(["figures", "--only", "ex9", "--only", "ex7", *out]) == 0
    before = (tmp_path / "index.html").read_text()
    assert main(["figures", "--only", "ex9", *out]) == 2
    assert "index.html is there already, and lists ex7, too" in capsys.readouterr().err
    assert (tmp_path / "index.html").read_text() == before
    # All of them again, whatever their order and format; and where it is asked for, fewer.
    assert main(["figures", "--only", "ex7", "--only", "ex9", "--format", "png", *out]) == 0
    assert main(["figures", "--only", "ex9", "--force", *out]) == 0
    assert "ex7" not in (tmp_path / "index.html").read_text().partition("<title>")[0]
    # The walk and the figures leave each other alone.
    assert main(["walk", *out]) == 2
    assert "of another command, lstm figures" in capsys.readouterr().err
