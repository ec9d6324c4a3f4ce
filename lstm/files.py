"""Writing files whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from shutil import rmtree

from lstm.errors import OutputError


def write_atomically(path: str | Path, data: bytes | str) -> None:
    """Write a file under another name in its folder, then rename it; text is written as UTF-8.

    Raises OutputError, and leaves nothing behind, when that fails.
    """
    path = Path(path)
    check_file(path)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("xb") as file:
            file.write(data.encode() if isinstance(data, str) else data)
        part.replace(path)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from None
    finally:
        with suppress(OSError):
            part.unlink()


def check_file(path: str | Path) -> None:
    """Raise OutputError unless a file can be written there; for asking before long work."""
    path = Path(path)
    if path.exists() and not path.is_file():
        raise OutputError(f"cannot write {path}: it is no regular file")
    if not path.parent.is_dir():
        raise OutputError(f"cannot write {path}: there is no folder {path.parent}")
    _probe(path.parent)


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
        part = path / f".{os.getpid()}.part"
        part.mkdir()
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
        file.replace(place)


def _remove_empty(folders: list[Path]) -> None:
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()


def _probe(folder: Path) -> None:
    # Only an attempt tells: permission bits say nothing of read-only mounts and the like.
    probe = folder / f".{os.getpid()}.probe"
    try:
        probe.open("xb").close()
        probe.unlink()
    except OSError as error:
        raise OutputError(f"cannot write into {folder}: {error.strerror or error}") from None
