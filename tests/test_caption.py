"""Captions: what is drawn and told of scenes, how often a guess is right, what is read of patches,
where attention looks, and the picture of it."""

from __future__ import annotations

from collections import Counter
from itertools import product
from typing import Any

import numpy as np
import pytest
from matplotlib.colors import to_hex

import lstm
import minigrad as mg
from lstm.errors import ConfigError
from lstm.layers import Context, Steps
from lstm.tasks.caption import COLOURS, GRID, SHAPES, WORDS, Caption, Thing
from minigrad.drawing.charts import Chart, drawn_in
from minigrad.drawing.charts.marks import Pieces

TASK = Caption()
SCENES = TASK.scenes(np.random.default_rng(3), 400)
XS, YS = TASK.drawn(np.random.default_rng(4), SCENES)
PICTURES = TASK.pictures(XS)


def seen(picture: Any, thing: Thing) -> tuple[str, str]:
    """The colour and the shape of what lies on a thing's patches, by what is nearest."""
    part = picture[4 * thing.row :, 4 * thing.column :][:8, :8]
    best = {}
    for colour, rgb in COLOURS.items():
        is_it = np.linalg.norm(part - np.array(rgb), axis=-1) < np.linalg.norm(part - 0.5, axis=-1)
        best[colour] = -np.linalg.norm(part[3:5, 3:5].mean((0, 1)) - np.array(rgb)), is_it
    colour = max(best, key=lambda name: best[name][0])
    rows = best[colour][1].sum(1).tolist()
    steps = {"square": [8] * 8, "circle": [4, 6, 8, 8, 8, 8, 6, 4], "cross": [2] * 3 + [8] * 2}
    steps["cross"] += [2] * 3
    near = {shape: np.abs(np.subtract(rows, n)).sum() for shape, n in steps.items()}
    near["triangle"] = np.abs(np.subtract(rows, [0, 2, 2, 4, 4, 6, 6, 8])).sum()
    return colour, min(near, key=lambda shape: near[shape])


def test_a_picture_shows_the_things_of_its_scene_and_no_others():
    assert PICTURES.shape == (400, 28, 28, 3)
    for picture, scene in zip(PICTURES, SCENES, strict=True):
        grey = np.ones((28, 28), bool)
        for thing in scene:
            assert seen(picture, thing) == thing[:2]
            grey[4 * thing.row :, 4 * thing.column :][:8, :8] = False
        assert abs(picture[grey] - 0.5).max() < 0.3


def test_patches_are_read_in_rows_with_their_places():
    assert XS.shape == (49, 400, 62)
    for k in (0, 9, 48):
        patch = PICTURES[7, 4 * (k // 7) :, 4 * (k % 7) :][:4, :4]
        np.testing.assert_array_equal(np.clip(XS[k, 7, :48], 0, 1).reshape(4, 4, 3), patch)
        assert XS[k, :, 48:].argmax(-1).tolist() == [k // 7] * 400
        assert XS[k, :, 55:].argmax(-1).tolist() == [k % 7] * 400
    assert (XS[:, :, 48:].sum(-1) == 2).all()


def caption_of(scene: Any) -> str:
    """By the rule, said another way."""
    told = [f"{thing.colour} {thing.shape}" for thing in scene]
    if len(scene) == 1:
        (one,) = scene
        up, left = one.row + 1 <= 3, one.column + 1 <= 3  # its middle, of seven patches
        return f"{told[0]} at the {'top' if up else 'bottom'} {'left' if left else 'right'}"
    a, b = scene
    right, down = b.column - a.column, b.row - a.row
    if down > abs(right):
        return f"{told[0]} above {told[1]}"
    assert right > abs(down)
    return f"{told[0]} left of {told[1]}"


def test_captions():
    assert TASK.said(YS) == [caption_of(scene) for scene in SCENES]
    for k, scene in enumerate(SCENES):
        words = TASK.words(scene)
        assert YS[len(words), k] == 0
        assert (YS[len(words) + 1 :, k] == -1).all()
        for word, thing in zip(words, TASK.named(scene), strict=True):
            assert (thing is None) == (word not in (*COLOURS, *SHAPES))
            assert thing is None or word in thing[:2]
    boxes = [[set(thing.box) for thing in scene] for scene in SCENES]
    assert all(not a & b for a, b in (pair for pair in boxes if len(pair) == 2))
    assert {len(box) for scene in boxes for box in scene} == {4}
    assert Thing("red", "cross", 1, 2).box == [9, 10, 16, 17]


def test_the_baseline_is_the_entropy_of_captions_a_word():
    """Of all scenes there are, as often as they are drawn."""
    often: Counter[str] = Counter()
    places = [*product(range(6), repeat=2)]
    pairs = [np.abs(np.subtract(a, b)) for a in places for b in places]
    for row, column in places:
        often[TASK.words((Thing("red", "cross", row, column),))[-2]] += 1
    assert often == {"top": 18, "bottom": 18}
    beside = np.mean([d[1] > d[0] for d in pairs if d.max() > 1 and d[0] != d[1]])
    p = [1 / 128] * 64 + [beside / 480] * 240 + [(1 - beside) / 480] * 240
    assert sum(p) == pytest.approx(1)
    words = 0.5 * 7 + 0.5 * (beside * 7 + (1 - beside) * 6)
    assert TASK.baseline == pytest.approx(-np.sum(p * np.log(p)) / words)
    assert TASK.best_guess == max(p)
    lengths = (YS >= 0).sum(0)
    assert lengths.mean() == pytest.approx(words, abs=0.05)


def test_the_mass_within_the_box_of_what_a_word_names():
    scene = (Thing("red", "cross", 0, 0), Thing("blue", "square", 4, 5))
    weights = np.zeros((7, 1, 49))
    weights[:, 0, [0, 8, 40, 2]] = 0.5, 0.25, 0.15, 0.1
    mass = TASK.mass(weights, [scene])
    np.testing.assert_allclose(mass[:, 0], [0.75, 0.75, np.nan, np.nan, 0.15, 0.15, np.nan])
    assert TASK.words(scene)[4:] == ["blue", "square"]
    with pytest.raises(ConfigError, match=r"are \(U, 2, 49\), .* not \(7, 1, 49\)"):
        TASK.mass(weights, [scene, scene])


# --- what reads it -------------------------------------------------------------------------------


def test_annotations_are_of_each_patch_alone_and_end_in_their_mean():
    layer = lstm.LAYERS["annotations"](3, 2, dtype="float64")
    params: Any = layer.init(np.random.default_rng(0))
    assert (np.abs(params["W_x"]).max() <= 3**-0.5, params["b_x"].tolist()) == (True, [0, 0])
    params["b_x"] = np.array([0.5, -0.5])
    xs = np.random.default_rng(1).standard_normal((4, 2, 3))
    mask = np.array([[True] * 2, [True] * 2, [True, False], [True, False]])
    expected = np.tanh(xs @ params["W_x"] + params["b_x"])
    weights = {name: mg.const(value) for name, value in params.items()}
    whole, _ = layer.run(weights, Steps.of(mg.const(xs)), {}, Context())
    np.testing.assert_allclose(whole.stacked.eval(), expected)
    np.testing.assert_allclose(whole.end.eval(), expected.mean(0))
    padded = Steps.of(mg.const(np.where(mask[..., None], xs, np.nan)), mg.const(mask))
    some, _ = layer.run(weights, padded, {}, Context(mask=mg.const(mask)))
    np.testing.assert_allclose(some.end.eval()[1], expected[:2, 1].mean(0))
    np.testing.assert_allclose(some.end.eval()[0], expected[:, 0].mean(0))
    written = Steps.of(mg.const(xs), written_out=True)
    rows, _ = layer.run(weights, written, {}, Context())
    np.testing.assert_allclose(rows.end.eval(), expected.mean(0))


def test_a_model_made_for_it_has_no_recurrent_layer_and_keeps_its_file(tmp_path):
    model = lstm.Model.create(lstm.GRU, task=TASK, attention="additive", hidden_size=5)
    assert model.recurrent() == {}
    assert isinstance(model.readout, lstm.Decoder)
    assert model.cell == model.readout.cell
    assert model.cell == lstm.GRU(10, 5, memory=7)
    model.save(tmp_path / "m.safetensors")
    again = lstm.Model.load(tmp_path / "m.safetensors")
    xs = XS[:, :3]
    run = again.run(xs)
    weights = run.attention.eval()
    assert weights.shape == (7, 3, 49)
    np.testing.assert_allclose(weights.sum(-1), 1, rtol=1e-5)
    np.testing.assert_array_equal(run.output.eval(), model.run(xs).output.eval())
    shuffled = np.random.default_rng(0).permutation(49)  # no patch knows when it was read
    np.testing.assert_allclose(
        again.run(xs[shuffled]).attention.eval(), weights[:, :, shuffled], rtol=1e-4
    )
    with pytest.raises(ConfigError, match=r"no recurrent layer.* lstm\.plot_alignment and"):
        lstm.flow(model, xs, YS[:, :3])
    layered = lstm.Model.create(lstm.GRU, task=TASK, hidden_size=5, layers=1)
    assert list(layered.recurrent()) == ["layer1"]


# --- the picture ---------------------------------------------------------------------------------


def test_the_picture_shines_through_where_the_decoder_looks():
    weights = np.zeros((3, 4))
    weights[:2] = [[0.6, 0.3, 0.1, 0.0], [0.0, 0.0, 0.0, 1.0]]
    image = np.random.default_rng(0).random((6, 6, 3))
    with drawn_in("dark"):
        ax = lstm.plot_caption(image, mg.const(weights), ["red", "$x"], boxes=[[0, 2], None])
    assert [t.get_text() for t in ax.texts] == ["the picture", "red", "70 % in its box", "$x"]
    assert [np.asarray(shown.get_array()).tolist() for shown in ax.images] == [image.tolist()] * 3
    veils = [a for a in ax.collections if isinstance(a, Pieces)]
    for veil, row in zip(veils, weights, strict=False):
        assert {to_hex(color) for color in veil.get_facecolor()} == {to_hex(ax.get_facecolor())}
        hidden = np.asarray(veil.get_facecolor())[:, 3]
        np.testing.assert_allclose(hidden, 0.88 * (1 - row / row.max()))
    assert veils[0].hints[1] == "red: 0.300 of row 1, column 2"
    left, right, *_ = ax.images[1].get_extent()
    corners: Any = [path.vertices[:4].mean(0) for path in veils[0].get_paths()]
    assert [c[0] < (left + right) / 2 for c in corners] == [True, False, True, False]
    (frame,) = ax.lines
    low, high = frame.get_xydata().min(0), frame.get_xydata().max(0)
    np.testing.assert_allclose([low[0], high[0], high[1] - low[1]], [left, (left + right) / 2, 1])
    svg = Chart(ax.figure, title="t", description="d").svg
    assert svg.count("<image") == 3
    assert len(svg) < 30_000


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"picture": np.ones((4, 4))}, r"\(H, W, 3\)"),
        ({"picture": np.full((4, 4, 3), 1.5)}, "from 0 to 1"),
        ({"words": "ab"}, "must be a list of texts"),
        ({"words": []}, "one row at least"),
        ({"words": ["a", "b"]}, r"2 rows need \(2, S\) shares .* not \(1, 4\)"),
        ({"weights": [[0.5, 0.25, 0.25]]}, "as many rows of patches as columns"),
        ({"weights": [[1.5, 0, 0, 0]]}, "a share is a number from 0 to 1"),
        ({"boxes": [[4]]}, "a list of patches from 0 to 3"),
        ({"boxes": [[0], [1]]}, "for each of 1 rows, not 2"),
    ],
)
def test_what_does_not_fit_a_picture_is_said(change, message):
    usual: dict[str, Any] = {"picture": np.zeros((4, 4, 3)), "weights": [[1.0, 0, 0, 0]]}
    with pytest.raises(mg.MinigradError, match=message):
        lstm.plot_caption(**usual | {"words": ["a"]} | change)


def test_words_are_each_once():
    assert len(set(WORDS)) == len(WORDS)
    assert TASK.output_size == len(WORDS) + 1
    assert TASK.steps == GRID**2


def test_words_that_there_are_not_are_refused():
    for wrong, words in (([[99]], "token 99"), ([[-2]], "token -2"), ([1, 2], r"answers \(U, B\)")):
        with pytest.raises(ConfigError, match=words):
            TASK.said(np.array(wrong))
    assert TASK.said([[1, 0], [-1, 2]]) == ["red", ""]
