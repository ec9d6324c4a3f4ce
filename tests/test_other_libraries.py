"""Names of other libraries: what errors advise is there, and what NumPy's users write works."""

from __future__ import annotations

import copy
import operator
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lstm
import minigrad as mg
from lstm.other_names import INSTEAD as OF_LSTM
from lstm.other_names import OF_A_MODEL
from minigrad.graph.node import describe
from minigrad.names import INSTEAD, OTHER_NAMES

X = mg.var("x", (3,))
PACKAGES = {"minigrad": mg, "lstm": lstm}
MODEL = lstm.Model.create(lstm.RNN(2, 3), output_size=1)
OBJECTS = {"x": X, "p": mg.param("p", 1.0), "model": MODEL}


def _names(advice: str) -> list[tuple[Any, str]]:
    """The names that an advice writes: of a package, or of an expression or a model."""
    names = re.findall(r"\b(minigrad|lstm|x|p|model)\.([a-zA-Z_][\w.]*\w|\w)", advice)
    return [(PACKAGES.get(root) or OBJECTS[root], name) for root, name in names]


@pytest.mark.parametrize("name", sorted({*INSTEAD, *OF_LSTM, *OF_A_MODEL}))
def test_what_is_advised_is_there(name: str) -> None:
    for advice in {table[name] for table in (INSTEAD, OF_LSTM, OF_A_MODEL) if name in table}:
        written = _names(advice)
        assert written or advice.endswith(("package lstm", "x itself serves", "x @ y")), advice
        for root, path in written:
            operator.attrgetter(path)(root)


@pytest.mark.parametrize(("name", "ours"), sorted(OTHER_NAMES.items() - {("var", "variance")}))
def test_what_is_meant_is_there(name: str, ours: str) -> None:
    assert hasattr(mg, ours.partition(",")[0])
    assert not hasattr(mg, name)


@pytest.mark.parametrize("name", sorted(INSTEAD))
def test_what_is_there_needs_no_advice(name: str) -> None:
    assert name in mg.__all__ or not hasattr(mg, name)
    assert not hasattr(X, name)
    with pytest.raises(AttributeError, match=re.escape(INSTEAD[name])):
        getattr(X, name)


@pytest.mark.parametrize("name", sorted(OF_LSTM))
def test_names_that_lstm_has_not(name: str) -> None:
    if name not in vars(lstm):
        with pytest.raises(AttributeError, match=re.escape(OF_LSTM[name])):
            getattr(lstm, name)


@pytest.mark.parametrize("name", sorted(OF_A_MODEL))
def test_names_that_a_model_has_not(name: str) -> None:
    assert not hasattr(MODEL, name)
    with pytest.raises(AttributeError, match=re.escape(OF_A_MODEL[name])):
        getattr(MODEL, name)


def test_a_model_is_copied_and_pickled_as_before() -> None:
    assert copy.copy(MODEL).params is MODEL.params
    assert not hasattr(MODEL, "__array__")


@pytest.mark.parametrize(
    ("where", "name", "end"),
    [
        (mg, "norm", "did you mean vector_norm?"),
        (mg, "nn", "are in the package lstm"),
        (mg, "backward", "minigrad.grad(y, x)"),
        (mg, "Variable", "did you mean var?"),
        (mg, "numpyy", "no attribute 'numpyy'"),  # nothing comes near
        (X, "norm", "write minigrad.vector_norm(x)"),
        (X, "clamp", "did you mean clip?"),
        (lstm, "Adam", "such as lstm.optim.adam(0.001)"),
        (lstm.optim, "Adam", "did you mean adam?"),
        (lstm.optim, "Adagrad", "no attribute 'Adagrad'"),
        (MODEL, "ouput", "did you mean output?"),
        (MODEL, "predict", "whose values are .eval()"),
        (lstm, "DataLoader", "lstm.TableTask of a table"),
    ],
)
def test_the_words(where: Any, name: str, end: str) -> None:
    with pytest.raises(AttributeError) as caught:
        getattr(where, name)
    assert str(caught.value).endswith(end)


# --- what NumPy does ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "compare", [operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge]
)
@pytest.mark.parametrize("number", [-1, 0, 255, 256, 300, -(2**70), 2**70])
def test_integers_compare_with_all_of_pythons(compare: Callable[..., Any], number: int) -> None:
    values = np.array([0, 7, 255], np.uint8)
    b = mg.var("b", (3,), "uint8")
    for ours, theirs in (
        (compare(b, number), compare(values, number)),
        (compare(number, b), compare(number, values)),
    ):
        assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)
        assert ours.eval({"b": values}).tolist() == theirs.tolist()
    assert mg.equal(values, -1).eval().tolist() == [False] * 3


def test_the_format_of_a_number() -> None:
    half = mg.const(1.0) / 2
    assert [f"{half:.2f}", f"{mg.const(7):03d}", f"{mg.param('p', 1.5):.1e}"] == [
        "0.50",
        "007",
        "1.5e+00",
    ]
    assert f"{X + 1}" == str(X + 1)


def test_where_an_equal_constant_was_made_first_is_not_told() -> None:
    here = describe(mg.const(2.0))
    assert here == "the constant 2.0: float64"
    made: dict[str, Any] = {}
    exec(compile("import minigrad as mg; c = mg.const([1.5, 2.75])", "<frozen x>", "exec"), made)
    assert describe(made["c"]) == "const: float64(2,)"
