"""Which names local variables give to nodes, where one line makes several."""

from __future__ import annotations

from typing import Any

import minigrad as mg
from minigrad.graph.local_variables import local_names


def _names(y: mg.Expr) -> list[tuple[str, str]]:
    return [(node.op.name, name) for node, name in local_names(mg.toposort(y)).items()]


def test_every_turn_of_a_loop_gives_its_name() -> None:
    h = mg.var("x")
    for _ in range(3):
        h = mg.tanh(h)
    assert _names(h) == [("tanh", "h")] * 3
    k = 0
    while k < 2:
        h = h * 2.0
        k += 1
    assert _names(h) == [("tanh", "h")] * 3 + [("multiply", "h")] * 2


def test_parts_of_one_call_have_no_name_in_a_loop_either() -> None:
    h = mg.var("x", (2,))
    for _ in range(2):
        h = mg.mean(mg.tanh(h)) + h
    # What is used at once has no name; of mean and + it is the sum that is stored.
    assert [name for _, name in _names(h)] == ["h", "h"]
    once = mg.tanh(mg.tanh(mg.var("x")))
    assert _names(once) == [("tanh", "once")]


def test_a_name_that_stands_far_down_the_list_is_read() -> None:
    """More than 256 local variables: Python then writes EXTENDED_ARG before the store."""
    many = "".join(f"    a{k} = {k}\n" for k in range(300))
    source = f"def made(mg):\n    x = mg.var('x')\n{many}    late = mg.tanh(x)\n    return late\n"
    room: dict[str, Any] = {}
    exec(compile(source, "many.py", "exec"), room)
    assert _names(room["made"](mg)) == [("tanh", "late")]
