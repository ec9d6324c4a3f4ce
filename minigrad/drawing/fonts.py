"""Which characters no font here has a shape for, and the warning that names them.

Fonts are asked for their `cmap` tables (OpenType 1.9, "cmap"), as fontconfig asks them.
"""

from __future__ import annotations

import struct
import unicodedata
import warnings
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path

from minigrad.drawing.font_config import font_files, font_folders
from minigrad.graph.origin import users_depth

_MOST_LISTED = 12  # characters that a warning names
_JOINERS = "\u200d\ufe0e\ufe0f"  # they have no shape of their own
_SUFFIXES = (".ttf", ".otf", ".ttc", ".otc")
_TO_INSTALL = (
    # (first and last character, font, its package in Debian and Ubuntu)
    ((0x2E80, 0x9FFF), "Noto Sans CJK", "fonts-noto-cjk"),
    ((0xAC00, 0xD7AF), "Noto Sans CJK", "fonts-noto-cjk"),
    ((0xF900, 0xFAFF), "Noto Sans CJK", "fonts-noto-cjk"),
    ((0xFF00, 0xFFEF), "Noto Sans CJK", "fonts-noto-cjk"),
    ((0x1F000, 0x1FAFF), "Noto Color Emoji", "fonts-noto-color-emoji"),
    ((0x20000, 0x3FFFF), "Noto Sans CJK", "fonts-noto-cjk"),
)
_OTHERS = "Noto Sans", "fonts-noto-core"
_EMOJI = "Noto Color Emoji"  # bitmaps
_OUTLINED = "Symbola", "fonts-symbola"  # outlines of the same
_OUTLINES = {b"glyf", b"CFF ", b"CFF2"}  # the tables of which a font with outlines has one


def warn_of_missing(texts: Iterable[str]) -> None:
    """One warning of all characters of some texts that will be boxes in pictures."""
    warn_of_boxes(missing_in(texts))


def warn_of_boxes(missing: Sequence[str], outlines: bool = False) -> None:
    """The same of characters of which that is known. outlines: fonts of bitmaps do not count."""
    if not missing:
        return
    shown = ", ".join([f"{c} (U+{ord(c):04X})" for c in missing[:_MOST_LISTED]])
    more = f" and {len(missing) - _MOST_LISTED} more" * (len(missing) > _MOST_LISTED)
    fonts = " and ".join(dict.fromkeys([_to_install(c, outlines) for c in missing]))
    kind = "font with outlines" if outlines and len(missing_in(missing)) < len(missing) else "font"
    warnings.warn(
        f"no {kind} here has {shown}{more}: the picture has boxes in their place. Install {fonts}, "
        "or put a font file that has them into ~/.fonts",
        UserWarning,
        stacklevel=users_depth(),
    )


def missing_in(texts: Iterable[str]) -> list[str]:
    """The characters without a shape, each once, in order.

    >>> missing_in(["C̃ₜ = fₜ ∗ C", "∂L/∂h"])
    []
    """
    seen = dict.fromkeys(c for text in texts for c in text if c > "~" and c not in _JOINERS)
    left = dict.fromkeys(c for c in seen if not unicodedata.category(c).startswith(("C", "Z")))
    for file in _all_fonts():
        if not left:
            break
        ranges = _ranges(file)
        for c in [c for c in left if any(a <= ord(c) <= b for a, b in ranges)]:
            del left[c]
    return [*left]


def _to_install(character: str, outlines: bool) -> str:
    code = ord(character)
    font, package = next(((f, p) for (a, b), f, p in _TO_INSTALL if a <= code <= b), _OTHERS)
    if outlines and font == _EMOJI:
        font, package = _OUTLINED
    return f"{font} (Debian, Ubuntu: apt install {package})"


def outlines_of(characters: str) -> Iterator[tuple[Path, set[str]]]:
    """Fonts of the system whose letters have outlines, each with those of the characters that it
    has, if it has any."""
    for file in _all_fonts():
        ranges = _outlined(file)
        shapes = {c for c in characters if any(a <= ord(c) <= b for a, b in ranges)}
        if shapes:
            yield file, shapes


def _all_fonts() -> Iterator[Path]:
    """Ours first, which nearly all text is written in."""
    yield from font_files()
    for folder in font_folders():
        yield from (f for f in sorted(folder.rglob("*")) if f.suffix.lower() in _SUFFIXES)


@lru_cache(maxsize=4096)
def _ranges(file: Path) -> tuple[tuple[int, int], ...]:
    """First and last of each run of characters that a font has; none of a file that is no font."""
    try:
        with file.open("rb") as stream:
            data = stream.read()
        return tuple(sorted({r for face in _faces(data) for r in _of_face(data, face)}))
    except (OSError, struct.error):
        return ()


@lru_cache(maxsize=4096)
def _outlined(file: Path) -> tuple[tuple[int, int], ...]:
    """The same of the first font of a file, the one that matplotlib takes; none of bitmaps."""
    try:
        data = file.read_bytes()
        first = _faces(data)[0]
        is_outlined = any(tag in _OUTLINES for tag, _ in _tables(data, first))
        return tuple(sorted({*_of_face(data, first)})) if is_outlined else ()
    except (OSError, struct.error, IndexError):
        return ()


def _faces(data: bytes) -> tuple[int, ...]:
    """Where the fonts of a file begin."""
    if data[:4] != b"ttcf":
        return (0,)
    (count,) = struct.unpack_from(">I", data, 8)
    return struct.unpack_from(f">{min(count, 64)}I", data, 12)


def _tables(data: bytes, start: int) -> Iterator[tuple[bytes, int]]:
    """The name of each table of a font, and where it begins."""
    (count,) = struct.unpack_from(">H", data, start + 4)
    for k in range(count):
        tag, _, offset, _ = struct.unpack_from(">4sIII", data, start + 12 + 16 * k)
        yield tag, offset


def _of_face(data: bytes, start: int) -> Iterator[tuple[int, int]]:
    for tag, offset in _tables(data, start):
        if tag == b"cmap":
            (tables,) = struct.unpack_from(">H", data, offset + 2)
            for t in range(tables):
                platform, encoding, where = struct.unpack_from(">HHI", data, offset + 4 + 8 * t)
                if platform == 0 or (platform, encoding) in ((3, 1), (3, 10)):
                    yield from _of_table(data, offset + where)


def _of_table(data: bytes, at: int) -> Iterator[tuple[int, int]]:
    """Runs of a table of characters of the basic plane, or of all."""
    (format,) = struct.unpack_from(">H", data, at)
    if format == 4:
        (twice,) = struct.unpack_from(">H", data, at + 6)
        ends = struct.unpack_from(f">{twice // 2}H", data, at + 14)
        starts = struct.unpack_from(f">{twice // 2}H", data, at + 16 + twice)
        yield from ((a, b) for a, b in zip(starts, ends, strict=True) if a <= b < 0xFFFF)
    elif format == 12:
        (groups,) = struct.unpack_from(">I", data, at + 12)
        for first, last, _ in struct.iter_unpack(">III", data[at + 16 : at + 16 + 12 * groups]):
            yield first, last
