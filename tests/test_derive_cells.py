"""`lstm.figures.cell_gradient`: the textbook's terms, and numbers that NumPy has, too."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest

import lstm
import lstm.figures
import minigrad as mg
from lstm.cells import CELLS
from lstm.cells.anatomy import anatomy
from lstm.figures.derivation import CellGradient, CellGradients
from lstm.figures.derivation_symbols import symbols_of

pytestmark = pytest.mark.usefixtures("by_numpy")

LENGTH, HIDDEN = 12, 3


def model_of(kind, **options) -> lstm.Model:
    task = lstm.Adding(length=LENGTH)
    return lstm.Model.create(kind, task=task, hidden_size=HIDDEN, seed=3, memory=0, **options)


@pytest.fixture(scope="module")
def both() -> CellGradients:
    return lstm.figures.cell_gradient(model_of(lstm.LSTM))


def state(part: CellGradient, name: str) -> np.ndarray:
    """Of a flow, what a value is after each step from 2 on, one row for each sequence."""
    return part.flow.values[name][1:].reshape(-1, HIDDEN).astype(float)


def before(part: CellGradient, name: str) -> np.ndarray:
    return part.flow.values[name][:-1].reshape(-1, HIDDEN).astype(float)


def norms(matrices: np.ndarray) -> np.ndarray:
    return np.linalg.svd(matrices, compute_uv=False)[..., 0]


def diag(v: np.ndarray) -> np.ndarray:
    return v[..., None] * np.eye(v.shape[-1])


# --- the LSTM and the RNN -------------------------------------------------------------------------


def test_an_lstms_terms_are_the_textbooks(both):
    whole = both.parts[0]
    hidden = " @ diag(oₜ₋₁ * (1 - tanh(Cₜ₋₁) ^ 2))"
    assert {t.through: t.text for t in whole.terms} == {
        (): "diag(fₜ)",
        ("fₜ", "hₜ₋₁"): "diag(Cₜ₋₁ * fₜ * (1 - fₜ)) @ W_fh.T" + hidden,
        ("iₜ", "hₜ₋₁"): "diag(C̃ₜ * iₜ * (1 - iₜ)) @ W_ih.T" + hidden,
        ("C̃ₜ", "hₜ₋₁"): "diag(iₜ * (1 - C̃ₜ ^ 2)) @ W_Ch.T" + hidden,
    }
    assert whole.terms[0].through == () and whole.terms[0].latex == (
        r"\operatorname{diag}\left(f_{t}\right)"
    )
    assert whole.symbol == "C" and whole.derivation.check() < 1e-6


def test_an_lstms_norms_are_those_of_the_formulas_in_numpy(both):
    whole = both.parts[0]
    by_path = {t.through: t.norms for t in whole.terms}
    f, i, c = (state(whole, name) for name in ("f", "i", "C̃"))
    o_, c_ = before(whole, "o"), before(whole, "C")
    params = {k.rpartition(".")[2]: v for k, v in model_of(lstm.LSTM).values().items()}
    to_h = diag(o_ * (1 - np.tanh(c_) ** 2))
    slopes = {
        ("fₜ", "hₜ₋₁"): (c_ * f * (1 - f), "W_f"),
        ("iₜ", "hₜ₋₁"): (c * i * (1 - i), "W_i"),
        ("C̃ₜ", "hₜ₋₁"): (i * (1 - c * c), "W_C"),
    }
    matrices = {
        path: diag(slope) @ params[w][:HIDDEN].T.astype(float) @ to_h
        for path, (slope, w) in slopes.items()
    }
    for path, expected in matrices.items():
        np.testing.assert_allclose(by_path[path], norms(expected), rtol=1e-5)
    np.testing.assert_allclose(by_path[()], f.max(axis=1), rtol=1e-6)
    others = np.sum([*matrices.values()], axis=0)
    np.testing.assert_allclose(whole.others, norms(others), rtol=1e-5)
    np.testing.assert_allclose(whole.whole, norms(diag(f) + others), rtol=1e-5)
    kept = np.prod(whole.flow.values["f"][1:].astype(float), axis=0).max(axis=1)
    assert whole.left == pytest.approx(np.median(kept), rel=1e-5)


def test_an_rnns_only_term_and_its_product_over_the_steps(both):
    (term,) = both.parts[1].terms
    assert term.text == "diag(1 - hₜ ^ 2) @ W_hh.T"
    assert term.latex == (
        r"\operatorname{diag}\left(1 - {h_{t}}^{2}\right) \, {W_{\mathrm{hh}}}^{\top}"
    )
    part = both.parts[1]
    h = part.flow.values["h"].astype(float)
    assert part.flow.source is not None
    W = part.flow.source.meter.model.values()["layer1.W_h"][:HIDDEN].astype(float)
    np.testing.assert_allclose(term.norms, norms(diag(1 - state(part, "h") ** 2) @ W.T), rtol=1e-5)
    left = []
    for b in range(h.shape[1]):
        product = np.eye(HIDDEN)
        for t in range(1, LENGTH):
            product = np.diag(1 - h[t, b] ** 2) @ W.T @ product
        left.append(np.linalg.norm(product, 2))
    assert part.left == pytest.approx(np.median(left), rel=1e-5)
    assert part.rate == pytest.approx(np.median(left) ** (1 / (LENGTH - 1)), rel=1e-5)


def test_words_say_the_numbers(both):
    main, plain = both.parts
    assert f"{plain.left:.2g}" in both.words and f"{plain.rate:.3g} a step" in both.words
    assert "in the RNN lasts" in both.words and "in the LSTM it lasts" in both.words
    far = dataclasses.replace(plain, left=1e-9)
    assert "in the RNN vanishes (to 1e-09: " in CellGradients([main, far]).words
    assert "explodes" in CellGradients([dataclasses.replace(main, left=1e9), far]).words
    assert main.words.startswith(f"LSTM: diag(fₜ) has norm {np.median(main.terms[0].norms):.2g}")
    text = repr(both)
    assert max(map(len, text.splitlines())) <= 82  # a tilde over a letter takes no column
    for part in both.parts:
        for term in part.terms:
            assert f"{np.median(term.norms):.2g} ({term.norms.min():.2g}" in text


def test_what_notebooks_show(both):
    shown = both._repr_mimebundle_()
    assert shown["text/plain"] == repr(both) and "(no " not in shown["text/plain"]
    assert shown["text/latex"].count(r"\underbrace") == 5
    assert "diag(fₜ)" in shown["text/html"] and "<script" not in shown["text/html"]
    one = both.parts[0]._repr_mimebundle_()
    assert one["text/latex"].count(r"\underbrace") == 4
    assert re.search(r"\\text\{direct\}: \\; 0\.\d+", one["text/latex"])


# --- any cell -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", CELLS.values(), ids=list(CELLS))
def test_every_cells_terms_sum_to_the_jacobian(kind):
    cell = kind(2, HIDDEN)
    line = anatomy(cell).line
    symbols = symbols_of(cell, cell.output if line is None else line.symbol)
    d = mg.derive(symbols.now, symbols.before)
    assert d.check() < 1e-6
    parts = [p.value for p in d.steps[-1].after.paths]
    rng = np.random.default_rng(1)
    at = {v: rng.uniform(0.1, 0.9, v.shape) for v in mg.free_variables([*parts, d.result])}
    whole, *summands = mg.eval([d.result, *parts], at)
    np.testing.assert_allclose(
        np.sum(summands, axis=0), np.reshape(whole, summands[0].shape), rtol=1e-9, atol=1e-12
    )
    if line is not None:  # the step multiplies it elementwise, by what the anatomy says
        direct = [p for p in d.steps[-1].after.paths if all(n.op.pointwise for n in p.nodes)]
        assert any(not [n for n in p.nodes[1:] if n.label] for p in direct)


def test_a_cell_of_ones_own_and_one_that_is_padded():
    def leaky(p, h, x):
        return 0.9 * h + 0.1 * mg.tanh(x @ p["W_x"] + h @ p["W_h"])

    own = lstm.cell(leaky, params={"W_x": ("I", "H"), "W_h": ("H", "H")})
    xs, ys = np.random.default_rng(0).normal(size=(6, 2, 2)), np.zeros((2, 1))
    part = lstm.figures.cell_gradient(model_of(own), xs, ys, lengths=[6, 3]).parts[0]
    assert [t.text for t in part.terms] == [
        "0.9 * I",
        "0.1 * diag(1 - tanh(xₜ @ W_x + hₜ₋₁ @ W_h) ^ 2) @ W_h.T",
    ]
    assert [t.route for t in part.terms] == ["direct", "through the weights"]
    assert len(part.whole) == 5 + 2
    assert part.left == pytest.approx((0.9**5 + 0.9**2) / 2, rel=1e-5)


def test_an_rnn_stands_alone_and_a_model_of_no_task_needs_a_batch():
    alone = lstm.figures.cell_gradient(model_of(lstm.RNN))
    assert len(alone.parts) == 1 and alone.words == alone.parts[0].words
    with pytest.raises(lstm.ConfigError, match="no task"):
        lstm.figures.cell_gradient(lstm.Model.create(lstm.RNN(2, 3), output_size=1))


def test_what_is_no_model_and_half_a_batch_are_refused():
    for wrong in ("a", lstm.LSTM, 3):
        with pytest.raises(lstm.ConfigError, match="a model is needed"):
            lstm.figures.cell_gradient(wrong)
    for half in ({"xs": np.zeros((3, 1, 2))}, {"ys": np.zeros((1, 1))}):
        with pytest.raises(lstm.ConfigError, match="both xs and ys"):
            lstm.figures.cell_gradient(**half)
    for end in ({"lengths": [3] * 8}, {"mask": np.ones((3, 8), bool)}):
        with pytest.raises(lstm.ConfigError, match="is of a batch: give xs and ys, too"):
            lstm.figures.cell_gradient(**end)


def test_symbols_of_a_step_are_named_once():
    symbols = symbols_of(lstm.LSTM(2, 3), "C")
    names = [n.name for n in symbols.known]
    assert len(set(names)) == len(names) and {"fₜ", "oₜ₋₁", "hₜ₋₁", "Cₜ₋₁", "xₜ"} <= set(names)
    blocks = {n.label: n for n in symbols.held if n.label}
    assert blocks["W_fh"] is symbols.weights["W_f"][:3]
    assert blocks["W_fx"] is symbols.weights["W_f"][3:]


def test_the_page_on_derivations_shows_what_is_printed(capsys):
    page = (Path(__file__).parents[1] / "docs" / "derivations.md").read_text("utf-8")
    *_, code, printed = re.findall(r"^```(?:python)?\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    exec(compile(code, "docs/derivations.md", "exec"), {})
    shown = capsys.readouterr().out
    number = re.compile(r"\d+(\.\d+)?(e-?\d+)?")  # those of another machine differ in a digit
    lines = {number.sub("#", line) for line in shown.splitlines()}
    for line in printed.splitlines():
        assert number.sub("#", line) in lines or line == "  …", line


def test_of_one_step_there_is_nothing_to_measure() -> None:
    model = lstm.Model.create(lstm.LSTM(2, 4), output_size=1, seed=0)
    both = lstm.figures.cell_gradient(model, np.ones((1, 3, 2)), np.ones((3, 1)))
    assert both.words == "LSTM: one step has nothing before it to measure the terms at."
    assert "nan" not in repr(both)
