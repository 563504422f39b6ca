"""Jitted parts that draw random numbers: noise, and the chip's rule for PES with its stochastic rounding.

The numbers are those of ``numpy.random.RandomState`` in the order in which nengo-loihi's emulator draws them:
in a step first for traces, then for weights, then one for every compartment, whether it has noise or not.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from neurodeploy.kernels import intrinsics
from neurodeploy.kernels.lanes import jit, jit_apart
from neurodeploy.kernels.rows import LANES

put_products, add_shifted, FEW = intrinsics.put_products, intrinsics.add_shifted, intrinsics.FEW
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
def straddle(random: Any, words: Any) -> None:
    """Put a number of two words whose second is yet to be made behind all words; make the next words."""
    words[WORDS] = words[WORDS - 1]
    twist(random, words)
    words[WORDS + 1] = words[0]


@jit
def taken(words: Any) -> Any:
    """Count the words that give a number of noise; the compiler makes vectors of this."""
    found = np.int32(0)
    for k in range(len(words)):
        found += np.int32((words[k] & np.uint32(255)) != np.uint32(255))
    return np.int64(found)


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
        left -= taken(words[at:end])
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
    products: Any,
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
            flags |= update_weights(learning[s], errors, traces, learned, random, words, products)
    return flags


@jit_apart
def update_traces(rule: Any, rates: Any, traces: Any, marks: Any, random: Any, words: Any) -> Any:
    """Decay the traces of one rule and take in the spikes."""
    flags: Any = 0
    draw: Any = np.int64(random[WORDS])
    a: Any = np.int64(rule[4])
    end = np.int64(rule[4] + rule[1])
    while a < end:
        many = min((WORDS - draw) // 2, end - a)
        if many == 0:
            if draw == WORDS:
                twist(random, words)
                draw = 0
                continue
            straddle(random, words)
            draw, many = WORDS, 1
        flags |= trace_many(rates, traces[a : a + many], marks[a : a + many], words[draw:])
        a += many
        draw = 1 if draw == WORDS else draw + 2 * many
    random[WORDS] = np.uint32(draw)
    return flags


@jit
def traced(trace: Any, mark: Any, decay: Any, gain: Any, chance: Any) -> Any:
    """Return a trace after its decay, with a number in [0, 1) to round it by, before it is clipped."""
    x = decay * trace + (gain if mark else 0.0)
    size = np.int32(abs(x))
    y = np.int32(size + np.int32(abs(x) - size > chance))
    return y if x > 0.0 else np.int32(-y)


@jit
def trace_many(rates: Any, traces: Any, marks: Any, words: Any) -> Any:
    """Update neighbouring traces with neighbouring words; the compiler makes vectors of this."""
    most, decay, gain, top = np.int32(0), rates[0], rates[1], np.int32(TRACE_TOP)
    for k in range(len(traces)):
        high, low = words[2 * k] >> np.uint32(5), words[2 * k + 1] >> np.uint32(6)
        chance = (np.int32(high) * 67108864.0 + np.int32(low)) / 9007199254740992.0
        y = traced(traces[k], marks[k], decay, gain, chance)
        most = max(most, np.int32(abs(y)))
        traces[k] = min(max(y, -top), top)
        marks[k] = 0
    return TRACE_CLIPPED * np.int64(most > top)


@jit_apart
def update_weights(
    rule: Any, errors: Any, traces: Any, learned: Any, random: Any, words: Any, products: Any
) -> Any:
    """Add trace times error to the weights of one rule, and round them to their mantissas."""
    at: Any = np.int64(rule[3])
    end = np.int64(rule[3] + rule[1] * rule[2])
    first, last = np.int64(rule[4]), np.int64(rule[4] + rule[1])
    add_products(rule, errors[rule[5] :], traces[first:last], learned[at:end], products)
    flags: Any = 0
    draw: Any = np.int64(random[WORDS])
    while at < end:
        many = min((WORDS - draw) // 2, end - at)
        if many == 0:
            if draw == WORDS:
                twist(random, words)
                draw = 0
                continue
            straddle(random, words)
            draw, many = WORDS, 1
        flags |= round_many(rule, learned[at : at + many], words[draw:])
        at += many
        draw = 1 if draw == WORDS else draw + 2 * many
    random[WORDS] = np.uint32(draw)
    return flags


@jit
def add_products(rule: Any, errors: Any, traces: Any, learned: Any, products: Any) -> None:
    """Bring the weights of one rule to the width in which they change, and add trace times error.

    Neurons of the first half take the negative of what those of the second do. ``products`` is room for one
    number per weight, and one row more.
    """
    n, rate, shift, half = np.int64(rule[2]), np.int64(rule[6]), np.int64(rule[7]), np.int64(rule[2] // 2)
    up, down, left, right = bits_of(rule[8]), bits_of(-rule[8]), bits_of(shift), bits_of(-shift)
    row = (n + FEW - 1) // FEW * FEW
    for j in range(half):
        factor = 0 if shift > MOST else np.int64(errors[j]) * rate
        products[j], products[half + j] = np.int32(-factor), np.int32(factor)
    at = row
    for a in range(len(traces)):
        for k in range(0, n, FEW):  # what is written beyond a row is written over by the next one
            put_products(products, at + k, products, k, traces[a])
        at += n
    whole = len(learned) // LANES * LANES
    for k in range(0, whole, LANES):
        add_shifted(learned, k, products, row + k, up, down, left, right)
    for k in range(whole, len(learned)):
        change = np.int32(np.int32(products[row + k] << left) >> right)
        learned[k] = np.int32(np.int32(np.int32(learned[k] << up) >> down) + change)


MOST = 31
"""Bits by which a number of 32 can be shifted."""


@jit
def bits_of(shift: Any) -> Any:
    """Bits to shift left by, and of the negative to shift right by."""
    return np.int32(min(max(shift, 0), MOST))


@jit
def round_many(rule: Any, learned: Any, words: Any) -> Any:
    """Round neighbouring weights in size: up if what is rounded off exceeds a number in [0, 1).

    The first bits of the number's first word decide, because what is rounded off has no more. The compiler
    makes vectors of this.
    """
    bits, back, top = np.int32(rule[13]), np.int32(rule[9]), np.int32(rule[10])
    rest, drop, most = np.int32((1 << bits) - 1), np.uint32(32 - bits), np.int32(0)
    for k in range(len(learned)):
        x = learned[k]
        size = np.int32(abs(x))
        y = np.int32((size >> bits) + np.int32((size & rest) > np.int32(words[2 * k] >> drop)))
        most = max(most, y)
        kept = np.int32(min(y, top) << back)
        learned[k] = kept if x > 0 else np.int32(-kept)
    return WEIGHT_CLIPPED * np.int64(most > top)
