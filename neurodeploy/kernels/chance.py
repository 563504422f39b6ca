"""Jitted parts that draw random numbers: noise, and the chip's rule for PES with its stochastic rounding.

The numbers are those of ``numpy.random.RandomState`` in the order in which nengo-loihi's emulator draws them:
in a step first for traces, then for weights, then one for every compartment, whether it has noise or not.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from neurodeploy.kernels.lanes import jit_apart

WORDS = 624
TRACE_TOP = 127
LOW = 0xFFFFFFFF
LOST, TRACE_CLIPPED, WEIGHT_CLIPPED = 8, 16, 32
"""Bits of a sample's flags: a second spike before a trace took in the first; a value beyond its range."""


@jit_apart
def next_word(random: Any) -> Any:
    """Draw the next 32 bits of the Mersenne Twister; ``random`` holds its words and the position in them.

    References
    ----------
    .. [1] M. Matsumoto, T. Nishimura (1998), Mersenne Twister, ACM TOMACS 8(1), MT19937.
    """
    at: Any = np.int64(random[WORDS])
    if at >= WORDS:
        for i in range(WORDS):
            y = (np.int64(random[i]) & 0x80000000) | (np.int64(random[(i + 1) % WORDS]) & 0x7FFFFFFF)
            twisted = np.int64(random[(i + 397) % WORDS]) ^ (y >> 1) ^ ((y & 1) * 0x9908B0DF)
            random[i] = np.uint32(twisted)
        at = 0
    random[WORDS] = np.uint32(at + 1)
    y = np.int64(random[at])
    y ^= y >> 11
    y ^= (y << 7) & 0x9D2C5680
    y ^= (y << 15) & 0xEFC60000
    return (y ^ (y >> 18)) & LOW


@jit_apart
def uniform(random: Any) -> Any:
    """Draw a number in [0, 1) with 53 bits."""
    high = next_word(random) >> 5
    return (high * 67108864.0 + (next_word(random) >> 6)) / 9007199254740992.0


@jit_apart
def rounded(x: Any, random: Any) -> Any:
    """Round to one of the two nearest integers at random, so that the mean is x."""
    size = np.floor(abs(x))
    y = np.int64(size) + (abs(x) - size > uniform(random))
    return y if x > 0.0 else -y


@jit_apart
def shifted(x: Any, bits: Any) -> Any:
    """Shift left, or right where ``bits`` is negative."""
    if bits >= 0:
        return x << bits
    return x >> -bits


@jit_apart
def add_noise(noise: Any, position: Any, base: Any, bias: Any, q: Any, random: Any, outside: Any) -> None:
    """Draw for every neuron, and add to its input or its bias where it has noise."""
    for i in range(noise.shape[1]):
        x = next_word(random) & 255
        while x == 255:
            x = next_word(random) & 255
        if noise[0, i] != 0.0:
            at = position[outside + i]
            value = np.int32(np.trunc((x - 127 + noise[1, i]) * noise[0, i]))
            if noise[2, i] != 0.0:
                bias[at] = np.int32(base[at] + value)
            else:
                q[at] = np.int32(q[at] + value)


@jit_apart
def learn(
    step: Any, learning: Any, rates: Any, errors: Any, traces: Any, marks: Any, learned: Any, random: Any
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
            flags |= update_traces(learning[s], rates[s], traces, marks, random)
    for s in range(len(learning)):
        if step % learning[s, 12] == 0:
            flags |= update_weights(learning[s], rates[s], errors, traces, learned, random)
    return flags


@jit_apart
def update_traces(rule: Any, rates: Any, traces: Any, marks: Any, random: Any) -> Any:
    """Decay the traces of one rule and take in the spikes."""
    flags = 0
    for a in range(rule[4], rule[4] + rule[1]):
        x = rates[0] * traces[a]
        if marks[a]:
            x += rates[1]
        marks[a] = 0
        y = rounded(x, random)
        if abs(y) > TRACE_TOP:
            flags |= TRACE_CLIPPED
        traces[a] = min(max(y, -TRACE_TOP), TRACE_TOP)
    return flags


@jit_apart
def update_weights(rule: Any, rates: Any, errors: Any, traces: Any, learned: Any, random: Any) -> Any:
    """Add trace times error to the weights of one rule, and round them to their mantissas."""
    flags, at, n, top = 0, rule[3], rule[2], rule[10]
    for a in range(rule[4], rule[4] + rule[1]):
        for j in range(n):
            e = -errors[rule[5] + j] if j < n // 2 else errors[rule[5] + j - n // 2]
            product = shifted(traces[a] * e * rule[6], rule[7])
            y = rounded((shifted(learned[at], rule[8]) + product) * rates[2], random)
            if abs(y) > top:
                flags |= WEIGHT_CLIPPED
            learned[at] = min(max(y, -top), top) << rule[9]
            at += 1
    return flags
