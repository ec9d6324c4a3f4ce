"""DOT to svg, png and pdf: real pictures, real failures, machines without fonts or Graphviz."""

import os
import re
import shutil
import stat
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from pictures import elements, hint, words

import minigrad as mg
from minigrad.drawing import font_config, render_child
from minigrad.drawing import render as module
from minigrad.drawing.faults import RenderError
from minigrad.drawing.job import checked_job
from minigrad.drawing.render import render, render_many

SVG = "{http://www.w3.org/2000/svg}"
BIG = "digraph {" + ";".join(f"n{i} -> n{(i * 7919 + 13) % 3000}" for i in range(6000)) + "}"


def _texts(svg: bytes) -> list[str | None]:
    return [element.text for element in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def _size(png: bytes) -> tuple[int, int]:
    width, height = struct.unpack(">II", png[16:24])
    return width, height


def _pixels(png: bytes) -> bytes:
    """The decompressed image data: equal for equal pictures."""
    data, position = b"", 8
    while position < len(png):
        (length,) = struct.unpack(">I", png[position : position + 4])
        if png[position + 4 : position + 8] == b"IDAT":
            data += png[position + 8 : position + 8 + length]
        position += 12 + length
    return zlib.decompress(data)


def _picture_of(text: str) -> str:
    return f'digraph {{ a [label="{text}", shape=box, fixedsize=true, width=1, height=1] }}'


# ---------------------------------------------------------------- pictures


def test_svg_is_xml_with_real_text_in_our_font() -> None:
    svg = render('digraph { a [label="C̃ₜ₋₁ ≤ ∂L"]; a -> b [label="1e-05"] }', "svg")
    assert _texts(svg) == ["C̃ₜ₋₁ ≤ ∂L", "b", "1e-05"]
    families = {e.get("font-family") for e in ElementTree.fromstring(svg).iter(f"{SVG}text")}
    assert families == {"DejaVu Sans,Verdana,sans-serif"}


def test_a_font_of_the_graph_s_own_is_kept() -> None:
    svg = render('digraph { a [fontname="Courier"]; b }', "svg").decode()
    assert "Courier" in svg and "DejaVu Sans" in svg


def test_png_has_its_header_and_a_sensible_size() -> None:
    png = render("digraph { a -> b }", "png")
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = _size(png)
    assert 60 < width < 120 and 120 < height < 200


def test_png_follows_the_graph_s_own_dpi() -> None:
    base, double = (_size(render(f"digraph {{ dpi={d}; a -> b }}", "png")) for d in (96, 192))
    assert double[0] == pytest.approx(2 * base[0], abs=2)


def test_pdf_has_its_header_and_is_the_same_every_time() -> None:
    pdf = render("digraph { a -> b }", "pdf")
    assert pdf.startswith(b"%PDF-") and b"%%EOF" in pdf[-10:]
    time.sleep(1.1)
    assert render("digraph { a -> b }", "pdf") == pdf


def test_pdf_and_layout_use_the_fonts_that_come_along() -> None:
    pdf = render("digraph { a [label=<x <b>y</b> <i>z</i>>] }", "pdf")
    names = set(re.findall(rb"/FontName /\w+\+(\S+)", pdf))
    assert names == {b"DejaVuSans", b"DejaVuSans-Bold", b"DejaVuSans-Oblique"}


def test_wide_letters_take_more_room_than_narrow_ones() -> None:
    wide, narrow = render_many([(f'digraph {{ a [label="{c * 20}"] }}', "png") for c in "Mi"])
    assert _size(wide)[0] > 2 * _size(narrow)[0]


@pytest.mark.filterwarnings("ignore:no font here has")
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the system draws the text")
def test_letters_are_not_boxes_where_there_are_no_fonts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(font_config, "_SYSTEM_FONTS", ())
    letters = "abABzσ∂∑∏√∞≤≥≠·×⊙⊕→←₀₁₂₉ₜ₋ᵀ²éżčωΓ■●▲"
    missing = ["\u4e00", "\u4e8c"]  # in none of our fonts: these are the boxes, with their code in
    pictures = render_many([(_picture_of(c), "png") for c in [*letters, *missing]])
    assert len({_pixels(p) for p in pictures}) == len(pictures)
    pdf = render(f'digraph {{ a [label="{letters} C̃ h̄"] }}', "pdf")
    assert set(re.findall(rb"/FontName /\w+\+(\S+)", pdf)) == {b"DejaVuSans"}


def test_many_come_back_in_order_from_one_child(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[object] = []

    class Counted(subprocess.Popen[bytes]):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            started.append(args)
            super().__init__(*args, **kwargs)

    monkeypatch.setattr(subprocess, "Popen", Counted)
    jobs = [(f"digraph {{ n{i} }}", ("svg", "png", "pdf")[i % 3]) for i in range(9)]
    pictures = render_many(jobs)
    assert len(started) == 1
    starts = (b"<?xml", b"\x89PNG", b"%PDF-")
    assert all(p.startswith(starts[i % 3]) for i, p in enumerate(pictures))
    assert [_texts(p) for p in pictures[::3]] == [["n0"], ["n3"], ["n6"]]


def test_no_jobs_no_pictures() -> None:
    assert render_many([]) == []


def test_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    render_many([("digraph { a -> b }", f) for f in ("svg", "png", "pdf")])
    with pytest.raises(RenderError):
        render("digraph { a - b }", "svg")
    assert capfd.readouterr() == ("", "")


def test_the_child_imports_neither_this_package_nor_numpy(tmp_path: Path) -> None:
    package = _fake_pygraphviz(
        tmp_path,
        "import sys\nours = [m for m in sys.modules if 'minigrad' in m or 'numpy' in m]\n"
        "raise ImportError(repr(ours))",
    )
    with pytest.raises(module._AbsentError, match=r"\[\]"):
        _render_with(package)


# ---------------------------------------------------------------- hostile text


@pytest.mark.filterwarnings("ignore:no font here has")
@pytest.mark.parametrize(
    "label",
    [
        "x\x01\x1b[31m\x7f\ufffe\uffff",
        "&#7; &#65535; &bogus; &amp; <script>",
        'charset=\\"utf-16\\"',
        "}  digraph {",
        "// /* # \\\\",
        "\u202eabc",
        "😀 漢字",
    ],
)
def test_any_label_gives_wellformed_xml(label: str) -> None:
    svg, png = render_many([(f'digraph {{ a [label="{label}"] }}', f) for f in ("svg", "png")])
    ElementTree.fromstring(svg)
    assert png.startswith(b"\x89PNG")


def test_comments_strings_and_html_with_braces_are_no_early_end() -> None:
    dot = """/* { */ digraph "}" { // }
# }
    a [label=<<b>}</b> <!-- } --> x>]; b [label="\\"}"]; subgraph cluster_c { c }; a -> b
    } // the end
    /* really */
    """
    assert {"x", '"}'} <= {(t or "").strip() for t in _texts(render(dot, "svg"))}


@pytest.mark.parametrize("dot", ['digraph { a [label="x"]; } b [y="z"] }', "graph {} graph {}"])
def test_text_after_the_graph_is_refused(dot: str) -> None:
    with pytest.raises(RenderError, match="closing brace comes too early"):
        render(dot, "svg")


# ---------------------------------------------------------------- failures


def test_bad_dot_is_quoted_with_its_line() -> None:
    with pytest.raises(RenderError) as caught:
        render("digraph {\n a -> b\n b - c }", "svg")
    assert "syntax error in line 3" in str(caught.value)
    assert "b - c }" in str(caught.value)


@pytest.mark.parametrize(
    "dot", ["digraph {", "nonsense", "digraph { a -> }", 'digraph { "a }', "}"]
)
@pytest.mark.parametrize("format", ["svg", "png", "pdf"])
def test_bad_dot(dot: str, format: str) -> None:
    with pytest.raises(RenderError, match="Graphviz cannot draw"):
        render(dot, format)


@pytest.mark.parametrize(
    "label", ["<b>x</i>", "a & b", "<blink>x</blink>", "<table><tr></tr></table>", "<b>x"]
)
@pytest.mark.parametrize("format", ["svg", "png", "pdf"])
def test_bad_html_label(label: str, format: str) -> None:
    with pytest.raises(RenderError, match="label of node a"):
        render(f"digraph {{ a [label=<{label}>] }}", format)


@pytest.mark.parametrize(
    "attributes", ["color=nocolor", "shape=noshape", 'image="/no/such/file.png"']
)
def test_what_graphviz_would_silently_replace(attributes: str) -> None:
    with pytest.raises(RenderError, match="Warning"):
        render(f"digraph {{ a [{attributes}] }}", "svg")


def test_harmless_warnings_are_not_errors() -> None:
    render('digraph { a [label="too long for it", fixedsize=true, width=0.1, height=0.1] }', "svg")


@pytest.mark.parametrize(
    ("dot", "words"), [("", "empty"), ("  \n", "empty"), ("graph{\0}", "NUL"), ("\ud800", "lone")]
)
def test_text_that_is_no_dot_at_all(dot: str, words: str) -> None:
    with pytest.raises(RenderError, match=words):
        render(dot, "svg")


@pytest.mark.parametrize("format", ["dot", "SVG", "gif", ""])
def test_unknown_format(format: str) -> None:
    with pytest.raises(RenderError, match="'svg', 'png' or 'pdf'"):
        render("digraph { a }", format)


@pytest.mark.parametrize("timeout", [0.0, -1.0, float("nan")])
def test_timeout_must_be_positive(timeout: float) -> None:
    with pytest.raises(RenderError, match="above 0"):
        render("digraph { a }", "svg", timeout=timeout)


def test_timeout() -> None:
    started = time.monotonic()
    with pytest.raises(RenderError, match=r"did not finish the svg in 0\.5 s"):
        render(BIG, "svg", timeout=0.5)
    assert time.monotonic() - started < 5.0


def test_a_failure_among_many_is_named() -> None:
    with pytest.raises(RenderError, match=r"picture 2 of 3 \(the png\)"):
        render_many([("digraph {a}", "svg"), ("digraph {a", "png"), ("digraph {a}", "svg")])


@pytest.mark.parametrize("dpi", ["", "dpi=300;", "dpi=30;"])
def test_a_large_png_gets_a_lower_dpi(dpi: str) -> None:
    width, height = _size(render(f"digraph {{ {dpi} rankdir=LR; a -> b [minlen=2500] }}", "png"))
    assert 31_000 < width <= 32_767 and height < 60


def test_a_png_that_would_be_illegible_is_refused() -> None:
    with pytest.raises(RenderError, match="Use svg or pdf"):
        render("digraph { rankdir=LR; a -> b [minlen=20000] }", "png")
    with pytest.raises(RenderError, match="Use svg or pdf"):
        render("digraph { ranksep=800; nodesep=800; a -> b -> c -> d; a -> {e f g h} }", "png")


# ---------------------------------------------------------------- other Graphviz, or none


def _fake_pygraphviz(folder: Path, source: str) -> Path:
    (folder / "pygraphviz").mkdir()
    (folder / "pygraphviz" / "__init__.py").write_text("", encoding="utf-8")
    (folder / "pygraphviz" / "graphviz.py").write_text(source, encoding="utf-8")
    return folder


def _render_with(package: Path, timeout: float = 20.0) -> list[bytes]:
    """What render_many does with pygraphviz, but the one in that folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_folder_of_pygraphviz", lambda: str(package))
        job = checked_job("digraph { a }", "svg", "the svg")
        return module._by_pygraphviz([job], timeout, dict(os.environ))


@pytest.fixture
def no_pygraphviz(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent() -> str:
        raise module._AbsentError("pygraphviz is not installed")

    monkeypatch.setattr(module, "_folder_of_pygraphviz", absent)


def test_a_crash_is_an_error_with_what_was_printed(tmp_path: Path) -> None:
    source = "import os\ndef gvContextWithBuiltins(): os.write(2, b'the end'); os.abort()"
    with pytest.raises(RenderError, match="crashed") as caught:
        _render_with(_fake_pygraphviz(tmp_path, source))
    assert "the end" in str(caught.value)


def test_a_child_that_never_answers_is_stopped(tmp_path: Path) -> None:
    package = _fake_pygraphviz(tmp_path, "import time\ntime.sleep(60)")
    with pytest.raises(RenderError, match="did not finish"):
        _render_with(package, timeout=0.5)


def test_a_pygraphviz_that_is_too_old_counts_as_absent(tmp_path: Path) -> None:
    with pytest.raises(module._AbsentError, match="gvContextWithBuiltins"):
        _render_with(_fake_pygraphviz(tmp_path, ""))


@pytest.mark.usefixtures("no_pygraphviz")
def test_without_any_graphviz_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RenderError, match="pip install pygraphviz"):
        render("digraph { a }", "svg")


def _fake_dot(folder: Path, body: str) -> None:
    program = folder / "dot"
    program.write_text(f"#!{sys.executable}\nimport os, sys\n{body}\n", encoding="utf-8")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)


@pytest.mark.skipif(os.name != "posix", reason="the stand-in for dot is a script")
@pytest.mark.usefixtures("no_pygraphviz")
class TestSystemDot:
    """A program `dot` on the PATH serves where pygraphviz is missing."""

    @pytest.fixture(autouse=True)
    def path(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))

    def test_it_gets_the_graph_and_our_fonts(self, tmp_path: Path) -> None:
        _fake_dot(
            tmp_path,
            "print(sys.argv[1:], sys.stdin.read(), open(os.environ['FONTCONFIG_FILE']).read())",
        )
        answer = render("digraph { a }", "svg").decode()
        assert "-Tsvg" in answer and "DejaVu Sans" in answer and "minigrad/fonts-" in answer

    def test_it_gets_a_lower_dpi_for_a_large_png(self, tmp_path: Path) -> None:
        svg = '<svg width="64000pt" height="90pt"'
        _fake_dot(tmp_path, f"print('{svg}' if '-Tsvg' in sys.argv else sys.argv[1:])")
        assert b"-Gdpi=48" in render("digraph { a }", "png")

    def test_it_draws_no_png_below_twelve_dots_an_inch(self, tmp_path: Path) -> None:
        for width, is_drawn in ((256_000, True), (256_100, False)):
            svg = f'<svg width="{width}pt" height="90pt"'
            _fake_dot(tmp_path, f"print('{svg}' if '-Tsvg' in sys.argv else sys.argv[1:])")
            if is_drawn:
                assert b"-Gdpi=12'" in render("digraph { a }", "png")
            else:
                with pytest.raises(RenderError, match="256,100 x 90 pixels"):
                    render("digraph { a }", "png")

    @pytest.mark.parametrize(
        ("body", "words"),
        [
            ("print('x'); sys.stderr.write('Error: syntax error in line 1')", "syntax error"),
            ("sys.exit(1)", "cannot draw"),
            ("os.abort()", "crashed"),
            ("import time; time.sleep(60)", "did not finish"),
        ],
    )
    def test_its_failures_are_errors(self, tmp_path: Path, body: str, words: str) -> None:
        _fake_dot(tmp_path, body)
        with pytest.raises(RenderError, match=words):
            render("digraph { a }", "svg", timeout=1.0)


# ---------------------------------------------------------------- the files that come along


def test_fonts_are_matplotlibs_and_it_is_not_imported() -> None:
    code = (
        "import sys\nfrom minigrad.drawing.font_config import font_files\n"
        "assert len(font_files()) == 3 and 'matplotlib' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_without_matplotlib_the_systems_fonts_serve(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    assert font_config.font_files() == []
    assert (
        "DejaVu Sans" in Path(font_config.font_environment(tmp_path)["FONTCONFIG_FILE"]).read_text()
    )


class _Graphviz:
    """Stands in for pygraphviz in the child: an SVG of some width, and the dpi asked for."""

    AGRAPH = 0

    def __init__(self, width: int) -> None:
        self.width = width
        self.dpi: list[bytes] = []

    def agget(self, graph: object, name: bytes) -> bytes:
        return b""

    def agattr(self, graph: object, kind: int, name: bytes, value: bytes) -> None:
        self.dpi.append(value)

    def gvLayout(self, context: object, graph: object, engine: bytes) -> int:
        return 0

    def gvFreeLayout(self, context: object, graph: object) -> None:
        pass

    def gvRenderData(self, context: object, graph: object, format: bytes) -> tuple[int, bytes]:
        return 0, b'<svg width="%dpt" height="9pt"' % self.width if format == b"svg" else b"png"


@pytest.mark.parametrize(
    ("width", "answer", "dpi"),
    [
        (32_000, ("ok", b"png"), [b"96"]),
        (64_000, ("ok", b"png"), [b"96", b"48"]),
        (256_000, ("ok", b"png"), [b"96", b"12"]),
        (256_100, ("large", b"256,100 x 9"), [b"96"]),
    ],
)
def test_the_child_lowers_the_dpi_as_far_as_text_is_legible(
    width: int, answer: tuple[str, bytes], dpi: list[bytes]
) -> None:
    graphviz = _Graphviz(width)
    assert render_child._png(graphviz, None, None) == answer
    assert graphviz.dpi == dpi


def test_shrink_keeps_side_and_area() -> None:
    for width, height in [(10, 10), (100_000, 50), (50, 100_000), (30_000, 30_000)]:
        factor, _ = render_child.shrink(b'<svg width="%dpt" height="%dpt"' % (width, height))
        assert factor <= 1.0
        assert max(width, height) * factor <= 32_000.5
        assert width * height * factor**2 <= 100_000_001
        fullest = max(max(width, height) * factor / 32_000, width * height * factor**2 / 1e8)
        assert factor == 1.0 or fullest == pytest.approx(1.0)  # no smaller than it must be


# ---------------------------------------------------------------- which Graphviz draws


def test_pip_s_graphviz_draws_whatever_dot_is_on_the_path(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before = render("digraph { a -> b }", "svg")
    _fake_dot(tmp_path, "sys.exit(1)")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert render("digraph { a -> b }", "svg") == before


RENDERERS = ["pip", *(["system"] if shutil.which("dot") else [])]


@pytest.mark.parametrize("renderer", RENDERERS)
def test_all_of_a_picture_is_drawn_by_either(
    renderer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same shapes, words and hints; sizes differ from version to version of Graphviz."""
    if renderer == "system":

        def absent() -> str:
            raise module._AbsentError("pygraphviz is not installed")

        monkeypatch.setattr(module, "_folder_of_pygraphviz", absent)
    x = mg.var("x", (2,))
    diagram = mg.draw(mg.sum(mg.tanh(x)), at={x: [0.5, -1.0]}, grad=True)
    parts = elements(diagram.svg, diagram.prefix)
    assert {"n0", "n1", "n2", "e0", "e1", "graph"} <= set(parts)
    assert words(parts["n1"]) == ["tanh", "[0.4621, -0.7616]", "∂ [1, 1]"]
    assert hint(parts["e1"]).startswith("tanh → Σ, operand 1\nterm of the adjoint of tanh")
    assert diagram.png.startswith(b"\x89PNG") and diagram.pdf.startswith(b"%PDF")
