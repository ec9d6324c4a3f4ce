"""`lstm.sample`: what is drawn, from what, and what is carried on."""

from itertools import islice

import numpy as np
import pytest

import lstm
from lstm.cli import main
from lstm.sampling import drawn

TEXT = "the cat sat on the mat. the dog sat on the cat. " * 6


@pytest.fixture(scope="module")
def model():
    task = lstm.TextTask(TEXT, length=16)
    fresh = lstm.Model.create(lstm.LSTM, task=task, hidden_size=6, layers=2, seed=1)
    for name, leaf in fresh.flat_params.items():
        if name.startswith("readout"):
            leaf.value = leaf.value * 8  # so that it has opinions
    return fresh


def written(model, *args, **options):
    return "".join(lstm.sample(model, *args, **{"length": 30, **options}))


def test_the_carried_state_is_that_of_the_whole_sequence(model):
    """At temperature 0 each token is the argmax of the logits of all that came before."""
    tokens = lstm.TextTask(TEXT, length=16).tokenizer
    text = written(model, "the cat ", temperature=0)
    read = tokens.encode("the cat " + text)
    logits = model.run(read[:, None]).output.eval()[:, 0]
    assert len(text) == 30
    np.testing.assert_array_equal(logits[7:-1].argmax(-1), read[8:])


def test_the_same_seed_writes_the_same_text(model):
    texts = [written(model, "the", seed=seed) for seed in (0, 0, 1)]
    assert texts[0] == texts[1] != texts[2]
    assert written(model, "the", seed=np.random.default_rng(0)) == texts[0]


def test_what_is_next_to_temperature_0_or_the_only_one_is_the_likeliest(model):
    likeliest = written(model, "a", temperature=0)
    assert written(model, "a", temperature=1e-308) == likeliest
    assert written(model, "a", top_k=1) == likeliest
    assert written(model, "a", temperature=5) != likeliest


def test_draws_have_the_shares_that_the_temperature_makes():
    logits, rng = np.log([0.1, 0.2, 0.7], dtype="float32"), np.random.default_rng(0)
    for temperature, top_k in ((1.0, None), (0.5, None), (2.0, 2), (1.0, 9)):
        shares = np.array([0.1, 0.2, 0.7]) ** (1 / temperature)
        if top_k == 2:
            shares[0] = 0
        draws = [drawn(logits, temperature, top_k, rng) for _ in range(2000)]
        seen = np.bincount(draws, minlength=3) / 2000
        np.testing.assert_allclose(seen, shares / shares.sum(), atol=0.035)  # three deviations


def test_only_so_many_are_drawn_from_where_several_are_alike():
    rng = np.random.default_rng(0)
    assert {drawn(np.zeros(5), 1.0, 2, rng) for _ in range(50)} == {0, 1}


def test_it_goes_on_without_end_and_begins_when_asked(model):
    pieces = lstm.sample(model, "the", length=None)
    assert len(list(islice(pieces, 40))) == 40
    assert written(model, "the", length=7) == written(model, "the")[:7]


@pytest.mark.parametrize("level", ["word", "bytes"])
def test_other_levels_write_text(level):
    task = lstm.TextTask("żółw za żółwiem. " * 30, level=level, length=8)
    model = lstm.Model.create(lstm.GRU, task=task, hidden_size=4)
    pieces = list(lstm.sample(model, "żółw", length=60))
    assert all(pieces)
    if level == "word":
        assert {*pieces} <= {*task.tokenizer.tokens}
    else:  # bytes within a character are kept until it is whole, or cannot be
        assert "�" in "".join(pieces)


def test_a_character_of_several_bytes_is_told_when_it_is_whole():
    text_of = lstm.TextTask("ż" * 90, level="bytes", length=8).tokenizer.decoder()
    assert [text_of(byte) for byte in "aż".encode()] == ["a", "", "ż"]


def test_a_model_file_keeps_how_it_reads(model, tmp_path):
    model.save(tmp_path / "model")
    again = lstm.Model.load(tmp_path / "model")
    assert written(again, "cat") == written(model, "cat")


# --- what cannot be --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "options", "message"),
    [
        (["Ω"], {}, "the character 'Ω' is none of those that the model reads: ' .acdeghmnost'"),
        ([], {}, r"the character '\\n' is none"),
        ([""], {}, "prompt= is a text of at least one character, not ''"),
        ([3], {}, "prompt= is a text"),
        (["a"], {"length": 0}, "length must be a whole number of at least 1"),
        (["a"], {"temperature": -1}, "temperature must be a number of at least 0"),
        (["a"], {"temperature": np.nan}, "temperature must be a number of at least 0"),
        (["a"], {"top_k": 0}, "top_k must be a whole number of at least 1"),
        (["a"], {"seed": -1}, "seed must be a whole number"),
    ],
)
def test_what_cannot_be_is_told_before_anything_is_written(model, args, options, message):
    with pytest.raises(lstm.ConfigError, match=message):
        lstm.sample(model, *args, **options)  # not yet asked for a token


def test_an_empty_prompt_is_told_by_its_option(model, tmp_path, capsys):
    file = tmp_path / "m.safetensors"
    model.save(file)
    assert main(["sample", str(file), "--prompt", ""]) == 2
    assert capsys.readouterr().err.startswith("lstm: --prompt is a text of at least one character")


def test_models_that_do_not_write(model):
    adding = lstm.Model.create(lstm.LSTM, task=lstm.Adding(5))
    with pytest.raises(lstm.ConfigError, match="made for the task 'adding', which is no text"):
        lstm.sample(adding)
    with pytest.raises(lstm.ConfigError, match="made for no text"):
        lstm.sample(lstm.Model.create(lstm.LSTM(2, 3), 1))
    with pytest.raises(lstm.ConfigError, match="a model is needed"):
        lstm.sample("model")
    both = lstm.Model.create(
        lstm.LSTM, task=lstm.TextTask(TEXT, length=16), hidden_size=2, bidirectional=True
    )
    with pytest.raises(
        lstm.ConfigError, match=r"reads forward only, and this has layer1\.backward"
    ):
        lstm.sample(both, "a")


def test_a_model_that_broke_says_so(model):
    broken = model.copy()
    broken.params["readout"]["b_y"].value = np.full_like(
        broken.params["readout"]["b_y"].value, np.nan
    )
    with pytest.raises(lstm.ConfigError, match="the model says nothing"):
        next(lstm.sample(broken, "a"))


@pytest.mark.parametrize(
    "change",
    [
        {"level": "letters"},
        {"level": ["char"]},
        {"tokens": None},
        {"tokens": ["a"] * 13},
        {"tokens": [1] * 13},
        {"tokens": ["ab", *"cdefghijklmn"]},
        {"tokens": list("abc")},
        {"level": "bytes"},
    ],
)
def test_a_file_that_lies_about_its_tokens_is_refused(model, change):
    task = {"name": "text", "settings": model.task["settings"] | change}
    lying = lstm.Model.of(model.layers, model.readout, model.values(), task)
    with pytest.raises(lstm.ConfigError, match="task"):
        lstm.sample(lying, "a")
