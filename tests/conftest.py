"""Hypothesis profiles. "ci" (the default) draws the same examples each time, "few" a quarter of
them, where another environment is tested that has most in common; "explore" draws new ones, and
many: HYPOTHESIS_PROFILE=explore pytest tests/test_properties.py
"""

from __future__ import annotations

import contextlib
import os
import re
import signal

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "ci",
    derandomize=True,
    deadline=None,
    max_examples=40,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("few", settings.get_profile("ci"), max_examples=10)
settings.register_profile("explore", deadline=None, max_examples=600)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))

# What a shell runs in the background has Ctrl-C ignored, and under nohup SIGHUP; so would what
# tests start and stop.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture
def rng():
    """A generator of the same numbers each time."""
    import numpy as np

    return np.random.default_rng(0)


@pytest.fixture
def undrawn(monkeypatch):
    """Pages are written with empty pictures, for tests that ask for numbers and words alone."""
    from lstm.figures import files

    def empty(figures, narrow):
        svg = dict.fromkeys(figures, "<svg/>")
        return files.Pictures(svg, dict.fromkeys(figures, b""), dict.fromkeys(narrow, "<svg/>"))

    monkeypatch.setattr("lstm.figures.write.draw_all", empty)


@pytest.fixture
def made_up_pictures(monkeypatch):
    """What stands for scikit-learn, whether it is installed or not: 1,797 pictures of digits, where
    the digit is the row of a bright line, and the pixel of it that is brightest."""
    import sys
    from types import SimpleNamespace

    import numpy as np

    from lstm.tasks import digits

    rng = np.random.default_rng(0)
    target = rng.integers(10, size=1797)
    images = rng.integers(0, 4, (1797, 8, 8)).astype(float)
    images[np.arange(1797), target % 8] += 9.0
    images[np.arange(1797), target % 8, target // 8] += 4.0
    data = SimpleNamespace(images=images, target=target)
    package = SimpleNamespace(load_digits=lambda: data)
    monkeypatch.setitem(sys.modules, "sklearn", SimpleNamespace(datasets=package))
    monkeypatch.setitem(sys.modules, "sklearn.datasets", package)
    digits.all_pictures.cache_clear()
    yield data
    digits.all_pictures.cache_clear()


@pytest.fixture
def vectors(monkeypatch):
    """Pages are written with pictures as SVG and with empty ones as PNG, for tests that look at no
    dots."""
    from lstm.figures import files
    from minigrad.drawing.charts import Chart

    drawn = files.render_many

    def without_dots(jobs):
        svg = iter(drawn([job for job in jobs if job[1] == "svg"]))
        return [next(svg) if format == "svg" else b"" for _, format in jobs]

    monkeypatch.setattr(files, "render_many", without_dots)
    monkeypatch.setattr(Chart, "png", b"")


@pytest.fixture
def llvm_modules(monkeypatch):
    """The modules that LLVM compiles meanwhile: (text, effort) of each."""
    from minigrad.compile.backends.native import jit

    modules, compiled = [], jit._compiled

    def noted(text, cpu, effort):
        modules.append((text, effort))
        return compiled(text, cpu, effort)

    monkeypatch.setattr(jit, "_compiled", noted)
    return modules


@pytest.fixture(scope="session")
def browser():
    """A headless Chromium, for pages with a script."""
    from browsing import chromium

    with chromium() as started:
        yield started


@contextlib.contextmanager
def _on_numpy():
    from minigrad.compile.backends import registry

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(registry.BACKENDS, "native", registry.BACKENDS["numpy"])
        yield


@pytest.fixture(scope="module")
def by_numpy():
    """What is compiled in a module runs on NumPy, for tests of words and pictures: these are the
    same, whichever backend has the numbers, and half of such a test's time is the compiler's."""
    with _on_numpy():
        yield


@pytest.fixture(scope="session")
def demo(tmp_path_factory):
    """A demonstration whose two moments and two models all differ: the folder of its files, their
    paths as they were told, and the models' flows."""
    import numpy as np

    import lstm
    from lstm.figures import write_demo

    folder, task = tmp_path_factory.mktemp("demo"), lstm.Adding(length=8)
    xs, ys = task.batch(np.random.default_rng(3), 4)
    seeds = {"rnn": (0, 1), "lstm": (2, 3)}
    models = {
        cell: tuple(lstm.Model.create(lstm.CELLS[cell](2, 4), 1, k, task.config()) for k in pair)
        for cell, pair in seeds.items()
    }
    results = {
        "baseline": 0.2,
        "baseline_words": "nobody looks",
        "criterion": "all of them right",
        "models": {
            "rnn": {"test_loss": 0.19, "solved": False},
            "lstm": {"test_loss": 0.0004, "solved": True},
        },
    }
    with _on_numpy():
        written = write_demo(folder, models, xs, ys, results)
        flows = {name: [lstm.flow(m, xs, ys) for m in pair] for name, pair in models.items()}
    return folder, written, flows


# --- a skipped test cannot hide a regression ---------------------------------------------------

# Where MINIGRAD_STRICT_SKIPS is set, as in CI, a test may be skipped for these reasons, and, unless
# it is "1", for those that name the package in it ("llvmlite"); any other reason fails the run.
# With playwright, axe and Chromium are to be there too: that they are not is none of the reasons.
ALLOWED_SKIPS = (
    "permission bits do not stop this user",
    "sqrt's derivative at 0 is finite by convention",
    "takes no floats",
    "the assembly looked for is AVX-512's",
    "this cell has no line",
    "torch is not installed",
    "keras is not installed",
    "onnx is not installed",
    "onnxruntime is not installed",
    "onnxscript is not installed",
    "jax is not installed",
    "playwright is not installed",
)
_forbidden: list[str] = []


def _note_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    strict = os.environ.get("MINIGRAD_STRICT_SKIPS")
    if not strict or not report.skipped or hasattr(report, "wasxfail"):
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    if not may_be_skipped(reason.removeprefix("Skipped: "), "" if strict == "1" else strict):
        _forbidden.append(f"{report.nodeid}: {reason}")


def may_be_skipped(reason: str, absent: str) -> bool:
    """Whether a test may be skipped for a reason where the package `absent` ("": none) is not."""
    return reason.startswith(ALLOWED_SKIPS) or absent in re.findall(r"[\w-]+", reason)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """A test that was skipped."""
    _note_skip(report)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    """A file of tests that was skipped."""
    _note_skip(report)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """The run fails."""
    if _forbidden and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Which tests they were."""
    for line in _forbidden:
        terminalreporter.write_line(f"SKIPPED for no allowed reason: {line}", red=True)
