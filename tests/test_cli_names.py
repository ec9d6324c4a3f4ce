"""What the command is asked for by name: help, its version, and names that are nearly right."""

from __future__ import annotations

import argparse
import subprocess
import sys
from dataclasses import fields
from importlib import metadata
from inspect import signature
from pathlib import Path

import pytest

from lstm.cells import GRU, Gated
from lstm.cli import COMMANDS, main
from lstm.cli.options import Parser
from lstm.layers.usual import usual_stack
from lstm.model import Model
from lstm.tasks import Adding
from lstm.training import Settings, fit

pytestmark = pytest.mark.usefixtures("by_numpy")


def _ends(capsys: pytest.CaptureFixture[str], *args: str) -> str:
    with pytest.raises(SystemExit) as caught:
        main(list(args))
    assert caught.value.code == 0
    return capsys.readouterr().out


def test_the_version_is_the_packages(capsys) -> None:
    assert _ends(capsys, "--version") == f"lstm {metadata.version('minigrad-lstm')}\n"
    text = Path(__file__).with_name("..").joinpath("pyproject.toml").read_text(encoding="utf-8")
    assert f'version = "{metadata.version("minigrad-lstm")}"' in text


def test_without_the_package_installed_it_says_so(capsys, monkeypatch) -> None:
    def absent(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr("importlib.metadata.version", absent)
    assert _ends(capsys, "--version") == "lstm, not installed\n"


def test_help_is_a_word_too(capsys) -> None:
    whole = _ends(capsys, "--help")
    assert _ends(capsys, "help") == whole
    assert all(name in whole for name in COMMANDS)
    for name in COMMANDS:
        assert _ends(capsys, "help", name) == _ends(capsys, name, "--help")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["trian"], "argument COMMAND: there is no 'trian'; there are demo, train, flow, tasks"),
        (["trian"], "; did you mean train? (see lstm --help)"),
        (["help", "flw"], "there is no 'flw'; .*; did you mean flow?"),
        (
            ["zzz"],
            "there are demo, train, flow, tasks, info, sample, predict, reproduce, walk, figures, "
            "sweep",
        ),
        (["train", "addin"], "there is no task 'addin'; there are: adding.*; did you mean adding?"),
        (["train", "adding", "--cell", "lsmt"], "argument --cell: there is no 'lsmt'; "),
        (["train", "adding", "--cell", "lsmt"], "; did you mean lstm? (see lstm train --help)"),
        (["train", "adding", "--cell", "GRU"], "; did you mean gru?"),
        (["train", "adding", "--sede", "1"], "unrecognized arguments: --sede 1; did you mean --se"),
        (["tasks", "--jsn"], "--jsn; did you mean --json? (see lstm tasks --help)"),
        (["tasks", "--jsn=1"], "unrecognized arguments: --jsn=1; did you mean --json?"),
        (["tasks", "more"], "unrecognized arguments: more (see lstm tasks --help)"),
        (["tasks", "--version"], "unrecognized arguments: --version (see lstm tasks --help)"),
    ],
)
def test_what_is_nearly_right_is_told(capsys, args, message) -> None:
    assert main(args) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    for part in message.split(".*"):
        assert part in err


def test_a_long_wrong_choice_is_shortened(capsys) -> None:
    assert main(["train", "adding", "--cell", "x" * 5000]) == 2
    assert len(capsys.readouterr().err) < 300


def test_options_of_groups_come_near_too() -> None:
    parser = Parser(prog="p")
    parser.add_argument_group("one").add_argument("--learning-rate")
    with pytest.raises(ValueError, match=r"p --help\)") as caught:
        parser.refuse(["--learnig-rate", "3"])
    assert "did you mean --learning-rate?" in str(caught.value)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="closed descriptors are POSIX's")
@pytest.mark.parametrize(
    ("args", "closed", "said"),
    [
        ("tasks --json", ">&-", True),
        ("tasks", "2>&-", False),
        ("help", "2>&-", False),
        ("--version", ">&- 2>&-", False),
    ],
)
def test_closed_streams_are_no_traceback(args: str, closed: str, said: bool) -> None:
    command = f"{sys.executable} -m lstm.cli {args} {closed}"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=60)
    expected = "lstm: cannot write: standard output is closed\n" if said else ""
    assert done.stderr == expected
    assert done.returncode == (2 if ">&- " in f"{closed} "[:4] else 0)
    assert ("adding" in done.stdout) == (args == "tasks" and not said)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is full")
@pytest.mark.parametrize("args", [["--version"], ["help"]])
def test_help_that_cannot_be_written_is_an_error(args: list[str]) -> None:
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "lstm.cli", *args]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, timeout=60)
    assert done.returncode == 2
    assert done.stderr == b"lstm: cannot write: No space left on device\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_help_fits_60_columns_and_cuts_no_name(capsys, monkeypatch, command) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    narrow = _ends(capsys, command, "--help")
    monkeypatch.setenv("COLUMNS", "400")
    wide = _ends(capsys, command, "--help")
    assert max(map(len, narrow.splitlines())) <= 60
    assert sorted(narrow.split()) == sorted(wide.split())


def test_options_have_the_names_of_the_api() -> None:
    """What `lstm train` takes for a model and for training is called as in Python."""
    group = argparse.ArgumentParser()
    COMMANDS["train"].add_options(group)
    names = set(vars(group.parse_args(["adding"])))
    model = {"hidden_size", "memory", "layers", "bidirectional", "layer_norm", "residual"}
    model |= {"dropout", "input_dropout", "recurrent_dropout", "zoneout"}
    assert model <= set(signature(Model.create).parameters) | set(signature(usual_stack).parameters)
    settings = {f.name for f in fields(Settings) if not f.name.endswith("_options")}
    loop = {"validate", "patience", "metrics", "resume", "force", "out"}
    assert loop <= set(signature(fit).parameters)
    assert model | settings | loop <= names
    assert "lr" not in names


@pytest.mark.usefixtures("undrawn")
@pytest.mark.slow
def test_layers_are_asked_for_by_name(capsys, tmp_path) -> None:
    options = ["--cell", "gru", "--layers", "2", "--bidirectional", "--layer-norm", "--residual"]
    quick = ["--steps", "1", "--length", "4", "--hidden-size", "3", "--batch", "2"]
    path = str(tmp_path / "m.safetensors")
    assert main(["train", "adding", *options, *quick, "--out", path, "--json"]) == 0
    model = Model.load(path)
    expected = Model.create(
        GRU,
        task=Adding(4),
        hidden_size=3,
        layers=2,
        bidirectional=True,
        layer_norm=True,
        residual=True,
    )
    assert model.layers == expected.layers
    assert isinstance(model.cell, Gated)
    assert model.cell.memory == 4
    assert main(["flow", path, "--out", str(tmp_path / "flow"), "--json"]) == 0
    assert main(["info", path]) == 0
    assert "layer2" in capsys.readouterr().out
