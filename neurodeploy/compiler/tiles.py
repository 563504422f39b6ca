"""Tiles of populations, and what a target says about axons."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from neurodeploy.targets import Target

Ints = npt.NDArray[np.int32]
Window = tuple[int, int]
Grid = tuple[int, int, int]
NONE = -1
"""Axon of a source neuron that is not connected."""


@dataclass(frozen=True)
class Tile:
    """A box of a population: ranges of channels, rows and columns of its grid (C, H, W)."""

    channels: Window
    rows: Window
    columns: Window

    @property
    def shape(self) -> Grid:
        """Size along each axis."""
        c, y, x = ((b - a) for a, b in (self.channels, self.rows, self.columns))
        return c, y, x

    def neurons(self, grid: Grid) -> Ints:
        """Ids of its neurons, ascending."""
        ids = np.arange(int(np.prod(grid, dtype=np.int64)), dtype=np.int32).reshape(grid)
        return ids[slice(*self.channels), slice(*self.rows), slice(*self.columns)].ravel()


@dataclass(frozen=True)
class AxonRules:
    """What a target says about one kind of axon; `ids` is how many axons of a core it can name."""

    kind: str
    slots: int
    atoms: int
    base_max: int
    base_multiple: int
    ids: float = math.inf


DISCRETE = AxonRules("discrete", slots=1, atoms=1, base_max=0, base_multiple=1)
"""An axon for every source neuron."""


def axon_rules(target: Target, kind: str) -> AxonRules:
    """Read the rules for ``discrete``, ``pop16`` or ``pop32`` axons."""
    path = f"synapse.axon_kinds.{kind}"
    return AxonRules(
        kind,
        target.number(f"{path}.slots") or 1,
        target.number(f"{path}.atoms_max") or 1,
        target.number("synapse.index.base_max") or 0,
        target.number(f"{path}.base_multiple") or 1,
        axon_ids(target, kind),
    )


def axon_ids(target: Target, kind: str) -> float:
    """Return how many axons of a core one kind of axon can tell apart; infinite if unknown."""
    bits = target.number(f"synapse.axon_kinds.{kind}.axon_bits")
    return math.inf if bits is None else 2.0**bits
