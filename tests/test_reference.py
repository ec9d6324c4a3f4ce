"""The NumPy reference itself: its backward passes against finite differences, its forward passes
against what the equations say in the limit."""

from collections.abc import Callable

import numpy as np
import pytest
import reference as ref
from reference import Array, Cell, State

BATCH, INPUT, HIDDEN, STEPS = 3, 2, 4, 5

each_cell = pytest.mark.parametrize("cell", ref.CELLS.values(), ids=ref.CELLS.keys())


def finite_difference(loss: Callable[[], float], value: Array, eps: float = 1e-5) -> Array:
    """The gradient of `loss` with respect to `value`, by central differences, writing to `value`
    in place."""
    gradient = np.empty_like(value)
    for index in np.ndindex(value.shape):
        kept = value[index]
        value[index] = kept + eps
        above = loss()
        value[index] = kept - eps
        below = loss()
        value[index] = kept
        gradient[index] = (above - below) / (2 * eps)
    return gradient


def random_state(cell: Cell, rng: np.random.Generator) -> State:
    return tuple(rng.standard_normal((BATCH, HIDDEN)) for _ in range(cell.parts))


def inner(a: State, b: State) -> float:
    return float(sum(np.sum(p * q) for p, q in zip(a, b, strict=True)))


def close(actual: Array, expected: Array) -> None:
    np.testing.assert_allclose(actual, expected, rtol=1e-6, atol=1e-8)


@each_cell
def test_backward_is_the_derivative_of_forward(cell: Cell) -> None:
    rng = np.random.default_rng(1)
    params = ref.init(cell, INPUT, HIDDEN, seed=0)
    state, d_state = random_state(cell, rng), random_state(cell, rng)
    x = rng.standard_normal((BATCH, INPUT))

    d_params, d_prev, d_x = cell.backward(params, cell.forward(params, state, x)[1], d_state)

    def loss() -> float:
        return inner(cell.forward(params, state, x)[0], d_state)

    assert d_params.keys() == params.keys()
    for name in params:
        close(d_params[name], finite_difference(loss, params[name]))
    for part, d_part in zip(state, d_prev, strict=True):
        close(d_part, finite_difference(loss, part))
    close(d_x, finite_difference(loss, x))


@each_cell
def test_bptt_is_the_derivative_of_run(cell: Cell) -> None:
    rng = np.random.default_rng(2)
    params = ref.init(cell, INPUT, HIDDEN, seed=3)
    state = random_state(cell, rng)
    d_states = [random_state(cell, rng) for _ in range(STEPS)]  # a loss that sees every state
    xs = rng.standard_normal((STEPS, BATCH, INPUT))

    states, caches = ref.run(cell, params, xs, state)
    d_params, d_all_states, d_xs = ref.bptt(cell, params, caches, d_states)

    def loss() -> float:
        states, _ = ref.run(cell, params, xs, state)
        return sum(inner(s, d) for s, d in zip(states, d_states, strict=True))

    assert len(states) == STEPS and len(d_all_states) == STEPS + 1
    for name in params:
        close(d_params[name], finite_difference(loss, params[name]))
    for part, d_part in zip(state, d_all_states[0], strict=True):
        close(d_part, finite_difference(loss, part))
    close(d_xs, finite_difference(loss, xs))


@each_cell
def test_bptt_gives_the_adjoint_of_every_state(cell: Cell) -> None:
    """The adjoint of the state after step t is that of an initial state from which the later
    steps are run."""
    rng = np.random.default_rng(4)
    params = ref.init(cell, INPUT, HIDDEN, seed=5)
    xs = rng.standard_normal((STEPS, BATCH, INPUT))
    d_states = [ref.zero_state(cell, BATCH, HIDDEN)] * (STEPS - 1) + [random_state(cell, rng)]

    states, caches = ref.run(cell, params, xs, random_state(cell, rng))
    _, d_all_states, _ = ref.bptt(cell, params, caches, d_states)

    for t in range(1, STEPS):
        state = states[t - 1]

        def loss(t: int = t, state: State = state) -> float:
            return inner(ref.run(cell, params, xs[t:], state)[0][-1], d_states[-1])

        for part, d_part in zip(state, d_all_states[t], strict=True):
            close(d_part, finite_difference(loss, part))


@each_cell
def test_rows_of_a_batch_do_not_mix(cell: Cell) -> None:
    rng = np.random.default_rng(6)
    params = ref.init(cell, INPUT, HIDDEN, seed=7)
    state, xs = random_state(cell, rng), rng.standard_normal((STEPS, BATCH, INPUT))
    together, _ = ref.run(cell, params, xs, state)
    alone, _ = ref.run(cell, params, xs[:, 1:2], tuple(part[1:2] for part in state))
    for part, part_alone in zip(together[-1], alone[-1], strict=True):
        close(part[1:2], part_alone)


@each_cell
def test_one_unit_written_out_in_scalars(cell: Cell) -> None:
    """One unit and one input, so that every matrix product is a sum of two terms."""
    params = ref.init(cell, 1, 1, seed=8)
    h, C, x = 0.3, -0.7, 1.1

    def act(gate: str, h: float = h, see: float = 0.0) -> float:
        (w_h,), (w_x,) = params[f"W_{gate}"]
        peephole = params[f"p_{gate}"][0] * see if f"p_{gate}" in params else 0.0
        return float(w_h * h + w_x * x + peephole + params[f"b_{gate}"][0])

    def sig(a: float) -> float:
        return float(1 / (1 + np.exp(-a)))

    if cell is ref.rnn:
        expected = [np.tanh(act("h"))]
    elif cell is ref.gru:
        z, r = sig(act("z")), sig(act("r"))
        expected = [(1 - z) * h + z * np.tanh(act("h", h=r * h))]
    else:
        f = sig(act("f", see=C))
        i = 1 - f if cell is ref.coupled else sig(act("i", see=C))
        C_new = f * C + i * np.tanh(act("C"))
        expected = [sig(act("o", see=C_new)) * np.tanh(C_new), C_new]

    state = tuple(np.array([[part]]) for part in (h, C)[: cell.parts])
    new_state, _ = cell.forward(params, state, np.array([[x]]))
    close(np.concatenate(new_state).ravel(), np.array(expected))


def test_an_open_forget_gate_carries_the_cell_and_its_adjoint_unchanged() -> None:
    """The constant error carousel: f = 1 and i = 0 leave C, and the adjoint of C, as they are."""
    rng = np.random.default_rng(9)
    params = {
        name: np.zeros_like(value)
        for name, value in ref.init(ref.lstm, INPUT, HIDDEN, seed=0).items()
    }
    params["b_f"] += 100.0
    params["b_i"] -= 100.0
    state = random_state(ref.lstm, rng)
    d_C = rng.standard_normal((BATCH, HIDDEN))
    nothing = ref.zero_state(ref.lstm, BATCH, HIDDEN)

    states, caches = ref.run(ref.lstm, params, rng.standard_normal((100, BATCH, INPUT)), state)
    _, d_states, _ = ref.bptt(ref.lstm, params, caches, [nothing] * 99 + [(nothing[0], d_C)])

    np.testing.assert_array_equal(states[-1][1], state[1])
    np.testing.assert_array_equal(d_states[0][1], d_C)


def test_an_update_gate_of_a_gru_chooses_between_old_and_new() -> None:
    rng = np.random.default_rng(10)
    params = ref.init(ref.gru, INPUT, HIDDEN, seed=11)
    (h,), x = random_state(ref.gru, rng), rng.standard_normal((BATCH, INPUT))
    params["W_z"][:] = 0.0
    params["b_z"][:] = -100.0
    close(ref.gru.forward(params, (h,), x)[0][0], h)
    params["b_z"][:] = 100.0
    (candidate,), cache = ref.gru.forward(params, (h,), x)
    close(candidate, cache[-1])


def test_without_peepholes_the_peephole_cell_is_the_lstm() -> None:
    rng = np.random.default_rng(12)
    params = ref.init(ref.lstm, INPUT, HIDDEN, seed=13)
    blind = params | {name: np.zeros(HIDDEN) for name in ("p_f", "p_i", "p_o")}
    state, x = random_state(ref.lstm, rng), rng.standard_normal((BATCH, INPUT))
    pairs = zip(
        ref.peephole.forward(blind, state, x)[0], ref.lstm.forward(params, state, x)[0], strict=True
    )
    for with_peepholes, without in pairs:
        np.testing.assert_array_equal(with_peepholes, without)


def test_sigmoid_at_its_ends() -> None:
    with np.errstate(all="raise"):
        np.testing.assert_array_equal(ref.sigmoid(np.array([-1e4, 0.0, 1e4])), [0.0, 0.5, 1.0])
