"""Machine code that outlives a process, in the folder that MINIGRAD_CACHE names, if it does.

An entry is called after what its code was made of and for, and holds a checksum, how many seconds
it took to compile, and an object file. What is not whole counts as absent. Code is run, so that
only who runs it, or the system's administrator, may be able to write it.
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
import stat
import struct
from contextlib import suppress
from dataclasses import dataclass

from minigrad import atomic
from minigrad.errors import GraphError

MOST_BYTES = 1 << 28
"""Of all entries: those that were used last stay."""
_NAME = re.compile(r"[0-9a-f]{64}\.code|\.[0-9a-f]{16}\.part")
"""Of entries, and of what killed writers leave behind."""
_SECONDS = struct.Struct("<d")
_CHECKSUM = hashlib.sha256().digest_size


@dataclass(frozen=True)
class Entry:
    """Machine code, and the seconds that it took to make it."""

    code: bytes
    seconds: float


def folder() -> str | None:
    """Where entries lie, if they do. Raises GraphError where others may write there."""
    setting = os.environ.get("MINIGRAD_CACHE", "")
    return _checked(setting) if setting else None


@functools.cache
def _checked(setting: str) -> str:
    if not hasattr(os, "getuid"):
        raise GraphError("MINIGRAD_CACHE needs a system on which files have owners and modes")
    try:
        os.makedirs(setting, mode=0o700, exist_ok=True)
        path = os.path.realpath(setting)
        weak = next((p for p in _with_parents(path) if _others_may_write(p)), None)
    except (OSError, ValueError) as error:
        raise GraphError(f"MINIGRAD_CACHE: no folder {setting!r} can be had: {error}") from None
    if weak is not None:
        raise GraphError(
            f"MINIGRAD_CACHE: others may write to {weak!r}, and so have their code run by this "
            "process; let only its owner write there (chmod go-w), or name another folder"
        )
    return path


def _with_parents(path: str) -> list[str]:
    paths = [path]
    while (parent := os.path.dirname(paths[-1])) != paths[-1]:
        paths.append(parent)
    return paths


def _others_may_write(path: str) -> bool:
    """Whether others may change what lies there. In /tmp each may change only what is his."""
    status = os.stat(path)
    open_to_others = status.st_mode & 0o022 and not status.st_mode & stat.S_ISVTX
    return bool(open_to_others) or not _is_trusted(status)


def _is_trusted(status: os.stat_result) -> bool:
    return status.st_uid in (0, os.getuid())


def key_of(*parts: str) -> str:
    """The name of an entry that is made of these."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode()
        digest.update(b"%d:" % len(data) + data)
    return f"{digest.hexdigest()}.code"


def has(place: str, key: str) -> bool:
    """Whether something lies under a key."""
    return os.path.exists(os.path.join(place, key))


def read(place: str, key: str) -> Entry | None:
    """What lies under a key, if it is whole and nobody else's."""
    path = os.path.join(place, key)
    try:
        status = os.lstat(path)
        if not stat.S_ISREG(status.st_mode) or status.st_mode & 0o022 or not _is_trusted(status):
            return None
        data = atomic.read(path)
        os.utime(path)  # it was used
    except OSError:
        return None
    checksum, rest = data[:_CHECKSUM], data[_CHECKSUM:]
    if checksum != _checksum(key, rest) or len(rest) < _SECONDS.size:
        return None
    return Entry(rest[_SECONDS.size :], *_SECONDS.unpack_from(rest))


def write(place: str, key: str, entry: Entry) -> None:
    """Put an entry in its place, and remove the oldest where there are too many.

    Nothing is said where that cannot be: the next process compiles it again.
    """
    path, data = os.path.join(place, key), _SECONDS.pack(entry.seconds) + entry.code
    with suppress(OSError):
        os.unlink(path)  # what is there is no entry, or a pipe
    with suppress(OSError):
        atomic.write(path, _checksum(key, data) + data, mode=0o600)
        _keep_bounded(place)


def _checksum(key: str, data: bytes) -> bytes:
    """Of a name too, so that no entry is taken for another."""
    return hashlib.sha256(key.encode() + data).digest()


def _keep_bounded(place: str) -> None:
    with os.scandir(place) as files:
        entries = [(f.stat(), f.path) for f in files if _NAME.fullmatch(f.name)]
    total = sum(status.st_size for status, _ in entries)
    for status, path in sorted(entries, key=lambda entry: entry[0].st_mtime_ns):
        if total <= MOST_BYTES:
            break
        with suppress(FileNotFoundError):
            os.unlink(path)
        total -= status.st_size
