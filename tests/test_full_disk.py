"""A disk that is full or read-only: one clear error, and the last good checkpoint stays."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import lstm
from lstm.cli import main
from lstm.errors import OutputError
from lstm.store.checkpoint import read_checkpoint
from lstm.tasks import Adding
from lstm.training import Settings, fit
from minigrad.drawing.faults import RenderError
from minigrad.drawing.render import render

TASK, SETTINGS = Adding(length=5), Settings(steps=50, batch=2)


def model_of() -> Any:
    return lstm.Model.create(lstm.RNN(2, 3), 1, 0)


class Disk:
    """A small disk: a tmpfs where this user may mount one, else a folder whose files may not grow.

    The second is no disk, but writes fail in the same place: in the middle of a file.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
        self.mounted = hasattr(os, "geteuid") and os.geteuid() == 0 and _succeeds(command)
        self._limits: Any = None

    def fill(self) -> None:
        """No room for one byte more."""
        if self.mounted:
            with open(self.folder / "filler", "wb", buffering=0) as file:
                try:
                    while file.write(b"\0" * 4096):
                        pass
                except OSError:
                    return
        import resource

        self._limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, self._limits[1]))

    def free(self) -> None:
        """Room again."""
        if self.mounted:
            os.unlink(self.folder / "filler")
        else:
            import resource

            resource.setrlimit(resource.RLIMIT_FSIZE, self._limits)
            self._limits = None

    def close(self) -> None:
        if self._limits is not None:
            self.free()
        if self.mounted:
            subprocess.run(["umount", str(self.folder)], check=True)


def _succeeds(command: list[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True).returncode == 0
    except OSError:
        return False


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    small = Disk(tmp_path)
    yield small
    small.close()


@pytest.mark.skipif(os.name == "nt", reason="limits of files are POSIX's")
def test_a_full_disk_leaves_the_last_good_checkpoint(disk):
    path = disk.folder / "c"

    def fill(progress):
        if progress.step == 3:
            disk.fill()

    with pytest.raises(OutputError, match=rf"cannot write {path}: (No space|File too large)"):
        fit(model_of(), TASK, SETTINGS, validate=0, out=path, save_every=1, callback=fill)
    assert int(read_checkpoint(path).arrays["count"]) == 3
    assert not [name for name in os.listdir(disk.folder) if name.endswith(".part")]
    disk.free()
    rest = fit(model_of(), TASK, out=path, resume=True)
    whole = fit(model_of(), TASK, SETTINGS, validate=0)
    assert rest.reports == whole.reports[3:]


@pytest.mark.skipif(os.name == "nt", reason="limits of files are POSIX's")
def test_a_full_disk_leaves_whole_lines_of_metrics(disk):
    path, log = disk.folder / "c", disk.folder / "m"

    def fill(progress):
        if progress.step == 200:
            disk.fill()

    files = {"out": path, "metrics": log}
    with pytest.raises(OutputError, match=rf"cannot write {log}: "):
        fit(model_of(), TASK, Settings(steps=3000, batch=2), validate=0, save_every=200,
            callback=fill, **files)  # fmt: skip
    disk.free()
    assert int(read_checkpoint(path).arrays["count"]) == 200
    fit(model_of(), TASK, out=path, metrics=log, resume=True, callback=lambda p: p.step == 209)
    steps = [json.loads(line)["step"] for line in log.read_text().splitlines()]
    assert steps == list(range(1, 210))


def test_a_folder_that_is_read_only_is_found_before_training(disk, monkeypatch, capsys):
    if disk.mounted:
        assert _succeeds(["mount", "-o", "remount,ro", str(disk.folder)])
    elif not hasattr(os, "geteuid") or os.geteuid() == 0:
        pytest.skip("permission bits do not stop this user")
    else:
        disk.folder.chmod(0o500)
    monkeypatch.chdir(disk.folder)
    for arguments in ({"out": "c"}, {"metrics": "m"}):
        with pytest.raises(OutputError, match=r"cannot write [cm]: (Read-only|Permission denied)"):
            fit(model_of(), TASK, Settings(steps=10**9), **arguments)
    assert main(["train", "adding", "--steps", "1000000"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("lstm: cannot write into lstm-models: ")
    assert error.count("\n") == 1
    if not disk.mounted:
        disk.folder.chmod(0o700)


@pytest.mark.skipif(os.name == "nt", reason="limits of files are POSIX's")
def test_a_full_disk_is_no_crash_of_graphviz():
    import resource

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    dot = "digraph { " + "x -> y; " * 4000 + "}"
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(dot) // 2, limits[1]))
    try:
        with pytest.raises(RenderError, match=r"^cannot draw the svg: cannot write .*too large$"):
            render(dot, "svg")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
