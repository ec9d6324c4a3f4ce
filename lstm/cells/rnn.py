"""The simple recurrent network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from lstm.cells.base import Cell, Params, Places, RNNState, Values
from lstm.errors import check_flag
from minigrad import Expr, concat, relu, tanh


@dataclass(frozen=True)
class RNN(Cell[RNNState]):
    """The simple recurrent network (Elman, "Finding structure in time", 1990), with tanh.

    rectified: with relu in its place (Le, Jaitly & Hinton, "A simple way to initialize recurrent
        networks of rectified linear units", 2015, who start W_h elsewhere).

    >>> import minigrad as mg
    >>> cell = RNN(input_size=2, hidden_size=3)
    >>> params = {name: mg.param(name, value) for name, value in cell.init(seed=0).items()}
    >>> state = cell.step(params, cell.initial_state(batch=5), mg.zeros((5, 2), "float32"))
    >>> state.h.shape
    (5, 3)
    """

    rectified: bool = False

    name: ClassVar[str] = "rnn"
    title: ClassVar[str | None] = "RNN"
    weights: ClassVar[str] = "h"
    state_type: ClassVar[Any] = RNNState
    plan: ClassVar[Places | None] = {"h": (1.5, 1.0)}

    def __post_init__(self) -> None:
        super().__post_init__()
        check_flag("rectified", self.rectified)

    def equations(self, params: Params, state: RNNState, x: Expr) -> Values:
        squash = relu if self.rectified else tanh
        h = squash(concat([state.h, x], -1) @ params["W_h"] + params["b_h"])
        return {"h": h}
