"""Checkpoints: whole or not at all, whatever happens to the process, the disk or the file."""

from __future__ import annotations

import json
import os
import random
import struct
import subprocess
import sys
import zlib
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from test_fuzz_files import model_file, mutate

import lstm
from lstm.errors import CheckpointError, ConfigError
from lstm.store.checkpoint import FORMAT, Checkpoint, read_checkpoint, write_checkpoint
from lstm.tasks import Adding
from lstm.training import Settings, fit, random_streams
from lstm.training.course import Course, Plan, model_in, plan_in, settings_in
from lstm.training.streams import check_stream, put_stream, stream_values

TASK = Adding(length=5)


def model_of():
    return lstm.Model.create(lstm.RNN(2, 3), 1, random_streams(0).params)


def saved(path: Any, steps: int = 3) -> Any:
    fit(model_of(), TASK, Settings(steps=steps, batch=2), validate=2, out=path)
    return path


# --- random streams -------------------------------------------------------------------------------


def test_a_stream_goes_on_where_it_was_in_the_middle_of_a_word():
    """Drawing a float32 leaves half of 64 bits for the next."""
    rng = np.random.default_rng(5)
    rng.random(3, np.float32)
    values = json.loads(json.dumps(stream_values(rng)))
    assert values["has_uint32"] == 1
    expected = rng.random(4, np.float32), rng.random(), rng.integers(0, 9, 5)
    other = np.random.default_rng(6)
    put_stream(other, values)
    for a, b in zip(
        expected,
        (other.random(4, np.float32), other.random(), other.integers(0, 9, 5)),
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)


def test_streams_of_other_kinds_are_refused():
    with pytest.raises(ConfigError, match="a stream of MT19937 cannot be saved"):
        stream_values(np.random.Generator(np.random.MT19937(0)))


@pytest.mark.parametrize(
    "change",
    [
        lambda v: v.update(bit_generator="Philox"),
        lambda v: v.update(bit_generator=["PCG64"]),
        lambda v: v.update(extra=1),
        lambda v: v.pop("uinteger"),
        lambda v: v.update(state=5),
        lambda v: v["state"].update(state=-1),
        lambda v: v["state"].update(state=1 << 128),
        lambda v: v["state"].update(state=1.0),
        lambda v: v["state"].update(inc=2),
        lambda v: v["state"].update(more=1),
        lambda v: v["state"].pop("inc"),
        lambda v: v.update(has_uint32=2),
        lambda v: v.update(has_uint32=True),
        lambda v: v.update(uinteger=1 << 32),
        lambda v: v.update(uinteger="7"),
    ],
)
def test_what_is_no_state_of_a_stream_is_refused(change):
    values = stream_values(np.random.default_rng(0))
    check_stream(values)
    change(values)
    with pytest.raises(ConfigError, match="is no state of a random generator"):
        check_stream(values)
    for other in (None, [], "PCG64", 0):
        with pytest.raises(ConfigError):
            check_stream(other)


# --- files ----------------------------------------------------------------------------------------


def test_a_checkpoint_comes_back_as_it_was(tmp_path):
    arrays: dict[str, Any] = {
        "a.b": np.array([[1.5, -0.0], [np.nan, np.inf]], np.float32),
        "key": np.array([1, 2**64 - 1], np.uint64),
        "count": np.array(3.0),
        "none": np.zeros((0, 2)),
    }
    parts: dict[str, Any] = {
        "model": {"x": 2**127},
        "task": {},
        "settings": {},
        "streams": {},
        "run": {"∂": "L"},
    }
    write_checkpoint(tmp_path / "c", Checkpoint(arrays, parts))
    found = read_checkpoint(tmp_path / "c")
    assert found.about == parts
    assert found.arrays.keys() == arrays.keys()
    for name, value in arrays.items():
        assert found.arrays[name].dtype == value.dtype
        assert found.arrays[name].tobytes() == value.tobytes()


@pytest.mark.parametrize("number", ["1e999", "-1e999", "NaN", "Infinity", "-Infinity"])
def test_numbers_that_json_lacks_are_refused(tmp_path, number):
    header, numbers = parts_of(saved(tmp_path / "c"))
    meta = header["__metadata__"]
    meta[FORMAT] = meta[FORMAT].replace('"rate": 0.03', f'"rate": {number}')
    meta["crc32"] = sum_of(meta[FORMAT], header, numbers)
    (tmp_path / "c").write_bytes(model_file(json.dumps(header).encode(), numbers))
    with pytest.raises(CheckpointError, match="its header is not JSON"):
        read_checkpoint(tmp_path / "c")


def parts_of(path: Any) -> tuple[dict[str, Any], bytes]:
    data = path.read_bytes()
    (size,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8 : 8 + size]), data[8 + size :]


def test_a_changed_bit_is_seen(tmp_path):
    path = saved(tmp_path / "c")
    data = path.read_bytes()
    rng = random.Random(0)
    for _ in range(40):
        at = rng.randrange(len(data))
        path.write_bytes(data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :])
        with pytest.raises(CheckpointError):
            read_checkpoint(path)
    for end in (0, 1, 8, 100, len(data) - 1):
        path.write_bytes(data[:end])
        with pytest.raises(CheckpointError):
            read_checkpoint(path)


def test_files_of_other_kinds_say_what_they_are(tmp_path):
    model_of().save(tmp_path / "model")
    (tmp_path / "empty").touch()
    (tmp_path / "torch").write_bytes(b"PK\3\4")
    for name, why in {
        "absent": "No such file",
        ".": "Is a directory",
        "model": "no checkpoint of lstm",
        "empty": "it is empty",
        "torch": "zip archive",
    }.items():
        with pytest.raises(CheckpointError, match=f"cannot resume from .*{why}"):
            read_checkpoint(tmp_path / name)
    with pytest.raises(CheckpointError, match="no file can be called so"):
        read_checkpoint("a\0b")


def sum_of(text: str, header: dict[str, Any], numbers: bytes) -> str:
    """The checksum that a writer of this file would have written, by the format's description."""
    dtypes = {"F32": "float32", "F64": "float64", "U64": "uint64", "I64": "int64", "BOOL": "bool"}
    total = zlib.crc32(text.encode(errors="surrogatepass"))
    for name in sorted(k for k in header if k != "__metadata__"):
        said = header[name]
        begin, end = said["data_offsets"]
        shape = tuple(said["shape"])
        total = zlib.crc32(f"{name} {dtypes[said['dtype']]} {shape}".encode(), total)
        total = zlib.crc32(numbers[begin:end], total)
    return f"{total:08x}"


def mutant(header: dict[str, Any], numbers: bytes, rng: random.Random) -> bytes:
    """A file with its inner or its outer header changed, most with the checksum that fits."""
    kind, meta = rng.random(), dict(header["__metadata__"])
    header = json.loads(json.dumps(header))
    if kind < 0.7:
        meta[FORMAT] = mutate(meta[FORMAT].encode(), rng).decode(errors="replace")
    elif kind < 0.8:
        name = rng.choice([k for k in header if k != "__metadata__"])
        other = rng.choice(["x", "", "best.W", "count", "params." + "y" * 500, "carried.h"])
        header[other] = header.pop(name)
    elif kind < 0.9:
        at = rng.randrange(len(numbers))
        numbers = numbers[:at] + rng.randbytes(8) + numbers[at + 8 :]
    with suppress(KeyError, TypeError, UnicodeError):
        meta["crc32"] = sum_of(meta[FORMAT], header, numbers)
    header["__metadata__"] = meta
    outer = json.dumps(header).encode()
    return model_file(mutate(outer, rng) if kind >= 0.9 else outer, numbers)


@pytest.fixture(scope="module")
def course():
    plan = Plan(validate=2, patience=None, own_optimizer=False)
    return Course(model_of(), TASK, Settings(steps=3, batch=2), plan, None)


def outcome(data: bytes, path: Any, course: Course) -> str:
    """Whether a file is refused by a documented error or taken; other errors are the test's."""
    path.write_bytes(data)
    before, streams = course.state.arrays(), course.state.streams_values()
    try:
        checkpoint = read_checkpoint(path)
        settings_in(checkpoint)
        plan_in(checkpoint)
        with suppress(ConfigError):
            model_in(checkpoint)
        course.resume(checkpoint)
    except (CheckpointError, ConfigError) as error:  # `fit` says where it was for the second
        message = str(error)
    else:
        write_checkpoint(path, course.checkpoint())  # what was taken can be saved
        return "taken"
    assert "\n" not in message
    assert len(message) < 600
    after = course.state.arrays()
    assert all(np.array_equal(v, after[n], equal_nan=True) for n, v in before.items())
    assert course.state.streams_values() == streams
    return "refused"


def fuzz(path: Any, course: Course, seeds: range) -> set[str]:
    header, numbers = parts_of(saved(path))
    outcomes = set()
    for seed in seeds:
        data = mutant(header, numbers, random.Random(seed))
        try:
            outcomes.add(outcome(data, path, course))
        except Exception as error:
            raise AssertionError(f"mutant {seed}: {data[:3000]!r}") from error
    return outcomes


def test_a_file_changed_at_random_is_refused_or_sound(tmp_path, course):
    assert fuzz(tmp_path / "c", course, range(1000)) == {"refused", "taken"}


# --- the process, the disk ------------------------------------------------------------------------

KILLED = """
import os, random, signal, sys, time
import lstm
from lstm.store.checkpoint import read_checkpoint

path, kills = sys.argv[1], int(sys.argv[2])
settings = lstm.Settings(steps=10**6, batch=2, schedule="constant", rate=0.001)

def run(path, callback):
    model = lstm.Model.create(lstm.RNN(2, 3), 1, 0)
    resume = path is not None and os.path.exists(path)
    lstm.fit(model, lstm.Adding(5), None if resume else settings, validate=0, out=path,
             save_every=path and 1, resume=resume, callback=callback)
    return model

def steps():
    return int(read_checkpoint(path).arrays["count"]) if os.path.exists(path) else 0

compiled = lstm.training.fitting._course(  # children find it done
    lstm.Model.create(lstm.RNN(2, 3), 1, 0), lstm.Adding(5), settings, None, 0, None, None, None,
    "auto",
)
rng, before = random.Random(0), 0
for _ in range(kills):
    ready, saved = os.pipe()
    child = os.fork()
    if child == 0:
        run(path, lambda progress: os.write(saved, b"!") != 1)  # a step, and it is saved
    os.close(saved)
    waited = sum(len(os.read(ready, 1)) for _ in range(rng.randrange(5)))
    time.sleep(rng.random() * 0.02)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(ready)
    after = steps()  # whole, each time
    assert after >= before + waited, (after, before, waited)
    before = after
last = before + 3
resumed, never_stopped = (run(p, lambda progress: progress.step == last) for p in (path, None))
for name, p in never_stopped.flat_params.items():
    assert (resumed.flat_params[name].value == p.value).all(), name
print(before)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="takes POSIX's fork")
@pytest.mark.slow
def test_killed_at_any_moment_it_resumes_from_a_whole_checkpoint(tmp_path):
    command = [sys.executable, "-c", KILLED, str(tmp_path / "c"), "25"]
    env = os.environ | {"MINIGRAD_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 25
    left = [name for name in os.listdir(tmp_path) if name != "c"]
    assert all(name.endswith(".part") for name in left)
