"""Layout: the part of a projection that reaches one block, as axons, rows and compartment indices.

Dense and sparse projections take one axon per source neuron. A convolution takes one population axon per
source pixel: the channel is the axon's atom, and pixels that see the same piece of kernel share one set of
rows and differ in their base. This is how nengo-loihi lays them out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neurodeploy.compiler import maps
from neurodeploy.program import ConvMap, DenseMap, Projection, SparseMap, Synapses
from neurodeploy.targets import Target

Ints = npt.NDArray[np.int32]
Longs = npt.NDArray[np.int64]
Window = tuple[int, int]
NONE = -1


@dataclass(frozen=True)
class Tile:
    """A box of a population: ranges of channels, rows and columns of its grid (C, H, W)."""

    channels: Window
    rows: Window
    columns: Window

    @property
    def shape(self) -> tuple[int, int, int]:
        """Size along each axis."""
        c, y, x = ((b - a) for a, b in (self.channels, self.rows, self.columns))
        return c, y, x

    def neurons(self, grid: tuple[int, int, int]) -> Ints:
        """Ids of its neurons, ascending."""
        ids = np.arange(int(np.prod(grid, dtype=np.int64)), dtype=np.int32).reshape(grid)
        return ids[slice(*self.channels), slice(*self.rows), slice(*self.columns)].ravel()


@dataclass(frozen=True)
class AxonRules:
    """What a target says about one kind of axon."""

    kind: str
    slots: int
    atoms: int
    base_max: int
    base_multiple: int


def axon_rules(target: Target, kind: str) -> AxonRules:
    """Read the rules for ``discrete``, ``pop16`` or ``pop32`` axons."""
    path = f"synapse.axon_kinds.{kind}"
    return AxonRules(
        kind,
        target.number(f"{path}.slots") or 1,
        target.number(f"{path}.atoms_max") or 1,
        target.number("synapse.index.base_max") or 0,
        target.number(f"{path}.base_multiple") or 1,
    )


def synapses_into(
    projection: Projection, tile: Tile, grid: tuple[int, int, int], rules: AxonRules
) -> Synapses:
    """Lay out the synapses of a projection that end in a tile of the target.

    Parameters
    ----------
    projection : Projection
        With integer weights.
    tile : Tile
    grid : tuple of int
        Shape (C, H, W) of the target population that tiles are cut from.
    rules : AxonRules
        Of the kind of axon that a convolution uses.
    """
    map_ = projection.map
    match map_:
        case DenseMap():
            return _dense(projection, map_, tile.neurons(grid))
        case SparseMap():
            return _sparse(projection, map_, tile.neurons(grid))
        case ConvMap():
            return _conv(projection, map_, tile, rules)


def _dense(projection: Projection, map_: DenseMap, neurons: Ints) -> Synapses:
    rows = np.ascontiguousarray(map_.weight[neurons].T)  # (N_source, n)
    used = np.flatnonzero(rows.any(axis=1))
    axon = np.full(len(rows), NONE, np.int32)
    axon[used] = np.arange(len(used), dtype=np.int32)
    count = len(neurons)
    return Synapses(
        source=projection.source,
        axon=axon,
        atom=np.zeros(len(rows), np.int32),
        first_row=np.arange(len(used), dtype=np.int32),
        base=np.zeros(len(used), np.int32),
        row_start=np.arange(len(used) + 1, dtype=np.int64) * count,
        index=np.tile(np.arange(count, dtype=np.int32), len(used)),
        weight=rows[used].ravel(),
        weight_exp=projection.weight_exp,
        weight_bits=projection.weight_bits,
    )


def _sparse(projection: Projection, map_: SparseMap, neurons: Ints) -> Synapses:
    columns = maps.as_matrix(map_)[neurons].tocsc()
    columns.eliminate_zeros()
    columns.sort_indices()
    length = np.diff(columns.indptr)
    used = np.flatnonzero(length)
    axon = np.full(len(length), NONE, np.int32)
    axon[used] = np.arange(len(used), dtype=np.int32)
    return Synapses(
        source=projection.source,
        axon=axon,
        atom=np.zeros(len(length), np.int32),
        first_row=np.arange(len(used), dtype=np.int32),
        base=np.zeros(len(used), np.int32),
        row_start=np.concatenate([[0], np.cumsum(length[used])]).astype(np.int64),
        index=columns.indices.astype(np.int32),
        weight=columns.data.astype(np.int32),
        weight_exp=projection.weight_exp,
        weight_bits=projection.weight_bits,
    )


# --- convolutions ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Line:
    """How source rows (or columns) see a range of target rows.

    Parameters
    ----------
    pattern : ndarray of int64, shape (S,)
        Which pattern a source row has, or -1 where it sees nothing.
    start : ndarray of int64, shape (S,)
        First target row it reaches, from the start of the range.
    steps, taps : tuple of ndarray
        Per pattern: target rows from `start`, and the kernel row each one is reached through.
    """

    pattern: Longs
    start: Longs
    steps: tuple[Longs, ...]
    taps: tuple[Longs, ...]


def line(map_: ConvMap, axis: int, window: Window) -> Line:
    """Find the patterns along one axis (0 rows, 1 columns); taps that are all zero drop out."""
    at = maps.windows_of(map_, axis)[window[0] : window[1]]
    alive = map_.weight.any(axis=(0, 1, 3 - axis))
    target, tap = np.nonzero((at >= 0) & alive)
    source = at[target, tap]
    order = np.lexsort((target, source))
    source, target, tap = source[order], target[order], tap[order]
    size = map_.source_shape[1 + axis]
    bounds = np.searchsorted(source, np.arange(size + 1))
    pattern, start = np.full(size, NONE, np.int64), np.zeros(size, np.int64)
    known: dict[tuple[bytes, bytes], int] = {}
    steps, taps = [], []
    for s in range(size):
        here = slice(bounds[s], bounds[s + 1])
        if here.start == here.stop:
            continue
        start[s] = target[here.start]
        step = target[here] - start[s]
        key = (step.tobytes(), tap[here].tobytes())
        if key not in known:
            known[key] = len(known)
            steps.append(step)
            taps.append(tap[here])
        pattern[s] = known[key]
    return Line(pattern, start, tuple(steps), tuple(taps))


@dataclass(frozen=True)
class Sharing:
    """Which source pixels are used by a tile, and which of them share their rows.

    Parameters
    ----------
    used : ndarray of int64, shape (A,)
        Source pixels, ascending.
    base : ndarray of int32, shape (A,)
    group : ndarray of int64, shape (A,)
        Group of rows of each pixel.
    members : ndarray of int64, shape (G, 3)
        Row pattern, column pattern and part of the base that is kept in the indices, per group.
    """

    used: Longs
    base: Ints
    group: Longs
    members: Longs


def share(rows: Line, columns: Line, width: int, rules: AxonRules) -> Sharing:
    """Group the source pixels of a tile whose spikes need the same rows."""
    inside = (rows.pattern[:, None] >= 0) & (columns.pattern[None] >= 0)
    y, x = np.nonzero(inside)
    corner = rows.start[y] * width + columns.start[x]
    base = corner % (rules.base_max + 1) // rules.base_multiple * rules.base_multiple
    key = np.stack([rows.pattern[y], columns.pattern[x], corner - base], axis=1)
    members, group = np.unique(key, axis=0, return_inverse=True)
    pixel = y * len(columns.pattern) + x
    return Sharing(pixel, base.astype(np.int32), group.reshape(-1), members)


def channel_pairs(map_: ConvMap, channels: Window) -> tuple[Longs, Longs]:
    """Pair the source channels with the target channels in a range that they reach, sorted by source."""
    out, per_group = map_.weight.shape[:2]
    target = np.arange(*channels)
    group = target // (out // map_.groups)
    source = (group[:, None] * per_group + np.arange(per_group)).ravel()
    pair = np.repeat(target, per_group)
    order = np.lexsort((pair, source))
    return source[order], pair[order]


def _conv(projection: Projection, map_: ConvMap, tile: Tile, rules: AxonRules) -> Synapses:
    rows, columns = line(map_, 0, tile.rows), line(map_, 1, tile.columns)
    height, width = tile.shape[1:]
    sharing = share(rows, columns, width, rules)
    source, target = channel_pairs(map_, tile.channels)
    low, high = int(source[0]), int(source[-1]) + 1
    atoms = high - low
    fan = np.bincount(source - low, minlength=atoms)
    lengths, index, weight = [], [], []
    for row, column, kept in sharing.members:
        step_y, tap_y = rows.steps[row], rows.taps[row]
        step_x, tap_x = columns.steps[column], columns.taps[column]
        place = (step_y[:, None] * width + step_x).ravel() + kept
        lengths.append(fan * len(place))
        index.append(((target - tile.channels[0])[:, None] * (height * width) + place).ravel())
        kernel = map_.weight[target, source % map_.weight.shape[1]]
        weight.append(kernel[:, tap_y[:, None], tap_x].ravel())
    parts = -(-atoms // rules.atoms)  # more channels than atoms take several axons per pixel
    pixels = int(np.prod(map_.source_shape[1:]))
    number = np.full(pixels, NONE, np.int64)
    number[sharing.used] = np.arange(len(sharing.used))
    channel, pixel = np.divmod(np.arange(map_.source_shape[0] * pixels), pixels)
    inside = (channel >= low) & (channel < high) & (number[pixel] >= 0)
    atom = np.where(inside, channel - low, 0)
    axon = np.where(inside, number[pixel] * parts + atom // rules.atoms, NONE)
    first = (sharing.group[:, None] * atoms + np.arange(parts) * rules.atoms).ravel()
    return Synapses(
        source=projection.source,
        axon=axon.astype(np.int32),
        atom=(atom % rules.atoms).astype(np.int32),
        first_row=first.astype(np.int32),
        base=np.repeat(sharing.base, parts),
        row_start=np.concatenate([[0], np.cumsum(np.concatenate(lengths))]).astype(np.int64)
        if lengths
        else np.zeros(1, np.int64),
        index=_joined(index),
        weight=_joined(weight),
        axon_kind=rules.kind,
        weight_exp=projection.weight_exp,
        weight_bits=projection.weight_bits,
    )


def _joined(parts: list[npt.NDArray[Any]]) -> Ints:
    return np.concatenate(parts).astype(np.int32) if parts else np.zeros(0, np.int32)
