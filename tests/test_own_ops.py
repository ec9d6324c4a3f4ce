"""An op that a separate package adds, as documented in docs/extending.md."""

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

DOCS = Path(__file__).parent.parent / "docs" / "extending.md"

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
    """The package as docs/extending.md prints it."""
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
        with pytest.raises(mg.GraphError, match="implemented already"):
            mg.implements(theirs)(cube)
    finally:
        del COUNTERPARTS[theirs]


def test_what_numpy_does_not_hand_on_is_refused():
    with pytest.raises(TypeError, match="neither a ufunc nor one of NumPy's functions"):
        mg.implements(len)


# --- rules that are wrong are said to be ----------------------------------------------------------


@pytest.fixture
def own():
    names: list[str] = []

    def add(name, *rules, **fields):
        names.append(name)
        return mg.register(mg.Op(name, *rules, **fields))

    yield add
    for name in names:
        del OPS[name]


def test_an_op_that_says_nothing_of_a_leading_axis_has_none(own):
    turned: mg.Op = own(
        "test_turned",
        lambda x: x,
        lambda x: x[::-1].copy(),
        transpose=lambda ct, out: (turned(ct),),
    )
    x, W = mg.var("x", (3, 2)), mg.const(np.arange(4.0).reshape(2, 2))
    with pytest.raises(mg.GraphError, match=r"test_turned does not say .* stacks=True"):
        mg.vmap(turned)(mg.var("xs", (4, 3, 2)))
    # Its product stays in the loop, where the others would be computed for all steps at once.
    step = lambda c, v: (mg.tanh(c) + mg.sum((turned(v) @ W) * v), None)  # noqa: E731
    xs = mg.var("xs", (4, 3, 2))
    last, _ = mg.scan(step, mg.const(0.0), xs)
    value = np.random.default_rng(0).standard_normal((4, 3, 2))
    loop = mg.function([xs], [last, mg.grad(last, xs)])(value)
    plain = mg.unroll([last, mg.grad(last, xs)])
    for a, b in zip(loop, mg.function([xs], plain, backend="numpy")(value), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)
    assert turned(x).eval({x: value[0]})[0, 0] == value[0, 2, 0]


def test_an_op_whose_axis_rule_is_wrong_is_named(own):
    first = own("test_first", lambda x: x.with_shape(x.shape[1:]), lambda x: x[0], no_gradient=True,
                stacks=True)  # fmt: skip
    first_of = mg.vmap(first)
    with pytest.raises(mg.GraphError, match=r"test_first for 5 values at once gives float64\(3, 2"):
        first_of(mg.var("xs", (5, 3, 2)))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"vjp": lambda ct, out: ct}, r"test_two must give a tuple of 2 terms"),
        ({"vjp": lambda ct, out: (ct,)}, r"test_two must give a tuple of 2 terms"),
        (
            {"transpose": lambda ct, out: (ct, mg.sum(ct))},
            r"argument 1 a term of type float64;",
        ),
        ({"partials": (lambda y, a, b: mg.sum(a), 1)}, r"a partial derivative is float64 where"),
    ],
)
def test_a_derivative_rule_that_answers_wrongly_is_named(own, fields, message):
    two = own("test_two", lambda a, b: a, lambda a, b: a + b, **fields)
    a, b = mg.var("a", (3,)), mg.var("b", (3,))
    with pytest.raises(mg.GraphError, match=message):
        mg.grad(mg.sum(two(a, b) * 2.0), [a, b])


@pytest.mark.parametrize("constant", [0, 2, True + 1])
def test_constant_partials_are_one_minus_one_or_none(constant):
    with pytest.raises(TypeError, match="a constant partial derivative is 1, -1, or None"):
        mg.Op("test_partial", lambda x: x, lambda x: x, partials=(constant,))


def test_a_partial_may_be_a_number(own):
    double = own("test_double", lambda x: x, lambda x: 2 * x, partials=(lambda y, x: 2.0,))
    x = mg.var("x", (3,))
    np.testing.assert_array_equal(mg.grad(mg.sum(double(x)), x).eval({x: np.ones(3)}), 2.0)


@pytest.mark.parametrize("value", [True, 1.0, -0.0, np.float32(2), np.int64(3)])
def test_attributes_are_what_equality_tells_apart(cube, value):
    with pytest.raises(TypeError, match=r"attribute n of test_power is .* ints, texts and tuples"):
        cube(mg.var("x"), n=value)


def test_records_that_cannot_be_are_refused(own):
    wrong = own("test_wrong", lambda x: 3, lambda x: x, no_gradient=True)
    with pytest.raises(mg.DTypeError, match="the type rule of test_wrong gives 3"):
        wrong(mg.var("x"))
    with pytest.raises(TypeError, match=r"mg\.Op\(\.\.\.\) is registered, not 3"):
        mg.register(3)
    with pytest.raises(TypeError, match="an op needs a name"):
        mg.Op("", lambda x: x, lambda x: x, no_gradient=True)


def test_a_wrong_gradient_shows_at_a_point_drawn_with_the_same_seed(own):
    unit = own("test_unit", lambda x: x, lambda x: x / np.sqrt((x * x).sum()),
               vjp=lambda ct, out: (ct * 0.0,))  # fmt: skip
    v = mg.var("v", (3,))
    for seed in range(3):
        point = np.random.default_rng(seed).normal(size=3)
        with pytest.raises(mg.GradientError):
            mg.check_grad(mg.sum(unit(v)), v, {v: point}, seed=seed)
