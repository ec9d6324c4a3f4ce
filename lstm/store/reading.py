"""What readers of our files share: nothing is taken on trust, and no code from a file."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from lstm.errors import ConfigError, LstmError
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
        _check_opens(Path(path))
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


def json_object(text: str, number: Callable[[str], float] = float) -> dict[str, Any]:
    """The object that a header spells. Raises MalformedError for what is none.

    number: what a float is read by, NaN and Infinity too; its ValueError is that of no JSON.

    >>> json_object('{"version": 2}')
    {'version': 2}
    """
    try:
        values = json.loads(text, parse_constant=number, parse_float=number)
        json.dumps(values, ensure_ascii=False).encode()  # as saving it again will
    except UnicodeEncodeError:
        raise MalformedError("its header has half a character in it, which is no text") from None
    except (ValueError, RecursionError):  # a number of thousands of digits, too
        raise MalformedError("its header is not JSON") from None
    if not isinstance(values, dict):
        raise MalformedError("its header is no JSON object")
    return values
