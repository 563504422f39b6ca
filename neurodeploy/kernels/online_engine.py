"""Jitted learning engines: traces, products and stochastic rounding, only where something is not 0.

They must agree with `learning.engine` in every integer.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from neurodeploy.kernels.lanes import jit, jit_apart
from neurodeploy.kernels.online_changes import (
    CHANGED,
    VISITED,
    change_all,
    change_by_outer,
    change_rows,
    has_synapse,
    key,
    number,
    sign,
    suits_rows,
)
from neurodeploy.kernels.online_tables import (
    BEFORE,
    BEHIND,
    ERROR,
    FULL_MATRIX,
    NEVER,
    PER_POST,
    PER_PRE,
    REWARD,
    SLOPE,
    TRACE,
    D,
    T,
    W,
)

FEW = 0.125
"""Share of neurons behind of which synapses are visited one by one, and not row after row."""


@jit
def next_code(z: Any, spike: Any, i: Any, lut: Any, stream: Any) -> Any:
    """Return a trace's next code, rounded at random."""
    y = lut[spike, z, 0] + np.int64(number(stream, i) < lut[spike, z, 1])
    return np.int32(min(y, 127))


@jit_apart
def update_trace(
    row: Any, lut: Any, stream: Any, fired: Any, lists: Any, count: Any, traces: Any, alive: Any, n: Any
) -> Any:
    """Decay a trace and take in spikes, only where it is not empty; return how many are not."""
    start, first, kept = row[0], row[2], np.int64(0)
    for k in range(count):
        i = lists[start + k] - start
        if traces[first + i] == 0:
            alive[first + n] = i
            n += 1
    for k in range(n):
        i = np.int64(alive[first + k])
        z = next_code(np.int64(traces[first + i]), np.int64(fired[start + i]), i, lut, stream)
        traces[first + i] = z
        alive[first + kept] = i
        kept += np.int64(z > 0)
    return kept


@jit_apart
def list_traces(trace_rows: Any, traces: Any, alive: Any, living: Any) -> None:
    """List the neurons whose traces are not empty."""
    for r in range(len(trace_rows)):
        n = 0
        for i in range(trace_rows[r, 1]):
            if traces[trace_rows[r, 2] + i]:
                alive[trace_rows[r, 2] + n] = i
                n += 1
        living[r] = n


@jit
def known(
    kind: Any, i: Any, start: Any, first: Any, reward: Any, fired: Any, written: Any, traces: Any, d: Any,
    t: Any,
) -> Any:  # fmt: skip
    """Return a variable of one side at neuron i."""
    if kind == TRACE:
        return np.int64(traces[first + i])
    if kind == T:
        return np.int64(t[first + i])
    if kind == D:
        return np.int64(d[first + i])
    if kind == REWARD:
        return np.int64(reward)
    if kind == ERROR:
        return np.int64(written[0, start + i])
    if kind == SLOPE:
        return np.int64(written[1, start + i])
    return np.int64(0) if kind == NEVER else np.int64(fired[start + i])


@jit_apart
def side_values(
    product: Any, factors: Any, where: Any, start: Any, some: Any, count: Any, reward: Any,
    fired: Any, written: Any, traces: Any, d: Any, t: Any, out: Any,
) -> None:  # fmt: skip
    """Multiply what is known on one side of the synapses, at some of its neurons."""
    for n in range(count):
        out[some[n]] = product[0] if where == BEFORE else 1
    for f in range(product[3], product[3] + product[4]):
        if factors[f, 2] == where:
            for n in range(count):
                i = some[n]
                x = (
                    known(factors[f, 0], i, start, factors[f, 1], reward, fired, written, traces, d, t)
                    + factors[f, 3]
                )
                out[i] *= sign(x) if factors[f, 4] else x


@jit_apart
def due_products(update: Any, products: Any, step: Any, due: Any) -> Any:
    """List the products of this step; return how many, and which spikes all of them need."""
    n, before, behind = 0, np.int64(1), np.int64(1)
    for p in range(update[1], update[1] + update[2]):
        k = products[p, 2]
        if k < 0 or step & ((1 << k) - 1) == 0:
            due[n] = p
            n += 1
            before &= products[p, 5]
            behind &= products[p, 6]
    return n, before, behind


@jit_apart
def apply_update(
    update: Any, layer: Any, projection: Any, pops: Any, products: Any, factors: Any, step: Any,
    stream: Any, reward: Any, fired: Any, written: Any, lists: Any, counts: Any, traces: Any, w: Any,
    d: Any, t: Any,
    due: Any, pre: Any, post: Any, rows: Any, columns: Any, counters: Any,
) -> None:  # fmt: skip
    """Change one synaptic variable of one layer."""
    n, x0, y0 = due_products(update, products, step, due)
    source, target = projection[0], projection[1]
    begin, behind = pops[source, 0], pops[target, 0]
    kind, first = FULL_MATRIX, projection[4]
    if update[0] != W:
        at = 5 if update[0] == D else 7
        kind, first = layer[at], layer[at + 1]
    n_rows = fill(rows, projection[2], x0, lists, begin, counts[source], kind == PER_POST)
    n_columns = fill(columns, projection[3], y0, lists, behind, counts[target], kind == PER_PRE)
    for k in range(n):
        side_values(
            products[due[k]], factors, BEFORE, begin, rows, n_rows, reward, fired, written, traces, d, t,
            pre[k],
        )  # fmt: skip
        side_values(
            products[due[k]], factors, BEHIND, behind, columns, n_columns, reward, fired, written, traces, d,
            t, post[k],
        )  # fmt: skip
    n = keep_products(due, n, pre, rows, n_rows, post, columns, n_columns)
    n_rows, n_columns = keep_some(rows, n_rows, pre, n), keep_some(columns, n_columns, post, n)
    if update[0] == W:
        counters[VISITED] += n_rows * n_columns
        if n == 1 and not has_synapse(products[due[0]], factors):
            counters[CHANGED] += change_by_outer(
                update, projection, products[due[0], 1], stream, layer[9], w, pre[0], post[0], rows, n_rows,
                columns, n_columns,
            )  # fmt: skip
            return
    whole = kind == FULL_MATRIX and layer[7] == FULL_MATRIX and not layer[9] and not y0
    if whole and n_columns >= FEW * projection[3] and suits_rows(products, factors, due, n):
        if update[0] == W:
            counters[CHANGED] += change_rows(
                w, first, update, projection[3], products, factors, stream, t, layer[8], due, n, pre, post,
                rows, n_rows,
            )  # fmt: skip
            return
        if update[0] == T:
            change_rows(
                t, first, update, projection[3], products, factors, stream, t, layer[8], due, n, pre, post,
                rows, n_rows,
            )  # fmt: skip
            return
    change_all(
        update, projection, products, factors, stream, layer[9], kind, first, w, d, t, due, n, pre, post,
        rows, n_rows, columns, n_columns, counters,
    )  # fmt: skip


@jit_apart
def fill(some: Any, size: Any, spiking: Any, lists: Any, start: Any, count: Any, one: Any) -> Any:
    """List neurons of one side: those that spiked, all, or the first to stand for all."""
    if spiking:
        for n in range(count):
            some[n] = lists[start + n] - start
        return count
    size = 1 if one else size
    for n in range(size):
        some[n] = n
    return size


@jit_apart
def keep_products(
    due: Any, n: Any, pre: Any, rows: Any, n_rows: Any, post: Any, columns: Any, n_columns: Any
) -> Any:
    """Drop products that are 0 everywhere; return how many are left."""
    kept = 0
    for k in range(n):
        before, behind = np.int64(0), np.int64(0)
        for r in range(n_rows):
            before |= pre[k, rows[r]]
        for c in range(n_columns):
            behind |= post[k, columns[c]]
        if before and behind:
            due[kept] = due[k]
            for r in range(n_rows):
                pre[kept, rows[r]] = pre[k, rows[r]]
            for c in range(n_columns):
                post[kept, columns[c]] = post[k, columns[c]]
            kept += 1
    return kept


@jit_apart
def keep_some(some: Any, count: Any, values: Any, n: Any) -> Any:
    """Drop neurons at which every product is 0."""
    kept = 0
    for m in range(count):
        i, seen = some[m], np.int64(0)
        for k in range(n):
            seen |= values[k, i]
        if seen:
            some[kept] = i
            kept += 1
    return kept


@jit_apart
def learn_step(
    seed: Any, step: Any, reward: Any, pops: Any, projections: Any, layers: Any, trace_rows: Any, luts: Any,
    updates: Any, products: Any, factors: Any, fired: Any, written: Any, lists: Any, counts: Any, traces: Any,
    w: Any, d: Any, t: Any, due: Any, pre: Any, post: Any, rows: Any, columns: Any, counters: Any,
    alive: Any, living: Any,
) -> None:  # fmt: skip
    """Run every layer's engine at the end of a step."""
    for a in range(len(layers)):
        layer = layers[a]
        for k in range(layer[2]):
            at = layer[1] + k
            living[at] = update_trace(
                trace_rows[at], luts[at], key(seed, step, a, k), fired, lists, counts[trace_rows[at, 3]],
                traces, alive, living[at],
            )  # fmt: skip
        for u in range(layer[3], layer[3] + layer[4]):
            if due_products(updates[u], products, step, due)[0] == 0:
                continue
            call = layer[2]
            for other in range(layer[3], layer[3] + layer[4]):
                if updates[other, 7] < updates[u, 7]:
                    call += np.int64(due_products(updates[other], products, step, due)[0] > 0)
            apply_update(
                updates[u], layer, projections[layer[0]], pops, products, factors, step,
                key(seed, step, a, call), reward, fired, written, lists, counts, traces, w, d, t, due, pre,
                post,
                rows, columns, counters,
            )  # fmt: skip
