"""How much rounding moved weights, in one measure for every chip."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

TOLERANCE = 0.1
"""RMS error of a layer's weights, relative to their typical size, that passes without a word."""
NORMAL = 1.4826
"""Standard deviation of normal values in units of the median of their size."""


def rms(values: npt.NDArray[Any]) -> float:
    """Return the root of the mean square; 0 of nothing."""
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64)))) if values.size else 0.0


def typical_size(values: npt.NDArray[Any]) -> float:
    """Return the size of the values that are not zero: the RMS of normal ones, whatever the outliers."""
    size = np.abs(values[values != 0])
    return float(np.median(size) * NORMAL) if size.size else 0.0
