"""Feedback alignment with local derivatives: each neuron knows only its own slope."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from neurodeploy.learning import forms
from neurodeploy.learning.alignment import chain, layered
from neurodeploy.learning.description import Feedback, Rule
from neurodeploy.learning.rate import Activity, Floats, Layers, Network


@dataclass(frozen=True)
class LocalDerivative:
    """Send the error down through fixed random weights alone: ``L_n = B_n L_{n+1}``.

    References
    ----------
    .. [1] E. Hunsberger (2018), Spiking deep neural networks: engineered and biological approaches to object
       recognition, PhD thesis, University of Waterloo.
    """

    name: ClassVar[str] = "local-fa"
    equation: ClassVar[str] = "dw = -rate * psi * (B L above) * pre"
    reference: ClassVar[str] = "Hunsberger 2018"

    def way_back(self, network: Network, rng: np.random.Generator) -> Layers:
        """Draw feedback from every layer to the one before."""
        return layered(network, rng)

    def signals(self, network: Network, activity: Activity, error: Floats, wanted: Floats) -> Layers:
        """Send the error down the chain, without slopes."""
        return chain(network.feedback, activity, error, slopes=False)

    def teach(self, network: Network, activity: Activity, signals: Layers, *, rate: float) -> Network:
        """Change nothing: feedback is fixed."""
        return network

    def chip(self, reward: Literal["r1", "y3"] = "r1") -> Rule:
        """Return the form in two phases."""
        back = Feedback("layered", "fixed", "two-phase", slopes=False)
        return forms.signed_tag(self.name, back, reward=reward)
