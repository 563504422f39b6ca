"""Direct feedback alignment: the output error goes to every layer at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from neurodeploy.learning import forms
from neurodeploy.learning.description import Feedback, Rule
from neurodeploy.learning.rate import Activity, Floats, Layers, Network


def from_output(network: Network, rng: np.random.Generator) -> Layers:
    """Draw feedback from the output to every hidden layer."""
    classes = len(network.biases[-1])
    return tuple(rng.normal(0, np.sqrt(1 / classes), (len(b), classes)) for b in network.biases[:-1])


@dataclass(frozen=True)
class DirectFeedbackAlignment:
    """Send the error to every layer: ``L_n = B_n e``.

    References
    ----------
    .. [1] A. Nøkland (2016), Direct feedback alignment provides learning in deep neural networks, NeurIPS.
    """

    name: ClassVar[str] = "dfa"
    equation: ClassVar[str] = "dw = -rate * psi * (B error) * pre"
    reference: ClassVar[str] = "Nøkland 2016"

    def way_back(self, network: Network, rng: np.random.Generator) -> Layers:
        """Draw feedback from the output to every hidden layer."""
        return from_output(network, rng)

    def signals(self, network: Network, activity: Activity, error: Floats, wanted: Floats) -> Layers:
        """Send the error to every layer."""
        return (*(error @ back.T for back in network.feedback), error)

    def teach(self, network: Network, activity: Activity, signals: Layers, *, rate: float) -> Network:
        """Change nothing: feedback is fixed."""
        return network

    def chip(self, reward: Literal["r1", "y3"] = "r1") -> Rule:
        """Return the form in two phases."""
        return forms.signed_tag(self.name, Feedback("direct", "fixed", "two-phase"), reward=reward)
