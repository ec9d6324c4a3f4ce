"""Cells and tasks of a user's own: saved, loaded where their class is given, drawn, and never run
because a file says so."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import own_cells
import pytest

import lstm
import minigrad as mg
from lstm.cells import LSTM
from lstm.cli import main
from lstm.cli.own_code import class_named
from lstm.errors import ConfigError, ModelFileError
from lstm.figures import write_flow
from lstm.model import Model
from lstm.tasks import Adding, Task

pytestmark = pytest.mark.usefixtures("by_numpy")

HERE = Path(__file__).parent
CELLS_FILE = HERE / "own_cells.py"

TASK_FILE = '''
from dataclasses import dataclass
import numpy as np
import lstm
from lstm.tasks.base import Batch

@dataclass(frozen=True)
class First(lstm.Task):
    """What was the first label?"""

    length: int = 5
    name = "first"
    summary = "the label of the first step"
    input_size = 2
    output_size = 3
    target_dtype = "int64"
    baseline = 1.1
    criterion = "all right"

    @property
    def steps(self): return self.length
    def target_shape(self, batch): return (batch,)
    def batch(self, rng, size):
        xs = rng.random((self.length, size, 2), np.float32)
        return Batch(xs, (xs[0, :, 0] * 3).astype(np.int64))
    def loss(self, prediction, target): return lstm.cross_entropy(prediction, target)
    def correct(self, prediction, target): return prediction.argmax(-1) == target
    def solved(self, prediction, target): return bool(self.correct(prediction, target).all())
'''


@pytest.fixture
def task_file(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(TASK_FILE)
    yield path
    sys.modules.pop("lstm_own_mine", None)


# --- cells ---------------------------------------------------------------------------------------


def test_an_own_cell_is_saved_and_loaded_given_its_class(tmp_path) -> None:
    model = Model.create(own_cells.NoOut(2, 3, memory=9), 1, seed=0)
    model.save(tmp_path / "m")
    loaded = Model.load(tmp_path / "m", own=[own_cells.Blend, own_cells.NoOut])
    assert type(loaded.cell) is own_cells.NoOut
    assert loaded.cell == model.cell
    xs = np.random.default_rng(0).random((4, 2, 2), np.float32)
    for a, b in zip(model.values().values(), loaded.values().values(), strict=True):
        np.testing.assert_array_equal(a, b)
    outputs = [m.output(mg.const(xs)).eval() for m in (model, loaded)]
    np.testing.assert_array_equal(*outputs)
    # Under the LSTM's name and with its parameters, but not with its equations.
    other = Model.of(LSTM(2, 3, memory=9), 1, model.values()).output(mg.const(xs)).eval()
    assert not np.array_equal(other, outputs[0])


@pytest.mark.parametrize("cells", [[], [own_cells.Blend], [LSTM]])
def test_without_its_class_a_model_is_refused_and_not_taken_for_another(tmp_path, cells) -> None:
    Model.create(own_cells.NoOut(2, 3), 1, seed=0).save(tmp_path / "m")
    with pytest.raises(
        ModelFileError, match=r"its part 'lstm' is of a class 'NoOut' .*own=\[NoOut\]"
    ):
        Model.load(tmp_path / "m", cells)


def test_files_of_our_own_cells_are_as_before() -> None:
    assert Model.create(LSTM(2, 3), 1, seed=0).config()["layers"]["layers"]["layer1"]["cell"] == {
        "kind": "lstm",
        "input_size": 2,
        "hidden_size": 3,
        "dtype": "float32",
        "forget_bias": 1.0,
        "memory": None,
    }


@pytest.mark.usefixtures("undrawn")
def test_the_commands_take_an_own_cell(tmp_path, capsys) -> None:
    path = tmp_path / "m"
    Model.create(own_cells.Blend(2, 3), 1, seed=0, task=Adding(5).config()).save(path)
    assert main(["info", str(path)]) == 2
    assert "or --cell FILE.py:Blend in a command" in capsys.readouterr().err
    cell = ["--cell", f"{CELLS_FILE}:Blend"]
    assert main(["info", str(path), *cell]) == 0
    assert "blend" in capsys.readouterr().out
    assert main(["flow", str(path), *cell, "--out", str(tmp_path / "out"), "--json"]) == 0
    flow = json.loads(capsys.readouterr().out)["flow"]
    assert flow["split"]["factor"] == "g"
    assert len(flow["split"]["keep"]) == 5


# --- tasks ---------------------------------------------------------------------------------------


def _own_task(path: Path) -> Task:
    return class_named(f"{path}:First", Task)(length=6)


@pytest.mark.usefixtures("vectors")
def test_flow_of_an_own_task_given_its_loss(task_file, tmp_path) -> None:
    task = _own_task(task_file)
    model = Model.create(LSTM(2, 3), task.output_size, seed=0, task=task.config())
    xs, ys = task.batch(np.random.default_rng(0), 4)
    with pytest.raises(ConfigError, match=r"the task 'first', which is none .* loss=task\.loss"):
        lstm.flow(model, xs, ys)
    flow = lstm.flow(model, xs, ys, task.loss)
    unrolled = model.unroll(mg.const(xs))
    assert flow.loss == pytest.approx(float(task.loss(unrolled.output, mg.const(ys)).eval()))
    assert write_flow(tmp_path, model, xs, ys, task.loss)


@pytest.mark.usefixtures("undrawn")
@pytest.mark.slow
def test_the_flow_command_of_an_own_task(task_file, tmp_path, capsys) -> None:
    task = _own_task(task_file)
    path = tmp_path / "m"
    Model.create(LSTM(2, 3), task.output_size, seed=0, task=task.config()).save(path)
    assert main(["flow", str(path), "--out", str(tmp_path / "out")]) == 2
    assert "if it is your own: --task FILE.py:NAME" in capsys.readouterr().err
    args = ["--task", f"{task_file}:First", "--out", str(tmp_path / "out"), "--json"]
    assert main(["flow", str(path), *args]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["task"] == {"name": "first", "settings": {"length": 6}}
    assert found["flow"]["steps"] == 6
    assert main(["flow", str(path), *args, "--length", "4"]) == 0
    assert json.loads(capsys.readouterr().out)["flow"]["steps"] == 4


@pytest.mark.usefixtures("undrawn")
def test_a_model_without_a_task_takes_the_one_named(task_file, tmp_path, capsys) -> None:
    path = tmp_path / "m"
    Model.create(LSTM(2, 3), 3, seed=0).save(path)
    args = ["--task", f"{task_file}:First", "--out", str(tmp_path / "out"), "--json"]
    assert main(["flow", str(path), *args]) == 0
    assert json.loads(capsys.readouterr().out)["task"]["settings"] == {"length": 5}


def test_a_model_of_another_task_is_not_shown_with_it(task_file, tmp_path, capsys) -> None:
    path = tmp_path / "m"
    Model.create(LSTM(2, 3), 1, seed=0, task=Adding(5).config()).save(path)
    assert main(["flow", str(path), "--task", f"{task_file}:First"]) == 2
    assert "there is no task 'adding'; there are: first" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("spelled", "message"),
    [
        ("First", "'First' is no FILE.py:NAME or MODULE:NAME"),
        ("mine.py:a b", "is no FILE.py:NAME"),
        ("{tmp}/absent.py:First", "cannot run {tmp}/absent.py: FileNotFoundError"),
        ("{tmp}/broken.py:First", "cannot run {tmp}/broken.py: SyntaxError"),
        ("{tmp}/mine.py:Second", "mine.py has no Task called 'Second'; it has: First"),
        ("{tmp}/mine.py:Batch", "mine.py has no Task called 'Batch'; it has: First"),
        ("no_such_module:First", "cannot import no_such_module: ModuleNotFoundError"),
        ("lstm.errors:ConfigError", "has no Task called 'ConfigError'; it has: none"),
    ],
)
def test_what_names_no_class(task_file, tmp_path, spelled, message) -> None:
    (tmp_path / "broken.py").write_text("def")
    with pytest.raises(ConfigError) as caught:
        class_named(spelled.replace("{tmp}", str(tmp_path)), Task)
    assert message.replace("{tmp}", str(tmp_path)) in str(caught.value)
    assert "lstm_own_broken" not in sys.modules


def test_no_file_decides_what_is_imported(tmp_path, monkeypatch) -> None:
    """A model file that names a module as its class or its task loads none."""
    (tmp_path / "evil.py").write_text("raise SystemExit('ran')")
    monkeypatch.syspath_prepend(str(tmp_path))
    model = Model.create(own_cells.NoOut(2, 3), 1, 0, {"name": "evil:Task", "settings": {}})
    own = type("evil:Cell", (own_cells.NoOut,), {})
    Model.of(own(2, 3), 1, model.values(), model.task).save(tmp_path / "m")
    with pytest.raises(ModelFileError, match="evil:Cell"):
        Model.load(tmp_path / "m")
    assert "evil" not in sys.modules
    assert lstm.Model is Model


def test_a_file_imports_what_lies_beside_it(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "beside_the_task.py").write_text("LENGTH = 7\n")
    (tmp_path / "mine.py").write_text(
        "import lstm, beside_the_task\n"
        "class Mine(lstm.Adding):\n    name = 'mine'\n    long = beside_the_task.LENGTH\n"
    )
    try:
        assert class_named(f"{tmp_path / 'mine.py'}:Mine", Task).long == 7
    finally:
        sys.modules.pop("beside_the_task", None)
