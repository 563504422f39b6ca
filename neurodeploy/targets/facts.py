"""One fact of a hardware file, with where it comes from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from neurodeploy.targets.fields import ABSENT
from neurodeploy.targets.schema import GRADES

_MAY_REFUSE = GRADES[:5]


@dataclass(frozen=True)
class Rival:
    """Another value that another source gives."""

    value: Any
    src: str
    note: str = ""


@dataclass(frozen=True)
class Limit:
    """A fact about a chip.

    Parameters
    ----------
    value : int, float, bool, str or tuple
        Or ``"unknown"`` (nobody published it), ``"none"`` (no such limit), ``"n/a"`` (no such thing).
    unit : str
        What the value counts.
    src : str
        ``key:locator`` into the file's sources.
    grade : str
        How far the source can be trusted; see `schema.GRADES`.
    conflict : tuple of Rival
    note : str
    path : str
        Where the fact is in the schema.
    """

    value: Any
    unit: str = ""
    src: str = ""
    grade: str = ""
    conflict: tuple[Rival, ...] = ()
    note: str = ""
    path: str = ""

    @property
    def known(self) -> bool:
        """Whether there is a value to check against."""
        return not (isinstance(self.value, str) and self.value in ABSENT)

    @property
    def unknown(self) -> bool:
        """Whether the part has a limit that nobody published."""
        return isinstance(self.value, str) and self.value == ABSENT[0]

    @property
    def may_refuse(self) -> bool:
        """Whether the source is good enough to turn a model away."""
        return self.grade in _MAY_REFUSE
