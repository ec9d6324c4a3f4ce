"""`lstm.TextTask`: how a text is cut, read in training and held out, and what is no text."""

import re
from math import log
from pathlib import Path

import numpy as np
import pytest

import lstm
from lstm.tasks.tokenizer import MOST_WORDS, Tokenizer

TEXT = "".join(chr(65 + (k * k + k // 7) % 26) for k in range(400))  # repeats, but late


@pytest.fixture
def task():
    return lstm.TextTask(TEXT, length=8)


def tokens(task, part):
    start, end = {"training": (0, 360), "validation": (360, 380), "test": (380, 400)}[part]
    return task.tokenizer.encode(TEXT)[start:end]


# --- reading ---------------------------------------------------------------------------------


def test_each_batch_goes_on_where_the_last_one_ended(task, rng):
    whole = tokens(task, "training")
    for k in range(50):  # more than once around
        xs, ys = task.batch_at(k, rng, 4)
        for b in range(4):
            at = (b * 90 + k * 8 + np.arange(9)) % 360
            np.testing.assert_array_equal(xs[:, b], whole[at[:-1]])
            np.testing.assert_array_equal(ys[:, b], whole[at[1:]])


def test_nothing_that_is_held_out_is_trained_on(rng):
    task = lstm.TextTask("a" * 90 + "b" * 10, length=8)
    seen = [task.batch_at(k, rng, 3) for k in range(40)] + [task.batch(rng, 50)]
    assert all((np.concatenate(batch) == 0).all() for batch in seen)


@pytest.mark.parametrize("size", [1, 3, 7, 50])
@pytest.mark.parametrize("part", ["validation", "test"])
def test_every_held_out_token_is_predicted_once_from_the_one_before(task, rng, size, part):
    batches = list(task.held_out(part, rng, 2000, size))
    xs = np.concatenate([xs for xs, _ in batches])  # (all steps, streams)
    ys = np.concatenate([ys for _, ys in batches])
    assert all(x.shape == (8, size) for x, _ in batches)
    there = ys >= 0
    expected = tokens(task, part)
    np.testing.assert_array_equal(ys.T[there.T], expected)
    before = np.append(task.tokenizer.encode(TEXT[: 360 + 20 * (part == "test")])[-1], expected)
    np.testing.assert_array_equal(xs.T[there.T], before[:-1])
    assert not (np.diff(there.astype(int), axis=0) > 0).any()  # padding is at the end of each
    assert sum(task.elements(y) for _, y in batches) == 20


def test_validation_reads_no_more_than_it_is_asked_for(task, rng):
    ys = np.concatenate([ys for _, ys in task.held_out("validation", rng, 1, 2)])
    assert (ys >= 0).sum() == 8


def test_a_score_is_the_mean_over_all_held_out_tokens(task):
    model = lstm.Model.create(lstm.GRU, task=task, hidden_size=3)
    for leaf in model.flat_params.values():
        leaf.value = np.zeros_like(leaf.value)
    shares = np.arange(1, 24) / np.arange(1, 24).sum()
    model.params["readout"]["b_y"].value = np.log(shares).astype("float32")
    test = tokens(task, "test")
    for carried in (None, 3):
        score = lstm.evaluate(model, task, 0, carried=carried)
        assert score.loss == pytest.approx(-np.log(shares[test]).mean(), rel=1e-5)
        assert score.correct == (test == 22).mean()
        assert not score.solved


def test_the_state_is_carried_through_what_is_held_out():
    """Read in pieces, side by side, as if each stream were read at once."""
    task = lstm.TextTask(TEXT, length=4, held_out=0.2)
    model = lstm.Model.create(lstm.LSTM, task=task, hidden_size=5)
    whole = task.tokenizer.encode(TEXT)
    losses = []
    for start in (360, 380):
        xs, ys = whole[start - 1 : start + 19, None], whole[start : start + 20, None]
        losses.append(float(task.loss(model.run(xs).output, ys).eval()))
    score = lstm.evaluate(model, task, 0, carried=2)
    assert score.loss == pytest.approx(np.mean(losses), rel=1e-5)


# --- tokens and bits -------------------------------------------------------------------------


def test_bits_per_character_are_comparable_across_levels():
    """A uniform guess over the tokens costs log2 of their number for each."""
    text = "naïve café, naïve cafés. " * 40  # 25 characters, 29 bytes
    tasks = {level: lstm.TextTask(text, level=level, length=8) for level in ("char", "bytes")}
    kinds = {level: task.vocabulary for level, task in tasks.items()}
    assert kinds == {"char": 12, "bytes": 256}
    assert tasks["char"].in_unit(log(12)) == pytest.approx(np.log2(12))
    assert tasks["bytes"].in_unit(log(256)) == pytest.approx(8 * 29 / 25)
    word = lstm.TextTask(text, level="word", length=8)
    # its test begins with "naïve" without a space, which is spelt: 5 + 12 tokens, 50 characters
    assert word.in_unit(log(2)) == pytest.approx(17 / 50)


@pytest.mark.parametrize("level", ["char", "word", "bytes"])
def test_what_is_encoded_is_decoded(level):
    text = "Zwölf 12 Boxkämpfer\tjagen 𝔛 zwölf\n\n Zwölf jagen, jagen  𝔛"
    tokenizer = Tokenizer.of(text, level)
    text_of = tokenizer.decoder()
    assert "".join(text_of(int(token)) for token in tokenizer.encode(text)) == text
    assert Tokenizer.from_config(tokenizer.config()) == tokenizer


def test_words_are_those_of_the_training_part_and_others_are_spelt():
    tokenizer = Tokenizer.of("one one two two new new", "word", "one one two two")
    # a word is a token with the space before it, and where it is seen so twice
    assert tokenizer.tokens == (*" enotw", " two")
    assert [tokenizer.tokens[t] for t in tokenizer.encode(" two new")] == [" two", *" new"]
    many = " ".join(f"w{k}" for k in range(MOST_WORDS + 100)) + " "
    assert len(Tokenizer.of(many * 2, "word").tokens) == len(set(many)) + MOST_WORDS


def test_words_that_only_the_end_has_are_no_tokens():
    task = lstm.TextTask("one two " * 90 + "three three " * 5, level="word", length=8)
    assert {" one", " two"} <= {*task.tokenizer.tokens}
    assert " three" not in task.tokenizer.tokens


def test_line_ends_and_a_mark_of_byte_order_are_no_part_of_the_text(tmp_path):
    file = tmp_path / "text"
    file.write_bytes(b"\xef\xbb\xbf" + b"one\r\ntwo\rthree\n" * 20)
    assert lstm.TextTask(file, length=8) == lstm.TextTask("one\ntwo\nthree\n" * 20, length=8)


def test_baselines_are_of_the_same_split():
    task = lstm.TextTask("ab" * 45 + "cc" * 5, length=8)  # c was never seen in training
    assert list(task.baselines) == [f"{n}-gram" for n in range(1, 6)]
    assert min(task.baselines.values()) > 1.5  # 2 bits and more
    assert task.baseline == task.baselines["5-gram"]
    assert lstm.TextTask("ab" * 50, length=8).baseline < 0.1


# --- what is no text -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"\xef\xbb\xbf", "is empty"),
        (b"One line.", "is too short: 7 of its 9 characters are to train on, and .* need 9"),
        (b"good\nbad \xe9 line\n" * 20, "is no UTF-8: byte 0xe9 in line 2; iconv -t utf-8 makes"),
        ("text".encode("utf-16"), "is no UTF-8: byte 0xff in line 1"),
        (b"a line\nand a \0\n" * 20, "is no text: it has a NUL byte in line 2"),
    ],
)
def test_files_that_are_no_text(tmp_path, data, message):
    file = tmp_path / "text"
    file.write_bytes(data)
    with pytest.raises(lstm.ConfigError, match=message):
        lstm.TextTask(file, length=8)


def test_what_is_no_file(tmp_path):
    with pytest.raises(lstm.ConfigError, match="it is no regular file"):
        lstm.TextTask(tmp_path)
    with pytest.raises(lstm.ConfigError, match=r"cannot read .*: No such file"):
        lstm.TextTask(tmp_path / "missing")
    with pytest.raises(lstm.ConfigError, match="cannot read"):
        lstm.TextTask(Path("nul\0"))
    (tmp_path / "book").write_text("a book")
    with pytest.raises(lstm.ConfigError, match=r"; Path\('.*book'\) is the file"):
        lstm.TextTask(str(tmp_path / "book"))


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        (TEXT, {"level": "letter"}, "level= is one of char, word, bytes, not 'letter'"),
        (TEXT, {"length": 0}, "length must be a whole number of at least 1"),
        (TEXT, {"length": 360}, "360 of its 400 characters .* length=360 need 361"),
        (TEXT, {"held_out": 1}, "held_out must be a number above 0 and below 1"),
        (TEXT, {"held_out": 0.999}, "the text is too short"),
        (b"bytes", {}, "a text is a str, or the pathlib.Path of its file, not b'bytes'"),
        ("half \ud800" * 90, {}, r"'\\ud800' is no character"),
    ],
)
def test_what_cannot_be(text, options, message):
    with pytest.raises(lstm.ConfigError, match=message):
        lstm.TextTask(text, **options)


def test_lines_of_a_million_characters_are_read_as_others():
    task = lstm.TextTask("abcde fghij" * 100_000, length=64)
    assert task.batch_at(0, np.random.default_rng(0), 2).xs.shape == (64, 2)


# --- training --------------------------------------------------------------------------------


def test_a_text_is_trained_as_suits_it_and_goes_on_with_the_same_text_only(tmp_path):
    task = lstm.TextTask("abcd" * 50, length=8)
    settings = lstm.Settings(**{**task.usual, "steps": 4, "batch": 4})
    assert settings.stateful
    models, file = [], tmp_path / "checkpoint"
    for steps in ([4], [2, 4]):
        model = lstm.Model.create(lstm.RNN, task=task, hidden_size=4)
        for k, end in enumerate(steps):
            chosen = lstm.Settings(
                **{**task.usual, "steps": end, "batch": 4, "schedule": "constant"}
            )
            out = {} if len(steps) == 1 else {"out": file, "resume": k > 0}
            lstm.fit(model, task, chosen, **out)
        models.append(model.values())
    assert all(np.array_equal(models[0][name], models[1][name]) for name in models[0])
    other = lstm.TextTask("abdc" * 50, length=8)
    with pytest.raises(lstm.CheckpointError, match="another task: its 'checksum of the text'"):
        lstm.fit(model, other, out=file, resume=True)


def test_a_task_says_itself():
    task = lstm.TextTask(TEXT, length=8)
    assert repr(task) == "TextTask(360 + 20 + 20 characters of 23 kinds, by 8)"
    model = lstm.Model.create(lstm.LSTM, task=task)
    assert (model.cell.hidden_size, model.notes) == (128, ())
    assert lstm.Model.create(lstm.LSTM, task=task, memory=9).notes
    assert task != lstm.TextTask(TEXT, length=9)
    assert "text" not in lstm.TASKS


def test_the_code_in_the_docs_runs(tmp_path, monkeypatch, capsys):
    page = (Path(__file__).parent.parent / "docs" / "models.md").read_text()
    code = next(c for c in re.findall(r"```python\n(.*?)```", page, re.S) if "TextTask" in c)
    small = "(lstm.RNN, task=task, hidden_size=4), task, lstm.Settings(steps=2, batch=2)"
    assert code.count("(lstm.LSTM, task=task), task") == 1
    monkeypatch.chdir(tmp_path)
    Path("book.txt").write_text("Once upon a time there was a time. " * 30)
    names = {"lstm": lstm}
    exec(code.replace("(lstm.LSTM, task=task), task", small), names)
    assert names["bits"] > 0
    assert len(capsys.readouterr().out) >= 200
