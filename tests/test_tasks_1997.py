"""The tasks of Hochreiter & Schmidhuber 1997: their sequences against what the paper says, written
anew; their baselines; and when they count as solved."""

from __future__ import annotations

import re

import numpy as np
import pytest

import lstm
import minigrad as mg
from lstm.tasks.multiplication import Multiplication
from lstm.tasks.reber import SYMBOLS, Reber
from lstm.tasks.temporal_order import SYMBOLS as ORDER
from lstm.tasks.temporal_order import TemporalOrder
from lstm.tasks.two_sequences import TwoSequences


def batch(task, size, seed=0):
    return task.batch(np.random.default_rng(seed), size)


def value(task, prediction, target):
    return float(task.loss(mg.const(prediction), mg.const(target)).eval())


# --- the embedded Reber grammar ------------------------------------------------------------------

REST = "(?:T*VPX)*T*V(?:V|PS)"  # of a string from the node after P, of which X leads back
INNER = f"B(?:TS*X(?:S|X{REST})|P{REST})E"
EMBEDDED = re.compile(f"B(?:T{INNER}T|P{INNER}P)E")
# Those that N. Schraudolph's course gives as examples of what is one and of what is none.
ONES = ["BTSSXXTVVE", "BPVVE", "BTXXVPSE", "BPVPXVPXVPXVVE", "BTSXXVPSE"]
NONES = ["BTSSPXSE", "BPTVVB", "BTXXVVSE", "BPVSPSE", "BTSSSE"]


def strings_of(xs, ys, lengths):
    for k, n in enumerate(lengths):
        assert (ys[: n - 1, k] == xs[1:n, k]).all()
        assert (ys[n:, k] == -1).all()
        yield "".join(SYMBOLS[s] for s in [*xs[:n, k], ys[n - 1, k]])


def test_strings_are_of_the_embedded_reber_grammar():
    assert all(re.fullmatch(INNER, text) for text in ONES)
    assert not any(re.fullmatch(INNER, text) for text in NONES)
    texts = list(strings_of(*batch(Reber(), 4000)))
    assert all(EMBEDDED.fullmatch(text) for text in texts)
    lengths = [len(text) for text in texts]
    assert (min(lengths), max(lengths) <= 40) == (9, True)
    shares = [np.mean([text[1] == "T" for text in texts]), np.mean([t[3] == "T" for t in texts])]
    assert shares == pytest.approx([0.5, 0.5], abs=0.04)  # 5 standard deviations
    ends = [text[:9] for text in texts]  # BTBPVVETE: four forks, one edge of two each
    assert np.mean([t == "BTBPVVETE" for t in ends]) == pytest.approx(1 / 16, abs=0.02)
    assert {len(t) for t in strings_of(*batch(Reber(9), 50))} == {9}


def test_a_string_is_right_where_what_may_come_next_has_the_largest_outputs():
    task, text = Reber(12), "BTBPVVETE"
    may = ["TP", "B", "TP", "TV", "PV", "E", "T", "E"]
    ys = np.full((task.steps, 1), -1)
    ys[:8, 0] = [SYMBOLS.index(s) for s in text[1:]]
    outputs = np.zeros((task.steps, 1, 7))
    for t, symbols in enumerate(may):
        outputs[t, 0, [SYMBOLS.index(s) for s in symbols]] = 1
    assert task.solved(outputs, ys)
    for t, symbols in enumerate(may):
        for s in SYMBOLS:
            wrong = outputs.copy()
            wrong[t, 0, SYMBOLS.index(s)] = 1 - outputs[t, 0, SYMBOLS.index(s)]
            assert not task.correct(wrong, ys)[0], (t, s, symbols)
    outputs[8:] = np.random.default_rng(0).normal(size=(3, 1, 7))  # beyond the end
    assert task.solved(outputs, ys)
    assert task.elements(ys) == 8


@pytest.mark.parametrize("longest", [9, 13, 40])
def test_the_baseline_is_the_entropy_of_the_symbols(longest):
    task = Reber(longest)
    _, ys, _ = batch(task, 20_000)
    shares = np.bincount(ys[ys >= 0], minlength=7) / (ys >= 0).sum()
    logs = np.log(np.maximum(shares, 1e-30))
    assert task.baseline == pytest.approx(-(shares * logs).sum(), abs=0.003)
    part = ys[:, :50]
    prediction = np.broadcast_to(logs, (*part.shape, 7))
    assert value(task, prediction, part) == pytest.approx(-logs[part[part >= 0]].mean())


# --- multiplication ------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [10, 30, 100])
def test_two_numbers_are_marked_and_their_product_is_asked_for(length):
    task = Multiplication(length)
    xs, ys, lengths = batch(task, 3000)
    assert (lengths.min(), lengths.max()) == (length, length + length // 10)
    first = 0
    for k, n in enumerate(lengths):
        numbers, marks = xs[:n, k, 0], xs[:n, k, 1]
        (marked,) = np.nonzero(marks == 1)
        assert len(marked) == 2
        assert marked.min() < 10
        assert marked.max() <= max(9, length // 2 - 1)
        assert ys[k, 0] == np.prod(numbers[marked])
        first += marked[0] == 0
        if marked[0] == 0:
            assert numbers[0] == 1
        else:
            assert marks[0] == -1
        others = np.delete(np.arange(n), [0, *marked, *([n - 1] if n - 1 not in marked else [])])
        assert not marks[others].any()
        assert n - 1 in marked or marks[n - 1] == -1
        assert not xs[n:, k].any()
    share = 0.1 + 0.9 / (length // 2 - 1)
    assert first / 3000 == pytest.approx(share, abs=0.045)
    assert ys.var() == pytest.approx(task.baseline, rel=0.1)
    assert ((xs[..., 0] >= 0) & (xs[..., 0] <= 1)).all()


def test_multiplication_is_solved_where_fewer_than_140_of_2000_are_off():
    task, target = Multiplication(), np.zeros((2000, 1))
    prediction = np.full((2000, 1), 0.04)
    prediction[:139] = 0.0401
    assert task.solved(prediction, target)
    prediction[139] = -0.0401
    assert not task.solved(prediction, target)
    assert task.correct(prediction, target).sum() == 1860


# --- temporal order ------------------------------------------------------------------------------

CLASSES = {2: ["XX", "XY", "YX", "YY"], 3: [f"{a}{b}{c}" for a in "XY" for b in "XY" for c in "XY"]}
WHERE = {2: [(10, 20), (50, 60)], 3: [(10, 20), (33, 43), (66, 76)]}


@pytest.mark.parametrize("relevant", [2, 3])
def test_the_order_of_the_symbols_that_matter_is_the_class(relevant):
    task = TemporalOrder(relevant=relevant)
    assert task.output_size == 2**relevant
    xs, ys, lengths = batch(task, 3000)
    assert (lengths.min(), lengths.max()) == (100, 110)
    seen = [set() for _ in range(relevant)]
    for k, n in enumerate(lengths):
        text = "".join(ORDER[s] for s in xs[:n, k])
        places = [m.start() for m in re.finditer("[XY]", text)]
        for (low, high), place, places_seen in zip(WHERE[relevant], places, seen, strict=True):
            assert low <= place <= high
            places_seen.add(place)
        assert "".join(text[p] for p in places) == CLASSES[relevant][ys[k]]
        assert re.fullmatch("E[abcdXY]+B", text)
    assert [len(places) for places in seen] == [11] * relevant
    assert np.bincount(ys) / 3000 == pytest.approx(np.full(2**relevant, 0.5**relevant), abs=0.04)
    assert value(task, np.zeros((3000, 2**relevant)), ys) == pytest.approx(task.baseline)


@pytest.mark.parametrize("length", [10, 57])
def test_places_stand_in_proportion_to_other_lengths(length):
    xs, ys, lengths = batch(TemporalOrder(length, 3), 500)
    for k, n in enumerate(lengths):
        text = "".join(ORDER[s] for s in xs[:n, k])
        places = [m.start() for m in re.finditer("[XY]", text)]
        for place, share in zip(places, (0.10, 0.33, 0.66), strict=True):
            assert share * length - 1 < place <= (share + 0.1) * length
        assert "".join(text[p] for p in places) == CLASSES[3][ys[k]]


def test_temporal_order_is_solved_where_no_output_is_off_by_three_tenths():
    task, target = TemporalOrder(), np.arange(2000) % 4
    shares = np.full((2000, 4), 0.05)
    shares[np.arange(2000), target] = 0.85
    assert task.solved(np.log(shares) + 7, target)
    close = shares.copy()
    close[3] = [0.0, 0.0, 0.299, 0.701]
    assert task.solved(np.log(close + 1e-9), target)
    close[3] = [0.0, 0.0, 0.301, 0.699]
    assert task.correct(np.log(close + 1e-9), target).sum() == 1999
    assert not task.solved(np.log(close + 1e-9), target)
    wide = np.full((2000, 4), 0.075)
    wide[np.arange(2000), target] = 0.775  # each is close enough, the mean is not
    assert task.correct(np.log(wide), target).all()
    assert not task.solved(np.log(wide), target)


# --- two sequences -------------------------------------------------------------------------------


@pytest.mark.parametrize("informative", [1, 3])
def test_the_first_numbers_tell_the_class_and_the_rest_is_noise(informative):
    task = TwoSequences(100, informative)
    xs, ys, lengths = batch(task, 2000)
    assert (lengths.min(), lengths.max()) == (100, 110)
    assert set(ys.ravel()) == {0.0, 1.0}
    assert (xs[:informative, :, 0] == np.where(ys[:, 0] == 1, 1, -1)).all()
    noise = np.concatenate([xs[informative:n, k, 0] for k, n in enumerate(lengths)])
    assert noise.mean() == pytest.approx(0, abs=0.005)
    assert noise.var() == pytest.approx(0.2, rel=0.02)
    assert np.mean(noise**4) == pytest.approx(3 * 0.2**2, rel=0.05)  # Gaussian
    assert ys.mean() == pytest.approx(0.5, abs=0.06)
    assert value(task, np.zeros((2000, 1)), ys) == pytest.approx(task.baseline)


def test_two_sequences_are_solved_where_all_are_within_two_tenths_and_close_on_average():
    task, target = TwoSequences(), (np.arange(2000) % 2.0)[:, None]
    logit = np.log(0.991 / 0.009)
    prediction = np.where(target == 1, logit, -logit)
    assert task.solved(prediction, target)
    prediction[5] = np.log(0.801 / 0.199)
    assert task.solved(prediction, target)
    prediction[5] = np.log(0.799 / 0.201)
    assert task.correct(prediction, target).sum() == 1999
    assert not task.solved(prediction, target)
    logit = np.log(0.989 / 0.011)
    assert not task.solved(np.where(target == 1, logit, -logit), target)


# --- all of them ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "settings", "words"),
    [
        (Reber, {"longest": 8}, "longest must be a whole number of at least 9"),
        (Multiplication, {"length": 9}, "length must be a whole number of at least 10"),
        (TemporalOrder, {"length": 9}, "length must be a whole number of at least 10"),
        (TemporalOrder, {"relevant": 4}, "relevant must be 2 or 3, not 4"),
        (TemporalOrder, {"relevant": 2.0}, "relevant must be 2 or 3, not 2.0"),
        (TwoSequences, {"length": 2}, "informative is 3, of 2 steps"),
        (TwoSequences, {"informative": 0}, "informative must be a whole number of at least 1"),
    ],
)
def test_settings_that_cannot_be(kind, settings, words):
    with pytest.raises(lstm.ConfigError, match=words):
        kind(**settings)
