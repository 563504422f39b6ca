"""Groups whose input of many steps is one matrix product, and their weights in the form of that product.

What feeds a group from earlier stages is known for a whole horizon before the group takes its first step. The
sums of all these steps are then a product of spikes (steps by sources) and weights (sources by targets), for
which processors have matrix units. Weights are kept in blocks of `SOURCES` by `LANES`, those that hold any
weight, equal ones once; so a convolution needs few of them. The product is exact: spikes are bytes, weights
8-bit mantissas with one shift, or sums of a few of them; what it gives are 32-bit integers that wrap as those
of `reference`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from neurodeploy.kernels.rows import DENSE, LANES, PACKED, WINDOWS

if TYPE_CHECKING:
    from neurodeploy.kernels.layout import Layout

Ints = npt.NDArray[np.int32]
Longs = npt.NDArray[np.int64]

SOURCES = 64
"""Sources per block of weights: the bytes of a row of the matrix unit's registers."""
BLOCK = SOURCES * LANES
"""Weights per block."""
DENSEST = 64
"""Blocks hold at least one weight in so many places; sparser ones cost more than single spikes."""

MOST = 4
"""Blocks of bytes that add up to one block: wires whose shifts lie apart need more than 8 bits together."""
WIDE_RANGE = 2**23 - 2**20
"""Bounds beyond this clip nothing that `matrix.column_accumulate` can come to."""

ANY, ACCUMULATE = range(2)
"""How neurons are stepped: with everything; with a current that keeps 4095 of 4096, a membrane
that keeps 1 of them, no refractory steps, and no other bounds than the register's."""


@dataclass(frozen=True, eq=False)
class Tiles:
    """The groups that are stepped by products.

    Parameters
    ----------
    groups : ndarray of int64, shape (G, 4)
        First line in `panels` (-1: stepped by events), shift of the weights, weight of every neuron's synapse
        to itself (0: none), how neurons are stepped.
    panels : ndarray of int64, shape (P + 1,)
        First entry of every vector of `LANES` targets.
    entries : ndarray of int32, shape (2 * E,)
        Sources (position divided by `SOURCES`), block.
    blocks : ndarray of int8, shape (K * BLOCK,)
        Weights: by half of the targets, four sources, target, source of the four.
    """

    groups: Longs
    panels: Longs
    entries: Ints
    blocks: npt.NDArray[np.int8]


def no_tiles(groups: int) -> Tiles:
    """Return tables for a circuit that is stepped by events alone."""
    kinds = np.zeros((groups, 4), np.int64)
    kinds[:, 0] = -1
    return Tiles(kinds, np.zeros(1, np.int64), np.zeros(0, np.int32), np.zeros(0, np.int8))


def tiles_of(layout: Layout) -> Tiles:
    """Find the groups that can be stepped by products, and arrange their weights.

    A group can if it is alone in its stage, all its synapses have a delay of one step, those from other
    groups share one scale on which they are sums of few bytes, and those from itself are one per neuron, all
    alike.
    """
    found = no_tiles(len(layout.groups))
    if layout.random:
        return found
    panels = [0]
    entries: list[Longs] = []
    blocks: list[npt.NDArray[np.int8]] = []
    for low, high, first, last in layout.stages.tolist():
        g = int(layout.sequence[low])
        made = _product(layout, g, layout.wires[first:last]) if high - low == 1 and last > first else None
        if made is not None:
            shift, loop, panel, source, block = made
            count = -(-int(layout.groups[g, 1]) // LANES)
            found.groups[g] = len(panels) - 1, shift, loop, _how(layout, g)
            panels += (panels[-1] + np.cumsum(np.bincount(panel, minlength=count))).tolist()
            entries.append(np.column_stack([source, np.arange(len(block)) + sum(len(b) for b in blocks)]))
            blocks.append(block)
    if not blocks:
        return found
    kept, number = np.unique(np.concatenate(blocks).view(f"V{BLOCK}").ravel(), return_inverse=True)
    lines = np.concatenate(entries)
    lines[:, 1] = number.reshape(-1)[lines[:, 1]]
    return Tiles(
        found.groups, np.array(panels, np.int64), lines.astype(np.int32).ravel(), kept.view(np.int8).ravel()
    )


def _how(layout: Layout, g: int) -> int:
    """Tell how a group's neurons are stepped."""
    start, size = layout.groups[g, :2]
    keep_u, keep_v, _, _, refract, lower, upper = layout.neurons.reshape(7, -1)[:, start : start + size]
    alike = (keep_u == 4095).all() and (keep_v == 1).all() and refract.max(initial=0) <= 1
    alike = alike and (lower < -WIDE_RANGE).all() and (upper > WIDE_RANGE).all()
    return ACCUMULATE if alike else ANY


def _product(
    layout: Layout, g: int, wires: Longs
) -> tuple[int, int, Longs, Longs, npt.NDArray[np.int8]] | None:
    """Return shift, weight of the loops, and panel, sources and weights of every block; None: by events."""
    from neurodeploy.kernels.layout import OUTSIDE

    kinds = (wires[:, 2] == DENSE) | (wires[:, 2] == WINDOWS) | (wires[:, 2] == PACKED)
    if layout.groups[g, 2] == OUTSIDE or not kinds.all() or (wires[:, 6] != 1).any():
        return None
    itself = wires[:, 0] == g
    loop = _loop(layout, g, wires[itself])
    if loop is None or itself.all():
        return None
    start, shift = int(layout.groups[g, 0]), int(wires[~itself, 3].min())
    lists = [synapses(layout, wire) for wire in wires[~itself]]
    source, target, weight = (np.concatenate(column) for column in zip(*lists, strict=True))
    up = np.repeat(wires[~itself, 3] - shift, [len(part[0]) for part in lists])
    panel, bank = (target - start) // LANES, source // SOURCES
    many = layout.size // SOURCES + 1
    block_of, number = np.unique(panel * many + bank, return_inverse=True)
    if len(block_of) * BLOCK > DENSEST * len(weight) or up.max(initial=0) > 16:
        return None
    full = np.zeros((len(block_of), SOURCES, LANES), np.int32)
    place = (number.reshape(-1), source % SOURCES, (target - start) % LANES)
    np.add.at(full, place, weight.astype(np.int32) << up.astype(np.int32))
    parts = _bytes_of(full)
    if parts is None or len(parts[0]) * BLOCK > DENSEST * len(weight):
        return None
    block, values = parts
    halves = values.reshape(-1, SOURCES // 4, 4, 2, LANES // 2)
    arranged = np.ascontiguousarray(halves.transpose(0, 3, 1, 4, 2)).reshape(-1, BLOCK)
    order = np.argsort(block, kind="stable")
    block_of = block_of[block[order]]
    return shift, loop, block_of // many, block_of % many, arranged[order]


def _bytes_of(full: Ints) -> tuple[Longs, npt.NDArray[np.int8]] | None:
    """Write blocks as sums of up to `MOST` blocks of bytes; return which one each adds to, and its values."""
    number, values, left = [], [], np.arange(len(full))
    for _ in range(MOST):
        part = full[left].clip(-128, 127)
        number.append(left)
        values.append(part.astype(np.int8))
        full[left] -= part
        left = left[full[left].any(axis=(1, 2))]
    return None if len(left) else (np.concatenate(number), np.concatenate(values))


def _loop(layout: Layout, g: int, wires: Longs) -> int | None:
    """Return the weight of every neuron's synapse to itself, 0 without, None if there are any others."""
    if not len(wires):
        return 0
    if len(wires) > 1:
        return None
    source, target, weight = synapses(layout, wires[0])
    if len(source) != layout.groups[g, 1] or (source != target).any() or (weight != weight[0]).any():
        return None
    return int(weight[0]) << int(wires[0, 3])


def synapses(layout: Layout, wire: Longs) -> tuple[Longs, Longs, Longs]:
    """List the synapses of wires, but for zeros: position of source and target, mantissa."""
    start, size = layout.groups[wire[0], :2]
    first, many, base, _ = layout.rows[wire[4] : wire[4] + size].T.astype(np.int64)
    row = np.repeat(np.arange(size), many)
    line = np.arange(len(row)) - np.repeat(np.cumsum(many) - many, many) + first[row]
    if wire[2] == PACKED:
        word = layout.words[line]
        target, weight = base[row] + (word >> 8), (word & 255).astype(np.int8).astype(np.int64)
        some = np.flatnonzero(weight)
        return start + row[some], target[some], weight[some]
    if wire[2] == DENSE:
        at, vector = base[row] + (line - first[row]) * LANES, line
    else:
        at, vector = (column[line].astype(np.int64) for column in layout.windows.reshape(-1, 2).T)
        at = at + base[row]
    values = layout.vectors.reshape(-1, LANES)[vector]
    line, lane = np.nonzero(values)
    return start + row[line], at[line] + lane, values[line, lane].astype(np.int64)
