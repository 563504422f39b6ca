"""Jitted parts that draw random numbers: noise, and the chip's rule for PES with its stochastic rounding.

The numbers are those of ``numpy.random.RandomState`` in the order in which nengo-loihi's emulator draws them:
in a step first for traces, then for weights, then one for every compartment, whether it has noise or not.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from neurodeploy.kernels.lanes import jit, jit_apart

WORDS = 624
TRACE_TOP = 127
LOST, TRACE_CLIPPED, WEIGHT_CLIPPED = 8, 16, 32
"""Bits of a sample's flags: a second spike before a trace took in the first; a value beyond its range."""


@jit_apart
def prepare(random: Any, words: Any) -> None:
    """Temper all words of the Mersenne Twister into the numbers they stand for."""
    for i in range(WORDS):
        y = np.int64(random[i])
        y ^= y >> 11
        y ^= (y << 7) & 0x9D2C5680
        y ^= (y << 15) & 0xEFC60000
        words[i] = np.uint32(y ^ (y >> 18))


@jit_apart
def twist(random: Any, words: Any) -> None:
    """Make the next words.

    References
    ----------
    .. [1] M. Matsumoto, T. Nishimura (1998), Mersenne Twister, ACM TOMACS 8(1), MT19937.
    """
    for i in range(WORDS - 397):
        y = (np.int64(random[i]) & 0x80000000) | (np.int64(random[i + 1]) & 0x7FFFFFFF)
        random[i] = np.uint32(np.int64(random[i + 397]) ^ (y >> 1) ^ ((y & 1) * 0x9908B0DF))
    for i in range(WORDS - 397, WORDS - 1):
        y = (np.int64(random[i]) & 0x80000000) | (np.int64(random[i + 1]) & 0x7FFFFFFF)
        random[i] = np.uint32(np.int64(random[i + 397 - WORDS]) ^ (y >> 1) ^ ((y & 1) * 0x9908B0DF))
    y = (np.int64(random[WORDS - 1]) & 0x80000000) | (np.int64(random[0]) & 0x7FFFFFFF)
    random[WORDS - 1] = np.uint32(np.int64(random[396]) ^ (y >> 1) ^ ((y & 1) * 0x9908B0DF))
    prepare(random, words)


@jit
def uniform(random: Any, words: Any, at: Any) -> Any:
    """Draw a number in [0, 1) with 53 bits from word ``at`` on; return it and where the next ones are."""
    if at > WORDS - 2:
        high = words[WORDS - 1]
        twist(random, words)
        if at > WORDS - 1:
            high, at = words[0], 1
        else:
            at = 0
    else:
        high = words[at]
        at += 1
    value = ((high >> np.uint32(5)) * 67108864.0 + (words[at] >> np.uint32(6))) / 9007199254740992.0
    return value, at + 1


@jit
def rounded(x: Any, chance: Any) -> Any:
    """Round up if the rest exceeds a number in [0, 1), otherwise down; both in size."""
    size = np.int64(abs(x))
    y = size + np.int64(abs(x) - size > chance)
    return y if x > 0.0 else -y


@jit
def shifted(x: Any, bits: Any) -> Any:
    """Shift left, or right where ``bits`` is negative."""
    if bits >= 0:
        return x << bits
    return x >> -bits


@jit_apart
def skip_noise(n: Any, random: Any, words: Any) -> None:
    """Draw for ``n`` neurons that have no noise."""
    at: Any = np.int64(random[WORDS])
    left = n
    while left > 0:
        if at >= WORDS:
            twist(random, words)
            at = 0
        end = min(WORDS, at + left)
        for i in range(at, end):
            left -= np.int64((words[i] & 255) != 255)
        at = end
    random[WORDS] = np.uint32(at)


@jit_apart
def add_noise(
    noise: Any, position: Any, base: Any, bias: Any, q: Any, random: Any, words: Any, outside: Any
) -> None:
    """Draw for every neuron, and add to its input or its bias where it has noise."""
    draw: Any = np.int64(random[WORDS])
    for i in range(noise.shape[1]):
        x: Any = 255
        while x == 255:
            if draw >= WORDS:
                twist(random, words)
                draw = 0
            x = np.int64(words[draw]) & 255
            draw += 1
        if noise[0, i] != 0.0:
            at = position[outside + i]
            value = np.int32(np.trunc((x - 127 + noise[1, i]) * noise[0, i]))
            if noise[2, i] != 0.0:
                bias[at] = np.int32(base[at] + value)
            else:
                q[at] = np.int32(q[at] + value)
    random[WORDS] = np.uint32(draw)


@jit_apart
def learn(
    step: Any,
    learning: Any,
    rates: Any,
    errors: Any,
    traces: Any,
    marks: Any,
    learned: Any,
    random: Any,
    words: Any,
) -> Any:
    """Update traces, then weights, of all synapses that learn; return flags of values that were clipped.

    Parameters
    ----------
    step : int
        Counted from 1.
    learning, rates
        As in `Layout`.
    errors, traces, marks, learned : int32
        Of the sample.
    """
    flags = 0
    for s in range(len(learning)):
        if step % learning[s, 11] == 0:
            flags |= update_traces(learning[s], rates[s], traces, marks, random, words)
    for s in range(len(learning)):
        if step % learning[s, 12] == 0:
            flags |= update_weights(learning[s], rates[s], errors, traces, learned, random, words)
    return flags


@jit_apart
def update_traces(rule: Any, rates: Any, traces: Any, marks: Any, random: Any, words: Any) -> Any:
    """Decay the traces of one rule and take in the spikes."""
    flags, draw = 0, np.int64(random[WORDS])
    for a in range(rule[4], rule[4] + rule[1]):
        x = rates[0] * traces[a]
        if marks[a]:
            x += rates[1]
        marks[a] = 0
        chance, draw = uniform(random, words, draw)
        y = rounded(x, chance)
        if abs(y) > TRACE_TOP:
            flags |= TRACE_CLIPPED
        traces[a] = min(max(y, -TRACE_TOP), TRACE_TOP)
    random[WORDS] = np.uint32(draw)
    return flags


@jit_apart
def update_weights(
    rule: Any, rates: Any, errors: Any, traces: Any, learned: Any, random: Any, words: Any
) -> Any:
    """Add trace times error to the weights of one rule, and round them to their mantissas."""
    flags, at, n, top, scale, draw = 0, rule[3], rule[2], rule[10], rates[2], np.int64(random[WORDS])
    for a in range(rule[4], rule[4] + rule[1]):
        for j in range(n):
            e = -errors[rule[5] + j] if j < n // 2 else errors[rule[5] + j - n // 2]
            product = shifted(traces[a] * e * rule[6], rule[7])
            chance, draw = uniform(random, words, draw)
            y = rounded((shifted(learned[at], rule[8]) + product) * scale, chance)
            if abs(y) > top:
                flags |= WEIGHT_CLIPPED
            learned[at] = min(max(y, -top), top) << rule[9]
            at += 1
    random[WORDS] = np.uint32(draw)
    return flags
