"""Direct random target projection: hidden layers learn from the label, with no error at all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from neurodeploy.learning import forms
from neurodeploy.learning.description import Feedback, Rule
from neurodeploy.learning.direct import from_output
from neurodeploy.learning.rate import Activity, Floats, Layers, Network


@dataclass(frozen=True)
class DirectRandomTargetProjection:
    """Send the label to every hidden layer: ``L_n = -B_n y*``, in place of the error ``y - y*``.

    References
    ----------
    .. [1] C. Frenkel, M. Lefebvre, D. Bol (2021), Learning without feedback: fixed random learning signals
       allow for feedforward training of deep neural networks, Frontiers in Neuroscience 15:629892.
    """

    name: ClassVar[str] = "drtp"
    equation: ClassVar[str] = "dw = rate * psi * (B target) * pre; the last layer by its error"
    reference: ClassVar[str] = "Frenkel et al. 2021"

    def way_back(self, network: Network, rng: np.random.Generator) -> Layers:
        """Draw feedback from the label to every hidden layer."""
        return from_output(network, rng)

    def signals(self, network: Network, activity: Activity, error: Floats, wanted: Floats) -> Layers:
        """Send the label to every hidden layer."""
        return (*(-wanted @ back.T for back in network.feedback), error)

    def teach(self, network: Network, activity: Activity, signals: Layers, *, rate: float) -> Network:
        """Change nothing: feedback is fixed."""
        return network

    def chip(self, reward: Literal["r1", "y3"] = "r1") -> Rule:
        """Return the form in two phases."""
        return forms.signed_tag(self.name, Feedback("label", "fixed", "two-phase"), reward=reward)
