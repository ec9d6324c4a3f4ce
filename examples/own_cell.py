"""A cell of your own: its equations are all it takes to train it, save it and look inside it.

They are a plain step function, or a class where there is more to say than equations.

Collins, Sohl-Dickstein & Sussillo, "Capacity and trainability in recurrent neural networks", 2017:
the update gate RNN, with one gate and one line. Run it with `python examples/own_cell.py`.
"""

import tempfile
from pathlib import Path

import numpy as np

import lstm
import minigrad as mg


def ugrnn(p, h, x):  # W_… is (H + I, H) and b_… (H,); what is between p and x is carried
    hx = mg.concat([h, x], -1)
    c = mg.tanh(hx @ p["W_c"] + p["b_c"])
    g = mg.sigmoid(hx @ p["W_g"] + p["b_g"] + 3.0)  # open at first
    return {"c": c, "g": g, "h": g * h + (1.0 - g) * c}


class UpdateGateRNN(lstm.Cell):
    name = "ugrnn"
    weights = "gc"  # for each letter a matrix W_g (H + I, H) and a bias b_g (H,)
    state_type = lstm.RNNState  # what is carried: h
    gates = (lstm.Gate("g", "update gate", one="keeps h", zero="takes the candidate"),)

    def equations(self, params, state, x):
        hx = mg.concat([state.h, x], -1)
        c = mg.tanh(hx @ params["W_c"] + params["b_c"])
        g = mg.sigmoid(hx @ params["W_g"] + params["b_g"] + 3.0)
        h = g * state.h + (1.0 - g) * c
        return {"c": c, "g": g, "h": h}


task = lstm.Adding(length=20)
batch = task.batch(np.random.default_rng(0), 32)
print(lstm.flow(lstm.Model.create(ugrnn, task=task), *batch))  # its line is found: h, kept by g

cell = UpdateGateRNN(task.input_size, hidden_size=16)
for symbol, formula in cell.formulas().items():
    print(f"{symbol} = {formula}")

model = lstm.Model.create(cell, task=task)
fitted = lstm.fit(model, task, lstm.Settings(steps=300))
print(fitted)

with tempfile.TemporaryDirectory() as folder:
    path = Path(folder, "ugrnn.safetensors")
    fitted.best.save(path)
    print(lstm.Model.load(path, own=UpdateGateRNN))  # no code is taken from a file
