"""The delta rule: the last layer learns from its own error, all others stay as they were drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from neurodeploy.learning import forms
from neurodeploy.learning.description import Feedback, Rule
from neurodeploy.learning.rate import Activity, Floats, Layers, Network


@dataclass(frozen=True)
class Delta:
    """Learn the last layer: ``dW = -rate e x^T``. Control of every deep rule: frozen random features.

    References
    ----------
    .. [1] B. Widrow, M. Hoff (1960), Adaptive switching circuits, IRE WESCON Convention Record 4.
    """

    name: ClassVar[str] = "delta"
    equation: ClassVar[str] = "dw = -rate * error * pre, last layer only"
    reference: ClassVar[str] = "Widrow, Hoff 1960"

    def way_back(self, network: Network, rng: np.random.Generator) -> Layers:
        """Return nothing."""
        return ()

    def signals(self, network: Network, activity: Activity, error: Floats, wanted: Floats) -> Layers:
        """Return zeros for hidden layers, and the error."""
        return (*(np.zeros_like(r) for r in activity.rates[1:-1]), error)

    def teach(self, network: Network, activity: Activity, signals: Layers, *, rate: float) -> Network:
        """Change nothing."""
        return network

    def chip(self, reward: Literal["r1", "y3"] = "r1") -> Rule:
        """Return the form in two phases."""
        return forms.signed_tag(
            self.name, Feedback("local", "none", "two-phase"), reward=reward, layers="last"
        )
