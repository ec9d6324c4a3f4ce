"""What helps against a NaN or an infinity, by what made it, in sentences with what was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from minigrad import Expr

_EXPLODED = 100.0  # times what was usual before
_LARGE = 1e4  # a parameter that no net of these needs


class Step(Protocol):
    """What is known of a step that failed."""

    @property
    def params(self) -> Mapping[str, Expr]: ...

    @property
    def norms(self) -> Sequence[float]: ...


def remedy_forward(node: Expr, operands: Sequence[float], step: Step) -> list[str]:
    """For an op whose operands were finite and whose value is not."""
    name = node.op.name
    first = operands[0] if operands else np.nan
    if name in ("log", "log2", "log10") and first <= 0:
        kind = "0" if first == 0 else "a negative number"
        return [
            f"it is the logarithm of {kind}: take log_softmax or a cross-entropy of the logits, "
            "or write log(maximum(x, 1e-7))"
        ]
    if name == "sqrt":
        return ["it is the root of a negative number: write sqrt(maximum(x, 0) + 1e-12)"]
    if name == "divide" and operands[1] == 0:
        return ["it is a division by 0: write where(b != 0, a / where(b != 0, b, 1), 0)"]
    said = exploded(step)
    wide = "" if node.dtype == np.float64 else "; the dtype float64 reaches up to 1e308"
    return said or [f"it overflows {node.dtype}: make what goes in smaller{wide}"]


def remedy_backward(
    user: Expr, operands: Sequence[float], cotangent: float, step: Step
) -> list[str]:
    """For an edge whose term is not finite, of a gradient that was."""
    name = user.op.name
    if cotangent == 0:
        return [
            "this is 0 · ∞: nothing reads the element, behind a mask, and its derivative is "
            f"infinite; mask the argument too: where(c, {name}(where(c, x, 1)), 0)"
        ]
    if 0 in operands:
        return [
            f"the derivative of {name} is infinite there: keep its argument away from 0, as in "
            f"{name}(maximum(x, 1e-12))"
        ]
    return exploded(step) or ["it overflows: a smaller loss, or float64, helps"]


def largest(params: Mapping[str, Expr]) -> tuple[float, str] | None:
    """The largest parameter, where it is larger than those of nets are."""
    sizes = {name: float(np.abs(p.value).max(initial=0.0)) for name, p in params.items()}
    name = max(sizes, key=lambda n: sizes[n], default="")
    return (sizes[name], name) if name and sizes[name] > _LARGE else None


def exploded(step: Step) -> list[str]:
    """Whether training went astray before: the norms of the gradient and the largest parameter."""
    said = []
    norms = list(step.norms)
    if len(norms) >= 3 and max(norms[-3:]) > _EXPLODED * float(np.median(norms)):
        shown = ", ".join(f"{norm:.2g}" for norm in norms[-6:])
        said.append(f"the gradient exploded: in the steps before, its norm was {shown}")
    if size := largest(step.params):
        said.append(f"the largest parameter is {size[0]:.2g}, in {size[1]}")
    if said:
        said.append("a lower rate, a smaller clip or a warmup helps")
    return said
