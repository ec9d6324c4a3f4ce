"""Writing files whole or not at all."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

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


def make_folder(path: str | Path) -> Path:
    """The folder, made if need be, and known to be writable. Raises OutputError."""
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {path}: {error.strerror or error}") from None
    _probe(path)
    return path


def _probe(folder: Path) -> None:
    # Only an attempt tells: permission bits say nothing of read-only mounts and the like.
    probe = folder / f".{os.getpid()}.probe"
    try:
        probe.open("xb").close()
        probe.unlink()
    except OSError as error:
        raise OutputError(f"cannot write into {folder}: {error.strerror or error}") from None
