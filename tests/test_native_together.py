"""What runs side by side within one call: who computes it changes nothing, none waits in vain."""

import ctypes
import gc
import os
import subprocess
import threading
import time
import weakref
from contextlib import contextmanager

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from workers import called_wrong, command, run_program, share_all

import minigrad as mg

pytest.importorskip("llvmlite", reason="the native backend needs llvmlite")
from minigrad.compile.backends.native import team, together
from minigrad.compile.backends.native.memory import aligned
from minigrad.compile.backends.native.stages import schedule


@pytest.fixture
def eager(monkeypatch):
    """Everything that can run side by side does, however small."""
    share_all(monkeypatch)


def two_ways(T=12, B=4, H=8, *, layers=2):
    """Both directions of a net, two layers high: inputs, outputs with gradients, values."""
    rng = np.random.default_rng(0)
    xs = mg.var("xs", (T, B, H))
    ws = [mg.var(f"w{k}", ((1 if k < 2 else 2) * H + H, H)) for k in range(2 * layers)]
    reads = xs
    for k in range(layers):
        ways = []
        for w, reverse in zip(ws[2 * k : 2 * k + 2], (False, True), strict=True):
            step = lambda h, x, w=w: (y := mg.tanh(mg.concat([h, x], axis=1) @ w), y)  # noqa: E731
            ways.append(mg.scan(step, mg.zeros((B, H)), reads, reverse=reverse)[1])
        reads = mg.concat(ways, axis=2)
    loss = mg.sum(mg.square(reads))
    inputs = [xs, *ws]
    values = [0.5 * rng.standard_normal(v.shape) for v in inputs]
    return inputs, [loss, *mg.grad(loss, inputs)], values


def parts(f, threads=2):
    """How many stages run beside others, or are cut, in the blocks of a function."""
    blocks = [s.node.attrs[0] for s in f.plan.steps if s.node.op.name == "block"]
    plans = [together.side_by_side(schedule(b.outputs), threads) for b in blocks]
    return [sorted(p.together.values()) for p in plans]


@contextmanager
def no_helpers():
    """Programs find none, though all that they call for are there."""
    team.call_helpers(4)
    root, team._root[0] = team._root[0], None
    try:
        yield
    finally:
        team._root[0] = root


@pytest.mark.parametrize("threads", [2, 3, 5])
def test_helpers_change_no_bit(eager, threads):
    inputs, outputs, values = two_ways()
    one, more = (mg.function(inputs, outputs, backend="native", threads=n) for n in (1, threads))
    (sizes,) = parts(more, threads)
    assert max(sizes) >= 2 and len(sizes) >= 4  # forward and back, in both layers
    assert f"1 × block, in {threads} threads" in more.report()
    assert "threads" not in one.report()
    with no_helpers():
        expected = more(*values)
    for a, b in zip(one(*values), expected, strict=True):
        assert_allclose(a, b, rtol=1e-12, atol=1e-13)
    for _ in range(200):
        for a, b in zip(more(*values), expected, strict=True):
            assert_array_equal(a, b)
    for a, b in zip(expected, mg.function(inputs, outputs, backend="numpy")(*values), strict=True):
        assert_allclose(a, b, rtol=1e-10, atol=1e-12)


def test_what_is_small_is_left_alone():
    inputs, outputs, _ = two_ways()
    f = mg.function(inputs, outputs, backend="native", threads=2)
    assert parts(f) == [[]]
    assert "threads" not in f.report()


def test_what_waits_for_another_is_not_beside_it(eager):
    x = mg.var("x", (8, 8))
    first, _ = mg.scan(lambda c, _: (mg.tanh(c.T), None), x, length=3)
    second, _ = mg.scan(lambda c, _: (mg.tanh(c.T + 1), None), first * 2, length=3)
    third, _ = mg.scan(lambda c, _: (mg.tanh(c.T + 2), None), second[::-1] + x, length=3)
    f = mg.function([x], [first, third], backend="native", threads=2)
    assert parts(f) == [[]]
    a = np.random.default_rng(1).standard_normal((8, 8))
    for u, v in zip(f(a), mg.function([x], [first, third], backend="numpy")(a), strict=True):
        assert_allclose(u, v, rtol=1e-12)


@pytest.mark.parametrize(("m", "n"), [(48, 128), (48, 200), (256, 256), (128, 48), (330, 70)])
@pytest.mark.parametrize("turned", [False, True])
def test_a_product_that_is_alone_is_cut(eager, m, n, turned):
    rng = np.random.default_rng(2)
    a, b = (mg.var("a", (40, m)), mg.var("b", (n, 40))) if turned else (
        mg.var("a", (m, 40)), mg.var("b", (40, n)))  # fmt: skip
    product = a.T @ b.T if turned else a @ b
    outputs = [mg.exp(product / 8), mg.concat([product, product], axis=0)]
    f = mg.function([a, b], outputs, backend="native", threads=3)
    assert parts(f, 3) == [[1]]
    assert f"in {min(3, -(-max(m, n) // 64))} threads" in f.report()
    values = [rng.standard_normal(v.shape) for v in (a, b)]
    reference = mg.function([a, b], outputs, backend="numpy")
    for u, v in zip(f(*values), reference(*values), strict=True):
        assert_allclose(u, v, rtol=1e-12, atol=1e-13)


def test_where_there_can_be_no_helpers_none_is_called(eager, monkeypatch):
    inputs, outputs, _ = two_ways(T=3, B=3, H=3)
    monkeypatch.setattr(together, "can_help", False)
    assert "threads" not in mg.function(inputs, outputs, backend="native", threads=3).report()


@pytest.mark.parametrize("where", [0, 1, "both", "none"])
def test_an_index_out_of_range_is_seen_in_every_part(eager, where):
    table, n = mg.var("table", (6, 4)), mg.var("n", (2, 5), "int64")
    ends = []
    for k in range(2):
        step = lambda c, i: (mg.tanh(c + table[i]), None)  # noqa: E731
        ends.append(mg.scan(step, mg.zeros(4), n[k], reverse=bool(k))[0])
    f = mg.function(
        [table, n], ends, backend="native", threads=2, without=["compute before the loop"]
    )
    assert parts(f) == [[2]]
    at = np.zeros((2, 5), np.int64)
    if where != "none":
        at[:, 3] = [6 if where in (k, "both") else 0 for k in range(2)]
    for _ in range(20):
        if where == "none":
            f(np.ones((6, 4)), at)
        else:
            with pytest.raises(IndexError):
                f(np.ones((6, 4)), at)


JOBS = 24


def a_job():
    """What programs call of the team, with helpers there, and memory for a job."""
    team.call_helpers(2)
    code = team.functions().code
    calls = [
        code.function(f"minigrad_{name}", n)
        for name, n in {"begin": 4, "together": 2, "finish": 1}.items()
    ]
    calls[0].block, job = aligned(team.JOB)
    return *calls, job


def test_what_a_helper_has_begun_is_waited_for():
    """Parts that take a while: all are done, each once, when `together` is over, not before."""
    ran, rounds_helped = [], 0

    @ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)
    def run(job, k):
        mine = threading.current_thread() is here
        time.sleep(0.0005 if mine else 0.002)
        ran.append((k, mine))

    here = threading.current_thread()
    begin, meet, finish, job = a_job()
    for _ in range(500):  # a helper that gets no CPU for a millisecond leaves
        ran.clear()
        begin(job, ctypes.cast(run, ctypes.c_void_p), JOBS, 2)
        for end in (JOBS // 3, JOBS // 3, JOBS):
            meet(job, end)
            assert sorted(k for k, _ in ran) == list(range(end))
        finish(job)
        assert len(ran) == JOBS
        rounds_helped += not all(mine for _, mine in ran)
        if rounds_helped == 3:
            return
    pytest.fail("no helper came")


def test_helpers_come_back_after_a_long_pause():
    """Between two loops a program may do for milliseconds what nobody can help with."""
    ran = []

    @ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)
    def run(job, k):
        time.sleep(0.002)
        ran.append(threading.current_thread())

    begin, meet, finish, job = a_job()
    for _ in range(20):
        ran.clear()
        begin(job, ctypes.cast(run, ctypes.c_void_p), JOBS, 2)
        meet(job, JOBS // 2)
        time.sleep(0.05)
        meet(job, JOBS)
        finish(job)
        assert len(ran) == JOBS
        if len(set(ran[JOBS // 2 :])) == 3:
            return
    pytest.fail("no helper came back")


def test_what_programs_call_is_kept_for_good(monkeypatch):
    """Two threads that compile first make it twice, and programs of both go on calling theirs."""
    made, compile_module = [], team.compile_module

    def compiled(text):
        made.append(weakref.ref(code := compile_module(text)))
        return code

    monkeypatch.setattr(team, "compile_module", compiled)
    for _ in range(2):
        team.functions.__wrapped__()
    gc.collect()
    assert [code() is None for code in made] == [False, False]


def test_many_threads_call_one_function(eager):
    inputs, outputs, values = two_ways()
    f = mg.function(inputs, outputs, backend="native", threads=4)
    batches = [[v * k for v in values] for k in (1.0, 0.5, 0.25, 2.0, 1.5, 3.0, 0.1, 0.7)]
    assert called_wrong(f, batches, times=60) == []


@pytest.mark.parametrize("fails", ["pipe", "thread"])
def test_where_no_helper_can_be_had_there_is_none(fails, monkeypatch):
    def none(*_):
        raise OSError if fails == "pipe" else RuntimeError("can't start new thread")

    monkeypatch.setattr(*((os, "pipe") if fails == "pipe" else (threading.Thread, "start")), none)
    before = len(os.listdir("/dev/fd")) if os.path.isdir("/dev/fd") else 0
    count = len(team._boxes)
    team.call_helpers(count + 1)
    assert len(team._boxes) == count
    assert before == (len(os.listdir("/dev/fd")) if before else 0)


# One helper computes while another process is forked from each of many threads that call.
FORKS = """
import threading, time
import numpy as np
import pytest
import test_native_together as t
import minigrad as mg
from workers import fork, share_all

share_all(pytest.MonkeyPatch())
inputs, outputs, values = t.two_ways()
f = mg.function(inputs, outputs, backend="native", threads=3)
expected = f(*values)
same = lambda: all(np.array_equal(a, b) for a, b in zip(f(*values), expected))
done = False


def forever():
    while not done:
        assert same()


threads = [threading.Thread(target=forever, daemon=True) for _ in range(3)]
for thread in threads:
    thread.start()
try:
    for n in range(25):
        time.sleep(0.003 * (n % 5))
        fork(lambda: all(same() for _ in range(20)) and len(t.team._boxes) == 2)
finally:
    done = True
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
@pytest.mark.slow
def test_children_have_helpers_of_their_own():
    run_program(FORKS)


def test_an_interrupted_program_ends_at_once():
    """Ctrl-C in a long run of calls: the process ends, helpers or not."""
    program = FORKS.partition("done = False")[0] + (
        "print('ready', flush=True)\nwhile True:\n    assert same()\n"
    )
    ran = subprocess.Popen(
        command(program), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert ran.stdout.readline() == "ready\n"
        for _ in range(50):  # one that is met in a finaliser is only noted there
            time.sleep(0.2)
            ran.send_signal(2)
            if ran.poll() is not None:
                break
    finally:
        ran.kill()  # where it has not ended it would go on for ever
        _, said = ran.communicate(timeout=30)
    assert "KeyboardInterrupt" in said
    assert ran.returncode == -2
