"""Triangles: which zeros are none, and what is said of rows that are samples."""

from __future__ import annotations

import numpy as np
import pytest

import lstm
import minigrad as mg
from lstm.gradient_flow.across import StepMap

T = 30


def _fading(factor: float) -> lstm.Flow:
    """An RNN at 0, each step of which multiplies the gradient by `factor`, in float32."""
    model = lstm.Model.create(lstm.RNN(1, 2), 1, 0)
    model.params["layer1"]["W_h"].value = np.float32([[factor, 0], [0, factor], [0, 0]])
    return lstm.flow(model, np.zeros((T, 1, 1)), np.ones((1, 1)))


def test_what_is_too_small_for_the_dtype_is_an_underflow() -> None:
    flow = _fading(0.01)
    table = flow.itemised
    steps = np.arange(T)
    back = steps[:, None] - steps[None]  # from t back to s
    last = table.high[T - 1, T - 1]
    with np.errstate(under="ignore"):
        true = np.where(back >= 0, last * 0.01 ** np.maximum(back, 0).astype(float), 0.0)
    np.testing.assert_allclose(table.high[true > 1e-37], true[true > 1e-37], rtol=1e-4)
    lost = (back >= 0) & (table.high == 0.0)
    assert true[lost].max() < np.finfo(np.float32).tiny and lost.sum() > 20
    np.testing.assert_array_equal(table.kinds, np.where(lost, "underflow", "normal"))
    np.testing.assert_array_equal(table.low_kinds, table.kinds)
    ax = lstm.plot_itemised(flow)
    assert ax.get_title("left") or ax.get_title()
    words = [hint for artist in ax.get_children() for hint in getattr(artist, "hints", ())]
    assert any("t=30, s=1 …" in hint and "underflow" in hint for hint in words)


def test_a_factor_of_zero_is_a_zero() -> None:
    table = _fading(0.0).itemised
    assert set(table.kinds.flat) == {"normal"} and table.high[5, 3] == 0.0 < table.high[5, 5]


def test_of_a_run_of_steps_both_ends_have_their_kind() -> None:
    """Runs of two steps: what is lost, what is 0, and what is neither, in all pairs."""
    norms, larger = np.ones((1, 512)), np.ones((1, 512))
    for k, (a, b) in enumerate([("lost", "lost"), ("lost", "none"), ("none", "none"),
                                ("lost", "some"), ("none", "some")]):  # fmt: skip
        for place, what in ((2 * k, a), (2 * k + 1, b)):
            norms[0, place] = float(what == "some")
            larger[0, place] = float(what != "none")
    table = StepMap.of("n", [511], norms, larger)
    assert table.columns[:2] == ((1, 2), (3, 4))
    assert table.kinds[0, :6].tolist() == ["underflow", "underflow", *["normal"] * 4]
    assert table.low_kinds[0, :6].tolist() == [
        "underflow", "normal", "normal", "underflow", "normal", "normal",
    ]  # fmt: skip


@pytest.mark.parametrize(("steps", "title"), [(256, "n"), (1000, "n (256 of 1,000 steps t)")])
def test_rows_that_are_samples_are_said_to_be(steps, title) -> None:
    rows = np.linspace(0, steps - 1, 256).round().astype(int).tolist()
    assert StepMap.of("n", rows, np.ones((256, steps))).title == title


def test_a_chart_draws_the_kinds_that_it_is_told() -> None:
    sizes = np.tril(np.ones((3, 3)))
    sizes[2, 0] = sizes[1, 0] = 0.0
    kinds = np.full((3, 3), "normal", dtype="<U9")
    kinds[2, 0] = "underflow"
    ax = mg.charts.triangle(sizes, kinds=kinds)
    words = [hint for artist in ax.get_children() for hint in getattr(artist, "hints", ())]
    told = {hint.split(":")[0]: hint for hint in words}
    assert "underflow" in told["t=3, s=1 … 1"] and "underflow" not in told["t=2, s=1 … 1"]
    with pytest.raises(mg.ShapeError, match="as many kinds"):
        mg.charts.triangle(sizes, kinds=["normal"])
