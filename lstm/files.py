"""Writing files whole or not at all, and reading text; saying in one line why not."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from os import PathLike
from pathlib import Path
from shutil import rmtree

from lstm.errors import ConfigError, OutputError
from minigrad import atomic

GENERATOR = "minigrad-lstm"
"""What our pages name as their generator."""


def path_given(path: str | Path) -> Path:
    """What is given as a path, as one. Raises OutputError for what is none, as a number is.

    >>> path_given("flow.svg").suffix
    '.svg'
    """
    if isinstance(path, (str, PathLike)) and str(path):
        return Path(path)
    raise OutputError(f"a path is needed, such as 'flow.svg', not {path!r:.40}")


def read_utf8(path: Path | str) -> str:
    """A file's text, in which any of the usual line ends is a newline. Raises ConfigError for what
    is no path, or no regular file, and says where it is no UTF-8, or no text."""
    try:
        file = path_given(path)
        if file.exists() and not file.is_file():
            raise ValueError("it is no regular file")
        data = file.read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"cannot read {path!s:.200}: {reason}") from None
    try:
        return checked_text(str(path), data.decode())
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            f"{path} is no UTF-8: byte {data[error.start]:#04x} in line {line}; iconv -t utf-8 "
            "makes it so, told by -f what it is"
        ) from None


def checked_text(where: str, text: str) -> str:
    """A text with newlines at the ends of its lines, and no mark of byte order. Raises ConfigError
    for an empty one, and for what is none.

    >>> checked_text("a file", "one\\r\\ntwo")
    'one\\ntwo'
    """
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    if not text:
        raise ConfigError(f"{where} is empty")
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise ConfigError(f"{where} is no text: it has a NUL byte in line {line}")
    return text


def write_atomically(path: str | Path, data: bytes | str) -> None:
    """Write a file as `minigrad.atomic` does: the old one stays until the new one is whole.

    Raises OutputError, and leaves nothing behind, when that fails.
    """
    check_file(path_given(path))
    try:
        atomic.write(path, data)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from None


def check_file(path: str | Path) -> None:
    """Raise OutputError unless a file can be written there; for asking before long work."""
    path = Path(path)
    if path.exists() and not path.is_file():
        raise OutputError(f"cannot write {path}: it is no regular file")
    if not path.parent.is_dir():
        raise OutputError(f"cannot write {path}: there is no folder {path.parent}")
    try:
        atomic.check(path)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from None


def written(path: str | Path) -> tuple[int, ...] | None:
    """What changes when a file is written, by whomever; None of one that is not there."""
    try:
        now = Path(path).stat()
    except OSError:
        return None
    return now.st_dev, now.st_ino, now.st_size, now.st_mtime_ns


@contextmanager
def new_folder(path: str | Path) -> Iterator[Path]:
    """A folder, made if need be, which goes again if it is empty at the end. Raises OutputError."""
    path = Path(path)
    made = [p for p in (path, *path.parents) if not p.exists()]
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write into {path}: {error.strerror or error}") from None
    try:
        yield path
    finally:
        _remove_empty(made)


@contextmanager
def output_folder(
    path: str | Path, names: Collection[str] = (), *, force: bool = False
) -> Iterator[Path]:
    """A hidden folder inside `path` to write to; what is in it moves to `path` at the end.

    `path` is made if need be. When the block raises, or `path` cannot be written, nothing is left
    behind, not even folders that were made for it. Raises OutputError, before the block runs.

    names: of files that will be written. What an earlier run wrote is written over; where such
    files are there, and no page of ours beside them, they are somebody else's, and that is an
    OutputError unless force.
    """
    path = Path(path)
    foreign = [] if force or _has_our_page(path) else [n for n in names if (path / n).exists()]
    if foreign:
        raise OutputError(
            f"{path / foreign[0]} is there already, and it is not of lstm: --out takes another "
            "folder, --force writes over it"
        )
    made = [p for p in (path, *path.parents) if not p.exists()]
    try:
        path.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=".", suffix=".part", dir=path))
    except OSError as error:
        _remove_empty(made)
        raise OutputError(f"cannot write into {path}: {error.strerror or error}") from None
    try:
        yield part
        _move_files(part, path)
    except OSError as error:
        raise OutputError(f"cannot write into {path}: {error.strerror or error}") from None
    finally:
        rmtree(part, ignore_errors=True)
        _remove_empty(made)  # succeeds for those only in which nothing was written


def _has_our_page(folder: Path) -> bool:
    """Whether there is a page that lstm wrote, which says so in its head."""
    try:
        with (folder / "index.html").open("rb") as file:
            return GENERATOR.encode() in file.read(1000)
    except OSError:
        return False


def _move_files(source: Path, target: Path) -> None:
    for file in sorted(p for p in source.rglob("*") if p.is_file()):
        place = target / file.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        atomic.move(file, place)


def _remove_empty(folders: list[Path]) -> None:
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()
