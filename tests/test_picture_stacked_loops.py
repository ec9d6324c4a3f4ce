"""Pictures of several loops and of masks: what is lost is told, and numbers are those of grad."""

from __future__ import annotations

import numpy as np

import lstm
import minigrad as mg
from minigrad.drawing import draw
from minigrad.drawing.amount import norms_of


def test_what_is_lost_in_one_loop_is_not_looked_for_in_another() -> None:
    """Each loop starts from an exact 0, through which nothing comes back to its W."""
    x, w, v = mg.var("x", (3,)), mg.var("w"), mg.var("v")
    _, inner = mg.scan(lambda h, x: (mg.tanh(h * w + x), h), mg.const(0.0), x)
    last, _ = mg.scan(lambda h, x: (mg.tanh(h * v + x), None), mg.const(0.0), inner)
    at = {"x": np.array([0.5, -1.0, 2.0]), "w": 0.7, "v": -0.3}
    picture = draw(last, at, grad=True).picture
    assert picture is not None
    slopes = dict(zip("xwv", mg.eval(mg.grad(last, [x, w, v]), at), strict=True))
    for name, slope in slopes.items():
        (node,) = [n for n in picture.nodes if n.title == name]
        assert node.adjoint is not None
        np.testing.assert_allclose(node.adjoint.norm, np.linalg.norm(slope), rtol=1e-12)


def test_a_padded_stack_is_drawn_with_its_gradient() -> None:
    """The steps read masks, which are numbers without a minus."""
    rng = np.random.default_rng(0)
    model = lstm.Model.create(lstm.GRU(2, 2), output_size=1, layers=2)
    output = model.run(rng.normal(size=(4, 2, 2)), lengths=np.array([2, 4])).output
    loss = lstm.mse(output, rng.normal(size=(2, 1)))
    weight = model.params["layer1"]["W_z"]
    picture = draw(loss, grad=True).picture
    assert picture is not None
    (node,) = [n for n in picture.nodes if n.title == weight.name]
    assert node.adjoint is not None
    slope = mg.eval(mg.grad(loss, weight))
    np.testing.assert_allclose(node.adjoint.norm, np.linalg.norm(slope), rtol=1e-5)


def test_norms_of_masks_and_labels() -> None:
    """-(-128) is no int8, and a bool has no minus."""
    assert norms_of(np.array([[True, True], [False, False]])) == [np.sqrt(2.0), 0.0]
    assert norms_of(np.array([[-128, 0], [3, 4]], np.int8)) == [128.0, 5.0]
