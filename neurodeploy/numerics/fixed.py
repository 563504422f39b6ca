"""Fixed-point arithmetic: wrap, saturate, decay and round, each defined once."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int32]


def wrap(x: npt.NDArray[Any], bits: int) -> Ints:
    """Wrap to `bits` magnitude bits and a sign, as two's complement.

    The result lies in ``[-2**bits, 2**bits - 1]``.
    """
    shift = np.int32(31 - bits)
    return np.asarray((x.astype(np.int32) << shift) >> shift)


def decay_magnitude(x: Ints, keep: Ints | int) -> Ints:
    """Multiply by ``keep / 4096`` and truncate the magnitude towards zero.

    Notes
    -----
    ``sign(x) * ((|x| * keep) >> 12)``, split into 12-bit halves so that no product leaves int32.
    """
    size = np.abs(x)
    high, low = size >> 12, size & 4095
    return np.asarray(np.sign(x) * (high * keep + ((low * keep) >> 12))).astype(np.int32)


def saturate(x: npt.NDArray[Any], bits: int) -> npt.NDArray[Any]:
    """Clip to ``[-(2**bits - 1), 2**bits - 1]``: a sign and `bits` magnitude bits, symmetric."""
    top = 2**bits - 1
    return np.clip(x, -top, top)


def round_even(x: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Round to the nearest integer, halves to even."""
    return np.rint(np.asarray(x, dtype=np.float64)).astype(np.int64)
