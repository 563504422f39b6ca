"""The kinds of neurons a network can be converted to, in one table."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from neurodeploy.ir import ops
from neurodeploy.ir.ops import Shape

TAU_MEM = 0.02
"""Membrane time constant of the leaky kinds, in seconds."""
TAU_SYN = 0.005
"""Synaptic time constant of the current-based kinds, in seconds."""
TAU_NO_LEAK = 1e6
"""A membrane time constant so long that nothing leaks within a run; Loihi's register rounds it to none."""

Make = Callable[[Shape, float], ops.Neuron]


def _if(shape: Shape, dt: float) -> ops.Neuron:
    return ops.IF(np.full(shape, 1 / dt), np.ones(shape), np.zeros(shape))


def _if_soft(shape: Shape, dt: float) -> ops.Neuron:
    return ops.IF(np.full(shape, 1 / dt), np.ones(shape), np.zeros(shape), reset="subtract")


def _lif(shape: Shape, dt: float) -> ops.Neuron:
    return ops.LIF(
        tau=np.full(shape, TAU_MEM),
        r=np.full(shape, _per_step(TAU_MEM, dt)),
        v_leak=np.full(shape, 0.5),
        v_threshold=np.ones(shape),
        v_reset=np.zeros(shape),
    )


def _cuba(shape: Shape, dt: float, tau_mem: float = TAU_NO_LEAK, v_leak: float = 0.0) -> ops.Neuron:
    return ops.CubaLIF(
        tau_syn=np.full(shape, TAU_SYN),
        tau_mem=np.full(shape, tau_mem),
        r=np.full(shape, _per_step(tau_mem, dt)),
        v_leak=np.full(shape, v_leak),
        v_threshold=np.ones(shape),
        w_in=np.ones(shape),
        v_reset=np.zeros(shape),
    )


def _cuba_lif(shape: Shape, dt: float) -> ops.Neuron:
    return _cuba(shape, dt, TAU_MEM, 0.5)


def _per_step(tau: float, dt: float) -> float:
    """Resistance with which the weighted input of a step is added to the membrane as it is."""
    return -1 / math.expm1(-dt / tau)


KINDS: Mapping[str, Make] = MappingProxyType(
    {"if": _if, "if-soft": _if_soft, "lif": _lif, "cuba": _cuba, "cuba-lif": _cuba_lif}
)
"""Makers by name; every neuron has threshold 1 and adds its weighted input of a step to the membrane.

``if`` resets to zero, which is Loihi's compartment without decay; ``if-soft`` subtracts the threshold.
``lif`` leaks with 20 ms towards half the threshold: a neuron on its way from 0 to the threshold loses on
average what half the threshold loses, so this bias current keeps the mean response on the ramp. ``cuba``
and ``cuba-lif`` are the same with and without the leak, behind a current that decays with 5 ms.
"""


def make(kind: str, shape: Shape, dt: float) -> ops.Neuron:
    """Return a population of a kind in the table."""
    return KINDS[kind](shape, dt)
