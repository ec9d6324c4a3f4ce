"""Data of one's own as a task: what becomes of arrays and lists, and what is trained on them."""

from __future__ import annotations

from itertools import chain

import numpy as np
import pytest

import lstm
import minigrad as mg

RNG = np.random.default_rng(7)
SHORT = [RNG.normal(size=(n, 3)) for n in RNG.integers(2, 9, 40)]
EQUAL = RNG.normal(size=(40, 6, 3))
LABELS = RNG.integers(0, 3, 40)
NUMBERS = RNG.normal(size=(40, 2))


def stream(seed=0):
    return np.random.default_rng(seed)


def all_of(task, part):
    return list(task.held_out(part, stream(), 2000, 500))


def rows_of(batch):
    """Each sequence of a batch up to its end, with its target."""
    xs, ys, *ends = batch
    lengths = ends[0] if ends else [len(xs)] * xs.shape[1]
    return [(xs[:n, k].tobytes(), ys[k].tobytes()) for k, n in enumerate(lengths)]


# --- what data become ----------------------------------------------------------------------------


def test_sequences_of_unequal_length_are_padded_time_first():
    xs, lengths = lstm.padded(SHORT)
    assert xs.shape == (max(map(len, SHORT)), 40, 3)
    assert lengths.tolist() == [len(x) for x in SHORT]
    for k, x in enumerate(SHORT):
        np.testing.assert_array_equal(xs[: len(x), k], x)
        assert not xs[len(x) :, k].any()
    again, same = lstm.padded(xs.swapaxes(0, 1), lengths)
    np.testing.assert_array_equal(again, xs)
    np.testing.assert_array_equal(same, lengths)


@pytest.mark.parametrize(
    ("xs", "ys", "options", "expected"),
    [  # readout, outputs, inputs, vocabulary, padding, dtype of targets
        (EQUAL, LABELS, {}, ("last", 3, 3, None, None, "int64")),
        (SHORT, LABELS.tolist(), {}, ("last", 3, 3, None, "lengths", "int64")),
        (SHORT, LABELS > 0, {}, ("last", 2, 3, None, "lengths", "int64")),
        (SHORT, LABELS, {"output_size": 5}, ("last", 5, 3, None, "lengths", "int64")),
        (SHORT, LABELS, {"loss": "mse"}, ("last", 1, 3, None, "lengths", "float32")),
        (EQUAL[..., 0], NUMBERS[:, 0], {}, ("last", 1, 1, None, None, "float32")),
        (EQUAL, NUMBERS, {}, ("last", 2, 3, None, None, "float32")),
        (EQUAL, EQUAL, {}, ("every", 3, 3, None, None, "float32")),
        (EQUAL, EQUAL[..., 0], {"readout": "every"}, ("every", 1, 3, None, None, "float32")),
        (EQUAL, EQUAL[..., 0], {"readout": "last"}, ("last", 6, 3, None, None, "float32")),
        (SHORT, [x[:, 0] for x in SHORT], {}, ("every", 1, 3, None, "lengths", "float32")),
        (SHORT, [x[:, 0] > 0 for x in SHORT], {}, ("every", 2, 3, None, "lengths", "int64")),
        ([[1, 2], [4]] * 20, LABELS, {}, ("last", 3, 5, 5, "lengths", "int64")),
        ([[1, 2], [4]] * 20, LABELS, {"vocabulary": 9}, ("last", 3, 9, 9, "lengths", "int64")),
    ],
)
def test_targets_say_what_is_asked(xs, ys, options, expected):
    task = lstm.ArrayTask(xs, ys, **options)
    names = ("readout", "output_size", "input_size", "vocabulary", "padding", "target_dtype")
    assert tuple(getattr(task, name) for name in names) == expected
    model = lstm.Model.create(lstm.RNN, task=task, hidden_size=3)
    fitted = lstm.fit(model, task, lstm.Settings(steps=2, batch=4), validate=0)
    assert np.isfinite(fitted.score.loss)
    assert model.task == task.config()


def test_each_pass_has_every_sequence_once_in_an_order_of_its_own():
    task = lstm.ArrayTask(SHORT, LABELS, validation=0)
    whole = sorted(rows_of(all_of(task, "validation")[0]))
    passes = {}
    for size in (8, 15, 40):  # a batch may go over the end of a pass
        batches = (task.batch_at(k, stream(3), size) for k in range(9))
        passes[size] = list(chain.from_iterable(map(rows_of, batches)))[:72]
    assert passes[8] == passes[15] == passes[40][:72]
    first, second = passes[40][:40], passes[40][40:]
    assert sorted(first) == whole
    assert len({*second}) == 32
    assert second != first[:32]
    assert first != rows_of(all_of(task, "test")[0])
    runs = [rows_of(task.batch_at(1, stream(seed), 8)) for seed in (3, 3, 4)]
    assert runs[0] == runs[1] != runs[2]
    assert len(task.batch_at(0, stream(), 100)[1]) == 100


@pytest.mark.parametrize(
    ("options", "sizes"),
    [
        ({}, (32, 8, 8)),
        ({"validation": 0.25}, (30, 10, 10)),
        ({"validation": 5, "test": 0.1}, (31, 5, 4)),
        ({"validation": 0}, (40, 40, 40)),
        ({"validation": 0, "test": 7}, (33, 33, 7)),
        ({"validation": (EQUAL[:3], LABELS[:3])}, (40, 3, 3)),
        ({"validation": (EQUAL[:3], LABELS[:3], [1, 6, 2]), "test": 4}, (36, 3, 4)),
    ],
)
def test_what_is_held_out_is_not_trained_on(options, sizes):
    task = lstm.ArrayTask(SHORT, LABELS, **options)
    trained = {row for k in range(sizes[0]) for row in rows_of(task.batch_at(k, stream(), 1))}
    held = [{r for b in all_of(task, part) for r in rows_of(b)} for part in ("validation", "test")]
    assert (len(trained), *map(len, held)) == sizes
    for other in held:
        assert other == trained or not trained & other
    drawn = set(rows_of(task.batch(stream(), 400)))
    assert drawn <= trained
    assert len(drawn) == sizes[0]


def test_the_seed_decides_what_is_held_out():
    parts = [rows_of(all_of(lstm.ArrayTask(SHORT, LABELS, seed=s), "test")[0]) for s in (0, 0, 1)]
    assert parts[0] == parts[1] != parts[2]


# --- losses and scores, against NumPy ------------------------------------------------------------


def test_scores_are_those_of_each_sequence_by_itself():
    """Labels at every step, of 700 sequences in two batches of unequal size."""
    rng = np.random.default_rng(1)
    xs = [rng.normal(size=(n, 2)) for n in rng.integers(1, 7, 700)]
    ys = [(x[:, 0] > 0).astype(int) for x in xs]
    task = lstm.ArrayTask(xs, ys, validation=0)
    model = lstm.Model.create(lstm.LSTM, task=task, hidden_size=3).with_dtype("float64")
    assert [b[0].shape[1] for b in all_of(task, "test")] == [500, 200]
    score = lstm.evaluate(model, task, 0)
    losses, right = [], []
    for n in range(1, 7):
        alike = [k for k, x in enumerate(xs) if len(x) == n]
        logits = model.output(np.stack([xs[k] for k in alike], 1)).eval()
        y = np.stack([ys[k] for k in alike], 1)
        said = np.take_along_axis(logits, y[..., None], -1)[..., 0]
        losses.extend((np.log(np.exp(logits).sum(-1)) - said).ravel())
        right.extend((logits.argmax(-1) == y).ravel())
    assert score.loss == pytest.approx(np.mean(losses), rel=1e-12)
    assert score.correct == np.mean(right)
    assert not score.solved


@pytest.mark.parametrize("loss", ["mse", "mae", "huber", "binary_cross_entropy", "own"])
def test_losses_by_name_and_of_ones_own(loss):
    ys = NUMBERS if loss != "binary_cross_entropy" else (NUMBERS > 0).astype(float)
    own = lambda p, y: mg.mean((p - y) ** 4)  # noqa: E731
    task = lstm.ArrayTask(EQUAL, ys, loss=own if loss == "own" else loss)
    p, y = RNG.normal(size=(5, 2)), ys[:5]
    formula = {
        "mse": (p - y) ** 2,
        "mae": abs(p - y),
        "huber": np.where(abs(p - y) < 1, (p - y) ** 2 / 2, abs(p - y) - 0.5),
        "binary_cross_entropy": np.log1p(np.exp(p)) - y * p,
        "own": (p - y) ** 4,
    }[loss]
    assert float(task.loss(mg.const(p), mg.const(y)).eval()) == pytest.approx(formula.mean())


def test_padded_targets_have_no_part_in_the_loss_nor_in_what_is_correct():
    task = lstm.ArrayTask(SHORT, [x[:, :2] for x in SHORT], validation=0, tolerance=0.5)
    _, ys, lengths = all_of(task, "test")[0]
    p = np.full(ys.shape, 0.25)
    error = np.concatenate([p[: len(x), 0] - x[:, :2] for x in SHORT])
    assert float(task.loss(mg.const(p), mg.const(ys)).eval()) == pytest.approx((error**2).mean())
    assert task.correct(p, ys).mean() == (abs(error) <= 0.5).all(1).mean()
    assert task.correct(p, ys).shape == (sum(map(len, SHORT)),)
    assert not task.correct(p * np.nan, ys).any()
    assert task.elements(ys) == sum(map(len, SHORT))
    assert sorted(lengths) == sorted(map(len, SHORT))


def test_the_loss_to_beat():
    share = np.bincount(LABELS) / 40
    task = lstm.ArrayTask(EQUAL, LABELS, validation=0)
    assert task.baseline == pytest.approx(-(share * np.log(share)).sum())
    task = lstm.ArrayTask(EQUAL, NUMBERS, validation=0)
    assert task.baseline == pytest.approx(NUMBERS.var(0).mean())
    task = lstm.ArrayTask(EQUAL, NUMBERS, validation=0, loss="mae")
    assert task.baseline == pytest.approx(abs(NUMBERS - np.median(NUMBERS, 0)).mean())
    task = lstm.ArrayTask(EQUAL, LABELS == 0, validation=0, loss="binary_cross_entropy")
    assert task.baseline == pytest.approx(
        -(share[0] * np.log(share[0]) + (1 - share[0]) * np.log(1 - share[0]))
    )


def test_the_usual_tolerance_is_a_tenth_of_the_spread():
    ys = np.array([0.0, 10.0] * 20)
    task = lstm.ArrayTask(EQUAL, ys, validation=0)
    said = task.correct(np.array([[0.49], [0.51]]), np.zeros((2, 1)))
    assert said.tolist() == [True, False]


# --- training ------------------------------------------------------------------------------------


def learnable(count=300):
    rng = np.random.default_rng(0)
    xs = [rng.normal(size=(n, 2)) for n in rng.integers(3, 9, count)]
    return xs, [int(x[-1, 0] > 0) for x in xs]


def test_it_learns_what_was_held_out():
    task = lstm.ArrayTask(*learnable())
    fitted = lstm.fit(lstm.Model.create(lstm.GRU, task=task), task, lstm.Settings(steps=150))
    assert fitted.score.correct > 0.9
    assert fitted.score.loss < task.baseline / 2
    assert fitted.why == "steps"


def test_it_resumes_bit_for_bit_in_the_middle_of_a_pass(tmp_path):
    def task():
        return lstm.ArrayTask(*learnable(50))

    def model():
        return lstm.Model.create(lstm.GRU, task=task(), hidden_size=4, recurrent_dropout=0.2)

    settings, path = lstm.Settings(steps=20, batch=12), tmp_path / "c"
    whole = lstm.fit(model(), task(), settings, validate=4)
    first = lstm.fit(
        model(), task(), settings, validate=4, out=path, callback=lambda p: p.step == 9
    )
    rest = lstm.fit(model(), task(), out=path, resume=True)
    assert first.reports + rest.reports == whole.reports
    for name, value in whole.best.values().items():
        np.testing.assert_array_equal(rest.best.values()[name], value)
    other = learnable(50)
    other[0][3][1, 1] += 1e-9
    split = lstm.ArrayTask(*learnable(50), seed=1)  # holds out what was trained on
    for task_then in (lstm.ArrayTask(*other), split):
        with pytest.raises(
            lstm.CheckpointError, match="another task: its 'checksum of the data' is"
        ):
            lstm.fit(model(), task_then, out=path, resume=True)


def test_the_file_notes_what_the_data_were_like_and_not_the_data(tmp_path):
    task = lstm.ArrayTask(SHORT, LABELS)
    path = tmp_path / "m.safetensors"
    lstm.Model.create(lstm.LSTM, task=task).save(path)
    noted = lstm.Model.load(path).task
    assert noted == task.config()
    assert noted["name"] == "arrays"
    assert noted["settings"]["training"] == 32
    assert noted["settings"]["loss"] == "cross_entropy"
    assert task == lstm.ArrayTask(SHORT, LABELS) != lstm.ArrayTask(SHORT, LABELS, validation=3)
    assert hash(task) == hash(lstm.ArrayTask(SHORT, LABELS))


def test_arrays_that_change_later_change_nothing():
    xs, ys = EQUAL.copy(), LABELS.copy()
    task = lstm.ArrayTask(xs, ys)
    before = rows_of(all_of(task, "test")[0])
    xs[:], ys[:] = 0, 0
    assert rows_of(all_of(task, "test")[0]) == before


def test_what_follows_no_order_carries_no_state():
    task = lstm.ArrayTask(SHORT, LABELS)
    model = lstm.Model.create(lstm.LSTM, task=task)
    with pytest.raises(lstm.ConfigError, match="those of ArrayTask are shuffled"):
        lstm.fit(model, task, lstm.Settings(steps=1, stateful=True))


# --- what cannot be ------------------------------------------------------------------------------

HOLE = EQUAL.copy()
HOLE[3, 2, 1] = np.nan


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((3, LABELS), {}, "xs are an array, or a list with an entry a sequence, not 3"),
        (([], []), {}, "xs are empty"),
        ((np.zeros((0, 3, 2)), []), {}, "xs are empty"),
        ((["ab", "cd"], [0, 1]), {}, r"xs\[0\] is no sequence of numbers, nor of tokens"),
        (([[1.0, [2.0]]], [0]), {}, r"xs\[0\] is no sequence of numbers"),
        ((np.zeros((2, 3, 4, 5)), [0, 1]), {}, r"xs\[0\] must be \(T, I\), or \(T,\)"),
        (([[1.0], []], [0, 1]), {}, r"xs\[1\] must be .* at least one step, not \(0,\)"),
        (([EQUAL[0], EQUAL[0, :, :2]], [0, 1]), {}, r"a step of xs\[1\] is 2 numbers, and one of "),
        (
            ([EQUAL[0], [1, 2]], [0, 1]),
            {},
            r"a step of xs\[1\] is a token, and one of xs\[0\] is",
        ),
        ((HOLE, LABELS), {}, r"xs\[3\]\[2, 1\] is nan: mend it, or leave the sequence out"),
        (([[0, -2], [1, 1]], [0, 1]), {}, "xs have a token -2: integers are tokens"),
        (([[0, 7], [1, 1]], [0, 1]), {"vocabulary": 5}, "xs have a token 7: .* 0 to 4"),
        ((EQUAL, LABELS), {"vocabulary": 5}, "vocabulary= has no meaning where xs are numbers"),
        ((EQUAL, LABELS), {"tolerance": 1}, "tolerance= has no meaning where ys are labels"),
        ((EQUAL.swapaxes(0, 1), LABELS), {}, "there are 6 sequences and 40 targets"),
        ((EQUAL, ["a"] * 40), {}, r"ys\[0\] is neither labels nor numbers: 'a'; numpy.unique"),
        ((EQUAL, LABELS - 1), {}, "ys: label -1 is no class, of sequence .: they are 0 to 1"),
        ((EQUAL, LABELS), {"output_size": 2}, "ys: label 2 is no class, of sequence"),
        ((EQUAL, NUMBERS), {"output_size": 3}, "output_size is 3, but a target has 2 numbers"),
        ((EQUAL, EQUAL[..., 0]), {}, "6 numbers at the end or one at each of its steps: give read"),
        (
            (EQUAL, LABELS),
            {"readout": "every"},
            r"readout is 'every', but ys\[0\] is of shape \(\)",
        ),
        ((EQUAL, EQUAL), {"readout": "last"}, r"readout is 'last', but ys\[0\] is of shape \(6, 3"),
        ((EQUAL, LABELS), {"readout": "all"}, "readout= is 'last' or 'every', not 'all'"),
        ((SHORT, [x[1:, 0] > 0 for x in SHORT]), {}, r"ys\[0\] is of \d steps, and xs\[0\] of \d"),
        ((SHORT, [x[1:, 0] for x in SHORT]), {}, "ys have 1 to 7 numbers: give as many for"),
        ((EQUAL, LABELS), {"loss": "msee"}, "loss= is one of .*not 'msee'; did you mean mse"),
        ((EQUAL, LABELS), {"validation": 1.0}, "validation= is a share of the sequences, 0.2, a "),
        ((EQUAL, LABELS), {"validation": True}, "validation= is a share of the sequences"),
        ((EQUAL, LABELS), {"validation": [EQUAL, LABELS]}, "validation= is a share"),
        ((EQUAL, LABELS), {"validation": -1}, "validation must be a whole number of at least 0"),
        ((EQUAL, LABELS), {"validation": 40}, "of 40 sequences none is left to train on"),
        ((EQUAL[:1], LABELS[:1]), {}, "of 1 sequences none is left to train on"),
        (
            (EQUAL, LABELS),
            {"validation": (EQUAL, LABELS[1:])},
            "validation: there are 40 seq",
        ),
        ((EQUAL, LABELS), {"test": (EQUAL[..., :2], LABELS)}, "test: these are 2 numbers a step"),
        ((EQUAL, LABELS), {"test": (EQUAL, NUMBERS)}, "test: these are .* 2 numbers for a target"),
        ((EQUAL, LABELS, [1] * 39), {}, "lengths are 40 whole numbers, one a sequence"),
        ((EQUAL, LABELS, [7] * 40), {}, r"lengths\[0\] is 7, of a sequence of 6 steps"),
        ((EQUAL, LABELS, [0] * 40), {}, r"lengths\[0\] is 0"),
        ((EQUAL, LABELS), {"seed": -1}, "seed must be a whole number of at least 0"),
    ],
)
def test_data_that_cannot_be(arguments, options, message):
    with pytest.raises(lstm.ConfigError, match=message):
        lstm.ArrayTask(*arguments, **options)


def test_what_is_beyond_an_end_may_be_anything():
    xs, ys = EQUAL.copy(), EQUAL.copy()
    xs[:, 4:], ys[:, 4:] = np.nan, np.nan
    task = lstm.ArrayTask(xs, ys, [4] * 20 + [3] * 20, validation=0)
    model = lstm.Model.create(lstm.LSTM, task=task, hidden_size=3)
    assert np.isfinite(lstm.fit(model, task, lstm.Settings(steps=3)).score.loss)
    labels = np.where(np.arange(6) < 4, 1, -100) * np.ones((40, 1), int)
    assert lstm.ArrayTask(xs, labels, [4] * 40).output_size == 2


def test_it_is_shown_in_a_line_and_in_a_table():
    assert repr(lstm.ArrayTask(SHORT, LABELS, test=4)) == (
        "ArrayTask(28 + 8 + 4 sequences of 2 to 8 steps, 3 numbers each; 3 classes, cross_entropy)"
    )
    tokens = lstm.ArrayTask([[1, 2, 0]] * 9, [[1.0, 2.0, 3.0]] * 9, readout="every", loss="mae")
    said = "ArrayTask(7 + 2 sequences of 3 steps, a token each of 3; 1 numbers a step, mae)"
    assert repr(tokens) == said
    assert "loss to beat" in tokens._repr_mimebundle_()["text/html"]
