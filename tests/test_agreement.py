"""Gender and number: the language, what is asked, and the figure of the units that carry them."""

from __future__ import annotations

import numpy as np
import pytest

import lstm
from lstm.errors import ConfigError
from lstm.figures.gender import Known, chart_of_known, known_by
from lstm.probing import Probe
from lstm.tasks.agreement import ADVERBS, ASKED, NOUNS, VERBS, Agreement

SUBJECT = {noun: kinds for kinds, nouns in NOUNS.items() for noun in nouns}


def parsed(words):
    """The subject at each word, and the answer that each word is; None where it is none: by
    another way than the task's, from the words alone."""
    subject, before, told = None, None, []
    for word in words:
        if word in SUBJECT and before != "some":
            subject = SUBJECT[word]
        answer = None
        if before == "and":
            answer = word
        elif before == "often":
            answer = "sees" if word in VERBS["one"] else "see"
        told.append((subject, answer))
        before = word
    return told


def test_pronouns_and_verbs_agree_with_the_subject():
    task = Agreement(60)
    xs, ys = task.batch(np.random.default_rng(0), 100)
    features, seen = task.features(xs), set()
    for k in range(100):
        words = task.spelled(xs[:, k])
        told = parsed([*words, "x"])
        for t, (subject, _) in enumerate(told[:-1]):
            gender, number = subject
            assert features["gender"][t, k] == ("he", "she").index(gender)
            assert features["number"][t, k] == ("one", "many").index(number)
            answer = told[t + 1][1] if t + 1 < len(words) else None
            if answer is not None:
                assert answer == (gender if words[t] == "and" else ASKED[2:][number == "many"])
                assert ASKED[ys[t, k]] == answer
                seen.add((words[t], gender, number, words[t + 1]))
            elif words[t] not in ("and", "often"):
                assert ys[t, k] == -1
    assert len(seen) == 4 + 2 * 2 * 3  # pronouns by gender and number; verbs
    assert {*ADVERBS} <= {task.words[t] for t in np.unique(xs)}


def test_objects_are_of_no_use():
    """As many objects agree with the subject in gender as do not."""
    task = Agreement(60)
    xs, _ = task.batch(np.random.default_rng(1), 200)
    agree = []
    for column in xs.T:
        words = task.spelled(column)
        told = parsed(words)
        objects = [t for t in range(1, 60) if words[t - 1] == "some"]
        agree += [SUBJECT[words[t]][0] == told[t][0][0] for t in objects]
    assert np.mean(agree) == pytest.approx(0.5, abs=0.05)


def test_a_text_is_right_where_all_agrees():
    task = Agreement(30)
    _, ys = task.batch(np.random.default_rng(0), 200)
    said = np.eye(4)[np.maximum(ys, 0)]
    assert task.solved(said, ys)
    assert task.correct(said, ys).all()
    t = int(np.flatnonzero(ys[:, 3] >= 0)[0])
    for wrong, is_solved in ((2, True), (3, False)):  # of 200
        some = said.copy()
        for k in range(wrong):
            at = t if k == 3 else int(np.flatnonzero(ys[:, k] >= 0)[0])
            some[at, k] = np.roll(some[at, k], 1)
        assert task.solved(some, ys) is is_solved
    assert task.elements(ys) == (ys >= 0).sum()
    assert task.baseline == pytest.approx(np.log(2))


def made_up():
    """What was found, made up."""
    probes = {
        "gender": Probe("C", 0.99, 0.5, np.array([0.6, 0.97, 0.5]), np.zeros((3, 2))),
        "number": Probe("C", 0.98, 0.51, np.array([0.94, 0.5, 0.5]), np.zeros((3, 2))),
    }
    values = {"C": np.arange(12.0).reshape(4, 3) / 4 - 1}
    values |= {"f": np.full((4, 3), 0.25), "i": np.arange(12.0).reshape(4, 3) / 12}
    right = {
        "": {"gender": 1.0, "number": 0.995},
        "gender": {"gender": 0.51, "number": 0.985},
        "number": {"gender": 0.975, "number": 0.49},
    }
    gates = {"gender": {"f": (0.1, 0.8), "i": (0.9, 0.3)}, "number": {"f": (0.2, 0.7), "i": (1, 0)}}
    return Known(
        words=["kings", "and", "he", "queen"],
        subjects=[0, 3],
        probes=probes,
        units={"gender": [1], "number": [0]},
        right=right,
        values=values,
        part="C",
        gates=gates,
    )


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_figure_says_what_was_found(theme):
    known = made_up()
    chart = chart_of_known(known, theme=theme)
    assert "unit 2 alone at 97.0%" in chart.description
    assert "units 2, 51.0% of pronouns agree, and 98.5% of verbs" in chart.description
    assert "At a new subject f is 0.20 and i is 1.00 on average, elsewhere 0.70 and 0.00" in (
        chart.description
    )
    texts = chart.figure.axes[0], chart.figure.axes[2]
    for ax, unit in zip(texts, (1, 0), strict=True):
        assert [text.get_text() for text in ax.texts] == list(known.words)
        assert f"unit {unit + 1}" in ax.get_title("left")
        colored = np.abs(np.tanh(known.values["C"][:, unit])) * 0.72
        boxes = [p.get_alpha() for p in ax.patches if p.get_alpha() is not None]
        assert boxes == pytest.approx(colored)
    for ax, unit in zip((chart.figure.axes[1], chart.figure.axes[3]), (1, 0), strict=True):
        drawn = {line.get_label(): line for line in ax.lines}
        assert {"f", "i"} <= {*drawn}
        rows = [line.get_ydata() for line in ax.lines if len(line.get_xdata()) == 4]
        np.testing.assert_allclose(rows, [known.values[g][:, unit] for g in ("f", "i")])
        assert [text.get_text() for text in ax.texts] == ["kings", "queen"]
    bars = [[t.get_text() for t in ax.texts] for ax in chart.figure.axes[4:]]
    assert bars == [["100.0%", "51.0%", "97.5%"], ["99.5%", "98.5%", "49.0%"]]


def test_an_untrained_model_knows_little_and_one_without_gates_is_refused():
    task = Agreement(12)
    model = lstm.Model.create(lstm.LSTM, task=task, hidden_size=3)
    found = known_by(model, task, units=1)
    xs, ys = task.batch(np.random.default_rng(0), 200)
    right = model.output(xs).eval().argmax(-1) == ys
    cues = {"gender": xs == task.words.index("and"), "number": xs == task.words.index("often")}
    assert found.right[""] == {f: pytest.approx(right[cue].mean()) for f, cue in cues.items()}
    assert found.right[""]["gender"] != found.right[""]["number"]
    assert [len(units) for units in found.units.values()] == [1, 1]
    assert found.words[0] in SUBJECT
    assert found.subjects[0] == 0
    assert found.values["C"].shape == (12, 3)
    with pytest.raises(ConfigError, match="no gates f and i"):
        known_by(lstm.Model.create(lstm.RNN, task=task, hidden_size=3), task, units=1)


def test_nothing_is_asked_before_the_first_subject():
    words = np.array([[Agreement.words.index(word)] for word in ("often", "and")])
    assert Agreement.labels(words).tolist() == [[-1], [-1]]
