"""Pointwise expressions: minigrad's backends beside NumPy and numexpr.

    python benchmarks/pointwise.py [--dtype float64] [N ...]     default: float32, 10^3 ... 10^7

Nanoseconds an element, the least of many calls, in turn; every call gives a new array, as users
have it. All run on one thread. `*` marks a native function that is NumPy's calls after all: the
backend makes code only where a loop of its own is expected to pay. Values are compared first.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from typing import Any, NamedTuple

os.environ.setdefault("NUMEXPR_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from arguments import count
from rich.console import Console
from rich.table import Table

import minigrad as mg

SIZES = [10**3, 10**4, 10**5, 10**6, 10**7]


class Formula(NamedTuple):
    """One expression of x and y, written three times: as it reads, for NumPy, for numexpr."""

    name: str
    symbolic: Callable[[mg.Expr, mg.Expr], mg.Expr]
    numpy: Callable[[Any, Any], Any]
    numexpr: str


FORMULAS = [
    Formula(
        "x·y + x - y/2",
        lambda x, y: x * y + x - y * 0.5,
        lambda x, y: x * y + x - y * 0.5,
        "x * y + x - y * 0.5",
    ),
    Formula(
        "1/(1 + e⁻ˣ)",
        lambda x, y: mg.sigmoid(x),
        lambda x, y: 1 / (1 + np.exp(-x)),
        "1 / (1 + exp(-x))",
    ),
    Formula(
        "tanh(x)·y + exp(-x²)",
        lambda x, y: mg.tanh(x) * y + mg.exp(-x * x),
        lambda x, y: np.tanh(x) * y + np.exp(-x * x),
        "tanh(x) * y + exp(-x * x)",
    ),
    Formula(
        "log(1 + eˣ)·√(1 + y²)",
        lambda x, y: mg.log1p(mg.exp(x)) * mg.sqrt(1 + y * y),
        lambda x, y: np.log1p(np.exp(x)) * np.sqrt(1 + y * y),
        "log1p(exp(x)) * sqrt(1 + y * y)",
    ),
    Formula(
        "exp(-((x - y)/2)²/2)/√2π",
        lambda x, y: mg.exp(-0.5 * mg.square((x - y) * 0.5)) * 0.3989423,
        lambda x, y: np.exp(-0.5 * np.square((x - y) * 0.5)) * 0.3989423,
        "exp(-0.5 * ((x - y) * 0.5) ** 2) * 0.3989423",
    ),
]


def contenders(formula: Formula, x: Any, y: Any) -> tuple[dict[str, Callable[[], Any]], bool]:
    """The calls, by column, and whether native is machine code."""
    variables = [mg.var(name, a.shape, a.dtype.name) for name, a in (("x", x), ("y", y))]
    expression = formula.symbolic(*variables)
    calls: dict[str, Callable[[], Any]] = {}
    fused = False
    try:
        native = mg.function(variables, expression, backend="native")
        calls["native"] = lambda: native(x, y)
        fused = any(step.node.op.name == "block" for step in native.plan.steps)
    except ImportError:
        pass
    plain = mg.function(variables, expression, backend="numpy")
    calls["numpy backend"] = lambda: plain(x, y)
    calls["NumPy"] = lambda: formula.numpy(x, y)
    try:
        import numexpr

        numexpr.set_num_threads(1)
        arrays = {"x": x, "y": y}
        numexpr.validate(formula.numexpr, arrays)
        calls["numexpr"] = lambda: numexpr.re_evaluate(arrays)
    except ImportError:
        pass
    return calls, fused


def measure(formula: Formula, n: int, dtype: str, seconds: float = 0.4) -> list[str]:
    """One row."""
    rng = np.random.default_rng(0)
    x, y = (rng.standard_normal(n).astype(dtype) for _ in range(2))
    calls, fused = contenders(formula, x, y)
    expected = formula.numpy(x.astype("float64"), y.astype("float64"))
    for name, call in calls.items():
        if not np.allclose(call(), expected, rtol=1e-5, atol=1e-6):
            raise SystemExit(f"{name} is wrong about {formula.name}")
    least = dict.fromkeys(calls, float("inf"))
    end = time.perf_counter() + seconds
    turn = 0
    while time.perf_counter() < end or turn < 3:
        for name, call in calls.items():
            begun = time.perf_counter()
            call()
            least[name] = min(least[name], time.perf_counter() - begun)
        turn += 1
    cells = [formula.name, f"{n:,}"]
    for name in ("native", "numpy backend", "NumPy", "numexpr"):
        if name not in least:
            cells.append("not installed")
            continue
        mark = "*" if name == "native" and not fused else ""
        cells.append(f"{least[name] / n * 1e9:.3g}{mark}")
    others = [least[k] for k in ("NumPy", "numexpr") if k in least]
    cells.append(f"{least['native'] / min(others):.2f}" if "native" in least else "—")
    return cells


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--dtype", choices=["float32", "float64"], default="float32")
    parser.add_argument("N", nargs="*", type=count, default=SIZES)
    dtype, sizes = (chosen := parser.parse_args()).dtype, chosen.N
    table = Table(title=f"{dtype}, ns an element, one thread")
    for k, head in enumerate(
        ["formula", "N", "native", "numpy backend", "NumPy", "numexpr", "native to the faster"]
    ):
        table.add_column(head, justify="right" if k else "left")
    for formula in FORMULAS:
        for n in sizes:
            table.add_row(*measure(formula, n, dtype))
        table.add_section()
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
