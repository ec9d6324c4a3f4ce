"""Writing files whole or not at all: the one place where either package writes anything.

A file is written under a name of its own beside its target, brought to the disk, and renamed. So
readers meet the old file or the new one, writers do not meet each other, and what a killed process
leaves behind (`.….part`) is in nobody's way.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
import tempfile
from contextlib import suppress
from typing import TypeAlias

StrPath: TypeAlias = "str | os.PathLike[str]"


def write(path: StrPath, data: bytes | str, *, mode: int = 0o666) -> None:
    """Put a file in its place; text is written as UTF-8. mode: what a new file lets who do.

    A file that is there keeps its mode, and a symbolic link stays one: its target is written. A
    pipe or a device is written to as it is. Raises OSError, which names `path`, and leaves what was
    there.

    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write(f"{folder}/note.txt", "∂L/∂C")
    ...     Path(folder, "note.txt").read_text("utf-8"), os.listdir(folder)
    ('∂L/∂C', ['note.txt'])
    """
    content = data.encode() if isinstance(data, str) else data
    try:
        there = _mode(path)
        if there is None or stat.S_ISREG(there):
            _write_beside(os.path.realpath(path), content, there, mode)
        else:
            with open(path, "wb") as file:
                file.write(content)
    except OSError as error:
        # Of the file, not of its part, nor of the two between which a rename failed.
        raise OSError(error.errno, error.strerror, os.fspath(path)) from None


def move(source: StrPath, path: StrPath) -> None:
    """Put a whole file that lies elsewhere in the place of `path`, as `write` does its data."""
    mode = _mode(path)
    if os.path.islink(path) or not (mode is None or stat.S_ISREG(mode)):
        with open(source, "rb") as file:
            write(path, file.read())
        os.unlink(source)
    else:
        _put(os.fspath(source), os.fspath(path), mode)


def read(path: StrPath) -> bytes:
    """What a file holds. Raises OSError, for a name that no file can have too."""
    _mode(path)
    with open(path, "rb") as file:
        return file.read()


def _mode(path: StrPath) -> int | None:
    """The kind and permissions of what is there, at the end of links; None where nothing is."""
    try:
        return os.stat(path).st_mode
    except FileNotFoundError:
        return None
    except ValueError as error:  # half a character, or a NUL
        raise OSError(errno.EINVAL, f"no file can be called so ({error})") from None


def _write_beside(target: str, content: bytes, mode: int | None, new_mode: int) -> None:
    # Not named after its target, whose name may be as long as names can be.
    part = os.path.join(os.path.dirname(target), f".{secrets.token_hex(8)}.part")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    # What replaces a private file is private from the start.
    file = os.open(part, flags, new_mode if mode is None else 0o600)
    try:
        with os.fdopen(file, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(file)
        _put(part, target, mode)
    except BaseException:
        with suppress(OSError):
            os.unlink(part)
        raise


def _put(part: str, target: str, mode: int | None) -> None:
    if mode is not None:
        os.chmod(part, stat.S_IMODE(mode))
    os.replace(part, target)
    # The rename itself must reach the disk. Not all systems can sync a folder, nor all folders.
    with suppress(OSError):
        folder = os.open(os.path.dirname(target) or os.curdir, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def check(path: StrPath) -> None:
    """Raise OSError unless a file can be made beside `path`; for asking before long work.

    Only an attempt tells: permission bits say nothing of read-only mounts and the like.
    """
    _mode(path)  # a name that is too long, links in a circle
    tempfile.TemporaryFile(dir=os.path.dirname(os.path.realpath(path))).close()
