"""How shares of a whole are written in words."""

from __future__ import annotations

_MOST_DIGITS = 3


def percent(share: float, digits: int = 1) -> str:
    """A share of a whole: 100 % only where it is all, 0 % only where it is nothing; else with so
    many digits after the point as tell it from these, or, beyond three, in words.

    >>> percent(1.0), percent(0.0), percent(0.714)
    ('100.0%', '0.0%', '71.4%')
    >>> percent(0.9996), percent(1 - 1e-9), percent(1e-9)
    ('99.96%', 'more than 99.9%', 'less than 0.1%')
    >>> percent(0.995, 0), percent(1.0, 0), percent(0.3, 0)
    ('99.5%', '100%', '30%')
    """
    if not 0.0 < share < 1.0:
        return f"{share:.{digits}%}"
    for count in range(digits, _MOST_DIGITS + 1):
        said = f"{share:.{count}%}"
        if float(said[:-1]) not in (0.0, 100.0):
            return said
    return "more than 99.9%" if share > 0.5 else "less than 0.1%"
