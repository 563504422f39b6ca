"""Convolutions as population axons: one per source pixel, the channel as the axon's atom.

Pixels that see the same piece of kernel share one set of rows and differ in their base; pixels whose spikes
do the same, as those under an average, are one axon.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from neurodeploy.compiler import maps
from neurodeploy.compiler.tiles import NONE, AxonRules, Ints, Tile, Window
from neurodeploy.program import ConvMap, Projection, Synapses

Longs = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Line:
    """How source rows (or columns) see a range of target rows.

    Parameters
    ----------
    unit : ndarray of int64, shape (S,)
        Number of each source row's unit, -1 where it sees nothing. Rows of one unit reach the same targets
        through equal weights.
    start, pattern : ndarray of int64, shape (U,)
        Per unit: first target row it reaches, from the start of the range, and which pattern it has.
    steps, taps : tuple of ndarray
        Per pattern: target rows from the start, and the kernel row each one is reached through.
    """

    unit: Longs
    start: Longs
    pattern: Longs
    steps: tuple[Longs, ...]
    taps: tuple[Longs, ...]


def line(map_: ConvMap, axis: int, window: Window, taps: tuple[Longs, npt.NDArray[np.bool_]]) -> Line:
    """Find the units along one axis (0 rows, 1 columns); taps that are all zero drop out."""
    at = maps.windows_of(map_, axis)[window[0] : window[1]]
    tap_of, alive = taps
    target, tap = np.nonzero((at >= 0) & alive)
    source, tap = at[target, tap], tap_of[tap]
    order = np.lexsort((target, source))
    source, target, tap = source[order], target[order], tap[order]
    bounds = np.searchsorted(source, np.arange(map_.source_shape[1 + axis] + 1))
    unit = np.full(map_.source_shape[1 + axis], NONE, np.int64)
    patterns: dict[tuple[bytes, bytes], int] = {}
    units: dict[tuple[int, int], int] = {}
    steps, through = [], []
    for s in range(len(unit)):
        here = slice(bounds[s], bounds[s + 1])
        if here.start == here.stop:
            continue
        start = int(target[here.start])
        step = target[here] - start
        key = (step.tobytes(), tap[here].tobytes())
        if key not in patterns:
            patterns[key] = len(patterns)
            steps.append(step)
            through.append(tap[here])
        unit[s] = units.setdefault((start, patterns[key]), len(units))
    found = np.array(list(units), np.int64).reshape(-1, 2)
    return Line(unit, found[:, 0], found[:, 1], tuple(steps), tuple(through))


def equal_taps(map_: ConvMap, axis: int) -> tuple[Longs, npt.NDArray[np.bool_]]:
    """Find kernel rows (or columns) that are equal, as those of an average are.

    Returns
    -------
    first : ndarray of int64, shape (K,)
        First tap that equals each tap.
    alive : ndarray of bool, shape (K,)
        Where a tap is not all zero.
    """
    taps = np.moveaxis(map_.weight, 2 + axis, 0)
    known: dict[bytes, int] = {}
    first = [known.setdefault(tap.tobytes(), number) for number, tap in enumerate(taps)]
    return np.array(first, np.int64), np.array([bool(tap.any()) for tap in taps])


@dataclass(frozen=True, eq=False)
class Conv:
    """A convolution, with what was found out about its axes kept for the next question."""

    map: ConvMap
    rules: AxonRules
    taps: tuple[tuple[Longs, npt.NDArray[np.bool_]], ...]
    lines: dict[tuple[int, Window], Line] = field(default_factory=dict)
    seen: dict[tuple[int, Window, Window], int] = field(default_factory=dict)

    def line(self, axis: int, window: Window) -> Line:
        """Return how the source sees a range of target rows or columns."""
        if (axis, window) not in self.lines:
            self.lines[axis, window] = line(self.map, axis, window, self.taps[axis])
        return self.lines[axis, window]

    def units(self, axis: int, window: Window, source: Window) -> int:
        """Count the units among some source rows that reach a range of target rows."""
        if (axis, window, source) not in self.seen:
            unit = np.unique(self.line(axis, window).unit[slice(*source)])
            self.seen[axis, window, source] = int((unit >= 0).sum())
        return self.seen[axis, window, source]

    def channels(self, targets: Window) -> Window:
        """Range of source channels that reach a range of target channels."""
        out, per_group = self.map.weight.shape[:2]
        per = out // self.map.groups
        return targets[0] // per * per_group, ((targets[1] - 1) // per + 1) * per_group

    def parts(self, targets: Window) -> int:
        """Axons per pixel: more channels than atoms take several."""
        low, high = self.channels(targets)
        return -(-(high - low) // self.rules.atoms)


@dataclass(frozen=True, eq=False)
class Sharing:
    """The axons of a tile, and which of them share their rows.

    Parameters
    ----------
    base : ndarray of int32, shape (A,)
        Per pair of row unit and column unit, in order.
    group : ndarray of int64, shape (A,)
        Group of rows of each.
    members : ndarray of int64, shape (G, 3)
        Row pattern, column pattern and part of the base that is kept in the indices, per group.
    """

    base: Ints
    group: Longs
    members: Longs


def share(rows: Line, columns: Line, width: int, rules: AxonRules) -> Sharing:
    """Group the axons of a tile that need the same rows."""
    corner = (rows.start[:, None] * width + columns.start).ravel()
    base = corner % (rules.base_max + 1) // rules.base_multiple * rules.base_multiple
    y, x = np.divmod(np.arange(len(corner)), max(len(columns.start), 1))
    key = np.stack([rows.pattern[y], columns.pattern[x], corner - base], axis=1)
    span = key.max(axis=0, initial=0) + 1
    code, group = np.unique((key[:, 0] * span[1] + key[:, 1]) * span[2] + key[:, 2], return_inverse=True)
    rest, kept = np.divmod(code, span[2])
    members = np.stack([*np.divmod(rest, span[1]), kept], axis=1)
    return Sharing(base.astype(np.int32), group.reshape(-1), members)


def channel_pairs(map_: ConvMap, channels: Window) -> tuple[Longs, Longs]:
    """Pair the source channels with the target channels in a range that they reach, sorted by source."""
    out, per_group = map_.weight.shape[:2]
    target = np.arange(*channels)
    group = target // (out // map_.groups)
    source = (group[:, None] * per_group + np.arange(per_group)).ravel()
    pair = np.repeat(target, per_group)
    order = np.lexsort((pair, source))
    return source[order], pair[order]


def conv_synapses(projection: Projection, conv: Conv, tile: Tile) -> Synapses:
    """Lay out the part of a convolution that ends in a tile."""
    rows, columns = conv.line(0, tile.rows), conv.line(1, tile.columns)
    sharing = share(rows, columns, tile.shape[2], conv.rules)
    low, high = conv.channels(tile.channels)
    start, index, weight = _conv_rows(conv, tile, sharing, rows, columns)
    parts, atoms = conv.parts(tile.channels), conv.rules.atoms
    unit = np.where(rows.unit[:, None] >= 0, rows.unit[:, None] * len(columns.start) + columns.unit, NONE)
    unit = np.where(columns.unit >= 0, unit, NONE).ravel()
    channel, pixel = np.divmod(np.arange(conv.map.source_shape[0] * len(unit)), len(unit))
    inside = (channel >= low) & (channel < high) & (unit[pixel] >= 0)
    atom = np.where(inside, channel - low, 0)
    first = sharing.group[:, None] * (high - low) + np.arange(parts) * atoms
    return Synapses(
        source=projection.source,
        axon=np.where(inside, unit[pixel] * parts + atom // atoms, NONE).astype(np.int32),
        atom=(atom % atoms).astype(np.int32),
        first_row=first.ravel().astype(np.int32),
        base=np.repeat(sharing.base, parts),
        row_start=start,
        index=index,
        weight=weight,
        axon_kind=conv.rules.kind,
        weight_exp=projection.weight_exp,
        weight_bits=projection.weight_bits,
        delay=projection.delay,
    )


def _conv_rows(
    conv: Conv, tile: Tile, sharing: Sharing, rows: Line, columns: Line
) -> tuple[Longs, Ints, Ints]:
    """Rows (start, index, weight) of every group, one row per source channel."""
    kernel = conv.map.weight
    source, target = channel_pairs(conv.map, tile.channels)
    low, high = conv.channels(tile.channels)
    fan = np.bincount(source - low, minlength=high - low)
    _, height, width = tile.shape
    plane = (target - tile.channels[0])[:, None] * (height * width)
    kernel = kernel[target, source % kernel.shape[1]]
    lengths, index, weight = [np.zeros(1, np.int64)], [], []
    for row, column, kept in sharing.members:
        step_y, step_x = rows.steps[row], columns.steps[column]
        place = (step_y[:, None] * width + step_x).ravel() + kept
        lengths.append(fan * len(place))
        index.append((plane + place).ravel())
        weight.append(kernel[:, rows.taps[row][:, None], columns.taps[column]].ravel())
    return np.cumsum(np.concatenate(lengths)), _joined(index), _joined(weight)


def _joined(parts: list[npt.NDArray[Any]]) -> Ints:
    return np.concatenate(parts).astype(np.int32) if parts else np.zeros(0, np.int32)
