"""What a page shows of a derivation: MathML of every notation there is, and nothing but it."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
from op_cases import CASES

import minigrad as mg
from minigrad.derivations.mathml import mathml

HEAD = '<math displaystyle="true">'
LOW = '<mo stretchy="false">'
RIGHT, LEFT, MIDDLE = (f'<mtd style="text-align: {s}">' for s in ("right", "left", "center"))


def words(element: ElementTree.Element) -> str:
    return "".join(element.itertext())


@pytest.mark.parametrize(
    ("latex", "inside"),
    [
        (r"x_{t}", "<msub><mi>x</mi><mi>t</mi></msub>"),
        (r"{W_{f}}^{\top}", "<msup><msub><mi>W</mi><mi>f</mi></msub><mo>⊤</mo></msup>"),
        (r"x_1^2", "<msubsup><mi>x</mi><mn>1</mn><mn>2</mn></msubsup>"),
        (r"\frac{a}{2.5}", "<mfrac><mi>a</mi><mn>2.5</mn></mfrac>"),
        (r"\sqrt{a}", "<msqrt><mi>a</mi></msqrt>"),
        (r"\left[a\right]", f"<mrow>{LOW}[</mo><mi>a</mi>{LOW}]</mo></mrow>"),
        (r"\left\lfloor a\right\rfloor", f"<mrow>{LOW}⌊</mo><mi>a</mi>{LOW}⌋</mo></mrow>"),
        (
            r"\left(\frac{a}{b}\right)",
            "<mrow><mo>(</mo><mfrac><mi>a</mi><mi>b</mi></mfrac><mo>)</mo></mrow>",
        ),
        (r"\tilde{C}", '<mover accent="true"><mi>C</mi><mo>~</mo></mover>'),
        (r"\operatorname{a\_b c}", '<mi mathvariant="normal">a_b c</mi>'),
        (r"\text{a \lt  b}", '<mi mathvariant="normal">a &lt;  b</mi>'),
        (r"-a", "<mrow><mo>−</mo><mi>a</mi></mrow>"),
        (r"\sigma'", "<msup><mi>σ</mi><mo>′</mo></msup>"),
        (r"1.5e-05", "<mn>1.5e-05</mn>"),
        (r"\unheard{a}", "<mrow><mi>unheard</mi><mi>a</mi></mrow>"),
        (
            r"\begin{aligned} a &= b \\ &= c \end{aligned}",
            f"<mtable><mtr>{RIGHT}<mi>a</mi></mtd>{LEFT}<mo>=</mo><mi>b</mi></mtd></mtr>"
            f"<mtr>{RIGHT}</mtd>{LEFT}<mo>=</mo><mi>c</mi></mtd></mtr></mtable>",
        ),
        (
            r"\begin{bmatrix} 1 & 2 \end{bmatrix}",
            f"<mrow><mo>[</mo><mtable><mtr>{MIDDLE}<mn>1</mn></mtd>{MIDDLE}<mn>2</mn></mtd></mtr>"
            "</mtable><mo>]</mo></mrow>",
        ),
        ("", "<mrow></mrow>"),
    ],
)
def test_notation(latex, inside):
    assert mathml(latex) == f"{HEAD}{inside}</math>"


@pytest.mark.parametrize(
    "latex",
    [
        r"\frac{a",
        "}",
        r"\left(",
        "^",
        "_",
        r"\text{a",
        "<b>&\"'",
        "\\",
        r"\begin",
        r"\begin{aligned} a & b",
    ],
)
def test_broken_latex_is_still_xml(latex):
    assert ElementTree.fromstring(mathml(latex)).tag == "math"


def test_every_ops_notation_is_known():
    """No command of LaTeX comes out as its name, of functions aside, and all is XML."""
    functions = {"sin", "cos", "tan", "tanh", "log", "exp", "max", "min"}
    for case in CASES:
        y = case.build(*case.variables(case.arrays()))
        if isinstance(y, mg.Expr):
            latex = y.latex()
            commands = set(re.findall(r"\\([A-Za-z]+)", latex)) - functions
            shown = ElementTree.fromstring(mathml(latex))
            said = {e.text for e in shown.iter("mi") if e.get("mathvariant") is None}
            assert not said & commands, case.id


def test_the_table_of_a_derivation_is_xml_with_a_row_a_step():
    w, x, b = mg.var("w"), mg.var("x"), mg.var("b")
    d = mg.derive(mg.tanh(w * x + b) ** 2, w)
    table = ElementTree.fromstring(d._repr_html_())
    rows = [[words(cell) for cell in row] for row in table.iter("tr")]
    assert rows[0] == ["y", "=tanh(w⋅x+b)2", ""]
    assert rows[1] == ["∂y∂w", "=2⋅tanh(w⋅x+b)⋅∂∂w[tanh(w⋅x+b)]", "power rule"]
    assert rows[2][2] == "chain rule: ddutanh(u)=1−tanh(u)2"
    assert rows[3][2] == "sum rule; b does not depend on w"
    assert len(rows) == 1 + len(d.steps)
    y = x
    for _ in range(20):
        y = mg.sin(y)
    table = ElementTree.fromstring(mg.derive(y, x)._repr_html_())
    assert "… 4 more steps" in [words(row) for row in table.iter("tr")]


def test_hostile_names_are_text():
    bad = mg.var("<img src=x onerror=alert(1)>")
    page = mg.derive(mg.sin(bad) * bad, bad)._repr_html_()
    ElementTree.fromstring(page)
    assert "<img" not in page
