"""What people read uses public names, `mg.X` and `lstm.X`, and the packages' help lists them."""

from __future__ import annotations

import ast
import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import lstm
import minigrad as mg

ROOT = Path(__file__).parent.parent
PACKAGES = {"mg": mg, "minigrad": mg, "lstm": lstm}
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
LATE = ("charts",)  # public, but not in __all__: matplotlib is loaded with it
SCRIPTS = sorted((ROOT / "examples").iterdir())


# --- where code stands ---------------------------------------------------------------------------


def blocks(path: Path) -> list[str]:
    """The Python code of a page, a script or a notebook."""
    text = path.read_text()
    if path.suffix == ".py":
        return [text]
    if path.suffix == ".ipynb":
        cells = json.loads(text)["cells"]
        return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    return re.findall(r"```python\n(.*?)```", text, re.S)


def public() -> Iterator[tuple[str, Any]]:
    """Public functions and classes, and the methods of these that are ours."""
    for package in (mg, lstm):
        for name in package.__all__:
            value = getattr(package, name)
            yield f"{package.__name__}.{name}", value
            if isinstance(value, ModuleType):
                yield from ((f"{value.__name__}.{n}", getattr(value, n)) for n in value.__all__)
            if inspect.isclass(value):
                for method, made in vars(value).items():
                    if not method.startswith("_"):
                        yield f"{package.__name__}.{name}.{method}", made


def docstring(value: Any) -> str:
    # Of an instance the docstring is its class's, which is not about it.
    is_own = inspect.isclass(value) or callable(value) or isinstance(value, (property, ModuleType))
    return (inspect.getdoc(value) or "") if is_own else ""


# --- what it uses --------------------------------------------------------------------------------


def deep(code: str) -> list[str]:
    """Names of our packages in Python code that are not public."""
    wrong = []
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom) and node.module:
            package, _, inner = node.module.partition(".")
            is_deep = package in PACKAGES and inner not in ("", "array_api")
            names = [a.name for a in node.names if is_deep or _lacks(node.module, a.name)]
            wrong += [f"{node.module}.{name}" for name in names]
        elif isinstance(node, ast.Import):
            wrong += [a.name for a in node.names if re.match(r"(minigrad|lstm)\.", a.name)]
        elif isinstance(node, ast.Attribute) and _lacks(ast.unparse(node.value), node.attr):
            wrong.append(ast.unparse(node))
    return wrong


def _lacks(module: str, name: str) -> bool:
    """Whether a name is of a package of ours, or of a public module in it, and is not public."""
    package, *inner = module.split(".")
    there: Any = PACKAGES.get(package)
    if there is None or name == "__version__":
        return False
    for part in inner:
        there = getattr(there, part, None) if part in there.__all__ else None
        if not isinstance(there, ModuleType):
            return False  # what it is of was looked at by itself
    known = {*there.__all__, *(vars(there).get("_BY_NAME") or ()), *(LATE if there is mg else ())}
    return name not in known


def test_the_check_itself():
    assert deep("import lstm\nlstm.Adding(3).batch(lstm.LSTM)\nmg.linalg.svd(x)") == []
    assert deep("from lstm.optim import adam") == ["lstm.optim.adam"]
    assert deep("import lstm.optim, minigrad.text as t") == ["lstm.optim", "minigrad.text"]
    assert deep("from minigrad.graph.leaves import var") == ["minigrad.graph.leaves.var"]
    assert deep("from minigrad import var, vra") == ["minigrad.vra"]
    assert deep("lstm.training.fit(model)") == ["lstm.training"]
    assert deep("lstm.optim.ad(0.1)") == ["lstm.optim.ad"]
    assert deep("mg.no_such") == ["mg.no_such"]
    assert deep("import numpy.linalg\nfrom numpy.linalg import svd") == []


@pytest.mark.parametrize("path", [*PAGES, *SCRIPTS], ids=lambda path: path.name)
def test_code_that_people_read_uses_public_names(path):
    assert [name for code in blocks(path) for name in deep(code)] == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_pages_name_what_there_is(path):
    spans = re.findall(r"`[^`\n]+`", re.sub(r"```.*?```", "", path.read_text(), flags=re.S))
    named = [m for span in spans for m in re.findall(r"\b(mg|lstm)\.([A-Za-z]\w*)", span)]
    files = {"safetensors", "checkpoint", "py", "svg", "html", "NAME"}
    assert [f"{package}.{name}" for package, name in named
            if name not in files and _lacks(package, name)] == []  # fmt: skip


def test_docstrings_that_people_read_use_public_names():
    wrong = {}
    for name, value in public():
        said = re.findall(r"^\s*(?:>>>|\.\.\.) ?(.*)$", docstring(value), re.M)
        imports = [line for line in said if re.search(r"\b(from|import) (minigrad|lstm)\.", line)]
        if imports:
            wrong[name] = imports
    assert wrong == {}


# --- help ----------------------------------------------------------------------------------------


def test_help_of_lstm_is_a_table_of_contents():
    entries = re.findall(r"^    (\w+)  +(\S.*)$", lstm.__doc__, re.M)
    names = [name for name, _ in entries]
    kinds = (*lstm.CELLS.values(), *lstm.LAYERS.values(), *lstm.TASKS.values())
    assert len(names) == len(set(names))
    assert set(names) == {*lstm.__all__, *(kind.__name__ for kind in kinds)}
    assert all(len(line) < 90 and not line.endswith(".") for _, line in entries)
    assert all(len(line) <= 100 for line in lstm.__doc__.splitlines())


def test_help_of_minigrad_lists_every_name_once():
    _, _, contents = mg.__doc__.partition("Leaves\n")
    heads = re.findall(r"^ {4}(\S(?:.*?))(?:  +|$)", contents, re.M)
    listed = contents[contents.index("Functions as") : contents.index("Classes and")]
    named = [w for head in heads for w in re.findall(r"[A-Za-z_]\w*", head)]
    named += [w for row in re.findall(r"^ {20}(.*)$|^ {4}\S.*?  +(.*)$", listed, re.M)
              for w in "".join(row).split()]  # fmt: skip
    named += re.findall(r"\b\w+Error\b", contents[contents.index("MinigradError") + 13 :])
    names = {*mg.__all__, *LATE}
    assert sorted(name for name in named if name in names) == sorted(names)
    assert all(len(line) <= 100 for line in mg.__doc__.splitlines())
