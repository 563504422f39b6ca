"""Jitted changes of synaptic variables: products of both sides, stochastic rounding, one by one or in rows.

They must agree with `learning.engine` in every integer.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from neurodeploy.kernels.lanes import jit, jit_apart, shifted
from neurodeploy.kernels.online_tables import FULL_MATRIX, PER_POST, SYNAPSE, D, T, W
from neurodeploy.numerics.draws import FIRST, GOLDEN, SECOND

ACCUMULATOR_TOP = 2**15 - 1
SPIKES, SYNOPS, VISITED, CHANGED = range(4)
"""Counters: spikes, synaptic events, synapses that an update was computed for, and whose weight changed."""
_GOLDEN, _FIRST, _SECOND = np.uint64(GOLDEN), np.uint64(FIRST), np.uint64(SECOND)
_30, _27, _31, _32 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(32)


@jit
def mix(x: Any) -> Any:
    """As `draws.mix`."""
    x = (x ^ (x >> _30)) * _FIRST
    x = (x ^ (x >> _27)) * _SECOND
    return x ^ (x >> _31)


@jit
def number(stream: Any, index: Any) -> Any:
    """Return the index-th number of a stream, of 32 bits."""
    return np.int64(mix(stream + np.uint64(index) * _GOLDEN) >> _32)


@jit
def key(seed: Any, step: Any, layer: Any, call: Any) -> Any:
    """As `draws.key`."""
    return mix(mix(np.uint64(seed) + np.uint64(step) * _GOLDEN) + np.uint64(layer * 64 + call) * _SECOND)


@jit
def sign(x: Any) -> Any:
    """Return -1, 0 or 1."""
    return np.int64(x > 0) - np.int64(x < 0)


@jit_apart
def synapse_value(product: Any, factors: Any, at: Any, w: Any, d: Any, t: Any, first_w: Any) -> Any:
    """Multiply what only the synapse itself knows."""
    value: Any = np.int64(1)
    for f in range(product[3], product[3] + product[4]):
        if factors[f, 2] == SYNAPSE:
            kind, first = factors[f, 0], factors[f, 1]
            x: Any = np.int64(0)
            if kind == W:
                x = np.int64(w[first_w + at])
            elif kind == T:
                x = np.int64(t[first + at])
            elif kind == D:
                x = np.int64(d[first + at])
            x += factors[f, 3]
            value *= sign(x) if factors[f, 4] else x
    return value


@jit
def rounded(before: Any, change: Any, update: Any, stream: Any, index: Any) -> Any:
    """Return a synaptic variable after its change, rounded at random and clipped."""
    bits = update[3] + update[4]
    total = min(max((before << update[3]) + change, -ACCUMULATOR_TOP), ACCUMULATOR_TOP)
    size = abs(total)
    y = size >> bits
    rest = size & ((1 << bits) - 1)
    if rest:
        y += np.int64((rest << (32 - bits)) > number(stream, index))
    y = y if total > 0 else -y
    return min(max(y, update[5]), update[6]) << update[4]


@jit_apart
def has_synapse(product: Any, factors: Any) -> Any:
    """Say whether a product reads the synapse's own variables."""
    found = False
    for f in range(product[3], product[3] + product[4]):
        found |= factors[f, 2] == SYNAPSE
    return found


@jit_apart
def change_by_outer(
    update: Any, projection: Any, shift: Any, stream: Any, shared: Any, w: Any, pre: Any, post: Any,
    rows: Any, n_rows: Any, columns: Any, n_columns: Any,
) -> Any:  # fmt: skip
    """Change weights by one product of what both sides know; return how many changed."""
    changed: Any = np.int64(0)
    for r in range(n_rows):
        i = rows[r]
        for c in range(n_columns):
            o = columns[c]
            at = i * projection[3] + o
            change = shifted(pre[i] * post[o], shift)
            old: Any = np.int64(w[projection[4] + at])
            new = rounded(old, change, update, stream, 0 if shared else at)
            changed += np.int64(new != old)
            w[projection[4] + at] = np.int16(new)
    return changed


@jit_apart
def suits_rows(products: Any, factors: Any, due: Any, n: Any) -> Any:
    """Say whether products read no more of the synapse than its plain tag, and that once."""
    for k in range(n):
        product, tags = products[due[k]], 0
        for f in range(product[3], product[3] + product[4]):
            if factors[f, 2] == SYNAPSE:
                tags += 1
                if factors[f, 0] != T or factors[f, 3] or factors[f, 4]:
                    return False
        if tags > 1:
            return False
    return True


@jit_apart
def any_of(values: Any) -> Any:
    """Say whether any value is not 0."""
    seen = np.int64(0)
    for o in range(len(values)):
        seen |= np.int64(values[o])
    return seen != 0


@jit_apart
def add_row(change: Any, value: Any, post: Any, shift: Any) -> None:
    """Add what one neuron before a layer changes by a product of what both sides know."""
    for o in range(len(change)):
        change[o] += shifted(value * post[o], shift)


@jit_apart
def add_tagged_row(change: Any, value: Any, post: Any, tags: Any, shift: Any) -> None:
    """As `add_row`, for a product with the synapse's tag."""
    for o in range(len(change)):
        change[o] += shifted(value * post[o] * np.int64(tags[o]), shift)


@jit_apart
def round_row(values: Any, change: Any, update: Any, stream: Any, index: Any) -> Any:
    """Change one row of a synaptic variable; return how many changed. Without branches, for vector units."""
    fine, lost, low, high = update[3], update[4], update[5], update[6]
    bits = fine + lost
    mask, up, changed = (np.int64(1) << bits) - 1, 32 - bits, np.int64(0)
    for o in range(len(values)):
        old: Any = np.int64(values[o])
        total = min(max((old << fine) + change[o], -ACCUMULATOR_TOP), ACCUMULATOR_TOP)
        size = abs(total)
        y = (size >> bits) + np.int64(((size & mask) << up) > number(stream, index + o))
        y = min(max(y if total > 0 else -y, low), high) << lost
        changed += np.int64(y != old)
        values[o] = y
    return changed


@jit_apart
def change_rows(
    values: Any, start: Any, update: Any, size: Any, products: Any, factors: Any, stream: Any, t: Any,
    first_t: Any, due: Any, n: Any, pre: Any, post: Any, rows: Any, n_rows: Any,
) -> Any:  # fmt: skip
    """Change weights or tags row by row, whole rows; return how many changed."""
    changed, change = np.int64(0), post[len(post) - 1][:size]
    for r in range(n_rows):
        i = rows[r]
        change[:] = 0
        tags, used = t[first_t + i * size : first_t + (i + 1) * size], False
        tagged = any_of(tags)
        for k in range(n):
            shift, with_tag = products[due[k], 1], has_synapse(products[due[k]], factors)
            if pre[k, i] == 0 or (with_tag and not tagged):
                continue
            used = True
            if with_tag:
                add_tagged_row(change, pre[k, i], post[k], tags, shift)
            else:
                add_row(change, pre[k, i], post[k], shift)
        if not used:
            continue
        row = values[start + i * size : start + (i + 1) * size]
        changed += round_row(row, change, update, stream, i * size)
    return changed


@jit_apart
def change_all(
    update: Any, projection: Any, products: Any, factors: Any, stream: Any, shared: Any, kind: Any,
    first: Any, w: Any, d: Any, t: Any, due: Any, n: Any, pre: Any, post: Any, rows: Any, n_rows: Any,
    columns: Any, n_columns: Any, counters: Any,
) -> None:  # fmt: skip
    """Change a synaptic variable by any sum of products."""
    size = projection[3]
    width = size if kind == FULL_MATRIX else 1
    for r in range(n_rows):
        for c in range(n_columns):
            i, o = rows[r], columns[c]
            at = o if kind == PER_POST else i * width + o
            change: Any = np.int64(0)
            for k in range(n):
                value = pre[k, i] * post[k, o]
                if value != 0:
                    value *= synapse_value(products[due[k]], factors, at, w, d, t, projection[4])
                    change += shifted(value, products[due[k], 1])
            if change == 0:
                continue
            index = 0 if shared else i * size + o
            if update[0] == W:
                old: Any = np.int64(w[first + at])
                new = rounded(old, change, update, stream, index)
                counters[CHANGED] += np.int64(new != old)
                w[first + at] = np.int16(new)
            elif update[0] == T:
                t[first + at] = np.int32(rounded(np.int64(t[first + at]), change, update, stream, index))
            else:
                d[first + at] = np.int32(rounded(np.int64(d[first + at]), change, update, stream, index))
