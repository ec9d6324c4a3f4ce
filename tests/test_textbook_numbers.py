"""Numbers in the textbook's figures: values and gradients of one step of a model, held to NumPy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lstm
from lstm.cells import CELLS
from lstm.cli import main
from lstm.errors import ConfigError
from lstm.figures import numbered
from lstm.figures.textbook.live import Live, live_of
from lstm.figures.textbook.wiring import wiring_of
from lstm.figures.textbook.with_equations import _few_letters, in_rows
from minigrad.drawing import Scale

pytestmark = pytest.mark.usefixtures("by_numpy")

STEPS, T = 5, 3


def model_of(name: str, units: int = 3) -> lstm.Model:
    cell = CELLS[name](2, units, dtype="float64")
    return lstm.Model.create(cell, output_size=1, seed=0)


def data() -> tuple[Any, Any]:
    rng = np.random.default_rng(1)
    return rng.normal(size=(STEPS, 2, 2)), rng.normal(size=(2, 1))


def live(name: str) -> Live:
    model, (xs, ys) = model_of(name), data()
    return live_of(wiring_of(model.cell), model, {"xs": xs, "ys": ys, "t": T, "grad": True})


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def test_values_are_those_of_the_lstms_equations() -> None:
    model, (xs, _) = model_of("lstm"), data()
    p = {name.rpartition(".")[2]: value for name, value in model.values().items()}
    h = C = np.zeros(3)
    for x in xs[:T, 0]:
        h_before, C_before = h, C
        hx = np.concatenate([h, x])
        f, i, o = (sigmoid(hx @ p[f"W_{w}"] + p[f"b_{w}"]) for w in "fio")
        candidate = np.tanh(hx @ p["W_C"] + p["b_C"])
        C = f * C + i * candidate
        h = o * np.tanh(C)
    expected = {"h_before": h_before, "C_before": C_before, "x": x, "f.0.0.0": hx, "f": f, "i": i}
    expected |= {"C̃": candidate, "C.0": f * C_before, "C.1": i * candidate, "C": C, "o": o}
    expected |= {"h.1": np.tanh(C), "h": h, "h_after": h, "C_after": C, "out": h}
    found = live("lstm").values
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-12, err_msg=name)


def test_what_wires_send_back_is_the_chain_rule() -> None:
    """From ∂L/∂C and ∂L/∂h of the step, as a flow has them."""
    model, (xs, ys) = model_of("lstm"), data()
    flow = lstm.flow(model, xs[:, :1], ys[:1])
    dC, dh = (flow.adjoints[part][T - 1, 0] for part in "Ch")
    step = live("lstm")
    v, p = step.values, {n.rpartition(".")[2]: w for n, w in model.values().items()}
    inner = dh * v["o"] * (1 - v["h.1"] ** 2)
    to_f = dC * v["C_before"] * v["f"] * (1 - v["f"])
    to_C = dC * v["i"] * (1 - v["C̃"] ** 2)
    expected = {
        ("C_before", "C.0"): dC * v["f"],
        ("f", "C.0"): dC * v["C_before"],
        ("i", "C.1"): dC * v["C̃"],
        ("C̃", "C.1"): dC * v["i"],
        ("C.0", "C"): dC,
        ("C.1", "C"): dC,
        ("o", "h"): dh * v["h.1"],
        ("h.1", "h"): dh * v["o"],
        ("C", "h.1"): inner,
        ("C", "C_after"): dC - inner,
        ("h", "h_after"): dh,
        ("f.0.0.0", "f"): p["W_f"] @ to_f,
        ("f.0.0.0", "C̃"): p["W_C"] @ to_C,
    }
    assert step.terms is not None
    for wire, term in expected.items():
        np.testing.assert_allclose(step.terms[wire], term, rtol=1e-9, err_msg=str(wire))
    assert step.terms["h", "out"] is None  # only the last step is read


@pytest.mark.parametrize("name", CELLS)
def test_what_leaves_a_box_comes_together_in_it(name: str) -> None:
    """Of a merge: what its readers send back is what it hands on to those that it joins."""
    step, wiring = live(name), wiring_of(model_of(name).cell)
    assert step.terms is not None and step.terms.keys() == set(wiring.wires)
    for merge in [box.name for box in wiring.boxes.values() if box.kind == "merge"]:
        back = sum(step.terms[merge, reader] for reader in wiring.outputs[merge])
        parts = [step.terms[source, merge] for source in wiring.inputs[merge]]
        np.testing.assert_allclose(np.concatenate(parts), back, rtol=1e-8, atol=1e-14)


def test_at_the_last_step_the_loss_reads_h_and_nothing_comes_from_beyond() -> None:
    model, (xs, ys) = model_of("gru"), data()
    step = live_of(wiring_of(model.cell), model, {"xs": xs, "ys": ys, "grad": True})
    assert step.step == STEPS and step.terms is not None
    assert step.terms["h", "h_after"] is None
    (dh,) = lstm.flow(model, xs[:, :1], ys[:1]).adjoints["h"][-1]
    np.testing.assert_allclose(step.terms["h", "out"], dh, rtol=1e-9)


def test_a_model_of_every_step_and_of_tokens_has_numbers_too() -> None:
    task = lstm.Copying(length=3)
    model = lstm.Model.create(lstm.LSTM, task=task, hidden_size=3, seed=0)
    xs, ys = task.batch(np.random.default_rng(0), 2)[:2]
    shown: Any = {"xs": xs, "ys": ys, "t": 2, "grad": True, "loss": task.loss}
    step = live_of(wiring_of(model.cell), model, shown)
    assert step.terms is not None and all(np.isfinite(v).all() for v in step.values.values())


# --- as they are drawn ---------------------------------------------------------------------------


def test_a_figure_shows_the_numbers_of_its_boxes() -> None:
    model, (xs, _) = model_of("lstm"), data()
    figure = lstm.figures.whole_cell(model=model, xs=xs, t=T)
    shown = [t.get_text() for t in figure.figure.axes[0].texts]
    values = live("lstm").values
    for name in ("h_before", "C_before", "x", "f", "i", "C̃", "C.0", "C.1", "C", "o", "h.1", "h"):
        assert in_rows(values[name]) in shown
    f = ", ".join(f"{x:.2g}" for x in values["f"])
    assert f"= [{f}]" in figure.description and figure.title == "LSTM: step t = 3"
    figure = lstm.figures.forget_gate(model=model, xs=xs, t=T)
    assert f"$\\quad =$ [{f}]" in [t.get_text() for t in figure.figure.axes[0].texts]
    wide = model_of("lstm", units=5)
    norm = lstm.figures.forget_gate(model=wide, xs=xs, t=T).description
    assert "= ‖" in norm


def test_numbers_in_cells_have_signs_and_few_letters() -> None:
    assert in_rows(np.array([0.5, -0.25, 0.0, 12.0])) == ".50 −.25\n0 12"
    assert in_rows(np.array([3e-4, -10.5])) == "3e−4 −10"
    assert in_rows(np.array([-0.999])) == "−1.00"
    assert in_rows(np.full(9, 2.0)) == "‖6‖"


def test_wires_have_the_looks_of_what_they_send_back_and_a_key_says_so() -> None:
    model, (xs, ys) = model_of("lstm"), data()
    scale = Scale(-6.0, 0.0)
    figure = lstm.figures.whole_cell(model=model, xs=xs, ys=ys, t=T, grad=True, scale=scale)
    axes, key = figure.figure.axes
    terms = live("lstm").terms
    assert terms is not None
    drawn = {p.get_label(): p for p in axes.patches}
    for wire, term in terms.items():
        look = scale.style(None if term is None else float(np.linalg.norm(term)))
        patch = drawn[" → ".join(wire)]
        assert patch.get_edgecolor() == pytest.approx(_rgba(look.color)), wire
    assert {t.get_text() for t in key.texts} >= {"1e-06", "1", "Norm of ∂L on its way back"}


def _rgba(color: str) -> tuple[float, ...]:
    return (*[int(color[k : k + 2], 16) / 255 for k in (1, 3, 5)], 1.0)


@pytest.mark.parametrize("name", ["lstm", "gru", "coupled", "peephole", "mgu", "rnn"])
def test_numbers_can_be_read_on_a_slide_and_lie_on_nothing(name: str) -> None:
    model, (xs, ys) = model_of(name, units=4), data()
    figure = lstm.figures.whole_cell(model=model, xs=xs, ys=ys, t=T, grad=True).figure
    texts = [t for ax in figure.axes for t in ax.texts if t.get_text()]
    assert min(t.get_fontsize() for t in texts) >= 18.0
    boxes = [(t.get_text(), t.get_window_extent()) for t in texts]
    for k, (words, box) in enumerate(boxes):
        assert box.x0 >= 0 and box.x1 <= figure.bbox.x1, words
        for other, beside in boxes[:k]:
            apart = box.x1 - 2 <= beside.x0 or beside.x1 <= box.x0 + 2
            assert apart or box.y1 - 2 <= beside.y0 or beside.y1 <= box.y0 + 2, (words, other)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"xs": 1}, "xs= goes with model="),
        ({"model": 3, "xs": np.zeros((2, 1, 2))}, "model"),
        ({"model": "it"}, "model= needs xs="),
        ({"model": "it", "xs": np.zeros(3)}, "xs must be a batch"),
        ({"model": "it", "xs": np.zeros((2, 1, 2)), "t": 3}, "t=3, but the sequences have 2 steps"),
        (
            {"model": "it", "xs": np.zeros((2, 1, 2)), "t": 0},
            "t must be a whole number of at least 1",
        ),
        ({"model": "it", "xs": np.zeros((2, 1, 9))}, "xs must be"),
        ({"model": "it", "xs": np.zeros((2, 1, 2)), "grad": True}, "grad=True needs targets"),
        ({"model": "it", "xs": np.zeros((2, 1, 2)), "cell": lstm.GRU}, "go not together"),
    ],
)
def test_what_does_not_fit_is_said(asked: dict[str, Any], words: str) -> None:
    if asked.get("model") == "it":
        asked = asked | {"model": model_of("lstm")}
    with pytest.raises(ConfigError, match=words):
        lstm.figures.forget_gate(**asked)


# --- the command ---------------------------------------------------------------------------------


def test_the_command_writes_what_is_asked_for(
    tmp_path: Path, capsys: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr(numbered, "STEPS", 1)
    args = ["figures", "--out", str(tmp_path), "--only", "ex10", "--only", "ex7", "--json"]
    assert main([*args, "--dark", "--numbers"]) == 0
    files = json.loads(capsys.readouterr().out)["files"]
    names = ["ex10_forget_gate.svg", "ex7_legend.svg", "index.html"]
    assert [Path(file).name for file in files] == names
    text = (tmp_path / names[0]).read_text(encoding="utf-8")
    assert "step t = " in text and "<text" in text
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 2 and "What the signs mean" in page
    alone = tmp_path / "alone"
    assert main(["figures", "--out", str(alone), "--only", "ex7", "--format", "png"]) == 0
    assert (alone / "ex7_legend.png").read_bytes()[:4] == b"\x89PNG"
    assert main(["figures", "--out", str(tmp_path), "--only", "ex77"]) == 2
    assert "there is no figure 'ex77'; there are ex1, ex2" in capsys.readouterr().err


def test_every_figure_of_the_textbook_has_its_name() -> None:
    names = [f"ex{k}" for k in range(1, 14)] + [
        "lstm",
        "peephole",
        "coupled",
        "gru",
        "variants",
        "fan",
    ]
    assert list(numbered.FIGURES) == names
    for name, entry in numbered.FIGURES.items():
        assert name in entry.file.split("_") and entry.file.isidentifier()
        assert entry.draw.__name__ in lstm.figures.__all__


@pytest.mark.parametrize(
    ("x", "word"), [(9.997, "10"), (-9.996, "−10"), (9.99, "9.99"), (-0.25, "−.25"), (10.2, "10")]
)
def test_only_a_leading_0_is_left_out(x: float, word: str) -> None:
    assert _few_letters(x) == word


def test_numbers_need_a_model() -> None:
    with pytest.raises(ConfigError, match="xs= goes with model="):
        lstm.figures.forget_gate(lstm.LSTM, xs=np.zeros((3, 1, 2)))
