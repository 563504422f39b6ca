"""The types that a key of a hardware file can have."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

ABSENT = ("unknown", "none", "n/a")
"""Nobody published it, the part has no such limit, the part has no such thing."""


@dataclass(frozen=True)
class Field:
    """The type, unit and closed list of words of one key."""

    type: str
    unit: str = ""
    words: tuple[str, ...] = ()

    def fault(self, value: Any) -> str:
        """Say what is wrong with a value; nothing is an empty string."""
        if isinstance(value, str) and value in ABSENT:
            return ""
        if value == []:
            return 'an empty list says nothing; write "unknown", "none" or "n/a"'
        return {
            "count": _count,
            "some": _some,
            "integer": _integer,
            "number": _number,
            "flag": _flag,
            "text": _text,
            "texts": _texts,
            "counts": _counts,
            "pairs": _pairs,
            "word": self._word,
            "words": self._words,
        }[self.type](value)

    def _word(self, value: Any) -> str:
        return "" if value in self.words else f"{value!r} is not one of {', '.join(self.words)}"

    def _words(self, value: Any) -> str:
        if not isinstance(value, list):
            return f"{value!r} is not a list of words"
        odd = [v for v in value if v not in self.words]
        return f"{odd[0]!r} is not one of {', '.join(self.words)}" if odd else ""


def _count(value: Any) -> str:
    good = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    return "" if good else f"{value!r} is not a whole number of at least 0"


def _some(value: Any) -> str:
    good = _count(value) == "" and value > 0
    return "" if good else f"{value!r} is not a whole number of at least 1"


def _integer(value: Any) -> str:
    return (
        "" if isinstance(value, int) and not isinstance(value, bool) else f"{value!r} is not a whole number"
    )


def _number(value: Any) -> str:
    good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return "" if good else f"{value!r} is not a number"


def _flag(value: Any) -> str:
    return "" if isinstance(value, bool) else f"{value!r} is not true or false"


def _text(value: Any) -> str:
    return "" if isinstance(value, str) else f"{value!r} is not text"


def _texts(value: Any) -> str:
    good = isinstance(value, list) and all(isinstance(v, str) for v in value)
    return "" if good else f"{value!r} is not a list of texts"


def _counts(value: Any) -> str:
    good = isinstance(value, list) and all(_count(v) == "" for v in value)
    return "" if good else f"{value!r} is not a list of whole numbers"


def _pairs(value: Any) -> str:
    good = isinstance(value, list) and all(_counts(v) == "" and len(v) == 2 for v in value)
    return "" if good else f"{value!r} is not a list of pairs"
