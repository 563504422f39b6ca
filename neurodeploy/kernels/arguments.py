"""What the kernel is handed beside samples: a circuit's tables, what is read out, what is recorded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from neurodeploy.kernels.layout import Layout
from neurodeploy.kernels.room import Arrays
from neurodeploy.kernels.state import Longs
from neurodeploy.kernels.tiles import no_tiles


@dataclass(frozen=True, eq=False)
class Readout:
    """Where decisions are read.

    Parameters
    ----------
    group : int
    by : {"membrane", "spikes"}
    """

    group: int
    by: str = "membrane"


def unit_available() -> bool:
    """Whether there is a matrix unit."""
    from neurodeploy.kernels.matrix import available

    return available()


def tables(layout: Layout) -> Arrays:
    """Return what the kernel walks for every spike."""
    return (
        layout.groups, layout.wires, layout.rows, layout.windows, layout.vectors, layout.words,
        layout.learning,
    )  # fmt: skip


def extras(layout: Layout, watch: Longs | None, product: Arrays | None = None) -> Any:
    """Return the rest of the tables.

    Parameters
    ----------
    layout : Layout
    watch : ndarray of int64, shape (W, 4), optional
        Group, what, position, column; sorted by group.
    product : tuple of arrays, optional
        As `product_of` makes it: the groups whose input is a matrix product.
    """
    product = product or _product(layout, None)
    watch = np.zeros((0, 4), np.int64) if watch is None else watch
    flags = [
        layout.delay,
        layout.outside,
        layout.random,
        layout.noise[0].any(),
        (product[0][:, 0] >= 0).any(),
    ]
    setup = np.array(flags, np.int64)
    ends = np.searchsorted(watch[:, 0], np.arange(len(layout.groups) + 1)).astype(np.int64)
    lines = np.ascontiguousarray(watch[:, 1:])
    return (
        layout.neurons, layout.noise, layout.rates, layout.position, layout.sequence, layout.stages, setup,
        lines, ends, product,
    )  # fmt: skip


def product_of(
    layout: Layout, readout: Readout | None, *, lists: bool, watched: Longs | None = None
) -> Arrays:
    """Plan which groups run by products.

    One whose membrane is read out in every step, or that is watched, does not.

    Parameters
    ----------
    layout : Layout
    readout : Readout, optional
    lists : bool
        Whether all single spikes are asked for.
    watched : ndarray of int64, optional
        Groups whose state is recorded in every step.

    Returns
    -------
    tuple of arrays
        Per group: as `tiles.Tiles`, whether its spikes are needed as bytes, whether they are needed as lists;
        panels, entries and blocks of `tiles.Tiles`, synapses of every row, shapes of the unit's registers.
    """
    plan = np.zeros((len(layout.groups), 6), np.int64)
    plan[:, :4] = layout.tiles.groups
    plan[np.zeros(0, np.int64) if watched is None else watched, 0] = -1
    if readout is not None:
        plan[readout.group, 5] = 1
        if readout.by == "membrane":
            plan[readout.group, 0] = -1
    for source, target in layout.wires[:, :2].tolist():
        fed = plan[target, 0] >= 0
        plan[source, 4] |= fed and source != target
        plan[source, 5] |= not fed and source != target
    plan[:, 5] |= lists
    return _product(layout, plan)


def _product(layout: Layout, plan: Longs | None) -> Arrays:
    if plan is None:
        plan, tiles = np.zeros((len(layout.groups), 6), np.int64), no_tiles(len(layout.groups))
        plan[:, 0] = -1
    else:
        tiles = layout.tiles
    shapes = np.zeros(64, np.uint8)  # eight registers of 16 rows of 64 bytes
    shapes[0], shapes[16:32:2], shapes[48:56] = 1, 64, 16
    return (
        plan, tiles.panels, tiles.entries, tiles.blocks, np.ascontiguousarray(layout.rows[:, 3]), shapes
    )  # fmt: skip


def watch_all(layout: Layout) -> Longs:
    """List everything to be recorded: u, v, wait and spikes of all neurons, one after the other."""
    n = len(layout.position)
    group = np.repeat(np.arange(len(layout.groups)), layout.groups[:, 1])
    parts = [np.column_stack([group, np.full(n, k), layout.position, k * n + np.arange(n)]) for k in range(4)]
    lines = np.concatenate(parts)
    return np.asarray(lines[np.argsort(lines[:, 0], kind="stable")])
