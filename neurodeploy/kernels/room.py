"""Arrays that the fast kernel works in: for one thread, for what a run gives, and spikes as lists."""

from __future__ import annotations

import contextlib
import math
import mmap
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neurodeploy.kernels.layout import HORIZON, MEMO, Layout
from neurodeploy.kernels.rows import LANES
from neurodeploy.kernels.state import Ints, Longs
from neurodeploy.kernels.tiles import SOURCES

Arrays = tuple[npt.NDArray[Any], ...]
WORDS = 624
"""Of the Mersenne Twister."""
LINE = 64
"""Bytes of a cache line; two threads that write to one wait for each other."""

LARGE = 2**22
"""Bytes from which on an array lies in large pages: the system hands out small ones one at a time, which for
the state of many samples takes longer than what is computed with it."""


def aligned(shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Zeros that start on a cache line and share none with other arrays."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    raw = _pages(size) if size >= LARGE else np.zeros(size + 2 * LINE, np.uint8)
    skip = -raw.ctypes.data % LINE
    return raw[skip : skip + size].view(dtype).reshape(shape)


def _pages(size: int) -> npt.NDArray[np.uint8]:
    """Zeros in pages of their own, large ones where the system has any."""
    if not hasattr(mmap, "MADV_HUGEPAGE"):
        return np.zeros(size + LINE, np.uint8)
    pages = mmap.mmap(-1, size + LINE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with contextlib.suppress(OSError):  # advice only; the system may not take it
        pages.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(pages, np.uint8)


@dataclass(frozen=True, eq=False)
class Room:
    """How much a thread needs to run a batch for some steps; the only way to its arrays.

    Parameters
    ----------
    layout : Layout
    horizon : int
        Steps at a time.
    most : int
        Most spikes beyond one per neuron and step that the lists hold at a time.
    product : bool
        Whether any group runs by products.
    """

    layout: Layout
    horizon: int
    most: int
    product: bool

    @classmethod
    def of(cls, layout: Layout, fired: Ints, starts: Longs, *, product: bool = False) -> Room:
        """Make room for what is on its way and what is given.

        Parameters
        ----------
        layout : Layout
        fired : ndarray of int32, shape (B, D, N)
            As in `compiled.Batch`.
        starts : ndarray of int64, shape (B, T + 1)
            As `events_of` makes it.
        product : bool
            Whether any group runs by products.
        """
        steps = starts.shape[1] - 1
        most = 0
        if starts[-1:, -1:].any():
            first = np.arange(0, max(steps, 1), HORIZON)
            low, high = np.maximum(first - layout.delay, 0), np.minimum(first + HORIZON, steps)
            most = int((starts[:, high] - starts[:, low]).max(initial=0))
        waiting = fired[:, :, : layout.outside]  # neurons inside spike once a step
        if waiting.size and waiting.max() > 1:
            more = waiting.sum(axis=(1, 2), dtype=np.int64) - np.count_nonzero(waiting, axis=(1, 2))
            most += int(more.max())
        return cls(layout, min(steps, HORIZON), most, product)

    def workspace(self) -> Arrays:
        """Make what one thread needs besides its samples: sums, lists of spikes, trains kept for reuse."""
        layout, most, rules = self.layout, self.most, self.layout.learning
        banks = (layout.size // SOURCES + 1) * self.product
        n, columns, g = layout.size, self.horizon + layout.delay, len(layout.groups)
        bias = aligned((n,), np.int32)
        bias[:] = layout.neurons[2 * n : 3 * n]
        room = layout.groups[:, 0] * columns
        room[1:] += most
        return (
            aligned((n + 4 * LANES,), np.int16),  # vectors of zeros may reach beyond the end
            aligned((n,), np.int32),
            bias,
            aligned((n * columns + most + LANES,), np.int32),
            room,
            aligned((g, columns), np.int64),
            aligned((g, columns), np.int64),
            aligned((g,), np.int64),
            aligned((g,), np.int64),
            aligned((n,), np.int32),
            aligned((MEMO,), np.float64),
            aligned((MEMO,), np.int64),
            aligned((MEMO,), np.uint64),
            aligned((WORDS + 2,), np.uint32),  # and one number of two words
            aligned((layout.outside + LANES,), np.uint64),
            aligned((layout.outside + LANES,), np.int32),
            aligned((banks * SOURCES * HORIZON,), np.uint8),
            aligned((LANES * (HORIZON + 1),), np.int32),
            aligned((n if self.product else 0,), np.int32),
            aligned((int((rules[:, 1] * rules[:, 2] + 2 * rules[:, 2]).max(initial=0)) + LANES,), np.int32),
        )


def check_pending(layout: Layout, fired: Ints) -> None:
    """Refuse spikes on their way that no run leaves, for which there is no room.

    Raises
    ------
    ValueError
    """
    top = np.zeros(layout.size, np.int64)
    top[layout.position] = 1
    top[: layout.outside] = np.iinfo(np.int32).max
    if (fired < 0).any() or (fired > top).any():
        raise ValueError("spikes on their way are negative, or more than one a step of a neuron on the chip")


def outputs(layout: Layout, shape: tuple[int, int], watched: int, *, spikes: bool) -> Arrays:
    """Make room for what a run of (B, T) samples and steps gives."""
    (size, steps), g = shape, len(layout.groups)
    return (
        aligned((size, steps), np.int16),
        aligned((size, g), np.int64),
        aligned((size, g), np.int64),
        aligned((size, 1), np.int64),
        aligned((size, steps if spikes else 0, layout.size), np.uint8),
        aligned((size, steps, watched), np.int32),
    )


def events_of(train: npt.NDArray[Any] | None, place: Longs, shape: tuple[int, int]) -> tuple[Longs, Ints]:
    """List given spikes by sample and step, as positions.

    Returns
    -------
    starts : ndarray of int64, shape (B, T + 1)
    events : ndarray of int32
    """
    size, steps = shape
    if train is None:
        return np.zeros((size, steps + 1), np.int64), np.zeros(0, np.int32)
    sample, step, neuron = np.nonzero(train)
    many = train[sample, step, neuron].astype(np.int64)
    sample, step, neuron = (np.repeat(column, many) for column in (sample, step, neuron))
    count = np.bincount(sample * steps + step, minlength=size * steps)
    ends = np.cumsum(count).reshape(size, steps)
    starts = np.column_stack([ends[:, 0] - count.reshape(size, steps)[:, 0], ends])
    return starts.astype(np.int64), place[neuron].astype(np.int32)
