"""Derive a formula and draw it: values on the nodes, gradients on the edges.

The energy of a pendulum as it swings; run it and open pendulum.svg.
"""

from __future__ import annotations

import sys

import minigrad as mg


def main(path: str = "pendulum.svg") -> None:
    """Print the energy's derivatives, and save its picture."""
    angle, speed, length = mg.var("angle"), mg.var("speed"), mg.var("length")
    height = (length * (1.0 - mg.cos(angle))).named("height")
    kinetic = (0.5 * (length * speed) ** 2).named("kinetic")
    energy = (kinetic + 9.81 * height).named("energy")

    by = {"angle": angle, "speed": speed, "length": length}
    now = {angle: 0.5, speed: 1.2, length: 2.0}
    print(f"energy = {energy} = {float(energy.eval(now)):.4f}")
    for name, gradient in mg.grad(energy, by).items():
        simple = mg.simplify(gradient)
        print(f"d energy / d {name} = {simple} = {float(simple.eval(now)):.4f}")

    mg.draw(energy, at=now, grad=True).save(path)
    print(f"wrote {path}")


if __name__ == "__main__":
    main(*sys.argv[1:2])
