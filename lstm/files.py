"""Writing files whole or not at all, and reading text; saying in one line why not."""

from __future__ import annotations

import re
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
    raise OutputError(f"a path is needed, a str or a pathlib.Path, not {path!r:.40}")


def read_utf8(path: Path | str) -> str:
    """A file's text, in which any of the usual line ends is a newline. Raises ConfigError for what
    is no path, or no regular file, and says where it is no UTF-8, or no text."""
    try:
        file = path_given(path)
    except OutputError as error:
        raise ConfigError(f"cannot read: {error}") from None
    try:
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


def _not_into(path: Path, error: OSError) -> OutputError:
    reason = "it is a file, and no folder" if path.is_file() else error.strerror or error
    return OutputError(f"cannot write into {path}: {reason}")


@contextmanager
def new_folder(path: str | Path) -> Iterator[Path]:
    """A folder, made if need be, which goes again if it is empty at the end. Raises OutputError."""
    path = Path(path)
    made = [p for p in (path, *path.parents) if not p.exists()]
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _not_into(path, error) from None
    try:
        yield path
    finally:
        _remove_empty(made)


@contextmanager
def output_folder(
    path: str | Path,
    names: Collection[str] = (),
    *,
    force: bool = False,
    command: str = "",
    holds: Collection[str] = (),
) -> Iterator[Path]:
    """A hidden folder inside `path` to write to; what is in it moves to `path` at the end.

    `path` is made if need be. When the block raises, or `path` cannot be written, nothing is left
    behind, not even folders that were made for it. Raises OutputError, before the block runs.

    names: of files that will be written. What an earlier run of the same command wrote is written
    over; where such files are there, and no page of it beside them, they are somebody else's, and
    that is an OutputError unless force. command: what the page says that it is of, beside us;
    holds: what it will list, so that none is lost which lists more.
    """
    path = Path(path)
    if not force and (there := [n for n in names if (path / n).exists()]):
        _check_ours(path, there[0], command, holds)
    made = [p for p in (path, *path.parents) if not p.exists()]
    try:
        path.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=".", suffix=".part", dir=path))
    except OSError as error:
        _remove_empty(made)
        raise _not_into(path, error) from None
    try:
        yield part
        try:
            _move_files(part, path)
        except OSError as error:
            raise _not_into(path, error) from None
    finally:
        rmtree(part, ignore_errors=True)
        _remove_empty(made)  # succeeds for those only in which nothing was written


def generator_of(command: str = "", holds: Collection[str] = ()) -> str:
    """What a page names as its generator: us, the command that writes it, and what it lists.

    >>> generator_of("figures", ["ex10"]), generator_of()
    ('minigrad-lstm figures ex10', 'minigrad-lstm')
    """
    return " ".join([GENERATOR, *([command] if command else []), *holds])


def _check_ours(folder: Path, name: str, command: str, holds: Collection[str]) -> None:
    """Raise OutputError unless the page in a folder is of a command, and lists nothing else."""
    generator = _generator_in(folder)
    ways = "--out takes another folder, --force writes over it"
    if generator is None:
        raise OutputError(f"{folder / name} is there already, and it is not of lstm: {ways}")
    of, *listed = generator or [""]
    if of != command:
        raise OutputError(
            f"{folder / 'index.html'} is there already, and of another command, "
            f"{f'lstm {of}' if of else 'or of an earlier release'}: {ways}"
        )
    if lost := [entry for entry in listed if entry not in holds]:
        raise OutputError(
            f"{folder / 'index.html'} is there already, and lists {lost[0]:.40}, too, which this "
            f"run does not write: {ways}"
        )


def _generator_in(folder: Path) -> list[str] | None:
    """What the page in a folder says beside us of what wrote it; None where that is not lstm."""
    try:
        with (folder / "index.html").open("rb") as file:
            head = file.read(2000).decode(errors="replace")
    except OSError:
        return None
    said = re.search(rf'<meta name="generator" content="{GENERATOR}((?: [\w.-]+)*)"', head)
    return said[1].split() if said else None


def _move_files(source: Path, target: Path) -> None:
    for file in sorted(p for p in source.rglob("*") if p.is_file()):
        place = target / file.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        atomic.move(file, place)


def _remove_empty(folders: list[Path]) -> None:
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()
