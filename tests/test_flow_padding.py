"""`lstm flow` and its pictures of padded batches, of zoneout, and of losses at every step; what the
command says of a checkpoint, and of a message of several lines."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

import lstm
import minigrad as mg
from lstm.cli import main
from lstm.errors import ConfigError, TrainingError
from lstm.figures import cell_unrolled, compare_flows, write_flow
from lstm.gradient_flow.words import EVERY, SHORTER

pytestmark = pytest.mark.usefixtures("by_numpy")

T, B, LENGTHS = 6, 3, [6, 2, 4]
MASK = np.arange(T)[:, None] < np.array(LENGTHS)

TASK_FILE = '''
from dataclasses import dataclass
import numpy as np
import lstm

@dataclass(frozen=True)
class Short(lstm.Task):
    """Sequences of 1 to 3 steps, in a batch of 6."""

    name = "short"
    summary = "the first number"
    input_size = 2
    output_size = 1
    target_dtype = "float32"
    padding = "PADDING"
    baseline = 1.0
    criterion = "all right"

    @property
    def steps(self): return 6
    def target_shape(self, batch): return (batch, 1)
    def batch(self, rng, size):
        lengths = rng.integers(1, 4, size)
        mask = np.arange(6)[:, None] < lengths
        xs = rng.random((6, size, 2)).astype(np.float32)
        ends = lengths if self.padding == "lengths" else mask
        return lstm.PaddedBatch(xs + 9 * ~mask[:, :, None], xs[0, :, :1], ends)
    def loss(self, prediction, target): return lstm.mse(prediction, target)
    def correct(self, prediction, target): return np.abs(prediction - target)[:, 0] < 0.1
    def solved(self, prediction, target): return False
'''


def _data(dtype: str = "float64") -> tuple[Any, Any]:
    rng = np.random.default_rng(1)
    return rng.standard_normal((T, B, 2)).astype(dtype), rng.standard_normal((B, 1)).astype(dtype)


def _model(cell: Any = lstm.LSTM, **options: Any) -> lstm.Model:
    return lstm.Model.create(cell(2, 4, "float64"), 1, 2, **options)


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("padding", ["lengths", "mask"])
def test_the_command_leaves_out_the_padding_of_a_task(padding, tmp_path, capsys) -> None:
    file = tmp_path / f"short_{padding}.py"
    file.write_text(TASK_FILE.replace("PADDING", padding))
    path, out = tmp_path / "m.safetensors", tmp_path / "out"
    lstm.Model.create(lstm.LSTM(2, 3), 1, 0, {"name": "short", "settings": {}}).save(path)
    args = ["flow", str(path), "--task", f"{file}:Short", "--out", str(out), "--json"]
    assert main(args) == 0, capsys.readouterr().err
    flow = json.loads(capsys.readouterr().out)["flow"]
    assert flow["steps"] == 3  # all is padding after
    assert json.loads((out / "flow.json").read_text()) == flow
    assert len(flow["series"]["h"]["norms"]) == 3


@pytest.mark.parametrize("ends", [{"lengths": LENGTHS}, {"mask": MASK}])
@pytest.mark.parametrize("cell", [lstm.RNN, lstm.LSTM, lstm.GRU])
def test_the_drawn_cell_does_not_see_what_is_padding(cell, ends) -> None:
    (xs, ys), model = _data(), _model(cell)
    other = np.where(MASK[:, :, None], xs, 0.0)
    drawn = cell_unrolled(model, other, ys, **ends)
    run = model.run(other[:3], mask=MASK[:3]).output
    loss = float(lstm.mse(run, mg.const(ys)).eval())
    assert f"{loss:.12f}"[:10] in drawn.dot
    whole = float(lstm.mse(model.output(other[:3]), mg.const(ys)).eval())
    assert f"{whole:.12f}"[:10] not in drawn.dot


def test_gates_are_summed_up_without_what_is_padding() -> None:
    (xs, ys), model = _data(), _model()
    biases = model.params["layer1"]
    for name, open_at in (("b_f", 6.0), ("b_i", -6.0)):  # in padding too
        biases[name].value = np.full(4, open_at)
    flow = lstm.flow(model, xs, ys, lengths=LENGTHS)
    for symbol, gate in flow.gates.items():
        rows = [step[here] for step, here in zip(flow.values[symbol], MASK, strict=True)]
        np.testing.assert_allclose(gate.mean, [row.mean() for row in rows], rtol=1e-12)
        np.testing.assert_allclose(gate.low, [row.min() for row in rows], rtol=1e-12)
        np.testing.assert_allclose(gate.high, [row.max() for row in rows], rtol=1e-12)
    assert flow.gates["f"].open == flow.gates["i"].closed == 1.0
    assert flow.gates["f"].closed == flow.gates["i"].open == 0.0


def test_a_cell_drawn_without_padding_in_its_steps_is_placed_as_one_without_lengths() -> None:
    (xs, ys), model = _data(), _model()
    drawn = cell_unrolled(model, xs, ys, 2, lengths=LENGTHS)
    assert drawn.dot == cell_unrolled(model, xs, ys, 2).dot
    assert drawn.picture.is_placed


@pytest.mark.parametrize(
    "mask", [MASK[:3], MASK[:, :2], np.ones((T, B)), np.ones((T + 1, B), bool)]
)
def test_a_mask_that_does_not_fit_is_refused(mask) -> None:
    for draw in (cell_unrolled, lstm.flow):
        with pytest.raises(ConfigError, match="mask must be"):
            draw(_model(), *_data(), mask=mask)


@pytest.mark.usefixtures("vectors")
@pytest.mark.parametrize(
    ("cell", "ends"),
    [(lstm.RNN, {}), (lstm.LSTM, {}), (lstm.GRU, {"lengths": LENGTHS}),
     (lstm.PeepholeLSTM, {"lengths": LENGTHS})],
)  # fmt: skip
@pytest.mark.slow
def test_models_with_zoneout_are_written(cell, ends, tmp_path) -> None:
    assert write_flow(tmp_path, _model(cell, zoneout=0.1), *_data(), **ends)


def test_with_zoneout_the_line_starts_at_what_the_last_step_computes() -> None:
    zoneout, (xs, ys) = 0.25, _data()
    model = _model(zoneout=zoneout)
    values = model.unroll(mg.const(xs))
    f = [v["f"].eval() for v in values.values]
    loss = lstm.mse(values.output, mg.const(ys))
    traced = lstm.flow(model, xs, ys)
    expected = mg.grad(loss, values.values[-1]["C"]).eval() * f[-1]
    for t in range(T - 2, -1, -1):
        np.testing.assert_allclose(traced.line[t], expected, rtol=1e-10)
        expected = expected * (zoneout + (1 - zoneout) * f[t])
    np.testing.assert_allclose(
        traced.line + traced.around, traced.adjoints["C"], rtol=1e-9, atol=1e-15
    )


@pytest.mark.parametrize("read", ["last", "every"])
def test_losses_of_every_step_are_told_once(read) -> None:
    xs, ys = _data()
    ys = np.zeros((T, B, 1)) if read == "every" else ys
    flow = lstm.flow(_model(readout=read), xs, ys, lstm.mse)
    assert flow.diagnosis.count(EVERY) == (read == "every")
    assert (flow.split.entered is not None) == (read == "every")
    assert ("from later steps" in " ".join(flow.diagnosis)) == (read == "every")
    picture = compare_flows({"": [flow, flow]})
    assert (picture.description or "").count(EVERY) == (read == "every")
    assert (
        EVERY
        not in lstm.flow(
            _model(readout=read), xs[:1], ys[:1] if read == "every" else ys, lstm.mse
        ).diagnosis
    )


def test_a_checkpoint_is_told_as_one_with_how_to_go_on(tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    quick = ["--steps", "3", "--length", "5", "--hidden", "3", "--batch", "4"]
    assert main(["train", "adding", *quick, "--out", "m.safetensors", "--json"]) == 0
    capsys.readouterr()
    assert main(["flow", "m.checkpoint.safetensors"]) == 2
    said = capsys.readouterr().err
    assert "a checkpoint of lstm, of the task adding after step 3, not a model" in said
    assert said.count("\n") == 1
    how = said.strip().rpartition(": lstm ")[2]
    assert how == "train adding --resume --out m.safetensors"
    assert main([*how.split(), "--steps", "4", "--json"]) == 0


def test_lines_of_a_message_are_set_off_from_each_other(capsys, monkeypatch) -> None:
    def fail(_: Any) -> int:
        raise TrainingError("step 3: not finite\n  its norm was 1.9e+16\n\nit ends:\n  here.\nso")

    monkeypatch.setattr("lstm.cli.tasks.run", fail)
    assert main(["tasks"]) == 2
    said = "lstm: step 3: not finite; its norm was 1.9e+16; it ends: here. so\n"
    assert capsys.readouterr().err == said


def test_what_enters_a_layer_at_each_step_is_not_laid_to_its_gates() -> None:
    """A layer that another one reads: most of what comes to t = 1 the line brought from steps
    before the last."""
    model = lstm.Model.create(lstm.LSTM(2, 4, memory=30), output_size=1, layers=2)
    xs, ys = np.ones((30, 3, 2)), np.ones((3, 1))
    lower, upper = (lstm.flow(model, xs, ys, layer=n) for n in (1, 2))
    assert upper.split.entered is None
    last = np.linalg.norm(lower.entered[-1] * lower.factor[1:].prod(axis=0))
    assert lower.split.carried.first > 10 * last
    assert lower.split.carried.first > 5 * lower.split.gates.first
    assert not any("detach" in sentence for sentence in lower.diagnosis)
    assert f"{lower.split.carried.first:.1e} along the line" in " ".join(lower.diagnosis)
    cut = {one.route: one.share for one in lower.knockouts(at=1)}
    assert cut["C"] > 5 * cut["h"]


def test_lengths_that_are_taken_for_a_loss_are_told() -> None:
    xs, ys = _data()
    with pytest.raises(lstm.ConfigError, match="that is lengths= or mask="):
        lstm.flow(_model(), xs, ys, np.full(B, 2))


# --- what padding says of a loss ------------------------------------------------------------------


def _read_at_every_step(**more: Any) -> lstm.Model:
    cell = lstm.LSTM(2, 3, dtype="float64")
    return lstm.Model.create(cell, output_size=2, readout="every", seed=0, **more)


@pytest.mark.parametrize("padding", [1e9, np.nan])
@pytest.mark.parametrize("loss", [None, lstm.mse, lstm.mae])
def test_no_loss_of_ours_counts_padding(padding: float, loss: Any) -> None:
    model, (xs, _) = _read_at_every_step(), _data()
    ys = np.random.default_rng(2).standard_normal((T, B, 2))
    output = model.output(xs, lengths=LENGTHS)
    expected = mg.eval((loss or lstm.mse)(output, ys, mask=MASK))
    ys[~MASK] = padding
    flow = lstm.flow(model, xs, ys, loss, lengths=LENGTHS)
    assert flow.loss == pytest.approx(float(expected), rel=1e-12)
    whole = np.array(flow.itemised.high)  # of losses of single steps, too
    assert np.isfinite(whole[np.tril_indices(T)]).all()


@pytest.mark.parametrize("dtype", ["int64", "uint8"])
def test_no_label_of_padding_counts(dtype: str) -> None:
    model, (xs, _) = _read_at_every_step(), _data()
    labels = np.random.default_rng(2).integers(0, 2, (T, B)).astype(dtype)
    output = model.output(xs, lengths=LENGTHS)
    expected = mg.eval(lstm.cross_entropy(output, labels, mask=MASK))
    labels[~MASK] = 99  # no class
    flow = lstm.flow(model, xs, labels, lstm.cross_entropy, lengths=LENGTHS)
    assert flow.loss == pytest.approx(float(expected), rel=1e-12)


def test_a_loss_of_ones_own_sees_all_targets() -> None:
    model, (xs, _) = _read_at_every_step(), _data()
    ys = np.ones((T, B, 2))
    seen = lstm.flow(model, xs, ys, lambda p, y: mg.sum(y) + 0 * mg.sum(p), lengths=LENGTHS)
    assert seen.loss == ys.size


def test_a_loss_of_ones_own_with_a_mask_of_all_steps_is_itemised() -> None:
    """A step has what it has in the loss of all: of a mean, by how many elements count there."""
    model, (xs, _) = _read_at_every_step(), _data()
    ys = np.random.default_rng(2).standard_normal((T, B, 2))
    own = lstm.flow(model, xs, ys, lambda p, y: lstm.mse(p, y, mask=MASK), lengths=LENGTHS)
    ours = lstm.flow(model, xs, ys, lstm.mse, lengths=LENGTHS)
    assert own.loss == pytest.approx(ours.loss, rel=1e-12)
    share = MASK.sum(axis=1, keepdims=True) / MASK.sum()
    assert len({*share.ravel()}) > 1
    np.testing.assert_allclose(own.itemised.high, share * ours.itemised.high, rtol=1e-9)
    with pytest.raises(lstm.ConfigError, match="mask"):  # nothing of it can be had
        _ = lstm.flow(model, xs, ys, lambda p, y: lstm.mse(p, y, mask=MASK[1:]))


def test_the_steps_at_which_shorter_sequences_end() -> None:
    xs, ys = _data()
    model = lstm.Model.create(lstm.RNN(2, 3, dtype="float64"), output_size=1, seed=0)
    assert lstm.flow(model, xs, ys).ends == ()
    assert lstm.flow(model, xs, ys, lengths=[6, 6, 6]).ends == ()
    assert lstm.flow(model, xs, ys, lengths=LENGTHS).ends == (2, 4)
    assert lstm.flow(model, xs, ys, lengths=[4, 2, 4]).ends == (2,)  # less padding alone
    model = lstm.Model.create(
        lstm.RNN(2, 3, dtype="float64"), output_size=1, seed=0, readout="every"
    )
    assert lstm.flow(model, xs, np.ones((T, B, 1)), lengths=LENGTHS).ends == ()


def test_that_a_long_one_may_be_hidden_behind_a_short_one_is_said() -> None:
    rng = np.random.default_rng(0)
    model = lstm.Model.create(lstm.RNN(2, 16), output_size=1, seed=0)
    xs, ys = rng.standard_normal((60, 2, 2)), rng.standard_normal((2, 1))
    told = lstm.flow(model, xs, ys, lengths=[5, 60]).diagnosis
    assert "from t=6 to t=5, where shorter sequences end" in told[0] and SHORTER in told
    assert SHORTER not in lstm.flow(model, xs, ys).diagnosis
    assert "vanishes" in lstm.flow(model, xs[:, [1]], ys[[1]]).diagnosis[0]
