"""Files changed at random: readers raise documented errors only, or read what can be saved.

Each mutant follows from its number, so one that fails can be made again.
"""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lstm
import minigrad as mg
from lstm.cli import main
from lstm.errors import ModelFileError

_PIECES = [
    b"9" * 5000, b"-1", b"0", b"1e999", b"NaN", b"Infinity", b"null", b"true", b"1.5", b'"', b"\\",
    b'"\\ud800"', b'"\\u0000"', b'"\\u001b[31m"', b"\xff", b"\xed\xa0\x80", b"\x00", b"[]", b"{}",
    b"[" * 2000, b"[[[0]]]", b'{"a":1}', b'"float64"', b'">f8"', b'"O"', b'"scan"', b'"i"', b",",
    b":", b"18446744073709551616", b'"F16"', b'"BF16"',
]  # fmt: skip


def mutate(data: bytes, rng: random.Random) -> bytes:
    """Data with one to three places changed: put in, taken out, doubled or swapped."""
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        at = rng.randrange(len(data) + 1)
        end = min(at + rng.choice([1, 1, 2, 5, 20]), len(data))
        start, stop = _token(data, at) if rng.random() < 0.5 else (at, end)
        piece = rng.choice(
            [bytes([rng.randrange(256)]), b"", data[start:stop] * 2, rng.choice(_PIECES),
             rng.choice(_PIECES), data[stop : stop + stop - start]]
        )  # fmt: skip
        data = data[:start] + piece + data[stop:]
    return data


def _token(data: bytes, at: int) -> tuple[int, int]:
    """The word, number or text of JSON around a place."""
    ends = b',:[]{}"'
    start = stop = min(at, len(data) - 1) if data else 0
    while start > 0 and data[start - 1] not in ends:
        start -= 1
    while stop < len(data) and data[stop] not in ends:
        stop += 1
    return start, stop


def _refused(error: Exception) -> str:
    assert "\n" not in str(error)
    return "refused"


# --- graph files --------------------------------------------------------------------------------


def graph_text() -> str:
    """A graph with all kinds of things in it."""
    x, k = mg.var("x", (5, 4), "float32"), mg.var("k", (3,), "int64")
    p = mg.param("p", np.ones(4, np.float32))
    carry, ys = mg.scan(lambda c, r: (mg.tanh(c * r[::-1] + p), c[1:3]), mg.zeros(4, "float32"), x)
    parts = mg.concat([x[k], mg.stack([carry]) * 0.5], 0).named("parts")
    y = mg.einsum("ij,kj->ik", parts, x).at[0, 1:].set(2.0)
    return mg.dumps([mg.sum(y, 0).astype("float64"), mg.softmax(ys), mg.max(y)])


def check_graph(data: bytes, path: Any) -> str:
    """Whether a graph file is refused or read; other errors are the test's."""
    path.write_bytes(data)
    try:
        ys = mg.load(path)
    except mg.GraphFileError as error:
        return _refused(error)
    outputs = [ys] if isinstance(ys, mg.Expr) else ys
    mg.verify(outputs)
    again = mg.loads(mg.dumps(outputs))
    if not any(n.op.name == "param" for n in mg.toposort(outputs)):  # params are new each time
        assert all(a is b for a, b in zip(again, outputs, strict=True))
    return "read"


# --- model files --------------------------------------------------------------------------------


LAYERS: dict[str, Any] = {"layers": 2, "bidirectional": True, "dropout": 0.5, "zoneout": 0.1}
LAYERS |= {"layer_norm": True, "residual": True, "vocabulary": 3}


def model_parts(path: Any, **options: Any) -> tuple[dict[str, Any], bytes]:
    """The header of a model file, its own JSON as an object in it, and the numbers."""
    task = lstm.tasks.make_task("adding", {"length": 5})
    lstm.Model.create(lstm.LSTM(2, 3, memory=5), 1, 0, task.config(), **options).save(path)
    data = path.read_bytes()
    (size,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8 : 8 + size]), data[8 + size :]


def model_file(header: bytes, numbers: bytes) -> bytes:
    """A safetensors file, whose header has the length that it says."""
    return struct.pack("<Q", len(header)) + header + numbers


def mutated_model(header: dict[str, Any], numbers: bytes, rng: random.Random) -> bytes:
    """One with its inner or its outer header changed, or any byte."""
    kind = rng.random()
    if kind < 0.6:
        key = next(iter(header["__metadata__"]))
        text = mutate(header["__metadata__"][key].encode(), rng).decode(errors="replace")
        header = header | {"__metadata__": {key: text}}
    outer = json.dumps(header).encode()
    if 0.6 <= kind < 0.9:
        outer = mutate(outer, rng)
    data = model_file(outer, numbers)
    return mutate(data, rng) if kind >= 0.9 else data


def check_model(data: bytes, path: Any) -> str:
    """Whether a model file is refused or read; what is read can be shown and saved."""
    path.write_bytes(data)
    try:
        model = lstm.Model.load(path)
    except ModelFileError as error:
        assert main(["info", str(path)]) == 2
        return _refused(error)
    assert main(["info", str(path)]) == 0
    assert main(["info", str(path), "--json"]) == 0
    model.save(path)
    lstm.Model.load(path)
    return "read"


@pytest.mark.parametrize("of", ["graph", "model", "layers"])
@pytest.mark.slow
def test_a_file_changed_at_random_is_refused_or_sound(of, tmp_path, capsys):
    path = tmp_path / "file"
    check: Callable[[bytes, Any], str] = check_graph if of == "graph" else check_model
    header, numbers = model_parts(path, **(LAYERS if of == "layers" else {}))
    text = graph_text().encode()
    outcomes = []
    for seed in range(300 if of == "graph" else 200):
        rng = random.Random(seed)
        data = mutate(text, rng) if of == "graph" else mutated_model(header, numbers, rng)
        try:
            outcomes.append(check(data, path))
        except Exception as error:
            raise AssertionError(f"mutant {seed}: {data[:2000]!r}") from error
    capsys.readouterr()
    assert set(outcomes) == {"refused", "read"}


_DIGITS = "9" * 5000


@pytest.mark.parametrize(
    ("before", "after", "why"),
    [
        ('"hidden_size": 3', f'"hidden_size": {_DIGITS}', "its header is not JSON"),
        ('"length": 5', f'"length": {_DIGITS}', "its header is not JSON"),
        ('"length": 5', '"length": "\\ud800"', "half a character"),
        ('"length": 5', '"\\udfff": 5', "half a character"),
        ('"adding"', '"\\ud800"', "half a character"),
        ('"lstm"', '"\\ud800"', "half a character"),
        ('"length": 5', '"length": ' + "[" * 5000 + "]" * 5000, "its header is not JSON"),
    ],
)  # fmt: skip
def test_a_header_that_cannot_be_saved_again_is_refused(before, after, why, tmp_path):
    path = tmp_path / "model"
    header, numbers = model_parts(path)
    ((key, text),) = header["__metadata__"].items()
    assert text.count(before) == 1
    changed = header | {"__metadata__": {key: text.replace(before, after)}}
    path.write_bytes(model_file(json.dumps(changed).encode(), numbers))
    with pytest.raises(ModelFileError, match=why):
        lstm.Model.load(path)


def test_a_graph_of_half_characters_comes_back():
    y = mg.var("\ud800") * 2.0
    assert mg.loads(mg.dumps(y)) is y
