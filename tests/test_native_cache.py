"""Machine code kept on the disk: nothing is compiled twice, and nothing is run that is not ours."""

from __future__ import annotations

import os
import stat
import subprocess
import sys

import numpy as np
import pytest
from workers import command

import minigrad as mg

pytest.importorskip("llvmlite", reason="the native backend needs llvmlite")

from minigrad.compile.backends.native import cache, jit, program
from minigrad.compile.backends.native.backend import keep
from minigrad.compile.backends.native.jit import Effort
from minigrad.loop.body import Body, body_var
from minigrad.loop.node import BLOCK

pytestmark = pytest.mark.skipif(
    not hasattr(os, "getuid"), reason="files have no owners on this system"
)

# A loop and its gradient in two threads, and a net of scalars that is interpreted: how many modules
# were compiled, and the bits of the results.
PROGRAM = """
import hashlib
import numpy as np
import pytest
import minigrad as mg
from minigrad.compile.backends.native import jit
from workers import share_all

made = []
compiled = jit._compiled
jit._compiled = lambda *a: made.append(a) or compiled(*a)
with pytest.MonkeyPatch.context() as patch:
    share_all(patch)
    xs, w = mg.var("xs", (20, 4, 3)), mg.var("w", (3, 3))
    last, _ = mg.scan(lambda c, x: (mg.tanh(c @ w + x), None), mg.zeros((4, 3)), xs)
    loss = mg.sum(last)
    f = mg.function([xs, w], [loss, mg.grad(loss, w)], backend="native", threads=2)
    assert "2 threads" in str(f.report())
    rng = np.random.default_rng(0)
    results = f(rng.standard_normal((20, 4, 3)), rng.standard_normal((3, 3)))
x = y = mg.var("x")
for k in range(300):
    y = mg.sin(y * x) + k
g = mg.function([x], [y, mg.grad(y, x)], backend="native")
assert "interpreted" in str(g.report())
bits = b"".join(np.asarray(r).tobytes() for r in [*results, *g(0.3)])
print(len(made), hashlib.sha256(bits).hexdigest())
"""


def run(**environment):
    """(modules compiled, a hash of the results) of a process."""
    ran = subprocess.run(
        command(PROGRAM), capture_output=True, text=True, timeout=120, check=False,
        env={**{k: v for k, v in os.environ.items() if k != "MINIGRAD_CACHE"}, **environment},
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    made, bits = ran.stdout.split()
    return int(made), bits


@pytest.mark.slow
def test_the_second_process_compiles_nothing(tmp_path):
    place = tmp_path / "new" / "folder"
    alone, bits = run()
    assert run(MINIGRAD_CACHE=str(place)) == (alone, bits)
    assert alone >= 4 and len(list(place.iterdir())) == alone
    assert run(MINIGRAD_CACHE=str(place)) == (0, bits)
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    assert {stat.S_IMODE(f.stat().st_mode) for f in place.iterdir()} == {0o600}


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder for entries."""
    folder = tmp_path / "code"
    folder.mkdir(mode=0o755)
    monkeypatch.setenv("MINIGRAD_CACHE", str(folder))
    return folder


TEXT = """
define void @scale(ptr %at) {
  %value = load double, ptr %at
  %more = fmul double %value, FACTOR
  store double %more, ptr %at
  ret void
}
"""


def scale(factor=2.0, **options):
    """Three, multiplied in machine code."""
    text = jit.module_text(TEXT, {"FACTOR": factor})
    function = jit.compile_module(text, **options).function("scale", 1)
    x = np.array([3.0])
    function(x.ctypes.data)
    return x[0]


def a_link(path, elsewhere):
    path.rename(elsewhere)
    path.symlink_to(elsewhere)


def a_folder(path, _):
    path.unlink()
    path.mkdir()


def a_pipe(path, _):
    path.unlink()
    os.mkfifo(path)


def anothers(path, _):
    scale(5.0)
    (other,) = {*path.parent.iterdir()} - {path}
    path.write_bytes(other.read_bytes())


SPOILT = {
    "empty": lambda path, _: path.write_bytes(b""),
    "cut short": lambda path, _: path.write_bytes(path.read_bytes()[:-1]),
    "cut to its checksum": lambda path, _: path.write_bytes(path.read_bytes()[:32]),
    "longer": lambda path, _: path.write_bytes(path.read_bytes() + b"\0"),
    "one bit": lambda path, _: path.write_bytes(path.read_bytes()[:-9] + b"!" * 9),
    "its seconds": lambda path, _: path.write_bytes(
        path.read_bytes()[:32] + b"\xff" * 8 + path.read_bytes()[40:]
    ),
    "foreign": lambda path, _: path.write_bytes(b"\x7fELF" + bytes(4096)),
    "another's": anothers,
    "others may write": lambda path, _: path.chmod(0o620),
    "a link": a_link,
    "a folder": a_folder,
    "a pipe": a_pipe,
}


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT)
def test_what_is_not_whole_or_not_ours_is_ignored(place, llvm_modules, tmp_path, spoil):
    assert scale() == 6.0
    (entry,) = place.iterdir()
    assert scale() == 6.0
    assert len(llvm_modules) == 1
    spoil(entry, tmp_path / "elsewhere")
    llvm_modules.clear()
    assert scale() == 6.0
    assert len(llvm_modules) == 1
    assert scale() == 6.0
    assert len(llvm_modules) == 1 + entry.is_dir()  # else it is whole again


def test_a_key_says_all_that_the_code_depends_on(place, llvm_modules, monkeypatch):
    host = jit.host()
    other_cpu = jit.Cpu(host.name, host.features + ",-avx512f", 32, 16)
    scale()
    for options in ({"factor": 4.0}, {"effort": Effort.QUICK}, {"cpu": other_cpu}):
        scale(**options)
    for package in (mg, sys.modules["llvmlite"]):
        with monkeypatch.context() as patch:
            patch.setattr(package, "__version__", "0.0.1")
            scale()
    assert len(llvm_modules) == len(list(place.iterdir())) == 6
    assert len({cache.key_of("ab", "c"), cache.key_of("a", "bc"), cache.key_of("abc")}) == 3


def test_what_was_compiled_with_care_is_there_at_once(place, llvm_modules):
    def looped():
        keep.cache_clear()
        xs = mg.var("xs", (7, 2))
        last, _ = mg.scan(lambda c, x: (mg.tanh(c + x), None), mg.zeros(2), xs)
        f = mg.function([xs], last, backend="native", threads=1)
        (block,) = [s.node for s in f.plan.steps if s.node.op is BLOCK]
        return block.attrs[0].derived["native", 1]

    code = looped()
    assert code._ahead == [[Effort.PLAIN, Effort.FULL]]
    assert [effort for _, effort in llvm_modules] == [Effort.QUICK] * 2  # the program and its loop
    code._compile(Effort.PLAIN)
    assert [effort for _, effort in llvm_modules] == [Effort.QUICK] * 2 + [Effort.PLAIN] * 2
    del code
    code = looped()
    assert code._ahead == [[Effort.FULL]]
    assert len(llvm_modules) == 4


def test_kept_code_runs_for_longer_before_it_is_compiled_with_care(place):
    text = jit.module_text(TEXT, {"FACTOR": 7.0})
    first, second = jit.compile_module(text), jit.compile_module(text)
    assert (first.was_kept, second.was_kept) == (False, True)
    assert first.seconds == second.seconds > 0
    body = Body([x := body_var(0, "const", mg.var("x", (3,)).type)], [mg.tanh(x)], 0, 0)
    patience = [program.Compiled(body)._patience for _ in range(2)]
    assert patience[1] == program.KEPT * patience[0] > 0


def test_the_entries_used_last_stay(place, llvm_modules, monkeypatch):
    (place / "notes.txt").write_bytes(bytes(100_000))
    part = place / f".{'0' * 16}.part"  # of a writer that was killed
    part.write_bytes(bytes(100))
    os.utime(part, (1e8, 1e8))
    for k in range(4):
        scale(float(k))
    sizes = {f.stat().st_size for f in place.glob("*.code")}
    for age, f in enumerate(sorted(place.glob("*.code"), key=lambda f: f.stat().st_mtime_ns)):
        os.utime(f, (1e9 + age, 1e9 + age))
    scale(0.0)  # the oldest is used
    monkeypatch.setattr(cache, "MOST_BYTES", 3 * max(sizes) + 10)
    scale(4.0)
    assert len(list(place.glob("*.code"))) == 3 and not part.exists()
    llvm_modules.clear()
    for k in (0, 3, 4):
        scale(float(k))
    assert llvm_modules == []
    scale(1.0)
    assert len(llvm_modules) == 1
    assert (place / "notes.txt").exists()


def test_a_full_disk_is_no_error(place, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache.atomic, "write", full)
    assert scale() == 6.0
    assert list(place.iterdir()) == []


def owned_by_another(folder, monkeypatch):
    if os.getuid() == 0:
        os.chown(folder, 12345, -1)
    else:
        monkeypatch.setattr(cache.os, "getuid", lambda: 12345)


REFUSED = {
    "all may write": (lambda p, _: p.chmod(0o777), "others may write to '.*code'.*chmod go-w"),
    "a group may write": (lambda p, _: p.chmod(0o770), "others may write to '.*code'"),
    "the folder around": (lambda p, _: p.parent.chmod(0o777), "others may write to"),
    "another's": (owned_by_another, "others may write to"),
    "a file": (lambda p, _: (p.rmdir(), p.write_bytes(b"")), "no folder '.*code' can be had"),
}


@pytest.mark.parametrize(("change", "words"), REFUSED.values(), ids=REFUSED)
def test_a_folder_of_others_is_refused(place, monkeypatch, change, words):
    change(place, monkeypatch)
    with pytest.raises(mg.GraphError, match=f"MINIGRAD_CACHE.*{words}"):
        scale()
    place.parent.chmod(0o700)


def test_a_folder_in_one_where_each_may_change_only_what_is_his(place):
    place.parent.chmod(0o1777)  # as /tmp is
    assert scale() == 6.0
    assert len(list(place.iterdir())) == 1
    place.parent.chmod(0o700)


def test_without_the_setting_nothing_is_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("MINIGRAD_CACHE", "")
    monkeypatch.chdir(tmp_path)
    assert scale() == 6.0
    assert list(tmp_path.iterdir()) == []
