"""Traffic: how many spikes go from block to block in a step, and how far, as calibration saw them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from neurodeploy.compiler.counts.blocks import chip_of, owners
from neurodeploy.program import Program

Floats = npt.NDArray[np.float64]

ASSUMED_RATE = 0.1
"""Spikes per neuron and step of a population that was not calibrated."""


def messages(program: Program) -> Floats:
    """Count the spikes per step that each block sends to each other block.

    Returns
    -------
    ndarray of float64, shape (blocks, blocks)
        From row to column; a spike that reaches a block over several axons counts for each.
    """
    owner = owners(program)
    rate = {p.name: float(p.notes.get("rate_mean", ASSUMED_RATE)) for p in program.populations}
    sent = np.zeros((len(program.blocks), len(program.blocks)))
    for number, block in enumerate(program.blocks):
        for synapses in block.synapses:
            if synapses.source in owner:
                used = synapses.axon >= 0
                count = np.bincount(owner[synapses.source][used], minlength=len(program.blocks))
                sent[:, number] += count * max(rate[synapses.source], 0.0)
    return sent


def by_distance(program: Program) -> Mapping[str, float]:
    """Sum the spikes per step by how far they go: within a core, a tile, a chip, or to another chip."""
    sent = messages(program)
    cores = np.array(program.cores, np.int64)
    chips = np.array(chip_of(program), np.int64)
    tiles = cores // cores_per_tile(program)
    same_core = cores[:, None] == cores
    same_tile = (tiles[:, None] == tiles) & ~same_core
    same_chip = (chips[:, None] == chips) & ~same_tile & ~same_core
    return {
        "within a core": float(sent[same_core].sum()),
        "within a tile": float(sent[same_tile].sum()),
        "within a chip": float(sent[same_chip].sum()),
        "between chips": float(sent[chips[:, None] != chips].sum()),
    }


def cores_per_tile(program: Program) -> int:
    """Cores that share a router; 1 where it is not known."""
    cores, tiles = program.target.number("chip.cores"), program.target.number("chip.tiles")
    return max(cores // tiles, 1) if cores and tiles else 1


def cluster(weight: Floats, capacity: int) -> list[list[int]]:
    """Group items that exchange much into clusters of at most `capacity`.

    Parameters
    ----------
    weight : ndarray of float64, shape (N, N)
    capacity : int

    Returns
    -------
    list of list of int
        As few clusters as the capacity allows, in order of their first item.

    Notes
    -----
    Every cluster grows from the first free item by the one that exchanges most with it; then pairs are
    swapped between clusters while that keeps more traffic inside (Kernighan and Lin 1970).
    """
    size = len(weight)
    both = weight + weight.T
    np.fill_diagonal(both, 0.0)
    group = _grow(both, capacity)
    _swap(both, group)
    return [np.flatnonzero(group == g).tolist() for g in range(-(-size // capacity))]


def _grow(both: Floats, capacity: int) -> npt.NDArray[np.int64]:
    group = np.full(len(both), -1, np.int64)
    for number in range(-(-len(both) // capacity)):
        seed = int(np.flatnonzero(group < 0)[0])
        group[seed] = number
        pull = both[seed].copy()
        for _ in range(capacity - 1):
            free = group < 0
            if not free.any():
                break
            best = int(np.argmax(np.where(free, pull, -1.0)))
            group[best] = number
            pull += both[best]
    return group


def _swap(both: Floats, group: npt.NDArray[np.int64]) -> None:
    """Swap pairs between clusters while more traffic stays inside; at most as often as there are items."""
    count = int(group.max(initial=0)) + 1
    if count < 2:
        return
    member = np.eye(count)[group]
    for _ in range(len(both)):
        to_group = both @ member  # (N, clusters)
        own = to_group[np.arange(len(both)), group]
        gain = to_group[:, group] + to_group[:, group].T - own[:, None] - own[None] - 2 * both
        gain[group[:, None] == group[None]] = 0.0
        best = int(np.argmax(gain))
        a, b = divmod(best, len(both))
        if gain[a, b] <= 1e-9:
            return
        group[a], group[b] = group[b], group[a]
        member[[a, b]] = member[[b, a]]
