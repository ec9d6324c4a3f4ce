"""MathML of the LaTeX that formulas are written in here: pages show it without a script or a font.

Only what `minigrad.text` and the notation of ops write is known; of what is not, the name is shown.
"""

from __future__ import annotations

import html
import re

_TOKEN = re.compile(r"\\[A-Za-z]+|\\.|\d+(?:\.\d+)?(?:e[+-]?\d+)?|[{}^_&']|\s+|.", re.DOTALL)
_SIGNS = {
    "cdot": "⋅", "times": "×", "partial": "∂", "top": "⊤", "infty": "∞", "cdots": "⋯", "vdots": "⋮",
    "lfloor": "⌊", "rfloor": "⌋", "lceil": "⌈", "rceil": "⌉", "lvert": "|", "rvert": "|",
    "le": "≤", "leq": "≤", "ge": "≥", "geq": "≥", "ne": "≠", "neq": "≠", "lt": "<", "gt": ">",
    "land": "∧", "wedge": "∧", "lor": "∨", "vee": "∨", "lnot": "¬", "neg": "¬",
    "oplus": "⊕", "ll": "≪", "gg": "≫", "sim": "~",
    "backslash": "\\", "mid": "|", "bmod": "mod", "odot": "⊙", "otimes": "⊗",
}  # fmt: skip
_LETTERS = {
    "sigma": "σ", "Sigma": "Σ", "pi": "π", "Gamma": "Γ",
}  # fmt: skip
_ACCENTS = {"tilde": "~", "hat": "^", "bar": "¯", "dot": "˙"}
_SPACES = {",": "0.17em", ";": "0.28em", "quad": "1em", " ": "0.25em", "!": "0em"}
_TALL = ("<mfrac", "<msqrt", "<mtable")
_WORDS = ("operatorname", "mathrm", "text", "mathbf", "mathtt")


def mathml(latex: str) -> str:
    r"""A formula as a `math` element; every character of it is escaped.

    >>> print(mathml(r"\frac{1}{x_{t}}"))
    <math displaystyle="true"><mfrac><mn>1</mn><msub><mi>x</mi><mi>t</mi></msub></mfrac></math>
    """
    return f'<math displaystyle="true">{_Parser(latex).until(None)}</math>'


class _Parser:
    """Reads LaTeX from left to right; groups within groups are as deep as a formula's brackets."""

    def __init__(self, latex: str) -> None:
        self._tokens = _TOKEN.findall(latex)
        self._place = 0

    def _peek(self) -> str | None:
        """The next token but blanks; None at the end."""
        while self._place < len(self._tokens) and self._tokens[self._place].isspace():
            self._place += 1
        return self._tokens[self._place] if self._place < len(self._tokens) else None

    def _next(self) -> str:
        token = self._peek()
        self._place += token is not None
        return token or ""

    def until(self, end: str | None) -> str:
        """All up to a token, or to where the text ends, as one element."""
        made: list[str] = []
        while self._peek() is not None and self._peek() != end:
            made.append(self._scripted())
        self._next()
        return made[0] if len(made) == 1 else f"<mrow>{''.join(made)}</mrow>"

    def _scripted(self) -> str:
        base = self._atom()
        below = above = ""
        while (sign := self._peek()) in ("_", "^", "'"):
            self._next()
            if sign == "_":
                below = self._atom()
            else:
                above += "<mo>′</mo>" if sign == "'" else self._atom()
        if not below and not above:
            return base
        kind = "msubsup" if below and above else "msub" if below else "msup"
        return f"<{kind}>{base}{below}{above}</{kind}>"

    def _atom(self) -> str:
        token = self._next()
        if token == "{":
            return self.until("}")
        if token.startswith("\\"):
            return self._command(token[1:])
        if token[:1].isdigit():
            return f"<mn>{token}</mn>"
        kind = "mi" if token.isalpha() else "mo"
        return f"<{kind}>{html.escape('−' if token == '-' else token)}</{kind}>"

    def _command(self, name: str) -> str:
        if name in _SPACES:
            return f'<mspace width="{_SPACES[name]}"/>'
        if name in ("frac", "sqrt"):
            parts = "".join(self._atom() for _ in range(1 + (name == "frac")))
            return f"<m{name}>{parts}</m{name}>"
        if name == "left":
            return self._fenced()
        if name == "begin":
            return self._rows(self._raw())
        if name in _ACCENTS:
            return f'<mover accent="true">{self._atom()}<mo>{_ACCENTS[name]}</mo></mover>'
        if name in _WORDS:
            return f'<mi mathvariant="normal">{html.escape(self._raw())}</mi>'
        if name in _SIGNS:
            return f"<mo>{html.escape(_SIGNS[name])}</mo>"
        known = _LETTERS.get(name, name)
        return (
            f"<mi>{html.escape(known)}</mi>" if name.isalpha() else f"<mo>{html.escape(name)}</mo>"
        )

    def _fenced(self) -> str:
        left = self._fence()
        inside = self.until("\\right")
        right = self._fence()
        # As TeX does; browsers would stretch fences around each subscript, on both sides of it.
        tall = any(kind in inside for kind in _TALL)
        mo = "<mo>" if tall else '<mo stretchy="false">'
        return f"<mrow>{mo}{left}</mo>{inside}{mo}{right}</mo></mrow>"

    def _rows(self, kind: str) -> str:
        """What stands between \\begin and \\end, in rows of columns."""
        sides = ("right", "left") if kind == "aligned" else ("center",)
        rows: list[list[str]] = [[]]
        while True:
            # As a style: browsers do not read `columnalign`.
            side = sides[len(rows[-1]) % len(sides)]
            rows[-1].append(f'<mtd style="text-align: {side}">{self._column()}</mtd>')
            if (sign := self._next()) == "\\\\":
                rows.append([])
            elif sign != "&":
                break
        self._raw()  # the name after \\end
        made = "".join(f"<mtr>{''.join(row)}</mtr>" for row in rows)
        made = f"<mtable>{made}</mtable>"
        return f"<mrow><mo>[</mo>{made}<mo>]</mo></mrow>" if kind == "bmatrix" else made

    def _column(self) -> str:
        made: list[str] = []
        while self._peek() not in (None, "&", "\\\\", "\\end"):
            made.append(self._scripted())
        return "".join(made)

    def _fence(self) -> str:
        token = self._next().removeprefix("\\")
        return html.escape("" if token == "." else _SIGNS.get(token, token))

    def _raw(self) -> str:
        """A group as words, blanks among them."""
        self._next()
        said, depth = [], 1
        while self._place < len(self._tokens):
            token = self._tokens[self._place]
            self._place += 1
            depth += (token == "{") - (token == "}")
            if not depth:
                break
            name = token.removeprefix("\\")
            said.append("" if token in ("{", "}") else _SIGNS.get(name, name))
        return "".join(said)
