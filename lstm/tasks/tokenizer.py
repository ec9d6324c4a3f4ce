"""What a text is made of, as a net reads it: characters, words or bytes, each with a number."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm.errors import ConfigError

LEVELS = {"char": "character", "word": "word", "bytes": "byte"}
"""Ways to cut a text into tokens, and what one is called."""
MOST_WORDS = 4000
"""So many of the words that are seen at least twice are tokens."""
_WORDS = re.compile(r" ?\w+|.", re.DOTALL)
_BYTES = tuple(map(chr, range(256)))


@dataclass(frozen=True)
class Tokenizer:
    """Cuts a text into tokens, which are numbered in their order, and makes text of them again.

    level: "char": its characters. "word": its characters, and words, a space before them included;
        a word that is no token is spelt, so that every text of these characters can be read.
        "bytes": the 256 bytes of UTF-8, which read every text.

    >>> tokenizer = Tokenizer.of("ab ab ab", "word")
    >>> tokenizer.tokens, tokenizer.encode("ab abba").tolist()
    ((' ', 'a', 'b', ' ab'), [1, 2, 0, 1, 2, 2, 1])
    """

    level: str
    tokens: tuple[str, ...]
    """Each token's characters; a byte is the character of its number."""

    @staticmethod
    def of(text: str, level: str, trained: str | None = None) -> Tokenizer:
        """That of a text. trained: the part of it whose words are learnt, where that is not all.
        Raises ConfigError for a level that there is not."""
        if check_level(level) == "bytes":
            return Tokenizer(level, _BYTES)
        characters = sorted(set(text))
        if level == "char":
            return Tokenizer(level, tuple(characters))
        counts = Counter(_WORDS.findall(text if trained is None else trained))
        words = [word for word, count in counts.items() if count > 1 and len(word) > 1]
        usual = sorted(words, key=lambda word: (-counts[word], word))[:MOST_WORDS]
        return Tokenizer(level, (*characters, *usual))

    @staticmethod
    def from_config(settings: Mapping[str, Any]) -> Tokenizer:
        """What `config` gave. Raises ConfigError for what it did not: a file may say anything."""
        level, tokens = settings.get("level"), settings.get("tokens")
        if level == "bytes":
            return Tokenizer(level, _BYTES)
        sound = (
            isinstance(level, str)
            and level in LEVELS
            and isinstance(tokens, list)
            and all(isinstance(t, str) and t and (level == "word" or len(t) == 1) for t in tokens)
            and len(set(tokens)) == len(tokens) > 0
        )
        if not sound or not isinstance(tokens, list) or not isinstance(level, str):
            raise ConfigError("its task does not say what characters or words it reads")
        return Tokenizer(level, tuple(tokens))

    def config(self) -> dict[str, Any]:
        """As plain values, from which it is made again."""
        return {"level": self.level, "tokens": None if self.level == "bytes" else [*self.tokens]}

    @property
    def sizes(self) -> tuple[bool, int, int]:
        """That tokens are read, how many kinds there are, and as many to say."""
        return True, len(self.tokens), len(self.tokens)

    @property
    def unit(self) -> str:
        """What a token is called."""
        return LEVELS[self.level]

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {token: number for number, token in enumerate(self.tokens)}

    def encode(self, text: str) -> NDArray[np.int64]:
        """The tokens (N,) of a text. Raises ConfigError, which names it, for a character that there
        is not."""
        if self.level == "bytes":
            return np.frombuffer(utf8(text), np.uint8).astype(np.int64)
        numbers, tokens = self._numbers, iter(text)
        if self.level == "word":
            words = _WORDS.findall(text)
            tokens = (token for w in words for token in ((w,) if w in numbers else w))
        try:
            return np.fromiter(map(numbers.__getitem__, tokens), np.int64)
        except KeyError as error:
            listed = "".join(token for token in self.tokens if len(token) == 1)
            raise ConfigError(
                f"the character {error.args[0]!r} is none of those that the model reads: "
                f"{listed!r:.120}"
            ) from None

    def decoder(self) -> Callable[[int], str]:
        """A function that gives the text of one token after the other; of a byte within a character
        nothing until that is whole."""
        if self.level != "bytes":
            return self.tokens.__getitem__
        from codecs import getincrementaldecoder

        decode = getincrementaldecoder("utf-8")(errors="replace").decode
        return lambda token: decode(bytes([token]))


def utf8(text: str) -> bytes:
    """The bytes of a text. Raises ConfigError for halves of characters, which have none."""
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise ConfigError(f"{text[error.start]!r} is no character") from None


def check_level(level: Any) -> str:
    """The level. Raises ConfigError for one that there is not."""
    if not isinstance(level, str) or level not in LEVELS:
        raise ConfigError(f"level= is one of {', '.join(LEVELS)}, not {level!r:.40}")
    return level
