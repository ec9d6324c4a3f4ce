"""One step of an LSTM, as the textbook has it: each equation, its value, and its derivative.

Run it with `python examples/02_lstm_step_by_step.py`.
"""

import numpy as np

import lstm
import minigrad as mg

# A cell with one input and one unit, so that every value is one number.
cell = lstm.LSTM(input_size=1, hidden_size=1, dtype="float64")
params = {name: mg.param(name, value) for name, value in cell.init(seed=0).items()}

# The state before the step and the input are variables: the equations stay open.
h_prev, C_prev = mg.var("h₀", (1, 1)), mg.var("C₀", (1, 1))
x = mg.var("x₁", (1, 1))
before = lstm.LSTMState(h_prev, C_prev)

# `equations` gives every value of the step by its symbol, in the textbook's order.
values = cell.equations(params, before, x)
for symbol, value in values.items():
    value.named(f"{symbol}₁")

at = {h_prev: [[0.1]], C_prev: [[0.8]], x: [[0.5]]}
print("A step forward")
for symbol, value in values.items():
    print(f"  {symbol}₁ = {value.eval(at).item():+.4f}")

# The same by hand, from the same numbers.
W = {name: p.value for name, p in params.items()}
hx = np.array([[0.1, 0.5]])
f, i, o = (1 / (1 + np.exp(-(hx @ W[f"W_{g}"] + W[f"b_{g}"]))) for g in "fio")
C = f * 0.8 + i * np.tanh(hx @ W["W_C"] + W["b_C"])
h = o * np.tanh(C)
assert np.allclose(values["C"].eval(at), C)
assert np.allclose(values["h"].eval(at), h)
print(f"\nBy hand: C₁ = {C.item():+.4f}, h₁ = {h.item():+.4f}")

# Along the cell line a gradient is multiplied by the forget gate, and by nothing else.
slope = mg.grad(mg.sum(values["C"]), C_prev)
print(f"\n∂C₁/∂C₀ = {mg.to_str(slope)}")
print(f"        = {slope.eval(at).item():.4f}, and f₁ = {values['f'].eval(at).item():.4f}")

# Two steps: C₁ reaches C₂ along the line, and through h₁ and the gates of the second step.
x_next = mg.var("x₂", (1, 1))
second = cell.step(params, cell.step(params, before, x), x_next)
adjoints = mg.adjoints(mg.sum(second.C))
C_1, h_1 = values["C"], values["h"]
through, along = adjoints.split(C_1, through=[h_1])
at[x_next] = [[-0.3]]
print("\n∂C₂/∂C₁, in parts")
print(f"  along the cell line    {along.eval(at).item():+.4f}")
print(f"  through h₁ and gates   {through.eval(at).item():+.4f}")
print(f"  together               {adjoints[C_1].eval(at).item():+.4f}")
