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


def _keep(tau: npt.NDArray[np.float64], dt: float) -> npt.NDArray[np.float64]:
    with np.errstate(divide="ignore"):
        return np.where(tau > 0, np.exp(-dt / tau), 0.0)


@membrane.register
def _if(op: ops.IF, dt: float) -> Membrane:
    return Membrane(
        ZERO, ONE, ONE, op.r * dt, ZERO, op.v_threshold, op.v_reset, op.reset == "subtract", op.refractory
    )


@membrane.register
def _lif(op: ops.LIF, dt: float) -> Membrane:
    keep = _keep(op.tau, dt)
    return Membrane(
        ZERO, ONE, keep, (1 - keep) * op.r, (1 - keep) * op.v_leak, op.v_threshold, op.v_reset,
        op.reset == "subtract", op.refractory,
    )  # fmt: skip


@membrane.register
def _cuba(op: ops.CubaLIF, dt: float) -> Membrane:
    syn, mem = _keep(op.tau_syn, dt), _keep(op.tau_mem, dt)
    return Membrane(
        syn, (1 - syn) * op.w_in, mem, (1 - mem) * op.r, (1 - mem) * op.v_leak, op.v_threshold, op.v_reset,
        op.reset == "subtract", op.refractory,
    )  # fmt: skip


@membrane.register
def _integrator(op: ops.I, dt: float) -> Membrane:
    return Membrane(ZERO, ONE, ONE, op.r * dt, ZERO, None, ZERO)


@membrane.register
def _leaky(op: ops.LI, dt: float) -> Membrane:
    keep = _keep(op.tau, dt)
    return Membrane(ZERO, ONE, keep, (1 - keep) * op.r, (1 - keep) * op.v_leak, None, ZERO)
