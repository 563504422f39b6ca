"""The fast kernel, compiled and spread over threads; equal to `reference` bit for bit.

Samples are independent, so threads take them a handful at a time; the compiled code holds no lock. Machine code is kept
between processes, in a folder of its own whose name changes with the sources.
"""

from __future__ import annotations

import functools
import hashlib
import os
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from neurodeploy.kernels.layout import HORIZON, LANES, MEMO, Layout
from neurodeploy.kernels.state import Bools, Ints, Longs, State, Trace

Floats = npt.NDArray[np.float64]
SOURCES = ("layout.py", "lanes.py", "loops.py")


@dataclass(frozen=True, eq=False)
class Readout:
    """Where decisions are read.

    Parameters
    ----------
    group : int
    by : {"membrane", "spikes"}
    """

    group: int
    by: str = "membrane"


@dataclass(frozen=True, eq=False)
class Batch:
    """B samples on their way: the kernel's own arrays, changed in place by `advance`.

    Parameters
    ----------
    state : ndarray of int32, shape (B, 3 * N)
    fired : ndarray of uint8, shape (B, N)
    counts : ndarray of int64, shape (B, N)
        Spikes of the group that is read out.
    """

    state: Ints
    fired: npt.NDArray[np.uint8]
    counts: Longs

    @property
    def membranes(self) -> Ints:
        """Membranes by position, shape (B, N)."""
        n = self.fired.shape[1]
        return self.state[:, n : 2 * n]


@dataclass(frozen=True, eq=False)
class Figures:
    """What some steps of a batch gave.

    Parameters
    ----------
    decisions : ndarray of int16, shape (B, T)
    spikes, synops : ndarray of int64, shape (B, G)
        Spikes of every group, synaptic operations into it.
    spiked : ndarray of bool, shape (B, T, n)
        If spikes were kept, otherwise T is 0.
    trace : Trace or None
        If all was kept.
    """

    decisions: npt.NDArray[np.int16]
    spikes: Longs
    synops: Longs
    spiked: Bools
    trace: Trace | None


def at_rest(layout: Layout, batch: int) -> Batch:
    """Return samples before their first step."""
    n = layout.size
    return Batch(
        _aligned((batch, 3 * n), np.int32), np.zeros((batch, n), np.uint8), np.zeros((batch, n), np.int64)
    )


def _aligned(shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Zeros that start on a cache line."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    raw = np.zeros(size + 64, np.uint8)
    skip = -raw.ctypes.data % 64
    return raw[skip : skip + size].view(dtype).reshape(shape)


def snapshot(layout: Layout, batch: Batch, step: int) -> State:
    """Copy the state out, in the circuit's order of neurons."""
    u, v, wait = (part[:, layout.position] for part in np.split(batch.state, 3, axis=1))
    return State(step, u, v, wait, batch.fired[:, layout.position] != 0)


def restore(layout: Layout, state: State) -> Batch:
    """Make a batch of a state; spikes of the read-out are counted from here."""
    batch = at_rest(layout, len(state.u))
    for part, values in zip(np.split(batch.state, 3, axis=1), (state.u, state.v, state.wait), strict=True):
        part[:, layout.position] = values
    batch.fired[:, layout.position] = state.spiked
    return batch


def advance(
    layout: Layout,
    batch: Batch,
    *,
    steps: int,
    first: int = 0,
    rates: Floats | None = None,
    train: Bools | None = None,
    bias: Ints | None = None,
    readout: Readout | None = None,
    keep: Literal["figures", "spikes", "all"] = "figures",
    threads: int | None = None,
) -> Figures:
    """Run all samples of a batch for some steps.

    Parameters
    ----------
    layout : Layout
    batch : Batch
        Changed in place.
    steps : int
    first : int
        Steps done before.
    rates : ndarray of float64, shape (B, n), optional
        Of the first group, if it lies outside; its spikes are those of `numerics.coding.rate_spikes`.
    train : ndarray of bool, shape (B, T, n), optional
        Or its spikes themselves.
    bias : ndarray of int32, shape (B, n), optional
        Per-sample bias of the first group, if it lies inside.
    readout : Readout, optional
    keep : {"figures", "spikes", "all"}
        Whether to keep the single spikes, or every state, of every step.
    threads : int, optional
        One per core where absent.

    Returns
    -------
    Figures
    """
    size, n, g = len(batch.state), layout.size, len(layout.groups)
    groups = layout.groups
    here = layout.position[: int(groups[0, 1])]
    starts, events = _events(train, here, size)
    read_at = np.zeros(0, np.int64)
    if readout is not None:
        read_at = layout.position[layout.span(readout.group)]
    decisions = np.zeros((size, steps), np.int16)
    spikes, synops = np.zeros((size, g), np.int64), np.zeros((size, g), np.int64)
    history = np.zeros((size, steps, 3 * n) if keep == "all" else (size, 0, 0), np.int32)
    fired = np.zeros((size, steps, n) if keep != "figures" else (size, 0, 0), np.uint8)
    reading = (0, -1) if readout is None else (readout.by == "spikes", readout.group)
    tables = (
        groups, layout.wires, layout.rows, layout.vector_at, layout.vectors, layout.words, layout.sequence,
        layout.stages,
    )  # fmt: skip
    run = kernel()

    def part(low: int, high: int) -> None:
        run(
            tables, workspace(layout, min(steps, HORIZON)), layout.neurons.ravel(), here, np.array([low, high, first, steps, *reading]),
            batch.state, batch.fired, _given(rates, size, np.float64), starts, events,
            _given(bias, size, np.int32), read_at, batch.counts, decisions, spikes, synops, history, fired,
        )  # fmt: skip

    _spread(part, size, threads or cores())
    spiked = fired[:, :, layout.position] != 0 if keep != "figures" else np.zeros((size, 0, 0), bool)
    trace = _trace(layout, history, spiked, synops) if keep == "all" else None
    return Figures(decisions, spikes, synops, spiked, trace)


def workspace(layout: Layout, horizon: int) -> tuple[npt.NDArray[Any], ...]:
    """Make what one thread needs besides its samples: sums, lists of spikes, and trains kept for reuse."""
    n, g = layout.size, len(layout.groups)
    bias = _aligned((n,), np.int32)
    bias[:] = layout.neurons[2]
    return (
        _aligned((n + 4 * LANES,), np.int16),  # vectors of zeros may reach beyond the end
        _aligned((n,), np.int32),
        bias,
        np.empty(n * (horizon + 1) + LANES, np.int32),
        layout.groups[:, 0] * (horizon + 1),
        np.zeros((g, horizon + 1), np.int64),
        np.zeros((g, horizon + 1), np.int64),
        np.zeros(g, np.int64),
        np.zeros(g, np.int64),
        np.zeros(g, np.int64),
        np.zeros(MEMO),
        np.zeros(MEMO, np.int64),
        np.zeros(MEMO, np.uint64),
    )


def _given(values: npt.NDArray[Any] | None, size: int, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    return np.zeros((size, 0), dtype) if values is None else np.array(values, dtype, order="C", ndmin=2)


def _events(train: Bools | None, here: Longs, size: int) -> tuple[Longs, Ints]:
    """List given spikes by sample and step, as positions."""
    if train is None:
        return np.zeros((size, 0), np.int64), np.zeros(0, np.int32)
    sample, step, neuron = np.nonzero(train)
    steps = train.shape[1]
    ends = np.cumsum(np.bincount(sample * steps + step, minlength=size * steps)).reshape(size, steps)
    before = np.concatenate([[0], ends[:-1, -1]]) if size else np.zeros(0, np.int64)
    return np.column_stack([before, ends]).astype(np.int64), here[neuron].astype(np.int32)


def _trace(layout: Layout, history: Ints, spiked: Bools, synops: Longs) -> Trace:
    u, v, wait = (part[:, :, layout.position] for part in np.split(history, 3, axis=2))
    return Trace(u, v, wait, spiked, synops)


def cores() -> int:
    """Count the cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _spread(part: Callable[[int, int], None], size: int, threads: int) -> None:
    """Share samples among threads, in portions small enough to even out."""
    if threads == 1 or size == 1:
        part(0, size)
        return
    portion = max(1, min(64, size // (4 * threads)))
    cuts = range(0, size, portion)
    list(_pool(threads).map(lambda low: part(low, min(low + portion, size)), cuts))


@functools.cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="neurodeploy")


@functools.cache
def kernel() -> Callable[..., None]:
    """Compile the kernel, or take it from the last time."""
    import numba

    before = numba.config.CACHE_DIR
    folder = cache_folder(numba.__version__)
    numba.config.CACHE_DIR = str(folder)  # numba decides where to look when a function is wrapped
    try:
        return _compile(numba)
    finally:
        numba.config.CACHE_DIR = before


def _compile(numba: Any) -> Callable[..., None]:
    from neurodeploy.kernels import loops

    i16, i32, i64, u8, f8 = numba.int16, numba.int32, numba.int64, numba.uint8, numba.float64
    tables = numba.types.Tuple(
        (i64[:, ::1], i64[:, ::1], i32[:, ::1], i32[::1], numba.int8[::1], i32[::1], i64[::1], i64[:, ::1])
    )
    work = numba.types.Tuple((
        i16[::1], i32[::1], i32[::1], i32[::1], i64[::1], i64[:, ::1], i64[:, ::1], i64[::1], i64[::1], i64[::1],
        f8[::1], i64[::1], numba.uint64[::1],
    ))  # fmt: skip
    signature = numba.void(
        tables, work, i32[::1], i64[::1], i64[::1], i32[:, ::1], u8[:, ::1], f8[:, ::1], i64[:, ::1], i32[::1],
        i32[:, ::1], i64[::1], i64[:, ::1], i16[:, ::1], i64[:, ::1], i64[:, ::1], i32[:, :, ::1], u8[:, :, ::1],
    )  # fmt: skip
    compiled: Callable[..., None] = numba.njit(signature, nogil=True, cache=True, _nrt=False)(
        loops.run_samples
    )
    return compiled


def cache_folder(version: str) -> Path:
    """Find a folder for machine code that can be written, and whose name changes with what it is made from.

    Parameters
    ----------
    version : str
        Of the compiler.

    Returns
    -------
    Path
        In ``NEURODEPLOY_CACHE``, the user's cache folder, or the temporary one, the first that can be written.
    """
    sources = b"".join((Path(__file__).parent / name).read_bytes() for name in (*SOURCES, "compiled.py"))
    name = hashlib.sha256(version.encode() + sources).hexdigest()[:16]
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    places = (os.environ.get("NEURODEPLOY_CACHE"), str(Path(home) / "neurodeploy"), tempfile.gettempdir())
    for place in filter(None, places):
        folder = Path(place) / f"kernel-{name}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                return folder
        except OSError:
            continue
    return Path(tempfile.mkdtemp(prefix="neurodeploy-"))
