"""`lstm.TableTask`: what of a table is read, scaled, asked for and held out."""

import re
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_hex

import lstm
from lstm.figures.forecast import draw_forecast
from lstm.tasks.reading import Reading
from minigrad.drawing.palette import contrast

ROWS = 100


@pytest.fixture
def rng():
    return np.random.default_rng(1)


def write(path, **columns):
    rows = zip(*columns.values(), strict=True)
    lines = [",".join(columns), *(",".join(str(cell) for cell in row) for row in rows)]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def file(tmp_path, rng):
    x, y = rng.normal(5, 2, ROWS).round(3), rng.normal(-3, 4, ROWS).round(3)
    x_cells, y_cells = [*map(str, x)], [*map(str, y)]
    x_cells[7], y_cells[20], y_cells[95] = "", "NaN", ""
    kinds = ["up" if k % 3 else "down" for k in range(ROWS)]
    return write(tmp_path / "t.csv", name=["n"] * ROWS, x=x_cells, y=y_cells, kind=kinds)


def numbers(file, name):
    head, *lines = file.read_text().splitlines()
    cells = [line.split(",")[head.split(",").index(name)] for line in lines]
    return np.array([float(cell or "nan") for cell in cells])


def parts(task):
    """Every window and target of each part, in order."""
    held = {part: next(task.held_out(part, None or np.random.default_rng(0), 1, 500))
            for part in ("validation", "test")}  # fmt: skip
    own = task._places["training"]
    return {"training": task._at(own)} | held


@pytest.mark.parametrize("horizon", [0, 1, 4])
def test_windows_end_so_many_rows_before_what_is_asked_for(file, horizon):
    features = ["x"] if horizon == 0 else ["x", "y"]
    task = lstm.TableTask(file, "y", horizon=horizon, length=6)
    assert task.reading.features == tuple(features)
    values = np.stack([numbers(file, name) for name in features], -1)
    y = numbers(file, "y")
    mean, deviation = np.nanmean(values[:80], 0), np.nanstd(values[:80], 0)
    there = ~np.isnan(values)
    inputs = np.concatenate([np.where(there, (values - mean) / deviation, 0), there], -1)
    scaled = (y - np.nanmean(y[:80])) / np.nanstd(y[:80])
    bounds = {"training": (0, 80), "validation": (80, 90), "test": (90, 100)}
    for part, (xs, ys) in parts(task).items():
        asked = [r for r in range(*bounds[part]) if r - horizon >= 5 and not np.isnan(y[r])]
        expected = [inputs[r - horizon - 5 : r - horizon + 1] for r in asked]
        np.testing.assert_allclose(xs, np.stack(expected, 1), atol=1e-6)
        np.testing.assert_allclose(ys[:, 0], scaled[asked], atol=1e-6)


def test_scales_are_of_what_is_trained_on_alone(tmp_path):
    x = [float(k % 2) for k in range(80)] + [1e6] * 20
    task = lstm.TableTask(write(tmp_path / "t", x=x, y=x), "y", length=4)
    assert task.reading.means == (0.5, 0.5, 0.5)
    assert task.reading.deviations == (0.5, 0.5, 0.5)


def test_baselines_are_those_of_their_words(file):
    task = lstm.TableTask(file, "y", features=["x"], horizon=2, length=3)
    y = numbers(file, "y")
    asked = [r for r in range(90, 100) if not np.isnan(y[r])]
    last = [next(y[k] for k in range(r - 2, -1, -1) if not np.isnan(y[k])) for r in asked]
    spread = np.nanstd(y[:80])
    mean = np.mean((y[asked] - np.nanmean(y[:80])) ** 2)
    steady = np.mean((y[asked] - last) ** 2)
    assert task.in_unit(task.baselines["always the mean"]) == pytest.approx(np.sqrt(mean))
    assert task.in_unit(task.baselines["the last value"]) == pytest.approx(np.sqrt(steady))
    assert task.in_unit(1.0) == pytest.approx(spread)
    assert task.baseline == min(task.baselines.values())
    assert task.unit == "error in y"


def test_the_linear_baseline_finds_what_is_linear(tmp_path, rng):
    x = rng.normal(size=300)
    y = np.concatenate([[0, 0], 2 * x[:-2] - 3 * x[1:-1] + 1])
    task = lstm.TableTask(write(tmp_path / "t", x=x, y=y), "y", features=["x"], length=4)
    assert task.baselines["linear in the window"] < 1e-8
    assert task.baseline_words == "linear in the window"


def test_classes(file):
    task = lstm.TableTask(file, "kind", classify=True, horizon=0, length=2, features=["x"])
    assert task.reading.classes == ("down", "up")
    assert (task.output_size, task.target_dtype, task.in_unit(0.3)) == (2, "int64", 0.3)
    labels = np.array([int(k % 3 > 0) for k in range(ROWS)])
    np.testing.assert_array_equal(parts(task)["test"][1], labels[90:])
    shares = np.bincount(labels[1:80]) / 79
    expected = -np.log(shares[labels[90:]]).mean()
    followed = Counter(pairwise(labels[:80]))  # each class by the one before
    losses = []
    for before, after in pairwise(labels[89:]):
        cases = followed[before, 0] + followed[before, 1]
        losses.append(-np.log((followed[before, after] + shares[after]) / (cases + 1)))
    assert task.baselines == {
        "always in the same shares": pytest.approx(expected),
        "by the last class": pytest.approx(np.mean(losses)),
    }
    assert task.baseline_words == "by the last class"


def test_a_class_may_be_read_where_it_is_asked_for_later(tmp_path):
    """Of numbers that stand for classes, the row that is asked for tells them, and no other."""
    file = write(tmp_path / "t", x=range(60), kind=[k % 2 for k in range(60)])
    task = lstm.TableTask(file, "kind", features=["kind"], classify=True, length=4)
    assert task.reading.features == ("kind",)
    assert lstm.TableTask(file, "kind", classify=True, length=4).reading.features == ("x",)
    with pytest.raises(lstm.ConfigError, match="kind is what is asked for, in the very row"):
        lstm.TableTask(file, "kind", features=["kind"], classify=True, length=4, horizon=0)


def test_the_last_class_is_one_that_is_known_already(tmp_path):
    """Four rows ahead, with gaps: of each row in the test the class is that of rows before."""
    kinds = ["" if k % 5 == 0 or k < 4 else "ab"[k // 7 % 2] for k in range(100)]
    task = lstm.TableTask(
        write(tmp_path / "t", x=range(100), kind=kinds), "kind", classify=True, horizon=4, length=2
    )
    first, asked = 5, [k for k in range(100) if kinds[k]]
    last = {k: next((kinds[j] for j in range(k - 4, -1, -1) if kinds[j]), None) for k in asked}
    training = [k for k in asked if first <= k < 80]
    shares = {c: np.mean([kinds[k] == c for k in training]) for c in "ab"}
    losses = []
    for k in (k for k in asked if k >= 90):
        alike = [kinds[j] for j in training if last[j] == last[k]]
        right = alike.count(kinds[k]) + shares[kinds[k]]
        losses.append(-np.log(right / (len(alike) + 1)))
    assert task.baselines["by the last class"] == pytest.approx(np.mean(losses))


def test_the_past_of_the_target_is_read_unless_it_would_be_told(file):
    assert lstm.TableTask(file, "y").reading.features == ("x", "y")
    assert lstm.TableTask(file, "y", horizon=0).reading.features == ("x",)
    assert lstm.TableTask(file, "kind", classify=True).reading.features == ("x", "y")


@pytest.mark.parametrize(
    ("target", "options", "message"),
    [
        ("z", {}, "has no column 'z'; it has name, x, y, kind"),
        ("y", {"features": ["z"]}, "has no column 'z'"),
        ("y", {"features": ["kind"]}, "kind is 'down' in line 2, and must be a number"),
        ("kind", {}, "kind is 'down' in line 2, and must be a number.*: classify=True, or --cl"),
        ("y", {"features": []}, "features are names of columns, each once"),
        ("y", {"features": "x"}, "features are a list of texts, not 'x'"),
        ("y", {"features": ["x", "x"]}, "features are names of columns, each once"),
        ("y", {"features": ["y"], "horizon": 0}, "y is what is asked for, in the very row"),
        ("y", {"length": 80}, "80 of its 100 rows .* length=80 with horizon=1 need 82"),
        ("y", {"horizon": -1}, "horizon must be a whole number of at least 0"),
        ("y", {"length": 0}, "length must be a whole number of at least 1"),
        ("y", {"held_out": 0}, "held_out must be a number above 0"),
        ("name", {"classify": True}, "name has fewer than two classes"),
    ],
)
def test_what_cannot_be(file, target, options, message):
    with pytest.raises(lstm.ConfigError, match=message):
        lstm.TableTask(file, target, **options)


@pytest.mark.parametrize(
    ("part", "rows"), [("for the test", (90, 100)), ("for validation", (80, 90))]
)
def test_a_target_that_is_missing_throughout_a_part(tmp_path, part, rows):
    y = ["" if rows[0] <= k < rows[1] else k for k in range(100)]
    with pytest.raises(lstm.ConfigError, match=f"y is missing in all rows {part}"):
        lstm.TableTask(write(tmp_path / "t", x=range(100), y=y), "y", length=4)


# --- predicting ------------------------------------------------------------------------------


def model_of(task, **options):
    return lstm.Model.create(lstm.RNN, task=task, hidden_size=3, **options)


def test_what_is_said_is_the_model_of_each_window_in_the_targets_unit(file, tmp_path):
    task = lstm.TableTask(file, "y", horizon=2, length=5)
    model = model_of(task)
    model.save(tmp_path / "model")
    forecast = lstm.predict(lstm.Model.load(tmp_path / "model"), file)
    assert len(forecast.rows) == 100 - 5 + 1
    assert (forecast.rows[0], forecast.rows[-2:]) == ("7", ["+1", "+2"])
    xs, _ = parts(task)["test"]
    said = model.output(xs).eval()[:, 0] * task.reading.deviations[-1] + task.reading.means[-1]
    test = [k for k, row in enumerate(forecast.rows[:-2]) if int(row) > 90 and row != "96"]
    np.testing.assert_allclose(np.array(forecast.said)[test], said, rtol=1e-5)
    y = numbers(file, "y")
    np.testing.assert_array_equal([forecast.truth[k] for k in test], y[90:][~np.isnan(y[90:])])
    assert forecast.truth[-3:] == [y[99], None, None]
    pairs = [(s, t) for s, t in zip(forecast.said, forecast.truth, strict=True) if t is not None]
    assert forecast.error == pytest.approx(np.sqrt(np.mean([(s - t) ** 2 for s, t in pairs])))


def test_a_table_without_the_target_is_told_of(file, tmp_path):
    model = model_of(lstm.TableTask(file, "y", features=["x"], length=5))
    other = write(tmp_path / "other", x=range(9))
    forecast = lstm.predict(model, other)
    assert (len(forecast.said), set(forecast.truth)) == (5, {None})
    assert np.isnan(forecast.error)
    with pytest.raises(lstm.ConfigError, match="no column 'x'"):
        lstm.predict(model, write(tmp_path / "none", z=range(9)))
    with pytest.raises(lstm.ConfigError, match="has 3 rows, and sequences of length=5 need"):
        lstm.predict(model, write(tmp_path / "short", x=range(3)))


def test_classes_are_said_by_name(file, tmp_path):
    task = lstm.TableTask(file, "kind", classify=True, length=5)
    model = model_of(task)
    model.params["readout"]["b_y"].value = np.array([9, 0], "float32")
    forecast = lstm.predict(model, file)
    assert set(forecast.said) == {"down"}
    right = np.mean([k % 3 == 0 for k in range(5, 100)])
    assert forecast.error == pytest.approx(1 - right)
    strange = write(tmp_path / "strange", x=range(9), y=range(9), kind=["up"] * 8 + ["sideways"])
    with pytest.raises(lstm.ConfigError, match="kind is 'sideways' in line 10, which is none of"):
        lstm.predict(model, strange)


def test_dates_name_the_rows(tmp_path):
    days = [f"2026-01-{k:02}" for k in range(1, 32)]
    file = write(tmp_path / "t", day=days, y=range(31))
    forecast = lstm.predict(model_of(lstm.TableTask(file, "y", length=3, held_out=0.3)), file)
    assert (forecast.rows[0], forecast.rows[-2:]) == ("2026-01-04", ["2026-01-31", "+1"])


def test_models_that_predict_no_table(file):
    with pytest.raises(lstm.ConfigError, match="made for the task 'adding', which is no table"):
        lstm.predict(lstm.Model.create(lstm.LSTM, task=lstm.Adding(5)), file)
    with pytest.raises(lstm.ConfigError, match="a model is needed"):
        lstm.predict("model", file)


@pytest.mark.parametrize(
    "change",
    [
        {"target": 3}, {"features": "x"}, {"features": [1, 2]}, {"features": ["x"]},
        {"means": [0.0]},
        {"deviations": [1.0, 1.0, 0.0]}, {"means": [0.0, 0.0, float("inf")]}, {"length": 0},
        {"horizon": -1}, {"classes": ["a", "b"]}, {"classes": [1, 2]}, {"classes": "ab"},
    ],
)  # fmt: skip
def test_a_file_that_lies_about_its_columns_is_refused(file, change):
    model = model_of(lstm.TableTask(file, "y", length=5))
    settings = model.task["settings"]
    assert Reading.from_config(settings).features == ("x", "y")
    lying = lstm.Model.of(model.layers, model.readout, model.values(),
                          {"name": "csv", "settings": settings | change})  # fmt: skip
    with pytest.raises(lstm.ConfigError):
        lstm.predict(lying, file)


# --- pictures and files ----------------------------------------------------------------------


def test_the_picture_has_the_numbers_and_gaps_where_nothing_is_known(file):
    forecast = lstm.predict(model_of(lstm.TableTask(file, "y", horizon=2, length=5)), file)
    ax = forecast.plot(last=30)
    truth, said = (line.get_ydata() for line in ax.get_lines())
    np.testing.assert_array_equal(said, forecast.said[-30:])
    known = [np.nan if x is None else x for x in forecast.truth[-30:]]
    np.testing.assert_array_equal(truth, known)
    assert f"off by {forecast.last(30).error:.3g} (root mean square of 27 rows)" in ax.get_title()
    assert [tick.get_text() for tick in ax.get_xticklabels()][-1] == "+2"
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["truth", "said"]
    assert len(forecast.plot(last=None).get_lines()[0].get_ydata()) == 96


@pytest.mark.parametrize("theme", ["light", "dark", "auto"])
def test_curves_are_seen_on_their_page(file, theme):
    forecast = lstm.predict(model_of(lstm.TableTask(file, "y", length=5)), file)
    (ax,) = draw_forecast(forecast, theme=theme).figure.axes
    page = to_hex(ax.get_facecolor())
    truth, said = (line.get_color() for line in ax.get_lines())
    assert min(contrast(truth, page), contrast(said, page)) > 4.5
    assert contrast(truth, said) > 1.5


def test_classes_stand_at_their_names(file):
    model = model_of(lstm.TableTask(file, "kind", classify=True, length=5, horizon=0))
    forecast = lstm.predict(model, file)
    ax = forecast.plot(last=4)
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["down", "up"]
    places = [["down", "up"].index(name) for name in forecast.truth[-4:]]
    np.testing.assert_array_equal(ax.get_lines()[0].get_ydata(), places)


def test_a_forecast_is_shown_and_written(file, tmp_path):
    forecast = lstm.predict(model_of(lstm.TableTask(file, "y", length=5)), file)
    assert repr(forecast).startswith("96 rows of y, off by")
    lines = forecast.to_csv().splitlines()
    assert lines[0] == "row,y said,y"
    assert lines[-1].endswith(",") and lines[-1].startswith("+1,")
    assert forecast.to_json()["truth"][-1] is None
    forecast.save(tmp_path / "f.svg")
    assert "off by" in (tmp_path / "f.svg").read_text()


def test_the_code_in_the_docs_runs(tmp_path, monkeypatch):
    page = (Path(__file__).parent.parent / "docs" / "models.md").read_text()
    code = next(c for c in re.findall(r"```python\n(.*?)```", page, re.S) if "TableTask" in c)
    small = "(lstm.RNN, task=task, hidden_size=3), task, lstm.Settings(steps=2, batch=2)"
    assert code.count("(lstm.GRU, task=task), task") == 1
    monkeypatch.chdir(tmp_path)
    write(Path("weather.csv"), temperature=range(60))
    exec(code.replace("(lstm.GRU, task=task), task", small), {"lstm": lstm})
    assert Path("forecast.svg").exists()


@pytest.mark.filterwarnings("error")
def test_a_column_that_never_changes_has_the_scale_1(tmp_path):
    file = write(tmp_path / "t.csv", x=[0.1] * 90 + [0.2] * 10, y=range(100))
    task = lstm.TableTask(file, "y", length=5)
    assert Reading.from_config(task.config()["settings"]).deviations[0] == 1.0
    write(file, x=[-1e308, 1e308] * 50, y=range(100))
    with pytest.raises(lstm.ConfigError, match="the numbers of x are too large"):
        lstm.TableTask(file, "y", length=5)


def test_a_file_may_say_any_horizon(file):
    model = model_of(lstm.TableTask(file, "y", length=5, horizon=2))
    far = {"name": "csv", "settings": model.task["settings"] | {"horizon": 10**15}}
    forecast = lstm.predict(lstm.Model.of(model.layers, model.readout, model.values(), far), file)
    assert len(forecast.rows) == ROWS - 4 and forecast.rows[-1] == f"+{10**15}"
    with pytest.raises(lstm.ConfigError, match="count"):
        forecast.last(0)


def test_names_with_dollars_are_no_formulas(file, tmp_path):
    lines = file.read_text().replace("up", "$\\bad$")
    file.write_text(lines)
    forecast = lstm.predict(model_of(lstm.TableTask(file, "kind", classify=True, length=5)), file)
    forecast.save(tmp_path / "a.svg")
    assert "$\\bad$" in (tmp_path / "a.svg").read_text()
