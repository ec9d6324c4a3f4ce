"""What of a cell is drawn in full while the rest is faint: by names, or a part of it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from lstm.errors import ConfigError
from lstm.figures.textbook.parts import Part
from lstm.figures.textbook.wiring import INNER, Wire, Wiring

Highlight = Collection[str | Wire]


@dataclass(frozen=True)
class Lit:
    """What of a wiring is drawn in full; the rest is faint."""

    boxes: frozenset[str]
    wires: frozenset[Wire]

    @staticmethod
    def of(wiring: Wiring, highlight: Highlight | None = None) -> Lit:
        """All of it for None; else the boxes named, with the wires into them and, where none of
        its readers is named, those out of each; and the wires named, with the boxes at their ends.

        Raises ConfigError for a name that is not there.
        """
        if highlight is None:
            return Lit(frozenset(wiring.boxes), frozenset(wiring.wires))
        known = {*wiring.boxes, *wiring.wires}
        if unknown := [name for name in highlight if name not in known]:
            raise ConfigError(
                f"highlight= names {unknown[0]!r:.60}, which this figure does not have; it has "
                f"{', '.join(wiring.boxes)}, and pairs of these that a wire joins"
            )
        boxes = {name for name in highlight if isinstance(name, str)}
        for name in [*boxes]:  # what a merge brings is lit with what reads it
            stack = [a for a in wiring.inputs[name] if wiring.boxes[a].kind == "merge"]
            boxes.update(stack)
        wires = {w for w in highlight if not isinstance(w, str)}
        ends = {name for wire in wires for name in wire}
        for a, b in wiring.wires:
            into = b in boxes
            out = a in boxes and not boxes.intersection(wiring.outputs[a])
            if into or out:
                wires.add((a, b))
        return Lit._with_ends(wiring, boxes | ends, wires)

    @staticmethod
    def of_part(wiring: Wiring, part: Part) -> Lit:
        """The boxes of its equations, the wires into these, and those that lead on; of a part
        without equations also the boxes that its wires join."""
        boxes = set().union(*map(wiring.equation, part.equations))
        if not part.equations:
            boxes.update(*part.onward)
        wires = {(a, b) for a, b in wiring.wires if part.equations and b in boxes}
        return Lit._with_ends(wiring, boxes, wires | {*part.onward})

    @staticmethod
    def _with_ends(wiring: Wiring, boxes: set[str], wires: set[Wire]) -> Lit:
        """With the ends of the step that wires come from or lead to."""
        ends = {n for wire in wires for n in wire if wiring.boxes[n].kind not in INNER}
        return Lit(frozenset(boxes | ends), frozenset(wires))
