"""What `lstm`, its flows and charts, and adjoints are given of a wrong kind: errors in our words.

Each is called as it should be, and then with each of its arguments replaced.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import pytest
from test_wrong_arguments import in_our_words

import lstm
import minigrad as mg

charts = mg.charts
TASK = lstm.Adding(3)
MODEL = lstm.Model.create(lstm.LSTM, task=TASK, hidden_size=2)
XS, YS = TASK.batch(np.random.default_rng(0), 2)
FLOW = lstm.flow(MODEL, XS, YS)
ROW = np.array([1e-3, 1e-2, 0.1])
SCALE = charts.scale_of([charts.Curve.of("h", ROW)])
SCORES, LABELS = mg.var("scores", (4, 2)), mg.var("labels", (4,), "int64")
LAST, _ = mg.scan(
    lambda c, x: ((c * x * 0.7183).named("c"), None), mg.const(1.0), mg.var("x", (3,))
)  # fmt: skip
ADJOINTS = mg.adjoints(LAST)

CALLS: dict[Callable[..., Any], tuple[Any, ...]] = {
    lstm.flow: (MODEL, XS, YS),
    lstm.compare: (FLOW, FLOW),
    lstm.compare(FLOW, FLOW).difference: (),
    lstm.train: (MODEL, TASK),
    lstm.make_task: ("adding", {}),
    lstm.cross_entropy: (SCORES, LABELS),
    lstm.mse: (SCORES, SCORES),
    lstm.accuracy: (SCORES, LABELS),
    lstm.mask_of: (np.array([1, 2]), 3),
    lstm.Model.create: (lstm.RNN(2, 2), 1),
    lstm.Model.of: (MODEL.layers, MODEL.readout, MODEL.values()),
    MODEL.run: (XS,),
    MODEL.place: (),
    MODEL.with_dtype: ("float64",),
    FLOW.knockouts: (),
    FLOW.to_csv: (),
    FLOW.to_json: (),
    FLOW.save: ("x.csv",),
    charts.curves: ({"h": ROW},),
    charts.strips: ({"h": ROW},),
    charts.strip: (ROW,),
    charts.heat_map: (np.ones((2, 3)),),
    charts.triangle: (np.tril(np.ones((3, 3))),),
    charts.band: (ROW,),
    charts.bars: (["f"], [1.0]),
    charts.waterfall: (0.0, ["f"], [1.0]),
    charts.difference: (ROW,),
    charts.shares: (np.array([[0.5]]), ["a"], ["x"]),
    charts.veiled: (np.zeros((2, 2, 3)), np.array([[0.5]]), ["a"]),
    lstm.plot_alignment: (np.array([[0.5]]), ["a"], ["x"]),
    lstm.plot_caption: (np.zeros((2, 2, 3)), np.array([[0.5]]), ["a"]),
    charts.difference_caption: ("a", "b"),
    charts.legend: (SCALE,),
    charts.legend_height: (SCALE, ["zero"], 400.0),
    charts.kinds_in: ([charts.Curve.of("h", ROW)], SCALE),
    charts.scale_of: ([charts.Curve.of("h", ROW)],),
    charts.decades: ([charts.Curve.of("h", ROW)],),
    charts.Curve.of: ("h", ROW),
    charts.style: (),
    mg.flow: (mg.param("p", 1.0) * 2.0, ["p"]),
    mg.reroute: (LAST, {"c": 0.5}),
    ADJOINTS.value: ("c",),
    ADJOINTS.edge: ("c", 0),
    ADJOINTS.edges: ("c",),
    ADJOINTS.split: ("c", ["c"]),
    ADJOINTS.splits: (["c"], ["c"]),
    ADJOINTS.connected: ("c",),
}
WRONG: dict[str, Any] = {
    "None": None,
    "text": "a",
    "a number": 3.5,
    "an object": object(),
    "a ragged list": [[1, 2], [3]],
    "a list of None": [None],
    "a dict of texts": {"a": "b"},
    "an array of texts": np.array(["a"]),
    "an expression": mg.var("v", (3,)),
    "a model": MODEL,
}
PASSED_ON = ("tape", "color")  # to the layers, and to matplotlib, whose words are its own


def raw_errors(
    function: Callable[..., Any],
    good: tuple[Any, ...],
    by_name: Iterable[str],
    kinds: Mapping[str, Any],
) -> list[str]:
    """The errors that are not in our words, of a call with each argument replaced by each kind: one
    that is good by place, or one by its name."""
    raw = []
    for what, value in kinds.items():
        changed = [(*good[:k], value, *good[k + 1 :]) for k in range(len(good))]
        calls = [(f"{what} at {k}", args, {}) for k, args in enumerate(changed)]
        calls += [(f"{name}={what}", good, {name: value}) for name in by_name]
        for said, args, named in calls:
            try:
                function(*args, **named)
            except Exception as error:
                if not in_our_words(error, (lstm.LstmError, mg.MinigradError), (lstm, mg)):
                    raw.append(f"{said}: {type(error).__name__}: {error}")
    return raw


@pytest.mark.slow
@pytest.mark.parametrize("function", CALLS, ids=lambda f: f.__qualname__)
def test_arguments_of_a_wrong_kind_are_named_in_our_words(function, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    good = CALLS[function]
    function(*good)
    taken = inspect.signature(function).parameters
    by_name = [
        n for n in list(taken)[len(good) :]
        if taken[n].kind is not inspect.Parameter.VAR_KEYWORD and n not in PASSED_ON
    ]  # fmt: skip
    raw = raw_errors(function, good, by_name, WRONG)
    assert not raw, "\n".join(raw)


WORDS = [
    (lambda: lstm.plot_norms(MODEL), lstm.ConfigError,
     r"plot_norms takes a flow, what lstm\.flow\(model, xs, ys\) gives, not Model$"),
    (lambda: lstm.plot_gate(None), lstm.ConfigError, "plot_gate takes a flow, .* not None$"),
    (lambda: lstm.plot_units("x"), lstm.ConfigError, "plot_units takes a flow, .* not 'x'$"),
    (lambda: lstm.compare(FLOW, 3), lstm.ConfigError, "compare takes two flows or more"),
    (lambda: lstm.compare(), lstm.ConfigError, "compare takes two flows or more"),
    (lambda: lstm.compare(FLOW), lstm.ConfigError, "compare takes two flows or more"),
    (lambda: lstm.compare(FLOW, FLOW, names="ab"), lstm.ConfigError, "names= are a list"),
    (lambda: lstm.flow(None, XS, YS), lstm.ConfigError,
     "a model is needed, such as .* not None"),
    (lambda: lstm.flow(MODEL, [[1], [1, 2]], YS), lstm.ConfigError,
     "xs must be an array of numbers, with rows of one length"),
    (lambda: lstm.flow(MODEL, XS, YS, line=3), lstm.ConfigError, "line= is the name of a part"),
    (lambda: lstm.evaluate(MODEL, TASK, -1), lstm.ConfigError, "seed must be a whole number"),
    (lambda: FLOW.save(3), lstm.OutputError, "a path is needed, a str or a pathlib.Path, not 3"),
    (lambda: MODEL.save(""), lstm.OutputError, "a path is needed"),
    (lambda: lstm.Model.load(None), lstm.ModelFileError, "a path is needed"),
    (lambda: lstm.Model.create(lstm.RNN(2, 2), 1, task="adding"), lstm.ConfigError,
     "task= is a task"),
    (lambda: lstm.Model.create(lstm.RNN, task="adding"), lstm.ConfigError,
     r"task= is a task, lstm\.Adding\(100\), .*not 'adding'"),
    (lambda: lstm.Model.create(lstm.RNN, task=lstm.Adding), lstm.ConfigError, "task= is a task"),
    (lambda: lstm.fit(MODEL, (XS, YS)), lstm.ConfigError, r"such as lstm\.ArrayTask\(xs, ys\)"),
    (lambda: lstm.fit(TASK, MODEL), lstm.ConfigError, "100., after the model, not Model"),
    (lambda: lstm.Settings(optimizer=lstm.optim.adam(0.1)), lstm.ConfigError,
     r"given by its name, as 'sgd', not .*lstm\.optim makes serves lstm\.Trainer"),
    (lambda: lstm.optim.global_norm({}), lstm.ConfigError, r"a dict by name, .*not \{\}"),
    (lambda: lstm.optim.clip_by_global_norm([3], 1.0), lstm.ConfigError, "a dict by name"),
    (lambda: lstm.TableTask({"a": [1]}, "a"), lstm.ConfigError,
     "^cannot read: a path is needed, a str or a pathlib.Path, not"),
    (lambda: lstm.Model.load(MODEL), lstm.ModelFileError, "^cannot load the model: a path is"),
    (lambda: lstm.cross_entropy(mg.const(1.0), 1), lstm.ConfigError, "logits have the classes"),
    (lambda: lstm.cross_entropy(np.eye(2), [[1, 0], [0, 1]]), lstm.ConfigError,
     r"of rows of 0 and one 1, labels are ys\.argmax\(-1\)"),
    (lambda: lstm.cross_entropy(np.eye(2), [0.0, 1.0]), lstm.ConfigError,
     r"write ys\.astype\('int64'\)"),
    (lambda: lstm.make_task("d/My.CSV"), lstm.ConfigError,
     r"lstm train csv d/My\.CSV --target COLUMN, or lstm\.TableTask"),
    (lambda: lstm.make_task("a.txt"), lstm.ConfigError, r"train text a\.txt, or lstm\.TextTask"),
    (lambda: lstm.make_task("a.npz"), lstm.ConfigError, r"lstm\.ArrayTask\(xs, ys\), is named as"),
    (lambda: ADJOINTS.split("c", through=3), mg.DTypeError,
     "what a split goes through must be a list, not 3"),
    (lambda: charts.curves({"h": "x"}), mg.DTypeError,
     "the curve 'h' must be real numbers, not 'x'"),
    (lambda: charts.curves("x"), mg.DTypeError, r"rows must be a list of curves, .*Curve\.of"),
    (lambda: charts.heat_map([[1, 2], [3]]), mg.DTypeError,
     "sizes must be an array of numbers"),
    (lambda: charts.band(ROW, ax=3), mg.DTypeError,
     r"ax= takes axes of matplotlib, .*plt\.subplots"),
    (lambda: charts.band(ROW, limits=(1,)), mg.DTypeError, "limits must be two"),
    (lambda: charts.bars(["f"], [1.0], words=[]), mg.ShapeError, "as many words, not 0"),
    (lambda: charts.legend(3), mg.DTypeError, r"scale= takes a scale, .*mg\.charts\.scale_of"),
    (lambda: charts.legend(SCALE, ["odd"]), mg.GraphError, "'odd' is no kind; they are"),
    (lambda: charts.waterfall(0.0, "f", [1.0]), mg.DTypeError, "links must be a list of texts"),
    (lambda: charts.triangle(np.ones((2, 2)), columns=[1, 2]), mg.DTypeError,
     "each of columns"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "kind", "words"), WORDS, ids=range(len(WORDS)))
def test_the_words_say_what_is_wrong_and_what_to_write(call, kind, words) -> None:
    with pytest.raises(kind, match=words):
        call()


def taken_by(name: str) -> set[str]:
    """What a chart takes; nothing of what is no chart."""
    return (
        {*inspect.signature(getattr(lstm, name)).parameters} if name.startswith("plot_") else set()
    )


@pytest.mark.parametrize("value", [*WRONG.values()], ids=WRONG)
@pytest.mark.parametrize("plot", [n for n in lstm.__all__ if "flow" in taken_by(n)])
def test_charts_of_a_flow_take_nothing_else(plot, value) -> None:
    with pytest.raises(lstm.ConfigError, match=f"{plot} takes a flow"):
        getattr(lstm, plot)(value)


def test_a_flow_without_a_line_has_no_paths_to_plot() -> None:
    rnn = lstm.Model.create(lstm.RNN, task=TASK, hidden_size=2)
    with pytest.raises(lstm.ConfigError, match="has no cell line to split the gradient by"):
        lstm.plot_paths(lstm.flow(rnn, XS, YS))


def test_numbers_are_written_where_a_path_is_given(tmp_path) -> None:
    """As pandas does; the text, and the values, come back as without one."""
    assert FLOW.to_csv(tmp_path / "a.csv") == FLOW.to_csv() == (tmp_path / "a.csv").read_text()
    assert FLOW.to_json(str(tmp_path / "a.json")) == FLOW.to_json()
    FLOW.save(tmp_path / "b.json")
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    with pytest.raises(lstm.OutputError, match="there is no folder"):
        FLOW.to_csv(tmp_path / "none" / "a.csv")
