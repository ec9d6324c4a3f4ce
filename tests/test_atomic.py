"""Files are written whole or not at all, whoever writes them: graphs, models, pictures, folders."""

from __future__ import annotations

import errno
import os
import re
import signal
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import lstm
import minigrad as mg
from lstm.errors import OutputError
from lstm.files import check_file, output_folder
from minigrad import atomic

_GRAPH = mg.var("x") * 2
_MODEL = lstm.Model.create(lstm.LSTM(2, 3), 1, 0)
_PICTURE = mg.draw(_GRAPH)
resource = pytest.importorskip("resource", reason="POSIX: modes, links, pipes, limits")

WRITERS = {
    "write": (".txt", lambda path: atomic.write(path, "new")),
    "graph": (".json", lambda path: mg.save(path, _GRAPH)),
    "model": (".safetensors", _MODEL.save),
    "picture": (".dot", _PICTURE.save),
}
each_writer = pytest.mark.parametrize("name", WRITERS)


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


@each_writer
def test_a_file_keeps_its_mode_and_a_link_its_target(name, tmp_path):
    suffix, save = WRITERS[name]
    target, link = tmp_path / f"target{suffix}", tmp_path / f"link{suffix}"
    target.write_text("old")
    target.chmod(0o600)
    link.symlink_to(target.name)
    save(link)
    assert link.is_symlink()
    assert link.read_bytes() == target.read_bytes() != b"old"
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert names(tmp_path) == sorted([link.name, target.name])


@each_writer
def test_a_name_may_be_as_long_as_names_can_be(name, tmp_path):
    suffix, save = WRITERS[name]
    path = tmp_path / ("n" * (255 - len(suffix)) + suffix)
    save(path)
    save(path)
    assert names(tmp_path) == [path.name]
    with pytest.raises((OSError, OutputError), match="File name too long"):
        save(tmp_path / ("n" * 256 + suffix))
    assert names(tmp_path) == [path.name]


@each_writer
def test_what_a_killed_run_left_is_in_nobodys_way(name, tmp_path):
    suffix, save = WRITERS[name]
    path = tmp_path / f"a{suffix}"
    left = [tmp_path / f".{path.name}.{os.getpid()}.part", tmp_path / f".{os.getpid()}.part",
            tmp_path / f".{os.getpid()}.probe"]  # fmt: skip
    for file in left:
        file.write_text("half of it")
    save(path)
    assert names(tmp_path) == sorted(p.name for p in [path, *left])


@each_writer
def test_threads_that_save_one_file_all_succeed(name, tmp_path):
    suffix, save = WRITERS[name]
    path = tmp_path / f"a{suffix}"
    save(path)
    whole = path.read_bytes()
    with ThreadPoolExecutor(8) as pool:
        jobs = [pool.submit(save, path) for _ in range(40)]
        read = {path.read_bytes() for _ in range(100)}
        for job in jobs:
            job.result()
    assert read == {whole}
    assert names(tmp_path) == [path.name]


@each_writer
def test_a_full_disk_leaves_the_old_file(name, tmp_path):
    suffix, save = WRITERS[name]
    path = tmp_path / f"a{suffix}"
    path.write_text("old")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2, before[1]))  # no file is longer than 2 bytes
    try:
        with pytest.raises((OSError, OutputError), match=rf"File too large|{path.name}"):
            save(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert path.read_text() == "old"
    assert names(tmp_path) == [path.name]


@each_writer
def test_an_error_names_the_file_and_not_its_part(name, tmp_path):
    suffix, save = WRITERS[name]
    with pytest.raises((OSError, OutputError)) as caught:
        save(tmp_path / "nowhere" / f"a{suffix}")
    assert str(tmp_path / "nowhere") in str(caught.value)
    assert ".part" not in str(caught.value)
    assert not str(caught.value).endswith("None")
    (tmp_path / f"folder{suffix}").mkdir()
    with pytest.raises((OSError, OutputError), match=f"folder{suffix}"):
        save(tmp_path / f"folder{suffix}")
    assert names(tmp_path) == [f"folder{suffix}"]


def test_a_file_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    calls = []
    for name in ("fsync", "replace"):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *a, n=name, f=real: (calls.append(n), f(*a))[1])
    atomic.write(tmp_path / "a", b"data")
    assert calls == ["fsync", "replace", "fsync"]  # the file, then its folder


def test_what_replaces_a_private_file_is_private_from_the_start(tmp_path, monkeypatch):
    path, modes, real = tmp_path / "a", [], os.fsync
    path.write_text("old")
    path.chmod(0o400)

    def fsync(file: int) -> None:
        modes.append(stat.S_IMODE(os.fstat(file).st_mode))
        real(file)

    monkeypatch.setattr(os, "fsync", fsync)
    atomic.write(path, "new")
    assert modes[0] == 0o600
    assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == ("new", 0o400)


def test_a_file_moves(tmp_path):
    for name, to in (("a", "new"), ("b", "link")):
        (tmp_path / name).write_text(name)
        (tmp_path / "link").unlink(missing_ok=True)
        (tmp_path / "link").symlink_to("new")
        atomic.move(tmp_path / name, tmp_path / to)
        assert (tmp_path / "new").read_text() == name
        assert names(tmp_path) == ["link", "new"]


def test_what_fails_on_the_way_leaves_nothing(tmp_path, monkeypatch):
    path = tmp_path / "a"
    path.write_text("old")

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        atomic.write(path, "new")
    assert (names(tmp_path), path.read_text()) == (["a"], "old")


def test_a_new_file_has_the_mode_that_the_umask_allows(tmp_path):
    before = os.umask(0o027)
    try:
        atomic.write(tmp_path / "a", "")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


def test_a_link_to_nothing_gets_its_target(tmp_path):
    (tmp_path / "link").symlink_to("target")
    atomic.write(tmp_path / "link", "new")
    assert (tmp_path / "target").read_text() == "new"
    assert (tmp_path / "link").is_symlink()


def test_links_in_a_circle_are_refused(tmp_path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError, match="links") as caught:
        atomic.write(tmp_path / "a", "")
    assert caught.value.errno == errno.ELOOP
    assert names(tmp_path) == ["a", "b"]


def test_a_pipe_is_written_to(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with ThreadPoolExecutor(1) as pool:
        read = pool.submit((tmp_path / "pipe").read_text)
        atomic.write(tmp_path / "pipe", "through")
        assert read.result(10) == "through"
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


# --- folders ------------------------------------------------------------------------------------


def test_what_moves_into_a_folder_keeps_modes_and_links(tmp_path):
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    out.mkdir()
    (out / "private").write_text("old")
    (out / "private").chmod(0o600)
    elsewhere.write_text("old")
    (out / "link").symlink_to(elsewhere)
    (out / f".{os.getpid()}.part").mkdir()  # a killed run's
    with output_folder(out) as part:
        for name in ("private", "link", "new"):
            atomic.write(part / name, name)
    assert stat.S_IMODE((out / "private").stat().st_mode) == 0o600
    assert (out / "link").is_symlink()
    assert [p.read_text() for p in (out / "private", elsewhere, out / "new")] == [
        "private",
        "link",
        "new",
    ]
    assert names(out) == sorted([f".{os.getpid()}.part", "link", "new", "private"])


def test_a_folder_that_two_write_to_gets_both(tmp_path):
    with output_folder(tmp_path / "out") as first, output_folder(tmp_path / "out") as second:
        atomic.write(first / "a", "1")
        atomic.write(second / "b", "2")
    assert names(tmp_path / "out") == ["a", "b"]


def test_a_folder_is_asked_before_long_work(tmp_path):
    check_file(tmp_path / "a")
    assert names(tmp_path) == []
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "nowhere" / "a", tmp_path / "file" / "a", tmp_path, "/proc/a"):
        with pytest.raises(OutputError, match="cannot write"):
            check_file(path)


def test_no_other_code_writes_files():
    # One writer: what opens, renames or writes by itself has no place elsewhere.
    allowed = {
        "minigrad/atomic.py",
        "minigrad/drawing/font_config.py",  # a font cache, made as a folder
        "minigrad/drawing/render_child.py",  # answers, into a pipe
        "lstm/cli/hosts.py",  # what is printed, to where it went or nowhere
    }
    writing = re.compile(
        r'write_text\(|write_bytes\(|os\.replace\(|\.rename\(|open\((?:[^()]|\([^()]*\))*"[wxa]b?"'
    )
    root = Path(mg.__file__).parent.parent
    for package in ("minigrad", "lstm"):
        for file in (root / package).rglob("*.py"):
            found = writing.findall(file.read_text(encoding="utf-8"))
            assert not found or str(file.relative_to(root)) in allowed, (file, found)
