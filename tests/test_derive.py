"""`mg.derive`: rules by name, steps that are true, and what the last of them is."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from op_cases import CASES, Case

import minigrad as mg
from minigrad.derivations.rules import rule_of

W, X, B = mg.var("w"), mg.var("x"), mg.var("b")


def is_plain(case: Case) -> bool:
    """Whether a derivation goes through the op: it has a derivative, which is that of its value,
    and each node has one result."""
    nodes = mg.toposort(case.build(*case.variables(case.arrays())))
    return (
        case.smooth
        and case.op != "scale_gradient"
        and all(isinstance(n.type, mg.TensorType) for n in nodes)
    )


PLAIN = [c for c in CASES if is_plain(c)]


def rules(d):
    return [step.rule for step in d.steps]


# --- what a newcomer sees ------------------------------------------------------------------------


def test_a_newcomers_example():
    d = mg.derive(mg.tanh(W * X + B) ** 2, W)
    assert isinstance(d, mg.Derivation)
    assert str(d) == (
        "y = tanh(w * x + b) ^ 2\n"
        "\n"
        "∂y/∂w\n"
        "    power rule\n"
        "  = 2 * tanh(w * x + b) * ∂[tanh(w * x + b)]/∂w\n"
        "    chain rule: tanh′(u) = 1 - tanh(u) ^ 2\n"
        "  = 2 * tanh(w * x + b) * (1 - tanh(w * x + b) ^ 2) * ∂[w * x + b]/∂w\n"
        "    sum rule; b does not depend on w\n"
        "  = 2 * tanh(w * x + b) * (1 - tanh(w * x + b) ^ 2) * ∂[w * x]/∂w\n"
        "    product rule; x does not depend on w\n"
        "  = 2 * tanh(w * x + b) * (1 - tanh(w * x + b) ^ 2) * x\n"
        "    as minigrad computes it\n"
        "  = 2 * tanh(w * x + b) * tanh_slope(w * x + b) * x"
    )
    assert d.result is mg.simplify(mg.grad(d.y, W))
    assert d.check() < 1e-9


def test_paths_that_meet_are_added_up_and_rewrites_have_their_names():
    d = mg.derive(X * X, X)
    assert rules(d) == ["product rule", "sum of paths", "rewrite: a + a"]
    assert [repr(step.after) for step in d.steps] == ["x + x", "x + x", "2 * x"]
    assert d.result is mg.simplify(2.0 * X)


def test_what_is_stabilised_before_is_a_step():
    d = mg.derive(mg.log(mg.sigmoid(X)), X)
    assert d.steps[0].rule == "rewrite: log(sigmoid(a))"
    assert repr(d.steps[0].after) == "∂[-softplus(-x)]/∂x"
    assert repr(d.steps[-1].after) == "sigmoid(-x)"
    assert d.check() < 1e-9


def test_a_step_says_where_it_is_applied():
    inner = mg.sin(X)
    d = mg.derive(mg.exp(inner), X)
    assert [step.at for step in d.steps] == [d.y, inner]
    assert repr(d.steps[0].before) == "∂[exp(sin(x))]/∂x"
    assert repr(d.steps[1]) == "<step 2, chain rule: sin′(u) = cos(u): exp(sin(x)) * cos(x)>"
    assert d.steps[-1].number == 2 and len(d.steps[:1]) == 1 and repr(d.steps) == "<2 steps>"


def test_terms_come_in_the_place_of_the_one_that_goes():
    d = mg.derive(mg.sin(mg.exp(X)) + mg.exp(X), X)
    assert repr(d.steps[1].after) == "cos(exp(x)) * ∂[exp(x)]/∂x + ∂[exp(x)]/∂x"


def test_names_stand_for_what_they_name():
    v = mg.var("v")
    u = (v * X + B).named("u")
    d = mg.derive(mg.tanh(u), v)
    assert repr(d.steps[0].after) == "(1 - tanh(u) ^ 2) * ∂u/∂v"


def test_a_node_within_may_be_what_the_derivative_is_by():
    u = mg.var("slope") * X  # of its own: a name stays with a node
    d = mg.derive(mg.sin(u) * u, u.named("u"))
    assert repr(d.steps[-1].after) == "sin(u) + u * cos(u)"
    at = {"slope": 0.3, X: 0.5}
    u_ = 0.15
    assert d.result.eval(at) == pytest.approx(np.cos(u_) * u_ + np.sin(u_), rel=1e-14)
    assert d.check() < 1e-9


def test_what_has_no_name_is_called_by_its_formula():
    d = mg.derive(mg.sin(W * B) * B, W * B)
    assert "∂y/∂[w * b]" in str(d) and "b does not depend on [w * b]" in str(d)
    assert d.result.eval({W: 0.5, B: 2.0}) == pytest.approx(2.0 * np.cos(1.0), rel=1e-14)


def test_of_what_does_not_depend_it_is_zero():
    d = mg.derive(mg.sin(W), X)
    assert rules(d) == ["a constant has derivative 0"]
    assert repr(d.steps[-1].after) == "0"
    assert d.result.eval() == 0.0 and d.check() == 0.0


def test_by_itself_it_is_one():
    d = mg.derive(X, X)
    assert rules(d) == ["a variable by itself has derivative 1"]
    assert str(d).endswith("∂y/∂x\n    a variable by itself has derivative 1\n  = 1")
    assert d.result.eval() == 1.0 and d.check() < 1e-9


# --- properties ----------------------------------------------------------------------------------

UNARY = [mg.sin, mg.tanh, mg.sigmoid, mg.exp, mg.softplus, mg.square, mg.negative]
BINARY = [mg.add, mg.subtract, mg.multiply, lambda a, b: a / (b * b + 1.0), mg.hypot]


@st.composite
def scalar_graphs(draw):
    pool = [X, W, B]
    for _ in range(draw(st.integers(1, 8))):
        one = pool[draw(st.integers(0, len(pool) - 1))]
        if draw(st.booleans()):
            made = draw(st.sampled_from(UNARY))(mg.sin(one))
        else:
            made = draw(st.sampled_from(BINARY))(one, pool[draw(st.integers(0, len(pool) - 1))])
        pool.append(made)
    return pool[-1]


@settings(max_examples=12)
@given(scalar_graphs())
def test_each_step_keeps_the_value_and_the_last_is_the_gradient(y):
    d = mg.derive(y, X)
    at = {X: 0.3, W: 0.6, B: 0.7}
    lines = [step.before.value for step in d.steps] + [step.after.value for step in d.steps]
    gradient = mg.grad(y, X)
    values = mg.eval([gradient, *lines], {v: at[v] for v in mg.free_variables([y, *lines])})
    np.testing.assert_allclose(values[1:], values[0], rtol=1e-9, atol=1e-12)
    assert d.result is mg.simplify(gradient)
    if X in set(mg.toposort(y)):
        h = 1e-6
        free = mg.free_variables(y)
        up, down = (float(y.eval({v: at[v] + s * (v is X) for v in free})) for s in (h, -h))
        assert values[0] == pytest.approx((up - down) / (2 * h), rel=1e-6, abs=1e-7)
    assert d.check() < 1e-6


@settings(max_examples=8)
@given(scalar_graphs())
def test_the_last_line_is_the_result(y):
    d = mg.derive(y, X)
    if d.steps and d.steps[-1].after.terms:
        assert repr(d.steps[-1].after) == str(d.result)
        assert d.steps[-1].after.value is d.result


# --- every op ------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", PLAIN, ids=lambda c: c.id)
def test_every_op_has_a_rule_that_is_true(case: Case):
    arrays = case.arrays()
    variables = case.variables(arrays)
    y = case.build(*variables)
    by = next(v for v in variables if v.dtype.kind == "f")
    d = mg.derive(y, by)
    assert all(step.rule for step in d.steps)
    assert d.check(dict(zip(variables, arrays, strict=True))) < 1e-6


def test_a_scaled_gradient_is_none_of_the_value_and_the_check_says_so():
    d = mg.derive(mg.sin(mg.scale_gradient(X, 0.5)), X)
    with pytest.raises(mg.GradientError, match="chain rule: scale_gradient"):
        d.check()


def test_a_path_that_ends_does_not_hide_the_others():
    d = mg.derive(X * W + X // 2.0, X)
    assert d.result.eval({W: 3.0}) == 3.0
    assert repr(d.steps[-1].after) == "w"


def test_rules_are_read_from_the_ops_records():
    own = mg.Op(
        "own_bend",
        lambda x: x,
        lambda x: x * x,
        partials=(lambda y, x: 2.0 * x,),
        pointwise=True,
    )
    y = own(X)
    assert rule_of(y).text() == "chain rule: own_bend′(u) = 2 * u"
    called = dataclasses.replace(own, name="own_bend_2", rule="rule of bends")
    assert rules(mg.derive(called(X), X)) == ["rule of bends"]
    with pytest.raises(TypeError, match="`rule` must be a text"):
        dataclasses.replace(own, rule=7)


# --- Jacobians in matrix notation -----------------------------------------------------------------

V, M = mg.var("v", (3,)), mg.var("M", (3, 3))


def last(y, by=V):
    d = mg.derive(y, by)
    assert d.check() < 1e-6
    line = d.steps[-1].after
    at = {v: np.random.default_rng(0).uniform(0.2, 0.8, v.shape) for v in mg.free_variables(y)}
    whole, jacobian = mg.eval([line.value, mg.jacobian(y, by)], at)
    np.testing.assert_allclose(whole, jacobian, rtol=1e-10, atol=1e-13)
    return repr(line)


def test_a_layers_jacobian_is_a_diagonal_times_its_weights():
    assert last(mg.tanh(M @ V)) == "diag(1 - tanh(M @ v) ^ 2) @ M"
    assert last(mg.tanh(V @ M)) == "diag(1 - tanh(v @ M) ^ 2) @ M.T"
    row = mg.var("row", (1, 3))
    assert last(mg.sigmoid(row @ M), row) == (
        "diag(sigmoid(row @ M) * (1 - sigmoid(row @ M))) @ M.T"
    )


def test_a_step_that_changes_nothing_that_is_written_is_not_told():
    d = mg.derive(mg.tanh(M @ V), V)
    assert "chain rule: reshape" in rules(d) and "reshape" not in str(d)


def test_diagonals_meet_and_numbers_come_to_the_front():
    assert last(mg.exp(mg.sin(V))) == "diag(exp(sin(v)) * cos(v))"
    assert last(-2.0 * mg.sin(V)) == "-2 * diag(cos(v))"
    assert last(3.0 * V) == "3 * I" and last(-V) == "-I" and last(V) == "I"


def test_parts_sums_and_what_has_no_notation():
    assert last(mg.concat([V, mg.sin(V)])[:3]) == "I"
    assert last(mg.sin(V)[1:]) == "I[1:3] @ diag(cos(v))"
    K = mg.var("K", (6, 2))
    assert last(mg.concat([mg.sin(V), V]) @ K) == "K[3:, :].T + K[:3, :].T @ diag(cos(v))"
    assert last(mg.sum(mg.sin(V)) * mg.var("u", (2,))) == "diag(u) @ 1 @ 1.T @ diag(cos(v))"
    assert "[:, 0:3]" in last(mg.sin(mg.concat([mg.cos(V), V])))
    assert last(mg.softmax(V)) == "∂[softmax(v)]/∂[v]"


def test_residual_blocks_stand_one_after_the_other():
    h = V
    for _ in range(2):
        h = h + mg.tanh(M @ h)
    d = mg.derive(h, V)
    assert d.check() < 1e-6
    assert [p.text.count("diag") for p in d.steps[-1].after.paths] == [0, 1, 1, 2]
    text = repr(d.steps[-1].after)
    assert text.startswith("(I + diag(") and text.count("(I + ") == 2
    for _ in range(10):
        h = h + mg.tanh(M @ h)
    assert len(repr(mg.derive(h, V).steps[-1].after)) < 2000


def test_brackets_within_brackets_end():
    before, h = V, mg.tanh(M @ V)
    for _ in range(7):
        before, h = h, mg.tanh(M @ h) * mg.sin(before)
    d = mg.derive(h, V)
    depths = [t.coefficient.depth for step in d.steps for t in step.after.terms]
    assert max(depths) == 3 and d.check() < 1e-6


def test_paths_are_of_the_last_line_of_a_tensor():
    with pytest.raises(mg.GraphError, match="last line"):
        _ = mg.derive(mg.sin(M @ V), V).steps[0].after.paths
    paths = mg.derive(mg.sin(V) * V, V).steps[-1].after.paths
    assert [p.text for p in paths] == ["diag(sin(v))", "diag(v * cos(v))"]
    assert [[n.op.name for n in p.nodes] for p in paths] == [["multiply"], ["multiply", "sin"]]


def test_a_path_passes_the_nodes_after_those_where_others_joined_it() -> None:
    met = mg.negative(mg.negative(V))
    paths = mg.derive(mg.sin(met) * mg.cos(met) + mg.tanh(V), V).steps[-1].after.paths
    names = sorted([n.op.name for n in p.nodes] for p in paths)
    around = ["negative", "negative"]
    assert names == [
        ["add", "multiply", "cos", *around],
        ["add", "multiply", "sin", *around],
        ["add", "tanh"],
    ]


# --- LaTeX and HTML -------------------------------------------------------------------------------


def test_latex_is_aligned_with_the_rules_beside():
    d = mg.derive(mg.sigmoid(W * X) * 2.0, W)
    rows = (
        d.latex().removeprefix(r"\begin{aligned} ").removesuffix(r" \end{aligned}").split(r" \\ ")
    )
    assert rows[0] == r"y &= \sigma\left(w \cdot x\right) \cdot 2"
    assert rows[1] == (
        r"\frac{\partial y}{\partial w} &= 2 \cdot \frac{\partial}{\partial w}"
        r"\left[\sigma\left(w \cdot x\right)\right] && \text{product rule}"
    )
    assert rows[2].endswith(
        r"&& \text{chain rule: }\frac{d}{du} \sigma\left(u\right) = "
        r"\sigma\left(u\right) \cdot \left(1 - \sigma\left(u\right)\right)"
    )
    assert rows[3].endswith(r"&& \text{product rule}\text{; x does not depend on w}")
    bundle = d._repr_mimebundle_()
    assert bundle["text/latex"] == d._repr_latex_() == rf"$\displaystyle {d.latex()}$"
    assert bundle["text/html"] == d._repr_html_() and bundle["text/plain"] == repr(d)


@pytest.mark.parametrize(
    ("name", "latex"),
    [
        ("C̃ₜ₋₁", r"\tilde{C}_{t-1}"),
        ("h₀", "h_{0}"),
        ("W_h₁₂", "W_{h, 12}"),
        ("fₜ", "f_{t}"),
        ("W_hh", r"W_{\mathrm{hh}}"),
    ],
)
def test_times_below_a_name_are_subscripts(name, latex):
    assert mg.to_latex(mg.var(name)) == latex


def test_a_hostile_name_steers_no_page():
    bad = mg.var("<script>alert(1)</script>")
    shown = mg.derive(mg.sin(bad) * W, bad)._repr_mimebundle_()
    assert "<script" not in shown["text/html"] and "<script" not in shown["text/latex"]
    assert "\x1b" not in repr(mg.derive(mg.sin(mg.var("\x1b[31m")), mg.var("\x1b[31m")))


def test_a_display_that_fails_says_so():
    class Broken(mg.Derivation):
        def latex(self):
            raise RuntimeError("no ink")

    shown = Broken(mg.sin(X), X)._repr_mimebundle_()
    assert "text/latex" not in shown and "no ink" in shown["text/plain"]


# --- large, and wrong ----------------------------------------------------------------------------


def test_a_long_graph_is_told_at_its_ends():
    y = X
    for _ in range(300):
        y = mg.sin(y) * 0.9 + W
    d = mg.derive(y, X)
    text = str(d)
    assert len(d.steps) > 900 and len(text) < 20_000
    assert f"… {len(d.steps) - 16:,} more steps" in text
    assert max(map(len, text.splitlines())) <= 80
    assert d.steps[600].number == 601 and d.steps[5].number == 6


def test_many_terms_are_told_by_a_count():
    y = X * 0.0
    for k in range(40):
        y = y + mg.sin(X * float(k + 1))
    texts = [repr(step.after) for step in mg.derive(y, X).steps]
    assert any(text.endswith("more terms)") for text in texts)


def test_wrong_arguments_are_refused():
    with pytest.raises(mg.DTypeError, match="no minigrad expression"):
        mg.derive(3.0, X)
    with pytest.raises(mg.DTypeError, match="not of a float dtype"):
        mg.derive(mg.var("n", (), "int64"), X)
    xs = mg.var("xs", (3,))
    last, _ = mg.scan(lambda c, x: (c * x, None), mg.const(1.0), xs)
    with pytest.raises(mg.GraphError, match=r"is a loop; write it out.*minigrad\.unroll"):
        mg.derive(last, xs)
    assert mg.derive(mg.unroll(last), xs).check() < 1e-9
    matrix = mg.var("M", (2, 2))
    with pytest.raises(mg.GraphError, match="has several results"):
        mg.derive(mg.sum(mg.linalg.svd(matrix)[1]), matrix)
    y32 = mg.var("f", (), "float32")
    with pytest.raises(mg.DTypeError, match="float64"):
        mg.derive(mg.sin(y32), y32).check()


def test_a_check_names_the_step_that_is_wrong():
    bent = mg.Op(
        "bent",
        lambda x: x,
        lambda x: x * x,
        partials=(lambda y, x: 3.0 * x,),  # 2 x it should be
        pointwise=True,
        rule="rule of bends",
    )
    d = mg.derive(mg.sin(bent(X)), X)
    with pytest.raises(mg.GradientError, match="step 2, rule of bends: what it makes differs"):
        d.check()


V = mg.var("v", (3,))
CENTRED = V - mg.mean(V)
NOISE = (V + 0.7) - V - 0.7
CANCELLING = {
    "a sum of products": mg.sum(CENTRED * CENTRED),
    "a gradient of 0": mg.sum(mg.softmax(CENTRED)),
    "rows of a Jacobian": mg.softmax(CENTRED),
    "the mean of what has none": CENTRED - mg.mean(CENTRED),
    "a node that is rounding alone": mg.square(NOISE),
    "a slope that differences hardly find": mg.sum(mg.sin(500.0 * V)),
    "a slope that the formula in the book loses": mg.sum(mg.tanh(20.0 * V + 15.0)),
}


@pytest.mark.parametrize("y", CANCELLING.values(), ids=CANCELLING)
def test_what_rounding_and_differences_leave_is_no_wrong_step(y):
    d = mg.derive(y, V)
    assert max(d.check(seed=seed) for seed in range(3)) < 1e-6


def test_a_difference_that_is_0_by_chance_is_no_sure_slope():
    assert mg.derive(mg.tanh((8.0 * W + X) - X), X).check(seed=33) < 1e-6


def test_a_wrong_step_is_named_where_right_ones_cancel():
    off = mg.Op(
        "off",
        lambda x: x,
        lambda x: x * x,
        partials=(lambda y, x: (2.0 + 3e-6) * x,),  # 2 x it should be
        pointwise=True,
        rule="rule of offs",
    )
    for y in (mg.sum(off(CENTRED)), mg.sum(off(V) - off(V) * 1.0000001)):
        with pytest.raises(mg.GradientError, match="rule of offs"):
            mg.derive(y, V).check()


def test_the_page_on_derivations_is_true(capsys):
    page = (Path(__file__).parents[1] / "docs" / "derivations.md").read_text("utf-8")
    blocks = re.findall(r"^```(?:python)?\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    code, printed, more, *_ = blocks
    names: dict[str, object] = {}
    exec(compile(code, "docs/derivations.md", "exec"), names)
    assert capsys.readouterr().out == printed
    exec(compile(more, "docs/derivations.md", "exec"), names)
    assert capsys.readouterr().out.strip() == more.rpartition("# ")[2].strip()
