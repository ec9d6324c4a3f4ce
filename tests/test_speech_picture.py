"""The picture of a spoken digit, read back: wave, phones, bands, and what models take it for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes

import lstm
from lstm.errors import ConfigError
from lstm.figures.speech import Heard, hear, plot_heard
from lstm.tasks import speech
from lstm.tasks.spoken import Spoken

pytestmark = pytest.mark.usefixtures("by_numpy")
FRAMES = 12


def made_up() -> Heard:
    rng = np.random.default_rng(0)
    sure, lost = np.full((FRAMES, 10), 0.02), np.full((FRAMES, 10), 0.05)
    sure[:5, 3], sure[5:, 2], lost[:, 7] = 0.82, 0.82, 0.55
    lost[3, 7], lost[3, 2] = 0.05, 0.55  # right for a moment only
    bands = -rng.uniform(0, 70, (FRAMES, speech.BANDS))
    phones = [("t", 10.0, 40.0), ("u", 40.0, 100.0)]
    return Heard("two", rng.normal(size=FRAMES * 80), phones, bands, {"$A$": sure, "B": lost})


def panels(ax: Axes) -> list[Any]:
    return list(ax.child_axes)


def words(ax: Axes) -> list[str]:
    return [text.get_text() for text in ax.texts]


def test_wave_phones_and_bands_stand_over_one_another_on_one_axis_of_milliseconds():
    heard = made_up()
    wave, bands, *answers = panels(plot_heard(heard))
    assert len(answers) == 2
    for panel in (wave, bands, *answers):
        assert panel.get_xlim() == (0.0, 120.0)
    tops = [panel.get_position().y1 for panel in (wave, bands, *answers)]
    assert tops == sorted(tops, reverse=True)
    line = wave.lines[0]
    np.testing.assert_array_equal(line.get_ydata(), heard.wave)
    np.testing.assert_allclose(line.get_xdata()[[0, 80, -1]], [0.0, 10.0, 119.875])
    assert [(t.get_text(), t.get_position()[0]) for t in wave.texts] == [("t", 25.0), ("u", 70.0)]
    (image,) = bands.images
    np.testing.assert_array_equal(image.get_array(), heard.bands.T)
    left, right, bottom, top = image.get_extent()
    assert (left, right) == (-5.0, 115.0)  # a frame's middle is its time
    assert image.get_clim() == (-50.0, 0.0)
    assert (image.origin, bottom, top) == ("lower", -0.5, 19.5)
    # A label of Hz stands at the band whose middle it is, on the scale of mel.
    for tick, label in zip(bands.get_yticks(), bands.get_yticklabels(), strict=True):
        mel = (tick + 1) * 2595 * np.log10(1 + 4000 / 700) / 21
        assert 700 * (10 ** (mel / 2595) - 1) == pytest.approx(
            float(label.get_text().replace(",", ""))
        )


def test_each_digit_has_a_row_as_high_as_its_probability():
    heard = made_up()
    *_, sure, lost = panels(plot_heard(heard))
    labels = [label.get_text() for label in sure.get_yticklabels()]
    assert labels == [*speech.DIGITS]
    bold = [label.get_text() for label in sure.get_yticklabels() if label.get_weight() == "bold"]
    assert bold == ["two"]
    for panel, shares in ((sure, heard.answers["$A$"]), (lost, heard.answers["B"])):
        rows = panel.lines[:10]
        assert [line.get_label() for line in rows] == [*speech.DIGITS]
        colors = {line.get_color() for line in rows if line.get_label() != "two"}
        assert len(colors) == 1 and rows[2].get_color() not in colors
        for k, (line, tick) in enumerate(zip(rows, panel.get_yticks(), strict=True)):
            np.testing.assert_allclose(line.get_xdata(), np.arange(FRAMES) * 10.0)
            floor = 9 - k
            np.testing.assert_allclose((line.get_ydata() - floor) / 0.92, shares[:, k])
            assert floor < tick < floor + 1
    assert sure.lines[10].get_xdata() == [50.0, 50.0] and len(lost.lines) == 10
    said = "“two” is told from 50 of 120 ms on, at its end with a probability of 82.0%"
    assert words(sure) == [f"$A$: {said}"]
    narrow = panels(plot_heard(heard, width=255.0))[2].texts[0].get_text()
    assert narrow.split() == f"$A$: {said}".split() and narrow.count("\n") > 1
    assert words(lost) == ["B: “two” is taken for “seven”, at its end with a probability of 55.0%"]


def test_an_answer_at_a_frame_is_that_to_a_word_that_ends_there():
    task = Spoken()
    model = lstm.Model.create(lstm.LSTM, task=task, hidden_size=3, seed=1)
    heard = hear({"LSTM": model}, task, word="six", seed=5)
    waves, (count,), (ends,) = speech.said(["six"], np.random.default_rng(5))
    np.testing.assert_array_equal(heard.wave, waves[0, : count * 80])
    shares = heard.answers["LSTM"]
    assert shares.shape == (count, 10)
    np.testing.assert_allclose(shares.sum(1), 1.0)
    frames = lstm.tasks.spoken.scaled(speech.cepstra(waves))
    for k in (0, count // 2, count - 1):
        scores = model.output(frames[: k + 1]).eval()[0].astype(float)
        np.testing.assert_allclose(shares[k], np.exp(scores) / np.exp(scores).sum(), rtol=1e-4)
    assert [phone for phone, *_ in heard.phones] == [*"sI-ks"]
    assert heard.phones[0][1] == pytest.approx(1000 * ends[0])
    lasts = [end - start for _, start, end in heard.phones]
    usual = [speech.PHONES[phone].milliseconds for phone in "sI-ks"]
    np.testing.assert_allclose(np.divide(lasts, usual), lasts[0] / usual[0])  # at one speed
    assert heard.bands.max() == 0.0
    power = np.exp(speech.log_mel(waves)[0, :count])
    np.testing.assert_allclose(heard.bands, 10 * np.log10(power / power.max()))


def test_a_word_that_is_not_named_is_drawn():
    task = Spoken()
    models = {"RNN": lstm.Model.create(lstm.RNN, task=task, hidden_size=2)}
    drawn = {hear(models, seed=seed).word for seed in range(6)}
    assert len(drawn) > 2 and drawn <= {*speech.DIGITS}


def test_what_is_no_word():
    model = lstm.Model.create(lstm.RNN, task=Spoken(), hidden_size=2)
    models: Any
    for models, more, said in (
        ({}, {}, "models are a dict of them by name"),
        (model, {}, "models are a dict of them by name"),
        ({"a": 3}, {}, "a model is needed"),
        ({"a": model}, {"task": "spoken"}, r"task= is of spoken digits, lstm.Spoken\(\)"),
        ({"a": model}, {"word": "ten"}, "word= is one of zero, one, .*, not 'ten'"),
        ({"a": model}, {"word": 7}, "word= is one of zero, one, .*, not 7"),
        ({"a": model}, {"seed": -1}, "seed must be a whole number"),
    ):
        with pytest.raises(ConfigError, match=said):
            lstm.plot_speech(models, **more)
