"""Feedback alignment: the error goes back layer by layer, through weights of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from neurodeploy.learning import forms
from neurodeploy.learning.description import Feedback, Rule
from neurodeploy.learning.rate import Activity, Floats, Layers, Network


def layered(network: Network, rng: np.random.Generator) -> Layers:
    """Draw feedback from every layer to the one before, of the size of weights forward."""
    return tuple(rng.normal(0, np.sqrt(1 / len(w)), w.T.shape) for w in network.weights[1:])


def chain(feedback: Layers, activity: Activity, error: Floats, *, slopes: bool) -> Layers:
    """Return ``L_n = B_n (L_{n+1} * psi_{n+1})`` down from the error; without psi where slopes is false."""
    signals = [error]
    for back, slope in zip(reversed(feedback), reversed(activity.slopes), strict=False):
        above = signals[0] * slope if slopes else signals[0]
        signals.insert(0, above @ back.T)
    return tuple(signals)


@dataclass(frozen=True)
class FeedbackAlignment:
    """Send the error down through fixed random weights: ``L_n = B_n (L_{n+1} * psi_{n+1})``.

    Parameters
    ----------
    slopes : bool
        Whether slopes of the layers between belong to the chain; without them each neuron knows only its own
        (local derivative).

    References
    ----------
    .. [1] T. Lillicrap, D. Cownden, D. Tweed, C. Akerman (2016), Random synaptic feedback weights support
       error backpropagation for deep learning, Nature Communications 7:13276.
    """

    slopes: bool = True

    name: ClassVar[str] = "fa"
    equation: ClassVar[str] = "dw = -rate * psi * (B (L * psi above)) * pre"
    reference: ClassVar[str] = "Lillicrap et al. 2016"

    def way_back(self, network: Network, rng: np.random.Generator) -> Layers:
        """Draw feedback from every layer to the one before."""
        return layered(network, rng)

    def signals(self, network: Network, activity: Activity, error: Floats, wanted: Floats) -> Layers:
        """Send the error down the chain."""
        return chain(network.feedback, activity, error, slopes=self.slopes)

    def teach(self, network: Network, activity: Activity, signals: Layers, *, rate: float) -> Network:
        """Change nothing: feedback is fixed."""
        return network

    def chip(self, reward: Literal["r1", "y3"] = "r1") -> Rule:
        """Return the form in two phases."""
        return forms.signed_tag(self.name, Feedback("layered", "fixed", "two-phase"), reward=reward)
