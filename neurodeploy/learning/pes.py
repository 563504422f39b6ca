"""PES: prescribed error sensitivity, the NEF's rule for decoders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from neurodeploy.learning.description import Feedback, Rule, Trace, describe

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class PES:
    """Change decoders against the error of what they decode.

    ::

        x_i <- exp(-1/tau) x_i + (1 - exp(-1/tau)) spike_i
        W_oi <- W_oi - rate e_o x_i

    Parameters
    ----------
    rate : float
        Change of a weight, in units of the read-out, per step for an error of 1 and a neuron that spikes in
        every step.
    tau : float
        Of the trace x of incoming spikes, in steps.

    References
    ----------
    .. [1] D. MacNeil, C. Eliasmith (2011), Fine-tuning and the stability of recurrent neural networks,
       PLoS ONE 6(9).
    """

    rate: float = 0.2
    tau: float = 5.0

    name: ClassVar[str] = "pes"
    modifies: ClassVar[str] = "weights of the last layer"
    equation: ClassVar[str] = "dw = -rate * error * trace(pre)"
    needs: ClassVar[tuple[str, ...]] = ("error",)

    def trace(self, trace: Floats, spikes: npt.ArrayLike) -> Floats:
        """Return the trace after one more step, shape (I,)."""
        keep = np.exp(-1 / self.tau)
        return np.asarray(keep * trace + (1 - keep) * np.asarray(spikes, np.float64))

    def update(self, weight: Floats, *, pre: Floats, error: Floats) -> Floats:
        """Return the weights after one step.

        Parameters
        ----------
        weight : ndarray of float64, shape (O, I)
        pre : ndarray of float64, shape (I,)
            Trace of incoming spikes, in spikes per step.
        error : ndarray of float64, shape (O,)
            Read-out minus target.
        """
        return weight - self.rate * np.outer(error, pre)


def on_chip(*, tau: float, impulse: float, decrease: bool = False) -> Rule:
    """Describe PES as nengo-loihi writes it for the chip.

    Parameters
    ----------
    tau : float
        Of the trace of incoming spikes, in steps.
    impulse : float
        Of that trace, in codes; the learning rate is part of it.
    decrease : bool
        Whether this is the rule of neurons whose error is negative: the trace that the embedded processor
        writes into ``y1`` is the error's size, and the sign chooses one of two rules.

    Notes
    -----
    The engine runs every 2 steps, and changes weights every second time.
    """
    return describe(
        "pes",
        f"dw = {'-' if decrease else ''}2^-7*u1*x1*y1",
        Trace("x1", tau, impulse),
        Trace("y1", source="imposed"),
        epoch=2,
        feedback=Feedback("local", "none", "imposed-trace"),
        layers="last",
    )
