"""Commands of `lstm` in the folder of a test: what they print, and what they refuse."""

from __future__ import annotations

import os
from typing import Any

import pytest

from lstm.cli import main


def command(capsys: pytest.CaptureFixture[str], *args: Any) -> tuple[int, str, str]:
    """Its status, and what it printed on standard output and on standard error."""
    status = main([str(a) for a in args])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def refused(capsys: pytest.CaptureFixture[str], *args: Any) -> str:
    """The one line in which it is refused; nothing is written."""
    before = sorted(os.listdir())
    status, out, err = command(capsys, *args)
    assert (status, out) == (2, "")
    assert err.startswith("lstm: ") and err.count("\n") == 1 and err.endswith("\n")
    assert sorted(os.listdir()) == before
    return err
