"""The fast kernel, compiled and spread over threads; equal to `reference` bit for bit.

Samples are independent, so threads take them a handful at a time; the compiled code holds no lock.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from neurodeploy.kernels.arguments import Readout, extras, product_of, tables, unit_available, watch_all
from neurodeploy.kernels.build import cores, kernel, spread
from neurodeploy.kernels.layout import INTEGRATE, WIDEST_BIAS, Layout
from neurodeploy.kernels.room import WORDS, Arrays, Room, aligned, check_pending, events_of, outputs
from neurodeploy.kernels.state import Bools, Ints, Longs, State, Trace

Floats = npt.NDArray[np.float64]
PAYS = 4
"""Samples from which on it pays to arrange weights for products."""
RESTING = 32
"""Samples whose state a thread keeps in its caches, where nothing is kept of it in the end."""
WATCHED = ("u", "v", "wait", "spiked")
"""What can be recorded, in the order of the kernel."""


@dataclass(frozen=True, eq=False)
class Batch:
    """B samples on their way: the kernel's own arrays, changed in place by `advance`.

    Parameters
    ----------
    cells : ndarray of int32, shape (B, 3 * N)
        Current, membrane and refractory counter by position.
    fired : ndarray of int32, shape (B, D, N)
        How often each spiked in the last D steps.
    counts : ndarray of int32, shape (B, N)
        Spikes of the group that is read out.
    random, traces, marks, learned
        As in `State`.
    """

    cells: Ints
    fired: Ints
    counts: Ints
    random: npt.NDArray[np.uint32]
    traces: Ints
    marks: Ints
    learned: Ints

    @property
    def membranes(self) -> Ints:
        """Membranes by position, shape (B, N)."""
        n = self.fired.shape[2]
        return self.cells[:, n : 2 * n]

    @property
    def arrays(self) -> Arrays:
        """All of them, in the kernel's order."""
        return (self.cells, self.fired, self.counts, self.random, self.traces, self.marks, self.learned)


@dataclass(frozen=True, eq=False)
class Figures:
    """What some steps of a batch gave.

    Parameters
    ----------
    decisions : ndarray of int16, shape (B, T)
    spikes, synops : ndarray of int64, shape (B, G)
        Spikes of every group, synaptic operations into it.
    flags : ndarray of int64, shape (B,)
        What overflowed: 1 the input, 2 the current, 4 current plus bias, 8 spikes lost to a trace, 16 a
        trace, 32 a weight.
    spiked : ndarray of bool, shape (B, T, n)
        If spikes were kept, otherwise T is 0.
    trace : Trace or None
        If all was kept.
    """

    decisions: npt.NDArray[np.int16]
    spikes: Longs
    synops: Longs
    flags: Longs
    spiked: Bools
    trace: Trace | None


def make_ready(layout: Layout) -> None:
    """Compile the kernel, or load it, by a run of no samples."""
    advance(layout, at_rest(layout, 0), steps=1, threads=1)


def at_rest(layout: Layout, batch: int, *, seeds: list[int] | None = None) -> Batch:
    """Return samples before their first step.

    Parameters
    ----------
    layout : Layout
    batch : int
    seeds : list of int, optional
        Of each sample's random numbers, where the circuit draws any.
    """
    n, axons = layout.size, int(layout.learning[:, 1].sum())
    learned = aligned((batch, len(layout.learned)), np.int32)
    learned[:] = layout.learned
    return Batch(
        aligned((batch, 3 * n), np.int32),
        aligned((batch, layout.delay, n), np.int32),
        aligned((batch, n), np.int32),
        _twisters(layout, batch, seeds),
        aligned((batch, axons), np.int32),
        aligned((batch, axons), np.int32),
        learned,
    )


def _twisters(layout: Layout, batch: int, seeds: list[int] | None) -> npt.NDArray[np.uint32]:
    """Random states as `numpy.random.RandomState` has them after seeding."""
    if not layout.random:
        return np.zeros((batch, 0), np.uint32)
    states = np.zeros((batch, WORDS + 1), np.uint32)
    for state, seed in zip(states, seeds or range(batch), strict=True):
        _, state[:WORDS], state[WORDS], *_ = np.random.RandomState(seed).get_state()
    return states


def snapshot(layout: Layout, batch: Batch, step: int) -> State:
    """Copy the state out, in the circuit's order of neurons."""
    u, v, wait = (part[:, layout.position] for part in np.split(batch.cells, 3, axis=1))
    rest = (batch.random.copy(), batch.traces.copy(), batch.marks.copy(), batch.learned.copy())
    return State(step, u, v, wait, batch.fired[:, :, layout.position], *rest)


def restore(layout: Layout, state: State) -> Batch:
    """Make a batch of a state; spikes of the read-out are counted from here."""
    batch = at_rest(layout, len(state.u))
    for part, values in zip(np.split(batch.cells, 3, axis=1), (state.u, state.v, state.wait), strict=True):
        part[:, layout.position] = values
    batch.fired[:, :, layout.position] = state.spiked
    check_pending(layout, batch.fired)
    for name in ("random", "traces", "marks", "learned"):
        kept = getattr(state, name)
        if kept.size:
            getattr(batch, name)[:] = kept
    return batch


def advance(
    layout: Layout,
    batch: Batch,
    *,
    steps: int,
    first: int = 0,
    rates: Floats | None = None,
    train: npt.NDArray[Any] | None = None,
    bias: Ints | None = None,
    errors: Ints | None = None,
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
    train : ndarray of bool or int, shape (B, T, n), optional
        Or its spikes themselves, or how many there are.
    bias : ndarray of int32, shape (B, n), optional
        Per-sample bias of the first group, if it lies inside.
    errors : ndarray of int32, shape (B, E), optional
        Of all synapses that learn, in these steps.
    readout : Readout, optional
    keep : {"figures", "spikes", "all"}
        Whether to keep the single spikes, or every state, of every step.
    threads : int, optional
        One per core where absent.

    Returns
    -------
    Figures

    Raises
    ------
    ValueError
        If a per-sample bias is given that the kernel cannot add exactly.
    """
    size = len(batch.cells)
    call = _call(
        layout, size, steps=steps, first=first, rates=rates, train=train, bias=bias, errors=errors,
        readout=readout, keep=keep, room=batch.fired,
    )  # fmt: skip
    spread(lambda low, high: call.run(batch.arrays, low, high), size, threads or cores())
    return call.figures(keep)


def from_rest(
    layout: Layout,
    size: int,
    *,
    steps: int,
    rates: Floats | None = None,
    train: npt.NDArray[Any] | None = None,
    bias: Ints | None = None,
    readout: Readout | None = None,
    threads: int | None = None,
) -> tuple[Figures, Ints]:
    """Run samples from their first step on, as `advance` does, and keep of their state only what is read out.

    Memory for state is one portion's per thread, however many samples there are.

    Parameters
    ----------
    layout : Layout
    size : int
        Number of samples.
    steps, rates, train, bias, readout, threads
        As for `advance`.

    Returns
    -------
    figures : Figures
    final : ndarray of int32, shape (B, n)
        Membranes of the group that is read out after the last step, or its spikes counted, whichever it is
        read by; of no neurons without `readout`.

    Raises
    ------
    ValueError
        As `advance`.
    """
    call = _call(layout, size, steps=steps, rates=rates, train=train, bias=bias, readout=readout)
    read_at = call.given[5]
    final = np.zeros((size, len(read_at)), np.int32)
    many = max(1, min(RESTING, size))

    def part(low: int, high: int) -> None:
        try:
            batch = spare.pop()
        except IndexError:
            batch = at_rest(layout, many)
        for begin in range(low, high, many):
            end = min(begin + many, high)
            _reset(layout, batch, range(begin, end))
            call.at(begin, end).run(batch.arrays, 0, end - begin)
            ends = batch.counts if readout and readout.by == "spikes" else batch.membranes
            final[begin:end] = ends[: end - begin, read_at]
        spare.append(batch)

    spare: list[Batch] = []
    spread(part, size, threads or cores())
    return call.figures("figures"), final


def _reset(layout: Layout, batch: Batch, seeds: range) -> None:
    """Bring samples back to rest."""
    n = len(seeds)
    for values in (batch.cells, batch.fired, batch.counts, batch.traces, batch.marks):
        values[:n] = 0
    batch.learned[:n] = layout.learned
    batch.random[:n] = _twisters(layout, n, list(seeds))


@dataclass(frozen=True, eq=False)
class _Call:
    """What calls of the kernel for several parts of the same samples have in common."""

    layout: Layout
    room: Room
    tables: Arrays
    extra: Any
    given: Arrays
    out: Arrays
    rest: tuple[int, ...]
    spare: list[Arrays]

    def at(self, low: int, high: int) -> _Call:
        """Return the call for some of the samples, which are then counted from 0."""
        given = tuple(values[low:high] for values in self.given)
        given = (*given[:2], self.given[2], *given[3:5], self.given[5])  # events and places are of all
        return dataclasses.replace(self, given=given, out=tuple(values[low:high] for values in self.out))

    def run(self, state: Arrays, low: int, high: int) -> None:
        """Run samples in a workspace that no other thread has at the time."""
        try:
            work = self.spare.pop()
        except IndexError:
            work = self.room.workspace()
        span = np.array([low, high, *self.rest], np.int64)
        kernel()(span, self.tables, self.extra, work, state, self.given, self.out)
        self.spare.append(work)

    def figures(self, keep: Literal["figures", "spikes", "all"]) -> Figures:
        """Take together what was put out."""
        decisions, spikes, synops, flags, fired, seen = self.out
        spiked, trace = fired[:, :, self.layout.position] != 0 if keep == "spikes" else fired != 0, None
        if keep == "all":
            u, v, wait, now = np.split(seen, 4, axis=2)
            spiked = now != 0
            trace = Trace(u, v, wait, spiked, synops)
        return Figures(decisions, spikes, synops, flags[:, 0], spiked, trace)


def _call(
    layout: Layout,
    size: int,
    *,
    steps: int,
    first: int = 0,
    rates: Floats | None = None,
    train: npt.NDArray[Any] | None = None,
    bias: Ints | None = None,
    errors: Ints | None = None,
    readout: Readout | None = None,
    keep: Literal["figures", "spikes", "all"] = "figures",
    room: Ints | None = None,
) -> _Call:
    """Put together what the kernel takes; `room` are the spikes on their way."""
    _check_bias(layout, bias)
    starts, events = events_of(train, layout.position, (size, steps))
    given = (
        _given(rates, (size, 0), np.float64), starts, events, _given(bias, (size, 0), np.int32),
        _given(errors, (size, int(layout.learning[:, 2].sum()) // 2), np.int32),
        np.zeros(0, np.int64) if readout is None else layout.position[layout.span(readout.group)],
    )  # fmt: skip
    watch = watch_all(layout) if keep == "all" else None
    out = outputs(layout, (size, steps), 0 if watch is None else len(watch), spikes=keep == "spikes")
    reading = (0, -1) if readout is None else (int(readout.by == "spikes"), readout.group)
    by_product = keep != "all" and size >= PAYS and countable(train) and unit_available()
    product = product_of(layout, readout, lists=keep == "spikes") if by_product else None
    waiting = np.zeros((0, layout.delay, layout.size), np.int32) if room is None else room
    return _Call(
        layout, Room.of(layout, waiting, starts, product=by_product), tables(layout),
        extras(layout, watch, product), given, out, (first, steps, *reading), [],
    )  # fmt: skip


def _check_bias(layout: Layout, bias: Ints | None) -> None:
    """Refuse per-sample biases that the first group's way of stepping would not wrap, or not add."""
    if bias is None:
        return
    if layout.groups[0, 2] == INTEGRATE and np.abs(np.asarray(bias, np.int64)).max(initial=0) > WIDEST_BIAS:
        raise ValueError(f"a per-sample bias is beyond {WIDEST_BIAS:,}; give the group such a bias itself")
    gain, _, at_membrane = layout.noise[:, : layout.groups[0, 1]]
    if (at_membrane * gain).any():
        raise ValueError("the first group has noise at its membrane; per-sample biases cannot be added there")


def countable(train: npt.NDArray[Any] | None) -> bool:
    """Whether a byte holds how often each neuron outside spikes in a step."""
    return train is None or train.dtype == bool or int(train.max(initial=0)) <= 255


def _given(values: npt.NDArray[Any] | None, shape: tuple[int, int], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Return an array of the form the kernel is compiled for, the caller's own where it has it."""
    if values is None:
        return np.zeros(shape, dtype)
    return np.require(np.atleast_2d(values), dtype, ["C_CONTIGUOUS", "ALIGNED", "WRITEABLE"])
