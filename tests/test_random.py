"""Random numbers: against Philox in Python's integers, as numbers, and where graphs use them."""

from __future__ import annotations

import math
import threading

import numpy as np
import philox
import pytest
from numpy.testing import assert_array_equal

import minigrad as mg

MOST = (1 << 64) - 1

# Random123's own answers for philox4x64, 10 rounds: counter, key, block.
PI = [0x243F6A8885A308D3, 0x13198A2E03707344, 0xA4093822299F31D0, 0x082EFA98EC4E6C89,
      0x452821E638D01377, 0xBE5466CF34E90C6C]  # fmt: skip
KNOWN = [
    ([0] * 4, [0] * 2,
     [0x16554D9ECA36314C, 0xDB20FE9D672D0FDC, 0xD7E772CEE186176B, 0x7E68B68AEC7BA23B]),
    ([MOST] * 4, [MOST] * 2,
     [0x87B092C3013FE90B, 0x438C3C67BE8D0224, 0x9CC7D7C69CD777B6, 0xA09CAEBF594F0BA0]),
    (PI[:4], PI[4:],
     [0xA528F45403E61D95, 0x38C72DBD566E9788, 0xA5A1610E72FD18B5, 0x57BD43B5E52B7FE6]),
]  # fmt: skip


def drawn(key, shape, dtype="float32", backend="numpy"):
    return mg.function([], mg.uniform(key, shape, dtype), backend=backend)()


# --- which numbers ------------------------------------------------------------------------------


@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN)
def test_the_reference_gives_the_known_answers(counter, key, expected):
    assert philox.block(counter, key) == expected


@pytest.mark.parametrize("key", [(0, 0), (7, 1), (MOST, 0), (0, MOST), (1 << 63, 12345)])
@pytest.mark.parametrize("n", [1, 2, 7, 8, 9])
def test_the_numbers_are_philoxs(key, n):
    word = mg.const(np.array(key, np.uint64))
    assert drawn(word, n, "float64").tolist() == philox.wholes(key, n)
    assert drawn(word, n, "float32").tolist() == philox.halves(key, n)


def test_these_numbers_stay():
    """Recorded: a change here is a change of every run that anybody repeats."""
    key = mg.fold_in(mg.key(2026), 11)
    assert key.eval().tolist() == [2026, 0xC2D326E0055BDEF6]
    words = [w.hex() for w in drawn(key, 3, "float64").tolist()]
    assert words == ["0x1.c9bdf7f41e81ap-2", "0x1.f6412ebd53f7bp-1", "0x1.e24362ac5a9c2p-2"]
    assert drawn(key, 3).tolist() == [0.029791414737701416, 0.4470136761665344, 0.6639994382858276]


def test_the_largest_and_the_smallest_number():
    """All bits set give less than 1, none 0: the ends are never rounded over."""
    from minigrad.ops import random

    class Fixed:
        def __init__(self, word):
            self.word = word

        def words(self, key, count):
            return np.full(count, self.word, np.uint64)

    before = random._BITS
    try:
        for word, single, double in [(MOST, 1 - 2.0**-24, 1 - 2.0**-53), (0, 0.0, 0.0)]:
            random._BITS = Fixed(word)
            assert drawn(mg.key(1), 3).tolist() == [single] * 3
            assert drawn(mg.key(1), 3, "float64").tolist() == [double] * 3
    finally:
        random._BITS = before


def test_elements_are_in_row_major_order_and_of_the_type_that_is_asked_for():
    flat = drawn(mg.key(3), 24)
    for shape in [(24,), (2, 12), (2, 3, 4), [4, 6]]:
        y = mg.uniform(mg.key(3), shape)
        assert y.dtype == np.float32
        assert y.shape == tuple(shape)
        assert_array_equal(y.eval(), flat.reshape(shape))
    assert drawn(mg.key(3), (), "float64") == drawn(mg.key(3), 1, "float64")[0]
    assert drawn(mg.key(3), (0, 2)).shape == (0, 2)
    # A longer stream begins as a shorter one.
    assert_array_equal(drawn(mg.key(3), 101)[:24], flat)


# --- as random numbers --------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_numbers_are_uniform(dtype):
    n, cells = 200_000, 64
    x = drawn(mg.key(5), n, dtype)
    assert x.min() >= 0 and x.max() < 1
    counts = np.bincount((x * cells).astype(int), minlength=cells)
    # χ² with 63 degrees of freedom: mean 63, deviation 11.2.
    assert abs(np.sum((counts - n / cells) ** 2) / (n / cells) - 63) < 5 * math.sqrt(126)
    assert abs(x.mean() - 0.5) < 5 * math.sqrt(1 / 12 / n)
    assert abs(np.corrcoef(x[:-1], x[1:])[0, 1]) < 5 / math.sqrt(n)


def test_every_bit_is_fair():
    n = 100_000
    for dtype, bits in (("float32", 24), ("float64", 53)):
        whole = (drawn(mg.key(6), n, dtype) * 2.0**bits).astype(np.uint64)
        ones = [int(np.sum(whole >> np.uint64(k) & np.uint64(1))) for k in range(bits)]
        assert max(abs(k - n / 2) for k in ones) < 5 * math.sqrt(n) / 2


def test_streams_of_neighbouring_keys_are_independent():
    n, m = 4000, 40
    for keys in (
        [mg.fold_in(mg.key(0), k) for k in range(m)],
        [mg.key(k) for k in range(m)],
        [mg.const(np.array([0, k], np.uint64)) for k in range(m)],
    ):
        x = np.array([drawn(k, n) for k in keys])
        assert len(np.unique(x[:, :4], axis=0)) == m
        apart = np.corrcoef(x)[np.triu_indices(m, 1)]
        assert np.abs(apart).max() < 6 / math.sqrt(n)
        ends = np.corrcoef(x[:-1, 1:].ravel(), x[1:, :-1].ravel())[0, 1]
        assert abs(ends) < 6 / math.sqrt(m * n)


# --- keys ---------------------------------------------------------------------------------------


def test_keys_of_numbers_are_all_different():
    numbers = np.arange(-50_000, 50_000).astype(np.uint64)  # the last ones below 2⁶⁴, too
    keys = mg.fold_in(mg.key(9), mg.const(numbers)).eval()
    assert len(np.unique(keys, axis=0)) == len(numbers)
    assert set(keys[:, 0]) == {9}


def test_the_order_in_which_numbers_are_folded_in_counts():
    paths = [(a, b) for a in range(30) for b in range(30)]
    keys = {tuple(mg.fold_in(mg.fold_in(mg.key(1), a), b).eval().tolist()) for a, b in paths}
    keys |= {tuple(mg.fold_in(mg.key(1), a).eval().tolist()) for a in range(30)}
    assert len(keys) == 930


def test_seeds_and_numbers_are_ints_and_integer_expressions():
    s, n = mg.var("s", (), "int32"), mg.var("n", (), "int64")
    key = mg.fold_in(mg.key(s), n)
    assert_array_equal(key.eval({s: 4, n: 9}), mg.fold_in(mg.key(4), 9).eval())
    assert_array_equal(key.eval({s: 4, n: -1}), mg.fold_in(mg.key(4), MOST).eval())
    assert_array_equal(mg.key(MOST).eval(), np.array([MOST, 0], np.uint64))
    assert_array_equal(mg.key(np.uint64(MOST)).eval(), mg.key(MOST).eval())
    assert_array_equal(mg.key(np.int8(3)).eval(), mg.key(3).eval())


def test_numbers_and_keys_broadcast():
    keys = mg.stack([mg.key(1), mg.key(2)])
    for y, shape in [
        (mg.fold_in(mg.key(1), mg.arange(3)), (3, 2)),
        (mg.fold_in(keys, 5), (2, 2)),
        (mg.fold_in(keys, np.arange(6).reshape(3, 2)), (3, 2, 2)),
    ]:
        assert y.shape == shape
    assert_array_equal(mg.fold_in(keys, 5)[1].eval(), mg.fold_in(mg.key(2), 5).eval())


REFUSED = [
    (lambda: mg.key(-1), mg.DTypeError, "a seed is at least 0 and less than 2\\*\\*64, not -1"),
    (lambda: mg.key(1 << 64), mg.DTypeError, "less than 2"),
    (lambda: mg.key(True), mg.DTypeError, "a seed is a whole number, not True"),
    (lambda: mg.key(1.5), mg.DTypeError, "a seed is a whole number, not 1.5"),
    (lambda: mg.key([1, 2]), mg.ShapeError, "a seed is one number, not a tensor of shape \\(2,\\)"),
    (lambda: mg.fold_in(mg.key(1), -1), mg.DTypeError, "a number that a key is made of is at lea"),
    (lambda: mg.fold_in(mg.key(1), 0.0), mg.DTypeError, "is a whole number, not 0.0"),
    (lambda: mg.fold_in(1, 1), mg.DTypeError, "two uint64 numbers, not int64: minigrad.key\\(seed"),
    (lambda: mg.uniform([1, 2], 3), mg.DTypeError, "not int64\\(2,\\): minigrad.key\\(seed"),
    (lambda: mg.uniform(np.zeros(3, "u8"), 3), mg.ShapeError, "two uint64 numbers, not uint64\\(3"),
    (lambda: mg.uniform(mg.key(1)[0], 3), mg.ShapeError, "two uint64 numbers, not uint64"),
    (lambda: mg.uniform(mg.key(1), -3), mg.ShapeError, "no negative dimension"),
    (lambda: mg.uniform(mg.key(1), "3"), mg.ShapeError, "tuple of integers"),
    (lambda: mg.uniform(mg.key(1), 3, "int64"), mg.DTypeError, "float32 or float64, not dtype"),
    (lambda: mg.uniform(mg.key(1), 3, "float16"), mg.DTypeError, "float16 is not supported"),
    (lambda: mg.uniform(mg.key(1), (1 << 40, 1 << 40)), mg.ShapeError, "more bytes than can be"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "kind", "words"), REFUSED)
def test_what_is_refused(call, kind, words):
    with pytest.raises(kind, match=words):
        call()


def test_a_graph_of_many_numbers_costs_nothing_until_it_runs():
    y = mg.uniform(mg.key(1), (1 << 30, 1 << 10))
    assert mg.simplify(y) is y  # the key is constant, and the numbers are not made for that
    assert mg.loads(mg.dumps(y)) is y


# --- in graphs ----------------------------------------------------------------------------------


def test_the_same_key_is_the_same_node():
    assert mg.uniform(mg.key(1), 3) is mg.uniform(mg.key(1), 3)
    x = mg.uniform(mg.key(1), 3) - mg.uniform(mg.key(1), 3)
    assert not x.eval().any()


def test_there_is_no_derivative():
    x = mg.var("x", (3,))
    y = mg.sum(x * mg.uniform(mg.key(1), 3, "float64"))
    assert_array_equal(mg.grad(y, x).eval(), drawn(mg.key(1), 3, "float64"))
    assert mg.adjoints(mg.sum(mg.uniform(mg.key(mg.astype(x[0], "int64")), 3))).get(x) is None


def test_a_batch_of_keys_draws_row_by_row():
    keys = mg.var("keys", (3, 2), "uint64")
    values = mg.fold_in(mg.key(8), mg.arange(3)).eval()
    rows = mg.vmap(lambda k: mg.uniform(mg.fold_in(k, 2), (4,), "float64"))(keys)
    expected = [drawn(mg.fold_in(mg.const(k), 2), 4, "float64") for k in values]
    assert_array_equal(rows.eval({keys: values}), expected)
    # What is the same for all is drawn once, and is the same for all.
    x = mg.var("x", (3,))
    same = mg.vmap(lambda e: e + mg.uniform(mg.key(8), (4,), "float64"))(x)
    assert_array_equal(same.eval({x: np.zeros(3)}), [drawn(mg.key(8), 4, "float64")] * 3)


def test_threads_draw_each_their_own():
    key = mg.var("key", (2,), "uint64")
    f = mg.function([key], mg.uniform(key, 20_001), backend="numpy")
    keys = [mg.key(k).eval() for k in range(4)]
    alone = [f(k) for k in keys]
    wrong = []

    def run(k):
        wrong.extend(k for _ in range(20) if not np.array_equal(f(keys[k]), alone[k]))

    threads = [threading.Thread(target=run, args=(k,)) for k in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


def test_drawing_leaves_numpys_generators_alone():
    np.random.seed(1)
    rng = np.random.Generator(np.random.Philox(4))
    expected = np.random.Generator(np.random.Philox(4)).random(2)
    first = rng.random()
    drawn(mg.key(1), 5)
    assert [first, rng.random()] == expected.tolist()


STEPS, B, H = 6, 4, 8


def dropout_step(reads_carry=False):
    """A net with dropout in each step, its training step, and what is left of the masks' graph."""
    W, xs, key = mg.param("W", np.eye(H) / 2), mg.var("xs", (STEPS, B, H)), mg.var("n", (), "int64")
    keys = mg.fold_in(mg.key(3), key)

    def step(carry, x):
        h, count = carry
        now, t = x
        mask = mg.uniform(mg.fold_in(keys, count if reads_carry else t), (B, H), "float64") < 0.75
        h = mg.tanh((h * mg.where(mask, 1 / 0.75, 0.0)) @ W + now)
        return (h, count + 1), h

    start = (mg.zeros((B, H)), mg.const(0))
    _, hs = mg.scan(step, start, (xs, mg.arange(STEPS)))
    loss = mg.sum(hs * hs)
    return W, xs, key, loss, hs


def dropout_by_hand(W, xs, number):
    h, hs = np.zeros((B, H)), []
    seed = philox.fold_in([3, 0], number)
    for t, x in enumerate(xs):
        u = np.array(philox.wholes(philox.fold_in(seed, t), B * H)).reshape(B, H)
        h = np.tanh((h * (u < 0.75) / 0.75) @ W + x)
        hs.append(h)
    return np.array(hs)


@pytest.mark.parametrize("backend", ["numpy", "native"])
@pytest.mark.parametrize("reads_carry", [False, True])
def test_masks_in_a_loop_are_those_of_its_steps(backend, reads_carry, rng):
    if backend == "native":
        pytest.importorskip("llvmlite")
    W, xs, key, loss, hs = dropout_step(reads_carry)
    x = rng.standard_normal(xs.shape)
    f = mg.function([xs, key], [hs, mg.grad(loss, W)], backend=backend)
    for number in (0, 1, 77):
        values, slope = f(x, number)
        np.testing.assert_allclose(values, dropout_by_hand(W.value, x, number), rtol=1e-12)
        moved = np.zeros((H, H))
        moved[1, 2] = 1e-6
        ends = [np.sum(dropout_by_hand(W.value + s * moved, x, number) ** 2) for s in (1, -1)]
        np.testing.assert_allclose(slope[1, 2], (ends[0] - ends[1]) / 2e-6, rtol=1e-6)
    assert not np.array_equal(f(x, 0)[0], f(x, 1)[0])
    assert mg.unroll(hs).eval({xs: x, key: 77}) == pytest.approx(values, rel=1e-12)


def test_all_but_the_drawing_is_machine_code():
    pytest.importorskip("llvmlite")
    W, xs, key, loss, _ = dropout_step()
    g = mg.grad(loss, W)
    f = mg.function([xs, key], loss, updates={W: W - 0.1 * g}, backend="native")
    report = f.report()
    assert "backend native" in report
    assert "a loop runs on numpy" not in report
    on_numpy = {line.split()[2] for line in report.splitlines() if line.endswith(", on numpy")}
    assert on_numpy == {"uniform,", "fold_in,", "concat,", "astype,"}, (
        report
    )  # of keys, all but one
    assert "1 × block" in report


def test_a_mask_outside_of_loops_is_machine_code_but_for_its_bits():
    pytest.importorskip("llvmlite")
    key, x = mg.var("key", (2,), "uint64"), mg.var("x", (64, 512), "float32")
    kept = mg.uniform(key, x.shape) < 0.9
    y = mg.sum(mg.tanh(x * mg.where(kept, 1 / 0.9, 0.0)))
    f = mg.function([key, x], [y, mg.grad(y, x)], backend="native")
    assert "uniform, on numpy" in f.report()
    value, slope = f(mg.key(1).eval(), np.ones(x.shape, np.float32))
    dropped = drawn(mg.key(1), x.shape) >= 0.9
    assert 0.08 < dropped.mean() < 0.12
    assert_array_equal(slope == 0, dropped)
    assert value == pytest.approx(np.sum(~dropped) * math.tanh(1 / 0.9), rel=1e-5)
