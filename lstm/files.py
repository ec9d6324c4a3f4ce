"""Writing files whole or not at all, and saying in one line why not."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from shutil import rmtree

from lstm.errors import OutputError
from minigrad import atomic


def write_atomically(path: str | Path, data: bytes | str) -> None:
    """Write a file as `minigrad.atomic` does: the old one stays until the new one is whole.

    Raises OutputError, and leaves nothing behind, when that fails.
    """
    check_file(path)
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
def output_folder(path: str | Path) -> Iterator[Path]:
    """A hidden folder inside `path` to write to; what is in it moves to `path` at the end.

    `path` is made if need be. When the block raises, or `path` cannot be written, nothing is left
    behind, not even folders that were made for it. Raises OutputError, before the block runs.
    """
    path = Path(path)
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


def _move_files(source: Path, target: Path) -> None:
    for file in sorted(p for p in source.rglob("*") if p.is_file()):
        place = target / file.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        atomic.move(file, place)


def _remove_empty(folders: list[Path]) -> None:
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()
