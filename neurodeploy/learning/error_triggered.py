"""Event-driven random backpropagation: weights change at spikes before them, while errors are there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from neurodeploy.learning.description import Feedback, Phase, Rule, Trace, describe
from neurodeploy.learning.direct import from_output
from neurodeploy.learning.forms import PHASE_STEPS
from neurodeploy.learning.rate import Activity, Floats, Layers, Network


@dataclass(frozen=True)
class EventDrivenRandomBackprop:
    """Learn ``dw = T psi`` at every spike before the synapse, ``T = B e`` collected by the neuron's dendrite.

    ``psi`` is a boxcar: 1 for neurons that spiked in the first phase. Errors that are too small for an error
    neuron's spike trigger nothing.

    Parameters
    ----------
    trigger : float
        Size up to which an error is not sent.

    References
    ----------
    .. [1] E. Neftci, C. Augustine, S. Paul, G. Detorakis (2017), Event-driven random back-propagation:
       enabling neuromorphic deep learning machines, Frontiers in Neuroscience 11:324.
    .. [2] M. Payvand, M. Fouda, F. Kurdahi, A. Eltawil, E. Neftci (2020), Error-triggered three-factor
       learning dynamics for crossbar arrays, AICAS.
    """

    trigger: float = 0.05

    name: ClassVar[str] = "erbp"
    equation: ClassVar[str] = "dw = -rate * psi * (B error) at every spike of pre"
    reference: ClassVar[str] = "Neftci et al. 2017; Payvand et al. 2020"

    def way_back(self, network: Network, rng: np.random.Generator) -> Layers:
        """Draw feedback from the output to every hidden layer."""
        return from_output(network, rng)

    def signals(self, network: Network, activity: Activity, error: Floats, wanted: Floats) -> Layers:
        """Send what is large enough to every hidden layer."""
        sent = error * (np.abs(error) > self.trigger)
        return (*(sent @ back.T for back in network.feedback), error)

    def teach(self, network: Network, activity: Activity, signals: Layers, *, rate: float) -> Network:
        """Change nothing: feedback is fixed."""
        return network

    def chip(self, reward: Literal["r1", "y3"] = "r1") -> Rule:
        """Return the form that reads, at a spike, what the neuron's own program has collected."""
        return describe(
            self.name,
            "dw = 2^-4*x0*(y2-64)",
            Trace("y2", source="neuron"),
            feedback=Feedback("direct", "fixed", "neuron-trace"),
            phases=(Phase("forward", PHASE_STEPS), Phase("error", PHASE_STEPS, feedback=True)),
        )
