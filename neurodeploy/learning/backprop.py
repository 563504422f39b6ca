"""Backpropagation, the control that is not local: what every other rule is measured against."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from neurodeploy.learning import forms
from neurodeploy.learning.alignment import chain
from neurodeploy.learning.description import Feedback, Rule
from neurodeploy.learning.rate import Activity, Floats, Layers, Network


@dataclass(frozen=True)
class Backprop:
    """Send the error back through copies of the weights: ``L_n = W_{n+1}^T (L_{n+1} * psi_{n+1})``.

    References
    ----------
    .. [1] D. Rumelhart, G. Hinton, R. Williams (1986), Learning representations by back-propagating errors,
       Nature 323.
    """

    name: ClassVar[str] = "backprop"
    equation: ClassVar[str] = "dw = -rate * psi * (W^T (L * psi above)) * pre"
    reference: ClassVar[str] = "Rumelhart et al. 1986"

    def way_back(self, network: Network, rng: np.random.Generator) -> Layers:
        """Return nothing: the weights themselves are used."""
        return ()

    def signals(self, network: Network, activity: Activity, error: Floats, wanted: Floats) -> Layers:
        """Send the error back through the weights."""
        return chain(tuple(w.T for w in network.weights[1:]), activity, error, slopes=True)

    def teach(self, network: Network, activity: Activity, signals: Layers, *, rate: float) -> Network:
        """Change nothing."""
        return network

    def chip(self, reward: Literal["r1", "y3"] = "r1") -> Rule:
        """Return the form in two phases; its feedback says that it is a copy."""
        return forms.signed_tag(self.name, Feedback("layered", "copied", "two-phase"), reward=reward)
