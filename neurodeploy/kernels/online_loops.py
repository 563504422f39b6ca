"""The kernel of online learning: sample after sample, step after step, only where spikes and traces are.

Written for Numba; `online.py` compiles and calls it. It must agree with `online_reference` in every integer.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from neurodeploy.kernels.lanes import jit, jit_apart
from neurodeploy.kernels.online_changes import SPIKES, SYNOPS
from neurodeploy.kernels.online_engine import learn_step, list_traces
from neurodeploy.kernels.online_tables import MOST
from neurodeploy.learning.circuit import ERROR_ZERO, FULL, UNIT

WHOLE = FULL * UNIT
HELD = 128
"""Rows that 16-bit sums surely hold: 128 * 255 < 2**15."""


@jit_apart
def emit(start: Any, size: Any, role: Any, rate: Any, x: Any, label: Any, drive: Any, fired: Any) -> None:
    """Let a source spike at an even pace."""
    spikes, far = fired[start : start + size], drive[start : start + size]
    if rate == 0:
        spikes[:] = 0
    elif role == 1:
        for i in range(size):
            total = far[i] + np.int64(x[i]) * rate
            spike = total >= WHOLE
            far[i] = total - WHOLE * np.int64(spike)
            spikes[i] = np.uint8(spike)
    else:
        for i in range(size):
            spikes[i] = 0
            if role != 2 or i == label:
                far[i] += FULL * rate
                if far[i] >= WHOLE:
                    far[i] -= WHOLE
                    spikes[i] = 1


@jit_apart
def update_neurons(row: Any, v: Any, q: Any, fired: Any) -> None:
    """Integrate and fire."""
    start, size, top, low = row[0], row[1], np.int32(row[2]), np.int32(row[3])
    left = np.int32(row[7])
    membrane, arrived, spikes = v[start : start + size], q[start : start + size], fired[start : start + size]
    for i in range(size):
        x = max(np.int32(membrane[i] + arrived[i]), low)
        spike = x > top
        membrane[i] = np.int32((x - top) * left) if spike else x
        spikes[i] = np.uint8(spike)
        arrived[i] = np.int32(0)


@jit
def row_of(lists: Any, k: Any, source: Any, w: Any, at: Any, size: Any) -> Any:
    """Return the weights of the k-th spike's synapses."""
    row = at + (lists[k] - source) * size
    return w[row : row + size]


@jit_apart
def add_rows(lists: Any, begin: Any, end: Any, source: Any, w: Any, at: Any, size: Any, sums: Any) -> None:
    """Add the rows of some spikes to 16-bit sums, four at a time."""
    k = begin
    while k + 4 <= end:
        a, b = row_of(lists, k, source, w, at, size), row_of(lists, k + 1, source, w, at, size)
        c, d = row_of(lists, k + 2, source, w, at, size), row_of(lists, k + 3, source, w, at, size)
        for o in range(size):
            sums[o] = np.int16(sums[o] + a[o] + b[o] + c[o] + d[o])
        k += 4
    while k < end:
        a = row_of(lists, k, source, w, at, size)
        for o in range(size):
            sums[o] = np.int16(sums[o] + a[o])
        k += 1


@jit_apart
def deliver(
    lists: Any, count: Any, source: Any, w: Any, at: Any, size: Any, start: Any, shift: Any, q: Any,
    narrow: Any,
) -> None:  # fmt: skip
    """Add the rows of a population's spikes to the input of another."""
    bits, into, sums = np.int32(shift), q[start : start + size], narrow[:size]
    for first in range(source, source + count, HELD):
        sums[:] = 0
        add_rows(lists, first, min(first + HELD, source + count), source, w, at, size, sums)
        for o in range(size):
            into[o] += np.int32(sums[o]) << bits


@jit_apart
def deliver_some(
    lists: Any, count: Any, source: Any, w: Any, row: Any, start: Any, partner: Any, factor: Any,
    active: Any, q: Any, narrow: Any,
) -> None:  # fmt: skip
    """As `deliver`, of projections that are gated, or count with a sign."""
    size, sums = row[3], narrow[: row[3]]
    for first in range(source, source + count, HELD):
        sums[:] = 0
        add_rows(lists, first, min(first + HELD, source + count), source, w, row[4], size, sums)
        for o in range(size):
            open_here = np.int32(1 - row[8]) | np.int32(active[partner + o] > 0)
            q[start + o] += np.int32(sums[o]) * np.int32(factor) * open_here


@jit_apart
def deliver_one_to_one(
    lists: Any, count: Any, source: Any, w: Any, row: Any, start: Any, partner: Any, factor: Any,
    active: Any, q: Any,
) -> None:  # fmt: skip
    """As `deliver_some`, of one synapse for every neuron."""
    for k in range(source, source + count):
        i = lists[k] - source
        if not row[8] or active[partner + i]:
            q[start + i] += np.int32(w[row[4] + i]) * np.int32(factor)


@jit
def error_code(i: Any, linear: Any, shift: Any, half: Any, apical: Any, active: Any) -> Any:
    """Return what a neuron's own program writes into ``y2``."""
    slope = np.int64(active[i] > 0) | linear
    return min(max(ERROR_ZERO + slope * ((np.int64(apical[i]) + half) >> shift), 0), 127)


@jit
def slope_code(x: Any, spiked: Any, row: Any, slopes: Any) -> Any:
    """Return what a neuron's own program writes into ``y1`` for its membrane."""
    away = 0 if spiked else abs(np.int64(x) - row[2]) >> row[10]
    return slopes[row[8] + away] if away < row[9] else 0


@jit_apart
def write_traces(
    pops: Any, shift: Any, half: Any, show: Any, slopes: Any, v: Any, fired: Any, apical: Any, active: Any,
    written: Any,
) -> None:  # fmt: skip
    """Let every neuron write its ``y2`` and ``y1``."""
    for p in range(len(pops)):
        if pops[p, 4] == 0:
            for i in range(pops[p, 0], pops[p, 0] + pops[p, 1]):
                found = error_code(i, pops[p, 5], shift, half, apical, active)
                written[0, i] = found if show else ERROR_ZERO
        if pops[p, 9]:
            for i in range(pops[p, 0], pops[p, 0] + pops[p, 1]):
                written[1, i] = slope_code(v[i], fired[i], pops[p], slopes)


@jit_apart
def forget(pops: Any, leak: Any, apical: Any) -> None:
    """Let collected errors leak."""
    for p in range(len(pops)):
        if pops[p, 4] == 0:
            for i in range(pops[p, 0], pops[p, 0] + pops[p, 1]):
                apical[i] -= apical[i] >> leak


@jit_apart
def count_spikes(active: Any, fired: Any) -> None:
    """Count spikes, as far as a byte goes."""
    for i in range(len(active)):
        active[i] += fired[i] & np.uint8(active[i] < MOST)


@jit_apart
def keep_slopes(pops: Any, active: Any) -> None:
    """Forget the spikes of neurons that spiked too often to have a slope."""
    for p in range(len(pops)):
        if pops[p, 11] < MOST:
            for i in range(pops[p, 0], pops[p, 0] + pops[p, 1]):
                active[i] *= np.uint8(active[i] <= pops[p, 11])


@jit_apart
def list_spikes(pops: Any, fired: Any, lists: Any, counts: Any) -> Any:
    """List who spiked, population by population; return how many. Without branches: most do not."""
    total = 0
    for p in range(len(pops)):
        n = pops[p, 0]
        for i in range(pops[p, 0], pops[p, 0] + pops[p, 1]):
            lists[n] = i
            n += np.int64(fired[i])
        counts[p] = n - pops[p, 0]
        total += counts[p]
    return total


@jit_apart
def forward_step(
    pops: Any, rates: Any, projections: Any, phase: Any, sign: Any, x: Any, label: Any, drive: Any, v: Any,
    q: Any, apical: Any, active: Any, fired: Any, lists: Any, counts: Any, w: Any, counters: Any, narrow: Any,
) -> None:  # fmt: skip
    """Let the spikes of the step before arrive, and every neuron spike or not."""
    for j in range(len(projections)):
        source, target = projections[j, 0], projections[j, 1]
        odd = projections[j, 8] | projections[j, 9] | (projections[j, 7] & np.int64(sign != 1))
        if counts[source] and odd:
            factor = (sign if projections[j, 7] else 1) << projections[j, 5]
            into = apical if projections[j, 7] else q
            if projections[j, 9]:
                deliver_one_to_one(
                    lists, counts[source], pops[source, 0], w, projections[j], pops[target, 0],
                    pops[target, 6], factor, active, into,
                )  # fmt: skip
                counters[SYNOPS] += counts[source]
            else:
                deliver_some(
                    lists, counts[source], pops[source, 0], w, projections[j], pops[target, 0],
                    pops[target, 6], factor, active, into, narrow,
                )  # fmt: skip
                counters[SYNOPS] += counts[source] * projections[j, 3]
        elif counts[source]:
            deliver(
                lists, counts[source], pops[source, 0], w, projections[j, 4], projections[j, 3],
                pops[target, 0], projections[j, 5], apical if projections[j, 7] else q, narrow,
            )  # fmt: skip
            counters[SYNOPS] += counts[source] * projections[j, 3]
    for p in range(len(pops)):
        if pops[p, 4] == 0:
            update_neurons(pops[p], v, q, fired)
        else:
            emit(pops[p, 0], pops[p, 1], pops[p, 4], rates[p, phase], x, label, drive, fired)
    counters[SPIKES] += list_spikes(pops, fired, lists, counts)


def run_samples(
    pops: Any, rates: Any, offsets: Any, phases: Any, projections: Any, layers: Any, trace_rows: Any,
    luts: Any, updates: Any, products: Any, factors: Any, slopes: Any, readout: Any, error_shift: Any,
    error_half: Any, error_leak: Any, write_period: Any, v: Any, q: Any, fired: Any, drive: Any, apical: Any,
    active: Any, traces: Any, w: Any, d: Any, t: Any, clock: Any, counters: Any, xs: Any, labels: Any,
    order: Any, n_phases: Any, learn: Any, found: Any, lists: Any, counts: Any, due: Any, pre: Any,
    post: Any, rows: Any, columns: Any, written: Any, alive: Any, living: Any, narrow: Any,
) -> None:  # fmt: skip
    """Show samples; count spikes of the read-out in the first phase, and learn if told.

    Parameters
    ----------
    pops, ..., readout
        As in `online_tables.Tables`.
    v, ..., counters
        As in `online_tables.State`; changed in place.
    xs : ndarray of uint8, shape (B, I)
    labels, order : ndarray of int64
    n_phases : int
        Phases to run; the first few are enough to see what a network answers.
    learn : bool
    found : ndarray of int32, shape (len(order), O)
    lists, ..., narrow
        Room to work in.
    """
    list_spikes(pops, fired, lists, counts)
    list_traces(trace_rows, traces, alive, living)
    start, size = pops[readout, 0], pops[readout, 1]
    for s in range(len(order)):
        x, label = xs[order[s]], labels[order[s]]
        apical[:] = 0
        active[:] = 0
        for phase in range(n_phases):
            drive[:] = offsets
            for _ in range(phases[phase, 0]):
                if error_leak:
                    forget(pops, np.int32(error_leak), apical)
                forward_step(
                    pops, rates, projections, phase, phases[phase, 2], x, label, drive, v, q, apical, active,
                    fired, lists, counts, w, counters, narrow,
                )  # fmt: skip
                if phase == 0:
                    count_spikes(active, fired)
                    for o in range(size):
                        found[s, o] += fired[start + o]
                if learn:
                    clock[1] += 1
                    if write_period and clock[1] & (write_period - 1) == 0:
                        write_traces(
                            pops, error_shift, error_half, phases[phase, 3], slopes, v, fired, apical, active,
                            written,
                        )  # fmt: skip
                    learn_step(
                        clock[0], clock[1], phases[phase, 1], pops, projections, layers, trace_rows, luts,
                        updates, products, factors, fired, written, lists, counts, traces, w, d, t, due, pre,
                        post, rows, columns, counters, alive, living,
                    )  # fmt: skip
            if phase == 0:
                keep_slopes(pops, active)
