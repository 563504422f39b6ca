"""Tilings: into which boxes a population is cut, and what each box costs, before anything is laid out."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from neurodeploy.compiler.convolution import Conv, share
from neurodeploy.compiler.cost import CostModel, group_words, index_width
from neurodeploy.compiler.tiles import Grid, Tile, Window
from neurodeploy.compiler.wiring import Wiring
from neurodeploy.program import ConvMap, Population, Program

Longs = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Limits:
    """What one core holds; infinite where unknown."""

    neurons: float
    in_axons: float
    words: float
    out_slots: float
    axon_words: float = math.inf


@dataclass(frozen=True)
class Need:
    """What one block asks of its core."""

    neurons: int
    in_axons: int = 0
    words: int = 0
    out_slots: int = 0
    axon_words: int = 0

    def share(self, limits: Limits) -> float:
        """Part of a core that the scarcest resource takes."""
        return max(
            self.neurons / max(limits.neurons, 1),
            self.in_axons / max(limits.in_axons, 1),
            self.words / max(limits.words, 1),
            self.out_slots / max(limits.out_slots, 1),
        )

    def within(self, limits: Limits) -> bool:
        """Whether a core can take it."""
        return (
            self.neurons <= limits.neurons
            and self.in_axons <= limits.in_axons
            and self.words <= limits.words
            and self.out_slots <= limits.out_slots
            and self.axon_words <= limits.axon_words
        )


@dataclass(frozen=True)
class Cutting:
    """Where the axes of a grid (C, H, W) are cut: ranges of channels, rows and columns."""

    channels: tuple[Window, ...]
    rows: tuple[Window, ...]
    columns: tuple[Window, ...]

    def __len__(self) -> int:
        return len(self.channels) * len(self.rows) * len(self.columns)

    def tiles(self) -> list[Tile]:
        """Boxes in order of channels, rows, columns."""
        return [Tile(c, y, x) for c in self.channels for y in self.rows for x in self.columns]

    def middle(self) -> Tile:
        """Return the box in the middle, which usually needs most."""
        c, y, x = (axis[len(axis) // 2] for axis in self.axes)
        return Tile(c, y, x)

    @property
    def axes(self) -> tuple[tuple[Window, ...], tuple[Window, ...], tuple[Window, ...]]:
        """The ranges of each axis."""
        return self.channels, self.rows, self.columns


def evenly(grid: Grid, channels: int = 1, rows: int = 1, columns: int = 1) -> Cutting:
    """Cut each axis into so many parts, whose sizes differ by at most one."""
    return Cutting(cuts(grid[0], channels), cuts(grid[1], rows), cuts(grid[2], columns))


def filled(grid: Grid, sizes: Grid) -> Cutting:
    """Cut each axis into parts of a size, and what remains."""
    c, y, x = (
        tuple((i, min(i + size, length)) for i in range(0, length, size))
        for length, size in zip(grid, sizes, strict=True)
    )
    return Cutting(c, y, x)


def cuts(size: int, parts: int) -> tuple[Window, ...]:
    """Cut a range into contiguous parts whose sizes differ by at most one."""
    edges = [size * i // parts for i in range(parts + 1)]
    return tuple(itertools.pairwise(edges))


def grid_of(population: Population, program: Program) -> Grid:
    """Shape (C, H, W) of a population: that of its convolutions, else its own, else a list of channels."""
    for projection in program.projections:
        if isinstance(projection.map, ConvMap):
            if projection.target == population.name:
                return projection.map.target_shape
            if projection.source == population.name:
                return projection.map.source_shape
    if len(population.shape) == 3:
        return population.shape[0], population.shape[1], population.shape[2]
    return population.size, 1, 1


def candidates(grid: Grid, least: int) -> Iterator[list[Cutting]]:
    """Yield all ways to cut a grid into `least` boxes, then into more, up to single neurons."""
    channels, rows, columns = grid
    ways: dict[int, list[Grid]] = {}
    for y in _sizes(rows):
        for x in _sizes(columns):
            for c in range(1, channels + 1):
                ways.setdefault(c * y * x, []).append((c, y, x))
    for count in sorted(ways):
        if count >= least:
            yield [evenly(grid, *parts) for parts in ways[count]]


def _sizes(length: int) -> list[int]:
    """Numbers of parts that give different largest parts."""
    return sorted({math.ceil(length / size) for size in range(1, length + 1)})


@dataclass(frozen=True)
class Incoming:
    """What the part of one projection that ends in a tile takes: axons, words, words of its longest row."""

    axons: int
    words: int = 0
    longest: int = 0


def incoming(wiring: Wiring | Conv, bits: int, tile: Tile, grid: Grid, model: CostModel | None) -> Incoming:
    """Count what the part of a projection takes that ends in a tile; axons only without a cost model."""
    if isinstance(wiring, Conv):
        return _incoming_conv(wiring, bits, tile, model)
    count = wiring.counts_into(tile.neurons(grid))
    if wiring.atoms > 1:
        return _incoming_shared(wiring, count, bits, math.prod(tile.shape), model)
    count = count[count > 0]
    if model is None or not len(count):
        return Incoming(len(count))
    if not wiring.dense:
        bits += index_width(math.prod(tile.shape) - 1, model.index_widths)
    each = group_words(model, count, bits=bits)
    return Incoming(len(count), int(each.sum()), int(each.max()))


def _incoming_shared(
    wiring: Wiring, count: Longs, bits: int, neurons: int, model: CostModel | None
) -> Incoming:
    """Count rows that are kept whole, under axons that several units share."""
    there = wiring.grouped((count > 0).astype(np.int64)) > 0
    axons = int(there.sum())
    if model is None or not axons:
        return Incoming(axons)
    bits += index_width(neurons - 1, model.index_widths)
    rows = wiring.grouped(np.ones(wiring.units, np.int64))[there]
    each = group_words(model, rows * neurons, bits=bits)
    longest = group_words(model, np.array([neurons]), bits=bits)
    return Incoming(axons, int(each.sum()), int(longest[0]))


def _incoming_conv(conv: Conv, bits: int, tile: Tile, model: CostModel | None) -> Incoming:
    rows, columns = conv.line(0, tile.rows), conv.line(1, tile.columns)
    axons = len(rows.start) * len(columns.start) * conv.parts(tile.channels)
    if model is None or not axons:
        return Incoming(axons)
    sharing = share(rows, columns, tile.shape[2], conv.rules)
    high = np.array([int(s[-1]) for s in rows.steps]), np.array([int(s[-1]) for s in columns.steps])
    size = np.array([len(s) for s in rows.steps]), np.array([len(s) for s in columns.steps])
    y, x, kept = sharing.members.T
    plane = tile.shape[1] * tile.shape[2]
    top = int((high[0][y] * tile.shape[2] + high[1][x] + kept).max()) + (tile.shape[0] - 1) * plane
    bits += index_width(top, model.index_widths)
    places = size[0][y] * size[1][x]
    low, upper = conv.channels(tile.channels)
    pairs = tile.shape[0] * conv.map.weight.shape[1]
    row = group_words(model, places.max(keepdims=True) * -(-pairs // (upper - low)), bits=bits)
    return Incoming(axons, int(group_words(model, places * pairs, bits=bits).sum()), int(row[0]))


@dataclass(frozen=True, eq=False)
class FanOut:
    """How many output entries the neurons of one population need for one projection.

    Parameters
    ----------
    wiring : Wiring or Conv
    cutting : Cutting
        Of the target.
    count : ndarray of int64, shape (U,)
        Blocks that each axon of single weights reaches; empty for a convolution.
    slots : int
        Output entries of one axon.
    """

    wiring: Wiring | Conv
    cutting: Cutting
    count: Longs
    slots: int

    def outgoing(self, tile: Tile, grid: Grid) -> int:
        """Count the output entries of a tile of the source."""
        if isinstance(self.wiring, Wiring):
            unit = np.unique(self.wiring.unit[tile.neurons(grid)])
            axon = np.unique(unit[unit >= 0] // self.wiring.atoms)
            return self.slots * int(self.count[axon].sum())
        conv, (channels, rows, columns) = self.wiring, self.cutting.axes
        axons = sum(_parts_from(conv, c, tile.channels) for c in channels)
        down = sum(conv.units(0, w, tile.rows) for w in rows)
        across = sum(conv.units(1, w, tile.columns) for w in columns)
        return self.slots * axons * down * across


def _parts_from(conv: Conv, targets: Window, source: Window) -> int:
    """Axons per pixel that some source channels need to reach some target channels."""
    low, high = conv.channels(targets)
    first, last = max(source[0], low), min(source[1], high)
    if first >= last:
        return 0
    return (last - 1 - low) // conv.rules.atoms - (first - low) // conv.rules.atoms + 1


def fan_out(wiring: Wiring | Conv, cutting: Cutting, grid: Grid, slots: int) -> FanOut:
    """Prepare to count what the sources of a population need, once it is cut."""
    if isinstance(wiring, Conv):
        return FanOut(wiring, cutting, np.zeros(0, np.int64), slots)
    count = np.zeros(wiring.axons, np.int64)
    for tile in cutting.tiles():
        count += wiring.grouped((wiring.counts_into(tile.neurons(grid)) > 0).astype(np.int64)) > 0
    return FanOut(wiring, cutting, count, slots)
