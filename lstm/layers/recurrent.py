"""A cell over time, one way."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import minigrad as mg
from lstm.cells import Cell, Params, Values
from lstm.cells.anatomy import follow
from lstm.errors import ConfigError, check_flag
from lstm.layers.base import (
    Context,
    Derived,
    Looped,
    Rng,
    Steps,
    Written,
    check_layer,
    check_probability,
)
from lstm.params import Tree, join, map_leaves
from minigrad import Expr
from minigrad.names import did_you_mean

if TYPE_CHECKING:
    from typing import Self


@dataclass(frozen=True)
class Recurrent(Derived):
    """A cell that reads the steps of sequences one after the other; each step gives its
    output, h.

    reverse: from the last step to the first. Outputs keep the places of what they were read from.
    recurrent_dropout: in training, the h that the equations read is multiplied by a mask of 0 and
        1 / (1 - p), the same at all steps of a sequence (Gal & Ghahramani, "A theoretically
        grounded application of dropout in recurrent neural networks", 2016). Where h is the line of
        the cell itself, as in a GRU, the line goes on undropped: it is the gates that see less.
    zoneout: in training each unit of each part of the state stays as it was with this probability,
        drawn anew at each step; in evaluation old and new are mixed in these shares (Krueger et
        al., "Zoneout: regularizing RNNs by randomly preserving hidden activations", 2017).

    Where the context's mask is False a step changes nothing, so that a sequence's last state is
    that at its own end, and one that is read from the last step to the first starts there. What its
    `routes` and `detach` leave of the gradient is left where a step reads the state, and what
    `clamp` says is read there.
    Raises ConfigError for what is no cell, or no probability.
    """

    cell: Cell[Any]
    reverse: bool = False
    recurrent_dropout: float = 0.0
    zoneout: float = 0.0

    name: ClassVar[str] = "recurrent"

    def __post_init__(self) -> None:
        cell = check_layer(self.cell, Cell)
        self._derive(cell.input_size, cell.output_size, cell.dtype)
        check_flag("reverse", self.reverse)
        for rate in ("recurrent_dropout", "zoneout"):
            self._set(rate, check_probability(rate, getattr(self, rate)))

    def shapes(self) -> Tree:
        return self.cell.shapes()

    def init(self, rng: Rng) -> Tree:
        return self.cell.init(rng)

    def initial_state(self, batch: int) -> Tree:
        return self.cell.initial_state(batch)

    def recurrent(self) -> dict[str, Recurrent]:
        return {"": self}

    def with_dtype(self, dtype: str) -> Self:
        return replace(self, cell=replace(self.cell, dtype=dtype))

    def run(self, params: Tree, xs: Steps, state: Tree, context: Context) -> tuple[Steps, Tree]:
        streams = self._streams(xs, state, context)
        mask = self._h_mask(state, context)
        if context.written_out:
            return self._written_out(params, xs, state, mask, streams, context)

        noted: list[tuple[Any, Any, Any, Values, Expr]] = []

        def step(state: Any, now: Tree) -> tuple[Any, Expr]:
            entering = _entering(state, now, context)
            values = self._equations(params, entering, now["x"], mask)
            name_all(values, [*entering, now["x"]], str)
            made = self._made(values, entering, now)
            new = _kept(made, state, now)
            noted.append((state, made, new, values, now["x"]))
            return new, self.cell.output_of(new)

        inputs = {"x": xs.each, **streams}
        how: dict[str, Any] = {"reverse": self.reverse, "truncate": context.truncate}
        last, hs = mg.scan(step, state, inputs, name=self.cell.heading, **how)
        if context.tape is not None and context.tape.loops is not None:
            context.tape.loops[context.place] = Looped(*noted[0], xs.stacked, hs, last)
        return Steps(hs, self.cell.output_of(last)), last

    def _written_out(
        self,
        params: Params,
        xs: Steps,
        state: Any,
        mask: Expr | None,
        streams: Tree,
        context: Context,
    ) -> tuple[Steps, Tree]:
        """The same as plain nodes, each named with its step, as in f₁, and noted on the tape."""
        assert context.tape is not None
        written = Written([state], [], [], [])
        rows: dict[int, Expr] = {}
        count = xs.shape[0]
        for t in reversed(range(count)) if self.reverse else range(count):
            now = map_leaves(partial(_at, t), streams)
            x = xs.each[t]
            if x.name is None:
                x.named(context.tape.name(context.place, "x", t + 1))
            entering = _entering(state, now, context)
            values = self._equations(params, entering, x, mask)
            named = partial(context.tape.name, context.place, t=t + 1)
            name_all(values, [*entering, x], named)
            made = self._made(values, entering, now)
            state = _kept(made, state, now)
            written.made.append(made)
            written.states.append(state)
            written.values.append(values)
            written.xs.append(x)
            rows[t] = self.cell.output_of(state)
        context.tape.written[context.place] = written
        return Steps(tuple(rows[t] for t in range(count)), self.cell.output_of(state)), state

    # --- one step --------------------------------------------------------------------------------

    def _equations(self, params: Params, state: Any, x: Expr, mask: Expr | None) -> Values:
        """What the cell computes of x and of the state whose h is masked."""
        if mask is None:
            return self.cell.compute(params, state, x)
        part, h = self.cell.output, self.cell.output_of(state)
        seen = h * mask
        values = self.cell.compute(params, state._replace(**{part: seen}), x)
        return _line_restored(values, part, seen, h)

    def _made(self, values: Values, state: Any, now: Tree) -> Any:
        """The next state, of what the cell computed and the state before."""
        new = self.cell.state_of(values)._asdict()
        for part, old in state._asdict().items():
            if part in now.get("stays", {}):
                new[part] = mg.where(now["stays"][part], old, new[part])
            elif self.zoneout:
                new[part] = self.zoneout * old + (1 - self.zoneout) * new[part]
        return type(state)(**new)

    # --- what does not depend on the state -------------------------------------------------------

    def _streams(self, xs: Steps, state: Any, context: Context) -> dict[str, Tree]:
        """What each step reads beside its input."""
        streams: dict[str, Tree] = {}
        if context.mask is not None:
            streams["mask"] = context.mask
        if context.key is not None and self.zoneout:
            streams["stays"] = {
                part: context.split("zoneout").split(part).uniform((xs.shape[0], *value.shape))
                < self.zoneout
                for part, value in state._asdict().items()
            }
        cuts = [part for part in state._fields if context.cut(part)]
        if context.key is not None and cuts:
            streams["shares"] = {
                part: self._drawn_shares(part, xs.shape[0], context) for part in cuts
            }
        return streams

    def _drawn_shares(self, part: str, steps: int, context: Context) -> Expr:
        """(T,): the share of what comes back along a part, 0 at the steps that are drawn."""
        cut = context.split("detach").split(part).uniform((steps,)) < context.cut(part)
        return mg.astype(mg.where(cut, 0.0, context.share(part)), self.dtype)

    def _h_mask(self, state: Any, context: Context) -> Expr | None:
        if context.key is None or not self.recurrent_dropout:
            return None
        p, h = self.recurrent_dropout, self.cell.output_of(state)
        drops = context.split("h").uniform(h.shape) < p
        return mg.where(drops, mg.zeros_like(h), 1 / (1 - p))


def _entering(state: Any, now: Tree, context: Context) -> Any:
    """The state as a step reads it: itself, of whose gradient a share comes back, with the units
    that are clamped."""
    shares = {part: context.share(part) for part in state._fields} | now.get("shares", {})
    scaled = {
        part: mg.scale_gradient(getattr(state, part), share)
        for part, share in shares.items()
        if isinstance(share, Expr) or share != 1
    }
    state = state._replace(**scaled)
    return type(state)(*[context.clamped(p, x) for p, x in state._asdict().items()])


def _kept(made: Any, state: Any, now: Tree) -> Any:
    """The state that a step made, or the one before where the step is padding."""
    if "mask" not in now:
        return made
    pairs = zip(made, state, strict=True)
    return type(state)(*[mg.where(_per_row(now["mask"], old), new, old) for new, old in pairs])


def name_all(values: Values, read: Iterable[Expr], named: Callable[[str], str]) -> None:
    """Name what a step computes of what it reads; what does not depend on that is other people's
    too, such as a number."""
    moving = {*read}
    users: dict[Expr, list[Expr]] = {}
    nodes = dict.fromkeys(values.values())
    waiting = [*nodes]
    for node in waiting:  # no further than what is read: before that are all steps before
        for argument in () if node in moving else node.args:
            users.setdefault(argument, []).append(node)
            if argument not in nodes:
                nodes[argument] = None
                waiting.append(argument)
    reached = [*moving]
    for node in reached:
        new = [user for user in users.pop(node, ()) if user not in moving]
        moving.update(new)
        reached += new
    for symbol, value in values.items():
        if value.args and value in moving:
            value.named(named(symbol))


def _at(t: int, name: str, stream: Expr) -> Expr:
    return stream[t]


def _per_row(mask: Expr, like: Expr) -> Expr:
    """A mask (B,) for the elements of a tensor (B, ...)."""
    return mg.broadcast_to(mg.reshape(mask, (-1, *[1] * (like.ndim - 1))), like.shape)


def _line_restored(values: Values, part: str, seen: Expr, h: Expr) -> Values:
    """Values that were computed of `seen`, with the true h where it comes back elementwise."""
    end = values[part]
    order = mg.toposort(end)
    follower, reached = follow(order, seen, [end])
    if end not in reached:
        return values
    path = set(follower.path(end, seen))
    new = {seen: h}
    for node in order:
        if node in path:
            new[node] = node.op(*[new.get(a, a) for a in node.args])
    return {symbol: new.get(value, value) for symbol, value in values.items()}


def place_of(
    layers: Mapping[str, Recurrent], layer: int | str | None = None, direction: str | None = None
) -> str:
    """The place, among recurrent layers by their places, of the one that is meant.

    layer: its name, or its number from 1; the last one where None. direction: "forward" or
    "backward"; where None, forward if it has that. Raises ConfigError for what is not there.
    """
    ways: dict[str, dict[str, str]] = {}
    for place, one in layers.items():
        way = "backward" if one.reverse else "forward"
        ways.setdefault(place.removesuffix(f".{way}"), {})[way] = place
    names = list(ways)
    if not names:
        raise ConfigError(
            "the model has no recurrent layer, and the steps of a decoder are not measured; "
            "lstm.plot_alignment and lstm.plot_caption draw what one looks at"
        )
    if isinstance(layer, int) and layer is not True and 1 <= layer <= len(names):
        layer = names[layer - 1]
    name = names[-1] if layer is None else layer
    if not isinstance(name, str) or name not in ways:
        raise ConfigError(
            f"there is no recurrent layer {name!r:.40}; there are {', '.join(names)}, also by "
            f"number, 1 to {len(names)}"
        )
    way = direction or ("forward" if "forward" in ways[name] else "backward")
    if not isinstance(way, str) or way not in ways[name]:
        raise ConfigError(
            f"layer {name} has no direction {way!r:.40}; it has {', '.join(ways[name])}"
        )
    return ways[name][way]


def check_parts(layers: Mapping[str, Recurrent], names: Iterable[str]) -> None:
    """Raise ConfigError for a name of no part of a state, as "h", or "layer2.h" of one layer's."""
    parts = {part: None for layer in layers.values() for part in layer.cell.state_type._fields}
    places = [
        join(place, part) for place, one in layers.items() for part in one.cell.state_type._fields
    ]
    for name in names:
        if name not in parts and name not in places:
            raise ConfigError(
                f"no state has a part {name!r:.40}; there are {', '.join(parts)}, of one layer "
                f"{', '.join(places)}{did_you_mean(name, [*parts, *places])}"
            )
