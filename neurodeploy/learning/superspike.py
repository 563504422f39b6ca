"""SuperSpike: eligibility is filtered once more, and errors are filtered spikes that come all the time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from neurodeploy.learning import forms
from neurodeploy.learning.description import Feedback, Rule
from neurodeploy.learning.rate import Floats
from neurodeploy.learning.temporal import Times


@dataclass(frozen=True)
class SuperSpike:
    """Sum ``e_j(t) alpha * (sigma'(u_j) (eps * s_i))(t)``, both filters double exponential.

    Parameters
    ----------
    membrane, synapse : float
        Shares kept in a step, in floats.
    rise, decay : float
        Of the filters of eligibility, and of errors.
    steepness : float
        Of the pseudo-derivative ``1 / (1 + steepness |u - threshold| / threshold)^2``.

    References
    ----------
    .. [1] F. Zenke, S. Ganguli (2018), SuperSpike: supervised learning in multilayer spiking neural networks,
       Neural Computation 30(6):1514-1541.
    """

    steepness: float = 4.0
    membrane: float = 0.9
    synapse: float = 0.8
    rise: float = 0.8
    decay: float = 0.9

    name: ClassVar[str] = "superspike"
    equation: ClassVar[str] = "dw = -rate * sum_t (B error) * filter(psi(v) * filter(pre))"
    reference: ClassVar[str] = "Zenke, Ganguli 2018"

    @property
    def times(self) -> Times:
        """Eligibility and errors pass the same two filters."""
        both = (self.rise, self.decay)
        return Times(self.membrane, self.synapse, both, both)

    def derivative(self, away: Floats) -> Floats:
        """Return ``sigma'`` at distances from the threshold, in thresholds."""
        return np.asarray((1 + self.steepness * np.abs(away)) ** -2.0)

    def chip(self, reward: Literal["r1", "y3"] = "r1") -> Rule:
        """Return the form whose tag is eligibility that decays: of its two filters the slower one.

        On Loihi 1 the post neuron's spike trace stands for its pseudo-derivative.
        """
        return forms.eligibility(self.name, Feedback("direct", "fixed"), reward=reward, leaks=True)

    def chip_output(self) -> Rule:
        """Return what synapses onto the output run."""
        return forms.neuron_trace(self.name, Feedback("direct", "fixed"), wait="u4")
