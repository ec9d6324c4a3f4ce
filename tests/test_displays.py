"""What a prompt and a notebook show: short, true, and there whatever the names and numbers are."""

from __future__ import annotations

import html.parser
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from op_cases import CASES

import lstm
import minigrad as mg
from minigrad.display import Table, bundle, in_a_line

x, v, M = mg.var("x"), mg.var("v", (3,)), mg.var("M", (2, 3))
TASK = lstm.Adding(length=20)


def lstm_of(size: int, **options: Any) -> lstm.Model:
    return lstm.Model.create(lstm.LSTM, task=TASK, hidden_size=size, **options)


def latex(y: mg.Expr) -> str:
    made = y._repr_mimebundle_()
    assert made["text/plain"] == repr(y)
    assert set(made) == {"text/plain", "text/latex"}
    return made["text/latex"]


# --- expressions ---------------------------------------------------------------------------------

LINES = {
    "<Expr var 'x': float64>": x,
    "<Expr var 'M': float64(2, 3)>": M,
    "<Expr sum(tanh(M @ v) * sigmoid(x)): float64>": mg.sum(mg.tanh(M @ v) * mg.sigmoid(x)),
    "<Expr M.T: float64(3, 2)>": M.T,
    "<Expr const: int64 = 3>": mg.const(3),
    "<Expr const: float64(3,) = [ 1. nan inf]>": mg.const([1.0, np.nan, np.inf]),
    "<Expr param 'w': float32(2,) = [0.5 1. ]>": mg.param("w", [0.5, 1.0], "float32"),
    "<Expr param 'W': int64(40, 30) = [[ 0 ... 29] ... [1170 ... 1199]]>": mg.param(
        "W", np.arange(1200).reshape(40, 30)
    ),
}


@pytest.mark.parametrize("line", LINES)
def test_an_expression_in_a_line(line):
    assert repr(LINES[line]) == line


def test_a_name_stands_before_the_formula():
    heat = (x * 3.75).named("heat")
    assert repr(heat) == "<Expr 'heat' = x * 3.75: float64>"
    assert latex(heat) == r"$\displaystyle \mathrm{heat} = x \cdot 3.75 \quad \mathtt{float64}$"


def test_latex_of_a_matrix_is_the_matrix():
    assert latex(mg.param("W", [[1.0, np.inf], [np.nan, 1e-30]])) == (
        r"$\displaystyle W = \begin{bmatrix} 1 & \infty \\ \mathrm{nan} & 1 \times 10^{-30} "
        r"\end{bmatrix} \quad \mathtt{float64(2,\ 2)}$"
    )
    numbers = re.findall(r"\d+|\\[cvd]dots", latex(mg.const(np.arange(5600).reshape(70, 80))))
    rows = [numbers[k : k + 7] for k in range(0, 49, 7)]
    ends = [0, 1, 2, 77, 78, 79]
    for row, i in zip(rows, [0, 1, 2, None, 67, 68, 69], strict=True):
        said = [r"\vdots"] * 6 if i is None else [str(80 * i + j) for j in ends]
        assert row == [*said[:3], r"\ddots" if i is None else r"\cdots", *said[3:]]


def test_a_leaf_of_three_axes_or_of_another_memory_shows_its_type_alone():
    class Elsewhere:
        def load(self) -> Any:
            raise RuntimeError("the device is gone")

        def store(self, value: Any) -> None:
            raise RuntimeError("the device is gone")

    cube = mg.param("cube", np.zeros((3, 4, 5)))
    assert latex(cube) == r"$\displaystyle \mathrm{cube} \quad \mathtt{float64(3,\ 4,\ 5)}$"
    cube.attrs[-1].storage = Elsewhere()
    assert repr(cube) == "<Expr param 'cube': float64(3, 4, 5)>"


def test_an_own_op_of_nothing_is_a_line():
    scalar = mg.TensorType((), "float64")
    now = mg.Op("now", lambda: scalar, lambda: np.float64(1), no_gradient=True)()
    assert repr(now) == "<Expr now: float64>"
    assert latex(now + 1.0).startswith(r"$\displaystyle \mathrm{now} + 1 ")


LATEX = {
    r"v\left[1:\right]": v[1:],
    r"\left(v + v\right)\left[0\right]": (v + v)[0],
    r"{M}^{\top}": M.T,
    r"{\left(M + M\right)}^{\top}": (M + M).T,
    r"\operatorname{sum}\left(M, \mathrm{axes=0}\right)": mg.sum(M, 0),
    r"\operatorname{sum}\left(M\right)": mg.sum(M),
    r"\operatorname{astype}\left(v, \mathrm{dtype=float32}\right)": v.astype("float32"),
    r"x \cdot \mathrm{nan}": x * np.nan,
    r"\left[v, v\right]": mg.concat([v, v]),
    r"\operatorname{concat}\left(M, M, \mathrm{axis=0}\right)": mg.concat([M, M]),
    r"\tilde{C}_{t} \cdot x": mg.var("C̃_t") * x,
    r"x \cdot \mathrm{a\ b\$}_{\mathrm{\%c}}": x * mg.var("a b$_%c"),
    r"x \cdot \mathrm{a\hat{\ }J\backslash b}": x * mg.var("a\n\\b"),
}


@pytest.mark.parametrize("text", LATEX)
def test_latex_says_what_text_says(text):
    assert LATEX[text].latex() == text


def chain(ops: int) -> mg.Expr:
    y = x
    for _ in range(ops):
        y = mg.sin(y)
    return y


def test_long_expressions_are_cut_and_counted():
    assert repr(chain(12)) == f"<Expr {'sin(' * 12}x{')' * 12}: float64>"
    assert repr(chain(13)) == f"<Expr {'sin(' * 12}...{')' * 12}: float64, 13 ops>"
    assert r"\text{" not in latex(chain(30))
    assert latex(chain(31)).endswith(r"\quad \mathtt{float64} \quad \text{31 ops}$")
    assert repr(chain(10_000)).endswith(": float64, 10,000 ops>")
    assert repr(chain(10_001)).endswith(": float64, more than 10,000 ops>")
    shared = x
    for _ in range(40):  # 2^40 occurrences of 40 ops
        shared = shared * shared
    assert repr(shared).endswith(": float64, 40 ops>")
    for _ in range(5):
        shared = mg.sin(shared) + mg.cos(shared)
    assert repr(shared).endswith(": float64, 55 ops>")
    wide = mg.sum(mg.stack([mg.var(f"a_long_name_{k}") for k in range(2000)]))
    assert len(repr(wide)) < 130


HOSTILE = [
    "\n",
    "a\x1b[31m",
    "</table><script>alert(1)</script>",
    "$$ \\end{matrix}",
    "\u202e",
    " ",
]
HOSTILE += ["{0}{1}", "%s", "\ud800", "x" * 100_000, "_", "^", "\\"]


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_no_name_steers_a_terminal_or_a_page(name):
    for y in (mg.var(name), x * mg.var(name), (x * mg.var("other")).named(name)):
        text, source = repr(y), latex(y)
        assert text.isprintable() and len(text) < 300
        assert source.isprintable() and len(source) < 1000 and not {"<", ">"} & set(source)
        inside = source.removeprefix("$").removesuffix("$").replace(r"\$", "")
        assert "$" not in inside and inside.count("{") == inside.count("}")


def test_what_cannot_be_written_is_left_out_and_told():
    twice = mg.Op("odd", lambda t: t, lambda a: a, no_gradient=True, latex="{0} and {1}")
    y = twice(x)
    shown = y._repr_mimebundle_()
    assert set(shown) == {"text/plain"}
    first, why = shown["text/plain"].split("\n")
    assert first == repr(y) == "<Expr odd(x): float64>"
    assert "text/latex" in why and "IndexError" in why

    class MuteError(Exception):
        def __str__(self) -> str:
            raise ValueError

    class Broken:
        def __repr__(self) -> str:
            raise MuteError

    shown = bundle(Broken(), {"text/html": lambda: "<b>fine</b>"})
    assert shown["text/html"] == "<b>fine</b>"
    assert "Broken object at" in shown["text/plain"] and "MuteError" in shown["text/plain"]


# --- cells ---------------------------------------------------------------------------------------


def test_a_cell_shows_its_equations():
    cell = lstm.LSTM(2, 3)
    layer = r"\left(\left[h_{\mathrm{before}}, x\right] \, W_{%s} + b_{%s}\right)"
    gates = [rf"{g} &= \sigma{layer}" % (g, g) for g in "fio"]
    lines = [
        *gates[:2],
        rf"\tilde{{C}} &= \tanh{layer}" % ("C", "C"),
        r"C &= f \cdot C_{\mathrm{before}} + i \cdot \tilde{C}",
        gates[2],
        r"h &= o \cdot \tanh\left(C\right)",
    ]
    shown = cell._repr_mimebundle_()
    assert shown["text/latex"] == (r"$\begin{aligned} " + r" \\ ".join(lines) + r" \end{aligned}$")
    assert shown["text/plain"] == repr(cell)


@pytest.mark.parametrize("kind", lstm.CELLS.values(), ids=lstm.CELLS)
def test_what_a_cell_shows_is_what_it_computes(kind):
    """The formulas, one after the other, give the values of a step."""
    cell, rng = kind(2, 3, "float64"), np.random.default_rng(0)
    numbers: dict[str, Any] = cell.init(rng) | {"x": rng.normal(size=(1, 2))}
    state = cell.state_type(*[rng.normal(size=(1, 3)) for _ in cell.state_type._fields])
    numbers |= {f"{part}_before": value for part, value in state._asdict().items()}
    params = {name: mg.const(numbers[name]) for name in cell.shapes()}
    values = cell.compute(params, cell.state_type(*map(mg.const, state)), mg.const(numbers["x"]))
    formulas = cell.formulas()
    assert list(formulas) == list(values)
    for symbol, formula in formulas.items():
        read = {v: numbers[v.name] for v in mg.free_variables([formula])}
        numbers[symbol] = formula.eval(read)
        np.testing.assert_allclose(numbers[symbol], values[symbol].eval(), rtol=1e-12)
        assert len(mg.to_latex(formula, 20)) < 1000


def test_a_cell_that_fails_shows_why():
    class Bad(lstm.RNN):
        name = "bad"

        def equations(self, params, state, x):
            return {"h": state.h @ params["U"]}

    shown = Bad(2, 3)._repr_mimebundle_()
    assert set(shown) == {"text/plain"}
    assert "ConfigError: the equations of cell bad read the parameter 'U'" in shown["text/plain"]


# --- tables --------------------------------------------------------------------------------------


class Cells(html.parser.HTMLParser):
    """The texts of a table's cells, row by row, and the tags that there are."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.tags: set[str] = set()
        self.title = ""
        self.notes: list[str] = []
        self._into = ""
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.add(tag)
        self._into = tag
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_data(self, data: str) -> None:
        if self._into in ("td", "th"):
            self.rows[-1][-1] += data
        elif self._into == "b":
            self.title += data
        elif self._into == "p":
            self.notes.append(data)


def cells(shown: Any) -> Cells:
    made = shown._repr_mimebundle_()
    assert made["text/plain"] == repr(shown)
    assert set(made) == {"text/plain", "text/html"}
    found = Cells(made["text/html"])
    assert found.tags <= {"table", "caption", "b", "thead", "tbody", "tr", "th", "td", "p"}
    return found


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
        r"seconds_left=0, score=Score\(.*\), best=Score\(.*\)\)",
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
    assert repr(flow.memory) == "Memory(measured=float64(4,), promised=float32(4,))"
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


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_every_op_is_shown(case):
    y = case.build(*case.variables(case.arrays()))
    for node in {y, *mg.toposort(y)}:
        assert repr(node).startswith("<Expr ") and len(repr(node)) < 200
        source = latex(node)
        assert source.count("{") - source.count(r"\{") == source.count("}") - source.count(r"\}")
        assert source.count(r"\left") == source.count(r"\right")
