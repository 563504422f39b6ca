"""Number formats of Loihi's registers: decays, thresholds, biases, clamps and weights as integers.

The rounding is nengo-loihi 1.1's (`builder/discretize.py`), whose integers are what runs on the chip. All
widths are arguments; they come from the hardware file.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int32]

ROUNDING_LOSS = 0.494
"""Mean loss of one decay step to truncation, found by simulation (nengo-loihi, `decay_magnitude`)."""


def decay_code(decay: npt.ArrayLike, *, bits: int, top: int, offset: int) -> Ints:
    """Round the lost fraction of a decay to its register.

    Parameters
    ----------
    decay : array_like of float
        ``1 - keep``, 0 to 1; taken in single precision.
    bits : int
        Width of the register.
    top : int
        Largest code.
    offset : int
        What the chip adds to the register by itself.
    """
    scaled = np.asarray(decay, np.float32) * np.float32(2**bits - 1) - np.float32(offset)
    return np.rint(np.clip(scaled, 0, top)).astype(np.int32)


def decay_sum(code: npt.ArrayLike, *, bits: int, offset: int, start: float) -> Floats:
    """Sum of the series that a truncated decay makes of one input, in units of the input.

    Parameters
    ----------
    code : array_like of int
        Register values.
    bits, offset : int
        As in `decay_code`.
    start : float
        Size of the input; the loss to truncation is relative to it.

    Notes
    -----
    ``y_i = r y_(i-1) - q`` with ``r = (2**bits - offset - code) / 2**bits`` and the mean loss q, summed until
    y reaches 0. Without truncation it would be ``1 / (1 - r)``.
    """
    r = (2**bits - offset - np.asarray(code, np.float64)) / 2**bits
    r = np.minimum(r, 1 - 0.5 / 2**bits)  # what never decays counts as half a code
    q = ROUNDING_LOSS
    with np.errstate(divide="ignore", invalid="ignore"):
        n = -(np.log1p(start * (1 - r) / q)) / np.log(r)
        geometric = (1 - r ** (n + 1)) / (1 - r)
        loss = q / ((1 - r) * start) * (n + 1 - geometric)
    return np.where(r > 0, geometric - loss, 1.0)


def threshold_code(
    threshold: Floats, *, mantissa_bits: int, exponent: int
) -> tuple[Ints, npt.NDArray[np.bool_]]:
    """Round thresholds to a mantissa times ``2**exponent``.

    Returns
    -------
    thresholds : ndarray of int32
        In membrane units; saturated to the range 1 to ``2**mantissa_bits - 1`` mantissas.
    fits : ndarray of bool
        Where nothing was saturated.
    """
    mantissa = np.rint(np.rint(threshold) / 2**exponent)
    held = np.clip(mantissa, 1, 2**mantissa_bits - 1)
    return (held * 2**exponent).astype(np.int32), held == mantissa


def bias_code(bias: Floats, *, mantissa_bits: int, exponent_max: int) -> tuple[Ints, npt.NDArray[np.bool_]]:
    """Round biases to a signed mantissa times a power of two, each with the smallest exponent that fits.

    Returns
    -------
    biases : ndarray of int32
        In membrane units; saturated.
    fits : ndarray of bool
        Where nothing was saturated.
    """
    top = 2**mantissa_bits - 1
    whole = np.rint(bias)
    exponent = np.ceil(np.log2(np.maximum(np.abs(whole) / top, 1)))
    held = np.minimum(exponent, exponent_max)
    mantissa = np.rint(whole / 2**held)
    clipped = np.clip(mantissa, -top, top)
    return (clipped * 2**held).astype(np.int32), (exponent <= exponent_max) & (clipped == mantissa)


def floor_code(bound: float, *, exponent_max: int) -> int:
    """Round a lower bound of the membrane to ``1 - 2**e``."""
    e = exponent_max if np.isinf(bound) else int(np.clip(np.rint(np.log2(1 - bound)), 0, exponent_max))
    return 1 - int(2**e)


def ceiling_code(bound: float, *, base: int, exponent_max: int) -> int:
    """Round an upper bound of the membrane to ``2**(base + 2 e) - 1``."""
    e = exponent_max
    if not np.isinf(bound):
        e = int(np.clip(np.rint((np.log2(bound + 1) - base) / 2), 0, exponent_max))
    return int(2 ** (base + 2 * e) - 1)


def weight_code(
    weight: npt.NDArray[Any], *, bits: int, signed_shift: int, exponent: int, shift: int, lossy: bool = False
) -> Ints:
    """Round weights, scaled to a nominal range of -255 to 255, to what the chip adds for one spike.

    Parameters
    ----------
    weight : ndarray
        Taken in single precision.
    bits : int
        Stored width, the sign included.
    signed_shift : int
        Bits that are lost to the sign: 1 for weights of both signs, else 0.
    exponent : int
        Weight exponent.
    shift : int
        Bits the chip shifts every weight to the left.
    lossy : bool
        Clip before the last shift, as nengo-loihi does: below exponent -1 the largest positive weight loses
        its top code.

    Returns
    -------
    ndarray of int32
        Multiples of ``2**shift``.

    Notes
    -----
    An exponent below the bits that rounding leaves unused drops bits: the chip's accumulator takes whole
    multiples of ``2**shift``. Rounding twice, to the mantissa and then to what is left of it, is
    nengo-loihi's way.
    """
    unused = 8 - bits + signed_shift
    top = 2 ** (8 - unused) - 1
    mantissa = np.clip(np.rint(np.asarray(weight, np.float32) / np.float32(2.0**unused)), -top, top)
    up = unused + exponent
    if up >= 0:
        return np.asarray(mantissa.astype(np.int64) * 2 ** (up + shift), np.int32)
    rounded = np.rint(mantissa * np.float32(2.0**up))
    if lossy:
        clipped = np.clip(rounded / np.float32(2.0**up), -top, top).astype(np.int32)
        rounded = clipped >> -up
    return np.asarray(rounded.astype(np.int64) * 2**shift, np.int32)
