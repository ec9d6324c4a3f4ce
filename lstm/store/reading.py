"""What readers of our files share: nothing is taken on trust, and no code from a file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from math import isfinite
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from lstm.errors import ConfigError, LstmError, OutputError
from lstm.files import path_given
from lstm.store.foreign import what_is_wrong


class MalformedError(Exception):
    """What is wrong with a file, in words that follow a colon."""


@contextmanager
def opened(path: str | Path, failure: type[LstmError], doing: str) -> Iterator[Any]:
    """A safetensors file, open. Whatever is wrong with it, within the block too, is the `failure`,
    one line: what could not be done, the path, and why.

    >>> with opened("there/is/none", LstmError, "cannot read"):
    ...     pass
    Traceback (most recent call last):
        ...
    lstm.errors.LstmError: cannot read there/is/none: No such file or directory
    """
    try:
        file_path = path_given(path)
    except OutputError as error:
        raise failure(f"{doing}: {error}") from None
    try:
        _check_opens(file_path)
        with safe_open(path, framework="numpy") as file:
            yield file
        return
    except SafetensorError as error:
        reason = what_is_wrong(Path(path), error)
    except OSError as error:
        reason = error.strerror or str(error)
    except (ConfigError, MalformedError) as error:
        reason = str(error)
    raise failure(f"{doing} {path}: {reason}") from None


def _check_opens(path: Path) -> None:
    try:
        with path.open("rb"):  # the operating system says it more clearly than the reader
            pass
    except ValueError:  # half a character, or a NUL
        raise MalformedError("no file can be called so") from None


def json_object(text: str) -> dict[str, Any]:
    """The object that a header spells. Raises MalformedError for what is none, and for NaN and
    infinities, which no writer of ours puts there.

    >>> json_object('{"version": 2}')
    {'version': 2}
    """
    try:
        values = json.loads(text, parse_constant=_finite, parse_float=_finite)
        json.dumps(values, ensure_ascii=False).encode()  # as saving it again will
    except UnicodeEncodeError:
        raise MalformedError("its header has half a character in it, which is no text") from None
    except (ValueError, RecursionError):  # a number of thousands of digits, too
        raise MalformedError("its header is not JSON") from None
    if not isinstance(values, dict):
        raise MalformedError("its header is no JSON object")
    return values


def _finite(spelled: str) -> float:
    number = float(spelled)
    if not isfinite(number):  # NaN, Infinity, 1e999
        raise ValueError(spelled)
    return number
