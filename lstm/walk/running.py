"""The walk's code, run as a notebook runs it: in one namespace, cell after cell.

What is run is this package's own file; no code is taken from anywhere else.
"""

from __future__ import annotations

import ast
import io
from collections.abc import Iterator
from contextlib import redirect_stdout
from typing import Any, NamedTuple

from lstm.errors import LstmError
from lstm.walk.source import Piece


class Ran(NamedTuple):
    """A piece of the walk after its turn: what its code printed, and the value that it ends with,
    which is None of words and where the code ends with none."""

    piece: Piece
    printed: str
    value: Any


def run(pieces: list[Piece]) -> Iterator[Ran]:
    """Run the code of each piece, each as soon as it is asked for.

    Raises LstmError, which says what was claimed, where an assertion does not hold, and for every
    other error of the code.

    >>> [(ran.printed, ran.value) for ran in run([Piece(True, "print(1)\\nx = 2\\nx + 1")])]
    [('1\\n', 3)]
    """
    names: dict[str, Any] = {"__name__": "lstm_networks"}
    for piece in pieces:
        printed = io.StringIO()
        value = None
        if piece.is_code:
            with redirect_stdout(printed):
                value = _value_of(piece.text, names)
        yield Ran(piece, printed.getvalue(), value)


def _value_of(code: str, names: dict[str, Any]) -> Any:
    """What the last statement gives, if it is an expression."""
    value = None
    for statement in ast.parse(code).body:
        try:
            if isinstance(statement, ast.Expr):
                part = compile(ast.Expression(statement.value), "<the walk>", "eval")
                value = eval(part, names)
            else:
                value = None
                exec(compile(ast.Module([statement], []), "<the walk>", "exec"), names)
        except Exception as error:
            said = ast.unparse(statement).partition("\n")[0]
            why = "it is not so" if isinstance(error, AssertionError) else f"{error}"
            raise LstmError(f"the walk cannot go on at `{said}`: {why}") from error
    return value
