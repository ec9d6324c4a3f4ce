"""Losses, optimisers and schedules beside torch's own: values, gradients and whole trajectories.

Where the two differ (docs/conventions.md), that is tested as well, for what it is.
"""

from __future__ import annotations

import numpy as np
import pytest
from torch_peer import F, assert_close, dtypes, ramp, torch

import minigrad as mg
from lstm import losses, optim
from lstm.training import Trainer
from minigrad.graph.node import OPS

reductions = pytest.mark.parametrize("reduction", ["mean", "sum", "none"])


def beside(ours, theirs, prediction, dtype):
    """Our loss and torch's as functions of the prediction, and their gradients."""
    x = mg.param("x", prediction, dtype)
    y = ours(x)
    t = torch.tensor(prediction.astype(dtype), requires_grad=True)
    their = theirs(t)
    assert_close(y, their, dtype)
    weigh = ramp(y.shape, dtype)
    their.backward(torch.tensor(weigh))
    assert_close(mg.grad(mg.sum(y * weigh), x), t.grad, dtype)


def case(dtype, seed=0):
    rng = np.random.default_rng(seed)
    prediction = 3 * rng.standard_normal((6, 4))
    target, weights = rng.random((6, 4)).astype(dtype), (rng.random((6, 4)) + 0.1).astype(dtype)
    return prediction, target, weights


# --- losses --------------------------------------------------------------------------------------


@dtypes
@reductions
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (losses.mse, F.mse_loss),
        (losses.mae, F.l1_loss),
        (losses.huber, F.huber_loss),
        (lambda x, y, **o: losses.huber(x, y, 0.5, **o), lambda x, y, **o: F.huber_loss(
            x, y, delta=0.5, **o)),
        (losses.binary_cross_entropy, F.binary_cross_entropy_with_logits),
    ],
)  # fmt: skip
def test_losses_of_one_shape(ours, theirs, dtype, reduction):
    prediction, target, weights = case(dtype)
    beside(
        lambda x: ours(x, target, reduction=reduction),
        lambda t: theirs(t, torch.tensor(target), reduction=reduction),
        prediction,
        dtype,
    )
    # torch divides the weighted mean of the others by the number of elements
    by_number = reduction == "mean" and theirs not in (F.mse_loss, F.l1_loss)
    factor = float(weights.mean(dtype="float64")) if by_number else 1.0
    beside(
        lambda x: ours(x, target, weights=weights, reduction=reduction) * factor,
        lambda t: theirs(
            t, torch.tensor(target), weight=torch.tensor(weights), reduction=reduction
        ),
        prediction,
        dtype,
    )


@dtypes
@reductions
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("by_class", [False, True])
@pytest.mark.parametrize("ignore", [None, 2, -100])
def test_cross_entropy_of_labels(dtype, reduction, smoothing, by_class, ignore):
    logits, _, weights = case(dtype)
    labels = np.array([0, 2, 3, 1, 2, 0])
    if ignore == -100:
        labels[3] = ignore
    classes = weights[0] if by_class else None
    beside(
        lambda x: losses.cross_entropy(
            x,
            labels,
            ignore_index=ignore,
            class_weights=classes,
            label_smoothing=smoothing,
            reduction=reduction,
        ),
        lambda t: F.cross_entropy(
            t,
            torch.tensor(labels),
            weight=None if classes is None else torch.tensor(classes),
            ignore_index=-100 if ignore is None else ignore,
            label_smoothing=smoothing,
            reduction=reduction,
        ),
        logits,
        dtype,
    )


@dtypes
@reductions
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("by_class", [False, True])
def test_cross_entropy_of_distributions(dtype, reduction, smoothing, by_class):
    logits, target, weights = case(dtype)
    target = target / target.sum(axis=1, keepdims=True)
    classes = weights[0] if by_class else None
    options = {"label_smoothing": smoothing, "reduction": reduction}
    beside(
        lambda x: losses.cross_entropy(x, target, class_weights=classes, **options),
        lambda t: F.cross_entropy(
            t,
            torch.tensor(target),
            weight=None if classes is None else torch.tensor(classes),
            **options,
        ),
        logits,
        dtype,
    )


@dtypes
def test_classes_of_sequences_are_the_last_axis_here_and_the_second_there(dtype):
    logits = np.random.default_rng(0).standard_normal((5, 3, 4))  # (T, B, K)
    labels = np.random.default_rng(1).integers(0, 4, (5, 3))
    beside(
        lambda x: losses.cross_entropy(x, labels),
        lambda t: F.cross_entropy(t.permute(1, 2, 0), torch.tensor(labels.T)),
        logits,
        dtype,
    )


def test_where_nothing_counts_torch_says_nan():
    nothing = F.cross_entropy(torch.zeros((2, 3)), torch.tensor([-1, -1]), ignore_index=-1)
    assert torch.isnan(nothing)
    assert float(losses.cross_entropy(np.zeros((2, 3)), [-1, -1], ignore_index=-1)) == 0.0


# --- optimisers ----------------------------------------------------------------------------------

STEPS, RATE, DECAY = 30, 0.05, 0.1
OPTIMIZERS = {
    "sgd": (optim.sgd(RATE), torch.optim.SGD, {}),
    "sgd, decay": (optim.sgd(RATE, DECAY), torch.optim.SGD, {"weight_decay": DECAY}),
    "momentum": (optim.momentum(RATE), torch.optim.SGD, {"momentum": 0.9}),
    "momentum, decay": (
        optim.momentum(RATE, 0.8, DECAY),
        torch.optim.SGD,
        {"momentum": 0.8, "weight_decay": DECAY},
    ),
    "nesterov": (optim.nesterov(RATE), torch.optim.SGD, {"momentum": 0.9, "nesterov": True}),
    "nesterov, decay": (
        optim.nesterov(RATE, 0.8, DECAY),
        torch.optim.SGD,
        {"momentum": 0.8, "nesterov": True, "weight_decay": DECAY},
    ),
    "rmsprop": (optim.rmsprop(RATE), torch.optim.RMSprop, {"alpha": 0.9}),
    "adam": (optim.adam(RATE), torch.optim.Adam, {}),
    "adam, betas": (optim.adam(RATE, 0.5, 0.9), torch.optim.Adam, {"betas": (0.5, 0.9)}),
    "adamw": (optim.adamw(RATE, decay=DECAY), torch.optim.AdamW, {"weight_decay": DECAY}),
}


SHAPES = {"W": (3, 5), "b": (5,), "V": (5, 2)}


def start(dtype):
    """Parameters, and the gradients of each step."""
    rng = np.random.default_rng(0)
    values, *grads = (
        {name: rng.standard_normal(shape).astype(dtype) for name, shape in SHAPES.items()}
        for _ in range(STEPS + 1)
    )
    return values, grads


def their_way(make, dtype, schedule=None):
    """The parameters after each step; make: leaves by name -> optimizer."""
    values, grads = start(dtype)
    leaves = {name: torch.tensor(v, requires_grad=True) for name, v in values.items()}
    optimizer = make(leaves)
    scheduler = schedule(optimizer) if schedule else None
    after = []
    for slopes in grads:
        for name, p in leaves.items():
            p.grad = torch.tensor(slopes[name])
        optimizer.step()
        if scheduler:
            scheduler.step()
        after.append({name: p.detach().numpy().copy() for name, p in leaves.items()})
    return after


def assert_same_way(optimizer, theirs, dtype):
    values, grads = start(dtype)
    params = {name: mg.param(name, v) for name, v in values.items()}
    slopes = {name: mg.var(f"slope of {name}", s, dtype) for name, s in SHAPES.items()}
    loss = mg.sum(mg.stack([mg.sum(params[name] * slopes[name]) for name in SHAPES]))
    trainer = Trainer(loss, list(slopes.values()), params, optimizer)
    assert len(theirs) == len(grads) == STEPS
    for given, after in zip(grads, theirs, strict=True):
        trainer.step(*given.values())
        for name, p in params.items():
            assert_close(p.value, after[name], dtype)


@dtypes
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimisers_go_the_same_way(name, dtype):
    """Where torch is told that only matrices decay."""
    ours, make, options = OPTIMIZERS[name]

    def theirs(leaves):
        matrices, vectors = [leaves["W"], leaves["V"]], [leaves["b"]]
        groups = [{"params": matrices}, {"params": vectors, "weight_decay": 0.0}]
        return make(groups, lr=RATE, **options)

    assert_same_way(ours, their_way(theirs, dtype), dtype)


def test_schedules_go_the_same_way():
    schedulers = torch.optim.lr_scheduler
    for ours, theirs in (
        (optim.cosine(RATE, STEPS), lambda o: schedulers.CosineAnnealingLR(o, STEPS)),
        (optim.exponential(RATE, 0.9), lambda o: schedulers.ExponentialLR(o, 0.9)),
    ):
        way = their_way(lambda leaves: torch.optim.Adam(leaves.values(), RATE), "float64", theirs)
        assert_same_way(optim.adam(ours), way, "float64")


def test_groups_are_torchs_parameter_groups():
    def theirs(leaves):
        fast = {"params": [leaves["b"], leaves["V"]], "lr": 0.1, "momentum": 0.5}
        return torch.optim.SGD([{"params": [leaves["W"]], "lr": 0.01}, fast])

    ours = optim.groups({"W": optim.sgd(0.01), "": optim.momentum(0.1, 0.5)})
    assert_same_way(ours, their_way(theirs, "float64"), "float64")


# --- arrays --------------------------------------------------------------------------------------


@pytest.fixture
def seen():
    """Where the arrays lie that an op of the user's own is given, which hands out its input."""
    places = []

    def look(a):
        places.append(a.__array_interface__["data"][0])
        return a.copy()

    op = mg.register(mg.Op("looked_at", lambda x: x, look, no_gradient=True))
    yield op, places
    del OPS["looked_at"]


@pytest.mark.parametrize("backend", ["numpy", "native"])
def test_tensors_are_inputs_where_they_lie(backend, seen):
    (op, places), x = seen, mg.var("x", (1000,), "float32")
    f, tensor = mg.function([x], op(x), backend=backend), torch.ones(1000)
    f(tensor)
    assert places == [tensor.data_ptr()]
    w = mg.param("w", tensor)  # which is the graph's own: what updates it changes no tensor
    assert not np.shares_memory(w.value, tensor.numpy())


@pytest.mark.parametrize("backend", ["numpy", "native"])
def test_tensors_that_are_no_arrays_are_told_with_the_input(backend):
    x = mg.var("x", (3,), "float32")
    f = mg.function([x], 2 * x, backend=backend)
    refused = {
        "detach": torch.ones(3, requires_grad=True),
        "BFloat16": torch.ones(3, dtype=torch.bfloat16),
        "to_dense": torch.ones(3).to_sparse(),
    }
    for words, tensor in refused.items():
        with pytest.raises(mg.DTypeError, match=f"the value of x.* is no array here: .*{words}"):
            f(tensor)
