"""Recurrent cells in plain NumPy, forward and backward by hand: the reference that tests hold
`lstm` against.

Written straight from the papers' equations. Nothing here comes from `minigrad` or `lstm`, nothing
is derived automatically, and nothing is clever.

Conventions: batch first. x is (B, I); every part of a state is (B, H), a state is a tuple of
parts, and the hidden state h is its first part. A weight matrix acts on z = concat([h, x],
axis=1) from the right, so W is (H + I, H) and b is (H,). A backward pass takes the adjoint of the
new state and returns those of the parameters, of the previous state and of x.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Params = dict[str, Array]
State = tuple[Array, ...]
Cache = tuple[Array, ...]
Shape = tuple[int, ...]


class Cell(NamedTuple):
    """One step forward, one step backward, and the shapes of what they need."""

    forward: Callable[[Params, State, Array], tuple[State, Cache]]
    backward: Callable[[Params, Cache, State], tuple[Params, State, Array]]
    shapes: Callable[[int, int], dict[str, Shape]]  # (input_size, hidden_size) -> name -> shape
    parts: int  # how many (B, H) arrays make a state


def sigmoid(a: Array) -> Array:
    """The logistic function 1 / (1 + exp(-a)), by way of tanh, so that it never overflows."""
    return 0.5 * (1.0 + np.tanh(0.5 * a))


def _weights_and_biases(input_size: int, hidden_size: int, gates: str) -> dict[str, Shape]:
    """The shapes of a W and a b for each gate, a letter each."""
    shapes: dict[str, Shape] = {}
    for gate in gates:
        shapes[f"W_{gate}"] = (hidden_size + input_size, hidden_size)
        shapes[f"b_{gate}"] = (hidden_size,)
    return shapes


# ---------------------------------------------------------------- simple recurrent network


def rnn_shapes(input_size: int, hidden_size: int) -> dict[str, Shape]:
    return _weights_and_biases(input_size, hidden_size, "h")


def rnn_forward(params: Params, state: State, x: Array) -> tuple[State, Cache]:
    """Elman, "Finding structure in time", 1990, with tanh: h' = tanh(W_h [h, x] + b_h)."""
    (h,) = state
    z = np.concatenate([h, x], axis=1)
    h_new = np.tanh(z @ params["W_h"] + params["b_h"])
    return (h_new,), (z, h_new)


def rnn_backward(params: Params, cache: Cache, d_state: State) -> tuple[Params, State, Array]:
    """Adjoints of `rnn_forward`."""
    z, h_new = cache
    (d_h_new,) = d_state
    d_a = d_h_new * (1 - h_new**2)
    d_z = d_a @ params["W_h"].T
    hidden = h_new.shape[1]
    return {"W_h": z.T @ d_a, "b_h": d_a.sum(axis=0)}, (d_z[:, :hidden],), d_z[:, hidden:]


# ---------------------------------------------------------------- LSTM


def lstm_shapes(input_size: int, hidden_size: int) -> dict[str, Shape]:
    return _weights_and_biases(input_size, hidden_size, "fiCo")


def lstm_forward(params: Params, state: State, x: Array) -> tuple[State, Cache]:
    """Hochreiter & Schmidhuber, "Long short-term memory", 1997, with the forget gate of Gers,
    Schmidhuber & Cummins, "Learning to forget", 2000."""
    h, C = state
    z = np.concatenate([h, x], axis=1)
    f = sigmoid(z @ params["W_f"] + params["b_f"])
    i = sigmoid(z @ params["W_i"] + params["b_i"])
    C_tilde = np.tanh(z @ params["W_C"] + params["b_C"])
    C_new = f * C + i * C_tilde
    o = sigmoid(z @ params["W_o"] + params["b_o"])
    h_new = o * np.tanh(C_new)
    return (h_new, C_new), (z, C, f, i, C_tilde, o, C_new)


def lstm_backward(params: Params, cache: Cache, d_state: State) -> tuple[Params, State, Array]:
    """Adjoints of `lstm_forward`."""
    z, C, f, i, C_tilde, o, C_new = cache
    d_h_new, d_C_new = d_state
    tanh_C = np.tanh(C_new)

    d_C = d_C_new + d_h_new * o * (
        1 - tanh_C**2
    )  # what reaches C' from the next step, and through h'
    d_a_o = d_h_new * tanh_C * o * (1 - o)
    d_a_f = d_C * C * f * (1 - f)
    d_a_i = d_C * C_tilde * i * (1 - i)
    d_a_C = d_C * i * (1 - C_tilde**2)

    d_z = (
        d_a_f @ params["W_f"].T
        + d_a_i @ params["W_i"].T
        + d_a_C @ params["W_C"].T
        + d_a_o @ params["W_o"].T
    )
    d_params = {
        "W_f": z.T @ d_a_f, "b_f": d_a_f.sum(axis=0),
        "W_i": z.T @ d_a_i, "b_i": d_a_i.sum(axis=0),
        "W_C": z.T @ d_a_C, "b_C": d_a_C.sum(axis=0),
        "W_o": z.T @ d_a_o, "b_o": d_a_o.sum(axis=0),
    }  # fmt: skip
    hidden = C.shape[1]
    return d_params, (d_z[:, :hidden], d_C * f), d_z[:, hidden:]


# ---------------------------------------------------------------- GRU


def gru_shapes(input_size: int, hidden_size: int) -> dict[str, Shape]:
    return _weights_and_biases(input_size, hidden_size, "zrh")


def gru_forward(params: Params, state: State, x: Array) -> tuple[State, Cache]:
    """Cho et al., "Learning phrase representations using RNN encoder-decoder for statistical
    machine translation", 2014, in the textbook's form: z = 1 takes the candidate (the paper's own
    z = 1 keeps h), r acts on h before W_h."""
    (h,) = state
    z_in = np.concatenate([h, x], axis=1)
    z = sigmoid(z_in @ params["W_z"] + params["b_z"])
    r = sigmoid(z_in @ params["W_r"] + params["b_r"])
    h_in = np.concatenate([r * h, x], axis=1)
    h_tilde = np.tanh(h_in @ params["W_h"] + params["b_h"])
    h_new = (1 - z) * h + z * h_tilde
    return (h_new,), (h, z_in, z, r, h_in, h_tilde)


def gru_backward(params: Params, cache: Cache, d_state: State) -> tuple[Params, State, Array]:
    """Adjoints of `gru_forward`."""
    h, z_in, z, r, h_in, h_tilde = cache
    (d_h_new,) = d_state
    hidden = h.shape[1]

    d_a_h = d_h_new * z * (1 - h_tilde**2)
    d_h_in = d_a_h @ params["W_h"].T
    d_rh = d_h_in[:, :hidden]
    d_a_r = d_rh * h * r * (1 - r)
    d_a_z = d_h_new * (h_tilde - h) * z * (1 - z)
    d_z_in = d_a_z @ params["W_z"].T + d_a_r @ params["W_r"].T

    d_params = {
        "W_z": z_in.T @ d_a_z, "b_z": d_a_z.sum(axis=0),
        "W_r": z_in.T @ d_a_r, "b_r": d_a_r.sum(axis=0),
        "W_h": h_in.T @ d_a_h, "b_h": d_a_h.sum(axis=0),
    }  # fmt: skip
    d_h = d_h_new * (1 - z) + d_rh * r + d_z_in[:, :hidden]
    return d_params, (d_h,), d_h_in[:, hidden:] + d_z_in[:, hidden:]


# ---------------------------------------------------------------- LSTM with peepholes


def peephole_shapes(input_size: int, hidden_size: int) -> dict[str, Shape]:
    peepholes: dict[str, Shape] = {
        "p_f": (hidden_size,),
        "p_i": (hidden_size,),
        "p_o": (hidden_size,),
    }
    return lstm_shapes(input_size, hidden_size) | peepholes


def peephole_forward(params: Params, state: State, x: Array) -> tuple[State, Cache]:
    """Gers & Schmidhuber, "Recurrent nets that time and count", 2000: the gates f and i also see
    C, and o sees C', each through a vector of weights, one a cell."""
    h, C = state
    z = np.concatenate([h, x], axis=1)
    f = sigmoid(z @ params["W_f"] + params["p_f"] * C + params["b_f"])
    i = sigmoid(z @ params["W_i"] + params["p_i"] * C + params["b_i"])
    C_tilde = np.tanh(z @ params["W_C"] + params["b_C"])
    C_new = f * C + i * C_tilde
    o = sigmoid(z @ params["W_o"] + params["p_o"] * C_new + params["b_o"])
    h_new = o * np.tanh(C_new)
    return (h_new, C_new), (z, C, f, i, C_tilde, o, C_new)


def peephole_backward(params: Params, cache: Cache, d_state: State) -> tuple[Params, State, Array]:
    """Adjoints of `peephole_forward`."""
    z, C, f, i, C_tilde, o, C_new = cache
    d_h_new, d_C_new = d_state
    tanh_C = np.tanh(C_new)

    d_a_o = d_h_new * tanh_C * o * (1 - o)
    d_C = (
        d_C_new + d_h_new * o * (1 - tanh_C**2) + d_a_o * params["p_o"]
    )  # the output gate sees C' too
    d_a_f = d_C * C * f * (1 - f)
    d_a_i = d_C * C_tilde * i * (1 - i)
    d_a_C = d_C * i * (1 - C_tilde**2)

    d_z = (
        d_a_f @ params["W_f"].T
        + d_a_i @ params["W_i"].T
        + d_a_C @ params["W_C"].T
        + d_a_o @ params["W_o"].T
    )
    d_params = {
        "W_f": z.T @ d_a_f, "b_f": d_a_f.sum(axis=0), "p_f": (d_a_f * C).sum(axis=0),
        "W_i": z.T @ d_a_i, "b_i": d_a_i.sum(axis=0), "p_i": (d_a_i * C).sum(axis=0),
        "W_C": z.T @ d_a_C, "b_C": d_a_C.sum(axis=0),
        "W_o": z.T @ d_a_o, "b_o": d_a_o.sum(axis=0), "p_o": (d_a_o * C_new).sum(axis=0),
    }  # fmt: skip
    hidden = C.shape[1]
    d_C_prev = d_C * f + d_a_f * params["p_f"] + d_a_i * params["p_i"]
    return d_params, (d_z[:, :hidden], d_C_prev), d_z[:, hidden:]


# ---------------------------------------------------------------- LSTM with coupled gates


def coupled_shapes(input_size: int, hidden_size: int) -> dict[str, Shape]:
    return _weights_and_biases(input_size, hidden_size, "fCo")


def coupled_forward(params: Params, state: State, x: Array) -> tuple[State, Cache]:
    """Greff et al., "LSTM: a search space odyssey", 2017 (their CIFG), with i = 1 - f: what is
    let go makes room."""
    h, C = state
    z = np.concatenate([h, x], axis=1)
    f = sigmoid(z @ params["W_f"] + params["b_f"])
    C_tilde = np.tanh(z @ params["W_C"] + params["b_C"])
    C_new = f * C + (1 - f) * C_tilde
    o = sigmoid(z @ params["W_o"] + params["b_o"])
    h_new = o * np.tanh(C_new)
    return (h_new, C_new), (z, C, f, C_tilde, o, C_new)


def coupled_backward(params: Params, cache: Cache, d_state: State) -> tuple[Params, State, Array]:
    """Adjoints of `coupled_forward`."""
    z, C, f, C_tilde, o, C_new = cache
    d_h_new, d_C_new = d_state
    tanh_C = np.tanh(C_new)

    d_C = d_C_new + d_h_new * o * (1 - tanh_C**2)
    d_a_o = d_h_new * tanh_C * o * (1 - o)
    d_a_f = d_C * (C - C_tilde) * f * (1 - f)
    d_a_C = d_C * (1 - f) * (1 - C_tilde**2)

    d_z = d_a_f @ params["W_f"].T + d_a_C @ params["W_C"].T + d_a_o @ params["W_o"].T
    d_params = {
        "W_f": z.T @ d_a_f, "b_f": d_a_f.sum(axis=0),
        "W_C": z.T @ d_a_C, "b_C": d_a_C.sum(axis=0),
        "W_o": z.T @ d_a_o, "b_o": d_a_o.sum(axis=0),
    }  # fmt: skip
    hidden = C.shape[1]
    return d_params, (d_z[:, :hidden], d_C * f), d_z[:, hidden:]


# ---------------------------------------------------------------- through time

rnn = Cell(rnn_forward, rnn_backward, rnn_shapes, parts=1)
lstm = Cell(lstm_forward, lstm_backward, lstm_shapes, parts=2)
gru = Cell(gru_forward, gru_backward, gru_shapes, parts=1)
peephole = Cell(peephole_forward, peephole_backward, peephole_shapes, parts=2)
coupled = Cell(coupled_forward, coupled_backward, coupled_shapes, parts=2)

CELLS = {"rnn": rnn, "lstm": lstm, "gru": gru, "peephole": peephole, "coupled": coupled}


def init(cell: Cell, input_size: int, hidden_size: int, seed: int, scale: float = 0.5) -> Params:
    """Normal random parameters, biases included, so that no term of a gradient is zero by
    chance."""
    rng = np.random.default_rng(seed)
    return {
        name: scale * rng.standard_normal(shape)
        for name, shape in cell.shapes(input_size, hidden_size).items()
    }


def zero_state(cell: Cell, batch_size: int, hidden_size: int) -> State:
    """A state of zeros."""
    return tuple(np.zeros((batch_size, hidden_size)) for _ in range(cell.parts))


def run(cell: Cell, params: Params, xs: Array, state: State) -> tuple[list[State], list[Cache]]:
    """Run over xs (T, B, I). Returns the state after each of the T steps, and what `bptt` needs."""
    states: list[State] = []
    caches: list[Cache] = []
    for x in xs:
        state, cache = cell.forward(params, state, x)
        states.append(state)
        caches.append(cache)
    return states, caches


def bptt(
    cell: Cell, params: Params, caches: Sequence[Cache], d_states: Sequence[State]
) -> tuple[Params, list[State], Array]:
    """Back-propagation through time (Werbos, "Backpropagation through time: what it does and how
    to do it", 1990).

    `d_states[t]` is what the loss itself sends into the state after step t, without what comes
    back from later steps. Returns the full adjoints of the parameters, of all T + 1 states (the
    initial one first), and of xs.
    """
    d_params = {name: np.zeros_like(value) for name, value in params.items()}
    d_state = tuple(np.zeros_like(part) for part in d_states[-1])  # no step after the last
    d_all_states: list[State] = []
    d_xs: list[Array] = []
    for cache, from_loss in zip(reversed(caches), reversed(d_states), strict=True):
        d_state = tuple(back + here for back, here in zip(d_state, from_loss, strict=True))
        d_all_states.insert(0, d_state)
        step_d_params, d_state, d_x = cell.backward(params, cache, d_state)
        for name, d_param in step_d_params.items():
            d_params[name] += d_param
        d_xs.insert(0, d_x)
    return d_params, [d_state, *d_all_states], np.stack(d_xs)
