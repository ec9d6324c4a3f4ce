"""Where arrays lie, asked of many at once in machine code; and params read and written so."""

import ctypes

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import minigrad as mg
from minigrad.types import TensorType

pytest.importorskip("llvmlite", reason="the native backend needs llvmlite")
arrays = pytest.importorskip("minigrad.compile.backends.native.arrays")

WRITEABLE = arrays.PLAIN | arrays.WRITEABLE


def locked(a):
    a.flags.writeable = False
    return a


def odd(shape):
    """An array at an address that its elements do not like."""
    return np.zeros(8 * int(np.prod(shape)) + 1, np.uint8)[1:].view(np.float64).reshape(shape)


class Kin(np.ndarray):
    pass


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "bool", "uint8"])
@pytest.mark.parametrize("shape", [(), (3,), (2, 5), (1, 1, 4), (0, 3)])
def test_addresses_are_numpys(shape, dtype):
    made = [np.zeros(shape, dtype) for _ in range(5)]
    kinds = arrays.Kinds([TensorType(shape, dtype)] * 5, WRITEABLE)
    assert list(kinds.places(made)) == [a.ctypes.data for a in made]


@pytest.mark.parametrize(
    "other",
    [
        np.zeros((3, 4), np.float32), np.zeros((3, 4), ">f8"), np.zeros((3, 4), np.int64),
        np.zeros((4, 3)), np.zeros((3, 5)), np.zeros((2, 4)), np.zeros((3, 4, 1)), np.zeros(12),
        np.zeros((4, 3)).T, np.zeros((3, 8))[:, ::2], locked(np.zeros((3, 4))), odd((3, 4)),
        np.zeros((3, 4)).view(Kin), np.float64(3.0), 3, None, [[0.0] * 4] * 3, "x" * 200,
    ],
    ids=lambda a: f"{type(a).__name__}{getattr(a, 'dtype', '')}{getattr(a, 'strides', '')}",
)  # fmt: skip
@pytest.mark.parametrize("at", [0, 1, 2])
def test_what_is_anything_else_is_seen(other, at):
    fit = [np.zeros((3, 4)) for _ in range(3)]
    kinds = arrays.Kinds([TensorType((3, 4), "float64")] * 3, WRITEABLE)
    assert kinds.places(fit) is not None
    assert kinds.places([*fit[:at], other, *fit[at + 1 :]]) is None


def test_flags_that_do_not_matter_are_not_asked():
    types = [TensorType((3, 4), "float64")]
    assert arrays.Kinds(types, 0).places([np.zeros((4, 3)).T]) is not None
    assert arrays.Kinds(types, arrays.PLAIN).places([locked(np.zeros((3, 4)))]) is not None


@pytest.mark.parametrize("change", ["shape", "dtype", "strides", "flags"])
def test_what_changes_in_place_is_seen(change):
    a = np.zeros((4, 4))
    kinds = arrays.Kinds([TensorType((4, 4), "float64")], WRITEABLE)
    assert kinds.places([a]) is not None
    if change == "shape":
        a.resize((2, 8), refcheck=False)
    elif change == "dtype":
        a.dtype = np.int64
    elif change == "strides":
        a = np.lib.stride_tricks.as_strided(a, (4, 4), (8, 32))
    else:
        a.flags.writeable = False
    assert kinds.places([a]) is None


def test_copies_are_all_made_or_none():
    types = [TensorType((3,), "float64"), TensorType((), "int64"), TensorType((0, 2), "bool")]
    sources = [np.array([1.0, 2.0, 3.0]), np.array(7), np.zeros((0, 2), bool)]
    targets = [np.zeros(t.shape, t.dtype) for t in types]
    copies = arrays.Copies(types)
    targets[1].flags.writeable = False
    assert not copies.copied(targets, sources)
    assert_array_equal(targets[0], 0.0)
    targets[1].flags.writeable = True
    assert copies.copied(targets, sources)
    for a, b in zip(targets, sources, strict=True):
        assert_array_equal(a, b)


def step(backend):
    """A loop whose params change places, and are read again: what each call and the params give."""
    p, q, w = (
        mg.param(n, np.full((4, 4), v)) for n, v in zip("pqw", (0.5, -0.25, 1.0), strict=True)
    )
    count, x = mg.param("count", 0), mg.var("x", (6, 4, 4))
    last, _ = mg.scan(lambda c, x: (mg.tanh(c @ w + x * p), None), mg.zeros((4, 4)), x)
    updates = {p: q, q: p, w: w + 0.125 * last, count: count + 1}
    f = mg.function([x], [mg.sum(last), q], updates, backend=backend)
    xs = np.random.default_rng(0).standard_normal(x.shape)
    calls = [f(xs) for _ in range(3)]
    w.value = np.full((4, 4), 0.75)
    w.value[0] = 0.5  # in place
    calls.append(f(xs))
    return [v for call in calls for v in call], [v.value for v in (p, q, w, count)]


@pytest.mark.parametrize("known", [True, False])
def test_params_are_read_and_written_as_by_numpy(known, monkeypatch):
    """Also where NumPy's arrays are laid out in another way."""
    if not known:
        monkeypatch.setattr(arrays, "_functions", lambda: None)
    for native, reference in zip(step("native"), step("numpy"), strict=True):
        for a, b in zip(native, reference, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-13, atol=1e-14)


def test_arrays_laid_out_in_another_way_are_not_read(monkeypatch):
    """The places of the fields are tried before they are relied on."""
    assert arrays._functions() is not None
    for name in ("DESCR", "FLAGS", "NDIM", "DATA"):
        with monkeypatch.context() as patch:
            patch.setattr(arrays, name, getattr(arrays, name) - 8)
            assert arrays._functions.__wrapped__() is None, name


class Keeps:
    """A storage that keeps what it is given."""

    def __init__(self, array):
        self.held = [array]

    def load(self):
        return self.held[-1]

    def store(self, value):
        self.held.append(value)


@pytest.mark.parametrize("backend", ["numpy", "native"])
def test_what_a_storage_keeps_is_not_written_over(backend):
    p, x = mg.param("p", np.ones(400)), mg.var("x", (400,))
    p.attrs[1].storage = storage = Keeps(p.value)
    last, _ = mg.scan(lambda c, _: (c * 0.5, None), p + x, length=1)
    f = mg.function([x], [], {p: last}, backend=backend)
    for _ in range(3):
        f(np.ones(400))
    assert [float(a[7]) for a in storage.held] == [1.0] * 4
    f(np.zeros(400))
    f(np.zeros(400))
    assert [float(a[7]) for a in storage.held] == [1.0] * 4 + [0.5, 0.25]


def test_a_float_serves_for_a_scalar_where_it_is_only_read():
    numbers = [2.5, np.float64(-0.5), np.array(4.5)]
    types = [TensorType((), "float64")] * 3
    places = arrays.Kinds(types, arrays.PLAIN).places(numbers)
    assert [ctypes.c_double.from_address(p).value for p in places] == [2.5, -0.5, 4.5]
    assert arrays.Kinds(types, WRITEABLE).places(numbers) is None
    for other in (3, True, np.float32(1.0), np.int64(2), "2.5", None, Own(2.5)):
        assert arrays.Kinds(types[:1], arrays.PLAIN).places([other]) is None
    for other in (TensorType((), "int64"), TensorType((), "float32"), TensorType((1,), "float64")):
        assert arrays.Kinds([other], arrays.PLAIN).places([2.5]) is None


class Own(float):
    pass


def small(backend):
    """A function that is one program, its inputs in another order than it reads them."""
    y, x, s = mg.var("y", (3,)), mg.var("x", (3,)), mg.var("s")
    out = mg.tanh(x) * mg.exp(y * 0.5) + mg.exp(x * s) - mg.log1p(y * y) + s
    outputs = {"of y": mg.sum(mg.sin(y) * s), "both": [out, mg.exp(s) * mg.cos(s)]}
    return mg.function([x, s, y], outputs, backend=backend)


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize(
    "other",
    [
        (2, [1.0, 2.0, 0.5]), (2, np.arange(6.0)[::2]), (2, np.arange(3, dtype=np.float32)),
        (2, odd((3,))), (2, np.arange(3.0).astype(">f8")), (0, locked(np.ones(3))),
        (1, 3), (1, 0.25), (1, True), (1, np.float32(0.5)), (1, np.array(0.75)),
    ],
    ids=lambda o: f"{o[0]}-{type(o[1]).__name__}{getattr(o[1], 'dtype', '')}",
)  # fmt: skip
def test_values_of_any_kind_give_what_they_give_by_numpy(other, known, monkeypatch):
    if not known:
        monkeypatch.setattr(arrays, "_functions", lambda: None)
    at, value = other
    native, reference = small("native"), small("numpy")
    assert [s.node.op.name for s in native.plan.steps] == ["block"]
    for given in (value, value):
        values = [np.array([0.5, -1.0, 2.0]), 0.5, np.array([0.25, 0.5, -0.75])]
        values[at] = given
        made, wanted = native(*values), reference(*values)
        np.testing.assert_allclose(made["of y"], wanted["of y"], rtol=1e-14)
        assert type(made["both"][1]) is np.float64
        for a, b in zip(made["both"], wanted["both"], strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-14)


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ((np.ones(4), 1.0, np.ones(3)), mg.ShapeError),
        ((np.ones(3), 1.0, np.ones(3, complex)), mg.DTypeError),
        ((np.ones(3), np.ones(1), np.ones(3)), mg.ShapeError),
        ((np.ones(3), None, np.ones(3)), mg.DTypeError),
        ((np.ones(3), np.ones(3)), mg.GraphError),
    ],
)  # fmt: skip
def test_values_that_do_not_fit_are_refused_as_by_numpy(values, error):
    said = []
    for backend in ("native", "numpy"):
        f = small(backend)
        f(np.ones(3), 1.0, np.ones(3))
        with pytest.raises(error) as caught:
            f(*values)
        said.append(str(caught.value))
    assert said[0] == said[1]


def test_results_of_calls_are_arrays_of_their_own():
    f = small("native")
    first = f(np.ones(3), 1.0, np.ones(3))["both"][0]
    kept = first.copy()
    second = f(np.zeros(3), 1.0, np.zeros(3))["both"][0]
    assert not np.shares_memory(first, second)
    assert_array_equal(first, kept)
    assert not np.array_equal(first, second)


def test_an_index_out_of_range_is_told_by_a_program_alone():
    x, at = mg.var("x", (5,)), mg.var("at", (3,), "int64")
    y = mg.exp(x * 0.5)[at] * mg.tanh(x[:3]) + mg.sin(x[2:]) * mg.cos(x[2:]) + 1.0
    f = mg.function([x, at], y, backend="native")
    assert [s.node.op.name for s in f.plan.steps] == ["block"]
    for _ in range(2):
        with pytest.raises(IndexError, match="7 is out of bounds"):
            f(np.ones(5), np.array([0, 7, 1]))
        expected = (np.exp(0.5) * np.tanh(1.0) + np.sin(1.0) * np.cos(1.0) + 1.0) * np.ones(3)
        np.testing.assert_allclose(f(np.ones(5), np.array([0, -5, 4])), expected, rtol=1e-14)
