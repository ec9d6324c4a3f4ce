"""DOT text in, svg, png or pdf bytes out, on a machine that may have neither Graphviz nor fonts.

Graphviz comes from the wheel of pygraphviz and runs in a child process (render_child.py); a `dot`
on the PATH is the second choice. Nothing here knows of expressions, gradients or colours.
"""

import contextlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from xml.sax.saxutils import escape

from minigrad.drawing import render_child
from minigrad.drawing.theme import FONT
from minigrad.errors import MinigradError

FORMATS = ("svg", "png", "pdf")
FONTS = Path(__file__).with_name("fonts")

# Graphviz only warns here, and then draws something else than the DOT says.
_NOT_AS_ASKED = (
    "not a known color",
    "unknown shape",
    "unrecognized",
    "libexpat",
    "improper image",
)

_NOISE = ("Fontconfig", "agread:")  # says nothing about the picture

_SYSTEM_FONTS = (
    "/usr/share/fonts",
    "/usr/local/share/fonts",
    "~/.local/share/fonts",
    "~/.fonts",
    "/System/Library/Fonts",
    "/Library/Fonts",
    "~/Library/Fonts",
    "WINDOWSFONTDIR",
)

_INSTALL = "Install a renderer with `pip install pygraphviz` (its wheel brings Graphviz along)."


class RenderError(MinigradError, RuntimeError):
    """A picture that could not be drawn; the message says what Graphviz printed and what to do."""


def render(dot: str, format: str, *, timeout: float = 60.0) -> bytes:
    """Draw one graph, with Graphviz's engine `dot`, and return the file's bytes.

    `format` is "svg", "png" or "pdf"; `timeout` is in seconds. A PNG that would be too large for
    Graphviz is drawn at a lower dpi. Raises RenderError for bad DOT, a bad HTML-like label, a
    crash, a timeout, a PNG that would be illegible, and where there is no Graphviz.

    >>> svg = render("digraph { x -> y }", "svg")
    >>> svg.startswith(b"<?xml"), b">x</text>" in svg
    (True, True)
    """
    return render_many([(dot, format)], timeout=timeout)[0]


def render_many(jobs: Sequence[tuple[str, str]], *, timeout: float = 60.0) -> list[bytes]:
    """Draw several (dot, format) jobs in one child process; `timeout` counts for each of them.

    Raises RenderError, as `render` does, for the first job that fails.

    >>> graph = "digraph { x -> y }"
    >>> [picture[:4] for picture in render_many([(graph, "png"), (graph, "pdf")])]
    [b'\\x89PNG', b'%PDF']
    """
    if not timeout > 0.0:
        raise RenderError(f"timeout={timeout}: give a number of seconds above 0.")
    checked = [
        _checked(dot, format, _place(i, len(jobs), format)) for i, (dot, format) in enumerate(jobs)
    ]
    if not checked:
        return []
    with tempfile.TemporaryDirectory(prefix="minigrad-", ignore_cleanup_errors=True) as folder:
        environment = _environment(Path(folder))
        try:
            pictures = _by_pygraphviz(checked, timeout, environment)
        except _AbsentError as absent:
            pictures = _by_system_dot(checked, timeout, environment, str(absent))
    return [_cleaned(picture, job.format) for job, picture in zip(checked, pictures, strict=True)]


@dataclass(frozen=True)
class _Job:
    """One picture to draw; `place` names it in an error, where `dot` is shown as it was given."""

    dot: str
    format: str
    place: str

    @property
    def source(self) -> bytes:
        return _with_defaults(self.dot).encode()


class _AbsentError(Exception):
    """There is no pygraphviz that works; the text says why."""


def _place(index: int, count: int, format: str) -> str:
    return f"the {format}" if count == 1 else f"picture {index + 1} of {count} (the {format})"


# ---------------------------------------------------------------- what goes in


def _checked(dot: str, format: str, place: str) -> _Job:
    if format not in FORMATS:
        raise RenderError(
            f"cannot draw the format {format!r}: choose 'svg', 'png' or 'pdf'. "
            "The DOT text itself needs no renderer."
        )
    if not dot.strip():
        raise RenderError(f"cannot draw {place}: the DOT text is empty.")
    if "\0" in dot:
        raise RenderError(f"cannot draw {place}: the DOT text has a NUL character in it.")
    rest = _after_graph(dot)
    if rest:
        raise RenderError(
            f"cannot draw {place}: the graph's closing brace comes too early, and Graphviz would "
            f"leave out what follows: {_shortened(rest)!r}. A name or label with a quote in it was "
            'not quoted: write " as \\" inside quotes.'
        )
    try:
        dot.encode()
    except UnicodeEncodeError as error:
        raise RenderError(
            f"cannot draw {place}: the DOT text has a lone surrogate at position {error.start}."
        ) from error
    return _Job(dot, format, place)


_DEFAULTS = f'graph [fontname="{FONT}"] node [fontname="{FONT}"] edge [fontname="{FONT}"]'
_TOKEN = re.compile(
    r'"(?:\\.|[^"\\])*"|//[^\n]*|/\*.*?\*/|^#[^\n]*|->|[{}<]', re.DOTALL | re.MULTILINE
)
_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/|^#[^\n]*", re.DOTALL | re.MULTILINE)
_ANGLE = re.compile("[<>]")


def _after_graph(dot: str) -> str:
    """The text after the first graph's closing brace, without comments; Graphviz ignores it.

    >>> _after_graph('digraph { a [label="}"]; b [label=<<b>}</b>>] }  // end')
    ''
    >>> _after_graph('digraph { a [label="x"]; } b [label="y"] }')
    'b [label="y"] }'
    """
    depth = position = 0
    while token := _TOKEN.search(dot, position):
        position = token.end()
        if token[0] == "<":
            position = _end_of_html(dot, position)
        elif token[0] == "{":
            depth += 1
        elif token[0] == "}":
            depth -= 1
            if depth <= 0:
                return _COMMENT.sub("", dot[position:]).strip()
    return ""


def _with_defaults(dot: str) -> str:
    """The same graph in our font, except where it names its own; no line gets another number.

    >>> _with_defaults('digraph "{" { a }') == 'digraph "{" {' + _DEFAULTS + " a }"
    True
    """
    for token in _TOKEN.finditer(dot):
        if token[0] == "{":
            return f"{dot[: token.end()]}{_DEFAULTS}{dot[token.end() :]}"
    return dot


def _end_of_html(dot: str, start: int) -> int:
    """Where the HTML-like string ends whose "<" stands before `start`.

    As in Graphviz, brackets nest, and those in quotes and comments count too.
    """
    depth = 1
    for bracket in _ANGLE.finditer(dot, start):
        depth += 1 if bracket[0] == "<" else -1
        if depth == 0:
            return bracket.end()
    return len(dot)


# ---------------------------------------------------------------- the child's surroundings


def _environment(folder: Path) -> dict[str, str]:
    """The environment in which Graphviz finds our fonts before all others."""
    config = folder / "fonts.conf"
    config.write_text(_fonts_conf(folder), encoding="utf-8")
    environment = dict(os.environ)
    environment.pop("FONTCONFIG_SYSROOT", None)
    environment["FONTCONFIG_FILE"] = str(config)
    environment["FONTCONFIG_PATH"] = str(folder)
    return environment


def _font_folder(folder: Path) -> Path:
    """A copy of our fonts, kept in the user's cache where that can be written.

    Fontconfig writes a file of its own beside fonts. Within an installed package nobody would
    remove it, and a package's folder that outlives it hides the next installation.
    """
    home = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"))
    fonts = sorted(FONTS.glob("*.ttf"))
    version = "-".join(str(f.stat().st_size) for f in fonts)
    copy = home / "minigrad" / f"fonts-{version}"
    if not copy.is_dir():
        try:
            copy.parent.mkdir(parents=True, exist_ok=True)
            part = Path(tempfile.mkdtemp(dir=copy.parent))
            _copy_all(fonts, part)
            part.rename(copy)
        except OSError:  # a read-only home, or another process was first
            if not copy.is_dir():
                copy = folder / "fonts"
                copy.mkdir()
                _copy_all(fonts, copy)
    return copy


def _copy_all(files: list[Path], folder: Path) -> None:
    for file in files:
        shutil.copy(file, folder)


def _fonts_conf(folder: Path) -> str:
    """A fontconfig file: our fonts first, the system's for characters that ours lack."""
    folders = [str(_font_folder(folder)), *(os.path.expanduser(d) for d in _SYSTEM_FONTS)]
    listed = "\n".join(f"  <dir>{escape(d)}</dir>" for d in folders)
    return f"""<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "urn:fontconfig:fonts.dtd">
<fontconfig>
{listed}
  <cachedir prefix="xdg">minigrad/fontconfig</cachedir>
  <cachedir>{escape(str(folder / "cache"))}</cachedir>
  <match target="pattern">
    <edit name="family" mode="append_last"><string>DejaVu Sans</string></edit>
  </match>
</fontconfig>
"""


# ---------------------------------------------------------------- pygraphviz, in a child process


def _by_pygraphviz(
    jobs: Sequence[_Job], timeout: float, environment: dict[str, str]
) -> list[bytes]:
    with tempfile.TemporaryFile() as log, _child(environment, log) as child:
        return [_draw(child, job, timeout, log) for job in jobs]


@contextlib.contextmanager
def _child(environment: dict[str, str], log: IO[bytes]) -> Iterator["subprocess.Popen[bytes]"]:
    """A running render_child.py, which is dead afterwards in any case."""
    command = [
        *(sys.executable, "-I", "-S"),
        render_child.__file__,
        _folder_of_pygraphviz(),
    ]
    child = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        env=environment,
        creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
    )
    try:
        yield child
    finally:
        child.kill()
        with contextlib.suppress(OSError):  # what a dead child did not read
            child.communicate()


def _folder_of_pygraphviz() -> str:
    """The folder to import pygraphviz from; finding it does not import it."""
    try:
        spec = importlib.util.find_spec("pygraphviz")
    except (ImportError, ValueError):
        spec = None
    if spec is None or not spec.origin:
        raise _AbsentError("pygraphviz is not installed")
    if not sys.executable:
        raise _AbsentError("this Python does not know its own executable (sys.executable is empty)")
    return str(Path(spec.origin).parent.parent)


def _draw(child: "subprocess.Popen[bytes]", job: _Job, timeout: float, log: IO[bytes]) -> bytes:
    assert child.stdin is not None
    assert child.stdout is not None
    answer = None
    with _deadline(child, timeout) as expired, contextlib.suppress(OSError):
        source = job.source
        child.stdin.write(b"%s %d\n" % (job.format.encode(), len(source)) + source)
        child.stdin.flush()
        answer = _answer(child.stdout)
    if answer is None:
        # A child that found no pygraphviz leaves its answer behind and goes, whatever it is sent.
        with contextlib.suppress(OSError):
            answer = _answer(child.stdout)
    if expired.is_set():
        raise _timed_out(job, timeout)
    if answer is None:
        raise _crashed(job, child.wait(), _whole(log))
    status, picture, printed = answer
    if status == "absent":
        raise _AbsentError(f"pygraphviz cannot be used ({printed.strip()})")
    if status == "large":
        raise _too_large(job, picture.decode())
    if status != "ok" or _is_failure(printed):
        raise _refused(job, printed)
    return picture


@contextlib.contextmanager
def _deadline(child: "subprocess.Popen[bytes]", seconds: float) -> Iterator[threading.Event]:
    """Kill the child when the time is up, which ends every wait for it; the event then is set."""
    expired = threading.Event()

    def stop() -> None:
        expired.set()
        child.kill()

    watchdog = threading.Timer(min(seconds, threading.TIMEOUT_MAX), stop)
    watchdog.daemon = True
    watchdog.start()
    try:
        yield expired
    finally:
        watchdog.cancel()
        watchdog.join()


def _answer(stream: IO[bytes]) -> tuple[str, bytes, str] | None:
    """(status, picture, log), or None when the child has gone in the middle of it."""
    header = stream.readline().split()
    if len(header) != 3:
        return None
    size, log_size = int(header[1]), int(header[2])
    picture, log = stream.read(size), stream.read(log_size)
    if len(picture) < size or len(log) < log_size:
        return None
    return header[0].decode(), picture, log.decode(errors="replace")


def _whole(log: IO[bytes]) -> str:
    log.seek(0)
    return log.read(100_000).decode(errors="replace")


# ---------------------------------------------------------------- a `dot` on the PATH


def _by_system_dot(
    jobs: Sequence[_Job], timeout: float, environment: dict[str, str], reason: str
) -> list[bytes]:
    program = shutil.which("dot")
    if program is None:
        raise RenderError(
            f"cannot draw {jobs[0].place}: {reason}, and there is no Graphviz program `dot` on the "
            f"PATH. {_INSTALL}"
        )
    return [_run_dot(program, job, timeout, environment) for job in jobs]


def _run_dot(program: str, job: _Job, timeout: float, environment: dict[str, str]) -> bytes:
    if job.format != "png":
        return _run_dot_once(program, job, job.format, [], timeout, environment)
    dpi = render_child.PNG_DPI
    # With dpi set, an SVG has the size of the PNG in pixels.
    svg = _run_dot_once(program, job, "svg", [f"-Gdpi={dpi:g}"], timeout, environment)
    factor, size = render_child.shrink(svg)
    if dpi * factor < render_child.LEAST_DPI:
        raise _too_large(job, size)
    return _run_dot_once(program, job, "png", [f"-Gdpi={dpi * factor:g}"], timeout, environment)


def _run_dot_once(
    program: str,
    job: _Job,
    format: str,
    options: list[str],
    timeout: float,
    environment: dict[str, str],
) -> bytes:
    try:
        done = subprocess.run(
            [program, f"-T{format}", *options],
            input=job.source,
            capture_output=True,
            timeout=min(timeout, threading.TIMEOUT_MAX),
            env=environment,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise _timed_out(job, timeout) from error
    except OSError as error:
        raise RenderError(f"cannot run {program}: {error}. {_INSTALL}") from error
    printed = done.stderr.decode(errors="replace")
    if done.returncode < 0:
        raise _crashed(job, done.returncode, printed)
    if done.returncode or not done.stdout or _is_failure(printed):
        raise _refused(job, printed)
    return done.stdout


# ---------------------------------------------------------------- what comes out


_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_PDF_DATE = re.compile(rb"(/CreationDate \(D:)\d{14}")


def _cleaned(picture: bytes, format: str) -> bytes:
    if format == "svg":
        # Graphviz passes the control characters of labels on, and XML forbids them.
        return _NOT_XML.sub("\ufffd", picture.decode(errors="replace")).encode()
    if format == "pdf" and "SOURCE_DATE_EPOCH" not in os.environ:
        # One graph gives one file, whatever the time; the length must stay, offsets count on it.
        return _PDF_DATE.sub(rb"\g<1>20000101000000", picture)
    return picture


def _is_failure(printed: str) -> bool:
    lines = printed.splitlines()
    return any(
        line.startswith("Error:")
        or (line.startswith("Warning:") and any(words in line for words in _NOT_AS_ASKED))
        for line in lines
    )


def _refused(job: _Job, printed: str) -> RenderError:
    advice = "Correct the DOT text and draw it again."
    if "in label of" in printed:
        advice = (
            "An HTML-like label is XML: write &, < and > as &amp;, &lt; and &gt;, close every tag, "
            "and use only the tags that Graphviz knows."
        )
    elif "syntax error" in printed:
        advice = 'Put names and labels in quotes, and write " as \\" and \\ as \\\\ inside them.'
    return RenderError(
        f"Graphviz cannot draw {job.place}. It says:\n{_indented(printed)}\n"
        f"{_line_at_fault(job, printed)}{advice}"
    )


def _line_at_fault(job: _Job, printed: str) -> str:
    match = re.search(r"syntax error in line (\d+)", printed)
    lines = job.dot.split("\n")
    if match is None or not 1 <= int(match[1]) <= len(lines):
        return ""
    return f"Line {match[1]} of the DOT text is: {_shortened(lines[int(match[1]) - 1])}\n"


def _crashed(job: _Job, code: int, printed: str) -> RenderError:
    cause = f"signal {-code}" if code < 0 else f"exit status {code}"
    said = f" Before that it printed:\n{_indented(printed)}\n" if printed.strip() else " "
    return RenderError(
        f"Graphviz crashed ({cause}) on {job.place}.{said}"
        "The graph may be too large for the memory, or meet a fault in Graphviz: draw fewer nodes, "
        "or save the DOT text and try another version of Graphviz on it."
    )


def _timed_out(job: _Job, timeout: float) -> RenderError:
    return RenderError(
        f"Graphviz did not finish {job.place} in {timeout:g} s (the DOT text has {len(job.dot):,} "
        "characters). The time grows faster than the graph: draw fewer nodes, or allow more, as in "
        f"mg.draw(..., timeout={10 * timeout:g})"
    )


def _too_large(job: _Job, size: str) -> RenderError:
    return RenderError(
        f"cannot draw {job.place}: it would have {size} pixels. At most "
        f"{render_child.PNG_SIDE:,} a side and {render_child.PNG_AREA // 10**6} million in all are "
        "possible, and made that small the text would be illegible. Use svg or pdf, or draw fewer "
        "nodes."
    )


def _shortened(text: str, limit: int = 160) -> str:
    return text if len(text) <= limit else text[:limit] + " ..."


def _indented(printed: str) -> str:
    said = (line for line in printed.splitlines() if line.strip())
    lines = [line for line in said if not line.startswith(_NOISE)] or ["(nothing)"]
    shown = [f"    {_shortened(line)}" for line in lines[:12]]
    return "\n".join(shown + [f"    ... {len(lines) - 12} more lines"] * (len(lines) > 12))
