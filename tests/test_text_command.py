"""`lstm train text FILE` and `lstm sample`: from a file to a text, and what they refuse."""

import json
import sys
from pathlib import Path

import pytest
from commands import command, refused

import lstm
from lstm.cli import main

TEXT = "the cat sat on the mat.\nthe dog sat on the cat.\n" * 8
QUICK = ["--length", 8, "--hidden", 4, "--batch", 2, "--steps", 2]
QUICK += ["--cell", "rnn", "--schedule", "constant"]
WRITTEN = "lstm-models/text-cats-rnn.safetensors"
MODEL = "model"


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("cats.txt").write_text(TEXT)


@pytest.fixture
def trained():
    """A model of the text, which was made by the task's own words, and never trained."""
    task = lstm.TextTask(TEXT, length=8)
    lstm.Model.create(lstm.LSTM, task=task, hidden_size=4).save(MODEL)


def test_from_a_file_to_a_text(capsys):
    status, out, _ = command(capsys, "train", "text", "cats.txt", *QUICK)
    assert status == 0
    lines = out.splitlines()
    assert lines[1].split() == ["bits", "per", "character", "correct", "solved"]
    task = lstm.TextTask(TEXT, length=8)
    bits = [f"{task.in_unit(loss):.4f}" for loss in task.baselines.values()]
    assert [line.split()[:2] for line in lines[3:8]] == [
        [f"{n}-gram", number] for n, number in enumerate(bits, 1)
    ]
    assert f"Wrote {WRITTEN}" in out
    status, out, err = command(capsys, "sample", WRITTEN, "--prompt", "the ", "--length", 20)
    assert (status, err) == (0, "")
    text = "".join(lstm.sample(lstm.Model.load(WRITTEN), "the ", length=20))
    assert out == f"the {text}\n"
    status, out, _ = command(capsys, "sample", WRITTEN, "--length", 20, "--seed", 3, "--json")
    text = "".join(lstm.sample(lstm.Model.load(WRITTEN), length=20, seed=3))
    assert json.loads(out) == {"prompt": None, "text": text}
    status, out, _ = command(capsys, "info", WRITTEN)
    assert "task's level" in out


def test_each_token_is_written_at_once(trained, monkeypatch):
    events = []
    monkeypatch.setattr(sys.stdout, "write", lambda text: events.append(text))
    monkeypatch.setattr(sys.stdout, "flush", lambda: events.append("flush"))
    assert main(["sample", MODEL, "--prompt", "a", "--length", "3"]) == 0
    text = "".join(lstm.sample(lstm.Model.load(MODEL), "a", length=3))
    start = events.index("a")
    assert events[start : start + 10] == [
        part for piece in f"a{text}\n" for part in (piece, "flush")
    ]


def test_json_has_the_baselines_and_resumes_with_the_same_settings(capsys):
    args = ["train", "text", "cats.txt", "--level", "bytes", *QUICK]
    told = json.loads(command(capsys, *args, "--json")[1].splitlines()[-1])
    assert told["unit"] == "bits per character"
    assert list(told["baselines"]) == [f"{n}-gram" for n in range(1, 6)]
    assert told["training"]["stateful"] is True
    args = ["train", "text", "cats.txt", "--cell", "rnn", "--resume", "--steps", 3, "--json"]
    again = json.loads(command(capsys, *args)[1].splitlines()[-1])
    assert again["task"] == told["task"]
    assert (again["steps"], again["task"]["settings"]["level"]) == (3, "bytes")
    err = refused(capsys, *args, "--level", "char")
    assert "the model has 256 tokens and 256 outputs, but the task text has 14 and 14" in err
    Path("cats.txt").write_text(TEXT.replace("cat", "act"))
    assert "its 'checksum of the text' is" in refused(capsys, *args)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "text is empty"),
        (b"One line.", "text is too short"),
        (b"caf\xe9 " * 90, "text is no UTF-8: byte 0xe9 in line 1"),
        (b"NUL\0" * 90, "text is no text: it has a NUL byte in line 1"),
        (b"x" * 1_000_000, "sequences of length=9999 need"),
    ],
)
def test_files_that_are_no_text(capsys, tmp_path, data, message):
    (tmp_path / "text").write_bytes(data)
    length = ["--length", 9999, "--set", "held_out=0.9999"] if len(data) > 10**5 else []
    assert message in refused(capsys, "train", "text", "text", *length)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["train", "text"], "the task text takes a file: lstm train text FILE"),
        (["train", "text", "."], "it is no regular file"),
        (["train", "text", "missing.txt"], "cannot read missing.txt: No such file"),
        (["train", "adding", "cats.txt"], "the task adding takes no file: cats.txt"),
        (["train", "adding", "--level", "char"], "the task adding takes no --level"),
        (["train", "text", "cats.txt", "--level", "letters"], "there is no 'letters'"),
        (["train", "text", "cats.txt", "--set", "depth=3"], "no setting 'depth'; it has level,"),
        (["train", "text", "cats.txt", "--set", "held_out=2"], "held_out must be a number above 0"),
        (["sample", "cats.txt"], "cannot load the model cats.txt"),
        (["sample", "missing"], "cannot load the model missing"),
        (["sample", "cats.txt", "--temperature", "-1"], "'-1' is no number of at least 0"),
        (["sample", "cats.txt", "--temperature", "nan"], "'nan' is no number of at least 0"),
        (["sample", "cats.txt", "--top-k", "0"], "'0' is no whole number of at least 1"),
    ],
)
def test_what_cannot_be(capsys, args, message):
    assert message in refused(capsys, *args)


def test_prompts_that_cannot_be(capsys, trained):
    assert "the character 'é' is none" in refused(capsys, "sample", MODEL, "--prompt", "caé")
    assert "at least one character" in refused(capsys, "sample", MODEL, "--prompt", "")
    assert r"'\udce9'" in refused(capsys, "sample", MODEL, "--prompt", "\udce9")


def test_a_text_cannot_steer_the_terminal(capsys):
    task = lstm.TextTask("\x1b\x9b" * 50, length=8)
    lstm.Model.create(lstm.RNN, task=task, hidden_size=2).save(MODEL)
    _, out, _ = command(capsys, "sample", MODEL, "--prompt", "\x1b", "--length", 9)
    assert out == "�" * 10 + "\n"
