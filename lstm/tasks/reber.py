"""The embedded Reber grammar: what may come next, where the second symbol decides a late one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lstm.errors import check_count
from lstm.tasks.base import PaddedBatch
from lstm.tasks.labels import NO_LABEL, Labels

SYMBOLS = "BTPSXVE"
# Each node of the grammar's graph, and the edges that leave it: symbol and node.
REBER = ["B1", "T2 P3", "S2 X4", "T3 V5", "X3 S6", "P4 V6", "E7", ""]


def _graph() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The embedded grammar: of each node its two edges' symbols, and the nodes that they lead to.

    A node with one edge has it twice. Nodes 0 and 1 come first, then the grammar once after T and
    once after P, and at the end that node from which nothing leads on.
    """
    size = len(REBER)
    end = 2 * size + 3
    edges: dict[int, list[Any]] = {
        0: ["B", 1],
        1: ["T", 2, "P", 2 + size],
        end - 1: ["E", end],
        end: ["E", end],
    }
    for k, outer in enumerate("TP"):
        first = 2 + k * size
        for node, text in enumerate(REBER):
            edges[first + node] = [x for e in text.split() for x in (e[0], first + int(e[1:]))]
        edges[first + size - 1] = [outer, end - 1]
    pairs = [(edges[n] * 2)[:4] for n in range(end + 1)]
    symbols = [[SYMBOLS.index(p[0]), SYMBOLS.index(p[2])] for p in pairs]
    return np.array(symbols), np.array([[p[1], p[3]] for p in pairs], np.int64)


EDGES, NODES = _graph()
END = len(NODES) - 1


@dataclass(frozen=True)
class Reber(Labels):
    """Hochreiter & Schmidhuber, "Long short-term memory", 1997, experiment 1, after Cleeremans,
    Servan-Schreiber & McClelland 1989.

    Strings follow the edges of a graph from its start to its end, at a fork each way as often as
    the other: B, T or P, a string of the Reber grammar, the same T or P, E. What is asked for at
    each step is the next symbol. A string is right where, at each of its steps, the symbols that
    may come next are those with the largest outputs.

    longest: symbols of a string; the few that are longer are drawn again. The shortest have 9. The
    paper trains on 256 strings and tests on 256 others; here each string is new, and there are 2000
    in the test. Raises ConfigError for fewer than 9.

    >>> xs, ys, lengths = Reber().batch(np.random.default_rng(0), size=1)
    >>> "".join(SYMBOLS[k] for k in xs[: lengths[0], 0]), SYMBOLS[ys[lengths[0] - 1, 0]]
    ('BPBTSSSSSXSEP', 'E')
    """

    longest: int = 40

    name: ClassVar[str] = "reber"
    title: ClassVar[str | None] = "Embedded Reber grammar"
    summary: ClassVar[str] = (
        "the next symbol of a string whose second symbol decides the last but one"
    )
    paper: ClassVar[str | None] = "Hochreiter & Schmidhuber 1997, experiment 1: 8,440 sequences"
    input_size: ClassVar[int] = len(SYMBOLS)
    vocabulary: ClassVar[int | None] = len(SYMBOLS)
    output_size: ClassVar[int] = len(SYMBOLS)
    readout: ClassVar[str] = "every"
    padding: ClassVar[str | None] = "lengths"
    baseline_words: ClassVar[str] = "symbols as often as they come"
    criterion: ClassVar[str] = (
        "in each of 2000 test strings, at each step, what may come next has the largest outputs"
    )

    def __post_init__(self) -> None:
        object.__setattr__(self, "longest", check_count("longest", self.longest, 9))

    @property
    def baseline(self) -> float:
        return _entropy(self.longest)

    @property
    def steps(self) -> int:
        return self.longest - 1

    @classmethod
    def token_names(cls, settings: Mapping[str, Any]) -> Sequence[str]:
        return SYMBOLS

    def target_shape(self, batch: int) -> tuple[int, ...]:
        return (self.steps, batch)

    def batch(self, rng: np.random.Generator, size: int) -> PaddedBatch:
        strings = np.full((self.longest, size), NO_LABEL)
        missing = np.arange(size)
        while len(missing):  # strings that are too long are drawn again
            strings[:, missing], done = self._walks(rng, len(missing))
            missing = missing[~done]
        lengths = (strings != NO_LABEL).sum(0) - 1
        xs = np.where(np.arange(self.steps)[:, None] < lengths, strings[:-1], 0)
        return PaddedBatch(xs, strings[1:], lengths)

    def _walks(
        self, rng: np.random.Generator, size: int
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Strings, and whether each has come to its end."""
        node, strings = np.zeros(size, np.int64), np.full((self.longest, size), NO_LABEL)
        for row, fork in zip(strings, rng.integers(0, 2, strings.shape), strict=True):
            row[:] = np.where(node == END, NO_LABEL, EDGES[node, fork])
            node = NODES[node, fork]
        return strings, node == END

    def correct(self, prediction: NDArray[Any], target: NDArray[Any]) -> NDArray[np.bool_]:
        node = np.full(target.shape[1], NODES[0, 0])  # the first symbol, B, has been read
        right = np.ones(target.shape[1], bool)
        for outputs, symbol in zip(prediction, target, strict=True):
            may = np.zeros(outputs.shape, bool)
            np.put_along_axis(may, EDGES[node], True, axis=1)
            least, most = np.where(may, outputs, np.inf), np.where(may, -np.inf, outputs)
            right &= (least.min(1) > most.max(1)) | (symbol == NO_LABEL)
            node = NODES[node, (EDGES[node, 1] == symbol).astype(np.int64)]
        return right

    def solved(self, prediction: NDArray[Any], target: NDArray[Any]) -> bool:
        return bool(self.correct(prediction, target).all())


@lru_cache
def _entropy(longest: int) -> float:
    """Of the symbols that are asked for, of all strings of at most so many, in nats."""
    ends = np.zeros((longest + 1, len(NODES)))  # the probability to end within k symbols more
    ends[:, END] = 1
    for k in range(1, longest + 1):
        ends[k, :END] = ends[k - 1, NODES[:END]].mean(1)
    at = np.eye(len(NODES))[0]  # the probability to be at a node and not to be too long
    often = np.zeros(len(SYMBOLS))
    for k in range(longest):
        after = np.zeros_like(at)
        for fork in (0, 1):
            share = np.where(np.arange(len(NODES)) == END, 0, at / 2)
            np.add.at(after, NODES[:, fork], share)
            if k:  # the first is read, and not asked for
                np.add.at(often, EDGES[:, fork], share * ends[longest - k - 1, NODES[:, fork]])
        at = after
    shares = often[often > 0] / often.sum()
    return float(-(shares * np.log(shares)).sum())
