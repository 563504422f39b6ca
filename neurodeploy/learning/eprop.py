"""e-prop: a synapse remembers what it did to its neuron; a learning signal says what that was worth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from neurodeploy.learning import forms
from neurodeploy.learning.description import Feedback, Rule
from neurodeploy.learning.rate import Floats
from neurodeploy.learning.temporal import Times


@dataclass(frozen=True)
class EProp:
    """Sum ``L_j(t) F(e_ji)(t)``, with ``e_ji = psi_j eps_i`` and ``L_j = sum_k B_jk (y_k - y*_k)``.

    ``eps`` are spikes before the synapse, filtered as the membrane filters them, ``psi`` the neuron's
    pseudo-derivative, ``F`` the filter of the read-out.

    Parameters
    ----------
    height : float
        Of the pseudo-derivative, which falls to 0 one threshold away.
    membrane, readout : float
        Shares that neurons and read-out keep of their membranes in a step, in floats.

    References
    ----------
    .. [1] G. Bellec, F. Scherr, A. Subramoney, E. Hajek, D. Salaj, R. Legenstein, W. Maass (2020), A solution
       to the learning dilemma for recurrent networks of spiking neurons, Nature Communications 11:3625.
    """

    height: float = 0.3
    membrane: float = 0.95
    readout: float = 0.95

    name: ClassVar[str] = "e-prop"
    equation: ClassVar[str] = "dw = -rate * sum_t (B error) * lowpass(psi(v) * lowpass(pre))"
    reference: ClassVar[str] = "Bellec et al. 2020"

    @property
    def times(self) -> Times:
        """Eligibility is filtered as the read-out filters spikes."""
        return Times(self.membrane, 0.0, (self.readout,))

    def derivative(self, away: Floats) -> Floats:
        """Return ``psi`` at distances from the threshold, in thresholds."""
        return np.asarray(self.height * np.maximum(0.0, 1 - np.abs(away)))

    def chip(self, reward: Literal["r1", "y3"] = "r1") -> Rule:
        """Return the form whose tag sums a sample's eligibility: the read-out counts spikes, forgetting none.

        On Loihi 1 the post neuron's spike trace stands for its pseudo-derivative.
        """
        return forms.eligibility(self.name, Feedback("direct", "fixed"), reward=reward)

    def chip_output(self) -> Rule:
        """Return what synapses onto the output run."""
        return forms.neuron_trace(self.name, Feedback("direct", "fixed"))
