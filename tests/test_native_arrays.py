"""Where arrays lie, asked of many at once in machine code; and params read and written so."""

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
