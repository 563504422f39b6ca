"""Neuron updates, one step at a time: in floats for every NIR neuron, in integers for Loihi's compartment.

Both first decay, then add, then compare strictly (``v > threshold``). Everything that runs a neuron, in
whatever backend, takes its arithmetic from here, so simulator, compiler and emulator cannot drift apart.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from neurodeploy.numerics.fixed import decay_magnitude, wrap

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int32]
Bools = npt.NDArray[np.bool_]

Q_BITS = 21
"""Magnitude bits of Loihi's input accumulator (Davies et al. 2018; nengo-loihi's emulator, section 2.2)."""
U_BITS = 23
"""Magnitude bits of Loihi's current and of current plus bias."""


@dataclass(frozen=True, eq=False)
class Membrane:
    """A neuron as two decays and a threshold, per step.

    ::

        u <- keep_u * u + gain_u * I
        v <- keep_v * v + gain_v * u + drift
        spike where v > threshold, then v = v_reset ("zero") or v - (threshold - v_reset) ("subtract")

    Parameters
    ----------
    keep_u, gain_u, keep_v, gain_v, drift, v_reset : ndarray of float64
        Each broadcasts to the population's shape.
    threshold : ndarray of float64 or None
        None for an integrator, whose output is v.
    subtract : bool
        Which reset.
    refractory : int
        Steps after a spike in which v is held at `v_reset`.
    v_init : ndarray of float64
        v before the first step.
    """

    keep_u: Floats
    gain_u: Floats
    keep_v: Floats
    gain_v: Floats
    drift: Floats
    threshold: Floats | None
    v_reset: Floats
    subtract: bool = False
    refractory: int = 0
    v_init: Floats = field(default_factory=lambda: np.zeros(()))


@dataclass
class MembraneState:
    """Membrane potential, current and steps left in the refractory state; arrays of one shape."""

    u: Floats
    v: Floats
    wait: Ints

    @classmethod
    def zeros(cls, shape: tuple[int, ...]) -> MembraneState:
        """Return the state at rest."""
        return cls(np.zeros(shape), np.zeros(shape), np.zeros(shape, np.int32))

    @classmethod
    def start(cls, neuron: Membrane, shape: tuple[int, ...]) -> MembraneState:
        """Return the state before the first step; the membrane's `v_init` broadcasts to the shape."""
        state = cls.zeros(shape)
        state.v = state.v + neuron.v_init
        return state


def step(neuron: Membrane, state: MembraneState, current: Floats) -> Floats:
    """Advance a population by one step, changing the state in place.

    Parameters
    ----------
    neuron : Membrane
    state : MembraneState, arrays of shape (..., N)
    current : ndarray of float64, shape (..., N)
        Weighted input of this step.

    Returns
    -------
    ndarray of float64, shape (..., N)
        Spikes (0 or 1), or v for an integrator.
    """
    state.u = neuron.keep_u * state.u + neuron.gain_u * current
    v = neuron.keep_v * state.v + neuron.gain_v * state.u + neuron.drift
    if neuron.threshold is None:
        state.v = v
        return v
    if neuron.refractory:
        v = np.where(state.wait > 0, neuron.v_reset, v)
        state.wait = np.maximum(state.wait - 1, 0)
    spikes = v > neuron.threshold
    after = v - (neuron.threshold - neuron.v_reset) if neuron.subtract else neuron.v_reset
    state.v = np.where(spikes, after, v)
    if neuron.refractory:
        state.wait = np.where(spikes, neuron.refractory, state.wait).astype(np.int32)
    return spikes.astype(np.float64)


@dataclass(frozen=True, eq=False)
class Compartments:
    """Integer parameters of Loihi compartments.

    Parameters
    ----------
    decay_u, decay_v : ndarray of int32, shape (N,)
        Register values 0..4095; the kept fraction is ``(4095 - decay_u)/4096`` and ``(4096 - decay_v)/4096``.
    vth : ndarray of int32, shape (N,)
        Threshold, a multiple of 64.
    bias : ndarray of int32, shape (N,)
        Mantissa of 12 bits and sign times ``2**(0..7)``.
    refract : ndarray of int32, shape (N,)
        Steps a spike blocks, the spike's own step included; 1 is none.
    vmin, vmax : int
        Bounds of the membrane: ``-(2**k) + 1`` and ``2**(9 + 2k) - 1``.
    """

    decay_u: Ints
    decay_v: Ints
    vth: Ints
    bias: Ints
    refract: Ints
    vmin: int
    vmax: int

    def __post_init__(self) -> None:
        for name in ("decay_u", "decay_v", "vth", "bias", "refract"):
            array = np.array(getattr(self, name), dtype=np.int32)
            array.setflags(write=False)
            object.__setattr__(self, name, array)

    def __len__(self) -> int:
        return len(self.vth)

    def take(self, ids: npt.NDArray[Any]) -> Compartments:
        """Return the compartments of some neurons."""
        return Compartments(
            self.decay_u[ids],
            self.decay_v[ids],
            self.vth[ids],
            self.bias[ids],
            self.refract[ids],
            self.vmin,
            self.vmax,
        )


def compartment_step(
    c: Compartments, q: Ints, u: Ints, v: Ints, wait: Ints
) -> tuple[Ints, Ints, Bools, Ints]:
    """Advance Loihi compartments by one step, without noise.

    Parameters
    ----------
    c : Compartments
        Of N compartments.
    q : ndarray of int32, shape (..., N)
        Sum of the weights of this step's spikes.
    u, v, wait : ndarray of int32, shape (..., N)
        Current, membrane and refractory counter before the step.

    Returns
    -------
    u, v, spiked, wait : ndarray, shape (..., N)

    Notes
    -----
    Equals nengo-loihi 1.1's emulator in integer mode bit for bit, which its authors matched to the chip.
    """
    u = wrap(decay_magnitude(u, 4095 - c.decay_u) + wrap(q, Q_BITS), U_BITS)
    drive = wrap(u + c.bias, U_BITS)
    v = np.clip(decay_magnitude(v, 4096 - c.decay_v) + drive, c.vmin, c.vmax).astype(np.int32)
    v = np.where(wait > 0, 0, v).astype(np.int32)
    spiked = v > c.vth
    v = np.where(spiked, 0, v).astype(np.int32)
    wait = np.maximum(np.where(spiked, c.refract, wait) - 1, 0).astype(np.int32)
    return u, v, spiked, wait
