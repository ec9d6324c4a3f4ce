"""Training of models of layers: dropout's key, states that are carried on, padding, tokens."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest

import lstm
import minigrad as mg
from lstm.errors import ConfigError
from lstm.store.checkpoint import read_checkpoint
from lstm.tasks import Adding
from lstm.tasks.base import Batch, PaddedBatch
from lstm.training import Settings, evaluate, fit, train
from lstm.training.loop import trainer_of

TASK = Adding(length=6)


def same(a, b):
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


def dropping(seed: int = 0, **options: Any) -> Any:
    chosen = {"layers": 2, "dropout": 0.3, "recurrent_dropout": 0.2, "zoneout": 0.1} | options
    return lstm.Model.create(lstm.LSTM, task=TASK, hidden_size=4, seed=seed, **chosen)


# --- dropout --------------------------------------------------------------------------------------


def test_20_and_20_steps_are_40_with_dropout_and_momentum(tmp_path):
    settings = Settings(steps=40, optimizer="nesterov", rate=0.01)
    whole = fit(dropping(), TASK, settings, validate=15)
    path = tmp_path / "c"
    first = fit(dropping(), TASK, settings, validate=15, out=path, callback=lambda p: p.step == 20)
    rest = fit(dropping(seed=1), TASK, out=path, resume=True)
    assert first.reports + rest.reports == whole.reports
    assert same(rest.model.values(), whole.model.values())
    assert same(rest.best.values(), whole.best.values())


def test_each_step_drops_others_and_a_seed_the_same():
    """A batch that is always the same, and a rate of almost nothing: losses differ by dropout."""

    class Same(Adding):
        def batch(self, rng, size):
            return super().batch(np.random.default_rng(0), size)

    def losses(model, seed):
        settings = Settings(steps=6, rate=1e-30, seed=seed)
        return [r.loss for r in train(model, Same(6), settings)]

    first = losses(dropping(), 0)
    assert len(set(first)) == 6
    assert losses(dropping(), 0) == first
    assert not set(losses(dropping(), 1)) & set(first)
    plain = dropping(dropout=0.0, recurrent_dropout=0.0, zoneout=0.0)
    assert len(set(losses(plain, 0))) == 1


def test_the_key_is_in_the_checkpoint_of_what_draws_and_only_there(tmp_path):
    fit(dropping(), TASK, Settings(steps=1, seed=7), out=tmp_path / "a")
    key = read_checkpoint(tmp_path / "a").arrays["carried.dropout"]
    np.testing.assert_array_equal(key, mg.fold_in(mg.key(7), 0).eval())
    plain = lstm.Model.create(lstm.LSTM(2, 3), 1, 0)
    fit(plain, TASK, Settings(steps=1), out=tmp_path / "b")
    assert "carried.dropout" not in read_checkpoint(tmp_path / "b").arrays


def test_nothing_is_dropped_where_a_model_is_tested():
    """Zoneout left out: of a state it takes the mean when it is tested."""
    plain = dropping(dropout=0.0, recurrent_dropout=0.0, zoneout=0.0)
    scores = [evaluate(dropping(zoneout=0.0), TASK, 0) for _ in range(2)]
    assert scores[0] == scores[1]
    assert scores[0].loss == pytest.approx(evaluate(plain, TASK, 0).loss, rel=1e-6)


# --- long streams ---------------------------------------------------------------------------------


class Running(Adding):
    """The sum so far of a stream of numbers, batch after batch; position says which part."""

    def batch_at(self, position, rng, size):
        stream = np.random.default_rng(5).random((200, size, 2)).astype(np.float32)
        first = position * self.length % 200  # it begins again where it ends
        part = stream[first : first + self.length]
        return Batch(part, part[-1, :, :1])


def test_a_state_goes_on_from_batch_to_batch():
    """Against the whole stream run at once: the state after three parts is that of all of it."""
    model = lstm.Model.create(lstm.LSTM(2, 3), 1, 0)
    settings = Settings(steps=9, batch=2, rate=1e-30, stateful=True)
    trainer = trainer_of(model, Running(4), settings)
    for k in range(3):
        trainer.step(*Running(4).batch_at(k, np.random.default_rng(0), 2))
    stream = np.random.default_rng(5).random((200, 2, 2)).astype(np.float32)[:12]
    last = model.run(stream).last["layer1"]
    carried = {name: p.value for name, p in trainer.state.carried.items()}
    assert carried.keys() == {"layer1.h", "layer1.C"}
    np.testing.assert_allclose(carried["layer1.h"], last.h.eval(), rtol=1e-5)
    np.testing.assert_allclose(carried["layer1.C"], last.C.eval(), rtol=1e-5)


def test_a_stateful_stream_resumes_bit_for_bit(tmp_path):
    def model():
        return lstm.Model.create(lstm.GRU(2, 4), 1, 0)

    path, task = tmp_path / "c", Running(4)
    settings = Settings(steps=30, batch=3, stateful=True, truncate=3)
    whole = fit(model(), task, settings, validate=0)
    first = fit(model(), task, settings, validate=0, out=path, callback=lambda p: p.step == 11)
    rest = fit(model(), task, out=path, resume=True)
    assert first.reports + rest.reports == whole.reports
    assert same(rest.model.values(), whole.model.values())
    fresh = fit(model(), task, Settings(steps=30, batch=3, truncate=3), validate=0)
    assert fresh.reports[0] == whole.reports[0]  # only the first batch starts from zeros in both
    assert fresh.reports[1] != whole.reports[1]


def test_truncate_cuts_gradients_and_not_the_loss():
    model = lstm.Model.create(lstm.LSTM(2, 3), 1, 0)
    full, cut = (next(train(model.copy(), TASK, Settings(truncate=n))) for n in (None, 2))
    assert full.loss == pytest.approx(cut.loss, rel=1e-6)
    assert full.grad_norm != pytest.approx(cut.grad_norm, rel=1e-3)


def test_what_reads_backward_has_no_state_to_go_on_from():
    model = lstm.Model.create(lstm.LSTM(2, 3), 1, 0, bidirectional=True)
    with pytest.raises(ConfigError, match=r"forward only, and not layer1\.backward"):
        fit(model, TASK, Settings(stateful=True))


# --- padding, tokens, a readout of every step ------------------------------------------------


class Unequal(Adding):
    """Sequences that end where their lengths say; beyond is NaN."""

    padding: ClassVar[str | None] = "lengths"

    def batch(self, rng, size):
        xs, ys = super().batch(rng, size)
        lengths = rng.integers(2, self.length + 1, size)
        beyond = np.arange(self.length)[:, None] >= lengths
        xs[beyond] = np.nan
        return PaddedBatch(xs, ys, self.ends(lengths, beyond))

    def ends(self, lengths, beyond):
        return lengths


class Masked(Unequal):
    padding: ClassVar[str | None] = "mask"

    def ends(self, lengths, beyond):
        return ~beyond


def test_padding_touches_nothing():
    models = [lstm.Model.create(lstm.LSTM(2, 3), 1, 0) for _ in range(2)]
    reports = [
        fit(model, task, Settings(steps=4)).reports
        for model, task in zip(models, (Unequal(6), Masked(6)), strict=True)
    ]
    assert np.isfinite([r.loss for r in reports[0]]).all()
    assert reports[0] == reports[1]
    assert same(models[0].values(), models[1].values())


class Echo(Adding):
    """Say each token again one step later; sequences end where their lengths say."""

    name: ClassVar[str] = "echo"
    readout: ClassVar[str] = "every"
    vocabulary: ClassVar[int | None] = 4
    padding: ClassVar[str | None] = "lengths"
    output_size: ClassVar[int] = 4
    target_dtype: ClassVar[str] = "int64"

    def target_shape(self, batch):
        return (self.length, batch)

    def batch(self, rng, size):
        xs = rng.integers(0, 4, (self.length, size))
        lengths = rng.integers(2, self.length + 1, size)
        ys = np.concatenate([np.zeros((1, size), np.int64), xs[:-1]])
        ys[np.arange(self.length)[:, None] >= lengths] = -1
        return PaddedBatch(xs, ys, lengths)

    def loss(self, prediction, target):
        return lstm.cross_entropy(prediction, target, ignore_index=-1)

    def correct(self, prediction, target):
        assert prediction.shape[:2] == target.shape
        said = prediction.argmax(-1) == target
        return np.where(target == -1, True, said).all(0)

    def solved(self, prediction, target):
        return bool(self.correct(prediction, target).all())


def test_tokens_and_a_readout_of_every_step(tmp_path):
    task, path = Echo(5), tmp_path / "c"

    def model():
        return lstm.Model.create(lstm.GRU, task=task, hidden_size=12)

    settings = Settings(steps=300, rate=0.02)
    whole = fit(model(), task, settings, validate=25)
    assert whole.why == "solved"
    assert whole.score.solved
    first = fit(model(), task, settings, validate=25, out=path, callback=lambda p: p.step == 30)
    rest = fit(model(), task, out=path, resume=True)
    assert first.reports + rest.reports == whole.reports


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: lstm.Model.create(lstm.GRU(4, 5), 4, 0), "has 4 inputs .* 4 tokens and 4"),
        (
            lambda: lstm.Model.create(lstm.GRU, 4, vocabulary=4),
            r"reads 'last', but the task echo predicts from 'every': Model\.create\(.*'every'",
        ),
        (lambda: lstm.Model.create(lstm.GRU, 4, vocabulary=5), "has 5 tokens .* has 4 and 4"),
    ],
)
def test_models_that_do_not_fit(make, message):
    with pytest.raises(ConfigError, match=message):
        fit(make(), Echo(5))


def test_a_padding_that_is_none():
    class Odd(Unequal):
        padding = "ends"

    with pytest.raises(ConfigError, match="padding is 'lengths', 'mask' or None, not 'ends'"):
        fit(lstm.Model.create(lstm.LSTM(2, 3), 1, 0), Odd(6))
