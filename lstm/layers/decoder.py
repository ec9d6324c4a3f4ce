"""A readout that answers a sequence with a sequence, token by token."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import minigrad as mg
from lstm.arguments import expression, within
from lstm.cells import Cell
from lstm.errors import ConfigError, check_count
from lstm.layers.attention import Attention
from lstm.layers.base import Context, Rng, Steps, Written, check_layer, subscript
from lstm.layers.readout import Answer, Readout
from lstm.layers.recurrent import name_all
from lstm.params import Tree, drawn, join
from minigrad import Expr

if TYPE_CHECKING:
    from typing import Self


@dataclass(frozen=True)
class Decoder(Readout):
    """Sutskever, Vinyals & Le, "Sequence to sequence learning with neural networks", 2014; with
    attention Bahdanau, Cho & Bengio, "Neural machine translation by jointly learning to align and
    translate", 2015.

    A step reads the row of E (O + 1, ·) of the token before, the last row at first. Each part of
    its state starts as tanh(e·W + b) of what the encoder ends with. With attention, the state
    before the step is the query; what it reads of the annotations, the encoder's steps, goes into
    the cell beside the token, and into the output, y = [h, c]·W_y + b_y.

    input_size: F, of an encoder's step. output_size: O, the tokens that it says.
    cell: it reads what a row of E has, and the context c where there is attention.
    attention: of queries of the cell's size and annotations of F units; None: all that the decoder
        knows of the sequence is the state that it starts from.
    steps: how many tokens it says where nobody tells it what to say.

    Raises ConfigError for parts that do not fit.
    """

    read: str = field(init=False, default="decoder", repr=False)
    cell: Cell[Any] = field(kw_only=True)
    attention: Attention | None = field(kw_only=True, default=None)
    steps: int = field(kw_only=True)

    name: ClassVar[str] = "decoder"
    reads: ClassVar[tuple[str, ...]] = ("decoder",)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set("steps", check_count("steps", self.steps))
        cell, dtypes = check_layer(self.cell, Cell), {self.cell.dtype}
        if self.attention is not None:
            attention = check_layer(self.attention, Attention)
            dtypes.add(attention.dtype)
            fits = cell.output_size, self.input_size
            if (attention.input_size, attention.output_size) != fits:
                raise ConfigError(
                    f"the decoder has queries of {fits[0]} units and annotations of {fits[1]}, but "
                    f"its attention is of {attention.input_size} and {attention.output_size}"
                )
        if dtypes != {self.dtype}:
            raise ConfigError(f"a decoder of {self.dtype} has parts of {', '.join(dtypes)}")
        check_count("what a decoder's cell reads of a token", cell.input_size - self._context)

    @property
    def attends(self) -> bool:
        return self.attention is not None

    @property
    def draws(self) -> bool:
        return self.attention is not None and self.attention.draws

    @property
    def _context(self) -> int:
        """The units of a context."""
        return 0 if self.attention is None else self.attention.output_size

    def shapes(self) -> Tree:
        state = self.cell.initial_state(1)._asdict()
        start = {f"W_{part}": (self.input_size, zero.shape[1]) for part, zero in state.items()}
        start |= {f"b_{part}": zero.shape[1:] for part, zero in state.items()}
        tree = {"E": (self.output_size + 1, self.cell.input_size - self._context), "start": start}
        tree |= {name: part.shapes() for name, part in self._parts.items() if part.shapes()}
        tree["W_y"] = (self.cell.output_size + self._context, self.output_size)
        return tree | {"b_y": (self.output_size,)}

    def init(self, rng: Rng) -> Tree:
        shapes, dtype = self.shapes(), self.dtype
        made = {"E": rng.standard_normal(shapes["E"]).astype(dtype)}
        made["start"] = drawn(rng, shapes["start"], dtype)
        made |= {name: part.init(rng) for name, part in self._parts.items() if name in shapes}
        return made | drawn(rng, {name: shapes[name] for name in ("W_y", "b_y")}, dtype)

    @property
    def _parts(self) -> dict[str, Any]:
        """The cell and the attention, as their parameters are called."""
        return {"cell": self.cell} | ({"attention": self.attention} if self.attention else {})

    def with_dtype(self, dtype: str) -> Self:
        attention = None if self.attention is None else self.attention.with_dtype(dtype)
        cell = replace(self.cell, dtype=dtype)
        return replace(self, dtype=dtype, cell=cell, attention=attention)

    # --- running it ------------------------------------------------------------------------------

    def answer(self, params: Tree, xs: Steps, context: Context, targets: Any = None) -> Answer:
        """What is said of the steps that are read, xs.

        targets: integers (U, B), what to say, below 0 where it is padding: at each of U steps the
            token before is theirs (teacher forcing). None: at each of `steps` steps it is the one
            that had the largest output (greedy decoding).

        Raises ConfigError for targets that do not fit.
        """
        start = self._start(params["start"], xs.end)
        written = Written([start], [], [], []) if context.written_out else None
        step = partial(self._step, params, xs.stacked, context, written)
        if context.tape is not None and written is not None:
            context.tape.written[context.place] = written
        first = mg.full((xs.end.shape[0],), self.output_size, dtype="int64")
        if targets is not None:
            said = self._tokens(targets, xs.end.shape[0])
            before = mg.concat([mg.expand_dims(first, 0), said[:-1]], axis=0)
            reads = {"token": mg.take(params["E"], before, axis=0)}
            if self.draws and context.key is not None:
                shape = (said.shape[0], *xs.shape[:2])
                reads["noise"] = context.split("attention").uniform(shape)
            made = _loop(step, start, reads, said.shape[0], context)
            return Answer(self._scores(params, made["seen"]), made.get("weights"))

        def greedy(before: Any, _: Any) -> tuple[Any, dict[str, Expr]]:
            state, token = before
            state, made = step(state, {"token": mg.take(params["E"], token, axis=0)})
            made["scores"] = self._scores(params, made["seen"])
            return (state, mg.argmax(made["scores"], axis=-1)), made

        made = _loop(greedy, (start, first), None, self.steps, context)
        return Answer(made["scores"], made.get("weights"))

    def _step(
        self,
        params: Tree,
        annotations: Expr,
        context: Context,
        written: Written | None,
        state: Any,
        reads: dict[str, Expr],
    ) -> tuple[Any, dict[str, Expr]]:
        """The state after a token's row (B, ·), and what the output is made of; noted where steps
        are written out."""
        made: dict[str, Expr] = {}
        read = [reads["token"]]
        if self.attention is not None:
            query, weights = self.cell.output_of(state), params.get("attention", {})
            seen = annotations, context.mask, reads.get("noise")
            glimpse = self.attention.look(weights, query, *seen)
            made["weights"] = glimpse.weights
            read.append(glimpse.context)
        x = _joined(read)
        values = self.cell.compute(params["cell"], state, x)
        new = self.cell.state_of(values)
        if written is not None:
            named = partial(_name, context.place, len(written.xs) + 1)
            x.named(named("x"))
            name_all(values, [*state, x], named)
            written.states.append(new)
            written.made.append(new)
            written.values.append(values)
            written.xs.append(x)
        made["seen"] = _joined([self.cell.output_of(new), *read[1:]])
        return new, made

    def _scores(self, params: Tree, seen: Expr) -> Expr:
        scores: Expr = seen @ params["W_y"] + params["b_y"]
        return scores

    def _start(self, params: Tree, end: Expr) -> Any:
        """The state before the first step."""
        parts = self.cell.state_type._fields
        made = [mg.tanh(end @ params[f"W_{part}"] + params[f"b_{part}"]) for part in parts]
        return self.cell.state_type(*made)

    def _tokens(self, targets: Any, batch: int) -> Expr:
        """Targets as tokens; some token where they are padding."""
        said = expression(targets, what="targets")
        if said.ndim != 2 or said.shape[1] != batch or said.dtype.kind not in "iu":
            raise ConfigError(
                f"targets= of a decoder are integers (U, B), here (U, {batch}), not {said.type!r}"
            )
        tokens = mg.maximum(mg.astype(said, "int64"), 0)
        return within(tokens, 0, self.output_size - 1, "target")


def _joined(parts: list[Expr]) -> Expr:
    """The parts beside each other, (B, ·)."""
    return mg.concat(parts, axis=-1) if len(parts) > 1 else parts[0]


def _name(place: str, t: int, symbol: str) -> str:
    """What a value of a step is called."""
    return subscript(join(place, symbol), t)


def _loop(
    step: Callable[..., tuple[Any, dict[str, Expr]]],
    state: Any,
    reads: dict[str, Expr] | None,
    count: int,
    context: Context,
) -> dict[str, Expr]:
    """What the steps make, stacked: a loop, or one step after the other where it is written out."""
    if not context.written_out:
        _, looped = mg.scan(step, state, reads, length=count, truncate=context.truncate)
        return dict(looped)
    made = []
    for k in range(count):
        row = None if reads is None else {name: each[k] for name, each in reads.items()}
        state, new = step(state, row)
        made.append(new)
    return {name: mg.stack([one[name] for one in made]) for name in made[0]}
