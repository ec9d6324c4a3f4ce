"""Spoken digits: resonances, windows that add up, cepstra by formula, words."""

from __future__ import annotations

from math import log

import numpy as np
import pytest

import minigrad as mg
from lstm.tasks import speech, spoken
from lstm.tasks.spoken import Spoken, nearest_mean, scaled


@pytest.mark.parametrize(("frequency", "width"), [(500.0, 60.0), (1500.0, 90.0), (3300.0, 600.0)])
def test_a_resonance_is_klatts_resonator(frequency, width):
    """Its response to a pulse, sample by sample, transformed."""
    C = -np.exp(-2 * np.pi * width / 8000)
    B = 2 * np.exp(-np.pi * width / 8000) * np.cos(2 * np.pi * frequency / 8000)
    A, y = 1 - B - C, [0.0, 0.0]
    for n in range(2000):
        y.append((A if n == 0 else 0.0) + B * y[-1] + C * y[-2])
    turns = np.exp(-2j * np.pi * np.outer(np.arange(129) / 256, np.arange(2000)))
    np.testing.assert_allclose(
        speech.resonance(frequency, width), np.abs(turns @ np.array(y[2:])), rtol=1e-6
    )


def test_windows_that_are_taken_apart_and_not_changed_add_up_to_the_wave():
    waves = np.random.default_rng(0).normal(size=(2, 40 * 80))
    made = speech._added(speech._transformed(waves, 160))
    assert made.shape == waves.shape
    np.testing.assert_allclose(made[:, 80:-80], waves[:, 80:-80], atol=1e-12)


def test_cepstra_are_davis_and_mermelsteins():
    wave = np.random.default_rng(1).normal(size=800)
    got = speech.cepstra(wave[None])[0]
    assert got.shape == (10, 13)
    t = 5  # a window of 200 samples around its sample 400
    part = wave[300:500] * (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(200) / 200))
    power = [
        abs(sum(x * np.exp(-2j * np.pi * k * n / 256) for n, x in enumerate(part))) ** 2
        for k in range(129)
    ]
    top = 2595 * np.log10(1 + 4000 / 700)
    edges = [700 * (10 ** (top * m / 21 / 2595) - 1) for m in range(22)]
    bands = []
    for a, b, c in zip(edges, edges[1:], edges[2:], strict=False):
        up = [min((k * 31.25 - a) / (b - a), (c - k * 31.25) / (c - b)) for k in range(129)]
        bands.append(np.log(1e-6 + sum(max(u, 0) * p for u, p in zip(up, power, strict=True))))
    want = [
        sum(x * np.cos(np.pi * i * (k + 0.5) / 20) for k, x in enumerate(bands)) / 20
        for i in range(13)
    ]
    np.testing.assert_allclose(got[t], want, rtol=1e-9, atol=1e-9)


def test_words_sound_where_their_phones_have_resonances():
    """The loudest band of a word is at its vowel's first formant, that of its s above 2.5 kHz."""
    rng = np.random.default_rng(0)
    waves, frames, _ = speech.said(["four"] * 12, rng)  # f O r
    assert waves.shape == (12, speech.LONGEST * speech.HOP)
    power = np.exp(speech.log_mel(waves))
    mels = np.linspace(0, 2595 * np.log10(1 + 4000 / 700), 22)[1:-1]
    middles = 700 * (10 ** (mels / 2595) - 1)
    loudest = [middles[power[k].sum(0).argmax()] for k in range(12)]
    assert 380 < np.median(loudest) < 760  # O: 570 Hz
    hiss, *_ = speech.said(["six"] * 12, rng)
    first = [np.exp(speech.log_mel(hiss))[k, 6:12].sum(0).argmax() for k in range(12)]
    assert np.median(middles[first]) > 2500  # s
    assert (frames >= 20).all() and (frames <= speech.LONGEST).all()


def test_pulses_come_as_often_as_the_pitch_says():
    frames = np.array([60, 60])
    pulses = speech._pulses(np.array([100.0, 200.0]), frames, np.random.default_rng(0))
    assert {*np.unique(pulses)} == {0.0, 1.0}
    counts = pulses[:, : 60 * 80].sum(1)  # over 0.6 s, at a pitch that falls by a sixth
    np.testing.assert_allclose(counts, np.array([100, 200]) * 0.6 * 11 / 12, atol=2)


def test_batches_are_words_on_one_scale():
    task = Spoken()
    xs, ys, lengths = task.batch(np.random.default_rng(3), 100)
    assert xs.shape == (task.steps, 100, 13)
    assert xs.dtype == np.float32
    inside = np.arange(task.steps)[:, None] < lengths
    np.testing.assert_allclose(xs[inside].mean(0), 0, atol=0.25)
    np.testing.assert_allclose(xs[inside].std(0), 1, atol=0.25)
    assert np.bincount(ys, minlength=10).min() > 2
    assert len({*lengths.tolist()}) > 20
    again = task.batch(np.random.default_rng(3), 100)
    np.testing.assert_array_equal(xs, again.xs)
    assert scaled(np.zeros((2, 5, 13))).shape == (5, 2, 13)


def test_the_baselines():
    task = Spoken()
    ys = np.arange(40) % 10
    said = mg.const(np.zeros((40, 10)))
    assert float(task.loss(said, mg.const(ys)).eval()) == pytest.approx(task.baseline)
    assert task.baseline == pytest.approx(log(10))
    assert 0.5 < nearest_mean(100) < 0.95


def test_99_of_100_words_are_enough():
    task = Spoken()
    ys = np.arange(1000) % 10
    said = np.eye(10)[ys]
    said[:10] = np.roll(said[:10], 1, axis=1)
    assert task.solved(said, ys)
    assert task.correct(said, ys).sum() == 990
    said[10] = np.roll(said[10], 1)
    assert not task.solved(said, ys)


def test_the_scale_that_is_kept_cannot_be_written_to():
    for values in spoken._usual():
        with pytest.raises(ValueError, match="read-only"):
            values[0] = 0.0
