"""The process that holds Graphviz: reads DOT on stdin, writes pictures on stdout, until stdin ends.

Graphviz can crash, hang or print; here that harms nobody. `render` runs this file by its path, with
`python -I -S`, so it must import nothing of this package and as little else as it can.

A request is the line "FORMAT BYTES" and then that many bytes of DOT. An answer is the line
"STATUS BYTES LOGBYTES", the picture, then what Graphviz printed. STATUS is "ok", "bad" (the log
says why), "large" (in the picture's place stands its size in pixels), "unwritten" (there stands why
the DOT text cannot be) or "absent" (no usable pygraphviz: sent once, unasked).
"""

import importlib
import os
import re
import sys
from typing import Any, BinaryIO

PNG_SIDE = 32_000  # pixels; cairo stops at 32,767
PNG_AREA = 100_000_000  # pixels of 4 bytes each; without memory for them Graphviz crashes
PNG_DPI = 96.0
LEAST_DPI = 12.0  # text is 2 pixels high there


def shrink(svg: bytes) -> tuple[float, str]:
    """How much smaller a PNG must be than this SVG, at most 1.0, and the SVG's "WIDTH x HEIGHT".

    >>> shrink(b'<svg width="64000pt" height="80pt" viewBox=...')
    (0.5, '64,000 x 80')
    """
    match = re.search(rb'<svg width="(\d+)p[tx]"\s+height="(\d+)p[tx]"', svg)
    if match is None:
        return 1.0, "unknown"
    width, height = (max(1, int(side)) for side in match.groups())
    factor = min(1.0, PNG_SIDE / max(width, height), (PNG_AREA / (width * height)) ** 0.5)
    return factor, f"{width:,} x {height:,}"


def main(folder: str) -> None:
    """Answer requests; `folder` is the one that holds the package pygraphviz."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a C library prints must not end up inside an answer
    sys.path.append(folder)
    try:
        gv: Any = importlib.import_module("pygraphviz.graphviz")
        context = gv.gvContextWithBuiltins()
    except (ImportError, AttributeError, OSError) as error:
        _send(answers, "absent", str(error).encode())
        return
    for request in iter(sys.stdin.buffer.readline, b""):
        format, size = request.split()
        os.lseek(2, 0, os.SEEK_SET)
        os.ftruncate(2, 0)  # the log of one job at a time
        status, picture = _draw(gv, context, sys.stdin.buffer.read(int(size)), format)
        _send(answers, status, picture)


def _draw(gv: Any, context: Any, dot: bytes, format: bytes) -> tuple[str, bytes]:
    try:
        graph = _read(gv, dot)
        try:
            if format == b"png":
                return _png(gv, context, graph)
            _layout(gv, context, graph)
            return "ok", _paint(gv, context, graph, format)
        finally:
            gv.gvFreeLayout(context, graph)
            gv.agclose(graph)
    except OSError as error:  # a full disk
        return "unwritten", (error.strerror or str(error)).encode()
    except (ValueError, KeyError) as error:
        os.write(2, f"{error}\n".encode())
        return "bad", b""


def _png(gv: Any, context: Any, graph: Any) -> tuple[str, bytes]:
    """A PNG at the graph's own dpi, or lower where that would be too large a bitmap."""
    dpi = _own_dpi(gv, graph) or PNG_DPI
    # With dpi set, an SVG has the size of the PNG in pixels, and painting it costs little.
    gv.agattr(graph, gv.AGRAPH, b"dpi", b"%g" % dpi)
    _layout(gv, context, graph)
    factor, size = shrink(_paint(gv, context, graph, b"svg"))
    if factor < 1.0:
        if dpi * factor < LEAST_DPI:
            return "large", size.encode()
        gv.gvFreeLayout(context, graph)
        gv.agattr(graph, gv.AGRAPH, b"dpi", b"%g" % (dpi * factor))
        _layout(gv, context, graph)  # Graphviz takes dpi in at layout only
    return "ok", _paint(gv, context, graph, b"png")


def _read(gv: Any, dot: bytes) -> Any:
    # pygraphviz's own AGraph(string=...) is not used: it takes any 'charset="..."' in the text, a
    # label's too, for the encoding.
    from tempfile import TemporaryFile

    with TemporaryFile() as file:
        file.write(dot)
        file.seek(0)
        return gv.agread(file, None)


def _own_dpi(gv: Any, graph: Any) -> float:
    """The dpi that the DOT text asks for, 0.0 where it does not."""
    try:
        return max(0.0, float(gv.agget(graph, b"dpi") or 0.0))
    except ValueError:
        return 0.0


def _layout(gv: Any, context: Any, graph: Any) -> None:
    if gv.gvLayout(context, graph, b"dot") != 0:
        raise ValueError("the layout failed")


def _paint(gv: Any, context: Any, graph: Any, format: bytes) -> bytes:
    error, picture = gv.gvRenderData(context, graph, format)
    if error or not picture:
        raise ValueError(f"the {format.decode()} output failed")
    return picture if isinstance(picture, bytes) else str(picture).encode()


def _send(answers: BinaryIO, status: str, picture: bytes) -> None:
    end = os.lseek(2, 0, os.SEEK_END)
    os.lseek(2, 0, os.SEEK_SET)
    log = os.read(2, min(end, 100_000))
    os.lseek(2, 0, os.SEEK_END)
    if status == "absent":
        picture, log = b"", picture
    answers.write(b"%s %d %d\n" % (status.encode(), len(picture), len(log)) + picture + log)
    answers.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
