"""The explorer's graph of a step: its numbers are those of the same net written out, where each op
of each step is a node of its own; and what is chosen in the page is shown in it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browsing import Opened, four_digits, quiet_page

import lstm
import minigrad as mg
from lstm.figures.explorer.graph import closed_of, picture_of
from lstm.figures.explorer.packed import OTHERS, decades_of
from lstm.figures.explorer.steps import steps_of
from lstm.gradient_flow.tensors import loss_of
from minigrad.drawing import RenderError, Scale

pytestmark = pytest.mark.usefixtures("by_numpy")
T, B, H = 12, 3, 5
NO_AXE = "axe-playwright-python is not installed: pip install '.[browser]'"
EVIL = "<img src=x onerror=alert(1)>"
XS = np.random.default_rng(0).standard_normal((T, B, 2))
YS = np.ones((B, 1))


def model_of(cell: type[Any], seed: int = 0) -> Any:
    return lstm.Model.create(cell(2, H, dtype="float64"), 1, seed)


class WrittenOut:
    """The steps of a model as plain nodes, and the adjoints of all of them: no loop is in it."""

    def __init__(self, model: Any) -> None:
        xs, ys = mg.var("xs", XS.shape, "float64"), mg.var("ys", YS.shape, "float64")
        self.unrolled = model.unroll(xs)
        self.adjoints = mg.adjoints(loss_of(model)(self.unrolled.output, ys))
        self.at = {xs: XS, ys: YS}

    def node(self, way: str, step: int) -> Any:
        """As "C.0.1": the second argument of the first of C."""
        name, *down = way.split(".")
        node = self.unrolled.values[step - 1][name]
        for k in down:
            node = node.args[int(k)]
        return node

    def told(self, expr: Any) -> float:
        """The four digits of a norm."""
        return four_digits(float(np.linalg.norm(np.asarray(expr.eval(self.at)))))

    def value(self, way: str, step: int) -> float:
        return self.told(self.node(way, step))

    def gradient(self, way: str, step: int) -> float:
        return self.told(self.adjoints[self.node(way, step)])

    def term(self, reader: str, position: int, step: int) -> float:
        return self.told(self.adjoints.edge(self.node(reader, step), position))


@pytest.fixture(scope="module")
def models() -> dict[str, Any]:
    return {EVIL: model_of(lstm.LSTM), "GRU": model_of(lstm.GRU, 1)}


@pytest.fixture(scope="module")
def written(models) -> dict[str, WrittenOut]:
    return {name: WrittenOut(model) for name, model in models.items()}


@pytest.fixture(scope="module")
def flows(by_numpy, models) -> dict[str, Any]:
    return {name: lstm.flow(model, XS, YS) for name, model in models.items()}


@pytest.fixture(scope="module")
def path(flows, tmp_path_factory) -> Path:
    saved: Path = lstm.explore(flows).save(tmp_path_factory.mktemp("graph") / "graph.html")
    return saved


@pytest.fixture(scope="module")
def opened(browser, path) -> Iterator[Opened]:
    with quiet_page(browser, path) as page:
        yield page


def go(opened: Opened, step: int, model: int = 0, less: int = -1) -> None:
    opened.page.locator("#models input").nth(model).check()
    opened.page.locator("#less").select_option(str(less))
    opened.page.locator("#step").fill(str(step))
    opened.page.locator("#step").press("Enter")


def graph(opened: Opened) -> Any:
    return opened.page.locator(".opened:visible")


def node(opened: Opened, title: str) -> Any:
    """The first node with just this beside its numbers, spaces aside."""
    wanted = title.replace(" ", "")
    for one in graph(opened).locator("g.node[tabindex]").all():
        texts = [
            text.replace(" ", "").replace("\xa0", "")
            for text in one.locator("text").all_text_contents()
        ]
        if "".join(texts).partition("‖")[0] == wanted:
            return one
    raise AssertionError(f"no node is {title}")


def said(opened: Opened) -> str:
    text: str = graph(opened).locator(".told").inner_text()
    return text


def number(text: str) -> float:
    return float(re.search(r"\d[\d.]*(?:e[+-]\d+)?", text)[0])


OPS = {"C +": "C", "f σ": "f", "h ×": "h", "· + b_i": "i.0", "· @ W_o": "o.0.0", "tanh": "h.1"}


@pytest.mark.parametrize("step", [1, 5, T])
def test_values_and_gradients_of_ops_are_those_of_the_net_written_out(
    opened, flows, written, step
) -> None:
    go(opened, step)
    net, scale = written[EVIL], Scale.of(x for flow in flows.values() for x in flow.drawn_norms)
    for title, way in OPS.items():
        shown, gradient = node(opened, title), net.gradient(way, step)
        assert number(shown.locator(".value").text_content()) == net.value(way, step), title
        assert number(shown.locator(".gradient").text_content()) == gradient, title
        style = scale.style(gradient)
        fill = shown.locator(".chip").evaluate("chip => getComputedStyle(chip).fill")
        assert fill == (rgb(style.color) if style.kind == "normal" else "none")
        line = shown.locator(".line")
        assert line.evaluate("line => getComputedStyle(line).stroke") == rgb(style.color)
        width = line.evaluate("line => parseFloat(getComputedStyle(line).strokeWidth)")
        assert width == min(style.width, 3)


def rgb(colour: str) -> str:
    return f"rgb({', '.join(str(int(colour[k : k + 2], 16)) for k in (1, 3, 5))})"


def test_of_padded_sequences_the_state_before_gets_what_the_step_sends() -> None:
    model, lengths = model_of(lstm.LSTM), np.array([T, 8])
    flow = lstm.flow(model, XS[:, :2], YS[:2], lengths=lengths)
    picture = picture_of(flow)
    assert picture is not None
    rows = decades_of(steps_of(flow, picture)["ops"]["high"])
    alone = lstm.flow(model, XS[:, :1], YS[:1])  # its loss is no mean of two
    nodes = {n.id: f"{n.name} {n.title}".strip() for n in picture.picture.nodes}
    before = {nodes[id]: id for id, by in picture.steps.items() if by == -1}
    # h is read by the next step alone, C also by its own
    wanted = {"h": alone.adjoints["h"], "C": alone.edges["C"]["C"]}
    for symbol, gradients in wanted.items():
        sent = rows[picture.gradients[before[f"{symbol}ₜ₋₁"]]]
        for step in (9, 10, T):  # at which the second sequence is padding
            norm = np.linalg.norm(gradients[step - 2]) / 2
            assert sent[step - 1] == pytest.approx(np.log10(norm), abs=5e-4)


@pytest.mark.parametrize("step", [2, 7, T])
def test_terms_are_those_of_the_edges_of_the_net_written_out(opened, written, step) -> None:
    go(opened, step)
    net = written[EVIL]
    node(opened, "C +").focus()
    told = said(opened)
    assert told.startswith(f"t = {step}, C +; ‖value‖ {net.value('C', step):g}; ")
    assert number(told.partition("tanh (")[2]) == net.term("h.1", 0, step)
    if step < T:
        later = net.adjoints.edge(net.node("C.0", step + 1), 1)
        assert number(told.partition("step t + 1 (")[2]) == net.told(later)
    else:
        assert "step t + 1 (exactly 0)" in told
    assert "f * Cₜ₋₁ + i * C̃; made at lstm.py:" in told
    node(opened, "[ , ]").focus()
    for symbol in "fiCo":
        name = "C̃" if symbol == "C" else symbol
        told = said(opened).partition(f"· @ W_{symbol} (")[2]
        assert number(told) == net.term(f"{name}.0.0", 0, step)
    go(opened, step, model=1)
    node(opened, "z σ").focus()
    told, net = said(opened), written["GRU"]
    assert number(told.partition("σ")[2].partition("∂L/∂value‖")[2]) == net.gradient("z", step)
    terms = sorted(
        number(text) for text in re.findall(r"\(([^)]*)\)", told.partition("sums")[2])[:2]
    )
    uses = [*net.adjoints.edges(net.node("z", step))]
    assert terms == sorted(net.told(net.adjoints.edge(*use)) for use in uses)


def test_a_click_enter_or_a_map_opens_a_step(opened, written) -> None:
    go(opened, 6)
    steps = graph(opened).locator("g.node[role=button]")
    after = steps.filter(has_text="step 7").first
    after.click()
    assert opened.page.locator("#step").input_value() == "7"
    left, _ = opened.marked("norms")
    assert left == pytest.approx(6 / T, abs=0.01)
    opened.page.wait_for_url(re.compile(r"step=7&"))
    node(opened, "Cₜ₋₁").focus()
    opened.page.keyboard.press("Enter")
    assert opened.page.locator("#step").input_value() == "6"
    assert steps.filter(has_text="step 7").count() == 2
    value = node(opened, "C +").locator(".value")
    assert number(value.text_content()) == written[EVIL].value("C", 6)
    opened.page.keyboard.press("Escape")
    for step in (9, 3):  # the graph follows to where the pointer is then
        opened.hover("norms", (step - 0.5) / T, 0.1)
    graph(opened).locator("[data-op]", has_text="step 4").first.wait_for()
    assert number(value.text_content()) == written[EVIL].value("C", 3)
    go(opened, T)
    assert steps.filter(has_text="after the last").count() == 2
    steps.filter(has_text="after the last").first.click()
    assert opened.page.locator("#step").input_value() == str(T)


def test_folded_steps_tell_their_norms_and_open_by_a_click_and_by_keys(opened, flows) -> None:
    go(opened, 4)
    opened.frame("norms").press("Escape")  # what is kept does not follow the pointer
    norms = flows[EVIL].series["h"].norms
    scale = Scale.of(x for flow in flows.values() for x in flow.drawn_norms)
    for k in (0, 5, T - 1):
        place = (k + 0.5) / T, 0.75
        opened.hover("folded", *place)
        assert opened.said("folded") == f"t = {k + 1}, |∂L/∂hₜ|: {four_digits(norms[k]):g}"
        ((*colour, _),) = opened.colors("folded", [place])
        assert rgb(scale.style(norms[k]).color) == f"rgb({', '.join(map(str, colour))})"
    opened.hover("folded", 6.5 / T, 0.25)
    opened.page.mouse.down()
    opened.page.mouse.up()
    assert opened.page.locator("#step").input_value() == "7"
    assert opened.marked("folded")[0] == pytest.approx(6 / T, abs=0.01)
    assert opened.marked("norms")[0] == pytest.approx(6 / T, abs=0.01)
    opened.frame("folded").press("ArrowLeft")
    assert opened.page.locator("#step").input_value() == "6"
    ends = graph(opened).locator(".folded button")
    ends.nth(1).click()
    assert opened.page.locator("#step").input_value() == str(T)
    ends.nth(0).focus()
    opened.page.keyboard.press("Enter")
    assert opened.page.locator("#step").input_value() == "1"
    opened.page.keyboard.press("Escape")


def test_a_range_is_let_go_by_a_folded_step_and_by_escape_and_space_opens_a_step(opened) -> None:
    go(opened, 4)
    chosen = opened.page.locator("#range")
    for let_go in ("a folded step", "Escape"):
        opened.frame("norms").focus()
        opened.page.keyboard.press("Shift+ArrowRight")
        assert chosen.is_visible()
        if let_go == "a folded step":
            opened.hover("folded", 6.5 / T, 0.25)
            opened.page.mouse.down()
            opened.page.mouse.up()
            assert opened.page.locator("#step").input_value() == "7"
        else:
            node(opened, "C +").focus()
            opened.page.keyboard.press("Escape")
        assert not chosen.is_visible(), let_go
    go(opened, 6)
    node(opened, "Cₜ₋₁").focus()
    above = opened.page.evaluate("scrollY")
    opened.page.keyboard.press("Space")
    assert opened.page.locator("#step").input_value() == "5"
    assert opened.page.evaluate("scrollY") == above


def test_dragging_a_graph_pans_it_and_opens_no_step(opened) -> None:
    go(opened, 4)
    frame = graph(opened).locator(".scroll.wide")
    for _ in range(4):
        graph(opened).locator("[data-zoom='1.25']").click()
    after = graph(opened).locator("g.node[role=button]").filter(has_text="step 5").first
    after.scroll_into_view_if_needed()
    box, left = after.bounding_box(), frame.evaluate("frame => frame.scrollLeft")
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    opened.page.mouse.move(x, y)
    opened.page.mouse.down()
    opened.page.mouse.move(x + 60, y, steps=4)  # the node comes along, below the pointer
    opened.page.mouse.up()
    assert frame.evaluate("frame => frame.scrollLeft") == pytest.approx(left - 60, abs=2)
    assert opened.page.locator("#step").input_value() == "4"
    after.click()
    assert opened.page.locator("#step").input_value() == "5"
    graph(opened).locator("[data-zoom='1']").click()


def test_moments_of_unlike_length_have_strips_of_their_own(browser, tmp_path) -> None:
    watch = lstm.FlowWatch(arrays=True)
    model = model_of(lstm.LSTM)
    watch._flows = {0: lstm.flow(model, XS, YS), 1: lstm.flow(model, XS[:6], YS)}
    other = lstm.FlowWatch(arrays=True)
    other._flows = {0: lstm.flow(model, XS, YS), 1: lstm.flow(model, XS, YS)}
    page = Opened(browser, lstm.explore({"a": watch, "b": other}).save(tmp_path / "two.html"))
    for moment, flow in enumerate(watch.flows.values()):
        page.page.locator("#moment").fill(str(moment))
        for k in (0, flow.steps - 1):
            norm = four_digits(flow.series["h"].norms[k])
            page.hover("folded", (k + 0.5) / flow.steps, 0.75)
            assert page.said("folded") == f"t = {k + 1}, |∂L/∂hₜ|: {norm:g}"
        graph(page).locator(".folded button").last.click()
        assert page.page.locator("#step").input_value() == str(flow.steps)
        page.frame("folded").press("Escape")
    page.page.locator("#less").select_option("1")
    assert "b has not as many steps" in graph(page).locator("> h3").inner_text()
    finding = page.page.locator("#finding")
    assert "has 6 steps, b after 1 step of training 12: nothing" in finding.inner_text()
    page.page.locator("#moment").fill("0")
    assert finding.inner_text().endswith("Less b after 0 steps of training.")
    assert page.complaints == []
    page.context.close()


def test_a_bin_of_exact_0_has_its_texture(browser, tmp_path) -> None:
    model = model_of(lstm.LSTM)
    for leaf in model.flat_params.values():
        if leaf.value.shape[-1] == 1:
            leaf.value = leaf.value * 0  # of the head: no gradient comes from it
    page = Opened(browser, lstm.flow(model, XS, YS).save(tmp_path / "zero.html"))
    page.hover("folded", 0.5 / T, 0.25)
    assert page.said("folded").endswith(": exactly 0")
    spots = [(x / T, y) for x in np.linspace(0.2, 0.8, 20) for y in np.linspace(0.02, 0.48, 20)]
    opacities = [pixel[3] for pixel in page.colors("folded", spots)]
    assert min(opacities) < 255 and max(opacities) > 0
    page.context.close()


def test_pointing_at_an_arrow_tells_its_term_in_whose_look_it_is(opened, flows, written) -> None:
    go(opened, 4)
    net, scale = written[EVIL], Scale.of(x for flow in flows.values() for x in flow.drawn_norms)
    later = net.told(net.adjoints.edge(net.node("C.0", 5), 1))
    terms = {"C + gets from tanh": net.term("h.1", 0, 4), "C + gets from step t + 1": later}
    terms["· + b_i gets from i σ"] = net.gradient("i.0", 4)  # the one that reads it
    for arrow in graph(opened).locator("g.edge").all():
        path = arrow.locator("path").first
        path.dispatch_event("pointerover")
        told = said(opened).replace("\xa0", " ")
        name = told.removeprefix("t = 4, ").partition(";")[0]
        if name not in terms:
            continue
        term = terms.pop(name)
        assert number(told.rpartition("; ")[2]) == term
        for text in arrow.locator("text").all_text_contents():
            assert number(text) == term
        style = scale.style(term)
        look = path.evaluate(
            "path => (({ stroke, strokeWidth }) => [stroke, strokeWidth])(getComputedStyle(path))"
        )
        assert look == [rgb(style.color), f"{style.width:g}px"]
        assert arrow.locator("title").count() == 0
    assert not terms


def test_nodes_are_searched_and_zoomed_by_keys(opened) -> None:
    go(opened, 4)
    search = graph(opened).get_by_role("searchbox")
    search.fill("b_f")
    assert graph(opened).locator(".toolbar output").inner_text().startswith("1 of ")
    assert "b_f" in graph(opened).locator("g.node.at").text_content()
    search.fill("")
    svg = graph(opened).locator("svg")
    width = svg.bounding_box()["width"]
    graph(opened).locator(".scroll").focus()
    opened.page.keyboard.press("+")
    assert svg.bounding_box()["width"] == pytest.approx(1.25 * width, rel=0.01)
    opened.page.keyboard.press("0")


def test_names_are_text_and_each_model_has_its_graph(opened) -> None:
    go(opened, 4)
    assert opened.page.locator("img").count() == 0
    assert graph(opened).count() == 1 and "W_f" in graph(opened).inner_text()
    go(opened, 4, model=1)
    assert graph(opened).count() == 1 and "W_z" in graph(opened).inner_text()


def test_dark_and_printed_it_can_be_read(browser, path) -> None:
    page = Opened(browser, path, color_scheme="dark")
    text, chip = (node(page, "C +").locator(f".{of}") for of in ("value", "chip"))
    assert text.evaluate("text => getComputedStyle(text).fill") == "rgb(170, 178, 187)"
    colour = chip.evaluate("chip => chip.closest('g').style.getPropertyValue('--color')")
    assert chip.evaluate("chip => getComputedStyle(chip).fill") == rgb(colour)
    page.page.emulate_media(media="print")
    assert graph(page).locator("svg").is_visible()
    assert not graph(page).locator(".toolbar").is_visible()
    assert text.evaluate("text => getComputedStyle(text).fill") == "rgb(87, 96, 106)"
    page.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(browser, path, scheme) -> None:
    pytest.importorskip("axe_playwright_python", reason=NO_AXE)
    axe = (files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")
    page = Opened(browser, path, color_scheme=scheme, viewport={"width": 1366, "height": 900})
    page.page.evaluate(axe)
    rules = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
    result = page.page.evaluate("rules => axe.run('.opened', { runOnly: rules })", rules)
    assert [(one["id"], one["nodes"][0]["html"]) for one in result["violations"]] == []
    page.context.close()


def test_a_difference_recolours_it_where_nets_are_of_the_same_ops(browser, tmp_path) -> None:
    models = [model_of(lstm.LSTM, seed) for seed in (0, 5)]
    flows = {"a": lstm.flow(models[0], XS, YS), "b": lstm.flow(models[1], XS, YS)}
    flows["other"] = lstm.flow(model_of(lstm.RNN), XS, YS)
    page = Opened(browser, lstm.explore(flows).save(tmp_path / "three.html"))
    go(page, 3, less=1)
    nets = [WrittenOut(model) for model in models]
    node(page, "f σ").focus()
    told = said(page).partition("∂L/∂value‖")[2].partition(";")[0]
    ours, theirs = (net.gradient("f", 3) for net in nets)
    assert re.findall(r"[\d.e-]+", told.partition(", ")[2])[:2] == [
        f"{x:g}" for x in (ours, theirs)
    ]
    decades = np.log10(ours / theirs)
    assert told.strip().startswith(f"{'−' if decades < 0 else '+'}{abs(decades):.2f} decades")
    assert "a less b" in graph(page).locator("> h3").inner_text()
    page.hover("folded", 2.5 / T, 0.25)
    norms = [four_digits(flows[name].series["C"].norms[2]) for name in "ab"]
    assert page.said("folded").endswith(f" decades, {norms[0]:g} and {norms[1]:g}")
    go(page, 3, less=2)
    assert "other has other ops" in graph(page).locator("> h3").inner_text()
    assert number(node(page, "f σ").locator(".gradient").text_content()) == ours
    assert page.complaints == []
    page.context.close()


def test_what_cannot_be_opened_says_why(tmp_path) -> None:
    model = lstm.Model.create(lstm.LSTM(2, 3), 1, 0, layers=2)
    flow = lstm.flow(model, XS, YS, layer=1)
    first, second = model.recurrent()
    assert closed_of(flow).startswith(
        f"Opened is the layer {first}, which this flow is of; of {second}"
    )
    assert closed_of(lstm.flow(lstm.Model.create(lstm.LSTM(2, 3), 1, 0), XS, YS)) == ""
    assert "numbers alone" in closed_of(replace(flow, source=None))


def fading(step: Any) -> Any:
    """A flow in float32 whose gradient underflows on the way back."""
    cell = lstm.cell(step, params={"U": ("I", "H"), "W": ("H", "H")})
    model = lstm.Model.create(cell(2, 3), 1, 0)
    for name, leaf in model.flat_params.items():
        if name.endswith(".W"):
            leaf.value = leaf.value * np.float32(1e-6)
    flow = lstm.flow(model, XS.astype("float32"), YS.astype("float32"))
    assert flow.main.kinds[0] == "underflow"
    return flow


def numbers_of_ops(flow: Any) -> tuple[dict[str, int], Any]:
    """Rows of gradients by what nodes are called, and the codes of all rows, (rows, T)."""
    picture = picture_of(flow)
    rows = {op["name"]: op["row"] for op in picture.told("").values() if "terms" in op}
    return rows, steps_of(flow, picture)["ops"]["high"]


def test_an_op_whose_gradient_underflows_says_so() -> None:
    flow = fading(lambda p, h, x: mg.tanh(x @ p["U"] + h @ p["W"]))
    rows, codes = numbers_of_ops(flow)
    row = codes[rows["· @ W"]]
    assert row[0] == OTHERS["underflow"] and decades_of(row[-1:])[0] > -10


def test_an_op_is_not_taken_for_another_where_float64_has_others() -> None:
    def casting(p, h, x):
        z = mg.astype(x @ p["U"] + h @ p["W"], "float64")
        return mg.astype(mg.tanh(1.5 * z), h.dtype)

    flow = fading(casting)
    rows, codes = numbers_of_ops(flow)
    assert codes[rows["· @ W"]][0] == OTHERS["zero"] and OTHERS["underflow"] in codes
    assert "0 of an op without a name may be an underflow" in closed_of(flow)


def test_too_many_ops_are_not_opened_and_it_says_why() -> None:
    def deep(p, h, x):
        z = x @ p["U"] + h @ p["W"]
        for _ in range(40):
            z = mg.tanh(mg.sin(1.1 * z) + z)
        return z

    model = lstm.Model.create(lstm.cell(deep, params={"U": ("I", "H"), "W": ("H", "H")})(2, 3), 1)
    flow = lstm.flow(model, XS, YS)
    assert picture_of(flow) is None
    assert closed_of(flow).startswith("A step of the deep has 169 ops; up to 150 are measured")


def test_where_nothing_draws_the_page_says_so_without_a_graph(
    browser, flows, tmp_path, monkeypatch
) -> None:
    def refuse(*_: Any, **__: Any) -> str:
        raise RenderError("cannot run dot: <install> Graphviz")

    monkeypatch.setattr("minigrad.drawing.diagram.render", refuse)
    page = Opened(browser, lstm.explore(flows).save(tmp_path / "undrawn.html"))
    go(page, 4)
    words = page.page.locator("#explorer > p").all_inner_texts()
    assert "GRU: No step can be opened: cannot run dot: <install> Graphviz" in words
    assert graph(page).count() == 0 and page.complaints == []
    page.context.close()
