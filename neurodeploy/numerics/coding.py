"""Samples as spike trains: deterministic rates and seeded Poisson trains.

A train depends on the sample's value, the seed and the sample's index only, so a run in chunks or in any
order sees the same spikes.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

CODINGS = ("rate", "poisson", "bias")
"""How samples enter: host IF neurons under constant current, seeded Poisson trains, or biases of on-chip
neurons."""

CELLS = 2**18
"""Charges that are looked at together: as many as a cache holds, whatever the length of a run."""


def rate_spikes(rates: npt.NDArray[np.float64], *, steps: int) -> npt.NDArray[np.bool_]:
    """Spike trains of integrate-and-fire neurons with reset by subtraction under constant current.

    Parameters
    ----------
    rates : ndarray of float64, shape (..., N)
        Current in thresholds per step; clipped to [0, 1].
    steps : int

    Returns
    -------
    ndarray of bool, shape (steps, ..., N)

    Notes
    -----
    Equals stepping `numerics.neurons.step` with threshold 1, reset "subtract" and v = 0 at the start (strict
    comparison), in closed form: neuron i has spiked ``ceil(t r) - 1`` times after t steps, for r in (0, 1].
    """
    r = np.clip(rates, 0.0, 1.0)
    t = np.arange(steps + 1).reshape((-1,) + (1,) * r.ndim)
    train = np.empty((steps, *r.shape), np.bool_)
    several = max(CELLS // max(r.size, 1), 1)
    for first in range(0, steps, several):
        within = slice(first, first + several)
        train[within] = np.diff(spikes_by(t[first : within.stop + 1] * r), axis=0) > 0.5
    return train


def spikes_by(charge: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Spikes sent by the time a neuron of `rate_spikes` has taken up a charge, in thresholds.

    A charge within 1e-9 of a threshold counts as on it (no spike yet), so rounding in a sum does not matter.
    """
    return np.asarray(np.maximum(np.ceil(charge - 1e-9) - 1, 0))


def poisson_spikes(
    rates: npt.NDArray[np.float64], *, steps: int, seed: int, first: int
) -> npt.NDArray[np.bool_]:
    """Bernoulli spike trains with one generator per sample.

    Parameters
    ----------
    rates : ndarray of float64, shape (B, N)
        Spikes per step; clipped to [0, 1].
    steps : int
    seed : int
    first : int
        Index of the first sample in the whole run.

    Returns
    -------
    ndarray of bool, shape (steps, B, N)
    """
    r = np.clip(rates, 0.0, 1.0)
    trains = [
        np.random.default_rng((seed, first + i)).random((steps, r.shape[1])) < r[i] for i in range(len(r))
    ]
    return np.stack(trains, axis=1)
