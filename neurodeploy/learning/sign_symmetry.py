"""Sign symmetry: feedback has the signs of the weights forward, and sizes of its own."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from neurodeploy.learning import forms
from neurodeploy.learning.alignment import chain, layered
from neurodeploy.learning.description import Feedback, Rule
from neurodeploy.learning.rate import Activity, Floats, Layers, Network


@dataclass(frozen=True)
class SignSymmetry:
    """Send the error down through ``B = |M| * sign(W^T)``, ``M`` drawn once; only signs are transported.

    References
    ----------
    .. [1] Q. Liao, J. Leibo, T. Poggio (2016), How important is weight symmetry in backpropagation?, AAAI.
    """

    name: ClassVar[str] = "sign-symmetry"
    equation: ClassVar[str] = "dw = -rate * psi * ((|M| * sign(W^T)) (L * psi above)) * pre"
    reference: ClassVar[str] = "Liao et al. 2016"

    def way_back(self, network: Network, rng: np.random.Generator) -> Layers:
        """Draw sizes from every layer to the one before, and give them the weights' signs."""
        return _signed(layered(network, rng), network)

    def signals(self, network: Network, activity: Activity, error: Floats, wanted: Floats) -> Layers:
        """Send the error down the chain."""
        return chain(network.feedback, activity, error, slopes=True)

    def teach(self, network: Network, activity: Activity, signals: Layers, *, rate: float) -> Network:
        """Follow the signs of the weights."""
        return dataclasses.replace(network, feedback=_signed(network.feedback, network))

    def chip(self, reward: Literal["r1", "y3"] = "r1") -> Rule:
        """Return the form in two phases; its feedback says that it has signs of the weights."""
        return forms.signed_tag(self.name, Feedback("layered", "signs", "two-phase"), reward=reward)


def _signed(sizes: Layers, network: Network) -> Layers:
    """Keep sizes; a weight of 0 counts as positive, so that no size is lost."""
    signs = (np.where(w.T < 0, -1.0, 1.0) for w in network.weights[1:])
    return tuple(np.abs(size) * sign for size, sign in zip(sizes, signs, strict=True))
