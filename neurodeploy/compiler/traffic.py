"""Traffic: how many spikes go from block to block in a step, and how far, as calibration saw them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt

from neurodeploy.compiler.counts.blocks import chip_of, owners
from neurodeploy.program import Program

Floats = npt.NDArray[np.float64]

STARTS, STARTS_ITEMS = 10, 2000
"""Most clusters to begin with, and most items over all of them."""

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
        As few clusters as the capacity allows, all full but the last, in order of their first item.

    Notes
    -----
    Every cluster grows from the first free item by the one that exchanges most with it; then pairs are
    swapped between clusters while that keeps more traffic inside (Kernighan and Lin 1970). Such swaps end
    in a local optimum, so where items are few they also start from other clusters, and the best end is kept.
    """
    size = len(weight)
    both = weight + weight.T
    np.fill_diagonal(both, 0.0)
    ends = []
    for group in _starts(both, capacity):
        _swap(both, group)
        ends.append((float(both[group[:, None] == group].sum()), group))
    group = max(ends, key=lambda end: round(end[0], 6))[1]  # the first of equals, whatever sums round to
    clusters = [np.flatnonzero(group == g).tolist() for g in range(-(-size // capacity))]
    return sorted(clusters, key=lambda items: (-len(items), items[0]))


def _starts(both: Floats, capacity: int) -> Iterator[npt.NDArray[np.int64]]:
    """Yield clusters to begin with: grown, then in order, then drawn; fewer, the more items there are."""
    size, rng = len(both), np.random.default_rng(0)
    yield _grow(both, capacity)
    in_order = np.arange(size, dtype=np.int64) // capacity
    for number in range(min(STARTS, STARTS_ITEMS // max(size, 1)) - 1 if size > capacity else 0):
        yield in_order.copy() if number == 0 else rng.permutation(in_order)


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
    """Swap pairs between clusters while more traffic stays inside; at most as often as there are items.

    A swap changes the gains of pairs with an item in one of its two clusters, and only those are counted
    anew: what a step takes grows with the size of two clusters times the number of items.
    """
    if int(group.max(initial=0)) < 1:
        return
    gains = _Gains(both, group)
    for _ in range(len(both)):
        a, b, gain = gains.best_pair()
        if gain <= 1e-9:
            return
        gains.swap(a, b)


class _Gains:
    """The most that a swap of each item with an item of each cluster brings inside; kept while items move."""

    def __init__(self, both: Floats, group: npt.NDArray[np.int64]) -> None:
        count = int(group.max()) + 1
        self.both, self.group = both, group
        self.to_group = both @ np.eye(count)[group]  # (N, clusters)
        self.best = np.zeros_like(self.to_group)
        for cluster in range(count):
            self._count_swaps_of(cluster)

    def best_pair(self) -> tuple[int, int, float]:
        """Return the first of the pairs that bring most, and how much that is."""
        a = int(np.argmax(self.best.max(axis=1)))
        gain = self._swaps_of(np.array([a]), np.arange(len(self.group)))[0]
        b = int(np.argmax(gain))
        return a, b, float(gain[b])

    def swap(self, a: int, b: int) -> None:
        """Put two items in each other's cluster, and count what that changes."""
        left, joined = int(self.group[a]), int(self.group[b])
        self.group[a], self.group[b] = joined, left
        change = self.both[b] - self.both[a]
        self.to_group[:, left] += change
        self.to_group[:, joined] -= change
        self._count_swaps_of(left)
        self._count_swaps_of(joined)

    def _count_swaps_of(self, cluster: int) -> None:
        members, order = np.flatnonzero(self.group == cluster), np.argsort(self.group, kind="stable")
        gain = self._swaps_of(members, order)
        first = np.searchsorted(self.group[order], np.arange(self.best.shape[1]))
        self.best[members] = np.maximum.reduceat(gain, first, axis=1)
        self.best[order, cluster] = gain.max(axis=0)  # a swap of a with b is one of b with a

    def _swaps_of(self, items: npt.NDArray[np.int64], others: npt.NDArray[np.int64]) -> Floats:
        """Return what swaps of items of one cluster with others bring, shape (items, others)."""
        here, there = int(self.group[items[0]]), self.group[others]
        gain = (self.to_group[items] - self.to_group[items, here, None])[:, there]
        gain += self.to_group[others, here] - self.to_group[others, there]
        gain -= 2 * self.both[np.ix_(items, others)]
        gain[:, there == here] = 0.0
        return np.asarray(gain)
