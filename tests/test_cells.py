"""The cells against the NumPy reference: shapes, values, and every gradient."""

import numpy as np
import pytest
import reference

import minigrad as mg
from lstm.cells import CELLS, GRU, LSTM, RNN, CoupledLSTM, PeepholeLSTM
from lstm.errors import ConfigError
from lstm.model import Model

INPUT, HIDDEN, BATCH, STEPS = 3, 4, 2, 6


def parts_of(states):
    return [part for state in states for part in state]


def with_seam(state):
    """The state plus zeros, and the zeros.

    Their adjoint is what the later steps and the loss send into the state. That of C itself has
    also what comes back through h of its own step, which the reference does not count.
    """
    zeros = [mg.param("seam", np.zeros(part.shape)) for part in state]
    return type(state)(*[p + z for p, z in zip(state, zeros, strict=True)]), zeros


@pytest.mark.parametrize("name", reference.CELLS)
def test_shapes_are_the_references(name):
    shapes = CELLS[name](INPUT, HIDDEN).shapes()
    assert shapes == reference.CELLS[name].shapes(INPUT, HIDDEN)
    for key, value in CELLS[name](INPUT, HIDDEN).init(seed=0).items():
        assert value.shape == shapes[key]
        assert value.dtype == np.float32


@pytest.mark.parametrize("name", reference.CELLS)
def test_forward_and_backward_are_the_references(name):
    ref = reference.CELLS[name]
    cell = CELLS[name](INPUT, HIDDEN, "float64")
    rng = np.random.default_rng(7)
    params = reference.init(ref, INPUT, HIDDEN, seed=1)
    start = tuple(rng.standard_normal((BATCH, HIDDEN)) for _ in range(ref.parts))
    xs = rng.standard_normal((STEPS, BATCH, INPUT))
    d_states = [
        tuple(rng.standard_normal((BATCH, HIDDEN)) for _ in range(ref.parts)) for _ in range(STEPS)
    ]

    leaves = {key: mg.param(key, value) for key, value in params.items()}
    first = cell.state_type(*[mg.param(f"s{k}", part) for k, part in enumerate(start)])
    inputs = mg.param("xs", xs)
    states, seams = [first], [list(first)]
    for t in range(STEPS):
        state, seam = with_seam(cell.step(leaves, states[-1], inputs[t]))
        states.append(state)
        seams.append(seam)
    terms = [
        mg.sum(part * weight)
        for state, weights in zip(states[1:], d_states, strict=True)
        for part, weight in zip(state, weights, strict=True)
    ]
    adjoints = mg.adjoints(sum(terms[1:], terms[0]))

    expected_states, caches = reference.run(ref, params, xs, start)
    expected = reference.bptt(ref, params, caches, d_states)

    for got, want in zip(parts_of(states[1:]), parts_of(expected_states), strict=True):
        np.testing.assert_allclose(got.eval(), want, rtol=1e-10, atol=1e-10)
    for key, want in expected[0].items():
        np.testing.assert_allclose(adjoints[leaves[key]].eval(), want, rtol=1e-10, atol=1e-10)
    for got, want in zip(parts_of(seams), parts_of(expected[1]), strict=True):
        np.testing.assert_allclose(adjoints[got].eval(), want, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(adjoints[inputs].eval(), expected[2], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", reference.CELLS)
def test_compiled_gradients_are_the_references_too(name):
    """What trains is the rewritten graph: the same numbers through grad and function."""
    ref = reference.CELLS[name]
    model = Model.create(CELLS[name](INPUT, HIDDEN, "float64"), 1, seed=3)
    for key, value in reference.init(ref, INPUT, HIDDEN, seed=3).items():
        model.params["layer1"][key].value = value
    xs = mg.var("xs", (STEPS, BATCH, INPUT))
    last = model.unroll(xs).states[-1].h
    names = list(ref.shapes(INPUT, HIDDEN))
    grads = mg.grad(mg.sum(last), [*[model.params["layer1"][n] for n in names], xs])
    data = np.random.default_rng(0).standard_normal((STEPS, BATCH, INPUT))
    *found, d_xs = mg.function([xs], grads)(data)

    values = {n: model.params["layer1"][n].value for n in names}
    zero = reference.zero_state(ref, BATCH, HIDDEN)
    _, caches = reference.run(ref, values, data, zero)
    ones = (np.ones((BATCH, HIDDEN)), *zero[1:])
    want, _, want_xs = reference.bptt(ref, values, caches, [zero] * (STEPS - 1) + [ones])
    for n, got in zip(names, found, strict=True):
        np.testing.assert_allclose(got, want[n], rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(d_xs, want_xs, rtol=1e-10, atol=1e-12)


def test_equations_name_every_value_in_the_textbooks_order():
    symbols = {
        "rnn": ["h"],
        "lstm": ["f", "i", "C̃", "C", "o", "h"],
        "gru": ["z", "r", "h̃", "h"],
        "peephole": ["f", "i", "C̃", "C", "o", "h"],
        "coupled": ["f", "i", "C̃", "C", "o", "h"],
    }
    for name in symbols:
        kind = CELLS[name]
        model = Model.create(kind(INPUT, HIDDEN), 1, seed=0)
        state = model.cell.initial_state(BATCH)
        x = mg.var("x", (BATCH, INPUT), "float32")
        values = model.cell.equations(model.params["layer1"], state, x)
        assert list(values) == symbols[name]
        assert all(value.shape == (BATCH, HIDDEN) for value in values.values())
        assert model.cell.step(model.params["layer1"], state, x) == model.cell.state_of(values)


def test_initial_values_are_seeded_and_bounded():
    cell = LSTM(INPUT, 16)
    a, b, c = cell.init(0), cell.init(0), cell.init(1)
    assert all(np.array_equal(a[n], b[n]) for n in a)
    assert not np.array_equal(a["W_f"], c["W_f"])
    free = np.concatenate([a[n].ravel() for n in a if n.startswith("W_")])
    assert np.abs(free).max() <= 0.25
    assert np.abs(free).max() > 0.24
    assert not any(a[n].any() for n in ("b_i", "b_C", "b_o"))


def test_gate_biases():
    log = np.float32(np.log(99.0))
    cases = [
        (LSTM(2, 3), {"b_f": 1.0}),
        (LSTM(2, 3, forget_bias=2.5), {"b_f": 2.5}),
        (LSTM(2, 3, memory=100), {"b_f": log, "b_i": -log}),
        (PeepholeLSTM(2, 3, memory=100), {"b_f": log, "b_i": -log}),
        (CoupledLSTM(2, 3, memory=100), {"b_f": log}),
        (GRU(2, 3), {"b_z": -1.0}),
        (GRU(2, 3, memory=100), {"b_z": -log}),
    ]
    for cell, expected in cases:
        values = cell.init(0)  # type: ignore[attr-defined]
        for name, bias in expected.items():  # type: ignore[attr-defined]
            assert (values[name] == np.float32(bias)).all(), (cell, name)


def test_a_memory_of_T_forgets_a_share_of_one_in_T_at_each_step():
    forget = 1 / (1 + np.exp(-LSTM(2, 3, "float64", memory=100).init(0)["b_f"]))
    np.testing.assert_allclose(forget, 1 - 1 / 100)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RNN(0, 4), "input_size must be a whole number of at least 1, not 0"),
        (lambda: RNN(2, 1.5), "hidden_size must be a whole number"),
        (lambda: RNN(2, True), "hidden_size must be a whole number"),
        (lambda: LSTM(2, 4, "int32"), "dtype must be 'float32' or 'float64'"),
        (lambda: LSTM(2, 4, memory=2), "memory must be more than 2 steps"),
        (lambda: LSTM(2, 4, memory=float("inf")), "memory must be more than 2 steps"),
        (lambda: GRU(2, 4, forget_bias=float("nan")), "forget_bias must be finite"),
    ],
)
def test_settings_that_cannot_be(make, message):
    with pytest.raises(ConfigError, match=message):
        make()
