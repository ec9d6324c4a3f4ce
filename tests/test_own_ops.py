"""An op that a separate package adds, as documented in docs/architecture.md."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import minigrad as mg
from minigrad.graph.node import OPS
from minigrad.names import COUNTERPARTS, FUNCTIONS
from minigrad.ops import trigonometry

DOCS = Path(__file__).parent.parent / "docs" / "architecture.md"

USE = """
import copy, pickle
import numpy as np
import minigrad as mg
from bessel import i0

x = mg.var("x", (3,))
at = np.array([0.5, -2.0, 3.0])
y = np.i0(x)                       # NumPy's function builds a graph of the package's op
assert y is i0(x) and y.op.name == "bessel"
np.testing.assert_allclose(y.eval({x: at}), np.i0(at))
assert mg.check_grad(mg.sum(y), x, {x: at}, order=3) < 1e-6
assert mg.loads(mg.dumps(y)) is y  # a process that has the package can load it
rows = mg.vmap(lambda v: mg.grad(mg.sum(i0(v)), v))(mg.var("xs", (4, 3)))
assert rows.shape == (4, 3)
last, _ = mg.scan(lambda c, v: (i0(c * 0.1) + v, None), mg.const(0.0), x)
f = mg.function([x], [last, mg.grad(last, x)])   # on the default backend
np.testing.assert_allclose(f(at)[0], mg.unroll(last).eval({x: at}))
assert str(mg.simplify(y * 1)) == "bessel(x, n=0)"
print("done")
"""


def documented() -> str:
    """The package as docs/architecture.md prints it."""
    blocks = re.findall(r"```python\n(.*?)```", DOCS.read_text("utf-8"), re.DOTALL)
    (package,) = [b for b in blocks if "mg.register" in b]
    return package


def test_the_documented_package_works_in_a_process_of_its_own(tmp_path):
    (tmp_path / "bessel.py").write_text(documented(), "utf-8")
    assert len([line for line in documented().splitlines() if line.strip()]) <= 16
    command = [sys.executable, "-W", "error", "-c", USE]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.stdout == "done\n", done.stderr


def test_the_documented_op_is_one_statement():
    blocks = re.findall(r"```python\n(.*?)```", DOCS.read_text("utf-8"), re.DOTALL)
    (statement,) = [b for b in blocks if " = unary(" in b]
    names = dict(vars(trigonometry))
    exec(statement, names)
    try:
        x = mg.var("x", (4,))
        at = np.array([-2.0, 0.0, 0.5, 3.0])
        y = names["gudermann"](x)
        np.testing.assert_allclose(y.eval({x: at}), np.arcsin(np.tanh(at)), rtol=1e-14)
        assert mg.check_grad(mg.sum(y), x, {x: at}, order=3) < 1e-6
    finally:
        del OPS["gudermann"], FUNCTIONS["gudermann"]


@pytest.fixture
def cube():
    op = mg.register(
        mg.Op("test_power", lambda x, n: x, lambda x, n: x**n, attrs=(mg.Attr("n"),),
              vjp=lambda ct, out: (ct * 3 * out.args[0] ** 2,)),
    )  # fmt: skip
    yield op
    del OPS["test_power"]


def test_an_op_is_called_with_operands_and_attributes(cube):
    x = mg.var("x")
    assert cube(x, n=3).eval({x: 2.0}) == 8.0
    assert cube(2.0, n=3).eval() == 8.0
    with pytest.raises(TypeError, match="test_power takes the attributes n, not m"):
        cube(x, m=3)
    with pytest.raises(mg.GraphError, match="'test_power' is registered already"):
        mg.register(cube)


def test_ufuncs_of_other_libraries_reach_an_own_function(cube):
    theirs = np.frompyfunc(lambda a: a**3, 1, 1)
    mg.implements(theirs)(lambda a: cube(a, n=3))
    try:
        x = mg.var("x")
        assert theirs(x) is cube(x, n=3)
    finally:
        del COUNTERPARTS[theirs]


def test_what_numpy_does_not_hand_on_is_refused():
    with pytest.raises(TypeError, match="neither a ufunc nor one of NumPy's functions"):
        mg.implements(len)
