"""A model: layers and a readout with values for their parameters; run, written out, saved, loaded.

Nothing here trains or draws. Time comes first everywhere: xs is (T, B, I), or (T, B) of tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import minigrad as mg
from lstm.arguments import expression, generator, key_given
from lstm.cells import Cell, Seed, Step
from lstm.errors import ConfigError, check_count
from lstm.for_task import answer_steps, cell_for, remembering
from lstm.in_jax import JaxNet
from lstm.in_numpy.net import PlainNet, plain_net
from lstm.layers import (
    Context,
    Layer,
    Readout,
    Recurrent,
    Stack,
    Steps,
    Tape,
    check_clamp,
    check_layer,
    check_parts,
    check_routes,
    mask_given,
    masked,
    place_of,
)
from lstm.layers.usual import check_options, usual_readout, usual_stack
from lstm.other_names import OF_A_MODEL
from lstm.params import Tree, by_dotted_name, check_names, flatten, is_branch, map_leaves, unflatten
from lstm.runs import Run, Unrolled
from lstm.shown import ShownModel
from lstm.store.model_file import Contents, Own, read_model, shapes_of, write_model
from lstm.tasks import Task
from minigrad import Expr
from minigrad.names import what_instead


@dataclass(frozen=True, eq=False, repr=False)
class Model(ShownModel):
    """Layers, a readout of what they give, and their parameters.

    `params` is a tree of `minigrad.param` leaves, {"layer1": {"W_f": …}, "readout": {"W_y": …}}.
    `task` notes what the model was trained for; it travels with the file.

    >>> import lstm
    >>> model = lstm.Model.create(lstm.LSTM(input_size=2, hidden_size=4), output_size=1, seed=0)
    >>> xs = mg.var("xs", (3, 5, 2), "float32")
    >>> run = model.run(xs)
    >>> run.output.shape, run.outputs.shape, run.last["layer1"].C.shape
    ((5, 1), (3, 5, 4), (5, 4))
    >>> unrolled = model.unroll(xs)
    >>> unrolled.states[3].C.name, list(unrolled.values[0])
    ('C₃', ['f', 'i', 'C̃', 'C', 'o', 'h'])
    """

    layers: Layer
    readout: Readout
    params: dict[str, Any]
    task: dict[str, Any] = field(default_factory=dict)

    # --- making one ------------------------------------------------------------------------------

    @classmethod
    def create(
        cls,
        cell: Cell[Any] | type[Cell[Any]] | Step,
        output_size: int | None = None,
        seed: Seed = 0,
        task: Task | Mapping[str, Any] | None = None,
        *,
        hidden_size: int | None = None,
        memory: float | None = None,
        vocabulary: int | None = None,
        readout: str | None = None,
        attention: str | None = None,
        **options: Any,
    ) -> Model:
        """A model with new parameters, which the seed decides.

        cell: a cell, or the class of one together with a task or a vocabulary, and hidden_size; a
            step function of your own stands for its class, as `lstm.cell` makes it.
        task: the task that it is made for. Of a `Task`, sizes, vocabulary and readout are the
            task's unless given; a name and settings, as `Task.config` gives, are only noted.
        memory: steps that the gates are set to remember at first, for cells that have gates to set.
            None: as many as the task says, unless the cell does; 0: as the cell says. `notes` tells
            of it.
        readout: "last" (the usual), "every" or "decoder"; see `Readout` and `Decoder`. attention:
            that of a decoder, "dot", "general", "additive" or "hard"; None: it has none.
        options: layers, bidirectional, dropout, input_dropout, recurrent_dropout, zoneout,
            layer_norm, residual, as `usual_stack` takes them.

        Raises ConfigError for what cannot be.

        >>> import lstm
        >>> model = lstm.Model.create(lstm.LSTM, task=lstm.Adding(length=50), layers=2)
        >>> list(model.params), model.output_size
        (['layer1', 'layer2', 'readout'], 1)
        >>> model.notes[0][:78]
        "The gates' biases start at a memory of 50 steps (Tallec & Ollivier 2018). With"
        """
        _check_task(task, Task | Mapping)
        made_for = task if isinstance(task, Task) else None
        if made_for is not None:
            output_size = made_for.output_size if output_size is None else output_size
            readout = made_for.readout if readout is None else readout
            vocabulary = made_for.vocabulary if vocabulary is None else vocabulary
            options = {"layers": made_for.layers} | options
        if output_size is None:
            raise ConfigError("output_size= is needed, or a task=, such as lstm.Adding(100)")
        check_options(options)
        cell = cell_for(cell, made_for, hidden_size, vocabulary)
        cell = remembering(cell, made_for, memory)
        layers = usual_stack(cell, vocabulary=vocabulary, **options)
        output = usual_readout(
            layers, cell, output_size, readout, attention, answer_steps(made_for)
        )
        rng = generator(seed)
        values = layers.init(rng) | {"readout": output.init(rng)}
        return cls.of(layers, output, values, task if made_for is None else made_for.config())

    @classmethod
    def of(
        cls,
        layers: Layer | Cell[Any],
        readout: Readout | int,
        values: Tree,
        task: Any = None,
    ) -> Model:
        """A model with the given parameters, which are copied.

        layers: a layer, or a cell, which becomes "layer1". readout: one, or the number of outputs.
        values: arrays, as a tree or by their dotted names. Raises ConfigError for parts that do not
        fit, for cells whose equations do not give their state, and for names, shapes and dtypes
        that are not those of the parameters.
        """
        if isinstance(layers, Cell):
            layers = Stack({"layer1": Recurrent(layers)})
        check_layer(layers)
        _check_task(task, Mapping)
        if not isinstance(readout, Readout):
            readout = Readout(layers.output_size, readout, dtype=layers.dtype)
        for layer in layers.recurrent().values():
            layer.cell.check()
        shapes = flatten(shapes_of(layers, readout))
        leaves = by_dotted_name(values)
        check_names(set(leaves), set(shapes))
        short = {name: name.rpartition(".")[2] for name in shapes}
        if len(set(short.values())) < len(short):
            short = {name: name for name in shapes}
        for name, shape in shapes.items():
            _check_value(name, leaves[name], shape, layers.dtype)
        params = unflatten({name: mg.param(short[name], leaves[name]) for name in shapes})
        return cls(layers, readout, params, dict(task or {}))

    def copy(self) -> Model:
        """A model of its own with the same values: what training does to one, the other keeps."""
        return Model.of(self.layers, self.readout, self.values(), self.task)

    def with_dtype(self, dtype: str) -> Model:
        """A model of its own with the same values in "float32" or "float64"."""
        if dtype not in ("float32", "float64"):
            raise ConfigError(f"dtype must be 'float32' or 'float64', not {dtype!r:.40}")
        values = {name: value.astype(dtype) for name, value in self.values().items()}
        parts = self.layers.with_dtype(dtype), self.readout.with_dtype(dtype)
        return Model.of(*parts, values, self.task)

    # --- what it is ------------------------------------------------------------------------------

    @property
    def flat_params(self) -> dict[str, Expr]:
        """The parameters by their dotted names."""
        return flatten(self.params)

    def values(self) -> dict[str, NDArray[Any]]:
        """A copy of what the parameters hold now, by dotted names."""
        return {name: p.value.copy() for name, p in self.flat_params.items()}

    def config(self) -> dict[str, Any]:
        """Everything but the numbers, as plain values."""
        return self._contents().config

    def _contents(self) -> Contents:
        return Contents(self.layers, self.readout, self.values(), self.task)

    @property
    def cell(self) -> Cell[Any]:
        """The cell of the last recurrent layer, or else a decoder's. Raises ConfigError without."""
        own = None if self.recurrent() else getattr(self.readout, "cell", None)
        return self.recurrent()[self.place()].cell if own is None else own

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences on how its cells start, for whoever reads what came of it."""
        notes = [note for layer in self.recurrent().values() for note in layer.cell.notes]
        return tuple(dict.fromkeys(notes))

    @property
    def input_size(self) -> int:
        """I; of a model that reads tokens, how many there are."""
        return self.layers.input_size

    @property
    def output_size(self) -> int:
        """O."""
        return self.readout.output_size

    @property
    def dtype(self) -> str:
        """That of all its tensors."""
        return self.layers.dtype

    def recurrent(self) -> dict[str, Recurrent]:
        """The recurrent layers by their places: "layer1", or "layer1.forward" of two ways."""
        return self.layers.recurrent()

    def place(self, layer: int | str | None = None, direction: str | None = None) -> str:
        """Where a recurrent layer is: "layer2.backward".

        layer: its name, or its number from 1; the last one where None. direction: "forward" or
        "backward"; where None, forward if it has that. Raises ConfigError for what is not there.
        """
        return place_of(self.recurrent(), layer, direction)

    # --- running it ------------------------------------------------------------------------------

    def initial_state(self, batch: int) -> Tree:
        """The state that sequences start from unless told."""
        return self.layers.initial_state(check_count("batch", batch))

    def run(
        self,
        xs: Any,
        *,
        state: Tree | None = None,
        lengths: Any = None,
        mask: Any = None,
        targets: Any = None,
        key: Any = None,
        truncate: int | None = None,
        routes: Mapping[str, float] | None = None,
        detach: Mapping[str, float] | None = None,
        clamp: Mapping[str, Any] | None = None,
        tape: Tape | None = None,
    ) -> Run:
        """Run over xs (T, B, I), or integer tokens (T, B), as loops: what trains and predicts.

        All may be expressions or arrays. state: a tree as `initial_state` gives, such as the `last`
        of another run. lengths: (B,) integers of 1 … T; what is beyond is padding, and has no part.
        mask: (T, B) bool, the same said otherwise: True where a step counts.
        targets: of a model with a decoder, (U, B) what it shall have said, as in training; without,
            it goes on with what it says. key: for training, of
        `minigrad.key`: dropout and zoneout draw from it, where a model has them; without, the model
        is evaluated.
        truncate: gradients go back so many steps at most, as in `minigrad.scan`.
        routes: {part of the state: share}: what comes back along that part is multiplied by the
            share at each step, {"h": 0} cuts it; "layer2.h" is that of one layer.
        detach: {part: p}: with a key, nothing comes back along that part at a step with
            probability p, drawn for all sequences at once (h-detach: Arpit et al. 2019).
        clamp: {part of the state: (H,)}: what each step reads of those units in the place of what
            they were; NaN: as it was. A unit whose memory is taken away in this way is ablated.
        tape: where the layers note their loops, to be measured.

        Its mathematics is that of `unroll`, whose every value has a name, for pictures. Raises
        ConfigError for inputs that do not fit.
        """
        xs = self._inputs(xs)
        routes, detach = check_routes(routes, detach)
        held = check_clamp(clamp, self.dtype)
        check_parts(self.recurrent(), [*routes, *detach, *held])
        counts = mask_given(xs.shape, lengths, mask)
        cut: Any = {"routes": routes, "detach": detach, "clamp": held}
        context = Context(counts, key_given(key), truncate, tape=tape, **cut)
        start = self._start(state, xs.shape[1])
        steps = Steps.of(xs, context.mask, written_out=context.written_out)
        top, last = self.layers.run(self.params, steps, start, context)
        below = context.split("readout")
        said = self.readout.answer(self.params["readout"], top, below, targets)
        outputs = top.stacked if counts is None else masked(counts, top.stacked)
        return Run(said.output, outputs, last, said.attention)

    def output(self, xs: Any, state: Tree | None = None, **options: Any) -> Expr:
        """The readout after xs: `run(xs, state=state, **options).output`."""
        return self.run(xs, state=state, **options).output

    def unroll(
        self,
        xs: Any,
        state: Tree | None = None,
        *,
        lengths: Any = None,
        mask: Any = None,
        targets: Any = None,
        key: Any = None,
        routes: Mapping[str, float] | None = None,
        detach: Mapping[str, float] | None = None,
    ) -> Unrolled:
        """Write the model out over xs, with arguments as of `run`; each value is named with its
        step, as in f₁, in a model of several recurrent layers with its place, as in layer2.f₁, of a
        decoder's as in readout.f₁.

        Raises ConfigError as `run` does.
        """
        tape = Tape({}, short=len(self.recurrent()) == 1)
        options = {"lengths": lengths, "mask": mask, "targets": targets, "key": key}
        run = self.run(xs, state=state, routes=routes, detach=detach, tape=tape, **options)
        run.output.named("y")
        main = "readout" if tape.written and not self.recurrent() else self.place()
        return Unrolled(run, tape.written, tape.written[main])

    def _inputs(self, sequences: Any) -> Expr:
        xs = expression(sequences, None if self.layers.tokens else np.dtype(self.dtype), "xs")
        if self.layers.tokens:
            fits = xs.ndim == 2 and xs.dtype.kind in "iu"
            wanted = "integer tokens (T, B)"
        else:
            fits = xs.ndim == 3 and xs.shape[2] == self.input_size and xs.dtype == self.dtype
            wanted = f"(T, B, {self.input_size})"
        if not fits:
            other = "" if xs.ndim == 3 and xs.dtype == self.dtype else f" of {xs.dtype}"
            raise ConfigError(f"xs must be {wanted}, time first, not {xs.shape}{other}")
        check_count("T, the number of steps of xs,", xs.shape[0])
        return xs

    def _start(self, state: Tree | None, batch: int) -> Tree:
        start = self.initial_state(batch)
        if state is None:
            return start
        if not is_branch(state):
            raise ConfigError("state is a tree, as initial_state or the last of a run is")
        parts = flatten(state)
        check_names(set(parts), set(flatten(start)), "parts of the state")

        def fitting(name: str, zero: Expr) -> Expr:
            part = expression(parts[name])
            if part.type is not zero.type:
                raise ConfigError(f"the state's {name} must be {zero.type!r}, not {part.type!r}")
            return part

        return map_leaves(fitting, start)

    def to_numpy(self) -> PlainNet:
        """The model as a plain function of NumPy, for whoever ships it: `plain(xs, lengths)` is the
        output that `run` gives, to rounding; `plain.source` is a file that needs neither minigrad
        nor lstm, and `plain.params` its numbers.

        Raises ConfigError for a decoder, for layers of your own, and for a cell that computes what
        NumPy's writing of it lacks.

        >>> import lstm
        >>> model = Model.create(lstm.LSTM(2, 4), output_size=1)
        >>> plain = model.to_numpy()
        >>> plain(np.zeros((7, 3, 2))).shape, len(plain.params)
        ((3, 1), 10)
        """
        return plain_net(self.layers, self.readout, self.values())

    def to_jax(self) -> JaxNet:
        """The model as a pure function of JAX: `net(net.params, xs, lengths)` is the output that
        `run` gives without a key, under jax.jit, grad and vmap. Raises ConfigError for params of
        other names, MissingPackageError where JAX is not installed; see `minigrad.to_jax`."""
        return JaxNet(self.output, self.flat_params, self.dtype)

    # --- files -----------------------------------------------------------------------------------

    def save(self, path: str | Path) -> None:
        """Write a safetensors file, whose header says everything but the numbers.

        The file is there whole or not at all. Of cells and layers of your own it keeps the settings
        and the class's name; the code is not in the file. Raises OutputError when it cannot be
        written, and ConfigError for settings that are no plain values.
        """
        write_model(path, self._contents())

    @staticmethod
    def load(path: str | Path, own: Own = ()) -> Model:
        """Read what `save` wrote.

        own: classes of your own, cells and layers, that the file may name, step functions of cells,
        or one of these. No code is ever taken from a file, so a model of an own cell loads only
        where its class or its step function is given. Raises
        ModelFileError, which says what is wrong with the file, or what it is if it is none of ours,
        and ConfigError for `own` that are no such classes.
        """
        return Model.of(*read_model(path, own))

    if not TYPE_CHECKING:  # a type checker would take any name for one that is there

        def __getattr__(self, name: str) -> object:
            hint = what_instead(name, [n for n in dir(type(self)) if n[0] != "_"], OF_A_MODEL)
            raise AttributeError(f"a model has no attribute {name!r}{hint}")


def check_model(value: Any) -> Model:
    """The value. Raises ConfigError unless it is a model."""
    if not isinstance(value, Model):
        raise ConfigError(
            f"a model is needed, such as lstm.Model.create(lstm.LSTM, task=task), not {value!r:.60}"
        )
    return value


def _check_task(task: object, kinds: Any) -> None:
    if task is not None and not isinstance(task, kinds):
        raise ConfigError(
            f"task= is a task, lstm.Adding(100), or what its config() gives, not {task!r:.60}"
        )


def _check_value(name: str, value: Any, shape: tuple[int, ...], dtype: str) -> None:
    array = np.asarray(value)
    if array.shape != shape or array.dtype != dtype:
        raise ConfigError(
            f"tensor {name} is {array.dtype} of shape {array.shape}, not {dtype} of shape {shape}"
        )
