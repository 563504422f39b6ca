"""Linear layers on batches, in floats: defined once for evaluation, calibration, lowering and tests."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

IN_CACHE = 2**18
"""Values of windows laid side by side at once, two megabytes: more would leave the processor's cache."""


def conv2d(
    x: Floats,
    weight: Floats,
    *,
    stride: tuple[int, int] = (1, 1),
    padding: tuple[int, int] = (0, 0),
    dilation: tuple[int, int] = (1, 1),
    groups: int = 1,
) -> Floats:
    """Cross-correlate images with kernels.

    Parameters
    ----------
    x : ndarray, shape (B, I, H, W)
    weight : ndarray, shape (O, I/groups, KH, KW)

    Returns
    -------
    ndarray, shape (B, O, H', W')
    """
    batch, channels = x.shape[:2]
    out, per_group, kh, kw = weight.shape
    x = np.pad(x, ((0, 0), (0, 0), (padding[0],) * 2, (padding[1],) * 2))
    extent = (dilation[0] * (kh - 1) + 1, dilation[1] * (kw - 1) + 1)
    windows = _sliding(x, extent)
    windows = windows[:, :, :: stride[0], :: stride[1], :: dilation[0], :: dilation[1]]
    height, width = windows.shape[2:4]
    windows = windows.transpose(0, 1, 4, 5, 2, 3)
    kernels = weight.reshape(groups, out // groups, per_group * kh * kw)
    result = np.empty((batch, groups, out // groups, height * width))
    at_once = max(1, IN_CACHE // max(channels * kh * kw * height * width, 1))
    for i in range(0, batch, at_once):
        cols = windows[i : i + at_once].reshape(-1, groups, per_group * kh * kw, height * width)
        np.matmul(kernels, cols, out=result[i : i + at_once])
    return result.reshape(batch, out, height, width)


def conv1d(
    x: Floats, weight: Floats, *, stride: int = 1, padding: int = 0, dilation: int = 1, groups: int = 1
) -> Floats:
    """Cross-correlate sequences (B, I, N) with kernels (O, I/groups, K)."""
    result = conv2d(
        x[:, :, None],
        weight[:, :, None],
        stride=(1, stride),
        padding=(0, padding),
        dilation=(1, dilation),
        groups=groups,
    )
    return result[:, :, 0]


def sum_pool2d(
    x: Floats, *, kernel_size: tuple[int, int], stride: tuple[int, int], padding: tuple[int, int] = (0, 0)
) -> Floats:
    """Sum over windows of images (B, C, H, W)."""
    x = np.pad(x, ((0, 0), (0, 0), (padding[0],) * 2, (padding[1],) * 2))
    windows = _sliding(x, kernel_size)
    return np.asarray(windows[:, :, :: stride[0], :: stride[1]].sum(axis=(-2, -1)))


def max_pool(
    x: Floats, *, kernel_size: tuple[int, ...], stride: tuple[int, ...], pads: tuple[tuple[int, int], ...]
) -> Floats:
    """Take the maximum over windows of maps (B, C, ...); padding never wins."""
    x = np.pad(x, ((0, 0), (0, 0), *pads), constant_values=-np.inf)
    for axis, (kernel, step) in enumerate(zip(kernel_size, stride, strict=True), start=2):
        count = (x.shape[axis] - kernel) // step + 1
        ends = (slice(i, i + (count - 1) * step + 1, step) for i in range(kernel))
        shifted = (x[(slice(None),) * axis + (end,)] for end in ends)  # separable: one axis at a time
        x = functools.reduce(np.maximum, shifted)
    return np.ascontiguousarray(x)


def _sliding(x: Floats, extent: tuple[int, int]) -> Floats:
    # NumPy 1.26's stubs know one axis only
    view: Any = np.lib.stride_tricks.sliding_window_view
    return np.asarray(view(x, extent, axis=(2, 3)))
