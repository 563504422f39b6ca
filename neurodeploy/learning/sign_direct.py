"""Direct feedback alignment by signs: hidden layers learn which way an output is wrong, not by how much."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from neurodeploy.learning import forms
from neurodeploy.learning.description import Feedback, Rule
from neurodeploy.learning.direct import from_output
from neurodeploy.learning.rate import Activity, Floats, Layers, Network


@dataclass(frozen=True)
class SignDirectFeedbackAlignment:
    """Send only the sign of every output's error: ``L_n = B_n sign(e)``.

    Parameters
    ----------
    dead : float
        Size up to which an error has no sign.

    References
    ----------
    .. [1] C. Frenkel, M. Lefebvre, D. Bol (2021), Learning without feedback: fixed random learning signals
       allow for feedforward training of deep neural networks, Frontiers in Neuroscience 15:629892 (sDFA).
    """

    dead: float = 0.0

    name: ClassVar[str] = "sign-dfa"
    equation: ClassVar[str] = "dw = -rate * psi * (B sign(error)) * pre; the last layer by its error"
    reference: ClassVar[str] = "Frenkel et al. 2021"

    def way_back(self, network: Network, rng: np.random.Generator) -> Layers:
        """Draw feedback from the output to every hidden layer."""
        return from_output(network, rng)

    def signals(self, network: Network, activity: Activity, error: Floats, wanted: Floats) -> Layers:
        """Send signs to every hidden layer."""
        sent = np.sign(error) * (np.abs(error) > self.dead)
        return (*(sent @ back.T for back in network.feedback), error)

    def teach(self, network: Network, activity: Activity, signals: Layers, *, rate: float) -> Network:
        """Change nothing: feedback is fixed."""
        return network

    def chip(self, reward: Literal["r1", "y3"] = "r1") -> Rule:
        """Return the form in two phases; relays pass on one spike of every error neuron."""
        return forms.signed_tag(self.name, Feedback("direct-signs", "fixed", "two-phase"), reward=reward)
