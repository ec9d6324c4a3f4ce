"""The machine code of a loop, which serves every number of steps and all programs that run it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

from minigrad.compile.backends.native.jit import (
    Effort,
    NativeFunction,
    compile_module,
    most_careful,
)


class LoopCode:
    """A module with the function `loop(length, scratch, flag, *bases)`, compiled when needed.

    scratch: the bytes of scratch memory that it takes.
    callbacks: the objects that its pointers `callback0`, `callback1`, … are to point to.
    """

    def __init__(
        self, module: Any, arguments: int, scratch: int, callbacks: Sequence[Callable[[int], None]]
    ) -> None:
        self._text, self._arguments, self.callbacks = str(module), arguments, callbacks
        self.scratch = scratch
        self._made: tuple[int, NativeFunction] | None = None

    def function(self, effort: Effort) -> NativeFunction:
        """The function, compiled with so much care or more."""
        made = self._made
        if made is None or made[0] < _EFFORTS.index(effort):
            effort = most_careful(self._text, effort)
            code = compile_module(self._text, effort=effort)
            for k, callback in enumerate(self.callbacks):
                code.set_pointer(f"callback{k}", id(callback))
            function = code.function("loop", self._arguments)
            cast(Any, function).callbacks = self.callbacks  # are not freed while it runs
            self._made = made = _EFFORTS.index(effort), function
        return made[1]


_EFFORTS = list(Effort)
