"""The guard of conftest.py: a test that is skipped for no allowed reason fails the run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import browsing
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
        ("playwright is not installed: pip install '.[browser]'", "", True),
        ("chromium is not installed: apt-get install chromium", "", False),
        ("axe-playwright-python is not installed: pip install '.[browser]'", "", False),
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
    ("driver", "reason"),
    [
        (SimpleNamespace(sync_playwright=None), "chromium is not installed"),
        (None, "playwright is not installed"),
    ],
)
def test_what_needs_a_browser_is_skipped_where_there_is_none(monkeypatch, driver, reason) -> None:
    monkeypatch.setitem(sys.modules, "playwright", driver)
    monkeypatch.setitem(sys.modules, "playwright.sync_api", driver)
    monkeypatch.setattr(browsing, "CHROMIUM", None)
    with pytest.raises(pytest.skip.Exception, match=f"^{reason}: "), browsing.chromium():
        pass


@pytest.mark.parametrize(
    ("strict", "allowed", "forbidden"),
    [
        (None, ["fails since 2011"], []),
        ("1", ["takes no floats"], []),
        ("1", ["takes no floats"], ["fails since 2011", "only 1 core", "needs llvmlite"]),
        ("llvmlite", ["needs llvmlite"], []),
        ("llvmlite", ["needs llvmlite"], ["fails since 2011"]),
    ],
)
def test_a_run(
    tmp_path: Path, strict: str | None, allowed: list[str], forbidden: list[str]
) -> None:
    """Skips of a whole file and of one test, each for every reason."""
    shutil.copy(CONFTEST, tmp_path / "conftest.py")
    names = []
    for k, reason in enumerate([*allowed, *forbidden]):
        skip = f"pytest.skip({reason!r}, allow_module_level=True)"
        names += [f"test_file_{k}.py", f"test_one_{k}.py"]
        (tmp_path / names[-2]).write_text(f"import pytest\n{skip}\n", "utf-8")
        one = f"import pytest\ndef test_one():\n    {skip}\n"
        (tmp_path / names[-1]).write_text(one, "utf-8")
    (tmp_path / "test_two.py").write_text("def test_two():\n    pass\n", "utf-8")
    setting = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # they take a third of the time
    setting |= {} if strict is None else {"MINIGRAD_STRICT_SKIPS": strict}
    others = {k: v for k, v in os.environ.items() if k != "MINIGRAD_STRICT_SKIPS"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir=."]
    done = subprocess.run(
        command, cwd=tmp_path, env=others | setting, capture_output=True, text=True, check=False
    )
    assert done.returncode == bool(forbidden), done.stdout
    told = re.findall(r"SKIPPED for no allowed reason: (\w+\.py)", done.stdout)
    assert sorted(told) == sorted(names[2 * len(allowed) :])
