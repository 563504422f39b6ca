"""Jitted parts that add up what spikes do, one function per form of rows."""

from __future__ import annotations

from typing import Any

import numpy as np

from neurodeploy.kernels import intrinsics
from neurodeploy.kernels.chance import LOST
from neurodeploy.kernels.lanes import jit, jit_apart
from neurodeploy.kernels.rows import DENSE, LANES, LEARNED, PACK, WIDE, WINDOWS

add_pack = intrinsics.add_packed
add_rows, add_rows4, flush = intrinsics.add_rows, intrinsics.add_rows4, intrinsics.flush
add_windows1, add_windows2, add_windows4 = (
    intrinsics.add_windows1,
    intrinsics.add_windows2,
    intrinsics.add_windows4,
)

add_own_rows, FEW = intrinsics.add_own_rows, intrinsics.FEW

FLUSH_AFTER = 255
"""Spikes a 16-bit accumulator surely holds: 255 * 128 < 2**15."""


@jit
def flush_group(groups: Any, g: Any, acc: Any, q: Any, shift: Any) -> None:
    """Move a group's 16-bit sums to the 32-bit ones."""
    start, size = groups[g, 0], groups[g, 1]
    for at in range(start, start + size, LANES):
        flush(acc, at, q, np.int32(shift))


@jit
def add_dense(rows: Any, vectors: Any, spikes: Any, i: Any, end: Any, offset: Any, acc: Any) -> Any:
    """Add rows that cover the whole target and lie one after the other."""
    count, base = np.int64(rows[offset + spikes[i], 1]), np.int64(rows[offset + spikes[i], 2])
    stride = count * LANES
    origin = np.int64(rows[offset + spikes[i], 0]) * LANES - stride * spikes[i]
    k = 0
    while k + 4 <= count:
        add_rows4(acc, base + k * LANES, vectors, origin + k * LANES, stride, spikes, i, end - i)
        k += 4
    while k < count:
        add_rows(acc, base + k * LANES, vectors, origin + k * LANES, stride, spikes, i, end - i)
        k += 1
    return np.int64(rows[offset + spikes[i], 3]) * (end - i)


@jit
def add_row(rows: Any, windows: Any, vectors: Any, a: Any, chunk: Any, acc: Any) -> Any:
    """Add one row that is a list of vectors, a multiple of ``chunk``."""
    first, base = np.int64(rows[a, 0]), np.int64(rows[a, 2])
    if chunk == 4:
        for k in range(first, first + rows[a, 1], 4):
            add_windows4(acc, base, windows, vectors, k)
    elif chunk == 2:
        for k in range(first, first + rows[a, 1], 2):
            add_windows2(acc, base, windows, vectors, k)
    else:
        for k in range(first, first + rows[a, 1]):
            add_windows1(acc, base, windows, vectors, k)
    return rows[a, 3]


@jit
def add_windows(
    rows: Any, windows: Any, vectors: Any, spikes: Any, i: Any, end: Any, offset: Any, chunk: Any, acc: Any
) -> Any:
    """Add rows that are a list of vectors."""
    synapses = 0
    for j in range(i, end):
        synapses += add_row(rows, windows, vectors, offset + spikes[j], chunk, acc)
    return synapses


@jit
def add_packed(rows: Any, words: Any, spikes: Any, i: Any, end: Any, offset: Any, acc: Any) -> Any:
    """Add rows of single synapses, index and mantissa in one word."""
    synapses = 0
    for j in range(i, end):
        a = offset + spikes[j]
        first, base = np.int64(rows[a, 0]), np.int64(rows[a, 2])
        synapses += rows[a, 3]
        for k in range(first, first + rows[a, 1], PACK):
            add_pack(acc, base, words, k)
    return synapses


@jit
def add_wide(rows: Any, words: Any, spikes: Any, i: Any, end: Any, offset: Any, q: Any) -> Any:
    """Add rows of single synapses with 32-bit weights."""
    synapses = 0
    for j in range(i, end):
        a = offset + spikes[j]
        first, base = np.int64(rows[a, 0]), np.int64(rows[a, 2])
        synapses += rows[a, 3]
        for k in range(first, first + 2 * np.int64(rows[a, 1]), 2):
            at = base + words[k]
            q[at] = np.int32(q[at] + words[k + 1])
    return synapses


@jit
def add_learned(
    rule: Any, start: Any, rows: Any, spikes: Any, i: Any, end: Any, offset: Any, q: Any, marks: Any,
    learned: Any, flags: Any,
) -> Any:  # fmt: skip
    """Add rows of weights that belong to the sample, and mark their axons for the traces."""
    neurons, first_weight, first_trace = rule[2], rule[3], rule[4]
    axons, lost = 0, 0
    for j in range(i, end):
        axon = np.int64(rows[offset + spikes[j], 0])
        if axon >= 0:
            axons += 1
            lost |= marks[first_trace + axon]
            marks[first_trace + axon] = 1
    if lost:
        flags[0] |= LOST
    for k in range(0, neurons, FEW):
        origin = first_weight + k
        add_own_rows(q, start + k, learned, origin, neurons, neurons - k, rows, offset, spikes, i, end - i)
    return axons * neurons


@jit_apart
def deliver(
    tables: Any, w: Any, lists: Any, begin: Any, n: Any, acc: Any, q: Any, pending: Any, shifts: Any,
    marks: Any, learned: Any, flags: Any,
) -> Any:  # fmt: skip
    """Add what spikes of one group do in another; return the number of synapses they met.

    ``pending`` counts the rows in a group's 16-bit sums, which stand for themselves times two to ``shifts``.
    """
    groups, wires, rows, windows, vectors, words, learning = tables
    target, kind, shift = wires[w, 1], wires[w, 2], wires[w, 3]
    offset = wires[w, 4] - groups[wires[w, 0], 0]
    synapses = 0
    if kind == WIDE:
        return add_wide(rows, words, lists, begin, begin + n, offset, q)
    if kind == LEARNED:
        rule = learning[wires[w, 5]]
        return add_learned(
            rule, groups[target, 0], rows, lists, begin, begin + n, offset, q, marks, learned, flags
        )
    i = 0
    while i < n:
        if pending[target] and (shifts[target] != shift or pending[target] == FLUSH_AFTER):
            flush_group(groups, target, acc, q, shifts[target])
            pending[target] = 0
        shifts[target] = shift
        end = min(n, i + FLUSH_AFTER - pending[target])
        if kind == DENSE:
            synapses += add_dense(rows, vectors, lists, begin + i, begin + end, offset, acc)
        elif kind == WINDOWS:
            synapses += add_windows(
                rows, windows, vectors, lists, begin + i, begin + end, offset, wires[w, 5], acc
            )
        else:
            synapses += add_packed(rows, words, lists, begin + i, begin + end, offset, acc)
        pending[target] += end - i
        i = end
    return synapses
