"""Each op of op_cases.py as machine code, as docs/ops.md has it, against its reference."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose
from op_cases import CASES

import minigrad as mg

pytest.importorskip("llvmlite", reason="the native backend needs llvmlite")

from minigrad.compile.backends.native import coverage
from minigrad.compile.backends.native.lower import lower
from minigrad.compile.backends.native.program import Compiled, Program
from minigrad.compile.backends.native.support import check_body
from minigrad.compile.backends.native.views import UnsupportedError
from minigrad.graph.node import OPS, make
from minigrad.loop.body import Body, body_var
from minigrad.loop.node import BLOCK

HELD = {"scan", "block", "item", "tuple"}  # test_native.py has them
OWN = [c for c in CASES if c.op not in HELD]


def body_of(case, dtype):
    """The case as a body of variables; None where it is of constants alone."""
    variables = [
        body_var(k, "const", v.type) for k, v in enumerate(case.variables(case.arrays(), dtype))
    ]
    made = case.build(*variables)
    outputs = lower(list(made) if isinstance(made, (tuple, list)) else [made])
    return Body(variables, outputs, 0, 0)


def has_code(body):
    try:
        check_body(body)
    except UnsupportedError:
        return False
    return True


def test_the_page_of_ops_is_what_the_registry_says():
    """If not: python -m minigrad.compile.backends.native.coverage > docs/ops.md"""
    page = Path(__file__).parents[1] / "docs" / "ops.md"
    assert page.read_text("utf-8") == coverage.page()


def test_notes_are_of_ops():
    assert set(OPS) >= set(coverage.NOTES)


@pytest.mark.parametrize("op", sorted({c.op for c in OWN}))
def test_what_has_machine_code_is_not_numpys_on_the_page(op):
    (line,) = [row for row in coverage.page().splitlines() if row.startswith(f"| `{op}` |")]
    bodies = [body_of(c, "float64") for c in OWN if c.op == op]
    assert not any(map(has_code, bodies)) or not line.split("|")[2].startswith(" NumPy")


def computed(body, *arrays):
    """What machine code makes of a body."""
    inputs = [mg.var(f"in{k}", v.shape, v.dtype) for k, v in enumerate(body.inputs)]
    program = Program(Compiled(body), make(BLOCK, tuple(inputs), (body,)))
    return program(*arrays, body)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", OWN, ids=lambda c: c.id)
def test_value(case, dtype):
    body = body_of(case, dtype)
    if not has_code(body):
        return  # the page says so, see above
    arrays = [a.astype(v.dtype) for a, v in zip(case.arrays(), body.inputs, strict=True)]
    (found,) = computed(body, *arrays)
    expected = np.asarray(case.reference(*arrays))
    assert found.shape == expected.shape
    rtol = case.rtol if dtype == "float64" else 1e-6
    assert_allclose(found, expected, rtol=rtol, atol=1e-15 if dtype == "float64" else 1e-6)


@pytest.mark.parametrize("number", [-0.0, 0.0, np.nan, np.inf, -np.inf, 5e-324, 0.1])
def test_numbers_of_a_graph_are_themselves_in_every_lane(number):
    x = body_var(0, "const", mg.var("x", 33).type)
    body = Body([x], lower([mg.where(x > 0, number, x)]), 0, 0)
    ones = np.ones(33)
    (result,) = computed(body, ones)
    assert result.tobytes() == (number * ones).tobytes()
