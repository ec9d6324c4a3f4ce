"""A derivation as text of 80 columns, as aligned LaTeX, and as HTML. Long ones tell their middle by
a count."""

from __future__ import annotations

import html
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from minigrad.derivations.lines import Step
from minigrad.derivations.mathml import mathml
from minigrad.display import plain
from minigrad.graph.leaves import placeholder
from minigrad.graph.node import Expr
from minigrad.text import escaped, formula
from minigrad.types import FLOAT64, TensorType

WIDTH = 80
ESCAPED_SPACE = escaped(" ")
_FIRST, _LAST = 12, 4  # steps that are told of a long derivation


def told(count: int) -> list[int | None]:
    """The numbers of the steps that are told; None for those between that are not.

    >>> told(3), told(40)[10:]
    ([1, 2, 3], [11, 12, None, 37, 38, 39, 40])
    """
    if count <= _FIRST + _LAST + 1:
        return list(range(1, count + 1))
    return [*range(1, _FIRST + 1), None, *range(count - _LAST + 1, count + 1)]


@dataclass(frozen=True, eq=False)
class Told:
    """What is told of a derivation: ∂y/∂x, and the steps."""

    y: Expr
    x: Expr
    steps: Sequence[Step]

    def head(self, latex: bool) -> tuple[str, str, str]:
        """What y is called, its formula, and ∂y/∂x."""
        symbol = _name(self.y.label or "y", latex)
        over = _name(self.x.name or "x", latex)
        whole = rf"\frac{{\partial {symbol}}}{{\partial {over}}}" if latex else f"∂{symbol}/∂{over}"
        return symbol, formula(self.y, latex=latex)[0], whole

    def lines(self, latex: bool) -> Iterator[tuple[Step | None, str]]:
        """Each step that changes what is written, and the line after it; None and how many are
        left out."""
        numbers = told(len(self.steps))
        before = ""
        for k in numbers:
            if k is None:
                yield None, f"{len(self.steps) - len(numbers) + 1:,} more steps"
                continue
            step = self.steps[k - 1]
            line = step.after.latex() if latex else repr(step.after)
            if line != before:
                yield step, line
            before = line

    def still(self, step: Step) -> str:
        """What does not depend on x, in words."""
        names = [a.name or formula(a, limit=6)[0] for a in step.still]
        verb = "does" if len(names) == 1 else "do"
        return f"{', '.join(names)} {verb} not depend on {self.x.name}" if names else ""


def _name(name: str, latex: bool) -> str:
    return formula(placeholder(name, TensorType((), FLOAT64)), latex=latex)[0]


def as_text(d: Told) -> str:
    """The derivation in lines of 80 columns."""
    symbol, whole, head = d.head(latex=False)
    shown = [_folded(f"{symbol} = {whole}", ""), "", _folded(head, "")]
    for step, line in d.lines(latex=False):
        if step is None:
            shown.append(f"    … {line}")
        else:
            reason = "; ".join(filter(None, (step.rule, d.still(step))))
            shown += [_folded(reason, "    "), _folded(f"= {line}", "  ")]
    return "\n".join(shown)


def as_latex(d: Told) -> str:
    """The derivation as one aligned block: formulas, and beside each the rule that made it."""
    symbol, whole, head = d.head(latex=True)
    rows = [rf"{symbol} &= {whole}"]
    for step, line in d.lines(latex=True):
        if step is None:
            rows.append(rf"&\;\;\vdots && \text{{{line}}}")
            continue
        words, math = step.move.rule.parts()
        still = d.still(step)
        reason = _words(words) + math + (_words(f"; {still}") if still else "")
        rows.append(f"{head} &= {line} && {reason}")
        head = ""
    return r"\begin{aligned} " + r" \\ ".join(rows) + r" \end{aligned}"


def _words(text: str) -> str:
    """Words within LaTeX."""
    return rf"\text{{{escaped(plain(text)).replace(ESCAPED_SPACE, ' ')}}}"


def as_html(d: Told) -> str:
    """The derivation as a table: formulas, and beside each the rule that made it."""
    symbol, whole, head = d.head(latex=True)
    rows = [_row(symbol, whole, "")]
    for step, line in d.lines(latex=True):
        if step is None:
            rows.append(_row("", "", _safe(f"… {line}")))
            continue
        words, math = step.move.rule.parts()
        still = d.still(step)
        reason = (
            _safe(words) + (mathml(math) if math else "") + _safe(f"; {still}" if still else "")
        )
        rows.append(_row(head, line, reason))
        head = ""
    return f"<table><tbody>{''.join(rows)}</tbody></table>"


def _row(left: str, right: str, reason: str) -> str:
    """A row of two formulas in LaTeX, with an = between them, and of a reason in HTML."""
    sides = [mathml(left) if left else "", mathml(f"= {right}") if right else ""]
    cells = zip((*sides, reason), ("right", "left", "left"), strict=True)
    shown = "".join(f'<td style="text-align: {side}">{cell}</td>' for cell, side in cells)
    return f"<tr>{shown}</tr>"


def _safe(text: str) -> str:
    return html.escape(plain(text)) if text else ""


def _folded(line: str, indent: str) -> str:
    below = indent + "    "
    return textwrap.fill(plain(line), WIDTH, initial_indent=indent, subsequent_indent=below)
