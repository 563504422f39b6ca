"""The fast kernel: samples one after the other, each for all its steps, only where spikes go.

Written for Numba; `compiled.py` compiles and calls it. Everything is an integer array with one dimension, so that a
sample's state and the accumulators stay in the first cache levels; only the weights are shared.
"""

from __future__ import annotations

# ruff: noqa: D103, C901, PLR0915 - jitted code is inlined by hand where a call would copy a dozen arguments
from collections.abc import Callable
from typing import Any, TypeVar

import numba
import numpy as np

from neurodeploy.kernels import lanes
from neurodeploy.kernels.layout import DENSE, GENERAL, LANES, OUTSIDE, PACKED, WINDOWS

add_vector, add_rows, add_rows4, flush = lanes.add_vector, lanes.add_rows, lanes.add_rows4, lanes.flush
integrate, integrate_wide, step_general = lanes.integrate, lanes.integrate_wide, lanes.step
list_spikes, lowest_bit = lanes.list_spikes, lanes.lowest_bit

F = TypeVar("F", bound=Callable[..., Any])


def jit(function: F) -> F:
    """Compile a function for use in other compiled functions."""
    compiled: F = numba.njit(nogil=True, inline="always")(function)
    return compiled


FLUSH_AFTER = 255
"""Spikes a 16-bit accumulator surely holds: 255 * 128 < 2**15."""
HORIZON = 128
"""Steps for which host spikes are planned ahead."""
EDGE = 1e-9
"""As in `numerics.coding.rate_spikes`."""


@jit
def fill_lists(fired: Any, groups: Any, lists: Any, fill: Any) -> None:
    """List the neurons whose spikes of the last step are still to arrive."""
    for g in range(len(groups)):
        start, size = groups[g, 0], groups[g, 1]
        n = 0
        for at in range(start, start + (size + LANES - 1) // LANES * LANES):
            if fired[at]:
                lists[start + n] = at
                n += 1
        fill[g] = n


@jit
def flush_group(groups: Any, g: int, acc: Any, q: Any, shift: int) -> None:
    """Move a group's 16-bit sums to the 32-bit ones."""
    start, size = groups[g, 0], groups[g, 1]
    for at in range(start, start + size, LANES):
        flush(acc, at, q, shift)


@jit
def add_dense(rows: Any, vectors: Any, spikes: Any, i: int, end: int, offset: int, acc: Any) -> int:
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
    return rows[offset + spikes[i], 3] * (end - i)


@jit
def add_windows(
    rows: Any, vector_at: Any, vectors: Any, spikes: Any, i: int, end: int, offset: int, acc: Any
) -> int:
    """Add rows that are a list of vectors."""
    synapses = 0
    for j in range(i, end):
        a = offset + spikes[j]
        first, base = np.int64(rows[a, 0]), np.int64(rows[a, 2])
        synapses += rows[a, 3]
        for k in range(first, first + rows[a, 1]):
            add_vector(acc, base + vector_at[k], vectors, k * LANES)
    return synapses


@jit
def add_packed(rows: Any, words: Any, spikes: Any, i: int, end: int, offset: int, acc: Any) -> int:
    """Add rows of single synapses, index and mantissa in one word."""
    synapses = 0
    for j in range(i, end):
        a = offset + spikes[j]
        first, base = np.int64(rows[a, 0]), np.int64(rows[a, 2])
        synapses += rows[a, 3]
        for k in range(first, first + rows[a, 1]):
            word = words[k]
            acc[base + (word >> 8)] += np.int16(np.int8(word & 255))
    return synapses


@jit
def add_wide(rows: Any, words: Any, spikes: Any, i: int, end: int, offset: int, q: Any) -> int:
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
def deliver(
    tables: Any, w: int, lists: Any, fill: Any, acc: Any, q: Any, pending: Any, shifts: Any, wide: Any
) -> int:
    """Add what the spikes of one group do in another; return the number of synapses they met.

    ``pending`` counts the rows in a group's 16-bit sums, which stand for themselves times two to ``shifts``.
    """
    groups, wires, rows, vector_at, vectors, words = tables
    source, target, kind, shift = wires[w, 0], wires[w, 1], wires[w, 2], wires[w, 3]
    start, n = groups[source, 0], fill[source]
    offset = wires[w, 4] - start
    synapses = 0
    if kind != DENSE and kind != WINDOWS and kind != PACKED:
        wide[target] = 1
        return add_wide(rows, words, lists, start, start + n, offset, q)
    i = 0
    while i < n:
        if pending[target] and (shifts[target] != shift or pending[target] == FLUSH_AFTER):
            flush_group(groups, target, acc, q, np.int32(shifts[target]))
            pending[target] = 0
            wide[target] = 1
        shifts[target] = shift
        end = min(n, i + FLUSH_AFTER - pending[target])
        if kind == DENSE:
            synapses += add_dense(rows, vectors, lists, start + i, start + end, offset, acc)
        elif kind == WINDOWS:
            synapses += add_windows(rows, vector_at, vectors, lists, start + i, start + end, offset, acc)
        else:
            synapses += add_packed(rows, words, lists, start + i, start + end, offset, acc)
        pending[target] += end - i
        i = end
    return synapses


@jit
def update_group(
    groups: Any,
    g: int,
    acc: Any,
    q: Any,
    state: Any,
    neurons: Any,
    bias: Any,
    shift: int,
    wide: int,
    lists: Any,
) -> int:
    """Step a group's neurons and list those that spike; return how many."""
    start, size, kind, keep = groups[g, 0], groups[g, 1], groups[g, 2], np.int32(groups[g, 3])
    n, count = len(bias), start
    for at in range(start, start + size, LANES):
        if kind == GENERAL:
            mask = step_general(acc, q, state, neurons, bias, at, at, n, n, keep, shift)
        elif wide:
            mask = integrate_wide(acc, q, state, neurons, bias, at, at, n, n, keep, shift)
        else:
            mask = integrate(acc, q, state, neurons, bias, at, at, n, n, keep, shift)
        count = list_spikes(lists, count, at, mask)
    return count - start


@jit
def plan_host(rates: Any, place: Any, done: int, due: Any, agenda: Any) -> None:
    """Enter the spikes of host neurons in the coming steps: ``agenda[t, :due[t]]`` are those of step ``done + t``.

    Spike k of a neuron is sent in the first step t, counted from 1, with ``t * rate - EDGE > k``, as in
    `numerics.coding.rate_spikes`.
    """
    due[:] = 0
    end = done + len(due)
    for i in range(len(rates)):
        rate = rates[i]
        if rate <= 0.0:
            continue
        apart = 1.0 / rate
        k = max(np.ceil(done * rate - EDGE), 1.0)
        while k * apart < end:
            t = max(np.int64(k * apart), done + 1)
            while t > done + 1 and (t - 1) * rate - EDGE > k:
                t -= 1
            while not t * rate - EDGE > k:
                t += 1
            if t > end:
                break
            slot = t - 1 - done
            agenda[slot, due[slot]] = place[i]
            due[slot] += 1
            k += 1.0


@jit
def largest(values: Any, at: Any) -> int:
    """Index of the first of the largest values."""
    best, top = 0, values[at[0]]
    for i in range(1, len(at)):
        value = values[at[i]]
        if value > top:
            best, top = i, value
    return best


@jit
def aligned(size: int, kind: Any) -> Any:
    """Zeros that start on a cache line."""
    raw = np.zeros(size + 64, kind)
    skip = (-raw.ctypes.data) % 64 // raw.itemsize
    return raw[skip : skip + size]


def run_samples(
    tables: Any, neurons: Any, place: Any, span: Any, state: Any, fired: Any, rates: Any, event_start: Any, events: Any,
    own_bias: Any, read_at: Any, read_counts: Any, decisions: Any, spikes: Any, synops: Any, history: Any,
    fired_history: Any,
) -> None:  # fmt: skip
    """Run samples ``span[0]`` to ``span[1]`` from step ``span[2]`` for ``span[3]`` steps.

    Parameters
    ----------
    tables : tuple of arrays
        Groups, wires, rows, vector_at, vectors, words of the layout.
    neurons : int32 (7 * N,)
    place : int64
        Position of each neuron of group 0.
    span : int64
        Low, high, first step, steps, and the group that is read out (-1: its membrane).
    state : int32 (B, 3 * N)
        u, v, wait.
    fired : uint8 (B, N)
    rates : float64 (B, n) or (B, 0)
    event_start : int64 (B, T + 1) or (B, 0); events : int32
        Positions of host spikes, if they are given instead of rates.
    own_bias : int32 (B, n) or (B, 0)
        Biases of group 0.
    read_at : int64 (C,); read_counts : int64 (B, N) or (B, 0)
        Where the read-out lies; spikes counted so far.
    decisions : int16 (B, T)
    spikes, synops : int64 (B, G)
    history : int32 (B, T, 3 * N) or (B, 0, 0); fired_history : uint8 (B, T, N) or (B, 0, 0)
    """
    groups, wires = tables[0], tables[1]
    n, n_groups, n_wires = len(neurons) // 7, len(groups), len(wires)
    done, steps, counted = span[2], span[3], span[4]
    acc, q, bias = aligned(n, np.int16), aligned(n, np.int32), aligned(n, np.int32)
    bias[:] = neurons[2 * n : 3 * n]
    lists, fill = np.empty(n + LANES, np.int32), np.zeros(n_groups, np.int64)
    pending, shifts = np.zeros(n_groups, np.int64), np.zeros(n_groups, np.int64)
    wide = np.zeros(n_groups, np.int64)
    horizon = min(steps, HORIZON)
    due, agenda = np.empty(horizon, np.int64), np.empty((horizon, rates.shape[1]), np.int32)
    for b in range(span[0], span[1]):
        mine = state[b]
        fill_lists(fired[b], groups, lists, fill)
        for i in range(own_bias.shape[1]):
            bias[place[i]] = own_bias[b, i]
        for t in range(steps):
            for w in range(n_wires):
                if fill[wires[w, 0]]:
                    synops[b, wires[w, 1]] += deliver(tables, w, lists, fill, acc, q, pending, shifts, wide)
            for g in range(n_groups):
                if groups[g, 2] == OUTSIDE:
                    fill[g] = 0
                else:
                    fill[g] = update_group(
                        groups, g, acc, q, mine, neurons, bias, np.int32(shifts[g]), wide[g], lists
                    )
                    pending[g], wide[g] = 0, 0
            if rates.shape[1]:
                slot = t % horizon
                if slot == 0:
                    plan_host(rates[b], place, done + t, due, agenda)
                fill[0] = due[slot]
                for i in range(fill[0]):
                    lists[groups[0, 0] + i] = agenda[slot, i]
            elif event_start.shape[1]:
                k = event_start[b, t]
                fill[0] = event_start[b, t + 1] - k
                for i in range(fill[0]):
                    lists[groups[0, 0] + i] = events[k + i]
            for g in range(n_groups):
                spikes[b, g] += fill[g]
            if counted >= 0:
                for i in range(fill[counted]):
                    read_counts[b, lists[groups[counted, 0] + i]] += 1
                decisions[b, t] = largest(read_counts[b], read_at)
            elif len(read_at):
                decisions[b, t] = largest(mine[n : 2 * n], read_at)
            if history.shape[1]:
                history[b, t] = mine
            if fired_history.shape[1]:
                for g in range(n_groups):
                    for i in range(fill[g]):
                        fired_history[b, t, lists[groups[g, 0] + i]] = 1
        fired[b] = 0
        for g in range(n_groups):
            for i in range(fill[g]):
                fired[b, lists[groups[g, 0] + i]] = 1
