"""A cell of your own: its equations are all it takes to train it, save it and look inside it.

Collins, Sohl-Dickstein & Sussillo, "Capacity and trainability in recurrent neural networks", 2017:
the update gate RNN, with one gate and one line. Run it with `python examples/own_cell.py`.
"""

import tempfile
from pathlib import Path

import lstm
import minigrad as mg


class UpdateGateRNN(lstm.Cell):
    name = "ugrnn"
    weights = "gc"  # for each letter a matrix W_g (H + I, H) and a bias b_g (H,)
    state_type = lstm.RNNState  # what is carried: h

    def equations(self, params, state, x):
        hx = mg.concat([state.h, x], -1)
        c = mg.tanh(hx @ params["W_c"] + params["b_c"])
        g = mg.sigmoid(hx @ params["W_g"] + params["b_g"] + 3.0)  # open at first
        h = g * state.h + (1.0 - g) * c
        return {"c": c, "g": g, "h": h}


task = lstm.Adding(length=20)
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
