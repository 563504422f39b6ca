"""Packing: blocks that leave room on their core share one."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from neurodeploy.compiler.cost import delay_width
from neurodeploy.compiler.counts.blocks import (
    MEMORY,
    OUT_AXONS,
    count,
    format_set,
    profile_set,
    threshold_set,
)
from neurodeploy.compiler.tiles import axon_ids
from neurodeploy.program import Program
from neurodeploy.targets import Limit

Floats = npt.NDArray[np.float64]

ADDED = ("compartments", "input axons", MEMORY, OUT_AXONS)
"""Resources that add up when blocks share a core."""


@dataclass(frozen=True)
class Item:
    """What a block asks of a core it shares.

    Parameters
    ----------
    share : ndarray of float64, shape (R,)
        Parts of the resources that add up, those that delays take last.
    sets : tuple of frozenset
        Compartment profiles, thresholds and synapse formats, of which a core needs each once.
    registers : tuple of hashable
        What a core keeps once for all its blocks.
    axons : int
        Its input axons.
    ids : float
        Axons of a core that every kind of axon it uses can name.
    """

    share: Floats
    sets: tuple[frozenset[Hashable], ...]
    registers: tuple[Hashable, ...]
    axons: int
    ids: float


def items(program: Program) -> tuple[list[Item], tuple[float, ...]]:
    """Measure every block; also return how many of each set a core holds."""
    target = program.target
    paths = ("core.profiles.compartment", "core.profiles.threshold", "core.profiles.synapse_format")
    room = tuple(_tightest(target.limit(path)) for path in paths)
    widths, implicit = target.words("delay.bits"), target.number("delay.implicit_steps") or 0
    found = []
    for row, block in zip(count(program, by_core=False), program.blocks, strict=True):
        c = block.compartments
        sets = (profile_set(block), threshold_set(block), format_set(block, target))
        coupled = [use.share for use in row.uses if use.limit.path.startswith("coupled")]
        share = np.array([*(row[name].share for name in ADDED), max(coupled, default=0.0)])
        width = max((delay_width(s.delay - implicit, widths) for s in block.synapses), default=0)
        registers = c.vmin, c.vmax, bool((c.decay_u == 0).any()), width
        axons = sum(s.n_axons for s in block.synapses)
        ids = min((axon_ids(target, s.axon_kind) for s in block.synapses), default=np.inf)
        found.append(Item(share, sets, registers, axons, ids))
    return found, room


def _tightest(limit: Limit) -> float:
    """Return what every source allows."""
    values = [limit.value, *(rival.value for rival in limit.conflict)] if limit.known else []
    return float(min(values, default=np.inf))


def pack(program: Program) -> list[list[int]]:
    """Put blocks on as few cores as first-fit-decreasing finds.

    Returns
    -------
    list of list of int
        Blocks of each core. A block that overfills a core lies on one of its own.
    """
    found, room = items(program)
    order = sorted(range(len(found)), key=lambda i: (-float(found[i].share.max(initial=0)), i))
    cores: list[list[int]] = []
    load = np.zeros((len(found), len(ADDED) + 1))
    for i in order:
        fits = np.flatnonzero((load[: len(cores)] + found[i].share <= 1 + 1e-12).all(axis=1))
        home = next((int(c) for c in fits if _agree([found[j] for j in cores[c]], found[i], room)), None)
        if home is None:
            home = len(cores)
            cores.append([])
        cores[home].append(i)
        load[home] += found[i].share
    return sorted(sorted(blocks) for blocks in cores)


KEPT_ONCE = (
    "the lowest membrane", "the highest membrane", "whether the current decays at all", "the bits of a delay",
)  # fmt: skip
"""What the `registers` of an item say, in their order."""
PAIRS = 200
"""Most cores of which all pairs are looked at."""


def kept_apart(program: Program) -> tuple[int, int, str] | None:
    """Find two cores whose blocks would fit on one but for what a core keeps once, and say what that is.

    Returns
    -------
    tuple of int, int, str, or None
        A block of each, and how they differ.
    """
    found, room = items(program)
    homes = [[i for i, c in enumerate(program.cores) if c == core] for core in sorted(set(program.cores))]
    for a, b in itertools.combinations(homes[:PAIRS], 2):
        one, other = found[a[0]].registers, found[b[0]].registers
        differ = [what for what, x, y in zip(KEPT_ONCE, one, other, strict=True) if x != y]
        alike = [dataclasses.replace(found[i], registers=one) for i in (*a, *b)]
        fits = np.sum([item.share for item in alike], axis=0).max() <= 1 + 1e-12
        if differ and fits and _agree(alike[:-1], alike[-1], room):
            return a[0], b[0], " and ".join(differ)
    return None


def _agree(there: list[Item], new: Item, room: tuple[float, ...]) -> bool:
    if any(item.registers != new.registers for item in there):
        return False
    every = [*there, new]
    if sum(item.axons for item in every) > min(item.ids for item in every):
        return False
    unions = [frozenset().union(new.sets[k], *(item.sets[k] for item in there)) for k in range(len(room))]
    return all(len(union) <= limit for union, limit in zip(unions, room, strict=True))


def lower_bound(program: Program) -> int:
    """Return how many cores its blocks take at least.

    The larger of two bounds: the resource that binds, as if blocks could be cut anywhere, and blocks of
    which no two fit on one core.
    """
    found, _ = items(program)
    share = np.stack([item.share for item in found]) if found else np.zeros((0, len(ADDED) + 1))
    by_resource = int(np.ceil(share.sum(axis=0).max(initial=0) - 1e-9))
    apart: list[int] = []
    for i in np.argsort(-share.max(axis=1, initial=0), kind="stable"):
        if all((share[i] + share[j]).max() > 1 + 1e-12 for j in apart):
            apart.append(int(i))
    return max(by_resource, len(apart), 1)
