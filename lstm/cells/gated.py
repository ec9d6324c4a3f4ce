"""What cells share whose gates start open or closed on purpose."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite, log
from numbers import Real
from sys import float_info

from lstm.cells.base import Cell, S
from lstm.errors import ConfigError


def _memory_bias(memory: float) -> float:
    # Tallec & Ollivier 2018, section 3.1: a gate at σ(b) forgets with a time scale of 1 + e^b
    # steps, so ln(T-1) remembers for T. They draw T at random up to a maximum; here it is that.
    if not isinstance(memory, Real) or not 2 < memory <= float_info.max:
        raise ConfigError(f"memory must be more than 2 steps, and finite, not {memory!r:.40}")
    return log(memory - 1)


@dataclass(frozen=True)
class Gated(Cell[S]):
    """A cell whose gates start open or closed on purpose.

    forget_bias: where b_f starts; 1 keeps the gate open at first (Jozefowicz, Zaremba & Sutskever,
        "An empirical exploration of recurrent network architectures", 2015).
    memory: start with a memory of that many steps instead: b_f = ln(T-1) and b_i = -ln(T-1)
        (Tallec & Ollivier, "Can recurrent neural networks warp time?", 2018, at the upper end).
        It decides what can be learnt: an LSTM of 16 units gets 93 to 96 % of the adding problem's
        sequences of 100 steps right after 500 steps of training with memory=100, and 14 to 16 %,
        as by chance, with the usual bias (three seeds). `Model.create(LSTM, task=task)` sets it.
    """

    forget_bias: float = 1.0
    memory: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.forget_bias, Real) or not isfinite(self.forget_bias):
            raise ConfigError(f"forget_bias must be finite, not {self.forget_bias!r:.40}")
        _ = self.gate_bias  # raises now for a memory that cannot be

    @property
    def notes(self) -> tuple[str, ...]:
        if self.memory is None:
            return ()
        return (
            f"The gates' biases start at a memory of {self.memory:g} steps (Tallec & Ollivier "
            "2018). With the usual bias of 1 a step keeps about 0.73 of the line at first, σ(1), "
            "and the gradient along the line fades too.",
        )

    @property
    def gate_bias(self) -> float:
        """Where the bias starts of a gate whose 1 keeps the line: forget_bias, or ln(T-1)."""
        return self.forget_bias if self.memory is None else _memory_bias(self.memory)

    def _starts(self) -> dict[str, float]:
        return {"b_f": self.gate_bias} | ({} if self.memory is None else {"b_i": -self.gate_bias})
