"""The Python array API standard, 2024.12: what it says of each function, as tables."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import array_api as xp

# --- signatures ---------------------------------------------------------------------------------

OF_ONE = (
    "abs acos acosh asin asinh atan atanh bitwise_invert ceil conj cos cosh exp expm1 floor imag "
    "isfinite isinf isnan log log1p log2 log10 logical_not negative positive real reciprocal round "
    "sign signbit sin sinh square sqrt tan tanh trunc"
)
OF_TWO = (
    "add atan2 bitwise_and bitwise_left_shift bitwise_or bitwise_right_shift bitwise_xor copysign "
    "divide equal floor_divide greater greater_equal hypot less less_equal logaddexp logical_and "
    "logical_or logical_xor maximum minimum multiply nextafter not_equal pow remainder subtract"
)

# As in the standard's text, without types. A default is written as there.
SIGNATURES: dict[str, str] = {
    **dict.fromkeys(OF_ONE.split(), "x, /"),
    **dict.fromkeys(OF_TWO.split(), "x1, x2, /"),
    "clip": "x, /, min=None, max=None",
    # creation
    "arange": "start, /, stop=None, step=1, *, dtype=None, device=None",
    "empty": "shape, *, dtype=None, device=None",
    "empty_like": "x, /, *, dtype=None, device=None",
    "eye": "n_rows, n_cols=None, /, *, k=0, dtype=None, device=None",
    "full": "shape, fill_value, *, dtype=None, device=None",
    "full_like": "x, /, fill_value, *, dtype=None, device=None",
    "linspace": "start, stop, /, num, *, dtype=None, device=None, endpoint=True",
    "meshgrid": "*arrays, indexing='xy'",
    "ones": "shape, *, dtype=None, device=None",
    "ones_like": "x, /, *, dtype=None, device=None",
    "tril": "x, /, *, k=0",
    "triu": "x, /, *, k=0",
    "zeros": "shape, *, dtype=None, device=None",
    "zeros_like": "x, /, *, dtype=None, device=None",
    "asarray": "obj, /, *, dtype=None, device=None, copy=None",
    "from_dlpack": "x, /, *, device=None, copy=None",
    # dtypes
    "astype": "x, dtype, /, *, copy=True, device=None",
    "can_cast": "from_, to, /",
    "finfo": "type, /",
    "iinfo": "type, /",
    "isdtype": "dtype, kind",
    "result_type": "*arrays_and_dtypes",
    # indexing, searching, sorting
    "take": "x, indices, /, *, axis=None",
    "take_along_axis": "x, indices, /, *, axis=-1",
    "argmax": "x, /, *, axis=None, keepdims=False",
    "argmin": "x, /, *, axis=None, keepdims=False",
    "count_nonzero": "x, /, *, axis=None, keepdims=False",
    "searchsorted": "x1, x2, /, *, side='left', sorter=None",
    "where": "condition, x1, x2, /",
    "argsort": "x, /, *, axis=-1, descending=False, stable=True",
    "sort": "x, /, *, axis=-1, descending=False, stable=True",
    # manipulation
    "broadcast_arrays": "*arrays",
    "broadcast_to": "x, /, shape",
    "concat": "arrays, /, *, axis=0",
    "expand_dims": "x, /, axis",
    "flip": "x, /, *, axis=None",
    "moveaxis": "x, source, destination, /",
    "permute_dims": "x, /, axes",
    "repeat": "x, repeats, /, *, axis=None",
    "reshape": "x, /, shape, *, copy=None",
    "roll": "x, /, shift, *, axis=None",
    "squeeze": "x, /, axis",
    "stack": "arrays, /, *, axis=0",
    "tile": "x, repetitions, /",
    "unstack": "x, /, *, axis=0",
    # statistics and utilities
    "cumulative_prod": "x, /, *, axis=None, dtype=None, include_initial=False",
    "cumulative_sum": "x, /, *, axis=None, dtype=None, include_initial=False",
    "max": "x, /, *, axis=None, keepdims=False",
    "mean": "x, /, *, axis=None, keepdims=False",
    "min": "x, /, *, axis=None, keepdims=False",
    "prod": "x, /, *, axis=None, dtype=None, keepdims=False",
    "std": "x, /, *, axis=None, correction=0.0, keepdims=False",
    "sum": "x, /, *, axis=None, dtype=None, keepdims=False",
    "all": "x, /, *, axis=None, keepdims=False",
    "any": "x, /, *, axis=None, keepdims=False",
    "diff": "x, /, *, axis=-1, n=1, prepend=None, append=None",
    # linear algebra
    "matmul": "x1, x2, /",
    "matrix_transpose": "x, /",
    "tensordot": "x1, x2, /, *, axes=2",
    "vecdot": "x1, x2, /, *, axis=-1",
}
LINALG: dict[str, str] = {
    "cholesky": "x, /, *, upper=False",
    "cross": "x1, x2, /, *, axis=-1",
    "det": "x, /",
    "diagonal": "x, /, *, offset=0",
    "eigh": "x, /",
    "eigvalsh": "x, /",
    "inv": "x, /",
    "matrix_norm": "x, /, *, keepdims=False, ord='fro'",
    "matrix_power": "x, n, /",
    "matrix_rank": "x, /, *, rtol=None",
    "outer": "x1, x2, /",
    "pinv": "x, /, *, rtol=None",
    "qr": "x, /, *, mode='reduced'",
    "slogdet": "x, /",
    "solve": "x1, x2, /",
    "svd": "x, /, *, full_matrices=True",
    "svdvals": "x, /",
    "trace": "x, /, *, offset=0, dtype=None",
    "vector_norm": "x, /, *, axis=None, keepdims=False, ord=2",
    **{name: SIGNATURES[name] for name in ("matmul", "matrix_transpose", "tensordot", "vecdot")},
}


# Methods of the array object; the reflected ones of an operator are as the operator's.
OPERATORS = "add and eq floordiv ge gt le lshift lt matmul mod mul ne or pow rshift sub truediv xor"
REFLECTED = "add and floordiv lshift matmul mod mul or pow rshift sub truediv xor"
CONVERSIONS = "abs bool complex float index int invert neg pos"
METHODS: dict[str, str] = {
    **{f"__{name}__": "self, other, /" for name in OPERATORS.split()},
    **{f"__r{name}__": "self, other, /" for name in REFLECTED.split()},
    **{f"__{name}__": "self, /" for name in CONVERSIONS.split()},
    "__array_namespace__": "self, /, *, api_version=None",
    "__dlpack__": "self, /, *, stream=None, max_version=None, dl_device=None, copy=None",
    "__dlpack_device__": "self, /",
    "__getitem__": "self, key, /",
    "__setitem__": "self, key, value, /",
    "to_device": "self, device, /, *, stream=None",
}


def parameters(signature: str) -> list[inspect.Parameter]:
    scope: dict[str, Any] = {}
    exec(f"def function({signature}): ...", scope)
    return list(inspect.signature(scope["function"]).parameters.values())


def check_signature(function: Any, signature: str) -> None:
    """Every call that the standard allows means the same; more may be allowed."""
    ours = inspect.signature(function).parameters
    positional = [p for p in ours.values() if p.kind is not p.KEYWORD_ONLY]
    for k, theirs in enumerate(parameters(signature)):
        if theirs.kind is theirs.KEYWORD_ONLY:
            mine = ours[theirs.name]
            assert mine.kind in (mine.KEYWORD_ONLY, mine.POSITIONAL_OR_KEYWORD)
        else:
            mine = positional[k]
            assert mine.kind is theirs.kind, theirs.name
            if theirs.kind is theirs.POSITIONAL_OR_KEYWORD:
                assert mine.name == theirs.name
        if theirs.default is not theirs.empty:
            assert mine.default == theirs.default, theirs.name
            assert type(mine.default) is type(theirs.default), theirs.name


@pytest.mark.parametrize("name", SIGNATURES)
def test_signature(name: str) -> None:
    check_signature(getattr(mg, name), SIGNATURES[name])
    assert getattr(xp, name) is getattr(mg, name)


@pytest.mark.parametrize("name", METHODS)
def test_signature_of_a_method(name: str) -> None:
    check_signature(getattr(mg.Expr, name), METHODS[name])


@pytest.mark.parametrize("name", ["dtype", "device", "mT", "ndim", "shape", "size", "T"])
def test_attributes(name: str) -> None:
    assert isinstance(getattr(mg.Expr, name), property)


@pytest.mark.parametrize("name", LINALG)
def test_signature_of_linear_algebra(name: str) -> None:
    check_signature(getattr(mg.linalg, name), LINALG[name])
    assert getattr(mg.linalg, name) is getattr(mg, name)


def test_var_is_a_variable_in_minigrad_and_the_variance_in_the_standards_namespace() -> None:
    check_signature(xp.var, "x, /, *, axis=None, correction=0.0, keepdims=False")
    assert xp.var(mg.const([1.0, 3.0]), correction=1).eval() == 2
    assert mg.var("x").shape == ()
    assert mg.var(np.str_("x")) is mg.var("x")
    with pytest.raises(mg.GraphError, match="the variance is"):
        mg.var(mg.const([1.0, 3.0]))  # type: ignore[arg-type]


# --- shapes -------------------------------------------------------------------------------------


def test_meshgrid() -> None:
    x, y = mg.meshgrid(mg.const([1, 2]), mg.const([3, 4, 5]))
    assert x.eval().tolist() == [[1, 2]] * 3 and y.eval().tolist() == [[3, 3], [4, 4], [5, 5]]
    x, y, z = mg.meshgrid([1, 2], 3, [4.0, 5.0, 6.0], indexing="ij")
    assert x.shape == y.shape == z.shape == (2, 1, 3)
    assert x.eval()[:, 0, 0].tolist() == [1, 2] and z.eval()[1, 0].tolist() == [4, 5, 6]
    assert [a.dtype.name for a in (x, y, z)] == ["int64", "int64", "float64"]
    assert [a.shape for a in mg.meshgrid([1, 2], [3], [4, 5, 6])] == [(1, 2, 3)] * 3
    assert mg.meshgrid([1, 2], [3], [4, 5, 6])[2].eval()[0].tolist() == [[4, 5, 6]] * 2
    assert mg.meshgrid() == ()
    with pytest.raises(mg.ShapeError, match="vectors"):
        mg.meshgrid(mg.zeros((2, 2)))


def test_what_does_not_matter_has_a_type() -> None:
    assert mg.empty((2, 3), dtype="int8").type == mg.TensorType((2, 3), "int8")
    assert mg.empty_like(mg.zeros(3, "float32")).type == mg.TensorType(3, "float32")


def test_arguments_of_the_standard() -> None:
    x = mg.const([[1, 2, 3], [4, 5, 6]])
    v = mg.const([1.0, 3.0, 6.0])
    assert mg.cumulative_sum(v, include_initial=True).eval().tolist() == [0, 1, 4, 10]
    assert mg.cumulative_prod(x, axis=1, include_initial=True).eval().tolist() == [
        [1, 1, 2, 6],
        [1, 4, 20, 120],
    ]
    assert mg.cumulative_sum(mg.zeros((0, 2)), axis=0, include_initial=True).shape == (1, 2)
    assert mg.cumulative_sum(v, include_initial=True).dtype == mg.float64
    assert mg.diff(v, prepend=mg.const([0.0]), append=mg.const([7.0])).eval().tolist() == [
        1, 2, 3, 1,
    ]  # fmt: skip
    assert mg.diff(x, axis=0, prepend=0).eval().tolist() == [[1, 2, 3], [3, 3, 3]]
    assert mg.eye(2, 3, k=1).eval().tolist() == [[0, 1, 0], [0, 0, 1]]
    assert mg.eye(3, k=-1, dtype="int8").eval().tolist() == [[0, 0, 0], [1, 0, 0], [0, 1, 0]]
    assert mg.linspace(0, 1, 4, endpoint=False).eval().tolist() == [0, 0.25, 0.5, 0.75]
    assert mg.linspace(0, 1, num=1).eval().tolist() == [0] and mg.linspace(0, 1, 0).shape == (0,)
    assert mg.arange(3, device="cpu").dtype == mg.int64 and mg.arange(0.0, 1).dtype == mg.float64
    assert mg.arange(5, 0, -2, dtype="float32").eval().tolist() == [5, 3, 1]
    assert mg.roll(x, (1, -1), axis=(0, 1)).eval().tolist() == [[5, 6, 4], [2, 3, 1]]
    assert mg.roll(x, 1, axis=(0, 1)).eval().tolist() == [[6, 4, 5], [3, 1, 2]]
    assert mg.full((2,), fill_value=7).dtype == mg.int64
    assert mg.full_like(x, fill_value=0.5, dtype="float32").eval().tolist() == [[0.5] * 3] * 2
    assert mg.sort(x, stable=False, descending=True).eval().tolist() == [[3, 2, 1], [6, 5, 4]]
    assert mg.repeat(v, mg.const([2, 0, 1])).eval().tolist() == [1, 1, 6]
    assert mg.reshape(x, (3, 2), copy=True) is mg.reshape(x, (3, 2), copy=False)
    assert mg.astype(v, mg.float64, copy=False) is v
    assert mg.std(v, correction=1).eval() == pytest.approx(2.5166114784235836)
    assert mg.searchsorted(v, [3.0, 0.0], side="right").eval().tolist() == [2, 0]
    assert mg.searchsorted([3, 1, 2], 2, sorter=[1, 2, 0]).eval() == 1
    assert [a.eval().tolist() for a in mg.unstack(x, axis=1)] == [[1, 4], [2, 5], [3, 6]]
    assert mg.take_along_axis(x, mg.const([[2], [0]]), axis=1).eval().tolist() == [[3], [4]]


def test_linspace_between_expressions() -> None:
    a, b = mg.var("a", (2,)), mg.var("b")
    y = mg.linspace(a, b, 5)
    at = {a: [0.0, 1.0], b: 3.0}
    assert y.eval(at).tolist() == [[0, 1], [0.75, 1.5], [1.5, 2], [2.25, 2.5], [3, 3]]
    assert mg.grad(mg.sum(y), b).eval(at) == 5  # Σ of 0, ¼, ½, ¾, 1, twice
    assert mg.linspace(b, 1, 3, dtype="float32").dtype == mg.float32


def test_names_of_results() -> None:
    x = mg.const([[2.0, 0.0], [0.0, 3.0]])
    assert mg.linalg.slogdet(x).sign.eval() == 1
    assert mg.linalg.slogdet(x).logabsdet.eval() == pytest.approx(1.791759469228055)
    assert mg.linalg.eigh(x).eigenvalues.eval().tolist() == [2, 3]
    assert mg.linalg.eigh(x).eigenvectors.shape == (2, 2)
    q, r = mg.linalg.qr(x)
    assert mg.linalg.qr(x).Q is q and mg.linalg.qr(x).R is r
    u, s, vh = mg.linalg.svd(x)
    result = mg.linalg.svd(x)
    assert result.U is u and result.S is s and result.Vh is vh


# --- protocols ----------------------------------------------------------------------------------


def test_the_namespace_of_an_expression() -> None:
    x = mg.var("x")
    assert x.__array_namespace__() is xp
    assert x.__array_namespace__(api_version="2024.12") is xp
    assert mg.__array_api_version__ == xp.__array_api_version__ == "2024.12"
    for wrong in ("2099.01", "2019.12", "new"):
        with pytest.raises(ValueError, match="not of " + wrong):
            x.__array_namespace__(api_version=wrong)
    assert {*SIGNATURES, "var", "linalg", "bool", "int8", "pi", "newaxis"} <= set(dir(xp))


def test_code_written_to_the_standard() -> None:
    """As a library would write it, without knowing whose arrays these are."""

    def standardised(x: Any) -> Any:
        xp = x.__array_namespace__()
        centred = x - xp.mean(x, axis=0, keepdims=True)
        return centred / xp.sqrt(xp.var(x, axis=0, keepdims=True, correction=1))

    at = np.array([[1.0, 2.0], [3.0, 5.0], [4.0, -1.0]])
    x = mg.var("x", (3, 2))
    y = standardised(x)
    np.testing.assert_allclose(y.eval({x: at}), standardised(at))
    mg.check_grad(y, x, {x: at})


def test_what_the_library_can_do() -> None:
    info = mg.__array_namespace_info__()
    assert info.capabilities() == {
        "boolean indexing": False,
        "data-dependent shapes": False,
        "max dimensions": 32,
    }
    assert mg.zeros((1,) * 32).ndim == 32
    with pytest.raises(mg.ShapeError):
        mg.zeros((1,) * 33)
    assert info.default_device() == "cpu" and info.devices() == ["cpu"]
    defaults = info.default_dtypes(device="cpu")
    assert defaults["real floating"] == mg.zeros(1).dtype
    assert defaults["integral"] == mg.asarray(1).dtype
    assert defaults["indexing"] == mg.argmax(mg.zeros(1)).dtype
    assert len(info.dtypes()) == 11 and info.dtypes()["int8"] == mg.int8
    assert list(info.dtypes(kind="real floating")) == ["float32", "float64"]
    assert list(info.dtypes(kind=("bool", mg.int8))) == ["bool", "int8"]


def test_devices() -> None:
    x = mg.var("x", (2,))
    assert x.device == "cpu" and x.to_device("cpu") is x
    assert mg.zeros(2, device="cpu") is mg.zeros(2)
    for make in (mg.zeros, mg.ones, mg.empty, mg.arange, mg.eye, mg.asarray, mg.zeros_like):
        with pytest.raises(ValueError, match="'gpu'"):
            make(2, device="gpu")
    with pytest.raises(ValueError, match="'gpu'"):
        x.to_device("gpu")


def test_dlpack_both_ways() -> None:
    closed = mg.const([1.0, 2.0]) * 2
    taken = np.from_dlpack(closed)
    assert taken.tolist() == [2, 4]
    assert closed.__dlpack_device__() == (1, 0)
    source = np.arange(3.0)
    x = mg.from_dlpack(source)
    source[0] = 9  # a copy
    assert x.eval().tolist() == [0, 1, 2] and x.op.name == "const"
    assert mg.from_dlpack(x) is x
    assert np.from_dlpack(mg.const([True, False])).dtype == np.bool_
    with pytest.raises(mg.OpenGraphError):
        np.from_dlpack(mg.var("x", (2,)))
    with pytest.raises(mg.MinigradError, match="gradient"):
        np.from_dlpack(mg.param("p", [1.0]) * 2)
    with pytest.raises(BufferError):
        closed.__dlpack__(copy=False)
    with pytest.raises(BufferError):
        closed.__dlpack__(dl_device=(2, 0))
    with pytest.raises(ValueError, match="copy=False"):
        mg.from_dlpack(source, copy=False)


class OnlyDLPack:
    """An array of another library."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array

    def __dlpack__(self, **options: Any) -> Any:
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return 1, 0


def test_asarray() -> None:
    x = mg.var("x", (2,))
    assert mg.asarray(x) is x and mg.asarray(x, dtype="float32").dtype == mg.float32
    assert mg.asarray([[1, 2], [3, 4]]).dtype == mg.int64
    assert mg.asarray(True).dtype == mg.bool and mg.asarray(1.5).dtype == mg.float64
    assert mg.asarray([1, 2.5], dtype=mg.float32).eval().tolist() == [1, 2.5]
    assert mg.asarray(OnlyDLPack(np.arange(2))).eval().tolist() == [0, 1]
    assert mg.asarray(memoryview(b"\1\2")).dtype == mg.uint8
    assert mg.asarray([x[0], 1.0]).shape == (2,)
    source = np.zeros(2)
    constant = mg.asarray(source)
    source[0] = 1
    assert constant.eval().tolist() == [0, 0]
    with pytest.raises(ValueError, match="copy=False"):
        mg.asarray([1], copy=False)
    with pytest.raises(mg.DTypeError):
        mg.asarray(["a"])
    with pytest.raises(mg.DTypeError, match="300"):
        mg.asarray(300, dtype="uint8")


def test_python_numbers_of_expressions() -> None:
    x = mg.const(2)
    assert (float(x), int(x), complex(x), bool(x), [5, 6, 7][x]) == (2.0, 2, 2 + 0j, True, 7)
    assert complex(mg.const(True)) == 1
    with pytest.raises(mg.OpenGraphError):
        complex(mg.var("x"))


def test_masks() -> None:
    x = mg.const([[1, 2, 3], [4, 5, 6]])
    assert x[x > 2].eval().tolist() == [3, 4, 5, 6]
    assert x[mg.const([False, True])].eval().tolist() == [[4, 5, 6]]
    for yes in (True, np.True_, np.array(True), mg.const(True), x[0, 0] == 1):
        assert x[yes].eval().tolist() == [[[1, 2, 3], [4, 5, 6]]]
        assert x[~yes if yes is not True else False].shape == (0, 2, 3)
    with pytest.raises(mg.DTypeError, match="shape known only later"):
        x[mg.var("flag", (), "bool")]


def test_what_is_out_of_range_is_an_index_error_and_a_value_error() -> None:
    x = mg.var("x", (2, 3))
    for call in (
        lambda: mg.expand_dims(x, 4),
        lambda: mg.expand_dims(x, axis=-4),
        lambda: x[2],
        lambda: x[np.array([True, False, True])],
        lambda: x[0, 0, 0],
        lambda: mg.sum(x, axis=2),
        lambda: mg.squeeze(x, 5),
        lambda: mg.stack([x, x], axis=3),
    ):
        with pytest.raises(IndexError):
            call()
        with pytest.raises(ValueError, match=r"out of range|does not fit|too many"):
            call()
