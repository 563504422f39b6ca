"""What a stage has to say about the user's network: one frozen record per finding.

A diagnostic is data first (code, place, measured value, limit, unit); every printed form is made from it,
so the text, the JSON and the tables can never disagree.
"""

from __future__ import annotations

import dataclasses
import enum
import itertools
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any


class Severity(enum.Enum):
    """How much a finding weighs."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


class Kind(enum.Enum):
    """What would relieve a finding, from hardest to easiest."""

    WALL = "wall"
    CAPACITY = "capacity"
    RANGE = "range"
    RATE = "rate"
    INFO = "info"


@dataclass(frozen=True)
class Place:
    """Where a finding is: the user's own layer first, then our node, block and core.

    Parameters
    ----------
    layer : str
        Name of the layer in the user's model.
    node, block : str, optional
        Graph node and compiled block.
    core, chip : int, optional
        Index of the core on the board and of the chip.
    """

    layer: str = ""
    node: str = ""
    block: str = ""
    core: int | None = None
    chip: int | None = None

    def __str__(self) -> str:
        inner = [part for part in (self.node if self.node != self.layer else "", self.block) if part]
        inner += [f"core {self.core}"] if self.core is not None else []
        inner += [f"chip {self.chip}"] if self.chip is not None else []
        where = self.layer or "model"
        return f"{where} ({', '.join(inner)})" if inner else where


@dataclass(frozen=True)
class Diagnostic:
    """One finding.

    Parameters
    ----------
    code, name : str
        Stable code (``ND301``) and the pattern found (``too-many-neurons``).
    severity : Severity
    kind : Kind
    place : Place
    message : str
        One sentence that stands alone.
    remedy : str
    facts : mapping of str to number or str
        Measured value (``used``), ``limit``, ``unit`` and whatever else the message was made from.
    """

    code: str
    name: str
    severity: Severity
    kind: Kind
    place: Place
    message: str
    remedy: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "facts", MappingProxyType(dict(self.facts)))

    def __str__(self) -> str:
        """Return the line that is printed, without the remedy."""
        return render(self, concise=True)

    def as_dict(self) -> dict[str, Any]:
        """Return the record as plain JSON values."""
        place = {k: v for k, v in dataclasses.asdict(self.place).items() if v not in ("", None)}
        return {
            "code": self.code,
            "name": self.name,
            "severity": self.severity.value,
            "kind": self.kind.value,
            "place": place,
            "message": self.message,
            "remedy": self.remedy,
            "facts": {k: _plain(v) for k, v in self.facts.items()},
        }


@dataclass(frozen=True)
class Rule:
    """One entry of the catalogue in `rules`.

    Parameters
    ----------
    code, name : str
    severity : Severity
    kind : Kind
    message : str
        Format string over the facts; ``{used}`` before ``{limit}``, always with the unit.
    why, remedy, example : str
        Shown by ``neurodeploy explain CODE``.
    """

    code: str
    name: str
    severity: Severity
    kind: Kind
    message: str
    why: str
    remedy: str
    example: str = ""

    def at(self, place: Place, **facts: Any) -> Diagnostic:
        """Make the diagnostic of this rule at a place, from the facts its message names.

        A remedy may also name the ``{layer}``, as options of the command line do.
        """
        message, remedy = self.message.format(**facts), self.remedy.format(**{"layer": place.layer, **facts})
        return Diagnostic(self.code, self.name, self.severity, self.kind, place, message, remedy, facts)


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value


_WEIGHT = {severity: i for i, severity in enumerate(Severity)}
_HARDNESS = {kind: i for i, kind in enumerate(Kind)}


def in_order(diagnostics: Iterable[Diagnostic]) -> list[Diagnostic]:
    """Sort by what blocks most: errors first, walls before capacities, then by code and place."""
    return sorted(diagnostics, key=lambda d: (_WEIGHT[d.severity], _HARDNESS[d.kind], d.code, str(d.place)))


def render(diagnostic: Diagnostic, *, concise: bool = False) -> str:
    """Write one finding as text: a line that stands alone, then the remedy."""
    d = diagnostic
    line = f"{d.place}: {d.severity.value}[{d.code}] {d.message} ({d.name})"
    return line if concise or not d.remedy else f"{line}\n  help: {d.remedy}"


def render_all(diagnostics: Iterable[Diagnostic], *, concise: bool = False) -> str:
    """Write all findings, what blocks most first; help that several in a row share stands once, below."""
    found = in_order(diagnostics)
    again = [(a.code, a.remedy) == (b.code, b.remedy) for a, b in itertools.pairwise(found)]
    return "\n".join(
        render(d, concise=concise or same) for d, same in zip(found, [*again, False], strict=False)
    )


def to_json(diagnostics: Iterable[Diagnostic]) -> str:
    """Write all findings as a JSON list, what blocks most first."""
    return json.dumps([d.as_dict() for d in in_order(diagnostics)], indent=2)
