"""Routes of a model's gradient, scaled and cut: against NumPy, the split, and steps by hand."""

from __future__ import annotations

from typing import Any

import cell_cases
import numpy as np
import pytest
from cell_cases import CASES, sigmoid
from numpy.testing import assert_allclose, assert_array_equal
from own_cells import Blend

import lstm
import minigrad as mg
from lstm.cells import CELLS
from lstm.errors import ConfigError
from lstm.layers import Context
from lstm.tasks import Adding
from lstm.training import Settings, fit
from lstm.training.loop import trainer_of

T, B, F, H = 6, 3, 2, 4
XS = np.random.default_rng(6).standard_normal((T, B, F))
BACKENDS = ["numpy", "native"]


def model_of(cell: Any = lstm.LSTM, **options: Any) -> Any:
    return lstm.Model.create(cell(F, H, "float64"), 2, seed=1, **options)


def gradients(model, run, backend="numpy"):
    """d (the sum of the squares of all that is put out) / d parameters, by dotted names."""
    if backend == "native":
        pytest.importorskip("llvmlite")
    loss = mg.sum(run.outputs**2) + mg.sum(run.output**2)
    found = mg.function([], mg.grad(loss, list(model.flat_params.values())), backend=backend)()
    return dict(zip(model.flat_params, found, strict=True))


def loss_in_numpy(step, state, params, readout, shares):
    """The same loss. A derivative is carried as the imaginary part, of which a step reads a share.

    shares: {part: (T,)}
    """
    loss = 0.0
    for t, x in enumerate(XS):
        entering = {
            part: value.real + 1j * shares.get(part, np.ones(T))[t] * np.imag(value)
            for part, value in state.items()
        }
        values = step(params, entering, x)
        state = {part: values[part] for part in state}
        loss = loss + (state["h"] ** 2).sum()
    return loss + ((state["h"] @ readout["W_y"] + readout["b_y"]) ** 2).sum()


def assert_numpys(model, found, step, parts, shares):
    params = {k.removeprefix("layer1."): v for k, v in model.values().items() if "layer1" in k}
    readout = {k.removeprefix("readout."): v for k, v in model.values().items() if "readout" in k}
    state = {part: np.zeros((B, H)) for part in parts}
    for name in params:
        expected = cell_cases.derivative(
            lambda p: loss_in_numpy(step, state, p, readout, shares), params, name
        )
        assert_allclose(found[f"layer1.{name}"], expected, rtol=1e-10, atol=1e-12)


def blend(p, s, x):
    both = np.concatenate([s["h"], x], 1)
    g = sigmoid(both @ p["W_g"] + p["b_g"])
    C = g * s["C"] + (1 - g) * np.tanh(both @ p["W_C"] + p["b_C"])
    return {"C": C, "h": np.tanh(C)}


OF_CELLS = [(CELLS[n], c.step, c.state, part) for n, c in CASES.items() for part in c.state]
OF_CELLS += [(Blend, blend, "hC", part) for part in "hC"]


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.0, 0.4])
@pytest.mark.parametrize(
    ("cell", "step", "parts", "part"), OF_CELLS, ids=[f"{c.name}-{p}" for c, _, _, p in OF_CELLS]
)
def test_a_share_of_what_comes_back_in_every_cell(cell, step, parts, part, share):
    model = model_of(cell)
    shares = {part: np.full(T, share)}
    for run in (model.run(XS, routes={part: share}), model.unroll(XS, routes={part: share}).run):
        assert_numpys(model, gradients(model, run), step, parts, shares)
    assert_array_equal(
        model.run(XS, routes={part: share}).output.eval(), model.run(XS).output.eval()
    )


def drawn(key, place, part, steps):
    """The numbers that decide, of [0, 1)."""
    context = Context(key=key, place=place).split("detach").split(part)
    return context.uniform((steps,)).eval()


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_route_is_cut_at_the_steps_that_are_drawn(backend):
    model, key = model_of(), mg.key(11)
    cut = drawn(key, "layer1", "h", T) < 0.5
    assert 0 < cut.sum() < T
    found = gradients(model, model.run(XS, key=key, detach={"h": 0.5}), backend)
    assert_numpys(model, found, CASES["lstm"].step, "hC", {"h": 1.0 - cut})
    both = {"routes": {"h": 0.3, "C": 0.9}, "detach": {"h": 0.5}}
    found = gradients(model, model.run(XS, key=key, **both), backend)
    shares = {"h": 0.3 * (1 - cut), "C": np.full(T, 0.9)}
    assert_numpys(model, found, CASES["lstm"].step, "hC", shares)
    plain = gradients(model, model.unroll(XS, key=key, **both).run, backend)
    for name, g in plain.items():
        assert_allclose(found[name], g, rtol=1e-12, atol=1e-15)


def test_without_a_key_nothing_is_cut_and_with_certainty_all_is():
    model = model_of()
    whole, evaluated, cut, never = (
        gradients(model, model.run(XS, **options))
        for options in (
            {},
            {"detach": {"h": 1.0}},
            {"detach": {"h": 1.0}, "key": mg.key(0)},
            {"routes": {"h": 0.0}},
        )
    )
    for name in whole:
        assert_array_equal(evaluated[name], whole[name])
        assert_allclose(cut[name], never[name], rtol=1e-13)
    assert not np.allclose(cut["layer1.W_f"], whole["layer1.W_f"])


def test_how_often_it_is_drawn_and_by_what():
    draws = {k: drawn(mg.key(k), "layer1", "h", 4000) < 0.25 for k in (0, 1)}
    for cut in draws.values():
        assert abs(cut.mean() - 0.25) < 4 * np.sqrt(0.25 * 0.75 / 4000)
    assert not np.array_equal(draws[0], draws[1])
    assert_array_equal(draws[0], drawn(mg.key(0), "layer1", "h", 4000) < 0.25)
    for place, part in (("layer2", "h"), ("layer1", "C")):  # each has draws of its own
        assert abs(np.corrcoef(draws[0], drawn(mg.key(0), place, part, 4000) < 0.25)[0, 1]) < 0.1


# --- what it is for -------------------------------------------------------------------------------


def test_with_h_detached_the_gradient_of_C_is_the_lines_part():
    """Of paths from C to a loss of the last h, those that enter a step by h are cut."""
    model = model_of()
    plain, detached = model.unroll(XS), model.unroll(XS, routes={"h": 0.0})
    adjoints = mg.adjoints(mg.sum(plain.output**2))
    cut = mg.adjoints(mg.sum(detached.output**2))
    hs = [state.h for state in plain.states[1:-1]]
    parts = adjoints.splits([state.C for state in plain.states[1:]], through=hs)
    for before, after in zip(plain.states[1:], detached.states[1:], strict=True):
        line = parts[before.C][1]
        found, expected, all_of_it = mg.eval([cut[after.C], line, adjoints[before.C]])
        assert_allclose(found, expected, rtol=1e-13)
        if before is plain.states[1]:
            assert np.abs(all_of_it - expected).max() > 1e-3 * np.abs(expected).max()
    for state in detached.states[1:-1]:
        assert state.h not in cut  # not connected, rather than a gradient of 0


def test_in_a_loop_rerouting_h_leaves_the_lines_part():
    """The same of 60 steps, none written out: the cut, the split, and reroute are one."""
    cell, entering = lstm.LSTM(F, H, "float64"), []
    params = {name: mg.const(value) for name, value in cell.init(3).items()}
    xs = np.random.default_rng(2).standard_normal((60, B, F))

    def loss(share):
        def step(state, x):
            entering.append(state.h)
            state = state._replace(h=mg.scale_gradient(state.h, share))
            values = cell.compute(params, state, x)
            values["C"].named("C")
            return cell.state_of(values), None

        return mg.sum(mg.scan(step, cell.initial_state(B), xs)[0].h ** 2)

    whole, cut = loss(1), loss(0)
    adj = mg.adjoints(whole)
    by_h, line = adj.split("C", through=[entering[0]])
    rerouted = mg.adjoints(mg.reroute(whole, {entering[0]: 0}))["C"]
    by_h, line, rerouted, found = mg.eval([by_h, line, rerouted, mg.adjoints(cut)["C"]])
    assert found.shape == (60, B, H)
    assert_allclose(found, line, rtol=1e-13)
    assert_allclose(rerouted, line, rtol=1e-13)
    assert np.abs(by_h[0]).max() > 1e-3 * np.abs(line[0]).max() > 0


def lstm_by_hand(p, xs, target_slope):
    """d loss / d W_f with h detached, back through the steps, and ∂L/∂C_t: by the textbook."""
    h = C = np.zeros((B, H))
    tape = []
    for x in xs:
        z = np.concatenate([h, x], 1)
        f, i, o = (sigmoid(z @ p[f"W_{w}"] + p[f"b_{w}"]) for w in "fio")
        c = np.tanh(z @ p["W_C"] + p["b_C"])
        before, C = C, f * C + i * c
        h = o * np.tanh(C)
        tape.append((z, f, i, o, c, before, C))
    dW, dC = np.zeros_like(p["W_f"]), np.zeros((B, H))
    dh, slopes = target_slope(h), []
    for z, f, _, o, _, before, C in reversed(tape):
        dC = dC + dh * o * (1 - np.tanh(C) ** 2)
        slopes.append(dC)
        dW += z.T @ (dC * before * f * (1 - f))
        dC, dh = dC * f, 0.0  # of the gates nothing goes on to the h before
    return dW, slopes[::-1]


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_hand_written_back_propagation_gives_the_same(backend):
    if backend == "native":
        pytest.importorskip("llvmlite")
    model = model_of()
    p = {k.removeprefix("layer1."): v for k, v in model.values().items()}
    W, b = p["readout.W_y"], p["readout.b_y"]
    dW, slopes = lstm_by_hand(p, XS, lambda h: 2 * (h @ W + b) @ W.T)
    loss = mg.sum(model.output(XS, routes={"h": 0.0}) ** 2)
    g = mg.grad(loss, model.params["layer1"]["W_f"])
    assert_allclose(mg.function([], g, backend=backend)(), dW, rtol=1e-12)
    plain = model.unroll(XS, routes={"h": 0.0})
    adjoints = mg.adjoints(mg.sum(plain.output**2))
    found = mg.eval([adjoints[state.C] for state in plain.states[1:]])
    assert_allclose(found, slopes, rtol=1e-12)


# --- layers, padding ------------------------------------------------------------------------------


def test_the_steps_of_padding_are_none():
    """What comes back is scaled as often as there are steps, however long the padding."""
    model = model_of()
    padded = np.concatenate([XS, np.full((4, B, F), np.nan)])
    for options in ({"routes": {"h": 0.3, "C": 0.5}}, {"routes": {"h": 0.0}}):
        short = gradients(model, model.run(XS, **options))
        found = gradients(model, model.run(padded, lengths=[T] * B, **options))
        for name, g in short.items():
            assert_allclose(found[name], g, rtol=1e-12, atol=1e-15)


def test_a_route_of_one_layer_and_of_all():
    model = model_of(layers=2, bidirectional=True)
    names = ["layer1.forward.h", "layer1.backward.h", "layer2.forward.h", "layer2.backward.h"]
    whole, one, others, each, all_of_them = (
        gradients(model, model.run(XS, routes=routes))
        for routes in (
            {},
            {names[0]: 0.2},
            {"h": 0.2, names[0]: 1.0},
            dict.fromkeys(names, 0.2),
            {"h": 0.2},
        )
    )
    for name in whole:
        assert_array_equal(each[name], all_of_them[name])
        changes = name.startswith("layer1.forward")
        assert np.array_equal(one[name], whole[name]) != changes
        if not changes:
            assert_array_equal(others[name], all_of_them[name])
    assert not np.allclose(others["layer1.forward.W_f"], all_of_them["layer1.forward.W_f"])


def test_with_zoneout_and_dropout_run_and_unrolled_are_one():
    model = model_of(recurrent_dropout=0.3, zoneout=0.2)
    options = {"key": mg.key(2), "routes": {"C": 0.5}, "detach": {"h": 0.4}, "lengths": [6, 2, 4]}
    loop, plain = model.run(XS, **options), model.unroll(XS, **options).run
    found, expected = gradients(model, loop), gradients(model, plain)
    for name, g in expected.items():
        assert_allclose(found[name], g, rtol=1e-11, atol=1e-14)


# --- training -------------------------------------------------------------------------------------

TASK = Adding(length=6)


def small(**options):
    return lstm.Model.create(lstm.LSTM, task=TASK, hidden_size=4, seed=0, **options)


def test_a_training_step_takes_the_gradient_that_is_left():
    settings = Settings(optimizer="sgd", schedule="constant", rate=0.5, clip=None, batch=B,
                        routes={"h": 0.0})  # fmt: skip
    model = small()
    before, trainer = model.values(), trainer_of(model, TASK, settings)
    batch = TASK.batch(np.random.default_rng(0), B)
    loss = TASK.loss(model.output(batch.xs, routes={"h": 0.0}), mg.const(batch.ys))
    expected = mg.eval(mg.grad(loss, list(model.flat_params.values())))
    trainer.step(*batch)
    for (name, p), g in zip(model.flat_params.items(), expected, strict=True):
        assert_allclose(p.value, before[name] - 0.5 * g, rtol=1e-5, atol=1e-7)


def test_detaching_resumes_bit_for_bit(tmp_path):
    settings = Settings(steps=24, batch=4, routes={"C": 0.9}, detach={"h": 0.5})
    path = tmp_path / "c"
    whole = fit(small(), TASK, settings, validate=0)
    first = fit(small(), TASK, settings, validate=0, out=path, callback=lambda p: p.step == 11)
    rest = fit(small(), TASK, out=path, resume=True)
    assert first.reports + rest.reports == whole.reports
    for name, value in whole.model.values().items():
        assert_array_equal(rest.model.values()[name], value)
    plain = fit(small(), TASK, Settings(steps=24, batch=4, routes={"C": 0.9}), validate=0)
    assert plain.reports[0].loss == whole.reports[0].loss  # values stay
    assert plain.reports[0].grad_norm != whole.reports[0].grad_norm


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"routes": {"c": 0.0}}, r"no state has a part 'c'; there are h, C, of one layer layer1.h"),
        ({"detach": {"layer2.h": 0.5}}, r"no state has a part 'layer2.h'.*mean layer1.h"),
        ({"routes": 0.5}, r"routes gives a number for parts of the state, such as {\"h\": 0.5}"),
        ({"routes": {0: 0.5}}, "routes gives a number for parts"),
        ({"routes": {"h": "much"}}, "routes of 'h' must be a finite number, not 'much'"),
        ({"routes": {"h": np.nan}}, "routes of 'h' must be a finite number"),
        ({"detach": {"h": 1.5}}, "detach of 'h' must be a number of at least 0 and of at most 1"),
        ({"detach": {"h": -0.1}}, "detach of 'h' must be a number of at least 0"),
    ],
)
def test_what_is_no_route(options, message):
    with pytest.raises(ConfigError, match=message):
        model_of().run(XS, **options)
    if "part" not in message or "gives" in message:
        with pytest.raises(ConfigError, match=message):
            Settings(**options)


def test_the_command_takes_both(tmp_path, capsys):
    from lstm.cli import main
    from lstm.store.checkpoint import read_checkpoint

    out = tmp_path / "m.safetensors"
    quick = ["train", "adding", "--length", "5", "--steps", "2", "--out", str(out)]
    assert main([*quick, "--routes", "h=0.5,C=1", "--detach", "h=0.25"]) == 0
    settings = read_checkpoint(tmp_path / "m.checkpoint.safetensors").about["settings"]
    assert settings["routes"] == {"h": 0.5, "C": 1.0}
    assert settings["detach"] == {"h": 0.25}
    capsys.readouterr()
    for wrong, message in {
        "h": "'h' is no name and number, as in h=0.5",
        "=1": "'=1' is no name and number",
        "h=much": "'h=much' is no name and number",
        "z=1": "no state has a part 'z'; there are h, C",
    }.items():
        assert main([*quick, "--force", "--routes", wrong]) == 2
        assert message in capsys.readouterr().err
