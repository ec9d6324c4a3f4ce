"""The explorer's file: its arrays hold four digits of each number; texts in it are only texts."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
import zlib
from base64 import b64decode, b64encode
from dataclasses import replace
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lstm
import minigrad as mg
from lstm.errors import ConfigError
from lstm.figures.explorer.graph import picture_of
from lstm.figures.explorer.maps import maps_of
from lstm.figures.explorer.packed import DECADE, OTHERS, Arrays, codes_of, extremes, runs_of
from lstm.figures.explorer.steps import steps_of
from lstm.figures.explorer.tour import tour_of
from lstm.figures.explorer.written import script_text

pytestmark = pytest.mark.usefixtures("by_numpy")
HTML = "{http://www.w3.org/1999/xhtml}"
EVIL = "</script><script>alert(1)</script><!-- & ]]> \u2028"


def number_of(code: int) -> float:
    exponent, digits = divmod(int(code), DECADE)
    return float(f"{1000 + digits}e{exponent - 3}")


def unpacked(array: dict[str, Any], codes: bytes) -> Any:
    count = 4 * int(np.prod(array["shape"]))
    planes = np.frombuffer(codes, np.uint8, count, 4 * array["at"]).reshape(4, -1)
    steps = np.ascontiguousarray(planes.T).view("<i4").reshape(array["shape"])
    return np.cumsum(steps, axis=-1, dtype=np.int32)


def read(page: str) -> tuple[Any, bytes]:
    """What a page tells, and the bytes of its arrays."""
    data, codes, _ = ET.fromstring(page).iter(f"{HTML}script")
    return json.loads(data.text), zlib.decompress(b64decode(codes.text))


def test_codes_are_four_digits_of_numbers_over_all_of_float64(rng) -> None:
    numbers = [*10.0 ** rng.uniform(-300, 300, 500), *10.0 ** rng.uniform(-3, 3, 500)]
    numbers += [5e-324, 2.2e-308, 1.7976e308, 1.0, 10.0, 9.9994, 9.9996, 999.96, 1e-15, 1e22]
    numbers = [x for x in numbers if x < 1.7976e308]
    for number, code in zip(numbers, codes_of(numbers), strict=True):
        assert number_of(code) == float(f"{number:.3e}"), number


def test_codes_of_ties_are_those_of_exact_values(rng) -> None:
    """Such as 1.0015, which is a little less, and 1000.5, which is no less and no more."""
    digits = np.concatenate([rng.integers(1000, 10_000, 300), [1000, 1001, 9999]])
    numbers = [
        float(f"{d}.5e{k}") for d, k in zip(digits, rng.integers(-300, 300, 303), strict=True)
    ]
    numbers += [1.0005, 1.0015, 2.0025, 1000.5, 1001.5, 0.00099995, 9.9995, 99995.0]
    for number, code in zip(numbers, codes_of(numbers), strict=True):
        assert number_of(code) == float(f"{number:.3e}"), number


def test_codes_rise_with_numbers_and_what_is_none_lies_beyond() -> None:
    numbers = [0.0, 5e-324, 1e-300, 0.5, 0.9999, 1.0, 1e300, np.inf, np.nan]
    codes = codes_of(numbers)
    assert (np.diff(codes) > 0).all()
    assert [codes[k] for k in (0, -2, -1)] == [OTHERS[kind] for kind in ("zero", "inf", "nan")]
    kinds = ["underflow", "disconnected", "zero", "normal"]
    told = codes_of(np.zeros(4), np.array(kinds))
    assert told.tolist() == [OTHERS[k] for k in ("underflow", "disconnected", "zero", "zero")]


def test_packed_codes_are_read_back(rng) -> None:
    codes = codes_of(10.0 ** rng.uniform(-200, 200, (3, 40)))
    codes[0, 3], codes[1, 39], codes[2, 0] = OTHERS["zero"], OTHERS["nan"], OTHERS["inf"]
    arrays = Arrays()
    places = [arrays.place(one) for one in (codes, codes[1])]
    for place, wanted in zip(places, (codes, codes[1]), strict=True):
        told = unpacked(json.loads(json.dumps(place)), zlib.decompress(b64decode(arrays.packed)))
        assert (told == wanted).all()


def test_runs_keep_the_least_and_the_largest(rng) -> None:
    codes = codes_of(10.0 ** rng.uniform(-9, 9, (2, 1000)))
    runs = runs_of(1000, 256)
    assert len(runs) == 256 and runs[0][0] == 1 and runs[-1][1] == 1000
    assert all(b + 1 == c for (_, b), (c, _) in pairwise(runs))
    low, high = extremes(codes, runs)
    for k, (a, b) in enumerate(runs):
        assert (low[:, k] == codes[:, a - 1 : b].min(axis=1)).all()
        assert (high[:, k] == codes[:, a - 1 : b].max(axis=1)).all()


def saved(tmp_path: Path, title: str = "", steps: int = 6) -> tuple[Any, str]:
    model = lstm.Model.create(lstm.LSTM(2, 4), 1, 0)
    rng = np.random.default_rng(0)
    flow = lstm.flow(model, rng.standard_normal((steps, 3, 2)), np.ones((3, 1)))
    flow = replace(flow, title=title)
    flow.save(tmp_path / "flow.html")
    return flow, (tmp_path / "flow.html").read_text(encoding="utf-8")


def test_hostile_names_are_text_and_no_other_script_may_run(tmp_path) -> None:
    _, page = saved(tmp_path, title=EVIL)
    root = ET.fromstring(page)
    assert [e.get("type") for e in root.iter(f"{HTML}script")] == [
        "application/json",
        "text/plain",
        "module",
    ]
    told, _ = read(page)
    assert told["models"][0]["name"].startswith("</script><script>alert(1)")
    assert page.count("</script>") == 3
    metas = [m for m in root.iter(f"{HTML}meta") if m.get("http-equiv")]
    policy = metas[0].get("content")
    # What the browser hashes is the text between the tags of HTML, where XML's marks are text too.
    inline = re.search(r'<script type="module">(.*?)</script>', page, re.DOTALL)[1]
    assert inline == script_text()
    digest = b64encode(sha256(inline.encode()).digest()).decode()
    assert policy.startswith("default-src 'none';")
    assert f"script-src 'sha256-{digest}'" in policy and policy.count("script-src") == 1
    styles = " ".join(e.text or "" for e in root.iter(f"{HTML}style"))
    assert not re.search(r"@import|url\(", styles)


def test_the_page_holds_the_numbers_of_the_flow(tmp_path) -> None:
    flow, page = saved(tmp_path)
    data, codes = read(page)
    maps = {m["key"]: m for m in data["models"][0]["moments"][0]["maps"]}
    assert [*maps] == ["norms", "folded", "units", "gates", "itemised"]
    units = unpacked(maps["units"]["high"], codes)
    wanted = flow.unit_norms["C"].T
    assert units.shape == wanted.shape
    for code, number in zip(units.ravel(), wanted.ravel(), strict=True):
        assert number_of(code) == float(f"{number:.3e}")
    triangle = unpacked(maps["itemised"]["high"], codes)
    assert (triangle[np.triu_indices(6, 1)] == OTHERS["none"]).all()
    for s, t in ((1, 1), (2, 6), (6, 6)):
        code = triangle[t - 1, s - 1]
        assert number_of(code) == float(f"{flow.itemised.high[t - 1, s - 1]:.3e}")
    steps = data["models"][0]["moments"][0]["steps"]
    for equation in steps["equations"]:
        if equation["name"] == "C":
            fan = flow.edges["C"]
            assert {term["of"] for term in equation["terms"]} == {*fan}
            for term in equation["terms"]:
                wanted = np.sqrt(np.square(fan[term["of"]]).sum((1, 2)))
                told = unpacked(term["norm"], codes)
                assert all(
                    number_of(c) == float(f"{x:.3e}") if x else c == OTHERS["zero"]
                    for c, x in zip(told, wanted, strict=True)
                )
    scale = data["scale"]
    assert (scale["low"], scale["high"]) == (flow.scale.lo_exp, flow.scale.hi_exp)
    assert scale["colors"][0] == flow.scale.class_style(0).color


class Product(lstm.RNN):
    """Of two values, of which the second is made of the first or not."""

    name = "product"
    is_chained = False

    def equations(self, params: Any, state: Any, x: Any) -> Any:
        a = super().equations(params, state, x)["h"]
        s = mg.sigmoid(a)
        t = mg.tanh(s if self.is_chained else a)
        return {"s": s, "t": t, "h": (a if self.is_chained else s) * t}


def test_steps_of_the_same_ops_that_are_joined_otherwise_are_unlike() -> None:
    chained = type("Chained", (Product,), {"is_chained": True})
    both = []
    for cell in (Product, chained):
        model = lstm.Model.create(cell(2, 3), 1, 0)
        picture = picture_of(lstm.flow(model, np.ones((4, 2, 2)), np.ones((2, 1))))
        assert picture is not None
        both.append(picture)
    first, second = (sorted(n.name for n in one.picture.nodes) for one in both)
    assert first == second
    assert both[0].parts != both[1].parts


def test_a_watch_of_unlike_cells_is_refused_by_name() -> None:
    watch, xs, ys = lstm.FlowWatch(arrays=True), np.ones((4, 2, 2)), np.ones((2, 1))
    models = [lstm.Model.create(cell(2, 3), 1, 0) for cell in (lstm.RNN, lstm.LSTM, lstm.LSTM)]
    watch._flows = {k: lstm.flow(model, xs, ys) for k, model in enumerate(models[:2])}
    with pytest.raises(ConfigError, match="'both' recorded steps of RNN and of other ops, LSTM"):
        lstm.explore({"both": watch})
    # of other batches and sizes the steps are the same ops
    watch._flows = {1: lstm.flow(models[1], xs, ys), 2: lstm.flow(models[2], xs[:, :1], ys[:1])}
    assert [*lstm.explore(watch).models["LSTM"]] == [
        "after 1 step of training",
        "after 2 steps of training",
    ]
    with pytest.raises(ConfigError, match="given no flow"):
        lstm.explore({})


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_page_and_the_tour_begin_where_the_gradient_died(tmp_path, dtype) -> None:
    model = lstm.Model.create(lstm.RNN(2, 3, dtype=dtype), 1, 0)
    for name, leaf in model.flat_params.items():
        if name.endswith("W_h"):
            leaf.value = leaf.value * 0.02  # in float32 it underflows
    flow = lstm.flow(model, np.ones((40, 2, 2)), np.ones((2, 1)))
    step = int(re.search(r"from t=(\d+) down", flow.diagnosis[0])[1])
    assert 1 < step < 40
    data, _ = read(flow.save(tmp_path / "died.html").read_text())
    assert data["start"]["step"] == data["tour"][1]["step"] == step


@pytest.mark.parametrize("factor", [0.0, np.nan, np.inf])
def test_the_tour_calls_no_unit_the_largest_of_nothing(factor) -> None:
    model = lstm.Model.create(lstm.LSTM(2, 3), 1, 0)
    flow = lstm.flow(model, np.ones((4, 2, 2)), np.ones((2, 1)))
    assert "holds most" in tour_of({"a": {"": flow}})[-1]["words"]
    for leaf in model.flat_params.values():
        if leaf.value.shape[-1] == 1:
            leaf.value = np.full_like(leaf.value, factor)  # of the head
    with np.errstate(all="ignore"):
        odd = lstm.flow(model, np.ones((4, 2, 2)), np.ones((2, 1)))
        assert not any("holds most" in stop["words"] for stop in tour_of({"a": {"": odd}}))


class Stopped(lstm.RNN):
    """No gradient comes back through one of its values, nor so to what that is made of."""

    name = "stopped"

    def equations(self, params: Any, state: Any, x: Any) -> Any:
        u = mg.tanh(state.h)
        v = mg.exp(u)
        new = super().equations(params, state, x)["h"]
        return {"u": u, "v": v, "h": mg.where(u > 0.1, new, 0.5 * new) + mg.stop_gradient(v)}


def test_what_no_derivative_leads_to_is_told_as_not_connected() -> None:
    model = lstm.Model.create(Stopped(2, 3), 1, 0)
    steps = steps_of(lstm.flow(model, np.ones((4, 2, 2)), np.ones((2, 1))))
    told = {equation["name"]: equation for equation in steps["equations"]}
    assert {*told} == {"u", "v", "h"}
    for name, equation in told.items():
        apart = equation["adjoint"] == OTHERS["disconnected"]
        assert set(apart) == {name != "h"}
    terms = {of["of"]: set(of["norm"].tolist()) for of in told["h"]["terms"]}
    assert terms.pop("u") == {OTHERS["disconnected"]}
    assert all(OTHERS["disconnected"] not in codes for codes in terms.values())


def test_a_flow_of_numbers_alone_has_a_page_too(tmp_path) -> None:
    watch = lstm.FlowWatch(every=1)
    task = lstm.Adding(length=4)
    model = lstm.Model.create(lstm.LSTM(2, 3), task=task)
    list(lstm.train(model, task, lstm.Settings(steps=1, batch=2), watch=watch))
    watch.flows[0].save(tmp_path / "numbers.html")
    page = (tmp_path / "numbers.html").read_text(encoding="utf-8")
    data, _ = read(page)
    assert [m["key"] for m in data["models"][0]["moments"][0]["maps"]] == ["norms", "gates"]


def test_of_a_long_flow_the_triangle_is_there_once_it_was_read(monkeypatch) -> None:
    model = lstm.Model.create(lstm.LSTM(2, 3), 1, 0)
    flow = lstm.flow(model, np.ones((4, 2, 2)), np.ones((2, 1)))
    monkeypatch.setattr("lstm.figures.explorer.maps.ITEMISED", 3)
    keys = [told["key"] for told in maps_of(flow)]
    assert flow.is_itemised and not flow.has_read("itemised") and "itemised" not in keys
    assert flow.itemised is flow.itemised and flow.has_read("itemised")
    assert [told["key"] for told in maps_of(flow)] == [*keys, "itemised"]
    for other in (replace(flow, source=None), replace(flow, read="decoder")):
        assert not other.is_itemised


def test_the_script_is_short_and_its_modules_share_no_name() -> None:
    text = script_text()
    assert text.count("\n") <= 1200
    assert not re.search(r"^(import|export) ", text, re.MULTILINE)
    names = re.findall(r"^(?:async )?(?:function|class|const|let) (\w+)", text, re.MULTILINE)
    assert len(names) == len(set(names))
    assert "</" not in text and "innerHTML" not in text
