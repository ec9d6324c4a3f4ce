"""Sentences against their numbers, at and beside each threshold."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

import lstm
import minigrad as mg
from lstm.cells import Gate
from lstm.figures.flow import paths
from lstm.gradient_flow import Flow, GateValues, Jump, Series, Split, describe, diagnose, path_words
from lstm.gradient_flow.advice import EXPLODED, GROWN, TOO_SMALL
from lstm.gradient_flow.glance import is_closed, is_open
from lstm.gradient_flow.summary import CLOSED, OPEN
from lstm.gradient_flow.words import EQUAL, OFF, TOLD, compare
from minigrad.chains import JUMP
from minigrad.drawing.amount import kind_of

UP, DOWN = math.inf, -math.inf


def series(norms, symbol="C", kinds=None) -> Series:
    norms = [float(x) for x in norms]
    return Series(symbol, norms, kinds or [kind_of(x) for x in norms])


def flow(norms, cell="lstm", symbol="C", split=None, gates=None) -> Flow:
    split = split or Split(symbol, "f", [0.5], series([1.0]), series([1.0]))
    main = series(norms, symbol)
    return Flow(cell, len(norms), 1, "float64", 0.0, {symbol: main}, split, gates or {}, [])


def geometric(factors, end=1.0):
    """Norms over t = 1 … T whose step from t + 1 to t multiplies by factors[t - 1]."""
    norms = [end]
    for factor in reversed(factors):
        norms.append(norms[-1] * factor)
    return norms[::-1]


# --- where it arrives -----------------------------------------------------------------------------


def test_a_gradient_vanishes_below_the_threshold_and_not_at_it() -> None:
    assert TOO_SMALL == 1e-6
    at = [TOO_SMALL, 1.0]
    below = [math.nextafter(TOO_SMALL, DOWN), 1.0]
    assert describe(series(at)) == "∂L/∂C reaches t=1 at 1.0e-06 (median step ×1e-06)."
    assert describe(series(below)) == (
        "∂L/∂C vanishes: median step ×1e-06, below 1e-06 of its start from t=1 down, "
        "1.0e-06 at t=1."
    )


@pytest.mark.parametrize("scale", [2.0**-80, 2.0**60])
def test_how_large_the_loss_is_decides_nothing(scale) -> None:
    for norms, verdict in [
        ([1e-7, 1e-3, 1.0], "vanishes"),
        ([1e-3, 1e-2, 1.0], "reaches"),
        ([1e4, 1e2, 1.0], "explodes"),
        ([1e-7, 1e-3, 1.0, 0.0], "vanishes"),  # the last step is not read
    ]:
        assert verdict in describe(series([scale * x for x in norms]))


@pytest.mark.parametrize(
    ("norms", "end"),
    [
        ([1e-9, 1e-8, 1e-7, 1e-6, 1.0], 3),  # 1e-6 itself is not below
        ([1e-9, 1e-8, 1e-7, 9.9e-7, 1.0], 4),
        ([1e-9, 1e-8, 1e-7, 1e-6, 2.0], 4),
        ([1e-9, 1e-2, 1e-9, 1e-9, 1.0], 1),  # what it was on the way does not count
    ],
)
def test_from_which_step_down_it_is_too_small(norms, end) -> None:
    assert f"below 1e-06 of its start from t={end} down, 1.0e-09 at t=1." in describe(series(norms))


def test_a_gradient_explodes_above_both_thresholds_and_not_at_them() -> None:
    assert (EXPLODED, GROWN) == (1e3, 10.0)
    above = math.nextafter(EXPLODED, UP)
    assert "reaches t=1 at 1.0e+03" in describe(series([EXPLODED, 1.0]))
    assert describe(series([above, 1.0])) == ("∂L/∂C explodes: median step ×1e+03, 1.0e+03 at t=1.")
    assert "explodes" in describe(series([5e3, 4e3, 1.0]))
    assert "reaches" in describe(series([5e3, 1.0, 4e3]))
    assert "reaches" in describe(series([5e3, 50.0]))


def test_a_small_loss_of_the_last_step_is_no_explosion() -> None:
    one_by_one = math.log10(GROWN) / 5
    for growth, verdict in [(0.99 * one_by_one, "reaches"), (1.01 * one_by_one, "explodes")]:
        norms = [10.0 ** (growth * k) for k in range(4, -1, -1)]
        assert verdict in describe(series([*norms, norms[-1] / 1e4]))


@pytest.mark.parametrize(
    ("norms", "kinds", "words"),
    [
        ([0, 0, 1e-30, 1], ["underflow"] * 2, "it underflows to 0 from t=2 down."),
        ([0, 0, 1e-30, 1], ["zero", "zero"], "a factor of 0 ends it from t=2 down."),
        ([0, 1e-9, 0, 1], ["zero", "normal"], "a factor of 0 ends it from t=1 down."),
        ([0, 0, 0], ["zero"] * 3, "∂L/∂C is 0 at every step."),
        ([math.nan, 1, 1], ["nan"], "∂L/∂C is not finite from t=1 down."),
        ([math.inf, math.nan, 1], [], "∂L/∂C is not finite from t=2 down."),
        ([1, 1, math.inf], [], "∂L/∂C is not finite from t=3 down."),
        ([0.25], [], "∂L/∂C reaches t=1 at 2.5e-01."),
    ],
)
def test_what_does_not_arrive(norms, kinds, words) -> None:
    filled = [*kinds, *(kind_of(float(x)) for x in norms[len(kinds) :])]
    assert describe(series(norms, kinds=filled)).endswith(words)


def test_the_symbol_is_the_series_own() -> None:
    assert describe(series([0.5], "h")).startswith("∂L/∂h ")
    assert describe(series([0.5], "m")).startswith("∂L/∂m ")


@pytest.mark.parametrize(
    ("ends", "told"), [((), False), ((3,), True), ((2,), False), ((4,), False), ((1, 3), True)]
)
def test_where_shorter_sequences_end_is_said_of_a_jump(ends, told) -> None:
    norms = [1.0, 1.0, 1.0, 1e-9, 1e-9, 1e-9]
    words = describe(series(norms), ends)
    assert "×1e+09 from t=4 to t=3" in words
    assert ("from t=4 to t=3, where shorter sequences end" in words) is told


# --- how it got there -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("factor", "text"),
    [
        (0.9921, "×0.992"),
        (1.0, "×1.000"),
        (9.9994, "×9.999"),
        (10.0, "×10"),
        (0.1001, "×0.100"),
        (0.1, "×0.1"),
        (0.0123, "×0.012"),
        (12345.0, "×1.2e+04"),
    ],
)
def test_a_factor_in_digits(factor, text) -> None:
    words = describe(series(geometric([factor] * 2, end=1.0)))
    assert f"median step {text}" in words.replace(", ", " ").replace(")", " ")


def test_the_rate_is_the_median_steps_and_a_jump_is_told_with_its_steps() -> None:
    """The demo's own case: 0.992 a step down to t = 1, after a fall in the first two steps back."""
    norms = geometric([0.992] * 97 + [0.05, 0.05])
    words = describe(series(norms))
    assert words == (
        f"∂L/∂C reaches t=1 at {norms[0]:.1e} (median step ×0.992, but ×0.0025 from t=100 to t=98)."
    )
    assert series(norms).factor == pytest.approx(0.992)
    assert series(norms).jumps == [Jump(100, 98, pytest.approx(0.0025))]


def test_a_jump_upwards_and_one_in_the_middle() -> None:
    norms = geometric([0.9] * 5 + [30.0] + [0.9] * 6)
    assert "(median step ×0.900, but ×30 from t=7 to t=6)" in describe(series(norms))


def test_of_several_jumps_the_largest_is_told_and_their_number() -> None:
    norms = geometric([0.9] * 9 + [0.1] + [0.9] * 9 + [1e-3, 20.0])
    words = describe(series(norms))
    assert "median step ×0.900, 3 jumps, the largest ×0.001 from t=21 to t=20" in words
    assert [(j.start, j.end) for j in series(norms).jumps] == [(21, 20), (22, 21), (11, 10)]


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_a_step_belongs_to_a_jump_beyond_its_threshold(side) -> None:
    assert JUMP == 2.0
    for ratio, count in ((1.99, 0), (2.01, 1)):
        norms = geometric([0.5] * 6 + [0.5 * ratio**side])
        assert len(series(norms).jumps) == count


def test_jumps_are_told_where_the_median_misses_the_end_by_half_a_decade() -> None:
    assert OFF == 0.5
    for decades, told in ((0.49, False), (0.51, True)):
        for sign in (1.0, -1.0):
            norms = geometric([0.9] * 9 + [0.9 * 10 ** (sign * decades)])
            assert ("but ×" in describe(series(norms))) == told
    # A jump up and one down that undo each other say nothing of the end.
    assert "jump" not in describe(series(geometric([0.9] * 9 + [9.0, 0.09])))


def test_a_miss_of_half_a_decade_exactly_is_none() -> None:
    half = 10.0**OFF
    assert math.log10(half) == OFF == 0.5
    for first, is_told in ((half, False), (math.nextafter(half, UP), True)):
        assert ("but" in describe(series([first, 1.0, 1.0, 1.0]))) == is_told


def test_steps_from_or_to_zero_have_no_rate() -> None:
    norms = [0.0, 0.0, 1e-6, 1e-4, 1e-2, 1.0]
    assert series(norms).factor == pytest.approx(1e-2)
    assert "median step ×0.01, a factor of 0" in describe(series(norms))
    assert math.isnan(series([0.0, 1.0]).factor)
    assert describe(series([0.0, 1.0])) == (
        "∂L/∂C does not reach t=1: a factor of 0 ends it from t=1 down."
    )


# --- by which path, and through which gates -------------------------------------------------------


def _split(line, gates, factor="f", symbol="C") -> Split:
    return Split(symbol, factor, [0.25, 0.5], series([line, 1.0]), series([gates, 0.0]))


@pytest.mark.parametrize(
    ("line", "gates", "norms"),
    [
        (3.0, 1.25, ("3.0e+00", "1.2e+00")),
        (0.0, 2.0, ("exactly 0", "2.0e+00")),
        (1e-4, 0.0, ("1.0e-04", "exactly 0")),
    ],
)
def test_the_norms_of_the_paths(line, gates, norms) -> None:
    value = {"f": _gate(Gate("f"), [0.5] * 2)}
    found = flow([1.0, 1.0], split=_split(line, gates), gates=value)
    assert diagnose(found)[1] == (
        f"At t=1, the parts of ∂L/∂C₁ have these norms: {norms[0]} along the line (∏ f), "
        f"{norms[1]} through C and the gates."
    )
    split = replace(found.split, entered=series([0.5, 1.0]), carried=series([0.25, 0.0]))
    assert diagnose(replace(found, split=split))[1] == (
        "At t=1, the parts of ∂L/∂C₁ have these norms: 2.5e-01 along the line (∏ f) from later "
        f"steps, {norms[1]} through C and the gates, 5.0e-01 entered at that very step."
    )
    bare = flow([1.0, 1.0], symbol="h", split=_split(line, gates, "1 − z", "h"))
    assert diagnose(bare)[1] == (
        f"At t=1, the parts of ∂L/∂h₁ have these norms: {norms[0]} along the line (∏ (1 − z)), "
        f"{norms[1]} through h."
    )


def test_no_norms_of_nothing() -> None:
    assert len(diagnose(flow([1.0, 1.0], split=_split(0.0, 0.0)))) == 1


def _gate(gate: Gate, values: list[float]) -> GateValues:
    shares = [
        sum(values) / len(values)
        for values in ([x > OPEN for x in values], [x < CLOSED for x in values])
    ]
    return GateValues(*gate, values, values, values, *shares)


def test_a_gate_is_saturated_beyond_its_bounds_and_not_at_them() -> None:
    assert (OPEN, CLOSED) == (0.9, 0.1)
    values = [OPEN, np.nextafter(OPEN, 1), CLOSED, np.nextafter(CLOSED, 0)]
    gate = mg.const(np.array([values, [0.5, 1.0, 0.0, 0.0]]))
    assert is_open(gate, None).tolist() == [[0, 1, 0, 0], [0, 1, 0, 0]]
    assert is_closed(gate, None).tolist() == [[0, 0, 0, 1], [0, 0, 1, 1]]
    counts = mg.const(np.array([True, False]))
    assert is_open(gate, counts).tolist() == [[0, 1, 0, 0], [0, 0, 0, 0]]
    assert is_closed(gate, counts).tolist() == [[0, 0, 0, 1], [0, 0, 0, 0]]


@pytest.mark.parametrize(("many", "told"), [(9, False), (10, True), (11, True)])
@pytest.mark.parametrize("value", [0.95, 0.05])
def test_saturation_is_told_from_a_tenth_on(many, told, value) -> None:
    assert TOLD == 0.1
    values = [value] * many + [0.5] * (100 - many)
    gate = _gate(Gate("f", "forget gate", "keeps C", "drops C"), values)
    words = diagnose(flow([1.0], gates={"f": gate}))[2:]
    side = "open (f > 0.9: keeps C)" if value > 0.5 else "closed (f < 0.1: drops C)"
    assert words == ([f"Of the forget gates, {many}% are saturated {side}."] if told else [])


def test_both_sides_of_a_gate_and_one_without_words() -> None:
    values = [0.95] * 3 + [0.05] * 2 + [0.5] * 5
    said = _gate(Gate("z", "update gate", "takes the candidate", "keeps h"), values)
    bare = _gate(Gate("q"), values)
    assert diagnose(flow([1.0], gates={"z": said, "q": bare}))[2:] == [
        "Of the update gates, 30% are saturated open (z > 0.9: takes the candidate) and 20% are "
        "saturated closed (z < 0.1: keeps h).",
        "Of the gates q, 30% are saturated open (q > 0.9) and 20% are saturated closed (q < 0.1).",
    ]


def test_what_one_step_keeps_is_the_mean_of_the_factor() -> None:
    found = flow([1.0, 1.0], split=_split(1.0, 0.5))
    text = paths({"": found}).description
    assert "One step keeps 0.375 of C: the mean of f." in text


def test_the_main_gradient_comes_first() -> None:
    both = {"h": series([0.5], "h"), "C": series([0.25], "C")}
    found = replace(flow([1.0]), series=both)
    assert [w.split()[0] for w in diagnose(found)[:2]] == ["∂L/∂C", "∂L/∂h"]
    alone = replace(found, split=None)
    assert [w.split()[0] for w in diagnose(alone)[:2]] == ["∂L/∂h", "∂L/∂C"]


# --- two models -----------------------------------------------------------------------------------


def test_the_second_is_compared_with_the_first() -> None:
    a, b = flow([1e-5, 1.0], "RNN"), flow([2e-3, 1.0], "LSTM")
    small, large = "the RNN's ∂L/∂C₁ (1.0e-05)", "the LSTM's ∂L/∂C₁ (2.0e-03)"
    assert compare(a, b) == f"At t=1, {large} is 2.3 decades larger than {small}."
    assert compare(b, a) == f"At t=1, {small} is 2.3 decades smaller than {large}."


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_what_is_told_as_equal(sign) -> None:
    assert EQUAL == 0.05
    for decades, equal in ((0.049, True), (0.051, False)):
        words = compare(flow([1.0]), flow([10 ** (sign * decades)]))
        assert ("is as large as" in words) == equal
        assert ("0.1 decades" in words) != equal


@pytest.mark.parametrize(
    ("norm", "kind", "what"),
    [
        (0.0, "zero", "is exactly 0"),
        (0.0, "underflow", "underflows to 0"),
        (0.0, "disconnected", "is not connected"),
        (math.inf, "inf", "is infinite"),
        (math.nan, "nan", "is NaN"),
    ],
)
def test_what_has_no_decades_is_told_as_what_it_is(norm, kind, what) -> None:
    odd, sound = flow([norm], "A"), flow([0.5], "B")
    odd.series["C"].kinds[0] = kind
    assert compare(odd, sound) == f"At t=1, the B's ∂L/∂C₁ is 5.0e-01 and the A's ∂L/∂C₁ {what}."
    assert compare(sound, odd) == f"At t=1, the A's ∂L/∂C₁ {what} and the B's ∂L/∂C₁ is 5.0e-01."
    words = what.removeprefix("is ").removesuffix("s to 0")
    assert odd.main.shown(1) == words
    both = lstm.compare(odd, sound, names=["a", "b"])
    for text in (repr(odd), repr(both)):
        assert words in text and "0.0e+00" not in text and "0.00e+00" not in text
    if norm == 0.0:
        split = replace(odd.split, line=odd.main)
        assert f"these norms: {words} along" in path_words(replace(odd, split=split))[0]


def test_no_jump_begins_or_ends_where_there_is_no_norm():
    for nothing in (0.0, np.nan, np.inf):
        norms = [1.0, 1.0, nothing, nothing, 1.0, 1.0, 1.0]
        assert Series("h", norms, ["normal"] * 7).jumps == []


def test_names_of_two_flows_are_quoted_as_they_are() -> None:
    said = compare(flow([1e-3, 1.0]), flow([1e-6, 1.0]), named=("a\\b", "c\nd"))
    assert " of 'c^Jd' (1.0e-06) is 3.0 decades smaller than " in said
    assert " of 'a\\b' (1.0e-03)." in said
