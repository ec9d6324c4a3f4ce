"""Whole numbers that look like quantities and are taken for classes or tokens are told."""

from __future__ import annotations

import re
import warnings
from typing import Any

import numpy as np
import pytest

import lstm
from lstm.tasks.targets import FEW, HALF, RARE


def _task(ys: Any, xs: Any = None, **options: Any) -> lstm.ArrayTask:
    xs = np.zeros((len(ys), 3, 2)) if xs is None else xs
    return lstm.ArrayTask(xs, ys, **options)


def _is_told(ys: Any, **options: Any) -> bool:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        _task(ys, **options)
    return bool(caught)


def test_prices_are_no_classes() -> None:
    prices = np.random.default_rng(0).integers(0, 99_389, 300)
    prices[0] = 99_388
    with pytest.warns(UserWarning, match="99,389 classes") as caught:
        task = _task(prices)
    assert caught[0].filename == __file__ and task.output_size == 99_389
    assert str(caught[0].message) == (
        f"ys are 300 whole numbers of which {len(np.unique(prices))} differ: they are taken for "
        "99,389 classes. If they are quantities, give floats, np.asarray(ys, float). If they are "
        "classes, output_size=99389 says so; np.unique(ys, return_inverse=True)[1] counts those "
        "that are seen"
    )
    numbers = _task(np.asarray(prices, float))
    assert numbers.output_size == 1 and "mse" in repr(numbers)
    assert not _is_told(prices, output_size=99_389)
    assert not _is_told(prices, loss="cross_entropy")
    assert not _is_told(prices, loss="mse")
    assert not _is_told(np.unique(np.repeat(prices, 2), return_inverse=True)[1])  # each twice


def test_years_leave_most_classes_out() -> None:
    years = np.arange(200) % 30 + 1990
    words = (
        "ys are whole numbers up to 2,019 of which 30 are seen: they are taken for 2,020 classes"
    )
    with pytest.warns(UserWarning, match=re.escape(words)):
        _task(years)


@pytest.mark.parametrize("every", [False, True])
def test_more_than_half_of_more_than_a_few_differ(every: bool) -> None:
    assert (FEW, HALF) == (20, 0.5)
    for whole, seen, told in ((20, 20, False), (21, 11, True), (22, 11, False), (40, 21, True)):
        ys: Any = np.arange(whole) % seen
        if every:
            ys = [ys[: whole // 2], ys[whole // 2 :]]
            xs = [np.zeros((len(row), 2)) for row in ys]
            assert _is_told(ys, xs=xs, validation=0) == told
        else:
            assert _is_told(ys) == told


def test_fewer_than_a_tenth_of_more_than_a_few_are_seen() -> None:
    assert RARE == 0.1
    for most, seen, told in ((20, 2, False), (21, 2, True), (40, 4, False), (41, 4, True)):
        ys = np.arange(60) % seen
        ys[0] = most - 1
        assert len(np.unique(ys)) == seen + 1
        assert _is_told(ys) == (seen + 1 < RARE * most > RARE * FEW)
        ys[ys == 1] = 0
        assert _is_told(ys) == told


def test_measurements_are_no_tokens() -> None:
    xs, ys = np.arange(40).reshape(10, 4) * 7, np.arange(10) % 2
    with pytest.warns(UserWarning, match="xs are 40 whole numbers of which 40 differ.* 274 tokens"):
        lstm.ArrayTask(xs, ys)
    assert not _is_told(ys, xs=xs, vocabulary=274)
    assert not _is_told(ys, xs=np.asarray(xs, float)[..., None])
    assert not _is_told(ys, xs=xs % 5)


def test_a_label_below_zero_hints_at_floats() -> None:
    with pytest.raises(lstm.ConfigError, match="they are 0 to 4; quantities are floats"):
        _task([-3, 4])
    with pytest.raises(lstm.ConfigError, match=r"they are 0 to 4$"):
        _task([-3, 4], output_size=5)
