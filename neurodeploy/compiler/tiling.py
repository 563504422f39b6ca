"""Tilings: into which boxes a population is cut, and what each box costs, before anything is laid out."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neurodeploy.compiler import maps
from neurodeploy.compiler.cost import CostModel, group_words, index_width
from neurodeploy.compiler.layout import AxonRules, Tile, Window, channel_pairs, line, share
from neurodeploy.program import ConvMap, DenseMap, Population, Program, Projection, SparseMap

Longs = npt.NDArray[np.int64]
Grid = tuple[int, int, int]


@dataclass(frozen=True)
class Limits:
    """What one core holds; infinite where unknown."""

    neurons: float
    in_axons: float
    words: float
    out_slots: float


@dataclass(frozen=True)
class Need:
    """What one block asks of its core."""

    neurons: int
    in_axons: int = 0
    words: int = 0
    out_slots: int = 0

    def within(self, limits: Limits) -> bool:
        """Whether a core can take it."""
        return (
            self.neurons <= limits.neurons
            and self.in_axons <= limits.in_axons
            and self.words <= limits.words
            and self.out_slots <= limits.out_slots
        )


@dataclass(frozen=True)
class Parts:
    """How many pieces each axis of a grid is cut into."""

    channels: int = 1
    rows: int = 1
    columns: int = 1

    def __len__(self) -> int:
        return self.channels * self.rows * self.columns

    def tiles(self, grid: Grid) -> list[Tile]:
        """Boxes in order of channels, rows, columns; sizes differ by at most one."""
        return [
            Tile(c, y, x)
            for c in cuts(grid[0], self.channels)
            for y in cuts(grid[1], self.rows)
            for x in cuts(grid[2], self.columns)
        ]


def cuts(size: int, parts: int) -> list[Window]:
    """Cut a range into contiguous parts whose sizes differ by at most one."""
    edges = [size * i // parts for i in range(parts + 1)]
    return list(itertools.pairwise(edges))


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


def candidates(grid: Grid, least: int) -> Iterator[list[Parts]]:
    """Yield all ways to cut a grid into `least` boxes, then into more, up to single neurons."""
    channels, rows, columns = grid
    ways: dict[int, list[Parts]] = {}
    for y in _sizes(rows):
        for x in _sizes(columns):
            for c in range(1, channels + 1):
                ways.setdefault(c * y * x, []).append(Parts(c, y, x))
    for count in sorted(ways):
        if count >= least:
            yield ways[count]


def _sizes(length: int) -> list[int]:
    """Numbers of parts that give different largest parts."""
    return sorted({math.ceil(length / size) for size in range(1, length + 1)})


def incoming(
    projection: Projection, tile: Tile, grid: Grid, model: CostModel | None, rules: AxonRules
) -> tuple[int, int]:
    """Count input axons and memory words of the part of a projection that ends in a tile."""
    map_ = projection.map
    bits = projection.weight_bits
    match map_:
        case ConvMap():
            return _incoming_conv(map_, tile, model, rules, bits)
        case DenseMap():
            block = map_.weight[tile.neurons(grid)]
            used = int(block.any(axis=0).sum())
            size = np.full(1, block.shape[0])
            return used, used * int(group_words(model, size, bits=bits)[0]) if model else 0
        case SparseMap():
            rows = maps.as_matrix(map_)[tile.neurons(grid)]
            count = np.bincount(rows.indices, minlength=map_.shape[1])
            count = count[count > 0]
            if model is None:
                return len(count), 0
            width = index_width(math.prod(tile.shape) - 1, model.index_widths)
            return len(count), int(group_words(model, count, bits=bits + width).sum())


def _incoming_conv(
    map_: ConvMap, tile: Tile, model: CostModel | None, rules: AxonRules, bits: int
) -> tuple[int, int]:
    rows, columns = line(map_, 0, tile.rows), line(map_, 1, tile.columns)
    sharing = share(rows, columns, tile.shape[2], rules)
    source, _ = channel_pairs(map_, tile.channels)
    parts = -(-(int(source[-1]) + 1 - int(source[0])) // rules.atoms)
    axons = len(sharing.used) * parts
    if model is None:
        return axons, 0
    per_pattern = np.array([len(rows.steps[y]) * len(columns.steps[x]) for y, x, _ in sharing.members])
    top = int(sharing.members[:, 2].max(initial=0)) + (tile.shape[0] - 1) * tile.shape[1] * tile.shape[2]
    top += max((int(s[-1]) for s in rows.steps), default=0) * tile.shape[2]
    top += max((int(s[-1]) for s in columns.steps), default=0)
    width = index_width(top, model.index_widths)
    return axons, int(group_words(model, per_pattern * len(source), bits=bits + width).sum())


@dataclass(frozen=True)
class FanOut:
    """How many tiles of one projection's target each source neuron (or pixel) reaches.

    Parameters
    ----------
    slots : int
        Output entries per axon.
    channels : tuple of (int, int)
        Source channels this holds for.
    count : ndarray of int64
        Per source pixel (H, W) where channels share an axon, else per source neuron (N_source,).
    """

    slots: int
    channels: Window
    count: Longs
    shared: bool

    def outgoing(self, tile: Tile, grid: Grid) -> int:
        """Output entries of a tile of the source."""
        if not self.shared:
            return self.slots * int(self.count[tile.neurons(grid)].sum())
        if tile.channels[0] >= self.channels[1] or self.channels[0] >= tile.channels[1]:
            return 0
        return self.slots * int(self.count[slice(*tile.rows), slice(*tile.columns)].sum())


def fan_out(projection: Projection, tiles: list[Tile], grid: Grid, rules: AxonRules) -> list[FanOut]:
    """Count, for every source neuron or pixel, the tiles of the target that need an axon from it."""
    map_ = projection.map
    if not isinstance(map_, ConvMap):
        count = np.zeros(maps.shape_of(map_)[1], np.int64)
        for tile in tiles:
            count += _reaches(map_, tile.neurons(grid))
        return [FanOut(1, (0, len(count)), count, shared=False)]
    images: dict[Window, Longs] = {}
    for tile in tiles:
        source, _ = channel_pairs(map_, tile.channels)
        span = (int(source[0]), int(source[-1]) + 1)
        image = images.setdefault(span, np.zeros(map_.source_shape[1:], np.int64))
        rows, columns = line(map_, 0, tile.rows), line(map_, 1, tile.columns)
        image += np.outer(rows.pattern >= 0, columns.pattern >= 0)
    return [FanOut(rules.slots, span, image, shared=True) for span, image in images.items()]


def _reaches(map_: DenseMap | SparseMap, neurons: npt.NDArray[Any]) -> Longs:
    if isinstance(map_, DenseMap):
        return np.asarray(map_.weight[neurons].any(axis=0), np.int64)
    columns = maps.as_matrix(map_)[neurons].indices
    return (np.bincount(columns, minlength=map_.shape[1]) > 0).astype(np.int64)
