"""What is counted: a resource, how much of it is used, and what the target's file says there is."""

from __future__ import annotations

from dataclasses import dataclass

from neurodeploy.diagnostics import Place
from neurodeploy.targets import Limit, Target

NAMED = 4
"""Most layers of a core that a message names."""


@dataclass(frozen=True)
class Use:
    """One resource of one core, chip or board.

    Parameters
    ----------
    resource : str
        As ``compartments``.
    used : int
    limit : Limit
        What the target's file says, with unit, source and grade.
    """

    resource: str
    used: int
    limit: Limit

    @property
    def share(self) -> float:
        """Used part of the limit; 0 where there is no known limit."""
        return self.used / self.limit.value if self.limit.known and self.limit.value else 0.0

    @property
    def over(self) -> bool:
        """Whether more is used than there is."""
        return self.limit.known and self.used > self.limit.value

    def as_dict(self) -> dict[str, int | str | None]:
        """Return plain JSON values."""
        return {
            "resource": self.resource,
            "used": self.used,
            "limit": self.limit.value if self.limit.known else None,
            "unit": self.limit.unit,
        }


@dataclass(frozen=True)
class CoreUse:
    """What one block uses of its core, or one layer of its engine.

    Parameters
    ----------
    population, layer, name : str
        Population, the user's layer, and the block's or engine's name.
    core, chip : int or None
        Where it is placed.
    uses : tuple of Use
    extra_offchip : int
        Output axon entries that are there only because targets lie on other chips.
    layers : tuple of str
        Of all blocks that share the core, that of the largest first.
    """

    population: str
    layer: str
    name: str
    core: int | None
    chip: int | None
    uses: tuple[Use, ...]
    extra_offchip: int = 0
    layers: tuple[str, ...] = ()

    @property
    def place(self) -> Place:
        """Where a finding about it is."""
        return Place(layer=self.layer, node=self.population, block=self.name, core=self.core)

    @property
    def shared_by(self) -> str:
        """The layers that share the core, largest first, for a message; nothing where it is one."""
        if len(self.layers) < 2:
            return ""
        named, more = self.layers[:NAMED], len(self.layers) - NAMED
        return f"; layers {', '.join(named)}{f' and {more} more' if more > 0 else ''} share the core"

    def has(self, resource: str) -> bool:
        """Whether the resource was counted."""
        return any(use.resource == resource for use in self.uses)

    def __getitem__(self, resource: str) -> Use:
        return next(use for use in self.uses if use.resource == resource)


@dataclass(frozen=True)
class Usage:
    """Everything a placed program uses.

    Parameters
    ----------
    cores : tuple of CoreUse
        One per block or engine, in order.
    chips : tuple of Use
        Cores of every chip, in order.
    whole : tuple of Use
        Chips, and what holds for the network as a whole.
    """

    cores: tuple[CoreUse, ...] = ()
    chips: tuple[Use, ...] = ()
    whole: tuple[Use, ...] = ()

    def by_population(self) -> list[list[CoreUse]]:
        """Return the cores of each population."""
        rows: dict[str, list[CoreUse]] = {}
        for row in self.cores:
            rows.setdefault(row.population, []).append(row)
        return list(rows.values())


def use(target: Target, resource: str, path: str, used: int) -> Use:
    """Put a count next to the target's limit."""
    return Use(resource, used, target.limit(path))
