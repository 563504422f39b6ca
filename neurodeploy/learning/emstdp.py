"""EMSTDP: errors drive neurons in a second phase, and each learns from the change of its own spike count."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from neurodeploy.learning import forms
from neurodeploy.learning.description import Feedback, Rule
from neurodeploy.learning.direct import from_output
from neurodeploy.learning.rate import (
    Activity,
    Compared,
    Floats,
    Layers,
    Network,
    driven,
    forward,
    two_phase,
)


@dataclass(frozen=True)
class EMSTDP:
    """Learn ``dW = rate (y_plus - y_minus) (x_minus + x_plus)/2``; errors reach only neurons that spiked.

    The published form ``dw = 2^-k*u7*x1*(2*y1 - t)`` has traces that decay for ``y1`` and drifts where
    nothing is wrong; the tag here counts spikes of the second phase less those of the first.

    Parameters
    ----------
    beta : float
        How strongly errors drive neurons.

    References
    ----------
    .. [1] A. Shrestha, H. Fang, D. P. Rider, Z. Mei, Q. Qiu (2021), In-hardware learning of multilayer
       spiking neural networks on a neuromorphic processor, DAC.
    """

    beta: float = 0.5

    name: ClassVar[str] = "emstdp"
    equation: ClassVar[str] = "dw = rate * (post_plus - post_minus) * pre"
    reference: ClassVar[str] = "Shrestha et al. 2021"

    def way_back(self, network: Network, rng: np.random.Generator) -> Layers:
        """Draw feedback from the output to every hidden layer."""
        return from_output(network, rng)

    def compare(self, network: Network, x: Floats, wanted: Floats) -> Compared:
        """Run freely, then driven by errors that pass only where a neuron was on.

        Errors are taken anew all through the second phase, so that the output stays where they put it,
        whatever the layers before it send.
        """
        minus = forward(network, x)
        error = np.clip(minus.rates[-1], 0, 1) - wanted
        sent = (*(error @ back.T for back in network.feedback), error)
        sent = tuple(s * slope for s, slope in zip(sent, minus.slopes, strict=True))
        plus = driven(network, x, sent, beta=self.beta, spread=True)
        held = minus.rates[-1] - self.beta * error
        plus = Activity((*plus.rates[:-1], held), plus.slopes)
        return Compared(*two_phase(minus, plus, beta=self.beta, pre="mean"), ())

    def answer(self, network: Network, x: Floats) -> Floats:
        """Run freely."""
        return forward(network, x).rates[-1]

    def chip(self, reward: Literal["r1", "y3"] = "r1") -> Rule:
        """Return the form in two phases."""
        return forms.signed_tag(self.name, Feedback("direct", "fixed", "two-phase"), reward=reward)
