"""The guard of conftest.py: a test that is skipped for no allowed reason fails the run."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import may_be_skipped

CONFTEST = Path(__file__).parent / "conftest.py"


@pytest.mark.parametrize(
    ("reason", "absent", "allowed"),
    [
        ("takes no floats", "", True),
        ("takes no floats", "llvmlite", True),
        ("this cell has no line 1", "", True),
        ("torch is not installed: pip install '.[torch]'", "", True),
        ("could not import 'torch'", "", False),
        ("fails since 2011", "", False),
        ("it takes no floats", "", False),
        ("", "", False),
        ("the native backend needs llvmlite", "", False),
        ("the native backend needs llvmlite", "llvmlite", True),
        ("llvmlite, which the native backend needs, is not here", "llvmlite", True),
        ("could not import 'llvmlite': No module named 'llvmlite'", "llvmlite", True),
        ("needs llvmlite2", "llvmlite", False),
        ("fails since 2011", "llvmlite", False),
    ],
)
def test_the_reasons_that_may_be(reason: str, absent: str, allowed: bool) -> None:
    assert may_be_skipped(reason, absent) is allowed


@pytest.mark.parametrize(
    ("strict", "reason", "passes"),
    [
        (None, "fails since 2011", True),
        ("1", "fails since 2011", False),
        ("1", "only 1 core", False),
        ("1", "needs llvmlite", False),
        ("llvmlite", "needs llvmlite", True),
        ("llvmlite", "fails since 2011", False),
        ("1", "takes no floats", True),
    ],
)
@pytest.mark.parametrize("whole_file", [True, False])
def test_a_run(tmp_path: Path, strict: str | None, reason: str, passes: bool, whole_file) -> None:
    shutil.copy(CONFTEST, tmp_path / "conftest.py")
    skip = f"pytest.skip({reason!r}, allow_module_level=True)"
    body = f"{skip}\n" if whole_file else f"def test_one():\n    {skip}\n"
    (tmp_path / "test_one.py").write_text(f"import pytest\n{body}", "utf-8")
    (tmp_path / "test_two.py").write_text("def test_two():\n    pass\n", "utf-8")
    setting = {} if strict is None else {"MINIGRAD_STRICT_SKIPS": strict}
    others = {k: v for k, v in os.environ.items() if k != "MINIGRAD_STRICT_SKIPS"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir=."]
    done = subprocess.run(
        command, cwd=tmp_path, env=others | setting, capture_output=True, text=True, check=False
    )
    assert done.returncode == (0 if passes else 1), done.stdout
    assert ("SKIPPED for no allowed reason: test_one.py" in done.stdout) is not passes
