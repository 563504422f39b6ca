"""Each neuron op as the discrete `Membrane` that every simulator steps.

Decays are exact (``exp(-dt/tau)``) and the input is held over a step, so a constant drive settles where the
differential equation does. With ``r = 1/dt`` an `IF` adds its weighted input to the membrane once per step.
"""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt

from neurodeploy.ir import ops
from neurodeploy.numerics.neurons import Membrane

Floats = npt.NDArray[np.float64]

ONE = np.ones(())
ZERO = np.zeros(())


@functools.singledispatch
def membrane(op: ops.Op, dt: float) -> Membrane:
    """Return the discrete form of a neuron op.

    Parameters
    ----------
    op : Neuron
    dt : float
        Step, in seconds.
    """
    raise TypeError(f"{op.kind} keeps no membrane")


NO_LEAK = 1e-6
"""A leak per step below this is none: a run of a million steps would not lose what one step adds."""


def _leak(tau: Floats, dt: float) -> tuple[Floats, Floats]:
    """Return what is kept of a variable in a step, and the share by which it nears its input."""
    with np.errstate(divide="ignore"):
        share = np.where(tau > 0, -np.expm1(-dt / tau), 1.0)
    return np.where(share < NO_LEAK, 1.0, 1.0 - share), share


@membrane.register
def _if(op: ops.IF, dt: float) -> Membrane:
    return Membrane(
        ZERO, ONE, ONE, op.r * dt, ZERO, op.v_threshold, op.v_reset, op.reset == "subtract", op.refractory,
        op.v_init,
    )  # fmt: skip


@membrane.register
def _lif(op: ops.LIF, dt: float) -> Membrane:
    keep, share = _leak(op.tau, dt)
    return Membrane(
        ZERO, ONE, keep, share * op.r, share * op.v_leak, op.v_threshold, op.v_reset,
        op.reset == "subtract", op.refractory, op.v_init,
    )  # fmt: skip


@membrane.register
def _cuba(op: ops.CubaLIF, dt: float) -> Membrane:
    syn, syn_share = _leak(op.tau_syn, dt)
    mem, mem_share = _leak(op.tau_mem, dt)
    return Membrane(
        syn, syn_share * op.w_in, mem, mem_share * op.r, mem_share * op.v_leak, op.v_threshold, op.v_reset,
        op.reset == "subtract", op.refractory, op.v_init,
    )  # fmt: skip


@membrane.register
def _cuba_leaky(op: ops.CubaLI, dt: float) -> Membrane:
    syn, syn_share = _leak(op.tau_syn, dt)
    mem, mem_share = _leak(op.tau_mem, dt)
    return Membrane(syn, syn_share * op.w_in, mem, mem_share * op.r, mem_share * op.v_leak, None, ZERO)


@membrane.register
def _integrator(op: ops.I, dt: float) -> Membrane:
    return Membrane(ZERO, ONE, ONE, op.r * dt, ZERO, None, ZERO, v_init=op.v_init)


@membrane.register
def _leaky(op: ops.LI, dt: float) -> Membrane:
    keep, share = _leak(op.tau, dt)
    return Membrane(ZERO, ONE, keep, share * op.r, share * op.v_leak, None, ZERO, v_init=op.v_init)
