"""Attention and decoders against loops in NumPy, one sequence at a time."""

from __future__ import annotations

from typing import Any

import cell_cases
import numpy as np
import pytest
from numpy.typing import NDArray

import lstm
import minigrad as mg
from lstm.errors import ConfigError
from lstm.params import map_leaves, unflatten

Array = NDArray[Any]
S, B, A, Q, N = 5, 3, 4, 4, 6  # annotations, sequences, and the sizes of what is looked at
EXACT = {"rtol": 1e-12, "atol": 1e-13}
KINDS = {
    "dot": lstm.DotAttention(Q, A, dtype="float64"),
    "scaled": lstm.DotAttention(Q, A, scaled=True, dtype="float64"),
    "general": lstm.GeneralAttention(Q, A, dtype="float64"),
    "additive": lstm.AdditiveAttention(Q, A, units=N, dtype="float64"),
}
SCORES: dict[str, Any] = {
    "dot": lambda p, q, a: q @ a,
    "scaled": lambda p, q, a: q @ a / 2,  # √Q
    "general": lambda p, q, a: q @ p["W_a"] @ a,
    "additive": lambda p, q, a: np.tanh(q @ p["W_a"] + a @ p["U_a"]) @ p["v_a"],
}


def drawn(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape)


def looked(kind: str, params: Any, query: Array, annotations: Array) -> tuple[Array, Array]:
    """Context and weights of one query (Q,) and annotations (S, A)."""
    scores = np.array([SCORES[kind](params, query, a) for a in annotations])
    weights = np.exp(scores - scores.max())
    weights /= weights.sum()
    return weights @ annotations, weights


@pytest.mark.parametrize("kind", KINDS)
def test_a_look_is_the_softmax_of_its_scores(kind):
    layer = KINDS[kind]
    params = layer.init(np.random.default_rng(1))
    query, annotations = drawn(B, Q), drawn(S, B, A, seed=2)
    glimpse = layer.look(map_leaves(lambda _, x: mg.const(x), params), query, mg.const(annotations))
    for b in range(B):
        context, weights = looked(kind, params, query[b], annotations[:, b])
        np.testing.assert_allclose(glimpse.context.eval()[b], context, **EXACT)
        np.testing.assert_allclose(glimpse.weights.eval()[b], weights, **EXACT)


@pytest.mark.parametrize("kind", KINDS)
def test_padding_has_no_part_be_it_nan(kind):
    layer, lengths = KINDS[kind], [5, 2, 0]
    params = {k: mg.param(k, x) for k, x in layer.init(np.random.default_rng(1)).items()}
    query, inside = mg.var("q", (B, Q)), np.arange(S)[:, None] < lengths
    annotations = mg.param("a", np.where(inside[..., None], drawn(S, B, A, seed=2), np.nan))
    context, weights = layer.look(params, query, annotations, mg.const(inside))
    grads = mg.grad(mg.sum(context**2), [query, annotations, *params.values()])
    f = mg.function([query], {"context": context, "weights": weights, "grads": grads})
    got = f(drawn(B, Q))
    values = {k: p.value for k, p in params.items()}
    for b, n in enumerate(lengths[:2]):
        shorter = annotations.value[:n, b]
        expected, shares = looked(kind, values, drawn(B, Q)[b], shorter)
        np.testing.assert_allclose(got["context"][b], expected, **EXACT)
        np.testing.assert_allclose(got["weights"][b, :n], shares, **EXACT)
    np.testing.assert_array_equal(got["weights"][~inside.T], 0)
    np.testing.assert_array_equal(got["context"][2], 0)  # nothing is there to be read
    assert all(np.isfinite(g).all() for g in got["grads"])
    np.testing.assert_array_equal(got["grads"][1][~inside], 0)


@pytest.mark.parametrize("kind", KINDS)
def test_derivatives(kind):
    layer = KINDS[kind]
    params = {k: mg.param(k, x) for k, x in layer.init(np.random.default_rng(1)).items()}
    query, annotations = mg.param("q", drawn(B, Q)), mg.param("a", drawn(S, B, A, seed=2))
    mask = mg.const(np.arange(S)[:, None] < [5, 2, 3])
    y = mg.sum(mg.sin(layer.look(params, query, annotations, mask).context))
    mg.check_grad(y, [query, annotations, *params.values()])


def test_large_scores_neither_overflow_nor_vanish():
    annotations = np.array([[[1.0, 0.0]], [[0.0, 1.0]], [[0.0, 0.999]]])
    layer, query = lstm.DotAttention(2, 2), mg.param("q", [[0.0, 1e4]])
    context, weights = layer.look({}, query, mg.const(annotations))
    np.testing.assert_allclose(weights.eval()[0], [0, 1 / (1 + np.exp(-10)), 1 / (1 + np.exp(10))])
    assert np.isfinite(mg.grad(mg.sum(context), query).eval()).all()


@pytest.mark.parametrize("kind", KINDS)
def test_self_attention_is_a_look_from_every_step(kind):
    layer, xs, lengths = KINDS[kind], drawn(S, B, A), [5, 2, 3]
    inside = mg.const(np.arange(S)[:, None] < lengths)
    params = layer.init(np.random.default_rng(1))
    steps = lstm.Steps.of(mg.const(xs), inside)
    leaves = map_leaves(lambda _, x: mg.const(x), params)
    got, _ = layer.run(leaves, steps, {}, lstm.Context(inside))
    each, end = got.each.eval(), got.end.eval()
    for b, n in enumerate(lengths):
        for s in range(n):
            context, _ = looked(kind, params, xs[s, b], xs[:n, b])
            np.testing.assert_allclose(each[s, b], context, **EXACT)
        np.testing.assert_allclose(end[b], each[n - 1, b], **EXACT)


def test_self_attention_in_a_stack_is_saved_and_written_out(tmp_path):
    cell, layer = lstm.GRU(2, 3), lstm.AdditiveAttention(3, 3, units=2)
    stack = lstm.Stack({"layer1": lstm.Recurrent(cell), "attention": layer})
    rng = np.random.default_rng(0)
    readout = lstm.Readout(3, 1)
    model = lstm.Model.of(stack, readout, stack.init(rng) | {"readout": readout.init(rng)})
    xs = drawn(4, 2, 2).astype("float32")
    output = model.output(xs).eval()
    model.save(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(
        lstm.Model.load(tmp_path / "m.safetensors").output(xs).eval(), output
    )
    np.testing.assert_allclose(model.unroll(xs).output.eval(), output, rtol=1e-6)


# --- decoders -----------------------------------------------------------------------------------

CELLS = ["rnn", "lstm", "gru"]
O, U = 4, 6  # noqa: E741


def model_of(cell: str, attention: str | None, hidden: int = 4, both: bool = False) -> lstm.Model:
    """One whose every parameter is random, so that nothing cancels."""
    encoder = lstm.CELLS[cell](hidden - 1, hidden, "float64")
    made = lstm.layers.usual.usual_stack(encoder, vocabulary=5, bidirectional=both)
    readout = lstm.layers.usual.usual_readout(made, encoder, O, "decoder", attention, steps=U)
    rng = np.random.default_rng(0)
    values = made.init(rng) | {"readout": readout.init(rng)}
    return lstm.Model.of(
        made, readout, map_leaves(lambda _, x: rng.standard_normal(x.shape), values)
    )


def decoded(model: lstm.Model, cell: str, kind: str | None, hs: Array, targets: Any) -> Any:
    """Outputs (U, O) and weights (U, S) of the annotations (S, F) of one sequence."""
    params, case = unflatten(model.values())["readout"], cell_cases.CASES[cell]
    start, end = params["start"], np.concatenate([hs[-1:, :4], hs[:1, 4:]], axis=1)  # of both ways
    state = {p: np.tanh(end @ start[f"W_{p}"] + start[f"b_{p}"]) for p in case.state}
    token, outputs, shares = O, [], []
    for u in range(U):
        read, context = params["E"][token], np.zeros(0)
        if kind is not None:
            context, weights = looked(kind, params.get("attention"), state["h"][0], hs)
            shares.append(weights)
        values = case.step(params["cell"], state, np.concatenate([read, context])[None])
        state = {part: values[part] for part in case.state}
        seen = np.concatenate([state["h"][0], context])
        outputs.append(seen @ params["W_y"] + params["b_y"])
        token = int(outputs[-1].argmax()) if targets is None else max(int(targets[u]), 0)
    return np.array(outputs), np.array(shares)


CHOICES = [(cell, None, False) for cell in CELLS] + [("gru", "additive", True)]
CHOICES += [("lstm", kind, False) for kind in ("dot", "general", "additive")]


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize(("cell", "attention", "both"), CHOICES)
def test_a_decoder_is_its_equations_in_numpy(cell, attention, both, told):
    model, lengths = model_of(cell, attention, both=both), np.array([5, 1, 3])
    rng = np.random.default_rng(3)
    xs = np.where(np.arange(S)[:, None] < lengths, rng.integers(0, 5, (S, B)), 999)
    targets = np.where(np.arange(U)[:, None] < [6, 2, 4], rng.integers(0, O, (U, B)), -1)
    run = model.run(xs, lengths=lengths, targets=targets if told else None)
    values = mg.function([], [run.output, run.outputs, *([run.attention] if attention else [])])
    output, hs, *weights = values()
    for b, n in enumerate(lengths):
        said = targets[:, b] if told else None
        expected, shares = decoded(model, cell, attention, hs[:n, b], said)
        np.testing.assert_allclose(output[:, b], expected, **EXACT)
        if attention:
            np.testing.assert_allclose(weights[0][:, b, :n], shares, **EXACT)
            assert (weights[0][:, b, n:] == 0).all()


@pytest.mark.parametrize("attention", [None, "additive"])
def test_gradients_of_a_decoder(attention):
    model = model_of("rnn", attention, hidden=2, both=True)
    xs, targets = np.array([[1, 4], [2, 999]]), np.array([[0, 3], [2, -1]])
    run = model.run(xs, lengths=[2, 1], targets=targets)
    loss = lstm.cross_entropy(run.output, targets, ignore_index=-1)
    mg.check_grad(loss, list(model.flat_params.values()))


def test_written_out_it_is_the_same():
    model, xs = model_of("lstm", "additive"), np.array([[1, 4], [2, 3]])
    targets = np.array([[0, 3], [2, -1]])
    for told in ({}, {"targets": targets}):
        run = model.run(xs, **told)
        tape = lstm.layers.Tape({}, short=True)
        plain = model.run(xs, tape=tape, **told)
        assert not any(node.op.name == "scan" for node in mg.toposort(plain.output))
        np.testing.assert_allclose(plain.output.eval(), run.output.eval(), **EXACT)
        np.testing.assert_allclose(plain.attention.eval(), run.attention.eval(), **EXACT)


def test_a_model_with_a_decoder_is_saved_and_copied(tmp_path):
    for attention in (None, "dot", "general", "additive"):
        model, path = model_of("lstm", attention), tmp_path / f"{attention}.safetensors"
        model.save(path)
        again = lstm.Model.load(path)
        assert again.readout == model.readout
        xs = np.array([[1, 4], [2, 3]])
        np.testing.assert_array_equal(again.output(xs).eval(), model.output(xs).eval())
        assert model.with_dtype("float32").output(xs).dtype == "float32"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: lstm.DotAttention(3, 4), "GeneralAttention takes any"),
        (lambda: lstm.AdditiveAttention(3, 4, units=0), "units must be a whole number"),
        (
            lambda: lstm.Decoder(4, 2, cell=lstm.GRU(3, 5), steps=0),
            "steps must be a whole number of at least 1",
        ),
        (
            lambda: lstm.Decoder(
                4, 2, cell=lstm.GRU(9, 5), attention=lstm.AdditiveAttention(4, 4), steps=3
            ),
            "queries of 5 units and annotations of 4, but its attention is of 4 and 4",
        ),
        (
            lambda: lstm.Decoder(
                4, 2, cell=lstm.GRU(4, 5), attention=lstm.AdditiveAttention(5, 4), steps=3
            ),
            "what a decoder's cell reads of a token must be a whole number of at least 1",
        ),
        (
            lambda: lstm.Decoder(4, 2, cell=lstm.GRU(4, 5, "float64"), steps=3),
            "a decoder of float32 has parts of float64",
        ),
        (
            lambda: lstm.Model.create(lstm.GRU(2, 3), 2, readout="decoder"),
            "a decoder needs a task=",
        ),
        (
            lambda: lstm.Model.create(
                lstm.GRU, task=lstm.make_task("reverse"), attention="adition"
            ),
            "dot, general, additive, hard, not 'adition'; did you mean additive",
        ),
        (
            lambda: lstm.Model.create(lstm.GRU, task=lstm.Adding(), attention="dot"),
            "attention= is of a decoder, and this readout reads 'last'",
        ),
        (
            lambda: lstm.Model.create(lstm.GRU, task=lstm.Adding()).run(
                np.zeros((3, 2, 2)), targets=np.zeros((3, 2), int)
            ),
            "takes none",
        ),
        (
            lambda: model_of("gru", None).run([[1, 2]], targets=[[1, 4]]),
            r"target 4 at \[0, 1\] is out of range: from 0 to 3",
        ),
        (
            lambda: model_of("gru", None).run([[1, 2]], targets=[[1, 2, 3]]),
            r"integers \(U, B\), here \(U, 2\), not",
        ),
    ],
)
def test_what_cannot_be_is_said(make, message):
    with pytest.raises(ConfigError, match=message):
        make()
