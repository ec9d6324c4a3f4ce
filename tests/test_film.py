"""The strip of a film, read back: frames, what happens, what is said, and the bars of influence."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.colors import to_hex

import lstm
from lstm.errors import ConfigError
from lstm.figures.film import Film, Watched, plot_watched, watch
from lstm.tasks.movie import EVENTS, Movie
from minigrad.drawing import Scale

pytestmark = pytest.mark.usefixtures("by_numpy")
STEPS, A_ROW = 20, 16
SCALE = Scale(-6.0, 0.0)


def made_up():
    rng = np.random.default_rng(0)
    happens = ["nobody", *["○ finds"] * 4, "nobody", *["meet"] * 4, "nobody", *["opens"] * 9]
    wrong = [*happens]
    wrong[7:9] = ["← gives"] * 2
    sizes = 10.0 ** -np.linspace(5.5, 0.5, STEPS)
    others = sizes[::-1] / 2
    sizes[2] = 0.0
    kinds = ["normal", "normal", "underflow", *["normal"] * 17]
    none: list[Any] = ["normal"] * STEPS
    return Film(
        rng.random((STEPS, 12, 12)),
        happens,
        18,
        {"$a$": Watched(happens, sizes, kinds), "b": Watched(wrong, others, none)},
    )


def places(ax, words):
    return [text.get_position() for text in ax.texts if text.get_text() == words]


def test_each_frame_its_event_and_what_is_said_stand_one_below_the_other():
    film = made_up()
    ax = plot_watched(film, scale=SCALE, title="A film")
    assert ax.get_title() == "A film"
    images: Any = ax.images
    assert len(images) == STEPS
    lefts = [image.get_extent()[0] for image in images]
    for t, image in enumerate(images):
        np.testing.assert_array_equal(image.get_array(), film.frames[t])
        assert image.get_clim() == (0.0, 1.0)
        assert lefts[t] == lefts[t % A_ROW]
        bottom = image.get_extent()[2]
        assert bottom == images[0].get_extent()[2] + (t // A_ROW) * (
            images[A_ROW].get_extent()[2] - images[0].get_extent()[2]
        )
    assert np.diff(lefts[:A_ROW]).min() > 0
    words = [text.get_text() for text in ax.texts]
    first = ["nobody", "○ finds", "nobody", "meet", "nobody", "opens"]
    assert words[:6] == first
    right = [f"✓ {event}" for event in first]
    assert words[6:13] == [*right, "$a$"]
    wrong = [*right[:3], "✓ meet", "✗ ← gives", "✓ meet", *right[4:]]
    assert words[13:22] == [*wrong, "b"]
    assert words[22:] == ["opens", "✓ opens", "$a$", "✓ opens", "b"]
    middle = (lefts[7] + images[8].get_extent()[1]) / 2  # of the two frames that it is of
    (place,) = places(ax, "✗ ← gives")
    assert place[0] == pytest.approx(middle)
    said = places(ax, "✓ nobody")[0][1]
    assert places(ax, "nobody")[0][1] < said


def test_the_border_is_around_the_frame_that_is_looked_at():
    ax = plot_watched(made_up(), scale=SCALE)
    border: Any = ax.patches[17]
    widths = [patch.get_linewidth() for patch in ax.patches]
    assert len(widths) == len(ax.images) and min(widths) < widths.pop(17) / 2 > max(widths)
    box = border.get_bbox()
    left, right, bottom, top = ax.images[17].get_extent()  # type: ignore[attr-defined]
    assert (box.x0 + 1, box.x1 - 1, box.y0 + 1, box.y1 - 1) == pytest.approx(
        (left, right, top, bottom)
    )
    assert not border.get_fill()
    key = ax.child_axes[0]
    said = [text.get_text() for text in key.texts]
    assert "The answer is that to the frame with a border, frame 18." in said
    assert any("underflow" in words for words in said)


def test_bars_are_as_high_as_decades_and_end_where_the_answer_is_given():
    film = made_up()
    ax = plot_watched(film, scale=SCALE)
    read: dict[str, list[tuple[float, float, str]]] = {}
    for group in ax.collections:
        hints: Any = group.hints  # type: ignore[attr-defined]
        if isinstance(group, PolyCollection):
            for path, color, hint in zip(
                group.get_paths(), group.get_facecolor(), hints, strict=True
            ):
                box = path.get_extents()
                read.setdefault(hint, []).append((box.x0, box.height, to_hex(color)))
        else:
            assert isinstance(group, LineCollection)
            assert hints == ("t=3: ‖∂y/∂x‖ = 0.00e+00",)
    drawn = 0
    for watched in film.watched.values():
        for t in range(STEPS):
            hint = f"t={t + 1}: ‖∂y/∂x‖ = {watched.influence[t]:.2e}"
            if t >= film.at or watched.influence[t] == 0:
                assert hint not in read
                continue
            ((left, height, color),) = read[hint]
            drawn += 1
            assert left == ax.images[t].get_extent()[0]  # type: ignore[attr-defined]
            decades = np.log10(watched.influence[t])
            assert height == pytest.approx((decades + 6) / 6 * 20, abs=1e-9)
            assert color == SCALE.style(watched.influence[t]).color
    assert drawn == 17 + 18


def test_what_models_did_is_what_they_say_and_the_influence_of_that_frame():
    task = Movie(frames=4, scenes=3)
    model = lstm.Model.create(lstm.RNN, task=task, hidden_size=3)
    film = watch({"RNN": model}, task, seed=4)
    xs, ys = task.batch(np.random.default_rng(4), 1)
    np.testing.assert_allclose(film.frames.reshape(12, 144), xs[:, 0])
    assert [*film.happens] == [EVENTS[k] for k in ys[:, 0]]
    untold = {"gives →", "← gives", "meet", "opens", "shut out"}
    assert film.happens[film.at - 1] in untold
    assert not untold & {*film.happens[film.at :]}
    said = film.watched["RNN"]
    assert [*said.said] == [EVENTS[k] for k in model.output(xs).eval()[:, 0].argmax(-1)]
    # One step back, by hand: y = W_y h_t + b, h_t = tanh(W [h, x] + b).
    values = {n.rpartition(".")[2]: v.astype(float) for n, v in model.values().items()}
    W, b, h, states = values["W_h"], values["b_h"], np.zeros(3), []
    for x in xs[:, 0].astype(float):
        h = np.tanh(np.concatenate([h, x]) @ W + b)
        states.append(h)
    reader = next(v for v in values.values() if v.shape == (3, len(EVENTS)))
    t = film.at - 1
    after = np.diag(1 - states[t] ** 2) @ reader
    here, before = W[3:] @ after, W[3:] @ np.diag(1 - states[t - 1] ** 2) @ W[:3] @ after
    np.testing.assert_allclose(
        said.influence[t - 1 : t + 1], [np.linalg.norm(before), np.linalg.norm(here)], rtol=1e-4
    )
    assert (said.influence[t + 1 :] == 0).all()


def test_what_is_no_film():
    task = Movie(frames=4, scenes=2)
    model = lstm.Model.create(lstm.RNN, task=task, hidden_size=2)
    models: Any
    for models, more, words in (
        ({}, {}, "models are a dict of them by name"),
        (model, {}, "models are a dict of them by name"),
        ({"a": 3}, {}, "a model is needed"),
        ({"a": model}, {"task": "movie"}, r"task= is a film, lstm.Movie\(\), not 'movie'"),
        ({"a": model}, {"at": 9}, "at= is a frame, 1 to 8, not 9"),
        ({"a": model}, {"at": 0}, "at must be a whole number"),
        ({"a": model}, {"seed": -1}, "seed must be a whole number"),
    ):
        with pytest.raises(ConfigError, match=words):
            lstm.plot_film(models, **{"task": task} | more)
