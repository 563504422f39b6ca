"""Random numbers by counting: the n-th number of a stream is computed without those before it.

So a kernel that visits only some synapses draws the same numbers for them as an oracle that visits all.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

GOLDEN = 0x9E3779B97F4A7C15
FIRST, SECOND = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
_MASK = (1 << 64) - 1


def mix(x: int) -> int:
    """Scramble 64 bits.

    References
    ----------
    .. [1] G. Steele, D. Lea, C. Flood (2014), Fast splittable pseudorandom number generators, OOPSLA
       (SplitMix64).
    """
    x = ((x ^ (x >> 30)) * FIRST) & _MASK
    x = ((x ^ (x >> 27)) * SECOND) & _MASK
    return x ^ (x >> 31)


def key(seed: int, step: int, layer: int, call: int) -> int:
    """Return the key of a stream: one for every draw of every layer in every step."""
    return mix((mix((seed + step * GOLDEN) & _MASK) + (layer * 64 + call) * SECOND) & _MASK)


def numbers(stream: int, count: int) -> npt.NDArray[np.float64]:
    """Return the first numbers of a stream, in [0, 1), multiples of 2**-32."""
    with np.errstate(over="ignore"):
        x = np.uint64(stream) + np.arange(count, dtype=np.uint64) * np.uint64(GOLDEN)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(FIRST)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(SECOND)
        x = x ^ (x >> np.uint64(31))
    return (x >> np.uint64(32)).astype(np.float64) / 2.0**32


class Draws:
    """What draws one layer's numbers in one step, call after call, as a ``numpy.random.Generator`` would."""

    def __init__(self, seed: int, step: int, layer: int) -> None:
        self._of = (seed, step, layer)
        self._calls = 0

    def random(self, size: Any) -> Any:
        """Return an array of numbers in [0, 1)."""
        found = numbers(key(*self._of, self._calls), int(np.prod(size)))
        self._calls += 1
        return found.reshape(size)
