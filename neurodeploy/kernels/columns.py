"""Jitted parts that run a group for a whole horizon, vector after vector, its input by products."""

from __future__ import annotations

from typing import Any

import numpy as np

from neurodeploy.kernels import intrinsics, matrix
from neurodeploy.kernels.lanes import jit, jit_apart
from neurodeploy.kernels.rows import LANES
from neurodeploy.kernels.tiles import ACCUMULATE, SOURCES

flush, list_spikes = intrinsics.flush, intrinsics.list_spikes
begin, end, multiply = matrix.begin, matrix.end, matrix.multiply
column, column_accumulate = matrix.column, matrix.column_accumulate
mask_at, count_rows, clear_rows = matrix.mask_at, matrix.count_rows, matrix.clear_rows
BANKS = SOURCES.bit_length() - 1
"""Bits of a position within its bank."""
PASS, BANK = matrix.PASS, matrix.BANK


@jit
def bank_of(at: Any) -> Any:
    """Where the byte of a position's first step lies."""
    return (at >> BANKS) * BANK + (at & (SOURCES - 1))


@jit_apart
def write_bytes(
    groups: Any, g: Any, steps: Any, delay: Any, lists: Any, first: Any, count: Any, spikes: Any, totals: Any
) -> None:
    """Write a group's listed spikes down as bytes, and count them."""
    start, size = groups[g, 0], groups[g, 1]
    for at in range(start, start + size, LANES):
        clear_rows(spikes, bank_of(at), steps)
    for t in range(steps):
        low = first[g, t + delay]
        for i in range(low, low + count[g, t + delay]):
            spikes[bank_of(np.int64(lists[i])) + t * SOURCES] += np.uint8(1)
    for at in range(start, start + size, LANES):
        count_rows(spikes, bank_of(at), steps, totals, at)


@jit_apart
def run_column(
    groups: Any, g: Any, steps: Any, plan: Any, tiles: Any, neurons: Any, cells: Any, bias: Any, acc: Any,
    q: Any, held: Any, spikes: Any, sums: Any, totals: Any,
) -> Any:  # fmt: skip
    """Step a group, whose sums hold what arrives in the first of the steps; return what overflowed."""
    panels, entries, blocks = tiles
    start, size, line = groups[g, 0], groups[g, 1], plan[g, 0]
    shift, loop = np.int32(plan[g, 1]), np.int32(plan[g, 2])
    n, seen = len(bias), np.uint64(0)
    for at in range(start, start + size, LANES):
        flush(acc, at, q, np.int32(held))
        for lane in range(LANES):
            sums[lane] = q[at + lane]
            q[at + lane] = 0
        for t in range(0, steps, PASS):
            multiply(spikes, entries, panels[line], panels[line + 1], blocks, sums, t)
        line += 1
        bank = bank_of(at)
        if plan[g, 3] != ACCUMULATE or not column_accumulate(
            sums, cells, neurons, bias, spikes, at, n, bank, steps, shift, loop
        ):
            seen |= column(sums, cells, neurons, bias, spikes, at, n, bank, steps, shift, loop)
        count_rows(spikes, bank, steps, totals, at)
    return np.int64(seen >> np.uint64(32))


@jit_apart
def list_rows(
    groups: Any, g: Any, steps: Any, delay: Any, whole: Any, lists: Any, first: Any, count: Any, spikes: Any
) -> None:
    """List a group's spikes of all steps, or of those that arrive later alone."""
    start, size = groups[g, 0], groups[g, 1]
    free = first[g, delay - 1] + count[g, delay - 1]
    for t in range(steps):
        first[g, t + delay] = free
        if whole or t + delay >= steps:
            for at in range(start, start + size, LANES):
                mask = mask_at(spikes, bank_of(at) + t * SOURCES)
                if mask:
                    free = list_spikes(lists, free, at, mask)
        count[g, t + delay] = free - first[g, t + delay]


@jit_apart
def count_all(
    groups: Any, wires: Any, low: Any, high: Any, g: Any, fan: Any, totals: Any, lists: Any, first: Any,
    count: Any, last: Any, spikes: Any, synops: Any,
) -> None:  # fmt: skip
    """Count a group's spikes, and the synapses that spikes met over wires ``low`` to ``high``.

    Not those of the ``last`` column of lists, which arrive later.
    """
    for at in range(groups[g, 0], groups[g, 0] + groups[g, 1]):
        spikes[g] += totals[at]
    for w in range(low, high):
        source, row, found = wires[w, 0], wires[w, 4], 0
        start, size, begin = groups[source, 0], groups[source, 1], first[source, last]
        for i in range(size):
            found += np.int64(fan[row + i]) * totals[start + i]
        for i in range(begin, begin + count[source, last]):
            found -= fan[row + lists[i] - start]
        synops[g] += found
