"""The arrays of a flow beside the unrolled graph, `grad`, rerouted graphs and differences."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest
from written_flows import Stated, Written, close

import lstm
import minigrad as mg

pytestmark = pytest.mark.usefixtures("by_numpy")

T, B, H = 5, 3, 4
LENGTHS = [5, 2, 4]
CASES: dict[str, Stated] = {
    "rnn": (lstm.RNN, {}, {}),
    "lstm": (lstm.LSTM, {}, {}),
    "gru": (lstm.GRU, {}, {}),
    "peephole, padded": (lstm.PeepholeLSTM, {}, {"lengths": LENGTHS}),
    "layer 1 of 2, backward, padded": (
        lstm.LSTM,
        {"layers": 2, "bidirectional": True},
        {"layer": 1, "direction": "backward", "lengths": LENGTHS},
    ),
    "zoneout": (lstm.LSTM, {"zoneout": 0.2}, {}),
    "every step": (lstm.GRU, {"readout": "every"}, {}),
}
each = pytest.mark.parametrize("case", CASES)


class Case(Written):
    def __init__(self, name: str) -> None:
        super().__init__(CASES[name], (T, B, H), seed=3)
        self.written, self.loss = self.written_out()
        self.adjoints = mg.adjoints(self.loss)
        self.counts = np.arange(T)[:, None] < self.given.get("lengths", [T] * B)
        if self.given.get("direction") == "backward":
            self.counts = self.counts[::-1]


@lru_cache
def made(name: str) -> Case:
    return Case(name)


@each
def test_values_and_adjoints_are_those_of_the_unrolled_graph(case: str) -> None:
    it = made(case)
    for part, adjoints in it.flow.adjoints.items():
        nodes = [getattr(state, part) for state in it.written.made]
        expected = np.stack(mg.eval([it.adjoints[node] for node in nodes]))
        close(adjoints, expected)
    for symbol in it.written.values[0]:
        close(it.flow.values[symbol], np.stack(mg.eval([v[symbol] for v in it.written.values])))


@each
def test_the_terms_of_a_fan_in_sum_to_the_adjoint_and_are_those_of_its_edges(case: str) -> None:
    it = made(case)
    for part, fan in it.flow.edges.items():
        close(sum(fan.values()), it.flow.adjoints[part])
    if case != "lstm":
        return
    for t in range(T - 1):  # C is read by tanh, and by f · C of the step after
        cell, after = it.written.states[t + 1].C, it.written.values[t + 1]
        shows = it.adjoints.edge(mg.tanh(cell), 0)
        keeps = it.adjoints.edge(after["f"] * cell, 1)
        close(it.flow.edges["C"]["h"][t], shows.eval())
        close(it.flow.edges["C"]["C"][t], keeps.eval())
        gate = mg.vjp(after["f"], it.written.states[t + 1].h, it.adjoints[after["f"]])
        close(it.flow.edges["h"]["f"][t], gate.eval())
    readout = it.flow.edges["h"]["y"]
    close(readout[-1], it.flow.adjoints["h"][-1])
    assert not readout[:-1].any()


@each
def test_cancellation_is_of_these_terms(case: str) -> None:
    it = made(case)
    for part, fan in it.flow.edges.items():
        for t in range(T):
            sizes = sum(np.linalg.norm(term[t]) for term in fan.values())
            whole = np.linalg.norm(sum(term[t] for term in fan.values()))
            share = whole / sizes if sizes else np.nan
            assert it.flow.cancellation[part][t] == pytest.approx(share, rel=1e-9, nan_ok=True)
    close(it.flow.main_cancellation, it.flow.cancellation[it.flow.main.symbol])


@pytest.mark.parametrize("case", [name for name in CASES if name != "rnn"])
def test_the_parts_of_the_line(case: str) -> None:
    """Around never is a difference: it is what the factors carry on of what is off the line."""
    it = made(case)
    line, around, factor = it.flow.line, it.flow.around, it.flow.factor
    assert line is not None and around is not None and factor is not None
    whole = it.flow.adjoints[it.flow.main.symbol]
    close(line + around, whole)
    for b in range(B):
        here = np.flatnonzero(it.counts[:, b])
        last = here[-1]
        assert not around[last, b].any()
        close(line[last, b], whole[last, b])
        start = last
        if case == "zoneout":  # the last C is mixed for nobody
            start = last - 1
        entered = it.flow.entered[:, b].copy()
        entered[start] = line[start, b]
        for t in here[here < start]:
            ways = {s: factor[t + 1 : s + 1, b].prod(axis=0) for s in here if t <= s <= start}
            close(line[t, b], sum(entered[s] * way for s, way in ways.items()))
        assert not line[~it.counts[:, b], b].any() and not around[~it.counts[:, b], b].any()


@each
def test_waterfalls_sum_to_what_came_by_their_routes(case: str) -> None:
    it = made(case)
    falls = it.flow.waterfalls
    for fall in falls.values():
        assert fall.decades.shape == (T - 1, len(fall.links))
    if it.flow.line is not None:
        along = np.zeros_like(it.flow.line)  # of what there was at the end of each sequence
        for b in range(B):
            here = np.flatnonzero(it.counts[:, b])[: -1 if case == "zoneout" else None]
            for t in here:
                way = it.flow.factor[t + 1 : here[-1] + 1, b].prod(axis=0)
                along[t, b] = it.flow.line[here[-1], b] * way
        norms = np.log10([np.linalg.norm(step) for step in along[:-1]])
        assert falls["line"].end == pytest.approx(norms[0], abs=1e-10)
        sums = np.cumsum(falls["line"].decades.sum(axis=1)[::-1])[::-1]
        if case != "zoneout":
            close(falls["line"].start + sums, norms)
    else:  # one way only: it is the whole
        (fall,) = falls.values()
        assert fall.links == ("tanh′", "W_h")
        assert fall.end == pytest.approx(np.log10(it.flow.series["h"].first), abs=1e-10)


def test_each_link_of_a_waterfall_is_its_derivative() -> None:
    """h ← o ← h: the cotangent times tanh C, times σ′ of o, times the rows of W_o that read h."""
    it = made("lstm")
    fall = it.flow.waterfalls["o"]
    assert fall.links == ("tanh(C)", "σ′", "W_o") and fall.part == "h"
    weights = it.model.params["layer1"]["W_o"].value[:H]
    running = it.flow.adjoints["h"][-1]
    assert fall.start == pytest.approx(np.log10(np.linalg.norm(running)))
    for t in range(T - 1, 0, -1):
        o, cell = it.flow.values["o"][t], it.flow.values["C"][t]
        shown = running * np.tanh(cell)
        slope = shown * o * (1 - o)
        back = slope @ weights.T
        sizes = [np.linalg.norm(v) for v in (running, shown, slope, back)]
        close(fall.decades[t - 1], np.diff(np.log10(sizes)))
        running = back


def test_the_waterfall_is_that_of_the_route_by_which_most_comes() -> None:
    it = made("lstm")
    assert it.flow.waterfall.end == max(fall.end for fall in it.flow.waterfalls.values())


CUTS = {
    "rnn": ["h"],
    "lstm": ["h", "C", "h → f", "h → i", "h → C̃", "h → o"],
    "gru": ["h → z", "h → r", "all → h̃"],
    "layer 1 of 2, backward, padded": ["h", "C", "h → f", "h → i", "h → C̃", "h → o"],
}


@pytest.mark.parametrize("case", CUTS)
def test_knockouts_are_the_gradients_of_rerouted_graphs(case: str) -> None:
    """The unrolled graph, with what comes back through each value, or to each state, cut."""
    it = made(case)
    symbol = it.flow.main.symbol
    found = {k.route: k for k in it.flow.knockouts(at=1)}
    assert set(CUTS[case]) <= set(found)
    assert case != "gru" or {"h", "h → h", "h → h̃"} <= set(found)
    assert not {*found} & ({*it.flow.values} - {*it.flow.adjoints})  # a value alone is a factor
    before = it.flow.adjoints[symbol][0]
    for route in CUTS[case]:
        if route in it.flow.adjoints:  # what each step reads of the state before
            written, loss = it.written_out(routes={f"{it.place}.{route}": 0.0})
        else:
            cuts = {step[route.rpartition(" ")[2]]: 0.0 for step in it.written.values[1:]}
            written, loss = it.written, mg.reroute(it.loss, cuts)
        cut = mg.adjoints(loss)[getattr(written.made[0], symbol)].eval()
        assert found[route].left == pytest.approx(np.linalg.norm(cut), rel=1e-9, abs=1e-14)
        change = np.linalg.norm(cut - before)
        assert found[route].change == pytest.approx(change, rel=1e-9, abs=1e-12)
        assert found[route].share == pytest.approx(change / np.linalg.norm(before), rel=1e-9)
    changes = [k.change for k in it.flow.knockouts(at=1)]
    assert changes == sorted(changes, reverse=True)
    with pytest.raises(lstm.ConfigError, match="at= is a step, 1 to 5"):
        it.flow.knockouts(at=6)


# A layer that reads backward has read another sequence where one is cut at t.
@pytest.mark.parametrize("case", [case for case in CASES if "backward" not in case])
def test_itemised_gradients_are_those_of_each_loss(case: str) -> None:
    it = made(case)
    table, symbol = it.flow.itemised, it.flow.main.symbol
    assert table.rows == table.columns == tuple((t, t) for t in range(1, T + 1))
    close(table.low, table.high)
    every = np.ndim(it.ys) == 3
    for t in range(1, T + 1):
        mask = it.counts[:t]
        inner = it.model.unroll(mg.const(it.xs[:t]), mask=mask)
        read = inner.output[-1] if every else inner.output
        target = it.ys[t - 1] if every else it.ys
        if not mask[-1].all():
            continue  # the readout of a step that is padding is 0
        adjoints = mg.adjoints(lstm.mse(read, mg.const(target)))
        for s in range(1, t + 1):
            node = getattr(inner.main.made[s - 1], symbol)
            expected = np.linalg.norm(adjoints[node].eval())
            assert table.high[t - 1, s - 1] == pytest.approx(expected, rel=1e-9, abs=1e-14)
        assert not table.high[t - 1, t:].any()


@each
def test_influence_is_the_derivative_of_each_output_by_each_input(case: str) -> None:
    it = made(case)
    table = it.flow.influence
    xs = mg.var("xs", it.xs.shape)
    model = lstm.Model.of(
        it.model.layers,
        lstm.Readout(it.model.readout.input_size, 1, "every", dtype="float64"),
        it.model.values(),
    )
    output = model.run(xs, lengths=it.given.get("lengths")).output
    for t in (0, 2, T - 1):
        found = [np.linalg.norm(step) for step in mg.grad(mg.sum(output[t]), xs).eval({xs: it.xs})]
        np.testing.assert_allclose(table.high[t], found, rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("case", ["rnn", "lstm", "gru"])
def test_singular_values_are_those_of_differences_and_bound_each_step(case: str) -> None:
    it = made(case)
    cell, state_type = it.model.cell, it.model.cell.state_type
    names = state_type._fields
    params = it.model.params["layer1"]
    wide = H * len(names)
    x = mg.var("x", (1, 2))
    befores = [mg.var(f"{n} in", (1, H)) for n in names]
    new = cell.step(params, state_type(*befores), x)
    whole = mg.function([x, *befores], mg.concat([*new], axis=1))
    for t in (1, 3):
        low, high = np.inf, 0.0
        for b in range(B):
            point = np.concatenate([it.flow.values[n][t - 1, b] for n in names])
            rows = np.empty((wide, wide))
            for k in range(wide):
                ends = []
                for sign in (1, -1):
                    moved = point.copy()
                    moved[k] += sign * 1e-5
                    parts = [v[None] for v in moved.reshape(len(names), H)]
                    ends.append(whole(it.xs[t, b : b + 1], *parts)[0])
                rows[:, k] = (ends[0] - ends[1]) / 2e-5
            sizes = np.linalg.svd(rows, compute_uv=False)
            low, high = min(low, sizes[-1]), max(high, sizes[0])
        assert it.flow.singular[t] == pytest.approx((low, high), rel=1e-5, abs=1e-8)
    if case == "rnn":  # h is all of its state
        factors = np.array(it.flow.series["h"].factors)
        low, high = it.flow.singular[1:].T
        assert (low <= factors * (1 + 1e-12)).all() and (factors <= high * (1 + 1e-12)).all()


def test_a_memory_is_what_the_gates_keep_and_what_their_biases_promise() -> None:
    model = lstm.Model.create(lstm.LSTM(2, 3, "float64", memory=20), 1, 0)
    layer = model.params["layer1"]
    layer["W_f"].value = layer["W_f"].value * 0.0
    layer["b_f"].value = np.log([1.0, 9.0, 99.0])
    rng = np.random.default_rng(0)
    flow = lstm.flow(model, rng.standard_normal((6, 2, 2)), rng.standard_normal((2, 1)))
    assert flow.memory is not None
    expected = 1 + np.exp(layer["b_f"].value)  # f = σ(b) at every step
    np.testing.assert_allclose(flow.memory.promised, expected, rtol=1e-12)
    np.testing.assert_allclose(flow.memory.measured, expected, rtol=1e-9)
    assert made("rnn").flow.memory is None


def test_what_large_biases_promise_keeps_its_digits_in_float32() -> None:
    model = lstm.Model.create(lstm.LSTM(2, 4), 1, 0)
    biases = model.params["layer1"]["b_f"]
    biases.value = np.array([0.0, 12.0, 16.0, 20.0], np.float32)
    memory = lstm.flow(model, np.zeros((2, 1, 2)), np.zeros((1, 1))).memory
    assert memory is not None
    expected = 1 + np.exp(biases.value.astype(np.float64))
    np.testing.assert_allclose(memory.promised, expected, rtol=1e-7)


def test_saturation_counts_the_values_of_each_unit() -> None:
    it = made("peephole, padded")
    for symbol, share in it.flow.saturation.items():
        values = it.flow.values[symbol][it.counts]
        close(share.open, (values > 0.9).mean(axis=0))
        close(share.closed, (values < 0.1).mean(axis=0))
        gate = it.flow.gates[symbol]
        assert gate.open == pytest.approx(share.open.mean())


def test_the_words_of_zoneout_say_what_a_step_keeps() -> None:
    it = made("zoneout")
    assert it.flow.split is not None
    assert it.flow.split.factor == "0.2 + f * 0.8"
    close(it.flow.factor, 0.2 + 0.8 * it.flow.values["f"])


def test_the_line_can_be_named() -> None:
    it = made("peephole, padded")
    flow = lstm.flow(it.model, it.xs, it.ys, lstm.mse, line="C")
    assert flow.main.symbol == "C"
    with pytest.raises(lstm.ConfigError, match="line='h' is asked for"):
        lstm.flow(it.model, it.xs, it.ys, lstm.mse, line="h")


def test_a_flow_of_numbers_alone_says_that_it_has_no_arrays() -> None:
    from dataclasses import replace

    bare = replace(made("lstm").flow, source=None)
    assert bare.to_json() == made("lstm").flow.to_json()
    with pytest.raises(lstm.ConfigError, match="of numbers alone"):
        _ = bare.adjoints


def test_maps_of_many_steps_keep_the_extremes_of_their_bins() -> None:
    from lstm.gradient_flow import StepMap

    norms = np.random.default_rng(0).random((1000, 1000))
    table = StepMap.of("‖·‖", norms)
    assert table.rows == table.columns and len(table.columns) == 256
    assert table.columns[0][0] == 1 and table.columns[-1][1] == 1000
    assert all(b == a + 1 for (_, a), (b, _) in zip(table.columns, table.columns[1:], strict=False))
    for row in (0, 100, 255):
        for column, (first, last) in enumerate(table.columns):
            part = norms[table.rows[row][0] - 1 : table.rows[row][1], first - 1 : last]
            assert (table.low[row, column], table.high[row, column]) == (part.min(), part.max())
