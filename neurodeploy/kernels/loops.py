"""The fast kernel: sample after sample, stage after stage, step after step, only where spikes go.

Written for Numba; `compiled.py` compiles and calls it. Groups that feed each other in a loop form a stage and
are stepped together. A stage runs `HORIZON` steps before the next one starts, which has all its input by
then: the order changes no integer, but one layer's weights and state stay in the first cache levels, and the
processor sees work of many steps at once.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from neurodeploy.kernels import columns, intrinsics
from neurodeploy.kernels.chance import add_noise, learn, prepare, skip_noise
from neurodeploy.kernels.deliver import deliver
from neurodeploy.kernels.lanes import jit, jit_apart
from neurodeploy.kernels.layout import GENERAL, HORIZON, MEMO, OUTSIDE
from neurodeploy.kernels.rows import LANES

integrate, step_general, some = intrinsics.integrate, intrinsics.step, intrinsics.some
list_spikes, list_bits, HALF = intrinsics.list_spikes, intrinsics.list_bits, intrinsics.HALF

EDGE = 1e-9
"""As in `numerics.coding.rate_spikes`."""


@jit_apart
def recall(fired: Any, groups: Any, room: Any, lists: Any, first: Any, count: Any) -> None:
    """List the neurons whose spikes of the last steps are still to arrive."""
    for g in range(len(groups)):
        n = room[g]
        for age in range(len(fired)):
            first[g, age] = n
            for vector in range(groups[g, 0], groups[g, 0] + groups[g, 1], LANES):
                if some(fired[age], vector):
                    for at in range(vector, vector + LANES):
                        for _ in range(fired[age, at]):
                            lists[n] = at
                            n += 1
            count[g, age] = n - first[g, age]


@jit_apart
def carry(lists: Any, room: Any, first: Any, count: Any, steps: Any, delay: Any) -> None:
    """Move the spikes of the last of some steps to where the next steps expect them."""
    for g in range(len(first)):
        n = room[g]
        for age in range(delay):
            begin, length = first[g, steps + age], count[g, steps + age]
            for i in range(length):
                lists[n + i] = lists[begin + i]
            first[g, age], count[g, age] = n, length
            n += length


@jit
def update_group(
    groups: Any, g: Any, acc: Any, q: Any, cells: Any, neurons: Any, bias: Any, shift: Any, lists: Any,
    count: Any, flags: Any,
) -> Any:  # fmt: skip
    """Step a group's neurons and list those that spike, from entry ``count`` on; return the list's end."""
    start, size = groups[g, 0], groups[g, 1]
    n, seen = len(bias), np.uint64(0)
    shift = np.int32(shift)
    keep, threshold = np.int32(groups[g, 3]), np.int32(groups[g, 4])
    lower, upper = np.int32(groups[g, 5]), np.int32(groups[g, 6])
    for at in range(start, start + size, LANES):
        if groups[g, 2] == GENERAL:
            found = step_general(acc, q, cells, bias, neurons, at, n, shift)
        else:
            found = integrate(acc, q, cells, bias, at, n, shift, keep, threshold, lower, upper)
        count = list_spikes(lists, count, at, found)
        seen |= found
    flags[0] |= np.int64(seen >> np.uint64(32))
    return count


@jit
def train_of(rate: Any, done: Any, steps: Any) -> Any:
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


@jit_apart
def plan_host(
    rates: Any, place: Any, done: Any, steps: Any, lists: Any, room: Any, first: Any, count: Any,
    memo_rate: Any, memo_done: Any, memo_train: Any, trains: Any, places: Any,
) -> None:  # fmt: skip
    """List the spikes of host neurons in the coming steps, the first of which is ``first[0]``."""
    n = 0
    for i in range(len(rates)):
        rate = rates[i]
        if rate <= 0.0:
            continue
        slot = ((np.int64(rate * 16777216.0) * 2654435761 + done * 40503) >> 13) % MEMO
        if memo_rate[slot] != rate or memo_done[slot] != done:
            memo_rate[slot], memo_done[slot] = rate, done
            memo_train[slot] = train_of(rate, done, steps)
        trains[n], places[n] = memo_train[slot], place[i]
        n += 1
    for k in range(n, n + LANES):
        trains[k] = 0
    free = room
    for t in range(steps):
        first[t] = free
        for k in range(0, n, HALF):
            free = list_bits(lists, free, trains, places, k, t)
        count[t] = free - first[t]


@jit_apart
def copy_events(
    starts: Any, events: Any, t0: Any, steps: Any, lists: Any, room: Any, first: Any, count: Any
) -> None:
    """List given spikes of host neurons in the coming steps."""
    n = room
    for t in range(steps):
        first[t] = n
        for k in range(starts[t0 + t], starts[t0 + t + 1]):
            lists[n] = events[k]
            n += 1
        count[t] = n - first[t]


@jit
def largest(values: Any, at: Any) -> Any:
    """Index of the first of the largest values."""
    best, top = 0, values[at[0]]
    for i in range(1, len(at)):
        value = values[at[i]]
        if value > top:
            best, top = i, value
    return best


@jit_apart
def record(
    watch: Any, low: Any, high: Any, cells: Any, n: Any, lists: Any, begin: Any, end: Any, now: Any, seen: Any
) -> None:
    """Copy what is watched of a group after a step; its spikes are listed from ``begin`` to ``end``."""
    for i in range(begin, end):
        now[lists[i]] += 1
    for k in range(low, high):
        part, at = watch[k, 0], watch[k, 1]
        seen[watch[k, 2]] = np.int32(now[at]) if part == 3 else cells[part * n + at]
    for i in range(begin, end):
        now[lists[i]] = 0


@jit
def deliver_all(
    low: Any, high: Any, t: Any, delay: Any, tables: Any, work: Any, sample: Any, synops: Any
) -> None:
    """Add up what arrives in a step over wires ``low`` to ``high``."""
    wires, first, count = tables[1], work[5], work[6]
    for w in range(low, high):
        source, column = wires[w, 0], t + delay - wires[w, 6]
        if count[source, column]:
            synops[wires[w, 1]] += deliver(
                tables, w, work[3], first[source, column], count[source, column], work[0], work[1], work[7],
                work[8], sample[4], sample[5], sample[6],
            )  # fmt: skip


@jit
def read_out(
    counted: Any, begin: Any, end: Any, lists: Any, counts: Any, membranes: Any, read_at: Any
) -> Any:
    """Decide by spikes, which are counted here, or by the membrane."""
    if counted:
        for i in range(begin, end):
            counts[lists[i]] += 1
        return largest(counts, read_at)
    return largest(membranes, read_at)


@jit
def step_groups(
    low: Any, high: Any, t0: Any, t: Any, span: Any, tables: Any, extra: Any, work: Any, sample: Any,
    read_at: Any, result: Any,
) -> None:  # fmt: skip
    """Step groups ``low`` to ``high`` of the sequence, and take from them what is asked for."""
    groups, neurons, sequence, setup, watch, ends = (
        tables[0],
        extra[0],
        extra[4],
        extra[6],
        extra[7],
        extra[8],
    )
    acc, q, bias, lists, _, first, count, pending, shifts, now = work[:10]
    cells, counts, flags = sample[0], sample[1], sample[6]
    decisions, spikes, _, history, seen = result
    n, delay = len(bias), setup[0]
    for j in range(low, high):
        g = sequence[j]
        begin = first[g, t + delay - 1] + count[g, t + delay - 1]
        if groups[g, 2] == OUTSIDE:
            begin = first[g, t + delay]
            end = begin + count[g, t + delay]
        else:
            end = update_group(groups, g, acc, q, cells, neurons, bias, shifts[g], lists, begin, flags)
            first[g, t + delay], count[g, t + delay] = begin, end - begin
            pending[g] = 0
        spikes[g] += end - begin
        if g == span[5]:
            decisions[t0 + t] = read_out(span[4], begin, end, lists, counts, cells[n : 2 * n], read_at)
        if len(history):
            for i in range(begin, end):
                history[t0 + t, lists[i]] = 1
        if ends[g] < ends[g + 1]:
            record(watch, ends[g], ends[g + 1], cells, n, lists, begin, end, now, seen[t0 + t])


@jit_apart
def take_column(
    g: Any, t0: Any, steps: Any, delay: Any, counted: Any, lists: Any, first: Any, count: Any, counts: Any,
    read_at: Any, decisions: Any, history: Any,
) -> None:  # fmt: skip
    """Take decisions and history from a group that has run all steps, its spikes listed."""
    for t in range(steps):
        begin = first[g, t + delay]
        end = begin + count[g, t + delay]
        if counted:
            decisions[t0 + t] = read_out(True, begin, end, lists, counts, counts, read_at)
        if len(history):
            for i in range(begin, end):
                history[t0 + t, lists[i]] = 1


@jit
def run_block(
    t0: Any, steps: Any, span: Any, tables: Any, extra: Any, work: Any, sample: Any, read_at: Any, result: Any
) -> None:
    """Run one sample for up to `HORIZON` steps, stage by stage."""
    noise, rates, position, stages, setup = extra[1], extra[2], extra[3], extra[5], extra[6]
    n, words, sequence, product = len(work[2]), work[13], extra[4], extra[9]
    plan = product[0]
    for s in range(len(stages)):
        low, high = stages[s, 0], stages[s, 1]
        alone = high == low + 1 and plan[sequence[low], 0] >= 0
        for t in range(1 if alone else steps):
            deliver_all(stages[s, 2], stages[s, 3], t, setup[0], tables, work, sample, result[2])
            if setup[2]:
                _, _, random, traces, marks, learned, flags, errors = sample
                step = span[2] + t0 + t + 1
                flags[0] |= learn(
                    step, tables[6], rates, errors, traces, marks, learned, random, words, work[19]
                )
                if setup[3]:
                    base = extra[0][2 * n : 3 * n]
                    add_noise(noise, position, base, work[2], work[1], random, words, setup[1])
                else:
                    skip_noise(noise.shape[1], random, words)
            if not alone:
                step_groups(low, high, t0, t, span, tables, extra, work, sample, read_at, result)
        if alone:
            g = sequence[low]
            sample[6][0] |= columns.run_column(
                tables[0], g, steps, plan, product[1:4], extra[0], sample[0], work[2], work[0], work[1],
                work[8][g], work[16], work[17], work[18],
            )  # fmt: skip
            work[7][g] = 0
            columns.list_rows(
                tables[0], g, steps, setup[0], plan[g, 5], work[3], work[5], work[6], work[16]
            )  # fmt: skip
            columns.count_all(
                tables[0], tables[1], stages[s, 2], stages[s, 3], g, product[4], work[18], work[3], work[5],
                work[6], steps - 1 + setup[0], result[1], result[2],
            )  # fmt: skip
            if plan[g, 5]:
                take_column(
                    g, t0, steps, setup[0], g == span[5], work[3], work[5], work[6], sample[1], read_at,
                    result[0], result[3],
                )  # fmt: skip
        else:
            for j in range(low, high):
                if plan[sequence[j], 4]:
                    columns.write_bytes(
                        tables[0], sequence[j], steps, setup[0], work[3], work[5], work[6], work[16], work[18]
                    )


@jit_apart
def keep_arriving(fired: Any, lists: Any, first: Any, count: Any) -> None:
    """Write down the spikes that are still to arrive."""
    for age in range(len(fired)):
        for at in range(fired.shape[1]):
            fired[age, at] = 0
        for g in range(len(first)):
            for i in range(first[g, age], first[g, age] + count[g, age]):
                fired[age, lists[i]] += 1


def run_samples(span: Any, tables: Any, extra: Any, work: Any, state: Any, given: Any, out: Any) -> None:
    """Run some samples for some steps.

    Parameters
    ----------
    span : int64
        First and last sample, steps done before, steps, whether spikes or the membrane are read out, and of
        which group (-1: none).
    tables, extra, work, state, given, out : tuple of arrays
        As `compiled` makes them.
    """
    groups, position, delay, outside = tables[0], extra[3], extra[6][0], extra[6][1]
    (
        _,
        _,
        bias,
        lists,
        room,
        first,
        count,
        _,
        _,
        _,
        memo_rate,
        memo_done,
        memo_train,
        words,
        trains,
        places,
        _,
        _,
        _,
        _,
    ) = work
    cells, fired, counts, random, traces, marks, learned = state
    rates, starts, events, own_bias, errors, read_at = given
    decisions, spikes, synops, flags, history, seen = out
    steps = span[3]
    if extra[6][4]:
        columns.begin(extra[9][5])
    for b in range(span[0], span[1]):
        sample = (
            cells[b], counts[b], random[b], traces[b], marks[b], learned[b], flags[b], errors[b]
        )  # fmt: skip
        result = (decisions[b], spikes[b], synops[b], history[b], seen[b])
        recall(fired[b], groups, room, lists, first, count)
        if extra[6][2]:
            prepare(random[b], words)
        for i in range(own_bias.shape[1]):
            bias[position[i]] = own_bias[b, i]
        for t0 in range(0, steps, HORIZON):
            block = min(HORIZON, steps - t0)
            free = first[0, delay - 1] + count[0, delay - 1]
            if rates.shape[1]:
                plan_host(
                    rates[b], position, span[2] + t0, block, lists, free, first[0, delay:], count[0, delay:],
                    memo_rate, memo_done, memo_train, trains, places,
                )  # fmt: skip
            elif outside:
                copy_events(starts[b], events, t0, block, lists, free, first[0, delay:], count[0, delay:])
            run_block(t0, block, span, tables, extra, work, sample, read_at, result)
            carry(lists, room, first, count, block, delay)
        keep_arriving(fired[b], lists, first, count)
    if extra[6][4]:
        columns.end()
