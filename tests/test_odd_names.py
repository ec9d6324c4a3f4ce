"""Paths and names that are no text, or would steer a terminal: one clear line, and nothing raw."""

from __future__ import annotations

import os

import pytest

import lstm
import minigrad as mg
from lstm.cli import main
from lstm.errors import ModelFileError, OutputError

ODD = {
    "half a character": "\ud800",
    "a byte that is no text": "\udcff",
    "what bash makes of ed a0 80": "\udced\udca0\udc80",
    "an escape": "a\x1b[31m",
    "a bell": "a\a",
    "two lines": "a\nb",
}
COMMANDS = {
    "info": ["info", "{name}"],
    "flow": ["flow", "{name}"],
    "flow out": ["flow", "model", "--out", "model/{name}"],
    "demo out": ["demo", "--out", "model/{name}"],
    "train out": ["train", "adding", "--out", "model/{name}"],
    "task": ["train", "{name}"],
    "cell": ["train", "adding", "--cell", "{name}"],
    "length": ["train", "adding", "--length", "{name}"],
    "command": ["{name}"],
    "option": ["tasks", "--{name}"],
}


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lstm.Model.create(lstm.LSTM(2, 3), 1, 0).save("model")
    return tmp_path


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("name", ODD.values(), ids=ODD)
def test_an_error_is_one_line_of_text(command, name, here, capsys):
    assert main([piece.replace("{name}", name) for piece in COMMANDS[command]]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("lstm: ")
    assert err.count("\n") == 1
    assert err[:-1].isprintable(), err
    assert sorted(os.listdir(here)) == ["model"]


def test_what_is_written_under_an_odd_name_is_read_again(here, capsys):
    name = "\udcff\x1b[31m∂"
    argv = ["train", "adding", "--length", "5", "--steps", "1", "--hidden", "2", "--out", name]
    assert main(argv) == 0
    assert main(["info", name]) == 0
    out, _ = capsys.readouterr()
    assert out.replace("\n", "").isprintable(), out
    assert sorted(os.listdir(here)) == sorted(["model", name, f"{name}.checkpoint"])


@pytest.mark.parametrize("path", ["\ud800", "a\0b"])
def test_a_path_that_no_file_can_have_is_an_error_of_its_kind(path, here):
    model = lstm.Model.load("model")
    with pytest.raises(OutputError, match="no file can be called so"):
        model.save(path)
    with pytest.raises(ModelFileError, match="no file can be called so"):
        lstm.Model.load(path)
    for save in (lambda p: mg.save(p, mg.var("x")), mg.draw(mg.var("x")).save):
        with pytest.raises(OSError, match="no file can be called so"):
            save(f"{path}.dot")
    with pytest.raises(OSError, match="no file can be called so"):
        mg.load(path)
    assert os.listdir(here) == ["model"]
