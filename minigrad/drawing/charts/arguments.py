"""What charts are given, looked at as their annotations say, so that each error is in our words."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from inspect import Parameter, signature
from typing import Any, ParamSpec, TypeVar

from matplotlib.axes import Axes

from minigrad.drawing.charts.looks import curves_given, magnitudes
from minigrad.drawing.theme import KIND_WORDS, Scale
from minigrad.errors import DTypeError, GraphError
from minigrad.types import as_integer, as_items, as_number

P = ParamSpec("P")
R = TypeVar("R")


def checked(draw: Callable[P, R]) -> Callable[P, R]:
    """A function of charts whose arguments are what their annotations say when it gets them:
    magnitudes are arrays of float64. Raises DTypeError or ShapeError, which name the argument.

    >>> @checked
    ... def chart(sizes: ArrayLike, title: str = ""): ...
    >>> chart([1, 2], title=3)
    Traceback (most recent call last):
        ...
    minigrad.errors.DTypeError: title must be text, not 3
    """
    taken = signature(draw)

    @wraps(draw)
    def looked_at(*args: P.args, **kwargs: P.kwargs) -> R:
        bound = taken.bind(*args, **kwargs)
        for name, value in bound.arguments.items():
            bound.arguments[name] = _looked_at(taken.parameters[name], value)
        return draw(*bound.args, **bound.kwargs)

    return looked_at


def _looked_at(parameter: Parameter, value: Any) -> Any:
    if value is None and parameter.default is None:
        return None
    look = _LOOKS.get(parameter.annotation.removesuffix(" | None"))
    return value if look is None else look(value, parameter.name)


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise DTypeError(f"{name} must be text, not {value!r:.40}")
    return value


def _texts(value: Any, name: str) -> list[str]:
    if isinstance(value, str):
        raise DTypeError(f"{name} must be a list of texts, not {value!r:.40}")
    return [_text(item, f"each of {name}") for item in as_items(value, name)]


def _pair(look: Callable[[Any, str], Any]) -> Callable[[Any, str], Any]:
    def pair(value: Any, name: str) -> Any:
        items = as_items(value, name)
        if len(items) != 2 or isinstance(value, str):
            raise DTypeError(f"{name} must be two, not {value!r:.40}")
        return tuple([look(item, f"each of {name}") for item in items])

    return pair


def _kinds(value: Any, name: str) -> list[str]:
    kinds = _texts(value, name)
    if unknown := [kind for kind in kinds if kind not in KIND_WORDS]:
        raise GraphError(f"{unknown[0]!r:.40} is no kind; they are {', '.join(KIND_WORDS)}")
    return kinds


def _axes(value: Any, name: str) -> Axes:
    if not isinstance(value, Axes):
        raise DTypeError(
            f"{name}= takes axes of matplotlib, such as those of plt.subplots(), not {value!r:.40}"
        )
    return value


def _scale(value: Any, name: str) -> Scale:
    if not isinstance(value, Scale):
        raise DTypeError(
            f"{name}= takes a scale, such as mg.charts.scale_of(curves), not {value!r:.40}"
        )
    return value


def _steps(value: Any, name: str) -> list[int]:
    return [as_integer(item, f"each of {name}") for item in as_items(value, name)]


def _runs(value: Any, name: str) -> list[tuple[int, int]]:
    run = _pair(as_integer)
    return [run(item, f"each of {name}") for item in as_items(value, name)]


_LOOKS: dict[str, Callable[[Any, str], Any]] = {
    "ArrayLike": magnitudes,
    "Axes": _axes,
    "Iterable[Curve]": curves_given,
    "Iterable[Kind]": _kinds,
    "Scale": _scale,
    "Sequence[int]": _steps,
    "Iterable[str]": _texts,
    "Sequence[str]": _texts,
    "Spans": _runs,
    "float": as_number,
    "str": _text,
    "tuple[float, float]": _pair(as_number),
    "tuple[int, int]": _pair(as_integer),
    "tuple[str, str]": _pair(_text),
}
