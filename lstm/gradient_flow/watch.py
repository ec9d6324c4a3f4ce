"""Flows recorded while a model is trained."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from lstm.errors import check_count
from lstm.gradient_flow.glance import Glance
from lstm.gradient_flow.measured import Flow
from lstm.gradient_flow.tensors import Meter, Place, without_padding
from lstm.model import Model
from lstm.tasks import Task
from lstm.training.streams import padding_of
from minigrad.display import ShownAsTable, Table


class FlowWatch(ShownAsTable):
    """Records flows during training: `lstm.train(model, task, watch=lstm.FlowWatch(every=50))`.

    Before the first step, and then before every so many, it measures the batch that trains next, as
    the model is: without dropout, from a state of zeros, over all of its steps. layer, direction,
    line: as of `lstm.flow`. arrays: whether the flows keep their arrays; without, they are norms
    and words, and small.

    It is compiled once for each shape of batches. Raises ConfigError for an `every` below one.

    >>> import lstm
    >>> model = lstm.Model.create(lstm.RNN(input_size=2, hidden_size=4), output_size=1, seed=0)
    >>> watch = FlowWatch(every=2)
    >>> settings = lstm.Settings(steps=5)
    >>> reports = list(lstm.train(model, lstm.Adding(length=5), settings, watch=watch))
    >>> list(watch.flows), watch.flows[4].steps
    ([0, 2, 4], 5)
    """

    def __init__(
        self,
        every: int = 50,
        *,
        layer: int | str | None = None,
        direction: str | None = None,
        line: str | None = None,
        arrays: bool = False,
    ) -> None:
        self.every = check_count("every", every)
        self._place, self._line, self._arrays = Place(layer, direction), line, arrays
        self._glances: dict[Any, tuple[Model, Glance]] = {}
        self._read: dict[int, Callable[[], Flow]] = {}
        self._flows: dict[int, Flow] = {}

    @property
    def flows(self) -> dict[int, Flow]:
        """{steps of training before it: the flow}."""
        for step, make in self._read.items():
            if step not in self._flows:
                self._flows[step] = make()
        return dict(self._flows)

    def __call__(self, step: int, model: Model, task: Task, batch: Sequence[Any]) -> None:
        """What training calls with the batch of the step that comes after `step` of them."""
        if step % self.every:
            return
        arrays: list[Any] = [*map(np.asarray, batch)]
        place = self._place._replace(**padding_of(task, arrays))
        xs, ys, mask = without_padding(model, arrays[0], arrays[1], place)
        glance = self._glance(model, task, xs, ys, mask)
        glance.meter.refresh({name: leaf.value for name, leaf in model.flat_params.items()})
        self._flows.pop(step, None)
        if self._arrays:
            flow = glance.measure(xs, ys, mask)
            _ = flow.adjoints
            self._read[step] = lambda: flow
        else:
            self._read[step] = partial(glance.flow, glance.read(xs, ys, mask), glance.ends(mask))

    def _glance(self, model: Model, task: Task, xs: Any, ys: Any, mask: Any) -> Glance:
        key = (id(model), xs.shape, ys.shape, mask is not None)
        if key not in self._glances:
            meter = Meter(
                model.copy(), xs, ys, task.loss, self._place, mask is not None, self._line
            )
            glance = Glance(meter, brief=not self._arrays)
            self._glances[key] = model, glance  # the model is kept, so that its id is its
        return self._glances[key][1]

    def __iter__(self) -> Iterator[tuple[int, Flow]]:
        return iter(self.flows.items())

    def _table(self) -> Table:
        rows = [
            (str(step), f"{flow.loss:.4g}", f"∂L/∂{flow.main.symbol}", flow.main.shown(1))
            for step, flow in self.flows.items()
        ]
        title = f"Gradient flow every {self.every} steps of training"
        return Table(title, rows, ("step", "loss", "gradient", "at t=1"))
