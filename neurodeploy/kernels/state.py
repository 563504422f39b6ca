"""State and Trace: where a run stands, and where it has been."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int32]
Longs = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class State:
    """All that a run of B samples needs to go on later.

    N counts the neurons of all groups, those outside the chip among them, one group after the other.

    Parameters
    ----------
    step : int
        Steps done so far.
    u, v, wait : ndarray of int32, shape (B, N)
        Current, membrane, refractory counter; zero outside the chip.
    spiked : ndarray of int32, shape (B, D, N)
        How often each neuron spiked in the last D steps, the newest last; D is the longest delay. Only a
        neuron outside the chip can more than once a step.
    random : ndarray of uint32, shape (B, 625)
        Words of the Mersenne Twister and the position in them, where the circuit draws any.
    traces, marks, learned : ndarray of int32, shape (B, ...)
        Traces, spikes not yet in them, and weights of synapses that learn.
    """

    step: int
    u: Ints
    v: Ints
    wait: Ints
    spiked: Ints
    random: npt.NDArray[np.uint32]
    traces: Ints
    marks: Ints
    learned: Ints

    @classmethod
    def rest(cls, batch: int, neurons: int, *, delay: int = 1) -> State:
        """Return the state before the first step of a circuit without noise and learning."""
        u, v, wait = np.zeros((3, batch, neurons), np.int32)
        none = np.zeros((batch, 0), np.int32)
        spiked = np.zeros((batch, delay, neurons), np.int32)
        return cls(0, u, v, wait, spiked, none.astype(np.uint32), none, none, none)


@dataclass(frozen=True, eq=False)
class Trace:
    """Every state at the end of every step.

    Parameters
    ----------
    u, v, wait : ndarray of int32, shape (B, T, N)
    spiked : ndarray of bool, shape (B, T, N)
    synops : ndarray of int64, shape (B, P)
        Synaptic operations into every population.
    """

    u: Ints
    v: Ints
    wait: Ints
    spiked: Bools
    synops: Longs
