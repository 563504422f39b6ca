"""Kolen-Pollack: feedback learns by the same local change as the weights, and both decay."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from neurodeploy.learning import forms
from neurodeploy.learning.alignment import chain, layered
from neurodeploy.learning.description import Feedback, Rule
from neurodeploy.learning.rate import Activity, Floats, Layers, Network

DECAY = " - 2^-7*u7*w"
"""Per sample, as small as Loihi 1 can scale it."""


@dataclass(frozen=True)
class KolenPollack:
    """Let feedback follow the weights without ever seeing them.

    Both synapses between two neurons see the same pair of activities, so ``dW = -rate d x^T - lam W`` and
    ``dB = -rate x d^T - lam B`` make ``W - B^T`` shrink by ``1 - lam`` at every step.

    References
    ----------
    .. [1] M. Akrout et al. (2019), Deep learning without weight transport, NeurIPS.
    .. [2] J. Kolen, J. Pollack (1994), Backpropagation without weight transport, ICNN.
    """

    name: ClassVar[str] = "kolen-pollack"
    equation: ClassVar[str] = "dw = -rate * delta * pre - decay * w; dB = -rate * pre * delta - decay * B"
    reference: ClassVar[str] = "Akrout et al. 2019"

    def way_back(self, network: Network, rng: np.random.Generator) -> Layers:
        """Draw feedback from every layer to the one before."""
        return layered(network, rng)

    def signals(self, network: Network, activity: Activity, error: Floats, wanted: Floats) -> Layers:
        """Send the error down the chain."""
        return chain(network.feedback, activity, error, slopes=True)

    def teach(self, network: Network, activity: Activity, signals: Layers, *, rate: float) -> Network:
        """Change feedback by what its own two ends know."""
        local = [s * slope for s, slope in zip(signals[1:], activity.slopes[1:], strict=True)]
        feedback = tuple(
            back - rate * x.T @ d / len(d)
            for back, x, d in zip(network.feedback, activity.rates[1:], local, strict=False)
        )
        return dataclasses.replace(network, feedback=feedback)

    def chip(self, reward: Literal["r1", "y3"] = "r1") -> Rule:
        """Return the form in two phases, with the decay that forward and feedback synapses share."""
        back = Feedback("layered", "learned", "two-phase")
        return forms.signed_tag(self.name, back, reward=reward, more=DECAY)

    def chip_feedback(self, reward: Literal["r1", "y3"] = "r1") -> Rule:
        """Return what synapses of the way back run: the error is that of the neuron before them."""
        back = Feedback("layered", "learned", "two-phase")
        return forms.signed_tag(self.name, back, reward=reward, more=DECAY, counted="x0")
