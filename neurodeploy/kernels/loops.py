"""The fast kernel: sample after sample, stage after stage, step after step, only where spikes go.

Written for Numba; `compiled.py` compiles and calls it. Groups that feed each other in a loop form a stage and are
stepped together. A stage runs `HORIZON` steps before the next one starts, which has all its input by then: the order
changes no integer, but one layer's weights and state stay in the first cache levels, and the processor sees work of
many steps at once.
"""

from __future__ import annotations

# ruff: noqa: D103, C901, PLR0915 - jitted code is inlined by hand where a call would copy a dozen arguments
from collections.abc import Callable
from typing import Any, TypeVar

import numba
import numpy as np

from neurodeploy.kernels import lanes
from neurodeploy.kernels.layout import DENSE, GENERAL, HORIZON, LANES, MEMO, OUTSIDE, PACKED, WINDOWS

add_rows, add_rows4, flush = lanes.add_rows, lanes.add_rows4, lanes.flush
add_windows1, add_windows2, add_windows4 = lanes.add_windows1, lanes.add_windows2, lanes.add_windows4
integrate, integrate_wide, step_general = lanes.integrate, lanes.integrate_wide, lanes.step
list_spikes, lowest_bit = lanes.list_spikes, lanes.lowest_bit

F = TypeVar("F", bound=Callable[..., Any])


def jit(function: F) -> F:
    """Compile a function for use in other compiled functions."""
    compiled: F = numba.njit(nogil=True, inline="always", _nrt=False)(function)
    return compiled


FLUSH_AFTER = 255
"""Spikes a 16-bit accumulator surely holds: 255 * 128 < 2**15."""
EDGE = 1e-9
"""As in `numerics.coding.rate_spikes`."""


@jit
def recall(fired: Any, groups: Any, room: Any, lists: Any, first: Any, count: Any) -> None:
    """List the neurons whose spikes of the last step are still to arrive."""
    for g in range(len(groups)):
        start, size = groups[g, 0], groups[g, 1]
        n = 0
        for at in range(start, start + (size + LANES - 1) // LANES * LANES):
            if fired[at]:
                lists[room[g] + n] = at
                n += 1
        first[g, 0], count[g, 0] = room[g], n


@jit
def carry(lists: Any, room: Any, first: Any, count: Any, steps: int) -> None:
    """Move the spikes of the last of some steps to where the next steps expect them."""
    for g in range(len(room)):
        last, n = first[g, steps], count[g, steps]
        for i in range(n):
            lists[room[g] + i] = lists[last + i]
        first[g, 0], count[g, 0] = room[g], n


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
    rows: Any, vector_at: Any, vectors: Any, spikes: Any, i: int, end: int, offset: int, chunk: int, acc: Any
) -> int:
    """Add rows that are a list of vectors, a multiple of ``chunk`` each."""
    synapses = 0
    for j in range(i, end):
        a = offset + spikes[j]
        first, base = np.int64(rows[a, 0]), np.int64(rows[a, 2])
        synapses += rows[a, 3]
        if chunk == 4:
            for k in range(first, first + rows[a, 1], 4):
                add_windows4(acc, base, vector_at, vectors, k)
        elif chunk == 2:
            for k in range(first, first + rows[a, 1], 2):
                add_windows2(acc, base, vector_at, vectors, k)
        else:
            for k in range(first, first + rows[a, 1]):
                add_windows1(acc, base, vector_at, vectors, k)
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
    tables: Any,
    w: int,
    lists: Any,
    begin: int,
    n: int,
    acc: Any,
    q: Any,
    pending: Any,
    shifts: Any,
    wide: Any,
) -> int:
    """Add what spikes of one group do in another; return the number of synapses they met.

    ``pending`` counts the rows in a group's 16-bit sums, which stand for themselves times two to ``shifts``.
    """
    groups, wires, rows, vector_at, vectors, words = tables[:6]
    target, kind, shift = wires[w, 1], wires[w, 2], wires[w, 3]
    offset = wires[w, 4] - groups[wires[w, 0], 0]
    synapses = 0
    if kind != DENSE and kind != WINDOWS and kind != PACKED:
        wide[target] = 1
        return add_wide(rows, words, lists, begin, begin + n, offset, q)
    i = 0
    while i < n:
        if pending[target] and (shifts[target] != shift or pending[target] == FLUSH_AFTER):
            flush_group(groups, target, acc, q, np.int32(shifts[target]))
            pending[target] = 0
            wide[target] = 1
        shifts[target] = shift
        end = min(n, i + FLUSH_AFTER - pending[target])
        if kind == DENSE:
            synapses += add_dense(rows, vectors, lists, begin + i, begin + end, offset, acc)
        elif kind == WINDOWS:
            synapses += add_windows(
                rows, vector_at, vectors, lists, begin + i, begin + end, offset, wires[w, 5], acc
            )
        else:
            synapses += add_packed(rows, words, lists, begin + i, begin + end, offset, acc)
        pending[target] += end - i
        i = end
    return synapses


@jit
def update_group(
    groups: Any, g: int, acc: Any, q: Any, state: Any, neurons: Any, bias: Any, shift: int, wide: int, lists: Any,
    count: int,
) -> int:  # fmt: skip
    """Step a group's neurons and list those that spike from entry ``count`` on; return where the list ends."""
    start, size = groups[g, 0], groups[g, 1]
    n = len(bias)
    keep, threshold = np.int32(groups[g, 3]), np.int32(groups[g, 4])
    lower, upper = np.int32(groups[g, 5]), np.int32(groups[g, 6])
    if groups[g, 2] == GENERAL:
        for at in range(start, start + size, LANES):
            mask = step_general(acc, q, state, bias, neurons, at, n, shift)
            count = list_spikes(lists, count, at, mask)
    elif wide:
        for at in range(start, start + size, LANES):
            mask = integrate_wide(acc, q, state, bias, at, n, shift, keep, threshold, lower, upper)
            count = list_spikes(lists, count, at, mask)
    else:
        for at in range(start, start + size, LANES):
            mask = integrate(acc, q, state, bias, at, n, shift, keep, threshold, lower, upper)
            count = list_spikes(lists, count, at, mask)
    return count


@jit
def train_of(rate: float, done: int, steps: int) -> int:
    """Spikes of a host neuron in the steps after ``done``, as bits.

    Spike k is sent in the first step t, counted from 1, with ``t * rate - EDGE > k``, as in
    `numerics.coding.rate_spikes`.
    """
    train = np.uint64(0)
    end = done + steps
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
        train |= np.uint64(1) << np.uint64(t - 1 - done)
        k += 1.0
    return train


@jit
def plan_host(
    rates: Any, place: Any, done: int, steps: int, lists: Any, room: int, stride: int, first: Any, count: Any,
    memo_rate: Any, memo_done: Any, memo_train: Any,
) -> None:  # fmt: skip
    """List the spikes of host neurons in the coming steps."""
    for t in range(steps):
        first[t + 1], count[t + 1] = room + (t + 1) * stride, 0
    for i in range(len(rates)):
        rate = rates[i]
        if rate <= 0.0:
            continue
        slot = (np.int64(rate * 16777216.0) * 2654435761 >> 13) % MEMO
        if memo_rate[slot] != rate or memo_done[slot] != done:
            memo_rate[slot], memo_done[slot] = rate, done
            memo_train[slot] = train_of(rate, done, steps)
        train = memo_train[slot]
        while train:
            t = np.int64(lowest_bit(train)) + 1
            train &= train - np.uint64(1)
            lists[first[t] + count[t]] = place[i]
            count[t] += 1


@jit
def copy_events(
    starts: Any, events: Any, t0: int, steps: int, lists: Any, room: int, stride: int, first: Any, count: Any
) -> None:
    """List given spikes of host neurons in the coming steps."""
    for t in range(steps):
        k = starts[t0 + t]
        first[t + 1], count[t + 1] = room + (t + 1) * stride, starts[t0 + t + 1] - k
        for i in range(count[t + 1]):
            lists[first[t + 1] + i] = events[k + i]


@jit
def largest(values: Any, at: Any) -> int:
    """Index of the first of the largest values."""
    best, top = 0, values[at[0]]
    for i in range(1, len(at)):
        value = values[at[i]]
        if value > top:
            best, top = i, value
    return best


def run_samples(
    tables: Any, work: Any, neurons: Any, place: Any, span: Any, state: Any, fired: Any, rates: Any, event_start: Any, events: Any,
    own_bias: Any, read_at: Any, read_counts: Any, decisions: Any, spikes: Any, synops: Any, history: Any,
    fired_history: Any,
) -> None:  # fmt: skip
    """Run samples ``span[0]`` to ``span[1]`` from step ``span[2]`` for ``span[3]`` steps.

    Parameters
    ----------
    tables : tuple of arrays
        Groups, wires, rows, vector_at, vectors, words, sequence, stages of the layout.
    work : tuple of arrays
        As `compiled.workspace` makes them.
    neurons : int32 (7 * N,)
    place : int64
        Position of each neuron of group 0.
    span : int64
        Low, high, first step, steps, whether spikes are read out or the membrane, and of which group (-1: none).
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
    groups, wires, sequence, stages = tables[0], tables[1], tables[6], tables[7]
    n, n_groups = len(neurons) // 7, len(groups)
    done, steps, counted, read = span[2], span[3], span[4], span[5]
    acc, q, bias, lists, room, first, count, pending, shifts, wide, memo_rate, memo_done, memo_train = work
    stride = (groups[0, 1] + LANES - 1) // LANES * LANES
    for b in range(span[0], span[1]):
        mine = state[b]
        recall(fired[b], groups, room, lists, first, count)
        for i in range(own_bias.shape[1]):
            bias[place[i]] = own_bias[b, i]
        for t0 in range(0, steps, HORIZON):
            block = min(HORIZON, steps - t0)
            if rates.shape[1]:
                plan_host(rates[b], place, done + t0, block, lists, room[0], stride, first[0], count[0],
                          memo_rate, memo_done, memo_train)  # fmt: skip
            elif event_start.shape[1]:
                copy_events(event_start[b], events, t0, block, lists, room[0], stride, first[0], count[0])
            for s in range(len(stages)):
                for t in range(block):
                    for w in range(stages[s, 2], stages[s, 3]):
                        source = wires[w, 0]
                        if count[source, t]:
                            synops[b, wires[w, 1]] += deliver(
                                tables,
                                w,
                                lists,
                                first[source, t],
                                count[source, t],
                                acc,
                                q,
                                pending,
                                shifts,
                                wide,
                            )
                    for j in range(stages[s, 0], stages[s, 1]):
                        g = sequence[j]
                        if groups[g, 2] != OUTSIDE:
                            begin = first[g, t] + count[g, t]
                            end = update_group(
                                groups,
                                g,
                                acc,
                                q,
                                mine,
                                neurons,
                                bias,
                                np.int32(shifts[g]),
                                wide[g],
                                lists,
                                begin,
                            )
                            first[g, t + 1], count[g, t + 1] = begin, end - begin
                            pending[g], wide[g] = 0, 0
                            if g == read and counted:
                                for i in range(begin, end):
                                    read_counts[b, lists[i]] += 1
                                decisions[b, t0 + t] = largest(read_counts[b], read_at)
                            elif g == read:
                                decisions[b, t0 + t] = largest(mine[n : 2 * n], read_at)
                            if history.shape[1]:
                                for i in range(groups[g, 0], groups[g, 0] + groups[g, 1]):
                                    for part in range(0, 3 * n, n):
                                        history[b, t0 + t, part + i] = mine[part + i]
            for g in range(n_groups):
                for t in range(block):
                    spikes[b, g] += count[g, t + 1]
                    if fired_history.shape[1]:
                        for i in range(first[g, t + 1], first[g, t + 1] + count[g, t + 1]):
                            fired_history[b, t0 + t, lists[i]] = 1
            carry(lists, room, first, count, block)
        fired[b] = 0
        for g in range(n_groups):
            for i in range(count[g, 0]):
                fired[b, lists[room[g] + i]] = 1
