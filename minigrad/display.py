"""What objects show of themselves at a prompt and in a notebook: a line, or a small table.

Text that others chose is hostile until it has passed `plain`. Nothing here knows of graphs.
"""

from __future__ import annotations

import html
import textwrap
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, fields
from typing import Any

import numpy as np

WIDEST = 80  # characters of a name, an error, and a table's cell as text
_OFF = (type(None), bool, int, float, str, tuple, list, dict)
# Letters and marks without ink: fillers of Hangul, the blank of Braille, the grapheme joiner.
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180e\u2800\u3164\uffa0")
_STAND_IN = "\ufffd"
_JOINER = "\u200d"


def plain(text: str, limit: int | None = None) -> str:
    """Text without characters that cannot be shown: they are made visible or replaced.

    >>> plain("a\\0b\\n"), plain("abcdef", limit=4), plain("  ")
    ('a^@b^J', 'abc…', '··')
    """
    shown = text
    if not (text.isascii() and text.isprintable()):  # else there is nothing to look for
        first, *parts = text.split(_JOINER)
        shown = "".join(map(_visible, first))
        for before, part in zip([first, *parts], parts, strict=False):
            shown += _JOINER if _is_emoji(before[-1:]) and _is_emoji(part[:1]) else _STAND_IN
            shown += "".join(map(_visible, part))
    if not shown.strip():
        shown = "·" * len(shown)
    return shown if limit is None or len(shown) <= limit else shown[: limit - 1] + "…"


def _is_emoji(c: str) -> bool:
    """Whether it is a symbol, or what changes one, that may be joined with others to one emoji."""
    return c != "" and (c == "\ufe0f" or unicodedata.category(c) in ("So", "Sk"))


def _visible(c: str) -> str:
    if c < " " or c == "\x7f":
        return "^" + chr(ord(c) ^ 64)  # ^J, as terminals show it; the fonts have no ␊
    # Controls, lone surrogates and marks that turn the direction of what follows.
    hidden = unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
    return _STAND_IN if hidden or c in _BLANK else c


@dataclass(frozen=True)
class Table:
    """A title, rows of cells below their heads, and sentences after them; all may be hostile.

    >>> print(Table("Fruit", [("apple", "3")], heads=("kind", "count")).text())
    Fruit
      kind   count
      apple  3
    """

    title: str
    rows: Sequence[Sequence[str]]
    heads: Sequence[str] = ()
    notes: Sequence[str] = ()

    def _lines(self, limit: int) -> list[list[str]]:
        heads = [self.heads] if self.heads else []
        return [[plain(cell[:1000], limit) for cell in row] for row in (*heads, *self.rows)]

    def text(self) -> str:
        """The table as lines of text, its columns aligned."""
        lines = self._lines(WIDEST)
        count = max(map(len, lines), default=0)
        widths = [max(len(row[k]) for row in lines if k < len(row)) for k in range(count)]
        shown = [plain(self.title)]
        for row in lines:
            cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
            shown.append("  " + "  ".join(cells).rstrip())
        return "\n".join([*shown, *map(_wrapped, self.notes)])

    def html(self) -> str:
        """The table as HTML, every text escaped."""
        lines = [[html.escape(cell) for cell in row] for row in self._lines(200)]
        heads, rows = (lines[:1], lines[1:]) if self.heads else ([], lines)
        title = html.escape(plain(self.title))
        shown = [f'<table><caption style="text-align: left"><b>{title}</b></caption>']
        if heads:
            shown.append(f"<thead>{html_row(heads[0], 'th')}</thead>")
        shown += ["<tbody>", *(html_row(row, "td") for row in rows), "</tbody></table>"]
        return "".join([*shown, *(f"<p>{html.escape(plain(note))}</p>" for note in self.notes)])


def _wrapped(sentence: str) -> str:
    return textwrap.fill(plain(sentence[:2000]), 96, subsequent_indent="  ")


def html_row(cells: Iterable[str], kind: str) -> str:
    """A row of a table, of cells that are HTML already. kind: "td", or "th" for heads."""
    left = ' style="text-align: left"'
    return f"<tr>{''.join(f'<{kind}{left}>{cell}</{kind}>' for cell in cells)}</tr>"


def bundle(shown: object, kinds: dict[str, Callable[[], str]]) -> dict[str, str]:
    """What a notebook is given for an object, by MIME type, always with text/plain.

    What cannot be made is left out, and the text says why: a cell must not fail for its display.
    """
    made: dict[str, str] = {}
    faults: list[str] = []
    for kind, make in {"text/plain": lambda: repr(shown), **kinds}.items():
        try:
            made[kind] = make()
        except Exception as error:
            faults.append(f"(no {kind}: {type(error).__name__}: {_words(error)})")
    made.setdefault("text/plain", object.__repr__(shown))
    if faults:
        made["text/plain"] = "\n".join([made["text/plain"], *faults])
    return made


def _words(error: Exception) -> str:
    try:
        return plain(str(error)[:1000], WIDEST)
    except Exception:  # an error of a user's own may not even say what it is
        return "…"


class ShownAsTable:
    """Mixin of objects that are shown as a table, which `_table` gives: `repr` is its text."""

    __slots__ = ()

    def _table(self) -> Table:
        raise NotImplementedError

    def __repr__(self) -> str:
        return self._table().text()

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        """What a notebook shows: the table, and `repr`."""
        return bundle(self, {"text/html": lambda: self._table().html()})


class Report(str):
    """Lines of text, which a prompt shows as they are, and a notebook as a table.

    >>> report = Report("two steps", [("1 ×", "tanh"), ("1 ×", "sum")])
    >>> report
    two steps
      1 × tanh
      1 × sum
    >>> "tanh" in report, "<td" in report._repr_mimebundle_()["text/html"]
    (True, True)
    """

    _rows: Sequence[tuple[str, str]]

    def __new__(cls, title: str, rows: Sequence[tuple[str, str]] = ()) -> Report:
        """title: the first line; rows: the others, each in two cells."""
        self = super().__new__(cls, "\n".join([title, *(f"  {a} {b}" for a, b in rows)]))
        self._title, self._rows = title, rows
        return self

    _title: str

    def __getnewargs__(self) -> Any:  # for copy and pickle
        return self._title, self._rows

    def __repr__(self) -> str:
        return str(self)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        """What a notebook shows: the table, and the text."""
        table = Table(self._title, [(a.strip(), b) for a, b in self._rows])
        return bundle(self, {"text/html": table.html})


class ShownAsCall(ShownAsTable):
    """Mixin of dataclasses of settings: `repr` is the call that makes one, without what is off, and
    notebooks list them all.

    >>> @dataclass(frozen=True)
    ... class Bulb(ShownAsCall):
    ...     watts: int
    ...     dimmed: float = 0.0
    ...     colour: str = "white"
    >>> Bulb(5), Bulb(5, dimmed=0.5)
    (Bulb(watts=5, colour='white'), Bulb(watts=5, dimmed=0.5, colour='white'))
    """

    __slots__ = ()

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "__repr__" not in cls.__dict__:  # @dataclass writes one where the class has none itself
            cls.__repr__ = cls.__repr__  # type: ignore[method-assign]

    def __repr__(self) -> str:
        said = ", ".join(
            f"{name}={value!r}" for name, value in settings_of(self, off=False).items()
        )
        return f"{type(self).__qualname__}({said})"

    def _table(self) -> Table:
        rows = [(name, repr(value)) for name, value in settings_of(self).items()]
        return Table(type(self).__name__, rows)


def settings_of(shown: Any, *, off: bool = True) -> dict[str, Any]:
    """The fields of a dataclass that its `repr` has, by name.

    off: False leaves out what is nothing (None, False, 0, or empty), and is so by default.
    """
    listed = [(f, getattr(shown, f.name)) for f in fields(shown) if f.repr]
    return {f.name: value for f, value in listed if off or not _is_off(f, value)}


def _is_off(field: Field[Any], value: object) -> bool:
    default = field.default
    if default is MISSING and field.default_factory is not MISSING:
        default = field.default_factory()
    return isinstance(value, _OFF) and isinstance(default, _OFF) and not value and not default


def in_a_line(shown: Any) -> str:
    """A named tuple or a dataclass in a line: floats to four digits, arrays by their types, no
    empty tuples and no None.

    >>> from typing import NamedTuple
    >>> class Seen(NamedTuple):
    ...     loss: float
    ...     xs: Any
    ...     notes: tuple[str, ...] = ()
    >>> in_a_line(Seen(1 / 3, np.zeros((3, 2), "float32")))
    'Seen(loss=0.3333, xs=float32(3, 2))'
    """
    parts = shown._asdict() if hasattr(shown, "_asdict") else settings_of(shown)
    items = {k: x for k, x in parts.items() if x is not None and not (type(x) is tuple and not x)}
    said = ", ".join(f"{name}={_brief(x)}" for name, x in items.items())
    return f"{type(shown).__qualname__}({said})"


def _brief(value: Any) -> str:
    if isinstance(value, (float, np.floating)):
        return f"{value:.4g}"
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"{value.dtype}{value.shape or ''}"
    if hasattr(value, "_asdict"):
        return in_a_line(value)
    if isinstance(value, (tuple, list)):
        ends = "()" if isinstance(value, tuple) else "[]"
        listed = [*map(_brief, value[:4]), *["…"] * (len(value) > 4)]
        alone = "," * (len(value) == 1 and isinstance(value, tuple))
        return f"{ends[0]}{', '.join(listed)}{alone}{ends[1]}"
    if isinstance(value, Mapping):
        return f"{{{', '.join(map(repr, value))}}}"
    return plain(repr(value)[:1000], WIDEST)
