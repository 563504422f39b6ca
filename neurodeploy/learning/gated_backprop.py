"""Backprop in binary neurons by gated Hebbian phases: nBP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from neurodeploy.learning import forms
from neurodeploy.learning.alignment import layered
from neurodeploy.learning.description import Feedback, Rule
from neurodeploy.learning.rate import Compared, Floats, Layers, Network

THRESHOLD = 0.5


@dataclass(frozen=True)
class GatedBackprop:
    """Learn ``dW = rate d x^T``: Hebb with the sign of the phase, ``d`` spikes of error neurons of two signs.

    Neurons are on where ``0.5 < u``; an error passes where ``0 < u < 1``, and error neurons spike where more
    than `threshold` reaches them. Synapses backward are others than those forward; the same Hebbian phases
    change both.

    Parameters
    ----------
    threshold : float
        Of error neurons.

    References
    ----------
    .. [1] A. Renner, F. Sheldon, A. Zlotnik, L. Tao, A. Sornborger (2024), The backpropagation algorithm
       implemented on spiking neuromorphic hardware, Nature Communications 15:9691.
    """

    threshold: float = 0.1

    name: ClassVar[str] = "nbp"
    equation: ClassVar[str] = "dw = rate * (error_plus - error_minus) * pre"
    reference: ClassVar[str] = "Renner et al. 2024"

    def way_back(self, network: Network, rng: np.random.Generator) -> Layers:
        """Draw feedback from every layer to the one before."""
        return layered(network, rng)

    def compare(self, network: Network, x: Floats, wanted: Floats) -> Compared:
        """Run forward, send binary errors back."""
        rates, potentials = self._forward(network, x)
        errors = [rates[-1] - wanted]
        for back, u in zip(reversed(network.feedback), reversed(potentials[:-1]), strict=True):
            drive = errors[0] @ back.T
            passed = (u > 0) & (u < 1) & (np.abs(drive) > self.threshold)
            errors.insert(0, np.sign(drive) * passed)
        weights = tuple(d.T @ r / len(x) for d, r in zip(errors, rates, strict=False))
        return Compared(weights, tuple(d.mean(axis=0) for d in errors), tuple(w.T for w in weights[1:]))

    def answer(self, network: Network, x: Floats) -> Floats:
        """Run forward; the output is read from its potential."""
        return self._forward(network, x)[1][-1]

    def chip(self, reward: Literal["r1", "y3"] = "r1") -> Rule:
        """Return the form in two phases."""
        back = Feedback("gated", "learned", "phase-sign")
        return forms.phase_sign(self.name, back, reward=reward)

    def _forward(self, network: Network, x: Floats) -> tuple[Layers, Layers]:
        rates, potentials = [(x > THRESHOLD).astype(np.float64)], []
        for w, b in zip(network.weights, network.biases, strict=True):
            potentials.append(rates[-1] @ w.T + b)
            rates.append((potentials[-1] > THRESHOLD).astype(np.float64))
        return tuple(rates), tuple(potentials)
