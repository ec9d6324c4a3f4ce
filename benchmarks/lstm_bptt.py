"""Backpropagation through time by hand, in NumPy: what one writes without an engine.

Gates are packed, the input's projection and the weight gradients are one product each, and all
arrays are made once. In float64 it is the reference that gradients are compared with.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from lstm_case import BETA1, BETA2, EPS, ORDER, RATE, Array, Arrays, Case, Contender, pack, unpack


def sigmoid_in_place(x: Array) -> None:
    """By tanh, which NumPy vectorises and which overflows nowhere."""
    x *= 0.5
    np.tanh(x, out=x)
    x *= 0.5
    x += 0.5


class Bptt:
    """A layer, a readout of its last h, and the mean squared error, forwards and backwards."""

    def __init__(self, case: Case, dtype: Any = np.float32) -> None:
        T, B, _, H = case.size
        self.H, self.order = H, ORDER[case.cell.name]
        self.params = {
            k: np.ascontiguousarray(v, dtype) for k, v in pack(case.params, self.order).items()
        }
        self.xs, self.ys = case.xs.astype(dtype), case.ys.astype(dtype)
        width = len(self.order) * H
        self.gates = np.empty((T, B, width), dtype)  # before, then after their functions
        self.dgates = np.empty((T, B, width), dtype)
        self.hs = np.zeros((T + 1, B, H), dtype)
        self.extra = np.zeros((T + 1, B, H), dtype)  # LSTM: C; GRU: r·h
        self.squashed = np.empty((T, B, H), dtype)  # LSTM: tanh C
        self.forward = getattr(self, f"forward_{case.cell.name}")
        self.backward = getattr(self, f"backward_{case.cell.name}")

    def step(self) -> tuple[float, Arrays]:
        """The loss, and the gradients of the packed parameters."""
        p, (T, B, width) = self.params, self.gates.shape
        flat = self.xs.reshape(T * B, -1)
        np.matmul(flat, p["W_x"], out=self.gates.reshape(T * B, width))
        self.gates += p["b"]
        self.forward(p["W_h"])
        last = self.hs[T]
        error = last @ p["W_y"] + p["b_y"] - self.ys
        dy = error * self.ys.dtype.type(2 / error.size)
        dW_h = self.backward(p["W_h"], dy @ p["W_y"].T)
        dz = self.dgates.reshape(T * B, width)
        grads = {
            "W_h": self.hs[:T].reshape(T * B, -1).T @ dz if dW_h is None else dW_h,
            "W_x": flat.T @ dz,
            "b": dz.sum(0),
            "W_y": last.T @ dy,
            "b_y": dy.sum(0),
        }
        return float(np.mean(error * error)), grads

    def forward_lstm(self, W: Array) -> None:
        """Fill gates with f, i, o, C̃, and the states."""
        H, C = self.H, self.extra
        for t, z in enumerate(self.gates):
            z += self.hs[t] @ W
            sigmoid_in_place(z[:, : 3 * H])
            np.tanh(z[:, 3 * H :], out=z[:, 3 * H :])
            f, i, o, g = (z[:, k * H : (k + 1) * H] for k in range(4))
            np.multiply(f, C[t], out=C[t + 1])
            C[t + 1] += i * g
            np.tanh(C[t + 1], out=self.squashed[t])
            np.multiply(o, self.squashed[t], out=self.hs[t + 1])

    def backward_lstm(self, W: Array, dh: Array) -> None:
        """Fill dgates."""
        H, dC = self.H, np.zeros_like(dh)
        for t in range(len(self.gates) - 1, -1, -1):
            z, dz, tanh_C = self.gates[t], self.dgates[t], self.squashed[t]
            f, i, o, g = (z[:, k * H : (k + 1) * H] for k in range(4))
            dC += dh * o * (1 - tanh_C * tanh_C)
            dz[:, :H] = dC * self.extra[t]
            dz[:, H : 2 * H] = dC * g
            dz[:, 2 * H : 3 * H] = dh * tanh_C
            s = z[:, : 3 * H]
            dz[:, : 3 * H] *= s * (1 - s)
            np.multiply(dC * i, 1 - g * g, out=dz[:, 3 * H :])
            dC *= f
            dh = dz @ W.T

    def forward_gru(self, W: Array) -> None:
        """Fill gates with z, r, h̃, and the states."""
        H = self.H
        for t, a in enumerate(self.gates):
            h = self.hs[t]
            a[:, : 2 * H] += h @ W[:, : 2 * H]
            sigmoid_in_place(a[:, : 2 * H])
            z, r, c = (a[:, k * H : (k + 1) * H] for k in range(3))
            np.multiply(r, h, out=self.extra[t])
            c += self.extra[t] @ W[:, 2 * H :]
            np.tanh(c, out=c)
            np.subtract(c, h, out=self.hs[t + 1])
            self.hs[t + 1] *= z
            self.hs[t + 1] += h

    def backward_gru(self, W: Array, dh: Array) -> Array:
        """Fill dgates; gives the gradient of W_h, whose parts meet different states."""
        H, (T, B, _) = self.H, self.gates.shape
        for t in range(T - 1, -1, -1):
            a, da, h = self.gates[t], self.dgates[t], self.hs[t]
            z, r, c = (a[:, k * H : (k + 1) * H] for k in range(3))
            np.multiply(dh * z, 1 - c * c, out=da[:, 2 * H :])
            drh = da[:, 2 * H :] @ W[:, 2 * H :].T
            da[:, :H] = dh * (c - h)
            da[:, H : 2 * H] = drh * h
            s = a[:, : 2 * H]
            da[:, : 2 * H] *= s * (1 - s)
            dh = dh * (1 - z) + drh * r + da[:, : 2 * H] @ W[:, : 2 * H].T
        flat = self.dgates.reshape(T * B, -1)
        before, reset = (x[:T].reshape(T * B, H).T for x in (self.hs, self.extra))
        return np.concatenate([before @ flat[:, : 2 * H], reset @ flat[:, 2 * H :]], 1)

    def forward_rnn(self, W: Array) -> None:
        """Fill the states."""
        for t, z in enumerate(self.gates):
            z += self.hs[t] @ W
            np.tanh(z, out=self.hs[t + 1])

    def backward_rnn(self, W: Array, dh: Array) -> None:
        """Fill dgates."""
        for t in range(len(self.gates) - 1, -1, -1):
            h = self.hs[t + 1]
            np.multiply(dh, 1 - h * h, out=self.dgates[t])
            dh = self.dgates[t] @ W.T


def reference(case: Case) -> tuple[float, Arrays]:
    """The loss and gradients in float64."""
    bptt = Bptt(case, np.float64)
    loss, grads = bptt.step()
    return loss, unpack(grads, bptt.order)


def handwritten(case: Case, adam: bool) -> Contender:
    """The contender."""
    bptt = Bptt(case)
    if not adam:
        return Contender("hand NumPy", bptt.step, lambda r: (r[0], unpack(r[1], bptt.order)))
    m, v = ({k: np.zeros_like(p) for k, p in bptt.params.items()} for _ in range(2))
    count = 0

    def run() -> float:
        nonlocal count
        loss, grads = bptt.step()
        count += 1
        rate, scale = RATE / (1 - BETA1**count), (1 - BETA2**count) ** -0.5
        for k, g in grads.items():
            m[k] *= BETA1
            m[k] += (1 - BETA1) * g
            v[k] *= BETA2
            v[k] += (1 - BETA2) * (g * g)
            bptt.params[k] -= rate * m[k] / (np.sqrt(v[k]) * scale + EPS)
        return loss

    return Contender("hand NumPy", run, lambda loss: (loss, {}))
