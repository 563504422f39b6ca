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

    N counts the neurons of all populations, the host's among them, one population after the other.

    Parameters
    ----------
    step : int
        Steps done so far.
    u, v, wait : ndarray of int32, shape (B, N)
        Current, membrane, refractory counter; zero for host neurons.
    spiked : ndarray of bool, shape (B, N)
        Spikes of the last step, which arrive in the next one.
    """

    step: int
    u: Ints
    v: Ints
    wait: Ints
    spiked: Bools

    @classmethod
    def rest(cls, batch: int, neurons: int) -> State:
        """Return the state before the first step."""
        zeros = np.zeros((batch, neurons), np.int32)
        return cls(0, zeros, zeros.copy(), zeros.copy(), np.zeros((batch, neurons), bool))


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
