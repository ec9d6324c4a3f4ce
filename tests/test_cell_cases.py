"""Each cell against its formulas in NumPy: what it computes, its derivatives, what it says."""

from __future__ import annotations

import functools
from typing import Any

import cell_cases
import numpy as np
import pytest
from cell_cases import CASES, Case

import lstm
import minigrad as mg
from lstm.cells import CELLS, Gated
from lstm.cells.anatomy import anatomy
from lstm.model import Model
from minigrad import Expr

H, F, B, T = 3, 2, 2, 4
READ = np.random.default_rng(7).standard_normal((H, 2))
each_cell = pytest.mark.parametrize("name", CASES)


def _values(name: str) -> cell_cases.Params:
    """Every parameter drawn, biases and gains too."""
    rng = np.random.default_rng(5)
    return {key: rng.standard_normal(shape) for key, shape in CASES[name].shapes(H, F).items()}


def _leaves(name: str, dtype: str = "float64") -> dict[str, Expr]:
    return {key: mg.param(key, value.astype(dtype)) for key, value in _values(name).items()}


XS = np.random.default_rng(6).standard_normal((T, B, F))


def _wanted(case: Case, p: cell_cases.Params, xs: Any) -> Any:
    """The sum of the squares of what is read from the last h."""
    return ((cell_cases.run(case, p, xs, H)[-1]["h"] @ READ) ** 2).sum()


def _loss(name: str, params: dict[str, Expr], x: Expr, written: bool = False) -> Expr:
    """The same, by a loop or step by step."""
    cell = CELLS[name](F, H, str(x.dtype))
    state = cell.initial_state(B)
    if written:
        for t in range(T):
            state = cell.step(params, state, x[t])
    else:
        state, _ = mg.scan(lambda s, row: (cell.step(params, s, row), None), state, x)
    return mg.sum(mg.square(cell.output_of(state) @ mg.const(READ.astype(str(x.dtype)))))


def test_every_cell_has_a_case() -> None:
    assert CASES.keys() == CELLS.keys()


@each_cell
def test_names_shapes_and_where_parameters_start(name: str) -> None:
    case = CASES[name]
    cell = CELLS[name](F, H)
    assert cell.shapes() == case.shapes(H, F)
    for key, value in cell.init(seed=0).items():
        assert (value.shape, value.dtype) == (case.shapes(H, F)[key], np.float32)
        if key in case.starts or key.startswith("b_"):
            np.testing.assert_array_equal(value, np.float32(case.starts.get(key, 0.0)))
        else:
            assert 0.0 < np.abs(value).max() <= H**-0.5
            assert len(np.unique(value)) == value.size


@each_cell
def test_a_memory_sets_the_gates_that_keep(name: str) -> None:
    case = CASES[name]
    kind = CELLS[name]
    assert issubclass(kind, Gated) == bool(case.remembers)
    if not issubclass(kind, Gated):
        return
    values = kind(F, H, "float64", memory=100).init(seed=0)
    for key, times in case.remembers.items():
        expected = case.starts[key] if not times else times * np.log(99.0)
        np.testing.assert_allclose(values[key], expected, rtol=1e-15)
    # What one step keeps, where h and x are 0: all but one in a hundred.
    state = cell_cases.start(case, 1, H)
    step = case.step(values, state, np.zeros((1, F)))
    assert case.keep is not None
    np.testing.assert_allclose(case.keep(step), 0.99, rtol=1e-12)
    assert "a memory of 100 steps" in kind(F, H, memory=100).notes[0]
    assert kind(F, H).notes == ()


@each_cell
def test_every_value_of_every_step(name: str) -> None:
    case, cell, params = CASES[name], CELLS[name](F, H, "float64"), _leaves(name)
    assert case.state == "".join(cell.state_type._fields)
    state = cell.initial_state(B)
    for x, wanted in zip(XS, cell_cases.run(case, _values(name), XS, H), strict=True):
        values = cell.compute(params, state, mg.const(x))
        assert list(values) == list(wanted)
        for symbol, value in values.items():
            np.testing.assert_allclose(value.eval(), wanted[symbol], rtol=1e-12, atol=1e-14)
        state = cell.state_of(values)


@functools.cache
def _wanted_gradients(name: str) -> tuple[float, dict[str, Any]]:
    """The number, and its derivatives by each parameter and by xs."""
    case, p = CASES[name], _values(name)
    wanted = {key: cell_cases.derivative(lambda q: _wanted(case, q, XS), p, key) for key in p}
    wanted["xs"] = cell_cases.derivative(lambda q: _wanted(case, p, q["xs"]), {"xs": XS}, "xs")
    return _wanted(case, p, XS), wanted


@each_cell
@pytest.mark.parametrize(
    ("backend", "written"), [("auto", False), ("numpy", False), ("numpy", True)]
)
def test_loss_and_gradients_as_they_train(name: str, backend: str, written: bool) -> None:
    params, x = _leaves(name), mg.var("xs", XS.shape)
    loss = _loss(name, params, x, written)
    leaves = {**params, "xs": x}
    number, *numbers = mg.function(
        [x], [loss, *mg.grad(loss, [*leaves.values()])], backend=backend
    )(XS)
    wanted, gradients = _wanted_gradients(name)
    np.testing.assert_allclose(number, wanted, rtol=1e-12)
    for key, got in zip(leaves, numbers, strict=True):
        np.testing.assert_allclose(got, gradients[key], rtol=1e-10, atol=1e-12, err_msg=key)


@each_cell
def test_training_in_float32_is_machine_code_throughout(name: str) -> None:
    pytest.importorskip("llvmlite", reason="llvmlite, which makes machine code, is not here")
    params, x = _leaves(name, "float32"), mg.var("xs", XS.shape, "float32")
    loss = _loss(name, params, x)
    run = mg.function([x], mg.grad(loss, [*params.values()]), backend="native")
    steps = [line.partition("×")[2] for line in str(run.report()).splitlines() if "×" in line]
    # What stands beside the blocks only looks at the same numbers otherwise.
    assert {step.split(",")[0].strip() for step in steps} <= {"block", "broadcast_to", "reshape"}
    p = _values(name)
    for key, got in zip(p, run(XS.astype("float32")), strict=True):
        want = cell_cases.derivative(lambda q: _wanted(CASES[name], q, XS), p, key)
        assert np.linalg.norm(got - want) <= 2e-5 * np.linalg.norm(want), key


@each_cell
def test_what_it_says_and_what_is_measured(name: str) -> None:
    case, cell = CASES[name], CELLS[name](F, H, "float64")
    line, gates = anatomy(cell)
    assert (None if line is None else tuple(line)) == case.line
    assert "".join(gates) == case.gates
    assert all(gate.name and gate.one and gate.zero for gate in gates.values())
    if line is not None:  # the gate whose word it is that the line is kept says so of that side
        gate = gates[line.factor.removeprefix("1 − ")]
        kept, dropped = (
            (gate.one, gate.zero) if gate.symbol == line.factor else (gate.zero, gate.one)
        )
        assert kept == f"keeps {line.symbol}"
        assert "keeps" not in dropped
    assert cell.title
    assert cell.output == "h"
    flow = lstm.flow(Model.create(cell, 1, seed=0), XS, np.zeros((B, 1)), lstm.mse)
    assert list(flow.series) == list(case.state)
    expected = cell_cases.run(case, cell.init(seed=0), XS, H)
    for symbol in case.gates:
        means = [values[symbol].mean() for values in expected]
        np.testing.assert_allclose(flow.gates[symbol].mean, means, rtol=1e-12)
    if case.keep is not None:
        assert flow.split is not None
        means = [case.keep(values).mean() for values in expected]
        np.testing.assert_allclose(flow.split.keep, means, rtol=1e-12)
