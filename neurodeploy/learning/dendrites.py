"""Segregated dendrites: a neuron compares the plateaus of its apical dendrite in two phases."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from neurodeploy.learning import forms
from neurodeploy.learning.description import Feedback, Rule
from neurodeploy.learning.direct import from_output
from neurodeploy.learning.rate import Activity, Floats, Layers, Network


@dataclass(frozen=True)
class SegregatedDendrites:
    """Learn from ``L_n = plateau(B_n y_free) - plateau(B_n y_target)``, each plateau a logistic function.

    Feedback carries the output itself, no error: that is taken between the phases, in each neuron.

    Parameters
    ----------
    spread : float
        Of feedback weights.

    References
    ----------
    .. [1] J. Guerguiev, T. Lillicrap, B. Richards (2017), Towards deep learning with segregated dendrites,
       eLife 6:e22901.
    """

    spread: float = 3.0

    name: ClassVar[str] = "dendrites"
    equation: ClassVar[str] = "dw = rate * psi * (plateau(B target) - plateau(B out)) * pre"
    reference: ClassVar[str] = "Guerguiev et al. 2017"

    def way_back(self, network: Network, rng: np.random.Generator) -> Layers:
        """Draw feedback from the output to every hidden layer."""
        return tuple(self.spread * b for b in from_output(network, rng))

    def signals(self, network: Network, activity: Activity, error: Floats, wanted: Floats) -> Layers:
        """Compare plateaus."""
        out = error + wanted
        gaps = (_plateau(out @ b.T) - _plateau(wanted @ b.T) for b in network.feedback)
        return (*gaps, error)

    def teach(self, network: Network, activity: Activity, signals: Layers, *, rate: float) -> Network:
        """Change nothing: feedback is fixed."""
        return network

    def chip(self, reward: Literal["r1", "y3"] = "r1") -> Rule:
        """Return the form in two phases: the tag counts plateaus of the apical compartment."""
        return forms.signed_tag(self.name, Feedback("output", "fixed", "two-phase"), reward=reward)


def _plateau(x: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-x)))
