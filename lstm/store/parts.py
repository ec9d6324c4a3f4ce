"""Layers and cells as plain values, as a file keeps them, and made of these again.

A part is {"kind": its name, setting: value ...}; of a class that is none of lstm's, "class" has the
class's name. Settings are plain values, parts, or parts by name.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any, TypeAlias

from lstm.cells import CELLS, Cell
from lstm.errors import ConfigError
from lstm.layers import LAYERS, Layer
from lstm.params import listed

Part: TypeAlias = "Layer | Cell[Any]"
PARTS: dict[str, type[Any]] = {**CELLS, **LAYERS}
DEEPEST = 20
"""So many parts within each other are read; the deepest that lstm makes are five."""


def describe(part: Part, depth: int = 0) -> dict[str, Any]:
    """A part as plain values. Raises ConfigError where a setting is called as a file's own words,
    and for parts that are too deep within each other.

    >>> from lstm.cells import RNN
    >>> describe(RNN(2, 3))["kind"]
    'rnn'
    """
    _check_depth(depth)
    kind = type(part)
    config: dict[str, Any] = {"kind": part.name}
    if kind is not PARTS.get(part.name):
        config["class"] = kind.__name__
    for name in _settings(kind):
        if name in ("kind", "class"):
            raise ConfigError(f"{kind.__name__} has a setting {name!r}, which a file cannot keep")
        config[name] = _plain(getattr(part, name), depth + 1)
    return config


def as_text(values: Mapping[str, Any]) -> str:
    """Plain values as the text of a header.

    Raises ConfigError for what a file cannot keep, such as an array among the settings of a task,
    or NaN and infinities, which JSON lacks.

    >>> as_text({"kind": "rnn"})
    '{"kind": "rnn"}'
    """
    try:
        return json.dumps(values, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ConfigError(
            "a file keeps settings of models and tasks as plain values: None, booleans, text, "
            f"finite numbers, and lists and dicts of them ({error})"
        ) from None


def keeps(values: Mapping[str, Any]) -> bool:
    """Whether a file can keep them.

    >>> keeps({"rate": 0.1}), keeps({"rate": float("nan")})
    (True, False)
    """
    try:
        as_text(values)
    except ConfigError:
        return False
    return True


def _plain(value: Any, depth: int) -> Any:
    if isinstance(value, (Layer, Cell)):
        return describe(value, depth)
    if isinstance(value, Mapping):
        return {name: _plain(inner, depth) for name, inner in value.items()}
    return value


def _check_depth(depth: int) -> None:
    if depth > DEEPEST:
        raise ConfigError(f"more than {DEEPEST} parts are within each other")


def _settings(kind: type[Any]) -> list[str]:
    return [f.name for f in fields(kind) if f.init]


def build(config: Any, own: Iterable[type[Any]] = (), depth: int = 0) -> Any:
    """What `describe` described: of lstm's classes, and of those of the caller's own.

    Raises ConfigError for what describes nothing. No code is ever taken from a description.

    >>> build({"kind": "rnn", "input_size": 2, "hidden_size": 3})
    RNN(input_size=2, hidden_size=3, dtype='float32')
    """
    _check_depth(depth)
    own = list(own)
    kind = _kind(config, own)
    settings = {k: v for k, v in config.items() if k not in ("kind", "class")}
    unknown = set(settings) - set(_settings(kind))
    if unknown:
        names = listed(unknown)
        raise ConfigError(f"its {_word(kind)} {kind.name} has unknown settings: {names}")
    made = {name: _built(value, own, depth + 1) for name, value in settings.items()}
    try:
        return kind(**made)
    except (TypeError, ConfigError) as error:
        raise ConfigError(
            f"the settings of its {_word(kind)} {kind.name} do not fit: {error}"
        ) from None


def _built(value: Any, own: list[type[Any]], depth: int) -> Any:
    if not isinstance(value, dict):
        return value
    if isinstance(value.get("kind"), str):
        return build(value, own, depth)
    return {
        name: _built(inner, own, depth) if isinstance(inner, dict) and "kind" in inner else inner
        for name, inner in value.items()
    }


def _kind(config: Any, own: list[type[Any]]) -> type[Any]:
    """The class of a part: one of ours, or that one of the caller's which is named."""
    if not isinstance(config, dict) or not isinstance(config.get("kind"), str):
        raise ConfigError(f"{config!r:.60} describes neither a layer nor a cell")
    name, chosen = config["kind"], config.get("class")
    if chosen is None and name in PARTS:
        return PARTS[name]
    if chosen is None:
        raise ConfigError(f"there is no cell or layer {name!r:.60}; there are {', '.join(PARTS)}")
    for kind in own:
        if (kind.__name__, kind.name) == (chosen, name):
            return kind
    spelled = chosen if isinstance(chosen, str) and chosen.isidentifier() else "CLASS"
    raise ConfigError(
        f"its part {name!r:.60} is of a class {chosen!r:.60} that is not lstm's, and code is never "
        f"taken from a file; give the class: Model.load(path, own=[{spelled:.60}]), or "
        f"--cell FILE.py:{spelled:.60} in a command"
    )


def _word(kind: type[Any]) -> str:
    return "cell" if issubclass(kind, Cell) else "layer"
