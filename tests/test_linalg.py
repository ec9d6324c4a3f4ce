"""Matrix functions where they are delicate: singular matrices, equal values, zeros."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

import minigrad as mg

Matrix = list[list[float]]


def gradient(y: mg.Expr, x: mg.Expr, at: Any) -> np.ndarray:
    return np.asarray(mg.grad(y, x).eval({x: at}))


# --- determinants -------------------------------------------------------------------------------


def cofactor_matrix(a: np.ndarray) -> np.ndarray:
    """By minors, each a determinant of its own."""
    n = len(a)
    return np.array(
        [
            [(-1) ** (i + j) * minor(a, [i], [j]) for j in range(n)]
            for i in range(n)
        ]
    )  # fmt: skip


def minor(a: np.ndarray, rows: list[int], columns: list[int]) -> float:
    """Leibniz' sum over the matrix without some rows and columns."""
    b = np.delete(np.delete(a, rows, 0), columns, 1)
    n = len(b)
    return float(
        sum(
            (-1) ** sum(p[i] > p[j] for i in range(n) for j in range(i + 1, n))
            * np.prod([b[i, p[i]] for i in range(n)])
            for p in permutations(range(n))
        )
    )


@pytest.mark.parametrize(
    ("at", "cofactors"),
    [
        ([[1, 2], [2, 4]], [[4, -2], [-2, 1]]),
        ([[0]], [[1]]),
        ([[0, 0], [0, 0]], [[0, 0], [0, 0]]),
        ([[1, 2, 3], [4, 5, 6], [7, 8, 9]], [[-3, 6, -3], [6, -12, 6], [-3, 6, -3]]),
        ([[2, 0, 0], [0, 0, 0], [0, 0, 3]], [[0, 0, 0], [0, 6, 0], [0, 0, 0]]),
        ([[2, 0, 0], [0, 0, 0], [0, 0, 0]], np.zeros((3, 3))),
    ],
)
def test_the_gradient_of_det_is_its_cofactors(at: Matrix, cofactors: Any) -> None:
    x = mg.var("x", np.shape(at))
    assert_allclose(gradient(mg.det(x), x, at), cofactors, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("rank", [0, 1, 2, 3, 4])
def test_second_derivatives_of_det_are_the_minors_of_two_rows(rank: int) -> None:
    rng = np.random.default_rng(rank)
    a = rng.integers(-3, 4, (4, rank)) @ rng.integers(-3, 4, (rank, 4))
    x = mg.var("x", a.shape)
    expected = np.zeros((4,) * 4)
    for i, j, k, m in np.ndindex(expected.shape):
        if i != k and j != m:
            swapped = (i > k) != (j > m)
            sign = (-1) ** (i + j + k + m + swapped)
            expected[i, j, k, m] = sign * minor(a, [i, k], [j, m])
    hessian = mg.hessian(mg.det(x), x).eval({x: a})
    assert_allclose(hessian, expected, rtol=1e-12, atol=1e-12)
    assert_allclose(gradient(mg.det(x), x, a), cofactor_matrix(a), rtol=1e-12, atol=1e-11)


def test_third_derivatives_of_det_at_zero_are_the_signs_of_permutations() -> None:
    x = mg.var("x", (3, 3))
    y = mg.det(x)
    for i, j in enumerate((2, 0, 1)):
        y = mg.grad(y, x)[i, j]
    assert y.eval({x: np.zeros((3, 3))}) == 1
    y = mg.det(x)
    for i, j in enumerate((1, 0, 2)):
        y = mg.grad(y, x)[i, j]
    assert y.eval({x: np.zeros((3, 3))}) == -1


def test_the_determinant_of_nothing_is_one() -> None:
    x = mg.var("x", (0, 0))
    assert mg.det(x).eval({x: np.zeros((0, 0))}) == 1
    assert gradient(mg.det(x), x, np.zeros((0, 0))).shape == (0, 0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("singular", [False, True])
def test_the_cofactors_of_a_stack_with_and_without_an_inverse(dtype: str, singular: bool) -> None:
    """A well-conditioned matrix is inverted; beside one singular matrix the others hold too."""
    rng = np.random.default_rng(3)
    a = rng.standard_normal((4, 3, 3)).astype(dtype)
    if singular:
        a[1, 2] = a[1, 0] + a[1, 1]
        a[2] = 0
    x = mg.var("x", a.shape, dtype)
    got = gradient(mg.sum(mg.det(x)), x, a)
    assert got.dtype == dtype
    exact = np.array([cofactor_matrix(m.astype(np.float64)) for m in a])
    assert_allclose(got, exact, atol=1e-5 if dtype == "float32" else 1e-14, rtol=1e-13)


@pytest.mark.parametrize("scale", [1e-120, 1e120, 1e-150, 1e150])
def test_cofactors_where_the_determinant_leaves_the_range_of_floats(scale: float) -> None:
    a = np.array([[2.0, 1.0, 0.0], [0.0, 3.0, 1.0], [1.0, 0.0, 4.0]])
    x = mg.var("x", (3, 3))
    with np.errstate(all="ignore"):
        got = gradient(mg.det(x), x, a * scale)
    assert_allclose(got, cofactor_matrix(a) * scale**2, rtol=1e-13)


# --- equal and zero values ----------------------------------------------------------------------


def turned(values: Any, seed: int = 1) -> np.ndarray:
    """A symmetric matrix of these eigenvalues."""
    q, _ = np.linalg.qr(np.random.default_rng(seed).standard_normal((len(values),) * 2))
    x = (q * values) @ q.T
    return np.asarray((x + x.T) / 2)


@pytest.mark.parametrize("at", [np.eye(3), np.zeros((3, 3)), turned([2.0, 2.0, 5.0])])
def test_functions_of_equal_eigenvalues_have_their_gradient(at: np.ndarray) -> None:
    """Σ f(λ) has gradient V diag(f'(λ)) Vᵀ, whatever basis V is of the equal ones."""
    x = mg.var("x", (3, 3))
    values, vectors = np.linalg.eigh(at)
    expected = (vectors * 3 * values**2) @ vectors.T
    assert_allclose(gradient(mg.sum(mg.eigvalsh(x) ** 3), x, at), expected, atol=1e-12)


@pytest.mark.parametrize("at", [np.eye(3), np.zeros((3, 3)), turned([2.0, 2.0, 5.0])])
def test_vectors_of_equal_eigenvalues_do_not_turn(at: np.ndarray) -> None:
    x = mg.var("x", (3, 3))
    vectors = mg.eigh(x).eigenvectors
    weights = np.arange(9.0).reshape(3, 3)
    slope = gradient(mg.sum(vectors * weights), x, at)
    values, v = np.linalg.eigh(at)
    gaps = values[None, :] - values[:, None]
    apart = np.abs(gaps) > 1e-9
    f = np.where(apart, 1 / np.where(apart, gaps, 1), 0)
    expected = v @ (f * (v.T @ weights)) @ v.T
    assert_allclose(slope, (expected + expected.T) / 2, atol=1e-12)
    assert np.isfinite(mg.hessian(mg.sum(vectors * weights), x).eval({x: at})).all()


def test_only_the_symmetric_part_counts() -> None:
    x = mg.var("x", (2, 2))
    at = [[1.0, 4.0], [0.0, 3.0]]
    assert_allclose(mg.eigvalsh(x).eval({x: at}), np.linalg.eigvalsh([[1.0, 2.0], [2.0, 3.0]]))
    g = gradient(mg.eigvalsh(x)[1], x, at)
    assert_allclose(g, g.T)


@pytest.mark.parametrize("shape", [(3, 3), (4, 3), (3, 4)])
@pytest.mark.parametrize("values", [[2.0, 2.0, 2.0], [3.0, 1.0, 0.0], [0.0, 0.0, 0.0]], ids=str)
def test_singular_values_that_are_equal_or_zero(shape: tuple[int, int], values: Any) -> None:
    """The part of σ > 0 is U diag(f') Vᵀ; no derivative is infinite or NaN."""
    rng = np.random.default_rng(3)
    u, _ = np.linalg.qr(rng.standard_normal((shape[0], 3)))
    v, _ = np.linalg.qr(rng.standard_normal((shape[1], 3)))
    at = (u * values) @ v.T
    x = mg.var("x", shape)
    expected = (u * 2 * np.array(values)) @ v.T
    assert_allclose(gradient(mg.sum(mg.svdvals(x) ** 2), x, at), expected, atol=1e-12)
    left, _, right = mg.svd(x, full_matrices=False)
    y = mg.sum(left**3) + mg.sum(right**3)
    assert np.abs(gradient(y, x, at)).max() < 1e2
    assert np.abs(mg.hessian(y, x).eval({x: at})).max() < 1e4


def test_norms_of_zeros_have_derivative_zero() -> None:
    x = mg.var("x", (2, 3))
    for ord in ("fro", "nuc", 2, -2, 1, -1, np.inf, -np.inf):
        norm = mg.matrix_norm(x, ord=ord)
        assert not gradient(norm, x, np.zeros((2, 3))).any(), ord
        assert np.isfinite(mg.hessian(norm, x).eval({x: np.zeros((2, 3))})).all(), ord


def test_norms_of_nothing_are_zero() -> None:
    for ord in ("fro", "nuc", 2, 1, np.inf):
        assert mg.matrix_norm(mg.zeros((2, 0, 3)), ord=ord).eval().tolist() == [0, 0], ord
        if not isinstance(ord, str):
            assert mg.vector_norm(mg.zeros((2, 0)), axis=1, ord=ord).eval().tolist() == [0, 0]
            assert mg.vector_norm(mg.zeros((0, 2)), axis=1, ord=ord).shape == (0,)


def test_the_nuclear_norms_gradient_is_its_polar_factor() -> None:
    x = mg.var("x", (3, 2))
    at = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 7.0]])
    u, _, vh = np.linalg.svd(at, full_matrices=False)
    assert_allclose(gradient(mg.matrix_norm(x, ord="nuc"), x, at), u @ vh, atol=1e-12)


def test_pinv_of_lower_rank_is_differentiated_among_matrices_of_its_rank() -> None:
    """Of a bᵀ the pseudo-inverse is b aᵀ / (a² b²): its derivative along such matrices."""
    a, b = mg.var("a", (3,)), mg.var("b", (2,))
    closed = mg.outer(b, a) / (mg.sum(a * a) * mg.sum(b * b))
    at = {a: [1.0, 2.0, -1.0], b: [2.0, 0.5]}
    weights = np.arange(6.0).reshape(2, 3)
    whole = mg.sum(mg.pinv(mg.outer(a, b)) * weights)
    for leaf in (a, b):
        assert_allclose(
            mg.grad(whole, leaf).eval(at), mg.grad(mg.sum(closed * weights), leaf).eval(at)
        )
        assert_allclose(
            mg.hessian(whole, leaf).eval(at),
            mg.hessian(mg.sum(closed * weights), leaf).eval(at),
            atol=1e-12,
        )


def test_pinv_and_rank_take_a_tolerance_for_each_matrix() -> None:
    x = np.stack([np.diag([1.0, 1e-3])] * 2)
    assert mg.matrix_rank(x).eval().tolist() == [2, 2]
    assert mg.matrix_rank(x, rtol=[1e-2, 1e-4]).eval().tolist() == [1, 2]
    assert mg.matrix_rank(np.zeros((2, 2))).eval() == 0
    for scale in (1e-9, 1e9):
        assert mg.matrix_rank(scale * x, rtol=[1e-2, 1e-4]).eval().tolist() == [1, 2]
    # By default a rounding for each row or column: 2.2e-16 × 3 here, and 1.2e-7 × 3.
    for dtype, tiny, small in (("float64", 5e-16, 9e-16), ("float32", 2e-7, 6e-7)):
        for value, rank in ((tiny, 1), (small, 2)):
            at = mg.const([[1.0, 0.0], [0.0, value], [0.0, 0.0]], dtype)
            assert mg.matrix_rank(at).eval() == rank
            assert bool(mg.pinv(at).eval()[1, 1]) is (rank == 2)
    inverse = mg.pinv(x, rtol=[1e-2, 1e-4]).eval()
    assert_allclose(inverse, [np.diag([1.0, 0.0]), np.diag([1.0, 1e3])])


def test_the_further_columns_of_whole_factors_span_what_is_left() -> None:
    x = mg.var("x", (3, 1))
    at = [[1.0], [2.0], [2.0]]
    for q in (mg.svd(x).U, mg.qr(x, mode="complete").Q):
        rest = q[:, 1:] @ q[:, 1:].mT
        direct = mg.eye(3) - x @ x.mT / mg.sum(x * x)
        assert_allclose(
            mg.jacobian(rest, x).eval({x: at}), mg.jacobian(direct, x).eval({x: at}), atol=1e-12
        )


# --- errors -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("build", "kind", "words"),
    [
        (lambda: mg.eigh(np.ones((2, 3))), mg.ShapeError, "square"),
        (lambda: mg.svd(np.ones(3)), mg.ShapeError, "a matrix is needed"),
        (lambda: mg.qr(np.eye(2), mode="raw"), mg.ShapeError, '"reduced" or "complete"'),
        (lambda: mg.matrix_norm(np.eye(2), ord=3), mg.ShapeError, "'nuc'"),
        (lambda: mg.pinv(np.eye(2), rtol=[0.1, 0.2]), mg.ShapeError, "broadcast"),
        (lambda: mg.det(np.ones((2, 3))), mg.ShapeError, "square"),
    ],
)
def test_errors_say_what_is_needed(build: Any, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        build()


# --- everywhere a graph goes --------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["numpy", "native"])
def test_factors_in_compiled_functions_and_files(backend: Any) -> None:
    if backend == "native":
        pytest.importorskip("llvmlite")
    x = mg.var("x", (3, 2))
    u, s, vh = mg.svd(x, full_matrices=False)
    y = mg.sum((u * mg.tanh(s)) @ vh)
    at = np.array([[1.0, 2.0], [0.5, 1.0], [3.0, -1.0]])
    un, sn, vn = np.linalg.svd(at, full_matrices=False)
    f = mg.function([x], [y, mg.grad(y, x)], backend=backend)
    value, slope = f(at)
    assert_allclose(value, np.sum((un * np.tanh(sn)) @ vn))
    assert_allclose(slope, gradient(y, x, at), rtol=1e-12)
    assert mg.loads(mg.dumps([y]))[0] is y
    assert "svd" in str(y) and "svd" in y.latex()
    mg.verify(y)
    assert "svd" in mg.draw(y, at={x: at}, grad=True).dot


def test_a_nan_in_a_factor_is_told_where_it_is_born() -> None:
    x = mg.var("x", (2, 2))
    values, vectors = mg.eigh(x)
    f = mg.function([x], mg.sum(vectors * mg.log(values)), check_finite=True)
    assert np.isfinite(f(np.diag([1.0, 2.0])))
    with pytest.raises(mg.NonFiniteError, match="log"):
        f(np.diag([-1.0, 2.0]))


def test_the_gradient_of_a_determinant_reads_as_its_cofactors() -> None:
    x = mg.var("x", (3, 3))
    assert str(mg.grad(mg.det(x), x)) == "cofactors(x)"


def test_factors_within_a_loop() -> None:
    """QR iteration: the diagonal goes to the eigenvalues."""
    x = mg.const([[4.0, 1.0], [1.0, 3.0]])

    def step(c: mg.Expr, _: Any) -> tuple[mg.Expr, None]:
        q, r = mg.qr(c)
        return r @ q, None

    last, _ = mg.scan(step, x, None, length=60)
    values = np.sort(np.diagonal(last.eval()))
    assert_allclose(values, np.linalg.eigvalsh([[4.0, 1.0], [1.0, 3.0]]), rtol=1e-12)
