"""What a prompt and a notebook show of models, functions, trainings and flows: lines and tables."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import pytest
from displays import HOSTILE, TASK, Cells, cells, lstm_of

import lstm
import minigrad as mg
from minigrad.display import Table, in_a_line

pytestmark = pytest.mark.usefixtures("by_numpy")

x, v = mg.var("x"), mg.var("v", (3,))


def test_a_model_is_a_table_of_its_layers():
    model = lstm_of(16, layers=2, bidirectional=True, dropout=0.25)
    wide, deep, out = 2 * 4 * (18 * 16 + 16), 2 * 4 * (48 * 16 + 16), 32 + 1
    total = wide + deep + out
    head = "Model for adding(length=20, variant='halves'), float32: "
    head += f"{total:,} parameters, {4 * total / 1024:.1f} KiB"
    rows = [
        ["layer", "", "sizes", "parameters", "memory"],
        ["layer1", "Bidirectional LSTM", "2 → 32", f"{wide:,}", "20 steps"],
        ["dropout1", "Dropout, p=0.25", "32 → 32", "0", ""],
        ["layer2", "Bidirectional LSTM", "32 → 32", f"{deep:,}", "20 steps"],
        ["readout", "Readout, read='last'", "32 → 1", f"{out}", ""],
    ]
    first, *lines = repr(model).split("\n")
    assert first == head
    assert [re.split(r"\s{2,}", line.strip()) for line in lines] == [
        [cell for cell in row if cell] for row in rows
    ]
    shown = cells(model)
    assert shown.title == head and shown.rows == rows


def test_models_of_tokens_and_of_one_layer_are_tables_too():
    model = lstm.Model.create(lstm.GRU, 10, vocabulary=10, hidden_size=4, readout="every")
    (_, embedding, layer, readout) = cells(model).rows
    assert embedding == ["embedding", "Embedding", "tokens 10 → 4", "40", ""]
    assert layer == ["layer1", "Recurrent GRU", "4 → 4", str(3 * (8 * 4 + 4)), ""]
    assert readout == ["readout", "Readout, read='every'", "4 → 10", "50", ""]
    bare, out = lstm.Recurrent(lstm.RNN(2, 3), zoneout=0.5), lstm.Readout(3, 1)
    rng = np.random.default_rng(0)
    one = lstm.Model.of(bare, out, bare.init(rng) | {"readout": out.init(rng)})
    assert cells(one).rows[1] == ["", "Recurrent RNN, zoneout=0.5", "2 → 3", "18", ""]
    assert repr(one).startswith("Model, float32: 22 parameters, 88 B\n")


def test_a_function_says_what_goes_in_and_comes_out_and_what_fired():
    W = mg.param("W", np.zeros((4, 3)))
    y = mg.sum(W @ v)
    slope = mg.grad(y, W)
    f = mg.function([v], {"y": y, "slope": slope}, updates={W: W - slope}, backend="numpy")
    shown = cells(f)
    assert shown.title == f"Function on numpy, {len(f.plan.steps)} steps"
    assert shown.rows == [
        ["input", "v", "float64(3,)"],
        ["output['y']", "sum(W @ v)", "float64"],
        ["output['slope']", str(slope), "float64(4, 3)"],
        ["updates", "W", "float64(4, 3)"],
    ]
    assert "loops:" not in repr(f)

    many = [mg.var(f"v{k}") for k in range(9)]
    rows = cells(mg.function(many, [k * mg.sum(mg.stack(many)) for k in range(1, 8)])).rows
    assert rows[4] == ["", "and 5 more", ""] and rows[9] == ["", "and 3 more", ""]
    assert len(rows) == 10
    rows = cells(mg.function(many[:5], mg.sum(mg.stack(many[:5])))).rows
    assert rows[4] == ["", "and 1 more", ""] and len(rows) == 6

    steps = mg.var("steps", (5, 3))
    total, _ = mg.scan(lambda c, a: (c + W @ a, c), mg.const(np.zeros(4)), steps)
    loop = mg.function([steps], [mg.sum(total)] * 3 + [k * total for k in range(9)])
    assert loop.rewritten
    assert max(map(len, repr(loop).splitlines())) <= 100
    said = " ".join(repr(loop).split())
    assert "loops: " + "; ".join(loop.rewritten) in said


def test_adjoints_say_how_far_they_reach():
    y = mg.sum(mg.stop_gradient(v) * x)
    adjoints = mg.adjoints(y)
    assert repr(adjoints) == f"<Adjoints of {y!r}: 5 of 6 nodes, 4 edges>"  # all but v


def test_settings_are_the_call_that_makes_them_without_what_is_off():
    settings = lstm.Settings(steps=10, clip=None, warmup=3)
    assert repr(settings) == (
        "Settings(steps=10, batch=32, rate=0.03, clip=None, optimizer='adam', schedule='cosine', "
        "warmup=3)"
    )
    assert eval(repr(settings), {"Settings": lstm.Settings}) == settings
    assert ["seed", "0"] in cells(settings).rows and ["clip", "None"] in cells(settings).rows
    layer = lstm.Recurrent(lstm.LSTM(2, 3, memory=30.0), reverse=True)
    names = {"LSTM": lstm.LSTM, "Recurrent": lstm.Recurrent}
    assert "zoneout" not in repr(layer) and "reverse=True" in repr(layer)
    assert eval(repr(layer), names) == layer


def test_own_cells_and_tasks_show_themselves_alike():
    @dataclass(frozen=True)
    class Leaky(lstm.RNN):
        name = "leaky"
        leak: float = 0.0

    assert repr(Leaky(2, 3)).endswith("Leaky(input_size=2, hidden_size=3, dtype='float32')")
    assert repr(Leaky(2, 3, leak=0.5)).endswith("dtype='float32', leak=0.5)")

    class Loud(lstm.RNN):
        name = "loud"

        def __repr__(self) -> str:
            return "LOUD"

    assert repr(Loud(2, 3)) == "LOUD"


def test_a_task_says_what_there_is_to_beat():
    assert repr(TASK) == "Adding(length=20, variant='halves')"
    shown = cells(TASK)
    assert shown.title == f"Adding problem: {TASK.summary}"
    assert ["steps", "20"] in shown.rows
    assert ["loss to beat", f"{1 / 6:.4g}, always 1"] in shown.rows
    assert ["solved", TASK.criterion] in shown.rows


def test_reports_scores_batches_and_runs_are_lines():
    report = lstm.Report(3, 1 / 3, 2e-9)
    assert repr(report) == "Report(step=3, loss=0.3333, grad_norm=2e-09)"
    seen = lstm.Report(3, np.float32(np.nan), np.inf, (np.zeros((2, 3)), 1.0, 2, 3, 4))
    assert repr(seen) == (
        "Report(step=3, loss=nan, grad_norm=inf, outputs=(float64(2, 3), 1, 2, 3, …))"
    )
    assert repr(lstm.Score(0.0123449, 0.98765, True)) == (
        "Score(loss=0.01234, correct=0.9877, solved=True)"
    )
    batch = TASK.batch(np.random.default_rng(0), 5)
    assert repr(batch) == "Batch(xs=float32(20, 5, 2), ys=float32(5, 1))"
    run = lstm_of(4).run(batch.xs)
    assert repr(run) == ("Run(output=float32(5, 1), outputs=float32(20, 5, 4), last={'layer1'})")


def test_what_training_holds_is_short():
    model = lstm_of(4)
    xs, ys = mg.var("xs", (20, 3, 2), "float32"), mg.var("ys", (3, 1), "float32")
    loss = TASK.loss(model.output(xs), ys)
    trainer = lstm.Trainer(loss, [xs, ys], model.params, lstm.optim.adam(0.1))
    trainer.step(*TASK.batch(np.random.default_rng(0), 3))
    count = 4 * (6 * 4 + 4) + 5
    inputs = "(xs: float32(20, 3, 2), ys: float32(3, 1))"
    assert repr(trainer) == f"<Trainer of {count} parameters on {inputs}, 1 step done>"
    assert cells(trainer.state).rows == [
        ["parameters", "10 tensors", f"{count} numbers"],
        ["optimiser", "20 tensors", f"{2 * count} numbers"],
        ["carried", "0 tensors", "0 numbers"],
        ["random streams", "", ""],
    ]
    seen: list[lstm.Progress] = []
    lstm.fit(model, TASK, lstm.Settings(steps=2), callback=seen.append)
    assert re.fullmatch(
        r"Progress\(step=2, steps=2, loss=[\d.]+, grad_norm=[\d.]+, sequences_per_second=[\d.e+]+, "
        r"seconds_left=0, score=Score\(.*\), best=Score\([^)]*\).*\)",
        repr(seen[-1]),
    )


def test_what_is_written_out_is_short():
    unrolled = lstm_of(4, layers=2).unroll(TASK.batch(np.random.default_rng(0), 5).xs)
    shown = cells(unrolled)
    assert shown.title == "Model written out over 20 steps"
    values = "f, i, C̃, C, o, h"
    assert shown.rows == [["output", "float32(5, 1)"], ["layer1", values], ["layer2", values]]
    assert len(repr(unrolled.main)) < 1000
    assert repr(mg.rule("twice", lambda a: a + a, lambda a: 2 * a)) == "<rule 'twice'>"


def test_what_was_fitted_says_how_it_went():
    model = lstm_of(4)
    fitted = lstm.fit(model, TASK, lstm.Settings(steps=3), validate=0)
    assert len(repr(fitted).splitlines()) < 9
    shown = cells(fitted)
    assert shown.title == "Training ended: steps"
    first, last = fitted.reports[0].loss, fitted.reports[2].loss
    assert shown.rows[0] == ["steps", f"1 … 3, loss {first:.4g} → {last:.4g}"]
    assert shown.rows[1] == ["best", repr(fitted.best).split("\n")[0]]
    loss, correct, _ = fitted.score
    said = f"loss {loss:.4g}, {correct:.1%} correct, not solved"
    assert shown.rows[2] == ["on new sequences", said]


def test_what_a_flow_measures_is_short():
    flow = lstm.flow(lstm_of(4), *TASK.batch(np.random.default_rng(0), 5))
    shown = cells(flow)
    assert shown.title == "LSTM: how the gradient flows back through 20 steps"
    norm = np.linalg.norm(flow.adjoints["C"][0])
    assert shown.rows[1][:2] == ["∂L/∂C", f"{norm:.2e}"]
    assert all(sentence in shown.notes for sentence in flow.diagnosis)
    (first, *_) = flow.knockouts(at=1)
    assert re.fullmatch(r"Knockout\(route='.+', change=[\d.e-]+, left=.+, share=.+\)", repr(first))
    assert repr(flow.memory) == "Memory(measured=float64(4,), promised=float64(4,))"
    assert "links=('f',), decades=float64(19, 1))" in repr(flow.waterfalls["line"])
    short = (flow.main, flow.split, flow.itemised, flow.influence, flow.cuts, *flow.gates.values())
    assert max(len(repr(part)) for part in short) < 400


def test_flows_side_by_side_are_told_apart_by_their_names():
    batch = TASK.batch(np.random.default_rng(0), 5)
    a, b = (lstm.flow(lstm_of(4, memory=memory), *batch) for memory in (0, 20))
    both = lstm.compare(a, b, names=["usual", "made for it"])
    norms = [np.linalg.norm(flow.adjoints["C"][0]) for flow in (a, b)]
    decades = np.log10(norms[1] / norms[0])
    said = f"∂L/∂C₁ of 'made for it' ({norms[1]:.1e}) is {decades:.1f} decades larger than "
    assert both.sentences == [f"At t=1, {said}∂L/∂C₁ of 'usual' ({norms[0]:.1e})."]
    assert both.sentences[0] in cells(both).notes


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_no_text_of_a_table_is_code(name):
    table = Table(name, [(name, "1")], heads=("a", name), notes=[name])
    assert table.text().replace("\n", "").isprintable()
    found = Cells(table.html())
    assert found.tags <= {"table", "caption", "b", "thead", "tbody", "tr", "th", "td", "p"}
    model = lstm_of(3)
    model.task.update(name=name, settings={name: name})
    assert len(repr(model).split("\n")[0]) < 180
    assert not cells(model).tags & {"script"}
    model.task.update(name=None, settings=name)
    cells(model)


def test_a_named_tuple_of_odd_things_is_a_line():
    assert in_a_line(lstm.Batch("a\nb", [1.0] * 1000)).isprintable()
