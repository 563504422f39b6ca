"""Contrastive Hebbian learning: Hebb under the wanted output, its opposite in the network's own state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from neurodeploy.learning import forms
from neurodeploy.learning.description import Feedback, Rule
from neurodeploy.learning.rate import Compared, Floats, Layers, Network
from neurodeploy.learning.settling import as_wide, contrast, output_drive, settle


def _compare(network: Network, x: Floats, wanted: Floats, *, gain: float, steps: int) -> Compared:
    """Both phases go on from one state for as long: what had not yet settled cancels."""
    begun = settle(network, x, steps=steps, gain=gain)
    minus = settle(network, x, steps=steps, gain=gain, start=begun)
    plus = settle(network, x, steps=steps, gain=gain, start=begun, clamp=wanted)
    scales = tuple(gain ** (n - network.hidden) for n in range(network.hidden + 1))
    return contrast(minus, plus, scales=scales)


@dataclass(frozen=True)
class ContrastiveHebbian:
    """Learn ``dW_n = rate gain^(n - last) ((y x^T)_plus - (y x^T)_minus)``; feedback changes alike.

    Parameters
    ----------
    gain : float
        Of feedback; the smaller, the nearer to the gradient, and the smaller what is left of an error.
    steps : int
        Of a phase.

    References
    ----------
    .. [1] X. Xie, H. S. Seung (2003), Equivalence of backpropagation and contrastive Hebbian learning in a
       layered network, Neural Computation 15:441.
    .. [2] J. Movellan (1991), Contrastive Hebbian learning in the continuous Hopfield model.
    """

    gain: float = 0.5
    steps: int = 15

    name: ClassVar[str] = "chl"
    equation: ClassVar[str] = (
        "dw = rate * gain^(layer - last) * (post_plus * pre_plus - post_minus * pre_minus)"
    )
    reference: ClassVar[str] = "Xie, Seung 2003"

    def way_back(self, network: Network, rng: np.random.Generator) -> Layers:
        """Draw feedback from every layer to the one before; as it decays, what both learned is left."""
        return as_wide(network, rng)

    def compare(self, network: Network, x: Floats, wanted: Floats) -> Compared:
        """Settle on its own, then with the output held."""
        return _compare(network, x, wanted, gain=self.gain, steps=self.steps)

    def answer(self, network: Network, x: Floats) -> Floats:
        """Settle once."""
        return output_drive(network, settle(network, x, steps=self.steps, gain=self.gain))

    def chip(self, reward: Literal["r1", "y3"] = "r1") -> Rule:
        """Return the form in two phases: a tag collects Hebb's product with the sign of the phase."""
        return forms.phase_sign(self.name, Feedback("settling", "learned", "phase-sign"), reward=reward)


@dataclass(frozen=True)
class RandomContrastiveHebbian:
    """Contrastive Hebbian learning through fixed random feedback, open in both phases.

    Parameters
    ----------
    gain : float
    steps : int

    References
    ----------
    .. [1] G. Detorakis, T. Bartley, E. Neftci (2019), Contrastive Hebbian learning with random feedback
       weights, Neural Networks 114:1.
    """

    gain: float = 0.5
    steps: int = 15

    name: ClassVar[str] = "random-chl"
    equation: ClassVar[str] = ContrastiveHebbian.equation
    reference: ClassVar[str] = "Detorakis et al. 2019"

    def way_back(self, network: Network, rng: np.random.Generator) -> Layers:
        """Draw feedback from every layer to the one before."""
        return as_wide(network, rng)

    def compare(self, network: Network, x: Floats, wanted: Floats) -> Compared:
        """Settle on its own, then with the output held; feedback stays as drawn."""
        found = _compare(network, x, wanted, gain=self.gain, steps=self.steps)
        return Compared(found.weights, found.biases, ())

    def answer(self, network: Network, x: Floats) -> Floats:
        """Settle once."""
        return output_drive(network, settle(network, x, steps=self.steps, gain=self.gain))

    def chip(self, reward: Literal["r1", "y3"] = "r1") -> Rule:
        """Return the form in two phases."""
        return forms.phase_sign(self.name, Feedback("settling", "fixed", "phase-sign"), reward=reward)
